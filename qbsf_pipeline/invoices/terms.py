"""Payment terms: which QuickBooks Term a name means, and when an invoice with that term is due."""

from __future__ import annotations

import calendar
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any


@dataclass(frozen=True)
class Term:
    """A Term of the QuickBooks company.

    Attributes:
        due_days: days after the invoice date (STANDARD terms).
        day_of_month_due: day of the month, 1 to 31 (DATE_DRIVEN terms).
        due_next_month_days: issued this many days or fewer before that day, the invoice is due a month later.
    """

    term_id: str
    name: str
    due_days: int | None = None
    day_of_month_due: int | None = None
    due_next_month_days: int | None = None


def active_terms(rows: Iterable[Mapping[str, Any]]) -> list[Term]:
    """The terms that may be used, by name, from rows of ``quickbooks.term``."""
    terms = [
        Term(row["id"], row["name"], row["due_days"], row["day_of_month_due"], row["due_next_month_days"])
        for row in rows
        if row["name"] and row["active"] is not False and not row["is_deleted"]
    ]
    return sorted(terms, key=lambda term: (term.name.casefold(), term.term_id))


def find_term(name: str, terms: Sequence[Term]) -> Term | None:
    """The term of that name, compared without case and spaces ("net30" is "Net 30"); an exact spelling comes first."""
    folded = _folded(name)
    found = [term for term in terms if _folded(term.name) == folded]
    exact = [term for term in found if term.name == name.strip()]
    return next(iter(exact or found), None)


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


def _folded(name: str) -> str:
    return "".join(name.casefold().split())
