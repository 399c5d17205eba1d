"""What people read in Slack about what is past due. Pure: rows in, messages out; nothing is sent here.

The owner of a deal is told directly; who cannot be reached is stood in for by the person that the rules name, else by the
finance channel. One message for each reader and day, whatever the number of owners it stands in for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import polars as pl

from qbsf_pipeline.flows.messages import fitting, sections
from qbsf_pipeline.money import format_amount
from qbsf_pipeline.slack.blocks import escape, link, section
from qbsf_pipeline.state.outbox import Message

#: No name or address that matters is longer, and a line has to fit into a message whole.
_LONGEST_NAME = 160


@dataclass(frozen=True)
class CrossedInvoice:
    """An invoice that came to a threshold, as its reader is told.

    Attributes:
        threshold: days past due that it reached.
        number: document number, or QuickBooks' id where it has none.
        contact: person at the customer, with e-mail and phone as far as known.
        open: what is still owed, in ``currency``.
        owner_name: who owns the deal; ``None`` where nobody does.
        owner_email: where the owner is reached; ``None`` for who left.
        owner_state: active, left or none.
        invoice_link, deal_link: for a person to open.
    """

    invoice_id: str
    threshold: int
    number: str
    customer: str
    contact: str | None
    deal: str
    days_past_due: int
    due_date: date
    open: Decimal
    currency: str
    disputed: bool
    owner_name: str | None
    owner_email: str | None
    owner_state: str
    invoice_link: str | None
    deal_link: str | None


def crossed_invoices(crossings: pl.DataFrame, invoices: pl.DataFrame, invoice_link: str, deal_link: str) -> list[CrossedInvoice]:
    """The crossings that are still to be told, with what is told of them: the highest threshold of each invoice, once.

    One whose invoice is no longer open is left out: it was settled before anybody could be told.

    Args:
        crossings: invoice_id, threshold.
        invoices: ``aging.invoices`` as of today.
        invoice_link, deal_link: with ``{id}``.
    """
    highest = crossings.group_by("invoice_id").agg(pl.col("threshold").max())
    told = highest.join(invoices, on="invoice_id", how="inner").sort("invoice_id")
    return [
        CrossedInvoice(
            invoice_id=row["invoice_id"],
            threshold=row["threshold"],
            number=row["doc_number"],
            customer=row["customer_name"] or row["account_name"] or "a customer without a name",
            contact=row["contact"],
            deal=row["deal"] or (f"the deleted deal {row['opportunity_id']}" if row["opportunity_id"] else "no deal"),
            days_past_due=row["days_past_due"],
            due_date=row["due_date"],
            open=row["open"],
            currency=row["currency"],
            disputed=row["disputed"],
            owner_name=row["owner_name"],
            owner_email=row["owner_email"],
            owner_state=row["owner_state"],
            invoice_link=invoice_link.replace("{id}", row["invoice_id"]),
            deal_link=deal_link.replace("{id}", row["opportunity_id"]) if row["opportunity_id"] and row["deal"] else None,
        )
        for row in told.iter_rows(named=True)
    ]


def owner_messages(
    crossed: Sequence[CrossedInvoice],
    day: date,
    slack_ids: Mapping[str, str],
    fallback_email: str,
    finance_channel: str,
    per_message: int,
    *,
    first: bool,
) -> list[Message]:
    """One message for each reader: all invoices of their deals that came to a threshold, the oldest first; a long list goes on
    in a thread of it.

    Args:
        day: today, in the company's time zone.
        slack_ids: Slack user id by e-mail address in small letters; an address that is not in it is unknown to Slack.
        fallback_email: stands in for owners who cannot be reached (rules: aging.fallback_owner_email); may be empty.
        per_message: invoices in the message itself.
        first: nobody was ever told of a threshold before: everything that is past due comes at once.
    """
    readers: dict[str, list[CrossedInvoice]] = {}
    for invoice in sorted(crossed, key=lambda one: (-one.threshold, -one.days_past_due, one.invoice_id)):
        readers.setdefault(_reader(invoice, slack_ids, fallback_email) or finance_channel, []).append(invoice)
    return [
        message
        for reader, invoices in sorted(readers.items())
        for message in _to_reader(reader, invoices, day, slack_ids, per_message, first)
    ]


def addresses(crossed: Sequence[CrossedInvoice], fallback_email: str) -> tuple[str, ...]:
    """The e-mail addresses whose Slack users are needed to tell of these invoices, in small letters, each once."""
    owners = [_address(invoice.owner_email) for invoice in crossed]
    found = [*owners, _address(fallback_email)] if crossed else []
    return tuple(dict.fromkeys(address for address in found if address))


def totals_messages(totals: pl.DataFrame, day: date, finance_channel: str) -> list[Message]:
    """What is open by age, for finance: one message a day; nothing where nothing is open and nothing unapplied.

    Args:
        totals: ``aging.totals``.
    """
    lines: list[str] = []
    sums: list[str] = []
    for keys, rows in totals.sort("currency", "position").group_by("currency", maintain_order=True):
        currency = str(keys[0])
        owed = sum(rows.get_column("open").to_list(), Decimal(0))
        late = sum(rows.filter(pl.col("position") > 0).get_column("open").to_list(), Decimal(0))
        credits = sum(rows.get_column("credits").to_list(), Decimal(0))
        sums.append(f"{format_amount(owed, currency)} open, {format_amount(late, currency)} of it past due")
        lines.append(f"*{format_amount(owed, currency)}*")
        for row in rows.filter(pl.col("invoices") > 0).iter_rows(named=True):
            name = row["bucket"] if row["position"] == 0 else f"{row['bucket']} days"
            lines.append(f"• {escape(name)}: {format_amount(row['open'], currency)} · {_number(row['invoices'])}")
        if credits:
            lines.append(f"• Payments and credits not applied yet: {format_amount(credits, currency)}")
    if not lines:
        return []
    parts = fitting([f"*Receivables by age, {_day(day)}*", *lines])
    key = f"aging-totals:{day.isoformat()}"
    return [
        Message(
            dedupe_key=key if number == 0 else f"{key}:{number}",
            channel=finance_channel,
            text=f"Receivables by age: {' and '.join(sums)}"[:3000],
            blocks=sections(part),
            thread_of=None if number == 0 else key,
            kind="aging",
        )
        for number, part in enumerate(parts)
    ]


def _reader(invoice: CrossedInvoice, slack_ids: Mapping[str, str], fallback_email: str) -> str | None:
    for address in (_address(invoice.owner_email), _address(fallback_email)):
        if address and address in slack_ids:
            return slack_ids[address]
    return None


def _address(email: str | None) -> str:
    return (email or "").strip().lower()


def _to_reader(
    reader: str,
    invoices: Sequence[CrossedInvoice],
    day: date,
    slack_ids: Mapping[str, str],
    per_message: int,
    first: bool,
) -> list[Message]:
    crossings = " ".join(sorted(f"{one.invoice_id}/{one.threshold}" for one in invoices))
    digest = hashlib.sha256(f"{reader} {crossings}".encode()).hexdigest()[:16]
    key = f"aging:{day.isoformat()}:{digest}"
    count = _number(len(invoices))
    title = f":hourglass_flowing_sand: *{count} past due* · {_totals(invoices)}"
    if first:
        title += "\n_The first look: everything that is past a threshold. From now on each invoice comes once per threshold._"
    every = _lines(invoices, reader, slack_ids)
    head, rest = every[:per_message], every[per_message:]
    lines = [line for group in head for line in group]
    if rest:
        lines.append(f"_and {len(rest)} more, in the thread_")
    messages = [
        Message(
            dedupe_key=key,
            channel=reader,
            text=f"{count} past due: {_totals(invoices)}",
            blocks=[section(title), *sections(lines)],
            thread_of=None,
            kind="aging",
        )
    ]
    for number, part in enumerate(fitting([line for group in rest for line in group]), start=1):
        messages.append(
            Message(
                dedupe_key=f"{key}:{number}",
                channel=reader,
                text="More invoices past due",
                blocks=sections(part),
                thread_of=key,
                kind="aging",
            )
        )
    return messages


def _lines(invoices: Sequence[CrossedInvoice], reader: str, slack_ids: Mapping[str, str]) -> list[list[str]]:
    """The lines of each invoice; the first of each threshold has a headline."""
    groups: list[list[str]] = []
    before: int | None = None
    for one in invoices:
        lines = [f"*{one.threshold} days and more*"] if one.threshold != before else []
        before = one.threshold
        parts = [
            link(one.invoice_link, _short(one.number)),
            escape(_short(one.customer)),
            format_amount(one.open, one.currency),
            f"due {_day(one.due_date)}, {one.days_past_due} days ago",
            link(one.deal_link, _short(one.deal)),
        ]
        if one.disputed:
            parts.append("in dispute")
        lines.append("• " + " · ".join(parts))
        more = [f"Contact: {escape(_short(one.contact))}"] if one.contact else []
        if slack_ids.get(_address(one.owner_email)) != reader:
            more.append(_owner(one))
        if more:
            lines.append("   " + " · ".join(more))
        groups.append(lines)
    return groups


def _owner(invoice: CrossedInvoice) -> str:
    """Whose deal it is, for a reader who stands in for that person."""
    if invoice.owner_state == "none" or not invoice.owner_name:
        return "The deal has no owner"
    name = escape(_short(invoice.owner_name))
    return f"Owner: {name}, who left" if invoice.owner_state == "left" else f"Owner: {name}, not found in Slack"


def _totals(invoices: Sequence[CrossedInvoice]) -> str:
    """A sum for each currency, the largest first."""
    sums: dict[str, Decimal] = {}
    for invoice in invoices:
        sums[invoice.currency] = sums.get(invoice.currency, Decimal(0)) + invoice.open
    ordered = sorted(sums.items(), key=lambda item: (-item[1], item[0]))
    return " and ".join(format_amount(amount, currency) for currency, amount in ordered)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_NAME else line[: _LONGEST_NAME - 1].rstrip() + "…"


def _number(count: int) -> str:
    return f"{count} invoice{'s' if count != 1 else ''}"


def _day(day: date) -> str:
    return f"{day:%d %b %Y}"
