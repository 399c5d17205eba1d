"""The one application that is Salesforce, QuickBooks and Slack at once, and the control calls beside them.

Belongs here: which call is whose, what happens around every call (latency, faults, log, commit), the options, the
`/_sandbox` calls. What a service answers is in its own module.

Every handler reads and writes the store without awaiting in between, on one event loop: a request is atomic.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from qbsf_pipeline.sandbox import company, page, quickbooks, salesforce, slack
from qbsf_pipeline.sandbox.call_log import CallLog
from qbsf_pipeline.sandbox.clock import Clock
from qbsf_pipeline.sandbox.faults import Fault, FaultKind, Faults, fault_of
from qbsf_pipeline.sandbox.store import Store, decode, encode

logger = logging.getLogger(__name__)

_OPTIONS = "sandbox.options"
_UNAVAILABLE = (
    "<html><head><title>503 Service Temporarily Unavailable</title></head>"
    "<body><center><h1>503 Service Temporarily Unavailable</h1></center></body></html>"
)


@dataclass(frozen=True)
class SandboxOptions:
    """How the whole sandbox behaves. `latency_ms` is added to every call of a service."""

    latency_ms: int = 0
    salesforce: salesforce.SalesforceOptions = field(default_factory=salesforce.SalesforceOptions)
    quickbooks: quickbooks.QuickBooksOptions = field(default_factory=quickbooks.QuickBooksOptions)
    slack: slack.SlackOptions = field(default_factory=slack.SlackOptions)


def endpoint_of(method: str, path: str, query: str, body: bytes = b"") -> tuple[str, str] | None:
    """Whose call this is and what it does, as the call log and the faults name it; None when it is no service's.

    `body` tells a QuickBooks create from an update: an update names the object's Id.
    """
    parts = [part for part in path.split("/") if part]
    if not parts:
        return None
    if parts[0] == "services":
        return "salesforce", _salesforce_endpoint(method, parts[1:])
    if parts[0] == "api" and len(parts) > 1:
        return "slack", parts[1]
    if parts[0] == ".well-known":
        return "quickbooks", "discovery"
    if parts[0] in ("oauth2", "v1", "v2", "op", "connect"):
        return "quickbooks", "token" if parts[-1] == "bearer" else "other"
    if parts[:2] == ["v3", "company"]:
        return "quickbooks", _quickbooks_endpoint(method, parts[3:], query, body)
    return None


def _salesforce_endpoint(method: str, parts: list[str]) -> str:
    if parts[:2] == ["oauth2", "token"] or parts[:1] == ["Soap"]:
        return "login"
    if parts[:1] != ["data"]:
        return "other"
    if len(parts) <= 2:
        return "versions"
    resource, rest = parts[2], parts[3:]
    if resource in ("query", "queryAll"):
        return "query"
    if resource == "limits":
        return "limits"
    if resource == "sobjects":
        return "describe" if not rest or rest[-1] == "describe" else "record"
    if resource == "composite":
        if rest[:1] == ["sobjects"]:
            if method == "PATCH":
                return "collections_update"
            if len(rest) > 1 and method in ("GET", "POST"):
                return "collections_retrieve"
            return "collections_create" if method == "POST" else "other"
        return "collections_create" if rest[:1] == ["tree"] else "composite"
    return "other"


def _quickbooks_endpoint(method: str, parts: list[str], query: str, body: bytes) -> str:
    if not parts:
        return "other"
    if parts[0] in ("query", "batch", "cdc"):
        return parts[0]
    if parts[0] == "reports":
        return "report"
    if method == "GET":
        return "read" if parts[-1] != "pdf" else "other"
    if len(parts) > 1:
        return "send" if parts[-1] == "send" else "other"
    asked = parse_qs(query)
    operation = asked.get("operation", [""])[0]
    if operation == "delete":
        return "delete"
    if operation == "void" or "void" in asked.get("include", [""])[0].split(","):
        return "void"
    if operation == "update":
        return "update"
    if b'"Id"' in body:
        try:
            named = decode(body)
        except ValueError:
            return "create"
        if isinstance(named, dict) and named.get("Id"):
            return "update"
    return "create"


class Sandbox:
    """One sandbox: its store, clock, options, faults, call log, and the ASGI application over them."""

    def __init__(self, store: Store, calls: CallLog) -> None:
        self.store = store
        self.clock = Clock(store)
        self.calls = calls
        self.faults = Faults(store)
        kept = store.documents(_OPTIONS).get("options", {})
        self.options: SandboxOptions = changed_options(SandboxOptions(), kept)
        self._services: ASGIApp = self._built()

    def change_options(self, changes: Mapping[str, Any]) -> None:
        """Lay changes over the options, for now and for the next start.

        Raises:
            ValueError: an unknown option.
        """
        self.options = changed_options(self.options, changes)
        documents = self.store.documents(_OPTIONS)
        documents["options"] = _merged(documents.get("options", {}), changes)
        self._services = self._built()

    def _built(self) -> ASGIApp:
        store, clock, options = self.store, self.clock, self.options
        return Starlette(
            routes=[
                *salesforce.routes(store, clock, options.salesforce),
                *quickbooks.routes(store, clock, options.quickbooks),
                *slack.routes(store, clock, options.slack),
                *page.routes(store, clock),
                *_control_routes(self),
            ]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application: what happens around every call."""
        if scope["type"] != "http":
            return
        started = time.perf_counter()
        body, receive = await _read(receive)
        method, path, query = scope["method"], scope["path"], scope["query_string"].decode("latin-1")
        named = endpoint_of(method, path, query, body)
        if named is None:
            answer = await self._handled(scope, receive)
            await _deliver(answer, send)
            return
        service, endpoint = named
        if self.options.latency_ms:
            await asyncio.sleep(self.options.latency_ms / 1000)
        fault = self.faults.strike(service, endpoint)
        at = self.clock.now()
        status: int | None = 500
        try:
            given = await self._answered(service, fault, scope, receive)
            status = None if given is None else given[0]["status"]
        finally:
            self.store.commit()
            self.calls.add(
                at=at,
                service=service,
                endpoint=endpoint,
                method=method,
                path=path,
                query=query,
                status=status,
                fault=None if fault is None else fault.kind.value,
                milliseconds=(time.perf_counter() - started) * 1000,
            )
        if given is None:
            await _cut(send, receive)
            return
        if fault is not None and fault.kind is FaultKind.HANG_AFTER:
            await asyncio.sleep(fault.seconds)
        await _deliver(given, send)

    async def _answered(self, service: str, fault: Fault | None, scope: Scope, receive: Receive) -> list[Message] | None:
        """The messages of the answer, or None where the connection is to be cut; commits what was handled."""
        kind = None if fault is None else fault.kind
        module = {"salesforce": salesforce, "quickbooks": quickbooks, "slack": slack}[service]
        if kind is FaultKind.RESET_BEFORE:
            return None
        if kind is FaultKind.ERROR:
            return await self._collected(module.server_error(), scope, receive)
        if kind is FaultKind.THROTTLE:
            return await self._collected(module.throttled(), scope, receive)
        if kind is FaultKind.TOKEN_EXPIRED:
            return await self._collected(module.token_expired(), scope, receive)
        if kind is FaultKind.HTML:
            return await self._collected(HTMLResponse(_UNAVAILABLE, 503), scope, receive)
        if fault is not None and kind is FaultKind.SLOW:
            await asyncio.sleep(fault.seconds)
        answer = await self._handled(scope, receive)
        if kind is FaultKind.RESET_AFTER:
            return None
        if kind is FaultKind.ERROR_AFTER:
            return await self._collected(module.server_error(), scope, receive)
        return answer

    async def _handled(self, scope: Scope, receive: Receive) -> list[Message]:
        answer = await self._collected(self._services, scope, receive)
        self.store.commit()
        return answer

    async def _collected(self, application: ASGIApp, scope: Scope, receive: Receive) -> list[Message]:
        """Everything an application sends, held back: nothing leaves before the store has it."""
        answer: list[Message] = []

        async def hold(message: Message) -> None:
            answer.append(message)

        await application(scope, receive, hold)
        headers = MutableHeaders(raw=answer[0]["headers"])
        headers.setdefault("date", format_datetime(self.clock.now().replace(microsecond=0), usegmt=True))
        return answer


