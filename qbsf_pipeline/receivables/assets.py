"""The assets of what is owed: applications, what is not applied, invoices, and what is contested."""

from collections.abc import Iterator

import dagster as dg
import duckdb
import polars as pl

from qbsf_pipeline.progress import progress
from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.receivables.inputs import SOURCES, links_of, read_inputs
from qbsf_pipeline.receivables.owed import receivables_of
from qbsf_pipeline.receivables.tables import APPLICATIONS, CONTESTED, INVOICES, UNAPPLIED
from qbsf_pipeline.resources import WAREHOUSE_POOL, Doors, DoorsResource, WarehouseResource
from qbsf_pipeline.settings import Rules
from qbsf_pipeline.warehouse.assets import OWNERS, table_key
from qbsf_pipeline.warehouse.connection import read_table, replace_rows
from qbsf_pipeline.warehouse.made_from import fingerprint, last_made_from, remember_made_from
from qbsf_pipeline.warehouse.preview import column_schema, preview_of
from qbsf_pipeline.warehouse.tables import TableSchema

#: Rises whenever the same records would give other rows.
_VERSION = "2"
_TABLES = (APPLICATIONS, UNAPPLIED, INVOICES, CONTESTED)
_READ = (*SOURCES.values(), quickbooks.PREFERENCES)
_DEPS = [table_key(table) for table in _READ]


def _spec(table: TableSchema) -> dg.AssetSpec:
    return dg.AssetSpec(
        table_key(table),
        deps=_DEPS,
        group_name="receivables",
        kinds={"duckdb", "polars"},
        owners=OWNERS,
        description=f"{table.comment} Derived from what was applied, never from a balance alone.",
        metadata={"dagster/column_schema": column_schema(table), "dagster/table_name": f"{table.schema}.{table.name}"},
    )


@dg.multi_asset(name="receivables", specs=[_spec(table) for table in _TABLES], pool=WAREHOUSE_POOL)
def receivables(doors: DoorsResource, warehouse: WarehouseResource) -> Iterator[dg.MaterializeResult[None]]:
    """Derive what is owed from everything that is known now, unless nothing of what that comes from has changed."""
    frames = make_receivables(doors.open(warehouse))
    for table in _TABLES:
        frame = frames[table.name]
        metadata: dict[str, dg.RawMetadataValue] = {"dagster/row_count": frame.height, "preview": preview_of(frame)}
        if table is INVOICES:
            metadata |= dict(frame.get_column("status").value_counts().sort("status").iter_rows())
        yield dg.MaterializeResult(asset_key=table_key(table), metadata=metadata)


def make_receivables(opened: Doors) -> dict[str, pl.DataFrame]:
    """The four tables by name, written to the warehouse where something that they come from has changed."""
    rules = opened.settings.rules
    invoice_links, customer_links = links_of(opened.state)
    with opened.warehouse.connection() as connection:
        made_from = _made_from(connection, invoice_links, customer_links, rules)
        if last_made_from(connection, INVOICES) == made_from:
            return {table.name: read_table(connection, table) for table in _TABLES}
        inputs = read_inputs(connection, invoice_links, customer_links, rules)
    progress(f"deriving what is owed on {inputs.invoice.height} invoices")
    derived = receivables_of(inputs, rules, None)
    frames = {
        APPLICATIONS: derived.applications,
        UNAPPLIED: derived.unapplied,
        INVOICES: derived.invoices,
        CONTESTED: derived.contested,
    }
    with opened.warehouse.transaction() as connection:
        for table, frame in frames.items():
            replace_rows(connection, table, frame)
        remember_made_from(connection, INVOICES, made_from)
    return {table.name: frame for table, frame in frames.items()}


def _made_from(
    connection: duckdb.DuckDBPyConnection, invoice_links: pl.DataFrame, customer_links: pl.DataFrame, rules: Rules
) -> str:
    columns = (f"{table.name}:{','.join(column.name for column in table.columns)}" for table in _TABLES)
    # The later link of an invoice counts, so their order is part of it.
    return fingerprint(
        connection,
        _READ,
        _VERSION,
        rules.payments.model_dump_json(),
        str(invoice_links.rows()),
        str(sorted(customer_links.rows())),
        *columns,
    )
