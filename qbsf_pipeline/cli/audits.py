"""Runs the audit of both systems' records in this process, without a daemon: the job that an operator starts in the UI."""

from __future__ import annotations

import logging
import os
import socket
import warnings
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from qbsf_pipeline import notices
from qbsf_pipeline.cleansing.assets import FINDINGS_KEY, workbook_path
from qbsf_pipeline.cleansing.automation import cleanse_job
from qbsf_pipeline.cli.event_log import keep_open
from qbsf_pipeline.cli.passes import LONGEST_WAIT_SECONDS, PASS_LOCK, PROCESS_TAG, instance_for, reap_orphans
from qbsf_pipeline.definitions import build
from qbsf_pipeline.settings import Settings
from qbsf_pipeline.state.database import State


@dataclass(frozen=True)
class AuditResult:
    """What an audit came to.

    Attributes:
        new: findings that the audit before did not have.
        mended: findings that are gone since.
        workbook: where it stands.
        error: why the audit failed; ``None`` where it ran.
    """

    new: int
    mended: int
    workbook: Path
    error: str | None = None


def run_audit(settings: Settings) -> AuditResult:
    """Read both systems and audit them, here and now.

    Raises:
        StateBusy: a pass of the command line does not end.
    """
    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    warnings.simplefilter("ignore", dg.BetaWarning)
    path = workbook_path(settings.environment)
    state = State.open(settings.environment.state_url, settings.environment.home)
    with state, state.exclusive(PASS_LOCK, LONGEST_WAIT_SECONDS), instance_for(settings) as instance:
        keep_open(instance)
        reap_orphans(instance)
        job = build(settings, console_level="CRITICAL").resolve_job_def(cleanse_job.name)
        tags = {PROCESS_TAG: f"{socket.gethostname()}:{os.getpid()}"}
        ran = job.execute_in_process(run_config={"loggers": {"console": {}}}, instance=instance, tags=tags, raise_on_error=False)
        if not ran.success:
            reason = notices.failed_reason(instance, ran.run_id) or "the audit failed before its first step"
            return AuditResult(0, 0, path, reason)
    for event in ran.get_asset_materialization_events():
        if event.asset_key == FINDINGS_KEY:
            metadata = event.materialization.metadata
            return AuditResult(int(str(metadata["new"].value)), int(str(metadata["mended"].value)), path)
    return AuditResult(0, 0, path, "the audit wrote no findings")
