"""What people read in Slack about payments, whole."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbsf_pipeline.money import parse_json, to_json
from qbsf_pipeline.payments.messages import PaymentTold, addresses, payment_messages, payments_told
from qbsf_pipeline.payments.plan import payment_events_of
from qbsf_pipeline.slack.blocks import LONGEST_MESSAGE, LONGEST_SECTION, MOST_BLOCKS, characters
from qbsf_pipeline.state.outbox import Message
from qbsf_pipeline_tests.payments.books import DEAL, Books
from qbsf_pipeline_tests.pipeline import rendered

SLACK = {"sam@ours.example": "U1", "lead@ours.example": "U2"}
INVOICE_LINK, DEAL_LINK = "https://qbo.test/app/invoice?txnId={id}", "https://acme.test/lightning/r/Opportunity/{id}/view"


def told(**changes: Any) -> PaymentTold:
    """Sam's deal was paid by one cheque."""
    found = PaymentTold(
        event_key="paid:006:1",
        kind="paid",
        deal="Deal 1",
        account="Acme & Søn",
        amount=Decimal("1000.00"),
        balance=Decimal("0.00"),
        currency="USD",
        numbers="1101",
        happened_on=date(2026, 11, 15),
        reason="Payment CHK-102 of 15 Nov 2026 gave invoice 1101 1,000.00 USD.",
        owner_name="Sam Seller",
        owner_email=" Sam@Ours.example",
        owner_state="active",
        invoice_link="https://qbo.test/app/invoice?txnId=101",
        deal_link="https://acme.test/1",
    )
    return replace(found, **changes)


def message(one: PaymentTold, fallback: str = "") -> Message:
    (found,) = payment_messages([one], SLACK, fallback, "#finance")
    return found


LINKS = "<https://acme.test/1|Deal 1> · Acme &amp; Søn · <https://qbo.test/app/invoice?txnId=101|Invoice 1101>"


@pytest.mark.parametrize(
    ("changes", "headline", "more"),
    [
        ({}, ":moneybag: *Deal 1 is paid in full: 1,000.00 USD on 15 Nov 2026*", ""),
        (
            {"kind": "partly_paid", "amount": Decimal(250), "balance": Decimal("750.5")},
            ":heavy_dollar_sign: *Deal 1: 250.00 USD was paid on 15 Nov 2026*",
            " · 750.50 USD open",
        ),
        (
            {"kind": "reopened", "balance": Decimal(1000)},
            ":leftwards_arrow_with_hook: *Deal 1 is not paid any more: 1,000.00 USD is open again*",
            " · 1,000.00 USD open",
        ),
        (
            {"kind": "payment_removed", "amount": Decimal(200), "balance": Decimal(700)},
            ":leftwards_arrow_with_hook: *Deal 1: a payment of 200.00 USD was taken back*",
            " · 700.00 USD open",
        ),
        ({"kind": "credited"}, ":scissors: *Deal 1 was settled by a credit, not paid: 1,000.00 USD*", ""),
        ({"kind": "voided"}, ":wastebasket: *The invoice of Deal 1 was voided: 1,000.00 USD*", ""),
        ({"kind": "deleted"}, ":wastebasket: *The invoice of Deal 1 was deleted: 1,000.00 USD*", ""),
        ({"kind": "unlinked", "amount": None}, ":wastebasket: *Deal 1 has no invoice any more*", ""),
        ({"amount": None, "currency": None, "happened_on": None}, ":moneybag: *Deal 1 is paid in full*", ""),
    ],
)
def test_the_owner_reads_what_happened_where_and_by_what(changes, headline, more):
    one = told(**changes)
    assert rendered(message(one)) == f"{headline}\n{LINKS}{more}\n{one.reason}"


@pytest.mark.parametrize(
    ("changes", "fallback", "reader", "said"),
    [
        ({}, "lead@ours.example", "U1", None),
        ({"owner_email": "new@ours.example"}, "", "#finance", "Owner: Sam Seller, not found in Slack."),
        ({"owner_email": "new@ours.example"}, "Lead@Ours.example ", "U2", "Owner: Sam Seller, not found in Slack."),
        ({"owner_email": None, "owner_state": "left"}, "lead@ours.example", "U2", "Owner: Sam Seller, who left."),
        ({"owner_email": None, "owner_state": "left"}, "nobody@ours.example", "#finance", "Owner: Sam Seller, who left."),
        (
            {"owner_email": None, "owner_name": None, "owner_state": "left"},
            "",
            "#finance",
            "Owner: a user whom Salesforce does not show, not found in Slack.",
        ),
        ({"owner_email": None, "owner_name": None, "owner_state": "none"}, "", "#finance", "The deal has no owner."),
    ],
)
def test_who_cannot_be_reached_is_stood_in_for_and_named(changes, fallback, reader, said):
    found = message(told(**changes), fallback)
    assert found.channel == reader
    assert rendered(found).splitlines()[3:] == ([said] if said else [])


def test_one_message_for_each_event_whoever_reads_it():
    first, second = message(told()), message(told(owner_email=None, owner_state="left"))
    assert first.dedupe_key == second.dedupe_key == "payment:paid:006:1"
    assert len({one.dedupe_key for one in payment_messages([told(), told(event_key="x")], SLACK, "", "#finance")}) == 2
    assert payment_messages([], SLACK, "", "#finance") == []


def test_the_addresses_that_are_needed_come_once():
    several = [told(), told(owner_email="SAM@ours.example"), told(owner_email=None)]
    assert addresses(several, "Lead@ours.example") == ("sam@ours.example", "lead@ours.example")
    assert addresses(several, "") == ("sam@ours.example",)
    assert addresses([], "lead@ours.example") == ()


def test_recorded_events_are_told_as_they_come_back_from_the_state():
    books = Books()
    invoice = books.invoice()
    books.once()
    books.pay((invoice, "1000.00"))
    (event,) = payment_events_of(books.plan().events)
    stored = replace(event, payload=parse_json(to_json(dict(event.payload))))
    (one,) = payments_told([stored], INVOICE_LINK, DEAL_LINK)
    expected = replace(told(), event_key=event.event_key, owner_email="Sam@Ours.example")
    assert one == replace(expected, invoice_link=INVOICE_LINK.replace("{id}", invoice), deal_link=DEAL_LINK.replace("{id}", DEAL))


@given(
    st.text(max_size=400),
    st.text(min_size=2000, max_size=5000),
    st.sampled_from(["paid", "partly_paid", "reopened", "payment_removed", "credited", "voided", "deleted", "unlinked", "new"]),
)
def test_any_names_fit_into_slacks_limits_and_ring_no_phone(name, long, kind):
    for one in (
        told(kind=kind, deal=name, account=name, numbers=name, reason=name, owner_name=name),
        told(deal=long, reason=long),
    ):
        found = message(replace(one, owner_email=None))
        assert len(found.blocks) <= MOST_BLOCKS
        assert sum(characters(block) for block in found.blocks) <= LONGEST_MESSAGE
        assert all(len(block["text"]["text"]) <= LONGEST_SECTION for block in found.blocks)
        assert "<!" not in rendered(found)
        assert "<@" not in rendered(found)
