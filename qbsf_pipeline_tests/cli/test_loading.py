"""Loading modules leaves the cycle collector as it was."""

from __future__ import annotations

import gc
import weakref

import pytest

from qbsf_pipeline.cli.loading import loading


class Knot:
    """An object that only the cycle collector takes away."""

    def __init__(self) -> None:
        self.itself = self


@pytest.mark.parametrize("was_on", [True, False])
def test_the_collector_rests_while_modules_are_loaded_and_is_then_as_it_was(was_on: bool) -> None:
    before = gc.isenabled()
    try:
        (gc.enable if was_on else gc.disable)()
        with loading():
            assert not gc.isenabled()
        assert gc.isenabled() is was_on
    finally:
        (gc.enable if before else gc.disable)()


def test_what_is_made_after_loading_is_still_collected() -> None:
    with loading():
        pass
    gone = weakref.ref(Knot())
    gc.collect()
    assert gone() is None
