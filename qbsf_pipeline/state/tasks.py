"""Tasks: which Task in Salesforce asks somebody to see after an overdue invoice.

Belongs here: what was created and closed. Does not belong here: when a task is wanted.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update

from qbsf_pipeline.state.tables import tasks
from qbsf_pipeline.state.transactions import Transactions
from qbsf_pipeline.state.upserts import upsert


@dataclass(frozen=True)
class InvoiceTask:
    """A Task of Salesforce for an invoice that is ``threshold`` days past due.

    ``closed_at`` is None while the task is open, as far as the program knows.
    """

    invoice_id: str
    threshold: int
    task_id: str
    created_at: datetime
    closed_at: datetime | None = None


class Tasks:
    """The tasks in the state database."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def all(self) -> list[InvoiceTask]:
        """Every task, by invoice and threshold."""
        statement = select(tasks).order_by(tasks.c.invoice_id, tasks.c.threshold)
        with self._transactions.read() as connection:
            return [InvoiceTask(**row._mapping) for row in connection.execute(statement)]

    def put(self, invoice_id: str, threshold: int, task_id: str, now: datetime) -> None:
        """Remember the task that was created. The same task put again stays as it was, closed or not."""
        row = {"invoice_id": invoice_id, "threshold": threshold, "task_id": task_id, "created_at": now, "closed_at": None}
        table = tasks
        same = (table.c.invoice_id == invoice_id, table.c.threshold == threshold, table.c.task_id == task_id)
        with self._transactions.write() as connection:
            if connection.execute(select(table.c.task_id).where(*same)).first() is None:
                upsert(connection, table, [row])

    def close(self, invoice_id: str, threshold: int, now: datetime) -> bool:
        """The task was closed; False when there is none that is open."""
        table = tasks
        same = (table.c.invoice_id == invoice_id, table.c.threshold == threshold, table.c.closed_at.is_(None))
        with self._transactions.write() as connection:
            return bool(connection.execute(update(table).where(*same).values(closed_at=now)).rowcount)
