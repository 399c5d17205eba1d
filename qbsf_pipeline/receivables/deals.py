"""Which deal an invoice bills.

The first of these that tells a deal counts:

====================  ==========================================================================================
``person``            a person linked the two, the latest link of the invoice: it mends whatever the others say, such as
                      a marker that was copied with its invoice
``marker``            the note of the invoice names the deal, and Salesforce has it
``template``          a recurring template of QuickBooks made it for the deal, as the invoice flow recognised it
``ledger``            qbsf made it for the deal, whatever became of its note
``written_id``        exactly one deal holds the invoice's id
``written_number``    by rule: exactly one deal that holds no id holds the number, exactly one invoice has it, its note
                      names no deal, and it is of a customer that the deal's account is linked to, or of one below that,
                      where the account is linked to any
====================  ==========================================================================================

An invoice bills one deal; several invoices may bill one deal. Where several deals claim an invoice (a deal was cloned with
its fields) none of them gets it: a wrong link is worse than a missing one, and a person can decide.
"""

from __future__ import annotations

import polars as pl

from qbsf_pipeline.receivables.inputs import ReceivableInputs
from qbsf_pipeline.receivables.tables import CONTESTED
from qbsf_pipeline.settings import Rules

_SHORT_ID = 15
#: QuickBooks has at most four levels below a customer.
_DEEPEST = 4


def deals_of_invoices(inputs: ReceivableInputs, rules: Rules) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Which invoice bills which deal, and what is contested.

    Returns:
        invoice_id, opportunity_id, linked_by, for the invoices that have a deal; and :data:`.tables.CONTESTED`.
    """
    invoices = inputs.invoice.select(
        pl.col("id").alias("invoice_id"),
        _filled("doc_number"),
        "customer_id",
        _short("opportunity_id").alias("marked"),
        gone=pl.col("is_deleted").fill_null(False),
    ).unique("invoice_id", keep="first", maintain_order=True)
    deals = inputs.opportunity.select(
        pl.col("id").alias("opportunity_id"),
        _short("id").alias("short"),
        "account_id",
        _filled("invoice_id").alias("written_id"),
        _filled("invoice_number").alias("written_number"),
        gone=pl.col("is_deleted").fill_null(False),
    ).unique("short", keep="first", maintain_order=True)
    live = deals.filter(~pl.col("gone"))

    by_marker = invoices.join(deals.select("opportunity_id", "short"), left_on="marked", right_on="short", how="inner").select(
        "invoice_id", "opportunity_id", linked_by=pl.lit("marker")
    )
    holders = live.filter(pl.col("written_id").is_in(invoices.get_column("invoice_id").implode()))
    by_id, several = _claims(holders.select(pl.col("written_id").alias("invoice_id"), "opportunity_id"), "written_id")
    by_link = (
        inputs.invoice_links.select(_short("opportunity_id").alias("short"), "invoice_id", "linked_by")
        .join(deals.select("short", "opportunity_id"), on="short", how="inner", maintain_order="left")
        .unique(["invoice_id", "linked_by"], keep="last", maintain_order=True)
        .select("invoice_id", "opportunity_id", "linked_by")
    )
    is_person = pl.col("linked_by") == "person"
    linked = pl.concat([by_link.filter(is_person), by_marker, by_link.filter(~is_person), by_id])
    if rules.payments.adopt_by_number:
        numbered = _by_number(invoices, live, inputs)
        by_number, several_numbers = _claims(numbered, "written_number")
        linked, several = pl.concat([linked, by_number]), pl.concat([several, several_numbers])
    linked = linked.unique("invoice_id", keep="first", maintain_order=True)
    contested = (
        several.join(linked, on="invoice_id", how="anti")
        .join(invoices.filter(~pl.col("gone")).select("invoice_id", "doc_number"), on="invoice_id", how="inner")
        .unique(["invoice_id", "opportunity_id"], keep="first", maintain_order=True)
        .sort("invoice_id", "opportunity_id")
        .select(*CONTESTED.polars_schema)
    )
    return linked, contested


def _by_number(invoices: pl.DataFrame, live: pl.DataFrame, inputs: ReceivableInputs) -> pl.DataFrame:
    """invoice_id, opportunity_id: every deal that holds the number of an invoice and may be meant."""
    # A number that was used again belongs to the invoice that is there; of several that are there, to none.
    numbered = invoices.filter(pl.col("doc_number").is_not_null()).with_columns(
        number=pl.col("doc_number").str.to_lowercase(), there=(~pl.col("gone")).cast(pl.Int64)
    )
    most = pl.col("there").max().over("number")
    single = numbered.filter(pl.col("there") == most).filter(pl.len().over("number") == 1).filter(pl.col("marked").is_null())
    claims = live.filter(pl.col("written_id").is_null() & pl.col("written_number").is_not_null()).with_columns(
        number=pl.col("written_number").str.to_lowercase()
    )
    found = claims.join(single.select("invoice_id", "number", "customer_id"), on="number", how="inner")
    linked = inputs.customer_links.select("account_id", "customer_id").unique()
    accounts = linked.select("account_id").unique()
    own = found.join(_ancestry(inputs.customer), on="customer_id", how="left").join(
        linked, left_on=["account_id", "ancestor_id"], right_on=["account_id", "customer_id"], how="semi"
    )
    free = found.join(accounts, on="account_id", how="anti")
    return pl.concat([frame.select("invoice_id", "opportunity_id") for frame in (own, free)]).unique(maintain_order=True)


def _ancestry(customers: pl.DataFrame) -> pl.DataFrame:
    """customer_id, ancestor_id: each customer itself, and those above it."""
    parents = customers.select("id", "parent_id").unique("id")
    level = parents.select(pl.col("id").alias("customer_id"), pl.col("id").alias("ancestor_id"))
    levels = [level]
    for _ in range(_DEEPEST):
        level = (
            level.join(parents, left_on="ancestor_id", right_on="id", how="inner")
            .select("customer_id", pl.col("parent_id").alias("ancestor_id"))
            .drop_nulls()
        )
        levels.append(level)
    return pl.concat(levels).unique()


def _claims(claims: pl.DataFrame, claimed_by: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Claims that stand alone, as links; and those that several deals make."""
    alone = pl.len().over("invoice_id") == 1
    links = claims.filter(alone).select("invoice_id", "opportunity_id", linked_by=pl.lit(claimed_by))
    several = claims.filter(~alone).select("invoice_id", "opportunity_id", claimed_by=pl.lit(claimed_by))
    return links, several


def _filled(name: str) -> pl.Expr:
    text = pl.col(name).str.strip_chars()
    return pl.when(text != "").then(text).alias(name)


def _short(name: str) -> pl.Expr:
    return _filled(name).str.slice(0, _SHORT_ID)
