"""Our ageing beside QuickBooks' own: every difference has a name, and a cent without one is said."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from qbsf_pipeline.quickbooks.reports import AgedCustomer, AgedReceivables
from qbsf_pipeline.receivables.tables import JOURNAL_LINES, PAYMENT_LINES
from qbsf_pipeline.reporting.tie_out import AR_TIE_OUT, PARTS, aged_parts, compare, journal_parts
from qbsf_pipeline.warehouse.tables import AMOUNT, RATE

DAY = date(2026, 3, 31)
NAMES = {"58": "Acme", "59": "O'Brien"}


def shown(*customers: tuple[str | None, str, str], total: str | None = None, **more: Any) -> AgedReceivables:
    found = tuple(AgedCustomer(customer_id, name, Decimal(amount)) for customer_id, name, amount in customers)
    whole = Decimal(total) if total else sum((each.amount for each in found), Decimal(0))
    return AgedReceivables(**{"report_date": DAY, "currency": "USD", "customers": found, "total": whole, "whole": True} | more)


def owed(*rows: tuple[str, str, str], foreign: int = 0, unrated: int = 0) -> pl.DataFrame:
    return pl.DataFrame([(*row[:2], Decimal(row[2]), foreign, unrated) for row in rows], schema=PARTS, orient="row")


PARTS_OF_ACME = (
    ("58", "invoices", "100.00"),
    ("58", "unapplied_payments", "-30.00"),
    ("58", "open_credits", "-5.00"),
    ("59", "journal_lines", "12.00"),
)


def test_payments_credits_and_journal_lines_explain_the_difference() -> None:
    found = compare(shown(("58", "Acme", "65.00"), ("59", "O'Brien", "12.00")), owed(*PARTS_OF_ACME), NAMES, "USD", DAY)
    assert found.agrees
    assert found.unexplained == 0
    assert found.finding == (
        "QuickBooks shows 77.00 USD open on 2026-03-31; ours is invoices 100.00, unapplied payments -30.00, open credits -5.00, "
        "journal lines 12.00. Nothing is unexplained."
    )
    row = AR_TIE_OUT.frame([found.row(datetime(2026, 3, 31, tzinfo=UTC))]).row(0, named=True)
    assert (row["quickbooks_total"], row["open_credits"], row["agrees"]) == (Decimal("77.00"), Decimal("-5.00"), True)


@pytest.mark.parametrize(
    ("report", "said"),
    [
        (shown(("58", "Acme", "65.01"), ("59", "O'Brien", "12.00")), ["0.01 USD is not explained", "Acme +0.01"]),
        # The totals agree, the customers do not.
        (shown(("58", "Acme", "64.00"), ("59", "O'Brien", "13.00")), ["Acme -1.00, O'Brien +1.00"]),
        (shown(("58", "Acme", "65.00"), ("60", "New", "12.00")), ["60 +12.00, O'Brien -12.00"]),
        (shown(("58", "Acme", "65.00")), ["-12.00 USD is not explained", "O'Brien -12.00"]),
        (shown(("58", "Acme", "77.00"), report_date=date(2026, 3, 30)), ["answered for 2026-03-30"]),
        (shown(("58", "Acme", "65.00"), ("59", "O'Brien", "12.00"), currency="EUR"), ["counts in EUR"]),
        (shown(("58", "Acme", "65.00"), total="77.00", whole=False), ["only the totals were compared"]),
        (shown(), ["-77.00 USD is not explained"]),
    ],
)
def test_what_has_no_name_is_said(report: AgedReceivables, said: list[str]) -> None:
    found = compare(report, owed(*PARTS_OF_ACME), NAMES, "USD", DAY)
    assert not found.agrees
    assert all(text in found.finding for text in said), found.finding


def test_customers_without_an_id_are_found_by_name() -> None:
    report = shown((None, "Acme", "65.00"), (None, "O'Brien", "12.00"), report_date=None, currency=None)
    assert compare(report, owed(*PARTS_OF_ACME), NAMES, "USD", DAY).agrees


@pytest.mark.parametrize(("amount", "agrees"), [("100.00", True), ("100.01", True), ("99.98", True), ("100.03", False)])
def test_a_foreign_document_may_differ_by_a_cent(amount: str, agrees: bool) -> None:
    parts = owed(("58", "invoices", "100.00"), foreign=2)
    assert compare(shown(("58", "Acme", amount)), parts, NAMES, "USD", DAY).agrees is agrees


def test_a_document_without_a_rate_is_said() -> None:
    parts = owed(("58", "invoices", "100.00"), foreign=2, unrated=2)
    assert "2 documents in other currencies" in compare(shown(("58", "Acme", "100.00")), parts, NAMES, "USD", DAY).finding


def test_nothing_owed_on_either_side_agrees() -> None:
    assert compare(shown(), owed(), {}, "USD", DAY).agrees


def test_what_ages_falls_into_its_part() -> None:
    schema = {"kind": pl.String, "customer_id": pl.String, "currency": pl.String, "home_currency": pl.String, "open_home": AMOUNT}
    rows = [
        ("invoice", "58", "USD", "USD", "100.00"),
        ("invoice", "58", "EUR", "USD", "11.00"),
        ("invoice", "58", "EUR", "USD", None),
        ("payment", "58", "USD", "USD", "-3.00"),
        ("deposit", "58", "USD", "USD", "-4.00"),
        ("credit_memo", "58", "USD", "USD", "-5.00"),
        ("journal_entry", "58", "USD", "USD", "-6.00"),
    ]
    values = [(*row[:4], Decimal(row[4]) if row[4] else None) for row in rows]
    parts = {
        row["part"]: (str(row["amount"]), row["foreign"], row["unrated"])
        for row in aged_parts(pl.DataFrame(values, schema=schema, orient="row")).to_dicts()
    }
    assert parts == {
        "invoices": ("111.00", 2, 1),
        "unapplied_payments": ("-7.00", 0, 0),
        "open_credits": ("-5.00", 0, 0),
    }


ENTRY = ("J1", date(2026, 3, 1), "USD", None, False)


@pytest.mark.parametrize(
    ("lines", "entry", "used", "expected"),
    [
        ([("Debit", "A/R", "58", "40.00")], ENTRY, [], {"58": "40.00"}),
        ([("Credit", "A/R", "58", "40.00")], ENTRY, [], {"58": "-40.00"}),
        # A write-off that was applied, whole and in part; a debit that was paid.
        ([("Credit", "A/R", "58", "40.00")], ENTRY, [("58", "40.00")], {}),
        ([("Credit", "A/R", "58", "40.00")], ENTRY, [("58", "15.00")], {"58": "-25.00"}),
        ([("Debit", "A/R", "58", "40.00")], ENTRY, [("58", "39.99")], {"58": "0.01"}),
        # The parent pays for its sub-customer.
        ([("Credit", "A/R", "58", "40.00")], ENTRY, [("59", "40.00")], {}),
        # From one customer to another: both sides of one entry.
        (
            [("Debit", "A/R", "58", "40.00"), ("Credit", "A/R", "59", "40.00")],
            ENTRY,
            [("59", "10.00")],
            {"58": "40.00", "59": "-30.00"},
        ),
        # Not receivable, no customer, later, deleted.
        ([("Debit", "Bank", "58", "40.00")], ENTRY, [], {}),
        ([("Debit", "A/R", None, "40.00")], ENTRY, [], {}),
        ([("Debit", "A/R", "58", "40.00")], ("J1", date(2026, 4, 1), "USD", None, False), [], {}),
        ([("Debit", "A/R", "58", "40.00")], ("J1", date(2026, 3, 1), "USD", None, True), [], {}),
        # Another currency.
        ([("Debit", "A/R", "58", "40.05")], ("J1", date(2026, 3, 1), "EUR", Decimal("1.1"), False), [], {"58": "44.06"}),
        ([("Debit", "A/R", "58", "40.05")], ("J1", date(2026, 3, 1), None, None, False), [], {"58": "40.05"}),
    ],
)
def test_a_journal_line_counts_less_what_was_used_of_it(
    lines: list[Any], entry: Any, used: list[Any], expected: dict[str, str]
) -> None:
    found = journal_parts(
        entries=pl.DataFrame(
            [entry],
            schema={"id": pl.String, "txn_date": pl.Date, "currency": pl.String, "exchange_rate": RATE, "is_deleted": pl.Boolean},
            orient="row",
        ),
        journal_lines=pl.DataFrame(
            [
                ("J1", number, posting, account, customer, Decimal(amount))
                for number, (posting, account, customer, amount) in enumerate(lines)
            ],
            schema=JOURNAL_LINES,
            orient="row",
        ),
        accounts=pl.DataFrame({"id": ["A/R", "Bank"], "account_type": ["Accounts Receivable", "Bank"]}),
        payments=pl.DataFrame(
            [(f"P{number}", customer, date(2026, 3, 2), False) for number, (customer, _) in enumerate(used)],
            schema={"id": pl.String, "customer_id": pl.String, "txn_date": pl.Date, "is_deleted": pl.Boolean},
            orient="row",
        ),
        payment_lines=pl.DataFrame(
            [("payment", f"P{number}", 1, "JournalEntry", "J1", Decimal(amount)) for number, (_, amount) in enumerate(used)],
            schema=PAYMENT_LINES,
            orient="row",
        ),
        home_currency="USD",
        as_of=DAY,
    )
    assert found.schema == PARTS
    assert {row["customer_id"]: str(row["amount"]) for row in found.to_dicts()} == expected
