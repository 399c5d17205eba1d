"""``qbsf connect`` against the built-in services over HTTP: a person's browser is a thread, or what it shows is pasted."""

from __future__ import annotations

import io
import re
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests

from qbsf_pipeline.sandbox.server import SandboxProcess, start_sandbox
from qbsf_pipeline.state.database import State
from qbsf_pipeline_tests.cli.command import Ran, qbsf
from qbsf_pipeline_tests.pipeline import clear_environment


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    with start_sandbox(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@pytest.fixture
def variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sandbox: SandboxProcess) -> Mapping[str, str]:
    """The app's keys, and no refresh token."""
    clear_environment(monkeypatch)
    found = sandbox.environment() | {"QBSF_HOME": str(tmp_path / "home"), "QBSF_MODE": "dry_run"}
    del found["QUICKBOOKS_REFRESH_TOKEN"]
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    return found


def state_in(variables: Mapping[str, str]) -> State:
    home = Path(variables["QBSF_HOME"])
    return State.open(f"sqlite:///{home / 'state.sqlite'}", home)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def address_in(printed: str) -> str:
    found = re.search(r"http://\S+/connect/oauth2\S+", printed)
    assert found is not None, printed
    return found[0]


class Browser(threading.Thread):
    """Opens the address that is printed, as soon as the command waits for it, unless nobody agrees; ``visits`` come before."""

    def __init__(self, *visits: str, agrees: bool = True) -> None:
        super().__init__(daemon=True)
        self.visits = visits
        self.agrees = agrees
        self.pages: list[tuple[int, str]] = []

    def run(self) -> None:
        deadline = time.monotonic() + 20
        while "Waiting for the browser" not in (printed := self.printed()) and time.monotonic() < deadline:
            time.sleep(0.02)
        page = address_in(printed)
        back = re.search(r"sends you back to: (\S+)", printed)
        state = re.search(r"state=([^&\s]+)", page)
        assert back is not None
        assert state is not None
        for visit in self.visits:
            self.seen(requests.get(visit.format(callback=back[1], state=state[1]), timeout=10))
        if self.agrees:
            self.seen(requests.get(page, timeout=10))

    def printed(self) -> str:
        return sys.stdout.getvalue() if isinstance(sys.stdout, io.StringIO) else ""

    def seen(self, response: requests.Response) -> None:
        self.pages.append((response.status_code, response.text))


class Pasting:
    """Standard input of a person who follows the printed address by hand; ``first`` is what is pasted before."""

    def __init__(self, *first: str) -> None:
        self.lines = list(first)

    def readline(self) -> str:
        if self.lines:
            return self.lines.pop(0)
        assert isinstance(sys.stdout, io.StringIO)
        answer = requests.get(address_in(sys.stdout.getvalue()), allow_redirects=False, timeout=10)
        return answer.headers["Location"] + "\n"


def told_no_token(ran: Ran, variables: Mapping[str, str]) -> None:
    with state_in(variables) as state:
        stored = state.tokens.quickbooks.load(variables["QUICKBOOKS_REALM_ID"])
    assert stored is not None
    for secret in (stored.access_token, stored.refresh_token, variables["QUICKBOOKS_CLIENT_SECRET"]):
        assert secret not in ran.out + ran.err


def test_a_person_agrees_in_the_browser_and_the_company_is_connected(variables: Mapping[str, str]) -> None:
    browser = Browser("{callback}?code=AC0&realmId=1&state=another", "{callback}x")
    browser.start()
    ran = qbsf("connect", "quickbooks", "--port", str(free_port()))
    browser.join(10)
    assert ran.code == 0, ran.err
    assert [status for status, _ in browser.pages] == [400, 404, 200]
    assert "Thank you" in browser.pages[-1][1]
    assert f"Connected to company {variables['QUICKBOOKS_REALM_ID']}" in ran.out
    assert "Company: Northwind Signal (US)" in ran.out
    told_no_token(ran, variables)
    with state_in(variables) as state:
        stored = state.tokens.quickbooks.load(variables["QUICKBOOKS_REALM_ID"])
    assert stored is not None
    assert stored.first_token_hash is None
    assert stored.refresh_hard_expires_at is not None
    doctor = qbsf("doctor", "--json").json
    assert [one["level"] for one in doctor["findings"] if one["check"] == "refresh token"] == ["ok"]


def test_without_a_browser_the_address_is_pasted(variables: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Pasting("\n", "https://developer.intuit.com/?code=1&state=old&realmId=1\n"))
    monkeypatch.delenv("QUICKBOOKS_REALM_ID")
    ran = qbsf("connect", "quickbooks", "--paste", "--redirect-uri", "https://books.example.com/back?from=qbsf")
    assert ran.code == 0, ran.err
    assert "That is not the address of this attempt" in ran.err
    assert f"Set QUICKBOOKS_REALM_ID={variables['QUICKBOOKS_REALM_ID']}" in ran.out
    told_no_token(ran, variables)


