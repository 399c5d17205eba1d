"""Has QuickBooks mail invoices; a send that fails is retried as a send, never as an invoice."""

from __future__ import annotations

import logging
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from qbsf_pipeline.errors import AccessRefused, OutcomeUnknown, RecordRefused, ServiceUnavailable, StaleRecord
from qbsf_pipeline.flows.retries import first_wait, next_wait
from qbsf_pipeline.invoices.push_context import PushContext, PushOutcome
from qbsf_pipeline.invoices.push_creating import give_up_on, wrong_total
from qbsf_pipeline.invoices.push_planned import chunks, runnable_now
from qbsf_pipeline.invoices.recurring.schedule import period_of
from qbsf_pipeline.invoices.tables import FLOW
from qbsf_pipeline.money import parse_json, to_json
from qbsf_pipeline.state.ledger import LedgerEntry, PlannedWrite, Sending

logger = logging.getLogger(__name__)

#: Sends are put to work in groups of this many, so that a crash leaves at most this many unclear.
_SEND_GROUP = 20
#: Intuit works on ten calls of a company at the same time at most.
_SEND_THREADS = 8
#: A shorter wait for the next batch (seconds) is not worth looking for what could be mailed in it.
_WORTH_SENDING_MEANWHILE = 2.0


def send(context: PushContext, outcome: PushOutcome, *, meanwhile: bool = False) -> None:
    """Have QuickBooks mail the invoices; a send that fails is retried as a send, never as an invoice.

    Args:
        meanwhile: only for as long as Intuit's limit holds back the next batch.
    """
    if meanwhile and context.quickbooks.batch_free_in() < _WORTH_SENDING_MEANWHILE:
        return
    # What is held is told by the last look, behind all batches.
    entries = runnable_now(context, "send_invoice", PushOutcome() if meanwhile else outcome)
    if not entries:
        return
    context.progress(f"e-mailing {len(entries)} invoices from QuickBooks")
    with ThreadPoolExecutor(_SEND_THREADS) as pool:
        for group in chunks(entries, _SEND_GROUP):
            if "quickbooks" in outcome.unavailable or (meanwhile and not context.quickbooks.batch_free_in()):
                return
            ids = {entry.key: uuid.uuid4().hex for entry in group}
            context.state.ledger.start([Sending(entry.key, ids[entry.key], "", None, None) for entry in group], context.clock())
            list(pool.map(lambda entry, ids=ids: send_one(context, entry, ids[entry.key], outcome), group))


def send_one(context: PushContext, entry: LedgerEntry, request_id: str, outcome: PushOutcome) -> None:
    """Have one invoice mailed that is ``sending`` in the ledger, unless it was mailed already or is over another amount."""
    now = context.clock
    invoice_id, known = invoice_of(context, entry)
    if known.get("EmailStatus") == "EmailSent":
        # It was found, not created just now: somebody mailed it, or this program did before its state was restored.
        sent(context, entry, known, outcome)
        return
    wrong = wrong_total(entry, known)
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
        give_up_on(context, entry, error.code, error.message, outcome)
        return
    except AccessRefused as error:
        outcome.unavailable["quickbooks"] = error.message
        context.state.ledger.release(entry.key, now())
        return
    sent(context, entry, invoice, outcome)


def sent(context: PushContext, entry: LedgerEntry, invoice: dict[str, Any], outcome: PushOutcome) -> None:
    """Keep that an invoice was mailed, and tell its deal if that was told otherwise before."""
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


def invoice_of(context: PushContext, entry: LedgerEntry) -> tuple[str, dict[str, Any]]:
    """The id of the invoice that an entry mails, and the invoice as it was when it was created or found."""
    named = str((parse_json(entry.payload)).get("Id") or "$")
    if not named.startswith("$"):
        return named, {}
    for key in entry.depends_on:
        dependency = context.state.ledger.entry(key)
        if dependency is not None and dependency.operation == "create_invoice" and dependency.result_id:
            return dependency.result_id, parse_json(dependency.result or "{}")
    raise LookupError(f"{entry.key} has no invoice to send")
