"""Which columns each column of a reporting table is made from, read from its statement. Kept in the warehouse by the text of
the statement, so that a pass does not pay for it.

What a condition reads (``where``, ``on``, ``group by``) is no source of a column; what a ``case`` or a ``filter`` inside its
expression reads is.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import duckdb
import polars as pl

from qbsf_pipeline.warehouse.connection import append_rows, ensure_table
from qbsf_pipeline.warehouse.tables import Column, TableSchema

if TYPE_CHECKING:
    from sqlglot import exp
    from sqlglot.optimizer.scope import Scope

log = logging.getLogger(__name__)

#: (schema, table, column) of a source, and the sources of each column.
Source: TypeAlias = tuple[str, str, str]
Lineage: TypeAlias = Mapping[str, frozenset[Source]]
#: Types by column by table by schema, as DuckDB shows them.
Catalog: TypeAlias = Mapping[str, Mapping[str, Mapping[str, str]]]

COLUMN_LINEAGE = TableSchema(
    "pipeline",
    "column_lineage",
    (
        Column("table_name", pl.String, "Table of reporting"),
        Column("column_name", pl.String, "Its column"),
        Column("source_schema", pl.String, "Schema that the column comes from"),
        Column("source_table", pl.String, "Table that it comes from"),
        Column("source_column", pl.String, "Column that it comes from; empty for a column that comes from none"),
        Column("read_from", pl.String, "Hash of the statement and of the columns of the tables that it reads"),
    ),
    ("table_name", "column_name", "source_schema", "source_table", "source_column"),
    "Which columns the columns of reporting are made from. A row is one column and one of its sources",
)


def catalog_of(connection: duckdb.DuckDBPyConnection) -> dict[str, dict[str, dict[str, str]]]:
    """The types of all columns of the warehouse."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    query = "SELECT table_schema, table_name, column_name, data_type FROM information_schema.columns ORDER BY ordinal_position"
    for schema, table, column, dtype in connection.execute(query).fetchall():
        found.setdefault(schema, {}).setdefault(table, {})[column] = dtype
    return found


def keep_lineage(
    connection: duckdb.DuckDBPyConnection, name: str, sql: str, reads: Iterable[tuple[str, str]], catalog: Catalog
) -> dict[str, frozenset[Source]]:
    """The lineage of one reporting table: as it is kept or, where its statement or what it reads was changed, read anew."""
    shapes = [f"{schema}.{table}({','.join(catalog.get(schema, {}).get(table, {}))})" for schema, table in sorted(reads)]
    read_from = hashlib.sha256("\n".join([sql, *shapes]).encode()).hexdigest()
    ensure_table(connection, COLUMN_LINEAGE)
    kept = connection.execute(
        "SELECT column_name, source_schema, source_table, source_column "
        f"FROM {COLUMN_LINEAGE.qualified_name} WHERE table_name = ? AND read_from = ?",
        [name, read_from],
    ).fetchall()
    if kept:
        return _grouped(kept)
    found = column_sources(sql, catalog)
    rows = [
        {"table_name": name, "column_name": column, "read_from": read_from} | dict(zip(_SOURCE, source, strict=True))
        # What cannot be followed is kept as well, so that it is not tried in every pass.
        for column, sources in (found or {"": frozenset()}).items()
        for source in (sorted(sources) or [("", "", "")])
    ]
    connection.execute(f"DELETE FROM {COLUMN_LINEAGE.qualified_name} WHERE table_name = ?", [name])
    append_rows(connection, COLUMN_LINEAGE, COLUMN_LINEAGE.frame(rows))
    return found


_SOURCE = ("source_schema", "source_table", "source_column")


def _grouped(rows: Sequence[tuple[str, str, str, str]]) -> dict[str, frozenset[Source]]:
    found: dict[str, set[Source]] = {}
    for column, *source in rows:
        schema, table, name = source
        if column:
            found.setdefault(column, set()).update({(schema, table, name)} if name else ())
    return {column: frozenset(sources) for column, sources in found.items()}


