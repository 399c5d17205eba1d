"""The catalogue of kinds, as the workbook and the score rely on it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from qbsf_pipeline.cleansing.findings import HIGHEST_COST, KINDS, Finding, Kind


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_every_kind_names_a_sheet_and_says_why_and_what_to_do(kind: Kind) -> None:
    assert 0 < len(kind.title) <= 31
    assert not set(kind.title) & set("[]:*?/\\'")
    assert kind.why.endswith(".")
    assert kind.repair.endswith(".")
    assert Decimal(0) < kind.cost <= HIGHEST_COST[kind.severity]


def test_no_two_kinds_share_a_sheet() -> None:
    titles = [kind.title.casefold() for kind in KINDS.values()] + ["summary", "mended"]
    assert len(titles) == len(set(titles))


def test_the_id_comes_from_kind_system_field_and_records_in_any_order() -> None:
    kind = KINDS["duplicate_customers"]
    one = Finding(kind, "error", "quickbooks", "Customer", "2", "B", "x.", members=("2", "1"))
    same = Finding(kind, "hint", "quickbooks", "Customer", "1", "A", "y.", members=("1", "2"), deals=9)
    other = Finding(kind, "error", "quickbooks", "Customer", "1", "A", "x.", members=("1", "3"))
    assert one.finding_id == same.finding_id != other.finding_id
    assert one.finding_id.startswith("C-")
    assert len(one.finding_id) == 10
