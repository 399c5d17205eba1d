"""The head of a file of ``sql/``: what it declares is read as it is meant, and what cannot be read is named with its line."""

from __future__ import annotations

import pytest

from qbsf_pipeline.errors import ConfigurationError
from qbsf_pipeline.reporting.heads import AcceptedValues, Balance, Head, Measure, Reference, read_head

COLUMNS = ["-- id: what it is", "-- status: how it stands", "-- total: what it comes to", "-- currency: of total"]


def head_of(*declared: str) -> Head:
    return read_head(["-- reporting.things", "-- A row is one thing.", "--", *declared, "--", *COLUMNS], "things.sql")


def refused(*declared: str) -> list[str]:
    with pytest.raises(ConfigurationError) as error:
        head_of(*declared)
    return list(error.value.problems)


def test_a_head_says_what_must_hold() -> None:
    head = head_of(
        "-- @key: id, currency",
        "-- @required: id",
        "-- @required: total, currency",
        "-- @refers: id to deals.opportunity_id",
        "-- @values: status in live, voided, sent by mail",
        "-- @balances: sum(total) by currency = invoices.sum(total)",
        "-- @balances: sum(total) = reporting.payments.sum(amount)",
        "-- @measure: total | quantity times price | unit: currency | source: Intuit: A/R ageing",
    )
    assert head.description == "A row is one thing."
    assert list(head.columns) == ["id", "status", "total", "currency"]
    assert (head.key, head.required, head.is_view) == (("id", "currency"), ("id", "total", "currency"), False)
    assert head.references == (Reference("id", "deals", "opportunity_id"),)
    assert head.accepted == (AcceptedValues("status", ("live", "voided", "sent by mail")),)
    assert head.balances == (
        Balance("total", ("currency",), "invoices", "total", ("currency",)),
        Balance("total", (), "payments", "amount", ()),
    )
    assert head.measures == (Measure("total", "quantity times price", "currency", "Intuit: A/R ageing"),)


def test_a_line_that_is_indented_goes_on_with_the_one_before() -> None:
    head = read_head(
        [
            "-- reporting.things (view)",
            "-- @measure: total | one",
            "--     and two | source: us",
            "-- total: what it",
            "--     is",
        ],
        "things.sql",
    )
    assert head.measures == (Measure("total", "one and two", "", "us"),)
    assert (head.columns, head.is_view) == ({"total": "what it is"}, True)


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ("-- @kye: id", "@kye is not known"),
        ("-- @key: id total", "@key cannot be read"),
        ("-- @key:", "@key cannot be read"),
        ("-- @key: number", "@key names number"),
        ("-- @required: id, Total", "@required cannot be read"),
        ("-- @refers: id in deals.id", "@refers cannot be read"),
        ("-- @refers: number to deals.id", "@refers names number"),
        ("-- @values: status = live", "@values cannot be read"),
        ("-- @values: status in live,, voided", "@values cannot be read"),
        ("-- @balances: total = invoices.total", "@balances cannot be read"),
        ("-- @balances: sum(total) = invoices.sum(total) by currency", "@balances cannot be read"),
        ("-- @balances: sum(amount) = invoices.sum(total)", "@balances names amount"),
        ("-- @measure: total | a formula", "@measure cannot be read"),
        ("-- @measure: total | source: us", "@measure cannot be read"),
        ("-- @measure: amount | a formula | source: us", "@measure names amount"),
    ],
)
def test_a_declaration_that_cannot_be_read_is_named_with_file_line_and_remedy(declared: str, expected: str) -> None:
    (problem,) = refused(declared)
    assert problem.startswith("sql/things.sql, line 4: ")
    assert expected in problem
    assert len(problem.split(": ")) >= 3


def test_all_that_is_wrong_in_a_head_is_told_at_once() -> None:
    assert [problem.split(": ")[0] for problem in refused("-- @key: x", "-- @values: y in a")] == [
        "sql/things.sql, line 4",
        "sql/things.sql, line 5",
    ]
