"""Creates customers, items, invoices and credit memos, up to thirty in one batch call, and reads what was answered."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from qbsf_pipeline.errors import AccessRefused, OutcomeUnknown, RecordRefused, ServiceError, ServiceUnavailable
from qbsf_pipeline.flows.retries import first_wait, give_up, next_wait
from qbsf_pipeline.invoices.push_context import PushContext, PushOutcome
from qbsf_pipeline.invoices.push_planned import cents
from qbsf_pipeline.invoices.references import resolve_body, unresolved_reference
from qbsf_pipeline.invoices.tables import FLOW
from qbsf_pipeline.money import to_cents, to_json
from qbsf_pipeline.quickbooks.client import BatchItem
from qbsf_pipeline.state.ledger import Finished, LedgerEntry, Sending

logger = logging.getLogger(__name__)


def create(context: PushContext, entries: Sequence[LedgerEntry], outcome: PushOutcome) -> None:
    """Send up to thirty creates of one kind in one batch call, under a request id that the ledger holds beforehand."""
    group_id = uuid.uuid4().hex
    sendings: list[Sending] = []
    by_bid: dict[str, LedgerEntry] = {}
    items: list[BatchItem] = []
    for entry in entries:
        missing = unresolved_reference(entry, context.state.ledger)
        if missing is not None:
            give_up_on(context, entry, "missing_reference", f"{missing} does not exist in QuickBooks yet", outcome)
            continue
        position = len(items) + 1
        body = to_json(resolve_body(entry, context.state.ledger, context.document_numbers))
        sendings.append(Sending(entry.key, group_id, body, group_id, position))
        items.append(BatchItem(str(position), "create", entry.target_object, body))
        by_bid[str(position)] = entry
    if not items:
        return
    # How long ago a lost batch was sent decides whether Intuit may still be working on it: no waiting behind the commit.
    context.quickbooks.wait_for_batch()
    context.state.ledger.start(sendings, context.clock())
    context.progress(f"creating {len(items)} {entries[0].target_object.lower()}s in QuickBooks")
    send_batch(context, items, by_bid, group_id, outcome)


def send_batch(
    context: PushContext, items: list[BatchItem], by_bid: dict[str, LedgerEntry], group_id: str, outcome: PushOutcome
) -> None:
    """Send a batch whose entries are ``sending`` in the ledger, and keep what is answered for each.

    Args:
        by_bid: entry by the id of its item.
        group_id: request id of the whole call.
    """
    now = context.clock
    try:
        answers = context.quickbooks.batch(items, group_id)
    except OutcomeUnknown as error:
        logger.warning("no answer to a batch of %d: %s (%s)", len(items), error.code, error.message)
        return  # stays in sending; settled by looking
    except ServiceUnavailable as error:
        outcome.unavailable["quickbooks"] = error.message
        for entry in by_bid.values():
            context.state.ledger.fail(entry.key, error.code, error.message, now() + first_wait(context.rules.push), now())
        return
    except AccessRefused:
        for entry in by_bid.values():
            context.state.ledger.release(entry.key, now())
        raise
    except RecordRefused as error:
        # The call as a whole was refused, nothing in it was done: one bad record must not stop the others.
        if len(items) == 1:
            _refused(context, by_bid[items[0].bid], error, outcome)
            return
        for entry in by_bid.values():
            context.state.ledger.release(entry.key, now())
        for entry in by_bid.values():
            create(context, [entry], outcome)
        return
    finished: list[Finished] = []
    for bid, entry in by_bid.items():
        answer = answers[bid]
        if isinstance(answer, ServiceError):
            _refused(context, entry, answer, outcome)
        else:
            finished.append(Finished(entry.key, str(answer["Id"]), to_json(answer)))
            outcome.exists(entry.target_object, answer)
    context.state.ledger.finish_many(finished, now())
    for bid, entry in by_bid.items():
        answer = answers[bid]
        if not isinstance(answer, ServiceError) and entry.operation == "create_invoice":
            compare_total(context, entry, answer, outcome)


def _refused(context: PushContext, entry: LedgerEntry, error: ServiceError, outcome: PushOutcome) -> None:
    """What follows from the refusal of one item of a batch that was answered."""
    now = context.clock()
    if isinstance(error, OutcomeUnknown):
        return  # stays in sending
    if isinstance(error, ServiceUnavailable) or (isinstance(error, RecordRefused) and error.code in ("6240", "6140", "5010")):
        # 6240: the name was taken since the pull: the next plan picks another one, or finds the customer.
        # 6140: the number was taken: the next attempt takes the next number.
        if error.code == "6140":
            context.document_numbers.skip()
        if entry.attempts + 1 >= context.rules.push.attempts:
            give_up_on(context, entry, error.code, error.message, outcome)
        else:
            wait = timedelta(0) if error.code == "6140" else next_wait(context.rules.push, entry.attempts + 1)
            context.state.ledger.fail(entry.key, error.code, error.message, now + wait, now)
            outcome.refused += 1
        return
    give_up_on(context, entry, error.code, error.message, outcome)


def give_up_on(context: PushContext, entry: LedgerEntry, code: str, message: str, outcome: PushOutcome) -> None:
    """Leave a write to a person."""
    give_up(context.state.ledger, entry, code, message, context.clock())
    outcome.refused += 1


def compare_total(context: PushContext, entry: LedgerEntry, invoice: dict[str, Any], outcome: PushOutcome) -> None:
    """An invoice whose total is not the deal's is not mailed: its e-mail waits for a person from the start."""
    text = wrong_total(entry, invoice)
    if text is None:
        return
    for send in context.state.ledger.entries(flow=FLOW, opportunity_id=entry.opportunity_id):
        if send.operation == "send_invoice" and send.status in ("planned", "failed") and entry.key in send.depends_on:
            context.state.ledger.bury(send.key, "total_differs", text, context.clock())
            outcome.refused += 1


def wrong_total(entry: LedgerEntry, invoice: Mapping[str, Any]) -> str | None:
    """What to tell when QuickBooks' total without tax is not the deal's to the cent; ``None`` where it is."""
    if entry.amount is None or invoice.get("TotalAmt") is None:
        return None
    tax = cents((invoice.get("TxnTaxDetail") or {}).get("TotalTax")) or Decimal(0)
    net = (cents(invoice["TotalAmt"]) or Decimal(0)) - tax
    if net == to_cents(entry.amount):
        return None
    return (
        f"QuickBooks made invoice {invoice.get('DocNumber') or invoice.get('Id')} with {net} {entry.currency} before tax, "
        f"but the deal is {entry.amount} {entry.currency}. It was not e-mailed. Correct or void it in QuickBooks; "
        "send it from there."
    )
