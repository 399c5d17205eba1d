from qbsf_pipeline_tests.crash.world import *
def test_a_pass(world, installation):
    deals = world.deals(2) + world.deals(1, new_customers=True)
    t=time.monotonic()
    report = installation.sync_until_done(1)
    print(report["steps"], time.monotonic()-t); t=time.monotonic()
    prove_billed_once(world, deals)
    prove_at_rest(world, installation)
    print(time.monotonic()-t)
