"""What earlier reports and people add to the cases: first sight, last month, acceptances; and in which order they are read."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from qbsf_pipeline.reconciliation.decisions import keys_of, most_urgent, to_accept, unexplained_of, with_decisions
from qbsf_pipeline.reconciliation.report import REPORT_CASES
from qbsf_pipeline.reconciliation.tables import CASES
from qbsf_pipeline.state.month_end_differences import Acceptance
from qbsf_pipeline_tests.reconciliation.reports import MONTH, case

ZONE = ZoneInfo("America/Denver")
LATE_IN_THE_EVENING = datetime(2026, 4, 3, 5, 0, tzinfo=UTC)  # the second of April in Denver


def cases(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=REPORT_CASES, orient="row")


def key(number: int, currency: str = "USD") -> tuple[str, str]:
    return currency, case(number)["case_key"]


def acceptance(number: int, amounts: str, by: str = "Ana", reason: str = "agreed") -> Acceptance:
    return Acceptance(MONTH, *key(number), amounts, reason, by, LATE_IN_THE_EVENING)


THREE = cases(case(1), case(2, "unexplained", "100.00", "90.00"), case(3, "rounding", "100.00", "100.01"))


def decided(frame: pl.DataFrame, *accepted: Acceptance, seen: Any = None, before: Any = ()) -> list[dict[str, Any]]:
    return with_decisions(frame.select(list(CASES.polars_schema)), seen or {}, before, accepted, ZONE).to_dicts()


def test_only_what_differs_is_remembered_as_a_difference() -> None:
    assert keys_of(THREE) == {key(2)}


def test_a_difference_says_since_when_it_is_seen_and_whether_it_was_there_last_month() -> None:
    day = date(2026, 4, 1)
    rows = decided(THREE, seen={key(1): day, key(2): day, key(3): day}, before={key(2), key(1)})
    assert [row["first_seen_on"] for row in rows] == [None, day, None]
    assert [row["seen_last_month"] for row in rows] == [False, True, False]


def test_the_same_case_in_another_currency_is_another_difference() -> None:
    two = cases(case(2, "unexplained", currency="EUR", won=Decimal(5)), case(2, "unexplained", won=Decimal(5)))
    rows = decided(two, seen={key(2, "EUR"): date(2026, 4, 1)}, before={key(2)})
    assert [(row["first_seen_on"], row["seen_last_month"]) for row in rows] == [(date(2026, 4, 1), False), (None, True)]


def test_an_acceptance_holds_while_class_and_amounts_stay() -> None:
    amounts = THREE.get_column("amounts").to_list()
    (_, row, _) = decided(THREE, acceptance(2, amounts[1]))
    assert (row["accepted_by"], row["accepted_reason"], row["accepted_on"]) == ("Ana", "agreed", date(2026, 4, 2))
    (_, row, _) = decided(THREE, acceptance(2, "unexplained 100.00 89.99"))
    assert (row["accepted_by"], row["accepted_reason"], row["accepted_on"]) == (None, None, None)


def test_the_last_acceptance_of_a_case_counts() -> None:
    amounts = THREE.get_column("amounts").to_list()
    (_, row, _) = decided(THREE, acceptance(2, amounts[1]), acceptance(2, amounts[1], "Ben", "again"))
    assert (row["accepted_by"], row["accepted_reason"]) == ("Ben", "again")
    (_, row, _) = decided(THREE, acceptance(2, amounts[1]), acceptance(2, "other amounts"))
    assert row["accepted_by"] is None


def test_deciding_twice_is_the_same_as_once() -> None:
    once = with_decisions(THREE, {}, (), [acceptance(2, THREE.get_column("amounts").to_list()[1])], ZONE)
    assert with_decisions(once, {}, (), [], ZONE).get_column("accepted_by").null_count() == 3
    assert once.schema == REPORT_CASES


def test_what_has_no_cause_comes_first_then_what_somebody_acts_on_then_the_largest_and_what_is_accepted_last() -> None:
    frame = cases(
        case(1),
        case(2, "not_invoiced", "50.00", "0.00"),
        case(3, "not_invoiced", "70.00", "0.00"),
        case(4, "credited", "900.00", "0.00"),
        case(5, "unexplained", "10.00", "0.00"),
        case(6, "unexplained", "0.00", "20.00"),
        case(7, "unexplained", "800.00", "0.00", accepted_by="Ana"),
    )
    assert [int(name[-3:]) for name in most_urgent(frame).get_column("case_key")] == [6, 5, 3, 2, 4, 7]
    assert most_urgent(frame, 2).height == 2
    assert unexplained_of(frame).get_column("case_key").to_list() == [case(5)["case_key"], case(6)["case_key"]]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (case(2)["case_key"], 1),
        (f"  {case(2)['case_key']} ", 1),
        (case(2)["opportunity_id"], 1),
        (case(2)["opportunity_id"][:15], 0),
        ("deal:nobody", 0),
        ("", 0),
    ],
)
def test_a_case_is_named_by_its_key_or_the_id_of_its_deal(wanted: str, found: int) -> None:
    rows, problem = to_accept(THREE, wanted)
    assert rows.height == found
    assert (problem is None) is bool(found)


def test_a_deal_is_found_by_its_id_of_fifteen_characters() -> None:
    row = case(2, "unexplained", "5.00", "0.00", case_key="deal:0065g00000000FnAAI")
    rows, problem = to_accept(cases(row), "0065g00000000Fn")
    assert (rows.height, problem) == (1, None)


def test_a_case_that_agrees_cannot_be_accepted() -> None:
    _, problem = to_accept(THREE, case(1)["case_key"])
    assert problem == f"case {case(1)['case_key']} agrees: there is no difference to accept"
