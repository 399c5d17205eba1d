from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from qbsf_pipeline.errors import AccessRefused, ServiceUnavailable
from qbsf_pipeline.quickbooks.objects import DELETED_STUB_HASH, ENTITIES, entity_named, fields_hash
from qbsf_pipeline.quickbooks.pull import QuickBooksPull, pull_quickbooks
from qbsf_pipeline.settings import load_rules
from qbsf_pipeline.warehouse.tables import KnownRecord, WarehouseView, Watermark
from qbsf_pipeline_tests.quickbooks.service import HTML, Answer, Request, Service, answer, fault

RULES = load_rules()
#: QuickBooks' clock stands an hour before ours, to see which one is taken.
NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
SERVER_NOW = NOW - timedelta(hours=1)
LISTS = {entity.name for entity in ENTITIES if entity.list_entity}


class Books:
    """A small company: objects by entity, deletions, and the answers to query, count, cdc and the two single records."""

    def __init__(self, service: Service) -> None:
        self.objects: dict[str, list[dict]] = {entity.name: [] for entity in ENTITIES}
        self.deleted: list[tuple[str, str, datetime]] = []
        self.clock = SERVER_NOW
        self.cap = 1000
        self.service = service
        self.refused: dict[str, Answer] = {}
        self.calls: list[str] = []
        service.reply = self.reply

    def put(self, entity: str, record_id: str, at: datetime, **fields: object) -> None:
        self.objects[entity].append(
            {"Id": record_id, "SyncToken": "0", "MetaData": {"LastUpdatedTime": at.isoformat()}, **fields}
        )

    def delete(self, entity: str, record_id: str, at: datetime) -> None:
        self.objects[entity] = [each for each in self.objects[entity] if each["Id"] != record_id]
        self.deleted.append((entity, record_id, at))

    def reply(self, request: Request) -> Answer:
        self.clock += timedelta(seconds=30)
        time = self.clock.isoformat(timespec="milliseconds")
        if request.path.endswith("/preferences"):
            self.calls.append("Preferences")
            return answer({"Preferences": {"Id": "1"}, "time": time})
        if "/companyinfo/" in request.path:
            self.calls.append("CompanyInfo")
            return answer({"CompanyInfo": {"Id": "1", "CompanyName": "Larry's"}, "time": time})
        if request.path.endswith("/cdc"):
            return self.cdc(request, time)
        entity = re.search(r"FROM (\w+)", request.text).group(1)
        self.calls.append(("count " if "count(*)" in request.text else "query ") + entity)
        if entity in self.refused:
            return self.refused[entity]
        rows = self.objects[entity]
        if entity in LISTS and "Active IN" not in request.text:
            rows = [row for row in rows if row.get("Active", True)]
        since = re.search(r"LastUpdatedTime >= '([^']+)'", request.text)
        if since:
            rows = [row for row in rows if _modified(row) >= datetime.fromisoformat(since.group(1))]
        if "count(*)" in request.text:
            return answer({"QueryResponse": {"totalCount": len(rows)}, "time": time})
        start, size = map(int, re.search(r"STARTPOSITION (\d+) MAXRESULTS (\d+)", request.text).groups())
        page = rows[start - 1 : start - 1 + size]
        return answer({"QueryResponse": {entity: page} if page else {}, "time": time})

    def cdc(self, request: Request, time: str) -> Answer:
        asked = request.query["entities"].split(",")
        self.calls.append(f"cdc {len(asked)}")
        for entity in asked:
            if f"cdc {entity}" in self.refused:
                return self.refused[f"cdc {entity}"]
        since = datetime.fromisoformat(request.query["changedSince"])
        blocks, left = [], self.cap
        for entity in asked:
            rows: list[dict] = [row for row in self.objects[entity] if _modified(row) >= since]
            rows += [{"Id": i, "status": "Deleted"} for e, i, at in self.deleted if e == entity and at >= since]
            if rows[:left]:
                blocks.append({entity: rows[:left], "maxResults": len(rows)})
            left -= len(rows[:left])
        return answer({"CDCResponse": [{"QueryResponse": blocks or [{}]}], "time": time})


