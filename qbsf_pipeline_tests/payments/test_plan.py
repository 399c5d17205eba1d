"""Payment fields of deals: right to the cent, of the right invoice, written once, never where Salesforce has them right."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from qbsf_pipeline.money import parse_json
from qbsf_pipeline.payments.plan import DEALS, EVENTS, PLAN, REFUSALS, deal_payments_of
from qbsf_pipeline_tests.invoices.records import ORG, record_id
from qbsf_pipeline_tests.payments.books import DEAL, STARTED, Books, codes, row

SECOND = record_id("006", 2)
PAID_ON = date(2026, 11, 15)
ZERO, THOUSAND = Decimal("0.00"), Decimal("1000.00")


def settled(**values: Any) -> tuple[Books, str]:
    """Books with one deal and its invoice over 1,000.00 USD, in step."""
    books = Books(**values)
    invoice = books.invoice()
    books.once()
    assert books.plan().writes.is_empty()
    return books, invoice


# The frames


def test_the_frames_have_the_schemas_of_their_tables_even_when_empty():
    full = Books()
    full.pay((full.invoice(explained=False), "1.00"))
    for books in (Books(), full, settled()[0]):
        plan = books.plan()
        assert plan.writes.schema == PLAN.polars_schema
        assert plan.deals.schema == DEALS.polars_schema
        assert plan.events.schema == EVENTS.polars_schema
        assert plan.refusals.schema == REFUSALS.polars_schema


def test_a_write_names_record_version_and_values_and_says_why():
    books, invoice = settled()
    payment = books.pay((invoice, "1000.00"))
    written = row(books.plan().writes)
    assert (written["operation"], written["target_system"], written["target_object"]) == (
        "update_opportunity",
        "salesforce",
        "Opportunity",
    )
    assert written["key"].startswith(f"update_payment:{ORG}:{DEAL}:20261103T080501000000Z:")
    assert " " not in written["key"]
    assert (written["source_id"], written["opportunity_id"], written["label"]) == (DEAL, DEAL, "Deal 1")
    assert parse_json(written["payload"]) == {
        "Id": DEAL,
        "Payment_Status__c": "Paid",
        "Invoice_Balance__c": 0,
        "Last_Payment_Date__c": "2026-11-15",
    }
    assert written["reason"] == (
        "It is Paid. Salesforce has payment status Sent, not Paid; balance 1,000.00, not 0.00 USD; "
        "last payment empty, not 15 Nov 2026."
    )
    assert payment in row(books.plan().deals)["fingerprint"]


def test_the_plan_is_the_same_whatever_the_order_of_rows():
    books = Books()
    for number in (1, 2, 3):
        books.pay((books.invoice(deal=record_id("006", number)), "1.00"), (books.invoice(deal=record_id("006", number)), "2.00"))
    first = books.plan()
    for records in (books.deals, books.invoices, books.sources):
        items = list(records.items())
        records.clear()
        records.update(reversed(items))
    second = books.plan()
    assert first.writes.height == 3
    for one, other in zip(vars(first).values(), vars(second).values(), strict=True):
        assert one.equals(other)


# What is written


@pytest.mark.parametrize(
    ("shown", "written"),
    [
        ({}, {"Payment_Status__c", "Invoice_Balance__c", "Last_Payment_Date__c"}),
        ({"payment_status": "Paid", "invoice_balance": ZERO, "last_payment_date": PAID_ON}, set()),
        ({"payment_status": "paid", "invoice_balance": ZERO, "last_payment_date": PAID_ON}, {"Payment_Status__c"}),
        ({"payment_status": "Paid", "invoice_balance": Decimal("0.01"), "last_payment_date": PAID_ON}, {"Invoice_Balance__c"}),
        ({"payment_status": "Paid", "invoice_balance": None, "last_payment_date": PAID_ON}, {"Invoice_Balance__c"}),
        (
            {"payment_status": "Paid", "invoice_balance": ZERO, "last_payment_date": date(2026, 11, 16)},
            {"Last_Payment_Date__c"},
        ),
    ],
)
def test_only_what_salesforce_has_otherwise_is_written(shown, written):
    books = Books()
    books.pay((books.invoice(), "1000.00"))
    books.deals[DEAL] |= shown
    bodies = [set(parse_json(payload)) - {"Id"} for payload in books.plan().writes.get_column("payload")]
    assert bodies == ([written] if written else [])


def test_a_deal_of_which_nothing_is_open_loses_its_age_with_the_payment_and_an_open_one_keeps_it():
    books, invoice = settled()
    books.edit(days_outstanding=93, aging_bucket="90+")
    assert books.plan().writes.is_empty()
    books.pay((invoice, "1000.00"))
    body = parse_json(row(books.plan().writes)["payload"])
    assert (body["Payment_Status__c"], body["Days_Outstanding__c"], body["Aging_Bucket__c"]) == ("Paid", None, None)
    books.once()
    assert (books.deals[DEAL]["days_outstanding"], books.deals[DEAL]["aging_bucket"]) == (None, None)
    assert books.plan().writes.is_empty()


def test_the_last_payment_date_is_emptied_when_the_payment_is_gone():
    books, invoice = settled()
    payment = books.pay((invoice, "1000.00"))
    books.once()
    books.take_back(payment, "deleted")
    assert parse_json(row(books.plan().writes)["payload"])["Last_Payment_Date__c"] is None
    books.once()
    assert books.shown() == ("Sent", THOUSAND, None)


@pytest.mark.parametrize(
    ("invoices", "status", "balance"),
    [
        ([("100.00", "100.00", "live"), ("200.00", "0", "live")], "Sent", "200.00"),
        ([("100.00", "100.00", "live"), ("200.00", "50.00", "live")], "Partially Paid", "150.00"),
        ([("100.00", "100.00", "live"), ("200.00", "200.00", "live")], "Paid", "0.00"),
        ([("100.00", "0", "voided"), ("200.00", "200.00", "live")], "Paid", "0.00"),
        ([("100.00", "0", "deleted"), ("200.00", "0", "live")], "Sent", "200.00"),
        ([("100.00", "0", "voided"), ("200.00", "0", "deleted")], "Voided", "0.00"),
        ([("100.00", "0", "deleted"), ("200.00", "0", "deleted")], "Deleted", "0.00"),
        ([("100.00", "credit", "live"), ("200.00", "200.00", "live")], "Paid", "0.00"),
        ([("100.00", "credit", "live"), ("200.00", "0", "live")], "Sent", "200.00"),
        ([("100.00", "credit", "live"), ("200.00", "0", "voided")], "Credited", "0.00"),
        ([("100.00", "120.00", "live")], "Overpaid", "-20.00"),
    ],
)
def test_the_status_of_several_invoices_is_that_of_the_least_settled_one_that_counts(invoices, status, balance):
    books = Books()
    for total, applied, condition in invoices:
        invoice = books.invoice(total)
        if applied == "credit":
            books.pay((invoice, total), document="credit_memo")
        elif applied != "0":
            books.pay((invoice, applied))
        if condition != "live":
            books.drop(invoice, condition)
    books.once()
    assert books.shown()[:2] == (status, Decimal(balance))


def test_one_payment_over_the_invoices_of_two_deals_gives_each_its_own():
    books = Books()
    first, second = books.invoice("1000.00"), books.invoice("500.00", deal=SECOND)
    books.once()
    books.pay((first, "1000.00"), (second, "200.00"))
    events = books.once()
    assert (books.shown(DEAL), books.shown(SECOND)) == (("Paid", ZERO, PAID_ON), ("Partially Paid", Decimal("300.00"), PAID_ON))
    assert [event.opportunity_id for event in events] == [DEAL]


def test_an_invoice_without_a_deal_concerns_no_deal():
    books, _ = settled()
    books.pay((books.invoice(deal=None), "1000.00"))
    plan = books.plan()
    assert plan.writes.is_empty()
    assert plan.deals.get_column("opportunity_id").to_list() == [DEAL]


def test_a_deal_without_an_invoice_is_left_alone():
    books = Books()
    books.deal(payment_status="Paid", invoice_balance=Decimal(5))
    plan = books.plan()
    assert plan.writes.is_empty()
    assert plan.deals.is_empty()


def test_what_salesforce_took_is_not_written_again_before_the_record_is_read_again():
    books, invoice = settled()
    books.pay((invoice, "1000.00"))
    (key,) = books.plan().writes.get_column("key")
    books.ledger[key] = ("done", None)
    assert books.plan().writes.is_empty()
    books.edit(payment_status="Sent")
    assert row(books.plan().writes)["key"] != key


def test_a_field_that_somebody_edits_is_put_right_without_a_word():
    books, invoice = settled()
    books.pay((invoice, "1000.00"))
    books.once()
    books.edit(payment_status="Sent", invoice_balance=Decimal("12.34"))
    assert books.once() == []
    assert books.shown() == ("Paid", ZERO, PAID_ON)


@pytest.mark.parametrize(("later", "kept"), [(timedelta(minutes=5), False), (timedelta(hours=2), True)])
def test_what_an_automation_undoes_at_once_is_told_and_not_written_for_ever(later, kept):
    books, invoice = settled()
    books.pay((invoice, "1000.00"))
    for _ in range(3):
        books.once()
        books.now += later
        books.edit(payment_status="Sent", invoice_balance=THOUSAND, last_payment_date=None)
    plan = books.plan()
    assert plan.writes.height == (1 if kept else 0)
    assert codes(plan) == (set() if kept else {"not_kept"})


# Invoices that are not there any more


def test_an_invoice_that_quickbooks_no_longer_knows_was_deleted():
    books, invoice = settled()
    del books.invoices[invoice]
    (event,) = books.once()
    assert (event.kind, event.payload["reason"]) == (
        "deleted",
        f"Invoice with id {invoice} over 1,000.00 is no longer found in QuickBooks.",
    )
    assert books.shown() == ("Deleted", ZERO, None)
    assert books.once() == []
    books.edit(payment_status="Sent")
    books.once()
    assert books.shown()[0] == "Deleted"


def test_an_invoice_that_belongs_to_another_deal_now_leaves_the_first_one_without():
    books, invoice = settled()
    books.deal(2)
    books.invoices[invoice].deal = SECOND
    (event,) = books.once()
    assert (event.kind, event.opportunity_id) == ("unlinked", DEAL)
    assert books.shown(DEAL) == ("Not Invoiced", None, None)
    assert books.shown(SECOND) == ("Sent", THOUSAND, None)


@pytest.mark.parametrize("condition", ["voided", "deleted"])
def test_a_dropped_invoice_stays_what_it_was_when_a_new_warehouse_does_not_know_it(condition):
    books, invoice = settled()
    books.drop(invoice, condition)
    books.once()
    shown = books.shown()
    del books.invoices[invoice]
    assert books.once() == []
    assert books.shown() == shown
    assert books.plan().deals.get_column("changed").to_list() == [False]


# What is not written, and told


def test_a_balance_that_its_payments_do_not_give_holds_the_deal_and_no_other():
    books, invoice = settled()
    other = books.invoice(deal=SECOND)
    books.once()
    books.pay((invoice, "1000.00"), (other, "1000.00"))
    books.invoices[invoice].explained = False
    plan = books.plan()
    assert codes(plan) == {"balance_not_explained"}
    assert row(plan.refusals)["opportunity_id"] == DEAL
    assert plan.writes.get_column("opportunity_id").to_list() == [SECOND]
    assert plan.events.get_column("opportunity_id").to_list() == [SECOND]
    assert [deal.opportunity_id for deal in deal_payments_of(plan.deals)] == [SECOND]
    books.remember(plan)
    books.invoices[invoice].explained = True
    assert [event.opportunity_id for event in books.once()] == [DEAL]


def test_a_voided_invoice_needs_no_explanation():
    books, invoice = settled()
    books.invoices[invoice].explained = False
    books.drop(invoice, "voided")
    books.once()
    assert books.shown() == ("Voided", ZERO, None)


def test_a_balance_in_another_currency_than_the_deal_is_not_written():
    books = Books()
    books.deal(currency="EUR")
    books.pay((books.invoice(currency="USD"), "400.00"))
    plan = books.plan()
    assert codes(plan) == {"currency_differs"}
    assert parse_json(row(plan.writes)["payload"]) == {
        "Id": DEAL,
        "Payment_Status__c": "Partially Paid",
        "Last_Payment_Date__c": "2026-11-15",
    }


@pytest.mark.parametrize(("deal", "org", "invoice"), [("eur ", "USD", "EUR"), (None, "EUR", "EUR"), ("", None, "USD")])
def test_a_deal_that_names_no_currency_has_that_of_the_org_or_of_the_only_one_there_is(deal, org, invoice):
    books = Books(org_currency=org)
    books.deal(currency=deal)
    books.invoice(currency=invoice)
    assert books.plan().refusals.is_empty()
    books.once()
    assert books.shown()[1] == THOUSAND


def test_invoices_in_several_currencies_have_no_one_balance():
    books = Books()
    books.invoice(currency="USD")
    books.pay((books.invoice(currency="EUR"), "1000.00"))
    plan = books.plan()
    assert codes(plan) == {"several_currencies"}
    assert "Invoice_Balance__c" not in row(plan.writes)["payload"]
    assert row(plan.deals)["balance"] is None


def test_a_deal_that_salesforce_does_not_show_is_told_and_not_remembered():
    books = Books()
    books.invoice(deal=None)
    books.invoices["101"].deal = SECOND
    plan = books.plan()
    assert codes(plan) == {"deal_not_found"}
    assert plan.writes.is_empty()
    assert deal_payments_of(plan.deals) == []


def test_a_deleted_deal_is_left_alone():
    books, invoice = settled()
    books.pay((invoice, "1000.00"))
    books.deals[DEAL]["is_deleted"] = True
    plan = books.plan()
    assert (plan.writes.height, plan.events.height, plan.refusals.height, deal_payments_of(plan.deals)) == (0, 0, 0, [])


def test_a_record_without_a_stamp_can_be_written():
    books = Books()
    books.invoice()
    books.deals[DEAL] |= {"source_modified_at": None, "name": None, "owner_id": None, "account_id": None, "stage_name": None}
    assert ":unknown:" in row(books.plan().writes)["key"]


def test_the_names_of_others_may_hold_anything():
    books = Books()
    books.deal(name="O'Brien's \u201c<!channel>\u201d: 50% \\ \U0001f4b0\n" + "x" * 3000)
    invoice = books.invoice(number="A~1|2;3 ' é" * 20)
    books.once()
    books.pay((invoice, "1000.00"), number="~;|" * 100)
    (event,) = books.once()
    assert event.kind == "paid"
    assert books.shown() == ("Paid", ZERO, PAID_ON)


def test_deals_are_remembered_once():
    books, _ = settled()
    plan = books.plan()
    assert plan.deals.get_column("changed").to_list() == [False]
    assert deal_payments_of(plan.deals) == []
    assert books.known[DEAL].status == "Sent"
    assert books.known[DEAL].updated_at != STARTED
