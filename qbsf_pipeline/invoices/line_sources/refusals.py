"""Reasons why the lines of a CPQ quote are not billed. Codes are public, as those in :mod:`..validation`."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from qbsf_pipeline.invoices.validation import Reason
from qbsf_pipeline.money import format_amount

_MOST_NAMES = 12


def named(names: Sequence[str]) -> str:
    """Names for a sentence; the first twelve, and how many more there are."""
    short = [f"“{' '.join(name.split())}”" for name in names[:_MOST_NAMES]]
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return (", ".join(short) or "none") + more


def several_primary_quotes(quotes: Sequence[str]) -> Reason:
    """More than one quote says that it is the primary one."""
    return Reason(
        "several_primary_quotes",
        f"The deal has several primary quotes: {named(quotes)}.",
        "Leave the check mark Primary on the one quote that was signed.",
    )


def no_primary_quote(quotes: Sequence[str]) -> Reason:
    """The deal has quotes, none of them primary, and the rules refuse that (``cpq.without_primary_quote``)."""
    return Reason(
        "no_primary_quote",
        f"None of the deal's quotes is the primary one: {named(quotes)}.",
        "Mark the signed quote as Primary, or set cpq.without_primary_quote to products.",
    )


def quote_status_refused(quote: str, status: str | None, accepted: Sequence[str]) -> Reason:
    """The quote is not in a state that is billed (``cpq.statuses``)."""
    return Reason(
        "quote_status_refused",
        f"The primary quote {named([quote])} is {named([status or 'without a status'])}; billed are {named(accepted)}.",
        "Move the quote on, or correct cpq.statuses in QBSF_CONFIG.",
    )


def quote_without_lines(quote: str) -> Reason:
    """The quote has no line that is sold."""
    return Reason(
        "quote_without_lines",
        f"The primary quote {named([quote])} has no lines that are sold.",
        "Add the products to the quote, or give the integration user access to its lines.",
    )


def quote_line_without_amount(quote: str, labels: Sequence[str], field: str) -> Reason:
    """Lines of which the package tells no total."""
    return Reason(
        "line_without_amount",
        f"The quote {named([quote])} tells no {field} of {named(labels)}.",
        f"Open the quote and calculate it again, or give the integration user access to {field}.",
    )


def quote_total_missing(quote: str, field: str) -> Reason:
    """Nothing tells what the lines must come to, so nothing proves that all of them were read."""
    return Reason(
        "quote_total_missing",
        f"The quote {named([quote])} tells nothing to compare its lines with: no {field}, or no net totals of all lines.",
        f"Give the integration user access to {field} and to SBQQ__NetTotal__c.",
    )


def quote_total_differs(quote: str, total: Decimal, lines: Decimal, currency: str) -> Reason:
    """The lines that would be billed do not come to the quote's total."""
    return Reason(
        "quote_total_differs",
        f"The quote {named([quote])} comes to {format_amount(total, currency).strip()}, "
        f"and its lines to {format_amount(lines, currency).strip()}.",
        "Open the quote and calculate it again; look for lines that the integration user cannot read.",
    )


def quote_currency_differs(quote: str, quote_currency: str, currency: str) -> Reason:
    """Quote and deal are in two currencies."""
    return Reason(
        "quote_currency_differs",
        f"The quote {named([quote])} is in {quote_currency}, and the deal in {currency}.",
        "Make a quote in the currency of the deal.",
    )


def usage_line(quote: str, labels: Sequence[str]) -> Reason:
    """Usage is billed by what was used, which no quote tells."""
    return Reason(
        "usage_line",
        f"The quote {named([quote])} has an amount for usage: {named(labels)}. Usage is not known before it happened.",
        "Bill usage in QuickBooks by hand, and take its amount off the quote.",
    )


def unknown_quote_type(quote: str, kind: str) -> Reason:
    """The quote is neither a sale, an amendment nor a renewal, so its amounts may be whole or differences."""
    return Reason(
        "unknown_quote_type",
        f"The quote {named([quote])} is of the type {named([kind])}; known are Quote, Amendment and Renewal.",
        "Correct the type of the quote.",
    )
