"""Audits and the progress between them."""

from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy.exc import IntegrityError

from qbsf_pipeline.state.cleansing import CleansingRun, Progress
from qbsf_pipeline_tests.state.conftest import NOW

DAY = timedelta(days=1)
SCORES = {"salesforce": Decimal("87.25"), "quickbooks": Decimal("100")}


@dataclass(frozen=True)
class Finding:
    finding_id: str
    system: str = "salesforce"
    code: str = "billing_email_missing"
    severity: str = "error"
    record_object: str = "Account"
    record_id: str = "001A"
    record_name: str | None = "Größe & 'Co'"
    what: str = "more than is remembered"


ONE, TWO, THREE = Finding("C-1"), Finding("C-2", record_name=None), Finding("C-3", system="quickbooks", severity="hint")


def report(state, *findings, day=0):
    return state.cleansing.report(findings, SCORES, {"accounts": 12}, NOW + day * DAY)


def test_a_finding_is_new_once_and_resolved_once(state):
    assert report(state, TWO, ONE) == Progress(("C-2", "C-1"), (), {"C-1": NOW, "C-2": NOW})
    assert report(state, TWO, ONE, day=1) == Progress((), (), {"C-1": NOW, "C-2": NOW})
    progress = report(state, TWO, THREE, day=2)
    assert (progress.new, progress.first_seen) == (("C-3",), {"C-2": NOW, "C-3": NOW + 2 * DAY})
    (mended,) = progress.resolved
    assert (mended.finding_id, mended.record_name, mended.code) == ("C-1", ONE.record_name, ONE.code)
    assert (mended.first_seen_at, mended.last_seen_at, mended.resolved_at) == (NOW, NOW + DAY, NOW + 2 * DAY)
    assert report(state, TWO, THREE, day=3).resolved == ()


def test_a_finding_that_comes_back_keeps_its_first_date(state):
    report(state, ONE)
    report(state, day=1)
    assert report(state, ONE, day=2) == Progress(("C-1",), (), {"C-1": NOW})
    (seen,) = state.cleansing.findings()
    assert (seen.first_seen_at, seen.last_seen_at, seen.resolved_at) == (NOW, NOW + 2 * DAY, None)


def test_what_is_known_of_a_finding_is_kept_fresh_and_mended_ones_stay_for_progress(state):
    report(state, ONE, TWO)
    report(state, replace(ONE, record_name="Renamed", severity="warning"), day=1)
    assert [(seen.finding_id, seen.record_name, seen.severity) for seen in state.cleansing.findings(resolved=False)] == [
        ("C-1", "Renamed", "warning")
    ]
    assert [seen.finding_id for seen in state.cleansing.findings(resolved=True)] == ["C-2"]
    assert [seen.finding_id for seen in state.cleansing.findings()] == ["C-1", "C-2"]


def test_of_two_findings_with_one_id_the_first_counts(state):
    assert report(state, ONE, replace(ONE, record_name="other")).new == ("C-1",)
    assert state.cleansing.findings()[0].record_name == ONE.record_name


def test_audits_are_kept_with_their_scores_newest_first(state):
    assert state.cleansing.latest() is None
    report(state, ONE)
    state.cleansing.report([], {"salesforce": Decimal("1E+2")}, {}, NOW + DAY)
    first = CleansingRun(1, NOW, SCORES, {"accounts": 12})
    last = CleansingRun(2, NOW + DAY, {"salesforce": Decimal(100)}, {})
    assert state.cleansing.latest() == last
    assert state.cleansing.runs() == [last, first]
    assert state.cleansing.runs(limit=1) == [last]
    assert all(isinstance(score, Decimal) for run in state.cleansing.runs() for score in run.scores.values())


def test_an_audit_that_cannot_be_stored_leaves_the_one_before(state):
    report(state, ONE)
    with pytest.raises(IntegrityError):
        report(state, replace(TWO, severity="fatal"), day=1)
    assert [(seen.finding_id, seen.resolved_at) for seen in state.cleansing.findings()] == [("C-1", None)]
    assert len(state.cleansing.runs()) == 1


def test_thousands_of_findings_come_and_go(state):
    many = [Finding(f"C-{number}") for number in range(3000)]
    assert len(report(state, *many).new) == 3000
    assert len(report(state, *many[:1000], day=1).resolved) == 2000
