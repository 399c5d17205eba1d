"""Cells of a workbook: text that stays text, amounts that keep their cents, dates, links, and what does not fit.

Rows are written from top to bottom, and never twice: see XlsxWriter's ``constant_memory``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Literal

import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

Kind = Literal["text", "wrapped", "amount", "date", "flag"]

#: Excel keeps at most 1,048,576 rows and 65,530 links on a sheet, and 32,767 characters in a cell; a link has up to 2,079.
MOST_ROWS = 1_000_000
_MOST_LINKS = 60_000
_LONGEST_LINK = 2_000
_LONGEST_TEXT = 32_000
#: Two places and 13 digits before them are the 15 digits that a binary fraction certainly keeps.
_FIRST_INEXACT = Decimal(10) ** 13
#: Spreadsheets know no day before this one.
_FIRST_DAY = date(1900, 3, 1)
_CURRENCY_CODE = re.compile(r"[A-Z]{3}")


@dataclass(frozen=True)
class Column:
    """A column of a sheet: its heading, the name of its value in a row, its width in characters, and how it is shown.

    ``link`` names the value that holds the address which the cell opens.
    """

    head: str
    value: str
    width: int
    kind: Kind = "text"
    link: str | None = None


class Styles:
    """The formats of a workbook; amounts get one for each currency."""

    def __init__(self, book: xlsxwriter.Workbook) -> None:
        self._book = book
        text = {"num_format": "@", "valign": "top", "quote_prefix": True}
        heading = {"bold": True, "bg_color": "#1F3A5F", "font_color": "#FFFFFF", "valign": "vcenter"}
        self.named: Mapping[str, Format] = {
            "text": book.add_format(text),
            "wrapped": book.add_format({**text, "text_wrap": True}),
            "bold": book.add_format({**text, "bold": True}),
            "soft": book.add_format({**text, "font_color": "#5C6675"}),
            "bad": book.add_format({**text, "bold": True, "font_color": "#A8211A"}),
            "title": book.add_format({**text, "bold": True, "font_size": 16}),
            "head": book.add_format(heading),
            "link": book.add_format({**text, "font_color": "#0B5CAD", "underline": 1, "text_wrap": True}),
            "number": book.add_format({"num_format": "#,##0", "valign": "top"}),
            "date": book.add_format({"num_format": "yyyy-mm-dd", "valign": "top", "align": "left"}),
            "large": book.add_format({**text, "align": "right"}),
            # Green where it is 0, red where it is anything else.
            "proof": book.add_format({"num_format": "[Red]#,##0.00;[Red]-#,##0.00;[Color10]0.00", "valign": "top"}),
        }
        self._amounts: dict[tuple[str, bool], Format] = {}

    def amount(self, currency: str, *, bold: bool = False) -> Format:
        """The format of an amount: grouped, two places, with the code of its currency."""
        if (currency, bold) not in self._amounts:
            unit = f' "{currency}"' if _CURRENCY_CODE.fullmatch(currency) else ""
            shown = {"num_format": f"#,##0.00{unit};-#,##0.00{unit}", "valign": "top", "bold": bold}
            self._amounts[currency, bold] = self._book.add_format(shown)
        return self._amounts[currency, bold]


def is_exact(amount: Decimal) -> bool:
    """Whether a spreadsheet keeps the amount to the cent."""
    return abs(amount) < _FIRST_INEXACT


class Cells:
    """A sheet and the row that is being written.

    Attributes:
        sheet: XlsxWriter's.
        row: the row that is written next, from 0.
        left_out: what did not fit, in words.
    """

    def __init__(self, sheet: Worksheet, styles: Styles) -> None:
        self.sheet = sheet
        self.row = 0
        self.left_out: list[str] = []
        self._styles = styles
        self._links = 0
        self._missing_links = 0
        sheet.set_landscape()
        sheet.set_paper(9)
        sheet.fit_to_pages(1, 0)

    def prepare(self, widths: Sequence[int]) -> None:
        """Widths of the columns of a sheet for reading, without a grid."""
        self.sheet.hide_gridlines(2)
        for column, width in enumerate(widths):
            self.sheet.set_column(column, column, width)

    def table(self, columns: Sequence[Column], rows: Iterable[Mapping[str, Any]], height: int) -> None:
        """A whole sheet with headings that stay in sight and with filters; says what does not fit."""
        for place, column in enumerate(columns):
            self.sheet.set_column(place, place, column.width)
        self.line([column.head for column in columns], "head")
        self.sheet.freeze_panes(1, 0)
        self.sheet.repeat_rows(0)
        self.sheet.autofilter(0, 0, min(height, MOST_ROWS), len(columns) - 1)
        for number, row in enumerate(rows):
            if number == MOST_ROWS:
                break
            for place, column in enumerate(columns):
                self._value(place, column, row)
            self.row += 1
        if height > MOST_ROWS:
            left_out = f"{height - MOST_ROWS:,} rows are left out: a sheet keeps {MOST_ROWS:,}. The warehouse has them all."
            self.line([left_out], "bad")
            self.left_out.append(f"{self.sheet.get_name()}: {left_out}")
        if self._missing_links:
            self.left_out.append(
                f"{self.sheet.get_name()}: {self._missing_links:,} links are left out: a sheet keeps {_MOST_LINKS:,}, "
                f"each of at most {_LONGEST_LINK:,} characters. The ids are there."
            )

    def line(self, texts: Sequence[str], style: str = "text") -> None:
        """A row of texts."""
        for column, text in enumerate(texts):
            self.text(column, text, style)
        self.row += 1

    def skip(self) -> None:
        """Go to the next row."""
        self.row += 1

    def skip_to(self, row: int) -> None:
        """Go down to a row; never up."""
        self.row = max(self.row, row)

    def text(self, column: int, text: str | None, style: str = "text") -> None:
        """A text as it is, whatever it begins with."""
        if text:
            self.sheet.write_string(self.row, column, _cut(text), self._styles.named[style])

    def number(self, column: int, number: int) -> None:
        """A count."""
        self.sheet.write_number(self.row, column, int(number), self._styles.named["number"])

    def amount(self, column: int, amount: Decimal | None, currency: str, *, bold: bool = False) -> None:
        """An amount; as text where a number would lose its cents."""
        if amount is None:
            return
        if is_exact(amount):
            self.sheet.write_number(self.row, column, float(amount), self._styles.amount(currency, bold=bold))
        else:
            self.text(column, f"{amount:,.2f} {currency}", "large")

    def formula(self, column: int, formula: str, known: Decimal, currency: str | None = None) -> None:
        """A formula of ours with the value that it has; without a currency it is a proof that should be 0."""
        style = self._styles.named["proof"] if currency is None else self._styles.amount(currency)
        self.sheet.write_formula(self.row, column, formula, style, float(known))

    def jump(self, column: int, sheet: str, row: int, text: str) -> None:
        """A link to a row of another sheet, from 0."""
        self.sheet.write_url(self.row, column, f"internal:'{sheet}'!A{row + 1}", self._styles.named["link"], _cut(text))

    def _value(self, place: int, column: Column, row: Mapping[str, Any]) -> None:
        value = row[column.value]
        if column.link is not None:
            self._link(place, row[column.link], value or "", "wrapped" if column.kind == "wrapped" else "text")
        elif value is None:
            return
        elif column.kind == "amount":
            self.amount(place, value, row["currency"] or "")
        elif column.kind == "date":
            self._day(place, value)
        elif column.kind == "flag":
            self.text(place, "yes" if value else "")
        else:
            self.text(place, value, column.kind)

    def _link(self, column: int, url: str | None, text: str, style: str) -> None:
        """A link where there is one and Excel takes it, else the text alone."""
        is_web = url is not None and url.startswith(("https://", "http://"))
        if is_web and len(url or "") <= _LONGEST_LINK and self._links < _MOST_LINKS:
            self._links += 1
            self.sheet.write_url(self.row, column, url, self._styles.named["link"], _cut(text or "open"))
            return
        self._missing_links += is_web
        self.text(column, text, style)

    def _day(self, column: int, day: date) -> None:
        if day < _FIRST_DAY:
            self.text(column, day.isoformat())
        else:
            self.sheet.write_datetime(self.row, column, datetime.combine(day, time()), self._styles.named["date"])


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"
