"""The company's time zone, for schedules and commands, which do not open the warehouse to ask."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from qbsf_pipeline.state.database import State

#: Under this key the state's cache keeps it (IANA name).
TIME_ZONE = "company time zone"


def known_zone(state: State) -> ZoneInfo:
    """The company's time zone as the last plan or report found it; UTC before the first."""
    known = state.cache.load(TIME_ZONE)
    return ZoneInfo(known.text) if known is not None else ZoneInfo("UTC")


def remember_zone(state: State, zone: ZoneInfo, now: datetime) -> None:
    """Keep it, as it was found in the company's data."""
    known = state.cache.load(TIME_ZONE)
    if known is None or known.text != zone.key:
        state.cache.store(TIME_ZONE, zone.key, now)
