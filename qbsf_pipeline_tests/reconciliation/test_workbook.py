"""The workbook, opened again: sheets, proofs, links, filters, and names that would be formulas."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, time
from decimal import Decimal
from io import BytesIO
from typing import Any
from zipfile import ZipFile

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbsf_pipeline.reconciliation import cells
from qbsf_pipeline.reconciliation.cells import is_exact
from qbsf_pipeline.reconciliation.classes import CLASSES
from qbsf_pipeline.reconciliation.report import Report
from qbsf_pipeline.reconciliation.workbook import workbook
from qbsf_pipeline_tests.reconciliation.reports import CLOSING, DEAL_LINK, INVOICE_LINK, case, changed, document, report

SHEETS = ["Summary", "Bridge", "Differences", "Still open", "All records", "Documents", "Changes since close", "Definitions"]
#: What spreadsheets take for a formula, a link or a number when they are let.
DANGEROUS = [
    "=cmd|' /C calc'!A0",
    '=HYPERLINK("https://evil.example","click")',
    "+1-800-555",
    "-2",
    "@SUM(A1)",
    "\t=1+1",
    "{=1+1}",
    "https://evil.example/x",
    "internal:Summary!A1",
    "00123",
    "Ünïcödé 株式会社 O'Brien: “x”",
    "control \x0b \x00 \x1f \ufffe end",
]


def opened(made_up: Report, *, values: bool = False) -> openpyxl.Workbook:
    return openpyxl.load_workbook(BytesIO(workbook(made_up, CLASSES)), data_only=values)


def rows(book: openpyxl.Workbook, sheet: str) -> list[dict[str, Any]]:
    """The rows of a sheet under its headings."""
    head, *lines = book[sheet].iter_rows(values_only=True)
    return [dict(zip(head, line, strict=True)) for line in lines]


def midnight(day: date) -> datetime:
    """A day as a workbook keeps it."""
    return datetime.combine(day, time())


def texts(book: openpyxl.Workbook, sheet: str) -> list[str]:
    return [str(value) for line in book[sheet].iter_rows(values_only=True) for value in line if value is not None]


def typical(**values: Any) -> Report:
    cases = [
        case(1),
        case(2, "rounding", "100.03", "100.00"),
        case(3, "invoiced_later", "500.00", "0.00", accepted_by="Ada", accepted_reason="agreed", accepted_on=date(2026, 4, 1)),
        case(4, "not_invoiced", "20.10", "0.00", seen_last_month=True, first_seen_on=date(2026, 3, 9)),
        case(5, "unexplained", "1.00", "0.99"),
        case(6, "invoice_without_deal", "0.00", "70.00", currency="EUR", opportunity_id=None, deal=None, deal_link=None),
    ]
    return report(cases, [document(number) for number in range(1, 7)], **values)


def test_the_sheets_have_what_their_names_say() -> None:
    book = opened(typical())
    assert book.sheetnames == SHEETS
    assert [row["Deal"] for row in rows(book, "Differences")] == ["Deal 5", "Deal 4", "Deal 3", None]
    assert len(rows(book, "All records")) == 6
    assert len(rows(book, "Documents")) == 6
    assert {one.title for one in CLASSES} <= set(texts(book, "Definitions"))
    accepted = rows(book, "Differences")[2]
    assert (accepted["Accepted by"], accepted["Accepted because"], accepted["Accepted on"]) == (
        "Ada",
        "agreed",
        midnight(date(2026, 4, 1)),
    )
    again = rows(book, "Differences")[1]
    assert (again["Open last month too"], again["First reported"], again["Who acts"]) == (
        "yes",
        midnight(date(2026, 3, 9)),
        "finance",
    )


def test_rows_of_records_have_filters_headings_that_stay_and_formats() -> None:
    book = opened(typical())
    for name in ("Differences", "All records", "Documents", "Changes since close"):
        sheet = book[name]
        assert sheet.freeze_panes == "A2"
        assert sheet.auto_filter.ref == f"A1:{sheet.cell(1, sheet.max_column).column_letter}{max(sheet.max_row, 1)}" or (
            name == "Changes since close"
        )
    first = {cell.value: place for place, cell in enumerate(book["Differences"][1])}
    line = book["Differences"][2]
    assert line[first["Difference"]].number_format == '#,##0.00 "USD";-#,##0.00 "USD"'
    assert line[first["Since"]].number_format == "yyyy-mm-dd"
    assert line[first["Deal"]].hyperlink.target == DEAL_LINK.format(5)
    assert line[first["Invoices"]].hyperlink.target == INVOICE_LINK.format(1005)


def test_the_summary_tells_the_totals_of_each_currency_and_proves_them() -> None:
    (head, usd, eur) = list(opened(typical())["Summary"].iter_rows(min_row=6, values_only=True))
    assert head[:5] == ("Currency", "Won", "Invoiced", "Explained", "Unexplained")
    assert usd == ("USD", 721.13, 200.99, 520.13, 0.01, "=ROUND(B7-C7-D7-E7,2)", 5, 5, 5, 3, 1)
    assert eur[:5] == ("EUR", 0, 70, -70, 0)
    assert opened(typical(), values=True)["Summary"]["F7"].value == 0


def test_every_step_of_the_bridge_is_proved_by_the_sum_of_its_records() -> None:
    made_up = typical()
    book = opened(made_up)
    formulas, known = book["Bridge"], opened(made_up, values=True)["Bridge"]
    records = rows(book, "All records")
    proved = 0
    for line in formulas.iter_rows(min_row=4):
        currency, step, code, _, amount, summed, proof = (cell.value for cell in line[:7])
        if not str(summed).startswith("="):
            continue
        own = [row for row in records if row["Currency"] == currency and (code is None or row["Class"] == code)]
        name, sign = {"Won": ("Won", 1), "Invoiced": ("Invoiced", 1)}.get(step, ("Difference", -1))
        expected = round(sign * sum(row[name] for row in own), 2)
        assert amount == expected
        assert known[line[5].coordinate].value == expected
        assert proof == f"=ROUND(E{line[0].row}-F{line[0].row},2)"
        assert known[line[6].coordinate].value == 0
        # The formula sums the column of that name, for this currency and class.
        letter = next(cell.column_letter for cell in book["All records"][1] if cell.value == name)
        assert f"SUMIFS('All records'!${letter}$2" in summed
        assert f"$A{line[0].row}" in summed
        assert (f"$C{line[0].row}" in summed) == (code is not None)
        proved += 1
    assert proved == 5 + 2 + 1 + 2


def test_the_bridge_of_each_currency_has_its_picture() -> None:
    with ZipFile(BytesIO(workbook(typical(), CLASSES))) as parts:
        pictures = [name for name in parts.namelist() if name.startswith("xl/media/")]
        drawing = parts.read("xl/drawings/drawing1.xml").decode()
    assert len(pictures) == 2
    assert 'descr="Waterfall in USD: won 721.13,' in drawing


def test_a_bridge_that_is_wrong_by_a_cent_shows_it_in_its_proofs() -> None:
    right = typical()
    wrong = right.bridge.with_columns(amount=(right.bridge["amount"] + Decimal("0.01")).cast(right.bridge["amount"].dtype))
    book = opened(replace(right, bridge=wrong), values=True)
    assert any("Do not use these figures" in text for text in texts(book, "Summary"))
    proofs = [line[6] for line in book["Bridge"].iter_rows(min_row=4, values_only=True) if line[1] == "Matched"]
    assert proofs == [-0.01]


def test_a_name_is_text_whatever_it_begins_with() -> None:
    fields = ("deal", "owner", "account", "customer", "numbers", "cause", "explanation", "accepted_by", "accepted_reason")
    cases = [case(place, "unexplained", "5.00", "0.00", **dict.fromkeys(fields, name)) for place, name in enumerate(DANGEROUS)]
    documents = [document(place, number=name) for place, name in enumerate(DANGEROUS)]
    changes = [changed(place, deal=name) for place, name in enumerate(DANGEROUS)]
    book = opened(report(cases, documents, changes, CLOSING, company=DANGEROUS[0]))
    ours = {("Summary", "F"), ("Bridge", "F"), ("Bridge", "G")}
    for sheet in book:
        for cell in (cell for line in sheet.iter_rows() for cell in line):
            assert cell.data_type != "f" or (sheet.title, cell.column_letter) in ours, f"{sheet.title}!{cell.coordinate}"
            if cell.hyperlink is not None and cell.hyperlink.target:
                assert cell.hyperlink.target.startswith(("https://acme.my.salesforce.com/", "https://qbo.intuit.com/"))
            if cell.value in DANGEROUS:
                assert cell.data_type == "s"
                assert cell.quotePrefix
    for sheet, head in (("Differences", "Account"), ("All records", "Deal"), ("Documents", "Number or name")):
        told = [row[head] for row in rows(book, sheet)]
        assert set(DANGEROUS[:-1]) <= set(told)


@given(st.decimals(min_value=-(10**13) + 1, max_value=10**13 - 1, places=2))
def test_an_amount_that_is_called_exact_comes_back_to_the_cent(amount: Decimal) -> None:
    assert is_exact(amount)
    # XlsxWriter writes 16 digits; a spreadsheet reads them as a binary fraction and shows two places.
    assert round(Decimal(float(f"{float(amount):.16G}")), 2) == amount


def test_an_amount_too_large_for_a_spreadsheet_is_text_and_is_not_proved() -> None:
    book = opened(report([case(1, "unexplained", "9999999999999999.99", "0.00")]))
    assert rows(book, "All records")[0]["Won"] == "9,999,999,999,999,999.99 USD"
    assert not [text for text in texts(book, "Bridge") if text.startswith("=")]
    assert "Some amounts are too large for a spreadsheet to prove the steps." in texts(book, "Bridge")


def test_the_same_report_gives_the_same_bytes() -> None:
    assert workbook(typical(), CLASSES) == workbook(typical(), CLASSES)


def test_an_open_and_a_closed_month_say_what_they_are() -> None:
    assert "The month is open: nothing to compare with." in texts(opened(typical()), "Changes since close")
    still = opened(typical(closing=CLOSING))
    assert "Nothing has changed since the month was closed." in texts(still, "Changes since close")
    moved = opened(typical(changes=[changed(1)], closing=CLOSING))
    assert "Changes since close: 1" in texts(moved, "Summary")
    assert any("closed by Ada Lovelace on 2026-04-02" in text for text in texts(moved, "Summary"))
    (row,) = rows(moved, "Changes since close")
    assert (row["Class then"], row["Class now"], row["Won then"], row["Won now"]) == ("Matched", "Unexplained", 100, 120)


def test_an_empty_month_is_a_workbook_too() -> None:
    book = opened(report([]))
    assert book.sheetnames == SHEETS
    assert "No deal was won and nothing was invoiced." in texts(book, "Summary")


def test_a_large_month_has_every_record() -> None:
    cases = [case(number) for number in range(4800)] + [
        case(number, "unexplained", "7.10", "0.00") for number in range(4800, 5000)
    ]
    with ZipFile(BytesIO(workbook(report(cases), CLASSES))) as parts:
        differences, records = (parts.read(f"xl/worksheets/sheet{place}.xml").decode() for place in (3, 5))
    assert records.count("<row ") == 1 + 5000
    assert differences.count("<row ") == 1 + 200
    assert differences.count("<v>7.1</v>") == 2 * 200


def test_what_a_sheet_cannot_keep_is_left_out_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "_MOST_LINKS", 3)
    monkeypatch.setattr("qbsf_pipeline.reconciliation.cells.MOST_ROWS", 4)
    monkeypatch.setattr("qbsf_pipeline.reconciliation.workbook.MOST_ROWS", 4)
    cases = [case(number, "unexplained", "7.10", "0.00", explanation="x" * 40_000) for number in range(6)]
    book = opened(report(cases))
    told = texts(book, "Summary")
    for sheet in ("Differences", "All records"):
        assert f"{sheet}: 2 rows are left out: a sheet keeps 4. The warehouse has them all." in told
        assert any(text.startswith(f"{sheet}: 5 links are left out") for text in told)
    assert "2 rows are left out: a sheet keeps 4. The warehouse has them all." in texts(book, "All records")
    assert not [text for text in texts(book, "Bridge") if text.startswith("=ROUND(SUMIFS")]
    assert len(rows(book, "Differences")[0]["Explanation"]) == 32_000


def test_an_odd_link_and_an_odd_day_are_text() -> None:
    odd = case(1, "unexplained", "5.00", "0.00", deal_link="https://x.example/" + "y" * 3000, invoice_link="javascript:alert(1)",
               closed_on=date(1, 1, 1), currency=None)  # fmt: skip
    book = opened(report([odd]))
    (row,) = rows(book, "Differences")
    assert (row["Deal"], row["Invoices"], row["Closed on"], row["Currency"]) == ("Deal 1", "INV-1", "0001-01-01", "no currency")
    assert not [cell for cell in book["Differences"][2] if cell.hyperlink]


def test_what_is_still_open_of_earlier_months_has_a_sheet_and_no_part_in_the_totals() -> None:
    row = case(7, "not_invoiced", "70.00", "0.00", month=date(2026, 1, 1), first_seen_on=date(2026, 2, 2), deal="=1+1")
    book = opened(replace(typical(), carried=report([], carried=[row]).carried))
    (line,) = rows(book, "Still open")
    assert (line["Month"], line["Deal"], line["Difference"], line["Who acts"], line["First reported"], line["Case"]) == (
        midnight(date(2026, 1, 1)),
        "=1+1",
        70,
        "finance",
        midnight(date(2026, 2, 2)),
        row["case_key"],
    )
    assert "Still open from earlier months, and in no figure below: 1 difference, 70.00 USD." in texts(book, "Summary")
    figures = [
        [line[:5] for line in one["Summary"].iter_rows(values_only=True) if line[0] == "USD"] for one in (book, opened(typical()))
    ]
    assert figures[0] == figures[1]
    assert "Nothing of earlier months is still open for somebody to act on." in texts(opened(typical()), "Still open")
