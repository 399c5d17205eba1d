"""The tables of the invoice flow, and what its plan is told by the state. Shapes only; nothing is decided here."""

from __future__ import annotations

import polars as pl

from qbsf_pipeline.flows.plans import plan_table
from qbsf_pipeline.warehouse.tables import AMOUNT, RATE, Column, TableSchema

FLOW = "invoices"

PLAN = plan_table(FLOW, "One row per intended write of the invoice flow")

REFUSALS = TableSchema(
    "invoices",
    "refusals",
    (
        Column("opportunity_id", pl.String, "The deal"),
        Column("deal", pl.String, "Its name"),
        Column("account_id", pl.String, "Its account"),
        Column("account_name", pl.String, "Name of the account"),
        Column("owner_id", pl.String, "User who owns the deal"),
        Column("amount", RATE, "Amount of the deal in its currency"),
        Column("currency", pl.String, "ISO code"),
        Column("code", pl.String, "Stable code of the reason"),
        Column("reason", pl.String, "The reason as a sentence"),
        Column("remedy", pl.String, "What to do"),
        Column("position", pl.Int64, "Order of the deal's reasons, from 1"),
    ),
    ("opportunity_id", "position"),
    "Why deals are not invoiced: one row per deal and reason, all reasons of a deal at once",
)

NOTES = TableSchema(
    "invoices",
    "notes",
    (
        Column("opportunity_id", pl.String, "The deal"),
        Column("code", pl.String, "Stable code of what was mended or noticed"),
        Column("text", pl.String, "The same as a sentence"),
    ),
    ("opportunity_id", "code", "text"),
    "What was mended by rule on the way to an invoice, and what is odd about it",
)

DEALS = TableSchema(
    "invoices",
    "deals",
    (
        Column("opportunity_id", pl.String, "The deal"),
        Column("deal", pl.String, "Its name"),
        Column("account_id", pl.String, "Its account"),
        Column("account_name", pl.String, "Name of the account"),
        Column("owner_id", pl.String, "User who owns the deal"),
        Column("close_date", pl.Date, "Day it was won"),
        Column("amount", RATE, "Amount of the deal in its currency"),
        Column("currency", pl.String, "ISO code"),
        Column(
            "outcome",
            pl.String,
            "planned, refused, waiting, scheduled, amends, invoiced, in_progress, before_go_live or dead; amends: its difference "
            "is billed with the deal that made the contract, or credited",
        ),
        Column("detail", pl.String, "Why, in a sentence"),
        Column("billed_with", pl.String, "Of an amendment the deal whose schedule bills its difference, once that is agreed"),
        Column("difference", AMOUNT, "What the lines of that amendment come to, in its currency; may be below 0"),
    ),
    ("opportunity_id",),
    "Every won deal and what becomes of it",
)

TEMPLATE_INVOICES = TableSchema(
    "invoices",
    "template_invoices",
    (
        Column("opportunity_id", pl.String, "The deal"),
        Column("invoice_id", pl.String, "The invoice in QuickBooks"),
        Column("period", pl.Int64, "Number of the period that it bills"),
    ),
    ("opportunity_id", "period"),
    "Invoices that recurring templates of QuickBooks made, as they were recognised",
)

LEDGER = pl.Schema(
    {
        "key": pl.String,
        "status": pl.String,
        "result_id": pl.String,
        "opportunity_id": pl.String,
        "operation": pl.String,
        "error_code": pl.String,
        "done_on": pl.Date,
    }
)
INVOICE_LINKS = pl.Schema({"opportunity_id": pl.String, "invoice_id": pl.String, "method": pl.String})
GENERATIONS = pl.Schema({"opportunity_id": pl.String, "generation": pl.Int64})
