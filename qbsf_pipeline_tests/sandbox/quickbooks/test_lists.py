from __future__ import annotations

from decimal import Decimal

import pytest

from qbsf_pipeline.sandbox.quickbooks import behave, income_account
from qbsf_pipeline_tests.sandbox.quickbooks.conftest import Books, invoice_of


def test_a_customer_comes_back_completed(books: Books) -> None:
    customer = books.create("Customer", {"DisplayName": " Zoë's Café ", "Notes": "VIP"})
    assert customer["DisplayName"] == "Zoë's Café"
    assert customer["FullyQualifiedName"] == customer["PrintOnCheckName"] == "Zoë's Café"
    assert (customer["Active"], customer["Balance"], customer["Job"]) == (True, 0, False)
    assert customer["CurrencyRef"]["value"] == "USD"


@pytest.mark.parametrize("entity", ["Customer", "Vendor", "Employee"])
@pytest.mark.parametrize("taken", ["müller gmbh", "Müller GmbH ", "MÜLLER GMBH"])
def test_a_name_is_taken_for_customers_vendors_and_employees_alike(books: Books, entity: str, taken: str) -> None:
    error = books.refused("POST", entity.lower(), {"DisplayName": taken})
    assert (error["code"], error["Message"]) == ("6240", "Duplicate Name Exists Error")


def test_the_name_of_an_inactive_customer_stays_taken(books: Books) -> None:
    books.create("Customer", {"Id": "2", "SyncToken": "0", "sparse": True, "Active": False})
    assert books.query("select * from Customer where DisplayName = 'Müller GmbH'") == {}
    assert books.refused("POST", "customer", {"DisplayName": "Müller GmbH"})["code"] == "6240"
    renamed = {"Id": "2", "SyncToken": "1", "sparse": True, "DisplayName": "Müller (alt)"}
    books.create("Customer", renamed)
    books.create("Customer", {"DisplayName": "Müller GmbH"})


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"DisplayName": "A:B"}, "2040"),
        ({"DisplayName": "A\tB"}, "2040"),
        ({"DisplayName": "A\nB"}, "2040"),
        ({"DisplayName": "x" * 501}, "2050"),
        ({"DisplayName": "x" * 500}, None),
        ({"DisplayName": ""}, "6080"),
        ({"GivenName": "x" * 101}, "2050"),
        ({"Notes": "x" * 2001}, "2050"),
        ({"PrimaryEmailAddr": {"Address": "a@b"}}, "2210"),
        ({"PrimaryEmailAddr": "a@b.example"}, "2010"),
        ({"BillAddr": {"City": "x" * 256}}, "2050"),
        ({"PrimaryPhone": {"FreeFormNumber": "5" * 31}}, "2050"),
        ({"PreferredDeliveryMethod": "Fax"}, "2170"),
        ({"TaxExemptionReasonId": "16"}, "2170"),
        ({"Nickname": "x"}, "2010"),
        ({"SalesTermRef": {"value": "99"}}, "2500"),
        ({"Job": True}, "2020"),
        ({"CurrencyRef": {"value": "EUR"}}, "2220"),
    ],
)
def test_a_customer_is_checked(books: Books, change: dict, code: str | None) -> None:
    answer = books.call("POST", "customer", {"DisplayName": "New", **change})
    if code is None:
        assert answer.status_code == 200
    else:
        assert answer.json()["Fault"]["Error"][0]["code"] == code


def test_a_display_name_is_built_from_the_persons_name_and_cannot_be_taken_away(books: Books) -> None:
    customer = books.create("Customer", {"Title": "Dr.", "GivenName": "Ann", "FamilyName": "Lee"})
    assert customer["DisplayName"] == "Dr. Ann Lee"
    body = {"Id": customer["Id"], "SyncToken": "0", "sparse": True, "DisplayName": "", "Title": ""}
    assert books.create("Customer", body)["DisplayName"] == "Dr. Ann Lee"


def test_sub_customers_have_a_path_and_parents_their_balance(books: Books) -> None:
    sub = books.create("Customer", {"DisplayName": "Site A", "Job": True, "ParentRef": {"value": "1"}})
    assert (sub["FullyQualifiedName"], sub["Level"]) == ("O'Brien & Søns:Site A", 1)
    books.create("Invoice", invoice_of(sub["Id"], "10"))
    parent = books.read("Customer", "1")
    assert (parent["Balance"], parent["BalanceWithJobs"]) == (0, Decimal(10))


@pytest.mark.parametrize(
    ("entity", "body", "code"),
    [
        ("Item", {"Name": "WIDGET", "Type": "Service", "IncomeAccountRef": {"value": "4"}}, "6240"),
        ("Item", {"Name": "New", "Type": "Service"}, "2020"),
        ("Item", {"Name": "New", "Type": "Service", "IncomeAccountRef": {"value": "1"}}, "6430"),
        ("Item", {"Name": "New", "Type": "Gadget", "IncomeAccountRef": {"value": "4"}}, "2170"),
        ("Item", {"Name": "New", "Type": "Group"}, "500"),
        ("Term", {"Name": "net 30", "DueDays": 30}, "6240"),
        ("Term", {"Name": "x" * 32, "DueDays": 30}, "2050"),
        ("Term", {"Name": "Odd"}, "2020"),
        ("Term", {"Name": "Odd", "DueDays": 1000}, "2090"),
        ("Class", {"Name": "Retail"}, "5030"),
        ("Department", {"Name": "East"}, "5030"),
        ("CompanyCurrency", {"Code": "EUR"}, "5030"),
        ("TaxCode", {"Name": "X"}, "500"),
        ("Account", {"Name": 'A"B', "AccountType": "Income"}, "2040"),
        ("Account", {"Name": "A", "AccountType": "Magic"}, "2170"),
        ("Preferences", {"Id": "1", "SyncToken": "0"}, "500"),
    ],
)
def test_other_lists_are_checked(books: Books, entity: str, body: dict, code: str) -> None:
    assert books.refused("POST", entity.lower(), body)["code"] == code


