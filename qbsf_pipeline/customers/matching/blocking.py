"""Which accounts and customers are compared at all: those that share a key, where few enough share it.

Never all against all: a key that many have on both sides (the name of a franchise, the city's first postal code) is left out,
and what such records really have in common is found by another key.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from qbsf_pipeline.customers.matching.normalising import Party, has_digit
from qbsf_pipeline.customers.matching.vocabulary import DISTINGUISHING, GENERIC

#: Kind of key -> the most pairs that one value of it may bring. Chosen on generated data (see the benchmark).
CAPS: Mapping[str, int] = {
    "email": 400,
    "domain": 900,
    "phone": 400,
    "address": 400,
    "name": 400,
    "base": 100,
    "beginning": 100,
    "name and postal code": 100,
    "name and city": 100,
    "rare word": 36,
}
_BEGINNING = 18
_FEW_LETTERS = 4
_RARE = 6
_SHORTEST_RARE_WORD = 4

_KEYS = pl.Schema({"party": pl.UInt32, "kind": pl.String, "value": pl.String, "named": pl.String, "finds": pl.Boolean})


@dataclass(frozen=True)
class Candidates:
    """What blocking found.

    Attributes:
        pairs: positions of (account, customer), each once, in order.
        bearers: (kind, value) -> the most names on one side that have this e-mail, phone, domain or address; where not one.
        holders: (kind, value) of these that more than one record of a side has.
        namesakes: name key -> (accounts, customers) that bear it.
    """

    pairs: Sequence[tuple[int, int]]
    bearers: Mapping[tuple[str, str], int]
    holders: frozenset[tuple[str, str]]
    namesakes: Mapping[str, tuple[int, int]]


def find_candidates(accounts: Sequence[Party], customers: Sequence[Party], word_bearers: Mapping[str, int]) -> Candidates:
    """Pairs that share a key.

    Args:
        accounts: all accounts.
        customers: all customers that may be candidates.
        word_bearers: how many names have a word.
    """
    left, right = _keys(accounts, word_bearers), _keys(customers, word_bearers)
    shared = ("email", "phone", "domain", "address")
    sides = [
        side.filter(pl.col("kind").is_in(shared) & (pl.col("named") != ""))
        .group_by("kind", "value")
        .agg(pl.col("named").n_unique(), pl.col("party").n_unique())
        for side in (left, right)
    ]
    bearers = pl.concat(sides).group_by("kind", "value").agg(pl.col("named").max(), pl.col("party").max())
    left, right = left.filter(pl.col("finds")), right.filter(pl.col("finds"))
    counts = (
        left.group_by("kind", "value")
        .agg(pl.len().alias("ours"))
        .join(right.group_by("kind", "value").agg(pl.len().alias("theirs")), on=("kind", "value"))
    )
    named = counts.filter(pl.col("kind") == "name")
    caps = pl.DataFrame({"kind": list(CAPS), "cap": list(CAPS.values())}, schema={"kind": pl.String, "cap": pl.UInt32})
    usable = counts.join(caps, on="kind").filter(pl.col("ours") * pl.col("theirs") <= pl.col("cap")).select("kind", "value")
    pairs = (
        left.join(usable, on=("kind", "value"), how="semi")
        .join(right, on=("kind", "value"))
        .select("party", "party_right")
        .unique()
        .sort("party", "party_right")
    )
    return Candidates(
        pairs=list(pairs.iter_rows()),
        bearers={(kind, value): number for kind, value, number, _ in bearers.filter(pl.col("named") > 1).iter_rows()},
        holders=frozenset(bearers.filter(pl.col("party") > 1).select("kind", "value").iter_rows()),
        namesakes={value: (ours, theirs) for value, ours, theirs in named.select("value", "ours", "theirs").iter_rows()},
    )


def _keys(parties: Sequence[Party], word_bearers: Mapping[str, int]) -> pl.DataFrame:
    party: list[int] = []
    kind: list[str] = []
    value: list[str] = []
    named: list[str] = []
    finds: list[bool] = []
    for position, one in enumerate(parties):
        who = one.names[0].base if one.names else ""
        keys = dict.fromkeys(_keys_of(one, word_bearers), True)
        for found_kind, found in dict.fromkeys(_mentions(one)):
            keys.setdefault((found_kind, found), False)
        for (found_kind, found), finding in keys.items():
            party.append(position)
            kind.append(found_kind)
            value.append(found)
            named.append(who)
            finds.append(finding)
    return pl.DataFrame({"party": party, "kind": kind, "value": value, "named": named, "finds": finds}, schema=_KEYS)


def _mentions(party: Party) -> Iterator[tuple[str, str]]:
    """What its people and sub-customers have: it finds no candidate, but says who else has a value."""
    for email in party.emails:
        yield "email", email
    for domain in party.further_domains:
        yield "domain", domain
    for phone in party.further_phones:
        yield "phone", phone


def _keys_of(party: Party, word_bearers: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    # Only where invoices go: contacts' e-mails confirm a candidate, they bring none.
    for email in party.billing_emails:
        yield "email", email
    for domain in party.domains:
        yield "domain", domain
    for phone in party.phones:
        yield "phone", phone
    for place in party.addresses:
        if place.key:
            yield "address", place.key
    for name in party.names:
        yield "name", name.key
        yield "name", "=" + name.compact
        yield "base", name.base
        if len(name.full) >= _BEGINNING:
            yield "beginning", name.full[:_BEGINNING]
        few = name.compact[:_FEW_LETTERS]
        for place in party.addresses:
            if place.postal_code:
                yield "name and postal code", f"{place.postal_code}|{few}"
            if place.city:
                yield "name and city", f"{place.city}|{name.compact[:_RARE]}"
        for word in _rare(name.words, word_bearers):
            yield "rare word", word


def _rare(words: Iterable[str], word_bearers: Mapping[str, int]) -> Iterator[str]:
    for word in words:
        rare = len(word) >= _SHORTEST_RARE_WORD and word_bearers.get(word, 0) <= _RARE
        if rare and word not in DISTINGUISHING and word not in GENERIC and not has_digit(word):
            yield word
