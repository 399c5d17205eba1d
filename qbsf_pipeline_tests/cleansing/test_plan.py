"""Every kind of finding: what brings it about, how grave it is, and what does not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from qbsf_pipeline.cleansing.findings import KINDS, Finding
from qbsf_pipeline.cleansing.plan import audit
from qbsf_pipeline_tests.cleansing.audited import SELLER, another_account, audited, found, inputs, open_deal
from qbsf_pipeline_tests.invoices.records import (
    READ_AT,
    TODAY,
    World,
    account,
    customer,
    invoice,
    item,
    line,
    opportunity,
    product,
    record_id,
    rules,
)


def contact(number: int = 1, **values: Any) -> dict[str, Any]:
    return {
        "id": record_id("003", number),
        "account_id": record_id("001"),
        "name": "Ann Lee",
        "email": "ann@acme1.example",
        **values,
    }


def role(**values: Any) -> dict[str, Any]:
    return {
        "id": record_id("00K"), "opportunity_id": record_id("006"), "contact_id": record_id("003"), "role": "Bill To",
        "is_primary": False, **values,
    }  # fmt: skip


def world(**values: Any) -> World:
    """A sound world: an account with a won deal, its customer with the same address, an item for its product."""
    sound = {
        "billing_line1": "1 Main Street", "billing_street": "1 Main Street", "billing_city": "Boulder", "billing_state": "CO",
        "billing_postal_code": "80302", "billing_country": "USA", "term_id": "3",
    }  # fmt: skip
    return World(**{"customers": [customer(**sound)], **values})


def only(findings: dict[str, list[Finding]], code: str) -> Finding:
    assert code in findings, f"{code} is not among {sorted(findings)}"
    (finding,) = findings[code]
    return finding


def test_a_sound_world_has_no_finding_and_full_marks() -> None:
    sound = audited(world())
    assert sound.findings == []
    assert {system: score.value for system, score in sound.scores.items()} == {
        "salesforce": Decimal("100.0"),
        "quickbooks": Decimal("100.0"),
    }


#: Kind -> (how the world comes to have it, severity, system, part of the sentence).
CASES: list[tuple[str, Callable[[], World], str, str, str]] = [
    (
        "billing_address_missing",
        lambda: world(accounts=[account(billing_street=None, billing_city=" ")]),
        "error", "salesforce", "has no street and no city",
    ),
    (
        "billing_address_missing",
        lambda: world(accounts=[account(), another_account(billing_city=None)]),
        "hint", "salesforce", "“Zenith Bakery C” has no city",
    ),
    (
        "billing_email_missing",
        lambda: world(accounts=[account(billing_email=None)]),
        "error", "salesforce", "nobody receives the invoice of the deal “Deal 1”",
    ),
    (
        "billing_email_missing",
        lambda: world(accounts=[account(), another_account(billing_email=None)]),
        "hint", "salesforce", "none of its contacts has an e-mail",
    ),
    (
        "payment_terms_missing",
        lambda: world(accounts=[account(payment_terms=None)], opportunities=[opportunity(payment_terms=None)]),
        "error", "salesforce", "neither has the deal “Deal 1”",
    ),
    (
        "payment_terms_missing",
        lambda: world(accounts=[account(), another_account(payment_terms=" ")]),
        "hint", "salesforce", "has no payment terms.",
    ),
    (
        "terms_unknown",
        lambda: world(opportunities=[opportunity(payment_terms="Net 75 EOM")]),
        "error", "salesforce", "“Net 75 EOM” of “Acme 1 Inc.” (on the deal “Deal 1”)",
    ),
    (
        "terms_unknown",
        lambda: world(accounts=[account(), another_account(payment_terms="30 days")]),
        "hint", "salesforce", "It has: Net 15 and Net 30",
    ),
    (
        "terms_differ",
        lambda: world(accounts=[account(payment_terms="Net 15")]),
        "warning", "salesforce", "“Net 15” in Salesforce, and its customer “Acme 1, Inc” has “Net 30” in QuickBooks",
    ),
    (
        "product_without_item",
        lambda: world(items=[]),
        "error", "salesforce", "It is on the deal “Deal 1”",
    ),
    (
        "inactive_item_sold",
        lambda: world(items=[item(active=False)], opportunities=[open_deal(1)]),
        "error", "quickbooks", "The item “Platform” for the product “Platform” is inactive",
    ),
    (
        "item_without_product",
        lambda: world(items=[item(), item(2, name="Freight", fully_qualified_name="Freight", sku="FRT")]),
        "hint", "quickbooks", "“Freight” (SKU FRT) stands for no product",
    ),
    (
        "inactive_product_sold",
        lambda: world(products=[product(is_active=False)], opportunities=[open_deal(1)]),
        "warning", "salesforce", "The product “Platform” is inactive in Salesforce and is on the deal “Deal 1”",
    ),
    (
        "terms_unknown",
        lambda: world(terms=[*world().terms, {"id": "5", "name": "Net 45", "active": False}],
                      opportunities=[opportunity(payment_terms="Net 45")]),
        "error", "salesforce", "are inactive in QuickBooks",
    ),
    (
        "customer_unclear",
        lambda: world(accounts=[account(customer_id="999")]),
        "error", "salesforce", "which customer “Acme 1 Inc.” (1 won deal) is. The account holds the customer id 999",
    ),
    (
        "customer_id_unknown",
        lambda: world(accounts=[account(customer_id="999")]),
        "error", "salesforce", "holds the customer id 999, which QuickBooks does not have",
    ),
    (
        "customer_id_shared",
        lambda: world(accounts=[account(customer_id="101"), another_account(customer_id="101")]),
        "error", "salesforce", "“Acme 1 Inc.” and “Zenith Bakery C” hold the same customer id 101",
    ),
    (
        "account_without_customer",
        lambda: world(customers=[]),
        "hint", "salesforce", "has 1 won deal, and no customer in QuickBooks is like it",
    ),
    (
        "balance_without_account",
        lambda: world(customers=[*world().customers, customer(9, display_name="Odd Job", email=None, balance=Decimal("12.5"))]),
        "warning", "quickbooks", "“Odd Job” owes 12.50 USD",
    ),
    (
        "balance_without_account",
        lambda: world(customers=[*world().customers, customer(9, display_name="Odd Job", email=None, balance=Decimal("-3"))]),
        "warning", "quickbooks", "has 3.00 USD of credit",
    ),
    (
        "inactive_customer_in_use",
        lambda: world(customers=[*world().customers, customer(9, display_name="Gone", email=None, active=False)],
                      invoices=[invoice(customer_id="109", txn_date=TODAY - timedelta(days=364))]),
        "warning", "quickbooks", "is inactive and has 1 invoice of the last 365 days",
    ),
    (
        "inactive_customer_in_use",
        lambda: world(customers=[customer(active=False)], accounts=[account(customer_id="101")]),
        "error", "quickbooks", "is inactive and has 1 deal on its account",
    ),
    (
        "currency_differs",
        lambda: world(opportunities=[opportunity(currency="EUR")]),
        "error", "salesforce", "The deal “Deal 1” of “Acme 1 Inc.” is in EUR, and QuickBooks is kept in USD only",
    ),
    (
        "email_malformed",
        lambda: world(accounts=[account(billing_email="ap.acme.example")]),
        "error", "salesforce", "The billing e-mail “ap.acme.example” of “Acme 1 Inc.” has no @",
    ),
    (
        "email_malformed",
        lambda: world(contacts=[contact(email="ann@acme")]),
        "warning", "salesforce", "has no dot in its domain",
    ),
    (
        "email_domain_typo",
        lambda: world(contacts=[contact(email="ann@gmial.com")]),
        "warning", "salesforce", "looks like a slip for ann@gmail.com",
    ),
    (
        "phone_malformed",
        lambda: world(accounts=[account(phone="12345")]),
        "hint", "salesforce", "The phone “12345” of “Acme 1 Inc.” is too short",
    ),
    (
        "website_malformed",
        lambda: world(accounts=[account(website="see below")]),
        "hint", "salesforce", "“see below” of “Acme 1 Inc.” has a space in it",
    ),
    (
        "country_unknown",
        lambda: world(accounts=[account(billing_country="Untied States")]),
        "warning", "salesforce", "The country “Untied States” of the billing address of “Acme 1 Inc.” is no country",
    ),
    (
        "state_unknown",
        lambda: world(accounts=[account(billing_state="Colorodo")]),
        "warning", "salesforce", "is no state or province of the United States",
    ),
    (
        "state_unknown",
        lambda: world(accounts=[account(billing_state="Colorodo", billing_country=None)]),
        "warning", "salesforce", "“Colorodo”",
    ),
    (
        "postal_code_wrong",
        lambda: world(accounts=[account(shipping_postal_code="2110", shipping_country="USA")]),
        "warning", "salesforce", "“2110” of the shipping address",
    ),
    (
        "address_malformed",
        lambda: world(accounts=[account(billing_city="Boulder, CO 80302")]),
        "warning", "salesforce", "The city “Boulder, CO 80302” of the billing address of “Acme 1 Inc.” holds a postal code",
    ),
    (
        "name_refused",
        lambda: world(accounts=[account(), another_account(name="Zenith: Bakery\tHeadquarters")], opportunities=[open_deal(1),
                      open_deal(2, account_id=record_id("001", 2))]),
        "warning", "salesforce", "has a colon, which separates parent and sub-customer and has a tab in it",
    ),
    (
        "name_refused",
        lambda: world(accounts=[account(), another_account(name="Zenith\u0007 Bakery")]),
        "hint", "salesforce", "a control character",
    ),
    (
        "name_refused",
        lambda: world(accounts=[account(), another_account(name="Z" * 101)]),
        "hint", "salesforce", "has 101 characters",
    ),
    (
        "name_shared",
        lambda: world(accounts=[account(), another_account()], vendors=[{"id": "7", "display_name": "ZENITH Bakery C, LLC"}]),
        "hint", "salesforce", "has the name of the QuickBooks vendor “ZENITH Bakery C, LLC”",
    ),
    (
        "name_shared",
        lambda: world(employees=[{"id": "7", "display_name": "Acme 1"}]),
        "hint", "quickbooks", "The customer “Acme 1, Inc” has the name of the employee “Acme 1”",
    ),
    (
        "contact_without_email",
        lambda: world(contacts=[contact(email=None)]),
        "hint", "salesforce", "The contact “Ann Lee” of “Acme 1 Inc.” has no e-mail.",
    ),
    (
        "contact_without_email",
        lambda: world(accounts=[account(billing_email=None)], contacts=[contact(email=None)], roles=[role()]),
        "warning", "salesforce", "is to receive the invoice of a deal",
    ),
    (
        "parent_differs",
        lambda: world(customers=[*world().customers, customer(8, display_name="Group", email=None), customer(
            9, display_name="Zenith Bakery C", email="bills@zenith2.example", parent_id="108")],
            accounts=[account(), another_account(customer_id="109")]),
        "hint", "salesforce", "stands alone in Salesforce, and its customer stands under “Group” in QuickBooks",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("code", "make", "severity", "system", "text"), CASES, ids=[f"{case[0]}-{case[2]}" for case in CASES])
def test_each_kind_is_found_with_its_severity_and_names_record_and_value(
    code: str, make: Callable[[], World], severity: str, system: str, text: str
) -> None:
    finding = only(found(make()), code)
    assert (finding.severity, finding.system) == (severity, system)
    assert text in finding.what
    assert finding.record_name
    assert finding.what.endswith((".", "?"))


def test_the_table_above_has_every_kind_that_is_not_tested_by_itself() -> None:
    by_themselves = {"duplicate_accounts", "duplicate_customers", "several_currencies", "inactive_owner"}
    assert {case[0] for case in CASES} | by_themselves == set(KINDS)


def test_a_contact_that_receives_the_invoice_stands_in_for_the_billing_e_mail() -> None:
    assert "billing_email_missing" not in found(
        world(accounts=[account(billing_email=None)], contacts=[contact()], roles=[role()])
    )


def test_the_rules_say_what_is_required() -> None:
    bare = world(
        accounts=[account(billing_street=None, billing_email=None, payment_terms=None)],
        opportunities=[opportunity(payment_terms=None)],
    )
    assert {"billing_address_missing", "billing_email_missing", "payment_terms_missing"} <= set(found(bare))
    easy = rules(required={"billing_address": [], "billing_email": False, "payment_terms": False})
    assert not {"billing_address_missing", "billing_email_missing", "payment_terms_missing"} & set(found(bare, easy))
    assert "payment_terms_missing" not in found(bare, rules(invoices={"default_terms": "Net 30"}))


def test_lost_and_deleted_deals_make_nothing_grave() -> None:
    lost = opportunity(is_won=False, is_closed=True)
    for deal in (lost, opportunity(is_deleted=True)):
        finding = only(found(world(accounts=[account(billing_street=None)], opportunities=[deal])), "billing_address_missing")
        assert (finding.severity, finding.deals) == ("hint", 0)


def test_nothing_is_asked_of_deals_that_are_billed_or_older_than_go_live() -> None:
    bare = {"accounts": [account(billing_email=None)], "contacts": [contact()], "items": []}
    asked = {"terms_unknown", "product_without_item", "billing_email_missing"}
    deal = opportunity(payment_terms="Net 75", close_date=TODAY)
    assert asked <= set(found(world(**bare, opportunities=[deal])))
    billed = found(world(**bare, opportunities=[{**deal, "invoice_id": "145"}]))
    old = world(**bare, opportunities=[deal])
    before = {one.code for one in audit(inputs(old), rules(), TODAY, go_live=TODAY + timedelta(days=1)).findings}
    assert not asked & set(billed)
    assert not asked & before


def test_deleted_records_are_not_looked_at() -> None:
    quiet = world(
        accounts=[account(), another_account(is_deleted=True, name=None, billing_email="x")],
        customers=[*world().customers, customer(9, is_deleted=True, balance=Decimal(5), email="x")],
        contacts=[contact(is_deleted=True, email=None)],
        products=[product(), product(2, is_deleted=True, product_code="X", name="X")],
    )
    assert audited(quiet).findings == []


def test_a_balance_on_a_sub_customer_belongs_to_its_parents_account() -> None:
    sub = customer(9, display_name="Acme job", email=None, parent_id="101", balance=Decimal(5))
    assert "balance_without_account" not in found(world(customers=[*world().customers, sub]))


def test_an_old_or_voided_invoice_keeps_no_inactive_customer_in_use() -> None:
    gone = customer(9, display_name="Gone", email=None, active=False)
    for values in ({"txn_date": TODAY - timedelta(days=366)}, {"txn_date": TODAY, "status": "voided"}, {"txn_date": None}):
        quiet = world(customers=[*world().customers, gone], invoices=[invoice(customer_id="109", **values)])
        assert "inactive_customer_in_use" not in found(quiet), values


def test_an_inactive_item_beside_a_usable_one_means_nothing() -> None:
    both = world(items=[item(), item(2, active=False)])
    assert not {"inactive_item_sold", "product_without_item"} & set(found(both))


def test_a_product_that_nobody_sells_needs_no_item() -> None:
    assert "product_without_item" not in found(world(products=[product(), product(2, name="Old", product_code="OLD")]))


def test_where_the_rules_create_items_or_name_a_default_a_missing_one_is_no_finding() -> None:
    assert "product_without_item" not in found(world(items=[]), rules(items={"missing": "create"}))


def test_deals_in_several_currencies_are_told_and_each_that_the_customer_is_not_billed_in() -> None:
    euro = world(
        opportunities=[opportunity(currency="USD"), opportunity(2, currency="EUR"), open_deal(3, currency="EUR")],
        preferences={**world().preferences, "multi_currency": True},
    )
    findings = found(euro)
    several = only(findings, "several_currencies")
    assert "are in EUR (2 deals) and USD (1 deal)" in several.what
    differs = only(findings, "currency_differs")
    assert differs.what.startswith("1 won deal and 1 open of “Acme 1 Inc.” are in EUR, and its customer")
    assert (differs.severity, differs.deals) == ("error", 2)


def test_an_inactive_owner_is_told_once_with_the_number_of_deals_and_accounts() -> None:
    left = [{**SELLER, "is_active": False}]
    finding = only(found(world(opportunities=[opportunity(), open_deal()]), users=left), "inactive_owner")
    assert finding.what == "“Dana Whitfield” is inactive and owns 2 deals, such as “Deal 1”."
    assert (finding.record_object, finding.severity) == ("User", "warning")
    assert only(found(world(), users=left), "inactive_owner").severity == "hint"


def test_a_parent_without_its_sub_customer_is_told_only_where_the_rules_make_them() -> None:
    group = world(
        accounts=[account(parent_id=record_id("001", 2)), another_account(customer_id="109")],
        customers=[*world().customers, customer(9, display_name="Zenith Bakery C", email="bills@zenith2.example")],
    )
    assert "parent_differs" not in found(group)
    finding = only(found(group, rules(customers={"parent_accounts": "sub_customer"})), "parent_differs")
    assert finding.severity == "warning"
    assert "stands under “Zenith Bakery C” in Salesforce, and its customer stands under nobody in QuickBooks" in finding.what


def test_a_record_with_nothing_but_an_id_breaks_nothing() -> None:
    bare = World(
        opportunities=[{"id": record_id("006"), "account_id": record_id("001"), "is_won": True}, {"id": record_id("006", 2)}],
        lines=[{"id": record_id("00k"), "opportunity_id": record_id("006")}],
        products=[{"id": record_id("01t")}],
        accounts=[{"id": record_id("001")}],
        contacts=[{"id": record_id("003"), "account_id": record_id("001")}, {"id": record_id("003", 2)}],
        roles=[{"id": record_id("00K")}],
        organization={"id": record_id("00D")},
        customers=[{"id": "1"}],
        invoices=[{"id": "1"}],
        items=[{"id": "1"}],
        terms=[{"id": "1"}],
        vendors=[{"id": "1"}],
        employees=[{"id": "1"}],
        preferences={"id": "1"},
        company={"id": "1"},
    )
    findings = audited(bare, users=[{"id": record_id("005")}]).findings
    assert findings
    assert all(finding.what for finding in findings)


def test_empty_systems_are_ready() -> None:
    nothing = World(opportunities=[], lines=[], products=[], accounts=[], customers=[], items=[], terms=[], accounts_of_ledger=[])
    found_there = audited(nothing)
    assert found_there.findings == []
    assert {score.value for score in found_there.scores.values()} == {Decimal("100.0")}


def test_the_same_records_in_another_order_give_the_same_findings_with_the_same_ids() -> None:
    dirty = world(
        accounts=[account(billing_email="x", phone="1"), another_account(billing_country="Atlantis"), another_account(3)],
        contacts=[contact(email=None), contact(2, email="bad")],
        customers=[*world().customers, customer(9, display_name="Odd", email="y", balance=Decimal(5))],
    )
    first = audited(dirty)
    for rows in (dirty.accounts, dirty.contacts, dirty.customers):
        rows.reverse()
    second = audited(dirty)
    assert [(one.finding_id, one.what) for one in first.findings] == [(one.finding_id, one.what) for one in second.findings]
    assert first.scores == second.scores
    ids = [one.finding_id for one in first.findings]
    assert len(ids) == len(set(ids)) > 4


def test_a_finding_keeps_its_id_while_values_and_severity_change() -> None:
    before = only(found(world(accounts=[account(phone="1")])), "phone_malformed")
    after = only(found(world(accounts=[account(phone="22", name="Renamed")], opportunities=[])), "phone_malformed")
    assert before.finding_id == after.finding_id
    assert before.what != after.what


def test_two_fields_of_one_record_are_two_findings() -> None:
    abroad = {"shipping_country": "USA", "shipping_state": "CO", "shipping_postal_code": "2"}
    both = found(world(accounts=[account(billing_postal_code="1", **abroad)]))["postal_code_wrong"]
    assert len({one.finding_id for one in both}) == 2


def test_errors_come_first_and_of_these_what_more_deals_hang_on() -> None:
    grave = world(
        accounts=[account(billing_street=None, phone="1"), another_account(billing_street=None)],
        opportunities=[opportunity(), open_deal(2, account_id=record_id("001", 2)), open_deal(3, account_id=record_id("001", 2))],
    )
    findings = audited(grave).findings
    addresses = [one.record_name for one in findings if one.code == "billing_address_missing"]
    assert addresses == ["Zenith Bakery C", "Acme 1 Inc."]
    assert [one.severity for one in findings] == sorted(
        (one.severity for one in findings), key=("error", "warning", "hint").index
    )
    assert READ_AT.date() == date(2026, 11, 20)
    assert line()["opportunity_id"] == opportunity()["id"]
