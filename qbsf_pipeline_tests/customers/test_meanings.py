"""Meanings: formatting is no difference, and what is a difference stays one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbsf_pipeline.customers.fields import Address, Person
from qbsf_pipeline.customers.meanings import country_code, mailboxes_meant, meaning, state_code

BOULDER = Address("1 Main Street\nSuite 5", "Boulder", "CO", "80302", "USA")


@pytest.mark.parametrize(
    ("compare", "one", "other"),
    [
        (["case"], "ACME", "acme"),
        (["space"], " Acme \t Inc\u00a0", "Acme Inc"),
        (["space"], "Acme\u200b Inc", "Acme Inc"),
        (["case", "space", "punctuation"], "O\u2019Brien & Sons, Inc.", "OBRIEN and Sons Inc"),
        (["case", "space", "punctuation"], "Acme: West", "Acme - West"),
        (["phone"], "(303) 555-0101", "+1 303.555.0101"),
        (["phone"], "303-555-0101 ext 12", "+13035550101 x12"),
        (["phone"], "1-800-FLOWERS", "+1 (800) 356-9377"),
        (["phone"], "N/A", "n/a"),
        (["web"], "http://www.Acme.example/", "acme.example"),
        (["web"], "HTTPS://acme.example:443/Shop/", "www.acme.example/Shop"),
        (["email"], "AP@Acme.example", "ap@acme.example"),
        (["email"], "b@x.example; a@x.example", "a@x.example, b@x.example"),
        (["email"], "Ann Lee <ann@x.example>", "ann@x.example"),
        (["email"], "ap@m\u00fcnchen.example", "ap@xn--mnchen-3ya.example"),
        (["terms"], "Net 30", "NET30"),
        (["terms"], "net-30 days", "30 days"),
        (["terms"], "N30", "Net 030"),
        (["terms"], "Due on receipt", "due upon Receipt."),
        (["terms"], "2% 10, Net 30", "2% 10 net 30"),
    ],
)
def test_two_spellings_of_one_meaning_are_equal(compare, one, other):
    assert meaning(one, compare) == meaning(other, compare)


@pytest.mark.parametrize(
    ("compare", "one", "other"),
    [
        (["case", "space", "punctuation"], "Acme East", "Acme West"),
        (["case", "space", "punctuation"], "!!!", "???"),
        (["case", "space", "punctuation"], "Store #12", "Store 12"),
        (["case", "space", "punctuation"], "C++", "C"),
        (["space"], "Acme", "acme"),
        (["phone"], "303-555-0101", "303-555-0102"),
        (["phone"], "303-555-0101 x1", "303-555-0101 x2"),
        (["web"], "acme.example/a", "acme.example/b"),
        (["web"], "acme.example", "shop.acme.example"),
        (["email"], "ap@acme.example", "ar@acme.example"),
        (["terms"], "Net 30", "Net 60"),
        (["terms"], "Net 30", "Due on receipt"),
        (["terms"], "2/10 Net 30", "Net 30"),
    ],
)
def test_two_meanings_are_not(compare, one, other):
    assert meaning(one, compare) != meaning(other, compare)


@pytest.mark.parametrize(
    "other",
    [
        Address("1 Main St., Ste. 5", "BOULDER", "Colorado", "80302-1234", "United States"),
        Address("1 MAIN ST #5", "Boulder", "co", "80302", "US"),
        Address("1 Main St\nUnit 5", "Boulder", "C.O.", "803021234", "U.S.A."),
        Address("1 Main Street, Apt 5", "Boulder", "CO", "80302", ""),
    ],
)
def test_one_place_may_be_written_in_many_ways(other):
    assert meaning(other, ["address"]) == meaning(BOULDER, ["address"])


@pytest.mark.parametrize(
    "other",
    [
        BOULDER._replace(street="2 Main Street\nSuite 5"),
        BOULDER._replace(street="1 Main Street\nSuite 6"),
        BOULDER._replace(street="1 Main Street"),
        BOULDER._replace(city="Denver"),
        BOULDER._replace(state="WY"),
        BOULDER._replace(postal_code="80303"),
        BOULDER._replace(country="Canada"),
    ],
)
def test_another_place_is_another_meaning(other):
    assert meaning(other, ["address"]) != meaning(BOULDER, ["address"])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Address("Bahnhofstr. 1", "Z\u00fcrich", "", "8001", "Schweiz"), Address("Bahnhofstr 1", "Zurich", "", "8001", "CH")),
        (
            Address("1 Rue X", "Montr\u00e9al", "Qu\u00e9bec", "H2X 1Y4", "Canada"),
            Address("1 rue X", "Montreal", "QC", "h2x1y4", ""),
        ),
        (Address("P.O. Box 7", "London", "", "SW1A 1AA", "UK"), Address("PO Box 7", "London", "", "sw1a1aa", "United Kingdom")),
        (Address("1 A St", "Sydney", "New South Wales", "2000", "AU"), Address("1 A St", "Sydney", "NSW", "2000", "Australia")),
    ],
)
def test_addresses_elsewhere_are_compared_too(one, other):
    assert meaning(one, ["address"]) == meaning(other, ["address"])


def test_a_phone_number_without_country_code_is_dialled_where_the_account_is():
    assert meaning("020 7946 0000", ["phone"], "GB") == meaning("+44 20 7946 0000", ["phone"], "US")
    assert meaning("020 7946 0000", ["phone"], "US") != meaning("+44 20 7946 0000", ["phone"], "US")


def test_states_and_countries_are_known_by_name_and_code():
    assert (state_code("colorado", ""), state_code("CO", "US"), state_code("Ontario", ""), state_code("WA", "AU")) == (
        *("CO", "CO", "ON", "WA"),
    )
    assert state_code("Bayern", "DE") == ""
    assert (country_code("U.S.A."), country_code("Kenya"), country_code("KEN"), country_code("Narnia"), country_code(None)) == (
        *("US", "KE", "KE", "", ""),
    )


def test_nothing_means_nothing_and_a_person_is_the_whole_name():
    assert meaning(None, ["case"]) is meaning("", ["case"]) is None
    assert meaning(Person("Ann Marie", "LEE"), ["case", "space"]) == meaning(Person("Ann", "Marie Lee"), ["case", "space"])
    assert mailboxes_meant("A@x.example, b@x.example") == {"a@x.example", "b@x.example"}


@given(
    st.text(max_size=60),
    st.lists(st.sampled_from(["case", "space", "punctuation", "email", "phone", "web", "terms"]), unique=True),
    st.sampled_from(["US", "GB", "DE"]),
)
def test_any_text_has_a_meaning_and_the_same_text_has_the_same(text, compare, region):
    assert meaning(text, compare, region) == meaning(str(text), list(compare), region)


@given(st.builds(Address, *[st.text(max_size=20)] * 5))
def test_any_address_has_a_meaning_that_neither_case_nor_space_changes(address):
    ascii_only = Address(*(part.encode("ascii", "ignore").decode() for part in address))
    spaced = Address(*(f"  {part.upper()} " for part in ascii_only))
    assert meaning(ascii_only, ["address"]) == meaning(spaced, ["address"])
