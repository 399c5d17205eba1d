"""What billing schedules say of each line, by every agreement that there was, so that what once ran stays to be seen. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from qbsf_pipeline.invoices.recurring import kept
from qbsf_pipeline.invoices.recurring.tables import line_rows
from qbsf_pipeline.state.billing_schedules import AgreedSchedule

_DAY = timedelta(days=1)


def lines_by_agreement(
    agreed: Sequence[AgreedSchedule], agreed_now: Sequence[AgreedSchedule], today: date, time_zone: str
) -> list[dict[str, Any]]:
    """Rows of :data:`.recurring.tables.BILLING_SCHEDULE_LINES`.

    The first agreement on a deal counts from the beginning, for a deal may be won after it began; each later one from the day on
    which it was agreed. An agreement that cannot be read has no lines; the one before it ends all the same.

    Args:
        agreed: every version that is kept, the newest of a deal last.
        agreed_now: what the plan agrees to: not remembered yet, in force from today on.
        time_zone: of the company (IANA name).
    """
    versions: dict[str, list[tuple[AgreedSchedule, date]]] = {}
    zone = ZoneInfo(time_zone)
    for one in agreed:
        day = one.agreed_at.astimezone(zone).date() if one.agreed_at is not None else today
        versions.setdefault(one.opportunity_id, []).append((one, day))
    for one in agreed_now:
        versions.setdefault(one.opportunity_id, []).append((one, today))
    rows: list[dict[str, Any]] = []
    for of_deal in versions.values():
        for place, (version, day) in enumerate(of_deal):
            after = of_deal[place + 1][1] if place + 1 < len(of_deal) else None
            try:
                schedule = kept.read(version.schedule)
            except kept.UnreadableScheduleError:
                continue
            rows += line_rows(schedule, version.version, day if place else None, after - _DAY if after is not None else None)
    return rows
