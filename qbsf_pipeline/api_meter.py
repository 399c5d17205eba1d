"""Counts every call to a service, by kind. Intuit meters reads and Salesforce caps calls per day: what is not counted is
not managed."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class CallKind:
    """One kind of call: ``system`` is salesforce, quickbooks or slack; ``kind`` is a short word such as query, cdc, batch,
    send, login; ``metered`` tells whether the service counts it against a limit that is paid for or capped."""

    system: str
    kind: str
    metered: bool = True


class ApiMeter:
    """A counter that threads may share."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[CallKind] = Counter()

    def count(self, system: str, kind: str, *, metered: bool = True) -> None:
        """Count one HTTP request, retries included, at the moment it is sent."""
        with self._lock:
            self._counts[CallKind(system, kind, metered)] += 1

    def totals(self) -> dict[CallKind, int]:
        """Calls so far, by kind."""
        with self._lock:
            return dict(self._counts)

    def total(self, system: str, *, metered_only: bool = False) -> int:
        """Calls so far to one system."""
        return sum(n for kind, n in self.totals().items() if kind.system == system and (kind.metered or not metered_only))
