"""Matching: sure or asked, never guessed; and one customer never goes to two accounts."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qbsf_pipeline.customers.matching.plan import account_in, account_marker
from qbsf_pipeline.money import parse_json
from qbsf_pipeline_tests.invoices.records import World, account, customer, record_id, rules

ACCOUNT = record_id("001")


def outcome(world, number=1, with_rules=None):
    rows = world.match(with_rules).matches.filter(pl.col("account_id") == record_id("001", number)).to_dicts()
    assert len(rows) == 1
    return rows[0]["outcome"], rows[0]["customer_id"], rows[0]["method"]


def question(world, number=1):
    reviews = world.match().reviews
    return reviews.filter(pl.col("account_id") == record_id("001", number)).row(0, named=True)


def test_the_same_name_and_e_mail_are_enough():
    assert outcome(World()) == ("linked", "101", "name_and_evidence")


@pytest.mark.parametrize(
    "fields",
    [
        {"phone": "+1 303.555.0101"},
        {"phone": "303-555-0101 ext. 7"},
        {"billing_street": "1 Main St\nSte 5", "billing_postal_code": "80302-1111", "billing_city": "Boulder"},
        {"website": "acme1.example"},
        {"email": "someone.else@acme1.example"},
    ],
)
def test_one_independent_field_beside_the_name_is_enough(fields):
    world = World(customers=[customer(**{"email": None, **fields})])
    assert outcome(world)[:2] == ("linked", "101")


def test_a_contacts_e_mail_agrees_but_finds_nobody():
    contact = {"id": record_id("003"), "account_id": ACCOUNT, "email": "jo@gmail.com"}
    silent = account(billing_email=None, phone=None, website=None)
    agreeing = World(accounts=[silent], contacts=[contact], customers=[customer(email="JO@gmail.com")])
    assert outcome(agreeing)[:2] == ("linked", "101")
    alone = World(accounts=[silent], contacts=[contact], customers=[customer(email="jo@gmail.com", display_name="Other")])
    assert outcome(alone)[0] == "create"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"email": None}, "nothing else agrees"),
        ({"email": "ap@gmail.com"}, "nothing else agrees"),
        ({"display_name": "Acme Holdings"}, "another name"),
        ({"active": False}, "inactive"),
        ({"billing_postal_code": "10001"}, "differs in address"),
        ({"billing_city": "Denver"}, "differs in address"),
        ({"display_name": "Acme 1 GmbH"}, "differs in legal form"),
        ({"phone": "3035550101", "email": "x@acme.example", "website": None}, "differs in domain"),
    ],
)
def test_what_is_not_sure_is_asked(fields, words):
    world = World(customers=[customer(**fields)])
    assert outcome(world)[0] == "review"
    assert words in question(world)["question"]
    assert [one["customer_id"] for one in parse_json(question(world)["candidates"])] == ["101"]


def test_several_candidates_are_asked():
    world = World(customers=[customer(), customer(2, display_name="Pine", email="ap@acme1.example")])
    assert outcome(world)[0] == "review"
    assert [one["customer_id"] for one in parse_json(question(world)["candidates"])] == ["101", "102"]


def test_a_job_in_the_mailbox_of_its_parent_is_no_second_candidate():
    job = customer(2, display_name="Roof", parent_id="101", is_job=True, email="ap@acme1.example")
    assert outcome(World(customers=[customer(), job]))[:2] == ("linked", "101")


def test_a_sub_customer_is_never_linked_by_name():
    job = customer(email=None, parent_id="9", is_job=True)
    assert outcome(World(customers=[job]))[0] == "review"


def test_two_accounts_of_one_name_are_both_asked():
    world = World(accounts=[account(), account(2, name="ACME 1", billing_email=None)])
    assert outcome(world, 1)[0] == outcome(world, 2)[0] == "review"


def test_no_candidate_means_create_or_review_by_rule():
    world = World(customers=[])
    assert outcome(world) == ("create", None, "no_candidate")
    assert outcome(world, with_rules=rules(customers={"missing": "review"}))[0] == "review"


def test_accounts_without_letters_in_their_names_match_nobody():
    world = World(accounts=[account(name="...")], customers=[customer(display_name="!!!", email=None)])
    assert outcome(world)[0] == "create"


def test_a_link_comes_before_everything():
    world = World(
        customers=[customer(), customer(2, display_name="Elsewhere", email=None)],
        links=[{"account_id": ACCOUNT, "customer_id": "102"}],
        decisions=[{"account_id": ACCOUNT, "decision": "ignore"}],
    )
    assert outcome(world) == ("linked", "102", "link")


@pytest.mark.parametrize("customers", [[], [customer(active=False)], [customer(is_deleted=True)]])
def test_a_link_to_a_customer_that_cannot_be_billed_is_asked(customers):
    world = World(customers=customers, links=[{"account_id": ACCOUNT, "customer_id": "101"}])
    assert outcome(world)[0] == "review"


def test_a_decision_to_create_that_was_carried_out_creates_no_second_customer():
    world = World(
        customers=[customer(active=False)],
        links=[{"account_id": ACCOUNT, "customer_id": "101"}],
        decisions=[{"account_id": ACCOUNT, "decision": "create"}],
    )
    assert outcome(world)[0] == "review"


def test_a_merged_account_hands_its_link_on():
    world = World(
        accounts=[account(name="New name", billing_email=None), account(2, is_deleted=True, master_record_id=ACCOUNT)],
        links=[{"account_id": record_id("001", 2), "customer_id": "101"}],
    )
    assert outcome(world) == ("linked", "101", "link")
    assert world.match().matches.height == 1


def test_of_several_links_the_stored_id_or_a_person_chooses():
    links = [{"account_id": ACCOUNT, "customer_id": one} for one in ("101", "102")]
    customers = [customer(), customer(2)]
    assert outcome(World(links=links, customers=customers))[0] == "review"
    stored = World(accounts=[account(customer_id="102")], links=links, customers=customers)
    assert outcome(stored)[:2] == ("linked", "102")
    chosen = [{"account_id": ACCOUNT, "decision": "link", "customer_id": "101"}]
    assert outcome(World(links=links, customers=customers, decisions=chosen))[:2] == ("linked", "101")


def test_the_stored_id_is_taken_whatever_the_names():
    world = World(accounts=[account(customer_id=" 102 ")], customers=[customer(), customer(2, display_name="Zeta", email=None)])
    assert outcome(world) == ("linked", "102", "stored_id")


@pytest.mark.parametrize(
    "world",
    [
        World(accounts=[account(customer_id="999")]),
        World(accounts=[account(customer_id="101")], customers=[customer(active=False)]),
        World(accounts=[account(customer_id="101"), account(2, customer_id="101")]),
        World(
            accounts=[account(customer_id="101"), account(2)], links=[{"account_id": record_id("001", 2), "customer_id": "101"}]
        ),
        World(accounts=[account(customer_id="101"), account(2)], customers=[customer(notes=account_marker(record_id("001", 2)))]),
    ],
)
def test_a_stored_id_that_is_not_plainly_this_accounts_is_asked(world):
    assert outcome(world)[0] == "review"


def test_a_person_answers_the_question_that_a_stored_id_raised():
    broken = [account(customer_id="999")]
    create = [{"account_id": ACCOUNT, "decision": "create"}]
    assert outcome(World(accounts=broken, decisions=create))[0] == "create"
    link = [{"account_id": ACCOUNT, "decision": "link", "customer_id": "101"}]
    assert outcome(World(accounts=broken, decisions=link)) == ("linked", "101", "decision")


@pytest.mark.parametrize("marker", [account_marker(ACCOUNT), f"VIP\n{account_marker(ACCOUNT[:15])}, old"])
def test_the_marker_in_the_notes_finds_the_account_again(marker):
    world = World(customers=[customer(display_name="Renamed", email=None, notes=marker)])
    assert outcome(world) == ("linked", "101", "marker")


def test_the_same_marker_twice_is_asked():
    notes = account_marker(ACCOUNT)
    world = World(customers=[customer(notes=notes), customer(2, display_name="Copy", notes=notes)])
    assert outcome(world)[0] == "review"


def test_decisions_of_a_person_are_followed():
    other = customer(display_name="Zeta", email=None)
    assert outcome(World(decisions=[{"account_id": ACCOUNT, "decision": "ignore"}]))[0] == "ignored"
    linked = World(customers=[other], decisions=[{"account_id": ACCOUNT, "decision": "link", "customer_id": "101"}])
    assert outcome(linked) == ("linked", "101", "decision")
    gone = World(customers=[], decisions=[{"account_id": ACCOUNT, "decision": "link", "customer_id": "101"}])
    assert outcome(gone)[0] == "review"


def test_a_customer_of_another_account_is_asked():
    world = World(
        accounts=[account(), account(2, name="Beta")], links=[{"account_id": record_id("001", 2), "customer_id": "101"}]
    )
    assert outcome(world, 1)[0] == "review"
    assert "Beta" in question(world, 1)["question"]


def test_deleted_accounts_have_no_row_and_no_review():
    found = World(accounts=[account(is_deleted=True)]).match()
    assert found.matches.is_empty()
    assert found.reviews.is_empty()


def test_empty_frames_give_empty_answers_of_the_right_shape():
    found = World(accounts=[], customers=[]).match()
    assert found.matches.columns[:3] == ["account_id", "account_name", "outcome"]


@pytest.mark.parametrize("notes", [None, "", "Salesforce Account", "Salesforce Account 001", "Salesforce Account 0010000000000"])
def test_notes_without_a_whole_id_name_no_account(notes):
    assert account_in(notes) is None


_NAMES = st.sampled_from(["Acme Inc", "Acme", "ACME LLC", "Beta", "...", "O'Neil & Sons"])
_EMAILS = st.sampled_from([None, "ap@acme.example", "AP@Acme.example", "ap@beta.example", "x@gmail.com"])
_IDS = st.sampled_from([None, "101", "102", "999"])


@settings(max_examples=150)
@given(
    st.lists(st.tuples(_NAMES, _EMAILS, _IDS), max_size=5),
    st.lists(st.tuples(_NAMES, _EMAILS, st.booleans()), max_size=4),
)
def test_without_a_persons_word_one_customer_never_goes_to_two_accounts(accounts, customers):
    world = World(
        accounts=[
            account(number, name=name, billing_email=email, customer_id=stored)
            for number, (name, email, stored) in enumerate(accounts, start=1)
        ],
        customers=[
            customer(number, display_name=name, email=email, active=active)
            for number, (name, email, active) in enumerate(customers, start=1)
        ],
    )
    found = world.match()
    linked = found.matches.filter(pl.col("outcome") == "linked").get_column("customer_id").to_list()
    assert len(linked) == len(set(linked))
    assert found.matches.height == len(accounts)
    assert found.reviews.height == found.matches.filter(pl.col("outcome") == "review").height


@pytest.mark.parametrize("sub", [{"email": None}, {"display_name": "Elsewhere", "email": "ap@delta.example"}])
def test_no_customer_is_made_beside_a_sub_customer_of_the_same_name_or_mailbox_without_a_person(sub):
    parent = customer(id="77", display_name="Big Delta", email="hq@big.example")
    child = customer(id="78", **{"display_name": "Delta Site", "parent_id": "77"} | sub)
    one = account(name="Delta Site", billing_email="ap@delta.example")
    found = World(accounts=[one], customers=[parent, child]).match()
    assert found.matches.get_column("outcome").to_list() == ["review"]
    assert '"customer_id":"78"' in found.reviews.get_column("candidates").item(0)
