"""Runs in a process of its own: publishes a warehouse again and again until it is killed. Arguments: warehouse, snapshot."""

import sys
from pathlib import Path

from qbsf_pipeline.warehouse.connection import Warehouse
from qbsf_pipeline.warehouse.publish import publish

while True:
    publish(Warehouse(Path(sys.argv[1])), Path(sys.argv[2]))
    print("published", flush=True)
