from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from qbsf_pipeline.doctor.work import check_passes, check_readiness, check_waiting
from qbsf_pipeline.settings import Mode
from qbsf_pipeline.state.database import State
from qbsf_pipeline.state.outbox import Message
from qbsf_pipeline_tests.doctor.levels import told, worse

NOW = datetime(2026, 3, 31, 9, tzinfo=UTC)


def test_a_home_in_which_nothing_happened_yet_is_well(state: State) -> None:
    findings = check_passes(state, Mode.LIVE, NOW) + check_waiting(state) + check_readiness(state, NOW)
    assert worse(findings) == []
    assert told(findings, "readiness").found == "not audited yet: qbsf cleanse"


@pytest.mark.parametrize(
    ("outcome", "hours", "mode", "level"),
    [
        ("done", 1, Mode.LIVE, []),
        ("done", 25, Mode.LIVE, [("last pass", "warning")]),
        ("done", 25, Mode.DRY_RUN, []),
        ("failed", 1, Mode.LIVE, [("last pass", "warning")]),
        (None, 1, Mode.LIVE, []),
    ],
)
def test_the_last_pass_is_told(outcome: str | None, hours: int, mode: Mode, level: list[tuple[str, str]], state: State) -> None:
    begun = NOW - timedelta(hours=hours)
    number = state.passes.begin("invoices", "live", "schedule", begun)
    if outcome is not None:
        state.passes.end(number, outcome, {}, {}, None, begun)
    assert worse(check_passes(state, mode, NOW)) == level


def test_messages_and_services_that_wait_are_told(state: State) -> None:
    state.outbox.put([Message("k", "#finance", "hello", [], None, "service")], NOW)
    assert worse(check_waiting(state)) == []
    state.outbox.postpone("#finance", "not_in_channel: invite the bot", NOW)
    state.services.went_down("quickbooks:writes", "HTTP 503", NOW)
    findings = check_waiting(state)
    assert worse(findings) == [("messages", "warning"), ("outage", "warning")]
    assert "invite the bot" in told(findings, "messages").found
    assert told(findings, "outage").found.startswith("QuickBooks does not answer since 2026-03-31 09:00 UTC")


@pytest.mark.parametrize(("errors", "level"), [(0, []), (3, [("readiness", "warning")])])
def test_the_score_of_the_newest_audit_is_told(errors: int, level: list[tuple[str, str]], state: State) -> None:
    scores = {"salesforce": Decimal("87.5")}
    counts = {"salesforce.records": 40, "salesforce.without_error": 37, "salesforce.error": errors}
    state.cleansing.report([], scores, counts, NOW - timedelta(days=3))
    findings = check_readiness(state, NOW)
    assert worse(findings) == level
    assert findings[0].found == "Salesforce 87.5 of 100: 37 of 40 records without an error, audited 3 days ago"
