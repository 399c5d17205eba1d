"""Findings about single values: e-mails, phones, websites, addresses and names that one of the systems cannot use."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from qbsf_pipeline.cleansing.contact_details import email_fault, meant_domain, phone_fault, website_fault
from qbsf_pipeline.cleansing.findings import KINDS, Finding, Severity, System
from qbsf_pipeline.cleansing.places import (
    address_faults,
    country_code,
    country_fault,
    postal_code_fault,
    state_code,
    state_fault,
)
from qbsf_pipeline.cleansing.records import Records, Row
from qbsf_pipeline.cleansing.wording import shown
from qbsf_pipeline.customers.matching.names import DISPLAY_NAME_LENGTH
from qbsf_pipeline.customers.texts import length_of

_DISPLAY_NAME_LIMIT = 500
_ADDRESS = ("street", "city", "state", "postal_code", "country")


@dataclass(frozen=True)
class _Subject:
    """A record as its values are judged: in use, a fault counts more."""

    system: System
    record_object: str
    row: Row
    name: str
    deals: int
    in_use: bool

    def find(self, code: str, field: str, what: str, severity: Severity | None = None, repair: str = "") -> Finding:
        """A finding about one field; the usual severity where the record is in use, else a hint."""
        kind = KINDS[code]
        return Finding(
            kind,
            severity or (kind.severity if self.in_use else "hint"),
            self.system,
            self.record_object,
            self.row["id"],
            self.name,
            what,
            repair,
            self.deals,
            field=field,
        )


def written_values(records: Records) -> Iterator[Finding]:
    """Values that cannot be used, of every account, contact and active customer."""
    for key, row in records.accounts.items():
        deals = records.deals_on(key)
        subject = _Subject("salesforce", "Account", row, row["name"] or "", deals, deals > 0)
        yield from _email(subject, "billing_email", "billing e-mail", "error" if deals else "warning")
        yield from _address(subject, "billing", records.home_country)
        if any(row[f"shipping_{part}"] != row[f"billing_{part}"] for part in _ADDRESS):
            yield from _address(subject, "shipping", records.home_country)
        yield from _phone(subject, _country_of(row, "billing", records.home_country))
        yield from _website(subject)
        yield from _name(subject, row["name"], creates=key not in records.customer_of)
    for row in records.contacts.values():
        account = records.accounts.get(row["account_id"] or "")
        if account is None:
            continue
        deals = records.deals_on(account["id"])
        name = row["name"] or " ".join(filter(None, (row["first_name"], row["last_name"])))
        subject = _Subject("salesforce", "Contact", row, name, deals, deals > 0)
        yield from _email(subject, "email", "e-mail", "warning" if deals else "hint")
        yield from _phone(subject, _country_of(account, "billing", records.home_country))
    for key, row in records.customers.items():
        if row["active"] is False:
            continue
        in_use = records.customer_in_use(row)
        deals = records.deals_on_customer(key)
        subject = _Subject("quickbooks", "Customer", row, row["display_name"] or "", deals, in_use)
        yield from _email(subject, "email", "e-mail", "warning" if in_use else "hint", several=True)
        yield from _address(subject, "billing", records.home_country)
        yield from _phone(subject, _country_of(row, "billing", records.home_country))
        yield from _website(subject)
        yield from _name(subject, row["display_name"], creates=True)


def _email(subject: _Subject, field: str, label: str, severity: Severity, *, several: bool = False) -> Iterator[Finding]:
    email = subject.row[field]
    fault = email_fault(email, several=several)
    if fault is not None:
        yield subject.find("email_malformed", field, f"The {label} {shown(email)} of {shown(subject.name)} {fault}.", severity)
        return
    meant = meant_domain(email)
    if meant is not None:
        local = email.strip().rpartition("@")[0]
        text = f"The {label} {shown(email)} of {shown(subject.name)} looks like a slip for {local}@{meant}."
        milder: Severity = "warning" if subject.in_use else "hint"
        yield subject.find("email_domain_typo", field, text, milder)


def _phone(subject: _Subject, country: str | None) -> Iterator[Finding]:
    phone = subject.row["phone"]
    fault = phone_fault(phone, country)
    if fault is not None:
        yield subject.find("phone_malformed", "phone", f"The phone {shown(phone)} of {shown(subject.name)} {fault}.", "hint")


def _website(subject: _Subject) -> Iterator[Finding]:
    website = subject.row["website"]
    fault = website_fault(website)
    if fault is not None:
        text = f"The website {shown(website)} of {shown(subject.name)} {fault}."
        yield subject.find("website_malformed", "website", text, "hint")


def _address(subject: _Subject, which: str, home: str | None) -> Iterator[Finding]:
    """Findings of one address."""
    street, city, state, postal_code, country = (subject.row[f"{which}_{part}"] for part in _ADDRESS)
    code = _country_of(subject.row, which, home)
    of = f"of the {which} address of {shown(subject.name)}"
    wrong = country_fault(country)
    if wrong is not None:
        yield subject.find("country_unknown", f"{which}_country", f"The country {shown(country)} {of} {wrong[0]}.",
                           repair=_meant(wrong[1]))  # fmt: skip
    wrong = state_fault(code, state)
    if wrong is not None:
        yield subject.find("state_unknown", f"{which}_state", f"The state {shown(state)} {of} {wrong[0]}.",
                           repair=_meant(wrong[1]))  # fmt: skip
    wrong = postal_code_fault(code, state, postal_code)
    if wrong is not None:
        yield subject.find("postal_code_wrong", f"{which}_postal_code", f"The postal code {shown(postal_code)} {of} {wrong[0]}.",
                           repair=_meant(wrong[1]))  # fmt: skip
    for field, fault in address_faults(street, city, state, postal_code):
        value = street if field == "street" else city
        yield subject.find("address_malformed", f"{which}_{field}", f"The {field} {shown(value)} {of} {fault}.")


def _country_of(row: Row, which: str, home: str | None) -> str | None:
    """The code of an address's country. Where none is written it is the home country, unless state and postal code lie abroad."""
    country, state, postal_code = (row[f"{which}_{part}"] for part in ("country", "state", "postal_code"))
    if (country or "").strip():
        return country_code(country)
    if not (state or "").strip() or state_code(home, state) is not None:
        return home
    fits = bool((postal_code or "").strip()) and postal_code_fault(home, None, postal_code) is None
    return home if fits else None


