"""Puts into the outbox what people must be told about customers, each thing once. Sending is the outbox's business."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import polars as pl

from qbsf_pipeline.customers.messages import TOLD_KINDS, change_messages
from qbsf_pipeline.customers.plan import FLOW
from qbsf_pipeline.flows.messages import Words
from qbsf_pipeline.flows.problems import record_link, with_refused_writes
from qbsf_pipeline.settings import Settings
from qbsf_pipeline.state.database import State
from qbsf_pipeline.state.failures import Problem, Reason
from qbsf_pipeline.state.journal import JournalEntry
from qbsf_pipeline.state.ledger import LedgerEntry

WORDS = Words(one="customer", several="customers", refused="Not kept in step", before="before they can be kept in step")


def untold(state: State) -> list[JournalEntry]:
    """Changes that people must be told of and were not yet."""
    return state.journal.unannounced(TOLD_KINDS)


def tell_changes(state: State, settings: Settings, now: datetime) -> int:
    """Tell finance of what was put back, changed on both sides, or is only reported. Returns how many changes."""
    entries = untold(state)
    if not entries:
        return 0
    links = {
        entry.customer_id: settings.environment.quickbooks_link("customerdetail", "nameId", entry.customer_id)
        for entry in entries
    }
    channel = settings.environment.slack_finance_channel
    messages = change_messages(entries, links, channel, settings.rules.slack.invoices_per_message)
    with state.transaction():
        state.outbox.put(messages, now)
        state.journal.announce([entry.journal_id for entry in entries], now)
    return len(entries)


def problems_of(refusals: pl.DataFrame, entries: Sequence[LedgerEntry], instance_url: str) -> list[Problem]:
    """The accounts that need a person: fields that cannot be written, and writes that a service refused.

    Args:
        refusals: columns of ``customers.refusals``.
        entries: what stands failed or dead in the ledger and still matters.
        instance_url: base URL of the Salesforce org.
    """
    problems: list[Problem] = []
    for keys, rows in refusals.sort("account_id", "field", "code").group_by(["account_id"], maintain_order=True):
        account_id = str(keys[0])
        problems.append(
            Problem(
                key=f"{FLOW}:{account_id}",
                flow=FLOW,
                source_object="Account",
                source_id=account_id,
                label=str(rows.get_column("account_name").item(0) or account_id),
                link=record_link(instance_url, account_id, "Account"),
                kind="refused",
                reasons=tuple(Reason(row["code"], row["reason"], row["remedy"]) for row in rows.iter_rows(named=True)),
                amount=None,
                currency=None,
            )
        )
    return with_refused_writes(problems, entries, FLOW, instance_url)
