"""The lines of payments, deposits, journal entries and credit memos, out of the records as they were pulled.

DuckDB reads the JSON of whole tables at once: 1,200,000 lines take seconds. Nothing is decided here. A line that is not as
documented is left out, and then the identities name the document.
"""

from __future__ import annotations

from dataclasses import dataclass

import duckdb
import polars as pl

from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.receivables.tables import CREDIT_LINES, DEPOSIT_LINES, DISPUTED, JOURNAL_LINES, PAYMENT_LINES
from qbsf_pipeline.warehouse.connection import ensure_table, frame_of
from qbsf_pipeline.warehouse.tables import TableSchema

_AMOUNT = "TRY_CAST(line.Amount AS DECIMAL(18,2))"
_LINKS = '{"Line":[{"Amount":"VARCHAR","LinkedTxn":[{"TxnId":"VARCHAR","TxnType":"VARCHAR"}]}]}'
_JOURNAL = (
    '{"Line":[{"Amount":"VARCHAR","JournalEntryLineDetail":{"PostingType":"VARCHAR","AccountRef":{"value":"VARCHAR"},'
    '"Entity":{"Type":"VARCHAR","EntityRef":{"value":"VARCHAR"}}}}]}'
)
_DEPOSIT = (
    '{"Line":[{"Amount":"VARCHAR","DepositLineDetail":{"AccountRef":{"value":"VARCHAR"},'
    '"Entity":{"type":"VARCHAR","value":"VARCHAR","Type":"VARCHAR","EntityRef":{"value":"VARCHAR"}}}}]}'
)
_CREDIT = (
    '{"Line":[{"Amount":"VARCHAR","SalesItemLineDetail":{"ItemRef":{"value":"VARCHAR"},"ItemAccountRef":{"value":"VARCHAR"}}}]}'
)
_CUSTOM = '{"CustomField":[{"Name":"VARCHAR","StringValue":"VARCHAR","BooleanType":"VARCHAR","BooleanValue":"VARCHAR"}]}'


@dataclass(frozen=True)
class Lines:
    """The lines of everything that is not deleted.

    Attributes:
        payment_lines: :data:`.tables.PAYMENT_LINES`.
        journal_lines: :data:`.tables.JOURNAL_LINES`.
        deposit_lines: :data:`.tables.DEPOSIT_LINES`.
        credit_lines: :data:`.tables.CREDIT_LINES`.
        disputed: :data:`.tables.DISPUTED`.
    """

    payment_lines: pl.DataFrame
    journal_lines: pl.DataFrame
    deposit_lines: pl.DataFrame
    credit_lines: pl.DataFrame
    disputed: pl.DataFrame


def read_lines(connection: duckdb.DuckDBPyConnection, dispute_field: str = "") -> Lines:
    """The lines, from the raw tables of QuickBooks.

    Args:
        dispute_field: name of the custom field of invoices that flags a dispute; empty for none.
    """
    for table in (quickbooks.PAYMENT, quickbooks.DEPOSIT, quickbooks.JOURNAL_ENTRY, quickbooks.CREDIT_MEMO, quickbooks.INVOICE):
        ensure_table(connection, table)
    links = " UNION ALL ".join(
        f"SELECT '{name}' AS source_type, id AS source_id, position AS line, link.TxnType AS txn_type, link.TxnId AS txn_id, "
        f"{_AMOUNT} AS amount FROM (SELECT *, unnest(line.LinkedTxn) AS link FROM ({_unnested(table, _LINKS)})) "
        "WHERE link.TxnId IS NOT NULL"
        for name, table in (("payment", quickbooks.PAYMENT), ("deposit", quickbooks.DEPOSIT))
    )
    journal = (
        "SELECT id AS journal_entry_id, position AS line, detail.PostingType AS posting, detail.AccountRef.value AS account_id, "
        f"CASE WHEN lower(coalesce(detail.Entity.Type, 'customer')) = 'customer' THEN detail.Entity.EntityRef.value END "
        f"AS customer_id, {_AMOUNT} AS amount "
        f"FROM (SELECT *, line.JournalEntryLineDetail AS detail FROM ({_unnested(quickbooks.JOURNAL_ENTRY, _JOURNAL)})) "
        "WHERE detail.AccountRef.value IS NOT NULL"
    )
    deposit = (
        "SELECT id AS deposit_id, position AS line, detail.AccountRef.value AS account_id, "
        "CASE WHEN lower(coalesce(detail.Entity.type, detail.Entity.Type, 'customer')) = 'customer' "
        f"THEN coalesce(detail.Entity.value, detail.Entity.EntityRef.value) END AS customer_id, {_AMOUNT} AS amount "
        f"FROM (SELECT *, line.DepositLineDetail AS detail FROM ({_unnested(quickbooks.DEPOSIT, _DEPOSIT)})) "
        "WHERE detail.AccountRef.value IS NOT NULL"
    )
    credit = (
        "SELECT id AS credit_memo_id, position AS line, line.SalesItemLineDetail.ItemRef.value AS item_id, "
        "line.SalesItemLineDetail.ItemAccountRef.value AS account_id "
        f"FROM ({_unnested(quickbooks.CREDIT_MEMO, _CREDIT)}) WHERE line.SalesItemLineDetail IS NOT NULL"
    )
    return Lines(
        payment_lines=_frame(connection, links, PAYMENT_LINES),
        journal_lines=_frame(connection, journal, JOURNAL_LINES),
        deposit_lines=_frame(connection, deposit, DEPOSIT_LINES),
        credit_lines=_frame(connection, credit, CREDIT_LINES),
        disputed=_disputed(connection, dispute_field.strip()),
    )


def _unnested(table: TableSchema, shape: str) -> str:
    # Two unnests in one SELECT each: a lateral join over the second list takes ten times as long.
    return (
        "SELECT id, unnest(parsed.Line) AS line, generate_subscripts(parsed.Line, 1) AS position FROM "
        f"(SELECT id, from_json(record, '{shape}') AS parsed FROM {table.qualified_name} "
        "WHERE NOT coalesce(is_deleted, false) AND json_valid(record))"
    )


def _disputed(connection: duckdb.DuckDBPyConnection, name: str) -> pl.DataFrame:
    if not name:
        return pl.DataFrame(schema=DISPUTED)
    connection.execute("SET VARIABLE dispute_field = ?", [name.casefold()])
    fields = (
        f"SELECT id, unnest(from_json(record, '{_CUSTOM}').CustomField) AS field FROM {quickbooks.INVOICE.qualified_name} "
        "WHERE NOT coalesce(is_deleted, false) AND json_valid(record)"
    )
    # A text field that says no is no dispute; any other text is one.
    statement = (
        f"SELECT DISTINCT id AS invoice_id FROM ({fields}) WHERE lower(trim(field.Name)) = getvariable('dispute_field') AND "
        "lower(trim(coalesce(field.StringValue, field.BooleanValue, field.BooleanType, ''))) "
        "NOT IN ('', 'no', 'n', 'false', '0', 'none')"
    )
    return _frame(connection, statement, DISPUTED)


def _frame(connection: duckdb.DuckDBPyConnection, statement: str, schema: pl.Schema) -> pl.DataFrame:
    return frame_of(connection.sql(statement)).select(list(schema)).cast(schema)
