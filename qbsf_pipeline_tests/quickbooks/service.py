"""A QuickBooks that does exactly what a test says, over real sockets: answers, silence, half answers, broken connections."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

REALM = "9341450000000001"
JSON = "application/json;charset=UTF-8"


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def token(self) -> str:
        return self.headers.get("authorization", "").removeprefix("Bearer ")


@dataclass(frozen=True)
class Answer:
    body: bytes = b"{}"
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": JSON})
    #: Fewer bytes than promised, then the connection ends.
    cut: int = 0


class Reset(Exception):
    """Break the connection instead of answering."""


def answer(body: Any, status: int = 200, **headers: str) -> Answer:
    text = body if isinstance(body, str) else json.dumps(body)
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return Answer(text.encode(), status, {"Content-Type": JSON, "intuit_tid": "1-tid", **named})


def fault(code: str, message: str, detail: str = "", element: str = "", status: int = 400) -> Answer:
    error = {"Message": message, "Detail": detail, "code": code, "element": element}
    return answer({"Fault": {"Error": [error], "type": "ValidationFault"}, "time": "2026-11-22T02:00:00.123-08:00"}, status)


def gateway_fault(code: str, status: int, kind: str, detail: str | None = None) -> Answer:
    error = {"message": f"message=X; errorCode=00{code}; statusCode={status}", "detail": detail, "code": code}
    return answer({"warnings": None, "fault": {"error": [error], "type": kind}, "time": 1439486394244}, status)


THROTTLED = Answer(
    b'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n<IntuitResponse time="2017-07-30T22:45:22.933-07:00" '
    b'xmlns="http://schema.intuit.com/finance/v3"><Fault type="SERVICE"><Error code="3001">'
    b"<Message>message=ThrottleExceeded; errorCode=003001; statusCode=429</Message>"
    b"<Detail>The request limit was reached.  Try again later</Detail></Error></Fault></IntuitResponse>",
    429,
    {"Content-Type": "application/xml;charset=UTF-8"},
)
HTML = Answer(b"<html><body><h1>503 Service Unavailable</h1></body></html>", 503, {"Content-Type": "text/html"})


class Service:
    """``reply`` sees every call of the API in turn; the token service is built in and rotates refresh tokens."""

    def __init__(self, reply: Callable[[Request], Answer] | None = None) -> None:
        self.requests: list[Request] = []
        self.token_requests: list[Request] = []
        self.reply = reply or (lambda _request: answer({}))
        self.token_reply: Callable[[Request], Answer | None] = lambda _request: None
        self.refresh_tokens = ["first"]
        self.issued = 0
        self.lock = threading.Lock()
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Otherwise every answer waits 40 ms for the acknowledgement of its headers.
            disable_nagle_algorithm = True
            wbufsize = -1

            def log_message(self, *_: object) -> None:
                pass

            def handle_any(self) -> None:
                parts = urlsplit(self.path)
                request = Request(
                    self.command,
                    parts.path,
                    {key: values[0] for key, values in parse_qs(parts.query, keep_blank_values=True).items()},
                    {key.lower(): value for key, value in self.headers.items()},
                    self.rfile.read(int(self.headers.get("Content-Length") or 0)),
                )
                try:
                    found = service.answer_to(request)
                except Reset:
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.connection.close()
                    self.close_connection = True
                    return
                self.send_response(found.status)
                for key, value in found.headers.items():
                    self.send_header(key, value)
                self.send_header("Content-Length", str(len(found.body)))
                self.end_headers()
                self.wfile.write(found.body[: len(found.body) - found.cut])
                if found.cut:
                    self.wfile.flush()
                    self.connection.shutdown(socket.SHUT_RDWR)
                    self.close_connection = True

            do_GET = do_POST = handle_any

            def finish(self) -> None:
                try:
                    super().finish()
                except OSError:
                    return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def answer_to(self, request: Request) -> Answer:
        if request.path == "/.well-known/openid_configuration":
            names = ("issuer", "authorization_endpoint", "userinfo_endpoint", "revocation_endpoint", "jwks_uri")
            return answer(dict.fromkeys(names, self.url) | {"token_endpoint": f"{self.url}/tokens"})
        if request.path == "/tokens":
            with self.lock:
                self.token_requests.append(request)
                return self.token_reply(request) or self.refresh(request)
        with self.lock:
            self.requests.append(request)
        return self.reply(request)

    def refresh(self, request: Request) -> Answer:
        """A refresh token works once; the one after it is the only one that works then."""
        offered = parse_qs(request.text)["refresh_token"][0]
        if offered != self.refresh_tokens[-1]:
            return answer({"error": "invalid_grant", "error_description": "Incorrect or invalid refresh token"}, 400)
        self.issued += 1
        self.refresh_tokens.append(f"refresh-{self.issued}")
        return answer(
            {
                "token_type": "bearer",
                "access_token": f"access-{self.issued}",
                "refresh_token": self.refresh_tokens[-1],
                "expires_in": 3600,
                "x_refresh_token_expires_in": 8726400,
                "x_refresh_token_hard_expires_in": 157680000,
            }
        )

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def in_turn(*answers: Answer | type[Reset]) -> Callable[[Request], Answer]:
    """The given answers, one for each call; the last one stays."""
    left = list(answers)

    def reply(_request: Request) -> Answer:
        found = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(found, Answer):
            return found
        raise found

    return reply
