"""The assets of the reporting layer: what the state database tells, the tables of ``sql/``, and the published snapshot."""

from collections.abc import Iterator

import dagster as dg

from qbsf_pipeline.customers.matching.plan import MATCHES
from qbsf_pipeline.customers.plan import FIELD_DIFFERENCES
from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.reporting.state_tables import copy_state
from qbsf_pipeline.reporting.statements import SCHEMA, Statement, load_statements
from qbsf_pipeline.resources import WAREHOUSE_POOL, DoorsResource, WarehouseResource
from qbsf_pipeline.salesforce import objects as salesforce
from qbsf_pipeline.warehouse.connection import ensure_table
from qbsf_pipeline.warehouse.preview import preview_of
from qbsf_pipeline.warehouse.publish import publish

OWNERS = ["team:finance-systems"]
STATEMENTS = load_statements()
FLOWS = ("invoices", "customers")
#: What the pushes change in the warehouse is reported after them, in a run that pushes.
PUSHED = [dg.AssetKey([flow, "pushed"]) for flow in FLOWS]
PENDING = [dg.AssetKey([flow, "pending"]) for flow in FLOWS]
STATE_KEY = dg.AssetKey(["pipeline", "state"])
STATE_TABLES = frozenset({"ledger", "failures", "reviews", "customer_links", "field_journal", "watermarks"})


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
    deps = {
        STATE_KEY if schema == "pipeline" and table in STATE_TABLES else dg.AssetKey([schema, table])
        for schema, table in statement.reads
    }
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


@dg.multi_asset(name="reporting_tables", specs=[_spec(statement) for statement in STATEMENTS], pool=WAREHOUSE_POOL)
def reporting_tables(warehouse: WarehouseResource) -> Iterator[dg.MaterializeResult[None]]:
    """Build every table of ``sql/``, each with its comments, from what the warehouse holds now."""
    _make_missing(warehouse)
    for statement in STATEMENTS:
        name = f'"{SCHEMA}"."{statement.name}"'
        with warehouse.warehouse.transaction() as connection:
            connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{SCHEMA}"')
            connection.execute(f"CREATE OR REPLACE TABLE {name} AS {statement.sql}")
            connection.execute(f"COMMENT ON TABLE {name} IS {_quoted(statement.description)}")
            for column, meaning in statement.columns.items():
                connection.execute(f'COMMENT ON COLUMN {name}."{column}" IS {_quoted(meaning)}')
            count = connection.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0]
            preview = connection.sql(f"SELECT * FROM {name} LIMIT 10").pl()
            types = dict(connection.execute(f"SELECT column_name, column_type FROM (DESCRIBE {name})").fetchall())
        yield dg.MaterializeResult(
            asset_key=dg.AssetKey([SCHEMA, statement.name]),
            metadata={
                "dagster/row_count": count,
                "dagster/column_schema": dg.TableSchema(
                    [dg.TableColumn(column, types[column], meaning) for column, meaning in statement.columns.items()]
                ),
                "preview": preview_of(preview),
            },
        )


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


def _make_missing(warehouse: WarehouseResource) -> None:
    """Empty tables for what was not pulled or planned yet: a pass of one flow alone reports too."""
    wanted = {table for statement in STATEMENTS for table in statement.reads}
    known = (*salesforce.TABLES, *quickbooks.TABLES, MATCHES, FIELD_DIFFERENCES)
    with warehouse.warehouse.transaction() as connection:
        for table in known:
            if (table.schema, table.name) in wanted:
                ensure_table(connection, table)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
