"""Pairs that look alike and are not, or look different and are one: each from a case that went wrong somewhere."""

# ruff: noqa: RUF001 (names in other scripts)

from __future__ import annotations

from typing import Any

import pytest

from qbsf_pipeline.customers.matching.normalising import Normaliser, registrable_domain
from qbsf_pipeline.money import parse_json
from qbsf_pipeline_tests.invoices.records import World, account, customer, record_id, rules

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
        ("Acme Law, P.A.", "Acme Law"),
        ("Acme Plumbing", "Acme Plumbing, LLC (Boulder)"),
        ("Acme Plumbing", "Acme Plumbing Inc. - Boulder"),
        ("Eliodyne Excavating", "Eliodine Excavatlng"),
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
        ("Zeliosol Janitorial Services Corp.", "Zeliosol Janitorial Services Le"),
        ("Rockman & Associates Imaging", "Rockman & Associates Imaging of"),
        ("Acme Law", "Acme Law PA"),
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


_ELSEWHERE = {
    "billing_street": "9 Low Road",
    "billing_city": "Denver",
    "billing_postal_code": "80202",
    "billing_state": "CO",
}


def matched(accounts: list[dict[str, Any]], customers: list[dict[str, Any]], **customer_rules: Any) -> dict[str, str | None]:
    """Account id's number -> customer, for accounts and customers numbered from 1."""
    world = World(
        accounts=[account(number, **{**_NOTHING, **dict.fromkeys(_PLACE), **one}) for number, one in enumerate(accounts, 1)],
        customers=[customer(number, **{"email": None, **one}) for number, one in enumerate(customers, 1)],
    )
    found = world.match(rules(customers=customer_rules) if customer_rules else None).matches.sort("account_id")
    return dict(zip(map(str, range(1, len(accounts) + 1)), found["customer_id"], strict=True))


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        # One site of a franchise answers on its own line, and no other has that number.
        ({"phone": "303 555 0101"}, {"phone": "303-555-0101"}, "linked"),
        # The mailbox of the house is every branch's.
        ({"billing_email": "ap@barn.example"}, {"email": "ap@barn.example"}, "review"),
        ({"website": "barn.example"}, {"website": "barn.example"}, "review"),
    ],
    ids=["phone", "mailbox", "domain"],
)
def test_among_namesakes_only_what_two_records_alone_have_links(ours, theirs, expected):
    sister = account(2, **{**_NOTHING, "name": "Burger Barn", **dict.fromkeys(_PLACE)})
    world = World(
        accounts=[account(**{**_NOTHING, "name": "Burger Barn", **ours}), sister],
        customers=[customer(**{"email": None, "display_name": "Burger Barn", **theirs})],
    )
    assert world.match().matches.sort("account_id")["outcome"][0] == expected


def test_a_phone_that_two_accounts_of_the_name_have_is_asked():
    barn = {"name": "Burger Barn", "phone": "303 555 0101"}
    assert matched([barn, barn], [{"display_name": "Burger Barn", "phone": "303 555 0101"}]) == {"1": None, "2": None}


def test_a_phone_that_a_sister_has_too_does_not_tell_namesakes_apart():
    barn, east = {"name": "Burger Barn", "phone": "303 555 0101"}, {"name": "Burger Barn East", "phone": "303 555 0101"}
    theirs = {"display_name": "Burger Barn", "phone": "303 555 0101"}
    assert matched([barn, {"name": "Burger Barn"}], [theirs])["1"] == "101"
    assert matched([barn, {"name": "Burger Barn"}, east], [theirs])["1"] is None


@pytest.mark.parametrize(("phone", "expected"), [("720 555 9999", "101"), (None, None)])
def test_a_namesake_with_another_phone_is_no_rival_where_the_phone_is_theirs_alone(phone, expected):
    ours = {"name": "Elionyne Excavating", "phone": "303 555 0101"}
    theirs = {"display_name": "Eliodyne Excavating", "phone": "303 555 0101"}
    assert matched([ours, {"name": "Eliodyne Excavating", "phone": phone}], [theirs])["1"] == expected


def test_a_namesake_anywhere_makes_a_domain_unsure():
    ours = {"name": "Acme Tooling", "website": "acme.example"}
    theirs = {"display_name": "Acme Tooling", "website": "acme.example", **_PLACE}
    assert matched([ours], [theirs])["1"] == "101"
    assert matched([ours, {"name": "Acme Tooling", **_ELSEWHERE}], [theirs])["1"] is None


