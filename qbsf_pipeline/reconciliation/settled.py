"""The cases that need no looking at: one invoice over exactly what was won, in the same month. Pure.

Nearly all cases are like that. They are taken out first, so that everything else is worked out for the few that are left. What
comes out is what the rules of :mod:`.classes` would say: the first rule that is true for such a case is ``matched``.
"""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from qbsf_pipeline.reconciliation import classes as c
from qbsf_pipeline.reconciliation.cases import LIVE, Cases
from qbsf_pipeline.reconciliation.facts import on_wrong_customers
from qbsf_pipeline.reconciliation.inputs import ReconciliationInputs
from qbsf_pipeline.warehouse.tables import AMOUNT


def settled_cases(cases: Cases, inputs: ReconciliationInputs) -> pl.DataFrame:
    """Cases of one deal and one invoice without anything to say about them.

    Returns:
        The columns of :data:`.plan.SHOWN`, but for names and explanation.
    """
    deals = cases.deals.lazy().filter((pl.col("status") == "won") & pl.col("closed_on").is_not_null() & pl.col("has_amount"))
    alone = (
        cases.invoices.lazy()
        .filter(~pl.col("case").is_duplicated())
        .filter((pl.col("state") == LIVE) & pl.col("has_date") & (pl.col("written_off") == 0))
        .join(cases.credit_memos.lazy().select("case"), on="case", how="anti")
        .select(
            "case",
            "invoice_id",
            "number",
            "linked_by",
            "net",
            "customer_id",
            pl.col("currency").alias("billed_in"),
            pl.col("counts_on").alias("first_on"),
        )
    )
    fitting = (
        deals.join(alone, on="case", how="inner")
        .filter(
            (pl.col("net") == pl.col("value"))
            & (pl.col("billed_in") == pl.col("currency"))
            & (pl.col("first_on").dt.month_start() == pl.col("closed_on").dt.month_start())
        )
        .collect()
    )
    wrong = on_wrong_customers(fitting, inputs)
    nothing = pl.lit(None, pl.String)
    return (
        fitting.lazy()
        .join(wrong.lazy(), on="case", how="anti")
        .select(
            *("case", "currency", "opportunity_id", "deal", "owner_id", "account_id", "customer_id", "closed_on", "value"),
            pl.lit(c.MATCHED).alias("class"),
            pl.col("first_on").alias("invoiced_on"),
            pl.col("invoice_id").alias("invoice_ids"),
            pl.col("number").alias("numbers"),
            pl.col("value").alias("billed"),
            nothing.alias("other_currency"),
            pl.lit(None, AMOUNT).alias("other_billed"),
            nothing.alias("cause"),
            pl.lit(c.NOBODY).alias("acts"),
            pl.lit(None, pl.Date).alias("since"),
            pl.col("invoice_id").alias("first_invoice_id"),
            pl.lit(None, pl.String).alias("credit_memo_id"),
        )
        .collect()
    )


def without(cases: Cases, settled: pl.DataFrame) -> Cases:
    """The cases that are left; ``documents`` stay as they are."""
    gone = settled.select("case")
    deals, invoices, memos = (
        frame.join(gone, on="case", how="anti") for frame in (cases.deals, cases.invoices, cases.credit_memos)
    )
    return replace(cases, deals=deals, invoices=invoices, credit_memos=memos)
