"""Which QuickBooks customer a Salesforce account is: linked, to be created, ignored, or a question for a person.

The one place that decides it. Pure: frames in, frames out. Nothing here creates or links; what follows from a match is planned
in :mod:`qbsf_pipeline.invoices.plan`. Records are brought into one spelling by :mod:`normalising`, likely pairs are found by
:mod:`blocking`, compared by :mod:`comparing`, judged by :mod:`rules` and looked at together by :mod:`candidates`.
"""

from __future__ import annotations

import gc
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import polars as pl

from qbsf_pipeline.customers.matching.candidates import Appraisal, Candidate
from qbsf_pipeline.customers.matching.comparing import Comparison, Likeness, compare
from qbsf_pipeline.customers.matching.names import normalised_name
from qbsf_pipeline.customers.matching.normalising import Normaliser, Party
from qbsf_pipeline.customers.matching.rules import RULE_VERSION
from qbsf_pipeline.money import to_json
from qbsf_pipeline.settings import Rules
from qbsf_pipeline.warehouse.tables import AMOUNT, RAW_COLUMNS, Column, TableSchema

__all__ = [
    "DECISIONS",
    "LINKS",
    "MATCHES",
    "REVIEWS",
    "RULE_VERSION",
    "CustomerMatches",
    "account_in",
    "account_marker",
    "match_customers",
]

MATCHES = TableSchema(
    "customers",
    "matches",
    (
        Column("account_id", pl.String, "Salesforce account, 18 characters"),
        Column("account_name", pl.String, "Name of the account"),
        Column("outcome", pl.String, "linked, create, review or ignored"),
        Column("customer_id", pl.String, "QuickBooks customer, where linked"),
        Column(
            "method", pl.String, "Why: link, stored_id, marker, decision, name_and_evidence, scored, no_candidate or question"
        ),
        Column("reason", pl.String, "The same as a sentence"),
        Column("evidence", pl.String, "What was compared for the chosen customer, field by field (JSON object)"),
        Column(
            "candidates",
            pl.String,
            "Customers that a person may choose from; beside a link, others that seem to belong to the account too (JSON list)",
        ),
        Column(
            "score",
            AMOUNT,
            "How sure the best comparison of fields is, 0 to 1 (from 0.95 on a rule links); null where an id or a person says so",
        ),
        Column("rule_version", pl.String, "Version of the rules that decided"),
    ),
    ("account_id",),
    "One row per account: the QuickBooks customer that its deals are billed to",
)

REVIEWS = TableSchema(
    "customers",
    "reviews",
    (
        Column("account_id", pl.String, "Salesforce account, 18 characters"),
        Column("account_name", pl.String, "Name of the account"),
        Column("question", pl.String, "What a person is asked, as a sentence"),
        Column(
            "candidates",
            pl.String,
            "JSON list of objects: customer_id, display_name, email, city, agreeing (field names), differing (field names)",
        ),
    ),
    ("account_id",),
    "Accounts whose customer a person has to name",
)

LINKS = pl.Schema({"account_id": pl.String, "customer_id": pl.String, "method": pl.String, "decided_by": pl.String})
DECISIONS = pl.Schema({"account_id": pl.String, "decision": pl.String, "customer_id": pl.String})

_MOST_CANDIDATES = 10
#: The fields that are compared, in the order in which they are told.
_FIELDS = (
    "name",
    "email",
    "phone",
    "address",
    "street",
    "postal code",
    "city",
    "domain",
    "contact",
    "legal form",
    "currency",
)

_MARKER = re.compile(r"Salesforce Account ([A-Za-z0-9]{18}|[A-Za-z0-9]{15})(?![A-Za-z0-9])")


@dataclass(frozen=True)
class CustomerMatches:
    """What :func:`match_customers` found.

    Attributes:
        matches: one row per account that is not deleted, of :data:`MATCHES`.
        reviews: one row per account with outcome ``review``, of :data:`REVIEWS`.
    """

    matches: pl.DataFrame
    reviews: pl.DataFrame


