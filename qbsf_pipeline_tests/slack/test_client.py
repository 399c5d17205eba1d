"""What Slack's answers mean."""

import logging
import socket

import pytest

from qbsf_pipeline.api_meter import CallKind
from qbsf_pipeline.errors import AccessRefused, OutcomeUnknown, RecordRefused, ServiceUnavailable
from qbsf_pipeline.slack.client import CHANNEL_REMEDIES, Posted, RateLimited, SlackClient
from qbsf_pipeline_tests.slack.conftest import NOW, environment

HTML = "<html><head><title>502 Bad Gateway</title></head></html>"


def test_a_message_is_posted_once_and_its_place_told(workspace, client, meter):
    blocks = [{"type": "divider"}]
    assert client.post("#finance", "Größe 😀", blocks, "1.000001", key="k-1") == Posted("C-finance", "1774944000.000001")
    (sent,) = workspace.posts()
    assert sent == {
        "channel": "#finance",
        "text": "Größe 😀",
        "blocks": blocks,
        "thread_ts": "1.000001",
        "unfurl_links": False,
        "unfurl_media": False,
        "metadata": {"event_type": "qbsf_message", "event_payload": {"key": "k-1"}},
    }
    assert meter.totals() == {CallKind("slack", "chat.postMessage", False): 1}


REFUSALS = [
    ((429, '{"ok":false,"error":"ratelimited"}', {"Retry-After": "17"}), RateLimited, "ratelimited"),
    ({"ok": False, "error": "ratelimited"}, RateLimited, "ratelimited"),
    ((429, HTML, {"Retry-After": "soon"}), RateLimited, "ratelimited"),
    ({"ok": False, "error": "internal_error"}, ServiceUnavailable, "internal_error"),
    ({"ok": False, "error": "fatal_error"}, ServiceUnavailable, "fatal_error"),
    ((503, '{"ok":false,"error":"service_unavailable"}', {}), ServiceUnavailable, "service_unavailable"),
    ((500, '{"ok":false,"error":"something_new"}', {}), ServiceUnavailable, "something_new"),
    ((503, HTML, {}), ServiceUnavailable, "http_503"),
    ((502, HTML, {}), OutcomeUnknown, "http_502"),
    ((504, "", {}), OutcomeUnknown, "http_504"),
    ((200, HTML, {}), OutcomeUnknown, "http_200"),
    ((200, "", {}), OutcomeUnknown, "http_200"),
    ((200, "[1]", {}), OutcomeUnknown, "connection"),
    ((200, '{"ok":true}', {"Content-Type": "application/json; charset=klingon"}), OutcomeUnknown, "connection"),
    ({"ok": True}, OutcomeUnknown, "unreadable"),
    ((404, HTML, {}), AccessRefused, "http_404"),
    ((407, "", {}), AccessRefused, "http_407"),
    ({"ok": False, "error": "invalid_auth"}, AccessRefused, "invalid_auth"),
    ({"ok": False, "error": "token_revoked"}, AccessRefused, "token_revoked"),
    ((403, '{"ok":false,"error":"account_inactive"}', {}), AccessRefused, "account_inactive"),
    ({"ok": False, "error": "channel_not_found"}, AccessRefused, "channel_not_found"),
    ({"ok": False, "error": "not_in_channel"}, AccessRefused, "not_in_channel"),
    ({"ok": False, "error": "is_archived"}, AccessRefused, "is_archived"),
    ({"ok": False, "error": "msg_too_long"}, RecordRefused, "msg_too_long"),
    ({"ok": False, "error": "a_code_of_tomorrow"}, RecordRefused, "a_code_of_tomorrow"),
    ("reset_before", OutcomeUnknown, "connection"),
    ("reset_after", OutcomeUnknown, "connection"),
    ("truncated", OutcomeUnknown, "connection"),
]


@pytest.mark.parametrize(("answer", "kind", "code"), REFUSALS)
def test_an_answer_that_is_no_yes_is_one_of_the_four_kinds(workspace, client, answer, kind, code):
    workspace.script = [answer]
    with pytest.raises(kind) as caught:
        client.post("#finance", "hello")
    assert type(caught.value) is kind
    assert caught.value.code == code
    assert len(workspace.posts()) == 1, "a post is never repeated by the client"


@pytest.mark.parametrize(("headers", "seconds"), [({"Retry-After": "17"}, 17), ({"retry-after": "2.5"}, 2.5), ({}, 30)])
def test_throttling_says_how_long_to_wait(workspace, client, headers, seconds):
    workspace.script = [(429, '{"ok":false,"error":"ratelimited"}', headers)]
    with pytest.raises(RateLimited) as caught:
        client.post("#finance", "hello")
    assert caught.value.retry_after == seconds


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"error": "not_in_channel"}, "/invite"),
        ({"error": "is_archived"}, "unarchive"),
        ({"error": "channel_not_found"}, "SLACK_FINANCE_CHANNEL"),
        ({"error": "invalid_auth"}, "SLACK_BOT_TOKEN"),
        ({"error": "missing_scope", "needed": "chat:write:bot", "provided": "users:read"}, "chat:write:bot"),
    ],
)
def test_what_needs_a_person_says_what_to_do(workspace, client, answer, words):
    workspace.script = [{"ok": False, **answer}]
    with pytest.raises(AccessRefused, match=words):
        client.post("#finance", "hello")


