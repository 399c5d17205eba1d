"""Where the files of a month-end report stand. Pure."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from qbsf_pipeline.reconciliation.months import key_of


def reports_folder(home: Path, month: date) -> Path:
    """The folder of a month: its newest report, and in folders of their own those of before that somebody asked for."""
    return home / "reports" / "reconciliation" / key_of(month)


def workbook_in(folder: Path, month: date) -> Path:
    """The Excel workbook of a month in a folder of reports."""
    return folder / f"reconciliation-{key_of(month)}.xlsx"


def page_in(folder: Path, month: date) -> Path:
    """The page, to be opened in a browser."""
    return folder / f"reconciliation-{key_of(month)}.html"
