"""Table declarations: one declaration gives DDL, frame and comments that agree with each other."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbsf_pipeline.customers.matching.plan import MATCHES, REVIEWS
from qbsf_pipeline.invoices.tables import DEALS, NOTES, PLAN, REFUSALS
from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.reporting import state_tables
from qbsf_pipeline.salesforce import objects as salesforce
from qbsf_pipeline.warehouse.connection import append_rows, ensure_table, read_table
from qbsf_pipeline.warehouse.raw import WATERMARKS
from qbsf_pipeline.warehouse.tables import (
    AMOUNT,
    RATE,
    RAW_COLUMNS,
    TIMESTAMP,
    Column,
    TableSchema,
    decimal_or_none,
    raw_table,
    value_at,
)

OWN = (MATCHES, REVIEWS, PLAN, DEALS, REFUSALS, NOTES, WATERMARKS, state_tables.LEDGER, state_tables.FAILURES)
RAW = (*salesforce.TABLES, *quickbooks.TABLES)

EVERY_TYPE = TableSchema(
    "odd schema",
    "it's",
    (
        Column("id", pl.String, "key; isn't it"),
        Column("yes", pl.Boolean, "b"),
        Column("number", pl.Int64, "i"),
        Column("share", pl.Float64, "f"),
        Column("day", pl.Date, "d"),
        Column("at", TIMESTAMP, "t"),
        Column("amount", AMOUNT, "a"),
        Column("rate", RATE, "r"),
    ),
    ("id",),
    "What a customer's row is",
)
ROW = {
    "id": "Café\n'试\"",
    "yes": False,
    "number": -(2**63),
    "share": 0.1,
    "day": date(1, 1, 1),
    "at": datetime(2026, 3, 31, 22, 30, 15, 123456, tzinfo=UTC),
    "amount": Decimal("-9999999999999999.99"),
    "rate": Decimal("0.0000000001"),
}


@pytest.mark.parametrize("table", [*OWN, *RAW], ids=lambda table: f"{table.schema}.{table.name}")
def test_each_table_is_made_with_every_column_typed_and_commented(table: TableSchema) -> None:
    with duckdb.connect() as connection:
        ensure_table(connection, table)
        ensure_table(connection, table)
        found = connection.execute(
            "SELECT column_name, data_type, comment FROM duckdb_columns() "
            "WHERE schema_name = ? AND table_name = ? ORDER BY column_index",
            [table.schema, table.name],
        ).fetchall()
        types = {"TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE"}
        expected = [(c.name, types.get(c.sql_type, c.sql_type), c.comment) for c in table.columns]
        assert found == expected
        assert all(comment for _, _, comment in found)
        assert table.comment
        assert set(table.key) <= set(table.polars_schema)
        assert read_table(connection, table).schema == table.polars_schema


@pytest.mark.parametrize("table", RAW, ids=lambda table: f"{table.schema}.{table.name}")
def test_each_raw_table_ends_with_the_bookkeeping_columns_and_no_amount_is_a_float(table: TableSchema) -> None:
    assert table.columns[-len(RAW_COLUMNS) :] == RAW_COLUMNS
    assert table.key == (table.columns[0].name,) == ("id",)
    assert pl.Float64 not in table.polars_schema.dtypes()


def test_values_of_every_type_survive_the_warehouse_unchanged() -> None:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        ensure_table(connection, EVERY_TYPE)
        frame = EVERY_TYPE.frame([ROW, {"id": "nulls"}])
        append_rows(connection, EVERY_TYPE, frame)
        assert read_table(connection, EVERY_TYPE).equals(frame)
        assert read_table(connection, EVERY_TYPE, ["amount", "id"]).row(0) == (ROW["amount"], ROW["id"])


@given(st.decimals(min_value=Decimal(-(10**15)), max_value=Decimal(10**15), places=2))
def test_an_amount_in_a_frame_is_the_amount_that_went_in(amount: Decimal) -> None:
    assert EVERY_TYPE.frame([{"id": "1", "amount": amount}]).get_column("amount").item() == amount


@pytest.mark.parametrize("wrong", [{"id": 7}, {"number": "seven"}, {"day": "yesterday"}, {"yes": "true"}])
def test_a_value_that_does_not_fit_its_column_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises((pl.exceptions.PolarsError, TypeError)):
        EVERY_TYPE.frame([wrong])


def test_a_frame_without_rows_has_the_columns_all_the_same() -> None:
    assert EVERY_TYPE.frame([]).schema == EVERY_TYPE.empty().schema == EVERY_TYPE.polars_schema


def test_a_type_without_an_agreed_duckdb_type_is_refused() -> None:
    with pytest.raises(KeyError):
        _ = Column("x", pl.Duration("us"), "x").sql_type


def test_the_key_of_a_raw_table_is_its_first_column() -> None:
    assert raw_table("s", "t", [Column("code", pl.String, "c")], "t").key == ("code",)


@pytest.mark.parametrize(
    ("record", "path", "found"),
    [
        ({"A": {"B": 1}}, "A.B", 1),
        ({"A": None}, "A.B", None),
        ({"A": "text"}, "A.B", None),
        ({"A": [1]}, "A.B", None),
        ({}, "A", None),
        ({"A": {"B": {"value": "7"}}}, "A.B.value", "7"),
        ({"A": False}, "A", False),
    ],
)
def test_a_path_into_a_record_ends_in_nothing_where_a_step_is_missing(record: dict[str, Any], path: str, found: object) -> None:
    assert value_at(record, path) == found


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (None, None),
        ("", None),
        (" 12.50 ", Decimal("12.50")),
        (Decimal("0.10"), Decimal("0.10")),
        (7, Decimal(7)),
        (True, None),
        ("twelve", None),
        ([1], None),
        ("-0", Decimal(0)),
    ],
)
def test_a_number_is_read_as_decimal_or_not_at_all(value: object, found: Decimal | None) -> None:
    assert decimal_or_none(value) == found
