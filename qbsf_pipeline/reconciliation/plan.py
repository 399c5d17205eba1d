"""Month end: what was won against what was invoiced, for many months at once. Pure: frames in, frames out.

A case is put together in :mod:`.cases`, looked at in :mod:`.facts`, gets its class in :mod:`.deciding` by the rules of
:mod:`.classes`, and its words in :mod:`.wording`. Here its amounts are laid out over the months and currencies in which its
documents are. A case has one class, in all of its months: what is known today decides, so that the same records and the same
day give the same report whatever months are asked for and in whatever order the records come. Only a credit memo explains
nothing in a month in which it is not: there the class is that of the deal and its invoices.

Each currency has its own rows. A deal in one currency with an invoice in another is one case with a row in each: won in one,
invoiced in the other, so that the arithmetic of each currency closes by itself and no rate is part of a sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from qbsf_pipeline.reconciliation import classes as c
from qbsf_pipeline.reconciliation.cases import Cases, cases_of, filled
from qbsf_pipeline.reconciliation.deciding import decided
from qbsf_pipeline.reconciliation.facts import facts_of
from qbsf_pipeline.reconciliation.inputs import Links, ReconciliationInputs
from qbsf_pipeline.reconciliation.settled import settled_cases, without
from qbsf_pipeline.reconciliation.tables import BRIDGE, CASES, DOCUMENTS, TOTALS
from qbsf_pipeline.reconciliation.wording import explained, matched_text
from qbsf_pipeline.settings import Rules
from qbsf_pipeline.warehouse.tables import AMOUNT, TableSchema

__all__ = ["SHOWN", "Links", "Reconciliation", "reconcile"]


#: What is shown of a case beside its amounts in a month.
SHOWN = (
    *("case", "currency", "class", "opportunity_id", "deal", "owner_id", "owner", "account_id", "account", "customer_id"),
    *("customer", "closed_on", "invoiced_on", "invoice_ids", "numbers", "value", "billed", "other_currency", "other_billed"),
    *("cause", "explanation", "acts", "since", "first_invoice_id", "credit_memo_id", "class_before_credit"),
)


@dataclass(frozen=True)
class Reconciliation:
    """What month end found. Won less the amounts of the bridge is invoiced, in each month and currency, to the cent.

    Attributes:
        cases: :data:`.tables.CASES`, in no order: millions of rows are sorted by who shows some of them.
        documents: :data:`.tables.DOCUMENTS`, in no order.
        bridge: :data:`.tables.BRIDGE`: a row for each class that has cases; by month, currency and position.
        totals: :data:`.tables.TOTALS`, by month and currency.
    """

    cases: pl.DataFrame
    documents: pl.DataFrame
    bridge: pl.DataFrame
    totals: pl.DataFrame


def reconcile(
    inputs: ReconciliationInputs, rules: Rules, months: Sequence[date] | None, as_of: date, links: Links
) -> Reconciliation:
    """Every case of the months, with its class and the sentence that explains it.

    Args:
        months: any day of each month that is wanted; None for every month in which there is a document.
        as_of: today in the company's time zone: whether an invoice is late, whether a part is overdue.
    """
    cases = cases_of(inputs, as_of)
    rows = _rows(cases, months)
    settled = settled_cases(cases, inputs)
    facts = facts_of(without(cases, settled), inputs, rules.reconciliation)
    classified = decided(facts, inputs, rules.reconciliation, as_of)
    # Only what is shown is put into words.
    wanted = rows.select("case").unique()
    looked_at, settled = (frame.join(wanted, on="case", how="semi", maintain_order="left") for frame in (classified, settled))
    worded = pl.concat(
        [
            _named(
                settled.with_columns(explanation=matched_text("numbers"), class_before_credit=pl.lit(None, pl.String)), inputs
            ).select(SHOWN),
            _shown(explained(_named(looked_at, inputs), inputs.go_live, inputs.held)),
        ],
        how="vertical_relaxed",
    )
    table = _cases(rows, worded, links)
    return Reconciliation(
        cases=table,
        documents=_documents(cases, rows, worded),
        bridge=_bridge(table),
        totals=_totals(table, rows),
    )


def _rows(cases: Cases, months: Sequence[date] | None) -> pl.DataFrame:
    """case, month, currency, won, invoiced, deals, invoices, memos: a row where a case has a document in a month, whether it
    counts or not. A deal that is not won any more has no month of its own."""
    documents = cases.documents.lazy().filter(pl.col("counts") | (pl.col("kind") != "deal"))
    if months is not None:
        wanted = sorted({month.replace(day=1) for month in months})
        documents = documents.filter(pl.col("month").is_in(wanted))
    is_deal, counts = pl.col("kind") == "deal", pl.col("counts")
    nothing = pl.lit(0, dtype=AMOUNT)
    return (
        documents.select(
            "case",
            "month",
            "currency",
            won=pl.when(is_deal & counts).then("amount").otherwise(nothing),
            invoiced=pl.when(~is_deal & counts).then("amount").otherwise(nothing),
            deals=(is_deal & counts).cast(pl.Int64),
            invoices=((pl.col("kind") == "invoice") & counts).cast(pl.Int64),
            memos=(pl.col("kind") == "credit_memo").cast(pl.Int64),
        )
        .group_by("case", "month", "currency")
        .agg(pl.col("won", "invoiced", "deals", "invoices", "memos").sum())
        .collect()
    )


def _shown(worded: pl.DataFrame) -> pl.DataFrame:
    """What :data:`SHOWN` names, of cases that were looked at."""
    return worded.with_columns(
        invoiced_on=pl.coalesce("first_on", "dated_on"),
        other_billed=(pl.col("other_net") - pl.col("other_credited")).cast(AMOUNT),
    ).select(SHOWN)


def _named(cases: pl.DataFrame, inputs: ReconciliationInputs) -> pl.DataFrame:
    """With the names owner, account, customer and wrong_customer; the account's first customer where no document has one."""

    def names(frame: pl.DataFrame, key: str, name: str) -> pl.LazyFrame:
        return frame.lazy().select(key, filled(name)).unique(key, keep="first", maintain_order=True)

    customers = names(inputs.customers, "customer_id", "customer")
    of_accounts = (
        inputs.account_customers.lazy()
        .select("account_id", pl.col("customer_id").alias("own_customer_id"))
        .unique("account_id", keep="first", maintain_order=True)
    )
    wrong = customers.rename({"customer_id": "wrong_customer_id", "customer": "wrong_customer"})
    named = (
        cases.lazy()
        .join(names(inputs.owners, "owner_id", "owner"), on="owner_id", how="left", maintain_order="left")
        .join(names(inputs.accounts, "account_id", "account"), on="account_id", how="left", maintain_order="left")
        .join(of_accounts, on="account_id", how="left", maintain_order="left")
        .with_columns(customer_id=pl.coalesce("customer_id", "own_customer_id"))
        .join(customers, on="customer_id", how="left", maintain_order="left")
    )
    if "wrong_customer_id" in cases.columns:
        named = named.join(wrong, on="wrong_customer_id", how="left", maintain_order="left")
    return named.collect()


