"""Passes: when each flow ran, how it ended, and what it cost in calls.

Belongs here: the record of runs. Does not belong here: what a run did to a record (that is in the ledger).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, insert, select, update

from qbsf_pipeline.money import parse_json, to_json
from qbsf_pipeline.state.tables import passes
from qbsf_pipeline.state.transactions import Transactions


@dataclass(frozen=True)
class Pass:
    """One run of a flow. ``ended_at`` and ``outcome`` are None while it runs, and for ever if it was killed.

    ``trigger``: what started it (schedule, sensor, command line). ``counts``: numbers to show. ``api_calls``: number of
    calls by ``system:kind``.
    """

    pass_id: int
    flow: str
    mode: str
    trigger: str
    begun_at: datetime
    ended_at: datetime | None
    outcome: str | None
    counts: dict[str, Any]
    api_calls: dict[str, int]
    dagster_run_id: str | None


class Passes:
    """The passes in the state database."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def begin(self, flow: str, mode: str, trigger: str, now: datetime) -> int:
        """Remember that a pass began. Returns its id."""
        values = {"flow": flow, "mode": mode, "trigger": trigger, "begun_at": now, "counts": "{}", "api_calls": "{}"}
        with self._transactions.write() as connection:
            key = connection.execute(insert(passes).values(values)).inserted_primary_key
            assert key is not None
            return int(key[0])

    def end(
        self,
        pass_id: int,
        outcome: str,
        counts: Mapping[str, Any],
        api_calls: Mapping[str, int],
        dagster_run_id: str | None,
        now: datetime,
    ) -> None:
        """Remember how a pass ended."""
        values = {
            "outcome": outcome,
            "counts": to_json(dict(counts)),
            "api_calls": to_json(dict(api_calls)),
            "dagster_run_id": dagster_run_id,
            "ended_at": now,
        }
        with self._transactions.write() as connection:
            connection.execute(update(passes).where(passes.c.id == pass_id).values(values))

    def last(self, flow: str) -> Pass | None:
        """The newest pass of a flow, ended or not."""
        found = self.recent(flow, limit=1)
        return found[0] if found else None

    def recent(self, flow: str | None = None, limit: int = 50) -> list[Pass]:
        """Passes, newest first."""
        statement = select(passes).order_by(passes.c.begun_at.desc(), passes.c.id.desc()).limit(limit)
        if flow is not None:
            statement = statement.where(passes.c.flow == flow)
        with self._transactions.read() as connection:
            return [_pass(row) for row in connection.execute(statement)]

    def first_done(self, flow: str, trigger: str) -> Pass | None:
        """The oldest pass of a flow that was started by ``trigger`` and ended well."""
        wanted = (passes.c.flow == flow, passes.c.trigger == trigger, passes.c.outcome == "done")
        statement = select(passes).where(*wanted).order_by(passes.c.begun_at, passes.c.id).limit(1)
        with self._transactions.read() as connection:
            row = connection.execute(statement).one_or_none()
            return None if row is None else _pass(row)

    def api_usage(self, since: datetime) -> dict[str, int]:
        """Calls of every pass that began at ``since`` or later, by ``system:kind``."""
        total: Counter[str] = Counter()
        with self._transactions.read() as connection:
            for calls in connection.execute(select(passes.c.api_calls).where(passes.c.begun_at >= since)).scalars():
                total.update(parse_json(calls))
        return dict(total)


def _pass(row: Row[Any]) -> Pass:
    return Pass(
        pass_id=row.id,
        flow=row.flow,
        mode=row.mode,
        trigger=row.trigger,
        begun_at=row.begun_at,
        ended_at=row.ended_at,
        outcome=row.outcome,
        counts=parse_json(row.counts),
        api_calls=parse_json(row.api_calls),
        dagster_run_id=row.dagster_run_id,
    )
