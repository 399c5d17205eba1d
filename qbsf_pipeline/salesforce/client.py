"""The one door to Salesforce: simple-salesforce in direct mode, with our own transport, token refresh and retries.

simple-salesforce sets no timeout, repeats nothing, loses headers on its own refresh and has no composite calls; it is used
for what it does well (addresses, headers, reading numbers as Decimal), one ``restful`` call at a time. Every call goes
through :meth:`SalesforceClient.rest`.
"""

from __future__ import annotations

import logging
import random
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import requests
from requests.adapters import HTTPAdapter
from simple_salesforce.api import Salesforce
from simple_salesforce.exceptions import SalesforceError
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from qbsf_pipeline.api_meter import ApiMeter
from qbsf_pipeline.errors import (
    AccessRefused,
    ConfigurationError,
    OutcomeUnknown,
    RecordRefused,
    ServiceError,
    ServiceUnavailable,
)
from qbsf_pipeline.money import parse_json, to_json
from qbsf_pipeline.salesforce.answers import (
    SYSTEM,
    Fault,
    Meaning,
    broken_answer,
    faults_in,
    meaning_of,
    row_error,
)
from qbsf_pipeline.salesforce.login import CachedToken, LoginAnswer, TokenCache, instance_url, login, token_name
from qbsf_pipeline.salesforce.objects import ObjectDescription, datetime_literal, quoted_list, to_18
from qbsf_pipeline.settings import Environment, is_loopback

logger = logging.getLogger(__name__)

T = TypeVar("T")

TIMEOUTS = (10.0, 120.0)  # connect, read: seconds

_MOST_TRIES = 5
_LONGEST_WAIT = 30.0
_QUERIES_PER_COMPOSITE = 5
_CALLS_PER_COMPOSITE = 25
_IDS_PER_RETRIEVE = 2000
_IDS_PER_QUERY = 200
_RECORDS_PER_UPDATE = 200
_NO_SUCH_CALL = (404, 405, 501)
# A description may be refused like this for an object that the org lacks or hides.
_NO_SUCH_OBJECT = {"NOT_FOUND", "INVALID_TYPE"}
# What is wrong with a whole request, whichever record is in it: cutting it in halves does not help.
_WRONG_FOR_ALL = {"INVALID_FIELD", "INVALID_TYPE", "INVALID_FIELD_FOR_INSERT_UPDATE"}
_ID = re.compile(r"[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?")
# Where a record that is created stands among those that were given; not sent.
_PLACE = "place of the record"
_HEADERS = {"X-PrettyPrint": "0", "Sforce-Call-Options": "client=qbsf"}
# An alert of the org's duplicate rules shall not keep an id from being written back; a rule that blocks still does.
_SAVE_HEADERS = {"Sforce-Duplicate-Rule-Header": "allowSave=true", "Sforce-Mru": "updateMru=false"}


@dataclass(frozen=True)
class Query:
    """A SOQL query; ``include_deleted`` also finds what is in the recycle bin, and losers of merges."""

    soql: str
    include_deleted: bool = False


@dataclass(frozen=True)
class QueryAnswer:
    """What a query of several gave.

    Attributes:
        records: all records, with every page followed; empty when there is an error.
        error: why there are none.
        total_size: what Salesforce counted; for ``SELECT COUNT()`` the count.
        asked_at: Salesforce's clock when it began to answer (UTC, whole seconds).
    """

    records: list[dict[str, Any]]
    error: ServiceError | None = None
    total_size: int = 0
    asked_at: datetime | None = None


@dataclass(frozen=True)
class SaveResult:
    """What became of one record of an update or a create.

    Attributes:
        id: the record's id as it was given; of a create the record's new id, empty where there is none.
        success: Salesforce holds the new values.
        code, message, fields: Salesforce's own words when it does not.
        error: the same as an exception, whose class says what may be done next; ``None`` on success.
    """

    id: str
    success: bool
    code: str = ""
    message: str = ""
    fields: tuple[str, ...] = ()
    error: ServiceError | None = None


@dataclass(frozen=True)
class ApiUsage:
    """Calls to the org in the last 24 hours, by all its integrations together, and its limit. Lags a little."""

    used: int
    total: int


@dataclass(frozen=True)
class Session:
    """What a login led to. The ids have 18 characters; ``None`` where the token's answer does not name them."""

    instance_url: str
    organization_id: str | None
    user_id: str | None


@dataclass(frozen=True)
class _Answer:
    body: Any
    asked_at: datetime | None


@dataclass
class _Chunk:
    rows: list[dict[str, Any]]
    lock_tries: int = 0


class _NoSuchCall(Exception):
    """The server does not know this kind of call at all."""


