"""What analysts see of the state database: every write, failure and review, and never a body that was sent."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import polars as pl
import pytest

from qbsf_pipeline.reporting.state_tables import CUSTOMER_LINKS, FAILURES, FIELD_JOURNAL, LEDGER, PASSES, REVIEWS, copy_state
from qbsf_pipeline.state.database import State
from qbsf_pipeline.state.failures import Problem, Reason
from qbsf_pipeline.state.journal import FieldChange
from qbsf_pipeline.state.links import CustomerLink
from qbsf_pipeline.state.reviews import ReviewCase
from qbsf_pipeline.warehouse.connection import read_table
from qbsf_pipeline_tests.state.writes import invoice, sending

NOW = datetime(2026, 3, 31, 8, 0, tzinfo=UTC)
CHANGE = FieldChange(
    key="phone:1",
    account_id="001",
    account_name="Acme",
    customer_id="58",
    customer_name="Acme Inc",
    field="phone",
    salesforce_value='"555-0100"',
    quickbooks_value=None,
    agreed_value=None,
    owner="salesforce",
    winner="salesforce",
    kind="first_difference",
    rule="Salesforce owns it.",
    write_key="update_customer:1:58:0:abc",
)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with State.open(f"sqlite:///{tmp_path / 'state.sqlite'}", tmp_path) as opened:
        yield opened


def test_the_state_is_copied_whole_and_replaces_the_last_copy(state: State) -> None:
    with duckdb.connect() as connection:
        assert not any(copy_state(connection, state).values())
        write = invoice(1, depends_on=())
        state.ledger.enqueue([write, invoice(2)], "B-1", NOW)
        state.ledger.start([sending(write)], NOW)
        state.ledger.finish(write.key, "145", '{"Id":"145"}', NOW)
        reasons = (Reason("a", "No e-mail.", "Fill it."), Reason("b", "No street.", ""))
        problem = Problem("invoices:006", "invoices", "Opportunity", "006", "Café", None, "refused", reasons)
        state.failures.report([problem], "invoices", NOW)
        state.reviews.open_or_refresh([ReviewCase("001", "Acme", "Which one?", [], 2, None, None)], NOW)
        state.links.link_customer(CustomerLink("001", "58", "scored", "customers-3", NOW, Decimal("0.97"), {"name": "equal"}))
        state.journal.record([CHANGE], NOW)
        for _ in range(2):
            assert copy_state(connection, state) == {
                "ledger": 2,
                "failures": 1,
                "reviews": 1,
                "customer_links": 1,
                "field_journal": 1,
                "passes": 0,
            }
        ledger = {row["key"]: row for row in read_table(connection, LEDGER).to_dicts()}
        assert ledger[write.key]["status"] == "done"
        assert ledger[write.key]["result_id"] == "145"
        assert ledger[write.key]["amount"] == Decimal("12500.10")
        (failure,) = read_table(connection, FAILURES).to_dicts()
        assert (failure["failure_id"], failure["reasons"], failure["status"]) == ("F-1", "No e-mail. No street.", "open")
        (link,) = read_table(connection, CUSTOMER_LINKS).to_dicts()
        assert (link["customer_id"], link["score"], link["evidence"]) == ("58", Decimal("0.97"), '{"name":"equal"}')
        (change,) = read_table(connection, FIELD_JOURNAL).to_dicts()
        assert (change["journal_id"], change["salesforce_value"], change["status"]) == ("J-1", '"555-0100"', "planned")
        (review,) = read_table(connection, REVIEWS).to_dicts()
        assert (review["review_id"], review["deals_waiting"], review["decided_at"]) == ("R-1", 2, None)


def test_writes_that_changed_are_brought_over_and_forgotten_ones_go(state: State) -> None:
    old, new = (invoice(number, flow="aging", operation="update_opportunity", depends_on=()) for number in (1, 2))
    with duckdb.connect() as connection:

        def copied() -> dict[str, str]:
            assert copy_state(connection, state)["ledger"] == state.ledger.size()
            return dict(read_table(connection, LEDGER).select("key", "status").iter_rows())

        state.ledger.enqueue([old], "B-1", NOW)
        assert copied() == {old.key: "planned"}
        state.ledger.enqueue([new], "B-2", NOW + timedelta(days=50))
        state.ledger.start([sending(old)], NOW + timedelta(days=51))
        state.ledger.finish(old.key, "006", "{}", NOW + timedelta(days=51))
        assert copied() == {old.key: "done", new.key: "planned"}
        state.ledger.forget_ages(NOW + timedelta(days=60))
        assert copied() == {new.key: "planned"}


def test_only_what_changed_is_written_again(state: State) -> None:
    def places(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
        tables = {LEDGER: "key", REVIEWS: "account_id", FIELD_JOURNAL: "field"}
        found = [
            connection.execute(f"SELECT {key}, rowid FROM {table.qualified_name}").fetchall() for table, key in tables.items()
        ]
        return dict(row for rows in found for row in rows)

    write, other = invoice(1, depends_on=()), invoice(2, depends_on=())
    state.ledger.enqueue([write, other], "B-1", NOW)
    state.reviews.open_or_refresh([ReviewCase("001", "Acme", "Which one?", [], 2, None, None)], NOW)
    state.journal.record([CHANGE], NOW)
    with duckdb.connect() as connection:
        copy_state(connection, state)
        copied = places(connection)
        assert len(copied) == 4
        copy_state(connection, state)
        assert places(connection) == copied
        state.ledger.start([sending(write)], NOW + timedelta(minutes=1))
        copy_state(connection, state)
        assert {key for key, place in places(connection).items() if copied[key] != place} == {write.key}


def test_a_state_from_before_the_last_copy_is_copied_as_it_is(state: State, tmp_path: Path) -> None:
    with duckdb.connect() as connection:
        state.ledger.enqueue([invoice(1), invoice(2)], "B-1", NOW)
        copy_state(connection, state)
        with State.open(f"sqlite:///{tmp_path / 'restored.sqlite'}", tmp_path) as restored:
            restored.ledger.enqueue([invoice(1), invoice(3)], "B-1", NOW - timedelta(days=3))
            assert copy_state(connection, restored)["ledger"] == 2
        assert set(read_table(connection, LEDGER).get_column("key")) == {invoice(1).key, invoice(3).key}


def test_steps_are_added_as_they_come_and_mended_once_they_ended(state: State) -> None:
    def begin(minutes: int) -> int:
        return state.passes.begin("invoices", "live", "plan", NOW + timedelta(minutes=minutes))

    def end(step: int, minutes: int) -> None:
        state.passes.end(step, "done", {"planned": 3}, {"quickbooks.query": 2}, "run-1", NOW + timedelta(minutes=minutes))

    killed, done, running = begin(-3000), begin(0), begin(1)
    end(done, 1)
    with duckdb.connect() as connection:

        def copied() -> dict[int, str | None]:
            assert copy_state(connection, state)["passes"] == read_table(connection, PASSES).height
            return dict(read_table(connection, PASSES).select("pass_id", "outcome").sort("pass_id").iter_rows())

        assert copied() == {killed: None, done: "done", running: None}
        end(running, 5)
        later = begin(9)
        assert copied() == {killed: None, done: "done", running: "done", later: None}
        (row,) = read_table(connection, PASSES).filter(pl.col("pass_id") == done).to_dicts()
        assert (row["run_id"], row["step"], row["counts"], row["api_calls"]) == (
            "run-1",
            "plan",
            '{"planned":3}',
            '{"quickbooks.query":2}',
        )
        for number in range(450):
            end(begin(10 + number), 10 + number)
        assert len(copied()) == 454


def test_no_body_that_was_sent_and_no_token_reaches_the_warehouse() -> None:
    names = {column.name for table in (LEDGER, FAILURES, REVIEWS, CUSTOMER_LINKS, FIELD_JOURNAL) for column in table.columns}
    assert not names & {"payload", "sent_body", "result", "access_token", "refresh_token"}
