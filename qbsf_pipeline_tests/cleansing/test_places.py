"""Countries, states, postal codes and the fields of an address."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbsf_pipeline.cleansing import places
from qbsf_pipeline.cleansing.places import (
    address_faults,
    country_code,
    country_fault,
    postal_code_fault,
    state_code,
    state_fault,
)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("USA", "US"), ("U.S.A.", "US"), ("united states", "US"), ("United States of America", "US"), ("DE", "DE"),
        ("Deutschland", "DE"), ("Österreich", "AT"), ("Côte d'Ivoire", "CI"), ("Cote d'Ivoire", "CI"), ("England", "GB"),
        ("Viet Nam", "VN"), ("Vietnam", "VN"), ("KOSOVO", "XK"), ("Atlantis", None), ("", None), (None, None),
    ],
)  # fmt: skip
def test_a_country_is_known_by_its_codes_and_usual_names(text: str | None, code: str | None) -> None:
    assert country_code(text) == code


def test_an_unknown_country_is_told_with_what_was_meant_where_something_is_near() -> None:
    assert country_fault("Germny") == ("is no country", "Germany")
    assert country_fault("Colorado Springs") == ("is no country", "")
    assert country_fault("Germany") is None
    assert country_fault(" ") is None


@pytest.mark.parametrize(
    ("country", "state", "code"),
    [
        ("US", "CO", "CO"), ("US", "colorado", "CO"), ("US", "N.Y.", "NY"), ("US", "AE", "AE"), ("US", "PR", "PR"),
        ("CA", "Québec", "QC"), ("CA", "Quebec", "QC"), ("AU", "NSW", "NSW"), ("US", "US-CO", "CO"), ("US", "ZZ", None),
        ("US", None, None), (None, "CO", None),
    ],
)  # fmt: skip
def test_a_state_is_known_by_its_code_and_name_within_its_country(
    country: str | None, state: str | None, code: str | None
) -> None:
    assert state_code(country, state) == code


def test_a_state_is_judged_only_where_states_belong_to_an_address() -> None:
    assert state_fault("US", "Colorodo") == ("is no state or province of the United States", "Colorado")
    assert state_fault("CA", "CO") == ("is no state or province of Canada", "")
    assert state_fault("GB", "Middlesex") is None
    assert state_fault(None, "Colorodo") is None
    assert state_fault("US", "") is None


@pytest.mark.parametrize(
    ("country", "state", "postal_code", "fault"),
    [
        ("US", "CO", "80302", None),
        ("US", "CO", "80302-1234", None),
        ("US", "CO", "803021234", None),
        ("US", "MA", "2110", ("has four digits: the zero in front was lost", "02110")),
        ("US", "CO", "8030", ("has four digits: the zero in front was lost", "08030")),
        ("US", "CO", "803", ("is not written as in that country, such as 80302 or 80302-1234", "")),
        ("US", "CO", "77017", ("does not lie in CO", "")),
        ("US", "New York", "06390", None),  # Fishers Island
        ("US", "TX", "88510", None),  # El Paso
        ("US", "", "77017", None),
        ("CA", "ON", "m5v 3l9", None),
        ("CA", "BC", "M5V 3L9", ("does not lie in BC", "")),
        ("CA", "ON", "12345", ("is not written as in that country, such as K1A 0B1", "")),
        ("GB", None, "SW1A 1AA", None),
        ("GB", None, "EC1", ("is not written as in that country, such as SW1A 1AA", "")),
        ("NL", None, "1012AB", None),
        ("DE", None, "D-40212", ("is not written as in that country, such as 40212", "")),
        ("KE", None, "whatever", None),
        (None, None, "1", None),
        ("US", "CO", None, None),
    ],
)
def test_a_postal_code_is_held_against_country_and_state(
    country: str | None, state: str | None, postal_code: str | None, fault: tuple[str, str] | None
) -> None:
    assert postal_code_fault(country, state, postal_code) == fault


def test_every_form_of_postal_codes_takes_its_own_example() -> None:
    for country, (_, examples) in places._POSTAL_CODES.items():
        for example in examples.split(" or "):
            assert postal_code_fault(country, None, example) is None, country


def test_every_state_and_province_has_postal_codes() -> None:
    states = {state for found in places._ZIP_STATES.values() for state in found.split()}
    assert set(places._states("US").values()) <= states
    provinces = {province for found in places._CANADIAN.values() for province in found.split()}
    assert set(places._states("CA").values()) == provinces


def test_what_stands_in_the_wrong_field_is_told() -> None:
    assert address_faults("1 Main Street\r\nSuite 5", "Boulder", "CO", "80302") == []
    assert address_faults("1 Main Street, Boulder, CO 80302", None, None, None) == [("street", "holds the whole address")]
    assert address_faults("1 Main Street", "Boulder CO 80302", None, None) == [("city", "holds a postal code")]
    assert address_faults("1 High Street", "London SW1A 1AA", None, None) == [("city", "holds a postal code")]
    assert address_faults("1 rue Dante", "Paris 08", None, None) == []
    assert address_faults("a\nb\nc\nd\ne\nf", "x", "y", "1") == [("street", "has 6 lines, and QuickBooks takes 5")]
    assert address_faults(None, None, None, None) == []


@given(st.text(max_size=40), st.text(max_size=20), st.sampled_from([None, "US", "CA", "GB", "AU", "ZZ"]))
def test_no_text_whatever_breaks_the_checks(text: str, other: str, country: str | None) -> None:
    country_fault(text)
    state_fault(country, text)
    postal_code_fault(country, text, other)
    address_faults(text, other, text, other)
