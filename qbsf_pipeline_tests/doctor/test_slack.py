from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

import pytest

from qbsf_pipeline.api_meter import ApiMeter
from qbsf_pipeline.doctor import slack
from qbsf_pipeline.doctor.findings import Finding
from qbsf_pipeline.settings import Environment
from qbsf_pipeline.slack.client import SlackClient
from qbsf_pipeline_tests.doctor.levels import told, worse

ALL_SCOPES = "channels:history,channels:read,chat:write,groups:read,im:write,users:read.email"


def channel(name: str, **more: Any) -> dict[str, Any]:
    return {"id": f"C{name.upper():0<8}", "name": name, "is_private": False, "is_archived": False, "is_member": True, **more}


class Workspace:
    """A Slack with these channels, one to a page; ``says`` answers a method in another way."""

    def __init__(self) -> None:
        self.scopes: str | None = ALL_SCOPES
        self.channels = [channel("other"), channel("finance"), channel("alerts")]
        self.says: dict[str, dict[str, Any]] = {}
        self.calls: list[tuple[str, dict[str, str]]] = []

    def answer(self, method: str, arguments: dict[str, str]) -> dict[str, Any]:
        self.calls.append((method, arguments))
        if method in self.says:
            return self.says[method]
        if method == "auth.test":
            return {"ok": True, "team": "Acme", "user_id": "U1", "url": "https://acme.slack.com/"}
        if method == "conversations.info":
            found = [one for one in self.channels if one["id"] == arguments["channel"]]
            return {"ok": True, "channel": found[0]} if found else {"ok": False, "error": "channel_not_found"}
        place = int(arguments.get("cursor") or 0)
        more = place + 1 < len(self.channels)
        following = {"next_cursor": str(place + 1) if more else ""}
        return {"ok": True, "channels": self.channels[place : place + 1], "response_metadata": following}


@pytest.fixture
def workspace() -> Iterator[Workspace]:
    found = Workspace()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            raw = json.dumps(found.answer(self.path.removeprefix("/api/"), dict(parse_qsl(body)))).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            if found.scopes is not None:
                self.send_header("X-OAuth-Scopes", found.scopes)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_port}/api"  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield found
    server.shutdown()
    server.server_close()


@pytest.fixture
def examined(workspace: Workspace) -> Callable[..., list[Finding]]:
    def run(finance: str = "#finance", alerts: str | None = "#alerts") -> list[Finding]:
        environment = Environment(
            slack_api_url=workspace.url,  # type: ignore[attr-defined]
            slack_bot_token="xoxb-hush",  # type: ignore[arg-type]
            slack_finance_channel=finance,
            slack_alerts_channel=alerts,
        )
        return slack.examine(SlackClient(environment, ApiMeter()), environment, lambda: datetime.now(UTC))

    return run


FINANCE, ALERTS = "SLACK_FINANCE_CHANNEL #finance", "SLACK_ALERTS_CHANNEL #alerts"


def test_a_healthy_workspace_is_all_well_and_hears_nothing(workspace: Workspace, examined) -> None:
    findings = examined()
    assert worse(findings) == []
    assert {"token", "clock", "scopes", FINANCE, ALERTS} == {finding.check for finding in findings}
    assert [method for method, _ in workspace.calls] == ["auth.test", *["conversations.list"] * 3]
    assert workspace.calls[1][1]["types"] == "public_channel,private_channel"


def test_one_channel_for_both_is_looked_at_once(examined) -> None:
    assert [finding.check for finding in examined(alerts=None) if "CHANNEL" in finding.check] == [FINANCE]


@pytest.mark.parametrize(
    ("missing", "level"),
    [
        ("chat:write", "problem"),
        ("channels:history", "warning"),
        ("users:read.email", "warning"),
        ("im:write", "warning"),
    ],
)
def test_a_scope_that_is_missing_is_named_with_what_is_lost(missing: str, level: str, workspace: Workspace, examined) -> None:
    workspace.scopes = ",".join(scope for scope in ALL_SCOPES.split(",") if scope != missing)
    findings = examined()
    assert worse(findings) == [("scopes", level)]
    assert missing in told(findings, "scopes").found
    assert f"add {missing}" in told(findings, "scopes").mend


def test_history_of_private_channels_is_enough(workspace: Workspace, examined) -> None:
    workspace.scopes = ALL_SCOPES.replace("channels:history", "groups:history")
    assert worse(examined()) == []


def test_a_slack_that_does_not_tell_its_scopes_is_believed(workspace: Workspace, examined) -> None:
    workspace.scopes = None
    assert worse(examined()) == []
    assert workspace.calls[1][1]["types"] == "public_channel"


@pytest.mark.parametrize(
    ("change", "level", "words"),
    [
        ({"is_member": False}, "problem", "not in the channel"),
        ({"is_archived": True}, "problem", "archived"),
        ({"is_private": True}, "ok", "private channel #finance"),
        ({"name": "FINANCE"}, "ok", "public channel"),
        ({"name": "finances"}, "problem", "no such channel"),
    ],
)
def test_a_channel_in_which_nothing_can_be_posted_is_a_problem(
    change: dict[str, Any], level: str, words: str, workspace: Workspace, examined
) -> None:
    workspace.channels[1] |= change
    finding = told(examined(), FINANCE)
    assert finding.level == level
    assert words in finding.found


def test_a_bot_that_may_post_everywhere_is_invited_all_the_same(workspace: Workspace, examined) -> None:
    workspace.scopes += ",chat:write.public"
    workspace.channels[1]["is_member"] = False
    assert worse(examined()) == [(FINANCE, "warning")]
    workspace.channels[1]["is_private"] = True
    assert worse(examined()) == [(FINANCE, "problem")]


def test_a_channel_by_its_id_is_asked_for_alone(workspace: Workspace, examined) -> None:
    assert worse(examined(finance="CFINANCE0", alerts=None)) == []
    findings = examined(finance="C0NOWHERE00", alerts=None)
    assert worse(findings) == [("SLACK_FINANCE_CHANNEL C0NOWHERE00", "problem")]
    assert "conversations.list" not in {method for method, _ in workspace.calls}


@pytest.mark.parametrize("error", ["missing_scope", "unknown_method", "internal_error"])
def test_channels_that_cannot_be_listed_are_a_warning(error: str, workspace: Workspace, examined) -> None:
    workspace.says["conversations.list"] = {"ok": False, "error": error, "needed": "channels:read"}
    assert worse(examined()) == [(FINANCE, "warning"), (ALERTS, "warning")]


@pytest.mark.parametrize("error", ["invalid_auth", "account_inactive", "token_revoked", "not_allowed_token_type"])
def test_a_token_that_is_refused_is_the_one_problem(error: str, workspace: Workspace, examined) -> None:
    workspace.says["auth.test"] = {"ok": False, "error": error}
    findings = examined()
    assert worse(findings) == [("token", "problem")]
    assert error in findings[0].found
    assert "xoxb-hush" not in str(findings)
