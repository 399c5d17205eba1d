"""How one side's value is spelt on the other, and the fields of a QuickBooks customer or Salesforce account that say it.

A conversion gives the value that the other side should hold, or :class:`NotTaken` where that side takes no such value. What
is written means the same as its source, so that reading it back is no difference. Nothing is decided here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import phonenumbers

from qbsf_pipeline.customers import texts
from qbsf_pipeline.customers.fields import LABELS, Address, Person, Value, mailboxes, told
from qbsf_pipeline.customers.matching.names import legal_display_name
from qbsf_pipeline.customers.meanings import country_code, parsed_phone, state_code
from qbsf_pipeline.customers.payloads import Mender, address, address_parts, company_name, person_name
from qbsf_pipeline.settings import AccountFields

#: Lengths of Salesforce's standard fields of an account (Object Reference, Account).
SALESFORCE_LENGTHS: Mapping[str, int] = {"name": 255, "email": 80, "phone": 40, "website": 255, "terms": 255}
#: Of street, city, state, postal code and country.
_SALESFORCE_ADDRESS_LENGTHS = (255, 40, 80, 20, 80)
_ADDRESS_NAMES = {"billing_address": ("billing", "BillAddr", "Billing"), "shipping_address": ("shipping", "ShipAddr", "Shipping")}
_HAS_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


@dataclass(frozen=True)
class NotTaken:
    """Why the other side cannot hold a value.

    Attributes:
        code: stable word for machines.
        reason: a sentence with the value.
        remedy: what to do about it.
    """

    code: str
    reason: str
    remedy: str


# The value that the other side should hold


def to_quickbooks(field: str, value: Value, conversion: str, region: str) -> Value | NotTaken:
    """An account's value as the customer should hold it.

    Args:
        field: of :data:`fields.FIELD_NAMES`; ``terms`` gives the name as it is, ``parent`` the id of the parent customer.
        conversion: the rule ``customers.fields.*.to_quickbooks``.
        region: as for :func:`meanings.meaning`.
    """
    if isinstance(value, Address):
        kind = _ADDRESS_NAMES[field][0]
        spelt = _with_state_code(value) if conversion == "state_code" else value
        return address_parts(address(_as_row(kind, spelt), kind, Mender()))
    if isinstance(value, Person):
        found = Person(person_name(value.given), person_name(value.family))
        return found if found.given or found.family else None
    if not isinstance(value, str):
        return value
    if field == "name":
        return legal_display_name(value)[0]
    if field == "email":
        return _email(value, conversion)
    if field in ("phone", "website"):
        spelt_text = _phone(value, conversion, region) if field == "phone" else _web(value, conversion)
        limit = texts.PHONE_LENGTH if field == "phone" else texts.WEB_ADDRESS_LENGTH
        return spelt_text if texts.length_of(spelt_text) <= limit else _too_long("QuickBooks", field, value, limit)
    return value


def to_salesforce(field: str, value: Value, conversion: str, region: str) -> Value | NotTaken:
    """A customer's value as the account should hold it. Arguments as for :func:`to_quickbooks`."""
    if field == "contact":
        return NotTaken(
            "contact_not_written",
            f"The contact {told(value)} stands on a Contact in Salesforce, which is never written.",
            "Change the name on the contact in Salesforce.",
        )
    if isinstance(value, Address):
        spelt = _with_state_code(value) if conversion == "state_code" else value
        for text, limit in zip(spelt, _SALESFORCE_ADDRESS_LENGTHS, strict=True):
            if len(text) > limit:
                return _too_long("Salesforce", field, value, limit)
        return spelt
    if not isinstance(value, str) or field == "parent":
        return value
    cleaned = texts.clean(value, one_line=True)
    if field == "phone":
        cleaned = _phone(cleaned, conversion, region)
    elif field == "website":
        cleaned = _web(cleaned, conversion)
    elif field == "email" and conversion == "lower_case":
        cleaned = cleaned.lower()
    limit = SALESFORCE_LENGTHS.get(field, 255)
    return cleaned if len(cleaned) <= limit else _too_long("Salesforce", field, value, limit)


# The fields that say it


