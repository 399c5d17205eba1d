from __future__ import annotations

import gzip
from datetime import timedelta
from decimal import Decimal

import pytest
import requests

from qbsf_pipeline.sandbox.salesforce import SalesforceOptions, server_error, throttled, token_expired, upsert_records
from qbsf_pipeline_tests.sandbox.salesforce.conftest import NOW


def _codes(answer):
    return [error["statusCode"] for row in answer.json() for error in row["errors"]]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/services/data", 200),
        ("/services/data/", 200),
        ("/services/data/v66.0/", 200),
        ("/services/data/v66.0/limits", 200),
        ("/services/data/v66/limits", 404),
        ("/services/data/v26.0/limits", 410),
        ("/services/data/v99.0/limits", 404),
        ("/services/data/v66.0/nothing", 404),
        ("/services/data/v66.0/sobjects/Nothing__c/", 404),
        ("/services/data/v66.0/sobjects/Opportunity/0065g0000000000AAA", 404),
        ("/services/data/v66.0/sobjects/Opportunity/nonsense", 404),
        ("/services/data/v66.0/query/0r8nothing-2000", 400),
    ],
)
def test_paths_answer_with_their_status_and_the_usual_headers(org, path, status):
    answer = org.call("GET", path)
    assert answer.status_code == status
    assert answer.headers["Date"] == "Wed, 01 Apr 2026 12:00:00 GMT"
    assert answer.headers["Sforce-Limit-Info"].startswith("api-usage=")
    assert answer.headers["Content-Type"].startswith("application/json")
    if status >= 400:
        assert set(answer.json()[0]) >= {"message", "errorCode"}


def test_versions_need_no_login(org):
    versions = requests.get(f"{org.url}/services/data/").json()
    assert {"label": "Spring '26", "url": "/services/data/v66.0", "version": "66.0"} in versions


def test_the_date_follows_the_clock(org):
    org.clock.advance(timedelta(days=1))
    org.login()
    assert org.call("GET", "limits").headers["Date"] == "Thu, 02 Apr 2026 12:00:00 GMT"


def test_a_long_query_is_refused_in_html(org):
    ids = ",".join(f"'{'0' * 18}'" for _ in range(900))
    answer = org.call("GET", "query", params={"q": f"SELECT Id FROM Account WHERE Id IN ({ids})"})
    assert answer.status_code == 414
    assert answer.text.startswith("<h1>Bad Message 414")
    answer = org.call("GET", "limits", headers={"X-Padding": "x" * 16384})
    assert answer.status_code == 431


def test_the_daily_limit_refuses_everything(org):
    org.control("behave", {"daily_limit_reached": True})
    answer = org.call("GET", "limits")
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (403, "REQUEST_LIMIT_EXCEEDED")
    org.control("behave", {"daily_limit_reached": False})
    assert org.call("GET", "limits").status_code == 200


def test_the_standing_faults_look_like_salesforces():
    assert (token_expired().status_code, throttled().status_code, server_error().status_code) == (401, 403, 503)
    assert b"Concurrent" in throttled().body
    assert b"<html>" in server_error().body


def test_large_answers_are_compressed_and_bodies_may_be(org):
    org.seed("Account", *({"Name": f"Account {number}"} for number in range(100)))
    answer = org.call("GET", "query", params={"q": "SELECT Id, Name FROM Account"})
    assert answer.headers["Content-Encoding"] == "gzip"
    body = gzip.compress(b'{"Name": "compressed"}')
    headers = {"Authorization": f"Bearer {org.token}", "Content-Encoding": "gzip"}
    made = requests.post(f"{org.url}/services/data/v66.0/sobjects/Account", data=body, headers=headers)
    assert made.status_code == 201


# pages


@pytest.fixture
def options() -> SalesforceOptions:
    return SalesforceOptions(child_page_size=3)


def _everything(org, soql, **headers):
    answer = org.call("GET", "query", params={"q": soql}, headers=headers).json()
    sizes, rows = [len(answer["records"])], list(answer["records"])
    while not answer["done"]:
        answer = org.call("GET", answer["nextRecordsUrl"], headers=headers).json()
        sizes.append(len(answer["records"]))
        rows += answer["records"]
    assert answer["totalSize"] == len(rows)
    assert "nextRecordsUrl" not in answer
    return sizes, rows


