"""Dagster's event log in a process that runs a pass by itself: kept open, and written several events at a time.

Dagster opens and closes a file for each of the hundreds of events of a run, in up to four transactions each, and closing the
last connection makes SQLite write the whole journal back. That took half of a pass in which nothing changed. A daemon's runs
keep Dagster's own way, because the UI follows a run by watching the file that is written back.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import groupby
from typing import Any

import dagster as dg
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS, EVENT_TYPE_TO_PIPELINE_RUN_STATUS
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.base import AssetRecord
from dagster._core.storage.event_log.schema import AssetKeyTable, SqlEventLogStorageMetadata, SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME
from dagster_shared.record import replace
from sqlalchemy import Connection, Engine, bindparam, create_engine, event, inspect, text

_BUSY_SECONDS = 60
#: What a step says in one breath, dozens at a time: it is written with the next event of another kind, or when it is asked for.
_MAY_WAIT = {
    dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED,
    dg.DagsterEventType.ASSET_MATERIALIZATION,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    dg.DagsterEventType.STEP_OUTPUT,
    dg.DagsterEventType.STEP_START,
    dg.DagsterEventType.RESOURCE_INIT_STARTED,
    dg.DagsterEventType.RESOURCE_INIT_SUCCESS,
}
_MIRRORED = {*ASSET_EVENTS, *ASSET_CHECK_EVENTS, *EVENT_TYPE_TO_PIPELINE_RUN_STATUS}
_MOST_WAITING = 200
#: The newest migration of an event log, once it is known.
_newest: list[str] = []
_INSERT = SqlEventLogStorageTable.insert()
_OF_ASSET = "of_asset"
_UPDATE_ASSET = AssetKeyTable.update().where(AssetKeyTable.c.asset_key == bindparam(_OF_ASSET))


class KeptEventLog(SqliteEventLogStorage):
    """:class:`SqliteEventLogStorage` with one engine for each file, and one transaction for events that come together.

    Whoever reads finds everything: what waits is written first.
    """

    #: SQLite's number for what other processes wrote to the index.
    _seen_version = 0

    @cached_property
    def _engines(self) -> dict[str, Engine]:
        return {}

    @cached_property
    def _lock(self) -> threading.RLock:
        return threading.RLock()

    @cached_property
    def _waiting(self) -> list[dg.EventLogEntry]:
        return []

    @cached_property
    def _begun(self) -> dict[str, Connection]:
        """Transactions of the thread that holds the lock, by file."""
        return {}

    @cached_property
    def _tables(self) -> set[str]:
        return set()

    @cached_property
    def _records(self) -> dict[dg.AssetKey, AssetRecord]:
        return {}

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._lock:
            begun = self._begun.get(shard)
            if begun is not None:
                yield begun
                return
            if not self._begun:
                self._write()
            with self._engine(shard).connect() as connection, connection.begin():
                self._begun[shard] = connection
                try:
                    yield connection
                finally:
                    del self._begun[shard]

    def store_event(self, event: dg.EventLogEntry) -> None:
        """Store an event; some wait a little for those that come with them."""
        with self._lock:
            self._waiting.append(_said_once(event))
            if event.dagster_event_type not in _MAY_WAIT or len(self._waiting) >= _MOST_WAITING:
                self._write()

    def has_table(self, table_name: str) -> bool:
        """Whether the index has a table; tables never go away."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def has_secondary_index(self, name: str) -> bool:
        """Whether a migration of the data was done; it is never undone. Every question about an asset asks this first."""
        if name not in self._tables and super().has_secondary_index(name):
            self._tables.add(name)
        return name in self._tables

    def _has_asset_key_col_on_connection(self, conn: Connection, column_name: str) -> bool:
        if column_name not in self._tables and super()._has_asset_key_col_on_connection(conn, column_name):
            self._tables.add(column_name)
        return column_name in self._tables

    def get_asset_records(self, asset_keys: Sequence[dg.AssetKey] | None = None) -> Sequence[AssetRecord]:
        """The newest of each asset: as it was read once, and brought in step with what this process writes.

        Every step asks for all that it is made from, and a step that makes thirty tables asks for each.
        """
        if asset_keys is None:
            return super().get_asset_records()
        with self._lock:
            with self._connect(INDEX_SHARD_NAME) as connection:
                # Another number once another process has written to the file.
                version = int(connection.execute(text("PRAGMA data_version")).scalar_one())
            if version != self._seen_version:
                self._records.clear()
                self._seen_version = version
            unknown = [key for key in asset_keys if key not in self._records]
            if unknown:
                self._records |= {record.asset_entry.asset_key: record for record in super().get_asset_records(unknown)}
            return [self._records[key] for key in sorted(set(asset_keys)) if key in self._records]

    def dispose(self) -> None:
        """Write what waits, and close the files."""
        with self._lock:
            self._write()
            for engine in self._engines.values():
                engine.dispose()
            self._engines.clear()
        super().dispose()

    def _write(self) -> None:
        """Write what waits: to the file of its run, and what others ask for across runs to the index as well."""
        if not self._waiting:
            return
        entries = list(self._waiting)
        self._waiting.clear()
        rows = [self._event_to_row(entry) for entry in entries]
        for run_id, group in groupby(rows, key=lambda row: str(row["run_id"])):
            with self._connect(run_id) as connection:
                connection.execute(_INSERT, list(group))
        mirrored = [
            (entry, row)
            for entry, row in zip(entries, rows, strict=True)
            if entry.is_dagster_event and entry.dagster_event_type in _MIRRORED
        ]
        if not mirrored:
            return
        with self._connect(INDEX_SHARD_NAME) as connection:
            ids = _inserted(connection, [row for _, row in mirrored])
            numbered = [(entry, number) for (entry, _), number in zip(mirrored, ids, strict=True)]
            for kind, together in groupby(numbered, key=lambda one: one[0].dagster_event_type):
                if kind in ASSET_EVENTS:
                    self._write_of_assets(connection, list(together))
                elif kind in ASSET_CHECK_EVENTS:
                    for entry, number in together:
                        self.store_asset_check_event(entry, number)

    def _write_of_assets(self, connection: Connection, numbered: Sequence[tuple[dg.EventLogEntry, int]]) -> None:
        """Events of one kind: their tags, and what they say of their assets."""
        entries, ids = [entry for entry, _ in numbered], [number for _, number in numbered]
        self._store_asset_event_tags(connection, entries, ids)
        said = [self._get_asset_entry_values(entry, number, True) for entry, number in numbered]
        keys = [entry.get_dagster_event().asset_key for entry in entries]
        if all(said) and self._has_asset_key_index_cols_on_connection(connection):
            rows = [{_OF_ASSET: key and key.to_string(), **values} for key, values in zip(keys, said, strict=True)]
            known = connection.execute(_UPDATE_ASSET, rows).rowcount == len(rows)
        else:
            known = False
        for (entry, number), key in zip(numbered, keys, strict=True):
            if not known:  # one of them is there for the first time
                self._store_asset_event(connection, entry, number)
            if key is not None:
                self._note(key, entry, number)

    def _note(self, key: dg.AssetKey, entry: dg.EventLogEntry, number: int) -> None:
        """Bring what is known of an asset in step with an event that was written."""
        known = self._records.pop(key, None)
        if known is None:
            return
        of_asset = known.asset_entry
        if entry.dagster_event_type is dg.DagsterEventType.ASSET_MATERIALIZATION:
            last = dg.EventLogRecord(storage_id=number, event_log_entry=entry)
            of_asset = replace(of_asset, last_materialization_record=last, last_run_id=entry.run_id)
        elif entry.dagster_event_type is dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED:
            of_asset = replace(of_asset, last_run_id=entry.run_id)
        else:
            return  # it is read again
        self._records[key] = replace(known, asset_entry=of_asset)

    def _engine(self, shard: str) -> Engine:
        engine = self._engines.get(shard)
        if engine is None:
            engine = self._engines[shard] = _engine(self.conn_string_for_shard(shard))
        if shard not in self._initialized_dbs:
            self._make_ready(engine)
            self._initialized_dbs.add(shard)
        return engine

    def _make_ready(self, engine: Engine) -> None:
        """As Dagster makes a file ready, but with what it found out for the first one: its way reads fifty migrations anew."""
        tables = set(inspect(engine).get_table_names())
        if "alembic_version" in tables:
            return
        if tables or not _newest:
            self._initdb(engine)
            with engine.connect() as connection:
                _newest[:] = connection.execute(text("SELECT version_num FROM alembic_version")).scalars()
            return
        SqlEventLogStorageMetadata.create_all(engine)
        with engine.begin() as connection:
            connection.execute(text("PRAGMA journal_mode=WAL"))
            connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
            for revision in _newest:
                connection.execute(text("INSERT INTO alembic_version VALUES (:revision)"), {"revision": revision})


