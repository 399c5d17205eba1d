"""What billing schedules say of each line, by every agreement that there was, so that what once ran stays to be seen. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from qbsf_pipeline.invoices.recurring import kept
from qbsf_pipeline.invoices.recurring.schedule import BillingSchedule
from qbsf_pipeline.invoices.recurring.tables import line_rows
from qbsf_pipeline.state.billing_schedules import BY_RULES, AgreedSchedule

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class _InForce:
    """An agreement and the first day on which it counts; ``None``: from the beginning. No schedule where it cannot be read."""

    agreed: AgreedSchedule
    schedule: BillingSchedule | None
    since: date | None

    @property
    def is_active(self) -> bool:
        return self.schedule is not None and self.schedule.status == "active"


def lines_by_agreement(
    agreed: Sequence[AgreedSchedule], agreed_now: Sequence[AgreedSchedule], today: date, time_zone: str
) -> list[dict[str, Any]]:
    """Rows of :data:`.recurring.tables.BILLING_SCHEDULE_LINES`.

    The first agreement on a deal counts from the beginning, for a deal may be won after it began; each later one from the day on
    which it was agreed. Until something is billed the schedule follows its deal, and its newest agreement stands in place of
    the one before it. One that cannot be read has no lines; the one before it ends all the same.

    Args:
        agreed: every version that is kept, the newest of a deal last.
        agreed_now: what the plan agrees to: not remembered yet, in force from today on.
        time_zone: of the company (IANA name).
    """
    zone = ZoneInfo(time_zone)
    deals: dict[str, list[_InForce]] = {}
    days = [one.agreed_at.astimezone(zone).date() if one.agreed_at is not None else today for one in agreed]
    # What is agreed now was made from the version before it, and has its instant still.
    for one, day in (*zip(agreed, days, strict=True), *((one, today) for one in agreed_now)):
        versions = deals.setdefault(one.opportunity_id, [])
        found = _InForce(one, _read(one), day if versions else None)
        # By rules alone a schedule that bills is only changed while nothing of it was billed.
        if versions and one.agreed_by == BY_RULES and found.is_active and versions[-1].is_active:
            found = _InForce(one, found.schedule, versions.pop().since)
        versions.append(found)
    rows: list[dict[str, Any]] = []
    for versions in deals.values():
        for place, version in enumerate(versions):
            after = versions[place + 1].since if place + 1 < len(versions) else None
            if version.schedule is not None:
                until = after - _DAY if after is not None else None
                rows += line_rows(version.schedule, version.agreed.version, version.since, until)
    return rows


def _read(agreed: AgreedSchedule) -> BillingSchedule | None:
    try:
        return kept.read(agreed.schedule)
    except kept.UnreadableScheduleError:
        return None