def test_rows_come_in_pages(org):
    org.seed("Account", *({"Name": f"Account {number}"} for number in range(450)))
    sizes, rows = _everything(org, "SELECT Id FROM Account", **{"Sforce-Query-Options": "batchSize=10"})
    assert sizes == [200, 200, 50]
    assert len({row["Id"] for row in rows}) == 450
    assert _everything(org, "SELECT Id FROM Account")[0] == [450]


def test_children_count_against_the_page_and_come_in_pages_of_their_own(org):
    ids = org.deal()
    lines = [{"OpportunityId": ids["opportunity"], "Quantity": 1, "UnitPrice": number} for number in range(5)]
    org.seed("OpportunityLineItem", *lines)
    (row,) = org.rows("SELECT Id, (SELECT Id, UnitPrice FROM OpportunityLineItems) FROM Opportunity")
    children = row["OpportunityLineItems"]
    assert (children["totalSize"], children["done"], len(children["records"])) == (7, False, 3)
    rest = org.call("GET", children["nextRecordsUrl"]).json()
    assert (rest["done"], len(rest["records"])) == (True, 4)
    seen = {line["Id"] for line in children["records"] + rest["records"]}
    assert len(seen) == 7
    assert rest["records"][0]["attributes"]["type"] == "OpportunityLineItem"


def test_a_locator_ends_after_two_days_and_belongs_to_its_org(org):
    org.seed("Account", *({"Name": f"Account {number}"} for number in range(250)))
    headers = {"Sforce-Query-Options": "batchSize=200"}
    url = org.call("GET", "query", params={"q": "SELECT Id FROM Account"}, headers=headers).json()["nextRecordsUrl"]
    org.advance(days=2, minutes=1)
    org.login()
    answer = org.call("GET", url)
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "INVALID_QUERY_LOCATOR")


def test_a_row_deleted_for_good_between_pages_is_not_there_any_more(org):
    ids = org.deal()
    lines = [{"OpportunityId": ids["opportunity"], "Quantity": 1, "UnitPrice": number} for number in range(300)]
    made = org.seed("OpportunityLineItem", *lines)
    headers = {"Sforce-Query-Options": "batchSize=200"}
    first = org.call("GET", "query", params={"q": "SELECT Id FROM OpportunityLineItem"}, headers=headers).json()
    gone = next(iter(set(made) - {row["Id"] for row in first["records"]}))
    org.call("DELETE", f"sobjects/OpportunityLineItem/{gone}")
    rest = org.call("GET", first["nextRecordsUrl"]).json()
    assert len(first["records"]) + len(rest["records"]) == 301


# rows


def test_upsert_by_external_id_creates_then_updates(org):
    path = "sobjects/Account/QuickBooks_Customer_Id__c/42%2Fa"
    made = org.call("PATCH", path, {"Name": "Acme"})
    assert (made.status_code, made.json()["created"]) == (201, True)
    again = org.call("PATCH", path, {"Name": "Acme 2"})
    assert (again.status_code, again.json()) == (
        200,
        {"id": made.json()["id"], "success": True, "errors": [], "created": False},
    )
    assert org.call("PATCH", f"/services/data/v45.0/{path}", {"Name": "x"}).status_code == 204
    assert org.call("GET", path).json()["QuickBooks_Customer_Id__c"] == "42/a"
    assert org.call("PATCH", "sobjects/Account/Name/x", {}).status_code == 404
    assert org.call("PATCH", path, {"QuickBooks_Customer_Id__c": "42/a"}).status_code == 400
    missing = org.call("PATCH", "sobjects/Account/QuickBooks_Customer_Id__c/43?updateOnly=true", {"Name": "x"})
    assert missing.status_code == 404


def test_an_external_id_held_twice_answers_300(org):
    twice = {"Name": "x", "QuickBooks_Customer_Id__c": "7"}
    ids = org.seed("Account", twice, twice)
    answer = org.call("PATCH", "sobjects/Account/QuickBooks_Customer_Id__c/7", {"Name": "y"})
    assert answer.status_code == 300
    assert sorted(answer.json()) == sorted(f"/services/data/v66.0/sobjects/Account/{each}" for each in ids)


def test_a_parent_can_be_named_by_its_external_id(org):
    ids = org.deal()
    org.seed("Account", {"Name": "Other", "QuickBooks_Customer_Id__c": "77"})
    path = f"sobjects/Opportunity/{ids['opportunity']}"
    assert org.call("PATCH", path, {"Account": {"QuickBooks_Customer_Id__c": "77"}}).status_code == 204
    assert org.rows("SELECT Account.Name FROM Opportunity")[0]["Account"]["Name"] == "Other"
    assert org.call("PATCH", path, {"Account": {"QuickBooks_Customer_Id__c": "78"}}).status_code == 400


