"""``qbsf reconcile``: a month from its first report to a late invoice after its close, against services over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from qbsf_pipeline.reconciliation.months import after, before, key_of, title_of
from qbsf_pipeline.sandbox.server import start_sandbox
from qbsf_pipeline_tests.cli.command import Ran, qbsf
from qbsf_pipeline_tests.pipeline import clear_environment

#: Two months back, so that no test stands and falls with the day on which it runs.
MONTH = before(before(datetime.now(UTC).date()))
OPTION = ("--month", key_of(MONTH))


@dataclass(frozen=True)
class Story:
    """What each command printed. ``written``: calls by which QuickBooks or Salesforce could have been changed; ``told``: messages
    after the dry run, and after the report that followed."""

    first: Ran
    accepted: Ran
    unexplained: Ran
    closed: Ran
    late: Ran
    shown: Ran
    past: Ran
    kept: Ran
    status: Ran
    reopened: Ran
    written: int
    told: list[list[str]]


def bill(control: Any, customer: str, amount: str, day: date, **more: Any) -> dict[str, Any]:
    """An invoice that somebody made by hand."""
    (item,) = control.upsert_objects("Item", [{"Name": f"Sold on {day} for {amount}", "Type": "Service"}])
    detail = {"ItemRef": {"value": item["Id"]}, "Qty": 1, "UnitPrice": Decimal(amount)}
    line = {"Amount": Decimal(amount), "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": detail}
    body = {"CustomerRef": {"value": customer}, "TxnDate": day.isoformat(), "Line": [line], **more}
    (made,) = control.upsert_objects("Invoice", [body])
    return dict(made)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    home = tmp_path_factory.mktemp("reconcile") / "home"
    with pytest.MonkeyPatch.context() as patch, start_sandbox(home / "services") as sandbox:
        clear_environment(patch)
        for name, value in sandbox.environment().items():
            patch.setenv(name, value)
        patch.setenv("QBSF_HOME", str(home))
        control = sandbox.control
        control.options(slack={"rate_limit": False})
        (customer,) = control.upsert_objects("Customer", [{"DisplayName": "O'Hara & Söhne: =1+1"}])
        (account,) = control.upsert_records(
            "Account", [{"Name": "O'Hara & Söhne: =1+1", "QuickBooks_Customer_Id__c": customer["Id"]}]
        )
        deal = {"AccountId": account, "StageName": "Closed Won", "CloseDate": MONTH.isoformat()}
        off, right = control.upsert_records(
            "Opportunity",
            [{"Name": "Off by a third", "Amount": "900.00", **deal}, {"Name": "As agreed", "Amount": "500.00", **deal}],
        )
        for deal_id, amount in ((off, "1234.50"), (right, "500.00")):
            bill(control, customer["Id"], amount, MONTH, PrivateNote=f"Salesforce Opportunity {deal_id}")
        control.clear_calls()
        told: list[list[str]] = []

        def messages() -> list[str]:
            return [str(one) for one in control.messages() if "won against invoiced" in str(one)]

        first = qbsf("reconcile", *OPTION, "--json", QBSF_MODE="dry_run")
        told.append(messages())
        unexplained = qbsf("reconcile", "close", *OPTION)
        cases = [one["case_key"] for one in first.json["differences"] if not one["explained"]]
        accepted = qbsf("reconcile", "accept", cases[0], *OPTION, "--reason", "agreed by mail", "--by", "Ana", "--json")
        closed = qbsf("reconcile", "close", *OPTION, "--by", "Ana", "--json")
        bill(control, customer["Id"], "75.25", MONTH + timedelta(days=3))
        late = qbsf("reconcile", *OPTION, QBSF_MODE="live")
        told.append(messages())
        yield Story(
            first=first,
            accepted=accepted,
            unexplained=unexplained,
            closed=closed,
            late=late,
            shown=qbsf("reconcile", "show", *OPTION, "--json"),
            past=qbsf("reconcile", "show", *OPTION, "--report", first.json["report"], "--json"),
            kept=qbsf("reconcile", "list", "--json"),
            status=qbsf("status", "--json"),
            reopened=qbsf("reconcile", "reopen", *OPTION),
            written=sum(
                number
                for (service, endpoint), number in control.call_counts().items()
                if (service, endpoint.split("_")[0])
                in {("quickbooks", "create"), ("quickbooks", "batch"), ("salesforce", "collections")}
            ),
            told=told,
        )


def test_the_report_tells_totals_bridge_and_differences_and_ends_with_3_while_one_is_unexplained(story: Story) -> None:
    found = story.first.json
    assert story.first.code == found["exit_code"] == 3
    (totals,) = found["totals"]
    assert totals["won"] - totals["invoiced"] == sum(one["amount"] for one in found["bridge"])
    assert totals["deals"] >= 2
    assert found["unexplained"] == totals["unexplained_cases"] == 1
    first = found["differences"][0]
    assert (first["deal"], first["difference"], first["explained"]) == ("Off by a third", Decimal("-334.50"), False)
    assert first["deal_link"].endswith("/view")
    assert Path(found["workbook"]).exists()
    assert "Off by a third" in Path(found["page"]).read_text(encoding="utf-8")


def test_a_dry_run_tells_nobody_and_a_report_that_may_tell_does_so(story: Story) -> None:
    assert story.told[0] == []
    (message,) = story.told[1]
    assert f"{title_of(MONTH)}: won against invoiced" in message
    assert "changed since" in message


def test_nothing_is_written_to_either_system(story: Story) -> None:
    assert story.written == 0


def test_what_is_accepted_no_longer_stops_the_close(story: Story) -> None:
    assert story.unexplained.code == 1
    assert "1 difference is unexplained" in story.unexplained.err
    assert story.accepted.code == 0
    found = story.accepted.json
    assert (found["unexplained"], found["exit_code"]) == (0, 0)
    (row,) = [one for one in found["differences"] if one["accepted_by"]]
    assert (row["accepted_by"], row["accepted_reason"]) == ("Ana", "agreed by mail")
    assert found["differences"][-1] == row
    assert story.closed.json["closed"]["closed_by"] == "Ana"


def test_a_late_invoice_is_a_change_since_the_close_and_not_another_total(story: Story) -> None:
    assert story.late.code == 0
    assert "Changes since the month was closed" in story.late.out
    assert "75.25" in story.late.out
    shown = story.shown.json
    assert shown["totals"] == story.first.json["totals"]
    (change,) = shown["changes"]
    assert (change["change"], change["invoiced_now"], change["invoiced_then"]) == ("new", Decimal("75.25"), None)


def test_a_report_of_before_is_shown_as_it_was_beside_the_newest(story: Story) -> None:
    first, past = story.first.json, story.past.json
    assert {name: past[name] for name in first if name not in ("workbook", "page")} == {
        name: value for name, value in first.items() if name not in ("workbook", "page")
    }
    assert Path(past["workbook"]).parent.name == first["report"]
    kept = story.kept.json
    assert [one["report"] if "report" in one else one["report_id"] for one in kept] == ["M-4", "M-3", "M-2", "M-1"]
    assert [one["figures"]["closed"] for one in kept] == [True, True, False, False]


def test_the_status_knows_the_newest_report(story: Story) -> None:
    (one,) = story.status.json["month_end"]
    assert (one["month"], one["unexplained"], one["closed"]) == (key_of(MONTH), 0, True)
    assert {step["step"] for step in story.status.json["flows"]["reconciliation"]} == {"reconcile", "report"}


def test_a_month_is_opened_again_by_a_word(story: Story) -> None:
    assert story.reopened.code == 0
    assert f"{title_of(MONTH)} is open again" in story.reopened.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "--month is missing"),
        (("--month", "2026-3"), "--month: must be a month such as 2026-03; found '2026-3'"),
        (("--month", key_of(after(after(datetime.now(UTC).date())))), "has not begun"),
        (("--month", key_of(after(after(datetime.now(UTC).date()))), "--as-of", "2999-12-31"), "has not begun"),
        (("--month", "2026-03", "--as-of", "soon"), "--as-of: must be a date"),
        (("close", "--month", "2026-03"), "there is no report of March 2026: qbsf reconcile --month 2026-03"),
        (("reopen", "--month", "2026-03"), "March 2026 is not closed"),
        (("show", "--month", "2026-03", "--report", "M-9"), "--report: there is no report 'M-9'"),
        (("show", "--month", "2026-03", "--report", "M-9", "--as-of", "2026-04-01"), "name one of them"),
        (("accept", "deal:1", "--month", "2026-03", "--reason", ""), "--reason: say why"),
        (("withdraw", "deal:1", "--month", "2026-03"), "there is no report of March 2026"),
    ],
)
def test_what_is_asked_wrongly_is_one_line(
    arguments: tuple[str, ...], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clear_environment(monkeypatch)
    monkeypatch.setenv("QBSF_HOME", str(tmp_path))
    ran = qbsf("reconcile", *arguments)
    assert (ran.code, ran.out) == (1, "")
    (line,) = ran.err.splitlines()
    assert says in line


def test_a_flow_that_writes_nothing_has_no_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clear_environment(monkeypatch)
    monkeypatch.setenv("QBSF_HOME", str(tmp_path))
    ran = qbsf("plan", "--flow", "reconciliation")
    assert ran.code == 1
    assert "reconciliation writes nothing" in ran.err
