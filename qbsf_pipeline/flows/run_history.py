"""Forgets old runs: a pass every five minutes leaves two megabytes each time, and Dagster itself deletes none of them.

What was done stands in the ledger and in the journal. A run only says how it came to that.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg
from dagster._core.storage.event_log import SqliteEventLogStorage

from qbsf_pipeline.resources import DoorsResource, WarehouseResource
from qbsf_pipeline.settings import ScheduleRules

_FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
#: Runs of jobs so called read and plan: what followed from them was pushed by runs of other jobs.
_QUIET = ("sync", "plan_only", "deliver_messages")
#: From so many old runs on, a pass of the command line deletes them: where no daemon runs, nobody else does.
_MANY = 50


def forget_old_runs(instance: dg.DagsterInstance, rules: ScheduleRules, now: datetime, at_a_time: int = 100) -> int:
    """Delete finished runs: after ``keep_runs_days``, and those that went well and wrote nothing after ``keep_quiet_runs_days``.

    The run that made an asset last stays, however old it is: the UI shows what it said of the asset.

    Args:
        now: aware UTC.
        at_a_time: how many are asked for together.

    Returns:
        How many were deleted.
    """
    shown = {record.asset_entry.last_run_id for record in instance.get_asset_records()}
    old = dg.RunsFilter(statuses=_FINISHED, created_before=now - timedelta(days=rules.keep_runs_days))
    deleted = 0
    for run in _each(instance, old, at_a_time):
        deleted += _delete(instance, run, shown)
    for run in _each(instance, _quiet(rules, now), at_a_time):
        if run.job_name.startswith(_QUIET):
            deleted += _delete(instance, run, shown)
    return deleted


def many_old_runs(instance: dg.DagsterInstance, rules: ScheduleRules, now: datetime) -> bool:
    """Whether it is time to look for runs to delete: a quick question, about the passes alone, which are nearly all of them."""
    return instance.get_runs_count(_quiet(rules, now, "sync")) >= _MANY


@dg.op(description="Deletes runs that are older than the rules say.")
def delete_old_runs(context: dg.OpExecutionContext, doors: DoorsResource, warehouse: WarehouseResource) -> None:
    """Delete what is old."""
    opened = doors.open(warehouse)
    deleted = forget_old_runs(context.instance, opened.settings.rules.schedules, opened.now())
    context.log.info(f"{deleted} old runs deleted")


@dg.job(
    name="forget_old_runs", executor_def=dg.in_process_executor, description="Deletes runs that are older than the rules say."
)
def forget_job() -> None:
    """One step: delete what is old."""
    delete_old_runs()


def forget_schedule() -> dg.ScheduleDefinition:
    """Once a day, in the middle of an hour in which little else is done."""
    return dg.ScheduleDefinition(
        name="forget_old_runs",
        job=forget_job,
        cron_schedule="40 3 * * *",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Deletes runs that are older than the rules say, so that the instance does not grow for ever.",
    )


def _quiet(rules: ScheduleRules, now: datetime, job_name: str | None = None) -> dg.RunsFilter:
    before = now - timedelta(days=rules.keep_quiet_runs_days)
    return dg.RunsFilter(job_name=job_name, statuses=[dg.DagsterRunStatus.SUCCESS], created_before=before)


def _each(instance: dg.DagsterInstance, chosen: dg.RunsFilter, at_a_time: int) -> Iterator[dg.DagsterRun]:
    """Runs, the oldest first, in pages; the caller may delete each as it comes."""
    kept = None
    while True:
        runs = instance.get_runs(chosen, cursor=kept, limit=at_a_time, ascending=True)
        yield from runs
        if len(runs) < at_a_time:
            return
        # A run that is gone is no place to go on from.
        left = [run.run_id for run in runs if instance.has_run(run.run_id)]
        kept = left[-1] if left else kept


def _delete(instance: dg.DagsterInstance, run: dg.DagsterRun, shown: set[str | None]) -> bool:
    if run.run_id in shown:
        return False
    instance.delete_run(run.run_id)
    storage = instance.event_log_storage
    if isinstance(storage, SqliteEventLogStorage):
        # Dagster empties the file of the run and leaves it there.
        file = Path(storage.path_for_shard(run.run_id))
        for name in (file.name, f"{file.name}-wal", f"{file.name}-shm"):
            file.with_name(name).unlink(missing_ok=True)
    return True
