"""Every call to QuickBooks Online's accounting API, over the true python-quickbooks library used as transport for dicts.

The library's object layer is not used: it sends defaults for fields that nobody set. What the library lacks is added
below it, in the session: time limits, every shape of error, Intuit's reference of each answer. Belongs here: calls and
what their answers mean. Does not belong here: tables (objects), what to read when (pull), what to write (the flows).

Amounts are ``Decimal`` in everything that is returned; bodies to be sent are JSON text made by
:func:`qbsf_pipeline.money.to_json`, sent byte for byte as given.
"""

from __future__ import annotations

import json
import logging
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any, Literal
from urllib.parse import quote

import requests
from quickbooks import QuickBooks
from requests.auth import AuthBase

from qbsf_pipeline.api_meter import ApiMeter
from qbsf_pipeline.errors import AccessRefused, OutcomeUnknown, RecordRefused, ServiceError, ServiceUnavailable
from qbsf_pipeline.quickbooks import templates
from qbsf_pipeline.quickbooks.connection import QuickBooksConnection
from qbsf_pipeline.quickbooks.faults import (
    SYSTEM,
    Throttled,
    TokenRefused,
    error_of_answer,
    error_of_fault,
    error_of_transport,
    fault_in,
    reference_of,
    retry_after_of,
)
from qbsf_pipeline.quickbooks.pace import Pace
from qbsf_pipeline.settings import Environment

log = logging.getLogger(__name__)

MINOR_VERSION = 75
#: To connect; to answer. Intuit works on one request for at most 120 seconds.
TIMEOUT = (10, 130)
#: Rows of one page of a query, Intuit's most.
PAGE = 1000
#: Rows of the page before that are read again: so many rows may vanish between two pages without hiding another.
PAGE_OVERLAP = 10
#: Intuit's most for one answer of change data capture.
CHANGE_LIMIT = 1000
LONGEST_REQUEST_ID = 50
LONGEST_BATCH_REQUEST_ID = 36
LONGEST_BATCH_ID = 10
LARGEST_BATCH = 30
#: How often a call is repeated that QuickBooks throttled, or a read that failed on the way.
REPEATS = 4
#: Intuit: after a 429, wait 60 seconds.
THROTTLE_SECONDS = 60.0
LONGEST_WAIT_SECONDS = 300.0
#: Lists whose names are one name space: a customer may not be named like a vendor or an employee.
NAME_LISTS = ("Customer", "Vendor", "Employee")
ACTIVE_AND_INACTIVE = "Active IN (true, false)"

Operation = Literal["create", "update", "delete"]


@dataclass(frozen=True)
class BatchItem:
    """One write of a batch call.

    Attributes:
        bid: what its answer is known by, at most 10 characters, unique in the call.
        operation: create, update or delete.
        entity: ``Customer``, ``Invoice``, ...
        body_json: the object as JSON text, sent byte for byte.
    """

    bid: str
    operation: Operation
    entity: str
    body_json: str


@dataclass(frozen=True)
class Changes:
    """One answer of change data capture.

    Attributes:
        objects: per entity, the newest version of each object that was created or changed.
        deleted: per entity, ids of objects that were deleted.
        server_time: QuickBooks' own clock (UTC).
        capped: the answer held as many objects as it can hold: nobody knows what was cut off.
    """

    objects: dict[str, list[dict[str, Any]]]
    deleted: dict[str, list[str]]
    server_time: datetime
    capped: bool


