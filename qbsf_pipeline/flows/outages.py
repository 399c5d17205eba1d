"""Tells of services that take no writes."""

from __future__ import annotations

from collections.abc import Mapping

from qbsf_pipeline.resources import Doors
from qbsf_pipeline.steps import tell_back, tell_down


def tell_outages(opened: Doors, flow: str, unavailable: Mapping[str, str]) -> None:
    """Say once that a service takes no writes, or leaves them unanswered, and once that it takes them again.

    Args:
        unavailable: by system, why the push had to stop calling it.
    """
    for system in ("quickbooks", "salesforce"):
        lost = sum(1 for entry in opened.state.ledger.sending(flow) if entry.target_system == system)
        reason = f"{lost} write{'s were' if lost != 1 else ' was'} sent without an answer" if lost else None
        reason = unavailable.get(system) or reason
        if reason is not None:
            tell_down(opened, system, reason, writing=True)
        else:
            tell_back(opened, system, writing=True)
