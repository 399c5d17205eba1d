"""Month-end reports that are kept, months that are closed, and differences that are seen and accepted."""

from datetime import date, timedelta

import pytest

from qbsf_pipeline.state.month_closings import AlreadyClosed
from qbsf_pipeline.state.month_end_differences import Acceptance
from qbsf_pipeline.state.month_end_reports import UnknownReport
from qbsf_pipeline_tests.state.conftest import NOW

DAY = timedelta(days=1)
MARCH, APRIL = date(2026, 3, 1), date(2026, 4, 1)
ONE, TWO = ("USD", "deal:1"), ("EUR", "invoice:Größe 'x'")


def keep(state, digest, *, day=0, month=MARCH, computed=None):
    now = NOW + day * DAY
    return state.month_end_reports.keep(
        month,
        digest,
        f"content of {digest}".encode(),
        {"totals": {"USD": {"won": 1}}},
        produced_at=now,
        computed_at=computed or now,
        now=now,
    )


def acceptance(amounts="a", *, by="ana", reason="r", day=0, key=ONE):
    return Acceptance(MARCH, *key, amounts, reason, by, NOW + day * DAY)


def test_a_report_that_is_like_the_newest_is_computed_again_and_not_kept_again(state):
    first = keep(state, "a")
    again = keep(state, "a", day=1)
    assert (first.report_id, again.report_id) == ("M-1", "M-1")
    assert (again.produced_at, again.kept_at, again.computed_at) == (NOW, NOW, NOW + DAY)
    assert [one.report_id for one in state.month_end_reports.list()] == ["M-1"]


def test_a_content_that_comes_back_is_another_report_with_the_same_content(state):
    keep(state, "a")
    keep(state, "b", day=1)
    third = keep(state, "a", day=2)
    assert third.report_id == "M-3"
    assert [one.digest for one in state.month_end_reports.list(MARCH)] == ["a", "b", "a"]
    assert state.month_end_reports.content("a") == b"content of a"


def test_the_report_of_any_day_in_the_past_is_found_again(state):
    keep(state, "a")
    keep(state, "b", day=2)
    keep(state, "other month", day=1, month=APRIL)
    reports = state.month_end_reports
    found = [reports.newest(MARCH, NOW + day * DAY) for day in (-1, 0, 1, 2)]
    assert [one and one.digest for one in found] == [None, "a", "a", "b"]
    assert reports.newest(MARCH).digest == "b"
    assert reports.newest(date(2026, 5, 1)) is None
    assert reports.get("m-2") == reports.get("2") == reports.newest(MARCH)
    assert reports.last_computed() == {MARCH: NOW + 2 * DAY, APRIL: NOW + DAY}
    assert reports.first_kept() == NOW


def test_a_decision_of_a_person_does_not_count_as_computing(state):
    keep(state, "a")
    keep(state, "decided", day=5, computed=NOW)
    assert state.month_end_reports.last_computed() == {MARCH: NOW}


@pytest.mark.parametrize("name", ["M-2", "", "M-", "x", "M-1; DROP", "M-99999999999"])
def test_a_report_that_is_not_there_is_said_to_be_unknown(state, name):
    keep(state, "a")
    with pytest.raises(UnknownReport):
        state.month_end_reports.get(name)
    with pytest.raises(UnknownReport):
        state.month_end_reports.content("b")


def test_a_month_is_closed_once_and_can_be_opened_again(state):
    closings = state.month_closings
    assert closings.in_force(MARCH) is None
    closings.close(MARCH, "M-7", "ana", NOW)
    with pytest.raises(AlreadyClosed, match="by ana"):
        closings.close(MARCH, "M-8", "ben", NOW + DAY)
    assert closings.in_force(MARCH).report_id == "M-7"
    assert closings.in_force(APRIL) is None
    assert closings.reopen(APRIL, "ben", None, NOW) is None
    assert closings.reopen(MARCH, "ben", "late invoice", NOW + DAY).report_id == "M-7"
    assert closings.in_force(MARCH) is None
    closings.close(MARCH, "M-9", "ana", NOW + 2 * DAY)
    history = closings.history(MARCH)
    assert [(one.report_id, one.reopened_by, one.reopened_reason) for one in history] == [
        ("M-7", "ben", "late invoice"),
        ("M-9", None, None),
    ]


def test_a_difference_keeps_the_day_of_its_first_report_also_when_it_comes_back(state):
    differences, day = state.month_end_differences, NOW.date()
    differences.record(MARCH, [ONE, TWO], day)
    differences.record(MARCH, [TWO], day + DAY)
    assert differences.open(MARCH) == {TWO}
    differences.record(MARCH, [ONE], day + 2 * DAY)
    assert differences.open(MARCH) == {ONE}
    assert differences.first_seen(MARCH) == {ONE: day, TWO: day}
    assert differences.open(APRIL) == set()
    assert differences.first_seen(APRIL) == {}


def test_many_differences_are_taken_in_at_once(state):
    many = [("USD", f"deal:{number}") for number in range(1200)]
    state.month_end_differences.record(MARCH, many, NOW.date())
    state.month_end_differences.record(MARCH, many[:1], NOW.date() + DAY)
    assert state.month_end_differences.open(MARCH) == set(many[:1])


def test_what_is_accepted_later_takes_the_place_of_what_was_accepted_before(state):
    differences = state.month_end_differences
    differences.accept([acceptance("first"), acceptance(key=TWO)])
    differences.accept([acceptance("second", by="ben", day=1)])
    assert [(one.case_key, one.amounts, one.accepted_by) for one in differences.accepted(MARCH)] == [
        (TWO[1], "a", "ana"),
        (ONE[1], "second", "ben"),
    ]
    assert differences.accepted(APRIL) == []
    assert differences.withdraw(MARCH, ONE[1], "cy", NOW) == 1
    assert differences.withdraw(MARCH, ONE[1], "cy", NOW) == 0
    assert [one.case_key for one in differences.accepted(MARCH)] == [TWO[1]]


def test_a_report_and_what_belongs_to_it_are_kept_together_or_not_at_all(state):
    def killed_in_between():
        with state.transaction():
            state.month_end_differences.record(MARCH, [ONE], NOW.date())
            keep(state, "a")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        killed_in_between()
    assert state.month_end_reports.list() == []
    assert state.month_end_differences.open(MARCH) == set()
    assert keep(state, "a").digest == "a"
    assert state.month_end_reports.content("a") == b"content of a"
