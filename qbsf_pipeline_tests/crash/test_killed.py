"""A pass is killed (SIGKILL) wherever something was done and is not known yet; the passes after it put everything right.

Each kill has deals of its own. Several kills follow upon each other before a pass may end, so that mending is interrupted
too. The chains of kills run side by side, each against a sandbox of its own.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from qbsf_pipeline_tests.crash.world import Installation, Strike, World, prove_at_rest, prove_billed_once

BATCH = "qbsf_pipeline.quickbooks.client:QuickBooksClient.batch"
SEND = "qbsf_pipeline.quickbooks.client:QuickBooksClient.send_invoice"
FINISH = "qbsf_pipeline.state.ledger:Ledger.finish"
FINISH_MANY = "qbsf_pipeline.state.ledger:Ledger.finish_many"
START = "qbsf_pipeline.state.ledger:Ledger.start"
UPDATE = "qbsf_pipeline.salesforce.client:SalesforceClient.update"
WRITE_PULL = "qbsf_pipeline.warehouse.raw:_write_rows"
POST = "qbsf_pipeline.slack.client:SlackClient.post"
ASSETS = "qbsf_pipeline.invoices.assets"


class Hanging:
    """The service has carried a call out and keeps its answer to itself; the pass is killed meanwhile."""

    def __init__(self, service: str, endpoint: str) -> None:
        self.service, self.endpoint = service, endpoint

    def carry_out(self, world: World, installation: Installation) -> None:
        world.control.clear_calls()
        world.control.fault(self.service, self.endpoint, "hang_after", seconds=2)
        installation.killed_when(lambda: bool(world.control.calls(self.service, self.endpoint)))


INVOICES = (
    Strike(BATCH, holds="entity='Invoice'"),  # the ledger says sending, QuickBooks knows nothing
    Hanging("quickbooks", "batch"),  # QuickBooks has the invoices, nobody here has read the answer
    Strike(FINISH_MANY, holds=":invoice:"),  # the answer is read, the ledger does not know it
    Strike(START, holds=":send:"),  # between invoice and e-mail
)
SENDS = (
    Strike(SEND, after=True, nth=2),  # in the middle: some mailed, some not, the answers of some unread
    Hanging("quickbooks", "send"),  # mailed, and the answer is not read
    Strike(FINISH, holds=":send:", nth=3),  # the answer is read, the ledger does not know it
    Strike(UPDATE, holds="Opportunity"),  # between e-mail and write-back
)
TOLD = (
    Hanging("salesforce", "collections_update"),  # Salesforce has the ids, nobody here knows
    Strike(f"{ASSETS}:tell_invoices"),  # between write-back and Slack
    Strike(POST),  # in the outbox, not in Slack
    Hanging("slack", "chat.postMessage"),  # in Slack, and the outbox does not know
)
CUSTOMERS = (
    Strike(BATCH, holds="entity='Customer'"),
    Hanging("quickbooks", "batch"),
    Strike(FINISH_MANY, holds=":customer:"),
    Strike(UPDATE, holds="Account"),
)
OWN_TABLES = (
    Strike(WRITE_PULL, after=True, holds="schema='quickbooks'", nth=3),  # in the transaction of the first pull
    Strike(WRITE_PULL, after=True, holds="schema='salesforce'", nth=4),  # in that of the second
    Strike(f"{ASSETS}:replace_rows", after=True, nth=2),  # in the transaction of the plan; the pool's slot is held
    Strike(f"{ASSETS}:upsert_rows"),  # pushed, and not in the warehouse; slot, pass lock and push lock are held
)


#: The chains of kills, the longest first.
CHAINS: dict[str, tuple[Strike | Hanging, ...]] = {
    "around the e-mails": SENDS,
    "around write-back and Slack": TOLD,
    "around the invoices": INVOICES,
    "around the customers": CUSTOMERS,
    "in its own tables": OWN_TABLES,
}


def killed_along(chain: str, world: World, settled: Installation) -> None:
    """Kill one pass after the other, each somewhere else in the chain; then let one end."""
    installation = settled.copy(world.folder / chain)
    # The other chains leave the reporting tables out; here they are made and made good as well.
    installation.reporting = chain == "in its own tables"
    deals: list[str] = []
    for point in CHAINS[chain]:
        deals += world.deals(3, new_customers=chain == "around the customers")
        if isinstance(point, Strike):
            installation.killed(point)
        else:
            point.carry_out(world, installation)
    installation.sync_until_done()
    prove_billed_once(world, deals)
    prove_at_rest(world, installation)


@pytest.mark.timeout(900)  # twenty kills and ten whole passes, on whatever machine
def test_wherever_a_pass_is_killed_no_deal_stays_unbilled_and_none_is_billed_twice(worlds: list[World]) -> None:
    left = list(CHAINS)

    def work(world: World) -> None:
        settled = world.settled_installation()
        while left:
            chain = left.pop(0)
            try:
                killed_along(chain, world, settled)
            except AssertionError as error:
                error.add_note(f"killed {chain}")
                raise

    with ThreadPoolExecutor(len(worlds)) as pool:
        for done in [pool.submit(work, world) for world in worlds]:
            done.result()
