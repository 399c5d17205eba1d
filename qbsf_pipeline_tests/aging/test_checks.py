"""The gates of ageing: each one closes on what it protects against, and on nothing else."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from qbsf_pipeline.aging.checks import (
    a_past_day_is_only_reported,
    only_billed_deals_are_written,
    only_known_fields_are_written,
    reminders_are_allowed,
    totals_are_complete,
    within_blast_radius,
)
from qbsf_pipeline.aging.tables import DEALS, INVOICES, PLAN, REMINDERS, TOTALS
from qbsf_pipeline.money import to_json
from qbsf_pipeline.settings import load_rules

RULES = load_rules()
TARGETS = {"update_opportunity": "Opportunity", "send_reminder": "Invoice", "create_task": "Task", "close_task": "Task"}


def plan(*writes: tuple[str, dict[str, Any]]) -> pl.DataFrame:
    return PLAN.frame(
        [
            {
                "key": f"k{number}",
                "operation": operation,
                "target_object": TARGETS[operation],
                "opportunity_id": "D1",
                "payload": to_json(body),
                "label": f"Deal {number}",
            }
            for number, (operation, body) in enumerate(writes, start=1)
        ]
    )


def update(**body: Any) -> tuple[str, dict[str, Any]]:
    return "update_opportunity", {"Id": "D1", **body}


def invoice(number: int = 1, **changes: Any) -> dict[str, Any]:
    row = {
        "invoice_id": f"I{number}",
        "opportunity_id": f"D{number}",
        "open": Decimal("10.00"),
        "currency": "USD",
        "days_past_due": 35,
        "disputed": False,
        "emailed": True,
    }
    return row | changes


@pytest.mark.parametrize(
    ("writes", "planned", "is_open"), [(True, 1, True), (False, 0, True), (False, 1, False), (True, 0, True)]
)
def test_nothing_follows_from_another_day(writes: bool, planned: int, is_open: bool) -> None:
    assert a_past_day_is_only_reported(plan(*[update()] * planned), writes).open is is_open


@pytest.mark.parametrize(
    ("owed", "held", "is_open"),
    [
        ([], [], True),
        ([("USD", "10.00"), ("USD", "5.01")], [("USD", "15.01"), ("USD", "0.00")], True),
        ([("USD", "10.00"), ("EUR", "5.00")], [("USD", "15.00")], False),
        ([("USD", "10.00")], [("USD", "10.01")], False),
        ([("USD", "10.00")], [], False),
        ([], [("USD", "0.00")], True),
    ],
)
def test_the_buckets_hold_all_that_is_open(owed: list[tuple[str, str]], held: list[tuple[str, str]], is_open: bool) -> None:
    invoices = INVOICES.frame([invoice(n, currency=code, open=Decimal(amount)) for n, (code, amount) in enumerate(owed)])
    totals = TOTALS.frame(
        [{"currency": code, "bucket": str(n), "open": Decimal(amount)} for n, (code, amount) in enumerate(held)]
    )
    assert totals_are_complete(invoices, totals).open is is_open


@pytest.mark.parametrize(
    ("deals", "invoices", "is_open"),
    [
        ([("D1", "I1")], [invoice()], True),
        ([("D1", None)], [], True),  # the age is taken off
        ([("D1", "I1")], [invoice(opportunity_id="D2")], False),
        ([("D1", "I1")], [], False),
        ([("D2", "I1")], [invoice()], False),
    ],
)
def test_a_deal_gets_the_age_of_its_own_invoice(
    deals: list[tuple[str, str | None]], invoices: list[dict[str, Any]], is_open: bool
) -> None:
    rows = DEALS.frame([{"opportunity_id": deal, "invoice_id": own} for deal, own in deals])
    assert only_billed_deals_are_written(plan(update()), rows, INVOICES.frame(invoices)).open is is_open


@pytest.mark.parametrize(
    ("write", "is_open"),
    [
        (update(Days_Outstanding__c=3, Aging_Bucket__c="1-30"), True),
        (update(Payment_Status__c="Paid"), False),
        (
            ("create_task", {"Subject": "s", "WhatId": "D1", "ActivityDate": "2026-01-01", "OwnerId": "U", "Description": "d"}),
            True,
        ),
        (("create_task", {"Subject": "s", "Priority": "High"}), False),
        (("close_task", {"Id": "T", "Status": "Completed"}), True),
        (("send_reminder", {"Id": "I1", "BillEmail": {"Address": "a@b.example"}}), True),
        (("send_reminder", {"Id": "I1", "Balance": 0}), False),
    ],
)
def test_nothing_is_written_but_ages_and_tasks(write: tuple[str, dict[str, Any]], is_open: bool) -> None:
    assert only_known_fields_are_written(plan(write), RULES).open is is_open


@pytest.mark.parametrize(
    ("changes", "sent", "action", "is_open"),
    [
        ({}, {}, "send", True),
        ({}, {"I1": 2}, "send", True),
        ({}, {"I1": 3}, "send", False),
        ({"disputed": True}, {}, "send", False),
        ({"emailed": False}, {}, "send", False),
        ({"days_past_due": 0}, {}, "send", False),
        ({"invoice_id": "I2"}, {}, "send", False),  # not open any more
        ({}, {}, "hold", False),
    ],
)
def test_no_customer_is_mailed_against_the_rules(
    changes: dict[str, Any], sent: dict[str, int], action: str, is_open: bool
) -> None:
    reminders = REMINDERS.frame([{"invoice_id": "I1", "action": action, "write_key": "k1"}])
    writes = plan(("send_reminder", {"Id": "I1"}))
    assert reminders_are_allowed(writes, INVOICES.frame([invoice(**changes)]), reminders, sent, RULES.aging).open is is_open


@pytest.mark.parametrize(
    ("operation", "number", "decisions", "is_open"),
    [
        ("send_reminder", 100, {}, True),
        ("send_reminder", 101, {}, False),
        ("send_reminder", 101, {"B-1": "approved"}, True),
        ("create_task", 201, {}, False),
        ("update_opportunity", 5000, {}, True),  # every age changes every day
        ("close_task", 5000, {}, True),
    ],
)
def test_mails_by_the_hundred_wait_for_a_person(operation: str, number: int, decisions: dict[str, str], is_open: bool) -> None:
    writes = plan(*[(operation, {"Id": "x"})] * number)
    assert within_blast_radius(writes, RULES.gates, decisions, "B-1").open is is_open
