"""Tables of ``sql/`` are made anew when, and only when, something that they are made from is another."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from qbsf_pipeline.quickbooks.objects import CUSTOMER, INVOICE
from qbsf_pipeline.reporting.build import Made, StatementFailed, build
from qbsf_pipeline.reporting.heads import Head
from qbsf_pipeline.reporting.statements import Statement
from qbsf_pipeline.warehouse.connection import Warehouse, append_rows, ensure_table
from qbsf_pipeline.warehouse.preview import PREVIEW_ROWS
from qbsf_pipeline.warehouse.raw import WATERMARKS

TODAY = date(2026, 3, 31)


def statement(name: str, sql: str, *reads: str, is_view: bool = False, meaning: str = "what it's worth") -> Statement:
    columns = {"id": "what it is", "total": meaning}
    pairs = frozenset((schema, table) for schema, table in (read.split(".") for read in reads))
    head = Head("A row is one thing.", columns, is_view, key=("id",))
    return Statement(name, head.description, columns, sql, pairs, is_view, head)


INVOICES = statement("invoices", "select id, total from quickbooks.invoice where not is_deleted", "quickbooks.invoice")
BIG = statement("big", "select id, total from reporting.invoices where total > 50", "reporting.invoices")
CUSTOMERS = statement("customers", "select id, balance as total from quickbooks.customer", "quickbooks.customer")
STATEMENTS = [INVOICES, BIG, CUSTOMERS]


class Report:
    """A warehouse with one invoice, and the tables made from it."""

    def __init__(self, home: Path) -> None:
        self.warehouse = Warehouse(home / "warehouse.duckdb")
        self.folder = home / "history"
        with self.warehouse.transaction() as connection:
            for table in (INVOICE, CUSTOMER, WATERMARKS):
                ensure_table(connection, table)
            row = {"id": "1", "total": Decimal("100.00"), "is_deleted": False, "content_hash": "a"}
            append_rows(connection, INVOICE, INVOICE.frame([row]))

    def make(self, statements: Sequence[Statement] = STATEMENTS) -> list[Made]:
        return list(build(self.warehouse, statements, self.folder, TODAY))

    def rebuilt(self, statements: Sequence[Statement] = STATEMENTS) -> list[str]:
        return [made.statement.name for made in self.make(statements) if made.rebuilt]

    def run(self, sql: str) -> list[tuple[object, ...]]:
        with self.warehouse.connection() as connection:
            return connection.execute(sql).fetchall()


@pytest.fixture
def report(tmp_path: Path) -> Report:
    made = Report(tmp_path)
    assert made.rebuilt() == ["invoices", "big", "customers"]
    return made


def test_nothing_is_made_anew_from_the_same(report: Report) -> None:
    made = report.make()
    assert [one.rebuilt for one in made] == [False, False, False]
    assert [one.rows for one in made] == [1, 1, 0]
    assert made[0].types == {"id": "VARCHAR", "total": "DECIMAL(18,2)"}
    assert made[1].lineage == {
        "id": frozenset({("reporting", "invoices", "id")}),
        "total": frozenset({("reporting", "invoices", "total")}),
    }


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE quickbooks.invoice SET total = 120, content_hash = 'b'",
        "UPDATE quickbooks.invoice SET is_deleted = true",
        "UPDATE quickbooks.invoice SET source_modified_at = '2026-03-31'",
        "INSERT INTO quickbooks.invoice (id, content_hash) VALUES ('2', 'a'), ('3', 'a')",
        "DELETE FROM quickbooks.invoice",
    ],
)
def test_a_change_reaches_what_is_made_from_it_and_nothing_else(report: Report, change: str) -> None:
    report.run(change)
    assert report.rebuilt() == ["invoices", "big"]
    assert report.rebuilt() == []


def test_another_statement_or_meaning_makes_a_table_anew(report: Report) -> None:
    other = statement("big", "select id, total from reporting.invoices where total > 500", "reporting.invoices")
    assert report.rebuilt([INVOICES, other, CUSTOMERS]) == ["big"]
    assert report.run("SELECT * FROM reporting.big") == []
    said = statement("customers", CUSTOMERS.sql, "quickbooks.customer", meaning="what's still open")
    assert report.rebuilt([INVOICES, other, said]) == ["customers"]
    comments = (
        "SELECT comment FROM duckdb_columns() WHERE schema_name = 'reporting' AND table_name = 'customers' ORDER BY column_index"
    )
    assert report.run(comments) == [("what it is",), ("what's still open",)]


def test_a_table_that_somebody_dropped_is_made_anew(report: Report) -> None:
    report.run("DROP TABLE reporting.invoices")
    assert report.rebuilt() == ["invoices"]


def test_a_table_becomes_a_view_and_back_and_a_file_that_is_gone_takes_its_table_along(report: Report) -> None:
    view = statement("big", BIG.sql, "reporting.invoices", is_view=True)
    assert report.rebuilt([INVOICES, view]) == ["big"]
    kinds = "SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = 'reporting' ORDER BY 1"
    assert report.run(kinds) == [("big", "VIEW"), ("invoices", "BASE TABLE")]
    assert report.rebuilt([INVOICES, BIG]) == ["big"]


def test_a_view_over_what_changes_in_every_pass_is_not_made_anew_for_it(report: Report) -> None:
    sql = "select table_name as id, rows_live as total from pipeline.watermarks"
    fresh = statement("fresh", sql, "pipeline.watermarks", is_view=True)
    assert report.rebuilt([fresh]) == ["fresh"]
    report.run("INSERT INTO pipeline.watermarks (table_name, rows_live) VALUES ('a.b', 7)")
    assert report.rebuilt([fresh]) == []
    assert report.run("SELECT * FROM reporting.fresh") == [("a.b", 7)]


def test_a_statement_that_fails_is_named_and_leaves_its_table_as_it_was(report: Report) -> None:
    broken = statement("big", "select id, cast('x' || id as integer) as total from reporting.invoices", "reporting.invoices")
    with pytest.raises(StatementFailed, match=r"sql/big\.sql: .*Could not convert"):
        report.make([INVOICES, broken, CUSTOMERS])
    assert report.run("SELECT total FROM reporting.big") == [(Decimal("100.00"),)]
    assert report.rebuilt() == []


def test_of_a_large_table_only_the_first_rows_are_read(report: Report) -> None:
    many = "SELECT range::varchar, md5(range::varchar), false FROM range(10, 100010)"
    report.run(f"INSERT INTO quickbooks.invoice (id, content_hash, is_deleted) {many}")
    made = report.make()
    assert (made[0].rows, made[0].preview.height if made[0].preview is not None else None) == (100001, PREVIEW_ROWS)
