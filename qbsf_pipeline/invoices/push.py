"""How a planned write becomes an API call, once and only once, and what its answer means.

Every write goes through the ledger: its exact body and request id are committed as ``sending`` before the call, its answer
after it. Whoever finds an entry in ``sending`` while holding the push lock knows that nobody knows: it looks for the object
in the target by its marker first, and only then repeats the same body under the same request id. A *different* request id
is used only when the first is proved not to have been carried out, or when Intuit cannot be working on it any more.

Order within a push: recurring templates that end, customers, items, invoices (in batches), recurring templates that begin,
e-mails, write-backs to Salesforce. While Intuit's limit on
batches holds back the next one, invoices that exist are mailed. A record that fails stops neither the others nor the later
steps of other records.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from qbsf_pipeline.errors import (
    AccessRefused,
    OutcomeUnknown,
    RecordRefused,
    ServiceError,
    ServiceUnavailable,
    StaleRecord,
)
from qbsf_pipeline.flows.retries import first_wait, give_up, next_wait
from qbsf_pipeline.flows.runnable import runnable
from qbsf_pipeline.flows.salesforce_updates import update_records
from qbsf_pipeline.invoices.push_templates import (
    create_templates,
    end_templates,
    repeat_templates,
    settle_templates,
    without_unknown_templates,
)
from qbsf_pipeline.invoices.recurring.known_templates import CREATE as CREATE_TEMPLATE
from qbsf_pipeline.invoices.recurring.known_templates import DELETE as DELETE_TEMPLATE
from qbsf_pipeline.invoices.recurring.known_templates import TAKE_OVER as TAKE_OVER_TEMPLATE
from qbsf_pipeline.invoices.recurring.markers import noted_period
from qbsf_pipeline.invoices.recurring.schedule import period_of
from qbsf_pipeline.invoices.references import (
    DocumentNumbers,
    invoice_fields,
    resolve_body,
    unresolved_reference,
)
from qbsf_pipeline.invoices.schedule_changes import change_schedules
from qbsf_pipeline.invoices.tables import FLOW
from qbsf_pipeline.money import CENT, parse_json, to_cents, to_json
from qbsf_pipeline.quickbooks.client import BatchItem, QuickBooksClient
from qbsf_pipeline.quickbooks.objects import opportunity_in
from qbsf_pipeline.salesforce.client import SalesforceClient
from qbsf_pipeline.settings import Environment, Rules
from qbsf_pipeline.state.database import State
from qbsf_pipeline.state.ledger import Finished, LedgerEntry, PlannedWrite, Sending

logger = logging.getLogger(__name__)

CREATES = ("create_customer", "create_item", "create_invoice", "create_credit_memo")
#: What bills a deal, or takes back what was billed.
BILLS = ("create_invoice", "create_credit_memo", CREATE_TEMPLATE)
TEMPLATE_ENDS = (DELETE_TEMPLATE, TAKE_OVER_TEMPLATE)
WRITE_BACKS = ("write_back_account", "write_back_opportunity")
#: Reads of unclear sends look this far before the moment of sending, for clocks that differ.
CLOCK_TOLERANCE = timedelta(minutes=10)
#: Sends are put to work in groups of this many, so that a crash leaves at most this many unclear.
SEND_GROUP = 20
#: Intuit works on ten calls of a company at the same time at most.
SEND_THREADS = 8
#: A shorter wait for the next batch (seconds) is not worth looking for what could be mailed in it.
WORTH_SENDING_MEANWHILE = 2.0


@dataclass(frozen=True)
class PushContext:
    """What a push works with.

    Attributes:
        document_numbers: for companies that ask for custom transaction numbers.
        book_close_date: as read shortly before the push; ``None`` where the books are open.
        known_templates: ids of the recurring templates that the newest plan was made with.
        planned: payload by key in the newest plan. What is to be created and is not in it just so is left alone: the ledger
            may be a restored copy, older than the plan.
        deal_amounts: by deal, its amount in the newest plan: an invoice may be a part of it, or come from a quote.
        amendments: by deal, the deals whose differences are billed with it.
        read_until: QuickBooks' own clock at the last pull: what was created before it is in ``pulled_invoices``.
        pulled_invoices: the pulled invoices that carry the markers of these deals, as QuickBooks sent them.
        clock: now, aware UTC.
        progress: told in plain words what is being done.
    """

    state: State
    quickbooks: QuickBooksClient
    salesforce: SalesforceClient
    rules: Rules
    environment: Environment
    document_numbers: DocumentNumbers
    book_close_date: date | None
    planned: Mapping[str, str]
    deal_amounts: Mapping[str, Decimal]
    amendments: Mapping[str, Sequence[str]]
    read_until: datetime | None
    pulled_invoices: Callable[[Sequence[str]], Sequence[dict[str, Any]]]
    known_templates: Collection[str]
    clock: Callable[[], datetime]
    progress: Callable[[str], None]


@dataclass
class PushOutcome:
    """What a push came to.

    Attributes:
        created: QuickBooks objects that were created or found again, by entity and id, as QuickBooks returned them last.
        sent: invoices that were mailed.
        written_back: Salesforce records that were written.
        schedules: billing schedules that were changed because a person approved it.
        templates: recurring templates as QuickBooks has them now, by id; those that were deleted with that status.
        listed: every template that QuickBooks had when this push first asked.
        held: (key, why) of entries that were left alone because the deal changed meanwhile or waits for a person.
        unavailable: by system, why the push had to stop calling it.
    """

    created: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    sent: int = 0
    written_back: int = 0
    refused: int = 0
    schedules: int = 0
    templates: dict[str, dict[str, Any]] = field(default_factory=dict)
    listed: list[dict[str, Any]] | None = None
    templates_made: int = 0
    templates_deleted: int = 0
    held: list[tuple[str, str]] = field(default_factory=list)
    unavailable: dict[str, str] = field(default_factory=dict)

    def exists(self, entity: str, record: dict[str, Any]) -> None:
        """Keep what QuickBooks returned; threads may do so at the same time."""
        self.created.setdefault(entity, {})[str(record["Id"])] = record

    def count(self, entity: str) -> int:
        """Objects of one entity that now exist because of this push."""
        return len(self.created.get(entity, ()))


def push(context: PushContext, outcome: PushOutcome) -> None:
    """Do everything that is ready, and say in ``outcome`` what came of it. The caller holds the push lock.

    Raises:
        AccessRefused: a connection needs a person; what was done before stands in ``outcome``.
    """
    changed = change_schedules(context.state, context.environment.mode, context.planned, context.clock, outcome.held)
    outcome.schedules += len(changed)
    _settle_unclear(context, outcome)
    for operation in TEMPLATE_ENDS:
        end_templates(context, _runnable(context, operation, outcome), outcome)
    for operation in CREATES:
        if "quickbooks" in outcome.unavailable:
            break
        entries = _runnable(context, operation, outcome)
        if operation in BILLS:
            entries = _still_planned(context, entries, changed, outcome)
        for group in _chunks(entries, context.rules.push.quickbooks_batch):
            if "quickbooks" in outcome.unavailable:
                break
            if operation == "create_invoice":
                _send(context, outcome, meanwhile=True)
            _create(context, group, outcome)
        if entries and operation in {entry.operation for entry in context.state.ledger.sending(FLOW)}:
            _settle_unclear(context, outcome)
    if "quickbooks" not in outcome.unavailable:
        templates = _still_planned(context, _runnable(context, CREATE_TEMPLATE, outcome), changed, outcome)
        create_templates(context, templates, outcome)
    if "quickbooks" not in outcome.unavailable:
        _send(context, outcome)
    for operation in WRITE_BACKS:
        if "salesforce" in outcome.unavailable:
            break
        _write_back(context, operation, outcome)


# What may run


def _runnable(context: PushContext, operation: str, outcome: PushOutcome) -> list[LedgerEntry]:
    planned = context.planned if operation in (*CREATES, CREATE_TEMPLATE, *TEMPLATE_ENDS) else None
    found = runnable(context.state, FLOW, operation, context.environment.mode, context.clock(), outcome.held, planned)
    # Numbers rise with the dates of invoices, and with the periods of a deal.
    return sorted(
        found, key=lambda one: (one.txn_date or date.min, one.source_id if one.txn_date else "", period_of(one.key) or 0)
    )


def _still_planned(
    context: PushContext, entries: list[LedgerEntry], changed: Collection[str], outcome: PushOutcome
) -> list[LedgerEntry]:
    """What bills a deal that nothing has changed of since it was planned.

    Args:
        changed: deals whose billing schedule this push has changed: what was planned by the one before is planned anew.
    """
    if not entries:
        return []
    outcome.held += [(entry.key, "its billing schedule was changed") for entry in entries if entry.source_id in changed]
    entries = _still_true(context, [entry for entry in entries if entry.source_id not in changed], outcome)
    if context.rules.recurring.bill_by != "template":
        return entries
    kept = without_unknown_templates(context, [entry for entry in entries if _is_of_several(entry)], outcome)
    return [entry for entry in entries if entry in kept or not _is_of_several(entry)]


def _is_of_several(entry: LedgerEntry) -> bool:
    """Whether it bills one or more periods of its deal, not the whole of it."""
    return period_of(entry.key) is not None or entry.operation == CREATE_TEMPLATE


def _still_true(context: PushContext, entries: list[LedgerEntry], outcome: PushOutcome) -> list[LedgerEntry]:
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
        elif not _agrees(_cents(record.get("Amount")), entry, context.deal_amounts.get(entry.source_id)):
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
    amount = _cents((record or {}).get("Amount"))
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


# Creating


def _create(context: PushContext, entries: Sequence[LedgerEntry], outcome: PushOutcome) -> None:
    """Send up to thirty creates of one kind in one batch call, under a request id that the ledger holds beforehand."""
    group_id = uuid.uuid4().hex
    sendings: list[Sending] = []
    by_bid: dict[str, LedgerEntry] = {}
    items: list[BatchItem] = []
    for entry in entries:
        missing = unresolved_reference(entry, context.state.ledger)
        if missing is not None:
            _give_up(context, entry, "missing_reference", f"{missing} does not exist in QuickBooks yet", outcome)
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
    _send_batch(context, items, by_bid, group_id, outcome)


def _send_batch(
    context: PushContext, items: list[BatchItem], by_bid: dict[str, LedgerEntry], group_id: str, outcome: PushOutcome
) -> None:
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
            _create(context, [entry], outcome)
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
            _compare_total(context, entry, answer, outcome)


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
            _give_up(context, entry, error.code, error.message, outcome)
        else:
            wait = timedelta(0) if error.code == "6140" else next_wait(context.rules.push, entry.attempts + 1)
            context.state.ledger.fail(entry.key, error.code, error.message, now + wait, now)
            outcome.refused += 1
        return
    _give_up(context, entry, error.code, error.message, outcome)


def _give_up(context: PushContext, entry: LedgerEntry, code: str, message: str, outcome: PushOutcome) -> None:
    give_up(context.state.ledger, entry, code, message, context.clock())
    outcome.refused += 1


def _compare_total(context: PushContext, entry: LedgerEntry, invoice: dict[str, Any], outcome: PushOutcome) -> None:
    """An invoice whose total is not the deal's is not mailed: its e-mail waits for a person from the start."""
    text = _wrong_total(entry, invoice)
    if text is None:
        return
    for send in context.state.ledger.entries(flow=FLOW, opportunity_id=entry.opportunity_id):
        if send.operation == "send_invoice" and send.status in ("planned", "failed") and entry.key in send.depends_on:
            context.state.ledger.bury(send.key, "total_differs", text, context.clock())
            outcome.refused += 1


