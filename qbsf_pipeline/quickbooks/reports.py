"""Reads QuickBooks' reports, which are nested rows of text cells, into values.

Belongs here: the shape of a report. Does not belong here: calls (client), what a figure should be (reporting).

Intuit's shape: ``Columns`` names the cells of each row; a row is data (``ColData``) or a section (``Header``, ``Rows``,
``Summary``), as a customer with sub-customers is; the last section is the grand total. Cells are text, empty for no amount.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from qbsf_pipeline.errors import ServiceUnavailable
from qbsf_pipeline.quickbooks.faults import SYSTEM
from qbsf_pipeline.warehouse.tables import decimal_or_none, value_at

#: How deep customers nest in QuickBooks is five; deeper is no report.
_DEEPEST = 20


@dataclass(frozen=True)
class AgedCustomer:
    """What one customer owes by QuickBooks' own count, sub-customers apart.

    Attributes:
        customer_id: ``None`` where the report names no id.
        name: as the report writes it.
        amount: total over all buckets, in the company's currency; below zero where credits outweigh.
    """

    customer_id: str | None
    name: str
    amount: Decimal


@dataclass(frozen=True)
class AgedReceivables:
    """The report AgedReceivables.

    Attributes:
        report_date: the day that it is about; ``None`` where it does not say.
        currency: ISO code of every amount; ``None`` where it does not say.
        customers: one for each customer with an amount.
        total: the grand total.
        whole: the customers add up to the total. QuickBooks cuts reports that are too long.
    """

    report_date: date | None
    currency: str | None
    customers: tuple[AgedCustomer, ...]
    total: Decimal
    whole: bool


@dataclass(frozen=True)
class _Line:
    customer: AgedCustomer
    of_a_section: bool


def read_aged_receivables(report: Mapping[str, Any]) -> AgedReceivables:
    """The report AgedReceivables as QuickBooks answers it.

    Raises:
        ServiceUnavailable: this is no such report, or an amount in it is no number.
    """
    header = report.get("Header")
    if not isinstance(header, Mapping):
        raise _unreadable("it has no Header")
    columns = value_at(report, "Columns.Column")
    money = _money_columns(columns if isinstance(columns, list) else [])
    lines: list[_Line] = []
    totals: list[Decimal] = []
    for row, in_section in _rows(report.get("Rows"), 0):
        cells = row.get("ColData")
        if not isinstance(cells, list) or not cells:
            continue
        name, record_id = _cell(cells[0]), _id(cells[0])
        amount = _amount_of(cells, money)
        if row.get("group") == "GrandTotal" or (record_id is None and name.casefold() == "total"):
            totals.append(amount or Decimal(0))
        elif amount is not None:
            lines.append(_Line(AgedCustomer(record_id, name, amount), in_section))
    everybody = sum((line.customer.amount for line in lines), Decimal(0))
    total = totals[-1] if totals else everybody
    if everybody != total:
        # The head of a section holds what the parent itself owes; should it repeat the sum of its section, it is left out.
        apart = [line for line in lines if not line.of_a_section]
        if sum((line.customer.amount for line in apart), Decimal(0)) == total:
            lines, everybody = apart, total
    return AgedReceivables(
        report_date=_report_date(header),
        currency=_cell({"value": header.get("Currency")}) or None,
        customers=tuple(line.customer for line in lines if line.customer.amount),
        total=total,
        whole=everybody == total,
    )


def _rows(rows: Any, depth: int) -> Iterator[tuple[Mapping[str, Any], bool]]:
    """Every row with cells, and whether it is the head of a section. Summaries are left out but for the grand total's."""
    if depth > _DEEPEST:
        raise _unreadable("its rows nest too deep")
    found = rows.get("Row") if isinstance(rows, Mapping) else rows
    for row in found if isinstance(found, list) else []:
        if not isinstance(row, Mapping):
            continue
        inner, head, summary = row.get("Rows"), row.get("Header"), row.get("Summary")
        if row.get("group") == "GrandTotal":
            cells = summary.get("ColData") if isinstance(summary, Mapping) else row.get("ColData")
            yield {"ColData": cells, "group": "GrandTotal"}, False
            continue
        if "ColData" in row:
            yield row, False
        if isinstance(head, Mapping):
            yield head, True
        if inner is not None:
            yield from _rows(inner, depth + 1)


def _money_columns(columns: Sequence[Any]) -> list[int]:
    return [
        number
        for number, column in enumerate(columns)
        if isinstance(column, Mapping) and str(column.get("ColType", "")).casefold() == "money"
    ]


def _amount_of(cells: Sequence[Any], money: Sequence[int]) -> Decimal | None:
    """The total of a row: its last money cell; the sum of the others where that one is empty."""
    places = [place for place in money if place < len(cells)] or list(range(1, len(cells)))
    amounts = [_amount(_cell(cells[place])) for place in places]
    if not amounts:
        return None
    if amounts[-1] is not None:
        return amounts[-1]
    others = [amount for amount in amounts if amount is not None]
    return sum(others, Decimal(0)) if others else None


def _amount(text: str) -> Decimal | None:
    if not text:
        return None
    # Accountants' way to write what is below zero.
    negative = text.startswith("(") and text.endswith(")")
    number = decimal_or_none(text.strip("()").replace(",", ""))
    if number is None or not number.is_finite():
        raise _unreadable(f"{text[:40]!r} is no amount")
    return -number if negative else number


def _cell(cell: Any) -> str:
    value = cell.get("value") if isinstance(cell, Mapping) else cell
    return "" if value is None else str(value).strip()


def _id(cell: Any) -> str | None:
    value = cell.get("id") if isinstance(cell, Mapping) else None
    return str(value) if value not in (None, "") else None


def _report_date(header: Mapping[str, Any]) -> date | None:
    options = header.get("Option")
    named = [
        option.get("Value")
        for option in (options if isinstance(options, list) else [])
        if isinstance(option, Mapping) and option.get("Name") == "report_date"
    ]
    for text in (*named, header.get("EndPeriod")):
        try:
            return date.fromisoformat(str(text)[:10])
        except ValueError:
            continue
    return None


def _unreadable(why: str) -> ServiceUnavailable:
    return ServiceUnavailable(SYSTEM, "unreadable", f"the report AgedReceivables cannot be read: {why}")
