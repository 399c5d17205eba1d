"""What operators and auditors read of the pipeline itself: runs, calls, writes, health."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import pytest

from qbsf_pipeline.reporting.build import READABLE
from qbsf_pipeline.reporting.day import REPORTING_DAY
from qbsf_pipeline.reporting.integrity import TABLE_CHECKS
from qbsf_pipeline.reporting.state_tables import LEDGER, PASSES
from qbsf_pipeline.reporting.statements import METRIC_DEFINITIONS, load_statements, metric_definitions
from qbsf_pipeline.salesforce.objects import OPPORTUNITY
from qbsf_pipeline.warehouse.connection import append_rows, ensure_table
from qbsf_pipeline.warehouse.tables import TableSchema

NAMES = ("pipeline_runs", "api_usage", "write_log", "pipeline_health", "metric_definitions")
STATEMENTS = {statement.name: statement for statement in load_statements() if statement.name in NAMES}
AT = datetime(2026, 3, 31, 23, 30, tzinfo=UTC)


class Operations:
    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection
        connection.execute("SET TimeZone = 'UTC'")
        wanted = {read for statement in STATEMENTS.values() for read in statement.reads}
        for table in READABLE:
            if (table.schema, table.name) in wanted:
                ensure_table(connection, table)

    def put(self, table: TableSchema, *rows: Mapping[str, Any]) -> None:
        append_rows(self.connection, table, table.frame(rows))

    def step(self, number: int, run: str | None, flow: str, step: str, outcome: str | None = "done", **more: Any) -> None:
        begun = AT + timedelta(minutes=number)
        row = {
            "pass_id": number,
            "run_id": run,
            "flow": flow,
            "step": step,
            "mode": "live",
            "begun_at": begun,
            "outcome": outcome,
        }
        ended = None if outcome is None else begun + timedelta(seconds=30)
        self.put(PASSES, row | {"ended_at": ended, "counts": "{}", "api_calls": "{}"} | more)

    def rows(self, name: str) -> list[dict[str, Any]]:
        return self.connection.sql(STATEMENTS[name].sql).pl().to_dicts()


@pytest.fixture
def operations() -> Iterator[Operations]:
    with duckdb.connect() as connection:
        yield Operations(connection)


def test_a_run_is_all_of_its_steps_and_a_killed_step_stands_alone(operations: Operations) -> None:
    operations.step(
        1, "A", "invoices", "pull_quickbooks", counts='{"changed":92}', api_calls='{"quickbooks.cdc":1,"quickbooks.read":2}'
    )
    operations.step(2, "A", "invoices", "plan", counts='{"won deals":36}')
    operations.step(3, "A", "aging", "push", "failed", api_calls='{"salesforce.composite":4,"slack.chat.postMessage":5}')
    operations.step(4, None, "payments", "push", None)
    killed, run = operations.rows("pipeline_runs")
    assert run == {
        "run_key": "A",
        "run_id": "A",
        "begun_at": AT + timedelta(minutes=1),
        "ended_at": AT + timedelta(minutes=3, seconds=30),
        "seconds": Decimal("150.0"),
        "flows": "aging, invoices",
        "steps": "invoices pull_quickbooks, invoices plan, aging push",
        "mode": "live",
        "outcome": "failed",
        "changed": 92,
        "salesforce_calls": 4,
        "quickbooks_calls": 3,
        "slack_calls": 5,
    }
    assert (killed["run_key"], killed["outcome"], killed["ended_at"], killed["changed"]) == ("step-4", "interrupted", None, None)


def test_calls_are_counted_by_the_days_of_the_company(operations: Operations) -> None:
    operations.put(REPORTING_DAY, {"as_of": date(2026, 4, 1), "time_zone": "Europe/Berlin"})
    operations.step(1, "A", "invoices", "push", api_calls='{"slack.chat.postMessage":2,"quickbooks.batch":1}')
    operations.step(2, "B", "invoices", "push", "failed", api_calls='{"quickbooks.batch":3}')
    operations.step(-120, "C", "invoices", "push", api_calls='{"quickbooks.batch":10}')
    told = [tuple(row.values()) for row in operations.rows("api_usage")]
    # Half past eleven at night in UTC is the next day in Berlin.
    assert told == [
        (date(2026, 4, 1), "quickbooks", "batch", 4, 2),
        (date(2026, 4, 1), "slack", "chat.postMessage", 2, 1),
        (date(2026, 3, 31), "quickbooks", "batch", 10, 1),
    ]


def test_the_write_log_holds_every_write_that_was_sent_and_no_other(operations: Operations) -> None:
    deal = "006000000000001AAA"
    write = {"flow": "invoices", "operation": "create_invoice", "target_system": "quickbooks", "target_object": "Invoice"}
    sent = {"key": "a", "status": "done", "attempts": 2, "result_id": "145", "opportunity_id": deal, "amount": Decimal("9.99")}
    others = [("b", "planned", 0), ("c", "withdrawn", 0), ("d", "dead", 8), ("e", "sending", 1)]
    operations.put(LEDGER, write | sent, *(write | dict(zip(("key", "status", "attempts"), one, strict=True)) for one in others))
    operations.put(OPPORTUNITY, {"id": deal, "name": "Größe: 'X'"})
    rows = {row["write_key"]: row for row in operations.rows("write_log")}
    assert set(rows) == {"a", "d", "e"}
    assert (rows["a"]["deal"], rows["a"]["record_id"], rows["a"]["amount"]) == ("Größe: 'X'", "145", Decimal("9.99"))


def test_a_check_that_does_not_hold_needs_attention(operations: Operations) -> None:
    check = {"table_name": "invoices", "made_from": "x", "checked_at": AT}
    operations.put(
        TABLE_CHECKS,
        check | {"check_name": "required", "passed": True, "broken": 0, "finding": "fine"},
        check | {"check_name": "references", "passed": False, "broken": 3, "finding": "values of customer_id 3: 9, 8, 7."},
    )
    told = [(row["name"], row["state"], row["records"], row["attention"]) for row in operations.rows("pipeline_health")]
    assert told == [
        ("invoices references", "values of customer_id 3: 9, 8, 7.", 3, True),
        ("invoices required", "ok", 0, False),
    ]


def test_the_definitions_of_measures_are_those_of_the_files(operations: Operations) -> None:
    found = metric_definitions(load_statements())
    append_rows(operations.connection, METRIC_DEFINITIONS, found)
    rows = {(row["table_name"], row["metric"]): row for row in operations.rows("metric_definitions")}
    assert len(rows) == found.height
    assert "DSO" in rows["collections", "dso_simple"]["definition"] or rows["collections", "dso_simple"]["source"]
