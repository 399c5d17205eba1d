"""Months and business days: which month a text means, and which months a report is due for. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from qbsf_pipeline.errors import ConfigurationError

#: The first month that can be reconciled: QuickBooks Online's interface is younger.
FIRST_MONTH = date(2010, 1, 1)
#: How a month is written: on the command line, as partition, as name of a folder.
MONTH_FORMAT = "%Y-%m"
#: Months that are made up for after a long stand-still; older ones are for a person to ask for.
_MOST_MADE_UP = 12
_SATURDAY = 5


def month_of(text: str, option: str = "--month") -> date:
    """The first day of a month that is written as ``2026-03``.

    Raises:
        ConfigurationError: it is no month, or lies before :data:`FIRST_MONTH`.
    """
    found = re.fullmatch(r"(\d{4})-(\d{2})", text.strip(), re.ASCII)
    if found is None or not 1 <= int(found[2]) <= 12 or int(found[1]) < 1:
        raise ConfigurationError([f"{option}: must be a month such as 2026-03; found {text!r}"])
    month = date(int(found[1]), int(found[2]), 1)
    if month < FIRST_MONTH:
        first = f"the first month that can be asked for is {FIRST_MONTH:%Y-%m}"
        raise ConfigurationError([f"{option}: {first}; found {text!r}"])
    return month


def key_of(month: date) -> str:
    """``2026-03``."""
    return month.strftime(MONTH_FORMAT)


def title_of(month: date) -> str:
    """``March 2026``."""
    return f"{month:%B %Y}"


def after(month: date) -> date:
    """The first day of the next month."""
    return (month.replace(day=1) + timedelta(days=32)).replace(day=1)


def before(month: date) -> date:
    """The first day of the month before."""
    return (month.replace(day=1) - timedelta(days=1)).replace(day=1)


def first_business_day(month: date, holidays: Collection[str]) -> date:
    """The first day of a month that is neither Saturday nor Sunday nor a holiday.

    Args:
        holidays: ISO dates, or ``01-01`` for a day of each year (rules: schedules.holidays).
    """
    day = month.replace(day=1)
    while day.weekday() >= _SATURDAY or day.isoformat() in holidays or f"{day:%m-%d}" in holidays:
        day += timedelta(days=1)
    return day


def due_at(month: date, at: str, holidays: Collection[str], zone: ZoneInfo) -> datetime:
    """When the report of a month is to be made: the first business day after it, at that time.

    Args:
        at: such as ``07:00``, by the clock of ``zone``.
    """
    return datetime.combine(first_business_day(after(month), holidays), time.fromisoformat(at), tzinfo=zone)


def due_months(
    now: datetime,
    last_made: Mapping[date, datetime],
    since: datetime | None,
    at: str,
    holidays: Collection[str],
    zone: ZoneInfo,
) -> list[date]:
    """The months whose report is due and was not made since it was, oldest first: a time without power loses none.

    Of months that were due before the first report of all, only the last one counts: they were nobody's business here.

    Args:
        now: aware.
        last_made: when a report of a month was made last.
        since: when the first report of all was made; None: never.
        at, holidays, zone: as for :func:`due_at`.
    """
    last = before(now.astimezone(zone).date())
    found: list[date] = []
    month = last
    for _ in range(_MOST_MADE_UP):
        due = due_at(month, at, holidays, zone)
        made = last_made.get(month)
        ours = month == last or (since is not None and since < due)
        if ours and due <= now and (made is None or made < due):
            found.append(month)
        month = before(month)
    return sorted(found)
