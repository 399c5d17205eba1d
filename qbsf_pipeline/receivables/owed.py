"""What is owed, as everything is known now or as of a day: applications, what is not applied, and every invoice. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import polars as pl

from qbsf_pipeline.receivables.applications import (
    applications_of,
    dated,
    deposit_receivables,
    journal_receivables,
    live,
    pieces_of,
)
from qbsf_pipeline.receivables.deals import deals_of_invoices
from qbsf_pipeline.receivables.inputs import ReceivableInputs
from qbsf_pipeline.receivables.status import with_status
from qbsf_pipeline.receivables.tables import CONTESTED, INVOICES, UNAPPLIED
from qbsf_pipeline.settings import Rules
from qbsf_pipeline.warehouse.tables import AMOUNT

_EFFECTS = ("paid", "credited", "written_off")
_ZERO = pl.lit("0").cast(AMOUNT)
_LAST_DAY = 31


@dataclass(frozen=True)
class Receivables:
    """What is owed.

    Attributes:
        applications: :data:`.tables.APPLICATIONS`.
        unapplied: :data:`.tables.UNAPPLIED`.
        invoices: :data:`.tables.INVOICES`.
        contested: :data:`.tables.CONTESTED`: invoices that are linked to no deal because several claim them.
    """

    applications: pl.DataFrame
    unapplied: pl.DataFrame
    invoices: pl.DataFrame
    contested: pl.DataFrame


def receivables_of(inputs: ReceivableInputs, rules: Rules, as_of: date | None) -> Receivables:
    """What is owed, from the applications.

    Args:
        as_of: ``None`` for everything that is known now; a day for that day's truth: only documents and applications dated on
            or before it. ``balance`` and ``explained`` are of now in both cases.
    """
    pieces = dated(pieces_of(inputs), inputs)
    everything = applications_of(pieces, inputs, rules)
    until = pl.lit(True) if as_of is None else (pl.col("applied_on") <= as_of).fill_null(True)
    applications = everything.filter(until)
    unapplied = _unapplied(pieces.filter(until), applications, inputs, as_of)
    linked, contested = deals_of_invoices(inputs, rules)
    invoices = (
        inputs.invoice.unique("id", keep="last", maintain_order=True)
        .filter(_known_by(as_of))
        .rename({"id": "invoice_id"})
        .drop("opportunity_id")
        .join(linked, on="invoice_id", how="left")
        .join(_sums(applications), on="invoice_id", how="left")
        .join(everything.group_by("invoice_id").agg(pl.col("amount").sum().alias("applied_ever")), on="invoice_id", how="left")
        .join(_left_over(applications, unapplied), on="invoice_id", how="left")
        .join(inputs.lines.disputed.select("invoice_id", disputed=pl.lit(True)).unique(), on="invoice_id", how="left")
    )
    return Receivables(
        applications=applications,
        unapplied=unapplied,
        invoices=_invoices(_with_due_dates(invoices, inputs), inputs.home_currency),
        contested=contested.select(*CONTESTED.polars_schema),
    )


def _invoices(invoices: pl.DataFrame, home_currency: str) -> pl.DataFrame:
    status = pl.col("status").fill_null("live")
    text = pl.col("currency").str.strip_chars()
    amounts = invoices.with_columns(
        pl.col(*_EFFECTS, "applied_ever", "left_over", "total", "tax").fill_null(_ZERO),
        pl.col("disputed").fill_null(False),
        currency=pl.when(text != "").then(text).otherwise(pl.lit(home_currency)),
        deleted=pl.col("is_deleted").fill_null(False) | (status == "deleted"),
        voided=status == "voided",
        emailed=(pl.col("email_status").str.to_lowercase() == "emailsent").fill_null(False),
    )
    is_claim = ~(pl.col("deleted") | pl.col("voided"))
    left = pl.col("total") - pl.sum_horizontal(_EFFECTS)
    with_open = amounts.with_columns(
        open=pl.when(is_claim).then(left).otherwise(_ZERO),
        # Of a deleted invoice QuickBooks says nothing any more: nothing may be applied to it.
        explained=pl.when("deleted")
        .then(pl.col("applied_ever") == 0)
        .otherwise((pl.col("total") - pl.col("applied_ever") == pl.col("balance")).fill_null(False)),
    )
    settled = is_claim & (pl.col("open") <= 0)
    return (
        with_status(with_open)
        .with_columns(first_paid_in_full_on=pl.when(settled).then("last_applied_on"))
        .sort("invoice_id")
        .select(*INVOICES.polars_schema)
        .cast(INVOICES.polars_schema)
    )


def _sums(applications: pl.DataFrame) -> pl.DataFrame:
    """What was applied to each invoice, by effect, and when."""
    paid = pl.col("effect") == "paid"
    return applications.group_by("invoice_id").agg(
        *(pl.col("amount").filter(pl.col("effect") == effect).sum().alias(effect) for effect in _EFFECTS),
        pl.col("source_date").filter(paid).max().alias("last_payment_on"),
        pl.col("applied_on").max().alias("last_applied_on"),
    )


def _left_over(applications: pl.DataFrame, unapplied: pl.DataFrame) -> pl.DataFrame:
    """What the payments of each invoice have left."""
    payments = unapplied.filter(pl.col("kind") == "payment").select("source_id", pl.col("amount").alias("left_over"))
    return (
        applications.filter(pl.col("source_type") == "payment")
        .select("invoice_id", "source_id")
        .unique()
        .join(payments, on="source_id", how="inner")
        .group_by("invoice_id")
        .agg(pl.col("left_over").sum())
    )


def _unapplied(pieces: pl.DataFrame, applications: pl.DataFrame, inputs: ReceivableInputs, as_of: date | None) -> pl.DataFrame:
    """What could still be applied of every document.

    Args:
        pieces, applications: until the day that is asked for.
    """
    direct = applications.filter((pl.col("source_type") == "deposit") & pl.col("through_id").is_null())
    given = (
        pl.concat([frame.select("source_type", "source_id", "amount") for frame in (pieces, direct)])
        .group_by(pl.col("source_type").alias("kind"), "source_id")
        .agg(pl.col("amount").sum().alias("given"))
    )
    documents = [
        live(frame).select(
            pl.lit(kind).alias("kind"),
            pl.col("id").alias("source_id"),
            "customer_id",
            "txn_date",
            pl.col("total").alias("amount"),
            "currency",
        )
        for kind, frame in (("payment", inputs.payment), ("credit_memo", inputs.credit_memo))
    ]
    documents += [
        _first_takes_all(frame.rename({column: "source_id", "credit": "amount"}).filter(pl.col("amount") > 0)).select(
            pl.lit(kind).alias("kind"), "source_id", "customer_id", "txn_date", "amount", "currency", "before"
        )
        for kind, column, frame in (
            ("journal_entry", "journal_entry_id", journal_receivables(inputs)),
            ("deposit", "deposit_id", deposit_receivables(inputs)),
        )
    ]
    currency = pl.col("currency").str.strip_chars()
    used = (pl.col("given").fill_null(_ZERO) - pl.col("before").fill_null(_ZERO)).clip(lower_bound=0)
    return (
        pl.concat(documents, how="diagonal")
        .filter(_known_by(as_of))
        .join(given, on=["kind", "source_id"], how="left")
        .with_columns(
            amount=pl.col("amount") - pl.min_horizontal("amount", used),
            currency=pl.when(currency != "").then(currency).otherwise(pl.lit(inputs.home_currency)),
        )
        .filter(pl.col("amount") > 0)
        .sort("kind", "source_id", "customer_id")
        .select(*UNAPPLIED.polars_schema)
        .cast(UNAPPLIED.polars_schema)
    )


def _first_takes_all(credits: pl.DataFrame) -> pl.DataFrame:
    """With ``before``: what the customers before this one have of the same document. What was used is the first one's first:
    QuickBooks does not say whose line of a document a payment uses."""
    in_order = credits.sort("source_id", "customer_id")
    return in_order.with_columns(before=pl.col("amount").cum_sum().over("source_id") - pl.col("amount"))


def _known_by(as_of: date | None) -> pl.Expr:
    return pl.lit(True) if as_of is None else (pl.col("txn_date") <= as_of).fill_null(True)


def _with_due_dates(invoices: pl.DataFrame, inputs: ReceivableInputs) -> pl.DataFrame:
    """``invoices`` with a due date each: QuickBooks' own, else by the terms, else the day of the invoice."""
    terms = inputs.term.select(
        pl.col("id").alias("term_id"), "due_days", "day_of_month_due", pl.col("due_next_month_days").alias("near_days")
    ).unique("term_id")
    issued = pl.col("txn_date")
    this_month, next_month = (_day_of_month(issued, months) for months in (0, 1))
    too_near = (pl.col("near_days") > 0) & ((this_month - issued).dt.total_days() <= pl.col("near_days"))
    on_a_day = pl.when((issued > this_month) | too_near.fill_null(False)).then(next_month).otherwise(this_month)
    by_terms = (
        pl.when(pl.col("day_of_month_due") > 0)
        .then(on_a_day)
        .when(pl.col("due_days").is_not_null())
        .then(issued + pl.duration(days=pl.col("due_days")))
        .otherwise(issued)
    )
    return invoices.join(terms, on="term_id", how="left").with_columns(
        due_date_imputed=pl.col("due_date").is_null(), due_date=pl.coalesce("due_date", by_terms.cast(pl.Date))
    )


def _day_of_month(issued: pl.Expr, months: int) -> pl.Expr:
    """The terms' day of a month; its last day where it has no such day."""
    month = issued.dt.month_start().dt.offset_by(f"{months}mo")
    days = pl.min_horizontal(pl.col("day_of_month_due").clip(1, _LAST_DAY), month.dt.month_end().dt.day())
    return (month + pl.duration(days=days - 1)).cast(pl.Date)
