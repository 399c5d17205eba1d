"""The published snapshot: whole or not at all, and open readers keep the one they opened."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from qbsf_pipeline.warehouse.connection import Warehouse, WarehouseBusy
from qbsf_pipeline.warehouse.publish import PublishFailed, publish
from qbsf_pipeline_tests.warehouse.conftest import Holder

Hold = Callable[..., Holder]
COUNT = "SELECT count(*) FROM t"


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    return tmp_path / "published" / "qbsf.duckdb"


def write(warehouse: Warehouse, number: int) -> None:
    with warehouse.transaction() as connection:
        connection.execute(f"CREATE OR REPLACE TABLE t AS SELECT range AS x FROM range({number})")


def read(path: Path) -> int:
    with duckdb.connect(path, read_only=True) as connection:
        return int(connection.execute(COUNT).fetchall()[0][0])


def test_the_snapshot_holds_what_the_warehouse_holds_and_is_no_part_of_it(warehouse: Warehouse, snapshot: Path) -> None:
    write(warehouse, 5)
    assert publish(warehouse, snapshot) == snapshot.stat().st_size
    write(warehouse, 9)
    assert read(snapshot) == 5
    publish(warehouse, snapshot)
    assert read(snapshot) == 9


def test_an_open_reader_keeps_its_snapshot_while_a_new_one_is_published(warehouse: Warehouse, snapshot: Path, hold: Hold) -> None:
    write(warehouse, 5)
    publish(warehouse, snapshot)
    analyst = hold(snapshot, "reader", COUNT)
    assert analyst.first == "5"
    write(warehouse, 9)
    publish(warehouse, snapshot)
    assert analyst.ask() == "5"
    assert hold(snapshot, "reader", COUNT).first == "9"


def test_analysts_on_the_snapshot_do_not_keep_the_pipeline_out(warehouse: Warehouse, snapshot: Path, hold: Hold) -> None:
    write(warehouse, 5)
    publish(warehouse, snapshot)
    hold(snapshot, "reader", COUNT)
    write(warehouse, 6)


def test_publishing_keeps_the_lock_of_the_warehouse(warehouse: Warehouse, snapshot: Path, hold: Hold) -> None:
    write(warehouse, 5)
    with warehouse.connection():
        publish(warehouse, snapshot)
        refused = hold(warehouse.path, "writer", COUNT)
        assert refused.first == ""
        assert refused.process.wait(20) != 0


def test_a_copy_that_fails_leaves_the_old_snapshot_and_no_half_of_a_new_one(warehouse: Warehouse, snapshot: Path) -> None:
    write(warehouse, 5)
    publish(warehouse, snapshot)
    write(warehouse, 9)
    blocked = snapshot.parent / f".{snapshot.name}.{os.getpid()}"
    (blocked / "in the way").mkdir(parents=True)
    (blocked / warehouse.path.name).mkdir()
    with pytest.raises((PublishFailed, OSError)):
        publish(warehouse, snapshot)
    assert read(snapshot) == 5
    assert [path.name for path in snapshot.parent.glob("*.duckdb")] == [snapshot.name]


def test_what_a_killed_publisher_left_is_cleared_away(warehouse: Warehouse, snapshot: Path) -> None:
    write(warehouse, 5)
    snapshot.parent.mkdir()
    (snapshot.parent / f".{snapshot.name}.99999").write_bytes(b"half")
    publish(warehouse, snapshot)
    assert [path.name for path in snapshot.parent.iterdir()] == [snapshot.name]


def test_what_another_publisher_is_writing_stays_as_long_as_it_holds_the_warehouse(
    warehouse: Warehouse, snapshot: Path, hold: Hold
) -> None:
    write(warehouse, 5)
    publish(warehouse, snapshot)
    theirs = snapshot.parent / f".{snapshot.name}.1"
    theirs.write_bytes(b"half")
    hold(warehouse.path, "writer", COUNT)
    with pytest.raises(WarehouseBusy):
        publish(Warehouse(warehouse.path, wait_seconds=0.1), snapshot)
    assert theirs.exists()


def test_a_reader_that_opens_the_snapshot_again_and_again_never_meets_half_a_file(warehouse: Warehouse, snapshot: Path) -> None:
    write(warehouse, 20000)
    publish(warehouse, snapshot)
    script = (
        "import duckdb, select, sys\n"
        "seen = 0\n"
        "print('reading', flush=True)\n"
        "while True:\n"
        "    with duckdb.connect(sys.argv[1], read_only=True) as connection:\n"
        "        assert connection.execute('SELECT count(*), max(x) FROM t').fetchall() == [(20000, 19999)]\n"
        "    seen += 1\n"
        "    if select.select([sys.stdin], [], [], 0)[0]: break\n"
        "print(seen)\n"
    )
    reader = subprocess.Popen(
        [sys.executable, "-c", script, str(snapshot)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert reader.stdout is not None
    assert reader.stdout.readline() == "reading\n"
    for _ in range(12):
        write(warehouse, 20000)
        publish(warehouse, snapshot)
    seen, _ = reader.communicate("\n", timeout=30)
    assert reader.returncode == 0
    assert int(seen) > 0


def test_a_publisher_that_is_killed_at_any_instant_leaves_a_whole_snapshot(warehouse: Warehouse, snapshot: Path) -> None:
    write(warehouse, 200_000)
    publish(warehouse, snapshot)
    for instant in (0.0, 0.004):
        publisher = subprocess.Popen(
            [sys.executable, "-m", "qbsf_pipeline_tests.warehouse.publisher", str(warehouse.path), str(snapshot)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert publisher.stdout is not None
        assert publisher.stdout.readline() == "published\n"
        time.sleep(instant)
        publisher.kill()
        publisher.wait(20)
        assert read(snapshot) == 200_000
    publish(warehouse, snapshot)
    assert [path.name for path in snapshot.parent.iterdir()] == [snapshot.name]
