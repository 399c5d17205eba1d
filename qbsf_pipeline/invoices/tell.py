"""Puts into the outbox what people must be told about invoices, each thing once. Sending is the outbox's business."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal

import polars as pl

from qbsf_pipeline.flows.messages import Words
from qbsf_pipeline.flows.problems import record_link, with_refused_writes
from qbsf_pipeline.invoices.messages import CreditMemoTold, InvoiceTold, credit_memo_messages, invoice_summary
from qbsf_pipeline.invoices.recurring.known_templates import OPERATIONS
from qbsf_pipeline.invoices.schedule_messages import template_messages
from qbsf_pipeline.invoices.tables import FLOW
from qbsf_pipeline.money import parse_json
from qbsf_pipeline.settings import Settings
from qbsf_pipeline.state.database import State
from qbsf_pipeline.state.failures import Problem, Reason
from qbsf_pipeline.state.ledger import LedgerEntry

WORDS = Words(one="deal", several="deals", refused="Not invoiced", before="before they can be invoiced")


def tell_invoices(state: State, settings: Settings, instance_url: str, now: datetime) -> int:
    """Tell finance of the invoices that were made and not told yet. Returns how many invoices.

    Args:
        instance_url: base URL of the Salesforce org, for links to deals.
    """
    entries = _untold_invoices(state)
    if not entries:
        return 0
    told: list[InvoiceTold] = []
    for entry in entries:
        deal = state.ledger.entries(flow=FLOW, opportunity_id=entry.opportunity_id)
        sends = [other for other in deal if other.operation == "send_invoice" and other.status == "done"]
        sent = next((other for other in sends if other.key == entry.key or entry.key in other.depends_on), None)
        invoice = parse_json((sent or entry).result or "{}")
        amount = invoice.get("TotalAmt")
        told.append(
            InvoiceTold(
                key=entry.key,
                number=str(invoice.get("DocNumber") or entry.result_id),
                customer=entry.customer_name or "",
                deal=entry.label,
                amount=Decimal(str(amount)) if amount is not None else (entry.amount or Decimal(0)),
                currency=entry.currency or "",
                due_date=_date(invoice.get("DueDate")) or entry.due_date,
                emailed_to=str((invoice.get("BillEmail") or {}).get("Address") or "") or None if sent else None,
                invoice_link=settings.environment.quickbooks_link("invoice", "txnId", str(entry.result_id)),
                deal_link=record_link(instance_url, entry.source_id),
            )
        )
    messages = invoice_summary(told, settings.environment.slack_finance_channel, settings.rules.slack.invoices_per_message)
    with state.transaction():
        state.outbox.put(messages, now)
        state.ledger.announce([entry.key for entry in entries], now)
    return len(told)


def tell_templates(state: State, settings: Settings, instance_url: str, now: datetime) -> int:
    """Tell finance of the recurring templates that were made or deleted and not told yet. Returns how many.

    Args:
        instance_url: base URL of the Salesforce org, for links to deals.
    """
    entries = _untold_templates(state)
    if not entries:
        return 0
    told = [(entry.key, entry.label, record_link(instance_url, entry.source_id), entry.reason) for entry in entries]
    with state.transaction():
        state.outbox.put(template_messages(told, settings.environment.slack_finance_channel), now)
        state.ledger.announce([entry.key for entry in entries], now)
    return len(entries)


def tell_credit_memos(state: State, settings: Settings, instance_url: str, now: datetime) -> int:
    """Tell finance of the credit memos that were made and not told yet: each has to be applied by a person. Returns how many.

    Args:
        instance_url: base URL of the Salesforce org, for links to deals.
    """
    entries = state.ledger.unannounced(FLOW, "create_credit_memo")
    if not entries:
        return 0
    told = []
    for entry in entries:
        memo = parse_json(entry.result or "{}")
        amount = memo.get("TotalAmt")
        told.append(
            CreditMemoTold(
                key=entry.key,
                number=str(memo.get("DocNumber") or entry.result_id),
                customer=entry.customer_name or "",
                deal=entry.label,
                amount=Decimal(str(amount)) if amount is not None else -(entry.amount or Decimal(0)),
                currency=entry.currency or "",
                memo_link=settings.environment.quickbooks_link("creditmemo", "txnId", str(entry.result_id)),
                deal_link=record_link(instance_url, entry.source_id),
            )
        )
    with state.transaction():
        state.outbox.put(credit_memo_messages(told, settings.environment.slack_finance_channel), now)
        state.ledger.announce([entry.key for entry in entries], now)
    return len(told)


def untold(state: State) -> list[LedgerEntry]:
    """What was made and not told of yet: invoices, those too that were found again and mailed after the state was lost, credit
    memos, and recurring templates."""
    return [*_untold_invoices(state), *state.ledger.unannounced(FLOW, "create_credit_memo"), *_untold_templates(state)]


def _untold_templates(state: State) -> list[LedgerEntry]:
    return [entry for operation in OPERATIONS for entry in state.ledger.unannounced(FLOW, operation)]


def _untold_invoices(state: State) -> list[LedgerEntry]:
    made = state.ledger.unannounced(FLOW, "create_invoice")
    return made + state.ledger.unannounced(FLOW, "send_invoice", alone=True)


def problems_of(refusals: pl.DataFrame, entries: Sequence[LedgerEntry], instance_url: str) -> list[Problem]:
    """The records that need a person: deals that were refused, and writes that a service refused for good or again and again.

    Args:
        refusals: one row for each reason: opportunity_id, deal, amount, currency, code, reason, remedy, position.
        entries: what stands failed or dead in the ledger and still matters.
        instance_url: base URL of the Salesforce org.
    """
    problems: dict[str, Problem] = {}
    for keys, rows in refusals.sort("opportunity_id", "position").group_by(["opportunity_id"], maintain_order=True):
        opportunity_id = str(keys[0])
        first: Mapping[str, object] = rows.row(0, named=True)
        problems[opportunity_id] = Problem(
            key=f"{FLOW}:{opportunity_id}",
            flow=FLOW,
            source_object="Opportunity",
            source_id=opportunity_id,
            label=str(first["deal"] or opportunity_id),
            link=record_link(instance_url, opportunity_id),
            kind="refused",
            reasons=tuple(Reason(row["code"], row["reason"], row["remedy"]) for row in rows.iter_rows(named=True)),
            amount=None if first["amount"] is None else Decimal(str(first["amount"])),
            currency=None if first["currency"] is None else str(first["currency"]),
        )
    return with_refused_writes(problems.values(), entries, FLOW, instance_url)


def _date(value: object) -> date | None:
    return date.fromisoformat(str(value)) if value else None