def quoted(text: str) -> str:
    """``text`` as a literal of QuickBooks' query language: in single quotes, backslash and quote escaped by backslash."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def instant_literal(instant: datetime) -> str:
    """An aware instant as QuickBooks writes them, ``2026-11-22T02:00:00-08:00``, cut to whole seconds.

    Always with an offset of -08:00: the documented form, and without a plus sign, which addresses turn into a space.

    Raises:
        ValueError: the instant has no time zone.
    """
    if instant.tzinfo is None:
        raise ValueError("an instant without a time zone")
    return instant.astimezone(timezone(timedelta(hours=-8))).isoformat(timespec="seconds")


class QuickBooksClient:
    """The accounting API of one company. Threads may share a client: each has its own HTTP session.

    Every method raises only :class:`qbsf_pipeline.errors.ServiceError`:

    * ``ServiceUnavailable``: throttled, down or not reachable; nothing was changed. Reads were repeated before.
    * ``OutcomeUnknown``: a write was sent and its answer lost, or QuickBooks failed while working on it.
    * ``AccessRefused``: connection, permission or subscription; the text says what a person must do.
    * ``StaleRecord``: the record was changed since it was read.
    * ``RecordRefused``: QuickBooks refuses this record or query, with its code, text and field.

    Args:
        environment: the API's address and the company.
        connection: gives access tokens.
        meter: counts calls; reads are counted as metered, for Intuit charges those.
        pace: keeps Intuit's limits.
        sleep: waits before a call is repeated.
    """

    def __init__(
        self,
        environment: Environment,
        connection: QuickBooksConnection,
        meter: ApiMeter,
        pace: Pace,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.realm = connection.realm
        self._base = environment.quickbooks_api_base
        self._connection = connection
        self._meter = meter
        self._pace = pace
        self._sleep = sleep
        self._threads = threading.local()
        self._lock = threading.Lock()
        self._reads = 0

    #: :func:`quoted`, at hand for those who write a ``where``.
    quoted = staticmethod(quoted)

    # Reading

    @property
    def reads(self) -> int:
        """Reads sent so far, repeated ones included: what Intuit meters."""
        return self._reads

    @property
    def server_time(self) -> datetime | None:
        """QuickBooks' clock (UTC) in the newest answer to this thread; ``None`` before the first."""
        moment: datetime | None = getattr(self._threads, "server_time", None)
        return moment

    def query(self, entity: str, where: str = "", order: str = "Id") -> list[dict[str, Any]]:
        """Every object of ``entity`` that fulfils ``where`` (without the word), in pages, each id once.

        Literals in ``where`` must come from :func:`quoted` or :func:`instant_literal`.
        """
        return self._pages(entity, where, order)[0]

    def query_all(self, entity: str, *, list_entity: bool, where: str = "", order: str = "Id") -> list[dict[str, Any]]:
        """Every object of ``entity`` that fulfils ``where``; of list entities, which take no ``where``, the inactive ones too.

        What takes more than one page is compared with QuickBooks' own count, for pages over a living table may skip rows.

        Raises:
            ServiceUnavailable: the count does not fit even when read twice: the table changes too fast to be read whole.
        """
        where = ACTIVE_AND_INACTIVE if list_entity else where
        for _ in range(2):
            try:
                found, pages = self._pages(entity, where, order)
            except RecordRefused as error:
                if not (list_entity and where and _is_query_refusal(error)):
                    raise
                # Not every list lets itself be asked for its inactive rows (tax codes on some companies).
                log.warning("quickbooks: %s cannot be asked for inactive rows: %s", entity, error)
                where = ""
                found, pages = self._pages(entity, where, order)
            if pages == 1:
                return found
            expected = self.count(entity, where)
            if len(found) < expected:
                # Rows added while the pages were read stand at the end.
                tail, _ = self._pages(entity, where, order, start=max(1, len(found) - PAGE_OVERLAP))
                found = _once(found + tail)
            if len(found) >= expected:
                return found
            log.warning("quickbooks: read %d of %d rows of %s", len(found), expected, entity)
        raise ServiceUnavailable(SYSTEM, "moving", f"{entity} changes faster than it can be read whole; later is better")

    def count(self, entity: str, where: str = "") -> int:
        """How many objects of ``entity`` fulfil ``where``."""
        body = self._query_answer(f"SELECT count(*) FROM {entity}{_where(where)}")
        total = body.get("totalCount")
        if isinstance(total, bool) or not str(total if total is not None else "").isdigit():
            raise ServiceUnavailable(SYSTEM, "unreadable", f"the count of {entity} came without totalCount")
        return int(str(total))

    def changes(self, entities: Sequence[str], since: datetime, cap: int = CHANGE_LIMIT) -> Changes:
        """What was created, changed or deleted since an instant (at most 30 days back): one call, one read."""
        asked_at = datetime.now(UTC)
        answer = self._call(
            "cdc",
            lambda door: door.quickbooks.change_data_capture(",".join(entities), instant_literal(since)),
            write=False,
        )
        objects: dict[str, dict[str, dict[str, Any]]] = {}
        deleted: dict[str, dict[str, None]] = {}
        counted = 0
        responses = answer.get("CDCResponse")
        if responses is None:
            raise ServiceUnavailable(SYSTEM, "unreadable", "the answer of change data capture has no CDCResponse")
        for block in _blocks(responses):
            fault = fault_in(block)
            if fault is not None:
                raise error_of_fault(fault, write=False, status=200, realm=self.realm)
            for entity, records in block.items():
                if not isinstance(records, list):
                    continue
                for record in records:
                    record_id = _id_of(record)
                    if record_id is None:
                        continue
                    counted += 1
                    if str(record.get("status", "")).lower() == "deleted":
                        deleted.setdefault(entity, {})[record_id] = None
                    else:
                        kept = objects.setdefault(entity, {})
                        if record_id not in kept or _newer(record, kept[record_id]):
                            kept[record_id] = record
        return Changes(
            objects={
                entity: [record for record_id, record in kept.items() if record_id not in deleted.get(entity, {})]
                for entity, kept in objects.items()
            },
            deleted={entity: list(ids) for entity, ids in deleted.items()},
            server_time=self.server_time or asked_at,
            capped=counted >= cap,
        )

    def read(self, entity: str, record_id: str) -> dict[str, Any]:
        """One object by id.

        Raises:
            RecordRefused: code 610: there is no such object.
        """
        try:
            answer = self._call(
                "read",
                lambda door: door.quickbooks.get_single_object(entity, quote(record_id, safe="")),
                write=False,
            )
        except AccessRefused as error:
            if error.code != "404":
                raise
            raise RecordRefused(SYSTEM, "404", f"{entity} {record_id} is not found", None, error.request_reference) from error
        found = _object_in(answer, entity)
        if found is None:
            raise RecordRefused(SYSTEM, "610", f"{entity} {record_id} came back empty")
        return found

    def preferences(self) -> dict[str, Any]:
        """The company's preferences, such as the closing date of its books."""
        return self._single("Preferences", "preferences")

    def company_info(self) -> dict[str, Any]:
        """The company's name, country, time zone and subscription.

        Raises:
            AccessRefused: this is no QuickBooks Online company that the connection opens; says what to check.
        """
        try:
            return self._single("CompanyInfo", f"companyinfo/{self.realm}")
        except (RecordRefused, AccessRefused) as error:
            if isinstance(error, AccessRefused) and error.code not in ("403", "404"):
                raise
            raise self._no_such_company(error.code, error.message, error.request_reference) from error

    def invoices_created_since(self, instant: datetime) -> list[dict[str, Any]]:
        """Invoices created at or after an instant: to find, by its marker, what a lost answer may have created."""
        return self.created_since("Invoice", instant)

    def created_since(self, entity: str, instant: datetime) -> list[dict[str, Any]]:
        """Transactions of one kind created at or after an instant."""
        return self.query(entity, f"MetaData.CreateTime >= '{instant_literal(instant)}'")

    def find_by_name(self, name: str) -> list[tuple[str, dict[str, Any]]]:
        """(entity, object) of every customer, vendor and employee with this DisplayName, inactive ones included."""
        where = f"DisplayName = {quoted(name)} AND {ACTIVE_AND_INACTIVE}"
        return [(entity, record) for entity in NAME_LISTS for record in self.query(entity, where)]

    def find_by_doc_number(self, doc_number: str, entity: str = "Invoice") -> list[dict[str, Any]]:
        """Transactions with this document number (QuickBooks does not keep them apart unless the company asks for it)."""
        return self.query(entity, f"DocNumber = {quoted(doc_number)}")

    def recurring_templates(self) -> list[dict[str, Any]]:
        """Every recurring template that makes invoices, in the form of :func:`.templates.unwrapped`: also to find, by its name,
        what a lost answer may have created. No order is asked for: none is documented for templates."""
        found = self.query_all(templates.ENTITY, list_entity=False, where="Type = 'Invoice'", order="")
        return [template for template in found if template.get(templates.TYPE) in (None, "Invoice")]

    def aged_receivables(self, report_date: date) -> dict[str, Any]:
        """QuickBooks' own report of what is owed at the end of a day, as it answers: one read, however long. Payments dated
        later do not count. :func:`qbsf_pipeline.quickbooks.reports.read_aged_receivables` reads it."""
        named = {"report_date": report_date.isoformat(), "aging_method": "Report_Date"}
        return self._call("report", lambda door: door.quickbooks.get_report("AgedReceivables", dict(named)), write=False)

    # Writing

    def create(self, entity: str, body_json: str, request_id: str) -> dict[str, Any]:
        """Create one object and return it as QuickBooks now has it.

        A repetition with the same ``request_id`` (at most 50 characters) creates nothing and answers as the first did,
        for about a day.
        """
        return self._written("create", entity, body_json, request_id)

    def update(self, entity: str, body_json: str, request_id: str) -> dict[str, Any]:
        """Change one object (``Id``, ``SyncToken``, ``sparse``) and return it as QuickBooks now has it.

        For a recurring template Intuit documents no update; the whole template that was read is taken, as
        :func:`.templates.wrapped` makes it.
        """
        return self._written("update", entity, body_json, request_id)

    def delete(self, entity: str, body_json: str, request_id: str) -> dict[str, Any]:
        """Delete one transaction or template (``Id``, ``SyncToken``; of a template :func:`.templates.reference`) and return what
        QuickBooks says of it. Lists cannot be deleted from, only made inactive.

        Raises:
            RecordRefused: code 610: there is no such object any more.
        """
        return self._written("delete", entity, body_json, request_id)

    def batch_free_in(self) -> float:
        """Seconds until Intuit's limits let a batch call through; 0 where they do now."""
        return self._pace.free_in(batch=True)

    def wait_for_batch(self) -> None:
        """Return when Intuit's limits let a batch call through: what is written down before the call is then written down just
        before it, not a minute before."""
        self._pace.hold(batch=True)

    def batch(self, items: Sequence[BatchItem], request_id: str) -> dict[str, dict[str, Any] | ServiceError]:
        """At most 30 writes in one call: for each ``bid`` the object as QuickBooks now has it, or what went wrong with it.

        The same items in the same order are the same bytes. An item that QuickBooks does not answer for is
        ``OutcomeUnknown``. What concerns the call as a whole is raised, and then holds for every item.

        Raises:
            ValueError: too many items, ids that are too long or not unique.
        """
        _check_batch(items, request_id)
        body = batch_body(items)
        answer = self._call(
            "batch",
            lambda door: door.quickbooks.post(
                f"{door.quickbooks.api_url}/company/{self.realm}/batch", body.encode(), request_id=request_id
            ),
            write=True,
            batch=True,
        )
        tid = getattr(self._threads, "tid", None)
        responses = answer.get("BatchItemResponse")
        results: dict[str, dict[str, Any] | ServiceError] = {}
        by_bid = {item.bid: item for item in items}
        for response in responses if isinstance(responses, list) else []:
            if not isinstance(response, dict):
                continue
            item = by_bid.get(str(response.get("bId")))
            if item is None:
                log.warning("quickbooks: a batch answered for an item that was not sent (intuit_tid %s)", tid)
                continue
            results[item.bid] = self._item_result(item, response, tid)
        for bid in by_bid:
            if bid not in results:
                results[bid] = OutcomeUnknown(SYSTEM, "unanswered", "QuickBooks did not answer for this item of a batch", tid)
        return results

    def send_invoice(self, invoice_id: str, request_id: str) -> dict[str, Any]:
        """Let QuickBooks mail an invoice to its BillEmail; returns the invoice with its new EmailStatus and SyncToken."""
        _check_request_id(request_id, LONGEST_REQUEST_ID)
        answer = self._call(
            "send",
            lambda door: door.quickbooks.post(
                f"{door.quickbooks.api_url}/company/{self.realm}/invoice/{quote(invoice_id, safe='')}/send",
                None,
                content_type="application/octet-stream",
                request_id=request_id,
            ),
            write=True,
        )
        return self._object_written(answer, "Invoice")

    # How a call is made

    def _written(self, kind: str, entity: str, body_json: str, request_id: str) -> dict[str, Any]:
        _check_request_id(request_id, LONGEST_REQUEST_ID)
        body = body_json.encode()

        def send(door: _Door) -> dict[str, Any]:
            writes = {"create": door.quickbooks.create_object, "delete": door.quickbooks.delete_object}
            write = writes.get(kind, door.quickbooks.update_object)
            answer: dict[str, Any] = write(entity, body, request_id=request_id)
            return answer

        return self._object_written(self._call(kind, send, write=True), entity)

    def _object_written(self, answer: Mapping[str, Any], entity: str) -> dict[str, Any]:
        found = _object_in(answer, entity)
        if found is None:
            tid = getattr(self._threads, "tid", None)
            raise OutcomeUnknown(SYSTEM, "unreadable", f"QuickBooks answered without the {entity}", tid)
        return found

    def _item_result(self, item: BatchItem, response: Mapping[str, Any], tid: str | None) -> dict[str, Any] | ServiceError:
        fault = fault_in(response)
        if fault is not None:
            # The call itself was taken (200), so an item's own code decides.
            return error_of_fault(fault, write=True, status=400, realm=self.realm, tid=tid)
        found = _object_in(response, item.entity)
        if found is None:
            return OutcomeUnknown(SYSTEM, "unreadable", f"the batch answered without the {item.entity}", tid)
        return found

    def _single(self, entity: str, path: str) -> dict[str, Any]:
        answer = self._call(
            "read",
            lambda door: door.quickbooks.get(f"{door.quickbooks.api_url}/company/{self.realm}/{path}"),
            write=False,
        )
        found = _object_in(answer, entity)
        if found is None:
            raise self._no_such_company("empty", f"no {entity} in the answer", None)
        return found

    def _no_such_company(self, code: str, said: str, reference: str | None) -> AccessRefused:
        text = (
            f"company {self.realm} is not found in QuickBooks Online at {self._base}: check QUICKBOOKS_REALM_ID and "
            "QUICKBOOKS_ENVIRONMENT (development keys open sandbox companies only). A QuickBooks Desktop file cannot be used "
            f"({said})"
        )
        return AccessRefused(SYSTEM, code, text, reference)

    def _pages(self, entity: str, where: str, order: str, start: int = 1) -> tuple[list[dict[str, Any]], int]:
        """Rows, each id once, and the number of pages read."""
        # The library asks for items so, because Sku is not part of * for every server.
        columns = "*, Sku" if entity == "Item" else "*"
        found: dict[str, dict[str, Any]] = {}
        position, pages = start, 0
        while True:
            tail = f" FROM {entity}{_where(where)}{f' ORDERBY {order}' if order else ''}"
            tail += f" STARTPOSITION {position} MAXRESULTS {PAGE}"
            try:
                body = self._query_answer(f"SELECT {columns}{tail}")
            except RecordRefused as error:
                if columns == "*" or not _is_query_refusal(error):
                    raise
                columns = "*"
                body = self._query_answer(f"SELECT *{tail}")
            pages += 1
            rows = body.get(entity)
            rows = rows if isinstance(rows, list) else []
            if entity == templates.ENTITY:
                rows = [templates.unwrapped(row) for row in rows if isinstance(row, Mapping)]
            before = len(found)
            for row in rows:
                record_id = _id_of(row)
                if record_id is None:
                    raise ServiceUnavailable(SYSTEM, "unreadable", f"a row of {entity} came without an id")
                if record_id not in found or _newer(row, found[record_id]):
                    found[record_id] = row
            if len(rows) < PAGE or len(found) == before:
                return list(found.values()), pages
            position += PAGE - PAGE_OVERLAP

    def _query_answer(self, statement: str) -> dict[str, Any]:
        log.debug("quickbooks: %s", statement)
        answer = self._call("query", lambda door: door.quickbooks.query(statement.encode()), write=False)
        body = answer.get("QueryResponse")
        if not isinstance(body, dict):
            raise ServiceUnavailable(SYSTEM, "unreadable", "the answer to a query has no QueryResponse")
        return body

    def _call(self, kind: str, send: Callable[[_Door], dict[str, Any]], *, write: bool, batch: bool = False) -> dict[str, Any]:
        """One call, with what may safely be repeated: throttled calls, refused tokens (once), and reads."""
        token = self._connection.access_token()
        renewed = False
        repeats = 0
        while True:
            door = self._door(token, write=write)
            self._pace.wait(batch)
            self._count(kind, write=write)
            try:
                answer = send(door)
            except TokenRefused as error:
                if renewed:
                    text = (
                        f"QuickBooks refuses a fresh access token of company {self.realm} as well: the app may have been "
                        f"disconnected, or QUICKBOOKS_API_URL and QUICKBOOKS_ENVIRONMENT do not fit ({error.message})"
                    )
                    raise AccessRefused(SYSTEM, error.code, text, error.request_reference) from error
                renewed = True
                token = self._connection.access_token(refused=token)
                continue
            except ServiceUnavailable as error:
                # A throttled call was refused before anything was done, so a write may be repeated as well.
                if repeats == REPEATS or (write and not isinstance(error, Throttled)):
                    raise
                repeats += 1
                seconds = self._wait_before(repeats, error, door)
                log.warning(
                    "quickbooks: %s failed (%s); again in %.1f s (%d of %d), intuit_tid %s",
                    kind,
                    error.code,
                    seconds,
                    repeats,
                    REPEATS,
                    error.request_reference,
                )
                self._sleep(seconds)
                continue
            self._remember(door, answer)
            return answer

    def _wait_before(self, repeat: int, error: ServiceUnavailable, door: _Door) -> float:
        if isinstance(error, Throttled):
            asked = error.retry_after if error.retry_after is not None else THROTTLE_SECONDS
        else:
            last = door.session.last
            named = retry_after_of(last) if last is not None else None
            # Jitter keeps several processes from coming back in step.
            asked = named if named is not None else 2.0 ** (repeat - 1) * (0.5 + random.random())
        return min(asked, LONGEST_WAIT_SECONDS)

    def _door(self, token: str, *, write: bool) -> _Door:
        door: _Door | None = getattr(self._threads, "door", None)
        if door is None:
            door = _Door(self._base, self.realm)
            self._threads.door = door
        door.session.access_token = token
        door.session.write = write
        return door

    def _count(self, kind: str, *, write: bool) -> None:
        self._meter.count(SYSTEM, kind, metered=not write)
        if not write:
            with self._lock:
                self._reads += 1

    def _remember(self, door: _Door, answer: Mapping[str, Any]) -> None:
        last = door.session.last
        self._threads.tid = reference_of(last) if last is not None else None
        moment = _envelope_time(answer.get("time"))
        if moment is None and last is not None:
            moment = _header_time(last.headers.get("Date"))
        if moment is not None:
            self._threads.server_time = moment


