"""What derived tables were last made from, so that they are not made again from the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import duckdb
import polars as pl

from qbsf_pipeline.warehouse.connection import ensure_table, read_table
from qbsf_pipeline.warehouse.tables import Column, TableSchema

MADE_FROM = TableSchema(
    "pipeline",
    "made_from",
    (
        Column("table_name", pl.String, "Derived table, schema.name"),
        Column("made_from", pl.String, "Hash of everything that it was last made from"),
    ),
    ("table_name",),
    "What derived tables were last made from, so that they are not made again from the same. A row is one derived table.",
)


def fingerprint(
    connection: duckdb.DuckDBPyConnection, tables: Iterable[TableSchema], *others: str, versions: bool = False
) -> str:
    """A hash over the content of raw tables and over whatever else a derived table depends on.

    Args:
        tables: raw tables.
        others: rules, versions of code, rows of the state database, as text.
        versions: a record that was only touched counts as changed, because it has another version.
    """
    parts = list(others)
    columns = "id, content_hash, is_deleted" + (", source_modified_at" if versions else "")
    for table in tables:
        ensure_table(connection, table)
        sums = connection.execute(f"SELECT count(*), bit_xor(hash({columns})) FROM {table.qualified_name}").fetchall()
        parts.append(str(sums[0]))
    return hashlib.sha256("|".join(parts).encode("utf-8", "replace")).hexdigest()


def last_made_from(connection: duckdb.DuckDBPyConnection, table: TableSchema) -> str | None:
    """The fingerprint that a derived table was last made from; ``None`` where it was never made."""
    rows = read_table(connection, MADE_FROM).filter(pl.col("table_name") == f"{table.schema}.{table.name}")
    return rows.get_column("made_from").item(0) if rows.height else None


def remember_made_from(connection: duckdb.DuckDBPyConnection, table: TableSchema, made_from: str) -> None:
    """Keep the fingerprint, in the transaction that wrote the derived table."""
    ensure_table(connection, MADE_FROM)
    name = f"{table.schema}.{table.name}"
    connection.execute(f"DELETE FROM {MADE_FROM.qualified_name} WHERE table_name = ?", [name])
    connection.execute(f"INSERT INTO {MADE_FROM.qualified_name} VALUES (?, ?)", [name, made_from])