def _wrong_total(entry: LedgerEntry, invoice: Mapping[str, Any]) -> str | None:
    """What to tell when QuickBooks' total without tax is not the deal's to the cent; ``None`` where it is."""
    if entry.amount is None or invoice.get("TotalAmt") is None:
        return None
    tax = _cents((invoice.get("TxnTaxDetail") or {}).get("TotalTax")) or Decimal(0)
    net = (_cents(invoice["TotalAmt"]) or Decimal(0)) - tax
    if net == to_cents(entry.amount):
        return None
    return (
        f"QuickBooks made invoice {invoice.get('DocNumber') or invoice.get('Id')} with {net} {entry.currency} before tax, "
        f"but the deal is {entry.amount} {entry.currency}. It was not e-mailed. Correct or void it in QuickBooks; "
        "send it from there."
    )


# Settling what is unclear


def _settle_unclear(context: PushContext, outcome: PushOutcome) -> None:
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
        repeat_templates(context, lost, _still_true(context, lost, outcome) if lost else [], outcome)
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
                _compare_total(context, entry, found[entry.key], outcome)
    lost = [entry for entry in group if entry.key not in found and _status(context, entry) == "sending"]
    if not lost:
        return
    whole_group_lost = len(lost) == len(context.state.ledger.group(group[0].group_id)) if group[0].group_id else True
    # A deal that was changed meanwhile is not billed as it was: nothing is repeated, and it is planned anew after the wait.
    unchanged = _still_true(context, lost, outcome) if lost[0].operation in BILLS else lost
    if whole_group_lost and len(unchanged) == len(lost):
        items = [BatchItem(str(entry.group_position), "create", entry.target_object, entry.sent_body or "") for entry in lost]
        by_bid = {str(entry.group_position): entry for entry in lost}
        _send_batch(context, items, by_bid, str(lost[0].request_id), outcome)
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
    for group in _chunks(entries, 100):
        ids = {entry.key: _invoice_of(context, entry)[0] for entry in group}
        quoted = ",".join(context.quickbooks.quoted(invoice_id) for invoice_id in ids.values())
        invoices = {str(invoice["Id"]): invoice for invoice in context.quickbooks.query("Invoice", f"Id IN ({quoted})")}
        for entry in group:
            invoice = invoices.get(ids[entry.key])
            if invoice is not None and invoice.get("EmailStatus") == "EmailSent":
                _sent(context, entry, invoice, outcome)
            else:
                _send_one(context, entry, str(entry.request_id), outcome)