def _cases(rows: pl.DataFrame, worded: pl.DataFrame, links: Links) -> pl.DataFrame:
    difference = (pl.col("won") - pl.col("invoiced")).cast(AMOUNT)
    # The amounts of a row are in its own currency: what the case has in another one is said in the explanation.
    own = pl.col("currency") == pl.col("case_currency")
    elsewhere = pl.when(pl.col("currency") == pl.col("other_currency")).then("other_billed")
    shown = worded.lazy().select(
        *(name for name in SHOWN if name != "currency"),
        pl.col("currency").alias("case_currency"),
        _case_key(),
        _link(links.deal, "opportunity_id").alias("deal_link"),
        _link(links.invoice, "first_invoice_id").alias("invoice_link"),
    )
    positions = pl.col("class").replace_strict(c.POSITIONS, return_dtype=pl.Int64)
    # Where deal and invoice are of one month, and only the credit memo of another, nothing differs.
    without_memo = pl.when(difference == 0).then(pl.lit(c.MATCHED)).otherwise("class_before_credit")
    table = (
        rows.lazy()
        .join(shown, on="case", how="inner")
        .with_columns(
            pl.when((pl.col("class") == c.CREDITED) & (pl.col("memos") == 0) & pl.col("opportunity_id").is_not_null())
            .then(pl.coalesce(without_memo, "class"))
            .otherwise("class")
            .alias("class")
        )
        .with_columns(
            pl.when(own & pl.col("opportunity_id").is_not_null()).then("value").alias("deal_amount"),
            pl.when(own).then("billed").otherwise(elsewhere).alias("billed"),
            difference.alias("difference"),
            positions.alias("position"),
            (pl.col("class") != c.UNEXPLAINED).alias("explained"),
        )
        .with_columns(
            amounts=pl.concat_str(
                *("class", pl.col("cause").fill_null("-"), "currency", "won", "invoiced"),
                *(pl.col(name).cast(pl.String).fill_null("-") for name in ("deal_amount", "billed")),
                separator=" ",
            )
        )
    )
    return _shaped(table, CASES)


