"""Modules are loaded without the cycle collector: loading makes a million objects that stay, and the collector would go through
them again and again, which takes as long as loading them."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """For the imports in the block. What is there afterwards stays for good, and the collector passes over it from then on."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()
