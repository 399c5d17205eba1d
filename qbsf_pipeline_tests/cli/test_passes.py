"""``qbsf sync``, ``plan``, ``approve``: whole passes against services over HTTP, first with a person's word, then live."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from qbsf_pipeline.sandbox.server import SandboxProcess, start_sandbox
from qbsf_pipeline_tests.cli.command import Ran, qbsf
from qbsf_pipeline_tests.pipeline import FEW_MESSAGES, clear_environment


@dataclass(frozen=True)
class Story:
    """A dry run and passes one after the other, what each printed, and how many invoices of ours QuickBooks held after it."""

    home: Path
    sandbox: SandboxProcess
    first: Ran
    plan: Ran
    plan_shown: Ran
    chosen: dict[str, Any]
    approved: Ran
    second: Ran
    live: Ran
    again: Ran
    invoices: list[int]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    home = tmp_path_factory.mktemp("cli") / "home"
    home.mkdir()
    (home / "rules.toml").write_text(FEW_MESSAGES, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch, start_sandbox(home / "services") as sandbox:
        clear_environment(patch)
        for name, value in sandbox.environment().items():
            patch.setenv(name, value)
        patch.setenv("QBSF_HOME", str(home))
        patch.setenv("QBSF_CONFIG", str(home / "rules.toml"))
        patch.setenv("QBSF_MODE", "approve")
        invoices: list[int] = []

        def ran(*arguments: str, **variables: str) -> Ran:
            done = qbsf(*arguments, **variables)
            notes = [str(one.get("PrivateNote")) for one in sandbox.control.objects("Invoice")]
            invoices.append(sum("Salesforce Opportunity" in note for note in notes))
            return done

        plan = ran("plan", "--json", QBSF_MODE="dry_run")
        first = ran("sync", "--json")
        plan_shown = qbsf("plan")
        chosen = next(write for write in plan.json["writes"] if write["operation"] == "create_invoice")
        approved = qbsf("approve", chosen["plan_id"], "--reason", "looks right", "--json")
        second = ran("sync", "--json")
        live = ran("sync", QBSF_MODE="live")
        again = ran("sync", QBSF_MODE="live")
        yield Story(home, sandbox, first, plan, plan_shown, chosen, approved, second, live, again, invoices)


def test_in_mode_approve_everything_waits_for_a_person_and_the_exit_code_says_so(story: Story) -> None:
    report = story.first.json
    assert story.first.code == report["exit_code"] == 3
    assert report["invoices"] == []
    assert report["held"] > 10
    assert report["error"] is None
    assert report["messages"]["sent"] > 0  # people are told even so
    assert story.invoices[0] == story.invoices[1]


def test_a_dry_run_lists_each_write_with_payload_and_reason_and_sends_nothing(story: Story) -> None:
    assert story.plan.code == 0
    document = story.plan.json
    assert document["mode"] == "dry_run"
    assert all(plan.startswith("B-") for plan in document["plans"].values())
    assert document["closed_gates"] == []
    for write in document["writes"]:
        assert write["plan_id"].startswith("P-")
        assert write["reason"]
        assert isinstance(write["payload"], dict)
        assert write["decision"] is None
    invoice = story.chosen
    assert sum((Decimal(str(line["Amount"])) for line in invoice["payload"]["Line"]), Decimal(0)) == invoice["amount"]
    assert {row["code"] for row in document["refused"]} >= {"no_account", "no_line_items", "billing_email_missing"}


def test_the_plan_for_people_names_the_whole_plan_and_each_deal(story: Story) -> None:
    shown = story.plan_shown
    assert shown.code == 0
    assert f"(the whole plan: {story.plan.json['plans']['invoices']})" in shown.out
    assert story.chosen["plan_id"] in shown.out
    assert "create invoice" in shown.out
    assert "Refused" in shown.out
    assert "looking at" in shown.err  # progress is no part of the output


def test_an_approved_deal_is_invoiced_and_no_other(story: Story) -> None:
    assert story.approved.json == [
        {"plan_id": story.chosen["plan_id"], "decision": "approved", "what": story.approved.json[0]["what"]}
    ]
    report = story.second.json
    assert [one["opportunity_id"] for one in report["invoices"]] == [story.chosen["opportunity_id"]]
    (invoice,) = report["invoices"]
    assert invoice["amount"] >= story.chosen["amount"]
    assert invoice["currency"] == story.chosen["currency"]
    assert invoice["emailed_to"]
    assert story.second.code == 3
    assert story.invoices[2] == story.invoices[1] + 1


def test_live_does_the_rest_once_and_says_what_it_did(story: Story) -> None:
    assert story.live.code == 3
    planned = sum(write["operation"] == "create_invoice" for write in story.plan.json["writes"])
    assert story.invoices[3] == story.invoices[0] + planned
    out = story.live.out
    assert f"{planned - 1} invoiced now" in out
    for text in ("Invoices created", "Refused: each of these waits", "Mended by rule", "Slack: ", "API calls", "Next:"):
        assert text in out, text
    assert "qbsf review" in out
    assert "creating" in story.live.err
    assert "Traceback" not in out + story.live.err


def test_another_pass_finds_nothing_to_do(story: Story) -> None:
    assert story.invoices[4] == story.invoices[3]
    assert "Nothing changed: every deal that can be invoiced has its invoice, every customer is in step." in story.again.out
    assert "Slack: 0 messages sent, 0 waiting." in story.again.out
    assert story.again.code == 3  # the refused deals are still to be mended


def test_each_deal_was_told_its_invoice_and_each_customer_got_one_mail(story: Story) -> None:
    control = story.sandbox.control
    deals = {one["Id"]: one for one in control.records("Opportunity")}
    mails = [mail["invoice_id"] for mail in control.mail()]
    for write in story.plan.json["writes"]:
        if write["operation"] != "create_invoice":
            continue
        deal = deals[write["opportunity_id"]]
        assert deal["QuickBooks_Invoice_Id__c"]
        assert deal["Payment_Status__c"] == "Sent"
        assert mails.count(deal["QuickBooks_Invoice_Id__c"]) == 1


def test_status_counts_what_was_done_and_calls_no_service(story: Story) -> None:
    story.sandbox.control.clear_calls()
    status = qbsf("status", "--json")
    assert status.code == 0
    document = status.json
    assert document["mode"] == "approve"
    assert document["writes"]["invoices"]["done"] > 10
    assert {one["step"] for one in document["flows"]["invoices"]} >= {"pull_salesforce", "pull_quickbooks", "plan", "push"}
    assert {one["outcome"] for one in document["flows"]["invoices"]} == {"done"}
    assert document["open_failures"] > 0
    assert document["open_reviews"] == 1
    assert document["down"] == {}
    assert document["api_calls_24h"]["quickbooks.batch"] >= 2
    assert document["snapshot"] == str(story.home / "published" / "qbsf.duckdb")
    shown = qbsf("status")
    for text in ("Mode approve", "Last steps of flow invoices", "Sources", "API calls", "Failures open: "):
        assert text in shown.out
    assert story.sandbox.control.calls() == []


def test_failures_are_listed_shown_retried_and_dismissed(story: Story) -> None:
    listed = qbsf("failures", "--json").json
    assert listed == qbsf("failures", "list", "--json").json
    assert all(one["status"] == "open" and one["reasons"] for one in listed)
    first = listed[0]
    assert qbsf("failures", "show", first["failure_id"], "--json").json == first
    shown = qbsf("failures", "show", first["failure_id"].lower())
    assert first["label"] in shown.out
    assert first["reasons"][0]["text"] in shown.out
    retried = qbsf("failures", "retry", first["failure_id"])
    assert retried.code == 0
    assert "The deal itself must be mended first" in retried.out
    dismissed = qbsf("failures", "dismiss", first["failure_id"], "--reason", "a test account", "--json").json
    assert dismissed["status"] == "dismissed"
    assert len(qbsf("failures", "--json").json) == len(listed) - 1
    assert len(qbsf("failures", "list", "--all", "--json").json) == len(listed)
    table = qbsf("failures")
    assert f"{len(listed) - 1} records" in table.out
    assert f"{first['failure_id']} " not in table.out


def test_a_review_is_listed_shown_and_decided(story: Story) -> None:
    (waiting,) = qbsf("review", "--json").json
    review = waiting["review_id"]
    assert waiting["deals_waiting"] == 1
    shown = qbsf("review", "show", review)
    assert waiting["question"] in shown.out
    for candidate in waiting["candidates"]:
        assert candidate["display_name"] in shown.out
    unknown = qbsf("review", "link", review, "99999")
    assert (unknown.code, unknown.err) == (
        1,
        f"QuickBooks has no customer 99999; qbsf review show {review} lists the candidates\n",
    )
    chosen = waiting["candidates"][0]["customer_id"]
    linked = qbsf("review", "link", waiting["account_id"], chosen)
    assert linked.code == 0
    assert f"{review} · {waiting['account_name']}: linked. The next pass goes on with it: qbsf sync" in linked.out
    assert qbsf("review", "--json").json == []
    assert "No account waits for a person." in qbsf("review").out
    assert qbsf("review", "list", "--all", "--json").json[0]["customer_id"] == chosen
    # A person may change their mind.
    assert qbsf("review", "ignore", review, "--json").json["status"] == "ignored"
    assert qbsf("review", "create", review, "--json").json["status"] == "create"


def test_analysts_query_the_snapshot_read_only_with_exact_amounts(story: Story) -> None:
    found = qbsf("query", "SELECT made_by, count(*) AS number, sum(total) AS total FROM reporting.invoices GROUP BY 1 ORDER BY 1")
    assert found.code == 0
    assert "2 rows" in found.out
    document = qbsf(
        "query", "SELECT invoice_id, total, invoiced_on FROM reporting.invoices WHERE made_by = 'qbsf'", "--json"
    ).json
    assert len(document) == story.invoices[-1]
    assert all(isinstance(row["total"], Decimal | int) for row in document)
    odd = "SELECT INTERVAL 3 DAY AS i, 'NaN'::DOUBLE AS n, [1, NULL] AS l, {'a': DATE '2026-01-01'} AS s, 7 AS n2, 8 AS n2"
    assert qbsf("query", odd, "--json").json[0]["n"] is None
    assert "1 row" in qbsf("query", odd).out
    now = qbsf("query", "SELECT TIMESTAMPTZ '2026-03-31 08:00:00+02' AS at", "--json").json
    assert now == [{"at": "2026-03-31T06:00:00+00:00"}]
    refused = qbsf("query", "DELETE FROM reporting.invoices")
    assert refused.code == 1
    assert "read-only" in refused.err
    assert "Traceback" not in refused.err
    typo = qbsf("query", "SELECT * FROM reporting.invoice")
    assert typo.code == 1
    assert "Did you mean" in typo.err  # DuckDB's own suggestion
    with duckdb.connect(story.home / "published" / "qbsf.duckdb", read_only=True) as analyst:
        assert analyst.execute("SELECT count(*) FROM reporting.invoices").fetchall()
        assert qbsf("query", "SELECT 1 AS one", "--json").json == [{"one": 1}]


def test_reporting_tables_tell_what_a_row_and_a_column_is(story: Story) -> None:
    comments = qbsf(
        "query", "SELECT comment FROM duckdb_columns() WHERE schema_name = 'reporting' AND table_name = 'invoices'", "--json"
    ).json
    assert comments
    assert all(row["comment"] for row in comments)
    attention = qbsf("query", "SELECT DISTINCT area FROM reporting.pipeline_health ORDER BY 1", "--json").json
    assert [row["area"] for row in attention] == ["checks", "failures", "reviews", "source", "writes"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("approve", "P-0000000000"), "P-0000000000: there is no such plan now; qbsf plan lists them\n"),
        (("reject", "B-0000000000"), "B-0000000000: there is no such plan now; qbsf plan lists them\n"),
        (("failures", "show", "F-999"), "F-999: there is no such failure; qbsf failures lists them\n"),
        (("failures", "retry", "nonsense"), "nonsense: there is no such failure; qbsf failures lists them\n"),
        (("failures", "dismiss", "F-999"), "F-999: there is no such failure; qbsf failures lists them\n"),
        (("review", "show", "R-999"), "R-999: there is no such review; qbsf review lists them\n"),
        (("review", "create", "001"), "001: there is no such review; qbsf review lists them\n"),
        (("sync", "--as-of", "tomorrow"), "--as-of: must be a date such as 2026-03-31; found 'tomorrow'\n"),
        (("plan", "--as-of", "2026-02-30"), "--as-of: must be a date such as 2026-03-31; found '2026-02-30'\n"),
    ],
)
def test_what_is_not_known_is_said_in_one_line_with_what_to_do(story: Story, arguments: tuple[str, ...], text: str) -> None:
    ran = qbsf(*arguments)
    assert (ran.code, ran.out, ran.err) == (1, "", text)


def test_a_failure_that_is_resolved_cannot_be_dismissed_and_that_is_said(story: Story) -> None:
    from datetime import UTC, datetime

    from qbsf_pipeline.settings import load_settings
    from qbsf_pipeline.state.database import State

    environment = load_settings().environment
    with State.open(environment.state_url, environment.home) as state:
        kept = [failure.problem for failure in state.failures.list("open")]
        gone = state.failures.list("open")[-1]
        state.failures.report([one for one in kept if one.key != gone.problem.key], "invoices", datetime.now(UTC))
    ran = qbsf("failures", "dismiss", gone.failure_id)
    assert (ran.code, ran.err) == (1, f"{gone.failure_id}: it is resolved already; there is nothing to dismiss\n")
