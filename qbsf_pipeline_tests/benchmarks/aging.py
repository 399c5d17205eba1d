"""Measures how long it takes to age the open invoices of a big company, from frames to a plan.

python -m qbsf_pipeline_tests.benchmarks.aging [--invoices 100000] [--rounds 3] [--json]

Prints figures and asserts nothing: they depend on the machine. Every deal changes, as on every morning, and the ledger holds the
writes of the days before. The time is that of Polars and Python without reading and writing the warehouse.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import polars as pl
from rich.console import Console
from rich.table import Table

from qbsf_pipeline.aging.plan import (
    CREDITS,
    KNOWN_CROSSINGS,
    KNOWN_TASKS,
    LEDGER,
    MAIL,
    RECEIVABLES,
    SENT_REMINDERS,
    AgingInputs,
    AgingParameters,
    AgingPlan,
    plan_aging,
)
from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.salesforce import objects as salesforce
from qbsf_pipeline.settings import Rules, load_rules
from qbsf_pipeline.warehouse.tables import TableSchema

TODAY = date(2026, 11, 20)
ORG, REALM = "00D000000000001AAA", "9130350000000001"
#: Writes of days before that the ledger holds, for each deal.
DAYS_IN_LEDGER = 3


@dataclass(frozen=True)
class Figure:
    """One case: seconds of the best round, and what the plan came to."""

    name: str
    seconds: float
    writes: int
    crossings: int


def company(invoices: int) -> AgingInputs:
    """Open invoices, one for each deal, aged evenly from 20 days before to 120 days after their due date; 200 owners."""
    numbers = pl.DataFrame({"n": range(invoices)})
    deals = numbers
    late = pl.col("n") % 141 - 20
    due = pl.lit(TODAY) - pl.duration(days=late)
    found = numbers.select(
        invoice_id=pl.col("n").cast(pl.String),
        doc_number=pl.format("INV-{}", "n"),
        customer_id=pl.format("{}", pl.col("n") % 20_000),
        opportunity_id=_id("006", pl.col("n")),
        txn_date=due - pl.duration(days=30),
        due_date=due,
        due_date_imputed=False,
        total=pl.lit(Decimal("1000.00")),
        balance=pl.lit(Decimal("400.00")),
        currency=pl.when(pl.col("n") % 10 == 0).then(pl.lit("EUR")).otherwise(pl.lit("USD")),
        open=pl.lit(Decimal("400.00")),
        status=pl.lit("Partially Paid"),
        emailed=True,
        disputed=pl.col("n") % 50 == 0,
        explained=True,
    )
    read = pl.lit(datetime(2026, 11, 19, 7, tzinfo=UTC))
    opportunity = _raw(
        salesforce.OPPORTUNITY,
        deals.select(
            id=_id("006", pl.col("n")),
            name=pl.format("Deal {}", "n"),
            account_id=_id("001", pl.col("n") % 20_000),
            owner_id=_id("005", pl.col("n") % 200),
            days_outstanding=pl.lit(1),
            aging_bucket=pl.lit("1-30"),
            source_modified_at=read,
        ),
    )
    days = pl.DataFrame({"day": range(DAYS_IN_LEDGER)})
    ledger = deals.join(days, how="cross").select(
        key=pl.format(
            "update_aging:{}:{}:2026111{}T070000000000Z:none/none>1/1-30", pl.lit(ORG), _id("006", pl.col("n")), pl.col("day")
        ),
        status=pl.lit("done"),
        result_id=_id("006", pl.col("n")),
        done_at=read,
    )
    owners, accounts = pl.DataFrame({"n": range(200)}), pl.DataFrame({"n": range(20_000)})
    return AgingInputs(
        invoices=found.cast(RECEIVABLES),
        unapplied=pl.DataFrame(schema=CREDITS),
        opportunity=opportunity,
        account=_raw(
            salesforce.ACCOUNT,
            accounts.select(
                id=_id("001", pl.col("n")), name=pl.format("Account {}", "n"), owner_id=_id("005", pl.col("n") % 200)
            ),
        ),
        user=_raw(
            salesforce.USER,
            owners.select(
                id=_id("005", pl.col("n")),
                name=pl.format("User {}", "n"),
                email=pl.format("user{}@house.example", "n"),
                is_active=True,
            ),
        ),
        customer=_raw(
            quickbooks.CUSTOMER, accounts.select(id=pl.col("n").cast(pl.String), display_name=pl.format("Customer {}", "n"))
        ),
        mail=found.select("invoice_id", email=pl.lit("ap@customer.example"), delivered_at=read).cast(MAIL),
        crossings=pl.DataFrame(schema=KNOWN_CROSSINGS),
        reminders=pl.DataFrame(schema=SENT_REMINDERS),
        tasks=pl.DataFrame(schema=KNOWN_TASKS),
        ledger=ledger.cast(LEDGER),
    )


def measure(invoices: int, rounds: int) -> list[Figure]:
    """The plan as packaged, as a report of a past day, and with a reminder or a task for every invoice that is late."""
    inputs, packaged = company(invoices), load_rules()
    everything = packaged.model_dump()
    everything["aging"] |= {"reminders_after": (7,), "task_from": 60, "reminder_pause_days": 1}
    today, past = _parameters(TODAY, writes=True), _parameters(TODAY - timedelta(days=30), writes=False)
    return [
        _figure("every deal changes", rounds, lambda: plan_aging(inputs, packaged, today)),
        _figure("report of a past day", rounds, lambda: plan_aging(inputs, packaged, past)),
        _figure("with reminders and tasks", rounds, lambda: plan_aging(inputs, Rules.model_validate(everything), today)),
    ]


def _figure(name: str, rounds: int, work: Callable[[], AgingPlan]) -> Figure:
    best = float("inf")
    for _ in range(rounds):
        begun = time.perf_counter()
        plan = work()
        best = min(best, time.perf_counter() - begun)
    return Figure(name, best, plan.writes.height, plan.crossings.height)


def _parameters(as_of: date, *, writes: bool) -> AgingParameters:
    return AgingParameters(as_of, writes, ORG, REALM, "USD", "America/Denver", "https://qbo.test/app/invoice?txnId={id}")


def _id(prefix: str, number: pl.Expr) -> pl.Expr:
    return pl.lit(prefix) + number.cast(pl.String).str.zfill(12) + pl.lit("AAA")


def _raw(table: TableSchema, frame: pl.DataFrame) -> pl.DataFrame:
    missing = [
        pl.lit(None, dtype=column.dtype).alias(column.name) for column in table.columns if column.name not in frame.columns
    ]
    return (
        frame.with_columns(missing)
        .select(table.columns_without_record)
        .cast({name: dtype for name, dtype in table.polars_schema.items() if name in table.columns_without_record})
    )


def main() -> None:
    """Measure, then print."""
    parser = argparse.ArgumentParser(prog="python -m qbsf_pipeline_tests.benchmarks.aging", description=__doc__)
    parser.add_argument("--invoices", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3, help="the best of so many counts")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    figures = measure(chosen.invoices, chosen.rounds)
    if chosen.json:
        found = [{**vars(one), "seconds": round(one.seconds, 2)} for one in figures]
        print(json.dumps({"invoices": chosen.invoices, "figures": found}, indent=2))
        return
    table = Table(title=f"{chosen.invoices:,} open invoices", title_justify="left", title_style="bold", box=None, pad_edge=False)
    for label in ("", "seconds", "writes", "crossings"):
        table.add_column(label, justify="right" if label else "left")
    for one in figures:
        table.add_row(one.name, f"{one.seconds:.2f}", f"{one.writes:,}", f"{one.crossings:,}")
    Console(highlight=False).print(table)


if __name__ == "__main__":
    main()
