"""Agreements: what each field of an account and its customer meant on both sides when they last agreed.

Belongs here: remembering it. Does not belong here: how meanings are found and compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select

from qbsf_pipeline.money import parse_json, to_json
from qbsf_pipeline.state.tables import field_agreements, storable
from qbsf_pipeline.state.transactions import Transactions
from qbsf_pipeline.state.upserts import upsert


@dataclass(frozen=True)
class Agreement:
    """The last agreement of an account and a customer. ``values``: by field, what it meant in Salesforce and what it meant
    in QuickBooks (None: empty); the two differ where a difference was accepted."""

    account_id: str
    customer_id: str
    values: Mapping[str, tuple[str | None, str | None]]


class Agreements:
    """The agreements in the state database."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def all(self) -> list[Agreement]:
        """Every agreement, by account and customer."""
        table = field_agreements
        statement = select(table.c.account_id, table.c.customer_id, table.c["values"])
        with self._transactions.read() as connection:
            rows = connection.execute(statement.order_by(table.c.account_id, table.c.customer_id)).all()
        return [Agreement(account_id, customer_id, _meanings(text)) for account_id, customer_id, text in rows]

    def put(self, agreements: Sequence[Agreement], now: datetime) -> None:
        """Remember agreements in place of earlier ones of the same accounts and customers, all of them or none.

        Raises:
            ValueError: one account and customer twice.
        """
        rows = [
            {
                "account_id": agreement.account_id,
                "customer_id": agreement.customer_id,
                "values": to_json({field: list(pair) for field, pair in agreement.values.items()}, sort_keys=True),
                "agreed_at": now,
            }
            for agreement in agreements
        ]
        if len({(storable(agreement.account_id), storable(agreement.customer_id)) for agreement in agreements}) != len(rows):
            raise ValueError("an account and a customer have one agreement; it was given more than once")
        with self._transactions.write() as connection:
            upsert(connection, field_agreements, rows)

    def forget(self, account_id: str, customer_id: str) -> None:
        """Drop what an account and a customer agreed on: their next difference is a first one."""
        table = field_agreements
        same = (table.c.account_id == account_id, table.c.customer_id == customer_id)
        with self._transactions.write() as connection:
            connection.execute(delete(table).where(*same))


def _meanings(text: str) -> dict[str, tuple[str | None, str | None]]:
    return {field: (salesforce, quickbooks) for field, (salesforce, quickbooks) in parse_json(text).items()}
