"""The line of words that tells people what a pass is doing. Kept apart so that the command line can listen cheaply."""

from __future__ import annotations

import logging

#: The CLI shows this logger's lines; a run keeps them in its log.
PROGRESS = logging.getLogger("qbsf_pipeline.progress")


def progress(text: str) -> None:
    """Tell whoever watches what is being done now, in plain words."""
    PROGRESS.info(text)
