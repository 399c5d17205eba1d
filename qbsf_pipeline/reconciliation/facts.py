"""What is known of each case: the amounts, dates and signs that its class is decided from. Pure; one row for each case."""

from __future__ import annotations

import polars as pl

from qbsf_pipeline.reconciliation.cases import DELETED, LIVE, VOIDED, Cases
from qbsf_pipeline.reconciliation.inputs import ReconciliationInputs
from qbsf_pipeline.reconciliation.line_facts import line_facts
from qbsf_pipeline.settings import ReconciliationRules
from qbsf_pipeline.warehouse.tables import AMOUNT

#: QuickBooks has at most four levels below a customer.
_DEEPEST = 4
_AMOUNTS = (
    *("invoiced", "gross", "tax", "other_net", "written_off", "last_total", "credited", "credited_as_bad"),
    *("other_credited", "discount", "fees", "only_deal", "only_invoices"),
)
_COUNTS = ("live", "voided", "deleted", "lines", "only_deal_lines", "only_invoice_lines", "common_lines")
_FLAGS = ("is_duplicate", "has_deposit", "scheduled", "is_undated", "is_shared_credit")


def facts_of(cases: Cases, inputs: ReconciliationInputs, rules: ReconciliationRules) -> pl.DataFrame:
    """Everything that a class is decided from and a sentence is made of.

    Returns:
        A row for each case.

        * the deal, null without one: opportunity_id, deal, account_id, owner_id, closed_on, deal_on, deal_status, value,
          has_amount, recurs, periods, deal_modified_on;
        * currency: of the deal, else of the first document;
        * invoices, also those that do not stand: invoice_ids, numbers, first_invoice_id, first_number, customer_id, marked_deal;
          live, voided, deleted (how many), modified_on, gone_on, last_total, is_undated, scheduled (made by a template);
        * invoices that stand: first_on, last_on; in the case's currency invoiced, gross, tax; written_off; others by
          other_currency (null without one, ``several`` for more than one), other_net, other_rate;
        * billings: billed_by_qbsf (null unless qbsf made all of them), generation;
        * credit memos: credited, credited_as_bad, other_credited (in another currency), credit_memo_id, memo_numbers,
          first_memo_on, last_memo_on, is_shared_credit;
        * signs: wrong_customer_id, is_duplicate, duplicate_numbers, and what :func:`.line_facts.line_facts` says.
    """
    invoices = _with_billings(cases, inputs)
    every_case = pl.concat(
        [
            cases.deals.select("case"),
            cases.invoices.filter(pl.col("opportunity_id").is_null()).select("case"),
            cases.credit_memos.filter(~pl.col("is_applied")).select("case"),
        ]
    )
    deals = cases.deals.rename(
        {"counts_on": "deal_on", "status": "deal_status", "modified_on": "deal_modified_on", "currency": "deal_currency"}
    )
    memos = _of_credit_memos(cases.credit_memos, cases.deals)
    together = (
        every_case.lazy()
        .join(deals.lazy(), on="case", how="left", maintain_order="left")
        .join(_of_invoices(invoices).lazy(), on="case", how="left", maintain_order="left")
        .join(memos.lazy(), on="case", how="left", maintain_order="left")
        .join(_duplicates(invoices).lazy(), on="case", how="left", maintain_order="left")
        .join(on_wrong_customers(invoices.filter("is_live"), inputs).lazy(), on="case", how="left", maintain_order="left")
        .join(line_facts(cases, inputs, rules).lazy(), on="case", how="left", maintain_order="left")
        .with_columns(
            pl.col(_AMOUNTS).fill_null(0).cast(AMOUNT),
            pl.col(_COUNTS).fill_null(0).cast(pl.Int64),
            pl.col(_FLAGS).fill_null(False),
            currency=pl.coalesce("deal_currency", "invoice_currency", "memo_currency"),
            customer_id=pl.coalesce("customer_id", "memo_customer_id"),
        )
    )
    return together.collect()


def _with_billings(cases: Cases, inputs: ReconciliationInputs) -> pl.DataFrame:
    """The invoices with the deal's currency and account, and with what qbsf billed: billed_amount, generation."""
    done = (
        inputs.billings.lazy()
        .filter(pl.col("status") == "done")
        .join(cases.invoices.lazy().select("invoice_id"), on="invoice_id", how="semi")
        .unique("invoice_id", keep="last", maintain_order=True)
        .select("invoice_id", pl.col("amount").alias("billed_amount"), "generation")
    )
    deals = cases.deals.lazy().select("case", "account_id", pl.col("currency").alias("deal_currency"))
    return (
        cases.invoices.lazy()
        .join(done, on="invoice_id", how="left", maintain_order="left")
        .join(deals, on="case", how="left", maintain_order="left")
        .with_columns(
            is_live=pl.col("state") == LIVE,
            same_currency=(pl.col("currency") == pl.col("deal_currency")).fill_null(True),
        )
        .collect()
    )


