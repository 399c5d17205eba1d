"""What is remembered of a deal's invoices and of what was applied to them, and what has changed since. Pure.

The fingerprint of a deal is a text that can be read again, so that people can be told what was taken away, although QuickBooks
itself keeps no trace of it: ``1|invoice~status~total;...|document~id~invoice~amount~date;...``, sorted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

import polars as pl

_VERSION = "1"
_ZERO = Decimal(0)


@dataclass(frozen=True)
class Remembered:
    """What a fingerprint says.

    Attributes:
        invoices: id -> status and total.
        applied: (document, id, invoice id) -> amount in the invoice's currency, and the day of the newest.
    """

    invoices: Mapping[str, tuple[str, Decimal]] = field(default_factory=dict)
    applied: Mapping[tuple[str, str, str], tuple[Decimal, date | None]] = field(default_factory=dict)

    def applied_to(self, invoice_ids: frozenset[str]) -> Decimal:
        """All that is applied to some invoices."""
        return sum((amount for (_, _, invoice_id), (amount, _) in self.applied.items() if invoice_id in invoice_ids), _ZERO)


def fingerprints(invoices: pl.DataFrame, applications: pl.DataFrame) -> pl.DataFrame:
    """The fingerprint of each deal: opportunity_id, fingerprint.

    Args:
        invoices: of ``receivables.invoices``, those with a deal.
        applications: of ``receivables.applications``.
    """
    forms = invoices.select(
        "opportunity_id",
        pl.concat_str(_plain("invoice_id"), pl.lit("~"), _plain("status"), pl.lit("~"), _amount("total")).alias("part"),
    )
    applied = applications.join(invoices.select("invoice_id", "opportunity_id"), on="invoice_id", how="inner").select(
        "opportunity_id",
        pl.concat_str(
            _plain("source_type"),
            pl.lit("~"),
            _plain("source_id"),
            pl.lit("~"),
            _plain("invoice_id"),
            pl.lit("~"),
            _amount("amount"),
            pl.lit("~"),
            pl.col("applied_on").dt.to_string("%Y-%m-%d").fill_null(""),
        ).alias("part"),
    )
    return (
        _joined(forms, "forms")
        .join(_joined(applied, "applied"), on="opportunity_id", how="left")
        .select(
            "opportunity_id",
            pl.concat_str(pl.lit(f"{_VERSION}|"), pl.col("forms"), pl.lit("|"), pl.col("applied").fill_null("")).alias(
                "fingerprint"
            ),
        )
    )


def remembered(fingerprint: str) -> Remembered | None:
    """What a fingerprint says; ``None`` for a text of another kind."""
    version, _, rest = fingerprint.partition("|")
    forms, separator, applied = rest.partition("|")
    if version != _VERSION or not separator:
        return None
    invoices: dict[str, tuple[str, Decimal]] = {}
    sums: dict[tuple[str, str, str], tuple[Decimal, date | None]] = {}
    try:
        for part in filter(None, forms.split(";")):
            invoice_id, status, total = part.split("~")
            invoices[invoice_id] = (status, Decimal(total))
        for part in filter(None, applied.split(";")):
            document, source_id, invoice_id, amount, day = part.split("~")
            before, newest = sums.get((document, source_id, invoice_id), (_ZERO, None))
            on = date.fromisoformat(day) if day else None
            days = [one for one in (newest, on) if one is not None]
            sums[document, source_id, invoice_id] = (before + Decimal(amount), max(days, default=None))
    except (ValueError, ArithmeticError):
        return None
    return Remembered(invoices, sums)


def _plain(column: str) -> pl.Expr:
    # Ids are numbers as a rule; one that holds what separates must not make another meaning.
    return pl.col(column).fill_null("").str.replace_all(r"[~;|]", "_")


def _amount(column: str) -> pl.Expr:
    return pl.col(column).fill_null(0).cast(pl.String)


def _joined(parts: pl.DataFrame, name: str) -> pl.DataFrame:
    return (
        parts.sort("opportunity_id", "part")
        .group_by("opportunity_id", maintain_order=True)
        .agg(pl.col("part").str.join(";").alias(name))
    )