# Sending


def _send(context: PushContext, outcome: PushOutcome, *, meanwhile: bool = False) -> None:
    """Have QuickBooks mail the invoices; a send that fails is retried as a send, never as an invoice.

    Args:
        meanwhile: only for as long as Intuit's limit holds back the next batch.
    """
    if meanwhile and context.quickbooks.batch_free_in() < WORTH_SENDING_MEANWHILE:
        return
    # What is held is told by the last look, behind all batches.
    entries = _runnable(context, "send_invoice", PushOutcome() if meanwhile else outcome)
    if not entries:
        return
    context.progress(f"e-mailing {len(entries)} invoices from QuickBooks")
    with ThreadPoolExecutor(SEND_THREADS) as pool:
        for group in _chunks(entries, SEND_GROUP):
            if "quickbooks" in outcome.unavailable or (meanwhile and not context.quickbooks.batch_free_in()):
                return
            ids = {entry.key: uuid.uuid4().hex for entry in group}
            context.state.ledger.start([Sending(entry.key, ids[entry.key], "", None, None) for entry in group], context.clock())
            list(pool.map(lambda entry, ids=ids: _send_one(context, entry, ids[entry.key], outcome), group))


def _send_one(context: PushContext, entry: LedgerEntry, request_id: str, outcome: PushOutcome) -> None:
    now = context.clock
    invoice_id, known = _invoice_of(context, entry)
    if known.get("EmailStatus") == "EmailSent":
        # It was found, not created just now: somebody mailed it, or this program did before its state was restored.
        _sent(context, entry, known, outcome)
        return
    wrong = _wrong_total(entry, known)
    if wrong is not None:
        # A crash between the invoice and the comparison left its e-mail waiting.
        context.state.ledger.bury(entry.key, "total_differs", wrong, now())
        outcome.refused += 1
        return
    try:
        invoice = context.quickbooks.send_invoice(invoice_id, request_id)
    except OutcomeUnknown as error:
        logger.warning("no answer to the e-mail of %s: %s", entry.source_id, error.code)
        return
    except ServiceUnavailable as error:
        outcome.unavailable["quickbooks"] = error.message
        context.state.ledger.fail(entry.key, error.code, error.message, now() + first_wait(context.rules.push), now())
        return
    except StaleRecord as error:
        context.state.ledger.fail(
            entry.key, error.code, error.message, now() + next_wait(context.rules.push, entry.attempts + 1), now()
        )
        return
    except RecordRefused as error:
        _give_up(context, entry, error.code, error.message, outcome)
        return
    except AccessRefused as error:
        outcome.unavailable["quickbooks"] = error.message
        context.state.ledger.release(entry.key, now())
        return
    _sent(context, entry, invoice, outcome)


