"""The sandbox's Salesforce REST API over HTTP: paths, shapes and errors.

Belongs here: routing, paging, collections, composite, and every answer's envelope and headers. Does not belong here:
what a record may hold (records) or what a query means (soql).
"""

from __future__ import annotations

import gzip
import random
import re
import secrets
import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import simplejson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from qbsf_pipeline.sandbox.clock import Clock
from qbsf_pipeline.sandbox.salesforce import oauth
from qbsf_pipeline.sandbox.salesforce.records import (
    BEHAVIOUR,
    DELETED,
    HIDDEN,
    Org,
    SalesforceOptions,
    Saved,
    behave,
    enable,
    hide_field,
    hide_object,
    org_of,
    touch,
)
from qbsf_pipeline.sandbox.salesforce.schema import ApiError, SObjectType, to18
from qbsf_pipeline.sandbox.salesforce.soql import (
    AllFields,
    Path,
    Plan,
    Query,
    parse,
    wire_datetime,
)
from qbsf_pipeline.sandbox.store import Store

LOCATORS = "salesforce:locators"
MAX_URI = 16_384
DEFAULT_BATCH, SMALLEST_BATCH = 2_000, 200
MAX_COLLECTION, MAX_RETRIEVE, MAX_CHUNKS = 200, 2_000, 10
MAX_SUBREQUESTS, MAX_COMPOSITE_QUERIES = 25, 5
LOCATOR_LIFE = timedelta(days=2)
MAX_LOCATORS = 2_000
OLDEST_VERSION, NEWEST_VERSION = 31, 68
_METHODS = ["GET", "POST", "PATCH", "PUT", "DELETE", "HEAD"]
_URI_TOO_LONG = "<h1>Bad Message 414</h1><pre>reason: URI Too Long</pre>"
_HEADERS_TOO_LONG = "<h1>Bad Message 431</h1><pre>reason: Request Header Fields Too Large</pre>"
_MAINTENANCE = (
    "<html><head><title>Maintenance</title></head><body><h1>We are down for maintenance.</h1>"
    "<p>Sorry for the inconvenience. We'll be back shortly.</p></body></html>"
)


@dataclass(frozen=True)
class Call:
    """One request, or one subrequest of a composite. `raw` is None where `body` is given already."""

    method: str
    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    user_id: str = ""
    raw: bytes | None = None
    body: Any = None
    version: int = NEWEST_VERSION
    composite: bool = False

    @property
    def base(self) -> str:
        """`/services/data/vXX.0`."""
        return f"/services/data/v{self.version}.0"

    def json(self) -> Any:
        """The body as JSON, numbers with a point as Decimal.

        Raises:
            ApiError: `JSON_PARSER_ERROR`.
        """
        if self.raw is None:
            return self.body
        try:
            raw = self.raw
            if self.headers.get("content-encoding", "").lower() == "gzip":
                raw = gzip.decompress(raw)
            return simplejson.loads(raw.decode("utf-8"), use_decimal=True)
        except (ValueError, OSError, EOFError, zlib.error) as error:
            message = f"Unexpected character or end-of-input: {error}"
            raise ApiError("JSON_PARSER_ERROR", message, request_level=True) from error

    def json_object(self) -> dict[str, Any]:
        """The body, which has to be an object.

        Raises:
            ApiError: `JSON_PARSER_ERROR`.
        """
        found = self.json()
        if not isinstance(found, dict):
            raise ApiError("JSON_PARSER_ERROR", "The HTTP entity body is required to be a JSON object", request_level=True)
        return found


