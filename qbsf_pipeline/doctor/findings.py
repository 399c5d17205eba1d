"""Findings: what was checked, how it is, what was found, and how a person mends it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from qbsf_pipeline.errors import SYSTEM_NAMES, AccessRefused, ConfigurationError, ServiceError, ServiceUnavailable

#: Clocks may differ by this much. A Salesforce JWT lives for three minutes.
LARGEST_SKEW = timedelta(minutes=2)
_LONGEST_TEXT = 600


class Level(StrEnum):
    """How grave a finding is. A problem keeps deals from being invoiced; a warning does not, or not yet."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


class Area(StrEnum):
    """What a finding is about, in the order in which they are looked at."""

    INSTALLATION = "installation"
    SALESFORCE = "salesforce"
    QUICKBOOKS = "quickbooks"
    SLACK = "slack"
    TOGETHER = "together"
    WORK = "work"

    @property
    def label(self) -> str:
        """For people."""
        return {**SYSTEM_NAMES, "together": "Both systems together", "work": "Work and data"}.get(self, self.capitalize())

    def ok(self, check: str, found: str) -> Finding:
        """All is well."""
        return Finding(self, check, Level.OK, found)

    def warning(self, check: str, found: str, mend: str) -> Finding:
        """A person should know, and may want to mend it."""
        return Finding(self, check, Level.WARNING, found, mend)

    def problem(self, check: str, found: str, mend: str) -> Finding:
        """A person must mend it."""
        return Finding(self, check, Level.PROBLEM, found, mend)


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        area: what it is about.
        check: what was checked: a variable, a field, a preference.
        level: how it is.
        found: what was found, a sentence.
        mend: what a person does about it, with the way through the menus; empty where there is nothing to do.
    """

    area: Area
    check: str
    level: Level
    found: str
    mend: str = ""


_UNREACHABLE = (
    "Try again in some minutes. If it stays: look at the network and proxy of this machine, the address in the settings, and "
    "the service's own status page"
)
_DEFAULT_MEND = {
    Area.SALESFORCE: "Look at the integration user's permissions and at Setup, Login History in Salesforce",
    Area.QUICKBOOKS: "Let a company admin run `qbsf connect quickbooks` again, with the right company and app keys",
    Area.SLACK: "Look at the Slack app's page OAuth & Permissions",
}


def guarded(area: Area, check: str, look: Callable[[], list[Finding]]) -> list[Finding]:
    """The findings of ``look``; where it is refused or not answered, that is the finding."""
    try:
        return look()
    except ConfigurationError as error:
        return [setting_problem(area, line) for line in error.problems]
    except ServiceError as error:
        return [service_problem(area, check, error)]


def setting_problem(area: Area, line: str) -> Finding:
    """A line about a setting (``KEY: what is allowed; what was found``) as a problem of that key."""
    key, separator, rest = line.partition(": ")
    if separator and " " not in key:
        return area.problem(key, rest, f"Correct {key}")
    word = line.split(" ", 1)[0]
    named = word.isupper() and "_" in word
    return area.problem(word if named else "settings", _sentence(line), f"Correct {word}" if named else "Correct the setting")


def service_problem(area: Area, check: str, error: ServiceError) -> Finding:
    """What a service refused, and what to do; the clients' own texts already say so behind a colon."""
    reference = f" (reference {error.request_reference})" if error.request_reference else ""
    found, mend = _split(error.message, parentheses=area is Area.SALESFORCE)
    if isinstance(error, ServiceUnavailable):
        return area.problem(check, shortened(f"{_sentence(error.message)} [{error.code}]{reference}"), _UNREACHABLE)
    if not mend or not isinstance(error, AccessRefused):
        found, mend = error.message, _DEFAULT_MEND.get(area, _UNREACHABLE)
    return area.problem(check, shortened(f"{_sentence(found)} [{error.code}]{reference}"), _sentence(mend))


def clock_finding(area: Area, told: datetime | None, now: datetime, *, signs: bool = False) -> list[Finding]:
    """This machine's clock against a service's.

    Args:
        told: the service's clock in an answer (UTC).
        now: this machine's clock when that answer came.
        signs: what this machine signs carries a time that the service checks (JWT).
    """
    if told is None:
        return []
    skew = now - told
    if abs(skew) <= LARGEST_SKEW:
        return [area.ok("clock", f"it agrees with {area.label}'s")]
    found = f"This machine's clock is {_minutes(skew)} {'ahead of' if skew > timedelta() else 'behind'} {area.label}'s"
    mend = "Let the machine keep its time by NTP (timedatectl set-ntp true)"
    if signs:
        return [area.problem("clock", f"{found}: a signed login (JWT) is refused", mend)]
    return [area.warning("clock", found, mend)]


def listed(names: list[str], most: int = 6) -> str:
    """Some names in a sentence."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def shortened(text: str) -> str:
    """``text`` as long as a line of a report may be."""
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"


def _minutes(skew: timedelta) -> str:
    minutes = round(abs(skew).total_seconds() / 60)
    return f"{minutes} minutes" if minutes < 120 else f"{minutes // 60} hours"


def _split(message: str, *, parentheses: bool) -> tuple[str, str]:
    """What is wrong and what to do about it: parted by the last colon outside parentheses."""
    depth, place = 0, -1
    for position, character in enumerate(message):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 0 and message.startswith(": ", position):
            place = position
    if place > 0:
        return message[:place], message[place + 2 :]
    if parentheses and message.endswith(")") and " (" in message:
        found, _, mend = message[:-1].partition(" (")
        return found, mend
    return message, ""


def _sentence(text: str) -> str:
    # A name of a variable or an address keeps its spelling.
    first = text.split(" ", 1)[0]
    return text[:1].upper() + text[1:] if first.isalpha() and first.islower() else text
