"""Dead letters: records that could not be processed and need a person, each told once until it changes.

Belongs here: which problems there are and who was told. Does not belong here: what is wrong with a record.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, cast

from sqlalchemy import Row, insert, or_, select, update

from qbsf_pipeline.money import parse_json, to_json
from qbsf_pipeline.state.ledger import Ledger
from qbsf_pipeline.state.tables import failures, ledger
from qbsf_pipeline.state.transactions import Transactions

FailureStatus = Literal["open", "resolved", "dismissed"]


@dataclass(frozen=True)
class Reason:
    """One thing that is wrong: a stable code, a sentence with the record's own values, and what to do."""

    code: str
    text: str
    remedy: str


@dataclass(frozen=True)
class Problem:
    """What is wrong with one record now.

    ``key``: ``{flow}:{record id}``. ``kind``: ``refused`` (not sent, by our own rules) or ``failed`` (the service refused
    it). ``link`` opens the record. ``amount`` is in ``currency``.
    """

    key: str
    flow: str
    source_object: str
    source_id: str
    label: str
    link: str | None
    kind: Literal["refused", "failed"]
    reasons: tuple[Reason, ...]
    amount: Decimal | None = None
    currency: str | None = None


@dataclass(frozen=True)
class Failure:
    """A problem as it is remembered. ``failure_id`` is ``F-`` and a number, the same for one key for ever."""

    failure_id: str
    problem: Problem
    status: FailureStatus
    opened_at: datetime
    changed_at: datetime
    seen_at: datetime
    resolved_at: datetime | None
    retried_at: datetime | None
    dismissed_at: datetime | None
    dismissed_by: str | None
    dismissed_reason: str | None


@dataclass(frozen=True)
class FailureChanges:
    """What has to be told: problems that are ``new`` (or came back), that ``changed``, and that went away (``resolved``)."""

    new: tuple[Failure, ...] = ()
    changed: tuple[Failure, ...] = ()
    resolved: tuple[Failure, ...] = ()


class UnknownFailure(LookupError):
    """There is no failure of that id."""


