"""Envelopes, batches, change data capture, repeated requests and limits."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
import requests
import simplejson

from qbsf_pipeline.sandbox.quickbooks import behave, server_error, state, throttled, token_expired
from qbsf_pipeline.sandbox.store import Store
from qbsf_pipeline_tests.sandbox.quickbooks.conftest import Books, invoice_of, payment_of, with_trade


def _batch(books: Books, *items: dict, **params: str) -> list[dict]:
    return books.ok("POST", "batch", {"BatchItemRequest": list(items)}, **params)["BatchItemResponse"]


def test_items_of_a_batch_stand_alone(books: Books) -> None:
    invoice = books.create("Invoice", invoice_of())
    answers = _batch(
        books,
        {"bId": "a", "operation": "create", "Invoice": invoice_of("1", "7")},
        {"bId": "b", "operation": "create", "Vendor": {"DisplayName": "Müller GmbH"}},
        {"bId": "c", "operation": "delete", "Invoice": {"Id": "99", "SyncToken": "0"}},
        {"bId": "d", "operation": "update", "Invoice": {"Id": "1", "SyncToken": "9", "sparse": True}},
        {"bId": "e", "operation": "update", "optionsData": "void", "Invoice": {"Id": "1", "SyncToken": "0"}},
        {"bId": "f", "Query": "select * from Invoice where TotalAmt > '5.00'"},
        {"bId": "g", "Query": "select * from Nothing"},
        {"bId": "h", "operation": "void", "Invoice": {"Id": invoice["Id"], "SyncToken": "0"}},
        {"bId": "i", "operation": "create"},
    )
    assert [answer["bId"] for answer in answers] == list("abcdefghi")
    assert answers[0]["Invoice"]["TotalAmt"] == Decimal(7)
    codes = [answer["Fault"]["Error"][0]["code"] if "Fault" in answer else None for answer in answers]
    assert codes == [None, "6240", "610", "5010", None, None, "4000", "500", "2010"]
    assert [row["Id"] for row in answers[5]["QueryResponse"]["Invoice"]] == ["2"]


def test_a_batch_of_more_than_thirty_is_refused_whole(books: Books) -> None:
    items = [{"bId": str(number), "operation": "create", "Invoice": invoice_of()} for number in range(31)]
    assert books.refused("POST", "batch", {"BatchItemRequest": items})["code"] == "1040"
    assert "Invoice" not in state(books.store)
    assert len(_batch(books, *items[:30])) == 30


def test_the_same_requestid_gets_the_same_answer_whatever_happened_since(books: Books) -> None:
    first = books.call("POST", "invoice", invoice_of(), requestid="r-1")
    again = books.call("POST", "invoice", invoice_of("2", "5"), requestid="r-1")
    assert again.text == first.text
    books.ok("POST", "invoice", {"Id": "1", "SyncToken": "0"}, operation="delete")
    assert books.call("POST", "invoice", invoice_of(), requestid="r-1").text == first.text
    assert books.query("select count(*) from Invoice") == {"totalCount": 0}
    assert books.create("Invoice", invoice_of(), requestid="r-2")["Id"] == "2"
    books.clock.advance(timedelta(hours=24))
    books.connect()
    assert books.create("Invoice", invoice_of(), requestid="r-1")["Id"] == "3"


def test_a_refusal_is_not_remembered(books: Books) -> None:
    assert books.refused("POST", "invoice", invoice_of("99"), requestid="r-1")["code"] == "2500"
    assert books.create("Invoice", invoice_of(), requestid="r-1")["Id"] == "1"


def test_a_batch_is_remembered_too(books: Books) -> None:
    item = {"bId": "1", "operation": "create", "Invoice": invoice_of()}
    first = _batch(books, item, requestid="b-1")
    assert _batch(books, item, requestid="b-1") == first
    assert books.query("select count(*) from Invoice") == {"totalCount": 1}


def test_sending_is_remembered_too(books: Books) -> None:
    books.create("Invoice", invoice_of("1", BillEmail={"Address": "a@b.example"}))
    for _ in range(2):
        books.ok("POST", "invoice/1/send", requestid="s-1")
    assert len(books.store.documents("mail")) == 1


@pytest.mark.parametrize(
    ("path", "request_id", "b_id"),
    [("invoice", "x" * 51, ""), ("invoice", "", ""), ("batch", "x" * 37, "1"), ("batch", "ok", "x" * 11)],
)
def test_an_id_of_a_wrong_form_is_refused(books: Books, path: str, request_id: str, b_id: str) -> None:
    body = invoice_of()
    if path == "batch":
        body = {"BatchItemRequest": [{"bId": b_id, "operation": "create", "Invoice": invoice_of()}]}
    url = f"{books.company_url}/{path}?requestid={request_id}"
    text = simplejson.dumps(body, use_decimal=True)
    answer = requests.post(url, data=text, headers={"Authorization": f"Bearer {books.access_token}"}, timeout=5)
    assert answer.json()["Fault"]["Error"][0]["code"] == "2130"


def test_repeated_requests_survive_a_restart(open_books, tmp_path) -> None:
    path = tmp_path / "sandbox.sqlite"
    books = with_trade(open_books(store=Store(path), options={"strict_rotation": False}))
    first = books.call("POST", "invoice", invoice_of("1", "12.34"), requestid="r-1")
    books.store.close()
    store = Store(path)
    again = open_books(store=store)
    assert again.call("POST", "invoice", invoice_of("1", "12.34"), requestid="r-1").text == first.text
    assert again.read("Invoice", "1")["Balance"] == Decimal("12.34")
    assert again.create("Invoice", invoice_of())["DocNumber"] == "1002"
    assert again.refused("POST", "customer", {"DisplayName": "müller gmbh"})["code"] == "6240"


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b'{"TotalAmt": NaN}', b"", b'{"DocNumber": "\\ud800"}'])
def test_a_body_that_is_no_object_is_refused(books: Books, body: bytes) -> None:
    answer = requests.post(
        f"{books.company_url}/invoice",
        data=body,
        headers={"Authorization": f"Bearer {books.access_token}", "Content-Type": "application/json"},
        timeout=5,
    )
    assert answer.status_code == (500 if body == b"\xff" else 400)
    assert answer.headers["intuit_tid"]


@pytest.mark.parametrize("path", ["nothing", "nothing/1", "invoice/1/pdf", "upload", "reports/ProfitAndLoss"])
def test_an_unknown_address_is_not_found(books: Books, path: str) -> None:
    answer = books.call("GET", path)
    assert (answer.status_code, answer.content) == (404, b"")


# Change data capture ----------------------------------------------------------------------------------------------


def _changes(books: Books, entities: str, since: str) -> list[dict]:
    return books.ok("GET", "cdc", entities=entities, changedSince=since)["CDCResponse"][0]["QueryResponse"]


def test_changes_since_a_moment_come_by_entity_with_deleted_stubs_last(books: Books) -> None:
    books.clock.advance(timedelta(minutes=10))
    since = "2026-11-22T20:05:00Z"
    assert _changes(books, "Invoice,Customer", since) == [{}]
    books.create("Invoice", invoice_of())
    books.create("Invoice", invoice_of())
    books.create("Payment", payment_of("1"))
    books.ok("POST", "invoice", {"Id": "1", "SyncToken": "0"}, operation="delete")
    books.ok("POST", "payment", {"Id": "3", "SyncToken": "0"}, operation="delete")
    invoices, payments = _changes(books, "Invoice,Payment,Customer", since)
    assert [each["Id"] for each in invoices["Invoice"]] == ["2", "1"]
    assert invoices["Invoice"][1]["status"] == "Deleted"
    assert (invoices["startPosition"], invoices["maxResults"]) == (1, 2)
    assert "startPosition" not in payments
    assert payments["Payment"][0]["MetaData"]["LastUpdatedTime"] == "2026-11-22T12:10:00-08:00"


def test_a_customer_made_inactive_does_not_appear_among_the_changes(books: Books) -> None:
    assert len(_changes(books, "Customer", "2026-11-22T12:00:00-08:00")[0]["Customer"]) == 2
    books.create("Customer", {"Id": "2", "SyncToken": "0", "sparse": True, "Active": False})
    found = _changes(books, "Customer", "2026-11-22T12:00:00-08:00")[0]["Customer"]
    assert [each["Id"] for each in found] == ["1"]


def test_more_than_a_thousand_changes_are_cut_over_all_entities(books: Books) -> None:
    books.seed("Customer", *({"DisplayName": f"C{number}"} for number in range(600)))
    books.seed("Vendor", *({"DisplayName": f"V{number}"} for number in range(600)))
    blocks = _changes(books, "Customer,Vendor,Item", "2026-11-22T00:00:00Z")
    assert [(block["maxResults"]) for block in blocks] == [602, 398]


@pytest.mark.parametrize(
    ("entities", "since"),
    [
        ("TaxCode", "2026-11-22T00:00:00Z"),
        ("Deal", "2026-11-22T00:00:00Z"),
        ("", "2026-11-22T00:00:00Z"),
        ("Invoice", ""),
        ("Invoice", "yesterday"),
        ("Invoice", "2026-10-23T19:00:00Z"),
    ],
)
def test_changes_that_cannot_be_asked_for_are_refused(books: Books, entities: str, since: str) -> None:
    assert books.call("GET", "cdc", entities=entities, changedSince=since).status_code == 400


# Limits -----------------------------------------------------------------------------------------------------------


def test_too_many_requests_are_answered_in_xml(open_books) -> None:
    books = open_books(options={"requests_per_minute": 3})
    codes = [books.call("GET", "preferences").status_code for _ in range(4)]
    assert codes == [200, 200, 200, 429]
    answer = books.call("GET", "preferences")
    assert answer.headers["content-type"].startswith("application/xml")
    assert "errorCode=003001" in answer.text
    assert answer.headers["intuit_tid"]
    behave(books.store, enforce_per_minute=False)
    assert books.call("GET", "preferences").status_code == 200


def test_batches_have_a_limit_of_their_own(open_books) -> None:
    books = open_books(options={"batches_per_minute": 2})
    body = {"BatchItemRequest": [{"bId": "1", "Query": "select * from Item"}]}
    assert [books.call("POST", "batch", body).status_code for _ in range(3)] == [200, 200, 429]
    assert books.call("GET", "preferences").status_code == 200


def test_calls_per_second_are_counted_only_when_asked_for(open_books) -> None:
    books = open_books(options={"requests_per_second": 2})
    assert {books.call("GET", "preferences").status_code for _ in range(5)} == {200}
    behave(books.store, enforce_per_second=True)
    assert 429 in {books.call("GET", "preferences").status_code for _ in range(5)}


def test_the_services_own_failures_look_like_quickbooks() -> None:
    assert (throttled().status_code, throttled().media_type or throttled().headers["content-type"]) == (
        429,
        "application/xml;charset=UTF-8",
    )
    assert token_expired().status_code == 401
    assert b'"code":"10000"' in server_error().body
    assert b"SystemFault" in server_error().body


# Recurring --------------------------------------------------------------------------------------------------------


def test_a_recurring_template_is_kept_found_and_deleted(books: Books) -> None:
    schedule = {"IntervalType": "Monthly", "NumInterval": 1, "DayOfMonth": 1, "StartDate": "2026-12-01"}
    info = {"Name": "Monthly", "Active": True, "RecurType": "Automated", "ScheduleInfo": schedule}
    made = books.create("RecurringTransaction", {"Invoice": invoice_of("1", "55", RecurringInfo=info)})["Invoice"]
    assert made["RecurDataRef"] == {"value": made["Id"]}
    assert made["RecurringInfo"]["ScheduleInfo"]["DayOfMonth"] == 1
    assert books.read("RecurringTransaction", made["Id"])["Invoice"] == made
    found = books.query("select * from RecurringTransaction where Type = 'Invoice' and Name = 'Monthly'")
    assert found["RecurringTransaction"] == [{"Invoice": made}]
    assert "Invoice" not in state(books.store)
    body = {"Invoice": {"Id": made["Id"], "SyncToken": "0"}}
    answer = books.ok("POST", "recurringtransaction", body, operation="delete")["RecurringTransaction"]
    assert answer == {"status": "Deleted", "domain": "QBO", "Invoice": {"Id": made["Id"]}}
    nameless = {"Invoice": invoice_of("1", "55", RecurringInfo={"RecurType": "Automated"})}
    assert books.refused("POST", "recurringtransaction", nameless)["code"] == "2020"
