"""Small answers of the services that are expensive to ask again, as JSON text with the time they were stored.

Belongs here: what can be asked again. Does not belong here: anything that cannot.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, insert, select, update

from qbsf_pipeline.state.tables import cache
from qbsf_pipeline.state.transactions import Transactions


@dataclass(frozen=True)
class CachedText:
    """A text and when it was stored (UTC)."""

    text: str
    stored_at: datetime


class Cache:
    """The cache in the state database."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def load(self, key: str) -> CachedText | None:
        """What is stored under ``key``, however old."""
        with self._transactions.read() as connection:
            row = connection.execute(select(cache).where(cache.c.key == key)).one_or_none()
        return None if row is None else CachedText(row.text, row.stored_at)

    def store(self, key: str, text: str, now: datetime) -> None:
        """Keep ``text`` in place of what was there."""
        with self._transactions.write() as connection:
            values = {"text": text, "stored_at": now}
            if connection.execute(update(cache).where(cache.c.key == key).values(values)).rowcount == 0:
                connection.execute(insert(cache).values(key=key, **values))

    def forget(self, key: str) -> None:
        """Drop what is stored under ``key``."""
        with self._transactions.write() as connection:
            connection.execute(delete(cache).where(cache.c.key == key))
