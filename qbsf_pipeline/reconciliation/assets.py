"""The assets of month end: the cases of each month, and the report that is made of them and kept."""

import warnings
from collections.abc import Iterator, Sequence
from datetime import date

import dagster as dg
import duckdb
import polars as pl

from qbsf_pipeline.flows.problems import record_link
from qbsf_pipeline.flows.source_gates import INVOICE_KEY, OPPORTUNITY_KEY
from qbsf_pipeline.flows.time_zone import remember_zone
from qbsf_pipeline.invoices.checks import plan_gates
from qbsf_pipeline.money import format_amount
from qbsf_pipeline.progress import progress
from qbsf_pipeline.reconciliation.decisions import differences_of, unexplained_of
from qbsf_pipeline.reconciliation.inputs import Links
from qbsf_pipeline.reconciliation.months import FIRST_MONTH, MONTH_FORMAT, key_of, month_of, title_of
from qbsf_pipeline.reconciliation.plan import reconcile
from qbsf_pipeline.reconciliation.producing import MonthFigures, Produced, produce
from qbsf_pipeline.reconciliation.reading import SOURCES, company_of, known_of, read_inputs
from qbsf_pipeline.reconciliation.report import Report
from qbsf_pipeline.reconciliation.still_open import as_cases, earlier_months, still_open
from qbsf_pipeline.reconciliation.tables import BRIDGE, CASES, DOCUMENTS, SCHEMA, STILL_OPEN, TOTALS
from qbsf_pipeline.reconciliation.tell import tell_month
from qbsf_pipeline.resources import WAREHOUSE_POOL, Doors, DoorsResource, WarehouseResource
from qbsf_pipeline.settings import Mode
from qbsf_pipeline.steps import deliver_messages, step
from qbsf_pipeline.warehouse.assets import OWNERS, table_key
from qbsf_pipeline.warehouse.connection import append_rows, ensure_table, frame_of
from qbsf_pipeline.warehouse.preview import column_schema, preview_of
from qbsf_pipeline.warehouse.publish import publish
from qbsf_pipeline.warehouse.tables import TableSchema

# Said at every import otherwise; what is used of it is tested here.
warnings.filterwarnings("ignore", message="Parameter `backfill_policy`", category=dg.BetaWarning)

FLOW = SCHEMA
REPORT_KEY = dg.AssetKey([SCHEMA, "report"])
TABLES = (CASES, DOCUMENTS, BRIDGE, TOTALS, STILL_OPEN)

#: The running month can be looked at. It begins on Kiritimati: so a partition is there wherever the company's month has begun.
MONTHS = dg.MonthlyPartitionsDefinition(
    start_date=key_of(FIRST_MONTH), fmt=MONTH_FORMAT, end_offset=1, timezone="Pacific/Kiritimati"
)
#: All months of a back-fill are computed at once, from one reading.
_AT_ONCE = dg.BackfillPolicy.single_run()
_DEPS = list(dict.fromkeys([*(table_key(table) for table in SOURCES), OPPORTUNITY_KEY, INVOICE_KEY]))


class ReconcileConfig(dg.Config):
    """``as_of``: the day that counts as today (ISO); empty for today in the company's time zone."""

    as_of: str = ""


class ReportConfig(dg.Config):
    """``tell``: whether finance is told. Of a back-fill of several months nobody is."""

    tell: bool = True


def _spec(table: TableSchema) -> dg.AssetSpec:
    return dg.AssetSpec(
        table_key(table),
        deps=_DEPS,
        group_name=SCHEMA,
        kinds={"duckdb", "polars"},
        owners=OWNERS,
        description=f"{table.comment}.",
        partitions_def=MONTHS,
        metadata={
            "dagster/column_schema": column_schema(table),
            "dagster/table_name": f"{table.schema}.{table.name}",
            "partition_expr": "month",
        },
    )


