"""Reads what is known of recurring templates: from the ledger, and from what QuickBooks listed at the last pull."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

import duckdb
import polars as pl

from qbsf_pipeline.invoices.recurring.known_templates import OPERATIONS, DealTemplate, deal_templates
from qbsf_pipeline.invoices.recurring.templates import FoundInvoice, found_invoice
from qbsf_pipeline.invoices.tables import FLOW
from qbsf_pipeline.money import parse_json
from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.settings import RecurringRules
from qbsf_pipeline.state.database import State
from qbsf_pipeline.warehouse.connection import read_table
from qbsf_pipeline.warehouse.raw import WATERMARKS
from qbsf_pipeline.warehouse.tables import TableSchema

_LISTED = ["id", "name", "active", "recur_type", "opportunity_id", "is_deleted", "record"]
_INVOICE = ["id", "customer_id", "txn_date", "recurring_id", "opportunity_id"]


def read_templates(connection: duckdb.DuckDBPyConnection, state: State) -> tuple[DealTemplate, ...]:
    """The recurring templates of all deals."""
    writes = state.ledger.of_operations(FLOW, OPERATIONS)
    listed = read_table(connection, quickbooks.RECURRING_TRANSACTION, _LISTED)
    if not writes and listed.is_empty():
        return ()
    marks = read_table(connection, WATERMARKS, ["table_name", "read_until"])
    listed_until, invoices_until = (_read_until(marks, table) for table in (quickbooks.RECURRING_TRANSACTION, quickbooks.INVOICE))
    return deal_templates(writes, listed.iter_rows(named=True), listed_until, invoices_until)


def read_template_invoices(
    connection: duckdb.DuckDBPyConnection, templates: Sequence[DealTemplate], rules: RecurringRules
) -> list[FoundInvoice]:
    """The invoices that templates may have made: those that name a template, and those of a known template's customer since its
    first day, deleted ones too."""
    customers = {one.customer_id for one in templates if one.template_id is not None and one.customer_id}
    first = min((day for one in templates for day in one.days[:1]), default=date.max)
    since = first - timedelta(days=rules.template_days) if first > date.min + timedelta(days=rules.template_days) else first
    near = pl.col("customer_id").is_in(list(customers)) & (pl.col("txn_date") >= since)
    found = read_table(connection, quickbooks.INVOICE, _INVOICE).filter(pl.col("recurring_id").is_not_null() | near)
    if found.is_empty():
        return []
    deals = dict(found.select("id", "opportunity_id").iter_rows())
    query = f"SELECT id, record FROM {quickbooks.INVOICE.qualified_name} WHERE list_contains(?, id) ORDER BY id"
    records = connection.execute(query, [list(deals)]).fetchall()
    return [found_invoice({**parse_json(record or "{}"), "Id": one}, deals[one]) for one, record in records]


def _read_until(marks: pl.DataFrame, table: TableSchema) -> datetime | None:
    moment = marks.filter(pl.col("table_name") == f"{table.schema}.{table.name}").get_column("read_until").max()
    return moment if isinstance(moment, datetime) else None
