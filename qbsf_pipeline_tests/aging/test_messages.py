"""What owners and finance read in Slack about what is past due, whole."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbsf_pipeline.aging.messages import (
    CrossedInvoice,
    addresses,
    crossed_invoices,
    owner_messages,
    totals_messages,
)
from qbsf_pipeline.slack.blocks import LONGEST_MESSAGE, LONGEST_SECTION, MOST_BLOCKS, characters
from qbsf_pipeline.state.outbox import Message
from qbsf_pipeline_tests.aging.receivables import LINK, Receivables, deal, invoice
from qbsf_pipeline_tests.invoices.records import record_id
from qbsf_pipeline_tests.pipeline import rendered

DAY = date(2026, 11, 20)
DEAL_LINK = "https://acme.test/lightning/r/Opportunity/{id}/view"
SLACK = {"dana@house.example": "U01", "boss@house.example": "U09"}


def crossed(number: int = 1, **changes: Any) -> CrossedInvoice:
    """Dana's invoice, 65 days past due."""
    found = CrossedInvoice(
        invoice_id=f"{number}",
        threshold=60,
        number=f"100{number}",
        customer="Acme & Söhne",
        contact="Ann Lee, ap@acme.example",
        deal="Deal <1>",
        days_past_due=65,
        due_date=date(2026, 9, 16),
        open=Decimal("1200.50"),
        currency="USD",
        disputed=False,
        owner_name="Dana Lee",
        owner_email="Dana@house.example",
        owner_state="active",
        invoice_link=f"https://qbo.test/{number}",
        deal_link="https://sf.test/1",
    )
    return replace(found, **changes)


def told(*invoices: CrossedInvoice, fallback: str = "boss@house.example", per: int = 15, first: bool = False) -> list[Message]:
    return owner_messages(invoices, DAY, SLACK, fallback, "#finance", per, first=first)


def test_an_owner_reads_amount_days_contact_and_links() -> None:
    (message,) = told(crossed())
    assert message.channel == "U01"
    assert message.text == "1 invoice past due: 1,200.50 USD"
    assert rendered(message) == (
        ":hourglass_flowing_sand: *1 invoice past due* · 1,200.50 USD\n"
        "*60 days and more*\n"
        "• <https://qbo.test/1|1001> · Acme &amp; Söhne · 1,200.50 USD · due 16 Sep 2026, 65 days ago · "
        "<https://sf.test/1|Deal &lt;1&gt;>\n"
        "   Contact: Ann Lee, ap@acme.example"
    )


def test_all_deals_of_an_owner_are_one_message_the_oldest_first_and_no_currencies_are_added() -> None:
    (message,) = told(
        crossed(1),
        crossed(2, threshold=90, days_past_due=91, currency="EUR", disputed=True),
        crossed(3, days_past_due=70),
    )
    text = rendered(message)
    assert "*3 invoices past due* · 2,401.00 USD and 1,200.50 EUR" in text
    assert [text.index(part) for part in ("*90 days", "|1002>", "in dispute", "*60 days", "|1003>", "|1001>")] == sorted(
        text.index(part) for part in ("*90 days", "|1002>", "in dispute", "*60 days", "|1003>", "|1001>")
    )


@pytest.mark.parametrize(
    ("changes", "fallback", "channel", "said"),
    [
        ({}, "", "U01", None),
        ({"owner_email": None, "owner_state": "left"}, "boss@house.example", "U09", "Owner: Dana Lee, who left"),
        ({"owner_email": None, "owner_state": "left"}, "", "#finance", "Owner: Dana Lee, who left"),
        ({"owner_email": "x@y.example"}, " BOSS@house.example ", "U09", "Owner: Dana Lee, not found in Slack"),
        ({"owner_email": "x@y.example"}, "unknown@house.example", "#finance", "Owner: Dana Lee, not found in Slack"),
        ({"owner_email": None, "owner_name": None, "owner_state": "none"}, "", "#finance", "The deal has no owner"),
        ({"owner_email": "boss@house.example"}, "boss@house.example", "U09", None),
    ],
)
def test_who_cannot_be_reached_is_stood_in_for_and_named(changes: Any, fallback: str, channel: str, said: str | None) -> None:
    (message,) = told(crossed(**changes), fallback=fallback)
    assert message.channel == channel
    text = rendered(message)
    assert (said in text) if said else ("Owner" not in text and "owner" not in text)


def test_one_reader_gets_one_message_also_when_standing_in_for_others() -> None:
    gone = {"owner_email": None, "owner_state": "left"}
    messages = told(
        crossed(1), crossed(2, **gone), crossed(3, owner_name="Sam", **gone), crossed(4, owner_email="boss@house.example")
    )
    assert [message.channel for message in messages] == ["U01", "U09"]
    assert rendered(messages[1]).count("who left") == 2


def test_the_first_message_says_that_everything_comes_at_once() -> None:
    assert "The first look" in rendered(told(crossed(), first=True)[0])
    assert "The first look" not in rendered(told(crossed())[0])


