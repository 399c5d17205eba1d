"""How one line is billed: once, or how often, how many times and from which day. From the line's own fields, else the deal's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Literal

from qbsf_pipeline.invoices.line_sources.sold import QuoteTerms, SoldLine
from qbsf_pipeline.invoices.recurring import refusals
from qbsf_pipeline.invoices.recurring.periods import (
    MOST_PERIODS,
    Frequency,
    Span,
    frequency_of,
    months_later,
    spans,
    spans_until,
)
from qbsf_pipeline.invoices.validation import Reason
from qbsf_pipeline.settings import RecurringRules
from qbsf_pipeline.warehouse.tables import decimal_or_none

_THE_DEAL = "The deal"


@dataclass(frozen=True)
class DealTerms:
    """What a deal says of its billing, as written there.

    Attributes:
        account_id: who is billed; empty for nobody.
        currency: ISO code; empty where neither deal nor org tells it.
        frequency: word for how often.
        periods: how many times; may be no whole number.
    """

    opportunity_id: str
    account_id: str
    currency: str
    close_date: date | None
    frequency: str | None
    periods: Decimal | None
    start_date: date | None


def deal_terms(deal: Mapping[str, Any], quote: QuoteTerms, org_currency: str | None) -> DealTerms:
    """What a deal says of its billing; what its quote decides comes first.

    Args:
        deal: row of ``salesforce.opportunity``: id, account_id, currency, close_date, billing_frequency, billing_periods and
            billing_start_date.
        quote: empty without a quote.
        org_currency: where deals name no currency.
    """
    return DealTerms(
        opportunity_id=deal["id"],
        account_id=deal["account_id"] or "",
        currency=(deal["currency"] or org_currency or "").strip().upper(),
        close_date=deal["close_date"],
        frequency=quote.billing_frequency or deal["billing_frequency"],
        periods=decimal_or_none(deal["billing_periods"]),
        start_date=quote.start_date or deal["billing_start_date"],
    )


@dataclass(frozen=True)
class Recurrence:
    """The periods of one recurring line.

    Attributes:
        weights: of each period; they differ only where the last one is shorter.
        source: where the frequency stands.
    """

    frequency: Frequency
    spans: tuple[Span, ...]
    weights: tuple[int, ...]
    source: Literal["line", "deal"]


def recurrence_of(sold: SoldLine, deal: DealTerms, rules: RecurringRules) -> Recurrence | Reason | None:
    """How a line is billed again and again; ``None`` for a line that is billed once, or what stands against it.

    A line's own frequency counts whatever its product is. The deal's counts for lines that are recurring by rule, in this order:
    what the source says of the charge, names of products, families, and ``recurring.unmarked_lines`` for the others. Length:
    periods of the line, its end date, its term, then the periods of the deal.
    """
    if sold.charge == "one_time":
        return None
    for source in rules.sources:
        told = {"line": sold.frequency, "deal": deal.frequency}.get(source)
        if source == "revenue_schedule" or not (told or "").strip():
            continue
        whose = _whose(sold) if source == "line" else _THE_DEAL
        frequency = frequency_of(told or "", rules.frequencies)
        if frequency is None:
            return refusals.frequency_unknown(whose, told or "")
        if frequency is Frequency.ONE_TIME or (source == "deal" and not is_recurring(sold, rules)):
            return None
        return _periods(sold, deal, frequency, "line" if source == "line" else "deal", rules)
    return None


def is_recurring(sold: SoldLine, rules: RecurringRules) -> bool:
    """Whether a line without a frequency of its own is a subscription: by its source, its product's name or code, or family."""
    if sold.charge == "recurring":
        return True
    names = {_plain(sold.line.product_name), _plain(sold.line.product_code)} - {""}
    for once, again, own in (
        (rules.one_time_products, rules.recurring_products, names),
        (rules.one_time_families, rules.recurring_families, {_plain(sold.family)} - {""}),
    ):
        if own & {_plain(name) for name in once}:
            return False
        if own & {_plain(name) for name in again}:
            return True
    return rules.unmarked_lines == "recurring"


def _periods(
    sold: SoldLine, deal: DealTerms, frequency: Frequency, source: Literal["line", "deal"], rules: RecurringRules
) -> Recurrence | Reason:
    own = "line" in rules.sources
    whose = _whose(sold)
    starts = (sold.start_date if own else None) or deal.start_date
    if starts is None and rules.without_start == "close_date":
        starts = deal.close_date
    count, ends = deal.periods, None
    counted_by = _THE_DEAL
    if own and sold.periods is not None:
        count, counted_by = sold.periods, whose
    elif own and (sold.end_date is not None or sold.term_months is not None):
        count, ends = None, sold.end_date
    if count is not None and not (count == count.to_integral_value() and 1 <= count <= MOST_PERIODS):
        return refusals.periods_invalid(counted_by, count)
    if starts is None:
        return refusals.start_missing(_THE_DEAL if source == "deal" else whose)
    try:
        if count is None and ends is None and own and sold.term_months is not None:
            months = sold.term_months
            if months != months.to_integral_value() or not 1 <= months <= MOST_PERIODS:
                return refusals.periods_invalid(whose, months / frequency.months)
            ends = months_later(starts, int(months)) - timedelta(days=1)
        if count is not None:
            found: Sequence[Span] = spans(starts, frequency.months, int(count))
            weights = [1] * len(found)
        elif ends is None:
            return refusals.periods_missing(_THE_DEAL if source == "deal" else whose)
        elif ends < starts:
            return refusals.dates_reversed(whose, starts, ends)
        else:
            found, weights = spans_until(starts, frequency.months, ends)
    except OverflowError:
        return refusals.dates_too_far(_THE_DEAL if starts == deal.start_date else whose, starts)
    if len(found) > MOST_PERIODS:
        return refusals.periods_invalid(whose, Decimal(len(found)))
    return Recurrence(frequency, tuple(found), tuple(weights), source)


def _whose(sold: SoldLine) -> str:
    return f"The line {refusals.shown(sold.line.label)}"


def _plain(text: str | None) -> str:
    return " ".join((text or "").split()).casefold()
