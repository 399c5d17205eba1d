"""Reads the files in ``sql/``: what a row is, what each column means, what must hold, the statement, and what it reads from.

A file is named after its table, ``sql/invoices.sql`` for ``reporting.invoices``. How its head is written stands in
:mod:`.heads`. A view is for what is long and rarely looked at whole, or must always show the newest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from qbsf_pipeline.errors import ConfigurationError
from qbsf_pipeline.money import parse_json
from qbsf_pipeline.reporting.heads import Head, read_head
from qbsf_pipeline.warehouse.tables import Column, TableSchema

SCHEMA = "reporting"

METRIC_DEFINITIONS = TableSchema(
    "pipeline",
    "metric_definitions",
    (
        Column("metric", pl.String, "Column of the reporting table"),
        Column("table_name", pl.String, "The reporting table"),
        Column("meaning", pl.String, "The column's comment"),
        Column("definition", pl.String, "Formula and edge rules in words"),
        Column("unit", pl.String, "Unit; null where the definition says it"),
        Column("source", pl.String, "Where the definition comes from"),
    ),
    ("table_name", "metric"),
    "How measures are defined, from the heads of sql/. A row is one measure",
)
#: Tables outside ``reporting`` that are filled from one of its tables as soon as that is made: who reads them follows it.
_KEPT_FROM = {("pipeline", "ar_aging_history"): "ar_aging"}


@dataclass(frozen=True)
class Statement:
    """One file of ``sql/``.

    Attributes:
        name: table in schema ``reporting``.
        description: what a row is, units.
        columns: meaning by column, in order.
        sql: the select.
        reads: tables that it reads, as (schema, table).
        is_view: it is computed when somebody looks at it, not in every pass.
        head: everything that its head says.
    """

    name: str
    description: str
    columns: dict[str, str]
    sql: str
    reads: frozenset[tuple[str, str]]
    is_view: bool = False
    head: Head = field(default_factory=lambda: Head("", {}))

    @property
    def table(self) -> TableSchema:
        """Its place in the warehouse. Columns and types are DuckDB's."""
        return TableSchema(SCHEMA, self.name, (), self.head.key, self.description)

    @property
    def qualified_name(self) -> str:
        """``reporting.name``, quoted for SQL."""
        return self.table.qualified_name


def folder() -> Path:
    """The project's ``sql`` folder.

    Raises:
        ConfigurationError: the package was installed without it.
    """
    path = Path(__file__).resolve().parents[2] / "sql"
    if not path.is_dir():
        raise ConfigurationError([f"the folder sql/ is missing beside the package ({path}): install from a checkout with pip -e"])
    return path


def load_statements() -> list[Statement]:
    """Every file of ``sql/``, those that others read first.

    Raises:
        ConfigurationError: a file is not SQL, has no head, its head and its columns differ, its head declares something that
            cannot be read or names what is not there, or files read each other.
    """
    with duckdb.connect(config={"threads": 1}) as parser:
        found = {path.stem: _parse(path, parser) for path in sorted(folder().glob("*.sql"))}
    problems = [problem for statement in found.values() for problem in _pointing_nowhere(statement, found)]
    if problems:
        raise ConfigurationError(problems)
    order = TopologicalSorter(
        {
            name: {made for made in (_made_by(*table) for table in statement.reads) if made in found}
            for name, statement in found.items()
        }
    )
    try:
        return [found[name] for name in order.static_order()]
    except CycleError as error:
        names = ", ".join(f"sql/{name}.sql" for name in dict.fromkeys(error.args[1]))
        raise ConfigurationError([f"{names}: they read each other"]) from error


def _made_by(schema: str, table: str) -> str | None:
    """The statement that a table comes from, where it comes from one."""
    return table if schema == SCHEMA else _KEPT_FROM.get((schema, table))


def metric_definitions(statements: Sequence[Statement]) -> pl.DataFrame:
    """The measures that the heads define, as a frame of :data:`METRIC_DEFINITIONS`, by table and column."""
    return METRIC_DEFINITIONS.frame(
        [
            {
                "metric": measure.column,
                "table_name": statement.name,
                "meaning": statement.columns[measure.column],
                "definition": measure.definition,
                "unit": measure.unit or None,
                "source": measure.source,
            }
            for statement in sorted(statements, key=lambda each: each.name)
            for measure in statement.head.measures
        ]
    )


