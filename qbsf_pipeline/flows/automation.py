"""The jobs, sensors and schedules that every flow has, and those that run several flows in one pass.

A sensor never opens the warehouse. Those that lead to writes are made only in modes that may write, so that a hand in the
UI cannot start them elsewhere.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any, TypeAlias

import dagster as dg

from qbsf_pipeline.flows.run_history import forget_job, forget_schedule
from qbsf_pipeline.flows.runnable import waiting
from qbsf_pipeline.flows.source_gates import source_gates
from qbsf_pipeline.flows.time_zone import known_zone
from qbsf_pipeline.resources import Doors, DoorsResource, WarehouseResource
from qbsf_pipeline.settings import Mode, Rules, ScheduleRules

#: What ``define_asset_job`` makes; Dagster names it only in private modules.
_Job: TypeAlias = Any
#: A gate that is closed must not be tried again; a worker that died must.
#: Runs with this tag wait for each other in Dagster's queue (``dagster.yaml``): they read or write the warehouse.
IN_TURN = {"qbsf/in_turn": "true"}
_TAGS = {
    **IN_TURN,
    "dagster/max_retries": "2",
    "dagster/retry_on_asset_or_op_failure": "false",
    "dagster/max_runtime": "3600",
}
#: States of a run that is queued or under way.
BUSY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@dataclass(frozen=True)
class Flow:
    """A flow as jobs and sensors see it.

    Attributes:
        name: such as ``invoices``; the first part of its asset keys.
        derived: assets that its plan is made from, beside the raw tables.
        planned: the assets of its plan; the first one carries the gates.
        plan_gates: the checks of the plan.
        pending, pushed: the plan in the ledger; what was pushed.
        after: assets that are made once the plan is pending, such as a page for people.
        untold: how many events people were not told of because a push died before it came to that.
        warnings: checks that stop nothing and are made with its plan.
        follows: its plan reads what other flows write: a pass of the command line that wrote something plans it once more.
        daily_at: for a flow that runs once a day and not in every pass: from when on, by the company's clock (``07:00``).
    """

    name: str
    derived: Sequence[dg.AssetKey]
    planned: Sequence[dg.AssetKey]
    plan_gates: dg.AssetChecksDefinition
    pending: dg.AssetKey
    pushed: dg.AssetKey
    after: Sequence[dg.AssetKey] = ()
    untold: Callable[[Doors], int] = lambda _opened: 0
    warnings: Sequence[dg.AssetChecksDefinition] = ()
    follows: bool = False
    daily_at: Callable[[Rules], str] | None = None

    @property
    def push_job_name(self) -> str:
        """The job that pushes what is pending."""
        return f"push_{self.name}"

    @property
    def gates(self) -> dg.AssetSelection:
        """The checks that stand before every write: over what was pulled and over the plan."""
        return dg.AssetSelection.checks(*source_gates.check_keys, *self.plan_gates.check_keys)

    def waiting(self, opened: Doors) -> int:
        """How much there is for a push to do now."""
        return waiting(opened.state, self.name, opened.settings.mode, opened.now()) + self.untold(opened)


SYNC = "sync"
PLAN_ONLY = "plan_only"
RECONCILE = "reconcile"
#: A morning that falls into a pass, or into a night without power, is made up for this soon.
_MORNING_CRON = "*/10 * * * *"


def jobs(
    flows: Sequence[Flow], raw: dg.AssetSelection, reporting: dg.AssetSelection, together: Sequence[Flow] | None = None
) -> list[_Job]:
    """``sync`` and ``plan_only`` over several flows, ``sync_{flow}`` for each alone, ``push_{flow}``, and ``forget_old_runs``.

    Args:
        together: the flows of ``sync`` and ``plan_only``; without them those that run in every pass.
    """
    passing = together or in_every_pass(flows)
    found = [_sync_job(SYNC, passing, raw, reporting), _plan_job(PLAN_ONLY, passing, raw)]
    for flow in flows:
        found.append(_sync_job(f"{SYNC}_{flow.name}", [flow], raw, reporting))
        found.append(
            dg.define_asset_job(
                flow.push_job_name,
                dg.AssetSelection.assets(flow.pushed).without_checks() | flow.gates | reporting,
                description=f"Run the gates of {flow.name} again, push what is pending, tell people, publish the snapshot.",
                executor_def=dg.in_process_executor,
                tags={**_TAGS, "qbsf/flow": flow.name},
            )
        )
    return [*found, forget_job]


def in_every_pass(flows: Sequence[Flow]) -> list[Flow]:
    """The flows that a pass of the sensor runs: all but those that run once a day."""
    return [flow for flow in flows if flow.daily_at is None]


def _sync_job(name: str, flows: Sequence[Flow], raw: dg.AssetSelection, reporting: dg.AssetSelection) -> _Job:
    selection = _planned(flows, raw) | reporting
    for flow in flows:
        selection = selection | dg.AssetSelection.assets(flow.pending, *flow.after).without_checks()
        for checks in flow.warnings:
            selection = selection | dg.AssetSelection.checks(*checks.check_keys)
    return dg.define_asset_job(
        name,
        selection,
        description=f"Read both systems, plan {_listed(flows)}, gate, and make pending what passed.",
        executor_def=dg.in_process_executor,
        tags={**_TAGS, "qbsf/flow": " ".join(flow.name for flow in flows)},
    )


def _plan_job(name: str, flows: Sequence[Flow], raw: dg.AssetSelection) -> _Job:
    return dg.define_asset_job(
        name,
        _planned(flows, raw),
        description=f"Read both systems and plan {_listed(flows)}, without making anything pending.",
        executor_def=dg.in_process_executor,
        tags={**_TAGS, "qbsf/flow": " ".join(flow.name for flow in flows)},
    )


def _planned(flows: Sequence[Flow], raw: dg.AssetSelection) -> dg.AssetSelection:
    selection = raw.without_checks()
    for flow in flows:
        selection = selection | dg.AssetSelection.assets(*flow.derived, *flow.planned).without_checks() | flow.gates
    return selection


def _listed(flows: Sequence[Flow]) -> str:
    names = [flow.name for flow in flows]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def is_running(instance: dg.DagsterInstance, *job_names: str) -> bool:
    """Whether a run of one of the jobs is queued or under way."""
    return any(instance.get_runs_count(dg.RunsFilter(job_name=job_name, statuses=BUSY)) for job_name in job_names)


def closed_gate(instance: dg.DagsterInstance, flow: Flow) -> str | None:
    """Why the flow's newest plan may not be pushed; ``None`` where the newest checks, of the plan and of what it was made
    from, all passed.

    A check that passed for an older plan does not count for the newest one.
    """
    plan_key = flow.planned[0]
    if instance.get_latest_materialization_event(plan_key) is None:
        return "there is no plan yet"
    keys = sorted([*source_gates.check_keys, *flow.plan_gates.check_keys], key=lambda key: key.name)
    newest = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    for key in keys:
        record = newest.get(key)
        evaluation = None if record is None or record.event is None else record.event.asset_check_evaluation
        if evaluation is None:
            return f"check {key.name} has not run"
        if not evaluation.passed:
            return f"check {key.name} is closed: {evaluation.description}"
        target = evaluation.target_materialization_data
        latest = instance.get_latest_materialization_event(key.asset_key)
        if target is None or latest is None or target.timestamp < latest.timestamp:
            older = "plan" if key.asset_key == plan_key else "pull"
            return f"check {key.name} belongs to an older {older}"
    return None


def sensors(flows: Sequence[Flow], mode: Mode, rules: ScheduleRules) -> list[dg.SensorDefinition]:
    """The sensors that this mode may have, running from the start."""
    found = [_sync_sensor(flows, rules, mode)]
    if mode.writes:
        found += [_push_sensor(flow, rules, mode) for flow in flows]
    return found


def schedules(flows: Sequence[Flow], mode: Mode, rules: ScheduleRules) -> list[dg.ScheduleDefinition]:
    """The full pull, what deletes old runs, the flows that run once a day, and in modes that write the sweeps that find what no
    sensor picked up."""
    full = dg.ScheduleDefinition(
        name="full_pull",
        job_name=SYNC,
        cron_schedule=rules.full_pull_cron,
        run_config={"ops": {op: {"config": {"full": True}} for op in ("pull_salesforce", "pull_quickbooks")}},
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Reads everything whole, to find what was deleted without a trace.",
    )
    found = [full, forget_schedule(), *(_morning(flow) for flow in flows if flow.daily_at is not None)]
    return [*found, *(_sweep(flow, rules) for flow in flows)] if mode.writes else found


def pass_jobs(flows: Sequence[Flow]) -> list[str]:
    """The jobs that read or write the warehouse: no two of them should be under way together."""
    return [SYNC, RECONCILE, *(f"{SYNC}_{flow.name}" for flow in flows), *(flow.push_job_name for flow in flows)]


def due_today(opened: Doors, flow: Flow) -> bool:
    """Whether a flow that runs once a day did not run since the last time at which it should have.

    It counts as run when its plan reached the ledger; where nothing may be written, when it was planned. So a morning that was
    missed is made up for as soon as somebody is there to do it, and a closed gate is tried again.
    """
    if flow.daily_at is None:
        return False
    now = opened.now()
    here = now.astimezone(known_zone(opened.state))
    due_at = datetime.combine(here.date(), time.fromisoformat(flow.daily_at(opened.settings.rules)), tzinfo=here.tzinfo)
    if due_at > here:
        due_at -= timedelta(days=1)
    last = "enqueue" if opened.settings.mode.writes else "plan"
    return not any(
        one.trigger == last and one.outcome == "done" and one.begun_at >= due_at for one in opened.state.passes.recent(flow.name)
    )


def _morning(flow: Flow) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=f"morning_{flow.name}",
        job_name=f"{SYNC}_{flow.name}",
        cron_schedule=_MORNING_CRON,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Runs {flow.name} once a day, from the hour on that the rules name, in the company's time zone.",
    )
    def morning(
        context: dg.ScheduleEvaluationContext, doors: DoorsResource, warehouse: WarehouseResource
    ) -> dg.RunRequest | dg.SkipReason:
        if not due_today(doors.open(warehouse), flow):
            return dg.SkipReason("it ran since it was due last")
        # Of other passes it waits for its turn: where one follows the other, no moment would ever be free.
        if is_running(context.instance, f"{SYNC}_{flow.name}"):
            return dg.SkipReason("it is under way")
        return dg.RunRequest()

    return morning


def _sweep(flow: Flow, rules: ScheduleRules) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=f"sweep_{flow.name}",
        job_name=flow.push_job_name,
        cron_schedule=rules.sweep_cron,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Pushes what of {flow.name} has waited although no sensor picked it up.",
    )
    def sweep(
        context: dg.ScheduleEvaluationContext, doors: DoorsResource, warehouse: WarehouseResource
    ) -> dg.RunRequest | dg.SkipReason:
        if not flow.waiting(doors.open(warehouse)):
            return dg.SkipReason("nothing waits")
        if is_running(context.instance, flow.push_job_name):
            return dg.SkipReason("it is under way")
        return dg.RunRequest()

    return sweep


def _sync_sensor(flows: Sequence[Flow], rules: ScheduleRules, mode: Mode) -> dg.SensorDefinition:
    seconds = rules.sandbox_sync_every_seconds if mode is Mode.SANDBOX else rules.sync_every_seconds

    @dg.sensor(
        name="sync_sensor",
        job_name=SYNC,
        minimum_interval_seconds=seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Starts a pass again and again, one at a time.",
    )
    def sync_sensor(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if is_running(context.instance, *pass_jobs(flows)):
            return dg.SkipReason("a pass is under way")
        return dg.RunRequest()

    return sync_sensor


def _push_sensor(flow: Flow, rules: ScheduleRules, mode: Mode) -> dg.SensorDefinition:
    seconds = rules.sandbox_push_every_seconds if mode is Mode.SANDBOX else rules.push_every_seconds

    @dg.sensor(
        name=f"push_{flow.name}_sensor",
        job_name=flow.push_job_name,
        minimum_interval_seconds=seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Pushes what of {flow.name} is pending, when the newest checks of the newest plan have passed.",
    )
    def push_sensor(
        context: dg.SensorEvaluationContext, doors: DoorsResource, warehouse: WarehouseResource
    ) -> dg.RunRequest | dg.SkipReason:
        number = flow.waiting(doors.open(warehouse))
        if not number:
            return dg.SkipReason("nothing is pending" if mode is not Mode.APPROVE else "nothing approved is pending")
        if is_running(context.instance, flow.push_job_name):
            return dg.SkipReason("a push is under way")
        reason = closed_gate(context.instance, flow)
        if reason is not None:
            return dg.SkipReason(f"{number} writes wait: {reason}")
        return dg.RunRequest(tags={"qbsf/waiting": str(number)})

    return push_sensor
