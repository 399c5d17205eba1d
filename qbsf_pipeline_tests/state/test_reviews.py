"""Questions to people and their answers."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from qbsf_pipeline.state.links import PERSON, CustomerLink
from qbsf_pipeline.state.reviews import ReviewCase, UnknownReview
from qbsf_pipeline_tests.state.conftest import NOW

LATER = NOW + timedelta(hours=1)
CANDIDATES = ({"customer_id": "17", "display_name": "Acmé, Inc.", "email": None, "agreeing": ["name"]},)
CASE = ReviewCase("001A", "Acme", "Which customer is Acme?", CANDIDATES, 2, Decimal("1200.50"), "USD")
OTHER = replace(CASE, account_id="001B", account_name="Beta")


def test_an_account_is_asked_about_once_and_its_question_kept_fresh(state):
    (review,) = state.reviews.open_or_refresh([CASE], NOW)
    assert (review.review_id, review.status, review.candidates) == ("R-1", "open", list(CANDIDATES))
    assert review.amount_waiting == Decimal("1200.50")
    assert state.reviews.open_or_refresh([replace(CASE, deals_waiting=3, question="Now?")], LATER) == ()
    (review,) = state.reviews.list()
    assert (review.deals_waiting, review.question, review.opened_at) == (3, "Now?", NOW)


def test_a_question_that_went_away_is_closed_and_comes_back_under_its_old_id(state):
    state.reviews.open_or_refresh([CASE, OTHER], NOW)
    assert [review.account_id for review in state.reviews.close_missing({"001B"}, LATER)] == ["001A"]
    assert [review.account_id for review in state.reviews.list()] == ["001B"]
    assert [review.review_id for review in state.reviews.open_or_refresh([CASE], LATER)] == ["R-1"]


@pytest.mark.parametrize("named_by", ["R-1", "r-1", "001A"])
def test_linking_makes_the_link(state, named_by):
    state.reviews.open_or_refresh([CASE], NOW)
    review = state.reviews.decide(named_by, "link", customer_id="17", by="ana", now=LATER)
    assert (review.status, review.customer_id, review.decided_by, review.decided_at) == ("linked", "17", "ana", LATER)
    link = state.links.customer("001A")
    assert (link.customer_id, link.method, link.decided_by) == ("17", "person", "ana")
    decision = state.reviews.decisions()["001A"]
    assert (decision.decision, decision.customer_id) == ("link", "17")


def test_another_answer_takes_the_place_of_the_first_and_undoes_its_link(state):
    state.reviews.open_or_refresh([CASE], NOW)
    state.reviews.decide("R-1", "link", customer_id="17", by="ana", now=NOW)
    state.reviews.decide("R-1", "link", customer_id="18", by="ben", now=LATER)
    assert [link.customer_id for link in state.links.customers("001A")] == ["18"]
    state.reviews.decide("R-1", "create", by="ben", now=LATER)
    assert state.links.customers("001A") == []
    assert state.reviews.decisions()["001A"].decision == "create"


def test_what_was_decided_is_not_asked_again_unless_the_question_changed(state):
    state.reviews.open_or_refresh([CASE], NOW)
    state.reviews.decide("001A", "ignore", by="ana", now=NOW)
    assert state.reviews.open_or_refresh([replace(CASE, deals_waiting=9)], LATER) == ()
    assert state.reviews.close_missing(set(), LATER) == ()
    assert state.reviews.get("R-1").status == "ignored"
    (review,) = state.reviews.open_or_refresh([replace(CASE, candidates=())], LATER)
    assert (review.status, review.decided_by) == ("open", None)
    assert state.reviews.decisions() == {}


def test_a_decision_without_its_customer_or_about_nothing_is_refused(state):
    state.reviews.open_or_refresh([CASE], NOW)
    with pytest.raises(ValueError, match="customer id"):
        state.reviews.decide("R-1", "link", by="ana", now=NOW)
    with pytest.raises(ValueError, match="customer id"):
        state.reviews.decide("R-1", "create", by="ana", now=NOW, customer_id="17")
    for unknown in ("R-2", "R-", "R-99999999999999999999", "001Z", ""):
        with pytest.raises(UnknownReview):
            state.reviews.decide(unknown, "ignore", by="ana", now=NOW)
    assert state.reviews.get("R-1").status == "open"


def test_a_customer_of_another_account_may_be_named_by_a_person(state):
    state.links.link_customer(CustomerLink("001Z", "17", "name", "rules", NOW))
    state.reviews.open_or_refresh([CASE], NOW)
    state.reviews.decide("R-1", "link", customer_id="17", by="ana", now=NOW)
    assert {link.account_id for link in state.links.all_customers()} == {"001A", "001Z"}


def rejected(state):
    return [(rejection.account_id, rejection.customer_id) for rejection in state.rejections.all()]


def linked(state, account_id="001A"):
    return [link.customer_id for link in state.links.customers(account_id)]


def test_linking_takes_the_place_of_what_the_program_linked_and_leaves_what_a_person_added(state):
    state.links.link_customer(CustomerLink("001A", "16", "name", "rules", NOW))
    state.reviews.also_link("001A", "19", "ana", NOW)
    state.reviews.open_or_refresh([CASE], NOW)
    state.reviews.decide("R-1", "link", customer_id="17", by="ana", now=LATER)
    assert linked(state) == ["19", "17"]
    assert [link.unlinked_by for link in state.links.history("001A") if not link.active] == ["ana"]


def test_a_second_customer_stands_beside_the_first_and_is_rejected_no_more(state):
    state.links.link_customer(CustomerLink("001A", "16", "name", "rules", NOW))
    state.rejections.reject("001A", "17", "ana", NOW)
    link = state.reviews.also_link("001A", "17", "ana", LATER)
    assert (link.method, link.evidence) == (PERSON, {"beside": ["16"]})
    assert linked(state) == ["16", "17"]
    assert rejected(state) == []
    state.reviews.also_link("001A", "17", "ana", LATER)
    assert linked(state) == ["16", "17"]


def test_undoing_an_answer_rejects_its_customer_and_asks_again(state):
    state.reviews.open_or_refresh([CASE], NOW)
    state.reviews.decide("R-1", "link", customer_id="17", by="ana", now=NOW)
    state.reviews.also_link("001A", "19", "ana", NOW)
    state.reviews.announce(["R-1"], NOW)
    review = state.reviews.undo("r-1", "ben", LATER)
    assert (review.status, review.customer_id, review.decided_by, review.opened_at) == ("open", None, None, LATER)
    assert (review.question, review.candidates) == (CASE.question, list(CANDIDATES))
    assert linked(state) == []
    assert [(one.customer_id, one.decided_by, one.reason) for one in state.rejections.all()] == [
        ("17", "ben", "undone in R-1"),
        ("19", "ben", "undone in R-1"),
    ]
    assert state.reviews.decisions() == {}
    assert [one.review_id for one in state.reviews.unannounced()] == ["R-1"]


def test_undoing_what_the_program_linked_asks_about_an_account_that_was_never_asked_about(state):
    state.links.link_customer(CustomerLink("001A", "16", "name", "rules", NOW))
    review = state.reviews.undo("001A", "ana", LATER, account_name="Acmé: 'A'", question="Who is it?")
    assert (review.review_id, review.status, review.account_name, review.question) == ("R-1", "open", "Acmé: 'A'", "Who is it?")
    assert (review.candidates, review.deals_waiting, review.amount_waiting) == ([], 0, None)
    assert linked(state) == []
    assert rejected(state) == [("001A", "16")]
    assert state.reviews.undo("001A", "ana", LATER + timedelta(hours=1)) == review
    assert state.reviews.open_or_refresh([CASE], LATER) == ()
    assert state.reviews.get("R-1").question == CASE.question


def test_undoing_without_a_name_still_asks(state):
    state.links.link_customer(CustomerLink("001A", "16", "name", "rules", NOW))
    review = state.reviews.undo("001A", "ana", LATER)
    assert review.account_name == "001A"
    assert "undone" in review.question


@pytest.mark.parametrize("decision", ["create", "ignore"])
def test_undoing_an_answer_without_a_customer_asks_again_and_rejects_nobody(state, decision):
    state.reviews.open_or_refresh([CASE], NOW)
    state.reviews.decide("R-1", decision, by="ana", now=NOW)
    assert state.reviews.undo("R-1", "ben", LATER).status == "open"
    assert rejected(state) == []


def test_undoing_an_answer_whose_link_is_gone_rejects_its_customer_all_the_same(state):
    state.reviews.open_or_refresh([CASE], NOW)
    state.reviews.decide("R-1", "link", customer_id="17", by="ana", now=NOW)
    state.links.unlink_customer("001A", "17", "ana", NOW)
    state.reviews.undo("001A", "ben", LATER)
    assert rejected(state) == [("001A", "17")]


def test_where_nothing_was_decided_undoing_changes_nothing(state):
    state.reviews.open_or_refresh([CASE, OTHER], NOW)
    state.reviews.close_missing({"001A"}, NOW)
    before = state.reviews.list(None)
    assert [state.reviews.undo(review.review_id, "ana", LATER) for review in before] == list(before)
    assert state.reviews.list(None) == before
    for unknown in ("001Z", "R-77", ""):
        with pytest.raises(UnknownReview):
            state.reviews.undo(unknown, "ana", LATER)


def test_naming_a_customer_that_was_rejected_withdraws_the_rejection(state):
    state.rejections.reject("001A", "17", "ana", NOW)
    state.rejections.reject("001A", "18", "ana", NOW)
    state.reviews.open_or_refresh([CASE], NOW)
    state.reviews.decide("R-1", "link", customer_id="17", by="ana", now=LATER)
    assert rejected(state) == [("001A", "18")]


def test_both_records_are_kept_and_do_not_make_another_question(state):
    details = {"account": {"name": "Größe", "amount": Decimal("12.50")}, "candidates": []}
    (review,) = state.reviews.open_or_refresh([replace(CASE, details=details)], NOW)
    assert review.details == details
    state.reviews.open_or_refresh([CASE], NOW)
    assert state.reviews.get("R-1").details is None
    state.reviews.decide("R-1", "ignore", by="ana", now=NOW)
    assert state.reviews.open_or_refresh([replace(CASE, details=details)], LATER) == ()


def test_a_question_is_told_once_and_again_when_it_is_asked_again(state):
    def untold():
        return [review.review_id for review in state.reviews.unannounced()]

    state.reviews.open_or_refresh([CASE, OTHER], NOW)
    assert untold() == ["R-1", "R-2"]
    state.reviews.announce(["R-1"], NOW)
    state.reviews.open_or_refresh([replace(CASE, deals_waiting=7)], LATER)
    assert (untold(), state.reviews.get("R-1").announced_at) == (["R-2"], NOW)
    state.reviews.close_missing(set(), LATER)
    assert untold() == []
    state.reviews.open_or_refresh([CASE], LATER)
    assert untold() == ["R-1"]
    state.reviews.announce(["R-1"], LATER)
    state.reviews.decide("R-1", "ignore", by="ana", now=LATER)
    state.reviews.open_or_refresh([replace(CASE, question="Now?")], LATER)
    assert untold() == ["R-1"]
    with pytest.raises(UnknownReview):
        state.reviews.announce(["R-1", "R-9"], LATER)
    assert untold() == ["R-1"]
