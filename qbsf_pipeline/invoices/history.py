"""What was billed before: every sign that a deal has its invoice already, so that it is never billed again.

Signs are: what the deal holds in Salesforce, the marker on invoices in QuickBooks whatever became of them, links in the
state, and writes that are done in the ledger. The state may be lost: the other signs are enough.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl

from qbsf_pipeline.customers.texts import short_id
from qbsf_pipeline.invoices.recurring.markers import noted_period
from qbsf_pipeline.invoices.recurring.schedule import period_of
from qbsf_pipeline.quickbooks.objects import opportunity_in

FIRST_GENERATION = 1


@dataclass(frozen=True)
class LedgerLine:
    """What the ledger says of one key; ``done_on``: the company's day on which it was done."""

    status: str
    result_id: str | None
    error_code: str | None
    done_on: date | None = None


@dataclass(frozen=True)
class Billed:
    """A deal that has its invoice.

    Attributes:
        sign: what says so, in words.
        invoice_id: the invoice, where it is known and single.
        adopt: whether Salesforce has to be told of it.
        rivals: ids of several invoices that claim the deal, where it is not clear which one is right.
    """

    sign: str
    invoice_id: str | None
    adopt: bool
    rivals: tuple[str, ...] = ()


class BillingHistory:
    """Signs of earlier invoices, by deal."""

    def __init__(
        self,
        invoices: pl.DataFrame,
        invoice_links: pl.DataFrame,
        ledger: pl.DataFrame,
        generations: pl.DataFrame,
        realm_id: str,
        credit_memos: pl.DataFrame,
    ) -> None:
        """Args: columns of ``quickbooks.invoice`` and of :data:`.tables.INVOICE_LINKS`, ``LEDGER`` and ``GENERATIONS``, and
        ``quickbooks.credit_memo``."""
        self._realm_id = realm_id
        known = invoices.sort("created_at", "id", nulls_last=True).select(
            *("id", "doc_number", "opportunity_id", "status", "balance", "email_status", "bill_email", "total", "due_date"),
            *("tax", "txn_date", "private_note", "recurring_id", "customer_id", "customer_name"),
        )
        self._invoices: dict[str, dict[str, Any]] = {row["id"]: row for row in known.iter_rows(named=True)}
        self._marked: dict[str, list[str]] = defaultdict(list)
        for row in self._invoices.values():
            if row["opportunity_id"]:
                self._marked[short_id(row["opportunity_id"])].append(row["id"])
        memos = credit_memos.sort("id").select("id", "doc_number", "total", "remaining", "txn_date", "private_note", "is_deleted")
        self._memos = {row["id"]: row for row in memos.iter_rows(named=True) if noted_period(row["private_note"]) is not None}
        self._memos_of: dict[str, list[str]] = defaultdict(list)
        for row in self._memos.values():
            self._memos_of[short_id(opportunity_in(row["private_note"]) or "")].append(row["id"])
        self._linked: dict[str, list[str]] = defaultdict(list)
        #: Deals by invoices that are linked to them: ids of 15 characters.
        self.linked_deals: dict[str, str] = {}
        self._linked_by: dict[tuple[str, str], set[str]] = defaultdict(set)
        for opportunity_id, invoice_id, method in invoice_links.select("opportunity_id", "invoice_id", "method").iter_rows():
            self._linked[short_id(opportunity_id)].append(invoice_id)
            self.linked_deals[invoice_id] = short_id(opportunity_id)
            self._linked_by[short_id(opportunity_id), method or ""].add(invoice_id)
        self._ledger: dict[str, LedgerLine] = {}
        #: Items that the program created: id of the item -> how a plan refers to it before.
        self.created_items: dict[str, str] = {}
        self._write_backs: dict[str, dict[str, str]] = defaultdict(dict)
        self._done: dict[str, list[str | None]] = defaultdict(list)
        self._periods: dict[str, dict[int, LedgerLine]] = defaultdict(dict)
        for row in ledger.iter_rows(named=True):
            self._ledger[row["key"]] = LedgerLine(row["status"], row["result_id"], row["error_code"], row["done_on"])
            if row["operation"] == "create_invoice" and row["status"] == "done" and row["opportunity_id"]:
                self._done[short_id(row["opportunity_id"])].append(row["result_id"])
            if row["operation"] in ("create_invoice", "create_credit_memo"):
                number = period_of(row["key"])
                if number is not None:
                    self._periods[row["key"].rpartition(":")[0]][number] = self._ledger[row["key"]]
            if row["operation"] == "create_item" and row["status"] == "done" and row["result_id"]:
                self.created_items[row["result_id"]] = f"$item:{row['key'].rsplit(':', 1)[1]}"
            if (row["operation"] or "").startswith("write_back_"):
                # salesforce:{org}:{object}:{record}:{content}
                self._write_backs[row["key"].split(":")[3]][row["key"]] = row["status"]
        self._generations: dict[str, int] = {
            short_id(opportunity_id): generation
            for opportunity_id, generation in generations.select("opportunity_id", "generation").iter_rows()
        }

    def generation(self, opportunity_id: str) -> int:
        """How often a person has said that the deal is to be billed: 1, more after "bill it again"."""
        return max(self._generations.get(short_id(opportunity_id), FIRST_GENERATION), FIRST_GENERATION)

    def invoice_key(self, opportunity_id: str) -> str:
        """The key of the deal's invoice: what makes it the same write for ever."""
        return f"quickbooks:{self._realm_id}:invoice:{opportunity_id}:{self.generation(opportunity_id)}"

    def periods(self, opportunity_id: str) -> Mapping[int, LedgerLine]:
        """What the ledger says of the invoices of a deal's periods, by their numbers."""
        return self._periods.get(self.invoice_key(opportunity_id), {})

    def notes(self, opportunity_id: str) -> dict[str, str | None]:
        """Private notes of every invoice that names the deal, or that is linked to it, by id; the oldest first."""
        short = short_id(opportunity_id)
        found = dict.fromkeys([*self._marked.get(short, ()), *self._linked.get(short, ())])
        return {one: (self._invoices.get(one) or {}).get("private_note") for one in found}

    def linked_by(self, opportunity_id: str, method: str) -> Collection[str]:
        """Ids of the invoices that are linked to the deal in one way (:data:`..state.links.PERSON`, ``TEMPLATE``)."""
        return self._linked_by.get((short_id(opportunity_id), method), frozenset())

    def net(self, invoice_id: str) -> Decimal | None:
        """What an invoice comes to without tax; ``None`` where that is not known."""
        invoice = self._invoices.get(invoice_id) or {}
        total: Decimal | None = invoice.get("total")
        return None if total is None else total - (invoice["tax"] or Decimal(0))

    def memo_notes(self, opportunity_id: str) -> dict[str, str | None]:
        """Private notes of every credit memo that names the deal and a period, by id."""
        return {one: self._memos[one]["private_note"] for one in self._memos_of.get(short_id(opportunity_id), ())}

    def credit_memo(self, memo_id: str) -> Mapping[str, Any] | None:
        """Id, doc_number, total, remaining, txn_date, private_note and is_deleted of a credit memo that names a period; ``None``
        while it was not read."""
        return self._memos.get(memo_id)

    def ledger(self, key: str) -> LedgerLine | None:
        """What the ledger says of a key."""
        return self._ledger.get(key)

    def write_backs(self, record_id: str) -> Mapping[str, str]:
        """Writes to a Salesforce record in the ledger: key and status."""
        return self._write_backs.get(record_id, {})

    def holds_invoice(self, invoice_id: str) -> bool:
        """Whether QuickBooks has, or had, an invoice of that id."""
        return invoice_id in self._invoices

    def invoice(self, invoice_id: str) -> Mapping[str, Any] | None:
        """Id, doc_number, opportunity_id, status, balance, email_status, bill_email, total, tax, txn_date, due_date, recurring_id
        and private_note of an invoice; ``None`` while it was not read."""
        return self._invoices.get(invoice_id)

    def billed(self, deal: Mapping[str, Any]) -> Billed | None:
        """Whether the deal has its invoice of this generation.

        Args:
            deal: row of ``salesforce.opportunity``: id, invoice_id, invoice_number, invoice_url.
        """
        short = short_id(deal["id"])
        stored = {name: (deal[name] or "").strip() for name in ("invoice_id", "invoice_number", "invoice_url")}
        marked = self._marked.get(short, [])
        if self.generation(deal["id"]) > FIRST_GENERATION:
            return self._billed_again(deal["id"], stored["invoice_id"], marked)
        if any(stored.values()):
            told = stored["invoice_number"] or stored["invoice_id"] or stored["invoice_url"]
            return Billed(f"The deal holds invoice {told}.", stored["invoice_id"] or None, adopt=False)
        done = self._done.get(short, [])
        known = list(dict.fromkeys([*(found for found in done if found), *self._linked.get(short, ()), *marked]))
        if len(known) > 1:
            return Billed("Several invoices in QuickBooks name the deal.", None, adopt=False, rivals=tuple(known))
        if known:
            return Billed("QuickBooks has the invoice already.", known[0], adopt=True)
        # Done without an id cannot be; if it is, the deal is still not billed twice.
        return Billed("The invoice was created before.", None, adopt=False) if done else None

    def _billed_again(self, opportunity_id: str, stored: str, marked: list[str]) -> Billed | None:
        """A person said "bill it again": the signs of earlier generations no longer count, their number does."""
        line = self._ledger.get(self.invoice_key(opportunity_id))
        if line is not None and line.status == "done":
            return Billed("The deal was billed again.", line.result_id, adopt=bool(line.result_id) and line.result_id != stored)
        generation = self.generation(opportunity_id)
        if len(marked) > generation:
            return Billed("Several invoices in QuickBooks name the deal.", None, adopt=False, rivals=tuple(marked))
        if len(marked) == generation:
            return Billed("The deal was billed again.", marked[-1], adopt=marked[-1] != stored)
        return None

    def numbers(self, invoice_ids: tuple[str, ...]) -> list[str]:
        """The numbers that people know the invoices by; where one has none, its id."""
        number_of = {one: (self._invoices.get(one) or {}).get("doc_number") for one in invoice_ids}
        return [f"{number_of[one]} (id {one})" if number_of[one] else f"id {one}" for one in invoice_ids]
