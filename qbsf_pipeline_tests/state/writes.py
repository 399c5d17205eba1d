"""Builders of ledger rows for tests."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

from qbsf_pipeline.state.ledger import PlannedWrite, Sending

_INVOICE = PlannedWrite(
    key="quickbooks:9130:invoice:006000000000001AAA:1",
    plan_id="P-0123456789",
    flow="invoices",
    operation="create_invoice",
    target_system="quickbooks",
    target_object="Invoice",
    source_object="Opportunity",
    source_id="006000000000001AAA",
    account_id="001000000000001AAA",
    opportunity_id="006000000000001AAA",
    depends_on=("quickbooks:9130:customer:001000000000001AAA",),
    payload='{"Line":[{"Amount":12500.10}]}',
    reason="Acme's deal was won",
    decided_from="hash-1",
    label="Acme \N{EN DASH} Phase 2",
    customer_name="Acme & Söhne",
    amount=Decimal("12500.10"),
    currency="USD",
    txn_date=date(2026, 3, 31),
    due_date=date(2026, 4, 30),
    position=3,
)


def invoice(number: int = 1, **changes: object) -> PlannedWrite:
    deal = f"006{number:012d}AAA"
    write = replace(_INVOICE, key=f"quickbooks:9130:invoice:{deal}:1", source_id=deal, opportunity_id=deal)
    return replace(write, **changes)


def sending(write: PlannedWrite, request_id: str = "r-1", group_id: str | None = None, position: int | None = None):
    return Sending(write.key, request_id, write.payload, group_id, position)
