from __future__ import annotations

import re
import threading
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbsf_pipeline.errors import (
    AccessRefused,
    OutcomeUnknown,
    RecordRefused,
    ServiceError,
    ServiceUnavailable,
    StaleRecord,
)
from qbsf_pipeline.money import to_json
from qbsf_pipeline.quickbooks.client import BatchItem, batch_body, instant_literal, quoted
from qbsf_pipeline_tests.quickbooks.service import (
    HTML,
    REALM,
    THROTTLED,
    Answer,
    Request,
    Reset,
    answer,
    fault,
    gateway_fault,
    in_turn,
)

INVOICE = {"Id": "130", "SyncToken": "0", "DocNumber": "1069", "TotalAmt": 100.10, "CustomerRef": {"value": "1"}}
CREATED = answer({"Invoice": INVOICE, "time": "2026-11-22T02:00:00.11-08:00"})
FOUND = answer({"QueryResponse": {"Invoice": [INVOICE], "startPosition": 1, "maxResults": 1}, "time": "2026-11-22T02:00:00Z"})
SYSTEM_FAULT = answer(
    {"Fault": {"Error": [{"Message": "An application error has occurred", "code": "10000"}], "type": "SystemFault"}},
    500,
)
TRUNCATED = Answer(CREATED.body, 200, CREATED.headers, cut=20)


def create(client) -> dict:
    return client.create("Invoice", '{"a":1}', "r-1")


# Reading


def test_a_read_carries_what_intuit_asks_for(client, service, meter):
    service.reply = in_turn(FOUND)
    assert client.query("Invoice")[0]["TotalAmt"] == Decimal("100.1")
    request = service.requests[0]
    assert request.path == f"/v3/company/{REALM}/query"
    assert request.query["minorversion"] == "75"
    assert request.headers["accept"] == "application/json"
    assert request.token == "access-1"
    assert request.text == "SELECT * FROM Invoice ORDERBY Id STARTPOSITION 1 MAXRESULTS 1000"
    assert meter.total("quickbooks", metered_only=True) == 1
    assert client.reads == 1
    assert client.server_time == datetime(2026, 11, 22, 2, tzinfo=UTC)


@pytest.mark.parametrize("broken", [HTML, SYSTEM_FAULT, Reset, Answer(b"<html>", 200), Answer(b"", 504), TRUNCATED])
def test_a_read_is_repeated_when_its_answer_was_lost(client, service, waits, broken):
    service.reply = in_turn(broken, broken, FOUND)
    assert [invoice["Id"] for invoice in client.query("Invoice")] == ["130"]
    assert len(waits) == 2
    assert all(0 < wait <= 3 for wait in waits)
    assert client.reads == 3


@pytest.mark.parametrize("broken", [HTML, Reset, Answer(b"no json", 200), THROTTLED])
def test_a_read_is_given_up_after_four_repetitions(client, service, waits, broken):
    service.reply = in_turn(broken)
    with pytest.raises(ServiceUnavailable):
        client.query("Invoice")
    assert len(service.requests) == 5
    assert len(waits) == 4


@pytest.mark.parametrize(
    ("throttle", "seconds"),
    [
        (THROTTLED, 60.0),
        (Answer(THROTTLED.body, 403, THROTTLED.headers), 60.0),
        (
            answer({"fault": {"error": [{"message": "ThrottleExceeded", "code": "003001"}], "type": "SERVICE"}}, 429),
            60.0,
        ),
        (Answer(b"", 429, {"Retry-After": "7"}), 7.0),
        (Answer(THROTTLED.body, 429, {"Content-Type": "application/xml", "Retry-After": "2"}), 2.0),
        (Answer(b"<html>slow down</html>", 429, {"Retry-After": "soon"}), 60.0),
    ],
)
@pytest.mark.parametrize("call", [create, lambda client: client.query("Invoice")])
def test_a_throttled_call_waits_as_long_as_it_is_told_and_comes_again(client, service, waits, throttle, seconds, call):
    service.reply = lambda request: (
        throttle if len(service.requests) == 1 else answer({"Invoice": INVOICE, "QueryResponse": {"Invoice": [INVOICE]}})
    )
    assert call(client)
    assert waits == [seconds]
    assert service.requests[0].body == service.requests[1].body


def test_pages_are_read_to_the_end_and_each_object_is_taken_once(client, service):
    rows = [{"Id": str(n), "SyncToken": "0"} for n in range(1, 2351)]
    service.reply = lambda request: _page(request, "Customer", rows)
    found = client.query_all("Customer", list_entity=True)
    assert sorted(int(row["Id"]) for row in found) == list(range(1, 2351))
    statements = [request.text for request in service.requests]
    assert all("WHERE Active IN (true, false)" in statement for statement in statements)
    assert statements[-1].startswith("SELECT count(*)")
    assert len(statements) == 4


