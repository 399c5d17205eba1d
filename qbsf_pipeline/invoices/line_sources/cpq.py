"""The primary quote of Salesforce CPQ as the source of a deal's lines.

Prices are the package's own, as calculated: a net price is prorated already and holds every discount, and a percent-of-total line
has its amount like any other. Nothing is calculated again; what would be billed is compared with the quote's own total.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal, localcontext
from typing import Any

import polars as pl

from qbsf_pipeline.customers.texts import clean, short_id
from qbsf_pipeline.invoices.line_sources import refusals
from qbsf_pipeline.invoices.line_sources.opportunity_products import products_by_id
from qbsf_pipeline.invoices.line_sources.sold import Change, Charge, QuoteTerms, SoldLine, SoldLines, with_text
from qbsf_pipeline.invoices.lines import DealLine, plain
from qbsf_pipeline.invoices.recurring.dividing import divided
from qbsf_pipeline.invoices.validation import Reason
from qbsf_pipeline.money import to_cents
from qbsf_pipeline.settings import CpqRules

_DIGITS = 60
_CHANGES: dict[str, Change] = {"": "sale", "quote": "sale", "amendment": "amendment", "renewal": "renewal"}
_CHARGES: dict[str, Charge] = {"onetime": "one_time", "recurring": "recurring", "usage": "usage"}
_API_TOTALS = {"net": "SBQQ__NetTotal__c", "customer": "SBQQ__CustomerTotal__c", "partner": "SBQQ__PartnerTotal__c"}
_NET_AMOUNT = "SBQQ__NetAmount__c"
_BILL_TO = ("name", "street", "city", "state", "postal_code", "country")


class CpqQuotes:
    """The deal's primary quote. It answers for deals that have one, and for those whose quotes need a person."""

    def __init__(self, quotes: pl.DataFrame, lines: pl.DataFrame, products: pl.DataFrame, rules: CpqRules) -> None:
        """
        Args:
            quotes: of :data:`.tables.CPQ_QUOTE`; empty where the org has no CPQ.
            lines: of :data:`.tables.CPQ_QUOTE_LINE`.
            products: ``salesforce.product2``.
        """
        self._rules = rules
        self._products = products_by_id(products)
        self._quotes: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._lines: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in _live(quotes).sort("id").iter_rows(named=True):
            self._quotes[short_id(row["opportunity_id"] or "")].append(row)
        for row in _live(lines).sort("number", "id", nulls_last=True).iter_rows(named=True):
            self._lines[row["quote_id"] or ""].append(row)

    def sold(self, deal: Mapping[str, Any]) -> SoldLines | None:
        """The lines of the primary quote; ``None`` for a deal without quotes, or where the rules prefer its products.

        Args:
            deal: id, amount and currency; ``None`` for a currency that the org does not tell.
        """
        quotes = self._quotes.get(short_id(deal["id"]), [])
        if not quotes or self._rules.lines_from == "opportunity_products":
            return None
        primary = [quote for quote in quotes if quote["is_primary"] is True]
        if not primary and self._rules.without_primary_quote == "products":
            return None
        if len(primary) != 1:
            refused = refusals.several_primary_quotes if primary else refusals.no_primary_quote
            return SoldLines("cpq_quote", (), reasons=(refused([_label(quote) for quote in primary or quotes]),))
        return self._of_quote(primary[0], deal)

    def _of_quote(self, quote: Mapping[str, Any], deal: Mapping[str, Any]) -> SoldLines:
        name, rules = _label(quote), self._rules
        reasons: list[Reason] = []
        notes: list[tuple[str, str]] = []
        change = _CHANGES.get((quote["type"] or "").strip().casefold())
        if change is None:
            reasons.append(refusals.unknown_quote_type(name, quote["type"]))
        accepted = {status.strip().casefold() for status in rules.statuses}
        if accepted and (quote["status"] or "").strip().casefold() not in accepted:
            reasons.append(refusals.quote_status_refused(name, quote["status"], rules.statuses))
        currencies = [(code or "").strip().upper() for code in (quote["currency"], deal["currency"])]
        if all(currencies) and currencies[0] != currencies[1]:
            reasons.append(refusals.quote_currency_differs(name, *currencies))

        rows = [row for row in self._lines.get(quote["id"], []) if row["is_optional"] is not True]
        totals = {row["id"]: self._total(row) for row in rows}
        unknown = [_line_label(row) for row in rows if totals[row["id"]] is None]
        if unknown:
            reasons.append(refusals.quote_line_without_amount(name, unknown, _API_TOTALS[rules.total]))
        used = [row for row in rows if _charge(row) == "usage"]
        charged = [_line_label(row) for row in used if totals[row["id"]]]
        if charged:
            reasons.append(refusals.usage_line(name, charged))
        left_out = {row["id"] for row in used if totals[row["id"]] == 0}
        if change == "amendment":
            left_out |= {row["id"] for row in rows if totals[row["id"]] == 0}
        rows = [row for row in rows if row["id"] not in left_out and totals[row["id"]] is not None]
        sold = [self._sold(row, quote, totals[row["id"]] or Decimal(0)) for row in rows]
        if any(row["subscription_pricing"] for row in rows):
            # In CPQ a product is a subscription if, and only if, it has a subscription pricing.
            sold = [_marked(line, subscribed=bool(row["subscription_pricing"])) for row, line in zip(rows, sold, strict=True)]
        lines = self._bundled(rows, sold, notes)
        # An amendment whose lines all come to nothing changes no amount.
        if not rows and not unknown and not (change == "amendment" and left_out):
            reasons.append(refusals.quote_without_lines(name))
        if lines and not unknown:
            lines = self._agreed(lines, rows, quote, deal, reasons, notes)
        return SoldLines(
            source="cpq_quote",
            lines=tuple(lines),
            change=change or "sale",
            quote_id=quote["id"],
            contract_id=quote["contract_id"],
            terms=self._terms(quote),
            reasons=tuple(reasons),
            notes=tuple(notes),
        )

    def _total(self, row: Mapping[str, Any]) -> Decimal | None:
        total: Decimal | None = row[f"{self._rules.total}_total"]
        return _net_total(row) if self._rules.total == "net" else total

    def _agreed(
        self,
        lines: list[SoldLine],
        rows: Sequence[Mapping[str, Any]],
        quote: Mapping[str, Any],
        deal: Mapping[str, Any],
        reasons: list[Reason],
        notes: list[tuple[str, str]],
    ) -> list[SoldLine]:
        """The lines, once they come to the quote's total; a discount that only the quote holds is spread over them by rule.

        CPQ has no total at partner prices, and may not show the one at customer prices: then net totals prove that every line of
        the quote was read.
        """
        found = _sum([sold.line.total for sold in lines])
        expected = quote["customer_amount"] if self._rules.total == "customer" else None
        if self._rules.total == "net":
            expected = quote["net_amount"] if quote["net_amount"] is not None else deal["amount"]
        elif expected is None:
            nets = [_net_total(row) for row in rows]
            known = [net for net in nets if net is not None]
            found = _sum(known)
            expected = quote["net_amount"] if len(known) == len(nets) else None
        if expected is None:
            reasons.append(refusals.quote_total_missing(_label(quote), _NET_AMOUNT))
            return lines
        expected = to_cents(expected)
        discount = to_cents(abs(quote["additional_discount_amount"] or Decimal(0)))
        weights = [max(int(to_cents(sold.line.total) * 100), 0) for sold in lines]
        spread = self._rules.quote_discount == "spread" and self._rules.total == "net" and any(weights)
        if spread and discount and found - discount == expected:
            notes.append(("quote_discount_spread", f"The quote's own discount of {discount:,.2f} is spread over its lines."))
            shares = divided(discount, weights, "first")
            return [
                replace(sold, line=replace(sold.line, total=sold.line.total - share, unit_price=None)) if share else sold
                for sold, share in zip(lines, shares, strict=True)
            ]
        if found != expected:
            currency = deal["currency"] or quote["currency"] or ""
            reasons.append(refusals.quote_total_differs(_label(quote), expected, found, currency))
        return lines

    def _bundled(
        self, rows: Sequence[Mapping[str, Any]], lines: Sequence[SoldLine], notes: list[tuple[str, str]]
    ) -> list[SoldLine]:
        """Lines that a bundle includes at no price: kept, told on the bundle's line, or dropped. A line with an amount stays."""
        free = {row["id"] for row, sold in zip(rows, lines, strict=True) if row["is_bundled"] is True and not sold.line.total}
        if self._rules.bundled_lines == "keep" or not free:
            return list(lines)
        if len(free) == len(lines):
            # A quote of nothing but free parts: dropping them would leave a deal without lines.
            return list(lines)
        parent_of = {row["id"]: row["required_by_id"] for row in rows}
        texts: dict[str, list[str]] = defaultdict(list)
        kept: set[str] = set()
        for sold in lines:
            line = sold.line
            if line.line_id not in free:
                continue
            parent = parent_of[line.line_id]
            seen = {line.line_id}
            while parent in free and parent not in seen:
                seen.add(parent)
                parent = parent_of[parent]
            if self._rules.bundled_lines == "fold":
                if parent not in parent_of or parent in free:
                    kept.add(line.line_id)
                    notes.append(("bundle_not_found", f"The bundle of {line.label} is not on the quote: it stays a line."))
                else:
                    quantity = f"{plain(line.quantity):f} x " if line.quantity else ""
                    texts[parent].append(f"Includes {quantity}{clean(line.label, one_line=True)}")
        remaining = [sold for sold in lines if sold.line.line_id not in free or sold.line.line_id in kept]
        return [
            replace(sold, line=with_text(sold.line, "\n".join(texts[sold.line.line_id]))) if sold.line.line_id in texts else sold
            for sold in remaining
        ]

    def _sold(self, row: Mapping[str, Any], quote: Mapping[str, Any], total: Decimal) -> SoldLine:
        product = self._products.get(row["product_id"] or "", {})
        net = self._rules.total == "net"
        term = row["subscription_term"] or row["default_subscription_term"] or quote["subscription_term"]
        charge = _charge(row)
        # The effective days are the package's own reading of line, group and quote, and begin with an amendment.
        starts = _first_of(row["effective_start_date"], row["start_date"], quote["start_date"])
        ends = _first_of(row["effective_end_date"], row["end_date"], quote["end_date"])
        if self._rules.term_unit == "day" and ends is None and starts is not None and term:
            ends = _after_days(starts, term)
        return SoldLine(
            line=DealLine(
                line_id=row["id"],
                product_id=row["product_id"],
                product_code=row["product_code"] or product.get("product_code"),
                product_name=row["product_name"] or product.get("name"),
                product_sku=product.get("sku"),
                product_description=product.get("description"),
                item_name=product.get("item_name"),
                class_name=product.get("class_name"),
                description=row["description"],
                quantity=_quantity(row),
                unit_price=row["net_price"] if net else None,
                discount=None,
                total=total,
                service_date=None,
            ),
            family=product.get("family"),
            charge=charge,
            frequency=None if charge == "one_time" else row["billing_frequency"],
            term_months=term if self._rules.term_unit == "month" else None,
            start_date=starts,
            end_date=ends,
            in_arrears={"arrears": True, "advance": False}.get((row["billing_type"] or "").strip().casefold()),
        )

    def _terms(self, quote: Mapping[str, Any]) -> QuoteTerms:
        decides = self._rules.quote_decides
        bill_to = {part: (quote[f"billing_{part}"] or "").strip() for part in _BILL_TO}
        return QuoteTerms(
            payment_terms=_text(quote["payment_terms"]) if "payment_terms" in decides else None,
            billing_frequency=_text(quote["billing_frequency"]) if "billing_frequency" in decides else None,
            start_date=quote["start_date"] if "start_date" in decides else None,
            bill_to=bill_to if "bill_to" in decides and any(bill_to.values()) else None,
        )


