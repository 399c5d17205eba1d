"""Links: which QuickBooks customer an account is, and which QuickBooks invoice bills a deal, when somebody or something
decided it.

Belongs here: the decisions and who made them. Does not belong here: how a match is found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, Table, delete, insert, select, update

from qbsf_pipeline.money import parse_json, to_json
from qbsf_pipeline.state.rejections import is_rejected
from qbsf_pipeline.state.tables import customer_links, field_agreements, invoice_links, past_customer_links, reviews, storable
from qbsf_pipeline.state.transactions import Transactions

#: The method of a link that a person made. Only such a link may go against another one.
PERSON = "person"
#: The method of a link between a deal and an invoice that a recurring template made for it.
TEMPLATE = "template"


@dataclass(frozen=True)
class CustomerLink:
    """An account of Salesforce is a customer of QuickBooks.

    ``method``: how it was found (``person`` when a person said so). ``score``: how sure, where the method gives one.
    ``evidence``: field by field. ``active`` is False for a link that was undone, by ``unlinked_by`` at ``unlinked_at``.
    """

    account_id: str
    customer_id: str
    method: str
    decided_by: str
    decided_at: datetime
    score: Decimal | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    rule_version: str = ""
    active: bool = True
    unlinked_by: str | None = None
    unlinked_at: datetime | None = None


@dataclass(frozen=True)
class InvoiceLink:
    """A deal of Salesforce is billed by an invoice of QuickBooks that the program did not make itself, or adopted."""

    opportunity_id: str
    invoice_id: str
    method: str
    decided_by: str
    decided_at: datetime
    active: bool = True


class LinkConflict(Exception):
    """The QuickBooks record belongs to another Salesforce record already, and no person said that it is for both.

    Attributes:
        target_id: the customer or invoice.
        source_id: the account or deal it belongs to.
        other_source_id: the one it was to be given to.
    """

    def __init__(self, what: str, target_id: str, source_id: str, other_source_id: str) -> None:
        self.target_id = target_id
        self.source_id = source_id
        self.other_source_id = other_source_id
        super().__init__(
            f"QuickBooks {what} {target_id} is linked to {source_id} already and cannot also be linked to "
            f"{other_source_id} unless a person says so"
        )


class LinkRejected(LinkConflict):
    """A person said that the account is not the customer. ``source_id`` and ``other_source_id`` are both the account."""

    def __init__(self, account_id: str, customer_id: str) -> None:
        super().__init__("customer", customer_id, account_id, account_id)
        self.args = (f"QuickBooks customer {customer_id} cannot be linked to {account_id}: a person rejected it",)


class Links:
    """The links in the state database."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def customer(self, account_id: str) -> CustomerLink | None:
        """The account's customer; of several, the one that was decided last."""
        found = self.customers(account_id)
        return found[-1] if found else None

    def customers(self, account_id: str) -> list[CustomerLink]:
        """Every active link of an account, oldest first: it has several when it pays in several currencies."""
        table = customer_links
        return [_customer_link(row) for row in self._active(table, table.c.account_id == account_id)]

    def all_customers(self) -> list[CustomerLink]:
        """Every active link, oldest first."""
        return [_customer_link(row) for row in self._active(customer_links)]

    def link_customer(self, link: CustomerLink) -> None:
        """Remember a link; the same accounts and customers linked again take the new evidence. The link that a person made
        stays that person's.

        Raises:
            LinkConflict: the customer is another account's, and ``link`` was not made by a person.
            LinkRejected: a person said that the account is not the customer, and ``link`` was not made by a person.
        """
        table = customer_links
        ids = {"account_id": link.account_id, "customer_id": link.customer_id}
        values = {
            "method": link.method,
            "score": link.score,
            "evidence": to_json(dict(link.evidence), sort_keys=True),
            "rule_version": link.rule_version,
            "decided_by": link.decided_by,
            "decided_at": link.decided_at,
        }
        with self._transactions.write() as connection:
            _refuse_conflict(connection, table, "customer", link.account_id, link.customer_id, link.method)
            if link.method != PERSON and is_rejected(connection, link.account_id, link.customer_id):
                raise LinkRejected(link.account_id, link.customer_id)
            _put_customer(connection, ids, values)

    def unlink_customer(self, account_id: str, customer_id: str, by: str, now: datetime) -> bool:
        """Undo a link; False when there is none. The row stays, with who undid it; what the two agreed on is forgotten, so that
        their next difference, should they be linked again, is a first one."""
        ids = {"account_id": account_id, "customer_id": customer_id}
        with self._transactions.write() as connection:
            same = (field_agreements.c[name] == value for name, value in ids.items())
            connection.execute(delete(field_agreements).where(*same))
            return self._unlink(customer_links, ids, by, now)

    def move_customer(self, from_account: str, to_account: str, by: str, now: datetime) -> int:
        """An account was merged into another one: the survivor inherits its links, as they were decided.

        The merged account's links are undone; one that the survivor has itself is kept, and one that a person rejected for
        the survivor is not inherited. Returns how many the survivor inherited.
        """
        if from_account == to_account:
            return 0
        table, inherited = customer_links, 0
        with self._transactions.write() as connection:
            for row in self._active(table, table.c.account_id == from_account):
                self.unlink_customer(from_account, row.customer_id, by, now)
                ids = {"account_id": to_account, "customer_id": row.customer_id}
                if _is_active(connection, ids) or is_rejected(connection, to_account, row.customer_id):
                    continue
                _put_customer(
                    connection, ids, {**_decision(row), "evidence": _with(row.evidence, "merged_account", from_account)}
                )
                inherited += 1
        return inherited

    def replace_customer(self, old_customer_id: str, new_customer_id: str, method: str, by: str, now: datetime) -> int:
        """A customer was merged into another one: its accounts' links go over to that one. Returns how many did.

        A link stays as it is, dangling, where going over needs a person: when the new customer belongs to yet another
        account, or was rejected for this one. Accounts that shared the old customer keep the method of their links, because
        only a person lets accounts share; otherwise the new link has ``method``. Answers of reviews follow.
        """
        if old_customer_id == new_customer_id:
            return 0
        table, replaced = customer_links, 0
        with self._transactions.write() as connection:
            rows = self._active(table, table.c.customer_id == old_customer_id)
            owners = {row.account_id for row in self._active(table, table.c.customer_id == new_customer_id)}
            if owners - {row.account_id for row in rows}:
                return 0
            for row in rows:
                if is_rejected(connection, row.account_id, new_customer_id):
                    continue
                self.unlink_customer(row.account_id, old_customer_id, by, now)
                ids = {"account_id": row.account_id, "customer_id": new_customer_id}
                if not _is_active(connection, ids):
                    decided = {"decided_by": by, "decided_at": now, "method": row.method if len(rows) > 1 else method}
                    evidence = _with(row.evidence, "merged_customer", old_customer_id)
                    _put_customer(connection, ids, {**_decision(row), **decided, "evidence": evidence})
                answered = (reviews.c.account_id == row.account_id, reviews.c.customer_id == old_customer_id)
                connection.execute(update(reviews).where(*answered).values(customer_id=new_customer_id))
                replaced += 1
        return replaced

    def history(self, account_id: str) -> list[CustomerLink]:
        """Every link that an account ever had, also those that were undone or decided again, oldest first."""
        found: list[CustomerLink] = []
        with self._transactions.read() as connection:
            for table in (past_customer_links, customer_links):
                statement = select(table).where(table.c.account_id == account_id)
                found += [_customer_link(row) for row in connection.execute(statement)]
        return sorted(found, key=lambda link: (link.decided_at, link.active, link.customer_id))

    def invoice(self, opportunity_id: str) -> InvoiceLink | None:
        """The deal's linked invoice; of several, the one that was decided last."""
        found = self._active(invoice_links, invoice_links.c.opportunity_id == opportunity_id)
        return _invoice_link(found[-1]) if found else None

    def all_invoices(self) -> list[InvoiceLink]:
        """Every active link, oldest first."""
        return [_invoice_link(row) for row in self._active(invoice_links)]

    def link_invoice(self, link: InvoiceLink) -> None:
        """Remember that a deal is billed by an invoice.

        Raises:
            LinkConflict: the invoice bills another deal, and ``link`` was not made by a person.
        """
        values = {"method": link.method, "decided_by": link.decided_by, "decided_at": link.decided_at}
        with self._transactions.write() as connection:
            _refuse_conflict(connection, invoice_links, "invoice", link.opportunity_id, link.invoice_id, link.method)
            ids = {"opportunity_id": link.opportunity_id, "invoice_id": link.invoice_id}
            _put(connection, invoice_links, ids, values)

    def unlink_invoice(self, opportunity_id: str, invoice_id: str, by: str, now: datetime) -> bool:
        """Undo a link; False when there is none. The row stays, with who undid it."""
        return self._unlink(invoice_links, {"opportunity_id": opportunity_id, "invoice_id": invoice_id}, by, now)

    def _active(self, table: Table, *conditions: Any) -> list[Row[Any]]:
        source, target = list(table.primary_key.columns)
        statement = select(table).where(table.c.active, *conditions).order_by(table.c.decided_at, source, target)
        with self._transactions.read() as connection:
            return list(connection.execute(statement))

    def _unlink(self, table: Table, ids: dict[str, str], by: str, now: datetime) -> bool:
        statement = update(table).where(*(table.c[name] == value for name, value in ids.items()), table.c.active)
        with self._transactions.write() as connection:
            changed = connection.execute(statement.values(active=False, unlinked_by=by, unlinked_at=now))
            return bool(changed.rowcount)


