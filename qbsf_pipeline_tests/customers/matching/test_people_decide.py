"""What people say goes before what rules find: links, ids written into Salesforce, rejections; and merges are followed."""

from __future__ import annotations

import ast
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qbsf_pipeline.customers.matching import rules as rules_module
from qbsf_pipeline.customers.matching.plan import account_marker, survivor_of
from qbsf_pipeline.customers.matching.rule_names import RULE_NAMES
from qbsf_pipeline.customers.matching.successors import CREATED_INVOICES, find_successors
from qbsf_pipeline.errors import ConfigurationError
from qbsf_pipeline.money import parse_json
from qbsf_pipeline_tests.invoices.records import World, account, customer, record_id, rules

ACCOUNT, OTHER = record_id("001"), record_id("001", 2)
AT = datetime(2026, 11, 1, tzinfo=UTC)


def row_of(world: World, account_id: str = ACCOUNT, with_rules=None):
    (row,) = world.match(with_rules).matches.filter(pl.col("account_id") == account_id).to_dicts()
    return row


def outcome(world: World, account_id: str = ACCOUNT, with_rules=None):
    row = row_of(world, account_id, with_rules)
    return row["outcome"], row["customer_id"], row["method"]


def question(world: World, account_id: str = ACCOUNT):
    return world.match().reviews.filter(pl.col("account_id") == account_id).row(0, named=True)


def link(customer_id: str, method: str = "name_and_evidence", account_id: str = ACCOUNT, by: str = "customers-2"):
    return {"account_id": account_id, "customer_id": customer_id, "method": method, "decided_by": by, "decided_at": AT}


def reject(customer_id: str, account_id: str = ACCOUNT):
    return {"account_id": account_id, "customer_id": customer_id}


TWO = [customer(), customer(2, display_name="Zeta", email=None)]


# An id that somebody wrote into the account


@pytest.mark.parametrize("method", ["name_and_evidence", "scored", "marker", "merged", "stored_id"])
def test_an_id_that_somebody_wrote_into_the_account_goes_before_a_link_that_no_person_made(method):
    world = World(accounts=[account(customer_id="102")], customers=TWO, links=[link("101", method)])
    assert outcome(world) == ("linked", "102", "stored_id")
    assert "It was linked to Acme 1, Inc before." in row_of(world)["reason"]
    assert [one["customer_id"] for one in parse_json(row_of(world)["customers"])] == ["102"]


@pytest.mark.parametrize("method", ["person", "decision"])
def test_a_persons_link_goes_before_the_id_on_the_account(method):
    world = World(accounts=[account(customer_id="102")], customers=TWO, links=[link("101", method, by="ann")])
    assert outcome(world) == ("linked", "101", "link")
    assert (row_of(world)["decided_by"], row_of(world)["decided_at"]) == ("ann", AT)


def test_an_id_on_the_account_that_cannot_be_billed_does_not_shake_a_link():
    for stored in ("999", "103"):
        world = World(
            accounts=[account(customer_id=stored)],
            customers=[*TWO, customer(3, display_name="Gone", active=False)],
            links=[link("101")],
        )
        assert outcome(world) == ("linked", "101", "link")


def test_the_id_of_another_accounts_customer_is_a_question_even_against_a_link_by_rule():
    world = World(
        accounts=[account(customer_id="102"), account(2)], customers=TWO, links=[link("101"), link("102", account_id=OTHER)]
    )
    assert outcome(world)[0] == "review"
    assert "belongs to another account too (Acme 2 Inc.)" in question(world)["question"]
    assert outcome(world, OTHER) == ("linked", "102", "link")


def test_an_id_on_the_account_answers_the_question_that_a_dangling_link_raised():
    for method in ("person", "name_and_evidence"):
        world = World(accounts=[account(customer_id="102")], customers=TWO[1:], links=[link("101", method)])
        assert outcome(world) == ("linked", "102", "stored_id")


def test_the_id_that_the_program_wrote_for_a_customer_that_it_made_counts_as_the_marker():
    world = World(accounts=[account(customer_id="101")], customers=[customer(display_name="New", notes=account_marker(ACCOUNT))])
    assert outcome(world) == ("linked", "101", "marker")


def test_another_id_written_later_goes_before_the_marker():
    world = World(accounts=[account(customer_id="102")], customers=[customer(notes=account_marker(ACCOUNT)), TWO[1]])
    assert outcome(world) == ("linked", "102", "stored_id")


# What a person said the account is not


