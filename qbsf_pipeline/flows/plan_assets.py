"""How the tables of a plan appear in Dagster."""

from collections.abc import Sequence

import dagster as dg

from qbsf_pipeline.warehouse.assets import OWNERS, table_key
from qbsf_pipeline.warehouse.preview import column_schema
from qbsf_pipeline.warehouse.tables import TableSchema


class PlanConfig(dg.Config):
    """``as_of``: the day that counts as today (ISO); empty for today in the company's time zone."""

    as_of: str = ""


def plan_spec(table: TableSchema, description: str, deps: Sequence[dg.AssetKey]) -> dg.AssetSpec:
    """The asset of a table that a flow's plan step writes."""
    return dg.AssetSpec(
        table_key(table),
        deps=list(deps),
        group_name=table.schema,
        kinds={"duckdb", "polars"},
        owners=OWNERS,
        description=description,
        metadata={"dagster/column_schema": column_schema(table), "dagster/table_name": f"{table.schema}.{table.name}"},
    )
