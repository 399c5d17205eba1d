"""Ages from what is owed: a past day is told by the dates of payments and credits, not by today's balances."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from qbsf_pipeline.aging.plan import AgingPlan, plan_aging
from qbsf_pipeline_tests.aging.receivables import PACKAGED, Receivables, deal, parameters
from qbsf_pipeline_tests.invoices.records import record_id
from qbsf_pipeline_tests.receivables import ledger

NOTE = f"Salesforce Opportunity {record_id('006')}"
#: Due on 31 March over 100.00; 40.00 came on 20 April and the rest on 10 June, so that today nothing is open.
RECORDS = {
    "Invoice": [ledger.invoice(1, "100.00", "0.00", PrivateNote=NOTE)],
    "Payment": [
        ledger.payment(7, "40.00", ("Invoice", "1", "40.00"), TxnDate="2026-04-20"),
        ledger.payment(8, "60.00", ("Invoice", "1", "60.00"), TxnDate="2026-06-10"),
    ],
}


def aged(as_of: date | None, day: date, *, writes: bool = False) -> AgingPlan:
    """The plan for ``day`` from what was owed as of ``as_of``, of a deal that shows 71 days."""
    found = ledger.owed(ledger.inputs_of(RECORDS, deals=[deal()]), as_of)
    world = Receivables(deals=[deal(days_outstanding=71, aging_bucket="61-90")])
    inputs = world.inputs()
    owed = type(inputs)(**{**vars(inputs), "invoices": found.invoices, "unapplied": found.unapplied})
    return plan_aging(owed, PACKAGED, parameters(day, writes=writes))


@pytest.mark.parametrize(
    ("day", "owed", "deals"),
    [
        (date(2026, 2, 28), "0", []),
        (date(2026, 3, 31), "100.00", [(0, "Current")]),
        (date(2026, 4, 1), "100.00", [(1, "1-30")]),
        (date(2026, 4, 20), "60.00", [(20, "1-30")]),
        (date(2026, 5, 1), "60.00", [(31, "31-60")]),
        (date(2026, 6, 9), "60.00", [(70, "61-90")]),
        (date(2026, 6, 10), "0", []),
    ],
)
def test_a_past_day_shows_what_was_open_then(day: date, owed: str, deals: list[tuple[int, str]]) -> None:
    plan = aged(day, day)
    assert plan.totals.get_column("open").sum() == Decimal(owed)
    assert plan.deals.select("days_outstanding", "aging_bucket").rows() == deals
    assert plan.writes.is_empty()


def test_today_a_payment_dated_tomorrow_counts_already() -> None:
    plan = aged(None, date(2026, 6, 9), writes=True)
    assert plan.invoices.is_empty()
    assert plan.deals.select("days_outstanding", "aging_bucket", "differs").rows() == [(None, None, True)]
    assert plan.crossings.is_empty()
    assert plan.refusals.is_empty()
