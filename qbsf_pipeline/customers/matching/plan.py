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
from datetime import datetime
from decimal import Decimal
from typing import Any

import polars as pl

from qbsf_pipeline.customers.matching.candidates import Appraisal, Candidate
from qbsf_pipeline.customers.matching.comparing import Comparison, Likeness, compare
from qbsf_pipeline.customers.matching.names import normalised_name
from qbsf_pipeline.customers.matching.normalising import Normaliser, Party
from qbsf_pipeline.customers.matching.rule_names import require_known
from qbsf_pipeline.customers.matching.rules import RULE_VERSION
from qbsf_pipeline.customers.matching.successors import SUCCESSORS
from qbsf_pipeline.money import to_json
from qbsf_pipeline.settings import Rules
from qbsf_pipeline.warehouse.tables import AMOUNT, RAW_COLUMNS, TIMESTAMP, Column, TableSchema

__all__ = [
    "DECISIONS",
    "LINKS",
    "MATCHES",
    "PERSONS_METHODS",
    "REJECTIONS",
    "REVIEWS",
    "RULE_VERSION",
    "CustomerMatches",
    "account_in",
    "account_marker",
    "match_customers",
    "survivor_of",
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
            "method",
            pl.String,
            "Why: link, merged, stored_id, marker, decision, name_and_evidence, scored, no_candidate or question",
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
        Column(
            "customers",
            pl.String,
            "Every customer of the account, the billed one first (JSON list of objects: customer_id, display_name, currency)",
        ),
        Column("rejected", pl.String, "Customers that a person said the account is not (JSON list of ids)"),
        Column("decided_by", pl.String, "Who or what made the link in force; null where this pass decides"),
        Column("decided_at", TIMESTAMP, "When that was (UTC)"),
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
            "JSON list of objects: customer_id, display_name, email, city, agreeing (field names), differing (field names), "
            "score (0 to 1; null where nothing was compared)",
        ),
        Column("undone", pl.Boolean, "Whether a person took a link back: then it is asked even while no deal waits"),
    ),
    ("account_id",),
    "Accounts whose customer a person has to name",
)

LINKS = pl.Schema(
    [
        ("account_id", pl.String()),
        ("customer_id", pl.String()),
        ("method", pl.String()),
        ("decided_by", pl.String()),
        ("decided_at", TIMESTAMP),
    ]
)
DECISIONS = pl.Schema({"account_id": pl.String, "decision": pl.String, "customer_id": pl.String})
REJECTIONS = pl.Schema({"account_id": pl.String, "customer_id": pl.String})

#: Methods of links that a person made. Only these stand against an id that somebody wrote into the account.
PERSONS_METHODS = frozenset({"person", "decision"})

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
    *,
    rejections: pl.DataFrame | None = None,
    successors: pl.DataFrame | None = None,
) -> CustomerMatches:
    """Name the QuickBooks customer of every account that is not deleted.

    In this order: the link in the state; the customer id stored on the account; the marker in a customer's notes; a
    person's decision; then the rules of :mod:`rules`: a name and something independent of it that agrees, nothing that
    contradicts, and no other candidate. What is found but not sure becomes a question; a person's decision answers a
    question raised by an earlier step. A link that names a merged account counts for the account it was merged into, and
    one that names a merged customer for the customer it was merged into.

    An id that somebody wrote into the account goes before a link that no person made, and before a marker: it was written
    later. What a person said the account is not is never linked; the rules then only suggest, and a person decides.

    Args:
        accounts: columns of ``salesforce.account``, deleted ones too.
        customers: columns of ``quickbooks.customer``, inactive and deleted ones too.
        contacts: columns of ``salesforce.contact``; what they have only ever agrees, it finds no candidate.
        links: columns of :data:`LINKS`: links in force in the state.
        decisions: columns of :data:`DECISIONS`; decision is ``create``, ``ignore`` or ``link``.
        rules: ``customers.missing`` says what happens where nothing is found, ``customers.matching`` how sure is sure.
        own_domains: e-mail domains of the org's own users, which tell no customer.
        rejections: columns of :data:`REJECTIONS`: what an account is not, as people said.
        successors: columns of :data:`successors.SUCCESSORS`: what became of customers that were merged in QuickBooks.

    Raises:
        ConfigurationError: ``customers.matching.rules_off`` names a rule that there is not.
    """
    require_known(rules.customers.matching.rules_off)
    with _collector_at_rest():
        book = _Book(
            accounts,
            customers,
            contacts,
            links,
            decisions,
            rules,
            own_domains,
            REJECTIONS.to_frame() if rejections is None else rejections,
            SUCCESSORS.to_frame() if successors is None else successors,
        )
        found = [book.match(account, rules) for account in book.accounts]
        matches = MATCHES.frame([match for match, _ in found])
        reviews = REVIEWS.frame([review for _, review in found if review is not None])
    return CustomerMatches(matches, reviews)


