"""What is enough to say that an account is a customer: explicit rules, each with a name *and* something independent of it.

Pure: a comparison in, a verdict out. A name alone never links, nor does anything without a name; a word that tells two bodies
apart ("East", "Holdings", "II") is never outvoted. What several verdicts mean for one account is decided in :mod:`plan`.

Terms: equal, close and moderate are the grades of :class:`comparing.Likeness`. A value is *its own* when no other name on
either side has it, and *theirs alone* when one record on each side has it. Address and phone of one site are not independent of
each other, e-mail and domain neither.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum

from qbsf_pipeline.customers.matching.comparing import Comparison, Likeness

#: Bump when a rule below changes: links remember under which version they were made.
RULE_VERSION = "customers-3"

#: A domain that more names than this have in common (an accountant's, a group's) says nothing about one of them.
SHARED_DOMAIN = 20

_NAME_SCORE: Mapping[Likeness, int] = {Likeness.EQUAL: 60, Likeness.CLOSE: 50, Likeness.MODERATE: 30, Likeness.NONE: 0}
_FIELD_SCORE: Mapping[str, int] = {
    "email": 25, "address": 30, "domain": 20, "phone": 20, "postal code": 8, "city": 5, "contact": 10,
}  # fmt: skip
_AGAINST: Mapping[str, int] = {"address": 20, "street": 10, "domain": 10, "phone": 3, "legal form": 10, "currency": 5}
_APART = 25
#: From here on a person is asked.
_WORTH_ASKING = 45
_HIGHEST_UNSURE = 90


class Rivals(IntEnum):
    """Which other bearers of the name make a rule's evidence unsure."""

    #: None: the evidence fits no other.
    IGNORED = 0
    #: Those that no address and no phone tells apart from the record.
    NEAR = 1
    #: Any, wherever they are.
    ANYWHERE = 2


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a comparison is worth.

    Attributes:
        rule: the rule that links them; ``None`` where a person has to say it.
        rivals: which namesakes block the rule.
        score: 0 to 1; from 0.95 on where a rule links them, below otherwise. Depends on nothing but the two records.
        asked: whether it is worth a person's look, where no rule links them.
    """

    rule: str | None
    rivals: Rivals
    score: Decimal
    asked: bool

    @property
    def rivals_matter(self) -> bool:
        """Whether the rule's evidence may fit a namesake as well."""
        return self.rivals is not Rivals.IGNORED


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What stands beside the name. ``own_``: no other name has it. ``only_``: one record on each side has it."""

    name: Likeness
    whole: bool
    generic: bool
    two_forms: bool
    one_form_unknown: bool
    common_name: bool
    address: bool
    own_address: bool
    only_address: bool
    phone: bool
    own_phone: bool
    only_phone: bool
    mail: bool
    own_mail: bool
    only_mail: bool
    billing_mail: bool
    domain: bool
    own_domain: bool
    only_domain: bool
    contact: bool
    postal_code: bool
    town: bool
    elsewhere: bool
    other_street: bool
    other_phone: bool
    other_domain: bool

    @property
    def near(self) -> bool:
        return self.town or self.contact

    @property
    def moved(self) -> bool:
        return self.elsewhere or self.other_street


_Linking = tuple[str, Rivals]


def judge(
    found: Comparison,
    bearers: Mapping[tuple[str, str], int],
    holders: Collection[tuple[str, str]],
    *,
    common_name: bool,
    shared_domain: int = SHARED_DOMAIN,
) -> Verdict:
    """The verdict on one comparison.

    Args:
        found: an account and a customer, field by field.
        bearers: (kind, value) -> how many names on one side have it, where more than one.
        holders: (kind, value) that more than one record of a side has.
        common_name: the name has so many bearers that it tells little.
        shared_domain: a domain that more names than this have says nothing.
    """
    evidence = _evidence(found, bearers, holders, common_name=common_name, shared_domain=shared_domain)
    barred = bool(found.name.apart) or "currency" in found.differing
    linking: _Linking | None = None
    if not barred and not ("legal form" in found.differing and not evidence.address):
        if evidence.name is Likeness.EQUAL:
            linking = _by_equal_name(evidence)
        elif evidence.name is Likeness.CLOSE:
            linking = _by_close_name(evidence)
        elif evidence.name is Likeness.MODERATE:
            linking = _by_moderate_name(evidence)
    rule, rivals = linking or (None, Rivals.IGNORED)

    points = _NAME_SCORE[evidence.name] + sum(_FIELD_SCORE.get(field, 0) for field in found.agreeing)
    points -= sum(_AGAINST.get(field, 0) for field in found.differing)
    if found.name.apart:
        points -= _APART
    points = max(0, min(points, 100))
    score = 95 + points // 20 if rule is not None else min(points, _HIGHEST_UNSURE)
    contradicted = evidence.moved or evidence.other_domain
    asked = (
        evidence.name is Likeness.EQUAL
        or found.billing_email
        or evidence.own_domain
        or points >= _WORTH_ASKING
        or (evidence.name is Likeness.CLOSE and bool(found.name.apart) and not contradicted and not common_name)
    )
    return Verdict(rule, rivals, Decimal(score) / 100, asked)


def is_a_namesake(found: Comparison) -> bool:
    """Whether the two could be one by their names."""
    return found.name.likeness >= Likeness.CLOSE and not found.name.apart


def may_be_a_namesake(found: Comparison) -> bool:
    """Whether the two could be one by their names, and no address says otherwise; or a phone or e-mail says so all the same."""
    elsewhere = bool(found.differing & {"address", "street"})
    return is_a_namesake(found) and (not elsewhere or bool(found.agreeing & {"phone", "email"}))


def _evidence(
    found: Comparison,
    bearers: Mapping[tuple[str, str], int],
    holders: Collection[tuple[str, str]],
    *,
    common_name: bool,
    shared_domain: int,
) -> _Evidence:
    agree, differ = found.agreeing, found.differing

    def own(field: str) -> bool:
        # One value that nobody else has is enough: the shared mailbox beside it takes nothing away.
        return any(bearers.get((field, value), 1) <= 1 for value in found.values.get(field, ()))

    def alone(field: str) -> bool:
        return any((field, value) not in holders for value in found.values.get(field, ()))

    telling = any(bearers.get(("domain", value), 1) <= shared_domain for value in found.values.get("domain", ()))
    domain = "domain" in agree and telling
    return _Evidence(
        name=found.name.likeness,
        whole=found.name.whole,
        generic=found.name.generic,
        two_forms=found.two_forms,
        one_form_unknown=found.one_form_unknown,
        common_name=common_name,
        address="address" in agree,
        own_address=own("address"),
        only_address=alone("address"),
        phone="phone" in agree,
        own_phone=own("phone"),
        only_phone=alone("phone"),
        mail="email" in agree,
        own_mail=own("email"),
        only_mail=found.billing_email and alone("email"),
        billing_mail=found.billing_email,
        domain=domain,
        own_domain=domain and own("domain"),
        only_domain=domain and alone("domain"),
        contact="contact" in agree,
        postal_code="postal code" in agree,
        town=bool(agree & {"city", "postal code"}),
        elsewhere="address" in differ,
        other_street="street" in differ,
        other_phone="phone" in differ,
        other_domain="domain" in differ,
    )


def _by_equal_name(found: _Evidence) -> _Linking | None:
    if found.address and not (found.other_domain and found.other_phone):
        return "equal name and address", Rivals.IGNORED
    if found.only_phone and not found.moved and not found.other_domain:
        # A branch of the name would answer on a line of its own.
        return "equal name and a phone of theirs alone", Rivals.IGNORED
    if found.mail and not found.moved and (not found.other_phone or found.town):
        # Branches often share the mailbox of their house.
        return "equal name and e-mail", Rivals.NEAR
    if found.phone and not found.moved and not found.other_domain and (found.own_phone or found.domain or not found.common_name):
        return "equal name and phone", Rivals.NEAR
    if found.domain and not found.moved and not found.common_name and not found.one_form_unknown:
        if found.near:
            return "equal name, domain and town or contact person", Rivals.NEAR
        if found.only_domain and not found.other_phone and not found.two_forms:
            return "equal name and a domain of theirs alone", Rivals.ANYWHERE
    if found.only_phone and found.near and not found.elsewhere and not found.other_domain:
        return "equal name, phone and town", Rivals.NEAR
    return None if found.common_name else _by_equal_name_elsewhere(found)


def _by_equal_name_elsewhere(found: _Evidence) -> _Linking | None:
    """They moved, or one of the two holds an old address; the name is not common."""
    if found.own_phone and found.domain:
        return "equal name, phone and domain", Rivals.NEAR
    if found.own_phone and found.postal_code and not found.other_domain:
        return "equal name, phone and postal code", Rivals.NEAR
    if found.own_mail and found.own_phone and found.billing_mail:
        # Nobody else writes from there, and nobody else answers there.
        return "equal name, e-mail and phone", Rivals.NEAR
    if found.only_phone and not found.other_domain:
        return "equal name and phone, moved", Rivals.ANYWHERE
    if found.own_mail and found.postal_code and not found.other_phone and not found.other_domain:
        return "equal name, e-mail and postal code", Rivals.NEAR
    contradicted = found.other_street or found.other_domain or found.other_phone
    if found.contact and not contradicted and not found.elsewhere and not found.one_form_unknown:
        return "equal name and contact person", Rivals.NEAR
    if found.postal_code and not contradicted:
        return "equal name and postal code", Rivals.NEAR
    return None


def _by_close_name(found: _Evidence) -> _Linking | None:
    if found.generic and not (found.only_phone or found.only_mail or found.only_domain):
        # "Acme" and "Acme Services" at one place may be sisters, unless something is theirs alone.
        return None
    if found.address and not found.other_domain:
        if found.domain or found.mail or found.contact:
            return "close name, address and one more", Rivals.IGNORED
        if found.phone:
            return "close name, address and one more", Rivals.NEAR
        if found.own_address or not found.other_phone:
            return "close name and address", Rivals.NEAR
    if found.only_phone and not found.moved and not found.other_domain:
        return "close name and a phone of theirs alone", Rivals.NEAR
    if found.common_name:
        return None
    if found.phone and found.domain and not found.moved:
        return "close name, phone and domain", Rivals.NEAR
    if found.own_mail and not found.moved and not found.other_phone:
        return "close name and e-mail", Rivals.NEAR if found.only_mail else Rivals.ANYWHERE
    if found.own_phone and not found.moved and not found.other_domain:
        return "close name and phone", Rivals.NEAR
    if found.own_domain and not found.moved and not found.other_phone and not found.one_form_unknown:
        if found.near:
            return "close name, domain and town or contact person", Rivals.NEAR
        if not found.two_forms:
            return "close name and a domain of its own", Rivals.ANYWHERE
    if found.only_phone and found.own_domain:
        return "close name, phone and domain, moved", Rivals.ANYWHERE
    return None


def _by_moderate_name(found: _Evidence) -> _Linking | None:
    if found.common_name or found.moved or found.other_phone:
        return None
    phone_or_address = found.only_phone or (found.address and found.only_address)
    if found.whole and (found.only_domain or found.only_mail) and phone_or_address:
        return "moderate name, domain, and phone or address", Rivals.ANYWHERE
    if found.only_mail and found.own_domain and found.only_phone:
        # A word is missing: only where nobody else writes and nobody else answers.
        return "moderate name, e-mail, domain and phone", Rivals.ANYWHERE
    return None