class _Door:
    """The library's client of one thread, with a session of ours below it."""

    def __init__(self, base: str, realm: str) -> None:
        self.session = _Session(realm)
        # Without an auth_client the library neither opens a session of its own nor refreshes tokens.
        self.quickbooks = QuickBooks(company_id=realm, minorversion=MINOR_VERSION, use_decimal=True)
        self.quickbooks.session = self.session
        self.quickbooks.api_url_v3 = f"{base}/v3"


class _NoNetrc(AuthBase):
    """Keeps requests from putting a password of ~/.netrc in place of the bearer token."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


class _Session(requests.Session):
    """Sends; raises our errors for whatever is not an answer to the call, before the library guesses at it."""

    def __init__(self, realm: str) -> None:
        super().__init__()
        self.auth = _NoNetrc()
        self.access_token = ""
        self.write = False
        self.last: requests.Response | None = None
        self._realm = realm

    def request(self, method: Any, url: Any, *args: Any, **kwargs: Any) -> requests.Response:
        kwargs.setdefault("timeout", TIMEOUT)
        kwargs["allow_redirects"] = False
        body = kwargs.get("data")
        if isinstance(body, bytes) and not body.isascii():
            # Intuit reads text without a charset as Latin-1 for companies in the United States.
            headers = dict(kwargs.get("headers") or {})
            headers["Content-Type"] = f"{headers['Content-Type']}; charset=utf-8"
            kwargs["headers"] = headers
        self.last = None
        started = time.monotonic()
        try:
            response = super().request(method, url, *args, **kwargs)
        except requests.RequestException as error:
            raise error_of_transport(error, write=self.write) from error
        self.last = response
        log.debug(
            "quickbooks: %s %s -> %d in %.0f ms, intuit_tid %s",
            method,
            str(url).rsplit("/company/", 1)[-1],
            response.status_code,
            (time.monotonic() - started) * 1000,
            reference_of(response),
        )
        found = error_of_answer(response, write=self.write, realm=self._realm)
        if found is not None:
            raise found
        # JSON is UTF-8 whatever the content type says; the library reads .text.
        response.encoding = "utf-8"
        # The library takes nothing but 200 for success.
        response.status_code = 200
        return response


def batch_body(items: Sequence[BatchItem]) -> str:
    """The JSON text of a batch call: the items' own texts, in order, unchanged."""
    parts = [
        f'{{"bId":{json.dumps(item.bid)},"operation":{json.dumps(item.operation)},{json.dumps(item.entity)}:{item.body_json}}}'
        for item in items
    ]
    return '{"BatchItemRequest":[' + ",".join(parts) + "]}"


