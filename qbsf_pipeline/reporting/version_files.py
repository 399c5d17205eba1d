"""Append-only Parquet files that keep the versions of records: what was changed in a pass is one file, and files are only ever
merged. Nothing is half written: a file gets its name when it is whole.

A file is named after the instant of its versions (UTC), ``20260331T050000.000000Z.parquet``; a merged one after the first and
the last instant in it. A file whose span lies in the span of another one is in that one already: the merge was killed before it
could take it away.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import polars as pl

from qbsf_pipeline.warehouse.tables import Column

log = logging.getLogger(__name__)

#: More files of one kind than this are merged into one.
MOST_FILES = 64
_STAMP = "%Y%m%dT%H%M%S.%fZ"


@dataclass(frozen=True, order=True)
class VersionFile:
    """One file: the instants of its first and last versions (UTC), and where it is."""

    first: datetime
    last: datetime
    path: Path

    @property
    def is_merged(self) -> bool:
        """Whether it was merged from several."""
        return self.first != self.last

    def fingerprint(self) -> str:
        """Changes when somebody changes the file."""
        found = self.path.stat()
        return f"{self.path.name}:{found.st_size}:{found.st_mtime_ns}"


def version_files(folder: Path) -> list[VersionFile]:
    """The files that count, oldest first."""
    found: list[VersionFile] = []
    for path in folder.glob("*.parquet"):
        stamps = path.stem.split("_")
        try:
            first, last = (datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC) for stamp in (stamps[0], stamps[-1]))
        except ValueError:
            log.warning("reporting: %s is not named after an instant and left out", path)
            continue
        found.append(VersionFile(first, last, path))
    return sorted(one for one in found if not any(_covers(other, one) for other in found))


def _covers(other: VersionFile, one: VersionFile) -> bool:
    return other.path != one.path and other.first <= one.first and one.last <= other.last and other.is_merged


def write_file(connection: duckdb.DuckDBPyConnection, query: str, folder: Path, first: datetime, last: datetime) -> VersionFile:
    """Write the rows of a query into a new file.

    Raises:
        OSError: it cannot be written; nothing is there then.
        duckdb.IOException: likewise.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for left_over in folder.glob(".*.parquet.*"):
        left_over.unlink(missing_ok=True)
    stamps = [first.astimezone(UTC).strftime(_STAMP)]
    stamps += [last.astimezone(UTC).strftime(_STAMP)] if last != first else []
    path = folder / f"{'_'.join(stamps)}.parquet"
    fresh = folder / f".{path.name}.{os.getpid()}"
    connection.execute(f"COPY ({query}) TO {_text(fresh)} (FORMAT parquet, COMPRESSION zstd)")
    _flush(fresh)
    fresh.replace(path)
    _flush(folder)
    return VersionFile(first, last, path)


def merge(connection: duckdb.DuckDBPyConnection, folder: Path, columns: Sequence[Column]) -> bool:
    """Merge files where there are many: those of single passes into one, and merged ones when these are many as well.

    Killed at any instant, it leaves the versions as they are. Returns whether something was merged.
    """
    files = version_files(folder)
    single = [one for one in files if not one.is_merged]
    merged = [one for one in files if one.is_merged]
    chosen = files if len(merged) > MOST_FILES else [one for one in single if not merged or one.first > merged[-1].last]
    if len(chosen) <= MOST_FILES:
        return False
    write_file(connection, select_of(connection, chosen, columns), folder, chosen[0].first, chosen[-1].last)
    for one in chosen:
        one.path.unlink(missing_ok=True)
    return True


def select_of(connection: duckdb.DuckDBPyConnection, files: Sequence[VersionFile], columns: Sequence[Column]) -> str:
    """A query over the content of files; a column that an older version did not write is null."""
    paths = ", ".join(_text(one.path) for one in files)
    source = f"read_parquet([{paths}], union_by_name = true)"
    known = {row[0] for row in connection.execute(f"SELECT column_name FROM (DESCRIBE SELECT * FROM {source})").fetchall()}
    values = [f'v."{column.name}"' if column.name in known else "NULL" for column in columns]
    chosen = [f'CAST({value} AS {column.sql_type}) AS "{column.name}"' for value, column in zip(values, columns, strict=True)]
    return f"SELECT {', '.join(chosen)} FROM {source} AS v"


def readable(files: Sequence[VersionFile]) -> tuple[list[VersionFile], list[VersionFile]]:
    """Files that are Parquet, and those that are not."""
    good: list[VersionFile] = []
    bad: list[VersionFile] = []
    for one in files:
        try:
            pl.read_parquet_schema(one.path)
        except (OSError, pl.exceptions.PolarsError) as error:
            log.warning("reporting: %s cannot be read and is left out: %s", one.path, error)
            bad.append(one)
        else:
            good.append(one)
    return good, bad


def _flush(path: Path) -> None:
    """To the disk, so that a name never comes before its content."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _text(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
