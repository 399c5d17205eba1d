"""Reads the files in ``sql/``: what a row is, what each column means, the statement, and what it reads from.

A file is named after its table, ``sql/invoices.sql`` for ``reporting.invoices``. Its head is made of comment lines: the
table's name, prose that says what a row is, a blank comment line, then one line ``-- column: meaning`` for each column.
``(view)`` behind the name makes a view of it: for what is long and rarely looked at whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import sqlglot
from sqlglot import exp

from qbsf_pipeline.errors import ConfigurationError

SCHEMA = "reporting"
_COLUMN = re.compile(r"^-- ([a-z][a-z0-9_]*): (.+)$")


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
    """

    name: str
    description: str
    columns: dict[str, str]
    sql: str
    reads: frozenset[tuple[str, str]]
    is_view: bool = False


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
        ConfigurationError: a file is not SQL, has no head, its head and its columns differ, or files read each other.
    """
    found = {path.stem: _parse(path) for path in sorted(folder().glob("*.sql"))}
    order = TopologicalSorter(
        {
            name: {table for schema, table in statement.reads if schema == SCHEMA and table in found}
            for name, statement in found.items()
        }
    )
    try:
        return [found[name] for name in order.static_order()]
    except CycleError as error:
        names = ", ".join(f"sql/{name}.sql" for name in dict.fromkeys(error.args[1]))
        raise ConfigurationError([f"{names}: they read each other"]) from error


def _parse(path: Path) -> Statement:
    prose: list[str] = []
    columns: dict[str, str] = {}
    lines = path.read_text(encoding="utf-8").splitlines()
    body_starts = next((number for number, line in enumerate(lines) if not line.startswith("--")), len(lines))
    for line in lines[1:body_starts]:
        column = _COLUMN.match(line)
        if column:
            columns[column[1]] = column[2]
        elif line.strip("- "):
            prose.append(line.removeprefix("--").strip())
    sql = "\n".join(lines[body_starts:]).strip()
    try:
        tree = sqlglot.parse_one(sql, dialect="duckdb")
    except sqlglot.errors.SqlglotError as error:
        problem = str(error).splitlines()[0] if sql else "there is no statement in it"
        raise ConfigurationError([f"sql/{path.name}: is not SQL: {problem}"]) from error
    if not isinstance(tree, exp.Query):
        raise ConfigurationError([f"sql/{path.name}: must be one select"])
    selected = [column for column in tree.named_selects if column != "*"]
    if selected != list(columns):
        odd = sorted(set(selected) ^ set(columns)) or ["their order"]
        raise ConfigurationError([f"sql/{path.name}: the head and the select disagree about {', '.join(odd)}"])
    inner = {cte.alias_or_name for cte in tree.find_all(exp.CTE)}
    reads = {(table.db, table.name) for table in tree.find_all(exp.Table) if table.name not in inner or table.db}
    is_view = bool(lines) and lines[0].rstrip().endswith("(view)")
    return Statement(path.stem, " ".join(prose), columns, sql, frozenset(reads), is_view)