def test_a_row_that_vanishes_between_pages_hides_no_other(client, service):
    rows = [{"Id": str(n), "SyncToken": "0"} for n in range(1, 1501)]

    def reply(request):
        found = _page(request, "Invoice", rows)
        if "STARTPOSITION 1 " in request.text:
            del rows[3:6]
        return found

    service.reply = reply
    found = {row["Id"] for row in client.query_all("Invoice", list_entity=False)}
    assert {str(n) for n in range(1, 1501)} == found


def test_rows_added_while_pages_are_read_are_found(client, service):
    rows = [{"Id": str(n), "SyncToken": "0"} for n in range(1, 1501)]

    def reply(request):
        if "count(*)" in request.text and len(rows) == 1500:
            rows.extend({"Id": str(n), "SyncToken": "0"} for n in range(1501, 1504))
        return _page(request, "Invoice", rows)

    service.reply = reply
    assert len(client.query_all("Invoice", list_entity=False)) == 1503


def test_a_table_that_cannot_be_read_whole_is_not_passed_off_as_whole(client, service):
    rows = [{"Id": str(n), "SyncToken": "0"} for n in range(1, 1501)]

    def reply(request):
        if "count(*)" in request.text:
            return answer({"QueryResponse": {"totalCount": 1700}})
        return _page(request, "Invoice", rows)

    service.reply = reply
    with pytest.raises(ServiceUnavailable, match="read whole"):
        client.query_all("Invoice", list_entity=False)


@pytest.mark.parametrize("count", [0, 999, 1000, 1001])
def test_the_number_of_rows_may_be_a_whole_number_of_pages(client, service, count):
    rows = [{"Id": str(n), "SyncToken": "0"} for n in range(count)]
    service.reply = lambda request: _page(request, "Invoice", rows)
    assert len(client.query("Invoice")) == count


def test_items_are_asked_for_with_sku_and_without_where_that_is_not_taken(client, service):
    def reply(request):
        if "*, Sku" in request.text:
            return fault("4000", "Error parsing query", "QueryParserError: Encountered ','")
        return answer({"QueryResponse": {"Item": [{"Id": "1"}]}})

    service.reply = reply
    assert client.query_all("Item", list_entity=True) == [{"Id": "1"}]
    assert service.requests[0].text.startswith("SELECT *, Sku FROM Item")


def test_a_list_that_has_no_active_property_is_read_without_it(client, service):
    def reply(request):
        if "Active" in request.text:
            return fault("4001", "Invalid query", "QueryValidationError: property 'Active' is not queryable")
        return answer({"QueryResponse": {"TaxCode": [{"Id": "TAX"}]}})

    service.reply = reply
    assert client.query_all("TaxCode", list_entity=True) == [{"Id": "TAX"}]


def test_a_name_is_looked_for_in_all_three_lists(client, service):
    service.reply = in_turn(
        answer({"QueryResponse": {}}),
        answer({"QueryResponse": {"Vendor": [{"Id": "9", "DisplayName": "O'Brien \\ Söhne"}]}}),
        answer({"QueryResponse": {}}),
    )
    assert client.find_by_name("O'Brien \\ Söhne") == [("Vendor", {"Id": "9", "DisplayName": "O'Brien \\ Söhne"})]
    assert "DisplayName = 'O\\'Brien \\\\ Söhne' AND Active IN (true, false)" in service.requests[0].text
    assert "charset=utf-8" in service.requests[0].headers["content-type"]


@given(st.text())
def test_a_literal_ends_where_it_should(text):
    literal = quoted(text)
    assert re.fullmatch(r"'(?:[^'\\]|\\.)*'", literal, re.DOTALL)
    assert re.sub(r"\\(.)", r"\1", literal[1:-1], flags=re.DOTALL) == text


def test_instants_are_written_without_a_plus():
    assert instant_literal(datetime(2026, 11, 22, 10, 0, 59, 999999, tzinfo=UTC)) == "2026-11-22T02:00:59-08:00"
    with pytest.raises(ValueError):
        instant_literal(datetime(2026, 11, 22, 10))  # noqa: DTZ001


# Change data capture


