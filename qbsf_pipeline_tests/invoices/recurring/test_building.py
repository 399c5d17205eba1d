"""From a deal to its schedule: to the cent, without gaps, or with every reason against it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qbsf_pipeline.invoices.line_sources.sold import QuoteTerms
from qbsf_pipeline.invoices.lines import invoice_lines
from qbsf_pipeline.invoices.recurring.building import billing_schedule, single_invoice
from qbsf_pipeline.invoices.recurring.revenue_schedules import RevenueRow
from qbsf_pipeline.invoices.recurring.schedule import deal_lines
from qbsf_pipeline.invoices.recurring.terms import deal_terms as terms_of
from qbsf_pipeline.money import to_cents
from qbsf_pipeline.settings import load_rules
from qbsf_pipeline_tests.invoices.recurring.deals import (
    RULES,
    TERMS,
    codes,
    days,
    deal_terms,
    rules,
    schedule,
    scheduling,
    sold,
    sold_lines,
)


def amounts_of(found):
    return [str(period.amount) for period in found.periods]


def test_a_monthly_deal_is_billed_on_the_first_day_of_each_month():
    found = schedule(periods=Decimal(3))
    assert [(row.number, row.due_on.isoformat(), row.span.ends.isoformat()) for row in found.periods] == [
        (0, "2026-02-01", "2026-02-28"),
        (1, "2026-03-01", "2026-03-31"),
        (2, "2026-04-01", "2026-04-30"),
    ]
    assert amounts_of(found) == ["400.00"] * 3
    assert (found.frequency, found.source, found.next_number) == ("monthly", "deal", 3)


@pytest.mark.parametrize(
    ("remainder", "expected"), [("first", ["33.34", "33.33", "33.33"]), ("last", ["33.33", "33.33", "33.34"])]
)
def test_the_remainder_goes_where_the_rules_say(remainder, expected):
    assert amounts_of(schedule(sold("100.00"), periods=Decimal(3), rules=rules(remainder=remainder))) == expected


def test_set_up_fees_are_billed_once_with_the_first_period():
    found = schedule(sold("1200.00"), sold("500.00", 2, family="  setup "), periods=Decimal(4))
    assert amounts_of(found) == ["800.00", "300.00", "300.00", "300.00"]
    assert [line.recurring for line in found.periods[0].lines] == [False, True]
    assert found.periods[0].recurring_amount == Decimal("300.00")


def test_set_up_fees_get_an_invoice_of_their_own_by_rule_and_wherever_periods_are_billed_at_their_end():
    lines = (sold("1200.00"), sold("500.00", 2, family="Setup"))
    separate = schedule(*lines, periods=Decimal(2), rules=rules(one_time_lines="separate"))
    assert [(row.kind, str(row.amount), row.due_on.isoformat()) for row in separate.periods] == [
        ("once", "500.00", "2026-02-01"),
        ("period", "600.00", "2026-02-01"),
        ("period", "600.00", "2026-03-01"),
    ]
    arrears = schedule(*lines, periods=Decimal(2), rules=rules(billed="in_arrears"))
    assert [(row.kind, str(row.amount), row.due_on.isoformat()) for row in arrears.periods] == [
        ("once", "500.00", "2026-02-01"),
        ("period", "600.00", "2026-02-28"),
        ("period", "600.00", "2026-03-31"),
    ]


@pytest.mark.parametrize(
    ("line", "changed", "recurring"),
    [
        (sold(family="Setup"), {}, False),
        (sold(family="Setup", charge="recurring"), {}, True),
        (sold(family="Setup", frequency="Monthly"), {}, True),
        (sold(charge="one_time", frequency="Monthly"), {}, False),
        (sold(frequency="One-Time"), {}, False),
        (sold(family="Setup"), {"recurring_products": ("p-1",)}, True),
        (sold(), {"one_time_products": ("PRODUCT  1",)}, False),
        (sold(family=None), {}, True),
        (sold(family=None), {"unmarked_lines": "one_time"}, False),
        (sold(), {"unmarked_lines": "one_time", "recurring_families": ("software",)}, True),
        (sold(frequency="Fortnightly"), {"frequencies": {"fortnightly": "monthly"}}, True),
        (sold(frequency="Monthly"), {"sources": ("revenue_schedule",)}, False),
    ],
)
def test_which_lines_recur_is_told_by_line_product_family_and_rules_in_this_order(line, changed, recurring):
    found = scheduling(line, rules=rules(**changed))
    assert not found.reasons
    assert (found.schedule is not None) == recurring


@pytest.mark.parametrize("frequency", ["One-Time", "one time", "", "  ", None])
def test_a_deal_that_is_billed_once_has_no_schedule(frequency):
    assert scheduling(frequency=frequency, periods=None, start_date=None).schedule is None
    assert not scheduling(frequency=frequency, periods=Decimal(0), start_date=None).reasons


def test_nothing_is_billed_by_period_while_the_rules_say_no():
    assert scheduling(rules=rules(enabled=False)).schedule is None


@pytest.mark.parametrize(
    ("values", "code", "word"),
    [
        ({"frequency": "Fortnightly"}, "billing_frequency_unknown", "“Fortnightly”"),
        ({"periods": None}, "billing_periods_missing", "The deal"),
        ({"periods": Decimal(0)}, "billing_periods_invalid", "0 times"),
        ({"periods": Decimal(-3)}, "billing_periods_invalid", "-3 times"),
        ({"periods": Decimal("2.50")}, "billing_periods_invalid", "2.5 times"),
        ({"periods": Decimal(1000)}, "billing_periods_invalid", "1000 times"),
        ({"periods": Decimal("NaN")}, "billing_periods_invalid", "NaN"),
        ({"periods": Decimal("1E+30")}, "billing_periods_invalid", "times"),
        ({"start_date": None}, "billing_start_missing", "from which day"),
        ({"start_date": date(9999, 6, 1)}, "billing_dates_too_far", "9999-06-01"),
    ],
)
def test_terms_that_are_none_are_refused_with_the_value_and_the_remedy(values, code, word):
    found = scheduling(sold(), sold("5.00", 2), **values)
    assert found.schedule is None
    assert codes(found) == [code]
    assert word in found.reasons[0].text
    assert found.reasons[0].remedy


def test_everything_that_stands_against_a_deal_is_told_at_once():
    found = scheduling(
        sold(frequency="Weekly"),
        sold("5.00", 2, frequency="Monthly", periods=Decimal("0.5")),
        sold("5.00", 3, frequency="Annual", start_date=date(2026, 5, 1), end_date=date(2026, 4, 1)),
        sold("5.00", 4, has_revenue_schedule=True),
    )
    assert codes(found) == [
        "billing_frequency_unknown",
        "billing_periods_invalid",
        "billing_dates_reversed",
        "revenue_schedule_not_read",
    ]


def test_a_deal_without_a_start_date_begins_on_its_close_date_where_the_rules_say_so():
    found = schedule(start_date=None, rules=rules(without_start="close_date"))
    assert found.periods[0].due_on == TERMS.close_date


def test_a_line_with_its_own_frequency_and_dates_is_billed_by_them():
    line = sold("3650.00", frequency="Annual", start_date=date(2026, 3, 15), end_date=date(2028, 3, 14))
    found = schedule(line, frequency=None, periods=None, start_date=None)
    assert [(row.due_on.isoformat(), str(row.amount)) for row in found.periods] == [
        ("2026-03-15", "1825.00"),
        ("2027-03-15", "1825.00"),
    ]


def test_a_last_period_that_is_shorter_costs_its_days():
    line = sold("390.00", frequency="Monthly", start_date=date(2026, 1, 1), end_date=date(2026, 4, 9))
    assert amounts_of(schedule(line)) == ["118.19", "118.18", "118.18", "35.45"]


def test_lines_of_different_frequencies_meet_on_one_invoice_where_their_days_meet():
    found = schedule(sold("1200.00"), sold("400.00", 2, frequency="Quarterly", periods=Decimal(4)))
    assert amounts_of(found) == ["200.00", "100.00", "100.00"] * 4
    assert found.frequency is None
    assert found.source == "deal+line"


def test_lines_in_advance_and_in_arrears_are_no_one_schedule():
    found = scheduling(sold(in_arrears=True), sold("7.00", 2, in_arrears=False))
    assert codes(found) == ["billing_types_differ"]
    only = schedule(sold(in_arrears=True), sold("7.00", 2, charge="one_time", in_arrears=False))
    assert [row.kind for row in only.periods[:2]] == ["once", "period"]


def test_a_discount_that_would_turn_a_period_into_a_credit_is_refused():
    found = scheduling(sold("120.00"), sold("-50.00", 2, family="Setup"))
    assert codes(found) == ["period_below_zero"]
    assert "-40.00 USD" in found.reasons[0].text
    assert amounts_of(schedule(sold("120.00"), sold("-60.00", 2)))[1] == "5.00"


def revenue(*rows, currency="USD"):
    return {
        sold().line.line_id: tuple(
            RevenueRow(date.fromisoformat(day) if day else None, Decimal(amount) if amount else None, None, None, currency)
            for day, amount in rows
        )
    }


def test_a_revenue_schedule_comes_before_the_deals_own_terms():
    rows = revenue(("2026-02-01", "600"), ("2026-05-01", "400"), ("2026-08-01", "200"))
    found = schedule(revenue=rows, frequency="Fortnightly", periods=None)
    assert [(row.due_on.isoformat(), row.span.ends.isoformat(), str(row.amount)) for row in found.periods] == [
        ("2026-02-01", "2026-04-30", "600.00"),
        ("2026-05-01", "2026-07-31", "400.00"),
        ("2026-08-01", "2026-10-31", "200.00"),
    ]
    assert found.source == "revenue_schedule"
    without = rules(sources=("line", "deal"))
    assert len(schedule(revenue=rows, rules=without).periods) == 12


def test_a_revenue_schedule_names_its_days_itself_even_in_arrears():
    rows = revenue(("2026-02-01", "600"), ("2026-03-10", "600"))
    found = schedule(revenue=rows, rules=rules(billed="in_arrears"))
    assert [row.due_on.isoformat() for row in found.periods] == ["2026-02-01", "2026-03-10"]


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        (revenue(("2026-02-01", "600"), ("2026-03-01", "599.99")), "revenue_schedule_differs"),
        (revenue(("2026-02-01", "600"), (None, "600")), "revenue_schedule_incomplete"),
        (revenue(("2026-02-01", "1200"), ("2026-03-01", None)), "revenue_schedule_incomplete"),
        (revenue(("2026-02-01", "1200"), currency="EUR"), "revenue_schedule_currency"),
        (revenue(("2026-02-01", "1500"), ("2026-03-01", "-300")), "period_below_zero"),
    ],
)
def test_a_revenue_schedule_that_does_not_make_up_the_line_is_refused(rows, code):
    assert codes(scheduling(revenue=rows)) == [code]


def test_days_at_the_end_of_the_calendar_do_not_stop_a_revenue_schedule():
    found = schedule(revenue=revenue(("9999-11-30", "600"), ("9999-12-31", "600")))
    assert found.periods[-1].span.ends == date(9999, 12, 31)


def test_what_the_quote_decides_comes_before_the_deal():
    row = {
        "id": "006000000000001AAA",
        "account_id": "001000000000001AAA",
        "currency": None,
        "close_date": None,
        "billing_frequency": "Monthly",
        "billing_periods": 3,
        "billing_start_date": date(2026, 1, 1),
    }
    assert terms_of(row, QuoteTerms(), "usd").currency == "USD"
    decided = terms_of(row, QuoteTerms(billing_frequency="Annual", start_date=date(2026, 6, 1)), None)
    assert (decided.frequency, decided.start_date, decided.periods) == ("Annual", date(2026, 6, 1), Decimal(3))


def test_the_lines_of_a_period_tell_their_days_and_bill_its_amount():
    found = schedule(sold("100.00"), sold("9.00", 2, family="Setup"), periods=Decimal(3))
    lines = deal_lines(found.periods[0], "{covers_from} to {covers_to}")
    assert [line.service_date for line in lines] == [None, date(2026, 2, 1)]
    assert lines[1].description == "Product 1\n2026-02-01 to 2026-02-28"
    billed = invoice_lines(lines, load_rules().invoices)
    assert [str(line.amount) for line in billed] == ["9.00", "33.34"]
    assert deal_lines(found.periods[1], "")[0].description is None


def test_the_schedule_is_told_in_a_sentence():
    assert schedule().summary == "1,200.00 USD in 12 monthly invoices from 2026-02-01 to 2027-01-01, 100.00 USD each."
    assert schedule(sold("100.00"), periods=Decimal(3)).summary == (
        "100.00 USD in 3 monthly invoices from 2026-02-01 to 2026-04-01: first 33.34 USD, then 33.33 USD each."
    )
    assert single_invoice(TERMS, [sold()], date(2026, 2, 1)).summary == "1,200.00 USD in 1 invoice on 2026-02-01."


@settings(max_examples=80)
@given(
    terms=deal_terms(),
    lines=sold_lines(),
    remainder=st.sampled_from(["first", "last"]),
    billed=st.sampled_from(["in_advance", "in_arrears"]),
    fees=st.sampled_from(["first_period", "separate"]),
)
def test_every_deal_is_billed_to_the_cent_without_gaps_and_in_order(terms, lines, remainder, billed, fees):
    changed = rules(remainder=remainder, billed=billed, one_time_lines=fees)
    found = billing_schedule(terms, lines, {}, changed)
    assert not found.reasons
    if found.schedule is None:
        return
    made = found.schedule
    assert made.total == to_cents(sum(line.line.total for line in lines))
    for line in lines:
        shares = sum(one.line.total for row in made.periods for one in row.lines if one.line.line_id == line.line.line_id)
        assert abs(shares - line.line.total) <= Decimal("0.005") * (len(lines) + 1)
    assert [row.number for row in made.periods] == list(range(len(made.periods)))
    assert [row.due_on for row in made.periods] == sorted(row.due_on for row in made.periods)
    regular = [row for row in made.periods if row.kind == "period"]
    for before, after in pairwise(regular):
        assert before.span.ends + timedelta(days=1) == after.span.starts
        assert before.due_on < after.due_on
    assert all(row.span.starts <= row.due_on <= row.span.ends for row in regular)
    assert len({(row.kind, row.span) for row in made.periods}) == len(made.periods)
    assert billing_schedule(terms, list(lines), {}, changed).schedule == made


@settings(max_examples=40)
@given(rows=st.lists(st.tuples(days, st.decimals("0.01", "9999", places=4)), min_size=1, max_size=30), more=sold_lines())
def test_every_revenue_schedule_is_billed_to_the_cent(rows, more):
    total = sum(amount for _, amount in rows)
    line = sold(total)
    ordered = sorted(rows)
    told = {line.line.line_id: tuple(RevenueRow(day, amount, None, None, None) for day, amount in ordered)}
    others = [replace(one, line=replace(one.line, line_id=f"00k{place:012d}BBB")) for place, one in enumerate(more)]
    found = billing_schedule(TERMS, [line, *others], told, RULES)
    assert not found.reasons
    assert found.schedule is not None
    assert found.schedule.total == to_cents(total + sum(one.line.total for one in others))
    assert {day for day, _ in ordered} <= {row.due_on for row in found.schedule.periods}
