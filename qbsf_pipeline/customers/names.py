"""Names of companies: how two spellings are compared, and which spelling QuickBooks accepts.

Pure text in, text out. What follows from two equal names is decided in :mod:`qbsf_pipeline.customers.plan`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container, Mapping

#: Intuit's API takes 500 characters, its own pages and many tools stop at 100.
DISPLAY_NAME_LENGTH = 100
NAMELESS = "Unnamed customer"

_MOST_LEGAL_FORMS = 3

#: Letters with a stroke or ligature, which Unicode does not take apart as it does accents.
_LETTERS = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "\u0131": "i", "æ": "ae", "œ": "oe", "þ": "th"})

#: Legal forms as they look after :func:`_words`, by the kind of body they stand for. "Inc." and "Corp." are used for one
#: and the same company; "AG" and "GmbH" of one name are two companies.
_FORMS: Mapping[str, tuple[str, ...]] = {
    "corporation": ("inc", "incorporated", "corp", "corporation"),
    "company": ("co", "company"),
    "limited liability company": ("llc", "limited liability company"),
    "limited": ("ltd", "limited", "co ltd", "pty ltd", "pte ltd", "pvt ltd", "private limited", "pty limited"),
    "public limited company": ("plc",),
    "partnership": ("lp", "llp", "lllp", "limited partnership"),
    "professional": ("pc", "pllc"),
    "gmbh": ("gmbh", "mbh"),
    "gmbh and co kg": ("gmbh and co kg", "gmbh co kg", "gmbh and co kgaa"),
    "ug": ("ug", "ug haftungsbeschrankt"),
    "ag": ("ag",),
    "kg": ("kg", "ohg", "kgaa"),
    "sa": ("sa", "sociedad anonima", "sa de cv"),
    "sarl": ("sarl", "sas", "sasu", "eurl"),
    "srl": ("srl", "sl", "srls", "s de rl de cv"),
    "spa": ("spa",),
    "bv": ("bv", "nv"),
    "nordic": ("ab", "as", "asa", "aps", "oy", "oyj"),
    "central european": ("sro", "kft", "zrt", "doo", "sp z oo", "spzoo"),
    "kk": ("kk", "kabushiki kaisha", "godo kaisha"),
    "ltda": ("ltda", "limitada"),
}
_FAMILY_OF: Mapping[tuple[str, ...], str] = {tuple(form.split()): family for family, forms in _FORMS.items() for form in forms}
_LONGEST_FORM = max(len(form) for form in _FAMILY_OF)


def normalised_name(text: str | None) -> str:
    """The name as it is compared: words in lower case without accents, punctuation, "the" around it and legal forms at its end.

    Legal forms go only from the end ("SAS Institute" keeps its first word), at most three, and never the last word. Scripts
    other than Latin stay as they are. Empty when the name has no letter or digit; an empty name equals no other.
    """
    words, _ = _without_legal_forms(_words(text))
    return " ".join(words)


def legal_form_family(text: str | None) -> str | None:
    """What kind of body the legal form at the name's end stands for (``corporation``, ``gmbh`` ...); ``None`` if it has none."""
    _, family = _without_legal_forms(_words(text))
    return family


def legal_display_name(name: str | None) -> tuple[str, bool]:
    """The name as QuickBooks takes it for DisplayName, and whether it had to be mended.

    No colon (it separates parent and child), tab, line break or other control character; 1 to 100 characters, trimmed
    (Intuit's API reference, Customer).
    """
    text = name or ""
    cleaned = "".join(_display_character(character) for character in unicodedata.normalize("NFC", text))
    cleaned = re.sub(r"\s*:\s*", " - ", cleaned)
    cleaned = _cut(" ".join(cleaned.split()), DISPLAY_NAME_LENGTH).strip(" -") or NAMELESS
    return cleaned, cleaned != text


def unique_name(name: str, taken: Container[str], suffix: str) -> str:
    """``name``, or with the first free number behind it when another record has it.

    Args:
        name: a legal name of at most 100 characters.
        taken: names in use, as :func:`name_key` gives them (QuickBooks compares names without case, over customers,
            vendors and employees together).
        suffix: the rule ``customers.taken_name_suffix``, with ``{number}`` for the number, which begins at 2.
    """
    if name_key(name) not in taken:
        return name
    # A suffix without a number gives one name only, so the number is put behind it.
    pattern = suffix if "{number}" in suffix else suffix + " {number}"
    number = 2
    while True:
        ending = pattern.replace("{number}", str(number))
        candidate = _cut(name, DISPLAY_NAME_LENGTH - len(ending)).rstrip() + ending
        if name_key(candidate) not in taken:
            return candidate
        number += 1


def name_key(name: str) -> str:
    """The form in which QuickBooks finds two names to be the same: without case and surplus spaces."""
    return " ".join(unicodedata.normalize("NFC", name).casefold().split())


def _words(text: str | None) -> list[str]:
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text or "").casefold())
    # Only the accents of European scripts go: in others a mark makes another letter.
    folded = "".join(character for character in folded if not "\u0300" <= character <= "\u036f")
    folded = unicodedata.normalize("NFC", folded).translate(_LETTERS)
    folded = re.sub("['`\u00b4\u02bc\u2018\u2019]", "", folded)
    folded = re.sub(r"\ba/s(?=\W*$)", "as", folded).replace("&", " and ").replace("+", " plus ")
    # "I.B.M." and "L.L.C." are one word, "St. Mary" is two.
    folded = re.sub(r"\b(?:\w\.){2,}\w?(?!\w)|\b\w\.\w\b(?!\w)", lambda found: found.group().replace(".", ""), folded)
    words = "".join(character if _is_word_character(character) else " " for character in folded).split()
    while len(words) > 1 and words[0] == "the":
        words = words[1:]
    while len(words) > 1 and words[-1] == "the":
        words = words[:-1]
    return words


def _is_word_character(character: str) -> bool:
    return unicodedata.category(character)[0] in "LNM"


def _without_legal_forms(words: list[str]) -> tuple[list[str], str | None]:
    family: str | None = None
    for _ in range(_MOST_LEGAL_FORMS):
        for length in range(min(_LONGEST_FORM, len(words) - 1), 0, -1):
            found = _FAMILY_OF.get(tuple(words[-length:]))
            if found is not None:
                words = words[:-length]
                # "Acme Co., Inc." is a corporation: the last form says what the body is.
                family = family or found
                break
        else:
            break
        while len(words) > 1 and words[-1] == "and":
            words = words[:-1]
    return words, family


def _display_character(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cs":
        return ""
    return " " if category in ("Cc", "Zl", "Zp") else character


def _cut(text: str, length: int) -> str:
    cut = text[:length]
    # QuickBooks counts UTF-16 units: a character beyond the basic plane is two.
    while len(cut.encode("utf-16-le")) // 2 > length:
        cut = cut[:-1]
    return cut.rstrip()
