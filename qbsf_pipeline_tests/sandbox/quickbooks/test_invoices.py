from __future__ import annotations

from decimal import Decimal

import pytest

from qbsf_pipeline.sandbox.quickbooks import behave, mail
from qbsf_pipeline_tests.sandbox.quickbooks.conftest import Books, invoice_of, payment_of, with_trade


def test_an_invoice_comes_back_completed(books: Books) -> None:
    invoice = books.create("Invoice", invoice_of("1", "100.00", "12.50"))
    assert invoice["SyncToken"] == "0"
    assert invoice["DocNumber"] == "1001"
    assert invoice["TotalAmt"] == invoice["Balance"] == Decimal("112.5")
    assert invoice["TxnDate"] == "2026-11-22"
    assert invoice["DueDate"] == "2026-12-22"
    assert invoice["SalesTermRef"]["name"] == "Net 30"
    assert invoice["CustomerRef"] == {"value": "1", "name": "O'Brien & Søns"}
    assert invoice["BillAddr"]["City"] == "Springfield"
    assert [line.get("Id") for line in invoice["Line"]] == ["1", "2", None]
    assert invoice["Line"][-1]["DetailType"] == "SubTotalLineDetail"
    assert invoice["Line"][0]["SalesItemLineDetail"]["ItemRef"] == {"value": "1", "name": "Services"}
    assert invoice["MetaData"]["CreateTime"] == "2026-11-22T12:00:00-08:00"
    assert invoice["EmailStatus"] == "NotSet"
    assert books.read("Invoice", invoice["Id"]) == invoice


def test_whole_amounts_zero_and_fractions_are_printed_as_quickbooks_does(books: Books) -> None:
    text = books.call("POST", "invoice", invoice_of("1", "100.00", "12.55")).text
    assert '"Deposit":0,' in text
    assert '"TotalAmt":112.55' in text
    assert '"Amount":100.0,' in text


@pytest.mark.parametrize(
    ("change", "code", "element"),
    [
        ({"CustomerRef": None}, "2020", "CustomerRef"),
        ({"Line": None}, "2020", "Line"),
        ({"Line": []}, "2020", "Line"),
        ({"CustomerRef": {"value": "99"}}, "2500", "CustomerRef"),
        ({"CustomerRef": "1"}, "2010", ""),
        ({"SalesTermRef": {"value": "99"}}, "2500", "SalesTermRef"),
        ({"Colour": "red"}, "2010", ""),
        ({"TxnDate": "22.11.2026"}, "2080", "TxnDate"),
        ({"TxnDate": "2026-02-30"}, "2080", "TxnDate"),
        ({"DocNumber": "x" * 22}, "2050", "DocNumber"),
        ({"PrivateNote": "x" * 4001}, "2050", "PrivateNote"),
        ({"CustomerMemo": {"value": "x" * 1001}}, "2050", "CustomerMemo.value"),
        ({"EmailStatus": "Sent"}, "2170", "EmailStatus"),
        ({"EmailStatus": "NeedToSend"}, "6420", "BillEmail"),
        ({"BillEmail": {"Address": "nobody"}}, "2210", "BillEmail"),
        ({"ClassRef": {"value": "1"}}, "5030", ""),
        ({"DepartmentRef": {"value": "1"}}, "5030", ""),
        ({"CurrencyRef": {"value": "EUR"}}, "2220", "CurrencyRef"),
    ],
)
def test_an_invoice_that_breaks_a_rule_is_refused(books: Books, change: dict, code: str, element: str) -> None:
    error = books.refused("POST", "invoice", {**invoice_of(), **change})
    assert (error["code"], error.get("element")) == (code, element)
    assert books.query("select count(*) from Invoice") == {"totalCount": 0}


