"""Customers and items that do not exist in QuickBooks yet, each created once for the first deal that needs it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from qbsf_pipeline.customers import payloads as customer_payloads
from qbsf_pipeline.customers.matching.names import legal_display_name, name_key, unique_name
from qbsf_pipeline.customers.payloads import Mender
from qbsf_pipeline.customers.terms import find_term
from qbsf_pipeline.invoices import payloads
from qbsf_pipeline.invoices.company import currency_code
from qbsf_pipeline.invoices.history import LedgerLine
from qbsf_pipeline.invoices.keys import customer_reference, item_reference
from qbsf_pipeline.invoices.known import Known
from qbsf_pipeline.invoices.lines import DealLine
from qbsf_pipeline.invoices.rows import plan_row
from qbsf_pipeline.invoices.sound_deals import Findings, SoundDeal, deal_name


@dataclass(frozen=True)
class _NewCustomer:
    """A customer to be created, as its first deal needs it."""

    account: Mapping[str, Any]
    email: str | None
    term_id: str | None
    currency: str
    deal_name: str


class NewRecords:
    """What is to be created before the invoices of one plan. One use: deals are taken first, then it is written."""

    def __init__(self, known: Known, linked: Mapping[str, Mapping[str, Any]]) -> None:
        """
        Args:
            linked: customers that accounts are linked to, by id: currency.
        """
        self._known, self._linked = known, linked
        self._customers: dict[str, _NewCustomer] = {}
        self._items: dict[str, DealLine] = {}
        self._written: set[str] = set()

    def take(self, sound: SoundDeal) -> None:
        """Put what a deal needs with what is to be created."""
        if sound.customer == customer_reference(sound.account["id"]):
            self._customers.setdefault(
                sound.account["id"],
                _NewCustomer(
                    account=sound.account,
                    email=sound.sent_to,
                    term_id=self._customer_term(sound),
                    currency=sound.currency,
                    deal_name=deal_name(sound.deal),
                ),
            )
        for product_id, line in _new_items(sound):
            self._items.setdefault(product_id, line)

    def currency_of(self, account_id: str) -> str | None:
        """The currency of the account's customer that is to be created; ``None`` without one."""
        new = self._customers.get(account_id)
        return new.currency if new is not None else None

    def ledger_lines(self, sound: SoundDeal) -> list[LedgerLine | None]:
        """What the ledger says of everything that must exist before a deal's invoice."""
        return [self._known.history.ledger(key) for key in self._keys_of(sound)]

    def rows_before(self, sound: SoundDeal, findings: Findings) -> tuple[list[dict[str, Any]], list[str]]:
        """The writes that come before a deal's invoice and that no earlier deal has; and the keys of all that it needs."""
        rows: list[dict[str, Any]] = []
        account_id = sound.account["id"]
        if sound.customer == customer_reference(account_id) and self._is_first(self._known.keys.customer(account_id)):
            rows.append(self._customer_row(account_id, findings))
        for product_id, line in _new_items(sound):
            if self._is_first(self._known.keys.item(product_id)):
                rows.append(self._item_row(line, findings))
        return rows, self._keys_of(sound)

    def customer_name(self, account_id: str) -> str | None:
        """What the account's customer will be called; ``None`` where none is created."""
        return self._names.get(account_id)

    def _is_first(self, key: str) -> bool:
        first = key not in self._written
        self._written.add(key)
        return first

    def _keys_of(self, sound: SoundDeal) -> list[str]:
        account_id = sound.account["id"]
        keys = [self._known.keys.customer(account_id)] if sound.customer == customer_reference(account_id) else []
        return list(dict.fromkeys([*keys, *(self._known.keys.item(product_id) for product_id, _ in _new_items(sound))]))

    @cached_property
    def _names(self) -> dict[str, str]:
        return self._named_customers()

    @cached_property
    def _item_names(self) -> dict[str, str]:
        return self._named_items()

    def _customer_term(self, sound: SoundDeal) -> str | None:
        own = (
            find_term(sound.account["payment_terms"] or "", self._known.company.terms) if sound.account["payment_terms"] else None
        )
        chosen = own or sound.term
        return chosen.term_id if chosen is not None else None

    def _customer_row(self, account_id: str, findings: Findings) -> dict[str, Any]:
        new, name = self._customers[account_id], self._names[account_id]
        account = new.account
        parent, needs = self._parent(account, new.currency, findings)
        mender = Mender()
        of_account = (pl.col("account_id") == account_id) & ~pl.col("is_deleted").fill_null(False)
        contacts = self._known.inputs.contact.filter(of_account).select("first_name", "last_name", "email", "is_deleted")
        body = customer_payloads.customer(
            account,
            name,
            contacts=contacts.to_dicts(),
            email=new.email,
            term_id=new.term_id,
            currency=new.currency if self._known.company.several_currencies else None,
            parent=parent,
            mender=mender,
        )
        findings.tell_mended(text for text in mender.mended if not text.what.startswith("billing "))
        if name != account["name"]:
            findings.note(
                "customer_name_mended",
                f"QuickBooks will call the customer “{name}”: it does not take “{account['name']}”.",
            )
        if account["phone"] and "PrimaryPhone" not in body:
            findings.note("phone_left_out", f"The phone number “{account['phone']}” is longer than QuickBooks takes.")
        return plan_row(
            "create_customer",
            "Customer",
            self._known.keys.customer(account_id),
            needs,
            body,
            f"QuickBooks has no customer for the account; it is created for the deal “{new.deal_name}”.",
            source_object="Account",
            source_id=account_id,
            account_id=account_id,
            label=name,
            customer_name=name,
            currency=new.currency,
        )

    def _parent(self, account: Mapping[str, Any], currency: str, findings: Findings) -> tuple[str | None, list[str]]:
        """The parent customer by rule, and the key that must be done before, if it is created in the same push."""
        parent_id = account["parent_id"]
        if self._known.rules.customers.parent_accounts != "sub_customer" or not parent_id or self._is_ring(account):
            return None, []
        match = self._known.matches.get(parent_id)
        new = self._customers.get(parent_id)
        parent: str | None = None
        needs: list[str] = []
        other: str | None = None
        if new is not None:
            parent, needs, other = customer_reference(parent_id), [self._known.keys.customer(parent_id)], new.currency
        elif match is not None and match["outcome"] == "linked":
            parent = match["customer_id"]
            other = currency_code((self._linked.get(parent or "") or {}).get("currency")) or self._known.company.home_currency
        if parent is not None and other is not None and other != currency:
            findings.note("parent_left_out", f"The parent customer is billed in {other}: the new customer stands alone.")
            return None, []
        return parent, needs

    def _is_ring(self, account: Mapping[str, Any]) -> bool:
        """Whether the account is, through its parents, its own parent: then nobody comes first."""
        seen = {account["id"]}
        parent_id = account["parent_id"]
        while parent_id:
            if parent_id in seen:
                return True
            seen.add(parent_id)
            parent_id = (self._known.accounts.get(parent_id) or {}).get("parent_id")
        return False

    def _item_row(self, line: DealLine, findings: Findings) -> dict[str, Any]:
        product_id = line.product_id or ""
        name = self._item_names[product_id]
        mender = Mender()
        income_account = self._known.company.income_account_id(self._known.rules.items.income_account.strip()) or ""
        body = payloads.item(name, line.product_code, line.product_description, income_account, mender)
        findings.tell_mended(mender.mended)
        return plan_row(
            "create_item",
            "Item",
            self._known.keys.item(product_id),
            [],
            body,
            f"QuickBooks has no item for the product “{line.label}”, and the rules say that it is created.",
            source_object="Product2",
            source_id=product_id,
            label=name,
        )

    def _named_customers(self) -> dict[str, str]:
        """DisplayName of each customer to be created: unique over customers, vendors and employees, and over this plan.

        Names are given in the order of account ids, those on their way first, so that they do not change between plans.
        """
        taken: set[str] = set()
        if self._customers:
            for frame in (self._known.inputs.customer, self._known.inputs.vendor, self._known.inputs.employee):
                in_use = frame.filter(~pl.col("is_deleted").fill_null(False) & pl.col("display_name").is_not_null())
                for name, active in in_use.select("display_name", "active").iter_rows():
                    taken.add(name_key(name))
                    if active is False:
                        # What was made inactive keeps its name reserved, whatever QuickBooks shows.
                        taken.add(name_key(name.removesuffix("(deleted)")))
        return self._named(
            [
                (account_id, self._known.keys.customer(account_id), new.account["name"])
                for account_id, new in self._customers.items()
            ],
            taken,
        )

    def _named_items(self) -> dict[str, str]:
        taken: set[str] = set()
        for item in self._known.company.items.items:
            taken |= {name_key(item.name), name_key(item.full_name)}
        return self._named(
            [
                (product_id, self._known.keys.item(product_id), line.product_name or line.product_code or line.label)
                for product_id, line in self._items.items()
            ],
            taken,
        )

    def _named(self, wanted: Iterable[tuple[str, str, str | None]], taken: set[str]) -> dict[str, str]:
        def order(entry: tuple[str, str, str | None]) -> tuple[bool, str]:
            line = self._known.history.ledger(entry[1])
            return line is None or line.status != "sending", entry[0]

        names: dict[str, str] = {}
        for record_id, _, wish in sorted(wanted, key=order):
            legal, _ = legal_display_name(wish)
            names[record_id] = unique_name(legal, taken, self._known.rules.customers.taken_name_suffix)
            taken.add(name_key(names[record_id]))
        return names


def _new_items(sound: SoundDeal) -> list[tuple[str, DealLine]]:
    """Products of a deal for which there is no item yet, with their lines."""
    found = []
    for priced in sound.lines:
        line = priced.line.line
        if line.product_id is not None and priced.item == item_reference(line.product_id):
            found.append((line.product_id, line))
    return found