def _refuse_conflict(connection: Connection, table: Table, what: str, source_id: str, target_id: str, method: str) -> None:
    source, target = list(table.primary_key.columns)
    if method == PERSON:
        return
    other = connection.execute(
        select(source).where(target == target_id, source != source_id, table.c.active).order_by(source)
    ).scalar()
    if other is not None:
        raise LinkConflict(what, target_id, other, source_id)


def _is_active(connection: Connection, ids: Mapping[str, str]) -> bool:
    table = customer_links
    same = (table.c[name] == value for name, value in ids.items())
    return connection.execute(select(table.c.active).where(*same, table.c.active)).first() is not None


def _put_customer(connection: Connection, ids: dict[str, str], values: dict[str, Any]) -> None:
    """Make a link, and keep the decision about the same two whose place it takes."""
    table = customer_links
    row = connection.execute(select(table).where(*(table.c[name] == value for name, value in ids.items()))).one_or_none()
    if row is not None:
        if row.active and row.method == PERSON and values["method"] != PERSON:
            return
        by = storable(values["decided_by"])
        if not row.active or (row.method, row.decided_by) != (values["method"], by):
            undone = {"unlinked_by": row.unlinked_by or by, "unlinked_at": row.unlinked_at or values["decided_at"]}
            connection.execute(insert(past_customer_links).values({**ids, **_decision(row), **undone}))
    _put(connection, table, ids, values)


