"""What a month-end report holds, whatever it is shown as: workbook, page, Slack message or lines on a terminal."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime

import polars as pl

from qbsf_pipeline.reconciliation.tables import CASES

#: What people and earlier reports add to a case. A row of :attr:`Report.cases` has the columns of
#: :data:`~qbsf_pipeline.reconciliation.tables.CASES` and these.
DECISIONS = pl.Schema(
    {
        "first_seen_on": pl.Date(),  # day of the first report that had this difference
        "seen_last_month": pl.Boolean(),  # it was in the report of the month before and is still open
        "accepted_by": pl.String(),  # null as long as nobody accepted it, or its amounts changed since
        "accepted_reason": pl.String(),
        "accepted_on": pl.Date(),
    }
)
REPORT_CASES = pl.Schema({**CASES.polars_schema, **DECISIONS})

#: A row is one case that is not what it was when the month was closed; ``change``: new, gone or changed.
CHANGES = pl.Schema(
    {
        "currency": pl.String(),
        "case_key": pl.String(),
        "deal": pl.String(),
        "numbers": pl.String(),
        "change": pl.String(),
        "class_then": pl.String(),
        "class_now": pl.String(),
        "won_then": CASES.polars_schema["won"],
        "won_now": CASES.polars_schema["won"],
        "invoiced_then": CASES.polars_schema["invoiced"],
        "invoiced_now": CASES.polars_schema["invoiced"],
        "explanation": pl.String(),
    }
)


@dataclass(frozen=True)
class Closing:
    """When and by whom a month was closed; its report is the one of then.

    Attributes:
        closed_at: aware, by the company's clock: its day is what people are told.
    """

    closed_by: str
    closed_at: datetime


@dataclass(frozen=True)
class Report:
    """One month, all currencies.

    Attributes:
        month: its first day.
        produced_at: aware, by the company's clock; when the figures were computed.
        totals: columns of :data:`~qbsf_pipeline.reconciliation.tables.TOTALS`, a row for each currency.
        bridge: columns of :data:`~qbsf_pipeline.reconciliation.tables.BRIDGE`.
        cases: columns of :data:`REPORT_CASES`, every case of the month, also the matched ones.
        documents: columns of :data:`~qbsf_pipeline.reconciliation.tables.DOCUMENTS`.
        closing: None while the month is open.
        changes: columns of :data:`CHANGES`: what is different now from the closed report; empty while the month is open.
        company: name of the company, for headings.
        carried: columns of :data:`REPORT_CASES`: differences of earlier months that are still open, that nobody accepted and on
            which somebody has to act, or that have no cause. No part of the month's arithmetic: ``month`` is the one of the case,
            and its amounts are in the bridge of that one. Decisions are those of that month.
    """

    month: date
    produced_at: datetime
    totals: pl.DataFrame
    bridge: pl.DataFrame
    cases: pl.DataFrame
    documents: pl.DataFrame
    company: str
    closing: Closing | None = None
    changes: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=CHANGES))
    carried: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=REPORT_CASES))