@dataclass(frozen=True, slots=True)
class _Link:
    method: str
    decided_by: str | None
    decided_at: datetime | None


@dataclass(frozen=True)
class _Found:
    """A customer that ids or a person name. ``beside``: the account's other customers."""

    customer_id: str
    method: str
    reason: str
    beside: tuple[str, ...] = ()
    link: _Link | None = None


_NO_LINK = _Link("", None, None)
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
        rules: Rules,
        own_domains: Iterable[str],
        rejections: pl.DataFrame,
        successors: pl.DataFrame,
    ) -> None:
        people: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
        for account_id, email, phone, name in (
            contacts.filter(~pl.col("is_deleted").fill_null(False) & pl.col("account_id").is_not_null())
            .select("account_id", "email", "phone", "name")
            .iter_rows()
        ):
            people[account_id].append((email or "", phone or "", name or ""))
        account_rows = _rows(accounts)
        matching = rules.customers.matching
        no_evidence = (*matching.free_mail_domains, *matching.own_domains, *matching.bill_pay_domains)
        self._normaliser = Normaliser({*own_domains, *(domain.strip().lstrip("@").casefold() for domain in no_evidence)})
        self.accounts = [
            self._normaliser.account(row, people.get(row["id"], ())) for row in account_rows if not row["is_deleted"]
        ]
        self._account_names_by_id = {account.party_id: account.row["name"] for account in self.accounts}
        self._customer_rows = {row["id"]: row for row in _rows(customers) if not row["is_deleted"]}
        self.customers = _parties(self._customer_rows, self._normaliser)

        merged = {row["id"]: row["master_record_id"] for row in account_rows if row["is_deleted"] and row["master_record_id"]}
        self._links: dict[str, dict[str, _Link]] = defaultdict(dict)
        self._linked_accounts: dict[str, set[str]] = defaultdict(set)
        for row in links.iter_rows(named=True):
            survivor, customer_id = survivor_of(row["account_id"], merged), row["customer_id"]
            link = _Link(row["method"] or "", row.get("decided_by"), row.get("decided_at"))
            if customer_id not in self._links[survivor] or survivor == row["account_id"]:
                self._links[survivor][customer_id] = link
            self._linked_accounts[customer_id].add(survivor)
        self._rejected: dict[str, set[str]] = defaultdict(set)
        for account_id, customer_id in rejections.select("account_id", "customer_id").iter_rows():
            self._rejected[account_id].add(customer_id)
        self._successors: dict[str, str] = dict(successors.select("customer_id", "successor_id").iter_rows())
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

        # Sub-customers are matched by rule only below the customer of the parent account; but a second customer is not made
        # beside one of the same name or mailbox.
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

        # Two customers that were merged into one leave two accounts that claim it.
        self._inheriting: dict[str, set[str]] = defaultdict(set)
        for gone, heir in self._successors.items():
            if not self._usable(gone):
                self._inheriting[heir] |= self._linked_accounts.get(gone, set()) | self._storing.get(gone, set())

        claimed = {*self._linked_accounts, *self._storing, *self._deciding, *self._marked_accounts, *self._inheriting}
        self._claims = {customer_id: self._claimants(customer_id) for customer_id in claimed}
        self._open = {account.party_id for account in self.accounts if not self._is_settled(account)}
        self._shared_domain = matching.shared_domain_names
        self._appraisal = Appraisal(
            self.accounts, list(self.customers.values()), self._open, self._claims, shared_domain=self._shared_domain
        )
        self._accounts_by_id = {account.party_id: account for account in self.accounts}
        self._children: dict[str, list[Party]] = defaultdict(list)
        for account in self.accounts:
            if account.row["parent_id"]:
                self._children[account.row["parent_id"]].append(account)
        self._directly_below: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for row in self._customer_rows.values():
            if row["parent_id"]:
                self._directly_below[row["parent_id"]].append(row)
        self._below: dict[tuple[str, str], Appraisal] = {}
        self._billed: dict[str, str | None] = {}

    def _sub_customers_like(self, account: Party) -> list[str]:
        signs = (normalised_name(account.row["name"]), _mailbox(account.row["billing_email"]))
        return _once([customer_id for sign in signs if sign for customer_id in self._sub_customers.get(sign, ())])

    def match(self, account: Party, rules: Rules) -> _Outcome:
        """The outcome for one account: its row of MATCHES, and of REVIEWS where it is a question."""
        question: str | None = None
        doubtful: list[str] = []
        rejected = self._rejected.get(account.party_id, set())
        for step in (self._by_link, self._by_stored_id, self._by_marker):
            found = step(account)
            if isinstance(found, _Found):
                return self._linked(account, found)
            if found is not None:
                question = found
                stored = _stored_id(account)
                doubtful = [*self._links.get(account.party_id, ()), *self._marked.get(account.party_id, ())]
                doubtful += [stored] if stored else []
                doubtful += [self._successors[one] for one in doubtful if one in self._successors]
                doubtful = [one for one in doubtful if one not in rejected]
                break
        decision = self._decisions.get(account.party_id)
        if decision is not None:
            decided = self._decided(account, decision)
            if isinstance(decided, str):
                question = decided
            elif decided is not None:
                return decided
        candidates = [one for one in self._appraisal.candidates(account.party_id) if one.customer_id not in rejected]
        if question is None and rejected:
            told = ", ".join(self._told(customer_id) for customer_id in sorted(rejected))
            question = f"A person said that the account is not {told}. Which customer is billed, or is one to be created?"
        if question is not None:
            return self._question(account, question, _once([*doubtful, *(one.customer_id for one in candidates)]))
        below = [one for one in self._candidates_below_the_parent(account, rules) if one.customer_id not in rejected]
        candidates = sorted([*candidates, *below], key=lambda one: not one.sure)
        if not candidates:
            namesakes = self._sub_customers_like(account)
            if namesakes:
                text = "Only a sub-customer in QuickBooks is like this account. Is it billed there, or as a customer of its own?"
                return self._question(account, text, namesakes)
            if rules.customers.missing == "create":
                return self._row(account, "create", None, "no_candidate", "QuickBooks has no customer like this account."), None
            return self._question(account, "QuickBooks has no customer like this account. Create one, or name one.", [])
        sure = [one for one in candidates if one.sure]
        if len(sure) == 1 and self._is_automatic(sure[0], rules):
            chosen = sure[0]
            method = "name_and_evidence" if chosen.comparison.name.likeness == Likeness.EQUAL else "scored"
            agreeing = ", ".join(field for field in _told_fields(chosen.comparison)[0] if field != "name")
            reason = f"One customer fits: {chosen.verdict.rule} (what agrees beside the name: {agreeing})."
            row = self._row(account, "linked", chosen.customer_id, method, reason, chosen.verdict.score)
            too = [one.customer_id for one in candidates if one is not chosen and _seems_to_belong(one)]
            return row | {"candidates": to_json([self._candidate(account, one) for one in too[:_MOST_CANDIDATES]])}, None
        ids = [one.customer_id for one in candidates]
        return self._question(account, self._doubt(account, candidates), ids, candidates[0].verdict.score)

    def _candidates_below_the_parent(self, account: Party, rules: Rules) -> Sequence[Candidate]:
        """Sub-customers of the customer that the account's parent account is billed as, where the rules say that sub-customers
        follow the accounts' hierarchy."""
        if rules.customers.parent_accounts != "sub_customer":
            return ()
        ancestors = self._ancestors(account)
        # From the top down, so that each finds its parent's customer known.
        for ancestor in reversed(ancestors):
            if ancestor.party_id not in self._billed:
                self._billed[ancestor.party_id] = self.match(ancestor, rules)[0]["customer_id"]
        customer_id = self._billed[ancestors[0].party_id] if ancestors else None
        if customer_id is None:
            return ()
        family = (ancestors[0].party_id, customer_id)
        if family not in self._below:
            self._below[family] = Appraisal(
                self._children[family[0]],
                [self._normaliser.customer(row) for row in self._directly_below.get(customer_id, ())],
                self._open,
                self._claims,
                shared_domain=self._shared_domain,
                below_one_parent=True,
            )
        return self._below[family].candidates(account.party_id)

    def _ancestors(self, account: Party) -> list[Party]:
        """The account's parents, the nearest first; none where one is, through its parents, its own parent."""
        found: dict[str, Party] = {account.party_id: account}
        parent = self._accounts_by_id.get(account.row["parent_id"] or "")
        while parent is not None:
            if parent.party_id in found:
                return []
            found[parent.party_id] = parent
            parent = self._accounts_by_id.get(parent.row["parent_id"] or "")
        return list(found.values())[1:]

    # Steps: what was found, or a question that ends the search, or nothing

    def _by_link(self, account: Party) -> _Found | str | None:
        linked, rejected = self._links.get(account.party_id, {}), self._rejected.get(account.party_id, set())
        if not linked:
            return None
        decided = (self._decisions.get(account.party_id) or {}).get("customer_id")
        stored = _stored_id(account)
        standing, heirs, contested = self._standing(account, linked)
        persons = [customer_id for customer_id in standing if linked.get(customer_id, _NO_LINK).method in PERSONS_METHODS]
        if stored and stored not in standing and stored not in rejected and self._usable(stored):
            # Somebody wrote another id after the link was made. Only a person's own link stands against that.
            others_are_by_rule = len(persons) < len(standing) and decided not in persons
            if not persons or others_are_by_rule:
                found = self._by_stored_id(account)
                return replace(found, beside=tuple(persons)) if isinstance(found, _Found) else found
        if not standing:
            first = next(iter(linked))
            if contested is not None:
                owners = self._account_names(self._claimants(contested) - {account.party_id})
                return (
                    f"The account is linked to {self._told(first)}, which was merged into {self._told(contested)}, and that "
                    f"belongs to another account too ({owners}). Which customer is billed?"
                )
            if first in rejected:
                return f"A person said that the account is not {self._told(first)}, its customer until then. Which one is billed?"
            return f"The account is linked to {self._told(first)}. Which customer is billed?"
        chosen = standing[0]
        if len(standing) > 1:
            currencies = [self._customer_rows[customer_id]["currency"] for customer_id in standing]
            fitting = [one for one in standing if account.currency and self._customer_rows[one]["currency"] == account.currency]
            wished = [wish for wish in (decided, stored) if wish in standing] or (fitting if len(fitting) == 1 else [])
            if wished:
                chosen = wished[0]
            elif None in currencies or len(set(currencies)) < len(currencies):
                told = ", ".join(self._told(customer_id) for customer_id in standing)
                return f"The account is linked to several customers ({told}). Which one is billed?"
        beside = tuple(customer_id for customer_id in standing if customer_id != chosen)
        if chosen in heirs:
            reason = f"{self._sentence_start(heirs[chosen])} was merged into this customer in QuickBooks."
            return _Found(chosen, "merged", reason, beside)
        return _Found(chosen, "link", "The account was linked to this customer before.", beside, linked[chosen])

    def _standing(self, account: Party, linked: Mapping[str, _Link]) -> tuple[list[str], dict[str, str], str | None]:
        """The account's linked customers that can be billed, in order; which of them took the place of which; and the
        customer that one was merged into, where that is another account's already."""
        rejected = self._rejected.get(account.party_id, set())
        standing: list[str] = []
        heirs: dict[str, str] = {}
        contested: str | None = None
        for customer_id in linked:
            if customer_id in rejected:
                continue
            if self._usable(customer_id):
                standing.append(customer_id)
                continue
            heir = self._heir(account, customer_id)
            if heir is not None:
                standing.append(heir)
                heirs.setdefault(heir, customer_id)
            elif self._usable(self._successors.get(customer_id, "")) and self._successors[customer_id] not in rejected:
                contested = self._successors[customer_id]
        return _once(standing), {heir: gone for heir, gone in heirs.items() if heir not in linked}, contested

    def _heir(self, account: Party, customer_id: str) -> str | None:
        """The customer that one was merged into in QuickBooks, where it can be billed and is no other account's."""
        heir = self._successors.get(customer_id)
        if heir is None or not self._usable(heir) or heir in self._rejected.get(account.party_id, set()):
            return None
        return heir if not self._claimants(heir) - {account.party_id} else None

    def _by_stored_id(self, account: Party) -> _Found | str | None:
        stored = _stored_id(account)
        if not stored:
            return None
        if stored in self._rejected.get(account.party_id, set()):
            return (
                f"A person said that the account is not {self._told(stored)}, and it still holds that customer's id {stored}. "
                "Which customer is billed?"
            )
        if not self._usable(stored):
            heir = self._heir(account, stored)
            if heir is not None:
                return _Found(heir, "merged", f"{self._sentence_start(stored)} was merged into this customer in QuickBooks.")
            return f"The account holds the customer id {stored}: {self._told(stored)}. Which customer is billed?"
        others = self._claimants(stored) - {account.party_id}
        if others:
            return (
                f"The account holds the customer id {stored}, {self._told(stored)}, which belongs to another account too "
                f"({self._account_names(others)}). Which customer is billed?"
            )
        if stored in self._marked.get(account.party_id, ()):
            # Then the program made it, and wrote the id itself.
            return _Found(stored, "marker", "The customer's notes name this account.")
        before = [customer_id for customer_id in self._links.get(account.party_id, {}) if customer_id != stored]
        replaced = f" It was linked to {self._told(before[0])} before." if before else ""
        return _Found(stored, "stored_id", f"The account holds the id of this customer.{replaced}")

    def _by_marker(self, account: Party) -> _Found | str | None:
        marked = self._marked.get(account.party_id, [])
        if not marked:
            return None
        rejected = self._rejected.get(account.party_id, set())
        usable = [customer_id for customer_id in marked if self._usable(customer_id) and customer_id not in rejected]
        if not set(marked) - rejected:
            told = ", ".join(self._told(customer_id) for customer_id in marked)
            return f"A person said that the account is not {told}, whose notes name it. Which customer is billed?"
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
            if decision["customer_id"] in self._rejected.get(account.party_id, set()):
                return None
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
        claimed = claimed | self._deciding.get(customer_id, set()) | self._inheriting.get(customer_id, set())
        marked = self._marked_accounts.get(customer_id)
        claimed = claimed | {marked} if marked is not None else set(claimed)
        # An account that is not this customer, as a person said, claims it no more, whatever it still holds.
        return {account_id for account_id in claimed if customer_id not in self._rejected.get(account_id, ())}

    @staticmethod
    def _is_automatic(sure: Candidate, rules: Rules) -> bool:
        """Whether the rules file lets this rule link by itself at this score."""
        matching = rules.customers.matching
        return sure.verdict.rule not in matching.rules_off and sure.verdict.score >= matching.automatic_from

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

    def _sentence_start(self, customer_id: str) -> str:
        told = self._told(customer_id)
        return f"{told[0].upper()}{told[1:]}"

    def _account_names(self, account_ids: Iterable[str]) -> str:
        return ", ".join(sorted(self._account_names_by_id.get(account_id) or account_id for account_id in account_ids))

    def _compared(self, account: Party, customer_id: str) -> Comparison:
        known = next((one for one in self._appraisal.candidates(account.party_id) if one.customer_id == customer_id), None)
        if known is not None:
            return known.comparison
        customer = self.customers.get(customer_id) or self._normaliser.customer(self._customer_rows[customer_id])
        return compare(account, customer, self._appraisal.names)

    def _linked(self, account: Party, found: _Found) -> _Outcome:
        row = self._row(account, "linked", found.customer_id, found.method, found.reason)
        row["customers"] = self._listed([found.customer_id, *found.beside])
        if found.link is not None:
            row |= {"decided_by": found.link.decided_by, "decided_at": found.link.decided_at}
        return row, None

    def _listed(self, customer_ids: Sequence[str]) -> str:
        rows = [self._customer_rows[customer_id] for customer_id in customer_ids if customer_id in self._customer_rows]
        return to_json(
            [{"customer_id": row["id"], "display_name": row["display_name"], "currency": row["currency"]} for row in rows]
        )

    def _question(self, account: Party, question: str, candidates: Sequence[str], score: Decimal | None = None) -> _Outcome:
        shown = [self._candidate(account, customer_id) for customer_id in candidates if customer_id in self._customer_rows]
        listed = to_json(shown[:_MOST_CANDIDATES])
        row = self._row(account, "review", None, "question", question, score) | {"candidates": listed}
        review = {
            "account_id": account.party_id,
            "account_name": account.row["name"],
            "question": question,
            "candidates": listed,
            "undone": bool(self._rejected.get(account.party_id)),
        }
        return row, review

    def _candidate(self, account: Party, customer_id: str) -> dict[str, Any]:
        row = self._customer_rows[customer_id]
        agreeing, differing = _told_fields(self._compared(account, customer_id))
        appraised = (one for one in self._appraisal.candidates(account.party_id) if one.customer_id == customer_id)
        return {
            "customer_id": customer_id,
            "display_name": row["display_name"],
            "email": row["email"],
            "city": row["billing_city"],
            "agreeing": agreeing,
            "differing": differing,
            "score": next((one.verdict.score for one in appraised), None),
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
            "customers": self._listed([customer_id] if customer_id is not None else []),
            "rejected": to_json(sorted(self._rejected.get(account.party_id, ()))),
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


def survivor_of(account_id: str, merged: Mapping[str, str]) -> str:
    """The account that an account was merged into, through any number of merges.

    Args:
        merged: id of a lost account -> id of the account it was merged into.
    """
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
