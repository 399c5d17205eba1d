"""The journal of fields: where an account and its customer differed, whose value won, and what became of it.

    planned -> written | refused | withdrawn        reported: nothing was to be written

Belongs here: what happened, both values, and the wish to take it back. Does not belong here: who owns a field.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Row, bindparam, insert, select, update

from qbsf_pipeline.state.tables import field_journal, storable
from qbsf_pipeline.state.transactions import Transactions

Side = Literal["salesforce", "quickbooks"]
Winner = Literal["salesforce", "quickbooks", "none"]
ChangeKind = Literal["owner_changed", "put_back", "both_changed", "first_difference", "report_only", "kept", "reversed"]
ChangeStatus = Literal["planned", "written", "reported", "refused", "withdrawn"]

#: What a person may take back: one side's value was, or is to be, overwritten by the other's.
REVERSIBLE = frozenset({"owner_changed", "put_back", "both_changed", "first_difference"})

_CHUNK = 500


@dataclass(frozen=True)
class FieldChange:
    """A difference of one field between an account and its customer, as the plan sees it.

    ``key``: what makes it the same event. ``salesforce_value``, ``quickbooks_value``, ``agreed_value``: JSON texts (None:
    empty, or nothing agreed yet). ``rule``: why, as a sentence. ``changed_by``, ``changed_at``: who changed the side that
    differs, and when, where it is known. ``write_key``: the ledger's key of the write; None when nothing is written.
    """

    key: str
    account_id: str
    account_name: str
    customer_id: str
    customer_name: str
    field: str
    salesforce_value: str | None
    quickbooks_value: str | None
    agreed_value: str | None
    owner: Side
    winner: Winner
    kind: ChangeKind
    rule: str
    changed_by: str | None = None
    changed_at: datetime | None = None
    write_key: str | None = None

    @property
    def losing_value(self) -> str | None:
        """The value that did not win, as JSON text; None when it was empty or nobody won."""
        losing = {"salesforce": self.quickbooks_value, "quickbooks": self.salesforce_value}
        return losing.get(self.winner)


@dataclass(frozen=True, kw_only=True)
class JournalEntry(FieldChange):
    """A change as the journal keeps it. ``journal_id`` is ``J-`` and a number.

    ``settled_at``: when it was written, refused or withdrawn. ``reversed_by``, ``reversed_at``: who wants the loser's value
    back, since when; ``reversal_settled_at``: when that was carried out.
    """

    journal_id: str
    status: ChangeStatus
    seen_at: datetime
    settled_at: datetime | None
    reversed_by: str | None
    reversed_at: datetime | None
    reversal_settled_at: datetime | None
    announced_at: datetime | None


# Inside the class, `list` is one of its methods.
JournalEntries = list[JournalEntry]


class UnknownChange(LookupError):
    """There is no entry of that id in the journal."""


class CannotReverse(Exception):
    """A change cannot be taken back.

    Attributes:
        journal_id: the entry.
        reason: why not, and what can be done instead.
    """

    def __init__(self, journal_id: str, reason: str) -> None:
        self.journal_id = journal_id
        self.reason = reason
        super().__init__(f"{journal_id} cannot be reversed: {reason}")


class Journal:
    """The journal in the state database."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def record(self, changes: Sequence[FieldChange], now: datetime) -> JournalEntries:
        """Take in the differences of a plan. Returns the entries that are new, in the order they were given.

        A known one is left alone, but for these cases. What was withdrawn is planned (or reported) again. What is not
        written yet follows its write to another key. What was written, or reversed, and now needs another write happened
        again: it gets an entry of its own, so that no write is without one.

        Raises:
            ValueError: one key twice.
        """
        keys = [storable(change.key) for change in changes]
        if len(set(keys)) != len(keys):
            raise ValueError("one field's difference was given more than once")
        new: list[str] = []
        with self._transactions.write() as connection:
            known = _newest(connection, keys)
            rows: list[dict[str, Any]] = []
            taken_up: list[dict[str, Any]] = []
            for key, change in zip(keys, changes, strict=True):
                row = known.get(key)
                status = "reported" if change.write_key is None else "planned"
                values = {**_columns(change), "status": status, "settled_at": None}
                if _is_new(row, change):
                    occurrence = 1 if row is None else row.occurrence + 1
                    rows.append({**values, "occurrence": occurrence, "seen_at": now})
                    new.append(key)
                elif row is not None and _is_taken_up(row, change):
                    values["seen_at"] = now if row.status == "withdrawn" else row.seen_at
                    # What is another kind of change now is another thing to tell.
                    values["announced_at"] = row.announced_at if row.kind == change.kind else None
                    taken_up.append({**values, "of_number": row.number})
            if taken_up:
                connection.execute(update(field_journal).where(field_journal.c.number == bindparam("of_number")), taken_up)
            if rows:
                connection.execute(insert(field_journal), rows)
            after = _newest(connection, new)
        return [_entry(after[key]) for key in new]

    def settle(self, write_keys: Mapping[str, Literal["written", "refused", "withdrawn"]], now: datetime) -> None:
        """Say what became of writes, by the ledger's key; one write may carry several fields. Unknown keys are left out,
        and what was written stays so."""
        table = field_journal
        unsettled = table.c.status.in_(("planned", "refused", "withdrawn"))
        with self._transactions.write() as connection:
            for status in sorted(set(write_keys.values())):
                keys = [key for key, found in write_keys.items() if found == status]
                for start in range(0, len(keys), _CHUNK):
                    some = table.c.write_key.in_(keys[start : start + _CHUNK])
                    settled = update(table).where(some, unsettled, table.c.status != status)
                    connection.execute(settled.values(status=status, settled_at=now))

    def planned_writes(self) -> set[str]:
        """The ledger's keys of the writes whose outcome the journal waits for."""
        table = field_journal
        statement = select(table.c.write_key).where(table.c.status == "planned", table.c.write_key.is_not(None)).distinct()
        with self._transactions.read() as connection:
            return set(connection.execute(statement).scalars())

    def unannounced(self, kinds: Collection[str]) -> JournalEntries:
        """What was written, refused or reported and not told to people yet, of some kinds, oldest first.

        What is still planned is told when it is known what became of it.
        """
        told = ("written", "refused", "reported")
        table = field_journal
        return self._where(table.c.kind.in_(sorted(kinds)), table.c.status.in_(told), table.c.announced_at.is_(None))

    def announce(self, ids: Collection[str], now: datetime) -> None:
        """Remember that people were told. Put their message into the outbox in the same transaction.

        Raises:
            UnknownChange: what is given is no id.
        """
        self._stamp(ids, {"announced_at": now}, field_journal.c.announced_at.is_(None))

    def get(self, journal_id: str) -> JournalEntry:
        """One entry by its id (``J-12``, ``j-12`` or ``12``).

        Raises:
            UnknownChange: there is no such entry.
        """
        found = self._where(field_journal.c.number == _number(journal_id))
        if not found:
            raise UnknownChange(journal_id)
        return found[0]

    def list(
        self,
        account_id: str | None = None,
        field: str | None = None,
        since: datetime | None = None,
        limit: int | None = None,
    ) -> JournalEntries:
        """Entries of an account, a field, or seen since an instant; newest first."""
        table = field_journal
        statement = select(table).order_by(table.c.number.desc()).limit(limit)
        if account_id is not None:
            statement = statement.where(table.c.account_id == account_id)
        if field is not None:
            statement = statement.where(table.c.field == field)
        if since is not None:
            statement = statement.where(table.c.seen_at >= since)
        with self._transactions.read() as connection:
            return [_entry(row) for row in connection.execute(statement)]

    def reverse(self, journal_id: str, by: str, now: datetime) -> JournalEntry:
        """A person wants the loser's value back. Saying so twice changes nothing.

        Raises:
            UnknownChange: there is no such entry.
            CannotReverse: nothing was overwritten, or the field changed again since.
        """
        table = field_journal
        with self._transactions.write() as connection:
            entry = self.get(journal_id)
            if entry.reversed_at is not None:
                return entry
            number = _number(entry.journal_id)
            reason = _why_not(entry)
            if reason is None:
                later = connection.execute(
                    select(table.c.number)
                    .where(
                        table.c.account_id == entry.account_id,
                        table.c.customer_id == entry.customer_id,
                        table.c.field == entry.field,
                        table.c.number > number,
                        table.c.status.in_(("planned", "written")),
                    )
                    .order_by(table.c.number.desc())
                ).scalar()
                if later is not None:
                    reason = f"J-{later} changed the same field since; reverse that one, or change the field itself"
            if reason is not None:
                raise CannotReverse(entry.journal_id, reason)
            connection.execute(update(table).where(table.c.number == number).values(reversed_by=by, reversed_at=now))
            return self.get(journal_id)

    def reversals(self) -> JournalEntries:
        """What people want back and was not carried out yet, oldest first."""
        return self._where(field_journal.c.reversed_at.is_not(None), field_journal.c.reversal_settled_at.is_(None))

    def carried_out(self, journal_ids: Collection[str], now: datetime) -> None:
        """The loser's values are in place: these entries are no wishes any more.

        Raises:
            UnknownChange: what is given is no id.
        """
        table = field_journal
        self._stamp(
            journal_ids, {"reversal_settled_at": now}, table.c.reversed_at.is_not(None), table.c.reversal_settled_at.is_(None)
        )

    def _where(self, *conditions: ColumnElement[bool]) -> JournalEntries:
        with self._transactions.read() as connection:
            rows = connection.execute(select(field_journal).where(*conditions).order_by(field_journal.c.number))
            return [_entry(row) for row in rows]

    def _stamp(self, ids: Collection[str], values: dict[str, Any], *conditions: ColumnElement[bool]) -> None:
        numbers = sorted({_number(journal_id) for journal_id in ids})
        with self._transactions.write() as connection:
            for start in range(0, len(numbers), _CHUNK):
                some = field_journal.c.number.in_(numbers[start : start + _CHUNK])
                connection.execute(update(field_journal).where(some, *conditions).values(values))


