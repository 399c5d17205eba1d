"""Salesforce's revenue schedules (OpportunityLineItemSchedule): a line's revenue by day, as sales laid it down."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

import polars as pl

from qbsf_pipeline.invoices.line_sources.sold import SoldLine
from qbsf_pipeline.invoices.lines import DealLine, cent_amounts
from qbsf_pipeline.invoices.recurring import refusals
from qbsf_pipeline.invoices.recurring.periods import Span, months_later
from qbsf_pipeline.invoices.recurring.schedule import ScheduledLine, sum_of
from qbsf_pipeline.invoices.validation import Reason
from qbsf_pipeline.money import to_cents

_DAY = timedelta(days=1)
#: Types of rows that carry revenue; rows of the type Quantity say nothing of money.
_REVENUE = frozenset({"revenue", "both"})
_STEPS = (1, 2, 3, 4, 6, 12)


@dataclass(frozen=True)
class RevenueRow:
    """One day of a line's revenue schedule, as written; ``None`` for what is not told."""

    day: date | None
    revenue: Decimal | None
    quantity: Decimal | None
    description: str | None
    currency: str | None


def revenue_rows(frame: pl.DataFrame) -> dict[str, tuple[RevenueRow, ...]]:
    """Rows that carry revenue, by the line's id, by day and id.

    Args:
        frame: of :data:`..line_sources.tables.REVENUE_SCHEDULE`; empty where the org has no schedules.
    """
    found: dict[str, list[RevenueRow]] = defaultdict(list)
    live = frame.filter(
        ~pl.col("is_deleted").fill_null(False) & pl.col("type").str.strip_chars().str.to_lowercase().is_in(list(_REVENUE))
    )
    rows = live.unique("id", keep="first", maintain_order=True).sort("schedule_date", "id", nulls_last=True)
    for row in rows.iter_rows(named=True):
        if row["line_id"]:
            found[row["line_id"]].append(
                RevenueRow(row["schedule_date"], row["revenue"], row["quantity"], row["description"], row["currency"])
            )
    return {line_id: tuple(rows) for line_id, rows in found.items()}


def scheduled_by_revenue(
    sold: SoldLine, rows: Sequence[RevenueRow], cents: Decimal, currency: str
) -> list[ScheduledLine] | tuple[Reason, ...]:
    """A line's shares by its revenue schedule, or what stands against it.

    Args:
        rows: by day.
        cents: what the line comes to on the deal, two places: the shares come to exactly this.
        currency: of the deal; empty where it is not known.
    """
    label = sold.line.label
    reasons: list[Reason] = []
    if any(row.day is None for row in rows):
        reasons.append(refusals.schedule_incomplete(label, "date"))
    if any(row.revenue is None for row in rows):
        reasons.append(refusals.schedule_incomplete(label, "revenue"))
    other = next((code for row in rows if (code := (row.currency or "").strip().upper()) and currency not in ("", code)), None)
    if other is not None:
        reasons.append(refusals.schedule_currency_differs(label, other, currency))
    days = [row.day for row in rows if row.day is not None]
    revenues = [row.revenue for row in rows if row.revenue is not None]
    if reasons:
        return tuple(reasons)
    total = to_cents(sum_of(revenues))
    if total != to_cents(sold.line.total):
        return (refusals.schedule_differs(label, total, to_cents(sold.line.total), currency),)
    shares = cent_amounts(revenues)
    # The cent by which all lines of the deal together are rounded otherwise than this one.
    shares[0] += cents - total
    return [
        ScheduledLine(_share(sold.line, row, share), recurring=True, span=span)
        for row, share, span in zip(rows, shares, _spans(days), strict=True)
    ]


def _share(line: DealLine, row: RevenueRow, share: Decimal) -> DealLine:
    return replace(
        line,
        total=share,
        quantity=row.quantity if row.quantity else line.quantity,
        unit_price=line.unit_price if row.quantity else None,
        description=row.description if (row.description or "").strip() else line.description,
    )


def _spans(days: Sequence[date]) -> list[Span]:
    """From each day to the day before the next other one. The last is as long as the others where these are whole months."""
    distinct = sorted(set(days))
    last = distinct[-1]
    after = last + _DAY if last < date.max else last
    if len(distinct) > 1:
        try:
            laid = [months_later(distinct[0], number) for number in range(13)]
            step = next((step for step in _STEPS if laid[step] == distinct[1]), None)
            if step is not None and all(day == months_later(distinct[0], place * step) for place, day in enumerate(distinct)):
                after = months_later(distinct[0], len(distinct) * step)
        except OverflowError:
            # At the end of the calendar the last day stands for itself.
            pass
    ends = {one: other - _DAY for one, other in pairwise([*distinct, after])}
    return [Span(day, max(ends[day], day)) for day in days]
