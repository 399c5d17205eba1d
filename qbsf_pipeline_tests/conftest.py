"""What holds for every test."""

from __future__ import annotations

import os

from hypothesis import settings

# The same examples on every run, so that what passed here passes there. To look for new ones: HYPOTHESIS_PROFILE=explore.
settings.register_profile("repeatable", derandomize=True)
settings.register_profile("explore", max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))
