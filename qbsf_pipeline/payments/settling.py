"""How far a deal is paid, from its invoices. Pure; whole frames at once.

One invoice: its status is the deal's. Several: voided, deleted and wholly credited ones say nothing as long as another one
counts, for they were replaced; of the others the least settled gives the status, and what is open is added.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import polars as pl

from qbsf_pipeline.payments.fingerprints import fingerprints, remembered

PAID = frozenset({"Paid", "Overpaid"})
SETTLED = PAID | {"Credited"}
#: Nothing is owed, for nothing is billed.
NOTHING_BILLED = frozenset({"Not Invoiced", "Voided", "Deleted"})
#: Nothing is open, so nothing is past due.
NO_AGE = SETTLED | NOTHING_BILLED

#: Payment statuses of invoices, the least settled first.
_ORDER = ("Invoiced", "Sent", "Partially Paid", "Paid", "Overpaid", "Credited", "Voided", "Deleted")
_RANK = {status: rank for rank, status in enumerate(_ORDER)}
_CREDITED, _VOIDED = _RANK["Credited"], _RANK["Voided"]
#: Columns of what :func:`settled_deals` returns.
_COLUMNS = (
    *("opportunity_id", "status", "balance", "currency", "currencies", "last_payment_date"),
    *("invoices", "numbers", "total", "paid_on", "explained", "unexplained", "reason", "fingerprint"),
)


def settled_deals(invoices: pl.DataFrame, applications: pl.DataFrame) -> pl.DataFrame:
    """How far each deal with an invoice is paid. A row is one deal.

    Args:
        invoices: of ``receivables.invoices``.
        applications: of ``receivables.applications``.

    Returns:
        opportunity_id, status, balance (null where the invoices have several currencies), currency, currencies (how many),
        last_payment_date, invoices (ids of those that count, joined by spaces), numbers (joined by commas), total (of those
        that count; null as balance), paid_on (the last day on which one of them was settled), explained, unexplained (numbers
        of invoices whose applications do not give their balance), reason, fingerprint.
    """
    linked = invoices.filter(pl.col("opportunity_id").is_not_null()).with_columns(
        rank=pl.col("status").replace_strict(_RANK, default=0, return_dtype=pl.Int64),
        number=_number(),
    )
    # Invoices of QuickBooks count up: the order of ids is the order of making, as far as they are numbers.
    linked = linked.sort("opportunity_id", pl.col("invoice_id").cast(pl.Int64, strict=False), "invoice_id", nulls_last=True)
    best = pl.col("rank").min().over("opportunity_id")
    counted = linked.filter((pl.col("rank") < _CREDITED) | (best >= _CREDITED)).filter(
        (pl.col("rank") < _VOIDED) | (pl.col("rank").min().over("opportunity_id") >= _VOIDED)
    )
    owed = pl.when(pl.col("rank") >= _VOIDED).then(pl.lit(0, dtype=pl.Decimal(18, 2))).otherwise(pl.col("open"))
    doubted = (pl.col("rank") < _VOIDED) & ~pl.col("explained").fill_null(False)
    found = (
        counted.with_columns(owed=owed, doubted=doubted)
        .group_by("opportunity_id", maintain_order=True)
        .agg(
            pl.col("rank").min(),
            pl.col("owed").sum().alias("balance"),
            pl.col("total").fill_null(0).sum(),
            pl.col("currency").first(),
            pl.col("currency").n_unique().cast(pl.Int64).alias("currencies"),
            pl.col("last_payment_on").max().alias("last_payment_date"),
            pl.col("first_paid_in_full_on").max().alias("paid_on"),
            pl.col("invoice_id").str.join(" ").alias("invoices"),
            pl.col("number").str.join(", ").alias("numbers"),
            (~pl.col("doubted")).all().alias("explained"),
            pl.col("number").filter("doubted").str.join(", ").alias("unexplained"),
            pl.col("status_reason").first(),
            pl.len().alias("count"),
            pl.concat_str("number", pl.lit(" is "), "status").str.join(", ").alias("each"),
        )
        .with_columns(status=pl.col("rank").replace_strict(dict(enumerate(_ORDER)), return_dtype=pl.String))
    )
    several = pl.col("currencies") > 1
    return (
        found.with_columns(
            pl.when(~several).then("balance").alias("balance"),
            pl.when(~several).then("total").alias("total"),
            pl.when(~several).then("currency").alias("currency"),
            pl.when(pl.col("rank") < _VOIDED).then("last_payment_date").alias("last_payment_date"),
            pl.when(pl.col("count") == 1)
            .then(pl.coalesce("status_reason", pl.concat_str(pl.lit("Invoice "), "each", pl.lit("."))))
            .otherwise(pl.concat_str(pl.lit("Of "), "count", pl.lit(" invoices: "), "each", pl.lit(".")))
            .alias("reason"),
        )
        .join(fingerprints(linked, applications), on="opportunity_id", how="left")
        .select(_COLUMNS)
    )


def deals_without_invoice(known: pl.DataFrame, settled: pl.DataFrame, invoices: pl.DataFrame) -> pl.DataFrame:
    """Deals that had an invoice when they were last looked at and have none now, as rows of :func:`settled_deals`.

    An invoice that QuickBooks does not know any more was deleted, also where nobody saw that happen. One that it still knows
    belongs to another deal now, or to none.
    """
    rows: list[dict[str, Any]] = []
    lost = known.join(settled.select("opportunity_id"), on="opportunity_id", how="anti")
    if lost.is_empty():
        return pl.DataFrame(schema=settled.schema)
    there = set(invoices.get_column("invoice_id").to_list())
    for row in lost.iter_rows(named=True):
        memory = remembered(row["fingerprint"])
        before = tuple(memory.invoices) if memory is not None else ()
        common = {
            "opportunity_id": row["opportunity_id"],
            "currency": row["currency"],
            "currencies": 1,
            "invoices": " ".join(before),
            "numbers": ", ".join(f"id {one}" for one in before),
            "explained": True,
            "unexplained": "",
        }
        if row["status"] in NOTHING_BILLED:
            reason = {"Voided": "Its invoice was voided.", "Deleted": "Its invoice was deleted."}.get(row["status"])
            kept = {"status": row["status"], "balance": row["balance"], "fingerprint": row["fingerprint"]}
            rows.append(common | kept | {"reason": reason or "It has no invoice."})
        elif any(one in there for one in before):
            unlinked = {"status": "Not Invoiced", "balance": None, "fingerprint": "1||"}
            rows.append(common | unlinked | {"reason": "Its invoice belongs to the deal no more."})
        else:
            deleted = {"status": "Deleted", "balance": Decimal("0.00"), "fingerprint": "1||"}
            rows.append(common | deleted | {"reason": "Its invoice is no longer found in QuickBooks."})
    return pl.DataFrame(rows, schema_overrides=dict(settled.schema)).with_columns(
        pl.lit(None, dtype=dtype).alias(name) for name, dtype in settled.schema.items() if name not in rows[0]
    )


def _number() -> pl.Expr:
    """What people call an invoice: its number, else its id."""
    written = pl.col("doc_number").str.strip_chars()
    return pl.when(written != "").then(written).otherwise(pl.concat_str(pl.lit("id "), "invoice_id"))
