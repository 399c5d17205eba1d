"""What the program remembers is lost or old: the marker on invoices and the ids on deals lead back, never to a second invoice."""

from __future__ import annotations

from pathlib import Path

from qbsf_pipeline_tests.crash.world import Installation, Strike, World, fingerprint, prove_at_rest, prove_billed_once

BATCH = "qbsf_pipeline.quickbooks.client:QuickBooksClient.batch"
UPDATE = "qbsf_pipeline.salesforce.client:SalesforceClient.update"
RUN = "qbsf_pipeline.cli.passes:_run"


def lose(*files: Path) -> None:
    for file in files:
        for part in file.parent.glob(f"{file.name}*"):
            part.unlink()


def test_without_its_state_the_program_adopts_what_stands_and_mails_what_was_not_mailed(
    world: World, installation: Installation
) -> None:
    told = world.deals(2, new_customers=True)
    installation.sync_until_done()
    not_written_back = world.deals(2, new_customers=True)
    installation.killed(Strike(UPDATE))
    not_mailed = world.deals(2, new_customers=True)
    installation.killed(Strike(BATCH, after=True, holds="entity='Invoice'"))
    lose(installation.state_file)
    fresh = world.deals(1)
    invoices = len(world.control.objects("Invoice"))
    installation.sync_until_done()
    assert len(world.control.objects("Invoice")) == invoices + 1
    prove_billed_once(world, [*told, *fresh])
    mails = [str(mail["invoice_id"]) for mail in world.control.mail()]
    for deal in (*not_written_back, *not_mailed):
        record = world.opportunity(deal)
        assert mails.count(record["QuickBooks_Invoice_Id__c"]) == 1
        assert record["Payment_Status__c"] == "Sent"
    prove_at_rest(world, installation)


def test_without_state_and_warehouse_nothing_is_billed_or_mailed_again(world: World, installation: Installation) -> None:
    told = world.deals(2)
    installation.sync_until_done()
    lose(installation.warehouse_file)
    unfinished = world.deals(2)
    installation.killed(Strike(BATCH, after=True, holds="entity='Invoice'"))
    lose(installation.warehouse_file)
    installation.sync_until_done()
    prove_billed_once(world, [*told, *unfinished])
    before = fingerprint(world)
    lose(installation.state_file, installation.warehouse_file)
    installation.sync_until_done()
    assert fingerprint(world) == before


def test_a_state_restored_from_before_the_push_neither_bills_nor_mails_again(
    world: World, installation: Installation, tmp_path: Path
) -> None:
    deals = world.deals(2)
    installation.killed(Strike(RUN, nth=2))
    planned = installation.copy(tmp_path / "planned")
    installation.killed(Strike(BATCH, holds="entity='Invoice'"))
    sending = installation.copy(tmp_path / "sending")
    installation.sync_until_done()
    prove_billed_once(world, deals)
    for backup in (planned, sending):
        backup.sync_until_done()
        prove_billed_once(world, deals)
