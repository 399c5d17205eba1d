"""Deals that are billed period by period: what is paid while more is to be billed, and that billing it is no reversal."""

from __future__ import annotations

from qbsf_pipeline.payments.messages import payment_messages, payments_told
from qbsf_pipeline_tests.payments.books import DEAL, Books, rules


def told(books: Books) -> list[tuple[str, str]]:
    return [(event.kind, str(event.payload["reason"])) for event in books.once()]


def test_what_has_fallen_due_may_be_paid_while_the_deal_is_not():
    books = Books(rules=rules("Paid"), to_come={DEAL: 11})
    first = books.invoice("100.00")
    books.once()
    books.pay((first, "100.00"))
    (event,) = books.once()
    assert event.kind == "due_paid"
    assert event.payload["reason"].endswith("11 more periods are still to be billed.")
    assert books.shown()[0] == "Paid"
    assert books.deals[DEAL]["stage_name"] == "Closed Won"
    (message,) = payment_messages(payments_told([event], "i/{id}", "d/{id}"), {}, "", "#finance")
    assert "all that has fallen due is paid, 100.00 USD" in message.text
    assert "in full" not in message.text


def test_the_invoice_of_the_next_period_is_no_reversal_and_its_payment_is_told():
    books = Books(rules=rules("Paid"), to_come={DEAL: 2})
    books.pay((books.invoice("100.00"), "100.00"))
    books.once()
    second = books.invoice("100.00")
    books.to_come[DEAL] = 1
    assert told(books) == []
    assert books.shown()[0] == "Sent"
    books.pay((second, "100.00"))
    ((kind, reason),) = told(books)
    assert (kind, reason.endswith("1 more period is still to be billed.")) == ("due_paid", True)


def test_a_payment_that_is_taken_back_reopens_it_all_the_same():
    books = Books(to_come={DEAL: 5})
    payment = books.pay((books.invoice("100.00"), "100.00"))
    books.once()
    books.take_back(payment, "voided")
    books.invoice("100.00")
    ((kind, reason),) = told(books)
    assert kind == "reopened"
    assert "voided" in reason


def test_with_the_last_period_paid_the_deal_is_paid_in_full_and_moves_on():
    books = Books(rules=rules("Paid"), to_come={DEAL: 1})
    books.pay((books.invoice("100.00"), "100.00"))
    books.once()
    last = books.invoice("100.00")
    books.to_come[DEAL] = 0
    books.once()
    books.pay((last, "100.00"))
    ((kind, _),) = told(books)
    assert kind == "paid"
    assert books.deals[DEAL]["stage_name"] == "Paid"
    assert books.plan().writes.is_empty()
