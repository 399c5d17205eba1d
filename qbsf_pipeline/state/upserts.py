"""Many rows taken in at once, whether they are there or not, on SQLite and PostgreSQL alike.

Belongs here: the statements. Does not belong here: what a row means.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table, insert, select
from sqlalchemy.dialects import postgresql, sqlite

#: Values of one IN list: databases limit how many a statement may have.
_CHUNK = 500


def upsert(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], *, keep: Collection[str] = frozenset()
) -> None:
    """Insert ``rows``; one whose primary key is there already is overwritten, but for the columns to ``keep``.

    Every row has the same columns, and no two have the same primary key.
    """
    if not rows:
        return
    key = [column.name for column in table.primary_key.columns]
    statement = postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)
    changed = {name: statement.excluded[name] for name in rows[0] if name not in key and name not in keep}
    connection.execute(statement.on_conflict_do_update(index_elements=key, set_=changed), [dict(row) for row in rows])


def insert_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """Insert those of ``rows`` whose primary key is not there yet, and leave the others as they are.

    Every row has the same columns, and no two have the same primary key. Inside a transaction that writes, so that what
    is not there stays so. Returns the places in ``rows`` of what was inserted.
    """
    first, *others = table.primary_key.columns
    known: set[tuple[Any, ...]] = set()
    for start in range(0, len(rows), _CHUNK):
        some = first.in_([row[first.name] for row in rows[start : start + _CHUNK]])
        known.update(tuple(found) for found in connection.execute(select(first, *others).where(some)))
    names = [column.name for column in table.primary_key.columns]
    places = [place for place, row in enumerate(rows) if tuple(row[name] for name in names) not in known]
    if places:
        connection.execute(insert(table), [dict(rows[place]) for place in places])
    return places
