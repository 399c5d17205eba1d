"""Makes and deletes recurring templates of QuickBooks, each once, through the ledger as everything that is pushed.

One call for one template: that batches take them is documented nowhere. Before one is made, or a period of its deal is billed,
QuickBooks is asked which templates it has: one that nobody remembers, because the state was lost, is planned with, not doubled.
Deleting is asked of QuickBooks until it says that there is no such template.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from qbsf_pipeline.customers.texts import short_id
from qbsf_pipeline.errors import AccessRefused, OutcomeUnknown, RecordRefused, ServiceUnavailable, StaleRecord
from qbsf_pipeline.flows.retries import first_wait, give_up, next_wait
from qbsf_pipeline.invoices.push_context import PushContext, PushOutcome
from qbsf_pipeline.invoices.recurring.known_templates import OPERATIONS, named_as, template_deal
from qbsf_pipeline.invoices.references import resolve_body, unresolved_reference
from qbsf_pipeline.invoices.tables import FLOW
from qbsf_pipeline.money import parse_json, to_json
from qbsf_pipeline.quickbooks.templates import ENTITY, reference, unwrapped
from qbsf_pipeline.state.ledger import LedgerEntry, Sending

logger = logging.getLogger(__name__)

#: There is no such object (Intuit's code, and HTTP's where a company answers without one).
_NOT_FOUND = ("610", "404")
#: The person who connected may not see this kind of record.
_NOT_FOR_THIS_USER = "5020"


def without_unknown_templates(context: PushContext, entries: Sequence[LedgerEntry], outcome: PushOutcome) -> list[LedgerEntry]:
    """Invoices and templates of deals that have no template in QuickBooks but those that they were planned with. The others are
    left for the next plan, which sees what was found here. Costs one read a push.

    A company that does not list its templates has none that qbsf made: there, nothing is held back.
    """
    if not entries:
        return []
    try:
        outcome.listed = listed = outcome.listed if outcome.listed is not None else context.quickbooks.recurring_templates()
    except (ServiceUnavailable, OutcomeUnknown) as error:
        outcome.unavailable["quickbooks"] = error.message
        return []
    except (RecordRefused, AccessRefused) as error:
        if isinstance(error, AccessRefused) and error.code != _NOT_FOR_THIS_USER:
            raise
        logger.warning("QuickBooks lists no recurring templates: %s (%s)", error.code, error.message)
        return list(entries)
    known = {*context.known_templates, *_made_before(context)}
    unknown: dict[str, dict[str, Any]] = {}
    for record in listed:
        deal = template_deal(record)
        if deal is not None and str(record["Id"]) not in known:
            unknown[deal] = record
    kept: list[LedgerEntry] = []
    for entry in entries:
        found = unknown.get(short_id(entry.source_id))
        if found is None:
            kept.append(entry)
            continue
        outcome.templates[str(found["Id"])] = found
        outcome.held.append(
            (entry.key, f"QuickBooks has recurring template {found['Id']} of the deal, which is planned with first")
        )
    return kept


def create_templates(context: PushContext, entries: Iterable[LedgerEntry], outcome: PushOutcome) -> None:
    """Make templates, one after the other."""
    for entry in entries:
        if "quickbooks" in outcome.unavailable:
            return
        missing = unresolved_reference(entry, context.state.ledger)
        if missing is not None:
            _give_up(context, entry, "missing_reference", f"{missing} does not exist in QuickBooks yet", outcome)
            continue
        body = to_json(resolve_body(entry, context.state.ledger, context.document_numbers))
        request_id = uuid.uuid4().hex
        context.state.ledger.start([Sending(entry.key, request_id, body)], context.clock())
        context.progress(f"making a recurring template in QuickBooks for {entry.label}")
        _create(context, entry, body, request_id, outcome)


def settle_templates(context: PushContext, entries: Sequence[LedgerEntry], outcome: PushOutcome) -> list[LedgerEntry]:
    """Find the templates whose answer was lost by their names. Returns those that QuickBooks does not have."""
    if not entries:
        return []
    try:
        listed = context.quickbooks.recurring_templates()
    except RecordRefused as error:
        outcome.held += [
            (entry.key, f"its answer was lost, and QuickBooks lists no templates: {error.message}") for entry in entries
        ]
        return []
    made = _made_before(context)
    lost: list[LedgerEntry] = []
    for entry in entries:
        body = unwrapped(parse_json(entry.sent_body or entry.payload))
        found = [record for record in listed if str(record["Id"]) not in made and named_as(record, body)]
        if len(found) == 1:
            _made(context, entry, found[0], outcome)
        elif found:
            ids = ", ".join(str(record["Id"]) for record in found)
            text = f"QuickBooks holds more than one recurring template of these periods (ids {ids}). Delete them there."
            context.state.ledger.bury(entry.key, "duplicate_template", text, context.clock())
            outcome.refused += 1
        else:
            lost.append(entry)
    return lost


def repeat_templates(
    context: PushContext, lost: Sequence[LedgerEntry], unchanged: Sequence[LedgerEntry], outcome: PushOutcome
) -> None:
    """Send what QuickBooks does not have once more, the same under the same request id; what is not to be made any more waits
    until Intuit can no longer be working on it.

    Args:
        unchanged: those of ``lost`` whose deal still is what it was.
    """
    for entry in lost:
        if entry in unchanged and "quickbooks" not in outcome.unavailable:
            _create(context, entry, entry.sent_body or "", str(entry.request_id), outcome)
            continue
        waited = context.clock() - (entry.sending_at or entry.created_at)
        if waited >= timedelta(seconds=context.rules.push.unknown_outcome_wait_seconds):
            context.state.ledger.release(entry.key, context.clock())
        else:
            outcome.held.append((entry.key, "its answer was lost; it is looked for again in the next pass"))


def end_templates(context: PushContext, entries: Iterable[LedgerEntry], outcome: PushOutcome) -> None:
    """Delete templates, also those whose deletion was begun before; one that is not there any more is deleted."""
    for entry in entries:
        if "quickbooks" in outcome.unavailable:
            return
        request_id = uuid.uuid4().hex
        if entry.status != "sending":
            context.state.ledger.start([Sending(entry.key, request_id, entry.payload)], context.clock())
        _end(context, entry, request_id, outcome)


def _create(context: PushContext, entry: LedgerEntry, body: str, request_id: str, outcome: PushOutcome) -> None:
    try:
        record = context.quickbooks.create(ENTITY, body, request_id)
    except OutcomeUnknown as error:
        logger.warning("no answer to the recurring template of %s: %s (%s)", entry.source_id, error.code, error.message)
        return  # stays in sending; settled by looking
    except (ServiceUnavailable, StaleRecord, RecordRefused, AccessRefused) as error:
        _failed(context, entry, error, outcome)
        return
    if record.get("Id") in (None, ""):
        logger.warning("QuickBooks answered to the recurring template of %s without an id", entry.source_id)
        return  # the same
    _made(context, entry, record, outcome)


def _made(context: PushContext, entry: LedgerEntry, record: dict[str, Any], outcome: PushOutcome) -> None:
    context.state.ledger.finish(entry.key, str(record["Id"]), to_json(record), context.clock())
    outcome.templates[str(record["Id"])] = record
    outcome.templates_made += 1


def _end(context: PushContext, entry: LedgerEntry, request_id: str, outcome: PushOutcome) -> None:
    template_id = str(parse_json(entry.payload)["Id"])
    record: dict[str, Any] = {"Id": template_id, "Type": "Invoice"}
    try:
        try:
            record |= context.quickbooks.read(ENTITY, template_id)
            context.quickbooks.delete(ENTITY, to_json(reference(record)), request_id)
        except RecordRefused as error:
            # 610 is said of what is inactive, too: what is still listed is there.
            if error.code not in _NOT_FOUND or _is_listed(context, template_id):
                raise
    except OutcomeUnknown as error:
        logger.warning("no answer to the deletion of template %s: %s", template_id, error.code)
        return  # stays in sending; asked again
    except (ServiceUnavailable, StaleRecord, RecordRefused, AccessRefused) as error:
        _failed(context, entry, error, outcome)
        return
    deleted_at = context.quickbooks.server_time or context.clock()
    result = to_json({"Id": template_id, "deleted_at": deleted_at.isoformat()})
    context.state.ledger.finish(entry.key, template_id, result, context.clock())
    outcome.templates[template_id] = {**record, "status": "Deleted"}
    outcome.templates_deleted += 1


def _made_before(context: PushContext) -> set[str]:
    """Ids of the templates that the ledger knows."""
    return {entry.result_id for entry in context.state.ledger.of_operations(FLOW, OPERATIONS) if entry.result_id is not None}


def _is_listed(context: PushContext, template_id: str) -> bool:
    return any(str(record["Id"]) == template_id for record in context.quickbooks.recurring_templates())


def _failed(
    context: PushContext,
    entry: LedgerEntry,
    error: ServiceUnavailable | StaleRecord | RecordRefused | AccessRefused,
    outcome: PushOutcome,
) -> None:
    """What follows from a call that was not carried out."""
    now, rules = context.clock(), context.rules.push
    if isinstance(error, AccessRefused):
        context.state.ledger.release(entry.key, now)
        raise error
    if isinstance(error, ServiceUnavailable):
        outcome.unavailable["quickbooks"] = error.message
        context.state.ledger.fail(entry.key, error.code, error.message, now + first_wait(rules), now)
    elif isinstance(error, StaleRecord) and entry.attempts + 1 < rules.attempts:
        context.state.ledger.fail(entry.key, error.code, error.message, now + next_wait(rules, entry.attempts + 1), now)
    else:
        _give_up(context, entry, error.code, error.message, outcome)


def _give_up(context: PushContext, entry: LedgerEntry, code: str, message: str, outcome: PushOutcome) -> None:
    give_up(context.state.ledger, entry, code, message, context.clock())
    outcome.refused += 1
