"""Between the frames and the state: the company's day, what stays in the queue, and what people are asked."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbsf_pipeline.customers.matching.plan import REVIEWS
from qbsf_pipeline.flows.plans import company_today, kept_keys, planned_writes
from qbsf_pipeline.invoices.assets import review_cases
from qbsf_pipeline.invoices.tables import DEALS, PLAN
from qbsf_pipeline.state.ledger import LedgerEntry
from qbsf_pipeline_tests.flows.test_approval import entry
from qbsf_pipeline_tests.invoices.records import World

EVENING = datetime(2026, 3, 31, 23, 30, tzinfo=UTC)


def zone(name: str | None) -> pl.DataFrame:
    return pl.DataFrame({"time_zone": [name]}, schema={"time_zone": pl.String})


NOBODY = pl.DataFrame(schema={"time_zone": pl.String})


@pytest.mark.parametrize(
    ("company", "organization", "day"),
    [
        (zone("America/Los_Angeles"), zone("Asia/Tokyo"), date(2026, 3, 31)),
        (zone("Asia/Tokyo"), zone("UTC"), date(2026, 4, 1)),
        (NOBODY, zone("Europe/Berlin"), date(2026, 4, 1)),
        (zone(None), zone("Europe/Berlin"), date(2026, 4, 1)),
        (zone("Mars/Olympus"), zone("Pacific Standard Time"), date(2026, 3, 31)),
        (zone("../../etc/passwd"), zone(""), date(2026, 3, 31)),
        (NOBODY, NOBODY, date(2026, 3, 31)),
    ],
)
def test_today_is_the_day_of_the_company_else_of_the_org_else_utc(
    company: pl.DataFrame, organization: pl.DataFrame, day: date
) -> None:
    assert company_today(company, organization, EVENING) == day


def test_the_rows_of_a_plan_reach_the_ledger_whole() -> None:
    plan = World().plan().writes
    writes = planned_writes(plan)
    assert [write.key for write in writes] == plan.get_column("key").to_list()
    for write, row in zip(writes, plan.iter_rows(named=True), strict=True):
        assert " ".join(write.depends_on) == (row["depends_on"] or "")
        assert (write.payload, write.amount, write.txn_date) == (row["payload"], row["amount"], row["txn_date"])
    assert planned_writes(PLAN.empty()) == []


def lookup_of(*entries: LedgerEntry):
    known = {one.key: one for one in entries}
    return lambda keys: {key: known[key] for key in keys if key in known}


@pytest.mark.parametrize(
    ("operation", "invoice_status", "stays"),
    [
        ("send_invoice", "done", True),
        ("write_back_opportunity", "done", True),
        ("write_back_opportunity", "sending", True),
        ("send_invoice", "planned", False),
        ("send_invoice", "dead", False),
        ("write_back_opportunity", "withdrawn", False),
        ("create_invoice", "done", False),  # its customer exists, but nobody plans it any more
    ],
)
def test_what_follows_an_object_that_exists_stays_in_the_queue_and_nothing_else(
    operation: str, invoice_status: str, stays: bool
) -> None:
    first = entry(1, key="first", status=invoice_status)
    follower = entry(1, key="follower", operation=operation, depends_on=("first",))
    assert ("follower" in kept_keys([], [follower], lookup_of(first))) is stays


def test_what_is_planned_stays_whatever_it_depends_on() -> None:
    planned, waiting = entry(1, key="planned"), entry(2, key="gone")
    assert kept_keys([planned], [planned, waiting], lookup_of()) == {"planned"}


@given(st.lists(st.sampled_from(["a", "b", "c"]), unique=True), st.lists(st.sampled_from(["a", "b", "c", "d"]), unique=True))
def test_an_invoice_that_is_not_planned_any_more_never_stays(planned: list[str], waiting: list[str]) -> None:
    kept = kept_keys([entry(1, key=key) for key in planned], [entry(1, key=key) for key in waiting], lookup_of())
    assert kept == set(planned)


def test_people_are_asked_only_about_accounts_that_deals_wait_for_with_how_much() -> None:
    deals = DEALS.frame(
        [
            {"opportunity_id": "1", "account_id": "A", "outcome": "waiting", "amount": Decimal("10.50"), "currency": "USD"},
            {"opportunity_id": "2", "account_id": "A", "outcome": "waiting", "amount": Decimal("0.50"), "currency": "USD"},
            {"opportunity_id": "3", "account_id": "A", "outcome": "invoiced", "amount": Decimal(99), "currency": "USD"},
            {"opportunity_id": "4", "account_id": "B", "outcome": "waiting", "amount": Decimal(1), "currency": "USD"},
            {"opportunity_id": "5", "account_id": "B", "outcome": "waiting", "amount": Decimal(1), "currency": "EUR"},
            {"opportunity_id": "6", "account_id": "C", "outcome": "planned", "amount": Decimal(1), "currency": "EUR"},
        ]
    )
    questions = REVIEWS.frame(
        [
            {"account_id": name, "account_name": f"Account {name}", "question": "Which?", "candidates": '[{"customer_id":"1"}]'}
            for name in "CBA"
        ]
    )
    first, second = review_cases(questions, deals)
    assert (first.account_id, first.deals_waiting, first.amount_waiting, first.currency) == ("A", 2, Decimal("11.00"), "USD")
    assert first.candidates == [{"customer_id": "1"}]
    # Money of two currencies is never added up.
    assert (second.account_id, second.deals_waiting, second.amount_waiting, second.currency) == ("B", 2, None, None)