class SalesforceClient:
    """Reads and writes one org.

    Threads may share a client: there is one token for all, refreshed by one of them.

    Args:
        environment: the ``SALESFORCE_*`` variables.
        tokens: where access tokens are kept between processes.
        meter: counts every request.
        sleep: waits between tries (seconds).

    Every method raises:
        ServiceUnavailable: down, throttled or unreachable, and nothing was changed.
        AccessRefused: the login, a permission or the set-up needs a person.
        RecordRefused: Salesforce refuses this query or record for good.
        OutcomeUnknown: the answer to a write was lost.
        ConfigurationError: a variable is missing or does not fit.
    """

    def __init__(
        self,
        environment: Environment,
        tokens: TokenCache,
        meter: ApiMeter,
        *,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._environment = environment
        self._tokens = tokens
        self._sleep = sleep
        self._token_name = token_name(environment)
        self._version = environment.salesforce_api_version
        self._lock = threading.Lock()
        self._connection: Salesforce | None = None
        self._instance_url = ""
        self._organization_id: str | None = None
        self._server_time: datetime | None = None
        self._usage: ApiUsage | None = None
        self._knows_composite = True
        self._knows_retrieve = True
        self._last = threading.local()
        self._session = requests.Session()
        self._session.headers["User-Agent"] = "qbsf"
        self._session.hooks["response"].append(self._remember)
        transport = _Transport(meter)
        self._session.mount("https://", transport)
        self._session.mount("http://", transport)

    @property
    def instance_url(self) -> str:
        """Scheme and host of the org, as its token answer names it; logs in when nothing is known yet."""
        if not self._instance_url:
            self._connect(frozenset())
        return self._instance_url

    @property
    def organization_id(self) -> str:
        """The 18-character id of the org (``00D...``)."""
        if self._organization_id is None:
            records = self.query("SELECT Id FROM Organization")
            if not records or not records[0].get("Id"):
                raise AccessRefused(SYSTEM, "no_organization", "the integration user cannot read the object Organization")
            self._organization_id = to_18(str(records[0]["Id"]))
        return self._organization_id

    @property
    def server_time(self) -> datetime | None:
        """Salesforce's clock in its newest answer (UTC)."""
        return self._server_time

    @property
    def usage(self) -> ApiUsage | None:
        """What Salesforce last said of the org's daily calls."""
        return self._usage

    @property
    def api_version(self) -> str:
        """The version of the API in use, such as ``66.0``."""
        return self._version

    def log_in(self) -> Session:
        """Log in anew, whatever token is kept, so that it is known whether the credentials still count."""
        with self._lock:
            answer = self._login_answer()
            assert answer.token is not None
            self._tokens.store(self._token_name, answer.token)
            self._use(answer.token)
        ids = (answer.organization_id, answer.user_id)
        return Session(self._instance_url, *(to_18(found) if found else None for found in ids))

    def versions(self) -> list[str]:
        """The versions of the API that the org has (``66.0``), as it lists them. Salesforce does not count this call."""
        base = self.instance_url
        try:
            response = self._session.get(f"{base}/services/data/", allow_redirects=False)
        except requests.RequestException as error:
            raise _broken(error, write=False, replayable=True).error from error
        try:
            listed = parse_json(response.content)
        except ValueError:
            listed = response.text
        if response.status_code != 200:
            raise meaning_of(response.status_code, listed, write=False, replayable=True).error
        if not isinstance(listed, list):
            raise ServiceUnavailable(SYSTEM, "unreadable_answer", "the list of versions is not a list")
        return [str(one["version"]) for one in listed if isinstance(one, dict) and one.get("version")]

    def record_link(self, object_name: str, record_id: str) -> str:
        """A link that opens a record in Salesforce."""
        return f"{self.instance_url}/lightning/r/{object_name}/{record_id}/view"

    def rest(
        self,
        path: str,
        method: str = "GET",
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        replayable: bool | None = None,
    ) -> Any:
        """One REST call below ``/services/data/vNN.0/``, with refresh and retries.

        Args:
            path: such as ``limits``, without a leading slash.
            method: HTTP method.
            params: query parameters.
            body: sent as JSON; Decimal, date and aware datetime are allowed in it.
            headers: further headers; kept when the call is repeated.
            replayable: the call may be repeated when its answer is lost; by default all but POST.

        Returns:
            The parsed body (numbers with a fraction are Decimal), ``None`` when it is empty.
        """
        return self._call(path, method, params=params, body=body, headers=headers, replayable=replayable).body

    def query(self, soql: str, include_deleted: bool = False) -> list[dict[str, Any]]:
        """All records of a SOQL query, with every page of it and of its child queries."""
        answer = self._query(Query(soql, include_deleted))
        return answer.records

    def query_together(self, queries: Sequence[Query]) -> list[QueryAnswer]:
        """Several queries with as few calls as possible, answered in their order.

        At most five go into one composite call; a server without composite calls gets them one by one. An error of one
        query is in its answer and does not hurt the others.

        Raises:
            ServiceError: a whole call failed.
        """
        answers: list[QueryAnswer] = []
        for group in _groups(queries, _QUERIES_PER_COMPOSITE):
            if len(group) > 1 and self._knows_composite:
                try:
                    answers += self._query_composite(group)
                    continue
                except _NoSuchCall:
                    logger.info("%s has no composite calls: queries go one by one", self._instance_url)
                    self._knows_composite = False
            answers += [self._answered(query) for query in group]
        return answers

    def describe(self, objects: Sequence[str]) -> dict[str, ObjectDescription | None]:
        """What this user may see of each object; ``None`` for an object that the org lacks or hides."""
        answers = self.describe_whole(objects)
        return {name: None if found is None else ObjectDescription.from_answer(found) for name, found in answers.items()}

    def describe_whole(self, objects: Sequence[str]) -> dict[str, Mapping[str, Any] | None]:
        """The same as Salesforce words it: types, lengths, external ids."""
        described: dict[str, Mapping[str, Any] | None] = {}
        for group in _groups(objects, _CALLS_PER_COMPOSITE):
            if len(group) > 1 and self._knows_composite:
                try:
                    described |= self._describe_composite(group)
                    continue
                except _NoSuchCall:
                    logger.info("%s has no composite calls: objects are described one by one", self._instance_url)
                    self._knows_composite = False
            for name in group:
                described[name] = self._describe_one(name)
        return described

    def retrieve(self, object_name: str, ids: Sequence[str], fields: Sequence[str]) -> dict[str, dict[str, Any] | None]:
        """Records by id: id as given -> record, or ``None`` where there is none (deleted, or hidden)."""
        wanted = list(dict.fromkeys(["Id", *fields]))
        found: dict[str, dict[str, Any]] = {}
        for group in _groups(list(dict.fromkeys(to_18(record_id) for record_id in ids)), _IDS_PER_RETRIEVE):
            for record in self._retrieve(object_name, group, wanted):
                if isinstance(record, dict) and record.get("Id"):
                    found[to_18(str(record["Id"]))] = record
        return {record_id: found.get(to_18(record_id)) for record_id in ids}

    def update(
        self, object_name: str, records: Sequence[Mapping[str, Any]], *, batch: int = _RECORDS_PER_UPDATE
    ) -> list[SaveResult]:
        """Update records by id, in the given order, at most ``batch`` (rules: push.salesforce_batch) in a call.

        A locked row is tried again, a request that is too much for the org's triggers is cut in halves, and a call whose
        answer was lost is repeated: an update by id may be carried out twice.

        Args:
            object_name: API name.
            records: each with ``Id`` (or ``id``) and the fields to write; ``None`` empties a field.
            batch: 1 to 200.

        Returns:
            One result for each record, in order. A failure of a later call is told in the results of its records, so
            that what earlier calls did is not lost.

        Raises:
            ValueError: a record without id, or two with the same id.
            ServiceError: the first call failed as a whole.
        """
        rows = [_row_to_save(object_name, record) for record in records]
        keys = [to_18(str(row["id"])) for row in rows]
        if len(set(keys)) != len(keys):
            twice = sorted({key for key in keys if keys.count(key) > 1})
            raise ValueError(f"records of {object_name} given twice in one update: {', '.join(twice[:5])}")
        results: dict[str, SaveResult] = {}
        chunks = deque(_Chunk(list(group)) for group in _groups(rows, max(1, min(batch, _RECORDS_PER_UPDATE))))
        while chunks:
            chunk = chunks.popleft()
            try:
                again = self._save(object_name, chunk, results)
            except RecordRefused as error:
                again = _halves(chunk) if error.code not in _WRONG_FOR_ALL else []
                if not again:
                    _fail(chunk.rows, error, results)
            except ServiceError as error:
                if not results:
                    raise
                logger.warning("update of %s stopped after %d records: %s", object_name, len(results), error)
                _fail(chunk.rows, error, results)
                unsent = ServiceUnavailable(SYSTEM, error.code, f"not sent, because the call before failed: {error.message}")
                for rest in chunks:
                    _fail(rest.rows, unsent, results)
                break
            chunks.extendleft(reversed(again))
        return [results[key] for key in keys]

    def create(
        self,
        object_name: str,
        records: Sequence[Mapping[str, Any]],
        *,
        same_by: Sequence[str],
        batch: int = _RECORDS_PER_UPDATE,
    ) -> list[SaveResult]:
        """Create records that are not there yet, at most ``batch`` in a call.

        Salesforce knows no request ids: a create that is repeated is a second record. So records that have the same values
        in ``same_by`` are looked for first, and count as created; a create whose answer is lost is not repeated, but looked
        for once more. What is then not found stays unknown, because Salesforce may still be at work on it: the caller
        creates it again later, with the same values.

        Args:
            object_name: API name.
            records: API name of the field -> value, without an id.
            same_by: fields whose values together make it the same record (``WhatId``, ``Subject``). The first is what the
                question asks by: a lookup, given in every record. Texts are compared whatever their case and blanks.
            batch: 1 to 200.

        Returns:
            One result for each record, in order. A failure of a later call is told in the results of its records.

        Raises:
            ValueError: a record with an id or without the first field, or two that are the same.
            ServiceError: nothing could be asked, or the first call failed and created nothing.
        """
        wanted = {place: _identity(record, same_by) for place, record in enumerate(records)}
        if any(record.get("Id") or record.get("id") for record in records):
            raise ValueError(f"a record of {object_name} that is to be created has no id yet")
        if not all(record.get(same_by[0]) for record in records):
            raise ValueError(f"every record of {object_name} needs {same_by[0]}: it is looked for by that")
        if len(set(wanted.values())) != len(wanted):
            raise ValueError(f"records of {object_name} given twice in one create: the same {', '.join(same_by)}")
        results = self._found(object_name, wanted, same_by)
        missing = [place for place in wanted if place not in results]
        chunks = deque(
            _Chunk([_row_to_create(object_name, place, records[place]) for place in group])
            for group in _groups(missing, max(1, min(batch, _RECORDS_PER_UPDATE)))
        )
        while chunks:
            chunk = chunks.popleft()
            again: list[_Chunk] = []
            try:
                again = self._insert(object_name, chunk, results)
            except RecordRefused as error:
                again = _halves(chunk) if error.code not in _WRONG_FOR_ALL else []
                if not again:
                    results |= {row[_PLACE]: _failed({"id": ""}, error) for row in chunk.rows}
            except ServiceError as error:
                if not results and not isinstance(error, OutcomeUnknown):
                    raise
                logger.warning("create of %s stopped after %d records: %s", object_name, len(results), error)
                results |= {row[_PLACE]: _failed({"id": ""}, error) for row in chunk.rows}
                unsent = ServiceUnavailable(SYSTEM, error.code, f"not sent, because the call before failed: {error.message}")
                results |= {row[_PLACE]: _failed({"id": ""}, unsent) for rest in chunks for row in rest.rows}
                chunks.clear()
            chunks.extendleft(reversed(again))
        unknown = {place: wanted[place] for place, result in results.items() if isinstance(result.error, OutcomeUnknown)}
        if unknown:
            try:
                results |= self._found(object_name, unknown, same_by)
            except ServiceError as error:
                logger.warning("what became of %d records of %s cannot be asked now: %s", len(unknown), object_name, error)
        return [results[place] for place in wanted]

    def _found(self, object_name: str, wanted: Mapping[int, tuple[str, ...]], same_by: Sequence[str]) -> dict[int, SaveResult]:
        """Those of the wanted records that are there, by place; of several that are the same the one with the lowest id."""
        place_of = {identity: place for place, identity in wanted.items()}
        found: dict[int, SaveResult] = {}
        for group in _groups(sorted({identity[0] for identity in place_of}), _IDS_PER_QUERY):
            named = ", ".join(dict.fromkeys(("Id", *same_by)))
            soql = f"SELECT {named} FROM {object_name} WHERE {same_by[0]} IN {quoted_list(group)} ORDER BY Id"
            for record in self.query(soql):
                place = place_of.get(_identity(record, same_by))
                if place is not None:
                    found.setdefault(place, SaveResult(to_18(str(record["Id"])), True))
        return found

    def _insert(self, object_name: str, chunk: _Chunk, results: dict[int, SaveResult]) -> list[_Chunk]:
        """Send one chunk of new records; results of those that are settled, and the chunks that are to be sent again."""
        rows = [{name: value for name, value in row.items() if name != _PLACE} for row in chunk.rows]
        answer = self.rest("composite/sobjects", "POST", body={"allOrNone": False, "records": rows}, headers=_SAVE_HEADERS)
        # Nothing but their order tells which result is whose.
        found = answer if isinstance(answer, list) and len(answer) == len(rows) else [None] * len(rows)
        locked: list[dict[str, Any]] = []
        too_much: list[dict[str, Any]] = []
        for told, row in zip(found, chunk.rows, strict=True):
            if not isinstance(told, dict) or (told.get("success") is True and not told.get("id")):
                lost = OutcomeUnknown(SYSTEM, "no_result", f"Salesforce told no result for this record of {object_name}")
                results[row[_PLACE]] = _failed({"id": ""}, lost)
            elif told.get("success") is True:
                results[row[_PLACE]] = SaveResult(to_18(str(told["id"])), True)
            else:
                faults = faults_in(told.get("errors") or [])
                if any(fault.is_governor_limit for fault in faults) and len(chunk.rows) > 1:
                    too_much.append(row)
                elif any(fault.is_lock for fault in faults) and chunk.lock_tries + 1 < _MOST_TRIES:
                    locked.append(row)
                else:
                    results[row[_PLACE]] = _failed({"id": ""}, row_error(faults), faults)
        return self._again(chunk, locked, too_much)

    def _save(self, object_name: str, chunk: _Chunk, results: dict[str, SaveResult]) -> list[_Chunk]:
        """Send one chunk; results of the rows that are settled, and the chunks that are to be sent again."""
        body = {"allOrNone": False, "records": chunk.rows}
        answer = self.rest("composite/sobjects", "PATCH", body=body, headers=_SAVE_HEADERS)
        found = answer if isinstance(answer, list) else []
        by_id = {to_18(str(row["id"])): row for row in found if isinstance(row, dict) and row.get("id")}
        locked: list[dict[str, Any]] = []
        too_much: list[dict[str, Any]] = []
        for place, row in enumerate(chunk.rows):
            key = to_18(str(row["id"]))
            told = found[place] if len(found) == len(chunk.rows) else by_id.get(key)
            if isinstance(told, dict) and told.get("id") and to_18(str(told["id"])) != key:
                told = by_id.get(key)
            if not isinstance(told, dict):
                lost = OutcomeUnknown(SYSTEM, "no_result", f"Salesforce told no result for this record of {object_name}")
                results[key] = _failed(row, lost)
            elif told.get("success") is True:
                results[key] = SaveResult(str(row["id"]), True)
            else:
                faults = faults_in(told.get("errors") or [])
                if any(fault.is_governor_limit for fault in faults) and len(chunk.rows) > 1:
                    too_much.append(row)
                elif any(fault.is_lock for fault in faults) and chunk.lock_tries + 1 < _MOST_TRIES:
                    locked.append(row)
                else:
                    results[key] = _failed(row, row_error(faults), faults)
        return self._again(chunk, locked, too_much)

    def _again(self, chunk: _Chunk, locked: list[dict[str, Any]], too_much: list[dict[str, Any]]) -> list[_Chunk]:
        """The chunks in which rows that were not written are sent again, after a pause where some were locked."""
        again: list[_Chunk] = []
        if locked:
            self._pause(chunk.lock_tries + 1)
            again.append(_Chunk(locked, chunk.lock_tries + 1))
        if too_much:
            fewer = _Chunk(too_much, chunk.lock_tries)
            again += [fewer] if len(too_much) < len(chunk.rows) else _halves(fewer)
        return again

    def _retrieve(self, object_name: str, ids: Sequence[str], fields: Sequence[str]) -> Iterable[Any]:
        if self._knows_retrieve:
            try:
                body = {"ids": list(ids), "fields": list(fields)}
                answer = self._maybe(f"composite/sobjects/{quote(object_name)}", "POST", body=body).body
                return answer if isinstance(answer, list) else []
            except _NoSuchCall:
                # An object that does not exist is told in the same way: the query below says so clearly.
                logger.info("%s does not retrieve %s by id: it is queried", self._instance_url, object_name)
                self._knows_retrieve = False
        records: list[dict[str, Any]] = []
        for group in _groups(ids, _IDS_PER_QUERY):
            records += self.query(f"SELECT {', '.join(fields)} FROM {object_name} WHERE Id IN {quoted_list(group)}")
        return records

    def _query(self, query: Query) -> QueryAnswer:
        for last_try in (False, True):
            page = self._call("queryAll/" if query.include_deleted else "query/", "GET", params={"q": query.soql})
            try:
                return self._whole(page)
            except RecordRefused as error:
                if error.code != "INVALID_QUERY_LOCATOR" or last_try:
                    raise
                logger.info("a query's cursor is gone: the query starts again")
        raise AssertionError("unreachable")

    def _answered(self, query: Query) -> QueryAnswer:
        try:
            return self._query(query)
        except ServiceError as error:
            return QueryAnswer([], error)

    def _query_composite(self, queries: Sequence[Query]) -> list[QueryAnswer]:
        base = f"/services/data/v{self._version}/"
        urls = [f"{base}{'queryAll' if q.include_deleted else 'query'}?q={quote(q.soql, safe='')}" for q in queries]
        subanswers, asked_at = self._composite(urls)
        answers = []
        for query, (status, body) in zip(queries, subanswers, strict=True):
            if 200 <= status < 300 and isinstance(body, dict):
                try:
                    answers.append(self._whole(_Answer(body, asked_at)))
                except RecordRefused as error:
                    restart = error.code == "INVALID_QUERY_LOCATOR"
                    answers.append(self._answered(query) if restart else QueryAnswer([], error))
                except ServiceError as error:
                    answers.append(QueryAnswer([], error))
                continue
            meaning = meaning_of(status, body, write=False, replayable=True)
            retried = meaning.again or status in _NO_SUCH_CALL or isinstance(meaning.error, AccessRefused)
            answers.append(self._answered(query) if retried else QueryAnswer([], meaning.error))
        return answers

    def _describe_composite(self, names: Sequence[str]) -> dict[str, Mapping[str, Any] | None]:
        base = f"/services/data/v{self._version}/"
        subanswers, _ = self._composite([f"{base}sobjects/{quote(name)}/describe" for name in names])
        described: dict[str, Mapping[str, Any] | None] = {}
        for name, (status, body) in zip(names, subanswers, strict=True):
            if 200 <= status < 300 and isinstance(body, dict) and body.get("fields") is not None:
                described[name] = body
        absent_or_alone: dict[str, Mapping[str, Any] | None] = {}
        for name, (_, body) in zip(names, subanswers, strict=True):
            # Where others were described, an object that is not found is lacking. Else the composite call itself may be unable to
            # describe: the object is asked for alone.
            if name not in described:
                codes = {fault.code for fault in faults_in(body)}
                lacking = bool(described) and bool(codes) and codes <= _NO_SUCH_OBJECT
                absent_or_alone[name] = None if lacking else self._describe_one(name)
        return described | absent_or_alone

    def _describe_one(self, name: str) -> Mapping[str, Any] | None:
        try:
            answer = self.rest(f"sobjects/{quote(name)}/describe")
        except RecordRefused as error:
            if error.code in _NO_SUCH_OBJECT or error.code == "http_404":
                return None
            raise
        if not isinstance(answer, dict):
            raise ServiceUnavailable(SYSTEM, "no_description", f"the description of {name} is not an object")
        return answer

    def _composite(self, urls: Sequence[str]) -> tuple[list[tuple[int, Any]], datetime | None]:
        """GET calls in one: status and body of each, in order.

        Raises:
            _NoSuchCall: the server does not know composite calls.
        """
        names = [f"call{place}" for place in range(len(urls))]
        calls = [{"method": "GET", "url": url, "referenceId": name} for url, name in zip(urls, names, strict=True)]
        answer = self._maybe("composite", "POST", body={"allOrNone": False, "compositeRequest": calls})
        told = answer.body.get("compositeResponse") if isinstance(answer.body, dict) else None
        if not isinstance(told, list):
            raise _NoSuchCall
        by_name = {str(part.get("referenceId")): part for part in told if isinstance(part, dict)}
        if not set(names) <= set(by_name):
            raise ServiceUnavailable(SYSTEM, "incomplete_answer", "a composite answer lacks some of its parts")
        return [(_status(by_name[name]), by_name[name].get("body")) for name in names], answer.asked_at

    def _maybe(self, path: str, method: str, *, body: Any) -> _Answer:
        """A reading POST that an older or smaller server may not know."""
        return self._call(path, method, body=body, replayable=True, write=False, unknown=_NO_SUCH_CALL)

    def _whole(self, page: _Answer) -> QueryAnswer:
        """A query's answer with all further pages, and those of child queries."""
        records = list(self._records(page.body))
        for record in records:
            self._complete_children(record)
        total = page.body.get("totalSize") if isinstance(page.body, dict) else None
        return QueryAnswer(records, None, total if isinstance(total, int) else len(records), page.asked_at)

    def _records(self, first: Any) -> Iterator[dict[str, Any]]:
        page, seen = first, set[str]()
        while True:
            if not isinstance(page, dict) or not isinstance(page.get("records"), list):
                raise ServiceUnavailable(SYSTEM, "unreadable_answer", "a query was answered without records")
            yield from page["records"]
            if page.get("done") is not False:
                return
            following = page.get("nextRecordsUrl")
            if not isinstance(following, str) or following in seen:
                raise ServiceUnavailable(SYSTEM, "incomplete_answer", "a query's answer goes on, but does not say where")
            seen.add(following)
            page = self.rest(_below_version(following))

    def _complete_children(self, record: dict[str, Any]) -> None:
        for name, value in record.items():
            if isinstance(value, dict) and isinstance(value.get("records"), list):
                children = list(self._records(value))
                for child in children:
                    self._complete_children(child)
                record[name] = {"totalSize": len(children), "done": True, "records": children}

    def _call(
        self,
        path: str,
        method: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        replayable: bool | None = None,
        write: bool | None = None,
        unknown: tuple[int, ...] = (),
    ) -> _Answer:
        write = method != "GET" if write is None else write
        replayable = method != "POST" if replayable is None else replayable
        data = None if body is None else to_json(_wire(body)).encode("utf-8")
        refused: set[str] = set()
        tries = 0
        while True:
            connection, is_fresh = self._connect(frozenset(refused))
            self._last.response = None
            try:
                parsed = connection.restful(
                    path,
                    params=dict(params) if params else None,
                    method=method,
                    headers={**_HEADERS, **(headers or {})},
                    data=data,
                    allow_redirects=False,
                )
                return _Answer(parsed, self._asked_at())
            except SalesforceError as error:
                status, content = int(error.status), error.content
                if status in unknown and not _is_about_the_session(status, content):
                    raise _NoSuchCall from error
                if _is_about_the_session(status, content):
                    if is_fresh:
                        raise meaning_of(401, _session_fault(content), write=False, replayable=False).error from error
                    refused.add(str(connection.session_id))
                    continue
                meaning = meaning_of(status, content, write=write, replayable=replayable)
            except requests.RequestException as error:
                meaning = _broken(error, write=write, replayable=replayable)
            except (TypeError, ValueError):
                # simple-salesforce meets a body that is JSON, but neither an object nor a list; or no JSON.
                meaning = broken_answer("unreadable_answer", "unreadable body", write=write, replayable=replayable)
            tries += 1
            self._wait_or_raise(meaning, tries, f"{method} {path.partition('?')[0]}")

    def _wait_or_raise(self, meaning: Meaning, tries: int, what: str) -> None:
        asked_to_wait = _retry_after(getattr(self._last, "response", None))
        if not meaning.again or tries >= _MOST_TRIES or asked_to_wait > _LONGEST_WAIT:
            raise meaning.error
        logger.info("Salesforce %s: try %d failed (%s), trying again", what, tries, meaning.error.code)
        self._pause(tries, asked_to_wait)

    def _pause(self, tries: int, at_least: float = 0.0) -> None:
        # Full jitter: several waiting clients do not come back together.
        self._sleep(max(at_least, random.uniform(0, min(_LONGEST_WAIT, 2.0**tries))))

    def _connect(self, refused: frozenset[str]) -> tuple[Salesforce, bool]:
        """A connection whose token is none of ``refused``, and whether this call logged in for it."""
        with self._lock:
            if self._connection is not None and self._connection.session_id not in refused:
                return self._connection, False
            cached = self._tokens.load(self._token_name)
            if cached is not None and cached.access_token not in refused:
                return self._use(cached), False
            token = self._login_answer().token
            assert token is not None
            self._tokens.store(self._token_name, token)
            return self._use(token), True

    def _login_answer(self) -> LoginAnswer:
        """An answer with a token."""
        tries = 0
        while True:
            self._last.response = None
            try:
                answer = login(self._environment, self._session)
                if answer.token is not None:
                    self._organization_id = answer.organization_id or self._organization_id
                    return answer
                meaning = answer.failure
            except requests.RequestException as error:
                meaning = _broken(error, write=False, replayable=True)
            if meaning is None:
                raise AccessRefused(SYSTEM, "no_token", "the token endpoint answered without an access token")
            tries += 1
            self._wait_or_raise(meaning, tries, "login")

    def _use(self, token: CachedToken) -> Salesforce:
        base = instance_url(token.instance_url)
        connection = Salesforce(
            session_id=token.access_token,
            instance_url=base,
            session=self._session,
            version=self._version,
            parse_float=Decimal,
            object_pairs_hook=dict,
        )
        # The library writes https:// before every host; the sandbox on a loopback host speaks plain http.
        connection.base_url = f"{base}/services/data/v{self._version}/"
        self._connection, self._instance_url = connection, base
        return connection

    def _remember(self, response: requests.Response, *_: object, **__: object) -> None:
        self._last.response = response
        self._server_time = _date_of(response) or self._server_time
        told = re.search(r"(?<![\w-])api-usage=(\d+)/(\d+)", response.headers.get("Sforce-Limit-Info", ""))
        if told:
            self._usage = ApiUsage(int(told[1]), int(told[2]))

    def _asked_at(self) -> datetime | None:
        response: requests.Response | None = self._last.response
        stamped = _date_of(response) if response is not None else None
        if response is None or stamped is None:
            return None
        return (stamped - response.elapsed).replace(microsecond=0)


class _Transport(HTTPAdapter):
    """Sets timeouts, counts calls, and refuses to send anything unencrypted to another machine."""

    def __init__(self, meter: ApiMeter) -> None:
        super().__init__(max_retries=0)
        self._meter = meter

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: float | tuple[float, float] | tuple[float, None] | None = None,
        verify: bool | str = True,
        cert: bytes | str | tuple[bytes | str, bytes | str] | None = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        parts = urlsplit(request.url or "")
        at_home = is_loopback(parts.hostname or "")
        if parts.scheme != "https" and not at_home:
            raise ConfigurationError([f"Salesforce at {parts.hostname}: plain http:// is for loopback hosts only"])
        kind = _kind_of(request.method or "GET", parts.path)
        self._meter.count(SYSTEM, kind, metered=kind not in ("login", "versions"))
        return super().send(
            request,
            stream=stream,
            timeout=TIMEOUTS if timeout is None else timeout,
            verify=verify,
            cert=cert,
            proxies={} if at_home else proxies,
        )


def _kind_of(method: str, path: str) -> str:
    if path.startswith("/services/oauth2/"):
        return "login"
    below = re.sub(r"^/services/data(/v\d+\.\d+)?", "", path).strip("/")
    if not below:
        return "versions"
    if below.partition("/")[0] in ("query", "queryAll"):
        return "query"
    if below == "composite":
        return "composite"
    if below.startswith("composite/sobjects"):
        if method == "PATCH":
            return "collections_update"
        return "collections_create" if method == "POST" and below == "composite/sobjects" else "collections_retrieve"
    if below.startswith("sobjects/"):
        return "describe" if below.endswith("/describe") else "record"
    return "limits" if below == "limits" else "other"


def _broken(error: requests.RequestException, *, write: bool, replayable: bool) -> Meaning:
    text = type(error).__name__
    if isinstance(error, requests.exceptions.SSLError):
        return Meaning(ServiceUnavailable(SYSTEM, "tls", "no encrypted connection: the certificate was not accepted"))
    if isinstance(error, requests.exceptions.ConnectTimeout | requests.exceptions.ProxyError) or _is_unsent(error):
        return Meaning(ServiceUnavailable(SYSTEM, "connection", f"Salesforce cannot be reached ({text})"), again=True)
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidHeader):
        return Meaning(AccessRefused(SYSTEM, "address", f"the address or token cannot be used ({text})"))
    code = "timeout" if isinstance(error, requests.exceptions.Timeout) else "connection"
    if isinstance(error, requests.exceptions.JSONDecodeError):
        code = "unreadable_answer"
    return broken_answer(code, f"the answer was lost ({text})", write=write, replayable=replayable)