def _sent(context: PushContext, entry: LedgerEntry, invoice: dict[str, Any], outcome: PushOutcome) -> None:
    context.state.ledger.finish(entry.key, str(invoice["Id"]), to_json(invoice), context.clock())
    outcome.sent += 1
    outcome.exists("Invoice", invoice)
    written = [
        other
        for other in context.state.ledger.entries(flow=FLOW, opportunity_id=entry.opportunity_id)
        if other.operation == "write_back_opportunity"
        and "$invoice.status" in other.payload
        and (period_of(" ".join(entry.depends_on)) is None or set(entry.depends_on) & set(other.depends_on))
    ]
    if any(other.status == "done" for other in written) and not any(other.key.endswith(":sent") for other in written):
        # The deal was told "Invoiced" while the e-mail failed; now it is "Sent".
        context.state.ledger.enqueue([_late_status(entry, written[0])], entry.batch or "", context.clock())


def _late_status(entry: LedgerEntry, written: LedgerEntry) -> PlannedWrite:
    fields = parse_json(written.payload)
    status = {name: value for name, value in fields.items() if value == "$invoice.status" or name == "Id"}
    return PlannedWrite(
        key=f"{written.key.rsplit(':', 1)[0]}:sent",
        plan_id=entry.plan_id,
        flow=FLOW,
        operation="write_back_opportunity",
        target_system="salesforce",
        target_object="Opportunity",
        source_object=entry.source_object,
        source_id=entry.source_id,
        account_id=entry.account_id,
        opportunity_id=entry.opportunity_id,
        depends_on=(entry.key,),
        payload=to_json(status),
        reason="The invoice was e-mailed after the deal had been told of it",
        decided_from=entry.decided_from,
        label=entry.label,
        customer_name=entry.customer_name,
        amount=entry.amount,
        currency=entry.currency,
        txn_date=entry.txn_date,
        due_date=entry.due_date,
        position=entry.position + 10,
    )


