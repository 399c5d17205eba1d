"""The tables of the payments flow, and what it is told by the state. Shapes only; nothing is decided here."""

from __future__ import annotations

import polars as pl

from qbsf_pipeline.flows.plans import plan_table
from qbsf_pipeline.warehouse.tables import AMOUNT, TIMESTAMP, Column, PolarsType, TableSchema

FLOW = "payments"

PLAN = plan_table(FLOW, "One row per deal whose payment fields or stage are to be changed in Salesforce")


def _columns(**types: PolarsType) -> pl.Schema:
    return pl.Schema(types)


#: What is remembered of deals (``state.deal_payments``).
KNOWN_DEALS = _columns(
    opportunity_id=pl.String,
    status=pl.String,
    balance=AMOUNT,
    currency=pl.String,
    fingerprint=pl.String,
    stage_before=pl.String,
    times_paid=pl.Int64,
    updated_at=TIMESTAMP,
)
#: What the ledger knows of this flow: every row. ``error_message`` is what the service said of a write that it refused.
LEDGER = _columns(key=pl.String, status=pl.String, error_message=pl.String, done_at=TIMESTAMP)
#: Documents of QuickBooks by which a change is explained. ``document``: invoice, payment, credit_memo, deposit or journal_entry;
#: ``condition``: live, voided or deleted; ``changed_at``: when it was touched last.
DOCUMENTS = _columns(
    document=pl.String,
    id=pl.String,
    number=pl.String,
    txn_date=pl.Date,
    condition=pl.String,
    created_at=TIMESTAMP,
    changed_at=TIMESTAMP,
)

DEALS = TableSchema(
    FLOW,
    "deals",
    (
        Column("opportunity_id", pl.String, "Salesforce id of the deal, 18 characters"),
        Column("deal", pl.String, "Its name; null where Salesforce does not show the deal"),
        Column("account_id", pl.String, "The account"),
        Column("owner_id", pl.String, "User who owns the deal"),
        Column("status", pl.String, "Payment status of the deal, as Payment_Status__c spells it"),
        Column("balance", AMOUNT, "What is still owed by its invoices; null without one, and where they have several currencies"),
        Column("currency", pl.String, "ISO code of balance"),
        Column("last_payment_date", pl.Date, "Date of the newest payment of its invoices"),
        Column("stage_wanted", pl.String, "Stage that the deal is to get; null where it stays"),
        Column("invoices", pl.String, "QuickBooks ids of the invoices that count, joined by spaces"),
        Column("numbers", pl.String, "Their numbers, joined by commas"),
        Column("reason", pl.String, "Why this status, as a sentence"),
        Column("fingerprint", pl.String, "Its invoices and what is applied to them: changes when any of it does"),
        Column("stage_before", pl.String, "Stage that it had before it was moved to the paid stage; null where it was not"),
        Column("times_paid", pl.Int64, "How often it became paid in full"),
        Column("changed", pl.Boolean, "Whether this is not yet what is remembered of the deal"),
    ),
    ("opportunity_id",),
    "How far each deal is paid that has an invoice, or had one. A row is one deal.",
)

EVENTS = TableSchema(
    FLOW,
    "events",
    (
        Column("event_key", pl.String, "What makes it the same event, however often a pass finds it"),
        Column("kind", pl.String, "paid, due_paid, partly_paid, reopened, payment_removed, credited, voided, deleted, unlinked"),
        Column("opportunity_id", pl.String, "The deal"),
        Column("deal", pl.String, "Its name"),
        Column("account_name", pl.String, "Name of its account"),
        Column("owner_id", pl.String, "User who owns the deal"),
        Column("owner_name", pl.String, "Name of the owner; null where the deal has none"),
        Column("owner_email", pl.String, "Where the owner is reached; null for who left, and where there is none"),
        Column("owner_state", pl.String, "active, left (may not log in any more) or none"),
        Column("amount", AMOUNT, "What was paid, credited or taken away by the event; null where currencies are mixed"),
        Column("balance", AMOUNT, "What is owed after it"),
        Column("currency", pl.String, "ISO code of both"),
        Column("invoice_id", pl.String, "The invoice that it is about; the first of several"),
        Column("numbers", pl.String, "Numbers of the deal's invoices, joined by commas"),
        Column("happened_on", pl.Date, "Day of the payment, or of the change in QuickBooks; null where it is not known"),
        Column("status_before", pl.String, "Payment status before; null for a deal seen for the first time"),
        Column("status", pl.String, "Payment status now"),
        Column("reason", pl.String, "What happened, by which document and when, in sentences"),
    ),
    ("event_key",),
    "What people are to be told of payments: changes since the state was last remembered. A row is one event of one deal.",
)

REFUSALS = TableSchema(
    FLOW,
    "refusals",
    (
        Column("code", pl.String, "Stable code of the reason"),
        Column("record_object", pl.String, "Opportunity, or Rule for what is wrong with a rule"),
        Column("record_id", pl.String, "Id of the deal, or the key of the rule"),
        Column("opportunity_id", pl.String, "The deal; null for a rule"),
        Column("deal", pl.String, "Its name"),
        Column("account_id", pl.String, "The account"),
        Column("invoice_id", pl.String, "The invoice that it is about, where it is about one"),
        Column("numbers", pl.String, "Numbers of the deal's invoices, joined by commas"),
        Column("amount", AMOUNT, "What is open"),
        Column("currency", pl.String, "ISO code of amount"),
        Column("reason", pl.String, "The reason as a sentence"),
        Column("remedy", pl.String, "What to do"),
    ),
    ("record_id", "code"),
    "What should be written about payments and cannot be, until a person does something. A row is one reason of one deal.",
)
