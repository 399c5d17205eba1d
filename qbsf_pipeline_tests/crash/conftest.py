"""A forking driver and sandboxes for all tests here; a home that has read everything once, copied for each test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from qbsf_pipeline.sandbox.server import start_sandbox
from qbsf_pipeline_tests.crash.world import Driver, Installation, World


def opened(folder: Path) -> World:
    """A furnished sandbox with a driver of its own."""
    driver = Driver()
    try:
        sandbox = start_sandbox(folder / "sandbox", empty=True)
    except BaseException:
        driver.stop()
        raise
    world = World(sandbox, driver, folder)
    world.furnish()
    return world


def closed(world: World) -> None:
    world.driver.stop()
    world.sandbox.stop()


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A sandbox with what every deal needs."""
    world = opened(tmp_path_factory.mktemp("crash"))
    yield world
    closed(world)


@pytest.fixture
def world_alone(tmp_path: Path) -> Iterator[World]:
    """A sandbox for one test that uses up what the others share, such as the chain of refresh tokens."""
    world = opened(tmp_path)
    yield world
    closed(world)


@pytest.fixture(scope="session")
def settled(furnished: World) -> Installation:
    """An installation that has read both systems once."""
    return furnished.settled_installation()


@pytest.fixture
def world(furnished: World) -> Iterator[World]:
    """The sandbox; what a test leaves unfinished is taken away after it."""
    yield furnished
    furnished.clean()


@pytest.fixture
def installation(world: World, settled: Installation, tmp_path: Path) -> Installation:
    """A copy of the installation, for this test alone."""
    return settled.copy(tmp_path / "home")


@pytest.fixture
def worlds(tmp_path: Path) -> Iterator[list[World]]:
    """Sandboxes to work in side by side, one for each processor."""
    made: list[World] = []
    try:
        with ThreadPoolExecutor() as pool:
            for world in pool.map(lambda n: opened(tmp_path / str(n)), range(min(4, os.cpu_count() or 1))):
                made.append(world)
        yield made
    finally:
        for world in made:
            closed(world)
