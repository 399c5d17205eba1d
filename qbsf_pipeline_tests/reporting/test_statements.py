"""The files in ``sql/``: a head that says what a row is, a statement that agrees with it, in the order they are needed."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

from qbsf_pipeline.errors import ConfigurationError
from qbsf_pipeline.reporting import statements
from qbsf_pipeline.reporting.build import READABLE
from qbsf_pipeline.reporting.statements import load_statements, metric_definitions

GOOD = """-- reporting.{name}
-- A row is one thing.
-- In USD.
--
-- @key: id
--
-- id: what it is
-- total: how much it's worth: all of it
select id, total from {source}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(statements, "folder", lambda: tmp_path)
    return tmp_path


def put(folder: Path, name: str, source: str = "quickbooks.invoice", text: str = GOOD) -> None:
    (folder / f"{name}.sql").write_text(text.format(name=name, source=source), encoding="utf-8")


def refused() -> str:
    with pytest.raises(ConfigurationError) as error:
        load_statements()
    (problem,) = error.value.problems
    return problem


def test_the_packaged_statements_say_what_each_row_and_column_is() -> None:
    found = {statement.name: statement for statement in load_statements()}
    assert {"invoices", "pipeline_health"} <= set(found)
    for statement in found.values():
        assert statement.description.startswith("A row is ")
        assert all(len(meaning) > 5 for meaning in statement.columns.values())
        assert statement.reads
        assert set(statement.head.key) <= set(statement.columns)


def test_another_reader_of_sql_finds_the_same_tables_and_columns() -> None:
    for statement in load_statements():
        tree = sqlglot.parse_one(statement.sql, dialect="duckdb")
        assert isinstance(tree, exp.Query)
        inner = {each.alias_or_name for each in tree.find_all(exp.CTE)}
        tables = [table for table in tree.find_all(exp.Table) if isinstance(table.this, exp.Identifier)]
        assert statement.reads == {(table.db, table.name) for table in tables if table.db or table.name not in inner}
        assert list(statement.columns) == [column for column in tree.named_selects if column != "*"]


def test_every_table_that_a_statement_reads_can_be_made_empty_where_it_is_missing() -> None:
    found = load_statements()
    known = {(table.schema, table.name) for table in READABLE} | {("reporting", statement.name) for statement in found}
    assert {read for statement in found for read in statement.reads} <= known


def test_every_measure_says_what_it_is_and_where_its_formula_comes_from() -> None:
    found = metric_definitions(load_statements())
    assert found.height > 20
    assert found.drop("unit").drop_nulls().height == found.height
    assert found.select("table_name", "metric").is_unique().all()


def test_a_head_is_prose_and_one_line_for_each_column(folder: Path) -> None:
    put(folder, "things")
    (statement,) = load_statements()
    assert statement.description == "A row is one thing. In USD."
    assert statement.columns == {"id": "what it is", "total": "how much it's worth: all of it"}
    assert statement.sql.startswith("select id")
    assert statement.reads == {("quickbooks", "invoice")}


def test_a_statement_comes_after_those_that_it_reads(folder: Path) -> None:
    put(folder, "a_last", "reporting.b_middle")
    put(folder, "b_middle", "reporting.c_first")
    put(folder, "c_first")
    assert [statement.name for statement in load_statements()] == ["c_first", "b_middle", "a_last"]


@pytest.mark.parametrize(
    ("select", "reads"),
    [
        ("select id, total from a.b union all by name select total, id from c.d", {("a", "b"), ("c", "d")}),
        ("with a as (select * from c.d) select id, max(total) as total from a.b as x group by all", {("a", "b"), ("c", "d")}),
        ('select x.id, (select max(n) from "S é"."T y") as total from a.b as x', {("a", "b"), ("S é", "T y")}),
        (
            "with recursive r as (select 1 as id union all select id + 1 from r) select id, total from r join a.b using (id)",
            {("a", "b")},
        ),
        (
            "select id, case when total > 0 then 1 end as total from a.b where exists (select 1 from c.d)",
            {("a", "b"), ("c", "d")},
        ),
    ],
)
def test_every_table_of_a_statement_is_found_wherever_it_stands(folder: Path, select: str, reads: set[tuple[str, str]]) -> None:
    put(folder, "things", text=GOOD.replace("select id, total from {source}", select))
    assert load_statements()[0].reads == reads


def test_names_inside_a_statement_are_not_tables_that_it_reads(folder: Path) -> None:
    text = GOOD.replace("select id, total from {source}", "with big as (select * from {source}) select id, total from big")
    put(folder, "things", text=text)
    assert load_statements()[0].reads == {("quickbooks", "invoice")}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("-- total: how much it's worth: all of it\n", "", "disagree about total"),
        ("select id, total", "select id", "disagree about total"),
        ("select id, total", "select total, id", "disagree about their order"),
        ("select id, total from {source}", "delete from {source}", "must be one select"),
        ("select id, total from {source}", "select id, total from {source}; select 1", "must be one select"),
        ("select id, total from {source}", "select id, total, from {source} where", "is not SQL: "),
        ("select id, total from {source}", "", "is not SQL: there is no statement in it"),
        ("-- @key: id\n", "", "has no key"),
    ],
)
def test_a_head_that_disagrees_with_its_select_is_refused(folder: Path, old: str, new: str, expected: str) -> None:
    put(folder, "things", text=GOOD.replace(old, new))
    problem = refused()
    assert problem.startswith("sql/things.sql: ")
    assert expected in problem


@pytest.mark.parametrize("text", ["select from where (", "", "select 1 as id; select 2 as id", "-- only a head\n"])
def test_a_file_that_is_not_one_statement_is_one_line_that_names_it(folder: Path, text: str) -> None:
    (folder / "broken.sql").write_text(text, encoding="utf-8")
    assert refused().startswith("sql/broken.sql: ")


def test_a_table_that_is_read_has_a_schema_and_a_function_is_no_table(folder: Path) -> None:
    put(folder, "things", "generate_series(1, 9) as t(id, total)")
    assert load_statements()[0].reads == frozenset()
    put(folder, "things", "invoice")
    assert refused() == "sql/things.sql: name the schema of invoice"


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ("-- @refers: id to deals.id", "there is no sql/deals.sql"),
        ("-- @refers: id to others.number", "sql/others.sql has no such column"),
        ("-- @balances: sum(total) = others.sum(amount)", "sql/others.sql has no such column"),
        ("-- @balances: sum(total) by id = others.sum(total) by day", "sql/others.sql has no such column"),
    ],
)
def test_what_points_to_another_table_must_find_its_column(folder: Path, declared: str, expected: str) -> None:
    put(folder, "others")
    put(folder, "things", text=GOOD.replace("-- @key: id\n", f"-- @key: id\n{declared}\n"))
    problem = refused()
    assert problem.startswith(f"sql/things.sql: {declared.split()[1].rstrip(':')} names ")
    assert expected in problem


def test_two_statements_that_read_each_other_are_refused(folder: Path) -> None:
    put(folder, "a", "reporting.b")
    put(folder, "b", "reporting.a")
    assert "sql/a.sql" in refused()
