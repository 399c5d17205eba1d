"""Which periods are billed today, given what was billed. What was billed stays, whatever the schedule says now."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from qbsf_pipeline.invoices.recurring.schedule import BillingPeriod, BillingSchedule
from qbsf_pipeline.settings import RecurringRules


@dataclass(frozen=True)
class DuePeriod:
    """A period to be billed now.

    Attributes:
        invoice_date: date of its invoice (rules: ``recurring.invoice_date``).
        missed: whether it is later than the rules take for in time.
    """

    period: BillingPeriod
    invoice_date: date
    missed: bool


@dataclass(frozen=True)
class DuePeriods:
    """What has fallen due and is not billed yet; each period is in one of these.

    Attributes:
        bill: to be billed now, oldest first.
        ask: missed periods that a person has to say yes to (``recurring.catch_up = "ask"``).
        waiting: missed periods whose turn comes on a later day (``one_per_day``).
        held: due while the schedule is paused; after a cancellation nothing is left to be due.
        credits: differences below zero: credit memos that a person approves.
        skipped: periods that come to 0.00: nothing to bill.
    """

    bill: tuple[DuePeriod, ...] = ()
    ask: tuple[BillingPeriod, ...] = ()
    waiting: tuple[BillingPeriod, ...] = ()
    held: tuple[BillingPeriod, ...] = ()
    credits: tuple[BillingPeriod, ...] = ()
    skipped: tuple[BillingPeriod, ...] = ()


def due_periods(
    schedule: BillingSchedule,
    billed: Mapping[int, date | None],
    today: date,
    rules: RecurringRules,
    approved: Collection[int] = (),
) -> DuePeriods:
    """What has fallen due by ``today`` and is not billed yet.

    Args:
        billed: the numbers that were billed **or are under way** (in the ledger, whatever its status but refused for good), each
            with the day on which it was; ``None`` where that is not known.
        today: the company's day.
        approved: missed periods that a person said yes to.
    """
    fallen = [period for period in schedule.periods if period.due_on <= today and period.number not in billed]
    skipped = tuple(period for period in fallen if not period.amount)
    credits = tuple(period for period in fallen if period.amount < 0)
    open_periods = sorted((period for period in fallen if period.amount > 0), key=lambda one: (one.due_on, one.number))
    if schedule.status != "active":
        return DuePeriods(held=tuple(open_periods), credits=credits, skipped=skipped)
    in_time = [period for period in open_periods if not _is_missed(period, today, rules)]
    missed = [period for period in open_periods if _is_missed(period, today, rules)]
    ask: list[BillingPeriod] = []
    waiting: list[BillingPeriod] = []
    if rules.catch_up == "ask":
        ask = [period for period in missed if period.number not in approved]
    elif rules.catch_up == "one_per_day":
        had_its_turn = any(billed.get(period.number) == today and _is_missed(period, today, rules) for period in schedule.periods)
        waiting = missed if had_its_turn else missed[1:]
    put_off = {period.number for period in (*ask, *waiting)}
    now = sorted([*in_time, *missed], key=lambda one: (one.due_on, one.number))
    return DuePeriods(
        bill=tuple(
            DuePeriod(period, today if rules.invoice_date == "today" else period.due_on, _is_missed(period, today, rules))
            for period in now
            if period.number not in put_off
        ),
        ask=tuple(ask),
        waiting=tuple(waiting),
        credits=credits,
        skipped=skipped,
    )


def _is_missed(period: BillingPeriod, today: date, rules: RecurringRules) -> bool:
    if period.kind == "difference":
        # A person said yes to it, on whatever day.
        return False
    return today - period.due_on > timedelta(days=rules.missed_after_days)
