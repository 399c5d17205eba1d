"""Recurring templates of QuickBooks: which periods one can bill, its body, and which invoices it made.

Only what Intuit documents is relied on. When in the day a template runs, whether it catches up on missed days and how it treats
the 29th to 31st is not documented, and changing a template is not either: so a template gets periods that are still to come,
alike, on a day up to the 28th, and is deleted and made anew instead of changed. All other periods are billed by qbsf itself.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from qbsf_pipeline.customers import texts
from qbsf_pipeline.invoices.lines import plain
from qbsf_pipeline.invoices.recurring.periods import months_later
from qbsf_pipeline.invoices.recurring.schedule import BillingPeriod, BillingSchedule
from qbsf_pipeline.warehouse.tables import decimal_or_none, value_at

#: The last day that every month has.
_LAST_SAFE_DAY = 28
_STEPS = (1, 3, 6, 12)
#: Of what may differ from one invoice to the next, a template holds nothing.
_OF_ONE_INVOICE = ("TxnDate", "DueDate", "DocNumber")
_NAME_LENGTH = 100
CONTENT_LENGTH = 32

#: Item and amount of an invoice line.
ItemAmount = tuple[str, Decimal]


@dataclass(frozen=True)
class TemplateSplit:
    """Who bills which of the periods that are still open.

    Attributes:
        own: by qbsf, each on its day.
        repeated: by a template, alike and at even steps; empty where no template fits.
        months: months from one to the next of these; 0 without any.
        why: why some or all are not left to a template, in a sentence; empty where all are.
    """

    own: tuple[BillingPeriod, ...]
    repeated: tuple[BillingPeriod, ...]
    months: int
    why: str


def split_for_template(schedule: BillingSchedule, billed: Collection[int], today: date) -> TemplateSplit:
    """The open periods of a schedule, and the last of them that a template can bill: two or more, alike, at even steps.

    Args:
        billed: numbers that were billed or are under way.
        today: the company's day; a template never gets a period that is due already.
    """
    rows = sorted(
        (period for period in schedule.periods if period.number not in billed), key=lambda one: (one.due_on, one.number)
    )
    if schedule.status != "active":
        return TemplateSplit(tuple(rows), (), 0, f"The schedule is {schedule.status}.")
    start = len(rows)
    while start and rows[start - 1].due_on > today and _alike(rows[start - 1], rows[-1]):
        start -= 1
    tail = rows[start:]
    for first in range(len(tail) - 1):
        months = _step([period.due_on for period in tail[first:]])
        if months:
            own, repeated = (*rows[:start], *tail[:first]), tuple(tail[first:])
            why = f"{len(own)} of {len(rows)} periods differ from the others or are due already." if own else ""
            return TemplateSplit(own, repeated, months, why)
    return TemplateSplit(
        tuple(rows), (), 0, "No two periods that are still to come are alike, a whole number of months apart and due by the 28th."
    )


def template_body(
    invoice: Mapping[str, Any], split: TemplateSplit, opportunity_id: str, deal_name: str, *, send: bool, again: int = 1
) -> dict[str, Any]:
    """The body that creates a template (``POST /recurringtransaction``).

    A year is told as twelve months, since the form of ``MonthOfYear`` is not documented.

    Args:
        invoice: body of one of its invoices (:func:`..payloads.invoice`), made of lines without days and with a private note that
            holds the deal's marker and no period. What belongs to one invoice only is left out here.
        split: with at least two repeated periods.
        send: whether QuickBooks mails the invoices; they need a ``BillEmail``.
        again: how often a template from this period on is made: 1, more where earlier ones were deleted.
    """
    first = split.repeated[0]
    body = {name: value for name, value in invoice.items() if name not in _OF_ONE_INVOICE}
    body["Line"] = [_without_day(line) for line in invoice["Line"]]
    if send and body.get("BillEmail"):
        body["EmailStatus"] = "NeedToSend"
    body["RecurringInfo"] = {
        "Name": template_name(opportunity_id, deal_name, first.number, again),
        "Active": True,
        "RecurType": "Automated",
        "ScheduleInfo": {
            "StartDate": first.due_on.isoformat(),
            "IntervalType": "Monthly",
            "NumInterval": split.months,
            "DayOfMonth": first.due_on.day,
            "MaxOccurrences": len(split.repeated),
        },
    }
    return {"Invoice": body}


def content_of(period: BillingPeriod) -> str:
    """What a template bills in each of its periods: product, quantity and amount of every line, as 32 hexadecimal digits."""
    content = sorted(_content(period).elements())
    return hashlib.sha256(repr(content).encode()).hexdigest()[:CONTENT_LENGTH]


def template_name(opportunity_id: str, deal_name: str, number: int, again: int = 1) -> str:
    """The template's name, unique by the deal's id, the first period and how often; the deal's name is for people."""
    sign = f" {opportunity_id} {number + 1}" + (f".{again}" if again > 1 else "")
    return f"{texts.shortened(texts.clean(deal_name, one_line=True), _NAME_LENGTH - len(sign))}{sign}".strip()


