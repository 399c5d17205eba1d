"""Periods of recurring deals for analysts: what became of each by now, and what the next twelve months bring."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from qbsf_pipeline.invoices.recurring.tables import BILLING_SCHEDULES
from qbsf_pipeline.reporting.state_tables import LEDGER
from qbsf_pipeline_tests.reporting.receivables import day
from qbsf_pipeline_tests.reporting.sales import Sales

TODAY = "2026-03-31"


def period(number: int, due_on: str, **more: Any) -> dict[str, Any]:
    """100.00 USD of deal D1, of which 80.00 is a subscription."""
    return {
        "opportunity_id": "D1",
        "period": number,
        "deal": "Deal D1",
        "account_id": "A1",
        "kind": "period",
        "covers_from": day(due_on),
        "covers_to": day(due_on),
        "due_on": day(due_on),
        "amount": Decimal("100.00"),
        "recurring_amount": Decimal("80.00"),
        "currency": "USD",
        "source": "deal",
        "status": "planned",
        **more,
    }


@pytest.fixture
def sales() -> Sales:
    made = Sales()
    made.account("A1")
    made.deal("D1", "1200.00", "2026-01-01")
    made.put(
        BILLING_SCHEDULES,
        period(0, "2026-01-01", status="invoiced", invoice_id="1"),
        period(1, "2026-02-01", status="due"),
        period(2, "2026-03-01", status="due"),
        period(3, "2026-04-01"),
        period(4, "2026-04-15", status="held", why="A change of the deal waits for a person."),
        period(5, "2027-02-28"),
        period(6, "2027-03-01"),
        period(7, "2026-04-20", status="ended"),
    )
    done = {"key": "quickbooks:1:invoice:D1:1:period-1", "operation": "create_invoice", "status": "done", "result_id": "2"}
    made.put(LEDGER, done | {"opportunity_id": "D1"})
    made.bill("1", "100.00", "2026-01-01", "D1", balance=Decimal("40.00"))
    made.bill("2", "100.00", "2026-02-01", "D1")
    return made


def test_a_period_is_told_as_its_invoice_stands_now_also_one_that_the_newest_push_made(sales: Sales) -> None:
    rows = {row["period"]: row for row in sales.report("billing_schedules", TODAY)}
    assert [rows[number]["status"] for number in range(5)] == ["partially_paid", "invoiced", "due", "planned", "held"]
    assert (rows[0]["paid"], rows[0]["balance"], rows[0]["invoice_number"]) == (Decimal("60.00"), Decimal("40.00"), "INV-1")
    assert rows[1]["invoice_id"] == "2"


def test_the_forecast_has_twelve_months_and_what_is_late_in_the_first(sales: Sales) -> None:
    rows = sorted(sales.report("billings_forecast", TODAY), key=lambda row: row["month"])
    assert [(str(row["month"]), row["periods"], str(row["expected"]), str(row["held"])) for row in rows] == [
        ("2026-03-01", 1, "100.00", "0.00"),
        ("2026-04-01", 2, "100.00", "100.00"),
        ("2027-02-01", 1, "100.00", "0.00"),
    ]
