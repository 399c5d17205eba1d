"""Rejections: accounts of which a person said that they are not a certain customer.

Belongs here: what was said. Does not belong here: what matching does with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select, update

from qbsf_pipeline.state.tables import match_rejections
from qbsf_pipeline.state.transactions import Transactions
from qbsf_pipeline.state.upserts import upsert


@dataclass(frozen=True)
class Rejection:
    """An account of Salesforce is not a customer of QuickBooks, because ``decided_by`` said so."""

    account_id: str
    customer_id: str
    decided_by: str
    decided_at: datetime
    reason: str | None = None


class Rejections:
    """The rejections in the state database."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def reject(self, account_id: str, customer_id: str, by: str, now: datetime, reason: str | None = None) -> None:
        """An account is not a customer: the program never links the two again. A link in force is not undone by it."""
        row = {
            "account_id": account_id,
            "customer_id": customer_id,
            "decided_by": by,
            "decided_at": now,
            "reason": reason,
            "active": True,
        }
        with self._transactions.write() as connection:
            upsert(connection, match_rejections, [row])

    def withdraw(self, account_id: str, customer_id: str) -> bool:
        """Take a rejection back; False when there is none."""
        table = match_rejections
        same = (table.c.account_id == account_id, table.c.customer_id == customer_id, table.c.active)
        with self._transactions.write() as connection:
            return bool(connection.execute(update(table).where(*same).values(active=False)).rowcount)

    def all(self) -> list[Rejection]:
        """Every rejection in force, by account and customer."""
        table = match_rejections
        statement = select(table).where(table.c.active).order_by(table.c.account_id, table.c.customer_id)
        with self._transactions.read() as connection:
            return [
                Rejection(row.account_id, row.customer_id, row.decided_by, row.decided_at, row.reason)
                for row in connection.execute(statement)
            ]


def is_rejected(connection: Connection, account_id: str, customer_id: str) -> bool:
    """Whether somebody said, inside this transaction's view, that the account is not the customer."""
    table = match_rejections
    same = (table.c.account_id == account_id, table.c.customer_id == customer_id, table.c.active)
    return connection.execute(select(table.c.active).where(*same)).first() is not None
