"""The job of the audit: an operator starts it in the UI, ``qbsf cleanse`` in its own process. No sensor, no schedule."""

import dagster as dg

from qbsf_pipeline.cleansing.assets import FINDINGS_KEY, FLOW, SCORES_KEY
from qbsf_pipeline.customers.matching.plan import MATCHES
from qbsf_pipeline.quickbooks.assets import quickbooks_tables
from qbsf_pipeline.salesforce.assets import salesforce_tables
from qbsf_pipeline.warehouse.assets import table_key

cleanse_job = dg.define_asset_job(
    "cleanse",
    dg.AssetSelection.assets(
        *salesforce_tables.keys, *quickbooks_tables.keys, table_key(MATCHES), FINDINGS_KEY, SCORES_KEY
    ).without_checks(),
    description="Read both systems and audit their records. Writes to no system and tells nobody.",
    executor_def=dg.in_process_executor,
    tags={"dagster/max_retries": "0", "dagster/max_runtime": "3600", "qbsf/flow": FLOW},
)
