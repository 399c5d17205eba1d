"""Days past due, buckets and thresholds at their edges."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbsf_pipeline.aging.buckets import bucket, bucket_positions, days_after, reached
from qbsf_pipeline.settings import bucket_names

EDGES = st.lists(st.integers(1, 400), min_size=1, max_size=6, unique=True).map(sorted)


def one(expression: pl.Expr, **columns: object) -> object:
    return pl.DataFrame({name: [value] for name, value in columns.items()}).select(found=expression).item()


@pytest.mark.parametrize(
    ("days", "name"),
    [
        (0, "Current"),
        (1, "1-30"),
        (30, "1-30"),
        (31, "31-60"),
        (60, "31-60"),
        (61, "61-90"),
        (90, "61-90"),
        (91, "90+"),
        (9999, "90+"),
    ],
)
def test_a_day_that_ends_a_bucket_belongs_to_it(days: int, name: str) -> None:
    assert one(bucket(pl.col("days"), (30, 60, 90)), days=days) == name


@pytest.mark.parametrize(
    ("as_of", "days"), [(date(2026, 2, 28), 0), (date(2026, 3, 1), 0), (date(2026, 3, 2), 1), (date(2027, 3, 1), 365)]
)
def test_the_day_after_the_due_date_is_day_one(as_of: date, days: int) -> None:
    assert one(days_after(pl.col("due"), as_of), due=date(2026, 3, 1)) == days


@pytest.mark.parametrize(
    ("days", "threshold"), [(0, None), (29, None), (30, 30), (59, 30), (60, 60), (90, 90), (500, 90), (None, None)]
)
def test_the_highest_threshold_that_was_reached_counts(days: int | None, threshold: int | None) -> None:
    frame = pl.DataFrame({"days": [days]}, schema={"days": pl.Int64})
    assert frame.select(reached(pl.col("days"), (30, 60, 90))).item() == threshold


def test_without_thresholds_none_is_reached() -> None:
    assert one(reached(pl.col("days"), ()), days=500) is None


def test_the_names_follow_the_edges() -> None:
    assert bucket_names((30, 60, 90)) == ("Current", "1-30", "31-60", "61-90", "90+")
    assert bucket_names((14,)) == ("Current", "1-14", "14+")
    assert bucket_positions((14,)).rows() == [("Current", 0), ("1-14", 1), ("14+", 2)]


@given(EDGES, st.integers(0, 800))
def test_every_day_has_one_bucket_and_later_days_never_an_earlier_one(edges: list[int], days: int) -> None:
    names = bucket_names(edges)
    frame = pl.DataFrame({"days": [days, days + 1]}).select(bucket(pl.col("days"), edges))
    now, next_day = (names.index(name) for name in frame.to_series())
    assert next_day - now in (0, 1)
    assert (now == 0) == (days == 0)
    assert len(set(names)) == len(names) == len(edges) + 2


@given(st.dates(date(2000, 1, 1), date(2100, 1, 1)), st.integers(-400, 4000))
def test_days_are_calendar_days(due: date, late: int) -> None:
    assert one(days_after(pl.col("due"), due + timedelta(days=late)), due=due) == max(0, late)
