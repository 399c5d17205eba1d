"""Lines are read out of the records as QuickBooks sends them, whatever is missing in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import duckdb
import polars as pl
import pytest

from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.reconciliation.lines import read_deal_lines, read_invoice_lines
from qbsf_pipeline.salesforce import objects as salesforce
from qbsf_pipeline.warehouse.connection import replace_rows

NOW = datetime(2026, 4, 1, tzinfo=UTC)
Row = tuple[str | None, ...]


@pytest.fixture
def warehouse() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


def item_line(item: str | None, amount: Any, **more: Any) -> dict[str, Any]:
    reference = {} if item is None else {"ItemRef": {"value": item, "name": f"named {item}"}}
    return {"Amount": amount, "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": reference, **more}


def read(connection: duckdb.DuckDBPyConnection, *records: Mapping[str, Any], wanted: list[str] | None = None) -> list[Row]:
    invoices = quickbooks.INVOICE.frame([quickbooks.row_of("Invoice", record, NOW) for record in records])
    replace_rows(connection, quickbooks.INVOICE, invoices)
    items = [quickbooks.row_of("Item", {"Id": "7", "Name": "Größe “XL” von O'Brien: rot"}, NOW)]
    replace_rows(connection, quickbooks.ITEM, quickbooks.ITEM.frame(items))
    ids = None if wanted is None else pl.DataFrame({"invoice_id": wanted}, schema={"invoice_id": pl.String})
    found = read_invoice_lines(connection, ids)
    return sorted(found.with_columns(pl.col("amount").cast(pl.String)).rows(), key=repr)


def test_each_line_has_its_kind_its_item_and_its_amount_to_the_cent(warehouse: duckdb.DuckDBPyConnection) -> None:
    lines = [
        item_line("7", Decimal("100.10"), Description="What's sold"),
        item_line("SHIPPING_ITEM_ID", "12.5"),
        {"Amount": 10, "DetailType": "DiscountLineDetail", "DiscountLineDetail": {"PercentBased": True, "DiscountPercent": 10}},
        {"Amount": 112.6, "DetailType": "SubTotalLineDetail", "SubTotalLineDetail": {}},
        {"Description": "Only words", "DetailType": "DescriptionOnly"},
    ]
    assert read(warehouse, {"Id": "1", "Line": lines}) == [
        ("1", "discount", None, None, "10.00"),
        ("1", "freight", "named SHIPPING_ITEM_ID", None, "12.50"),
        ("1", "item", "Größe “XL” von O'Brien: rot", "What's sold", "100.10"),
    ]


def test_of_a_bundle_the_lines_in_it_are_read(warehouse: duckdb.DuckDBPyConnection) -> None:
    bundle = {
        "Amount": 30,
        "DetailType": "GroupLineDetail",
        "GroupLineDetail": {"Line": [item_line("7", 10), item_line("8", 20)]},
    }
    assert [(row[2], row[4]) for row in read(warehouse, {"Id": "1", "Line": [bundle]})] == [
        ("Größe “XL” von O'Brien: rot", "10.00"),
        ("named 8", "20.00"),
    ]


@pytest.mark.parametrize(
    "lines",
    [None, [], [None], [{}], [{"DetailType": "SalesItemLineDetail", "SalesItemLineDetail": None}], "nothing", {"Amount": 1}],
    ids=str,
)
def test_lines_that_are_not_as_documented_stop_nothing(warehouse: duckdb.DuckDBPyConnection, lines: Any) -> None:
    found = read(warehouse, {"Id": "1", "Line": lines}, {"Id": "2", "Line": [item_line(None, "not a number")]}, {"Id": "3"})
    assert {row[0]: row[4] for row in found if row[4] is not None} == {}


def test_only_what_is_wanted_and_not_deleted_is_read(warehouse: duckdb.DuckDBPyConnection) -> None:
    records = [{"Id": str(number), "Line": [item_line("7", number)]} for number in (1, 2, 3)]
    gone = {"Id": "4", "status": "Deleted", "Line": [item_line("7", 4)]}
    assert [row[0] for row in read(warehouse, *records, gone)] == ["1", "2", "3"]
    assert [row[0] for row in read(warehouse, *records, gone, wanted=["2", "4", "404"])] == ["2"]
    assert read(warehouse, *records, wanted=[]) == []


def test_products_of_deals_are_read_by_the_product_s_name_without_deleted_lines(warehouse: duckdb.DuckDBPyConnection) -> None:
    rows: list[dict[str, Any]] = [
        {"id": "1", "opportunity_id": "A", "product_id": "P", "name": "Deal Gold", "total_price": Decimal("1.005")},
        {"id": "2", "opportunity_id": "A", "product_id": None, "name": "Deal Silver", "total_price": None, "is_deleted": False},
        {"id": "3", "opportunity_id": "A", "product_id": "P", "name": "x", "total_price": Decimal(9), "is_deleted": True},
        {"id": "4", "opportunity_id": "B", "product_id": "P", "name": "x", "total_price": Decimal(7)},
    ]
    replace_rows(warehouse, salesforce.OPPORTUNITY_LINE_ITEM, salesforce.OPPORTUNITY_LINE_ITEM.frame(rows))
    replace_rows(warehouse, salesforce.PRODUCT2, salesforce.PRODUCT2.frame([{"id": "P", "name": " Gold "}]))
    wanted = pl.DataFrame({"opportunity_id": ["A"]})
    found = read_deal_lines(warehouse, wanted).sort("label")
    assert found.rows() == [("A", "Deal Silver", None), ("A", "Gold", Decimal("1.005"))]
    assert read_deal_lines(warehouse).height == 3
