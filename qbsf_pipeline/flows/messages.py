"""What people read in Slack about problems, whatever the flow. Pure: records in, messages out; nothing is sent here."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from qbsf_pipeline.money import format_amount
from qbsf_pipeline.slack.blocks import LONGEST_MESSAGE, escape, link, section
from qbsf_pipeline.state.failures import Failure, Problem
from qbsf_pipeline.state.outbox import Message


@dataclass(frozen=True)
class Words:
    """How a flow speaks of its records.

    Attributes:
        one, several: a deal, deals.
        refused: headline of a record that was refused: "Not invoiced".
        before: what the records need attention for: "before they can be invoiced".
    """

    one: str
    several: str
    refused: str
    before: str


def problem_messages(
    new: Sequence[Failure], changed: Sequence[Failure], channel: str, single: int, words: Words
) -> list[Message]:
    """One message for each record with a new problem; when many come at once, one message for each handful."""
    failures = [*new, *changed]
    if len(failures) <= single:
        return [
            Message(
                dedupe_key=f"problem:{failure.failure_id}:{failure.changed_at.isoformat()}",
                channel=channel,
                text=_fallback(failure.problem, words),
                blocks=sections(_problem_lines(failure, words)),
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
            text=f"{len(failures)} {words.several} need attention",
            blocks=[
                section(f":warning: *{len(failures)} {words.several} need attention {words.before}.* Each is in the thread.")
            ],
            thread_of=None,
            kind="problem",
        )
    ]
    for number, start in enumerate(range(0, len(failures), single), start=1):
        part = failures[start : start + single]
        lines: list[str] = []
        for failure in part:
            lines += [*_problem_lines(failure, words), ""]
        messages.append(
            Message(
                dedupe_key=f"{parent}:{number}",
                channel=channel,
                text=f"{len(part)} {words.several} that need attention"
                if len(part) != 1
                else f"1 {words.one} that needs attention",
                blocks=sections(lines),
                thread_of=parent,
                kind="problem",
            )
        )
    return messages


def resolved_messages(resolved: Sequence[Failure], channel: str, single: int) -> list[Message]:
    """That problems went away, so that nobody goes on looking for them."""
    if not resolved:
        return []
    lines = [f":white_check_mark: *{_record(failure.problem)}* is all right again." for failure in resolved[: single * 3]]
    if len(resolved) > single * 3:
        lines.append(f"_and {len(resolved) - single * 3} more_")
    return [
        Message(
            dedupe_key=f"resolved:{_digest(resolved)}",
            channel=channel,
            text=f"{len(resolved)} problem{'s' if len(resolved) != 1 else ''} solved",
            blocks=sections(lines),
            thread_of=None,
            kind="resolved",
        )
    ]


#: What did not happen because a check of the flow is closed.
STOPPED = {
    "invoices": "no invoice was pushed",
    "customers": "no customer was changed",
    "payments": "no payment status was written",
    "aging": "no age was written and nobody was reminded",
}
#: The same of a run that writes to no system, and so stops nothing else.
NOT_MADE = {"reconciliation": "no month-end report was made"}


def gate_message(
    batch: str, closed: Sequence[tuple[str, str]], run_link: str | None, channel: str, flows: Sequence[str] = tuple(STOPPED)
) -> Message:
    """That a gate stopped the push: which check, what it found, and what to do. One message per plan and finding.

    Args:
        flows: the flows that stand still; keys of :data:`STOPPED` or :data:`NOT_MADE`.
    """
    what = (
        "nothing was sent to QuickBooks"
        if len(flows) == len(STOPPED)
        else " and ".join((STOPPED | NOT_MADE)[flow] for flow in flows)
    )
    digest = hashlib.sha256("|".join(f"{name}{text}" for name, text in closed).encode()).hexdigest()[:12]
    lines = [f":no_entry: *{what[0].upper()}{what[1:]}: a check stopped this pass.*"]
    lines += [f"• {escape(text)}  (`{escape(name)}`)" for name, text in closed]
    if run_link is not None:
        lines.append(link(run_link, "Open the run"))
    return Message(
        dedupe_key=f"gate:{batch}:{digest}",
        channel=channel,
        text=f"A check stopped this pass; {what}",
        blocks=sections(lines),
        thread_of=None,
        kind="gate",
    )


def _digest(failures: Sequence[Failure]) -> str:
    seen = " ".join(f"{failure.failure_id}{failure.status}{failure.changed_at.isoformat()}" for failure in failures)
    return hashlib.sha256(seen.encode()).hexdigest()[:16]


def _headline(problem: Problem, words: Words) -> str:
    return words.refused if problem.kind == "refused" else "Needs a person"


def _fallback(problem: Problem, words: Words) -> str:
    first = f": {problem.reasons[0].text}" if problem.reasons else ""
    return f"{_headline(problem, words)}: {problem.label}{first}"[:3000]


def _record(problem: Problem) -> str:
    return link(problem.link, problem.label) if problem.link else escape(problem.label)


def _problem_lines(failure: Failure, words: Words) -> list[str]:
    problem = failure.problem
    money = f" · {format_amount(problem.amount, problem.currency)}" if problem.amount is not None and problem.currency else ""
    lines = [f":warning: *{_headline(problem, words)}:* {_record(problem)}{money}  _{failure.failure_id}_"]
    for reason in problem.reasons:
        lines.append(f"• {escape(reason.text)}")
        if reason.remedy:
            lines.append(f"   → {escape(reason.remedy)}")
    return lines


def fitting(lines: Sequence[str], longest: int = LONGEST_MESSAGE) -> list[list[str]]:
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


def sections(lines: Sequence[str], longest: int = 2800) -> list[dict[str, object]]:
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
