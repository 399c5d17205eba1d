"""Which periods templates bill, and which template is made or deleted: one table of cases, and that no period is ever both's."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbsf_pipeline.invoices.recurring.handing_over import HandedOver, hand_over
from qbsf_pipeline.invoices.recurring.known_templates import DealTemplate, again
from qbsf_pipeline.invoices.recurring.templates import content_of
from qbsf_pipeline_tests.invoices.recurring.deals import TERMS, rules, schedule, sold

TODAY = date(2026, 1, 20)
YEAR = schedule()
BY_TEMPLATE = rules(bill_by="template")
DAYS = tuple(period.due_on for period in YEAR.periods)
LIVE = DealTemplate(TERMS.opportunity_id, 0, "1483", "live", "Deal 1", "26", (("7", Decimal("100.00")),), DAYS)
GONE, LEAVING, ENDED = (replace(LIVE, status=status) for status in ("gone", "leaving", "ended"))
UNDER_WAY = replace(LIVE, status="under_way", template_id=None)


def decided(*templates: DealTemplate, billed: tuple[int, ...] = (), today: date = TODAY, **values: Any) -> HandedOver:
    of = values.pop("of", YEAR)
    return hand_over(of, billed, templates, today, values.pop("with_rules", BY_TEMPLATE), **values)


def told(found: HandedOver) -> tuple[int, int, list[bool], list[str], bool]:
    """Periods handed, periods of a new template, which templates end (taken over or not), codes, and whether the deal waits."""
    new = len(found.create.repeated) if found.create is not None else 0
    ends = [one.taken_over for one in found.ends]
    return len(found.handed), new, ends, [reason.code for reason in found.reasons], bool(found.waits)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        # Nothing is there yet.
        (decided(), (0, 12, [], [], False)),
        (decided(with_rules=rules()), (0, 0, [], [], False)),
        (decided(refused="The company numbers its invoices."), (0, 0, [], [], False)),
        (decided(settled=False), (0, 0, [], [], False)),
        (decided(billed=(0, 1), today=date(2026, 3, 15)), (0, 10, [], [], False)),
        (decided(of=replace(YEAR, status="paused", why="On hold.")), (0, 0, [], [], False)),
        # It lives, and does what the deal says.
        (decided(LIVE), (12, 0, [], [], False)),
        (decided(LIVE, billed=tuple(range(11)), today=date(2026, 12, 2)), (1, 0, [], [], False)),
        (decided(LIVE, billed=tuple(range(12)), today=date(2027, 2, 2)), (0, 0, [], [], False)),
        (decided(LIVE, today=date(2026, 2, 7)), (12, 0, [], [], False)),
        (decided(LIVE, today=date(2026, 2, 8)), (12, 0, [], ["template_silent"], False)),
        # Its answer, or its deletion, is looked for.
        (decided(UNDER_WAY), (12, 0, [], [], True)),
        (decided(LEAVING), (12, 0, [], [], True)),
        (decided(ENDED), (0, 12, [], [], False)),
        # A person deleted it: qbsf asks, and never makes another one after that.
        (decided(GONE), (12, 0, [True], [], False)),
        (decided(GONE, billed=tuple(range(12))), (0, 0, [], [], False)),
        (decided(replace(LIVE, status="taken_over")), (0, 0, [], [], False)),
        # The deal wants something else.
        (decided(LIVE, of=schedule(sold("2400.00"))), (12, 0, [False], [], True)),
        (decided(LIVE, of=schedule(periods=Decimal(6))), (6, 0, [False], [], True)),
        (decided(LIVE, of=schedule(start_date=date(2026, 2, 2))), (0, 0, [False], [], True)),
        (decided(LIVE, of=replace(YEAR, periods=(), status="cancelled", why="The deal is lost.")), (0, 0, [False], [], False)),
        (decided(LIVE, of=replace(YEAR, status="paused", why="On hold.")), (12, 0, [False], [], False)),
        (decided(LIVE, with_rules=rules()), (12, 0, [False], [], True)),
        (decided(LIVE, billed=tuple(range(12)), with_rules=rules()), (0, 0, [], [], False)),
        (decided(replace(LIVE, content="0" * 32)), (12, 0, [False], [], True)),
        (decided(replace(LIVE, content=content_of(YEAR.periods[3]))), (12, 0, [], [], False)),
        (decided(LIVE, customer="27"), (12, 0, [False], [], True)),
        (decided(LIVE, customer="26"), (12, 0, [], [], False)),
        # What qbsf did not name is deleted only by a person's word.
        (decided(replace(LIVE, ours=False), of=schedule(sold("2400.00"))), (12, 0, [True], [], True)),
        (decided(replace(LIVE, days=())), (0, 0, [], ["template_unreadable"], False)),
        (decided(replace(LIVE, days=()), with_rules=rules()), (0, 0, [False], [], True)),
        # Two for the same periods, and one for the rest of a longer schedule.
        (decided(LIVE, replace(LIVE, template_id="1500")), (12, 0, [False], [], True)),
        (decided(LIVE, of=schedule(sold("2400.00"), periods=Decimal(24))), (12, 12, [], [], False)),
    ],
)
def test_a_template_bills_what_the_deal_wants_or_is_deleted(found: HandedOver, expected: tuple) -> None:
    assert told(found) == expected


def test_a_template_that_is_made_again_has_a_number_of_its_own() -> None:
    assert [again(made, 0) for made in ((), (UNDER_WAY,), (ENDED,), (ENDED, ENDED), (replace(ENDED, first=3),))] == [
        1,
        1,
        2,
        3,
        1,
    ]


@given(
    statuses=st.lists(st.sampled_from(["under_way", "live", "gone", "leaving", "ended", "taken_over"]), max_size=3),
    starts=st.lists(st.integers(0, 11), min_size=3, max_size=3),
    billed=st.sets(st.integers(0, 11)),
    after=st.integers(-40, 500),
    by_template=st.booleans(),
)
def test_no_period_is_left_to_a_new_template_that_was_billed_or_that_another_one_may_bill(
    statuses: list[str], starts: list[int], billed: set[int], after: int, by_template: bool
) -> None:
    templates = [
        replace(LIVE, status=status, template_id=None if status == "under_way" else str(number), days=DAYS[starts[number] :])
        for number, status in enumerate(statuses)
    ]
    today = DAYS[0] + timedelta(days=after)
    found = decided(*templates, billed=tuple(billed), today=today, with_rules=BY_TEMPLATE if by_template else rules())
    new = {period.number for period in found.create.repeated} if found.create is not None else set()
    living = {
        period.number
        for template in templates
        if template.status not in ("ended", "taken_over")
        for period in YEAR.periods
        if period.due_on in template.days and period.number not in billed
    }
    assert set(found.handed) == living
    assert not new & (billed | living)
    assert all(period.due_on > today for period in YEAR.periods if period.number in new)
    assert not new or not (found.ends or found.reasons or found.waits)
    assert by_template or not new
