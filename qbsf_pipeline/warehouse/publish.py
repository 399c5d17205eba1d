"""The published snapshot: a copy of the warehouse that analysts open while the pipeline goes on.

Readers keep the file that they opened; a half-written file is never seen. The copy is made by a child process, because a
process that opens and closes a DuckDB file beside its own connection loses its lock on it (POSIX locks).
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from qbsf_pipeline.warehouse.connection import Warehouse


class PublishFailed(Exception):
    """The snapshot could not be written; the previous one stays."""


def publish(warehouse: Warehouse, snapshot: Path) -> int:
    """Replace ``snapshot`` by a copy of the warehouse as it is now. Returns its size in bytes.

    Whoever holds the warehouse is the only one who publishes: what a killed publisher left is cleared away, and nothing of one
    that is at work.

    Raises:
        PublishFailed: the copy could not be made (disk full, no permission).
        WarehouseBusy: another process keeps the warehouse.
    """
    snapshot.parent.mkdir(parents=True, exist_ok=True)
    fresh = snapshot.parent / f".{snapshot.name}.{os.getpid()}"
    with warehouse.connection() as connection:
        for left_over in snapshot.parent.glob(f".{snapshot.name}.*"):
            left_over.unlink(missing_ok=True)
        connection.execute("CHECKPOINT")
        copied = subprocess.run(["cp", str(warehouse.path), str(fresh)], capture_output=True, text=True, check=False)
        if copied.returncode != 0:
            fresh.unlink(missing_ok=True)
            raise PublishFailed(f"cannot write the snapshot {snapshot}: {copied.stderr.strip()}")
        with fresh.open("rb") as file:
            os.fsync(file.fileno())
            size = os.fstat(file.fileno()).st_size
        fresh.replace(snapshot)
    return size
