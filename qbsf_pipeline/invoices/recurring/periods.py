"""Frequencies and the days that a period covers.

Days are days of the company's calendar: Salesforce and QuickBooks tell dates without time, so no time zone moves them; "today"
is the company's own. The day of the month of the first day is kept (the anchor):

| First day | Monthly | Why |
| --- | --- | --- |
| 2026-01-15 | 02-15, 03-15 | |
| 2026-01-31 | 02-28, 03-31, 04-30, 05-31 | a month without the day begins on its last day; the anchor stays 31 |
| 2026-01-30 | 02-28, 03-30 | |
| 2024-02-29 | 03-29, 04-29 | 29 is the anchor, not "the last day" |
| 2024-02-29, annual | 2025-02-28, 2026-02-28, 2027-02-28, 2028-02-29 | |
| 2026-04-30 | 05-30, 06-30 | 30 is the anchor, not "the last day" |

A period ends the day before the next one begins.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import MAXYEAR, date, timedelta
from enum import StrEnum
from itertools import pairwise

#: More periods than this are no schedule but a mistake (``Billing_Periods__c`` has three digits).
MOST_PERIODS = 999
_DAY = timedelta(days=1)


class Frequency(StrEnum):
    """How often a line is billed."""

    ONE_TIME = "one_time"
    MONTHLY = "monthly"
    QUARTERLY = "quarterly"
    SEMIANNUAL = "semiannual"
    ANNUAL = "annual"

    @property
    def months(self) -> int:
        """Months of one period; 0 for one time."""
        return _MONTHS[self]


_MONTHS = {
    Frequency.ONE_TIME: 0,
    Frequency.MONTHLY: 1,
    Frequency.QUARTERLY: 3,
    Frequency.SEMIANNUAL: 6,
    Frequency.ANNUAL: 12,
}
#: Words of Salesforce and its CPQ, letters only.
_WORDS = {
    "onetime": Frequency.ONE_TIME,
    "once": Frequency.ONE_TIME,
    "monthly": Frequency.MONTHLY,
    "quarterly": Frequency.QUARTERLY,
    "semiannual": Frequency.SEMIANNUAL,
    "semiannually": Frequency.SEMIANNUAL,
    "halfyearly": Frequency.SEMIANNUAL,
    "annual": Frequency.ANNUAL,
    "annually": Frequency.ANNUAL,
    "yearly": Frequency.ANNUAL,
}


def frequency_of(text: str, own_words: Mapping[str, str]) -> Frequency | None:
    """What a word for a frequency means; ``None`` for an unknown one.

    Args:
        own_words: the org's words (rules: ``recurring.frequencies``), compared without case, before the known ones.
    """
    wanted = " ".join(text.split()).casefold()
    own = {" ".join(word.split()).casefold(): meaning for word, meaning in own_words.items()}
    if wanted in own:
        return Frequency(own[wanted])
    return _WORDS.get("".join(character for character in wanted if character.isalpha()))


@dataclass(frozen=True)
class Span:
    """Days from ``starts`` to ``ends``, both counted."""

    starts: date
    ends: date

    @property
    def days(self) -> int:
        """How many days it has."""
        return (self.ends - self.starts).days + 1

    @property
    def whole_months(self) -> int:
        """How many months it is long, to the day; 0 where it is no whole number of them. A span that begins on the last day of a
        month may end with any day before the next one begins (see the table above)."""
        if self.ends == date.max:
            return 0
        after = self.ends + _DAY
        months = (after.year - self.starts.year) * 12 + after.month - self.starts.month
        at_month_end = months_later(self.starts, months) == after or (self.starts.day < after.day and _is_month_end(self.starts))
        return months if months > 0 and at_month_end else 0

    def shared_days(self, other: Span) -> int:
        """How many days are in both."""
        return max((min(self.ends, other.ends) - max(self.starts, other.starts)).days + 1, 0)


def months_later(day: date, months: int) -> date:
    """The same day of the month ``months`` later, or the last day of a month that has no such day.

    Raises:
        OverflowError: beyond the year 9999.
    """
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    if year > MAXYEAR:
        raise OverflowError(f"{day} and {months} months is beyond the calendar")
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def _is_month_end(day: date) -> bool:
    return day.day == monthrange(day.year, day.month)[1]


def spans(starts: date, months: int, count: int) -> list[Span]:
    """``count`` periods of ``months`` months each, without a gap.

    Raises:
        OverflowError: beyond the year 9999.
    """
    firsts = [months_later(starts, number * months) for number in range(count + 1)]
    return [Span(first, after - _DAY) for first, after in pairwise(firsts)]


def spans_until(starts: date, months: int, ends: date) -> tuple[list[Span], list[int]]:
    """Periods of ``months`` months up to ``ends``; the last may be shorter.

    Args:
        ends: not before ``starts``.

    Returns:
        The periods, at most :data:`MOST_PERIODS` and one; and their weights: a shorter last one weighs by its days.

    Raises:
        OverflowError: beyond the year 9999.
    """
    found: list[Span] = []
    number = 0
    while (first := months_later(starts, number * months)) <= ends and number <= MOST_PERIODS:
        number += 1
        found.append(Span(first, months_later(starts, number * months) - _DAY))
    last = found[-1]
    kept = Span(last.starts, min(last.ends, ends))
    return [*found[:-1], kept], [*[last.days] * (len(found) - 1), kept.days]
