"""What Dagster itself must tell people: runs that failed, gates that closed; and the job that sends delayed messages."""

import hashlib
import re
from collections.abc import Sequence

import dagster as dg

from qbsf_pipeline.flows.messages import NOT_MADE, STOPPED, gate_message
from qbsf_pipeline.resources import Doors, DoorsResource, WarehouseResource
from qbsf_pipeline.settings import Mode, ScheduleRules
from qbsf_pipeline.slack.blocks import escape, link, section
from qbsf_pipeline.state.outbox import Message
from qbsf_pipeline.steps import TOLD_TAG, deliver_messages

#: Support references differ from call to call; the reason is the same.
_REFERENCE = re.compile(r"\s*\(reference [^)]*\)")


@dg.op(description="Sends the messages that wait in the outbox, in order.")
def send_waiting_messages(context: dg.OpExecutionContext, doors: DoorsResource, warehouse: WarehouseResource) -> None:
    """Send what Slack did not take before."""
    opened = doors.open(warehouse)
    delivered = deliver_messages(opened, budget_seconds=120.0)
    if delivered is None:
        context.log.info("no Slack token, or a mode that tells nobody")
    else:
        context.log.info(f"{delivered.sent} sent, {delivered.waiting} wait, {delivered.dead} could not be delivered")


@dg.job(name="deliver_messages", executor_def=dg.in_process_executor, description="Sends the messages that wait in the outbox.")
def messages_job() -> None:
    """One step: send what waits."""
    send_waiting_messages()


def tell_failed_run(opened: Doors, instance: dg.DagsterInstance, run_id: str, job_name: str, error: str | None) -> bool:
    """Put a failed run into the outbox; a closed gate is told as what it is. Returns whether something was to be told.

    An outage of a service was told by the step that met it, and is not told again. Runs that fail for the same reason again
    and again are told once a day (UTC).

    Args:
        error: what is said where the run itself kept no reason.
    """
    settings = opened.settings
    run_link = f"{settings.rules.schedules.dagster_url}/runs/{run_id}"
    closed = closed_checks(instance, run_id)
    channel = settings.environment.alerts_channel
    if closed:
        stopped = stopped_flows(instance, run_id)
        plans = [opened.state.ledger.newest_batch(flow) or "none" for flow in stopped]
        message = gate_message(" ".join(plans), closed, run_link, channel, stopped)
    elif _was_told(instance, run_id):
        return False
    else:
        reason = failed_reason(instance, run_id) or error or "no reason was given"
        text = f":x: *The run {escape(job_name)} failed.*\n{escape(reason[:1500])}\n{link(run_link, 'Open the run')}"
        same = hashlib.sha256(f"{job_name}|{_REFERENCE.sub('', reason)}".encode()).hexdigest()[:16]
        message = Message(
            dedupe_key=f"run:{same}:{opened.now().date().isoformat()}",
            channel=channel,
            text=f"The run {job_name} failed",
            blocks=[section(text)],
            thread_of=None,
            kind="run",
        )
    opened.state.outbox.put([message], opened.now())
    return True


def failed_reason(instance: dg.DagsterInstance, run_id: str) -> str | None:
    """Why the first step of a run that failed did so, in words where the step gave some."""
    records = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.STEP_FAILURE).records
    for record in records:
        event = record.event_log_entry.dagster_event
        if event is None:
            continue
        failure = event.step_failure_data
        if failure.user_failure_data is not None and failure.user_failure_data.description:
            return failure.user_failure_data.description
        if failure.error is not None:
            cause = failure.error.cause or failure.error
            return f"{event.step_key}: {cause.message.strip()}"
    return None


def closed_checks(instance: dg.DagsterInstance, run_id: str) -> list[tuple[str, str]]:
    """(name, finding) of the blocking checks that did not pass in a run."""
    records = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION).records
    found: list[tuple[str, str]] = []
    for record in records:
        event = record.event_log_entry.dagster_event
        if event is None:
            continue
        evaluation = event.asset_check_evaluation_data
        if not evaluation.passed and evaluation.blocking:
            found.append((evaluation.check_name, evaluation.description or ""))
    return found


def stopped_flows(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    """The flows that the closed checks of a run stand before: one flow's plan, or what every flow is made from. A run that makes
    the report of a month stops nothing else."""
    run = instance.get_run_by_id(run_id)
    flow = None if run is None else run.tags.get("qbsf/flow")
    if flow in NOT_MADE:
        return [flow]
    records = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION).records
    events = [record.event_log_entry.dagster_event for record in records]
    evaluations = [event.asset_check_evaluation_data for event in events if event is not None]
    closed = {one.asset_key.path[0] for one in evaluations if not one.passed and one.blocking}
    return [flow for flow in STOPPED if flow in closed] if closed <= set(STOPPED) else list(STOPPED)


def _was_told(instance: dg.DagsterInstance, run_id: str) -> bool:
    records = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.STEP_FAILURE).records
    for record in records:
        event = record.event_log_entry.dagster_event
        failure = None if event is None else event.step_failure_data.user_failure_data
        if failure is not None and TOLD_TAG in failure.metadata:
            return True
    return False


def sensors(mode: Mode, rules: ScheduleRules) -> Sequence[dg.SensorDefinition]:
    """The sensors that tell people; none in a mode that tells nobody."""
    if not mode.writes:
        return []

    @dg.run_failure_sensor(
        name="failed_run_sensor",
        monitor_all_code_locations=False,
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=rules.messages_every_seconds,
        description="Tells of every failed run, with a link to it, through the outbox: a message that fails is not lost.",
    )
    def failed_run_sensor(context: dg.RunFailureSensorContext, doors: DoorsResource, warehouse: WarehouseResource) -> None:
        run = context.dagster_run
        error = context.failure_event.message
        tell_failed_run(doors.open(warehouse), context.instance, run.run_id, run.job_name, error)

    @dg.sensor(
        name="messages_sensor",
        job=messages_job,
        minimum_interval_seconds=rules.messages_every_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Sends messages that wait, such as after Slack was down.",
    )
    def messages_sensor(
        context: dg.SensorEvaluationContext, doors: DoorsResource, warehouse: WarehouseResource
    ) -> dg.RunRequest | dg.SkipReason:
        opened = doors.open(warehouse)
        due = opened.state.outbox.due(opened.now())
        if not due:
            return dg.SkipReason("no message waits")
        return dg.RunRequest(run_key=f"{due[0].entry_id}-{due[0].attempts}")

    return [failed_run_sensor, messages_sensor]
