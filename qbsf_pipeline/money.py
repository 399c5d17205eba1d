"""Money and JSON without floats.

Amounts are ``decimal.Decimal`` from wire to wire. JSON numbers are read into Decimal and written as plain numbers.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import simplejson

CENT = Decimal("0.01")


def to_cents(amount: Decimal) -> Decimal:
    """``amount`` rounded half away from zero to two places, as invoices are rounded."""
    return amount.quantize(CENT, rounding=ROUND_HALF_UP)


def parse_json(text: str | bytes) -> Any:
    """JSON with every number that has a fraction or exponent as ``Decimal``; integers stay ``int``.

    Raises:
        ValueError: the text is not JSON.
    """
    return simplejson.loads(text, use_decimal=True)


def to_json(value: Any, *, sort_keys: bool = False) -> str:
    """JSON with ``Decimal`` written as a plain number (``12.50``), never in exponent form, and text as it is (UTF-8)."""
    return simplejson.dumps(_plain(value), use_decimal=True, ensure_ascii=False, separators=(",", ":"), sort_keys=sort_keys)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        # Decimal('1E+3') is written by simplejson as 1E+3, which some parsers refuse.
        return Decimal(format(value, "f"))
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def format_amount(amount: Decimal, currency: str) -> str:
    """``12,500.00 USD``: grouped, two places, with the currency's code, for people."""
    return f"{to_cents(amount):,.2f} {currency}"
