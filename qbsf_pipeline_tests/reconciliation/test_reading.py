"""What month end reads of deals: how often one is billed is what its schedule says, whatever that was made from."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pytest

from qbsf_pipeline.invoices.recurring.tables import BILLING_SCHEDULES
from qbsf_pipeline.reconciliation.reading import known_of, read_inputs
from qbsf_pipeline.salesforce import objects as salesforce
from qbsf_pipeline.state.database import State
from qbsf_pipeline.warehouse.connection import replace_rows

QUOTED, WORDED, PLAIN = "006000000000001AAA", "006000000000002AAA", "006000000000003AAA"


@pytest.fixture
def warehouse() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


def period(number: int, **values: str) -> dict[str, object]:
    return {"opportunity_id": QUOTED, "period": number, "kind": "period", "status": "planned", **values}


def test_a_deal_with_a_schedule_recurs_although_it_says_nothing_and_others_as_they_say(
    warehouse: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    deals = [
        {"id": QUOTED, "is_won": True},
        {"id": WORDED, "is_won": True, "billing_frequency": "Monthly", "billing_periods": Decimal(12)},
        {"id": PLAIN, "is_won": True},
    ]
    replace_rows(warehouse, salesforce.OPPORTUNITY, salesforce.OPPORTUNITY.frame(deals))
    rows = [period(0), period(1), period(2, kind="once"), period(3, status="ended")]
    replace_rows(warehouse, BILLING_SCHEDULES, BILLING_SCHEDULES.frame(rows))
    with State.open(f"sqlite:///{tmp_path / 'state.sqlite'}", tmp_path) as state:
        known = known_of(state)
    read = read_inputs(warehouse, known, ZoneInfo("UTC"), None, "").deals
    told = read.select("opportunity_id", "billing_frequency", "billing_periods").sort("opportunity_id").rows()
    assert told == [(QUOTED, "by schedule", Decimal(2)), (WORDED, "Monthly", Decimal(12)), (PLAIN, None, None)]