def _meant(text: str) -> str:
    return f"Probably {shown(text)} is meant: correct it." if text else ""


def _name(subject: _Subject, name: str | None, *, creates: bool) -> Iterator[Finding]:
    """Why QuickBooks would not take a name.

    Args:
        creates: the name is, or would be, that of a customer.
    """
    text = name or ""
    faults = []
    if not text.strip():
        faults.append("is empty")
    if ":" in text and subject.system == "salesforce":
        # In QuickBooks itself a colon cannot be entered.
        faults.append("has a colon, which separates parent and sub-customer")
    if "\t" in text:
        faults.append("has a tab in it")
    if any(mark in text for mark in "\r\n\u2028\u2029"):
        faults.append("has a line break in it")
    if any(unicodedata.category(mark) in ("Cc", "Cs") and mark not in "\t\r\n" for mark in text):
        faults.append("has a control character in it, which nobody sees")
    length = length_of(text)
    limit = DISPLAY_NAME_LENGTH if subject.system == "salesforce" else _DISPLAY_NAME_LIMIT
    if length > limit:
        faults.append(f"has {length} characters, and a customer is created with {limit} at most")
    if faults:
        severity: Severity = "warning" if subject.in_use and creates else "hint"
        what = f"The name {shown(name)} {' and '.join(faults)}."
        yield subject.find("name_refused", "name", what, severity)
