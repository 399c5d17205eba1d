"""What a source tells of a deal's lines, whatever the source is.

A source has one method, :meth:`LineSource.sold`. Sources are asked in order and the first that knows the deal answers;
opportunity products come last and always answer. Salesforce's native quotes and orders have their place before them: a native
quote is synced with the deal's products by Salesforce itself, so it needs a source of its own only where orders, not deals, are
billed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any, Literal, Protocol

from qbsf_pipeline.invoices.lines import DealLine
from qbsf_pipeline.invoices.validation import Reason

Charge = Literal["one_time", "recurring", "usage"]
Change = Literal["sale", "amendment", "renewal"]
SourceName = Literal["opportunity_products", "cpq_quote", "native_quote", "order"]


@dataclass(frozen=True)
class SoldLine:
    """A line with what its source says of how it is billed; everything as written there, ``None`` where it says nothing.

    Attributes:
        line: the line with its total for the whole term, deal's currency.
        family: product family.
        charge: whether it is billed once or again and again.
        frequency: word for how often, such as Monthly.
        periods: how many times.
        term_months: length of the whole term, in months.
        start_date: first day it covers.
        end_date: last day it covers.
        in_arrears: whether a period is billed at its end.
        has_revenue_schedule: Salesforce says that revenue schedules exist, whether or not they could be read.
    """

    line: DealLine
    family: str | None = None
    charge: Charge | None = None
    frequency: str | None = None
    periods: Decimal | None = None
    term_months: Decimal | None = None
    start_date: date | None = None
    end_date: date | None = None
    in_arrears: bool | None = None
    has_revenue_schedule: bool = False


@dataclass(frozen=True)
class QuoteTerms:
    """What the quote decides (rules: ``cpq.quote_decides``); ``None`` for what the deal and its account decide.

    Attributes:
        bill_to: name, street, city, state, postal_code and country as on the quote.
    """

    payment_terms: str | None = None
    billing_frequency: str | None = None
    start_date: date | None = None
    bill_to: Mapping[str, str] | None = None


@dataclass(frozen=True)
class SoldLines:
    """What one source tells of a deal.

    Attributes:
        source: which one.
        lines: in the order of the invoice.
        change: an amendment's lines are deltas to what its contract sold before: they change a schedule and are no sale.
        quote_id: the quote they come from.
        contract_id: the contract that an amendment or renewal changes.
        terms: what the quote decides.
        reasons: what stands against billing these lines, all at once.
        notes: code and sentence of what was done by rule.
    """

    source: SourceName
    lines: tuple[SoldLine, ...]
    change: Change = "sale"
    quote_id: str | None = None
    contract_id: str | None = None
    terms: QuoteTerms = QuoteTerms()
    reasons: tuple[Reason, ...] = ()
    notes: tuple[tuple[str, str], ...] = ()


class LineSource(Protocol):
    """Where a deal's lines come from."""

    def sold(self, deal: Mapping[str, Any]) -> SoldLines | None:
        """The lines of a deal; ``None`` where this source does not know it.

        Args:
            deal: row of ``salesforce.opportunity``: at least id, amount and currency.
        """


def sold_lines(deal: Mapping[str, Any], sources: Sequence[LineSource]) -> SoldLines:
    """The lines of a deal from the first source that knows it.

    Raises:
        LookupError: no source knows it; the last source must be opportunity products, which always answers.
    """
    for source in sources:
        found = source.sold(deal)
        if found is not None:
            return found
    raise LookupError(f"No source knows the lines of {deal['id']}.")


def with_text(line: DealLine, text: str) -> DealLine:
    """The line with a text under its description, whichever description the rules choose (``invoices.line_description``)."""
    product = line.product_description or line.product_name or ""
    own = ((line.description or "").strip() and line.description) or product
    return replace(line, description=f"{own}\n{text}".strip(), product_description=f"{product}\n{text}".strip())