@dataclass(frozen=True)
class Template:
    """A template that qbsf made.

    Attributes:
        template_id: its id in QuickBooks.
        lines: items and amounts of each of its invoices.
        periods: what it bills.
    """

    template_id: str
    opportunity_id: str
    customer_id: str
    lines: tuple[ItemAmount, ...]
    periods: tuple[BillingPeriod, ...]


@dataclass(frozen=True)
class FoundInvoice:
    """What tells where an invoice came from.

    Attributes:
        template_id: ``RecurDataRef``; ``None`` where QuickBooks tells none.
        opportunity_id: the deal that its private note names.
    """

    invoice_id: str
    customer_id: str | None
    txn_date: date | None
    template_id: str | None
    opportunity_id: str | None
    lines: tuple[ItemAmount, ...]


@dataclass(frozen=True)
class Recognised:
    """Invoices of a template.

    Attributes:
        placed: period's number and its invoice.
        unplaced: invoices that are surely the template's, of no period that is open: the deal's, and for a person to look at.
        unsure: invoices that may be the template's. They are told, and neither taken for it nor is their period billed.
        doubtful: numbers of the periods that these may be.
        why: sentence for each invoice in ``unplaced`` and ``unsure``.
    """

    placed: Mapping[int, str]
    unplaced: tuple[str, ...]
    unsure: tuple[str, ...]
    doubtful: tuple[int, ...]
    why: Mapping[str, str]


def found_invoice(record: Mapping[str, Any], opportunity_id: str | None) -> FoundInvoice:
    """What an invoice's record (QuickBooks' JSON) tells; a date that is none counts as not told."""
    lines: list[ItemAmount] = []
    for line in record.get("Line") or []:
        if isinstance(line, Mapping) and line.get("DetailType") == "SalesItemLineDetail":
            amount = decimal_or_none(line.get("Amount"))
            lines.append((str(value_at(line, "SalesItemLineDetail.ItemRef.value") or ""), amount or Decimal(0)))
    try:
        txn_date = date.fromisoformat(str(record.get("TxnDate") or "")[:10])
    except ValueError:
        txn_date = None
    return FoundInvoice(
        invoice_id=str(record["Id"]),
        customer_id=_text(value_at(record, "CustomerRef.value")),
        txn_date=txn_date,
        template_id=_text(value_at(record, "RecurDataRef.value")),
        opportunity_id=opportunity_id,
        lines=tuple(lines),
    )


