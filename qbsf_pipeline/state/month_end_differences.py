"""Differences of month-end reports over time: since when each is there, and which of them people accepted.

Belongs here: first and last sight, acceptances with name and reason. Does not belong here: what a difference is.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TypeAlias

from sqlalchemy import Row, and_, insert, or_, select, update

from qbsf_pipeline.state.tables import month_end_acceptances, month_end_differences, storable
from qbsf_pipeline.state.transactions import Transactions
from qbsf_pipeline.state.upserts import upsert

_CHUNK = 200
#: currency and case_key: what makes it the same difference in a month.
DifferenceKey: TypeAlias = tuple[str, str]


@dataclass(frozen=True)
class Acceptance:
    """A difference that a person accepted. It holds while the class and the amounts of its case are ``amounts``."""

    month: date
    currency: str
    case_key: str
    amounts: str
    reason: str
    accepted_by: str
    accepted_at: datetime


class MonthEndDifferences:
    """The differences in the state database. A row is kept when its difference is gone, with the date of its first time."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def record(self, month: date, found: Collection[DifferenceKey], day: date) -> None:
        """Take in everything that differs in a month on ``day``: what is not among it any more is gone since then."""
        table = month_end_differences
        current = {(storable(currency), storable(case_key)) for currency, case_key in found}
        rows = [
            {
                "month": month,
                "currency": currency,
                "case_key": case_key,
                "first_seen_on": day,
                "last_seen_on": day,
                "gone_on": None,
            }
            for currency, case_key in sorted(current)
        ]
        with self._transactions.write() as connection:
            upsert(connection, table, rows, keep={"first_seen_on"})
            known = select(table.c.currency, table.c.case_key).where(table.c.month == month, table.c.gone_on.is_(None))
            gone = sorted({(row.currency, row.case_key) for row in connection.execute(known)} - current)
            for start in range(0, len(gone), _CHUNK):
                some = or_(*(and_(table.c.currency == one, table.c.case_key == key) for one, key in gone[start : start + _CHUNK]))
                connection.execute(update(table).where(table.c.month == month, some).values(gone_on=day))

    def first_seen(self, month: date) -> dict[DifferenceKey, date]:
        """The day of the first report of a month that had a difference, by currency and case; also of what is gone."""
        table = month_end_differences
        statement = select(table.c.currency, table.c.case_key, table.c.first_seen_on).where(table.c.month == month)
        with self._transactions.read() as connection:
            return {(row.currency, row.case_key): row.first_seen_on for row in connection.execute(statement)}

    def open(self, month: date) -> set[DifferenceKey]:
        """What the newest report of a month has, by currency and case."""
        table = month_end_differences
        statement = select(table.c.currency, table.c.case_key).where(table.c.month == month, table.c.gone_on.is_(None))
        with self._transactions.read() as connection:
            return {(row.currency, row.case_key) for row in connection.execute(statement)}

    def accept(self, acceptances: Sequence[Acceptance]) -> None:
        """Remember what a person accepted; what was accepted of the same cases before is withdrawn by it."""
        with self._transactions.write() as connection:
            for one in acceptances:
                self.withdraw(one.month, one.case_key, one.accepted_by, one.accepted_at, currency=one.currency)
                connection.execute(insert(month_end_acceptances).values(vars(one)))

    def withdraw(self, month: date, case_key: str, by: str, now: datetime, *, currency: str | None = None) -> int:
        """Take back that a case was accepted. Returns how many acceptances ended."""
        table = month_end_acceptances
        standing = [table.c.month == month, table.c.case_key == storable(case_key), table.c.withdrawn_at.is_(None)]
        if currency is not None:
            standing.append(table.c.currency == currency)
        with self._transactions.write() as connection:
            return connection.execute(update(table).where(*standing).values(withdrawn_by=by, withdrawn_at=now)).rowcount

    def accepted(self, month: date) -> list[Acceptance]:
        """What people accepted in a month and did not take back, oldest first; it may have other amounts by now."""
        table = month_end_acceptances
        statement = select(table).where(table.c.month == month, table.c.withdrawn_at.is_(None)).order_by(table.c.id)
        with self._transactions.read() as connection:
            return [_acceptance(row) for row in connection.execute(statement)]


def _acceptance(row: Row[Any]) -> Acceptance:
    return Acceptance(
        month=row.month,
        currency=row.currency,
        case_key=row.case_key,
        amounts=row.amounts,
        reason=row.reason,
        accepted_by=row.accepted_by,
        accepted_at=row.accepted_at,
    )
