"""Which invoices are mailed to the customer once more, and which are held, and why."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qbsf_pipeline_tests.aging.receivables import (
    TODAY,
    Receivables,
    aging_rules,
    bodies,
    days_from,
    invoice,
    operations,
)
from qbsf_pipeline_tests.invoices.records import REALM

RULES = aging_rules(reminders_after=(7, 21, 35))


def at(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 18, tzinfo=UTC)


def reminded(*days_ago: int) -> list[dict[str, Any]]:
    """Reminders of invoice 1, as the state remembers them."""
    return [
        {"invoice_id": "301", "number": number, "sent_at": at(TODAY - timedelta(days=days))}
        for number, days in enumerate(days_ago, start=1)
    ]


def outcome(world: Receivables, rules: Any = RULES) -> list[tuple[str, int]]:
    """Action and number of each reminder that is due."""
    return world.plan(rules).reminders.select("action", "number").rows()


def test_a_reminder_is_a_mail_of_the_invoice_to_its_own_address() -> None:
    plan = Receivables([invoice(late=8)]).plan(RULES)
    assert bodies(plan, "send_reminder") == [{"Id": "301", "BillEmail": {"Address": "ap@acme1.example"}}]
    write = plan.writes.filter(pl.col("operation") == "send_reminder").to_dicts()[0]
    assert write["key"] == f"send_reminder:{REALM}:301:1"
    assert write["reason"] == "Invoice 1001 is 8 days past due: reminder 1 of at most 3, to ap@acme1.example."
    assert write["amount"] is None


def test_nobody_is_reminded_unless_the_rules_say_so() -> None:
    plan = Receivables([invoice(late=500)]).plan()
    assert plan.reminders.is_empty()
    assert operations(plan) == ["update_opportunity"]


@pytest.mark.parametrize(
    ("late", "sent", "expected"),
    [
        (6, (), []),
        (7, (), [("send", 1)]),
        (400, (), [("send", 1)]),
        (20, (13,), []),
        (21, (14,), [("send", 2)]),
        (30, (9,), []),
        (36, (29, 15), [("send", 3)]),
        (90, (83, 69, 55), []),
    ],
)
def test_one_reminder_answers_every_day_of_the_rules_that_was_reached_before_it(
    late: int, sent: tuple[int, ...], expected: list[tuple[str, int]]
) -> None:
    assert outcome(Receivables([invoice(late=late)], reminders=reminded(*sent))) == expected


@pytest.mark.parametrize(
    ("world", "why"),
    [
        (Receivables([invoice(disputed=True)]), "The customer disputes the invoice."),
        (
            Receivables([invoice(explained=False, balance=Decimal("99.00"))]),
            "What is open by its payments and credits is not what QuickBooks says is open.",
        ),
        (
            Receivables([invoice(balance=Decimal("0.00"))]),
            "What is open by its payments and credits is not what QuickBooks says is open.",
        ),
        (Receivables(mail=[]), "The invoice has no e-mail address."),
        (Receivables(mail=[{"invoice_id": "301", "email": "  "}]), "The invoice has no e-mail address."),
        (Receivables([invoice(emailed=False)]), "QuickBooks never mailed the invoice, so there is nothing to remind of."),
        (
            Receivables(unapplied=[{"customer_id": "101", "txn_date": TODAY, "amount": Decimal("100.00"), "currency": "USD"}]),
            "The customer has payments or credits that are not applied yet and cover it.",
        ),
        (
            Receivables(mail=[{"invoice_id": "301", "email": "a@b.example", "delivered_at": at(TODAY - timedelta(days=6))}]),
            "It was mailed on 14 Nov 2026; 7 days lie between mails.",
        ),
        (Receivables(reminders=reminded(40, 30, 20)), "3 reminders went out, and the rules allow 3."),
    ],
)
def test_what_must_not_be_pressed_for_is_held_and_says_why(world: Receivables, why: str) -> None:
    plan = world.plan(RULES)
    assert plan.reminders.select("action", "why", "write_key").rows() == [("hold", why, None)]
    assert "send_reminder" not in operations(plan)


@pytest.mark.parametrize(
    "unapplied",
    [
        {"amount": Decimal("99.99"), "currency": "USD", "customer_id": "101"},
        {"amount": Decimal("100.00"), "currency": "EUR", "customer_id": "101"},
        {"amount": Decimal("100.00"), "currency": "USD", "customer_id": "102"},
    ],
)
def test_money_that_does_not_cover_the_invoice_holds_nothing(unapplied: dict[str, Any]) -> None:
    assert outcome(Receivables(unapplied=[{"txn_date": TODAY, **unapplied}])) == [("send", 1)]


@pytest.mark.parametrize("status", ["Paid", "Overpaid", "Credited", "Voided", "Deleted"])
def test_nobody_is_reminded_of_what_is_settled(status: str) -> None:
    assert Receivables([invoice(open=Decimal("0.00"), status=status)]).plan(RULES).reminders.is_empty()


def test_the_days_between_mails_are_the_companys() -> None:
    # In Denver it is still the day before.
    sent = datetime(2026, 11, 14, 5, 0, tzinfo=UTC)
    world = Receivables([invoice(late=21)], reminders=[{"invoice_id": "301", "number": 1, "sent_at": sent}])
    assert outcome(world) == [("send", 2)]


def test_a_reminder_that_only_the_ledger_knows_counts_too() -> None:
    done = {"key": f"send_reminder:{REALM}:301:1", "status": "done", "done_at": at(TODAY - timedelta(days=2))}
    world = Receivables([invoice(late=21)], ledger=[done])
    assert outcome(world) == [("hold", 2)]
    assert outcome(Receivables([invoice(late=21)], ledger=[done], reminders=reminded(2))) == [("hold", 2)]


@pytest.mark.parametrize("status", ["planned", "sending", "failed", "dead"])
def test_a_reminder_that_did_not_go_out_keeps_its_number(status: str) -> None:
    world = Receivables(ledger=[{"key": f"send_reminder:{REALM}:301:1", "status": status}])
    assert outcome(world) == [("send", 1)]


@given(
    late=st.integers(-20, 60),
    gaps=st.lists(st.integers(0, 20), min_size=1, max_size=8),
    after=st.lists(st.integers(1, 90), min_size=1, max_size=4, unique=True).map(sorted).map(tuple),
    limit=st.integers(0, 4),
    pause=st.integers(1, 20),
)
@settings(max_examples=12)
def test_however_often_the_pass_runs_limit_and_pause_hold(
    late: int, gaps: list[int], after: tuple[int, ...], limit: int, pause: int
) -> None:
    rules = aging_rules(reminders_after=after, reminder_limit=limit, reminder_pause_days=pause)
    world = Receivables([invoice(late=late)])
    sent: list[date] = []
    for day in days_from(TODAY, gaps):
        plan = world.plan(rules, day)
        sent += [day] * operations(plan).count("send_reminder")
        world.carry_out(plan, day)
    assert len(sent) <= min(limit, len(after))
    assert all((later - earlier).days >= pause for earlier, later in pairwise(sent))
    assert all((day - TODAY).days + late >= after[0] for day in sent)