def test_changes_and_deletions_are_told_apart(client, service):
    service.reply = in_turn(
        answer(
            {
                "CDCResponse": [
                    {
                        "QueryResponse": [
                            {"Customer": [{"Id": "63", "SyncToken": "1"}], "startPosition": 1, "maxResults": 1},
                            {
                                "Payment": [
                                    {"Id": "8", "SyncToken": "0"},
                                    {"domain": "QBO", "status": "Deleted", "Id": "979", "MetaData": {}},
                                ],
                                "maxResults": 2,
                                "totalCount": 2,
                            },
                            {},
                        ]
                    }
                ],
                "time": "2026-11-22T10:00:01.5-08:00",
            }
        )
    )
    changes = client.changes(["Customer", "Payment", "Invoice"], datetime(2026, 11, 22, tzinfo=UTC))
    assert [customer["Id"] for customer in changes.objects["Customer"]] == ["63"]
    assert [payment["Id"] for payment in changes.objects["Payment"]] == ["8"]
    assert changes.deleted == {"Payment": ["979"]}
    assert changes.server_time == datetime(2026, 11, 22, 18, 0, 1, 500000, tzinfo=UTC)
    assert not changes.capped
    assert service.requests[0].query["entities"] == "Customer,Payment,Invoice"
    assert service.requests[0].query["changedSince"] == "2026-11-21T16:00:00-08:00"


@pytest.mark.parametrize(
    "body",
    [
        {"CDCResponse": [{"QueryResponse": [{}]}], "time": 1763805600000},
        {"CDCResponse": {"QueryResponse": {}}},
        {"CDCResponse": []},
        {"CDCResponse": [{"QueryResponse": [None, {"Invoice": None, "maxResults": 0}]}], "time": "not a time"},
    ],
)
def test_no_changes_come_in_many_shapes(client, service, body):
    service.reply = in_turn(answer(body))
    changes = client.changes(["Invoice"], datetime(2026, 11, 22, tzinfo=UTC))
    assert (changes.objects.get("Invoice", []), changes.deleted, changes.capped) == ([], {}, False)
    assert changes.server_time.tzinfo is not None


def test_an_answer_as_full_as_it_can_be_is_capped_with_its_deletions_counted(client, service):
    rows = [{"Id": str(n)} for n in range(6)] + [{"Id": "9", "status": "Deleted"}]
    service.reply = in_turn(answer({"CDCResponse": [{"QueryResponse": [{"Invoice": rows}]}]}))
    assert client.changes(["Invoice"], datetime(2026, 11, 22, tzinfo=UTC), cap=7).capped
    assert not client.changes(["Invoice"], datetime(2026, 11, 22, tzinfo=UTC), cap=8).capped


# Writing


def test_a_write_sends_exactly_the_given_bytes_with_its_request_id(client, service):
    service.reply = in_turn(CREATED)
    body = to_json({"PrivateNote": "Zoë “O'Neil”: 株式会社 🎉", "Amount": Decimal("12.50")})
    assert client.create("Invoice", body, "req-1")["TotalAmt"] == Decimal("100.1")
    request = service.requests[0]
    assert request.body == body.encode()
    assert b"12.50" in request.body
    assert (request.method, request.path) == ("POST", f"/v3/company/{REALM}/invoice")
    assert request.query["requestid"] == "req-1"
    assert client.reads == 0


LOST = [
    Reset,
    HTML,
    SYSTEM_FAULT,
    TRUNCATED,
    Answer(b"", 502),
    Answer(b"", 504),
    Answer(b"", 500),
    Answer(b"<html>login</html>", 200, {"Content-Type": "text/html"}),
    answer({"time": "2026-11-22T02:00:00Z"}),
    answer({"Invoice": {}}),
    answer([]),
    fault("600", "Duplicate Request ID"),
    fault("6000", "A business validation error", status=500),
    answer({"Fault": {"Error": [{"Message": "x", "code": "10200"}], "type": "SystemFault"}}),
    Answer(b"", 302, {"Location": "/elsewhere"}),
]


@pytest.mark.parametrize("lost", LOST)
@pytest.mark.parametrize(
    "call",
    [
        create,
        lambda client: client.update("Invoice", "{}", "r"),
        lambda client: client.send_invoice("130", "r"),
    ],
)
def test_a_write_whose_answer_is_lost_is_sent_once_and_unknown(client, service, waits, lost, call):
    service.reply = in_turn(lost)
    with pytest.raises(OutcomeUnknown):
        call(client)
    assert len(service.requests) == 1
    assert waits == []


def test_a_write_that_never_left_is_only_unavailable(client, service, waits, environment_for):
    client._connection.access_token()
    service.stop()
    with pytest.raises(ServiceUnavailable):
        create(client)
    assert waits == []


