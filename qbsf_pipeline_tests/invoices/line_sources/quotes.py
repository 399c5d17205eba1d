"""CPQ quotes, their lines and opportunity products for tests, sound until a test changes them."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from qbsf_pipeline.invoices.line_sources.cpq import CpqQuotes
from qbsf_pipeline.invoices.line_sources.sold import SoldLines
from qbsf_pipeline.invoices.line_sources.tables import CPQ_QUOTE, CPQ_QUOTE_LINE
from qbsf_pipeline.salesforce import objects as salesforce
from qbsf_pipeline.settings import CpqRules, load_rules

RULES = load_rules().cpq
DEAL: dict[str, Any] = {"id": "006000000000001AAA", "amount": Decimal("1500.00"), "currency": "USD"}


def rules(**values: Any) -> CpqRules:
    """The packaged rules with some keys changed."""
    return RULES.model_copy(update=values)


def quote(number: int = 1, **values: Any) -> dict[str, Any]:
    """The approved primary quote of deal 1 over 1,500.00 USD for the year 2026."""
    return {
        "id": f"a0q{number:012d}AAA",
        "name": f"Q-0000{number}",
        "opportunity_id": DEAL["id"],
        "is_primary": True,
        "status": "Approved",
        "type": "Quote",
        "net_amount": Decimal("1500.00"),
        "start_date": date(2026, 1, 1),
        "end_date": date(2026, 12, 31),
        "subscription_term": Decimal(12),
        "currency": "USD",
        "is_deleted": False,
        **values,
    }


def line(number: int = 1, total: str | None = "1500.00", **values: Any) -> dict[str, Any]:
    """One unit of product ``number`` on quote 1."""
    return {
        "id": f"a0l{number:012d}AAA",
        "quote_id": f"a0q{1:012d}AAA",
        "number": Decimal(number),
        "product_id": f"01t{number:012d}AAA",
        "product_name": f"Product {number}",
        "quantity": Decimal(1),
        "net_price": Decimal(total) if total is not None else None,
        "net_total": Decimal(total) if total is not None else None,
        "is_deleted": False,
        **values,
    }


def product(number: int = 1, **values: Any) -> dict[str, Any]:
    """Product ``number`` of the family Software."""
    return {
        "id": f"01t{number:012d}AAA",
        "name": f"Product {number}",
        "product_code": f"P-{number}",
        "sku": f"SKU-{number}",
        "family": "Software",
        "description": "What it is",
        **values,
    }


def source(quotes: list[dict[str, Any]], lines: list[dict[str, Any]], rules: CpqRules = RULES) -> CpqQuotes:
    """The source over these records."""
    products = salesforce.PRODUCT2.frame([product(number) for number in range(1, 10)])
    return CpqQuotes(CPQ_QUOTE.frame(quotes), CPQ_QUOTE_LINE.frame(lines), products, rules)


def sold(*lines: dict[str, Any], rules: CpqRules = RULES, deal: dict[str, Any] = DEAL, **values: Any) -> SoldLines:
    """What the quote with these lines tells; ``values`` change the quote."""
    found = source([quote(**values)], list(lines) or [line()], rules).sold(deal)
    assert found is not None
    return found


def codes(found: SoldLines) -> list[str]:
    """Codes of what stands against the lines."""
    return [reason.code for reason in found.reasons]
