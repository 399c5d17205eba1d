"""How a planned write of the ageing flow becomes an API call, and what its answer means.

Every write goes through the ledger, as in the invoice flow. Whoever finds one in ``sending`` knows that nobody knows:

* an update of a deal or a task writes the same values again, so it may be repeated;
* a new task is looked for by its deal and subject before it is created again, once Salesforce can no longer be at work on it;
* a reminder is looked for on its invoice, which says when QuickBooks mailed it last, and then repeated with the same request id.

Right before a reminder goes out its invoice is read once more: who has paid meanwhile is reminded of nothing.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from qbsf_pipeline.aging.tables import FLOW
from qbsf_pipeline.errors import AccessRefused, OutcomeUnknown, RecordRefused, ServiceUnavailable, StaleRecord
from qbsf_pipeline.flows.retries import first_wait, give_up, next_wait
from qbsf_pipeline.flows.runnable import runnable
from qbsf_pipeline.flows.salesforce_updates import update_records
from qbsf_pipeline.money import parse_json, to_json
from qbsf_pipeline.quickbooks.client import QuickBooksClient
from qbsf_pipeline.salesforce.client import SalesforceClient, SaveResult
from qbsf_pipeline.settings import Environment, Rules
from qbsf_pipeline.state.database import State
from qbsf_pipeline.state.ledger import Finished, LedgerEntry, Sending

logger = logging.getLogger(__name__)

#: What makes a task the same task, when it is looked for. Its day changes from one attempt to the next.
TASK_SAME_BY = ("WhatId", "Subject")
#: QuickBooks' query language takes this many ids at once without trouble.
_IDS_PER_QUERY = 100
#: Intuit's clock and ours may differ by this much.
_CLOCK_TOLERANCE = timedelta(minutes=5)


@dataclass(frozen=True)
class PushContext:
    """What a push works with.

    Attributes:
        planned: payload by key in the newest plan; what is not in it just so is left alone.
        clock: now, aware UTC.
        progress: told in plain words what is being done.
    """

    state: State
    quickbooks: QuickBooksClient
    salesforce: SalesforceClient
    rules: Rules
    environment: Environment
    planned: Mapping[str, str]
    clock: Callable[[], datetime]
    progress: Callable[[str], None]


@dataclass
class PushOutcome:
    """What a push came to.

    Attributes:
        invoices: invoices as QuickBooks returned them last, by id.
        deals, reminders, tasks_created, tasks_closed: what was done because of this push.
        refused: writes that a service refused, for good or for now.
        held: (key, why) of entries that were left alone.
        unavailable: by system, why the push had to stop calling it.
    """

    invoices: dict[str, dict[str, Any]] = field(default_factory=dict)
    deals: int = 0
    reminders: int = 0
    tasks_created: int = 0
    tasks_closed: int = 0
    refused: int = 0
    held: list[tuple[str, str]] = field(default_factory=list)
    unavailable: dict[str, str] = field(default_factory=dict)


def push(context: PushContext, outcome: PushOutcome) -> None:
    """Do everything that is ready, and say in ``outcome`` what came of it. The caller holds the push lock.

    Raises:
        AccessRefused: a connection needs a person; what was done before stands in ``outcome``.
    """
    _settle_unclear(context, outcome)
    outcome.deals += _update(context, _runnable(context, "update_opportunity", outcome), outcome)
    if "salesforce" not in outcome.unavailable:
        _close_tasks(context, outcome)
    if "salesforce" not in outcome.unavailable:
        _create_tasks(context, outcome)
    if "quickbooks" not in outcome.unavailable:
        _remind(context, outcome)


def _runnable(context: PushContext, operation: str, outcome: PushOutcome) -> list[LedgerEntry]:
    now = context.clock()
    return runnable(context.state, FLOW, operation, context.environment.mode, now, outcome.held, context.planned)


# Salesforce


def _update(context: PushContext, entries: Sequence[LedgerEntry], outcome: PushOutcome) -> int:
    done = update_records(
        context.state.ledger,
        context.salesforce,
        context.rules.push,
        entries,
        lambda entry: dict(parse_json(entry.payload)),
        context.clock,
        context.progress,
    )
    outcome.refused += done.refused
    if done.unavailable is not None:
        outcome.unavailable["salesforce"] = done.unavailable
    return done.written


def _close_tasks(context: PushContext, outcome: PushOutcome) -> None:
    """Close tasks of settled invoices; one that somebody closed or deleted needs nothing more."""
    entries = _runnable(context, "close_task", outcome)
    if not entries:
        return
    ids = {entry.key: str(parse_json(entry.payload)["Id"]) for entry in entries}
    try:
        found = context.salesforce.retrieve("Task", list(ids.values()), ["IsClosed"])
    except (ServiceUnavailable, OutcomeUnknown) as error:
        outcome.unavailable["salesforce"] = error.message
        return
    except RecordRefused as error:
        logger.warning("tasks cannot be looked at: %s", error.message)
        found = {task_id: {} for task_id in ids.values()}
    gone = [entry for entry in entries if (record := found.get(ids[entry.key])) is None or record.get("IsClosed") is True]
    if gone:
        context.state.ledger.start([Sending(entry.key, uuid.uuid4().hex, entry.payload) for entry in gone], context.clock())
        context.state.ledger.finish_many([Finished(entry.key, ids[entry.key], entry.payload) for entry in gone], context.clock())
    _update(context, [entry for entry in entries if entry not in gone], outcome)
    known = {task.task_id: task for task in context.state.tasks.all()}
    for key, entry in context.state.ledger.lookup(list(ids)).items():
        if entry.status == "done":
            outcome.tasks_closed += 1
            task = known.get(ids[key])
            if task is not None:
                context.state.tasks.close(task.invoice_id, task.threshold, context.clock())


def _create_tasks(context: PushContext, outcome: PushOutcome) -> None:
    """Create tasks, in collections; one that is there already by its deal and subject counts as created."""
    rules, ledger = context.rules.push, context.state.ledger
    for group in _chunks(_differing(_runnable(context, "create_task", outcome), outcome), rules.salesforce_batch):
        ledger.start([Sending(entry.key, uuid.uuid4().hex, entry.payload) for entry in group], context.clock())
        context.progress(f"creating {len(group)} tasks in Salesforce")
        try:
            results = context.salesforce.create(
                "Task", [parse_json(entry.payload) for entry in group], same_by=TASK_SAME_BY, batch=rules.salesforce_batch
            )
        except OutcomeUnknown as error:
            outcome.unavailable["salesforce"] = error.message
            return  # stays in sending; looked for later
        except ServiceUnavailable as error:
            outcome.unavailable["salesforce"] = error.message
            for entry in group:
                ledger.fail(entry.key, error.code, error.message, context.clock() + first_wait(rules), context.clock())
            return
        except AccessRefused:
            for entry in group:
                ledger.release(entry.key, context.clock())
            raise
        except RecordRefused as error:
            for entry in group:
                give_up(ledger, entry, error.code, error.message, context.clock())
            outcome.refused += len(group)
            continue
        for entry, result in zip(group, results, strict=True):
            _created(context, entry, result, outcome)


def _differing(entries: Sequence[LedgerEntry], outcome: PushOutcome) -> list[LedgerEntry]:
    """The entries that can be told apart when they are looked for; others wait for the next push."""
    seen: set[tuple[str, str]] = set()
    found: list[LedgerEntry] = []
    for entry in entries:
        body = parse_json(entry.payload)
        same = (str(body.get("WhatId")), " ".join(str(body.get("Subject")).split()).casefold())
        if same in seen:
            outcome.held.append((entry.key, "another task of the deal has the same subject"))
        else:
            seen.add(same)
            found.append(entry)
    return found


def _created(context: PushContext, entry: LedgerEntry, result: SaveResult, outcome: PushOutcome) -> None:
    ledger, rules, now = context.state.ledger, context.rules.push, context.clock()
    if result.success:
        _, _, invoice_id, threshold = entry.key.split(":")
        with context.state.transaction():
            ledger.finish(entry.key, result.id, entry.payload, now)
            context.state.tasks.put(invoice_id, int(threshold), result.id, now)
        outcome.tasks_created += 1
    elif isinstance(result.error, OutcomeUnknown):
        return  # stays in sending
    elif isinstance(result.error, ServiceUnavailable):
        outcome.unavailable["salesforce"] = str(result.message)
        ledger.fail(entry.key, str(result.code), str(result.message), now + next_wait(rules, entry.attempts + 1), now)
    else:
        give_up(ledger, entry, str(result.code), str(result.message), now)
        outcome.refused += 1


# Reminders


def _remind(context: PushContext, outcome: PushOutcome) -> None:
    """Have QuickBooks mail invoices once more, after one look at each of them."""
    for group in _chunks(_runnable(context, "send_reminder", outcome), _IDS_PER_QUERY):
        try:
            invoices = _invoices(context, group)
        except (ServiceUnavailable, OutcomeUnknown) as error:
            outcome.unavailable["quickbooks"] = error.message
            return
        context.progress(f"sending {len(group)} reminders from QuickBooks")
        for entry in group:
            invoice = invoices.get(_invoice_id(entry))
            why = _no_longer_due(invoice, parse_json(entry.payload))
            if invoice is not None:
                outcome.invoices[_invoice_id(entry)] = invoice
            if why is not None:
                _withdraw(context, entry)
                outcome.held.append((entry.key, why))
                continue
            request_id = uuid.uuid4().hex
            context.state.ledger.start([Sending(entry.key, request_id, entry.payload)], context.clock())
            _send(context, entry, request_id, outcome)
            if "quickbooks" in outcome.unavailable:
                return


def _send(context: PushContext, entry: LedgerEntry, request_id: str, outcome: PushOutcome) -> None:
    ledger, rules, now = context.state.ledger, context.rules.push, context.clock
    try:
        invoice = context.quickbooks.send_invoice(_invoice_id(entry), request_id)
    except OutcomeUnknown as error:
        logger.warning("no answer to the reminder of invoice %s: %s", entry.source_id, error.code)
    except ServiceUnavailable as error:
        outcome.unavailable["quickbooks"] = error.message
        ledger.fail(entry.key, error.code, error.message, now() + first_wait(rules), now())
    except StaleRecord as error:
        ledger.fail(entry.key, error.code, error.message, now() + next_wait(rules, entry.attempts + 1), now())
    except RecordRefused as error:
        give_up(ledger, entry, error.code, error.message, now())
        outcome.refused += 1
    except AccessRefused:
        ledger.release(entry.key, now())
        raise
    else:
        _sent(context, entry, request_id, invoice, now(), outcome)


def _sent(
    context: PushContext,
    entry: LedgerEntry,
    request_id: str,
    invoice: dict[str, Any],
    sent_at: datetime,
    outcome: PushOutcome,
) -> None:
    with context.state.transaction():
        context.state.ledger.finish(entry.key, _invoice_id(entry), to_json(invoice), context.clock())
        context.state.reminders.record(_invoice_id(entry), request_id, sent_at)
    outcome.invoices[_invoice_id(entry)] = invoice
    outcome.reminders += 1


def _no_longer_due(invoice: Mapping[str, Any] | None, body: Mapping[str, Any]) -> str | None:
    """Why a reminder that was planned is not sent, from the invoice as it is now; ``None`` where it still is right."""
    if invoice is None:
        return "the invoice is no longer in QuickBooks"
    if Decimal(str(invoice.get("Balance") or 0)) <= 0:
        return "the invoice was settled meanwhile"
    if _address(invoice) != _address(body):
        return "the invoice has another e-mail address by now"
    return None


def _address(record: Mapping[str, Any]) -> str:
    return str((record.get("BillEmail") or {}).get("Address") or "").strip().lower()


def _withdraw(context: PushContext, entry: LedgerEntry) -> None:
    """Take one write out of the queue; the next plan may ask for it again."""
    others = {other.key for other in context.state.ledger.waiting(FLOW)} - {entry.key}
    context.state.ledger.withdraw(FLOW, others, context.clock())


def _invoices(context: PushContext, entries: Sequence[LedgerEntry]) -> dict[str, dict[str, Any]]:
    quoted = ",".join(context.quickbooks.quoted(_invoice_id(entry)) for entry in entries)
    return {str(one["Id"]): one for one in context.quickbooks.query("Invoice", f"Id IN ({quoted})")}


def _invoice_id(entry: LedgerEntry) -> str:
    return str(parse_json(entry.payload)["Id"])


# Settling what is unclear


def _settle_unclear(context: PushContext, outcome: PushOutcome) -> None:
    unclear = context.state.ledger.sending(FLOW)
    if unclear:
        context.progress(f"looking for {len(unclear)} writes whose answer was lost")
    for entry in unclear:
        waited = context.clock() - (entry.sending_at or entry.created_at)
        if entry.operation in ("update_opportunity", "close_task"):
            context.state.ledger.release(entry.key, context.clock())
        elif entry.operation == "create_task":
            # It is looked for before it is created; too early a look would find nothing and create a second one.
            if waited >= timedelta(seconds=context.rules.push.unknown_outcome_wait_seconds):
                context.state.ledger.release(entry.key, context.clock())
            else:
                outcome.held.append((entry.key, "its answer was lost; it is looked for again in the next pass"))
    reminders = [entry for entry in unclear if entry.operation == "send_reminder"]
    for group in _chunks(reminders, _IDS_PER_QUERY):
        try:
            invoices = _invoices(context, group)
        except (ServiceUnavailable, OutcomeUnknown) as error:
            outcome.unavailable["quickbooks"] = error.message
            return
        for entry in group:
            _settle_reminder(context, entry, invoices.get(_invoice_id(entry)), outcome)


def _settle_reminder(context: PushContext, entry: LedgerEntry, invoice: dict[str, Any] | None, outcome: PushOutcome) -> None:
    sending_at = entry.sending_at or entry.created_at
    delivered_at = _delivered_at(invoice)
    if invoice is not None and delivered_at is not None and delivered_at >= sending_at - _CLOCK_TOLERANCE:
        _sent(context, entry, str(entry.request_id), invoice, delivered_at, outcome)
    elif _no_longer_due(invoice, parse_json(entry.sent_body or entry.payload)) is not None:
        context.state.ledger.release(entry.key, context.clock())
    else:
        _send(context, entry, str(entry.request_id), outcome)


def _delivered_at(invoice: Mapping[str, Any] | None) -> datetime | None:
    """When QuickBooks mailed an invoice last (``DeliveryInfo.DeliveryTime``), where it says so."""
    text = str(((invoice or {}).get("DeliveryInfo") or {}).get("DeliveryTime") or "")
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).astimezone(UTC)


def _chunks(entries: Sequence[LedgerEntry], size: int) -> Iterator[Sequence[LedgerEntry]]:
    for start in range(0, len(entries), size):
        yield entries[start : start + size]
