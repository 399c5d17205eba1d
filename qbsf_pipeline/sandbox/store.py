"""What the sandbox remembers: collections of JSON documents in memory, written through to one SQLite file.

Belongs here: keeping documents and counters. Does not belong here: what any document means.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

import simplejson

_SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (
    collection TEXT NOT NULL, id TEXT NOT NULL, position INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (collection, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sequences (name TEXT PRIMARY KEY, next INTEGER NOT NULL) WITHOUT ROWID;
"""


def encode(document: Any) -> str:
    """JSON text of a document; `Decimal` is written as the number it is, never through a float."""
    return simplejson.dumps(document, use_decimal=True, ensure_ascii=False, separators=(",", ":"))


def decode(text: str | bytes) -> Any:
    """The document of a JSON text; every number with a point becomes a `Decimal`."""
    return simplejson.loads(text, use_decimal=True)


class Documents(MutableMapping[str, dict[str, Any]]):
    """One collection, id -> document, in the order the ids were first written.

    A document taken out is the one kept, not a copy: after changing it, assign it again (`docs[id] = doc`), which is
    what marks it to be written by the next `Store.commit()`.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._bodies: dict[str, dict[str, Any]] = {}
        self._positions: dict[str, int] = {}
        self._next_position = 1
        self._changed: set[str] = set()
        self._removed: set[str] = set()

    def __getitem__(self, key: str) -> dict[str, Any]:
        return self._bodies[key]

    def __setitem__(self, key: str, document: dict[str, Any]) -> None:
        if key not in self._positions:
            self._positions[key] = self._next_position
            self._next_position += 1
        self._bodies[key] = document
        self._changed.add(key)
        self._removed.discard(key)

    def __delitem__(self, key: str) -> None:
        del self._bodies[key]
        del self._positions[key]
        self._changed.discard(key)
        self._removed.add(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._bodies)

    def __len__(self) -> int:
        return len(self._bodies)

    def __contains__(self, key: object) -> bool:
        return key in self._bodies

    def load(self, key: str, position: int, document: dict[str, Any]) -> None:
        """Take in a document that is in the file already (not marked for writing)."""
        self._bodies[key] = document
        self._positions[key] = position
        self._next_position = max(self._next_position, position + 1)

    def take_changes(self) -> tuple[list[tuple[str, int, str]], list[str]]:
        """What has to be written, as (id, position, JSON text), and the ids to delete; forgets both."""
        changed = [(key, self._positions[key], encode(self._bodies[key])) for key in self._changed]
        removed = list(self._removed)
        self._changed.clear()
        self._removed.clear()
        return changed, removed


class Store:
    """All collections and counters of one sandbox.

    `path` is the SQLite file (made with its folder if missing); None keeps everything in memory only. Nothing reaches
    the file before `commit()`, which writes what changed in one transaction.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._collections: dict[str, Documents] = {}
        self._sequences: dict[str, int] = {}
        self._changed_sequences: set[str] = set()
        self._connection: sqlite3.Connection | None = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Every use is on the server's one event loop; tests open it on one thread and serve it on another.
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.executescript(_SCHEMA)
            self._load(self._connection)

    def _load(self, connection: sqlite3.Connection) -> None:
        rows = connection.execute("SELECT collection, id, position, body FROM documents ORDER BY collection, position")
        for collection, key, position, body in rows:
            self.documents(collection).load(key, position, decode(body))
        self._sequences = dict(connection.execute("SELECT name, next FROM sequences"))

    def documents(self, collection: str) -> Documents:
        """The collection of that name; an empty one on first use."""
        found = self._collections.get(collection)
        if found is None:
            found = self._collections[collection] = Documents(collection)
        return found

    def collections(self) -> list[str]:
        """Names of the collections that were used, sorted."""
        return sorted(self._collections)

    def next_number(self, sequence: str, start: int = 1) -> int:
        """The next number of a counter: `start`, start + 1, ...; kept over restarts."""
        number = self._sequences.get(sequence, start)
        self._sequences[sequence] = number + 1
        self._changed_sequences.add(sequence)
        return number

    def commit(self) -> None:
        """Write every changed document and counter in one transaction; free when nothing changed."""
        connection = self._connection
        changes = [(name, *docs.take_changes()) for name, docs in self._collections.items()]
        changes = [change for change in changes if change[1] or change[2]]
        if not changes and not self._changed_sequences:
            return
        sequences = [(name, self._sequences[name]) for name in self._changed_sequences]
        self._changed_sequences.clear()
        if connection is None:
            return
        connection.execute("BEGIN IMMEDIATE")
        for name, changed, removed in changes:
            connection.executemany("DELETE FROM documents WHERE collection = ? AND id = ?", ((name, i) for i in removed))
            connection.executemany(
                "INSERT INTO documents (collection, id, position, body) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (collection, id) DO UPDATE SET position = excluded.position, body = excluded.body",
                ((name, key, position, body) for key, position, body in changed),
            )
        connection.executemany("INSERT OR REPLACE INTO sequences (name, next) VALUES (?, ?)", sequences)
        connection.execute("COMMIT")

    def clear(self) -> None:
        """Forget everything: every collection is emptied in place and every counter starts again."""
        for docs in self._collections.values():
            docs.clear()
        self._sequences.clear()
        self._changed_sequences.clear()
        if self._connection is not None:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute("DELETE FROM documents")
            self._connection.execute("DELETE FROM sequences")
            self._connection.execute("COMMIT")

    def close(self) -> None:
        """Write what is left and let go of the file."""
        self.commit()
        if self._connection is not None:
            self._connection.close()
            self._connection = None
