"""Pairs that look alike and are not, or look different and are one: each from a case that went wrong somewhere."""

# ruff: noqa: RUF001 (names in other scripts)

from __future__ import annotations

from typing import Any

import pytest

from qbsf_pipeline.customers.matching.normalising import Normaliser, registrable_domain
from qbsf_pipeline.money import parse_json
from qbsf_pipeline_tests.invoices.records import World, account, customer

_PLACE = {"billing_street": "1 Main Street", "billing_city": "Boulder", "billing_postal_code": "80302", "billing_state": "CO"}
_NOTHING = {"billing_email": None, "phone": None, "website": None, "shipping_street": None}


def outcome(ours: str | dict[str, Any], theirs: str | dict[str, Any], *others: dict[str, Any]) -> str:
    """What becomes of an account and a customer; both at one address where only names are given."""
    if isinstance(ours, str):
        ours = {"name": ours, **_PLACE, "billing_email": "ap@tricky.example"}
    if isinstance(theirs, str):
        theirs = {"display_name": theirs, **_PLACE, "email": "ap@tricky.example"}
    world = World(accounts=[account(**{**_NOTHING, **ours})], customers=[customer(**{"email": None, **theirs}), *others])
    return str(world.match().matches["outcome"][0])


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("AT&T Corp.", "AT and T Corporation"),
        ("H & M", "H&M Inc."),
        ("SAS Institute Inc.", "SAS Institute"),
        ("AG Edwards", "A.G. Edwards Inc"),
        ("Whole Co-op", "Whole Coop"),
        ("Smith Manufacturing Services Inc.", "SMITH MFG SVCS"),
        ("The Galván Group", "Galvan Group LLC"),
        ("Müller Söhne GmbH", "Mueller Soehne GmbH"),
        ("Ромашка", "ООО Romashka"),
        ("神奈川ロボット株式会社", "神奈川ロボット"),
        ("Acme Plumbing", "Acme Plumbing - 1023"),
        ("Acme Plumbing", "Acme Plumbing (C)"),
        ("Carlson Print Works", "Calrson Print Works"),
        ("Sunrise Technologies", "Sun Rise Technologies"),
        ("St. Mary's Hospital", "Saint Marys Hosp."),
        ("Smith, John", "John Smith"),
        ("Acme Tooling Incorprated", "Acme Tooling"),
        ("Acme Plumbing", "Acme Plumbing (2)"),
        ("Acme Plumbing", "Acme Plumbing (EUR)"),
        ("Acme Plumbing", "Acme Plumbing - Boulder"),
        ("Acme Plumbing", "Smith Ventures LLC dba Acme Plumbing"),
        ("International Business Machines", "International Business Machines (IBM)"),
        ("Prairie Roofing Cooperative Association", "Prairie Roofing Cooperative Ass"),
    ],
)
def test_two_spellings_at_one_address_are_linked(ours, theirs):
    assert outcome(ours, theirs) == "linked"


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("Acme East", "Acme West"),
        ("Acme", "Acme West"),
        ("Acme", "Acme Holdings"),
        ("Acme", "Acme Foundation"),
        ("Acme", "Acme Group"),
        ("Acme", "Acme II"),
        ("Acme of Texas", "Acme of Ohio"),
        ("Acme #114", "Acme #115"),
        ("Acme", "Acme #115"),
        ("Bank of China (Hong Kong)", "Bank of China (Singapore)"),
        ("ICBC (Asia)", "ICBC (London)"),
        ("Ritz-Carlton Restaurant", "Ritz-Carlton Cafe"),
        ("Ritz-Carlton", "Ritz-Carlton Restaurant"),
        ("John Smith", "John Smith Jr."),
        ("Northern Pacific Manufacturing Partners East", "Northern Pacific Manufacturing"),
        ("SAS Institute", "Institute"),
        ("LP Building Solutions", "Building Solutions"),
        ("Valley Dental", "Valley Dental Spa, Inc."),
        ("神奈川", "大阪"),
        ("Summit Plumbing", "Summit Roofing"),
        ("Pine Grill", "Oak Grill"),
        ("...", "!!!"),
    ],
)
def test_another_body_at_the_same_address_with_the_same_mailbox_is_never_linked(ours, theirs):
    assert outcome(ours, theirs) != "linked"


def test_a_name_alone_never_links():
    assert outcome({"name": "Very Rare Zyxwvut Instruments"}, {"display_name": "Very Rare Zyxwvut Instruments"}) == "review"


@pytest.mark.parametrize("domain", ["gmail.com", "bill.com", "avidxchange.net", "wixsite.com", "facebook.com"])
def test_a_domain_that_anybody_may_use_is_no_evidence(domain):
    ours = {"name": "Acme Tooling", "website": f"https://acme.{domain}/" if domain != "gmail.com" else None,
            "billing_email": f"acme@{domain}"}  # fmt: skip
    assert outcome(ours, {"display_name": "Acme Tooling", "email": f"other@{domain}"}) == "review"


