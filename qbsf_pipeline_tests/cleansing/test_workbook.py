"""The workbook, opened again: sheets, links, filters, and names that would be formulas."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import openpyxl
import pytest

from qbsf_pipeline.cleansing.findings import KINDS
from qbsf_pipeline.cleansing.score import Score
from qbsf_pipeline.cleansing.workbook import AuditReport, progress_sentence, write_workbook
from qbsf_pipeline.state.cleansing import SeenFinding

#: The first audit, as a workbook keeps days.
DAY = datetime.combine(date(2026, 10, 11), time())
NOW = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)
SCORES = {
    "salesforce": Score("salesforce", Decimal("89.6"), 109, 104, 5, 3, 59),
    "quickbooks": Score("quickbooks", Decimal("94.3"), 37, 37, 0, 7, 0),
}
#: What spreadsheets take for a formula, a link or a number when they are let.
DANGEROUS = [
    '=HYPERLINK("https://evil.example","click")',
    "=1+1",
    "+1-800-555",
    "-2",
    "@SUM(A1)",
    "\t=1+1",
    "{=1+1}",
    "https://evil.example/x",
    "mailto:x@evil.example",
    "internal:Summary!A1",
    "00123",
]


def row(**values: Any) -> dict[str, Any]:
    return {
        "finding_id": "C-00000001",
        "code": "phone_malformed",
        "title": KINDS["phone_malformed"].title,
        "severity": "hint",
        "system": "salesforce",
        "record_object": "Account",
        "record_id": "001000000000001AAA",
        "record_name": "Acme",
        "members": "001000000000001AAA",
        "link": "https://acme.my.salesforce.com/lightning/r/Account/001000000000001AAA/view",
        "deals": 2,
        "what": "The phone is too short.",
        "why": "x",
        "repair": "Correct it.",
        "first_seen_at": NOW - timedelta(days=40),
        **values,
    }


def seen(number: int, resolved_at: datetime | None = None, name: str = "Acme") -> SeenFinding:
    first = NOW - timedelta(days=40)
    return SeenFinding(
        f"C-{number:08d}", "salesforce", "phone_malformed", "hint", "Account", "001", name, first, first, resolved_at
    )


def written(path: Path, rows: list[dict[str, Any]], ever: list[SeenFinding] | None = None) -> openpyxl.Workbook:
    report = AuditReport(NOW, "Northwind", SCORES, rows, 1, 2, False, ever or [])
    assert write_workbook(report, path) == path.stat().st_size
    return openpyxl.load_workbook(path)


def test_the_summary_tells_scores_progress_and_counts_with_a_way_to_each_sheet(tmp_path: Path) -> None:
    rows = [row(), row(code="email_malformed", severity="error", system="quickbooks", finding_id="C-00000002")]
    book = written(tmp_path / "cleansing.xlsx", rows, [seen(1), seen(3, NOW)])
    assert book.sheetnames == ["Summary", "Malformed e-mails", "Malformed phones", "Mended"]
    cells = [[cell.value for cell in line] for line in book["Summary"].iter_rows()]
    assert cells[0][0] == "Cleansing before launch: Northwind"
    assert cells[2][0] == "Since the last audit: 2 fixed, 1 new. 1 of 2 findings since 2026-10-11 are mended."
    assert cells[5][:7] == ["Salesforce", 89.6, 109, 104, 5, 3, 59]
    (mails,) = [line for line in cells if line[0] == "Malformed e-mails"]
    assert mails[1:7] == [1, 0, 0, 0, 1, DAY]
    links = {cell.hyperlink.location for cell in book["Summary"]["A"] if cell.hyperlink is not None}
    assert links == {"'Malformed e-mails'!A1", "'Malformed phones'!A1"}


def test_a_sheet_of_a_kind_has_a_frozen_head_filters_and_links(tmp_path: Path) -> None:
    sheet = written(tmp_path / "cleansing.xlsx", [row(), row(finding_id="C-2")])["Malformed phones"]
    assert sheet.freeze_panes == "A2"
    assert sheet.auto_filter.ref == "A1:K3"
    assert [cell.value for cell in sheet[2]] == [
        "hint", "Salesforce", "Account", "Acme", "The phone is too short.", "Correct it.", 2, DAY,
        "C-00000001", "001000000000001AAA", None,
    ]  # fmt: skip
    assert sheet["D2"].hyperlink.target == "https://acme.my.salesforce.com/lightning/r/Account/001000000000001AAA/view"
    assert sheet["A2"].number_format == "@"


@pytest.mark.parametrize("text", DANGEROUS)
def test_a_records_text_is_never_a_formula_a_link_or_a_number(tmp_path: Path, text: str) -> None:
    path = tmp_path / "cleansing.xlsx"
    hostile = row(record_name=text, what=text, repair=text, record_id=text, members=f"{text} x", link="javascript:alert(1)")
    book = written(path, [hostile], [seen(1, NOW, name=text)])
    sheet = book["Malformed phones"]
    for cell in (sheet["D2"], sheet["E2"], sheet["F2"], sheet["J2"], book["Mended"]["C2"]):
        assert (cell.value, cell.data_type) == (text, "s")
        assert cell.quotePrefix  # and stays text when somebody edits the cell
        assert cell.hyperlink is None
    with ZipFile(path) as parts:
        sheets = [parts.read(name).decode() for name in parts.namelist() if name.startswith("xl/worksheets/sheet")]
    assert not any("<f>" in xml or "javascript" in xml for xml in sheets)


def test_control_characters_and_very_long_texts_make_a_file_that_opens(tmp_path: Path) -> None:
    sheet = written(tmp_path / "cleansing.xlsx", [row(record_name="a\x07b", what="x" * 50_000)])["Malformed phones"]
    assert len(sheet["E2"].value) == 32_000
    assert sheet["D2"].value


def test_nothing_found_is_a_workbook_too_and_an_older_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "cleansing.xlsx"
    written(path, [row()])
    book = written(path, [])
    assert book.sheetnames == ["Summary"]
    assert "Nothing was found." in [cell.value for cell in book["Summary"]["A"]]
    assert [file.name for file in path.parent.iterdir()] == ["cleansing.xlsx"]


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        written(tmp_path / "file" / "cleansing.xlsx", [])


def test_progress_counts_everything_that_was_ever_found() -> None:
    assert progress_sentence([seen(number, NOW if number < 12 else None) for number in range(80)]) == (
        "12 of 80 findings since 2026-10-11 are mended."
    )
    assert progress_sentence([]) == "Nothing was ever found."
