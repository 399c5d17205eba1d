"""The tables of month end. Shapes only; nothing is decided here.

A *case* is one deal with every invoice and credit memo that belongs to it, or one invoice without a deal with its credit memos,
or one credit memo that is applied to no invoice.
A month has a row of every case that has a deal won, an invoice or a credit memo in it; the row has exactly one class. Amounts are
in the row's currency and without sales tax; ``won`` less ``invoiced`` is ``difference`` in every row, so the rows of a month add
up to its bridge.
"""

from __future__ import annotations

import polars as pl

from qbsf_pipeline.warehouse.tables import AMOUNT, Column, TableSchema

SCHEMA = "reconciliation"

_MONTH = Column("month", pl.Date, "First day of the month")
_CURRENCY = Column("currency", pl.String, "ISO code of every amount in the row")

CASES = TableSchema(
    SCHEMA,
    "cases",
    (
        _MONTH,
        _CURRENCY,
        Column("case_key", pl.String, "deal:<18-character id>, invoice:<id> or credit_memo:<id>; the same in every month"),
        Column("class", pl.String, "Why won and invoiced differ here, such as invoiced_later; matched where they do not"),
        Column("position", pl.Int64, "Order of the class, from 1; the first rule that is true gives the class"),
        Column("opportunity_id", pl.String, "The deal, 18 characters; null without one"),
        Column("deal", pl.String, "Its name"),
        Column("owner_id", pl.String, "Its owner"),
        Column("owner", pl.String, "The owner's name"),
        Column("account_id", pl.String, "Its account"),
        Column("account", pl.String, "The account's name"),
        Column("customer_id", pl.String, "QuickBooks customer of the invoice, else of the account"),
        Column("customer", pl.String, "Its display name"),
        Column("closed_on", pl.Date, "Close date of the deal"),
        Column("invoiced_on", pl.Date, "Date of its first invoice"),
        Column("invoice_ids", pl.String, "Its invoices, oldest first, joined by a comma and a space"),
        Column("numbers", pl.String, "Their document numbers, in the same order"),
        Column("deal_amount", AMOUNT, "What the deal is worth altogether; null without a deal"),
        Column("billed", AMOUNT, "Invoices less credit memos of the case in all months, without tax"),
        Column("won", AMOUNT, "Won in this month; 0 when the deal was won in another one"),
        Column("invoiced", AMOUNT, "Invoices less credit memos dated in this month, without tax"),
        Column("difference", AMOUNT, "won less invoiced"),
        Column("explained", pl.Boolean, "False only for the class unexplained"),
        Column("cause", pl.String, "The cause in few words, such as the code of a refusal; null where the class says it all"),
        Column("explanation", pl.String, "The sentence that explains it, with amounts and dates"),
        Column("acts", pl.String, "Who should act: sales, finance or nobody"),
        Column("since", pl.Date, "Since when the difference is there: the date of the document that made it"),
        Column("deal_link", pl.String, "Opens the deal"),
        Column("invoice_link", pl.String, "Opens the first invoice"),
        Column("amounts", pl.String, "Class and amounts as one text: an acceptance holds as long as it stays the same"),
    ),
    ("month", "currency", "case_key"),
    "Every case of every month, with its class. A row is one case in one month",
)

DOCUMENTS = TableSchema(
    SCHEMA,
    "documents",
    (
        _MONTH,
        _CURRENCY,
        Column("case_key", pl.String, "reconciliation.cases"),
        Column("kind", pl.String, "deal, invoice or credit_memo"),
        Column("document_id", pl.String, "Its id in Salesforce or QuickBooks"),
        Column("number", pl.String, "Name of a deal, number of a document"),
        Column("dated_on", pl.Date, "Close date of a deal, date of a document"),
        Column("status", pl.String, "won, lost, open, live, voided or deleted"),
        Column("amount", AMOUNT, "Without tax; a credit memo is below 0"),
        Column("counted", pl.Boolean, "Whether it is in this month's totals; others are there to explain"),
    ),
    ("month", "currency", "kind", "document_id"),
    "The deals, invoices and credit memos behind the cases of a month. A row is one document in one month",
)

BRIDGE = TableSchema(
    SCHEMA,
    "bridge",
    (
        _MONTH,
        _CURRENCY,
        Column("position", pl.Int64, "Order of the class"),
        Column("class", pl.String, "Class of the differences"),
        Column("title", pl.String, "The class in words"),
        Column("explained", pl.Boolean, "False only for the class unexplained"),
        Column("cases", pl.Int64, "Cases of the class"),
        Column("amount", AMOUNT, "Sum of won less invoiced of its cases"),
    ),
    ("month", "currency", "class"),
    "From won to invoiced: won less the amounts of all classes is invoiced. A row is one class in one month and currency",
)

TOTALS = TableSchema(
    SCHEMA,
    "totals",
    (
        _MONTH,
        _CURRENCY,
        Column("won", AMOUNT, "Deals closed in the month"),
        Column("invoiced", AMOUNT, "Invoices less credit memos dated in the month, without tax"),
        Column("explained", AMOUNT, "Differences that have a cause"),
        Column("unexplained", AMOUNT, "Differences that have none, as a sum"),
        Column("unexplained_cases", pl.Int64, "How many of those there are"),
        Column("deals", pl.Int64, "Deals won in the month"),
        Column("invoices", pl.Int64, "Invoices dated in the month"),
        Column("cases", pl.Int64, "Cases of the month"),
        Column("differences", pl.Int64, "Cases whose class is neither matched nor within rounding"),
    ),
    ("month", "currency"),
    "Won against invoiced. A row is one month in one currency",
)

STILL_OPEN = TableSchema(
    SCHEMA,
    "still_open",
    (
        Column("month", pl.Date, "First day of the month whose report shows the difference"),
        Column("case_month", pl.Date, "First day of the earlier month that the difference is of"),
        *CASES.columns[1:],
    ),
    ("month", "case_month", "currency", "case_key"),
    "Differences of earlier months that are still open and on which somebody has to act, or that have no cause; no part of the "
    "month's totals. From currency on the columns are those of reconciliation.cases in case_month. A row is one case in one "
    "earlier month, for one report. What a person accepted is left out of the report only",
)
