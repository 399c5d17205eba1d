"""Dimensions, facts and measures of ``sql/`` with worked examples, to the cent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from qbsf_pipeline.customers.matching.plan import MATCHES
from qbsf_pipeline.invoices.tables import DEALS, REFUSALS
from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.reporting.state_tables import LEDGER
from qbsf_pipeline.salesforce import objects as salesforce
from qbsf_pipeline_tests.reporting.receivables import ANA, BEN, day, one
from qbsf_pipeline_tests.reporting.sales import Sales, sold

TODAY = "2026-03-31"


@pytest.fixture
def sales() -> Sales:
    return Sales()


def values(row: dict[str, Any], *names: str) -> list[str]:
    return [str(row[name]) for name in names]


# Customers


def test_an_account_and_its_customers_are_one_customer(sales: Sales) -> None:
    sales.account("A1", "1", "2", industry="Brewing", type="Customer")
    sales.account("A2", industry=" ", type="Prospect")
    for customer in ("1", "2", "3"):
        sales.customer(customer)
    found = {row["customer_key"]: row for row in sales.report("customers", TODAY)}
    assert {key: (row["presence"], row["customer_id"], row["other_customer_ids"]) for key, row in found.items()} == {
        "A1": ("both", "1", "2"),
        "A2": ("salesforce_only", None, None),
        "qbo-3": ("quickbooks_only", "3", None),
    }
    assert [found[key]["segment"] for key in ("A1", "A2", "qbo-3")] == ["Brewing", "Prospect", None]


def test_accounts_that_share_a_customer_are_one_customer_however_long_the_chain(sales: Sales) -> None:
    # C and B share 1, B and D share 2, D and A share 3; E is alone.
    for account, customers in (("C", ["1"]), ("B", ["1", "2"]), ("D", ["2", "3", "4"]), ("A", ["3"]), ("E", ["5"])):
        sales.account(account, *customers)
    for number in range(1, 6):
        sales.customer(str(number))
    records = {row["record_id"]: row["customer_key"] for row in sales.report("customer_records", TODAY)}
    assert records == {**dict.fromkeys("ABCD1234", "A"), "E": "E", "5": "E"}
    row = one(sales.report("customers", TODAY), customer_key="A")
    assert (row["customer_id"], row["other_customer_ids"], row["other_account_ids"]) == ("1", "2 3 4", "B C D")


def test_a_sub_customer_belongs_to_its_parent_unless_an_account_is_linked_to_it(sales: Sales) -> None:
    sales.account("A1", "1")
    sales.account("A9", "9")
    for customer, parent in (
        ("1", None),
        ("2", "1"),
        ("3", "2"),
        ("9", "1"),
        ("10", "9"),
        ("20", None),
        ("21", "20"),
        ("30", "31"),
    ):
        sales.customer(customer, parent_id=parent)
    records = {row["record_id"]: row["customer_key"] for row in sales.report("customer_records", TODAY)}
    assert records == {
        "A1": "A1",
        "1": "A1",
        "2": "A1",
        "3": "A1",
        "A9": "A9",
        "9": "A9",
        "10": "A9",
        "20": "qbo-20",
        "21": "qbo-20",
        "30": "qbo-30",
    }


def test_a_customer_that_was_created_in_this_pass_is_its_accounts(sales: Sales) -> None:
    sales.account("A1")
    sales.customer("7")
    sales.put(MATCHES, {"account_id": "A1", "outcome": "create"})
    sales.put(LEDGER, {"key": "k", "operation": "create_customer", "status": "done", "source_id": "A1", "result_id": "7"})
    row = one(sales.report("customers", TODAY))
    assert (row["customer_key"], row["customer_id"], row["presence"]) == ("A1", "7", "both")


def test_a_deleted_record_stays_as_long_as_a_document_names_it(sales: Sales) -> None:
    sales.account("A1", is_deleted=True)
    sales.account("A2", is_deleted=True)
    sales.customer("1", is_deleted=True)
    sales.deal("D1", "10.00", "2026-01-01", "A1")
    found = {row["customer_key"]: row["deleted"] for row in sales.report("customers", TODAY)}
    assert found == {"A1": True}


# Products and dates


def test_a_product_is_the_item_that_names_its_code_or_name_and_a_shared_item_stands_alone(sales: Sales) -> None:
    sales.product("P1", product_code="x-1", name="Röntgen: O'Neil")
    sales.product("P2", product_code="Y", sku="S2")
    sales.product("P3", item_name="Cat:Item 4", product_code="X-1")
    sales.product("P4", name="item 5")
    sales.product("P5", name="Item 5 ")
    sales.product("P6", product_code="nothing")
    sales.item("1", sku=" X-1 ")
    sales.item("2", sku="s2", active=False)
    sales.item("4", fully_qualified_name="Cat:Item 4")
    sales.item("5")
    sales.item("6", type="Category")
    found = {row["product_key"]: (row["item_id"], row["presence"]) for row in sales.report("products", TODAY)}
    assert found == {
        "P1": ("1", "both"),
        "P2": ("2", "both"),
        "P3": ("4", "both"),
        "P4": ("5", "both"),
        "P5": ("5", "both"),
        "P6": (None, "salesforce_only"),
        "item-5": ("5", "quickbooks_only"),
    }


@pytest.mark.parametrize(
    ("begins", "date", "fiscal"),
    [
        ("January", "2026-03-31", (2026, 1, 3)),
        ("April", "2026-03-31", (2026, 4, 12)),
        ("April", "2026-04-01", (2027, 1, 1)),
        ("July", "2025-12-31", (2026, 2, 6)),
        ("nonsense", "2026-12-31", (2026, 4, 12)),
    ],
)
def test_fiscal_years_begin_with_the_companys_month(sales: Sales, begins: str, date: str, fiscal: tuple[int, int, int]) -> None:
    sales.put(quickbooks.COMPANY_INFO, {"id": "1", "record": f'{{"FiscalYearStartMonth": "{begins}"}}'})
    sales.deal("D1", "1.00", "2025-06-15")
    row = one(sales.report("dates", TODAY), date=day(date))
    assert (row["fiscal_year"], row["fiscal_quarter"], row["fiscal_month"]) == fiscal


def test_the_calendar_knows_months_weekdays_and_business_days_and_no_date_of_a_typing_error(sales: Sales) -> None:
    sales.deal("D1", "1.00", "0202-06-15")
    rows = sales.report("dates", TODAY)
    assert (rows[0]["date"], rows[-1]["date"]) == (day("2006-01-01"), day("2028-12-31"))
    sunday = one(rows, date=day("2026-03-01"))
    assert (sunday["weekday"], sunday["is_business_day"], sunday["business_day_of_month"]) == (7, False, 0)
    assert one(rows, date=day("2026-03-02"))["business_day_of_month"] == 1
    assert one(rows, date=day("2026-03-31"))["business_day_of_month"] == 22


# Deals and invoices


def test_a_deal_has_what_its_live_invoices_say_and_nothing_of_those_that_are_gone(sales: Sales) -> None:
    sales.deal("D1", "1000.00", "2026-01-10", created_at=datetime(2026, 1, 1, 23, tzinfo=UTC))
    sales.bill("1", "440.00", "2026-01-12", "D1", tax="40.00", delivered="2026-01-14T08:00:00+00:00")
    sales.bill("2", "600.00", "2026-02-12", "D1", owed={"first_paid_in_full_on": day("2026-03-01")})
    sales.bill("3", "999.00", "2026-01-01", "D1", status="deleted", is_deleted=True)
    sales.bill("4", "0.00", "2026-01-02", "D1", status="voided")
    row = one(sales.report("deals", TODAY))
    assert values(row, "invoices", "invoices_gone", "invoiced", "first_invoiced_on", "first_sent_on", "settled_on") == [
        *("2", "2", "1000.00", "2026-01-12", "2026-01-14", "None"),
    ]
    assert (row["numbers"], row["created_on"]) == ("INV-1, INV-2", day("2026-01-01"))
    found = {row["invoice_id"]: values(row, "status", "total", "net", "difference") for row in sales.report("invoices", TODAY)}
    assert found == {
        "1": ["live", "440.00", "400.00", "-600.00"],
        "2": ["live", "600.00", "600.00", "-400.00"],
        "3": ["deleted", "999.00", "0.00", "None"],
        "4": ["voided", "0.00", "0.00", "None"],
    }


def test_an_invoice_bills_the_deal_that_a_person_named_not_the_one_in_its_note(sales: Sales) -> None:
    sales.deal("D1", "10.00", "2026-01-10")
    sales.deal("D2", "20.00", "2026-01-10")
    sales.bill("1", "20.00", "2026-01-12", "D1", owed={"opportunity_id": "D2"})
    assert one(sales.report("invoices", TODAY))["opportunity_id"] == "D2"
    assert one(sales.report("deals", TODAY), opportunity_id="D1")["invoices"] == 0


def test_what_a_deal_is_worth_at_home_comes_from_salesforces_rates_without_a_float(sales: Sales) -> None:
    for currency, rate, corporate in (("EUR", "1", True), ("USD", "1.1", False), ("GBP", "0.86", False)):
        row = {"id": currency, "iso_code": currency, "conversion_rate": Decimal(rate), "is_corporate": corporate}
        sales.put(salesforce.CURRENCY_TYPE, row)
    sales.deal("D1", "100.00", "2026-01-01", currency="USD")
    sales.deal("D2", "100.00", "2026-01-01", currency="EUR")
    sales.deal("D3", "-9999999999999.99", "2026-01-01", currency="GBP")
    sales.deal("D4", "100.00", "2026-01-01", currency="JPY")
    sales.deal("D5", "100.00", "2026-01-01", currency="JPY", is_won=False)
    sales.deal("D6", None, "2026-01-01")
    found = {row["opportunity_id"]: str(row["booked_home"]) for row in sales.report("deals", TODAY)}
    # 110.00 USD for 100 EUR; 9,999,999,999,999.99 x 1.1 / 0.86, halves up.
    assert found == {"D1": "100.00", "D2": "110.00", "D3": "-12790697674418.59", "D4": "None", "D5": "0.00", "D6": "0.00"}


# Lines


def test_the_lines_of_an_invoice_add_up_to_its_total_without_tax(sales: Sales) -> None:
    sales.product("P1", product_code="X")
    sales.item("1", sku="X")
    child = sold("30.00", "1", Qty=3, UnitPrice=10)
    lines = [
        sold("100.00", "1", Qty="2.5", UnitPrice="40", ServiceDate="2026-01-31", ClassRef={"value": "5", "name": "West"}),
        {"Amount": 60.0, "DetailType": "GroupLineDetail", "GroupLineDetail": {"Line": [child, sold("30.00", "99")]}},
        {"Amount": 160.0, "DetailType": "SubTotalLineDetail", "SubTotalLineDetail": {}},
        {"Description": "Subtotal: 160.00", "Amount": 160.0, "DetailType": "DescriptionOnly", "DescriptionLineDetail": {}},
        {"Amount": 16.0, "DetailType": "DiscountLineDetail", "DiscountLineDetail": {"PercentBased": True, "DiscountPercent": 10}},
        sold("5.55", "SHIPPING_ITEM_ID"),
        {"Amount": None, "DetailType": "SalesItemLineDetail"},
    ]
    sales.bill("1", "160.00", "2026-01-12", tax="10.45", lines=lines)
    rows = sales.report("invoice_lines", TODAY)
    assert {row["line"]: values(row, "kind", "product_key", "amount", "quantity") for row in rows} == {
        1: ["item", "P1", "100.00", "2.5000000000"],
        2001: ["item", "P1", "30.00", "3.0000000000"],
        2002: ["item", "None", "30.00", "None"],
        5: ["discount", "None", "-16.00", "None"],
        6: ["shipping", "None", "5.55", "None"],
    }
    assert (one(rows, line=1)["service_on"], one(rows, line=1)["class"]) == (day("2026-01-31"), "West")
    assert sum(row["amount"] for row in rows) == one(sales.report("invoices", TODAY))["net"] == Decimal("149.55")


@pytest.mark.parametrize("record", ["{}", "not json", None, '{"Line": null}', '{"Line": []}'])
def test_an_invoice_without_readable_lines_is_told_as_sales_without_a_product(sales: Sales, record: str | None) -> None:
    sales.bill("1", "12.34", "2026-01-12", record=record, email_status="NotSet")
    assert sales.report("invoice_lines", TODAY) == []
    row = one(sales.report("product_sales", TODAY))
    assert (row["product_key"], str(row["invoiced"]), row["invoices"]) == (None, "12.34", 1)


def test_products_are_booked_by_the_lines_of_deals_and_invoiced_by_those_of_invoices(sales: Sales) -> None:
    sales.product("P1", product_code="X", family="Software")
    sales.item("1", sku="X")
    sales.deal("D1", "100.00", "2026-01-10")
    sales.line("L1", "D1", "70.00", "P1", quantity=Decimal("2.5"))
    sales.line("L2", "D1", "20.00", "P1", quantity=Decimal("1.5"))
    sales.line("L3", "D1", "500.00", "P1", is_deleted=True)
    sales.deal("D2", "9.00", "2026-01-11", is_won=False)
    sales.line("L4", "D2", "9.00", "P1")
    sales.bill("1", "70.00", "2026-02-01", "D1", lines=[sold("70.00", "1", Qty=2)])
    rows = sales.report("product_sales", TODAY)
    names = ("deals", "booked_quantity", "booked", "invoices", "invoiced_quantity", "invoiced")
    assert {(row["month"].month, row["product"]): values(row, *names) for row in rows} == {
        (1, "Product P1"): ["1", "4.0000000000", "90.00", "0", "None", "0.00"],
        # The deal says 10.00 more than its lines.
        (1, None): ["1", "None", "10.00", "0", "None", "0.00"],
        (2, "Product P1"): ["0", "None", "0.00", "1", "2.0000000000", "70.00"],
    }


# Bookings, billings and cash


BOOKED = ("deals", "booked", "invoices", "invoiced", "credited", "billed", "received", "refunded", "cash")


def test_a_month_of_bookings_billings_and_cash(sales: Sales) -> None:
    sales.account("A1", "1", industry="Brewing")
    sales.customer("1")
    sales.customer("2")
    sales.deal("D1", "1000.00", "2026-01-31")
    sales.deal("D2", "500.00", "2026-02-01", owner_id=BEN)
    sales.bill("1", "1100.00", "2026-02-02", "D1", tax="100.00")
    sales.bill("2", "500.00", "2026-02-03", "D2")
    sales.bill("3", "70.00", "2026-02-04", customer_id="2")
    sales.pay("P1", "1500.00", "2026-02-20")
    sales.apply("1", "1000.00", "2026-02-20", source_id="P1")
    sales.apply("2", "300.00", "2026-02-20", source_id="P1")
    credit = {"total": Decimal("110.00"), "record": '{"TxnTaxDetail": {"TotalTax": 10.00}}', "is_deleted": False}
    sales.put(quickbooks.CREDIT_MEMO, {"id": "C1", "customer_id": "1", "txn_date": day("2026-03-01")} | credit)
    sales.apply("1", "100.00", "2026-03-01", "credit_memo", source_id="C1")
    sales.put(quickbooks.REFUND_RECEIPT, {"id": "R1", "customer_id": "2", "txn_date": day("2026-03-02")} | credit)
    rows = sales.report("bookings_and_billings", TODAY)
    assert {(row["month"].month, row["customer_key"], row["owner"]): values(row, *BOOKED) for row in rows} == {
        (1, "A1", "Ana"): ["1", "1000.00", "0", "0.00", "0.00", "0.00", "0.00", "0.00", "0.00"],
        (2, "A1", "Ana"): ["0", "0.00", "1", "1000.00", "0.00", "1000.00", "1000.00", "0.00", "1000.00"],
        (2, "A1", "Ben"): ["1", "500.00", "1", "500.00", "0.00", "500.00", "300.00", "0.00", "300.00"],
        # What the payment is not applied to has no owner.
        (2, "A1", None): ["0", "0.00", "0", "0.00", "0.00", "0.00", "200.00", "0.00", "200.00"],
        (2, "qbo-2", None): ["0", "0.00", "1", "70.00", "0.00", "70.00", "0.00", "0.00", "0.00"],
        (3, "A1", "Ana"): ["0", "0.00", "0", "0.00", "100.00", "-100.00", "0.00", "0.00", "0.00"],
        (3, "qbo-2", None): ["0", "0.00", "0", "0.00", "100.00", "-100.00", "0.00", "110.00", "-110.00"],
    }
    assert {row["segment"] for row in rows if row["customer_key"] == "A1"} == {"Brewing"}


def test_at_home_each_document_counts_at_its_own_rate_and_nothing_without_one(sales: Sales) -> None:
    sales.customer("1")
    rated: dict[str, Any] = {"currency": "EUR", "exchange_rate": Decimal("1.1")}
    sales.bill("1", "100.05", "2026-02-02", **rated)
    sales.pay("P1", "100.05", "2026-02-20", **rated | {"exchange_rate": Decimal("1.2")})
    sales.apply("1", "50.00", "2026-02-20", source_id="P1")
    row = one(sales.report("bookings_and_billings", TODAY))
    assert values(row, "currency", "billed", "billed_home", "cash", "cash_home", "home_currency") == [
        *("EUR", "100.05", "110.06", "100.05", "120.06", "USD"),
    ]
    sales.bill("2", "1.00", "2026-02-02", currency="EUR")
    row = one(sales.report("bookings_and_billings", TODAY))
    assert values(row, "billed", "billed_home", "cash_home") == ["101.05", "None", "120.06"]


@settings(max_examples=5, phases=[Phase.explicit, Phase.generate])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["A1", "A2", None]),
            st.sampled_from([ANA, BEN]),
            st.decimals("0.00", "99999.99", places=2),
            st.integers(0, 90),
            st.sampled_from(["USD", "EUR"]),
            st.integers(0, 3),
        ),
        max_size=8,
    )
)
def test_however_it_is_summed_bookings_billings_and_cash_are_those_of_the_records(rows: Sequence[tuple[Any, ...]]) -> None:
    books = Sales()
    books.account("A1", "1")
    books.customer("1")
    totals: dict[tuple[str, str], Decimal] = {}

    def add(what: str, currency: str, amount: Decimal) -> None:
        totals[what, currency] = totals.get((what, currency), Decimal(0)) + amount

    for number, (account, owner, amount, after, currency, share) in enumerate(rows):
        closed = day("2026-01-01").toordinal() + after
        on = day("2026-01-01").fromordinal(closed).isoformat()
        books.deal(f"D{number}", str(amount), on, account, owner_id=owner, currency=currency)
        add("booked", currency, amount)
        if share:
            total = (amount / share).quantize(Decimal("0.01"))
            books.bill(str(number), str(total), on, f"D{number}", currency=currency, exchange_rate=Decimal(1))
            add("invoiced", currency, total)
            books.pay(f"P{number}", str(amount), on, currency=currency, exchange_rate=Decimal(1))
            add("cash", currency, amount)
            if total:
                books.apply(str(number), str(total), on, source_id=f"P{number}", currency=currency)
    by_customer = books.report("bookings_and_billings", TODAY)
    by_product = books.report("product_sales", TODAY)
    found: dict[tuple[str, str], Decimal] = {}
    for name in ("booked", "invoiced", "cash"):
        for row in by_customer:
            found[name, row["currency"]] = found.get((name, row["currency"]), Decimal(0)) + row[name]
    assert {key: amount for key, amount in found.items() if amount} == {key: amount for key, amount in totals.items() if amount}
    for name in ("booked", "invoiced"):
        assert sum((row[name] for row in by_product), Decimal(0)) == sum((row[name] for row in by_customer), Decimal(0))
    assert len({row["row_key"] for row in by_customer}) == len(by_customer)


# Quote to cash, leakage


def test_days_run_from_won_to_invoiced_to_sent_to_settled(sales: Sales) -> None:
    sales.deal("D1", "10.00", "2026-01-10", created_at=datetime(2025, 12, 31, tzinfo=UTC))
    sales.bill(
        "1", "10.00", "2026-01-09", "D1", delivered="2026-01-12T12:00:00Z", owed={"first_paid_in_full_on": day("2026-02-11")}
    )
    sales.deal("D2", "10.00", "2026-01-20")
    sales.bill("2", "10.00", "2026-01-25", "D2")
    sales.deal("D3", "10.00", "2026-01-21")
    rows = {row["opportunity_id"]: row for row in sales.report("quote_to_cash", TODAY)}
    names = ("stage", "days_created_to_won", "days_won_to_invoiced", "days_invoiced_to_sent", "days_sent_to_settled")
    assert values(rows["D1"], *names, "days_won_to_settled") == ["settled", "10", "-1", "3", "30", "32"]
    assert values(rows["D2"], *names) == ["invoiced", "None", "5", "None", "None"]
    assert values(rows["D3"], *names) == ["won", "None", "None", "None", "None"]


def test_mailing_is_a_day_of_the_company_and_qbsfs_own_record_stands_in(sales: Sales) -> None:
    sales.bill("1", "10.00", "2026-01-09", delivered="2026-01-12T23:30:00-08:00")
    sales.bill("2", "10.00", "2026-01-09", email_status="EmailSent")
    sales.bill("3", "10.00", "2026-01-09", delivered="soon")
    sales.bill("4", "10.00", "2026-01-09", email_status="NeedToSend")
    done = {"operation": "send_invoice", "status": "done", "done_at": datetime(2026, 1, 15, 6, tzinfo=UTC)}
    sales.put(LEDGER, *({"key": number, "result_id": number} | done for number in ("2", "4")))
    found = {row["invoice_id"]: row["sent_on"] for row in sales.report("invoices", TODAY)}
    assert found == {"1": day("2026-01-13"), "2": day("2026-01-15"), "3": None, "4": None}


def test_what_was_won_and_has_no_live_invoice_leaks_and_says_why(sales: Sales) -> None:
    for number in range(1, 7):
        sales.deal(f"D{number}", "10.00", "2026-03-01")
    sales.deal("D7", "0.00", "2026-03-01")
    sales.deal("D8", "10.00", "2026-03-01", is_won=False)
    sales.bill("1", "10.00", "2026-03-02", "D1")
    sales.bill("2", "0.00", "2026-03-02", "D2", status="voided")
    outcomes = {"D2": "invoiced", "D3": "refused", "D4": "before_go_live", "D5": "planned"}
    sales.put(DEALS, *({"opportunity_id": deal, "outcome": what, "detail": f"Is {what}."} for deal, what in outcomes.items()))
    refusal = {"opportunity_id": "D3", "remedy": "Mend it."}
    sales.put(REFUSALS, refusal | {"reason": "Second.", "position": 2}, refusal | {"reason": "First.", "position": 1})
    rows = sales.report("revenue_leakage", TODAY)
    assert {row["opportunity_id"]: values(row, "cause", "explanation", "days_since_won") for row in rows} == {
        "D2": ["voided", "Is invoiced.", "30"],
        "D3": ["refused", "First. Second.", "30"],
        "D4": ["before_go_live", "Is before_go_live.", "30"],
        "D5": ["planned", "Is planned.", "30"],
        "D6": ["not_examined", "The flow of invoices has not seen the deal yet.", "30"],
    }
