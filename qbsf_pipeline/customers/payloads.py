"""Bodies of QuickBooks customers: one code for a customer that is created and for one that is kept in step.

Shapes and limits are those of Intuit's API reference (Customer). Nothing is decided here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from qbsf_pipeline.customers import texts
from qbsf_pipeline.customers.fields import Address, Person, account_values
from qbsf_pipeline.customers.matching.plan import account_marker


@dataclass(frozen=True)
class Mended:
    """A text that QuickBooks would not have taken as it was.

    Attributes:
        what: the text, in words.
        length: its length after cleaning.
        limit: what QuickBooks takes; it was shortened where ``length`` is more, else control characters were taken out.
        free_text: whether the rule ``invoices.long_text`` is about it (descriptions, memos), not a field of an address.
    """

    what: str
    length: int
    limit: int
    free_text: bool

    @property
    def shortened(self) -> bool:
        """Whether something at the end is missing."""
        return self.length > self.limit


@dataclass
class Mender:
    """Makes texts what QuickBooks takes and remembers which had to change."""

    mended: list[Mended] = field(default_factory=list)

    def fit(self, text: str | None, limit: int, what: str, *, one_line: bool = True, free_text: bool = False) -> str:
        """``text`` cleaned and no longer than ``limit``; empty where there is none."""
        cleaned = texts.clean(text, one_line=one_line)
        length = texts.length_of(cleaned)
        if length > limit or texts.has_unprintable(text):
            self.mended.append(Mended(what, length, limit, free_text))
        return texts.shortened(cleaned, limit)


def address(account: Mapping[str, Any], kind: str, mender: Mender) -> dict[str, str]:
    """``billing`` or ``shipping`` address of an account: each line of the street on its own, at most five.

    More lines than five share the last one.
    """
    lines = [" ".join(line.split()) for line in texts.clean(account[f"{kind}_street"]).split("\n")]
    lines = [line for line in lines if line]
    if len(lines) > texts.ADDRESS_LINES:
        kept = texts.ADDRESS_LINES - 1
        lines = [*lines[:kept], ", ".join(lines[kept:])]
    found = {
        f"Line{number}": mender.fit(line, texts.ADDRESS_LINE_LENGTH, f"{kind} street")
        for number, line in enumerate(lines, start=1)
    }
    for name, column, limit in (
        ("City", "city", texts.CITY_LENGTH),
        ("CountrySubDivisionCode", "state", texts.STATE_LENGTH),
        ("PostalCode", "postal_code", texts.POSTAL_CODE_LENGTH),
        ("Country", "country", texts.COUNTRY_LENGTH),
    ):
        found[name] = mender.fit(account[f"{kind}_{column}"], limit, f"{kind} {column.replace('_', ' ')}")
    return {name: text for name, text in found.items() if text}


def address_parts(body: Mapping[str, str]) -> Address | None:
    """The address that a body of :func:`address` says, as it is read back."""
    lines = (body.get(f"Line{number}", "") for number in range(1, texts.ADDRESS_LINES + 1))
    found = Address(
        "\n".join(line for line in lines if line),
        *(body.get(name, "") for name in ("City", "CountrySubDivisionCode", "PostalCode", "Country")),
    )
    return found if any(found) else None


def person_name(text: str) -> str:
    """A first or last name as QuickBooks takes it: no colon, no line break, at most 100 characters."""
    cleaned = re.sub(r"\s*:\s*", " - ", texts.clean(text, one_line=True)).strip(" -")
    return texts.cut(cleaned, texts.PERSON_NAME_LENGTH)


def company_name(name: str | None, mender: Mender) -> str:
    """The name as CompanyName takes it."""
    return mender.fit(name, texts.COMPANY_NAME_LENGTH, "company name")


def customer(
    account: Mapping[str, Any],
    display_name: str,
    *,
    contacts: Sequence[Mapping[str, Any]] = (),
    email: str | None,
    term_id: str | None,
    currency: str | None,
    parent: str | None,
    mender: Mender,
) -> dict[str, Any]:
    """The body of a new customer: with all that is kept in step afterwards, so that nothing is left to write then.

    Args:
        contacts: the account's contacts: first_name, last_name, email, is_deleted.
        parent: id of the parent customer, or ``$customer:{account_id}``.
        currency: only where the company has several; it can never be changed.
    """
    body: dict[str, Any] = {"DisplayName": display_name}
    _put(body, "CompanyName", company_name(account["name"], mender))
    (person,) = account_values(account, contacts, ("contact",)).values()
    if isinstance(person, Person):
        _put(body, "GivenName", person_name(person.given))
        _put(body, "FamilyName", person_name(person.family))
    _put(body, "PrimaryEmailAddr", {"Address": email} if email else None)
    phone = texts.clean(account["phone"], one_line=True)
    # Half a phone number is worse than none.
    _put(body, "PrimaryPhone", {"FreeFormNumber": phone} if 0 < len(phone) <= texts.PHONE_LENGTH else None)
    website = texts.clean(account["website"], one_line=True)
    _put(body, "WebAddr", {"URI": website} if 0 < texts.length_of(website) <= texts.WEB_ADDRESS_LENGTH else None)
    _put(body, "BillAddr", address(account, "billing", mender))
    _put(body, "ShipAddr", address(account, "shipping", mender))
    _put_ref(body, "SalesTermRef", term_id)
    _put_ref(body, "CurrencyRef", currency)
    body["Notes"] = account_marker(account["id"])
    if parent is not None:
        body |= {"ParentRef": {"value": parent}, "Job": True, "BillWithParent": True}
    return body


def _put(body: dict[str, Any], name: str, value: Any) -> None:
    if value:
        body[name] = value


def _put_ref(body: dict[str, Any], name: str, value: str | None) -> None:
    if value:
        body[name] = {"value": value}
