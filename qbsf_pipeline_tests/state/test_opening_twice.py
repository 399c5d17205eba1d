"""A process that opens the state file again must not weaken the locks it holds (POSIX drops them when any descriptor closes)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sqlalchemy import text

from qbsf_pipeline.state.database import State

_TRY_TO_WRITE = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=0.2, isolation_level=None)
try:
    connection.execute("BEGIN IMMEDIATE")
except sqlite3.OperationalError as error:
    sys.exit(0 if "locked" in str(error) else 2)
sys.exit(1)
"""


def test_opening_the_state_again_keeps_the_lock_of_a_transaction_that_is_under_way(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'state.sqlite'}"
    with State.open(url, tmp_path) as first, first.engine.connect() as connection:
        connection.execute(text("ROLLBACK"))
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        State.open(url, tmp_path).close()
        other_process = subprocess.run([sys.executable, "-c", _TRY_TO_WRITE, str(tmp_path / "state.sqlite")], check=False)
        connection.exec_driver_sql("ROLLBACK")
    assert other_process.returncode == 0, "another process could write while a transaction was under way"
