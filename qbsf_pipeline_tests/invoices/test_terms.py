"""Terms: found as people write them, due as QuickBooks reckons."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbsf_pipeline.customers.terms import Term, active_terms, find_term
from qbsf_pipeline.invoices.terms import due_date

TERMS = [Term("1", "Due on receipt", 0), Term("2", "Net 30", 30), Term("3", "NET30", 30)]


@pytest.mark.parametrize(
    ("name", "found"),
    [("Net 30", "2"), ("NET30", "3"), ("net  30", "2"), (" due on RECEIPT ", "1"), ("Net 31", None), ("", None)],
)
def test_a_term_is_found_without_case_and_spaces(name, found):
    term = find_term(name, TERMS)
    assert (term.term_id if term else None) == found


@pytest.mark.parametrize(
    ("term", "on", "due"),
    [
        (Term("1", "Due on receipt", 0), date(2026, 11, 20), date(2026, 11, 20)),
        (Term("2", "Net 30", 30), date(2028, 1, 31), date(2028, 3, 1)),
        (Term("3", "15th", None, 15, 5), date(2026, 11, 9), date(2026, 11, 15)),
        (Term("3", "15th", None, 15, 5), date(2026, 11, 10), date(2026, 12, 15)),
        (Term("3", "15th", None, 15, None), date(2026, 11, 15), date(2026, 11, 15)),
        (Term("3", "15th", None, 15, 0), date(2026, 12, 16), date(2027, 1, 15)),
        (Term("4", "31st", None, 31, 0), date(2026, 2, 3), date(2026, 2, 28)),
        (Term("4", "31st", None, 31, 10), date(2026, 1, 25), date(2026, 2, 28)),
        (Term("5", "nothing told"), date(2026, 2, 3), None),
    ],
)
def test_the_due_date_follows_the_term(term, on, due):
    assert due_date(term, on) == due


@given(
    st.dates(min_value=date(2000, 1, 1), max_value=date(2100, 1, 1)),
    st.integers(min_value=1, max_value=31),
    st.one_of(st.none(), st.integers(min_value=0, max_value=31)),
)
def test_a_date_driven_term_is_never_due_before_the_invoice(on, day, next_month):
    assert due_date(Term("1", "x", None, day, next_month), on) >= on


def test_inactive_and_deleted_terms_are_not_used():
    row = {"id": "1", "name": "Net 30", "active": True, "is_deleted": False, "due_days": 30, "day_of_month_due": None}
    rows = [{**row, "due_next_month_days": None, **change} for change in ({}, {"active": False}, {"is_deleted": True})]
    assert len(active_terms(rows)) == 1
