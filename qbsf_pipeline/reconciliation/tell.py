"""Puts a month's summary into the outbox, once for each content. Sending is the outbox's business."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from qbsf_pipeline.reconciliation.classes import CLASSES
from qbsf_pipeline.reconciliation.messages import summary_messages
from qbsf_pipeline.reconciliation.months import key_of
from qbsf_pipeline.reconciliation.producing import Produced
from qbsf_pipeline.settings import Settings
from qbsf_pipeline.state.database import State


def tell_month(state: State, settings: Settings, produced: Produced, zone: ZoneInfo, now: datetime) -> int:
    """Tell finance how a month stands, where that was not told yet and the mode may tell anybody. Returns how many messages are
    new.

    Args:
        zone: the company's.
    """
    if not settings.mode.writes:
        return 0
    titles = {one.code: one.title for one in CLASSES}
    places = {"workbook": str(produced.workbook), "page": str(produced.page)}
    partition = key_of(produced.report.month)
    report_link = f"{settings.rules.schedules.dagster_url}/assets/reconciliation/report?partition={partition}"
    today = now.astimezone(zone).date()
    channel = settings.environment.slack_finance_channel
    return state.outbox.put(summary_messages(produced.report, titles, today, places, report_link, channel), now)
