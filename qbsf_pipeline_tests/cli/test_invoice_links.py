"""``qbsf review link-invoice`` and ``unlink-invoice``: a person names the invoice of a deal, and is told when that cannot be."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.salesforce import objects as salesforce
from qbsf_pipeline.state.database import State
from qbsf_pipeline.warehouse.connection import Warehouse, replace_rows
from qbsf_pipeline_tests.cli.command import Ran, qbsf
from qbsf_pipeline_tests.invoices.records import frame, invoice, opportunity, record_id
from qbsf_pipeline_tests.pipeline import clear_environment

DEAL, OTHER = record_id("006", 1), record_id("006", 2)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    clear_environment(monkeypatch)
    monkeypatch.setenv("QBSF_HOME", str(tmp_path))
    plain = {"private_note": None, "opportunity_id": None}
    with Warehouse(tmp_path / "warehouse.duckdb").transaction() as connection:
        deals = [
            opportunity(1, name="O'Neill & Söhne: [bold]Roof[/]"),
            opportunity(2),
            opportunity(3, currency="EUR"),
            opportunity(4, is_deleted=True),
        ]
        replace_rows(connection, salesforce.OPPORTUNITY, frame(salesforce.OPPORTUNITY, deals))
        invoices = [
            invoice(1, doc_number="1041", total=Decimal("12500.10"), **plain),
            invoice(2, doc_number="1042", **plain | {"opportunity_id": OTHER}),
            invoice(3, doc_number="1043", status="voided", **plain),
            invoice(4, doc_number="77", **plain),
            invoice(5, doc_number="77", **plain),
            invoice(6, doc_number="1046", is_deleted=True, **plain),
            invoice(7, doc_number=None, currency="USD", **plain),
        ]
        replace_rows(connection, quickbooks.INVOICE, frame(quickbooks.INVOICE, invoices))
    return tmp_path


def id_of(home: Path, number: int) -> str:
    return str(invoice(number)["id"])


def links(home: Path) -> list[tuple[str, str]]:
    with State.open(f"sqlite:///{home / 'state.sqlite'}", home) as state:
        return [(link.opportunity_id, link.invoice_id) for link in state.links.all_invoices()]


def refused(ran: Ran) -> str:
    assert (ran.code, ran.out) == (1, "")
    return ran.err


@pytest.mark.parametrize("deal", [DEAL, DEAL[:15]])
def test_an_invoice_is_linked_by_its_number_and_by_its_id(home: Path, deal: str) -> None:
    said = qbsf("review", "link-invoice", deal, "1041")
    assert said.code == 0
    assert "O'Neill & Söhne: [bold]Roof[/] is billed by invoice 1041" in said.out
    assert "12,500.10 USD" in said.out
    again = qbsf("review", "link-invoice", deal, id_of(home, 1), "--json")
    assert again.json["invoice_id"] == id_of(home, 1)
    assert again.json["amount"] == Decimal("12500.10")
    assert links(home) == [(DEAL, id_of(home, 1))]


def test_an_invoice_bills_one_deal_and_the_newest_word_counts(home: Path) -> None:
    qbsf("review", "link-invoice", DEAL, "1041")
    assert qbsf("review", "link-invoice", OTHER, "1041").code == 0
    assert links(home) == [(OTHER, id_of(home, 1))]


def test_a_link_is_taken_back_once(home: Path) -> None:
    qbsf("review", "link-invoice", DEAL, "1041")
    assert qbsf("review", "unlink-invoice", DEAL, "1041", "--json").json["undone"] is True
    assert links(home) == []
    assert "nothing was undone" in refused(qbsf("review", "unlink-invoice", DEAL, "1041"))


@pytest.mark.parametrize(
    ("deal", "named", "why"),
    [
        (DEAL, "9999", "QuickBooks has no such invoice"),
        (DEAL, "1046", "QuickBooks has no such invoice"),
        (DEAL, "77", "several invoices could be meant"),
        (DEAL, "1043", "is voided in QuickBooks"),
        (DEAL, "1042", f"was made for deal {OTHER}"),
        (record_id("006", 9), "1041", "Salesforce has no such deal"),
        (record_id("006", 4), "1041", "Salesforce has no such deal"),
        (record_id("006", 3), "1041", "their amounts cannot be compared"),
        ("'; DROP TABLE x", "1041", "Salesforce has no such deal"),
    ],
)
def test_what_cannot_be_linked_is_refused_with_its_reason(home: Path, deal: str, named: str, why: str) -> None:
    assert why in refused(qbsf("review", "link-invoice", deal, named))
    assert links(home) == []


def test_its_own_marker_is_no_obstacle(home: Path) -> None:
    assert qbsf("review", "link-invoice", OTHER, "1042").code == 0
    assert links(home) == [(OTHER, id_of(home, 2))]
