"""Payment terms: when an invoice with a QuickBooks Term is due."""

from __future__ import annotations

import calendar
from datetime import date, timedelta

from qbsf_pipeline.customers.terms import Term


def due_date(term: Term, invoice_date: date) -> date | None:
    """When an invoice of ``invoice_date`` is due; ``None`` for a term that does not tell, so that QuickBooks decides.

    A day of the month that a month does not have is its last day (Intuit's API reference, Term).
    """
    if term.day_of_month_due:
        due = _day_in(invoice_date.year, invoice_date.month, term.day_of_month_due)
        too_near = bool(term.due_next_month_days) and (due - invoice_date).days <= (term.due_next_month_days or 0)
        if invoice_date > due or too_near:
            year, month = divmod(invoice_date.year * 12 + invoice_date.month, 12)
            return _day_in(year, month + 1, term.day_of_month_due)
        return due
    if term.due_days is not None:
        return invoice_date + timedelta(days=term.due_days)
    return None


def _day_in(year: int, month: int, day: int) -> date:
    return date(year, month, min(day, calendar.monthrange(year, month)[1]))
