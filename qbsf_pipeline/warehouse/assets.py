"""How a raw table appears in Dagster: its spec, and what each materialization tells of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import dagster as dg
import duckdb

from qbsf_pipeline.warehouse.connection import Warehouse, frame_of
from qbsf_pipeline.warehouse.preview import PREVIEW_ROWS, column_schema, preview_of
from qbsf_pipeline.warehouse.raw import PullWritten
from qbsf_pipeline.warehouse.tables import RAW_COLUMNS, TableSchema

OWNERS = ["team:finance-systems"]


def table_key(table: TableSchema) -> dg.AssetKey:
    """The asset of a table: its schema and name."""
    return dg.AssetKey([table.schema, table.name])


def raw_asset_spec(table: TableSchema, group: str, system: str) -> dg.AssetSpec:
    """The asset of a raw table."""
    return dg.AssetSpec(
        table_key(table),
        group_name=group,
        kinds={"duckdb", group},
        owners=OWNERS,
        description=f"{table.comment} As pulled from {system}, with the whole record as JSON.",
        metadata={"dagster/column_schema": column_schema(table), "dagster/table_name": f"{table.schema}.{table.name}"},
    )


def materializations(
    warehouse: Warehouse, tables: Sequence[TableSchema], written: Sequence[PullWritten]
) -> Iterator[dg.MaterializeResult[None]]:
    """One result for each table, with row counts, what changed in this pull, and the first rows."""
    hidden = {column.name for column in RAW_COLUMNS}
    changes: dict[str, list[PullWritten]] = {}
    for one in written:
        changes.setdefault(one.table, []).append(one)
    results: list[dg.MaterializeResult[None]] = []
    with warehouse.connection() as connection:
        for table in tables:
            shown = ", ".join(f'"{column.name}"' for column in table.columns if column.name not in hidden)
            counted = changes.get(f"{table.schema}.{table.name}", [])
            exists = bool(counted) or _exists(connection, table)
            metadata: dict[str, dg.RawMetadataValue] = {
                "changed": sum(one.changed for one in counted),
                "new": sum(one.new for one in counted),
                "deleted": sum(one.deleted for one in counted),
            }
            if exists:
                rows = connection.execute(f"SELECT count(*) FROM {table.qualified_name} WHERE NOT is_deleted").fetchall()[0][0]
                metadata["dagster/row_count"] = rows
                preview = frame_of(connection.sql(f"SELECT {shown} FROM {table.qualified_name} LIMIT {PREVIEW_ROWS}"))
                metadata["preview"] = preview_of(preview)
            results.append(dg.MaterializeResult(asset_key=table_key(table), metadata=metadata))
    yield from results


def _exists(connection: duckdb.DuckDBPyConnection, table: TableSchema) -> bool:
    found = connection.execute(
        "SELECT count(*) FROM information_schema.tables WHERE table_schema = ? AND table_name = ?", [table.schema, table.name]
    )
    return bool(found.fetchall()[0][0])
