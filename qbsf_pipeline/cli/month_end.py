"""Reconciles a month in this process, without a daemon: the jobs that the schedule and the UI start."""

from __future__ import annotations

import logging
import os
import socket
import warnings
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import dagster as dg

from qbsf_pipeline import notices
from qbsf_pipeline.cli.event_log import keep_open
from qbsf_pipeline.cli.passes import LONGEST_WAIT_SECONDS, PASS_LOCK, PROCESS_TAG, instance_for, reap_orphans
from qbsf_pipeline.definitions import build
from qbsf_pipeline.flows.automation import RECONCILE
from qbsf_pipeline.reconciliation.automation import months_due, reconcile_again_job
from qbsf_pipeline.reconciliation.months import key_of
from qbsf_pipeline.resources import Doors
from qbsf_pipeline.settings import Settings
from qbsf_pipeline.steps import deliver_messages
from qbsf_pipeline.warehouse.connection import Warehouse


@dataclass
class MonthEndResult:
    """What a reconciliation came to.

    Attributes:
        begun_at: when it began (UTC).
        closed: (check, finding) of the checks that stopped it.
        error: why it failed; ``None`` where it ran, or where a check stopped it.
        steps: (step, seconds) in order.
    """

    begun_at: datetime
    closed: list[tuple[str, str]] = field(default_factory=list)
    error: str | None = None
    steps: list[tuple[str, float]] = field(default_factory=list)

    @property
    def done(self) -> bool:
        """Whether the report was made."""
        return self.error is None and not self.closed


def run_month_end(
    settings: Settings, month: date, *, pull: bool = True, full: bool = False, as_of: date | None = None, tell: bool = True
) -> MonthEndResult:
    """Reconcile a month and make its report, here and now.

    Args:
        pull: read both systems first; else what was read last counts.
        full: read both systems whole.
        as_of: the day that counts as today.
        tell: whether finance is told, where the mode may tell anybody.

    Raises:
        StateBusy: a pass of the command line does not end.
    """
    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    warnings.simplefilter("ignore", dg.BetaWarning)
    doors = Doors(settings, Warehouse(settings.environment.warehouse_path))
    result = MonthEndResult(datetime.now(UTC))
    ops: dict[str, Any] = {
        "reconcile_months": {"config": {"as_of": as_of.isoformat() if as_of else ""}},
        "reconciliation__report": {"config": {"tell": tell}},
    }
    if pull:
        ops |= {op: {"config": {"full": full}} for op in ("pull_salesforce", "pull_quickbooks")}
        ops["plan_invoices"] = {"config": {"as_of": as_of.isoformat() if as_of else ""}}
    with doors.state.exclusive(PASS_LOCK, LONGEST_WAIT_SECONDS), instance_for(settings) as instance:
        keep_open(instance)
        reap_orphans(instance)
        name = RECONCILE if pull else reconcile_again_job.name
        ran = (
            build(settings, console_level="CRITICAL")
            .resolve_job_def(name)
            .execute_in_process(
                run_config={"loggers": {"console": {}}, "ops": ops},
                instance=instance,
                tags={PROCESS_TAG: f"{socket.gethostname()}:{os.getpid()}"},
                partition_key=key_of(month),
                raise_on_error=False,
            )
        )
        for event in ran.all_events:
            if event.event_type == dg.DagsterEventType.STEP_SUCCESS and event.step_key is not None:
                result.steps.append((event.step_key, event.step_success_data.duration_ms / 1000))
        if not ran.success:
            result.closed = notices.closed_checks(instance, ran.run_id)
            if not result.closed:
                result.error = notices.failed_reason(instance, ran.run_id) or "the run failed before its first step"
            if tell and settings.mode.writes:
                notices.tell_failed_run(doors, instance, ran.run_id, name, result.error)
        if tell and settings.mode.writes:
            deliver_messages(doors, budget_seconds=30.0)
    return result


def due_now(settings: Settings) -> list[date]:
    """The months that nobody reconciled since they were due; none where no report was ever made."""
    return months_due(Doors(settings, Warehouse(settings.environment.warehouse_path)), first_too=False)
