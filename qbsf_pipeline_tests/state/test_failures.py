"""Dead letters: told once, until they change."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from qbsf_pipeline.state.failures import FailureChanges, Problem, Reason, UnknownFailure
from qbsf_pipeline_tests.state.conftest import NOW
from qbsf_pipeline_tests.state.writes import invoice, sending

LATER = NOW + timedelta(minutes=5)
MISSING = Reason("billing_email_missing", "Acmé has no billing e-mail.", "Fill Billing Email on the account.")
TERMS = Reason("payment_terms_unknown", "QuickBooks has no term 'Net 31'.", "Choose another one.")
DEAL = invoice().source_id
PROBLEM = Problem(
    f"invoices:{DEAL}",
    "invoices",
    "Opportunity",
    DEAL,
    "Acme",
    "https://x/006",
    "refused",
    (MISSING,),
    Decimal("12.30"),
    "USD",
)
OTHER = replace(PROBLEM, key="invoices:2", source_id="2", label="Beta")


def told(changes: FailureChanges):
    return tuple([failure.problem.key for failure in group] for group in (changes.new, changes.changed, changes.resolved))


def report(state, *problems, flow="invoices", now=NOW):
    return told(state.failures.report(problems, flow, now))


def test_a_problem_is_told_once_until_it_changes_and_once_when_it_went_away(state):
    assert report(state, PROBLEM) == ([PROBLEM.key], [], [])
    assert report(state, PROBLEM) == ([], [], [])
    worse = replace(PROBLEM, reasons=(MISSING, TERMS))
    assert report(state, worse) == ([], [PROBLEM.key], [])
    assert report(state, replace(worse, reasons=(TERMS, MISSING), label="Renamed")) == ([], [], [])
    assert report(state) == ([], [], [PROBLEM.key])
    assert report(state) == ([], [], [])
    assert report(state, worse, now=LATER) == ([PROBLEM.key], [], [])
    (failure,) = state.failures.list()
    assert (failure.failure_id, failure.opened_at, failure.problem) == ("F-1", LATER, worse)


def test_flows_do_not_resolve_each_others_problems(state):
    report(state, PROBLEM)
    payment = replace(PROBLEM, key="payments:1", flow="payments")
    assert report(state, payment, flow="payments") == (["payments:1"], [], [])
    assert report(state, flow="payments") == ([], [], ["payments:1"])
    assert [failure.problem.key for failure in state.failures.list(flow="invoices")] == [PROBLEM.key]
    with pytest.raises(ValueError, match="another flow"):
        report(state, PROBLEM, flow="payments")
    with pytest.raises(ValueError, match="several problems"):
        report(state, PROBLEM, PROBLEM)


def test_a_dismissed_problem_is_silent_until_it_changes(state):
    report(state, PROBLEM)
    failure = state.failures.dismiss("f-1", "ana", "billed by hand", NOW)
    assert (failure.status, failure.dismissed_by, failure.dismissed_reason) == ("dismissed", "ana", "billed by hand")
    assert report(state, PROBLEM) == ([], [], [])
    assert state.failures.list() == ()
    assert report(state, replace(PROBLEM, reasons=(TERMS,))) == ([], [PROBLEM.key], [])
    assert state.failures.get("1").status == "open"


def test_a_dismissed_problem_that_goes_away_is_not_told_and_is_new_when_it_comes_back(state):
    report(state, PROBLEM)
    state.failures.dismiss("F-1", "ana", "later", NOW)
    assert report(state) == ([], [], [])
    with pytest.raises(ValueError, match="resolved already"):
        state.failures.dismiss("F-1", "ana", "later", NOW)
    assert report(state, PROBLEM) == ([PROBLEM.key], [], [])
    assert state.failures.get("F-1").dismissed_by is None


def test_retrying_lets_the_records_dead_and_failed_writes_wait_again(state):
    dead, done, other = invoice(1), invoice(1, key="send", position=4), invoice(2)
    state.ledger.enqueue([dead, done, other], "B-1", NOW)
    state.ledger.start([sending(write) for write in (dead, done, other)], NOW)
    state.ledger.bury(dead.key, "6000", "x", NOW)
    state.ledger.finish("send", "1", "{}", NOW)
    state.ledger.bury(other.key, "6000", "x", NOW)
    report(state, replace(PROBLEM, kind="failed"))
    assert state.failures.retry("F-1", LATER) == (dead.key,)
    assert state.failures.get("F-1").retried_at == LATER
    assert [state.ledger.entry(key).status for key in (dead.key, "send", other.key)] == ["planned", "done", "dead"]


@pytest.mark.parametrize("unknown", ["F-2", "F-", "", "x", "F-99999999999999", "F-٣"])
def test_an_unknown_failure_is_said_to_be_unknown(state, unknown):
    report(state, PROBLEM)
    with pytest.raises(UnknownFailure):
        state.failures.get(unknown)
    with pytest.raises(UnknownFailure):
        state.failures.retry(unknown, NOW)


def test_many_problems_are_told_in_the_order_they_were_given(state):
    assert report(state, OTHER, PROBLEM) == ([OTHER.key, PROBLEM.key], [], [])
    assert report(state, PROBLEM) == ([], [], [OTHER.key])
    assert [failure.status for failure in state.failures.list(status=None)] == ["resolved", "open"]
