"""What a decision about one account and its customer depends on beside the two records: lists, siblings, names in use, rules.

Read once from the frames of a plan. Nothing is decided here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl

from qbsf_pipeline.customers.fields import fields_in_step
from qbsf_pipeline.customers.matching.names import name_key
from qbsf_pipeline.customers.meanings import meaning
from qbsf_pipeline.customers.terms import Term, active_terms, find_term
from qbsf_pipeline.settings import Rules

PAIRS = pl.Schema({"account_id": pl.String, "customer_id": pl.String, "method": pl.String})
AGREEMENTS = pl.Schema({"account_id": pl.String, "customer_id": pl.String, "values": pl.String})
REVERSALS = pl.Schema(
    {
        "journal_id": pl.String,
        "account_id": pl.String,
        "customer_id": pl.String,
        "field": pl.String,
        "value": pl.String,
        "side": pl.String,
    }
)
LEDGER = pl.Schema({"key": pl.String, "status": pl.String})


@dataclass(frozen=True)
class CustomerInputs:
    """Everything that the plan is made of: raw tables by their names, and what the state remembers.

    ``pairs`` (:data:`PAIRS`): every link in force, of accounts with several customers too. ``agreements``
    (:data:`AGREEMENTS`): the last agreement of each pair, as the plan gave it. ``reversals`` (:data:`REVERSALS`): values that a
    person wants back (JSON), and the side that gets them. ``ledger`` (:data:`LEDGER`): every row of this flow.
    """

    account: pl.DataFrame
    contact: pl.DataFrame
    user: pl.DataFrame
    customer: pl.DataFrame
    term: pl.DataFrame
    vendor: pl.DataFrame
    employee: pl.DataFrame
    preferences: pl.DataFrame
    pairs: pl.DataFrame
    agreements: pl.DataFrame
    reversals: pl.DataFrame
    ledger: pl.DataFrame


@dataclass(frozen=True)
class Circumstances:
    """What stands around the pairs.

    Attributes:
        fields: the fields that are compared.
        reporting: why nothing is written at all, as a sentence; ``None`` where changes may be written.
        accounts, customers: live records by id.
        customers_of, accounts_of: ids of the other side's live records, by account and by customer, in order.
        terms: terms that may be used; ``term_names`` has the inactive ones too.
        names_in_use: ids of customers (``vendor`` and ``employee`` for the others) by name, as QuickBooks compares names.
        below: ids of sub-customers by parent.
        users: name by id.
    """

    rules: Rules
    fields: tuple[str, ...]
    reporting: str | None
    accounts: Mapping[str, Mapping[str, Any]]
    contacts: Mapping[str, Sequence[Mapping[str, Any]]]
    customers: Mapping[str, Mapping[str, Any]]
    customers_of: Mapping[str, tuple[str, ...]]
    accounts_of: Mapping[str, tuple[str, ...]]
    terms: Sequence[Term]
    term_names: Mapping[str, str]
    home_currency: str | None
    names_in_use: Mapping[str, frozenset[str]]
    below: Mapping[str, Sequence[str]]
    users: Mapping[str, str]

    def open_balance(self, customer_id: str) -> Decimal | None:
        """The balances of a customer and everything below it, added without their signs; ``None`` where one is not known."""
        total = Decimal(0)
        for one in (customer_id, *self.descendants(customer_id)):
            balance = self.customers[one]["balance"] if one in self.customers else Decimal(0)
            if balance is None:
                return None
            total += abs(balance)
        return total

    def descendants(self, customer_id: str) -> list[str]:
        """Everything below a customer, each once, also where records point at each other in a ring."""
        found: list[str] = []
        waiting = list(self.below.get(customer_id, ()))
        while waiting:
            one = waiting.pop()
            if one != customer_id and one not in found:
                found.append(one)
                waiting += self.below.get(one, ())
        return found

    def level(self, customer_id: str) -> int:
        """How many parents stand above a customer."""
        seen = {customer_id}
        parent = (self.customers.get(customer_id) or {}).get("parent_id")
        while parent and parent not in seen:
            seen.add(parent)
            parent = (self.customers.get(parent) or {}).get("parent_id")
        return len(seen) - 1

    def term(self, name: str) -> Term | None:
        """The term that may be used for a name: by its spelling, else the only one that means the same ("30 days")."""
        found = find_term(name, self.terms)
        if found is not None:
            return found
        compare = self.rules.customers.fields.terms.compare
        alike = [term for term in self.terms if meaning(term.name, compare) == meaning(name, compare)]
        return alike[0] if len(alike) == 1 else None

    def holders(self, name: str, customer_id: str) -> frozenset[str]:
        """Who else has a name: ids of customers, ``vendor``, ``employee``."""
        return self.names_in_use.get(name_key(name), frozenset()) - {customer_id}


def circumstances(inputs: CustomerInputs, rules: Rules, as_of: date) -> Circumstances:
    """Read what stands around the pairs.

    Args:
        as_of: today in the company's time zone; tells whether changes may be written yet.
    """
    accounts, customers = _live(inputs.account), _live(inputs.customer)
    customers_of: dict[str, list[str]] = defaultdict(list)
    accounts_of: dict[str, list[str]] = defaultdict(list)
    for account_id, customer_id in inputs.pairs.select("account_id", "customer_id").unique().sort(pl.all()).iter_rows():
        if account_id in accounts and customer_id in customers:
            customers_of[account_id].append(customer_id)
            accounts_of[customer_id].append(account_id)
    contacts: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    people = inputs.contact.filter(pl.col("account_id").is_in(list(customers_of)) & ~pl.col("is_deleted").fill_null(False))
    people = people.select("id", "account_id", "first_name", "last_name", "email", "is_deleted").sort("id")
    for row in people.iter_rows(named=True):
        contacts[row["account_id"]].append(row)
    below: dict[str, list[str]] = defaultdict(list)
    for customer_id, row in customers.items():
        if row["parent_id"]:
            below[row["parent_id"]].append(customer_id)
    preferences = next(iter(_live(inputs.preferences).values()), {})
    terms = [row for row in inputs.term.drop("record", strict=False).sort("id").iter_rows(named=True) if row["name"]]
    until = rules.customers.sync.report_only_until
    return Circumstances(
        rules=rules,
        fields=fields_in_step(rules),
        reporting=f"Until {until} differences are only reported." if until is not None and as_of < until else None,
        accounts=accounts,
        contacts=contacts,
        customers=customers,
        customers_of={account_id: tuple(ids) for account_id, ids in customers_of.items()},
        accounts_of={customer_id: tuple(ids) for customer_id, ids in accounts_of.items()},
        terms=active_terms(terms),
        term_names={row["id"]: row["name"] for row in terms},
        home_currency=(preferences.get("home_currency") or "").strip().upper() or None,
        names_in_use=_names_in_use(customers.values(), inputs.vendor, inputs.employee),
        below=below,
        users={user_id: name for user_id, name in inputs.user.select("id", "name").iter_rows() if name},
    )


def _live(frame: pl.DataFrame) -> dict[str, dict[str, Any]]:
    live = frame.filter(~pl.col("is_deleted").fill_null(False)).drop("record", strict=False)
    return {row["id"]: row for row in live.sort("id").iter_rows(named=True)}


def _names_in_use(
    customers: Iterable[Mapping[str, Any]], vendors: pl.DataFrame, employees: pl.DataFrame
) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = defaultdict(set)

    def take(name: str | None, active: bool | None, holder: str) -> None:
        if name:
            found[name_key(name)].add(holder)
            if active is False:
                # What was made inactive keeps its name reserved, whatever QuickBooks shows.
                found[name_key(name.strip().removesuffix("(deleted)"))].add(holder)

    for row in customers:
        take(row["display_name"], row["active"], row["id"])
    for holder, frame in (("vendor", vendors), ("employee", employees)):
        for name, active in frame.filter(~pl.col("is_deleted").fill_null(False)).select("display_name", "active").iter_rows():
            take(name, active, holder)
    return {name: frozenset(holders) for name, holders in found.items()}
