"""The write ledger: what was planned, what is on its way, what was done, once for each key.

    planned -> sending -> done
       ^         |-> failed -> sending ...        (will be tried again)
       |         |-> dead                         (needs a person)
       '---------'                                (proved not to have been carried out)

Belongs here: what may happen to a row, and when. Does not belong here: what a row means to a service.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, bindparam, delete, func, insert, or_, select, update

from qbsf_pipeline.state.tables import ledger, storable
from qbsf_pipeline.state.transactions import Transactions

Status = Literal["planned", "sending", "done", "failed", "dead", "withdrawn"]

_CHUNK = 500
_WAITING = ("planned", "failed")


@dataclass(frozen=True)
class PlannedWrite:
    """One intended write: a row of the plan.

    ``key`` is what makes it the same write however often it is planned. ``depends_on``: keys that must be done before.
    ``payload``: JSON text, with references that the push resolves. ``decided_from``: a hash of the source content.
    ``amount`` is in ``currency``; both are None for writes that are not about money.
    """

    key: str
    plan_id: str
    flow: str
    operation: str
    target_system: str
    target_object: str
    source_object: str
    source_id: str
    account_id: str | None
    opportunity_id: str | None
    depends_on: tuple[str, ...]
    payload: str
    reason: str
    decided_from: str
    label: str
    customer_name: str | None
    amount: Decimal | None
    currency: str | None
    txn_date: date | None
    due_date: date | None
    position: int


@dataclass(frozen=True)
class LedgerEntry(PlannedWrite):
    """A planned write and what became of it.

    ``batch``: the plan as a whole it came with last. ``attempts``: how often it was sent. ``request_id``, ``group_id``,
    ``group_position`` and ``sent_body`` tell how it was sent last: the body is the exact JSON, ``group_id`` the call that
    carried several (None: it went alone). ``result_id`` and ``result`` (JSON text) are the service's answer.
    """

    status: Status
    batch: str
    gate_passed_at: datetime | None
    attempts: int
    request_id: str | None
    group_id: str | None
    group_position: int | None
    sent_body: str | None
    sending_at: datetime | None
    next_attempt_at: datetime | None
    error_code: str | None
    error_message: str | None
    result_id: str | None
    result: str | None
    created_at: datetime
    updated_at: datetime
    done_at: datetime | None
    announced_at: datetime | None


@dataclass(frozen=True)
class Enqueued:
    """How many writes of a plan were ``new`` (planned or planned again after they had been withdrawn), ``refreshed`` (their
    content changed before they were sent), ``unchanged`` (waiting as they were) and ``kept`` (sending, done or dead)."""

    new: int = 0
    refreshed: int = 0
    unchanged: int = 0
    kept: int = 0


@dataclass(frozen=True)
class Sending:
    """A write that is about to be sent: the exact JSON ``body``, the ``request_id`` by which the service knows a repetition,
    and its place in the call that carries it with others, if one does."""

    key: str
    request_id: str
    body: str
    group_id: str | None = None
    group_position: int | None = None


@dataclass(frozen=True)
class Finished:
    """A write that was carried out: the id of the record it made or changed, and the answer as JSON text."""

    key: str
    result_id: str
    result: str


class LedgerError(Exception):
    """A row is not in the state in which it may be changed that way. Nothing was changed."""


class AlreadyTaken(LedgerError):
    """Writes that were to be sent are not waiting any more (or never passed the gate): another process has them.

    Attributes:
        keys: these writes.
    """

    def __init__(self, keys: tuple[str, ...]) -> None:
        self.keys = keys
        super().__init__(f"not waiting to be sent: {', '.join(keys[:5])}{' ...' if len(keys) > 5 else ''}")


class AlreadyDone(LedgerError):
    """A write is done with one result and was to be finished with another: it may have been carried out twice.

    Attributes:
        key: the write.
        result_id: the result it has.
        other_result_id: the one it was to get.
    """

    def __init__(self, key: str, result_id: str, other_result_id: str) -> None:
        self.key = key
        self.result_id = result_id
        self.other_result_id = other_result_id
        super().__init__(f"{key} is done as {result_id} and cannot also be done as {other_result_id}")


class WrongStatus(LedgerError):
    """A row has a status from which the change is not allowed.

    Attributes:
        key: the write.
        status: the status it has; None when there is no such row.
    """

    def __init__(self, key: str, status: str | None, wanted: Collection[str]) -> None:
        self.key = key
        self.status = status
        found = "is not in the ledger" if status is None else f"is {status}"
        super().__init__(f"{key} {found}; this needs {' or '.join(wanted)}")


class Ledger:
    """The ledger in the state database. Every method is one transaction."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def enqueue(self, writes: Sequence[PlannedWrite], batch: str, now: datetime) -> Enqueued:
        """Take in a plan that passed its gate.

        New keys become planned. Keys that wait (planned, failed) get the new content; when their payload changed they
        start afresh (no attempts, no wait, planned). What is being sent or was done is never touched. What is dead comes
        back only if it was decided from other content than before, because somebody mended the source.

        Raises:
            ValueError: one key twice in ``writes``.
        """
        wanted = {write.key: write for write in writes}
        if len(wanted) != len(writes):
            raise ValueError("a plan holds one key more than once")
        fresh: list[dict[str, Any]] = []
        changed: list[dict[str, Any]] = []
        counted = {"new": 0, "refreshed": 0, "unchanged": 0, "kept": 0}
        with self._transactions.write() as connection:
            known = {row.key: row for row in _rows_of(connection, wanted)}
            for key, write in wanted.items():
                row = known.get(key)
                outcome, restart = _taken_in(row, write)
                counted[outcome] += 1
                if outcome == "kept":
                    continue
                values = {**_columns(write), "batch": batch, "gate_passed_at": now, "updated_at": now}
                if row is None:
                    fresh.append({**values, "status": "planned", "attempts": 0, "created_at": now})
                    continue
                kept_state = {name: getattr(row, name) for name in _RESTARTED}
                changed.append({**values, **(_RESTARTED if restart else kept_state), "same_key": key})
            if fresh:
                connection.execute(insert(ledger), fresh)
            if changed:
                connection.execute(update(ledger).where(ledger.c.key == bindparam("same_key")), changed)
        return Enqueued(**counted)

    def withdraw(self, flow: str, keep: Collection[str], now: datetime) -> tuple[str, ...]:
        """Take out of the queue what waits (planned, failed) in ``flow`` and is not in the plan any more.

        Returns the keys that were withdrawn. What is being sent, done or dead stays.
        """
        kept = frozenset(keep)
        with self._transactions.write() as connection:
            waiting = connection.execute(
                select(ledger.c.key).where(ledger.c.flow == flow, ledger.c.status.in_(_WAITING)).order_by(ledger.c.key)
            ).scalars()
            gone = tuple(key for key in waiting if key not in kept)
            for keys in _chunks(gone):
                connection.execute(
                    update(ledger)
                    .where(ledger.c.key.in_(keys))
                    .values(status="withdrawn", gate_passed_at=None, next_attempt_at=None, updated_at=now)
                )
        return gone

    def ready(self, flow: str, now: datetime) -> list[LedgerEntry]:
        """What may be sent now: planned, or failed and due again; gate passed. By position in the deal, then by age.

        What an entry depends on may not be done yet: see ``depends_on``.
        """
        due = or_(ledger.c.next_attempt_at.is_(None), ledger.c.next_attempt_at <= now)
        statement = select(ledger).where(
            ledger.c.flow == flow, ledger.c.status.in_(_WAITING), ledger.c.gate_passed_at.is_not(None), due
        )
        with self._transactions.read() as connection:
            rows = connection.execute(statement.order_by(ledger.c.position, ledger.c.created_at, ledger.c.key))
            return [_entry(row) for row in rows]

    def sending(self, flow: str) -> list[LedgerEntry]:
        """What was sent and has no recorded answer: nobody knows whether it was carried out. By call, then by place."""
        statement = select(ledger).where(ledger.c.flow == flow, ledger.c.status == "sending")
        order = (ledger.c.sending_at, ledger.c.group_id, ledger.c.group_position, ledger.c.position, ledger.c.key)
        with self._transactions.read() as connection:
            return [_entry(row) for row in connection.execute(statement.order_by(*order))]

    def start(self, entries: Sequence[Sending], now: datetime) -> None:
        """Mark writes as being sent, all of them or none, and commit. Call it before the service is called.

        Raises:
            AlreadyTaken: one of them was not planned or failed, or has not passed the gate.
            ValueError: one key twice.
            RuntimeError: called inside another transaction, where nothing would be committed yet.
        """
        keys = [entry.key for entry in entries]
        if len(set(keys)) != len(keys):
            raise ValueError("one key cannot be sent twice in one call")
        with self._transactions.write(must_commit=True) as connection:
            taken = []
            for entry in entries:
                changed = connection.execute(
                    _START,
                    {
                        "sent_key": entry.key,
                        "request_id": entry.request_id,
                        "sent_body": entry.body,
                        "group_id": entry.group_id,
                        "group_position": entry.group_position,
                        "sending_at": now,
                        "updated_at": now,
                    },
                )
                if changed.rowcount != 1:
                    taken.append(entry.key)
            if taken:
                raise AlreadyTaken(tuple(taken))

    def finish(self, key: str, result_id: str, result: str, now: datetime) -> None:
        """The service answered: the write is done. Saying so twice with the same ``result_id`` changes nothing.

        Raises:
            AlreadyDone: it is done with another result.
            WrongStatus: it was not being sent.
        """
        self.finish_many([Finished(key, result_id, result)], now)

    def finish_many(self, finished: Sequence[Finished], now: datetime) -> None:
        """:meth:`finish` for the answers of one call, in one transaction: all of them or none."""
        with self._transactions.write() as connection:
            for answer in finished:
                changed = connection.execute(
                    _FINISH,
                    {
                        "sent_key": answer.key,
                        "result_id": answer.result_id,
                        "result": answer.result,
                        "done_at": now,
                        "updated_at": now,
                    },
                )
                if changed.rowcount != 1:
                    _accept_repetition(connection, answer)

    def fail(self, key: str, code: str, message: str, retry_at: datetime, now: datetime) -> None:
        """It was not carried out and is tried again from ``retry_at`` on.

        Raises:
            WrongStatus: it is done, dead or withdrawn.
        """
        values = {"status": "failed", "error_code": code, "error_message": message, "next_attempt_at": retry_at}
        self._move(key, ("planned", "sending", "failed"), values, now)

    def bury(self, key: str, code: str, message: str, now: datetime) -> None:
        """It was not carried out, trying again does not help, and a person is needed.

        Raises:
            WrongStatus: it is done, dead or withdrawn.
        """
        values = {"status": "dead", "error_code": code, "error_message": message, "next_attempt_at": None}
        self._move(key, ("planned", "sending", "failed"), values, now)

    def release(self, key: str, now: datetime) -> None:
        """It was being sent, and it is proved that it was not carried out: it waits again.

        Raises:
            WrongStatus: it was not being sent.
        """
        self._move(key, ("sending",), {"status": "planned", "next_attempt_at": None}, now)

    def retry(self, key: str, now: datetime) -> None:
        """A person says 'try again': dead or failed becomes planned, with its attempts counted afresh.

        Raises:
            WrongStatus: it is neither dead nor failed.
        """
        self._move(key, ("dead", "failed"), _RESTARTED, now)

    def entry(self, key: str) -> LedgerEntry | None:
        """One row, or None."""
        return self.lookup([key]).get(key)

    def lookup(self, keys: Iterable[str]) -> dict[str, LedgerEntry]:
        """The rows of ``keys``, by key; unknown keys are left out."""
        with self._transactions.read() as connection:
            return {row.key: _entry(row) for row in _rows_of(connection, list(keys))}

    def entries(
        self, flow: str | None = None, status: Status | None = None, opportunity_id: str | None = None
    ) -> list[LedgerEntry]:
        """Rows by flow, status or deal, in the order they were planned."""
        statement = select(ledger)
        for column, value in (
            (ledger.c.flow, flow),
            (ledger.c.status, status),
            (ledger.c.opportunity_id, opportunity_id),
        ):
            if value is not None:
                statement = statement.where(column == value)
        with self._transactions.read() as connection:
            rows = connection.execute(statement.order_by(ledger.c.created_at, ledger.c.position, ledger.c.key))
            return [_entry(row) for row in rows]

    def of_operations(self, flow: str, operations: Collection[str]) -> list[LedgerEntry]:
        """Every row of a flow that is one of these kinds of write, in the order they were planned."""
        return self._where(ledger.c.flow == flow, ledger.c.operation.in_(list(operations)))

    def waiting(self, flow: str) -> list[LedgerEntry]:
        """What is planned or failed, due or not, in the order it was planned."""
        return self._where(ledger.c.flow == flow, ledger.c.status.in_(_WAITING))

    def unfinished(self, flow: str) -> list[LedgerEntry]:
        """What was tried and is not done: failed, dead, or without an answer."""
        return self._where(ledger.c.flow == flow, ledger.c.status.in_(("failed", "dead", "sending")))

    def group(self, group_id: str) -> list[LedgerEntry]:
        """Every write that was last sent in one call, by its place there."""
        return sorted(self._where(ledger.c.group_id == group_id), key=lambda entry: entry.group_position or 0)

    def done_since(self, begun: datetime) -> list[LedgerEntry]:
        """What was carried out since an instant, in the order it was planned."""
        return self._where(ledger.c.status == "done", ledger.c.done_at >= begun)

    def unannounced(self, flow: str, operation: str, *, alone: bool = False) -> list[LedgerEntry]:
        """What is done and was not told to people yet; ``alone``: only what depended on no other write."""
        conditions = [ledger.c.flow == flow, ledger.c.status == "done", ledger.c.operation == operation]
        if alone:
            conditions.append(ledger.c.depends_on == "")
        return self._where(*conditions, ledger.c.announced_at.is_(None))

    def announce(self, keys: Sequence[str], now: datetime) -> None:
        """Remember that people were told of these writes. Put their message into the outbox in the same transaction."""
        with self._transactions.write() as connection:
            for chunk in _chunks(keys):
                connection.execute(update(ledger).where(ledger.c.key.in_(chunk)).values(announced_at=now))

    def newest_batch(self, flow: str) -> str | None:
        """The id of the whole plan that was enqueued last."""
        newest = select(ledger.c.batch).where(ledger.c.flow == flow).order_by(ledger.c.gate_passed_at.desc()).limit(1)
        with self._transactions.read() as connection:
            return connection.execute(newest).scalar()

    def outcomes(self, flow: str) -> list[dict[str, Any]]:
        """key, operation, opportunity_id, status, result_id, error_code, decided_from and done_at of every row, for the next
        plan."""
        names = ("key", "operation", "opportunity_id", "status", "result_id", "error_code", "decided_from", "done_at")
        with self._transactions.read() as connection:
            rows = connection.execute(select(*(ledger.c[name] for name in names)).where(ledger.c.flow == flow))
            return [dict(row._mapping) for row in rows]

    def billings(self) -> list[dict[str, Any]]:
        """key, opportunity_id, status, result_id, amount and done_at of every invoice that was ever planned."""
        names = ("key", "opportunity_id", "status", "result_id", "amount", "done_at")
        with self._transactions.read() as connection:
            rows = connection.execute(select(*(ledger.c[name] for name in names)).where(ledger.c.operation == "create_invoice"))
            return [dict(row._mapping) for row in rows]

    def outcomes_since(self, flow: str, since: datetime, lasting: Collection[str] = ()) -> list[dict[str, Any]]:
        """key, status, result_id, error_message and done_at of the rows of a flow that were touched at ``since`` or later, and
        of every row of the ``lasting`` operations, for the next plan of a flow that writes the same records again and again."""
        names = ("key", "status", "result_id", "error_message", "done_at")
        wanted = or_(ledger.c.updated_at >= since, ledger.c.operation.in_(list(lasting)))
        with self._transactions.read() as connection:
            rows = connection.execute(select(*(ledger.c[name] for name in names)).where(ledger.c.flow == flow, wanted))
            return [dict(row._mapping) for row in rows]

    def forget_ages(self, before: datetime) -> int:
        """Take out the ages of deals that were done, or withdrawn, and not touched since ``before``: every open deal gets one a
        day, under a new key, and no other write depends on it. The database lets nothing else go that was sent. Returns how many
        rows that were."""
        old = (ledger.c.flow == "aging", ledger.c.operation == "update_opportunity", ledger.c.updated_at < before)
        with self._transactions.write() as connection:
            return connection.execute(delete(ledger).where(*old, ledger.c.status.in_(("done", "withdrawn")))).rowcount

    def _where(self, *conditions: ColumnElement[bool]) -> list[LedgerEntry]:
        statement = select(ledger).where(*conditions).order_by(ledger.c.created_at, ledger.c.position, ledger.c.key)
        with self._transactions.read() as connection:
            return [_entry(row) for row in connection.execute(statement)]

    def counts(self, flow: str | None = None) -> dict[str, int]:
        """Number of rows by status; a status without rows is left out."""
        statement = select(ledger.c.status, func.count()).group_by(ledger.c.status)
        if flow is not None:
            statement = statement.where(ledger.c.flow == flow)
        with self._transactions.read() as connection:
            return {status: int(number) for status, number in connection.execute(statement)}

    def as_rows(self, since: datetime | None = None, operation: str | None = None) -> list[dict[str, Any]]:
        """Every row as a dict of the columns of :class:`LedgerEntry` (``depends_on``: keys joined by a space), for
        reporting. Without the bodies: no ``payload``, ``sent_body`` and ``result``.

        Args:
            since: only rows that changed then or later.
            operation: only rows of this kind of write.
        """
        columns = [column for column in ledger.c if column.name not in ("payload", "sent_body", "result")]
        wanted = [] if since is None else [ledger.c.updated_at >= since]
        wanted += [] if operation is None else [ledger.c.operation == operation]
        query = select(*columns).where(*wanted).order_by(ledger.c.created_at, ledger.c.position, ledger.c.key)
        with self._transactions.read() as connection:
            return [dict(row._mapping) for row in connection.execute(query)]

    def size(self) -> int:
        """How many rows there are."""
        with self._transactions.read() as connection:
            return int(connection.execute(select(func.count()).select_from(ledger)).scalar_one())

    def _move(self, key: str, wanted: tuple[str, ...], values: Mapping[str, Any], now: datetime) -> None:
        with self._transactions.write() as connection:
            changed = connection.execute(
                update(ledger).where(ledger.c.key == key, ledger.c.status.in_(wanted)).values({**values, "updated_at": now})
            )
            if changed.rowcount != 1:
                raise WrongStatus(key, _status_of(connection, key), wanted)