def test_our_own_domain_is_no_evidence():
    found = Normaliser(["house.example"]).account(
        account(id="1", billing_email="ap@house.example", website="www.house.example", currency=None, **_empty_shipping()), ()
    )
    assert found.domains == frozenset()


def test_one_franchise_name_in_another_city_is_asked():
    ours = {"name": "Burger Barn", "website": "burgerbarn.example", **_PLACE}
    elsewhere = {"billing_city": "Denver", "billing_postal_code": "80202"}
    theirs = {"display_name": "Burger Barn", "email": "ap@burgerbarn.example", **elsewhere}
    assert outcome(ours, theirs) == "review"


@pytest.mark.parametrize(("field", "linked"), [({"website": "db.example"}, "review"), (_PLACE, "linked")])
def test_two_legal_forms_of_one_house_need_an_address(field, linked):
    ours = {"name": "Deutsche Bank AG", **field}
    theirs = {"display_name": "Deutsche Bank GmbH", **field}
    assert outcome(ours, theirs) == linked


def test_clients_of_one_bookkeeper_are_told_apart():
    shared = {**_PLACE, "phone": "303 555 0199"}
    world = World(
        accounts=[
            account(number, name=name, **{**_NOTHING, **shared, "billing_email": "clients@books.example"})
            for number, name in enumerate(("Pine Dental", "Oak Roofing", "Elm Catering"), 1)
        ],
        customers=[
            customer(number, display_name=name, **{**shared, "email": "clients@books.example"})
            for number, name in enumerate(("Elm Catering", "Pine Dental", "Oak Roofing"), 1)
        ],
    )
    found = dict(world.match().matches.select("account_name", "customer_id").iter_rows())
    assert found == {"Pine Dental": "102", "Oak Roofing": "103", "Elm Catering": "101"}


def test_the_whole_address_in_the_street_is_read():
    ours = {"name": "Acme Tooling", **_PLACE}
    theirs = {"display_name": "Acme Tooling", "billing_street": "Jane Doe\n1 Main St., Suite 5\nBoulder, CO 80302-1111"}
    assert outcome(ours, theirs) == "linked"


def test_two_customers_of_one_company_are_asked_unless_the_currency_tells():
    ours = {"name": "Acme Tooling", **_PLACE, "billing_email": "ap@acme.example"}
    theirs = {"display_name": "Acme Tooling", **_PLACE, "email": "ap@acme.example", "currency": "USD"}
    second = customer(2, **{**theirs, "display_name": "Acme Tooling (EUR)", "currency": "EUR"})
    assert outcome(ours, theirs, second) == "review"
    world = World(accounts=[account(**{**_NOTHING, **ours, "currency": "EUR"})], customers=[customer(**theirs), second])
    row = world.match().matches.row(0, named=True)
    assert (row["outcome"], row["customer_id"]) == ("linked", "102")
    assert [one["customer_id"] for one in parse_json(row["candidates"])] == ["101"]


def test_what_a_sub_customer_knows_counts_for_its_parent():
    parent = customer(1, display_name="Acme Tooling", email=None)
    job = customer(2, display_name="Roof", parent_id="101", is_job=True, email="ap@acme.example")
    world = World(
        accounts=[account(**{**_NOTHING, "name": "Acme Tooling", "billing_email": "ap@acme.example"})], customers=[parent, job]
    )
    row = world.match().matches.row(0, named=True)
    assert (row["outcome"], row["customer_id"]) == ("linked", "101")


def test_a_match_keeps_its_score_its_rules_and_every_field():
    row = World().match().matches.row(0, named=True)
    assert 0.95 <= float(row["score"]) <= 1
    assert row["rule_version"].startswith("customers-")
    assert parse_json(row["evidence"])["email"]["agrees"] is True


@pytest.mark.parametrize(
    ("text", "country", "number"),
    [
        ("(303) 555-0101", None, "+13035550101"),
        ("+1 303.555.0101 ext. 7", None, "+13035550101"),
        ("1-303-555-0101", "Germany", "+13035550101"),
        ("089 1234567", "Germany", "+49891234567"),
        ("+49 (89) 123-4567", None, "+49891234567"),
        ("020 7946 0958", "UK", "+442079460958"),
        ("000-000-0000", None, ""),
        ("n/a", None, ""),
        (None, None, ""),
    ],
)
def test_a_phone_has_one_spelling(text, country, number):
    assert Normaliser().phone(text, country) == number


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("www.acme.co.uk", "acme.co.uk"),
        ("mail.eu.acme.com", "acme.com"),
        ("co.uk", ""),
        ("localhost", ""),
        ("bücher.example", "xn--bcher-kva.example"),
        ("a..b", ""),
    ],
)
def test_a_domain_is_what_one_owner_registered(host, domain):
    assert registrable_domain(host) == domain


def _empty_shipping() -> dict[str, None]:
    return {f"shipping_{part}": None for part in ("street", "city", "state", "postal_code", "country")}
