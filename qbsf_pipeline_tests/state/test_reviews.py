"""Questions to people and their answers."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from qbsf_pipeline.state.links import CustomerLink
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
