"""The assets of the reporting layer: what the state database tells, the tables of ``sql/``, and the published snapshot."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import dagster as dg
import duckdb

from qbsf_pipeline.customers.matching.plan import MATCHES
from qbsf_pipeline.customers.plan import FIELD_DIFFERENCES
from qbsf_pipeline.flows.plans import company_today
from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.receivables import tables as receivables
from qbsf_pipeline.reporting.day import AGING_BUCKETS, REPORTING_DAY, write_day
from qbsf_pipeline.reporting.history import AR_AGING_HISTORY, history_folder, keep_day, load_history
from qbsf_pipeline.reporting.state_tables import copy_state
from qbsf_pipeline.reporting.statements import SCHEMA, Statement, load_statements
from qbsf_pipeline.resources import WAREHOUSE_POOL, Doors, DoorsResource, WarehouseResource
from qbsf_pipeline.salesforce import objects as salesforce
from qbsf_pipeline.warehouse.connection import ensure_table, read_table
from qbsf_pipeline.warehouse.preview import preview_of
from qbsf_pipeline.warehouse.publish import publish
from qbsf_pipeline.warehouse.raw import WATERMARKS

OWNERS = ["team:finance-systems"]
STATEMENTS = load_statements()
FLOWS = ("invoices", "customers", "payments", "aging")
#: What the pushes change in the warehouse is reported after them, in a run that pushes.
PUSHED = [dg.AssetKey([flow, "pushed"]) for flow in FLOWS]
PENDING = [dg.AssetKey([flow, "pending"]) for flow in FLOWS]
STATE_KEY = dg.AssetKey(["pipeline", "state"])
STATE_TABLES = frozenset({"ledger", "failures", "reviews", "customer_links", "field_journal", "watermarks"})
AGING_KEY = dg.AssetKey([SCHEMA, "ar_aging"])
_RECEIVABLES = (receivables.APPLICATIONS, receivables.UNAPPLIED, receivables.INVOICES)
#: What this step writes itself, and the asset that it is made from.
_WRITTEN_HERE = {REPORTING_DAY.name: STATE_KEY, AGING_BUCKETS.name: STATE_KEY, AR_AGING_HISTORY.name: AGING_KEY}


@dg.asset(
    key=STATE_KEY,
    deps=[*PENDING, *PUSHED],
    group_name="reporting",
    kinds={"duckdb"},
    owners=OWNERS,
    description="The ledger, failures, reviews, links and journal of the state database, copied for analysts (schema pipeline).",
    pool=WAREHOUSE_POOL,
)
def pipeline_state(doors: DoorsResource, warehouse: WarehouseResource) -> dg.MaterializeResult[None]:
    """Copy what operators and analysts see of the state database."""
    opened = doors.open(warehouse)
    with opened.warehouse.transaction() as connection:
        rows = copy_state(connection, opened.state)
    return dg.MaterializeResult(metadata={f"rows/{name}": count for name, count in rows.items()})


def _spec(statement: Statement) -> dg.AssetSpec:
    deps = {_asset_of(schema, table) for schema, table in statement.reads}
    return dg.AssetSpec(
        dg.AssetKey([SCHEMA, statement.name]),
        deps=[*sorted(deps), *PUSHED],
        group_name="reporting",
        kinds={"duckdb", "sql"},
        owners=OWNERS,
        description=statement.description,
        metadata={
            "dagster/column_schema": dg.TableSchema(
                [dg.TableColumn(name, description=meaning) for name, meaning in statement.columns.items()]
            ),
            "dagster/table_name": f"{SCHEMA}.{statement.name}",
            "file": f"sql/{statement.name}.sql",
        },
    )


def _asset_of(schema: str, table: str) -> dg.AssetKey:
    if schema != "pipeline":
        return dg.AssetKey([schema, table])
    return STATE_KEY if table in STATE_TABLES else _WRITTEN_HERE.get(table, dg.AssetKey([schema, table]))


@dg.multi_asset(name="reporting_tables", specs=[_spec(statement) for statement in STATEMENTS], pool=WAREHOUSE_POOL)
def reporting_tables(doors: DoorsResource, warehouse: WarehouseResource) -> Iterator[dg.MaterializeResult[None]]:
    """Build every table of ``sql/``, each with its comments, from what the warehouse holds now, and keep the day's ageing."""
    opened = doors.open(warehouse)
    today = _make_ready(opened)
    for statement in STATEMENTS:
        name = f'"{SCHEMA}"."{statement.name}"'
        kind = "VIEW" if statement.is_view else "TABLE"
        metadata: dict[str, Any] = {}
        with opened.warehouse.transaction() as connection:
            connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{SCHEMA}"')
            connection.execute(f"CREATE OR REPLACE {kind} {name} AS {statement.sql}")
            connection.execute(f"COMMENT ON {kind} {name} IS {_quoted(statement.description)}")
            for column, meaning in statement.columns.items():
                connection.execute(f'COMMENT ON COLUMN {name}."{column}" IS {_quoted(meaning)}')
            if dg.AssetKey([SCHEMA, statement.name]) == AGING_KEY:
                metadata |= _keep_aging(opened, connection, today)
            if not statement.is_view:
                metadata["dagster/row_count"] = connection.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0]
                metadata["preview"] = preview_of(connection.sql(f"SELECT * FROM {name} LIMIT 10").pl())
            types = dict(connection.execute(f"SELECT column_name, column_type FROM (DESCRIBE {name})").fetchall())
        metadata["dagster/column_schema"] = dg.TableSchema(
            [dg.TableColumn(column, types[column], meaning) for column, meaning in statement.columns.items()]
        )
        yield dg.MaterializeResult(asset_key=dg.AssetKey([SCHEMA, statement.name]), metadata=metadata)


