"""From a won deal to its billing schedule: every line divided over its days, and all of it together exactly the deal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal

from qbsf_pipeline.invoices.line_sources.sold import SoldLine
from qbsf_pipeline.invoices.lines import cent_amounts
from qbsf_pipeline.invoices.recurring import refusals
from qbsf_pipeline.invoices.recurring.dividing import divided
from qbsf_pipeline.invoices.recurring.periods import Frequency, Span
from qbsf_pipeline.invoices.recurring.revenue_schedules import RevenueRow, scheduled_by_revenue
from qbsf_pipeline.invoices.recurring.schedule import BillingPeriod, BillingSchedule, ScheduledLine, numbered
from qbsf_pipeline.invoices.recurring.terms import DealTerms, Recurrence, is_recurring, recurrence_of
from qbsf_pipeline.invoices.validation import Reason
from qbsf_pipeline.settings import RecurringRules

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Scheduling:
    """What becomes of a deal.

    Attributes:
        schedule: ``None`` for a deal that is one plain invoice, and where there are reasons.
        reasons: what stands against billing it period by period, all at once. The deal waits; it is not billed at once instead.
    """

    schedule: BillingSchedule | None
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True)
class Divided:
    """The lines of a deal, divided.

    Attributes:
        shares: of recurring lines.
        once: lines that are billed once, with their amount in cents.
    """

    shares: tuple[ScheduledLine, ...]
    once: tuple[tuple[SoldLine, Decimal], ...]
    sources: tuple[str, ...]
    reasons: tuple[Reason, ...]


def billing_schedule(
    deal: DealTerms, lines: Sequence[SoldLine], revenue: Mapping[str, Sequence[RevenueRow]], rules: RecurringRules
) -> Scheduling:
    """The billing schedule of a deal, made of nothing but the deal: it is the same on every day.

    The total of the schedule is the rounded sum of the lines' totals. What is not checked here: that this sum is the deal's
    amount (:func:`..validation.amount_differs`), and that it is above zero.

    Args:
        lines: of the deal's source; those of an amendment are no sale, see :func:`.amending.amended`.
        revenue: of :func:`.revenue_schedules.revenue_rows`, by line.
    """
    if not rules.enabled or not lines:
        return Scheduling(None)
    found = divide(deal, lines, revenue, rules)
    arrears = [sold.line.label for sold in lines if sold.in_arrears is True]
    advance = [sold.line.label for sold in lines if sold.in_arrears is False and sold.charge != "one_time"]
    reasons = list(found.reasons)
    if found.shares and arrears and advance:
        reasons.append(refusals.billing_types_differ(arrears, advance))
    if reasons or not found.shares:
        return Scheduling(None, tuple(reasons))
    in_arrears = bool(arrears) or (not advance and rules.billed == "in_arrears")
    periods = numbered(_periods(found, in_arrears=in_arrears, separate=rules.one_time_lines == "separate" or in_arrears))
    below = [refusals.period_below_zero(row.span.starts, row.amount, deal.currency) for row in periods if row.amount < 0]
    if below:
        return Scheduling(None, tuple(below))
    frequencies = {share.frequency for share in found.shares}
    schedule = BillingSchedule(
        opportunity_id=deal.opportunity_id,
        currency=deal.currency,
        frequency=frequencies.pop() if len(frequencies) == 1 else None,
        source="+".join(found.sources),
        periods=periods,
        next_number=len(periods),
        account_id=deal.account_id,
    )
    return Scheduling(schedule)


def single_invoice(deal: DealTerms, lines: Sequence[SoldLine], day: date) -> BillingSchedule:
    """All lines on one invoice of ``day``: what a deal wants that was recurring and is one-time now."""
    amounts = cent_amounts([sold.line.total for sold in lines])
    once = tuple(once_of(sold, cents, day) for sold, cents in zip(lines, amounts, strict=True))
    period = BillingPeriod(0, "once", Span(day, day), day, once)
    return BillingSchedule(deal.opportunity_id, deal.currency, None, "deal", (period,), next_number=1, account_id=deal.account_id)


def own_difference(deal: DealTerms, lines: Sequence[SoldLine], today: date, rules: RecurringRules) -> BillingSchedule:
    """What an amendment adds to its contract or takes from it, as one period of the amendment's own deal: where the deal that
    made the contract is one plain invoice, nothing else can bill it.

    Args:
        lines: of the amendment's quote; their sum may be below zero, which is a credit.
        today: the company's day: a difference is due at once.
    """
    found = []
    for sold, cents in zip(lines, cent_amounts([sold.line.total for sold in lines]), strict=True):
        starts = sold.start_date or deal.start_date or deal.close_date or today
        if sold.charge == "one_time" or not is_recurring(sold, rules):
            found.append(once_of(sold, cents, starts))
        else:
            found.append(share_of(sold, cents, Span(starts, max(starts, sold.end_date or starts)), None))
    periods: tuple[BillingPeriod, ...] = ()
    if found:
        span = Span(min(line.span.starts for line in found), max(line.span.ends for line in found))
        periods = (BillingPeriod(0, "difference", span, today, tuple(found)),)
    return BillingSchedule(
        deal.opportunity_id, deal.currency, None, "amendment", periods, next_number=1, account_id=deal.account_id
    )


def divide(
    deal: DealTerms, lines: Sequence[SoldLine], revenue: Mapping[str, Sequence[RevenueRow]], rules: RecurringRules
) -> Divided:
    """Every line as shares by its own days, or once; and everything that stands against that."""
    shares: list[ScheduledLine] = []
    once: list[tuple[SoldLine, Decimal]] = []
    sources: list[str] = []
    reasons: list[Reason] = []
    for sold, cents in zip(lines, cent_amounts([sold.line.total for sold in lines]), strict=True):
        line = sold.line
        if "revenue_schedule" in rules.sources and (sold.has_revenue_schedule or revenue.get(line.line_id)):
            rows = revenue.get(line.line_id, ())
            laid = scheduled_by_revenue(sold, rows, cents, deal.currency) if rows else (refusals.schedule_not_read(line.label),)
            if isinstance(laid, tuple):
                reasons += laid
            else:
                shares += laid
                sources.append("revenue_schedule")
            continue
        found = recurrence_of(sold, deal, rules)
        if isinstance(found, Reason):
            reasons.append(found)
        elif found is None:
            once.append((sold, cents))
        else:
            shares += _shares(sold, cents, found, rules)
            sources.append(found.source)
    return Divided(tuple(shares), tuple(once), tuple(dict.fromkeys(sources)), tuple(dict.fromkeys(reasons)))


def _shares(sold: SoldLine, cents: Decimal, found: Recurrence, rules: RecurringRules) -> list[ScheduledLine]:
    parts = divided(cents, found.weights, rules.remainder)
    return [share_of(sold, part, span, found.frequency) for part, span in zip(parts, found.spans, strict=True)]


def share_of(sold: SoldLine, part: Decimal, span: Span, frequency: Frequency | None) -> ScheduledLine:
    """A part of a recurring line for the days of ``span``; the price of one unit is that of the whole term, and left out."""
    whole = part == sold.line.total
    line = replace(sold.line, total=part, unit_price=sold.line.unit_price if whole else None)
    return ScheduledLine(line, recurring=True, span=span, frequency=frequency)


def once_of(sold: SoldLine, cents: Decimal, day: date) -> ScheduledLine:
    """A line that is billed once, on ``day``."""
    return ScheduledLine(replace(sold.line, total=cents), recurring=False, span=Span(day, day))


def _periods(found: Divided, *, in_arrears: bool, separate: bool) -> list[BillingPeriod]:
    """One period for each day on which something is billed; together they cover all days from the first to the last."""
    by_day: dict[date, list[ScheduledLine]] = defaultdict(list)
    for share in found.shares:
        # A revenue schedule names the day itself.
        by_day[share.span.ends if in_arrears and share.frequency is not None else share.span.starts].append(share)
    days = sorted(by_day)
    first = min(share.span.starts for share in found.shares)
    last = max(share.span.ends for share in found.shares)
    fees = tuple(once_of(sold, cents, first) for sold, cents in found.once)
    rows: list[BillingPeriod] = []
    for place, day in enumerate(days):
        if in_arrears:
            span = Span(days[place - 1] + _DAY if place else first, day if place + 1 < len(days) else max(day, last))
        else:
            span = Span(day, days[place + 1] - _DAY if place + 1 < len(days) else last)
        lines = (*fees, *by_day[day]) if fees and not separate and place == 0 else tuple(by_day[day])
        rows.append(BillingPeriod(place, "period", span, day, lines))
    if fees and separate:
        rows.append(BillingPeriod(len(rows), "once", Span(first, first), first, fees))
    return rows
