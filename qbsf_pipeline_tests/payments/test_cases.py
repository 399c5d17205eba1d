"""Every way in which money comes, or does not, from QuickBooks' records to the deal and its owner: a table of cases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from qbsf_pipeline.money import parse_json
from qbsf_pipeline.payments.plan import (
    KNOWN_DEALS,
    PaymentInputs,
    PaymentParameters,
    PaymentPlan,
    deal_payments_of,
    documents,
    payment_events_of,
    plan_payments,
)
from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline_tests.invoices.records import ORG, frame, state_frame
from qbsf_pipeline_tests.payments.books import DEAL, PACKAGED, Books
from qbsf_pipeline_tests.receivables.ledger import (
    BAD_DEBTS,
    RECEIVABLE,
    credit_memo,
    inputs_of,
    invoice,
    journal_entry,
    owed,
    payment,
)

STARTED = datetime(2026, 3, 1, 8, tzinfo=UTC)
MARKED = {"PrivateNote": f"Salesforce Opportunity {DEAL}", "EmailStatus": "EmailSent", "CurrencyRef": {"value": "USD"}}
Records = Mapping[str, list[dict[str, Any]]]


def bill(balance: str = "1000.00", number: int = 1, total: str = "1000.00", **more: Any) -> dict[str, Any]:
    """Invoice 101 over 1,000.00 USD, mailed, for the deal."""
    return invoice(number, total, balance, **(MARKED | more))


def voided_invoice() -> dict[str, Any]:
    return bill("0", total="0", PrivateNote=f"Voided - Salesforce Opportunity {DEAL}", Line=[])


PAID_BY_CHECK = payment(7, "1000.00", ("Invoice", "1", "1000.00"), PaymentRefNum="CHK-7")
VOIDED_CHECK = payment(7, "0", PaymentRefNum="CHK-7", PrivateNote="Voided")
DELETED = {"status": "Deleted"}
OPEN: Records = {"Invoice": [bill()]}
PAID: Records = {"Invoice": [bill("0")], "Payment": [PAID_BY_CHECK]}
WRITE_OFF = journal_entry(8, ("Debit", BAD_DEBTS, "1000.00", None), ("Credit", RECEIVABLE, "1000.00", "1"))


class World:
    """A deal in Salesforce beside QuickBooks' records."""

    def __init__(self) -> None:
        self.books = Books(watching_since=STARTED)
        self.books.deal()

    def plan(self, records: Records) -> PaymentPlan:
        raw = inputs_of(records, deals=[{"id": DEAL, "name": "Deal 1"}])
        found = owed(raw)
        base = self.books.inputs()
        inputs: PaymentInputs = replace(
            base,
            invoices=found.invoices,
            applications=found.applications,
            documents=documents(raw.invoice, raw.payment, raw.credit_memo, raw.deposit, raw.journal_entry),
            preferences=frame(quickbooks.PREFERENCES, [{"id": "1", "home_currency": "USD"}]),
            known=state_frame(KNOWN_DEALS, [vars(deal) for deal in self.books.known.values()]),
        )
        return plan_payments(inputs, PACKAGED, PaymentParameters(date(2026, 3, 20), None, STARTED, ORG, "America/Denver"))

    def once(self, records: Records) -> list[str]:
        """A pass; the kinds of the events that it tells."""
        plan = self.plan(records)
        assert plan.refusals.is_empty(), plan.refusals.get_column("reason").to_list()
        new = self.books.remember(plan)
        self.books.apply(plan)
        again = self.plan(records)
        assert (again.writes.height, again.events.height, deal_payments_of(again.deals)) == (0, 0, [])
        return [event.kind for event in new]


