"""Both systems' records as an audit looks at them: live ones by id, what belongs to what, and which of them are in use."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any

import polars as pl

from qbsf_pipeline.cleansing.places import country_code
from qbsf_pipeline.customers.terms import Term, active_terms
from qbsf_pipeline.invoices.items import Item, ItemCatalogue
from qbsf_pipeline.invoices.lines import DealLine
from qbsf_pipeline.money import parse_json
from qbsf_pipeline.settings import Rules

Row = Mapping[str, Any]

#: A customer with an invoice of this many days is in use.
RECENT_DAYS = 365


@dataclass(frozen=True)
class AuditInputs:
    """Raw tables by their names; ``account`` is Salesforce's. ``matches`` has the columns of
    :data:`customers.matching.plan.MATCHES`. The source record as JSON is not needed."""

    account: pl.DataFrame
    contact: pl.DataFrame
    opportunity: pl.DataFrame
    opportunity_line_item: pl.DataFrame
    opportunity_contact_role: pl.DataFrame
    product2: pl.DataFrame
    user: pl.DataFrame
    organization: pl.DataFrame
    customer: pl.DataFrame
    invoice: pl.DataFrame
    item: pl.DataFrame
    term: pl.DataFrame
    vendor: pl.DataFrame
    employee: pl.DataFrame
    preferences: pl.DataFrame
    company_info: pl.DataFrame
    matches: pl.DataFrame


class Records:
    """The records of one audit, indexed once.

    Args:
        as_of: today; invoices of the year before it show that a customer is in use.
        go_live: deals won before it are never invoiced; ``None`` while nobody has set it.
    """

    def __init__(self, inputs: AuditInputs, rules: Rules, as_of: date, go_live: date | None = None) -> None:
        self.rules = rules
        self._go_live = go_live
        self.accounts = _by_id(inputs.account)
        self.contacts = _by_id(inputs.contact)
        self.products = _by_id(inputs.product2)
        self.users = _by_id(inputs.user)
        self.customers = _by_id(inputs.customer)
        self.items = _by_id(inputs.item)
        self.vendors = _by_id(inputs.vendor)
        self.employees = _by_id(inputs.employee)
        self.deals = {
            key: row for key, row in _by_id(inputs.opportunity).items() if row["is_won"] is True or row["is_closed"] is not True
        }
        self.matches = {row["account_id"]: row for row in inputs.matches.iter_rows(named=True)}
        self.terms: Sequence[Term] = active_terms(inputs.term.iter_rows(named=True))
        self.inactive_terms = active_terms({**row, "active": row["active"] is False} for row in inputs.term.iter_rows(named=True))
        self.term_names = {row["id"]: row["name"] for row in inputs.term.iter_rows(named=True) if row["name"]}
        self.catalogue = ItemCatalogue(inputs.item.iter_rows(named=True), rules.items)
        self.deals_of = _grouped(self.deals.values(), "account_id")
        self.contacts_of = _grouped(self.contacts.values(), "account_id")
        self.lines_of = _grouped(_by_id(inputs.opportunity_line_item).values(), "opportunity_id")
        self.roles_of = _grouped(_by_id(inputs.opportunity_contact_role).values(), "opportunity_id")
        preferences, company = _first(inputs.preferences), _first(inputs.company_info)
        self.home_currency = currency_code(preferences.get("home_currency"))
        self.several_currencies = preferences.get("multi_currency") is True
        self.org_currency = (
            currency_code(_first(inputs.organization).get("default_currency"))
            or currency_code(rules.salesforce.currency)
            or (None if self.several_currencies else self.home_currency)
        )
        self.home_country = country_code(company.get("country")) or ("US" if not company.get("country") else None)
        since = as_of - timedelta(days=RECENT_DAYS)
        recent = inputs.invoice.filter(
            ~pl.col("is_deleted").fill_null(False)
            & (pl.col("status").fill_null("live") == "live")
            & (pl.col("txn_date") >= since)
            & pl.col("customer_id").is_not_null()
        )
        self.recent_invoices: Mapping[str, int] = dict(recent.group_by("customer_id").len().iter_rows())

    @cached_property
    def customer_of(self) -> Mapping[str, Row]:
        """Account id -> the customer that its deals are billed to, where that is known."""
        found = {account_id: match["customer_id"] for account_id, match in self.matches.items() if match["outcome"] == "linked"}
        return {
            account_id: self.customers[customer_id]
            for account_id, customer_id in found.items()
            if account_id in self.accounts and customer_id in self.customers
        }

    @cached_property
    def customers_of(self) -> Mapping[str, Sequence[Row]]:
        """Account id -> every customer of it: the one that is billed first, then those of other currencies or branches."""
        found: dict[str, list[Row]] = {}
        for account_id, billed in self.customer_of.items():
            others = [one["customer_id"] for one in parse_json(self.matches[account_id]["customers"] or "[]")]
            rows = [self.customers[key] for key in others if key in self.customers and key != billed["id"]]
            found[account_id] = [billed, *rows]
        return found

    @cached_property
    def accounts_of(self) -> Mapping[str, Sequence[str]]:
        """Customer id -> accounts that are matched to it or hold its id."""
        found: dict[str, list[str]] = defaultdict(list)
        for account_id, customers in self.customers_of.items():
            for customer in customers:
                found[customer["id"]].append(account_id)
        for account_id, account in self.accounts.items():
            stored = (account["customer_id"] or "").strip()
            if stored and account_id not in found[stored]:
                found[stored].append(account_id)
        return dict(found)

    @cached_property
    def sold(self) -> Mapping[str, tuple[list[Row], list[Row]]]:
        """Product id -> (open deals, won deals) that are still to be invoiced and have a line of it."""
        found: dict[str, tuple[list[Row], list[Row]]] = {}
        for deal in self.deals.values():
            if not self._to_be_invoiced(deal):
                continue
            for product_id in dict.fromkeys(line["product_id"] for line in self.lines_of.get(deal["id"], ())):
                if product_id is not None:
                    found.setdefault(product_id, ([], []))[1 if deal["is_won"] is True else 0].append(deal)
        return found

    @cached_property
    def item_of(self) -> Mapping[str, Item]:
        """Product id -> the item that stands for it, be it active or not."""
        rules = self.rules.items
        rows = [row | {"active": row["active"] is not False} for row in self.items.values()]
        anyhow = ItemCatalogue([row | {"active": True, "is_deleted": False} for row in rows], rules)
        active = {row["id"]: row["active"] for row in rows}
        found: dict[str, Item] = {}
        for key, product in self.products.items():
            # The usable item first: beside it an inactive one of the same name means nothing.
            item = self.catalogue.find(line_of(product))
            item = item if isinstance(item, Item) else anyhow.find(line_of(product))
            if isinstance(item, Item):
                found[key] = replace(item, active=active[item.item_id])
        return found

    def unbilled(self, account_id: str) -> list[Row]:
        """The account's deals that are still to be invoiced: open ones, and won ones without an invoice since go-live."""
        return [deal for deal in self.deals_of.get(account_id, ()) if self._to_be_invoiced(deal)]

    def _to_be_invoiced(self, deal: Row) -> bool:
        if deal["is_won"] is not True:
            return True
        day = deal["close_date"]
        old = self._go_live is not None and day is not None and day < self._go_live
        return not old and not (deal["invoice_id"] or deal["invoice_number"] or "").strip()

    def deals_on(self, account_id: str | None) -> int:
        """Number of won and open deals of an account."""
        return len(self.deals_of.get(account_id or "", ()))

    def won_on(self, account_id: str) -> int:
        """Number of won deals of an account."""
        return sum(deal["is_won"] is True for deal in self.deals_of.get(account_id, ()))

    def deals_on_customer(self, customer_id: str) -> int:
        """Number of won and open deals of the accounts that a customer belongs to."""
        return sum(self.deals_on(account_id) for account_id in self.accounts_of.get(customer_id, ()))

    def customer_in_use(self, customer: Row) -> bool:
        """Whether money is open on a customer, it was billed within the year, or deals hang on it."""
        return bool(customer["balance"]) or customer["id"] in self.recent_invoices or self.deals_on_customer(customer["id"]) > 0

    def term_of(self, customer: Row) -> str | None:
        """Name of the customer's payment terms."""
        return self.term_names.get(customer["term_id"] or "")

    def currency_of_customer(self, customer: Row) -> str | None:
        """The customer's currency; the home currency where the customer names none."""
        return currency_code(customer["currency"]) or self.home_currency


