"""A month-end report in the order in which people read it: currency by currency, what has no cause first.

Shared by the workbook and the page, so that both show the same rows in the same order and doubt the same figures. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import polars as pl

from qbsf_pipeline.money import format_amount
from qbsf_pipeline.reconciliation.chart import Step, Waterfall
from qbsf_pipeline.reconciliation.classes import NO_DIFFERENCE, NOBODY, DifferenceClass
from qbsf_pipeline.reconciliation.report import Report

_ZERO = Decimal(0)


@dataclass(frozen=True)
class CurrencySection:
    """One currency of a report.

    Attributes:
        currency: its ISO code.
        totals: the row of :data:`~qbsf_pipeline.reconciliation.tables.TOTALS`; zeros where the report has none.
        bridge: rows of :data:`~qbsf_pipeline.reconciliation.tables.BRIDGE` in the order of the classes.
        differences: cases of all classes but matched and matched within rounding, the most urgent first.
        problems: why the figures must not be trusted, in words; empty when the bridge adds up to the cent.
    """

    currency: str
    totals: Mapping[str, Any]
    bridge: Sequence[Mapping[str, Any]]
    differences: pl.DataFrame
    problems: Sequence[str]

    @property
    def waterfall(self) -> Waterfall:
        """The bridge as a picture."""
        steps = [Step(row["title"] or row["class"], row["amount"], row["cases"], row["explained"]) for row in self.bridge]
        return Waterfall(self.currency, self.totals["won"], steps, self.totals["invoiced"])


def sections(report: Report) -> list[CurrencySection]:
    """The report's currencies in the order of its totals; also those that only its cases or its bridge have."""
    named = [frame["currency"] for frame in (report.totals, report.bridge, report.cases)]
    currencies = pl.concat(named).unique(maintain_order=True).to_list()
    return [_section(report, currency) for currency in currencies]


def in_reading_order(cases: pl.DataFrame) -> pl.DataFrame:
    """Cases as people should go through them.

    What has no cause comes first, then classes on which somebody acts, then the others; within a class what nobody accepted,
    then the largest amount.
    """
    return cases.sort(
        pl.col("explained").fill_null(False),
        pl.col("acts").fill_null("") == NOBODY,
        "position",
        "class",
        pl.col("accepted_by").is_not_null(),
        -pl.col("difference").fill_null(0).abs(),
        "case_key",
        nulls_last=True,
    )


def verdict(differences: Sequence[pl.DataFrame]) -> str:
    """How many differences there are and who has to do with them: ``7 differences: 1 without a cause, 4 for finance.``

    Args:
        differences: frames with ``explained``, ``acts`` and ``accepted_by``, one for each currency.
    """
    total = sum(frame.height for frame in differences)
    if not total:
        return "No differences."
    counts: dict[str, int] = {}
    for row in (row for frame in differences for row in frame.select("explained", "acts", "accepted_by").iter_rows(named=True)):
        if row["accepted_by"] is not None:
            named = "accepted"
        elif not row["explained"]:
            named = "without a cause"
        elif row["acts"] in (None, "", NOBODY):
            named = "for nobody to act on"
        else:
            named = f"for {row['acts']}"
        counts[named] = counts.get(named, 0) + 1
    order = ["without a cause", *sorted(name for name in counts if name.startswith("for ") and "nobody" not in name)]
    order += ["for nobody to act on", "accepted"]
    told = ", ".join(f"{counts[name]:,} {name}" for name in order if name in counts)
    return f"{counted(total, 'difference')}: {told}."


def counted(number: int, name: str) -> str:
    """``1 deal``, ``1,200 deals``."""
    return f"{number:,} {name}{'' if number == 1 else 's'}"


def title_of(code: str | None, classes: Iterable[DifferenceClass]) -> str:
    """The title of a class; of one that is not in the table, as in a report of an older version, its code in words."""
    known = next((one.title for one in classes if one.code == code), None)
    return known or (code or "").replace("_", " ").capitalize()


def _section(report: Report, currency: str) -> CurrencySection:
    own = pl.col("currency").eq_missing(pl.lit(currency, pl.String))
    cases = report.cases.filter(own)
    bridge = [_without_nulls(row) for row in report.bridge.filter(own).sort("position", "class").iter_rows(named=True)]
    rows = [_without_nulls(row) for row in report.totals.filter(own).iter_rows(named=True)]
    totals = rows[0] if rows else _without_nulls(dict.fromkeys(report.totals.columns))
    return CurrencySection(
        currency=currency or "no currency",
        totals=totals,
        bridge=bridge,
        differences=in_reading_order(cases.filter(~pl.col("class").is_in(NO_DIFFERENCE).fill_null(False))),
        problems=_problems(totals, bridge, cases, currency or ""),
    )


def _problems(totals: Mapping[str, Any], bridge: Sequence[Mapping[str, Any]], cases: pl.DataFrame, currency: str) -> list[str]:
    steps = sum((row["amount"] for row in bridge), _ZERO)
    won, invoiced = totals["won"], totals["invoiced"]
    found = []
    if won - steps != invoiced:
        found.append(
            f"Won {format_amount(won, currency)} less differences of {format_amount(steps, currency)} is "
            f"{format_amount(won - steps, currency)}, and {format_amount(invoiced, currency)} is invoiced: "
            f"{format_amount(won - steps - invoiced, currency)} is missing in the bridge."
        )
    told = totals["explained"] + totals["unexplained"]
    if told != steps:
        found.append(
            f"Explained and unexplained come to {format_amount(told, currency)}, the classes to {format_amount(steps, currency)}."
        )
    for name in ("won", "invoiced"):
        records = sum(cases[name].drop_nulls(), _ZERO)
        if records != totals[name]:
            found.append(
                f"The records come to {format_amount(records, currency)} {name}, "
                f"the total says {format_amount(totals[name], currency)}."
            )
    return found


def _without_nulls(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of totals or of the bridge with 0 for a number that is not there."""
    texts = {"currency", "class", "title", "month"}
    return {name: _ZERO if value is None and name not in texts else value for name, value in row.items()}