def _check_batch(items: Sequence[BatchItem], request_id: str) -> None:
    _check_request_id(request_id, LONGEST_BATCH_REQUEST_ID)
    if not 1 <= len(items) <= LARGEST_BATCH:
        raise ValueError(f"a batch holds 1 to {LARGEST_BATCH} items, not {len(items)}")
    bids = [item.bid for item in items]
    if len(set(bids)) != len(bids):
        raise ValueError("two items of a batch have the same bId")
    if any(not 1 <= len(bid) <= LONGEST_BATCH_ID for bid in bids):
        raise ValueError(f"a bId has 1 to {LONGEST_BATCH_ID} characters")


def _check_request_id(request_id: str, longest: int) -> None:
    if not 1 <= len(request_id) <= longest:
        raise ValueError(f"a request id has 1 to {longest} characters, not {len(request_id)}")


def _where(where: str) -> str:
    return f" WHERE {where}" if where else ""


def _is_query_refusal(error: RecordRefused) -> bool:
    return error.code in ("4000", "4001", "4002", "400")


def _blocks(responses: Any) -> list[dict[str, Any]]:
    """Every QueryResponse block of a CDCResponse, whether lists or single objects were sent."""
    blocks: list[dict[str, Any]] = []
    for response in responses if isinstance(responses, list) else [responses]:
        if not isinstance(response, dict):
            continue
        if fault_in(response) is not None:
            blocks.append(response)
        inner = response.get("QueryResponse")
        blocks += [block for block in (inner if isinstance(inner, list) else [inner]) if isinstance(block, dict)]
    return blocks


