"""The checks of month end: what closes them, and that what they name can be found."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import polars as pl
import pytest

from qbsf_pipeline.reconciliation.checks import bridge_adds_up, every_record_is_counted_once, nothing_is_unexplained
from qbsf_pipeline.reconciliation.report import Report
from qbsf_pipeline_tests.reconciliation.reports import MONTH, case, document, report

CENT = Decimal("0.01")
SOUND = report(
    [case(1), case(2, "unexplained", "250.00", "100.00"), case(3, "not_invoiced", "70.00", "0.00", invoice_ids=None)],
    [
        *(
            document(number, kind="deal", document_id=f"006-{number}", amount=Decimal(won))
            for number, won in ((1, 100), (2, 250), (3, 70))
        ),
        document(1),
        document(2),
        document(3, kind="credit_memo", counted=False),
    ],
)
READ = {(MONTH, "deal"): 3, (MONTH, "invoice"): 2}


def adds_up(made: Report) -> bool:
    return bridge_adds_up(made.totals, made.bridge, made.cases).open


def test_a_sound_month_passes() -> None:
    assert adds_up(SOUND)
    assert bridge_adds_up(SOUND.totals.clear(), SOUND.bridge.clear(), SOUND.cases.clear()).open
    assert every_record_is_counted_once(SOUND.documents, SOUND.totals, SOUND.cases, READ).open


@pytest.mark.parametrize("name", ["won", "invoiced", "explained", "unexplained", "cases"])
def test_a_total_that_is_off_by_the_least_closes_the_bridge(name: str) -> None:
    step = 1 if name == "cases" else CENT
    assert not adds_up(replace(SOUND, totals=SOUND.totals.with_columns(pl.col(name) + step)))


@pytest.mark.parametrize("name", ["won", "invoiced", "difference"])
def test_a_case_that_is_off_by_a_cent_closes_the_bridge(name: str) -> None:
    first = pl.col("case_key") == case(1)["case_key"]
    off = SOUND.cases.with_columns(pl.when(first).then(pl.col(name) + CENT).otherwise(pl.col(name)).alias(name))
    assert not adds_up(replace(SOUND, cases=off))


def test_a_step_that_is_missing_or_off_closes_the_bridge_and_names_month_and_currency() -> None:
    outcome = bridge_adds_up(SOUND.totals, SOUND.bridge.filter(pl.col("class") != "unexplained"), SOUND.cases)
    assert not outcome.open
    assert "2026-03 USD" in outcome.text
    assert not adds_up(replace(SOUND, bridge=SOUND.bridge.with_columns(pl.col("amount") + CENT)))
    assert not adds_up(replace(SOUND, totals=SOUND.totals.clear()))


def test_a_difference_that_is_called_explained_and_is_not_closes_the_bridge() -> None:
    moved = SOUND.totals.with_columns(pl.col("explained") + CENT, pl.col("unexplained") - CENT)
    assert not adds_up(replace(SOUND, totals=moved))


def test_two_errors_that_cancel_each_other_in_the_sum_are_found_in_the_cases() -> None:
    sign = pl.when(pl.col("case_key") == case(1)["case_key"]).then(CENT).otherwise(-CENT)
    two = pl.col("case_key").is_in([case(1)["case_key"], case(2)["case_key"]])
    off = SOUND.cases.with_columns(difference=pl.when(two).then(pl.col("difference") + sign).otherwise(pl.col("difference")))
    assert not adds_up(replace(SOUND, cases=off))


@pytest.mark.parametrize(
    ("documents", "read", "names"),
    [
        (pl.concat([SOUND.documents, SOUND.documents.head(1)]), READ, "deal 006-1 is counted more than once"),
        (SOUND.documents.filter(pl.col("document_id") != "1002"), READ, "2 invoices of 2026-03 were read, 1 are counted"),
        (SOUND.documents, {**READ, (MONTH, "deal"): 4}, "4 deals of 2026-03 were read, 3 are counted"),
        (
            SOUND.documents.with_columns(pl.when(pl.col("kind") == "deal").then(pl.col("amount") + CENT).otherwise("amount")),
            READ,
            f"case {case(1)['case_key']} is not the sum of its documents",
        ),
    ],
    ids=["twice", "lost", "never there", "amount"],
)
def test_a_record_that_is_lost_or_doubled_is_named(
    documents: pl.DataFrame, read: dict[tuple[date, str], int], names: str
) -> None:
    outcome = every_record_is_counted_once(documents, SOUND.totals, SOUND.cases, read)
    assert not outcome.open
    assert names in outcome.text


def test_a_deal_that_moved_to_a_month_that_was_computed_later_is_not_counted_twice() -> None:
    april = date(2026, 4, 1)
    moved = pl.concat([SOUND.documents, SOUND.documents.head(1).with_columns(month=pl.lit(april))])
    cases = pl.concat(
        [SOUND.cases, SOUND.cases.head(1).with_columns(month=pl.lit(april), invoiced=pl.lit(Decimal(0)))], how="vertical_relaxed"
    )
    assert every_record_is_counted_once(moved, SOUND.totals, cases, {}, [april]).open
    assert not every_record_is_counted_once(moved, SOUND.totals, cases, {}, [MONTH, april]).open


def test_differences_without_a_cause_are_counted_summed_and_named() -> None:
    rows = [case(number, "unexplained", f"{number}.00", "0.00") for number in range(1, 8)]
    outcome = nothing_is_unexplained(report([*rows, case(9, "unexplained", "1.00", "2.00", currency="EUR")]).cases)
    assert not outcome.open
    assert outcome.text.startswith("8 differences are unexplained, -1.00 EUR and 28.00 USD in sum: Deal 7, Deal 6,")
    assert outcome.text.endswith(" and 3 more.")
    assert nothing_is_unexplained(report([case(1), case(2, "not_invoiced", "5.00", "0.00")]).cases).open
