"""Writing what a pull has read: rows and watermark together, in one transaction.

A record that came again unchanged is no change. A record that a complete read no longer finds is marked deleted, never
removed. A complete read that lost suspiciously many rows marks nothing deleted and is remembered as suspicious, until a
later complete read clears it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb
import polars as pl

from qbsf_pipeline.settings import PullRules
from qbsf_pipeline.warehouse.connection import Warehouse, append_rows, ensure_table, frame_of, read_table, replace_rows, rows_once
from qbsf_pipeline.warehouse.tables import (
    TIMESTAMP,
    Column,
    KnownRecord,
    PulledTable,
    TableSchema,
    WarehouseView,
    Watermark,
)

#: ``content_hash`` of a record of which only the news of its deletion came.
DELETED_STUB_HASH = "deleted"

WATERMARKS = TableSchema(
    "pipeline",
    "watermarks",
    (
        Column("table_name", pl.String, "Raw table, schema.name"),
        Column("read_until", TIMESTAMP, "The source's clock at the start of the last read: the next one begins here"),
        Column("last_full_at", TIMESTAMP, "The source's clock at the last complete read"),
        Column("fields_hash", pl.String, "Hash of the field list that was asked for"),
        Column("pulled_at", TIMESTAMP, "When the last read was written here"),
        Column("rows_live", pl.Int64, "Rows that are not deleted"),
        Column("rows_lost", pl.Int64, "Rows that the last complete read no longer found, when that was too many; else 0"),
        Column("rows_before", pl.Int64, "Live rows before the last complete read"),
    ),
    ("table_name",),
    "How far each raw table has been read. A row is one raw table.",
)


@dataclass(frozen=True)
class PullWritten:
    """What writing one table came to, in rows."""

    table: str
    new: int
    changed: int
    unchanged: int
    deleted: int
    live: int
    suspicious_loss: int

    @property
    def anything_changed(self) -> bool:
        """Whether the table now says something else than before."""
        return bool(self.new or self.changed or self.deleted)


def view_of(warehouse: Warehouse) -> WarehouseView:
    """Watermarks, and a reader of known records, for a pull that must not hold the warehouse while it calls a service."""
    with warehouse.connection() as connection:
        rows = read_table(connection, WATERMARKS)
    watermarks = {
        row["table_name"]: Watermark(row["table_name"], row["read_until"], row["last_full_at"], row["fields_hash"])
        for row in rows.iter_rows(named=True)
        if row["last_full_at"] is not None
    }

    def known(table_name: str) -> Mapping[str, KnownRecord]:
        if table_name not in watermarks:
            return {}
        schema, _, name = table_name.partition(".")
        with warehouse.connection() as connection:
            found = frame_of(connection.sql(f'SELECT id, source_modified_at, content_hash FROM "{schema}"."{name}"'))
        return {
            record_id: KnownRecord(modified, content_hash)
            for record_id, modified, content_hash in found.select("id", "source_modified_at", "content_hash").iter_rows()
        }

    return WarehouseView(watermarks, known)


def write_pull(connection: duckdb.DuckDBPyConnection, pulled: PulledTable, rules: PullRules, now: datetime) -> PullWritten:
    """Write one pulled table and its watermark. The caller holds the transaction.

    Args:
        pulled: see :class:`PulledTable`.
        rules: the limits beyond which a shrunken complete read is suspicious.
        now: when this is written (UTC).
    """
    return _write_together(connection, [pulled], rules, now)[0]


def _write_together(
    connection: duckdb.DuckDBPyConnection, pulled: Sequence[PulledTable], rules: PullRules, now: datetime
) -> list[PullWritten]:
    """Write the rows of each table, then all watermarks at once."""
    ensure_table(connection, WATERMARKS)
    marks = {row["table_name"]: row for row in read_table(connection, WATERMARKS).iter_rows(named=True)}
    written: list[PullWritten] = []
    for one in pulled:
        result, before = _write_rows(connection, one, rules, now)
        marks[result.table] = _watermark(one, marks.get(result.table), result, before, now)
        written.append(result)
    replace_rows(connection, WATERMARKS, WATERMARKS.frame([*marks.values()]))
    return written


def _write_rows(
    connection: duckdb.DuckDBPyConnection, pulled: PulledTable, rules: PullRules, now: datetime
) -> tuple[PullWritten, int]:
    """What was written, and how many live rows there were before."""
    table = pulled.table
    name = table.qualified_name
    key = f'"{table.key[0]}"'
    ensure_table(connection, table)
    before = _count(connection, f"SELECT count(*) FROM {name} WHERE NOT is_deleted")
    if pulled.frame.is_empty() and not pulled.complete and pulled.scope is None:
        return PullWritten(f"{table.schema}.{table.name}", 0, 0, 0, 0, before, 0), before

    frame = pulled.frame.unique(subset=list(table.key), keep="last", maintain_order=True)
    stubs = frame.filter(pl.col("content_hash") == DELETED_STUB_HASH)
    whole = frame.filter(pl.col("content_hash").ne_missing(DELETED_STUB_HASH))

    connection.execute("CREATE OR REPLACE TEMP TABLE pulled_rows AS SELECT * FROM " + name + " LIMIT 0")
    _fill(connection, table, whole)
    new = _count(
        connection, f"SELECT count(*) FROM pulled_rows p WHERE NOT EXISTS (SELECT 1 FROM {name} t WHERE t.{key} = p.{key})"
    )
    differs = "(t.content_hash IS DISTINCT FROM p.content_hash OR t.is_deleted IS DISTINCT FROM p.is_deleted)"
    changed = _count(connection, f"SELECT count(*) FROM pulled_rows p JOIN {name} t ON t.{key} = p.{key} WHERE {differs}")
    # A touched record takes its new stamp too, so that the next delta does not take it for touched again.
    connection.execute(
        f"DELETE FROM {name} WHERE {key} IN (SELECT p.{key} FROM pulled_rows p JOIN {name} t ON t.{key} = p.{key} "
        f"WHERE {differs} OR t.source_modified_at IS DISTINCT FROM p.source_modified_at)"
    )
    connection.execute(
        f"INSERT INTO {name} BY NAME SELECT * FROM pulled_rows p "
        f"WHERE NOT EXISTS (SELECT 1 FROM {name} t WHERE t.{key} = p.{key})"
    )
    deleted = _mark_stubs(connection, table, stubs, now)
    suspicious = 0
    if pulled.complete:
        missing = f"NOT is_deleted AND {key} NOT IN (SELECT {key} FROM pulled_rows)"
        lost = _count(connection, f"SELECT count(*) FROM {name} WHERE {missing}")
        if lost > rules.largest_shrink_rows and lost > rules.largest_shrink_share * before:
            suspicious = lost
        elif lost:
            deleted += lost
            _mark_deleted(connection, table, missing, now)
    elif pulled.scope is not None:
        column, values = pulled.scope
        connection.register("scope_values", pl.DataFrame({"value": list(values)}, schema={"value": pl.String}).to_arrow())
        missing = (
            f'NOT is_deleted AND "{column}" IN (SELECT value FROM scope_values) AND {key} NOT IN (SELECT {key} FROM pulled_rows)'
        )
        lost = _count(connection, f"SELECT count(*) FROM {name} WHERE {missing}")
        if lost:
            deleted += lost
            _mark_deleted(connection, table, missing, now)
        connection.unregister("scope_values")
    connection.execute("DROP TABLE pulled_rows")
    live = _count(connection, f"SELECT count(*) FROM {name} WHERE NOT is_deleted")
    unchanged = len(whole) - new - changed
    return PullWritten(f"{table.schema}.{table.name}", new, changed, unchanged, deleted, live, suspicious), before


def write_pulls(warehouse: Warehouse, pulled: Sequence[PulledTable], rules: PullRules, now: datetime) -> list[PullWritten]:
    """Write all tables of one pull, with their watermarks, in one transaction; every raw table exists afterwards."""
    with warehouse.transaction() as connection:
        return _write_together(connection, pulled, rules, now)


def upsert_rows(connection: duckdb.DuckDBPyConnection, table: TableSchema, frame: pl.DataFrame) -> None:
    """Put rows into a table, in place of those of the same key; watermarks stay. So what a write has just returned is not read
    again."""
    ensure_table(connection, table)
    if frame.is_empty():
        return
    frame = frame.unique(subset=list(table.key), keep="last", maintain_order=True)
    connection.register("upserted_keys", rows_once(frame.select(table.key[0])))
    connection.execute(
        f'DELETE FROM {table.qualified_name} WHERE "{table.key[0]}" IN (SELECT "{table.key[0]}" FROM upserted_keys)'
    )
    connection.unregister("upserted_keys")
    append_rows(connection, table, frame)


def suspicious_losses(connection: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Tables whose last complete read lost too much: table_name, rows_lost, rows_before."""
    return (
        read_table(connection, WATERMARKS, ["table_name", "rows_lost", "rows_before"])
        .filter(pl.col("rows_lost") > 0)
        .sort("table_name")
    )


