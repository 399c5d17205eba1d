"""Services that lose answers, throttle, refuse and go away, under a program that is not killed."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from qbsf_pipeline.quickbooks.objects import invoice_marker
from qbsf_pipeline_tests.crash.world import (
    RULES,
    Installation,
    Strike,
    World,
    account_record,
    customer_object,
    prove_billed_once,
    shown,
)

BATCH = "qbsf_pipeline.quickbooks.client:QuickBooksClient.batch"
PUSH = "qbsf_pipeline.invoices.assets:_push"


def texts(world: World, channel: str, since: int) -> list[str]:
    """What was posted to a channel after so many messages."""
    return [
        json.dumps([message["text"], message["blocks"]], ensure_ascii=False, default=str)
        for message in world.control.messages()[since:]
        if message["channel_name"] == channel
    ]


def with_batches_of_two(installation: Installation, tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text(RULES + "quickbooks_batch = 2\n")
    installation.environment["QBSF_CONFIG"] = str(rules)


LOST_ANSWERS = (
    ("quickbooks", "batch", "reset_after", 1),  # the customer's
    ("quickbooks", "batch", "error_after", 1),  # the invoices'
    ("quickbooks", "send", "reset_after", 1),
    ("quickbooks", "send", "error_after", 1),
    ("salesforce", "collections_update", "reset_after", 1),
    ("salesforce", "collections_update", "error_after", 1),
    ("slack", "chat.postMessage", "reset_after", 1),
)
HINDRANCES = (
    ("quickbooks", "query", "token_expired", 1),
    ("quickbooks", "cdc", "throttle", 1),
    ("quickbooks", "batch", "throttle", 3),
    ("quickbooks", "batch", "html", 1),
    ("quickbooks", "batch", "reset_before", 1),
    ("quickbooks", "batch", "token_expired", 1),
    ("quickbooks", "batch", "slow", 1),
    ("quickbooks", "send", "throttle", 2),
    ("quickbooks", "send", "token_expired", 1),
    ("quickbooks", "send", "error", 1),
    ("salesforce", "composite", "token_expired", 1),
    ("salesforce", "composite", "html", 1),
    ("salesforce", "collections_retrieve", "reset_before", 1),
    ("salesforce", "collections_update", "throttle", 1),
    ("salesforce", "collections_update", "token_expired", 1),
    ("slack", "chat.postMessage", "throttle", 1),
)


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param(LOST_ANSWERS, id="answers lost on the way"),
        pytest.param(HINDRANCES, id="throttled, expired, broken, slow"),
    ],
)
def test_calls_that_fail_in_every_way_lead_to_one_invoice_and_one_mail(
    world: World, installation: Installation, faults: tuple[tuple[str, str, str, int], ...]
) -> None:
    deals = world.deals(4) + world.deals(1, new_customers=True)
    for service, endpoint, kind, times in faults:
        world.control.fault(service, endpoint, kind, times=times, seconds=0.2)
    installation.sync_until_done(3)
    assert world.control.faults() == [], "a fault never struck"
    prove_billed_once(world, deals)


def test_when_quickbooks_fails_in_the_middle_of_a_push_people_are_told_once_and_once_when_it_is_back(
    world: World, installation: Installation, tmp_path: Path
) -> None:
    with_batches_of_two(installation, tmp_path)
    deals = world.deals(6)
    before = len(world.control.messages())
    outage = {"service": "quickbooks", "endpoint": "*", "kind": "html", "times": 10_000}
    report = installation.sync(Strike(BATCH, holds="entity='Invoice'", nth=2, calls=(("faults", outage),)))
    assert report["exit_code"] == 3, shown(report)
    assert len(installation.ledger()) == 18
    assert installation.statuses("create_invoice", deals)["done"] == 2
    assert installation.sync()["exit_code"] == 1  # still down: the pull fails
    world.control.clear_faults()
    installation.sync_until_done()
    prove_billed_once(world, deals)
    told = texts(world, "#finance-alerts", before)
    assert [("does not answer" in text, "answers again" in text) for text in told] == [(True, False), (False, True)], told


def test_when_salesforce_takes_no_writes_the_deals_are_billed_and_nobody_is_flooded(
    world: World, installation: Installation
) -> None:
    deals = world.deals(3)
    before = len(world.control.messages())
    world.control.fault("salesforce", "collections_update", "html", times=10_000)
    for _ in range(3):
        report = installation.sync()
        assert report["exit_code"] == 3, shown(report)
    assert installation.statuses("send_invoice", deals)["done"] == 3
    world.control.clear_faults()
    installation.sync_until_done()
    prove_billed_once(world, deals)
    told = texts(world, "#finance-alerts", before)
    assert [("does not answer" in text, "answers again" in text) for text in told] == [(True, False), (False, True)], told


def test_while_slack_is_down_messages_wait_and_each_comes_once_and_in_order(world: World, installation: Installation) -> None:
    before = len(world.control.messages())
    first = world.deals(1)
    refused = world.deals(1)
    world.control.upsert_records("Opportunity", [{"Id": refused[0], "Contract_URL__c": None}])
    world.control.fault("slack", "chat.postMessage", "html", times=10_000)
    report = installation.sync()
    assert report["exit_code"] == 3
    assert report["messages"]["waiting"] == 2
    assert len(world.control.messages()) == before
    world.control.clear_faults()
    world.control.fault("slack", "chat.postMessage", "throttle", times=1)
    second = world.deals(1)
    world.control.upsert_records("Opportunity", [{"Id": refused[0], "Contract_URL__c": "https://contracts.example/x"}])
    installation.sync_until_done()
    prove_billed_once(world, [*first, *second, *refused])
    finance, alerts = texts(world, "#finance", before), texts(world, "#finance-alerts", before)
    assert len(finance) == 2
    invoice_of = {deal: world.opportunity(deal)["QuickBooks_Invoice_Id__c"] for deal in (*first, *second, *refused)}
    assert f"txnId={invoice_of[first[0]]}|" in finance[0]
    assert all(f"txnId={invoice_of[deal]}|" in finance[1] for deal in (*second, *refused))
    assert ["Not invoiced" in text for text in alerts] == [True, False]
    assert "all right again" in alerts[1]


def test_one_refused_invoice_does_not_stop_the_others_of_its_batch_and_is_told_once(
    world: World, installation: Installation
) -> None:
    before = len(world.control.messages())
    (account,) = world.control.upsert_records("Account", [account_record("Fading Friend LLC")])
    (customer,) = world.control.upsert_objects("Customer", [customer_object("Fading Friend LLC")])
    deals = world.deals(3)
    (bad,) = world.deals(1)
    world.control.upsert_records("Opportunity", [{"Id": bad, "AccountId": account}])
    retired = {"entity": "Customer", "objects": [{"Id": customer["Id"], "Active": False}]}
    report = installation.sync(Strike(PUSH, calls=(("quickbooks/records", retired),)))
    assert report["exit_code"] == 3, shown(report)
    prove_billed_once(world, deals)
    assert marked(world, bad) == []
    assert installation.sync()["exit_code"] == 3
    told = [text for text in texts(world, "#finance-alerts", before) if bad in text]
    assert len(told) in (1, 2), told  # refused by QuickBooks; then, as the plan sees it, a customer that is no longer active
    count = len(world.control.messages())
    assert installation.sync()["exit_code"] == 3
    assert len(world.control.messages()) == count


def test_a_repeated_request_is_answered_with_the_invoice_that_it_made(world: World, installation: Installation) -> None:
    """The answer is lost and the marker is not to be found, because somebody cleared the memo: the request id still knows."""
    (deal,) = world.deals(1)
    world.control.clear_calls()
    world.control.fault("quickbooks", "batch", "hang_after", seconds=2)
    installation.killed_when(lambda: bool(world.control.calls("quickbooks", "batch")))
    (invoice,) = marked(world, deal)
    world.control.upsert_objects("Invoice", [{"Id": invoice["Id"], "PrivateNote": "cleared by hand"}])
    number = len(world.control.objects("Invoice"))
    installation.sync_until_done()
    assert len(world.control.objects("Invoice")) == number
    assert world.opportunity(deal)["QuickBooks_Invoice_Id__c"] == str(invoice["Id"])
    assert [str(mail["invoice_id"]) for mail in world.control.mail()].count(str(invoice["Id"])) == 1


def test_a_batch_that_was_carried_out_in_part_is_completed_only_when_quickbooks_can_no_longer_be_working_on_it(
    world: World, installation: Installation, tmp_path: Path
) -> None:
    deals = world.deals(4)
    installation.killed(Strike(BATCH, holds="entity='Invoice'"))
    item = next(item["Id"] for item in world.control.objects("Item") if item["Name"] == "Work")
    customer = next(c["Id"] for c in world.control.objects("Customer") if c["DisplayName"] == "Old Friend Inc.")
    for deal in deals[1:3]:
        amount = world.opportunity(deal)["Amount"]
        line = {
            "DetailType": "SalesItemLineDetail",
            "Amount": Decimal(str(amount)),
            "SalesItemLineDetail": {"ItemRef": {"value": item}, "Qty": 1, "UnitPrice": Decimal(str(amount))},
        }
        half = {
            "CustomerRef": {"value": customer},
            "PrivateNote": invoice_marker(deal),
            "Line": [line],
            "DocNumber": f"H{deal[-5:]}",
        }
        world.control.upsert_objects("Invoice", [{**half, "BillEmail": {"Address": "ap@oldfriendinc.example"}}])
    patient = tmp_path / "patient.toml"
    patient.write_text(RULES.replace("unknown_outcome_wait_seconds = 1", "unknown_outcome_wait_seconds = 3600"))
    hasty, installation.environment["QBSF_CONFIG"] = installation.environment["QBSF_CONFIG"], str(patient)
    report = installation.sync()
    assert report["exit_code"] == 3, shown(report)
    assert installation.statuses("create_invoice", deals) == {"done": 2, "sending": 2}, shown(report)
    assert [len(marked(world, deal)) for deal in deals] == [0, 1, 1, 0]
    installation.environment["QBSF_CONFIG"] = hasty
    installation.sync_until_done()
    prove_billed_once(world, deals)


def marked(world: World, deal: str) -> list[dict[str, Any]]:
    """The invoices that name a deal."""
    return [i for i in world.control.objects("Invoice") if invoice_marker(deal) in (i.get("PrivateNote") or "")]
