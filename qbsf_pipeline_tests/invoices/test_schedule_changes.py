"""A change of a billing schedule is kept once a person has approved it, in every mode, and never from an older version."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from qbsf_pipeline.flows.plans import planned_writes
from qbsf_pipeline.invoices.schedule_changes import change_schedules
from qbsf_pipeline.settings import Mode
from qbsf_pipeline.state.database import State
from qbsf_pipeline.state.ledger import PlannedWrite, Sending
from qbsf_pipeline_tests.invoices.test_schedules import Life, world

NOW = datetime(2026, 12, 20, 8, 0, tzinfo=UTC)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with State.open(f"sqlite:///{tmp_path}/state.sqlite", tmp_path) as opened:
        yield opened


@pytest.fixture
def asked(state: State) -> PlannedWrite:
    """A change that waits in the ledger; the first version is agreed."""
    life = Life(world())
    life.day(date(2026, 11, 20))
    state.billing_schedules.agree(life.world.agreed, NOW)
    life.change("2400.00")
    plan = life.plan(date(2026, 12, 20)).writes.filter(pl.col("operation") == "change_schedule")
    (write,) = planned_writes(plan)
    state.ledger.enqueue([write], "B-1", NOW)
    return write


def change(state: State, write: PlannedWrite) -> int:
    """How many schedules a push changes."""
    return len(change_schedules(state, Mode.LIVE, {write.key: write.payload}, lambda: NOW, []))


def versions(state: State) -> list[tuple[int, str]]:
    return [(one.version, one.agreed_by) for one in state.billing_schedules.all()]


def test_nothing_changes_before_a_person_approves_and_then_once(state: State, asked: PlannedWrite) -> None:
    assert change(state, asked) == 0
    state.approvals.approve(asked.plan_id, "pat", NOW)
    assert change(state, asked) == 1
    assert change(state, asked) == 0
    assert versions(state) == [(1, "rules"), (2, "pat")]


def test_a_change_that_was_begun_when_the_program_was_killed_is_finished(state: State, asked: PlannedWrite) -> None:
    state.approvals.approve(asked.plan_id, "pat", NOW)
    state.ledger.start([Sending(asked.key, "r-1", asked.payload)], NOW)
    assert change(state, asked) == 1
    assert state.ledger.counts() == {"done": 1}
    assert versions(state) == [(1, "rules"), (2, "pat")]


def test_an_approval_of_what_something_else_changed_meanwhile_is_refused(state: State, asked: PlannedWrite) -> None:
    first = state.billing_schedules.all()[0]
    other = type(first)(first.opportunity_id, 1, 2, first.schedule, (), "stopped", "rules")
    state.billing_schedules.agree([other], NOW)
    state.approvals.approve(asked.plan_id, "pat", NOW)
    assert change(state, asked) == 0
    assert state.ledger.entries()[0].error_code == "schedule_changed"
    assert versions(state) == [(1, "rules"), (2, "rules")]
