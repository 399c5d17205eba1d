"""``qbsf doctor`` against the built-in services over HTTP: healthy, broken in several ways at once, half configured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from qbsf_pipeline.sandbox.server import SandboxProcess, start_sandbox
from qbsf_pipeline.state.database import State
from qbsf_pipeline_tests.cli.command import Ran, qbsf
from qbsf_pipeline_tests.pipeline import clear_environment

READS = {
    *{("salesforce", name) for name in ("login", "versions", "limits", "describe", "composite", "query")},
    *{("quickbooks", name) for name in ("discovery", "token", "query", "cdc", "read", "preferences", "companyinfo")},
    *{("slack", name) for name in ("auth.test", "conversations.list", "conversations.info")},
}
SECRETS = ("SALESFORCE_CLIENT_SECRET", "QUICKBOOKS_CLIENT_SECRET", "QUICKBOOKS_REFRESH_TOKEN", "SLACK_BOT_TOKEN")


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    with start_sandbox(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@pytest.fixture
def healthy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sandbox: SandboxProcess) -> Mapping[str, str]:
    """A home of its own, connected to the sandbox as if it were the real services."""
    clear_environment(monkeypatch)
    variables = sandbox.environment() | {"QBSF_HOME": str(tmp_path / "home"), "QBSF_MODE": "live"}
    variables["QUICKBOOKS_ENVIRONMENT"] = "production"
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


def worse(ran: Ran) -> dict[str, str]:
    return {found["check"]: found["level"] for found in ran.json["findings"] if found["level"] != "ok"}


def without_secrets(ran: Ran, variables: Mapping[str, str]) -> None:
    hidden = [variables[name] for name in SECRETS if name in variables]
    url = f"sqlite:///{Path(variables['QBSF_HOME']) / 'state.sqlite'}"
    with State.open(url, Path(variables["QBSF_HOME"])) as state:
        stored = state.tokens.quickbooks.load(variables.get("QUICKBOOKS_REALM_ID", ""))
        hidden += [stored.access_token, stored.refresh_token] if stored is not None else []
    assert not [secret for secret in hidden if secret in ran.out + ran.err]


def test_a_healthy_set_up_is_all_well_and_nothing_is_written(healthy: Mapping[str, str], sandbox: SandboxProcess) -> None:
    sandbox.control.clear_calls()
    before = sandbox.control.state()
    ran = qbsf("doctor", "--json")
    assert worse(ran) == {}
    assert ran.code == 0
    found = ran.json
    assert found["mode"] == "live"
    areas = ["installation", "salesforce", "quickbooks", "slack", "together", "work"]
    assert list(dict.fromkeys(one["area"] for one in found["findings"])) == areas
    assert all(one["found"] for one in found["findings"])
    assert sandbox.control.state() == before
    assert set(sandbox.control.call_counts()) <= READS
    assert sum(found["api_calls"][f"quickbooks.{kind}"] for kind in ("read", "query", "cdc")) == 4
    without_secrets(ran, healthy)


def test_people_read_it_as_a_list_with_a_summary(healthy: Mapping[str, str]) -> None:
    ran = qbsf("doctor")
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert [line.strip() for line in lines if line.strip() in ("Installation", "Salesforce", "QuickBooks", "Slack")]
    assert any(line.startswith("ok ") and "client credentials flow" in line for line in lines)
    assert any(line.startswith("All is well: ") for line in lines)
    assert "Mend:" not in ran.out
    assert "not audited yet: qbsf cleanse" in ran.out


def test_what_is_broken_is_told_all_at_once_each_with_its_remedy(
    healthy: Mapping[str, str], sandbox: SandboxProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    control = sandbox.control
    rules = tmp_path / "rules.toml"
    rules.write_text('[invoices]\ndefault_terms = "Net 33"\n[items]\nmissing = "default"\n', encoding="utf-8")
    monkeypatch.setenv("QBSF_CONFIG", str(rules))
    hidden: list[dict[str, Any]] = [
        {"type": "Account", "field": "QuickBooks_Customer_Id__c"},
        {"type": "Opportunity", "field": "CloseDate"},
        {"type": "OpportunityLineItem"},
    ]
    try:
        for what in hidden:
            control.salesforce("hide", **what)
        control.quickbooks("behave", BookCloseDate="2099-12-31", AutoApplyCredit=True)
        control.options(slack={"left_channels": ["finance"], "missing_channels": ["finance-alerts"]})
        ran = qbsf("doctor", "--json")
        shown = qbsf("doctor")
    finally:
        for what in hidden:
            control.salesforce("hide", **what, hidden=False)
        control.quickbooks("behave", BookCloseDate=None, AutoApplyCredit=False)
        control.options(slack={"left_channels": [], "missing_channels": []})
    assert ran.code == shown.code == 3
    assert worse(ran) == {
        "OpportunityLineItem": "problem",
        "Opportunity.CloseDate": "problem",
        "Account.QuickBooks_Customer_Id__c": "problem",
        "closing date": "warning",
        "credits": "warning",
        "invoices.default_terms": "problem",
        "items.default_item": "problem",
        "SLACK_FINANCE_CHANNEL #finance": "problem",
        "SLACK_ALERTS_CHANNEL #finance-alerts": "problem",
    }
    assert all(one["mend"] for one in ran.json["findings"] if one["level"] != "ok")
    assert "7 problems, 2 warnings" in shown.out
    assert shown.out.count("Mend:") == 9
    without_secrets(shown, healthy)


@pytest.mark.parametrize(
    ("variable", "value", "check"),
    [
        ("SALESFORCE_CLIENT_SECRET", "hush-wrong", "login"),
        ("QUICKBOOKS_CLIENT_SECRET", "hush-wrong", "connection"),
        ("QUICKBOOKS_REFRESH_TOKEN", "hush-wrong", "connection"),
        ("QUICKBOOKS_REALM_ID", "9341450000000999", "connection"),
        ("SLACK_BOT_TOKEN", "xoxb-hush-wrong", "token"),
        ("SALESFORCE_LOGIN_URL", "http://127.0.0.1:9", "login"),
        ("SLACK_API_URL", "http://127.0.0.1:9/api", "token"),
    ],
)
def test_one_wrong_credential_is_one_problem_and_hides_no_other_service(
    variable: str, value: str, check: str, healthy: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    ran = qbsf("doctor", "--json")
    assert ran.code == 3
    assert worse(ran) == {check: "problem"}
    assert "hush" not in ran.out + ran.err


def test_a_home_of_another_company_is_told(healthy: Mapping[str, str]) -> None:
    home = Path(healthy["QBSF_HOME"])
    with State.open(f"sqlite:///{home / 'state.sqlite'}", home) as state:
        state.identity.bind("00D000000000062EAA", "9130350000000001", datetime.now(UTC))
    ran = qbsf("doctor", "--json")
    assert worse(ran) == {"identity": "problem"}
    assert len([one for one in ran.json["findings"] if one["check"] == "identity"]) == 2


def test_a_set_up_that_has_just_begun_is_findings_and_no_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clear_environment(monkeypatch)
    monkeypatch.setenv("QBSF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("QUICKBOOKS_CLIENT_ID", "x")
    monkeypatch.setenv("QBSF_STATE_URL", "mysql://root:hush@db/qbsf")
    monkeypatch.setenv("SALESFORCE_API_VERSION", "66")
    ran = qbsf("doctor", "--json")
    assert ran.code == 3
    found = worse(ran)
    problems = {check for check, level in found.items() if level == "problem"}
    assert problems == {
        *("SALESFORCE_API_VERSION", "SALESFORCE_LOGIN_URL", "SALESFORCE_CLIENT_ID", "SALESFORCE_CLIENT_SECRET"),
        *("QUICKBOOKS_CLIENT_SECRET", "QUICKBOOKS_REALM_ID", "QBSF_STATE_URL"),
    }
    assert ran.json["mode"] == "dry_run"
    assert ran.json["api_calls"] == {}
    assert "hush" not in ran.out + ran.err
    assert qbsf("doctor").code == 3


def test_a_home_that_cannot_be_made_is_a_finding(
    healthy: Mapping[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("QBSF_HOME", str(tmp_path / "file" / "home"))
    ran = qbsf("doctor", "--json")
    assert ran.code == 3
    assert worse(ran) == {"QBSF_HOME": "problem", "connection": "warning"}


def test_in_sandbox_mode_the_built_in_services_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clear_environment(monkeypatch)
    monkeypatch.setenv("QBSF_HOME", str(tmp_path / "home"))
    ran = qbsf("doctor", "--json")
    assert ran.code == 0
    assert worse(ran) == {}
    assert ran.json["mode"] == "sandbox"