def column_sources(sql: str, catalog: Catalog) -> dict[str, frozenset[Source]]:
    """The sources of each column of a select, in its order. Empty where the statement is beyond what sqlglot can follow.

    Args:
        sql: a DuckDB query; every table has its schema.
        catalog: the tables that it reads; it tells what ``*`` stands for.
    """
    # Loading the optimizer takes a tenth of a second, which a pass without changes need not pay.
    import sqlglot
    from sqlglot import exp
    from sqlglot.optimizer.qualify import qualify
    from sqlglot.optimizer.scope import traverse_scope

    known: dict[str, object] = {
        schema: {table: dict(columns) for table, columns in tables.items()} for schema, tables in catalog.items()
    }
    try:
        tree = qualify(
            sqlglot.parse_one(sql, dialect="duckdb"),
            schema=known,
            dialect="duckdb",
            validate_qualify_columns=False,
            identify=False,
            allow_partial_qualification=True,
        )
        for operation in reversed(list(tree.find_all(exp.SetOperation))):
            if operation.args.get("by_name"):
                _put_in_order(operation)
        follower = _Follower(catalog)
        last: dict[str, frozenset[Source]] = {}
        for scope in traverse_scope(tree):
            last = follower.follow(scope)
    except sqlglot.errors.SqlglotError as error:
        log.warning("reporting: no column lineage could be read from a statement: %s", str(error).splitlines()[0])
        return {}
    return last


def _put_in_order(operation: exp.SetOperation) -> None:
    """Turn a union by name into one by position, which is all that scopes know."""
    names = list(dict.fromkeys([*operation.left.named_selects, *operation.right.named_selects]))
    for side in (operation.left, operation.right):
        _select_as(side, names)
    operation.set("by_name", False)


def _select_as(query: Any, names: Sequence[str]) -> None:
    from sqlglot import exp

    query = query.unnest()
    if isinstance(query, exp.SetOperation):
        for side in (query.left, query.right):
            _select_as(side, names)
    elif isinstance(query, exp.Select):
        selected = {each.alias_or_name: each for each in query.selects}
        query.set("expressions", [selected.get(name) or exp.alias_(exp.null(), name) for name in names])


class _Follower:
    """Follows columns through the scopes of one statement, the innermost first."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._found: dict[int, Lineage] = {}

    def follow(self, scope: Scope) -> dict[str, frozenset[Source]]:
        """The sources of the columns of a scope whose inner scopes were followed before."""
        from sqlglot import exp

        expression: Any = scope.expression
        found: dict[str, frozenset[Source]] = {}
        if isinstance(expression, exp.SetOperation):
            first, second = (self._found.get(id(side.unnest()), {}) for side in (expression.left, expression.right))
            others = list(second.values())
            for place, (name, sources) in enumerate(first.items()):
                found[name] = sources | (others[place] if place < len(others) else frozenset())
        elif isinstance(expression, exp.Select):
            found = {each.alias_or_name: frozenset(self._of(each, scope)) for each in expression.selects}
        self._found[id(expression)] = found
        return found

    def _of(self, expression: Any, scope: Scope) -> set[Source]:
        from sqlglot import exp

        if isinstance(expression, exp.Query) and not isinstance(expression, exp.Subquery):
            return {source for sources in self._found.get(id(expression), {}).values() for source in sources}
        if isinstance(expression, exp.Column):
            return set(self._of_column(expression, scope))
        return {source for child in expression.iter_expressions() for source in self._of(child, scope)}

    def _of_column(self, column: Any, scope: Scope) -> frozenset[Source]:
        if column.table in scope.sources:
            return self._in(scope.sources[column.table], column.name)
        # A field of a struct looks like a column of a table.
        root = column.parts[0].name
        for _, source in scope.selected_sources.values():
            if sources := self._in(source, root):
                return sources
        return frozenset()

    def _in(self, source: Any, name: str) -> frozenset[Source]:
        from sqlglot import exp

        if not isinstance(source, exp.Table):
            return self._found.get(id(source.expression), {}).get(name, frozenset())
        known = self._catalog.get(source.db, {}).get(source.name, {})
        return frozenset({(source.db, source.name, name)}) if name in known else frozenset()
