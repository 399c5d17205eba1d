"""What the statements of ``sql/`` cannot know by themselves: which day counts as today, and what the rules say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from itertools import pairwise

import duckdb
import polars as pl

from qbsf_pipeline.settings import bucket_names
from qbsf_pipeline.warehouse.connection import replace_rows
from qbsf_pipeline.warehouse.tables import Column, TableSchema

REPORTING_DAY = TableSchema(
    "pipeline",
    "reporting_day",
    (
        Column("as_of", pl.Date, "Today in the company's time zone, when the reporting tables were made"),
        Column("time_zone", pl.String, "That time zone (IANA name)"),
    ),
    ("as_of",),
    "The day that the reporting tables are about. One row",
)
AGING_BUCKETS = TableSchema(
    "pipeline",
    "aging_buckets",
    (
        Column("bucket", pl.String, "Name, as in Salesforce"),
        Column("position", pl.Int64, "Order, from 0"),
        Column("first_day", pl.Int64, "First day past due that belongs to it"),
        Column("last_day", pl.Int64, "Last day past due that belongs to it; null for the last bucket"),
    ),
    ("bucket",),
    "The buckets of ageing, from the rules. A row is one bucket",
)
NAMED_ITEMS = TableSchema(
    "pipeline",
    "named_items",
    (
        Column("product", pl.String, "Code or name of a Salesforce product, as the rules write it"),
        Column("item", pl.String, "Name of its QuickBooks item"),
    ),
    ("product",),
    "Products whose item the rules name (items.products). A row is one product",
)


def bucket_rows(edges: Sequence[int]) -> pl.DataFrame:
    """The buckets as a frame of :data:`AGING_BUCKETS`.

    Args:
        edges: the last day of each bucket but the last one, rising.
    """
    days = [(0, 0), *((low + 1, high) for low, high in pairwise((0, *edges))), (edges[-1] + 1, None)]
    return AGING_BUCKETS.frame(
        [
            {"bucket": name, "position": position, "first_day": first, "last_day": last}
            for position, (name, (first, last)) in enumerate(zip(bucket_names(edges), days, strict=True))
        ]
    )


def write_day(
    connection: duckdb.DuckDBPyConnection,
    as_of: date,
    edges: Sequence[int],
    time_zone: str = "UTC",
    named_items: Mapping[str, str] | None = None,
) -> None:
    """Say which day the reporting tables are about and in which time zone, which buckets there are, and which items the rules
    name."""
    replace_rows(connection, REPORTING_DAY, REPORTING_DAY.frame([{"as_of": as_of, "time_zone": time_zone}]))
    replace_rows(connection, AGING_BUCKETS, bucket_rows(edges))
    rows = [{"product": product, "item": item} for product, item in sorted((named_items or {}).items())]
    replace_rows(connection, NAMED_ITEMS, NAMED_ITEMS.frame(rows))