def test_a_rejected_pair_is_neither_linked_nor_suggested_by_rule():
    world = World(rejections=[reject("101")])
    assert outcome(world) == ("review", None, "question")
    asked = question(world)
    assert (
        asked["question"]
        == "A person said that the account is not Acme 1, Inc. Which customer is billed, or is one to be created?"
    )
    assert (parse_json(asked["candidates"]), asked["undone"]) == ([], True)
    assert parse_json(row_of(world)["rejected"]) == ["101"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"links": [link("101", "person")]}, "its customer until then"),
        ({"accounts": [account(customer_id="101")]}, "it still holds that customer's id 101"),
        ({"customers": [customer(display_name="Other", email=None, notes=account_marker(ACCOUNT))]}, "whose notes name it"),
    ],
)
def test_a_rejected_link_id_or_marker_is_passed_over_and_asked(changes, words):
    world = World(**{"rejections": [reject("101")], **changes})
    assert outcome(world)[0] == "review"
    assert words in question(world)["question"]
    assert "101" not in [one["customer_id"] for one in parse_json(question(world)["candidates"])]


def test_after_a_rejection_a_rule_only_suggests_another_customer():
    world = World(
        customers=[
            customer(1, display_name="Wrong one", email=None),
            customer(2, display_name="Acme 1", email="ap@acme1.example"),
        ]
    )
    assert outcome(world)[:2] == ("linked", "102")
    world.rejections = [reject("101")]
    assert outcome(world)[0] == "review"
    assert [one["customer_id"] for one in parse_json(question(world)["candidates"])] == ["102"]


def test_a_person_answers_after_a_rejection():
    world = World(rejections=[reject("101")], decisions=[{"account_id": ACCOUNT, "decision": "create"}])
    assert outcome(world) == ("create", None, "decision")
    world.decisions = [{"account_id": ACCOUNT, "decision": "ignore"}]
    assert outcome(world)[0] == "ignored"
    world.links = [link("102", "person")]
    world.customers = TWO
    assert outcome(world) == ("linked", "102", "link")


def test_a_rejection_concerns_its_account_alone():
    world = World(accounts=[account(), account(2, name="Beta")], rejections=[reject("101", OTHER)])
    assert outcome(world) == ("linked", "101", "name_and_evidence")


def test_what_a_wrongly_linked_account_still_holds_does_not_keep_the_right_account_from_its_customer():
    wrong = account(2, name="Beta", customer_id="101", billing_email=None, website=None)
    assert outcome(World(accounts=[account(), wrong]))[0] == "review"
    world = World(accounts=[account(), wrong], rejections=[reject("101", OTHER)])
    assert outcome(world) == ("linked", "101", "name_and_evidence")
    assert outcome(world, OTHER)[0] == "review"


# Several customers of one account

EURO = customer(2, display_name="Acme 1 EUR", email=None, currency="EUR")


def test_customers_of_several_currencies_are_no_question():
    world = World(customers=[customer(), EURO], links=[link("101"), link("102", "person")])
    row = row_of(world)
    assert (row["outcome"], row["customer_id"]) == ("linked", "101")
    assert parse_json(row["customers"]) == [
        {"customer_id": "101", "display_name": "Acme 1, Inc", "currency": "USD"},
        {"customer_id": "102", "display_name": "Acme 1 EUR", "currency": "EUR"},
    ]


def test_the_id_on_the_account_says_which_of_several_customers_comes_first():
    world = World(accounts=[account(customer_id="102")], customers=[customer(), EURO], links=[link("101"), link("102", "person")])
    assert [one["customer_id"] for one in parse_json(row_of(world)["customers"])] == ["102", "101"]


@pytest.mark.parametrize("currency", ["USD", None])
def test_two_customers_of_one_currency_are_asked_until_a_person_says_which_is_billed(currency):
    branch = customer(2, display_name="Acme 1 Branch", email=None, currency=currency)
    world = World(customers=[customer(), branch], links=[link("101"), link("102", "person")])
    assert outcome(world)[0] == "review"
    world.decisions = [{"account_id": ACCOUNT, "decision": "link", "customer_id": "101"}]
    assert outcome(world)[:2] == ("linked", "101")


def test_another_id_on_the_account_takes_the_place_of_the_link_by_rule_beside_a_persons():
    third = customer(3, display_name="Acme Holding", email=None)
    world = World(
        accounts=[account(customer_id="103")], customers=[customer(), EURO, third], links=[link("101"), link("102", "person")]
    )
    row = row_of(world)
    assert (row["customer_id"], row["method"]) == ("103", "stored_id")
    assert [one["customer_id"] for one in parse_json(row["customers"])] == ["103", "102"]


