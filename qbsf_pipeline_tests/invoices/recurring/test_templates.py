"""Templates: only what Intuit documents, and their invoices recognised without a guess."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbsf_pipeline.invoices.recurring.templates import (
    FoundInvoice,
    Template,
    found_invoice,
    recognise,
    split_for_template,
    template_body,
    template_name,
)
from qbsf_pipeline_tests.invoices.recurring.deals import TERMS, rules, schedule, sold

TODAY = date(2026, 1, 20)
YEAR = schedule()
DEAL = TERMS.opportunity_id
LINES = (("7", Decimal("100.00")),)
TEMPLATE = Template("1483", DEAL, "26", LINES, YEAR.periods)


def invoice(number="900", day="2026-02-01", **values):
    """An invoice of the template, without any sign of it."""
    made = FoundInvoice(number, "26", date.fromisoformat(day), None, None, LINES)
    return replace(made, **values)


@pytest.mark.parametrize(
    ("made", "today", "own", "repeated", "months"),
    [
        (YEAR, TODAY, 0, 12, 1),
        (YEAR, date(2026, 2, 1), 1, 11, 1),
        (YEAR, date(2026, 12, 15), 12, 0, 0),
        (schedule(sold("100.00")), TODAY, 1, 11, 1),
        (schedule(sold(), sold("500.00", 2, family="Setup")), TODAY, 1, 11, 1),
        (schedule(frequency="Quarterly", periods=Decimal(4)), TODAY, 0, 4, 3),
        (schedule(frequency="Annual", periods=Decimal(3)), TODAY, 0, 3, 12),
        (schedule(sold("100.00"), rules=rules(remainder="last")), TODAY, 12, 0, 0),
        (schedule(start_date=date(2026, 1, 28)), TODAY, 0, 12, 1),
        (schedule(start_date=date(2026, 1, 31)), TODAY, 12, 0, 0),
        (schedule(periods=Decimal(1)), TODAY, 1, 0, 0),
        (replace(YEAR, status="paused"), TODAY, 12, 0, 0),
    ],
)
def test_a_template_bills_only_what_is_still_to_come_alike_and_safe(made, today, own, repeated, months):
    split = split_for_template(made, (), today)
    assert (len(split.own), len(split.repeated), split.months) == (own, repeated, months)
    assert bool(split.why) == bool(own)
    assert sorted([*split.own, *split.repeated], key=lambda row: row.number) == list(made.periods)


def test_what_was_billed_is_left_to_nobody():
    split = split_for_template(YEAR, {0, 1, 5}, date(2026, 3, 15))
    numbers = [row.number for row in (*split.own, *split.repeated)]
    assert sorted(numbers) == [2, 3, 4, 6, 7, 8, 9, 10, 11]
    assert [row.number for row in split.repeated] == [6, 7, 8, 9, 10, 11]


def test_the_body_is_that_of_one_invoice_without_what_belongs_to_one_only():
    body = {
        "CustomerRef": {"value": "26"},
        "TxnDate": "2026-02-01",
        "DueDate": "2026-03-03",
        "DocNumber": "1001",
        "BillEmail": {"Address": "a@b.example"},
        "PrivateNote": f"Salesforce Opportunity {DEAL}",
        "Line": [
            {
                "Amount": Decimal("100.00"),
                "DetailType": "SalesItemLineDetail",
                "SalesItemLineDetail": {"ItemRef": {"value": "7"}, "ServiceDate": "2026-02-01"},
            }
        ],
    }
    made = template_body(body, split_for_template(YEAR, (), TODAY), DEAL, "O'Neil: Größe", send=True)
    assert made == {
        "Invoice": {
            "CustomerRef": {"value": "26"},
            "BillEmail": {"Address": "a@b.example"},
            "PrivateNote": f"Salesforce Opportunity {DEAL}",
            "Line": [
                {
                    "Amount": Decimal("100.00"),
                    "DetailType": "SalesItemLineDetail",
                    "SalesItemLineDetail": {"ItemRef": {"value": "7"}},
                }
            ],
            "EmailStatus": "NeedToSend",
            "RecurringInfo": {
                "Name": f"O'Neil: Größe {DEAL} 1",
                "Active": True,
                "RecurType": "Automated",
                "ScheduleInfo": {
                    "StartDate": "2026-02-01",
                    "IntervalType": "Monthly",
                    "NumInterval": 1,
                    "DayOfMonth": 1,
                    "MaxOccurrences": 12,
                },
            },
        }
    }
    assert "EmailStatus" not in template_body(body, split_for_template(YEAR, (), TODAY), DEAL, "x", send=False)["Invoice"]
    assert "TxnDate" in body


@given(name=st.text(max_size=300), number=st.integers(0, 998))
def test_a_templates_name_is_short_and_tells_deals_and_periods_apart(name, number):
    made = template_name(DEAL, name, number)
    assert len(made) <= 100
    assert made.endswith(f"{DEAL} {number + 1}")


@pytest.mark.parametrize(
    ("found", "placed"),
    [
        (invoice(template_id="1483"), {0: "900"}),
        (invoice(template_id="1483", day="2026-03-03", lines=(), customer_id=None), {1: "900"}),
        (invoice(template_id="77"), {}),
        (invoice(opportunity_id=DEAL[:15]), {0: "900"}),
        (invoice(opportunity_id="006000000000009AAA"), {}),
        (invoice(), {0: "900"}),
        (invoice(customer_id="27"), {}),
        (invoice(lines=(("7", Decimal("99.99")),)), {}),
        (invoice(lines=(("8", Decimal("100.00")),)), {}),
        (invoice(day="2026-02-15"), {}),
    ],
)
def test_an_invoice_is_the_templates_by_its_reference_else_by_customer_lines_and_date(found, placed):
    assert recognise(TEMPLATE, [found], 3).placed == placed


def test_a_second_invoice_of_a_period_is_told_and_takes_no_other_period():
    found = recognise(TEMPLATE, [invoice("900", template_id="1483"), invoice("901", template_id="1483")], 3)
    assert found.placed == {0: "900"}
    assert found.unplaced == ("901",)
    assert "900 is there already" in found.why["901"]


def test_the_templates_invoice_on_a_strange_day_is_told_and_not_lost():
    found = recognise(TEMPLATE, [invoice(template_id="1483", day="2026-02-15")], 3)
    assert (found.placed, found.unplaced) == ({}, ("900",))
    undated = recognise(TEMPLATE, [replace(invoice(template_id="1483"), txn_date=None)], 3)
    assert undated.unplaced == ("900",)


def test_two_invoices_that_fit_alike_are_a_doubt_and_nobody_bills_that_period():
    found = recognise(TEMPLATE, [invoice("900"), invoice("901", day="2026-02-02")], 3)
    assert found.placed == {}
    assert found.unsure == ("900", "901")
    assert found.doubtful == (0,)
    sure = recognise(TEMPLATE, [invoice("900"), invoice("901", day="2026-02-02", template_id="1483")], 3)
    assert sure.placed == {0: "901"}


@given(shifts=st.lists(st.integers(-3, 3), min_size=12, max_size=12), kept=st.sets(st.integers(0, 11)))
def test_every_invoice_of_a_template_finds_its_period_though_days_shift_and_some_are_missing(shifts, kept):
    rows = [
        replace(invoice(str(row.number), template_id="1483"), txn_date=row.due_on + timedelta(days=shift))
        for row, shift in zip(YEAR.periods, shifts, strict=True)
        if row.number in kept
    ]
    assert recognise(TEMPLATE, rows, 3).placed == {number: str(number) for number in kept}


def test_an_invoice_is_read_as_quickbooks_tells_it_with_keys_missing():
    record = {
        "Id": "900",
        "TxnDate": "2026-02-01",
        "CustomerRef": {"value": "26"},
        "RecurDataRef": {"value": "1483"},
        "Line": [
            {"Amount": 100, "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": {"ItemRef": {"value": "7"}}},
            {"Amount": Decimal("100.00"), "DetailType": "SubTotalLineDetail"},
        ],
    }
    assert found_invoice(record, None) == invoice(template_id="1483")
    assert found_invoice({"Id": 5, "TxnDate": "soon", "Line": None}, DEAL) == FoundInvoice("5", None, None, None, DEAL, ())
