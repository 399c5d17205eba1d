"""The lines of invoices and deals, out of the records as they were pulled.

DuckDB reads the JSON of whole tables at once. Only cases whose amounts differ need lines, so that most records are never
parsed. Nothing is decided here.
"""

from __future__ import annotations

import duckdb
import polars as pl

from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.reconciliation.inputs import DEAL_LINES, INVOICE_LINES
from qbsf_pipeline.salesforce import objects as salesforce
from qbsf_pipeline.warehouse.connection import ensure_table, frame_of, rows_once

#: What QuickBooks calls the item of the line for freight.
_FREIGHT = "SHIPPING_ITEM_ID"
_LINE = (
    '{"Amount":"VARCHAR","Description":"VARCHAR","DetailType":"VARCHAR",'
    '"SalesItemLineDetail":{"ItemRef":{"value":"VARCHAR","name":"VARCHAR"}},'
    '"GroupLineDetail":{"Line":[{"Amount":"VARCHAR","Description":"VARCHAR","DetailType":"VARCHAR",'
    '"SalesItemLineDetail":{"ItemRef":{"value":"VARCHAR","name":"VARCHAR"}}}]},"DiscountLineDetail":"JSON"}'
)
_SHAPE = f'{{"Line":[{_LINE}]}}'


def read_invoice_lines(connection: duckdb.DuckDBPyConnection, invoice_ids: pl.DataFrame | None = None) -> pl.DataFrame:
    """Lines of invoices that are not deleted: what was sold, freight and discounts. Subtotals and text alone are left out; of a
    bundle the lines in it.

    Args:
        invoice_ids: invoice_id of the invoices that are wanted; None for all.

    Returns:
        :data:`.inputs.INVOICE_LINES`.
    """
    for table in (quickbooks.INVOICE, quickbooks.ITEM):
        ensure_table(connection, table)
    wanted = _wanted(connection, invoice_ids, "id")
    lines = (
        f"SELECT id, unnest(from_json(record, '{_SHAPE}').Line) AS line FROM {quickbooks.INVOICE.qualified_name} "
        f"WHERE NOT coalesce(is_deleted, false) AND json_valid(record){wanted}"
    )
    # A bundle is one line with the lines that are sold inside it; two unnests in one SELECT each, as in receivables.
    single = "SELECT id, line.Amount AS amount, line.Description AS description, line.SalesItemLineDetail.ItemRef AS item, "
    bundled = (
        "SELECT id, inner_line.Amount AS amount, inner_line.Description AS description, "
        "inner_line.SalesItemLineDetail.ItemRef AS item, 'item' AS kind "
        "FROM (SELECT id, unnest(line.GroupLineDetail.Line) AS inner_line FROM invoice_line) "
        "WHERE inner_line.SalesItemLineDetail IS NOT NULL"
    )
    statement = (
        f"WITH invoice_line AS MATERIALIZED ({lines}), flat AS ("
        f"{single} CASE WHEN line.DiscountLineDetail IS NOT NULL OR line.DetailType = 'DiscountLineDetail' THEN 'discount' "
        f"WHEN line.SalesItemLineDetail.ItemRef.value = '{_FREIGHT}' THEN 'freight' ELSE 'item' END AS kind FROM invoice_line "
        "WHERE line.SalesItemLineDetail IS NOT NULL OR line.DiscountLineDetail IS NOT NULL "
        f"OR line.DetailType IN ('SalesItemLineDetail', 'DiscountLineDetail') UNION ALL {bundled}) "
        "SELECT flat.id AS invoice_id, kind, coalesce(nullif(trim(i.name), ''), nullif(trim(item.name), '')) AS label, "
        "flat.description, TRY_CAST(flat.amount AS DECIMAL(18,2)) AS amount "
        f"FROM flat LEFT JOIN {quickbooks.ITEM.qualified_name} AS i ON i.id = flat.item.value"
    )
    return _frame(connection, statement, INVOICE_LINES)


def read_deal_lines(connection: duckdb.DuckDBPyConnection, opportunity_ids: pl.DataFrame | None = None) -> pl.DataFrame:
    """Lines of deals that are not deleted.

    Args:
        opportunity_ids: opportunity_id of the deals that are wanted; None for all.

    Returns:
        :data:`.inputs.DEAL_LINES`.
    """
    for table in (salesforce.OPPORTUNITY_LINE_ITEM, salesforce.PRODUCT2):
        ensure_table(connection, table)
    wanted = _wanted(connection, opportunity_ids, "line.opportunity_id")
    statement = (
        "SELECT line.opportunity_id, coalesce(nullif(trim(product.name), ''), line.name) AS label, line.total_price AS amount "
        f"FROM {salesforce.OPPORTUNITY_LINE_ITEM.qualified_name} AS line "
        f"LEFT JOIN {salesforce.PRODUCT2.qualified_name} AS product ON product.id = line.product_id "
        f"WHERE NOT coalesce(line.is_deleted, false){wanted}"
    )
    return _frame(connection, statement, DEAL_LINES)


def _wanted(connection: duckdb.DuckDBPyConnection, ids: pl.DataFrame | None, column: str) -> str:
    """A condition that keeps the wanted ids, which are put into a table of this connection."""
    if ids is None:
        return ""
    connection.register("given_ids", rows_once(ids))
    connection.execute(f"CREATE OR REPLACE TEMP TABLE wanted_ids AS SELECT {ids.columns[0]} AS id FROM given_ids")
    connection.unregister("given_ids")
    return f" AND {column} IN (SELECT id FROM wanted_ids)"


def _frame(connection: duckdb.DuckDBPyConnection, statement: str, schema: pl.Schema) -> pl.DataFrame:
    return frame_of(connection.sql(statement)).select(list(schema)).cast(schema)
