"""The assets of the reporting layer: what the state database tells, the tables of ``sql/``, and the published snapshot."""

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any

import dagster as dg

from qbsf_pipeline.flows.plans import company_zone
from qbsf_pipeline.progress import progress
from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.reporting.build import AGING, Made, build, make_missing
from qbsf_pipeline.reporting.day import AGING_BUCKETS, NAMED_ITEMS, REPORTING_DAY, write_day
from qbsf_pipeline.reporting.history import AR_AGING_HISTORY, history_folder
from qbsf_pipeline.reporting.integrity import TABLE_CHECKS, Finding, look_again, standing
from qbsf_pipeline.reporting.lineage import COLUMN_LINEAGE, Source
from qbsf_pipeline.reporting.state_tables import copy_state
from qbsf_pipeline.reporting.statements import METRIC_DEFINITIONS, SCHEMA, Statement, load_statements, metric_definitions
from qbsf_pipeline.reporting.versions import VERSIONED, record_versions
from qbsf_pipeline.resources import WAREHOUSE_POOL, Doors, DoorsResource, WarehouseResource
from qbsf_pipeline.salesforce import objects as salesforce
from qbsf_pipeline.warehouse.assets import OWNERS, table_key
from qbsf_pipeline.warehouse.connection import read_table, replace_rows
from qbsf_pipeline.warehouse.preview import preview_of
from qbsf_pipeline.warehouse.publish import publish

STATEMENTS = load_statements()
FLOWS = ("invoices", "customers", "payments", "aging")
#: What the pushes change in the warehouse is reported after them, in a run that pushes.
PUSHED = [dg.AssetKey([flow, "pushed"]) for flow in FLOWS]
PENDING = [dg.AssetKey([flow, "pending"]) for flow in FLOWS]
STATE_KEY = dg.AssetKey(["pipeline", "state"])
STATE_TABLES = frozenset({"ledger", "failures", "reviews", "customer_links", "field_journal", "passes", "watermarks"})
AGING_KEY = dg.AssetKey([SCHEMA, AGING])
#: What this layer writes itself, and the asset that it is made from.
_WRITTEN_HERE = {
    **{table.name: STATE_KEY for table in (REPORTING_DAY, AGING_BUCKETS, NAMED_ITEMS, METRIC_DEFINITIONS)},
    **{table.name: STATE_KEY for table in (TABLE_CHECKS, COLUMN_LINEAGE)},
    **{kind.table.name: table_key(kind.source) for kind in VERSIONED},
    AR_AGING_HISTORY.name: AGING_KEY,
}


@dg.asset(
    key=STATE_KEY,
    deps=[*PENDING, *PUSHED],
    group_name="reporting",
    kinds={"duckdb"},
    owners=OWNERS,
    description="The ledger, failures, reviews, links, journal and steps of the state database, copied for analysts (schema "
    "pipeline).",
    pool=WAREHOUSE_POOL,
)
def pipeline_state(doors: DoorsResource, warehouse: WarehouseResource) -> dg.MaterializeResult[None]:
    """Copy what operators and analysts see of the state database."""
    opened = doors.open(warehouse)
    with opened.warehouse.transaction() as connection:
        rows = copy_state(connection, opened.state)
    return dg.MaterializeResult(metadata={f"rows/{name}": count for name, count in rows.items()})


def _spec(statement: Statement) -> dg.AssetSpec:
    deps = {_asset_of(schema, table) for schema, table in statement.reads}
    return dg.AssetSpec(
        dg.AssetKey([SCHEMA, statement.name]),
        deps=[*sorted(deps), *PUSHED],
        group_name="reporting",
        kinds={"duckdb", "sql"},
        owners=OWNERS,
        description=statement.description,
        metadata={
            "dagster/column_schema": dg.TableSchema(
                [dg.TableColumn(name, description=meaning) for name, meaning in statement.columns.items()]
            ),
            "dagster/table_name": f"{SCHEMA}.{statement.name}",
            "file": f"sql/{statement.name}.sql",
        },
    )


def _asset_of(schema: str, table: str) -> dg.AssetKey:
    if schema != "pipeline":
        return dg.AssetKey([schema, table])
    return STATE_KEY if table in STATE_TABLES else _WRITTEN_HERE.get(table, dg.AssetKey([schema, table]))


