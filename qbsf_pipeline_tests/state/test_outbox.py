"""Messages that wait for Slack."""

from dataclasses import replace
from datetime import timedelta

from qbsf_pipeline.state.outbox import Message, channels
from qbsf_pipeline_tests.state.conftest import NOW

SOON = NOW + timedelta(seconds=30)
BLOCKS = [{"type": "section", "text": {"type": "mrkdwn", "text": "Größe 1.5 <x>"}, "weight": 1.5}]


def message(key, channel="#finance", **changes):
    return replace(Message(key, channel, f"text of {key}", []), **changes)


def due(state, now=NOW):
    return [entry.message.dedupe_key for entry in state.outbox.due(now)]


def ids(state):
    return {entry.message.dedupe_key: entry.entry_id for entry in state.outbox.pending()}


def test_a_message_is_taken_in_once_whatever_its_text(state):
    assert state.outbox.put([message("a", blocks=BLOCKS, kind="invoice"), message("a", text="other")], NOW) == 1
    assert state.outbox.put([message("a", text="another")], NOW) == 0
    (entry,) = state.outbox.due(NOW)
    assert entry.message == message("a", blocks=BLOCKS, kind="invoice")
    assert (entry.attempts, entry.uncertain, entry.parent_ts) == (0, False, None)


def test_a_delivered_message_is_not_taken_in_again(state):
    state.outbox.put([message("a")], NOW)
    state.outbox.mark_sending(ids(state)["a"], NOW)
    state.outbox.sent(ids(state)["a"], "C01", "1767225600.000100", NOW)
    assert state.outbox.put([message("a")], NOW) == 0
    assert due(state) == []
    assert state.outbox.counts() == {"sent": 1}
    assert state.outbox.channel_id("#finance") == "C01"
    assert state.outbox.channel_id("#other") is None


def test_a_message_that_must_wait_holds_up_its_channel_and_no_other(state):
    state.outbox.put([message("a"), message("b"), message("c", "#alerts")], NOW)
    state.outbox.mark_sending(ids(state)["a"], NOW)
    state.outbox.failed(ids(state)["a"], "slack is down", SOON)
    assert due(state) == ["c"]
    assert due(state, SOON) == ["a", "b", "c"]
    assert {name: len(found) for name, found in channels(state.outbox.pending()).items()} == {
        "#finance": 2,
        "#alerts": 1,
    }


def test_a_message_whose_answer_was_lost_stays_uncertain_since_it_was_first_sent(state):
    state.outbox.put([message("a")], NOW)
    state.outbox.mark_sending(ids(state)["a"], NOW)
    state.outbox.uncertain(ids(state)["a"], "reset", SOON)
    state.outbox.mark_sending(ids(state)["a"], SOON)
    (entry,) = state.outbox.pending()
    assert (entry.uncertain, entry.sending_at, entry.attempts) == (True, NOW, 2)
    state.outbox.failed(ids(state)["a"], "throttled", SOON)
    state.outbox.mark_sending(ids(state)["a"], SOON)
    (entry,) = state.outbox.pending()
    assert entry.sending_at == SOON


def test_an_answer_waits_for_its_parent_without_holding_up_the_others(state):
    state.outbox.put([message("answer", thread_of="parent"), message("b"), message("parent")], NOW)
    assert due(state) == ["b", "parent"]
    state.outbox.mark_sending(ids(state)["parent"], NOW)
    state.outbox.sent(ids(state)["parent"], "C01", "1.000100", NOW)
    entries = state.outbox.due(NOW)
    assert [(entry.message.dedupe_key, entry.parent_ts) for entry in entries] == [("answer", "1.000100"), ("b", None)]


def test_an_answer_whose_parent_is_dead_or_never_came_stands_by_itself(state):
    state.outbox.put([message("a", thread_of="nobody"), message("p"), message("b", thread_of="p")], NOW)
    state.outbox.put([message("self", thread_of="self")], NOW)
    state.outbox.dead(ids(state)["p"], "invalid_blocks")
    assert [(entry.message.dedupe_key, entry.parent_ts) for entry in state.outbox.due(NOW)] == [
        ("a", None),
        ("b", None),
        ("self", None),
    ]


def test_a_whole_channel_can_be_postponed(state):
    state.outbox.put([message("a"), message("b"), message("c", "#alerts")], NOW)
    assert state.outbox.postpone("#finance", "not_in_channel", SOON) == 2
    assert due(state) == ["c"]
    assert len(state.outbox.pending()) == 3


def test_why_messages_wait_is_told_once_for_each_reason(state):
    state.outbox.put([message("a"), message("b"), message("c", "#alerts"), message("d", "#other")], NOW)
    state.outbox.postpone("#finance", "channel_not_found", SOON)
    state.outbox.failed(ids(state)["c"], "is_archived", SOON)
    assert state.outbox.reasons() == ["channel_not_found", "is_archived"]


def test_what_is_delivered_cannot_be_marked_otherwise(state):
    state.outbox.put([message("a")], NOW)
    number = ids(state)["a"]
    state.outbox.mark_sending(number, NOW)
    state.outbox.sent(number, "C01", "1.1", NOW)
    state.outbox.failed(number, "x", SOON)
    state.outbox.dead(number, "x")
    state.outbox.mark_sending(number, NOW)
    assert state.outbox.counts() == {"sent": 1}
