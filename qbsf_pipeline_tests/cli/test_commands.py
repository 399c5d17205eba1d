"""The command line without services: settings that are wrong, a home that is empty, help, and the door ``qbsf demo``."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from qbsf_pipeline.cli.output import cell, print_json
from qbsf_pipeline.cli.sync import PassReport, gather, show
from qbsf_pipeline.flows.approval import batch_of
from qbsf_pipeline.invoices.tables import PLAN
from qbsf_pipeline.money import parse_json
from qbsf_pipeline.payments.tables import EVENTS
from qbsf_pipeline.settings import Environment, load_settings
from qbsf_pipeline.state.database import State
from qbsf_pipeline.state.payment_events import PaymentEvent
from qbsf_pipeline.warehouse.connection import Warehouse, replace_rows
from qbsf_pipeline_tests.cli.command import qbsf
from qbsf_pipeline_tests.pipeline import FEW_MESSAGES, clear_environment
from qbsf_pipeline_tests.state.writes import invoice as planned_invoice
from qbsf_pipeline_tests.state.writes import sending

QBSF = str(Path(sys.executable).with_name("qbsf"))


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clear_environment(monkeypatch)
    monkeypatch.setenv("QBSF_HOME", str(tmp_path / "home"))


COMMANDS = [("sync",), ("plan",), ("status",), ("failures",), ("review",), ("query", "SELECT 1"), ("approve", "P-1")]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_every_command_says_what_is_wrong_with_the_settings_in_one_line_each(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("QBSF_MODE", "production")
    monkeypatch.setenv("QUICKBOOKS_REALM_ID", "ACME")
    ran = qbsf(*command)
    assert ran.code == 1
    assert ran.out == ""
    lines = ran.err.splitlines()
    assert len(lines) == 2
    assert lines[0] == "QBSF_MODE: Input should be 'sandbox', 'dry_run', 'approve' or 'live'; found 'production'"
    assert lines[1].startswith("QUICKBOOKS_REALM_ID: ")
    monkeypatch.delenv("QBSF_MODE")
    monkeypatch.delenv("QUICKBOOKS_REALM_ID")
    (tmp_path / "rules.toml").write_text("[invoices]\nsend = 'maybe'\n[gate]\n", encoding="utf-8")
    monkeypatch.setenv("QBSF_CONFIG", str(tmp_path / "rules.toml"))
    assert qbsf(*command).err.splitlines() == [
        "invoices.send: Input should be 'send' or 'draft'; found 'maybe'",
        "gate: there is no such key",
    ]


@pytest.mark.parametrize("command", ["sync", "plan"])
def test_missing_credentials_are_named_before_any_call(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QBSF_MODE", "live")
    ran = qbsf(command)
    assert ran.code == 1
    assert len(ran.err.splitlines()) == 8
    assert all(line.endswith(" is not set, and mode live needs it") for line in ran.err.splitlines())


def test_a_company_that_was_never_connected_is_told_before_any_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QBSF_MODE", "dry_run")
    for name in ("SALESFORCE_LOGIN_URL", "QUICKBOOKS_API_URL", "QUICKBOOKS_DISCOVERY_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("SALESFORCE_CLIENT_ID", "SALESFORCE_CLIENT_SECRET", "QUICKBOOKS_CLIENT_ID", "QUICKBOOKS_CLIENT_SECRET"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("QUICKBOOKS_REALM_ID", "9130350000000001")
    ran = qbsf("sync")
    assert ran.code == 1
    (line,) = ran.err.splitlines()
    assert line.startswith("QUICKBOOKS_REFRESH_TOKEN is not set, and company 9130350000000001 was never connected from here")


def test_a_home_that_cannot_be_made_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    for home in (tmp_path / "file", tmp_path / "file" / "below"):
        monkeypatch.setenv("QBSF_HOME", str(home))
        ran = qbsf("status")
        assert ran.code == 1
        assert ran.err.splitlines()[0].startswith(f"QBSF_HOME: the folder {home} cannot be made: ")
        assert len(ran.err.splitlines()) == 1


def test_the_real_program_ends_with_the_same_line_and_code_and_no_traceback(tmp_path: Path) -> None:
    names = {name.upper() for name in Environment.model_fields}
    clean = {name: value for name, value in os.environ.items() if name not in names}
    ran = subprocess.run(
        [QBSF, "status"],
        env=clean | {"QBSF_HOME": str(tmp_path), "SALESFORCE_API_VERSION": "latest"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 1
    assert ran.stdout == ""
    assert ran.stderr == "SALESFORCE_API_VERSION: must be a version such as 66.0, at least 31.0; found 'latest'\n"


def test_in_an_empty_home_every_question_has_an_answer() -> None:
    assert qbsf("failures", "--json").json == []
    assert "Nothing needs a person." in qbsf("failures").out
    assert qbsf("review", "--json").json == []
    status = qbsf("status", "--json").json
    assert status["flows"] == {"invoices": [], "customers": [], "payments": [], "aging": [], "reconciliation": []}
    assert status["snapshot"] is None
    assert "Snapshot for analysts: none yet" in qbsf("status").out
    query = qbsf("query", "SELECT 1")
    assert query.code == 1
    assert query.err.startswith("there is no snapshot yet at ")
    assert query.err.endswith(": run qbsf sync (or qbsf demo) first\n")


def test_a_query_keeps_each_row_on_one_line_and_says_what_it_cut_off(tmp_path: Path) -> None:
    snapshot = tmp_path / "home" / "published" / "qbsf.duckdb"
    snapshot.parent.mkdir(parents=True)
    with duckdb.connect(snapshot) as connection:
        connection.execute("CREATE TABLE notes AS SELECT 7 AS id, repeat('word ', 100) || chr(10) || 'end' AS note")
    columns = ", ".join(["id", *(f"note AS note_{number}" for number in range(5))])
    ran = qbsf("query", f"SELECT {columns} FROM notes")
    (row,) = [line for line in ran.out.splitlines() if line.startswith(" 7")]
    assert row.count("…") == 5
    assert "Long texts are cut off; --json prints them whole." in ran.out
    assert qbsf("query", "SELECT note FROM notes", "--json").json == [{"note": "word " * 100 + "\nend"}]


def test_a_state_database_of_a_newer_program_is_refused_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QBSF_STATE_URL", "nonsense://")
    ran = qbsf("status")
    assert ran.code == 1
    assert "Traceback" not in ran.err
    assert len(ran.err.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments", [("--help",), ("sync", "--help"), ("failures", "--help"), ("review", "--help"), ("query", "--help")]
)
def test_help_is_there_for_every_command(arguments: tuple[str, ...]) -> None:
    ran = qbsf(*arguments)
    assert ran.code == 0
    assert "Usage" in ran.out


@pytest.mark.parametrize("arguments", [("sinc",), ("sync", "--flow", "payment"), ("approve",), ("query",)])
def test_a_command_that_is_mistyped_is_refused_with_its_own_code(arguments: tuple[str, ...]) -> None:
    ran = qbsf(*arguments)
    assert ran.code == 2
    assert "Traceback" not in ran.err


def test_the_demo_needs_nothing_and_a_script_reads_what_it_did(tmp_path: Path) -> None:
    names = {name.upper() for name in Environment.model_fields}
    clean = {name: value for name, value in os.environ.items() if name not in names}
    (tmp_path / "rules.toml").write_text(FEW_MESSAGES, encoding="utf-8")
    environment = clean | {"QBSF_HOME": str(tmp_path / "demo"), "QBSF_CONFIG": str(tmp_path / "rules.toml")}
    ran = subprocess.run(
        [QBSF, "demo", "--json"], env=environment, capture_output=True, text=True, check=False, timeout=200, cwd=tmp_path
    )
    assert ran.returncode == 0, ran.stderr
    report = parse_json(ran.stdout)
    assert report["mode"] == "sandbox"
    assert report["error"] is None
    assert report["exit_code"] == 3  # what the sample company's deals are refused for
    assert len(report["invoices"]) == report["planned"] > 10
    assert report["unfinished"] == []
    assert report["messages"]["waiting"] == 0
    assert not (tmp_path / "demo" / "sandbox" / "services.json").exists()  # the services ended with it
    query = subprocess.run(
        [QBSF, "query", "SELECT count(*) AS n FROM reporting.invoices WHERE difference <> 0", "--json"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert parse_json(query.stdout) == [{"n": 0}]


# A person's word


def put_plan(tmp_path: Path) -> None:
    rows = [{"plan_id": plan_id, "label": label, "key": label} for plan_id, label in (("P-1", "Acme"), ("P-2", "Café"))]
    with Warehouse(tmp_path / "home" / "warehouse.duckdb").transaction() as connection:
        replace_rows(connection, PLAN, PLAN.frame(rows))


def test_a_person_approves_deals_and_rejects_others_and_it_is_kept_who_and_why(tmp_path: Path) -> None:
    put_plan(tmp_path)
    approved = qbsf("approve", "P-1")
    assert (approved.code, approved.out) == (0, "P-1 approved: Acme\nThe next pass does it: qbsf sync\n")
    rejected = qbsf("reject", "P-2", "--reason", "not signed")
    assert (rejected.code, rejected.out) == (0, "P-2 rejected: Café\n")
    with State.open(f"sqlite:///{tmp_path / 'home' / 'state.sqlite'}", tmp_path / "home") as state:
        assert state.approvals.decisions() == {"P-1": "approved", "P-2": "rejected"}
        assert [(one.reason, bool(one.decided_by)) for one in state.approvals.history()] == [(None, True), ("not signed", True)]


def test_one_unknown_id_among_several_decides_nothing(tmp_path: Path) -> None:
    put_plan(tmp_path)
    ran = qbsf("approve", "P-1", "P-9", "B-9")
    assert ran.code == 1
    assert [line.partition(":")[0] for line in ran.err.splitlines()] == ["P-9", "B-9"]
    with State.open(f"sqlite:///{tmp_path / 'home' / 'state.sqlite'}", tmp_path / "home") as state:
        assert state.approvals.decisions() == {}


def test_the_whole_plan_is_approved_by_its_own_id(tmp_path: Path) -> None:
    put_plan(tmp_path)
    batch = batch_of(["P-1", "P-2"])
    assert qbsf("approve", batch, "--json").json == [
        {"plan_id": batch, "decision": "approved", "what": "the whole plan of invoices, 2 writes"}
    ]


# What the exit code means


def report(**changes: object) -> PassReport:
    nothing = {"error": None, "closed": [], "refused": [], "unfinished": [], "held": 0, "messages": {"sent": 0, "waiting": 0}}
    quiet = {"deals": {}, "planned": 0, "invoices": [], "customers": {}, "changes": [], "notes": [], "steps": [], "api_calls": {}}
    return PassReport(**{"mode": "live", "seconds": 1.0, **nothing, **quiet, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, 0),
        ({"invoices": [{}]}, 0),
        ({"error": "Salesforce: down"}, 1),
        ({"error": "Salesforce: down", "refused": [{}]}, 1),
        ({"closed": [{}]}, 3),
        ({"refused": [{}]}, 3),
        ({"unfinished": [{}]}, 3),
        ({"held": 1}, 3),
        ({"messages": {"sent": 0, "waiting": 2}}, 3),
        ({"messages": {"sent": 0, "waiting": 2}, "mode": "dry_run"}, 0),
    ],
)
def test_the_exit_code_is_0_when_nothing_is_left_3_when_something_waits_and_1_when_the_pass_failed(
    changes: dict[str, object], code: int
) -> None:
    assert report(**changes).exit_code == code


def test_a_day_to_come_is_refused_where_it_would_be_billed(tmp_path: Path) -> None:
    ran = qbsf("sync", "--as-of", "2999-01-01", QBSF_MODE="live", QBSF_GO_LIVE_DATE="2026-01-01", QBSF_HOME=str(tmp_path))
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "--as-of: 2999-01-01 is still to come, and what falls due until then would be billed now\n"


def test_what_a_person_rejected_waits_for_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QBSF_MODE", "approve")
    now = datetime(2026, 3, 31, 8, 0, tzinfo=UTC)
    with State.open(f"sqlite:///{tmp_path / 'home' / 'state.sqlite'}", tmp_path / "home") as state:
        state.ledger.enqueue([planned_invoice(1, plan_id="P-1"), planned_invoice(2, plan_id="P-2")], "B-1", now)
        state.approvals.reject("P-1", "Ann", now)
        assert gather(load_settings(), state, now, None, [], []).held == 1
        state.approvals.reject("B-1", "Ann", now)
        found = gather(load_settings(), state, now, None, [], [])
        assert (found.held, found.exit_code) == (0, 0)
        state.approvals.approve("P-1", "Ann", now)  # a deal's own decision goes before that on the whole plan
        assert gather(load_settings(), state, now, None, [], []).exit_code == 3


def test_a_pass_lists_what_waits_for_a_word_and_the_credit_memos_that_it_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("QBSF_MODE", "live")
    now = datetime(2026, 3, 31, 8, 0, tzinfo=UTC)
    memo = planned_invoice(1, plan_id="P-1", operation="create_credit_memo", target_object="CreditMemo", amount=Decimal("-55.50"))
    change = planned_invoice(2, plan_id="P-2", operation="change_schedule", reason="The schedule changes.")
    with State.open(f"sqlite:///{tmp_path / 'home' / 'state.sqlite'}", tmp_path / "home") as state:
        state.ledger.enqueue([memo, change], "B-1", now)
        state.ledger.start([sending(memo)], now)
        state.ledger.finish(memo.key, "71", '{"Id": "71", "DocNumber": "CM-7", "TotalAmt": 55.50}', now)
        settings = load_settings()
        found = gather(settings, state, now, None, [], [])
        assert [(one["plan_id"], one["reason"]) for one in found.questions] == [("P-2", "The schedule changes.")]
        assert [(one["number"], one["amount"]) for one in found.credit_memos] == [("CM-7", Decimal("55.50"))]
        assert found.changed_anything
        show(found, settings)
        told = " ".join(capsys.readouterr().out.split())
        assert "Credit memos created" in told
        assert "P-2" in told
        state.approvals.approve("P-2", "Ann", now)
        assert gather(settings, state, now, None, [], []).questions == []


@pytest.mark.parametrize(("mode", "before"), [("live", []), ("dry_run", ["paid"])])
def test_what_happened_to_payments_is_reported_once_its_gates_let_it_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, before: list[str]
) -> None:
    monkeypatch.setenv("QBSF_MODE", mode)
    now, home = datetime(2026, 3, 31, 8, 0, tzinfo=UTC), tmp_path / "home"
    with State.open(f"sqlite:///{home / 'state.sqlite'}", home) as state:
        with Warehouse(load_settings().environment.warehouse_path).transaction() as connection:
            replace_rows(connection, EVENTS, EVENTS.frame([{"event_key": "paid:006:1", "kind": "paid", "opportunity_id": "006"}]))
        assert [one["kind"] for one in gather(load_settings(), state, now, None, [], []).payments] == before
        state.payment_events.record([PaymentEvent("paid:006:1", "paid", "006")], now)
        assert [one["kind"] for one in gather(load_settings(), state, now, None, [], []).payments] == ["paid"]


# How values look


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (True, "yes"),
        (False, "no"),
        (Decimal("1234567.5"), "1,234,567.50"),
        (datetime(2026, 3, 31, 8, 5, tzinfo=UTC), "2026-03-31 08:05 UTC"),
        (date(2026, 3, 31), "2026-03-31"),
        (7, "7"),
        ("[red]", "[red]"),
    ],
)
def test_people_read_values_as_they_are_used_to(value: object, shown: str) -> None:
    assert cell(value) == shown


def test_scripts_read_json_that_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": Decimal("12.50"), "b": (date(2026, 3, 31),), "c": float("inf"), "d": timedelta(days=1), 5: b"x"})
    out = capsys.readouterr().out
    assert out == '{"a":12.50,"b":["2026-03-31"],"c":null,"d":"1 day, 0:00:00","5":"b\'x\'"}\n'
