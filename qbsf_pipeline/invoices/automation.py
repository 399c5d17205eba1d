"""The jobs, sensors and schedules of the invoice flow.

A sensor never opens the warehouse. Those that lead to writes are made only in modes that may write, so that a hand in the
UI cannot start them elsewhere.
"""

from collections.abc import Sequence

import dagster as dg

from qbsf_pipeline.customers.matching.plan import MATCHES
from qbsf_pipeline.invoices.approval import allowed_keys
from qbsf_pipeline.invoices.assets import PENDING_KEY, PUSHED_KEY
from qbsf_pipeline.invoices.checks import PLAN_KEY, plan_gates, source_gates
from qbsf_pipeline.invoices.plan import DEALS, NOTES, PLAN, REFUSALS
from qbsf_pipeline.invoices.push import FLOW
from qbsf_pipeline.invoices.tell import untold
from qbsf_pipeline.quickbooks.assets import quickbooks_tables
from qbsf_pipeline.reporting.assets import STATE_KEY, reporting_tables, snapshot
from qbsf_pipeline.resources import Doors, DoorsResource, WarehouseResource
from qbsf_pipeline.salesforce.assets import salesforce_tables
from qbsf_pipeline.settings import Mode, ScheduleRules
from qbsf_pipeline.warehouse.assets import table_key

PLANNED = [table_key(table) for table in (PLAN, DEALS, REFUSALS, NOTES)]
RAW = dg.AssetSelection.assets(*salesforce_tables.keys, *quickbooks_tables.keys)
GATES = dg.AssetSelection.checks(*source_gates.check_keys, *plan_gates.check_keys)
REPORTING = dg.AssetSelection.assets(STATE_KEY, *reporting_tables.keys, snapshot.key)

#: A gate that is closed must not be tried again; a worker that died must.
TAGS = {
    "dagster/max_retries": "2",
    "dagster/retry_on_asset_or_op_failure": "false",
    "dagster/max_runtime": "3600",
    "qbsf/flow": FLOW,
}

plan_job = dg.define_asset_job(
    "plan_invoices_only",
    RAW.without_checks() | dg.AssetSelection.assets(table_key(MATCHES), *PLANNED).without_checks() | GATES,
    description="Read both systems and plan the invoices, without making anything pending.",
    executor_def=dg.in_process_executor,
    tags=TAGS,
)
sync_job = dg.define_asset_job(
    "sync_invoices",
    RAW.without_checks()
    | dg.AssetSelection.assets(table_key(MATCHES), *PLANNED, PENDING_KEY).without_checks()
    | GATES
    | REPORTING,
    description="Read both systems, plan, gate, and make pending what passed.",
    executor_def=dg.in_process_executor,
    tags=TAGS,
)
push_job = dg.define_asset_job(
    "push_invoices",
    dg.AssetSelection.assets(PUSHED_KEY).without_checks() | GATES | REPORTING,
    description="Run the gates again, then push what is pending, tell finance, and publish the snapshot.",
    executor_def=dg.in_process_executor,
    tags=TAGS,
)

#: States of a run that is queued or under way.
BUSY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def is_running(instance: dg.DagsterInstance, *job_names: str) -> bool:
    """Whether a run of one of the jobs is queued or under way."""
    return any(instance.get_runs_count(dg.RunsFilter(job_name=job_name, statuses=BUSY)) for job_name in job_names)


def closed_gate(instance: dg.DagsterInstance) -> str | None:
    """Why the newest plan may not be pushed; ``None`` where the newest checks, of the plan and of what it was made from,
    all passed.

    A check that passed for an older plan does not count for the newest one.
    """
    plan = instance.get_latest_materialization_event(PLAN_KEY)
    if plan is None:
        return "there is no plan yet"
    keys = sorted([*source_gates.check_keys, *plan_gates.check_keys], key=lambda key: key.name)
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
            older = "plan" if key.asset_key == PLAN_KEY else "pull"
            return f"check {key.name} belongs to an older {older}"
    return None


