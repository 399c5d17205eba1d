"""Reminders, tasks and ages, as the services take, refuse, lose and overtake them, over HTTP."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from qbsf_pipeline.aging.push import PushContext, PushOutcome, push
from qbsf_pipeline.aging.tables import FLOW
from qbsf_pipeline.api_meter import ApiMeter
from qbsf_pipeline.money import to_json
from qbsf_pipeline.quickbooks.client import QuickBooksClient
from qbsf_pipeline.quickbooks.connection import QuickBooksConnection
from qbsf_pipeline.quickbooks.pace import Pace
from qbsf_pipeline.salesforce.client import SalesforceClient
from qbsf_pipeline.settings import Environment, load_rules
from qbsf_pipeline.state.database import State
from qbsf_pipeline.state.ledger import Sending
from qbsf_pipeline_tests.payments.billed import Billed, Company, company_in
from qbsf_pipeline_tests.state.writes import invoice

RULES = load_rules()


@dataclass
class Desk:
    """A push and what it works with; ``now`` is the clock, which only a test moves."""

    company: Company
    state: State
    quickbooks: QuickBooksClient
    salesforce: SalesforceClient
    environment: Environment
    planned: dict[str, str] = field(default_factory=dict)
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def plan(self, operation: str, key: str, system: str, target: str, billed: Billed, body: dict[str, Any]) -> str:
        payload = to_json(body)
        self.planned[key] = payload
        write = invoice(
            1,
            key=key,
            flow=FLOW,
            operation=operation,
            target_system=system,
            target_object=target,
            source_object="Invoice",
            source_id=billed.invoice_id,
            account_id=billed.account_id,
            opportunity_id=billed.deal_id,
            depends_on=(),
            payload=payload,
            decided_from=payload,
        )
        self.state.ledger.enqueue([write], "B-1", self.now)
        return key

    def remind(self, billed: Billed, number: int = 1) -> str:
        found = next(one for one in self.company.control.objects("Invoice") if one["Id"] == billed.invoice_id)
        body = {"Id": billed.invoice_id, "BillEmail": {"Address": found["BillEmail"]["Address"]}}
        return self.plan("send_reminder", f"send_reminder:9:{billed.invoice_id}:{number}", "quickbooks", "Invoice", billed, body)

    def task(self, billed: Billed, threshold: int = 60, subject: str | None = None) -> str:
        body = {
            "Subject": subject or f"Invoice {billed.number} is {threshold} days past due",
            "ActivityDate": self.now.date().isoformat(),
            "WhatId": billed.deal_id,
            "OwnerId": self.company.user_id("Dana Whitfield"),
            "Description": "Open: 100.00 USD",
        }
        return self.plan("create_task", f"create_task:00D:{billed.invoice_id}:{threshold}", "salesforce", "Task", billed, body)

    def close(self, billed: Billed, task_id: str) -> str:
        body = {"Id": task_id, "Status": "Completed"}
        return self.plan("close_task", f"close_task:00D:{task_id}", "salesforce", "Task", billed, body)

    def age(self, billed: Billed, days: int) -> str:
        body = {"Id": billed.deal_id, "Days_Outstanding__c": days, "Aging_Bucket__c": "31-60"}
        return self.plan("update_opportunity", f"update_aging:{billed.deal_id}", "salesforce", "Opportunity", billed, body)

    def push(self) -> PushOutcome:
        outcome = PushOutcome()
        context = PushContext(
            self.state,
            self.quickbooks,
            self.salesforce,
            RULES,
            self.environment,
            self.planned,
            lambda: self.now,
            lambda _text: None,
        )
        push(context, outcome)
        return outcome

    def later(self) -> PushOutcome:
        """Another push, when everything that waits is due again."""
        self.now += timedelta(hours=2)
        return self.push()

    def status(self, key: str) -> str:
        found = self.state.ledger.entry(key)
        assert found is not None
        return found.status

    def mails(self, billed: Billed) -> int:
        return sum(1 for one in self.company.control.mail() if billed.number in to_json(one))

    def tasks(self, billed: Billed) -> list[dict[str, Any]]:
        return [one for one in self.company.tasks() if one["WhatId"] == billed.deal_id]


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    with company_in(tmp_path_factory.mktemp("services")) as (_, opened):
        yield opened


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state database without rows: making one anew takes longer than copying it."""
    home = tmp_path_factory.mktemp("state")
    State.open(f"sqlite:///{home / 'state.sqlite'}", home).close()
    return home / "state.sqlite"


