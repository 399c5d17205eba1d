"""What a warehouse table looks like: one declaration gives the DDL, the Polars schema and the comments.

Raw tables (as pulled) carry the same bookkeeping columns behind their own, see :data:`RAW_COLUMNS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any

import polars as pl
from polars.datatypes import DataType, DataTypeClass

PolarsType = DataType | DataTypeClass

#: Money and rates in Polars and DuckDB. Two places for amounts; rates keep what the source gave, up to ten.
AMOUNT = pl.Decimal(18, 2)
RATE = pl.Decimal(28, 10)
TIMESTAMP = pl.Datetime("us", "UTC")

_SQL_TYPES: dict[str, str] = {
    str(pl.String()): "VARCHAR",
    str(pl.Boolean()): "BOOLEAN",
    str(pl.Int64()): "BIGINT",
    str(pl.Float64()): "DOUBLE",
    str(pl.Date()): "DATE",
    str(TIMESTAMP): "TIMESTAMPTZ",
    str(AMOUNT): "DECIMAL(18,2)",
    str(RATE): "DECIMAL(28,10)",
}


@dataclass(frozen=True)
class Column:
    """One column: its name, Polars type and comment, and for raw tables the ``path`` into the source's JSON record
    (dots descend; ``None`` where the reader fills the column itself)."""

    name: str
    dtype: PolarsType
    comment: str
    path: str | None = None

    @property
    def sql_type(self) -> str:
        """The DuckDB type.

        Raises:
            KeyError: the Polars type has no agreed DuckDB type.
        """
        dtype = self.dtype() if isinstance(self.dtype, type) else self.dtype
        return _SQL_TYPES[str(dtype)]


RECORD = "record"
#: Behind the columns of every raw table. ``record`` is the whole source record as JSON, so that a change of rules never
#: needs a new pull; ``content_hash`` leaves the modification stamp out, so that a touched record is no changed record.
RAW_COLUMNS: tuple[Column, ...] = (
    Column("source_modified_at", TIMESTAMP, "The source system's own modification stamp (UTC)"),
    Column("is_deleted", pl.Boolean, "Deleted in the source, or no longer found there by a full pull"),
    Column("content_hash", pl.String, "Hash of the record without its modification stamps"),
    Column(RECORD, pl.String, "The whole record as the source sent it (JSON)"),
    Column("extracted_at", TIMESTAMP, "When this version was read (UTC)"),
)


@dataclass(frozen=True)
class TableSchema:
    """A warehouse table: ``schema.name``, its columns, its key and what a row is."""

    schema: str
    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    comment: str

    @property
    def qualified_name(self) -> str:
        """``schema.name``, quoted for SQL."""
        return f'"{self.schema}"."{self.name}"'

    @cached_property
    def polars_schema(self) -> pl.Schema:
        """Column names and types, in order."""
        return pl.Schema({column.name: column.dtype for column in self.columns})

    @property
    def columns_without_record(self) -> list[str]:
        """Column names without the whole record as JSON, which takes most of a raw table and is nothing to decide from."""
        return [column.name for column in self.columns if column.name != RECORD]

    def ddl(self) -> list[str]:
        """Statements that create the schema and the table where they are missing, and comment them."""
        columns = ", ".join(f'"{column.name}" {column.sql_type}' for column in self.columns)
        statements = [
            f'CREATE SCHEMA IF NOT EXISTS "{self.schema}"',
            f"CREATE TABLE IF NOT EXISTS {self.qualified_name} ({columns})",
            f"COMMENT ON TABLE {self.qualified_name} IS {_quoted(self.comment)}",
        ]
        statements += [
            f'COMMENT ON COLUMN {self.qualified_name}."{column.name}" IS {_quoted(column.comment)}' for column in self.columns
        ]
        return statements

    def empty(self) -> pl.DataFrame:
        """A frame of this schema without rows."""
        return pl.DataFrame(schema=self.polars_schema)

    def frame(self, rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
        """Rows as a frame of exactly this schema; a missing key is null.

        Raises:
            polars.exceptions.PolarsError: a value does not fit its column's type.
        """
        return pl.DataFrame(
            {
                column.name: pl.Series(column.name, [row.get(column.name) for row in rows], dtype=column.dtype)
                for column in self.columns
            },
            schema=self.polars_schema,
        )


def raw_table(schema: str, name: str, columns: Sequence[Column], comment: str) -> TableSchema:
    """A raw table: the given columns (the first is the key ``id``) and :data:`RAW_COLUMNS`."""
    return TableSchema(schema, name, (*columns, *RAW_COLUMNS), (columns[0].name,), comment)


def value_at(record: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path of a JSON record; ``None`` where any step is missing or null."""
    value: Any = record
    for step in path.split("."):
        # The first comparison spares the second, slow one for what JSON is read into.
        if type(value) is not dict and not isinstance(value, Mapping):
            return None
        value = value.get(step)
    return value


@dataclass(frozen=True)
class PulledTable:
    """What one pull read for one raw table.

    Attributes:
        table: the raw table.
        frame: rows read, of ``table.polars_schema``; one row per key.
        watermark: the source's own clock at the start of the read (UTC): where the next incremental pull begins.
        complete: the frame is everything the source has: rows of the warehouse that are not in it are marked deleted.
        scope: (column, values): the frame is everything the source has *for these values* (the lines of a deal), so rows
            of the warehouse with one of these values that are not in the frame are marked deleted.
        fields_hash: hash of the list of fields that were asked for; another list makes the next pull a full one.
    """

    table: TableSchema
    frame: pl.DataFrame
    watermark: datetime
    complete: bool
    fields_hash: str
    scope: tuple[str, tuple[str, ...]] | None = None


@dataclass(frozen=True)
class Watermark:
    """How far a raw table has been read: by the source's clock, with which field list, and when it was last read whole."""

    table: str
    read_until: datetime
    last_full_at: datetime
    fields_hash: str


@dataclass(frozen=True)
class KnownRecord:
    """What the warehouse holds of one record, enough to tell a real change from a touched record."""

    source_modified_at: datetime | None
    content_hash: str


@dataclass(frozen=True)
class WarehouseView:
    """What a pull may ask the warehouse beforehand, without opening it: watermarks by table name (``schema.name``) and a
    reader of known records (id -> :class:`KnownRecord`) by table name."""

    watermarks: Mapping[str, Watermark]
    known: Callable[[str], Mapping[str, KnownRecord]] = field(default=lambda _table: {})


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def decimal_or_none(value: Any) -> Decimal | None:
    """A JSON number or numeric string as Decimal; ``None`` for null, empty or something else."""
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, Decimal):
        return value
    try:
        return Decimal(str(value).strip())
    except ArithmeticError:
        return None
