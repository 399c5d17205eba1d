"""What may happen to a row of the ledger, on both kinds of database."""

import multiprocessing
import shutil
from dataclasses import fields, replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, text, update
from sqlalchemy.exc import DBAPIError

from qbsf_pipeline.state.database import State
from qbsf_pipeline.state.ledger import (
    AlreadyDone,
    AlreadyTaken,
    Enqueued,
    Finished,
    PlannedWrite,
    WrongStatus,
)
from qbsf_pipeline.state.tables import ledger
from qbsf_pipeline_tests.state.conftest import NOW
from qbsf_pipeline_tests.state.writes import invoice, sending

LATER = NOW + timedelta(minutes=5)


def statuses(state):
    return {entry.key: entry.status for entry in state.ledger.entries()}


def put(state, write, status):
    """Bring a write to a status by the ways that lead there."""
    state.ledger.enqueue([write], "B-1", NOW)
    if status in ("sending", "done", "failed", "dead"):
        state.ledger.start([sending(write)], NOW)
    if status == "done":
        state.ledger.finish(write.key, "145", "{}", NOW)
    if status == "failed":
        state.ledger.fail(write.key, "3001", "throttled", LATER, NOW)
    if status == "dead":
        state.ledger.bury(write.key, "6240", "Duplicate Name Exists Error", NOW)
    if status == "withdrawn":
        state.ledger.withdraw("invoices", set(), NOW)


def test_what_is_enqueued_is_read_back_exactly(state):
    write = invoice(label='Ωmega: O\'Brien "x" 😀\nline', amount=Decimal("0.10"), account_id=None, due_date=None)
    assert state.ledger.enqueue([write], "B-7", NOW) == Enqueued(new=1)
    entry = state.ledger.entry(write.key)
    for field in fields(PlannedWrite):
        assert getattr(entry, field.name) == getattr(write, field.name), field.name
    assert str(entry.amount) == "0.10"
    assert (entry.status, entry.batch, entry.gate_passed_at, entry.attempts) == ("planned", "B-7", NOW, 0)
    assert (entry.created_at, entry.updated_at, entry.done_at, entry.sent_body) == (NOW, NOW, None, None)


def test_text_that_no_database_can_keep_is_mended_and_stays_unchanged_the_next_time(state):
    write = invoice(label="a\x00b\ud83d", payload='{"x":"\x00"}')
    state.ledger.enqueue([write], "B-1", NOW)
    assert state.ledger.entry(write.key).label == "a\ufffdb\ufffd"
    assert state.ledger.enqueue([write], "B-2", LATER) == Enqueued(unchanged=1)


@pytest.mark.parametrize("status", ["sending", "done"])
def test_a_key_that_is_sent_or_done_is_never_enqueued_again(state, status):
    write = invoice()
    put(state, write, status)
    before = state.ledger.entry(write.key)
    changed = replace(write, payload='{"Line":[]}', decided_from="hash-2", plan_id="P-other", amount=Decimal("1"))
    assert state.ledger.enqueue([changed], "B-2", LATER) == Enqueued(kept=1)
    assert state.ledger.entry(write.key) == before


@pytest.mark.parametrize("status", ["planned", "failed"])
def test_what_waits_takes_the_new_content(state, status):
    write = invoice()
    put(state, write, status)
    changed = replace(write, payload='{"Line":[1]}', plan_id="P-2", reason="mended", label="New name")
    assert state.ledger.enqueue([changed], "B-2", LATER) == Enqueued(refreshed=1)
    entry = state.ledger.entry(write.key)
    assert (entry.payload, entry.plan_id, entry.label, entry.batch) == (changed.payload, "P-2", "New name", "B-2")
    assert (entry.status, entry.attempts, entry.next_attempt_at, entry.error_code) == ("planned", 0, None, None)
    assert (entry.created_at, entry.gate_passed_at) == (NOW, LATER)


def test_a_failed_write_planned_again_with_the_same_payload_keeps_its_wait(state):
    write = invoice()
    put(state, write, "failed")
    assert state.ledger.enqueue([replace(write, plan_id="P-2")], "B-2", NOW) == Enqueued(unchanged=1)
    entry = state.ledger.entry(write.key)
    assert (entry.status, entry.attempts, entry.next_attempt_at, entry.error_code) == ("failed", 1, LATER, "3001")
    assert entry.plan_id == "P-2"


def test_a_dead_write_comes_back_only_when_the_source_was_mended(state):
    write = invoice()
    put(state, write, "dead")
    other_payload = replace(write, payload='{"Line":[2]}')
    assert state.ledger.enqueue([other_payload], "B-2", LATER) == Enqueued(kept=1)
    assert state.ledger.entry(write.key).status == "dead"
    assert state.ledger.enqueue([replace(write, decided_from="hash-2")], "B-3", LATER) == Enqueued(refreshed=1)
    entry = state.ledger.entry(write.key)
    assert (entry.status, entry.attempts, entry.error_code) == ("planned", 0, None)


