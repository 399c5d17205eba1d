"""What must hold between documents to the cent. Each function returns the differences, so an empty frame is good news.

1. An invoice: its total less all that is applied to it is its balance.
2. A payment: what it brings and uses up, less what it gives, is what it has unapplied. So for credit memos.
3. The company: what invoices have open, less what is unapplied, with journal entries and deposits that nothing is applied to,
   is the balance of the accounts receivable, per currency.

A difference in 1 or 2 means that a document is missing, or that documents were read at different moments: the next pass that
reads it right ends it. 3 also sees what is on accounts receivable and never read, such as refund cheques.
"""

from __future__ import annotations

from datetime import datetime

import polars as pl

from qbsf_pipeline.receivables.applications import (
    deposit_receivables,
    journal_receivables,
    live,
    payment_parts,
    pieces_of,
    receivable_accounts,
)
from qbsf_pipeline.receivables.inputs import ReceivableInputs
from qbsf_pipeline.warehouse.tables import AMOUNT, RATE

#: ``applied``: the sum of all that is applied to the invoice. ``balance`` is null for an invoice that is not there.
INVOICE_DIFFERENCES = pl.Schema(
    {
        "invoice_id": pl.String(),
        "doc_number": pl.String(),
        "opportunity_id": pl.String(),
        "currency": pl.String(),
        "total": AMOUNT,
        "applied": AMOUNT,
        "balance": AMOUNT,
        "difference": AMOUNT,
    }
)
#: ``kind``: payment or credit_memo; ``derived``: what should be unapplied by its lines; ``unapplied``: what QuickBooks says.
SOURCE_DIFFERENCES = pl.Schema(
    {
        "kind": pl.String(),
        "source_id": pl.String(),
        "customer_id": pl.String(),
        "invoice_ids": pl.List(pl.String()),
        "total": AMOUNT,
        "derived": AMOUNT,
        "unapplied": AMOUNT,
        "difference": AMOUNT,
    }
)
#: ``documents``: what the documents give, in the account's currency; ``account``: what QuickBooks says. ``exact`` is False
#: where documents of other currencies are on the account, converted at their own rates.
COMPANY_DIFFERENCES = pl.Schema(
    {"currency": pl.String(), "documents": AMOUNT, "account": AMOUNT, "difference": AMOUNT, "exact": pl.Boolean()}
)

_ZERO = pl.lit("0").cast(AMOUNT)


def invoice_differences(invoices: pl.DataFrame, applications: pl.DataFrame) -> pl.DataFrame:
    """Identity 1, for every invoice that is not deleted, and for whatever something is applied to.

    Args:
        invoices, applications: of :class:`.owed.Receivables`, as everything is known now.

    Returns:
        Columns of :data:`INVOICE_DIFFERENCES`, by invoice id. Difference: what is open by the applications, less the balance.
    """
    applied = applications.group_by("invoice_id").agg(
        pl.col("amount").sum().alias("applied"), pl.col("currency").first().alias("applied_currency")
    )
    known = invoices.with_columns(
        pl.when(pl.col("status") == "Deleted").then(None).otherwise(pl.col(name)).alias(name) for name in ("total", "balance")
    )
    return (
        known.join(applied, on="invoice_id", how="full", coalesce=True)
        .with_columns(pl.coalesce("currency", "applied_currency").alias("currency"), applied=pl.col("applied").fill_null(_ZERO))
        .with_columns(difference=pl.col("total").fill_null(_ZERO) - pl.col("applied") - pl.col("balance").fill_null(_ZERO))
        .filter((pl.col("difference") != 0) | ((pl.col("status") != "Deleted") & pl.col("balance").is_null()))
        .sort("invoice_id")
        .select(*INVOICE_DIFFERENCES)
        .cast(INVOICE_DIFFERENCES)
    )


def source_differences(inputs: ReceivableInputs) -> pl.DataFrame:
    """Identity 2, for every payment and credit memo that is not deleted. One whose unapplied amount is missing is not compared.

    Returns:
        Columns of :data:`SOURCE_DIFFERENCES`, by kind and id. ``invoice_ids``: the invoices that the payment names.
    """
    parts = payment_parts(inputs)
    signed = pl.when("gives").then("amount").otherwise(-pl.col("amount"))
    of_payment = parts.group_by(pl.col("payment_id").alias("source_id")).agg(
        signed.sum().alias("rest"),
        pl.col("txn_id").filter(pl.col("kind") == "invoice").unique().sort().alias("invoice_ids"),
    )
    used = parts.filter(pl.col("gives") & (pl.col("kind") == "credit_memo"))
    paid_with = used.join(
        parts.filter(pl.col("kind") == "invoice").select("payment_id", invoice_id="txn_id"), on="payment_id", how="left"
    )
    of_memo = (
        used.group_by(pl.col("txn_id").alias("source_id"))
        .agg((-pl.col("amount").sum()).alias("rest"))
        .join(
            paid_with.group_by(pl.col("txn_id").alias("source_id")).agg(
                pl.col("invoice_id").drop_nulls().unique().sort().alias("invoice_ids")
            ),
            on="source_id",
            how="left",
        )
    )
    compared = [
        live(frame)
        .select(
            pl.lit(kind).alias("kind"),
            pl.col("id").alias("source_id"),
            "customer_id",
            "total",
            pl.col(says).alias("unapplied"),
        )
        .join(rest, on="source_id", how="left")
        for kind, frame, says, rest in (
            ("payment", inputs.payment, "unapplied", of_payment),
            ("credit_memo", inputs.credit_memo, "remaining", of_memo),
        )
    ]
    return (
        pl.concat(compared, how="diagonal_relaxed")
        .with_columns(derived=pl.col("total").fill_null(_ZERO) + pl.col("rest").fill_null(_ZERO))
        .with_columns(difference=pl.col("derived") - pl.col("unapplied"))
        .filter(pl.col("difference") != 0)
        .sort("kind", "source_id")
        .select(*SOURCE_DIFFERENCES)
        .cast(SOURCE_DIFFERENCES)
    )


