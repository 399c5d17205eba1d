"""A deal whose months a recurring template of QuickBooks bills: made once and recognised, whatever happens in between."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from qbsf_pipeline.invoices.recurring.periods import months_later
from qbsf_pipeline_tests.crash.test_lost_state import lose
from qbsf_pipeline_tests.crash.test_recurring import invoices_of
from qbsf_pipeline_tests.crash.world import RULES, Installation, Strike, World

FINISH = "qbsf_pipeline.state.ledger:Ledger.finish"


@pytest.fixture
def by_template(world: World, installation: Installation) -> Installation:
    rules = installation.home / "rules.toml"
    rules.write_text(f'{RULES}\n[recurring]\nbill_by = "template"\n')
    installation.environment["QBSF_CONFIG"] = str(rules)
    return installation


def sold(world: World, first: date) -> str:
    """A deal of four months from a day on."""
    (deal,) = world.deals(1)
    terms = {"Billing_Frequency__c": "Monthly", "Billing_Periods__c": 4, "Billing_Start_Date__c": first.isoformat()}
    world.control.upsert_records("Opportunity", [{"Id": deal, **terms}])
    return deal


def templates(world: World, deal: str) -> list[dict[str, Any]]:
    return [one["Invoice"] for one in world.control.objects("RecurringTransaction") if deal in one["Invoice"]["PrivateNote"]]


def today(world: World) -> date:
    return date.fromisoformat(world.control.now()[:10]).replace(day=20)


def test_a_template_is_made_once_and_its_invoices_are_the_deals_though_the_pass_is_killed_and_the_memory_lost(
    world: World, by_template: Installation
) -> None:
    first = today(world)
    deal = sold(world, first)
    by_template.as_of = first
    # QuickBooks has made it, and nobody wrote that down.
    by_template.killed(Strike(FINISH, holds=":template:"))
    by_template.sync()
    assert len(templates(world, deal)) == 1
    assert [str(one["TxnDate"]) for one in invoices_of(world, deal)] == [first.isoformat()]

    lose(by_template.state_file)
    by_template.as_of = months_later(first, 1)
    world.control.quickbooks("run-recurring", until=by_template.as_of.isoformat())
    by_template.flows = ("invoices", "payments")
    by_template.sync()
    by_template.flows = ("invoices",)
    assert len(templates(world, deal)) == 1
    made = invoices_of(world, deal)
    whole = Decimal(str(world.opportunity(deal)["Amount"]))
    assert sum(Decimal(str(one["TotalAmt"])) for one in made) + 2 * Decimal(str(made[1]["TotalAmt"])) == whole
    mails = [str(mail["invoice_id"]) for mail in world.control.mail()]
    assert [mails.count(str(one["Id"])) for one in made] == [1, 1]
    told = world.opportunity(deal)
    assert told["QuickBooks_Invoice_Id__c"] == str(made[1]["Id"])
    assert (told["Payment_Status__c"], Decimal(str(told["Invoice_Balance__c"]))) == (
        "Sent",
        sum(Decimal(str(one["TotalAmt"])) for one in made),
    )

    world.control.upsert_records("Opportunity", [{"Id": deal, "StageName": "Closed Lost"}])
    by_template.killed(Strike(FINISH, holds=":template-end:"))
    by_template.sync()
    assert templates(world, deal) == []
    assert by_template.statuses("delete_recurring_template", [deal]) == {"done": 1}
    stopped = [message for message in world.control.messages() if "Billing stopped" in message["text"]]
    assert len(stopped) == 1


def test_a_template_whose_answer_is_lost_is_found_by_its_name(world: World, by_template: Installation) -> None:
    first = today(world)
    deal = sold(world, months_later(first, 1))
    by_template.as_of = first
    world.control.fault("quickbooks", "create", "reset_after")
    by_template.sync()
    by_template.sync_until_done()
    assert len(templates(world, deal)) == 1
    assert by_template.statuses("create_recurring_template", [deal]) == {"done": 1}
    assert invoices_of(world, deal) == []
