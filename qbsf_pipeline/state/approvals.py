"""Approvals: what a person let through or held back, by plan or by the batch of a whole pass.

Belongs here: the decisions. Does not belong here: which plans need one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, cast

from sqlalchemy import insert, select

from qbsf_pipeline.state.tables import approvals
from qbsf_pipeline.state.transactions import Transactions

Verdict = Literal["approved", "rejected"]


@dataclass(frozen=True)
class Approval:
    """Who said what about a plan id or batch id (``subject``), and when."""

    subject: str
    decision: Verdict
    decided_by: str
    decided_at: datetime
    reason: str | None


class Approvals:
    """The approvals in the state database. Nothing is ever overwritten; the newest word about a subject counts."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def approve(self, subject: str, by: str, now: datetime, reason: str | None = None) -> None:
        """Let a plan, or every plan of a batch, through."""
        self._say(subject, "approved", by, now, reason)

    def reject(self, subject: str, by: str, now: datetime, reason: str | None = None) -> None:
        """Hold a plan, or every plan of a batch, back."""
        self._say(subject, "rejected", by, now, reason)

    def decision(self, plan_id: str, batch: str | None = None) -> Verdict | None:
        """What was decided about a plan: about itself, else about the batch it came with; None: nothing yet."""
        known = self.decisions()
        return known.get(plan_id) or (known.get(batch) if batch else None)

    def decisions(self) -> dict[str, Verdict]:
        """What counts now, by plan id or batch id."""
        return {approval.subject: approval.decision for approval in self.history()}

    def history(self) -> list[Approval]:
        """Everything that was ever said, oldest first."""
        with self._transactions.read() as connection:
            rows = connection.execute(select(approvals).order_by(approvals.c.number))
            return [
                Approval(row.subject, cast(Verdict, row.decision), row.decided_by, row.decided_at, row.reason) for row in rows
            ]

    def _say(self, subject: str, decision: Verdict, by: str, now: datetime, reason: str | None) -> None:
        values = {"subject": subject, "decision": decision, "decided_by": by, "decided_at": now, "reason": reason}
        with self._transactions.write() as connection:
            connection.execute(insert(approvals).values(values))
