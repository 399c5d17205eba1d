"""A deal that is billed month by month, through everything that may happen to it, against services over HTTP."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from qbsf_pipeline.invoices.recurring.dividing import divided
from qbsf_pipeline.invoices.recurring.periods import months_later
from qbsf_pipeline.quickbooks.objects import invoice_marker
from qbsf_pipeline_tests.crash.test_lost_state import lose
from qbsf_pipeline_tests.crash.world import Installation, Strike, World

FINISH_MANY = "qbsf_pipeline.state.ledger:Ledger.finish_many"


def invoices_of(world: World, deal: str) -> list[dict[str, Any]]:
    found = [one for one in world.control.objects("Invoice") if invoice_marker(deal) in (one.get("PrivateNote") or "")]
    return sorted(found, key=lambda one: str(one["TxnDate"]))


def test_months_are_billed_once_though_a_pass_is_killed_and_the_memory_is_lost(world: World, installation: Installation) -> None:
    (deal,) = world.deals(1)
    first = date.fromisoformat(world.control.now()[:10])
    terms = {"Billing_Frequency__c": "Monthly", "Billing_Periods__c": 3, "Billing_Start_Date__c": first.isoformat()}
    world.control.upsert_records("Opportunity", [{"Id": deal, **terms}])
    installation.as_of = first
    installation.killed(Strike(FINISH_MANY, holds=":period-0"))
    installation.sync()
    assert len(invoices_of(world, deal)) == 1
    assert world.opportunity(deal)["Payment_Status__c"] == "Sent"

    lose(installation.state_file, installation.warehouse_file)
    installation.as_of = months_later(first, 1)
    installation.sync()
    made = invoices_of(world, deal)
    whole = Decimal(str(world.opportunity(deal)["Amount"]))
    assert [Decimal(str(one["TotalAmt"])) for one in made] == divided(whole, [1, 1, 1], "first")[:2]
    mails = [str(mail["invoice_id"]) for mail in world.control.mail()]
    assert [mails.count(str(one["Id"])) for one in made] == [1, 1]
    assert world.opportunity(deal)["QuickBooks_Invoice_Id__c"] == str(made[1]["Id"])
