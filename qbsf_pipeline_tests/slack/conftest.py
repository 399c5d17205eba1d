"""A Slack on a real socket that answers as it is told."""

import json
import socket
import struct
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl

import pytest

from qbsf_pipeline.api_meter import ApiMeter
from qbsf_pipeline.settings import Environment
from qbsf_pipeline.slack.client import SlackClient
from qbsf_pipeline.state.database import State

NOW = datetime(2026, 3, 31, 8, 0, tzinfo=UTC)


class Workspace:
    """What Slack does with the next calls (``script``: one entry for each call, then it takes every message).

    An entry of the script is a dict (the JSON answer), a tuple (status, body, headers), ``reset_before`` (the connection is
    torn down and nothing was done), ``reset_after`` (the message is posted, then the connection is torn down),
    ``truncated`` (the same with half an answer), or a function of the arguments that gives one of these (None: as usual).
    """

    def __init__(self) -> None:
        self.script = []
        self.rule = None
        self.calls = []
        self.messages = []
        self.scopes = {"chat:write", "channels:history", "channels:read", "im:write"}
        self.people = {}

    def texts(self, channel=None):
        return [m["text"] for m in self.messages if channel in (None, m["channel"])]

    def posts(self):
        return [arguments for method, arguments in self.calls if method == "chat.postMessage"]

    def answer(self, method, arguments):
        self.calls.append((method, arguments))
        step = self.script.pop(0) if self.script else (self.rule(method, arguments) if self.rule else None)
        if callable(step):
            step = step(arguments)
        if step in ("reset_after", "truncated"):
            return step, self.usual(method, arguments)
        return (None, self.usual(method, arguments)) if step is None else (step, None)

    def usual(self, method, arguments):
        if method == "chat.postMessage":
            ts = f"1774944000.{len(self.messages) + 1:06d}"
            self.messages.append({**arguments, "ts": ts})
            return {"ok": True, "channel": "C-" + arguments["channel"].strip("#"), "ts": ts}
        if method == "users.lookupByEmail":
            user = self.people.get(arguments["email"].lower())
            return {"ok": True, "user": user} if user else {"ok": False, "error": "users_not_found"}
        if method == "conversations.open":
            if "im:write" not in self.scopes:
                return {"ok": False, "error": "missing_scope", "needed": "im:write", "provided": "chat:write"}
            if arguments["users"] not in {user["id"] for user in self.people.values()}:
                return {"ok": False, "error": "user_not_found"}
            return {"ok": True, "channel": {"id": "D" + arguments["users"]}}
        if method == "auth.test":
            return {"ok": True, "team": "Acme", "user_id": "U1", "url": "https://acme.slack.com/"}
        if method == "conversations.list":
            if "channels:read" not in self.scopes:
                return {"ok": False, "error": "missing_scope", "needed": "channels:read", "provided": "chat:write"}
            names = sorted({m["channel"].strip("#") for m in self.messages})
            return {"ok": True, "channels": [{"id": f"C-{name}", "name": name} for name in names]}
        if "channels:history" not in self.scopes:
            return {"ok": False, "error": "missing_scope", "needed": "channels:history", "provided": "chat:write"}
        name = arguments["channel"].removeprefix("C-")
        thread = arguments.get("ts")
        found = [m for m in self.messages if m["channel"].strip("#") == name and m.get("thread_ts") == thread]
        page = int(arguments.get("cursor") or 0)
        more = page + 1 < len(found)
        return {
            "ok": True,
            "messages": found[page : page + 1],
            "has_more": more,
            "response_metadata": {"next_cursor": str(page + 1) if more else ""},
        }


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        as_json = "json" in self.headers.get("Content-Type", "")
        arguments = json.loads(body or "{}") if as_json else dict(parse_qsl(body))
        step, usual = self.server.workspace.answer(self.path.removeprefix("/api/"), arguments)
        if step in ("reset_before", "reset_after"):
            # A linger of zero makes the close a reset.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
            return
        status, content, headers = step if isinstance(step, tuple) else (200, step if usual is None else usual, {})
        raw = (content if isinstance(content, str) else json.dumps(content)).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json; charset=utf-8", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw[: len(raw) // 2] if step == "truncated" else raw)
        self.close_connection = True

    def log_message(self, *arguments):
        pass

    def finish(self):
        try:
            super().finish()
        except OSError:
            return


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass

    def shutdown_request(self, request):
        try:
            super().shutdown_request(request)
        except OSError:
            return


@pytest.fixture
def workspace():
    server = _Server(("127.0.0.1", 0), _Handler)
    server.workspace = found = Workspace()
    found.url = f"http://127.0.0.1:{server.server_port}/api"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield found
    server.shutdown()
    server.server_close()
    thread.join(10)


def environment(url, token="xoxb-test"):
    return Environment.model_validate({"slack_api_url": url, "slack_bot_token": token})


@pytest.fixture
def meter():
    return ApiMeter()


@pytest.fixture
def client(workspace, meter):
    return SlackClient(environment(workspace.url), meter)


@pytest.fixture
def state(tmp_path):
    with State.open(f"sqlite:///{tmp_path / 'state.sqlite'}", tmp_path) as opened:
        yield opened


class FakeTime:
    """A clock that only sleeping moves."""

    def __init__(self):
        self.time = NOW
        self.slept = []

    def now(self):
        return self.time

    def sleep(self, seconds):
        assert seconds > 0
        self.slept.append(seconds)
        self.time += timedelta(seconds=seconds)


@pytest.fixture
def clock():
    return FakeTime()