# Writing back


def _write_back(context: PushContext, operation: str, outcome: PushOutcome) -> None:
    """Write ids, links and status to Salesforce."""
    entries = _runnable(context, operation, outcome)
    done = update_records(
        context.state.ledger,
        context.salesforce,
        context.rules.push,
        entries,
        lambda entry: {"Id": entry.source_id, **_resolved_fields(context, entry)},
        context.clock,
        context.progress,
    )
    outcome.written_back += done.written
    outcome.refused += done.refused
    if done.unavailable is not None:
        outcome.unavailable["salesforce"] = done.unavailable


def _resolved_fields(context: PushContext, entry: LedgerEntry) -> dict[str, Any]:
    fields = {name: value for name, value in parse_json(entry.payload).items() if name != "Id"}
    if entry.operation == "write_back_account":
        customer = _newest(context, entry, ("create_customer",))
        known = {"$customer.Id": customer.result_id} if customer is not None else {}
    else:
        invoice = _newest(context, entry, ("send_invoice", "create_invoice"))
        known = invoice_fields(parse_json(invoice.result or "{}"), context.environment) if invoice is not None else {}
    return {name: known.get(value, value) if isinstance(value, str) else value for name, value in fields.items()}


def _newest(context: PushContext, entry: LedgerEntry, operations: tuple[str, ...]) -> LedgerEntry | None:
    """The first of the operations that is done for this deal (or account)."""
    if entry.operation == "write_back_account":
        candidates: Iterable[LedgerEntry | None] = (context.state.ledger.entry(key) for key in entry.depends_on)
    else:
        own = set(entry.depends_on)
        candidates = [
            other
            for other in context.state.ledger.entries(flow=FLOW, opportunity_id=entry.opportunity_id)
            if other.key in own or own & set(other.depends_on)
        ]
    done = [candidate for candidate in candidates if candidate is not None and candidate.status == "done"]
    for operation in operations:
        for candidate in done:
            if candidate.operation == operation:
                return candidate
    return None


# Small things


def _invoice_of(context: PushContext, entry: LedgerEntry) -> tuple[str, dict[str, Any]]:
    """The id of the invoice that an entry mails, and the invoice as it was when it was created or found."""
    named = str((parse_json(entry.payload)).get("Id") or "$")
    if not named.startswith("$"):
        return named, {}
    for key in entry.depends_on:
        dependency = context.state.ledger.entry(key)
        if dependency is not None and dependency.operation == "create_invoice" and dependency.result_id:
            return dependency.result_id, parse_json(dependency.result or "{}")
    raise LookupError(f"{entry.key} has no invoice to send")


def _status(context: PushContext, entry: LedgerEntry) -> str:
    current = context.state.ledger.entry(entry.key)
    return current.status if current is not None else "gone"


def _cents(value: Any) -> Decimal | None:
    return None if value is None else to_cents(Decimal(str(value)))


def _chunks(entries: Sequence[LedgerEntry], size: int) -> Iterator[Sequence[LedgerEntry]]:
    for start in range(0, len(entries), size):
        yield entries[start : start + size]