def currency_code(text: str | None) -> str | None:
    """An ISO code in capitals; ``None`` for nothing."""
    return (text or "").strip().upper() or None


def line_of(product: Row) -> DealLine:
    """A line of one product, to ask the catalogue for its item."""
    return DealLine(
        line_id=product["id"],
        product_id=product["id"],
        product_code=product["product_code"],
        product_name=product["name"],
        product_sku=product["sku"],
        product_description=product["description"],
        item_name=product["item_name"],
        class_name=None,
        description=None,
        quantity=None,
        unit_price=None,
        discount=None,
        total=Decimal(0),
        service_date=None,
    )


def balance_of(customer: Row) -> Decimal:
    """Open balance in the customer's currency; zero where QuickBooks tells none."""
    return customer["balance"] if customer["balance"] is not None else Decimal(0)


def _by_id(frame: pl.DataFrame) -> dict[str, dict[str, Any]]:
    live = frame.filter(~pl.col("is_deleted").fill_null(False)).drop("record", strict=False)
    return {row["id"]: row for row in live.sort("id").iter_rows(named=True)}


def _grouped(rows: Any, column: str) -> Mapping[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if row[column]:
            found[row[column]].append(row)
    return dict(found)


def _first(frame: pl.DataFrame) -> Row:
    live = frame.filter(~pl.col("is_deleted").fill_null(False)).drop("record", strict=False)
    return live.row(0, named=True) if live.height else {}
