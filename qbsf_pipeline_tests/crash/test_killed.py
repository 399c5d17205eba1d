"""A pass is killed (SIGKILL) wherever something was done and is not known yet; the passes after it put everything right.

Each kill has deals of its own. Two kills follow upon each other before a pass may end, so that mending is interrupted too.
"""

from __future__ import annotations

import pytest

from qbsf_pipeline_tests.crash.world import Installation, Strike, World, prove_at_rest, prove_billed_once

BATCH = "qbsf_pipeline.quickbooks.client:QuickBooksClient.batch"
SEND = "qbsf_pipeline.quickbooks.client:QuickBooksClient.send_invoice"
FINISH = "qbsf_pipeline.state.ledger:Ledger.finish"
FINISH_MANY = "qbsf_pipeline.state.ledger:Ledger.finish_many"
START = "qbsf_pipeline.state.ledger:Ledger.start"
UPDATE = "qbsf_pipeline.salesforce.client:SalesforceClient.update"
WRITE_PULL = "qbsf_pipeline.warehouse.raw:write_pull"
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


@pytest.mark.parametrize(
    ("points", "new_customers"),
    [
        pytest.param(INVOICES, False, id="around the invoices"),
        pytest.param(SENDS, False, id="around the e-mails"),
        pytest.param(TOLD, False, id="around write-back and Slack"),
        pytest.param(CUSTOMERS, True, id="around the customers"),
        pytest.param(OWN_TABLES, False, id="in its own tables"),
    ],
)
def test_a_pass_that_is_killed_leaves_no_deal_unbilled_and_none_billed_twice(
    world: World, installation: Installation, points: tuple[Strike | Hanging, ...], new_customers: bool
) -> None:
    deals: list[str] = []
    for pair in zip(points[::2], points[1::2], strict=True):
        for point in pair:
            deals += world.deals(3, new_customers=new_customers)
            if isinstance(point, Strike):
                installation.killed(point)
            else:
                point.carry_out(world, installation)
        installation.sync_until_done()
        prove_billed_once(world, deals)
    prove_at_rest(world, installation)
