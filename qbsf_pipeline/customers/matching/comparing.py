"""How much an account and a customer have in common: their names, and every field beside the name.

Pure: two parties in, what agrees and what contradicts out. Whether that is enough is decided in :mod:`rules`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from rapidfuzz import fuzz
from rapidfuzz.distance import OSA

from qbsf_pipeline.customers.matching.normalising import Address, Name, Party, has_digit
from qbsf_pipeline.customers.matching.vocabulary import DISTINGUISHING, GENERIC, LEGAL_WORDS, LONG_FORMS, SHORT_FORMS

_SHORTEST_CUT = 18
#: A word that this many names bear is a word, not a slip of the pen.
_BEARERS_OF_A_WORD = 3
_ANGLO_FORMS = frozenset(
    ("corporation", "company", "limited liability company", "limited", "public limited company", "partnership", "professional")
)


class Likeness(IntEnum):
    """How near two names are."""

    NONE = 0
    MODERATE = 1
    CLOSE = 2
    EQUAL = 3


@dataclass(frozen=True, slots=True)
class NameComparison:
    """Two names side by side.

    Attributes:
        likeness: how near they are; distinguishing words left aside.
        apart: words that one has and the other lacks and that make another body of it. Never empty for "Acme East" and
            "Acme West"; nothing is linked over them without a person.
        whole: False where one has a telling word that the other lacks: "Ritz" may be the hotel or its restaurant; and where
            one is the other's initials.
        generic: one has a generic word that the other lacks: "Acme" and "Acme Services".
        left_out: the words of the account that the customer lacks, where the customer has none that the account lacks.
    """

    likeness: Likeness
    apart: frozenset[str] = frozenset()
    whole: bool = True
    generic: bool = False
    left_out: frozenset[str] = frozenset()


_DIFFERENT = NameComparison(Likeness.NONE)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What the names of both sides have in common.

    Attributes:
        bearers: how many names have a word.
        cities: words of the cities that occur in addresses.
    """

    bearers: Mapping[str, int]
    cities: frozenset[str]


@dataclass(frozen=True, slots=True)
class Comparison:
    """An account and a customer, field by field. A field that one side lacks neither agrees nor contradicts.

    Attributes:
        agreeing: of name, email, phone, address, domain, postal code, city, contact.
        differing: of address, street, city, phone, domain, legal form, currency.
        values: what agrees, as found: for counting who else has it.
        billing_email: the address that receives the invoices is the same.
        cut_off: one name may have been cut off, and as far as it goes the other has the same.
        two_forms: both say what kind of body they are, and it is not the same.
        one_form_unknown: one is a GmbH, an AG or the like, and the other does not say what it is.
    """

    name: NameComparison
    agreeing: frozenset[str]
    differing: frozenset[str]
    values: Mapping[str, frozenset[str]]
    billing_email: bool
    cut_off: bool
    two_forms: bool
    one_form_unknown: bool


