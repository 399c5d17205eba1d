"""What a person is asked of a billing schedule. Pure: the same question as long as the same is asked of the same schedule."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from qbsf_pipeline.invoices.amendments import LaidOver
from qbsf_pipeline.invoices.recurring.amending import Proposal
from qbsf_pipeline.invoices.recurring.due import DuePeriods
from qbsf_pipeline.invoices.recurring.schedule import BillingSchedule, sum_of
from qbsf_pipeline.invoices.scheduled import Question, digest_of, question_key
from qbsf_pipeline.money import format_amount, to_json
from qbsf_pipeline.state.billing_schedules import AgreedSchedule


def change_question(
    agreed: AgreedSchedule,
    version: int,
    before: BillingSchedule,
    proposal: Proposal,
    wanted: BillingSchedule,
    moved_to: str = "",
) -> Question:
    """A change as a question: the same one as long as the deal asks for the same, whatever is billed meanwhile, so that what a
    person rejected stays rejected.

    Args:
        wanted: what the deal asks for.
        moved_to: the account of another customer that is billed from now on; empty for none.
    """
    content = (wanted.status, wanted.currency, content_of(wanted), moved_to)
    return Question(
        key=question_key(agreed, f"{version}:{digest_of(repr(content))}"),
        agreed=agreed,
        sentence=agreed.sentence,
        amount=sum_of([proposal.schedule.total, -before.total]),
        currency=before.currency,
    )


def with_amendments(sentence: str, before: BillingSchedule, laid: LaidOver) -> str:
    """The sentence of a change, with the amendments that it comes from."""
    if laid.words:
        return f"With the amendments of its contract, {', '.join(laid.words)}: {sentence}"
    if before.amendments:
        return f"Without amendments of its contract, which are not won any more or billed otherwise: {sentence}"
    return sentence


def content_of(schedule: BillingSchedule) -> list[tuple[object, ...]]:
    """What is asked of a schedule. A difference falls due on the day of the answer, so its day is no part of what is asked."""
    return [
        (
            one.kind,
            one.span,
            one.due_on if one.kind != "difference" else None,
            sorted(repr(line.content) for line in one.lines),
        )
        for one in schedule.periods
    ]


def missed_question(
    newest: AgreedSchedule, schedule: BillingSchedule, due: DuePeriods, gaps: Collection[int] = ()
) -> Question | None:
    """Missed periods that a person has to say yes to (rules: ``recurring.catch_up``); ``None`` without any.

    Args:
        gaps: those of them that nothing remembers, while later ones were billed.
    """
    if not due.ask:
        return None
    numbers = tuple(sorted({*newest.missed, *(one.number for one in due.ask)}))
    count = "1 missed period" if len(due.ask) == 1 else f"{len(due.ask)} missed periods"
    amount = sum_of(one.amount for one in due.ask)
    first, last = min(one.due_on for one in due.ask), max(one.due_on for one in due.ask)
    days = f"on {first}" if first == last else f"from {first} to {last}"
    sentence = f"{count} {days} over {format_amount(amount, schedule.currency).strip()} would be billed."
    if gaps:
        sentence += " The memory of the deal was lost and later periods were billed: look for their invoices in QuickBooks first."
    agreed = replace(newest, version=newest.version + 1, missed=numbers, sentence=sentence)
    return Question(
        question_key(agreed, f"{newest.version}:missed-{digest_of(to_json(numbers))}"),
        agreed,
        sentence,
        amount,
        schedule.currency,
    )
