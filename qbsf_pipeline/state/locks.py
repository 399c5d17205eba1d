"""Locks between processes that end with the process that holds them.

Belongs here: who may go on, and who must wait. Does not belong here: what is protected.
"""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from sqlalchemy import Connection, Engine, NullPool, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from qbsf_pipeline.state.transactions import StateBusy

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.05


class FileLocks:
    """One file for each name in ``folder``, locked by the operating system, which lets go of it when the holder dies."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def exclusive(self, name: str, wait_seconds: float) -> Iterator[None]:
        """Hold ``name`` for the block. See :meth:`qbsf_pipeline.state.database.State.exclusive`."""
        self._folder.mkdir(parents=True, exist_ok=True)
        # A new object each time: two threads of one process exclude each other as two processes do.
        lock = FileLock(self._folder / _file_name(name), thread_local=False, poll_interval=_POLL_SECONDS)
        try:
            lock.acquire(timeout=max(0.0, wait_seconds))
        except Timeout as error:
            raise StateBusy(name) from error
        try:
            yield
        finally:
            lock.release()


class AdvisoryLocks:
    """PostgreSQL's advisory locks, each on a connection of its own, which the server ends when the holder dies.

    They belong to a server session: a pooler that shares sessions between clients (PgBouncer in transaction mode) breaks
    them, so the URL must lead to the server itself.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = create_engine(engine.url, poolclass=NullPool, isolation_level="AUTOCOMMIT")

    @contextmanager
    def exclusive(self, name: str, wait_seconds: float) -> Iterator[None]:
        """Hold ``name`` for the block. See :meth:`qbsf_pipeline.state.database.State.exclusive`."""
        number = {"lock": _lock_number(name)}
        deadline = time.monotonic() + wait_seconds
        with self._engine.connect() as connection:
            while not connection.execute(text("SELECT pg_try_advisory_lock(:lock)"), number).scalar_one():
                if time.monotonic() >= deadline:
                    raise StateBusy(name)
                time.sleep(_POLL_SECONDS)
            try:
                yield
            finally:
                _unlock(connection, number, name)


def _unlock(connection: Connection, number: dict[str, int], name: str) -> None:
    try:
        held = bool(connection.execute(text("SELECT pg_advisory_unlock(:lock)"), number).scalar_one())
    except SQLAlchemyError as error:
        logger.error("lock %s: its connection was lost while it was held: %s", name, type(error).__name__)
    else:
        if not held:
            logger.error("lock %s was no longer held when it was to be let go", name)


def _file_name(name: str) -> str:
    """A file name that says which lock it is, different for different names whatever they hold."""
    readable = re.sub(r"[^A-Za-z0-9._-]+", "_", name)[:60]
    return f"{readable}-{hashlib.sha256(name.encode()).hexdigest()[:10]}.lock"


def _lock_number(name: str) -> int:
    digest = hashlib.sha256(b"qbsf lock " + name.encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
