"""What surrounds a step: it is recorded however it ends, outages are told once, and errors become words."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from qbsf_pipeline.errors import (
    AccessRefused,
    ConfigurationError,
    OutcomeUnknown,
    RecordRefused,
    ServiceUnavailable,
)
from qbsf_pipeline.resources import Doors
from qbsf_pipeline.settings import load_settings
from qbsf_pipeline.state.database import State
from qbsf_pipeline.steps import TOLD_TAG, deliver_messages, step, tell_back, tell_down
from qbsf_pipeline.warehouse.connection import Warehouse
from qbsf_pipeline_tests.pipeline import clear_environment, rendered

NOW = datetime(2026, 3, 31, 8, 0, tzinfo=UTC)


class ClockedDoors(Doors):
    """Doors whose clock a test sets."""

    instant = NOW

    def now(self) -> datetime:
        return self.instant


@pytest.fixture
def doors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ClockedDoors]:
    clear_environment(monkeypatch)
    monkeypatch.setenv("QBSF_HOME", str(tmp_path))
    monkeypatch.setenv("SLACK_ALERTS_CHANNEL", "#alerts")
    built = ClockedDoors(load_settings(), Warehouse(tmp_path / "warehouse.duckdb"))
    with built.state:
        yield built


def waiting(state: State) -> list[tuple[str, str]]:
    return [(entry.message.channel, rendered(entry.message)) for entry in state.outbox.pending()]


def test_a_step_is_recorded_with_its_counts_and_its_calls(doors: ClockedDoors) -> None:
    with step(doors, "invoices", "plan", "run-1") as report:
        doors.meter.count("quickbooks", "query")
        doors.meter.count("quickbooks", "query", metered=False)
        doors.meter.count("salesforce", "login")
        report.counts = {"won deals": 3}
        doors.instant = NOW + timedelta(minutes=1)
    recorded = doors.state.passes.last("invoices")
    assert recorded is not None
    assert (recorded.trigger, recorded.outcome, recorded.mode) == ("plan", "done", "sandbox")
    assert recorded.counts == {"won deals": 3}
    assert recorded.api_calls == {"quickbooks.query": 2, "salesforce.login": 1}
    assert recorded.dagster_run_id == "run-1"
    assert recorded.ended_at == NOW + timedelta(minutes=1)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (AccessRefused("slack", "not_in_channel", "Invite the bot"), "Slack: Invite the bot (code not_in_channel)"),
        (
            RecordRefused("quickbooks", "4001", "Invalid query", request_reference="1-69"),
            "QuickBooks: Invalid query (code 4001) (reference 1-69)",
        ),
        (OutcomeUnknown("salesforce", "timeout", "No answer"), "Salesforce: No answer (code timeout)"),
        (ServiceUnavailable("salesforce", "503", "Maintenance"), "Salesforce: Maintenance (code 503)"),
        (ConfigurationError(["A: is missing", "B: is wrong"]), "A: is missing\nB: is wrong"),
    ],
)
def test_an_error_of_a_service_fails_the_step_in_words_and_is_not_retried(
    doors: ClockedDoors, error: Exception, text: str
) -> None:
    with pytest.raises(dg.Failure) as failure, step(doors, "invoices", "push", "run-1"):
        raise error
    assert failure.value.description == text
    assert failure.value.allow_retries is False
    assert failure.value.__cause__ is error
    recorded = doors.state.passes.last("invoices")
    assert recorded is not None
    assert recorded.outcome == "failed"


def test_a_fault_of_our_own_is_recorded_and_keeps_its_traceback(doors: ClockedDoors) -> None:
    with pytest.raises(ZeroDivisionError), step(doors, "invoices", "push", "run-1"):
        raise ZeroDivisionError
    recorded = doors.state.passes.last("invoices")
    assert recorded is not None
    assert recorded.outcome == "failed"
    assert waiting(doors.state) == []


def test_only_an_outage_counts_as_told_by_the_step_itself(doors: ClockedDoors) -> None:
    with pytest.raises(dg.Failure) as down, step(doors, "invoices", "push", "run-1"):
        raise ServiceUnavailable("quickbooks", "503", "Down")
    with pytest.raises(dg.Failure) as refused, step(doors, "invoices", "push", "run-2"):
        raise AccessRefused("quickbooks", "3200", "Connect again")
    assert TOLD_TAG in down.value.metadata
    assert TOLD_TAG not in refused.value.metadata


def test_an_outage_is_told_once_and_once_when_it_ends(doors: ClockedDoors) -> None:
    for minute in range(3):
        doors.instant = NOW + timedelta(minutes=minute)
        tell_down(doors, "quickbooks", "503 <Service Unavailable>")
    doors.instant = NOW + timedelta(minutes=42)
    tell_back(doors, "quickbooks")
    tell_back(doors, "quickbooks")
    assert waiting(doors.state) == [
        (
            "#alerts",
            ":rotating_light: *QuickBooks does not answer.* 503 &lt;Service Unavailable&gt;\n"
            "Nothing is lost; everything goes on once it is back.",
        ),
        ("#alerts", ":white_check_mark: *QuickBooks answers again*, after 42 minutes."),
    ]
    doors.instant = NOW + timedelta(hours=2)
    tell_down(doors, "quickbooks", "again")
    assert len(waiting(doors.state)) == 3


def test_a_service_that_can_be_read_but_not_written_is_told_once_until_it_takes_writes(doors: ClockedDoors) -> None:
    for _ in range(3):
        tell_back(doors, "salesforce")
        tell_down(doors, "salesforce", "503", writing=True)
    tell_down(doors, "salesforce", "503")
    tell_back(doors, "salesforce")
    assert len(waiting(doors.state)) == 1
    tell_back(doors, "salesforce", writing=True)
    assert ["answers again" in text for _, text in waiting(doors.state)] == [False, True]


def test_an_outage_of_seconds_is_a_minute(doors: ClockedDoors) -> None:
    tell_down(doors, "salesforce", "x")
    tell_back(doors, "salesforce")
    assert waiting(doors.state)[-1][1] == ":white_check_mark: *Salesforce answers again*, after 1 minute."


def test_a_service_that_was_never_down_is_not_told_to_be_back(doors: ClockedDoors) -> None:
    tell_back(doors, "salesforce")
    assert waiting(doors.state) == []


@pytest.mark.parametrize(("mode", "token"), [("dry_run", "xoxb-1"), ("sandbox", "")])
def test_nothing_is_sent_to_slack_in_dry_run_or_without_a_token(
    doors: ClockedDoors, monkeypatch: pytest.MonkeyPatch, mode: str, token: str
) -> None:
    monkeypatch.setenv("QBSF_MODE", mode)
    monkeypatch.setenv("SLACK_BOT_TOKEN", token)
    tell_down(doors, "quickbooks", "x")
    quiet = ClockedDoors(load_settings(), doors.warehouse)
    assert quiet.slack is None
    assert deliver_messages(quiet) is None
    assert len(waiting(doors.state)) == 1


def test_messages_that_slack_cannot_take_wait_and_nothing_is_lost(doors: ClockedDoors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-1")
    monkeypatch.setenv("SLACK_API_URL", "http://127.0.0.1:9/api/")  # nothing listens there
    tell_down(doors, "quickbooks", "x")
    delivered = deliver_messages(ClockedDoors(load_settings(), doors.warehouse), budget_seconds=1.0)
    assert delivered is not None
    assert (delivered.sent, delivered.waiting) == (0, 1)
    assert "slack" in doors.state.services.down()
    assert len(waiting(doors.state)) == 1


def test_in_mode_sandbox_no_service_is_called_that_is_not_on_this_machine(
    doors: ClockedDoors, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigurationError, match="built-in services are not running"):
        _ = doors.salesforce
    monkeypatch.setenv("QBSF_MODE", "sandbox")
    monkeypatch.setenv("SALESFORCE_LOGIN_URL", "https://acme.my.salesforce.com")
    with pytest.raises(ConfigurationError, match="built-in services are not running"):
        _ = ClockedDoors(load_settings(), doors.warehouse).quickbooks


def test_a_door_opens_only_with_the_credentials_of_its_mode(doors: ClockedDoors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QBSF_MODE", "live")
    with pytest.raises(ConfigurationError) as error:
        _ = ClockedDoors(load_settings(), doors.warehouse).quickbooks
    assert len(error.value.problems) == 8
