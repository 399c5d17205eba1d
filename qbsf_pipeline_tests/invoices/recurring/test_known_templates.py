"""What is known of a deal's recurring template: by the ledger, by QuickBooks' list, and what both together say became of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from qbsf_pipeline.invoices.recurring.known_templates import (
    DELETE,
    TAKE_OVER,
    deal_templates,
    named_as,
    named_deal,
    template_days,
)
from qbsf_pipeline.invoices.recurring.templates import template_name
from qbsf_pipeline.money import to_json
from qbsf_pipeline.state.ledger import LedgerEntry
from qbsf_pipeline_tests.invoices.recurring.ledger import DEAL, MADE_AT, listed_template, template_form, template_write

LATER = MADE_AT + timedelta(days=1)
MADE = template_write()


def ended(operation: str = DELETE, status: str = "done", at: datetime | None = MADE_AT) -> LedgerEntry:
    result = to_json({"Id": "1483", "deleted_at": at.isoformat()}) if at is not None else "{}"
    return template_write(operation, status, result=result)


@pytest.mark.parametrize(
    ("writes", "listed", "status"),
    [
        ([template_write(status="planned")], [], None),
        ([template_write(status="withdrawn")], [], None),
        ([template_write(status="dead")], [], None),
        ([template_write(status="sending")], [], "under_way"),
        ([MADE], [listed_template()], "live"),
        # Not listed, and the list is older than it: it was made since.
        ([replace(MADE, done_at=LATER)], [], "live"),
        ([MADE], [], "gone"),
        ([MADE], [listed_template(is_deleted=True)], "gone"),
        ([MADE], [listed_template(active=False)], "gone"),
        ([MADE], [listed_template(recur_type="Reminded")], "gone"),
        ([MADE], [listed_template(recur_type=None, active=None)], "live"),
        ([MADE, ended(status="planned")], [listed_template()], "live"),
        ([MADE, ended(status="dead")], [listed_template()], "live"),
        ([MADE, ended(status="sending")], [listed_template()], "leaving"),
        ([MADE, ended(at=LATER)], [listed_template(is_deleted=True)], "leaving"),
        ([MADE, ended()], [listed_template(is_deleted=True)], "ended"),
        ([MADE, ended(at=None)], [], "ended"),
        ([MADE, ended(TAKE_OVER)], [], "taken_over"),
        # The ledger was lost.
        ([], [listed_template()], "live"),
        ([], [listed_template(name="Renamed by a person")], "live"),
        ([], [listed_template(opportunity_id=None)], "live"),
        ([], [listed_template(active=False)], "gone"),
        ([], [listed_template(is_deleted=True)], None),
        ([], [listed_template(name="Rent", opportunity_id=None)], None),
        # Somebody else's beside the deal's own.
        ([MADE], [listed_template(), listed_template("1500", name="By hand")], "live"),
    ],
)
def test_what_became_of_a_template(writes: list[LedgerEntry], listed: list[dict[str, Any]], status: str | None) -> None:
    found = deal_templates(writes, listed, LATER, LATER)
    assert [one.status for one in found] == ([status] if status else [])
    for one in found:
        assert (one.opportunity_id, one.net, one.customer_id, len(one.days)) == (DEAL, Decimal("100.00"), "26", 12)
        assert one.template_id == (None if status == "under_way" else "1483")


def test_a_deletion_is_over_only_when_a_later_pull_has_read_the_invoices() -> None:
    read = [deal_templates([MADE, ended()], [], LATER, until)[0].status for until in (None, MADE_AT, LATER)]
    assert read == ["leaving", "leaving", "ended"]


@pytest.mark.parametrize(
    ("schedule", "days"),
    [
        ({"MaxOccurrences": 2}, ("2026-02-01", "2026-03-01")),
        ({"MaxOccurrences": "2", "NumInterval": "3"}, ("2026-02-01", "2026-05-01")),
        ({"MaxOccurrences": 2, "IntervalType": "Yearly"}, ("2026-02-01", "2027-02-01")),
        ({"MaxOccurrences": 1, "DayOfMonth": None, "IntervalType": None}, ("2026-02-01",)),
        ({"IntervalType": "Weekly"}, ()),
        ({"MaxOccurrences": None, "EndDate": "2026-12-01"}, ()),
        ({"DayOfMonth": 15}, ()),
        ({"StartDate": None}, ()),
        ({"StartDate": "soon"}, ()),
        ({"MaxOccurrences": Decimal("2.0"), "DayOfMonth": "1"}, ("2026-02-01", "2026-03-01")),
        ({"MaxOccurrences": "2.5"}, ()),
        ({"NumInterval": 0}, ()),
        ({"NumInterval": -1}, ()),
        ({"MaxOccurrences": 10**9}, ()),
        ({"StartDate": "9999-01-01"}, ()),
    ],
)
def test_the_days_of_a_template_are_those_that_qbsf_would_give_it_or_not_known(schedule: dict, days: tuple[str, ...]) -> None:
    assert template_days(template_form(**schedule)) == tuple(date.fromisoformat(day) for day in days)


@pytest.mark.parametrize("broken", [{}, {"RecurringInfo": None}, {"RecurringInfo": {"ScheduleInfo": []}}])
def test_a_form_without_a_schedule_has_no_days(broken: dict) -> None:
    assert template_days(broken) == ()


@pytest.mark.parametrize("deal_name", ["Plain", "", "Été 日本 6", "x" * 300, "Phase 2 2"])
@pytest.mark.parametrize(("number", "again"), [(0, 1), (11, 1), (0, 3)])
def test_the_name_tells_deal_and_first_period_whatever_the_deal_is_called(deal_name: str, number: int, again: int) -> None:
    name = template_name(DEAL, deal_name, number, again)
    assert len(name) <= 100
    assert named_deal(name) == (DEAL, number)


@pytest.mark.parametrize(
    ("listed", "same"),
    [
        (template_form(f"Renamed by a person {DEAL} 1"), True),
        (template_form(f"Deal {DEAL} 1.2"), False),
        (template_form(f"Deal {DEAL} 2"), False),
        (template_form("Lost its name"), True),
        (template_form("Lost its name", StartDate="2026-03-01"), False),
        ({**template_form("Lost its name"), "PrivateNote": None}, False),
    ],
)
def test_a_template_whose_answer_was_lost_is_found_by_its_name_or_its_marker(listed: dict, same: bool) -> None:
    assert named_as(listed, template_form()) is same
