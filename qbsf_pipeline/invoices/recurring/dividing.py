"""Dividing an amount into cents, so that nothing is lost or gained."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_DOWN, Decimal, localcontext
from typing import Literal

from qbsf_pipeline.money import CENT

_DIGITS = 60


def divided(amount: Decimal, weights: Sequence[int], remainder: Literal["first", "last"]) -> list[Decimal]:
    """``amount`` in shares by weight, in cents and towards zero; what that leaves over goes to one share, whole.

    Args:
        amount: two places; below zero for a discount or credit.
        weights: none below 0, at least one above.
        remainder: the first or the last share whose weight is above 0 gets what is left over.

    Returns:
        One share for each weight; their sum is exactly ``amount``.

    >>> divided(Decimal("100.00"), [1, 1, 1], "first")
    [Decimal('33.34'), Decimal('33.33'), Decimal('33.33')]
    """
    with localcontext(prec=_DIGITS):
        whole = sum(weights)
        shares = [(amount * weight / whole).quantize(CENT, rounding=ROUND_DOWN) for weight in weights]
        places = [place for place, weight in enumerate(weights) if weight]
        shares[places[0] if remainder == "first" else places[-1]] += amount - sum(shares, Decimal(0))
    return shares
