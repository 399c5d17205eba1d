"""What the head of each file of ``sql/`` says must hold, looked at in the table that was made: keys, nulls, values, references,
totals. Nothing waits for it; what is broken is named.

One statement counts for a whole table; only what is broken is looked at again, for its names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import duckdb
import polars as pl

from qbsf_pipeline.flows.gates import some
from qbsf_pipeline.reporting.heads import Balance, Reference
from qbsf_pipeline.reporting.statements import SCHEMA, Statement
from qbsf_pipeline.warehouse.connection import append_rows, ensure_table, read_table
from qbsf_pipeline.warehouse.made_from import MADE_FROM
from qbsf_pipeline.warehouse.tables import TIMESTAMP, Column, TableSchema

#: How many records that break a rule are named.
MOST_NAMED = 10

TABLE_CHECKS = TableSchema(
    "pipeline",
    "table_checks",
    (
        Column("table_name", pl.String, "Table of reporting"),
        Column("check_name", pl.String, "primary_key, required, accepted_values, references or balances"),
        Column("passed", pl.Boolean, "Whether it holds"),
        Column("broken", pl.Int64, "Records that break it"),
        Column("finding", pl.String, "The outcome as a sentence, with the first records"),
        Column("made_from", pl.String, "What the table was made from when it was looked at"),
        Column("checked_at", TIMESTAMP, "When it was looked at (UTC)"),
    ),
    ("table_name", "check_name"),
    "What must hold in the tables of reporting, and whether it does. A row is one check of one table",
)
#: name -> what it says.
CHECKS = {
    "primary_key": "Every row has a key, and no two rows have the same.",
    "required": "Columns that must not be null are not.",
    "accepted_values": "Columns hold only the values that are documented.",
    "references": "What points to a row of another table finds it.",
    "balances": "Totals agree with those of other tables.",
}


@dataclass(frozen=True)
class Finding:
    """One check of one table.

    Attributes:
        table, check: name of the reporting table, and of the check as in :data:`CHECKS`.
        broken: records that break it; totals, for balances.
        text: the outcome as a sentence.
        records: the first of them, at most :data:`MOST_NAMED`.
    """

    table: str
    check: str
    broken: int
    text: str
    records: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether it holds."""
        return not self.broken


@dataclass(frozen=True)
class _Rule:
    """``count``: an SQL expression that counts rows that break it; ``broken``: a select of a text for each of them."""

    check: str
    what: str
    count: str
    broken: str


def checks_of(statement: Statement) -> list[str]:
    """Names of the checks that the head of a file asks for."""
    return list(dict.fromkeys(rule.check for rule in _rules(statement)))


def examine(connection: duckdb.DuckDBPyConnection, statement: Statement) -> list[Finding]:
    """Look at one table."""
    rules = list(_rules(statement))
    if not rules:
        return []
    counts = connection.execute(
        f"SELECT {', '.join(rule.count for rule in rules)} FROM {statement.qualified_name} AS t"
    ).fetchall()
    found: dict[str, list[tuple[_Rule, int]]] = {}
    for rule, count in zip(rules, counts[0], strict=True):
        found.setdefault(rule.check, []).append((rule, int(count or 0)))
    return [_finding(connection, statement, check, counted) for check, counted in found.items()]


def _finding(
    connection: duckdb.DuckDBPyConnection, statement: Statement, check: str, counted: Sequence[tuple[_Rule, int]]
) -> Finding:
    broken = sum(count for _, count in counted)
    if not broken:
        return Finding(statement.name, check, 0, CHECKS[check])
    sentences, records = [], []
    for rule, count in counted:
        if not count:
            continue
        rows = connection.execute(f"SELECT * FROM ({rule.broken}) LIMIT {MOST_NAMED}").fetchall()
        named = [" ".join("null" if value is None else str(value) for value in row) for row in rows]
        records += named
        sentences.append(f"{rule.what} {count}: {some(named)}" if named else f"{rule.what} {count}")
    return Finding(statement.name, check, broken, f"{'; '.join(sentences)}.", tuple(records[:MOST_NAMED]))


def _rules(statement: Statement) -> Iterator[_Rule]:
    head, name = statement.head, statement.qualified_name
    key = ", ".join(_quoted(column) for column in head.key)
    shown = key or "*"
    if len(head.key) == 1:
        yield _null_rule("primary_key", "rows without", head.key[0], name, "*")
    if key:
        twice = f"SELECT {key} FROM {name} GROUP BY {key} HAVING count(*) > 1"
        yield _Rule("primary_key", "keys that several rows have", f"(SELECT count(*) FROM ({twice}))", f"{twice} ORDER BY ALL")
    for column in head.required:
        yield _null_rule("required", "rows without", column, name, shown)
    for accepted in head.accepted:
        values = ", ".join(f"'{value.replace(chr(39), chr(39) * 2)}'" for value in accepted.values)
        odd = f"CAST(t.{_quoted(accepted.column)} AS VARCHAR) NOT IN ({values})"
        yield _Rule(
            "accepted_values",
            f"values of {accepted.column} that are not documented",
            f"count(*) FILTER (WHERE {odd})",
            f"SELECT {_with(key, accepted.column)} FROM {name} AS t WHERE {odd}",
        )
    for reference in head.references:
        yield _reference_rule(reference, name, key)
    for balance in head.balances:
        yield _balance_rule(balance, name)


