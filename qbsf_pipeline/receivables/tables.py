"""The tables of what is owed, and the frames that they are made from. Shapes only; nothing is decided here.

Amounts are in the currency of the document and never below 0 unless a comment says so.
"""

from __future__ import annotations

import polars as pl

from qbsf_pipeline.warehouse.tables import AMOUNT, RATE, Column, TableSchema

SCHEMA = "receivables"

#: What a payment, or a deposit by itself, is applied to or uses up. A row is one link of one line, as QuickBooks wrote it.
#: ``source_type``: payment or deposit; ``txn_type``: QuickBooks' name, such as Invoice, CreditMemo, JournalEntry, Expense.
PAYMENT_LINES = pl.Schema(
    {
        "source_type": pl.String(),
        "source_id": pl.String(),
        "line": pl.Int64(),
        "txn_type": pl.String(),
        "txn_id": pl.String(),
        "amount": AMOUNT,
    }
)
#: Lines of journal entries; ``posting``: Debit or Credit. ``customer_id`` is null on lines without a customer.
JOURNAL_LINES = pl.Schema(
    {
        "journal_entry_id": pl.String(),
        "line": pl.Int64(),
        "posting": pl.String(),
        "account_id": pl.String(),
        "customer_id": pl.String(),
        "amount": AMOUNT,
    }
)
#: Lines of deposits that hold what was received without a payment. ``customer_id`` is null on lines without a customer.
DEPOSIT_LINES = pl.Schema(
    {"deposit_id": pl.String(), "line": pl.Int64(), "account_id": pl.String(), "customer_id": pl.String(), "amount": AMOUNT}
)
#: Lines of credit memos: what was credited, and the account that it goes against where QuickBooks tells it.
CREDIT_LINES = pl.Schema({"credit_memo_id": pl.String(), "line": pl.Int64(), "item_id": pl.String(), "account_id": pl.String()})
#: Invoices with a dispute flag.
DISPUTED = pl.Schema({"invoice_id": pl.String()})
#: Links that a person made, and those of invoices that recurring templates made; the later one of an invoice counts.
INVOICE_LINKS = pl.Schema({"opportunity_id": pl.String(), "invoice_id": pl.String(), "linked_by": pl.String()})
#: Which customers an account is.
CUSTOMER_LINKS = pl.Schema({"account_id": pl.String(), "customer_id": pl.String()})

APPLICATIONS = TableSchema(
    SCHEMA,
    "applications",
    (
        Column("application_id", pl.String, "What is applied, through what, to which invoice: stays the same while that does"),
        Column("invoice_id", pl.String, "quickbooks.invoice"),
        Column("source_type", pl.String, "Where the money comes from: payment, credit_memo, deposit or journal_entry"),
        Column("source_id", pl.String, "Its id; for a deposit taken on the invoice itself, the invoice's"),
        Column("through_id", pl.String, "quickbooks.payment that applies it; null when it is applied directly"),
        Column("customer_id", pl.String, "quickbooks.customer of the invoice; the money may come from its parent"),
        Column("applied_on", pl.Date, "The first day on which all of the documents existed: the newest of their dates"),
        Column("source_date", pl.Date, "Date of the document that the money comes from"),
        Column("amount", AMOUNT, "What it takes off the invoice, in the invoice's currency"),
        Column("currency", pl.String, "ISO code of the invoice"),
        Column("method", pl.String, "Payment method by name, such as Check; null where none is named"),
        Column("reference", pl.String, "Cheque number or other reference of a payment; number of a credit memo or journal entry"),
        Column("effect", pl.String, "What it means for the invoice: paid, credited or written_off"),
        Column("is_write_off", pl.Boolean, "Whether it gives up the money: it goes against bad debts"),
    ),
    ("application_id",),
    "What was applied to invoices. A row is what one document gave one invoice, through one payment.",
)

UNAPPLIED = TableSchema(
    SCHEMA,
    "unapplied",
    (
        Column("kind", pl.String, "payment, credit_memo, journal_entry or deposit"),
        Column("source_id", pl.String, "QuickBooks id of the document"),
        Column("customer_id", pl.String, "quickbooks.customer that gave it or to whom it was given"),
        Column("txn_date", pl.Date, "Date of the document"),
        Column("amount", AMOUNT, "What could still be applied, above 0, in its currency"),
        Column("currency", pl.String, "ISO code"),
    ),
    ("kind", "source_id", "customer_id"),
    "Money and credits of customers that are applied to nothing. A row is one document and customer.",
)

INVOICES = TableSchema(
    SCHEMA,
    "invoices",
    (
        Column("invoice_id", pl.String, "quickbooks.invoice"),
        Column("doc_number", pl.String, "Number that people see"),
        Column("customer_id", pl.String, "quickbooks.customer"),
        Column("opportunity_id", pl.String, "The deal that it bills, 18 characters; null without a deal"),
        Column(
            "linked_by",
            pl.String,
            "How that is known: person, marker, template, ledger, written_id or written_number; null without a deal",
        ),
        Column("txn_date", pl.Date, "Invoice date"),
        Column("due_date", pl.Date, "Due date; by its terms, or the invoice date, where QuickBooks has none"),
        Column("due_date_imputed", pl.Boolean, "Whether QuickBooks has no due date"),
        Column("total", AMOUNT, "Total with tax, in the invoice's currency; 0 when voided"),
        Column("tax", AMOUNT, "Total tax, in the invoice's currency"),
        Column("balance", AMOUNT, "What QuickBooks says is open, as it is now"),
        Column("currency", pl.String, "ISO code"),
        Column("exchange_rate", RATE, "Home currency for one of the currency; null in single-currency companies"),
        Column("paid", AMOUNT, "Applied from payments, deposits and journal entries against a bank account"),
        Column("credited", AMOUNT, "Applied from credit memos and other journal entries"),
        Column("written_off", AMOUNT, "Applied from what goes against bad debts"),
        Column("open", AMOUNT, "Total less all that is applied; below 0 only where more is applied than the total"),
        Column("status", pl.String, "Invoiced, Sent, Partially Paid, Paid, Overpaid, Credited, Voided or Deleted"),
        Column("status_reason", pl.String, "Why, as a sentence"),
        Column("last_payment_on", pl.Date, "Date of the newest payment of it; null without one"),
        Column("first_paid_in_full_on", pl.Date, "Day on which it was settled; null while it is open"),
        Column("emailed", pl.Boolean, "Whether QuickBooks mailed it"),
        Column("disputed", pl.Boolean, "Whether it has a dispute flag"),
        Column("explained", pl.Boolean, "Whether all that is applied gives the balance that QuickBooks says; see the checks"),
    ),
    ("invoice_id",),
    "What is owed on every invoice, also settled, voided and deleted ones. A row is one invoice.",
)
#: The name under which both flows know it.
RECEIVABLE_INVOICES = INVOICES

CONTESTED = TableSchema(
    SCHEMA,
    "contested",
    (
        Column("invoice_id", pl.String, "quickbooks.invoice that is linked to no deal because several claim it"),
        Column("doc_number", pl.String, "Its number"),
        Column("opportunity_id", pl.String, "One of the deals"),
        Column("claimed_by", pl.String, "What of the deal names it: written_id or written_number"),
    ),
    ("invoice_id", "opportunity_id"),
    "Invoices that several deals hold for theirs, as after a deal was cloned. A row is one invoice and deal.",
)
