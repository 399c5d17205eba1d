"""E-mails, phones and web addresses: what is sound, and why the rest is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbsf_pipeline.cleansing.contact_details import email_fault, meant_domain, phone_fault, website_fault


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (None, None),
        ("  ", None),
        ("ap@acme.example", None),
        (" ap@acme.example ", None),
        ("o'hara+bills@sub.acme.co.uk", None),
        ("rechnung@müller.de", None),
        ("ap.acme.example", "has no @"),
        ("ap@acme.example, cfo@acme.example", "holds more than one address"),
        ("ap@acme.example;cfo@acme.example", "holds more than one address"),
        ("ap@x@acme.example", "holds more than one address"),
        ("ap @acme.example", "has a space in it"),
        ("AP <ap@acme.example>", "has a space in it"),
        ("<ap@acme.example>", "holds more than the address"),
        ("mailto:ap@acme.example", "holds more than the address"),
        ("@acme.example", "has nothing before the @"),
        ("ap@acme", "has no dot in its domain"),
        ("ap@acme..example", "has a dot in the wrong place"),
        ("ap.@acme.example", "has a dot in the wrong place"),
        ("ap@acme.example.", "has a dot in the wrong place"),
        ("schröder@acme.example", "has a character that an address cannot have"),
        ("a" * 60 + "@" + "b" * 40 + ".example", "has more than 100 characters"),
    ],
)
def test_a_malformed_address_is_told_with_its_fault(text: str | None, fault: str | None) -> None:
    assert email_fault(text) == fault


def test_quickbooks_may_hold_several_addresses_and_the_wrong_one_is_named() -> None:
    assert email_fault("ap@acme.example, cfo@acme.example", several=True) is None
    assert email_fault("ap@acme.example, cfo(at)acme.example", several=True) == "holds cfo(at)acme.example, which has no @"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("ann@gmial.com", "gmail.com"),
        ("ann@gmail.con", "gmail.com"),
        ("ann@hotmial.com", "hotmail.com"),
        ("ann@yahoo.cmo", "yahoo.com"),
        ("ann@gmail.com", None),
        ("ann@ymail.com", None),
        ("ann@yahoo.fr", None),
        ("ann@hotmail.co.uk", None),
        ("ann@mail.acme.example", None),
        ("ann@acme.com", None),
        ("nonsense", None),
        (None, None),
    ],
)
def test_a_slip_in_a_well_known_domain_is_seen_and_a_real_domain_is_left_alone(text: str | None, meant: str | None) -> None:
    assert meant_domain(text) == meant


@pytest.mark.parametrize(
    ("text", "country", "fault"),
    [
        (None, "US", None),
        ("(303) 555-0101", "US", None),
        ("303.555.0101 x12", "US", None),
        ("1-800-FLOWERS", "US", None),
        ("+49 211 123456", "US", None),
        ("0211 123456", "DE", None),
        ("555-0101", "US", None),  # local numbers are possible
        ("12345", "US", "is too short"),
        ("(555) 0100-1000", "US", "is too long"),
        ("call Ann", "US", "has no digits"),
        ("+999 1234567", "US", "has a country code that does not exist"),
        ("0211 123456", None, None),  # nobody can tell without a country
        ("1" * 31, "US", "has more than the 30 characters that QuickBooks takes"),
    ],
)
def test_a_number_that_cannot_be_one_is_told(text: str | None, country: str | None, fault: str | None) -> None:
    assert phone_fault(text, country) == fault


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (None, None),
        ("https://www.acme.example/about?x=1", None),
        ("acme.co.uk", None),
        ("http://acme.example:8080", None),
        ("müller.de", None),
        ("ann@acme.example", "is an e-mail address"),
        ("www", "names no web domain"),
        ("http://localhost", "names no web domain"),
        ("none", "names no web domain"),
        ("co.uk", "names no web domain"),
        ("acme example.com", "has a space in it"),
        ("ac'me.example", "has a character that a web address cannot have"),
        ("https://", "names no web domain"),
    ],
)
def test_a_web_address_that_names_no_domain_is_told(text: str | None, fault: str | None) -> None:
    assert website_fault(text) == fault


@given(st.text(max_size=60), st.sampled_from([None, "US", "DE", "XX"]))
def test_no_text_whatever_breaks_the_checks(text: str, country: str | None) -> None:
    for fault in (email_fault(text), email_fault(text, several=True), phone_fault(text, country), website_fault(text)):
        assert fault is None or fault
    assert meant_domain(text) is None or "." in meant_domain(text)