def _modified(row: dict) -> datetime:
    return datetime.fromisoformat(row["MetaData"]["LastUpdatedTime"])


@pytest.fixture
def books(service: Service) -> Books:
    return Books(service)


def view_after(**ages: timedelta) -> WarehouseView:
    """Every table read whole a minute ago; others at the given age."""
    marks = {}
    for entity in ENTITIES:
        name = f"quickbooks.{entity.table.name}"
        at = SERVER_NOW - ages.get(entity.table.name, timedelta(minutes=1))
        marks[name] = Watermark(name, at, SERVER_NOW - timedelta(minutes=1), fields_hash(entity.table))
    return WarehouseView(marks)


def rows(pulled: QuickBooksPull, table: str) -> list[dict]:
    return next(each for each in pulled.tables if each.table.name == table).frame.to_dicts()


def complete(pulled: QuickBooksPull) -> set[str]:
    return {each.table.name for each in pulled.tables if each.complete}


def test_the_first_pull_reads_every_table_whole_inactive_rows_too(books, client):
    books.put("Customer", "1", SERVER_NOW, DisplayName="Gone Ltd", Active=False)
    books.put("Invoice", "9", SERVER_NOW - timedelta(days=900), TotalAmt=5)
    pulled = pull_quickbooks(client, RULES, WarehouseView({}), full=False, now=NOW)
    assert complete(pulled) == {entity.table.name for entity in ENTITIES}
    assert [row["active"] for row in rows(pulled, "customer")] == [False]
    assert [row["id"] for row in rows(pulled, "invoice")] == ["9"]
    assert pulled.reads == 18 == len(books.calls)


def test_the_watermark_is_quickbooks_clock_in_the_first_answer(books, client):
    pulled = pull_quickbooks(client, RULES, WarehouseView({}), full=True, now=NOW)
    assert pulled.server_time == SERVER_NOW + timedelta(seconds=30)
    assert {each.watermark for each in pulled.tables} == {pulled.server_time}
    assert {each.fields_hash for each in pulled.tables} == {fields_hash(entity.table) for entity in ENTITIES}


def test_an_idle_pass_is_one_read(books, client, meter):
    pulled = pull_quickbooks(client, RULES, view_after(), full=False, now=NOW)
    assert books.calls == ["cdc 15"]
    assert pulled.reads == 1 == meter.total("quickbooks", metered_only=True)
    assert all(each.frame.is_empty() and not each.complete for each in pulled.tables)
    assert len(pulled.tables) == 15


def test_changes_and_deletions_come_from_one_read(books, client):
    books.put("Invoice", "9", SERVER_NOW - timedelta(minutes=5), TotalAmt=12)
    books.put("Invoice", "1", SERVER_NOW - timedelta(days=5), TotalAmt=12)
    books.delete("Payment", "3", SERVER_NOW - timedelta(minutes=2))
    pulled = pull_quickbooks(client, RULES, view_after(), full=False, now=NOW)
    assert books.calls == ["cdc 15"]
    assert [row["id"] for row in rows(pulled, "invoice")] == ["9"]
    (stub,) = rows(pulled, "payment")
    known = {key: value for key, value in stub.items() if value is not None}
    assert known == {"id": "3", "is_deleted": True, "content_hash": DELETED_STUB_HASH, "extracted_at": NOW}


def test_the_window_begins_at_the_oldest_watermark_less_the_overlap(books, client, service):
    pull_quickbooks(client, RULES, view_after(payment=timedelta(hours=3)), full=False, now=NOW)
    since = datetime.fromisoformat(service.requests[0].query["changedSince"])
    assert since == SERVER_NOW - timedelta(hours=3, minutes=10)


