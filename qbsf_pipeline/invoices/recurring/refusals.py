"""Reasons why a deal cannot be billed period by period. Codes are public, as those in :mod:`..validation`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from qbsf_pipeline.invoices.recurring.periods import MOST_PERIODS
from qbsf_pipeline.invoices.validation import Reason
from qbsf_pipeline.money import format_amount

#: What to do about an invoice of a recurring template that is not over what its period comes to.
CORRECT_OR_LINK = "Correct the invoice in QuickBooks. If it is right as it is, say so: qbsf review link-invoice."


def frequency_unknown(whose: str, text: str) -> Reason:
    """The word for how often is none that is known.

    Args:
        whose: "The deal", or the line with its name.
    """
    return Reason(
        "billing_frequency_unknown",
        f"{whose} is billed {shown(text)}, which is no known frequency.",
        "Write One-Time, Monthly, Quarterly, Semiannual or Annual, or name the word under recurring.frequencies in QBSF_CONFIG.",
    )


def periods_missing(whose: str) -> Reason:
    """Nothing tells how many times, or until when, a recurring line is billed."""
    return Reason(
        "billing_periods_missing",
        f"{whose} is billed again and again, and nothing tells how many times.",
        "Fill the billing periods on the opportunity, or the end date of the line.",
    )


def periods_invalid(whose: str, periods: Decimal) -> Reason:
    """The number of periods is none: zero, below zero, a fraction, or beyond three digits."""
    return Reason(
        "billing_periods_invalid",
        f"{whose} is billed {shown_number(periods)} times; a whole number from 1 to {MOST_PERIODS} is expected.",
        "Correct the billing periods.",
    )


def start_missing(whose: str) -> Reason:
    """Nothing tells the first day of a recurring line (``recurring.without_start``)."""
    return Reason(
        "billing_start_missing",
        f"{whose} is billed again and again, and nothing tells from which day.",
        "Fill the billing start date on the opportunity, or set recurring.without_start to close_date.",
    )


def dates_reversed(whose: str, starts: date, ends: date) -> Reason:
    """The last day is before the first."""
    return Reason(
        "billing_dates_reversed",
        f"{whose} is billed from {starts} to {ends}, which is before.",
        "Correct the start or the end date.",
    )


def dates_too_far(whose: str, starts: date) -> Reason:
    """The schedule would leave the calendar."""
    return Reason(
        "billing_dates_too_far",
        f"{whose} is billed from {starts}, and its periods end beyond the year 9999.",
        "Correct the start date or the number of periods.",
    )


def billing_types_differ(in_arrears: Sequence[str], in_advance: Sequence[str]) -> Reason:
    """Some lines are billed at the start of a period and some at its end, which is no one schedule."""
    return Reason(
        "billing_types_differ",
        f"{listed(in_advance)} are billed in advance, and {listed(in_arrears)} in arrears.",
        "Bill all recurring lines of the deal the same way, or sell them in two deals.",
    )


def period_below_zero(starts: date, amount: Decimal, currency: str) -> Reason:
    """The lines of one period come to less than nothing, which is no invoice."""
    return Reason(
        "period_below_zero",
        f"The period from {starts} comes to {format_amount(amount, currency).strip()}.",
        "Spread the discount over the periods: mark its line as recurring, or put the discount on the products.",
    )


def schedule_not_read(label: str) -> Reason:
    """Salesforce says that the line has a revenue schedule and shows none."""
    return Reason(
        "revenue_schedule_not_read",
        f"The line {shown(label)} has a revenue schedule that cannot be read in Salesforce.",
        "Give the integration user access to OpportunityLineItemSchedule, or take revenue_schedule out of recurring.sources.",
    )


def schedule_incomplete(label: str, field: str) -> Reason:
    """A row of a revenue schedule has no day or no revenue."""
    return Reason(
        "revenue_schedule_incomplete",
        f"A row of the revenue schedule of {shown(label)} has no {field}.",
        "Fill it in the line's schedule, or re-establish the schedule.",
    )


def schedule_differs(label: str, schedule: Decimal, line: Decimal, currency: str) -> Reason:
    """The revenue schedule does not come to the line's total."""
    return Reason(
        "revenue_schedule_differs",
        f"The revenue schedule of {shown(label)} comes to {format_amount(schedule, currency).strip()}, "
        f"and the line to {format_amount(line, currency).strip()}.",
        "Re-establish the line's schedule in Salesforce.",
    )


