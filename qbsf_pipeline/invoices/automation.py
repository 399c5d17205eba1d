"""The invoice flow as jobs, sensors and schedules see it."""

from qbsf_pipeline.customers.matching.assets import REVIEWS_PAGE_KEY
from qbsf_pipeline.customers.matching.plan import MATCHES
from qbsf_pipeline.flows.automation import Flow
from qbsf_pipeline.flows.writing import pending_key, pushed_key
from qbsf_pipeline.invoices.assets import PLANNED_TABLES
from qbsf_pipeline.invoices.checks import plan_gates
from qbsf_pipeline.invoices.tables import FLOW
from qbsf_pipeline.invoices.tell import untold
from qbsf_pipeline.warehouse.assets import table_key

INVOICES = Flow(
    name=FLOW,
    derived=[table_key(MATCHES)],
    planned=[table_key(table) for table in PLANNED_TABLES],
    plan_gates=plan_gates,
    pending=pending_key(FLOW),
    pushed=pushed_key(FLOW),
    after=[REVIEWS_PAGE_KEY],
    untold=lambda opened: len(untold(opened.state)),
)
