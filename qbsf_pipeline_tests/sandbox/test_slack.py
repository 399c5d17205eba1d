from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from starlette.applications import Starlette

from qbsf_pipeline.sandbox import slack
from qbsf_pipeline.sandbox.clock import Clock
from qbsf_pipeline.sandbox.slack import ALERTS_CHANNEL, BOT_TOKEN, FINANCE_CHANNEL, SlackOptions
from qbsf_pipeline.sandbox.store import Store


class Workspace:
    """A Slack in this process, asked through ASGI."""

    def __init__(self, **options: Any) -> None:
        self.store = Store(None)
        self.clock = Clock(fixed=datetime(2026, 1, 1, tzinfo=UTC))
        slack.seed_slack(self.store, [{"name": "Dana Whitfield", "email": "Dana@x.example"}])
        self.app = Starlette(routes=slack.routes(self.store, self.clock, SlackOptions(**options)))
        self.status = 0
        self.headers: dict[str, str] = {}

    def ask(self, method: str, token: str | None = BOT_TOKEN, form: bool = False, **arguments: Any) -> dict[str, Any]:
        headers = [] if token is None else [(b"authorization", f"Bearer {token}".encode())]
        if form:
            texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in arguments.items()}
            body, kind = urlencode(texts).encode(), b"application/x-www-form-urlencoded"
        else:
            body, kind = json.dumps(arguments).encode(), b"application/json;charset=utf-8"
        scope = {"type": "http", "method": "POST", "path": f"/api/{method}", "query_string": b"", "root_path": "",
                 "headers": [*headers, (b"content-type", kind)], "scheme": "http", "http_version": "1.1"}  # fmt: skip
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        asyncio.run(self.app(scope, receive, send))
        self.status = sent[0]["status"]
        self.headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        answer: dict[str, Any] = json.loads(b"".join(message.get("body", b"") for message in sent))
        return answer

    def post(self, text: str = "hello", channel: str = "#finance", **more: Any) -> dict[str, Any]:
        self.clock.advance(timedelta(seconds=2))
        return self.ask("chat.postMessage", channel=channel, text=text, **more)


@pytest.fixture
def workspace() -> Workspace:
    return Workspace()


def section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


@pytest.mark.parametrize("channel", ["#finance", "finance", FINANCE_CHANNEL])
def test_a_channel_is_found_by_name_and_by_id(workspace: Workspace, channel: str):
    answer = workspace.post(channel=channel)
    assert answer["ok"] is True
    assert answer["channel"] == FINANCE_CHANNEL
    assert answer["message"]["text"] == "hello"


def test_a_form_with_json_blocks_is_as_good_as_json(workspace: Workspace):
    answer = workspace.ask("chat.postMessage", form=True, channel="#finance", text="t", blocks=[section("*b*")])
    assert answer["message"]["blocks"] == [section("*b*")]


def test_messages_are_kept_in_order_and_every_time_stamp_is_later_than_the_one_before(workspace: Workspace):
    stamps = [workspace.ask("chat.postMessage", channel=c, text=c)["ts"] for c in ("#finance", "#finance-alerts")]
    assert stamps == sorted(set(stamps))
    assert [m["channel_name"] for m in slack.messages(workspace.store)] == ["#finance", "#finance-alerts"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"channel": "#nowhere", "text": "x"}, "channel_not_found"),
        ({"channel": "#finance"}, "no_text"),
        ({"channel": "#finance", "text": "", "blocks": []}, "no_text"),
        ({"channel": "#finance", "text": "x", "thread_ts": "1.000001"}, "thread_not_found"),
        ({"channel": "#finance", "text": "x", "blocks": {"type": "divider"}}, "invalid_blocks_format"),
        ({"text": "x"}, "invalid_arguments"),
    ],
)
def test_a_post_that_cannot_be_is_refused_with_http_200(workspace: Workspace, arguments: dict[str, Any], error: str):
    assert workspace.ask("chat.postMessage", **arguments)["error"] == error
    assert workspace.status == 200
    assert slack.messages(workspace.store) == []


@pytest.mark.parametrize(
    ("block", "told"),
    [
        (section("x" * 3001), "must be less than 3001 characters [json-pointer:/blocks/0/text/text]"),
        (section(""), "must be more than 0 characters [json-pointer:/blocks/0/text/text]"),
        ({"type": "header", "text": {"type": "plain_text", "text": "x" * 151}},
         "must be less than 151 characters [json-pointer:/blocks/0/text/text]"),
        ({"type": "header", "text": {"type": "mrkdwn", "text": "x"}},
         "must be one of: plain_text [json-pointer:/blocks/0/text/type]"),
        ({"type": "section"}, "missing required field: text [json-pointer:/blocks/0]"),
        ({"type": "section", "fields": [{"type": "mrkdwn", "text": "x"}] * 11},
         "no more than 10 items allowed [json-pointer:/blocks/0/fields]"),
        ({"type": "context", "elements": [{"type": "mrkdwn", "text": "x"}] * 11},
         "no more than 10 items allowed [json-pointer:/blocks/0/elements]"),
        ({"type": "carousel"}, "unsupported type: carousel [json-pointer:/blocks/0/type]"),
    ],
)  # fmt: skip
def test_a_block_over_a_limit_is_told_with_its_place(workspace: Workspace, block: dict[str, Any], told: str):
    answer = workspace.post(blocks=[block])
    assert answer["error"] == "invalid_blocks"
    assert told in answer["errors"]
    assert f"[ERROR] {told}" in answer["response_metadata"]["messages"]


