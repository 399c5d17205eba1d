"""Differences of fields and what became of them."""

import itertools
from dataclasses import fields, replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from qbsf_pipeline.state.journal import CannotReverse, FieldChange, UnknownChange
from qbsf_pipeline_tests.state.conftest import NOW

LATER = NOW + timedelta(hours=1)
CHANGE = FieldChange(
    key="phone:001A:17:h1",
    account_id="001A",
    account_name="Acmé: 'A'",
    customer_id="17",
    customer_name="Acmé",
    field="phone",
    salesforce_value='"+1 555 123 4567"',
    quickbooks_value='"999"',
    agreed_value=None,
    owner="salesforce",
    winner="salesforce",
    kind="put_back",
    rule="Salesforce owns the phone.",
    changed_by="Ana",
    changed_at=NOW,
    write_key="update_customer:1:17:3:aa",
)
REPORTED = replace(CHANGE, key="phone:001B:18:h2", account_id="001B", kind="report_only", winner="none", write_key=None)
KINDS = {"put_back", "both_changed", "report_only"}


def ids(entries):
    return [entry.journal_id for entry in entries]


def plan(**changes):
    return replace(CHANGE, **changes)


def test_a_change_is_taken_in_once(state):
    (planned, reported) = state.journal.record([CHANGE, REPORTED], NOW)
    assert (planned.journal_id, planned.status, planned.seen_at, planned.settled_at) == ("J-1", "planned", NOW, None)
    assert {field.name: getattr(planned, field.name) for field in fields(CHANGE)} == {
        field.name: getattr(CHANGE, field.name) for field in fields(CHANGE)
    }
    assert (reported.journal_id, reported.status) == ("J-2", "reported")
    assert state.journal.record([CHANGE, REPORTED], LATER) == []
    assert state.journal.get("j-1") == planned
    with pytest.raises(ValueError, match="more than once"):
        state.journal.record([CHANGE, CHANGE], NOW)


def test_one_write_settles_every_field_that_it_carried(state):
    other = plan(key="web:001A:17:h1", field="website")
    elsewhere = plan(key="x", account_id="001C", write_key="another")
    state.journal.record([CHANGE, other, elsewhere], NOW)
    state.journal.settle({CHANGE.write_key: "written", "unknown": "written"}, LATER)
    assert [(entry.status, entry.settled_at) for entry in state.journal.list()] == [
        ("planned", None),
        ("written", LATER),
        ("written", LATER),
    ]
    state.journal.settle({CHANGE.write_key: "withdrawn"}, LATER + timedelta(hours=1))
    assert state.journal.get("J-1").settled_at == LATER
    state.journal.settle({}, LATER)


def test_a_refused_write_that_is_tried_again_may_be_written_after_all(state):
    state.journal.record([CHANGE], NOW)
    state.journal.settle({CHANGE.write_key: "refused"}, NOW)
    state.journal.settle({CHANGE.write_key: "refused"}, LATER)
    assert state.journal.get("J-1").settled_at == NOW
    state.journal.settle({CHANGE.write_key: "written"}, LATER)
    assert (state.journal.get("J-1").status, state.journal.get("J-1").settled_at) == ("written", LATER)


def test_what_was_withdrawn_is_planned_again_under_its_id(state):
    state.journal.record([CHANGE], NOW)
    state.journal.settle({CHANGE.write_key: "withdrawn"}, NOW)
    assert state.journal.record([CHANGE], LATER) == []
    entry = state.journal.get("J-1")
    assert (entry.status, entry.seen_at, entry.settled_at) == ("planned", LATER, None)


def test_a_change_that_is_not_written_yet_follows_its_write_to_another_key(state):
    state.journal.record([CHANGE], NOW)
    assert state.journal.record([plan(write_key="new token")], LATER) == []
    state.journal.settle({CHANGE.write_key: "withdrawn"}, LATER)
    assert (state.journal.get("J-1").status, state.journal.get("J-1").write_key) == ("planned", "new token")
    state.journal.settle({"new token": "written"}, LATER)
    assert state.journal.get("J-1").status == "written"


def test_a_plan_without_a_write_leaves_one_that_is_on_its_way(state):
    state.journal.record([CHANGE], NOW)
    state.journal.record([plan(write_key=None, kind="report_only")], LATER)
    assert state.journal.get("J-1").write_key == CHANGE.write_key
    state.journal.settle({CHANGE.write_key: "withdrawn"}, LATER)
    state.journal.record([plan(write_key=None, kind="report_only")], LATER)
    assert (state.journal.get("J-1").status, state.journal.get("J-1").kind) == ("reported", "report_only")