def _object_in(answer: Mapping[str, Any], entity: str) -> dict[str, Any] | None:
    """The object of an answer, also where it stands in a QueryResponse."""
    found: Any = answer.get(entity)
    if found is None and isinstance(answer.get("QueryResponse"), Mapping):
        found = answer["QueryResponse"].get(entity)
    if isinstance(found, list):
        found = found[0] if found else None
    if not isinstance(found, dict) or not found:
        return None
    return templates.unwrapped(found) if entity == templates.ENTITY else found


def _once(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        record_id = _id_of(row)
        if record_id is not None and (record_id not in found or _newer(row, found[record_id])):
            found[record_id] = row
    return list(found.values())


def _id_of(record: Any) -> str | None:
    if not isinstance(record, Mapping) or record.get("Id") in (None, ""):
        return None
    return str(record["Id"])


def _newer(record: Mapping[str, Any], than: Mapping[str, Any]) -> bool:
    """Whether ``record`` is the later version; SyncToken counts up with every change."""
    mine, other = str(record.get("SyncToken", "")), str(than.get("SyncToken", ""))
    return not (mine.isdigit() and other.isdigit()) or int(mine) >= int(other)


def _envelope_time(value: Any) -> datetime | None:
    """The envelope's ``time``: text with an offset, or milliseconds as the gateway writes it."""
    if isinstance(value, int) and not isinstance(value, bool):
        return datetime.fromtimestamp(value / 1000, UTC)
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo is not None else None


def _header_time(value: str | None) -> datetime | None:
    if not value:
        return None
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