def keep_open(instance: dg.DagsterInstance) -> None:
    """Let ``instance`` keep its event log open. One whose operator chose another storage stays as it is."""
    storage = instance.event_log_storage
    if type(storage) is SqliteEventLogStorage:
        storage.__class__ = KeptEventLog


def _said_once(entry: dg.EventLogEntry) -> dg.EventLogEntry:
    """An output that made an asset repeats all that its materialization says of it, which is most of a log."""
    made = entry.dagster_event
    if made is None or made.event_type is not dg.DagsterEventType.STEP_OUTPUT:
        return entry
    output = made.step_output_data._replace(metadata={})
    return entry._replace(dagster_event=made._replace(event_specific_data=output))


def _inserted(connection: Connection, rows: Sequence[dict[str, Any]]) -> range:
    """Insert rows and return their ids. The first row takes the file for this transaction, so that the next ids are free."""
    first = int((connection.execute(_INSERT, rows[0]).inserted_primary_key or (0,))[0])
    if len(rows) > 1:
        connection.execute(_INSERT, [{**row, "id": first + place} for place, row in enumerate(rows[1:], start=1)])
    return range(first, first + len(rows))


def _engine(url: str) -> Engine:
    engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def set_pragmas(connection: Any, record: object) -> None:
        # A power cut may cost the last lines of the log, never the file. What was done is in the ledger, not here.
        connection.execute("PRAGMA synchronous=NORMAL")

    return engine
