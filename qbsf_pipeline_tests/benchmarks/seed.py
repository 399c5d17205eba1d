"""Puts the big company into a sandbox's folder. A process of its own, so that its memory is not counted as anybody's.

python -m qbsf_pipeline_tests.benchmarks.seed FOLDER DEALS TO_INVOICE
"""

from __future__ import annotations

import sys
from pathlib import Path

from qbsf_pipeline.sandbox.clock import Clock
from qbsf_pipeline.sandbox.company import bulk_company
from qbsf_pipeline.sandbox.store import Store


def seed(folder: Path, deals: int, to_invoice: int) -> None:
    """Make ``folder/sandbox.sqlite`` hold the company."""
    store = Store(folder / "sandbox.sqlite")
    bulk_company(store, Clock(store), deals, to_invoice)
    store.commit()
    store.close()


if __name__ == "__main__":
    seed(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
