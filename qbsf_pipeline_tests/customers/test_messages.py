"""What finance reads in Slack about fields that were put in step, whole."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbsf_pipeline.customers.fields import FIELD_NAMES
from qbsf_pipeline.customers.messages import change_messages
from qbsf_pipeline.slack.blocks import LONGEST_MESSAGE, LONGEST_SECTION, MOST_BLOCKS, characters
from qbsf_pipeline.state.journal import JournalEntry
from qbsf_pipeline.state.outbox import Message
from qbsf_pipeline_tests.pipeline import rendered

NOW = datetime(2026, 3, 31, 8, 0, tzinfo=UTC)
LINK = "https://qbo.test/app/customerdetail?nameId=101"


def entry(number: int = 1, **changes: Any) -> JournalEntry:
    """Finance wrote another phone number, and the account's was put back."""
    found = JournalEntry(
        key=f"phone:{number}",
        account_id=f"001{number}",
        account_name=f"Acme {number} Inc.",
        customer_id="101",
        customer_name=f"ACME {number}, Inc",
        field="phone",
        salesforce_value='"(303) 555-0101"',
        quickbooks_value='"999"',
        agreed_value='"(303) 555-0101"',
        owner="salesforce",
        winner="salesforce",
        kind="put_back",
        rule="The phone was changed in QuickBooks.",
        write_key="k",
        journal_id=f"J-{number}",
        status="written",
        seen_at=NOW,
        settled_at=NOW,
        reversed_by=None,
        reversed_at=None,
        reversal_settled_at=None,
        announced_at=None,
    )
    return replace(found, **changes)


def told(*entries: JournalEntry, per_message: int = 15) -> list[Message]:
    return change_messages(entries, {"101": LINK}, "#finance", per_message)


def text_of(one: JournalEntry) -> str:
    (message,) = told(one)
    return rendered(message)


REVERSE = "\nTo have a value back: `qbsf review reverse J-…`"
HEAD = f"*Customers: 1 field put back in step*\n• <{LINK}|ACME 1, Inc> · phone  _J-1_\n   "


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, f"{HEAD}changed in QuickBooks to “999”, but Salesforce owns it: “(303) 555-0101” was put back.{REVERSE}"),
        (
            {"kind": "both_changed", "changed_by": "Dana <b> & Co"},
            f"{HEAD}changed on both sides. Salesforce owns it: “(303) 555-0101” stands; QuickBooks had “999” by "
            f"Dana &lt;b&gt; &amp; Co.{REVERSE}",
        ),
        (
            {"quickbooks_value": None},
            f"{HEAD}changed in QuickBooks to nothing, but Salesforce owns it: “(303) 555-0101” was put back.{REVERSE}",
        ),
        (
            {"status": "refused"},
            f"{HEAD}changed in QuickBooks to “999”, but Salesforce owns it: “(303) 555-0101” was put back. The write was "
            f"refused; see the message about it.{REVERSE}",
        ),
        (
            {"kind": "reversed", "winner": "quickbooks", "rule": "A person wants “<b>” back as the phone."},
            f"{HEAD}A person wants “&lt;b&gt;” back as the phone.",
        ),
        (
            {"field": "terms", "owner": "quickbooks", "winner": "quickbooks", "salesforce_value": '"Net 99"'}
            | {"quickbooks_value": '"Net 30"', "changed_by": "Sam Seller"},
            f"*Customers: 1 field put back in step*\n• <{LINK}|ACME 1, Inc> · payment terms  _J-1_\n   changed in Salesforce to "
            f"“Net 99” by Sam Seller, but QuickBooks owns it: “Net 30” was put back.{REVERSE}",
        ),
        (
            {"status": "reported", "kind": "report_only", "winner": "none", "field": "currency"}
            | {"salesforce_value": '"EUR"', "quickbooks_value": '"USD"'},
            f"*Customers: 1 difference to look at*\n• <{LINK}|ACME 1, Inc> · currency  _J-1_\n   Salesforce says “EUR”, "
            "QuickBooks “USD”. Nothing was written.",
        ),
        (
            {"status": "reported", "field": "billing_address"}
            | {
                "salesforce_value": '{"street":"1 Main\\nSuite 5","city":"Boulder"}',
                "quickbooks_value": '{"street":"2 Side","city":"Boulder"}',
            },
            f"*Customers: 1 difference to look at*\n• <{LINK}|ACME 1, Inc> · billing address  _J-1_\n   Salesforce says "
            "“1 Main, Suite 5, Boulder”, QuickBooks “2 Side, Boulder”. Nothing was written.",
        ),
        (
            {"customer_id": "102"},  # nothing opens it
            f"{HEAD.replace(f'<{LINK}|ACME 1, Inc>', 'ACME 1, Inc')}changed in QuickBooks to “999”, but Salesforce owns it: "
            f"“(303) 555-0101” was put back.{REVERSE}",
        ),
    ],
    ids=["put back", "both changed", "emptied", "refused", "reversed", "terms", "currency", "address", "no link"],
)
def test_each_kind_of_change_is_told_whole(changes: dict[str, Any], text: str) -> None:
    assert text_of(entry(**changes)) == text


