"""Customers in step, and a process that is killed (SIGKILL) or is not alone: the right value on both sides, written once,
journalled once, told once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from qbsf_pipeline.state.database import State
from qbsf_pipeline.state.journal import JournalEntry
from qbsf_pipeline_tests.crash.test_killed import BATCH, FINISH_MANY, Hanging
from qbsf_pipeline_tests.crash.world import Installation, Strike, World, prove_at_rest
from qbsf_pipeline_tests.customers.company import Company, Pair

ASSETS = "qbsf_pipeline.customers.assets"
RUN = "qbsf_pipeline.cli.passes:_run"
FINANCES = "+1 720 555 0100"

#: Each with an edit of its own, after what the kills before it left unfinished.
POINTS: tuple[Strike | Hanging, ...] = (
    Strike(BATCH, holds="entity='Customer'"),  # the ledger says sending, QuickBooks knows nothing
    Hanging("quickbooks", "batch"),  # QuickBooks has the change, nobody here has read the answer
    Strike(FINISH_MANY, holds="update_customer:"),  # the answer is read, the ledger does not know it
    Hanging("salesforce", "collections_update"),  # QuickBooks is done; Salesforce has the change, nobody here knows
    Strike(f"{ASSETS}:tell_changes", nth=2),  # in the journal, and not in the outbox
)


@dataclass
class Edits:
    """Pairs that finance and sales edited, each in a field that the other side owns."""

    company: Company
    pairs: list[Pair] = field(default_factory=list)
    edited: list[Pair] = field(default_factory=list)
    told_before: int = 0

    def make(self, count: int) -> None:
        self.pairs += [self.company.pair("Step") for _ in range(count)]

    def edit(self, pair: Pair) -> None:
        """Finance writes another phone number, sales other terms: both are to be put back."""
        self.company.call(pair, FINANCES)
        self.company.edit_account(pair, Payment_Terms__c="Net 15")
        self.edited.append(pair)

    def prove_put_back_once(self, installation: Installation) -> None:
        texts = "\n".join(self.company.told()[self.told_before :])
        journal = journal_of(installation)
        for pair in self.edited:
            ours, theirs = self.company.phones(pair)
            assert ours == theirs
            assert self.company.account(pair)["Payment_Terms__c"] == "Net 30"
            assert self.company.token(pair) == 2, "finance's edit, and one write"
            mine = [entry for entry in journal if entry.customer_id == pair.customer_id]
            found = sorted((entry.field, entry.kind, entry.status) for entry in mine)
            assert found == [("phone", "put_back", "written"), ("terms", "put_back", "written")]
            for entry in mine:
                assert texts.count(f"_{entry.journal_id}_") == 1, f"{entry.journal_id} was not told once"


def journal_of(installation: Installation) -> list[JournalEntry]:
    with State.open(f"sqlite:///{installation.state_file}", installation.home) as state:
        return state.journal.list()


@pytest.fixture
def edits(world: World) -> Iterator[Edits]:
    company = Company(world.control)
    company.furnish()
    found = Edits(company, told_before=len(company.told()))
    yield found
    for pair in found.pairs:
        world.control.delete_record("Account", pair.account_id)


def test_wherever_a_pass_is_killed_each_value_is_put_back_once_and_told_once(
    world: World, installation: Installation, edits: Edits
) -> None:
    edits.make(len(POINTS))
    installation.flows = ("customers",)
    installation.sync_until_done()
    for pair, point in zip(edits.pairs, POINTS, strict=True):
        edits.edit(pair)
        if isinstance(point, Strike):
            installation.killed(point)
        else:
            point.carry_out(world, installation)
    installation.sync_until_done()
    edits.prove_put_back_once(installation)
    prove_at_rest(world, installation)


def test_two_passes_at_once_and_two_pushes_from_two_homes_that_share_the_state_put_each_value_back_once(
    world: World, installation: Installation, edits: Edits, tmp_path: Path
) -> None:
    edits.make(4)
    installation.flows = ("customers",)
    installation.sync_until_done()
    for pair in edits.pairs[:2]:
        edits.edit(pair)
    first, second = installation.start(), installation.start()
    assert [first.report()["exit_code"], second.report()["exit_code"]] == [0, 0]
    edits.prove_put_back_once(installation)

    for pair in edits.pairs[2:]:
        edits.edit(pair)
    installation.killed(Strike(RUN, nth=2))  # planned and pending, and nothing is pushed
    shared = {
        "QBSF_HOME": str(tmp_path / "other"),
        "QBSF_STATE_URL": f"sqlite:///{installation.state_file}",
        "QBSF_WAREHOUSE": str(installation.warehouse_file),
    }
    world.control.options(latency_ms=40)
    try:
        first = installation.start(command="push customers")
        second = installation.start(command="push customers", **shared)
        assert first.report()["success"]
        assert second.report()["success"]
    finally:
        world.control.options(latency_ms=0)
    edits.prove_put_back_once(installation)
