"""What is enough to say that an account is a customer: explicit rules, each with a name *and* something independent of it.

Pure: a comparison in, a verdict out. A name alone never links, nor does anything without a name; a word that tells two bodies
apart ("East", "Holdings", "II") is never outvoted. What several verdicts mean for one account is decided in :mod:`plan`.

Terms: equal, close and moderate are the grades of :class:`comparing.Likeness`; a value is *its own* when no other name on
either side has it. Address and phone of one site are not independent of each other, e-mail and domain neither.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal

from qbsf_pipeline.customers.matching.comparing import Comparison, Likeness

#: Bump when a rule below changes: links remember under which version they were made.
RULE_VERSION = "customers-2"

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


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a comparison is worth.

    Attributes:
        rule: the rule that links them; ``None`` where a person has to say it.
        rivals_matter: the rule's evidence may fit a namesake as well: any other candidate of the name blocks it.
        score: 0 to 1; from 0.95 on where a rule links them, below otherwise. Depends on nothing but the two records.
        asked: whether it is worth a person's look, where no rule links them.
    """

    rule: str | None
    rivals_matter: bool
    score: Decimal
    asked: bool


def judge(
    found: Comparison, bearers: Mapping[tuple[str, str], int], holders: Collection[tuple[str, str]], *, common_name: bool
) -> Verdict:
    """The verdict on one comparison.

    Args:
        found: an account and a customer, field by field.
        bearers: (kind, value) -> how many names on one side have it, where more than one.
        holders: (kind, value) that more than one record of a side has.
        common_name: the name has so many bearers that it tells little.
    """
    agree, differ = found.agreeing, found.differing

    def own(field: str) -> bool:
        # One value that nobody else has is enough: the shared mailbox beside it takes nothing away.
        return any(bearers.get((field, value), 1) <= 1 for value in found.values.get(field, ()))

    def alone(field: str) -> bool:
        return any((field, value) not in holders for value in found.values.get(field, ()))

    shared_domain = all(
        bearers.get(("domain", value), 1) > SHARED_DOMAIN for value in found.values.get("domain", frozenset({""}))
    ) and ("domain" in agree)
    domain = "domain" in agree and not shared_domain
    own_domain, own_mail = domain and own("domain"), "email" in agree and own("email")
    address, phone, own_phone = "address" in agree, "phone" in agree, "phone" in agree and own("phone")
    elsewhere, other_street = "address" in differ, "street" in differ
    other_domain, other_phone = "domain" in differ, "phone" in differ
    near = bool(agree & {"city", "postal code", "contact"})
    name = found.name.likeness

    rule: str | None = None
    rivals = False
    barred = bool(found.name.apart) or "currency" in differ or ("legal form" in differ and not address)
    if not barred and name == Likeness.EQUAL:
        if address and not (other_domain and other_phone):
            rule = "equal name and address"
        elif "email" in agree and not elsewhere and not other_street and (not other_phone or agree & {"city", "postal code"}):
            rule, rivals = "equal name and e-mail", not (own_mail and alone("email") and found.billing_email) or common_name
        elif phone and not (elsewhere or other_street or other_domain) and (own_phone or domain or not common_name):
            rule, rivals = "equal name and phone", True
        elif domain and (near or not other_phone) and not (elsewhere or other_street or common_name or found.one_form_unknown):
            rule, rivals = "equal name and domain", True
        elif own_phone and domain and not common_name:
            # They moved: a branch would have a telephone of its own.
            rule, rivals = "equal name, phone and domain", True
        elif own_phone and "postal code" in agree and not (other_domain or common_name):
            rule, rivals = "equal name, phone and postal code", True
        elif own_mail and own_phone and found.billing_email and not common_name:
            # They moved: nobody else writes from there, and nobody else answers there.
            rule, rivals = "equal name, e-mail and phone", True
        elif own_mail and "postal code" in agree and not (other_phone or other_domain or common_name):
            rule, rivals = "equal name, e-mail and postal code", True
        elif "contact" in agree and not (
            elsewhere or other_street or other_domain or other_phone or common_name or found.one_form_unknown
        ):
            rule, rivals = "equal name and contact person", True
        elif "postal code" in agree and not (other_street or other_domain or other_phone or common_name):
            rule, rivals = "equal name and postal code", True
    elif not barred and name == Likeness.CLOSE:
        if address and (domain or phone or agree & {"email", "contact"}) and not other_domain:
            rule = "close name, address and one more"
            rivals = not (domain or agree & {"email", "contact"})
        elif common_name:
            rule = None
        elif address and own("address") and not other_domain:
            rule, rivals = "close name and address", True
        elif phone and domain and not elsewhere and not other_street:
            rule, rivals = "close name, phone and domain", True
        elif own_mail and not (elsewhere or other_street or other_phone):
            rule, rivals = "close name and e-mail", True
        elif own_phone and not elsewhere and not other_street and not other_domain:
            rule, rivals = "close name and phone", True
        elif own_domain and near and not (elsewhere or other_street or other_phone):
            rule, rivals = "close name, domain and town", True
    elif (
        not barred
        and name == Likeness.MODERATE
        and found.name.whole
        and not common_name
        and (own_domain or own_mail)
        and (own_phone or address)
        and not (elsewhere or other_street or other_phone)
    ):
        rule, rivals = "moderate name, domain, and phone or address", True

    points = (
        _NAME_SCORE[name] + sum(_FIELD_SCORE.get(field, 0) for field in agree) - sum(_AGAINST.get(field, 0) for field in differ)
    )
    if found.name.apart:
        points -= _APART
    points = max(0, min(points, 100))
    score = 95 + points // 20 if rule is not None else min(points, _HIGHEST_UNSURE)
    contradicted = elsewhere or other_street or other_domain
    asked = (
        (name == Likeness.EQUAL)
        or found.billing_email
        or own_domain
        or points >= _WORTH_ASKING
        or (name == Likeness.CLOSE and bool(found.name.apart) and not contradicted and not common_name)
    )
    return Verdict(rule, rivals, Decimal(score) / 100, asked)


def may_be_a_namesake(found: Comparison) -> bool:
    """Whether the two could be one by their names, and no address says otherwise."""
    near = found.name.likeness >= Likeness.CLOSE and not found.name.apart
    return near and "address" not in found.differing and "street" not in found.differing
