"""Lines: what a deal's lines come to on an invoice, to the cent, and at which rate.

``TotalPrice`` of the deal's line is the truth; quantity and rate are told only where they multiply to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal, localcontext

from qbsf_pipeline.money import CENT, to_cents
from qbsf_pipeline.settings import InvoiceRules

#: QuickBooks keeps rates with up to this many decimals.
RATE_DECIMALS = 7
_HALF_CENT = Decimal("0.005")
#: Products of two 28-digit numbers are exact with this many digits.
_DIGITS = 60


@dataclass(frozen=True)
class DealLine:
    """A line of a deal with its product.

    Attributes:
        total: TotalPrice in the deal's currency, as many decimals as Salesforce gave.
        unit_price: sales price of one unit before discount.
        discount: percent.
        item_name: QuickBooks item that the product itself names (rules: ``salesforce.product_item_field``).
        class_name: QuickBooks class that the product itself names.
    """

    line_id: str
    product_id: str | None
    product_code: str | None
    product_name: str | None
    product_sku: str | None
    product_description: str | None
    item_name: str | None
    class_name: str | None
    description: str | None
    quantity: Decimal | None
    unit_price: Decimal | None
    discount: Decimal | None
    total: Decimal
    service_date: date | None

    @property
    def label(self) -> str:
        """How the line is named to people."""
        return self.product_name or self.product_code or self.description or self.line_id


@dataclass(frozen=True)
class InvoiceLine:
    """A line as it is billed.

    Attributes:
        amount: what is billed, two places; all amounts of a deal add up to the rounded sum of its totals.
        rate: price of one unit, at most seven decimals, so that quantity times rate is the amount when rounded; ``None``
            where there is no such rate, and the line carries its amount only.
    """

    line: DealLine
    amount: Decimal
    rate: Decimal | None


def invoice_lines(lines: Sequence[DealLine], rules: InvoiceRules) -> list[InvoiceLine]:
    """The deal's lines as they are billed, in the same order; lines of zero are left out when the rules say so."""
    amounts = cent_amounts([line.total for line in lines])
    return [
        InvoiceLine(line, amount, rate_for(amount, line.quantity, line.unit_price))
        for line, amount in zip(lines, amounts, strict=True)
        if amount or rules.zero_lines == "keep"
    ]


def cent_amounts(totals: Sequence[Decimal]) -> list[Decimal]:
    """Each total rounded to cents; what rounding loses or adds goes to the largest, so that the sum is the rounded sum."""
    amounts = [to_cents(total) for total in totals]
    with localcontext(prec=_DIGITS):
        missing = to_cents(sum(totals, Decimal(0))) - sum(amounts, Decimal(0))
        if missing:
            largest = max(range(len(totals)), key=lambda index: abs(totals[index]))
            amounts[largest] += missing
    return amounts


def rate_for(amount: Decimal, quantity: Decimal | None, unit_price: Decimal | None = None) -> Decimal | None:
    """The rate at which ``quantity`` units come to ``amount``, with as few decimals as possible.

    QuickBooks refuses a line whose amount is not quantity times rate (6070) and keeps seven decimals. The deal's own unit
    price comes first where it fits; then a rate that multiplies exactly; then the shortest that rounds to the amount.
    ``None`` where there is none, and for a quantity of zero or none.

    >>> rate_for(Decimal("100.00"), Decimal(3))
    Decimal('33.333')
    """
    if not quantity:
        return None
    with localcontext(prec=_DIGITS):
        if unit_price is not None and unit_price == round(unit_price, RATE_DECIMALS) and _fits(unit_price, quantity, amount):
            return plain(unit_price)
        exact = _rounded(amount / quantity, RATE_DECIMALS)
        if exact * quantity == amount:
            return plain(exact)
        for decimals in range(RATE_DECIMALS + 1):
            rate = _rounded(amount / quantity, decimals)
            if _fits(rate, quantity, amount):
                return plain(rate)
    return None


def plain(number: Decimal) -> Decimal:
    """The number without surplus zeros: ``2`` for ``2.0000000000``, ``100`` for ``1E+2``."""
    with localcontext(prec=_DIGITS):
        short = number.normalize()
        return short.quantize(Decimal(1)) if short == short.to_integral_value() else short


def described(line: InvoiceLine, rules: InvoiceRules) -> str:
    """What stands on the invoice's line: by the rules the seller's text or the product's, and what the figures do not say."""
    own = line.line.description or ""
    product = line.line.product_description or line.line.product_name or ""
    chosen = {"line": own, "product": product, "line_or_product": (own.strip() and own) or product}[rules.line_description]
    parts = [chosen] if chosen.strip() else []
    discount = line.line.discount
    if rules.discounts == "description" and discount:
        parts.append(f"Discount of {plain(discount):f} % included")
    if line.rate is None and line.line.quantity and line.line.unit_price is not None:
        parts.append(f"{plain(line.line.quantity):f} x {plain(line.line.unit_price):f}")
    return "\n".join(parts)


def _fits(rate: Decimal, quantity: Decimal, amount: Decimal) -> bool:
    product = rate * quantity
    return abs(product - amount) < _HALF_CENT and product.quantize(CENT, rounding=ROUND_HALF_UP) == amount


def _rounded(number: Decimal, decimals: int) -> Decimal:
    return number.quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_UP)
