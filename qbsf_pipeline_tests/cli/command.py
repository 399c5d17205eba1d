"""Runs ``qbsf`` in this process, as a person or a script would see it."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from qbsf_pipeline.cli import main
from qbsf_pipeline.money import parse_json


@dataclass(frozen=True)
class Ran:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on standard output; amounts are Decimal."""
        assert self.out.count("\n") == 1, self.out
        return parse_json(self.out)


def qbsf(*arguments: str, **variables: str) -> Ran:
    """Run ``qbsf`` with arguments, and with environment variables for this one command."""
    out, err = io.StringIO(), io.StringIO()
    kept = dict(os.environ)
    code: object = 0
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.setattr(sys, "argv", ["qbsf", *arguments])
        os.environ.update(variables)
        try:
            main()
        except SystemExit as end:
            code = end.code
        finally:
            os.environ.clear()
            os.environ.update(kept)
    return Ran(int(str(code or 0)), out.getvalue(), err.getvalue())