def sensors(mode: Mode, rules: ScheduleRules) -> list[dg.SensorDefinition]:
    """The sensors that this mode may have, running from the start."""
    found: list[dg.SensorDefinition] = [_sync_sensor(rules, mode)]
    if mode.writes:
        found.append(_push_sensor(rules, mode))
    return found


def schedules(mode: Mode, rules: ScheduleRules) -> Sequence[dg.ScheduleDefinition]:
    """The full pull, and in modes that write the sweep that finds what no sensor picked up."""
    full = dg.ScheduleDefinition(
        name="full_pull",
        job=sync_job,
        cron_schedule=rules.full_pull_cron,
        run_config={"ops": {op: {"config": {"full": True}} for op in ("pull_salesforce", "pull_quickbooks")}},
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Reads everything whole, to find what was deleted without a trace.",
    )
    if not mode.writes:
        return [full]

    @dg.schedule(
        name="sweep_pending_writes",
        job=push_job,
        cron_schedule=rules.sweep_cron,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Pushes what has waited although no sensor picked it up.",
    )
    def sweep(
        context: dg.ScheduleEvaluationContext, doors: DoorsResource, warehouse: WarehouseResource
    ) -> dg.RunRequest | dg.SkipReason:
        number = waiting(doors.open(warehouse))
        if not number:
            return dg.SkipReason("nothing waits")
        if is_running(context.instance, push_job.name, sync_job.name):
            return dg.SkipReason("a pass is under way")
        return dg.RunRequest()

    return [full, sweep]


def _sync_sensor(rules: ScheduleRules, mode: Mode) -> dg.SensorDefinition:
    seconds = rules.sandbox_sync_every_seconds if mode is Mode.SANDBOX else rules.sync_every_seconds

    @dg.sensor(
        name="sync_sensor",
        job=sync_job,
        minimum_interval_seconds=seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Starts a pass again and again, one at a time.",
    )
    def sync_sensor(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if is_running(context.instance, sync_job.name, push_job.name):
            return dg.SkipReason("a pass is under way")
        return dg.RunRequest()

    return sync_sensor


def _push_sensor(rules: ScheduleRules, mode: Mode) -> dg.SensorDefinition:
    seconds = rules.sandbox_push_every_seconds if mode is Mode.SANDBOX else rules.push_every_seconds

    @dg.sensor(
        name="push_sensor",
        job=push_job,
        minimum_interval_seconds=seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Pushes what is pending, when the newest checks of the newest plan have passed.",
    )
    def push_sensor(
        context: dg.SensorEvaluationContext, doors: DoorsResource, warehouse: WarehouseResource
    ) -> dg.RunRequest | dg.SkipReason:
        number = waiting(doors.open(warehouse))
        if not number:
            return dg.SkipReason("nothing is pending" if mode is not Mode.APPROVE else "nothing approved is pending")
        if is_running(context.instance, push_job.name):
            return dg.SkipReason("a push is under way")
        reason = closed_gate(context.instance)
        if reason is not None:
            return dg.SkipReason(f"{number} writes wait: {reason}")
        return dg.RunRequest(tags={"qbsf/waiting": str(number)})

    return push_sensor


def waiting(opened: Doors) -> int:
    """How much there is for a push to do now: writes, those whose answer was lost included, and invoices that finance was
    not told of because a push died before it came to that."""
    state, mode = opened.state, opened.settings.mode
    ready = state.ledger.ready(FLOW, opened.now())
    allowed = allowed_keys(ready, state.approvals.decisions(), needs_approval=mode is Mode.APPROVE)
    lookup = state.ledger.lookup({key for entry in ready for key in entry.depends_on})
    runnable = [
        entry
        for entry in ready
        if entry.key in allowed
        and all(key in allowed or (key in lookup and lookup[key].status == "done") for key in entry.depends_on)
    ]
    return len(runnable) + len(state.ledger.sending(FLOW)) + len(untold(state))
