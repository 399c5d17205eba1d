"""Payment terms: which QuickBooks Term a name means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
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


def _folded(name: str) -> str:
    return "".join(name.casefold().split())
