"""The audit as a workbook for the people who mend things: a summary, a sheet for each kind of finding, and what is mended.

Every cell that holds a record's own text is written as text and marked as such, so that a name beginning with ``=`` is never
taken for a formula, neither when the file is opened nor when the cell is edited.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from pathlib import Path
from typing import Any

import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from qbsf_pipeline.cleansing.findings import KINDS, SEVERITIES, SYSTEMS, System
from qbsf_pipeline.cleansing.score import Score
from qbsf_pipeline.errors import SYSTEM_NAMES
from qbsf_pipeline.state.cleansing import SeenFinding

WORKBOOK_NAME = "cleansing.xlsx"
#: Excel keeps at most 65,530 links on a sheet, 32,767 characters in a cell and 1,048,576 rows.
_MOST_LINKS = 60_000
_LONGEST_LINK = 2_000
_LONGEST_TEXT = 32_000
_MOST_ROWS = 1_000_000

_SUMMARY, _MENDED = "Summary", "Mended"
_COLUMNS = (
    ("Severity", 10), ("System", 12), ("Object", 12), ("Record", 34), ("What is wrong", 78), ("What to do", 62), ("Deals", 8),
    ("First seen", 12), ("Finding", 13), ("Record id", 22), ("All ids of the group", 24),
)  # fmt: skip
_COLOURS = {"error": "#F8D7DA", "warning": "#FFF3CD", "hint": "#E2EFF9"}


@dataclass(frozen=True)
class AuditReport:
    """What the workbook tells.

    Attributes:
        findings: rows of ``cleansing.findings``, the worst first.
        new, mended: how many findings the audit before did not have, and how many it had that are gone.
        first: whether there was no audit before.
        ever: everything that any audit found, also what is mended.
    """

    audited_at: datetime
    company: str
    scores: Mapping[System, Score]
    findings: Sequence[Mapping[str, Any]]
    new: int
    mended: int
    first: bool
    ever: Sequence[SeenFinding]

    @property
    def progress(self) -> str:
        """What came of the findings since the first audit and since the last one, in words."""
        if self.first:
            return "This is the first audit: the next one will tell what was mended."
        return f"Since the last audit: {self.mended:,} fixed, {self.new:,} new. {progress_sentence(self.ever)}"


def progress_sentence(ever: Sequence[SeenFinding]) -> str:
    """``12 of 80 findings since 2026-10-01 are mended.``"""
    if not ever:
        return "Nothing was ever found."
    mended = sum(one.resolved_at is not None for one in ever)
    since = min(one.first_seen_at for one in ever).date()
    return f"{mended:,} of {len(ever):,} findings since {since} are mended."


def write_workbook(report: AuditReport, path: Path) -> int:
    """Write the workbook, in place of an older one. Returns its size in bytes.

    Raises:
        OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.parent / f".{path.name}.{os.getpid()}"
    options = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False, "in_memory": False}
    try:
        with xlsxwriter.Workbook(str(fresh), options) as book:
            book.set_properties({"title": "qbsf cleansing", "created": report.audited_at.replace(tzinfo=None)})
            formats = _formats(book)
            by_kind: dict[str, list[Mapping[str, Any]]] = {}
            for row in report.findings:
                by_kind.setdefault(row["code"], []).append(row)
            kinds = [code for code in KINDS if code in by_kind]
            summary = book.add_worksheet(_SUMMARY)
            for code in kinds:
                _kind_sheet(book.add_worksheet(KINDS[code].title), by_kind[code], formats)
            mended = [one for one in report.ever if one.resolved_at is not None]
            if mended:
                _mended_sheet(book.add_worksheet(_MENDED), mended, formats)
            _summary_sheet(summary, report, {code: by_kind[code] for code in kinds}, formats)
    except xlsxwriter.exceptions.FileCreateError as error:
        fresh.unlink(missing_ok=True)
        raise OSError(f"cannot write the workbook {path}: {error}") from error
    fresh.replace(path)
    return path.stat().st_size


def _formats(book: xlsxwriter.Workbook) -> dict[str, Format]:
    text = {"num_format": "@", "valign": "top", "quote_prefix": True}
    found = {
        "title": book.add_format({"bold": True, "font_size": 16}),
        "head": book.add_format({"bold": True, "bg_color": "#1F3A5F", "font_color": "#FFFFFF", "valign": "vcenter"}),
        "plain": book.add_format({"valign": "top"}),
        "text": book.add_format(text),
        "wrapped": book.add_format({**text, "text_wrap": True}),
        "link": book.add_format({**text, "font_color": "#0B5CAD", "underline": 1, "text_wrap": True}),
        "number": book.add_format({"num_format": "#,##0", "valign": "top"}),
        "score": book.add_format({"num_format": "0.0", "valign": "top", "bold": True}),
        "date": book.add_format({"num_format": "yyyy-mm-dd", "valign": "top", "align": "left"}),
    }
    for severity, colour in _COLOURS.items():
        found[severity] = book.add_format({**text, "bg_color": colour})
    return found


