"""Puts into the outbox what people must be told about overdue invoices, each thing once. Sending is the outbox's business."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

import polars as pl

from qbsf_pipeline.aging.messages import CrossedInvoice, addresses, crossed_invoices, owner_messages, totals_messages
from qbsf_pipeline.aging.tables import FLOW, KNOWN_CROSSINGS
from qbsf_pipeline.flows.messages import Words
from qbsf_pipeline.flows.people import slack_ids
from qbsf_pipeline.flows.problems import deal_problems, record_link, with_refused_writes
from qbsf_pipeline.resources import Doors
from qbsf_pipeline.state.crossings import Crossing
from qbsf_pipeline.state.failures import Problem
from qbsf_pipeline.state.ledger import LedgerEntry

WORDS = Words(
    one="deal", several="deals", refused="Ageing not up to date", before="before the age of their invoices can be shown"
)


def tell_ages(opened: Doors, invoices: pl.DataFrame, totals: pl.DataFrame, day: date, now: datetime) -> int:
    """Tell owners which of their invoices came to a threshold, and finance once a day what is open by age. Returns how many
    invoices people were told of.

    Args:
        invoices: ``aging.invoices`` as of today.
        totals: ``aging.totals`` as of today.
        day: today, in the company's time zone.
    """
    state, settings = opened.state, opened.settings
    channel = settings.environment.slack_finance_channel
    state.outbox.put(totals_messages(totals, day, channel), now)
    untold = state.crossings.unannounced()
    if not untold:
        return 0
    crossed = _crossed(opened, untold, invoices)
    fallback = settings.rules.aging.fallback_owner_email
    known = slack_ids(opened, addresses(crossed, fallback))
    if known is None:
        return 0
    first = all(crossing.announced_at is None for crossing in state.crossings.all())
    per_message = settings.rules.slack.invoices_per_message
    messages = owner_messages(crossed, day, known, fallback, channel, per_message, first=first)
    with state.transaction():
        state.outbox.put(messages, now)
        # Those whose invoice was settled before anybody could be told are done with too.
        state.crossings.announce([crossing.key for crossing in untold], now)
    return len(crossed)


def _crossed(opened: Doors, untold: Sequence[Crossing], invoices: pl.DataFrame) -> list[CrossedInvoice]:
    crossings = pl.DataFrame([one.key for one in untold], schema=KNOWN_CROSSINGS, orient="row")
    invoice_link = opened.settings.environment.quickbooks_link("invoice", "txnId", "{id}")
    return crossed_invoices(crossings, invoices, invoice_link, record_link(opened.salesforce.instance_url, "{id}"))


def problems_of(refusals: pl.DataFrame, entries: Sequence[LedgerEntry], instance_url: str) -> list[Problem]:
    """The deals that need a person: whose age cannot be told or written, and writes that a service refused.

    Args:
        refusals: columns of ``aging.refusals``.
        entries: what stands failed or dead in the ledger and still matters.
        instance_url: base URL of the Salesforce org.
    """
    return with_refused_writes(deal_problems(refusals, FLOW, instance_url), entries, FLOW, instance_url)
