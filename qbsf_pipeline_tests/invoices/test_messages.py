"""What people read in Slack, whole: a summary, a long list, refusals, what is solved, a closed gate."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbsf_pipeline.invoices.messages import (
    InvoiceTold,
    gate_message,
    invoice_summary,
    problem_messages,
    resolved_messages,
    totals,
)
from qbsf_pipeline.slack.blocks import LONGEST_MESSAGE, LONGEST_SECTION, MOST_BLOCKS, characters
from qbsf_pipeline.state.failures import Failure, Problem, Reason
from qbsf_pipeline_tests.pipeline import rendered

NOW = datetime(2026, 3, 31, 8, 0, tzinfo=UTC)


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


def failure(number: int = 1, **changes: object) -> Failure:
    problem = Problem(
        key=f"invoices:006{number}",
        flow="invoices",
        source_object="Opportunity",
        source_id=f"006{number}",
        label=f"Deal {number} <b>",
        link=f"https://acme.test/006{number}",
        kind="refused",
        reasons=(
            Reason("billing_email_missing", "The account has no billing e-mail.", "Fill it in Salesforce."),
            Reason("odd", "Ends & begins", ""),
        ),
        amount=Decimal("1000"),
        currency="USD",
    )
    problem = replace(problem, **changes)
    return Failure(f"F-{number}", problem, "open", NOW, NOW, NOW, None, None, None, None, None)


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
    assert problem_messages([], [], "#alerts", 10) == []
    assert resolved_messages([], "#alerts", 10) == []


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


def test_a_refused_deal_is_told_with_every_reason_and_what_to_do() -> None:
    (message,) = problem_messages([failure()], [], "#finance-alerts", 10)
    assert message.channel == "#finance-alerts"
    assert message.text == "Not invoiced: Deal 1 <b>: The account has no billing e-mail."
    assert rendered(message) == (
        ":warning: *Not invoiced:* <https://acme.test/0061|Deal 1 &lt;b&gt;> · 1,000.00 USD  _F-1_\n"
        "• The account has no billing e-mail.\n"
        "   → Fill it in Salesforce.\n"
        "• Ends &amp; begins"
    )


def test_a_write_that_a_service_refused_is_told_as_needing_a_person() -> None:
    (message,) = problem_messages([], [failure(kind="failed", amount=None, link=None, reasons=())], "#alerts", 10)
    assert message.text == "Needs a person: Deal 1 <b>"
    assert rendered(message) == ":warning: *Needs a person:* Deal 1 &lt;b&gt;  _F-1_"


def test_many_problems_at_once_are_one_message_with_all_of_them_in_its_thread() -> None:
    failures = [failure(number) for number in range(1, 6)]
    parent, *replies = problem_messages(failures[:3], failures[3:], "#alerts", 4)
    assert rendered(parent) == ":warning: *5 deals need attention before they can be invoiced.* Each is in the thread."
    assert {reply.thread_of for reply in replies} == {parent.dedupe_key}
    assert [reply.text for reply in replies] == ["4 deals that need attention", "1 deal that needs attention"]
    together = "\n".join(rendered(reply) for reply in replies)
    assert all(f"_{one.failure_id}_" in together for one in failures)


def test_a_problem_that_changed_is_another_message_and_one_that_stayed_is_the_same() -> None:
    (first,), (same,) = (problem_messages([failure()], [], "#alerts", 10) for _ in range(2))
    (changed,) = problem_messages([], [replace(failure(), changed_at=datetime(2026, 4, 1, tzinfo=UTC))], "#alerts", 10)
    assert first.dedupe_key == same.dedupe_key != changed.dedupe_key


def test_a_very_long_reason_is_cut_and_still_told() -> None:
    (message,) = problem_messages([failure(reasons=(Reason("x", "word " * 2000, "Do it."),))], [], "#alerts", 10)
    assert all(len(block["text"]["text"]) <= LONGEST_SECTION for block in message.blocks)
    assert "→ Do it." in rendered(message)
    assert len(message.text) <= 3000


@pytest.mark.parametrize(
    ("number", "text", "last"),
    [
        (1, "1 problem solved", ":white_check_mark: *<https://acme.test/0060|Deal 0 &lt;b&gt;>* is all right again."),
        (2, "2 problems solved", ":white_check_mark: *<https://acme.test/0061|Deal 1 &lt;b&gt;>* is all right again."),
        (8, "8 problems solved", "_and 2 more_"),
    ],
)
def test_what_went_away_is_told_too(number: int, text: str, last: str) -> None:
    (message,) = resolved_messages([failure(n) for n in range(number)], "#alerts", 2)
    assert message.text == text
    assert rendered(message).splitlines()[-1] == last


def test_a_closed_gate_is_told_with_check_finding_and_run() -> None:
    closed = [("books_are_open", "2 invoices < the closing date."), ("currencies_agree", "1 invoice is in EUR.")]
    message = gate_message("B-1", closed, "http://127.0.0.1:3000/runs/r1", "#finance-alerts")
    assert message.text == "A check stopped this pass; nothing was sent to QuickBooks"
    assert rendered(message) == (
        ":no_entry: *Nothing was sent to QuickBooks: a check stopped this pass.*\n"
        "• 2 invoices &lt; the closing date.  (`books_are_open`)\n"
        "• 1 invoice is in EUR.  (`currencies_agree`)\n"
        "<http://127.0.0.1:3000/runs/r1|Open the run>"
    )


def test_a_gate_is_told_once_for_a_plan_and_a_finding() -> None:
    finding = [("books_are_open", "2 invoices")]
    key = gate_message("B-1", finding, "http://x/runs/1", "#a").dedupe_key
    assert gate_message("B-1", finding, "http://x/runs/2", "#a").dedupe_key == key
    assert gate_message("B-2", finding, None, "#a").dedupe_key != key
    assert gate_message("B-1", [("books_are_open", "3 invoices")], None, "#a").dedupe_key != key