REFUSALS = [
    (fault("6240", "Duplicate Name Exists Error", "The name supplied already exists."), RecordRefused, "6240"),
    (fault("610", "Object Not Found", "Object Not Found : inactive"), RecordRefused, "610"),
    (fault("2020", "Required param missing", "Required parameter Line is missing", "Line"), RecordRefused, "2020"),
    (fault("6200", "Account Period Closed"), RecordRefused, "6200"),
    (fault("5010", "Stale Object Error", "Stale Object Error : you and root"), StaleRecord, "5010"),
    (fault("5030", "Feature Not Supported Error", status=403), RecordRefused, "5030"),
    (
        answer({"Fault": {"Error": [{"Message": "x", "code": "6000"}], "type": "ValidationFault"}}, 200),
        RecordRefused,
        "6000",
    ),
    (fault("6190", "Invalid Company Status"), AccessRefused, "6190"),
    (fault("120", "Authorization Failure", status=401), AccessRefused, "120"),
    (gateway_fault("3100", 403, "SERVICE"), AccessRefused, "3100"),
    (Answer(b"<html>forbidden</html>", 403), AccessRefused, "403"),
    (Answer(b"", 404), AccessRefused, "404"),
    (fault("140", "Company locked", status=503), ServiceUnavailable, "140"),
    (Answer(b"bad", 400), RecordRefused, "400"),
    (fault("QBX", "no number"), RecordRefused, "QBX"),
    (answer({"Fault": {"Error": {"Message": "not a list", "code": 2500}, "type": None}}, 400), RecordRefused, "2500"),
    (answer({"Fault": {"type": "AuthorizationFault"}}, 403), AccessRefused, "100"),
]


@pytest.mark.parametrize(("reply", "kind", "code"), REFUSALS)
def test_each_refusal_of_a_write_is_final_and_named(client, service, reply, kind, code):
    service.reply = in_turn(reply)
    with pytest.raises(ServiceError) as raised:
        create(client)
    assert type(raised.value) is kind
    assert raised.value.code == code
    assert len(service.requests) == 1


def test_a_refusal_tells_field_text_and_intuits_reference(client, service):
    reference = {"Message": "Invalid Reference Id", "Detail": "Accounts element id 99 not found", "code": "2500"}
    errors = [reference | {"element": "AccountRef"}, {"Message": "Another", "Detail": "thing", "code": "2010"}]
    service.reply = in_turn(answer({"Fault": {"Error": errors, "type": "ValidationFault"}}, 400))
    with pytest.raises(RecordRefused) as raised:
        create(client)
    assert raised.value.field == "AccountRef"
    assert raised.value.request_reference == "1-tid"
    assert "Accounts element id 99 not found" in raised.value.message
    assert "thing" in raised.value.message


# Tokens


@pytest.mark.parametrize(
    "refusal",
    [gateway_fault("3200", 401, "AUTHENTICATION", "Token expired: access-1"), Answer(b"", 401), fault("3200", "x")],
)
def test_a_refused_token_is_renewed_and_the_call_repeated_once(client, service, refusal):
    service.reply = lambda request: refusal if request.token == "access-1" else CREATED
    assert create(client)["Id"] == "130"
    assert [request.token for request in service.requests] == ["access-1", "access-2"]
    assert {request.query["requestid"] for request in service.requests} == {"r-1"}


def test_a_fresh_token_that_is_refused_is_a_matter_for_a_person(client, service):
    service.reply = in_turn(gateway_fault("3200", 401, "AUTHENTICATION", "Token expired: access-1"))
    with pytest.raises(AccessRefused) as raised:
        create(client)
    assert len(service.requests) == 2
    assert len(service.token_requests) == 2
    assert "access-1" not in str(raised.value)


@pytest.mark.parametrize(
    "reply",
    [
        gateway_fault("3100", 403, "SERVICE"),
        Answer(b"", 404),
        Answer(b"", 403),
        fault("610", "Object Not Found"),
        answer({}),
    ],
)
def test_a_company_that_is_none_of_quickbooks_online_is_explained(client, service, reply):
    service.reply = in_turn(reply)
    with pytest.raises(AccessRefused, match="QUICKBOOKS_REALM_ID") as raised:
        client.company_info()
    assert "Desktop" in str(raised.value)


def test_preferences_and_company_come_from_their_own_addresses(client, service):
    service.reply = in_turn(answer({"Preferences": {"Id": "1"}}), answer({"CompanyInfo": {"Id": "1"}}))
    assert client.preferences() == {"Id": "1"}
    assert client.company_info() == {"Id": "1"}
    assert [request.path.split(REALM, 1)[1] for request in service.requests] == [
        "/preferences",
        f"/companyinfo/{REALM}",
    ]


