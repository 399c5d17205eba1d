"""Which periods of a deal recurring templates of QuickBooks bill, which template is made, and which is deleted. Pure.

Never both: while a template lives, or may live, qbsf bills none of its periods. A template is never changed. One whose periods
the deal does not want any more is deleted; nothing of the deal is billed until a pull behind that has shown what it made before.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from qbsf_pipeline.invoices.recurring import refusals
from qbsf_pipeline.invoices.recurring.known_templates import DealTemplate
from qbsf_pipeline.invoices.recurring.schedule import BillingPeriod, BillingSchedule
from qbsf_pipeline.invoices.recurring.templates import TemplateSplit, content_of, split_for_template
from qbsf_pipeline.invoices.validation import Reason
from qbsf_pipeline.money import format_amount
from qbsf_pipeline.settings import RecurringRules


@dataclass(frozen=True)
class TemplateEnd:
    """A template that is deleted.

    Attributes:
        why: in a sentence.
        taken_over: whether qbsf bills what is left itself, which a person has to say first; else another template may follow.
        periods: what of it was not billed.
    """

    template: DealTemplate
    why: str
    taken_over: bool
    periods: tuple[BillingPeriod, ...] = ()


@dataclass(frozen=True)
class HandedOver:
    """What templates mean for the periods of one deal.

    Attributes:
        handed: open periods that a template bills, or may bill, by number.
        create: a template that is made now, and its periods.
        ends: templates that are deleted.
        reasons: what stands against billing anything of the deal.
        waits: why nothing of the deal is billed now, though nothing stands against it; empty where it is.
    """

    handed: Mapping[int, DealTemplate] = field(default_factory=dict)
    create: TemplateSplit | None = None
    ends: tuple[TemplateEnd, ...] = ()
    reasons: tuple[Reason, ...] = ()
    waits: str = ""

    def why(self, number: int) -> str:
        """Why qbsf does not bill a period that a template bills."""
        template = self.handed[number]
        if template.status == "gone":
            return f"QuickBooks' {template.called} does nothing any more; it waits for a person to say that qbsf bills it."
        if template.status == "leaving":
            return f"QuickBooks' {template.called} was deleted; the next pull shows whether it billed it before."
        return f"QuickBooks' {template.called} bills it."


NOTHING_HANDED = HandedOver()


def hand_over(
    schedule: BillingSchedule,
    billed: Collection[int],
    templates: Sequence[DealTemplate],
    today: date,
    rules: RecurringRules,
    *,
    customer: str | None = None,
    refused: str = "",
    settled: bool = True,
) -> HandedOver:
    """What templates bill of a schedule, and what becomes of them.

    Args:
        schedule: as it counts now.
        billed: numbers that were billed or are being sent.
        templates: of the deal.
        today: the company's day.
        customer: whom the deal bills in QuickBooks; ``None`` where that is not known.
        refused: why the deal is not billed by templates, in a sentence; empty where it is.
        settled: whether no change of the schedule waits for a person: only then is a template made.
    """
    if not refused and rules.bill_by != "template":
        refused = "The rules say that qbsf bills each period itself."
    desk = _Desk(schedule, frozenset(billed), today, rules, customer)
    for template in templates:
        desk.consider(template, refused)
    if refused or not settled or desk.is_busy or any(one.status == "taken_over" for one in templates):
        return desk.outcome(None)
    split = split_for_template(schedule, {*billed, *desk.handed}, today)
    return desk.outcome(split if split.repeated else None)


class _Desk:
    """Looks at the templates of one deal. One use."""

    def __init__(
        self, schedule: BillingSchedule, billed: frozenset[int], today: date, rules: RecurringRules, customer: str | None
    ) -> None:
        self._customer = customer
        self._schedule, self._billed, self._today, self._rules = schedule, billed, today, rules
        # Of two periods of one day, as a change may leave them, the one that was billed tells what a template did.
        regular = sorted((one for one in schedule.periods if one.kind == "period"), key=lambda one: one.number in billed)
        self._periods = {one.due_on: one for one in regular}
        self.handed: dict[int, DealTemplate] = {}
        self._ends: list[TemplateEnd] = []
        self._reasons: list[Reason] = []
        self._waits = ""

    @property
    def is_busy(self) -> bool:
        """Whether something of a template must come to its end before another one is made."""
        return bool(self._ends or self._reasons or self._waits)

    def outcome(self, create: TemplateSplit | None) -> HandedOver:
        return HandedOver(self.handed, create, tuple(self._ends), tuple(self._reasons), self._waits)

    def consider(self, template: DealTemplate, refused: str) -> None:
        if template.status in ("ended", "taken_over"):
            return
        bills = self._schedule.status == "active" and not refused and template.status in ("under_way", "live")
        if bills and not template.days:
            self._reasons.append(refusals.template_unreadable(template.called))
            return
        open_days = [day for day in template.days if not self._is_billed(day)]
        open_periods = tuple(self._periods[day] for day in open_days if day in self._periods)
        doubled = [one for one in open_periods if one.number in self.handed]
        self.handed |= {one.number: template for one in open_periods if one.number not in self.handed}
        if template.status == "under_way":
            self._waits = f"QuickBooks was told to make {template.called}, and its answer is being looked for."
        elif template.status == "leaving":
            self._waits = f"QuickBooks' {template.called} was deleted; the next pull shows whether it made an invoice before."
        elif template.days and not open_days:
            return
        elif template.status == "gone":
            if self._schedule.status == "active":
                self._ends.append(self._taken_over(template, open_periods))
        else:
            self._live(template, open_days, open_periods, refused, bool(doubled))

    def _live(
        self, template: DealTemplate, days: Sequence[date], periods: tuple[BillingPeriod, ...], refused: str, doubled: bool
    ) -> None:
        why = self._schedule.why or "Its schedule has stopped." if self._schedule.status != "active" else refused
        why = why or ("Another template of the deal bills the same periods." if doubled else self._differs(template, days))
        if why:
            self._ends.append(TemplateEnd(template, why, taken_over=not template.ours, periods=periods))
            if self._schedule.status == "active":
                self._waits = f"QuickBooks' {template.called} is to be deleted first. {why}"
            return
        patience = timedelta(days=self._rules.template_days + self._rules.missed_after_days)
        late = [one for one in periods if one.due_on + patience < self._today]
        if late:
            amount = format_amount(late[0].amount, self._schedule.currency).strip()
            self._reasons.append(refusals.template_silent(template.called, [one.due_on for one in late], amount))

    def _differs(self, template: DealTemplate, days: Sequence[date]) -> str:
        """What of a template is not what the deal says, in a sentence; empty where it all is."""
        if self._customer is not None and template.customer_id not in (None, self._customer):
            return f"It bills customer {template.customer_id}, and the deal is billed to customer {self._customer}."
        for day in days:
            period = self._periods.get(day)
            if period is None:
                return f"The deal is not billed on {day} any more."
            if period.amount != template.net:
                bills, wants = (format_amount(one, self._schedule.currency).strip() for one in (template.net, period.amount))
                return f"It bills {bills} on {day}, and the deal says {wants}."
            if template.content and template.content != content_of(period):
                return f"It bills other products or quantities on {day} than the deal says."
        return ""

    def _taken_over(self, template: DealTemplate, periods: tuple[BillingPeriod, ...]) -> TemplateEnd:
        why = f"QuickBooks' {template.called} was deleted or made inactive there, and makes no more invoices."
        return TemplateEnd(template, why, taken_over=True, periods=periods)

    def _is_billed(self, day: date) -> bool:
        period = self._periods.get(day)
        return period is not None and period.number in self._billed


def template_ends(templates: Sequence[DealTemplate], why: str) -> tuple[TemplateEnd, ...]:
    """Every template that lives, to be deleted; one that qbsf did not make after a person said so."""
    return tuple(TemplateEnd(one, why, taken_over=not one.ours) for one in templates if one.status == "live")
