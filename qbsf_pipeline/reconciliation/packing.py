"""A report as bytes and back, so that it can be produced again as it was; and what makes two reports the same."""

from __future__ import annotations

import hashlib
import io
import zipfile
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from qbsf_pipeline.money import parse_json, to_json
from qbsf_pipeline.reconciliation.report import CHANGES, REPORT_CASES, Closing, Report
from qbsf_pipeline.reconciliation.tables import BRIDGE, DOCUMENTS, TOTALS

#: The frames of a report, by attribute.
_FRAMES = {
    "totals": TOTALS.polars_schema,
    "bridge": BRIDGE.polars_schema,
    "cases": REPORT_CASES,
    "documents": DOCUMENTS.polars_schema,
    "changes": CHANGES,
    "carried": REPORT_CASES,
}
#: Frames that reports of before do not have. An empty one counts as none, so that those keep their hash.
_ADDED_LATER = frozenset({"carried"})
_HEAD = "report.json"
_NULL = "\\N"


def digest_of(report: Report) -> str:
    """A hash of everything that a report says. When it was made, and the order of its rows, are no part of it."""
    hashed = hashlib.sha256(to_json(_head(report), sort_keys=True).encode())
    for name in _FRAMES:
        frame: pl.DataFrame = getattr(report, name)
        if name in _ADDED_LATER and frame.is_empty():
            continue
        ordered = frame.sort(frame.columns, nulls_last=True)
        hashed.update(f"\x00{name}\x00".encode())
        hashed.update(ordered.write_csv(null_value=_NULL, quote_style="non_numeric").encode("utf-8", "surrogatepass"))
    return hashed.hexdigest()


def packed(report: Report) -> bytes:
    """A report as one file: its frames as Parquet, the rest as JSON, in a zip archive."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(_HEAD, to_json(_head(report)))
        for name in _FRAMES:
            frame = io.BytesIO()
            getattr(report, name).write_parquet(frame, compression="zstd")
            archive.writestr(f"{name}.parquet", frame.getvalue())
    return written.getvalue()


def unpacked(content: bytes, produced_at: datetime, zone: ZoneInfo) -> Report:
    """The report that :func:`packed` made. A column that was not there then is null, a frame that was not is empty.

    Args:
        zone: the company's.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        head = parse_json(archive.read(_HEAD))
        there = set(archive.namelist())
        frames = {
            name: _as_declared(pl.read_parquet(io.BytesIO(archive.read(f"{name}.parquet"))), schema)
            for name, schema in _FRAMES.items()
            if name not in _ADDED_LATER or f"{name}.parquet" in there
        }
    closing = head["closing"]
    closed_at = None if closing is None else datetime.fromisoformat(closing["closed_at"]).astimezone(zone)
    return Report(
        month=date.fromisoformat(head["month"]),
        produced_at=produced_at.astimezone(zone),
        company=head["company"],
        closing=None if closed_at is None else Closing(closing["closed_by"], closed_at),
        **frames,
    )


def _head(report: Report) -> dict[str, Any]:
    closing = report.closing
    return {
        "month": report.month.isoformat(),
        "company": report.company,
        "closing": None if closing is None else {"closed_by": closing.closed_by, "closed_at": _utc(closing)},
    }


def _utc(closing: Closing) -> str:
    # By whatever clock it is told, it is the same closing.
    return closing.closed_at.astimezone(UTC).isoformat()


def _as_declared(frame: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
    missing = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in schema.items() if name not in frame.columns]
    return frame.with_columns(missing).select([pl.col(name).cast(dtype) for name, dtype in schema.items()])
