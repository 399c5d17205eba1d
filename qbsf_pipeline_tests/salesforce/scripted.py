"""A Salesforce that says exactly what a test tells it to, over a real socket: for faults the sandbox cannot produce."""

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

DATE = "Tue, 31 Mar 2026 09:15:22 GMT"


@dataclass(frozen=True)
class Said:
    """One answer. ``body``: JSON if not text. ``cut``: the connection is aborted instead, or within the body."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    cut: str = ""  # "", "reset", "truncated"


@dataclass(frozen=True)
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    params: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Answering = Said | Callable[[Asked], Said]


class ScriptedSalesforce:
    """Answers requests of the API in the order of ``script`` (its last answer stays); tokens are counted up."""

    def __init__(self) -> None:
        self.script: list[Answering] = []
        self.login: Answering | None = None
        self.asked: list[Asked] = []
        self.logins = 0
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def says(self, *answers: Answering) -> None:
        self.script = list(answers)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def calls(self) -> list[Asked]:
        """What was asked besides tokens."""
        return [asked for asked in self.asked if "/oauth2/" not in asked.path]

    def answer(self, asked: Asked) -> Said:
        with self._lock:
            self.asked.append(asked)
            if "/oauth2/" in asked.path:
                self.logins += 1
                chosen: Answering = self.login or Said(
                    body={
                        "access_token": f"token-{self.logins}",
                        "instance_url": self.url,
                        "id": "https://login.salesforce.com/id/00D000000000062EAA/005000000000001AAA",
                        "issued_at": "1767225600000",
                    }
                )
            else:
                chosen = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        return chosen(asked) if callable(chosen) else chosen

    def _handler(service: ScriptedSalesforce) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                parts = urlsplit(self.path)
                said = service.answer(
                    Asked(
                        self.command,
                        parts.path,
                        {name: values[0] for name, values in parse_qs(parts.query).items()},
                        {name.lower(): value for name, value in self.headers.items()},
                        self.rfile.read(length),
                    )
                )
                if said.cut == "reset":
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.connection.close()
                    self.close_connection = True
                    return
                body = said.body if isinstance(said.body, str) else "" if said.body is None else json.dumps(said.body)
                raw = body.encode()
                self.send_response_only(said.status)
                for name, value in {"Date": DATE, **said.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(raw) * (2 if said.cut == "truncated" else 1)))
                self.end_headers()
                self.wfile.write(raw)
                if said.cut == "truncated":
                    self.wfile.flush()
                    self.connection.shutdown(socket.SHUT_RDWR)
                    self.close_connection = True

            do_GET = do_POST = do_PATCH = _serve

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


def refused(status: int, code: str, message: str = "", fields: list[str] | None = None) -> Said:
    """The REST error array."""
    return Said(status, [{"message": message or code, "errorCode": code, "fields": fields or []}])


def found(*records: dict[str, Any], **more: Any) -> Said:
    """A query's answer."""
    return Said(body={"totalSize": len(records), "done": True, "records": list(records), **more})
