"""What can be wrong with an e-mail address, a phone number or a web address as somebody typed it.

Pure text in, text out.
"""

from __future__ import annotations

import re

import phonenumbers
from rapidfuzz.distance import OSA

from qbsf_pipeline.customers.matching.normalising import registrable_domain
from qbsf_pipeline.customers.texts import EMAIL_LENGTH, PHONE_LENGTH, deliverable_email, length_of

#: Mailboxes that many people have, so that a domain one slip away from them is a slip.
_WELL_KNOWN = (
    "gmail.com", "googlemail.com", "yahoo.com", "hotmail.com", "outlook.com", "icloud.com", "aol.com", "comcast.net",
    "verizon.net", "sbcglobal.net", "protonmail.com", "gmx.de", "web.de", "t-online.de", "orange.fr", "btinternet.com",
)  # fmt: skip
#: Real domains that are one letter from a well-known one.
_REAL = frozenset({"mail.com", "ymail.com", "email.com", "gmx.net", "gmx.at", "gmx.ch", "gmx.com", "web.com", "rocketmail.com"})
_SEPARATORS = re.compile(r"[,;]")
_HOST = re.compile(r"(?:https?:)?(?://)?([^/?#\s]+)", re.IGNORECASE)


def email_fault(text: str | None, *, several: bool = False) -> str | None:
    """Why QuickBooks does not take an address, as the rest of a sentence; ``None`` for a sound one or none.

    Args:
        several: the field may hold more than one address, with a comma between them, as in QuickBooks itself.
    """
    whole = (text or "").strip()
    if not whole:
        return None
    if several and _SEPARATORS.search(whole):
        faults = [(part.strip(), email_fault(part)) for part in _SEPARATORS.split(whole) if part.strip()]
        return next((f"holds {part}, which {fault}" for part, fault in faults if fault), None)
    if deliverable_email(whole) is not None:
        return None
    if "@" not in whole:
        return "has no @"
    if _SEPARATORS.search(whole) or whole.count("@") > 1:
        return "holds more than one address"
    if len(whole.split()) > 1:
        return "has a space in it"
    if "<" in whole or ":" in whole:
        return "holds more than the address"
    if length_of(whole) > EMAIL_LENGTH:
        return f"has more than {EMAIL_LENGTH} characters"
    local, _, domain = whole.rpartition("@")
    if not local:
        return "has nothing before the @"
    if "." not in domain.strip("."):
        return "has no dot in its domain"
    if ".." in whole or domain.startswith(".") or domain.endswith(".") or local.endswith(".") or local.startswith("."):
        return "has a dot in the wrong place"
    return "has a character that an address cannot have"


def meant_domain(text: str | None) -> str | None:
    """The well-known domain that a mistyped one stands for (``gmail.com`` for ``gmial.com``); ``None`` where there is none."""
    domain = (text or "").strip().casefold().rpartition("@")[2]
    if not domain or domain in _WELL_KNOWN or domain in _REAL:
        return None
    if domain.count(".") != 1 or domain.partition(".")[0] in {known.partition(".")[0] for known in _WELL_KNOWN}:
        # yahoo.fr and hotmail.co are at home somewhere; .con is nowhere.
        if not domain.endswith((".con", ".cmo", ".ocm", ".vom", ".comm")):
            return None
        domain = domain.rpartition(".")[0] + ".com"
        return domain if domain in _WELL_KNOWN else None
    near = [known for known in _WELL_KNOWN if OSA.distance(domain, known, score_cutoff=1) <= 1 and len(known) >= 9]
    return near[0] if len(near) == 1 else None


def phone_fault(text: str | None, country: str | None) -> str | None:
    """Why a number cannot be one, as the rest of a sentence; ``None`` for a possible one, or where nobody can tell.

    Args:
        country: two-letter code of where it was written; ``None`` where that is not known.
    """
    number = (text or "").strip()
    if not number:
        return None
    if length_of(number) > PHONE_LENGTH:
        return f"has more than the {PHONE_LENGTH} characters that QuickBooks takes"
    if not any(character.isdigit() for character in number):
        return "has no digits"
    try:
        parsed = phonenumbers.parse(number, country)
    except phonenumbers.NumberParseException as error:
        if error.error_type == phonenumbers.NumberParseException.INVALID_COUNTRY_CODE:
            return None if country is None and not number.startswith("+") else "has a country code that does not exist"
        return "is too short or no number"
    reason = phonenumbers.is_possible_number_with_reason(parsed)
    if reason == phonenumbers.ValidationResult.TOO_SHORT:
        return "is too short"
    if reason == phonenumbers.ValidationResult.TOO_LONG:
        return "is too long"
    if reason == phonenumbers.ValidationResult.INVALID_LENGTH:
        return "has a number of digits that does not occur there"
    return None


def website_fault(text: str | None) -> str | None:
    """Why a web address cannot be one, as the rest of a sentence; ``None`` for a sound one or none."""
    site = (text or "").strip()
    if not site:
        return None
    if len(site.split()) > 1:
        return "has a space in it"
    found = _HOST.match(site)
    host = found.group(1) if found is not None else ""
    if "@" in host:
        return "is an e-mail address"
    if ":" in host:
        host = host.partition(":")[0]
    if not registrable_domain(host.rstrip(".")):
        return "names no web domain"
    if not re.fullmatch(r"[\w.-]+", host):
        return "has a character that a web address cannot have"
    return None
