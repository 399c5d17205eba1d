"""Real organisations, from public data that packages ship; read where they are installed, never copied.

* netaddr 1.3.0 (BSD licence): IEEE's register of organisations that hold MAC address blocks, as of May 2024.
* macvendorscli 1.1.1 (GPL version 2; only its data file is opened, no code of it runs): the same register, as of May 2026.

IEEE publishes the register for everybody. It has some 19,000 organisations of all countries, as they wrote themselves down over
forty years: in several spellings, with and without legal forms, in capitals, moved, renamed, merged, at one address with their
sisters. A block is one organisation's, whatever it is called: that labels pairs without looking at names or addresses.
"""

from __future__ import annotations

import csv
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import files
from pathlib import Path

from anyascii import anyascii
from rapidfuzz.distance import Levenshtein

from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.salesforce import objects as salesforce
from qbsf_pipeline_tests.invoices.records import frame
from qbsf_pipeline_tests.matching.generator import Labelled
from qbsf_pipeline_tests.matching.second_generator import Body

_BLOCK = re.compile(r"^([0-9A-F]{6})\s+\(base 16\)\s+(\S.*)$")
_COUNTRY = re.compile(r"(?<!\S)[A-Z]{2}(?!\S)")
#: Longer is no postal code.
_LONGEST_POSTCODE = 12
_NAMELESS = {"Private", ""}
#: Only for the labels: words behind a name that make no other organisation of it within one country.
_FORMS = {
    *("inc", "incorporated", "llc", "ltd", "limited", "coltd", "corp", "corporation", "co", "company", "plc", "pty", "kk"),
    *("gmbh", "ag", "sa", "sas", "sarl", "srl", "spa", "bv", "nv", "oy", "ab", "as"),
}


@dataclass(frozen=True)
class Registration:
    """One organisation as one edition of the register has it.

    Attributes:
        name: as written; one registration for each spelling.
        blocks: the address blocks that it holds under this spelling.
        street, town, region, postcode, country: of one of its blocks; country is an ISO code.
    """

    name: str
    blocks: tuple[str, ...]
    street: str
    town: str
    region: str
    postcode: str
    country: str


@cache
def registered_in_2024() -> tuple[Registration, ...]:
    """The older edition, with the address of each organisation's last block."""
    blocks: dict[str, list[tuple[str, list[str]]]] = defaultdict(list)
    for block, name, lines in _blocks(_file("netaddr", "eui/oui.txt").read_text(encoding="utf-8", errors="replace").splitlines()):
        blocks[name].append((block, lines))
    return tuple(
        Registration(name, tuple(block for block, _ in held), *_in_lines(max(held)[1]))
        for name, held in blocks.items()
        if name not in _NAMELESS
    )


@cache
def registered_in_2026() -> tuple[Registration, ...]:
    """The newer edition, with the address of each organisation's first block.

    An address is one line there. Towns and regions are told from the street where the older edition knows them.
    """
    towns: dict[str, set[str]] = defaultdict(set)
    regions: dict[str, set[str]] = defaultdict(set)
    for one in registered_in_2024():
        towns[one.country].add(one.town.casefold())
        regions[one.country].add(one.region.casefold())
    blocks: dict[str, list[tuple[str, str]]] = defaultdict(list)
    with _file("macvendorscli", "oui.csv").open(encoding="utf-8", newline="") as source:
        for row in csv.DictReader(source):
            blocks[row["Organization Name"].strip()].append((row["Assignment"], " ".join(row["Organization Address"].split())))
    registrations: list[Registration] = []
    for name, held in blocks.items():
        if name not in _NAMELESS:
            rest, country, postcode = _from_one_line(min(held)[1], set(towns))
            rest, region = _without_end(rest, regions[country])
            street, town = _without_end(rest, towns[country])
            registrations.append(Registration(name, tuple(block for block, _ in held), street, town, region, postcode, country))
    return tuple(registrations)


