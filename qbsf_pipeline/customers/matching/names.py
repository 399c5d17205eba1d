"""Names of companies: how two spellings are compared, and which spelling QuickBooks accepts.

Pure text in, text out. What follows from two equal names is decided in :mod:`qbsf_pipeline.customers.matching.plan`.
"""

# ruff: noqa: RUF001 (Cyrillic legal forms)

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container, Mapping
from functools import lru_cache

#: Intuit's API takes 500 characters, its own pages and many tools stop at 100.
DISPLAY_NAME_LENGTH = 100
NAMELESS = "Unnamed customer"

_MOST_LEGAL_FORMS = 3

_APOSTROPHE = re.compile("['`\u00b4\u02bc\u2018\u2019]")
_A_S = re.compile(r"\ba/s(?=\W*$)")
_DOTTED = re.compile(r"\b(?:\w\.){2,}\w?(?!\w)|\b\w\.\w\b(?!\w)")
#: "SpA" and "S.p.A." are a form, "Spa" is a place to bathe.
_S_P_A = re.compile(r"\bSpA\b|\b[Ss]\.\s?[Pp]\.\s?[Aa]\b\.?")
#: "P.A." is a form, "PA" is Pennsylvania.
_P_A = re.compile(r"\bP\.\s?A\.(?!\w)", re.IGNORECASE)
_ASCII_WORD = re.compile(r"[a-z0-9]+")

#: Letters with a stroke or ligature, which Unicode does not take apart as it does accents.
_LETTERS = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "\u0131": "i", "æ": "ae", "œ": "oe", "þ": "th"})

#: Legal forms as they look after :func:`_words`, by the kind of body they stand for. "Inc." and "Corp." are used for one
#: and the same company; "AG" and "GmbH" of one name are two companies.
_FORMS: Mapping[str, tuple[str, ...]] = {
    "corporation": ("inc", "incorporated", "corp", "corporation", "incorp"),
    "company": ("co", "company", "ltee", "ltée"),
    "limited liability company": ("llc", "limited liability company", "limited liability co", "lc", "ltd liability co", "ulc"),
    "limited": (
        *("ltd", "limited", "co ltd", "pty ltd", "pty", "pte ltd", "pte", "pvt ltd", "pvt", "private limited"),
        *("proprietary limited", "pty limited", "sdn bhd", "bhd", "berhad", "cyf"),
    ),
    "public limited company": ("plc", "public limited company", "ccc"),
    "partnership": ("lp", "llp", "lllp", "limited partnership", "limited liability partnership"),
    "professional": ("pc", "pllc", "professional corporation", "professional association", "profassoc", "apc"),
    "gmbh": ("gmbh", "mbh", "ggmbh", "gesellschaft mit beschrankter haftung"),
    "gmbh and co kg": ("gmbh and co kg", "gmbh co kg", "gmbh and co kgaa", "ag and co kg", "ag and co kgaa"),
    "ug": ("ug", "ug haftungsbeschrankt"),
    "ag": ("ag", "aktiengesellschaft"),
    "kg": ("kg", "ohg", "kgaa", "kommanditgesellschaft", "gbr"),
    "sole trader": ("ek", "e k", "eingetragener kaufmann", "eirl"),
    "association": ("ev", "eingetragener verein"),
    "sa": ("sa", "sociedad anonima", "societe anonyme", "sociedade anonima"),
    "sa de cv": ("sa de cv", "sab de cv", "sapi de cv"),
    "sarl": ("sarl", "sas", "sasu", "eurl", "societe a responsabilite limitee", "snc"),
    "srl": ("srl", "sl", "slu", "srls", "s de rl de cv", "srl de cv", "sociedad limitada"),
    "spa": ("sapa",),
    "bv": ("bv", "nv", "bvba", "cvba", "vof", "besloten vennootschap"),
    "nordic": ("ab", "as", "asa", "aps", "oy", "oyj", "oy ab", "ab publ", "hf", "ehf", "aktiebolag"),
    "baltic": ("ou", "sia", "uab"),
    "central european": (
        *("sro", "spol sro", "kft", "zrt", "nyrt", "doo", "dd", "sp z oo", "spzoo", "sp zoo", "sp j", "sp k"),
        *("spolka z oo", "spolka akcyjna", "eood", "ood"),
    ),
    "russian": ("ooo", "zao", "oao", "pao", "ооо", "зао", "оао", "пао", "тов"),
    "kk": ("kk", "kabushiki kaisha", "kabushiki gaisha", "godo kaisha", "yk"),
    "ltda": ("ltda", "limitada", "lda", "me epp"),
    "gulf": ("fze", "fzco", "fz llc", "wll", "dmcc"),
}
#: Forms that are written before the name. Only what cannot begin an English name: "SAS Institute" keeps its first word.
_LEADING_FORMS = frozenset(("ооо", "зао", "оао", "пао", "тов", "ип"))
#: Forms of scripts without spaces between words.
_JOINED_FORMS: Mapping[str, str] = {
    "株式会社": "kk",
    "(株)": "kk",
    "\uff08株\uff09": "kk",
    "有限会社": "kk",
    "合同会社": "kk",
    "股份有限公司": "limited",
    "有限责任公司": "limited liability company",
    "有限公司": "limited",
    "주식회사": "kk",
    "(주)": "kk",
}
_FAMILY_OF: Mapping[tuple[str, ...], str] = {tuple(form.split()): family for family, forms in _FORMS.items() for form in forms}
_LONGEST_FORM = max(len(form) for form in _FAMILY_OF)