def _fill(connection: duckdb.DuckDBPyConnection, table: TableSchema, frame: pl.DataFrame) -> None:
    if frame.is_empty():
        return
    connection.register("incoming_rows", rows_once(frame.select(list(table.polars_schema))))
    connection.execute("INSERT INTO pulled_rows BY NAME SELECT * FROM incoming_rows")
    connection.unregister("incoming_rows")


def _mark_stubs(connection: duckdb.DuckDBPyConnection, table: TableSchema, stubs: pl.DataFrame, now: datetime) -> int:
    if stubs.is_empty():
        return 0
    ids = stubs.get_column(table.key[0]).to_list()
    connection.register("stub_ids", pl.DataFrame({"id": ids}, schema={"id": pl.String}).to_arrow())
    in_stubs = f'"{table.key[0]}" IN (SELECT id FROM stub_ids)'
    newly = _count(connection, f"SELECT count(*) FROM {table.qualified_name} WHERE NOT is_deleted AND {in_stubs}")
    _mark_deleted(connection, table, in_stubs, now)
    known = {
        row[0] for row in connection.execute(f'SELECT "{table.key[0]}" FROM {table.qualified_name} WHERE {in_stubs}').fetchall()
    }
    connection.unregister("stub_ids")
    append_rows(connection, table, stubs.filter(~pl.col(table.key[0]).is_in(list(known))))
    return newly


