"""The tables of recurring revenue. A row is one period of one deal, or one line of it; nothing is decided here.

What a deal with a schedule has on Salesforce's ``Payment_Status__c``, by the invoices of its periods that have fallen due:

| Periods that have fallen due | Payment status |
| --- | --- |
| none | Not Invoiced |
| the same as for a plain deal, over their invoices together | Invoiced, Sent, Partially Paid, Paid, Overpaid, Credited … |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any

import polars as pl

from qbsf_pipeline.invoices.recurring.due import DuePeriods
from qbsf_pipeline.invoices.recurring.schedule import BillingPeriod, BillingSchedule, ScheduledLine
from qbsf_pipeline.money import CENT, format_amount
from qbsf_pipeline.warehouse.tables import AMOUNT, Column, TableSchema

_DIGITS = 60
_DAYS_OF_A_YEAR = Decimal("365.25")
_MONTHS_OF_A_YEAR = 12

BILLING_SCHEDULES = TableSchema(
    "invoices",
    "billing_schedules",
    (
        Column("opportunity_id", pl.String, "The deal, 18 characters"),
        Column("period", pl.Int64, "Number of the period, from 0; with the deal, what makes its invoice the same for ever"),
        Column("deal", pl.String, "Name of the deal"),
        Column("account_id", pl.String, "Its account"),
        Column("kind", pl.String, "period; once: set-up fees; difference: what a change adds to billed periods, or takes off"),
        Column("covers_from", pl.Date, "First day that it covers"),
        Column("covers_to", pl.Date, "Last day that it covers"),
        Column("due_on", pl.Date, "Day on which it is billed"),
        Column("amount", AMOUNT, "What it bills, without tax; below 0 for a credit"),
        Column("recurring_amount", AMOUNT, "How much of it is subscriptions"),
        Column("currency", pl.String, "ISO code of every amount in the row"),
        Column(
            "frequency", pl.String, "monthly, quarterly, semiannual or annual; null where lines differ or have revenue schedules"
        ),
        Column(
            "source",
            pl.String,
            "What the schedule was made from: revenue_schedule, line, deal, or several joined by +; amendment: one difference",
        ),
        Column(
            "status",
            pl.String,
            "planned, due, under_way, invoiced, partially_paid, paid, voided, credit_proposed, credited, skipped, held or ended",
        ),
        Column("why", pl.String, "Why it is skipped, held, ended or waits, in a sentence; else null"),
        Column("invoice_id", pl.String, "Its invoice or credit memo in QuickBooks"),
        Column("invoice_number", pl.String, "The number of that"),
        Column("invoiced_on", pl.Date, "The date of that"),
        Column("paid", AMOUNT, "What of the invoice is settled"),
        Column("balance", AMOUNT, "What of it is open"),
    ),
    ("opportunity_id", "period"),
    "Periods of recurring deals: one row per deal and period, with those that a change ended",
)

BILLING_SCHEDULE_LINES = TableSchema(
    "invoices",
    "billing_schedule_lines",
    (
        Column("opportunity_id", pl.String, "The deal, 18 characters"),
        Column("version", pl.Int64, "Number of the agreement by which it is billed so, from 1"),
        Column(
            "in_force_from", pl.Date, "First day on which that agreement counted; null for the first, which has no one before it"
        ),
        Column(
            "in_force_to", pl.Date, "Last day on which it counted, before the first day where it never did; null for the newest"
        ),
        Column("status", pl.String, "active, paused or cancelled: of the whole schedule by that agreement"),
        Column("period", pl.Int64, "Number of the period"),
        Column("position", pl.Int64, "Place of the line in it, from 1"),
        Column("line_id", pl.String, "The deal's or the quote's line"),
        Column("product_id", pl.String, "Its product"),
        Column("product", pl.String, "How the line is named to people"),
        Column("recurring", pl.Boolean, "A subscription's share; false for what is billed once"),
        Column("covers_from", pl.Date, "First day that the share covers"),
        Column("covers_to", pl.Date, "Last day that the share covers"),
        Column("amount", AMOUNT, "The share, without tax"),
        Column(
            "monthly_amount",
            AMOUNT,
            "The share for one month: over its months, or over days at 365.25 / 12 a month; without the cents that a "
            "division left over; null for what is billed once and for differences",
        ),
        Column("currency", pl.String, "ISO code of the amounts"),
    ),
    ("opportunity_id", "version", "period", "position"),
    "What each period bills of each line, by every agreement that there was: on a day one of them is in force. Where recurring "
    "revenue comes from",
)


@dataclass(frozen=True)
class PeriodInvoice:
    """What became of a period that was billed.

    Attributes:
        invoice_id: ``None`` while it is under way.
        status: live, voided or deleted; credit memos too.
        paid: settled; ``balance``: open; both in the invoice's currency.
    """

    invoice_id: str | None
    number: str | None
    invoiced_on: date | None
    status: str
    paid: Decimal
    balance: Decimal


def schedule_rows(
    schedule: BillingSchedule,
    deal: Mapping[str, Any],
    invoices: Mapping[int, PeriodInvoice],
    due: DuePeriods,
    ended: Sequence[tuple[BillingPeriod, str]] = (),
) -> list[dict[str, Any]]:
    """Rows of :data:`BILLING_SCHEDULES` for one deal.

    Args:
        deal: name and account_id.
        invoices: by the period's number.
        due: of :func:`.due.due_periods`.
        ended: periods that a change or cancellation ended, each with its reason; numbers that are in the schedule again are left
            out.
    """
    numbers = {period.number for period in schedule.periods}
    open_periods = _open_periods(schedule, due)
    told = [
        (period, *(_billed(period, invoices[period.number]) if period.number in invoices else open_periods[period.number]))
        for period in schedule.periods
    ]
    told += [(period, "ended", why) for period, why in ended if period.number not in numbers]
    rows = []
    for period, status, why in told:
        invoice = invoices.get(period.number)
        rows.append(
            {
                "opportunity_id": schedule.opportunity_id,
                "period": period.number,
                "deal": deal["name"],
                "account_id": deal["account_id"],
                "kind": period.kind,
                "covers_from": period.span.starts,
                "covers_to": period.span.ends,
                "due_on": period.due_on,
                "amount": period.amount,
                "recurring_amount": period.recurring_amount,
                "currency": schedule.currency,
                "frequency": schedule.frequency.value if schedule.frequency is not None else None,
                "source": schedule.source,
                "status": status,
                "why": why or None,
                "invoice_id": invoice.invoice_id if invoice is not None else None,
                "invoice_number": invoice.number if invoice is not None else None,
                "invoiced_on": invoice.invoiced_on if invoice is not None else None,
                "paid": invoice.paid if invoice is not None else None,
                "balance": invoice.balance if invoice is not None else None,
            }
        )
    return rows


def line_rows(
    schedule: BillingSchedule, version: int, in_force_from: date | None = None, in_force_to: date | None = None
) -> list[dict[str, Any]]:
    """Rows of :data:`BILLING_SCHEDULE_LINES` for one agreement on a deal.

    Args:
        in_force_from: ``None`` for the first agreement.
        in_force_to: ``None`` for the newest.
    """
    by_month = monthly_amounts(schedule)
    return [
        {
            "opportunity_id": schedule.opportunity_id,
            "version": version,
            "in_force_from": in_force_from,
            "in_force_to": in_force_to,
            "status": schedule.status,
            "period": period.number,
            "position": position,
            "line_id": scheduled.line.line_id,
            "product_id": scheduled.line.product_id,
            "product": scheduled.line.label,
            "recurring": scheduled.recurring,
            "covers_from": scheduled.span.starts,
            "covers_to": scheduled.span.ends,
            "amount": scheduled.line.total,
            "monthly_amount": by_month.get((period.number, position)),
            "currency": schedule.currency,
        }
        for period in schedule.periods
        for position, scheduled in enumerate(period.lines, start=1)
    ]


def monthly_amounts(schedule: BillingSchedule) -> dict[tuple[int, int], Decimal | None]:
    """:func:`monthly_amount` of every line, by the period's number and the line's place in it, from 1; of differences none.

    The cents that a division leaves over are in one period and are no more revenue by the month: where a line's first or last
    share differs from all its others, which are equal, by less than one cent for each, it comes to what they come to.
    """
    found: dict[tuple[int, int], Decimal | None] = {}
    lines: dict[tuple[str, int], list[tuple[tuple[int, int], Decimal]]] = {}
    for period in (one for one in schedule.periods if one.kind != "difference"):
        for position, scheduled in enumerate(period.lines, start=1):
            place = (period.number, position)
            found[place] = monthly_amount(scheduled)
            if scheduled.recurring:
                key = (scheduled.line.line_id, scheduled.span.whole_months)
                lines.setdefault(key, []).append((place, scheduled.line.total))
    for shares in lines.values():
        for (place, amount), others in ((shares[0], shares[1:]), (shares[-1], shares[:-1])):
            amounts = {one for _, one in others}
            if len(amounts) == 1 and abs(amount - next(iter(amounts))) < CENT * len(shares):
                found[place] = found[others[-1][0]]
    return found


def monthly_amount(scheduled: ScheduledLine) -> Decimal | None:
    """What a share comes to for one month, two places; ``None`` for what is billed once.

    A share of a whole period is divided by its months. A shorter one, and a share of a revenue schedule that covers no whole
    months, is taken by days, a month having 365.25 / 12 of them.
    """
    if not scheduled.recurring:
        return None
    months = Decimal(scheduled.span.whole_months)
    with localcontext(prec=_DIGITS):
        if not months:
            months = scheduled.span.days * _MONTHS_OF_A_YEAR / _DAYS_OF_A_YEAR
        return (scheduled.line.total / months).quantize(CENT, rounding=ROUND_HALF_UP)


def _billed(period: BillingPeriod, invoice: PeriodInvoice) -> tuple[str, str]:
    """Status and why of a period that was billed, credited or is under way."""
    if invoice.invoice_id is None:
        return "under_way", ""
    if invoice.status != "live":
        return "voided", f"It was {invoice.status} in QuickBooks; a person took it back, so it is not billed again."
    if period.amount < 0:
        return "credited", ""
    if invoice.balance <= 0:
        return "paid", ""
    return ("partially_paid" if invoice.paid > 0 else "invoiced"), ""


def _open_periods(schedule: BillingSchedule, due: DuePeriods) -> dict[int, tuple[str, str]]:
    """Status and why of every period as if none was billed, by number; what stands against billing comes last and counts."""
    found = {period.number: ("planned", "") for period in schedule.periods}
    found |= {one.period.number: ("due", "") for one in due.bill}
    found |= {one.number: ("due", "It was missed, and waits for a person to say that it is billed.") for one in due.ask}
    found |= {one.number: ("due", "It was missed, and waits for its turn: one is billed each day.") for one in due.waiting}
    if schedule.status != "active":
        found |= {period.number: ("held", schedule.why) for period in schedule.periods}
    for period in schedule.periods:
        if not period.amount:
            found[period.number] = ("skipped", "It comes to 0.00: there is nothing to bill.")
        elif period.amount < 0:
            amount = format_amount(-period.amount, schedule.currency).strip()
            found[period.number] = ("credit_proposed", f"{amount} waits for a person to credit it.")
    return found
