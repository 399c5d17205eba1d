"""What an invoice says of its period, so that no period is billed again even if the state was lost."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from qbsf_pipeline.invoices.recurring.periods import Span
from qbsf_pipeline.invoices.recurring.schedule import BillingPeriod, BillingSchedule

_NOTE = re.compile(r"\bBilling (period|difference) (\d{1,5}) \((\d{4}-\d\d-\d\d) to (\d{4}-\d\d-\d\d)\)")


@dataclass(frozen=True)
class NotedPeriod:
    """What a private note says of its invoice.

    Attributes:
        number: from 0.
        difference: it bills what a change added to periods that were billed; their days do not tell which period it is.
    """

    number: int
    span: Span
    difference: bool


def period_note(period: BillingPeriod) -> str:
    """What stands behind the deal's marker in ``PrivateNote``. It counts from 1, as people do.

    A template's body never has it: each of its invoices would claim the same period.
    """
    word = "difference" if period.kind == "difference" else "period"
    return f"Billing {word} {period.number + 1} ({period.span.starts} to {period.span.ends})"


def noted_period(private_note: str | None) -> NotedPeriod | None:
    """The period that a private note tells; ``None`` where it tells none."""
    found = _NOTE.search(private_note or "")
    if found is None:
        return None
    try:
        span = Span(date.fromisoformat(found.group(3)), date.fromisoformat(found.group(4)))
    except ValueError:
        return None
    return NotedPeriod(int(found.group(2)) - 1, span, found.group(1) == "difference")


@dataclass(frozen=True)
class PlacedByNote:
    """The deal's invoices by what their notes say.

    Attributes:
        placed: period's number and its invoice.
        rivals: invoices that name a period which another one names too.
        unplaced: invoices of the deal that name no period of the schedule. What they bill is not known: the deal waits.
    """

    placed: Mapping[int, str]
    rivals: tuple[str, ...]
    unplaced: tuple[str, ...]


def placed_by_note(schedule: BillingSchedule, notes: Mapping[str, str | None]) -> PlacedByNote:
    """Which periods the deal's invoices bill, by their private notes.

    Number and days must both be the period's. Where the schedule was made anew and numbers differ, the days alone decide, as long
    as one period has them.

    Args:
        notes: private note by invoice, of every invoice that names the deal, voided and deleted ones too, oldest first.
    """
    by_days: dict[tuple[Span, bool], list[int]] = {}
    for period in schedule.periods:
        by_days.setdefault((period.span, period.kind == "difference"), []).append(period.number)
    placed: dict[int, str] = {}
    rivals: list[str] = []
    unplaced: list[str] = []
    for invoice_id, note in notes.items():
        told = noted_period(note)
        fitting = by_days.get((told.span, told.difference), []) if told is not None else []
        number = None
        if told is not None and told.number in fitting:
            number = told.number
        elif told is not None and not told.difference and len(fitting) == 1:
            number = fitting[0]
        if number is None:
            unplaced.append(invoice_id)
        elif number in placed:
            rivals.append(invoice_id)
        else:
            placed[number] = invoice_id
    return PlacedByNote(placed, tuple(rivals), tuple(unplaced))