def test_a_withdrawn_write_that_is_planned_again_is_new(state):
    write = invoice()
    put(state, write, "withdrawn")
    assert state.ledger.ready("invoices", LATER) == []
    assert state.ledger.enqueue([write], "B-2", LATER) == Enqueued(new=1)
    assert [entry.key for entry in state.ledger.ready("invoices", LATER)] == [write.key]


def test_a_plan_with_one_key_twice_is_refused_and_nothing_is_taken_in(state):
    with pytest.raises(ValueError, match="more than once"):
        state.ledger.enqueue([invoice(1), invoice(2), invoice(1)], "B-1", NOW)
    assert statuses(state) == {}


def test_withdraw_takes_out_only_what_waits_in_that_flow(state):
    names = ["planned", "failed", "sending", "done", "dead"]
    for number, status in enumerate(names, start=1):
        put(state, invoice(number), status)
    put(state, invoice(10), "planned")
    state.ledger.enqueue([invoice(11, flow="payments")], "B-1", NOW)
    gone = state.ledger.withdraw("invoices", {invoice(10).key}, LATER)
    assert set(gone) == {invoice(1).key, invoice(2).key}
    assert statuses(state) == {
        invoice(1).key: "withdrawn",
        invoice(2).key: "withdrawn",
        invoice(3).key: "sending",
        invoice(4).key: "done",
        invoice(5).key: "dead",
        invoice(10).key: "planned",
        invoice(11).key: "planned",
    }


def test_a_withdrawn_write_cannot_be_sent(state):
    put(state, invoice(), "withdrawn")
    with pytest.raises(AlreadyTaken):
        state.ledger.start([sending(invoice())], NOW)


def test_ready_gives_what_is_due_in_the_order_of_the_plan(state):
    first = [invoice(1, position=4), invoice(2, position=1), invoice(3, position=2, flow="payments")]
    state.ledger.enqueue(first, "B-1", NOW)
    state.ledger.enqueue([invoice(4, position=1)], "B-2", LATER)
    put(state, invoice(5, position=0), "failed")
    assert [entry.key for entry in state.ledger.ready("invoices", NOW)] == [
        invoice(2).key,
        invoice(4).key,
        invoice(1).key,
    ]
    assert state.ledger.ready("invoices", LATER)[0].key == invoice(5).key


def test_start_remembers_exactly_what_is_sent(state):
    writes = [invoice(1), invoice(2)]
    state.ledger.enqueue(writes, "B-1", NOW)
    state.ledger.start([sending(w, f"r-{n}", "G-1", n) for n, w in enumerate(writes)], LATER)
    assert state.ledger.ready("invoices", LATER) == []
    sent = state.ledger.sending("invoices")
    assert [(e.key, e.request_id, e.group_id, e.group_position) for e in sent] == [
        (writes[0].key, "r-0", "G-1", 0),
        (writes[1].key, "r-1", "G-1", 1),
    ]
    assert (sent[0].sent_body, sent[0].sending_at, sent[0].attempts) == (writes[0].payload, LATER, 1)


@pytest.mark.parametrize("status", ["sending", "done", "dead"])
def test_start_takes_all_or_nothing(state, status):
    put(state, invoice(1), status)
    state.ledger.enqueue([invoice(2)], "B-1", NOW)
    with pytest.raises(AlreadyTaken) as caught:
        state.ledger.start([sending(invoice(2)), sending(invoice(1), "r-9")], LATER)
    assert caught.value.keys == (invoice(1).key,)
    assert state.ledger.entry(invoice(2).key).status == "planned"
    assert state.ledger.entry(invoice(1).key).request_id != "r-9"


def test_start_refuses_to_be_a_part_of_another_transaction(state):
    state.ledger.enqueue([invoice()], "B-1", NOW)
    with pytest.raises(RuntimeError, match="committed"), state.transaction():
        state.ledger.start([sending(invoice())], NOW)
    assert state.ledger.entry(invoice().key).status == "planned"


def test_finishing_twice_with_the_same_answer_changes_nothing(state):
    put(state, invoice(), "sending")
    state.ledger.finish(invoice().key, "145", '{"Id":"145"}', NOW)
    state.ledger.finish(invoice().key, "145", '{"Id":"145","again":true}', LATER)
    entry = state.ledger.entry(invoice().key)
    assert (entry.status, entry.result_id, entry.result, entry.done_at) == ("done", "145", '{"Id":"145"}', NOW)


