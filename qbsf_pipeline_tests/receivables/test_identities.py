"""Differences between documents: none where the books are right, named to the cent where they are not."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from qbsf_pipeline.receivables.checks import (
    accounts_receivable_agree,
    invoices_are_explained,
    invoices_bill_one_deal,
    payments_are_explained,
)
from qbsf_pipeline.receivables.identities import (
    accounts_are_outdated,
    company_differences,
    invoice_differences,
    source_differences,
)
from qbsf_pipeline_tests.receivables.ledger import (
    ACCOUNTS,
    BAD_DEBTS,
    BANK,
    NOW,
    RECEIVABLE,
    credit_memo,
    inputs_of,
    invoice,
    invoice_row,
    journal_entry,
    owed,
    payment,
)


def accounts(balance: str, **more: Any) -> list[dict[str, Any]]:
    return [{**one, **({"CurrentBalance": Decimal(balance), **more} if one["Id"] == RECEIVABLE else {})} for one in ACCOUNTS]


def test_books_that_agree_have_no_differences() -> None:
    records = {
        "Invoice": [invoice(1, "100", "0"), invoice(2, "50", "20")],
        "Payment": [
            payment(11, "120", ("Invoice", "1", "100"), unapplied="20"),
            payment(12, "0", ("Invoice", "2", "30"), ("CreditMemo", "21", "30")),
        ],
        "CreditMemo": [credit_memo(21, "45", "15")],
        "JournalEntry": [journal_entry(31, ("Debit", RECEIVABLE, "7", "1"), ("Credit", BANK, "7", None))],
        "Account": accounts("-8"),
    }
    inputs = inputs_of(records)
    found = owed(inputs)
    assert invoice_differences(found.invoices, found.applications).is_empty()
    assert source_differences(inputs).is_empty()
    # 20 open, less 20 and 15 unapplied, and 7 that an entry added.
    assert company_differences(inputs).is_empty()
    assert found.invoices.get_column("explained").all()


def test_a_balance_that_payments_do_not_give_is_named_with_its_amounts() -> None:
    inputs = inputs_of({"Invoice": [invoice(1, "100", "59.99")], "Payment": [payment(11, "40", ("Invoice", "1", "40"))]})
    found = owed(inputs)
    assert invoice_row(found, "1")["explained"] is False
    assert invoice_row(found, "1")["open"] == Decimal(60)
    differences = invoice_differences(found.invoices, found.applications)
    assert differences.select("invoice_id", "total", "applied", "balance", "difference").rows() == [
        ("1", Decimal("100.00"), Decimal("40.00"), Decimal("59.99"), Decimal("0.01"))
    ]
    outcome = invoices_are_explained(differences, 1)
    assert not outcome.open
    assert "invoice 101: 100.00 less 40.00 applied, and QuickBooks says 59.99 USD" in outcome.text


@pytest.mark.parametrize(
    ("records", "wanted"),
    [
        # Something is applied to an invoice that is not there, or no more.
        ({"Payment": [payment(11, "5", ("Invoice", "9", "5"))]}, [("9", Decimal("-5.00"))]),
        (
            {"Invoice": [invoice(1, "5", "0", status="Deleted")], "Payment": [payment(11, "5", ("Invoice", "1", "5"))]},
            [("1", Decimal("-5.00"))],
        ),
        ({"Invoice": [invoice(1, "5", "5", status="Deleted")]}, []),
        ({"Invoice": [invoice(1, "0", "0", PrivateNote="Voided")]}, []),
        ({"Invoice": [{**invoice(1, "5"), "Balance": None}]}, [("1", Decimal("5.00"))]),
        ({"Invoice": [{**invoice(1, "0"), "Balance": None}]}, [("1", Decimal("0.00"))]),
    ],
)
def test_what_does_not_belong_together_is_a_difference(records: Any, wanted: list[tuple[str, Decimal]]) -> None:
    found = owed(inputs_of(records))
    assert invoice_differences(found.invoices, found.applications).select("invoice_id", "difference").rows() == wanted


@pytest.mark.parametrize(
    ("records", "wanted"),
    [
        ({"Payment": [payment(11, "100", ("Invoice", "1", "60"), unapplied="30")]}, [("payment", "11", Decimal("10.00"), ["1"])]),
        ({"Payment": [{**payment(11, "100"), "UnappliedAmt": None}]}, []),
        ({"Payment": [payment(11, "100", unapplied="0", status="Deleted")]}, []),
        ({"CreditMemo": [credit_memo(21, "30", "29")]}, [("credit_memo", "21", Decimal("1.00"), None)]),
        (
            {
                "CreditMemo": [credit_memo(21, "30", "0")],
                "Payment": [payment(11, "0", ("Invoice", "1", "20"), ("CreditMemo", "21", "20"))],
            },
            [("credit_memo", "21", Decimal("10.00"), ["1"])],
        ),
        # An expense paid out of a customer's credit: money given back.
        ({"Payment": [payment(11, "25", ("Invoice", "1", "5"), ("Expense", "77", "20"))]}, []),
    ],
)
def test_a_payment_or_memo_whose_lines_do_not_add_up_is_named_with_its_invoices(records: Any, wanted: Any) -> None:
    differences = source_differences(inputs_of(records))
    assert differences.select("kind", "source_id", "difference", "invoice_ids").rows() == wanted
    assert payments_are_explained(differences).open == (not wanted)


def test_the_company_is_compared_per_currency_and_never_adds_two_of_them() -> None:
    foreign = {"CurrencyRef": {"value": "EUR"}, "ExchangeRate": Decimal("1.1")}
    euro = {"Id": "85", "Name": "A/R - EUR", "AccountType": "Accounts Receivable", "CurrencyRef": {"value": "EUR"}}
    records = {"Invoice": [invoice(1, "100"), invoice(2, "50", **foreign)]}
    own = [*accounts("100"), {**euro, "CurrentBalance": Decimal(49)}]
    differences = company_differences(inputs_of({**records, "Account": own}))
    assert differences.rows() == [("EUR", Decimal("50.00"), Decimal("49.00"), Decimal("1.00"), True)]
    assert "50.00 EUR by the documents, 49.00 on the account" in accounts_receivable_agree(differences).text
    # One account for all: converted, and only about right.
    shared = company_differences(inputs_of({**records, "Account": accounts("155")}))
    assert shared.is_empty()
    differs = company_differences(inputs_of({**records, "Account": accounts("155.01")}))
    assert differs.get_column("exact").to_list() == [False]
    assert accounts_receivable_agree(differs).open


def test_a_write_off_that_was_applied_does_not_count_twice_on_accounts_receivable() -> None:
    entry = journal_entry(31, ("Debit", BAD_DEBTS, "40", None), ("Credit", RECEIVABLE, "40", "1"))
    records = {
        "Invoice": [invoice(1, "100", "60")],
        "Payment": [payment(11, "0", ("Invoice", "1", "40"), ("JournalEntry", "31", "40"))],
        "JournalEntry": [entry],
        "Account": accounts("60"),
    }
    assert company_differences(inputs_of(records)).is_empty()
    unused = {**records, "Invoice": [invoice(1, "100")], "Payment": []}
    assert company_differences(inputs_of(unused)).is_empty()


def test_a_payment_that_bounced_leaves_the_invoice_on_accounts_receivable_once() -> None:
    records = {
        "Invoice": [invoice(1, "100")],
        "Payment": [payment(11, "100", ("JournalEntry", "31", "100"))],
        "JournalEntry": [journal_entry(31, ("Debit", RECEIVABLE, "100", "1"), ("Credit", BANK, "100", None))],
        "Account": accounts("100"),
    }
    assert company_differences(inputs_of(records)).is_empty()


@pytest.mark.parametrize(
    ("read_whole", "documents", "outdated"),
    [(0, 0, False), (5, 0, False), (5, 6, True), (0, 1, True), (None, 0, False), (None, 1, True)],
)
def test_a_balance_that_was_read_before_the_documents_proves_nothing(
    read_whole: int | None, documents: int, outdated: bool
) -> None:
    inputs = inputs_of({"Invoice": [invoice(1, "100")], "Account": accounts("90")})
    later = inputs.invoice.with_columns(extracted_at=NOW + timedelta(minutes=documents))
    known_at = None if read_whole is None else NOW + timedelta(minutes=read_whole)
    found = accounts_are_outdated(replace(inputs, invoice=later), known_at)
    assert found is outdated
    outcome = accounts_receivable_agree(company_differences(inputs), outdated=found)
    assert outcome.open is outdated
    assert ("qbsf sync --full" in outcome.text) is outdated


def test_contested_invoices_are_told_with_their_deals() -> None:
    deals = [{"id": "006000000000001AAA", "invoice_id": "1"}, {"id": "006000000000002AAA", "invoice_id": "1"}]
    outcome = invoices_bill_one_deal(owed(inputs_of({"Invoice": [invoice(1, "5")]}, deals=deals)).contested)
    assert not outcome.open
    assert "invoice 101 by 006000000000001AAA, 006000000000002AAA" in outcome.text
    assert invoices_bill_one_deal(owed(inputs_of({})).contested).open
