"""The customers flow as jobs, sensors and schedules see it."""

from qbsf_pipeline.customers.checks import plan_gates
from qbsf_pipeline.customers.matching.plan import MATCHES
from qbsf_pipeline.customers.plan import FIELD_DIFFERENCES, FLOW, PLAN, REFUSALS
from qbsf_pipeline.customers.tell import untold
from qbsf_pipeline.flows.automation import Flow
from qbsf_pipeline.flows.writing import pending_key, pushed_key
from qbsf_pipeline.warehouse.assets import table_key

CUSTOMERS = Flow(
    name=FLOW,
    derived=[table_key(MATCHES)],
    planned=[table_key(table) for table in (PLAN, FIELD_DIFFERENCES, REFUSALS)],
    plan_gates=plan_gates,
    pending=pending_key(FLOW),
    pushed=pushed_key(FLOW),
    untold=lambda opened: len(untold(opened.state)),
)
