"""The files in ``sql/``: a head that says what a row is, a statement that agrees with it, in the order they are needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from qbsf_pipeline.errors import ConfigurationError
from qbsf_pipeline.reporting import statements
from qbsf_pipeline.reporting.statements import load_statements

GOOD = """-- reporting.{name}
-- A row is one thing.
-- In USD.
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
        assert all(
            schema in ("salesforce", "quickbooks", "receivables", "pipeline", "reporting", "invoices", "customers")
            for schema, _ in statement.reads
        )


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


def test_two_statements_that_read_each_other_are_refused(folder: Path) -> None:
    put(folder, "a", "reporting.b")
    put(folder, "b", "reporting.a")
    assert "sql/a.sql" in refused()