def company_differences(inputs: ReceivableInputs) -> pl.DataFrame:
    """Identity 3, per currency that has an account receivable of its own; the other currencies are part of the home account.

    Returns:
        Columns of :data:`COMPANY_DIFFERENCES`, by currency. Empty also where the company shows no such account.
    """
    home = pl.lit(inputs.home_currency)
    text = pl.col("currency").str.strip_chars()
    currency = pl.when(text != "").then(text).otherwise(home).alias("currency")
    accounts = (
        live(inputs.account)
        .join(receivable_accounts(inputs), left_on="id", right_on="account_id", how="semi")
        .filter(pl.col("current_balance").is_not_null())
        .group_by(currency)
        .agg(pl.col("current_balance").sum().alias("account"))
    )
    rates = pl.concat([live(frame).select(currency, "exchange_rate") for frame in (inputs.invoice, inputs.payment)])
    usual = rates.drop_nulls().group_by("currency").agg(pl.col("exchange_rate").last().alias("usual_rate"))
    return (
        _open_documents(inputs)
        .with_columns(currency)
        .join(usual, on="currency", how="left")
        .join(accounts.select("currency", has_own=pl.lit(True)), on="currency", how="left")
        .with_columns(own=pl.col("has_own").fill_null(False) | (pl.col("currency") == home))
        .with_columns(
            amount=pl.when("own").then("amount").otherwise(_converted()), currency=pl.when("own").then("currency").otherwise(home)
        )
        .group_by("currency")
        .agg(pl.col("amount").sum().alias("documents"), pl.col("own").all().alias("exact"))
        .join(accounts, on="currency", how="right")
        .with_columns(pl.col("documents").fill_null(_ZERO), pl.col("exact").fill_null(True))
        .with_columns(difference=pl.col("documents") - pl.col("account"))
        .filter(pl.col("difference") != 0)
        .sort("currency")
        .select(*COMPANY_DIFFERENCES)
        .cast(COMPANY_DIFFERENCES)
    )


def accounts_are_outdated(inputs: ReceivableInputs, read_whole_at: datetime | None) -> bool:
    """Whether documents were read later than the balance of the accounts receivable: QuickBooks does not touch an account when
    its balance moves, so a change is only sure to be seen where all accounts are read.

    Args:
        read_whole_at: when all accounts were read last (aware UTC); ``None`` where they never were.
    """
    accounts = live(inputs.account).join(receivable_accounts(inputs), left_on="id", right_on="account_id", how="semi")
    documents = (inputs.invoice, inputs.payment, inputs.credit_memo, inputs.deposit, inputs.journal_entry)
    known = [at for at in (read_whole_at, *accounts.get_column("extracted_at").to_list()) if at is not None]
    read = [at for frame in documents for at in [frame.get_column("extracted_at").max()] if isinstance(at, datetime)]
    return bool(read) and (not known or max(read) > max(known))


def _converted() -> pl.Expr:
    rate = pl.coalesce("exchange_rate", "usual_rate", pl.lit("1").cast(RATE))
    product = pl.col("amount").cast(pl.Decimal(38, 2)) * rate
    return product.round(2, mode="half_away_from_zero").cast(AMOUNT)


def _open_documents(inputs: ReceivableInputs) -> pl.DataFrame:
    """amount (below 0: in the customers' favour), currency and exchange_rate of all that is open on accounts receivable."""
    said = [
        live(frame).select((sign * pl.col(name)).cast(AMOUNT).alias("amount"), "currency", rate)
        for frame, name, sign, rate in (
            (inputs.invoice, "balance", 1, pl.col("exchange_rate")),
            (inputs.payment, "unapplied", -1, pl.col("exchange_rate")),
            (inputs.credit_memo, "remaining", -1, pl.lit(None, dtype=RATE).alias("exchange_rate")),
        )
    ]
    pieces = pieces_of(inputs)
    # What an entry's credit paid is off its invoice's balance already, so it must not count a second time.
    moved = pl.concat(
        [
            pieces.select(pl.col("source_type").alias("kind"), pl.col("source_id").alias("id"), pl.col("amount")),
            pieces.select(pl.col("target_type").alias("kind"), pl.col("target_id").alias("id"), (-pl.col("amount")).cast(AMOUNT)),
        ]
    ).group_by("kind", "id")
    booked = [
        frame.group_by(pl.lit(kind).alias("kind"), pl.col(column).alias("id"))
        .agg((-pl.col("credit").sum()).cast(AMOUNT).alias("amount"), pl.col("currency").first())
        .join(moved.agg(pl.col("amount").sum().alias("moved")), on=["kind", "id"], how="left")
        .select(
            (pl.col("amount") + pl.col("moved").fill_null(_ZERO)).cast(AMOUNT).alias("amount"),
            "currency",
            pl.lit(None, dtype=RATE).alias("exchange_rate"),
        )
        for kind, column, frame in (
            ("journal_entry", "journal_entry_id", journal_receivables(inputs)),
            ("deposit", "deposit_id", deposit_receivables(inputs)),
        )
    ]
    return pl.concat([*said, *booked])
