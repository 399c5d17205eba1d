"""A running sandbox without the sample company, for the tests of the frame."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from qbsf_pipeline.sandbox.server import SandboxControl, SandboxProcess, start_sandbox


@pytest.fixture(scope="session")
def sandbox_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    with start_sandbox(tmp_path_factory.mktemp("sandbox"), empty=True) as process:
        yield process


@pytest.fixture
def control(sandbox_process: SandboxProcess) -> Iterator[SandboxControl]:
    """The control of the running sandbox, with no fault ordered and no call logged."""
    found = sandbox_process.control
    found.clear_faults()
    found.clear_calls()
    yield found
    found.clear_faults()
