"""Measures how long month end takes over many deals and invoices, and how much memory it needs.

python -m qbsf_pipeline_tests.benchmarks.reconciliation [--deals 1000000] [--months 24] [--rounds 1] [--lines] [--json]

Prints figures and asserts nothing: they depend on the machine. Nine of ten deals are matched; the others are spread over the
classes: timing, changed amounts, instalments, voids, duplicates, other currencies, refusals. Every eighth of those invoices has
a credit memo. There are as many invoices as deals, less those that are not invoiced, and a twentieth more without a deal. With
``--lines`` the records of the invoices are made as QuickBooks sends them, three lines each, and those that differ are read.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from datetime import date
from decimal import Decimal

import duckdb
import polars as pl

from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.reconciliation import inputs as shapes
from qbsf_pipeline.reconciliation.inputs import Links, ReconciliationInputs, with_a_difference
from qbsf_pipeline.reconciliation.lines import read_invoice_lines
from qbsf_pipeline.reconciliation.plan import reconcile
from qbsf_pipeline.settings import load_rules
from qbsf_pipeline.warehouse.connection import ensure_table

FIRST_DAY, DAYS = date(2024, 4, 1), 730
AS_OF = date(2026, 4, 1)
LINKS = Links(deal="https://acme.my.salesforce.com/{id}", invoice="https://app.qbo.intuit.com/app/invoice?txnId={id}")
#: One of twenty deals each: what happens to its invoice.
KINDS = ("later", "changed", "part", "void", "twice", "foreign", "refused")
_REST = 18


def shaped(rows: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
    """Rows as a frame of the schema; a missing column is null."""
    missing = [pl.lit(None).alias(name) for name in schema if name not in rows.columns]
    return rows.with_columns(missing).select(list(schema)).cast(schema)


def world(deals: int) -> ReconciliationInputs:
    """A company with so many deals over two years."""
    number = pl.col("n")
    key = number.cast(pl.String)
    kind = pl.lit(list(KINDS)).list.get((number // _REST) % len(KINDS))
    rows = pl.select(n=pl.int_range(deals)).with_columns(
        kind=pl.when(number % _REST == 0).then(kind).otherwise(pl.lit("plain")),
        day=pl.lit(FIRST_DAY) + pl.duration(days=number * 7 % DAYS),
        value=((number * 37 % 900_000 + 10_000).cast(pl.Decimal(18, 2)) / pl.lit(Decimal(100))).cast(pl.Decimal(18, 2)),
        opportunity_id="006" + key.str.zfill(12) + "AAA",
        customer="C" + (number % (deals // 5 + 1)).cast(pl.String),
    )
    is_kind = pl.col("kind")
    billed = rows.filter(is_kind != "refused").select(
        invoice_id=key,
        number="N" + key,
        customer_id=pl.col("customer"),
        opportunity_id="opportunity_id",
        linked_by=pl.lit("marker"),
        txn_date=pl.when(is_kind == "later").then(pl.col("day").dt.offset_by("9d")).otherwise("day"),
        total=pl.when(is_kind == "void")
        .then(pl.lit(Decimal(0)))
        .when(is_kind == "changed")
        .then(pl.col("value") + pl.lit(Decimal(50)))
        .when(is_kind == "part")
        .then((pl.col("value") * pl.lit(Decimal("0.25"))).cast(pl.Decimal(18, 2)))
        .otherwise("value"),
        currency=pl.when(is_kind == "foreign").then(pl.lit("EUR")).otherwise(pl.lit("USD")),
        status=pl.when(is_kind == "void").then(pl.lit("Voided")).otherwise(pl.lit("Paid")),
        written_off=pl.lit(0),
    )
    second = rows.filter(is_kind.is_in(["part", "twice"])).select(
        invoice_id="2" + key.str.zfill(8),
        number="M" + key,
        customer_id="customer",
        opportunity_id="opportunity_id",
        linked_by=pl.lit("marker"),
        txn_date=pl.col("day").dt.offset_by("3d"),
        total=pl.when(is_kind == "part")
        .then((pl.col("value") * pl.lit(Decimal("0.25"))).cast(pl.Decimal(18, 2)))
        .otherwise("value"),
        currency=pl.lit("USD"),
        status=pl.lit("Paid"),
        written_off=pl.lit(0),
    )
    by_hand = rows.filter(number % 20 == 1).select(
        invoice_id="3" + key.str.zfill(8),
        number="H" + key,
        customer_id="customer",
        txn_date="day",
        total="value",
        currency=pl.lit("USD"),
        status=pl.lit("Paid"),
        written_off=pl.lit(0),
    )
    credited = rows.filter(number % (_REST * 8) == 1)
    owners = pl.select(n=pl.int_range(200)).select(owner_id="U" + key, owner="Owner " + key)
    customers = rows.select("customer").unique()
    return ReconciliationInputs(
        deals=shaped(
            rows.select(
                "opportunity_id",
                deal="Deal " + key,
                account_id="A" + pl.col("customer"),
                owner_id="U" + (number % 200).cast(pl.String),
                close_date="day",
                is_won=True,
                is_closed=True,
                is_deleted=False,
                amount="value",
                currency=pl.lit("USD"),
                modified_on="day",
            ),
            shapes.DEALS,
        ),
        invoices=pl.concat([shaped(each, shapes.INVOICES) for each in (billed, second, by_hand)]),
        credit_memos=shaped(
            credited.select(credit_memo_id="m" + key, number="CM" + key, txn_date="day", total=pl.lit(1), is_deleted=False),
            shapes.CREDIT_MEMOS,
        ),
        credits=shaped(credited.select(credit_memo_id="m" + key, invoice_id=key, amount=pl.lit(1)), shapes.CREDITS),
        account_customers=shaped(
            customers.select(account_id="A" + pl.col("customer"), customer_id="customer"), shapes.ACCOUNT_CUSTOMERS
        ),
        customers=shaped(customers.select(customer_id="customer", customer="Customer " + pl.col("customer")), shapes.CUSTOMERS),
        accounts=shaped(
            customers.select(account_id="A" + pl.col("customer"), account="Account " + pl.col("customer")), shapes.ACCOUNTS
        ),
        owners=shaped(owners, shapes.OWNERS),
        outcomes=shaped(
            rows.select(
                "opportunity_id",
                outcome=pl.when(is_kind == "refused").then(pl.lit("refused")).otherwise(pl.lit("invoiced")),
                detail=pl.lit("The deal holds invoice N."),
            ),
            shapes.OUTCOMES,
        ),
        refusals=shaped(
            rows.filter(is_kind == "refused").select(
                "opportunity_id",
                code=pl.lit("no_line_items"),
                reason=pl.lit("The deal has no products."),
                remedy=pl.lit("Add the products that were sold."),
                position=pl.lit(1),
            ),
            shapes.REFUSALS,
        ),
        billings=shaped(
            rows.filter(~is_kind.is_in(["refused", "part"])).select(
                "opportunity_id",
                invoice_id=key,
                generation=pl.lit(1),
                status=pl.lit("done"),
                amount="value",
                done_on="day",
            ),
            shapes.BILLINGS,
        ),
        exchange_rates=shaped(pl.DataFrame({"currency": ["USD", "EUR"], "rate": [1, 1]}), shapes.EXCHANGE_RATES),
        home_currency="USD",
        org_currency="USD",
    )


def read_lines(inputs: ReconciliationInputs) -> tuple[float, pl.DataFrame]:
    """Seconds to find the invoices that differ and to read their lines out of records of three lines, and these lines."""
    detail = (
        '"SalesItemLineDetail":{"ItemRef":{"value":"7","name":"Gold"},"Qty":1,"UnitPrice":10.01,"TaxCodeRef":{"value":"NON"}}'
    )
    line = '{"Id":"1","LineNum":1,"Description":"Gold","Amount":10.01,"DetailType":"SalesItemLineDetail",' + detail + "}"
    record = (
        '{"Id":"1","TotalAmt":30.03,"Line":[' + ",".join([line] * 3) + ',{"Amount":30.03,"DetailType":"SubTotalLineDetail"}]}'
    )
    with duckdb.connect() as connection:
        ensure_table(connection, quickbooks.INVOICE)
        connection.register("invoices", inputs.invoices.select("invoice_id").to_arrow())
        connection.execute(
            f"INSERT INTO {quickbooks.INVOICE.qualified_name} (id, is_deleted, record) SELECT invoice_id, false, ? FROM invoices",
            [record],
        )
        begin = time.perf_counter()
        _, differing = with_a_difference(inputs.deals, inputs.invoices)
        lines = read_invoice_lines(connection, differing)
        return time.perf_counter() - begin, lines


def main() -> None:
    """Run the benchmark by command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    for name, default in (("deals", 1_000_000), ("months", 24), ("rounds", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--lines", action="store_true")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    inputs, rules = world(given.deals), load_rules()
    months = pl.date_range(FIRST_DAY, AS_OF, "1mo", closed="left", eager=True).to_list()[-given.months :]
    figures: dict[str, float] = {}
    if given.lines:
        seconds, lines = read_lines(inputs)
        figures |= {"read lines of those that differ, s": seconds, "lines": lines.height}
    made = resource.getrusage(resource.RUSAGE_SELF)
    wall = []
    for _ in range(given.rounds):
        begin = time.perf_counter()
        found = reconcile(inputs, rules, months, AS_OF, LINKS)
        wall.append(time.perf_counter() - begin)
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = used.ru_utime + used.ru_stime - made.ru_utime - made.ru_stime
    figures |= {
        "reconcile, s (best)": min(wall),
        "CPU seconds of one round": cpu / given.rounds,
        "most memory before, GiB": made.ru_maxrss / 2**20,
        "most memory, GiB": used.ru_maxrss / 2**20,
        "rows of cases": found.cases.height,
        "rows of documents": found.documents.height,
    }
    shown = {name: round(value, 2) for name, value in figures.items()}
    print(json.dumps(shown) if given.json else "\n".join(f"{name:36} {value:>14,}" for name, value in shown.items()))


if __name__ == "__main__":
    main()