def _of_invoices(invoices: pl.DataFrame) -> pl.DataFrame:
    """The invoices of each case together. Most cases have one, for which nothing has to be put together."""
    several = pl.col("case").is_duplicated()
    stands, ours = pl.col("is_live"), pl.col("is_live") & pl.col("same_currency")
    others = pl.col("is_live") & ~pl.col("same_currency")
    nothing = pl.lit(0, dtype=AMOUNT)

    def only(condition: pl.Expr, name: str) -> pl.Expr:
        return pl.when(condition).then(name).otherwise(nothing)

    single = invoices.filter(~several).select(
        "case",
        pl.col("invoice_id").alias("invoice_ids"),
        pl.col("number").alias("numbers"),
        pl.col("invoice_id").alias("first_invoice_id"),
        pl.col("number").alias("first_number"),
        "customer_id",
        "marked_deal",
        pl.col("currency").alias("invoice_currency"),
        stands.cast(pl.Int64).alias("live"),
        (pl.col("state") == VOIDED).cast(pl.Int64).alias("voided"),
        (pl.col("state") == DELETED).cast(pl.Int64).alias("deleted"),
        "modified_on",
        pl.when(~stands).then("modified_on").alias("gone_on"),
        only(~stands, "last_total").alias("last_total"),
        (~pl.col("has_date") & stands).alias("is_undated"),
        pl.col("recurs").alias("scheduled"),
        pl.col("counts_on").alias("dated_on"),
        pl.when(stands).then("counts_on").alias("first_on"),
        pl.when(stands).then("counts_on").alias("last_on"),
        only(ours, "net").alias("invoiced"),
        only(ours, "gross").alias("gross"),
        only(ours, "tax").alias("tax"),
        only(stands, "written_off").alias("written_off"),
        pl.when(others).then("currency").alias("other_currency"),
        only(others, "net").alias("other_net"),
        pl.when(others).then("exchange_rate").alias("other_rate"),
        pl.when(stands).then("billed_amount").alias("billed_by_qbsf"),
        pl.when(stands).then("generation").alias("generation"),
    )

    def total(condition: pl.Expr, name: str) -> pl.Expr:
        return pl.col(name).filter(condition).sum().cast(AMOUNT)

    other_currencies = pl.col("currency").filter(others).unique()
    # Oldest first; QuickBooks' ids rise, as texts of different length.
    in_order = invoices.filter(several).sort("case", "counts_on", pl.col("invoice_id").str.len_chars(), "invoice_id")
    # What a case is shown by is an invoice that stands, where there is one.
    shown = pl.col("is_live").arg_max()
    together = in_order.group_by("case", maintain_order=True).agg(
        pl.col("invoice_id").str.join(", ").alias("invoice_ids"),
        pl.col("number").str.join(", ").alias("numbers"),
        pl.col("invoice_id").get(shown).alias("first_invoice_id"),
        pl.col("number").get(shown).alias("first_number"),
        pl.col("customer_id").get(shown),
        pl.col("marked_deal").get(shown),
        pl.col("currency").get(shown).alias("invoice_currency"),
        stands.sum().cast(pl.Int64).alias("live"),
        (pl.col("state") == VOIDED).sum().cast(pl.Int64).alias("voided"),
        (pl.col("state") == DELETED).sum().cast(pl.Int64).alias("deleted"),
        pl.col("modified_on").max(),
        pl.col("modified_on").filter(~stands).max().alias("gone_on"),
        total(~stands, "last_total").alias("last_total"),
        (~pl.col("has_date") & stands).any().alias("is_undated"),
        pl.col("recurs").any().alias("scheduled"),
        pl.col("counts_on").min().alias("dated_on"),
        pl.col("counts_on").filter(stands).min().alias("first_on"),
        pl.col("counts_on").filter(stands).max().alias("last_on"),
        total(ours, "net").alias("invoiced"),
        total(ours, "gross").alias("gross"),
        total(ours, "tax").alias("tax"),
        total(stands, "written_off").alias("written_off"),
        pl.when((pl.col("currency").filter(others).n_unique() > 1) | (ours.any() & others.any()))
        .then(pl.lit("several"))
        .otherwise(other_currencies.first())
        .alias("other_currency"),
        total(others, "net").alias("other_net"),
        pl.col("exchange_rate").filter(others).first().alias("other_rate"),
        pl.when(pl.col("billed_amount").filter(stands).null_count() == 0)
        .then(total(stands, "billed_amount"))
        .alias("billed_by_qbsf"),
        pl.col("generation").filter(stands).max(),
    )
    return pl.concat([single, together.select(single.columns)], how="vertical_relaxed")


