"""Telling of runs that failed: the reason in words, once for a reason and day, an outage not twice, a gate as a gate."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from qbsf_pipeline.notices import closed_checks, failed_reason, tell_failed_run
from qbsf_pipeline.steps import TOLD_TAG
from qbsf_pipeline_tests.pipeline import Pipeline


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipeline]:
    with Pipeline(tmp_path / "home", monkeypatch) as built:
        yield built


def fail(pipeline: Pipeline, error: Exception | None, check: bool = True) -> str:
    """A run of a small job that fails with ``error``, or on a check of its asset. Returns the run's id."""

    @dg.asset(check_specs=[dg.AssetCheckSpec("sound", asset="thing", blocking=True), dg.AssetCheckSpec("nice", asset="thing")])
    def thing() -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        if error is not None:
            raise error
        yield dg.MaterializeResult()
        yield dg.AssetCheckResult(check_name="sound", passed=check, description="2 < 3.")
        yield dg.AssetCheckResult(check_name="nice", passed=False, description="ugly")

    ran = dg.materialize([thing], instance=pipeline.instance, raise_on_error=False)
    return ran.run_id


def tell(pipeline: Pipeline, run_id: str, error: str | None = None) -> bool:
    return tell_failed_run(pipeline.doors, pipeline.instance, run_id, "sync_invoices", error)


def test_a_failed_run_is_told_with_the_reason_that_its_step_gave(pipeline: Pipeline) -> None:
    run_id = fail(pipeline, dg.Failure("Salesforce: the session <expired> (code INVALID_SESSION_ID)"))
    assert tell(pipeline, run_id, 'Execution of run for "sync_invoices" failed. Steps failed: ["pull_salesforce"].')
    assert pipeline.waiting_texts() == [
        ":x: *The run sync_invoices failed.*\n"
        "Salesforce: the session &lt;expired&gt; (code INVALID_SESSION_ID)\n"
        f"<http://127.0.0.1:3000/runs/{run_id}|Open the run>"
    ]
    (entry,) = pipeline.doors.state.outbox.pending()
    assert entry.message.channel == pipeline.settings.environment.alerts_channel
    assert entry.message.text == "The run sync_invoices failed"


def test_a_fault_of_our_own_is_told_with_step_and_error(pipeline: Pipeline) -> None:
    assert failed_reason(pipeline.instance, fail(pipeline, KeyError("amount"))) == "thing: KeyError: 'amount'"


def test_a_run_that_kept_no_reason_is_told_with_the_one_that_is_known(pipeline: Pipeline) -> None:
    assert tell(pipeline, "a-run-that-never-started", "the code server is gone")
    assert "the code server is gone" in pipeline.waiting_texts()[0]
    assert tell(pipeline, "another")
    assert "no reason was given" in pipeline.waiting_texts()[1]


def test_the_same_reason_is_told_once_a_day_whatever_its_reference_and_another_reason_at_once(pipeline: Pipeline) -> None:
    for reference in ("1-aaa", "1-bbb"):
        text = f"QuickBooks: connect again (code 3200) (reference {reference})"
        tell(pipeline, fail(pipeline, dg.Failure(text)))
    assert len(pipeline.waiting_texts()) == 1
    tell(pipeline, fail(pipeline, dg.Failure("Salesforce: the user is locked (code LOGIN_FAILED)")))
    assert len(pipeline.waiting_texts()) == 2


def test_an_outage_that_its_step_has_told_is_not_told_again(pipeline: Pipeline) -> None:
    run_id = fail(pipeline, dg.Failure("QuickBooks: down (code 503)", metadata={TOLD_TAG: True}))
    assert not tell(pipeline, run_id)
    assert pipeline.waiting_texts() == []


def test_a_closed_gate_is_told_as_a_gate_and_a_check_that_does_not_block_is_not_told(pipeline: Pipeline) -> None:
    run_id = fail(pipeline, None, check=False)
    assert closed_checks(pipeline.instance, run_id) == [("sound", "2 < 3.")]
    assert tell(pipeline, run_id)
    assert pipeline.waiting_texts() == [
        ":no_entry: *Nothing was sent to QuickBooks: a check stopped this pass.*\n"
        "• 2 &lt; 3.  (`sound`)\n"
        f"<http://127.0.0.1:3000/runs/{run_id}|Open the run>"
    ]
    assert closed_checks(pipeline.instance, fail(pipeline, None)) == []


def test_the_sensor_for_failed_runs_puts_them_into_the_outbox(pipeline: Pipeline) -> None:
    definitions = pipeline.definitions
    sensor = definitions.get_repository_def().get_sensor_def("failed_run_sensor")

    @dg.op
    def breaks() -> None:
        raise dg.Failure("Salesforce: the API is not enabled (code API_DISABLED_FOR_ORG)")

    @dg.job
    def broken() -> None:
        breaks()

    result = broken.execute_in_process(instance=pipeline.instance, raise_on_error=False)
    context = dg.build_run_status_sensor_context(
        sensor_name="failed_run_sensor",
        dagster_instance=pipeline.instance,
        dagster_run=result.dagster_run,
        dagster_event=result.get_run_failure_event(),
        resources=definitions.resources,
    ).for_run_failure()
    with context:
        sensor(context)
    assert "the API is not enabled" in pipeline.waiting_texts()[0]


def test_the_job_for_messages_runs_where_nobody_is_told(pipeline: Pipeline) -> None:
    assert pipeline.run("deliver_messages").success
