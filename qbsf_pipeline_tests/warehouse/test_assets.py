"""What a materialization of a raw table tells: how many rows, what changed, and the first of them."""

from __future__ import annotations

from datetime import UTC, datetime

from qbsf_pipeline.quickbooks.objects import CUSTOMER, INVOICE
from qbsf_pipeline.settings import load_rules
from qbsf_pipeline.warehouse.assets import materializations, raw_asset_spec, table_key
from qbsf_pipeline.warehouse.connection import Warehouse
from qbsf_pipeline.warehouse.raw import write_pulls
from qbsf_pipeline.warehouse.tables import RAW_COLUMNS, PulledTable
from qbsf_pipeline_tests.invoices.records import customer, frame, invoice

NOW = datetime(2026, 3, 31, 8, 0, tzinfo=UTC)


def test_each_table_tells_its_rows_and_what_this_pull_changed(warehouse: Warehouse) -> None:
    rows = frame(
        INVOICE, [invoice(1, content_hash="a"), invoice(2, content_hash="b"), invoice(3, is_deleted=True, content_hash="c")]
    )
    pulled = PulledTable(INVOICE, rows, NOW, True, "f")
    written = write_pulls(warehouse, [pulled], load_rules().pull, NOW)
    first, second = materializations(warehouse, [INVOICE, CUSTOMER], written)
    assert first.asset_key == table_key(INVOICE)
    assert first.metadata is not None
    assert (first.metadata["new"], first.metadata["changed"], first.metadata["dagster/row_count"]) == (3, 0, 2)
    shown = {column.name for column in first.metadata["preview"].schema.columns}
    assert "record" not in shown
    assert {"id", "doc_number", "total"} <= shown
    # A table that this pull did not read still tells how many rows it has, once it is there.
    assert second.metadata == {"new": 0, "changed": 0, "deleted": 0}
    write_pulls(warehouse, [PulledTable(CUSTOMER, frame(CUSTOMER, [customer(1)]), NOW, False, "f")], load_rules().pull, NOW)
    (later,) = materializations(warehouse, [CUSTOMER], [])
    assert later.metadata is not None
    assert later.metadata["dagster/row_count"] == 1


def test_a_raw_asset_says_where_it_comes_from_and_what_each_column_is() -> None:
    spec = raw_asset_spec(INVOICE, "quickbooks", "QuickBooks Online")
    assert (spec.description or "").endswith("As pulled from QuickBooks Online, with the whole record as JSON.")
    names = [column.name for column in spec.metadata["dagster/column_schema"].columns]
    assert names[-len(RAW_COLUMNS) :] == [column.name for column in RAW_COLUMNS]
