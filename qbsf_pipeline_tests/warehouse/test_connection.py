"""The one way to open the warehouse: let go in any case, waiting that ends, everything of a transaction or nothing."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import duckdb
import polars as pl
import pytest

from qbsf_pipeline.resources import WarehouseResource
from qbsf_pipeline.warehouse.connection import (
    Warehouse,
    WarehouseBusy,
    append_rows,
    ensure_table,
    frame_of,
    read_table,
    replace_rows,
)
from qbsf_pipeline.warehouse.tables import AMOUNT, RATE, TIMESTAMP, Column, PolarsType, TableSchema
from qbsf_pipeline_tests.warehouse.conftest import Holder

TABLE = TableSchema("money", "bag", (Column("id", pl.String, "key"), Column("amount", AMOUNT, "USD")), ("id",), "A bag")
Hold = Callable[..., Holder]


def rows(*ids: str) -> pl.DataFrame:
    return TABLE.frame([{"id": one} for one in ids])


def spoil(connection: duckdb.DuckDBPyConnection) -> None:
    """Replace the rows, and then fail."""
    replace_rows(connection, TABLE, rows("b", "c"))
    connection.execute("SELECT * FROM something_else")


def held(warehouse: Warehouse) -> list[str]:
    with warehouse.connection() as connection:
        return sorted(read_table(connection, TABLE).get_column("id"))


def test_the_file_and_its_folder_are_made_on_first_use(warehouse: Warehouse) -> None:
    assert held(warehouse) == []
    assert warehouse.path.exists()


def test_instants_are_utc_whatever_the_machine_thinks(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    with warehouse.connection() as connection:
        assert connection.execute("SELECT current_setting('TimeZone')").fetchall() == [("UTC",)]


def test_a_transaction_that_fails_leaves_everything_as_it_was(warehouse: Warehouse) -> None:
    with warehouse.transaction() as connection:
        replace_rows(connection, TABLE, rows("a"))
    with pytest.raises(duckdb.CatalogException), warehouse.transaction() as connection:
        spoil(connection)
    assert held(warehouse) == ["a"]


def test_replacing_rows_leaves_no_old_one_and_none_where_there_are_no_new_ones(warehouse: Warehouse) -> None:
    with warehouse.transaction() as connection:
        replace_rows(connection, TABLE, rows("a", "b"))
    with warehouse.transaction() as connection:
        replace_rows(connection, TABLE, rows("c"))
    assert held(warehouse) == ["c"]
    with warehouse.transaction() as connection:
        replace_rows(connection, TABLE, TABLE.empty())
    assert held(warehouse) == []


def test_columns_are_matched_by_name_and_never_by_place(warehouse: Warehouse) -> None:
    with warehouse.transaction() as connection:
        ensure_table(connection, replace(TABLE, columns=TABLE.columns[::-1]))
        append_rows(connection, TABLE, rows("a"))
        append_rows(connection, TABLE, rows("b").select("amount", "id"))
    assert held(warehouse) == ["a", "b"]


def test_a_newer_version_adds_its_columns_to_a_table_that_is_there(warehouse: Warehouse) -> None:
    with warehouse.transaction() as connection:
        replace_rows(connection, TABLE, rows("a"))
    newer = replace(TABLE, columns=(*TABLE.columns, Column("note", pl.String, "new")))
    with warehouse.transaction() as connection:
        append_rows_of_newer = newer.frame([{"id": "b", "note": "hello"}])
        ensure_table(connection, newer)
        append_rows(connection, newer, append_rows_of_newer)
    with warehouse.connection() as connection:
        assert read_table(connection, newer).sort("id").get_column("note").to_list() == [None, "hello"]


def test_a_newer_version_changes_the_type_of_a_column_and_rounds_nothing(warehouse: Warehouse) -> None:
    columns = (Column("id", pl.String, "key"), Column("periods", pl.Int64, "how many"), Column("at", TIMESTAMP, "when"))
    older = TableSchema("salesforce", "changed", columns, ("id",), "of an older version")
    with warehouse.transaction() as connection:
        replace_rows(connection, older, older.frame([{"id": "a", "periods": 12}]))
    newer = replace(older, columns=(columns[0], Column("periods", RATE, "how many"), columns[2]))
    with warehouse.transaction() as connection:
        ensure_table(connection, newer)
        append_rows(connection, newer, newer.frame([{"id": "b", "periods": Decimal("12.5")}]))
    with warehouse.connection() as connection:
        assert read_table(connection, newer).sort("id").get_column("periods").to_list() == [Decimal(12), Decimal("12.5")]


def test_a_table_that_is_not_there_reads_as_one_without_rows(warehouse: Warehouse) -> None:
    with warehouse.connection() as connection:
        found = read_table(connection, TABLE, ["amount"])
    assert found.schema == {"amount": AMOUNT}
    assert found.is_empty()


def test_every_type_comes_back_as_it_was_put_in(warehouse: Warehouse) -> None:
    values: dict[str, tuple[PolarsType, list[object]]] = {
        "id": (pl.String, ["Zoë 株式会社 \U0001f9fe", "", "x" * 300]),
        "yes": (pl.Boolean, [True, None, False]),
        "whole": (pl.Int64, [-(2**63), None, 2**63 - 1]),
        "day": (pl.Date, [date(1970, 1, 1), None, date(9999, 12, 31)]),
        "at": (TIMESTAMP, [datetime(2026, 3, 29, 1, 30, 0, 123456, tzinfo=UTC), None, datetime(1969, 12, 31, tzinfo=UTC)]),
        "amount": (AMOUNT, [Decimal("-0.01"), None, Decimal("9999999999999999.99")]),
        "rate": (RATE, [Decimal("0.0000000001"), None, Decimal("123456789012345678.0123456789")]),
    }
    columns = tuple(Column(name, dtype, "a value") for name, (dtype, _) in values.items())
    table = replace(TABLE, name="types", columns=columns)
    frame = pl.DataFrame({name: pl.Series(given, dtype=dtype) for name, (dtype, given) in values.items()})
    with warehouse.transaction() as connection:
        replace_rows(connection, table, frame)
        append_rows(connection, table, pl.concat([frame, frame], rechunk=False))
    with warehouse.connection() as connection:
        found = read_table(connection, table)
    assert found.schema == table.polars_schema
    assert found.equals(pl.concat([frame] * 3))


@pytest.mark.parametrize("first", [0, 500_000])
def test_a_value_that_cannot_be_computed_is_duckdbs_error_wherever_it_stands(warehouse: Warehouse, first: int) -> None:
    query = f"SELECT CASE WHEN i >= {first} THEN error('no such amount') ELSE i END AS x FROM range(600000) AS t(i)"
    with warehouse.connection() as connection, pytest.raises(duckdb.Error, match="no such amount"):
        frame_of(connection.sql(query))


def test_another_process_gets_the_file_after_the_work_inside_failed(warehouse: Warehouse, hold: Hold) -> None:
    with pytest.raises(duckdb.CatalogException), warehouse.connection() as connection:
        connection.execute("CREATE TABLE t AS SELECT 7 AS x; SELECT * FROM something_else")
    assert hold(warehouse.path, "writer", "SELECT x FROM t").first == "7"


def test_another_process_gets_the_file_after_a_transaction_failed_in_the_resource_that_assets_use(
    warehouse: Warehouse, hold: Hold
) -> None:
    resource = WarehouseResource(database=str(warehouse.path))
    with pytest.raises(duckdb.CatalogException), resource.get_connection() as connection:
        connection.execute("CREATE TABLE t AS SELECT 7 AS x; SELECT * FROM something_else")
    assert hold(warehouse.path, "writer", "SELECT x FROM t").first == "7"


@pytest.mark.parametrize("how", ["writer", "reader"])
def test_waiting_for_another_process_ends_with_a_message_for_people(warehouse: Warehouse, hold: Hold, how: str) -> None:
    assert held(warehouse) == []
    hold(warehouse.path, how)
    hasty = replace(warehouse, wait_seconds=0.3)
    with pytest.raises(WarehouseBusy) as error, hasty.connection():
        pass
    assert str(warehouse.path) in str(error.value)
    assert "published snapshot" in str(error.value)


def test_a_process_that_waits_goes_on_as_soon_as_the_other_lets_go(warehouse: Warehouse, hold: Hold) -> None:
    assert held(warehouse) == []
    other = hold(warehouse.path)
    threading.Timer(0.5, other.end).start()
    with warehouse.transaction() as connection:
        replace_rows(connection, TABLE, rows("a"))
    assert held(warehouse) == ["a"]


def test_a_process_that_was_killed_leaves_no_lock_behind(warehouse: Warehouse, hold: Hold) -> None:
    assert held(warehouse) == []
    hold(warehouse.path).kill()
    assert held(replace(warehouse, wait_seconds=5)) == []


def test_a_file_that_is_no_warehouse_is_said_at_once_and_not_waited_for(warehouse: Warehouse) -> None:
    warehouse.path.parent.mkdir()
    warehouse.path.write_bytes(b"this is not a database, and never was one" * 200)
    with pytest.raises(duckdb.IOException), warehouse.connection():
        pass


# Kept open from one use to the next


def test_a_kept_file_shows_each_use_what_the_one_before_wrote_and_nothing_else_of_it(warehouse: Warehouse) -> None:
    with warehouse.kept_open():
        with warehouse.transaction() as connection:
            replace_rows(connection, TABLE, rows("a"))
            connection.execute("CREATE TEMP TABLE scratch AS SELECT 1")
            connection.execute("SET TimeZone = 'Asia/Tokyo'")
        assert held(warehouse) == ["a"]
        with warehouse.connection() as connection:
            assert connection.execute("SELECT current_setting('TimeZone')").fetchall() == [("UTC",)]
            with pytest.raises(duckdb.CatalogException):
                connection.execute("SELECT * FROM scratch")
        with pytest.raises(duckdb.CatalogException), warehouse.transaction() as connection:
            spoil(connection)
        assert held(warehouse) == ["a"]


def test_another_process_gets_a_kept_file_while_it_is_not_used(warehouse: Warehouse) -> None:
    with warehouse.kept_open():
        with warehouse.transaction() as connection:
            replace_rows(connection, TABLE, rows("a"))
        other = subprocess.run(
            [
                sys.executable,
                "-c",
                "import sys; from pathlib import Path; from qbsf_pipeline.warehouse.connection import Warehouse\n"
                "with Warehouse(Path(sys.argv[1]), 20).transaction() as connection:\n"
                "    connection.execute('INSERT INTO money.bag (id) SELECT id || 2 FROM money.bag')\n",
                str(warehouse.path),
            ],
            check=False,
        )
        assert other.returncode == 0
        assert held(warehouse) == ["a", "a2"]


@pytest.mark.parametrize("fails", [False, True])
def test_a_file_is_let_go_when_nobody_keeps_it_any_more(warehouse: Warehouse, hold: Hold, fails: bool) -> None:
    with pytest.raises(ZeroDivisionError) if fails else nullcontext(), warehouse.kept_open():
        with warehouse.kept_open():
            assert held(warehouse) == []
        assert held(warehouse) == []
        assert not fails or 1 / 0
    assert hold(warehouse.path, "writer", "SELECT 7").first == "7"


def test_a_use_that_outlasts_the_keeping_goes_on_and_lets_the_file_go_at_its_end(warehouse: Warehouse, hold: Hold) -> None:
    with ExitStack() as late:
        with warehouse.kept_open():
            connection = late.enter_context(warehouse.transaction())
        replace_rows(connection, TABLE, rows("a"))
    assert hold(warehouse.path, "writer", "SELECT id FROM money.bag").first == "a"


def test_many_threads_may_use_a_kept_file_at_once(warehouse: Warehouse, hold: Hold) -> None:
    with warehouse.transaction() as connection:
        replace_rows(connection, TABLE, rows("a"))
    with warehouse.kept_open(), ThreadPoolExecutor(8) as pool:
        assert [*pool.map(held, [warehouse] * 64)] == [["a"]] * 64
    assert hold(warehouse.path, "writer", "SELECT 7").first == "7"