def _summary_sheet(
    sheet: Worksheet, report: AuditReport, by_kind: Mapping[str, Sequence[Mapping[str, Any]]], formats: Mapping[str, Format]
) -> None:
    sheet.set_column(0, 0, 34)
    sheet.set_column(1, 6, 13)
    sheet.set_column(7, 7, 110)
    sheet.hide_gridlines(2)
    _text(sheet, 0, 0, f"Cleansing before launch: {report.company}" if report.company else "Cleansing before launch",
          formats["title"])  # fmt: skip
    _text(sheet, 1, 0, f"Audited {report.audited_at:%Y-%m-%d %H:%M} UTC. Nothing was changed in either system.", formats["plain"])
    _text(sheet, 2, 0, report.progress, formats["plain"])
    row = 4
    for column, name in enumerate(("System", "Readiness", "Records", "Without error", "Errors", "Warnings", "Hints")):
        _text(sheet, row, column, name, formats["head"])
    for system in SYSTEMS:
        score = report.scores[system]
        row += 1
        _text(sheet, row, 0, SYSTEM_NAMES[system], formats["text"])
        sheet.write_number(row, 1, float(score.value), formats["score"])
        for column, number in enumerate((score.records, score.without_error, score.errors, score.warnings, score.hints), start=2):
            sheet.write_number(row, column, number, formats["number"])
    row += 1
    explanation = (
        "Readiness, 0 to 100: every record weighs 4 when deals or open money hang on it, else 1, and loses the cost of its worst "
        "finding (an error up to all of it, a warning up to 0.4, a hint up to 0.1); what is left, divided by all weights."
    )
    _text(sheet, row, 0, explanation, formats["plain"])
    row += 2
    head = ("Kind of finding", "Errors", "Warnings", "Hints", "Salesforce", "QuickBooks", "Since", "Why it matters")
    for column, name in enumerate(head):
        _text(sheet, row, column, name, formats["head"])
    for code, found in by_kind.items():
        row += 1
        kind = KINDS[code]
        sheet.write_url(row, 0, f"internal:'{kind.title}'!A1", formats["link"], kind.title)
        numbers = [sum(one["severity"] == severity for one in found) for severity in SEVERITIES]
        numbers += [sum(one["system"] == system for one in found) for system in SYSTEMS]
        for column, number in enumerate(numbers, start=1):
            sheet.write_number(row, column, number, formats["number"])
        sheet.write_datetime(row, 6, _day(min(one["first_seen_at"] for one in found)), formats["date"])
        _text(sheet, row, 7, kind.why, formats["text"])
    if not by_kind:
        _text(sheet, row + 1, 0, "Nothing was found.", formats["plain"])


def _kind_sheet(sheet: Worksheet, found: Sequence[Mapping[str, Any]], formats: Mapping[str, Format]) -> None:
    _head(sheet, _COLUMNS, len(found), formats)
    for place, row in enumerate(found[:_MOST_ROWS], start=1):
        _text(sheet, place, 0, row["severity"], formats[row["severity"]])
        _text(sheet, place, 1, SYSTEM_NAMES[row["system"]], formats["text"])
        _text(sheet, place, 2, row["record_object"], formats["text"])
        _link(sheet, place, 3, row["link"], row["record_name"] or row["record_id"], formats)
        _text(sheet, place, 4, row["what"], formats["wrapped"])
        _text(sheet, place, 5, row["repair"], formats["wrapped"])
        sheet.write_number(place, 6, row["deals"], formats["number"])
        sheet.write_datetime(place, 7, _day(row["first_seen_at"]), formats["date"])
        _text(sheet, place, 8, row["finding_id"], formats["text"])
        _text(sheet, place, 9, row["record_id"], formats["text"])
        _text(sheet, place, 10, row["members"] if row["members"] != row["record_id"] else "", formats["text"])


def _mended_sheet(sheet: Worksheet, mended: Sequence[SeenFinding], formats: Mapping[str, Format]) -> None:
    columns = (("Kind", 32), ("System", 12), ("Record", 40), ("First seen", 12), ("Mended by", 12), ("Finding", 13))
    _head(sheet, columns, len(mended), formats)
    newest = sorted(mended, key=lambda one: (one.resolved_at or one.last_seen_at, one.finding_id), reverse=True)
    for place, one in enumerate(newest[:_MOST_ROWS], start=1):
        _text(sheet, place, 0, KINDS[one.code].title if one.code in KINDS else one.code, formats["text"])
        _text(sheet, place, 1, SYSTEM_NAMES.get(one.system, one.system), formats["text"])
        _text(sheet, place, 2, one.record_name or one.record_id, formats["text"])
        sheet.write_datetime(place, 3, _day(one.first_seen_at), formats["date"])
        if one.resolved_at is not None:
            sheet.write_datetime(place, 4, _day(one.resolved_at), formats["date"])
        _text(sheet, place, 5, one.finding_id, formats["text"])


def _head(sheet: Worksheet, columns: Sequence[tuple[str, int]], rows: int, formats: Mapping[str, Format]) -> None:
    for column, (name, width) in enumerate(columns):
        sheet.set_column(column, column, width)
        _text(sheet, 0, column, name, formats["head"])
    sheet.freeze_panes(1, 0)
    sheet.autofilter(0, 0, min(rows, _MOST_ROWS), len(columns) - 1)


def _link(sheet: Worksheet, row: int, column: int, url: str, text: str, formats: Mapping[str, Format]) -> None:
    """A link where Excel takes one, else the text alone."""
    is_web = url.startswith(("https://", "http://")) and len(url) <= _LONGEST_LINK
    if is_web and row <= _MOST_LINKS:
        sheet.write_url(row, column, url, formats["link"], _cut(text))
    else:
        _text(sheet, row, column, text, formats["wrapped"])


def _text(sheet: Worksheet, row: int, column: int, text: str, style: Format) -> None:
    if text:
        sheet.write_string(row, column, _cut(text), style)
    else:
        sheet.write_blank(row, column, None, style)


def _day(instant: datetime) -> datetime:
    """The day (UTC) of an instant, as the workbook keeps dates."""
    return datetime.combine(instant.date(), time())


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"
