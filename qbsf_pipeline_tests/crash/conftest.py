"""One sandbox and one forking driver for each module; a home that has read everything once, copied for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from qbsf_pipeline.sandbox.server import start_sandbox
from qbsf_pipeline_tests.crash.world import Driver, Installation, World


@pytest.fixture(scope="session")
def driver() -> Iterator[Driver]:
    """The process that forks passes."""
    started = Driver()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def furnished(driver: Driver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A sandbox with what every deal needs."""
    folder = tmp_path_factory.mktemp("crash")
    sandbox = start_sandbox(folder / "sandbox", empty=True)
    try:
        made = World(sandbox, driver, folder)
        made.furnish()
        yield made
    finally:
        sandbox.stop()


@pytest.fixture(scope="module")
def settled(furnished: World) -> Installation:
    """An installation that has read both systems once."""
    installation = furnished.installation("settled")
    assert installation.sync()["exit_code"] == 0
    return installation


@pytest.fixture
def world(furnished: World) -> Iterator[World]:
    """The module's sandbox; what a test leaves unfinished is taken away after it."""
    yield furnished
    furnished.clean()


@pytest.fixture
def installation(world: World, settled: Installation, tmp_path: Path) -> Installation:
    """A copy of the installation, for this test alone."""
    return settled.copy(tmp_path / "home")
