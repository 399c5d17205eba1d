"""The event log of a pass is Dagster's own, only kept open."""

from __future__ import annotations

from pathlib import Path

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


def test_another_storage_is_left_as_it_is() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        before = type(instance.event_log_storage)
        keep_open(instance)
        assert type(instance.event_log_storage) is before