def account_marker(account_id: str) -> str:
    """What the notes of every customer that the program creates begin with."""
    return f"Salesforce Account {account_id}"


def account_in(notes: str | None) -> str | None:
    """The account id in a customer's notes (15 or 18 characters, as found); ``None`` where there is none."""
    found = _MARKER.search(notes or "")
    return found.group(1) if found else None


def match_customers(
    accounts: pl.DataFrame,
    customers: pl.DataFrame,
    contacts: pl.DataFrame,
    links: pl.DataFrame,
    decisions: pl.DataFrame,
    rules: Rules,
    own_domains: Iterable[str] = (),
) -> CustomerMatches:
    """Name the QuickBooks customer of every account that is not deleted.

    In this order: the link in the state; the customer id stored on the account; the marker in a customer's notes; a
    person's decision; then the rules of :mod:`rules`: a name and something independent of it that agrees, nothing that
    contradicts, and no other candidate. What is found but not sure becomes a question; a person's decision answers a
    question raised by an earlier step. A link that names a merged account counts for the account it was merged into.

    Args:
        accounts: columns of ``salesforce.account``, deleted ones too.
        customers: columns of ``quickbooks.customer``, inactive and deleted ones too.
        contacts: columns of ``salesforce.contact``; what they have only ever agrees, it finds no candidate.
        links: columns of :data:`LINKS`: links in force in the state.
        decisions: columns of :data:`DECISIONS`; decision is ``create``, ``ignore`` or ``link``.
        rules: ``customers.missing`` says what happens where nothing is found.
        own_domains: e-mail domains of the org's own users, which tell no customer.
    """
    with _collector_at_rest():
        book = _Book(accounts, customers, contacts, links, decisions, own_domains)
        found = [book.match(account, rules) for account in book.accounts]
        matches = MATCHES.frame([match for match, _ in found])
        reviews = REVIEWS.frame([review for _, review in found if review is not None])
    return CustomerMatches(matches, reviews)


@dataclass(frozen=True)
class _Found:
    customer_id: str
    method: str
    reason: str


_Outcome = tuple[dict[str, Any], dict[str, Any] | None]


