from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import requests

from qbsf_pipeline.sandbox.server import SandboxControl, SandboxProcess, start_sandbox

NASTY = "<img src=x onerror=alert(1)> \"quoted\" & 'single'"


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    with start_sandbox(tmp_path_factory.mktemp("page")) as found:
        yield found


@pytest.fixture
def control(process: SandboxProcess) -> SandboxControl:
    return process.control


def get(process: SandboxProcess, path: str) -> requests.Response:
    return requests.get(process.url + path, timeout=10)


def test_the_page_needs_nothing_from_outside(process: SandboxProcess):
    text = get(process, "/").text
    assert "<!doctype html>" in text
    assert "https://" not in text.replace("https?:", "")
    assert "innerHTML" not in text


def test_the_board_shows_deals_invoices_and_customers(process: SandboxProcess, control: SandboxControl):
    board = get(process, "/_sandbox/board").json()
    assert board["counts"]["open_deals"] == 23
    assert board["counts"]["customers"] == len(board["customers"]) == 25
    assert {deal["id"] for deal in board["deals"]} == {record["Id"] for record in control.records("Opportunity")}


def test_the_two_buttons_close_a_deal_and_receive_a_payment(process: SandboxProcess, control: SandboxControl):
    board = get(process, "/_sandbox/board").json()
    deal = next(deal for deal in board["deals"] if not deal["closed"])
    invoice = next(invoice for invoice in board["invoices"] if invoice["open"])
    control.close_deal(deal["id"])
    control.receive_payment(invoice["id"])
    board = get(process, "/_sandbox/board").json()
    assert [d["won"] for d in board["deals"] if d["id"] == deal["id"]] == [True]
    assert [i["balance"] for i in board["invoices"] if i["id"] == invoice["id"]] == ["0.00"]


def test_links_between_the_services_show_the_record(process: SandboxProcess, control: SandboxControl):
    deal = next(d for d in control.records("Opportunity") if d["Name"].startswith("Café Lumière"))
    invoice = control.objects("Invoice")[0]
    assert "Einführung" in get(process, f"/lightning/r/Opportunity/{deal['Id']}/view").text
    assert get(process, f"/lightning/r/Opportunity/{deal['Id'][:15]}/view").status_code == 200
    assert "Düsseldorf" in get(process, f"/lightning/r/Account/{deal['AccountId']}/view").text
    assert invoice["CustomerRef"]["name"] in get(process, f"/app/invoice?txnId={invoice['Id']}").text
    assert "Consulting" in get(process, f"/app/invoice?txnId={invoice['Id']}&companyId=1").text
    customer = get(process, f"/app/customerdetail?nameId={invoice['CustomerRef']['value']}")
    assert customer.status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/app/invoice?txnId=404", "/app/invoice", "/app/nothing?txnId=1", "/lightning/r/Opportunity/006/view",
     "/lightning/r/..%2Fx/006/view"],
)  # fmt: skip
def test_a_link_to_nothing_says_so(process: SandboxProcess, path: str):
    assert get(process, path).status_code == 404


def test_what_a_record_holds_is_never_read_as_html(process: SandboxProcess, control: SandboxControl):
    (account,) = control.upsert_records("Account", [{"Name": NASTY, "Description": "javascript:alert(1)"}])
    (customer,) = control.upsert_objects("Customer", [{"DisplayName": NASTY}])
    for path in (f"/lightning/r/Account/{account}/view", f"/app/customerdetail?nameId={customer['Id']}"):
        text = get(process, path).text
        assert "<img" not in text
        assert "&lt;img" in text
        assert 'href="javascript' not in text
    assert "<img" not in get(process, "/app/invoice?txnId=<img src=x>").text
    board = get(process, "/_sandbox/board")
    assert board.headers["content-type"].startswith("application/json")
    assert any(customer["name"] == NASTY for customer in json.loads(board.text)["customers"])
