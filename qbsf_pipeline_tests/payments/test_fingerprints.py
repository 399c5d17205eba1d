"""What is remembered of a deal can be read again, and changes exactly when its invoices or their payments do."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from qbsf_pipeline.payments.fingerprints import fingerprints, remembered
from qbsf_pipeline.receivables.tables import APPLICATIONS, INVOICES
from qbsf_pipeline_tests.payments.books import DEAL, Books


def fingerprint(books: Books) -> str:
    found = fingerprints(
        INVOICES.frame([books.invoice_row(one) for one in books.invoices]), APPLICATIONS.frame(books.application_rows())
    )
    return dict(found.iter_rows())[DEAL]


def test_what_is_written_is_read_again():
    books = Books()
    first, second = books.invoice("10.50"), books.invoice("7.00")
    payment = books.pay((first, "10.50"), (second, "1.25"), on=date(2026, 11, 3))
    memory = remembered(fingerprint(books))
    assert memory is not None
    assert memory.invoices == {first: ("Paid", Decimal("10.50")), second: ("Partially Paid", Decimal("7.00"))}
    assert memory.applied == {
        ("payment", payment, first): (Decimal("10.50"), date(2026, 11, 3)),
        ("payment", payment, second): (Decimal("1.25"), date(2026, 11, 3)),
    }
    assert memory.applied_to(frozenset({first, second})) == Decimal("11.75")


def test_it_changes_with_every_part_of_it():
    books = Books()
    invoice = books.invoice("10.00")
    payment = books.pay((invoice, "4.00"))
    seen = [fingerprint(books)]
    books.sources[payment].applied[invoice] = Decimal("4.01")
    seen.append(fingerprint(books))
    books.sources[payment].on = date(2026, 11, 16)
    seen.append(fingerprint(books))
    books.invoices[invoice].total = Decimal("10.01")
    seen.append(fingerprint(books))
    books.pay((invoice, "0.01"))
    seen.append(fingerprint(books))
    assert len(set(seen)) == len(seen)
    books.invoices[invoice].number = "another"
    assert fingerprint(books) == seen[-1]


@pytest.mark.parametrize(
    "text", ["", "1", "2||", "d41d8cd98f00b204", "1|a~b|", "1||payment~1~2~x~", "1||payment~1~2~3~2026-13-01"]
)
def test_a_text_of_another_kind_is_no_memory(text):
    assert remembered(text) is None


def test_an_empty_memory_is_one():
    memory = remembered("1||")
    assert memory is not None
    assert (memory.invoices, memory.applied) == ({}, {})