@dataclass(frozen=True)
class Answer:
    """Status, JSON body (or HTML text, or None for no body) and headers beside the usual ones."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    html: str | None = None


def _errors(*errors: ApiError) -> list[dict[str, Any]]:
    listed = []
    for error in errors:
        entry: dict[str, Any] = {"message": error.message, "errorCode": error.code}
        if error.fields:
            entry["fields"] = error.fields
        listed.append(entry)
    return listed


def _not_found(message: str = "The requested resource does not exist") -> ApiError:
    return ApiError("NOT_FOUND", message, status=404)


def _not_allowed(method: str, allowed: str) -> ApiError:
    return ApiError("METHOD_NOT_ALLOWED", f"HTTP Method '{method}' not allowed. Allowed are {allowed}", status=405)


# --- sObjects -------------------------------------------------------------------------------------------------------


def _record_json(org: Org, entity: SObjectType, doc: Mapping[str, Any], names: Sequence[str] | None, base: str) -> Any:
    """A record as a row resource shows it: the named fields (`Account.Name` too), or all of them."""
    selected = tuple(Path(tuple(name.split(".")), 0) for name in names) if names else (AllFields("all"),)
    query = Query(f"SELECT {', '.join(names or ['FIELDS(ALL)'])} FROM {entity.name}", selected, entity.name, 0, limit=200)
    plan = Plan(query, org, include_deleted=True)
    return plan.render(doc, base, random.Random(0), 1, lambda _which, _ids: "").record


def _live(org: Org, entity: SObjectType, raw_id: str) -> dict[str, Any]:
    try:
        record_id = to18(raw_id)
    except ApiError as error:
        message = f"Provided external ID field does not exist or is not accessible: {raw_id}"
        raise _not_found(message) from error
    return org.live(entity, record_id)


def _split_names(text: str | None) -> list[str] | None:
    return [name.strip() for name in text.split(",") if name.strip()] if text else None


def _http_date(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        found = parsedate_to_datetime(text)
    except ValueError as error:
        raise ApiError("INVALID_HTTP_HEADER", f"invalid date in a conditional header: {text}") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _modified_at(doc: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(str(doc["LastModifiedDate"] if doc.get("LastModifiedDate") else doc["SystemModstamp"]))


def _sobjects(org: Org, call: Call, parts: list[str]) -> Answer:
    if not parts:
        if call.method not in ("GET", "HEAD"):
            raise _not_allowed(call.method, "HEAD,GET")
        types = [entity.summary(call.base) for entity in org.schema.types.values()]
        return Answer(200, {"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": types})
    entity = org.schema.types.get(parts[0].lower())
    if entity is None:
        raise _not_found()
    rest = parts[1:]
    if not rest:
        if call.method == "POST":
            values = org.read_body(entity, call.json_object(), creating=True)
            saved = org.create(entity, values, call.user_id)
            location = {"Location": f"{call.base}/sobjects/{entity.name}/{saved.id}"}
            return Answer(201, {"id": saved.id, "success": True, "errors": []}, location)
        if call.method in ("GET", "HEAD"):
            return Answer(200, {"objectDescribe": entity.summary(call.base), "recentItems": []})
        raise _not_allowed(call.method, "HEAD,GET,POST")
    if rest == ["describe"]:
        if call.method not in ("GET", "HEAD"):
            raise _not_allowed(call.method, "HEAD,GET")
        return Answer(200, entity.describe(call.base))
    if rest == ["updated"]:
        return _updated(org, call, entity)
    if rest == ["deleted"]:
        return _deleted(org, call, entity)
    if len(rest) == 1:
        return _row(org, call, entity, rest[0])
    if len(rest) == 2:
        return _row_by_external_id(org, call, entity, rest[0], rest[1])
    raise _not_found()


def _row(org: Org, call: Call, entity: SObjectType, raw_id: str) -> Answer:
    if call.method in ("GET", "HEAD"):
        try:
            doc = _live(org, entity, raw_id)
        except ApiError as error:
            raise _not_found() if error.code == "ENTITY_IS_DELETED" else error from error
        since = _http_date(call.headers.get("if-modified-since"))
        if since is not None and _modified_at(doc) <= since:
            return Answer(304)
        return Answer(200, _record_json(org, entity, doc, _split_names(call.params.get("fields")), call.base))
    if call.method == "PATCH":
        values = org.read_body(entity, call.json_object(), creating=False)
        doc = _live(org, entity, raw_id)
        unchanged_since = _http_date(call.headers.get("if-unmodified-since"))
        if unchanged_since is not None and _modified_at(doc) > unchanged_since:
            message = "The entity has been modified since the time given in If-Unmodified-Since"
            raise ApiError("PRECONDITION_FAILED", message, status=412)
        org.update(entity, doc["Id"], values, call.user_id)
        return Answer(204)
    if call.method == "DELETE":
        org.delete(entity, _live(org, entity, raw_id)["Id"], call.user_id)
        return Answer(204)
    raise _not_allowed(call.method, "HEAD,GET,PATCH,DELETE")


def _row_by_external_id(org: Org, call: Call, entity: SObjectType, field_name: str, value: str) -> Answer:
    key = entity.find(field_name)
    if key is None or not (key.external_id or key.type == "id"):
        raise _not_found(f"Provided external ID field does not exist or is not accessible: {field_name}")
    if key.type == "id":
        return _row(org, call, entity, value)
    found = org.with_value(entity.name, key.name, value)
    if len(found) > 1:
        return Answer(300, [f"{call.base}/sobjects/{entity.name}/{record_id}" for record_id in found])
    if call.method in ("GET", "HEAD", "DELETE"):
        if not found:
            raise _not_found()
        return _row(org, call, entity, found[0])
    if call.method != "PATCH":
        raise _not_allowed(call.method, "HEAD,GET,PATCH,DELETE")
    body = call.json_object()
    if any(name.lower() == key.name.lower() for name in body):
        message = f"The {key.name} field should not be specified in the sobject data."
        raise ApiError("INVALID_FIELD", message, fields=[key.name])
    values = org.read_body(entity, body, creating=not found)
    if found:
        org.update(entity, found[0], values, call.user_id)
        if call.version <= 45:
            return Answer(204)
        return Answer(200, {"id": found[0], "success": True, "errors": [], "created": False})
    if call.params.get("updateOnly", "").lower() == "true":
        raise _not_found()
    saved = org.create(entity, {**values, key.name: value}, call.user_id)
    location = {"Location": f"{call.base}/sobjects/{entity.name}/{saved.id}"}
    return Answer(201, {"id": saved.id, "success": True, "errors": [], "created": True}, location)


def _window(org: Org, call: Call, oldest: timedelta) -> tuple[str, str, str]:
    """Start and end as documents keep instants, and `latestDateCovered`. Salesforce drops the seconds."""
    if call.method != "GET":
        raise _not_allowed(call.method, "GET")
    bounds = []
    for name in ("start", "end"):
        text = call.params.get(name, "")
        try:
            moment = datetime.fromisoformat(text)
        except ValueError as error:
            raise ApiError("INVALID_REPLICATION_DATE", f"{name} is no valid date: {text!r}") from error
        if moment.tzinfo is None:
            raise ApiError("INVALID_REPLICATION_DATE", f"{name} has no time zone: {text}")
        bounds.append(moment.astimezone(UTC).replace(second=0, microsecond=0))
    start, end = bounds
    if start < org.now() - oldest:
        raise ApiError(
            "INVALID_REPLICATION_DATE", f"startDate before org replication enabled date or over {oldest.days} days old"
        )
    if end - start < timedelta(minutes=1):
        raise ApiError("INVALID_REPLICATION_DATE", "startDate must be more than one minute before endDate")
    covered = min(end, org.now().replace(second=0, microsecond=0))
    return wire_datetime(start), wire_datetime(end), wire_datetime(covered)


def _updated(org: Org, call: Call, entity: SObjectType) -> Answer:
    start, end, covered = _window(org, call, timedelta(days=30))
    ids = [
        record_id
        for record_id, doc in org.documents(entity.name).items()
        if start <= doc["SystemModstamp"] < end and not doc.get("IsDeleted")
    ]
    return Answer(200, {"ids": ids, "latestDateCovered": covered})


def _deleted(org: Org, call: Call, entity: SObjectType) -> Answer:
    start, end, covered = _window(org, call, timedelta(days=15))
    records = [
        {"id": entry["id"], "deletedDate": entry["deletedDate"]}
        for entry in org.store.documents(DELETED).values()
        if entry["type"] == entity.name and start <= entry["deletedDate"] < end
    ]
    earliest = wire_datetime((org.now() - timedelta(days=15)).replace(second=0, microsecond=0))
    return Answer(200, {"deletedRecords": records, "earliestDateAvailable": earliest, "latestDateCovered": covered})


# --- query ----------------------------------------------------------------------------------------------------------


def _batch_size(call: Call) -> int:
    asked = re.search(r"batchSize\s*=\s*(\d+)", call.headers.get("sforce-query-options", ""), re.I)
    return min(DEFAULT_BATCH, max(SMALLEST_BATCH, int(asked.group(1)))) if asked else DEFAULT_BATCH


def _query(org: Org, call: Call, *, include_deleted: bool) -> Answer:
    if call.method not in ("GET", "HEAD"):
        raise _not_allowed(call.method, "HEAD,GET")
    text = call.params.get("q")
    if text is None:
        raise ApiError("MALFORMED_QUERY", "A query string has to be specified")
    plan = Plan(parse(text), org, include_deleted=include_deleted)
    org.queries += 1
    if plan.is_count:
        unlimited = plan.matching(None)
        return Answer(200, {"totalSize": len(unlimited), "done": True, "records": []})
    if plan.is_aggregate:
        rows = plan.aggregate()
        if len(rows) > DEFAULT_BATCH:
            raise ApiError("EXCEEDED_ID_LIMIT", "Aggregate query does not support queryMore()")
        return Answer(200, {"totalSize": len(rows), "done": True, "records": rows})
    ids = plan.matching(random.Random(f"{org.options.shuffle_seed}.{org.queries}"))
    locator = {"soql": text, "subquery": None, "ids": ids, "all_rows": include_deleted, "user_id": call.user_id}
    return Answer(200, _page(org, call, plan, locator, None, 0))


def _new_locator(org: Org, locator: dict[str, Any]) -> str:
    key = f"0r8{secrets.token_hex(6)}"
    locators = org.store.documents(LOCATORS)
    if len(locators) >= MAX_LOCATORS:
        oldest = sorted(locators, key=lambda name: str(locators[name]["created_at"]))
        for name in oldest[: MAX_LOCATORS // 2]:
            del locators[name]
    locators[key] = {**locator, "created_at": org.now().isoformat()}
    return key


def _page(org: Org, call: Call, plan: Plan, locator: dict[str, Any], key: str | None, start: int) -> dict[str, Any]:
    """One answer: records from `start` until the batch is full, children counted."""
    batch = _batch_size(call)
    ids: list[str] = locator["ids"]
    documents = org.documents(plan.type.name)
    shuffle = random.Random(f"{org.options.shuffle_seed}.{org.queries}.{start}")
    child_page = min(batch, org.options.child_page_size)

    def more(which: int, child_ids: list[str]) -> str:
        inner = {**locator, "ids": child_ids, "subquery": which}
        return f"{call.base}/query/{_new_locator(org, inner)}-{child_page}"

    records: list[dict[str, Any]] = []
    used, place = 0, start
    while place < len(ids) and used < batch:
        doc = documents.get(ids[place])  # a row deleted for good since the first page is simply not there any more
        if doc is not None:
            rendered = plan.render(doc, call.base, shuffle, child_page, more)
            records.append(rendered.record)
            used += rendered.rows
        place += 1
    answer: dict[str, Any] = {"totalSize": len(ids), "done": place >= len(ids)}
    if place < len(ids):
        key = key or _new_locator(org, locator)
        answer["nextRecordsUrl"] = f"{call.base}/query/{key}-{place}"
    answer["records"] = records
    return answer


def _query_more(org: Org, call: Call, name: str) -> Answer:
    if call.method not in ("GET", "HEAD"):
        raise _not_allowed(call.method, "HEAD,GET")
    key, _, offset = name.rpartition("-")
    locator = org.store.documents(LOCATORS).get(key)
    if locator is None or not offset.isdigit() or locator["user_id"] != call.user_id:
        raise ApiError("INVALID_QUERY_LOCATOR", "invalid query locator")
    if org.now() - datetime.fromisoformat(locator["created_at"]) > LOCATOR_LIFE or int(offset) > len(locator["ids"]):
        raise ApiError("INVALID_QUERY_LOCATOR", "invalid query locator")
    plan = Plan(parse(locator["soql"]), org, include_deleted=locator["all_rows"])
    if locator["subquery"] is not None:
        plan = plan.subqueries[locator["subquery"]].plan
    return Answer(200, _page(org, call, plan, locator, key, int(offset)))


# --- collections ----------------------------------------------------------------------------------------------------


def _failed_row(error: ApiError) -> dict[str, Any]:
    errors = [{"statusCode": error.code, "message": error.message, "fields": error.fields}]
    return {"success": False, "errors": errors}


_ROLLED_BACK = ApiError(
    "ALL_OR_NONE_OPERATION_ROLLED_BACK",
    "Record rolled back because not all records were valid and the request was using AllOrNone header",
)


def _each_row(
    org: Org, rows: Sequence[Any], all_or_none: bool, write: Callable[[Any], Saved], *, upserting: bool = False
) -> Answer:
    """The answer of a collection: one entry for each row, in order, 200 whatever happens to the rows."""
    whole = org.savepoint()
    results: list[dict[str, Any]] = []
    for row in rows:
        before = org.savepoint()
        try:
            saved = write(row)
        except ApiError as error:
            org.rollback(before)
            results.append(_failed_row(error))
            continue
        result: dict[str, Any] = {"id": saved.id, "success": True, "errors": []}
        if upserting:
            result["created"] = saved.created
        results.append(result)
    if all_or_none and not all(result["success"] for result in results):
        org.rollback(whole)
        results = [{"id": result["id"], **_failed_row(_ROLLED_BACK)} if result["success"] else result for result in results]
    return Answer(200, results)


def _collection_rows(org: Org, call: Call) -> tuple[list[tuple[SObjectType, dict[str, Any]]], bool]:
    """The rows with their objects, and `allOrNone`; what is wrong with the request as a whole is raised."""
    body = call.json_object()
    records = body.get("records")
    if not isinstance(records, list) or not records:
        raise ApiError("REQUIRED_FIELD_MISSING", "records is required", fields=["records"])
    if len(records) > MAX_COLLECTION:
        message = f"The number of records in a collection request cannot exceed {MAX_COLLECTION}"
        raise ApiError("EXCEEDED_MAX_SIZE_REQUEST", message)
    rows: list[tuple[SObjectType, dict[str, Any]]] = []
    chunks = 0
    for record in records:
        kind = record.get("attributes", {}).get("type") if isinstance(record, dict) else None
        if not isinstance(kind, str):
            raise ApiError("INVALID_INPUT", "Each record needs attributes with a type", request_level=True)
        entity = org.schema.type(kind)
        chunks += not rows or rows[-1][0] is not entity
        rows.append((entity, record))
    if chunks > MAX_CHUNKS:
        raise ApiError("LIMIT_EXCEEDED", f"A collection request cannot hold more than {MAX_CHUNKS} chunks of types")
    return rows, body.get("allOrNone") is True


def _take_id(record: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
    rest = {name: value for name, value in record.items() if name.lower() != "id"}
    found = next((value for name, value in record.items() if name.lower() == "id"), None)
    return found, rest


def _row_id(entity: SObjectType, raw_id: Any) -> str:
    if not isinstance(raw_id, str) or not raw_id:
        raise ApiError("MISSING_ARGUMENT", "Id not specified in an update call")
    record_id = to18(raw_id)
    if record_id[:3] != entity.key_prefix:
        raise ApiError("MALFORMED_ID", f"bad id {raw_id}", fields=["Id"])
    return record_id


def _cross_reference(error: ApiError) -> ApiError:
    if error.code == "NOT_FOUND":
        return ApiError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
    return error


def _collections(org: Org, call: Call, parts: list[str]) -> Answer:
    if call.method == "DELETE" and not parts:
        return _collection_delete(org, call)
    if call.method == "GET" and len(parts) == 1:
        ids, names = _split_names(call.params.get("ids")), _split_names(call.params.get("fields"))
        return _collection_retrieve(org, call, parts[0], ids or [], names or [])
    if call.method == "POST" and len(parts) == 1:
        body = call.json_object()
        ids, names = body.get("ids"), body.get("fields")
        if not isinstance(ids, list) or not isinstance(names, list):
            raise ApiError("REQUIRED_FIELD_MISSING", "ids and fields are required", fields=["ids", "fields"])
        return _collection_retrieve(org, call, parts[0], ids, names)
    if call.method == "POST" and not parts:
        rows, all_or_none = _collection_rows(org, call)
        read = [(entity, org.read_body(entity, record, creating=True)) for entity, record in rows]
        return _each_row(org, read, all_or_none, lambda row: org.create(row[0], row[1], call.user_id))
    if call.method == "PATCH" and not parts:
        return _collection_update(org, call)
    if call.method == "PATCH" and len(parts) == 2:
        return _collection_upsert(org, call, parts[0], parts[1])
    raise _not_allowed(call.method, "HEAD,GET,POST,PATCH,DELETE")


def _collection_update(org: Org, call: Call) -> Answer:
    rows, all_or_none = _collection_rows(org, call)
    read = []
    for entity, record in rows:
        raw_id, rest = _take_id(record)
        read.append((entity, raw_id, org.read_body(entity, rest, creating=False)))
    seen: set[str] = set()

    def write(row: tuple[SObjectType, Any, dict[str, Any]]) -> Saved:
        entity, raw_id, values = row
        record_id = _row_id(entity, raw_id)
        if record_id in seen:
            raise ApiError("DUPLICATE_VALUE", f"duplicate id specified: {record_id}", fields=["Id"])
        seen.add(record_id)
        try:
            return org.update(entity, record_id, values, call.user_id)
        except ApiError as error:
            raise _cross_reference(error) from error

    return _each_row(org, read, all_or_none, write)


def _collection_upsert(org: Org, call: Call, type_name: str, field_name: str) -> Answer:
    entity = org.schema.types.get(type_name.lower())
    key = entity.find(field_name) if entity else None
    if entity is None or key is None or not (key.external_id or key.type == "id"):
        raise _not_found(f"Provided external ID field does not exist or is not accessible: {field_name}")
    rows, all_or_none = _collection_rows(org, call)
    if any(each is not entity for each, _record in rows):
        raise ApiError("INVALID_INPUT", "All records of an upsert have to be of the type in the URL", request_level=True)
    read = []
    for _entity, record in rows:
        raw_id, rest = _take_id(record)
        read.append((raw_id, org.read_body(entity, rest, creating=False)))

    def write(row: tuple[Any, dict[str, Any]]) -> Saved:
        raw_id, values = row
        if key.type == "id":
            if raw_id:
                return org.update(entity, _row_id(entity, raw_id), values, call.user_id)
            return org.create(entity, values, call.user_id)
        value = values.get(key.name)
        if value is None:
            raise ApiError("MISSING_ARGUMENT", f"{key.name} not specified", fields=[key.name])
        found = org.with_value(entity.name, key.name, value)
        if len(found) > 1:
            message = f"{key.name}: more than one record found for external id field: {found}"
            raise ApiError("DUPLICATE_EXTERNAL_ID", message, fields=[key.name])
        if found:
            return org.update(entity, found[0], values, call.user_id)
        return org.create(entity, values, call.user_id)

    return _each_row(org, read, all_or_none, write, upserting=True)


def _collection_delete(org: Org, call: Call) -> Answer:
    ids = _split_names(call.params.get("ids")) or []
    if len(ids) > MAX_COLLECTION:
        raise ApiError("EXCEEDED_MAX_SIZE_REQUEST", f"cannot delete more than {MAX_COLLECTION} records at once")

    def write(raw_id: str) -> Saved:
        record_id = to18(raw_id)
        entity = org.schema.of_id(record_id)
        if entity is None:
            raise ApiError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
        try:
            org.delete(entity, record_id, call.user_id)
        except ApiError as error:
            raise _cross_reference(error) from error
        return Saved(record_id, created=False)

    return _each_row(org, ids, call.params.get("allOrNone", "").lower() == "true", write)


def _collection_retrieve(org: Org, call: Call, type_name: str, ids: list[Any], names: list[Any]) -> Answer:
    entity = org.schema.types.get(type_name.lower())
    if entity is None:
        raise _not_found()
    if not ids or not names:
        raise ApiError("REQUIRED_FIELD_MISSING", "ids and fields are required", fields=["ids", "fields"])
    if len(ids) > MAX_RETRIEVE:
        raise ApiError("EXCEEDED_MAX_SIZE_REQUEST", f"The ids cannot be more than {MAX_RETRIEVE}")
    unique = list(dict.fromkeys(str(name).strip() for name in names))
    query = Query("", tuple(Path(tuple(name.split(".")), 0) for name in unique), entity.name, 0)
    plan = Plan(query, org, include_deleted=False)
    documents = org.documents(entity.name)
    records: list[dict[str, Any] | None] = []
    for raw_id in ids:
        try:
            doc = documents.get(to18(raw_id if isinstance(raw_id, str) else ""))
        except ApiError:
            doc = None
        if doc is None or doc.get("IsDeleted"):
            records.append(None)
        else:
            records.append(plan.render(doc, call.base, random.Random(0), 1, lambda _which, _ids: "").record)
    return Answer(200, records)


# --- composite ------------------------------------------------------------------------------------------------------

_REFERENCE = re.compile(r"@\{([A-Za-z0-9_]+)((?:\.[A-Za-z0-9_]+|\[\d+\])*)\}")


def _halted(message: str) -> ApiError:
    return ApiError("PROCESSING_HALTED", message)


def _referred(value: Any, answers: Mapping[str, Answer]) -> Any:
    """The value with every `@{reference.path}` replaced.

    Raises:
        ApiError: `PROCESSING_HALTED`: the reference leads nowhere, or to a subrequest that failed.
    """
    if isinstance(value, dict):
        return {name: _referred(item, answers) for name, item in value.items()}
    if isinstance(value, list):
        return [_referred(item, answers) for item in value]
    if not isinstance(value, str):
        return value

    def found(match: re.Match[str]) -> str:
        name, trail = match.group(1), match.group(2)
        place = answers[name].body if name in answers and answers[name].status < 300 else None
        for step in re.findall(r"\.([A-Za-z0-9_]+)|\[(\d+)\]", trail):
            if step[0] and isinstance(place, dict):
                place = place.get(step[0])
            elif step[1] and isinstance(place, list) and int(step[1]) < len(place):
                place = place[int(step[1])]
            else:
                place = None
        if place is None or isinstance(place, (dict, list)):
            raise _halted(f"Invalid reference specified. No value for {name}{trail} found in {name}")
        return str(place)

    return _REFERENCE.sub(found, value)


def _subcall(call: Call, method: str, url: str, body: Any, headers: Mapping[str, str]) -> Call:
    split = urlsplit(url)
    # Inside a composite a plain + in the query means a blank, as in any URL.
    params = dict(parse_qsl(split.query, keep_blank_values=True))
    lowered = {name.lower(): value for name, value in headers.items()}
    return Call(method.upper(), split.path, params, lowered, call.user_id, None, body, call.version, composite=True)


def _is_counted_query(path: str) -> bool:
    return bool(re.search(r"/(?:query|queryAll|composite/sobjects)(?:/|$)", path))


def _composite(org: Org, call: Call) -> Answer:
    if call.method != "POST":
        raise _not_allowed(call.method, "HEAD,GET,POST")
    body = call.json_object()
    requests = body.get("compositeRequest")
    if not isinstance(requests, list) or not requests:
        raise ApiError("REQUIRED_FIELD_MISSING", "compositeRequest is required", fields=["compositeRequest"])
    if len(requests) > MAX_SUBREQUESTS:
        message = f"Limit reached. The maximum number of subrequests is {MAX_SUBREQUESTS}"
        raise ApiError("LIMIT_EXCEEDED", message)
    names: set[str] = set()
    for each in requests:
        if not isinstance(each, dict) or not all(isinstance(each.get(key), str) for key in ("method", "url", "referenceId")):
            raise ApiError("JSON_PARSER_ERROR", "a subrequest needs method, url and referenceId", request_level=True)
        if each["referenceId"] in names or not re.fullmatch(r"[A-Za-z]\w*", each["referenceId"]):
            raise ApiError("INVALID_INPUT", f"referenceId is not unique or not valid: {each['referenceId']}")
        names.add(each["referenceId"])
    if sum(_is_counted_query(urlsplit(each["url"]).path) for each in requests) > MAX_COMPOSITE_QUERIES:
        message = f"A composite request can hold at most {MAX_COMPOSITE_QUERIES} query or collection subrequests"
        raise ApiError("LIMIT_EXCEEDED", message)
    all_or_none = body.get("allOrNone") is True
    whole = org.savepoint()
    answers: dict[str, Answer] = {}
    failed: set[str] = set()
    for each in requests:
        name = each["referenceId"]
        if failed and all_or_none:
            answers[name] = Answer(400, _errors(_halted("The transaction was rolled back since another operation in the "
                                                        "same transaction failed.")))  # fmt: skip
            failed.add(name)
            continue
        before = org.savepoint()
        try:
            url, inner = _referred(each["url"], answers), _referred(each.get("body"), answers)
            if not url.startswith("/services/data/"):
                raise ApiError("INVALID_INPUT", f"a subrequest's url has to begin with /services/data/: {url}")
            if re.match(r"/services/data/v\d+\.0/composite(?:/batch|/graph|/tree|/?$)", url):
                raise ApiError("INVALID_INPUT", f"this resource cannot be a subrequest: {url}")
            sub = _subcall(call, each["method"], url, inner, each.get("httpHeaders") or {})
            answers[name] = _data(org, sub)
        except ApiError as error:
            org.rollback(before)
            answers[name] = Answer(error.status, _errors(error))
        if answers[name].status >= 400:
            failed.add(name)
    if failed and all_or_none:
        org.rollback(whole)
        for each in requests:
            name = each["referenceId"]
            # Collections keep what they said, though nothing of it was kept: the documented trap.
            if name not in failed and not _is_counted_query(urlsplit(each["url"]).path):
                message = "The transaction was rolled back since another operation in the same transaction failed."
                answers[name] = Answer(400, _errors(_halted(message)))
    return Answer(200, {
        "compositeResponse": [
            {"body": answers[each["referenceId"]].body, "httpHeaders": answers[each["referenceId"]].headers,
             "httpStatusCode": answers[each["referenceId"]].status, "referenceId": each["referenceId"]}
            for each in requests
        ]
    })  # fmt: skip


def _batch(org: Org, call: Call) -> Answer:
    if call.method != "POST":
        raise _not_allowed(call.method, "HEAD,GET,POST")
    body = call.json_object()
    requests = body.get("batchRequests")
    if not isinstance(requests, list) or not requests:
        raise ApiError("REQUIRED_FIELD_MISSING", "batchRequests is required", fields=["batchRequests"])
    if len(requests) > MAX_SUBREQUESTS:
        raise ApiError("LIMIT_EXCEEDED", f"Limit reached. The maximum number of subrequests is {MAX_SUBREQUESTS}")
    results: list[dict[str, Any]] = []
    halted = False
    for each in requests:
        if halted:
            error = ApiError("BATCH_PROCESSING_HALTED", "Batch processing halted per request")
            results.append({"statusCode": 412, "result": _errors(error)})
            continue
        before = org.savepoint()
        try:
            if not isinstance(each, dict) or not isinstance(each.get("url"), str):
                raise ApiError("INVALID_INPUT", "a subrequest needs method and url")
            url = "/services/data/" + str(each["url"]).removeprefix("/services/data/").lstrip("/")
            answer = _data(org, _subcall(call, str(each.get("method", "GET")), url, each.get("richInput"), {}))
        except ApiError as error:
            org.rollback(before)
            answer = Answer(error.status, _errors(error))
        results.append({"statusCode": answer.status, "result": answer.body})
        halted = body.get("haltOnError") is True and answer.status >= 400
    return Answer(200, {"hasErrors": any(result["statusCode"] >= 400 for result in results), "results": results})


# --- the API --------------------------------------------------------------------------------------------------------


def _versions() -> list[dict[str, str]]:
    seasons = ("Winter", "Spring", "Summer")
    listed = []
    for number in range(OLDEST_VERSION, NEWEST_VERSION + 1):
        season, year = seasons[(number - 65) % 3], 26 + (number - 65) // 3
        listed.append({"label": f"{season} '{year}", "url": f"/services/data/v{number}.0", "version": f"{number}.0"})
    return listed


def _limits(org: Org) -> dict[str, Any]:
    daily = org.options.daily_api_requests
    return {
        "DailyApiRequests": {"Max": daily, "Remaining": max(0, daily - org.api_calls)},
        "DailyBulkV2QueryJobs": {"Max": 10000, "Remaining": 10000},
        "DailyBulkV2QueryFileStorageMB": {"Max": 976562, "Remaining": 976562},
        "HourlyPublishedPlatformEvents": {"Max": 50000, "Remaining": 50000},
        "DailyStandardVolumePlatformEvents": {"Max": 10000, "Remaining": 10000},
        "DataStorageMB": {"Max": 1073, "Remaining": 900},
    }


def _data(org: Org, call: Call) -> Answer:
    """A call below `/services/data/vXX.0`, by an authorized user."""
    parts = [unquote(part) for part in call.path.split("/") if part][2:]
    version = _version(parts[0] if parts else "")
    call = Call(call.method, call.path, call.params, call.headers, call.user_id, call.raw, call.body, version, call.composite)
    parts = parts[1:]
    head = parts[0].lower() if parts else ""
    if not parts:
        names = ("sobjects", "query", "queryAll", "composite", "limits")
        return Answer(200, {name: f"{call.base}/{name}" for name in names} | {"identity": "/services/oauth2/userinfo"})
    if head == "sobjects":
        return _sobjects(org, call, parts[1:])
    if head in ("query", "queryall"):
        if len(parts) == 1:
            return _query(org, call, include_deleted=head == "queryall")
        if len(parts) == 2:
            return _query_more(org, call, parts[1])
    if head == "limits" and len(parts) == 1:
        return Answer(200, _limits(org))
    if head == "composite":
        below = parts[1].lower() if len(parts) > 1 else ""
        if not below:
            return _composite(org, call)
        if below == "sobjects":
            return _collections(org, call, parts[2:])
        if below == "batch" and len(parts) == 2:
            return _batch(org, call)
    raise _not_found()


def _version(text: str) -> int:
    match = re.fullmatch(r"v(\d+)\.0", text)
    number = int(match.group(1)) if match else 0
    if 21 <= number <= 30:
        raise ApiError("UNSUPPORTED_API_VERSION", f"API version {number}.0 has been retired", status=410)
    if not OLDEST_VERSION <= number <= NEWEST_VERSION:
        raise _not_found()
    return number


def _authorized(org: Org, call: Call) -> Answer:
    parts = [part for part in call.path.split("/") if part]
    if parts == ["services", "data"]:
        return Answer(200, _versions())
    if len(parts) > 2 and parts[1] == "data":
        _version(parts[2])
    user_id = oauth.session_user(org, call.headers.get("authorization"))
    if user_id is None:
        error = ApiError("INVALID_SESSION_ID", "Session expired or invalid", status=401)
        return Answer(401, _errors(error), {"WWW-Authenticate": "Token"})
    org.api_calls += 1
    if org.store.documents(BEHAVIOUR).get("daily_limit_reached"):
        raise ApiError("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.", status=403)
    call = Call(call.method, call.path, call.params, call.headers, user_id, call.raw)
    if parts == ["services", "oauth2", "userinfo"]:
        user = org.documents("User")[user_id]
        names = {"name": user["Name"], "email": user["Email"], "preferred_username": user["Username"]}
        return Answer(200, {"sub": user_id, "user_id": user_id, "organization_id": org.organization_id, **names})
    if len(parts) > 2 and parts[1] == "data":
        return _data(org, call)
    raise _not_found()


def _token_answer(org: Org, request: Request, raw: bytes) -> Answer:
    form = dict(parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True))
    if request.url.path.rstrip("/").endswith("/revoke"):
        token = form.get("token") or request.query_params.get("token", "")
        if oauth.revoke(org.store, token):
            return Answer(200, None)
        return Answer(400, {"error": "unsupported_token_type", "error_description": "this token is not known"})
    if request.method != "POST":
        return Answer(405, {"error": "invalid_request", "error_description": "must use HTTP POST"})
    host = request.headers.get("x-original-host") or request.headers.get("host", "")
    instance = f"{request.url.scheme}://{request.headers.get('host', request.url.netloc)}"
    # A client that meant a My Domain over the rewriting adapter still gets the address that answers here.
    try:
        return Answer(200, oauth.grant(org, form, request.headers.get("authorization"), host, instance))
    except oauth.OAuthError as error:
        return Answer(400, error.body)


def _response(org: Org, answer: Answer, *, gzipped: bool, counted: bool) -> Response:
    headers = {"Date": format_datetime(org.now().replace(microsecond=0), usegmt=True), **answer.headers}
    if counted:
        headers["Sforce-Limit-Info"] = f"api-usage={org.api_calls}/{org.options.daily_api_requests}"
    if answer.html is not None:
        return Response(answer.html, answer.status, headers, media_type="text/html;charset=UTF-8")
    if answer.body is None:
        return Response(b"", answer.status, headers)
    text = simplejson.dumps(answer.body, use_decimal=True, ensure_ascii=False, separators=(",", ":"))
    content = text.encode("utf-8")
    if gzipped and len(content) > 2048:
        content = gzip.compress(content, 1)
        headers["Content-Encoding"] = "gzip"
    return Response(content, answer.status, headers, media_type="application/json;charset=UTF-8")


def _too_long(request: Request) -> str | None:
    raw_path = request.scope.get("raw_path") or request.url.path.encode()
    uri = len(raw_path) + len(request.scope.get("query_string", b""))
    if uri > MAX_URI:
        return _URI_TOO_LONG
    if uri + sum(len(name) + len(value) + 4 for name, value in request.scope["headers"]) > MAX_URI:
        return _HEADERS_TOO_LONG
    return None


def _handle(org: Org, request: Request, raw: bytes) -> Response:
    path = request.url.path
    counted = not path.startswith("/services/oauth2/token")
    gzipped = "gzip" in request.headers.get("accept-encoding", "")
    if html := _too_long(request):
        return _response(org, Answer(414 if html is _URI_TOO_LONG else 431, html=html), gzipped=False, counted=counted)
    org.prepare()
    start = org.savepoint()
    try:
        if path.rstrip("/") in ("/services/oauth2/token", "/services/oauth2/revoke"):
            answer = _token_answer(org, request, raw)
        else:
            raw_path = (request.scope.get("raw_path") or path.encode()).decode("ascii", "replace").partition("?")[0]
            params = dict(parse_qsl(request.url.query, keep_blank_values=True))
            lowered = {name.lower(): value for name, value in request.headers.items()}
            answer = _authorized(org, Call(request.method, raw_path, params, lowered, raw=raw))
    except ApiError as error:
        org.rollback(start)
        answer = Answer(error.status, _errors(error))
    org.forget_journal()
    return _response(org, answer, gzipped=gzipped, counted=counted)


def routes(store: Store, clock: Clock, options: SalesforceOptions | None = None) -> list[Route]:
    """Everything below `/services`. Handlers answer in one go between reading the body and returning; what they changed
    is in the store and not committed. Serve with `date_header=False`: the `Date` of an answer follows the clock."""
    org = org_of(store, clock, options or SalesforceOptions())

    async def endpoint(request: Request) -> Response:
        raw = await request.body()
        return _handle(org, request, raw)

    return [Route("/services/{path:path}", endpoint, methods=_METHODS), *_control_routes(store, clock)]


def _control_routes(store: Store, clock: Clock) -> list[Route]:
    """What tests change about the org beside its records. All take and give JSON objects.

    * `hide`: {"type", "field"?, "hidden"? = true}: field-level security, or the whole object;
    * `behave`: see :func:`~qbsf_pipeline.sandbox.salesforce.records.behave`;
    * `touch`: {"type", "id"}: `SystemModstamp` moves, nothing else does;
    * `features`: {"cpq"? = true, "schedules"? = true}: what not every org has, given or taken away;
    * `expire-sessions`: {}.
    """

    def hide(body: dict[str, Any]) -> dict[str, Any]:
        hidden = body.get("hidden", True) is not False
        if body.get("field"):
            hide_field(store, body["type"], body["field"], hidden=hidden)
        else:
            hide_object(store, body["type"], hidden=hidden)
        return {"hidden": dict(store.documents(HIDDEN))}

    def misbehave(body: dict[str, Any]) -> dict[str, Any]:
        return {"behaviour": behave(store, body)}

    def touched(body: dict[str, Any]) -> dict[str, Any]:
        touch(store, clock, body["type"], body["id"])
        return {"ok": True}

    def have(body: dict[str, Any]) -> dict[str, Any]:
        for feature, wanted in body.items():
            enable(store, feature, enabled=wanted is not False)
        return {"features": enable(store)}

    def expire(_body: dict[str, Any]) -> dict[str, Any]:
        return {"expired": oauth.expire_all_sessions(store)}

    def endpoint(act: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Request], Awaitable[Response]]:
        async def control(request: Request) -> Response:
            raw = await request.body()
            try:
                status, answer = 200, act(simplejson.loads(raw, use_decimal=True) if raw else {})
            except KeyError as error:
                status, answer = 400, {"error": f"{error.args[0]} is missing"}
            except ValueError as error:
                status, answer = 400, {"error": str(error)}
            return Response(simplejson.dumps(answer, use_decimal=True), status, media_type="application/json")

        return control

    acts = {"hide": hide, "features": have, "behave": misbehave, "touch": touched, "expire-sessions": expire}
    return [Route(f"/_sandbox/salesforce/{name}", endpoint(act), methods=["POST"]) for name, act in acts.items()]


def _fault(status: int, error: ApiError | None = None, html: str | None = None) -> Response:
    if html is not None:
        return Response(html, status, media_type="text/html;charset=UTF-8")
    text = simplejson.dumps(_errors(error) if error else [])
    return Response(text, status, media_type="application/json;charset=UTF-8")


def throttled() -> Response:
    """Too many long requests at once: 403 `REQUEST_LIMIT_EXCEEDED` that names the concurrent limit (worth a retry)."""
    message = "ConcurrentRequests (Concurrent API Requests) Limit exceeded."
    return _fault(403, ApiError("REQUEST_LIMIT_EXCEEDED", message))


def token_expired() -> Response:
    """401 `INVALID_SESSION_ID`."""
    return _fault(401, ApiError("INVALID_SESSION_ID", "Session expired or invalid"))


def server_error() -> Response:
    """503 with the maintenance page, which is HTML."""
    return _fault(503, html=_MAINTENANCE)