def two_editions(families_only: bool = True) -> Labelled:
    """The newer edition as accounts, the older one as customers.

    Two registrations are one organisation where one block is held by both, or where they stand in one country and their names
    differ in capitals, punctuation or legal form at most. Nothing else makes them one: a subsidiary is another organisation, and
    so is a spelling with a typo, unless a block connects them.

    Args:
        families_only: leave out whoever shares the first word of its name with nobody, so that what is left is hard.
    """
    accounts, customers = registered_in_2026(), registered_in_2024()
    if families_only:
        # Counted over organisations, not spellings.
        firsts = Counter(first for first, _ in {(_first_word(one.name), _core(one.name)) for one in (*accounts, *customers)})
        accounts, customers = (tuple(one for one in side if firsts[_first_word(one.name)] > 1) for side in (accounts, customers))
    one_of = _organisations((*accounts, *customers))
    account_ids = [f"001{number:012d}REA" for number, _ in enumerate(accounts, 1)]
    return Labelled(
        accounts=frame(
            salesforce.ACCOUNT,
            [
                {"id": account_id, "name": one.name, **_address(one)}
                for account_id, one in zip(account_ids, accounts, strict=True)
            ],
        ),
        customers=frame(
            quickbooks.CUSTOMER,
            [
                {
                    "id": str(number),
                    "sync_token": "0",
                    "display_name": one.name,
                    "active": True,
                    "currency": "USD",
                    **_address(one),
                }
                for number, one in enumerate(customers, 1)
            ],
        ),
        contacts=frame(salesforce.CONTACT, []),
        company_of_account=dict(zip(account_ids, one_of, strict=False)),
        company_of_customer={str(number): one for number, one in enumerate(one_of[len(accounts) :], 1)},
    )


def real_bodies(seed: int, number: int) -> list[Body]:
    """Real names and addresses for :func:`second_generator.written_down`, families whole.

    Of organisations with one postal code whose names differ by three letters at most there is one: they are spellings of one
    that no block connects. What the register does not tell is made up so that it is hard: all organisations in a country that
    share the first word of their names have one domain and one mailbox, and all at one address one phone.

    Args:
        seed: which families are drawn.
        number: how many organisations, about.
    """
    known = [one for one in registered_in_2024() if one.country and one.town]
    one_of = _organisations(known)
    families: dict[str, list[tuple[int, Registration]]] = defaultdict(list)
    seen: set[int] = set()
    for organisation, one in zip(one_of, known, strict=True):
        family = families[_first_word(one.name)]
        if organisation not in seen and not any(_seems_the_same(one, other) for _, other in family):
            family.append((organisation, one))
        seen.add(organisation)
    chance = random.Random(f"real {seed}")
    bodies: list[Body] = []
    # Alone and among sisters, half and half.
    alone = sorted(word for word, members in families.items() if len(members) == 1)
    together = sorted(word for word, members in families.items() if len(members) > 1)
    chance.shuffle(alone)
    chance.shuffle(together)
    while len(bodies) < number and alone and together:
        for word in (alone.pop(), together.pop()) if len(bodies) % 3 == 0 else (alone.pop(),):
            sisters = families[word]
            bodies += (_body(organisation, one, len(sisters) > 1) for organisation, one in sisters)
    return bodies


def _seems_the_same(one: Registration, other: Registration) -> bool:
    names = (re.sub(r"\W", "", name.casefold()) for name in (one.name, other.name))
    return (one.postcode, one.country) == (other.postcode, other.country) and Levenshtein.distance(*names, score_cutoff=3) <= 3


def _body(organisation: int, one: Registration, has_sisters: bool) -> Body:
    words = one.name.split()
    forms = 0
    while forms < len(words) - 1 and _letters(words[-1 - forms]) in _FORMS:
        forms += 1
    stem = " ".join(words[: len(words) - forms]).rstrip(",")
    dialled = random.Random(f"{one.street} {one.postcode} {one.country}".casefold())
    house = "".join(letter for letter in anyascii(_first_word(one.name)).lower() if letter.isalnum()) or "organisation"
    return Body(
        number=organisation,
        stem=stem,
        form=" ".join(words[len(words) - forms :]),
        country=one.country,
        street=one.street,
        town=one.town,
        region=one.region,
        postcode=one.postcode,
        phone=f"{dialled.randint(201, 989)}{dialled.randint(2_000_000, 9_999_999)}" if one.country in ("US", "CA") else "",
        domain=f"{house}-{one.country.lower()}.com",
        person="",
        mark=stem if has_sisters else "",
        hard=has_sisters,
    )