async def _read(receive: Receive) -> tuple[bytes, Receive]:
    """The whole body of a request, and a `receive` that gives it once more."""
    body = b""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        body += message.get("body", b"")
        more = message.get("more_body", False)
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return body, again


async def _deliver(answer: list[Message], send: Send) -> None:
    for message in answer:
        await send(message)


async def _cut(send: Send, receive: Receive) -> None:
    """Abort the connection, so that the client sees it reset without an answer."""
    # uvicorn's send is a method of its request cycle, which holds the transport. ASGI itself has no way to do this.
    transport = send.__self__.transport  # type: ignore[attr-defined]
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    while (await receive())["type"] != "http.disconnect":
        pass


def changed_options(options: Any, changes: Mapping[str, Any]) -> Any:
    """Frozen options with plain JSON values laid over them, in nested options too.

    Raises:
        ValueError: there is no such option.
    """
    names = {member.name for member in fields(options)}
    values: dict[str, Any] = {}
    for name, value in changes.items():
        if name not in names:
            raise ValueError(f"there is no option {name}; there are {', '.join(sorted(names))}")
        now = getattr(options, name)
        if is_dataclass(now) and isinstance(value, Mapping):
            values[name] = changed_options(now, value)
        elif isinstance(now, frozenset):
            values[name] = frozenset(value)
        elif isinstance(value, list):
            values[name] = tuple(value)
        elif isinstance(now, Decimal):
            values[name] = Decimal(str(value))
        elif isinstance(value, Decimal):
            values[name] = float(value)
        else:
            values[name] = value
    return replace(options, **values)


