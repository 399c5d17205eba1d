"""The one way to open the warehouse.

The DuckDB file has one writer at a time and no reader beside it (``engineering`` in the README's architecture section), so
connections are short, are closed even when the work inside fails, and waiting for another process is bounded. Code that
holds a connection must not call a service.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl

from qbsf_pipeline.warehouse.tables import TableSchema


class WarehouseBusy(Exception):
    """Another process kept the warehouse file longer than we wait."""


@dataclass(frozen=True)
class Warehouse:
    """The warehouse file.

    Attributes:
        path: the DuckDB file; it and its folder are made on first use.
        wait_seconds: how long to wait for another process that has it open.
    """

    path: Path
    wait_seconds: float = 60.0

    @contextmanager
    def connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection, closed at the end whatever happens.

        Raises:
            WarehouseBusy: another process did not let go in ``wait_seconds``.
        """
        connection = self._open()
        try:
            yield connection
        finally:
            connection.close()

    @contextmanager
    def transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection inside one transaction: everything in it becomes visible together, or nothing does.

        Raises:
            WarehouseBusy: another process did not let go in ``wait_seconds``.
        """
        with self.connection() as connection:
            connection.begin()
            try:
                yield connection
            except BaseException:
                connection.rollback()
                raise
            connection.commit()

    def _open(self) -> duckdb.DuckDBPyConnection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + self.wait_seconds
        pause = 0.05
        while True:
            try:
                connection = duckdb.connect(self.path)
            except duckdb.IOException as error:
                if "lock" not in str(error).lower():
                    raise
                if time.monotonic() >= deadline:
                    raise WarehouseBusy(
                        f"{self.path} is open in another process for more than {self.wait_seconds:.0f} s. Analysts should "
                        "open the published snapshot instead (qbsf status shows where it is)."
                    ) from error
                time.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(pause * 2, 1.0)
            else:
                connection.execute("SET TimeZone = 'UTC'")
                # It would be drawn on standard output, into what `--json` prints there.
                connection.execute("SET enable_progress_bar = false")
                return connection


def ensure_table(connection: duckdb.DuckDBPyConnection, table: TableSchema) -> None:
    """Create ``table`` where it is missing, with its comments; add columns that a newer version declares."""
    existing = {
        row[0]
        for row in connection.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = ? AND table_name = ?",
            [table.schema, table.name],
        ).fetchall()
    }
    if not existing:
        for statement in table.ddl():
            connection.execute(statement)
        return
    for column in table.columns:
        if column.name not in existing:
            connection.execute(f'ALTER TABLE {table.qualified_name} ADD COLUMN "{column.name}" {column.sql_type}')


def replace_rows(connection: duckdb.DuckDBPyConnection, table: TableSchema, frame: pl.DataFrame) -> None:
    """Make ``frame`` (of the table's schema) the whole content of ``table``."""
    ensure_table(connection, table)
    connection.execute(f"DELETE FROM {table.qualified_name}")
    append_rows(connection, table, frame)


def append_rows(connection: duckdb.DuckDBPyConnection, table: TableSchema, frame: pl.DataFrame) -> None:
    """Insert ``frame`` by column name; an empty frame inserts nothing."""
    if frame.is_empty():
        return
    connection.register("incoming_rows", frame.select(list(table.polars_schema)).to_arrow())
    connection.execute(f"INSERT INTO {table.qualified_name} BY NAME SELECT * FROM incoming_rows")
    connection.unregister("incoming_rows")


def read_table(connection: duckdb.DuckDBPyConnection, table: TableSchema, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """The content of ``table`` as a frame of its schema (or of ``columns`` of it); empty where the table is not there yet."""
    wanted = list(columns or table.polars_schema)
    found = connection.execute(
        "SELECT count(*) FROM information_schema.tables WHERE table_schema = ? AND table_name = ?", [table.schema, table.name]
    ).fetchall()
    if not found[0][0]:
        return table.empty().select(wanted)
    names = ", ".join(f'"{name}"' for name in wanted)
    frame = connection.sql(f"SELECT {names} FROM {table.qualified_name}").pl()
    return frame.cast({name: table.polars_schema[name] for name in wanted})
