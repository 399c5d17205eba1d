"""The fields that both systems hold of a customer: their names, and their values as read from either side's raw record.

A value is what people see in a field, cleaned of nothing but surrounding space; ``None`` where the field is empty. What two
values mean is told in :mod:`.meanings`, how one side's value is spelt on the other in :mod:`.conversions`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from qbsf_pipeline.customers import texts
from qbsf_pipeline.money import parse_json, to_json
from qbsf_pipeline.settings import Rules

#: Fields in the order in which they are told, with the words for them.
LABELS: Mapping[str, str] = {
    "name": "name",
    "billing_address": "billing address",
    "shipping_address": "shipping address",
    "contact": "contact",
    "email": "billing e-mail",
    "phone": "phone",
    "website": "website",
    "terms": "payment terms",
    "tax_exempt": "tax exemption",
    "currency": "currency",
    "active": "active state",
    "parent": "parent",
}
FIELD_NAMES: tuple[str, ...] = tuple(LABELS)

#: "San Francisco, CA 94102" as the last line of an address that was typed into lines alone.
_LAST_LINE = re.compile(r"^\s*([^,\d]+?),?\s+([A-Za-z]{2})\.?\s+(\d{5}(?:-\d{4})?)\s*$")
_MAILS = re.compile(r"[,;\s<>]+")


class Address(NamedTuple):
    """A postal address; empty text for a part that is not there. ``street`` has one line for each line on the envelope."""

    street: str
    city: str
    state: str
    postal_code: str
    country: str


class Person(NamedTuple):
    """A person's name; empty text for a part that is not there."""

    given: str
    family: str


Value = str | bool | Address | Person | None


def fields_in_step(rules: Rules) -> tuple[str, ...]:
    """The fields that are compared under these rules: those that need a field or a rule of their own only where they have it."""
    named = {
        "tax_exempt": bool(rules.salesforce.account.tax_exempt),
        "active": bool(rules.salesforce.account.active),
        "parent": rules.customers.parent_accounts == "sub_customer",
    }
    return tuple(name for name in FIELD_NAMES if named.get(name, True))


def account_values(account: Mapping[str, Any], contacts: Sequence[Mapping[str, Any]], fields: Iterable[str]) -> dict[str, Value]:
    """The values of an account.

    Args:
        account: row of ``salesforce.account``.
        contacts: rows of ``salesforce.contact`` that are the account's: first_name, last_name, email, is_deleted.
        fields: of :data:`FIELD_NAMES`; ``parent`` is not read here, it depends on the other accounts.
    """
    return {name: _ACCOUNT_READERS[name](account, contacts) for name in fields if name != "parent"}


def customer_values(
    customer: Mapping[str, Any], term_names: Mapping[str, str], home_currency: str | None, fields: Iterable[str]
) -> dict[str, Value]:
    """The values of a customer.

    Args:
        customer: row of ``quickbooks.customer``.
        term_names: name of each term by id, inactive ones too.
        home_currency: of a customer that names none.
        fields: of :data:`FIELD_NAMES`.
    """
    found: dict[str, Value] = {}
    for name in fields:
        if name == "terms":
            found[name] = _text(term_names.get(customer["term_id"] or ""))
        elif name == "currency":
            found[name] = _code(customer["currency"]) or home_currency
        else:
            found[name] = _CUSTOMER_READERS[name](customer)
    return found


def is_empty(value: Value) -> bool:
    """Whether a field has no value; ``False`` in a checkbox is one."""
    return value is None or value == ""


def encoded(value: Value) -> str | None:
    """A value as one text: text as it is, anything else as JSON. For the agreements in the state."""
    if value is None or isinstance(value, str):
        return value
    return as_json(value)


def decoded(field: str, text: str | None) -> Value:
    """The value that :func:`encoded` made a text of; a text that it did not make counts as empty."""
    if text is None or not isinstance(text, str) or field not in _STRUCTURED:
        return text or None
    try:
        return from_json(field, text)
    except ValueError:
        return None


def as_json(value: Value) -> str | None:
    """A value as JSON text: a text, ``true`` or ``false``, or an object with the parts that are there; ``None`` when empty."""
    if value is None:
        return None
    if isinstance(value, Address | Person):
        return to_json({part: text for part, text in value._asdict().items() if text})
    return to_json(value)


def from_json(field: str, text: str | None) -> Value:
    """The value that :func:`as_json` made a text of.

    Raises:
        ValueError: it is no JSON, or none of a value of this field.
    """
    found = parse_json(text) if text else None
    if found is None or found == "":
        return None
    if field.endswith("_address") or field == "contact":
        if not isinstance(found, Mapping):
            raise ValueError(f"no value of {field}: {text}")
        if field == "contact":
            return _person(found.get("given"), found.get("family"))
        return _address(*(found.get(part) for part in Address._fields))
    if field in ("tax_exempt", "active"):
        if not isinstance(found, bool):
            raise ValueError(f"no value of {field}: {text}")
        return found
    if not isinstance(found, str):
        raise ValueError(f"no value of {field}: {text}")
    return found


