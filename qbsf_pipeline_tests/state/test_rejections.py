"""Accounts that are not certain customers."""

from datetime import timedelta

from qbsf_pipeline.state.links import CustomerLink
from qbsf_pipeline.state.rejections import Rejection
from qbsf_pipeline_tests.state.conftest import NOW

LATER = NOW + timedelta(hours=1)


def test_a_rejection_holds_until_it_is_withdrawn(state):
    state.rejections.reject("001A", "17", "ana", NOW, "another town")
    state.rejections.reject("001A", "18", "ana", NOW)
    assert state.rejections.all() == [
        Rejection("001A", "17", "ana", NOW, "another town"),
        Rejection("001A", "18", "ana", NOW),
    ]
    assert state.rejections.withdraw("001A", "17")
    assert not state.rejections.withdraw("001A", "17")
    assert not state.rejections.withdraw("001B", "18")
    assert [rejection.customer_id for rejection in state.rejections.all()] == ["18"]


def test_what_was_withdrawn_may_be_rejected_again_and_the_newest_word_counts(state):
    state.rejections.reject("001A", "17", "ana", NOW, "another town")
    state.rejections.withdraw("001A", "17")
    state.rejections.reject("001A", "17", "ben", LATER)
    assert state.rejections.all() == [Rejection("001A", "17", "ben", LATER)]


def test_rejecting_leaves_a_link_in_force_to_whoever_undoes_it(state):
    state.links.link_customer(CustomerLink("001A", "17", "name", "rules", NOW))
    state.rejections.reject("001A", "17", "ana", NOW)
    assert state.links.customer("001A") is not None
