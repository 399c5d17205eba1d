from __future__ import annotations

import os
import shutil
import sqlite3
from collections import namedtuple
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pytest

from qbsf_pipeline.doctor.findings import Level
from qbsf_pipeline.doctor.installation import (
    check_home,
    check_libraries,
    check_variables,
    check_warehouse,
    open_state,
    read_settings,
)
from qbsf_pipeline.settings import Environment, Mode, load_rules
from qbsf_pipeline_tests.doctor.levels import told, worse

TODAY = date(2026, 3, 31)
NOW = datetime(2026, 3, 31, 9, tzinfo=UTC)


def setting(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def test_settings_that_can_be_used_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    setting(monkeypatch, QBSF_MODE="live", QUICKBOOKS_REALM_ID="9341450000000001")
    found = read_settings()
    assert worse(found.findings) == []
    assert found.mode is Mode.LIVE
    assert found.settings.environment.quickbooks_realm_id == "9341450000000001"


def test_each_wrong_variable_is_a_problem_and_the_others_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    setting(monkeypatch, QBSF_MODE="live", SALESFORCE_API_VERSION="66", QUICKBOOKS_REALM_ID="ACME", SLACK_FINANCE_CHANNEL="#ar")
    found = read_settings()
    assert worse(found.findings) == [("SALESFORCE_API_VERSION", "problem"), ("QUICKBOOKS_REALM_ID", "problem")]
    assert found.mode is Mode.LIVE
    assert found.settings.environment.slack_finance_channel == "#ar"
    assert found.settings.environment.quickbooks_realm_id is None


def test_wrong_variables_and_wrong_rules_are_told_together(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text("[invoices]\nsend = 'maybe'\n[gate]\nx = 1\n", encoding="utf-8")
    setting(monkeypatch, QBSF_CONFIG=str(file), SALESFORCE_API_VERSION="66")
    found = read_settings()
    checks = [check for check, _ in worse(found.findings)]
    assert checks == ["SALESFORCE_API_VERSION", "invoices.send", "gate", "rules"]
    assert told(found.findings, "invoices.send").mend == f"Correct invoices.send in {file}"
    assert found.settings.rules == load_rules()


@pytest.mark.parametrize("text", [None, "not [ toml", "\xff"])
def test_a_rules_file_that_cannot_be_read_is_a_problem(text: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "rules.toml").write_text(text, encoding="latin-1")
    setting(monkeypatch, QBSF_CONFIG=str(tmp_path / "rules.toml"))
    assert ("QBSF_CONFIG", "problem") in worse(read_settings().findings)


@pytest.mark.parametrize(
    ("variables", "mode"),
    [
        ({}, Mode.SANDBOX),
        ({"QBSF_MODE": "sandbox", "QUICKBOOKS_CLIENT_ID": "x"}, Mode.SANDBOX),
        ({"QUICKBOOKS_CLIENT_ID": "x"}, Mode.DRY_RUN),
        ({"QBSF_MODE": "production"}, Mode.DRY_RUN),
        ({"SALESFORCE_LOGIN_URL": "http://acme.my.salesforce.com"}, Mode.DRY_RUN),
        ({"SALESFORCE_LOGIN_URL": "https://acme.my.salesforce.com"}, Mode.DRY_RUN),
    ],
)
def test_a_set_up_that_has_just_begun_is_never_taken_for_the_sandbox(
    variables: dict[str, str], mode: Mode, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting(monkeypatch, **variables)
    assert read_settings().mode is mode


def test_each_missing_variable_says_where_its_value_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    setting(monkeypatch, QBSF_MODE="live", SALESFORCE_USERNAME="u", SALESFORCE_PRIVATE_KEY_FILE="/nowhere/key.pem")
    findings = check_variables(read_settings(), TODAY)
    missing = dict(worse(findings))
    assert set(missing) == {
        *("SALESFORCE_LOGIN_URL", "SALESFORCE_CLIENT_ID", "SALESFORCE_PRIVATE_KEY_FILE"),
        *("QUICKBOOKS_CLIENT_ID", "QUICKBOOKS_CLIENT_SECRET", "QUICKBOOKS_REALM_ID", "SLACK_BOT_TOKEN", "QBSF_GO_LIVE_DATE"),
    }
    assert set(missing.values()) == {"problem"}
    assert told(findings, "QUICKBOOKS_CLIENT_ID").found == "It is not set, and mode live needs it"
    assert "Keys & credentials" in told(findings, "QUICKBOOKS_CLIENT_ID").mend


def test_in_a_dry_run_what_only_writing_needs_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("SALESFORCE_CLIENT_ID", "SALESFORCE_CLIENT_SECRET", "QUICKBOOKS_CLIENT_ID", "QUICKBOOKS_CLIENT_SECRET")
    setting(monkeypatch, **dict.fromkeys(names, "x"), QUICKBOOKS_REALM_ID="93414500000")
    setting(monkeypatch, SALESFORCE_LOGIN_URL="https://acme.my.salesforce.com")
    assert worse(check_variables(read_settings(), TODAY)) == [("QBSF_GO_LIVE_DATE", "warning"), ("SLACK_BOT_TOKEN", "warning")]


@pytest.mark.parametrize(
    ("day", "level", "words"),
    [
        ("2026-03-01", Level.OK, "deals closed before 2026-03-01 are never invoiced"),
        ("2026-09-01", Level.OK, "a day still to come"),
        ("2019-01-01", Level.WARNING, "more than a year ago"),
    ],
)
def test_the_day_of_going_live_is_looked_at(day: str, level: Level, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    setting(monkeypatch, QBSF_MODE="sandbox", QBSF_GO_LIVE_DATE=day)
    found = told(check_variables(read_settings(), TODAY), "QBSF_GO_LIVE_DATE")
    assert found.level is level
    assert words in found.found


def test_a_private_key_that_others_can_read_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_text("x", encoding="utf-8")
    setting(monkeypatch, QBSF_MODE="sandbox", SALESFORCE_PRIVATE_KEY_FILE=str(key))
    key.chmod(0o644)
    assert worse(check_variables(read_settings(), TODAY)) == [("SALESFORCE_PRIVATE_KEY_FILE", "warning")]
    key.chmod(0o600)
    assert worse(check_variables(read_settings(), TODAY)) == []


def test_a_home_is_written_to_and_left_as_it_was(tmp_path: Path) -> None:
    home = tmp_path / "new" / "home"
    assert worse(check_home(home)) == []
    assert not home.exists()
    home.mkdir(parents=True)
    assert worse(check_home(home)) == []
    assert list(home.iterdir()) == []
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert worse(check_home(tmp_path / "file" / "below")) == [("QBSF_HOME", "problem")]


@pytest.mark.parametrize(("free", "level"), [(3 * 1024**3, []), (1024**3, [("disk", "warning")]), (1024, [("disk", "problem")])])
def test_a_full_disk_is_told_before_it_is_full(
    free: int, level: list[tuple[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")(10**13, 0, free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert worse(check_home(tmp_path)) == level


def environment(tmp_path: Path, **more: object) -> Environment:
    return Environment(qbsf_home=tmp_path / "home", **more)  # type: ignore[arg-type]


def test_the_state_database_is_opened_and_can_be_written(tmp_path: Path) -> None:
    state, findings = open_state(environment(tmp_path))
    assert worse(findings) == []
    assert state is not None
    state.close()


@pytest.mark.parametrize("url", ["mysql://root:hush@db/qbsf", "nonsense", "sqlite://"])
def test_a_state_database_that_cannot_be_used_is_a_problem_without_its_password(url: str, tmp_path: Path) -> None:
    state, findings = open_state(environment(tmp_path, qbsf_state_url=url))
    assert state is None
    assert worse(findings) == [("QBSF_STATE_URL", "problem")]
    assert "hush" not in str(findings)


def test_a_state_database_of_a_newer_program_is_a_problem(tmp_path: Path) -> None:
    state, _ = open_state(environment(tmp_path))
    assert state is not None
    state.close()
    with sqlite3.connect(tmp_path / "home" / "state.sqlite") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    state, findings = open_state(environment(tmp_path))
    assert state is None
    assert "newer qbsf" in findings[0].found


def test_a_file_that_is_no_database_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "state.sqlite").write_text("no database at all" * 100, encoding="utf-8")
    state, findings = open_state(environment(tmp_path))
    assert state is None
    assert worse(findings) == [("QBSF_STATE_URL", "problem")]


def test_warehouse_and_snapshot_may_be_missing_and_must_be_readable(tmp_path: Path) -> None:
    settings = environment(tmp_path)
    assert worse(check_warehouse(settings, NOW)) == []
    settings.snapshot_path.parent.mkdir(parents=True)
    for path in (settings.warehouse_path, settings.snapshot_path):
        duckdb.connect(path).close()
    os.utime(settings.snapshot_path, (NOW.timestamp() - 7200, NOW.timestamp() - 7200))
    findings = check_warehouse(settings, NOW)
    assert worse(findings) == []
    assert findings[1].found.endswith("was published 2 hours ago")
    for path in (settings.warehouse_path, settings.snapshot_path):
        path.write_bytes(b"something else" * 1000)
    findings = check_warehouse(settings, NOW)
    assert worse(findings) == [("warehouse", "problem"), ("snapshot", "problem")]


def test_this_machine_knows_the_time_zones() -> None:
    assert worse(check_libraries()) == []
