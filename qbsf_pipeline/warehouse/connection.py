"""The one way to open the warehouse.

The DuckDB file has one writer at a time and no reader beside it (``engineering`` in the README's architecture section), so
connections are short, are closed even when the work inside fails, and waiting for another process is bounded. Code that
holds a connection must not call a service.

Opening the file reads its whole catalogue and closing it writes it back, which takes longer than most of what is done in
between. A run opens it a hundred times: :meth:`Warehouse.kept_open` lets one use take over the file from the one before.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import polars as pl

from qbsf_pipeline.warehouse.tables import TableSchema

#: A kept file is let go when it was not used for this long: while a service is called, another process may need it.
_IDLE_SECONDS = 0.5
#: How DuckDB describes a type, where it does so otherwise than DDL has it.
_DESCRIBED = {"TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE"}


class WarehouseBusy(Exception):
    """Another process kept the warehouse file longer than we wait."""


@dataclass
class _Kept:
    """A file that this process keeps open between uses.

    Attributes:
        keepers: blocks of :meth:`Warehouse.kept_open` that are under way.
        opened: the connection that holds the file; ``None`` while it is let go.
        uses: connections that are in use now.
        used_at: when the last of them ended (monotonic seconds).
        watch: lets the file go once it is idle.
    """

    keepers: int = 0
    opened: duckdb.DuckDBPyConnection | None = None
    uses: int = 0
    used_at: float = 0.0
    watch: threading.Timer | None = None
    lock: threading.RLock = field(default_factory=threading.RLock)

    def end_use(self) -> None:
        """One connection fewer; the last one starts the watch."""
        with self.lock:
            self.uses -= 1
            self.used_at = time.monotonic()
            if not self.keepers:
                self.let_go()
            elif not self.uses and self.watch is None:
                self._watch(_IDLE_SECONDS)

    def let_go(self) -> None:
        """Close the file, unless it is in use."""
        with self.lock:
            if self.uses == 0 and self.opened is not None:
                self.opened.close()
                self.opened = None

    def _watch(self, seconds: float) -> None:
        self.watch = threading.Timer(seconds, self._look)
        self.watch.daemon = True
        self.watch.start()

    def _look(self) -> None:
        with self.lock:
            self.watch = None
            left = self.used_at + _IDLE_SECONDS - time.monotonic()
            if self.uses or self.opened is None:
                return
            if left > 0:
                self._watch(left)
            else:
                self.let_go()


#: By path: DuckDB has one instance of a file in a process, whoever opens it.
_kept: dict[Path, _Kept] = {}
_kept_lock = threading.Lock()


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
        kept = _kept.get(self.path)
        if kept is None:
            connection = self._open()
            try:
                yield connection
            finally:
                connection.close()
            return
        with kept.lock:
            if kept.opened is None:
                kept.opened = self._open()
            kept.uses += 1
        try:
            with kept.opened.cursor() as connection:
                _set_up(connection)
                yield connection
        finally:
            kept.end_use()

    @contextmanager
    def kept_open(self) -> Iterator[None]:
        """Keep the file open from one use to the next, but for pauses in which another process may have it.

        Nothing else changes: every connection is one of its own, and the file is opened only when it is used.
        """
        with _kept_lock:
            kept = _kept.setdefault(self.path, _Kept())
            kept.keepers += 1
        try:
            yield
        finally:
            with _kept_lock:
                kept.keepers -= 1
                if not kept.keepers:
                    _kept.pop(self.path, None)
            if not kept.keepers:
                kept.let_go()

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
                _set_up(connection)
                return connection


def _set_up(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("SET TimeZone = 'UTC'")
    # It would be drawn on standard output, into what `--json` prints there.
    connection.execute("SET enable_progress_bar = false")


def ensure_table(connection: duckdb.DuckDBPyConnection, table: TableSchema) -> None:
    """Create ``table`` where it is missing, with its comments; add columns that a newer version declares, and change the type of
    those that it declares otherwise: a value would be rounded into the old one without a word.
    """
    # Asked of the table itself: the catalogue takes many times as long to answer, and every step asks.
    try:
        found = connection.execute(f"SELECT * FROM {table.qualified_name} LIMIT 0").description or ()
    except duckdb.CatalogException:
        for statement in table.ddl():
            connection.execute(statement)
        return
    existing = {name: str(sql_type) for name, sql_type, *_ in found}
    for column in table.columns:
        if column.name not in existing:
            connection.execute(f'ALTER TABLE {table.qualified_name} ADD COLUMN "{column.name}" {column.sql_type}')
        elif existing[column.name] != _DESCRIBED.get(column.sql_type, column.sql_type):
            connection.execute(f'ALTER TABLE {table.qualified_name} ALTER COLUMN "{column.name}" TYPE {column.sql_type}')


def replace_rows(connection: duckdb.DuckDBPyConnection, table: TableSchema, frame: pl.DataFrame) -> None:
    """Make ``frame`` (of the table's schema) the whole content of ``table``."""
    ensure_table(connection, table)
    connection.execute(f"DELETE FROM {table.qualified_name}")
    append_rows(connection, table, frame)


def append_rows(connection: duckdb.DuckDBPyConnection, table: TableSchema, frame: pl.DataFrame) -> None:
    """Insert ``frame`` by column name; an empty frame inserts nothing."""
    if frame.is_empty():
        return
    connection.register("incoming_rows", rows_once(frame.select(list(table.polars_schema))))
    connection.execute(f"INSERT INTO {table.qualified_name} BY NAME SELECT * FROM incoming_rows")
    connection.unregister("incoming_rows")


def frame_of(query: duckdb.DuckDBPyRelation) -> pl.DataFrame:
    """The rows of a query. DuckDB's own ``pl()`` does the same by way of pyarrow, which takes a fifth of a second to import.

    Raises:
        duckdb.Error: a value cannot be computed.
    """
    try:
        return pl.DataFrame(query)
    except pl.exceptions.ComputeError as error:  # what DuckDB says of a row, once the first rows were handed over
        raise duckdb.Error(str(error)) from error


def rows_once(frame: pl.DataFrame) -> object:
    """``frame`` as something to register that one statement may read, once; without pyarrow as well."""
    return frame.__arrow_c_stream__()


def read_table(connection: duckdb.DuckDBPyConnection, table: TableSchema, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """The content of ``table`` as a frame of its schema (or of ``columns`` of it); empty where the table is not there yet."""
    wanted = list(columns or table.polars_schema)
    names = ", ".join(f'"{name}"' for name in wanted)
    try:
        frame = frame_of(connection.sql(f"SELECT {names} FROM {table.qualified_name}"))
    except duckdb.CatalogException:
        return table.empty().select(wanted)
    types = table.polars_schema
    return frame.cast({name: types[name] for name in wanted})