def test_settings_are_read_again_when_they_are_old(books, client):
    age = timedelta(hours=RULES.pull.settings_every_hours)
    pulled = pull_quickbooks(client, RULES, view_after(preferences=age, tax_code=age), full=False, now=NOW)
    assert books.calls == ["cdc 15", "Preferences", "query TaxCode"]
    assert complete(pulled) == {"preferences", "tax_code"}


def test_a_table_with_other_columns_is_read_whole_and_the_others_are_not(books, client):
    view = view_after()
    marks = dict(view.watermarks)
    marks["quickbooks.item"] = replace(marks["quickbooks.item"], fields_hash="of an older version")
    pulled = pull_quickbooks(client, RULES, WarehouseView(marks), full=False, now=NOW)
    assert books.calls == ["cdc 14", "query Item"]
    assert complete(pulled) == {"item"}


def test_a_pull_from_before_what_quickbooks_remembers_is_whole(books, client):
    pulled = pull_quickbooks(client, RULES, view_after(invoice=timedelta(days=29)), full=False, now=NOW)
    assert complete(pulled) == {"invoice"}
    assert any("Invoice" in note for note in pulled.notes)


def test_tables_are_read_whole_every_week(books, client):
    marks = {
        name: replace(mark, last_full_at=NOW - timedelta(hours=RULES.pull.full_every_hours))
        for name, mark in view_after().watermarks.items()
    }
    pulled = pull_quickbooks(client, RULES, WarehouseView(marks), full=False, now=NOW)
    assert complete(pulled) == {entity.table.name for entity in ENTITIES if entity.in_cdc} | {"preferences"}
    # A long table is answered in many pages, so the clock is taken from an answer before it.
    assert books.calls[0] == "Preferences"
    assert pulled.server_time == SERVER_NOW + timedelta(seconds=30)


def many(books: Books, count: int, known: int = 0) -> dict[str, KnownRecord]:
    for n in range(known):
        books.put("Invoice", f"old{n}", SERVER_NOW - timedelta(days=40))
    for n in range(count):
        books.put("Invoice", f"new{n}", SERVER_NOW - timedelta(minutes=3))
    return {f"old{n}": KnownRecord(None, "hash") for n in range(known)}


def test_more_changes_than_fit_are_read_by_stamp_in_pages(books, client):
    known = many(books, 1200, known=7)
    books.delete("Payment", "3", SERVER_NOW - timedelta(minutes=2))
    view = WarehouseView(view_after().watermarks, lambda _table: known)
    pulled = pull_quickbooks(client, RULES, view, full=False, now=NOW)
    assert {row["id"] for row in rows(pulled, "invoice")} == {f"new{n}" for n in range(1200)}
    assert [row["id"] for row in rows(pulled, "payment")] == ["3"]
    assert complete(pulled) == set()
    assert Counter(books.calls) == {"cdc 15": 1, "cdc 1": 15, "query Invoice": 2, "count Invoice": 1}
    assert pulled.server_time == SERVER_NOW + timedelta(seconds=30)


def test_a_deletion_that_was_cut_off_is_found_by_counting(books, client):
    known = many(books, 1200, known=7)
    books.delete("Invoice", "old3", SERVER_NOW - timedelta(minutes=2))
    known["gone"] = KnownRecord(None, DELETED_STUB_HASH)
    view = WarehouseView(view_after().watermarks, lambda _table: known)
    pulled = pull_quickbooks(client, RULES, view, full=False, now=NOW)
    assert complete(pulled) == {"invoice"}
    assert len(rows(pulled, "invoice")) == 1206


def test_a_kind_that_change_data_capture_does_not_take_is_read_by_stamp(books, client):
    books.refused["cdc Employee"] = fault("2010", "Request has invalid or unsupported property", "Employee")
    books.put("Invoice", "9", SERVER_NOW - timedelta(minutes=5))
    pulled = pull_quickbooks(client, RULES, view_after(), full=False, now=NOW)
    assert [row["id"] for row in rows(pulled, "invoice")] == ["9"]
    assert "query Employee" in books.calls
    assert any("Employee" in note for note in pulled.notes)


