"""Records of one system that are the same company: compared as accounts are with customers, each side with itself."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from qbsf_pipeline.cleansing.findings import KINDS, Finding, Severity, System
from qbsf_pipeline.cleansing.records import Records, balance_of
from qbsf_pipeline.cleansing.wording import listed, shown, some
from qbsf_pipeline.customers.matching.blocking import find_candidates
from qbsf_pipeline.customers.matching.comparing import Comparison, Likeness, NameComparer, Vocabulary, compare
from qbsf_pipeline.customers.matching.names import normalised_name
from qbsf_pipeline.customers.matching.normalising import Normaliser, Party
from qbsf_pipeline.customers.matching.rules import judge

#: More records of one name than this are a chain's branches, and the name tells little.
_COMMON_NAME = 6
#: From here on two records are worth a person's look, where no rule says that they are one.
_WORTH_A_LOOK = Decimal("0.60")
#: What is told of two records that are not sure to be one, however much agrees.
_HIGHEST_UNSURE = Decimal("0.90")


@dataclass(frozen=True)
class _Pair:
    """Two records that may be one. ``by_rule``: a rule of matching would link them. ``sure``: and nothing else explains it."""

    ours: str
    theirs: str
    score: Decimal
    by_rule: bool
    sure: bool
    agreeing: frozenset[str]
    apart: frozenset[str]


@dataclass(frozen=True)
class _Group:
    """Records that are one: all members, and the pair that is the least sure of those that hold them together."""

    members: tuple[str, ...]
    weakest: _Pair
    sure: bool


def duplicates(records: Records, own_domains: Iterable[str]) -> Iterator[Finding]:
    """Groups of accounts, and groups of customers, that are one company.

    A group that is sure holds together by pairs that the rules of matching would link, at one place or by evidence that fits
    no branch. What is only alike (branches of a chain look so too) is a milder finding and says so. Parent and child, and two
    customers of one company in two currencies, are no duplicates.
    """
    matching = records.rules.customers.matching
    no_evidence = (*matching.free_mail_domains, *matching.own_domains, *matching.bill_pay_domains)
    normaliser = Normaliser({*own_domains, *(domain.strip().lstrip("@").casefold() for domain in no_evidence)})
    accounts = {
        key: normaliser.account(
            row, [(one["email"] or "", one["phone"] or "", one["name"] or "") for one in records.contacts_of.get(key, ())]
        )
        for key, row in records.accounts.items()
    }
    # An inactive record is out of the way, and a sub-customer has its parent's name by design.
    customers = {
        key: normaliser.customer(row)
        for key, row in records.customers.items()
        if row["active"] is not False and not row["parent_id"]
    }
    parents = {key: row["parent_id"] for key, row in records.accounts.items() if row["parent_id"]}
    for group in _groups(list(accounts.values()), parents, matching.shared_domain_names):
        deals = {key: records.deals_on(key) for key in group.members}
        ordered = sorted(group.members, key=lambda key: (-deals[key], key))
        yield _finding("duplicate_accounts", "salesforce", "Account", group, ordered, accounts, "name", sum(deals.values()))
    for group in _groups(list(customers.values()), {}, matching.shared_domain_names):
        rows = [records.customers[key] for key in group.members]
        deals = {key: records.deals_on_customer(key) for key in group.members}
        ordered = sorted(group.members, key=lambda key: (-deals[key], -abs(balance_of(records.customers[key])), len(key), key))
        used = sum(records.customer_in_use(row) for row in rows)
        yield _finding(
            "duplicate_customers", "quickbooks", "Customer", group, ordered, customers, "display_name",
            sum(deals.values()), in_use=used > 0,
        )  # fmt: skip


def shared_names(records: Records) -> Iterator[Finding]:
    """Accounts and customers that are named like a vendor or an employee."""
    kind = KINDS["name_shared"]
    taken: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for what, rows in (("vendor", records.vendors), ("employee", records.employees)):
        for row in rows.values():
            name = normalised_name(row["display_name"])
            if name and row["active"] is not False:
                taken[name].append((what, row["display_name"]))
    for key, account in records.accounts.items():
        others = taken.get(normalised_name(account["name"]), ()) if key not in records.customer_of else ()
        if others:
            deals = records.deals_on(key)
            yield Finding(
                kind,
                "warning" if deals else "hint",
                "salesforce",
                "Account",
                key,
                account["name"] or "",
                f"{shown(account['name'])} has the name of the QuickBooks {_told(others)}.",
                deals=deals,
            )
    for key, customer in records.customers.items():
        others = taken.get(normalised_name(customer["display_name"]), ()) if customer["active"] is not False else ()
        if others:
            yield Finding(
                kind,
                "hint",
                "quickbooks",
                "Customer",
                key,
                customer["display_name"] or "",
                f"The customer {shown(customer['display_name'])} has the name of the {_told(others)}.",
                "Make sure that bills and invoices stand on the right one; give one of them a name that tells them apart.",
                records.deals_on_customer(key),
            )


def _told(others: Sequence[tuple[str, str]]) -> str:
    return listed([f"{what} {shown(name)}" for what, name in others], "and")


def _finding(
    code: str,
    system: System,
    record_object: str,
    group: _Group,
    ordered: Sequence[str],
    parties: Mapping[str, Party],
    name_column: str,
    deals: int,
    *,
    in_use: bool = False,
) -> Finding:
    names = [parties[key].row[name_column] or key for key in ordered]
    noun = "accounts" if system == "salesforce" else "customers"
    fields = [word for field, word in _TOLD.items() if field in group.weakest.agreeing] or ["most of the name"]
    agreeing = f"{listed(fields, 'and')} {'agrees' if len(fields) == 1 else 'agree'}"
    if group.sure:
        sureness = f"are almost certainly one company ({agreeing}; score {group.weakest.score:.2f})"
    else:
        words = sorted(group.weakest.apart)
        verb = "sets" if len(words) == 1 else "set"
        apart = f"; {some([shown(word) for word in words])} {verb} them apart" if words else ""
        score = min(group.weakest.score, _HIGHEST_UNSURE)
        sureness = f"may be one company entered twice, or its branches ({agreeing}{apart}; score {score:.2f})"
    used = deals > 0 or in_use
    severity: Severity = "hint"
    if group.sure:
        severity = "error" if used else "warning"
    elif used and group.weakest.by_rule:
        severity = "warning"
    repair = KINDS[code].repair
    if not group.sure:
        repair = f"If they are one: {repair[0].lower()}{repair[1:]} If not, nothing is to be done."
    return Finding(
        KINDS[code],
        severity,
        system,
        record_object,
        ordered[0],
        names[0],
        f"The {noun} {listed([f'{shown(name)} ({key})' for name, key in zip(names, ordered, strict=True)][:8], 'and')}"
        f"{f' and {len(names) - 8} more' if len(names) > 8 else ''} {sureness}.",
        repair,
        deals,
        tuple(ordered),
    )


#: Fields as they are told, in this order.
_TOLD: Mapping[str, str] = {
    "name": "name",
    "email": "e-mail",
    "domain": "web domain",
    "phone": "phone",
    "address": "address",
    "postal code": "postal code",
    "city": "city",
    "contact": "contact",
}


def _groups(parties: Sequence[Party], parents: Mapping[str, str], shared_domain: int) -> list[_Group]:
    pairs = sorted(_pairs(parties, parents, shared_domain), key=lambda pair: (not pair.sure, -pair.score, pair.ours, pair.theirs))
    sure = _joined([pair for pair in pairs if pair.sure])
    groups = [_Group(members, weakest, sure=True) for members, weakest in sure]
    head = {member: members[0] for members, _ in sure for member in members}
    alike = [pair for pair in pairs if not pair.sure and head.get(pair.ours, pair.ours) != head.get(pair.theirs, pair.theirs)]
    return groups + [_Group(members, weakest, sure=False) for members, weakest in _joined(alike)]


def _joined(pairs: Sequence[_Pair]) -> list[tuple[tuple[str, ...], _Pair]]:
    """Connected records, each component with its members in order and its weakest pair."""
    leader: dict[str, str] = {}

    def find(member: str) -> str:
        while leader.setdefault(member, member) != member:
            leader[member] = leader[leader[member]]
            member = leader[member]
        return member

    for pair in pairs:
        first, second = sorted((find(pair.ours), find(pair.theirs)))
        leader[second] = first
    weakest: dict[str, _Pair] = {}
    for pair in pairs:
        head = find(pair.ours)
        if head not in weakest or pair.score < weakest[head].score:
            weakest[head] = pair
    members: dict[str, list[str]] = defaultdict(list)
    for member in leader:
        members[find(member)].append(member)
    return [(tuple(sorted(members[head])), weakest[head]) for head in sorted(members)]


def _pairs(parties: Sequence[Party], parents: Mapping[str, str], shared_domain: int) -> Iterator[_Pair]:
    words = {name.key: name.words for party in parties for name in party.names}
    bearers = Counter(word for found in words.values() for word in set(found))
    cities = {place.city for party in parties for place in party.addresses if place.city}
    names = NameComparer(Vocabulary(bearers, frozenset(word for city in cities for word in city.split() if len(word) > 2)))
    found = find_candidates(parties, parties, bearers)
    for first, second in found.pairs:
        if first >= second:
            continue
        ours, theirs = parties[first], parties[second]
        if parents.get(ours.party_id) == theirs.party_id or parents.get(theirs.party_id) == ours.party_id:
            continue
        comparison = compare(ours, theirs, names)
        if "currency" in comparison.differing:
            continue
        common = any(found.namesakes.get(name.key, (0, 0))[0] > _COMMON_NAME for party in (ours, theirs) for name in party.names)
        verdict = judge(comparison, found.bearers, found.holders, common_name=common, shared_domain=shared_domain)
        apart = comparison.name.apart or (_set_apart(ours, theirs, names) if verdict.rule is not None else frozenset())
        # What may fit a branch as well makes it sure at one and the same place only.
        sure = verdict.rule is not None and not apart and (not verdict.rivals_matter or "address" in comparison.agreeing)
        if sure or verdict.rule is not None or (verdict.score >= _WORTH_A_LOOK and not common and _is_alike(comparison)):
            by_rule = verdict.rule is not None
            yield _Pair(ours.party_id, theirs.party_id, verdict.score, by_rule, sure, comparison.agreeing, apart)


def _set_apart(ours: Party, theirs: Party, names: NameComparer) -> frozenset[str]:
    """Words that set any two names of two records apart, whatever their other names say.

    A customer has a display name beside its company name, and people put there what tells two customers of one company apart.
    """
    found: frozenset[str] = frozenset()
    for mine in ours.names:
        for other in theirs.names:
            pair = names.compare(replace(ours, names=(mine,)), replace(theirs, names=(other,)), frozenset())
            if pair.likeness >= Likeness.CLOSE:
                found |= pair.apart
    return found


def _is_alike(comparison: Comparison) -> bool:
    """Whether two records may be one although no rule says so: names that are equal, and nothing that contradicts."""
    contradicted = comparison.differing & {"address", "street", "domain", "legal form"}
    return comparison.name.likeness == Likeness.EQUAL and not comparison.name.apart and not contradicted
