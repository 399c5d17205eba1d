"""What people read in Slack about records that need them, whole: refusals, what is solved, closed gates, in each flow's words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbsf_pipeline.customers.tell import WORDS as OF_CUSTOMERS
from qbsf_pipeline.flows.messages import STOPPED, fitting, gate_message, problem_messages, resolved_messages, sections
from qbsf_pipeline.invoices.tell import WORDS
from qbsf_pipeline.slack.blocks import LONGEST_SECTION
from qbsf_pipeline.state.failures import Failure, Problem, Reason
from qbsf_pipeline_tests.pipeline import rendered

NOW = datetime(2026, 3, 31, 8, 0, tzinfo=UTC)


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


def test_nothing_to_say_is_nothing_told() -> None:
    assert problem_messages([], [], "#alerts", 10, WORDS) == []
    assert resolved_messages([], "#alerts", 10) == []


def test_a_refused_deal_is_told_with_every_reason_and_what_to_do() -> None:
    (message,) = problem_messages([failure()], [], "#finance-alerts", 10, WORDS)
    assert message.channel == "#finance-alerts"
    assert message.text == "Not invoiced: Deal 1 <b>: The account has no billing e-mail."
    assert rendered(message) == (
        ":warning: *Not invoiced:* <https://acme.test/0061|Deal 1 &lt;b&gt;> · 1,000.00 USD  _F-1_\n"
        "• The account has no billing e-mail.\n"
        "   → Fill it in Salesforce.\n"
        "• Ends &amp; begins"
    )


def test_a_write_that_a_service_refused_is_told_as_needing_a_person() -> None:
    (message,) = problem_messages([], [failure(kind="failed", amount=None, link=None, reasons=())], "#alerts", 10, WORDS)
    assert message.text == "Needs a person: Deal 1 <b>"
    assert rendered(message) == ":warning: *Needs a person:* Deal 1 &lt;b&gt;  _F-1_"


def test_many_problems_at_once_are_one_message_with_all_of_them_in_its_thread() -> None:
    failures = [failure(number) for number in range(1, 6)]
    parent, *replies = problem_messages(failures[:3], failures[3:], "#alerts", 4, WORDS)
    assert rendered(parent) == ":warning: *5 deals need attention before they can be invoiced.* Each is in the thread."
    assert {reply.thread_of for reply in replies} == {parent.dedupe_key}
    assert [reply.text for reply in replies] == ["4 deals that need attention", "1 deal that needs attention"]
    together = "\n".join(rendered(reply) for reply in replies)
    assert all(f"_{one.failure_id}_" in together for one in failures)


def test_a_problem_that_changed_is_another_message_and_one_that_stayed_is_the_same() -> None:
    (first,), (same,) = (problem_messages([failure()], [], "#alerts", 10, WORDS) for _ in range(2))
    (changed,) = problem_messages([], [replace(failure(), changed_at=datetime(2026, 4, 1, tzinfo=UTC))], "#alerts", 10, WORDS)
    assert first.dedupe_key == same.dedupe_key != changed.dedupe_key


def test_a_very_long_reason_is_cut_and_still_told() -> None:
    (message,) = problem_messages([failure(reasons=(Reason("x", "word " * 2000, "Do it."),))], [], "#alerts", 10, WORDS)
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


@pytest.mark.parametrize(
    ("flows", "said"),
    [
        (["invoices"], "No invoice was pushed"),
        (["customers"], "No customer was changed"),
        (["payments", "aging"], "No payment status was written and no age was written and nobody was reminded"),
        (["reconciliation"], "No month-end report was made"),
        (list(STOPPED), "Nothing was sent to QuickBooks"),
    ],
)
def test_a_closed_gate_says_which_flow_stands_still(flows: list[str], said: str) -> None:
    message = gate_message("B-1", [("a_check", "Found.")], None, "#a", flows)
    assert rendered(message) == f":no_entry: *{said}: a check stopped this pass.*\n• Found.  (`a_check`)"
    assert message.text == f"A check stopped this pass; {said[0].lower()}{said[1:]}"


def test_each_flow_speaks_of_its_own_records() -> None:
    customer = failure(1, amount=None, currency=None, label="Acme")
    (message,) = problem_messages([customer], [], "#alerts", 10, OF_CUSTOMERS)
    assert message.text == "Not kept in step: Acme: The account has no billing e-mail."
    assert rendered(message).startswith(":warning: *Not kept in step:* <https://acme.test/0061|Acme>  _F-1_\n")
    parent, *replies = problem_messages([customer, failure(2), failure(3)], [], "#alerts", 2, OF_CUSTOMERS)
    told = ":warning: *3 customers need attention before they can be kept in step.* Each is in the thread."
    assert rendered(parent) == told
    assert [reply.text for reply in replies] == ["2 customers that need attention", "1 customer that needs attention"]


@given(st.lists(st.text(max_size=400), max_size=60), st.integers(50, 600))
def test_lines_are_spread_over_messages_in_order_and_none_is_lost(lines: list[str], longest: int) -> None:
    parts = fitting(lines, longest)
    assert [line for part in parts for line in part] == lines
    for part in parts:
        assert len(part) == 1 or sum(len(line) + 1 for line in part) <= longest


@given(st.lists(st.text(max_size=4000), max_size=12))
def test_sections_keep_within_slacks_limit(lines: list[str]) -> None:
    assert all(0 < len(block["text"]["text"]) <= LONGEST_SECTION for block in sections(lines))