def _merged(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in top.items():
        before = merged.get(name)
        both = isinstance(before, Mapping) and isinstance(value, Mapping)
        merged[name] = _merged(before, value) if both else value  # type: ignore[arg-type]
    return merged


def json_answer(document: Any, status: int = 200) -> Response:
    """A JSON answer that may hold decimals, sets and dates."""
    return Response(encode(_plain(document)), status, media_type="application/json")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(part) for part in value]
    if value is None or isinstance(value, str | int | float | Decimal):
        return value
    return str(value)


def _control_routes(sandbox: Sandbox) -> list[Route]:
    """The calls under `/_sandbox`, for people and tests. A refusal is HTTP 400 with {"error"}."""
    store, clock = sandbox.store, sandbox.clock

    async def health(body: dict[str, Any], request: Request) -> Any:
        return {"ok": True, "pid": os.getpid(), "now": clock.now().isoformat()}

    async def environment(body: dict[str, Any], request: Request) -> Any:
        return environment_of(sandbox, str(request.base_url).rstrip("/"))

    async def faults(body: dict[str, Any], request: Request) -> Any:
        if request.method == "DELETE":
            sandbox.faults.clear()
        if request.method == "POST":
            sandbox.faults.add(fault_of(body))
        return {"faults": sandbox.faults.listed()}

    async def calls(body: dict[str, Any], request: Request) -> Any:
        if request.method == "DELETE":
            sandbox.calls.clear()
        if request.query_params.get("summary") not in (None, "", "0"):
            return {"summary": sandbox.calls.summary()}
        return {"calls": sandbox.calls.listed()}

    async def options(body: dict[str, Any], request: Request) -> Any:
        if request.method == "POST":
            sandbox.change_options(body)
        return {"options": asdict(sandbox.options)}

    async def now(body: dict[str, Any], request: Request) -> Any:
        if request.method == "POST":
            clock.advance(timedelta(seconds=float(body["advance_seconds"])))
        return {"now": clock.now().isoformat()}

    async def close_deal(body: dict[str, Any], request: Request) -> Any:
        return {"opportunity": salesforce.close_deal(store, clock, str(body["opportunity_id"]))}

    async def receive_payment(body: dict[str, Any], request: Request) -> Any:
        amount = None if body.get("amount") is None else Decimal(str(body["amount"]))
        return {"payment": quickbooks.receive_payment(store, clock, str(body["invoice_id"]), amount)}

    async def salesforce_records(body: dict[str, Any], request: Request) -> Any:
        return {"records": salesforce.upsert_records(store, clock, str(body["type"]), list(body["records"]))}

    async def salesforce_delete(body: dict[str, Any], request: Request) -> Any:
        salesforce.delete_record(store, clock, str(body["type"]), str(body["id"]))
        return {"ok": True}

    async def quickbooks_records(body: dict[str, Any], request: Request) -> Any:
        return {"objects": quickbooks.upsert_objects(store, clock, str(body["entity"]), list(body["objects"]))}

    async def quickbooks_behave(body: dict[str, Any], request: Request) -> Any:
        quickbooks.behave(store, **body)
        return {"ok": True}

    async def run_recurring(body: dict[str, Any], request: Request) -> Any:
        until = None if body.get("until") is None else date.fromisoformat(str(body["until"]))
        return {"made": quickbooks.run_recurring(store, clock, until)}

    async def quickbooks_expire(body: dict[str, Any], request: Request) -> Any:
        quickbooks.expire_access_tokens(store)
        return {"ok": True}

    async def state(body: dict[str, Any], request: Request) -> Any:
        return state_of(store)

    return [
        Route("/_sandbox/health", _controlled(health), methods=["GET"]),
        Route("/_sandbox/environment", _controlled(environment), methods=["GET"]),
        Route("/_sandbox/faults", _controlled(faults), methods=["GET", "POST", "DELETE"]),
        Route("/_sandbox/calls", _controlled(calls), methods=["GET", "DELETE"]),
        Route("/_sandbox/options", _controlled(options), methods=["GET", "POST"]),
        Route("/_sandbox/clock", _controlled(now), methods=["GET", "POST"]),
        Route("/_sandbox/close-deal", _controlled(close_deal), methods=["POST"]),
        Route("/_sandbox/receive-payment", _controlled(receive_payment), methods=["POST"]),
        Route("/_sandbox/salesforce/records", _controlled(salesforce_records), methods=["POST"]),
        Route("/_sandbox/salesforce/delete", _controlled(salesforce_delete), methods=["POST"]),
        Route("/_sandbox/quickbooks/records", _controlled(quickbooks_records), methods=["POST"]),
        Route("/_sandbox/quickbooks/behave", _controlled(quickbooks_behave), methods=["POST"]),
        Route("/_sandbox/quickbooks/run-recurring", _controlled(run_recurring), methods=["POST"]),
        Route("/_sandbox/quickbooks/expire-tokens", _controlled(quickbooks_expire), methods=["POST"]),
        Route("/_sandbox/state", _controlled(state), methods=["GET"]),
    ]


