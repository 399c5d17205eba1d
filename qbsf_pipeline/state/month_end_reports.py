"""Month-end reports as they were made: every one that differed from the one before is kept and can be taken out again.

Belongs here: packed content, figures for a list, when it was made. Does not belong here: what a report says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Row, func, insert, select, update

from qbsf_pipeline.money import parse_json, to_json
from qbsf_pipeline.state.tables import month_end_contents, month_end_reports
from qbsf_pipeline.state.transactions import Transactions


@dataclass(frozen=True)
class KeptReport:
    """A report that was made.

    Attributes:
        report_id: ``M-`` and a number.
        month: its first day.
        digest: what makes it the same content.
        produced_at: when its figures were computed first (UTC).
        kept_at: since when it was the newest of its month (UTC).
        computed_at: when it was last computed, with the same outcome (UTC); a decision of a person computes nothing.
        figures: numbers to show in a list, by currency.
    """

    report_id: str
    month: date
    digest: str
    produced_at: datetime
    kept_at: datetime
    computed_at: datetime
    figures: Mapping[str, Any]


# Inside the class, `list` is one of its methods.
KeptReports = list[KeptReport]


class UnknownReport(LookupError):
    """There is no report of that id."""


class MonthEndReports:
    """The reports in the state database."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def keep(
        self,
        month: date,
        digest: str,
        content: bytes,
        figures: Mapping[str, Any],
        *,
        produced_at: datetime,
        computed_at: datetime,
        now: datetime,
    ) -> KeptReport:
        """Keep a report. One like the newest of its month is not kept again: that one was computed once more."""
        table = month_end_reports
        with self._transactions.write() as connection:
            newest = self.newest(month)
            if newest is not None and newest.digest == digest:
                number = _number(newest.report_id)
                computed_at = max(computed_at, newest.computed_at)
                connection.execute(update(table).where(table.c.id == number).values(computed_at=computed_at))
                return self.get(newest.report_id)
            known = select(month_end_contents.c.digest).where(month_end_contents.c.digest == digest)
            if connection.execute(known).first() is None:
                connection.execute(insert(month_end_contents).values(digest=digest, content=content))
            values = {
                "month": month,
                "digest": digest,
                "produced_at": produced_at,
                "kept_at": now,
                "computed_at": computed_at,
                "figures": to_json(dict(figures)),
            }
            key = connection.execute(insert(table).values(values)).inserted_primary_key
            assert key is not None
            return self.get(f"M-{key[0]}")

    def content(self, digest: str) -> bytes:
        """The packed content of a report.

        Raises:
            UnknownReport: no report has it.
        """
        statement = select(month_end_contents.c.content).where(month_end_contents.c.digest == digest)
        with self._transactions.read() as connection:
            found = connection.execute(statement).scalar()
        if found is None:
            raise UnknownReport(digest)
        return bytes(found)

    def get(self, report_id: str) -> KeptReport:
        """One report by its id (``M-12``, ``m-12`` or ``12``).

        Raises:
            UnknownReport: there is no such report.
        """
        statement = select(month_end_reports).where(month_end_reports.c.id == _number(report_id))
        with self._transactions.read() as connection:
            row = connection.execute(statement).one_or_none()
        if row is None:
            raise UnknownReport(report_id)
        return _kept(row)

    def newest(self, month: date, until: datetime | None = None) -> KeptReport | None:
        """The newest report of a month; the one that was the newest at ``until``, where that is given. None: there is none."""
        table = month_end_reports
        statement = select(table).where(table.c.month == month).order_by(table.c.id.desc()).limit(1)
        if until is not None:
            statement = statement.where(table.c.kept_at <= until)
        with self._transactions.read() as connection:
            row = connection.execute(statement).one_or_none()
        return None if row is None else _kept(row)

    def list(self, month: date | None = None) -> KeptReports:
        """The reports of a month, or of all, the newest month and report first."""
        table = month_end_reports
        statement = select(table).order_by(table.c.month.desc(), table.c.id.desc())
        if month is not None:
            statement = statement.where(table.c.month == month)
        with self._transactions.read() as connection:
            return [_kept(row) for row in connection.execute(statement)]

    def first_kept(self) -> datetime | None:
        """When the first report of all was made; None: never."""
        with self._transactions.read() as connection:
            return connection.execute(select(func.min(month_end_reports.c.kept_at))).scalar()

    def last_computed(self) -> dict[date, datetime]:
        """When a report of each month was computed last (UTC)."""
        table = month_end_reports
        found: dict[date, datetime] = {}
        with self._transactions.read() as connection:
            for month, computed_at in connection.execute(select(table.c.month, table.c.computed_at)):
                found[month] = max(computed_at, found.get(month, computed_at))
        return found


def _number(report_id: str) -> int:
    digits = report_id.strip().upper().removeprefix("M-")
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 10):
        raise UnknownReport(report_id)
    return int(digits)


def _kept(row: Row[Any]) -> KeptReport:
    return KeptReport(
        report_id=f"M-{row.id}",
        month=row.month,
        digest=row.digest,
        produced_at=row.produced_at,
        kept_at=row.kept_at,
        computed_at=row.computed_at,
        figures=parse_json(row.figures),
    )
