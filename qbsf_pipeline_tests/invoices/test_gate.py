"""The gate stands four deep, on a real instance against services over HTTP: nothing reaches QuickBooks round it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from sqlalchemy import update

from qbsf_pipeline.customers.matching.plan import MATCHES
from qbsf_pipeline.flows.approval import batch_of
from qbsf_pipeline.invoices.assets import PLANNED_TABLES
from qbsf_pipeline.invoices.tables import PLAN
from qbsf_pipeline.money import parse_json, to_json
from qbsf_pipeline.notices import closed_checks, failed_reason, tell_failed_run
from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.salesforce import objects as salesforce
from qbsf_pipeline.salesforce.objects import to_18
from qbsf_pipeline.sandbox.server import SandboxProcess, start_sandbox
from qbsf_pipeline.state.ledger import AlreadyTaken, Sending
from qbsf_pipeline.state.tables import ledger as ledger_table
from qbsf_pipeline.warehouse.raw import WATERMARKS, write_pulls
from qbsf_pipeline.warehouse.tables import PulledTable
from qbsf_pipeline_tests.pipeline import Pipeline, closed, materialized

NOW = datetime.now(UTC)
PLANNED = tuple(f"invoices/{table.name}" for table in PLANNED_TABLES)
RAW = tuple(f"{table.schema}/{table.name}" for table in (*salesforce.TABLES, *quickbooks.TABLES))
#: A pass without the reporting tables.
SYNCED = (*RAW, "customers/matches", *PLANNED, "invoices/pending")
#: One more than this, and a person is asked.
SMALL = "[gates]\nmax_invoices = 1\n"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    with start_sandbox(tmp_path_factory.mktemp("services")) as process:
        yield process


@pytest.fixture(scope="module")
def planned_home(sandbox: SandboxProcess, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home where both systems were read and the invoices planned; nothing is pending and nothing was written."""
    home = tmp_path_factory.mktemp("planned") / "home"
    with pytest.MonkeyPatch.context() as patch, Pipeline(home, patch, sandbox) as pipeline:
        assert pipeline.run("plan_only").success
    return home


@pytest.fixture
def pipeline(sandbox: SandboxProcess, planned_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipeline]:
    """A pipeline that goes on from ``planned_home``; the sandbox must be left without an invoice of ours."""
    shutil.copytree(planned_home, tmp_path / "home")
    with Pipeline(tmp_path / "home", monkeypatch, sandbox) as built:
        built.control.clear_calls()
        yield built


def make_pending(pipeline: Pipeline) -> dg.ExecuteInProcessResult:
    return pipeline.run("sync_invoices", *PLANNED, "invoices/pending")


def whole_plan(pipeline: Pipeline) -> str:
    return batch_of(pipeline.table(PLAN).get_column("plan_id").to_list())


def test_a_closed_check_of_the_plan_keeps_it_from_becoming_pending(pipeline: Pipeline) -> None:
    pipeline.rules(SMALL)
    result = pipeline.run("sync_invoices", *SYNCED)
    assert not result.success
    assert closed(result) == {"within_blast_radius"}
    assert "invoices/plan" in materialized(result)
    assert "invoices/pending" not in materialized(result)
    assert pipeline.doors.state.ledger.counts() == {}
    assert pipeline.writes_to_quickbooks() == 0


def test_a_closed_check_of_the_sources_keeps_the_plan_from_being_made(pipeline: Pipeline) -> None:
    pipeline.rules("[pull]\nlargest_shrink_rows = 1\nlargest_shrink_share = 0.01\n")
    rows = pipeline.table(WATERMARKS).with_columns(
        rows_lost=pl.when(pl.col("table_name") == "quickbooks.invoice").then(40).otherwise(pl.col("rows_lost"))
    )
    pipeline.put(WATERMARKS, rows)
    result = pipeline.run("sync_invoices", *SYNCED)
    assert closed(result) == {"quickbooks_lost_no_rows"}
    assert not materialized(result) & {*PLANNED, "invoices/pending"}
    assert pipeline.writes_to_quickbooks() == 0


