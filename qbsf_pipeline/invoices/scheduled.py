"""What becomes of a deal that is billed period by period: what is billed, remembered, asked and shown. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from qbsf_pipeline.invoices.recurring.due import DuePeriod
from qbsf_pipeline.invoices.recurring.handing_over import NOTHING_HANDED, HandedOver
from qbsf_pipeline.invoices.recurring.schedule import BillingPeriod, BillingSchedule, sum_of
from qbsf_pipeline.invoices.validation import Reason
from qbsf_pipeline.money import format_amount
from qbsf_pipeline.state.billing_schedules import AgreedSchedule

#: What of an amendment is agreed, asked or rejected is its part in the schedule of the deal that made the contract.
InSchedule = Literal["agreed", "asked", "rejected"]


@dataclass(frozen=True)
class Agreement:
    """A schedule that is to be kept from now on, and needs no person.

    Attributes:
        told: finance is told of it: the schedule was stopped.
    """

    agreed: AgreedSchedule
    deal: Mapping[str, Any]
    told: bool = False


@dataclass(frozen=True)
class Question:
    """What a person has to say yes to before anything of it happens.

    Attributes:
        key: the same as long as the same is asked of the same schedule.
        agreed: what is kept once it is approved.
        amount: by how much the deal's schedule changes, or what the missed periods come to; schedule's currency.
    """

    key: str
    agreed: AgreedSchedule
    sentence: str
    amount: Decimal
    currency: str


@dataclass(frozen=True)
class Scheduled:
    """A deal that is billed period by period.

    Attributes:
        schedule: as it counts now; ``None`` where reasons keep it from being known.
        reasons: what stands against billing any of it.
        bill: what is billed now.
        credits: differences below zero: credit memos that a person approves.
        placed: numbers of periods that have an invoice, and its id; ``None`` while an answer is looked for.
        agreement: what is to be remembered.
        question: what a person is asked.
        rows: of :data:`.recurring.tables.BILLING_SCHEDULES`.
        amendments: deals that amend the contract, and whether their differences are in the schedule as it counts.
        refused: what stands against other amendments, by their deals.
        said: what is said of the deal in place of what is still to come; empty for that.
        templates: what recurring templates of QuickBooks bill of it.
        by_template: those of ``placed`` whose invoice a template made.
    """

    schedule: BillingSchedule | None
    reasons: tuple[Reason, ...] = ()
    bill: tuple[DuePeriod, ...] = ()
    credits: tuple[BillingPeriod, ...] = ()
    placed: Mapping[int, str | None] = field(default_factory=dict)
    agreement: Agreement | None = None
    question: Question | None = None
    rows: tuple[Mapping[str, Any], ...] = ()
    amendments: Mapping[str, InSchedule] = field(default_factory=dict)
    refused: Mapping[str, tuple[Reason, ...]] = field(default_factory=dict)
    said: str = ""
    templates: HandedOver = NOTHING_HANDED
    by_template: Mapping[int, str] = field(default_factory=dict)

    @property
    def newest(self) -> int | None:
        """The newest period that has an invoice."""
        if self.schedule is None:
            return None
        billed = [one for one in self.schedule.periods if self.placed.get(one.number) is not None]
        return max(billed, key=lambda one: (one.due_on, one.number)).number if billed else None

    @property
    def taken_back(self) -> tuple[Mapping[str, Any], ...]:
        """Rows of periods whose invoice was voided or deleted in QuickBooks."""
        return tuple(row for row in self.rows if row["status"] == "voided")

    @property
    def is_billed(self) -> bool:
        """Whether nothing of it is left to be billed."""
        return self.schedule is not None and all(one.number in self.placed or one.amount <= 0 for one in self.schedule.periods)

    @property
    def outlook(self) -> str:
        """What is still to come, in a sentence."""
        schedule = self.schedule
        if self.said or schedule is None:
            return self.said
        periods = [one for one in schedule.periods if one.amount >= 0]
        ahead = [one for one in periods if one.number not in self.placed and one.amount > 0]
        if schedule.status != "active":
            return f"{schedule.why} Nothing is billed."
        if not ahead:
            return f"All {len(periods)} periods were billed."
        amount = format_amount(sum_of(one.amount for one in ahead), schedule.currency).strip()
        billed = len(periods) - len(ahead)
        by_template = f" QuickBooks' templates bill {len(self.templates.handed)} of them." if self.templates.handed else ""
        waits = f" {self.templates.waits}" if self.templates.waits else ""
        return (
            f"{billed} of {len(periods)} periods billed; {amount} to come, next on {min(one.due_on for one in ahead)}."
            f"{by_template}{waits}"
        )


def question_key(agreed: AgreedSchedule, content: str) -> str:
    """The key of a question that would be kept as ``agreed``."""
    return f"qbsf:schedule:{agreed.opportunity_id}:{agreed.generation}:{content}"


def plan_id_of(key: str) -> str:
    """The plan id of a question: what a person approves or rejects."""
    return f"P-{digest_of(key)[:10]}"


def digest_of(text: str) -> str:
    """Twelve characters that stand for a text."""
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:12]
