"""The ageing flow as jobs, sensors and schedules see it."""

from qbsf_pipeline.aging.checks import plan_gates
from qbsf_pipeline.aging.tables import CROSSINGS, DEALS, FLOW, INVOICES, PLAN, REFUSALS, REMINDERS, TASKS, TOTALS
from qbsf_pipeline.flows.automation import Flow
from qbsf_pipeline.flows.people import reachable
from qbsf_pipeline.flows.writing import pending_key, pushed_key
from qbsf_pipeline.receivables.checks import receivables_checks
from qbsf_pipeline.receivables.tables import APPLICATIONS, CONTESTED, UNAPPLIED
from qbsf_pipeline.receivables.tables import INVOICES as RECEIVABLE_INVOICES
from qbsf_pipeline.warehouse.assets import table_key

AGING = Flow(
    name=FLOW,
    derived=[table_key(table) for table in (APPLICATIONS, UNAPPLIED, RECEIVABLE_INVOICES, CONTESTED)],
    planned=[table_key(table) for table in (PLAN, INVOICES, DEALS, CROSSINGS, REMINDERS, TASKS, TOTALS, REFUSALS)],
    plan_gates=plan_gates,
    pending=pending_key(FLOW),
    pushed=pushed_key(FLOW),
    untold=lambda opened: len(opened.state.crossings.unannounced()) if reachable(opened) else 0,
    warnings=(receivables_checks,),
    follows=True,
    daily_at=lambda rules: rules.aging.morning,
)