def _live(frame: pl.DataFrame) -> pl.DataFrame:
    return (
        frame.filter(~pl.col("is_deleted").fill_null(False))
        .drop("record", strict=False)
        .unique("id", keep="first", maintain_order=True)
    )


def _net_total(row: Mapping[str, Any]) -> Decimal | None:
    """The line's net total; where the user may not see it, by the package's own formula. The quote's total proves it."""
    total: Decimal | None = row["net_total"]
    quantity = _quantity(row)
    if total is None and quantity is not None and row["net_price"] is not None:
        with localcontext(prec=_DIGITS):
            return to_cents(quantity * row["net_price"])
    return total


def _sum(amounts: Sequence[Decimal]) -> Decimal:
    with localcontext(prec=_DIGITS):
        return to_cents(sum(amounts, Decimal(0)))


def _charge(row: Mapping[str, Any]) -> Charge | None:
    """Once or again and again; the subscription type tells it where the charge type is empty (it belongs to Billing)."""
    told = _CHARGES.get(_letters(row["charge_type"]))
    if told is None and _letters(row["billing_frequency"]) == "usage":
        return "usage"
    return told or ("one_time" if _letters(row["subscription_type"]) == "onetime" else None)


def _marked(sold: SoldLine, *, subscribed: bool) -> SoldLine:
    if sold.charge is not None:
        return sold
    return replace(sold, charge="recurring") if subscribed else replace(sold, charge="one_time", frequency=None)


def _letters(text: str | None) -> str:
    return "".join(character for character in (text or "").casefold() if character.isalpha())


def _quantity(row: Mapping[str, Any]) -> Decimal | None:
    effective: Decimal | None = row["effective_quantity"]
    quantity: Decimal | None = row["quantity"]
    return effective if effective is not None else quantity


def _after_days(starts: date, term: Decimal) -> date | None:
    """The last of ``term`` days; ``None`` for a term that is none."""
    try:
        return starts + timedelta(days=int(term) - 1)
    except (OverflowError, ValueError):
        return None


def _first_of(*days: date | None) -> date | None:
    return next((day for day in days if day is not None), None)


def _text(text: str | None) -> str | None:
    return (text or "").strip() or None


def _label(quote: Mapping[str, Any]) -> str:
    return str(quote["name"] or quote["id"])


def _line_label(row: Mapping[str, Any]) -> str:
    return str(row["product_name"] or row["product_code"] or row["description"] or row["id"])