def _parse(path: Path, parser: duckdb.DuckDBPyConnection) -> Statement:
    lines = path.read_text(encoding="utf-8").splitlines()
    body_starts = next((number for number, line in enumerate(lines) if not line.startswith("--")), len(lines))
    head = read_head(lines[:body_starts], path.name)
    sql = "\n".join(lines[body_starts:]).strip()
    tree = _tree(parser, sql, path.name)
    selected = [column for column in _selected(tree) if column != "*"]
    if selected != list(head.columns):
        odd = sorted(set(selected) ^ set(head.columns)) or ["their order"]
        raise ConfigurationError([f"sql/{path.name}: the head and the select disagree about {', '.join(odd)}"])
    nodes = list(_nodes(tree))
    inner = {named["key"] for node in nodes for named in (node.get("cte_map") or {}).get("map", ())}
    # A function in FROM, such as generate_series, is a node of another type.
    tables = [(node["schema_name"], node["table_name"]) for node in nodes if node.get("type") == "BASE_TABLE"]
    reads = {(schema, table) for schema, table in tables if schema or table not in inner}
    without_schema = sorted(table for schema, table in reads if not schema)
    if without_schema:
        raise ConfigurationError([f"sql/{path.name}: name the schema of {', '.join(without_schema)}"])
    if not head.key:
        raise ConfigurationError(
            [f"sql/{path.name}: has no key: say in its head `-- @key: ` and the columns that make a row unique"]
        )
    return Statement(path.stem, head.description, head.columns, sql, frozenset(reads), head.is_view, head)


def _tree(parser: duckdb.DuckDBPyConnection, sql: str, file: str) -> dict[str, Any]:
    """A query as DuckDB itself reads it. Every pass reads all files, and DuckDB needs a tenth of the time that sqlglot does.

    Raises:
        ConfigurationError: it is not SQL, or not one select.
    """
    read = parse_json(parser.execute("SELECT json_serialize_sql(?)", [sql]).fetchall()[0][0])
    if read["error"] and read["error_type"] == "parser":
        raise ConfigurationError([f"sql/{file}: is not SQL: {read['error_message']}"])
    if not read["error"] and not read["statements"]:
        raise ConfigurationError([f"sql/{file}: is not SQL: there is no statement in it"])
    if read["error"] or len(read["statements"]) > 1:
        raise ConfigurationError([f"sql/{file}: must be one select"])
    tree: dict[str, Any] = read["statements"][0]["node"]
    return tree


def _selected(node: Mapping[str, Any]) -> list[str]:
    """Names of the columns of a query, as the first select of a union names them; ``*`` for a star."""
    while "select_list" not in node:
        node = node.get("left", {"select_list": ()})
    return [one["alias"] or _own_name(one) for one in node["select_list"]]


def _own_name(expression: Mapping[str, Any]) -> str:
    """The name that a column without an alias has in a file of ``sql/``: that of what it is read from."""
    if expression["class"] == "COLUMN_REF":
        return str(expression["column_names"][-1])
    return "*" if expression["class"] == "STAR" else ""


def _nodes(node: object) -> Iterator[dict[str, Any]]:
    """A node of a query and all below it."""
    if isinstance(node, dict):
        yield node
        for below in node.values():
            yield from _nodes(below)
    elif isinstance(node, list):
        for below in node:
            yield from _nodes(below)


def _pointing_nowhere(statement: Statement, known: Mapping[str, Statement]) -> Iterator[str]:
    """What the head of one file says about columns of others that are not there."""
    head = statement.head
    pointed: list[tuple[str, str, tuple[str, ...]]] = [("@refers", one.table, (one.other_column,)) for one in head.references]
    pointed += [("@balances", one.table, (one.other_column, *one.other_by)) for one in head.balances]
    for word, table, columns in pointed:
        if table not in known:
            yield f"sql/{statement.name}.sql: {word} names the table {table}: there is no sql/{table}.sql"
        elif lacking := [column for column in columns if column not in known[table].columns]:
            yield f"sql/{statement.name}.sql: {word} names {table}.{lacking[0]}: sql/{table}.sql has no such column"
