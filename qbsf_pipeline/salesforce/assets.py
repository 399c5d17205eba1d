"""The raw tables of Salesforce as Dagster assets: one step reads them all, in two API calls when nothing changed."""

from collections.abc import Iterator

import dagster as dg

from qbsf_pipeline.resources import WAREHOUSE_POOL, DoorsResource, WarehouseResource
from qbsf_pipeline.salesforce import objects
from qbsf_pipeline.salesforce.pull import pull_salesforce
from qbsf_pipeline.steps import step, tell_back
from qbsf_pipeline.warehouse.assets import materializations, raw_asset_spec
from qbsf_pipeline.warehouse.raw import view_of, write_pulls

GROUP = "salesforce"


class PullConfig(dg.Config):
    """``full``: read everything whole, instead of what changed."""

    full: bool = False


@dg.multi_asset(
    name="pull_salesforce",
    specs=[raw_asset_spec(table, GROUP, "Salesforce") for table in objects.TABLES],
    pool=WAREHOUSE_POOL,
)
def salesforce_tables(
    context: dg.AssetExecutionContext, config: PullConfig, doors: DoorsResource, warehouse: WarehouseResource
) -> Iterator[dg.MaterializeResult[None]]:
    """Read what changed in Salesforce and write it with its watermarks in one transaction."""
    opened = doors.open(warehouse)
    rules = opened.settings.rules
    with step(opened, "invoices", "pull_salesforce", context.run_id) as report:
        pulled = pull_salesforce(
            opened.salesforce,
            rules,
            view_of(opened.warehouse),
            full=config.full,
            now=opened.now(),
            cache=opened.state.cache,
            writes=opened.settings.mode.writes,
        )
        opened.state.identity.bind(pulled.organization_id, opened.settings.environment.quickbooks_realm_id or "", opened.now())
        written = write_pulls(opened.warehouse, pulled.tables, rules.pull, opened.now())
        tell_back(opened, "salesforce")
        report.counts = {"changed": sum(table.new + table.changed + table.deleted for table in written)}
        for note in pulled.notes:
            context.log.info(note)
    yield from materializations(opened.warehouse, objects.TABLES, written)
