"""The tables of recurring revenue: one row per deal and period, each with what became of it and why."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import assume, given, settings

from qbsf_pipeline.invoices.recurring.amending import amend, stop
from qbsf_pipeline.invoices.recurring.due import due_periods
from qbsf_pipeline.invoices.recurring.tables import (
    BILLING_SCHEDULE_LINES,
    BILLING_SCHEDULES,
    PeriodInvoice,
    line_rows,
    monthly_amount,
    schedule_rows,
)
from qbsf_pipeline_tests.invoices.recurring.deals import RULES, deal_terms, rules, schedule, scheduling, sold, sold_lines

YEAR = schedule()
TODAY = date(2026, 6, 10)
DEAL = {"name": "Deal 1", "account_id": "001000000000001AAA"}


def paid(amount, **values):
    total = Decimal("100.00")
    made = PeriodInvoice("900", "1001", date(2026, 2, 1), "live", Decimal(amount), total - Decimal(amount))
    return replace(made, **values)


def statuses(made, invoices, changed=RULES, ended=()):
    due = due_periods(made, dict.fromkeys(invoices), TODAY, changed)
    rows = schedule_rows(made, DEAL, invoices, due, ended)
    frame = BILLING_SCHEDULES.frame(rows)
    assert frame.select("opportunity_id", "period").is_unique().all()
    return {row["period"]: (row["status"], row["why"]) for row in frame.iter_rows(named=True)}


def test_each_period_says_how_far_it_is():
    invoices = {
        0: paid("100.00"),
        1: paid("40.00"),
        2: paid("0.00"),
        3: paid("0.00", status="voided"),
        5: PeriodInvoice(None, None, None, "live", Decimal(0), Decimal(0)),
    }
    found = statuses(YEAR, invoices)
    assert [found[number][0] for number in range(7)] == [
        "paid",
        "partially_paid",
        "invoiced",
        "voided",
        "due",
        "under_way",
        "planned",
    ]
    assert "not billed again" in found[3][1]


def test_what_waits_says_why():
    assert "a person" in statuses(YEAR, {}, rules(catch_up="ask"))[0][1]
    assert "its turn" in statuses(YEAR, {}, rules(catch_up="one_per_day"))[1][1]
    resting = stop(YEAR, (), "on_hold", TODAY).schedule
    assert statuses(resting, {})[7] == ("held", "The deal's billing is on hold.")
    assert statuses(schedule(sold("0.02"), periods=Decimal(3)), {})[2][0] == "skipped"


def test_credits_and_ended_periods_are_rows_too():
    proposal = amend(YEAR, {0}, schedule(sold("600.00"), periods=Decimal(6)), TODAY)
    assert proposal.kind == "shorten"
    ended = [(period, proposal.sentence) for period in proposal.ends]
    found = statuses(proposal.schedule, {0: paid("100.00")}, ended=ended)
    assert [number for number, (status, _) in found.items() if status == "ended"] == [6, 7, 8, 9, 10, 11]
    cheaper = amend(YEAR, {0}, schedule(sold("1080.00")), TODAY).schedule
    assert statuses(cheaper, {0: paid("100.00")})[12][0] == "credit_proposed"
    assert "10.00 USD" in statuses(cheaper, {0: paid("100.00")})[12][1]
    credited = {0: paid("100.00"), 12: paid("0.00")}
    assert statuses(cheaper, credited)[12][0] == "credited"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (sold("1200.00"), "100.00"),
        (sold("1200.00", frequency="Annual", periods=Decimal(1)), "100.00"),
        (sold("300.00", frequency="Quarterly", periods=Decimal(1), start_date=date(2026, 1, 31)), "100.00"),
        (sold("100.00", frequency="Monthly", start_date=date(2026, 2, 1), end_date=date(2026, 2, 14)), "217.41"),
    ],
)
def test_recurring_revenue_is_told_by_month(line, expected):
    assert str(monthly_amount(schedule(line).periods[0].lines[0])) == expected


@pytest.mark.parametrize("remainder", ["first", "last"])
@pytest.mark.parametrize(
    ("total", "periods", "expected"), [("10000.00", 12, "833.33"), ("0.05", 3, "0.01"), ("-10000.00", 12, "-833.33")]
)
def test_the_cents_that_a_division_leaves_over_move_no_recurring_revenue(remainder, total, periods, expected):
    # A discount alone would be billed below zero.
    made = schedule(sold(total), sold("99999.00", 2), rules=rules(remainder=remainder), periods=Decimal(periods))
    rows = [row for row in line_rows(made, 1) if row["line_id"] == sold().line.line_id]
    assert {str(row["monthly_amount"]) for row in rows} == {expected}
    assert sum(row["amount"] for row in rows) == Decimal(total)


def test_a_change_of_price_is_no_remainder():
    dearer = amend(YEAR, {0}, schedule(sold("2400.00")), TODAY).schedule
    found = {row["period"]: row["monthly_amount"] for row in line_rows(dearer, 2)}
    assert [found[number] for number in (0, 1, 11, 12)] == [Decimal("100.00"), Decimal("200.00"), Decimal("200.00"), None]


def test_fees_are_no_recurring_revenue():
    made = schedule(sold(), sold("50.00", 2, family="Setup"))
    frame = BILLING_SCHEDULE_LINES.frame(line_rows(made, 1))
    assert frame.filter(~frame["recurring"])["monthly_amount"].to_list() == [None]


@settings(max_examples=30)
@given(terms=deal_terms(), lines=sold_lines())
def test_lines_add_up_to_their_periods(terms, lines):
    made = scheduling(*lines, terms=terms).schedule
    assume(made is not None)
    assert made is not None
    rows = line_rows(made, 1)
    for period in made.periods:
        assert sum(row["amount"] for row in rows if row["period"] == period.number) == period.amount
    assert BILLING_SCHEDULE_LINES.frame(rows).height == len(rows)