def customer_fields(field: str, value: Value, *, term_id: str | None = None) -> dict[str, Any]:
    """The fields of a sparse update of a Customer that give it this value.

    An address is written with all its parts, missing ones as empty text, because it is not documented whether a part that is
    left out of a sparse update keeps what it had.

    Args:
        value: as :func:`to_quickbooks` gave it; ``None`` empties the field (as Intuit's API wants it: empty text for a
            text, an empty object for the e-mail and the like).
        term_id: for ``terms``, the term of that name.
    """
    if field in _ADDRESS_NAMES:
        kind, name, _ = _ADDRESS_NAMES[field]
        return {name: _EMPTY_ADDRESS | address(_as_row(kind, value), kind, Mender()) if isinstance(value, Address) else {}}
    if isinstance(value, Person) or field == "contact":
        person = value if isinstance(value, Person) else Person("", "")
        return {"GivenName": person.given, "FamilyName": person.family}
    if field == "name":
        return {"DisplayName": value, "CompanyName": company_name(str(value), Mender())}
    if field == "terms":
        return {"SalesTermRef": {"value": term_id} if term_id else {}}
    if field == "tax_exempt":
        return {"Taxable": value is not True}
    if field == "active":
        return {"Active": value is True}
    if field == "parent":
        return {"ParentRef": {"value": value}, "Job": True}
    outer, inner = _WRAPPED[field]
    return {outer: {inner: value} if value else {}}


def account_fields(field: str, value: Value, names: AccountFields) -> dict[str, Any]:
    """The fields of an update of an Account that give it this value; ``None`` empties them.

    Args:
        names: API names of the org's own fields.
    """
    if field in _ADDRESS_NAMES:
        prefix = _ADDRESS_NAMES[field][2]
        parts = value if isinstance(value, Address) else Address("", "", "", "", "")
        return {f"{prefix}{part}": text or None for part, text in zip(_SALESFORCE_PARTS, parts, strict=True)}
    own = {"email": names.billing_email, "terms": names.payment_terms, "tax_exempt": names.tax_exempt, "active": names.active}
    standard = {"name": "Name", "phone": "Phone", "website": "Website", "parent": "ParentId"}
    if field in ("tax_exempt", "active"):
        return {own[field]: value is True}
    return {(own | standard)[field]: value}


_ADDRESS_PARTS = (*(f"Line{number}" for number in range(1, 6)), "City", "CountrySubDivisionCode", "PostalCode", "Country")
_EMPTY_ADDRESS = dict.fromkeys(_ADDRESS_PARTS, "")
_SALESFORCE_PARTS = ("Street", "City", "State", "PostalCode", "Country")
_WRAPPED = {
    "email": ("PrimaryEmailAddr", "Address"),
    "phone": ("PrimaryPhone", "FreeFormNumber"),
    "website": ("WebAddr", "URI"),
}


def _as_row(kind: str, value: Address) -> dict[str, str]:
    return {f"{kind}_{part}": text for part, text in value._asdict().items()}


def _with_state_code(value: Address) -> Address:
    code = state_code(value.state, country_code(value.country)) if value.state else ""
    return value._replace(state=code) if code else value


def _email(value: str, conversion: str) -> str | NotTaken:
    spelt = [texts.deliverable_email(part) for part in mailboxes(value)]
    if not spelt or None in spelt:
        return NotTaken(
            "email_not_taken",
            f"QuickBooks takes no e-mail address such as {told(value)}.",
            "Correct the billing e-mail on the account.",
        )
    together = ", ".join(part for part in spelt if part)
    if texts.length_of(together) > texts.EMAIL_LENGTH:
        return _too_long("QuickBooks", "email", value, texts.EMAIL_LENGTH)
    return together.lower() if conversion == "lower_case" else together


def _phone(value: str, conversion: str, region: str) -> str:
    cleaned = texts.clean(value, one_line=True)
    number = parsed_phone(value, region) if conversion != "as_written" else None
    if number is None:
        return cleaned
    form = phonenumbers.PhoneNumberFormat.E164 if conversion == "e164" else phonenumbers.PhoneNumberFormat.INTERNATIONAL
    bare = phonenumbers.PhoneNumber()
    bare.merge_from(number)
    bare.extension = None
    spelt = str(phonenumbers.format_number(bare, form))
    return f"{spelt} x{number.extension}" if number.extension else spelt


def _web(value: str, conversion: str) -> str:
    cleaned = texts.clean(value, one_line=True)
    if conversion != "with_https" or _HAS_SCHEME.match(cleaned):
        return cleaned
    return f"https:{cleaned}" if cleaned.startswith("//") else f"https://{cleaned}"


def _too_long(system: str, field: str, value: Value, limit: int) -> NotTaken:
    return NotTaken(
        "text_too_long",
        f"The {LABELS[field]} {told(value)} is longer than the {limit} characters that {system} takes.",
        f"Shorten the {LABELS[field]}, or leave it to be different with the rule customers.fields.{field}.report_only.",
    )
