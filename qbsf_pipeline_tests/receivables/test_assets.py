"""The asset and its checks on a warehouse: made once, made anew after a change, and differences that warn."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.receivables.assets import make_receivables, receivables
from qbsf_pipeline.receivables.checks import receivables_checks
from qbsf_pipeline.receivables.tables import APPLICATIONS, INVOICES
from qbsf_pipeline.resources import DoorsResource, WarehouseResource
from qbsf_pipeline.salesforce import objects as salesforce
from qbsf_pipeline.state.links import InvoiceLink
from qbsf_pipeline.warehouse.connection import read_table
from qbsf_pipeline.warehouse.raw import upsert_rows
from qbsf_pipeline_tests.pipeline import Pipeline
from qbsf_pipeline_tests.receivables.ledger import ACCOUNTS, NOW, invoice, payment

DEAL = "006000000000001AAA"


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipeline]:
    with Pipeline(tmp_path / "home", monkeypatch) as built:
        yield built


def put(pipeline: Pipeline, entity: str, *records: dict[str, Any]) -> None:
    table = quickbooks.entity_named(entity).table
    with pipeline.doors.warehouse.transaction() as connection:
        upsert_rows(connection, table, table.frame([quickbooks.row_of(entity, each, NOW) for each in records]))


def furnish(pipeline: Pipeline) -> None:
    put(pipeline, "Account", *ACCOUNTS)
    put(pipeline, "Invoice", invoice(1, "100", "60"))
    put(pipeline, "Payment", payment(11, "40", ("Invoice", "1", "40")))
    with pipeline.doors.warehouse.transaction() as connection:
        rows = salesforce.OPPORTUNITY.frame([{"id": DEAL, "is_deleted": False, "content_hash": "a"}])
        upsert_rows(connection, salesforce.OPPORTUNITY, rows)


def kept(pipeline: Pipeline) -> list[tuple[Any, ...]]:
    with pipeline.doors.warehouse.connection() as connection:
        return read_table(connection, INVOICES, ["invoice_id", "status", "open", "opportunity_id"]).rows()


def test_what_is_owed_is_made_anew_only_when_something_changed(pipeline: Pipeline) -> None:
    furnish(pipeline)
    make_receivables(pipeline.doors)
    assert kept(pipeline) == [("1", "Partially Paid", Decimal(60), None)]
    with pipeline.doors.warehouse.transaction() as connection:
        connection.execute(f"DELETE FROM {INVOICES.qualified_name}")
    assert make_receivables(pipeline.doors)["invoices"].is_empty(), "nothing changed, so nothing was made"
    put(pipeline, "Invoice", invoice(1, "100", "0", SyncToken="2"))
    put(pipeline, "Payment", payment(12, "60", ("Invoice", "1", "60")))
    make_receivables(pipeline.doors)
    assert kept(pipeline) == [("1", "Paid", Decimal(0), None)]
    pipeline.doors.state.links.link_invoice(InvoiceLink(DEAL, "1", "person", "ann", datetime.now(UTC)))
    make_receivables(pipeline.doors)
    assert kept(pipeline) == [("1", "Paid", Decimal(0), DEAL)]
    pipeline.doors.state.links.unlink_invoice(DEAL, "1", "ann", datetime.now(UTC))
    make_receivables(pipeline.doors)
    assert kept(pipeline) == [("1", "Paid", Decimal(0), None)]


def test_the_asset_tells_its_rows_and_its_checks_warn_without_stopping(pipeline: Pipeline) -> None:
    furnish(pipeline)
    put(pipeline, "Invoice", invoice(1, "100", "59.99"))
    resources = {
        "doors": DoorsResource(),
        "warehouse": WarehouseResource(database=str(pipeline.settings.environment.warehouse_path)),
    }
    result = dg.materialize([receivables, receivables_checks], resources=resources, instance=pipeline.instance, selection="*")
    assert result.success
    checks = {one.check_name: one for one in result.get_asset_check_evaluations()}
    assert {name for name, one in checks.items() if not one.passed} == {"invoices_are_explained"}
    assert checks["invoices_are_explained"].severity is dg.AssetCheckSeverity.WARN
    assert "invoice 101: 100.00 less 40.00 applied" in str(checks["invoices_are_explained"].description)
    with pipeline.doors.warehouse.connection() as connection:
        assert read_table(connection, APPLICATIONS).height == 1