@dg.multi_asset(name="reporting_tables", specs=[_spec(statement) for statement in STATEMENTS], pool=WAREHOUSE_POOL)
def reporting_tables(
    context: dg.AssetExecutionContext, doors: DoorsResource, warehouse: WarehouseResource
) -> Iterator[dg.MaterializeResult[None]]:
    """Make every table of ``sql/`` that what the warehouse holds now would make otherwise, and keep the day's ageing and the
    versions of deals and invoices. A table that stays as it is says so, and has the data version that it had.

    A table is looked at when it was made anew; what was found of the others is told again, because Dagster shows a check as not
    evaluated once its table has a newer materialization. Told, and not planned: a planned check costs a run more than looking.
    """
    opened = doors.open(warehouse)
    today, recorded = _make_ready(opened)
    rebuilt = 0
    for made in build(opened.warehouse, STATEMENTS, history_folder(opened.settings.environment.home), today):
        rebuilt += made.rebuilt
        yield dg.MaterializeResult(
            asset_key=dg.AssetKey([SCHEMA, made.statement.name]),
            metadata=_metadata(made) | recorded.get(made.statement.name, {}),
            data_version=dg.DataVersion(made.made_from),
        )
    with opened.warehouse.transaction() as connection:
        news = {(one.table, one.check): one for one in look_again(connection, STATEMENTS, opened.now())}
        known = [news.get((one.table, one.check), one) for one in standing(connection)]
    for one in known:
        context.log_event(
            dg.AssetCheckEvaluation(
                asset_key=dg.AssetKey([SCHEMA, one.table]),
                check_name=one.check,
                passed=one.passed,
                severity=severity_of(one),
                description=one.text,
                metadata={} if one.passed else metadata_of(one),
            )
        )
    if rebuilt:
        progress(f"made {rebuilt} of {len(STATEMENTS)} reporting tables anew")


@dg.asset(
    key=dg.AssetKey(["reporting", "snapshot"]),
    deps=[*(dg.AssetKey([SCHEMA, statement.name]) for statement in STATEMENTS)],
    group_name="reporting",
    kinds={"duckdb"},
    owners=OWNERS,
    description="The read-only copy of the warehouse that analysts open; replaced atomically, open readers keep theirs.",
    pool=WAREHOUSE_POOL,
)
def snapshot(doors: DoorsResource, warehouse: WarehouseResource) -> dg.MaterializeResult[None]:
    """Publish the snapshot."""
    opened = doors.open(warehouse)
    path = opened.settings.environment.snapshot_path
    size = publish(opened.warehouse, path)
    return dg.MaterializeResult(metadata={"path": dg.MetadataValue.path(path), "bytes": size})


def _make_ready(opened: Doors) -> tuple[date, dict[str, dict[str, Any]]]:
    """What the statements read beside what flows write: the day, the rules, the measures, the versions of this pass.

    Returns the company's day, and what is to be told by table.
    """
    now, rules = opened.now(), opened.settings.rules
    with opened.warehouse.transaction() as connection:
        make_missing(connection, STATEMENTS)
        zone = company_zone(
            read_table(connection, quickbooks.COMPANY_INFO, ["time_zone"]),
            read_table(connection, salesforce.ORGANIZATION, ["time_zone"]),
        )
        today = now.astimezone(zone).date()
        write_day(connection, today, rules.aging.buckets, zone.key, rules.items.products)
        replace_rows(connection, METRIC_DEFINITIONS, metric_definitions(STATEMENTS))
    recorded: dict[str, dict[str, Any]] = {}
    for kind, name in zip(VERSIONED, ("deal_history", "invoice_history"), strict=True):
        with opened.warehouse.transaction() as connection:
            done = record_versions(connection, kind, opened.settings.environment.home, now, today)
        told = {"versions_added": done.added, "history_left_out": ", ".join(done.unreadable)}
        recorded[name] = {key: value for key, value in told.items() if value != ""}
    return today, recorded


#: Numbers are wrong where these do not hold; where others do not, something is missing.
_ERRORS = frozenset({"primary_key", "balances"})


def severity_of(finding: Finding) -> dg.AssetCheckSeverity:
    """How bad it is where it does not hold."""
    return dg.AssetCheckSeverity.ERROR if finding.check in _ERRORS else dg.AssetCheckSeverity.WARN


def metadata_of(finding: Finding) -> dict[str, dg.MetadataValue[Any]]:
    """What the UI shows of a check."""
    return {
        "found": dg.MetadataValue.text(finding.text),
        "broken": dg.MetadataValue.int(finding.broken),
        "records": dg.MetadataValue.json(list(finding.records)),
    }


def _metadata(made: Made) -> dict[str, Any]:
    columns = made.statement.columns.items()
    metadata: dict[str, Any] = {
        "rebuilt": made.rebuilt,
        "dagster/column_schema": dg.TableSchema([dg.TableColumn(name, made.types[name], meaning) for name, meaning in columns]),
    }
    lineage = {name: _deps(sources) for name, sources in made.lineage.items() if sources}
    if lineage:
        metadata["dagster/column_lineage"] = dg.TableColumnLineage(lineage)
    if made.rows is not None:
        metadata["dagster/row_count"] = made.rows
    if made.preview is not None:
        metadata["preview"] = preview_of(made.preview)
    if made.history is not None:
        metadata["history_days"] = made.history.days
        if made.history.unreadable:
            metadata["history_left_out"] = ", ".join(made.history.unreadable)
    return metadata


def _deps(sources: Iterable[Source]) -> list[dg.TableColumnDep]:
    # Several tables of schema pipeline are one asset.
    found = sorted({(_asset_of(schema, table), column) for schema, table, column in sources})
    return [dg.TableColumnDep(asset_key=key, column_name=column) for key, column in found]
