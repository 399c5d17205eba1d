"""Deals that amend a contract, laid over the schedule of the deal that made it. Pure.

The amendment's own deal bills nothing then. Which deal made the contract is in :mod:`.contract_deals`; what becomes of the
changed schedule in :mod:`.schedules`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any

from qbsf_pipeline.invoices.line_sources.sold import SoldLine, SoldLines
from qbsf_pipeline.invoices.lines import cent_amounts
from qbsf_pipeline.invoices.recurring.amending import amended
from qbsf_pipeline.invoices.recurring.periods import Span
from qbsf_pipeline.invoices.recurring.schedule import BillingPeriod, BillingSchedule, sum_of
from qbsf_pipeline.invoices.recurring.terms import DealTerms
from qbsf_pipeline.invoices.sound_deals import deal_name
from qbsf_pipeline.invoices.validation import Reason
from qbsf_pipeline.money import format_amount
from qbsf_pipeline.settings import RecurringRules


@dataclass(frozen=True)
class SoldDeal:
    """A won deal, with what its source tells of its lines.

    Attributes:
        deal: row of ``salesforce.opportunity``.
        sold: its lines; of an amendment the deltas.
        terms: what the deal says of its billing.
    """

    deal: Mapping[str, Any]
    sold: SoldLines
    terms: DealTerms

    @property
    def difference(self) -> Decimal:
        """What its lines come to, two places, its own currency; may be below zero."""
        return difference_of(self.sold.lines)

    @property
    def starts_on(self) -> date | None:
        """Its first day: of its lines, else of the deal."""
        days = [line.start_date for line in self.sold.lines if line.start_date is not None]
        return min(days) if days else self.terms.start_date

    @property
    def words(self) -> str:
        """The amendment for the person who approves: its name, what it comes to, and from when."""
        sign = "+" if self.difference >= 0 else ""
        amount = format_amount(self.difference, self.terms.currency).strip()
        since = f" from {self.starts_on}" if self.starts_on is not None else ""
        return f"“{deal_name(self.deal)}” ({sign}{amount}{since})"


@dataclass(frozen=True)
class LaidOver:
    """The schedule that a deal asks for once the amendments of its contract are laid over it, one after the other.

    Attributes:
        steps: the schedule without any amendment, with the oldest, with the two oldest, and so on.
        words: the amendments in it.
        refused: what stands against an amendment, by its deal; it is left out.
    """

    steps: tuple[BillingSchedule, ...]
    words: tuple[str, ...] = ()
    refused: Mapping[str, tuple[Reason, ...]] = field(default_factory=dict)

    @property
    def wanted(self) -> BillingSchedule:
        """The schedule with all of them."""
        return self.steps[-1]


def difference_of(lines: Sequence[SoldLine]) -> Decimal:
    """What lines come to, as they are billed: in cents each."""
    return sum_of(cent_amounts([one.line.total for one in lines]))


def laid_over(base: BillingSchedule, amendments: Sequence[SoldDeal], rules: RecurringRules) -> LaidOver:
    """The schedule with every amendment laid over it: the oldest first, by start, then by close date, then by id.

    Args:
        base: as made from the deal itself.
        amendments: of the contract that the deal made, in any order; those without lines change nothing.
    """
    steps = [base]
    words: list[str] = []
    refused: dict[str, tuple[Reason, ...]] = {}
    for one in sorted((one for one in amendments if one.sold.lines), key=_age):
        found = amended(steps[-1], one.sold.lines, one.terms.currency, one.starts_on, rules)
        if isinstance(found, tuple):
            refused[one.deal["id"]] = found
        else:
            steps.append(replace(found, amendments=(*found.amendments, one.deal["id"])))
            words.append(one.words)
    return LaidOver(tuple(steps), tuple(words), refused)


def _age(one: SoldDeal) -> tuple[date, date, str]:
    return one.starts_on or date.max, one.deal["close_date"] or date.max, one.deal["id"]


@dataclass(frozen=True)
class Renewed:
    """The deal whose contract a renewal continues.

    Attributes:
        contract_id: ``None`` where the quote names none.
        name: of the deal that made the contract; ``None`` where nothing tells it.
        schedule: how it is billed; ``None`` for a plain invoice, or where that is not known.
        periods: of its schedule, those that were billed or will be.
    """

    contract_id: str | None
    name: str | None = None
    schedule: BillingSchedule | None = None
    periods: tuple[BillingPeriod, ...] = ()

    def overlap(self, renewal: Span | None) -> tuple[Span, int] | None:
        """The days that both would bill, from the first to the last, and how many; ``None`` for none.

        Args:
            renewal: the days that the renewal covers, where that is known.
        """
        if renewal is None:
            return None
        shared = [one.span for one in self.periods if one.kind == "period" and one.span.shared_days(renewal)]
        if not shared:
            return None
        starts, ends = min(one.starts for one in shared), max(one.ends for one in shared)
        days = sum(one.shared_days(renewal) for one in shared)
        return Span(max(starts, renewal.starts), min(ends, renewal.ends)), days

    def words(self, renewal: Span | None) -> str:
        """What a person reads before the renewal is billed first."""
        contract = f"the contract {self.contract_id}" if self.contract_id else "a contract"
        if self.name is None:
            text = f"The deal renews {contract}; nothing tells which deal made it."
        elif self.schedule is None or not self.schedule.periods:
            text = f"The deal renews {contract} of the deal “{self.name}”, which is not billed period by period."
        else:
            ends = max(one.span.ends for one in self.schedule.periods)
            text = f"The deal renews {contract} of the deal “{self.name}”, which is billed until {ends}."
        overlap = self.overlap(renewal)
        if overlap is not None:
            span, days = overlap
            count = "1 day" if days == 1 else f"{days} days"
            text += f" Both would bill {count} from {span.starts} to {span.ends}."
        return text


def covered(schedule: BillingSchedule, lines: Sequence[SoldLine]) -> Span | None:
    """The days that a deal covers: by its periods, else by what its lines tell; ``None`` where nothing does."""
    spans = [one.span for one in schedule.periods if one.kind == "period"]
    spans = spans or [Span(one.start_date, one.end_date or one.start_date) for one in lines if one.start_date is not None]
    return Span(min(one.starts for one in spans), max(one.ends for one in spans)) if spans else None
