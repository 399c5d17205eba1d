"""Dagster's event log in a process that runs a pass by itself: its SQLite files stay open until the pass has ended.

Dagster opens and closes a file for each of the hundreds of events of a run, and closing the last connection makes SQLite
write the whole journal back. That took a third of a pass in which nothing changed. A daemon's runs keep Dagster's own way,
because the UI follows a run by watching the file that is written back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import dagster as dg
from dagster._core.storage.event_log import SqliteEventLogStorage
from sqlalchemy import Connection, Engine, create_engine, event

_BUSY_SECONDS = 60


class KeptEventLog(SqliteEventLogStorage):
    """:class:`SqliteEventLogStorage` with one engine for each file."""

    @cached_property
    def _engines(self) -> dict[str, Engine]:
        return {}

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            engine = self._engines.get(shard)
            if engine is None:
                engine = self._engines[shard] = _engine(self.conn_string_for_shard(shard))
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.connect() as connection, connection.begin():
                yield connection

    def dispose(self) -> None:
        """Close the files."""
        for engine in self._engines.values():
            engine.dispose()
        self._engines.clear()
        super().dispose()


def keep_open(instance: dg.DagsterInstance) -> None:
    """Let ``instance`` keep its event log open. One whose operator chose another storage stays as it is."""
    storage = instance.event_log_storage
    if type(storage) is SqliteEventLogStorage:
        storage.__class__ = KeptEventLog


def _engine(url: str) -> Engine:
    engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def set_pragmas(connection: Any, record: object) -> None:
        # A power cut may cost the last lines of the log, never the file. What was done is in the ledger, not here.
        connection.execute("PRAGMA synchronous=NORMAL")

    return engine