def test_a_namesake_elsewhere_that_has_the_phone_makes_a_domain_unsure():
    silent = {"name": "Iron Gate Consulting", "website": "irongate.example"}
    moved = {"name": "Iron Gate Consulting", "phone": "303 555 0101", **_PLACE}
    theirs = {"display_name": "Iron Gate Consulting", "website": "irongate.example", "phone": "303 555 0101", **_ELSEWHERE}
    assert matched([silent, moved], [theirs])["1"] is None


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ({}, {}, "linked"),
        ({}, {"display_name": "Acme Tooling LLC"}, "linked"),
        # An Inc. and an LLC of one name in one house, and nothing else to tell.
        ({"name": "Acme Tooling Inc."}, {"display_name": "Acme Tooling LLC"}, "review"),
        ({"phone": "303 555 0101"}, {"phone": "720 555 9999"}, "review"),
        # Two lines of one switchboard are no contradiction.
        ({"phone": "303 555 0101"}, {"phone": "303 555 0177"}, "linked"),
        ({"name": "Acme Tooling Services"}, {"display_name": "Acme Tooling"}, "linked"),
    ],
)
def test_a_domain_that_two_records_alone_have_links_where_nothing_speaks_against_it(ours, theirs, expected):
    ours = {"name": "Acme Tooling", "website": "acme.example", **ours}
    assert outcome(ours, {"display_name": "Acme Tooling", "website": "acme.example", **theirs}) == expected


def test_a_domain_that_another_company_has_too_does_not_link_alone():
    acme = {"name": "Acme Tooling", "website": "acme.example"}
    other = {"name": "Pine Dental", "website": "acme.example"}
    assert matched([acme, other], [{"display_name": "Acme Tooling", "website": "acme.example"}])["1"] is None


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ({"phone": "303 555 0101"}, {"phone": "303 555 0101"}, "linked"),
        ({}, {}, "review"),
        # Another house: a franchise of that name.
        (
            {"phone": "303 555 0101", "website": "one.example"},
            {"phone": "303 555 0101", "website": "two.example"},
            "review",
        ),
    ],
    ids=["phone", "name only", "other domain"],
)
def test_a_company_that_moved_is_known_by_a_phone_that_nobody_else_has(ours, theirs, expected):
    assert (
        outcome({"name": "Acme Tooling", **_PLACE, **ours}, {"display_name": "Acme Tooling", **_ELSEWHERE, **theirs}) == expected
    )


@pytest.mark.parametrize(
    ("more", "expected"),
    [({}, "review"), ({"phone": "303 555 0101"}, "linked"), ({"website": "acme.example"}, "linked")],
    ids=["address", "phone of theirs alone", "domain of theirs alone"],
)
def test_a_generic_word_too_many_needs_more_than_the_address(more, expected):
    assert (
        outcome({"name": "Acme Tooling", **_PLACE, **more}, {"display_name": "Acme Tooling Services", **_PLACE, **more})
        == expected
    )


def test_a_lost_word_needs_a_mailbox_and_a_phone_of_theirs_alone():
    both = {**_PLACE, "website": "huxlock.example", "phone": "303 555 0101"}
    ours = {"name": "Huxlock Brothers Auto Body", "billing_email": "ap@huxlock.example", **both}
    theirs = {"display_name": "Huxlock Auto Body", "email": "ap@huxlock.example", **both}
    assert outcome(ours, theirs) == "linked"
    assert outcome({**ours, "phone": None}, theirs) == "review"
    assert outcome({**ours, "billing_email": None}, theirs) == "review"
    neighbour = {"name": "Huxlock Gallery", "phone": "303 555 0101"}
    assert matched([ours, neighbour], [theirs])["1"] is None


def test_a_name_cut_off_where_two_accounts_still_agree_is_asked():
    name = "Thorndale and Redmere Print Works"[:31]
    assert len(name) == 31
    ours = {"name": name, **_PLACE}
    sister = {"name": f"{name} Foundation", "billing_city": "Boulder", "billing_postal_code": "80302"}
    theirs = {"display_name": name, **_PLACE}
    assert matched([ours], [theirs])["1"] == "101"
    assert matched([ours, sister], [theirs])["1"] is None


