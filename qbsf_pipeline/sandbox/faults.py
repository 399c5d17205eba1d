"""Faults: what goes wrong next, for which calls, how often.

Belongs here: keeping the orders and choosing the one that strikes a call. Carrying it out is the server's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from qbsf_pipeline.sandbox.store import Store

_COLLECTION = "sandbox.faults"


class FaultKind(StrEnum):
    """The ways a call can go wrong."""

    RESET_BEFORE = "reset_before"
    RESET_AFTER = "reset_after"
    ERROR = "error"
    ERROR_AFTER = "error_after"
    THROTTLE = "throttle"
    TOKEN_EXPIRED = "token_expired"
    SLOW = "slow"
    HANG_AFTER = "hang_after"
    HTML = "html"


@dataclass(frozen=True)
class Fault:
    """One order: `kind` strikes `times` matching calls after the first `after` were let through.

    `endpoint` is one of the call log's names, or "*". `seconds` is the wait of slow and hang_after.
    """

    service: str
    endpoint: str
    kind: FaultKind
    times: int
    after: int
    seconds: float

    def matches(self, service: str, endpoint: str) -> bool:
        """Whether a call belongs to those this order counts."""
        return self.service in ("*", service) and self.endpoint in ("*", endpoint)


def fault_of(order: dict[str, Any]) -> Fault:
    """The fault that a JSON order asks for; once, at once and on every endpoint where it does not say.

    Raises:
        ValueError: an unknown key, kind or service, or a number that is none.
    """
    unknown = set(order) - {"service", "endpoint", "kind", "times", "after", "seconds"}
    if unknown:
        raise ValueError(f"a fault has no {', '.join(sorted(unknown))}")
    service = str(order.get("service", "*"))
    if service not in ("salesforce", "quickbooks", "slack", "*"):
        raise ValueError(f"service is salesforce, quickbooks, slack or *; found {service!r}")
    kinds = ", ".join(kind.value for kind in FaultKind)
    if order.get("kind") not in {kind.value for kind in FaultKind}:
        raise ValueError(f"kind is one of {kinds}; found {order.get('kind')!r}")
    return Fault(
        service=service,
        endpoint=str(order.get("endpoint", "*")),
        kind=FaultKind(order["kind"]),
        times=int(order.get("times", 1)),
        after=int(order.get("after", 0)),
        seconds=float(order.get("seconds", 1)),
    )


class Faults:
    """The orders that are not used up, in the order they were given; kept in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._documents = store.documents(_COLLECTION)

    def add(self, fault: Fault) -> str:
        """Take an order; returns its id."""
        key = str(self._store.next_number(_COLLECTION))
        self._keep(key, fault)
        return key

    def listed(self) -> list[dict[str, Any]]:
        """The orders as JSON, each with its `id` and what is left of `times` and `after`."""
        return [{"id": key, **document} for key, document in self._documents.items()]

    def clear(self) -> None:
        """Forget every order."""
        self._documents.clear()

    def strike(self, service: str, endpoint: str) -> Fault | None:
        """The fault that this call meets, if any: the oldest order that matches and has let enough through."""
        for key in list(self._documents):
            fault = fault_of(self._documents[key])
            if not fault.matches(service, endpoint):
                continue
            if fault.after > 0:
                self._keep(key, replace(fault, after=fault.after - 1))
                continue
            if fault.times > 1:
                self._keep(key, replace(fault, times=fault.times - 1))
            else:
                del self._documents[key]
            return fault
        return None

    def _keep(self, key: str, fault: Fault) -> None:
        self._documents[key] = {
            "service": fault.service,
            "endpoint": fault.endpoint,
            "kind": fault.kind.value,
            "times": fault.times,
            "after": fault.after,
            "seconds": fault.seconds,
        }
