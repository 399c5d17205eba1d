"""Two processes at the same time: two passes, two pushes from different homes, two refreshes of one connection."""

from __future__ import annotations

from pathlib import Path

from qbsf_pipeline_tests.crash.world import Installation, Strike, World, prove_billed_once

RUN = "qbsf_pipeline.cli.passes:_run"


def test_two_passes_at_once_bill_every_deal_once(world: World, installation: Installation) -> None:
    deals = world.deals(3, new_customers=True)
    first, second = installation.start(), installation.start()
    assert [first.report()["exit_code"], second.report()["exit_code"]] == [0, 0]
    prove_billed_once(world, deals)


def test_two_pushes_from_two_homes_that_share_the_state_bill_every_deal_once(
    world: World, installation: Installation, tmp_path: Path
) -> None:
    deals = world.deals(3) + world.deals(2, new_customers=True)
    installation.killed(Strike(RUN, nth=2))
    shared = {
        "QBSF_HOME": str(tmp_path / "other"),
        "QBSF_STATE_URL": f"sqlite:///{installation.state_file}",
        "QBSF_WAREHOUSE": str(installation.warehouse_file),
    }
    world.control.options(latency_ms=40)
    try:
        first = installation.start(command="push")
        second = installation.start(command="push", **shared)
        assert first.report()["success"]
        assert second.report()["success"]
    finally:
        world.control.options(latency_ms=0)
    prove_billed_once(world, deals)


def test_two_refreshes_at_once_do_not_cut_the_connection_to_a_strict_token_service(world_alone: World) -> None:
    world = world_alone
    installation = world.installation("tokens")
    assert installation.start(command="token").report()["company"]
    world.control.quickbooks("behave", strict_rotation=True)
    world.control.quickbooks("expire-tokens")
    world.control.clear_calls()
    first, second = installation.start(command="token"), installation.start(command="token")
    assert first.report()["company"] == second.report()["company"]
    assert len(world.control.calls("quickbooks", "token")) == 1
    # Killed after Intuit answered with a new token and before it was stored: the grace that Intuit grants takes over.
    world.control.quickbooks("behave", strict_rotation=False)
    world.control.quickbooks("expire-tokens")
    installation.killed(Strike("qbsf_pipeline.state.tokens:QuickBooksTokens.store"), command="token")
    assert installation.start(command="token").report()["company"]
