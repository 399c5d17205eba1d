"""The least time that QuickBooks' limits allow for a number of calls. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

#: Intuit, for each company: calls in a second, calls in a minute, of these calls of the batch endpoint.
CALLS_PER_SECOND = 10
CALLS_PER_MINUTE = 500
BATCHES_PER_MINUTE = 40


def least_seconds(batches: int, calls: int) -> float:
    """From the first call to the last, where nothing but the limits takes time.

    Args:
        batches: calls of the batch endpoint.
        calls: all calls, batches included.
    """
    return max(_window(batches, BATCHES_PER_MINUTE, 60.0), _within_minutes(calls))


def most_in_a_window(moments: Sequence[datetime], length: timedelta) -> int:
    """The most calls that any window of ``length`` held: how close to a limit it came."""
    ordered = sorted(moments)
    most = first = 0
    for last, moment in enumerate(ordered):
        while moment - ordered[first] >= length:
            first += 1
        most = max(most, last - first + 1)
    return most


def _window(calls: int, limit: int, length: float) -> float:
    return (max(calls, 1) - 1) // limit * length


def _within_minutes(calls: int) -> float:
    """Whole minutes that are full, then the seconds that the rest takes at so many a second."""
    full = _window(calls, CALLS_PER_MINUTE, 60.0)
    rest = (max(calls, 1) - 1) % CALLS_PER_MINUTE + 1
    return full + _window(rest, CALLS_PER_SECOND, 1.0)
