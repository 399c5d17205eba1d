"""How fast QuickBooks may be called: Intuit's limits per second and per minute, kept before they are hit.

Belongs here: counting calls in time. Does not belong here: what to do when QuickBooks throttles all the same (client).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

#: Windows are a little longer than Intuit's, because calls do not arrive as evenly as they are sent: one that is held up on
#: the way (a new connection) would fall into one window with the call that is let through exactly a minute after it, and
#: that costs a minute. A call in 1.2 s less costs nothing: ten of them in that time are 500 in a minute.
SECOND = 1.2
MINUTE = 61.0


class SlidingWindow:
    """At most ``limit`` calls in any ``length`` seconds. Pure: it is told the time and never waits.

    Raises:
        ValueError: a limit below one would never let a call through.
    """

    def __init__(self, limit: int, length: float) -> None:
        if limit < 1:
            raise ValueError(f"a limit of {limit} calls in {length:g} seconds lets no call through")
        self._length = length
        # One more than the limit is never needed: only the call that is `limit` calls back decides.
        self._taken: deque[float] = deque(maxlen=limit)

    def earliest(self, now: float) -> float:
        """The first moment, not before ``now``, at which one more call fits."""
        if len(self._taken) < (self._taken.maxlen or 1):
            return now
        return max(now, self._taken[0] + self._length)

    def take(self, moment: float) -> None:
        """Count a call at ``moment``; moments never go back."""
        self._taken.append(moment)


class Pace:
    """Makes threads wait so that no sliding window ever holds more calls than Intuit allows, and no longer than that.

    Args:
        calls_per_second: per company and app (Intuit: 10).
        calls_per_minute: per company (Intuit: 500).
        batches_per_minute: of these, calls of the batch endpoint (Intuit: 40).
        clock: seconds that never go back.
        sleep: waits for some seconds.
    """

    def __init__(
        self,
        calls_per_second: int,
        calls_per_minute: int,
        batches_per_minute: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._calls = (SlidingWindow(calls_per_second, SECOND), SlidingWindow(calls_per_minute, MINUTE))
        self._batches = SlidingWindow(batches_per_minute, MINUTE)
        # Calls take their moments in order, for a window counts moments that never go back.
        self._last = float("-inf")

    def free_in(self, batch: bool = False) -> float:
        """Seconds until a call could be sent; 0 where it could be now. Takes no place: another thread may."""
        with self._lock:
            now = self._clock()
            return max(0.0, self._earliest(max(now, self._last), batch) - now)

    def hold(self, batch: bool = False) -> None:
        """Return when a call could be sent, without taking a place."""
        while (missing := self.free_in(batch)) > 0:
            self._sleep(missing)

    def wait(self, batch: bool = False) -> None:
        """Return when the next call may be sent; ``batch`` tells that it is a call of the batch endpoint."""
        moment = self._take(batch)
        # A sleep may end early by less than the clock's tick; the moment itself must have come.
        while (missing := moment - self._clock()) > 0:
            self._sleep(missing)

    def _take(self, batch: bool) -> float:
        with self._lock:
            moment = self._earliest(max(self._clock(), self._last), batch)
            for window in self._windows(batch):
                window.take(moment)
            self._last = moment
            return moment

    def _earliest(self, moment: float, batch: bool) -> float:
        return max(window.earliest(moment) for window in self._windows(batch))

    def _windows(self, batch: bool) -> tuple[SlidingWindow, ...]:
        return (*self._calls, self._batches) if batch else self._calls
