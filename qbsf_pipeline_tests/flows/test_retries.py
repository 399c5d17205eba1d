"""How long a write waits before it is tried again, and what is kept of one that is given up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbsf_pipeline.flows.retries import first_wait, give_up, next_wait
from qbsf_pipeline.settings import load_rules
from qbsf_pipeline.state.database import State
from qbsf_pipeline_tests.state.writes import invoice, sending

RULES = load_rules().push.model_copy(update={"first_wait_seconds": 30, "longest_wait_seconds": 3600})
NOW = datetime(2026, 3, 31, 8, 0, tzinfo=UTC)


@pytest.mark.parametrize(("attempts", "seconds"), [(1, 30), (2, 60), (3, 120), (7, 1920), (8, 3600), (9, 3600), (10**6, 3600)])
def test_each_wait_is_twice_the_one_before_up_to_the_longest(attempts: int, seconds: int) -> None:
    assert next_wait(RULES, attempts) == timedelta(seconds=seconds)


def test_an_outage_says_nothing_about_the_record_so_its_wait_does_not_grow() -> None:
    assert first_wait(RULES) == timedelta(seconds=30)


@given(st.integers(1, 10**9))
def test_no_wait_is_shorter_than_the_first_or_longer_than_the_longest(attempts: int) -> None:
    assert first_wait(RULES) <= next_wait(RULES, attempts) <= timedelta(seconds=3600)


def test_what_is_given_up_keeps_the_services_words_and_code_for_a_person(tmp_path: Path) -> None:
    with State.open(f"sqlite:///{tmp_path / 'state.sqlite'}", tmp_path) as state:
        write = invoice(1, operation="update_customer", depends_on=())
        state.ledger.enqueue([write], "B-1", NOW)
        state.ledger.start([sending(write)], NOW)
        (entry,) = state.ledger.sending("invoices")
        give_up(state.ledger, entry, "6240", "The name supplied already exists. ", NOW)
        dead = state.ledger.entry(write.key)
        assert dead is not None
        assert (dead.status, dead.error_code) == ("dead", "6240")
        assert (
            dead.error_message == "QuickBooks refused the change of the customer: The name supplied already exists (code 6240)."
        )
