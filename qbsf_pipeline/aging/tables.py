"""The tables of the aging flow, and what it is told by the state. Shapes only; nothing is decided here."""

from __future__ import annotations

import polars as pl

from qbsf_pipeline.flows.plans import plan_table
from qbsf_pipeline.warehouse.tables import AMOUNT, TIMESTAMP, Column, PolarsType, TableSchema

FLOW = "aging"

PLAN = plan_table(FLOW, "One row per deal whose days or bucket change, reminder that goes out, task that is created or closed")


def _columns(**types: PolarsType) -> pl.Schema:
    return pl.Schema(types)


#: Columns of the invoices as they were owed on the day (``receivables.invoices``) that ageing reads.
RECEIVABLES = _columns(
    invoice_id=pl.String,
    doc_number=pl.String,
    customer_id=pl.String,
    opportunity_id=pl.String,
    txn_date=pl.Date,
    due_date=pl.Date,
    due_date_imputed=pl.Boolean,
    total=AMOUNT,
    balance=AMOUNT,
    currency=pl.String,
    open=AMOUNT,
    status=pl.String,
    emailed=pl.Boolean,
    disputed=pl.Boolean,
    explained=pl.Boolean,
)
#: Columns of what is not applied (``receivables.unapplied``) that ageing reads; amounts are above 0.
CREDITS = _columns(customer_id=pl.String, txn_date=pl.Date, amount=AMOUNT, currency=pl.String)
#: Where an invoice is mailed to, and when QuickBooks mailed it last, whoever asked for that (``DeliveryInfo.DeliveryTime``).
MAIL = _columns(invoice_id=pl.String, email=pl.String, delivered_at=TIMESTAMP)
#: Thresholds that an invoice is known to have crossed.
KNOWN_CROSSINGS = _columns(invoice_id=pl.String, threshold=pl.Int64)
#: Reminders that went out, counted from 1 for each invoice.
SENT_REMINDERS = _columns(invoice_id=pl.String, number=pl.Int64, sent_at=TIMESTAMP)
#: Tasks in Salesforce that the program created.
KNOWN_TASKS = _columns(invoice_id=pl.String, threshold=pl.Int64, task_id=pl.String, closed_at=TIMESTAMP)
#: What the ledger knows of this flow: every reminder and task, and the updates of deals of the last two weeks at least.
LEDGER = _columns(key=pl.String, status=pl.String, result_id=pl.String, done_at=TIMESTAMP)

INVOICES = TableSchema(
    FLOW,
    "invoices",
    (
        Column("as_of", pl.Date, "The day, in the company's time zone"),
        Column("invoice_id", pl.String, "QuickBooks id of an invoice that is open on that day"),
        Column("doc_number", pl.String, "Its number; its id where it has none"),
        Column("customer_id", pl.String, "QuickBooks customer"),
        Column("customer_name", pl.String, "The customer as QuickBooks calls it"),
        Column("contact", pl.String, "Person at the customer, with e-mail and phone as far as known"),
        Column("opportunity_id", pl.String, "The deal; null for an invoice without one"),
        Column("deal", pl.String, "Its name; null where Salesforce does not show the deal"),
        Column("account_id", pl.String, "The account"),
        Column("account_name", pl.String, "Its name"),
        Column("owner_name", pl.String, "Who owns the deal; null where nobody does"),
        Column("owner_email", pl.String, "Where the owner is reached; null for who left, and where there is none"),
        Column("owner_state", pl.String, "active, left (may not log in any more) or none"),
        Column("txn_date", pl.Date, "Invoice date"),
        Column("due_date", pl.Date, "Due date"),
        Column("due_date_imputed", pl.Boolean, "The due date was not given and follows from terms or the invoice date"),
        Column("days_past_due", pl.Int64, "Whole days past the due date; the day after it is 1; 0 until then"),
        Column("days", pl.Int64, "Days that count for the bucket (rules: aging.days_from)"),
        Column("bucket", pl.String, "Current, 1-30, 31-60, 61-90 or 90+, or as the rules cut them"),
        Column("open", AMOUNT, "What is still owed, in the invoice's currency"),
        Column("total", AMOUNT, "Total with tax, in the invoice's currency"),
        Column("balance", AMOUNT, "QuickBooks' own balance now, in the invoice's currency"),
        Column("currency", pl.String, "ISO code"),
        Column("status", pl.String, "Payment status"),
        Column("emailed", pl.Boolean, "QuickBooks has mailed it"),
        Column("disputed", pl.Boolean, "The customer disputes it"),
        Column("explained", pl.Boolean, "What is open by its applications is QuickBooks' balance"),
    ),
    ("invoice_id",),
    "Every invoice that is open on the day, with its age. A row is one invoice.",
)

