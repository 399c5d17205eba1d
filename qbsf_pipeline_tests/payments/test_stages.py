"""The paid stage: by rule, where the org has it, back on reversal, and never against a person's hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from qbsf_pipeline.money import parse_json
from qbsf_pipeline.payments.plan import PaymentParameters, plan_payments
from qbsf_pipeline_tests.invoices.records import ORG
from qbsf_pipeline_tests.payments.books import DEAL, STAGES, TODAY, Books, codes, row, rules


def paid(**values: Any) -> tuple[Books, str]:
    """Books whose only deal was paid and is in the paid stage; the id of the payment."""
    books = Books(rules=rules("Paid"), **values)
    invoice = books.invoice()
    books.once()
    payment = books.pay((invoice, "1000.00"))
    books.once()
    assert books.deals[DEAL]["stage_name"] == "Paid"
    books.once()
    assert books.plan().writes.is_empty()
    return books, payment


def stage(books: Books) -> str:
    return str(books.deals[DEAL]["stage_name"])


def test_without_a_rule_the_stage_is_left_alone():
    books = Books()
    books.pay((books.invoice(), "1000.00"))
    books.once()
    assert stage(books) == "Closed Won"
    assert books.known[DEAL].stage_before is None


def test_a_paid_deal_moves_in_the_write_that_tells_its_status_and_back_when_the_payment_is_gone():
    books, payment = paid()
    assert books.known[DEAL].stage_before == "Closed Won"
    books.take_back(payment, "voided")
    written = row(books.plan().writes)
    assert parse_json(written["payload"])["StageName"] == "Closed Won"
    assert written["reason"].endswith("It is not paid in full any more, so its stage becomes Closed Won again.")
    books.once()
    assert stage(books) == "Closed Won"
    books.once()
    assert books.known[DEAL].stage_before is None
    assert books.plan().writes.is_empty()


def test_it_moves_again_when_it_is_paid_again():
    books, payment = paid()
    for _ in range(2):
        books.take_back(payment, "voided")
        books.once()
        assert stage(books) == "Closed Won"
        payment = books.pay(("101", "1000.00"))
        books.once()
        assert stage(books) == "Paid"


@pytest.mark.parametrize("moved_to", ["Delivered", "Closed Won", "Negotiation", "Closed Lost"])
def test_a_person_who_moves_it_out_of_the_paid_stage_is_not_contradicted(moved_to):
    books, payment = paid()
    books.edit(stage_name=moved_to)
    books.once()
    assert stage(books) == moved_to
    books.take_back(payment, "deleted")
    books.once()
    assert stage(books) == moved_to


def test_a_person_who_put_it_into_the_paid_stage_is_not_contradicted():
    books = Books(rules=rules("Paid"))
    invoice = books.invoice()
    books.edit(stage_name="Paid")
    books.once()
    assert stage(books) == "Paid"
    payment = books.pay((invoice, "1000.00"))
    books.once()
    books.take_back(payment, "voided")
    books.once()
    assert stage(books) == "Paid"


def test_a_deal_that_a_person_moves_on_while_the_write_waits_for_approval_stays_there():
    books = Books(rules=rules("Paid"))
    books.pay((books.invoice(), "1000.00"))
    books.remember(books.plan())
    assert parse_json(row(books.plan().writes)["payload"])["StageName"] == "Paid"
    books.edit(stage_name="Delivered")
    books.once()
    assert stage(books) == "Delivered"


@pytest.mark.parametrize("found", ["Closed Lost", "Negotiation"])
def test_a_deal_that_is_not_won_is_not_moved(found):
    books = Books(rules=rules("Paid"))
    books.pay((books.invoice(), "1000.00"))
    books.edit(stage_name=found)
    books.once()
    assert (stage(books), books.shown()[0]) == (found, "Paid")


def test_a_settlement_by_credit_moves_nothing():
    books = Books(rules=rules("Paid"))
    books.pay((books.invoice(), "1000.00"), document="credit_memo")
    books.once()
    assert (stage(books), books.shown()[0]) == ("Closed Won", "Credited")


@pytest.mark.parametrize(("found", "expected"), [("Closed Won", "Paid"), ("Delivered", "Delivered")])
def test_a_deal_beyond_the_paid_stage_is_not_moved_back_to_it_where_the_order_of_stages_is_known(found, expected):
    books = Books(rules=rules("Paid"))
    books.pay((books.invoice(), "1000.00"))
    books.edit(stage_name=found)
    inputs = books.inputs()
    ordered = inputs.opportunity_stage.with_columns(
        sort_order=pl.col("api_name").replace_strict({name: place for place, name in enumerate(STAGES)}, return_dtype=pl.Int64)
    )
    parameters = PaymentParameters(TODAY, None, None, ORG, "UTC")
    books.apply(plan_payments(replace(inputs, opportunity_stage=ordered), books.rules, parameters))
    assert stage(books) == expected


@pytest.mark.parametrize(
    ("named", "change", "code"),
    [
        ("Cashed", {}, "paid_stage_missing"),
        ("Paid", {"is_active": False}, "paid_stage_missing"),
        ("Paid", {"is_won": False}, "paid_stage_not_won"),
        ("Negotiation", {}, "paid_stage_not_won"),
    ],
)
def test_a_stage_that_cannot_be_used_is_told_once_and_statuses_go_on(named, change, code):
    books = Books(rules=rules(named))
    books.stages[1] |= change
    for number in (1, 2):
        books.pay((books.invoice(), "1000.00"), number=str(number))
    plan = books.plan()
    assert [(one["code"], one["record_object"], one["record_id"]) for one in plan.refusals.iter_rows(named=True)] == [
        (code, "Rule", "payments.paid_stage")
    ]
    books.apply(plan)
    assert (stage(books), books.shown()[0]) == ("Closed Won", "Paid")


def test_an_org_that_shows_no_stages_has_no_paid_stage():
    books = Books(rules=rules("Paid"), stages=[])
    books.invoice()
    assert codes(books.plan()) == {"paid_stage_missing"}


@pytest.mark.parametrize("named", ["paid", " Paid ", "Money in"])
def test_the_stage_may_be_named_as_people_see_it(named):
    books = Books(rules=rules(named))
    books.stages[1]["label"] = "Money In"
    books.pay((books.invoice(), "1000.00"))
    books.once()
    assert stage(books) == "Paid"


def test_a_stage_that_the_org_refuses_does_not_hold_the_status_back_and_is_told_with_its_text():
    books = Books(rules=rules("Paid"))
    books.pay((books.invoice(), "1000.00"))
    plan = books.plan()
    books.remember(plan)
    refused = "Fill the delivery date first"
    books.ledger[row(plan.writes)["key"]] = ("dead", refused)
    plan = books.plan()
    assert codes(plan) == {"stage_refused"}
    assert refused in row(plan.refusals)["reason"]
    assert "StageName" not in row(plan.writes)["payload"]
    assert "stage" not in row(plan.writes)["reason"]
    books.remember(plan)
    books.apply(plan)
    assert (stage(books), books.shown()[0]) == ("Closed Won", "Paid")
    # The record has changed: it is tried once more by itself, then after each edit.
    again = row(books.plan().writes)
    assert parse_json(again["payload"]) == {"Id": DEAL, "StageName": "Paid"}
    books.ledger[again["key"]] = ("dead", None)
    plan = books.plan()
    assert (plan.writes.height, codes(plan)) == (0, {"stage_refused"})
    books.edit()
    books.once()
    assert stage(books) == "Paid"


def test_a_former_stage_that_is_gone_is_told():
    books, payment = paid()
    books.stages[0]["is_active"] = False
    books.take_back(payment, "voided")
    books.once()
    assert (stage(books), books.shown()[0]) == ("Paid", "Sent")
    plan = books.plan()
    assert codes(plan) == {"former_stage_missing"}
    books.stages[0]["is_active"] = True
    books.once()
    assert stage(books) == "Closed Won"


def test_what_was_moved_is_known_when_the_rule_is_taken_away_and_put_back():
    books, payment = paid()
    books.rules = rules("")
    books.take_back(payment, "voided")
    books.once()
    assert (stage(books), books.known[DEAL].stage_before) == ("Paid", "Closed Won")
    books.rules = rules("Paid")
    books.once()
    assert stage(books) == "Closed Won"
