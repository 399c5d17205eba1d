"""Settings: every wrong value is one line that names the key, what is allowed and what was found; nothing is guessed."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbsf_pipeline.errors import ConfigurationError
from qbsf_pipeline.settings import Mode, checked_url, is_loopback, load_rules, load_settings
from qbsf_pipeline_tests.pipeline import clear_environment

REAL = {
    "SALESFORCE_LOGIN_URL": "https://acme.my.salesforce.com",
    "SALESFORCE_CLIENT_ID": "3MVG",
    "SALESFORCE_CLIENT_SECRET": "salesforce-secret",
    "QUICKBOOKS_CLIENT_ID": "ABc",
    "QUICKBOOKS_CLIENT_SECRET": "quickbooks-secret",
    "QUICKBOOKS_REALM_ID": "9130350000000001",
    "SLACK_BOT_TOKEN": "xoxb-1",
    "QBSF_GO_LIVE_DATE": "2026-10-01",
}


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    clear_environment(monkeypatch)


def put(patch: pytest.MonkeyPatch, **variables: str) -> None:
    for name, value in variables.items():
        patch.setenv(name, value)


def refused(text: str, tmp_path: Path) -> list[str]:
    """The problems of a rules file with this text."""
    path = tmp_path / "rules.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as error:
        load_rules(path)
    return error.value.problems


def test_without_any_variable_it_is_the_sandbox_in_the_working_folder() -> None:
    settings = load_settings()
    environment = settings.environment
    assert settings.mode is Mode.SANDBOX
    assert environment.home == Path.cwd() / ".qbsf"
    assert environment.warehouse_path == environment.home / "warehouse.duckdb"
    assert environment.state_url == f"sqlite:///{environment.home / 'state.sqlite'}"
    assert environment.snapshot_path == environment.home / "published" / "qbsf.duckdb"
    assert environment.slack_finance_channel == environment.alerts_channel == "#finance"
    assert environment.quickbooks_api_base == "https://quickbooks.api.intuit.com"
    assert environment.salesforce_api_version == "66.0"
    settings.require_credentials()


def test_naming_an_org_without_a_mode_reads_and_never_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, SALESFORCE_LOGIN_URL=REAL["SALESFORCE_LOGIN_URL"])
    mode = load_settings().mode
    assert mode is Mode.DRY_RUN
    assert not mode.writes


@pytest.mark.parametrize(("mode", "writes"), [("sandbox", True), ("dry_run", False), ("approve", True), ("live", True)])
def test_the_mode_that_is_set_counts_whatever_else_is_there(monkeypatch: pytest.MonkeyPatch, mode: str, writes: bool) -> None:
    put(monkeypatch, QBSF_MODE=mode, **REAL)
    assert load_settings().mode.value == mode
    assert load_settings().mode.writes is writes


def test_an_empty_variable_is_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, QBSF_MODE="", SALESFORCE_LOGIN_URL="", QBSF_GO_LIVE_DATE="", QBSF_CONFIG="")
    assert load_settings().mode is Mode.SANDBOX


@pytest.mark.parametrize("mode", ["approve", "live"])
@pytest.mark.parametrize("name", sorted(REAL))
def test_each_variable_that_a_writing_mode_lacks_is_one_line_that_names_it(
    monkeypatch: pytest.MonkeyPatch, mode: str, name: str
) -> None:
    put(monkeypatch, QBSF_MODE=mode, **REAL)
    load_settings().require_credentials()
    monkeypatch.delenv(name)
    with pytest.raises(ConfigurationError) as error:
        load_settings().require_credentials()
    (problem,) = error.value.problems
    assert problem.startswith(name)
    assert problem.endswith(f" is not set, and mode {mode} needs it")


def test_reading_needs_neither_slack_nor_a_go_live_date(monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, QBSF_MODE="dry_run", **REAL)
    monkeypatch.delenv("SLACK_BOT_TOKEN")
    monkeypatch.delenv("QBSF_GO_LIVE_DATE")
    load_settings().require_credentials()


def test_a_private_key_that_is_not_there_is_told_before_any_call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    put(monkeypatch, QBSF_MODE="live", **REAL)
    put(monkeypatch, SALESFORCE_USERNAME="bot@acme.example", SALESFORCE_PRIVATE_KEY_FILE=str(tmp_path / "gone.key"))
    with pytest.raises(ConfigurationError) as error:
        load_settings().require_credentials()
    assert error.value.problems == [f"SALESFORCE_PRIVATE_KEY_FILE: there is no file {tmp_path / 'gone.key'}"]


def test_a_private_key_stands_in_for_the_client_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    key = tmp_path / "server.key"
    key.write_text("a key", encoding="utf-8")
    put(monkeypatch, QBSF_MODE="live", **REAL)
    monkeypatch.delenv("SALESFORCE_CLIENT_SECRET")
    put(monkeypatch, SALESFORCE_USERNAME="bot@acme.example")
    with pytest.raises(ConfigurationError):
        load_settings().require_credentials()
    put(monkeypatch, SALESFORCE_PRIVATE_KEY_FILE=str(key))
    load_settings().require_credentials()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("QBSF_MODE", "production", "'sandbox', 'dry_run', 'approve' or 'live'"),
        ("QBSF_GO_LIVE_DATE", "01.10.2026", "must be a date such as 2026-03-31"),
        ("QBSF_GO_LIVE_DATE", "0", "must be a date such as 2026-03-31"),
        ("QBSF_GO_LIVE_DATE", "1767225600", "must be a date such as 2026-03-31"),
        ("QBSF_GO_LIVE_DATE", "2026-02-30", "date"),
        ("SALESFORCE_LOGIN_URL", "acme.my.salesforce.com", "must be a URL such as https://host"),
        ("SALESFORCE_LOGIN_URL", "http://acme.my.salesforce.com", "plain http:// is for loopback hosts only"),
        ("QUICKBOOKS_API_URL", "ftp://quickbooks.api.intuit.com", "must be a URL such as https://host"),
        ("QUICKBOOKS_DISCOVERY_URL", "http://127.0.0.1.evil.example/", "plain http:// is for loopback hosts only"),
        ("QUICKBOOKS_APP_URL", "https://", "must be a URL such as https://host"),
        ("SLACK_API_URL", "http://10.0.0.1/api/", "plain http:// is for loopback hosts only"),
        ("SALESFORCE_API_VERSION", "v66", "must be a version such as 66.0"),
        ("SALESFORCE_API_VERSION", "20.0", "at least 31.0"),
        ("QUICKBOOKS_REALM_ID", "ACME-DESKTOP", "QuickBooks Desktop files have no such id"),
        ("QUICKBOOKS_REALM_ID", "1234", "QuickBooks Online company id"),
        ("QUICKBOOKS_ENVIRONMENT", "staging", "'sandbox' or 'production'"),
    ],
)
def test_a_wrong_variable_is_one_line_with_its_name_what_is_allowed_and_what_was_found(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str
) -> None:
    put(monkeypatch, **{name: value})
    with pytest.raises(ConfigurationError) as error:
        load_settings()
    (problem,) = error.value.problems
    assert problem.startswith(f"{name}: ")
    assert expected in problem
    assert problem.endswith(f"found {value!r}")
    assert "\n" not in problem


def test_several_wrong_variables_are_told_together(monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, QBSF_MODE="x", QUICKBOOKS_REALM_ID="y", SLACK_API_URL="z")
    with pytest.raises(ConfigurationError) as error:
        load_settings()
    assert sorted(problem.partition(":")[0] for problem in error.value.problems) == [
        "QBSF_MODE",
        "QUICKBOOKS_REALM_ID",
        "SLACK_API_URL",
    ]


def test_no_secret_shows_when_settings_are_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, QBSF_MODE="live", QUICKBOOKS_REFRESH_TOKEN="refresh-me", **REAL)
    shown = repr(load_settings()) + str(load_settings().environment)
    for secret in ("salesforce-secret", "quickbooks-secret", "xoxb-1", "refresh-me"):
        assert secret not in shown


def test_the_sandbox_company_of_intuit_has_hosts_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, QUICKBOOKS_ENVIRONMENT="sandbox")
    environment = load_settings().environment
    assert environment.quickbooks_api_base == "https://sandbox-quickbooks.api.intuit.com"
    assert environment.quickbooks_link("invoice", "txnId", "145") == "https://app.sandbox.qbo.intuit.com/app/invoice?txnId=145"


def test_hosts_that_are_named_take_the_place_of_intuits(monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, QUICKBOOKS_API_URL="http://localhost:9/", QUICKBOOKS_APP_URL="http://[::1]:9/")
    environment = load_settings().environment
    assert environment.quickbooks_api_base == "http://localhost:9"
    assert environment.quickbooks_app_base == "http://[::1]:9"


@pytest.mark.parametrize("url", ["http://localhost", "http://127.0.0.1:8080/", "http://127.8.9.1/x", "http://[::1]:1/"])
def test_plain_http_is_taken_for_this_machine(url: str) -> None:
    assert checked_url(url) == url.rstrip("/")


@given(st.from_regex(r"[a-z][a-z0-9]{0,10}(\.[a-z0-9]{1,10}){1,3}", fullmatch=True))
def test_no_host_name_but_localhost_counts_as_this_machine(host: str) -> None:
    assert not is_loopback(host)
    with pytest.raises(ValueError, match="https"):
        checked_url(f"http://{host}/")
    assert checked_url(f"https://{host}/") == f"https://{host}"


def test_the_packaged_rules_are_valid_and_protect_by_default() -> None:
    rules = load_rules()
    assert rules.invoices.document_number == "next"
    assert rules.items.missing == "refuse"
    assert rules.required.billing_email
    assert rules.required.contract_url
    assert rules.required.payment_terms
    assert rules.gates.max_amount["USD"] == Decimal(5000000)


def test_a_rules_file_changes_only_the_keys_that_it_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(
        "[invoices]\nsend = 'draft'\n[salesforce.opportunity]\ncontract_url = 'Vertrag__c'\n[gates.max_amount]\nEUR = 250000.50\n"
        "[items.products]\n'Onboarding Ü' = 'Services:Onboarding'\n",
        encoding="utf-8",
    )
    put(monkeypatch, QBSF_CONFIG=str(path))
    rules, packaged = load_settings().rules, load_rules()
    assert rules.invoices.send == "draft"
    assert rules.invoices.model_copy(update={"send": "send"}) == packaged.invoices
    assert rules.salesforce.opportunity.contract_url == "Vertrag__c"
    assert rules.salesforce.opportunity.invoice_id == packaged.salesforce.opportunity.invoice_id
    assert rules.gates.max_amount == {"USD": Decimal(5000000), "EUR": Decimal("250000.50")}
    assert rules.items.products == {"Onboarding Ü": "Services:Onboarding"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[invoices]\nsend = 'maybe'", "invoices.send: Input should be 'send' or 'draft'; found 'maybe'"),
        ("[invoice]\nsend = 'send'", "invoice: there is no such key"),
        ("[invoices]\nsnd = 'send'", "invoices.snd: there is no such key"),
        ("[push]\nquickbooks_batch = 31", "push.quickbooks_batch: Input should be less than or equal to 30; found 31"),
        ("[push]\nquickbooks_batch = '30 a time'", "push.quickbooks_batch: Input should be a valid integer"),
        ("[pull]\nlargest_shrink_share = 20", "pull.largest_shrink_share: Input should be less than or equal to 1; found 20"),
        ("[pull]\nlargest_shrink_share = 1.5", "pull.largest_shrink_share: Input should be less than or equal to 1; found 1.5"),
        ("[gates]\nmax_amount_otherwise = 0", "gates.max_amount_otherwise: Input should be greater than 0; found 0"),
        ("[salesforce.opportunity]\ninvoice_id = ''", "salesforce.opportunity.invoice_id: String should have at least 1"),
        ("[recurring]\nbill_by = 'hand'", "recurring.bill_by: Input should be 'schedule' or 'template'"),
        ("invoices = 3", "invoices: Input should be a valid dictionary"),
        ("[required]\nbilling_address = ['planet']", "required.billing_address.0: Input should be 'street', 'city',"),
        (
            "[invoices]\ndocument_number_prefix = 'INVOICE-2026-NORTH-'",
            "invoices.document_number_prefix: String should have at most",
        ),
    ],
)
def test_a_wrong_rule_is_one_line_with_its_key_and_what_is_allowed(text: str, problem: str, tmp_path: Path) -> None:
    (found,) = refused(text, tmp_path)
    assert found.startswith(problem)
    assert "\n" not in found


def test_a_rules_file_that_cannot_be_read_says_which_and_why(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as error:
        load_rules(tmp_path / "none.toml")
    assert error.value.problems == [f"QBSF_CONFIG: cannot read {tmp_path / 'none.toml'}: No such file or directory"]
    (problem,) = refused("[invoices\n", tmp_path)
    assert problem.startswith(f"QBSF_CONFIG: {tmp_path / 'rules.toml'} is not TOML: ")


def test_a_rules_file_in_another_encoding_is_refused_and_not_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_bytes("[invoices]\ncustomer_memo = 'Grüße'\n".encode("latin-1"))
    with pytest.raises(ConfigurationError) as error:
        load_rules(path)
    assert error.value.problems[0].startswith(f"QBSF_CONFIG: {path} is not TOML")
