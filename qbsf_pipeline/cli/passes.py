"""Runs a pass in this process, without a daemon: the same jobs, checks and gates that the sensors start."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg

from qbsf_pipeline import notices
from qbsf_pipeline.cli.event_log import keep_open
from qbsf_pipeline.definitions import FLOWS, build
from qbsf_pipeline.flows import automation
from qbsf_pipeline.flows.automation import Flow
from qbsf_pipeline.flows.run_history import forget_old_runs, many_old_runs
from qbsf_pipeline.progress import progress
from qbsf_pipeline.resources import Doors
from qbsf_pipeline.settings import Settings
from qbsf_pipeline.steps import deliver_messages
from qbsf_pipeline.warehouse.connection import Warehouse

#: Marks runs of the command line, so that one whose process died is recognised.
PROCESS_TAG = "qbsf/process"
PASS_LOCK = "pass"
#: How long a second command waits for a pass that is under way.
LONGEST_WAIT_SECONDS = 600.0


@dataclass
class PassResult:
    """What a pass came to.

    Attributes:
        begun_at: when it began (UTC).
        closed: (check, finding) of the gates that were closed.
        error: why the pass itself failed; ``None`` where it ran.
        steps: (step, seconds) in order.
    """

    begun_at: datetime
    closed: list[tuple[str, str]] = field(default_factory=list)
    error: str | None = None
    steps: list[tuple[str, float]] = field(default_factory=list)
    pushed: bool = False


def instance_for(settings: Settings) -> dg.DagsterInstance:
    """The Dagster instance in ``QBSF_HOME``, made on first use; this process's ``DAGSTER_HOME``."""
    home = dagster_home(settings)
    os.environ["DAGSTER_HOME"] = str(home)
    return dg.DagsterInstance.from_config(str(home))


def dagster_home(settings: Settings) -> Path:
    """The instance's folder, with the project's ``dagster.yaml`` in it unless the operator put another there."""
    home = settings.environment.home / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    wanted = Path(__file__).resolve().parents[2] / "dagster.yaml"
    if not (home / "dagster.yaml").exists() and wanted.exists():
        shutil.copyfile(wanted, home / "dagster.yaml")
    return home


def run_pass(
    settings: Settings,
    *,
    full: bool = False,
    as_of: date | None = None,
    plan_only: bool = False,
    only: Collection[str] = (),
) -> PassResult:
    """Pull, derive, check, plan, gate, push, notify: one pass, here and now.

    Args:
        full: read both systems whole.
        as_of: the day that counts as today.
        plan_only: stop after the plan and its checks; nothing becomes pending.
        only: names of the flows to run; all where there is none.

    Raises:
        StateBusy: another pass of the command line does not end.
    """
    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    warnings.simplefilter("ignore", dg.BetaWarning)
    doors = Doors(settings, Warehouse(settings.environment.warehouse_path))
    result = PassResult(datetime.now(UTC))
    with doors.state.exclusive(PASS_LOCK, LONGEST_WAIT_SECONDS), instance_for(settings) as instance:
        keep_open(instance)
        reap_orphans(instance)
        flows = [flow for flow in FLOWS if not only or flow.name in only]
        config: dict[str, Any] = {op: {"config": {"full": full}} for op in ("pull_salesforce", "pull_quickbooks")}
        for flow in flows:
            config[f"plan_{flow.name}"] = {"config": {"as_of": as_of.isoformat() if as_of else ""}}
        definitions = build(settings, "CRITICAL", flows)
        job = automation.PLAN_ONLY if plan_only else automation.SYNC
        made = _run(definitions, instance, job, {"ops": config}, result, doors)
        if not plan_only and settings.mode.writes:
            first, following = [flow for flow in flows if not flow.follows], [flow for flow in flows if flow.follows]
            if _push(first, made, definitions, instance, result, doors) and following:
                # They see what was written only after it was read.
                definitions = build(settings, "CRITICAL", following)
                plans = {op: config[op] for op in (f"plan_{flow.name}" for flow in following)}
                made = _run(definitions, instance, automation.SYNC, {"ops": plans}, result, doors)
            _push(following, made, definitions, instance, result, doors)
            deliver_messages(doors, budget_seconds=60.0)
        if many_old_runs(instance, settings.rules.schedules, result.begun_at):
            forget_old_runs(instance, settings.rules.schedules, result.begun_at)
    return result