def test_the_same_crossings_of_a_day_are_the_same_message() -> None:
    one, other = told(crossed(1), crossed(2)), told(crossed(2), crossed(1, open=Decimal(7)))
    assert [message.dedupe_key for message in one] == [message.dedupe_key for message in other]
    assert told(crossed(1))[0].dedupe_key not in {message.dedupe_key for message in one}
    assert told() == []


def test_a_long_list_goes_on_in_a_thread_and_nothing_is_left_out() -> None:
    invoices = [crossed(number) for number in range(1, 201)]
    parent, *rest = told(*invoices, per=5)
    assert parent.thread_of is None
    assert {message.thread_of for message in rest} == {parent.dedupe_key}
    text = "\n".join(rendered(message) for message in (parent, *rest))
    assert all(f"<https://qbo.test/{number}|" in text for number in range(1, 201))
    assert "_and 195 more, in the thread_" in rendered(parent)


@given(st.lists(st.tuples(st.text(max_size=400), st.text(max_size=400), st.booleans()), min_size=1, max_size=40))
def test_slack_takes_every_message_whatever_the_names(names: list[tuple[str, str, bool]]) -> None:
    invoices = [
        crossed(number, customer=customer * 30, contact=contact or None, deal=contact, disputed=disputed)
        for number, (customer, contact, disputed) in enumerate(names)
    ]
    for message in told(*invoices, per=10, first=True):
        assert len(message.blocks) <= MOST_BLOCKS
        assert sum(characters(block) for block in message.blocks) <= LONGEST_MESSAGE
        assert all(0 < len(block["text"]["text"]) <= LONGEST_SECTION for block in message.blocks)
        assert "<!" not in rendered(message)


# What is told of what the plan found


def test_what_is_told_is_what_the_plan_found() -> None:
    world = Receivables([invoice(1, 65), invoice(2, 35)], deals=[deal(name="Acme: O'Neill's deal")])
    plan = world.plan()
    first, second = crossed_invoices(plan.crossings, plan.invoices, LINK, DEAL_LINK)
    assert (first.threshold, first.days_past_due, first.number, first.open) == (60, 65, "1001", Decimal("100.00"))
    assert (first.deal, first.customer, first.owner_email) == ("Acme: O'Neill's deal", "Acme 1, Inc", "user1@house.example")
    assert first.invoice_link == "https://qbo.test/app/invoice?txnId=301"
    assert first.deal_link == f"https://acme.test/lightning/r/Opportunity/{record_id('006')}/view"
    assert second.threshold == 30
    assert addresses([first, second], "Boss@house.example") == ("user1@house.example", "boss@house.example")
    assert addresses([], "Boss@house.example") == ()


def test_the_deal_of_an_invoice_that_was_deleted_is_called_so_and_linked_to_nothing() -> None:
    plan = Receivables([invoice(1, 65)], deals=[deal(is_deleted=True)]).plan()
    (one,) = crossed_invoices(plan.crossings, plan.invoices, LINK, DEAL_LINK)
    assert (one.deal, one.deal_link) == (f"the deleted deal {record_id('006')}", None)


def test_what_was_settled_before_it_was_told_is_not_told() -> None:
    plan = Receivables([invoice(1, 65, open=Decimal(0), status="Paid"), invoice(2, 65)]).plan()
    waiting = pl.DataFrame({"invoice_id": ["301", "302", "302"], "threshold": [60, 30, 60]})
    told_now = crossed_invoices(waiting, plan.invoices, LINK, DEAL_LINK)
    assert [(one.invoice_id, one.threshold) for one in told_now] == [("302", 60)]


# Totals


def test_finance_reads_the_totals_of_each_bucket_and_currency() -> None:
    world = Receivables(
        [invoice(1, 0), invoice(2, 45), invoice(3, 95, currency="EUR")],
        unapplied=[{"customer_id": "101", "txn_date": DAY, "amount": Decimal("30.10"), "currency": "USD"}],
    )
    (message,) = totals_messages(world.plan().totals, DAY, "#finance")
    assert message.dedupe_key == "aging-totals:2026-11-20"
    assert message.text == (
        "Receivables by age: 100.00 EUR open, 100.00 EUR of it past due and 200.00 USD open, 100.00 USD of it past due"
    )
    assert rendered(message) == (
        "*Receivables by age, 20 Nov 2026*\n"
        "*100.00 EUR*\n• 90+ days: 100.00 EUR · 1 invoice\n"
        "*200.00 USD*\n• Current: 100.00 USD · 1 invoice\n• 31-60 days: 100.00 USD · 1 invoice\n"
        "• Payments and credits not applied yet: -30.10 USD"
    )


def test_without_receivables_there_is_nothing_to_tell_finance() -> None:
    assert totals_messages(Receivables([]).plan().totals, DAY, "#finance") == []
