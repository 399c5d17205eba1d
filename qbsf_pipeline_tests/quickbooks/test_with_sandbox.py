"""The door to QuickBooks against the built-in QuickBooks: a second opinion on what the service does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from qbsf_pipeline.api_meter import ApiMeter
from qbsf_pipeline.errors import OutcomeUnknown, RecordRefused, StaleRecord
from qbsf_pipeline.money import parse_json, to_json
from qbsf_pipeline.quickbooks import templates
from qbsf_pipeline.quickbooks.client import BatchItem, QuickBooksClient
from qbsf_pipeline.quickbooks.connection import QuickBooksConnection
from qbsf_pipeline.quickbooks.objects import DELETED_STUB_HASH, ENTITIES, invoice_marker, opportunity_in
from qbsf_pipeline.quickbooks.pace import Pace
from qbsf_pipeline.quickbooks.pull import pull_quickbooks
from qbsf_pipeline.sandbox.server import SandboxControl, SandboxProcess, start_sandbox
from qbsf_pipeline.settings import Environment, load_rules
from qbsf_pipeline.warehouse.tables import WarehouseView, Watermark
from qbsf_pipeline_tests.quickbooks.vault import FileVault

DEAL = "0068Z00001AbCdEQAV"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    with start_sandbox(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@pytest.fixture(scope="module")
def control(sandbox: SandboxProcess) -> SandboxControl:
    return SandboxControl(sandbox.url)


@pytest.fixture(scope="module")
def live(sandbox: SandboxProcess, tmp_path_factory: pytest.TempPathFactory) -> QuickBooksClient:
    variables = sandbox.environment()
    environment = Environment.model_validate(
        {name: variables[name.upper()] for name in Environment.model_fields if name.upper() in variables}
    )
    vault: Path = tmp_path_factory.mktemp("vault")
    meter = ApiMeter()
    connection = QuickBooksConnection(environment, FileVault(vault), meter)
    return QuickBooksClient(environment, connection, meter, Pace(100, 500, 40), sleep=lambda _seconds: None)


@pytest.fixture(autouse=True)
def no_faults(control: SandboxControl) -> Iterator[None]:
    yield
    control.clear_faults()


def customer_body(name: str) -> str:
    return to_json({"DisplayName": name, "PrimaryEmailAddr": {"Address": "a@example.com"}})


def invoice_body(live: QuickBooksClient, customer_id: str, note: str) -> str:
    item = next(item for item in live.query_all("Item", list_entity=True) if item.get("Active") and item["Type"] == "Service")
    line = {
        "DetailType": "SalesItemLineDetail",
        "Amount": Decimal("1234.56"),
        "Description": "Café “déjà vu” 🎉",
        "SalesItemLineDetail": {"ItemRef": {"value": item["Id"]}, "TaxCodeRef": {"value": "NON"}},
    }
    return to_json(
        {
            "CustomerRef": {"value": customer_id},
            "Line": [line],
            "PrivateNote": note,
            "BillEmail": {"Address": "a@example.com"},
        }
    )


def test_customer_and_invoice_are_created_found_mailed_and_never_created_twice(live, control):
    before = datetime.now(UTC) - timedelta(minutes=1)
    name = "O'Brien \\ Söhne 株式会社"
    created = live.batch([BatchItem("0", "create", "Customer", customer_body(name))], "batch-1")
    customer = created["0"]
    assert live.batch([BatchItem("0", "create", "Customer", customer_body(name))], "batch-1")["0"]["Id"] == customer["Id"]
    assert [(entity, record["Id"]) for entity, record in live.find_by_name(name)] == [("Customer", customer["Id"])]
    body = invoice_body(live, customer["Id"], invoice_marker(DEAL))
    invoice = live.create("Invoice", body, "invoice-1")
    assert live.create("Invoice", body, "invoice-1")["Id"] == invoice["Id"]
    assert invoice["TotalAmt"] == Decimal("1234.56")
    found = [each for each in live.invoices_created_since(before) if opportunity_in(each.get("PrivateNote")) == DEAL]
    assert [each["Id"] for each in found] == [invoice["Id"]]
    assert live.find_by_doc_number(invoice["DocNumber"])[0]["Id"] == invoice["Id"]
    assert live.send_invoice(invoice["Id"], "send-1")["EmailStatus"] == "EmailSent"
    assert live.read("Invoice", invoice["Id"])["EmailStatus"] == "EmailSent"
    stale = to_json({"Id": invoice["Id"], "SyncToken": "0", "sparse": True, "PrivateNote": "x"})
    with pytest.raises(StaleRecord):
        live.update("Invoice", stale, "update-1")
    taken = live.batch([BatchItem("0", "create", "Customer", customer_body(name))], "batch-2")["0"]
    assert isinstance(taken, RecordRefused)
    assert taken.code == "6240"


def test_an_invoice_whose_answer_was_lost_is_found_by_its_marker(live, control):
    before = datetime.now(UTC) - timedelta(minutes=1)
    customer = live.create("Customer", customer_body("Lost Answer Ltd"), "lost-customer")
    deal = "0068Z00001ZZZZZQAV"
    body = invoice_body(live, customer["Id"], invoice_marker(deal))
    control.fault("quickbooks", "create", "reset_after")
    with pytest.raises(OutcomeUnknown):
        live.create("Invoice", body, "lost-1")
    found = [each for each in live.invoices_created_since(before) if opportunity_in(each.get("PrivateNote")) == deal]
    assert len(found) == 1
    assert live.create("Invoice", body, "lost-1")["Id"] == found[0]["Id"]


@pytest.mark.parametrize("kind", ["throttle", "token_expired", "html", "reset_before", "error"])
def test_a_read_survives_what_the_service_does_once(live, control, kind):
    control.fault("quickbooks", "query", kind)
    assert live.query_all("Customer", list_entity=True)


def test_a_pull_reads_the_company_and_then_only_what_changed(live, control):
    rules = load_rules()
    now = datetime.now(UTC)
    first = pull_quickbooks(live, rules, WarehouseView({}), full=False, now=now)
    assert {table.table.name for table in first.tables} == {entity.table.name for entity in ENTITIES}
    heights = {table.table.name: table.frame.height for table in first.tables}
    assert heights["preferences"] == heights["company_info"] == 1
    assert heights["customer"] == len(control.objects("Customer"))
    assert heights["invoice"] == len(control.objects("Invoice"))
    marks = {
        f"quickbooks.{table.table.name}": Watermark(table.table.name, table.watermark, table.watermark, table.fields_hash)
        for table in first.tables
    }
    customer = live.create("Customer", customer_body("Just Now GmbH"), "now-1")
    invoice = live.create("Invoice", invoice_body(live, customer["Id"], invoice_marker(DEAL)), "now-2")
    gone = live.create("Invoice", invoice_body(live, customer["Id"], "a mistake"), "now-3")
    live.batch([BatchItem("0", "delete", "Invoice", to_json({"Id": gone["Id"], "SyncToken": gone["SyncToken"]}))], "now-4")
    second = pull_quickbooks(live, rules, WarehouseView(marks), full=False, now=now)
    assert second.reads == 1
    tables = {table.table.name: table for table in second.tables}
    invoices = {row["id"]: row for row in tables["invoice"].frame.to_dicts()}
    assert invoices[invoice["Id"]]["opportunity_id"] == DEAL
    assert invoices[invoice["Id"]]["total"] == Decimal("1234.56")
    assert invoices[gone["Id"]]["content_hash"] == DELETED_STUB_HASH
    assert customer["Id"] in tables["customer"].frame.get_column("id").to_list()


def template_body(live, name: str, deal: str, **schedule: object) -> str:
    customer = live.create("Customer", customer_body(f"{name} & Söhne"), f"{name}-customer")
    invoice = parse_json(invoice_body(live, customer["Id"], f"{invoice_marker(deal)} - l'été"))
    days = {"IntervalType": "Monthly", "NumInterval": 1, "DayOfMonth": 1, "StartDate": "2026-04-01", **schedule}
    info = {"Name": name, "Active": True, "RecurType": "Automated", "ScheduleInfo": days}
    return to_json({"Invoice": {**invoice, "RecurringInfo": info}})


def test_a_template_is_made_once_read_changed_and_deleted(live):
    body = template_body(live, "Acme 0068Z00001TmPlEQAV 1", "0068Z00001TmPlEQAV", MaxOccurrences=11)
    made = live.create(templates.ENTITY, body, "template-1")
    assert live.create(templates.ENTITY, body, "template-1")["Id"] == made["Id"]
    assert (made["Type"], made["RecurringInfo"]["ScheduleInfo"]["NextDate"]) == ("Invoice", "2026-04-01")
    assert live.read(templates.ENTITY, made["Id"]) == made
    assert [each["Id"] for each in live.recurring_templates() if each["RecurringInfo"]["Name"].startswith("Acme ")] == [
        made["Id"]
    ]
    changed = {**made, "RecurringInfo": {**made["RecurringInfo"], "Active": False}}
    paused = live.update(templates.ENTITY, to_json(templates.wrapped(changed)), "template-2")
    assert (paused["SyncToken"], paused["RecurringInfo"]["Active"]) == ("1", False)
    with pytest.raises(StaleRecord):
        live.delete(templates.ENTITY, to_json(templates.reference(made)), "template-3")
    gone = live.delete(templates.ENTITY, to_json(templates.reference(paused)), "template-4")
    assert (gone["Id"], gone["status"], gone["Type"]) == (made["Id"], "Deleted", "Invoice")
    with pytest.raises(RecordRefused) as refused:
        live.delete(templates.ENTITY, to_json(templates.reference(paused)), "template-5")
    assert refused.value.code == "610"


def test_a_template_whose_answer_was_lost_is_found_by_its_name(live, control):
    body = template_body(live, "Lost 0068Z00001LoStEQAV 1", "0068Z00001LoStEQAV")
    control.fault("quickbooks", "create", "reset_after")
    with pytest.raises(OutcomeUnknown):
        live.create(templates.ENTITY, body, "template-lost")
    found = [each for each in live.recurring_templates() if each["RecurringInfo"]["Name"] == "Lost 0068Z00001LoStEQAV 1"]
    assert len(found) == 1
    live.delete(templates.ENTITY, to_json(templates.reference(found[0])), "template-lost-gone")


def test_templates_are_pulled_where_a_rule_bills_by_them_and_their_invoices_name_them(live, control):
    deal = "0068Z00001RuNnEQAV"
    rules = load_rules()
    by_template = rules.model_copy(update={"recurring": rules.recurring.model_copy(update={"bill_by": "template"})})
    made = live.create(templates.ENTITY, template_body(live, "Run", deal, MaxOccurrences=2), "template-run")
    for until in ("2026-03-31", "2026-05-15"):
        control.quickbooks("run-recurring", until=until)
    now = datetime.now(UTC)
    tables = {
        table.table.name: table for table in pull_quickbooks(live, by_template, WarehouseView({}), full=True, now=now).tables
    }
    (row,) = [row for row in tables["recurring_transaction"].frame.to_dicts() if row["id"] == made["Id"]]
    named = ("type", "name", "recur_type", "active", "interval_type", "interval_count", "day_of_month", "max_occurrences")
    assert [row[name] for name in named] == ["Invoice", "Run", "Automated", True, "Monthly", 1, 1, 2]
    assert (row["previous_date"], row["next_date"], row["total"]) == (date(2026, 5, 1), None, Decimal("1234.56"))
    assert (row["opportunity_id"], tables["recurring_transaction"].complete) == (deal, True)
    invoices = [one for one in tables["invoice"].frame.to_dicts() if one["recurring_id"] == made["Id"]]
    assert [one["txn_date"] for one in invoices] == [date(2026, 4, 1), date(2026, 5, 1)]
    assert {one["opportunity_id"] for one in invoices} == {deal}
    without = pull_quickbooks(live, rules, WarehouseView({}), full=True, now=now)
    assert "recurring_transaction" not in {table.table.name for table in without.tables}
