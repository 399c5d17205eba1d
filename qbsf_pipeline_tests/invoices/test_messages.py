"""What finance reads in Slack about invoices, whole: a summary, and a long list."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from qbsf_pipeline.invoices.messages import InvoiceTold, invoice_summary, totals
from qbsf_pipeline.slack.blocks import LONGEST_MESSAGE, LONGEST_SECTION, MOST_BLOCKS, characters
from qbsf_pipeline_tests.pipeline import rendered


def told(number: int = 1, **changes: object) -> InvoiceTold:
    return replace(
        InvoiceTold(
            key=f"key-{number}",
            number=str(1040 + number),
            customer="Acme & Söhne",
            deal="Acme | <Phase 2>",
            amount=Decimal("12500.10"),
            currency="USD",
            due_date=date(2026, 4, 30),
            emailed_to="ap@acme.example",
            invoice_link=f"https://qbo.test/app/invoice?txnId={number}",
            deal_link=f"https://acme.test/lightning/r/Opportunity/006{number}/view",
        ),
        **changes,
    )


def test_a_summary_of_two_currencies_is_told_whole() -> None:
    (message,) = invoice_summary(
        [told(1), told(2, currency="EUR", amount=Decimal("3000"), emailed_to=None, due_date=None, customer="<!channel>")],
        "#finance",
        15,
    )
    assert message.channel == "#finance"
    assert message.thread_of is None
    assert message.text == "2 invoices created in QuickBooks, 12,500.10 USD and 3,000.00 EUR"
    assert rendered(message) == (
        "*2 invoices created in QuickBooks* · 12,500.10 USD and 3,000.00 EUR\n"
        "1 of them not e-mailed yet\n"
        "• <https://qbo.test/app/invoice?txnId=1|1041> · Acme &amp; Söhne · 12,500.10 USD · due 30 Apr 2026 · "
        "e-mailed to ap@acme.example · <https://acme.test/lightning/r/Opportunity/0061/view|Acme &lt;Phase 2&gt;>\n"
        "• <https://qbo.test/app/invoice?txnId=2|1042> · &lt;!channel&gt; · 3,000.00 EUR · no due date · not e-mailed · "
        "<https://acme.test/lightning/r/Opportunity/0062/view|Acme &lt;Phase 2&gt;>"
    )


def test_one_invoice_is_one_invoice() -> None:
    (message,) = invoice_summary([told()], "#finance", 15)
    assert message.text == "1 invoice created in QuickBooks, 12,500.10 USD"
    assert rendered(message).splitlines()[0] == "*1 invoice created in QuickBooks* · 12,500.10 USD"


def test_nothing_made_is_nothing_told() -> None:
    assert invoice_summary([], "#finance", 15) == []


def test_a_long_list_goes_on_in_the_thread_of_its_summary() -> None:
    invoices = [told(number) for number in range(1, 8)]
    messages = invoice_summary(invoices, "#finance", 3)
    parent = messages[0].dedupe_key
    assert [(m.thread_of, m.text) for m in messages] == [
        (None, "7 invoices created in QuickBooks, 87,500.70 USD"),
        (parent, "4 more invoices"),
    ]
    assert rendered(messages[0]).splitlines()[-1] == "_and 4 more, in the thread_"
    numbers = [line.split("|")[1].split(">")[0] for m in messages for line in rendered(m).splitlines() if line.startswith("•")]
    assert numbers == [invoice.number for invoice in invoices]
    assert len({message.dedupe_key for message in messages}) == 2


def test_the_thread_of_a_summary_takes_as_few_messages_as_slack_allows() -> None:
    messages = invoice_summary([told(number) for number in range(500)], "#finance", 15)
    sizes = [sum(characters(block) for block in message.blocks) for message in messages[1:]]
    longest_line = max(len(line) for message in messages for line in rendered(message).splitlines())
    assert all(size <= LONGEST_MESSAGE for size in sizes)
    assert all(size > LONGEST_MESSAGE - 2 * longest_line for size in sizes[:-1])
    assert sum(rendered(message).count("• ") for message in messages) == 500


def test_the_same_invoices_are_the_same_message_and_others_another() -> None:
    first, again, other = (
        [m.dedupe_key for m in invoice_summary(i, "#f", 2)] for i in ([told(1), told(2)], [told(2), told(1)], [told(3)])
    )
    assert first == again != other


@given(st.lists(st.tuples(st.sampled_from(["USD", "EUR", "JPY"]), st.integers(1, 10**9)), min_size=1, max_size=60))
def test_totals_are_exact_for_each_currency_and_every_invoice_is_told_once(pairs: list[tuple[str, int]]) -> None:
    invoices = [told(n, currency=currency, amount=Decimal(cents) / 100) for n, (currency, cents) in enumerate(pairs)]
    shown = totals(invoices)
    for currency in {currency for currency, _ in pairs}:
        expected = sum((Decimal(cents) for one, cents in pairs if one == currency), Decimal(0)) / 100
        assert f"{expected:,.2f} {currency}" in shown
    messages = invoice_summary(invoices, "#finance", 15)
    assert sum(rendered(message).count("• ") for message in messages) == len(invoices)
    for message in messages:
        assert len(message.blocks) <= MOST_BLOCKS
        assert all(len(block["text"]["text"]) <= LONGEST_SECTION for block in message.blocks)
