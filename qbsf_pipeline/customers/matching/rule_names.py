"""The names of the rules in :mod:`rules`, by which the rules file may switch them off. A test holds the two equal."""

from __future__ import annotations

from collections.abc import Collection

from qbsf_pipeline.errors import ConfigurationError

RULE_NAMES = frozenset(
    {
        "equal name and address",
        "equal name and a phone of theirs alone",
        "equal name and e-mail",
        "equal name and phone",
        "equal name, domain and town or contact person",
        "equal name and a domain of theirs alone",
        "equal name, phone and town",
        "equal name, phone and domain",
        "equal name, phone and postal code",
        "equal name, e-mail and phone",
        "equal name and phone, moved",
        "equal name, e-mail and postal code",
        "equal name and contact person",
        "equal name and postal code",
        "close name, address and one more",
        "close name and address",
        "close name and a phone of theirs alone",
        "close name, phone and domain",
        "close name and e-mail",
        "close name and phone",
        "close name, domain and town or contact person",
        "close name and a domain of its own",
        "close name, phone and domain, moved",
        "moderate name, domain, and phone or address",
        "moderate name, e-mail, domain and phone",
    }
)


def require_known(names: Collection[str]) -> None:
    """Refuse names that no rule has: a rule that somebody meant to switch off must not go on linking.

    Raises:
        ConfigurationError: one line for each unknown name, with those that there are.
    """
    unknown = sorted(set(names) - RULE_NAMES)
    if unknown:
        known = "; ".join(sorted(RULE_NAMES))
        raise ConfigurationError(
            [f"customers.matching.rules_off: there is no rule {name!r}. There are: {known}" for name in unknown]
        )