def test_refused_blocks_say_where_they_are_wrong(workspace, client):
    detail = "must be less than 3001 characters [json-pointer:/blocks/0/text/text]"
    workspace.script = [{"ok": False, "error": "invalid_blocks", "errors": [detail]}]
    with pytest.raises(RecordRefused, match="json-pointer:/blocks/0"):
        client.post("#finance", "hello")


def test_a_slack_that_cannot_be_reached_has_not_posted(meter):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        client = SlackClient(environment(f"http://127.0.0.1:{closed.getsockname()[1]}/api"), meter)
        with pytest.raises(ServiceUnavailable):
            client.post("#finance", "hello")


def test_without_a_token_nothing_is_called(workspace, meter):
    with pytest.raises(AccessRefused, match="SLACK_BOT_TOKEN"):
        SlackClient(environment(workspace.url, None), meter).post("#finance", "hello")
    assert workspace.calls == []


def test_a_proxy_of_the_environment_is_not_used_for_this_machine(workspace, meter, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    SlackClient(environment(workspace.url), meter).post("#finance", "hello")
    assert workspace.texts() == ["hello"]


def test_neither_token_nor_text_is_logged(workspace, client, caplog):
    caplog.set_level(logging.DEBUG)
    workspace.script = ["reset_after", (503, HTML, {}), None]
    for _ in range(2):
        with pytest.raises((OutcomeUnknown, ServiceUnavailable)):
            client.post("#finance", "a secret amount")
    client.post("#finance", "a secret amount")
    assert "xoxb" not in caplog.text
    assert "secret amount" not in caplog.text


def test_a_posted_message_is_found_again_by_its_key(workspace, client):
    for number in range(4):
        client.post("#finance", f"m{number}", key=f"k-{number}")
    client.post("#finance", "answer", thread_ts="1774944000.000001", key="k-answer")
    assert client.find("C-finance", "k-2", NOW) == Posted("C-finance", "1774944000.000003")
    assert client.find("C-finance", "k-9", NOW) is None
    assert client.find("C-finance", "k-answer", NOW, "1774944000.000001").ts == "1774944000.000005"


def test_history_that_may_not_be_read_is_said_to_be_so(workspace, client):
    workspace.scopes = {"chat:write"}
    with pytest.raises(AccessRefused, match="channels:history"):
        client.find("C-finance", "k-1", NOW)


@pytest.mark.parametrize("answer", ["reset_after", (502, HTML, {}), (200, HTML, {})])
def test_a_lost_answer_to_a_question_changed_nothing(workspace, client, answer):
    workspace.script = [answer]
    with pytest.raises(ServiceUnavailable):
        client.find("C-finance", "k-1", NOW)


def test_the_set_up_check_tells_whose_token_it_is(workspace, client):
    answer = '{"ok":true,"team":"Acme","user_id":"U1","url":"https://acme.slack.com/"}'
    workspace.script = [(200, answer, {"X-OAuth-Scopes": "chat:write, users:read.email"}), None]
    identity = client.identity()
    assert (identity.team, identity.scopes) == ("Acme", {"chat:write", "users:read.email"})
    assert client.identity().scopes == frozenset()


def test_every_channel_refusal_has_something_to_do():
    assert all(len(remedy) > 20 for remedy in CHANNEL_REMEDIES.values())


def test_a_person_is_found_by_e_mail_unless_unknown_or_gone(workspace, client):
    workspace.people = {
        "o'neil@acme.example": {"id": "U0000001", "deleted": False},
        "gone@acme.example": {"id": "U0000002", "deleted": True},
    }
    assert client.user_id(" O'Neil@acme.example ") == "U0000001"
    assert client.user_id("gone@acme.example") is None
    assert client.user_id("nobody@acme.example") is None
    asked = len(workspace.calls)
    assert client.user_id("") is None
    assert client.user_id("no address") is None
    assert len(workspace.calls) == asked


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"ok": False, "error": "missing_scope", "needed": "users:read.email"}, AccessRefused),
        ({"ok": False, "error": "something_new"}, RecordRefused),
        ((429, '{"ok":false,"error":"ratelimited"}', {"Retry-After": "3"}), RateLimited),
        ("reset_before", ServiceUnavailable),
        ({"ok": True, "user": None}, ServiceUnavailable),
    ],
)
def test_not_being_able_to_ask_for_a_person_is_not_the_same_as_nobody(workspace, client, answer, kind):
    workspace.script = [answer]
    with pytest.raises(kind):
        client.user_id("ana@acme.example")


def test_a_message_to_a_person_goes_into_their_conversation_with_the_app(workspace, client):
    workspace.people = {"ana@acme.example": {"id": "U0000001"}}
    for text in ("one", "two"):
        assert client.post("U0000001", text).channel == "C-DU0000001"
    assert [method for method, _ in workspace.calls] == ["conversations.open", "chat.postMessage", "chat.postMessage"]
    assert [sent["channel"] for sent in workspace.posts()] == ["DU0000001"] * 2


def test_a_message_to_a_person_is_posted_to_their_id_where_conversations_cannot_be_opened(workspace, client):
    workspace.scopes.discard("im:write")
    client.post("U0000001", "one")
    assert [sent["channel"] for sent in workspace.posts()] == ["U0000001"]


def test_a_person_who_cannot_be_written_to_is_named_and_nothing_is_posted(workspace, client):
    with pytest.raises(AccessRefused, match="U0000009") as caught:
        client.post("U0000009", "one")
    assert caught.value.code == "user_not_found"
    assert workspace.posts() == []
    workspace.script = ["reset_before"]
    with pytest.raises(ServiceUnavailable):
        client.post("U0000009", "one")
    assert workspace.posts() == []
