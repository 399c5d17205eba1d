"""Month end as Dagster runs it: several months in one run, one month that finance is told of, and the schedule that starts it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import polars as pl
import pytest

from qbsf_pipeline.notices import stopped_flows
from qbsf_pipeline.reconciliation.assets import MONTHS
from qbsf_pipeline.reconciliation.automation import OWN as ASSETS
from qbsf_pipeline.reconciliation.automation import months_due
from qbsf_pipeline.reconciliation.months import after, before, due_at, key_of
from qbsf_pipeline.reconciliation.producing import report_of
from qbsf_pipeline.reconciliation.tables import BRIDGE, CASES, DOCUMENTS, STILL_OPEN, TOTALS
from qbsf_pipeline.sandbox.server import start_sandbox
from qbsf_pipeline_tests.pipeline import Pipeline, closed, materialized

CHECKS = {"bridge_adds_up", "every_record_is_counted_once", "nothing_is_unexplained"}
OWN = {f"reconciliation/{name}" for name in ("cases", "documents", "bridge", "totals", "still_open", "report")}


@dataclass(frozen=True)
class Story:
    """A back-fill, the same month twice, and a month once more after an invoice in it was deleted by hand in the warehouse.

    ``told``: texts of month end in the outbox after each run.
    """

    pipeline: Pipeline
    months: list[date]
    backfill: dg.ExecuteInProcessResult
    single: dg.ExecuteInProcessResult
    again: dg.ExecuteInProcessResult
    told: list[int]
    due: list[object]


def run(pipeline: Pipeline, first: date, last: date | None = None, job: str = "reconcile") -> dg.ExecuteInProcessResult:
    about: dict[str, Any] = {"partition_key": key_of(first)}
    if last is not None:
        edges = {"start": first, "end": last}
        about = {"tags": {f"dagster/asset_partition_range_{edge}": key_of(month) for edge, month in edges.items()}}
    return pipeline.definitions.resolve_job_def(job).execute_in_process(
        run_config={"loggers": {"console": {}}}, instance=pipeline.instance, raise_on_error=False, **about
    )


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    home = tmp_path_factory.mktemp("month end") / "home"
    with (
        pytest.MonkeyPatch.context() as patch,
        start_sandbox(home / "services") as sandbox,
        Pipeline(home, patch, sandbox, dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("instance")))) as one,
    ):
        one.control.options(slack={"rate_limit": False})
        today = one.doors.now().date()
        last = before(today)
        months = [last]
        while len(months) < 5:
            months.insert(0, before(months[0]))
        told: list[int] = []

        def ran(*about: Any, **more: Any) -> dg.ExecuteInProcessResult:
            done = run(one, *about, **more)
            told.append(sum("won against invoiced" in str(message) for message in one.control.messages()))
            return done

        due = [one.tick_schedule("month_end")]
        backfill = ran(months[0], months[-1])
        single = ran(last)
        again = ran(last, job="reconcile_again")
        due.append(one.tick_schedule("month_end"))
        yield Story(one, months, backfill, single, again, told, due)


def test_a_back_fill_of_many_months_is_one_run_and_each_month_has_its_rows_and_its_report(story: Story) -> None:
    assert story.backfill.success
    assert materialized(story.backfill) >= OWN
    partitions = [
        event.partition
        for event in story.backfill.get_asset_materialization_events()
        if event.asset_key == dg.AssetKey(["reconciliation", "report"])
    ]
    assert sorted(str(one) for one in partitions) == [key_of(month) for month in story.months]
    totals = story.pipeline.table(TOTALS)
    assert set(totals.get_column("month")) <= set(story.months)
    assert totals.get_column("deals").sum() > 0
    for month in story.months:
        folder = story.pipeline.home / "reports" / "reconciliation" / key_of(month)
        assert (folder / f"reconciliation-{key_of(month)}.xlsx").exists()
        assert story.pipeline.doors.state.month_end_reports.newest(month) is not None


def test_a_month_carries_what_is_still_open_of_the_months_before_and_writes_no_row_of_theirs(story: Story) -> None:
    carried = story.pipeline.table(STILL_OPEN)
    cases = story.pipeline.table(CASES)
    assert (carried.get_column("month") > carried.get_column("case_month")).all()
    assert set(cases.get_column("month")) <= set(story.months)
    last = story.months[-1]
    earlier = carried.filter((pl.col("month") == last) & pl.col("case_month").is_in(story.months))
    acted_on = cases.filter((pl.col("month") < last) & (pl.col("acts") != "nobody") & (pl.col("difference") != 0))
    assert set(earlier.filter(pl.col("difference") != 0).get_column("case_key")) == set(acted_on.get_column("case_key"))
    assert earlier.height
    state = story.pipeline.doors.state
    newest = state.month_end_reports.newest(last)
    assert newest is not None
    shown = report_of(state, newest, ZoneInfo("UTC")).carried
    assert shown.height == carried.filter(pl.col("month") == last).height


def test_the_checks_look_at_the_arithmetic_and_at_every_record_that_was_read(story: Story) -> None:
    found = {one.check_name: one for one in story.backfill.get_asset_check_evaluations()}
    assert set(found) >= CHECKS
    assert not closed(story.backfill) & {"bridge_adds_up", "every_record_is_counted_once"}
    documents = story.pipeline.table(DOCUMENTS).filter(pl.col("counted"))
    totals, cases, bridge = (story.pipeline.table(table) for table in (TOTALS, CASES, BRIDGE))
    assert totals.get_column("deals").sum() == documents.filter(pl.col("kind") == "deal").height
    assert totals.get_column("won").sum() - totals.get_column("invoiced").sum() == bridge.get_column("amount").sum()
    assert cases.select("month", "currency", "case_key").is_unique().all()


def test_each_month_shows_its_figures_its_bridge_and_its_files_in_the_ui(story: Story) -> None:
    (event,) = [
        one
        for one in story.single.get_asset_materialization_events()
        if one.asset_key == dg.AssetKey(["reconciliation", "report"])
    ]
    metadata = event.materialization.metadata
    last = key_of(story.months[-1])
    assert event.partition == last
    assert str(metadata["workbook"].value).endswith(f"reports/reconciliation/{last}/reconciliation-{last}.xlsx")
    assert str(metadata["page"].value).startswith("file:///")
    assert "| **Won** |" in str(metadata["bridge"].value)
    (cases,) = [
        one
        for one in story.single.get_asset_materialization_events()
        if one.asset_key == dg.AssetKey(["reconciliation", "cases"])
    ]
    rows = story.pipeline.table(CASES).filter(pl.col("month") == story.months[-1]).height
    assert cases.materialization.metadata["dagster/partition_row_count"].value == rows


def test_finance_is_told_of_one_month_once_and_of_no_back_fill(story: Story) -> None:
    assert story.single.success
    assert story.again.success
    assert story.told == [0, 1, 1]


def test_a_report_that_says_the_same_is_not_kept_again(story: Story) -> None:
    reports = story.pipeline.doors.state.month_end_reports
    assert [len(reports.list(month)) for month in story.months] == [1] * len(story.months)


def test_the_schedule_asks_for_last_month_until_its_report_is_made(story: Story) -> None:
    today = story.pipeline.doors.now().date()
    first, second = story.due
    late = today.replace(day=1) + timedelta(days=4)
    # Before the first business day nothing is due yet.
    assert isinstance(first, dg.RunRequest) or today <= late
    if isinstance(first, dg.RunRequest):
        assert first.partition_key == key_of(story.months[-1])
    assert isinstance(second, dg.SkipReason)


def test_the_running_month_is_a_partition_and_the_next_is_not(story: Story) -> None:
    today = story.pipeline.doors.now().date()
    keys = MONTHS.get_partition_keys()
    assert key_of(today) in keys
    assert key_of(after(after(today))) not in keys


def test_a_gate_that_is_closed_stops_the_report_and_nobody_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, story: Story
) -> None:
    """A total that does not add up, put into the warehouse behind the program's back."""
    assert {"/".join(key.path) for key in ASSETS} == OWN
    totals = story.pipeline.table(TOTALS)
    spoilt = totals.with_columns(won=pl.col("won") + 1)
    story.pipeline.put(TOTALS, spoilt)
    try:
        ran = story.pipeline.definitions.resolve_job_def("reconcile_again").execute_in_process(
            run_config={"loggers": {"console": {}}},
            instance=story.pipeline.instance,
            raise_on_error=False,
            partition_key=key_of(story.months[0]),
        )
    finally:
        story.pipeline.put(TOTALS, totals)
    assert not ran.success
    assert "bridge_adds_up" in closed(ran)
    assert "reconciliation/report" not in materialized(ran)
    assert stopped_flows(story.pipeline.instance, ran.run_id) == ["reconciliation"]


def test_a_month_that_nobody_reconciled_is_made_up_for_once_month_end_is_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Pipeline(tmp_path / "home", monkeypatch)
    assert months_due(one.doors, first_too=False) == []
    reports, now, at = one.doors.state.month_end_reports, one.doors.now(), one.settings.rules.schedules.month_end_at
    last = before(now.date())
    made = before(before(before(last)))
    computed = due_at(made, at, (), ZoneInfo("UTC")) + timedelta(hours=1)
    reports.keep(made, "a", b"", {"totals": {}, "closed": False}, produced_at=computed, computed_at=computed, now=computed)
    expected = [month for month in (after(made), before(last), last) if due_at(month, at, (), ZoneInfo("UTC")) <= now]
    assert months_due(one.doors, first_too=False) == expected
    assert len(expected) >= 2
