"""Deals that people change between the plan and the push, or while the answer to their invoice is lost."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from qbsf_pipeline.quickbooks.objects import invoice_marker
from qbsf_pipeline_tests.crash.world import Installation, Strike, World, prove_billed_once, shown

BATCH = "qbsf_pipeline.quickbooks.client:QuickBooksClient.batch"
PUSH = "qbsf_pipeline.invoices.assets:_push"


def billed(world: World, deal: str) -> list[Decimal]:
    """Totals of the invoices that name a deal."""
    invoices = world.control.objects("Invoice")
    return [Decimal(str(i["TotalAmt"])) for i in invoices if invoice_marker(deal) in (i.get("PrivateNote") or "")]


def edited(world: World, deal: str, amount: str) -> dict[str, Any]:
    """The control order that changes the one line of a deal, and with it its amount."""
    line = next(line for line in world.control.records("OpportunityLineItem") if line["OpportunityId"] == deal)
    change = {"Id": line["Id"], "UnitPrice": amount, "TotalPrice": amount}
    return {"type": "OpportunityLineItem", "records": [change]}


def set_fields(deal: str, **fields: Any) -> dict[str, Any]:
    return {"type": "Opportunity", "records": [{"Id": deal, **fields}]}


def test_a_deal_that_changes_between_plan_and_push_is_held_and_right_in_the_next_pass(
    world: World, installation: Installation
) -> None:
    dearer, reopened, deleted, by_hand, untouched = world.deals(5)
    changes = (
        ("salesforce/records", edited(world, dearer, "777.77")),
        ("salesforce/records", set_fields(reopened, StageName="Negotiation/Review")),
        ("salesforce/delete", {"type": "Opportunity", "id": deleted}),
        ("salesforce/records", set_fields(by_hand, QuickBooks_Invoice_Id__c="4711")),
    )
    report = installation.sync(Strike(PUSH, calls=changes))
    assert report["exit_code"] == 3, shown(report)
    prove_billed_once(world, [untouched])
    assert [billed(world, deal) for deal in (dearer, reopened, deleted, by_hand)] == [[], [], [], []]

    installation.sync_until_done(1)
    prove_billed_once(world, [dearer])
    assert billed(world, dearer) == [Decimal("777.77")]
    assert [billed(world, deal) for deal in (reopened, deleted, by_hand)] == [[], [], []]

    world.control.close_deal(reopened)
    installation.sync_until_done(1)
    prove_billed_once(world, [dearer, reopened, untouched])


def test_a_deal_that_changes_while_the_fate_of_its_invoice_is_unknown_is_not_billed_as_it_was(
    world: World, installation: Installation
) -> None:
    dearer, reopened, untouched = world.deals(3)
    installation.killed(Strike(BATCH, holds="entity='Invoice'"))
    world.control.upsert_records("OpportunityLineItem", edited(world, dearer, "888.88")["records"])
    world.control.upsert_records("Opportunity", [{"Id": reopened, "StageName": "Negotiation/Review"}])
    installation.sync_until_done(3)
    prove_billed_once(world, [dearer, untouched])
    assert billed(world, dearer) == [Decimal("888.88")]
    assert billed(world, reopened) == []
