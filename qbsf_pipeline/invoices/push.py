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

from qbsf_pipeline.invoices.push_context import PushContext, PushOutcome
from qbsf_pipeline.invoices.push_creating import create
from qbsf_pipeline.invoices.push_planned import BILLS, CREATES, TEMPLATE_ENDS, chunks, runnable_now, still_planned
from qbsf_pipeline.invoices.push_sending import send
from qbsf_pipeline.invoices.push_settling import settle_unclear
from qbsf_pipeline.invoices.push_templates import create_templates, end_templates
from qbsf_pipeline.invoices.push_write_backs import WRITE_BACKS, write_back
from qbsf_pipeline.invoices.recurring.known_templates import CREATE as CREATE_TEMPLATE
from qbsf_pipeline.invoices.schedule_changes import change_schedules
from qbsf_pipeline.invoices.tables import FLOW


def push(context: PushContext, outcome: PushOutcome) -> None:
    """Do everything that is ready, and say in ``outcome`` what came of it. The caller holds the push lock.

    Raises:
        AccessRefused: a connection needs a person; what was done before stands in ``outcome``.
    """
    changed = change_schedules(context.state, context.environment.mode, context.planned, context.clock, outcome.held)
    outcome.schedules += len(changed)
    settle_unclear(context, outcome)
    for operation in TEMPLATE_ENDS:
        end_templates(context, runnable_now(context, operation, outcome), outcome)
    for operation in CREATES:
        if "quickbooks" in outcome.unavailable:
            break
        entries = runnable_now(context, operation, outcome)
        if operation in BILLS:
            entries = still_planned(context, entries, changed, outcome)
        for group in chunks(entries, context.rules.push.quickbooks_batch):
            if "quickbooks" in outcome.unavailable:
                break
            if operation == "create_invoice":
                send(context, outcome, meanwhile=True)
            create(context, group, outcome)
        if entries and operation in {entry.operation for entry in context.state.ledger.sending(FLOW)}:
            settle_unclear(context, outcome)
    if "quickbooks" not in outcome.unavailable:
        templates = still_planned(context, runnable_now(context, CREATE_TEMPLATE, outcome), changed, outcome)
        create_templates(context, templates, outcome)
    if "quickbooks" not in outcome.unavailable:
        send(context, outcome)
    for operation in WRITE_BACKS:
        if "salesforce" in outcome.unavailable:
            break
        write_back(context, operation, outcome)