# Merges


def successor(gone: str, heir: str):
    return {"customer_id": gone, "successor_id": heir}


@pytest.mark.parametrize("gone", [[], [customer(active=False)], [customer(is_deleted=True)]])
def test_the_customer_that_one_was_merged_into_takes_its_place(gone):
    world = World(customers=[*gone, TWO[1]], links=[link("101", "person")], successors=[successor("101", "102")])
    assert outcome(world) == ("linked", "102", "merged")
    assert "was merged into this customer in QuickBooks" in row_of(world)["reason"]


def test_an_id_on_the_account_follows_the_merge_too():
    world = World(accounts=[account(customer_id="101")], customers=[TWO[1]], successors=[successor("101", "102")])
    assert outcome(world) == ("linked", "102", "merged")


def test_a_merge_does_not_touch_a_customer_that_can_still_be_billed():
    world = World(customers=TWO, links=[link("101")], successors=[successor("101", "102")])
    assert outcome(world) == ("linked", "101", "link")


def test_a_merge_of_two_accounts_customers_is_asked_on_both_sides():
    world = World(
        accounts=[account(), account(2)],
        customers=[customer(3, display_name="Both")],
        links=[link("101"), link("102", account_id=OTHER)],
        successors=[successor("101", "103"), successor("102", "103")],
    )
    assert outcome(world)[0] == outcome(world, OTHER)[0] == "review"
    assert "belongs to another account too" in question(world)["question"]
    assert [one["customer_id"] for one in parse_json(question(world)["candidates"])] == ["103"]


def test_a_merge_into_another_accounts_customer_or_a_rejected_one_is_asked():
    taken = World(
        accounts=[account(), account(2)],
        customers=[TWO[1]],
        links=[link("101"), link("102", account_id=OTHER)],
        successors=[successor("101", "102")],
    )
    assert outcome(taken)[0] == "review"
    assert outcome(taken, OTHER) == ("linked", "102", "link")
    rejected = World(customers=[TWO[1]], links=[link("101")], successors=[successor("101", "102")], rejections=[reject("102")])
    assert outcome(rejected)[0] == "review"


def test_one_of_several_customers_that_was_merged_is_replaced_beside_the_others():
    heir = customer(3, display_name="Acme 1 Europe", email=None, currency="EUR")
    world = World(customers=[customer(), heir], links=[link("101"), link("102", "person")], successors=[successor("102", "103")])
    row = row_of(world)
    assert (row["customer_id"], row["method"]) == ("101", "link")
    assert [one["customer_id"] for one in parse_json(row["customers"])] == ["101", "103"]


@pytest.mark.parametrize("merged", [{"a": "b", "b": "c"}, {"a": "c"}, {"a": "b", "b": "c", "c": "c"}])
def test_the_survivor_of_several_merges_is_the_last(merged):
    assert survivor_of("a", merged) == "c"


def test_accounts_that_name_each_other_as_survivor_end_nowhere_for_ever():
    assert survivor_of("a", {"a": "b", "b": "a"}) in ("a", "b")


# Who took the place of a merged customer


def created(*rows: tuple[str, str | None]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=CREATED_INVOICES, orient="row")


def invoices(*rows: tuple[str, str | None, bool]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"id": pl.String, "customer_id": pl.String, "is_deleted": pl.Boolean}, orient="row")


def customers(*rows: tuple[str, bool | None, bool]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"id": pl.String, "active": pl.Boolean, "is_deleted": pl.Boolean}, orient="row")


USABLE = [("2", True, False), ("3", None, False)]


@pytest.mark.parametrize("old", [[], [("1", False, False)], [("1", True, True)]])
def test_where_all_invoices_went_there_the_customer_went(old):
    found = find_successors(
        created(("10", "1"), ("11", "1"), ("12", "1")),
        invoices(("10", "2", False), ("11", "2", False), ("12", "1", True), ("99", "3", False)),
        customers(*old, *USABLE),
    )
    assert found.rows() == [("1", "2")]


@pytest.mark.parametrize(
    "now",
    [
        [("10", "2", False), ("11", "3", False)],
        [("10", "2", False), ("11", "1", False)],
        [("10", "1", False), ("11", "1", False)],
        [("10", "2", True), ("11", "2", True)],
        [("10", None, False)],
        [("10", "4", False), ("11", "4", False)],
        [],
    ],
)
def test_where_it_is_not_plain_nobody_takes_its_place(now):
    closed = ("4", False, False)
    assert find_successors(created(("10", "1"), ("11", "1")), invoices(*now), customers(closed, *USABLE)).is_empty()