def test_conditional_requests(org):
    ids = org.deal()
    path = f"sobjects/Opportunity/{ids['opportunity']}"
    before, after = "Wed, 01 Apr 2026 11:59:59 GMT", "Wed, 01 Apr 2026 12:00:00 GMT"
    assert org.call("GET", path, headers={"If-Modified-Since": after}).status_code == 304
    assert org.call("GET", path, headers={"If-Modified-Since": before}).status_code == 200
    late = org.call("PATCH", path, {"NextStep": "x"}, headers={"If-Unmodified-Since": before})
    assert (late.status_code, late.json()[0]["errorCode"]) == (412, "PRECONDITION_FAILED")
    assert org.call("PATCH", path, {"NextStep": "x"}, headers={"If-Unmodified-Since": after}).status_code == 204
    assert org.call("PATCH", path, {"NextStep": "x"}, headers={"If-Unmodified-Since": "soon"}).status_code == 400


def test_an_empty_id_is_a_method_that_is_not_allowed(org):
    assert org.call("PATCH", "sobjects/Opportunity/", {"NextStep": "x"}).status_code == 405


@pytest.mark.parametrize("body", [b"", b"[", b"[]", b'"x"', b"\xff"])
def test_a_body_that_is_no_json_object_is_refused(org, body):
    headers = {"Authorization": f"Bearer {org.token}"}
    answer = requests.post(f"{org.url}/services/data/v66.0/sobjects/Account", data=body, headers=headers)
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "JSON_PARSER_ERROR")


def test_updated_and_deleted_tell_ids_of_a_window(org):
    ids = org.deal()
    org.advance(minutes=10)
    org.call("DELETE", f"sobjects/OpportunityLineItem/{ids['line']}")
    org.advance(minutes=10)
    window = {"start": "2026-04-01T12:05:59+00:00", "end": "2026-04-01T12:30:30+00:00"}
    updated = org.call("GET", "sobjects/Opportunity/updated/", params=window).json()
    assert updated == {"ids": [ids["opportunity"]], "latestDateCovered": "2026-04-01T12:20:00.000+0000"}
    deleted = org.call("GET", "sobjects/OpportunityLineItem/deleted/", params=window).json()
    assert deleted["deletedRecords"] == [{"id": ids["line"], "deletedDate": "2026-04-01T12:10:00.000+0000"}]
    for start, end in [
        ("2026-04-01T12:05:00+00:00", "2026-04-01T12:05:59+00:00"),
        ("2026-01-01T12:05:00+00:00", "2026-04-01T12:05:59+00:00"),
        ("2026-04-01T12:05:00", "2026-04-01T12:15:00"),
    ]:
        refused = org.call("GET", "sobjects/Opportunity/updated/", params={"start": start, "end": end})
        assert refused.json()[0]["errorCode"] == "INVALID_REPLICATION_DATE"


# collections


def _rows(kind, *records):
    return [{"attributes": {"type": kind}, **record} for record in records]


def test_a_collection_update_tells_each_row_in_order_and_answers_200(org):
    ids = org.deal()
    records = _rows(
        "Opportunity",
        {"id": ids["opportunity"][:15], "Invoice_Balance__c": Decimal("12.34"), "Payment_Status__c": "Sent"},
        {"id": "0065g0zzzzzzzzzAAA", "NextStep": "x"},
        {"id": "nonsense", "NextStep": "x"},
        {"id": ids["account"], "NextStep": "x"},
        {"NextStep": "x"},
        {"id": ids["opportunity"], "NextStep": "again"},
    )
    answer = org.call("PATCH", "composite/sobjects", {"allOrNone": False, "records": records})
    assert answer.status_code == 200
    assert answer.json()[0] == {"id": ids["opportunity"], "success": True, "errors": []}
    assert _codes(answer) == [
        "INVALID_CROSS_REFERENCE_KEY",
        "MALFORMED_ID",
        "MALFORMED_ID",
        "MISSING_ARGUMENT",
        "DUPLICATE_VALUE",
    ]
    assert all("id" not in row for row in answer.json()[1:])
    assert org.rows("SELECT Invoice_Balance__c FROM Opportunity")[0]["Invoice_Balance__c"] == Decimal("12.34")


