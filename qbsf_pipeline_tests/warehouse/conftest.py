"""A warehouse file, and other processes that hold a file."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qbsf_pipeline.warehouse.connection import Warehouse


class Holder:
    """Another process that has a DuckDB file open."""

    def __init__(self, path: Path, how: str, query: str) -> None:
        command = [sys.executable, str(Path(__file__).with_name("holder.py")), str(path), how, query]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.first = self._line()

    def ask(self) -> str:
        """The query's answer now, over the connection that is open."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self._line()

    def end(self) -> None:
        if self.process.stdin is not None and not self.process.stdin.closed:
            self.process.stdin.close()
        self.process.wait(20)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(20)

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(tmp_path / "home" / "warehouse.duckdb", wait_seconds=20)


@pytest.fixture
def hold() -> Iterator[Callable[..., Holder]]:
    """Start another process that holds a file; every one is ended afterwards."""
    held: list[Holder] = []

    def start(path: Path, how: str = "writer", query: str = "SELECT 1") -> Holder:
        held.append(Holder(path, how, query))
        return held[-1]

    yield start
    for one in held:
        one.end()
