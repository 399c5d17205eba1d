"""Reasons why a deal that is billed period by period waits for a person. Codes are public, as those in :mod:`.validation`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from qbsf_pipeline.invoices.line_sources.contracts import WAYS
from qbsf_pipeline.invoices.validation import Reason
from qbsf_pipeline.money import format_amount


def amendment_by_hand(contract_id: str | None, made_by: Sequence[str] = ()) -> Reason:
    """The deal amends another one, and nothing tells which, or several are told.

    Args:
        made_by: names of the deals that are told.
    """
    contract = f"the contract {contract_id}" if contract_id else "a contract that its quote does not name"
    several = f"Several deals are told to have made it: {', '.join(made_by)}."
    none = f"Nothing tells which deal made it; looked at were {WAYS}." if contract_id else "So nothing tells what it changes."
    return Reason(
        "amendment_by_hand",
        f"The deal amends {contract}: its lines are differences, and are not billed as a sale. {several if made_by else none}",
        "Fill the opportunity on the contract, and let the integration user read it. Or change the products of the deal that "
        "made the contract; its schedule is then changed once you approve it. Or bill the difference in QuickBooks by hand.",
    )


def amended_deal_not_shown(opportunity_id: str) -> Reason:
    """The contract names its deal, and Salesforce does not show that."""
    return Reason(
        "amended_deal_not_shown",
        f"The deal amends a contract of the deal {opportunity_id}, which Salesforce does not show.",
        "Let the integration user see that deal, or bill the difference in QuickBooks by hand.",
    )


def amended_deal_not_won(name: str) -> Reason:
    """The deal that made the contract is open again, lost or deleted: its schedule has stopped."""
    return Reason(
        "amended_deal_not_won",
        f"The deal amends a contract of the deal “{name}”, which is not won any more.",
        "Win that deal again, or take this one back; or bill the difference in QuickBooks by hand.",
    )


def amended_deal_waits(name: str) -> Reason:
    """Something stands against the schedule of the deal that made the contract."""
    return Reason(
        "amended_deal_waits",
        f"Its difference is billed with the deal “{name}”, which is not billed itself at the moment.",
        "See what is said of that deal; this one follows.",
    )


def amended_account_differs(name: str) -> Reason:
    """The amendment is of another account than what it amends: the difference would go to the wrong customer."""
    return Reason(
        "amended_account_differs",
        f"The deal amends a contract of the deal “{name}”, which is of another account.",
        "Move one of the deals to the account that is billed, or bill the difference in QuickBooks by hand.",
    )


def amendment_rejected(name: str) -> Reason:
    """A person said no to the schedule with the amendment."""
    return Reason(
        "amendment_rejected",
        f"The change of the billing schedule of the deal “{name}” was rejected, so its difference is not billed.",
        "Approve the change after all (qbsf plan), correct the amendment, or bill the difference in QuickBooks by hand.",
    )


def first_bill_rejected() -> Reason:
    """A person said no before anything of the deal was billed."""
    return Reason(
        "first_bill_rejected",
        "A person said that the deal is not billed like this, so nothing of it is billed.",
        "Approve it after all (qbsf plan), correct the deal, or bill it in QuickBooks by hand.",
    )


def period_taken_back(periods: Sequence[str]) -> Reason:
    """Invoices of periods were voided or deleted. It stands against nothing else of the deal: the others are billed.

    Args:
        periods: each with its invoice, day and amount.
    """
    several = len(periods) > 1
    return Reason(
        "period_taken_back",
        f"{'Invoices of periods were' if several else 'The invoice of a period was'} voided or deleted in QuickBooks, and "
        f"{'they are' if several else 'it is'} not billed again: {', '.join(periods)}.",
        "Bill what is still owed by hand in QuickBooks and link it (qbsf review link-invoice), or dismiss this "
        "(qbsf failures dismiss).",
    )


def move_rejected(moved: str) -> Reason:
    """A person said no to billing another customer than before.

    Args:
        moved: what was asked, in a sentence.
    """
    return Reason(
        "move_rejected",
        f"{moved} A person said no to that, so nothing more of the deal is billed.",
        "Move the deal back to its account, or approve it after all (qbsf plan).",
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
