"""The meter counts every call once, whoever makes it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from qbsf_pipeline.api_meter import ApiMeter, CallKind


def test_calls_are_counted_by_system_and_kind_and_what_is_not_metered_apart() -> None:
    meter = ApiMeter()
    meter.count("quickbooks", "query")
    meter.count("quickbooks", "query")
    meter.count("quickbooks", "batch", metered=False)
    meter.count("salesforce", "query")
    assert meter.totals() == {
        CallKind("quickbooks", "query", True): 2,
        CallKind("quickbooks", "batch", False): 1,
        CallKind("salesforce", "query", True): 1,
    }
    assert meter.total("quickbooks") == 3
    assert meter.total("quickbooks", metered_only=True) == 2
    assert meter.total("slack") == 0


def test_threads_lose_no_count() -> None:
    meter = ApiMeter()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: meter.count("quickbooks", "send"), range(2000)))
    assert meter.total("quickbooks") == 2000
