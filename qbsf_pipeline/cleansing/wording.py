"""How findings name things: quoted values, lists, numbers of things."""

from __future__ import annotations

from collections.abc import Sequence

_LONGEST = 120
_MOST = 6


def shown(text: str | None) -> str:
    """A value in quotation marks, on one line; a long one is cut."""
    one_line = " ".join((text or "").split())
    if len(one_line) > _LONGEST:
        one_line = one_line[: _LONGEST - 1] + "…"
    return f"“{one_line}”" if one_line else "“(no name)”"


def listed(words: Sequence[str], joint: str) -> str:
    """``a, b and c``."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {joint} {words[-1]}"


def some(words: Sequence[str]) -> str:
    """The first of many, and how many more."""
    if len(words) <= _MOST:
        return listed(words, "and")
    return f"{', '.join(words[:_MOST])} and {len(words) - _MOST} more"


def numbered(number: int, noun: str) -> str:
    """``1 deal``, ``3 deals``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
