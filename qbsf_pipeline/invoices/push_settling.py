"""Finds out what became of writes whose answer was lost: look first, then repeat the same request or wait."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from qbsf_pipeline.errors import OutcomeUnknown, ServiceUnavailable
from qbsf_pipeline.invoices.push_context import PushContext, PushOutcome
from qbsf_pipeline.invoices.push_creating import compare_total, send_batch
from qbsf_pipeline.invoices.push_planned import BILLS, CREATES, TEMPLATE_ENDS, chunks, still_true
from qbsf_pipeline.invoices.push_sending import invoice_of, send_one, sent
from qbsf_pipeline.invoices.push_templates import end_templates, repeat_templates, settle_templates
from qbsf_pipeline.invoices.push_write_backs import WRITE_BACKS
from qbsf_pipeline.invoices.recurring.known_templates import CREATE as CREATE_TEMPLATE
from qbsf_pipeline.invoices.recurring.markers import noted_period
from qbsf_pipeline.invoices.recurring.schedule import period_of
from qbsf_pipeline.invoices.tables import FLOW
from qbsf_pipeline.money import parse_json, to_json
from qbsf_pipeline.quickbooks.client import BatchItem
from qbsf_pipeline.quickbooks.objects import opportunity_in
from qbsf_pipeline.state.ledger import Finished, LedgerEntry

#: Reads of unclear sends look this far before the moment of sending, for clocks that differ.
CLOCK_TOLERANCE = timedelta(minutes=10)


def settle_unclear(context: PushContext, outcome: PushOutcome) -> None:
    """Find out what became of entries in ``sending``: look first, then repeat the same request or wait."""
    unclear = context.state.ledger.sending(FLOW)
    if not unclear:
        return
    context.progress(f"looking for {len(unclear)} writes whose answer was lost")
    by_group: dict[str, list[LedgerEntry]] = {}
    for entry in unclear:
        if entry.operation in CREATES:
            by_group.setdefault(entry.group_id or entry.key, []).append(entry)
    try:
        invoices = _invoices_by_marker(context, [entry for entry in unclear if entry.operation == "create_invoice"])
        memos = _memos_by_marker(context, [entry for entry in unclear if entry.operation == "create_credit_memo"])
        for group in by_group.values():
            marked = memos if group[0].operation == "create_credit_memo" else invoices
            _settle_group(context, sorted(group, key=lambda entry: entry.group_position or 0), marked, outcome)
        lost = settle_templates(context, [entry for entry in unclear if entry.operation == CREATE_TEMPLATE], outcome)
        repeat_templates(context, lost, still_true(context, lost, outcome) if lost else [], outcome)
        end_templates(context, [entry for entry in unclear if entry.operation in TEMPLATE_ENDS], outcome)
        _settle_sends(context, [entry for entry in unclear if entry.operation == "send_invoice"], outcome)
    except (ServiceUnavailable, OutcomeUnknown) as error:
        outcome.unavailable["quickbooks"] = error.message
    for entry in unclear:
        if entry.operation in WRITE_BACKS:
            # An update by id may be repeated: it writes the same values again.
            context.state.ledger.release(entry.key, context.clock())


def _invoices_by_marker(context: PushContext, entries: list[LedgerEntry]) -> dict[str, list[dict[str, Any]]]:
    """The invoices that carry the marker of one of these deals: those of the last pull, and those made since.

    The window to ask QuickBooks for begins at its own clock at the last pull, or at the moment of sending if that is earlier,
    so that a wrong clock here cannot hide an invoice.
    """
    if not entries:
        return {}
    earliest = min(entry.sending_at or entry.created_at for entry in entries)
    since = min(earliest, context.read_until or earliest) - CLOCK_TOLERANCE
    pulled = context.pulled_invoices([entry.source_id for entry in entries])
    return _by_deal((*pulled, *context.quickbooks.invoices_created_since(since)))


def _memos_by_marker(context: PushContext, entries: list[LedgerEntry]) -> dict[str, list[dict[str, Any]]]:
    """The credit memos made since the first of these was sent, by the deal that they name."""
    if not entries:
        return {}
    earliest = min(entry.sending_at or entry.created_at for entry in entries)
    return _by_deal(
        context.quickbooks.created_since("CreditMemo", min(earliest, context.read_until or earliest) - CLOCK_TOLERANCE)
    )


def _by_deal(records: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Invoices or credit memos by the deal that their note names: its id of 15 characters."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for record in records:
        opportunity_id = opportunity_in(record.get("PrivateNote") or "")
        if opportunity_id is not None:
            found.setdefault(opportunity_id[:15], {})[str(record["Id"])] = record
    return {short_id: list(own.values()) for short_id, own in found.items()}


def _settle_group(
    context: PushContext, group: list[LedgerEntry], marked: dict[str, list[dict[str, Any]]], outcome: PushOutcome
) -> None:
    found: dict[str, dict[str, Any]] = {}
    for entry in group:
        record = _find_created(context, entry, marked, outcome)
        if record is not None:
            found[entry.key] = record
    finished = [
        Finished(entry.key, str(found[entry.key]["Id"]), to_json(found[entry.key])) for entry in group if entry.key in found
    ]
    context.state.ledger.finish_many(finished, context.clock())
    for entry in group:
        if entry.key in found:
            outcome.exists(entry.target_object, found[entry.key])
            if entry.operation == "create_invoice":
                compare_total(context, entry, found[entry.key], outcome)
    lost = [entry for entry in group if entry.key not in found and _status(context, entry) == "sending"]
    if not lost:
        return
    whole_group_lost = len(lost) == len(context.state.ledger.group(group[0].group_id)) if group[0].group_id else True
    # A deal that was changed meanwhile is not billed as it was: nothing is repeated, and it is planned anew after the wait.
    unchanged = still_true(context, lost, outcome) if lost[0].operation in BILLS else lost
    if whole_group_lost and len(unchanged) == len(lost):
        items = [BatchItem(str(entry.group_position), "create", entry.target_object, entry.sent_body or "") for entry in lost]
        by_bid = {str(entry.group_position): entry for entry in lost}
        send_batch(context, items, by_bid, str(lost[0].request_id), outcome)
        return
    # Part of the batch was carried out, or must not be repeated. Repeating it under the same id could double that part on a
    # server that did not finish the first one; another id is safe once Intuit can no longer be working on the first.
    for entry in lost:
        waited = context.clock() - (entry.sending_at or entry.created_at)
        if waited >= timedelta(seconds=context.rules.push.unknown_outcome_wait_seconds):
            context.state.ledger.release(entry.key, context.clock())
        else:
            outcome.held.append((entry.key, "its answer was lost; it is looked for again in the next pass"))


def _find_created(
    context: PushContext, entry: LedgerEntry, marked: dict[str, list[dict[str, Any]]], outcome: PushOutcome
) -> dict[str, Any] | None:
    if entry.operation in BILLS:
        invoices = _of_period(entry, marked.get(entry.source_id[:15], []))
        if len(invoices) > 1:
            numbers = ", ".join(str(invoice.get("DocNumber") or invoice["Id"]) for invoice in invoices)
            what = "deal" if period_of(entry.key) is None else "period of the deal"
            document = "invoice" if entry.operation == "create_invoice" else "credit memo"
            text = f"QuickBooks holds more than one {document} of this {what} ({numbers}). Void all but one in QuickBooks."
            context.state.ledger.bury(entry.key, "duplicate_invoice", text, context.clock())
            outcome.refused += 1
            return None
        return invoices[0] if invoices else None
    body = parse_json(entry.sent_body or "{}")
    if entry.operation == "create_customer":
        for entity, record in context.quickbooks.find_by_name(str(body["DisplayName"])):
            if entity == "Customer" and entry.source_id[:15] in str(record.get("Notes") or ""):
                return record
        return None
    matches = context.quickbooks.query(
        "Item", f"Name = {context.quickbooks.quoted(str(body['Name']))} AND Active IN (true,false)"
    )
    return matches[0] if matches else None


def _of_period(entry: LedgerEntry, invoices: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of the deal's invoices those of the entry's own period; all where the entry bills the whole deal."""
    if period_of(entry.key) is None:
        return invoices
    own = noted_period(parse_json(entry.sent_body or entry.payload).get("PrivateNote"))
    return [invoice for invoice in invoices if noted_period(invoice.get("PrivateNote")) == own]


def _settle_sends(context: PushContext, entries: list[LedgerEntry], outcome: PushOutcome) -> None:
    for group in chunks(entries, 100):
        ids = {entry.key: invoice_of(context, entry)[0] for entry in group}
        quoted = ",".join(context.quickbooks.quoted(invoice_id) for invoice_id in ids.values())
        invoices = {str(invoice["Id"]): invoice for invoice in context.quickbooks.query("Invoice", f"Id IN ({quoted})")}
        for entry in group:
            invoice = invoices.get(ids[entry.key])
            if invoice is not None and invoice.get("EmailStatus") == "EmailSent":
                sent(context, entry, invoice, outcome)
            else:
                send_one(context, entry, str(entry.request_id), outcome)


def _status(context: PushContext, entry: LedgerEntry) -> str:
    current = context.state.ledger.entry(entry.key)
    return current.status if current is not None else "gone"
