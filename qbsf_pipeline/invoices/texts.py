"""Texts on an invoice: what QuickBooks takes, and how a text is mended.

Pure text in, text out. Limits are those of Intuit's API reference.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

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
    if length_of(text) <= limit:
        return text
    cut = text[: limit - 1]
    while length_of(cut) > limit - 1:
        cut = cut[:-1]
    return cut.rstrip() + "…"


def filled(template: str, values: Mapping[str, str]) -> str:
    """``template`` with ``{name}`` replaced by its value; braces around unknown names, and in values, stay as they are."""
    return re.sub(r"\{(\w+)\}", lambda found: values.get(found.group(1), found.group()), template)


def short_id(record_id: str) -> str:
    """The 15 characters of a Salesforce id that tell records apart (case counts)."""
    return record_id[:15]
