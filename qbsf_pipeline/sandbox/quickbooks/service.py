"""The HTTP side of the local QuickBooks: who is let in, how often, and which call does what."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import simplejson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from qbsf_pipeline.sandbox.clock import Clock
from qbsf_pipeline.sandbox.quickbooks import changes, faults, operations, query, reports, sales_forms
from qbsf_pipeline.sandbox.quickbooks.company import Company, Document, company_of
from qbsf_pipeline.sandbox.quickbooks.faults import QuickBooksFault, encoded, envelope_time, json_response
from qbsf_pipeline.sandbox.quickbooks.oauth import Connection, oauth_routes
from qbsf_pipeline.sandbox.quickbooks.options import QuickBooksOptions
from qbsf_pipeline.sandbox.quickbooks.properties import BY_PATH
from qbsf_pipeline.sandbox.quickbooks.seed import realm_of, seed_company
from qbsf_pipeline.sandbox.store import Store

_REQUESTS = "quickbooks._requests"
_REMEMBERED = timedelta(hours=24)
_BATCH_ITEMS = 30
_BATCH_OBJECTS = 1000
_SENDABLE = ("Invoice", "CreditMemo", "SalesReceipt", "RefundReceipt")


class _Limiter:
    """At most so many calls in a window of real seconds."""

    def __init__(self, most: int, seconds: float) -> None:
        self.most = most
        self.seconds = seconds
        self.calls: deque[float] = deque()

    def admit(self) -> bool:
        now = time.monotonic()
        while self.calls and self.calls[0] <= now - self.seconds:
            self.calls.popleft()
        if len(self.calls) >= self.most:
            return False
        self.calls.append(now)
        return True


class _Service:
    def __init__(self, store: Store, clock: Clock, options: QuickBooksOptions) -> None:
        self.store = store
        self.clock = clock
        self.options = options
        self.connection = Connection(store, clock, options)
        self.per_minute = _Limiter(options.requests_per_minute, 60)
        self.per_second = _Limiter(options.requests_per_second, 1)
        self.batches = _Limiter(options.batches_per_minute, 60)
        self.ensure_company()

    def ensure_company(self) -> None:
        """A company is there even if nobody seeded one, or everything was cleared."""
        if "1" not in self.store.documents("quickbooks.Preferences"):
            seed_company(self.store, self.clock, name="Sandbox Company", realm_id=self.options.realm_id)

    @property
    def company(self) -> Company:
        return company_of(self.store, self.clock)

    async def handle(self, request: Request) -> Response:
        body = await request.body()
        # Nothing is awaited from here on: the call is one step for everybody else.
        self.ensure_company()
        refusal = self._gate(request)
        if refusal is not None:
            return refusal
        try:
            return self._answer(request, body)
        except QuickBooksFault as fault:
            return json_response(encoded({"Fault": fault.body(), "time": self._time()}), fault.status)

    def _gate(self, request: Request) -> Response | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not self.connection.is_valid(token.strip()):
            return faults.token_expired()
        if request.path_params["realm"] != realm_of(self.store, self.options):
            return faults.wrong_realm()
        is_batch = request.path_params["path"] == "batch"
        switches = (
            ("enforce_per_minute", self.per_minute, True),
            ("enforce_per_second", self.per_second, True),
            ("enforce_batch_per_minute", self.batches, is_batch),
        )
        for switch, limiter, concerned in switches:
            is_on = self.company.knob(switch, getattr(self.options, switch))
            if concerned and is_on and not limiter.admit():
                return faults.throttled()
        return None

    def _time(self) -> str:
        return envelope_time(self.clock.now())

    def _enveloped(self, body: Mapping[str, Any]) -> str:
        return encoded({**body, "time": self._time()})

    def _answer(self, request: Request, body: bytes) -> Response:
        steps = request.path_params["path"].strip("/").split("/")
        if request.method == "GET":
            return self._get(request, steps)
        if steps == ["query"]:
            return self._posted_query(request, body)
        if steps == ["batch"]:
            return self._remembered(request, body, self._batch)
        if len(steps) == 1 and steps[0] in BY_PATH:
            return self._remembered(request, body, self._write)
        if len(steps) == 3 and steps[2] == "send" and BY_PATH.get(steps[0]) in _SENDABLE:
            return self._remembered(request, body, self._send)
        return _unknown_address()

    # Reading -----------------------------------------------------------------------------------------------------

    def _get(self, request: Request, steps: list[str]) -> Response:
        parameters = request.query_params
        if steps == ["query"]:
            if "query" not in parameters:
                raise faults.required("query")
            return self._query(parameters["query"])
        if steps == ["cdc"]:
            body = changes.changed_entities(self.company, parameters.get("entities"), parameters.get("changedSince"))
            return json_response(self._enveloped(body))
        if steps == ["preferences"]:
            return json_response(self._enveloped(operations.read(self.company, "Preferences", "1")))
        if len(steps) == 2 and steps[0] == "companyinfo":
            if steps[1] not in (request.path_params["realm"], "1"):
                raise faults.not_found()
            return json_response(self._enveloped(operations.read(self.company, "CompanyInfo", "1")))
        if steps == ["reports", "AgedReceivables"]:
            return json_response(encoded(reports.aged_receivables(self.company, parameters)))
        if len(steps) == 2 and steps[0] in BY_PATH and BY_PATH[steps[0]] != "Preferences":
            return json_response(self._enveloped(operations.read(self.company, BY_PATH[steps[0]], steps[1])))
        return _unknown_address()

    def _posted_query(self, request: Request, body: bytes) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0].strip()
        if kind not in ("application/text", "text/plain"):
            raise faults.query_parser(f"Content-Type {kind or '(none)'} is not application/text")
        try:
            return self._query(body.decode())
        except UnicodeDecodeError:
            return faults.server_error()

    def _query(self, statement: str) -> Response:
        return json_response(self._enveloped({"QueryResponse": query.run_query(self.company, statement)}))

    # Writing -----------------------------------------------------------------------------------------------------

    def _remembered(self, request: Request, body: bytes, handler: Any) -> Response:
        """Answer a `requestid` that was answered before with the same answer, whatever happened since."""
        request_id = request.query_params.get("requestid")
        if request_id is None:
            return json_response(handler(request, body))
        is_batch = request.path_params["path"] == "batch"
        longest = 36 if is_batch else 50
        if not request_id or len(request_id) > longest:
            raise faults.invalid_request_id(f"requestid must have 1 to {longest} characters")
        known = self.store.documents(_REQUESTS)
        now = self.clock.now()
        earlier = known.get(request_id)
        if earlier is not None and now < datetime.fromisoformat(earlier["at"]) + _REMEMBERED:
            return json_response(earlier["body"])
        answer: str = handler(request, body)
        self._forget_old(now)
        known[request_id] = {"at": now.isoformat(), "body": answer}
        return json_response(answer)

    def _forget_old(self, now: datetime) -> None:
        known = self.store.documents(_REQUESTS)
        for request_id, earlier in list(known.items()):
            # Kept in the order they came: the first young one ends it.
            if now < datetime.fromisoformat(earlier["at"]) + _REMEMBERED:
                break
            del known[request_id]

    def _write(self, request: Request, body: bytes) -> str:
        entity = BY_PATH[request.path_params["path"].strip("/")]
        include = _include(request.query_params.get("include", ""))
        document = operations.write(
            self.company,
            entity,
            _parsed(body),
            self.options,
            operation=request.query_params.get("operation"),
            include=include,
        )
        return self._enveloped(document)

    def _send(self, request: Request, body: bytes) -> str:
        path, object_id, _ = request.path_params["path"].strip("/").split("/")
        with self.company.atomic():
            send_to = request.query_params.get("sendTo")
            form = sales_forms.send_sales_form(self.company, BY_PATH[path], object_id, send_to)
        return self._enveloped({BY_PATH[path]: form})

    def _batch(self, request: Request, body: bytes) -> str:
        sent = _parsed(body)
        items = sent.get("BatchItemRequest") if isinstance(sent, dict) else None
        if not isinstance(items, list) or not items or not all(isinstance(item, dict) for item in items):
            raise faults.required("BatchItemRequest")
        if len(items) > _BATCH_ITEMS:
            raise QuickBooksFault(
                "1040",
                "Batch size exceeded",
                f"The maximum number of batch items {_BATCH_ITEMS} is exceeded: {len(items)} were sent.",
                "",
            )
        if "requestid" in request.query_params and any(len(str(item.get("bId", ""))) > 10 for item in items):
            raise faults.invalid_request_id("With a requestid, a bId has at most 10 characters")
        answers: list[Document] = []
        left = _BATCH_OBJECTS
        for item in items:
            answer: Document = {"bId": item["bId"]} if "bId" in item else {}
            try:
                result = self._batch_item(item)
                left -= len(query.statement_rows(result.get("QueryResponse", {})))
                if left < 0:
                    raise QuickBooksFault("10100", "Result set too big", "More than 1000 objects in one batch.", "")
                answer.update(result)
            except QuickBooksFault as fault:
                answer["Fault"] = fault.body()
            answers.append(answer)
        return self._enveloped({"BatchItemResponse": answers})

    def _batch_item(self, item: Mapping[str, Any]) -> Document:
        if "Query" in item:
            return {"QueryResponse": query.run_query(self.company, str(item["Query"]))}
        names = [name for name in item if name in BY_PATH.values()]
        if len(names) != 1:
            raise faults.unsupported_property("one object or Query is expected in a batch item")
        operation = item.get("operation")
        if operation not in ("create", "update", "delete"):
            raise faults.unsupported_operation(str(operation))
        body = item[names[0]]
        if operation == "create" and isinstance(body, dict):
            body = {name: value for name, value in body.items() if name != "Id"}
        include = _include(str(item.get("optionsData", "")))
        return operations.write(self.company, names[0], body, self.options, operation=operation, include=include)


def _include(text: str) -> frozenset[str]:
    return frozenset(part.strip().lower() for part in text.split(",") if part.strip())


def _no_constant(text: str) -> None:
    raise ValueError(text)


def _parsed(body: bytes) -> Any:
    try:
        parsed = simplejson.loads(body.decode(), use_decimal=True, parse_constant=_no_constant)
        if b"\\u" in body:
            # Half a surrogate pair is valid JSON, but no text that could be answered or stored.
            encoded(parsed).encode()
        return parsed
    except UnicodeEncodeError:
        raise QuickBooksFault("2040", "Invalid String", "Unpaired surrogate", "") from None
    except UnicodeDecodeError:
        raise QuickBooksFault(
            "10000", "An application error has occurred", "Invalid UTF-8", "", kind="SystemFault", status=500
        ) from None
    except ValueError as error:
        raise faults.unsupported_property(f"{error}") from None


def _unknown_address() -> Response:
    return faults.with_tid(Response(status_code=404))


def routes(store: Store, clock: Clock, options: QuickBooksOptions) -> list[Route]:
    """QuickBooks' and Intuit's paths: `/v3/company/...`, OAuth and discovery."""
    service = _Service(store, clock, options)
    return [
        *oauth_routes(store, clock, options),
        Route("/v3/company/{realm}/{path:path}", service.handle, methods=["GET", "POST"]),
    ]
