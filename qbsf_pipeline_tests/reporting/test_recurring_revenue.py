"""Monthly recurring revenue and its movements, from schedules as they were agreed, day by day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from qbsf_pipeline.invoices.line_sources.sold import SoldLine
from qbsf_pipeline.invoices.recurring import kept
from qbsf_pipeline.invoices.recurring.amending import amend, stop
from qbsf_pipeline.invoices.recurring.schedule import BillingSchedule
from qbsf_pipeline.invoices.recurring.tables import BILLING_SCHEDULE_LINES
from qbsf_pipeline.invoices.schedule_lines import lines_by_agreement
from qbsf_pipeline.state.billing_schedules import AgreedSchedule
from qbsf_pipeline_tests.invoices.recurring.deals import schedule, sold
from qbsf_pipeline_tests.reporting.receivables import day
from qbsf_pipeline_tests.reporting.sales import Sales

TODAY = "2026-03-31"
MOVED = ("mrr_begin", "new_mrr", "reactivation", "expansion", "contraction", "churn", "mrr_end")
#: What a month moved by, for a table of cases: new, reactivation, expansion, contraction, churn, end.
Months = dict[str, tuple[str, ...]]


@pytest.fixture
def sales() -> Sales:
    made = Sales()
    made.account("A1")
    return made


def terms(total: str, frequency: str, periods: int, start: str, *more: SoldLine, **values: Any) -> BillingSchedule:
    """The schedule of a deal with a subscription over ``total``, and what else it sells."""
    line = sold(total)
    return schedule(line, *more, frequency=frequency, periods=Decimal(periods), start_date=day(start), **values)


def agree(sales: Sales, deal: str, *versions: tuple[BillingSchedule, str | None], by: str | None = None, **more: Any) -> None:
    """A deal with its agreements, each with the day on which it was agreed; ``None``: by this plan.

    Args:
        by: who agreed; else the rules to the first one and to stops, and a person to changes.
    """
    sales.deal(deal, "1.00", "2025-01-01", **more)
    made = [
        AgreedSchedule(
            deal,
            1,
            number,
            kept.written(replace(agreed, opportunity_id=deal)),
            (),
            "",
            by or ("rules" if number == 1 or agreed.status != "active" else "pat"),
            datetime.combine(day(on or versions[0][1] or TODAY), datetime.min.time(), UTC),
        )
        for number, (agreed, on) in enumerate(versions, start=1)
    ]
    stored = [one for one, (_, on) in zip(made, versions, strict=True) if on is not None]
    now = made[len(stored) :]
    sales.put(BILLING_SCHEDULE_LINES, *lines_by_agreement(stored, now, day(TODAY), "UTC"))


def moved(sales: Sales, today: str = TODAY) -> list[tuple[str, ...]]:
    rows = sorted(sales.report("recurring_revenue", today), key=lambda row: (row["month"], row["row_key"]))
    for row in rows:
        begin, new, back, more, less, churn, end = (row[name] for name in MOVED)
        assert begin + new + back + more - less - churn == end
    return [(row["month"].isoformat()[:7], *(str(row[name]) for name in MOVED)) for row in rows]


def test_recurring_revenue_moves_by_new_expansion_contraction_churn_and_reactivation(sales: Sales) -> None:
    agree(sales, "D1", (terms("1200.00", "Monthly", 4, "2025-09-15"), "2025-09-15"))  # 300.00 until 14 January
    agree(sales, "D2", (terms("600.00", "Quarterly", 1, "2025-10-01"), "2025-10-01"))  # 200.00 until 31 December
    agree(sales, "D3", (terms("1300.00", "Annual", 1, "2026-03-01"), "2026-03-01"))  # 108.33 from March
    agree(sales, "D4", (terms("1300.00", "Annual", 1, "2026-04-01"), "2026-03-01"))  # not yet
    assert moved(sales) == [
        ("2025-09", "0.00", "300.00", "0.00", "0.00", "0.00", "0.00", "300.00"),
        ("2025-10", "300.00", "0.00", "0.00", "200.00", "0.00", "0.00", "500.00"),
        ("2025-11", "500.00", "0.00", "0.00", "0.00", "0.00", "0.00", "500.00"),
        # It runs on its last day.
        ("2025-12", "500.00", "0.00", "0.00", "0.00", "0.00", "0.00", "500.00"),
        ("2026-01", "500.00", "0.00", "0.00", "0.00", "0.00", "500.00", "0.00"),
        ("2026-03", "0.00", "0.00", "108.33", "0.00", "0.00", "0.00", "108.33"),
    ]


def test_one_of_two_deals_that_ends_is_a_contraction(sales: Sales) -> None:
    agree(sales, "D1", (terms("100.00", "Monthly", 2, "2026-01-01"), "2026-01-01"))
    agree(sales, "D2", (terms("30.00", "Monthly", 1, "2026-01-31"), "2026-01-01"))
    rows = sorted(sales.report("recurring_revenue", "2026-02-28"), key=lambda row: row["month"])
    assert [(row["deals"], str(row["mrr_end"]), str(row["arr"])) for row in rows] == [
        (2, "80.00", "960.00"),
        (1, "50.00", "600.00"),
    ]
    assert [str(row["contraction"]) for row in rows] == ["0.00", "30.00"]


def test_set_up_fees_and_odd_days_are_no_more_than_their_months(sales: Sales) -> None:
    half_a_month = sold("50.00", 3, frequency="Monthly", start_date=day("2026-01-01"), end_date=day("2026-01-31"))
    agree(
        sales,
        "D1",
        (terms("1200.00", "Monthly", 12, "2026-01-01", sold("999.00", 2, family="Setup"), half_a_month), "2026-01-01"),
    )
    assert [row[-1] for row in moved(sales, "2026-02-10")] == ["150.00", "100.00"]


def test_each_currency_and_customer_moves_by_itself(sales: Sales) -> None:
    sales.account("A2")
    agree(sales, "D1", (terms("1200.00", "Monthly", 12, "2026-03-01"), "2026-03-01"))
    agree(sales, "D2", (terms("2400.00", "Monthly", 12, "2026-03-01", currency="EUR"), "2026-03-01"))
    agree(sales, "D3", (terms("3600.00", "Monthly", 12, "2026-03-01"), "2026-03-01"), account="A2")
    agree(sales, "D4", (terms("4800.00", "Monthly", 12, "2026-03-01", currency=""), "2026-03-01"), account=None)
    rows = {row["row_key"]: str(row["new_mrr"]) for row in sales.report("recurring_revenue", TODAY)}
    assert rows == {"2026-03 A1 USD": "100.00", "2026-03 A1 EUR": "200.00", "2026-03 A2 USD": "300.00", "2026-03 - USD": "400.00"}


YEAR = terms("1200.00", "Monthly", 12, "2026-01-01")
LARGER = amend(YEAR, {0, 1}, terms("2400.00", "Monthly", 12, "2026-01-01"), day("2026-02-10")).schedule
SHORTER = amend(YEAR, {0, 1}, terms("300.00", "Monthly", 3, "2026-01-01"), day("2026-02-10")).schedule
RESTS = stop(YEAR, {0, 1}, "reopened", day("2026-02-10")).schedule
LOST = stop(YEAR, {0, 1}, "lost", day("2026-02-10")).schedule
QUARTER = terms("300.00", "Quarterly", 1, "2026-01-01")


@pytest.mark.parametrize(
    ("versions", "ends"),
    [
        # The day of the agreement counts, not the days that it says something of: January stays as it was.
        ([(YEAR, "2026-01-01"), (LARGER, "2026-02-10")], ["100.00", "100.00", "200.00", "200.00"]),
        ([(YEAR, "2026-01-01"), (SHORTER, "2026-02-10")], ["100.00", "100.00", "100.00", "0.00"]),
        ([(YEAR, "2026-01-01"), (LOST, "2026-02-10")], ["100.00", "0.00"]),
        # Agreed on the last day of a month, it is in force on that day.
        ([(YEAR, "2026-01-01"), (LOST, "2026-02-28")], ["100.00", "0.00"]),
        ([(YEAR, "2026-01-01"), (LOST, "2026-03-01")], ["100.00", "100.00", "0.00"]),
        ([(YEAR, "2026-01-01"), (RESTS, "2026-02-10"), (YEAR, "2026-04-02")], ["100.00", "0.00", "100.00"]),
        # What is billed afterwards has history too: its only period ended unbilled.
        (
            [(QUARTER, "2026-01-01"), (stop(QUARTER, (), "lost", day("2026-03-15")).schedule, "2026-03-15")],
            ["100.00", "100.00", "0.00"],
        ),
        # A deal that was won late has run from its first day.
        ([(YEAR, "2026-03-20")], ["100.00", "100.00", "100.00", "100.00"]),
        # Two agreements of one day: the newer counts.
        ([(YEAR, "2026-01-01"), (LOST, "2026-02-10"), (YEAR, "2026-02-10")], ["100.00", "100.00", "100.00", "100.00"]),
    ],
)
def test_a_change_counts_from_the_day_on_which_it_was_agreed(
    sales: Sales, versions: Sequence[tuple[BillingSchedule, str]], ends: list[str]
) -> None:
    agree(sales, "D1", *versions, is_won=versions[-1][0].status == "active")
    assert [row[-1] for row in moved(sales, "2026-04-30")] == ends


def test_a_customer_that_cancelled_and_comes_back_churns_and_is_reactivated(sales: Sales) -> None:
    agree(sales, "D1", (YEAR, "2026-01-01"), (LOST, "2026-02-10"), is_won=False)
    agree(sales, "D2", (terms("600.00", "Monthly", 6, "2026-04-01"), "2026-04-01"))
    assert moved(sales, "2026-04-30") == [
        ("2026-01", "0.00", "100.00", "0.00", "0.00", "0.00", "0.00", "100.00"),
        ("2026-02", "100.00", "0.00", "0.00", "0.00", "0.00", "100.00", "0.00"),
        ("2026-04", "0.00", "0.00", "100.00", "0.00", "0.00", "0.00", "100.00"),
    ]


def test_what_this_plan_agrees_counts_from_today(sales: Sales) -> None:
    agree(sales, "D1", (YEAR, "2026-01-01"), (LOST, None), is_won=False)
    agree(sales, "D2", (terms("240.00", "Monthly", 12, "2026-02-01"), None))
    assert [row[-1] for row in moved(sales)] == ["100.00", "120.00", "20.00"]


def test_a_deal_that_was_corrected_before_anything_was_billed_has_no_history_of_its_mistake(sales: Sales) -> None:
    later = terms("2400.00", "Monthly", 12, "2026-03-01")
    agree(sales, "D1", (YEAR, "2026-01-01"), (later, "2026-02-05"), by="rules")
    assert [row[1:3] + row[-1:] for row in moved(sales)] == [("0.00", "200.00", "200.00")]


def test_a_schedule_that_rested_before_anything_was_billed_has_no_revenue_meanwhile(sales: Sales) -> None:
    lost = stop(YEAR, (), "reopened", day("2026-02-05")).schedule
    agree(sales, "D1", (YEAR, "2026-01-01"), (lost, "2026-02-05"), (YEAR, "2026-03-05"), by="rules")
    assert [row[-1] for row in moved(sales)] == ["100.00", "0.00", "100.00"]


def test_a_recurring_deal_without_a_schedule_has_no_recurring_revenue(sales: Sales) -> None:
    words = {"billing_frequency": "Monthly", "billing_periods": Decimal(12), "billing_start_date": day("2026-01-01")}
    sales.deal("D1", "1200.00", "2026-01-01", **words)
    assert sales.report("recurring_revenue", TODAY) == []


def test_an_agreement_that_cannot_be_read_ends_the_one_before_it() -> None:
    agreed = [
        AgreedSchedule("D1", 1, number, text, (), "", "rules", datetime(2026, 1, number, tzinfo=UTC))
        for number, text in ((1, kept.written(YEAR)), (2, "{}"))
    ]
    rows = lines_by_agreement(agreed, [], day(TODAY), "America/Denver")
    # Midnight UTC is the evening before in Denver.
    assert {(row["version"], row["in_force_from"], row["in_force_to"]) for row in rows} == {(1, None, date(2025, 12, 31))}


@settings(max_examples=10, phases=[Phase.explicit, Phase.generate])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["A1", "A2", None]),
            st.decimals("1.00", "99999.99", places=2),
            st.sampled_from(["Monthly", "Quarterly", "Annual"]),
            st.integers(1, 8),
            st.integers(0, 800),
            st.lists(st.integers(0, 400), max_size=2).map(sorted),
        ),
        max_size=6,
    )
)
def test_the_movements_lead_from_month_to_month(contracts: Sequence[tuple[Any, ...]]) -> None:
    books = Sales()
    for number, (account, amount, frequency, periods, start, changes) in enumerate(contracts):
        began = day("2024-02-28") + timedelta(days=start)
        made = terms(str(amount), frequency, periods, began.isoformat())
        turns = [(made, began), *((made, began + timedelta(days=days)) for days in changes)]
        versions = [
            (made if place % 2 == 0 else stop(made, (), "reopened", on).schedule, on.isoformat())
            for place, (made, on) in enumerate(turns)
        ]
        agree(books, f"D{number}", *versions, account=account)
    ends: dict[str | None, tuple[int, Decimal]] = {}
    for row in sorted(books.report("recurring_revenue", TODAY), key=lambda row: row["month"]):
        begin, new, back, more, less, churn, end = (row[name] for name in MOVED)
        assert begin + new + back + more - less - churn == end
        month = row["month"].year * 12 + row["month"].month
        before = ends.get(row["customer_key"])
        assert begin == (before[1] if before and before[0] == month - 1 else Decimal(0))
        assert not new or before is None
        ends[row["customer_key"]] = (month, end)