def test_nothing_pasted_is_an_end_in_words(variables: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    ran = qbsf("connect", "quickbooks", "--paste")
    assert ran.code == 1
    assert ran.err == "quickbooks: no_answer: no address was pasted: start again\n"


def test_who_does_not_agree_is_told_and_nothing_is_kept(variables: Mapping[str, str]) -> None:
    browser = Browser("{callback}?error=access_denied&state={state}", agrees=False)
    browser.start()
    ran = qbsf("connect", "quickbooks", "--port", str(free_port()))
    browser.join(10)
    assert [page for status, page in browser.pages if "Not connected" in page]
    assert ran.code == 1
    assert "not agreed to" in ran.err
    with state_in(variables) as state:
        assert state.tokens.quickbooks.load(variables["QUICKBOOKS_REALM_ID"]) is None


@pytest.mark.parametrize("bound", [False, True])
def test_another_company_than_this_home_belongs_to_is_refused_before_any_token(
    bound: bool, variables: Mapping[str, str], monkeypatch: pytest.MonkeyPatch, sandbox: SandboxProcess
) -> None:
    if bound:
        with state_in(variables) as state:
            state.identity.bind("00D000000000062EAA", "9130350000000001", datetime.now(UTC))
        monkeypatch.delenv("QUICKBOOKS_REALM_ID")
    else:
        monkeypatch.setenv("QUICKBOOKS_REALM_ID", "9130350000000001")
    monkeypatch.setattr(sys, "stdin", Pasting())
    sandbox.control.clear_calls()
    ran = qbsf("connect", "quickbooks", "--paste")
    assert ran.code == 1
    (line,) = ran.err.splitlines()
    assert line.startswith("QUICKBOOKS_REALM_ID: ")
    assert "9130350000000001" in line
    assert variables["QUICKBOOKS_REALM_ID"] in line
    assert sandbox.control.calls("quickbooks", "token") == []
    with state_in(variables) as state:
        assert state.tokens.quickbooks.load(variables["QUICKBOOKS_REALM_ID"]) is None


def test_wrong_keys_are_told_in_a_line(variables: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUICKBOOKS_CLIENT_SECRET", "hush-wrong")
    monkeypatch.setattr(sys, "stdin", Pasting())
    ran = qbsf("connect", "quickbooks", "--paste")
    assert ran.code == 1
    assert "check QUICKBOOKS_CLIENT_ID and QUICKBOOKS_CLIENT_SECRET" in ran.err
    assert "hush" not in ran.out + ran.err


def test_a_port_that_is_taken_is_told_with_another_way(variables: Mapping[str, str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ran = qbsf("connect", "quickbooks", "--port", str(port))
    assert ran.code == 1
    assert ran.err.startswith(f"--port: port {port} cannot be listened on")
    assert "--paste" in ran.err


@pytest.mark.parametrize("address", ["http://books.example.com/callback", "books.example.com", "ftp://x"])
def test_an_address_that_is_not_safe_is_refused(address: str, variables: Mapping[str, str]) -> None:
    ran = qbsf("connect", "quickbooks", "--redirect-uri", address)
    assert ran.code == 1
    assert ran.err.startswith("--redirect-uri: must ")


@pytest.mark.parametrize(
    ("system", "names"),
    [
        ("quickbooks", ["QUICKBOOKS_CLIENT_ID", "QUICKBOOKS_CLIENT_SECRET"]),
        ("salesforce", ["SALESFORCE_LOGIN_URL", "SALESFORCE_CLIENT_ID"]),
    ],
)
def test_missing_keys_are_named_with_where_they_are_found(
    system: str, names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clear_environment(monkeypatch)
    monkeypatch.setenv("QBSF_HOME", str(tmp_path / "home"))
    ran = qbsf("connect", system)
    assert ran.code == 1
    lines = ran.err.splitlines()
    assert [line.split(" ", 1)[0] for line in lines] == names
    assert all(" is not set. " in line for line in lines)
    assert not (tmp_path / "home" / "sandbox").exists()


def test_what_is_wrong_with_another_system_does_not_stand_in_the_way(
    variables: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUICKBOOKS_REALM_ID", "ACME")
    assert qbsf("connect", "salesforce").code == 0
    ran = qbsf("connect", "quickbooks")
    assert ran.code == 1
    assert ran.err.startswith("QUICKBOOKS_REALM_ID: ")


def test_salesforce_shows_org_and_user_and_binds_them_once_the_company_is_known(
    variables: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = qbsf("connect", "salesforce")
    assert ran.code == 0, ran.err
    assert "client credentials flow" in ran.out
    assert "Org:  Northwind Signal (00D" in ran.out
    assert "User: " in ran.out
    assert "The first pass binds this QBSF_HOME" in ran.out
    with state_in(variables) as state:
        assert state.identity.bound() == {}
    monkeypatch.setattr(sys, "stdin", Pasting())
    assert qbsf("connect", "quickbooks", "--paste").code == 0
    again = qbsf("connect", "salesforce")
    assert f"belongs to this org and to QuickBooks company {variables['QUICKBOOKS_REALM_ID']}" in again.out
    with state_in(variables) as state:
        assert state.identity.bound()["quickbooks"] == variables["QUICKBOOKS_REALM_ID"]


@pytest.mark.parametrize("with_realm", [True, False])
def test_another_org_than_this_home_belongs_to_is_refused(
    with_realm: bool, variables: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with state_in(variables) as state:
        state.identity.bind("00D000000000062EAA", variables["QUICKBOOKS_REALM_ID"], datetime.now(UTC))
    if not with_realm:
        monkeypatch.delenv("QUICKBOOKS_REALM_ID")
    ran = qbsf("connect", "salesforce")
    assert ran.code == 1
    assert ran.err.startswith("SALESFORCE_LOGIN_URL: this QBSF_HOME")


def test_a_login_that_is_refused_says_what_to_change(variables: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SALESFORCE_CLIENT_SECRET", "hush-wrong")
    ran = qbsf("connect", "salesforce")
    assert ran.code == 1
    assert "SALESFORCE_CLIENT_SECRET" in ran.err
    assert "hush" not in ran.out + ran.err


def test_in_sandbox_mode_the_built_in_company_can_be_connected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clear_environment(monkeypatch)
    monkeypatch.setenv("QBSF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("QBSF_MODE", "sandbox")
    monkeypatch.setattr(sys, "stdin", Pasting())
    ran = qbsf("connect", "quickbooks", "--paste")
    assert ran.code == 0, ran.err
    assert "Company: Northwind Signal (US)" in ran.out