def test_what_was_put_back_and_what_is_only_reported_are_counted_apart() -> None:
    (message,) = told(entry(1), entry(2), entry(3, status="reported", kind="report_only", winner="none"))
    assert message.channel == "#finance"
    assert message.thread_of is None
    assert message.text == "Customers: 2 fields put back in step, 1 difference to look at"
    assert rendered(message).splitlines()[0] == "*Customers: 2 fields put back in step · 1 difference to look at*"


def test_nothing_changed_is_nothing_told() -> None:
    assert told() == []


@pytest.mark.parametrize(
    "name", ["<!channel>", "<@U123>", "<https://evil.test|Bank>", "a|b", "&lt;", "x\n<!here>", "\x00\x1b[31m"]
)
def test_a_name_or_a_value_never_becomes_a_command_or_a_link(name: str) -> None:
    value = f'"{name}"'.replace("\n", "\\n").replace("\x00", "\\u0000").replace("\x1b", "\\u001b")
    text = text_of(entry(customer_name=name, quickbooks_value=value, changed_by=name))
    assert text.count("<") == text.count(">") == 1  # the link to the customer
    assert "\x00" not in text
    assert "\x1b" not in text
    without = text_of(entry(customer_id="9", customer_name=name, quickbooks_value=value))
    assert "<" not in without


def test_a_value_that_cannot_be_read_is_shown_as_it_is() -> None:
    assert "“not json <b”".replace("<", "&lt;") in text_of(entry(quickbooks_value="not json <b"))
    assert "shown" in text_of(entry(field="a_field_of_tomorrow", quickbooks_value='"shown"'))


def test_a_customer_without_a_name_is_called_by_the_account() -> None:
    assert f"<{LINK}|Acme 1 Inc.>" in text_of(entry(customer_name=""))


def test_a_long_list_goes_on_in_the_thread_of_its_message() -> None:
    messages = told(*(entry(number) for number in range(1, 8)), per_message=3)
    parent = messages[0].dedupe_key
    assert [(message.thread_of, message.text) for message in messages] == [
        (None, "Customers: 7 fields put back in step"),
        (parent, "More changes of customers"),
    ]
    assert rendered(messages[0]).splitlines()[-2:] == [
        "_and 4 more, in the thread_",
        "To have a value back: `qbsf review reverse J-…`",
    ]
    lines = [line for message in messages for line in rendered(message).splitlines() if line.startswith("•")]
    assert [line.split("_")[1] for line in lines] == [f"J-{number}" for number in range(1, 8)]
    assert len({message.dedupe_key for message in messages}) == 2


def test_the_thread_takes_as_few_messages_as_slack_allows_and_no_change_is_lost() -> None:
    messages = told(*(entry(number) for number in range(400)))
    sizes = [sum(characters(block) for block in message.blocks) for message in messages[1:]]
    assert all(size <= LONGEST_MESSAGE for size in sizes)
    assert all(size > LONGEST_MESSAGE - 500 for size in sizes[:-1])
    assert sum(rendered(message).count("• ") for message in messages) == 400


def test_the_same_changes_are_the_same_message_and_others_another() -> None:
    first, again, other = (
        [message.dedupe_key for message in told(*entries)]
        for entries in ((entry(1), entry(2)), (entry(2), entry(1)), (entry(1), entry(3)))
    )
    assert first == again != other


@given(
    st.text(max_size=300),
    st.sampled_from(FIELD_NAMES),
    st.text(max_size=4000).map(lambda text: text or None),
    st.sampled_from(["put_back", "both_changed", "report_only", "reversed"]),
    st.sampled_from(["written", "reported", "refused"]),
)
def test_whatever_is_in_the_records_the_message_fits_slack(
    name: str, field: str, value: str | None, kind: Any, status: Any
) -> None:
    for message in told(entry(customer_name=name, field=field, quickbooks_value=value, kind=kind, status=status)):
        assert 0 < len(message.blocks) <= MOST_BLOCKS
        assert all(0 < len(block["text"]["text"]) <= LONGEST_SECTION for block in message.blocks)
        assert sum(characters(block) for block in message.blocks) <= LONGEST_MESSAGE
