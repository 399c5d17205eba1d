"""Crossings: which invoice has been how many days past due, each threshold of it told once.

Belongs here: what was crossed and what was told. Does not belong here: which thresholds there are.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from sqlalchemy import select, tuple_, update

from qbsf_pipeline.state.tables import crossings, storable
from qbsf_pipeline.state.transactions import Transactions
from qbsf_pipeline.state.upserts import insert_new

_CHUNK = 250


@dataclass(frozen=True)
class Crossing:
    """An invoice that was open more than ``threshold`` days past due.

    Attributes:
        invoice_id: QuickBooks' id.
        threshold: days past due.
        opportunity_id: the deal; None for an invoice without one.
        crossed_on: the day on which it was crossed, by the company's calendar.
        seen_at: when it was recorded (UTC); :meth:`Crossings.record` sets it.
        announced_at: when people were told; None: not yet.
    """

    invoice_id: str
    threshold: int
    opportunity_id: str | None
    crossed_on: date
    seen_at: datetime | None = None
    announced_at: datetime | None = None

    @property
    def key(self) -> tuple[str, int]:
        """What makes it the same crossing."""
        return self.invoice_id, self.threshold


class Crossings:
    """The crossings in the state database.

    A row is kept when its invoice is paid: an invoice that is paid and reopened counts again past its next threshold only.
    """

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def record(self, found: Sequence[Crossing], now: datetime) -> list[Crossing]:
        """Remember crossings; one that was ever recorded stays as it was. Returns those that are new, in their order.

        Of several of one invoice and threshold the first counts.
        """
        first: dict[tuple[str, int], Crossing] = {}
        for crossing in found:
            first.setdefault((storable(crossing.invoice_id), crossing.threshold), crossing)
        rows = [
            {
                "invoice_id": invoice_id,
                "threshold": threshold,
                "opportunity_id": crossing.opportunity_id,
                "crossed_on": crossing.crossed_on,
                "seen_at": now,
            }
            for (invoice_id, threshold), crossing in first.items()
        ]
        with self._transactions.write() as connection:
            places = insert_new(connection, crossings, rows)
        given = list(first.items())
        return [
            replace(crossing, invoice_id=invoice_id, seen_at=now, announced_at=None)
            for (invoice_id, _), crossing in (given[place] for place in places)
        ]

    def all(self) -> list[Crossing]:
        """Everything that was ever crossed, by invoice and threshold."""
        return self._select()

    def unannounced(self) -> list[Crossing]:
        """What nobody was told yet, by invoice and threshold."""
        return self._select(only_unannounced=True)

    def announce(self, keys: Collection[tuple[str, int]], now: datetime) -> None:
        """People were told of these invoices and thresholds. What was told already keeps its time."""
        table = crossings
        wanted = [(storable(invoice_id), threshold) for invoice_id, threshold in keys]
        with self._transactions.write() as connection:
            for start in range(0, len(wanted), _CHUNK):
                some = tuple_(table.c.invoice_id, table.c.threshold).in_(wanted[start : start + _CHUNK])
                connection.execute(update(table).where(some, table.c.announced_at.is_(None)).values(announced_at=now))

    def _select(self, *, only_unannounced: bool = False) -> list[Crossing]:
        table = crossings
        statement = select(table).order_by(table.c.invoice_id, table.c.threshold)
        if only_unannounced:
            statement = statement.where(table.c.announced_at.is_(None))
        with self._transactions.read() as connection:
            return [Crossing(**row._mapping) for row in connection.execute(statement)]
