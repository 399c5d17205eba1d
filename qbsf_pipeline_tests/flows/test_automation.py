"""Jobs, sensors and sweeps of several flows beside each other: what stops one flow says nothing about another."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData,
)
from dagster._core.test_utils import create_run_for_test

from qbsf_pipeline.aging.automation import AGING
from qbsf_pipeline.customers.automation import CUSTOMERS
from qbsf_pipeline.flows.automation import Flow, closed_gate
from qbsf_pipeline.flows.source_gates import source_gates
from qbsf_pipeline.invoices.automation import INVOICES
from qbsf_pipeline.notices import stopped_flows, tell_failed_run
from qbsf_pipeline.payments.automation import PAYMENTS
from qbsf_pipeline.state.journal import FieldChange
from qbsf_pipeline_tests.pipeline import Pipeline
from qbsf_pipeline_tests.state.writes import invoice

NOW = datetime.now(UTC)
FLOWS = (INVOICES, CUSTOMERS, PAYMENTS, AGING)


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipeline]:
    with Pipeline(tmp_path / "home", monkeypatch) as built:
        yield built


def enqueue(pipeline: Pipeline, flow: Flow) -> None:
    write = invoice(1, key=f"{flow.name}:1", flow=flow.name, depends_on=())
    pipeline.doors.state.ledger.enqueue([write], "B-1", NOW)


def plans_were_made_and_checked(pipeline: Pipeline) -> None:
    for key in [*dict.fromkeys(key.asset_key for key in source_gates.check_keys), *(flow.planned[0] for flow in FLOWS)]:
        pipeline.instance.report_runless_asset_event(dg.AssetMaterialization(key))
    for key in [*source_gates.check_keys, *(key for flow in FLOWS for key in flow.plan_gates.check_keys)]:
        check_ran(pipeline, key)


def check_ran(pipeline: Pipeline, key: dg.AssetCheckKey, *, passed: bool = True) -> None:
    newest = pipeline.instance.fetch_materializations(key.asset_key, limit=1).records[0]
    target = AssetCheckEvaluationTargetMaterializationData(
        storage_id=newest.storage_id, run_id=newest.run_id, timestamp=newest.timestamp
    )
    evaluation = dg.AssetCheckEvaluation(
        asset_key=key.asset_key,
        check_name=key.name,
        passed=passed,
        description="" if passed else "Something is wrong.",
        blocking=True,
        target_materialization_data=target,
    )
    pipeline.instance.report_runless_asset_event(evaluation)


def skipped(answer: dg.RunRequest | dg.SkipReason) -> str:
    assert isinstance(answer, dg.SkipReason), answer
    return answer.skip_message or ""


def ticks(pipeline: Pipeline) -> dict[str, bool]:
    """Which flows a push would be started for now."""
    answers = {flow.name: pipeline.tick(f"push_{flow.name}_sensor") for flow in FLOWS}
    return {name: isinstance(answer, dg.RunRequest) for name, answer in answers.items()}


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
def test_only_the_flow_in_which_something_waits_is_pushed(pipeline: Pipeline, flow: Flow) -> None:
    plans_were_made_and_checked(pipeline)
    enqueue(pipeline, flow)
    assert ticks(pipeline) == {one.name: one is flow for one in FLOWS}


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
def test_a_closed_gate_of_one_flow_stops_that_flow_only(pipeline: Pipeline, flow: Flow) -> None:
    plans_were_made_and_checked(pipeline)
    for one in FLOWS:
        enqueue(pipeline, one)
    for key in flow.plan_gates.check_keys:
        check_ran(pipeline, key, passed=False)
        closed = {one.name: closed_gate(pipeline.instance, one) for one in FLOWS}
        assert closed == {one.name: f"check {key.name} is closed: Something is wrong." if one is flow else None for one in FLOWS}
        check_ran(pipeline, key)
    check_ran(pipeline, max(flow.plan_gates.check_keys), passed=False)
    assert ticks(pipeline) == {one.name: one is not flow for one in FLOWS}
    check_ran(pipeline, max(flow.plan_gates.check_keys))
    assert ticks(pipeline) == {one.name: True for one in FLOWS}


def test_a_closed_gate_over_what_was_pulled_stops_every_flow(pipeline: Pipeline) -> None:
    plans_were_made_and_checked(pipeline)
    for flow in FLOWS:
        enqueue(pipeline, flow)
    for key in source_gates.check_keys:
        check_ran(pipeline, key, passed=False)
        assert all(closed_gate(pipeline.instance, flow) for flow in FLOWS), key
        check_ran(pipeline, key)
    assert ticks(pipeline) == {flow.name: True for flow in FLOWS}
    check_ran(pipeline, max(source_gates.check_keys), passed=False)
    assert ticks(pipeline) == {flow.name: False for flow in FLOWS}


def test_a_newer_plan_of_one_flow_says_nothing_about_another(pipeline: Pipeline) -> None:
    plans_were_made_and_checked(pipeline)
    for flow in FLOWS:
        enqueue(pipeline, flow)
    pipeline.instance.report_runless_asset_event(dg.AssetMaterialization(CUSTOMERS.planned[0]))
    assert ticks(pipeline) == {flow.name: flow is not CUSTOMERS for flow in FLOWS}
    assert "belongs to an older plan" in (closed_gate(pipeline.instance, CUSTOMERS) or "")


def test_changes_that_nobody_was_told_of_bring_a_push_about(pipeline: Pipeline) -> None:
    """A push that died between writing and telling: nothing is left to write, and finance knows of nothing."""
    plans_were_made_and_checked(pipeline)
    change = FieldChange(
        "k",
        "001",
        "Acme",
        "101",
        "ACME",
        "phone",
        '"1"',
        '"2"',
        '"1"',
        "salesforce",
        "salesforce",
        "put_back",
        "Why.",
        None,
        None,
        "w",
    )
    journal = pipeline.doors.state.journal
    journal.record([change], NOW)
    assert skipped(pipeline.tick("push_customers_sensor")) == "nothing is pending"
    journal.settle({"w": "written"}, NOW)
    assert ticks(pipeline) == {flow.name: flow is CUSTOMERS for flow in FLOWS}


@pytest.mark.parametrize("job", ["sync", "sync_invoices", "sync_customers", "push_invoices", "push_customers"])
def test_a_pass_waits_for_every_other_run_of_any_flow(pipeline: Pipeline, job: str) -> None:
    assert isinstance(pipeline.tick("sync_sensor"), dg.RunRequest)
    create_run_for_test(pipeline.instance, job_name=job, status=dg.DagsterRunStatus.STARTED)
    assert skipped(pipeline.tick("sync_sensor")) == "a pass is under way"


def test_a_push_of_one_flow_does_not_keep_back_that_of_another(pipeline: Pipeline) -> None:
    plans_were_made_and_checked(pipeline)
    for flow in FLOWS:
        enqueue(pipeline, flow)
    create_run_for_test(pipeline.instance, job_name="push_invoices", status=dg.DagsterRunStatus.STARTED)
    assert skipped(pipeline.tick("push_invoices_sensor")) == "a push is under way"
    assert isinstance(pipeline.tick("push_customers_sensor"), dg.RunRequest)


def test_each_flow_has_a_sweep_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dagster").mkdir()
    instance = dg.DagsterInstance.local_temp(str(tmp_path / "dagster"))
    with Pipeline(tmp_path / "home", monkeypatch, instance=instance) as pipeline:
        enqueue(pipeline, CUSTOMERS)
        assert isinstance(pipeline.tick_schedule("sweep_customers"), dg.RunRequest)
        assert skipped(pipeline.tick_schedule("sweep_invoices")) == "nothing waits"


@pytest.mark.parametrize(
    ("key", "flows", "said"),
    [
        (["invoices", "plan"], ["invoices"], "No invoice was pushed"),
        (["customers", "plan"], ["customers"], "No customer was changed"),
        (["salesforce", "opportunity"], ["invoices", "customers", "payments", "aging"], "Nothing was sent to QuickBooks"),
        (["payments", "plan"], ["payments"], "No payment status was written"),
        (["aging", "plan"], ["aging"], "No age was written and nobody was reminded"),
    ],
)
def test_people_are_told_which_flow_a_closed_gate_stops(pipeline: Pipeline, key: list[str], flows: list[str], said: str) -> None:
    asset_key = dg.AssetKey(key)

    @dg.asset(key=asset_key, check_specs=[dg.AssetCheckSpec("sound", asset=asset_key, blocking=True)])
    def checked() -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        yield dg.MaterializeResult()
        yield dg.AssetCheckResult(check_name="sound", passed=False, description="2 < 3.")

    ran = dg.materialize([checked], instance=pipeline.instance, raise_on_error=False)
    assert stopped_flows(pipeline.instance, ran.run_id) == flows
    assert tell_failed_run(pipeline.doors, pipeline.instance, ran.run_id, "sync", None)
    (text,) = pipeline.waiting_texts()
    assert text.startswith(f":no_entry: *{said}: a check stopped this pass.*\n• 2 &lt; 3.  (`sound`)\n")
