"""The comparison with QuickBooks' own ageing, over HTTP with the sample company."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import dagster as dg
import pytest

from qbsf_pipeline.quickbooks.assets import quickbooks_tables
from qbsf_pipeline.receivables.assets import receivables
from qbsf_pipeline.reporting.assets import pipeline_state, reporting_tables
from qbsf_pipeline.reporting.checks import agrees_with_quickbooks, reporting_checks
from qbsf_pipeline.reporting.history import AR_AGING_HISTORY
from qbsf_pipeline.reporting.tie_out import AR_TIE_OUT
from qbsf_pipeline.resources import DoorsResource, WarehouseResource
from qbsf_pipeline.salesforce.assets import salesforce_tables
from qbsf_pipeline.sandbox.server import start_sandbox
from qbsf_pipeline_tests.pipeline import Pipeline

EVERYTHING = [salesforce_tables, quickbooks_tables, receivables, pipeline_state, reporting_tables, agrees_with_quickbooks]


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    with (
        start_sandbox(tmp_path_factory.mktemp("sandbox")) as sandbox,
        pytest.MonkeyPatch.context() as patch,
        Pipeline(tmp_path_factory.mktemp("home"), patch, sandbox) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def first(pipeline: Pipeline) -> dg.AssetCheckEvaluation:
    """The comparison of the first pass."""
    return run(pipeline, EVERYTHING)


@pytest.fixture
def forgotten(pipeline: Pipeline, first: dg.AssetCheckEvaluation) -> Pipeline:
    """A pass was made, and nothing compared today."""
    pipeline.put(AR_TIE_OUT, AR_TIE_OUT.empty())
    return pipeline


def run(pipeline: Pipeline, assets: list[Any]) -> dg.AssetCheckEvaluation:
    """Make these assets; the outcome of the comparison."""
    result = execute(pipeline, [*assets, agrees_with_quickbooks])
    (found,) = [each for each in result.get_asset_check_evaluations() if each.check_name == "agrees_with_quickbooks"]
    return found


def execute(pipeline: Pipeline, assets: list[Any]) -> dg.ExecuteInProcessResult:
    """Make these assets and checks in one run."""
    warehouse = WarehouseResource(database=str(pipeline.settings.environment.warehouse_path))
    definitions = dg.Definitions(
        assets=[each for each in assets if not isinstance(each, dg.AssetChecksDefinition)],
        asset_checks=list({id(each): each for each in assets if isinstance(each, dg.AssetChecksDefinition)}.values()),
        jobs=[dg.define_asset_job("all", dg.AssetSelection.all() | dg.AssetSelection.all_asset_checks())],
        resources={"doors": DoorsResource(), "warehouse": warehouse},
        executor=dg.in_process_executor,
    )
    return definitions.resolve_job_def("all").execute_in_process(instance=pipeline.instance, raise_on_error=True)


def reports(pipeline: Pipeline) -> int:
    return pipeline.control.call_counts().get(("quickbooks", "report"), 0)


def test_our_ageing_agrees_with_quickbooks_and_asks_once_a_day(pipeline: Pipeline, first: dg.AssetCheckEvaluation) -> None:
    assert first.passed, first.description
    row = pipeline.table(AR_TIE_OUT).row(0, named=True)
    parts = ("invoices", "unapplied_payments", "open_credits", "journal_lines")
    assert row["quickbooks_total"] == sum((row[part] for part in parts), Decimal(0))
    assert row["invoices"] > 0
    assert reports(pipeline) == 1
    again = run(pipeline, [agrees_with_quickbooks])
    assert (again.passed, again.description) == (True, first.description)
    assert reports(pipeline) == 1
    history = pipeline.table(AR_AGING_HISTORY)
    assert history.get_column("as_of").unique().to_list() == [row["as_of"]]
    assert history.get_column("read_at").null_count() == 0


def test_what_quickbooks_knows_and_we_do_not_is_named_by_customer(forgotten: Pipeline) -> None:
    pipeline = forgotten
    invoice = next(each for each in pipeline.control.objects("Invoice") if Decimal(str(each["Balance"])) > 1)
    pipeline.control.receive_payment(invoice["Id"], Decimal("0.01"))
    found = run(pipeline, [agrees_with_quickbooks])
    assert not found.passed
    assert found.severity == dg.AssetCheckSeverity.WARN
    assert f"{invoice['CustomerRef']['name']} -0.01" in str(found.description)
    pipeline.put(AR_TIE_OUT, AR_TIE_OUT.empty())
    assert run(pipeline, EVERYTHING).passed


def test_a_report_that_cannot_be_read_stops_nothing_and_is_asked_for_again(forgotten: Pipeline) -> None:
    pipeline = forgotten
    before = reports(pipeline)
    pipeline.control.fault("quickbooks", "report", "token_expired", times=2)
    found = run(pipeline, [agrees_with_quickbooks])
    assert not found.passed
    assert "could not be read" in str(found.description)
    pipeline.control.clear_faults()
    assert run(pipeline, [agrees_with_quickbooks]).passed
    assert reports(pipeline) > before


def test_tables_that_stay_as_they_are_say_so_and_are_not_looked_at_again(
    pipeline: Pipeline, first: dg.AssetCheckEvaluation
) -> None:
    execute(pipeline, [reporting_tables])
    again = execute(pipeline, [reporting_tables])
    made = [event.step_materialization_data.materialization for event in again.get_asset_materialization_events()]
    found = {one.asset_key.path[-1]: {name: value.value for name, value in one.metadata.items()} for one in made}
    assert {name for name, metadata in found.items() if metadata["rebuilt"]} == set()
    assert not again.get_asset_check_evaluations()
    invoices = found["invoices"]
    assert invoices["dagster/row_count"] > 0
    assert invoices["dagster/column_lineage"].deps_by_column["total"] == [
        dg.TableColumnDep(asset_key=dg.AssetKey(["quickbooks", "invoice"]), column_name="total")
    ]
    with pipeline.doors.warehouse.connection() as connection:
        connection.execute("CREATE OR REPLACE TABLE kept AS SELECT * FROM quickbooks.invoice")
        connection.execute("INSERT INTO quickbooks.invoice BY NAME (SELECT * FROM kept LIMIT 1)")
    broken = execute(pipeline, [reporting_tables])
    told = {(one.asset_key.path[-1], one.check_name) for one in broken.get_asset_check_evaluations() if not one.passed}
    assert ("invoices", "primary_key") in told
    with pipeline.doors.warehouse.connection() as connection:
        connection.execute("CREATE OR REPLACE TABLE quickbooks.invoice AS SELECT * FROM kept")
    mended = execute(pipeline, [reporting_tables])
    assert ("invoices", "primary_key") in {
        (one.asset_key.path[-1], one.check_name) for one in mended.get_asset_check_evaluations() if one.passed
    }


def test_what_the_files_say_holds_in_the_sample_company(pipeline: Pipeline, first: dg.AssetCheckEvaluation) -> None:
    found = execute(pipeline, [reporting_checks]).get_asset_check_evaluations()
    assert len(found) > 50
    assert {f"{one.asset_key}: {one.description}" for one in found if not one.passed} == set()
