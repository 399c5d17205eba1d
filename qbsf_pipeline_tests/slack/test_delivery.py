"""Delivering the outbox: nothing lost, nothing told twice, in order, at Slack's pace."""

import multiprocessing
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import uvicorn
from starlette.applications import Starlette

from qbsf_pipeline.api_meter import ApiMeter
from qbsf_pipeline.sandbox import slack as sandbox_slack
from qbsf_pipeline.sandbox.store import Store
from qbsf_pipeline.slack import blocks
from qbsf_pipeline.slack.client import SlackClient
from qbsf_pipeline.slack.delivery import LOCK, deliver
from qbsf_pipeline.state.database import State
from qbsf_pipeline.state.outbox import Message
from qbsf_pipeline_tests.slack.conftest import NOW, FakeTime, environment

THROTTLED = (429, '{"ok":false,"error":"ratelimited"}', {"Retry-After": "4"})


def message(key, channel="#finance", **changes):
    return replace(Message(key, channel, f"text {key}", [blocks.section(f"block {key}")]), **changes)


@pytest.fixture
def send(state, client, clock):
    def run(budget_seconds=60.0, alerts_channel="#alerts", through=client):
        return deliver(
            state.outbox,
            through,
            now=clock.now,
            sleep=clock.sleep,
            budget_seconds=budget_seconds,
            exclusive=state.exclusive,
            alerts_channel=alerts_channel,
        )

    return run


def put(state, *messages):
    state.outbox.put(messages, NOW)


def test_messages_come_in_their_order_at_one_a_second_after_a_small_burst(state, workspace, send, clock):
    put(state, *(message(f"m{number}") for number in range(8)))
    assert send().sent == 8
    assert workspace.texts() == [f"text m{number}" for number in range(8)]
    assert clock.slept == pytest.approx([1.0] * 5)


def test_channels_do_not_wait_for_each_other(state, workspace, send, clock):
    put(state, *(message(f"f{n}") for n in range(3)), *(message(f"a{n}", "#alerts") for n in range(3)))
    assert send().sent == 6
    assert clock.slept == []


def test_what_does_not_fit_into_the_budget_waits_for_the_next_time(state, workspace, send):
    put(state, *(message(f"m{number}") for number in range(20)))
    first = send(budget_seconds=5.0)
    assert (first.sent, first.waiting) == (8, 12)
    assert send().sent == 12
    assert workspace.texts() == [f"text m{number}" for number in range(20)]


def test_a_second_delivery_goes_on_at_the_pace_of_the_first(state, workspace, send, clock):
    put(state, *(message(f"m{number}") for number in range(5)))
    send(budget_seconds=1.5)
    assert len(workspace.texts()) == 4
    clock.slept.clear()
    put(state, *(message(f"n{number}") for number in range(2)))
    assert send().sent == 3
    assert sum(clock.slept) == pytest.approx(3.0)


def test_nothing_is_sent_twice_when_delivery_runs_again(state, workspace, send):
    put(state, message("a"))
    assert send().sent == 1
    assert send().sent == 0
    put(state, message("a"))
    assert send().sent == 0
    assert workspace.texts() == ["text a"]


def test_throttling_is_waited_for_within_the_budget(state, workspace, send, clock):
    put(state, message("a"), message("b"))
    workspace.script = [THROTTLED]
    assert send().sent == 2
    assert workspace.texts() == ["text a", "text b"]
    assert clock.slept[0] == pytest.approx(4.0)


def test_throttling_beyond_the_budget_leaves_the_message_for_later(state, workspace, send, clock):
    put(state, message("a"), message("b"))
    workspace.script = [(429, "{}", {"Retry-After": "600"})]
    first = send()
    assert (first.sent, first.waiting, first.unavailable) == (0, 2, None)
    assert send().sent == 0
    assert len(workspace.posts()) == 1
    clock.time += timedelta(seconds=600)
    assert send().sent == 2
    assert workspace.texts() == ["text a", "text b"]


def test_throttling_without_a_wait_does_not_run_in_circles(state, workspace, send, clock):
    put(state, message("a"))
    workspace.rule = lambda method, arguments: (429, "{}", {"Retry-After": "0"})
    assert send(budget_seconds=10.0).waiting == 1
    assert len(workspace.posts()) <= 11


def test_slack_down_delays_messages_and_loses_none(state, workspace, send, clock):
    put(state, *(message(f"m{number}") for number in range(3)), message("a", "#alerts"))
    workspace.rule = lambda method, arguments: (503, "<html>", {})
    for _ in range(30):
        found = send()
        assert (found.sent, found.waiting, found.dead) == (0, 4, 0)
        clock.time += timedelta(minutes=5)
    assert "http_503" in found.unavailable
    workspace.rule = None
    assert send().sent == 4
    assert workspace.texts("#finance") == ["text m0", "text m1", "text m2"]


