"""Closing a month: when it may be closed, and what is told of what changed since."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from qbsf_pipeline.reconciliation.closing import changes_since, why_not_to_close
from qbsf_pipeline.reconciliation.report import CHANGES, REPORT_CASES
from qbsf_pipeline_tests.reconciliation.reports import case, report


def cases(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=REPORT_CASES, orient="row")


@pytest.mark.parametrize(
    ("computed_on", "unexplained", "anyway", "because"),
    [
        (date(2026, 4, 1), False, False, None),
        (date(2026, 3, 31), False, False, "was made on 31 Mar 2026, before the month was over"),
        (date(2026, 3, 31), False, True, "was made on 31 Mar 2026, before the month was over"),
        (date(2026, 4, 9), True, False, "1 difference is unexplained in March 2026"),
        (date(2026, 4, 9), True, True, None),
    ],
)
def test_a_month_is_closed_when_it_is_over_and_explained(
    computed_on: date, unexplained: bool, anyway: bool, because: str | None
) -> None:
    rows = [case(1), *([case(2, "unexplained", "5.00", "4.00")] if unexplained else [])]
    found = why_not_to_close(report(rows), computed_on, with_unexplained=anyway)
    assert because is None if found is None else because is not None and because in found


def test_what_was_accepted_does_not_keep_a_month_open() -> None:
    accepted = report([case(2, "unexplained", "5.00", "4.00", accepted_by="Ana")])
    assert why_not_to_close(accepted, date(2026, 4, 9), with_unexplained=False) is None


def test_nothing_has_changed_where_class_and_amounts_are_what_they_were() -> None:
    then = cases(case(1), case(2, "unexplained", "5.00", "4.00"))
    now = cases(case(2, "unexplained", "5.00", "4.00", deal="Renamed", explanation="Said otherwise."), case(1))
    changes = changes_since(then, now)
    assert changes.is_empty()
    assert changes.schema == CHANGES


def test_every_case_that_is_new_gone_or_changed_is_a_change_with_then_and_now() -> None:
    then = cases(case(1), case(2), case(3))
    now = cases(case(1, "unexplained", "120.00", "100.00", explanation="The amount was raised."), case(2), case(4))
    changes = {row["case_key"][-1]: row for row in changes_since(then, now).to_dicts()}
    assert {name: row["change"] for name, row in changes.items()} == {"1": "changed", "3": "gone", "4": "new"}
    first = changes["1"]
    assert (first["class_then"], first["class_now"], first["won_then"], first["won_now"]) == (
        "matched",
        "unexplained",
        Decimal("100.00"),
        Decimal("120.00"),
    )
    assert first["explanation"] == "Was matched, is unexplained; won 100.00 then, 120.00 now. The amount was raised."
    assert changes["3"]["won_now"] is None
    assert changes["3"]["explanation"] == "It is not in this month any more."
    assert changes["4"]["class_then"] is None
    assert changes["4"]["explanation"].startswith("It was not in the report of then. ")


def test_what_was_billed_in_other_months_is_a_change_too() -> None:
    (row,) = changes_since(cases(case(1, amounts="a")), cases(case(1, amounts="b", explanation=None))).to_dicts()
    assert row["change"] == "changed"
    assert row["explanation"] == "What was billed in other months changed."


def test_the_same_case_in_two_currencies_is_compared_currency_by_currency() -> None:
    then = cases(case(1), case(1, currency="EUR"))
    now = cases(case(1), case(1, "unexplained", "100.00", "99.00", currency="EUR"))
    assert changes_since(then, now).select("currency", "change").rows() == [("EUR", "changed")]