class Failures:
    """The dead letters in the state database."""

    def __init__(self, transactions: Transactions, ledger: Ledger) -> None:
        self._transactions = transactions
        self._ledger = ledger

    def report(self, problems: Sequence[Problem], flow: str, now: datetime) -> FailureChanges:
        """Take in the complete set of a flow's current problems and say what has to be told.

        What is not in the set any more is resolved. To tell people without fail, put their messages into the outbox in the
        same transaction (``state.transaction()``).

        Raises:
            ValueError: one key twice, or a problem of another flow.
        """
        current = {problem.key: problem for problem in problems}
        if len(current) != len(problems):
            raise ValueError("one record has several problems; give them as the reasons of one")
        if any(problem.flow != flow for problem in problems):
            raise ValueError(f"a problem of another flow was reported as one of {flow}")
        new: list[str] = []
        changed: list[str] = []
        resolved: list[str] = []
        with self._transactions.write() as connection:
            known = {row.key: row for row in connection.execute(select(failures).where(failures.c.flow == flow))}
            for key, problem in current.items():
                row, fingerprint = known.get(key), _fingerprint(problem)
                values = {**_columns(problem), "fingerprint": fingerprint, "seen_at": now}
                same = failures.c.key == key
                undismissed = {"dismissed_at": None, "dismissed_by": None, "dismissed_reason": None}
                if row is None or row.status == "resolved":
                    opened = {
                        **values,
                        **undismissed,
                        "status": "open",
                        "opened_at": now,
                        "changed_at": now,
                        "resolved_at": None,
                        "retried_at": None,
                    }
                    statement = insert(failures) if row is None else update(failures).where(same)
                    connection.execute(statement.values(opened))
                    new.append(key)
                elif row.fingerprint != fingerprint:
                    reopened = {**values, **undismissed, "status": "open", "changed_at": now}
                    connection.execute(update(failures).where(same).values(reopened))
                    changed.append(key)
                else:
                    connection.execute(update(failures).where(same).values(values))
            for key, row in known.items():
                if key not in current and row.status != "resolved":
                    statement = update(failures).where(failures.c.key == key)
                    connection.execute(statement.values(status="resolved", resolved_at=now))
                    if row.status == "open":
                        resolved.append(key)
            after = {row.key: row for row in connection.execute(select(failures).where(failures.c.flow == flow))}
        return FailureChanges(
            new=tuple(_failure(after[key]) for key in new),
            changed=tuple(_failure(after[key]) for key in changed),
            resolved=tuple(_failure(after[key]) for key in resolved),
        )

    def list(self, status: FailureStatus | None = "open", flow: str | None = None) -> tuple[Failure, ...]:
        """Failures of one status (None: all), oldest first."""
        statement = select(failures).order_by(failures.c.opened_at, failures.c.number)
        if status is not None:
            statement = statement.where(failures.c.status == status)
        if flow is not None:
            statement = statement.where(failures.c.flow == flow)
        with self._transactions.read() as connection:
            return tuple(_failure(row) for row in connection.execute(statement))

    def get(self, failure_id: str) -> Failure:
        """One failure by its id (``F-12``, ``f-12`` or ``12``).

        Raises:
            UnknownFailure: there is no such failure.
        """
        with self._transactions.read() as connection:
            row = connection.execute(select(failures).where(failures.c.number == _number(failure_id))).first()
        if row is None:
            raise UnknownFailure(failure_id)
        return _failure(row)

    def retry(self, failure_id: str, now: datetime) -> tuple[str, ...]:
        """A person says 'try again': the record's dead and failed writes wait again. Returns their keys.

        A record that our own rules refused has no writes; the next pass looks at it again anyway.

        Raises:
            UnknownFailure: there is no such failure.
        """
        with self._transactions.write() as connection:
            problem = self.get(failure_id).problem
            of_record = or_(ledger.c.opportunity_id == problem.source_id, ledger.c.source_id == problem.source_id)
            waiting = select(ledger.c.key).where(
                ledger.c.flow == problem.flow, of_record, ledger.c.status.in_(("dead", "failed"))
            )
            keys = tuple(connection.execute(waiting.order_by(ledger.c.position, ledger.c.key)).scalars())
            for key in keys:
                self._ledger.retry(key, now)
            connection.execute(update(failures).where(failures.c.key == problem.key).values(retried_at=now))
        return keys

    def dismiss(self, failure_id: str, by: str, reason: str, now: datetime) -> Failure:
        """A person says 'leave it': it is silent until it changes or has gone away and comes back.

        Raises:
            UnknownFailure: there is no such failure.
            ValueError: it is resolved already.
        """
        with self._transactions.write() as connection:
            failure = self.get(failure_id)
            if failure.status == "resolved":
                raise ValueError(f"{failure.failure_id} is resolved already")
            connection.execute(
                update(failures)
                .where(failures.c.number == _number(failure_id))
                .values(status="dismissed", dismissed_at=now, dismissed_by=by, dismissed_reason=reason)
            )
            return self.get(failure_id)


def _number(failure_id: str) -> int:
    digits = failure_id.strip().upper().removeprefix("F-")
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 10):
        raise UnknownFailure(failure_id)
    return int(digits)


def _fingerprint(problem: Problem) -> str:
    reasons = sorted((reason.code, reason.text) for reason in problem.reasons)
    return hashlib.sha256(to_json([problem.kind, reasons]).encode("utf-8", "replace")).hexdigest()


def _columns(problem: Problem) -> dict[str, Any]:
    reasons = [{"code": reason.code, "text": reason.text, "remedy": reason.remedy} for reason in problem.reasons]
    return {
        "key": problem.key,
        "flow": problem.flow,
        "source_object": problem.source_object,
        "source_id": problem.source_id,
        "label": problem.label,
        "link": problem.link,
        "kind": problem.kind,
        "reasons": to_json(reasons),
        "amount": problem.amount,
        "currency": problem.currency,
    }


def _failure(row: Row[Any]) -> Failure:
    problem = Problem(
        key=row.key,
        flow=row.flow,
        source_object=row.source_object,
        source_id=row.source_id,
        label=row.label,
        link=row.link,
        kind=row.kind,
        reasons=tuple(Reason(**reason) for reason in parse_json(row.reasons)),
        amount=row.amount,
        currency=row.currency,
    )
    return Failure(
        failure_id=f"F-{row.number}",
        problem=problem,
        status=cast(FailureStatus, row.status),
        opened_at=row.opened_at,
        changed_at=row.changed_at,
        seen_at=row.seen_at,
        resolved_at=row.resolved_at,
        retried_at=row.retried_at,
        dismissed_at=row.dismissed_at,
        dismissed_by=row.dismissed_by,
        dismissed_reason=row.dismissed_reason,
    )