@pytest.fixture
def desk(company: Company, migrated: Path, tmp_path: Path) -> Iterator[Desk]:
    shutil.copyfile(migrated, tmp_path / "state.sqlite")
    with State.open(f"sqlite:///{tmp_path / 'state.sqlite'}", tmp_path) as state:
        variables = {name.lower(): value for name, value in company.control.environment().items()}
        known = {name: value for name, value in variables.items() if name in Environment.model_fields}
        environment = Environment.model_validate({**known, "qbsf_mode": "live"})
        meter = ApiMeter()
        connection = QuickBooksConnection(environment, state.tokens.quickbooks, meter)
        quickbooks = QuickBooksClient(environment, connection, meter, Pace(100, 5000, 5000), sleep=lambda _seconds: None)
        salesforce = SalesforceClient(environment, state.tokens.salesforce, meter, sleep=lambda _seconds: None)
        yield Desk(company, state, quickbooks, salesforce, environment)
    company.control.clear_faults()


# Reminders


def test_a_reminder_is_one_mail_and_is_remembered(desk: Desk, company: Company) -> None:
    billed = company.bill()
    key = desk.remind(billed)
    outcome = desk.push()
    assert (outcome.reminders, desk.mails(billed), desk.status(key)) == (1, 1, "done")
    assert [one.number for one in desk.state.reminders.sent(billed.invoice_id)] == [1]
    assert set(outcome.invoices) == {billed.invoice_id}
    assert desk.later().reminders == 0
    assert desk.mails(billed) == 1


def test_who_paid_meanwhile_is_reminded_of_nothing(desk: Desk, company: Company) -> None:
    paid, open_ = company.bill(), company.bill()
    keys = [desk.remind(paid), desk.remind(open_)]
    company.pay(paid, "100.00")
    outcome = desk.push()
    assert (desk.mails(paid), desk.mails(open_)) == (0, 1)
    assert [desk.status(key) for key in keys] == ["withdrawn", "done"]
    assert outcome.held == [(keys[0], "the invoice was settled meanwhile")]


def test_a_changed_address_is_left_to_the_next_plan(desk: Desk, company: Company) -> None:
    billed = company.bill()
    key = desk.remind(billed)
    company.control.upsert_objects("Invoice", [{"Id": billed.invoice_id, "BillEmail": {"Address": "new@acme.example"}}])
    desk.push()
    assert (desk.mails(billed), desk.status(key)) == (0, "withdrawn")


@pytest.mark.parametrize("kind", ["reset_before", "reset_after", "error_after"])
def test_a_lost_answer_to_a_reminder_never_leads_to_a_second_mail(desk: Desk, company: Company, kind: str) -> None:
    billed = company.bill()
    key = desk.remind(billed)
    company.control.fault("quickbooks", "send", kind, times=5)
    desk.push()
    company.control.clear_faults()
    assert desk.status(key) in ("sending", "failed", "done")
    desk.later()
    desk.later()
    assert (desk.mails(billed), desk.status(key)) == (1, "done")
    assert len(desk.state.reminders.sent(billed.invoice_id)) == 1


@pytest.mark.parametrize(
    ("delivered", "mails"),
    [
        (timedelta(seconds=1), 0),
        (-timedelta(minutes=4), 0),  # Intuit's clock and ours differ a little.
        (-timedelta(days=7), 1),  # That was the reminder before.
        (None, 1),  # It does not say.
    ],
)
def test_an_invoice_that_says_when_it_was_mailed_settles_a_lost_answer(
    desk: Desk, company: Company, delivered: timedelta | None, mails: int
) -> None:
    billed = company.bill()
    key = desk.remind(billed)
    desk.state.ledger.start([Sending(key, f"r-{billed.number}", desk.planned[key])], desk.now)
    at = None if delivered is None else (desk.now + delivered).astimezone(timezone(timedelta(hours=-8)))
    info = {"DeliveryType": "Email", **({} if at is None else {"DeliveryTime": at.isoformat(timespec="seconds")})}
    company.control.upsert_objects("Invoice", [{"Id": billed.invoice_id, "DeliveryInfo": info}])
    assert desk.push().reminders == 1
    assert (desk.mails(billed), desk.status(key)) == (mails, "done")
    (sent,) = desk.state.reminders.sent(billed.invoice_id)
    if mails == 0:
        assert at is not None
        assert sent.sent_at == at.replace(microsecond=0)
    assert desk.later().reminders == 0


