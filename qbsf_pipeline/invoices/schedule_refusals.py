"""Reasons why a deal that is billed period by period waits for a person. Codes are public, as those in :mod:`.validation`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from qbsf_pipeline.invoices.validation import Reason
from qbsf_pipeline.money import format_amount


def amendment_by_hand(contract_id: str | None) -> Reason:
    """The deal amends another one: its lines are differences, and no sale."""
    contract = f"the contract {contract_id}" if contract_id else "a contract"
    return Reason(
        "amendment_by_hand",
        f"The deal amends {contract}: its lines are differences to what that sold, and are not billed as a sale.",
        "Change the products of the deal that made the contract; its schedule is then changed once you approve it. "
        "Or bill the difference in QuickBooks by hand.",
    )


def deal_not_shown(*, by_template: bool = False) -> Reason:
    """A schedule is kept, and Salesforce does not show its deal.

    Args:
        by_template: whether a recurring template of QuickBooks bills it, which goes on.
    """
    goes_on = " by qbsf, and its recurring template in QuickBooks goes on" if by_template else ""
    delete = "delete the template, and " if by_template else ""
    return Reason(
        "deal_not_shown",
        f"The deal is billed period by period, and Salesforce does not show it any more. Nothing of it is billed{goes_on}.",
        f"Let the integration user see the deal; if it is gone for good, {delete}bill what is left in QuickBooks by hand.",
    )


def recurring_disabled() -> Reason:
    """The deal has a schedule, and the rules switched schedules off."""
    return Reason(
        "recurring_disabled",
        "The deal is billed period by period, and the rules have switched that off.",
        "Set recurring.enabled to true in QBSF_CONFIG, or bill its further periods in QuickBooks by hand.",
    )


def schedule_unreadable(text: str) -> Reason:
    """What the state keeps is no schedule."""
    return Reason("schedule_unreadable", text, "Restore the state database from a backup.")


def period_billed_twice(numbers: Sequence[str]) -> Reason:
    """Several invoices say that they bill the same period of the deal."""
    return Reason(
        "period_billed_twice",
        f"A period of the deal has a second invoice in QuickBooks: {', '.join(numbers)}.",
        "Void the wrong one, and take the line with the deal's id out of its memo.",
    )


def holds_other_invoice(invoice_id: str) -> Reason:
    """The deal holds the id of an invoice that is none of its periods."""
    return Reason(
        "holds_other_invoice",
        f"The deal holds the invoice id {invoice_id}, which is none of its periods.",
        "Empty the invoice id on the deal; qbsf writes that of its newest period.",
    )


def invoice_of_no_period(numbers: Sequence[str]) -> Reason:
    """An invoice is the deal's, and none of its periods."""
    return Reason(
        "invoice_of_no_period",
        f"QuickBooks has an invoice of the deal that bills none of its periods: {', '.join(numbers)}.",
        "Take the line with the deal's id out of the invoice's memo if it bills something else; else correct the deal, so "
        "that its periods are those that were billed.",
    )


def invoiced_after_stop(numbers: Sequence[str], why: str) -> Reason:
    """A recurring template made an invoice before it was deleted, and the deal had stopped by then."""
    return Reason(
        "invoiced_after_stop",
        f"{why} Its recurring template made an invoice all the same: {', '.join(numbers)}.",
        "Void the invoice in QuickBooks. If it is owed, say so: qbsf review link-invoice.",
    )


def billed_otherwise(number: str, billed: Decimal, amount: Decimal, currency: str, starts: date) -> Reason:
    """The memory of the schedule is lost, and an invoice is not over what the deal says now."""
    found, wanted = (format_amount(one, currency).strip() for one in (billed, amount))
    return Reason(
        "period_billed_otherwise",
        f"Invoice {number} bills {found} for the period from {starts}, and the deal says {wanted}.",
        "Restore the state database, or correct the products of the deal as they were billed.",
    )