def test_a_term_takes_its_days_as_text(books: Books) -> None:
    term = books.create("Term", {"DueDays": "120", "Name": "Term120"})
    assert (term["DueDays"], term["Type"], term["Active"]) == (120, "STANDARD", True)


def test_classes_and_locations_can_be_used_where_they_are_tracked(books: Books) -> None:
    behave(books.store, ClassTrackingPerTxnLine=True, TrackDepartments=True)
    tag = books.create("Class", {"Name": "Retail"})
    place = books.create("Department", {"Name": "East"})
    body = invoice_of("1", DepartmentRef={"value": place["Id"]})
    body["Line"][0]["SalesItemLineDetail"]["ClassRef"] = {"value": tag["Id"]}
    invoice = books.create("Invoice", body)
    assert invoice["Line"][0]["SalesItemLineDetail"]["ClassRef"]["name"] == "Retail"
    assert invoice["DepartmentRef"]["name"] == "East"


def test_nothing_of_a_list_can_be_deleted(books: Books) -> None:
    assert books.refused("POST", "customer", {"Id": "1", "SyncToken": "0"}, operation="delete")["code"] == "500"


def test_seeding_terms_again_by_name_makes_no_second_one(books: Books) -> None:
    first = books.seed("Term", {"Name": "Net 30", "DueDays": 30})[0]["Id"]
    assert books.seed("Term", {"Name": "net 30", "DueDays": 31})[0]["Id"] == first
    assert len(books.query("select * from Term where Name = 'Net 30'")["Term"]) == 1


def test_history_is_seeded_with_its_own_times_and_ids(books: Books) -> None:
    old = {"MetaData": {"CreateTime": "2024-05-01T10:00:00-07:00"}, "Id": "500", "TxnDate": "2024-05-01"}
    behave(books.store, BookCloseDate="2025-12-31")
    invoice = books.seed("Invoice", invoice_of("1", **old))[0]
    assert invoice["MetaData"]["LastUpdatedTime"] == "2024-05-01T10:00:00-07:00"
    paid = {"MetaData": {"CreateTime": "2024-06-01T10:00:00Z"}, "TxnDate": "2024-06-01"}
    link = [{"Amount": 100, "LinkedTxn": [{"TxnId": "500", "TxnType": "Invoice"}]}]
    books.seed("Payment", {"CustomerRef": {"value": "1"}, "TotalAmt": 100, "Line": link, **paid})
    invoice = books.read("Invoice", "500")
    assert (invoice["Balance"], invoice["MetaData"]["LastUpdatedTime"]) == (0, "2024-06-01T03:00:00-07:00")
    assert books.create("Invoice", invoice_of())["MetaData"]["CreateTime"].startswith("2026-11-22")


def test_a_bad_seed_is_told(books: Books) -> None:
    with pytest.raises(ValueError, match="no entity 'Deal'"):
        books.seed("Deal", {})
    with pytest.raises(ValueError, match="2500"):
        books.seed("Invoice", invoice_of("99"))
    with pytest.raises(ValueError, match="cannot be switched"):
        behave(books.store, Magic=True)


def test_the_company_and_its_preferences_can_be_read(books: Books) -> None:
    assert books.ok("GET", f"companyinfo/{books.options.realm_id}")["CompanyInfo"]["Id"] == "1"
    behave(books.store, BookCloseDate="2025-12-31")
    preferences = books.ok("GET", "preferences")["Preferences"]
    assert preferences["AccountingInfoPrefs"]["BookCloseDate"] == "2025-12-31"
    assert books.query("select * from CompanyInfo")["CompanyInfo"][0]["DefaultTimeZone"] == "America/Los_Angeles"
    assert income_account(books.store)["name"] == "Sales of Product Income"


def test_ageing_follows_due_dates_and_counts_credits(books: Books) -> None:
    for due, amount in (("2026-12-01", "10"), ("2026-11-21", "20"), ("2026-10-01", "30"), ("2026-01-01", "40")):
        books.create("Invoice", invoice_of("1", amount, TxnDate="2026-01-01", DueDate=due))
    books.create("CreditMemo", invoice_of("1", "5"))
    books.create("Payment", {"CustomerRef": {"value": "1"}, "TotalAmt": 15, "TxnDate": "2026-11-22"})
    rows = books.ok("GET", "reports/AgedReceivables", report_date="2026-11-22")["Rows"]["Row"]
    assert [cell["value"] for cell in rows[0]["ColData"]] == [
        "O'Brien & Søns",
        "-10.00",
        "20.00",
        "30.00",
        "",
        "40.00",
        "80.00",
    ]
    assert rows[1]["Summary"]["ColData"][-1]["value"] == "80.00"
    empty = books.ok("GET", "reports/AgedReceivables", report_date="2020-01-01")
    assert empty["Rows"] == {}


def test_twins_of_the_past_can_be_changed_as_long_as_their_name_stays(books: Books) -> None:
    twin = books.seed("Customer", {"DisplayName": "Müller GmbH"})[0]
    sparse = {"Id": twin["Id"], "SyncToken": "0", "sparse": True, "Notes": "twin"}
    assert books.create("Customer", sparse)["Notes"] == "twin"
    sparse = {**sparse, "SyncToken": "1", "DisplayName": "müller gmbh"}
    assert books.refused("POST", "customer", sparse)["code"] == "6240"
