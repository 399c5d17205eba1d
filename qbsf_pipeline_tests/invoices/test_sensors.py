"""The sensors and the sweep, case by case, on a real instance: what they start, and why they leave it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData,
)
from dagster._core.test_utils import create_run_for_test

from qbsf_pipeline.flows.automation import BUSY, closed_gate
from qbsf_pipeline.flows.source_gates import source_gates
from qbsf_pipeline.invoices.automation import INVOICES
from qbsf_pipeline.invoices.checks import PLAN_KEY, plan_gates
from qbsf_pipeline.settings import load_settings
from qbsf_pipeline.state.ledger import PlannedWrite
from qbsf_pipeline.state.outbox import Message
from qbsf_pipeline_tests.pipeline import Pipeline
from qbsf_pipeline_tests.state.writes import invoice, sending

NOW = datetime.now(UTC)
CHECKS = sorted([*source_gates.check_keys, *plan_gates.check_keys], key=lambda key: key.name)


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipeline]:
    with Pipeline(tmp_path / "home", monkeypatch) as built:
        yield built


def enqueue(pipeline: Pipeline, *writes: PlannedWrite, batch: str = "B-1") -> None:
    pipeline.doors.state.ledger.enqueue([*writes], batch, NOW)


def lone(number: int = 1, **changes: object) -> PlannedWrite:
    """An invoice that waits for nothing else."""
    return invoice(number, depends_on=(), **changes)


def materialize(pipeline: Pipeline, *keys: dg.AssetKey) -> None:
    for key in keys:
        pipeline.instance.report_runless_asset_event(dg.AssetMaterialization(key))


def plan_was_made(pipeline: Pipeline) -> None:
    materialize(pipeline, *dict.fromkeys(key.asset_key for key in source_gates.check_keys), PLAN_KEY)


def checks_ran(pipeline: Pipeline, *, without: str | None = None) -> None:
    """Every check but one, evaluated now for what was materialized last, and passed."""
    for key in CHECKS:
        if key.name != without:
            check_ran(pipeline, key)


def check_ran(pipeline: Pipeline, key: dg.AssetCheckKey, *, passed: bool = True) -> None:
    newest = pipeline.instance.fetch_materializations(key.asset_key, limit=1).records[0]
    target = AssetCheckEvaluationTargetMaterializationData(
        storage_id=newest.storage_id, run_id=newest.run_id, timestamp=newest.timestamp
    )
    pipeline.instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(
            asset_key=key.asset_key,
            check_name=key.name,
            passed=passed,
            description="" if passed else "2 deals to invoice have one already.",
            blocking=True,
            target_materialization_data=target,
        )
    )


def skipped(answer: dg.RunRequest | dg.SkipReason) -> str:
    assert isinstance(answer, dg.SkipReason), answer
    return answer.skip_message or ""


def test_the_first_tick_has_nothing_to_push(pipeline: Pipeline) -> None:
    assert skipped(pipeline.tick("push_invoices_sensor")) == "nothing is pending"


def test_what_is_pending_without_a_plan_in_this_instance_waits(pipeline: Pipeline) -> None:
    enqueue(pipeline, lone())
    assert skipped(pipeline.tick("push_invoices_sensor")) == "1 writes wait: there is no plan yet"


def test_a_plan_whose_checks_have_not_run_is_not_pushed(pipeline: Pipeline) -> None:
    enqueue(pipeline, lone())
    plan_was_made(pipeline)
    assert skipped(pipeline.tick("push_invoices_sensor")).endswith(" has not run")


def test_one_check_that_has_not_run_is_enough_to_wait(pipeline: Pipeline) -> None:
    enqueue(pipeline, lone())
    plan_was_made(pipeline)
    checks_ran(pipeline, without="currencies_agree")
    assert skipped(pipeline.tick("push_invoices_sensor")) == "1 writes wait: check currencies_agree has not run"


def test_what_passed_every_check_is_pushed(pipeline: Pipeline) -> None:
    enqueue(pipeline, lone(1), lone(2))
    plan_was_made(pipeline)
    checks_ran(pipeline)
    answer = pipeline.tick("push_invoices_sensor")
    assert isinstance(answer, dg.RunRequest)
    assert answer.tags["qbsf/waiting"] == "2"
    # A run key would keep a push that failed from ever being started again.
    assert answer.run_key is None


def test_each_closed_check_keeps_the_sensor_from_pushing_and_says_why(pipeline: Pipeline) -> None:
    enqueue(pipeline, lone())
    plan_was_made(pipeline)
    checks_ran(pipeline)
    for key in CHECKS:
        check_ran(pipeline, key, passed=False)
        expected = f"1 writes wait: check {key.name} is closed: 2 deals to invoice have one already."
        assert skipped(pipeline.tick("push_invoices_sensor")) == expected
        check_ran(pipeline, key)
    assert isinstance(pipeline.tick("push_invoices_sensor"), dg.RunRequest)


def test_checks_that_passed_for_an_older_plan_do_not_open_the_gate(pipeline: Pipeline) -> None:
    enqueue(pipeline, lone())
    plan_was_made(pipeline)
    checks_ran(pipeline)
    materialize(pipeline, PLAN_KEY)
    assert skipped(pipeline.tick("push_invoices_sensor")) == "1 writes wait: check books_are_open belongs to an older plan"
    checks_ran(pipeline)
    assert isinstance(pipeline.tick("push_invoices_sensor"), dg.RunRequest)


def test_checks_that_passed_for_an_older_pull_do_not_open_the_gate(pipeline: Pipeline) -> None:
    enqueue(pipeline, lone())
    plan_was_made(pipeline)
    checks_ran(pipeline)
    materialize(pipeline, dg.AssetKey(["quickbooks", "invoice"]))
    assert closed_gate(pipeline.instance, INVOICES) == "check invoice_ids_are_unique belongs to an older pull"


@pytest.mark.parametrize("status", [status for status in BUSY if status is not dg.DagsterRunStatus.QUEUED])
def test_a_push_that_is_under_way_is_not_started_twice(pipeline: Pipeline, status: dg.DagsterRunStatus) -> None:
    enqueue(pipeline, lone())
    plan_was_made(pipeline)
    checks_ran(pipeline)
    create_run_for_test(pipeline.instance, job_name="push_invoices", status=status)
    assert skipped(pipeline.tick("push_invoices_sensor")) == "a push is under way"


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.CANCELED])
def test_a_push_that_ended_does_not_keep_the_next_one_back(pipeline: Pipeline, status: dg.DagsterRunStatus) -> None:
    enqueue(pipeline, lone())
    plan_was_made(pipeline)
    checks_ran(pipeline)
    create_run_for_test(pipeline.instance, job_name="push_invoices", status=status)
    assert isinstance(pipeline.tick("push_invoices_sensor"), dg.RunRequest)


def test_in_mode_approve_nothing_is_pushed_that_nobody_approved(pipeline: Pipeline) -> None:
    pipeline.mode("approve")
    enqueue(pipeline, lone())
    plan_was_made(pipeline)
    checks_ran(pipeline)
    assert skipped(pipeline.tick("push_invoices_sensor")) == "nothing approved is pending"


@pytest.mark.parametrize("subject", ["P-0123456789", "B-1"])
def test_in_mode_approve_what_a_person_approved_is_pushed(pipeline: Pipeline, subject: str) -> None:
    pipeline.mode("approve")
    enqueue(pipeline, lone(1), lone(2, plan_id="P-other"))
    plan_was_made(pipeline)
    checks_ran(pipeline)
    pipeline.doors.state.approvals.approve(subject, "dana", NOW)
    answer = pipeline.tick("push_invoices_sensor")
    assert isinstance(answer, dg.RunRequest)
    assert answer.tags["qbsf/waiting"] == ("1" if subject.startswith("P-") else "2")


def test_a_rejected_deal_is_not_pushed_in_any_mode(pipeline: Pipeline) -> None:
    enqueue(pipeline, lone())
    plan_was_made(pipeline)
    checks_ran(pipeline)
    pipeline.doors.state.approvals.reject("P-0123456789", "dana", NOW)
    assert skipped(pipeline.tick("push_invoices_sensor")) == "nothing is pending"


def test_a_write_whose_customer_does_not_exist_yet_starts_nothing_by_itself(pipeline: Pipeline) -> None:
    enqueue(pipeline, invoice(1))
    assert skipped(pipeline.tick("push_invoices_sensor")) == "nothing is pending"


def test_a_write_that_failed_is_pushed_when_it_is_due_again(pipeline: Pipeline) -> None:
    ledger = pipeline.doors.state.ledger
    enqueue(pipeline, lone())
    plan_was_made(pipeline)
    checks_ran(pipeline)
    ledger.fail(lone().key, "6140", "taken", NOW + timedelta(hours=1), NOW)
    assert skipped(pipeline.tick("push_invoices_sensor")) == "nothing is pending"
    ledger.fail(lone().key, "6140", "taken", NOW - timedelta(seconds=1), NOW)
    assert isinstance(pipeline.tick("push_invoices_sensor"), dg.RunRequest)


def test_a_write_whose_answer_was_lost_is_looked_after(pipeline: Pipeline) -> None:
    enqueue(pipeline, lone())
    plan_was_made(pipeline)
    checks_ran(pipeline)
    pipeline.doors.state.ledger.start([sending(lone())], NOW)
    assert isinstance(pipeline.tick("push_invoices_sensor"), dg.RunRequest)


@pytest.mark.parametrize("job", ["sync", "sync_invoices", "push_invoices"])
def test_passes_follow_each_other_and_never_overlap(pipeline: Pipeline, job: str) -> None:
    assert isinstance(pipeline.tick("sync_sensor"), dg.RunRequest)
    create_run_for_test(pipeline.instance, job_name=job, status=dg.DagsterRunStatus.STARTED)
    assert skipped(pipeline.tick("sync_sensor")) == "a pass is under way"


def test_waiting_messages_are_sent_by_a_run_of_their_own(pipeline: Pipeline) -> None:
    assert skipped(pipeline.tick("messages_sensor")) == "no message waits"
    pipeline.doors.state.outbox.put([Message("one", "#finance", "Hello", [])], NOW)
    first = pipeline.tick("messages_sensor")
    assert isinstance(first, dg.RunRequest)
    assert first.run_key == pipeline.tick("messages_sensor").run_key
    entry = pipeline.doors.state.outbox.due(NOW)[0]
    pipeline.doors.state.outbox.mark_sending(entry.entry_id, NOW)
    pipeline.doors.state.outbox.failed(entry.entry_id, "ratelimited", NOW)
    again = pipeline.tick("messages_sensor")
    assert isinstance(again, dg.RunRequest)
    # Another key after each attempt: one that failed must not keep the message back for ever.
    assert again.run_key != first.run_key


def test_the_sweep_finds_what_no_sensor_picked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dagster").mkdir()
    instance = dg.DagsterInstance.local_temp(str(tmp_path / "dagster"))
    with Pipeline(tmp_path / "home", monkeypatch, instance=instance) as pipeline:
        assert skipped(pipeline.tick_schedule("sweep_invoices")) == "nothing waits"
        enqueue(pipeline, lone())
        assert isinstance(pipeline.tick_schedule("sweep_invoices"), dg.RunRequest)
        create_run_for_test(instance, job_name="sync_invoices", status=dg.DagsterRunStatus.STARTED)
        assert isinstance(pipeline.tick_schedule("sweep_invoices"), dg.RunRequest)
        create_run_for_test(instance, job_name="push_invoices", status=dg.DagsterRunStatus.STARTED)
        assert skipped(pipeline.tick_schedule("sweep_invoices")) == "it is under way"


FLOWS = ("invoices", "customers", "payments", "aging")


@pytest.mark.parametrize(
    ("mode", "sensors", "schedules"),
    [
        ("dry_run", {"sync_sensor"}, {"full_pull", "forget_old_runs", "month_end", "morning_aging"}),
        *(
            (
                mode,
                {"sync_sensor", "failed_run_sensor", "messages_sensor", *(f"push_{flow}_sensor" for flow in FLOWS)},
                {"full_pull", "forget_old_runs", "month_end", "morning_aging", *(f"sweep_{flow}" for flow in FLOWS)},
            )
            for mode in ("sandbox", "approve", "live")
        ),
    ],
)
def test_sensors_and_schedules_that_lead_to_writes_exist_only_where_writing_is_allowed(
    pipeline: Pipeline, mode: str, sensors: set[str], schedules: set[str]
) -> None:
    pipeline.mode(mode)
    repository = pipeline.definitions.get_repository_def()
    assert {sensor.name for sensor in repository.sensor_defs} == sensors
    assert {schedule.name for schedule in repository.schedule_defs} == schedules
    assert all(sensor.default_status is dg.DefaultSensorStatus.RUNNING for sensor in repository.sensor_defs)
    assert all(schedule.default_status is dg.DefaultScheduleStatus.RUNNING for schedule in repository.schedule_defs)


def test_the_built_in_services_are_asked_more_often_than_real_ones(pipeline: Pipeline) -> None:
    rules = load_settings().rules.schedules
    intervals = {}
    for mode in ("sandbox", "live"):
        pipeline.mode(mode)
        repository = pipeline.definitions.get_repository_def()
        intervals[mode] = {sensor.name: sensor.minimum_interval_seconds for sensor in repository.sensor_defs}
    assert intervals["sandbox"]["sync_sensor"] == rules.sandbox_sync_every_seconds
    assert intervals["live"]["sync_sensor"] == rules.sync_every_seconds
    assert intervals["live"]["push_invoices_sensor"] == rules.push_every_seconds


def test_a_closed_gate_is_not_retried_and_a_dead_worker_is(pipeline: Pipeline) -> None:
    for name in ("sync_invoices", "push_invoices", "plan_only"):
        tags = pipeline.definitions.resolve_job_def(name).tags
        assert tags["dagster/retry_on_asset_or_op_failure"] == "false"
        assert int(tags["dagster/max_retries"]) > 0
        assert int(tags["dagster/max_runtime"]) > 0
