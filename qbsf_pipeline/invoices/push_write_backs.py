"""Writes ids, links and status to Salesforce."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from qbsf_pipeline.flows.salesforce_updates import update_records
from qbsf_pipeline.invoices.push_context import PushContext, PushOutcome
from qbsf_pipeline.invoices.push_planned import runnable_now
from qbsf_pipeline.invoices.references import invoice_fields
from qbsf_pipeline.invoices.tables import FLOW
from qbsf_pipeline.money import parse_json
from qbsf_pipeline.state.ledger import LedgerEntry

WRITE_BACKS = ("write_back_account", "write_back_opportunity")


def write_back(context: PushContext, operation: str, outcome: PushOutcome) -> None:
    """Write ids, links and status to Salesforce."""
    entries = runnable_now(context, operation, outcome)
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
