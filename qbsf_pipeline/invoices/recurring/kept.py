"""A schedule as the state keeps it: one JSON document, and back again, exactly.

A line of a deal is written once, however many periods have a share of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from pydantic import TypeAdapter, ValidationError

from qbsf_pipeline.invoices.lines import DealLine
from qbsf_pipeline.invoices.recurring.periods import Frequency, Span
from qbsf_pipeline.invoices.recurring.schedule import BillingPeriod, BillingSchedule, Kind, ScheduledLine, Status

_NOTHING = Decimal(0)


class UnreadableScheduleError(ValueError):
    """A kept schedule is none; billing from a guess would be worse than not billing."""


@dataclass(frozen=True)
class _Share:
    line: int
    total: Decimal
    recurring: bool
    starts: date
    ends: date
    frequency: Frequency | None


@dataclass(frozen=True)
class _Period:
    number: int
    kind: Kind
    starts: date
    ends: date
    due_on: date
    shares: tuple[_Share, ...]


@dataclass(frozen=True)
class _Document:
    opportunity_id: str
    currency: str
    frequency: Frequency | None
    source: str
    next_number: int
    status: Status
    why: str
    lines: tuple[DealLine, ...]
    periods: tuple[_Period, ...]
    amendments: tuple[str, ...] = ()
    account_id: str = ""


_DOCUMENT = TypeAdapter(_Document)


def written(schedule: BillingSchedule) -> str:
    """The schedule as JSON; amounts are texts, so that no reader makes floats of them."""
    places: dict[DealLine, int] = {}
    periods = tuple(
        _Period(
            period.number,
            period.kind,
            period.span.starts,
            period.span.ends,
            period.due_on,
            tuple(
                _Share(
                    places.setdefault(replace(one.line, total=_NOTHING), len(places)),
                    one.line.total,
                    one.recurring,
                    one.span.starts,
                    one.span.ends,
                    one.frequency,
                )
                for one in period.lines
            ),
        )
        for period in schedule.periods
    )
    document = _Document(
        schedule.opportunity_id,
        schedule.currency,
        schedule.frequency,
        schedule.source,
        schedule.next_number,
        schedule.status,
        schedule.why,
        tuple(places),
        periods,
        schedule.amendments,
        schedule.account_id,
    )
    # What a deal has nothing of is left out: an agreement that is said again by a later version stays the same.
    return _DOCUMENT.dump_json(document, exclude_defaults=True).decode("utf-8")


def read(text: str) -> BillingSchedule:
    """The schedule that :func:`written` wrote.

    Raises:
        UnreadableScheduleError: the text is no such document; the message tells what is wrong with it.
    """
    try:
        document = _DOCUMENT.validate_json(text)
        periods = tuple(
            BillingPeriod(
                period.number,
                period.kind,
                Span(period.starts, period.ends),
                period.due_on,
                tuple(
                    ScheduledLine(
                        replace(document.lines[share.line], total=share.total),
                        share.recurring,
                        Span(share.starts, share.ends),
                        share.frequency,
                    )
                    for share in period.shares
                ),
            )
            for period in document.periods
        )
    except (ValidationError, IndexError) as error:
        raise UnreadableScheduleError(f"The kept billing schedule cannot be read: {error}") from error
    return BillingSchedule(
        opportunity_id=document.opportunity_id,
        currency=document.currency,
        frequency=document.frequency,
        source=document.source,
        periods=periods,
        next_number=document.next_number,
        status=document.status,
        why=document.why,
        amendments=document.amendments,
        account_id=document.account_id,
    )
