"""Texts in QuickBooks, on customers and on invoices: what it takes, and how a text is mended.

Pure text in, text out. Limits are those of Intuit's API reference.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from email_validator import EmailNotValidError, validate_email

PRIVATE_NOTE_LENGTH = 4000
CUSTOMER_MEMO_LENGTH = 1000
DESCRIPTION_LENGTH = 4000
ADDRESS_LINE_LENGTH = 500
ADDRESS_LINES = 5
CITY_LENGTH = 255
STATE_LENGTH = 255
POSTAL_CODE_LENGTH = 30
COUNTRY_LENGTH = 255
COMPANY_NAME_LENGTH = 100
PHONE_LENGTH = 30
EMAIL_LENGTH = 100
PERSON_NAME_LENGTH = 100
WEB_ADDRESS_LENGTH = 1000
ITEM_NAME_LENGTH = 100
SKU_LENGTH = 100


def clean(text: str | None, *, one_line: bool = False) -> str:
    """``text`` with plain line breaks, without control characters and halves of surrogate pairs, trimmed.

    Args:
        one_line: line breaks and runs of spaces become single spaces.
    """
    unix = (text or "").replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").replace("\u2029", "\n")
    kept = "".join(
        character
        for character in unix.replace("\t", " ")
        if character == "\n" or unicodedata.category(character) not in ("Cc", "Cs")
    )
    return " ".join(kept.split()) if one_line else kept.strip()


def has_unprintable(text: str | None) -> bool:
    """Whether :func:`clean` takes characters out, beyond spelling line breaks and tabs in its own way."""
    return any(unicodedata.category(character) in ("Cc", "Cs") and character not in "\r\n\t" for character in text or "")


def length_of(text: str) -> int:
    """The length as QuickBooks counts it: in UTF-16 units, so that an emoji is two."""
    return len(text) + sum(1 for character in text if character > "\uffff")


def shortened(text: str, limit: int) -> str:
    """``text``, or its beginning and an ellipsis where it is longer than ``limit``."""
    return text if length_of(text) <= limit else cut(text, limit - 1) + "…"


def cut(text: str, limit: int) -> str:
    """``text``, or as much of its beginning as ``limit`` allows."""
    kept = text[:limit]
    while length_of(kept) > limit:
        kept = kept[:-1]
    return kept.rstrip()


def deliverable_email(email: str) -> str | None:
    """The address as QuickBooks takes it, with an international domain in its ASCII form; ``None`` for a malformed one."""
    try:
        checked = validate_email(
            email.strip(),
            allow_smtputf8=False,
            check_deliverability=False,
            globally_deliverable=False,
            # Reserved names such as example.test are for trying out, and nothing is delivered here anyway.
            test_environment=True,
        )
    except EmailNotValidError:
        return None
    address = checked.ascii_email
    if address is None or "." not in checked.ascii_domain or length_of(address) > EMAIL_LENGTH:
        return None
    return address


def filled(template: str, values: Mapping[str, str]) -> str:
    """``template`` with ``{name}`` replaced by its value; braces around unknown names, and in values, stay as they are."""
    return re.sub(r"\{(\w+)\}", lambda found: values.get(found.group(1), found.group()), template)


def short_id(record_id: str) -> str:
    """The 15 characters of a Salesforce id that tell records apart (case counts)."""
    return record_id[:15]