def test_what_was_only_reported_is_planned_when_the_rules_allow_it_and_told_as_what_it_is_then(state):
    state.journal.record([REPORTED], NOW)
    state.journal.announce(["J-1"], NOW)
    state.journal.record([replace(REPORTED, kind="put_back", winner="salesforce", write_key="w")], LATER)
    entry = state.journal.get("J-1")
    assert (entry.status, entry.kind, entry.write_key, entry.seen_at) == ("planned", "put_back", "w", NOW)
    state.journal.settle({"w": "written"}, LATER)
    assert ids(state.journal.unannounced(KINDS)) == ["J-1"]


def test_the_same_mistake_made_again_after_it_was_put_back_is_another_event(state):
    state.journal.record([CHANGE], NOW)
    state.journal.settle({CHANGE.write_key: "written"}, NOW)
    assert state.journal.record([CHANGE], LATER) == []
    assert state.journal.record([plan(write_key=None)], LATER) == []
    again = plan(write_key="update_customer:1:17:5:aa", changed_by="Ben")
    (entry,) = state.journal.record([again], LATER)
    assert (entry.journal_id, entry.key, entry.status, entry.changed_by) == ("J-2", CHANGE.key, "planned", "Ben")
    assert state.journal.get("J-1").changed_by == "Ana"
    assert state.journal.record([again], LATER) == []


def test_people_are_told_once_of_what_became_of_a_change(state):
    state.journal.record([CHANGE, REPORTED, plan(key="b", kind="both_changed", write_key="b")], NOW)
    state.journal.record([plan(key="c", kind="owner_changed", write_key="c"), plan(key="d", write_key="d")], NOW)
    assert ids(state.journal.unannounced(KINDS)) == ["J-2"]
    state.journal.settle({CHANGE.write_key: "written", "b": "refused", "c": "written", "d": "withdrawn"}, NOW)
    assert ids(state.journal.unannounced(KINDS)) == ["J-1", "J-2", "J-3"]
    state.journal.announce(["J-1", "J-3"], NOW)
    state.journal.announce(["J-1"], LATER)
    assert ids(state.journal.unannounced(KINDS)) == ["J-2"]
    assert state.journal.get("J-1").announced_at == NOW
    assert state.journal.unannounced([]) == []


def test_the_journal_is_read_by_account_field_and_time_newest_first(state):
    state.journal.record([CHANGE, plan(key="b", field="website")], NOW)
    state.journal.record([REPORTED], LATER)
    assert ids(state.journal.list()) == ["J-3", "J-2", "J-1"]
    assert ids(state.journal.list(account_id="001A")) == ["J-2", "J-1"]
    assert ids(state.journal.list(field="phone")) == ["J-3", "J-1"]
    assert ids(state.journal.list(since=LATER)) == ["J-3"]
    assert ids(state.journal.list(limit=1)) == ["J-3"]


@pytest.mark.parametrize("unknown", ["J-2", "J-", "", "x", "R-1", "J-99999999999999", "J-٣"])
def test_an_unknown_change_is_said_to_be_unknown(state, unknown):
    state.journal.record([CHANGE], NOW)
    with pytest.raises(UnknownChange):
        state.journal.get(unknown)
    with pytest.raises(UnknownChange):
        state.journal.reverse(unknown, "ana", NOW)


@pytest.mark.parametrize("kind", ["both_changed", "put_back", "owner_changed", "first_difference"])
@pytest.mark.parametrize("written", [True, False])
def test_a_reversal_is_a_wish_until_it_is_carried_out(state, kind, written):
    state.journal.record([plan(kind=kind)], NOW)
    if written:
        state.journal.settle({CHANGE.write_key: "written"}, NOW)
    entry = state.journal.reverse("J-1", "ben", LATER)
    assert (entry.reversed_by, entry.reversed_at, entry.losing_value) == ("ben", LATER, '"999"')
    assert state.journal.reverse("J-1", "ana", LATER + timedelta(hours=1)) == entry
    assert state.journal.reversals() == [entry]
    assert state.journal.record([plan(kind=kind, write_key="other")], LATER) == []
    state.journal.carried_out(["J-1"], LATER)
    assert state.journal.reversals() == []
    assert state.journal.get("J-1").reversal_settled_at == LATER
    assert state.journal.get("J-1").write_key == CHANGE.write_key


def test_the_same_difference_after_a_reversal_is_another_event(state):
    state.journal.record([CHANGE], NOW)
    state.journal.reverse("J-1", "ben", NOW)
    state.journal.settle({CHANGE.write_key: "withdrawn"}, NOW)
    assert state.journal.record([CHANGE], LATER) == []
    state.journal.carried_out(["J-1"], LATER)
    assert ids(state.journal.record([CHANGE], LATER)) == ["J-2"]
    assert state.journal.get("J-1").status == "withdrawn"


