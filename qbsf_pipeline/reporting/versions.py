"""The history of deals and invoices: a version for every change that a pass saw, so that 'what did the pipeline believe on
March 31' has an answer although both systems change their records in place.

The files in ``$QBSF_HOME/history/deals/`` and ``invoices/`` are the memory, for the warehouse may be deleted; the tables
``pipeline.deal_versions`` and ``pipeline.invoice_versions`` are their content for SQL. A version holds from the pass that saw it
to the pass that saw the next one. A deleted record goes on as a version that is deleted, with its last values; a voided invoice
as one whose total is 0. What counts itself by the calendar (days, buckets) is left out, for it changes every day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path

import duckdb
import polars as pl

from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.reporting.version_files import VersionFile, merge, readable, select_of, version_files, write_file
from qbsf_pipeline.salesforce import objects as salesforce
from qbsf_pipeline.warehouse.connection import ensure_table, frame_of, read_table
from qbsf_pipeline.warehouse.made_from import fingerprint, last_made_from, remember_made_from
from qbsf_pipeline.warehouse.raw import WATERMARKS
from qbsf_pipeline.warehouse.tables import AMOUNT, TIMESTAMP, Column, TableSchema

_DELETED = Column("is_deleted", pl.Boolean, "Deleted in the source, or no longer found there")
_VALID_FROM = Column("valid_from", TIMESTAMP, "When a pass first saw it so (UTC)")
_VALID_FROM_DAY = Column("valid_from_day", pl.Date, "The company's day of that pass")
_VALID_TO = (
    Column("valid_to", TIMESTAMP, "When a pass first saw it otherwise (UTC); null for the version of now"),
    Column("valid_to_day", pl.Date, "The company's day of that pass"),
)
_DEAL_FIELDS = (
    *("name", "account_id", "owner_id", "stage_name", "is_won", "is_closed", "close_date", "amount", "currency"),
    *("billing_frequency", "billing_periods", "billing_start_date", "payment_terms", "invoice_id", "invoice_number"),
    *("payment_status", "invoice_balance", "last_payment_date"),
)
_INVOICE_FIELDS = (
    *("doc_number", "status", "customer_id", "customer_name", "opportunity_id", "txn_date", "due_date", "total", "tax"),
    *("balance", "currency", "exchange_rate", "term_id", "email_status"),
)


@dataclass(frozen=True)
class Versioned:
    """A kind of record whose versions are kept: its raw table, the name of its table, its id there, and what makes a version."""

    source: TableSchema
    folder_name: str
    table_name: str
    id_name: str
    fields: tuple[str, ...]

    @cached_property
    def kept(self) -> tuple[Column, ...]:
        """The columns of a file."""
        raw = {column.name: column for column in self.source.columns}
        chosen = [Column(name, raw[name].dtype, raw[name].comment) for name in self.fields]
        record_id = Column(self.id_name, pl.String, raw["id"].comment)
        return (record_id, *chosen, _DELETED, _VALID_FROM, _VALID_FROM_DAY)

    @cached_property
    def table(self) -> TableSchema:
        """The table of its versions."""
        comment = f"Versions of {self.folder_name} as passes saw them. A row is one version"
        return TableSchema("pipeline", self.table_name, (*self.kept, *_VALID_TO), (self.id_name, "valid_from"), comment)

    def folder(self, home: Path) -> Path:
        """Where its files are."""
        return home / "history" / self.folder_name


DEALS = Versioned(salesforce.OPPORTUNITY, "deals", "deal_versions", "opportunity_id", _DEAL_FIELDS)
INVOICES = Versioned(quickbooks.INVOICE, "invoices", "invoice_versions", "invoice_id", _INVOICE_FIELDS)
DEAL_VERSIONS, INVOICE_VERSIONS = DEALS.table, INVOICES.table
VERSIONED = (DEALS, INVOICES)

#: ``total`` and ``tax`` are in the invoice's own currency.
LAST_KNOWN = pl.Schema({"invoice_id": pl.String(), "total": AMOUNT, "tax": AMOUNT})

#: Table macros for analysts: a kind of record as it stood at the end of a company's day.
MACROS = tuple(
    f'CREATE OR REPLACE MACRO "reporting"."{name}"(on_day) AS TABLE SELECT * FROM "reporting"."{history}" '
    "WHERE valid_from_day <= on_day AND (valid_to_day IS NULL OR valid_to_day > on_day)"
    for name, history in (("deals_on", "deal_history"), ("invoices_on", "invoice_history"))
)


@dataclass(frozen=True)
class Recorded:
    """What a pass did to the history of one kind: versions added, and names of files that could not be read."""

    added: int
    unreadable: tuple[str, ...]


def record_versions(connection: duckdb.DuckDBPyConnection, kind: Versioned, home: Path, now: datetime, today: date) -> Recorded:
    """Add a version of every record that is not what its last version says. The caller holds the transaction.

    The file is written first: a pass that dies before the table is committed finds it the next time. Nothing is written as
    long as the raw table was never read whole.

    Args:
        now: aware UTC; the instant of the new versions.
        today: the company's day of ``now``.

    Raises:
        OSError, duckdb.IOException: a file cannot be written; nothing is added then.
    """
    folder = kind.folder(home)
    unreadable = _load(connection, kind, folder)
    seen = fingerprint(connection, [kind.source], *kind.fields)
    if not _is_known(connection, kind.source) or _last(connection, kind).seen == seen:
        return Recorded(0, unreadable)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE changed_versions AS {_changed(kind)}")
    added = int(connection.execute("SELECT count(*) FROM changed_versions").fetchall()[0][0])
    if added:
        newest = connection.execute(f"SELECT max(valid_from) FROM {kind.table.qualified_name}").fetchall()[0][0]
        # A clock that was set back must not put a version before the one that it follows.
        at = max(now, newest + timedelta(microseconds=1)) if newest else now
        day = f"DATE '{today}' AS valid_from_day"
        stamped = f"SELECT *, TIMESTAMPTZ '{at.isoformat()}' AS valid_from, {day} FROM changed_versions"
        write_file(connection, stamped, folder, at, at)
        _append(connection, kind, stamped)
        if not unreadable:
            merge(connection, folder, kind.kept)
        loaded = _fingerprint(version_files(folder))
    else:
        loaded = _last(connection, kind).loaded
    _remember(connection, kind, _Made(loaded, seen))
    connection.execute("DROP TABLE changed_versions")
    return Recorded(added, unreadable)


def last_known_invoices(connection: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """What invoices that are voided or deleted came to before they were, as far as a pass saw them live.

    Returns:
        Columns of :data:`LAST_KNOWN`, by invoice id.
    """
    ensure_table(connection, INVOICE_VERSIONS)
    ensure_table(connection, quickbooks.INVOICE)
    gone = "is_deleted OR status IS DISTINCT FROM 'live'"
    versions = INVOICE_VERSIONS.qualified_name
    query = f"""
        WITH gone AS (
            SELECT id AS invoice_id FROM {quickbooks.INVOICE.qualified_name} WHERE {gone}
            UNION
            SELECT invoice_id FROM {versions} WHERE valid_to IS NULL AND ({gone})
        )
        SELECT v.invoice_id, arg_max_null(v.total, v.valid_from) AS total, arg_max_null(v.tax, v.valid_from) AS tax
        FROM {versions} AS v
        INNER JOIN gone ON v.invoice_id = gone.invoice_id
        WHERE NOT (v.is_deleted OR v.status IS DISTINCT FROM 'live')
        GROUP BY v.invoice_id
        ORDER BY v.invoice_id
    """
    return frame_of(connection.sql(query)).cast(LAST_KNOWN)


def _is_known(connection: duckdb.DuckDBPyConnection, source: TableSchema) -> bool:
    """Whether the raw table holds everything that its source has: then what is not in it is gone."""
    marks = read_table(connection, WATERMARKS, ["table_name", "last_full_at", "rows_lost"])
    mark = marks.filter(pl.col("table_name") == f"{source.schema}.{source.name}", pl.col("last_full_at").is_not_null())
    return mark.filter(pl.col("rows_lost").fill_null(0) == 0).height > 0


def _changed(kind: Versioned) -> str:
    """Records that are not what their last version says, those that are gone included."""
    fields = [f'"{name}"' for name in kind.fields]
    listed = ", ".join(fields)
    record_id = f'"{kind.id_name}"'
    differs = " OR ".join(f"r.{name} IS DISTINCT FROM v.{name}" for name in (*fields, "is_deleted"))
    # News of the deletion of a record that nobody knew is no version.
    return f"""
        WITH records AS (
            SELECT id AS {record_id}, {listed}, coalesce(is_deleted, false) AS is_deleted FROM {kind.source.qualified_name}
        ),
        newest AS (SELECT {record_id}, {listed}, is_deleted FROM {kind.table.qualified_name} WHERE valid_to IS NULL)
        SELECT r.* FROM records AS r
        LEFT JOIN newest AS v ON r.{record_id} = v.{record_id}
        WHERE CASE WHEN v.{record_id} IS NULL THEN NOT r.is_deleted ELSE NOT (r.is_deleted AND v.is_deleted) AND ({differs}) END
        UNION ALL
        SELECT v.{record_id}, {_gone_values(kind, fields)}, true AS is_deleted FROM newest AS v
        WHERE NOT v.is_deleted AND NOT EXISTS (SELECT 1 FROM records AS r WHERE r.{record_id} = v.{record_id})
    """


def _gone_values(kind: Versioned, fields: Sequence[str]) -> str:
    deleted = f"'{quickbooks.STATUS_DELETED}' AS \"status\""
    return ", ".join(deleted if field == '"status"' else f"v.{field}" for field in fields)


def _append(connection: duckdb.DuckDBPyConnection, kind: Versioned, versions: str) -> None:
    name, record_id = kind.table.qualified_name, f'"{kind.id_name}"'
    connection.execute(
        f"UPDATE {name} SET valid_to = n.valid_from, valid_to_day = n.valid_from_day FROM ({versions}) AS n "
        f"WHERE {name}.{record_id} = n.{record_id} AND {name}.valid_to IS NULL"
    )
    connection.execute(f"INSERT INTO {name} BY NAME {versions}")


def _load(connection: duckdb.DuckDBPyConnection, kind: Versioned, folder: Path) -> tuple[str, ...]:
    """Bring the table in step with the files, where it is not: after a pass that died, or a warehouse that was deleted.

    Returns the names of files that are no versions.
    """
    ensure_table(connection, kind.table)
    files = version_files(folder)
    # Somebody may have dropped the table alone.
    filled = connection.execute(f"SELECT 1 FROM {kind.table.qualified_name} LIMIT 1").fetchall()
    loaded = _last(connection, kind).loaded if filled else ""
    if loaded == _fingerprint(files):
        return ()
    good, bad = readable(files)
    left_out = tuple(one.path.name for one in bad)
    if bad and loaded == _fingerprint(good):
        return left_out
    name = kind.table.qualified_name
    connection.execute(f"DELETE FROM {name}")
    if good:
        following = f'OVER (PARTITION BY "{kind.id_name}" ORDER BY valid_from)'
        connection.execute(
            f"INSERT INTO {name} BY NAME SELECT *, lead(valid_from) {following} AS valid_to, "
            f"lead(valid_from_day) {following} AS valid_to_day FROM ({select_of(connection, good, kind.kept)})"
        )
    _remember(connection, kind, _Made(_fingerprint(good), ""))
    return left_out


@dataclass(frozen=True)
class _Made:
    """What the table of versions holds: the files that are in it, and the records that it was last compared with."""

    loaded: str
    seen: str


def _last(connection: duckdb.DuckDBPyConnection, kind: Versioned) -> _Made:
    loaded, _, seen = (last_made_from(connection, kind.table) or "").partition("\n")
    return _Made(loaded, seen)


def _remember(connection: duckdb.DuckDBPyConnection, kind: Versioned, made: _Made) -> None:
    remember_made_from(connection, kind.table, f"{made.loaded}\n{made.seen}")


def _fingerprint(files: Sequence[VersionFile]) -> str:
    return " ".join(one.fingerprint() for one in files)
