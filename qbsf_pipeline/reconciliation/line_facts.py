"""What the lines say of the cases whose amounts differ: discounts, fees, deposits, and lines that only one side has. Pure.

Lines are compared by their amounts, as often as each occurs: names differ between the systems and amounts do not.
"""

from __future__ import annotations

import polars as pl

from qbsf_pipeline.reconciliation.cases import LIVE, Cases, cents
from qbsf_pipeline.reconciliation.inputs import ReconciliationInputs
from qbsf_pipeline.settings import ReconciliationRules
from qbsf_pipeline.warehouse.tables import AMOUNT

#: More names than this in a sentence help nobody.
_MOST_NAMES = 3


def line_facts(cases: Cases, inputs: ReconciliationInputs, rules: ReconciliationRules) -> pl.DataFrame:
    """Signs in the lines, for the cases whose lines were read.

    Returns:
        case; lines (how many, of the side that has more); discount, fees (of the invoices); has_deposit; only_deal,
        only_invoices (amounts of lines that one side has more often), only_deal_lines, only_invoice_lines, common_lines (how
        many), only_deal_names, only_invoice_names (of the first of them).
    """
    invoices = cases.invoices.lazy().filter((pl.col("state") == LIVE) & pl.col("opportunity_id").is_not_null())
    billed = (
        inputs.invoice_lines.lazy()
        .filter(pl.col("amount").is_not_null())
        .join(invoices.select("invoice_id", "case"), on="invoice_id", how="inner")
        .with_columns(is_fee=_is_fee(rules), is_deposit=_is_deposit(rules))
        .collect()
    )
    sold = (
        inputs.deal_lines.lazy()
        .join(cases.deals.lazy().select("opportunity_id", "case"), on="opportunity_id", how="inner")
        .select("case", "label", amount=cents(pl.col("amount")))
        .drop_nulls("amount")
        .collect()
    )
    is_discount = pl.col("kind") == "discount"
    of_invoices = billed.group_by("case").agg(
        pl.col("amount").filter(is_discount).abs().sum().cast(AMOUNT).alias("discount"),
        pl.col("amount").filter("is_fee").sum().cast(AMOUNT).alias("fees"),
        pl.col("is_deposit").any().alias("has_deposit"),
        pl.len().cast(pl.Int64).alias("invoice_lines"),
    )
    of_deals = sold.group_by("case").agg(pl.len().cast(pl.Int64).alias("deal_lines"))
    return (
        of_invoices.join(of_deals, on="case", how="full", coalesce=True)
        .join(_compared(sold, billed.filter(~is_discount)), on="case", how="left")
        .with_columns(lines=pl.max_horizontal("invoice_lines", "deal_lines"))
        .drop("invoice_lines", "deal_lines")
    )


def _is_fee(rules: ReconciliationRules) -> pl.Expr:
    names = [name.strip().casefold() for name in rules.fee_items]
    named = pl.col("label").fill_null("").str.strip_chars().str.to_lowercase().is_in(names)
    return ((pl.col("kind") == "freight") | named) & (pl.col("kind") != "discount")


def _is_deposit(rules: ReconciliationRules) -> pl.Expr:
    text = pl.concat_str("label", "description", separator=" ", ignore_nulls=True).str.to_lowercase()
    words = [word.strip().casefold() for word in rules.deposit_words]
    return text.str.contains_any(words) if words else pl.lit(False)


def _compared(sold: pl.DataFrame, billed: pl.DataFrame) -> pl.DataFrame:
    """Which amounts one side has more often than the other."""

    def counted(lines: pl.DataFrame, side: str) -> pl.DataFrame:
        # Lines of 0 are often left out on one side.
        return (
            lines.filter(pl.col("amount") != 0)
            .sort("case", "amount", "label", nulls_last=True)
            .group_by("case", "amount", maintain_order=True)
            .agg(pl.len().cast(pl.Int64).alias(side), pl.col("label").drop_nulls().first().alias(f"{side}_name"))
        )

    both = (
        counted(sold, "deal")
        .join(counted(billed, "invoice"), on=["case", "amount"], how="full", coalesce=True)
        .with_columns(pl.col("deal", "invoice").fill_null(0))
        .sort("case", "amount", descending=[False, True])
        .with_columns(common=pl.min_horizontal("deal", "invoice"))
        .with_columns(only_deal=pl.col("deal") - pl.col("common"), only_invoice=pl.col("invoice") - pl.col("common"))
    )

    def amount(side: str) -> pl.Expr:
        return (pl.col("amount") * pl.col(side)).sum().cast(AMOUNT)

    def names(side: str, name: str) -> pl.Expr:
        return pl.col(name).filter(pl.col(side) > 0).drop_nulls().head(_MOST_NAMES).str.join(", ")

    return both.group_by("case", maintain_order=True).agg(
        amount("only_deal").alias("only_deal"),
        amount("only_invoice").alias("only_invoices"),
        pl.col("only_deal").sum().alias("only_deal_lines"),
        pl.col("only_invoice").sum().alias("only_invoice_lines"),
        pl.col("common").sum().alias("common_lines"),
        names("only_deal", "deal_name").alias("only_deal_names"),
        names("only_invoice", "invoice_name").alias("only_invoice_names"),
    )
