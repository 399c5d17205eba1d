"""Takes what month end is made from out of the warehouse and the state. Nothing is decided here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

import duckdb
import polars as pl

from qbsf_pipeline.customers.matching.plan import MATCHES
from qbsf_pipeline.flows.plans import company_zone
from qbsf_pipeline.invoices import tables as invoices
from qbsf_pipeline.invoices.recurring.tables import BILLING_SCHEDULES
from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.receivables import tables as receivables
from qbsf_pipeline.reconciliation import inputs
from qbsf_pipeline.reconciliation.inputs import ReconciliationInputs, with_a_difference
from qbsf_pipeline.reconciliation.lines import read_deal_lines, read_invoice_lines
from qbsf_pipeline.reporting.versions import last_known_invoices
from qbsf_pipeline.salesforce import objects as salesforce
from qbsf_pipeline.state.database import State
from qbsf_pipeline.warehouse.connection import ensure_table, frame_of, read_table
from qbsf_pipeline.warehouse.tables import AMOUNT, RATE, TIMESTAMP, TableSchema

#: The tables that are read: what the assets of month end depend on.
SOURCES: tuple[TableSchema, ...] = (
    salesforce.OPPORTUNITY,
    salesforce.OPPORTUNITY_LINE_ITEM,
    salesforce.PRODUCT2,
    salesforce.ACCOUNT,
    salesforce.USER,
    salesforce.ORGANIZATION,
    salesforce.CURRENCY_TYPE,
    quickbooks.INVOICE,
    quickbooks.CREDIT_MEMO,
    quickbooks.CUSTOMER,
    quickbooks.ITEM,
    quickbooks.PREFERENCES,
    quickbooks.COMPANY_INFO,
    receivables.APPLICATIONS,
    receivables.INVOICES,
    receivables.CONTESTED,
    MATCHES,
    BILLING_SCHEDULES,
    invoices.DEALS,
    invoices.REFUSALS,
)


@dataclass(frozen=True)
class Company:
    """The company whose month it is: its name for headings, and its time zone."""

    name: str
    zone: ZoneInfo


@dataclass(frozen=True)
class Known:
    """What the state knows.

    Attributes:
        billings: invoices in the ledger (:data:`.inputs.BILLINGS`, with the instant ``done_at`` instead of ``done_on``).
        customer_links: account_id, customer_id of the links in force.
    """

    billings: pl.DataFrame
    customer_links: pl.DataFrame


def known_of(state: State) -> Known:
    """What the state knows; read before the warehouse is opened."""
    rows = [
        (row["opportunity_id"], row["result_id"], _generation(row["key"]), row["status"], row["amount"], row["done_at"])
        for row in state.ledger.billings()
    ]
    schema = {name: dtype for name, dtype in inputs.BILLINGS.items() if name != "done_on"} | {"done_at": TIMESTAMP}
    links = [(link.account_id, link.customer_id) for link in state.links.all_customers()]
    return Known(
        billings=pl.DataFrame(rows, schema=schema, orient="row"),
        customer_links=pl.DataFrame(links, schema=inputs.ACCOUNT_CUSTOMERS, orient="row"),
    )


def company_of(connection: duckdb.DuckDBPyConnection) -> Company:
    """The company: its name in QuickBooks, else in Salesforce."""
    company = read_table(connection, quickbooks.COMPANY_INFO, ["name", "time_zone"])
    organization = read_table(connection, salesforce.ORGANIZATION, ["name", "time_zone"])
    named = [*company.get_column("name").to_list(), *organization.get_column("name").to_list()]
    return Company(next((str(name) for name in named if name), ""), company_zone(company, organization))


def read_inputs(
    connection: duckdb.DuckDBPyConnection, known: Known, zone: ZoneInfo, go_live: date | None, held: str
) -> ReconciliationInputs:
    """Everything as the warehouse holds it now.

    Args:
        known: what the state knows.
        zone: the company's: instants become its days.
        go_live: deals closed before it are never billed.
        held: why planned invoices are not sent; empty for nothing.
    """
    # An older version may have made it, without the columns of amendments.
    ensure_table(connection, invoices.DEALS)
    ensure_table(connection, BILLING_SCHEDULES)
    deals, invoiced = _deals(connection, zone), _invoices(connection, zone)
    differing, their_invoices = with_a_difference(deals, invoiced)
    accounts = read_table(connection, salesforce.ACCOUNT, ["id", "name"]).rename({"id": "account_id", "name": "account"})
    owners = read_table(connection, salesforce.USER, ["id", "name"]).rename({"id": "owner_id", "name": "owner"})
    customers = read_table(connection, quickbooks.CUSTOMER, ["id", "display_name", "parent_id"])
    rates = read_table(connection, salesforce.CURRENCY_TYPE, ["iso_code", "conversion_rate", "is_deleted"])
    preferences = read_table(connection, quickbooks.PREFERENCES, ["home_currency"]).get_column("home_currency").drop_nulls()
    organization = read_table(connection, salesforce.ORGANIZATION, ["default_currency"]).get_column("default_currency")
    return ReconciliationInputs(
        deals=deals,
        deal_lines=read_deal_lines(connection, differing),
        invoices=invoiced,
        invoice_lines=read_invoice_lines(connection, their_invoices),
        credit_memos=_credit_memos(connection, zone),
        credits=_credits(connection),
        account_customers=_account_customers(connection, known.customer_links),
        customers=customers.select(pl.col("id").alias("customer_id"), pl.col("display_name").alias("customer"), "parent_id"),
        accounts=accounts,
        owners=owners,
        outcomes=read_table(connection, invoices.DEALS, list(inputs.OUTCOMES)),
        refusals=read_table(connection, invoices.REFUSALS, list(inputs.REFUSALS)),
        billings=known.billings.with_columns(_day("done_at", zone).alias("done_on")).select(list(inputs.BILLINGS)),
        last_known=last_known_invoices(connection).select(list(inputs.INVOICE_LAST_KNOWN)).cast(inputs.INVOICE_LAST_KNOWN),
        contested=read_table(connection, receivables.CONTESTED, list(inputs.CONTESTED)),
        exchange_rates=rates.filter(~pl.col("is_deleted")).select(
            pl.col("iso_code").alias("currency"), pl.col("conversion_rate").alias("rate")
        ),
        home_currency=preferences.item(0) if preferences.len() else "",
        org_currency=next((str(code) for code in organization.to_list() if code), ""),
        go_live=go_live,
        held=held,
    )


def _deals(connection: duckdb.DuckDBPyConnection, zone: ZoneInfo) -> pl.DataFrame:
    named = {"opportunity_id": "id", "deal": "name", "stage": "stage_name"}
    days = {"created_on": "created_at", "modified_on": "source_modified_at"}
    columns = [named.get(name) or days.get(name) or name for name in inputs.DEALS]
    pulled = read_table(connection, salesforce.OPPORTUNITY, columns)
    deals = pulled.select(
        _day(days[name], zone).alias(name) if name in days else pl.col(named.get(name, name)).alias(name) for name in inputs.DEALS
    )
    # How often a deal is billed is what its schedule says, whatever that was made from: lines, a quote or the deal.
    periods = read_table(connection, BILLING_SCHEDULES, ["opportunity_id", "kind", "status"]).filter(
        (pl.col("kind") == "period") & (pl.col("status") != "ended")
    )
    counted = periods.group_by("opportunity_id").agg(pl.len().cast(RATE).alias("scheduled"))
    return (
        deals.join(counted, on="opportunity_id", how="left", maintain_order="left")
        .with_columns(
            billing_frequency=pl.when(pl.col("scheduled").is_not_null())
            .then(pl.lit("by schedule"))
            .otherwise("billing_frequency"),
            billing_periods=pl.coalesce("scheduled", "billing_periods"),
        )
        .select(list(inputs.DEALS))
    )


def _invoices(connection: duckdb.DuckDBPyConnection, zone: ZoneInfo) -> pl.DataFrame:
    raw = read_table(
        connection, quickbooks.INVOICE, ["id", "opportunity_id", "recurring_id", "created_at", "source_modified_at"]
    ).select(
        pl.col("id").alias("invoice_id"),
        pl.col("opportunity_id").alias("marked_deal"),
        "recurring_id",
        _day("created_at", zone).alias("created_on"),
        _day("source_modified_at", zone).alias("modified_on"),
    )
    named = {"number": "doc_number"}
    own = [name for name in inputs.INVOICES if name not in raw.columns or name == "invoice_id"]
    owed = read_table(connection, receivables.INVOICES, [named.get(name, name) for name in own])
    return owed.rename({"doc_number": "number"}).join(raw, on="invoice_id", how="left").select(list(inputs.INVOICES))


def _credit_memos(connection: duckdb.DuckDBPyConnection, zone: ZoneInfo) -> pl.DataFrame:
    ensure_table(connection, quickbooks.CREDIT_MEMO)
    query = (
        "SELECT id AS credit_memo_id, doc_number AS number, customer_id, txn_date, total, "
        "coalesce(try_cast(json_extract_string(record, '$.TxnTaxDetail.TotalTax') AS DECIMAL(18,2)), 0) AS tax, currency, "
        f"is_deleted, source_modified_at FROM {quickbooks.CREDIT_MEMO.qualified_name}"
    )
    dated = frame_of(connection.sql(query)).with_columns(_day("source_modified_at", zone).alias("modified_on"))
    return dated.select(list(inputs.CREDIT_MEMOS)).cast(inputs.CREDIT_MEMOS)


def _credits(connection: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    applied = read_table(
        connection, receivables.APPLICATIONS, ["source_type", "source_id", "invoice_id", "amount", "is_write_off"]
    )
    memos = applied.filter(pl.col("source_type") == "credit_memo")
    return memos.rename({"source_id": "credit_memo_id"}).select(list(inputs.CREDITS)).cast({"amount": AMOUNT})


def _account_customers(connection: duckdb.DuckDBPyConnection, links: pl.DataFrame) -> pl.DataFrame:
    matches = read_table(connection, MATCHES, ["account_id", "customer_id", "outcome"])
    linked = matches.filter((pl.col("outcome") == "linked") & pl.col("customer_id").is_not_null()).drop("outcome")
    return pl.concat([linked, links.select(linked.columns)]).unique(maintain_order=True)


def _generation(key: str) -> int:
    """The number behind the deal in the key of an invoice: above 1 where a person had it billed again."""
    last = key.partition(":period-")[0].rpartition(":")[2]
    return int(last) if last.isascii() and last.isdecimal() and len(last) < 10 else 1


def _day(column: str, zone: ZoneInfo) -> pl.Expr:
    return pl.col(column).dt.convert_time_zone(zone.key).dt.date()