#: What a row is set to when it starts afresh.
_RESTARTED: dict[str, Any] = {
    "status": "planned",
    "attempts": 0,
    "next_attempt_at": None,
    "error_code": None,
    "error_message": None,
}

# Built once: building a statement takes ten times as long as carrying it out.
_START = (
    update(ledger)
    .where(ledger.c.key == bindparam("sent_key"), ledger.c.status.in_(_WAITING), ledger.c.gate_passed_at.is_not(None))
    .values(
        status="sending",
        attempts=ledger.c.attempts + 1,
        request_id=bindparam("request_id"),
        sent_body=bindparam("sent_body"),
        group_id=bindparam("group_id"),
        group_position=bindparam("group_position"),
        sending_at=bindparam("sending_at"),
        next_attempt_at=None,
        updated_at=bindparam("updated_at"),
    )
)
_FINISH = (
    update(ledger)
    .where(ledger.c.key == bindparam("sent_key"), ledger.c.status == "sending")
    .values(
        status="done",
        result_id=bindparam("result_id"),
        result=bindparam("result"),
        error_code=None,
        error_message=None,
        next_attempt_at=None,
        done_at=bindparam("done_at"),
        updated_at=bindparam("updated_at"),
    )
)

_ENTRY_FIELDS = tuple(field.name for field in fields(LedgerEntry))
_WRITE_FIELDS = tuple(field.name for field in fields(PlannedWrite))

