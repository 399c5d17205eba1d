"""The month-end report as a workbook for finance: summary, bridge with its proof, differences, all records and definitions.

Every cell that holds a record's own text is written as text and marked as such, so that a name beginning with ``=`` is never
taken for a formula. A spreadsheet keeps numbers as binary fractions with 15 certain digits: an amount below 10,000,000,000,000
with two places comes back exactly; a larger one is written as text, so that no cent of it is lost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC
from decimal import Decimal
from io import BytesIO
from itertools import chain
from typing import Any

import polars as pl
import xlsxwriter
from xlsxwriter.utility import xl_col_to_name

from qbsf_pipeline.money import to_cents
from qbsf_pipeline.reconciliation.cells import MOST_ROWS, Cells, Column, Styles, is_exact
from qbsf_pipeline.reconciliation.classes import DifferenceClass
from qbsf_pipeline.reconciliation.report import Report
from qbsf_pipeline.reconciliation.sections import CurrencySection, in_reading_order, sections, title_of, verdict
from qbsf_pipeline.reconciliation.still_open import told
from qbsf_pipeline.reconciliation.tables import CASES

SUMMARY, BRIDGE, DIFFERENCES, STILL_OPEN, RECORDS, DOCUMENTS, CHANGES, DEFINITIONS = (
    "Summary", "Bridge", "Differences", "Still open", "All records", "Documents", "Changes since close", "Definitions",
)  # fmt: skip
_NO_CURRENCY = "no currency"

_DIFFERENCES = (
    Column("Class", "title", 26),
    Column("Currency", "currency", 10),
    Column("Deal", "deal", 34, "wrapped", link="deal_link"),
    Column("Invoices", "numbers", 18, "wrapped", link="invoice_link"),
    Column("Won", "won", 18, "amount"),
    Column("Invoiced", "invoiced", 18, "amount"),
    Column("Difference", "difference", 18, "amount"),
    Column("Explanation", "explanation", 70, "wrapped"),
    Column("Cause", "cause", 20),
    Column("Who acts", "acts", 10),
    Column("Since", "since", 12, "date"),
    Column("First reported", "first_seen_on", 14, "date"),
    Column("Open last month too", "seen_last_month", 19, "flag"),
    Column("Accepted by", "accepted_by", 18),
    Column("Accepted because", "accepted_reason", 40, "wrapped"),
    Column("Accepted on", "accepted_on", 12, "date"),
    Column("Owner", "owner", 20),
    Column("Account", "account", 30),
    Column("Customer", "customer", 30),
    Column("Closed on", "closed_on", 12, "date"),
    Column("Invoiced on", "invoiced_on", 12, "date"),
    Column("Case", "case_key", 28),
)
#: Whether it was accepted is not asked: what is carried was not.
_STILL_OPEN = (
    Column("Month", "month", 12, "date"),
    *(column for column in _DIFFERENCES if column.value != "seen_last_month" and not column.value.startswith("accepted_")),
)
_RECORDS = (
    Column("Currency", "currency", 10),
    Column("Class", "class", 24),
    Column("Class in words", "title", 26),
    Column("Deal", "deal", 34, link="deal_link"),
    Column("Invoices", "numbers", 18, link="invoice_link"),
    Column("Won", "won", 18, "amount"),
    Column("Invoiced", "invoiced", 18, "amount"),
    Column("Difference", "difference", 18, "amount"),
    Column("Deal altogether", "deal_amount", 18, "amount"),
    Column("Invoiced in all months", "billed", 22, "amount"),
    Column("Closed on", "closed_on", 12, "date"),
    Column("Invoiced on", "invoiced_on", 12, "date"),
    Column("Since", "since", 12, "date"),
    Column("Owner", "owner", 20),
    Column("Account", "account", 30),
    Column("Customer", "customer", 30),
    Column("Cause", "cause", 20),
    Column("Explanation", "explanation", 70),
    Column("Who acts", "acts", 10),
    Column("Accepted by", "accepted_by", 18),
    Column("Deal id", "opportunity_id", 22),
    Column("Owner id", "owner_id", 22),
    Column("Account id", "account_id", 22),
    Column("Customer id", "customer_id", 12),
    Column("Invoice ids", "invoice_ids", 18),
    Column("Case", "case_key", 28),
)
_DOCUMENTS = (
    Column("Currency", "currency", 10),
    Column("Kind", "kind", 13),
    Column("Number or name", "number", 34),
    Column("Date", "dated_on", 12, "date"),
    Column("Status", "status", 10),
    Column("Amount", "amount", 18, "amount"),
    Column("In this month's totals", "counted", 21, "flag"),
    Column("Id", "document_id", 22),
    Column("Case", "case_key", 28),
)
_CHANGES = (
    Column("Currency", "currency", 10),
    Column("Deal", "deal", 34),
    Column("Invoices", "numbers", 18),
    Column("Change", "change", 10),
    Column("Class then", "title_then", 24),
    Column("Class now", "title_now", 24),
    Column("Won then", "won_then", 18, "amount"),
    Column("Won now", "won_now", 18, "amount"),
    Column("Invoiced then", "invoiced_then", 18, "amount"),
    Column("Invoiced now", "invoiced_now", 18, "amount"),
    Column("Explanation now", "explanation", 70, "wrapped"),
    Column("Case", "case_key", 28),
)
_TOTALS = (
    ("Currency", 12), ("Won", 22), ("Invoiced", 22), ("Explained", 22), ("Unexplained", 22), ("Proof", 14), ("Deals", 10),
    ("Invoices", 10), ("Records", 10), ("Differences", 12), ("Unexplained differences", 22),
)  # fmt: skip
_FIGURES = (
    ("Won", "Deals with a close date in the month, in the deal's currency, without sales tax."),
    ("Invoiced", "Invoices less credit memos dated in the month, without sales tax."),
    ("Difference", "Won less invoiced of one record. The differences of all records are the bridge from won to invoiced."),
    ("Explained", "Sum of the differences of all classes that name a cause."),
    ("Unexplained", "Sum of the differences for which no cause was found. Look at these first."),
    ("Proof", "0 when the figures add up: won less explained less unexplained is invoiced, and each class is its records."),
    ("Record", "One deal with all its invoices and credit memos, or one invoice without a deal with its credit memos."),
    (
        "Still open",
        "A difference of an earlier month that stands today, that nobody accepted, and on which somebody has to act or "
        "that has no cause. It is in the bridge of its own month, and in no total of this one.",
    ),
    ("Accepted", "A person said that the difference is right as it is. It holds until the record's class or amounts change."),
    ("Numbers", "An amount of 10,000,000,000,000 or more is text here: a spreadsheet cannot keep its cents."),
    ("Texts", "A text longer than 32,000 characters is cut, and ends in …"),
)


def workbook(report: Report, classes: Sequence[DifferenceClass]) -> bytes:
    """The report as an ``.xlsx`` file. The same report gives the same bytes.

    Args:
        report: an open month, or a closed one with its changes since then.
        classes: the table of classes in order of precedence, for their titles and rules.

    What does not fit into a spreadsheet is left out and said on the summary and at the end of its sheet.
    """
    target = BytesIO()
    options = {
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
        # Rows go to a temporary file as they are written: a month of a hundred thousand records needs no memory for them.
        "constant_memory": True,
    }
    with xlsxwriter.Workbook(target, options) as book:
        title = f"Month end {report.month:%Y-%m}"
        book.set_properties(
            {"title": title, "company": report.company, "created": report.produced_at.astimezone(UTC).replace(tzinfo=None)}
        )
        styles = Styles(book)
        cells = {
            name: Cells(book.add_worksheet(name), styles)
            for name in (SUMMARY, BRIDGE, DIFFERENCES, STILL_OPEN, RECORDS, DOCUMENTS, CHANGES, DEFINITIONS)
        }
        found = sections(report)
        first_rows = _differences(cells[DIFFERENCES], found, classes)
        _still_open(cells[STILL_OPEN], report, classes)
        records = _titled(report.cases, classes).sort("currency", "position", "case_key", nulls_last=True)
        cells[RECORDS].table(_RECORDS, records.iter_rows(named=True), records.height)
        documents = report.documents.sort("currency", "kind", "dated_on", "document_id", nulls_last=True)
        cells[DOCUMENTS].table(_DOCUMENTS, documents.iter_rows(named=True), documents.height)
        _changes(cells[CHANGES], report, classes)
        _definitions(cells[DEFINITIONS], classes)
        _bridge(cells[BRIDGE], found, report, first_rows)
        _summary(cells[SUMMARY], report, found, [note for one in cells.values() for note in one.left_out])
    return target.getvalue()


def _summary(cells: Cells, report: Report, found: Sequence[CurrencySection], left_out: Sequence[str]) -> None:
    cells.prepare([width for _, width in _TOTALS])
    cells.line([f"Month end {report.month:%B %Y}" + (f": {report.company}" if report.company else "")], "title")
    if report.closing is None:
        cells.line(["The month is open: the figures can still change."])
    else:
        by, at = report.closing.closed_by, report.closing.closed_at
        cells.line([f"The month was closed by {by} on {at:%Y-%m-%d %H:%M %Z}: the figures are those of then."])
        cells.line([f"Changes since close: {report.changes.height:,}"], "bad" if report.changes.height else "text")
    cells.line([f"Produced {report.produced_at:%Y-%m-%d %H:%M %Z}. Amounts are without sales tax."])
    if found:
        cells.line([verdict([section.differences for section in found])], "bold")
    if not report.carried.is_empty():
        cells.line([f"Still open from earlier months, and in no figure below: {told(report.carried)}."], "bold")
    for note in left_out:
        cells.line([note], "bad")
    for section in found:
        for problem in section.problems:
            cells.line([f"{section.currency}: {problem} Do not use these figures."], "bad")
    cells.skip()
    cells.line([name for name, _ in _TOTALS], "head")
    for section in found:
        totals, row = section.totals, cells.row
        cells.text(0, section.currency)
        names = ("won", "invoiced", "explained", "unexplained")
        for column, name in enumerate(names, start=1):
            cells.amount(column, totals[name], section.currency)
        if all(is_exact(totals[name]) for name in names):
            proof = totals["won"] - totals["invoiced"] - totals["explained"] - totals["unexplained"]
            cells.formula(5, f"=ROUND(B{row + 1}-C{row + 1}-D{row + 1}-E{row + 1},2)", proof)
        counts = ("deals", "invoices", "cases", "differences", "unexplained_cases")
        for column, name in enumerate(counts, start=6):
            cells.number(column, totals[name])
        cells.skip()
    if not found:
        cells.line(["No deal was won and nothing was invoiced."])


def _bridge(
    cells: Cells, found: Sequence[CurrencySection], report: Report, first_rows: Mapping[tuple[str, str | None], int]
) -> None:
    cells.prepare((12, 34, 26, 10, 24, 24, 12))
    cells.line(["Won, less what lowers and plus what raises it, is invoiced. Each step is proved from the sheet All records."])
    complete = report.cases.height <= MOST_ROWS
    if not complete:
        cells.line(["Not every record fits on the sheet All records: the steps cannot be proved from it here."], "bad")
    figures = ("won", "invoiced", "difference")
    summed = report.cases.group_by("currency", "class").agg(
        pl.col(figures).sum(), pl.max_horizontal(pl.col(figures).abs().max()).alias("largest")
    )
    sums = {(row["currency"] or _NO_CURRENCY, row["class"]): row for row in summed.to_dicts()}
    for section in found:
        cells.skip()
        top = cells.row
        cells.line(("Currency", "Step", "Class", "Records", "Amount", "From the records", "Proof"), "head")
        won, invoiced = section.totals["won"], section.totals["invoiced"]
        own = [row for (currency, _), row in sums.items() if currency == section.currency]
        amounts = [won, invoiced, *(row["amount"] for row in section.bridge), *(row["largest"] or Decimal(0) for row in own)]
        proved = complete and all(is_exact(amount) for amount in amounts)
        _step(cells, section.currency, ("Won", None, None), won, "won", _sum(own, "won") if proved else None)
        for row in section.bridge:
            records = sums.get((section.currency, row["class"]))
            named = (row["title"] or row["class"], row["class"], row["cases"])
            place = first_rows.get((section.currency, row["class"]))
            known = -_sum([records] if records else [], "difference")
            _step(cells, section.currency, named, -row["amount"], "difference", known if proved else None, place)
        last = cells.row
        _step(cells, section.currency, ("Invoiced", None, None), invoiced, "invoiced", _sum(own, "invoiced") if proved else None)
        if proved:
            cells.text(1, "Invoiced less the sum of the steps above", "soft")
            rest = invoiced - won + sum((row["amount"] for row in section.bridge), Decimal(0))
            cells.formula(6, f"=ROUND(E{last + 1}-SUM(E{top + 2}:E{last}),2)", rest)
        elif complete:
            cells.text(1, "Some amounts are too large for a spreadsheet to prove the steps.", "soft")
        cells.skip()
        waterfall = section.waterfall
        cells.sheet.insert_image(
            top,
            8,
            f"bridge {section.currency}.png",
            {"image_data": BytesIO(waterfall.png()), "x_scale": 0.5, "y_scale": 0.5, "description": waterfall.description},
        )
        # A row of a sheet is 20 pixels high, a bar of the picture 32, its axis 60.
        cells.skip_to(top + (32 * (len(waterfall.drawn) + 2) + 60) // 20 + 1)


def _step(
    cells: Cells,
    currency: str,
    named: tuple[str, str | None, int | None],
    amount: Decimal,
    summed: str,
    from_records: Decimal | None,
    place: int | None = None,
) -> None:
    """One row of the bridge: its amount, the sum of its records as a formula, and whether the two agree."""
    title, code, number = named
    row = cells.row + 1
    cells.text(0, currency)
    if place is None:
        cells.text(1, title, "text" if code else "bold")
    else:
        cells.jump(1, DIFFERENCES, place, title)
    if code:
        cells.text(2, code)
    if number is not None:
        cells.number(3, number)
    cells.amount(4, amount, currency, bold=not code)
    if from_records is not None:
        places = {column.value: xl_col_to_name(place) for place, column in enumerate(_RECORDS)}
        ranges = {
            name: f"'{RECORDS}'!${places[name]}$2:${places[name]}${MOST_ROWS + 1}" for name in (summed, "currency", "class")
        }
        by_class = f",{ranges['class']},$C{row}" if code else ""
        sign = "-" if code else ""
        cells.formula(
            5, f"={sign}ROUND(SUMIFS({ranges[summed]},{ranges['currency']},$A{row}{by_class}),2)", from_records, currency
        )
        cells.formula(6, f"=ROUND(E{row}-F{row},2)", amount - from_records)
    cells.skip()


def _differences(
    cells: Cells, found: Sequence[CurrencySection], classes: Sequence[DifferenceClass]
) -> dict[tuple[str, str | None], int]:
    """Write the differences currency by currency. Returns the first row of each currency and class, from 0."""
    frames = [_titled(section.differences, classes) for section in found]
    height = sum(frame.height for frame in frames)
    cells.table(_DIFFERENCES, chain.from_iterable(frame.iter_rows(named=True) for frame in frames), height)
    if not height:
        cells.line(["Everything that was won is invoiced, and everything invoiced was won."])
    first: dict[tuple[str, str | None], int] = {}
    place = 1
    for section, frame in zip(found, frames, strict=True):
        for code in frame["class"]:
            if place <= MOST_ROWS:
                first.setdefault((section.currency, code), place)
            place += 1
    return first


def _still_open(cells: Cells, report: Report, classes: Sequence[DifferenceClass]) -> None:
    frame = in_reading_order(_titled(report.carried, classes)).sort("currency", maintain_order=True)
    cells.table(_STILL_OPEN, frame.iter_rows(named=True), frame.height)
    if frame.is_empty():
        cells.line(["Nothing of earlier months is still open for somebody to act on."])


def _changes(cells: Cells, report: Report, classes: Sequence[DifferenceClass]) -> None:
    frame = _titled(_titled(report.changes, classes, "class_then", "title_then"), classes, "class_now", "title_now")
    cells.table(_CHANGES, frame.iter_rows(named=True), frame.height)
    if report.closing is None:
        cells.line(["The month is open: nothing to compare with."])
    elif frame.is_empty():
        cells.line(["Nothing has changed since the month was closed."])


def _definitions(cells: Cells, classes: Sequence[DifferenceClass]) -> None:
    cells.prepare((34, 28, 100, 12))
    cells.line(("Class", "Code", "Rule; the first one that is true gives a record its class", "Who acts"), "head")
    for one in classes:
        cells.line((one.title, one.code, one.rule, one.acts), "wrapped")
    cells.skip()
    cells.line(("Word", "", "Meaning"), "head")
    for name, meaning in _FIGURES:
        cells.line((name, "", meaning), "wrapped")
    cells.skip()
    cells.line(("Column", "In reconciliation.cases", "Meaning"), "head")
    heads = {column.value: column.head for column in (*_DIFFERENCES, *_RECORDS)}
    for column in CASES.columns:
        if column.name in heads:
            cells.line((heads[column.name], column.name, column.comment), "wrapped")


def _titled(frame: pl.DataFrame, classes: Sequence[DifferenceClass], code: str = "class", title: str = "title") -> pl.DataFrame:
    """The frame with the title of each row's class, and with a word where the currency is not known."""
    titles = {one: title_of(one, classes) for one in frame[code].unique().to_list() if one is not None}
    words = pl.col(code).replace_strict(titles, default=None, return_dtype=pl.String)
    return frame.with_columns(words.alias(title), pl.col("currency").fill_null(_NO_CURRENCY).replace("", _NO_CURRENCY))


def _sum(rows: Sequence[Mapping[str, Any]], name: str) -> Decimal:
    return to_cents(sum((row[name] or Decimal(0) for row in rows), Decimal(0)))