@pytest.mark.parametrize(
    ("before", "after", "shown", "told"),
    [
        pytest.param(OPEN, PAID, ("Paid", "0", date(2026, 3, 10)), ["paid"], id="full"),
        pytest.param(
            OPEN,
            {"Invoice": [bill("600.00")], "Payment": [payment(7, "400.00", ("Invoice", "1", "400.00"))]},
            ("Partially Paid", "600.00", date(2026, 3, 10)),
            [],
            id="partial",
        ),
        pytest.param(
            OPEN,
            {
                "Invoice": [bill("0")],
                "Payment": [
                    payment(7, "400.00", ("Invoice", "1", "400.00")),
                    payment(8, "600.00", ("Invoice", "1", "600.00"), TxnDate="2026-03-12"),
                ],
            },
            ("Paid", "0", date(2026, 3, 12)),
            ["paid"],
            id="several payments for one invoice",
        ),
        pytest.param(
            OPEN,
            {
                "Invoice": [bill("0"), invoice(2, "50.00", "0")],
                "Payment": [payment(7, "1050.00", ("Invoice", "1", "1000.00"), ("Invoice", "2", "50.00"))],
            },
            ("Paid", "0", date(2026, 3, 10)),
            ["paid"],
            id="one payment over several invoices",
        ),
        pytest.param(
            {"Payment": [payment(7, "1000.00", unapplied="1000.00", TxnDate="2026-02-20")]},
            {"Invoice": [bill("0")], "Payment": [payment(7, "1000.00", ("Invoice", "1", "1000.00"), TxnDate="2026-02-20")]},
            ("Paid", "0", None),
            None,
            id="payment before the invoice",
        ),
        pytest.param(
            OPEN,
            {
                "Invoice": [bill("0")],
                "CreditMemo": [credit_memo(6, "1000.00")],
                "Payment": [payment(7, "0", ("Invoice", "1", "1000.00"), ("CreditMemo", "6", "1000.00"))],
            },
            ("Credited", "0", None),
            ["credited"],
            id="credit memo through a zero payment",
        ),
        pytest.param(
            PAID, {"Invoice": [bill()], "Payment": [VOIDED_CHECK]}, ("Sent", "1000.00", None), ["reopened"], id="voided"
        ),
        pytest.param(
            PAID,
            {"Invoice": [bill()], "Payment": [PAID_BY_CHECK | DELETED]},
            ("Sent", "1000.00", None),
            ["reopened"],
            id="payment deleted",
        ),
        pytest.param(
            PAID,
            {"Invoice": [bill("250.00")], "Payment": [payment(7, "750.00", ("Invoice", "1", "750.00"), PaymentRefNum="CHK-7")]},
            ("Partially Paid", "250.00", date(2026, 3, 10)),
            ["reopened"],
            id="payment edited",
        ),
        pytest.param(
            PAID,
            {
                "Invoice": [bill(), invoice(2, "1000.00", "0")],
                "Payment": [payment(7, "1000.00", ("Invoice", "2", "1000.00"), PaymentRefNum="CHK-7")],
            },
            ("Sent", "1000.00", None),
            ["reopened"],
            id="payment moved to another invoice",
        ),
        pytest.param(
            PAID,
            {"Invoice": [voided_invoice()], "Payment": [payment(7, "1000.00", unapplied="1000.00")]},
            ("Voided", "0", None),
            ["voided"],
            id="paid invoice voided",
        ),
        pytest.param(OPEN, {"Invoice": [bill() | DELETED]}, ("Deleted", "0", None), ["deleted"], id="invoice deleted"),
        pytest.param(OPEN, {}, ("Deleted", "0", None), ["deleted"], id="invoice gone"),
        pytest.param(
            PAID,
            {"Invoice": [bill("200.00", total="1200.00")], "Payment": [PAID_BY_CHECK]},
            ("Partially Paid", "200.00", date(2026, 3, 10)),
            ["reopened"],
            id="amount of the invoice raised",
        ),
        pytest.param(
            OPEN,
            {"Invoice": [bill(DocNumber="9999", DueDate="2026-06-30")]},
            ("Sent", "1000.00", None),
            [],
            id="number and due date edited",
        ),
        pytest.param(
            OPEN,
            {
                "Invoice": [bill("0")],
                "JournalEntry": [WRITE_OFF],
                "Payment": [payment(9, "0", ("Invoice", "1", "1000.00"), ("JournalEntry", "8", "1000.00"))],
            },
            ("Credited", "0", None),
            ["credited"],
            id="written off",
        ),
        pytest.param(
            OPEN,
            {
                "Invoice": [bill("0")],
                "Payment": [payment(7, "1000.00", ("Invoice", "1", "1000.00"), CustomerRef={"value": "99"})],
            },
            ("Paid", "0", date(2026, 3, 10)),
            ["paid"],
            id="paid by the parent",
        ),
    ],
)
def test_what_becomes_of_a_deal(before, after, shown, told):
    world = World()
    assert world.once(before) in ([], ["paid"])
    world.books.told.clear()
    events = world.once(after)
    status, balance, day = world.books.shown()
    assert (status, balance) == (shown[0], Decimal(shown[1]))
    if told is not None:
        assert day == shown[2]
        assert events == told


def test_a_void_is_told_with_the_cheque_and_its_amount():
    world = World()
    world.once(PAID)
    plan = world.plan(
        {"Invoice": [bill()], "Payment": [VOIDED_CHECK | {"MetaData": {"LastUpdatedTime": "2026-03-18T10:00:00-08:00"}}]}
    )
    (event,) = payment_events_of(plan.events)
    assert event.payload["reason"] == "Payment CHK-7 of 1,000.00 USD was voided on 18 Mar 2026."
    assert event.payload["amount"] == Decimal("1000.00")
    assert parse_json(plan.writes.get_column("payload").item())["Payment_Status__c"] == "Sent"


def test_an_open_amount_that_quickbooks_contradicts_holds_the_deal():
    world = World()
    plan = world.plan({"Invoice": [bill("999.99")]})
    assert plan.refusals.get_column("code").to_list() == ["balance_not_explained"]
    assert plan.writes.is_empty()
