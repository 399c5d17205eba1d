"""What people read first, and figures that do not add up."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import polars as pl
import pytest

from qbsf_pipeline.reconciliation.classes import CLASSES
from qbsf_pipeline.reconciliation.report import Report
from qbsf_pipeline.reconciliation.sections import sections, title_of, verdict
from qbsf_pipeline_tests.reconciliation.reports import case, report


def two_currencies() -> Report:
    return report(
        [
            case(1),
            case(2, "rounding", "100.03", "100.00"),
            case(3, "invoiced_later", "500.00", "0.00"),
            case(4, "not_invoiced", "20.00", "0.00"),
            case(5, "not_invoiced", "90.00", "0.00"),
            case(6, "not_invoiced", "900.00", "0.00", accepted_by="Ada", accepted_reason="agreed"),
            case(7, "unexplained", "1.00", "0.00"),
            case(8, "invoice_without_deal", "0.00", "70.00", currency="EUR"),
        ]
    )


def test_what_has_no_cause_comes_first_then_what_somebody_can_do_then_the_largest_amount() -> None:
    usd, eur = sections(two_currencies())
    assert (usd.currency, eur.currency) == ("USD", "EUR")
    assert usd.differences["deal"].to_list() == ["Deal 7", "Deal 5", "Deal 4", "Deal 6", "Deal 3"]
    assert eur.differences["deal"].to_list() == ["Deal 8"]
    assert [*usd.problems, *eur.problems] == []


def test_an_empty_month_has_no_section() -> None:
    assert sections(report([])) == []


@pytest.mark.parametrize(
    ("column", "told"),
    [
        ("won", ["is missing in the bridge", "The records come to"]),
        ("invoiced", ["is missing in the bridge", "The records come to"]),
        ("explained", ["Explained and unexplained come to"]),
        ("unexplained", ["Explained and unexplained come to"]),
    ],
)
def test_a_total_that_is_wrong_by_a_cent_is_said(column: str, told: list[str]) -> None:
    right = two_currencies()
    wrong = right.totals.with_columns(
        pl.when(currency="EUR").then(pl.col(column) + Decimal("0.01")).otherwise(column).alias(column)
    )
    usd, eur = sections(replace(right, totals=wrong.cast(dict(right.totals.schema))))
    assert list(usd.problems) == []
    assert all(any(words in problem for problem in eur.problems) for words in told)
    assert "EUR" in eur.problems[0]


def test_a_currency_that_the_totals_forgot_is_shown_and_doubted() -> None:
    right = two_currencies()
    usd, eur = sections(replace(right, totals=right.totals.filter(currency="USD")))
    assert list(usd.problems) == []
    assert eur.differences.height == 1
    assert any("70.00 EUR" in problem for problem in eur.problems)


def test_a_class_that_is_not_in_the_table_any_more_has_its_code_as_title() -> None:
    assert title_of("not_invoiced", CLASSES) == "Not invoiced yet"
    assert title_of("lost_in_the_post", CLASSES) == "Lost in the post"
    assert title_of(None, CLASSES) == ""


def test_the_verdict_counts_each_difference_once() -> None:
    found = [one.differences for one in sections(two_currencies())]
    assert verdict(found) == "6 differences: 1 without a cause, 3 for finance, 1 for nobody to act on, 1 accepted."
    assert verdict([sections(report([case(1)]))[0].differences]) == "No differences."