def _is_unsent(error: requests.RequestException) -> bool:
    """No connection came about, so that nothing was sent."""
    reason = getattr(error.args[0], "reason", error.args[0]) if error.args else None
    return isinstance(reason, NewConnectionError | NameResolutionError | ConnectTimeoutError)


def _is_about_the_session(status: int, content: Any) -> bool:
    return status == 401 or any(fault.code == "INVALID_SESSION_ID" for fault in faults_in(content))


def _session_fault(content: Any) -> list[dict[str, str]]:
    faults = faults_in(content)
    message = faults[0].message if faults and faults[0].message else "Session expired or invalid"
    return [{"errorCode": "INVALID_SESSION_ID", "message": message}]


def _retry_after(response: requests.Response | None) -> float:
    told = response.headers.get("Retry-After", "") if response is not None else ""
    return float(told) if told.isdigit() else 0.0


def _date_of(response: requests.Response) -> datetime | None:
    try:
        return parsedate_to_datetime(response.headers["Date"]).astimezone(UTC)
    except (KeyError, TypeError, ValueError):
        return None


def _below_version(url: str) -> str:
    """The part of a ``nextRecordsUrl`` that follows the API's base."""
    match = re.search(r"/services/data/v\d+\.\d+/(.+)$", url)
    return match[1] if match else "query/" + url.rstrip("/").rpartition("/")[2]