def _line(**more: object) -> dict:
    detail = {"ItemRef": {"value": "1"}, **more.pop("detail", {})}  # type: ignore[dict-item]
    return {"DetailType": "SalesItemLineDetail", "Amount": 10, "SalesItemLineDetail": detail, **more}


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (_line(detail={"Qty": 3, "UnitPrice": Decimal("3.333")}), None),
        (_line(detail={"Qty": 3, "UnitPrice": Decimal("3.34")}), "6070"),
        (_line(Amount=Decimal("10.004"), detail={"Qty": 1, "UnitPrice": 10}), None),
        (_line(Amount=Decimal("2.34"), detail={"Qty": 1, "UnitPrice": Decimal("2.345")}), "6070"),
        (_line(Amount=Decimal("2.35"), detail={"Qty": 1, "UnitPrice": Decimal("2.345")}), None),
        (_line(detail={"Qty": 0, "UnitPrice": 0}), None),
        (_line(Amount="10.00"), None),
        (_line(Amount="ten"), "2090"),
        (_line(Amount=None), "2020"),
        (_line(DetailType=None), "2020"),
        (_line(DetailType="Something"), "2170"),
        (_line(detail={"ItemRef": {"value": "99"}}), "2500"),
        (_line(detail={"ItemRef": {"name": "Services"}}), "2500"),
        (_line(detail={"TaxCodeRef": {"value": "5"}}), "6100"),
        (_line(detail={"Quantity": 1}), "2010"),
        (_line(Description="x" * 4001), "2050"),
        (_line(Amount=-10), "6000"),
    ],
)
def test_a_line_is_checked(books: Books, line: dict, code: str | None) -> None:
    answer = books.call("POST", "invoice", {"CustomerRef": {"value": "1"}, "Line": [line]})
    if code is None:
        assert answer.status_code == 200, answer.text
    else:
        assert answer.json()["Fault"]["Error"][0]["code"] == code


def test_an_item_that_is_left_out_is_services(books: Books) -> None:
    line = {"DetailType": "SalesItemLineDetail", "Amount": 5, "SalesItemLineDetail": {}}
    invoice = books.create("Invoice", {"CustomerRef": {"value": "1"}, "Line": [line]})
    assert invoice["Line"][0]["SalesItemLineDetail"]["ItemRef"] == {"value": "1", "name": "Services"}


def test_what_is_inactive_cannot_be_used(books: Books) -> None:
    books.seed("Item", {"Id": "2", "Active": False})
    line = {"DetailType": "SalesItemLineDetail", "Amount": 5, "SalesItemLineDetail": {"ItemRef": {"value": "2"}}}
    assert books.refused("POST", "invoice", {"CustomerRef": {"value": "1"}, "Line": [line]})["code"] == "610"
    books.seed("Customer", {"Id": "2", "Active": False})
    assert books.refused("POST", "invoice", invoice_of("2"))["code"] == "610"


def test_negative_lines_and_discounts_come_off_the_total(books: Books) -> None:
    body = invoice_of("1", "200", "-50")
    percent = {"DetailType": "DiscountLineDetail", "DiscountLineDetail": {"PercentBased": True, "DiscountPercent": 10}}
    body["Line"].append(percent)
    invoice = books.create("Invoice", body)
    assert invoice["TotalAmt"] == Decimal(135)
    assert invoice["Line"][-1]["Amount"] == Decimal(15)
    assert invoice["Line"][-2]["DetailType"] == "SubTotalLineDetail"


def test_a_sparse_update_keeps_and_a_full_update_drops_what_is_not_sent(books: Books) -> None:
    invoice = books.create("Invoice", invoice_of("1", PrivateNote="SF-1", CustomerMemo={"value": "Thanks"}))
    sparse = {"Id": invoice["Id"], "SyncToken": "0", "sparse": True, "PrivateNote": ""}
    invoice = books.create("Invoice", sparse)
    assert "PrivateNote" not in invoice
    assert invoice["CustomerMemo"] == {"value": "Thanks"}
    assert invoice["SyncToken"] == "1"
    full = {**invoice_of("1", "80"), "Id": invoice["Id"], "SyncToken": "1"}
    invoice = books.create("Invoice", full)
    assert "CustomerMemo" not in invoice
    assert "DocNumber" not in invoice
    assert invoice["Balance"] == Decimal(80)


