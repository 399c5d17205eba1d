"""The outbox: messages for people, kept until Slack has them. Slack may be down for as long as it likes.

Belongs here: which messages wait, in which order, and what became of them. Does not belong here: how they are sent.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, case, func, insert, literal, select, update

from qbsf_pipeline.money import to_json
from qbsf_pipeline.state.tables import Instant, outbox
from qbsf_pipeline.state.transactions import Transactions

_UNSENT = ("waiting", "sending")
_CHUNK = 500


@dataclass(frozen=True)
class Message:
    """A message for a channel (its name with ``#``, its id, or a user's id).

    ``dedupe_key``: what makes it the same message; it is taken in once, whatever its text. ``text`` is shown where
    ``blocks`` cannot be. ``thread_of``: the dedupe key of the message it answers. ``kind``: a short word for statistics.
    """

    dedupe_key: str
    channel: str
    text: str
    blocks: list[dict[str, Any]]
    thread_of: str | None = None
    kind: str = "message"


@dataclass(frozen=True)
class OutboxEntry:
    """A message that waits. ``uncertain``: it was sent and the answer was lost, so it may be there already; it was first
    sent at ``sending_at``. ``parent_ts`` is the parent's place in the channel; None without a parent, or with one that was
    never delivered."""

    entry_id: int
    message: Message
    attempts: int
    uncertain: bool
    sending_at: datetime | None
    parent_ts: str | None
    created_at: datetime
    next_attempt_at: datetime | None
    error: str | None


class Outbox:
    """The outbox in the state database."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def put(self, messages: Sequence[Message], now: datetime) -> int:
        """Take in messages in this order. One whose key was ever taken in before is left out. Returns how many are new."""
        new = 0
        with self._transactions.write() as connection:
            for message in messages:
                same = select(outbox.c.id).where(outbox.c.dedupe_key == message.dedupe_key)
                if connection.execute(same).first() is not None:
                    continue
                connection.execute(
                    insert(outbox).values(
                        dedupe_key=message.dedupe_key,
                        channel=message.channel,
                        text=message.text,
                        blocks=to_json(message.blocks),
                        thread_of=message.thread_of,
                        kind=message.kind,
                        status="waiting",
                        attempts=0,
                        created_at=now,
                    )
                )
                new += 1
        return new

    def due(self, now: datetime) -> list[OutboxEntry]:
        """What may be sent now, oldest first.

        A channel whose oldest message has to wait gives nothing, so that its messages keep their order. An answer waits
        for its parent without holding up the others; an answer whose parent never came or is dead stands by itself.
        """
        found: list[OutboxEntry] = []
        held: set[str] = set()
        for row, parent in self._unsent():
            if row.channel in held:
                continue
            if row.next_attempt_at is not None and row.next_attempt_at > now:
                held.add(row.channel)
                continue
            if parent is not None and parent.status in _UNSENT:
                continue
            found.append(_entry(row, parent))
        return found

    def pending(self) -> list[OutboxEntry]:
        """Everything that was not delivered yet, due or not, oldest first."""
        return [_entry(row, parent) for row, parent in self._unsent()]

    def reasons(self) -> list[str]:
        """Why messages wait, in Slack's words, each once."""
        return list(dict.fromkeys(entry.error for entry in self.pending() if entry.error))

    def mark_sending(self, entry_id: int, now: datetime) -> None:
        """It is about to be sent; commits before that.

        Raises:
            RuntimeError: called inside another transaction.
        """
        # While its outcome is not known, the first time it was sent is where a search for it has to begin.
        first = case((outbox.c.status == "sending", outbox.c.sending_at), else_=literal(now, Instant()))
        values = {"status": "sending", "attempts": outbox.c.attempts + 1, "sending_at": first, "next_attempt_at": None}
        with self._transactions.write(must_commit=True) as connection:
            connection.execute(update(outbox).where(outbox.c.id == entry_id, outbox.c.status.in_(_UNSENT)).values(values))

    def sent(self, entry_id: int, channel_id: str, ts: str, now: datetime) -> None:
        """Slack has it, in this channel at this place."""
        values = {"status": "sent", "channel_id": channel_id, "ts": ts, "sent_at": now, "error": None}
        self._set(entry_id, values)

    def failed(self, entry_id: int, error: str, retry_at: datetime) -> None:
        """Slack does not have it; it is sent again from ``retry_at`` on."""
        self._set(entry_id, {"status": "waiting", "error": error, "next_attempt_at": retry_at})

    def uncertain(self, entry_id: int, error: str, retry_at: datetime) -> None:
        """The answer was lost: look for it before it is sent again, from ``retry_at`` on."""
        self._set(entry_id, {"status": "sending", "error": error, "next_attempt_at": retry_at})

    def dead(self, entry_id: int, error: str) -> None:
        """Slack will never take it."""
        self._set(entry_id, {"status": "dead", "error": error, "next_attempt_at": None})

    def postpone(self, channel: str, error: str, retry_at: datetime) -> int:
        """Let everything that is unsent for a channel wait until ``retry_at``. Returns how many messages."""
        condition = (outbox.c.channel == channel, outbox.c.status.in_(_UNSENT))
        with self._transactions.write() as connection:
            changed = connection.execute(update(outbox).where(*condition).values(error=error, next_attempt_at=retry_at))
            return int(changed.rowcount)

    def channel_id(self, channel: str) -> str | None:
        """The id that Slack last gave for a channel, if a message was ever delivered there."""
        statement = select(outbox.c.channel_id).where(outbox.c.channel == channel, outbox.c.channel_id.is_not(None))
        with self._transactions.read() as connection:
            return connection.execute(statement.order_by(outbox.c.id.desc()).limit(1)).scalar()

    def last_sent_at(self, channel: str) -> datetime | None:
        """When a message was last delivered to a channel."""
        statement = select(outbox.c.sent_at).where(outbox.c.channel == channel, outbox.c.sent_at.is_not(None))
        with self._transactions.read() as connection:
            return connection.execute(statement.order_by(outbox.c.sent_at.desc()).limit(1)).scalar()

    def counts(self) -> dict[str, int]:
        """Number of messages by status (waiting, sending, sent, dead); a status without messages is left out."""
        statement = select(outbox.c.status, func.count()).group_by(outbox.c.status)
        with self._transactions.read() as connection:
            return {status: int(number) for status, number in connection.execute(statement)}

    def sent_since(self, begun: datetime) -> int:
        """How many messages were delivered since an instant."""
        statement = select(func.count()).select_from(outbox).where(outbox.c.status == "sent", outbox.c.sent_at >= begun)
        with self._transactions.read() as connection:
            return int(connection.execute(statement).scalar_one())

    def _set(self, entry_id: int, values: Mapping[str, Any]) -> None:
        with self._transactions.write() as connection:
            connection.execute(update(outbox).where(outbox.c.id == entry_id, outbox.c.status.in_(_UNSENT)).values(dict(values)))

    def _unsent(self) -> list[tuple[Row[Any], Row[Any] | None]]:
        statement = select(outbox).where(outbox.c.status.in_(_UNSENT)).order_by(outbox.c.id)
        with self._transactions.read() as connection:
            rows = list(connection.execute(statement))
            parents: dict[str, Row[Any]] = {}
            keys = sorted({row.thread_of for row in rows if row.thread_of is not None})
            for start in range(0, len(keys), _CHUNK):
                of_parents = select(outbox).where(outbox.c.dedupe_key.in_(keys[start : start + _CHUNK]))
                parents.update((row.dedupe_key, row) for row in connection.execute(of_parents))
        return [(row, parents.get(row.thread_of) if row.thread_of != row.dedupe_key else None) for row in rows]


def channels(entries: Collection[OutboxEntry]) -> dict[str, list[OutboxEntry]]:
    """Entries by channel, each in its order."""
    found: dict[str, list[OutboxEntry]] = {}
    for entry in entries:
        found.setdefault(entry.message.channel, []).append(entry)
    return found


def _entry(row: Row[Any], parent: Row[Any] | None) -> OutboxEntry:
    # Not money: numbers in blocks are for Slack, whose SDK writes no Decimal.
    blocks = json.loads(row.blocks)
    message = Message(row.dedupe_key, row.channel, row.text, blocks, row.thread_of, row.kind)
    return OutboxEntry(
        entry_id=row.id,
        message=message,
        attempts=row.attempts,
        uncertain=row.status == "sending",
        sending_at=row.sending_at,
        parent_ts=parent.ts if parent is not None and parent.status == "sent" else None,
        created_at=row.created_at,
        next_attempt_at=row.next_attempt_at,
        error=row.error,
    )