def normalised_name(text: str | None) -> str:
    """The name as it is compared: words in lower case without accents, punctuation, "the" around it and legal forms at its end.

    Legal forms go only from the end ("SAS Institute" keeps its first word), at most three, and never the last word. Scripts
    other than Latin stay as they are. Empty when the name has no letter or digit; an empty name equals no other.
    """
    return _name_and_family(text)[0]


def legal_form_family(text: str | None) -> str | None:
    """What kind of body the legal form at the name's end stands for (``corporation``, ``gmbh`` ...); ``None`` if it has none."""
    return _name_and_family(text)[1]


def joined_legal_form(text: str) -> str | None:
    """The kind of body that a form written without spaces stands for (Japanese, Chinese, Korean); ``None`` without one."""
    return None if text.isascii() else next((family for form, family in _JOINED_FORMS.items() if form in text), None)


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


@lru_cache(maxsize=65_536)
def _name_and_family(text: str | None) -> tuple[str, str | None]:
    """The compared name and the kind of body, kept: the same names and cities come many times in one matching."""
    words, family = split_legal_form(name_words(text))
    return " ".join(words), family


def name_words(text: str | None) -> list[str]:
    """The words of a name in lower case, without accents, punctuation and "the" around it; legal forms are still there."""
    given = text or ""
    if "pA" in given or ".p." in given.lower():
        given = _S_P_A.sub("sapa", given)
    if ".a" in given.lower():
        given = _P_A.sub("profassoc", given)
    if given.isascii():
        folded = given.lower()
    else:
        for form in _JOINED_FORMS:
            # With nothing beside it, the form is all the name there is.
            given = given.replace(form, " ") if given.replace(form, "").strip() else given
        folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", given).casefold())
        # Only the accents of European scripts go: in others a mark makes another letter.
        folded = "".join(character for character in folded if not "\u0300" <= character <= "\u036f")
        folded = unicodedata.normalize("NFC", folded).translate(_LETTERS)
    folded = _APOSTROPHE.sub("", folded)
    if "a/s" in folded:
        folded = _A_S.sub("as", folded)
    folded = folded.replace("&", " and ").replace("+", " plus ")
    if "." in folded:
        # "I.B.M." and "L.L.C." are one word, "St. Mary" is two.
        folded = _DOTTED.sub(lambda found: found.group().replace(".", ""), folded)
    if folded.isascii():
        words = _ASCII_WORD.findall(folded)
    else:
        words = "".join(character if _is_word_character(character) else " " for character in folded).split()
    while len(words) > 1 and words[0] == "the":
        words = words[1:]
    while len(words) > 1 and words[-1] == "the":
        words = words[:-1]
    if len(words) > 1 and words[0] in _LEADING_FORMS:
        words = words[1:]
    return words


def _is_word_character(character: str) -> bool:
    return unicodedata.category(character)[0] in "LNM"


def split_legal_form(words: list[str]) -> tuple[list[str], str | None]:
    """The words without the legal forms at the end, and the kind of body that the last form stands for."""
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