class NameComparer:
    """Compares names, each pair of names once.

    Args:
        vocabulary: of everything that is matched.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self._known: dict[tuple[str, str, str, str], NameComparison] = {}

    def compare(self, account: Party, customer: Party, cities: frozenset[str]) -> NameComparison:
        """The nearest of their names; ``apart`` gathers what any name of the same house says against it.

        Args:
            cities: words of a city where both are: a name that has them in addition is no other name.
        """
        best = _DIFFERENT
        apart: frozenset[str] = frozenset()
        for ours in account.names:
            for theirs in customer.names:
                found = self._pair(ours, theirs, cities)
                if found.likeness > best.likeness or (found.likeness == best.likeness and len(found.apart) < len(best.apart)):
                    best = found
                if found.apart and found.likeness >= Likeness.CLOSE:
                    apart |= found.apart
        # "Acme" with the display name "Acme West" is Acme West; "Smith Tools" dba of "Smith Holdings" is Smith Tools.
        trading = len(account.names) > 1
        return NameComparison(
            best.likeness, best.apart if trading else best.apart | apart, best.whole, best.generic, best.left_out
        )

    def _pair(self, ours: Name, theirs: Name, cities: frozenset[str]) -> NameComparison:
        if ours.key == theirs.key or ours.compact == theirs.compact:
            return NameComparison(Likeness.EQUAL)
        asked = (ours.key, theirs.key, ours.full, theirs.full)
        if cities:
            return self._compare(ours, theirs, cities)
        found = self._known.get(asked)
        if found is None:
            found = self._known[asked] = self._compare(ours, theirs, cities)
        return found

    def _compare(self, ours: Name, theirs: Name, cities: frozenset[str]) -> NameComparison:
        cut = self._cut_off(theirs, ours)
        if cut is not None:
            return replace(cut, left_out=frozenset(ours.words) - set(theirs.words))
        cut = self._cut_off(ours, theirs)
        if cut is not None:
            return cut
        left, right = _without_common(ours.words, theirs.words)
        slips = 0
        for word in tuple(left):
            match = next((other for other in right if self._is_slip(word, other)), None)
            if match is not None:
                left.remove(word)
                right.remove(match)
                slips += 1
        for words, name in ((left, ours), (right, theirs)):
            if words and words[-1] == name.words[-1] and len(name.words) > 1 and self._is_damaged_form(words[-1]):
                words.pop()
                slips += 1
        if left and right and "".join(left) == "".join(right):
            left, right = [], []
        rest = left + right
        matched = min(len(ours.words) - len(left), len(theirs.words) - len(right))
        if left and right and not any(word in DISTINGUISHING or has_digit(word) for word in rest):
            together, other = "".join(left), "".join(right)
            if len(together) >= 6 and len(left) != len(right) and fuzz.ratio(together, other) >= 90:
                left, right, rest, slips, matched = [], [], [], slips + 1, matched + 1
        # A town behind the name is no other name where both are in that town.
        in_town = [word for word in rest if word in cities]
        if in_town and not (left and right):
            rest = [word for word in rest if word not in cities]
            if any(word in in_town for word in (ours.words[-1], theirs.words[-1])):
                # "Acme, LLC (Boulder)": the form stands before the town.
                rest = [word for word in rest if word not in LEGAL_WORDS]
            left, right = [w for w in left if w in rest], [w for w in right if w in rest]
        apart = frozenset(word for word in rest if self._sets_apart(word))
        if not matched:
            return _DIFFERENT if not _is_acronym(ours, theirs) else NameComparison(Likeness.MODERATE, whole=False)
        left_out = frozenset(left if not right else ())
        content = [word for word in rest if word not in apart and word not in GENERIC]
        loose = [word for word in rest if word not in apart and word in GENERIC]
        weight = sum(_weight(word) for word in ours.words) + sum(_weight(word) for word in theirs.words)
        shared = 1 - sum(_weight(word) for word in left + right if word not in apart) / weight
        telling = self._telling(ours, theirs, left, right)
        if not telling:
            return _DIFFERENT
        replaced = any(word in content for word in left) and any(word in content for word in right)
        replaced = replaced or (any(w in loose for w in left) and any(w in loose for w in right))
        if replaced:
            likeness = Likeness.NONE
            if fuzz.token_sort_ratio(ours.key, theirs.key) >= 88 and not apart:
                likeness = Likeness.MODERATE
            return NameComparison(likeness, apart, whole=False, left_out=left_out)
        if content:
            return NameComparison(Likeness.MODERATE if shared >= 0.6 else Likeness.NONE, apart, whole=False, left_out=left_out)
        if slips > 2 or (slips == 2 and matched < 3):
            return NameComparison(Likeness.MODERATE, apart, generic=bool(loose), left_out=left_out)
        if slips or loose or in_town:
            return NameComparison(Likeness.CLOSE, apart, generic=bool(loose), left_out=left_out)
        return NameComparison(Likeness.EQUAL if not apart else Likeness.CLOSE, apart, left_out=left_out)

    def _telling(self, ours: Name, theirs: Name, left: Sequence[str], right: Sequence[str]) -> bool:
        """Whether what both have in common is more than generic or distinguishing words."""
        mine = list(ours.words)
        for word in left:
            mine.remove(word)
        return any(word not in GENERIC and word not in DISTINGUISHING for word in mine) or (not left and not right)

    def _cut_off(self, short: Name, long: Name) -> NameComparison | None:
        if not short.may_be_cut or len(short.full) < _SHORTEST_CUT or len(short.full) >= len(long.full):
            return None
        if not long.full.startswith(short.full):
            return None
        gone: set[str] = set()
        for word in long.words:
            if word not in short.words and self._sets_apart(word):
                gone.add(word)
        return NameComparison(Likeness.CLOSE, frozenset(gone))

    def _is_slip(self, word: str, other: str) -> bool:
        if has_digit(word) or has_digit(other):
            return False
        if word in DISTINGUISHING and other in DISTINGUISHING:
            return False
        shorter, longer = sorted((word, other), key=len)
        if len(shorter) >= 4 and len(longer) >= 8 and longer.startswith(shorter) and shorter not in DISTINGUISHING:
            return True
        if _is_skeleton(shorter, longer):
            return True
        allowed = 2 if len(shorter) >= 8 else 1 if len(shorter) >= 4 else 0
        if not allowed or OSA.distance(word, other, score_cutoff=allowed) > allowed:
            return False
        bearers = self.vocabulary.bearers
        return min(bearers.get(word, 0), bearers.get(other, 0)) < _BEARERS_OF_A_WORD

    def _is_damaged_form(self, word: str) -> bool:
        """Whether a last word that the other name lacks is a mistyped legal form: "Incorported", "Ic", "LCL"."""
        if self.vocabulary.bearers.get(word, 0) >= _BEARERS_OF_A_WORD and word not in LONG_FORMS:
            return False
        if len(word) >= 5:
            return any(OSA.distance(word, form, score_cutoff=2) <= 2 for form in LONG_FORMS if len(form) >= 7)
        return 2 <= len(word) <= 5 and any(OSA.distance(word, form, score_cutoff=1) <= 1 for form in SHORT_FORMS)

    def _sets_apart(self, word: str) -> bool:
        return word in DISTINGUISHING or len(word) == 1 or has_digit(word) or word in self.vocabulary.cities


def compare(account: Party, customer: Party, names: NameComparer) -> Comparison:
    """Everything that an account and a customer have in common, and everything that stands between them."""
    agreeing: set[str] = set()
    differing: set[str] = set()
    values: dict[str, frozenset[str]] = {}

    mails = account.emails & customer.emails
    if mails:
        agreeing.add("email")
        values["email"] = mails
    phones = (account.phones | account.further_phones) & (customer.phones | customer.further_phones)
    if phones:
        agreeing.add("phone")
        values["phone"] = phones
    elif account.phones and customer.phones and not _one_block(account.phones, customer.phones):
        differing.add("phone")
    domains = (account.domains | account.further_domains) & (customer.domains | customer.further_domains)
    if domains:
        agreeing.add("domain")
        values["domain"] = domains
    elif account.domains and customer.domains and not mails:
        differing.add("domain")
    town: frozenset[str] = frozenset()
    if account.addresses and customer.addresses:
        verdicts = [
            (place, other, compare_addresses(place, other)) for place in account.addresses for other in customer.addresses
        ]
        found = [verdict for _, _, verdict in verdicts]
        if any("address" in agree for agree, _ in found):
            agreeing |= {"address"} | set().union(*(agree for agree, _ in found))
            values["address"] = frozenset(
                place.key for place, other, (agree, _) in verdicts if "address" in agree and place.key == other.key and place.key
            )
        else:
            # Billing and shipping address may be two places: nothing contradicts while one of them fits.
            quiet = [agree for agree, differ in found if not differ]
            if quiet:
                agreeing |= set().union(*quiet)
            else:
                differing |= set.intersection(*(set(differ) for _, differ in found)) or {"address"}
                agreeing |= set.intersection(*(set(agree) for agree, _ in found))
        town = frozenset(
            word
            for place, other, (agree, _) in verdicts
            if agree & {"city", "postal code", "address"}
            for word in (*place.city.split(), *other.city.split())
        )
    elif account.addresses or customer.addresses:
        town = frozenset(word for place in (*account.addresses, *customer.addresses) for word in place.city.split())
    if account.people & customer.people:
        agreeing.add("contact")
    forms = (account.family, customer.family)
    if forms[0] and forms[1] and forms[0] != forms[1] and not {forms[0], forms[1]} <= _ANGLO_FORMS:
        differing.add("legal form")
    if account.currency and customer.currency and account.currency != customer.currency:
        differing.add("currency")
    name = names.compare(account, customer, town)
    if name.likeness >= Likeness.EQUAL and not name.apart:
        agreeing.add("name")
    return Comparison(
        name=name,
        agreeing=frozenset(agreeing),
        differing=frozenset(differing),
        values=values,
        billing_email=bool(account.billing_emails & customer.billing_emails),
        cut_off=any(
            one.may_be_cut and bool(one.full) and other.full.startswith(one.full[:-1])
            for one, other in _name_pairs(account, customer)
        ),
        two_forms=bool(forms[0] and forms[1] and forms[0] != forms[1]),
        one_form_unknown=(forms[0] is None) != (forms[1] is None) and bool({*forms} - {None} - _ANGLO_FORMS),
    )


def _one_block(ours: frozenset[str], theirs: frozenset[str]) -> bool:
    """Whether two numbers differ in the last two digits only: lines of one switchboard."""
    return any(len(one) == len(other) and one[:-2] == other[:-2] for one in ours for other in theirs)


def _name_pairs(account: Party, customer: Party) -> Iterator[tuple[Name, Name]]:
    for ours in account.names:
        for theirs in customer.names:
            yield ours, theirs
            yield theirs, ours


def compare_addresses(place: Address, other: Address) -> tuple[frozenset[str], frozenset[str]]:
    """What agrees (address, postal code, city) and what contradicts (address, street) between two places."""
    agreeing: set[str] = set()
    same_postal = bool(place.postal_code) and place.postal_code == other.postal_code
    other_postal = bool(place.postal_code and other.postal_code) and not same_postal
    cities = bool(place.city and other.city)
    same_city = cities and (place.city == other.city or fuzz.ratio(place.city, other.city) >= 85)
    other_state = bool(place.state and other.state) and len(place.state) == len(other.state) == 2 and place.state != other.state
    streets = bool(place.street and other.street)
    alike = fuzz.token_sort_ratio(place.street, other.street) if streets else 0.0
    numbers = bool(place.number and other.number)
    same_number = numbers and place.number == other.number
    if same_postal:
        agreeing.add("postal code")
    if same_city and not other_state:
        agreeing.add("city")
    whole = same_number and (
        (same_postal and (alike >= 70 or not streets))
        or (alike >= 90 and not other_postal and "city" in agreeing)
        # One digit of the postal code was mistyped.
        or (alike >= 90 and "city" in agreeing and OSA.distance(place.postal_code, other.postal_code) == 1)
    )
    whole = whole or (same_postal and not place.number and not other.number and alike >= 90)
    if whole:
        return frozenset({"address", *agreeing}), frozenset()
    differing: set[str] = set()
    if other_postal or (cities and not same_city and not same_postal) or (other_state and not same_postal):
        differing.add("address")
    boxes = place.number.startswith("pobox") != other.number.startswith("pobox")
    if numbers and streets and not boxes and (not same_number or alike < 60):
        differing.add("street")
    return frozenset(agreeing), frozenset(differing)


def _without_common(ours: Sequence[str], theirs: Sequence[str]) -> tuple[list[str], list[str]]:
    left, right = list(ours), list(theirs)
    for word in ours:
        if word in right:
            right.remove(word)
            left.remove(word)
    return left, right


def _is_skeleton(shorter: str, longer: str) -> bool:
    """Whether one is the other without its vowels, more or less: "pkg" and "packaging"."""
    if not 3 <= len(shorter) <= 5 or len(longer) < 7 or shorter[0] != longer[0] or any(letter in "aeiou" for letter in shorter):
        return False
    letters = iter(longer)
    return all(letter in letters for letter in shorter)


def _weight(word: str) -> float:
    return 0.4 if word in GENERIC or word in DISTINGUISHING else 1.0


def _is_acronym(ours: Name, theirs: Name) -> bool:
    short, long = sorted((ours, theirs), key=lambda name: len(name.words))
    if len(short.words) != 1 or not 3 <= len(short.compact) <= 6 or len(long.words) < 3:
        return False
    return "".join(word[0] for word in long.words) == short.compact
