"""The event log of a pass is Dagster's own, only kept open and written several events at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import dagster as dg

from qbsf_pipeline.cli.event_log import KeptEventLog, keep_open


@dg.asset
def counted() -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(metadata={"rows": 3})


def test_what_a_pass_logs_is_read_by_dagsters_own_storage(tmp_path: Path) -> None:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        keep_open(instance)
        assert type(instance.event_log_storage) is KeptEventLog
        run_id = dg.materialize([counted], instance=instance).run_id
        kept = [record.event_log_entry.message for record in instance.get_records_for_run(run_id).records]
    with dg.DagsterInstance.local_temp(str(tmp_path)) as other:
        assert type(other.event_log_storage) is not KeptEventLog
        assert [record.event_log_entry.message for record in other.get_records_for_run(run_id).records] == kept
        found = other.get_latest_materialization_event(counted.key)
        assert found is not None
        assert found.asset_materialization is not None
        assert found.asset_materialization.metadata["rows"].value == 3
    assert not [*tmp_path.rglob("*-wal")]


def test_whoever_asks_during_a_run_finds_everything_that_was_said_so_far(tmp_path: Path) -> None:
    asked: list[list[str]] = []

    @dg.multi_asset(specs=[dg.AssetSpec("first"), dg.AssetSpec("second")])
    def several(context) -> Iterator[dg.MaterializeResult[None]]:
        for name in ("first", "second"):
            yield dg.MaterializeResult(asset_key=name)
            records = context.instance.get_records_for_run(context.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
            events = [record.event_log_entry.get_dagster_event().asset_key for record in records.records]
            assert all(context.instance.get_latest_materialization_event(key) for key in events if key is not None)
            asked.append([key.to_user_string() for key in events if key is not None])

    @dg.asset_check(asset="second", blocking=True)
    def sound() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=True, description="2 < 3.")

    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        keep_open(instance)
        ran = dg.materialize([several, sound], instance=instance)
        kinds = [record.event_log_entry.dagster_event_type for record in instance.get_records_for_run(ran.run_id).records]
        key = dg.AssetCheckKey(dg.AssetKey("second"), "sound")
        (check,) = instance.event_log_storage.get_latest_asset_check_execution_by_key([key]).values()
    assert asked == [["first"], ["first", "second"]]
    assert kinds[-1] is dg.DagsterEventType.RUN_SUCCESS
    assert kinds.index(dg.DagsterEventType.STEP_START) < kinds.index(dg.DagsterEventType.ASSET_MATERIALIZATION)
    assert check.event is not None
    evaluation = check.event.asset_check_evaluation
    assert evaluation is not None
    assert evaluation.passed
    assert evaluation.target_materialization_data is not None


def test_what_is_known_of_assets_is_what_dagsters_own_storage_reads(tmp_path: Path) -> None:
    @dg.multi_asset(specs=[dg.AssetSpec("first"), dg.AssetSpec("second", deps=["first"])])
    def several() -> Iterator[dg.MaterializeResult[None]]:
        yield dg.MaterializeResult(asset_key="first", metadata={"rows": 3}, data_version=dg.DataVersion("one"))
        yield dg.MaterializeResult(asset_key="second")

    @dg.asset(deps=["second"])
    def third() -> dg.MaterializeResult[None]:
        return dg.MaterializeResult(data_version=dg.DataVersion("three"))

    keys = [dg.AssetKey(name) for name in ("third", "first", "second", "unheard_of")]
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        keep_open(instance)
        for _ in range(3):
            instance.get_asset_records(keys)
            dg.materialize([several, third], instance=instance)
            known = instance.get_asset_records(keys)
            with dg.DagsterInstance.local_temp(str(tmp_path)) as other:
                assert list(known) == list(other.get_asset_records(keys))
                newest = [other.fetch_materializations(key, limit=1).records[0].storage_id for key in sorted(keys[:3])]
                assert [one.asset_entry.last_materialization_storage_id for one in known] == newest
        third_of_all = known[-1].asset_entry.last_materialization
        assert third_of_all is not None
        made = third_of_all.asset_materialization
        assert made is not None
        assert made.tags is not None
        second = known[1].asset_entry.last_materialization_record
        assert second is not None
        assert made.tags["dagster/input_event_pointer/second"] == str(second.storage_id)


def test_what_another_process_makes_in_between_is_found(tmp_path: Path) -> None:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        keep_open(instance)
        dg.materialize([counted], instance=instance)
        (before,) = instance.get_asset_records([counted.key])
        with dg.DagsterInstance.local_temp(str(tmp_path)) as other:
            theirs = dg.materialize([counted], instance=other).run_id
        (after,) = instance.get_asset_records([counted.key])
    assert after.asset_entry.last_run_id == theirs
    assert after.asset_entry.last_materialization_storage_id != before.asset_entry.last_materialization_storage_id


def test_every_file_is_made_as_dagster_makes_it(tmp_path: Path) -> None:
    def tables(file: Path) -> tuple[set[str], list[Any], list[Any]]:
        with closing(sqlite3.connect(file)) as connection:
            made = {str(row[0]) for row in connection.execute("SELECT name FROM sqlite_master")}
            mode = connection.execute("PRAGMA journal_mode").fetchall()
            return made, connection.execute("SELECT * FROM alembic_version").fetchall(), mode

    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        theirs = dg.materialize([counted], instance=instance).run_id
        keep_open(instance)
        ours = [dg.materialize([counted], instance=instance).run_id for _ in range(2)]
    found = [tables(next(tmp_path.rglob(f"{run_id}.db"))) for run_id in (theirs, *ours)]
    assert found[1] == found[2] == found[0]


def test_another_storage_is_left_as_it_is() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        before = type(instance.event_log_storage)
        keep_open(instance)
        assert type(instance.event_log_storage) is before
