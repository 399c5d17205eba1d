"""Approvals, passes, outages, the bound identity and the cache."""

from datetime import timedelta

import pytest

from qbsf_pipeline.errors import ConfigurationError
from qbsf_pipeline_tests.state.conftest import NOW

LATER = NOW + timedelta(hours=2)
ORG, REALM = "00D000000000001EAA", "9130350000000001"


def test_a_plan_is_decided_by_itself_or_by_its_batch_and_the_last_word_counts(state):
    assert state.approvals.decision("P-1", "B-1") is None
    state.approvals.approve("B-1", "ana", NOW)
    assert state.approvals.decision("P-1", "B-1") == "approved"
    state.approvals.reject("P-1", "ben", NOW, "wrong month")
    assert state.approvals.decision("P-1", "B-1") == "rejected"
    assert state.approvals.decision("P-2", "B-1") == "approved"
    assert state.approvals.decision("P-2") is None
    state.approvals.approve("P-1", "ana", LATER)
    assert state.approvals.decisions() == {"B-1": "approved", "P-1": "approved"}
    assert [(a.subject, a.decision, a.decided_by, a.reason) for a in state.approvals.history()] == [
        ("B-1", "approved", "ana", None),
        ("P-1", "rejected", "ben", "wrong month"),
        ("P-1", "approved", "ana", None),
    ]


def test_a_pass_is_remembered_with_what_it_cost(state):
    first = state.passes.begin("invoices", "live", "schedule", NOW)
    state.passes.end(first, "ok", {"planned": 3}, {"quickbooks:cdc": 1, "salesforce:query": 2}, "run-1", LATER)
    second = state.passes.begin("invoices", "live", "command line", LATER)
    last = state.passes.last("invoices")
    assert (last.pass_id, last.ended_at, last.outcome, last.counts) == (second, None, None, {})
    state.passes.end(second, "failed", {}, {"quickbooks:cdc": 4}, None, LATER)
    state.passes.end(state.passes.begin("payments", "live", "schedule", LATER), "ok", {}, {}, None, LATER)
    assert state.passes.api_usage(NOW) == {"quickbooks:cdc": 5, "salesforce:query": 2}
    assert state.passes.api_usage(LATER) == {"quickbooks:cdc": 4}
    found = state.passes.recent("invoices")
    assert [(p.pass_id, p.outcome, p.dagster_run_id) for p in found] == [
        (second, "failed", None),
        (first, "ok", "run-1"),
    ]
    assert len(state.passes.recent(limit=2)) == 2
    assert state.passes.last("aging") is None


def test_an_outage_is_told_once_and_its_end_once(state):
    assert state.services.came_back("quickbooks", NOW) is None
    assert state.services.went_down("quickbooks", "503", NOW)
    assert not state.services.went_down("quickbooks", "504", LATER)
    outage = state.services.down()["quickbooks"]
    assert (outage.since, outage.reason) == (NOW, "504")
    assert state.services.came_back("salesforce", LATER) is None
    assert state.services.came_back("quickbooks", LATER) == timedelta(hours=2)
    assert state.services.came_back("quickbooks", LATER) is None
    assert state.services.went_down("quickbooks", "503", LATER)


def test_the_clock_set_back_gives_no_negative_outage(state):
    state.services.went_down("slack", "503", LATER)
    assert state.services.came_back("slack", NOW) == timedelta()


def test_a_home_belongs_to_one_org_and_one_company(state):
    assert state.identity.bound() == {}
    state.identity.bind(ORG, REALM, NOW)
    state.identity.bind(ORG[:15], REALM, LATER)
    with pytest.raises(ConfigurationError) as caught:
        state.identity.bind("00D000000000002EAA", "9130350000000002", LATER)
    assert len(caught.value.problems) == 2
    with pytest.raises(ConfigurationError, match="QUICKBOOKS_REALM_ID.*QBSF_HOME.*" + REALM):
        state.identity.bind(ORG, "1234567", LATER)
    assert state.identity.bound() == {"salesforce": ORG, "quickbooks": REALM}


def test_the_cache_gives_the_newest_text_with_its_age(state):
    assert state.cache.load("describe") is None
    state.cache.store("describe", '{"a":"ü"}', NOW)
    state.cache.store("describe", '{"b":1}', LATER)
    found = state.cache.load("describe")
    assert (found.text, found.stored_at) == ('{"b":1}', LATER)
    state.cache.forget("describe")
    assert state.cache.load("describe") is None