_CHANGE_FIELDS = tuple(one.name for one in fields(FieldChange))


def _is_new(row: Row[Any] | None, change: FieldChange) -> bool:
    """Whether a difference gets an entry of its own; ``row``: the newest one of the same key."""
    if row is None:
        return True
    same_write = _same_write(row, change)
    if row.reversed_at is not None:
        # Until the loser's value is back in place, the sides still differ as they did.
        return row.reversal_settled_at is not None and not (same_write and row.status != "withdrawn")
    return row.status == "written" and change.write_key is not None and not same_write


def _is_taken_up(row: Row[Any], change: FieldChange) -> bool:
    """Whether an entry that is there takes in what the plan says now."""
    if row.reversed_at is not None or row.status == "written":
        return False
    return row.status == "withdrawn" or (change.write_key is not None and not _same_write(row, change))


def _same_write(row: Row[Any], change: FieldChange) -> bool:
    return bool(row.write_key == (None if change.write_key is None else storable(change.write_key)))


def _why_not(entry: JournalEntry) -> str | None:
    if entry.kind == "reversed":
        return "it is a reversal itself; change the field where it is kept"
    if entry.kind not in REVERSIBLE or entry.winner == "none" or entry.status == "reported":
        return "it was only reported, nothing was overwritten"
    if entry.status == "refused":
        return "its write was refused, nothing was overwritten"
    if entry.status == "withdrawn":
        return "its write was withdrawn, nothing was overwritten"
    return None