def _push(
    flows: Sequence[Flow],
    made: Collection[dg.AssetKey],
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    result: PassResult,
    doors: Doors,
) -> bool:
    """Push what waits of each flow whose plan was made pending; whether there was anything."""
    pushed = False
    for flow in flows:
        # What stopped one flow says nothing about another.
        if flow.pending in made and flow.waiting(doors):
            pushed = result.pushed = True
            _run(definitions, instance, flow.push_job_name, {}, result, doors)
    return pushed


def reap_orphans(instance: dg.DagsterInstance) -> None:
    """Fail runs whose process on this machine is gone: they would hold the warehouse's pool slot for ever.

    The caller holds the pass lock, so a run of the command line that is not finished belongs to a process that died; its
    process id says nothing, for a container that was started again gives the same ones. Runs of a daemon are looked at only
    where the instance lives in a file, so that their processes can be nowhere but here; Dagster itself notices a dead one only
    after its longest time.
    """
    busy = instance.get_run_records(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING]))
    for record in busy:
        run = record.dagster_run
        if PROCESS_TAG in run.tags:
            gone = True
        else:
            worker = _worker(instance, run.run_id) if _lives_in_a_file(instance) else None
            gone = worker is not None and not _is_alive(worker, record.start_time)
        if gone:
            instance.report_run_failed(run, "its process died; the next pass goes on from where it was")
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def fail_left_over_runs(instance: dg.DagsterInstance) -> None:
    """Fail every run that is under way: for the start of the only daemon of this instance, when nothing can be running."""
    for run in instance.get_runs(dg.RunsFilter(statuses=automation.BUSY)):
        instance.report_run_failed(run, "it was under way when everything was stopped; the next pass goes on from where it was")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def _run(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    job_name: str,
    run_config: dict[str, Any],
    result: PassResult,
    doors: Doors,
) -> set[dg.AssetKey]:
    """Run a job; returns the assets that it made."""
    tags = {PROCESS_TAG: f"{socket.gethostname()}:{os.getpid()}"}
    ran = definitions.resolve_job_def(job_name).execute_in_process(
        run_config={"loggers": {"console": {}}, **run_config}, instance=instance, tags=tags, raise_on_error=False
    )
    for event in ran.all_events:
        if event.event_type == dg.DagsterEventType.STEP_SUCCESS and event.step_key is not None:
            result.steps.append((event.step_key, event.step_success_data.duration_ms / 1000))
    made = {event.asset_key for event in ran.get_asset_materialization_events() if event.asset_key is not None}
    if ran.success:
        return made
    result.closed += notices.closed_checks(instance, ran.run_id)
    error = None if result.closed else notices.failed_reason(instance, ran.run_id) or "the run failed before its first step"
    result.error = result.error or error
    if doors.settings.mode.writes:
        progress("telling of what stopped the pass")
        notices.tell_failed_run(doors, instance, ran.run_id, job_name, error)
    return made


def _lives_in_a_file(instance: dg.DagsterInstance) -> bool:
    """Whether the instance's runs are kept in a folder of this machine. Dagster names the class only in private modules."""
    return type(instance.run_storage).__name__ == "SqliteRunStorage"


def _worker(instance: dg.DagsterInstance, run_id: str) -> int | None:
    """The process that works on a run, from the run's own events."""
    for record in instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.RUN_START).records:
        event = record.event_log_entry.dagster_event
        if event is not None and event.pid is not None:
            return event.pid
    return None


def _is_alive(process: int, run_began: float | None = None) -> bool:
    """Whether a process runs here, and, where that can be told, is not a younger one of the same number."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    folder = Path(f"/proc/{process}")
    return run_began is None or not folder.exists() or folder.stat().st_mtime <= run_began + 60
