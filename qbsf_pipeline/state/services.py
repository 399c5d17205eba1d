"""Outages: which service is down since when, so that people are told once when it goes and once when it comes back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select, update

from qbsf_pipeline.state.tables import outages
from qbsf_pipeline.state.transactions import Transactions


@dataclass(frozen=True)
class Outage:
    """``system`` is down since ``since``; ``reason`` is the newest one."""

    system: str
    since: datetime
    reason: str


class Services:
    """The outages in the state database."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def went_down(self, system: str, reason: str, now: datetime) -> bool:
        """A service could not be used. True the first time, False while it stays down."""
        with self._transactions.write() as connection:
            changed = connection.execute(update(outages).where(outages.c.system == system).values(reason=reason))
            if changed.rowcount:
                return False
            connection.execute(insert(outages).values(system=system, since=now, reason=reason))
            return True

    def came_back(self, system: str, now: datetime) -> timedelta | None:
        """A service could be used. How long it was down, or None when it was not."""
        with self._transactions.write() as connection:
            since: datetime | None = connection.execute(select(outages.c.since).where(outages.c.system == system)).scalar()
            if since is None:
                return None
            connection.execute(delete(outages).where(outages.c.system == system))
            return max(now - since, timedelta())

    def down(self) -> dict[str, Outage]:
        """What is down now, by system."""
        with self._transactions.read() as connection:
            rows = connection.execute(select(outages).order_by(outages.c.since))
            return {row.system: Outage(row.system, row.since, row.reason) for row in rows}
