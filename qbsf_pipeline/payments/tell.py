"""Puts into the outbox what people must be told about payments, each thing once. Sending is the outbox's business."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import polars as pl

from qbsf_pipeline.flows.messages import Words
from qbsf_pipeline.flows.people import slack_ids
from qbsf_pipeline.flows.problems import record_link, with_refused_writes
from qbsf_pipeline.payments.messages import addresses, payment_messages, payments_told
from qbsf_pipeline.payments.tables import FLOW
from qbsf_pipeline.resources import Doors
from qbsf_pipeline.state.failures import Problem, Reason
from qbsf_pipeline.state.ledger import LedgerEntry

WORDS = Words(one="deal", several="deals", refused="Payment status not up to date", before="before their payments can be shown")


def tell_payments(opened: Doors, now: datetime) -> int:
    """Tell the owners of deals what happened to their payments. Returns how many events people were told of."""
    state, settings = opened.state, opened.settings
    events = state.payment_events.unannounced()
    if not events:
        return 0
    invoice_link = settings.environment.quickbooks_link("invoice", "txnId", "{id}")
    told = payments_told(events, invoice_link, record_link(opened.salesforce.instance_url, "{id}"))
    fallback = settings.rules.aging.fallback_owner_email
    known = slack_ids(opened, addresses(told, fallback))
    if known is None:
        return 0
    messages = payment_messages(told, known, fallback, settings.environment.slack_finance_channel)
    with state.transaction():
        state.outbox.put(messages, now)
        state.payment_events.announce([event.event_key for event in events], now)
    return len(events)


def problems_of(refusals: pl.DataFrame, entries: Sequence[LedgerEntry], instance_url: str) -> list[Problem]:
    """What needs a person: deals whose payments cannot be told to Salesforce, rules that do not fit the org, and writes that
    Salesforce refused.

    Args:
        refusals: columns of ``payments.refusals``.
        entries: what stands failed or dead in the ledger and still matters.
        instance_url: base URL of the Salesforce org.
    """
    problems: list[Problem] = []
    for keys, rows in refusals.sort("record_id", "code").group_by(["record_id"], maintain_order=True):
        record_id = str(keys[0])
        first = rows.row(0, named=True)
        is_deal = first["record_object"] == "Opportunity"
        problems.append(
            Problem(
                key=f"{FLOW}:{record_id}",
                flow=FLOW,
                source_object=first["record_object"],
                source_id=record_id,
                label=str(first["deal"] or record_id),
                link=record_link(instance_url, record_id) if is_deal else None,
                kind="refused",
                reasons=tuple(Reason(row["code"], row["reason"], row["remedy"]) for row in rows.iter_rows(named=True)),
                amount=first["amount"],
                currency=first["currency"],
            )
        )
    return with_refused_writes(problems, entries, FLOW, instance_url)
