"""The checks of month end: the arithmetic to the cent, every record once, and whether anything is left without a cause."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal

import dagster as dg
import duckdb
import polars as pl

from qbsf_pipeline.flows.gates import GateOutcome, check_result, check_spec, some
from qbsf_pipeline.money import format_amount
from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.reconciliation.classes import UNEXPLAINED
from qbsf_pipeline.reconciliation.decisions import names_of
from qbsf_pipeline.reconciliation.months import key_of, month_of
from qbsf_pipeline.reconciliation.tables import BRIDGE, CASES, DOCUMENTS, TOTALS
from qbsf_pipeline.resources import WAREHOUSE_POOL, DoorsResource, WarehouseResource
from qbsf_pipeline.salesforce import objects as salesforce
from qbsf_pipeline.warehouse.assets import table_key
from qbsf_pipeline.warehouse.connection import ensure_table, read_table

_CASES, _DOCUMENTS, _TOTALS = table_key(CASES), table_key(DOCUMENTS), table_key(TOTALS)
_KEY = ("month", "currency")
_ZERO = Decimal(0)
#: Columns of the cases that the checks need: a warehouse holds many months of them.
_OF_CASES = ["month", "currency", "case_key", "class", "deal", "numbers", "won", "invoiced", "difference", "explained"]
_OF_DOCUMENTS = ["month", "currency", "case_key", "kind", "document_id", "amount", "counted"]


def bridge_adds_up(totals: pl.DataFrame, bridge: pl.DataFrame, cases: pl.DataFrame) -> GateOutcome:
    """Won is invoiced, and all classes of differences with what is unexplained: by month and currency, to the cent.

    Args:
        totals, bridge: :data:`.tables.TOTALS`, :data:`.tables.BRIDGE`.
        cases: month, currency, class, won, invoiced, difference, explained of :data:`.tables.CASES`.
    """
    steps = bridge.group_by(_KEY).agg(pl.col("amount").sum().alias("steps"))
    summed = cases.group_by(_KEY).agg(
        pl.col("won").sum().alias("cases_won"),
        pl.col("invoiced").sum().alias("cases_invoiced"),
        pl.col("difference").sum().alias("cases_difference"),
        pl.col("difference").filter(~pl.col("explained")).sum().alias("cases_unexplained"),
        pl.len().alias("cases_number"),
    )
    wrong_rows = cases.filter(pl.col("won") - pl.col("invoiced") != pl.col("difference")).select(_KEY).unique()
    compared = totals.join(steps, on=_KEY, how="full", coalesce=True, nulls_equal=True).join(
        summed, on=_KEY, how="full", coalesce=True, nulls_equal=True
    )
    numbers = [name for name, dtype in compared.schema.items() if dtype.is_numeric()]
    filled = compared.with_columns(pl.col(numbers).fill_null(0))
    equal = pl.all_horizontal(
        pl.col("won") - pl.col("invoiced") == pl.col("explained") + pl.col("unexplained"),
        pl.col("won") - pl.col("invoiced") == pl.col("steps"),
        pl.col("won") == pl.col("cases_won"),
        pl.col("invoiced") == pl.col("cases_invoiced"),
        pl.col("won") - pl.col("invoiced") == pl.col("cases_difference"),
        pl.col("unexplained") == pl.col("cases_unexplained"),
        pl.col("cases") == pl.col("cases_number"),
    )
    wrong = pl.concat([filled.filter(~equal).select(_KEY), wrong_rows]).unique().sort(_KEY)
    named = [f"{key_of(month)} {currency}" for month, currency in wrong.iter_rows()]
    text = (
        f"In {totals.height} months and currencies what was won is what was invoiced and the differences, to the cent."
        if not named
        else f"Won less all differences is not what was invoiced in {some(named)}. Please report it: the report is not made."
    )
    return GateOutcome("bridge_adds_up", not named, text, {"checked": totals.height, "wrong": len(named)})


def every_record_is_counted_once(
    documents: pl.DataFrame,
    totals: pl.DataFrame,
    cases: pl.DataFrame,
    pulled: Mapping[tuple[date, str], int],
    together: Collection[date] = (),
) -> GateOutcome:
    """Every won deal and every invoice that stands is in the totals of exactly one month and in exactly one case.

    Args:
        documents, cases: columns of :data:`.tables.DOCUMENTS` and :data:`.tables.CASES`.
        totals: :data:`.tables.TOTALS`.
        pulled: how many won deals and standing invoices of a month were pulled, by month and kind; months that are not in it
            are not compared.
        together: months that were computed together. A record may stand in two months that were not: it moved between them.
    """
    counted = documents.filter(pl.col("counted"))
    at_once = pl.when(pl.col("month").is_in(list(together))).then(None).otherwise(pl.col("month"))
    doubles = counted.group_by("kind", "document_id", at_once).len().filter(pl.col("len") > 1)
    twice = doubles.select("kind", "document_id").sort("kind", "document_id")
    named = [f"{kind.replace('_', ' ')} {record} is counted more than once" for kind, record in twice.iter_rows()]
    found = {(month, kind): number for month, kind, number in counted.group_by("month", "kind").len().iter_rows()}
    named += [
        f"{number} {kind}s of {key_of(month)} were read, {found.get((month, kind), 0)} are counted"
        for (month, kind), number in sorted(pulled.items())
        if found.get((month, kind), 0) != number
    ]
    side = pl.when(pl.col("kind") == "deal").then(pl.lit("won")).otherwise(pl.lit("invoiced"))
    of_documents = counted.group_by([*_KEY, "case_key"]).agg(
        pl.col("amount").filter(side == "won").sum().alias("won_documents"),
        pl.col("amount").filter(side == "invoiced").sum().alias("invoiced_documents"),
    )
    differing = (
        cases.join(of_documents, on=[*_KEY, "case_key"], how="full", coalesce=True, nulls_equal=True)
        .with_columns(pl.col("won", "invoiced", "won_documents", "invoiced_documents").fill_null(0))
        .filter((pl.col("won") != pl.col("won_documents")) | (pl.col("invoiced") != pl.col("invoiced_documents")))
        .sort("case_key")
    )
    named += [f"case {key} is not the sum of its documents" for key in differing.get_column("case_key").to_list()]
    number = int(totals.get_column("deals").sum() or 0) + int(totals.get_column("invoices").sum() or 0)
    text = (
        f"{number:,} deals and invoices, each counted once."
        if not named
        else f"Records are missing or counted twice: {some(named)}. Please report it: the report is not made."
    )
    return GateOutcome("every_record_is_counted_once", not named, text, {"records": number, "wrong": len(named)})


def nothing_is_unexplained(cases: pl.DataFrame) -> GateOutcome:
    """Every difference has a cause.

    Args:
        cases: month, currency, case_key, class, deal, numbers, difference of :data:`.tables.CASES`.
    """
    rows = cases.filter(pl.col("class") == UNEXPLAINED).sort(-pl.col("difference").abs(), "month", "case_key")
    sums: dict[str, Decimal] = {}
    for currency, difference in rows.select("currency", "difference").iter_rows():
        sums[currency] = sums.get(currency, _ZERO) + difference
    amounts = " and ".join(format_amount(amount, currency) for currency, amount in sorted(sums.items()))
    what = f"{rows.height} difference{'s are' if rows.height != 1 else ' is'}"
    text = (
        f"{cases.height} cases, each difference with its cause."
        if rows.is_empty()
        else f"{what} unexplained, {amounts} in sum: {some(names_of(rows.select('deal', 'numbers', 'case_key').to_dicts()))}."
    )
    return GateOutcome("nothing_is_unexplained", rows.is_empty(), text, {"unexplained": rows.height, "amount": amounts or "0"})


def pulled_records(connection: duckdb.DuckDBPyConnection, months: Sequence[date]) -> dict[tuple[date, str], int]:
    """How many won deals and standing invoices with a date in each month were pulled, by month and kind (deal, invoice)."""
    found: dict[tuple[date, str], int] = {}
    sources = (
        ("deal", salesforce.OPPORTUNITY, "close_date", "is_won"),
        ("invoice", quickbooks.INVOICE, "txn_date", "status IS DISTINCT FROM 'voided' AND status IS DISTINCT FROM 'deleted'"),
    )
    for kind, table, day, counts in sources:
        ensure_table(connection, table)
        rows = connection.execute(
            f"SELECT CAST(date_trunc('month', {day}) AS DATE), count(*) FROM {table.qualified_name} "
            f"WHERE NOT is_deleted AND {counts} AND {day} IS NOT NULL GROUP BY 1"
        ).fetchall()
        numbers = dict(rows)
        found |= {(month, kind): numbers.get(month, 0) for month in months}
    return found


def _months_of(tags: Mapping[str, str]) -> list[date]:
    """The months that a run is about; none where it is about no partition."""
    first = tags.get("dagster/asset_partition_range_start") or tags.get("dagster/partition")
    last = tags.get("dagster/asset_partition_range_end") or first
    if first is None or last is None:
        return []
    begin, end = month_of(first, "partition"), month_of(last, "partition")
    count = (end.year - begin.year) * 12 + end.month - begin.month + 1
    return [date(begin.year + (begin.month - 1 + step) // 12, (begin.month - 1 + step) % 12 + 1, 1) for step in range(count)]


@dg.multi_asset_check(
    name="reconciliation_checks",
    specs=[
        check_spec("bridge_adds_up", _TOTALS, "Protects against a difference that is in no class, or in two."),
        check_spec("every_record_is_counted_once", _DOCUMENTS, "Protects against a deal or invoice that is lost or doubled."),
        dg.AssetCheckSpec("nothing_is_unexplained", asset=_CASES, description="Warns of differences without a cause."),
    ],
    pool=WAREHOUSE_POOL,
)
def reconciliation_checks(
    context: dg.AssetCheckExecutionContext, doors: DoorsResource, warehouse: WarehouseResource
) -> Iterator[dg.AssetCheckResult]:
    """The arithmetic of all months that are in the warehouse; of the run's own months also whether every record is there."""
    opened = doors.open(warehouse)
    months = _months_of(context.run.tags)
    with opened.warehouse.connection() as connection:
        totals, bridge = read_table(connection, TOTALS), read_table(connection, BRIDGE)
        cases = read_table(connection, CASES, _OF_CASES)
        documents = read_table(connection, DOCUMENTS, _OF_DOCUMENTS)
        pulled = pulled_records(connection, months)
    yield check_result(bridge_adds_up(totals, bridge, cases), _TOTALS)
    yield check_result(every_record_is_counted_once(documents, totals, cases, pulled, months), _DOCUMENTS)
    ours = cases.filter(pl.col("month").is_in(months)) if months else cases
    outcome = nothing_is_unexplained(ours)
    yield dg.AssetCheckResult(
        check_name=outcome.name,
        asset_key=_CASES,
        passed=outcome.open,
        severity=dg.AssetCheckSeverity.WARN,
        description=outcome.text,
        metadata={"found": outcome.text, **outcome.figures},
    )