def test_while_slack_is_down_a_delivery_tries_once(state, workspace, send):
    put(state, *(message(f"m{n}", f"#channel-{n}") for n in range(5)))
    workspace.rule = lambda method, arguments: {"ok": False, "error": "internal_error"}
    assert send().unavailable is not None
    assert len(workspace.posts()) == 1


def test_a_token_that_is_refused_stops_everything_and_loses_nothing(state, workspace, send, clock):
    put(state, message("a"), message("b", "#alerts"))
    workspace.rule = lambda method, arguments: {"ok": False, "error": "token_revoked"}
    found = send()
    assert found.waiting == 2
    assert "SLACK_BOT_TOKEN" in found.unavailable
    assert len(workspace.posts()) == 1
    workspace.rule = None
    clock.time += timedelta(minutes=5)
    assert send().sent == 2


@pytest.mark.parametrize("fault", ["reset_after", "truncated"])
def test_a_message_whose_answer_was_lost_is_found_and_not_posted_again(state, workspace, send, clock, fault):
    put(state, message("first"), message("a"), message("answer", thread_of="a"))
    workspace.script = [None, fault]
    assert send().sent == 3
    assert workspace.texts() == ["text first", "text a", "text answer"]
    assert workspace.messages[2]["thread_ts"] == workspace.messages[1]["ts"]


def test_the_very_first_message_to_a_channel_is_found_as_well(state, workspace, send):
    put(state, message("a"))
    workspace.script = ["reset_after"]
    assert send().sent == 1
    assert workspace.texts() == ["text a"]


def test_an_answer_in_a_thread_whose_answer_was_lost_is_found_there(state, workspace, send):
    put(state, message("parent"), message("reply", thread_of="parent"))
    workspace.script = [None, "reset_after"]
    assert send().sent == 2
    assert workspace.texts() == ["text parent", "text reply"]


def test_a_message_that_was_lost_on_the_way_is_posted_again(state, workspace, send):
    put(state, message("first"), message("a"))
    workspace.script = [None, "reset_before"]
    assert send().sent == 2
    assert workspace.texts() == ["text first", "text a"]


def test_where_the_channel_may_not_be_read_a_message_twice_is_better_than_none(state, workspace, send):
    workspace.scopes = {"chat:write"}
    put(state, message("first"), message("a"))
    workspace.script = [None, "reset_after"]
    assert send().sent == 2
    assert workspace.texts() == ["text first", "text a", "text a"]


def test_a_message_stays_uncertain_while_it_cannot_be_looked_for(state, workspace, send, clock):
    put(state, message("first"), message("a"))
    workspace.script = [None, "reset_after", (503, "", {})]
    found = send()
    assert found.unavailable is not None
    assert [entry.uncertain for entry in state.outbox.pending()] == [True]
    clock.time += timedelta(minutes=5)
    assert send().sent == 1
    assert workspace.texts() == ["text first", "text a"]


def test_a_message_that_was_being_sent_when_the_process_died_is_looked_for(state, workspace, send, client):
    put(state, message("first"))
    send()
    put(state, message("a"))
    (entry,) = state.outbox.pending()
    state.outbox.mark_sending(entry.entry_id, NOW)
    client.post("#finance", "text a", key="a")
    assert send().sent == 1
    assert workspace.texts() == ["text first", "text a"]


def test_a_reply_goes_into_its_parents_thread(state, workspace, send):
    put(state, message("reply", thread_of="parent"), message("parent"))
    assert send().sent == 2
    parent, reply = workspace.messages
    assert (parent["text"], reply["text"], reply["thread_ts"]) == ("text parent", "text reply", parent["ts"])


def test_a_reply_whose_parent_was_deleted_by_a_person_stands_by_itself(state, workspace, send):
    put(state, message("parent"), message("reply", thread_of="parent"))
    workspace.script = [None, {"ok": False, "error": "thread_not_found"}]
    assert send().sent == 2
    assert "thread_ts" not in workspace.messages[1]


def test_a_message_refused_for_its_blocks_is_sent_as_text(state, workspace, send):
    put(state, message("a"), message("b"))
    workspace.script = [{"ok": False, "error": "invalid_blocks", "errors": ["x"]}]
    assert send().sent == 2
    assert workspace.texts() == ["text a\nblock a", "text b"]
    assert "blocks" not in workspace.messages[0]


def test_a_message_that_slack_never_takes_is_given_up_said_so_and_holds_nothing_up(state, workspace, send):
    put(state, message("a"), message("b"))
    workspace.rule = lambda method, arguments: (
        {"ok": False, "error": "no_text"} if arguments["text"].startswith("text a") else None
    )
    found = send()
    assert (found.sent, found.dead, found.waiting) == (2, 1, 0)
    assert workspace.texts("#finance") == ["text b"]
    (notice,) = workspace.texts("#alerts")
    assert "text a" in notice