def test_lines_that_are_sent_replace_all_lines(books: Books) -> None:
    invoice = books.create("Invoice", invoice_of("1", "10", "20"))
    kept = invoice["Line"][1]
    new = {"DetailType": "SalesItemLineDetail", "Amount": 5, "SalesItemLineDetail": {"ItemRef": {"value": "2"}}}
    body = {"Id": invoice["Id"], "SyncToken": "0", "sparse": True, "Line": [kept, new]}
    invoice = books.create("Invoice", body)
    assert [(line.get("Id"), line["Amount"]) for line in invoice["Line"]] == [("2", 20), ("3", 5), (None, 25)]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"Id": "1", "SyncToken": "7", "sparse": True}, "5010"),
        ({"Id": "1", "sparse": True}, "2020"),
        ({"Id": "99", "SyncToken": "0", "sparse": True}, "610"),
    ],
)
def test_an_update_must_know_the_current_state(books: Books, body: dict, code: str) -> None:
    books.create("Invoice", invoice_of())
    assert books.refused("POST", "invoice", body)["code"] == code


@pytest.mark.parametrize(
    ("term", "txn_date", "due"),
    [
        ({"Name": "T", "DueDays": "45"}, "2026-01-31", "2026-03-17"),
        ({"Name": "T", "DayOfMonthDue": 15}, "2026-01-10", "2026-01-15"),
        ({"Name": "T", "DayOfMonthDue": 15}, "2026-01-16", "2026-02-15"),
        ({"Name": "T", "DayOfMonthDue": 31}, "2026-02-01", "2026-02-28"),
        ({"Name": "T", "DayOfMonthDue": 15, "DueNextMonthDays": 5}, "2026-12-12", "2027-01-15"),
    ],
)
def test_the_due_date_follows_from_the_terms(books: Books, term: dict, txn_date: str, due: str) -> None:
    made = books.create("Term", term)
    body = invoice_of("2", TxnDate=txn_date, SalesTermRef={"value": made["Id"]})
    assert books.create("Invoice", body)["DueDate"] == due
    assert books.create("Invoice", {**body, "DueDate": "2030-01-01"})["DueDate"] == "2030-01-01"


def test_without_custom_numbers_a_number_that_is_sent_is_kept_unchecked_and_counting_goes_on(books: Books) -> None:
    assert books.create("Invoice", invoice_of("1", DocNumber="2000"))["DocNumber"] == "2000"
    assert books.create("Invoice", invoice_of("1", DocNumber="2000"))["DocNumber"] == "2000"
    assert books.create("Invoice", invoice_of("1"))["DocNumber"] == "2001"


def test_with_custom_numbers_a_number_is_absent_or_unique(books: Books) -> None:
    behave(books.store, CustomTxnNumbers=True)
    assert "DocNumber" not in books.create("Invoice", invoice_of())
    first = books.create("Invoice", invoice_of("1", DocNumber="A-1"))
    error = books.refused("POST", "invoice", invoice_of("2", DocNumber="a-1"))
    assert error["code"] == "6140"
    assert f"TxnId={first['Id']}" in error["Detail"]
    books.create("CreditMemo", invoice_of("1", DocNumber="A-1"))
    books.create("Invoice", invoice_of("2", DocNumber="A-1"), include="allowduplicatedocnum")
    sparse = {"Id": first["Id"], "SyncToken": "0", "sparse": True, "PrivateNote": "x"}
    books.create("Invoice", sparse)
    assert books.refused("POST", "invoice", {**sparse, "SyncToken": "1", "DocNumber": "a-1"})["code"] == "6140"


