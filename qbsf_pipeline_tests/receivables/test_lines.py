"""The lines of records as they come: also other spellings, missing keys and what makes no sense."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from qbsf_pipeline_tests.receivables.ledger import RECEIVABLE, inputs_of, invoice, journal_entry, payment, rules_with


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        (None, []),
        ([], []),
        ("nonsense", []),
        ([None], []),
        ([{}], []),
        ([{"Amount": 5}], []),
        ([{"Amount": 5, "LinkedTxn": None}], []),
        ([{"Amount": 5, "LinkedTxn": []}], []),
        ([{"Amount": 5, "LinkedTxn": [{"TxnType": "Invoice"}]}], []),
        ([{"Amount": 5, "LinkedTxn": [{"TxnId": 7, "TxnType": "Invoice"}]}], [("Invoice", "7", Decimal("5.00"))]),
        ([{"Amount": "5.1", "LinkedTxn": [{"TxnId": "7", "TxnType": "Invoice"}]}], [("Invoice", "7", Decimal("5.10"))]),
        ([{"Amount": None, "LinkedTxn": [{"TxnId": "7", "TxnType": "Invoice"}]}], [("Invoice", "7", None)]),
        (
            [{"Amount": Decimal("123456789012.34"), "LinkedTxn": [{"TxnId": "7", "TxnType": "Invoice"}], "LineEx": {"any": []}}],
            [("Invoice", "7", Decimal("123456789012.34"))],
        ),
        (
            [{"Amount": 5, "LinkedTxn": [{"TxnId": "7", "TxnType": "Invoice"}, {"TxnId": "8", "TxnType": "CreditMemo"}]}],
            [("Invoice", "7", Decimal("5.00")), ("CreditMemo", "8", Decimal("5.00"))],
        ),
    ],
)
def test_a_payments_lines_are_read_as_they_come(lines: Any, wanted: list[tuple[str, str, Decimal | None]]) -> None:
    found = inputs_of({"Payment": [{**payment(1, "5"), "Line": lines}]}).lines.payment_lines
    assert found.select("txn_type", "txn_id", "amount").rows() == wanted


def test_records_without_lines_and_deleted_ones_have_none() -> None:
    gone = payment(2, "5", ("Invoice", "7", "5"), status="Deleted")
    bare = {"Id": "3", "TotalAmt": 5}
    lines = inputs_of({"Payment": [gone, bare], "JournalEntry": [{"Id": "4"}], "CreditMemo": [{"Id": "5"}]}).lines
    assert lines.payment_lines.is_empty()
    assert lines.journal_lines.is_empty()
    assert lines.credit_lines.is_empty()


def test_a_journal_line_names_a_customer_only_where_its_entity_is_one() -> None:
    entry = journal_entry(1, ("Credit", RECEIVABLE, "5", "7"), ("Debit", RECEIVABLE, "5", "8"), ("Debit", RECEIVABLE, "1", None))
    entry["Line"][1]["JournalEntryLineDetail"]["Entity"]["Type"] = "Vendor"
    found = inputs_of({"JournalEntry": [entry]}).lines.journal_lines
    assert found.select("line", "posting", "customer_id").rows() == [(1, "Credit", "7"), (2, "Debit", None), (3, "Debit", None)]


@pytest.mark.parametrize("entity", [{"value": "7", "type": "CUSTOMER"}, {"Type": "Customer", "EntityRef": {"value": "7"}}])
def test_a_deposit_line_names_its_customer_in_either_spelling(entity: dict[str, Any]) -> None:
    line = {"Amount": 5, "DepositLineDetail": {"AccountRef": {"value": RECEIVABLE}, "Entity": entity}}
    found = inputs_of({"Deposit": [{"Id": "1", "Line": [line]}]}).lines.deposit_lines
    assert found.select("customer_id", "amount").rows() == [("7", Decimal("5.00"))]


@pytest.mark.parametrize(
    ("field", "disputed"),
    [
        ({"Name": "Disputed", "StringValue": "yes"}, True),
        ({"Name": " disputed ", "StringValue": "O'Brien says no"}, True),
        ({"Name": "Disputed", "StringValue": "No"}, False),
        ({"Name": "Disputed", "StringValue": "  "}, False),
        ({"Name": "Disputed"}, False),
        ({"Name": "Other", "StringValue": "yes"}, False),
    ],
)
def test_a_dispute_is_what_the_named_field_says(field: dict[str, Any], disputed: bool) -> None:
    records = {"Invoice": [invoice(1, "5", CustomField=[field])]}
    assert inputs_of(records, rules=rules_with(dispute_field="Disputed")).lines.disputed.height == int(disputed)
    assert inputs_of(records).lines.disputed.is_empty()
