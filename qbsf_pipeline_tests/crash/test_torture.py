"""Passes that are killed at random moments, while deals go on being won and services go on losing answers."""

from __future__ import annotations

import random
import signal
import time

import pytest

from qbsf_pipeline_tests.crash.world import Installation, World, prove_at_rest, prove_billed_once

ROUNDS = 4
#: Of a pass: some are over before the longest.
KILLED_WITHIN_SECONDS = (0.6, 3.5)
FAULTS = (
    ("quickbooks", "batch", "reset_after"),
    ("quickbooks", "send", "reset_after"),
    ("quickbooks", "batch", "html"),
    ("quickbooks", "query", "error"),
    ("salesforce", "collections_update", "reset_after"),
    ("slack", "chat.postMessage", "reset_after"),
)


@pytest.mark.parametrize("seed", [20261122])
def test_whenever_passes_are_killed_every_deal_gets_one_invoice_and_one_mail(
    world: World, installation: Installation, seed: int
) -> None:
    chance = random.Random(seed)
    installation.flows = ()
    before = len(world.control.objects("Invoice")), len(world.control.mail())
    deals: list[str] = []
    for _ in range(ROUNDS):
        deals += world.deals(chance.randint(1, 3), new_customers=chance.random() < 0.5)
        service, endpoint, kind = chance.choice(FAULTS)
        world.control.fault(service, endpoint, kind)
        running = installation.start()
        time.sleep(chance.uniform(*KILLED_WITHIN_SECONDS))
        running.kill()
        assert running.code() in (0, -signal.SIGKILL)
    world.control.clear_faults()
    installation.sync_until_done(2)
    after = len(world.control.objects("Invoice")), len(world.control.mail())
    assert after == (before[0] + len(deals), before[1] + len(deals))
    prove_billed_once(world, deals)
    prove_at_rest(world, installation)
