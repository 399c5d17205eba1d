"""Which customers each open account could be, and which of them it surely is.

Pure: parties in, candidates out. Joins what blocking finds, what comparing says and what the rules make of it, and looks at all
candidates together: a namesake, a duplicate, a sister company or a second claim makes a sure pair unsure.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from qbsf_pipeline.customers.matching.blocking import Candidates, find_candidates
from qbsf_pipeline.customers.matching.comparing import Comparison, Likeness, NameComparer, Vocabulary, compare
from qbsf_pipeline.customers.matching.normalising import Party
from qbsf_pipeline.customers.matching.rules import (
    SHARED_DOMAIN,
    Rivals,
    Verdict,
    is_a_namesake,
    judge,
    may_be_a_namesake,
)

#: More pairs of one name than this, and the name tells little.
_COMMON_NAME = 6
#: A mailbox of more names than this is a bookkeeper's, and no reason to ask about another customer.
_BOOKKEEPER = 3
_TELLING = frozenset(("email", "phone", "address", "domain"))


@dataclass(frozen=True, slots=True)
class Candidate:
    """A customer that an account could be.

    Attributes:
        sure: a rule links the two and nothing speaks against it.
        unsure_because: why a rule's link is not taken, as the rest of a sentence; empty otherwise.
    """

    customer_id: str
    comparison: Comparison
    verdict: Verdict
    sure: bool
    unsure_because: str


@dataclass(frozen=True, slots=True)
class _Compared:
    theirs: int
    comparison: Comparison
    verdict: Verdict


class Appraisal:
    """All parties of one matching. Candidates are found once, for the accounts that are open.

    Args:
        accounts: all live accounts.
        customers: all live customers that stand for themselves (sub-customers match on their parent), or the sub-customers of
            one parent.
        open_accounts: ids of accounts that nothing else decides.
        claims: customer id -> accounts that it belongs to already.
        shared_domain: a domain that more names than this have says nothing (``customers.matching.shared_domain_names``).
        below_one_parent: the parties are one parent's, whose own link says that they belong together: then a sub-customer may
            be sure.
    """

    def __init__(
        self,
        accounts: Sequence[Party],
        customers: Sequence[Party],
        open_accounts: Collection[str],
        claims: Mapping[str, Collection[str]],
        *,
        shared_domain: int = SHARED_DOMAIN,
        below_one_parent: bool = False,
    ) -> None:
        self._accounts = accounts
        self._customers = customers
        self._claims = claims
        self._shared_domain = shared_domain
        self._below_one_parent = below_one_parent
        self.names = NameComparer(_vocabulary((*accounts, *customers)))
        self._found: dict[str, list[Candidate]] = {}
        if open_accounts:
            self._appraise(open_accounts)

    def candidates(self, account_id: str) -> Sequence[Candidate]:
        """The account's candidates worth a person's look, the best first."""
        return self._found.get(account_id, ())

    def _appraise(self, open_accounts: Collection[str]) -> None:
        found = find_candidates(self._accounts, self._customers, self.names.vocabulary.bearers)
        compared: dict[int, list[_Compared]] = defaultdict(list)
        namesakes: dict[int, dict[int, Comparison]] = defaultdict(dict)
        sisters: dict[int, dict[int, Comparison]] = defaultdict(dict)
        provided: set[int] = set()
        for ours, theirs in found.pairs:
            account, customer = self._accounts[ours], self._customers[theirs]
            if account.party_id not in open_accounts:
                continue
            comparison = compare(account, customer, self.names)
            if is_a_namesake(comparison):
                namesakes[theirs][ours] = comparison
                if comparison.agreeing:
                    provided.add(ours)
            elif comparison.name.left_out and comparison.agreeing:
                sisters[theirs][ours] = comparison
            verdict = judge(
                comparison,
                found.bearers,
                found.holders,
                common_name=_is_common(account, customer, found.namesakes),
                shared_domain=self._shared_domain,
            )
            if verdict.rule is not None or verdict.asked:
                compared[ours].append(_Compared(theirs, comparison, verdict))
        unsure: dict[tuple[int, int], str] = {}
        claimed: Counter[int] = Counter()
        for ours, row in compared.items():
            for one in row:
                if one.verdict.rule is None:
                    continue
                if _may_be_a_sister(one.comparison, sisters[one.theirs], provided):
                    unsure[ours, one.theirs] = "could be a sister company"
                    continue
                reason = self._reason_against(ours, one, row, namesakes[one.theirs], found)
                if reason:
                    unsure[ours, one.theirs] = reason
                # One that is unsure itself makes another's claim unsure all the same.
                claimed[one.theirs] += 1
        for ours, row in compared.items():
            candidates = []
            for one in row:
                because = unsure.get((ours, one.theirs), "")
                sure = one.verdict.rule is not None and not because
                if sure and claimed[one.theirs] > 1:
                    sure, because = False, "fits several accounts"
                if self._settled_elsewhere(self._accounts[ours], self._customers[one.theirs], one.comparison, one.verdict):
                    continue
                candidates.append(Candidate(self._customers[one.theirs].party_id, one.comparison, one.verdict, sure, because))
            candidates.sort(key=lambda one: (not one.sure, one.verdict.rule is None, -one.verdict.score, one.customer_id))
            if candidates:
                self._found[self._accounts[ours].party_id] = candidates

    def _reason_against(
        self, ours: int, chosen: _Compared, row: Sequence[_Compared], namesakes: Mapping[int, Comparison], found: Candidates
    ) -> str:
        account, customer = self._accounts[ours], self._customers[chosen.theirs]
        if customer.row["active"] is False:
            return "is inactive"
        if customer.row["parent_id"] and not self._below_one_parent:
            return "is a sub-customer"
        if self._belongs_elsewhere(customer, account):
            return "belongs to another account already"
        for other, comparison in namesakes.items():
            if other != ours and (_is_a_rival(chosen, comparison, found) or _look_like_one(account, self._accounts[other])):
                return "could be several accounts of that name"
        for one in row:
            rival = self._customers[one.theirs]
            if one.theirs == chosen.theirs or rival.row["active"] is False or self._belongs_elsewhere(rival, account):
                continue
            if _is_a_rival(chosen, one.comparison, found) and "currency" not in one.comparison.differing:
                return "is not the only customer of that name"
            other_name = one.comparison.billing_email and one.comparison.name.likeness < Likeness.CLOSE
            few = other_name and all(
                found.bearers.get(("email", mail), 1) <= _BOOKKEEPER for mail in one.comparison.values["email"]
            )
            if few and not chosen.comparison.agreeing & {"address", "phone"}:
                return "shares the e-mail with another customer"
        return ""

    def _belongs_elsewhere(self, customer: Party, account: Party) -> bool:
        return bool(set(self._claims.get(customer.party_id, ())) - {account.party_id})

    def _settled_elsewhere(self, account: Party, customer: Party, comparison: Comparison, verdict: Verdict) -> bool:
        """Whether the customer is another account's and nothing much says that it is this one's too."""
        if not self._belongs_elsewhere(customer, account):
            return False
        return verdict.rule is None and not (may_be_a_namesake(comparison) and "domain" not in comparison.differing)


def _vocabulary(parties: Sequence[Party]) -> Vocabulary:
    keys = {name.key: name.words for party in parties for name in party.names}
    bearers = Counter(word for words in keys.values() for word in set(words))
    cities = {place.city for party in parties for place in party.addresses if place.city}
    return Vocabulary(bearers, frozenset(word for city in cities for word in city.split() if len(word) > 2))


def _is_common(account: Party, customer: Party, namesakes: Mapping[str, tuple[int, int]]) -> bool:
    return any(
        ours * theirs > _COMMON_NAME
        for name in (*account.names, *customer.names)
        for ours, theirs in (namesakes.get(name.key, (0, 0)),)
    )


def _is_a_rival(chosen: _Compared, other: Comparison, found: Candidates) -> bool:
    """Whether what links the chosen pair may be meant for another bearer of the name."""
    if chosen.verdict.rivals is Rivals.IGNORED or not is_a_namesake(other):
        return False
    if chosen.verdict.rivals is Rivals.ANYWHERE:
        return True
    phones = chosen.comparison.values.get("phone", ())
    if "phone" in other.differing and any(("phone", phone) not in found.holders for phone in phones):
        # The chosen pair alone has this number, and the other has another one.
        return False
    return may_be_a_namesake(other)


def _may_be_a_sister(chosen: Comparison, sisters: Mapping[int, Comparison], provided: Collection[int]) -> bool:
    """Whether a customer may be another account, whose name has words that the customer's lacks.

    "Acme" at the address of Acme Holdings, which has no customer of its own and has more in common with this one: a word may
    have been left out. Or the customer's name was cut off where the two accounts' names still agree.
    """
    telling = chosen.agreeing & _TELLING
    for other, sister in sisters.items():
        if sister.differing & {"address", "street", "domain"}:
            continue
        if (chosen.cut_off and sister.cut_off) or (other not in provided and telling < sister.agreeing & _TELLING):
            return True
    return False


def _look_like_one(account: Party, other: Party) -> bool:
    """Whether two accounts of one name are probably one company, entered twice."""
    return bool(account.phones & other.phones) or bool(
        {place.key for place in account.addresses if place.key} & {place.key for place in other.addresses}
    )