def recognise(template: Template, invoices: Sequence[FoundInvoice], days: int) -> Recognised:
    """Which invoices a template made, and for which period.

    Surely its own are invoices whose ``RecurDataRef`` names it, and those without one whose note names the deal. Others without
    either are its own where customer, lines and date fit, and nothing else fits as well. Voided ones count like any other: what a
    person took back is not billed again.

    Args:
        invoices: all of the customer, voided and deleted ones too, but those that qbsf made itself.
        days: how far from its day the invoice of a period may be (rules: ``recurring.template_days``).
    """
    placed: dict[int, str] = {}
    unplaced: list[str] = []
    why: dict[str, str] = {}
    ordered = sorted(invoices, key=lambda one: (one.txn_date or date.max, one.invoice_id))
    for invoice in (one for one in ordered if _surely_of(template, one)):
        near = _near(template, invoice, days)
        free = [period for period in near if period.number not in placed]
        if free:
            placed[free[0].number] = invoice.invoice_id
        else:
            unplaced.append(invoice.invoice_id)
            second = f"invoice id {placed[near[0].number]} is there already" if near else "it bills nothing near that day"
            why[invoice.invoice_id] = (
                f"Invoice id {invoice.invoice_id} of {invoice.txn_date} was made by template {template.template_id}; {second}."
            )
    by_period: dict[int, list[str]] = defaultdict(list)
    periods_of: dict[str, list[int]] = {}
    for invoice in (one for one in ordered if _perhaps_of(template, one)):
        fitting = [period.number for period in _near(template, invoice, days) if period.number not in placed]
        if fitting:
            periods_of[invoice.invoice_id] = fitting
            for number in fitting:
                by_period[number].append(invoice.invoice_id)
    unsure: list[str] = []
    doubtful: set[int] = set()
    for invoice_id, fitting in periods_of.items():
        if len(fitting) == 1 and len(by_period[fitting[0]]) == 1:
            placed[fitting[0]] = invoice_id
        else:
            unsure.append(invoice_id)
            doubtful |= set(fitting)
            why[invoice_id] = f"Invoice id {invoice_id} has customer, lines and date of a period, and is not the only one."
    return Recognised(placed, tuple(unplaced), tuple(unsure), tuple(sorted(doubtful)), why)


def _surely_of(template: Template, invoice: FoundInvoice) -> bool:
    if invoice.template_id is not None:
        return invoice.template_id == template.template_id
    return invoice.opportunity_id is not None and texts.short_id(invoice.opportunity_id) == texts.short_id(
        template.opportunity_id
    )


def _perhaps_of(template: Template, invoice: FoundInvoice) -> bool:
    return (
        invoice.template_id is None
        and invoice.opportunity_id is None
        and invoice.customer_id == template.customer_id
        and Counter(invoice.lines) == Counter(template.lines)
    )


def _near(template: Template, invoice: FoundInvoice, days: int) -> list[BillingPeriod]:
    """Periods whose day is near that of the invoice, the nearest first."""
    if invoice.txn_date is None:
        return []
    day = invoice.txn_date
    found = [period for period in template.periods if abs((period.due_on - day).days) <= days]
    return sorted(found, key=lambda period: (abs((period.due_on - day).days), period.number))


def _alike(one: BillingPeriod, other: BillingPeriod) -> bool:
    if one.kind != "period" or other.kind != "period" or one.amount <= 0 or one.due_on.day > _LAST_SAFE_DAY:
        return False
    return _content(one) == _content(other)


def _content(period: BillingPeriod) -> Counter[tuple[str, str, str]]:
    lines = (scheduled.line for scheduled in period.lines)
    return Counter(
        (line.product_id or line.line_id, f"{plain(line.quantity):f}" if line.quantity is not None else "", f"{line.total:.2f}")
        for line in lines
    )


def _step(days: Sequence[date]) -> int:
    for months in _STEPS:
        if days[-1].year < date.max.year and all(day == months_later(days[0], place * months) for place, day in enumerate(days)):
            return months
    return 0


def _without_day(line: Mapping[str, Any]) -> dict[str, Any]:
    detail = line.get("SalesItemLineDetail")
    if not isinstance(detail, Mapping):
        return dict(line)
    return {**line, "SalesItemLineDetail": {name: value for name, value in detail.items() if name != "ServiceDate"}}


def _text(value: Any) -> str | None:
    return str(value) if value not in (None, "") else None