def test_blocks_at_their_limits_are_taken(workspace: Workspace):
    header = {"type": "header", "text": {"type": "plain_text", "text": "x" * 150}}
    assert workspace.post(blocks=[header, section("x" * 3000), section("y" * 3000), section("z" * 3000)])["ok"]
    assert workspace.post(blocks=[{"type": "divider"}] * 50)["ok"]


def test_more_than_fifty_blocks_are_refused(workspace: Workspace):
    assert workspace.post(blocks=[{"type": "divider"}] * 51)["error"] == "invalid_blocks"


def test_blocks_that_are_too_long_together_are_refused(workspace: Workspace):
    assert workspace.post(blocks=[section("x" * 2600)] * 4)["error"] == "msg_blocks_too_long"


def test_text_above_forty_thousand_characters_is_cut_with_a_warning(workspace: Workspace):
    answer = workspace.post(text="x" * 40_001)
    assert answer["warning"] == "message_truncated"
    assert len(answer["message"]["text"]) == 40_000


def test_a_reply_hangs_on_its_parent_and_not_on_another_reply(workspace: Workspace):
    parent = workspace.post("parent")["ts"]
    reply = workspace.post("reply", thread_ts=parent)
    assert reply["message"]["thread_ts"] == parent
    assert workspace.post("reply", thread_ts=reply["ts"])["error"] == "thread_not_found"
    history = workspace.ask("conversations.history", channel=FINANCE_CHANNEL)
    assert [m["text"] for m in history["messages"]] == ["parent"]
    replies = workspace.ask("conversations.replies", channel=FINANCE_CHANNEL, ts=parent)
    assert [m["text"] for m in replies["messages"]] == ["parent", "reply"]


def test_an_update_changes_the_message_in_its_place(workspace: Workspace):
    first = workspace.post("first")
    workspace.post("second")
    answer = workspace.ask("chat.update", channel=first["channel"], ts=first["ts"], text="changed")
    assert (answer["ok"], answer["ts"]) == (True, first["ts"])
    assert [m["text"] for m in slack.messages(workspace.store)] == ["changed", "second"]
    assert workspace.ask("chat.update", channel=first["channel"], ts="1.1", text="x")["error"] == "message_not_found"
    assert workspace.ask("chat.update", channel="#finance", ts=first["ts"], text="x")["error"] == "channel_not_found"


def test_a_channel_takes_four_messages_at_once_and_then_one_a_second(workspace: Workspace):
    post: Callable[[], dict[str, Any]] = lambda: workspace.ask("chat.postMessage", channel="#finance", text="x")  # noqa: E731
    assert [post()["ok"] for _ in range(5)] == [True] * 4 + [False]
    assert workspace.status == 429
    assert workspace.headers["retry-after"] == "1"
    assert workspace.ask("chat.postMessage", channel="#finance-alerts", text="x")["ok"]
    workspace.clock.advance(timedelta(seconds=1))
    assert [post()["ok"], post()["ok"]] == [True, False]


def test_the_rate_limit_can_be_switched_off():
    workspace = Workspace(rate_limit=False)
    assert all(workspace.ask("chat.postMessage", channel="#finance", text="x")["ok"] for _ in range(20))


def test_a_token_is_needed_and_must_be_the_bot_s(workspace: Workspace):
    assert workspace.ask("auth.test", token=None)["error"] == "not_authed"
    assert workspace.ask("auth.test", token="xoxb-other")["error"] == "invalid_auth"
    assert workspace.ask("auth.test", token=None, form=True)["error"] == "not_authed"
    assert workspace.ask("auth.test")["ok"]


def test_a_missing_scope_is_named():
    answer = Workspace(missing_scopes=("users:read.email",)).ask("users.lookupByEmail", email="dana@x.example")
    assert (answer["error"], answer["needed"]) == ("missing_scope", "users:read.email")


def test_an_archived_channel_and_one_without_the_bot_refuse():
    workspace = Workspace(archived_channels=("#finance",), left_channels=(ALERTS_CHANNEL,))
    assert workspace.post()["error"] == "is_archived"
    assert workspace.post(channel="#finance-alerts")["error"] == "not_in_channel"


def test_a_person_is_found_by_e_mail_and_written_to_directly(workspace: Workspace):
    user = workspace.ask("users.lookupByEmail", form=True, email="dana@X.example")["user"]
    assert user["deleted"] is False
    conversation = workspace.ask("conversations.open", users=user["id"])["channel"]["id"]
    assert workspace.ask("conversations.open", users=user["id"])["channel"]["id"] == conversation
    assert workspace.post(channel=conversation)["ok"]
    assert workspace.post(channel=user["id"])["channel"] == conversation
    assert slack.messages(workspace.store)[0]["channel_name"] == "@Dana Whitfield"
    assert workspace.ask("users.lookupByEmail", email="nobody@x.example")["error"] == "users_not_found"
    assert workspace.ask("conversations.open", users="U404")["error"] == "user_not_found"


def test_an_unknown_method_is_told(workspace: Workspace):
    assert workspace.ask("chat.shout")["error"] == "unknown_method"
