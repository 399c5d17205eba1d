"""A closed month: whether it may be closed, and what is different now from the report of then. Pure."""

from __future__ import annotations

from datetime import date

import polars as pl

from qbsf_pipeline.reconciliation.decisions import unexplained_of
from qbsf_pipeline.reconciliation.months import after, key_of, title_of
from qbsf_pipeline.reconciliation.report import CHANGES, Report

_KEY = ("currency", "case_key")
_COMPARED = ("class", "won", "invoiced", "amounts")


def why_not_to_close(report: Report, computed_on: date, *, with_unexplained: bool) -> str | None:
    """Why a month cannot be closed with a report, and what to do; ``None`` where it can.

    Args:
        report: the newest one of the month.
        computed_on: the day on which it was computed last; before the month is over it cannot be the last word.
        with_unexplained: a person wants it closed although differences have no cause.
    """
    month = report.month
    again = f"qbsf reconcile --month {key_of(month)}"
    if computed_on < after(month):
        made = f"the newest report of {title_of(month)} was made on {computed_on:%d %b %Y}"
        return f"{made}, before the month was over. Once it is over: {again}, and then close it"
    rows = unexplained_of(report.cases).height
    if rows and not with_unexplained:
        what = f"{rows} difference{'s are' if rows != 1 else ' is'}"
        return (
            f"{what} unexplained in {title_of(month)}: find the cause, or accept each with a reason (qbsf reconcile accept), "
            "or close the month as it is with --with-unexplained"
        )
    return None


def changes_since(then: pl.DataFrame, now: pl.DataFrame) -> pl.DataFrame:
    """What of the cases of a month is not what it was when the month was closed: columns of :data:`.report.CHANGES`.

    Args:
        then: the cases of the closed report (:data:`.report.REPORT_CASES`).
        now: the cases of today (:data:`.tables.CASES`).
    """
    earlier, later = _compared(then, "_then"), _compared(now, "_now")
    both = earlier.join(later, on=_KEY, how="full", coalesce=True, nulls_equal=True)
    is_new, is_gone = pl.col("there_then").is_null(), pl.col("there_now").is_null()
    differs = pl.any_horizontal(pl.col(f"{name}_then").ne_missing(pl.col(f"{name}_now")) for name in _COMPARED)
    change = pl.when(is_new).then(pl.lit("new")).when(is_gone).then(pl.lit("gone")).when(differs).then(pl.lit("changed"))
    return (
        both.with_columns(
            change.alias("change"),
            pl.coalesce("deal_now", "deal_then").alias("deal"),
            pl.coalesce("numbers_now", "numbers_then").alias("numbers"),
        )
        .filter(pl.col("change").is_not_null())
        .with_columns(_explanation().alias("explanation"))
        .select(list(CHANGES))
        .cast(CHANGES)
        .sort("currency", "case_key", nulls_last=True)
    )


def _compared(cases: pl.DataFrame, suffix: str) -> pl.DataFrame:
    kept = cases.select(*_KEY, "deal", "numbers", *_COMPARED, "explanation", pl.lit(True).alias("there"))
    return kept.rename({name: f"{name}{suffix}" for name in kept.columns if name not in _KEY})


def _explanation() -> pl.Expr:
    """What happened to a case since, in a sentence or two; what is the case now is said by its own explanation."""

    def moved(name: str, words: str) -> pl.Expr:
        then, now = pl.col(f"{name}_then"), pl.col(f"{name}_now")
        told = pl.format(f"{words} {{}} then, {{}} now", then.cast(pl.String), now.cast(pl.String))
        return pl.when(then.ne_missing(now)).then(told)

    was = pl.format("was {}, is {}", _words("class_then"), _words("class_now"))
    parts = pl.concat_str(
        pl.when(pl.col("class_then").ne_missing(pl.col("class_now"))).then(was),
        moved("won", "won"),
        moved("invoiced", "invoiced"),
        separator="; ",
        ignore_nulls=True,
    )
    changed = pl.when(parts == "").then(pl.lit("What was billed in other months changed")).otherwise(parts)
    told = (
        pl.when(pl.col("change") == "new")
        .then(pl.lit("It was not in the report of then"))
        .when(pl.col("change") == "gone")
        .then(pl.lit("It is not in this month any more"))
        .otherwise(changed.str.head(1).str.to_uppercase() + changed.str.slice(1))
    )
    return pl.concat_str(told + ".", pl.col("explanation_now"), separator=" ", ignore_nulls=True)


def _words(column: str) -> pl.Expr:
    return pl.col(column).str.replace_all("_", " ", literal=True)
