"""Everything that Dagster knows of qbsf. The only module that knows every flow."""

from __future__ import annotations

import gc
from collections.abc import Sequence

import dagster as dg

from qbsf_pipeline import notices
from qbsf_pipeline.aging import assets as aging
from qbsf_pipeline.aging.automation import AGING
from qbsf_pipeline.cleansing.assets import cleansing_tables
from qbsf_pipeline.cleansing.automation import cleanse_job
from qbsf_pipeline.customers import assets as customers
from qbsf_pipeline.customers.automation import CUSTOMERS
from qbsf_pipeline.customers.matching import assets as matching
from qbsf_pipeline.flows import automation
from qbsf_pipeline.flows.automation import Flow
from qbsf_pipeline.flows.source_gates import source_gates
from qbsf_pipeline.invoices import assets as invoices
from qbsf_pipeline.invoices.automation import INVOICES
from qbsf_pipeline.payments import assets as payments
from qbsf_pipeline.payments.automation import PAYMENTS
from qbsf_pipeline.quickbooks.assets import quickbooks_tables
from qbsf_pipeline.receivables.assets import receivables
from qbsf_pipeline.receivables.checks import receivables_checks
from qbsf_pipeline.reconciliation import assets as reconciliation
from qbsf_pipeline.reconciliation import automation as month_end
from qbsf_pipeline.reconciliation.checks import reconciliation_checks
from qbsf_pipeline.reporting import assets as reporting
from qbsf_pipeline.reporting.checks import agrees_with_quickbooks, reporting_checks
from qbsf_pipeline.resources import DoorsResource, WarehouseResource
from qbsf_pipeline.salesforce.assets import salesforce_tables
from qbsf_pipeline.settings import Settings, load_settings
from qbsf_pipeline.warehouse.assets import OWNERS

#: Every flow, in the order in which a pass pushes them.
FLOWS: tuple[Flow, ...] = (INVOICES, CUSTOMERS, PAYMENTS, AGING)
_RAW = dg.AssetSelection.assets(*salesforce_tables.keys, *quickbooks_tables.keys)
#: The step that makes the tables looks at them itself.
_REPORTING = dg.AssetSelection.assets(
    reporting.STATE_KEY, *reporting.reporting_tables.keys, reporting.snapshot.key
) - dg.AssetSelection.checks(*reporting_checks.check_keys)


def _written_to() -> list[dg.AssetSpec]:
    """Where the writes go: systems outside, shown so that the lineage runs from Salesforce to QuickBooks and back."""
    invoiced, in_step, paid, aged = INVOICES.pushed, CUSTOMERS.pushed, PAYMENTS.pushed, AGING.pushed
    told = [invoiced, in_step, paid, aged, reconciliation.REPORT_KEY]
    systems = (
        ("quickbooks_online", "customer", [invoiced, in_step], "Customers: created for accounts, and kept in step with them."),
        ("quickbooks_online", "invoice", [invoiced, aged], "Invoices, with the marker of their deal; mails, reminders."),
        ("salesforce_org", "account", [invoiced, in_step], "The QuickBooks customer id and the payment terms on the account."),
        ("salesforce_org", "opportunity", [invoiced, paid, aged], "Invoice, payment status, balance and age on the deal."),
        ("salesforce_org", "task", [aged], "Tasks about invoices that are long past due."),
        ("slack_workspace", "finance_channel", told, "Summaries, and whatever needs a person."),
        ("slack_workspace", "direct_message", [paid, aged], "What concerns the owner of a deal: payments, overdue invoices."),
    )
    return [
        dg.AssetSpec(dg.AssetKey([system, name]), deps=deps, group_name="written_to", description=description, owners=OWNERS)
        for system, name, deps, description in systems
    ]


def build(settings: Settings, console_level: str = "WARNING", flows: Sequence[Flow] = ()) -> dg.Definitions:
    """The definitions for these settings: which sensors exist depends on the mode.

    Args:
        flows: what ``sync`` and ``plan_only`` run; without any, those of every pass. Every asset exists in any case.
        console_level: what runs print; everything is in the UI anyway.
    """
    mode, rules = settings.mode, settings.rules
    return dg.Definitions(
        assets=[
            salesforce_tables,
            quickbooks_tables,
            receivables,
            matching.matches,
            matching.reviews_page,
            customers.customer_plan,
            customers.pending,
            customers.pushed,
            invoices.invoice_plan,
            invoices.pending,
            invoices.pushed,
            payments.payment_plan,
            payments.pending,
            payments.pushed,
            aging.aging_plan,
            aging.pending,
            aging.pushed,
            reconciliation.reconciliation_tables,
            reconciliation.report,
            *_written_to(),
            cleansing_tables,
            reporting.pipeline_state,
            reporting.reporting_tables,
            reporting.snapshot,
        ],
        asset_checks=[
            source_gates,
            *(flow.plan_gates for flow in FLOWS),
            receivables_checks,
            reconciliation_checks,
            agrees_with_quickbooks,
            reporting_checks,
        ],
        jobs=[
            *automation.jobs(FLOWS, _RAW, _REPORTING, flows),
            month_end.reconcile_job(_RAW),
            month_end.reconcile_again_job,
            cleanse_job,
            notices.messages_job,
        ],
        sensors=[*automation.sensors(FLOWS, mode, rules.schedules), *notices.sensors(mode, rules.schedules)],
        schedules=[*automation.schedules(FLOWS, mode, rules.schedules), *month_end.schedules()],
        resources={
            "doors": DoorsResource(),
            "warehouse": WarehouseResource(database=str(settings.environment.warehouse_path)),
        },
        executor=dg.in_process_executor,
        loggers={"console": dg.colored_console_logger.configured({"log_level": console_level})},
    )


defs = build(load_settings())
# A process that runs one job would have the cycle collector go through all this again and again.
gc.freeze()
