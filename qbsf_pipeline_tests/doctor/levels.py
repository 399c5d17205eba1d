"""How tests look at findings."""

from __future__ import annotations

from collections.abc import Sequence

from qbsf_pipeline.doctor.findings import Finding, Level


def worse(findings: Sequence[Finding]) -> list[tuple[str, str]]:
    """(check, level) of what is not well; each of them says how to mend it."""
    assert all(finding.mend for finding in findings if finding.level is not Level.OK), findings
    assert all(finding.found for finding in findings)
    return [(finding.check, finding.level.value) for finding in findings if finding.level is not Level.OK]


def told(findings: Sequence[Finding], check: str) -> Finding:
    """The one finding of a check."""
    (found,) = [finding for finding in findings if finding.check == check]
    return found