def test_an_object_that_is_not_there_is_refused(client, service):
    service.reply = in_turn(fault("610", "Object Not Found"))
    with pytest.raises(RecordRefused):
        client.read("Invoice", "1/../2")
    assert service.requests[0].path.endswith("/invoice/1%2F..%2F2")


# Batches


ITEMS = [
    BatchItem("0", "create", "Customer", '{"DisplayName":"Zoë"}'),
    BatchItem("1", "create", "Invoice", '{"Line":[]}'),
]


def test_each_item_of_a_batch_has_its_own_result(client, service):
    items = [BatchItem(str(n), "create", "Invoice", "{}") for n in range(6)]
    service.reply = in_turn(
        answer(
            {
                "BatchItemResponse": [
                    {"bId": "5", "Fault": {"type": "SystemFault", "Error": [{"Message": "x", "code": "10000"}]}},
                    {"bId": "1", "Fault": {"type": "ValidationFault", "Error": [{"Message": "Dup", "code": "6240"}]}},
                    {"bId": "0", "Invoice": INVOICE},
                    {"bId": "2", "Fault": {"type": "ValidationFault", "Error": [{"Message": "Stale", "code": "5010"}]}},
                    {"bId": "3"},
                    {"bId": "stranger", "Invoice": INVOICE},
                ],
                "time": "2026-11-22T02:00:00-08:00",
            }
        )
    )
    results = client.batch(items, "group-1")
    assert results["0"]["Id"] == "130"
    assert [type(results[bid]) for bid in "12345"] == [
        RecordRefused,
        StaleRecord,
        OutcomeUnknown,
        OutcomeUnknown,
        OutcomeUnknown,
    ]
    assert service.requests[0].query["requestid"] == "group-1"


def test_the_body_of_a_batch_is_the_items_own_text(client, service):
    service.reply = in_turn(answer({"BatchItemResponse": []}))
    client.batch(ITEMS, "g")
    client.batch(ITEMS, "g")
    expected = (
        '{"BatchItemRequest":[{"bId":"0","operation":"create","Customer":{"DisplayName":"Zoë"}},'
        '{"bId":"1","operation":"create","Invoice":{"Line":[]}}]}'
    )
    assert batch_body(ITEMS) == expected
    assert [request.body for request in service.requests] == [expected.encode()] * 2


@pytest.mark.parametrize("lost", [Reset, HTML, SYSTEM_FAULT, TRUNCATED])
def test_a_batch_whose_answer_is_lost_is_unknown_as_a_whole(client, service, lost):
    service.reply = in_turn(lost)
    with pytest.raises(OutcomeUnknown):
        client.batch(ITEMS, "g")
    assert len(service.requests) == 1


@pytest.mark.parametrize(
    ("items", "request_id"),
    [
        ([], "g"),
        ([BatchItem(str(n), "create", "Invoice", "{}") for n in range(31)], "g"),
        ([ITEMS[0], ITEMS[0]], "g"),
        ([BatchItem("12345678901", "create", "Invoice", "{}")], "g"),
        (ITEMS, "x" * 37),
        (ITEMS, ""),
    ],
)
def test_a_batch_that_intuit_would_refuse_is_not_sent(client, service, items, request_id):
    with pytest.raises(ValueError):
        client.batch(items, request_id)
    assert service.requests == []


def test_an_invoice_is_sent_with_an_empty_body(client, service):
    service.reply = in_turn(answer({"Invoice": {**INVOICE, "EmailStatus": "EmailSent"}}))
    assert client.send_invoice("130", "s-1")["EmailStatus"] == "EmailSent"
    request = service.requests[0]
    assert request.path.endswith("/invoice/130/send")
    assert (request.body, request.headers["content-type"]) == (b"", "application/octet-stream")
    assert request.query["requestid"] == "s-1"


def test_threads_may_share_a_client(client, service):
    service.reply = lambda request: answer({"Invoice": {"Id": request.text}})
    got: dict[str, str] = {}

    def work(n: int) -> None:
        for k in range(5):
            body = str(n * 100 + k)
            got[body] = client.create("Invoice", body, f"r-{body}")["Id"]

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 30
    assert all(sent == answered for sent, answered in got.items())


def _page(request: Request, entity: str, rows: list[dict]) -> Answer:
    if "count(*)" in request.text:
        return answer({"QueryResponse": {"totalCount": len(rows)}})
    start, size = map(int, re.search(r"STARTPOSITION (\d+) MAXRESULTS (\d+)", request.text).groups())
    page = rows[start - 1 : start - 1 + size]
    return answer({"QueryResponse": {entity: page, "startPosition": start, "maxResults": len(page)} if page else {}})
