"""Which months were closed, by whom, and with which report; and which were opened again.

Belongs here: that a month is closed. Does not belong here: what may be closed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Row, insert, select, update

from qbsf_pipeline.state.tables import month_closings
from qbsf_pipeline.state.transactions import Transactions


@dataclass(frozen=True)
class MonthClosing:
    """A month that was closed.

    Attributes:
        month: its first day.
        report_id: the report that stands for the month since then.
        reopened_by, reopened_at, reopened_reason: None as long as it is closed.
    """

    month: date
    report_id: str
    closed_by: str
    closed_at: datetime
    reopened_by: str | None = None
    reopened_at: datetime | None = None
    reopened_reason: str | None = None


class AlreadyClosed(Exception):
    """The month is closed already.

    Attributes:
        closing: since when, and by whom.
    """

    def __init__(self, closing: MonthClosing) -> None:
        self.closing = closing
        super().__init__(f"{closing.month:%Y-%m} is closed since {closing.closed_at:%Y-%m-%d} by {closing.closed_by}")


class MonthClosings:
    """The closings in the state database."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def close(self, month: date, report_id: str, by: str, now: datetime) -> MonthClosing:
        """Close a month with one of its reports.

        Raises:
            AlreadyClosed: it is closed; nothing changes.
        """
        with self._transactions.write() as connection:
            standing = self.in_force(month)
            if standing is not None:
                raise AlreadyClosed(standing)
            number = int(report_id.removeprefix("M-"))
            values = {"month": month, "report_id": number, "closed_by": by, "closed_at": now}
            connection.execute(insert(month_closings).values(values))
            return MonthClosing(month, report_id, by, now)

    def reopen(self, month: date, by: str, reason: str | None, now: datetime) -> MonthClosing | None:
        """Open a closed month again. Returns the closing that ended; None where the month was open."""
        table = month_closings
        with self._transactions.write() as connection:
            standing = self.in_force(month)
            if standing is None:
                return None
            ended = update(table).where(table.c.month == month, table.c.reopened_at.is_(None))
            connection.execute(ended.values(reopened_by=by, reopened_at=now, reopened_reason=reason))
            return standing

    def in_force(self, month: date) -> MonthClosing | None:
        """The closing of a month; None while it is open."""
        table = month_closings
        statement = select(table).where(table.c.month == month, table.c.reopened_at.is_(None))
        with self._transactions.read() as connection:
            row = connection.execute(statement).first()
        return None if row is None else _closing(row)

    def history(self, month: date | None = None) -> list[MonthClosing]:
        """Every closing, also those that were taken back, oldest first; of one month where it is given."""
        table = month_closings
        statement = select(table).order_by(table.c.id)
        if month is not None:
            statement = statement.where(table.c.month == month)
        with self._transactions.read() as connection:
            return [_closing(row) for row in connection.execute(statement)]


def _closing(row: Row[Any]) -> MonthClosing:
    return MonthClosing(
        month=row.month,
        report_id=f"M-{row.report_id}",
        closed_by=row.closed_by,
        closed_at=row.closed_at,
        reopened_by=row.reopened_by,
        reopened_at=row.reopened_at,
        reopened_reason=row.reopened_reason,
    )