@dg.multi_asset(
    name="reconcile_months",
    specs=[_spec(table) for table in TABLES],
    backfill_policy=_AT_ONCE,
    pool=WAREHOUSE_POOL,
)
def reconciliation_tables(
    context: dg.AssetExecutionContext, config: ReconcileConfig, doors: DoorsResource, warehouse: WarehouseResource
) -> Iterator[dg.MaterializeResult[None]]:
    """What was won against what was invoiced in the months of this run, every difference with its class; and what is still open
    of the months before them."""
    opened = doors.open(warehouse)
    months = _months(context)
    with step(opened, FLOW, "reconcile", context.run_id) as report:
        frames = _reconcile(opened, months, date.fromisoformat(config.as_of) if config.as_of else None, _held(context, opened))
        cases = frames[CASES.name]
        report.counts = {
            "months": len(months),
            "cases": cases.height,
            "differences": differences_of(cases).height,
            "unexplained": cases.filter(~pl.col("explained")).height,
            "still_open": frames[STILL_OPEN.name].height,
        }
    for table in TABLES:
        frame = frames[table.name]
        for month in months:
            rows = frame.filter(pl.col("month") == month)
            context.add_asset_metadata(
                {"dagster/partition_row_count": rows.height, "preview": preview_of(rows)}, table_key(table), key_of(month)
            )
        yield dg.MaterializeResult(asset_key=table_key(table))


@dg.asset(
    key=REPORT_KEY,
    deps=[table_key(table) for table in TABLES],
    partitions_def=MONTHS,
    backfill_policy=_AT_ONCE,
    group_name=SCHEMA,
    kinds={"excel", "html"},
    owners=OWNERS,
    description=(
        "The month-end report: kept in the state database as it was made, and written as workbook and page. Finance is told of "
        "it once. A closed month keeps the report that it was closed with; what changes later is listed beside it."
    ),
    pool=WAREHOUSE_POOL,
)
def report(
    context: dg.AssetExecutionContext, config: ReportConfig, doors: DoorsResource, warehouse: WarehouseResource
) -> dg.MaterializeResult[None]:
    """Make the report of each month of this run, keep it, write its files, tell finance, publish the snapshot."""
    opened = doors.open(warehouse)
    environment = opened.settings.environment
    months = _months(context)
    told = 0
    with step(opened, FLOW, "report", context.run_id) as counted:
        with opened.warehouse.connection() as connection:
            company = company_of(connection)
            figures = [_figures(connection, month) for month in months]
        now = opened.now()
        remember_zone(opened.state, company.zone, now)

        def tell(produced: Produced) -> None:
            nonlocal told
            if config.tell and len(months) == 1:
                told += tell_month(opened.state, opened.settings, produced, company.zone, now)

        for one in figures:
            produced = produce(opened.state, environment.home, one, company.name, company.zone, now, tell)
            progress(f"{title_of(one.month)}: {produced.workbook}")
            context.add_asset_metadata(_metadata(produced), REPORT_KEY, key_of(one.month))
        counted.counts = {"reports": len(months), "messages": told}
        deliver_messages(opened, budget_seconds=2.0)
        publish(opened.warehouse, environment.snapshot_path)
    return dg.MaterializeResult()


def replace_months(
    connection: duckdb.DuckDBPyConnection, table: TableSchema, frame: pl.DataFrame, months: Sequence[date]
) -> None:
    """Make ``frame`` the rows of ``months`` in a table that has a row for a month; those of other months stay."""
    ensure_table(connection, table)
    marks = ", ".join("?" for _ in months)
    connection.execute(f"DELETE FROM {table.qualified_name} WHERE month IN ({marks})", list(months))
    append_rows(connection, table, frame)


def _months(context: dg.AssetExecutionContext) -> list[date]:
    return [month_of(key, "partition") for key in context.partition_keys]