def test_nothing_is_written_into_a_closed_period(books: Books) -> None:
    open_invoice = books.create("Invoice", invoice_of("1", TxnDate="2026-10-31"))
    behave(books.store, BookCloseDate="2026-10-31")
    assert books.refused("POST", "invoice", invoice_of("1", TxnDate="2026-10-31"))["code"] == "6200"
    body = {"Id": open_invoice["Id"], "SyncToken": "0"}
    assert books.refused("POST", "invoice", body, operation="void")["code"] == "6200"
    assert books.refused("POST", "invoice", body, operation="delete")["code"] == "6200"
    moved = {**body, "sparse": True, "TxnDate": "2026-11-22"}
    assert books.refused("POST", "invoice", moved)["code"] == "6200"
    # Paying an old invoice today is no write into the old period.
    books.create("Payment", payment_of("100", ("Invoice", open_invoice["Id"], "100")))


def test_with_more_currencies_the_currency_is_required_and_must_be_the_customers(books: Books) -> None:
    behave(books.store, MultiCurrencyEnabled=True)
    books.create("CompanyCurrency", {"Code": "EUR"})
    customer = books.create("Customer", {"DisplayName": "Paris SA", "CurrencyRef": {"value": "EUR"}})
    assert books.refused("POST", "invoice", invoice_of(customer["Id"]))["code"] == "2020"
    usd = {"CurrencyRef": {"value": "USD"}}
    assert books.refused("POST", "invoice", invoice_of(customer["Id"], **usd))["code"] == "6000"
    gbp = {"CurrencyRef": {"value": "GBP"}}
    assert books.refused("POST", "invoice", invoice_of(customer["Id"], **gbp))["code"] == "2220"
    body = invoice_of(customer["Id"], CurrencyRef={"value": "EUR"}, ExchangeRate=Decimal("1.1"))
    invoice = books.create("Invoice", body)
    assert (invoice["TotalAmt"], invoice["HomeTotalAmt"]) == (Decimal(100), Decimal(110))
    change = {"Id": customer["Id"], "SyncToken": "0", "sparse": True, **usd}
    assert books.refused("POST", "customer", change)["code"] == "6000"


def test_sales_tax_is_added_to_taxable_lines_of_taxable_customers(books: Books) -> None:
    behave(books.store, UsingSalesTax=True, tax_rate="8.25")
    customers = [
        books.create("Customer", {"DisplayName": "Taxable"}),
        books.create("Customer", {"DisplayName": "Church", "TaxExemptionReasonId": "6"}),
    ]
    body = invoice_of("1", "100", "50")
    body["Line"][0]["SalesItemLineDetail"]["TaxCodeRef"] = {"value": "TAX"}
    totals = [books.create("Invoice", {**body, "CustomerRef": {"value": customer["Id"]}})["TotalAmt"] for customer in customers]
    assert totals == [Decimal("158.25"), Decimal(150)]


def test_outside_the_united_states_lines_need_a_tax_code_that_exists(open_books) -> None:
    books = with_trade(open_books(country="CA", home_currency="CAD", preferences={"UsingSalesTax": True}))
    body = invoice_of()
    assert books.refused("POST", "invoice", body)["code"] == "2500"
    del body["Line"][0]["SalesItemLineDetail"]["TaxCodeRef"]
    assert books.refused("POST", "invoice", body)["code"] == "6000"
    body["Line"][0]["SalesItemLineDetail"]["TaxCodeRef"] = {"value": "2"}
    assert books.create("Invoice", body)["CurrencyRef"]["value"] == "CAD"


def test_today_is_the_companys_today(open_books) -> None:
    books = with_trade(open_books(time_zone="Pacific/Auckland"))
    assert books.create("Invoice", invoice_of())["TxnDate"] == "2026-11-23"