def test_a_refusal_that_is_not_about_the_message_lets_it_wait(state, workspace, send, clock):
    put(state, message("a"))
    workspace.script = [{"ok": False, "error": "a_code_of_tomorrow"}]
    found = send()
    assert (found.waiting, found.dead) == (1, 0)
    assert "a_code_of_tomorrow" in found.refused[0]
    clock.time += timedelta(minutes=15)
    assert send().sent == 1


def test_a_channel_that_cannot_be_used_is_told_on_the_alerts_channel_once_a_day(state, workspace, send, clock):
    put(state, message("a"), message("b"), message("c", "#alerts"))
    workspace.rule = lambda method, arguments: (
        {"ok": False, "error": "not_in_channel"} if arguments.get("channel") == "#finance" else None
    )
    found = send()
    assert (found.sent, found.waiting, found.unavailable) == (2, 2, None)
    assert "/invite" in found.refused[0]
    assert len([post for post in workspace.posts() if post["channel"] == "#finance"]) == 1
    assert "#finance" in workspace.texts("#alerts")[1]
    for _ in range(3):
        clock.time += timedelta(minutes=15)
        send()
    assert len(workspace.texts("#alerts")) == 2
    clock.time += timedelta(days=1)
    send()
    assert len(workspace.texts("#alerts")) == 3
    workspace.rule = None
    clock.time += timedelta(minutes=15)
    assert send().sent == 2
    assert workspace.texts("#finance") == ["text a", "text b"]


def test_an_alerts_channel_that_cannot_be_used_makes_no_alerts_about_itself(state, workspace, send, clock):
    put(state, message("a"))
    workspace.rule = lambda method, arguments: {"ok": False, "error": "channel_not_found"}
    for _ in range(5):
        found = send(alerts_channel="#finance")
        assert found.waiting == 1
        clock.time += timedelta(minutes=15)
    clock.time += timedelta(days=30)
    assert send(alerts_channel="#finance").dead == 1
    clock.time += timedelta(days=30)
    assert send(alerts_channel="#finance").dead == 1
    assert state.outbox.pending() == []


def test_one_process_delivers_at_a_time(state, workspace, send):
    put(state, message("a"))
    with state.exclusive(LOCK):
        found = send()
    assert (found.busy, found.sent, found.waiting) == (True, 0, 1)
    assert workspace.calls == []


def _deliver(url, home):
    clock = FakeTime()
    with State.open(f"sqlite:///{home}/state.sqlite", Path(home)) as state:
        # A turn in which the other process delivers is over at once, so turns cannot be counted.
        while state.outbox.pending():
            deliver(
                state.outbox,
                SlackClient(environment(url), ApiMeter()),
                now=clock.now,
                sleep=clock.sleep,
                budget_seconds=1.0,
                exclusive=state.exclusive,
                alerts_channel="#alerts",
            )


def test_processes_that_deliver_at_once_send_each_message_once(state, workspace, tmp_path):
    put(state, *(message(f"m{number}") for number in range(10)))
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_deliver, args=(workspace.url, str(tmp_path))) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert workspace.texts() == [f"text m{number}" for number in range(10)]


class _SharedClock:
    """The sandbox's clock, moved by the delivery's sleep."""

    def __init__(self, clock):
        self._clock = clock

    def now(self):
        return self._clock.now()


@pytest.fixture
def local_slack(clock):
    store = Store(None)
    sandbox_slack.seed_slack(store, [])
    app = Starlette(routes=sandbox_slack.routes(store, _SharedClock(clock), sandbox_slack.SlackOptions()))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        thread.join(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}/api", store
    server.should_exit = True
    thread.join(10)


def test_the_local_slack_takes_everything_without_throttling(state, send, local_slack):
    url, store = local_slack
    client = SlackClient(environment(url, sandbox_slack.BOT_TOKEN), ApiMeter())
    assert client.identity().scopes >= {"chat:write"}
    content = blocks.split("many", blocks.sections([blocks.escape("Größe & <Co> | 😀 ") * 100 for _ in range(12)]))
    put(
        state,
        *(message(f"m{n}", text=part.text, blocks=part.blocks) for n, part in enumerate(content)),
        *(message(f"t{n}", thread_of="m0") for n in range(6)),
    )
    found = send(through=client)
    assert (found.sent, found.waiting, found.dead) == (len(content) + 6, 0, 0)
    posted = sandbox_slack.messages(store)
    assert [m["thread_ts"] in (None, m["ts"]) for m in posted] == [True] * len(content) + [False] * 6
    assert client.find(posted[1]["channel"], "m1", NOW) is not None
