"""What is owed, written down by a test, and the statements of ``sql/`` over it in an in-memory DuckDB."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from typing import Any

import duckdb
import polars as pl

from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.receivables import tables as receivables
from qbsf_pipeline.reporting.build import READABLE
from qbsf_pipeline.reporting.day import write_day
from qbsf_pipeline.reporting.statements import load_statements
from qbsf_pipeline.salesforce import objects as salesforce
from qbsf_pipeline.warehouse.connection import append_rows, ensure_table, replace_rows
from qbsf_pipeline.warehouse.raw import WATERMARKS
from qbsf_pipeline.warehouse.tables import TableSchema

ANA, BEN = "005000000000001AAA", "005000000000002AAA"
STATEMENTS = {statement.name: statement for statement in load_statements()}
READ_AT = datetime(2026, 3, 31, 5, 0, tzinfo=UTC)


_RAW = {table for statement in STATEMENTS.values() for table in statement.reads}
_TABLES = tuple(table for table in READABLE if (table.schema, table.name) in _RAW)


@cache
def _needed(*names: str) -> tuple[str, ...]:
    """These tables and what they are made from, in order."""
    wanted = set(names)
    for name in reversed(STATEMENTS):
        if name in wanted:
            wanted |= {table for schema, table in STATEMENTS[name].reads if schema == "reporting"}
    return tuple(name for name in STATEMENTS if name in wanted)


@cache
def _connection() -> duckdb.DuckDBPyConnection:
    """One for all tests: making the tables takes longer than a test."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    for table in _TABLES:
        ensure_table(connection, table)
    return connection


def day(text: str) -> date:
    return date.fromisoformat(text)


class Ledger:
    """A company's books: invoices, what is applied to them, and what is not."""

    def __init__(self, home_currency: str = "USD") -> None:
        self.connection = _connection()
        filled = "SELECT schema_name, table_name FROM duckdb_tables() WHERE schema_name <> 'reporting' AND estimated_size > 0"
        for schema, table in self.connection.execute(filled).fetchall():
            self.connection.execute(f'DELETE FROM "{schema}"."{table}"')
        self.put(quickbooks.PREFERENCES, {"id": "1", "home_currency": home_currency})
        self.put(WATERMARKS, {"table_name": "quickbooks.invoice", "pulled_at": READ_AT})
        self.put(salesforce.USER, {"id": ANA, "name": "Ana"}, {"id": BEN, "name": "Ben"})
        self.invoices: dict[str, dict[str, Any]] = {}
        self.applications: list[dict[str, Any]] = []
        self.unapplied: list[dict[str, Any]] = []

    def put(self, table: TableSchema, *rows: Mapping[str, Any]) -> None:
        append_rows(self.connection, table, table.frame(rows))

    def invoice(
        self, invoice_id: str, total: str, dated: str, due: str | None = None, *, owner: str | None = None, **more: Any
    ) -> None:
        """An invoice; with an ``owner`` it bills a deal of theirs."""
        deal = f"006{invoice_id:0>12}AAA" if owner else None
        if deal:
            url = f"https://example.com/invoice?txnId={invoice_id}"
            row = {"id": deal, "name": f"Deal {invoice_id}", "owner_id": owner, "invoice_url": url}
            self.put(salesforce.OPPORTUNITY, row)
        self.invoices[invoice_id] = {
            "invoice_id": invoice_id,
            "doc_number": f"INV-{invoice_id}",
            "customer_id": "58",
            "opportunity_id": deal,
            "txn_date": day(dated),
            "due_date": day(due or dated),
            "due_date_imputed": False,
            "total": Decimal(total),
            "currency": "USD",
            "status": "Invoiced",
            "emailed": True,
            "disputed": False,
            "explained": True,
        } | more

    def apply(self, invoice_id: str, amount: str, on: str, kind: str = "payment", **more: Any) -> None:
        """Money or credit dated ``on``, applied by a payment of that day."""
        invoice = self.invoices[invoice_id]
        source = more.pop("source_id", f"{kind}-{len(self.applications)}")
        self.applications.append(
            {
                "application_id": f"A{len(self.applications)}",
                "invoice_id": invoice_id,
                "source_type": kind,
                "source_id": source,
                "customer_id": invoice["customer_id"],
                "applied_on": max(day(on), invoice["txn_date"]),
                "source_date": day(on),
                "amount": Decimal(amount),
                "currency": invoice["currency"],
                "effect": "paid" if kind in ("payment", "deposit") else "credited",
                "is_write_off": more.get("effect") == "written_off",
            }
            | more
        )

    def credit(self, kind: str, source_id: str, amount: str, dated: str, currency: str = "USD", customer: str = "58") -> None:
        row = {"kind": kind, "source_id": source_id, "customer_id": customer, "txn_date": day(dated), "currency": currency}
        self.unapplied.append(row | {"amount": Decimal(amount)})

    def report(self, name: str, as_of: str, buckets: Sequence[int] = (30, 60, 90)) -> list[dict[str, Any]]:
        """The rows of a reporting table when ``as_of`` is today."""
        self._write(as_of, buckets)
        self.connection.execute('CREATE SCHEMA IF NOT EXISTS "reporting"')
        for wanted in _needed("ar_aging", name):
            statement = STATEMENTS[wanted]
            kind = "VIEW" if statement.is_view else "TABLE"
            self.connection.execute(f'CREATE OR REPLACE {kind} "reporting"."{wanted}" AS {statement.sql}')
        return self.connection.sql(f'SELECT * FROM "reporting"."{name}"').pl().to_dicts()

    def _write(self, as_of: str, buckets: Sequence[int]) -> None:
        applied: dict[str, Decimal] = {}
        for row in self.applications:
            applied[row["invoice_id"]] = applied.get(row["invoice_id"], Decimal(0)) + row["amount"]
        invoices = [
            {"open": row["total"] - applied.get(invoice_id, Decimal(0)), **row} for invoice_id, row in self.invoices.items()
        ]
        write_day(self.connection, day(as_of), buckets)
        for table, rows in (
            (receivables.INVOICES, invoices),
            (receivables.APPLICATIONS, self.applications),
            (receivables.UNAPPLIED, self.unapplied),
        ):
            replace_rows(self.connection, table, table.frame(rows))


def one(rows: list[dict[str, Any]], **wanted: Any) -> dict[str, Any]:
    """The only row with these values."""
    (found,) = [row for row in rows if all(row[key] == value for key, value in wanted.items())]
    return found


def frame(rows: Sequence[Mapping[str, Any]], schema: pl.Schema) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=schema, orient="row")
