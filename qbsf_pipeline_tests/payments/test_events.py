"""What owners are told of payments: each change once, with the document that made it, and nothing of what is long past."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from qbsf_pipeline.payments.plan import payment_events_of
from qbsf_pipeline_tests.invoices.records import record_id
from qbsf_pipeline_tests.payments.books import DEAL, STARTED, Books, row, rules


def started(**values: Any) -> tuple[Books, str]:
    """Books with one deal and its invoice 1101 over 1,000.00 USD, seen once."""
    books = Books(**values)
    invoice = books.invoice()
    assert books.once() == []
    return books, invoice


def paid(**values: Any) -> tuple[Books, str, str]:
    """The same, paid in full by payment CHK-102."""
    books, invoice = started(**values)
    payment = books.pay((invoice, "1000.00"))
    assert [event.kind for event in books.once()] == ["paid"]
    return books, invoice, payment


def test_a_deal_that_is_paid_is_told_once_with_the_payment():
    books, invoice = started()
    books.pay((invoice, "1000.00"))
    (event,) = books.once()
    assert (event.kind, event.opportunity_id) == ("paid", DEAL)
    assert event.payload == {
        "deal": "Deal 1",
        "account_name": "Acme & Søn",
        "owner_id": record_id("005"),
        "owner_name": "Sam Seller",
        "owner_email": "Sam@Ours.example",
        "owner_state": "active",
        "amount": Decimal("1000.00"),
        "balance": Decimal("0.00"),
        "currency": "USD",
        "invoice_id": invoice,
        "numbers": "1101",
        "happened_on": "2026-11-15",
        "status_before": "Sent",
        "status": "Paid",
        "reason": "Payment CHK-102 of 15 Nov 2026 gave invoice 1101 1,000.00 USD.",
    }
    assert [books.once() for _ in range(3)] == [[], [], []]


def test_an_event_has_the_same_key_until_it_is_recorded():
    books, invoice = started()
    books.pay((invoice, "1000.00"))
    keys = {row(books.plan().events)["event_key"] for _ in range(3)}
    books.edit(payment_status="Paid")
    keys.add(row(books.plan().events)["event_key"])
    assert len(keys) == 1


def test_the_same_happening_twice_is_two_events():
    books, invoice, payment = paid()
    for _ in range(3):
        books.sources[payment].applied = {}
        assert [event.kind for event in books.once()] == ["reopened"]
        books.sources[payment].applied = {invoice: Decimal("1000.00")}
        assert [event.kind for event in books.once()] == ["paid"]
    assert books.known[DEAL].times_paid == 4
    assert len(books.told) == 7


@pytest.mark.parametrize(
    ("happens", "kind", "status", "amount", "reason"),
    [
        (
            lambda books, invoice, payment: books.take_back(payment, "deleted"),
            "reopened",
            "Sent",
            "1000.00",
            "Payment CHK-102 of 1,000.00 USD was deleted on 03 Nov 2026.",
        ),
        (
            lambda books, invoice, payment: books.take_back(payment, "voided"),
            "reopened",
            "Sent",
            "1000.00",
            "Payment CHK-102 of 1,000.00 USD was voided on 03 Nov 2026.",
        ),
        (
            lambda books, invoice, payment: books.sources[payment].applied.update({invoice: Decimal("400.00")}),
            "reopened",
            "Partially Paid",
            "600.00",
            "Payment CHK-102 gives invoice 1101 400.00 USD, not 1,000.00 USD any more (changed on 02 Nov 2026).",
        ),
        (
            lambda books, invoice, payment: books.sources[payment].applied.clear(),
            "reopened",
            "Sent",
            "1000.00",
            "Payment CHK-102 of 1,000.00 USD is not applied to invoice 1101 any more (changed on 02 Nov 2026).",
        ),
        (
            lambda books, invoice, payment: books.sources.pop(payment),
            "reopened",
            "Sent",
            "1000.00",
            "Payment of 1,000.00 USD is no longer found in QuickBooks.",
        ),
        (
            lambda books, invoice, payment: setattr(books.invoices[invoice], "total", Decimal("1200.50")),
            "reopened",
            "Partially Paid",
            "200.50",
            "Invoice 1101 is over 1,200.50 USD now, not 1,000.00 USD any more (changed on 01 Nov 2026).",
        ),
        (
            lambda books, invoice, payment: books.invoice("500.00"),
            "reopened",
            "Sent",
            "500.00",
            "Invoice 1103 over 500.00 USD was added.",
        ),
        (
            lambda books, invoice, payment: books.drop(invoice, "voided"),
            "voided",
            "Voided",
            "1000.00",
            "Invoice 1101 over 1,000.00 USD was voided on 03 Nov 2026.",
        ),
        (
            lambda books, invoice, payment: books.drop(invoice, "deleted"),
            "deleted",
            "Deleted",
            "1000.00",
            "Invoice 1101 over 1,000.00 USD was deleted on 03 Nov 2026.",
        ),
        (
            lambda books, invoice, payment: (
                books.take_back(payment, "deleted"),
                books.pay((invoice, "1000.00"), document="credit_memo", number="CM-7"),
            ),
            "credited",
            "Credited",
            "1000.00",
            "Payment CHK-102 of 1,000.00 USD was deleted on 03 Nov 2026. "
            "Credit memo CM-7 of 15 Nov 2026 gave invoice 1101 1,000.00 USD.",
        ),
    ],
)
def test_a_reversal_is_told_with_what_was_taken_away_when_and_by_which_document(happens, kind, status, amount, reason):
    books, invoice, payment = paid()
    happens(books, invoice, payment)
    (event,) = books.once()
    told = event.payload
    assert (event.kind, told["status_before"], told["status"]) == (kind, "Paid", status)
    assert (told["amount"], told["reason"]) == (Decimal(amount), reason)
    assert books.shown()[0] == status
    assert books.once() == []


def test_a_payment_that_was_entered_anew_over_the_same_amount_is_no_event():
    books, invoice, payment = paid()
    books.take_back(payment, "deleted")
    books.pay((invoice, "1000.00"))
    assert books.once() == []
    assert books.known[DEAL].times_paid == 1


def test_a_bounced_part_payment_is_told():
    books, invoice = started()
    books.pay((invoice, "300.00"))
    bounced = books.pay((invoice, "200.00"))
    assert books.once() == []
    books.take_back(bounced, "voided")
    (event,) = books.once()
    assert (event.kind, event.payload["amount"], event.payload["balance"]) == (
        "payment_removed",
        Decimal("200.00"),
        Decimal("700.00"),
    )


@pytest.mark.parametrize("tell_partial", [True, False])
def test_part_payments_are_told_only_where_the_rules_say_so(tell_partial):
    books, invoice = started(rules=rules(tell_partial=tell_partial))
    books.pay((invoice, "250.00"))
    first = books.once()
    books.pay((invoice, "250.00"))
    second = books.once()
    amounts = [event.payload["amount"] for event in first + second]
    assert amounts == ([Decimal("250.00")] * 2 if tell_partial else [])
    assert books.shown()[:2] == ("Partially Paid", Decimal("500.00"))


def test_payments_that_move_between_invoices_of_one_deal_are_no_event():
    books = Books(rules=rules(tell_partial=True))
    first, second = books.invoice("1000.00"), books.invoice("1000.00")
    payment = books.pay((first, "400.00"))
    books.once()
    books.sources[payment].applied = {second: Decimal("400.00")}
    assert books.once() == []


def test_a_settlement_by_credit_is_not_called_paid():
    books, invoice = started()
    books.pay((invoice, "1000.00"), document="credit_memo", number=None)
    (event,) = books.once()
    assert (event.kind, event.payload["reason"]) == (
        "credited",
        "Credit memo of 15 Nov 2026 gave invoice 1101 1,000.00 USD.",
    )
    assert books.known[DEAL].times_paid == 0


def test_over_payment_is_paid_and_told_once():
    books, invoice, _ = paid()
    books.pay((invoice, "5.00"))
    assert books.once() == []
    assert books.shown()[0] == "Overpaid"


def test_a_long_list_of_changes_is_cut():
    books, invoice = started()
    for _ in range(20):
        books.pay((invoice, "50.00"))
    (event,) = books.once()
    assert event.payload["reason"].count("gave invoice") == 5
    assert event.payload["reason"].endswith("And 15 more such changes.")


# What is seen for the first time


def test_the_first_pass_of_all_tells_nothing():
    books = Books(watching_since=None)
    books.pay((books.invoice(), "1000.00"))
    assert books.once() == []
    books.watching_since = books.now
    assert books.once() == []
    assert books.shown()[0] == "Paid"


@pytest.mark.parametrize(
    ("source", "invoice", "told"),
    [
        ({}, {}, ["paid"]),
        ({"on": date(2026, 10, 20)}, {}, ["paid"]),
        ({"on": date(2026, 9, 30)}, {}, []),
        ({"created_at": STARTED - timedelta(seconds=1)}, {}, []),
        ({"created_at": STARTED - timedelta(days=5)}, {"created_at": STARTED + timedelta(hours=1)}, ["paid"]),
        ({"created_at": None, "on": date(2026, 11, 2)}, {}, ["paid"]),
        ({"created_at": None, "on": date(2026, 10, 31)}, {}, []),
        ({"document": "credit_memo", "created_at": None}, {}, ["credited"]),
    ],
)
def test_a_deal_first_seen_when_it_is_paid_is_told_only_where_that_was_entered_since(source, invoice, told):
    books = Books()
    books.pay((books.invoice(**invoice), "1000.00"), **source)
    assert [event.kind for event in books.once()] == told
    assert books.once() == []


def test_an_invoice_over_nothing_is_no_news():
    books = Books()
    books.invoice("0.00", created_at=STARTED + timedelta(hours=1))
    assert books.once() == []


def test_before_go_live_fields_are_written_and_nobody_is_told():
    books, invoice = started(go_live=date(2026, 12, 1))
    books.pay((invoice, "1000.00"))
    assert books.once() == []
    assert books.shown()[0] == "Paid"
    books.go_live = date(2026, 11, 1)
    assert books.once() == []


def test_a_memory_that_cannot_be_read_still_tells_the_change():
    books, invoice, payment = paid()
    for text in ("", "2|x", "0badc0de", "1|a~b|c"):
        books.known[DEAL] = type(books.known[DEAL])(DEAL, "Paid", Decimal(0), "USD", text, None, 1, STARTED)
        books.take_back(payment, "deleted")
        event = row(books.plan().events)
        assert (event["kind"], event["reason"]) == ("reopened", "It is Sent.")
        assert invoice


# Who is told


@pytest.mark.parametrize(
    ("user", "owner", "state", "email"),
    [
        ({}, record_id("005"), "active", "Sam@Ours.example"),
        ({"is_active": None}, record_id("005"), "active", "Sam@Ours.example"),
        ({"email": " "}, record_id("005"), "active", None),
        ({"is_active": False}, record_id("005"), "left", None),
        ({}, record_id("005", 9), "left", None),
        ({}, None, "none", None),
    ],
)
def test_an_owner_who_cannot_be_reached_has_no_address(user, owner, state, email):
    books, invoice = started()
    books.users[0] |= user
    books.edit(owner_id=owner)
    books.pay((invoice, "1000.00"))
    event = row(books.plan().events)
    assert (event["owner_state"], event["owner_email"]) == (state, email)


def test_the_state_takes_events_as_they_are():
    books, invoice = started()
    books.pay((invoice, "1000.00"))
    (event,) = payment_events_of(books.plan().events)
    assert set(event.payload).isdisjoint({"event_key", "kind", "opportunity_id"})
