"""A billing schedule: the periods of one deal, each with its day and its lines.

A schedule that a person or the plan has agreed to is kept, and its numbers are for ever: a period is billed under the key of the
deal and its number. A number is never given twice, not even after its period was ended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal, localcontext
from typing import Literal

from qbsf_pipeline.customers import texts
from qbsf_pipeline.invoices.line_sources.sold import with_text
from qbsf_pipeline.invoices.lines import DealLine
from qbsf_pipeline.invoices.recurring.periods import Frequency, Span
from qbsf_pipeline.money import format_amount

Kind = Literal["period", "once", "difference"]
Status = Literal["active", "paused", "cancelled"]
_DIGITS = 60


@dataclass(frozen=True)
class ScheduledLine:
    """What one period bills of one line.

    Attributes:
        line: the deal's line with this period's share as its total, two places, in the deal's currency.
        recurring: whether it is a subscription's share; else it is billed once.
        span: the days that the share covers.
        frequency: how often it is billed; ``None`` for what is billed once or by a revenue schedule.
    """

    line: DealLine
    recurring: bool
    span: Span
    frequency: Frequency | None = None

    @property
    def content(self) -> tuple[object, ...]:
        """What finance would call another line if it changed: product, quantity, amount and days. Texts and ids may change."""
        line = self.line
        return (line.product_id or line.line_id, line.quantity, line.total, self.recurring, self.span)


@dataclass(frozen=True)
class BillingPeriod:
    """One invoice of a schedule, or a credit.

    Attributes:
        number: from 0; with the deal, the key of its invoice.
        kind: ``period``; ``once`` for set-up fees on an invoice of their own; ``difference`` for what a change adds to periods
            that were billed before, or takes from them: below 0 it is a credit that a person approves.
        span: the days that it covers; periods follow each other without a gap.
        due_on: day on which it is billed.
    """

    number: int
    kind: Kind
    span: Span
    due_on: date
    lines: tuple[ScheduledLine, ...]

    @property
    def amount(self) -> Decimal:
        """What it bills, two places, deal's currency."""
        return sum_of(line.line.total for line in self.lines)

    @property
    def recurring_amount(self) -> Decimal:
        """How much of it is subscriptions."""
        return sum_of(line.line.total for line in self.lines if line.recurring)

    @property
    def content(self) -> tuple[object, ...]:
        """All of it but its number, in a form that compares; the order of lines does not count."""
        return (self.kind, self.span, self.due_on, frozenset(Counter(line.content for line in self.lines).items()))


@dataclass(frozen=True)
class BillingSchedule:
    """The periods of a deal, in the order of their days.

    Attributes:
        currency: ISO code of every amount; empty where the org does not tell it.
        frequency: of its recurring lines, where they have one in common.
        source: what the schedule was made from: revenue_schedule, line, deal, or several joined by ``+``; amendment for one that
            bills nothing but the difference of an amendment.
        next_number: the number that a further period gets.
        status: a paused or cancelled schedule bills nothing.
        why: why it is paused or cancelled, in a sentence.
        amendments: deals that amend the contract, and whose differences are part of it; the oldest first.
        account_id: who is billed, as agreed; empty where the deal had no account.
    """

    opportunity_id: str
    currency: str
    frequency: Frequency | None
    source: str
    periods: tuple[BillingPeriod, ...]
    next_number: int
    status: Status = "active"
    why: str = ""
    amendments: tuple[str, ...] = ()
    account_id: str = ""

    @property
    def total(self) -> Decimal:
        """What all periods come to; of a new schedule exactly the deal."""
        return sum_of(period.amount for period in self.periods)

    @property
    def summary(self) -> str:
        """The schedule in a sentence, for plans and messages."""
        rows = [period for period in self.periods if period.kind != "difference"]
        if not rows:
            return "Nothing is billed."
        first, others = rows[0], {period.amount for period in rows[1:]}
        often = f" {self.frequency.value}" if self.frequency is not None else ""
        text = f"{format_amount(self.total, self.currency).strip()} in {len(rows)}{often} invoices from {first.due_on}"
        if len(rows) == 1:
            return f"{format_amount(self.total, self.currency).strip()} in 1 invoice on {first.due_on}."
        if others == {first.amount}:
            return f"{text} to {rows[-1].due_on}, {format_amount(first.amount, self.currency).strip()} each."
        then = f", then {format_amount(others.pop(), self.currency).strip()} each" if len(others) == 1 else ""
        return f"{text} to {rows[-1].due_on}: first {format_amount(first.amount, self.currency).strip()}{then}."


def sum_of(amounts: Iterable[Decimal]) -> Decimal:
    """The exact sum; 0.00 of nothing."""
    with localcontext(prec=_DIGITS):
        return sum(amounts, Decimal("0.00"))


def numbered(periods: Iterable[BillingPeriod]) -> tuple[BillingPeriod, ...]:
    """Periods in the order of their days, numbered from 0; what is billed once comes before the period of the same day."""
    ordered = sorted(periods, key=lambda period: (period.due_on, period.kind != "once", period.span.starts))
    return tuple(replace(period, number=number) for number, period in enumerate(ordered))


def period_key(invoice_key: str, number: int) -> str:
    """The key of a period in the ledger, from that of the deal's invoice (:meth:`..history.BillingHistory.invoice_key`)."""
    return f"{invoice_key}:period-{number}"


def period_of(key: str) -> int | None:
    """The number of the period whose invoice has that key in the ledger; ``None`` for the invoice of a whole deal."""
    _, sign, number = key.rpartition(":period-")
    return int(number) if sign and number.isdecimal() else None


def deal_lines(period: BillingPeriod, line_text: str) -> list[DealLine]:
    """The lines of a period as :func:`..lines.invoice_lines` takes them: service date and text tell the days that they cover.

    Args:
        line_text: rules: ``recurring.line_text``, put under recurring lines.
    """
    found: list[DealLine] = []
    for scheduled in period.lines:
        line = scheduled.line
        if scheduled.recurring:
            days = {"covers_from": scheduled.span.starts.isoformat(), "covers_to": scheduled.span.ends.isoformat()}
            text = texts.filled(line_text, days).strip()
            line = replace(line, service_date=scheduled.span.starts)
            line = with_text(line, text) if text else line
        found.append(line)
    return found
