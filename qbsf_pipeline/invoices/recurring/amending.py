"""A changed deal against the schedule that was agreed: what would stay, end and begin. A person approves; nothing happens here.

What was billed stays as it was billed. What the change adds to billed periods, or takes from them, becomes one period of the kind
``difference``: above zero it is billed, below zero it is a credit memo. So a schedule always comes to what the deal is worth now,
and comparing it with the unchanged deal once more finds nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from math import lcm
from typing import Literal

from qbsf_pipeline.invoices.line_sources.sold import SoldLine
from qbsf_pipeline.invoices.lines import cent_amounts
from qbsf_pipeline.invoices.recurring import refusals
from qbsf_pipeline.invoices.recurring.building import once_of, share_of
from qbsf_pipeline.invoices.recurring.dividing import divided
from qbsf_pipeline.invoices.recurring.periods import Span
from qbsf_pipeline.invoices.recurring.schedule import BillingPeriod, BillingSchedule, ScheduledLine, sum_of
from qbsf_pipeline.invoices.recurring.terms import is_recurring
from qbsf_pipeline.invoices.validation import Reason
from qbsf_pipeline.money import format_amount
from qbsf_pipeline.settings import RecurringRules

ProposalKind = Literal["none", "extend", "shorten", "reprice", "replace", "move", "pause", "resume", "cancel", "renew"]
#: What makes a schedule stop. A lost or deleted deal ends it; one that is reopened or on hold only rests.
Stop = Literal["lost", "deleted", "reopened", "on_hold"]

_STOPS: dict[Stop, str] = {
    "lost": "The deal is lost.",
    "deleted": "The deal was deleted in Salesforce.",
    "reopened": "The deal was opened again.",
    "on_hold": "The deal's billing is on hold.",
}
#: A line as it is compared between what was billed and what is wanted: product (or line), and whether it recurs.
_LineKey = tuple[str, bool]


@dataclass(frozen=True)
class Proposal:
    """What a change asks for.

    Attributes:
        schedule: the schedule as it is once a person has approved; the agreed one for ``none``.
        stays: periods of the agreed schedule that stay as they are, everything billed among them.
        ends: periods of the agreed schedule that are not billed any more, or otherwise. None of them was billed.
        begins: periods that are new; one with the number of an ended one is the same period with other lines.
        credit: what is to be credited because of this change, two places, 0 or above, schedule's currency.
        sentence: all of it for the person who approves.
    """

    kind: ProposalKind
    schedule: BillingSchedule
    stays: tuple[BillingPeriod, ...]
    ends: tuple[BillingPeriod, ...]
    begins: tuple[BillingPeriod, ...]
    credit: Decimal
    sentence: str


def amend(
    agreed: BillingSchedule,
    billed: Collection[int],
    wanted: BillingSchedule,
    today: date,
    *,
    renewal: bool = False,
    moved: str = "",
) -> Proposal:
    """What makes the agreed schedule the wanted one, with everything that was billed left as it is.

    Periods are told apart by the days that they cover. A period of the same days keeps its number, so that it can never be billed
    twice; other new ones get numbers that were never given. Texts and ids of lines may change without a proposal.

    Args:
        agreed: the schedule that is kept.
        billed: its numbers that were billed, credited or are under way.
        wanted: of :func:`.building.billing_schedule` from the deal as it is now, with every amendment laid over it
            (:func:`amended`).
        today: the company's day: a difference is due at once, or on the day of the last period in it.
        renewal: further periods renew the contract, by what sales says; else they extend it. A renewal that is a deal of its own,
            as CPQ makes it, has a schedule of its own instead.
        moved: says that another customer is billed from now on; empty where it is the same.
    """
    if agreed.currency != wanted.currency:
        why = f"The deal was in {agreed.currency or 'no currency'} and is in {wanted.currency or 'no currency'} now."
        if any(period.number in billed for period in agreed.periods):
            return _ended(agreed, billed, why, today)
        return _replaced(agreed, wanted, why)
    comparison = _Comparison(agreed, billed, wanted, today)
    stays, ends, begins = comparison.outcome()
    kept = replace(
        wanted,
        periods=tuple(sorted((*stays, *begins), key=lambda period: (period.due_on, period.number))),
        next_number=comparison.next_number,
    )
    if not ends and not begins:
        if moved:
            schedule = replace(agreed, status="active", why="", account_id=wanted.account_id)
            sentence = f"{moved} {_left(agreed.periods, billed, agreed)}; what was billed stays."
            return Proposal("move", schedule, agreed.periods, (), (), Decimal("0.00"), sentence)
        if agreed.status == "active":
            return Proposal("none", agreed, agreed.periods, (), (), Decimal("0.00"), "Nothing has changed.")
        schedule = replace(agreed, status="active", why="")
        return Proposal(
            "resume",
            schedule,
            agreed.periods,
            (),
            (),
            Decimal("0.00"),
            f"Billing goes on: {_left(agreed.periods, billed, agreed)}.",
        )
    kind = _kind(agreed, wanted, renewal=renewal)
    before = sum_of(-period.amount for period in ends if period.kind == "difference" and period.amount < 0)
    credit = sum_of(-period.amount for period in begins if period.kind == "difference" and period.amount < 0)
    sentence = _sentence(kind, agreed, kept, stays, ends, begins, credit, before, billed)
    if moved:
        sentence = f"{moved} {sentence}"
    else:
        # Accounts that were merged are one customer: nobody is asked, and nothing else follows from it.
        kept = replace(kept, account_id=agreed.account_id or wanted.account_id)
    return Proposal(kind, kept, stays, ends, begins, credit, sentence)


def stop(agreed: BillingSchedule, billed: Collection[int], what: Stop, today: date) -> Proposal:
    """What a deal that is lost, deleted, opened again or put on hold asks for. Finance is told at once.

    A schedule that stopped already gives ``none``; one that only rests is ended by a lost or deleted deal.
    """
    pauses = what in ("reopened", "on_hold")
    if agreed.status == "cancelled" or (agreed.status == "paused" and pauses):
        return Proposal("none", agreed, agreed.periods, (), (), Decimal("0.00"), "The schedule has stopped already.")
    if not pauses:
        return _ended(agreed, billed, _STOPS[what], today)
    sentence = f"{_STOPS[what]} Billing rests: {_left(agreed.periods, billed, agreed)}."
    return Proposal(
        "pause", replace(agreed, status="paused", why=_STOPS[what]), agreed.periods, (), (), Decimal("0.00"), sentence
    )


def amended(
    base: BillingSchedule, lines: Sequence[SoldLine], currency: str, starts_on: date | None, rules: RecurringRules
) -> BillingSchedule | tuple[Reason, ...]:
    """A schedule with an amendment laid over it: the deltas of its lines, on the days from its start to the end of the schedule.

    A delta is divided over the periods that it covers; a period that it covers in part gets a part. What is billed once becomes a
    period of its own. The result is what :func:`amend` takes as wanted: there, what falls on billed periods becomes a difference.

    Args:
        base: the schedule as made from the original deal, with earlier amendments laid over it; not the agreed one.
        lines: of the amendment's quote, totals above or below zero.
        currency: of the amendment; empty where it is not told.
        starts_on: its first day, for lines that name none.

    Returns:
        The schedule, exactly by the deltas larger or smaller; or everything that stands against it.
    """
    reasons: list[Reason] = []
    if currency and base.currency and currency != base.currency:
        reasons.append(refusals.amendment_currency_differs(currency, base.currency))
    regular = [period for period in base.periods if period.kind == "period"]
    added: dict[int, list[ScheduledLine]] = {}
    once: dict[date, list[ScheduledLine]] = {}
    end = max((period.span.ends for period in regular), default=date.min)
    for sold, cents in zip(lines, cent_amounts([sold.line.total for sold in lines]), strict=True):
        starts = sold.start_date or starts_on
        if starts is None:
            reasons.append(refusals.start_missing(f"The amendment's line {refusals.shown(sold.line.label)}"))
            continue
        if sold.charge == "one_time" or not is_recurring(sold, rules):
            once.setdefault(starts, []).append(once_of(sold, cents, starts))
            continue
        covered = Span(starts, sold.end_date or end)
        over = [period for period in regular if period.span.shared_days(covered)]
        if not over or covered.ends > end:
            reasons.append(refusals.amendment_outside(sold.line.label, starts, max(covered.starts, covered.ends), end))
            continue
        # Whole periods weigh the same, however many days their months have.
        whole = lcm(*(period.span.days for period in over))
        weights = [period.span.shared_days(covered) * (whole // period.span.days) for period in over]
        for period, part in zip(over, divided(cents, weights, rules.remainder), strict=True):
            days = Span(max(period.span.starts, covered.starts), min(period.span.ends, covered.ends))
            added.setdefault(period.number, []).append(share_of(sold, part, days, base.frequency))
    if reasons:
        return tuple(dict.fromkeys(reasons))
    periods = [replace(period, lines=(*period.lines, *added.get(period.number, ()))) for period in base.periods]
    below = [period for period in periods if period.number in added and period.kind == "period" and period.amount < 0]
    if below:
        return tuple(refusals.amendment_below_zero(period.span.starts, period.amount, base.currency) for period in below)
    number = base.next_number
    for day, fees in sorted(once.items()):
        place = next((place for place, one in enumerate(periods) if one.kind == "once" and one.span == Span(day, day)), None)
        if place is None:
            periods.append(BillingPeriod(number, "once", Span(day, day), day, tuple(fees)))
            number += 1
        else:
            periods[place] = replace(periods[place], lines=(*periods[place].lines, *fees))
    ordered = sorted(periods, key=lambda period: (period.due_on, period.number))
    return replace(base, periods=tuple(ordered), next_number=number)


class _Comparison:
    """Agreed and wanted periods side by side. One use."""

    def __init__(self, agreed: BillingSchedule, billed: Collection[int], wanted: BillingSchedule, today: date) -> None:
        self._billed = [period for period in agreed.periods if period.number in billed]
        self._open = [period for period in agreed.periods if period.number not in billed]
        self._wanted = wanted
        self._today = today
        self._due_on = today
        self.next_number = max([agreed.next_number, *(period.number + 1 for period in agreed.periods)])
        self._owed: dict[_LineKey, Decimal] = {}
        self._example: dict[_LineKey, ScheduledLine] = {}
        self._touched: list[Span] = []

    def outcome(self) -> tuple[tuple[BillingPeriod, ...], tuple[BillingPeriod, ...], tuple[BillingPeriod, ...]]:
        """Periods that stay, end and begin."""
        stays, ends, begins = list(self._billed), [], []
        wanted = {(period.kind, period.span): period for period in self._wanted.periods}
        for period in self._billed:
            match = wanted.pop((period.kind, period.span), None) if period.kind != "difference" else None
            self._owe(period, match)
        unmatched = [period for period in self._billed if (period.kind, period.span) not in self._matched]
        for period in self._open:
            if period.kind == "difference":
                continue
            match = wanted.pop((period.kind, period.span), None)
            if match is not None and match.content == period.content:
                stays.append(period)
                continue
            ends.append(period)
            if match is not None:
                begins.append(replace(match, number=period.number))
        for period in wanted.values():
            if period.kind == "difference":
                # Of a deal that is nothing but a difference: what of it was billed is taken off.
                self._owe(None, period)
            elif self._is_billed_in_part(period, unmatched):
                self._owe(None, period)
                self._due_on = max(self._due_on, period.due_on)
            else:
                begins.append(replace(period, number=self._number()))
        differences = [period for period in self._open if period.kind == "difference"]
        if self._nonzero(self._owed) == self._nonzero(_by_line(differences)):
            stays += differences
        else:
            ends += differences
            if sum_of(self._owed.values()):
                begins.append(self._difference())
        return _in_order(stays), _in_order(ends), _in_order(begins)

    @property
    def _matched(self) -> set[tuple[str, Span]]:
        return {(period.kind, period.span) for period in self._wanted.periods}

    def _is_billed_in_part(self, period: BillingPeriod, unmatched: Sequence[BillingPeriod]) -> bool:
        """Whether a period, cut otherwise, covers days that were billed; or is of fees billed elsewhere, or due by now."""
        if period.kind == "once":
            fees_taken_off = any(amount < 0 for (_, recurring), amount in self._owed.items() if not recurring)
            return bool(self._billed) and (fees_taken_off or period.due_on <= self._today)
        return any(period.span.shared_days(billed.span) for billed in unmatched if billed.kind == "period")

    def _owe(self, billed: BillingPeriod | None, wanted: BillingPeriod | None) -> None:
        before = _by_line([billed] if billed is not None else [])
        after = _by_line([wanted] if wanted is not None else [])
        for line in (*(wanted.lines if wanted is not None else ()), *(billed.lines if billed is not None else ())):
            self._example.setdefault(_line_key(line), line)
        for key in {**before, **after}:
            self._owed[key] = sum_of([self._owed.get(key, Decimal(0)), after.get(key, Decimal(0)), -before.get(key, Decimal(0))])
        if before != after and not (billed is not None and billed.kind == "difference"):
            self._touched += [period.span for period in (billed, wanted) if period is not None]

    def _difference(self) -> BillingPeriod:
        spans = self._touched or [period.span for period in self._billed]
        span = Span(min(one.starts for one in spans), max(one.ends for one in spans))
        lines = [
            replace(
                self._example[key],
                line=replace(self._example[key].line, total=amount, quantity=None, unit_price=None),
                span=span,
            )
            for key, amount in self._owed.items()
            if amount
        ]
        return BillingPeriod(self._number(), "difference", span, self._due_on, tuple(lines))

    def _number(self) -> int:
        self.next_number += 1
        return self.next_number - 1

    @staticmethod
    def _nonzero(amounts: dict[_LineKey, Decimal]) -> dict[_LineKey, Decimal]:
        return {key: amount for key, amount in amounts.items() if amount}


def _by_line(periods: Iterable[BillingPeriod]) -> dict[_LineKey, Decimal]:
    found: dict[_LineKey, Decimal] = {}
    for period in periods:
        for line in period.lines:
            found[_line_key(line)] = sum_of([found.get(_line_key(line), Decimal(0)), line.line.total])
    return found


def _line_key(line: ScheduledLine) -> _LineKey:
    return (line.line.product_id or line.line.line_id, line.recurring)


def _in_order(periods: Iterable[BillingPeriod]) -> tuple[BillingPeriod, ...]:
    return tuple(sorted(periods, key=lambda period: (period.due_on, period.number)))


def _ended(agreed: BillingSchedule, billed: Collection[int], why: str, today: date) -> Proposal:
    credits = [period for period in agreed.periods if period.number not in billed and period.amount < 0]
    stays = _in_order([*(period for period in agreed.periods if period.number in billed), *credits])
    kept = {period.number for period in stays}
    ends = tuple(period for period in agreed.periods if period.number not in kept)
    schedule = replace(agreed, periods=stays, status="cancelled", why=why)
    ahead = sum_of(period.amount for period in stays if period.number in billed and period.span.ends > today)
    sentence = f"{why} {_told('ends', ends, agreed)}."
    if ahead:
        amount = format_amount(ahead, agreed.currency).strip()
        sentence += f" {amount} was billed for periods that end after {today}: say whether any of it is credited."
    return Proposal("cancel", schedule, stays, ends, (), Decimal("0.00"), sentence)


def _replaced(agreed: BillingSchedule, wanted: BillingSchedule, why: str) -> Proposal:
    """Nothing was billed, and no period of the agreed schedule is one of the wanted."""
    first = agreed.next_number
    begins = tuple(replace(period, number=first + place) for place, period in enumerate(wanted.periods))
    schedule = replace(wanted, periods=begins, next_number=first + len(begins))
    sentence = f"{why} {_told('ends', agreed.periods, agreed)}; {_told('begins', begins, wanted)}."
    return Proposal("replace", schedule, (), agreed.periods, begins, Decimal("0.00"), sentence)


def _kind(agreed: BillingSchedule, wanted: BillingSchedule, *, renewal: bool) -> ProposalKind:
    before = _days(agreed)
    after = _days(wanted)
    if before == after:
        return "reprice"
    if before <= after and all(span.starts > _last(before) for _, span in after - before):
        return "renew" if renewal else "extend"
    if after <= before and all(span.starts > _last(after) for _, span in before - after):
        return "shorten"
    return "replace"


def _days(schedule: BillingSchedule) -> set[tuple[str, Span]]:
    return {(period.kind, period.span) for period in schedule.periods if period.kind != "difference"}


def _last(periods: set[tuple[str, Span]]) -> date:
    return max((span.ends for _, span in periods), default=date.min)


def _sentence(
    kind: ProposalKind,
    agreed: BillingSchedule,
    kept: BillingSchedule,
    stays: Sequence[BillingPeriod],
    ends: Sequence[BillingPeriod],
    begins: Sequence[BillingPeriod],
    credit: Decimal,
    credited_before: Decimal,
    billed: Collection[int],
) -> str:
    was, is_now = (format_amount(schedule.total, agreed.currency).strip() for schedule in (agreed, kept))
    worth = f"from {was} to {is_now}" if was != is_now else f"and still comes to {is_now}"
    done = [period for period in stays if period.number in billed]
    parts = [f"The schedule changes {worth} ({kind})"]
    if done:
        amount = format_amount(sum_of(period.amount for period in done), agreed.currency).strip()
        parts.append(f"{amount} in {_count(done)} was billed and stays")
    if ends:
        parts.append(_told("ends", ends, agreed))
    new = [period for period in begins if period.kind != "difference" or period.amount > 0]
    if new:
        parts.append(_told("begins", new, agreed))
    if credit:
        instead = f" instead of {format_amount(credited_before, agreed.currency).strip()}" if credited_before else ""
        parts.append(f"{format_amount(credit, agreed.currency).strip()} is to be credited{instead}")
    return "; ".join(parts) + "."


def _told(verb: str, periods: Sequence[BillingPeriod], schedule: BillingSchedule) -> str:
    if not periods:
        return f"Nothing {verb}"
    amount = format_amount(sum_of(period.amount for period in periods), schedule.currency).strip()
    first, last = min(period.due_on for period in periods), max(period.due_on for period in periods)
    days = f"on {first}" if first == last else f"from {first} to {last}"
    return f"{_count(periods)} {days} over {amount} {verb if len(periods) == 1 else verb[:-1]}"


def _left(periods: Sequence[BillingPeriod], billed: Collection[int], schedule: BillingSchedule) -> str:
    left = [period for period in periods if period.number not in billed]
    amount = format_amount(sum_of(period.amount for period in left), schedule.currency).strip()
    return f"{_count(left)} over {amount} {'is' if len(left) == 1 else 'are'} still to come"


def _count(periods: Sequence[BillingPeriod]) -> str:
    return "1 period" if len(periods) == 1 else f"{len(periods)} periods"
