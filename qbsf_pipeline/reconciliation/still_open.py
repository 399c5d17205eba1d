"""Differences of earlier months that are still open: what the report of a month carries beside its own cases. Pure.

They are reckoned from what is known today, like everything in a report, and not taken from the reports of then: whatever was
settled since is gone. They are no part of the month's arithmetic: their amounts are in the bridge of their own month.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import date
from decimal import Decimal

import polars as pl

from qbsf_pipeline.money import format_amount
from qbsf_pipeline.reconciliation.classes import NOBODY
from qbsf_pipeline.reconciliation.decisions import differences_of, to_accept
from qbsf_pipeline.reconciliation.months import FIRST_MONTH, before, key_of, title_of
from qbsf_pipeline.reconciliation.sections import counted
from qbsf_pipeline.reconciliation.tables import CASES, STILL_OPEN

_ZERO = Decimal(0)


def earlier_months(months: Iterable[date], look_back: int, go_live: date | None, reported: Collection[date]) -> list[date]:
    """The months before those of ``months`` that have to be reckoned to know what is still open of them, oldest first.

    A month that was over before go-live was never qbsf's business: it counts only where somebody made a report of it.

    Args:
        months: the months whose reports are made; those among them that are earlier ones of others are not named again.
        look_back: how many months back a report looks (rules: reconciliation.look_back_months).
        go_live: deals closed before it are never billed; None for no limit.
        reported: months of which there is a report.
    """
    wanted = {month.replace(day=1) for month in months}
    ours = FIRST_MONTH if go_live is None else max(FIRST_MONTH, go_live.replace(day=1))
    found: set[date] = set()
    for month in wanted:
        for earlier in _looked_back(month, look_back):
            if earlier >= ours or earlier in reported:
                found.add(earlier)
    return sorted(found - wanted)


def still_open(cases: pl.DataFrame, months: Iterable[date], look_back: int) -> pl.DataFrame:
    """What the reports of ``months`` carry: columns of :data:`.tables.STILL_OPEN`, in no order.

    A row of an earlier month is carried where won and invoiced do not agree and somebody has to act, or no cause is known. A
    row without an amount is carried only where no other row of the case has one until then: a second invoice in April is the
    difference of April, and not also one of 0 in March.

    Args:
        cases: columns of :data:`.tables.CASES`, of the months and of those of :func:`earlier_months`.
        look_back: as for :func:`earlier_months`.
    """
    acted_on = pl.col("acts").fill_null("") != NOBODY
    open_ones = differences_of(cases).filter(acted_on | ~pl.col("explained"))
    found = [STILL_OPEN.polars_schema.to_frame()]
    for month in sorted({month.replace(day=1) for month in months}):
        with_amount = open_ones.filter((pl.col("month") <= month) & (pl.col("difference") != 0)).select("case_key").unique()
        earlier = open_ones.filter(pl.col("month").is_in(_looked_back(month, look_back)))
        rows = pl.concat(
            [
                earlier.filter(pl.col("difference") != 0),
                earlier.filter(pl.col("difference") == 0).join(with_amount, on="case_key", how="anti"),
            ]
        )
        carried = rows.rename({"month": "case_month"}).with_columns(pl.lit(month, pl.Date).alias("month"))
        found.append(carried.select(list(STILL_OPEN.polars_schema)).cast(STILL_OPEN.polars_schema))
    return pl.concat(found)


def as_cases(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of :data:`.tables.STILL_OPEN` with the columns of :data:`.tables.CASES`: ``month`` is the one of the case."""
    return rows.drop("month").rename({"case_month": "month"}).select(list(CASES.polars_schema))


def largest(carried: pl.DataFrame, most: int) -> pl.DataFrame:
    """The rows with the largest amounts.

    Args:
        carried: columns of :data:`.report.REPORT_CASES`.
    """
    return carried.sort(-pl.col("difference").abs(), "month", "currency", "case_key", nulls_last=True).head(most)


def sums_by_class(carried: pl.DataFrame) -> pl.DataFrame:
    """currency, position, class, cases (how many), amount (sum of won less invoiced): a row for each currency and class.

    Args:
        carried: columns of :data:`.report.REPORT_CASES`.
    """
    return (
        carried.group_by("currency", "position", "class")
        .agg(pl.len().cast(pl.Int64).alias("cases"), pl.col("difference").sum().alias("amount"))
        .sort("currency", "position", "class", nulls_last=True)
    )


def told(carried: pl.DataFrame) -> str:
    """How much is carried: ``3 differences, 12,300.00 USD and 50.00 EUR, 1 unexplained``; empty where nothing is.

    Args:
        carried: columns of :data:`.report.REPORT_CASES`.
    """
    if carried.is_empty():
        return ""
    sums: dict[str, Decimal] = {}
    for currency, difference in carried.select("currency", "difference").iter_rows():
        sums[currency or ""] = sums.get(currency or "", _ZERO) + (difference or _ZERO)
    amounts = " and ".join(format_amount(amount, currency).strip() for currency, amount in sorted(sums.items()))
    unexplained = carried.filter(~pl.col("explained")).height
    return f"{counted(carried.height, 'difference')}, {amounts}" + (f", {unexplained} unexplained" if unexplained else "")


def where_to_accept(carried: pl.DataFrame, case_key: str) -> str | None:
    """In which month a carried difference is accepted, as a sentence; ``None`` where the case is not carried.

    Args:
        carried: columns of :data:`.report.REPORT_CASES`.
        case_key: as for :func:`.decisions.to_accept`.
    """
    rows, problem = to_accept(carried, case_key)
    if problem is not None:
        return None
    key, months = rows.get_column("case_key").item(0), sorted(rows.get_column("month").unique().to_list())
    named = " and ".join(title_of(month) for month in months)
    return f"case {key} is a difference of {named}, to be accepted there: qbsf reconcile accept {key} --month {key_of(months[0])}"


def _looked_back(month: date, look_back: int) -> Sequence[date]:
    """The months before a month, the nearest first."""
    found: list[date] = []
    for _ in range(look_back):
        month = before(month)
        found.append(month)
    return found
