"""What is due on a day, and that what was billed is never due again."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qbsf_pipeline.invoices.recurring.due import due_periods
from qbsf_pipeline.invoices.recurring.schedule import period_key
from qbsf_pipeline_tests.invoices.recurring.deals import RULES, rules, schedule, sold

SCHEDULE = schedule()  # 12 periods of 100.00, the first of each month from 2026-02-01


def billed(found):
    return [one.period.number for one in found.bill]


@pytest.mark.parametrize(
    ("today", "done", "expected"),
    [
        ("2026-01-31", {}, []),
        ("2026-02-01", {}, [0]),
        ("2026-02-01", {0: None}, []),
        ("2026-02-28", {0: None}, []),
        ("2026-03-01", {0: None}, [1]),
        ("2026-03-02", {1: None}, [0]),
        ("2030-01-01", dict.fromkeys(range(11)), [11]),
    ],
)
def test_a_period_is_due_from_its_day_until_it_was_billed(today, done, expected):
    assert billed(due_periods(SCHEDULE, done, date.fromisoformat(today), RULES)) == expected


def test_missed_periods_are_billed_all_at_once_one_a_day_or_when_a_person_says_so():
    today = date(2026, 5, 2)
    assert billed(due_periods(SCHEDULE, {}, today, RULES)) == [0, 1, 2, 3]
    asked = due_periods(SCHEDULE, {}, today, rules(catch_up="ask"))
    assert billed(asked) == [3]
    assert [period.number for period in asked.ask] == [0, 1, 2]
    assert billed(due_periods(SCHEDULE, {}, today, rules(catch_up="ask"), approved=[1])) == [1, 3]
    slowly = due_periods(SCHEDULE, {}, today, rules(catch_up="one_per_day"))
    assert billed(slowly) == [0, 3]
    assert [period.number for period in slowly.waiting] == [1, 2]


def test_one_a_day_means_one_however_often_it_is_planned_on_that_day():
    slowly = rules(catch_up="one_per_day")
    today = date(2026, 5, 20)
    assert billed(due_periods(SCHEDULE, {0: today}, today, slowly)) == []
    assert billed(due_periods(SCHEDULE, {0: today - timedelta(days=1)}, today, slowly)) == [1]


@pytest.mark.parametrize(("late", "expected"), [(0, False), (3, False), (4, True)])
def test_a_period_counts_as_missed_only_after_some_days(late, expected):
    found = due_periods(SCHEDULE, {}, date(2026, 2, 1) + timedelta(days=late), rules(catch_up="ask"))
    assert bool(found.ask) == expected


def test_the_invoice_of_a_late_period_has_the_date_that_the_rules_name():
    today = date(2026, 2, 20)
    assert due_periods(SCHEDULE, {}, today, RULES).bill[0].invoice_date == date(2026, 2, 1)
    assert due_periods(SCHEDULE, {}, today, rules(invoice_date="today")).bill[0].invoice_date == today


@pytest.mark.parametrize("status", ["paused", "cancelled"])
def test_a_stopped_schedule_bills_nothing_and_says_what_is_held(status):
    found = due_periods(replace(SCHEDULE, status=status), {0: None}, date(2026, 3, 5), RULES)
    assert not found.bill
    assert [period.number for period in found.held] == [1]


def test_a_period_that_comes_to_nothing_is_skipped_and_never_an_invoice():
    found = due_periods(schedule(sold("0.05"), periods=Decimal(3)), {}, date(2026, 12, 1), RULES)
    assert [period.number for period in found.skipped] == []
    tiny = due_periods(schedule(sold("0.02"), periods=Decimal(3)), {}, date(2026, 12, 1), RULES)
    assert billed(tiny) == [0]
    assert [period.number for period in tiny.skipped] == [1, 2]


def test_the_key_of_a_period_is_that_of_the_deal_and_its_number():
    assert period_key("quickbooks:9130:invoice:006A:1", 3) == "quickbooks:9130:invoice:006A:1:period-3"


@settings(max_examples=60)
@given(
    start=st.dates(date(2025, 1, 1), date(2026, 12, 1)),
    catch_up=st.sampled_from(["all", "one_per_day", "ask"]),
    passes=st.lists(st.integers(0, 45), min_size=1, max_size=25),
)
def test_every_period_is_billed_once_and_only_once_whatever_days_are_missed(start, catch_up, passes):
    made = schedule(start_date=start, periods=Decimal(6))
    changed = rules(catch_up=catch_up)
    done: dict[int, date] = {}
    today = start
    for wait in [*passes, *[1] * 200]:
        found = due_periods(made, done, today, changed, approved=range(6))
        for one in found.bill:
            assert one.period.number not in done
            assert one.period.due_on <= today
            done[one.period.number] = today
        today += timedelta(days=wait)
    assert sorted(done) == list(range(6))
