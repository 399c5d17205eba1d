"""How a table looks in the Dagster UI: its column schema and a few rows."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import dagster as dg
import polars as pl

from qbsf_pipeline.warehouse.tables import TableSchema

PREVIEW_ROWS = 5
LONGEST_CELL = 120


def column_schema(table: TableSchema) -> dg.TableSchema:
    """Columns with types and comments, as the UI shows them."""
    return dg.TableSchema([dg.TableColumn(column.name, column.sql_type, column.comment) for column in table.columns])


def preview_of(frame: pl.DataFrame) -> dg.TableMetadataValue:
    """The first rows of a frame; long texts are cut."""
    columns = [dg.TableColumn(name, str(dtype)) for name, dtype in frame.schema.items()]
    rows = [
        dg.TableRecord({name: _cell(value) for name, value in row.items()})
        for row in frame.head(PREVIEW_ROWS).iter_rows(named=True)
    ]
    return dg.MetadataValue.table(rows, schema=dg.TableSchema(columns))


def _cell(value: object) -> str | int | float | bool | None:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, Decimal | date | datetime):
        return str(value)
    text = str(value)
    return text if len(text) <= LONGEST_CELL else text[: LONGEST_CELL - 1] + "…"
