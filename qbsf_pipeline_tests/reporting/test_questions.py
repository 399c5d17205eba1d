"""The README's part for analysts: every query in it runs on the snapshot of the sample company, and answers its question."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from qbsf_pipeline.customers.matching.assets import matches
from qbsf_pipeline.invoices.assets import invoice_plan
from qbsf_pipeline.quickbooks.assets import quickbooks_tables
from qbsf_pipeline.receivables.assets import receivables
from qbsf_pipeline.reporting.assets import pipeline_state, reporting_tables, snapshot
from qbsf_pipeline.reporting.statements import load_statements
from qbsf_pipeline.resources import DoorsResource, WarehouseResource
from qbsf_pipeline.salesforce.assets import salesforce_tables
from qbsf_pipeline.sandbox.server import start_sandbox
from qbsf_pipeline_tests.pipeline import Pipeline

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
MADE = (
    *(salesforce_tables, quickbooks_tables, matches, invoice_plan, receivables),
    *(pipeline_state, reporting_tables, snapshot),
)
#: Questions that have no answer here: no recurring deal of the sample company is won, nothing was believed before today, nobody
#: changed a value, nothing was written that could fail, and month end is a job of its own.
WITHOUT_ROWS = ("deals_on", "field_changes", "pipeline_health", "reconciliation")


def queries() -> list[str]:
    """The SQL of the part for analysts, in order."""
    part = README.partition("## For analysts\n")[2].partition("\n## ")[0]
    return [match[1].strip() for match in re.finditer(r"```sql\n(.+?)```", part, re.DOTALL) if "reporting." in match[1]]


@pytest.fixture(scope="module")
def analyst(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """A reader of the snapshot after a pass that wrote nothing."""
    with (
        start_sandbox(tmp_path_factory.mktemp("sandbox")) as sandbox,
        pytest.MonkeyPatch.context() as patch,
        Pipeline(tmp_path_factory.mktemp("home"), patch, sandbox) as pipeline,
    ):
        environment = pipeline.settings.environment
        definitions = dg.Definitions(
            assets=MADE,
            jobs=[dg.define_asset_job("all", dg.AssetSelection.assets(*MADE).without_checks())],
            resources={"doors": DoorsResource(), "warehouse": WarehouseResource(database=str(environment.warehouse_path))},
            executor=dg.in_process_executor,
        )
        definitions.resolve_job_def("all").execute_in_process(instance=pipeline.instance, raise_on_error=True)
        with duckdb.connect(str(environment.snapshot_path), read_only=True) as connection:
            yield connection


def rows(connection: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    return connection.sql(sql).pl().to_dicts()


def test_the_readme_has_at_least_ten_questions() -> None:
    assert len(queries()) >= 10


def test_the_readme_names_every_table() -> None:
    named = README.partition("| | Tables of `reporting` |\n")[2].partition("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", named)) | {"metric_definitions"} == {statement.name for statement in load_statements()}


@pytest.mark.parametrize("sql", queries(), ids=lambda sql: re.findall(r"reporting\.(\w+)", sql)[0])
def test_each_query_of_the_readme_has_an_answer(analyst: duckdb.DuckDBPyConnection, sql: str) -> None:
    answer = rows(analyst, sql)
    if not any(f"reporting.{name}" in sql for name in WITHOUT_ROWS):
        assert answer, sql


def test_what_was_booked_billed_and_received_is_what_the_two_systems_hold(analyst: duckdb.DuckDBPyConnection) -> None:
    found = rows(analyst, queries()[0])
    ours = {name: sum((row[name] for row in found), Decimal(0)) for name in ("booked", "billed", "cash")}
    (theirs,) = rows(
        analyst,
        """
        SELECT
            (SELECT sum(CAST(amount AS DECIMAL(18, 2))) FROM salesforce.opportunity WHERE is_won AND NOT is_deleted) AS booked,
            (SELECT sum(total - coalesce(tax, 0)) FROM quickbooks.invoice WHERE status = 'live')
            - (SELECT sum(total) FROM quickbooks.credit_memo WHERE NOT is_deleted) AS billed,
            (SELECT sum(total) FROM quickbooks.payment WHERE NOT is_deleted) AS cash
        """,
    )
    assert ours == theirs
    assert all(amount > 0 for amount in ours.values())


def test_what_was_never_invoiced_says_why(analyst: duckdb.DuckDBPyConnection) -> None:
    found = {row["deal"]: row for row in rows(analyst, next(sql for sql in queries() if "revenue_leakage" in sql))}
    assert {row["cause"] for row in found.values()} >= {"planned", "refused", "before_go_live"}
    assert found["Red Oak Property Group - Lobby gateways"]["explanation"] == "The deal has no link to its signed contract."
    walk_in = found["Walk-in customer - Walk-in order"]
    assert (walk_in["account"], walk_in["cause"]) == (None, "refused")


def test_every_table_and_column_has_a_comment(analyst: duckdb.DuckDBPyConnection) -> None:
    silent = rows(
        analyst,
        """
        SELECT table_name, column_name FROM duckdb_columns() WHERE schema_name = 'reporting' AND comment IS NULL
        UNION ALL SELECT table_name, NULL FROM duckdb_tables() WHERE schema_name = 'reporting' AND comment IS NULL
        UNION ALL SELECT view_name, NULL FROM duckdb_views() WHERE schema_name = 'reporting' AND comment IS NULL
        """,
    )
    assert silent == []


def test_money_is_decimal_with_its_currency_beside_it_and_dates_are_dates(analyst: duckdb.DuckDBPyConnection) -> None:
    columns = rows(
        analyst,
        "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE schema_name = 'reporting'",
    )
    tables: dict[str, dict[str, str]] = {}
    for row in columns:
        tables.setdefault(row["table_name"], {})[row["column_name"]] = row["data_type"]
    for table, types in tables.items():
        money = [name for name, dtype in types.items() if dtype.endswith(",2)") and name != "score"]
        assert not money or "currency" in types, table
        assert "home_currency" in types or not any(name.endswith("_home") for name in types), table
        assert not [name for name, dtype in types.items() if dtype in ("DOUBLE", "FLOAT")], table
        assert not [name for name, dtype in types.items() if name.endswith("_on") and dtype != "DATE"], table


def test_keys_join_without_losing_or_doubling_a_cent(analyst: duckdb.DuckDBPyConnection) -> None:
    for statement in load_statements():
        for reference in statement.head.references:
            (row,) = rows(
                analyst,
                f"""
                SELECT count(*) AS lost FROM reporting."{statement.name}" AS a
                WHERE a."{reference.column}" IS NOT NULL AND NOT EXISTS (
                    SELECT 1 FROM reporting."{reference.table}" AS b WHERE b."{reference.other_column}" = a."{reference.column}"
                )
                """,
            )
            assert row["lost"] == 0, f"{statement.name}.{reference.column}"
        key = ", ".join(f'"{name}"' for name in statement.head.key)
        if key:
            (row,) = rows(analyst, f'SELECT count(*) - count(DISTINCT ({key})) AS doubled FROM reporting."{statement.name}"')
            assert row["doubled"] == 0, statement.name