def test_finishing_with_another_result_is_refused_and_the_first_one_stays(state):
    put(state, invoice(1), "done")
    put(state, invoice(2), "sending")
    with pytest.raises(AlreadyDone) as caught:
        state.ledger.finish_many([Finished(invoice(2).key, "146", "{}"), Finished(invoice(1).key, "999", "{}")], LATER)
    assert (caught.value.result_id, caught.value.other_result_id) == ("145", "999")
    assert state.ledger.entry(invoice(1).key).result_id == "145"
    assert state.ledger.entry(invoice(2).key).status == "sending"


@pytest.mark.parametrize("status", ["planned", "failed", "dead", "withdrawn"])
def test_only_what_was_being_sent_can_be_finished(state, status):
    put(state, invoice(), status)
    with pytest.raises(WrongStatus):
        state.ledger.finish(invoice().key, "145", "{}", NOW)
    assert state.ledger.entry(invoice().key).status == status


def test_an_unknown_key_cannot_be_finished(state):
    with pytest.raises(WrongStatus, match="not in the ledger"):
        state.ledger.finish("nothing", "145", "{}", NOW)


MOVES = {
    "fail": lambda ledger, key: ledger.fail(key, "x", "y", LATER, NOW),
    "bury": lambda ledger, key: ledger.bury(key, "x", "y", NOW),
    "release": lambda ledger, key: ledger.release(key, NOW),
    "retry": lambda ledger, key: ledger.retry(key, NOW),
}
ALLOWED = {
    "fail": {"planned": "failed", "sending": "failed", "failed": "failed"},
    "bury": {"planned": "dead", "sending": "dead", "failed": "dead"},
    "release": {"sending": "planned"},
    "retry": {"dead": "planned", "failed": "planned"},
}


@pytest.mark.parametrize("status", ["planned", "sending", "done", "failed", "dead", "withdrawn"])
@pytest.mark.parametrize("move", MOVES)
def test_a_row_moves_only_as_allowed(state, move, status):
    put(state, invoice(), status)
    wanted = ALLOWED[move].get(status)
    if wanted is None:
        with pytest.raises(WrongStatus):
            MOVES[move](state.ledger, invoice().key)
    else:
        MOVES[move](state.ledger, invoice().key)
    assert state.ledger.entry(invoice().key).status == (wanted or status)


def test_a_dead_write_that_is_retried_may_be_sent_at_once(state):
    put(state, invoice(), "dead")
    state.ledger.retry(invoice().key, NOW)
    (entry,) = state.ledger.ready("invoices", NOW)
    assert (entry.attempts, entry.error_code) == (0, None)


@pytest.mark.parametrize(
    "statement",
    [
        update(ledger).values(status="planned", done_at=None),
        update(ledger).values(result_id="999"),
        update(ledger).values(status="withdrawn", done_at=None),
        delete(ledger),
    ],
)
def test_the_database_itself_keeps_what_is_done(state, statement):
    put(state, invoice(), "done")
    with pytest.raises(DBAPIError), state.engine.begin() as connection:
        connection.execute(statement)
    assert state.ledger.entry(invoice().key).result_id == "145"


def test_the_database_itself_refuses_done_without_sending(state):
    put(state, invoice(), "planned")
    with pytest.raises(DBAPIError), state.engine.begin() as connection:
        connection.execute(update(ledger).values(status="done", done_at=NOW, result_id="1"))


def test_counts_and_rows_tell_what_is_there(state):
    for number, status in enumerate(["planned", "done", "done", "dead"], start=1):
        put(state, invoice(number), status)
    state.ledger.enqueue([invoice(9, flow="payments")], "B-1", NOW)
    assert state.ledger.counts() == {"planned": 2, "done": 2, "dead": 1}
    assert state.ledger.counts("payments") == {"planned": 1}
    rows = state.ledger.as_rows()
    assert len(rows) == 5
    assert rows[0]["amount"] == Decimal("12500.10")
    assert not {"payload", "sent_body", "result"} & set(rows[0])
    found = state.ledger.entries(flow="invoices", status="done", opportunity_id=invoice(2).opportunity_id)
    assert [entry.key for entry in found] == [invoice(2).key]
    assert set(state.ledger.lookup([invoice(1).key, "unknown"])) == {invoice(1).key}


def test_a_large_plan_is_taken_in_and_refreshed_whole(state):
    writes = [invoice(number) for number in range(1, 2501)]
    assert state.ledger.enqueue(writes, "B-1", NOW) == Enqueued(new=2500)
    changed = [replace(write, payload="{}") if n % 2 else write for n, write in enumerate(writes)]
    assert state.ledger.enqueue(changed, "B-2", LATER) == Enqueued(refreshed=1250, unchanged=1250)
    assert len(state.ledger.withdraw("invoices", {w.key for w in writes[:2000]}, LATER)) == 500


