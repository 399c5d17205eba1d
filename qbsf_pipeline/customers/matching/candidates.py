"""Which customers each open account could be, and which of them it surely is.

Pure: parties in, candidates out. Joins what blocking finds, what comparing says and what the rules make of it, and looks at all
candidates together: a namesake, a duplicate or a second claim makes a sure pair unsure.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from qbsf_pipeline.customers.matching.blocking import find_candidates
from qbsf_pipeline.customers.matching.comparing import Comparison, Likeness, NameComparer, Vocabulary, compare
from qbsf_pipeline.customers.matching.normalising import Party
from qbsf_pipeline.customers.matching.rules import Verdict, judge, may_be_a_namesake

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


class Appraisal:
    """All parties of one matching. Candidates are found once, for the accounts that are open.

    Args:
        accounts: all live accounts.
        customers: all live customers that stand for themselves (sub-customers match on their parent).
        open_accounts: ids of accounts that nothing else decides.
        claims: customer id -> accounts that it belongs to already.
    """

    def __init__(
        self,
        accounts: Sequence[Party],
        customers: Sequence[Party],
        open_accounts: Collection[str],
        claims: Mapping[str, Collection[str]],
    ) -> None:
        self._claims = claims
        self.names = NameComparer(_vocabulary((*accounts, *customers)))
        self._found: dict[str, list[Candidate]] = {}
        if open_accounts:
            self._appraise(accounts, customers, open_accounts)

    def candidates(self, account_id: str) -> Sequence[Candidate]:
        """The account's candidates worth a person's look, the best first."""
        return self._found.get(account_id, ())

    def _appraise(self, accounts: Sequence[Party], customers: Sequence[Party], open_accounts: Collection[str]) -> None:
        found = find_candidates(accounts, customers, self.names.vocabulary.bearers)
        compared: dict[int, list[tuple[int, Comparison, Verdict]]] = defaultdict(list)
        namesakes: dict[int, set[int]] = defaultdict(set)
        sisters: dict[int, dict[int, frozenset[str]]] = defaultdict(dict)
        provided: set[int] = set()
        for ours, theirs in found.pairs:
            account, customer = accounts[ours], customers[theirs]
            if account.party_id not in open_accounts:
                continue
            comparison = compare(account, customer, self.names)
            if may_be_a_namesake(comparison):
                namesakes[theirs].add(ours)
            if comparison.name.likeness >= Likeness.CLOSE and not comparison.name.apart and comparison.agreeing:
                provided.add(ours)
            elif comparison.name.apart and comparison.agreeing & {"address", "email"}:
                sisters[theirs][ours] = comparison.agreeing & _TELLING
            verdict = judge(comparison, found.bearers, found.holders, common_name=_is_common(account, customer, found.namesakes))
            if verdict.rule is not None or verdict.asked:
                compared[ours].append((theirs, comparison, verdict))
        unsure: dict[tuple[int, int], str] = {}
        claimed: Counter[int] = Counter()
        for ours, row in compared.items():
            for theirs, comparison, verdict in row:
                if verdict.rule is None:
                    continue
                telling = comparison.agreeing & _TELLING
                if any(other not in provided and telling <= theirs_too for other, theirs_too in sisters[theirs].items()):
                    # "Acme" at the address of Acme Holdings, which has no customer of its own: a word may have been left out.
                    unsure[ours, theirs] = "could be a sister company"
                    continue
                reason = self._reason_against(ours, theirs, verdict, row, accounts, customers, namesakes[theirs], found.bearers)
                if reason:
                    unsure[ours, theirs] = reason
                else:
                    claimed[theirs] += 1
        for ours, row in compared.items():
            candidates = []
            for theirs, comparison, verdict in row:
                because = unsure.get((ours, theirs), "")
                sure = verdict.rule is not None and not because
                if sure and claimed[theirs] > 1:
                    sure, because = False, "fits several accounts"
                if self._settled_elsewhere(accounts[ours], customers[theirs], comparison, verdict):
                    continue
                candidates.append(Candidate(customers[theirs].party_id, comparison, verdict, sure, because))
            candidates.sort(key=lambda one: (not one.sure, one.verdict.rule is None, -one.verdict.score, one.customer_id))
            if candidates:
                self._found[accounts[ours].party_id] = candidates

    def _reason_against(
        self,
        ours: int,
        theirs: int,
        verdict: Verdict,
        row: Sequence[tuple[int, Comparison, Verdict]],
        accounts: Sequence[Party],
        customers: Sequence[Party],
        namesakes: Collection[int],
        bearers: Mapping[tuple[str, str], int],
    ) -> str:
        account, customer = accounts[ours], customers[theirs]
        if customer.row["active"] is False:
            return "is inactive"
        if customer.row["parent_id"]:
            return "is a sub-customer"
        if set(self._claims.get(customer.party_id, ())) - {account.party_id}:
            return "belongs to another account already"
        for other in namesakes:
            if other != ours and (verdict.rivals_matter or _look_like_one(account, accounts[other])):
                return "could be several accounts of that name"
        for other, comparison, _ in row:
            rival = customers[other]
            if other == theirs or rival.row["active"] is False or set(self._claims.get(rival.party_id, ())) - {account.party_id}:
                continue
            if verdict.rivals_matter and may_be_a_namesake(comparison) and "currency" not in comparison.differing:
                return "is not the only customer of that name"
            other_name = comparison.billing_email and comparison.name.likeness < Likeness.CLOSE
            few = other_name and all(bearers.get(("email", mail), 1) <= _BOOKKEEPER for mail in comparison.values["email"])
            if few and "address" not in (verdict.rule or ""):
                return "shares the e-mail with another customer"
        return ""

    def _settled_elsewhere(self, account: Party, customer: Party, comparison: Comparison, verdict: Verdict) -> bool:
        """Whether the customer is another account's and nothing much says that it is this one's too."""
        if not set(self._claims.get(customer.party_id, ())) - {account.party_id}:
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


def _look_like_one(account: Party, other: Party) -> bool:
    """Whether two accounts of one name are probably one company, entered twice."""
    return bool(account.phones & other.phones) or bool(
        {place.key for place in account.addresses if place.key} & {place.key for place in other.addresses}
    )
