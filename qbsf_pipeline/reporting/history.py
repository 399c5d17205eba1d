"""The ageing of every day, kept: what was told on a day stays known even where the books change the past in place.

One Parquet file for each day in ``$QBSF_HOME/history/ar_aging/``, written atomically; the last pass of a day wins. The files
are the memory, for the warehouse may be deleted; the table ``pipeline.ar_aging_history`` is their content for SQL. A file that
an operator takes away is gone from the table after the next pass.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import polars as pl

from qbsf_pipeline.warehouse.connection import append_rows, ensure_table, frame_of
from qbsf_pipeline.warehouse.tables import AMOUNT, TIMESTAMP, Column, TableSchema

log = logging.getLogger(__name__)

AR_AGING_HISTORY = TableSchema(
    "pipeline",
    "ar_aging_history",
    (
        Column("as_of", pl.Date, "The day"),
        Column("kind", pl.String, "invoice, payment, credit_memo, journal_entry or deposit"),
        Column("document_id", pl.String, "QuickBooks' id of the document"),
        Column("number", pl.String, "Number of an invoice or credit memo, reference of a payment"),
        Column("customer_id", pl.String, "QuickBooks customer"),
        Column("customer", pl.String, "Its name on that day"),
        Column("opportunity_id", pl.String, "The deal"),
        Column("deal", pl.String, "Its name on that day"),
        Column("owner", pl.String, "Its owner on that day"),
        Column("dated_on", pl.Date, "Date of the document"),
        Column("due_on", pl.Date, "When it was to be paid"),
        Column("days_past_due", pl.Int64, "Days past due on that day"),
        Column("bucket", pl.String, "Bucket on that day"),
        Column("currency", pl.String, "ISO code of total and open"),
        Column("total", AMOUNT, "Total of an invoice"),
        Column("open", AMOUNT, "What was open; below zero for what was not applied"),
        Column("open_home", AMOUNT, "What was open, in home_currency"),
        Column("home_currency", pl.String, "ISO code of the company's currency"),
        Column("status", pl.String, "Payment status on that day"),
        Column("read_at", TIMESTAMP, "When QuickBooks had been read (UTC)"),
    ),
    ("as_of", "kind", "document_id"),
    "The ageing as it was told at the end of each day. A row is one open document on one day",
)


@dataclass(frozen=True)
class History:
    """What is kept.

    Attributes:
        days: days in the table.
        unreadable: names of files that are no history, which were left out.
    """

    days: int
    unreadable: tuple[str, ...]


def history_folder(home: Path) -> Path:
    """Where the files of the ageing are."""
    return home / "history" / "ar_aging"


def keep_day(connection: duckdb.DuckDBPyConnection, folder: Path, as_of: date) -> Path | None:
    """Write the ageing of ``as_of`` from ``reporting.ar_aging``, over what an earlier pass of that day wrote.

    Nothing is written as long as no receivables are known: then nobody knows what is open.

    Raises:
        OSError: the file cannot be written; the one before stays.
    """
    known = connection.execute("SELECT count(*) FROM receivables.invoices").fetchall()[0][0]
    if not known:
        return None
    taken = [column.name for column in AR_AGING_HISTORY.columns if column.name != "read_at"]
    read_at = "(SELECT max(pulled_at) FROM pipeline.watermarks WHERE table_name = 'quickbooks.invoice')"
    names = ", ".join(f'"{name}"' for name in taken)
    rows = frame_of(connection.sql(f"SELECT {names}, {read_at} AS read_at FROM reporting.ar_aging ORDER BY kind, document_id"))
    folder.mkdir(parents=True, exist_ok=True)
    for left_over in folder.glob(".*.parquet.*"):
        left_over.unlink(missing_ok=True)
    path = folder / f"{as_of.isoformat()}.parquet"
    fresh = folder / f".{path.name}.{os.getpid()}"
    with fresh.open("wb") as file:
        rows.cast(AR_AGING_HISTORY.polars_schema).write_parquet(file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    return path


def load_history(connection: duckdb.DuckDBPyConnection, folder: Path) -> History:
    """Bring ``pipeline.ar_aging_history`` in step with the files: days that it lacks, the newest again, and none without one."""
    ensure_table(connection, AR_AGING_HISTORY)
    files = _files(folder)
    name = AR_AGING_HISTORY.qualified_name
    loaded = {row[0] for row in connection.execute(f"SELECT DISTINCT as_of FROM {name}").fetchall()}
    newest = max(loaded, default=date.min)
    # A pass that ended between file and table left the newest day of the table behind its file.
    wanted = [day for day in sorted(files) if day not in loaded or day >= newest]
    unreadable: list[str] = []
    read: dict[date, pl.DataFrame] = {}
    for day in wanted:
        try:
            read[day] = _read(files[day], day)
        except (OSError, pl.exceptions.PolarsError) as error:
            log.warning("reporting: %s is no day of the ageing and left out: %s", files[day], error)
            unreadable.append(files[day].name)
    replaced = [day for day in loaded if day in read or day not in files]
    if replaced:
        connection.execute(f"DELETE FROM {name} WHERE list_contains(?, as_of)", [replaced])
    if read:
        append_rows(connection, AR_AGING_HISTORY, pl.concat(read.values()))
    kept = connection.execute(f"SELECT count(DISTINCT as_of) FROM {name}").fetchall()[0][0]
    return History(kept, tuple(unreadable))


def _files(folder: Path) -> Mapping[date, Path]:
    found: dict[date, Path] = {}
    for path in folder.glob("*.parquet"):
        try:
            found[date.fromisoformat(path.stem)] = path
        except ValueError:
            log.warning("reporting: %s is not named after a day and left out", path)
    return found


def _read(path: Path, day: date) -> pl.DataFrame:
    """A file as a frame of :data:`AR_AGING_HISTORY`; a column that an older version did not have is null.

    Raises:
        polars.exceptions.PolarsError: it is no Parquet file, or has other types.
    """
    frame = pl.read_parquet(path)
    schema = AR_AGING_HISTORY.polars_schema
    columns = [
        (pl.col(name) if name in frame.columns else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in schema.items()
        if name != "as_of"
    ]
    # The name of the file is the day, whatever an operator did with it.
    return frame.select(pl.lit(day, dtype=pl.Date).alias("as_of"), *columns)
