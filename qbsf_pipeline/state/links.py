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

from sqlalchemy import Connection, Row, Table, insert, select, update

from qbsf_pipeline.money import parse_json, to_json
from qbsf_pipeline.state.tables import customer_links, invoice_links
from qbsf_pipeline.state.transactions import Transactions

#: The method of a link that a person made. Only such a link may go against another one.
PERSON = "person"


@dataclass(frozen=True)
class CustomerLink:
    """An account of Salesforce is a customer of QuickBooks.

    ``method``: how it was found (``person`` when a person said so). ``score``: how sure, where the method gives one.
    ``evidence``: field by field. ``active`` is False for a link that was undone.
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
        """Remember a link; the same accounts and customers linked again take the new evidence.

        Raises:
            LinkConflict: the customer is another account's, and ``link`` was not made by a person.
        """
        table = customer_links
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
            _put(connection, table, {"account_id": link.account_id, "customer_id": link.customer_id}, values)

    def unlink_customer(self, account_id: str, customer_id: str, by: str, now: datetime) -> bool:
        """Undo a link; False when there is none. The row stays, with who undid it."""
        return self._unlink(customer_links, {"account_id": account_id, "customer_id": customer_id}, by, now)

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
        active=row.active,
    )


def _invoice_link(row: Row[Any]) -> InvoiceLink:
    return InvoiceLink(row.opportunity_id, row.invoice_id, row.method, row.decided_by, row.decided_at, row.active)
