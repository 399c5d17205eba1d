"""The QuickBooks documents behind a deal's status, by which a change is explained to people. Pure."""

from __future__ import annotations

import polars as pl

from qbsf_pipeline.payments.tables import DOCUMENTS

#: How a document is called in a sentence.
NAMES = {
    "invoice": "invoice",
    "payment": "payment",
    "credit_memo": "credit memo",
    "deposit": "deposit",
    "journal_entry": "journal entry",
}


def documents(
    invoice: pl.DataFrame,
    payment: pl.DataFrame,
    credit_memo: pl.DataFrame,
    deposit: pl.DataFrame,
    journal_entry: pl.DataFrame,
) -> pl.DataFrame:
    """The documents of the raw tables as :data:`.tables.DOCUMENTS`.

    A void leaves no flag: the total is 0 and the memo begins with "Voided", as QuickBooks puts it there.
    """
    frames = {
        "invoice": (invoice, "doc_number"),
        "payment": (payment, "reference"),
        "credit_memo": (credit_memo, "doc_number"),
        "deposit": (deposit, None),
        "journal_entry": (journal_entry, "doc_number"),
    }
    return pl.concat([_documents(name, frame, number) for name, (frame, number) in frames.items()])


def _documents(name: str, frame: pl.DataFrame, number: str | None) -> pl.DataFrame:
    noted = pl.col("private_note").fill_null("").str.strip_chars().str.to_lowercase().str.starts_with("voided")
    voided = (pl.col("total") == 0).fill_null(False) & noted
    created = pl.col("created_at") if "created_at" in frame.columns else pl.lit(None, dtype=DOCUMENTS["created_at"])
    return frame.select(
        pl.lit(name).alias("document"),
        "id",
        (pl.col(number) if number else pl.lit(None, dtype=pl.String)).alias("number"),
        "txn_date",
        pl.when(pl.col("is_deleted").fill_null(False))
        .then(pl.lit("deleted"))
        .when(voided)
        .then(pl.lit("voided"))
        .otherwise(pl.lit("live"))
        .alias("condition"),
        created.alias("created_at"),
        pl.col("source_modified_at").alias("changed_at"),
    ).cast(DOCUMENTS)