def test_the_push_runs_the_checks_again_and_sends_nothing_when_one_is_closed(pipeline: Pipeline) -> None:
    assert pipeline.run("sync_invoices", *SYNCED).success
    assert isinstance(pipeline.tick("push_invoices_sensor"), dg.RunRequest)
    before = pipeline.doors.state.ledger.counts()
    pipeline.rules(SMALL)
    result = pipeline.run("push_invoices")
    assert not result.success
    assert closed(result) == {"within_blast_radius"}
    assert "invoices/pushed" not in materialized(result)
    assert pipeline.writes_to_quickbooks() == 0
    assert pipeline.doors.state.ledger.counts() == before
    answer = pipeline.tick("push_invoices_sensor")
    assert isinstance(answer, dg.SkipReason)
    assert "within_blast_radius is closed" in (answer.skip_message or "")


def test_the_push_refuses_stale_sources(pipeline: Pipeline) -> None:
    assert make_pending(pipeline).success
    old = pipeline.table(WATERMARKS).with_columns(pulled_at=pl.col("pulled_at") - pl.duration(hours=4))
    pipeline.put(WATERMARKS, old)
    result = pipeline.run("push_invoices")
    assert closed(result) == {"salesforce_is_fresh", "quickbooks_is_fresh"}
    assert pipeline.writes_to_quickbooks() == 0


def test_what_has_not_passed_the_gate_is_not_pushed_even_when_a_person_runs_the_push_by_hand(pipeline: Pipeline) -> None:
    assert make_pending(pipeline).success
    state = pipeline.doors.state
    entry = state.ledger.waiting("invoices")[0]
    with state.engine.begin() as connection:
        connection.execute(update(ledger_table).values(gate_passed_at=None))
    assert state.ledger.ready("invoices", NOW) == []
    with pytest.raises(AlreadyTaken):
        state.ledger.start([Sending(entry.key, "r-1", "{}")], NOW)
    # Only the push asset, without any check: what a hand in the UI can do.
    result = pipeline.run("push_invoices", "invoices/pushed")
    assert result.success
    assert materialized(result) == {"invoices/pushed"}
    assert pipeline.writes_to_quickbooks() == 0
    assert set(state.ledger.counts()) == {"planned"}


def test_in_mode_dry_run_nothing_becomes_pending_and_the_push_refuses(pipeline: Pipeline) -> None:
    pipeline.mode("dry_run")
    told = len(pipeline.control.messages())
    pending = make_pending(pipeline)
    assert pending.success
    assert pipeline.doors.state.ledger.counts() == {}
    pushed = pipeline.run("push_invoices", "invoices/pushed")
    assert not pushed.success
    assert failed_reason(pipeline.instance, pushed.run_id) == "QBSF_MODE is dry_run: nothing is written to any system"
    assert pipeline.writes_to_quickbooks() == 0
    assert len(pipeline.control.messages()) == told


def test_a_plan_that_was_tampered_with_stops_at_the_push(pipeline: Pipeline) -> None:
    assert make_pending(pipeline).success
    plan = pipeline.table(PLAN)
    first, second = plan.filter(pl.col("operation") == "create_invoice").head(2).iter_rows(named=True)
    dearer, other = parse_json(first["payload"]), parse_json(second["payload"])
    dearer["Line"][0]["Amount"] += 1
    other["CustomerRef"] = {"value": "99999"}
    changed = {first["key"]: to_json(dearer), second["key"]: to_json(other)}
    payloads = [changed.get(key, payload) for key, payload in plan.select("key", "payload").iter_rows()]
    pipeline.put(PLAN, plan.with_columns(payload=pl.Series(payloads)))
    result = pipeline.run("push_invoices")
    assert closed(result) >= {"totals_equal_the_deals", "every_invoice_has_a_confirmed_customer"}
    assert pipeline.writes_to_quickbooks() == 0


def test_a_closed_gate_is_told_once_with_the_command_that_opens_it(pipeline: Pipeline) -> None:
    pipeline.rules(SMALL)
    state = pipeline.doors.state
    first = make_pending(pipeline)
    for result in (first, make_pending(pipeline)):
        assert [name for name, _ in closed_checks(pipeline.instance, result.run_id)] == ["within_blast_radius"]
        assert tell_failed_run(pipeline.doors, pipeline.instance, result.run_id, "sync_invoices", None)
    assert len(state.outbox.pending()) == 1
    (text,) = pipeline.waiting_texts()
    number = pipeline.table(PLAN).filter(pl.col("operation") == "create_invoice").height
    assert text == (
        ":no_entry: *No invoice was pushed: a check stopped this pass.*\n"
        f"• This plan is larger than one push may be: {number} invoices (at most 1). Look at it with qbsf plan, then: "
        f"qbsf approve {whole_plan(pipeline)}  (`within_blast_radius`)\n"
        f"<http://127.0.0.1:3000/runs/{first.run_id}|Open the run>"
    )