_Item = TypeVar("_Item")


def _taken_in(row: Row[Any] | None, write: PlannedWrite) -> tuple[str, bool]:
    """What :meth:`Ledger.enqueue` does with a write: the count it belongs to, and whether its row starts afresh."""
    if row is None or row.status == "withdrawn":
        return "new", True
    if row.status in _WAITING:
        changed = row.payload != storable(write.payload)
        return ("refreshed" if changed else "unchanged"), changed
    if row.status == "dead" and row.decided_from != storable(write.decided_from):
        return "refreshed", True
    return "kept", False


def _accept_repetition(connection: Connection, answer: Finished) -> None:
    row = connection.execute(select(ledger.c.status, ledger.c.result_id).where(ledger.c.key == answer.key)).one_or_none()
    if row is None or row.status != "done":
        raise WrongStatus(answer.key, None if row is None else row.status, ("sending",))
    if row.result_id != storable(answer.result_id):
        raise AlreadyDone(answer.key, row.result_id, answer.result_id)


def _status_of(connection: Connection, key: str) -> str | None:
    return connection.execute(select(ledger.c.status).where(ledger.c.key == key)).scalar_one_or_none()


def _rows_of(connection: Connection, keys: Collection[str]) -> Iterator[Row[Any]]:
    for chunk in _chunks(list(keys)):
        yield from connection.execute(select(ledger).where(ledger.c.key.in_(chunk)))


def _chunks(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    for start in range(0, len(items), _CHUNK):
        yield items[start : start + _CHUNK]


def _columns(write: PlannedWrite) -> dict[str, Any]:
    # Only the plan's own fields: a LedgerEntry is a PlannedWrite too.
    values = {name: getattr(write, name) for name in _WRITE_FIELDS}
    values["depends_on"] = " ".join(write.depends_on)
    return values


def _entry(row: Row[Any]) -> LedgerEntry:
    values = {name: getattr(row, name) for name in _ENTRY_FIELDS}
    values["depends_on"] = tuple(row.depends_on.split())
    return LedgerEntry(**values)