def test_a_sister_with_more_in_common_and_no_customer_of_its_own_makes_a_customer_unsure():
    ours = {"name": "Anchor Rental", **_PLACE}
    sister = {"name": "Anchor Rental Capital", "billing_email": "ap@anchor.example", **_PLACE}
    theirs = {"display_name": "Anchor Rental", "email": "ap@anchor.example", **_PLACE}
    assert matched([ours, sister], [theirs]) == {"1": None, "2": None}
    own = {"display_name": "Anchor Rental Capital", "email": "ap@anchor.example", **_PLACE}
    assert matched([ours, sister], [theirs, own])["2"] == "102"
    assert matched([ours, sister], [{**theirs, "email": None}, own]) == {"1": "101", "2": "102"}


@pytest.mark.parametrize(
    ("one", "other", "linked"),
    [
        ("+44 20 7946 0958", "020 7946 0958", True),
        ("0044 20 7946 0958", "020 7946 0958", True),
        ("011 44 20 7946 0958", "020 7946 0958", True),
        ("+49 (0)71 149 4771", "071 149 4771", True),
        # "011" is also how Leeds begins.
        ("0113 496 0000", "+44 113 496 0000", True),
        ("+44 20 7946 0958", "020 7946 1234", False),
        ("+1 303 555 0101", "0303 555 0102", False),
    ],
)
def test_a_number_is_the_same_inside_and_outside_its_country(one, other, linked):
    ours = {"name": "Acme Tooling", "phone": one, "billing_country": None}
    theirs = {"display_name": "Acme Tooling", "phone": other, "billing_country": None}
    assert outcome(ours, theirs) == ("linked" if linked else "review")


def test_a_domain_of_many_names_tells_nothing_and_the_rules_say_how_many_are_many():
    ours = [{"name": "Acme Tooling", "website": "acme.example", "billing_city": "Boulder"}]
    ours += [{"name": f"{word} Trading House", "website": "acme.example"} for word in ("Pine", "Oak", "Elm")]
    theirs = [{"display_name": "Acme Tooling", "website": "acme.example", "billing_city": "Boulder"}]
    assert matched(ours, theirs)["1"] == "101"
    strict = rules().customers.matching.model_copy(update={"shared_domain_names": 3})
    assert matched(ours, theirs, matching=strict)["1"] is None


# Sub-customers

_FAMILY = [
    {"name": "Acme", "billing_email": "ap@acme.example"},
    {"name": "Acme Boulder Works", "parent_id": record_id("001", 1), "phone": "303 555 0101"},
]
_BELOW = [
    {"display_name": "Acme", "email": "ap@acme.example"},
    {"display_name": "Acme Boulder Works", "parent_id": "101", "is_job": True, "phone": "303 555 0101"},
]


def test_a_sub_customer_is_linked_below_the_customer_of_the_parent_account_where_the_rules_say_so():
    assert matched(_FAMILY, _BELOW, parent_accounts="sub_customer") == {"1": "101", "2": "102"}
    assert matched(_FAMILY, _BELOW) == {"1": "101", "2": None}


@pytest.mark.parametrize(
    ("accounts", "customers"),
    [
        # The parent account is another customer's, or nobody's.
        ([{**_FAMILY[0], "name": "Pine"}, _FAMILY[1]], _BELOW),
        # Nothing but the name.
        ([_FAMILY[0], {**_FAMILY[1], "phone": None}], _BELOW),
        # Another branch.
        ([_FAMILY[0], {**_FAMILY[1], "name": "Acme Denver Works"}], _BELOW),
        # Below another customer.
        (_FAMILY, [*_BELOW[:1], {**_BELOW[1], "parent_id": "103"}, {"display_name": "Pine"}]),
        # Inactive.
        (_FAMILY, [*_BELOW[:1], {**_BELOW[1], "active": False}]),
        # A customer of that name stands beside the sub-customer.
        (_FAMILY, [*_BELOW, {"display_name": "Acme Boulder Works", "phone": "303 555 0101"}]),
        # Two accounts of one name below one parent.
        ([*_FAMILY, _FAMILY[1]], _BELOW),
        # The account is, through its parent, its own parent.
        ([{**_FAMILY[0], "parent_id": record_id("001", 2)}, _FAMILY[1]], _BELOW),
    ],
    ids=["parent", "name only", "branch", "elsewhere", "inactive", "beside", "two accounts", "ring"],
)
def test_a_sub_customer_is_asked_about_otherwise(accounts, customers):
    assert matched(accounts, customers, parent_accounts="sub_customer")["2"] is None


def test_a_sub_customer_that_is_another_accounts_already_is_asked():
    other = {"name": "Pine", "customer_id": "102"}
    assert matched([*_FAMILY, other], _BELOW, parent_accounts="sub_customer") == {"1": "101", "2": None, "3": "102"}


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
