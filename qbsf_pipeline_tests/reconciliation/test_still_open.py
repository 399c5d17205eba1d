"""What of earlier months a report carries: which months are looked at, which rows, and how it is told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import polars as pl
import pytest

from qbsf_pipeline.reconciliation.report import REPORT_CASES
from qbsf_pipeline.reconciliation.still_open import as_cases, earlier_months, still_open, sums_by_class, told, where_to_accept
from qbsf_pipeline.reconciliation.tables import CASES, STILL_OPEN
from qbsf_pipeline_tests.reconciliation.month import deal, invoice, month_end, outcome, refusal
from qbsf_pipeline_tests.reconciliation.reports import case

JANUARY, FEBRUARY, MARCH, APRIL, MAY = (date(2026, month, 1) for month in range(1, 6))


def cases(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=REPORT_CASES, orient="row")


def carried(*rows: dict[str, Any], into: Sequence[date] = (APRIL,), look_back: int = 12) -> list[tuple[date, date, str]]:
    found = still_open(cases(*rows).select(list(CASES.polars_schema)), into, look_back)
    assert found.schema == STILL_OPEN.polars_schema
    return sorted(found.select("month", "case_month", "deal").rows())


@pytest.mark.parametrize(
    ("months", "look_back", "go_live", "reported", "looked_at"),
    [
        ([MARCH], 2, None, [], [JANUARY, FEBRUARY]),
        ([date(2026, 3, 17)], 1, None, [], [FEBRUARY]),
        ([MARCH], 0, None, [FEBRUARY], []),
        ([FEBRUARY, MARCH], 2, None, [], [date(2025, 12, 1), JANUARY]),
        ([MARCH], 2, date(2026, 2, 20), [], [FEBRUARY]),
        ([MARCH], 2, date(2026, 2, 20), [JANUARY], [JANUARY, FEBRUARY]),
        ([MARCH], 2, date(2026, 2, 20), [date(2025, 12, 1)], [FEBRUARY]),
        ([date(2010, 2, 1)], 12, None, [], [date(2010, 1, 1)]),
    ],
)
def test_the_months_before_are_looked_at_as_far_as_they_are_of_this_pipeline(
    months: list[date], look_back: int, go_live: date | None, reported: list[date], looked_at: list[date]
) -> None:
    assert earlier_months(months, look_back, go_live, reported) == looked_at


@pytest.mark.parametrize(
    ("row", "is_carried"),
    [
        (case(1, "not_invoiced", "70.00", "0.00"), True),
        (case(1, "not_invoiced", "70.00", "0.00", acts="nobody"), False),
        (case(1, "unexplained", "70.00", "60.00"), True),
        (case(1, "unexplained", "70.00", "60.00", acts="nobody"), True),
        (case(1, "not_invoiced", "70.00", "0.00", acts=None), True),
        (case(1, "credited", "70.00", "60.00"), False),
        (case(1), False),
        (case(1, "rounding", "100.00", "100.01", acts="finance"), False),
        (case(1, "customer_mismatch"), True),
        (case(1, "not_invoiced", "70.00", "0.00", month=APRIL), False),
        (case(1, "not_invoiced", "70.00", "0.00", month=MAY), False),
        (case(1, "not_invoiced", "70.00", "0.00", month=date(2025, 4, 1)), True),
        (case(1, "not_invoiced", "70.00", "0.00", month=date(2025, 3, 1)), False),
    ],
)
def test_a_difference_of_an_earlier_month_is_carried_while_somebody_has_to_act_or_it_has_no_cause(
    row: dict[str, Any], is_carried: bool
) -> None:
    assert carried(row) == ([(APRIL, row["month"], "Deal 1")] if is_carried else [])


def test_a_row_without_an_amount_is_not_carried_beside_the_one_that_has_it() -> None:
    first, second = (
        case(1, "duplicate_invoice", won, invoiced, month=month)
        for won, invoiced, month in (("100.00", "100.00", FEBRUARY), ("0.00", "100.00", MARCH))
    )
    assert carried(first, second) == [(APRIL, MARCH, "Deal 1")]
    assert carried(first, second, into=[MARCH]) == []
    assert carried(first, {**second, "month": MAY}) == [(APRIL, FEBRUARY, "Deal 1")]


def test_each_report_of_a_back_fill_carries_what_is_before_it() -> None:
    rows = [case(number, "unexplained", "9.00", "0.00", month=month) for number, month in enumerate((JANUARY, MARCH))]
    assert carried(*rows, into=[FEBRUARY, APRIL], look_back=2) == [(FEBRUARY, JANUARY, "Deal 0"), (APRIL, MARCH, "Deal 1")]


def test_a_deal_won_in_march_and_never_invoiced_is_carried_into_april_and_gone_once_it_is_invoiced() -> None:
    given = {
        "outcomes": [outcome("refused")],
        "refusals": [refusal("no_products", "No products.", "Add them.")],
        "deals": [deal(1)],
    }
    found = month_end(months=[MARCH, APRIL], **given)
    (row,) = as_cases(still_open(found.cases, [APRIL], 12)).to_dicts()
    assert (row["month"], row["class"], row["difference"], row["since"]) == (MARCH, "not_invoiced", 1000, date(2026, 3, 10))
    assert found.totals.filter(pl.col("month") == APRIL).is_empty()
    later = month_end(months=[MARCH, APRIL], **given, invoices=[invoice(1, dated=date(2026, 4, 9))])
    assert later.cases.filter(pl.col("month") == MARCH).get_column("difference").sum() == 1000
    assert still_open(later.cases, [APRIL], 12).is_empty()


def test_what_is_carried_is_told_by_number_and_amount() -> None:
    usd = [case(1, "not_invoiced", "12000.00", "0.00"), case(2, "unexplained", "300.00", "0.00")]
    assert told(cases()) == ""
    assert told(cases(usd[0])) == "1 difference, 12,000.00 USD"
    both = cases(*usd, case(3, "invoice_without_deal", "0.00", "50.00", currency="EUR"))
    assert told(both) == "3 differences, -50.00 EUR and 12,300.00 USD, 1 unexplained"
    assert sums_by_class(both).select("currency", "class", "cases").rows() == [
        ("EUR", "invoice_without_deal", 1),
        ("USD", "not_invoiced", 1),
        ("USD", "unexplained", 1),
    ]


def test_a_carried_difference_is_accepted_in_its_own_month() -> None:
    row = case(1, "not_invoiced", "70.00", "0.00")
    says = where_to_accept(cases(row), row["opportunity_id"])
    assert says is not None
    assert says.endswith(f"March 2026, to be accepted there: qbsf reconcile accept {row['case_key']} --month 2026-03")
    assert where_to_accept(cases(row), "deal:unknown") is None
