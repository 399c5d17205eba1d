"""Which writes a push may carry out now, and how many it is told to be waiting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from qbsf_pipeline.flows.runnable import runnable, waiting
from qbsf_pipeline.settings import Mode
from qbsf_pipeline.state.database import State
from qbsf_pipeline.state.ledger import PlannedWrite
from qbsf_pipeline_tests.state.writes import invoice, sending

NOW = datetime(2026, 3, 31, 8, 0, tzinfo=UTC)
CUSTOMER = invoice(1, key="customer", operation="create_customer", plan_id="P-1", depends_on=())
FIRST = invoice(1, key="first", plan_id="P-1", depends_on=("customer",))
SECOND = invoice(2, key="second", plan_id="P-2", depends_on=("customer",))
ALONE = invoice(3, key="alone", plan_id="P-3", depends_on=())
ANOTHER_FLOWS = invoice(4, key="update", flow="customers", operation="update_customer", plan_id="P-4", depends_on=())
EVERY = (CUSTOMER, FIRST, SECOND, ALONE)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with State.open(f"sqlite:///{tmp_path / 'state.sqlite'}", tmp_path) as opened:
        opened.ledger.enqueue([*EVERY, ANOTHER_FLOWS], "B-1", NOW)
        yield opened


def found(
    state: State,
    operation: str = "create_invoice",
    mode: Mode = Mode.LIVE,
    planned: Mapping[str, str] | None = None,
    now: datetime = NOW,
) -> tuple[set[str], dict[str, str]]:
    """Keys that may run, and why others of the operation are held."""
    held: list[tuple[str, str]] = []
    entries = runnable(state, "invoices", operation, mode, now, held, planned)
    return {entry.key for entry in entries}, dict(held)


def carry_out(state: State, write: PlannedWrite) -> None:
    state.ledger.start([sending(write)], NOW)
    state.ledger.finish(write.key, "7", "{}", NOW)


def test_what_depends_on_nothing_runs_and_what_waits_for_another_write_does_not(state: State) -> None:
    assert found(state) == ({"alone"}, {})
    assert found(state, "create_customer") == ({"customer"}, {})


def test_what_waited_for_a_write_runs_once_that_is_done(state: State) -> None:
    carry_out(state, CUSTOMER)
    assert found(state) == ({"first", "second", "alone"}, {})


def test_another_flows_writes_are_its_own_affair(state: State) -> None:
    assert found(state, "update_customer") == (set(), {})
    assert waiting(state, "customers", Mode.LIVE, NOW) == 1


def test_in_mode_approve_nothing_runs_that_nobody_approved(state: State) -> None:
    carry_out(state, CUSTOMER)
    assert found(state, mode=Mode.APPROVE) == (set(), dict.fromkeys(("first", "second", "alone"), "waits for approval"))
    state.approvals.approve("P-2", "dana", NOW)
    assert found(state, mode=Mode.APPROVE)[0] == {"second"}


@pytest.mark.parametrize("subject", ["P-3", "B-1"])
@pytest.mark.parametrize("mode", [Mode.LIVE, Mode.SANDBOX, Mode.APPROVE])
def test_what_a_person_rejected_runs_in_no_mode(state: State, subject: str, mode: Mode) -> None:
    state.approvals.reject(subject, "dana", NOW)
    assert "alone" not in found(state, mode=mode)[0]


def test_what_the_newest_plan_does_not_say_just_so_is_held(state: State) -> None:
    assert found(state, planned={})[1] == dict.fromkeys(("first", "second", "alone"), "is not in the newest plan")
    assert found(state, planned={"alone": ALONE.payload + " "})[0] == set()
    assert found(state, planned={"alone": ALONE.payload})[0] == {"alone"}


def test_what_failed_runs_when_it_is_due_again(state: State) -> None:
    state.ledger.fail("alone", "6140", "taken", NOW + timedelta(minutes=1), NOW)
    assert found(state) == (set(), {})
    assert found(state, now=NOW + timedelta(minutes=1))[0] == {"alone"}


def test_what_is_on_its_way_or_dead_does_not_run_again(state: State) -> None:
    state.ledger.start([sending(ALONE)], NOW)
    assert found(state) == (set(), {})
    state.ledger.bury("alone", "6240", "taken", NOW)
    assert found(state) == (set(), {})


# How much waits


def test_all_that_one_push_could_do_waits_with_what_it_makes_possible(state: State) -> None:
    assert waiting(state, "invoices", Mode.LIVE, NOW) == 4


def test_in_mode_approve_what_an_approved_write_depends_on_waits_with_it(state: State) -> None:
    assert waiting(state, "invoices", Mode.APPROVE, NOW) == 0
    state.approvals.approve("P-2", "dana", NOW)
    assert waiting(state, "invoices", Mode.APPROVE, NOW) == 2


def test_a_write_whose_answer_was_lost_waits_to_be_looked_after(state: State) -> None:
    for write in (CUSTOMER, ALONE):
        carry_out(state, write)
    state.ledger.start([sending(FIRST), sending(SECOND)], NOW)
    assert waiting(state, "invoices", Mode.LIVE, NOW) == 2


def test_what_depends_on_a_dead_write_starts_no_push(state: State) -> None:
    carry_out(state, ALONE)
    state.ledger.bury("customer", "6240", "taken", NOW)
    assert waiting(state, "invoices", Mode.LIVE, NOW) == 0
