"""What a person has allowed: a deal, the whole plan, and what an allowed write depends on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbsf_pipeline.flows.approval import ALWAYS_ASKED, allowed_keys, batch_of
from qbsf_pipeline.state.ledger import LedgerEntry
from qbsf_pipeline_tests.state.writes import invoice

NOW = datetime(2026, 3, 31, 8, 0, tzinfo=UTC)
NOTHING_YET: dict[str, Any] = {
    "status": "planned",
    "batch": "B-1",
    "gate_passed_at": NOW,
    "attempts": 0,
    **dict.fromkeys(
        ("request_id", "group_id", "group_position", "sent_body", "sending_at", "next_attempt_at", "error_code"), None
    ),
    **dict.fromkeys(("error_message", "result_id", "result", "done_at", "announced_at"), None),
    "created_at": NOW,
    "updated_at": NOW,
}


def entry(number: int = 1, *, depends_on: tuple[str, ...] = (), **changes: Any) -> LedgerEntry:
    """A planned invoice of deal ``number`` as the ledger holds it."""
    write = invoice(number, depends_on=depends_on)
    return LedgerEntry(**{**write.__dict__, **NOTHING_YET, "plan_id": f"P-{number}", **changes})


CUSTOMER = entry(9, key="customer", plan_id="P-1")
FIRST = entry(1, depends_on=("customer",), key="first")
SECOND = entry(2, depends_on=("customer", "gone"), key="second")


@pytest.mark.parametrize(
    ("decisions", "needs_approval", "allowed"),
    [
        ({}, False, {"customer", "first", "second"}),
        ({}, True, set()),
        ({"P-2": "approved"}, True, {"second", "customer"}),  # the customer that it needs comes with it
        ({"P-1": "approved"}, True, {"first", "customer"}),
        ({"B-1": "approved"}, True, {"customer", "first", "second"}),
        ({"B-2": "approved"}, True, set()),
        ({"B-1": "approved", "P-2": "rejected"}, True, {"customer", "first"}),
        ({"B-1": "rejected", "P-2": "approved"}, True, {"second", "customer"}),
        ({"P-2": "rejected"}, False, {"customer", "first"}),
        ({"B-1": "rejected"}, False, set()),
        ({"P-1": "rejected"}, False, {"second", "customer"}),
        ({"P-2": "approved"}, False, {"customer", "first", "second"}),
    ],
)
def test_what_may_be_pushed_follows_from_what_people_said(
    decisions: dict[str, str], needs_approval: bool, allowed: set[str]
) -> None:
    assert allowed_keys([CUSTOMER, FIRST, SECOND], decisions, needs_approval=needs_approval) == allowed


def test_what_depends_on_something_that_depends_on_something_brings_all_of_it() -> None:
    chain = [entry(1, key="parent"), entry(1, key="child", depends_on=("parent",)), entry(2, key="deal", depends_on=("child",))]
    assert allowed_keys(chain, {"P-2": "approved"}, needs_approval=True) == {"parent", "child", "deal"}


@given(st.lists(st.text("0123456789abcdef", min_size=1, max_size=10).map(lambda text: f"P-{text}"), min_size=1), st.randoms())
def test_a_whole_plan_has_the_same_id_in_any_order_and_another_with_another_deal(plan_ids: list[str], random: Any) -> None:
    shuffled = [*plan_ids, plan_ids[0]]
    random.shuffle(shuffled)
    assert batch_of(shuffled) == batch_of(plan_ids)
    assert batch_of(plan_ids).startswith("B-")
    assert len(batch_of(plan_ids)) == 12
    assert batch_of([*plan_ids, "P-another one"]) != batch_of(plan_ids)


@given(
    st.dictionaries(st.sampled_from(["P-1", "P-2", "P-3", "B-1"]), st.sampled_from(["approved", "rejected"])),
    st.lists(st.integers(1, 3), min_size=1, max_size=6),
)
def test_in_mode_approve_nothing_moves_that_nobody_approved(decisions: dict[str, str], numbers: list[int]) -> None:
    entries = [entry(number, key=f"k{place}") for place, number in enumerate(numbers)]
    for key in allowed_keys(entries, decisions, needs_approval=True):
        chosen = next(one for one in entries if one.key == key)
        assert (decisions.get(chosen.plan_id) or decisions.get("B-1")) == "approved"


@pytest.mark.parametrize("operation", sorted(ALWAYS_ASKED))
@pytest.mark.parametrize("needs_approval", [True, False])
def test_what_is_always_asked_moves_in_no_mode_without_a_person(operation: str, needs_approval: bool) -> None:
    asked = entry(1, operation=operation, key="asked")
    assert allowed_keys([asked], {}, needs_approval=needs_approval) == frozenset()
    assert allowed_keys([asked], {"P-1": "rejected"}, needs_approval=needs_approval) == frozenset()
    assert allowed_keys([asked], {"P-1": "approved"}, needs_approval=needs_approval) == {"asked"}
