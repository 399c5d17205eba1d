"""How the command line speaks: tables and sentences on a terminal, plain lines elsewhere, JSON where it is asked for."""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from qbsf_pipeline.money import to_json
from qbsf_pipeline.progress import PROGRESS

#: Where output goes to a file or another program there is no width to keep to.
WIDE = 200
_WITHOUT_END = 100_000
console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDE)
errors = Console(stderr=True, highlight=False)


def say(text: str = "", style: str | None = None) -> None:
    """One line for a person."""
    console.print(escape(text), style=style, soft_wrap=True)


def complain(*lines: str) -> None:
    """Lines about what is wrong, on standard error."""
    for line in lines:
        errors.print(escape(line), style="red", soft_wrap=True)


def table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    right: Sequence[str] = (),
    *,
    natural_width: bool = False,
) -> None:
    """A table; columns named in ``right`` are aligned to the right. An empty one prints nothing.

    Args:
        natural_width: off a terminal every cell keeps to one line, however wide that makes the table.
    """
    shown = Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False)
    for column in columns:
        shown.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(escape(cell(value)) for value in row))
    if shown.row_count:
        console.print()
        if natural_width and not console.is_terminal:
            Console(highlight=False, width=_WITHOUT_END).print(shown)
        else:
            console.print(shown)


def print_json(value: Any) -> None:
    """``value`` as one JSON document on standard output."""
    sys.stdout.write(to_json(_jsonable(value)) + "\n")


def cell(value: object) -> str:
    """A value as people read it: grouped money, ISO dates, minutes instead of microseconds."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        return f"{value:,.2f}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M} UTC"
    if isinstance(value, date):
        return value.isoformat()
    return str(value)


@contextmanager
def progress_shown(quiet: bool) -> Iterator[None]:
    """Show the pipeline's progress: a live line on a terminal, plain lines elsewhere, nothing when ``quiet``."""
    if quiet:
        yield
        return
    if errors.is_terminal:
        with errors.status("starting") as status, _listening(lambda text: status.update(escape(text))):
            yield
        return
    begun = time.monotonic()
    with _listening(
        lambda text: errors.print(f"[{time.monotonic() - begun:5.1f} s] {escape(text)}", soft_wrap=True, markup=True)
    ):
        yield


@contextmanager
def _listening(show: Any) -> Iterator[None]:
    class Shown(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            show(record.getMessage())

    handler = Shown()
    level = PROGRESS.level
    PROGRESS.addHandler(handler)
    PROGRESS.setLevel(logging.INFO)
    try:
        yield
    finally:
        PROGRESS.removeHandler(handler)
        PROGRESS.setLevel(level)


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_jsonable(item) for item in value]
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, str | int | float | Decimal):
        return value
    return str(value)
