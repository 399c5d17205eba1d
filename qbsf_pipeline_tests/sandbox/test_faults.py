from __future__ import annotations

from pathlib import Path

import pytest

from qbsf_pipeline.sandbox.faults import FaultKind, Faults, fault_of
from qbsf_pipeline.sandbox.store import Store


def struck(faults: Faults, service: str, endpoint: str) -> str | None:
    fault = faults.strike(service, endpoint)
    return None if fault is None else fault.kind.value


def test_a_fault_strikes_as_often_as_ordered_after_letting_the_first_calls_through():
    faults = Faults(Store(None))
    faults.add(fault_of({"service": "quickbooks", "endpoint": "batch", "kind": "reset_after", "times": 2, "after": 1}))
    assert [struck(faults, "quickbooks", "batch") for _ in range(4)] == [None, "reset_after", "reset_after", None]
    assert faults.listed() == []


def test_a_fault_strikes_only_its_service_and_endpoint():
    faults = Faults(Store(None))
    faults.add(fault_of({"service": "salesforce", "endpoint": "query", "kind": "error"}))
    assert struck(faults, "quickbooks", "query") is None
    assert struck(faults, "salesforce", "login") is None
    assert struck(faults, "salesforce", "query") == "error"


def test_a_star_matches_every_endpoint_of_its_service():
    faults = Faults(Store(None))
    faults.add(fault_of({"service": "slack", "endpoint": "*", "kind": "throttle", "times": 2}))
    assert [struck(faults, "slack", "auth.test"), struck(faults, "slack", "chat.update")] == ["throttle", "throttle"]


def test_the_oldest_matching_order_strikes_first():
    faults = Faults(Store(None))
    for kind in ("error", "html"):
        faults.add(fault_of({"service": "slack", "kind": kind}))
    assert [struck(faults, "slack", "x"), struck(faults, "slack", "x")] == ["error", "html"]


def test_orders_survive_a_new_start(tmp_path: Path):
    store = Store(tmp_path / "s")
    Faults(store).add(fault_of({"service": "slack", "endpoint": "*", "kind": "slow", "seconds": 0.25}))
    store.commit()
    found = Faults(Store(tmp_path / "s")).strike("slack", "auth.test")
    assert found is not None
    assert (found.kind, found.seconds) == (FaultKind.SLOW, 0.25)


@pytest.mark.parametrize(
    "order", [{"service": "jira", "kind": "error"}, {"service": "slack", "kind": "boom"}, {"kind": "error", "count": 2}]
)
def test_an_order_that_cannot_be_is_refused(order: dict[str, object]):
    with pytest.raises(ValueError):
        fault_of(order)
