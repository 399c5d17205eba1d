"""Many rows taken in with one statement, whether they are there or not, on SQLite and PostgreSQL alike.

Belongs here: the statement. Does not belong here: what a row means.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


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
