"""What is owed is made from: both systems as they were pulled, the lines of QuickBooks' records, and the links of the state."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb
import polars as pl

from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.receivables.lines import Lines, read_lines
from qbsf_pipeline.receivables.tables import CUSTOMER_LINKS, INVOICE_LINKS
from qbsf_pipeline.salesforce import objects as salesforce
from qbsf_pipeline.settings import Rules
from qbsf_pipeline.state.database import State
from qbsf_pipeline.state.links import PERSON, TEMPLATE
from qbsf_pipeline.warehouse.connection import read_table
from qbsf_pipeline.warehouse.tables import TableSchema

#: The raw tables that are read: under these names in :class:`ReceivableInputs`.
SOURCES: dict[str, TableSchema] = {
    "customer": quickbooks.CUSTOMER,
    "invoice": quickbooks.INVOICE,
    "payment": quickbooks.PAYMENT,
    "credit_memo": quickbooks.CREDIT_MEMO,
    "deposit": quickbooks.DEPOSIT,
    "journal_entry": quickbooks.JOURNAL_ENTRY,
    "payment_method": quickbooks.PAYMENT_METHOD,
    "account": quickbooks.ACCOUNT,
    "item": quickbooks.ITEM,
    "term": quickbooks.TERM,
    "opportunity": salesforce.OPPORTUNITY,
}


@dataclass(frozen=True)
class ReceivableInputs:
    """Everything that what is owed is made from. Frames may have more columns than are named here.

    Attributes:
        customer, invoice, payment, credit_memo, deposit, journal_entry, payment_method, account, item, term: raw tables of
            QuickBooks.
        opportunity: raw table of Salesforce.
        lines: what stands in the lines of these records.
        invoice_links: :data:`.tables.INVOICE_LINKS`, oldest first.
        customer_links: :data:`.tables.CUSTOMER_LINKS`.
        home_currency: ISO code, for documents that name no currency; empty where it is not known.
    """

    customer: pl.DataFrame
    invoice: pl.DataFrame
    payment: pl.DataFrame
    credit_memo: pl.DataFrame
    deposit: pl.DataFrame
    journal_entry: pl.DataFrame
    payment_method: pl.DataFrame
    account: pl.DataFrame
    item: pl.DataFrame
    term: pl.DataFrame
    opportunity: pl.DataFrame
    lines: Lines
    invoice_links: pl.DataFrame
    customer_links: pl.DataFrame
    home_currency: str


def read_inputs(
    connection: duckdb.DuckDBPyConnection, invoice_links: pl.DataFrame, customer_links: pl.DataFrame, rules: Rules
) -> ReceivableInputs:
    """Everything as the warehouse holds it now.

    Args:
        invoice_links, customer_links: :func:`links_of` the state, read before the warehouse is opened.
    """
    preferences = read_table(connection, quickbooks.PREFERENCES, ["home_currency"]).get_column("home_currency").drop_nulls()
    return ReceivableInputs(
        **{name: read_table(connection, table, table.columns_without_record) for name, table in SOURCES.items()},
        lines=read_lines(connection, rules.payments.dispute_field),
        invoice_links=invoice_links,
        customer_links=customer_links,
        home_currency=preferences.item(0) if preferences.len() else "",
    )


def links_of(state: State) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Invoices that a person linked to deals, a recurring template made for them, or qbsf made by its ledger
    (:data:`.tables.INVOICE_LINKS`), and customers linked to accounts (:data:`.tables.CUSTOMER_LINKS`), both oldest first."""
    invoices = [
        (link.opportunity_id, link.invoice_id, link.method)
        for link in state.links.all_invoices()
        if link.method in (PERSON, TEMPLATE)
    ]
    made = [
        (entry["opportunity_id"], entry["result_id"], "ledger")
        for entry in state.ledger.billings()
        if entry["status"] == "done" and entry["opportunity_id"] and entry["result_id"]
    ]
    customers = [(link.account_id, link.customer_id) for link in state.links.all_customers()]
    return (
        pl.DataFrame([*invoices, *made], schema=INVOICE_LINKS, orient="row"),
        pl.DataFrame(customers, schema=CUSTOMER_LINKS, orient="row"),
    )
