"""Accounts and customers as they are compared: names, e-mails, domains, phones and addresses in one spelling.

Text in, text out; each distinct value is worked out once for each :class:`Normaliser`. What follows from two equal values is
decided in :mod:`rules`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import phonenumbers
from anyascii import anyascii
from publicsuffixlist import PublicSuffixList

from qbsf_pipeline.customers.matching.names import joined_legal_form, name_words, split_legal_form
from qbsf_pipeline.customers.matching.vocabulary import (
    ABBREVIATIONS,
    COUNTRY_CODES,
    CURRENCIES,
    DISTINGUISHING,
    GENERIC,
    NO_EVIDENCE_DOMAINS,
    STOP_WORDS,
    STREET_WORDS,
    UNIT_WORDS,
)

_SHORTEST_PHONE = 7
#: Old accounting programs cut names here; one less where a space stood at the cut.
_CUT_LENGTHS = frozenset((30, 31, 40, 41, 99, 100))
_NATIONAL_DIGITS = 10
#: "011", a country and a number: with fewer digits it is an area that begins so.
_LEAST_ABROAD = 13
_LEAST_INSIDE = 8

_NOISE = re.compile(
    r"\(\s*(?:c|v|cust|customer|client|vendor|inactive|do not use|dnu|deleted|old|new|dup|duplicate|\d)\s*\)|"
    r"\*+|\bdo not use\b|\(deleted\)",
    re.IGNORECASE,
)
#: QuickBooks wants unique names, so people put account numbers behind them. "#1234" is a store and stays.
_ACCOUNT_NUMBER = re.compile(r"\s+[-\u2013\u2014]\s*\d{2,}\s*$|\s*\(\d{3,}\)\s*$")
_CURRENCY = re.compile(r"(?:\s*[-\u2013\u2014/]\s*|\s+|\s*\()([A-Za-z]{3})\)?\s*$")
_TRADING_AS = re.compile(
    r"\b(?:d\s*[/.]?\s*b\s*[/.]?\s*a|t\s*/\s*a|f\s*/\s*k\s*/\s*a|fka|a\s*/\s*k\s*/\s*a|aka|"
    r"doing business as|trading as|formerly known as|formerly)\b[.:]?",
    re.IGNORECASE,
)
_CARE_OF = re.compile(r"\b(?:c/o|attn:?|attention:)\s.*$", re.IGNORECASE)
_IN_PARENTHESES = re.compile(r"\(([^()]*)\)")
_LETTERS_AROUND_AND = re.compile(r"\b[A-Za-z]{1,2}\s?&\s?[A-Za-z]\b|\b[A-Z]{1,2} and [A-Z]\b")
_SINGLE_LETTERS = re.compile(r"\b[A-Z](?: [A-Z])+\b")
_CO_OP = re.compile(r"\bco-op\b", re.IGNORECASE)
_EXTENSION = re.compile(r"(?:x|ext|extn|extension|durchwahl|poste)\.?\s*\d+\s*$", re.IGNORECASE)
_MAILS = re.compile(r"[,;\s<>]+")
_ZIP_PLUS_4 = re.compile(r"(\d{5})-?\d{4}")
_WORD = re.compile(r"\w+")
_LAST_LINE = re.compile(
    r"(?:^|[\n,])\s*([^\n,\d]+?),?\s+([A-Z]{2})\.?\s+(\d{5})(?:-\d{4})?\s*(?:,?\s*(?:USA?|United States))?\s*$"
)


@dataclass(frozen=True, slots=True)
class Name:
    """One name of a company.

    Attributes:
        words: words that are compared, in order: without stop words, legal forms, plurals; abbreviations written out.
        key: the words in alphabetical order, as one text; equal keys are one name.
        base: the key without distinguishing and generic words, at least one word; "Acme East" and "Acme West" share it.
        compact: the words without a space between them.
        full: everything in the name, legal form included, without a space; for names that were cut off.
        family: what kind of body the legal form stands for.
        length: characters of the text that it ends, as written; 0 where something stands behind it.
    """

    words: tuple[str, ...]
    key: str
    base: str
    compact: str
    full: str
    family: str | None
    length: int

    @property
    def may_be_cut(self) -> bool:
        """Whether the name is as long as the longest that old accounting programs took: what follows is not known."""
        return self.length in _CUT_LENGTHS


@dataclass(frozen=True, slots=True)
class Address:
    """A place. Empty text where it is not known. ``number`` is the house number or the post-office box."""

    street: str
    number: str
    postal_code: str
    city: str
    state: str

    @property
    def key(self) -> str:
        """Postal code and number: equal at one site; empty where one is not known."""
        return f"{self.postal_code}|{self.number}" if self.postal_code and self.number else ""


@dataclass(frozen=True, slots=True)
class Party:
    """An account or a customer as it is compared.

    Attributes:
        names: every name it goes by, the most telling first; empty for a name without letters.
        billing_emails: where invoices go, lower case.
        emails: these and all others that are known (contacts, sub-customers).
        domains: registrable domains of its own website and billing e-mails; only such that may belong to it alone.
        further_domains: those of the other e-mails; they agree and never contradict.
        people: names of its people, as keys.
        row: the record.
    """

    party_id: str
    names: tuple[Name, ...]
    billing_emails: frozenset[str]
    emails: frozenset[str]
    domains: frozenset[str]
    further_domains: frozenset[str]
    phones: frozenset[str]
    further_phones: frozenset[str]
    addresses: tuple[Address, ...]
    people: frozenset[str]
    currency: str | None
    row: Mapping[str, Any]

    @property
    def family(self) -> str | None:
        """The legal form of the first name that has one."""
        return next((name.family for name in self.names if name.family), None)


class Normaliser:
    """Makes parties of records. One for each matching: it keeps what it has seen.

    Args:
        own_domains: domains of the people who use the org; they never tell a customer.
    """

    def __init__(self, own_domains: Iterable[str] = ()) -> None:
        self._own_domains = frozenset(own_domains) | NO_EVIDENCE_DOMAINS
        self._names: dict[tuple[str, str], tuple[Name, ...]] = {}
        self._tokens: dict[str, str] = {}
        self._hosts: dict[str, str] = {}
        self._phones: dict[tuple[str, str], str] = {}
        self._addresses: dict[tuple[str | None, ...], Address | None] = {}

    def account(self, row: Mapping[str, Any], contacts: Iterable[tuple[str, str, str]]) -> Party:
        """An account and its live contacts: (e-mail, phone, name), empty text where missing."""
        people = list(contacts)
        country = row["billing_country"] or row["shipping_country"]
        billing = self.emails(row["billing_email"])
        further = frozenset(mail for email, _, _ in people for mail in self.emails(email))
        own = self._domains(billing, row["website"])
        return Party(
            party_id=row["id"],
            names=self.names(row["name"], row["currency"]),
            billing_emails=billing,
            emails=billing | further,
            domains=own,
            further_domains=self._domains(further, None) - own,
            phones=self.phones(row["phone"], country),
            further_phones=frozenset().union(*(self.phones(phone, country) for _, phone, _ in people)),
            addresses=self._places(row, ("billing", "shipping")),
            people=frozenset({_person(name) for _, _, name in people} - {""}),
            currency=row["currency"],
            row=row,
        )

    def customer(self, row: Mapping[str, Any], jobs: Iterable[Mapping[str, Any]] = ()) -> Party:
        """A customer, with what its sub-customers know beside it."""
        below = list(jobs)
        billing = self.emails(row["email"])
        further = frozenset(mail for job in below for mail in self.emails(job["email"]))
        own = self._domains(billing, row["website"])
        display_name = row["display_name"] or ""
        if row["active"] is False:
            # QuickBooks marks the name of what was made inactive.
            display_name = display_name.removesuffix("(deleted)")
        written = (*self.names(row["company_name"], row["currency"]), *self.names(display_name, row["currency"]))
        return Party(
            party_id=row["id"],
            names=tuple(dict.fromkeys(written)),
            billing_emails=billing,
            emails=billing | further,
            domains=own,
            further_domains=self._domains(further, None) - own,
            phones=self.phones(row["phone"], row["billing_country"]),
            further_phones=frozenset().union(*(self.phones(job["phone"], job["billing_country"]) for job in below)),
            addresses=self._places(row, ("billing",)),
            people=frozenset({_person(f"{row['given_name'] or ''} {row['family_name'] or ''}")} - {""}),
            currency=row["currency"],
            row=row,
        )

    # Names

    def names(self, text: str | None, currency: str | None = None) -> tuple[Name, ...]:
        """The names in a text: the whole, and each part of "A dba B". Empty for a text without letters."""
        asked = (text or "", currency or "")
        found = self._names.get(asked)
        if found is None:
            found = self._names[asked] = self._read_names(*asked)
        return found

    def _read_names(self, text: str, currency: str) -> tuple[Name, ...]:
        cleaned = _NOISE.sub(" ", text) if _NOISE.search(text) else text
        if "/" in cleaned or ":" in cleaned or "tt" in cleaned.lower():
            cleaned = _CARE_OF.sub("", cleaned) or cleaned
        cleaned = _ACCOUNT_NUMBER.sub("", cleaned) or cleaned
        behind = _CURRENCY.search(cleaned)
        if behind is not None and behind.start() and behind.group(1).lower() in CURRENCIES:
            # Only the record's own currency, or one set apart, is no part of the name.
            apart = behind.group(0).strip()[:1] in "(-/\u2013\u2014"
            if apart or behind.group(1).upper() == currency:
                cleaned = cleaned[: behind.start()]
        parts = [part.strip(" ,;-()") for part in _TRADING_AS.split(cleaned)]
        parts = [part for part in parts if part]
        texts = parts if len(parts) > 1 else [cleaned]
        # What stands at the end of the text as it was written may have been cut there.
        whole = text.strip()
        names = [name for one in texts if (name := self._name(one, len(whole) if whole.endswith(one) else 0)) is not None]
        return tuple(dict.fromkeys(names))

    def _name(self, text: str, length: int) -> Name | None:
        written = _LETTERS_AROUND_AND.sub(lambda found: re.sub(r"\W|and", "", found.group(0)), _without_own_initials(text))
        written = _CO_OP.sub("coop", _SINGLE_LETTERS.sub(lambda found: found.group(0).replace(" ", ""), written))
        words, family = split_legal_form(name_words(written))
        family = family or joined_legal_form(written)
        latin = [self._token(word) for word in words]
        told = [word for word in latin if word and word not in STOP_WORDS] or [word for word in latin if word]
        if not told:
            return None
        if length in _CUT_LENGTHS and latin[-1] in STOP_WORDS and len(told) > 1:
            # "Acme Janitorial Services of" or "... Le": a word was cut, and it may have been "Leasing".
            told.append(latin[-1])
        rest = [word for word in told if word not in DISTINGUISHING and word not in GENERIC and not has_digit(word)] or told
        return Name(
            words=tuple(told),
            key=" ".join(sorted(told)),
            base=" ".join(sorted(rest)),
            compact="".join(told),
            full="".join(_latin(word) for word in name_words(text)),
            family=family,
            length=length,
        )

    def _token(self, word: str) -> str:
        found = self._tokens.get(word)
        if found is None:
            found = self._tokens[word] = _canonical(word)
        return found

    # E-mails and domains

    def emails(self, text: str | None) -> frozenset[str]:
        """The e-mail addresses in a text, lower case."""
        if not text:
            return frozenset()
        return frozenset(part for part in _MAILS.split(text.strip().casefold()) if "@" in part.strip("@"))

    def _domains(self, emails: frozenset[str], website: str | None) -> frozenset[str]:
        hosts = {email.rpartition("@")[2] for email in emails}
        site = (website or "").strip()
        if site:
            hosts.add(_host(site))
        return frozenset({self._domain(host) for host in hosts} - {""})

    def _domain(self, host: str) -> str:
        found = self._hosts.get(host)
        if found is None:
            found = self._hosts[host] = self._read_domain(host)
        return found

    def _read_domain(self, host: str) -> str:
        registrable = registrable_domain(host)
        if not registrable or registrable in self._own_domains or host in self._own_domains:
            return ""
        return registrable

    # Phones

    def phone(self, text: str | None, country: str | None) -> str:
        """A number as ``+`` and digits; empty when it is none, or the same digit again and again."""
        asked = (text or "", country or "")
        found = self._phones.get(asked)
        if found is None:
            found = self._phones[asked] = _phone(*asked)
        return found

    def phones(self, text: str | None, country: str | None) -> frozenset[str]:
        """A number as :meth:`phone` gives it and, outside North America, as it is dialled inside its country.

        Only one side may know the country: "+44 131 483464" and "0131 483464" are one number.
        """
        number = self.phone(text, country)
        if not number:
            return frozenset()
        inside = _dialled_inside(number)
        return frozenset((number, inside)) if inside else frozenset((number,))

    # Addresses

    def _places(self, row: Mapping[str, Any], kinds: Iterable[str]) -> tuple[Address, ...]:
        places = []
        for kind in kinds:
            fields = tuple(row[f"{kind}_{part}"] for part in ("street", "city", "state", "postal_code", "country"))
            if fields not in self._addresses:
                self._addresses[fields] = _address(*fields)
            place = self._addresses[fields]
            if place is not None and place not in places:
                places.append(place)
        return tuple(places)


def has_digit(word: str) -> bool:
    """Whether a word has a digit in it."""
    return not word.isalpha() and any(character.isdigit() for character in word)


def registrable_domain(host: str) -> str:
    """The part of a host name that one owner registered, by the public suffix list; empty where there is none."""
    bare = host.strip(".").casefold()
    if not bare.isascii():
        try:
            bare = bare.encode("idna").decode("ascii")
        except UnicodeError:
            return ""
    if "." not in bare:
        return ""
    return _suffixes().privatesuffix(bare) or ""


@cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()


def _host(site: str) -> str:
    try:
        return urlsplit(site if "//" in site else f"//{site}").hostname or ""
    except ValueError:
        return ""


def _latin(word: str) -> str:
    return word if word.isascii() else re.sub(r"[^a-z0-9]", "", anyascii(word).lower())


def _canonical(word: str) -> str:
    token = _latin(word)
    if len(token) >= 4 and token.endswith("s") and not token.endswith("ss"):
        # "Services" and "Service" are one word; "Texas" and "Logistics" are words of their own.
        singular = token[:-3] + "y" if token.endswith("ies") and len(token) > 4 else token[:-1]
        token = token if token in DISTINGUISHING else singular
    token = ABBREVIATIONS.get(token, token)
    if len(token) >= 5:
        # Mueller is Müller, Centre is Center.
        token = token.replace("ae", "a").replace("oe", "o").replace("ue", "u")
    return token


def _without_own_initials(text: str) -> str:
    """The text without parentheses that only repeat its initials: "International Business Machines (IBM)"."""
    if "(" not in text:
        return text

    def kept(found: re.Match[str]) -> str:
        inside = "".join(name_words(found.group(1)))
        around = name_words(text[: found.start()])
        initials = {"".join(word[0] for word in words) for words in (around, [w for w in around if w not in STOP_WORDS])}
        return " " if len(inside) >= 2 and inside in initials else found.group(0)

    return _IN_PARENTHESES.sub(kept, text)


def _person(name: str | None) -> str:
    words = sorted(name_words(name))
    return " ".join(words) if len(words) >= 2 else ""


def _phone(text: str, country: str) -> str:
    number = _EXTENSION.sub("", text.strip())
    digits = "".join(str(unicodedata.digit(character)) for character in number if character.isdigit())
    if len(digits) < _SHORTEST_PHONE or len(set(digits[-_SHORTEST_PHONE:])) == 1 or digits in ("1234567890", "0123456789"):
        return ""
    region = COUNTRY_CODES.get(country.strip().casefold(), "")
    international = number.lstrip("( ").startswith("+") or digits.startswith("00")
    international = international or (digits.startswith("011") and len(digits) >= _LEAST_ABROAD)
    with_one = len(digits) == _NATIONAL_DIGITS + 1 and digits[0] == "1"
    if with_one or (not international and region in ("", "US", "CA")):
        digits = digits[1:] if with_one else digits
        if len(digits) == _NATIONAL_DIGITS and digits[0] not in "01":
            return f"+1{digits}"
    try:
        parsed = phonenumbers.parse(
            f"+{digits.removeprefix('011').removeprefix('00')}" if international else digits, region or None
        )
    except phonenumbers.NumberParseException:
        return digits
    return f"+{parsed.country_code}{parsed.national_number}"


@cache
def _country_codes() -> frozenset[str]:
    return frozenset(str(code) for code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE)


def _dialled_inside(number: str) -> str:
    """The number without its country and without the zero in front; empty in North America, and where too little is left."""
    if number.startswith("+1"):
        return ""
    inside = number
    if number.startswith("+"):
        code = next((number[1:end] for end in (2, 3, 4) if number[1:end] in _country_codes()), "")
        inside = number[1 + len(code) :]
    inside = inside.lstrip("0")
    return inside if len(inside) >= _LEAST_INSIDE else ""


def _address(
    street: str | None, city: str | None, state: str | None, postal_code: str | None, country: str | None
) -> Address | None:
    lines = (street or "").replace("\r", "\n")
    if lines and not postal_code and (found := _LAST_LINE.search(lines)) is not None:
        # The whole address was typed into the street.
        lines = lines[: found.start()]
        city, state, postal_code = city or found.group(1), state or found.group(2), found.group(3)
    parts = [part for part in lines.split("\n") if part.strip()]
    while len(parts) > 1 and not has_digit(parts[0]) and any(has_digit(part) for part in parts[1:]):
        # A person's or a company's name above the street.
        parts = parts[1:]
    words, number = _street(" ".join(parts))
    place = Address(
        street=words,
        number=number,
        postal_code=_postal_code(postal_code, country),
        city=" ".join(_canonical(word) for word in name_words(city)),
        state=" ".join(_latin(word) for word in name_words(state)),
    )
    return place if any((place.street, place.number, place.postal_code, place.city)) else None


def _street(text: str) -> tuple[str, str]:
    folded = unicodedata.normalize("NFKC", text).casefold().replace(".", " ").replace("#", " unit ")
    folded = folded.replace("straße", "strasse") if not folded.isascii() else folded
    folded = re.sub(r"\bp\s*o\s*box\b|\bpost office box\b|\bpostfach\b", "pobox", folded)
    kept: list[str] = []
    number = ""
    skip = False
    for word in _WORD.findall(folded):
        plain = _latin(word)
        plain = STREET_WORDS.get(plain, plain)
        if plain.endswith("strasse") and len(plain) > 7:
            plain = plain.removesuffix("strasse") + "str"
        if skip:
            skip = False
            continue
        if plain in UNIT_WORDS and kept:
            # The number of a room is not the number of the house.
            skip = True
        elif (
            not number
            and plain[:1].isdigit()
            and (not kept or kept[-1] == "pobox" or not plain.endswith(("st", "nd", "rd", "th")))
        ):
            number = f"pobox{plain}" if kept and kept[-1] == "pobox" else plain
        elif plain:
            kept.append(plain)
    return " ".join(kept), number


def _postal_code(text: str | None, country: str | None) -> str:
    folded = "".join((text or "").split()).casefold()
    # ZIP+4 names a part of the same five digits; spreadsheets drop the zero in front.
    found = _ZIP_PLUS_4.fullmatch(folded)
    if found is not None:
        return found.group(1)
    if len(folded) == 4 and folded.isdigit() and COUNTRY_CODES.get((country or "").strip().casefold(), "US") == "US":
        return folded.zfill(5)
    return folded.replace("-", "")
