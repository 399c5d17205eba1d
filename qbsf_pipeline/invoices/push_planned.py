"""What of the ledger a push may do now: approved, due, and of deals that are still what they were when they were planned."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from qbsf_pipeline.errors import ServiceUnavailable
from qbsf_pipeline.flows.runnable import runnable
from qbsf_pipeline.invoices.push_context import PushContext, PushOutcome
from qbsf_pipeline.invoices.push_templates import without_unknown_templates
from qbsf_pipeline.invoices.recurring.known_templates import CREATE as CREATE_TEMPLATE
from qbsf_pipeline.invoices.recurring.known_templates import DELETE as DELETE_TEMPLATE
from qbsf_pipeline.invoices.recurring.known_templates import TAKE_OVER as TAKE_OVER_TEMPLATE
from qbsf_pipeline.invoices.recurring.schedule import period_of
from qbsf_pipeline.invoices.tables import FLOW
from qbsf_pipeline.money import CENT, parse_json, to_cents
from qbsf_pipeline.quickbooks.objects import opportunity_in
from qbsf_pipeline.state.ledger import LedgerEntry

CREATES = ("create_customer", "create_item", "create_invoice", "create_credit_memo")
#: What bills a deal, or takes back what was billed.
BILLS = ("create_invoice", "create_credit_memo", CREATE_TEMPLATE)
TEMPLATE_ENDS = (DELETE_TEMPLATE, TAKE_OVER_TEMPLATE)


def runnable_now(context: PushContext, operation: str, outcome: PushOutcome) -> list[LedgerEntry]:
    """The writes of one operation that are ready, in the order of their dates; ``outcome.held`` says why others are not."""
    planned = context.planned if operation in (*CREATES, CREATE_TEMPLATE, *TEMPLATE_ENDS) else None
    found = runnable(context.state, FLOW, operation, context.environment.mode, context.clock(), outcome.held, planned)
    # Numbers rise with the dates of invoices, and with the periods of a deal.
    return sorted(
        found, key=lambda one: (one.txn_date or date.min, one.source_id if one.txn_date else "", period_of(one.key) or 0)
    )


def still_planned(
    context: PushContext, entries: list[LedgerEntry], changed: Collection[str], outcome: PushOutcome
) -> list[LedgerEntry]:
    """What bills a deal that nothing has changed of since it was planned.

    Args:
        changed: deals whose billing schedule this push has changed: what was planned by the one before is planned anew.
    """
    if not entries:
        return []
    outcome.held += [(entry.key, "its billing schedule was changed") for entry in entries if entry.source_id in changed]
    entries = still_true(context, [entry for entry in entries if entry.source_id not in changed], outcome)
    if context.rules.recurring.bill_by != "template":
        return entries
    kept = without_unknown_templates(context, [entry for entry in entries if _is_of_several(entry)], outcome)
    return [entry for entry in entries if entry in kept or not _is_of_several(entry)]


def _is_of_several(entry: LedgerEntry) -> bool:
    """Whether it bills one or more periods of its deal, not the whole of it."""
    return period_of(entry.key) is not None or entry.operation == CREATE_TEMPLATE


def still_true(context: PushContext, entries: list[LedgerEntry], outcome: PushOutcome) -> list[LedgerEntry]:
    """Invoices whose deal still is what it was when it was planned; one Salesforce call for up to 2,000 deals.

    A deal that was edited, reopened, deleted or invoiced by hand since then is left for the next pass, which plans it anew. So is
    one with an amendment that was.
    """
    fields = context.rules.salesforce.opportunity
    wanted = ["Id", "IsWon", "Amount", "AccountId", fields.invoice_id]
    try:
        amending = {entry.source_id: context.amendments.get(entry.source_id, ()) for entry in entries}
        ids = [*amending, *(one for deals in amending.values() for one in deals)]
        found = context.salesforce.retrieve("Opportunity", ids, wanted)
    except ServiceUnavailable as error:
        outcome.unavailable["salesforce"] = error.message
        return []
    kept: list[LedgerEntry] = []
    periods = [entry for entry in entries if _is_of_several(entry)]
    own = _invoices_of_deals(context, [entry for entry in periods if (found.get(entry.source_id) or {}).get(fields.invoice_id)])
    for entry in entries:
        record = found.get(entry.source_id)
        if record is None:
            outcome.held.append((entry.key, "the opportunity is no longer there"))
        elif not record.get("IsWon"):
            outcome.held.append((entry.key, "the opportunity is no longer won"))
        elif record.get(fields.invoice_id) and record[fields.invoice_id] not in own.get(entry.source_id, ()):
            outcome.held.append((entry.key, "somebody wrote an invoice id on the opportunity"))
        elif record.get("AccountId") != entry.account_id:
            outcome.held.append((entry.key, "the opportunity was moved to another account"))
        elif not _agrees(cents(record.get("Amount")), entry, context.deal_amounts.get(entry.source_id)):
            outcome.held.append((entry.key, "the amount was changed"))
        elif not all(_stands(context, found.get(one), one) for one in amending[entry.source_id]):
            outcome.held.append((entry.key, "an amendment of its contract was changed"))
        elif context.book_close_date is not None and entry.txn_date is not None and entry.txn_date <= context.book_close_date:
            outcome.held.append((entry.key, "the books were closed for its date"))
        else:
            kept.append(entry)
    return kept


def _invoices_of_deals(context: PushContext, entries: Sequence[LedgerEntry]) -> dict[str, set[str]]:
    """Ids of the invoices that deals are known to have, by deal: a deal that is billed period by period holds the newest."""
    if not entries:
        return {}
    found: dict[str, set[str]] = {}
    pulled = context.pulled_invoices([entry.source_id for entry in entries])
    links = context.state.links.all_invoices()
    for entry in entries:
        made = context.state.ledger.entries(flow=FLOW, opportunity_id=entry.opportunity_id)
        own = {one.result_id for one in made if one.operation == "create_invoice" and one.result_id is not None}
        own |= {link.invoice_id for link in links if link.opportunity_id == entry.source_id}
        for invoice in pulled:
            if (opportunity_in(invoice.get("PrivateNote") or "") or "")[:15] == entry.source_id[:15]:
                own.add(str(invoice["Id"]))
        found[entry.source_id] = own
    return found


def _stands(context: PushContext, record: Mapping[str, Any] | None, opportunity_id: str) -> bool:
    """Whether an amendment is still won, over what it was when it was planned."""
    planned = context.deal_amounts.get(opportunity_id)
    amount = cents((record or {}).get("Amount"))
    unchanged = amount is None or planned is None or amount == to_cents(planned)
    return record is not None and record.get("IsWon") is True and unchanged


def _agrees(amount: Decimal | None, entry: LedgerEntry, planned: Decimal | None) -> bool:
    """Whether the deal's amount is what it was when it was planned; where that is not known, what is billed, within the cent for
    each line that rounding may cost."""
    if amount is None or entry.amount is None:
        return True
    if planned is not None:
        return amount == to_cents(planned)
    return abs(amount - entry.amount) <= CENT * len(parse_json(entry.payload).get("Line", []))


def cents(value: Any) -> Decimal | None:
    """A number of a service's JSON as an amount of two places; ``None`` for none."""
    return None if value is None else to_cents(Decimal(str(value)))


def chunks(entries: Sequence[LedgerEntry], size: int) -> Iterator[Sequence[LedgerEntry]]:
    """Parts of at most ``size`` entries, in order."""
    for start in range(0, len(entries), size):
        yield entries[start : start + size]
