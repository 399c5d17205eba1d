"""References that a push resolves: ids of what it made, numbers that nobody has, and what a write-back says."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbsf_pipeline.invoices.references import (
    LONGEST_DOCUMENT_NUMBER,
    DocumentNumbers,
    highest_number,
    invoice_fields,
    resolve_body,
    unresolved_reference,
)
from qbsf_pipeline.money import to_json
from qbsf_pipeline.settings import Environment
from qbsf_pipeline.state.database import State
from qbsf_pipeline.state.ledger import LedgerEntry
from qbsf_pipeline_tests.state.writes import invoice, sending

NOW = datetime(2026, 3, 31, 8, 0, tzinfo=UTC)
CUSTOMER = "quickbooks:9130:customer:001000000000001AAA"
ITEM = "quickbooks:9130:item:01t000000000001AAA"
BODY = {
    "CustomerRef": {"value": "$customer:001000000000001AAA", "name": "Acme & Söhne"},
    "DocNumber": "$next",
    "Line": [
        {"Amount": Decimal("12500.10"), "SalesItemLineDetail": {"ItemRef": {"value": "$item:01t000000000001AAA"}}},
        {"Amount": Decimal("0.10"), "SalesItemLineDetail": {"ItemRef": {"value": "12"}}},
        {"Amount": Decimal(0), "DetailType": "DescriptionOnly"},
    ],
}


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with State.open(f"sqlite:///{tmp_path / 'state.sqlite'}", tmp_path) as opened:
        yield opened


def planned(state: State, *, done: bool = True, body: dict[str, object] = BODY) -> LedgerEntry:
    """The invoice, behind its customer and item, which are ``done`` or not."""
    first = [invoice(7, key=key, depends_on=(), label=label) for key, label in ((CUSTOMER, "Acme"), (ITEM, "Platform"))]
    write = invoice(1, depends_on=(CUSTOMER, ITEM), payload=to_json(body))
    state.ledger.enqueue([*first, write], "B-1", NOW)
    if done:
        for one, result in zip(first, ("61", "17"), strict=True):
            state.ledger.start([sending(one)], NOW)
            state.ledger.finish(one.key, result, "{}", NOW)
    entry = state.ledger.entry(write.key)
    assert entry is not None
    return entry


def test_references_become_the_ids_of_what_was_made_and_amounts_stay_exact(state: State) -> None:
    body = resolve_body(planned(state), state.ledger, DocumentNumbers("", 1041))
    assert body["CustomerRef"] == {"value": "61", "name": "Acme & Söhne"}
    assert body["DocNumber"] == "1042"
    details = [line.get("SalesItemLineDetail", {}).get("ItemRef", {}).get("value") for line in body["Line"]]
    assert details == ["17", "12", None]
    assert to_json(body["Line"][0]["Amount"]) == "12500.10"


def test_a_reference_to_what_does_not_exist_yet_is_never_sent(state: State) -> None:
    entry = planned(state, done=False)
    assert unresolved_reference(entry, state.ledger) == "Acme"
    with pytest.raises(LookupError, match="which does not exist yet"):
        resolve_body(entry, state.ledger, DocumentNumbers("", 1))


def test_a_dependency_that_the_ledger_does_not_know_is_named_by_its_key(state: State) -> None:
    planned(state)
    lost = invoice(2, depends_on=("quickbooks:9130:customer:lost",))
    state.ledger.enqueue([lost], "B-1", NOW)
    entry = state.ledger.entry(lost.key)
    assert entry is not None
    assert unresolved_reference(entry, state.ledger) == "quickbooks:9130:customer:lost"


def test_a_body_without_references_is_sent_as_it_was_planned(state: State) -> None:
    body = {"DisplayName": "Acme: $customer", "Notes": "$next"}
    assert resolve_body(planned(state, body=body), state.ledger, DocumentNumbers("", 1)) == body


@pytest.mark.parametrize(
    ("numbers", "prefix", "highest"),
    [
        ([], "", 1000),
        ([None, "", "INV-7", "12a", "-5"], "", 1000),
        (["1041", "INV-7", None, "1039"], "", 1041),
        (["QB-12", "12000", "QB-x", "QB-"], "QB-", 12),
        (["9" * 20], "", int("9" * 20)),
        (["9" * 21], "", 1000),
        (["²", "1²"], "", 1000),
    ],
)
def test_the_highest_number_is_found_among_whatever_people_typed(numbers: list[str | None], prefix: str, highest: int) -> None:
    assert highest_number(numbers, prefix) == highest


@given(st.integers(0, 10**15), st.text("ABC-", max_size=5))
def test_numbers_go_up_and_fit_into_quickbooks(highest: int, prefix: str) -> None:
    numbers = DocumentNumbers(prefix, highest)
    drawn = [numbers.next() for _ in range(3)]
    assert len(set(drawn)) == 3
    assert all(len(number) <= LONGEST_DOCUMENT_NUMBER for number in drawn)
    assert drawn[0] == f"{prefix}{highest + 1}"
    numbers.skip()
    assert numbers.next() == f"{prefix}{highest + 5}"


def test_no_two_threads_draw_the_same_number() -> None:
    numbers = DocumentNumbers("", 1000)
    with ThreadPoolExecutor(8) as pool:
        drawn = list(pool.map(lambda _: numbers.next(), range(500)))
    assert sorted(drawn, key=int) == [str(number) for number in range(1001, 1501)]


ENVIRONMENT = Environment(quickbooks_app_url="https://qbo.test")


@pytest.mark.parametrize(
    ("invoice_record", "status"),
    [({"EmailStatus": "EmailSent"}, "Sent"), ({"EmailStatus": "NeedToSend"}, "Invoiced"), ({}, "Invoiced")],
)
def test_the_deal_is_told_sent_only_when_quickbooks_mailed_the_invoice(invoice_record: dict[str, str], status: str) -> None:
    fields = invoice_fields({"Id": "145", "DocNumber": "1042", "Balance": Decimal("10.50"), **invoice_record}, ENVIRONMENT)
    assert fields == {
        "$invoice.Id": "145",
        "$invoice.DocNumber": "1042",
        "$invoice.link": "https://qbo.test/app/invoice?txnId=145",
        "$invoice.status": status,
        "$invoice.Balance": Decimal("10.50"),
    }


def test_an_invoice_without_a_number_leaves_the_field_empty() -> None:
    assert invoice_fields({"Id": "145"}, ENVIRONMENT)["$invoice.DocNumber"] is None
