"""Days past due, buckets and thresholds. Pure; whole days, no time of day.

An invoice is past due from the day after its due date on, which is day 1. A day that ends a bucket belongs to it: day 90 is in
61-90, as in QuickBooks' own ageing reports.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl

from qbsf_pipeline.settings import bucket_names


def bucket_positions(edges: Sequence[int]) -> pl.DataFrame:
    """The buckets as a frame: bucket, position (from 0)."""
    names = bucket_names(edges)
    return pl.DataFrame({"bucket": names, "position": range(len(names))}, schema={"bucket": pl.String, "position": pl.Int64})


def days_after(day: pl.Expr, as_of: date) -> pl.Expr:
    """Whole days from ``day`` to ``as_of`` (Int64), 0 until then; null where ``day`` is null."""
    return (pl.lit(as_of) - day).dt.total_days().clip(lower_bound=0)


def bucket(days: pl.Expr, edges: Sequence[int]) -> pl.Expr:
    """The name of the bucket that ``days`` fall into; null where they are null."""
    names = bucket_names(edges)
    found: pl.Expr = pl.lit(names[-1])
    for last, name in zip(reversed((0, *edges)), reversed(names[:-1]), strict=True):
        found = pl.when(days <= last).then(pl.lit(name)).otherwise(found)
    return pl.when(days.is_not_null()).then(found)


def reached(days: pl.Expr, thresholds: Sequence[int]) -> pl.Expr:
    """The highest threshold that ``days`` have come to (Int64); null where none."""
    found: pl.Expr = pl.lit(None, dtype=pl.Int64)
    for threshold in sorted(thresholds):
        found = pl.when(days >= threshold).then(pl.lit(threshold, dtype=pl.Int64)).otherwise(found)
    return found
