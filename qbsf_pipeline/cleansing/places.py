"""What can be wrong with a written address: the country, the state, the postal code against both, what stands in which field.

Pure text in, text out. Countries and their parts are those of ISO 3166 (pycountry); forms of postal codes are those of the
Universal Postal Union, for the countries that are commonly billed; ZIP areas are those of the United States Postal Service.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

import pycountry
from anyascii import anyascii
from rapidfuzz import fuzz, process

from qbsf_pipeline.customers.matching.vocabulary import COUNTRY_CODES

#: Countries whose addresses name a state or province that ISO 3166-2 lists as people write it.
_WITH_STATES = frozenset({"US", "CA", "AU", "BR", "IN"})
_MILITARY = {"aa": "AA", "ae": "AE", "ap": "AP", "armed forces americas": "AA", "armed forces europe": "AE",
             "armed forces pacific": "AP"}  # fmt: skip
_NEAR = 84

#: Country -> (form of its postal codes without surrounding spaces, in capitals; an example).
_POSTAL_CODES: Mapping[str, tuple[str, str]] = {
    "US": (r"\d{5}(-?\d{4})?", "80302 or 80302-1234"),
    "PR": (r"00[679]\d{2}(-?\d{4})?", "00901"),
    "CA": (r"[ABCEGHJ-NPRSTVXY]\d[A-Z] ?\d[A-Z]\d", "K1A 0B1"),
    "GB": (r"(GIR ?0AA|[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2})", "SW1A 1AA"),
    "IE": (r"([AC-FHKNPRTV-Y]\d{2}|D6W) ?[0-9AC-FHKNPRTV-Y]{4}", "D02 X285"),
    "DE": (r"\d{5}", "40212"),
    "AT": (r"\d{4}", "1010"),
    "CH": (r"\d{4}", "8001"),
    "LI": (r"\d{4}", "9490"),
    "FR": (r"\d{5}", "75008"),
    "BE": (r"\d{4}", "1000"),
    "NL": (r"[1-9]\d{3} ?[A-Z]{2}", "1012 AB"),
    "LU": (r"(L-?)?\d{4}", "1111"),
    "ES": (r"\d{5}", "28001"),
    "PT": (r"\d{4}(-?\d{3})?", "1000-205"),
    "IT": (r"\d{5}", "00184"),
    "SE": (r"(SE-?)?\d{3} ?\d{2}", "111 22"),
    "NO": (r"\d{4}", "0150"),
    "DK": (r"(DK-?)?\d{4}", "1050"),
    "FI": (r"\d{5}", "00100"),
    "PL": (r"\d{2}-?\d{3}", "00-001"),
    "CZ": (r"\d{3} ?\d{2}", "110 00"),
    "SK": (r"\d{3} ?\d{2}", "811 01"),
    "HU": (r"\d{4}", "1051"),
    "RO": (r"\d{6}", "010011"),
    "GR": (r"\d{3} ?\d{2}", "105 57"),
    "TR": (r"\d{5}", "34000"),
    "IL": (r"\d{5}(\d{2})?", "6100000"),
    "SA": (r"\d{5}(-?\d{4})?", "11564"),
    "ZA": (r"\d{4}", "8001"),
    "IN": (r"[1-9]\d{2} ?\d{3}", "110001"),
    "CN": (r"\d{6}", "100000"),
    "TW": (r"\d{3}(-?\d{2,3})?", "100"),
    "JP": (r"\d{3}-?\d{4}", "100-0001"),
    "KR": (r"\d{5}|\d{3}-\d{3}", "04524"),
    "SG": (r"\d{6}", "018956"),
    "MY": (r"\d{5}", "50050"),
    "TH": (r"\d{5}", "10110"),
    "PH": (r"\d{4}", "1000"),
    "ID": (r"\d{5}", "10110"),
    "AU": (r"\d{4}", "2000"),
    "NZ": (r"\d{4}", "6011"),
    "MX": (r"\d{5}", "06000"),
    "BR": (r"\d{5}-?\d{3}", "01310-100"),
    "AR": (r"[A-Z]?\d{4}([A-Z]{3})?", "C1425"),
    "CL": (r"\d{3} ?-?\d{4}", "8320000"),
    "CO": (r"\d{6}", "110111"),
}
#: First digit of a ZIP code -> the states that it stands for; three digits where an area lies outside its digit's states.
_ZIP_STATES: Mapping[str, str] = {
    "0": "CT MA ME NH NJ PR RI VT VI AE",
    "1": "DE NY PA",
    "2": "DC MD NC SC VA WV",
    "3": "AL FL GA MS TN AA",
    "4": "IN KY MI OH",
    "5": "IA MN MT ND SD WI",
    "6": "IL KS MO NE",
    "7": "AR LA OK TX",
    "8": "AZ CO ID NM NV UT WY",
    "9": "AK AS CA FM GU HI MH MP OR PW UM WA AP",
    "005": "NY",
    "063": "CT NY",
    "569": "DC",
    "885": "TX",
}
#: First letter of a Canadian postal code -> provinces (Canada Post).
_CANADIAN: Mapping[str, str] = {
    "A": "NL", "B": "NS", "C": "PE", "E": "NB", "G": "QC", "H": "QC", "J": "QC", "K": "ON QC", "L": "ON", "M": "ON",
    "N": "ON", "P": "ON", "R": "MB", "S": "SK", "T": "AB", "V": "BC", "X": "NT NU", "Y": "YT",
}  # fmt: skip
_LAST_LINE = re.compile(r"[,\n]\s*[^,\n\d]+,?\s+[A-Z]{2}\.?\s+\d{5}(-\d{4})?\s*(,?\s*(USA?|United States))?\s*$")
_DIGITS_IN_CITY = re.compile(r"\d{4,}|\b[A-Z]\d[A-Z] ?\d[A-Z]\d\b|\b[A-Z]{1,2}\d[A-Z\d]? \d[A-Z]{2}\b")
_STREET_LINES = 5


def country_code(text: str | None) -> str | None:
    """The two-letter code of a country as written: code, name in English, or one of the usual other names."""
    folded = _folded(text)
    return _countries().get(folded) if folded else None


def country_fault(country: str | None) -> tuple[str, str] | None:
    """What is wrong with a country, and what was probably meant (empty where nothing is near); ``None`` where it is known."""
    if not (country or "").strip() or country_code(country) is not None:
        return None
    near = process.extractOne(_folded(country), _names_of_countries(), scorer=fuzz.ratio, score_cutoff=_NEAR)
    meant = ""
    if near is not None:
        meant = _called(_countries()[near[0]]).removeprefix("the ")
    return "is no country", meant


def state_code(country: str | None, state: str | None) -> str | None:
    """The code of a state within its country (``CO``), for a country code and a state as written; ``None`` where unknown."""
    return _states(country).get(_folded(state)) if country else None


def state_fault(country: str | None, state: str | None) -> tuple[str, str] | None:
    """What is wrong with a state, and what was probably meant; ``None`` where it is known or its country has no list of them.

    Args:
        country: two-letter code.
    """
    if country is None or country not in _WITH_STATES or not (state or "").strip() or state_code(country, state) is not None:
        return None
    near = process.extractOne(
        _folded(state), [name for name in _states(country) if len(name) > 3], scorer=fuzz.ratio, score_cutoff=_NEAR
    )
    meant = near[0].title() if near is not None else ""
    return f"is no state or province of {_called(country)}", meant


def postal_code_fault(country: str | None, state: str | None, postal_code: str | None) -> tuple[str, str] | None:
    """What is wrong with a postal code, and what it may have been; ``None`` where it fits, or nobody can tell.

    Args:
        country: two-letter code.
        state: as written.
    """
    code = " ".join((postal_code or "").split()).upper()
    if not code or country is None or country not in _POSTAL_CODES:
        return None
    form, example = _POSTAL_CODES[country]
    if re.fullmatch(form, code) is None:
        if country == "US" and code.isdigit() and len(code) == 4:
            return "has four digits: the zero in front was lost", code.zfill(5)
        return f"is not written as in that country, such as {example}", ""
    region = state_code(country, state)
    if region is None or country not in ("US", "CA"):
        return None
    fitting = _CANADIAN[code[0]] if country == "CA" else _ZIP_STATES.get(code[:3]) or _ZIP_STATES[code[0]]
    if region in fitting.split():
        return None
    return f"does not lie in {region}", ""


def address_faults(street: str | None, city: str | None, state: str | None, postal_code: str | None) -> list[tuple[str, str]]:
    """(field, what is wrong) of everything that stands in the wrong field or is longer than QuickBooks takes."""
    faults = []
    lines = [line for line in (street or "").replace("\r\n", "\n").replace("\r", "\n").split("\n") if line.strip()]
    if len(lines) > _STREET_LINES:
        faults.append(("street", f"has {len(lines)} lines, and QuickBooks takes {_STREET_LINES}"))
    if _LAST_LINE.search("\n".join(lines)) and not ((postal_code or "").strip() and (city or "").strip()):
        faults.append(("street", "holds the whole address"))
    if _DIGITS_IN_CITY.search((city or "").upper()):
        faults.append(("city", "holds a postal code"))
    return faults


@cache
def _countries() -> Mapping[str, str]:
    found: dict[str, str] = {}
    for country in pycountry.countries:
        names = [getattr(country, name, None) for name in ("alpha_2", "alpha_3", "name", "official_name", "common_name")]
        for name in names:
            if name:
                found.setdefault(_folded(name), country.alpha_2)
    return found | {_folded(name): code for name, code in COUNTRY_CODES.items()} | {"kosovo": "XK", "xk": "XK"}


def _called(code: str) -> str:
    """A country's usual name in English."""
    country = pycountry.countries.get(alpha_2=code)
    name = str(getattr(country, "common_name", None) or getattr(country, "name", code))
    return f"the {name}" if name.startswith("United ") else name


@cache
def _names_of_countries() -> list[str]:
    return [name for name, code in _countries().items() if len(name) > 3 and code != "XK"]


@cache
def _states(country: str | None) -> Mapping[str, str]:
    found = dict(_MILITARY) if country == "US" else {}
    for part in pycountry.subdivisions.get(country_code=country) or ():  # type: ignore[no-untyped-call]
        code = part.code.partition("-")[2]
        found[_folded(code)] = code
        found[_folded(part.code)] = code
        found[_folded(part.name)] = code
    if country == "US":
        found["washington dc"] = "DC"
        found["washington d c"] = "DC"
    return found


@cache
def _folded(text: str | None) -> str:
    return " ".join(re.sub(r"[^a-z0-9]+", " ", anyascii((text or "").replace(".", "")).lower()).split())
