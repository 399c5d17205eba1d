"""What finance reads in Slack about invoices. Pure: records in, messages out; nothing is sent here."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from qbsf_pipeline.money import format_amount
from qbsf_pipeline.slack.blocks import LONGEST_MESSAGE, escape, link, section
from qbsf_pipeline.state.failures import Failure, Problem
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
            blocks=[section(title), *_sections(lines)],
            thread_of=None,
            kind="invoices",
        )
    ]
    for number, part in enumerate(_fitting(rest), start=1):
        messages.append(
            Message(
                dedupe_key=f"{parent_key}:{number}",
                channel=channel,
                text=f"{len(part)} more invoice{'s' if len(part) != 1 else ''}",
                blocks=_sections(part),
                thread_of=parent_key,
                kind="invoices",
            )
        )
    return messages


def totals(invoices: Sequence[InvoiceTold]) -> str:
    """``41,250.00 USD and 3,000.00 EUR``: a sum for each currency, the largest first."""
    sums: dict[str, Decimal] = {}
    for invoice in invoices:
        sums[invoice.currency] = sums.get(invoice.currency, Decimal(0)) + invoice.amount
    ordered = sorted(sums.items(), key=lambda item: (-item[1], item[0]))
    return " and ".join(format_amount(amount, currency) for currency, amount in ordered)


def problem_messages(new: Sequence[Failure], changed: Sequence[Failure], channel: str, single: int) -> list[Message]:
    """One message for each record with a new problem; when many come at once, one message for each handful."""
    failures = [*new, *changed]
    if len(failures) <= single:
        return [
            Message(
                dedupe_key=f"problem:{failure.failure_id}:{failure.changed_at.isoformat()}",
                channel=channel,
                text=_fallback(failure.problem),
                blocks=_sections(_problem_lines(failure)),
                thread_of=None,
                kind="problem",
            )
            for failure in failures
        ]
    digest = _digest(failures)
    parent = f"problems:{digest}"
    messages = [
        Message(
            dedupe_key=parent,
            channel=channel,
            text=f"{len(failures)} deals need attention",
            blocks=[
                section(f":warning: *{len(failures)} deals need attention before they can be invoiced.* Each is in the thread.")
            ],
            thread_of=None,
            kind="problem",
        )
    ]
    for number, start in enumerate(range(0, len(failures), single), start=1):
        part = failures[start : start + single]
        lines: list[str] = []
        for failure in part:
            lines += [*_problem_lines(failure), ""]
        messages.append(
            Message(
                dedupe_key=f"{parent}:{number}",
                channel=channel,
                text=f"{len(part)} deals that need attention" if len(part) != 1 else "1 deal that needs attention",
                blocks=_sections(lines),
                thread_of=parent,
                kind="problem",
            )
        )
    return messages


def resolved_messages(resolved: Sequence[Failure], channel: str, single: int) -> list[Message]:
    """That problems went away, so that nobody goes on looking for them."""
    if not resolved:
        return []
    lines = [f":white_check_mark: *{_deal(failure.problem)}* is all right again." for failure in resolved[: single * 3]]
    if len(resolved) > single * 3:
        lines.append(f"_and {len(resolved) - single * 3} more_")
    return [
        Message(
            dedupe_key=f"resolved:{_digest(resolved)}",
            channel=channel,
            text=f"{len(resolved)} problem{'s' if len(resolved) != 1 else ''} solved",
            blocks=_sections(lines),
            thread_of=None,
            kind="resolved",
        )
    ]


def gate_message(batch: str, closed: Sequence[tuple[str, str]], run_link: str | None, channel: str) -> Message:
    """That a gate stopped the push: which check, what it found, and what to do. One message per plan and finding."""
    digest = hashlib.sha256("|".join(f"{name}{text}" for name, text in closed).encode()).hexdigest()[:12]
    lines = [":no_entry: *Nothing was sent to QuickBooks: a check stopped this pass.*"]
    lines += [f"• {escape(text)}  (`{escape(name)}`)" for name, text in closed]
    if run_link is not None:
        lines.append(link(run_link, "Open the run"))
    return Message(
        dedupe_key=f"gate:{batch}:{digest}",
        channel=channel,
        text="A check stopped this pass; nothing was sent to QuickBooks",
        blocks=_sections(lines),
        thread_of=None,
        kind="gate",
    )


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


def _digest(failures: Sequence[Failure]) -> str:
    seen = " ".join(f"{failure.failure_id}{failure.status}{failure.changed_at.isoformat()}" for failure in failures)
    return hashlib.sha256(seen.encode()).hexdigest()[:16]


def _headline(problem: Problem) -> str:
    return "Not invoiced" if problem.kind == "refused" else "Needs a person"


def _fallback(problem: Problem) -> str:
    first = f": {problem.reasons[0].text}" if problem.reasons else ""
    return f"{_headline(problem)}: {problem.label}{first}"[:3000]


def _deal(problem: Problem) -> str:
    return link(problem.link, problem.label) if problem.link else escape(problem.label)


def _problem_lines(failure: Failure) -> list[str]:
    problem = failure.problem
    money = f" · {format_amount(problem.amount, problem.currency)}" if problem.amount is not None and problem.currency else ""
    lines = [f":warning: *{_headline(problem)}:* {_deal(problem)}{money}  _{failure.failure_id}_"]
    for reason in problem.reasons:
        lines.append(f"• {escape(reason.text)}")
        if reason.remedy:
            lines.append(f"   → {escape(reason.remedy)}")
    return lines


def _fitting(lines: Sequence[str], longest: int = LONGEST_MESSAGE) -> list[list[str]]:
    """Lines in as few messages as Slack's limit allows; a line that is too long by itself stands alone."""
    parts: list[list[str]] = []
    length = 0
    for line in lines:
        if not parts or length + len(line) + 1 > longest:
            parts.append([])
            length = 0
        parts[-1].append(line)
        length += len(line) + 1
    return parts


def _sections(lines: Sequence[str], longest: int = 2800) -> list[dict[str, object]]:
    """Lines in as few sections as Slack's limit of 3,000 characters allows."""
    blocks: list[dict[str, object]] = []
    text = ""
    for line in lines:
        piece = line if len(line) <= longest else line[: longest - 1] + "…"
        if text and len(text) + len(piece) + 1 > longest:
            blocks.append(section(text))
            text = ""
        text = f"{text}\n{piece}" if text else piece
    if text.strip():
        blocks.append(section(text))
    return blocks
