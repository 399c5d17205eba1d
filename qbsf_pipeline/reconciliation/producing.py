"""Makes the report of a month from its cases, keeps it, and writes it as workbook and page. Knows no Dagster.

Belongs here: what a report takes from the state and what it leaves there. Does not belong here: which class a case has.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from qbsf_pipeline.errors import ConfigurationError
from qbsf_pipeline.reconciliation.classes import CLASSES
from qbsf_pipeline.reconciliation.closing import changes_since, why_not_to_close
from qbsf_pipeline.reconciliation.decisions import keys_of, to_accept, unexplained_of, with_decisions
from qbsf_pipeline.reconciliation.months import before, key_of, title_of
from qbsf_pipeline.reconciliation.packing import digest_of, packed, unpacked
from qbsf_pipeline.reconciliation.places import page_in, reports_folder, workbook_in
from qbsf_pipeline.reconciliation.report import REPORT_CASES, Closing, Report
from qbsf_pipeline.reconciliation.still_open import where_to_accept
from qbsf_pipeline.reconciliation.tables import CASES
from qbsf_pipeline.state.database import State
from qbsf_pipeline.state.month_closings import AlreadyClosed, MonthClosing
from qbsf_pipeline.state.month_end_differences import Acceptance
from qbsf_pipeline.state.month_end_reports import KeptReport


@dataclass(frozen=True)
class MonthFigures:
    """What was computed for a month: rows of the tables in :mod:`.tables`, of this month only.

    Attributes:
        earlier: what is still open of earlier months, whoever accepted it: columns of :data:`.tables.CASES`, with the month of
            the case.
    """

    month: date
    totals: pl.DataFrame
    bridge: pl.DataFrame
    cases: pl.DataFrame
    documents: pl.DataFrame
    earlier: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=CASES.polars_schema))


@dataclass(frozen=True)
class Produced:
    """A report that was made, and where it is kept.

    Attributes:
        report_id: its id in the state.
        folder: where workbook and page stand.
    """

    report: Report
    report_id: str
    folder: Path

    @property
    def workbook(self) -> Path:
        """The Excel workbook."""
        return workbook_in(self.folder, self.report.month)

    @property
    def page(self) -> Path:
        """The page, to be opened in a browser."""
        return page_in(self.folder, self.report.month)


def produce(
    state: State,
    home: Path,
    figures: MonthFigures,
    company: str,
    zone: ZoneInfo,
    now: datetime,
    tell: Callable[[Produced], object] = lambda _produced: None,
) -> Produced:
    """Make the report of a month from what was computed now, write its files, and keep it.

    A closed month keeps the report that it was closed with; what is different today becomes its changes. A month counts as
    made only when its files stand and people are about to be told: whatever dies before that is made again.

    Args:
        company: name of the company, for headings.
        zone: the company's.
        tell: puts what people are told into the outbox, in the transaction that keeps the report.
    """
    month, today = figures.month, now.astimezone(zone).date()
    found = keys_of(figures.cases)
    while True:
        standing, accepted = _decisions(state, month)
        carried = _carried(state, figures.earlier, zone)
        if standing is None:
            seen = dict.fromkeys(found, today) | state.month_end_differences.first_seen(month)
            last_month = state.month_end_differences.open(before(month))
            report = Report(
                month=month,
                produced_at=now.astimezone(zone),
                totals=figures.totals,
                bridge=figures.bridge,
                cases=with_decisions(figures.cases, seen, last_month, accepted, zone),
                documents=figures.documents,
                company=company,
                carried=carried,
            )
        else:
            frozen = report_of(state, state.month_end_reports.get(standing.report_id), zone)
            report = replace(frozen, closing=_closing(standing, zone), changes=changes_since(frozen.cases, figures.cases))
        folder = reports_folder(home, month)
        write_files(report, folder)
        with state.transaction():
            decided = _decisions(state, month) == (standing, accepted)
            if not decided or not _carried(state, figures.earlier, zone).equals(carried):
                # Somebody accepted something, or closed the month, while the files were written.
                continue
            if standing is None:
                state.month_end_differences.record(month, found, today)
            produced = Produced(report, _keep(state, report, now, now).report_id, folder)
            tell(produced)
            return produced


def report_of(state: State, kept: KeptReport, zone: ZoneInfo) -> Report:
    """A kept report, as it was.

    Args:
        zone: the company's.
    """
    return unpacked(state.month_end_reports.content(kept.digest), kept.produced_at, zone)


def newest_of(state: State, month: date, until: datetime | None = None) -> KeptReport:
    """The newest report of a month that is kept; the one that was it at ``until``, where that is given.

    Raises:
        ConfigurationError: there is none.
    """
    found = state.month_end_reports.newest(month, until)
    if found is None:
        when = "" if until is None else " from that day or before"
        raise ConfigurationError([f"there is no report of {title_of(month)}{when}: qbsf reconcile --month {key_of(month)}"])
    return found


def accept(
    state: State, home: Path, month: date, case_key: str, reason: str, by: str, zone: ZoneInfo, now: datetime
) -> tuple[Produced, pl.DataFrame]:
    """Accept the difference of a case, with a reason, until its class or amounts change.

    Returns the report with it, and the rows of the case.

    Raises:
        ConfigurationError: the month is closed or has no report, there is no such case, it agrees, or no reason is given.
    """
    if not reason.strip():
        raise ConfigurationError(["--reason: say why the difference is accepted; it stands in the report"])
    with state.transaction():
        _must_be_open(state, month, zone)
        newest = newest_of(state, month)
        report = report_of(state, newest, zone)
        rows, problem = to_accept(report.cases, case_key)
        if problem is not None:
            raise ConfigurationError([where_to_accept(report.carried, case_key) or problem])
        state.month_end_differences.accept(
            [
                Acceptance(month, row["currency"], row["case_key"], row["amounts"], reason.strip(), by, now)
                for row in rows.iter_rows(named=True)
            ]
        )
        decided = replace(report, cases=_decided(state, month, report.cases, zone))
        kept = _keep(state, decided, newest.computed_at, now)
    return _written(Produced(decided, kept.report_id, reports_folder(home, month))), rows


def withdraw(state: State, home: Path, month: date, case_key: str, by: str, zone: ZoneInfo, now: datetime) -> Produced:
    """Take back that a case was accepted.

    Raises:
        ConfigurationError: the month is closed or has no report, or nobody accepted the case.
    """
    with state.transaction():
        _must_be_open(state, month, zone)
        newest = newest_of(state, month)
        report = report_of(state, newest, zone)
        rows, problem = to_accept(report.cases, case_key)
        known = rows.get_column("case_key").item(0) if problem is None else case_key.strip()
        if not state.month_end_differences.withdraw(month, known, by, now):
            raise ConfigurationError([f"nobody accepted case {known!r} in {title_of(month)}"])
        decided = replace(report, cases=_decided(state, month, report.cases, zone))
        kept = _keep(state, decided, newest.computed_at, now)
    return _written(Produced(decided, kept.report_id, reports_folder(home, month)))


def close(
    state: State, home: Path, month: date, by: str, zone: ZoneInfo, now: datetime, *, with_unexplained: bool = False
) -> Produced:
    """Close a month: its newest report stands from now on, and what changes later is told as a change.

    Raises:
        ConfigurationError: it is closed already, there is no report that was made after the month, or differences are
            unexplained and that is not wanted.
    """
    with state.transaction():
        kept = newest_of(state, month)
        report = report_of(state, kept, zone)
        problem = why_not_to_close(report, kept.computed_at.astimezone(zone).date(), with_unexplained=with_unexplained)
        if problem is not None and state.month_closings.in_force(month) is None:
            raise ConfigurationError([problem])
        try:
            standing = state.month_closings.close(month, kept.report_id, by, now)
        except AlreadyClosed as error:
            since = error.closing.closed_at.astimezone(zone)
            raise ConfigurationError(
                [f"{title_of(month)} is closed since {since:%d %b %Y} by {error.closing.closed_by}"]
            ) from error
        closed = replace(report, closing=_closing(standing, zone))
        again = _keep(state, closed, kept.computed_at, now)
    return _written(Produced(closed, again.report_id, reports_folder(home, month)))


def reopen(state: State, home: Path, month: date, by: str, reason: str | None, zone: ZoneInfo, now: datetime) -> Produced:
    """Open a closed month again. Until its next report is made, the one that it was closed with is its newest.

    Raises:
        ConfigurationError: it is open.
    """
    with state.transaction():
        ended = state.month_closings.reopen(month, by, reason, now)
        if ended is None:
            raise ConfigurationError([f"{title_of(month)} is not closed"])
        closed_with = state.month_end_reports.get(ended.report_id)
        report = report_of(state, closed_with, zone)
        kept = _keep(state, report, closed_with.computed_at, now)
    return _written(Produced(report, kept.report_id, reports_folder(home, month)))


def write_files(report: Report, folder: Path) -> None:
    """Write workbook and page into a folder; a reader never sees half of one."""
    # Both take a while to import, and most commands write neither.
    from qbsf_pipeline.reconciliation.page import page
    from qbsf_pipeline.reconciliation.workbook import workbook

    folder.mkdir(parents=True, exist_ok=True)
    _replace(workbook_in(folder, report.month), workbook(report, CLASSES))
    _replace(page_in(folder, report.month), page(report, CLASSES).encode("utf-8", "replace"))


def figures_of(report: Report) -> dict[str, Any]:
    """The figures of a report that a list of reports shows, by currency."""
    open_ones = dict(unexplained_of(report.cases).group_by("currency").len().iter_rows())
    totals = {
        row["currency"]: {name: value for name, value in row.items() if name not in ("month", "currency")}
        | {"unexplained_not_accepted": open_ones.get(row["currency"], 0)}
        for row in report.totals.sort("currency").iter_rows(named=True)
    }
    return {"totals": totals, "closed": report.closing is not None, "changes": report.changes.height}


def _written(produced: Produced) -> Produced:
    write_files(produced.report, produced.folder)
    return produced


def _decisions(state: State, month: date) -> tuple[MonthClosing | None, list[Acceptance]]:
    """What people decided of a month."""
    return state.month_closings.in_force(month), state.month_end_differences.accepted(month)


def _decided(state: State, month: date, cases: pl.DataFrame, zone: ZoneInfo) -> pl.DataFrame:
    differences = state.month_end_differences
    return with_decisions(
        cases, differences.first_seen(month), differences.open(before(month)), differences.accepted(month), zone
    )


def _carried(state: State, earlier: pl.DataFrame, zone: ZoneInfo) -> pl.DataFrame:
    """What of earlier months nobody accepted, each month as its own report shows it: columns of :data:`.report.REPORT_CASES`."""
    months = earlier.partition_by("month", maintain_order=True)
    decided = [_decided(state, rows.get_column("month").item(0), rows, zone) for rows in months]
    return pl.concat([REPORT_CASES.to_frame(), *decided]).filter(pl.col("accepted_by").is_null())


def _keep(state: State, report: Report, computed_at: datetime, now: datetime) -> KeptReport:
    return state.month_end_reports.keep(
        report.month,
        digest_of(report),
        packed(report),
        figures_of(report),
        produced_at=report.produced_at,
        computed_at=computed_at,
        now=now,
    )


def _closing(standing: MonthClosing, zone: ZoneInfo) -> Closing:
    return Closing(standing.closed_by, standing.closed_at.astimezone(zone))


def _must_be_open(state: State, month: date, zone: ZoneInfo) -> None:
    standing = state.month_closings.in_force(month)
    if standing is not None:
        closed = f"{title_of(month)} is closed since {standing.closed_at.astimezone(zone):%d %b %Y} by {standing.closed_by}"
        again = f"qbsf reconcile reopen --month {key_of(month)}"
        raise ConfigurationError([f"{closed}: its report stands. To change it: {again}"])


def _replace(path: Path, content: bytes) -> None:
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_bytes(content)
    fresh.replace(path)