def _number(journal_id: str) -> int:
    digits = journal_id.strip().upper().removeprefix("J-")
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 10):
        raise UnknownChange(journal_id)
    return int(digits)


def _newest(connection: Connection, keys: Sequence[str]) -> dict[str, Row[Any]]:
    """The last entry of each key."""
    found: dict[str, Row[Any]] = {}
    for row in _rows_of(connection, keys):
        if row.key not in found or row.occurrence > found[row.key].occurrence:
            found[row.key] = row
    return found


def _rows_of(connection: Connection, keys: Sequence[str]) -> Iterator[Row[Any]]:
    for start in range(0, len(keys), _CHUNK):
        some = field_journal.c.key.in_(keys[start : start + _CHUNK])
        yield from connection.execute(select(field_journal).where(some))


def _columns(change: FieldChange) -> dict[str, Any]:
    # Only the plan's own fields: a JournalEntry is a FieldChange too.
    return {name: getattr(change, name) for name in _CHANGE_FIELDS}


def _entry(row: Row[Any]) -> JournalEntry:
    return JournalEntry(
        **{name: getattr(row, name) for name in _CHANGE_FIELDS},
        journal_id=f"J-{row.number}",
        status=row.status,
        seen_at=row.seen_at,
        settled_at=row.settled_at,
        reversed_by=row.reversed_by,
        reversed_at=row.reversed_at,
        reversal_settled_at=row.reversal_settled_at,
        announced_at=row.announced_at,
    )