def schedule_currency_differs(label: str, found: str, currency: str) -> Reason:
    """The revenue schedule is in another currency than the deal."""
    return Reason(
        "revenue_schedule_currency",
        f"The revenue schedule of {shown(label)} is in {found}, and the deal in {currency}.",
        "Re-establish the line's schedule in Salesforce.",
    )


def amendment_currency_differs(found: str, currency: str) -> Reason:
    """An amendment is in another currency than what it amends."""
    return Reason(
        "amendment_currency",
        f"The amendment is in {found}, and the schedule in {currency}.",
        "Make the amendment in the currency of its contract.",
    )


def amendment_outside(label: str, starts: date, ends: date, schedule_ends: date) -> Reason:
    """A line of an amendment covers days that the schedule does not have."""
    return Reason(
        "amendment_outside_schedule",
        f"The amendment's line {shown(label)} covers {starts} to {ends}, and the schedule ends on {schedule_ends}.",
        "Renew the contract for the days behind its end, or correct the dates of the amendment.",
    )


def amendment_below_zero(starts: date, amount: Decimal, currency: str) -> Reason:
    """An amendment takes more off a period than the period comes to."""
    return Reason(
        "amendment_below_zero",
        f"With the amendment the period from {starts} comes to {format_amount(amount, currency).strip()}.",
        "Correct the quantities of the amendment: it takes off more than the contract sold.",
    )


def shown(text: str | None) -> str:
    """A text in quotes, on one line."""
    return f"“{' '.join(text.split())}”" if text and text.strip() else "“(no name)”"


def shown_number(number: Decimal) -> str:
    """A number without exponent and surplus zeros."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def listed(names: Sequence[str]) -> str:
    """Names in quotes, joined by commas."""
    return ", ".join(shown(name) for name in names)


def template_silent(called: str, days: Sequence[date], amount: str) -> Reason:
    """A recurring template did not make the invoice of a period."""
    told = ", ".join(str(day) for day in days)
    return Reason(
        "template_silent",
        f"QuickBooks' {called} bills {amount} on {told}, and there is no invoice.",
        "Make the invoice from the template in QuickBooks. Or delete the template there and approve what qbsf plan then asks: "
        "qbsf bills what is left itself, by recurring.catch_up.",
    )


def template_unreadable(called: str) -> Reason:
    """A recurring template names the deal, and what it bills is not known."""
    return Reason(
        "template_unreadable",
        f"QuickBooks has a recurring {called} for the deal, and the days on which it bills cannot be understood.",
        "Delete the template in QuickBooks, or take the deal's id out of its name and memo; qbsf then bills the deal.",
    )


def template_invoice_unsure(texts: Sequence[str]) -> Reason:
    """An invoice may be that of a template, and may be something else."""
    return Reason(
        "template_invoice_unsure",
        f"A recurring template bills the deal. {' '.join(texts)}",
        "Say which deal the invoice bills: qbsf review link-invoice.",
    )


def template_invoice_unplaced(numbers: Sequence[str]) -> Reason:
    """A template made an invoice for the deal that is none of its open periods."""
    return Reason(
        "template_invoice_unplaced",
        f"A recurring template made an invoice for the deal that bills none of its open periods: {', '.join(numbers)}.",
        "Void it in QuickBooks if it is one too many. If it is owed, say so: qbsf review link-invoice.",
    )
