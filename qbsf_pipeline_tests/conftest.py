"""What holds for every test."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from dagster._core.storage.defs_state.base import set_defs_state_storage
from hypothesis import HealthCheck, settings

# The same examples on every run, so that what passed here passes there. To look for new ones: HYPOTHESIS_PROFILE=explore.
# A busy machine fails no test: how long one takes belongs in the benchmarks.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("repeatable", settings.get_profile("untimed"), derandomize=True)
settings.register_profile("explore", settings.get_profile("untimed"), max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


@pytest.fixture(autouse=True)
def no_instance_of_another_test() -> Iterator[None]:
    """Dagster keeps the newest instance of a process in a variable; what another test left there may be gone already."""
    with set_defs_state_storage(None):
        yield
