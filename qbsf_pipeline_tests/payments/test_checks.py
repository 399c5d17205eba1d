"""The gates of payments: each one closes on what it protects against, and on nothing else."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from qbsf_pipeline.flows.gates import each_record_is_written_once, receivables_are_explained
from qbsf_pipeline.money import to_json
from qbsf_pipeline.payments.checks import (
    only_own_invoices_count,
    totals_are_equal,
    within_blast_radius,
    writes_are_as_derived,
)
from qbsf_pipeline.payments.tables import DEALS, PLAN
from qbsf_pipeline.receivables.tables import INVOICES
from qbsf_pipeline.settings import load_rules

RULES = load_rules()
TEN = Decimal("10.00")


def plan(*bodies: dict[str, Any]) -> pl.DataFrame:
    return PLAN.frame(
        [
            {
                "key": f"k{number}",
                "target_object": "Opportunity",
                "opportunity_id": f"D{number}",
                "payload": to_json(body),
                "label": f"Deal {number}",
            }
            for number, body in enumerate(bodies, start=1)
        ]
    )


def deal(number: int = 1, **changes: Any) -> dict[str, Any]:
    row = {
        "opportunity_id": f"D{number}",
        "status": "Paid",
        "balance": TEN,
        "currency": "USD",
        "last_payment_date": date(2026, 3, 31),
        "invoices": f"I{number}",
    }
    return row | changes


def invoice(number: int = 1, **changes: Any) -> dict[str, Any]:
    row = {
        "invoice_id": f"I{number}",
        "doc_number": f"10{number}",
        "opportunity_id": f"D{number}",
        "open": TEN,
        "balance": TEN,
        "currency": "USD",
        "status": "Sent",
        "explained": True,
    }
    return row | changes


def deals(*rows: dict[str, Any]) -> pl.DataFrame:
    return DEALS.frame(rows)


def invoices(*rows: dict[str, Any]) -> pl.DataFrame:
    return INVOICES.frame(rows)


@pytest.mark.parametrize(
    ("bodies", "known", "owned", "is_open"),
    [
        ([{"Id": "D1"}], [deal()], [invoice()], True),
        ([{"Id": "D1"}], [deal(invoices="")], [invoice()], True),
        ([{"Id": "D1"}], [deal(invoices="I1 I2")], [invoice(), invoice(2, opportunity_id="D1")], True),
        ([{"Id": "D1"}], [deal(invoices="I1 I2")], [invoice(), invoice(2)], False),
        ([{"Id": "D1"}], [deal()], [invoice(opportunity_id=None)], False),
        ([{"Id": "D1"}], [deal()], [], False),
        ([{"Id": "D2"}], [deal()], [invoice()], False),
        ([{"Id": "D1"}], [deal(2)], [invoice()], False),
    ],
)
def test_a_deal_is_written_by_its_own_invoices_alone(
    bodies: list[dict[str, Any]], known: list[dict[str, Any]], owned: list[dict[str, Any]], is_open: bool
) -> None:
    assert only_own_invoices_count(plan(*bodies), deals(*known), invoices(*owned)).open is is_open


@pytest.mark.parametrize(
    ("known", "owned", "is_open"),
    [
        ([], [], True),
        ([deal(), deal(2)], [invoice(), invoice(2)], True),
        ([deal(balance=Decimal("10.01"))], [invoice()], False),
        # A cent too much here and a cent too little there do not cancel out over currencies.
        ([deal(balance=Decimal("10.01")), deal(2, balance=Decimal("9.99"), currency="EUR")], [invoice(), invoice(2)], False),
        ([deal(balance=Decimal("0.00"))], [invoice(status="Voided")], True),
        ([deal()], [invoice(status="Voided")], False),
        ([deal(balance=None, currency=None)], [invoice()], True),
        ([deal(balance=Decimal("20.00"), invoices="I1 I2")], [invoice(), invoice(2, opportunity_id="D1")], True),
    ],
)
def test_deals_owe_what_their_invoices_have_open(known: list[dict[str, Any]], owned: list[dict[str, Any]], is_open: bool) -> None:
    assert totals_are_equal(deals(*known), invoices(*owned)).open is is_open


@pytest.mark.parametrize(
    ("body", "derived", "is_open"),
    [
        ({"Payment_Status__c": "Paid", "Invoice_Balance__c": Decimal("10.0"), "Last_Payment_Date__c": "2026-03-31"}, {}, True),
        ({"Payment_Status__c": "paid"}, {}, False),
        ({"Invoice_Balance__c": Decimal("10.01")}, {}, False),
        ({"Invoice_Balance__c": None}, {}, False),
        ({"Invoice_Balance__c": None}, {"balance": None}, True),
        ({"Last_Payment_Date__c": "2026-04-01"}, {}, False),
        ({"Last_Payment_Date__c": None}, {"last_payment_date": None}, True),
        ({"StageName": "Paid"}, {"stage_wanted": "Paid"}, True),
        ({"StageName": "Paid"}, {}, False),
        ({"Days_Outstanding__c": None, "Aging_Bucket__c": None}, {}, True),
        ({"Days_Outstanding__c": 5}, {}, False),
        ({"Aging_Bucket__c": None}, {"status": "Partially Paid"}, False),
        ({"Amount": 5}, {}, False),
        ({"QuickBooks_Invoice_Id__c": "I1"}, {}, False),
    ],
)
def test_nothing_is_written_but_what_was_derived(body: dict[str, Any], derived: dict[str, Any], is_open: bool) -> None:
    assert writes_are_as_derived(plan({"Id": "D1", **body}), deals(deal(**derived)), RULES).open is is_open


@pytest.mark.parametrize(
    ("changed", "billed", "decisions", "is_open"),
    [
        (200, 200, {}, True),  # few enough, whatever their share
        (201, 2000, {}, True),
        (201, 1000, {}, False),
        (201, 1000, {"B-1": "approved"}, True),
        (201, 1000, {"B-1": "rejected"}, False),
        (201, 1000, {"B-2": "approved"}, False),
        (201, 0, {}, False),
    ],
)
def test_a_mass_change_waits_for_a_person(changed: int, billed: int, decisions: dict[str, str], is_open: bool) -> None:
    outcome = within_blast_radius(plan(*({"Id": f"D{n}"} for n in range(changed))), billed, RULES.gates, decisions, "B-1")
    assert outcome.open is is_open
    assert is_open or "qbsf approve B-1" in outcome.text


@pytest.mark.parametrize(
    ("wrong", "right", "is_open"),
    [(0, 0, True), (5, 0, True), (6, 0, False), (6, 294, True), (6, 293, False)],
)
def test_a_few_balances_that_are_not_explained_stop_nobody_else(wrong: int, right: int, is_open: bool) -> None:
    rows = [invoice(n, explained=False, balance=Decimal("9.00")) for n in range(wrong)]
    rows += [invoice(n) for n in range(wrong, wrong + right)]
    outcome = receivables_are_explained(invoices(*rows), RULES.gates)
    assert outcome.open is is_open
    if wrong:
        assert "invoice 100 has 10.00 open by its payments and credits, and 9.00 USD" in outcome.text


def test_a_record_is_changed_by_one_write() -> None:
    assert each_record_is_written_once(plan({"Id": "D1"}, {"Id": "D2"})).open
    assert not each_record_is_written_once(plan({"Id": "D1"}, {"Id": "D1", "StageName": "Paid"})).open
    assert each_record_is_written_once(plan({"Subject": "one"}, {"Subject": "two"})).open
    assert not each_record_is_written_once(plan({"Subject": "one"}, {"Subject": "one"})).open
