"""What is looked at once the reporting tables are made: our ageing beside QuickBooks' own report, and what the heads of ``sql/``
say must hold. Nothing waits for it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import dagster as dg
import duckdb
import polars as pl

from qbsf_pipeline.errors import ServiceError
from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.quickbooks.reports import read_aged_receivables
from qbsf_pipeline.receivables import tables as receivables
from qbsf_pipeline.receivables.lines import read_lines
from qbsf_pipeline.reporting.assets import AGING_KEY, STATEMENTS, metadata_of, severity_of
from qbsf_pipeline.reporting.day import REPORTING_DAY
from qbsf_pipeline.reporting.integrity import CHECKS, checks_of, examine, made_tables
from qbsf_pipeline.reporting.statements import SCHEMA
from qbsf_pipeline.reporting.tie_out import AR_TIE_OUT, TieOut, aged_parts, compare, journal_parts
from qbsf_pipeline.resources import WAREHOUSE_POOL, DoorsResource, WarehouseResource
from qbsf_pipeline.steps import step
from qbsf_pipeline.warehouse.connection import append_rows, ensure_table, frame_of, read_table

_AGING = 'SELECT kind, customer_id, currency, home_currency, open_home FROM "reporting"."ar_aging"'


@dataclass(frozen=True)
class _Ours:
    """Our side of the comparison: the day, what is owed by part, names of customers by id, and the company's currency."""

    as_of: date
    parts: pl.DataFrame
    names: Mapping[str, str]
    currency: str


def _ours(connection: duckdb.DuckDBPyConnection, as_of: date) -> _Ours:
    customers = read_table(connection, quickbooks.CUSTOMER, ["id", "display_name"]).drop_nulls()
    currencies = read_table(connection, quickbooks.PREFERENCES, ["home_currency"]).get_column("home_currency").drop_nulls()
    home = str(currencies.item(0)) if currencies.len() else ""
    lines = read_lines(connection)
    journal = journal_parts(
        entries=read_table(connection, quickbooks.JOURNAL_ENTRY, ["id", "txn_date", "currency", "exchange_rate", "is_deleted"]),
        journal_lines=lines.journal_lines,
        accounts=read_table(connection, quickbooks.ACCOUNT, ["id", "account_type"]),
        payments=read_table(connection, quickbooks.PAYMENT, ["id", "customer_id", "txn_date", "is_deleted"]),
        payment_lines=lines.payment_lines,
        home_currency=home,
        as_of=as_of,
    )
    parts = pl.concat([aged_parts(frame_of(connection.sql(_AGING))), journal])
    return _Ours(as_of, parts, dict(customers.iter_rows()), home)


@dg.asset_check(
    asset=AGING_KEY,
    name="agrees_with_quickbooks",
    description="Our ageing beside QuickBooks' own report of the same day, once a day: each difference by name.",
    blocking=False,
    pool=WAREHOUSE_POOL,
)
def agrees_with_quickbooks(
    context: dg.AssetCheckExecutionContext, doors: DoorsResource, warehouse: WarehouseResource
) -> dg.AssetCheckResult:
    """Compare, unless that was done today; then say again what was found. One metered read a day."""
    opened = doors.open(warehouse)
    with opened.warehouse.connection() as connection:
        day = read_table(connection, REPORTING_DAY)
        known = read_table(connection, receivables.INVOICES, ["invoice_id"]).height
        if day.is_empty() or not known:
            return _result(False, "What is owed was never made, so nothing was compared. Run qbsf sync.")
        as_of = day.get_column("as_of").item(0)
        done = read_table(connection, AR_TIE_OUT).filter(pl.col("as_of") == as_of)
        if done.height:
            row = done.row(0, named=True)
            return _result(row["agrees"], row["finding"], **_figures(row))
        ours = _ours(connection, as_of)
    with step(opened, SCHEMA, "compare_aging", context.run.run_id):
        try:
            report = read_aged_receivables(opened.quickbooks.aged_receivables(as_of))
        except ServiceError as error:
            # Nothing waits for this comparison; it is made in the next pass.
            return _result(False, f"QuickBooks' report could not be read, so nothing was compared: {error.message}")
    found = compare(report, ours.parts, ours.names, ours.currency, as_of)
    row = found.row(opened.now())
    _remember(warehouse, found, row)
    return _result(found.agrees, found.finding, **_figures(row))


def _remember(warehouse: WarehouseResource, found: TieOut, row: Mapping[str, Any]) -> None:
    with warehouse.warehouse.transaction() as connection:
        ensure_table(connection, AR_TIE_OUT)
        connection.execute(f"DELETE FROM {AR_TIE_OUT.qualified_name} WHERE as_of = ?", [found.as_of])
        append_rows(connection, AR_TIE_OUT, AR_TIE_OUT.frame([row]))


def _figures(row: Mapping[str, Any]) -> dict[str, str]:
    # As text: Dagster knows no decimals, and a float is no amount.
    names = ("currency", "quickbooks_total", "invoices", "unapplied_payments", "open_credits", "journal_lines", "unexplained")
    return {name: str(row[name]) for name in names}


def _result(passed: bool, finding: str, **figures: str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=finding,
        metadata={"found": finding, **figures},
    )


@dg.multi_asset_check(
    name="reporting_checks",
    specs=[
        dg.AssetCheckSpec(check, asset=dg.AssetKey([SCHEMA, statement.name]), description=CHECKS[check])
        for statement in STATEMENTS
        for check in checks_of(statement)
    ],
    can_subset=True,
    pool=WAREHOUSE_POOL,
)
def reporting_checks(
    context: dg.AssetCheckExecutionContext, doors: DoorsResource, warehouse: WarehouseResource
) -> Iterator[dg.AssetCheckResult]:
    """What the heads of ``sql/`` say must hold. Passes look at what they made by themselves; this is for people in the UI."""
    opened = doors.open(warehouse)
    wanted = {(key.asset_key.path[-1], key.name) for key in context.selected_asset_check_keys}
    with opened.warehouse.transaction() as connection:
        made = made_tables(connection)
        found = [one for statement in STATEMENTS if statement.name in made for one in examine(connection, statement)]
    for one in found:
        if (one.table, one.check) in wanted:
            yield dg.AssetCheckResult(
                check_name=one.check,
                asset_key=dg.AssetKey([SCHEMA, one.table]),
                passed=one.passed,
                severity=severity_of(one),
                description=one.text,
                metadata=metadata_of(one),
            )
