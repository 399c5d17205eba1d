"""The job that an operator starts in the UI: what it makes, and what it never touches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from qbsf_pipeline.cleansing.findings import FINDINGS, SCORES
from qbsf_pipeline.definitions import build
from qbsf_pipeline.settings import load_settings
from qbsf_pipeline.warehouse.preview import column_schema
from qbsf_pipeline_tests.pipeline import clear_environment


@pytest.fixture(autouse=True)
def an_instance_of_our_own(tmp_path: Path) -> Iterator[None]:
    with dg.DagsterInstance.local_temp(str(tmp_path)):
        yield


@pytest.mark.parametrize("mode", ["sandbox", "dry_run", "approve", "live"])
def test_the_job_reads_matches_and_audits_in_every_mode_and_neither_plans_nor_writes(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clear_environment(monkeypatch)
    monkeypatch.setenv("QBSF_MODE", mode)
    made = {key.to_user_string() for key in build(load_settings()).resolve_job_def("cleanse").asset_layer.selected_asset_keys}
    rest = {key for key in made if not key.startswith(("salesforce/", "quickbooks/"))}
    assert rest == {"customers/matches", "cleansing/findings", "cleansing/scores"}
    assert {"salesforce/account", "quickbooks/customer"} <= made


@pytest.mark.parametrize("table", [FINDINGS, SCORES], ids=lambda table: table.name)
def test_every_column_has_a_type_and_a_meaning(table: object) -> None:
    columns = column_schema(table).columns
    assert columns
    assert all(column.type and column.description for column in columns)