def _of_credit_memos(memos: pl.DataFrame, deals: pl.DataFrame) -> pl.DataFrame:
    in_order = (
        memos.lazy()
        .join(deals.lazy().select("case", pl.col("currency").alias("deal_currency")), on="case", how="left")
        .with_columns(same_currency=(pl.col("currency") == pl.col("deal_currency")).fill_null(True))
        .sort("case", "counts_on", pl.col("credit_memo_id").str.len_chars(), "credit_memo_id")
    )
    ours = pl.col("same_currency")
    return (
        in_order.group_by("case", maintain_order=True)
        .agg(
            pl.col("net").filter(ours).sum().cast(AMOUNT).alias("credited"),
            pl.col("written_off").filter(ours).sum().cast(AMOUNT).alias("credited_as_bad"),
            pl.col("net").filter(~ours).sum().cast(AMOUNT).alias("other_credited"),
            pl.col("credit_memo_id").first(),
            pl.col("number").str.join(", ").alias("memo_numbers"),
            pl.col("counts_on").min().alias("first_memo_on"),
            pl.col("counts_on").max().alias("last_memo_on"),
            pl.col("currency").first().alias("memo_currency"),
            pl.col("customer_id").first().alias("memo_customer_id"),
            pl.col("is_shared").any().alias("is_shared_credit"),
        )
        .collect()
    )


def _duplicates(invoices: pl.DataFrame) -> pl.DataFrame:
    """Cases with two invoices of the same amount that neither a schedule nor a person's order explains."""
    plain = invoices.filter(
        pl.col("is_live")
        & pl.col("opportunity_id").is_not_null()
        & ~pl.col("recurs")
        & (pl.col("generation").fill_null(1) <= 1)
        & (pl.col("net") != 0)
    )
    same = plain.filter(pl.col("case").is_duplicated()).filter(pl.len().over("case", "currency", "net") > 1)
    return (
        same.sort("case", "counts_on", pl.col("invoice_id").str.len_chars(), "invoice_id")
        .group_by("case", maintain_order=True)
        .agg(pl.col("number").str.join(" and ").alias("duplicate_numbers"))
        .with_columns(is_duplicate=pl.lit(True))
    )


def on_wrong_customers(invoices: pl.DataFrame, inputs: ReconciliationInputs) -> pl.DataFrame:
    """Cases with an invoice on a customer that is not the account's, where it is known which customers are.

    Args:
        invoices: case, account_id (of the deal), customer_id, linked_by: invoices that stand.

    Returns:
        case, wrong_customer_id (of several the first by id).
    """
    linked = inputs.account_customers.lazy().select("account_id", "customer_id").drop_nulls().unique()
    asked = (
        invoices.lazy()
        .filter(pl.col("customer_id").is_not_null() & pl.col("linked_by").ne_missing("person"))
        .select("case", "account_id", "customer_id")
        .join(linked, on=["account_id", "customer_id"], how="anti")
        .join(linked.select("account_id").unique(), on="account_id", how="semi")
        .collect()
    )
    parents = inputs.customers.select("customer_id", "parent_id").unique("customer_id", keep="first")
    wrong = asked.with_columns(ancestor_id=pl.col("customer_id"))
    for _ in range(_DEEPEST):
        if wrong.is_empty():
            break
        above = wrong.join(parents.rename({"customer_id": "ancestor_id"}), on="ancestor_id", how="left").with_columns(
            ancestor_id=pl.col("parent_id")
        )
        right = above.lazy().join(
            linked, left_on=["account_id", "ancestor_id"], right_on=["account_id", "customer_id"], how="semi"
        )
        wrong = above.drop("parent_id").join(
            right.select("case", "customer_id").unique().collect(), on=["case", "customer_id"], how="anti"
        )
    return (
        wrong.sort("case", "customer_id")
        .group_by("case", maintain_order=True)
        .agg(pl.col("customer_id").first().alias("wrong_customer_id"))
    )
