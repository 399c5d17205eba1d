import time
from qbsf_pipeline_tests.crash.conftest import *
from qbsf_pipeline_tests.crash.world import *
from qbsf_pipeline_tests.crash.test_killed import *
def test_a_pass(world, installation):
    t=time.monotonic()
    def lap(x):
        nonlocal t
        print(x, round(time.monotonic()-t,2)); t=time.monotonic()
    deals = world.deals(3, new_customers=True); lap("deals")
    installation.killed(Strike(BATCH, holds="entity='Customer'")); lap("killed")
    print([(e.operation,e.status,e.error_message) for e in installation.ledger()])
    r=installation.sync(); lap("sync")
    print(shown(r), r["steps"], r["seconds"])
    print([(e.operation,e.status,e.error_message) for e in installation.ledger()])
    prove_billed_once(world, deals)
    prove_at_rest(world, installation); lap("rest")
