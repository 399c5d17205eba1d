"""What finance reads in Slack about invoices. Pure: records in, messages out; nothing is sent here."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from qbsf_pipeline.flows.messages import fitting, sections
from qbsf_pipeline.money import format_amount
from qbsf_pipeline.slack.blocks import escape, link, section
from qbsf_pipeline.state.outbox import Message


@dataclass(frozen=True)
class InvoiceTold:
    """One invoice as the summary tells it.

    Attributes:
        key: of the ledger entry.
        number: document number, or QuickBooks' id where it has none.
        amount: total of the invoice in ``currency``.
        emailed_to: the address it was mailed to; ``None`` where it was not (yet) mailed.
        invoice_link, deal_link: for a person to open.
    """

    key: str
    number: str
    customer: str
    deal: str
    amount: Decimal
    currency: str
    due_date: date | None
    emailed_to: str | None
    invoice_link: str
    deal_link: str


@dataclass(frozen=True)
class CreditMemoTold:
    """One credit memo as it is told.

    Attributes:
        key: of the ledger entry.
        number: document number, or QuickBooks' id where it has none.
        amount: what it credits, above 0, in ``currency``.
        memo_link, deal_link: for a person to open.
    """

    key: str
    number: str
    customer: str
    deal: str
    amount: Decimal
    currency: str
    memo_link: str
    deal_link: str


def invoice_summary(invoices: Sequence[InvoiceTold], channel: str, per_message: int) -> list[Message]:
    """One message for a pass: count, total per currency, each invoice; a long list goes on in a thread of it.

    Args:
        per_message: invoices in the message itself; those in the thread hold as many as Slack takes, for it takes one
            message a second.
    """
    if not invoices:
        return []
    digest = hashlib.sha256(" ".join(sorted(invoice.key for invoice in invoices)).encode()).hexdigest()[:16]
    parent_key = f"invoices-created:{digest}"
    count = f"{len(invoices)} invoice{'s' if len(invoices) != 1 else ''}"
    title = f"*{count} created in QuickBooks* · {totals(invoices)}"
    unsent = sum(1 for invoice in invoices if invoice.emailed_to is None)
    if unsent:
        title += f"\n{unsent} of them not e-mailed yet"
    every = [_line(invoice) for invoice in invoices]
    lines, rest = every[:per_message], every[per_message:]
    if rest:
        lines.append(f"_and {len(rest)} more, in the thread_")
    messages = [
        Message(
            dedupe_key=parent_key,
            channel=channel,
            text=f"{count} created in QuickBooks, {totals(invoices)}",
            blocks=[section(title), *sections(lines)],
            thread_of=None,
            kind="invoices",
        )
    ]
    for number, part in enumerate(fitting(rest), start=1):
        messages.append(
            Message(
                dedupe_key=f"{parent_key}:{number}",
                channel=channel,
                text=f"{len(part)} more invoice{'s' if len(part) != 1 else ''}",
                blocks=sections(part),
                thread_of=parent_key,
                kind="invoices",
            )
        )
    return messages


def credit_memo_messages(memos: Sequence[CreditMemoTold], channel: str) -> list[Message]:
    """What finance has to do about credit memos that a person approved; as many messages as Slack's limit makes of them."""
    lines = [
        " · ".join(
            (
                f"• {link(memo.memo_link, memo.number)}",
                escape(memo.customer),
                format_amount(memo.amount, memo.currency),
                link(memo.deal_link, memo.deal),
            )
        )
        for memo in memos
    ]
    count = f"{len(memos)} credit memo{'s' if len(memos) != 1 else ''}"
    title = f"*{count} created in QuickBooks* · {totals(memos)}\nApply each to an open invoice in QuickBooks, or pay it back."
    digest = hashlib.sha256(" ".join(sorted(memo.key for memo in memos)).encode()).hexdigest()[:16]
    return [
        Message(
            dedupe_key=f"credit-memos-created:{digest}:{number}",
            channel=channel,
            text=f"{count} created in QuickBooks, {totals(memos)}",
            blocks=[section(title), *sections(part)],
            thread_of=None,
            kind="invoices",
        )
        for number, part in enumerate(fitting(lines), start=1)
    ]


def totals(documents: Sequence[InvoiceTold | CreditMemoTold]) -> str:
    """``41,250.00 USD and 3,000.00 EUR``: a sum for each currency, the largest first."""
    sums: dict[str, Decimal] = {}
    for document in documents:
        sums[document.currency] = sums.get(document.currency, Decimal(0)) + document.amount
    ordered = sorted(sums.items(), key=lambda item: (-item[1], item[0]))
    return " and ".join(format_amount(amount, currency) for currency, amount in ordered)


def _line(invoice: InvoiceTold) -> str:
    parts = [
        link(invoice.invoice_link, invoice.number),
        escape(invoice.customer),
        format_amount(invoice.amount, invoice.currency),
        f"due {invoice.due_date:%d %b %Y}" if invoice.due_date is not None else "no due date",
        f"e-mailed to {escape(invoice.emailed_to)}" if invoice.emailed_to else "not e-mailed",
        link(invoice.deal_link, invoice.deal),
    ]
    return "• " + " · ".join(parts)
