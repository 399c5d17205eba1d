"""Whether a reporting table would come out as it is: what each was made from, so that a pass without changes makes none again."""

from __future__ import annotations

import hashlib

import duckdb

from qbsf_pipeline.reporting.lineage import Catalog, catalog_of
from qbsf_pipeline.reporting.statements import SCHEMA, Statement
from qbsf_pipeline.warehouse.connection import read_table
from qbsf_pipeline.warehouse.made_from import MADE_FROM, remember_made_from

#: Rises whenever the same statement over the same rows would be made another way.
_VERSION = "1"
#: Change in every pass. A view shows them as they are and is not made anew for them.
_OF_EVERY_PASS = frozenset({("pipeline", "watermarks"), ("pipeline", "passes"), ("pipeline", "table_checks")})


class Freshness:
    """What the reporting tables of one pass are made from.

    A table that a statement reads is looked at once: its rows are hashed, raw rows by the hash that they carry. Another
    reporting table counts as what it was made from itself.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._catalog: Catalog = catalog_of(connection)
        self._stale = False
        self._seen: dict[tuple[str, str], str] = {}
        rows = read_table(connection, MADE_FROM)
        self._last = dict(rows.iter_rows())
        kinds = "SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = ?"
        self._kinds = dict(connection.execute(kinds, [SCHEMA]).fetchall())

    def catalog(self, connection: duckdb.DuckDBPyConnection) -> Catalog:
        """The types of all columns, with those of reporting tables that this pass made."""
        if self._stale:
            self._catalog, self._stale = catalog_of(connection), False
        return self._catalog

    def say(self, schema: str, table: str, made_from: str) -> None:
        """Say what a table holds where that is known, so that nobody has to look."""
        self._seen[schema, table] = made_from

    def made_from(self, connection: duckdb.DuckDBPyConnection, statement: Statement) -> str:
        """A hash over the statement, its head, and all that it reads."""
        reads = sorted(statement.reads - _OF_EVERY_PASS if statement.is_view else statement.reads)
        parts = [_VERSION, statement.sql, str(statement.head)]
        parts += [f"{schema}.{table}={self._content(connection, schema, table)}" for schema, table in reads]
        found = hashlib.sha256("\n".join(parts).encode("utf-8", "replace")).hexdigest()
        self._seen[SCHEMA, statement.name] = found
        return found

    def is_made(self, statement: Statement, made_from: str) -> bool:
        """Whether the table is there and was made from exactly this."""
        kind = "VIEW" if statement.is_view else "BASE TABLE"
        return self._kinds.get(statement.name) == kind and self._last.get(f"{SCHEMA}.{statement.name}") == made_from

    def existing_kind(self, name: str) -> str | None:
        """VIEW or TABLE, as whichever it stands there now."""
        kind = self._kinds.get(name)
        return None if kind is None else "VIEW" if kind == "VIEW" else "TABLE"

    def remember(self, connection: duckdb.DuckDBPyConnection, statement: Statement, made_from: str) -> None:
        """Keep what it was made from, in the transaction that made it."""
        remember_made_from(connection, statement.table, made_from)
        self._stale = True

    def orphans(self, statements: list[Statement]) -> list[str]:
        """Names of tables that an earlier version made from a file that is gone."""
        known = {statement.name for statement in statements}
        made = {name.removeprefix(f"{SCHEMA}.") for name in self._last if name.startswith(f"{SCHEMA}.")}
        return sorted(name for name in made - known if name in self._kinds)

    def _content(self, connection: duckdb.DuckDBPyConnection, schema: str, table: str) -> str:
        found = self._seen.get((schema, table))
        if found is None:
            columns = self._catalog.get(schema, {}).get(table, {})
            # A raw row carries a hash of its record, and hashing that is much faster than hashing the record.
            raw = {"id", "content_hash", "is_deleted", "source_modified_at"} <= set(columns)
            hashed = "id, content_hash, is_deleted, source_modified_at" if raw else "t"
            # A sum, for equal rows would cancel each other out of an exclusive or.
            sums = connection.execute(f'SELECT count(*), sum(hash({hashed})) FROM "{schema}"."{table}" AS t').fetchall()
            found = f"{sums[0]}|{','.join(columns)}"
            self._seen[schema, table] = found
        return found
