"""The plan: every won deal once, to the cent, with every reason told; and none that shows a sign of an invoice."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qbsf_pipeline.invoices.tables import DEALS, NOTES, PLAN, REFUSALS
from qbsf_pipeline.money import parse_json
from qbsf_pipeline.quickbooks.objects import opportunity_in
from qbsf_pipeline_tests.invoices.records import (
    ORG,
    REALM,
    World,
    account,
    codes,
    customer,
    invoice,
    invoice_key,
    item,
    ledger_line,
    line,
    noted,
    operations,
    opportunity,
    outcomes,
    payload,
    product,
    record_id,
    rules,
)

DEAL, ACCOUNT, PRODUCT = record_id("006"), record_id("001"), record_id("01t")
CUSTOMER_KEY = f"quickbooks:{REALM}:customer:{ACCOUNT}"
NEW_CUSTOMER = f"$customer:{ACCOUNT}"


# What a sound deal becomes


def test_a_sound_deal_becomes_invoice_mail_and_write_backs_in_this_order():
    plan = World().plan()
    assert operations(plan) == ["create_invoice", "send_invoice", "write_back_opportunity", "write_back_account"]
    assert plan.writes.get_column("position").to_list() == [1, 2, 3, 4]
    assert plan.writes.get_column("key").to_list()[:2] == [invoice_key(), f"quickbooks:{REALM}:send:{DEAL}:1"]
    assert plan.writes.get_column("depends_on").to_list() == ["", invoice_key(), invoice_key(), ""]
    assert plan.writes.get_column("plan_id").n_unique() == 1
    assert outcomes(plan) == {"Deal 1": "planned"}
    assert plan.refusals.is_empty()
    assert plan.notes.is_empty()


def test_the_frames_have_the_schemas_of_their_tables_even_when_empty():
    for plan in (World().plan(), World(opportunities=[], lines=[]).plan()):
        assert plan.writes.schema == PLAN.polars_schema
        assert plan.refusals.schema == REFUSALS.polars_schema
        assert plan.notes.schema == NOTES.polars_schema
        assert plan.deals.schema == DEALS.polars_schema


def test_the_invoice_says_what_the_deal_says():
    assert payload(World().plan(), "create_invoice") == {
        "CustomerRef": {"value": "101"},
        "TxnDate": "2026-11-10",
        "DueDate": "2026-12-10",
        "SalesTermRef": {"value": "3"},
        "BillEmail": {"Address": "ap@acme1.example"},
        "PrivateNote": f"Salesforce Opportunity {DEAL}",
        "CustomerMemo": {"value": "Thank you for your business."},
        "BillAddr": {
            "Line1": "1 Main Street",
            "Line2": "Suite 5",
            "City": "Boulder",
            "CountrySubDivisionCode": "CO",
            "PostalCode": "80302",
            "Country": "USA",
        },
        "Line": [
            {
                "LineNum": 1,
                "DetailType": "SalesItemLineDetail",
                "Amount": Decimal("1000.00"),
                "Description": "Platform, one year",
                "SalesItemLineDetail": {"ItemRef": {"value": "201"}, "Qty": 2, "UnitPrice": 500, "TaxCodeRef": {"value": "NON"}},
            }
        ],
    }


def test_the_marker_is_read_back_as_the_deal_even_behind_a_note():
    noted_rules = rules(invoices={"private_note": "{opportunity} of {close_date}"})
    note = payload(World().plan(noted_rules), "create_invoice")["PrivateNote"]
    assert note == f"Salesforce Opportunity {DEAL}\nDeal 1 of 2026-11-10"
    assert opportunity_in(note) == DEAL
    assert opportunity_in(f"Voided - {note}") == DEAL


def test_the_plan_is_the_same_whatever_the_order_of_rows():
    world = World(
        opportunities=[opportunity(number) for number in (1, 2, 3)],
        lines=[line(number, number) for number in (1, 2, 3)],
        customers=[],
    )
    first = world.plan()
    world.opportunities.reverse()
    world.lines.reverse()
    assert world.plan().writes.equals(first.writes)


def test_new_content_gives_a_new_plan_id_and_the_same_key():
    first = World().plan().writes
    second = World(accounts=[account(billing_city="Denver")]).plan().writes
    assert first.get_column("key")[0] == second.get_column("key")[0]
    assert first.get_column("plan_id")[0] != second.get_column("plan_id")[0]
    assert first.get_column("decided_from")[0] != second.get_column("decided_from")[0]


def test_text_that_quickbooks_would_refuse_is_mended_and_told():
    world = World(
        opportunities=[opportunity(name="Ünï\x07code: 'Deal' 😀")],
        lines=[line(description="x" * 4100)],
        accounts=[account(billing_street="\r\n".join(f"Line {number}" for number in range(8)))],
    )
    plan = world.plan(rules(invoices={"customer_memo": "{opportunity}"}))
    body = payload(plan, "create_invoice")
    assert body["CustomerMemo"] == {"value": "Ünïcode: 'Deal' 😀"}
    assert len(body["Line"][0]["Description"]) == 4000
    assert body["BillAddr"]["Line5"] == "Line 4, Line 5, Line 6, Line 7"
    assert noted(plan) == {"text_shortened"}
    assert codes(world.plan(rules(invoices={"long_text": "refuse"}))) == {"text_too_long"}


# Never twice


@pytest.mark.parametrize(
    "world",
    [
        World(opportunities=[opportunity(invoice_id="301")]),
        World(opportunities=[opportunity(invoice_number="1001")]),
        World(opportunities=[opportunity(invoice_url="https://qbo.test/1")]),
        World(invoices=[invoice(opportunity_id=DEAL)]),
        World(invoices=[invoice(opportunity_id=DEAL[:15])]),
        World(invoices=[invoice(opportunity_id=DEAL, status="voided", total=Decimal(0))]),
        World(invoices=[invoice(opportunity_id=DEAL, status="deleted", is_deleted=True)]),
        World(invoice_links=[{"opportunity_id": DEAL, "invoice_id": "301"}]),
        World(ledger=[ledger_line(invoice_key(), "done", result_id="301", opportunity_id=DEAL)]),
        World(ledger=[ledger_line("quickbooks:1:invoice:x:1", "done", result_id="301", opportunity_id=DEAL)]),
        World(ledger=[ledger_line(invoice_key(), "done", opportunity_id=DEAL)]),
    ],
)
def test_a_deal_with_any_sign_of_an_invoice_is_never_billed_again(world):
    plan = world.plan()
    assert "create_invoice" not in operations(plan)
    assert "send_invoice" not in operations(plan)
    assert outcomes(plan) == {"Deal 1": "invoiced"}


def test_an_invoice_found_by_its_marker_is_told_to_salesforce_with_its_own_values():
    found = invoice(opportunity_id=DEAL, balance=Decimal("40.50"), email_status="EmailSent")
    plan = World(invoices=[found]).plan()
    assert operations(plan) == ["write_back_opportunity"]
    assert payload(plan, "write_back_opportunity") == {
        "Id": DEAL,
        "QuickBooks_Invoice_Id__c": "301",
        "QuickBooks_Invoice_Number__c": "1001",
        "QuickBooks_Invoice_URL__c": "https://qbo.test/app/invoice?txnId=301",
        "Payment_Status__c": "Sent",
        "Invoice_Balance__c": Decimal("40.50"),
    }


@pytest.mark.parametrize(("status", "told"), [("live", "Invoiced"), ("voided", "Voided"), ("deleted", "Deleted")])
def test_an_adopted_invoice_tells_what_became_of_it(status, told):
    plan = World(invoices=[invoice(opportunity_id=DEAL, status=status)]).plan()
    assert payload(plan, "write_back_opportunity")["Payment_Status__c"] == told


def test_an_adopted_invoice_that_was_never_mailed_is_mailed_before_the_deal_is_told():
    lost_sight_of = {"opportunity_id": DEAL, "email_status": "NotSet", "bill_email": "ap@acme.example"}
    plan = World(invoices=[invoice(**lost_sight_of)]).plan()
    assert operations(plan) == ["send_invoice", "write_back_opportunity"]
    assert payload(plan, "send_invoice") == {"Id": "301", "BillEmail": {"Address": "ap@acme.example"}}
    assert payload(plan, "write_back_opportunity")["Payment_Status__c"] == "$invoice.status"
    keys = dict(plan.writes.select("operation", "key").iter_rows())
    assert keys["send_invoice"] == invoice_key().replace(":invoice:", ":send:")
    assert plan.writes.get_column("depends_on").to_list() == ["", keys["send_invoice"]]
    for known in ({"balance": Decimal(0)}, {"bill_email": None}, {"status": "voided"}, {"email_status": "EmailSent"}):
        assert operations(World(invoices=[invoice(**lost_sight_of | known)]).plan()) == ["write_back_opportunity"]


def test_a_linked_invoice_is_told_once_it_was_read():
    links = [{"opportunity_id": DEAL, "invoice_id": "301"}]
    assert operations(World(invoice_links=links, invoices=[invoice()]).plan()) == ["write_back_opportunity"]
    unread = World(invoice_links=links).plan()
    assert operations(unread) == []
    assert noted(unread) == {"invoice_not_read"}


@pytest.mark.parametrize("status", ["planned", "sending", "failed", "dead"])
def test_an_invoice_whose_write_back_waits_is_not_told_twice(status):
    key = World().plan().writes.filter(pl.col("operation") == "write_back_opportunity").get_column("key")[0]
    created = ledger_line(invoice_key(), "done", result_id="301", opportunity_id=DEAL)
    waiting = ledger_line(key, status, "write_back_opportunity", opportunity_id=DEAL)
    world = World(invoices=[invoice(opportunity_id=DEAL)], ledger=[created, waiting])
    assert operations(world.plan()) == []
    world.ledger = [created]
    assert operations(world.plan()) == ["write_back_opportunity"]


def test_two_invoices_of_one_deal_are_refused_with_both_numbers():
    world = World(invoices=[invoice(opportunity_id=DEAL), invoice(2, opportunity_id=DEAL[:15])])
    plan = world.plan()
    assert codes(plan) == {"duplicate_marker"}
    assert "1001" in plan.refusals["reason"][0]
    assert "1002" in plan.refusals["reason"][0]
    assert operations(plan) == []
    world.opportunities = [opportunity(invoice_id="302")]
    assert outcomes(world.plan()) == {"Deal 1": "invoiced"}


def test_an_invoice_of_another_deal_is_no_sign():
    assert outcomes(World(invoices=[invoice(opportunity_id=record_id("006", 2))]).plan()) == {"Deal 1": "planned"}


def test_a_stored_invoice_that_quickbooks_does_not_have_is_noted_and_not_billed():
    plan = World(opportunities=[opportunity(invoice_id="999")]).plan()
    assert operations(plan) == []
    assert noted(plan) == {"stored_invoice_missing"}


@pytest.mark.parametrize("status", [None, "", "Not Invoiced", "Awaiting signature"])
def test_a_payment_status_that_speaks_of_no_invoice_is_no_hindrance(status):
    assert outcomes(World(opportunities=[opportunity(payment_status=status)]).plan()) == {"Deal 1": "planned"}


def test_bill_it_again_does_not_ask_what_the_payment_status_was():
    voided = invoice(opportunity_id=DEAL, status="voided")
    world = World(
        opportunities=[opportunity(invoice_id="301", payment_status="Voided")],
        generations=[{"opportunity_id": DEAL, "generation": 2}],
        invoices=[voided],
    )
    assert outcomes(world.plan()) == {"Deal 1": "planned"}


def test_bill_it_again_makes_a_new_key_once():
    again = [{"opportunity_id": DEAL, "generation": 2}]
    first = ledger_line(invoice_key(), "done", result_id="301", opportunity_id=DEAL)
    voided = invoice(opportunity_id=DEAL, status="voided")
    world = World(opportunities=[opportunity(invoice_id="301")], generations=again, invoices=[voided], ledger=[first])
    plan = world.plan()
    assert plan.writes.get_column("key")[0] == invoice_key(1, 2)
    second = ledger_line(invoice_key(1, 2), "done", result_id="302", opportunity_id=DEAL)
    world.ledger = [first, second]
    world.invoices = [voided, invoice(2, opportunity_id=DEAL)]
    after = world.plan()
    assert operations(after) == ["write_back_opportunity"]
    assert payload(after, "write_back_opportunity")["QuickBooks_Invoice_Id__c"] == "302"
    world.ledger = []
    assert outcomes(world.plan()) == {"Deal 1": "invoiced"}
    world.invoices.append(invoice(3, opportunity_id=DEAL))
    assert codes(world.plan()) == {"duplicate_marker"}


@pytest.mark.parametrize(
    ("status", "outcome"), [("planned", "in_progress"), ("failed", "in_progress"), ("sending", "in_progress"), ("dead", "dead")]
)
def test_a_deal_in_the_ledger_is_planned_again_under_the_same_key(status, outcome):
    world = World(ledger=[ledger_line(invoice_key(), status, opportunity_id=DEAL, error_code="6000")])
    plan = world.plan()
    assert outcomes(plan) == {"Deal 1": outcome}
    assert plan.writes.equals(World().plan().writes)


def test_a_sent_deal_that_became_unsound_is_neither_refused_nor_planned():
    world = World(accounts=[account(billing_city=None)], ledger=[ledger_line(invoice_key(), "sending", opportunity_id=DEAL)])
    plan = world.plan()
    assert outcomes(plan) == {"Deal 1": "in_progress"}
    assert plan.refusals.is_empty()
    assert plan.writes.is_empty()


# Which deals


def test_only_won_deals_that_are_not_deleted_are_looked_at():
    world = World(
        opportunities=[opportunity(1, is_won=False), opportunity(2, is_won=None), opportunity(3, is_deleted=True)], lines=[]
    )
    assert world.plan().deals.is_empty()


def test_deals_before_the_go_live_date_are_left_alone():
    old = World(opportunities=[opportunity(close_date=date(2026, 9, 30))])
    assert outcomes(old.plan()) == {"Deal 1": "before_go_live"}
    assert operations(old.plan()) == []
    assert outcomes(old.plan(go_live=None)) == {"Deal 1": "planned"}
    assert outcomes(old.plan(go_live=date(2026, 9, 30))) == {"Deal 1": "planned"}


# Refusals


@pytest.mark.parametrize(
    ("code", "world"),
    [
        ("no_account", World(opportunities=[opportunity(account_id=None)])),
        ("account_not_found", World(opportunities=[opportunity(account_id=record_id("001", 9))])),
        ("account_deleted", World(accounts=[account(is_deleted=True)])),
        ("billing_address_missing", World(accounts=[account(billing_city="")])),
        ("billing_email_missing", World(accounts=[account(billing_email=None)], customers=[])),
        ("billing_email_malformed", World(accounts=[account(billing_email="ap@acme")], customers=[])),
        ("no_line_items", World(lines=[])),
        ("payment_terms_missing", World(opportunities=[opportunity(payment_terms=None)], accounts=[account(payment_terms=" ")])),
        ("payment_terms_unknown", World(opportunities=[opportunity(payment_terms="Net 31")])),
        ("contract_url_missing", World(opportunities=[opportunity(contract_url=None)])),
        ("contract_url_malformed", World(opportunities=[opportunity(contract_url="see drive")])),
        ("currency_not_in_quickbooks", World(opportunities=[opportunity(currency="EUR")])),
        ("currency_unknown", World(organization={"id": ORG}, preferences={"multi_currency": True, "home_currency": "USD"})),
        ("amount_differs", World(opportunities=[opportunity(amount=Decimal("1000.02"))])),
        ("line_without_amount", World(lines=[line(total_price=None)])),
        ("product_without_item", World(items=[])),
        ("item_ambiguous", World(items=[item(), item(2, name="B", fully_qualified_name="B")])),
        ("item_inactive", World(items=[item(active=False)])),
        ("item_not_sellable", World(items=[item(type="Group")])),
        ("line_without_product", World(lines=[line(product_id=None, product_code=None)])),
        ("close_date_missing", World(opportunities=[opportunity(close_date=None)])),
        ("payment_status_without_invoice", World(opportunities=[opportunity(payment_status="Partially Paid")])),
        ("payment_status_without_invoice", World(opportunities=[opportunity(payment_status=" voided ")])),
        ("customer_ignored", World(decisions=[{"account_id": ACCOUNT, "decision": "ignore"}])),
    ],
)
def test_a_deal_is_refused_for_exactly_this_reason(code, world):
    plan = world.plan()
    assert codes(plan) == {code}
    assert outcomes(plan) == {"Deal 1": "refused"}
    assert plan.writes.is_empty()


def test_the_books_are_closed():
    world = World()
    world.preferences["book_close_date"] = date(2026, 11, 10)
    assert codes(world.plan()) == {"books_closed"}
    assert codes(world.plan(rules(invoices={"invoice_date": "today"}))) == set()


def test_a_deal_of_nothing_or_less_is_refused():
    free = World(opportunities=[opportunity(amount=Decimal(0))], lines=[line(unit_price=Decimal(0), total_price=Decimal(0))])
    assert codes(free.plan()) == {"amount_not_positive"}
    credit = World(opportunities=[opportunity(amount=Decimal(-5))], lines=[line(total_price=Decimal(-5))])
    assert codes(credit.plan()) == {"amount_not_positive"}


def test_all_reasons_of_a_deal_are_told_at_once_and_in_order():
    world = World(
        opportunities=[opportunity(contract_url=None, payment_terms="Net 31", currency="EUR")],
        accounts=[account(billing_city=None, billing_email="x")],
        items=[],
        customers=[],
    )
    plan = world.plan()
    assert plan.refusals.get_column("code").to_list() == [
        "billing_address_missing",
        "billing_email_malformed",
        "contract_url_missing",
        "payment_terms_unknown",
        "currency_not_in_quickbooks",
        "product_without_item",
    ]
    assert plan.refusals.get_column("position").to_list() == [1, 2, 3, 4, 5, 6]


def test_a_refused_deal_does_not_stop_the_others():
    world = World(opportunities=[opportunity(1, contract_url=None), opportunity(2)], lines=[line(1, 1), line(2, 2)])
    assert outcomes(world.plan()) == {"Deal 1": "refused", "Deal 2": "planned"}


def test_a_deal_whose_customer_is_a_question_waits():
    world = World(customers=[customer(email=None)])
    plan = world.plan()
    assert outcomes(plan) == {"Deal 1": "waiting"}
    assert codes(plan) == {"customer_in_review"}
    world.opportunities = [opportunity(contract_url=None)]
    assert outcomes(world.plan()) == {"Deal 1": "refused"}


def test_the_same_reason_of_two_lines_is_told_once():
    world = World(lines=[line(1, total_price=Decimal(500)), line(2, total_price=Decimal(500))], items=[])
    assert world.plan().refusals.height == 1


# Rules


def test_what_the_rules_do_not_require_may_be_missing():
    lenient = rules(required={"billing_address": [], "billing_email": False, "contract_url": False, "payment_terms": False})
    bare = account(billing_street=None, billing_city=None, billing_email="broken", payment_terms=None)
    world = World(opportunities=[opportunity(contract_url="broken", payment_terms=None)], accounts=[bare], customers=[])
    plan = world.plan(lenient)
    body = payload(plan, "create_invoice")
    assert not {"DueDate", "SalesTermRef", "BillEmail"} & set(body)
    assert "send_invoice" not in operations(plan)
    assert noted(plan) == {"not_e_mailed"}


def test_drafts_are_not_mailed():
    assert "send_invoice" not in operations(World().plan(rules(invoices={"send": "draft"})))
    assert "send_invoice" not in operations(World().plan(send=False))


def test_terms_come_from_the_deal_then_the_account_then_the_rules():
    def due(world, with_rules=None):
        return payload(world.plan(with_rules), "create_invoice")["DueDate"]

    assert due(World(opportunities=[opportunity(payment_terms="net15")])) == "2026-11-25"
    assert due(World(opportunities=[opportunity(payment_terms=None)])) == "2026-12-10"
    neither = World(opportunities=[opportunity(payment_terms=None)], accounts=[account(payment_terms=None)])
    assert due(neither, rules(invoices={"default_terms": "Net 15"})) == "2026-11-25"


def test_document_numbers_are_drawn_only_where_the_company_wants_them():
    world = World()
    world.preferences["custom_document_numbers"] = True
    assert payload(world.plan(), "create_invoice")["DocNumber"] == "$next"
    assert "DocNumber" not in payload(world.plan(rules(invoices={"document_number": "none"})), "create_invoice")


def test_the_contact_in_the_bill_to_role_receives_the_invoice():
    world = World(
        accounts=[account(billing_email=None, customer_id="101")],
        contacts=[{"id": record_id("003"), "account_id": ACCOUNT, "name": "Jo", "email": "jo@acme1.example"}],
        roles=[
            {
                "id": record_id("00K"),
                "opportunity_id": DEAL,
                "contact_id": record_id("003"),
                "role": "bill to",
                "is_primary": False,
            }
        ],
    )
    assert payload(world.plan(), "create_invoice")["BillEmail"] == {"Address": "jo@acme1.example"}


def test_recurring_billing_is_noted_where_the_rules_bill_everything_at_once():
    at_once = rules(recurring={"enabled": False})
    assert noted(World(opportunities=[opportunity(billing_frequency="Monthly")]).plan(at_once)) == {"billed_at_once"}


# Tax, currency, class


@pytest.mark.parametrize(
    ("lines", "taxable", "sales_tax", "code"),
    [
        ("item", True, True, "TAX"),
        ("item", False, True, "NON"),
        ("taxable", False, True, "TAX"),
        ("non_taxable", True, True, "NON"),
        ("item", True, False, "NON"),
        ("item", True, None, "TAX"),
    ],
)
def test_american_lines_carry_tax_or_non(lines, taxable, sales_tax, code):
    world = World(items=[item(taxable=taxable)])
    world.preferences["using_sales_tax"] = sales_tax
    body = payload(world.plan(rules(tax={"lines": lines})), "create_invoice")
    assert body["Line"][0]["SalesItemLineDetail"]["TaxCodeRef"] == {"value": code}
    assert "GlobalTaxCalculation" not in body


def test_elsewhere_lines_carry_the_items_tax_code_or_that_of_the_rules():
    world = World(company={"id": "1", "country": "GB"}, tax_codes=[{"id": "5", "name": "20.0% S", "active": True}])
    assert codes(world.plan()) == {"tax_code_missing"}
    body = payload(world.plan(rules(tax={"code": "20.0% s"})), "create_invoice")
    assert body["Line"][0]["SalesItemLineDetail"]["TaxCodeRef"] == {"value": "5"}
    assert body["GlobalTaxCalculation"] == "TaxExcluded"
    world.items = [item(tax_code_id="5")]
    assert payload(world.plan(), "create_invoice")["Line"][0]["SalesItemLineDetail"]["TaxCodeRef"] == {"value": "5"}
    world.preferences["using_sales_tax"] = False
    untaxed = payload(world.plan(), "create_invoice")
    assert untaxed["GlobalTaxCalculation"] == "NotApplicable"
    assert "TaxCodeRef" not in untaxed["Line"][0]["SalesItemLineDetail"]


def test_currencies_follow_the_customer():
    euro = opportunity(currency="EUR")
    world = World(opportunities=[euro], customers=[customer(currency="EUR")])
    world.preferences["multi_currency"] = True
    assert payload(world.plan(), "create_invoice")["CurrencyRef"] == {"value": "EUR"}
    world.customers = [customer(currency="USD")]
    assert codes(world.plan()) == {"currency_differs_from_customer"}
    world.customers = [customer(currency=None)]
    assert codes(world.plan()) == {"currency_differs_from_customer"}


def test_a_new_customer_has_the_currency_of_its_first_deal():
    world = World(
        opportunities=[opportunity(1, currency="EUR"), opportunity(2, currency="USD")],
        lines=[line(1, 1), line(2, 2)],
        customers=[],
    )
    world.preferences["multi_currency"] = True
    plan = world.plan()
    assert payload(plan, "create_customer")["CurrencyRef"] == {"value": "EUR"}
    assert outcomes(plan) == {"Deal 1": "planned", "Deal 2": "refused"}
    assert codes(plan) == {"currency_differs_from_customer"}


def test_classes_and_locations_follow_rule_and_preference():
    named = rules(invoices={"line_class": "west", "department": "Boulder"})
    world = World(
        classes=[{"id": "7", "name": "West", "active": True}], departments=[{"id": "8", "name": "Boulder", "active": True}]
    )
    plain = payload(world.plan(named), "create_invoice")
    assert not {"ClassRef", "DepartmentRef"} & set(plain)
    world.preferences |= {"class_per_line": True, "departments": True}
    body = payload(world.plan(named), "create_invoice")
    assert body["DepartmentRef"] == {"value": "8"}
    assert body["Line"][0]["SalesItemLineDetail"]["ClassRef"] == {"value": "7"}
    world.preferences |= {"class_per_line": False, "class_per_transaction": True}
    assert payload(world.plan(named), "create_invoice")["ClassRef"] == {"value": "7"}
    world.classes, world.departments = [], []
    assert codes(world.plan(named)) == {"class_unknown", "department_unknown"}


# Customers and items that do not exist yet


def test_a_missing_customer_is_created_first_and_once():
    world = World(opportunities=[opportunity(1), opportunity(2)], lines=[line(1, 1), line(2, 2)], customers=[])
    plan = world.plan()
    assert operations(plan) == [
        "create_customer",
        "create_invoice",
        "send_invoice",
        "write_back_opportunity",
        "write_back_account",
        "create_invoice",
        "send_invoice",
        "write_back_opportunity",
    ]
    invoices = plan.writes.filter(pl.col("operation") == "create_invoice")
    assert invoices.get_column("depends_on").to_list() == [CUSTOMER_KEY, CUSTOMER_KEY]
    assert [payload(plan, "create_invoice", number)["CustomerRef"]["value"] for number in (0, 1)] == [NEW_CUSTOMER] * 2
    assert payload(plan, "write_back_account") == {"Id": ACCOUNT, "QuickBooks_Customer_Id__c": "$customer.Id"}
    assert payload(plan, "create_customer") == {
        "DisplayName": "Acme 1 Inc.",
        "CompanyName": "Acme 1 Inc.",
        "PrimaryEmailAddr": {"Address": "ap@acme1.example"},
        "PrimaryPhone": {"FreeFormNumber": "(303) 555-0101"},
        "WebAddr": {"URI": "https://www.acme1.example"},
        "BillAddr": payload(plan, "create_invoice")["BillAddr"],
        "SalesTermRef": {"value": "3"},
        "Notes": f"Salesforce Account {ACCOUNT}",
    }


def test_a_customer_that_was_created_is_not_created_again_before_it_is_read():
    before = World(customers=[]).plan()
    created = ledger_line(CUSTOMER_KEY, "done", "create_customer", result_id="777")
    after = World(customers=[], ledger=[created]).plan()
    assert "create_customer" not in operations(after)
    assert payload(after, "create_invoice")["CustomerRef"] == {"value": "777"}
    assert after.writes.get_column("plan_id")[0] == before.writes.get_column("plan_id")[0]
    assert (
        after.writes.filter(pl.col("operation") == "create_invoice").get_column("decided_from")[0]
        == before.writes.filter(pl.col("operation") == "create_invoice").get_column("decided_from")[0]
    )


def test_a_deal_whose_customer_was_refused_for_good_is_dead():
    dead = ledger_line(CUSTOMER_KEY, "dead", "create_customer", error_code="6240")
    plan = World(customers=[], ledger=[dead]).plan()
    assert outcomes(plan) == {"Deal 1": "dead"}
    assert "6240" in plan.deals["detail"][0]


@pytest.mark.parametrize(
    "world",
    [
        World(customers=[], vendors=[{"id": "1", "display_name": "acme 1 inc.", "active": True}]),
        World(customers=[], employees=[{"id": "1", "display_name": "Acme 1 Inc.", "active": False}]),
        World(customers=[], vendors=[{"id": "1", "display_name": "Acme 1 Inc. (deleted)", "active": False}]),
    ],
)
def test_a_new_customers_name_is_free_among_customers_vendors_and_employees(world):
    plan = world.plan()
    assert payload(plan, "create_customer")["DisplayName"] == "Acme 1 Inc. (2)"
    assert noted(plan) == {"customer_name_mended"}


def test_two_new_customers_of_one_plan_get_different_names():
    world = World(
        opportunities=[opportunity(1), opportunity(2, account_id=record_id("001", 2))],
        lines=[line(1, 1), line(2, 2)],
        accounts=[account(1, name="Vertex: Ops"), account(2, name="Vertex: Ops")],
        customers=[],
    )
    plan = world.plan()
    assert [payload(plan, "create_customer", number)["DisplayName"] for number in (0, 1)] == ["Vertex - Ops", "Vertex - Ops (2)"]


def test_a_sub_customer_follows_its_parent_by_rule():
    by_parent = rules(customers={"parent_accounts": "sub_customer"})
    child = account(2, name="Child", parent_id=ACCOUNT, billing_email="x@child.example", website=None, phone=None)
    world = World(opportunities=[opportunity(1, account_id=record_id("001", 2))], accounts=[account(customer_id="101"), child])
    assert "ParentRef" not in payload(world.plan(), "create_customer")
    body = payload(world.plan(by_parent), "create_customer")
    assert (body["ParentRef"], body["Job"], body["BillWithParent"]) == ({"value": "101"}, True, True)

    both = World(
        opportunities=[opportunity(1, account_id=record_id("001", 2)), opportunity(2)],
        lines=[line(1, 1), line(2, 2)],
        accounts=[account(), child],
        customers=[],
    )
    plan = both.plan(by_parent)
    assert payload(plan, "create_customer")["ParentRef"] == {"value": NEW_CUSTOMER}
    assert plan.writes.filter(pl.col("operation") == "create_customer").get_column("depends_on")[0] == CUSTOMER_KEY
    ring = World(
        opportunities=both.opportunities,
        lines=both.lines,
        accounts=[account(parent_id=record_id("001", 2)), child],
        customers=[],
    )
    assert "ParentRef" not in payload(ring.plan(by_parent), "create_customer")


def test_an_account_that_holds_its_customer_is_not_told_again():
    assert "write_back_account" not in operations(World(accounts=[account(customer_id="101")]).plan())


def test_a_customer_id_that_another_account_holds_is_not_written_twice():
    world = World(
        accounts=[account(), account(2, customer_id="101", name="Old")],
        links=[{"account_id": one, "customer_id": "101"} for one in (ACCOUNT, record_id("001", 2))],
    )
    assert "write_back_account" not in operations(world.plan())


def test_an_account_is_still_told_when_its_deal_is_invoiced_meanwhile():
    key = World().plan().writes.filter(pl.col("operation") == "write_back_account").get_column("key")[0]
    waiting = ledger_line(key, "failed", "write_back_account")
    world = World(opportunities=[opportunity(invoice_id="301")], invoices=[invoice()], ledger=[waiting])
    plan = world.plan()
    assert plan.writes.get_column("key").to_list() == [key]
    world.ledger = [ledger_line(key, "done", "write_back_account")]
    assert world.plan().writes.is_empty()


def test_items_are_created_by_rule_once_and_with_an_income_account():
    creating = rules(items={"missing": "create", "income_account": "sales"})
    world = World(
        opportunities=[opportunity(1), opportunity(2)],
        lines=[line(1, 1), line(2, 2)],
        items=[item(name="Platform", sku="OTHER", type="Service", fully_qualified_name="Platform", is_deleted=True)],
    )
    plan = world.plan(creating)
    assert operations(plan).count("create_item") == 1
    assert payload(plan, "create_item") == {
        "Name": "Platform",
        "Type": "Service",
        "Sku": "PLAT",
        "Description": "Platform, one year",
        "IncomeAccountRef": {"value": "79"},
    }
    detail = payload(plan, "create_invoice")["Line"][0]["SalesItemLineDetail"]
    assert detail["ItemRef"] == {"value": f"$item:{PRODUCT}"}
    key = f"quickbooks:{REALM}:item:{PRODUCT}"
    world.ledger = [ledger_line(key, "done", "create_item", result_id="555")]
    after = world.plan(creating)
    assert "create_item" not in operations(after)
    assert payload(after, "create_invoice")["Line"][0]["SalesItemLineDetail"]["ItemRef"] == {"value": "555"}
    assert after.writes.get_column("plan_id")[0] == plan.writes.get_column("plan_id")[0]
    assert codes(world.plan(rules(items={"missing": "create"}))) == {"income_account_unknown"}


# To the cent, whatever the deal


_MONEY = st.decimals(min_value=Decimal("-99999.9999"), max_value=Decimal("99999.9999"), places=4, allow_nan=False)
_QUANTITY = st.decimals(min_value=Decimal("0.01"), max_value=Decimal(5000), places=2, allow_nan=False)


@settings(max_examples=60)
@given(st.lists(st.tuples(_MONEY, _QUANTITY), min_size=1, max_size=6))
def test_the_planned_invoice_equals_the_deal_to_the_cent_or_is_refused(lines):
    total = sum((price for price, _ in lines), Decimal(0))
    world = World(
        opportunities=[opportunity(amount=total)],
        lines=[
            line(number, total_price=price, quantity=quantity, unit_price=None)
            for number, (price, quantity) in enumerate(lines, start=1)
        ],
        products=[product()],
    )
    plan = world.plan()
    rounded = total.quantize(Decimal("0.01"), rounding="ROUND_HALF_UP")
    if rounded <= 0:
        assert codes(plan) == {"amount_not_positive"}
        return
    row = plan.writes.filter(pl.col("operation") == "create_invoice").row(0, named=True)
    body = parse_json(row["payload"])
    assert sum(Decimal(one["Amount"]) for one in body["Line"]) == rounded == row["amount"]
    for one in body["Line"]:
        detail = one["SalesItemLineDetail"]
        if "UnitPrice" in detail:
            product_of = Decimal(detail["Qty"]) * Decimal(detail["UnitPrice"])
            assert product_of.quantize(Decimal("0.01"), rounding="ROUND_HALF_UP") == Decimal(one["Amount"])