def told(value: Value) -> str:
    """A value in a sentence, in quotes; ``nothing`` when empty."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Address):
        street = ", ".join(value.street.split("\n"))
        return f"“{', '.join(part for part in (street, *value[1:]) if part)}”"
    if isinstance(value, Person):
        return f"“{' '.join(part for part in value if part)}”"
    return f"“{texts.shortened(value, 200)}”"


def mailboxes(text: str | None) -> tuple[str, ...]:
    """The e-mail addresses in a text, as written, in order."""
    return tuple(dict.fromkeys(part for part in _MAILS.split(text or "") if "@" in part))


_STRUCTURED = frozenset({"billing_address", "shipping_address", "contact", "tax_exempt", "active"})


def _text(value: Any) -> str | None:
    found = value.strip() if isinstance(value, str) else ""
    return found if found and (found.isprintable() or texts.clean(found)) else None


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _code(value: Any) -> str | None:
    found = _text(value)
    return found.upper() if found else None


def _address(street: Any, city: Any, state: Any, postal_code: Any, country: Any) -> Address | None:
    """The parts as an address; one that names no more than a state or country is none."""
    if not (street or city or postal_code):
        return None
    raw = street or ""
    if "\r" in raw or "\t" in raw or not raw.isascii():
        raw = texts.clean(raw)
    lines = [" ".join(line.split()) for line in raw.split("\n")] if raw else []
    found = Address(
        "\n".join(line for line in lines if line),
        _text(city) or "",
        _text(state) or "",
        _text(postal_code) or "",
        _text(country) or "",
    )
    if found.street and not (found.city or found.state or found.postal_code):
        found = _from_lines(found)
    return found if found.street or found.city or found.postal_code else None


def _from_lines(address: Address) -> Address:
    *above, last = address.street.split("\n")
    read = _LAST_LINE.match(last) if above else None
    if read is None:
        return address
    city, state, postal_code = read.groups()
    return Address("\n".join(above), city, state, postal_code, address.country)


def _person(given: Any, family: Any) -> Person | None:
    found = Person(_text(given) or "", _text(family) or "")
    return found if found.given or found.family else None


def _account_address(account: Mapping[str, Any], kind: str) -> Address | None:
    return _address(
        account[f"{kind}_street"],
        account[f"{kind}_city"],
        account[f"{kind}_state"],
        account[f"{kind}_postal_code"],
        account[f"{kind}_country"],
    )


def _account_contact(account: Mapping[str, Any], contacts: Sequence[Mapping[str, Any]]) -> Person | None:
    """The one contact whose e-mail is the billing e-mail; nobody where there are none or several."""
    if not contacts or not account["billing_email"]:
        return None
    billing = {address.casefold() for address in mailboxes(account["billing_email"])}
    people = [
        contact
        for contact in contacts
        if not contact["is_deleted"] and billing.intersection(one.casefold() for one in mailboxes(contact["email"]))
    ]
    return _person(people[0]["first_name"], people[0]["last_name"]) if len(people) == 1 else None


def _customer_name(customer: Mapping[str, Any]) -> str | None:
    name = customer["display_name"] or ""
    if customer["active"] is False:
        # QuickBooks marks the name of what was made inactive.
        name = name.strip().removesuffix("(deleted)")
    return _text(name)


def _customer_exempt(customer: Mapping[str, Any]) -> bool | None:
    taxable = _flag(customer["taxable"])
    if taxable is None:
        return True if _text(customer["tax_exemption_reason_id"]) else None
    return not taxable


_ACCOUNT_READERS: Mapping[str, Any] = {
    "name": lambda account, _: _text(account["name"]),
    "billing_address": lambda account, _: _account_address(account, "billing"),
    "shipping_address": lambda account, _: _account_address(account, "shipping"),
    "contact": _account_contact,
    "email": lambda account, _: _text(account["billing_email"]),
    "phone": lambda account, _: _text(account["phone"]),
    "website": lambda account, _: _text(account["website"]),
    "terms": lambda account, _: _text(account["payment_terms"]),
    "tax_exempt": lambda account, _: _flag(account["tax_exempt"]),
    "currency": lambda account, _: _code(account["currency"]),
    "active": lambda account, _: _flag(account["active"]),
}
_CUSTOMER_READERS: Mapping[str, Any] = {
    "name": _customer_name,
    "billing_address": lambda customer: _account_address(customer, "billing"),
    "shipping_address": lambda customer: _account_address(customer, "shipping"),
    "contact": lambda customer: _person(customer["given_name"], customer["family_name"]),
    "email": lambda customer: _text(customer["email"]),
    "phone": lambda customer: _text(customer["phone"]),
    "website": lambda customer: _text(customer["website"]),
    "tax_exempt": _customer_exempt,
    "active": lambda customer: _flag(customer["active"]) is not False,
    "parent": lambda customer: _text(customer["parent_id"]),
}
