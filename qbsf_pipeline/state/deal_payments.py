"""Deal payments: what was last known of how far each deal is paid, so that a change is noticed once.

Belongs here: remembering it. Does not belong here: how a status is derived.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import select

from qbsf_pipeline.state.tables import deal_payments, storable
from qbsf_pipeline.state.transactions import Transactions
from qbsf_pipeline.state.upserts import upsert


@dataclass(frozen=True)
class DealPayment:
    """How far a deal was paid when it was last looked at.

    Attributes:
        opportunity_id: the deal, 18 characters.
        status: the payment status, in the words of ``Payment_Status__c``.
        balance: what is open, in ``currency``; None where no invoice says.
        currency: ISO code.
        fingerprint: hash of what was applied to its invoices.
        stage_before: the stage that the deal had before it was moved to the paid stage; None when it was not moved.
        times_paid: how often it became paid in full.
        updated_at: when this was stored (UTC); :meth:`DealPayments.put` sets it.
    """

    opportunity_id: str
    status: str
    balance: Decimal | None
    currency: str | None
    fingerprint: str
    stage_before: str | None = None
    times_paid: int = 0
    updated_at: datetime | None = None


class DealPayments:
    """What is known of deals in the state database."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def all(self) -> dict[str, DealPayment]:
        """Every deal that was ever seen with an invoice, by opportunity id."""
        with self._transactions.read() as connection:
            rows = connection.execute(select(deal_payments).order_by(deal_payments.c.opportunity_id))
            return {row.opportunity_id: DealPayment(**row._mapping) for row in rows}

    def put(self, deals: Sequence[DealPayment], now: datetime) -> None:
        """Remember deals in place of what was known of them, all of them or none.

        Raises:
            ValueError: one deal twice.
        """
        rows = [
            {
                "opportunity_id": deal.opportunity_id,
                "status": deal.status,
                "balance": deal.balance,
                "currency": deal.currency,
                "fingerprint": deal.fingerprint,
                "stage_before": deal.stage_before,
                "times_paid": deal.times_paid,
                "updated_at": now,
            }
            for deal in deals
        ]
        if len({storable(deal.opportunity_id) for deal in deals}) != len(rows):
            raise ValueError("a deal is remembered once; it was given more than once")
        with self._transactions.write() as connection:
            upsert(connection, deal_payments, rows)