def test_sending_marks_the_invoice_and_leaves_a_mail(books: Books) -> None:
    invoice = books.create("Invoice", invoice_of())
    assert books.refused("POST", f"invoice/{invoice['Id']}/send")["code"] == "6420"
    assert books.refused("POST", f"invoice/{invoice['Id']}/send", sendTo="nobody")["code"] == "2210"
    sent = books.ok("POST", f"invoice/{invoice['Id']}/send", sendTo="ap+x@obrien.example")["Invoice"]
    assert sent["EmailStatus"] == "EmailSent"
    assert sent["BillEmail"]["Address"] == "ap+x@obrien.example"
    assert sent["DeliveryInfo"] == {"DeliveryType": "Email", "DeliveryTime": "2026-11-22T12:00:00-08:00"}
    assert sent["SyncToken"] == "1"
    assert [(each["invoice_id"], each["to"]) for each in mail(books.store)] == [("1", "ap+x@obrien.example")]


def test_a_queued_invoice_is_not_mailed(books: Books) -> None:
    body = invoice_of("1", EmailStatus="NeedToSend", BillEmail={"Address": "a@b.example, c@d.example"})
    assert books.create("Invoice", body)["EmailStatus"] == "NeedToSend"
    assert mail(books.store) == []


def test_a_voided_invoice_stays_with_zeros(books: Books) -> None:
    invoice = books.create("Invoice", invoice_of("1", PrivateNote="SF-7"))
    body = {"Id": invoice["Id"], "SyncToken": "0"}
    voided = books.ok("POST", "invoice", body, operation="void")["Invoice"]
    assert (voided["TotalAmt"], voided["Balance"], voided["PrivateNote"]) == (0, 0, "Voided - SF-7")
    assert voided["Line"][0]["Amount"] == 0
    assert voided["SyncToken"] == "1"
    assert books.read("Customer", "1")["Balance"] == 0


@pytest.mark.parametrize("entity", ["CreditMemo", "RefundReceipt", "Payment", "Customer"])
def test_only_invoices_are_voided_by_that_address(books: Books, entity: str) -> None:
    error = books.refused("POST", entity.lower(), {"Id": "1", "SyncToken": "0"}, operation="void")
    assert error["code"] == "500"


def test_a_deleted_invoice_is_gone(books: Books) -> None:
    invoice = books.create("Invoice", invoice_of())
    body = {"Id": invoice["Id"], "SyncToken": "0"}
    answer = books.ok("POST", "invoice", body, operation="delete")
    assert answer["Invoice"] == {"status": "Deleted", "domain": "QBO", "Id": invoice["Id"]}
    assert books.refused("GET", f"invoice/{invoice['Id']}")["code"] == "610"


def test_all_transactions_share_one_sequence_of_ids(books: Books) -> None:
    ids = [
        books.create(entity, invoice_of("1", **more))["Id"]
        for entity, more in (("Invoice", {}), ("CreditMemo", {}), ("SalesReceipt", {}))
    ]
    assert ids == ["1", "2", "3"]
    assert books.create("Payment", payment_of("5"))["Id"] == "4"


def test_a_small_change_moves_no_date(books: Books) -> None:
    body = invoice_of("1", TxnDate="2026-01-05", DueDate="2026-01-06")
    invoice = books.create("Invoice", body)
    books.seed("Term", {"Id": invoice["SalesTermRef"]["value"], "Name": "Net thirty", "DueDays": 31})
    sparse = {"Id": invoice["Id"], "SyncToken": "0", "sparse": True, "PrivateNote": "x", "TxnDate": ""}
    changed = books.create("Invoice", sparse)
    assert (changed["TxnDate"], changed["DueDate"]) == ("2026-01-05", "2026-01-06")


def test_a_deposit_lowers_the_balance_and_cannot_be_more_than_the_total(books: Books) -> None:
    assert books.create("Invoice", invoice_of("1", Deposit=30))["Balance"] == Decimal(70)
    assert books.refused("POST", "invoice", invoice_of("1", Deposit=101))["code"] == "6000"


def test_the_reference_to_a_sub_customer_bears_its_whole_path(books: Books) -> None:
    sub = books.create("Customer", {"DisplayName": "Site A", "ParentRef": {"value": "1"}})
    assert books.create("Invoice", invoice_of(sub["Id"]))["CustomerRef"]["name"] == "O'Brien & Søns:Site A"
