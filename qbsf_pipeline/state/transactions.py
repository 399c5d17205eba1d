"""Transactions on the state database, the same on SQLite and PostgreSQL: one writer at a time, readers beside it.

Belongs here: when a transaction begins and ends. Does not belong here: what is stored.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

#: Of PostgreSQL's advisory locks, the one that every writing transaction holds until it ends.
WRITER_LOCK = 0x71627366_00000001

#: The execution option by which the SQLite engine is told to begin a transaction that may write.
WRITES = "qbsf_writes"

_LOCK_TIMEOUT_SECONDS = 30
_POSTGRESQL_LOCK_NOT_AVAILABLE = "55P03"


class StateBusy(Exception):
    """Another process holds what is wanted, and did not let go of it in the time that was given.

    Attributes:
        name: the lock, or ``state database`` for the database as a whole.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"{name} is in use by another process; try again when it has finished")


class Transactions:
    """Opens transactions on one engine. What is opened inside another one of the same thread becomes part of it, so that
    several stores can be changed in one commit."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._local = threading.local()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view; inside :meth:`write` of the same thread, that transaction itself."""
        current = self._current()
        if current is not None:
            yield current
            return
        with self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self, *, must_commit: bool = False) -> Iterator[Connection]:
        """A transaction that is committed when the block ends and rolled back when it raises. No other process writes
        meanwhile, so what was read inside it stays true until the commit.

        Args:
            must_commit: what is written has to be on the disk when the block ends, because a service is called next. Such
                a block cannot be a part of another transaction.

        Raises:
            StateBusy: another process has been writing for more than 30 seconds.
            RuntimeError: ``must_commit`` inside another transaction.
        """
        current = self._current()
        if current is not None:
            if must_commit:
                raise RuntimeError("this must be committed by itself, and was called inside another transaction")
            with current.begin_nested():
                yield current
            return
        with self.engine.connect().execution_options(**{WRITES: True}) as connection:
            begun = False
            try:
                with connection.begin():
                    if connection.dialect.name == "postgresql":
                        connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT_SECONDS}s'"))
                        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": WRITER_LOCK})
                    begun = True
                    self._local.connection = connection
                    try:
                        yield connection
                    finally:
                        self._local.connection = None
            except OperationalError as error:
                if not begun and _is_busy(error):
                    raise StateBusy("state database") from error
                raise

    def _current(self) -> Connection | None:
        connection: Connection | None = getattr(self._local, "connection", None)
        return connection


def _is_busy(error: OperationalError) -> bool:
    return "database is locked" in str(error.orig) or getattr(error.orig, "pgcode", None) == _POSTGRESQL_LOCK_NOT_AVAILABLE