def _mark_deleted(connection: duckdb.DuckDBPyConnection, table: TableSchema, condition: str, now: datetime) -> None:
    status = ", status = 'deleted'" if "status" in table.polars_schema else ""
    connection.execute(
        f"UPDATE {table.qualified_name} SET is_deleted = true, content_hash = '{DELETED_STUB_HASH}', extracted_at = ?{status} "
        f"WHERE {condition}",
        [now],
    )


def _watermark(
    pulled: PulledTable, previous: Mapping[str, Any] | None, written: PullWritten, before: int, now: datetime
) -> dict[str, Any]:
    """The new row of :data:`WATERMARKS` of a table that was written."""
    suspicious = written.suspicious_loss
    cleared = pulled.complete and not suspicious
    row = {
        "table_name": written.table,
        "read_until": pulled.watermark,
        # A suspicious complete read does not count as one: the next pass reads the table whole again.
        "last_full_at": pulled.watermark if cleared else (previous or {}).get("last_full_at"),
        "fields_hash": pulled.fields_hash if cleared or previous is None else previous["fields_hash"],
        "pulled_at": now,
        "rows_live": written.live,
        "rows_lost": suspicious if pulled.complete else (previous or {}).get("rows_lost") or 0,
        "rows_before": before if pulled.complete else (previous or {}).get("rows_before") or before,
    }
    if pulled.complete and suspicious:
        row["fields_hash"] = "suspicious"
    return row


def _count(connection: duckdb.DuckDBPyConnection, sql: str) -> int:
    return int(connection.execute(sql).fetchall()[0][0])
