"""What a value means: two spellings of one meaning are no difference.

Text in, text out. Which normalisations count for a field is a rule (``customers.fields.*.compare``). What follows from a
difference is decided in :mod:`.plan`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import phonenumbers
import pycountry

from qbsf_pipeline.customers.fields import Address, Person, Value, is_empty, mailboxes
from qbsf_pipeline.customers.matching.vocabulary import COUNTRY_CODES, STREET_WORDS
from qbsf_pipeline.customers.texts import deliverable_email

DEFAULT_REGION = "US"

#: Countries whose states are written by name and by code alike.
_WITH_STATES = ("US", "CA", "AU", "BR", "MX", "IN")
#: Where a place without a country is looked for.
_LOOKED_IN = ("US", "CA")
_ROOM_WORDS = frozenset({"ste", "apt", "unit", "rm", "no", "flat"})
_APOSTROPHES = re.compile("['`\u00b4\u02bc\u2018\u2019]")
_ZIP = re.compile(r"(\d{5})(?:-?\d{4})?")
_CANADIAN_CODE = re.compile(r"[A-Z]\d[A-Z]\d[A-Z]\d")
_SCHEME = re.compile(r"^(?:https?:)?//", re.IGNORECASE)
_END_OF_HOST = re.compile(r"[/?#]")
_NET_DAYS = re.compile(r"(?:net|n)?(\d{1,3})(?:days?|d)?(?:net)?")
_RECEIPT = frozenset({"dueonreceipt", "dueuponreceipt", "onreceipt", "uponreceipt", "receipt", "immediate", "dueimmediately"})


def meaning(value: Value, compare: Sequence[str], region: str = DEFAULT_REGION) -> str | None:
    """The meaning of a value as text; equal texts are one meaning. ``None`` for an empty value.

    Args:
        value: as read from either side.
        compare: normalisations, in order: ``address``, ``email``, ``phone``, ``web``, ``terms``, ``case``, ``space``,
            ``punctuation``.
        region: ISO code of the country in which a phone number without a country code is dialled.
    """
    return _meaning(value, tuple(compare), region) if not is_empty(value) else None


def mailboxes_meant(value: Value) -> frozenset[str]:
    """The e-mail addresses that a value names, in the spelling that is compared."""
    return frozenset(_email(value).split()) if isinstance(value, str) else frozenset()


def country_code(text: str | None) -> str:
    """The ISO code of a country as people write it; empty where it is not known."""
    return _country((text or "").strip().casefold())


def state_code(text: str, country: str) -> str:
    """The code of a state or province ("Colorado" is "CO"), in capitals; empty where it is not known.

    Args:
        country: ISO code; empty looks in the United States, then in Canada.
    """
    folded = _words(text)
    for code in (country,) if country else _LOOKED_IN:
        found = _states(code).get(folded)
        if found is not None:
            return found
    return ""


@lru_cache(maxsize=131_072)
def _meaning(value: Value, compare: tuple[str, ...], region: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Address):
        if "address" in compare:
            return _address(value)
        return "|".join(_spelt(part, compare, region) for part in value)
    if isinstance(value, Person):
        return _spelt(" ".join(part for part in value if part), compare, region)
    return _spelt(value or "", compare, region)


def _spelt(text: str, compare: tuple[str, ...], region: str) -> str:
    text = unicodedata.normalize("NFC", text)
    for name in compare:
        text = _phone(text, region) if name == "phone" else _NORMALISATIONS[name](text)
    return text


def _space(text: str) -> str:
    kept = "".join(" " if unicodedata.category(one) in ("Cc", "Cf", "Cs", "Zl", "Zp") else one for one in text)
    return " ".join(kept.split())


def _punctuation(text: str) -> str:
    bare = _APOSTROPHES.sub("", text).replace("&", " and ")
    bare = "".join(" " if unicodedata.category(one)[0] == "P" and one not in "#%@" else one for one in bare)
    # A name of nothing but punctuation is still a name.
    return " ".join(bare.split()) or text


def _email(text: str) -> str:
    found = {_mailbox(part) for part in mailboxes(text)}
    return " ".join(sorted(found)) or text.strip().casefold()


def _mailbox(address: str) -> str:
    # An international domain has a second spelling, which QuickBooks is given.
    return (address if address.isascii() else deliverable_email(address) or address).casefold()


def _phone(text: str, region: str) -> str:
    number = parsed_phone(text, region)
    if number is None:
        digits = "".join(str(unicodedata.digit(one)) for one in text if one.isdigit())
        return digits or " ".join(text.casefold().split())
    plain = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return f"{plain} x{number.extension}" if number.extension else str(plain)


def parsed_phone(text: str, region: str) -> phonenumbers.PhoneNumber | None:
    """The number that a text says; ``None`` for what could not be dialled."""
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    return number if phonenumbers.is_possible_number(number) else None


def _web(text: str) -> str:
    bare = _SCHEME.sub("", " ".join(text.split()))
    end = _END_OF_HOST.search(bare)
    host, rest = (bare[: end.start()], bare[end.start() :]) if end else (bare, "")
    host = host.casefold()
    host = host.removesuffix(":443").removesuffix(":80").rstrip(".").removeprefix("www.")
    return host + rest.rstrip("/")


def _terms(text: str) -> str:
    folded = "".join(one for one in text.casefold() if one.isalnum())
    if folded in _RECEIPT:
        return "due on receipt"
    found = _NET_DAYS.fullmatch(folded)
    return f"net {int(found.group(1))}" if found else " ".join(re.findall(r"\w+", text.casefold())) or text.strip()


_NORMALISATIONS: Mapping[str, Callable[[str], str]] = {
    "case": str.casefold,
    "space": _space,
    "punctuation": _punctuation,
    "email": _email,
    "web": _web,
    "terms": _terms,
}


# Places


def _address(address: Address) -> str:
    postal_code = "".join(one for one in address.postal_code.upper() if one.isalnum())
    country = country_code(address.country)
    state = state_code(address.state, country) if not country or country in _WITH_STATES else ""
    if not address.country.strip() and state:
        # "Boulder, CO 80302" needs no country to be understood.
        country = "US" if _ZIP.fullmatch(postal_code) else "CA" if _CANADIAN_CODE.fullmatch(postal_code) else ""
    if country in ("", "US") and (found := _ZIP.fullmatch(postal_code)) is not None:
        # ZIP+4 names a part of the same five digits.
        postal_code = found.group(1)
    street = _street(address.street)
    return "|".join(
        (street, _words(address.city), state or _words(address.state), postal_code, country or _words(address.country))
    )


def _street(text: str) -> str:
    folded = _words(text.replace("#", " unit "))
    words = (STREET_WORDS.get(word, word) for word in folded.split())
    found = " ".join("unit" if word in _ROOM_WORDS else word for word in words)
    return found.replace("post office box", "p o box").replace("pobox", "p o box").replace("po box", "p o box")


def _words(text: str) -> str:
    """Words in lower case without accents and punctuation; the text itself where it has no word."""
    folded = text.casefold()
    if not folded.isascii():
        apart = unicodedata.normalize("NFKD", folded)
        folded = unicodedata.normalize("NFC", "".join(one for one in apart if not "\u0300" <= one <= "\u036f"))
    bare = "".join(one if one.isalnum() else "" if one in "'\u2019." else " " for one in folded)
    return " ".join(bare.split()) or " ".join(folded.split())


@lru_cache(maxsize=1024)
def _country(folded: str) -> str:
    if not folded:
        return ""
    code = COUNTRY_CODES.get(folded)
    if code is not None:
        return code
    try:
        return str(pycountry.countries.lookup(folded).alpha_2)
    except LookupError:
        return ""


@lru_cache(maxsize=len(_WITH_STATES) + 1)
def _states(country: str) -> Mapping[str, str]:
    """Code by code and by name, as :func:`_words` writes them; empty for countries whose addresses name no state so."""
    if country not in _WITH_STATES:
        return {}
    found: dict[str, str] = {}
    for part in pycountry.subdivisions:
        if part.country_code != country:
            continue
        code = str(part.code).partition("-")[2]
        found |= {_words(code): code, _words(str(part.name)): code}
    return found
