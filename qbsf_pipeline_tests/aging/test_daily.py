"""A morning of the ageing flow by whole passes: jobs on a real Dagster instance, services over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from qbsf_pipeline.aging.automation import AGING
from qbsf_pipeline.aging.tables import INVOICES, PLAN
from qbsf_pipeline.flows.automation import due_today
from qbsf_pipeline.flows.time_zone import TIME_ZONE
from qbsf_pipeline.resources import Doors
from qbsf_pipeline_tests.payments.billed import RAW, Billed, Company, company_in, one_pass
from qbsf_pipeline_tests.pipeline import Pipeline
from qbsf_pipeline_tests.state.writes import invoice

RULES = """
[aging]
reminders_after = [7]
task_from = 60
"""
IDLE = {"quickbooks": 0, "salesforce": 0, "slack": 0}


@dataclass
class Story:
    """Deals with open invoices, and what mornings made of them.

    ``ages``: days and bucket by morning and deal; ``writes``: calls that could change something; ``told``: messages about each
    deal; ``tasks``: those of Salesforce; ``mailed``: how many mails went to customers; ``past``: days past due by number in the
    report of a past day; ``waiting``: what a push would do after it.
    """

    company: Company
    deals: dict[str, Billed]
    ages: dict[str, dict[str, tuple[int | None, str | None]]] = field(default_factory=dict)
    writes: dict[str, dict[str, int]] = field(default_factory=dict)
    told: dict[str, dict[str, list[tuple[str, str]]]] = field(default_factory=dict)
    tasks: dict[str, dict[str, list[dict[str, Any]]]] = field(default_factory=dict)
    mailed: dict[str, int] = field(default_factory=dict)
    past: dict[str, int] = field(default_factory=dict)
    waiting: int = -1

    def look(self, moment: str) -> None:
        company = self.company
        self.writes[moment] = company.writes()
        self.ages[moment] = {name: company.age(deal) for name, deal in self.deals.items()}
        self.told[moment] = {name: company.told(f"|{deal.number}>") for name, deal in self.deals.items()}
        tasks = company.tasks()
        self.tasks[moment] = {
            name: [one for one in tasks if one.get("WhatId") == deal.deal_id] for name, deal in self.deals.items()
        }
        self.mailed[moment] = len(company.control.mail())
        company.control.clear_calls()


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    with (
        company_in(tmp_path_factory.mktemp("services")) as (sandbox, company),
        pytest.MonkeyPatch.context() as patch,
        Pipeline(tmp_path_factory.mktemp("home") / "home", patch, sandbox) as pipeline,
    ):
        pipeline.rules(RULES)
        past_due = {"new": -10, "due today": 0, "28": 28, "35": 35, "65": 65, "95": 95}
        deals = {name: company.bill(f"Deal {name}", due=company.today - timedelta(days=days)) for name, days in past_due.items()}
        deals["left"] = company.bill("Left", owner="Tom Kessler", due=company.today - timedelta(days=40))
        found = Story(company, deals)
        found.look("before")
        one_pass(pipeline, AGING)
        found.look("first")
        one_pass(pipeline, AGING)
        found.look("again")

        company.pay(deals["65"], "100.00")
        one_pass(pipeline, AGING)
        found.look("paid")

        then = (company.today - timedelta(days=33)).isoformat()
        # A write of today that did not get through.
        left = invoice(1, key="update_aging:left", flow=AGING.name, operation="update_opportunity", depends_on=())
        pipeline.doors.state.ledger.enqueue([left], "B-1", pipeline.doors.now())
        report = pipeline.run_as_of("sync_aging", "plan_aging", then, *RAW, *keys())
        assert report.success
        found.look("report")
        found.past = {
            row["doc_number"]: row["days_past_due"]
            for row in pipeline.table(INVOICES).iter_rows(named=True)
            if row["doc_number"].startswith("T-")
        }
        assert pipeline.table(PLAN).is_empty()
        found.waiting = AGING.waiting(pipeline.doors)

        later = timedelta(days=3)
        patch.setattr(Doors, "now", lambda _self: datetime.now(UTC) + later)
        one_pass(pipeline, AGING)
        found.look("three days later")
        yield found


def keys() -> list[str]:
    return ["/".join(key.path) for key in (*AGING.derived, *AGING.planned, AGING.pending)]


def test_each_deal_shows_the_days_and_the_bucket_of_its_invoice(story: Story) -> None:
    assert story.ages["first"] == {
        "new": (0, "Current"),
        "due today": (0, "Current"),
        "28": (28, "1-30"),
        "35": (35, "31-60"),
        "65": (65, "61-90"),
        "95": (95, "90+"),
        "left": (40, "31-60"),
    }


def test_the_owner_gets_one_message_with_all_that_crossed_a_threshold(story: Story) -> None:
    told = story.told["first"]
    assert told["new"] == told["due today"] == told["28"] == []
    owner = {name: told[name] for name in ("35", "65", "95")}
    assert all(len(found) == 1 for found in owner.values())
    assert len({found[0] for found in owner.values()}) == 1
    channel, text = owner["35"][0]
    assert channel.startswith("D")
    assert "The first look" in text
    assert "O'Dell" in text


def test_who_left_is_named_to_finance(story: Story) -> None:
    ((channel, text),) = story.told["first"]["left"]
    assert not channel.startswith("D")
    assert "Tom Kessler, who left" in text


def test_finance_gets_the_totals_once_a_day(story: Story) -> None:
    assert len(story.company.told("Receivables by age")) == 2  # of two days


def test_a_customer_is_reminded_and_the_account_s_owner_gets_a_task(story: Story) -> None:
    # 28, 35, 65, 95 and left; those of the sample company beside them.
    assert story.mailed["first"] - story.mailed["before"] >= 5
    assert {name: len(found) for name, found in story.tasks["first"].items()} == {
        "new": 0,
        "due today": 0,
        "28": 0,
        "35": 0,
        "65": 1,
        "95": 1,
        "left": 0,
    }
    (task,) = story.tasks["first"]["95"]
    assert "95 days" in task["Subject"] or "90 days" in task["Subject"]
    assert "100.00 USD" in task["Description"]


def test_the_same_morning_once_more_does_nothing(story: Story) -> None:
    assert story.writes["again"] == IDLE
    assert story.ages["again"] == story.ages["first"]
    assert story.mailed["again"] == story.mailed["first"]


def test_a_paid_invoice_loses_its_age_and_its_task(story: Story) -> None:
    assert story.ages["paid"]["65"] == (None, None)
    (task,) = story.tasks["paid"]["65"]
    assert task["Status"] == "Completed"
    assert story.told["paid"] == story.told["first"]


def test_a_past_day_is_a_report_and_changes_nothing(story: Story) -> None:
    assert story.writes["report"] == IDLE
    deals = story.deals
    # 65 was still open then; 28 was not due for days to come.
    assert story.past[deals["65"].number] == 32
    assert story.past[deals["95"].number] == 62
    assert story.past[deals["28"].number] == 0
    # Nothing is left that a sensor would start an empty push for; today's pass plans it again.
    assert story.waiting == 0


def test_days_without_a_pass_are_made_up_for_at_once(story: Story) -> None:
    ages, told = story.ages["three days later"], story.told["three days later"]
    assert ages["28"] == (31, "31-60")
    assert ages["65"] == (None, None)
    assert len(told["28"]) == 1
    assert {name: told[name] for name in ("35", "65", "95", "left")} == {
        name: story.told["first"][name] for name in ("35", "65", "95", "left")
    }
    assert "The first look" not in told["28"][0][1]


# The clock of the company


@pytest.mark.parametrize(
    ("zone", "now", "ran_at", "due"),
    [
        ("America/Los_Angeles", "2026-11-23T14:59", None, True),  # of yesterday, which nobody did
        ("America/Los_Angeles", "2026-11-23T14:59", "2026-11-22T16:00", False),
        ("America/Los_Angeles", "2026-11-23T15:00", "2026-11-22T16:00", True),
        ("America/Los_Angeles", "2026-11-23T15:10", "2026-11-23T15:01", False),
        ("America/Los_Angeles", "2026-11-23T15:10", "2026-11-23T08:00", True),  # somebody ran it in the night
        (None, "2026-11-23T07:00", "2026-11-22T07:05", True),
        (None, "2026-11-23T06:59", "2026-11-22T07:05", False),
        ("Asia/Tokyo", "2026-11-22T22:00", "2026-11-21T22:10", True),
    ],
)
def test_the_morning_is_that_of_the_company(
    zone: str | None,
    now: str,
    ran_at: str | None,
    due: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moment = datetime.fromisoformat(f"{now}+00:00")
    monkeypatch.setattr(Doors, "now", lambda _self: moment)
    with Pipeline(tmp_path / "home", monkeypatch) as pipeline:
        state = pipeline.doors.state
        if zone is not None:
            state.cache.store(TIME_ZONE, zone, moment)
        if ran_at is not None:
            at = datetime.fromisoformat(f"{ran_at}+00:00")
            state.passes.end(state.passes.begin("aging", "sandbox", "enqueue", at), "done", {}, {}, None, at)
        assert due_today(pipeline.doors, AGING) is due


def test_the_schedule_asks_for_a_morning_once_and_waits_for_no_other_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dagster").mkdir()
    instance = dg.DagsterInstance.local_temp(str(tmp_path / "dagster"))
    with Pipeline(tmp_path / "home", monkeypatch, instance=instance) as pipeline:
        assert isinstance(pipeline.tick_schedule("morning_aging"), dg.RunRequest)
        create_run_for_test(instance, job_name="sync", status=dg.DagsterRunStatus.STARTED)
        assert isinstance(pipeline.tick_schedule("morning_aging"), dg.RunRequest)
        run = create_run_for_test(instance, job_name="sync_aging", status=dg.DagsterRunStatus.STARTED)
        found = pipeline.tick_schedule("morning_aging")
        assert isinstance(found, dg.SkipReason)
        assert found.skip_message == "it is under way"
        instance.report_run_canceled(run)
        state, now = pipeline.doors.state, pipeline.doors.now()
        state.passes.end(state.passes.begin("aging", "sandbox", "enqueue", now), "done", {}, {}, None, now)
        found = pipeline.tick_schedule("morning_aging")
        assert isinstance(found, dg.SkipReason)
        assert found.skip_message == "it ran since it was due last"