def _organisations(registrations: Iterable[Registration]) -> list[int]:
    """A number for each registration: one number is one organisation."""
    above: dict[tuple[str, ...], tuple[str, ...]] = {}

    def top(one: tuple[str, ...]) -> tuple[str, ...]:
        while above.setdefault(one, one) != one:
            one = above[one]
        return one

    listed = list(registrations)
    names = [("name", _core(one.name), one.country) for one in listed]
    for name, one in zip(names, listed, strict=True):
        for block in one.blocks:
            above[top(("block", block))] = top(name)
    numbers: dict[tuple[str, ...], int] = {}
    return [numbers.setdefault(top(name), len(numbers) + 1) for name in names]


def _address(one: Registration) -> dict[str, str | None]:
    return {
        "billing_street": one.street or None,
        "billing_city": one.town or None,
        "billing_state": one.region or None,
        "billing_postal_code": one.postcode or None,
        "billing_country": one.country or None,
    }


def _blocks(lines: Iterable[str]) -> Iterator[tuple[str, str, list[str]]]:
    """Block, name, lines of the address."""
    found: tuple[str, str, list[str]] | None = None
    for line in lines:
        start = _BLOCK.match(line.rstrip())
        if start:
            if found:
                yield found
            found = (start.group(1), start.group(2).strip(), [])
        elif found and line.strip() and "(hex)" not in line:
            found[2].append(line.strip())
    if found:
        yield found


def _in_lines(lines: list[str]) -> tuple[str, str, str, str, str]:
    """Street, town, region, postal code, country. The last line but one has town, region and postal code, two spaces between."""
    country = lines[-1] if lines and re.fullmatch("[A-Z]{2}", lines[-1]) else ""
    rest = lines[:-1] if country else lines
    parts = re.split(r"\s{2,}", rest[-1]) if rest else [""]
    postcode = parts[-1] if len(parts) > 1 else ""
    return "\n".join(rest[:-1]), parts[0], parts[1] if len(parts) > 2 else "", postcode, country


def _from_one_line(text: str, countries: set[str]) -> tuple[str, str, str]:
    """Street to region, country, postal code: the last country with something like a postal code behind it, or else the last."""
    found = [one for one in _COUNTRY.finditer(text) if one.group() in countries]
    if not found:
        return text, "", ""
    behind = [
        one for one in found if len(tail := text[one.end() :]) <= _LONGEST_POSTCODE and any(sign.isdigit() for sign in tail)
    ]
    at = (behind or found)[-1]
    return text[: at.start()].strip(), at.group(), text[at.end() :].strip()


def _without_end(text: str, ends: set[str]) -> tuple[str, str]:
    """The text without its longest end that is known, and that end."""
    words = text.split(" ")
    for start in range(max(len(words) - 5, 0), len(words)):
        end = " ".join(words[start:])
        if end.casefold() in ends:
            return " ".join(words[:start]), end
    return text, ""


def _core(name: str) -> str:
    words = [word for word in re.split(r"[\W_]+", name.casefold()) if word]
    while len(words) > 1 and words[-1] in _FORMS:
        words.pop()
    return "".join(words)


def _letters(word: str) -> str:
    return re.sub(r"\W", "", word).casefold()


def _first_word(name: str) -> str:
    words = [word for word in re.split(r"[\W_]+", name.casefold()) if word and word != "the"]
    return words[0] if words else name


def _file(package: str, end: str) -> Path:
    """A data file of an installed package."""
    found = next((one for one in files(package) or () if one.as_posix().endswith(end)), None)
    if found is None:
        raise FileNotFoundError(f"{package} is not installed as requirements-test.txt says, or has no {end} any more")
    return Path(str(found.locate()))
