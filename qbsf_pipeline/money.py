"""Money and JSON without floats.

Amounts are ``decimal.Decimal`` from wire to wire. JSON numbers are read into Decimal and written as plain numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
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
    encode = _SORTED if sort_keys else _AS_IT_IS
    text = encode(value)
    # Decimal('1E+3') is written by simplejson as 1E+3, which some parsers refuse. Few values have such a number, and looking
    # for them one by one takes longer than writing.
    return encode(_plain(value)) if _EXPONENT.search(text) else text


def _encoder(*, sort_keys: bool) -> Callable[[Any], str]:
    encoder = simplejson.JSONEncoder(
        use_decimal=True, ensure_ascii=False, separators=(",", ":"), sort_keys=sort_keys, namedtuple_as_object=False
    )
    encode: Callable[[Any], str] = encoder.encode
    return encode


_AS_IT_IS, _SORTED = _encoder(sort_keys=False), _encoder(sort_keys=True)
#: A number with an exponent, or text that looks like one.
_EXPONENT = re.compile(r"\dE[+-]?\d")


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return Decimal(format(value, "f"))
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def format_amount(amount: Decimal, currency: str) -> str:
    """``12,500.00 USD``: grouped, two places, with the currency's code, for people."""
    return f"{to_cents(amount):,.2f} {currency}"
