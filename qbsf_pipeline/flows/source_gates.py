"""The gates over what was pulled, which every flow stands behind."""

from collections.abc import Iterator

import dagster as dg

from qbsf_pipeline.flows.gates import check_result, check_spec, ids_are_unique, sources_are_fresh, sources_lost_no_rows
from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.resources import WAREHOUSE_POOL, DoorsResource, WarehouseResource
from qbsf_pipeline.salesforce import objects as salesforce
from qbsf_pipeline.warehouse.connection import read_table
from qbsf_pipeline.warehouse.raw import WATERMARKS

#: The assets that carry these checks. Every plan depends on both, so that a closed gate stops it.
OPPORTUNITY_KEY = dg.AssetKey(["salesforce", "opportunity"])
INVOICE_KEY = dg.AssetKey(["quickbooks", "invoice"])


@dg.multi_asset_check(
    name="source_gates",
    specs=[
        check_spec("salesforce_is_fresh", OPPORTUNITY_KEY, "Protects against invoicing from old data."),
        check_spec("salesforce_lost_no_rows", OPPORTUNITY_KEY, "Protects against a shrunken pull, as after lost permissions."),
        check_spec("opportunity_ids_are_unique", OPPORTUNITY_KEY, "Protects against a deal that is read twice."),
        check_spec("quickbooks_is_fresh", INVOICE_KEY, "Protects against billing what was billed by hand meanwhile."),
        check_spec("quickbooks_lost_no_rows", INVOICE_KEY, "Protects against a shrunken pull of invoices or customers."),
        check_spec("invoice_ids_are_unique", INVOICE_KEY, "Protects against an invoice that is read twice."),
    ],
    pool=WAREHOUSE_POOL,
)
def source_gates(doors: DoorsResource, warehouse: WarehouseResource) -> Iterator[dg.AssetCheckResult]:
    """The gates over what was pulled."""
    opened = doors.open(warehouse)
    rules = opened.settings.rules
    with opened.warehouse.connection() as connection:
        watermarks = read_table(connection, WATERMARKS)
        opportunities = read_table(connection, salesforce.OPPORTUNITY, ["id"])
        invoices = read_table(connection, quickbooks.INVOICE, ["id"])
    now = opened.now()
    yield check_result(sources_are_fresh(watermarks, "salesforce", rules.gates, now), OPPORTUNITY_KEY)
    yield check_result(sources_lost_no_rows(watermarks, "salesforce", rules.pull), OPPORTUNITY_KEY)
    yield check_result(ids_are_unique(opportunities, "opportunity_ids_are_unique", "opportunities"), OPPORTUNITY_KEY)
    yield check_result(sources_are_fresh(watermarks, "quickbooks", rules.gates, now), INVOICE_KEY)
    yield check_result(sources_lost_no_rows(watermarks, "quickbooks", rules.pull), INVOICE_KEY)
    yield check_result(ids_are_unique(invoices, "invoice_ids_are_unique", "invoices"), INVOICE_KEY)
