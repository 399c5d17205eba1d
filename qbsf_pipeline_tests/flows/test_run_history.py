"""What is kept of Dagster's runs, and for how long."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from qbsf_pipeline.flows.run_history import forget_job, forget_old_runs, many_old_runs
from qbsf_pipeline.settings import load_rules
from qbsf_pipeline_tests.pipeline import Pipeline, instance_in_memory

RULES = load_rules().schedules
NOW = datetime.now(UTC)
#: The instance says when a run was made; time goes by in what it is asked.
AFTER_A_DAY, AFTER_A_WEEK, AFTER_A_QUARTER = (NOW + timedelta(days=days) for days in (1, 7, 90))
DONE, FAILED = dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("instance")


@pytest.fixture(scope="module")
def made(folder: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(folder)) as instance:
        yield instance


@pytest.fixture
def instance(made: dg.DagsterInstance) -> Iterator[dg.DagsterInstance]:
    yield made
    for run in made.get_runs():
        made.delete_run(run.run_id)


def run(instance: dg.DagsterInstance, job: str, status: dg.DagsterRunStatus = DONE) -> str:
    return create_run_for_test(instance, job_name=job, status=status).run_id


@pytest.mark.parametrize(
    ("job", "status", "day", "week", "quarter"),
    [
        ("sync", DONE, True, False, False),
        ("sync_customers", DONE, True, False, False),
        ("plan_only", DONE, True, False, False),
        ("sync", FAILED, True, True, False),
        ("push_invoices", DONE, True, True, False),
        ("push_invoices", dg.DagsterRunStatus.CANCELED, True, True, False),
        ("reconcile", DONE, True, True, False),
        ("sync", dg.DagsterRunStatus.STARTED, True, True, True),
        ("push_invoices", dg.DagsterRunStatus.STARTING, True, True, True),
    ],
)
def test_a_run_is_kept_for_as_long_as_somebody_may_ask_for_it(
    instance: dg.DagsterInstance, job: str, status: dg.DagsterRunStatus, day: bool, week: bool, quarter: bool
) -> None:
    run_id = run(instance, job, status)
    kept = []
    for now in (AFTER_A_DAY, AFTER_A_WEEK, AFTER_A_QUARTER):
        forget_old_runs(instance, RULES, now)
        kept.append(instance.has_run(run_id))
    assert kept == [day, week, quarter]


def test_every_old_run_goes_however_many_there_are(instance: dg.DagsterInstance) -> None:
    pushed = [run(instance, job) for job in ("push_invoices", "sync", "sync", "push_aging", *["sync"] * 4)]
    left = [pushed[3], pushed[0]]
    assert forget_old_runs(instance, RULES, AFTER_A_WEEK, at_a_time=2) == 6
    assert [one.run_id for one in instance.get_runs()] == left
    assert forget_old_runs(instance, RULES, AFTER_A_WEEK, at_a_time=2) == 0


def test_a_pass_looks_for_old_runs_once_there_are_many() -> None:
    with instance_in_memory() as instance:
        for _ in range(50):
            run(instance, "sync")
            run(instance, "push_invoices")
        assert not many_old_runs(instance, RULES, NOW)
        assert many_old_runs(instance, RULES, AFTER_A_WEEK)
        # What wrote something is kept for longer, and no reason to look each time.
        assert forget_old_runs(instance, RULES, AFTER_A_WEEK) == 50
        assert not many_old_runs(instance, RULES, AFTER_A_WEEK)


def test_the_run_that_made_an_asset_last_stays_and_the_files_of_the_others_go(instance: dg.DagsterInstance, folder: Path) -> None:
    @dg.asset
    def counted() -> dg.MaterializeResult[None]:
        return dg.MaterializeResult(metadata={"rows": 3})

    before, last = (dg.materialize([counted], instance=instance).run_id for _ in range(2))
    assert len([*folder.rglob(f"{before}.db")]) == 1
    assert forget_old_runs(instance, RULES, AFTER_A_QUARTER) == 1
    assert [one.run_id for one in instance.get_runs()] == [last]
    assert [*folder.rglob(f"{before}.db*")] == []
    found = instance.get_latest_materialization_event(counted.key)
    assert found is not None
    assert found.run_id == last


def test_a_job_does_it_once_a_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Pipeline(tmp_path / "home", monkeypatch) as pipeline:
        (schedule,) = (one for one in pipeline.definitions.get_repository_def().schedule_defs if one.name == "forget_old_runs")
        assert schedule.job_name == forget_job.name
        assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
        assert pipeline.run("forget_old_runs").success
