"""Ageing, payments and collections as analysts see them: to the cent, on the days on which something changes."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.reporting.day import bucket_rows
from qbsf_pipeline_tests.reporting.receivables import ANA, BEN, Ledger, day, one


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


def figures(row: dict[str, Any], *names: str) -> list[str]:
    return [str(row[name]) for name in names]


# Ageing


@pytest.mark.parametrize(
    ("as_of", "days", "bucket"),
    [
        ("2026-01-14", 0, "Current"),
        ("2026-01-15", 0, "Current"),
        ("2026-01-16", 1, "1-30"),
        ("2026-02-14", 30, "1-30"),
        ("2026-02-15", 31, "31-60"),
        ("2026-03-16", 60, "31-60"),
        ("2026-03-17", 61, "61-90"),
        ("2026-04-15", 90, "61-90"),
        ("2026-04-16", 91, "90+"),
        ("2036-04-16", 3744, "90+"),
    ],
)
def test_an_invoice_ages_from_the_day_after_its_due_date(ledger: Ledger, as_of: str, days: int, bucket: str) -> None:
    ledger.invoice("1", "100.10", "2026-01-01", "2026-01-15", owner=ANA)
    row = one(ledger.report("ar_aging", as_of))
    assert (row["days_past_due"], row["bucket"], row["open"]) == (days, bucket, Decimal("100.10"))
    assert (row["deal"], row["owner"], row["number"]) == ("Deal 1", "Ana", "INV-1")
    assert row["days_since_dated"] == (day(as_of) - day("2026-01-01")).days


def test_the_buckets_are_those_of_the_rules(ledger: Ledger) -> None:
    assert bucket_rows([15, 45]).rows() == [("Current", 0, 0, 0), ("1-15", 1, 1, 15), ("16-45", 2, 16, 45), ("45+", 3, 46, None)]
    ledger.invoice("1", "1.00", "2026-01-01")
    assert one(ledger.report("ar_aging", "2026-02-15", (15, 45)))["bucket"] == "16-45"
    assert one(ledger.report("ar_aging", "2026-02-16", (15, 45)))["bucket"] == "45+"


def test_only_what_is_dated_up_to_today_counts(ledger: Ledger) -> None:
    ledger.invoice("1", "100.00", "2026-01-01", "2026-01-31")
    ledger.invoice("2", "50.00", "2026-02-10", "2026-03-10")
    ledger.apply("1", "30.00", "2026-01-20", source_id="P1")
    ledger.apply("1", "70.00", "2026-02-05", source_id="P2")
    ledger.apply("2", "20.00", "2026-01-20", source_id="P1")
    ledger.put(quickbooks.PAYMENT, *(payment(number, on) for number, on in (("P1", "2026-01-20"), ("P2", "2026-02-05"))))
    seen = {
        as_of: {(row["kind"], row["document_id"]): str(row["open"]) for row in ledger.report("ar_aging", as_of)}
        for as_of in ("2025-12-31", "2026-01-19", "2026-01-20", "2026-02-04", "2026-02-05", "2026-02-09", "2026-02-10")
    }
    assert seen == {
        "2025-12-31": {},
        "2026-01-19": {("invoice", "1"): "100.00"},
        # 20.00 of the payment is for an invoice that does not exist yet.
        "2026-01-20": {("invoice", "1"): "70.00", ("payment", "P1"): "-20.00"},
        "2026-02-04": {("invoice", "1"): "70.00", ("payment", "P1"): "-20.00"},
        "2026-02-05": {("payment", "P1"): "-20.00"},
        "2026-02-09": {("payment", "P1"): "-20.00"},
        "2026-02-10": {("invoice", "2"): "30.00"},
    }


def payment(payment_id: str, on: str, **more: Any) -> dict[str, Any]:
    return {"id": payment_id, "customer_id": "58", "txn_date": day(on), "is_deleted": False} | more


def test_what_is_not_applied_is_below_zero_and_ages_from_its_own_date(ledger: Ledger) -> None:
    ledger.credit("payment", "P1", "12.34", "2026-01-01")
    ledger.credit("credit_memo", "C1", "5.00", "2026-03-01")
    ledger.credit("journal_entry", "J1", "7.00", "2026-03-02", customer="59")
    ledger.credit("payment", "P2", "99.00", "2026-04-01")
    ledger.put(quickbooks.CUSTOMER, {"id": "58", "display_name": "O'Brien: Söhne 株式会社"})
    ledger.put(quickbooks.PAYMENT, payment("P1", "2026-01-01", reference="CHQ 1"))
    rows = ledger.report("ar_aging", "2026-03-31")
    assert {(row["kind"], str(row["open"]), row["days_past_due"], row["bucket"]) for row in rows} == {
        ("payment", "-12.34", 89, "61-90"),
        ("credit_memo", "-5.00", 30, "1-30"),
        ("journal_entry", "-7.00", 29, "1-30"),
    }
    assert one(rows, kind="payment")["number"] == "CHQ 1"
    assert one(rows, kind="payment")["customer"] == "O'Brien: Söhne 株式会社"
    assert one(rows, kind="journal_entry")["customer_id"] == "59"


@pytest.mark.parametrize("status", ["Paid", "Voided", "Deleted", "Credited"])
def test_an_invoice_with_nothing_open_is_not_there(ledger: Ledger, status: str) -> None:
    ledger.invoice("1", "0.00", "2026-01-01", status=status)
    ledger.invoice("2", "40.00", "2026-01-01", status=status, open=Decimal("0.00"))
    assert ledger.report("ar_aging", "2026-03-31") == []


def test_currencies_are_never_added_but_at_each_documents_own_rate(ledger: Ledger) -> None:
    ledger.invoice("1", "100.00", "2026-01-01", "2026-01-31")
    ledger.invoice("2", "1234567.89", "2026-01-01", "2026-01-31", currency="EUR", exchange_rate=Decimal("1.1234567"))
    ledger.credit("credit_memo", "C1", "10.05", "2026-01-05", currency="EUR")
    ledger.put(quickbooks.CREDIT_MEMO, {"id": "C1", "txn_date": day("2026-01-05"), "record": '{"ExchangeRate": 1.1}'})
    rows = {row["currency"]: row for row in ledger.report("ar_aging_by_customer", "2026-02-01")}
    names = ("days_1_to_30", "invoiced_open", "credits", "total", "total_home", "home_currency")
    assert figures(rows["USD"], *names) == ["100.00", "100.00", "0.00", "100.00", "100.00", "USD"]
    assert figures(rows["EUR"], *names) == ["1234567.89", "1234567.89", "-10.05", "1234557.84", "1386972.51", "USD"]


def test_a_foreign_document_without_a_rate_makes_no_sum_in_the_companys_currency(ledger: Ledger) -> None:
    ledger.invoice("1", "100.00", "2026-01-01", currency="EUR")
    ledger.invoice("2", "100.00", "2026-01-01", currency="EUR", exchange_rate=Decimal("1.1"))
    row = one(ledger.report("ar_aging_by_customer", "2026-02-01"))
    assert (str(row["total"]), row["total_home"]) == ("200.00", None)


def test_a_customers_ranges_add_up_to_what_it_owes(ledger: Ledger) -> None:
    due_dates = ["2026-04-30", "2026-03-31", "2026-03-30", "2026-03-01", "2026-02-28", "2026-01-30", "2026-01-29"]
    amounts = ["1.01", "2.02", "4.04", "8.08", "16.16", "32.32", "64.64", "128.28", "256.56"]
    for number, (amount, due) in enumerate(zip(amounts, [*due_dates, "2025-12-31", "2025-12-30"], strict=True)):
        ledger.invoice(str(number), amount, "2025-12-01", due, disputed=amount == "4.04")
    ledger.credit("payment", "P1", "100.00", "2026-01-01")
    row = one(ledger.report("ar_aging_by_customer", "2026-03-31"))
    ranges = figures(row, "not_due", "days_1_to_30", "days_31_to_60", "days_61_to_90", "days_over_90")
    assert ranges == ["3.03", "12.12", "48.48", "192.92", "256.56"]
    assert figures(row, "invoices", "invoiced_open", "past_due", "credits", "total", "disputed") == [
        *("9", "513.11", "510.08", "-100.00", "413.11", "4.04"),
    ]
    assert row["oldest_due_on"] == day("2025-12-30")


@settings(max_examples=15, phases=[Phase.explicit, Phase.generate])
@given(
    st.lists(
        st.tuples(
            st.decimals("0.01", "99999.99", places=2),
            st.integers(-40, 200),
            st.integers(0, 60),
            st.integers(0, 100),
            st.integers(-60, 200),
            st.sampled_from(["USD", "EUR"]),
        ),
        max_size=8,
    ),
    st.integers(-60, 250),
)
def test_the_ageing_of_any_day_is_what_was_invoiced_less_what_was_received(
    rows: list[tuple[Decimal, int, int, int, int, str]], offset: int
) -> None:
    start = day("2026-01-01")
    books = Ledger()
    as_of = start + timedelta(days=offset)
    expected: dict[str, Decimal] = {}
    for number, (total, dated, terms, share, paid, currency) in enumerate(rows):
        on = start + timedelta(days=dated)
        due = on + timedelta(days=terms)
        books.invoice(str(number), str(total), on.isoformat(), due.isoformat(), currency=currency, exchange_rate=Decimal(1))
        amount = (total * share / 100).quantize(Decimal("0.01"))
        paid_on = start + timedelta(days=paid)
        if amount:
            books.apply(str(number), str(amount), paid_on.isoformat())
        owed = (total if on <= as_of else 0) - (amount if paid_on <= as_of else 0)
        expected[currency] = expected.get(currency, Decimal(0)) + owed
    found: dict[str, Decimal] = {}
    for row in books.report("ar_aging", as_of.isoformat()):
        found[row["currency"]] = found.get(row["currency"], Decimal(0)) + row["open"]
    assert {key: amount for key, amount in found.items() if amount} == {key: value for key, value in expected.items() if value}


# Payments


def test_a_payment_over_two_invoices_is_two_rows_each_with_its_days(ledger: Ledger) -> None:
    ledger.invoice("1", "100.00", "2026-01-01", "2026-01-31", owner=BEN)
    ledger.invoice("2", "50.00", "2026-02-20", "2026-03-20")
    ledger.apply("1", "100.00", "2026-02-03", source_id="P1", method="Check", reference="N° 7", through_id="P1")
    ledger.apply("2", "25.00", "2026-02-03", source_id="P1", method="Check", reference="N° 7", through_id="P1")
    ledger.apply("2", "5.00", "2026-03-21", "credit_memo", source_id="C1", through_id="P2")
    ledger.apply("2", "20.00", "2026-03-22", "journal_entry", source_id="J1", effect="written_off")
    rows = ledger.report("payments", "2026-03-31")
    first, second = one(rows, invoice_id="1"), one(rows, invoice_id="2", kind="payment")
    assert (first["payment_id"], first["days_from_invoice"], first["days_from_due"]) == ("P1", 33, 3)
    assert (first["method"], first["reference"], first["owner"], first["deal"]) == ("Check", "N° 7", "Ben", "Deal 1")
    # Paid before there was an invoice.
    assert (second["paid_on"], second["applied_on"]) == (day("2026-02-03"), day("2026-02-20"))
    assert (second["days_from_invoice"], second["days_from_due"]) == (0, -28)
    assert one(rows, kind="credit_memo")["payment_id"] == "P2"
    assert one(rows, kind="journal_entry")["effect"] == "written_off"
    assert sum(row["amount"] for row in rows) == Decimal("150.00")


# Collections


def three_months(ledger: Ledger) -> None:
    """January 300.00 and 100.00 of Ben, February 600.00, March 900.00, of which 1,000.00 was paid and 50.00 credited."""
    ledger.invoice("1", "300.00", "2026-01-10", "2026-02-09", owner=ANA)
    ledger.invoice("2", "600.00", "2026-02-10", "2026-03-12", owner=ANA)
    ledger.invoice("3", "900.00", "2026-03-10", "2026-04-09", owner=ANA)
    ledger.invoice("4", "100.00", "2026-01-20", "2026-01-31", owner=BEN)
    ledger.apply("1", "300.00", "2026-02-19")
    ledger.apply("2", "550.00", "2026-03-07")
    ledger.apply("2", "50.00", "2026-03-15", "credit_memo")
    ledger.apply("4", "100.00", "2026-01-26")
    ledger.apply("3", "100.00", "2026-03-30", "credit_memo", effect="written_off")


MONTHLY = ("ar_begin", "invoiced", "credited", "written_off", "collected", "ar_end", "ar_not_past_due", "sales")


def test_a_month_runs_from_its_first_to_its_last_balance(ledger: Ledger) -> None:
    three_months(ledger)
    rows = ledger.report("collections", "2026-03-31")
    mine = {(row["month"].month, row["owner"]): figures(row, *MONTHLY) for row in rows}
    assert mine == {
        (1, None): ["0.00", "400.00", "0.00", "0.00", "100.00", "300.00", "300.00", "400.00"],
        (2, None): ["300.00", "600.00", "0.00", "0.00", "300.00", "600.00", "600.00", "600.00"],
        (3, None): ["600.00", "900.00", "50.00", "100.00", "550.00", "800.00", "800.00", "850.00"],
        (1, "Ana"): ["0.00", "300.00", "0.00", "0.00", "0.00", "300.00", "300.00", "300.00"],
        (2, "Ana"): ["300.00", "600.00", "0.00", "0.00", "300.00", "600.00", "600.00", "600.00"],
        (3, "Ana"): ["600.00", "900.00", "50.00", "100.00", "550.00", "800.00", "800.00", "850.00"],
        (1, "Ben"): ["0.00", "100.00", "0.00", "0.00", "100.00", "0.00", "0.00", "100.00"],
        (2, "Ben"): ["0.00", "0.00", "0.00", "0.00", "0.00", "0.00", "0.00", "0.00"],
        (3, "Ben"): ["0.00", "0.00", "0.00", "0.00", "0.00", "0.00", "0.00", "0.00"],
    }
    assert {row["scope"] for row in rows if row["owner"]} == {"owner"}
    assert all(row["complete"] for row in rows)


def test_days_sales_outstanding_simple_and_counted_back(ledger: Ledger) -> None:
    three_months(ledger)
    march = one(ledger.report("collections", "2026-03-31"), month=day("2026-03-01"), scope="all")
    # 800 / (400 + 600 + 850) x 90 days; 800 is less than March's 850: 800 / 850 x 31.
    assert figures(march, "dso_simple", "dso_countback", "dso_best_possible", "days_delinquent") == [
        "38.9",
        "29.2",
        "38.9",
        "0.0",
    ]
    # (600 + 850 - 800) / (600 + 850 - 800): everything that was due came in.
    assert str(march["cei_percent"]) == "100.0"
    # 550 paid 25 days after the invoice and 5 days before it was due.
    assert figures(march, "avg_days_to_pay", "avg_days_late") == ["25.0", "-5.0"]


def test_what_is_past_due_lowers_the_effectiveness_and_shows_as_days(ledger: Ledger) -> None:
    ledger.invoice("1", "200.00", "2026-01-10", "2026-01-20")
    ledger.invoice("2", "100.00", "2026-02-10", "2026-02-28")
    rows = ledger.report("collections", "2026-02-28")
    february = one(rows, month=day("2026-02-01"), scope="all")
    # Due on the last day is not past due yet.
    assert figures(february, "ar_end", "ar_not_past_due") == ["300.00", "100.00"]
    # 300 / 300 x 59 days; back: all of February (28), then 200 / 200 x 31.
    assert figures(february, "dso_simple", "dso_countback", "dso_best_possible", "days_delinquent") == [
        *("59.0", "59.0", "19.7", "39.3"),
    ]
    # (200 + 100 - 300) / (200 + 100 - 100)
    assert str(february["cei_percent"]) == "0.0"
    tomorrow = one(ledger.report("collections", "2026-03-01"), month=day("2026-03-01"), scope="all")
    assert figures(tomorrow, "ar_end", "ar_not_past_due") == ["300.00", "0.00"]
    assert not tomorrow["complete"]
    assert tomorrow["month_end"] == day("2026-03-01")
    # A month without sales is counted whole: 1 + 28 + 31.
    assert str(tomorrow["dso_countback"]) == "60.0"


def test_counting_back_takes_part_of_the_month_in_which_the_rest_was_sold(ledger: Ledger) -> None:
    for month, amount in ((1, "310.00"), (2, "280.00"), (3, "620.00")):
        ledger.invoice(str(month), amount, f"2026-0{month}-01", "2026-12-31")
    ledger.apply("1", "200.00", "2026-03-31")
    march = one(ledger.report("collections", "2026-03-31"), month=day("2026-03-01"), scope="all")
    # 1,010 = 620 + 280 + 110 of January's 310: 31 + 28 + 11 days.
    assert str(march["dso_countback"]) == "70.0"


def test_measures_that_cannot_be_told_are_null(ledger: Ledger) -> None:
    ledger.invoice("1", "100.00", "2025-01-10", "2025-02-10")
    ledger.apply("1", "100.00", "2025-01-20")
    row = one(ledger.report("collections", "2026-03-31"), month=day("2026-03-01"), scope="all")
    assert [row[name] for name in ("dso_simple", "dso_best_possible", "cei_percent", "avg_days_to_pay", "avg_days_late")] == [
        None
    ] * 5
    assert str(row["dso_countback"]) == "0.0"


def test_each_currency_has_months_of_its_own(ledger: Ledger) -> None:
    ledger.invoice("1", "100.00", "2026-01-10")
    ledger.invoice("2", "999.99", "2026-03-10", currency="EUR")
    rows = [row for row in ledger.report("collections", "2026-03-31") if row["scope"] == "all"]
    assert {(row["currency"], row["month"].month): str(row["ar_end"]) for row in rows} == {
        ("USD", 1): "100.00",
        ("USD", 2): "100.00",
        ("USD", 3): "100.00",
        ("EUR", 3): "999.99",
    }


def test_a_mistyped_date_makes_neither_thousands_of_months_nor_a_failure(ledger: Ledger) -> None:
    ledger.invoice("1", "100.00", "0202-01-10", "9999-12-31")
    ledger.invoice("2", "0.01", "2026-03-10")
    ledger.invoice("3", "9999999999999999.99", "2026-03-11")
    rows = [row for row in ledger.report("collections", "2026-03-31") if row["scope"] == "all"]
    assert len(rows) == 60
    assert str(one(rows, month=day("2026-03-01"))["ar_begin"]) == "100.00"


@settings(max_examples=10, phases=[Phase.explicit, Phase.generate])
@given(
    st.lists(
        st.tuples(
            st.decimals("0.01", "9999.99", places=2),
            st.integers(0, 300),
            st.integers(0, 90),
            st.integers(0, 100),
            st.integers(0, 400),
            st.sampled_from([ANA, BEN, None]),
            st.sampled_from(["paid", "credited", "written_off"]),
        ),
        min_size=1,
        max_size=10,
    )
)
def test_balances_run_on_and_owners_add_up_to_everybody(rows: list[tuple[Decimal, int, int, int, int, str | None, str]]) -> None:
    start, books = day("2025-06-01"), Ledger()
    for number, (total, dated, terms, share, paid, owner, effect) in enumerate(rows):
        on = start + timedelta(days=dated)
        books.invoice(str(number), str(total), on.isoformat(), (on + timedelta(days=terms)).isoformat(), owner=owner)
        amount = (total * share / 100).quantize(Decimal("0.01"))
        if amount:
            books.apply(str(number), str(amount), (start + timedelta(days=paid)).isoformat(), effect=effect)
    found = books.report("collections", "2026-04-15")
    aged = sum((row["open"] for row in books.report("ar_aging", "2026-04-15") if row["kind"] == "invoice"), Decimal(0))
    ends: dict[tuple[str, str | None], Decimal] = {}
    by_month: dict[tuple[str, date], Decimal] = {}
    for row in sorted(found, key=lambda each: each["month"]):
        assert row["ar_begin"] == ends.get((row["scope"], row["owner_id"]), Decimal(0))
        moved = row["invoiced"] - row["credited"] - row["written_off"] - row["collected"]
        assert row["ar_begin"] + moved == row["ar_end"]
        assert 0 <= row["ar_not_past_due"] <= row["ar_end"]
        ends[row["scope"], row["owner_id"]] = row["ar_end"]
        key = (row["scope"], row["month"])
        by_month[key] = by_month.get(key, Decimal(0)) + row["ar_end"]
    assert ends["all", None] == aged
    assert all(by_month["owner", month] == amount for (scope, month), amount in by_month.items() if scope == "all")