def _case_key() -> pl.Expr:
    return (
        pl.when(pl.col("opportunity_id").is_not_null())
        .then(pl.lit("deal:") + pl.col("opportunity_id"))
        .when(pl.col("first_invoice_id").is_not_null())
        .then(pl.lit("invoice:") + pl.col("first_invoice_id"))
        .otherwise(pl.lit("credit_memo:") + pl.col("credit_memo_id"))
        .alias("case_key")
    )


def _link(pattern: str, name: str) -> pl.Expr:
    if not pattern:
        return pl.lit(None, pl.String)
    before, _, after = pattern.partition("{id}")
    return pl.lit(before) + pl.col(name) + pl.lit(after)


def _documents(cases: Cases, rows: pl.DataFrame, worded: pl.DataFrame) -> pl.DataFrame:
    """Every document of the cases that have a row in a month and the document's currency; those of other months explain."""
    keys = worded.lazy().select("case", _case_key())
    of_rows = rows.lazy().select("case", "currency", pl.col("month").alias("row_month")).join(keys, on="case", how="inner")
    table = (
        cases.documents.lazy()
        .join(of_rows, on=["case", "currency"], how="inner")
        .with_columns(
            counted=pl.col("counts") & (pl.col("month") == pl.col("row_month")),
            month=pl.col("row_month"),
        )
    )
    return _shaped(table, DOCUMENTS)


def _bridge(cases: pl.DataFrame) -> pl.DataFrame:
    titles = {each.code: each.title for each in c.CLASSES}
    table = (
        cases.lazy()
        .group_by("month", "currency", "position", "class", "explained")
        .agg(pl.len().cast(pl.Int64).alias("cases"), pl.col("difference").sum().alias("amount"))
        .with_columns(title=pl.col("class").replace_strict(titles, return_dtype=pl.String))
        .sort("month", "currency", "position")
    )
    return _shaped(table, BRIDGE)


def _totals(cases: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    counted = rows.lazy().group_by("month", "currency").agg(pl.col("deals", "invoices").sum())
    table = (
        cases.lazy()
        .group_by("month", "currency")
        .agg(
            pl.col("won", "invoiced").sum(),
            pl.col("difference").filter("explained").sum().alias("explained"),
            pl.col("difference").filter(~pl.col("explained")).sum().alias("unexplained"),
            (~pl.col("explained")).sum().cast(pl.Int64).alias("unexplained_cases"),
            pl.len().cast(pl.Int64).alias("cases"),
            (~pl.col("class").is_in(list(c.NO_DIFFERENCE))).sum().cast(pl.Int64).alias("differences"),
        )
        .join(counted, on=["month", "currency"], how="left")
        .sort("month", "currency")
    )
    return _shaped(table, TOTALS)


def _shaped(table: pl.LazyFrame, schema: TableSchema) -> pl.DataFrame:
    return table.select(*schema.polars_schema).cast(schema.polars_schema).collect()
