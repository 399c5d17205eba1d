"""A contract that is amended twice while it is billed month by month, against services over HTTP, with the memory lost."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from qbsf_pipeline.invoices.recurring.periods import months_later
from qbsf_pipeline.state.database import State
from qbsf_pipeline_tests.crash.test_changed_deals import PUSH
from qbsf_pipeline_tests.crash.test_lost_state import lose
from qbsf_pipeline_tests.crash.test_recurring import invoices_of
from qbsf_pipeline_tests.crash.world import Installation, Strike, World


@pytest.fixture
def cpq(world: World) -> Iterator[World]:
    """The sandbox with Salesforce CPQ."""
    world.control.salesforce("features", cpq=True)
    yield world
    world.control.salesforce("features", cpq=False)


def quoted(world: World, kind: str, starts: date, ends: date, price: str, contract: str | None = None) -> tuple[str, str]:
    """A won deal with a primary quote of one line; the deal and the line."""
    (deal,) = world.deals(1)
    head = {"SBQQ__Opportunity2__c": deal, "SBQQ__Primary__c": True, "SBQQ__Type__c": kind, "SBQQ__MasterContract__c": contract}
    days = {"SBQQ__StartDate__c": starts.isoformat(), "SBQQ__EndDate__c": ends.isoformat()}
    (quote,) = world.control.upsert_records("SBQQ__Quote__c", [{**head, **days}])
    line = {"SBQQ__Quote__c": quote, "SBQQ__Product__c": world.product, "SBQQ__Quantity__c": 1, "SBQQ__NetPrice__c": price}
    more = {"SBQQ__SubscriptionPricing__c": "Fixed Price", "SBQQ__BillingFrequency__c": "Monthly"}
    (sold,) = world.control.upsert_records("SBQQ__QuoteLine__c", [{**line, **more}])
    return deal, sold


def approve(installation: Installation, operation: str) -> None:
    """A person's yes to every write of that kind that waits."""
    waiting = [one.plan_id for one in installation.ledger() if one.operation == operation and one.status == "planned"]
    assert waiting
    with State.open(f"sqlite:///{installation.state_file}", installation.home) as state:
        for plan_id in waiting:
            state.approvals.approve(plan_id, "pat", datetime.now(UTC))


def amounts(records: list[dict[str, Any]]) -> list[Decimal]:
    return [Decimal(str(one["TotalAmt"])) for one in records]


def memos_of(world: World, deal: str) -> list[dict[str, Any]]:
    return [one for one in world.control.objects("CreditMemo") if deal in str(one.get("PrivateNote"))]


def test_amendments_change_the_months_to_come_and_credit_those_that_were_billed(cpq: World, tmp_path: Path) -> None:
    world, installation = cpq, cpq.installation(str(tmp_path / "amended"))
    first = date.fromisoformat(world.control.now()[:10])
    ends = months_later(first, 12) - timedelta(days=1)
    deal, line = quoted(world, "Quote", first, ends, "1200.00")
    # This contract does not tell its deal: its subscription does.
    (contract,) = world.control.upsert_records("Contract", [{"AccountId": world.account}])
    world.control.upsert_records("SBQQ__Subscription__c", [{"SBQQ__Contract__c": contract, "SBQQ__QuoteLine__c": line}])
    installation.as_of = months_later(first, 1)
    installation.sync()
    assert amounts(invoices_of(world, deal)) == [Decimal("100.00")] * 2

    more, _ = quoted(world, "Amendment", months_later(first, 3), ends, "90.00", contract)
    less, _ = quoted(world, "Amendment", first, ends, "-120.00", contract)
    installation.sync()
    asked = [str(message["blocks"]) for message in world.control.messages() if "A billing schedule waits" in str(message)]
    assert len(asked) == 1
    assert "20.00 USD is to be credited" in asked[0]
    approve(installation, "change_schedule")
    installation.sync()
    installation.as_of = months_later(first, 3)
    reopened = {"type": "Opportunity", "records": [{"Id": more, "StageName": "Negotiation/Review"}]}
    installation.sync(Strike(PUSH, calls=(("salesforce/records", reopened),)))
    assert len(invoices_of(world, deal)) == 2
    world.control.close_deal(more)
    installation.sync()
    approve(installation, "create_credit_memo")
    installation.sync()
    assert amounts(memos_of(world, deal)) == [Decimal("20.00")]

    lose(installation.state_file, installation.warehouse_file)
    installation.as_of = months_later(first, 4)
    installation.sync()
    assert not [one for one in installation.ledger() if one.operation in ("change_schedule", "create_credit_memo")]
    made = [Decimal(text) for text in ("100.00", "100.00", "90.00", "100.00", "100.00")]
    assert amounts(invoices_of(world, deal)) == made
    assert invoices_of(world, more) == invoices_of(world, less) == []
    assert amounts(memos_of(world, deal)) == [Decimal("20.00")]