def _status(part: Mapping[str, Any]) -> int:
    status = part.get("httpStatusCode")
    return status if isinstance(status, int) else 500


def _groups(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _row_to_save(object_name: str, record: Mapping[str, Any]) -> dict[str, Any]:
    record_id = record.get("Id") or record.get("id")
    if not record_id:
        raise ValueError(f"a record of {object_name} without an id cannot be updated")
    fields = {name: value for name, value in record.items() if name not in ("Id", "id", "attributes")}
    return {"attributes": {"type": object_name}, "id": str(record_id), **fields}


def _row_to_create(object_name: str, place: int, record: Mapping[str, Any]) -> dict[str, Any]:
    fields = {name: value for name, value in record.items() if name not in ("Id", "id", "attributes")}
    return {_PLACE: place, "attributes": {"type": object_name}, **fields}


def _identity(record: Mapping[str, Any], same_by: Sequence[str]) -> tuple[str, ...]:
    """The values that make a record the same, so that what is answered can be compared with what was sent."""
    return tuple(_comparable(record.get(name)) for name in same_by)


def _comparable(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return datetime_literal(value)
    text = " ".join((value.isoformat() if isinstance(value, date) else str(value)).split())
    # Two ids may differ by the case of their letters alone; texts are the same whatever their case.
    return to_18(text) if _ID.fullmatch(text) else text.casefold()


def _halves(chunk: _Chunk) -> list[_Chunk]:
    middle = len(chunk.rows) // 2
    return [_Chunk(part, chunk.lock_tries) for part in (chunk.rows[:middle], chunk.rows[middle:])] if middle else []


def _fail(rows: Iterable[Mapping[str, Any]], error: ServiceError, results: dict[str, SaveResult]) -> None:
    for row in rows:
        results[to_18(str(row["id"]))] = _failed(row, error)


def _failed(row: Mapping[str, Any], error: ServiceError, faults: Sequence[Fault] = ()) -> SaveResult:
    fields = tuple(name for fault in faults for name in fault.fields)
    message = "; ".join(fault.message for fault in faults if fault.message) or error.message
    return SaveResult(str(row["id"]), False, error.code, message, fields, error)


def _wire(value: Any) -> Any:
    """Dates and instants as Salesforce takes them; everything else as it is."""
    if isinstance(value, datetime):
        return datetime_literal(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {key: _wire(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_wire(item) for item in value]
    return value