OPTIONAL = ["Class", "Department", "Employee", "TaxCode", "Deposit", "JournalEntry", "RefundReceipt", "PaymentMethod"]


def view_of(pulled: QuickBooksPull, age: timedelta = timedelta(0)) -> WarehouseView:
    """The warehouse after a pull of everything."""
    marks = {}
    for each in pulled.tables:
        name = f"quickbooks.{each.table.name}"
        marks[name] = Watermark(name, NOW - age, NOW, each.fields_hash)
    return WarehouseView(marks)


@pytest.mark.parametrize("entity", OPTIONAL)
@pytest.mark.parametrize("code", ["5030", "5020", "4001"])
def test_a_list_that_the_company_does_not_have_is_empty_and_noted(books, client, entity, code):
    books.refused[entity] = fault(code, "Feature Not Supported Error")
    pulled = pull_quickbooks(client, RULES, WarehouseView({}), full=False, now=NOW)
    assert rows(pulled, entity_named(entity).table.name) == []
    assert any(entity in note for note in pulled.notes)


def test_what_the_company_does_not_have_is_asked_for_once_a_day_and_an_idle_pass_stays_one_read(books, client):
    lacking = [entity for entity in OPTIONAL if entity != "TaxCode"]
    for entity in OPTIONAL:
        books.refused[entity] = books.refused[f"cdc {entity}"] = fault("4001", "QueryValidationError")
    pulled = pull_quickbooks(client, RULES, WarehouseView({}), full=False, now=NOW)
    books.calls.clear()
    assert pull_quickbooks(client, RULES, view_of(pulled), full=False, now=NOW).reads == 1
    assert books.calls == [f"cdc {15 - len(lacking)}"]
    books.refused.clear()
    books.calls.clear()
    later = pull_quickbooks(client, RULES, view_of(pulled, timedelta(hours=RULES.pull.settings_every_hours)), full=False, now=NOW)
    assert set(books.calls) >= {f"query {entity}" for entity in lacking}
    assert {each.fields_hash for each in later.tables} == {fields_hash(each.table) for each in later.tables}


def test_an_optional_kind_whose_changes_are_not_told_does_not_cost_every_pass_a_question_of_its_own(books, client):
    books.refused["cdc RefundReceipt"] = fault("4001", "QueryValidationError")
    books.put("RefundReceipt", "7", SERVER_NOW, TotalAmt=5)
    books.put("Payment", "8", SERVER_NOW, TotalAmt=5)
    first = pull_quickbooks(client, RULES, view_after(), full=False, now=NOW)
    assert [row["id"] for row in rows(first, "refund_receipt")] == ["7"]
    assert [row["id"] for row in rows(first, "payment")] == ["8"]
    assert complete(first) == {"refund_receipt"}
    books.calls.clear()
    pull_quickbooks(client, RULES, view_of(first), full=False, now=NOW)
    assert books.calls[0] == "cdc 14"
    assert not any("RefundReceipt" in call for call in books.calls)


@pytest.mark.parametrize(("entity", "code"), [("Invoice", "5020"), ("Class", "6190"), ("Customer", "3100")])
def test_what_must_be_read_and_cannot_stops_the_pull(books, client, entity, code):
    books.refused[entity] = fault(code, "No")
    with pytest.raises(AccessRefused):
        pull_quickbooks(client, RULES, WarehouseView({}), full=False, now=NOW)


def test_quickbooks_being_down_stops_the_pull(service, client):
    service.reply = lambda _request: HTML
    with pytest.raises(ServiceUnavailable):
        pull_quickbooks(client, RULES, view_after(), full=False, now=NOW)
