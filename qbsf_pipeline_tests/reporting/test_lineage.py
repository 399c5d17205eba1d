"""Where the columns of a statement come from."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from qbsf_pipeline.reporting.lineage import COLUMN_LINEAGE, Source, catalog_of, column_sources, keep_lineage

CATALOG = {
    "quickbooks": {
        "invoice": {
            "id": "VARCHAR",
            "total": "DECIMAL(18,2)",
            "tax": "DECIMAL(18,2)",
            "status": "VARCHAR",
            "parts": "STRUCT(a INT)",
        },
        "customer": {"id": "VARCHAR", "name": "VARCHAR"},
    }
}


def of(*columns: str) -> frozenset[Source]:
    """``invoice.id`` as a source."""
    found = [column.split(".") for column in columns]
    return frozenset(("quickbooks", table, column) for table, column in found)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select id as a from quickbooks.invoice", {"a": of("invoice.id")}),
        ("select total - coalesce(tax, 0) as net from quickbooks.invoice", {"net": of("invoice.total", "invoice.tax")}),
        (
            "select case when i.status = 'live' then c.name end as a, 1 as b from quickbooks.invoice as i "
            "left join quickbooks.customer as c on i.id = c.id where i.tax > 0",
            {"a": of("invoice.status", "customer.name"), "b": of()},
        ),
        (
            "with i as (select * from quickbooks.invoice) select i.total, i.id as b from i",
            {"total": of("invoice.total"), "b": of("invoice.id")},
        ),
        (
            "select id as a, name as b from quickbooks.customer union all select tax, id from quickbooks.invoice",
            {"a": of("customer.id", "invoice.tax"), "b": of("customer.name", "invoice.id")},
        ),
        (
            "select id as a, name as b from quickbooks.customer union all by name "
            "select total as c, id as b from quickbooks.invoice",
            {"a": of("customer.id"), "b": of("customer.name", "invoice.id"), "c": of("invoice.total")},
        ),
        (
            "select (select max(total) from quickbooks.invoice as i where i.id = c.id) as a from quickbooks.customer as c",
            {"a": of("invoice.total")},
        ),
        (
            "select status as a, sum(total) filter (where tax > 0) as b from quickbooks.invoice group by status",
            {"a": of("invoice.status"), "b": of("invoice.total", "invoice.tax")},
        ),
        ("select i.parts.a as a from quickbooks.invoice as i", {"a": of("invoice.parts")}),
        ("with p as (select parts as x from quickbooks.invoice) select x.a as b from p", {"b": of("invoice.parts")}),
        (
            "select row_number() over (partition by status order by id) as n from quickbooks.invoice",
            {"n": of("invoice.status", "invoice.id")},
        ),
    ],
)
def test_a_column_comes_from_what_its_expression_reads(sql: str, expected: dict[str, frozenset[Source]]) -> None:
    assert column_sources(sql, CATALOG) == expected


def test_a_statement_that_cannot_be_followed_has_no_lineage_and_does_no_harm() -> None:
    assert column_sources("select from where", CATALOG) == {}


def test_the_lineage_is_kept_until_the_statement_or_what_it_reads_is_another(tmp_path: Path) -> None:
    reads = {("quickbooks", "invoice")}
    with duckdb.connect(tmp_path / "w.duckdb") as connection:

        def kept(sql: str, catalog: dict[str, dict[str, dict[str, str]]] = CATALOG) -> dict[str, frozenset[Source]]:
            return keep_lineage(connection, "things", sql, reads, catalog)

        first, second = "select id as a, 1 as one from quickbooks.invoice", "select tax as a from quickbooks.invoice"
        assert kept(first) == {"a": of("invoice.id"), "one": of()}
        # What is kept is not read anew.
        connection.execute(f"UPDATE {COLUMN_LINEAGE.qualified_name} SET source_column = 'total' WHERE column_name = 'a'")
        assert kept(first) == {"a": of("invoice.total"), "one": of()}
        assert kept(second) == {"a": of("invoice.tax")}
        narrow = {"quickbooks": {"invoice": {"tax": "DECIMAL(18,2)"}}}
        assert kept(second, narrow) == {"a": of("invoice.tax")}
        assert connection.execute(f"SELECT count(*) FROM {COLUMN_LINEAGE.qualified_name}").fetchall() == [(1,)]
        assert kept("select nonsense(") == kept("select nonsense(") == {}
        assert set(catalog_of(connection)["pipeline"]) == {"column_lineage"}