def _reconcile(opened: Doors, months: Sequence[date], as_of: date | None, held: str) -> dict[str, pl.DataFrame]:
    """The tables of month end by name, of these months, written to the warehouse."""
    settings = opened.settings
    go_live, look_back = settings.environment.qbsf_go_live_date, settings.rules.reconciliation.look_back_months
    known = known_of(opened.state)
    earlier = earlier_months(months, look_back, go_live, opened.state.month_end_reports.last_computed())
    with opened.warehouse.connection() as connection:
        zone = company_of(connection).zone
        inputs = read_inputs(connection, known, zone, go_live, held)
    progress(f"reconciling {_named(months)}: {inputs.deals.height:,} deals, {inputs.invoices.height:,} invoices")
    today = as_of or opened.now().astimezone(zone).date()
    links = Links(
        deal=record_link(opened.salesforce.instance_url, "{id}"),
        invoice=settings.environment.quickbooks_link("invoice", "txnId", "{id}"),
    )
    found = reconcile(inputs, settings.rules, [*earlier, *months], today, links)
    of_run = pl.col("month").is_in(list(months))
    frames = {table.name: getattr(found, table.name).filter(of_run) for table in TABLES if table is not STILL_OPEN}
    frames[STILL_OPEN.name] = still_open(found.cases, months, look_back)
    with opened.warehouse.transaction() as connection:
        for table in TABLES:
            replace_months(connection, table, frames[table.name], months)
    return frames


def _figures(connection: duckdb.DuckDBPyConnection, month: date) -> MonthFigures:
    """What stands in the warehouse for a month."""

    def rows(table: TableSchema) -> pl.DataFrame:
        ensure_table(connection, table)
        names = ", ".join(f'"{name}"' for name in table.polars_schema)
        order = ", ".join(f'"{name}"' for name in table.key)
        query = f"SELECT {names} FROM {table.qualified_name} WHERE month = ? ORDER BY {order}"
        return frame_of(connection.sql(query, params=[month])).cast(table.polars_schema)

    return MonthFigures(month, rows(TOTALS), rows(BRIDGE), rows(CASES), rows(DOCUMENTS), as_cases(rows(STILL_OPEN)))


def _held(context: dg.AssetExecutionContext, opened: Doors) -> str:
    """Why planned invoices are not sent now, as a sentence; empty for nothing."""
    if opened.settings.mode is Mode.DRY_RUN:
        return "QBSF_MODE is dry_run: nothing is sent to QuickBooks."
    newest = context.instance.event_log_storage.get_latest_asset_check_execution_by_key(list(plan_gates.check_keys))
    for record in newest.values():
        evaluation = None if record.event is None else record.event.asset_check_evaluation
        if evaluation is not None and not evaluation.passed:
            return f"A check stopped the invoices: {evaluation.description}"
    if opened.settings.mode is Mode.APPROVE:
        return "QBSF_MODE is approve: a person has to approve it (qbsf plan, qbsf approve)."
    return ""


def _metadata(produced: Produced) -> "dict[str, dg.RawMetadataValue]":
    """What the UI shows of a report: figures, bridge, and where its files are."""
    report = produced.report
    return {
        "report": produced.report_id,
        "workbook": dg.MetadataValue.path(produced.workbook),
        "page": dg.MetadataValue.url(produced.page.as_uri()),
        "bridge": dg.MetadataValue.md(_bridge(report)),
        "differences": differences_of(report.cases).height,
        "unexplained": unexplained_of(report.cases).height,
        "still open from earlier months": report.carried.height,
        "changes since close": report.changes.height,
        "closed": report.closing is not None,
        "preview": preview_of(report.totals),
    }


def _bridge(report: Report) -> str:
    """The bridge as a table in Markdown, currency by currency."""
    lines: list[str] = []
    for row in report.totals.sort("currency").iter_rows(named=True):
        currency = row["currency"]
        steps = report.bridge.filter(pl.col("currency") == currency).sort("position")
        lines += ["", f"| {title_of(report.month)}, {currency} | Amount | Cases |", "| --- | ---: | ---: |"]
        lines.append(f"| **Won** | {format_amount(row['won'], currency)} | |")
        for one in steps.iter_rows(named=True):
            # Less what was not invoiced: the amounts lead from won to invoiced.
            lines.append(f"| {one['title']} | {format_amount(-one['amount'], currency)} | {one['cases']:,} |")
        lines.append(f"| **Invoiced** | {format_amount(row['invoiced'], currency)} | |")
    return "\n".join(lines).strip() or f"Nothing was won or invoiced in {title_of(report.month)}."


def _named(months: Sequence[date]) -> str:
    return title_of(months[0]) if len(months) == 1 else f"{title_of(months[0])} to {title_of(months[-1])}"
