"""Runs a command as a process of its own, and says how long it took and how much memory it had at most."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Ran:
    """A process that ended.

    Attributes:
        seconds: from its start to its end.
        processor_seconds: of it and of the children that it waited for.
        peak_megabytes: the most memory that it had resident.
    """

    exit_code: int
    seconds: float
    processor_seconds: float
    peak_megabytes: float
    output: str
    errors: str


def run(command: Sequence[str], environment: Mapping[str, str]) -> Ran:
    """Run ``command`` to its end with nothing but ``environment``."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        started = time.perf_counter()
        process = subprocess.Popen(list(command), stdin=subprocess.DEVNULL, stdout=output, stderr=errors, env=dict(environment))
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        return Ran(
            exit_code=process.returncode,
            seconds=seconds,
            processor_seconds=used.ru_utime + used.ru_stime,
            # Linux counts in kilobytes, macOS in bytes.
            peak_megabytes=used.ru_maxrss / (1024 * 1024 if sys.platform == "darwin" else 1024),
            output=output.read().decode("utf-8", "replace"),
            errors=errors.read().decode("utf-8", "replace"),
        )


def python(*arguments: str) -> list[str]:
    """A command that runs this interpreter."""
    return [sys.executable, *arguments]


def qbsf(*arguments: str) -> list[str]:
    """A command that runs the command line as people do."""
    return python("-c", "from qbsf_pipeline.cli import main; main()", *arguments)
