"""The payments flow as jobs, sensors and schedules see it."""

from qbsf_pipeline.flows.automation import Flow
from qbsf_pipeline.flows.people import reachable
from qbsf_pipeline.flows.writing import pending_key, pushed_key
from qbsf_pipeline.payments.checks import plan_gates
from qbsf_pipeline.payments.tables import DEALS, EVENTS, FLOW, PLAN, REFUSALS
from qbsf_pipeline.receivables.tables import APPLICATIONS, CONTESTED, INVOICES, UNAPPLIED
from qbsf_pipeline.warehouse.assets import table_key

PAYMENTS = Flow(
    name=FLOW,
    derived=[table_key(table) for table in (APPLICATIONS, UNAPPLIED, INVOICES, CONTESTED)],
    planned=[table_key(table) for table in (PLAN, DEALS, EVENTS, REFUSALS)],
    plan_gates=plan_gates,
    pending=pending_key(FLOW),
    pushed=pushed_key(FLOW),
    untold=lambda opened: len(opened.state.payment_events.unannounced()) if reachable(opened) else 0,
    follows=True,
)