@pytest.mark.parametrize(
    ("change", "settled", "reason"),
    [
        (REPORTED, None, "only reported"),
        (replace(CHANGE, kind="kept"), "written", "only reported"),
        (replace(CHANGE, winner="none"), "written", "only reported"),
        (replace(CHANGE, kind="reversed"), "written", "a reversal itself"),
        (CHANGE, "refused", "refused"),
        (CHANGE, "withdrawn", "withdrawn"),
    ],
)
def test_what_overwrote_nothing_cannot_be_reversed(state, change, settled, reason):
    state.journal.record([change], NOW)
    if settled:
        state.journal.settle({change.write_key: settled}, NOW)
    with pytest.raises(CannotReverse, match=f"J-1 cannot be reversed: .*{reason}"):
        state.journal.reverse("j-1", "ben", NOW)
    assert state.journal.reversals() == []


def test_only_the_newest_change_of_a_field_can_be_reversed(state):
    state.journal.record([CHANGE], NOW)
    state.journal.settle({CHANGE.write_key: "written"}, NOW)
    state.journal.record([plan(key="h2", write_key="w2"), plan(key="h3", field="website", write_key="w2")], NOW)
    with pytest.raises(CannotReverse, match="J-2 changed the same field since"):
        state.journal.reverse("J-1", "ben", NOW)
    state.journal.settle({"w2": "withdrawn"}, NOW)
    assert state.journal.reverse("J-1", "ben", NOW).reversed_by == "ben"


def test_what_nobody_wants_back_is_not_carried_out(state):
    state.journal.record([CHANGE], NOW)
    state.journal.carried_out(["J-1"], NOW)
    assert state.journal.get("J-1").reversal_settled_at is None


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM field_journal",
        "UPDATE field_journal SET status = 'planned', settled_at = NULL",
        "UPDATE field_journal SET quickbooks_value = NULL",
        "UPDATE field_journal SET salesforce_value = 'x'",
        "UPDATE field_journal SET write_key = NULL",
        "UPDATE field_journal SET settled_at = NULL",
        "UPDATE field_journal SET kind = 'other'",
        "UPDATE field_journal SET reversed_by = 'ana'",
        "INSERT INTO field_journal (key, occurrence, account_id, account_name, customer_id, customer_name, field, owner, winner,"
        " kind, rule, status, seen_at, write_key, settled_at) SELECT key, occurrence, account_id, account_name, customer_id,"
        " customer_name, field, owner, winner, kind, rule, status, seen_at, write_key, settled_at FROM field_journal",
    ],
)
def test_the_database_itself_keeps_what_was_written(state, statement):
    state.journal.record([CHANGE], NOW)
    state.journal.settle({CHANGE.write_key: "written"}, NOW)
    before = state.journal.list()
    with pytest.raises(DBAPIError), state.engine.begin() as connection:
        connection.execute(text(statement))
    assert state.journal.list() == before


def test_thousands_of_changes_are_taken_in_in_their_order(state):
    many = [plan(key=f"k{number}", write_key=f"w{number}") for number in range(2000)]
    assert ids(state.journal.record(many, NOW)) == [f"J-{number}" for number in range(1, 2001)]
    state.journal.settle({change.write_key: "written" for change in many}, LATER)
    assert {entry.status for entry in state.journal.list()} == {"written"}


_runs = itertools.count()
_steps = st.lists(
    st.one_of(
        st.tuples(st.just("plan"), st.sampled_from([None, "w1", "w2", "w3"])),
        st.tuples(st.sampled_from(["written", "refused", "withdrawn"]), st.sampled_from(["w1", "w2", "w3"])),
        st.tuples(st.sampled_from(["reverse", "carried_out"]), st.none()),
    ),
    max_size=12,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_steps)
def test_whatever_happens_a_written_entry_never_changes_and_every_planned_write_has_one(state, steps):
    run = next(_runs)
    change = plan(key=f"run {run}", account_id=f"account {run}")
    written, waiting = {}, False
    for step, word in steps:
        write_key = None if word is None else f"{run} {word}"
        before = state.journal.list(account_id=change.account_id)
        if step == "plan":
            state.journal.record([replace(change, write_key=write_key)], NOW)
            newest = state.journal.list(account_id=change.account_id)[0]
            if not waiting and write_key is not None:
                assert newest.write_key == write_key
        elif step == "reverse" and before and before[0].status in ("planned", "written"):
            state.journal.reverse(before[0].journal_id, "ben", NOW)
        elif step == "carried_out":
            state.journal.carried_out(ids(before), NOW)
        elif step in ("written", "refused", "withdrawn"):
            state.journal.settle({write_key: step}, NOW)
        after = state.journal.list(account_id=change.account_id)
        waiting = bool(after) and after[0].reversed_at is not None and after[0].reversal_settled_at is None
        now_written = {entry.journal_id: entry.write_key for entry in after if entry.status == "written"}
        assert written.items() <= now_written.items()
        assert len(after) >= len(before)
        written = now_written