def _race(url, home, keys, request_id, barrier, answers):
    from pathlib import Path

    with State.open(url, Path(home)) as state:
        barrier.wait(30)
        won = []
        for key in keys:
            try:
                state.ledger.start([replace(sending(invoice(), request_id), key=key)], NOW)
                won.append(key)
            except AlreadyTaken:
                continue
        answers.put((request_id, won))


def test_of_several_processes_that_start_the_same_write_exactly_one_may_send_it(place):
    keys = [invoice(number).key for number in range(1, 16)]
    with place.open() as state:
        state.ledger.enqueue([invoice(number) for number in range(1, 16)], "B-1", NOW)
        context = multiprocessing.get_context("spawn")
        barrier, answers = context.Barrier(3), context.Queue()
        processes = [
            context.Process(target=_race, args=(place.url, str(place.home), keys, name, barrier, answers))
            for name in ("r-a", "r-b", "r-c")
        ]
        for process in processes:
            process.start()
        won = dict(answers.get(timeout=60) for _ in processes)
        for process in processes:
            process.join(30)
        assert sorted(key for keys_won in won.values() for key in keys_won) == sorted(keys)
        for entry in state.ledger.entries():
            assert (entry.status, entry.attempts) == ("sending", 1)
            assert entry.key in won[entry.request_id]


_STEPS = st.lists(
    st.tuples(st.sampled_from(["enqueue", "mend", "start", "finish", "other", "withdraw", *MOVES]), st.integers(1, 3)),
    max_size=25,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=_STEPS)
def test_whatever_happens_a_key_is_finished_at_most_once(tmp_path_factory, ready_home, steps):
    home = tmp_path_factory.mktemp("state") / "home"
    shutil.copytree(ready_home, home)
    with State.open(f"sqlite:///{home / 'state.sqlite'}", home) as state:
        done: dict[str, str] = {}
        starts_after_done = []
        for number, (step, which) in enumerate(steps):
            write = invoice(which)
            try:
                if step == "enqueue":
                    state.ledger.enqueue([write], f"B-{number}", NOW)
                elif step == "mend":
                    mended = replace(write, payload=f'{{"n":{number}}}', decided_from=str(number))
                    state.ledger.enqueue([mended], f"B-{number}", NOW)
                elif step == "start":
                    state.ledger.start([sending(write, f"r-{number}")], NOW)
                    starts_after_done += [write.key] if write.key in done else []
                elif step in ("finish", "other"):
                    result = "145" if step == "finish" else "146"
                    state.ledger.finish(write.key, result, "{}", NOW)
                    assert done.setdefault(write.key, result) == result
                elif step == "withdraw":
                    state.ledger.withdraw("invoices", set(), NOW)
                else:
                    MOVES[step](state.ledger, write.key)
            except (AlreadyTaken, AlreadyDone, WrongStatus):
                continue
        assert starts_after_done == []
        assert {e.key: e.result_id for e in state.ledger.entries(status="done")} == done
        with state.engine.connect() as connection:
            assert connection.execute(text("SELECT count(*) FROM ledger WHERE status = 'done'")).scalar() == len(done)


def test_ages_that_are_long_done_are_forgotten_and_nothing_else(state):
    kinds = {
        "old": {"operation": "update_opportunity", "flow": "aging"},
        "task": {"operation": "create_task", "flow": "aging"},
        "payment": {"operation": "update_opportunity", "flow": "payments"},
    }
    for number, (name, kind) in enumerate(kinds.items(), start=1):
        put(state, invoice(number, key=name, depends_on=(), **kind), "done")
    for number, status in enumerate(("planned", "sending", "failed", "dead"), start=7):
        put(state, invoice(number, key=status, depends_on=(), **kinds["old"]), status)
    assert state.ledger.forget_ages(NOW) == 0
    assert state.ledger.forget_ages(LATER) == 1
    assert set(statuses(state)) == {"task", "payment", "planned", "sending", "failed", "dead"}


def test_the_next_plan_sees_what_was_touched_lately_and_what_lasts(state):
    for number, (key, operation) in enumerate([("age", "update_opportunity"), ("task", "create_task")], start=1):
        put(state, invoice(number, key=key, operation=operation, flow="aging", depends_on=()), "done")
    assert {row["key"] for row in state.ledger.outcomes_since("aging", NOW)} == {"age", "task"}
    assert {row["key"] for row in state.ledger.outcomes_since("aging", LATER, ["create_task"])} == {"task"}
    assert state.ledger.outcomes_since("payments", NOW) == []
