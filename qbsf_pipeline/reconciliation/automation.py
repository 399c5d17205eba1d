"""Month end as jobs and schedules see it: on the first business day the month before is reconciled, and a missed day is made up
for."""

from datetime import date
from typing import Any

import dagster as dg

from qbsf_pipeline.flows.automation import IN_TURN, RECONCILE, is_running
from qbsf_pipeline.flows.source_gates import source_gates
from qbsf_pipeline.flows.time_zone import known_zone
from qbsf_pipeline.invoices.automation import INVOICES
from qbsf_pipeline.receivables import tables as receivables
from qbsf_pipeline.reconciliation.assets import MONTHS, REPORT_KEY, TABLES
from qbsf_pipeline.reconciliation.checks import reconciliation_checks
from qbsf_pipeline.reconciliation.months import due_months, key_of
from qbsf_pipeline.reconciliation.tables import SCHEMA
from qbsf_pipeline.resources import Doors, DoorsResource, WarehouseResource
from qbsf_pipeline.warehouse.assets import table_key

#: How often it is looked whether a month is due.
_CRON = "*/10 * * * *"
#: The assets of month end themselves, without what they are made from.
OWN = (*(table_key(table) for table in TABLES), REPORT_KEY)
_OWED = (receivables.APPLICATIONS, receivables.UNAPPLIED, receivables.INVOICES, receivables.CONTESTED)

#: The job over what was read before, with its checks: for who has just read both systems.
reconcile_again_job = dg.define_asset_job(
    f"{RECONCILE}_again",
    dg.AssetSelection.assets(*OWN).without_checks()
    | dg.AssetSelection.checks(*reconciliation_checks.check_keys, *source_gates.check_keys),
    description="Reconcile months from what was read last, and make their reports.",
    executor_def=dg.in_process_executor,
    partitions_def=MONTHS,
    tags={**IN_TURN, "dagster/max_retries": "0", "dagster/max_runtime": "3600", "qbsf/flow": SCHEMA},
)


def reconcile_job(raw: dg.AssetSelection) -> Any:
    """The job: read both systems, see what the invoice flow makes of every deal, reconcile, report.

    Args:
        raw: what is read.
    """
    return dg.define_asset_job(
        RECONCILE,
        raw.without_checks()
        | dg.AssetSelection.assets(*INVOICES.derived, *INVOICES.planned, *map(table_key, _OWED), *OWN).without_checks()
        | dg.AssetSelection.checks(*reconciliation_checks.check_keys, *source_gates.check_keys),
        description="Read both systems, reconcile months, make their reports and tell finance. Writes to neither system.",
        executor_def=dg.in_process_executor,
        partitions_def=MONTHS,
        tags={
            **IN_TURN,
            "dagster/max_retries": "2",
            "dagster/retry_on_asset_or_op_failure": "false",
            "dagster/max_runtime": "3600",
            "qbsf/flow": SCHEMA,
        },
    )


def months_due(opened: Doors, *, first_too: bool = True) -> list[date]:
    """The months whose report is due and was not made since it was, oldest first.

    Args:
        first_too: whether last month is due where no report was ever made.
    """
    reports = opened.state.month_end_reports
    since = reports.first_kept()
    if since is None and not first_too:
        return []
    rules, zone = opened.settings.rules.schedules, known_zone(opened.state)
    return due_months(opened.now(), reports.last_computed(), since, rules.month_end_at, rules.holidays, zone)


def schedules() -> list[dg.ScheduleDefinition]:
    """The schedule of month end."""

    @dg.schedule(
        name="month_end",
        job_name=RECONCILE,
        cron_schedule=_CRON,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=(
            "On the first business day of a month, from the hour on that the rules name, in the company's time zone: "
            "reconciles the month before. Days that were missed are made up for, one month at a time."
        ),
    )
    def month_end(
        context: dg.ScheduleEvaluationContext, doors: DoorsResource, warehouse: WarehouseResource
    ) -> dg.RunRequest | dg.SkipReason:
        due = months_due(doors.open(warehouse))
        if not due:
            return dg.SkipReason("the report of every month that is over was made")
        # Of passes it waits for its turn: where one follows the other, no moment would ever be free.
        if is_running(context.instance, RECONCILE):
            return dg.SkipReason("it is under way")
        return dg.RunRequest(partition_key=key_of(due[0]))

    return [month_end]
