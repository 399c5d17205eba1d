"""Measures how long it takes to derive what is owed, and to read the lines of payments out of their records.

python -m qbsf_pipeline_tests.benchmarks.receivables [--invoices 100000] [--payments 120000] [--lines 10] [--rounds 3] [--json]

Prints figures and asserts nothing: they depend on the machine. A quarter of the payments uses a credit memo; every deal holds
the id of its invoice. Deriving is Polars alone; reading is DuckDB over records of ``--lines`` lines each, as QuickBooks sends
them with their line extras.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import duckdb
import polars as pl

from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.receivables.identities import company_differences, invoice_differences, source_differences
from qbsf_pipeline.receivables.inputs import SOURCES, ReceivableInputs, read_inputs
from qbsf_pipeline.receivables.lines import read_lines
from qbsf_pipeline.receivables.owed import receivables_of
from qbsf_pipeline.receivables.tables import CUSTOMER_LINKS, INVOICE_LINKS, PAYMENT_LINES
from qbsf_pipeline.settings import load_rules
from qbsf_pipeline.warehouse.connection import ensure_table
from qbsf_pipeline.warehouse.tables import TableSchema

RULES = load_rules()
_EXTRA = '{"name":"NameValue","scope":"x","value":{"Name":"txnId","Value":"7"}}'
_EXTRAS = ',"LineEx":{"any":[' + ",".join([_EXTRA] * 3) + "]}"


def frame(table: TableSchema, rows: int, **columns: Any) -> pl.DataFrame:
    """Rows of a raw table without their records; other columns are null."""
    given = pl.select(pl.int_range(rows).alias("n")).with_columns(
        **{name: value if isinstance(value, pl.Expr) else pl.lit(value) for name, value in columns.items()}, is_deleted=False
    )
    names = table.columns_without_record
    missing = [pl.lit(None).alias(name) for name in names if name not in given.columns]
    return given.with_columns(missing).select(names).cast({name: table.polars_schema[name] for name in names})


def company(invoices: int, payments: int) -> ReceivableInputs:
    """Invoices of 100, each with a deal, and payments of 50 over them; every fourth uses a credit memo of 10 as well."""
    with duckdb.connect() as connection:
        for table in SOURCES.values():
            ensure_table(connection, table)
        links = pl.DataFrame(schema=INVOICE_LINKS), pl.DataFrame(schema=CUSTOMER_LINKS)
        empty = read_inputs(connection, *links, RULES)
    memos = payments // 4
    key = pl.col("n").cast(pl.String)
    day, money = date(2026, 3, 1), {"currency": "USD", "customer_id": "1", "txn_date": date(2026, 3, 10)}
    lines = pl.concat(
        [
            pl.select(pl.int_range(rows).alias("n")).select(
                source_type=pl.lit("payment"),
                source_id="p" + key,
                line=pl.lit(number),
                txn_type=pl.lit(kind),
                txn_id=target,
                amount=pl.lit(Decimal(amount)),
            )
            for number, (rows, kind, target, amount) in enumerate(
                (
                    (payments, "Invoice", (pl.col("n") * 7 % invoices).cast(pl.String), "50"),
                    (memos, "CreditMemo", "c" + key, "10"),
                )
            )
        ]
    ).cast(PAYMENT_LINES)
    return replace(
        empty,
        invoice=frame(
            quickbooks.INVOICE,
            invoices,
            id=key,
            doc_number="N" + key,
            total=100,
            balance=50,
            status="live",
            **{**money, "txn_date": day},
        ),
        payment=frame(quickbooks.PAYMENT, payments, id="p" + key, total=60, unapplied=20, **money),
        credit_memo=frame(quickbooks.CREDIT_MEMO, memos, id="c" + key, total=10, remaining=0, **money),
        opportunity=frame(SOURCES["opportunity"], invoices, id="006" + key.str.zfill(12) + "AAA", invoice_id=key),
        lines=replace(empty.lines, payment_lines=lines),
    )


def best(rounds: int, work: Callable[[], object]) -> float:
    """Seconds of the best of ``rounds``."""
    seconds = []
    for _ in range(rounds):
        begin = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begin)
    return min(seconds)


def reading(payments: int, lines: int, rounds: int) -> float:
    """Seconds to read the lines of payments out of their records."""
    line = '{"Amount":10.01,"LinkedTxn":[{"TxnId":"7","TxnType":"Invoice"}]' + _EXTRAS + "}"
    record = '{"Id":"1","TotalAmt":100.00,"Line":[' + ",".join([line] * lines) + "]}"
    with duckdb.connect() as connection:
        ensure_table(connection, quickbooks.PAYMENT)
        connection.execute(
            f"INSERT INTO {quickbooks.PAYMENT.qualified_name} (id, is_deleted, record) "
            "SELECT i::VARCHAR, false, ? FROM range(?) t(i)",
            [record, payments],
        )
        return best(rounds, lambda: read_lines(connection))


def main() -> None:
    """Run the benchmark by command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    for name, default in (("invoices", 100_000), ("payments", 120_000), ("lines", 10), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    inputs = company(given.invoices, given.payments)
    found = receivables_of(inputs, RULES, None)

    def identities() -> None:
        invoice_differences(found.invoices, found.applications)
        source_differences(inputs)
        company_differences(inputs)

    figures = {
        "derive, now": best(given.rounds, lambda: receivables_of(inputs, RULES, None)),
        "derive, a past day": best(given.rounds, lambda: receivables_of(inputs, RULES, date(2026, 3, 9))),
        "identities": best(given.rounds, identities),
        f"read {given.payments * given.lines} lines": reading(given.payments, given.lines, given.rounds),
    }
    shown = {name: round(seconds, 2) for name, seconds in figures.items()}
    print(json.dumps(shown) if given.json else "\n".join(f"{name:30} {seconds:6.2f} s" for name, seconds in shown.items()))


if __name__ == "__main__":
    main()