def _null_rule(check: str, what: str, column: str, name: str, shown: str) -> _Rule:
    is_null = f"t.{_quoted(column)} IS NULL"
    select = f"SELECT {shown} FROM {name} AS t WHERE {is_null}"
    return _Rule(check, f"{what} {column}", f"count(*) FILTER (WHERE {is_null})", select)


def _reference_rule(reference: Reference, name: str, key: str) -> _Rule:
    column, other = _quoted(reference.column), _quoted(reference.other_column)
    # Several rows with the same lost value are looked up once.
    lost = (
        f"SELECT * FROM {name} AS s WHERE s.{column} IS NOT NULL AND NOT EXISTS "
        f'(SELECT 1 FROM "{SCHEMA}"."{reference.table}" AS o WHERE o.{other} = s.{column})'
    )
    return _Rule(
        "references",
        f"values of {reference.column} that {reference.table} does not have",
        f"(SELECT count(*) FROM ({lost}))",
        f"SELECT {_with(key, reference.column)} FROM ({lost}) AS t",
    )


def _balance_rule(balance: Balance, name: str) -> _Rule:
    ours = ", ".join(f"{_quoted(column)} AS g{place}" for place, column in enumerate(balance.by))
    theirs = ", ".join(f"{_quoted(column)} AS g{place}" for place, column in enumerate(balance.other_by))
    groups = [f"g{place}" for place in range(len(balance.by))]
    grouped = f" GROUP BY {', '.join(groups)}" if groups else ""
    other = f'"{SCHEMA}"."{balance.table}"'
    left = f"SELECT {ours + ', ' if ours else ''}sum({_quoted(balance.column)}) AS ours FROM {name}{grouped}"
    right = f"SELECT {theirs + ', ' if theirs else ''}sum({_quoted(balance.other_column)}) AS theirs FROM {other}{grouped}"
    matched = " AND ".join(f"l.{group} IS NOT DISTINCT FROM r.{group}" for group in groups) or "true"
    named = "".join(f"coalesce(l.{group}, r.{group}) AS {group}, " for group in groups)
    differ = (
        f"SELECT {named}coalesce(ours, 0) AS ours, 'here and' AS and_there, coalesce(theirs, 0) AS theirs, 'there' AS there "
        f"FROM ({left}) AS l FULL JOIN ({right}) AS r ON {matched} WHERE coalesce(ours, 0) <> coalesce(theirs, 0)"
    )
    return _Rule(
        "balances", f"{balance.text} does not hold, totals", f"(SELECT count(*) FROM ({differ}))", f"{differ} ORDER BY ALL"
    )


def _with(key: str, column: str) -> str:
    return f"{key}, {_quoted(column)}" if key and _quoted(column) not in key.split(", ") else key or _quoted(column)


def _quoted(column: str) -> str:
    return f'"{column}"'


def made_tables(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """What each reporting table was made from, by name."""
    rows = read_table(connection, MADE_FROM).rows()
    return {name.removeprefix(f"{SCHEMA}."): made_from for name, made_from in rows if name.startswith(f"{SCHEMA}.")}


def look_again(connection: duckdb.DuckDBPyConnection, statements: Sequence[Statement], now: datetime) -> list[Finding]:
    """Look at every table that was made anew since it was last looked at, or whose other tables were, and keep what is found.

    Returns:
        What is broken, and what is otherwise than it was the last time.
    """
    made = made_tables(connection)
    ensure_table(connection, TABLE_CHECKS)
    last = {(row["table_name"], row["check_name"]): row for row in read_table(connection, TABLE_CHECKS).iter_rows(named=True)}
    news: list[Finding] = []
    for statement in statements:
        checks = checks_of(statement)
        made_from = _made_from(statement, made)
        known = {check: row for (table, check), row in last.items() if table == statement.name}
        if made_from is None or (set(known) == set(checks) and all(row["made_from"] == made_from for row in known.values())):
            continue
        findings = examine(connection, statement)
        _keep(connection, statement.name, findings, made_from, now)
        news += [one for one in findings if not one.passed or one.check not in known or not known[one.check]["passed"]]
    gone = [table for table in {table for table, _ in last} if table not in made]
    connection.execute(f"DELETE FROM {TABLE_CHECKS.qualified_name} WHERE list_contains(?, table_name)", [gone])
    return news


def standing(connection: duckdb.DuckDBPyConnection) -> list[Finding]:
    """What was found the last time of every table, also of those that stayed as they were; without the records."""
    ensure_table(connection, TABLE_CHECKS)
    found = read_table(connection, TABLE_CHECKS).sort("table_name", "check_name")
    return [Finding(row["table_name"], row["check_name"], row["broken"], row["finding"]) for row in found.iter_rows(named=True)]


def _made_from(statement: Statement, made: Mapping[str, str]) -> str | None:
    """What the table and those that it points to were made from; None where it was never made."""
    if statement.name not in made:
        return None
    others = {one.table for one in statement.head.references} | {one.table for one in statement.head.balances}
    parts = [made[statement.name], *(made.get(table, "") for table in sorted(others))]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()


def _keep(
    connection: duckdb.DuckDBPyConnection, table: str, findings: Sequence[Finding], made_from: str, checked_at: datetime
) -> None:
    connection.execute(f"DELETE FROM {TABLE_CHECKS.qualified_name} WHERE table_name = ?", [table])
    rows = [
        {
            "table_name": table,
            "check_name": one.check,
            "passed": one.passed,
            "broken": one.broken,
            "finding": one.text,
            "made_from": made_from,
            "checked_at": checked_at,
        }
        for one in findings
    ]
    append_rows(connection, TABLE_CHECKS, TABLE_CHECKS.frame(rows))
