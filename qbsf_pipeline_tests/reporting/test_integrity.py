"""What the heads of ``sql/`` say must hold is looked at in the tables, and what breaks it is named."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import duckdb
import pytest

from qbsf_pipeline.reporting.heads import read_head
from qbsf_pipeline.reporting.integrity import TABLE_CHECKS, Finding, checks_of, examine, look_again
from qbsf_pipeline.reporting.statements import SCHEMA, Statement
from qbsf_pipeline.warehouse.connection import read_table
from qbsf_pipeline.warehouse.made_from import remember_made_from

NOW = datetime(2026, 3, 31, 8, 0, tzinfo=UTC)
DECLARED = [
    "-- @key: id",
    "-- @required: customer_id, status",
    "-- @refers: customer_id to customers.id",
    "-- @values: status in live, it's void",
    "-- @balances: sum(total) by currency = customers.sum(total) by currency",
]


def statement(name: str, *declared: str) -> Statement:
    columns = [f"-- {column}: what it says" for column in ("id", "customer_id", "status", "total", "currency")]
    head = read_head([f"-- reporting.{name}", "-- A row is one thing.", *declared, *columns], f"{name}.sql")
    return Statement(name, head.description, head.columns, "select 1", frozenset(), head=head)


INVOICES = statement("invoices", *DECLARED)
CUSTOMERS = statement("customers", "-- @key: id, currency")


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        opened.execute("CREATE SCHEMA reporting")
        for name in ("invoices", "customers"):
            columns = "id VARCHAR, customer_id VARCHAR, status VARCHAR, total DECIMAL(18,2), currency VARCHAR"
            opened.execute(f"CREATE TABLE reporting.{name} ({columns})")
        opened.execute("INSERT INTO reporting.customers VALUES ('58', NULL, NULL, 30.00, 'USD'), ('59', NULL, NULL, NULL, NULL)")
        opened.execute(
            "INSERT INTO reporting.invoices VALUES ('1', '58', 'live', 10.00, 'USD'), ('2', '58', 'it''s void', 20.00, 'USD')"
        )
        yield opened


def broken(connection: duckdb.DuckDBPyConnection, table: Statement = INVOICES) -> dict[str, tuple[int, tuple[str, ...]]]:
    return {one.check: (one.broken, one.records) for one in examine(connection, table) if not one.passed}


def test_a_table_that_is_as_it_should_be_breaks_nothing(connection: duckdb.DuckDBPyConnection) -> None:
    assert checks_of(INVOICES) == ["primary_key", "required", "accepted_values", "references", "balances"]
    assert broken(connection) == {}
    connection.execute("DELETE FROM reporting.invoices")
    connection.execute("DELETE FROM reporting.customers")
    assert broken(connection) == {}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("UPDATE reporting.invoices SET id = '1'", {"primary_key": (1, ("1",))}),
        ("UPDATE reporting.invoices SET id = NULL WHERE id = '2'", {"primary_key": (1, ("null 58 it's void 20.00 USD",))}),
        ("UPDATE reporting.invoices SET customer_id = NULL WHERE id = '2'", {"required": (1, ("2",))}),
        ("UPDATE reporting.invoices SET status = NULL", {"required": (2, ("1", "2"))}),
        ("UPDATE reporting.invoices SET status = 'Live' WHERE id = '1'", {"accepted_values": (1, ("1 Live",))}),
        ("UPDATE reporting.invoices SET customer_id = 'O''Brien' WHERE id = '1'", {"references": (1, ("1 O'Brien",))}),
        ("UPDATE reporting.invoices SET total = 10.01 WHERE id = '1'", {"balances": (1, ("USD 30.01 here and 30.00 there",))}),
        (
            "UPDATE reporting.invoices SET currency = 'EUR' WHERE id = '1'",
            {"balances": (2, ("EUR 10.00 here and 0.00 there", "USD 20.00 here and 30.00 there"))},
        ),
        (
            "UPDATE reporting.invoices SET currency = NULL WHERE id = '1'",
            {"balances": (2, ("USD 20.00 here and 30.00 there", "null 10.00 here and 0.00 there"))},
        ),
    ],
)
def test_what_breaks_a_rule_is_counted_and_named(
    connection: duckdb.DuckDBPyConnection, change: str, expected: dict[str, tuple[int, tuple[str, ...]]]
) -> None:
    connection.execute(change)
    assert broken(connection) == expected


def test_null_is_a_value_in_a_key_of_several_columns(connection: duckdb.DuckDBPyConnection) -> None:
    assert broken(connection, CUSTOMERS) == {}
    connection.execute("INSERT INTO reporting.customers (id) VALUES ('59')")
    assert broken(connection, CUSTOMERS) == {"primary_key": (1, ("59 null",))}


def test_of_many_records_ten_are_named_and_the_sentence_says_how_many_there_are(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("INSERT INTO reporting.invoices SELECT 'x' || range, '58', 'odd', 0.00, 'USD' FROM range(5000)")
    (found,) = [one for one in examine(connection, INVOICES) if not one.passed]
    assert (found.broken, len(found.records)) == (5000, 10)
    assert found.text.startswith("values of status that are not documented 5000: x")


def test_a_table_is_looked_at_again_only_when_it_or_what_it_points_to_was_made_anew(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    tables = [CUSTOMERS, INVOICES]

    def look(**made: str) -> list[tuple[str, str, bool]]:
        for name, made_from in made.items():
            remember_made_from(connection, {"customers": CUSTOMERS, "invoices": INVOICES}[name].table, made_from)
        return [(one.table, one.check, one.passed) for one in look_again(connection, tables, NOW)]

    assert look() == []
    told = look(customers="a", invoices="a")
    assert told == [("customers", "primary_key", True), *(("invoices", check, True) for check in checks_of(INVOICES))]
    connection.execute("DELETE FROM reporting.customers WHERE id = '58'")
    assert look() == []
    lost = [("invoices", "references", False), ("invoices", "balances", False)]
    assert look(customers="b") == lost
    assert look() == []
    assert look(invoices="b") == lost
    connection.execute("INSERT INTO reporting.customers VALUES ('58', NULL, NULL, 30.00, 'USD')")
    assert look(customers="c") == [("invoices", "references", True), ("invoices", "balances", True)]
    assert look(invoices="c") == []
    kept = read_table(connection, TABLE_CHECKS)
    assert (kept.height, kept.get_column("passed").all()) == (6, True)
    connection.execute(f"DELETE FROM pipeline.made_from WHERE table_name = '{SCHEMA}.invoices'")
    assert look() == []
    assert read_table(connection, TABLE_CHECKS).height == 1


def test_a_finding_that_holds_has_nothing_broken() -> None:
    assert Finding("invoices", "required", 0, "").passed
    assert not Finding("invoices", "required", 1, "").passed