DEALS = TableSchema(
    FLOW,
    "deals",
    (
        Column("opportunity_id", pl.String, "Salesforce id of the deal, 18 characters"),
        Column("deal", pl.String, "Its name"),
        Column("account_id", pl.String, "The account"),
        Column("owner_id", pl.String, "User who owns the deal"),
        Column("days_outstanding", pl.Int64, "Days of its oldest open invoice; null where none is open"),
        Column("aging_bucket", pl.String, "Bucket of these days; null where none is open"),
        Column("stored_days", pl.Int64, "What Salesforce has"),
        Column("stored_bucket", pl.String, "What Salesforce has"),
        Column("differs", pl.Boolean, "Salesforce has something else"),
        Column("invoice_id", pl.String, "The oldest open invoice"),
        Column("doc_number", pl.String, "Its number"),
        Column("open_invoices", pl.Int64, "How many invoices of the deal are open"),
        Column("open", AMOUNT, "What is still owed for the deal; null where its invoices have several currencies"),
        Column("currency", pl.String, "ISO code of open"),
        Column("reason", pl.String, "Why, as a sentence"),
    ),
    ("opportunity_id",),
    "What each deal with an invoice shall show of its age. A row is one deal.",
)

CROSSINGS = TableSchema(
    FLOW,
    "crossings",
    (
        Column("invoice_id", pl.String, "QuickBooks id of the invoice"),
        Column("threshold", pl.Int64, "Days past due that it reached: the highest since it was told last"),
        Column("opportunity_id", pl.String, "The deal"),
        Column("crossed_on", pl.Date, "The day on which it reached them"),
    ),
    ("invoice_id", "threshold"),
    "Thresholds that were reached since the last pass. A row is one invoice.",
)

REMINDERS = TableSchema(
    FLOW,
    "reminders",
    (
        Column("invoice_id", pl.String, "QuickBooks id of the invoice"),
        Column("doc_number", pl.String, "Its number"),
        Column("opportunity_id", pl.String, "The deal"),
        Column("days_past_due", pl.Int64, "Whole days past the due date"),
        Column("after", pl.Int64, "Days past due after which the rules ask for this reminder"),
        Column("number", pl.Int64, "Which reminder of the invoice it would be, from 1"),
        Column("email", pl.String, "Where it goes"),
        Column("action", pl.String, "send or hold"),
        Column("why", pl.String, "Why, as a sentence"),
        Column("write_key", pl.String, "Key of the write in aging.plan; null where it is held"),
    ),
    ("invoice_id",),
    "Reminders that are due by the rules, also those that are held. A row is one invoice.",
)

TASKS = TableSchema(
    FLOW,
    "tasks",
    (
        Column("invoice_id", pl.String, "QuickBooks id of the invoice"),
        Column("threshold", pl.Int64, "Days past due that the task is about"),
        Column("opportunity_id", pl.String, "The deal"),
        Column("action", pl.String, "create or close"),
        Column("task_id", pl.String, "Salesforce id of a task that is closed"),
        Column("owner_id", pl.String, "User who gets a task that is created"),
        Column("subject", pl.String, "Subject of a task that is created"),
        Column("why", pl.String, "Why, as a sentence"),
        Column("write_key", pl.String, "Key of the write in aging.plan"),
    ),
    ("invoice_id", "threshold", "action"),
    "Tasks in Salesforce that are to be created or closed. A row is one task.",
)

TOTALS = TableSchema(
    FLOW,
    "totals",
    (
        Column("as_of", pl.Date, "The day, in the company's time zone"),
        Column("currency", pl.String, "ISO code; amounts of several currencies are never added"),
        Column("position", pl.Int64, "Order of the buckets, from 0"),
        Column("bucket", pl.String, "The bucket"),
        Column("invoices", pl.Int64, "Open invoices in it, also those without a deal"),
        Column("open", AMOUNT, "What is owed by them"),
        Column("credits", AMOUNT, "Payments and credits not applied yet, aged by their own date; 0 or below"),
    ),
    ("currency", "bucket"),
    "What is open by age. A row is one bucket of one currency; every currency has every bucket.",
)

REFUSALS = TableSchema(
    FLOW,
    "refusals",
    (
        Column("code", pl.String, "Stable code of the reason"),
        Column("opportunity_id", pl.String, "The deal"),
        Column("deal", pl.String, "Its name"),
        Column("account_id", pl.String, "The account"),
        Column("invoice_id", pl.String, "The invoice"),
        Column("doc_number", pl.String, "Its number"),
        Column("amount", AMOUNT, "What is open of the invoice"),
        Column("currency", pl.String, "ISO code of amount"),
        Column("reason", pl.String, "The reason as a sentence"),
        Column("remedy", pl.String, "What to do"),
    ),
    ("opportunity_id", "invoice_id", "code"),
    "What should be written about ages and cannot be, until a person does something. A row is one reason of one invoice.",
)
