"""Reminders: which invoices QuickBooks was asked to mail again, and when.

Belongs here: what was sent. Does not belong here: whether another one may be.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select

from qbsf_pipeline.state.tables import reminders, storable
from qbsf_pipeline.state.transactions import Transactions


@dataclass(frozen=True)
class Reminder:
    """An invoice was mailed to its customer again.

    Attributes:
        invoice_id: QuickBooks' id.
        number: counts the reminders of this invoice from 1.
        request_id: of the call that sent it.
        sent_at: when (UTC).
    """

    invoice_id: str
    number: int
    request_id: str
    sent_at: datetime


class Reminders:
    """The reminders in the state database."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def record(self, invoice_id: str, request_id: str, sent_at: datetime) -> Reminder:
        """Remember that a reminder was sent. The same call recorded again is still one reminder."""
        invoice_id, request_id = storable(invoice_id), storable(request_id)
        with self._transactions.write():
            known = self.sent(invoice_id)
            for reminder in known:
                if reminder.request_id == request_id:
                    return reminder
            new = Reminder(invoice_id, len(known) + 1, request_id, sent_at)
            with self._transactions.write() as connection:
                connection.execute(insert(reminders).values(**vars(new)))
        return new

    def sent(self, invoice_id: str) -> list[Reminder]:
        """The reminders of one invoice, oldest first."""
        table = reminders
        statement = select(table).where(table.c.invoice_id == invoice_id).order_by(table.c.number)
        with self._transactions.read() as connection:
            return [Reminder(**row._mapping) for row in connection.execute(statement)]

    def all(self) -> list[Reminder]:
        """Every reminder, by invoice and number."""
        statement = select(reminders).order_by(reminders.c.invoice_id, reminders.c.number)
        with self._transactions.read() as connection:
            return [Reminder(**row._mapping) for row in connection.execute(statement)]