def test_all_or_none_rolls_the_innocent_back(org):
    ids = org.deal()
    records = _rows("Opportunity", {"id": ids["opportunity"], "NextStep": "x"}, {"id": ids["opportunity"], "NextStep": "y"})
    answer = org.call("PATCH", "composite/sobjects", {"allOrNone": True, "records": records})
    assert answer.status_code == 200
    assert _codes(answer) == ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "DUPLICATE_VALUE"]
    assert org.rows("SELECT NextStep FROM Opportunity")[0]["NextStep"] is None
    made = org.call("POST", "composite/sobjects", {"allOrNone": True, "records": _rows("Account", {"Name": "A"}, {})})
    assert _codes(made) == ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "REQUIRED_FIELD_MISSING"]
    assert len(org.rows("SELECT Id FROM Account")) == 1


@pytest.mark.parametrize(
    ("records", "code"),
    [
        (_rows("Account", {"Name": "A"}, {"Nmae": "B"}), "INVALID_FIELD"),
        (_rows("Account", {"Name": "A"}, {"Name": 5}), "JSON_PARSER_ERROR"),
        (_rows("Account", *({"Name": "A"} for _ in range(201))), "EXCEEDED_MAX_SIZE_REQUEST"),
        ([*_rows("Account", {"Name": "A"}), *_rows("Contact", {"LastName": "B"})] * 6, "LIMIT_EXCEEDED"),
        ([{"Name": "A"}], "INVALID_INPUT"),
        (_rows("Nothing", {"Name": "A"}), "INVALID_TYPE"),
        ([], "REQUIRED_FIELD_MISSING"),
    ],
)
def test_a_collection_that_is_wrong_as_a_whole_is_refused_as_a_whole(org, records, code):
    answer = org.call("POST", "composite/sobjects", {"records": records})
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, code)
    assert org.rows("SELECT Id FROM Account") == []


def test_a_collection_upsert_uses_the_key_in_the_rows(org):
    org.seed("Account", {"Name": "Old", "QuickBooks_Customer_Id__c": "1"})
    records = _rows("Account", {"Name": "New", "QuickBooks_Customer_Id__c": "1"}, {"Name": "B", "QuickBooks_Customer_Id__c": "2"})
    answer = org.call("PATCH", "composite/sobjects/Account/QuickBooks_Customer_Id__c", {"records": records})
    assert [row["created"] for row in answer.json()] == [False, True]
    assert sorted(row["Name"] for row in org.rows("SELECT Name FROM Account")) == ["B", "New"]


def test_a_collection_delete(org):
    first, second = org.seed("Account", {"Name": "A"}, {"Name": "B"})
    answer = org.call("DELETE", "composite/sobjects", params={"ids": f"{first},{first},{second}", "allOrNone": "false"})
    assert [row["success"] for row in answer.json()] == [True, False, True]


def test_a_retrieve_keeps_the_order_and_answers_null_for_what_is_missing(org):
    first, second, third = org.seed("Account", {"Name": "A"}, {"Name": "B"}, {"Name": "C"})
    org.call("DELETE", f"sobjects/Account/{second}")
    body = {"ids": [third, second, "0015g0zzzzzzzzzAAA", first[:15]], "fields": ["Id", "Name", "Owner.Name"]}
    answer = org.call("POST", "composite/sobjects/Account", body).json()
    assert [row and row["Name"] for row in answer] == ["C", None, None, "A"]
    assert answer[0]["attributes"]["type"] == "Account"
    got = org.call("GET", "composite/sobjects/Account", params={"ids": f"{first},{third}", "fields": "Name"}).json()
    assert [row["Name"] for row in got] == ["A", "C"]
    assert org.call("POST", "composite/sobjects/Account", {"ids": [first], "fields": ["Foo"]}).status_code == 400
    too_many = org.call("POST", "composite/sobjects/Account", {"ids": [first] * 2001, "fields": ["Id"]})
    assert too_many.status_code == 400


# composite


def _sub(reference, method, url, body=None):
    return {"referenceId": reference, "method": method, "url": f"/services/data/v66.0/{url}"} | ({"body": body} if body else {})


