"""Recurring templates of the built-in QuickBooks: which days they have, and what a run makes."""

from __future__ import annotations

from datetime import date

import pytest

from qbsf_pipeline.sandbox.quickbooks import mail, run_recurring, state, upsert_objects
from qbsf_pipeline_tests.sandbox.quickbooks.conftest import Books
from qbsf_pipeline_tests.sandbox.quickbooks.test_http import invoice_of


def made_by(books: Books, **changes) -> dict:
    """A monthly template of the first customer; `changes` go into its ScheduleInfo, other than these."""
    info = {"Name": "Seats", "Active": True, "RecurType": "Automated"}
    info |= {name: changes.pop(name) for name in ("Name", "Active", "RecurType") if name in changes}
    form = {name: changes.pop(name) for name in ("EmailStatus", "BillEmail") if name in changes}
    schedule = {"IntervalType": "Monthly", "NumInterval": 1, "DayOfMonth": 1, "StartDate": "2026-12-01", **changes}
    schedule = {name: value for name, value in schedule.items() if value is not None}
    body = {"Invoice": invoice_of("1", "55", RecurringInfo={**info, "ScheduleInfo": schedule}, **form)}
    return books.create("RecurringTransaction", body)["Invoice"]


def run(books: Books, until: str) -> list[str]:
    return [form["TxnDate"] for form in run_recurring(books.store, books.clock, date.fromisoformat(until))]


@pytest.mark.parametrize(
    ("schedule", "until", "days"),
    [
        ({}, "2027-02-01", ["2026-12-01", "2027-01-01", "2027-02-01"]),
        ({"StartDate": "2026-12-02"}, "2027-02-01", ["2027-01-01", "2027-02-01"]),
        ({"MaxOccurrences": 2}, "2028-01-01", ["2026-12-01", "2027-01-01"]),
        ({"EndDate": "2027-01-01"}, "2028-01-01", ["2026-12-01", "2027-01-01"]),
        ({"NumInterval": 3}, "2027-06-01", ["2026-12-01", "2027-03-01", "2027-06-01"]),
        ({"DayOfMonth": 31, "StartDate": "2028-01-31"}, "2028-03-31", ["2028-01-31", "2028-02-29", "2028-03-31"]),
        ({"DaysBefore": 5}, "2026-12-27", ["2026-12-01", "2027-01-01"]),
        ({"IntervalType": "Yearly", "MonthOfYear": 3}, "2028-03-01", ["2027-03-01", "2028-03-01"]),
        ({"IntervalType": "Yearly", "MonthOfYear": "December", "StartDate": "2026-12-02"}, "2028-01-01", ["2027-12-01"]),
        ({"DayOfMonth": None, "DayOfWeek": "Friday", "WeekOfMonth": "Last"}, "2027-01-31", ["2026-12-25", "2027-01-29"]),
        ({"IntervalType": "Weekly", "DayOfMonth": None, "DayOfWeek": "Monday"}, "2026-12-14", ["2026-12-07", "2026-12-14"]),
        (
            {"IntervalType": "Daily", "DayOfMonth": None, "NumInterval": 2},
            "2026-12-05",
            ["2026-12-01", "2026-12-03", "2026-12-05"],
        ),
        ({"RecurType": "Reminded"}, "2027-12-01", []),
        ({"Active": False}, "2027-12-01", []),
    ],
)
def test_a_template_makes_an_invoice_on_each_of_its_days(books: Books, schedule: dict, until: str, days: list[str]) -> None:
    template = made_by(books, **schedule)
    assert run(books, until) == days
    assert run(books, until) == []
    invoices = state(books.store).get("Invoice", [])
    assert {invoice["RecurDataRef"]["value"] for invoice in invoices} <= {template["Id"]}
    assert len({invoice["DocNumber"] for invoice in invoices}) == len(days)
    kept = books.read("RecurringTransaction", template["Id"])["Invoice"]
    assert kept["RecurringInfo"]["ScheduleInfo"].get("PreviousDate") == (days[-1] if days else None)


def test_a_run_in_steps_makes_what_one_run_would(books: Books) -> None:
    made_by(books, MaxOccurrences=4)
    assert [run(books, day) for day in ("2026-12-31", "2027-02-28", "2030-01-01")] == [
        ["2026-12-01"],
        ["2027-01-01", "2027-02-01"],
        ["2027-03-01"],
    ]


def test_an_invoice_of_a_template_is_due_by_its_terms_and_mailed_where_that_is_wished(books: Books) -> None:
    made_by(books, EmailStatus="NeedToSend", BillEmail={"Address": "ap@obrien.example"})
    assert run(books, "2026-12-01") == ["2026-12-01"]
    (invoice,) = state(books.store)["Invoice"]
    assert (invoice["DueDate"], invoice["Balance"], invoice["EmailStatus"]) == ("2026-12-31", 55, "EmailSent")
    assert [each["to"] for each in mail(books.store)] == ["ap@obrien.example"]


def test_a_changed_template_goes_on_where_it_stood(books: Books) -> None:
    template = made_by(books, MaxOccurrences=3)
    run(books, "2026-12-01")
    template = books.read("RecurringTransaction", template["Id"])["Invoice"]
    assert template["SyncToken"] == "1"
    info = template["RecurringInfo"]
    days = {**info["ScheduleInfo"], "NextDate": "2020-01-01", "NumInterval": 2}
    again = books.create("RecurringTransaction", {"Invoice": {**template, "RecurringInfo": {**info, "ScheduleInfo": days}}})
    assert again["Invoice"]["RecurringInfo"]["ScheduleInfo"]["NextDate"] == "2027-02-01"
    assert run(books, "2028-01-01") == ["2027-02-01", "2027-04-01"]


def test_a_run_that_is_refused_makes_nothing_of_that_template(books: Books) -> None:
    made_by(books)
    customer = books.read("Customer", "1")
    upsert_objects(books.store, books.clock, "Customer", [{**customer, "Active": False}])
    with pytest.raises(ValueError, match="inactive"):
        run(books, "2027-12-01")
    assert "Invoice" not in state(books.store)


@pytest.mark.parametrize(
    ("schedule", "code"),
    [
        ({"IntervalType": "Hourly"}, "2170"),
        ({"MaxOccurrences": 3, "EndDate": "2027-01-01"}, "6000"),
        ({"DaysBefore": 3, "RemindDays": 3}, "6000"),
        ({"DayOfWeek": "Monday"}, "6000"),
        ({"NumInterval": 0}, None),
        ({"DayOfMonth": 32}, None),
        ({"StartDate": "soon"}, "2080"),
        ({"DayOfMonth": None, "DayOfWeek": "Someday"}, "2170"),
    ],
)
def test_a_schedule_that_says_two_things_or_none_is_refused(books: Books, schedule: dict, code: str | None) -> None:
    info = {"IntervalType": "Monthly", "NumInterval": 1, "DayOfMonth": 1, "StartDate": "2026-12-01", **schedule}
    body = {"Invoice": invoice_of("1", "55", RecurringInfo={"Name": "x", "Active": True, "ScheduleInfo": info})}
    refused = books.refused("POST", "recurringtransaction", body)
    assert code in (None, refused["code"])


def test_two_templates_cannot_have_one_name(books: Books) -> None:
    template = made_by(books)
    info = template["RecurringInfo"]
    assert books.refused("POST", "recurringtransaction", {"Invoice": invoice_of("1", "5", RecurringInfo=info)})["code"] == "6240"
    books.create("RecurringTransaction", {"Invoice": template})
