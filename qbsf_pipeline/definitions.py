"""Everything that Dagster knows of qbsf. The only module that knows every flow."""

from __future__ import annotations

import dagster as dg

from qbsf_pipeline import notices
from qbsf_pipeline.customers.matching import assets as matching
from qbsf_pipeline.invoices import assets as invoices
from qbsf_pipeline.invoices import automation
from qbsf_pipeline.invoices.checks import plan_gates, source_gates
from qbsf_pipeline.quickbooks.assets import quickbooks_tables
from qbsf_pipeline.reporting import assets as reporting
from qbsf_pipeline.resources import DoorsResource, WarehouseResource
from qbsf_pipeline.salesforce.assets import salesforce_tables
from qbsf_pipeline.settings import Settings, load_settings


def build(settings: Settings, console_level: str = "WARNING") -> dg.Definitions:
    """The definitions for these settings: which sensors exist depends on the mode.

    Args:
        console_level: what runs print; everything is in the UI anyway.
    """
    mode, rules = settings.mode, settings.rules
    return dg.Definitions(
        assets=[
            salesforce_tables,
            quickbooks_tables,
            matching.matches,
            invoices.invoice_plan,
            invoices.pending,
            invoices.pushed,
            *invoices.EXTERNAL_SYSTEMS,
            reporting.pipeline_state,
            reporting.reporting_tables,
            reporting.snapshot,
        ],
        asset_checks=[source_gates, plan_gates],
        jobs=[automation.plan_job, automation.sync_job, automation.push_job, notices.messages_job],
        sensors=[*automation.sensors(mode, rules.schedules), *notices.sensors(mode, rules.schedules)],
        schedules=automation.schedules(mode, rules.schedules),
        resources={
            "doors": DoorsResource(),
            "warehouse": WarehouseResource(database=str(settings.environment.warehouse_path)),
        },
        executor=dg.in_process_executor,
        loggers={"console": dg.colored_console_logger.configured({"log_level": console_level})},
    )


defs = build(load_settings())
