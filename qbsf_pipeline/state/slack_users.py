"""Slack users: who has which e-mail address in Slack, as Slack said lately, also whom it does not know.

Belongs here: what Slack said. Does not belong here: asking it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select

from qbsf_pipeline.state.tables import slack_users
from qbsf_pipeline.state.transactions import Transactions
from qbsf_pipeline.state.upserts import upsert

#: How long an answer counts. Slack limits how often it may be asked; people come and go.
KEPT_FOR = timedelta(days=1)


@dataclass(frozen=True)
class SlackUser:
    """What Slack said of an e-mail address at ``looked_up_at`` (UTC); ``slack_user_id`` is None for whom it does not know."""

    email: str
    slack_user_id: str | None
    looked_up_at: datetime


class SlackUsers:
    """Slack's answers in the state database, by e-mail address whatever its case."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def get(self, email: str, now: datetime) -> SlackUser | None:
        """The last answer; None when Slack was never asked, or longer ago than :data:`KEPT_FOR`."""
        with self._transactions.read() as connection:
            row = connection.execute(select(slack_users).where(slack_users.c.email == _key(email))).one_or_none()
        if row is None or now - row.looked_up_at > KEPT_FOR:
            return None
        return SlackUser(row.email, row.slack_user_id, row.looked_up_at)

    def put(self, email: str, slack_user_id: str | None, now: datetime) -> None:
        """Keep an answer in place of an earlier one; ``slack_user_id`` None: Slack does not know the address."""
        row = {"email": _key(email), "slack_user_id": slack_user_id, "looked_up_at": now}
        with self._transactions.write() as connection:
            upsert(connection, slack_users, [row])


def _key(email: str) -> str:
    return email.strip().lower()