@dg.asset(
    key=dg.AssetKey(["reporting", "snapshot"]),
    deps=[*(dg.AssetKey([SCHEMA, statement.name]) for statement in STATEMENTS)],
    group_name="reporting",
    kinds={"duckdb"},
    owners=OWNERS,
    description="The read-only copy of the warehouse that analysts open; replaced atomically, open readers keep theirs.",
    pool=WAREHOUSE_POOL,
)
def snapshot(doors: DoorsResource, warehouse: WarehouseResource) -> dg.MaterializeResult[None]:
    """Publish the snapshot."""
    opened = doors.open(warehouse)
    path = opened.settings.environment.snapshot_path
    size = publish(opened.warehouse, path)
    return dg.MaterializeResult(metadata={"path": dg.MetadataValue.path(path), "bytes": size})


def _make_ready(opened: Doors) -> date:
    """Empty tables for what was not pulled or planned yet, for a pass of one flow alone reports too; the day that counts as
    today, and the buckets of the rules. Returns the day."""
    with opened.warehouse.transaction() as connection:
        _make_missing(connection)
        company = read_table(connection, quickbooks.COMPANY_INFO, ["time_zone"])
        organization = read_table(connection, salesforce.ORGANIZATION, ["time_zone"])
        today = company_today(company, organization, opened.now())
        write_day(connection, today, opened.settings.rules.aging.buckets)
    return today


def _make_missing(connection: duckdb.DuckDBPyConnection) -> None:
    wanted = {table for statement in STATEMENTS for table in statement.reads}
    known = (*salesforce.TABLES, *quickbooks.TABLES, *_RECEIVABLES, MATCHES, FIELD_DIFFERENCES, WATERMARKS, AR_AGING_HISTORY)
    for table in known:
        if (table.schema, table.name) in wanted:
            ensure_table(connection, table)


def _keep_aging(opened: Doors, connection: duckdb.DuckDBPyConnection, today: date) -> dict[str, Any]:
    """The day's ageing into its file, and the files into their table."""
    folder = history_folder(opened.settings.environment.home)
    kept = keep_day(connection, folder, today)
    history = load_history(connection, folder)
    found: dict[str, Any] = {"history_days": history.days}
    if kept is not None:
        found["history_file"] = dg.MetadataValue.path(kept)
    if history.unreadable:
        found["history_left_out"] = ", ".join(history.unreadable)
    return found


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
