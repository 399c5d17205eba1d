"""The gates as pure functions: open where all is well, closed with a sentence where it is not."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbsf_pipeline.flows import gates
from qbsf_pipeline.flows.approval import batch_of
from qbsf_pipeline.invoices import checks
from qbsf_pipeline.invoices.tables import PLAN
from qbsf_pipeline.money import to_json
from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.salesforce import objects as salesforce
from qbsf_pipeline.settings import GateRules, load_rules
from qbsf_pipeline_tests.invoices.records import (
    World,
    account,
    customer,
    frame,
    invoice,
    line,
    opportunity,
    record_id,
)

RULES = load_rules()


def plan_of(*rows: dict[str, Any]) -> pl.DataFrame:
    return PLAN.frame(rows)


def bill(number: int = 1, **values: Any) -> dict[str, Any]:
    """A planned invoice over 1,000.00 USD for customer 101."""
    body = {"CustomerRef": {"value": "101"}, "Line": [{"Amount": Decimal("1000.00")}], **values.pop("body", {})}
    return {
        "plan_id": f"P-{number}",
        "key": f"invoice-{number}",
        "operation": "create_invoice",
        "target_system": "quickbooks",
        "target_object": "Invoice",
        "source_id": record_id("006", number),
        "label": f"Deal {number}",
        "payload": to_json(body),
        "amount": Decimal("1000.00"),
        "currency": "USD",
        "txn_date": date(2026, 11, 10),
        **values,
    }


def new_customer(number: int = 1) -> dict[str, Any]:
    source_id = record_id("001", number)
    return {"plan_id": f"P-{number}", "key": f"customer-{number}", "operation": "create_customer", "source_id": source_id}


def write_back(**payload: Any) -> dict[str, Any]:
    return {"key": "w", "target_system": "salesforce", "target_object": "Opportunity", "payload": to_json(payload)}


def customers(*rows: dict[str, Any]) -> pl.DataFrame:
    return frame(quickbooks.CUSTOMER, list(rows))


def gate_rules(**changes: Any) -> GateRules:
    return RULES.gates.model_copy(update=changes)


# Over the plan


def test_a_sound_plan_of_the_planner_passes_every_gate() -> None:
    world = World(
        opportunities=[opportunity(1), opportunity(2, account_id=record_id("001", 2))],
        lines=[line(1, 1), line(2, 2, total_price=Decimal("333.335"), quantity=Decimal(3), unit_price=Decimal("111.111667"))],
        accounts=[account(1), account(2)],
    )
    inputs, plan = world.inputs(), world.plan().writes
    assert plan.filter(pl.col("operation") == "create_invoice").height
    outcomes = [
        gates.keys_are_unique(plan),
        checks.no_deal_is_billed_twice(plan, inputs.opportunity, inputs.invoice),
        checks.every_invoice_has_a_confirmed_customer(plan, inputs.customer),
        checks.totals_equal_the_deals(plan, inputs.opportunity_line_item),
        checks.only_own_fields_are_written(plan, RULES),
        checks.books_are_open(plan, inputs.preferences),
        checks.currencies_agree(plan, inputs.customer, inputs.preferences),
        checks.within_blast_radius(plan, inputs.customer, RULES.gates, {}, "B-1"),
    ]
    assert [outcome.text for outcome in outcomes if not outcome.open] == []
    assert [outcome.name for outcome in outcomes] == [
        "no_write_is_planned_twice",
        "no_deal_is_billed_twice",
        "every_invoice_has_a_confirmed_customer",
        "totals_equal_the_deals",
        "only_own_fields_are_written",
        "books_are_open",
        "currencies_agree",
        "within_blast_radius",
    ]


def test_every_gate_is_open_for_a_plan_without_writes() -> None:
    empty = PLAN.empty()
    nobody, nothing = customers(), frame(quickbooks.PREFERENCES, [])
    assert gates.keys_are_unique(empty).open
    assert checks.no_deal_is_billed_twice(empty, frame(salesforce.OPPORTUNITY, []), frame(quickbooks.INVOICE, [])).open
    assert checks.every_invoice_has_a_confirmed_customer(empty, nobody).open
    assert checks.totals_equal_the_deals(empty, frame(salesforce.OPPORTUNITY_LINE_ITEM, [])).open
    assert checks.only_own_fields_are_written(empty, RULES).open
    assert checks.books_are_open(empty, nothing).open
    assert checks.currencies_agree(empty, nobody, nothing).open
    assert checks.within_blast_radius(empty, nobody, RULES.gates, {}, batch_of([])).open


@pytest.mark.parametrize(
    ("held", "marked", "is_open"),
    [
        (None, None, True),
        ("", None, True),
        ("145", None, False),
        (None, record_id("006"), False),
        (None, record_id("006")[:15], False),  # a marker that somebody shortened
        (None, record_id("006", 2), True),
    ],
)
@pytest.mark.parametrize("status", ["live", "voided", "deleted"])
def test_a_deal_with_any_sign_of_an_invoice_is_not_billed_again(
    held: str | None, marked: str | None, is_open: bool, status: str
) -> None:
    deals = frame(salesforce.OPPORTUNITY, [opportunity(1, invoice_id=held)])
    invoices = frame(quickbooks.INVOICE, [invoice(1, opportunity_id=marked, status=status), invoice(2)])
    assert checks.no_deal_is_billed_twice(plan_of(bill(1)), deals, invoices).open is is_open


@pytest.mark.parametrize(
    ("reference", "rows", "is_open"),
    [
        ({"value": "101"}, [], True),
        ({"value": "102"}, [], False),  # inactive
        ({"value": "103"}, [], False),  # deleted
        ({"value": "999"}, [], False),
        ({"value": ""}, [], False),
        ({}, [], False),
        (None, [], False),
        ({"value": f"$customer:{record_id('001')}"}, [new_customer(1)], True),
        ({"value": f"$customer:{record_id('001')}"}, [new_customer(2)], False),
        ({"value": f"$customer:{record_id('001')}"}, [], False),
    ],
)
def test_an_invoice_without_a_confirmed_customer_closes_the_gate(
    reference: dict[str, str] | None, rows: list[dict[str, Any]], is_open: bool
) -> None:
    known = customers(customer(1), customer(2, active=False), customer(3, is_deleted=True))
    plan = plan_of(*rows, bill(1, body={"CustomerRef": reference}))
    outcome = checks.every_invoice_has_a_confirmed_customer(plan, known)
    assert outcome.open is is_open
    assert is_open or outcome.text == "1 invoices have no confirmed customer: Deal 1."


@pytest.mark.parametrize(
    ("amounts", "lines", "is_open"),
    [
        (["1000.00"], ["1000.00"], True),
        (["333.33", "666.67"], ["333.334", "666.666"], True),
        (["1000.01"], ["1000.00"], False),
        (["999.99"], ["1000.00"], False),
        (["1000.00"], ["1000.005"], False),
        (["1200.00", "-200.00"], ["1000.00"], True),
        (["0.00"], [], True),
        (["10.00"], [], False),
    ],
)
def test_an_invoice_that_differs_from_its_deal_by_a_cent_closes_the_gate(
    amounts: list[str], lines: list[str], is_open: bool
) -> None:
    plan = plan_of(bill(1, body={"Line": [{"Amount": Decimal(amount)} for amount in amounts]}))
    of_deal = [line(number, 1, total_price=Decimal(total)) for number, total in enumerate(lines)]
    gone = line(90, 1, total_price=Decimal(500), is_deleted=True)
    outcome = checks.totals_equal_the_deals(plan, frame(salesforce.OPPORTUNITY_LINE_ITEM, [*of_deal, gone]))
    assert outcome.open is is_open


@given(st.lists(st.integers(-(10**8), 10**9), min_size=1, max_size=8), st.integers(-5, 5))
def test_the_totals_gate_is_open_exactly_when_the_cents_are_the_same(cents: list[int], off: int) -> None:
    amounts = [Decimal(cent) / 100 for cent in cents]
    plan = plan_of(bill(1, body={"Line": [{"Amount": amount} for amount in amounts]}))
    shifted = [*amounts[:-1], amounts[-1] + Decimal(off) / 100]
    rows = [line(number, 1, total_price=amount) for number, amount in enumerate(shifted)]
    assert checks.totals_equal_the_deals(plan, frame(salesforce.OPPORTUNITY_LINE_ITEM, rows)).open is (off == 0)


@pytest.mark.parametrize(
    ("payload", "is_open"),
    [
        ({"Id": "006", "QuickBooks_Invoice_Id__c": "1", "Payment_Status__c": "Sent"}, True),
        ({"Id": "006", "Amount": 1}, False),
        ({"Id": "006", "StageName": "Closed Lost"}, False),
        ({"Id": "006", "Days_Outstanding__c": 3}, False),
    ],
)
def test_a_field_that_another_system_owns_is_never_written(payload: dict[str, Any], is_open: bool) -> None:
    outcome = checks.only_own_fields_are_written(plan_of(write_back(**payload)), RULES)
    assert outcome.open is is_open
    assert is_open or "Opportunity." in outcome.text


def test_an_object_that_is_never_written_to_closes_the_gate() -> None:
    row = {**write_back(Id="003", Email="x"), "target_object": "Contact"}
    assert not checks.only_own_fields_are_written(plan_of(row), RULES).open


@pytest.mark.parametrize(
    ("close_date", "is_open"),
    [(None, True), (date(2026, 11, 9), True), (date(2026, 11, 10), False), (date(2026, 12, 31), False)],
)
def test_no_invoice_is_dated_in_books_that_are_closed(close_date: date | None, is_open: bool) -> None:
    preferences = frame(quickbooks.PREFERENCES, [{"id": "1", "book_close_date": close_date}])
    assert checks.books_are_open(plan_of(bill(1)), preferences).open is is_open


@pytest.mark.parametrize(
    ("currency", "of_customer", "several", "is_open"),
    [
        ("USD", "USD", False, True),
        ("USD", None, False, True),
        ("EUR", "EUR", False, False),
        ("EUR", "EUR", True, True),
        ("USD", "EUR", True, False),
        ("EUR", None, True, False),
    ],
)
def test_an_invoice_in_another_currency_than_its_customers_closes_the_gate(
    currency: str, of_customer: str | None, several: bool, is_open: bool
) -> None:
    preferences = frame(quickbooks.PREFERENCES, [{"id": "1", "home_currency": "USD", "multi_currency": several}])
    outcome = checks.currencies_agree(
        plan_of(bill(1, currency=currency)), customers(customer(1, currency=of_customer)), preferences
    )
    assert outcome.open is is_open


def test_a_new_customer_may_have_any_currency_where_the_company_has_several() -> None:
    plan = plan_of(bill(1, currency="EUR", body={"CustomerRef": {"value": "$customer:1"}}))
    for several in (True, False):
        preferences = frame(quickbooks.PREFERENCES, [{"id": "1", "home_currency": "USD", "multi_currency": several}])
        assert checks.currencies_agree(plan, customers(), preferences).open is several


# The blast radius


@pytest.mark.parametrize(
    ("limits", "is_open", "told"),
    [
        ({}, True, ""),
        ({"max_invoices": 2}, True, ""),
        ({"max_invoices": 1}, False, "2 invoices (at most 1)"),
        ({"max_amount": {"USD": Decimal("2000.00")}}, True, ""),
        ({"max_amount": {"USD": Decimal("1999.99")}}, False, "2,000.00 USD (at most 1,999.99 USD)"),
        ({"max_amount": {"EUR": Decimal(1)}}, True, ""),
        ({"max_amount": {}, "max_amount_otherwise": Decimal(10)}, False, "2,000.00 USD (at most 10.00 USD)"),
        ({"max_new_customers": 0}, False, "1 new customers (at most 0)"),
        ({"small_company_customers": 2, "max_new_customers_share": 0.4}, False, "1 new customers beside 2 (at most 40%)"),
        ({"small_company_customers": 3, "max_new_customers_share": 0.4}, True, ""),
        ({"small_company_customers": 2, "max_new_customers_share": 0.5}, True, ""),
        (
            {"max_invoices": 1, "max_amount": {"USD": Decimal(1)}},
            False,
            "2 invoices (at most 1), 2,000.00 USD (at most 1.00 USD)",
        ),
    ],
)
def test_a_push_larger_than_the_rules_allow_waits_for_a_person(limits: dict[str, Any], is_open: bool, told: str) -> None:
    plan = plan_of(bill(1), bill(2), new_customer(1))
    holds = customers(customer(1), customer(2), customer(3, is_deleted=True))
    outcome = checks.within_blast_radius(plan, holds, gate_rules(**limits), {}, "B-77")
    assert outcome.open is is_open
    if not is_open:
        assert outcome.text == (
            f"This plan is larger than one push may be: {told}. Look at it with qbsf plan, then: qbsf approve B-77"
        )


@pytest.mark.parametrize(
    ("decisions", "is_open"),
    [
        ({"B-77": "approved"}, True),
        ({"B-77": "rejected"}, False),
        ({"B-other": "approved"}, False),
        ({"P-1": "approved", "P-2": "approved"}, False),  # deal by deal is not the whole
    ],
)
def test_only_a_word_on_the_whole_plan_opens_the_blast_radius(decisions: dict[str, str], is_open: bool) -> None:
    outcome = checks.within_blast_radius(plan_of(bill(1), bill(2)), customers(), gate_rules(max_invoices=1), decisions, "B-77")
    assert outcome.open is is_open
    assert is_open is outcome.text.startswith("Approved by a person: 2 invoices (at most 1)")


def test_a_long_list_of_names_is_cut_in_the_sentence() -> None:
    plan = plan_of(*(bill(number, body={"CustomerRef": {"value": "0"}}) for number in range(1, 9)))
    text = checks.every_invoice_has_a_confirmed_customer(plan, customers()).text
    assert text == "8 invoices have no confirmed customer: Deal 1, Deal 2, Deal 3, Deal 4, Deal 5 and 3 more."


def test_every_gate_blocks_and_says_what_it_protects() -> None:
    for spec in checks.plan_gates.check_specs:
        assert spec.blocking
        assert (spec.description or "").startswith("Protects ")
