"""The raw tables of QuickBooks as Dagster assets: one step reads them all, in one metered read when nothing changed."""

from collections.abc import Iterator

import dagster as dg

from qbsf_pipeline.quickbooks import objects
from qbsf_pipeline.quickbooks.pull import pull_quickbooks
from qbsf_pipeline.resources import WAREHOUSE_POOL, DoorsResource, WarehouseResource
from qbsf_pipeline.salesforce.assets import PullConfig
from qbsf_pipeline.steps import step, tell_back
from qbsf_pipeline.warehouse.assets import materializations, raw_asset_spec
from qbsf_pipeline.warehouse.raw import view_of, write_pulls

GROUP = "quickbooks"


@dg.multi_asset(
    name="pull_quickbooks",
    specs=[raw_asset_spec(table, GROUP, "QuickBooks Online") for table in objects.TABLES],
    pool=WAREHOUSE_POOL,
)
def quickbooks_tables(
    context: dg.AssetExecutionContext, config: PullConfig, doors: DoorsResource, warehouse: WarehouseResource
) -> Iterator[dg.MaterializeResult[None]]:
    """Read what changed in QuickBooks and write it with its watermarks in one transaction."""
    opened = doors.open(warehouse)
    rules = opened.settings.rules
    with step(opened, "invoices", "pull_quickbooks", context.run_id) as report:
        pulled = pull_quickbooks(opened.quickbooks, rules, view_of(opened.warehouse), full=config.full, now=opened.now())
        written = write_pulls(opened.warehouse, pulled.tables, rules.pull, opened.now())
        tell_back(opened, "quickbooks")
        report.counts = {
            "changed": sum(table.new + table.changed + table.deleted for table in written),
            "metered_reads": pulled.reads,
        }
        for note in pulled.notes:
            context.log.info(note)
    yield from materializations(opened.warehouse, objects.TABLES, written)
