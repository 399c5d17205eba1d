"""Which deals, invoices and credit memos make one case, on which day each counts, and what each is worth. Pure.

Only explicit links count: a person's, the marker, the id or number written on the deal (``receivables.invoices``). A credit memo
belongs to the case of the invoice that got the largest part of it, as a whole; one that is applied to no invoice is a case of
its own. A document without a date counts on the day on which it was created, else on which it was changed last, else today: it
is in a month in any case. One without a currency is in the company's own, and in XXX where that is not known either.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import polars as pl

from qbsf_pipeline.reconciliation.inputs import ReconciliationInputs
from qbsf_pipeline.warehouse.tables import AMOUNT, RATE

DEAL, INVOICE, CREDIT_MEMO = "deal", "invoice", "credit_memo"
LIVE, VOIDED, DELETED = "live", "voided", "deleted"
#: ISO 4217's code for no currency.
NO_CURRENCY = "XXX"

#: QuickBooks takes amounts of 15 digits. A typing error on a deal must not overflow the sum of a month.
_TOO_LARGE = Decimal(10) ** 13
_ZERO = pl.lit(0, dtype=AMOUNT)


@dataclass(frozen=True)
class Cases:
    """The documents of all cases. ``case`` is a number that all documents of a case share; it means nothing else.

    Attributes:
        deals: case, opportunity_id, deal, account_id, owner_id, closed_on, counts_on, status (won, lost, open or deleted),
            value, has_amount, currency, recurs, periods, modified_on.
        invoices: case, invoice_id, number, customer_id, opportunity_id, linked_by, marked_deal, counts_on, has_date, state
            (live, voided or deleted), net, gross, tax, currency, exchange_rate, written_off, recurs, modified_on, last_total.
        credit_memos: case, credit_memo_id, number, customer_id, counts_on, state, net, written_off (net of what goes against bad
            debts), currency, modified_on, is_applied,
            is_shared (parts of it went to other cases).
        documents: the same in one frame: case, kind, document_id, number, dated_on, month, status, amount (a credit memo
            below 0), currency, counts.
    """

    deals: pl.DataFrame
    invoices: pl.DataFrame
    credit_memos: pl.DataFrame
    documents: pl.DataFrame


def cases_of(inputs: ReconciliationInputs, as_of: date) -> Cases:
    """The cases of all months.

    Args:
        as_of: today, for documents of which no day is known.
    """
    deals = _deals(inputs, as_of)
    invoices = _invoices(inputs, deals, as_of)
    # Cases are numbered: deals first, then invoices without a deal, then credit memos without an invoice.
    after_deals = deals.height
    invoices = invoices.with_columns(
        case=pl.coalesce("case", pl.int_range(pl.len(), dtype=pl.UInt32) + pl.lit(after_deals, pl.UInt32))
    )
    memos = _credit_memos(inputs, invoices, as_of).with_columns(
        case=pl.coalesce("case", pl.int_range(pl.len(), dtype=pl.UInt32) + pl.lit(after_deals + invoices.height, pl.UInt32))
    )
    return Cases(deals, invoices, memos, _documents(deals, invoices, memos))


def filled(name: str) -> pl.Expr:
    """A text without white space at its ends; null where it is empty."""
    text = pl.col(name).str.strip_chars()
    return pl.when(text != "").then(text).alias(name)


def cents(amount: pl.Expr) -> pl.Expr:
    """An amount rounded half away from zero to two places; null where it is too large for an invoice."""
    rounded = amount.round(2, mode="half_away_from_zero")
    return pl.when(rounded.abs() < _TOO_LARGE).then(rounded.cast(AMOUNT, strict=False))


def _deals(inputs: ReconciliationInputs, as_of: date) -> pl.DataFrame:
    linked = inputs.invoices.lazy().select("opportunity_id").drop_nulls().unique()
    lines = inputs.deal_lines.lazy().group_by("opportunity_id").agg(pl.col("amount").sum().cast(RATE).alias("products"))
    is_deleted = pl.col("is_deleted").fill_null(False)
    is_won = pl.col("is_won").fill_null(False) & ~is_deleted
    amount = cents(pl.coalesce("amount", "products"))
    fallback = inputs.org_currency or inputs.home_currency
    deals = inputs.deals.lazy().unique("opportunity_id", keep="first", maintain_order=True)
    wanted = pl.concat([deals.filter(is_won), deals.filter(~is_won).join(linked, on="opportunity_id", how="semi")])
    return (
        wanted.join(lines, on="opportunity_id", how="left", maintain_order="left")
        .select(
            pl.int_range(pl.len(), dtype=pl.UInt32).alias("case"),
            "opportunity_id",
            pl.coalesce(filled("deal"), "opportunity_id").alias("deal"),
            filled("account_id"),
            filled("owner_id"),
            pl.col("close_date").alias("closed_on"),
            pl.coalesce("close_date", "created_on", "modified_on", pl.lit(as_of)).alias("counts_on"),
            pl.when(is_won)
            .then(pl.lit("won"))
            .when(is_deleted)
            .then(pl.lit("deleted"))
            .when(pl.col("is_closed").fill_null(False))
            .then(pl.lit("lost"))
            .otherwise(pl.lit("open"))
            .alias("status"),
            amount.fill_null(_ZERO).alias("value"),
            amount.is_not_null().alias("has_amount"),
            _currency("currency", fallback),
            (~_is_one_time("billing_frequency")).alias("recurs"),
            pl.col("billing_periods").alias("periods"),
            "modified_on",
        )
        .collect()
    )


def _is_one_time(name: str) -> pl.Expr:
    text = pl.col(name).str.to_lowercase().str.replace_all(r"[^a-z]", "")
    return text.is_in(["", "onetime"]).fill_null(True)


def _invoices(inputs: ReconciliationInputs, deals: pl.DataFrame, as_of: date) -> pl.DataFrame:
    known = inputs.last_known.lazy().select("invoice_id", pl.col("total").alias("last_total"), pl.col("tax").alias("last_tax"))
    state = (
        pl.when(pl.col("status") == "Voided")
        .then(pl.lit(VOIDED))
        .when(pl.col("status") == "Deleted")
        .then(pl.lit(DELETED))
        .otherwise(pl.lit(LIVE))
    )
    total, tax = pl.col("total").fill_null(_ZERO), pl.col("tax").fill_null(_ZERO)
    last_net = (pl.col("last_total") - pl.col("last_tax").fill_null(_ZERO)).cast(AMOUNT)
    return (
        inputs.invoices.lazy()
        .unique("invoice_id", keep="first", maintain_order=True)
        .join(deals.lazy().select("opportunity_id", "case"), on="opportunity_id", how="left", maintain_order="left")
        .join(known.unique("invoice_id", keep="last"), on="invoice_id", how="left", maintain_order="left")
        .select(
            "case",
            "invoice_id",
            pl.coalesce(filled("number"), "invoice_id").alias("number"),
            filled("customer_id"),
            pl.when(pl.col("case").is_not_null()).then("opportunity_id").alias("opportunity_id"),
            "linked_by",
            pl.coalesce(filled("opportunity_id"), filled("marked_deal")).alias("marked_deal"),
            pl.coalesce("txn_date", "created_on", "modified_on", pl.lit(as_of)).alias("counts_on"),
            pl.col("txn_date").is_not_null().alias("has_date"),
            state.alias("state"),
            (total - tax).cast(AMOUNT).alias("net"),
            total.alias("gross"),
            tax.alias("tax"),
            _currency("currency", inputs.home_currency),
            "exchange_rate",
            pl.col("written_off").fill_null(_ZERO),
            filled("recurring_id").is_not_null().alias("recurs"),
            "modified_on",
            # What it was before it was voided or deleted; QuickBooks itself says 0 of a void.
            pl.coalesce(last_net, pl.when(total - tax != 0).then((total - tax).cast(AMOUNT))).alias("last_total"),
        )
        .collect()
    )


def _credit_memos(inputs: ReconciliationInputs, invoices: pl.DataFrame, as_of: date) -> pl.DataFrame:
    applied = inputs.credits.lazy().join(invoices.lazy().select("invoice_id", "case"), on="invoice_id", how="inner")
    largest = (
        applied.group_by("credit_memo_id", "invoice_id", "case")
        .agg(pl.col("amount").sum(), pl.col("is_write_off").fill_null(False).any().alias("is_write_off"))
        # Of equal parts the one of the older invoice; ids are numbers that rise, as texts.
        .sort("amount", pl.col("invoice_id").str.len_chars(), "invoice_id", descending=[True, False, False])
        .group_by("credit_memo_id", maintain_order=True)
        .agg(pl.col("case").first(), pl.col("is_write_off").any(), pl.col("case").n_unique().alias("shared_by"))
    )
    # A deleted credit memo says nothing any more: it counts for 0, and it is no document of its case either.
    net = (pl.col("total").fill_null(_ZERO) - pl.col("tax").fill_null(_ZERO)).cast(AMOUNT)
    return (
        inputs.credit_memos.lazy()
        .filter(~pl.col("is_deleted").fill_null(False))
        .unique("credit_memo_id", keep="first", maintain_order=True)
        .join(largest, on="credit_memo_id", how="left", maintain_order="left")
        .select(
            "case",
            "credit_memo_id",
            pl.coalesce(filled("number"), "credit_memo_id").alias("number"),
            filled("customer_id"),
            pl.coalesce("txn_date", "modified_on", pl.lit(as_of)).alias("counts_on"),
            pl.lit(LIVE).alias("state"),
            net.alias("net"),
            pl.when(pl.col("is_write_off").fill_null(False)).then(net).otherwise(_ZERO).alias("written_off"),
            _currency("currency", inputs.home_currency),
            "modified_on",
            pl.col("case").is_not_null().alias("is_applied"),
            (pl.col("shared_by") > 1).fill_null(False).alias("is_shared"),
        )
        .collect()
    )


def _currency(name: str, fallback: str) -> pl.Expr:
    code = pl.col(name).str.strip_chars().str.to_uppercase()
    return pl.when(code != "").then(code).otherwise(pl.lit(fallback.strip().upper() or NO_CURRENCY)).alias(name)


def _documents(deals: pl.DataFrame, invoices: pl.DataFrame, memos: pl.DataFrame) -> pl.DataFrame:
    def one(frame: pl.DataFrame, kind: str, key: str, number: str, status: str, amount: pl.Expr, counts: pl.Expr) -> pl.LazyFrame:
        return frame.lazy().select(
            "case",
            pl.lit(kind).alias("kind"),
            pl.col(key).alias("document_id"),
            pl.col(number).alias("number"),
            pl.col("counts_on").alias("dated_on"),
            pl.col("counts_on").dt.month_start().alias("month"),
            pl.col(status).alias("status"),
            amount.cast(AMOUNT).alias("amount"),
            "currency",
            counts.alias("counts"),
        )

    # A void or a deletion counts for nothing; people want to see what it was.
    shown = pl.when(pl.col("state") == LIVE).then("net").otherwise(pl.coalesce("last_total", "net"))
    return pl.concat(
        [
            one(deals, DEAL, "opportunity_id", "deal", "status", pl.col("value"), pl.col("status") == "won"),
            one(invoices, INVOICE, "invoice_id", "number", "state", shown, pl.col("state") == LIVE),
            one(memos, CREDIT_MEMO, "credit_memo_id", "number", "state", -pl.col("net"), pl.lit(True)),
        ]
    ).collect()