def test_a_shrunken_full_pull_closes_the_gate_marks_nothing_deleted_and_a_good_one_opens_it(pipeline: Pipeline) -> None:
    pipeline.rules("[pull]\nlargest_shrink_rows = 2\nlargest_shrink_share = 0.01\n")
    known = pipeline.table(salesforce.OPPORTUNITY)
    model = pipeline.control.records("Opportunity")[0]
    ghosts = [to_18(f"006GHOST000000{number}") for number in range(3)]
    rows = [{**known.row(0, named=True), "id": ghost, "is_won": False, "stage_name": "Prospecting"} for ghost in ghosts]
    pulled = PulledTable(salesforce.OPPORTUNITY, salesforce.OPPORTUNITY.frame(rows), NOW, False, "x")
    write_pulls(pipeline.doors.warehouse, [pulled], pipeline.settings.rules.pull, NOW)

    # The org does not show three deals that the warehouse knows.
    first = pipeline.run("plan_only", full=True)
    assert closed(first) == {"salesforce_lost_no_rows"}
    assert "invoices/plan" not in materialized(first)
    opportunities = pipeline.table(salesforce.OPPORTUNITY)
    assert opportunities.filter(pl.col("id").is_in(ghosts) & ~pl.col("is_deleted")).height == 3
    assert opportunities.filter("is_deleted").height == known.filter("is_deleted").height

    # An incremental pull, or another full one that is no better, leaves it closed.
    assert closed(pipeline.run("plan_only")) == {"salesforce_lost_no_rows"}

    # The permissions are given back: the org shows them again.
    fields = ("Name", "AccountId", "OwnerId", "CloseDate")
    back = [{"Id": ghost, **{name: model[name] for name in fields}, "StageName": "Prospecting"} for ghost in ghosts]
    pipeline.control.upsert_records("Opportunity", back)
    good = pipeline.run("plan_only", full=True)
    assert closed(good) == set()
    assert good.success
    assert pipeline.writes_to_quickbooks() == 0


def test_approving_the_whole_plan_lets_a_large_one_through_once_and_only_once(
    sandbox: SandboxProcess, pipeline: Pipeline
) -> None:
    pipeline.rules(SMALL)
    assert closed(make_pending(pipeline)) == {"within_blast_radius"}
    state = pipeline.doors.state
    state.approvals.approve(whole_plan(pipeline), "dana", NOW)
    assert make_pending(pipeline).success
    planned = pipeline.table(PLAN)
    invoices = planned.filter(pl.col("operation") == "create_invoice")
    assert state.ledger.newest_batch("invoices") == whole_plan(pipeline)

    result = pipeline.run("push_invoices")
    assert result.success
    assert {"invoices/pushed", "pipeline/state", "reporting/invoices", "reporting/snapshot"} <= materialized(result)
    assert set(state.ledger.counts()) == {"done"}
    notes = [str(one.get("PrivateNote")) for one in pipeline.control.objects("Invoice")]
    for opportunity_id in invoices.get_column("source_id"):
        assert sum(opportunity_id in note for note in notes) == 1

    # The same approval does nothing more, and neither does another push or pass.
    calls = pipeline.writes_to_quickbooks()
    assert pipeline.run("push_invoices", "invoices/pushed").success
    again = pipeline.run("sync_invoices", *SYNCED)
    assert again.success
    assert pipeline.table(PLAN).is_empty()
    assert pipeline.writes_to_quickbooks() == calls

    # Every matched account keeps its customer, whatever its name becomes.
    linked = {link.account_id: link.customer_id for link in state.links.all_customers()}
    matches = pipeline.table(MATCHES).filter(pl.col("account_id").is_in(invoices.get_column("account_id").implode()))
    assert set(matches.get_column("outcome")) == {"linked"}
    assert all(linked.get(row["account_id"], row["customer_id"]) == row["customer_id"] for row in matches.to_dicts())
    # What QuickBooks answered stands in the warehouse without another read.
    held = pipeline.table(quickbooks.INVOICE).filter(pl.col("opportunity_id").is_in(invoices.get_column("source_id").implode()))
    assert held.height == invoices.height
    assert held.get_column("total").sum() >= invoices.get_column("amount").sum()
