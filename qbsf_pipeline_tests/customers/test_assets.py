"""The asset of customer matches: what people decided and what is linked comes before any comparison."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from qbsf_pipeline.customers.plan import MATCHES, REVIEWS
from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.salesforce import objects as salesforce
from qbsf_pipeline.state.links import CustomerLink
from qbsf_pipeline.state.reviews import ReviewCase
from qbsf_pipeline_tests.invoices.records import account, customer, frame, record_id
from qbsf_pipeline_tests.pipeline import Pipeline, materialized

NOW = datetime(2026, 3, 31, 8, 0, tzinfo=UTC)


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipeline]:
    with Pipeline(tmp_path / "home", monkeypatch) as built:
        yield built


def match(pipeline: Pipeline) -> dict[str, dict[str, object]]:
    result = pipeline.run("plan_invoices_only", "customers/matches")
    assert materialized(result) == {"customers/matches"}
    return {row["account_id"]: row for row in pipeline.table(MATCHES).to_dicts()}


def test_without_any_record_there_is_no_match_and_no_question(pipeline: Pipeline) -> None:
    assert match(pipeline) == {}
    assert pipeline.table(REVIEWS).is_empty()


def test_links_and_decisions_of_the_state_come_before_what_the_records_say(pipeline: Pipeline) -> None:
    accounts = [account(number) for number in range(1, 5)]
    pipeline.put(salesforce.ACCOUNT, frame(salesforce.ACCOUNT, accounts))
    pipeline.put(quickbooks.CUSTOMER, frame(quickbooks.CUSTOMER, [customer(1), customer(2), customer(9, display_name="Other")]))
    state = pipeline.doors.state
    state.links.link_customer(CustomerLink(record_id("001", 1), "109", "person", "dana", NOW))
    cases = [ReviewCase(record_id("001", number), f"Acme {number}", "Which?", [], 1, None, None) for number in (3, 4)]
    state.reviews.open_or_refresh(cases, NOW)
    state.reviews.decide(record_id("001", 3), "ignore", by="dana", now=NOW)
    state.reviews.decide(record_id("001", 4), "create", by="dana", now=NOW)
    found = match(pipeline)
    assert [(found[record_id("001", n)]["outcome"], found[record_id("001", n)]["customer_id"]) for n in range(1, 5)] == [
        ("linked", "109"),
        ("linked", "102"),
        ("ignored", None),
        ("create", None),
    ]
