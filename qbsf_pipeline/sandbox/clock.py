"""The sandbox's time: the machine's, plus a shift that control calls add and the store keeps.

Belongs here: what "now" is. Does not belong here: how a service writes a time.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from qbsf_pipeline.sandbox.store import Store

_COLLECTION = "sandbox.clock"


class Clock:
    """Now, as an aware UTC datetime. `store` keeps the shift over restarts; None keeps it in this object only.

    `fixed` stops the clock at that instant (plus what `advance` adds), for tests and for seeding.
    """

    def __init__(self, store: Store | None = None, *, fixed: datetime | None = None) -> None:
        if fixed is not None and fixed.tzinfo is None:
            raise ValueError("a fixed clock needs an aware datetime")
        self._store = store
        self._fixed = fixed
        self._shift = timedelta()
        if store is not None and "shift" in store.documents(_COLLECTION):
            self._shift = timedelta(microseconds=int(store.documents(_COLLECTION)["shift"]["microseconds"]))

    def now(self) -> datetime:
        """The sandbox's now, aware, UTC."""
        return (self._fixed or datetime.now(UTC)).astimezone(UTC) + self._shift

    def advance(self, by: timedelta) -> datetime:
        """Shift the clock (a negative `by` sets it back) and return the new now."""
        self._shift += by
        if self._store is not None:
            microseconds = self._shift // timedelta(microseconds=1)
            self._store.documents(_COLLECTION)["shift"] = {"microseconds": microseconds}
        return self.now()
