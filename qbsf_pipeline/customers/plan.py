"""Which QuickBooks customer a Salesforce account is: linked, to be created, ignored, or a question for a person.

The one place where accounts and customers are compared. Pure: frames in, frames out. Nothing here creates or links; what
follows from a match is planned in :mod:`qbsf_pipeline.invoices.plan`.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import polars as pl

from qbsf_pipeline.customers.names import legal_form_family, normalised_name
from qbsf_pipeline.money import to_json
from qbsf_pipeline.settings import Rules
from qbsf_pipeline.warehouse.tables import Column, TableSchema

#: Bump when a rule below changes: links remember under which version they were made.
RULE_VERSION = "customers-1"

MATCHES = TableSchema(
    "customers",
    "matches",
    (
        Column("account_id", pl.String, "Salesforce account, 18 characters"),
        Column("account_name", pl.String, "Name of the account"),
        Column("outcome", pl.String, "linked, create, review or ignored"),
        Column("customer_id", pl.String, "QuickBooks customer, where linked"),
        Column("method", pl.String, "Why: link, stored_id, marker, decision, name_and_evidence, no_candidate or question"),
        Column("reason", pl.String, "The same as a sentence"),
        Column("evidence", pl.String, "What was compared for the chosen customer, field by field (JSON object)"),
        Column("candidates", pl.String, "Customers that a person may choose from (JSON list)"),
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

#: A domain that more customers than this have in common (an accountant's, our own) says nothing about one of them.
_SHARED_DOMAIN = 5
_SHORTEST_PHONE = 7
_PHONE_DIGITS = 10
_MOST_CANDIDATES = 10

_FREE_MAIL = frozenset(
    (
        *(
            "aol.com",
            "att.net",
            "bellsouth.net",
            "btinternet.com",
            "charter.net",
            "comcast.net",
            "cox.net",
            "earthlink.net",
        ),
        *("fastmail.com", "free.fr", "gmail.com", "gmx.com", "gmx.de", "gmx.net", "googlemail.com", "hotmail.co.uk"),
        *(
            "hotmail.com",
            "hotmail.fr",
            "icloud.com",
            "laposte.net",
            "libero.it",
            "live.com",
            "mac.com",
            "mail.com",
            "mail.ru",
        ),
        *("me.com", "msn.com", "naver.com", "optonline.net", "orange.fr", "outlook.com", "pm.me", "proton.me"),
        *("protonmail.com", "qq.com", "rocketmail.com", "sbcglobal.net", "t-online.de", "verizon.net", "wanadoo.fr"),
        *(
            "web.de",
            "yahoo.ca",
            "yahoo.co.jp",
            "yahoo.co.uk",
            "yahoo.com",
            "yahoo.de",
            "yahoo.fr",
            "yandex.ru",
            "ymail.com",
        ),
        *("zoho.com", "126.com", "163.com"),
    )
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
) -> CustomerMatches:
    """Name the QuickBooks customer of every account that is not deleted.

    In this order: the link in the state; the customer id stored on the account; the marker in a customer's notes; a
    person's decision; then the same name with one independent field that agrees, nothing that contradicts, and no other
    candidate. What is found but not sure becomes a question; a person's decision answers a question raised by an earlier
    step. A link that names a merged account counts for the account it was merged into.

    Args:
        accounts: columns of ``salesforce.account``, deleted ones too.
        customers: columns of ``quickbooks.customer``, inactive and deleted ones too.
        contacts: columns of ``salesforce.contact``; their e-mails only ever agree, they find no candidate.
        links: columns of :data:`LINKS`: links in force in the state.
        decisions: columns of :data:`DECISIONS`; decision is ``create``, ``ignore`` or ``link``.
        rules: ``customers.missing`` says what happens where nothing is found.
    """
    book = _Book(accounts, customers, contacts, links, decisions)
    found = [book.match(account, rules) for account in book.accounts]
    matches = MATCHES.frame([match for match, _ in found])
    reviews = REVIEWS.frame([review for _, review in found if review is not None])
    return CustomerMatches(matches, reviews)


@dataclass(frozen=True)
class _Party:
    """An account or a customer as it is compared."""

    party_id: str
    name: str
    names: frozenset[str]
    legal_form: str | None
    emails: frozenset[str]
    phone: str
    postal_code: str
    street: str
    city: str
    domains: frozenset[str]
    currency: str | None
    row: Mapping[str, Any]


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
    ) -> None:
        contact_emails: dict[str, set[str]] = defaultdict(set)
        for account_id, email, is_deleted in contacts.select("account_id", "email", "is_deleted").iter_rows():
            if account_id and email and not is_deleted:
                contact_emails[account_id].add(email.strip().casefold())
        account_rows = _rows(accounts)
        live = [row for row in account_rows if not row["is_deleted"]]
        self.accounts = [_account(row, contact_emails.get(row["id"], ())) for row in live]
        self.customers = {row["id"]: _customer(row) for row in _rows(customers) if not row["is_deleted"]}

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
        for customer_id, customer in self.customers.items():
            marked = account_in(customer.row["notes"])
            if marked is not None:
                account_id = short_of.get(marked[:15], marked)
                self._marked[account_id].append(customer_id)
                self._marked_accounts[customer_id] = account_id

        self._storing: dict[str, set[str]] = defaultdict(set)
        self._deciding: dict[str, set[str]] = defaultdict(set)
        for account in self.accounts:
            stored = _stored_id(account)
            if stored:
                self._storing[stored].add(account.party_id)
            decision = self._decisions.get(account.party_id)
            if decision is not None and decision["decision"] == "link" and decision["customer_id"]:
                self._deciding[decision["customer_id"]].add(account.party_id)

        self._named: dict[str, list[str]] = defaultdict(list)
        self._mailed: dict[str, list[str]] = defaultdict(list)
        self._domain_customers: Counter[str] = Counter()
        for customer_id, customer in self.customers.items():
            self._domain_customers.update(customer.domains)
            for email in customer.emails:
                self._mailed[email].append(customer_id)
            if not customer.row["parent_id"]:
                for name in customer.names:
                    self._named[name].append(customer_id)
        self._bearers = Counter(account.name for account in self.accounts)

    def match(self, account: _Party, rules: Rules) -> _Outcome:
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
        candidates = self._candidates(account)
        if question is not None:
            return self._question(account, question, _once([*doubtful, *candidates]))
        if not candidates:
            if rules.customers.missing == "create":
                return self._row(account, "create", None, "no_candidate", "QuickBooks has no customer like this account."), None
            return self._question(account, "QuickBooks has no customer like this account. Create one, or name one.", [])
        doubt = self._doubt(account, candidates)
        if doubt is None:
            text = "QuickBooks has one customer of this name, and an independent field agrees."
            return self._linked(account, _Found(candidates[0], "name_and_evidence", text))
        return self._question(account, doubt, candidates)

    # Steps: what was found, or a question that ends the search, or nothing

    def _by_link(self, account: _Party) -> _Found | str | None:
        linked = self._links.get(account.party_id, [])
        if not linked:
            return None
        usable = [customer_id for customer_id in linked if self._usable(customer_id)]
        if not usable:
            return f"The account is linked to {self._told(linked[0])}. Which customer is billed?"
        if len(usable) > 1:
            wishes = (self._decisions.get(account.party_id, {}).get("customer_id"), _stored_id(account))
            wished = [wish for wish in wishes if wish in usable]
            if not wished:
                told = ", ".join(self._told(customer_id) for customer_id in usable)
                return f"The account is linked to several customers ({told}). Which one is billed?"
            usable = wished
        return _Found(usable[0], "link", "The account was linked to this customer before.")

    def _by_stored_id(self, account: _Party) -> _Found | str | None:
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

    def _by_marker(self, account: _Party) -> _Found | str | None:
        marked = self._marked.get(account.party_id, [])
        if not marked:
            return None
        usable = [customer_id for customer_id in marked if self._usable(customer_id)]
        if len(usable) == 1 and not self._claimants(usable[0]) - {account.party_id}:
            return _Found(usable[0], "marker", "The customer's notes name this account.")
        told = ", ".join(self._told(customer_id) for customer_id in marked)
        return f"The notes of {told} name this account. Which customer is billed?"

    def _decided(self, account: _Party, decision: Mapping[str, Any]) -> _Outcome | str | None:
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

    # Candidates by name and e-mail

    def _candidates(self, account: _Party) -> list[str]:
        by_name = self._named.get(account.name, []) if account.name else []
        billing_email = (account.row["billing_email"] or "").strip().casefold()
        by_email = self._mailed.get(billing_email, []) if billing_email else []
        found = _once([*by_name, *by_email])
        # A job that shares its parent's mailbox is no second candidate beside the parent.
        return [customer_id for customer_id in found if self.customers[customer_id].row["parent_id"] not in found]

    def _doubt(self, account: _Party, candidates: Sequence[str]) -> str | None:
        """Why the candidates are not sure enough to link without a person, as a question; ``None`` where they are."""
        if len(candidates) > 1:
            return f"{len(candidates)} customers could be this account. Which one is billed?"
        customer = self.customers[candidates[0]]
        told = self._told(customer.party_id)
        if customer.row["active"] is False:
            return f"{told[0].upper()}{told[1:]}. Make it active again, or name another customer?"
        if not account.name or account.name not in customer.names:
            return f"{customer.row['display_name']} has the same e-mail but another name. Is it this account?"
        if customer.row["parent_id"]:
            return f"{customer.row['display_name']} is a sub-customer. Is it this account?"
        others = self._claimants(customer.party_id) - {account.party_id}
        if others:
            owners = self._account_names(others)
            return f"{customer.row['display_name']} belongs to another account already ({owners}). Is it this one's too?"
        if self._bearers[account.name] > 1:
            return f"Several accounts are called {account.row['name']}. Is {customer.row['display_name']} this one?"
        agreeing, differing = self._compared(account, customer)
        if differing:
            return f"{customer.row['display_name']} has the same name but differs in {', '.join(differing)}. Is it this account?"
        if agreeing == ["name"]:
            return f"{customer.row['display_name']} has the same name, and nothing else agrees. Is it this account?"
        return None

    def _claimants(self, customer_id: str) -> set[str]:
        claimed = self._linked_accounts.get(customer_id, set()) | self._storing.get(customer_id, set())
        claimed = claimed | self._deciding.get(customer_id, set())
        marked = self._marked_accounts.get(customer_id)
        return claimed | {marked} if marked is not None else set(claimed)

    def _compared(self, account: _Party, customer: _Party) -> tuple[list[str], list[str]]:
        """Fields that agree, and fields that contradict. A field that one side lacks does neither."""
        agreeing: list[str] = []
        differing: list[str] = []
        if account.name and account.name in customer.names:
            agreeing.append("name")
        if account.emails & customer.emails:
            agreeing.append("email")
        if account.phone and account.phone == customer.phone:
            agreeing.append("phone")
        if (
            account.postal_code
            and account.street
            and (account.postal_code, account.street)
            == (
                customer.postal_code,
                customer.street,
            )
        ):
            agreeing.append("address")
        elif _address_differs(account, customer):
            differing.append("address")
        common = {domain for domain in account.domains & customer.domains if self._domain_customers[domain] <= _SHARED_DOMAIN}
        if common:
            agreeing.append("domain")
        elif account.domains and customer.domains and not account.domains & customer.domains and "email" not in agreeing:
            differing.append("domain")
        if account.legal_form and customer.legal_form and account.legal_form != customer.legal_form:
            differing.append("legal form")
        if account.currency and customer.currency and account.currency != customer.currency:
            differing.append("currency")
        return agreeing, differing

    # Rows

    def _usable(self, customer_id: str) -> bool:
        customer = self.customers.get(customer_id)
        return customer is not None and customer.row["active"] is not False

    def _told(self, customer_id: str) -> str:
        customer = self.customers.get(customer_id)
        if customer is None:
            return f"a customer that QuickBooks does not have (id {customer_id})"
        name = customer.row["display_name"] or f"id {customer_id}"
        return f"the inactive customer {name}" if customer.row["active"] is False else str(name)

    def _account_names(self, account_ids: Iterable[str]) -> str:
        names = {account.party_id: account.row["name"] for account in self.accounts if account.party_id in set(account_ids)}
        return ", ".join(sorted(names.get(account_id) or account_id for account_id in account_ids))

    def _linked(self, account: _Party, found: _Found) -> _Outcome:
        return self._row(account, "linked", found.customer_id, found.method, found.reason), None

    def _question(self, account: _Party, question: str, candidates: Sequence[str]) -> _Outcome:
        shown = [self._candidate(account, customer_id) for customer_id in candidates if customer_id in self.customers]
        listed = to_json(shown[:_MOST_CANDIDATES])
        row = self._row(account, "review", None, "question", question) | {"candidates": listed}
        review = {
            "account_id": account.party_id,
            "account_name": account.row["name"],
            "question": question,
            "candidates": listed,
        }
        return row, review

    def _candidate(self, account: _Party, customer_id: str) -> dict[str, Any]:
        customer = self.customers[customer_id]
        agreeing, differing = self._compared(account, customer)
        return {
            "customer_id": customer_id,
            "display_name": customer.row["display_name"],
            "email": customer.row["email"],
            "city": customer.row["billing_city"],
            "agreeing": agreeing,
            "differing": differing,
        }

    def _row(self, account: _Party, outcome: str, customer_id: str | None, method: str, reason: str) -> dict[str, Any]:
        customer = self.customers.get(customer_id) if customer_id is not None else None
        return {
            "account_id": account.party_id,
            "account_name": account.row["name"],
            "outcome": outcome,
            "customer_id": customer_id,
            "method": method,
            "reason": reason,
            "evidence": to_json(self._evidence(account, customer) if customer is not None else {}),
            "candidates": "[]",
        }

    def _evidence(self, account: _Party, customer: _Party) -> dict[str, Any]:
        agreeing, differing = self._compared(account, customer)
        fields = {
            "name": (account.row["name"], customer.row["display_name"]),
            "email": (account.row["billing_email"], customer.row["email"]),
            "phone": (account.row["phone"], customer.row["phone"]),
            "address": (_address_text(account.row), _address_text(customer.row)),
            "domain": (" ".join(sorted(account.domains)), " ".join(sorted(customer.domains))),
            "legal form": (account.legal_form, customer.legal_form),
            "currency": (account.currency, customer.currency),
        }
        return {
            name: {
                "salesforce": ours or None,
                "quickbooks": theirs or None,
                "agrees": True if name in agreeing else False if name in differing else None,
            }
            for name, (ours, theirs) in fields.items()
        }


def _rows(frame: pl.DataFrame) -> list[dict[str, Any]]:
    # The source record is large and not compared.
    return frame.drop("record", strict=False).sort("id").to_dicts()


def _survivor(account_id: str, merged: Mapping[str, str]) -> str:
    seen = {account_id}
    while account_id in merged and merged[account_id] not in seen:
        account_id = merged[account_id]
        seen.add(account_id)
    return account_id


def _account(row: Mapping[str, Any], contact_emails: Iterable[str]) -> _Party:
    billing_email = (row["billing_email"] or "").strip().casefold()
    name = normalised_name(row["name"])
    return _Party(
        party_id=row["id"],
        name=name,
        names=frozenset({name} - {""}),
        legal_form=legal_form_family(row["name"]),
        emails=frozenset({billing_email, *contact_emails} - {""}),
        phone=_phone(row["phone"]),
        postal_code=_postal_code(row["billing_postal_code"]),
        street=_street(row["billing_street"]),
        city=normalised_name(row["billing_city"]),
        domains=_domains(row["website"], billing_email),
        currency=row["currency"],
        row=row,
    )


def _customer(row: Mapping[str, Any]) -> _Party:
    email = (row["email"] or "").strip().casefold()
    display_name = row["display_name"] or ""
    if row["active"] is False:
        # QuickBooks marks the name of what was made inactive.
        display_name = display_name.removesuffix("(deleted)")
    names = [display_name, row["company_name"] or ""]
    families = [family for family in map(legal_form_family, names) if family is not None]
    name = normalised_name(display_name)
    return _Party(
        party_id=row["id"],
        name=name,
        names=frozenset({name, normalised_name(names[1])} - {""}),
        legal_form=families[0] if families else None,
        emails=frozenset(part.strip() for part in re.split(r"[,;]", email)) - {""},
        phone=_phone(row["phone"]),
        postal_code=_postal_code(row["billing_postal_code"]),
        street=_street(row["billing_street"]),
        city=normalised_name(row["billing_city"]),
        domains=_domains(row["website"], email),
        currency=row["currency"],
        row=row,
    )


def _stored_id(account: _Party) -> str:
    return (account.row["customer_id"] or "").strip()


def _phone(text: str | None) -> str:
    # An extension is not part of the number, and the country code is written or not.
    number = re.split(r"(?i)\s*(?:x|ext)\.?\s*\d+\s*$", text or "")[0]
    digits = "".join(str(unicodedata.digit(character)) for character in number if character.isdigit())
    return digits[-_PHONE_DIGITS:] if len(digits) >= _SHORTEST_PHONE else ""


def _postal_code(text: str | None) -> str:
    folded = "".join((text or "").split()).casefold()
    # ZIP+4 names a part of the same five digits.
    found = re.fullmatch(r"(\d{5})-?\d{4}", folded)
    return found.group(1) if found else folded


_STREET_WORDS = {
    "street": "st", "avenue": "ave", "av": "ave", "road": "rd", "boulevard": "blvd", "drive": "dr", "lane": "ln",
    "court": "ct", "place": "pl", "square": "sq", "suite": "ste", "north": "n", "south": "s", "east": "e", "west": "w",
    "highway": "hwy", "parkway": "pkwy", "floor": "fl", "straße": "str", "strasse": "str",
}  # fmt: skip


def _street(text: str | None) -> str:
    folded = unicodedata.normalize("NFKC", text or "").casefold()
    words = re.findall(r"\w+", folded)
    return " ".join(_STREET_WORDS.get(word, word) for word in words)


def _address_differs(account: _Party, customer: _Party) -> bool:
    if account.postal_code and customer.postal_code and account.postal_code != customer.postal_code:
        return True
    return bool(account.city and customer.city and account.city != customer.city)


def _domains(website: str | None, email: str) -> frozenset[str]:
    found = {address.strip().rpartition("@")[2] for address in re.split(r"[,;]", email) if "@" in address}
    site = (website or "").strip()
    if site:
        try:
            host = urlsplit(site if "//" in site else f"//{site}").hostname or ""
        except ValueError:
            host = ""
        found.add(host.removeprefix("www."))
    return frozenset(domain for domain in found if "." in domain) - _FREE_MAIL


def _address_text(row: Mapping[str, Any]) -> str:
    parts = [row["billing_street"], row["billing_postal_code"], row["billing_city"]]
    return ", ".join(" ".join(part.split()) for part in parts if part)


def _once(ids: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(ids))