def test_a_composite_refers_to_earlier_answers(org):
    requests_ = [
        _sub("acc", "PATCH", "sobjects/Account/QuickBooks_Customer_Id__c/C-9", {"Name": "Acme"}),
        _sub("con", "POST", "sobjects/Contact", {"LastName": "Ng", "AccountId": "@{acc.id}"}),
        _sub("all", "GET", "query?q=SELECT+Id+FROM+Contact+WHERE+AccountId='@{acc.id}'"),
        _sub("one", "GET", "sobjects/Contact/@{all.records[0].Id}?fields=Name"),
        _sub("desc", "GET", "sobjects/Account/describe"),
        _sub("bad", "GET", "sobjects/Contact/@{nope.id}"),
    ]
    answer = org.call("POST", "composite", {"compositeRequest": requests_})
    assert answer.status_code == 200
    found = {row["referenceId"]: row for row in answer.json()["compositeResponse"]}
    assert [found[name]["httpStatusCode"] for name in ("acc", "con", "all", "one", "desc", "bad")] == [
        201,
        201,
        200,
        200,
        200,
        400,
    ]
    assert found["acc"]["httpHeaders"]["Location"].endswith(found["acc"]["body"]["id"])
    assert found["one"]["body"]["Name"] == "Ng"
    assert found["bad"]["body"][0]["errorCode"] == "PROCESSING_HALTED"


def test_a_composite_of_all_or_none_keeps_nothing(org):
    requests_ = [
        _sub("a", "POST", "sobjects/Account", {"Name": "A"}),
        _sub("many", "POST", "composite/sobjects", {"records": _rows("Account", {"Name": "B"})}),
        _sub("b", "POST", "sobjects/Account", {"Nmae": "C"}),
        _sub("c", "POST", "sobjects/Account", {"Name": "D"}),
    ]
    answer = org.call("POST", "composite", {"allOrNone": True, "compositeRequest": requests_})
    assert answer.status_code == 200
    a, many, b, c = answer.json()["compositeResponse"]
    assert (a["httpStatusCode"], a["body"][0]["errorCode"]) == (400, "PROCESSING_HALTED")
    assert many["body"][0]["success"] is True  # the documented trap
    assert b["body"][0]["errorCode"] == "INVALID_FIELD"
    assert c["body"][0]["errorCode"] == "PROCESSING_HALTED"
    assert org.rows("SELECT Id FROM Account") == []


@pytest.mark.parametrize(
    "subrequests",
    [
        [_sub(f"r{number}", "GET", "limits") for number in range(26)],
        [_sub(f"r{number}", "GET", "query?q=SELECT+Id+FROM+Account") for number in range(6)],
        [_sub("same", "GET", "limits"), _sub("same", "GET", "limits")],
        [],
    ],
)
def test_a_composite_beyond_its_limits_is_refused(org, subrequests):
    assert org.call("POST", "composite", {"compositeRequest": subrequests}).status_code == 400


def test_a_batch_runs_on_or_halts(org):
    subrequests = [
        {"method": "POST", "url": "v66.0/sobjects/Account", "richInput": {"Name": "A"}},
        {"method": "GET", "url": "v66.0/sobjects/Account/0015g0zzzzzzzzzAAA"},
        {"method": "GET", "url": "v66.0/limits"},
    ]
    on = org.call("POST", "composite/batch", {"batchRequests": subrequests}).json()
    assert (on["hasErrors"], [row["statusCode"] for row in on["results"]]) == (True, [201, 404, 200])
    halted = org.call("POST", "composite/batch", {"batchRequests": subrequests, "haltOnError": True}).json()
    assert [row["statusCode"] for row in halted["results"]] == [201, 404, 412]
    assert halted["results"][2]["result"][0]["errorCode"] == "BATCH_PROCESSING_HALTED"


def test_ten_thousand_deals_are_read_in_pages_and_written_in_collections(org):
    stamps = [f"{NOW - timedelta(minutes=number):%Y-%m-%dT%H:%M:%SZ}" for number in range(10_000)]
    deals = [
        {"Name": f"D{n}", "StageName": "Closed Won", "CloseDate": "2026-03-01", "SystemModstamp": s} for n, s in enumerate(stamps)
    ]
    ids = upsert_records(org.store, org.clock, "Opportunity", deals)
    sizes, rows = _everything(org, "SELECT Id, Name, Amount, SystemModstamp FROM Opportunity")
    assert sizes == [2000] * 5
    assert {row["Id"] for row in rows} == set(ids)
    recent = org.rows("SELECT Id FROM Opportunity WHERE SystemModstamp >= 2026-04-01T11:00:00Z")
    assert len(recent) == 61
    records = _rows("Opportunity", *({"id": each, "Payment_Status__c": "Paid"} for each in ids[:200]))
    assert all(row["success"] for row in org.call("PATCH", "composite/sobjects", {"records": records}).json())