class _Book:
    """Everything that is known of both sides, indexed once."""

    def __init__(
        self,
        accounts: pl.DataFrame,
        customers: pl.DataFrame,
        contacts: pl.DataFrame,
        links: pl.DataFrame,
        decisions: pl.DataFrame,
        own_domains: Iterable[str],
    ) -> None:
        people: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
        for account_id, email, phone, name in (
            contacts.filter(~pl.col("is_deleted").fill_null(False) & pl.col("account_id").is_not_null())
            .select("account_id", "email", "phone", "name")
            .iter_rows()
        ):
            people[account_id].append((email or "", phone or "", name or ""))
        account_rows = _rows(accounts)
        self._normaliser = Normaliser(own_domains)
        self.accounts = [
            self._normaliser.account(row, people.get(row["id"], ())) for row in account_rows if not row["is_deleted"]
        ]
        self._account_names_by_id = {account.party_id: account.row["name"] for account in self.accounts}
        self._customer_rows = {row["id"]: row for row in _rows(customers) if not row["is_deleted"]}
        self.customers = _parties(self._customer_rows, self._normaliser)

        merged = {row["id"]: row["master_record_id"] for row in account_rows if row["is_deleted"] and row["master_record_id"]}
        self._links: dict[str, list[str]] = defaultdict(list)
        self._linked_accounts: dict[str, set[str]] = defaultdict(set)
        for account_id, customer_id in links.select("account_id", "customer_id").iter_rows():
            survivor = _survivor(account_id, merged)
            if customer_id not in self._links[survivor]:
                self._links[survivor].append(customer_id)
            self._linked_accounts[customer_id].add(survivor)
        self._decisions = {
            row["account_id"]: row for row in decisions.select("account_id", "decision", "customer_id").iter_rows(named=True)
        }

        self._marked: dict[str, list[str]] = defaultdict(list)
        self._marked_accounts: dict[str, str] = {}
        short_of = {account.party_id[:15]: account.party_id for account in self.accounts}
        for customer_id, row in self._customer_rows.items():
            marked = account_in(row["notes"])
            if marked is not None:
                account_id = short_of.get(marked[:15], marked)
                self._marked[account_id].append(customer_id)
                self._marked_accounts[customer_id] = account_id

        # Sub-customers are never matched by rule, but a second customer is not made beside one of the same name or mailbox.
        self._sub_customers: dict[str, list[str]] = defaultdict(list)
        for customer_id, row in self._customer_rows.items():
            if row["parent_id"]:
                for sign in {normalised_name(row["display_name"]), normalised_name(row["company_name"]), _mailbox(row["email"])}:
                    self._sub_customers[sign].append(customer_id)

        self._storing: dict[str, set[str]] = defaultdict(set)
        self._deciding: dict[str, set[str]] = defaultdict(set)
        for account in self.accounts:
            stored = _stored_id(account)
            if stored:
                self._storing[stored].add(account.party_id)
            decision = self._decisions.get(account.party_id)
            if decision is not None and decision["decision"] == "link" and decision["customer_id"]:
                self._deciding[decision["customer_id"]].add(account.party_id)

        claimed = {*self._linked_accounts, *self._storing, *self._deciding, *self._marked_accounts}
        self._appraisal = Appraisal(
            self.accounts,
            list(self.customers.values()),
            {account.party_id for account in self.accounts if not self._is_settled(account)},
            {customer_id: self._claimants(customer_id) for customer_id in claimed},
        )

    def _sub_customers_like(self, account: Party) -> list[str]:
        signs = (normalised_name(account.row["name"]), _mailbox(account.row["billing_email"]))
        return _once([customer_id for sign in signs if sign for customer_id in self._sub_customers.get(sign, ())])

    def match(self, account: Party, rules: Rules) -> _Outcome:
        """The outcome for one account: its row of MATCHES, and of REVIEWS where it is a question."""
        question: str | None = None
        doubtful: list[str] = []
        for step in (self._by_link, self._by_stored_id, self._by_marker):
            found = step(account)
            if isinstance(found, _Found):
                return self._linked(account, found)
            if found is not None:
                question = found
                stored = _stored_id(account)
                doubtful = [*self._links.get(account.party_id, ()), *self._marked.get(account.party_id, ())]
                doubtful += [stored] if stored else []
                break
        decision = self._decisions.get(account.party_id)
        if decision is not None:
            decided = self._decided(account, decision)
            if isinstance(decided, str):
                question = decided
            elif decided is not None:
                return decided
        candidates = self._appraisal.candidates(account.party_id)
        if question is not None:
            return self._question(account, question, _once([*doubtful, *(one.customer_id for one in candidates)]))
        if not candidates:
            namesakes = self._sub_customers_like(account)
            if namesakes:
                text = "Only a sub-customer in QuickBooks is like this account. Is it billed there, or as a customer of its own?"
                return self._question(account, text, namesakes)
            if rules.customers.missing == "create":
                return self._row(account, "create", None, "no_candidate", "QuickBooks has no customer like this account."), None
            return self._question(account, "QuickBooks has no customer like this account. Create one, or name one.", [])
        sure = [one for one in candidates if one.sure]
        if len(sure) == 1:
            chosen = sure[0]
            method = "name_and_evidence" if chosen.comparison.name.likeness == Likeness.EQUAL else "scored"
            agreeing = ", ".join(field for field in _told_fields(chosen.comparison)[0] if field != "name")
            reason = f"One customer fits: {chosen.verdict.rule} (what agrees beside the name: {agreeing})."
            row = self._row(account, "linked", chosen.customer_id, method, reason, chosen.verdict.score)
            too = [one.customer_id for one in candidates if one is not chosen and _seems_to_belong(one)]
            return row | {"candidates": to_json([self._candidate(account, one) for one in too[:_MOST_CANDIDATES]])}, None
        ids = [one.customer_id for one in candidates]
        return self._question(account, self._doubt(account, candidates), ids, candidates[0].verdict.score)

    # Steps: what was found, or a question that ends the search, or nothing

    def _by_link(self, account: Party) -> _Found | str | None:
        linked = self._links.get(account.party_id, [])
        if not linked:
            return None
        usable = [customer_id for customer_id in linked if self._usable(customer_id)]
        if not usable:
            return f"The account is linked to {self._told(linked[0])}. Which customer is billed?"
        if len(usable) > 1:
            wishes = (self._decisions.get(account.party_id, {}).get("customer_id"), _stored_id(account))
            fitting = [one for one in usable if account.currency and self._customer_rows[one]["currency"] == account.currency]
            wished = [wish for wish in wishes if wish in usable] or (fitting if len(fitting) == 1 else [])
            if not wished:
                told = ", ".join(self._told(customer_id) for customer_id in usable)
                return f"The account is linked to several customers ({told}). Which one is billed?"
            usable = wished
        return _Found(usable[0], "link", "The account was linked to this customer before.")

    def _by_stored_id(self, account: Party) -> _Found | str | None:
        stored = _stored_id(account)
        if not stored:
            return None
        if not self._usable(stored):
            return f"The account holds the customer id {stored}: {self._told(stored)}. Which customer is billed?"
        others = self._claimants(stored) - {account.party_id}
        if others:
            return (
                f"The account holds the customer id {stored}, {self._told(stored)}, which belongs to another account too "
                f"({self._account_names(others)}). Which customer is billed?"
            )
        return _Found(stored, "stored_id", "The account holds the id of this customer.")

    def _by_marker(self, account: Party) -> _Found | str | None:
        marked = self._marked.get(account.party_id, [])
        if not marked:
            return None
        usable = [customer_id for customer_id in marked if self._usable(customer_id)]
        if len(usable) == 1 and not self._claimants(usable[0]) - {account.party_id}:
            return _Found(usable[0], "marker", "The customer's notes name this account.")
        told = ", ".join(self._told(customer_id) for customer_id in marked)
        return f"The notes of {told} name this account. Which customer is billed?"

    def _decided(self, account: Party, decision: Mapping[str, Any]) -> _Outcome | str | None:
        if decision["decision"] == "ignore":
            return self._row(account, "ignored", None, "decision", "A person decided to ignore this account."), None
        # A decision to create has been carried out once the account has a link: it does not ask for a second customer.
        if decision["decision"] == "create" and not self._links.get(account.party_id):
            return self._row(account, "create", None, "decision", "A person decided to create a customer."), None
        if decision["decision"] == "link" and decision["customer_id"]:
            if self._usable(decision["customer_id"]):
                return self._linked(account, _Found(decision["customer_id"], "decision", "A person named this customer."))
            return f"A person named {self._told(decision['customer_id'])}. Which customer is billed?"
        return None

    def _is_settled(self, account: Party) -> bool:
        """Whether ids or a person decide about the account, so that nothing needs to be compared."""
        for step in (self._by_link, self._by_stored_id, self._by_marker):
            found = step(account)
            if found is not None:
                return isinstance(found, _Found)
        decision = self._decisions.get(account.party_id)
        if decision is None:
            return False
        if decision["decision"] == "create":
            return not self._links.get(account.party_id)
        return decision["decision"] == "ignore" or self._usable(decision["customer_id"] or "")

    def _doubt(self, account: Party, candidates: Sequence[Candidate]) -> str:
        """Why none of the candidates is linked without a person, as a question."""
        best = candidates[0]
        told = self._told(best.customer_id)
        shown = self._customer_rows[best.customer_id]["display_name"] or f"Customer {best.customer_id}"
        agreeing, differing = _told_fields(best.comparison)
        others = self._claimants(best.customer_id) - {account.party_id}
        if len(candidates) > 1 and not others:
            return f"{len(candidates)} customers could be this account. Which one is billed?"
        if self._customer_rows[best.customer_id]["active"] is False:
            return f"{told[0].upper()}{told[1:]}. Make it active again, or name another customer?"
        if self._customer_rows[best.customer_id]["parent_id"]:
            return f"{shown} is a sub-customer. Is it this account?"
        if others:
            owners = self._account_names(others)
            return f"{shown} belongs to another account already ({owners}). Is it this one's too?"
        if "name" not in agreeing:
            apart = ", ".join(sorted(best.comparison.name.apart))
            word = f" ({apart})" if apart else ""
            return (
                f"{shown} agrees in {', '.join(agreeing) or 'most of the name'} but has another name{word}. Is it this account?"
            )
        if best.unsure_because:
            return f"{shown} {best.unsure_because}. Is it {account.row['name']}?"
        if differing:
            return f"{shown} has the same name but differs in {', '.join(differing)}. Is it this account?"
        if agreeing == ["name"]:
            return f"{shown} has the same name, and nothing else agrees. Is it this account?"
        return f"{shown} has the same name, but what else agrees ({', '.join(agreeing[1:])}) is too little. Is it this account?"

    def _claimants(self, customer_id: str) -> set[str]:
        claimed = self._linked_accounts.get(customer_id, set()) | self._storing.get(customer_id, set())
        claimed = claimed | self._deciding.get(customer_id, set())
        marked = self._marked_accounts.get(customer_id)
        return claimed | {marked} if marked is not None else set(claimed)

    # Rows

    def _usable(self, customer_id: str) -> bool:
        row = self._customer_rows.get(customer_id)
        return row is not None and row["active"] is not False

    def _told(self, customer_id: str) -> str:
        row = self._customer_rows.get(customer_id)
        if row is None:
            return f"a customer that QuickBooks does not have (id {customer_id})"
        name = row["display_name"] or f"id {customer_id}"
        return f"the inactive customer {name}" if row["active"] is False else str(name)

    def _account_names(self, account_ids: Iterable[str]) -> str:
        return ", ".join(sorted(self._account_names_by_id.get(account_id) or account_id for account_id in account_ids))

    def _compared(self, account: Party, customer_id: str) -> Comparison:
        known = next((one for one in self._appraisal.candidates(account.party_id) if one.customer_id == customer_id), None)
        if known is not None:
            return known.comparison
        customer = self.customers.get(customer_id) or self._normaliser.customer(self._customer_rows[customer_id])
        return compare(account, customer, self._appraisal.names)

    def _linked(self, account: Party, found: _Found) -> _Outcome:
        return self._row(account, "linked", found.customer_id, found.method, found.reason), None

    def _question(self, account: Party, question: str, candidates: Sequence[str], score: Decimal | None = None) -> _Outcome:
        shown = [self._candidate(account, customer_id) for customer_id in candidates if customer_id in self._customer_rows]
        listed = to_json(shown[:_MOST_CANDIDATES])
        row = self._row(account, "review", None, "question", question, score) | {"candidates": listed}
        review = {
            "account_id": account.party_id,
            "account_name": account.row["name"],
            "question": question,
            "candidates": listed,
        }
        return row, review

    def _candidate(self, account: Party, customer_id: str) -> dict[str, Any]:
        row = self._customer_rows[customer_id]
        agreeing, differing = _told_fields(self._compared(account, customer_id))
        return {
            "customer_id": customer_id,
            "display_name": row["display_name"],
            "email": row["email"],
            "city": row["billing_city"],
            "agreeing": agreeing,
            "differing": differing,
        }

    def _row(
        self, account: Party, outcome: str, customer_id: str | None, method: str, reason: str, score: Decimal | None = None
    ) -> dict[str, Any]:
        known = customer_id is not None and customer_id in self._customer_rows
        return {
            "account_id": account.party_id,
            "account_name": account.row["name"],
            "outcome": outcome,
            "customer_id": customer_id,
            "method": method,
            "reason": reason,
            "evidence": to_json(self._evidence(account, customer_id) if known and customer_id is not None else {}),
            "candidates": "[]",
            "score": score,
            "rule_version": RULE_VERSION,
        }

    def _evidence(self, account: Party, customer_id: str) -> dict[str, Any]:
        row = self._customer_rows[customer_id]
        customer = self.customers.get(customer_id) or self._normaliser.customer(row)
        agreeing, differing = _told_fields(self._compared(account, customer_id))
        fields = {
            "name": (account.row["name"], row["display_name"]),
            "email": (account.row["billing_email"], row["email"]),
            "phone": (account.row["phone"], row["phone"]),
            "address": (_address_text(account.row), _address_text(row)),
            "postal code": (account.row["billing_postal_code"], row["billing_postal_code"]),
            "city": (account.row["billing_city"], row["billing_city"]),
            "domain": (" ".join(sorted(account.domains)), " ".join(sorted(customer.domains))),
            "contact": (", ".join(sorted(account.people & customer.people)), ", ".join(sorted(customer.people))),
            "legal form": (account.family, customer.family),
            "currency": (account.currency, row["currency"]),
        }
        return {
            name: {
                "salesforce": ours or None,
                "quickbooks": theirs or None,
                "agrees": True if name in agreeing else False if name in differing else None,
            }
            for name, (ours, theirs) in fields.items()
        }


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    """Without the cycle collector: matching builds some millions of small records that hold no cycles, and going through them
    again and again takes a third of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _rows(frame: pl.DataFrame) -> list[dict[str, Any]]:
    # The source record is large and, like the rest of the bookkeeping, not compared.
    bookkeeping = [column.name for column in RAW_COLUMNS if column.name != "is_deleted"]
    return frame.drop(bookkeeping, strict=False).sort("id").to_dicts()


def _survivor(account_id: str, merged: Mapping[str, str]) -> str:
    seen = {account_id}
    while account_id in merged and merged[account_id] not in seen:
        account_id = merged[account_id]
        seen.add(account_id)
    return account_id


def _parties(rows: Mapping[str, Mapping[str, Any]], normaliser: Normaliser) -> dict[str, Party]:
    """The customers that stand for themselves, by id, each with what its sub-customers know.

    A sub-customer whose parent is not known stands for itself without a name: its e-mail may find it, no rule links it.
    """
    jobs: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    top: list[Mapping[str, Any]] = []
    for row in rows.values():
        parent = _topmost(row, rows)
        if parent is row:
            top.append(row)
        else:
            jobs[parent["id"]].append(row)
    parties: dict[str, Party] = {}
    for row in top:
        party = normaliser.customer(row, jobs.get(row["id"], ()))
        parties[row["id"]] = replace(party, names=()) if row["parent_id"] else party
    return parties


def _topmost(row: Mapping[str, Any], rows: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    seen = {row["id"]}
    while row["parent_id"] in rows and row["parent_id"] not in seen:
        row = rows[row["parent_id"]]
        seen.add(row["id"])
    return row


def _told_fields(found: Comparison) -> tuple[list[str], list[str]]:
    """The names of the fields that agree, and of those that contradict, in order."""
    differing = set(found.differing)
    if "street" in differing:
        differing.add("address")
    # Two phones of one company are no contradiction.
    shown = [field for field in _FIELDS if field in differing and field not in ("street", "phone")]
    return [field for field in _FIELDS if field in found.agreeing], shown


def _seems_to_belong(candidate: Candidate) -> bool:
    """Whether a customer beside the one that is billed is the account's too: the same company, in another currency."""
    found = candidate.comparison
    return (
        "currency" in found.differing
        and "name" in found.agreeing
        and bool(found.agreeing & {"email", "domain", "address", "phone"})
    )


def _stored_id(account: Party) -> str:
    return (account.row["customer_id"] or "").strip()


def _address_text(row: Mapping[str, Any]) -> str:
    parts = [row["billing_street"], row["billing_postal_code"], row["billing_city"]]
    return ", ".join(" ".join(part.split()) for part in parts if part)


def _mailbox(email: str | None) -> str:
    return (email or "").strip().casefold()


def _once(ids: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(ids))
