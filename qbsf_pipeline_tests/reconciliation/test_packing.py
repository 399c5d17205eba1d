"""A report that is packed is the same report when it is unpacked, and the same digest means the same report."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import date, timedelta
from decimal import Decimal
from io import BytesIO
from typing import Any
from zipfile import ZipFile
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from qbsf_pipeline.reconciliation.packing import digest_of, packed, unpacked
from qbsf_pipeline.reconciliation.report import Report
from qbsf_pipeline_tests.reconciliation.reports import CLOSING, PRODUCED, case, changed, document, report

DENVER = ZoneInfo("America/Denver")
CASES = [
    case(1),
    case(2, "unexplained", "999999999999999.99", "0.01", deal="=cmd|' /C calc'!A0 \u202eGröße 😀\n", currency="EUR"),
    case(3, "invoice_without_deal", "0.00", "12.50", opportunity_id=None, deal=None, numbers="", owner="\\N"),
]
CARRIED = [case(9, "not_invoiced", "70.00", "0.00", month=date(2026, 1, 1), first_seen_on=date(2026, 2, 2))]
FULL = report(CASES, [document(1), document(2, amount=Decimal("-3.10"))], [changed(1)], CLOSING, carried=CARRIED)


def same(one: Report, other: Report) -> None:
    for each in fields(Report):
        mine, theirs = getattr(one, each.name), getattr(other, each.name)
        if isinstance(mine, pl.DataFrame):
            assert_frame_equal(mine, theirs)
        else:
            assert mine == theirs


@pytest.mark.parametrize("made", [FULL, report([]), report(CASES)], ids=["closed", "empty", "open"])
def test_a_packed_report_comes_back_as_it_was(made: Report) -> None:
    same(unpacked(packed(made), made.produced_at, DENVER), made)


def test_neither_the_time_nor_the_order_of_rows_makes_another_report() -> None:
    later = replace(FULL, produced_at=PRODUCED + timedelta(days=3), cases=FULL.cases.reverse())
    assert digest_of(later) == digest_of(FULL)
    assert digest_of(unpacked(packed(FULL), PRODUCED, DENVER)) == digest_of(FULL)


@pytest.mark.parametrize(
    "change",
    [
        {"closing": None},
        {"company": "Northwind Traders Ltd"},
        {"cases": FULL.cases.with_columns(accepted_by=pl.lit("Ana"))},
        {"cases": FULL.cases.with_columns(pl.col("numbers").replace({"": None}))},
        {"cases": FULL.cases.with_columns(pl.col("owner").replace({"\\N": None}))},
        {"documents": FULL.documents.head(1)},
        {"changes": FULL.changes.clear()},
        {"carried": FULL.carried.clear()},
        {"totals": FULL.totals.with_columns(pl.col("won") + Decimal("0.01"))},
    ],
    ids=str,
)
def test_whatever_is_said_differently_makes_another_report(change: dict[str, Any]) -> None:
    assert digest_of(replace(FULL, **change)) != digest_of(FULL)


def test_a_column_that_an_older_version_did_not_have_is_empty() -> None:
    older = replace(FULL, cases=FULL.cases.drop("amounts").with_columns(pl.lit(1).alias("gone since")))
    found = unpacked(packed(older), PRODUCED, DENVER).cases
    assert found.columns == FULL.cases.columns
    assert found.get_column("amounts").null_count() == found.height


def test_a_report_kept_before_anything_was_carried_is_read_and_keeps_its_digest() -> None:
    made, older = report(CASES), BytesIO()
    with ZipFile(BytesIO(packed(made))) as new, ZipFile(older, "w") as old:
        for name in new.namelist():
            if name != "carried.parquet":
                old.writestr(name, new.read(name))
    found = unpacked(older.getvalue(), made.produced_at, DENVER)
    same(found, made)
    # What the version before this one made of the same report.
    assert digest_of(found) == digest_of(made) == "da3c33e94c5e6292577a03dada4318621914e84e99953b426354f4036544ebfc"