def _decision(row: Row[Any]) -> dict[str, Any]:
    names = ("method", "score", "evidence", "rule_version", "decided_by", "decided_at")
    return {name: getattr(row, name) for name in names}


def _with(evidence: str, name: str, value: str) -> str:
    return to_json({**parse_json(evidence), name: value}, sort_keys=True)


def _put(connection: Connection, table: Table, ids: dict[str, str], values: dict[str, Any]) -> None:
    values = {**values, "active": True, "unlinked_by": None, "unlinked_at": None}
    same = [table.c[name] == value for name, value in ids.items()]
    if connection.execute(update(table).where(*same).values(values)).rowcount == 0:
        connection.execute(insert(table).values({**ids, **values}))


def _customer_link(row: Row[Any]) -> CustomerLink:
    return CustomerLink(
        account_id=row.account_id,
        customer_id=row.customer_id,
        method=row.method,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        score=row.score,
        evidence=parse_json(row.evidence),
        rule_version=row.rule_version,
        active=row._mapping.get("active", False),
        unlinked_by=row.unlinked_by,
        unlinked_at=row.unlinked_at,
    )


def _invoice_link(row: Row[Any]) -> InvoiceLink:
    return InvoiceLink(row.opportunity_id, row.invoice_id, row.method, row.decided_by, row.decided_at, row.active)