def test_a_customer_in_use_has_no_successor_wherever_its_invoices_are():
    assert find_successors(created(("10", "2")), invoices(("10", "3", False)), customers(*USABLE)).is_empty()


# How sure is sure


def test_a_rule_that_is_off_or_a_score_that_is_too_low_only_asks():
    world = World()
    assert outcome(world)[0] == "linked"
    score = row_of(world)["score"]
    assert score >= Decimal("0.95")

    def matching(**values):
        packaged = rules().customers
        return rules(customers={"matching": packaged.matching.model_copy(update=values)})

    assert outcome(world, with_rules=matching(automatic_from=score))[0] == "linked"
    assert outcome(world, with_rules=matching(automatic_from=score + Decimal("0.01")))[0] == "review"
    rule = row_of(world)["reason"].removeprefix("One customer fits: ").partition(" (")[0]
    assert outcome(world, with_rules=matching(rules_off=[rule]))[0] == "review"
    with pytest.raises(ConfigurationError, match=r"rules_off: there is no rule 'equal names'\. There are: close name"):
        outcome(world, with_rules=matching(rules_off=["equal names"]))


def test_the_names_of_the_rules_are_those_that_the_rules_give():
    source = ast.parse(Path(rules_module.__file__).read_text(encoding="utf-8"))
    texts = {node.value for node in ast.walk(source) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    assert {text for text in texts if text.startswith(("equal name", "close name", "moderate name"))} == RULE_NAMES


@pytest.mark.parametrize("key", ["free_mail_domains", "own_domains", "bill_pay_domains"])
def test_domains_of_the_rules_file_tell_no_company(key):
    world = World(customers=[customer(email="someone.else@acme1.example")])
    assert outcome(world)[0] == "linked"
    packaged = rules().customers
    tried = rules(customers={"matching": packaged.matching.model_copy(update={key: [" @ACME1.example"]})})
    assert outcome(world, with_rules=tried)[0] == "review"


_IDS = st.sampled_from([None, "101", "102", "103", "999"])
_METHODS = st.sampled_from(["person", "name_and_evidence", "stored_id"])
_PAIRS = st.lists(st.tuples(st.sampled_from([ACCOUNT, OTHER]), st.sampled_from(["101", "102", "103"]), _METHODS), max_size=4)


@settings(max_examples=200)
@given(
    st.tuples(_IDS, _IDS),
    _PAIRS,
    st.lists(st.tuples(st.sampled_from([ACCOUNT, OTHER]), st.sampled_from(["101", "102"])), max_size=2),
    st.lists(st.booleans(), min_size=3, max_size=3),
    st.dictionaries(st.sampled_from(["101", "102"]), st.just("103"), max_size=2),
)
def test_nothing_rejected_is_ever_linked_and_no_customer_goes_to_two_accounts_without_a_person(
    stored, pairs, rejected, active, successors
):
    world = World(
        accounts=[account(1, customer_id=stored[0]), account(2, customer_id=stored[1])],
        customers=[customer(number, active=active[number - 1]) for number in (1, 2, 3)],
        links=[link(customer_id, method, account_id) for account_id, customer_id, method in dict.fromkeys(pairs)],
        rejections=[reject(customer_id, account_id) for account_id, customer_id in rejected],
        successors=[successor(gone, heir) for gone, heir in successors.items()],
    )
    found = world.match()
    given_by_person = {(account_id, customer_id) for account_id, customer_id, method in pairs if method == "person"}
    billed: list[str] = []
    for row in found.matches.filter(pl.col("outcome") == "linked").iter_rows(named=True):
        listed = [one["customer_id"] for one in parse_json(row["customers"])]
        assert listed[0] == row["customer_id"]
        for customer_id in listed:
            assert (row["account_id"], customer_id) not in rejected
            assert active[int(customer_id) - 101]
        shared = {(row["account_id"], one) for one in listed} & given_by_person
        billed += [one for one in listed if (row["account_id"], one) not in shared]
    linked_twice = {account_id: {c for a, c, _ in pairs if a == account_id} for account_id in (ACCOUNT, OTHER)}
    both = linked_twice[ACCOUNT] & linked_twice[OTHER]
    assert len([one for one in billed if one not in both]) == len({one for one in billed if one not in both})
