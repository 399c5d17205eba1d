"""What the Dagster UI shows of a table: a few rows, short cells, exact amounts."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import polars as pl

from qbsf_pipeline.invoices.tables import PLAN
from qbsf_pipeline.warehouse.preview import LONGEST_CELL, PREVIEW_ROWS, column_schema, preview_of


def test_a_preview_holds_the_first_rows_with_exact_amounts_and_cut_texts() -> None:
    frame = pl.DataFrame(
        {
            "amount": [Decimal("12500.10")] * 30,
            "day": [date(2026, 3, 31)] * 30,
            "at": [datetime(2026, 3, 31, 8, 0, tzinfo=UTC)] * 30,
            "text": ["試" * 500] * 30,
            "flag": [True] * 30,
            "number": [None] * 30,
            "list": [["a", "b"]] * 30,
        }
    )
    preview = preview_of(frame)
    assert len(preview.records) == PREVIEW_ROWS
    first = preview.records[0].data
    assert first["amount"] == "12500.10"
    assert first["day"] == "2026-03-31"
    assert first["at"] == "2026-03-31 08:00:00+00:00"
    assert first["flag"] is True
    assert first["number"] is None
    assert len(str(first["text"])) == LONGEST_CELL
    assert str(first["text"]).endswith("…")


def test_an_empty_table_has_a_preview_with_its_columns() -> None:
    preview = preview_of(PLAN.empty())
    assert preview.records == []
    assert [column.name for column in preview.schema.columns] == list(PLAN.polars_schema)


def test_the_ui_shows_each_column_with_its_type_and_meaning() -> None:
    shown = {column.name: column for column in column_schema(PLAN).columns}
    assert shown["amount"].type == "DECIMAL(18,2)"
    assert shown["amount"].description == "Total before tax, in its currency; null for what is not about money"
