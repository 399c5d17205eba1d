"""Makes the tables of ``sql/``: each that would come out otherwise than it is, with its comments, in a transaction of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import polars as pl

from qbsf_pipeline.customers.matching.plan import MATCHES
from qbsf_pipeline.customers.plan import FIELD_DIFFERENCES
from qbsf_pipeline.invoices import tables as invoices
from qbsf_pipeline.invoices.recurring.tables import BILLING_SCHEDULE_LINES, BILLING_SCHEDULES
from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.receivables import tables as receivables
from qbsf_pipeline.reconciliation import tables as reconciliation
from qbsf_pipeline.reporting import state_tables as state
from qbsf_pipeline.reporting.day import AGING_BUCKETS, NAMED_ITEMS, REPORTING_DAY
from qbsf_pipeline.reporting.freshness import Freshness
from qbsf_pipeline.reporting.history import AR_AGING_HISTORY, History, keep_day, load_history
from qbsf_pipeline.reporting.integrity import TABLE_CHECKS
from qbsf_pipeline.reporting.lineage import COLUMN_LINEAGE, Source, keep_lineage
from qbsf_pipeline.reporting.statements import METRIC_DEFINITIONS, SCHEMA, Statement
from qbsf_pipeline.reporting.versions import DEAL_VERSIONS, INVOICE_VERSIONS, MACROS
from qbsf_pipeline.salesforce import objects as salesforce
from qbsf_pipeline.warehouse.connection import Warehouse, ensure_table, frame_of
from qbsf_pipeline.warehouse.made_from import last_made_from, remember_made_from
from qbsf_pipeline.warehouse.preview import PREVIEW_ROWS
from qbsf_pipeline.warehouse.raw import WATERMARKS
from qbsf_pipeline.warehouse.tables import TableSchema

AGING = "ar_aging"
#: Every table that a statement may read.
READABLE: tuple[TableSchema, ...] = (
    *salesforce.TABLES,
    *quickbooks.TABLES,
    *(receivables.APPLICATIONS, receivables.UNAPPLIED, receivables.INVOICES, receivables.CONTESTED),
    *(invoices.DEALS, invoices.REFUSALS, invoices.NOTES, BILLING_SCHEDULES, BILLING_SCHEDULE_LINES),
    *(MATCHES, FIELD_DIFFERENCES),
    *(reconciliation.CASES, reconciliation.DOCUMENTS, reconciliation.BRIDGE, reconciliation.TOTALS),
    *(state.LEDGER, state.FAILURES, state.REVIEWS, state.CUSTOMER_LINKS, state.FIELD_JOURNAL, state.PASSES),
    *(REPORTING_DAY, AGING_BUCKETS, NAMED_ITEMS, METRIC_DEFINITIONS, WATERMARKS, TABLE_CHECKS, COLUMN_LINEAGE),
    *(AR_AGING_HISTORY, DEAL_VERSIONS, INVOICE_VERSIONS),
)


class StatementFailed(Exception):
    """A file of ``sql/`` could not be carried out; its table stays as it was."""


@dataclass(frozen=True)
class Made:
    """One reporting table as it stands now.

    Attributes:
        statement: its file.
        rebuilt: whether it was made anew; else it is what it was.
        made_from: a hash over all that it is made from.
        types: DuckDB type by column.
        lineage: sources by column.
        rows: how many; None for a view.
        preview: the first rows; None for a view.
        history: the days of the ageing that are kept; for the ageing alone.
    """

    statement: Statement
    rebuilt: bool
    made_from: str
    types: Mapping[str, str]
    lineage: Mapping[str, frozenset[Source]]
    rows: int | None
    preview: pl.DataFrame | None
    history: History | None = None


def make_missing(connection: duckdb.DuckDBPyConnection, statements: Sequence[Statement]) -> None:
    """Empty tables for what was not pulled or planned yet: a pass of one flow alone reports too."""
    wanted = {table for statement in statements for table in statement.reads}
    for table in READABLE:
        if (table.schema, table.name) in wanted:
            ensure_table(connection, table)


def build(warehouse: Warehouse, statements: Sequence[Statement], aging_folder: Path, today: date) -> Iterator[Made]:
    """Make every table, those that others read first; tables of files that are gone are dropped.

    Args:
        statements: as :func:`.statements.load_statements` orders them.
        aging_folder: where the days of the ageing are kept.
        today: the company's day.

    Raises:
        StatementFailed: DuckDB refuses a statement, or a value that it computes.
    """
    with warehouse.transaction() as connection:
        connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{SCHEMA}"')
        freshness = Freshness(connection)
        for name in freshness.orphans(list(statements)):
            connection.execute(f'DROP {freshness.existing_kind(name)} "{SCHEMA}"."{name}"')
    with warehouse.connection() as connection:
        for statement in statements:
            yield _make(connection, statement, freshness, aging_folder, today)
        if {"deal_history", "invoice_history"} <= {statement.name for statement in statements}:
            for macro in MACROS:
                connection.execute(macro)


def _make(
    connection: duckdb.DuckDBPyConnection, statement: Statement, freshness: Freshness, aging_folder: Path, today: date
) -> Made:
    history: History | None = None
    connection.begin()
    try:
        made_from = freshness.made_from(connection, statement)
        rebuilt = not freshness.is_made(statement, made_from)
        if rebuilt:
            _create(connection, statement, freshness.existing_kind(statement.name))
            freshness.remember(connection, statement, made_from)
        if statement.name == AGING:
            history = _keep_aging(connection, aging_folder, today, rebuilt)
            freshness.say(AR_AGING_HISTORY.schema, AR_AGING_HISTORY.name, _days(aging_folder))
        name = statement.qualified_name
        described = connection.execute(f"SELECT column_name, column_type FROM (DESCRIBE {name})").fetchall()
        lineage = keep_lineage(connection, statement.name, statement.sql, statement.reads, freshness.catalog(connection))
        rows = preview = None
        if not statement.is_view:
            rows = int(connection.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0])
            preview = frame_of(connection.sql(f"SELECT * FROM {name} LIMIT {PREVIEW_ROWS}"))
    except BaseException:
        connection.rollback()
        raise
    connection.commit()
    return Made(statement, rebuilt, made_from, dict(described), lineage, rows, preview, history)


def _create(connection: duckdb.DuckDBPyConnection, statement: Statement, existing: str | None) -> None:
    name = statement.qualified_name
    kind = "VIEW" if statement.is_view else "TABLE"
    if existing not in (None, kind):
        connection.execute(f"DROP {existing} {name}")
    try:
        connection.execute(f"CREATE OR REPLACE {kind} {name} AS {statement.sql}")
    except duckdb.Error as error:
        raise StatementFailed(f"sql/{statement.name}.sql: {error}") from error
    connection.execute(f"COMMENT ON {kind} {name} IS {_quoted(statement.description)}")
    for column, meaning in statement.columns.items():
        connection.execute(f'COMMENT ON COLUMN {name}."{column}" IS {_quoted(meaning)}')


def _keep_aging(connection: duckdb.DuckDBPyConnection, folder: Path, today: date, rebuilt: bool) -> History | None:
    """The day's ageing into its file, and the files into their table, unless both are as they were."""
    if rebuilt or not (folder / f"{today.isoformat()}.parquet").exists():
        keep_day(connection, folder, today)
    elif last_made_from(connection, AR_AGING_HISTORY) == _days(folder) and _is_filled(connection, AR_AGING_HISTORY):
        return None
    history = load_history(connection, folder)
    remember_made_from(connection, AR_AGING_HISTORY, _days(folder))
    return history


def _is_filled(connection: duckdb.DuckDBPyConnection, table: TableSchema) -> bool:
    return bool(connection.execute(f"SELECT 1 FROM {table.qualified_name} LIMIT 1").fetchall())


def _days(folder: Path) -> str:
    """Changes when a file of the ageing does."""
    found = ((path.name, path.stat()) for path in sorted(folder.glob("*.parquet")))
    return " ".join(f"{name}:{stat.st_size}:{stat.st_mtime_ns}" for name, stat in found)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
