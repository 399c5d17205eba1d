"""What finance reads in Slack about fields that were put in step. Pure: journal entries in, messages out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from qbsf_pipeline.customers.fields import LABELS, from_json, told
from qbsf_pipeline.errors import SYSTEM_NAMES
from qbsf_pipeline.flows.messages import fitting, sections
from qbsf_pipeline.slack.blocks import escape, link, section
from qbsf_pipeline.state.journal import JournalEntry
from qbsf_pipeline.state.outbox import Message

#: What people are told of: somebody's value was overwritten, or would be. That an owner's change was carried over is no news.
TOLD_KINDS = frozenset({"both_changed", "put_back", "report_only", "reversed"})

_OTHER = {"salesforce": "quickbooks", "quickbooks": "salesforce"}


def change_messages(entries: Sequence[JournalEntry], links: Mapping[str, str], channel: str, per_message: int) -> list[Message]:
    """One message for a pass: what was put back, what both sides had changed, what is only reported; a long list goes on in a
    thread of it.

    Args:
        entries: of :data:`TOLD_KINDS`.
        links: customer id -> a link that opens the customer.
        per_message: changes in the message itself.
    """
    if not entries:
        return []
    digest = hashlib.sha256(" ".join(sorted(entry.journal_id for entry in entries)).encode()).hexdigest()[:16]
    parent = f"customers-in-step:{digest}"
    written = [entry for entry in entries if entry.status != "reported"]
    reported = len(entries) - len(written)
    parts = []
    if written:
        parts.append(f"{_number(len(written), 'field')} put back in step")
    if reported:
        parts.append(f"{_number(reported, 'difference')} to look at")
    title = f"*Customers: {' · '.join(parts)}*"
    every = [line for entry in entries for line in _lines(entry, links)]
    shown = sum(len(_lines(entry, links)) for entry in entries[:per_message])
    lines, rest = every[:shown], every[shown:]
    if len(entries) > per_message:
        lines.append(f"_and {len(entries) - per_message} more, in the thread_")
    if any(entry.kind in ("both_changed", "put_back") for entry in written):
        lines.append("To have a value back: `qbsf review reverse J-…`")
    messages = [
        Message(
            dedupe_key=parent,
            channel=channel,
            text=f"Customers: {', '.join(parts)}",
            blocks=[section(title), *sections(lines)],
            thread_of=None,
            kind="customers",
        )
    ]
    for number, part in enumerate(fitting(rest), start=1):
        messages.append(
            Message(
                dedupe_key=f"{parent}:{number}",
                channel=channel,
                text="More changes of customers",
                blocks=sections(part),
                thread_of=parent,
                kind="customers",
            )
        )
    return messages


def _lines(entry: JournalEntry, links: Mapping[str, str]) -> list[str]:
    name = entry.customer_name or entry.account_name
    customer = link(links[entry.customer_id], name) if entry.customer_id in links else escape(name)
    field = LABELS.get(entry.field, entry.field)
    values = {"salesforce": _told(entry, entry.salesforce_value), "quickbooks": _told(entry, entry.quickbooks_value)}
    head = f"• {customer} · {escape(field)}  _{entry.journal_id}_"
    by = f" by {escape(entry.changed_by)}" if entry.changed_by else ""
    if entry.status == "reported" or entry.winner == "none":
        said = f"Salesforce says {values['salesforce']}, QuickBooks {values['quickbooks']}. Nothing was written."
    elif entry.kind == "reversed":
        # The value that was wanted back stands in neither column: it was on its way.
        said = escape(entry.rule)
    else:
        owner, other = SYSTEM_NAMES[entry.winner], SYSTEM_NAMES[_OTHER[entry.winner]]
        kept, lost = values[entry.winner], values[_OTHER[entry.winner]]
        if entry.kind == "both_changed":
            said = f"changed on both sides. {owner} owns it: {kept} stands; {other} had {lost}{by}."
        else:
            said = f"changed in {other} to {lost}{by}, but {owner} owns it: {kept} was put back."
        if entry.status == "refused":
            said += " The write was refused; see the message about it."
    return [head, f"   {said}"]


def _told(entry: JournalEntry, text: str | None) -> str:
    try:
        value = from_json(entry.field, text)
    except ValueError:
        value = text
    return escape(told(value))


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count != 1 else ''}"
