"""Recurring templates are made and deleted once each, however QuickBooks answers, refuses or stays silent, over HTTP."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import SecretStr

from qbsf_pipeline.api_meter import ApiMeter
from qbsf_pipeline.invoices.push_context import PushContext, PushOutcome
from qbsf_pipeline.invoices.push_templates import (
    create_templates,
    end_templates,
    repeat_templates,
    settle_templates,
    without_unknown_templates,
)
from qbsf_pipeline.invoices.recurring.known_templates import CREATE, DELETE
from qbsf_pipeline.invoices.references import DocumentNumbers
from qbsf_pipeline.money import parse_json, to_json
from qbsf_pipeline.quickbooks.client import QuickBooksClient
from qbsf_pipeline.quickbooks.connection import QuickBooksConnection
from qbsf_pipeline.quickbooks.pace import Pace
from qbsf_pipeline.settings import Environment, load_rules
from qbsf_pipeline.state.database import State
from qbsf_pipeline.state.ledger import LedgerEntry
from qbsf_pipeline_tests.invoices.recurring.ledger import DEAL, template_form
from qbsf_pipeline_tests.quickbooks.service import HTML, Answer, Request, Reset, Service, answer, fault
from qbsf_pipeline_tests.quickbooks.vault import FileVault
from qbsf_pipeline_tests.state.writes import invoice

LISTED = {"Invoice": {**template_form(), "Id": "1483", "SyncToken": "0"}}
OTHER = {"Invoice": {**template_form("Rent"), "PrivateNote": "The rent", "Id": "7", "SyncToken": "0"}}
NOT_FOUND = fault("610", "Object Not Found")


@dataclass
class Desk:
    """A QuickBooks that answers as a test says, and what a push works with. ``calls`` are what it was asked, in order."""

    context: PushContext
    service: Service
    state: State
    templates: list[dict[str, Any]] = field(default_factory=list)
    replies: dict[str, Callable[[], Answer]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    request_ids: list[str] = field(default_factory=list)

    def reply(self, request: Request) -> Answer:
        what = "query" if request.path.endswith("/query") else request.query.get("operation") or request.method
        what = {"GET": "read", "POST": "create"}.get(what, what)
        self.calls.append(what)
        if what in ("create", "delete"):
            self.request_ids.append(request.query["requestid"])
        if what in self.replies:
            return self.replies[what]()
        if what == "query":
            return answer({"QueryResponse": {"RecurringTransaction": self.templates} if self.templates else {}})
        if what == "create":
            sent = parse_json(request.text)["Invoice"]
            return answer(
                {"RecurringTransaction": {"Invoice": {"Id": "1483", "SyncToken": "0", "PrivateNote": sent["PrivateNote"]}}}
            )
        if what == "delete":
            return answer({"RecurringTransaction": {"status": "Deleted", "domain": "QBO", "Invoice": {"Id": "1483"}}})
        return answer({"RecurringTransaction": LISTED}) if self.templates else NOT_FOUND

    def planned(self, operation: str = CREATE) -> LedgerEntry:
        body: dict[str, Any] = {"Invoice": template_form()} if operation == CREATE else {"Id": "1483"}
        write = invoice(
            key=f"{operation}:1", operation=operation, depends_on=(), payload=to_json(body), source_id=DEAL, opportunity_id=DEAL
        )
        self.state.ledger.enqueue([write], "B-1", self.context.clock())
        return self.entry(operation)

    def entry(self, operation: str = CREATE) -> LedgerEntry:
        found = self.state.ledger.entry(f"{operation}:1")
        assert found is not None
        return found

    def lost(self) -> LedgerEntry:
        """A creation whose answer never came."""
        self.replies["create"] = _reset
        create_templates(self.context, [self.planned()], PushOutcome())
        del self.replies["create"]
        self.calls.clear()
        assert self.entry().status == "sending"
        return self.entry()


def _reset() -> Answer:
    raise Reset


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("state")
    State.open(f"sqlite:///{home / 'state.sqlite'}", home).close()
    return home / "state.sqlite"


@pytest.fixture
def desk(migrated: Path, tmp_path: Path) -> Iterator[Desk]:
    shutil.copyfile(migrated, tmp_path / "state.sqlite")
    service, now = Service(), datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
    with State.open(f"sqlite:///{tmp_path / 'state.sqlite'}", tmp_path) as state:
        environment = Environment(
            quickbooks_api_url=service.url,
            quickbooks_discovery_url=f"{service.url}/.well-known/openid_configuration",
            quickbooks_client_id="app",
            quickbooks_client_secret=SecretStr("secret"),
            quickbooks_refresh_token=SecretStr("first"),
            quickbooks_realm_id="9341450000000001",
        )
        meter = ApiMeter()
        connection = QuickBooksConnection(environment, FileVault(tmp_path), meter)
        client = QuickBooksClient(environment, connection, meter, Pace(1000, 100_000, 1000), sleep=lambda _seconds: None)
        context = PushContext(
            state=state,
            quickbooks=client,
            salesforce=cast("Any", None),
            rules=load_rules(),
            environment=environment,
            document_numbers=DocumentNumbers("", 1000),
            book_close_date=None,
            planned={},
            deal_amounts={},
            amendments={},
            read_until=None,
            pulled_invoices=lambda _ids: [],
            known_templates=frozenset(),
            clock=lambda: now,
            progress=lambda _text: None,
        )
        made = Desk(context, service, state)
        service.reply = made.reply
        yield made
        service.stop()


@pytest.mark.parametrize(
    ("reply", "status", "unavailable"),
    [
        (None, "done", False),
        (_reset, "sending", False),
        (lambda: HTML, "sending", False),
        (lambda: answer({"RecurringTransaction": None}), "sending", False),
        (lambda: fault("5030", "Feature not supported"), "dead", False),
    ],
)
def test_a_template_is_sent_once_and_its_answer_decides(
    desk: Desk, reply: Callable[[], Answer] | None, status: str, unavailable: bool
) -> None:
    if reply is not None:
        desk.replies["create"] = reply
    outcome = PushOutcome()
    create_templates(desk.context, [desk.planned()], outcome)
    assert (desk.entry().status, bool(outcome.unavailable)) == (status, unavailable)
    assert (desk.entry().result_id, outcome.templates_made) == (("1483", 1) if status == "done" else (None, 0))
    assert set(desk.calls) == {"create"}
    assert len(set(desk.request_ids)) == 1


@pytest.mark.parametrize(
    ("listed", "status", "lost"),
    [
        ([OTHER, LISTED], "done", 0),
        ([OTHER], "sending", 1),
        ([], "sending", 1),
        ([LISTED, {"Invoice": {**LISTED["Invoice"], "Id": "8"}}], "dead", 0),
    ],
)
def test_a_lost_answer_is_looked_for_by_the_templates_name(desk: Desk, listed: list[Any], status: str, lost: int) -> None:
    entry = desk.lost()
    desk.templates = listed
    assert len(settle_templates(desk.context, [entry], PushOutcome())) == lost
    assert desk.entry().status == status
    assert desk.calls == ["query"]


def test_what_was_not_carried_out_is_sent_again_the_same_under_the_same_request_id(desk: Desk) -> None:
    entry = desk.lost()
    lost = settle_templates(desk.context, [entry], PushOutcome())
    repeat_templates(desk.context, lost, lost, PushOutcome())
    assert desk.entry().status == "done"
    assert len(set(desk.request_ids)) == 1


def test_what_is_not_wanted_any_more_waits_until_intuit_cannot_be_working_on_it(desk: Desk) -> None:
    entry, outcome = desk.lost(), PushOutcome()
    repeat_templates(desk.context, [entry], [], outcome)
    assert (desk.entry().status, len(outcome.held)) == ("sending", 1)
    wait = timedelta(seconds=desk.context.rules.push.unknown_outcome_wait_seconds)
    object.__setattr__(desk.context, "clock", lambda: datetime(2026, 11, 23, 8, 0, tzinfo=UTC) + wait)
    repeat_templates(desk.context, [entry], [], outcome)
    assert desk.entry().status == "planned"
    assert desk.calls == []


def test_a_template_that_nobody_remembers_keeps_its_deal_from_being_billed_until_it_is_planned_with(desk: Desk) -> None:
    desk.templates = [OTHER, LISTED]
    entry, outcome = desk.planned(), PushOutcome()
    assert without_unknown_templates(desk.context, [entry], outcome) == []
    assert (list(outcome.templates), len(outcome.held)) == (["1483"], 1)
    object.__setattr__(desk.context, "known_templates", frozenset({"1483"}))
    assert without_unknown_templates(desk.context, [entry], outcome) == [entry]
    assert desk.calls == ["query"]
    desk.replies["query"] = lambda: HTML
    assert without_unknown_templates(desk.context, [entry], PushOutcome()) == []
    desk.replies["query"] = lambda: fault("5030", "Feature not supported")
    assert without_unknown_templates(desk.context, [entry], PushOutcome()) == [entry]


@pytest.mark.parametrize(
    ("there", "replies", "status", "calls"),
    [
        ([LISTED], {}, "done", ["read", "delete"]),
        ([], {}, "done", ["read", "query"]),
        ([LISTED], {"delete": lambda: NOT_FOUND}, "dead", ["read", "delete", "query"]),
        ([LISTED], {"delete": lambda: fault("5010", "Stale Object Error")}, "failed", ["read", "delete"]),
        ([LISTED], {"delete": lambda: fault("6000", "A business validation error")}, "dead", ["read", "delete"]),
        ([LISTED], {"delete": _reset}, "sending", ["read", "delete"]),
    ],
)
def test_a_template_is_deleted_when_quickbooks_says_so_or_has_no_such_template(
    desk: Desk, there: list[Any], replies: dict[str, Callable[[], Answer]], status: str, calls: list[str]
) -> None:
    desk.templates, desk.replies = there, replies
    outcome = PushOutcome()
    end_templates(desk.context, [desk.planned(DELETE)], outcome)
    assert (desk.entry(DELETE).status, list(dict.fromkeys(desk.calls))) == (status, calls)
    assert [one["status"] for one in outcome.templates.values()] == (["Deleted"] if status == "done" else [])
    if status == "sending":
        # Asked again, of a company where it had been carried out.
        desk.templates, desk.replies = [], {}
        end_templates(desk.context, [desk.entry(DELETE)], outcome)
    if status in ("sending", "done"):
        assert desk.entry(DELETE).status == "done"
        assert "deleted_at" in parse_json(desk.entry(DELETE).result or "{}")
