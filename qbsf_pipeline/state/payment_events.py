"""Payment events: what happened to deals that people are told, each of them once.

Belongs here: which events there were and which were told. Does not belong here: what is an event, or what a message says.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import select, update

from qbsf_pipeline.money import parse_json, to_json
from qbsf_pipeline.state.tables import payment_events, storable
from qbsf_pipeline.state.transactions import Transactions
from qbsf_pipeline.state.upserts import insert_new

_CHUNK = 500


@dataclass(frozen=True)
class PaymentEvent:
    """Something that happened to a deal's payments.

    Attributes:
        event_key: what makes it the same event, however often a pass finds it.
        kind: such as ``paid``, ``reopened``, ``partly_paid``, ``voided``.
        opportunity_id: the deal, 18 characters.
        payload: what a message needs. JSON: Decimals keep their value, dates are texts.
        created_at: when it was recorded (UTC); :meth:`PaymentEvents.record` sets it.
        announced_at: when people were told; None: not yet.
    """

    event_key: str
    kind: str
    opportunity_id: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    created_at: datetime | None = None
    announced_at: datetime | None = None


class PaymentEvents:
    """The events in the state database. None is ever taken out or changed."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def record(self, events: Sequence[PaymentEvent], now: datetime) -> list[PaymentEvent]:
        """Remember events; one whose key was ever recorded stays as it was. Returns those that are new, in their order.

        Of several with one key the first counts.
        """
        first: dict[str, PaymentEvent] = {}
        for event in events:
            first.setdefault(storable(event.event_key), event)
        rows = [
            {
                "event_key": key,
                "kind": event.kind,
                "opportunity_id": event.opportunity_id,
                "payload": to_json(dict(event.payload), sort_keys=True),
                "created_at": now,
            }
            for key, event in first.items()
        ]
        with self._transactions.write() as connection:
            places = insert_new(connection, payment_events, rows)
        given = list(first.items())
        return [replace(event, event_key=key, created_at=now, announced_at=None) for key, event in (given[n] for n in places)]

    def recorded(self, event_keys: Collection[str]) -> set[str]:
        """Which of these keys were ever recorded."""
        table = payment_events
        keys = {storable(key): key for key in event_keys}
        found: set[str] = set()
        with self._transactions.read() as connection:
            for start in range(0, len(keys), _CHUNK):
                some = table.c.event_key.in_(list(keys)[start : start + _CHUNK])
                found |= {keys[key] for key in connection.execute(select(table.c.event_key).where(some)).scalars()}
        return found

    def unannounced(self) -> list[PaymentEvent]:
        """What nobody was told yet, oldest first."""
        table = payment_events
        statement = select(table).where(table.c.announced_at.is_(None)).order_by(table.c.created_at, table.c.event_key)
        with self._transactions.read() as connection:
            return [
                PaymentEvent(row.event_key, row.kind, row.opportunity_id, parse_json(row.payload), row.created_at)
                for row in connection.execute(statement)
            ]

    def announce(self, event_keys: Collection[str], now: datetime) -> None:
        """People were told. What was told already keeps its time."""
        table = payment_events
        keys = [storable(key) for key in event_keys]
        with self._transactions.write() as connection:
            for start in range(0, len(keys), _CHUNK):
                some = (table.c.event_key.in_(keys[start : start + _CHUNK]), table.c.announced_at.is_(None))
                connection.execute(update(table).where(*some).values(announced_at=now))