def test_a_reminder_whose_answer_was_lost_is_not_repeated_once_it_is_paid(desk: Desk, company: Company) -> None:
    billed = company.bill()
    key = desk.remind(billed)
    company.control.fault("quickbooks", "send", "reset_before", times=5)
    desk.push()
    company.control.clear_faults()
    company.pay(billed, "100.00")
    desk.later()
    assert (desk.mails(billed), desk.status(key)) == (0, "withdrawn")


# Tasks


def test_a_task_is_created_once_and_closed_once(desk: Desk, company: Company) -> None:
    billed = company.bill()
    desk.task(billed)
    assert desk.push().tasks_created == 1
    (task,) = desk.tasks(billed)
    (known,) = desk.state.tasks.all()
    assert (known.invoice_id, known.threshold, known.task_id) == (billed.invoice_id, 60, task["Id"])
    key = desk.close(billed, task["Id"])
    assert desk.later().tasks_closed == 1
    (closed,) = desk.tasks(billed)
    assert (closed["Status"], desk.status(key)) == ("Completed", "done")
    assert desk.state.tasks.all()[0].closed_at is not None


@pytest.mark.parametrize("kind", ["reset_after", "error_after", "reset_before"])
def test_a_lost_answer_to_a_task_never_leads_to_a_second_one(desk: Desk, company: Company, kind: str) -> None:
    billed = company.bill()
    key = desk.task(billed)
    company.control.fault("salesforce", "collections_create", kind, times=5)
    desk.push()
    company.control.clear_faults()
    desk.later()
    assert (len(desk.tasks(billed)), desk.status(key)) == (1, "done")
    assert len(desk.state.tasks.all()) == 1


def test_a_task_that_may_still_be_under_way_is_not_looked_for_too_early(desk: Desk, company: Company) -> None:
    billed = company.bill()
    key = desk.task(billed)
    desk.state.ledger.start([Sending(key, "r-1", desk.planned[key])], desk.now)
    desk.now += timedelta(seconds=RULES.push.unknown_outcome_wait_seconds - 1)
    outcome = desk.push()
    assert (desk.tasks(billed), desk.status(key), len(outcome.held)) == ([], "sending", 1)
    desk.now += timedelta(seconds=1)
    assert desk.push().tasks_created == 1


@pytest.mark.parametrize("gone", ["deleted", "closed"])
def test_a_task_that_somebody_closed_or_deleted_needs_nothing_more(desk: Desk, company: Company, gone: str) -> None:
    billed = company.bill()
    desk.task(billed)
    desk.push()
    (task,) = desk.tasks(billed)
    if gone == "deleted":
        company.control.delete_record("Task", task["Id"])
    else:
        company.control.upsert_records("Task", [{"Id": task["Id"], "Status": "Completed", "IsClosed": True}])
    key = desk.close(billed, task["Id"])
    company.control.clear_calls()
    outcome = desk.later()
    assert (outcome.tasks_closed, outcome.refused, desk.status(key)) == (1, 0, "done")
    assert company.writes()["salesforce"] == 0


def test_two_tasks_that_could_not_be_told_apart_are_created_one_after_the_other(desk: Desk, company: Company) -> None:
    billed = company.bill()
    keys = [desk.task(billed, 60, "Same"), desk.task(billed, 90, "same ")]
    outcome = desk.push()
    assert sorted(desk.status(key) for key in keys) == ["done", "planned"]
    assert outcome.held[0][1] == "another task of the deal has the same subject"


# One service without the other


def test_what_salesforce_does_not_take_keeps_no_reminder_back(desk: Desk, company: Company) -> None:
    billed = company.bill()
    keys = {"age": desk.age(billed, 35), "task": desk.task(billed), "reminder": desk.remind(billed)}
    company.control.fault("salesforce", "*", "error", times=200)
    outcome = desk.push()
    company.control.clear_faults()
    assert "salesforce" in outcome.unavailable
    assert (desk.mails(billed), desk.status(keys["reminder"])) == (1, "done")
    desk.later()
    assert company.age(billed) == (35, "31-60")
    assert len(desk.tasks(billed)) == 1


def test_what_is_not_in_the_newest_plan_is_left_alone(desk: Desk, company: Company) -> None:
    billed = company.bill()
    key = desk.age(billed, 35)
    desk.planned.clear()
    assert desk.push().held == [(key, "is not in the newest plan")]
    assert company.age(billed) == (None, None)