def _controlled(
    handle: Callable[[dict[str, Any], Request], Awaitable[Any]],
) -> Callable[[Request], Awaitable[Response]]:
    """A control call: JSON object in, JSON out, and whatever is wrong with it told as HTTP 400."""

    async def control(request: Request) -> Response:
        try:
            raw = await request.body()
            body = decode(raw) if raw else {}
            if not isinstance(body, dict):
                raise ValueError("the body is not a JSON object")
            return json_answer(await handle(body, request))
        except KeyError as error:
            return json_answer({"error": f"{error.args[0]} is missing or not known"}, 400)
        except (salesforce.ApiError, quickbooks.QuickBooksFault) as error:
            return json_answer({"error": str(error)}, 400)
        except (ValueError, TypeError, LookupError, InvalidOperation) as error:
            return json_answer({"error": str(error)}, 400)

    return control


def state_of(store: Store) -> dict[str, Any]:
    """Everything the three services hold: {"salesforce": {type: [record]}, "quickbooks": {entity: [object]},
    "slack": {"messages": [...]}, "mail": [{"invoice_id", "to", "at"}]}."""
    return {
        "salesforce": salesforce.records_by_type(store),
        "quickbooks": quickbooks.state(store),
        "slack": {"messages": slack.messages(store)},
        "mail": quickbooks.mail(store),
    }


def environment_of(sandbox: Sandbox, url: str) -> dict[str, str]:
    """The environment variables that point qbsf at this sandbox."""
    return {
        "SALESFORCE_LOGIN_URL": url,
        "SALESFORCE_CLIENT_ID": sandbox.options.salesforce.client_id,
        "SALESFORCE_CLIENT_SECRET": sandbox.options.salesforce.client_secret,
        "QUICKBOOKS_CLIENT_ID": sandbox.options.quickbooks.client_id,
        "QUICKBOOKS_CLIENT_SECRET": sandbox.options.quickbooks.client_secret,
        "QUICKBOOKS_REALM_ID": sandbox.options.quickbooks.realm_id,
        "QUICKBOOKS_REFRESH_TOKEN": _refresh_token(sandbox),
        "QUICKBOOKS_ENVIRONMENT": "sandbox",
        "QUICKBOOKS_API_URL": url,
        "QUICKBOOKS_DISCOVERY_URL": f"{url}/.well-known/openid_sandbox_configuration",
        "QUICKBOOKS_APP_URL": url,
        "SLACK_BOT_TOKEN": sandbox.options.slack.bot_token,
        "SLACK_API_URL": f"{url}/api/",
        "SLACK_FINANCE_CHANNEL": "#finance",
        "SLACK_ALERTS_CHANNEL": "#finance-alerts",
        "QBSF_GO_LIVE_DATE": company.go_live_date(sandbox.store, sandbox.clock).isoformat(),
    }


def _refresh_token(sandbox: Sandbox) -> str:
    """The newest refresh token that works: whoever lost the later ones of the chain can begin again."""
    kept = sandbox.store.documents("quickbooks._refresh_tokens")
    current = [token for token, found in kept.items() if found["successor"] is None and not found["revoked"]]
    return current[-1] if current else sandbox.options.quickbooks.refresh_token
