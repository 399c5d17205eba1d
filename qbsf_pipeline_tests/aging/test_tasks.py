"""Tasks in Salesforce about invoices that are long past due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from qbsf_pipeline_tests.aging.receivables import (
    TODAY,
    Receivables,
    aging_rules,
    bodies,
    codes,
    days_from,
    deal,
    invoice,
    operations,
    user,
)
from qbsf_pipeline_tests.invoices.records import ORG, account, customer, record_id

RULES = aging_rules(task_from=60)
DEAL, DANA, SAM = record_id("006"), record_id("005"), record_id("005", 2)
NOTHING_OPEN = {"open": Decimal("0.00"), "status": "Paid"}
KNOWN = {"invoice_id": "301", "threshold": 60, "task_id": "00T1"}


def test_a_task_says_what_is_open_since_when_and_where() -> None:
    plan = Receivables([invoice(late=65)]).plan(RULES)
    assert bodies(plan, "create_task") == [
        {
            "Subject": "Invoice 1001 is 60 days past due: Acme 1 Inc.",
            "ActivityDate": "2026-11-20",
            "WhatId": DEAL,
            "OwnerId": DANA,
            "Description": (
                "Open: 100.00 USD\nDue: 16 Sep 2026\nInvoice: https://qbo.test/app/invoice?txnId=301\n"
                "Customer: Acme 1, Inc\nContact: Ann Lee, ap@acme1.example"
            ),
        }
    ]
    (row,) = plan.tasks.to_dicts()
    assert (row["action"], row["threshold"], row["write_key"]) == ("create", 60, f"create_task:{ORG}:301:60")
    write = plan.writes.filter(pl.col("operation") == "create_task").to_dicts()[0]
    assert (write["target_object"], write["account_id"], write["opportunity_id"]) == ("Task", record_id("001"), DEAL)


def test_there_are_no_tasks_unless_the_rules_say_so() -> None:
    assert Receivables([invoice(late=500)]).plan().tasks.is_empty()


@pytest.mark.parametrize(
    ("task_from", "late", "thresholds"),
    [
        (60, 59, []),
        (60, 60, [60]),
        (60, 89, [60]),
        (60, 95, [90]),
        (45, 50, [45]),
        (45, 61, [60]),
        (120, 100, []),
        (120, 130, [120]),
    ],
)
def test_tasks_begin_at_the_severity_of_the_rules_the_highest_only(task_from: int, late: int, thresholds: list[int]) -> None:
    plan = Receivables([invoice(late=late)]).plan(aging_rules(task_from=task_from))
    assert plan.tasks.get_column("threshold").to_list() == thresholds


def test_a_task_is_created_once_for_an_invoice_and_threshold_and_closed_with_the_invoice() -> None:
    world = Receivables([invoice(late=55)])
    seen: list[list[str]] = []
    for day in days_from(TODAY, [5, 0, 3, 30, 1]):
        plan = world.plan(RULES, day)
        seen.append([one for one in operations(plan) if "task" in one])
        world.carry_out(plan, day)
    assert seen == [[], ["create_task"], [], [], ["create_task"], []]
    world.invoices = [invoice(late=55, **NOTHING_OPEN)]
    plan = world.plan(RULES, TODAY + timedelta(days=50))
    assert [body["Status"] for body in bodies(plan, "close_task")] == ["Completed", "Completed"]
    assert plan.tasks.get_column("why").to_list()[0] == "Invoice 1001 is Paid: nothing of it is open any more."
    world.carry_out(plan)
    assert world.plan(RULES).writes.is_empty()


@pytest.mark.parametrize(
    ("tasks", "ledger"),
    [([KNOWN], []), ([], [{"key": f"create_task:{ORG}:301:60", "status": "done", "result_id": "00T1"}])],
)
def test_a_task_is_known_from_the_state_and_from_the_ledger(tasks: list[dict[str, Any]], ledger: list[dict[str, Any]]) -> None:
    assert "create_task" not in operations(Receivables([invoice(late=65)], tasks=tasks, ledger=ledger).plan(RULES))
    paid = Receivables([invoice(late=65, **NOTHING_OPEN)], tasks=tasks, ledger=ledger)
    assert bodies(paid.plan(RULES), "close_task") == [{"Id": "00T1", "Status": "Completed"}]


@pytest.mark.parametrize("rules", [RULES, aging_rules()])
@pytest.mark.parametrize("status", ["Paid", "Overpaid", "Credited", "Voided", "Deleted"])
def test_a_task_is_closed_however_the_invoice_was_settled_also_when_tasks_are_no_longer_wanted(status: str, rules: Any) -> None:
    world = Receivables([invoice(open=Decimal("0.00"), status=status)], tasks=[KNOWN])
    assert "close_task" in operations(world.plan(rules))


def test_a_task_of_an_open_or_unknown_invoice_stays_and_a_closed_one_is_not_closed_again() -> None:
    closed = {**KNOWN, "closed_at": datetime(2026, 11, 1, tzinfo=UTC)}
    for world in (
        Receivables([invoice(late=65)], tasks=[KNOWN]),
        Receivables([], tasks=[KNOWN]),
        Receivables([invoice(**NOTHING_OPEN)], tasks=[closed]),
    ):
        assert world.plan(RULES).tasks.is_empty()


def test_an_invoice_that_is_reopened_gets_a_task_again_only_past_the_next_threshold() -> None:
    closed = {**KNOWN, "closed_at": datetime(2026, 11, 1, tzinfo=UTC)}
    assert Receivables([invoice(late=70)], tasks=[closed]).plan(RULES).tasks.is_empty()
    assert Receivables([invoice(late=90)], tasks=[closed]).plan(RULES).tasks.get_column("threshold").to_list() == [90]


@pytest.mark.parametrize(
    ("accounts", "users", "fallback", "owner"),
    [
        ([account(owner_id=DANA)], [user()], "", DANA),
        ([account(owner_id=DANA)], [user(is_active=False), user(2)], "USER2@house.example ", SAM),
        ([account(owner_id=None)], [user(2)], "user2@house.example", SAM),
        ([], [user(2)], "user2@house.example", SAM),
        ([account(owner_id=DANA)], [user(is_active=False), user(2)], "", None),
        ([account(owner_id=DANA)], [user(is_active=False), user(2, is_active=False)], "user2@house.example", None),
    ],
)
def test_a_task_goes_to_the_accounts_owner_else_to_whom_the_rules_name(
    accounts: list[dict[str, Any]], users: list[dict[str, Any]], fallback: str, owner: str | None
) -> None:
    world = Receivables([invoice(late=65)], accounts=accounts, users=users)
    plan = world.plan(aging_rules(task_from=60, fallback_owner_email=fallback))
    assert [body["OwnerId"] for body in bodies(plan, "create_task")] == ([owner] if owner else [])
    assert codes(plan) == ([] if owner else ["nobody_for_task"])


def test_the_task_is_the_same_write_on_the_next_day() -> None:
    world = Receivables([invoice(late=65)])
    today, tomorrow = (
        world.plan(RULES, day).writes.filter(pl.col("operation") == "create_task") for day in days_from(TODAY, [1])
    )
    for column in ("key", "plan_id", "decided_from", "label"):
        assert today.get_column(column).to_list() == tomorrow.get_column(column).to_list()
    subjects = {
        body["Subject"]
        for plan in (world.plan(RULES), world.plan(RULES, TODAY + timedelta(days=1)))
        for body in bodies(plan, "create_task")
    }
    assert len(subjects) == 1


def test_long_names_fit_into_salesforces_fields() -> None:
    name = "Ünïcode & Söhne: " + "x" * 40_000
    world = Receivables(
        [invoice(late=65, doc_number="N" * 300)],
        deals=[deal(name=name)],
        accounts=[account(owner_id=DANA, name=name + "\nnext")],
        customers=[customer(display_name=name)],
    )
    (body,) = bodies(world.plan(RULES), "create_task")
    assert len(body["Subject"]) <= 255
    assert "\n" not in body["Subject"]
    assert len(body["Description"]) <= 32_000
