"""Telling once: each change of a field, each account that needs a person, and again when it happens again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from qbsf_pipeline.customers.messages import TOLD_KINDS
from qbsf_pipeline.customers.plan import REFUSALS
from qbsf_pipeline.customers.tell import WORDS, problems_of, tell_changes, untold
from qbsf_pipeline.flows.problems import TOLD_AFTER_ATTEMPTS, record_link, tell_problems
from qbsf_pipeline.settings import Settings, load_settings
from qbsf_pipeline.state.database import State
from qbsf_pipeline.state.journal import FieldChange
from qbsf_pipeline_tests.flows.test_approval import entry
from qbsf_pipeline_tests.pipeline import clear_environment, rendered

NOW = datetime(2026, 3, 31, 8, 0, tzinfo=UTC)
ORG = "https://acme.my.salesforce.test"


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    clear_environment(monkeypatch)
    monkeypatch.setenv("SLACK_FINANCE_CHANNEL", "#finance")
    monkeypatch.setenv("SLACK_ALERTS_CHANNEL", "#alerts")
    monkeypatch.setenv("QUICKBOOKS_APP_URL", "https://qbo.test")
    return load_settings()


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with State.open(f"sqlite:///{tmp_path / 'state.sqlite'}", tmp_path) as opened:
        yield opened


def change(number: int = 1, **values: Any) -> FieldChange:
    found = FieldChange(
        key=f"phone:{number}",
        account_id="001A",
        account_name="Acme",
        customer_id="101",
        customer_name="ACME",
        field="phone",
        salesforce_value='"1"',
        quickbooks_value='"2"',
        agreed_value='"1"',
        owner="salesforce",
        winner="salesforce",
        kind="put_back",
        rule="Salesforce owns it.",
        write_key=f"write-{number}",
    )
    return replace(found, **values)


def waiting(state: State) -> list[tuple[str, str]]:
    return [(one.message.channel, rendered(one.message)) for one in state.outbox.pending()]


def test_a_change_is_told_when_its_write_is_done_and_then_never_again(state: State, settings: Settings) -> None:
    state.journal.record([change()], NOW)
    assert tell_changes(state, settings, NOW) == 0  # nobody knows yet whether it can be written
    state.journal.settle({"write-1": "written"}, NOW)
    assert tell_changes(state, settings, NOW) == 1
    assert tell_changes(state, settings, NOW) == 0
    state.journal.record([change()], NOW)
    assert tell_changes(state, settings, NOW) == 0
    ((channel, text),) = waiting(state)
    assert channel == "#finance"
    assert "<https://qbo.test/app/customerdetail?nameId=101|ACME> · phone  _J-1_" in text


def test_a_change_that_happens_again_is_told_again(state: State, settings: Settings) -> None:
    for number in (1, 2):
        # The same two values once more, on another version of the record.
        state.journal.record([change(1, write_key=f"write-{number}")], NOW)
        state.journal.settle({f"write-{number}": "written"}, NOW)
        assert tell_changes(state, settings, NOW) == 1
    assert [text.count("_J-") for _, text in waiting(state)] == [1, 1]
    assert len(state.journal.list()) == 2


def test_what_is_only_reported_is_told_at_once_and_once_while_both_values_stay(state: State, settings: Settings) -> None:
    for _ in range(3):
        state.journal.record([change(write_key=None)], NOW)
        tell_changes(state, settings, NOW)
    assert len(waiting(state)) == 1
    state.journal.record([change(2, write_key=None, quickbooks_value='"3"')], NOW)
    assert tell_changes(state, settings, NOW) == 1


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("put_back", 1),
        ("both_changed", 1),
        ("reversed", 1),
        ("owner_changed", 0),  # what an owner does to its own field is no news
        ("first_difference", 0),
        ("kept", 0),
    ],
)
def test_people_are_told_where_somebodys_value_was_overwritten(state: State, settings: Settings, kind: Any, told: int) -> None:
    state.journal.record([change(kind=kind)], NOW)
    state.journal.settle({"write-1": "written"}, NOW)
    assert tell_changes(state, settings, NOW) == told
    assert (kind in TOLD_KINDS) is bool(told)


def test_several_changes_of_one_pass_are_one_message(state: State, settings: Settings) -> None:
    state.journal.record([change(number, account_id=f"001{number}") for number in range(5)], NOW)
    state.journal.settle({f"write-{number}": "written" for number in range(5)}, NOW)
    assert tell_changes(state, settings, NOW) == 5
    ((_, text),) = waiting(state)
    assert text.startswith("*Customers: 5 fields put back in step*")


def test_when_telling_fails_the_changes_are_told_next_time(state: State, settings: Settings) -> None:
    state.journal.record([change(write_key=None)], NOW)
    with pytest.raises(ZeroDivisionError), state.transaction():
        _ = tell_changes(state, settings, NOW) / 0
    assert waiting(state) == []
    assert len(untold(state)) == 1
    assert tell_changes(state, settings, NOW) == 1


# Accounts that need a person


def refusal(number: int = 1, **values: Any) -> dict[str, Any]:
    return {
        "account_id": f"001{number}",
        "account_name": f"Acme {number} Inc.",
        "customer_id": "101",
        "field": "name",
        "code": "name_taken",
        "reason": "QuickBooks cannot call the customer so.",
        "remedy": "Rename one of the two.",
        **values,
    }


def frame(*rows: dict[str, Any]) -> pl.DataFrame:
    return REFUSALS.frame(rows)


def test_an_account_is_one_problem_with_all_its_reasons() -> None:
    rows = (refusal(2), refusal(1, field="phone", reason="Second."), refusal(1, field="name", reason="First."))
    first, second = problems_of(frame(*rows), [], ORG)
    assert (first.source_id, second.source_id) == ("0011", "0012")
    assert [reason.text for reason in first.reasons] == ["First.", "Second."]
    assert (first.key, first.flow, first.kind) == ("customers:0011", "customers", "refused")
    assert first.link == record_link(ORG, "0011", "Account")
    assert first.amount is None


def test_an_account_without_a_name_is_called_by_its_id() -> None:
    (problem,) = problems_of(frame(refusal(account_name=None)), [], ORG)
    assert problem.label == "0011"


@pytest.mark.parametrize(
    ("status", "attempts", "told"),
    [("dead", 0, True), ("failed", TOLD_AFTER_ATTEMPTS - 1, False), ("failed", TOLD_AFTER_ATTEMPTS, True)],
)
def test_a_write_is_a_problem_of_its_account_when_it_is_dead_or_failed_again_and_again(
    status: Any, attempts: int, told: bool
) -> None:
    values = {"flow": "customers", "opportunity_id": None, "account_id": "0011", "operation": "update_customer", "amount": None}
    write = entry(1, status=status, attempts=attempts, error_code="6240", error_message="The name is taken.", **values)
    problems = problems_of(frame(refusal(1, reason="First.")), [write], ORG)
    assert [reason.text for problem in problems for reason in problem.reasons] == [
        "First.",
        *(["The name is taken."] if told else []),
    ]
    assert len(problems) == 1
    assert problems[0].source_object == "Account"


def test_a_refused_field_is_told_once_again_when_it_changes_and_once_when_it_is_gone(state: State, settings: Settings) -> None:
    def tell(*rows: dict[str, Any], at: int) -> list[str]:
        before = len(waiting(state))
        tell_problems(state, settings, problems_of(frame(*rows), [], ORG), "customers", WORDS, NOW + timedelta(minutes=at))
        assert all(channel == "#alerts" for channel, _ in waiting(state))
        return [text for _, text in waiting(state)[before:]]

    (first,) = tell(refusal(), at=0)
    link = f"<{ORG}/lightning/r/Account/0011/view|Acme 1 Inc.>"
    assert first == (
        f":warning: *Not kept in step:* {link}  _F-1_\n• QuickBooks cannot call the customer so.\n   → Rename one of the two."
    )
    assert tell(refusal(), at=1) == []
    (changed,) = tell(refusal(reason="A vendor has the name."), at=2)
    assert "A vendor has the name." in changed
    assert tell(at=3) == [f":white_check_mark: *{link}* is all right again."]
    assert tell(refusal(), at=4) == [first]
