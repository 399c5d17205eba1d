"""The frame over real sockets: start, stop, faults, log, control calls."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests
from slack_sdk import WebClient

from qbsf_pipeline.sandbox.server import SandboxControl, SandboxError, SandboxProcess, running_sandbox, start_sandbox
from qbsf_pipeline.sandbox.slack import BOT_TOKEN


def post(process: SandboxProcess, text: str, **options: Any) -> requests.Response:
    headers = {"Authorization": f"Bearer {BOT_TOKEN}"}
    body = {"channel": "#finance", "text": text}
    return requests.post(f"{process.url}/api/chat.postMessage", json=body, headers=headers, timeout=10, **options)


@pytest.fixture(autouse=True)
def _no_rate_limit(sandbox_process: SandboxProcess) -> None:
    sandbox_process.control.options(slack={"rate_limit": False})


def texts(control: SandboxControl) -> list[str]:
    return [message["text"] for message in control.messages()]


def test_a_reset_before_drops_the_connection_and_nothing_is_done(sandbox_process: SandboxProcess, control: SandboxControl):
    control.fault("slack", "chat.postMessage", "reset_before")
    with pytest.raises(requests.exceptions.ConnectionError):
        post(sandbox_process, "reset before")
    assert "reset before" not in texts(control)
    assert post(sandbox_process, "after the reset").json()["ok"]


def test_a_reset_after_drops_the_connection_and_the_work_is_done(sandbox_process: SandboxProcess, control: SandboxControl):
    control.fault("slack", "chat.postMessage", "reset_after")
    with pytest.raises(requests.exceptions.ConnectionError):
        post(sandbox_process, "reset after")
    assert texts(control).count("reset after") == 1


def test_a_reset_shows_as_such_to_the_plainest_client(sandbox_process: SandboxProcess, control: SandboxControl):
    control.fault("slack", "auth.test", "reset_before")
    connection = http.client.HTTPConnection(sandbox_process.url.removeprefix("http://"), timeout=10)
    connection.request("POST", "/api/auth.test")
    with pytest.raises((ConnectionResetError, http.client.RemoteDisconnected)):
        connection.getresponse()


def test_an_error_after_has_done_the_work_and_says_otherwise(sandbox_process: SandboxProcess, control: SandboxControl):
    control.fault("slack", "*", "error_after")
    assert post(sandbox_process, "error after").status_code == 500
    assert texts(control).count("error after") == 1


@pytest.mark.parametrize("service_call", [
    ("slack", "auth.test", "POST", "/api/auth.test"),
    ("quickbooks", "query", "GET", "/v3/company/1/query"),
    ("salesforce", "query", "GET", "/services/data/v66.0/query?q=x"),
])  # fmt: skip
@pytest.mark.parametrize("kind", ["error", "throttle", "token_expired", "html"])
def test_each_service_fails_in_its_own_way(
    sandbox_process: SandboxProcess, control: SandboxControl, service_call: tuple[str, str, str, str], kind: str
):
    service, endpoint, method, path = service_call
    control.fault(service, endpoint, kind)
    answer = requests.request(method, sandbox_process.url + path, timeout=10)
    expected = {
        ("slack", "error"): 500, ("slack", "throttle"): 429, ("slack", "token_expired"): 200,
        ("quickbooks", "error"): 500, ("quickbooks", "throttle"): 429, ("quickbooks", "token_expired"): 401,
        ("salesforce", "error"): 503, ("salesforce", "throttle"): 403, ("salesforce", "token_expired"): 401,
    }  # fmt: skip
    assert answer.status_code == expected.get((service, kind), 503)
    if kind == "html":
        assert answer.headers["content-type"].startswith("text/html")
    assert control.calls(service, endpoint)[-1]["fault"] == kind
    assert control.faults() == []


def test_a_hanging_answer_comes_late_and_the_work_is_done_at_once(sandbox_process: SandboxProcess, control: SandboxControl):
    control.fault("slack", "chat.postMessage", "hang_after", seconds=30)
    with pytest.raises(requests.exceptions.ReadTimeout):
        requests.post(
            f"{sandbox_process.url}/api/chat.postMessage",
            json={"channel": "#finance", "text": "hanging"},
            headers={"Authorization": f"Bearer {BOT_TOKEN}"},
            timeout=0.3,
        )
    assert texts(control).count("hanging") == 1


def test_a_slow_call_is_answered_in_the_end(sandbox_process: SandboxProcess, control: SandboxControl):
    control.fault("slack", "chat.postMessage", "slow", seconds=0.2)
    assert post(sandbox_process, "slow").json()["ok"]
    assert control.calls("slack", "chat.postMessage")[-1]["ms"] >= 200


def test_every_service_call_is_logged_and_no_control_call(sandbox_process: SandboxProcess, control: SandboxControl):
    WebClient(BOT_TOKEN, base_url=f"{sandbox_process.url}/api/").auth_test()
    control.fault("slack", "auth.test", "reset_before")
    with pytest.raises(requests.exceptions.ConnectionError):
        requests.post(f"{sandbox_process.url}/api/auth.test", timeout=10)
    requests.get(sandbox_process.url, timeout=10)
    calls = control.calls()
    seen = [(call["service"], call["endpoint"], call["status"], call["fault"]) for call in calls]
    assert seen == [("slack", "auth.test", 200, None), ("slack", "auth.test", None, "reset_before")]
    assert control.call_counts() == {("slack", "auth.test"): 2}
    assert (sandbox_process.folder / "calls.log").read_text().count("\n") == 2


def test_the_latency_option_is_added_to_service_calls(sandbox_process: SandboxProcess, control: SandboxControl):
    control.options(latency_ms=120)
    post(sandbox_process, "late")
    control.options(latency_ms=0)
    assert control.calls()[-1]["ms"] >= 120


def test_answers_are_dated_by_the_sandbox_s_clock(sandbox_process: SandboxProcess, control: SandboxControl):
    control.advance_clock(86_400 * 40)
    shifted = control.now()
    answer = post(sandbox_process, "dated")
    control.advance_clock(-86_400 * 40)
    assert f" {shifted[:4]} {shifted[11:13]}" in answer.headers["date"]
    assert control.now() < shifted


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "faults", {"service": "slack", "kind": "boom"}),
        ("POST", "options", {"colour": "red"}),
        ("POST", "options", {"slack": {"colour": "red"}}),
        ("POST", "close-deal", {}),
        ("POST", "close-deal", {"opportunity_id": "006000000000000AAA"}),
        ("POST", "receive-payment", {"invoice_id": "404"}),
        ("POST", "salesforce/records", {"type": "Nothing", "records": [{}]}),
        ("POST", "clock", {"advance_seconds": "soon"}),
    ],
)
def test_a_control_call_that_cannot_be_is_refused_in_words(control: SandboxControl, method: str, path: str, body: Any):
    with pytest.raises(SandboxError, match="error"):
        control.call(method, path, body)


def test_the_sandbox_is_found_by_its_folder_while_it_runs(tmp_path: Path):
    assert running_sandbox(tmp_path) is None
    with start_sandbox(tmp_path, empty=True) as process:
        found = running_sandbox(tmp_path)
        assert found is not None
        assert (found.url, found.pid) == (process.url, process.pid)
        assert start_sandbox(tmp_path, empty=True).pid == process.pid
    assert running_sandbox(tmp_path) is None
    assert not (tmp_path / "services.json").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_everything_is_kept_over_stop_and_start(tmp_path: Path, number: signal.Signals):
    process = start_sandbox(tmp_path, empty=True)
    process.control.options(slack={"rate_limit": False}, latency_ms=1)
    (account,) = process.control.upsert_records("Account", [{"Name": "Kept & Co."}])
    process.control.upsert_objects("Customer", [{"DisplayName": "Kept & Co."}])
    for text in ("one", "two"):
        assert post(process, text).json()["ok"]
    process.control.fault("slack", "auth.test", "html", times=3)
    process.control.advance_clock(3600)
    before = process.control.state()
    os.kill(process.pid, number)
    process.stop()
    with start_sandbox(tmp_path, empty=True) as again:
        assert again.url == process.url
        after = again.control.state()
        assert after == before
        assert account in [record["Id"] for record in after["salesforce"]["Account"]]
        assert [message["text"] for message in after["slack"]["messages"]] == ["one", "two"]
        assert again.control.faults()[0]["times"] == 3
        assert again.control.options()["latency_ms"] == 1
        assert [call["endpoint"] for call in again.control.calls()] == ["chat.postMessage"] * 2


def test_a_second_process_on_the_same_folder_is_refused(sandbox_process: SandboxProcess):
    command = [sys.executable, "-m", "qbsf_pipeline.sandbox", "--folder", str(sandbox_process.folder), "--empty"]
    root = str(Path(__file__).resolve().parents[2])
    answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, cwd=root)
    assert answer.returncode == 2
    assert "another sandbox runs" in answer.stderr


def test_a_port_that_was_asked_for_and_is_taken_is_told(tmp_path: Path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(SandboxError, match="cannot be used"):
            start_sandbox(tmp_path, port=taken.getsockname()[1], empty=True)


def test_it_ends_at_once_when_asked_even_while_a_call_hangs(tmp_path: Path):
    process = start_sandbox(tmp_path, empty=True)
    process.control.fault("slack", "auth.test", "slow", seconds=60)
    with socket.create_connection(("127.0.0.1", int(process.url.rsplit(":", 1)[1]))) as waiting:
        waiting.sendall(b"POST /api/auth.test HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        while process.control.faults():
            time.sleep(0.01)
        process.stop()
    assert running_sandbox(tmp_path) is None


def test_the_environment_names_every_variable_of_the_contract(sandbox_process: SandboxProcess):
    found = sandbox_process.environment()
    assert found["SALESFORCE_LOGIN_URL"] == found["QUICKBOOKS_API_URL"] == sandbox_process.url
    assert found["SLACK_API_URL"] == f"{sandbox_process.url}/api/"
    assert {name for name, value in found.items() if not value} == set()
    assert set(found) >= {
        "SALESFORCE_CLIENT_ID", "SALESFORCE_CLIENT_SECRET", "QUICKBOOKS_CLIENT_ID", "QUICKBOOKS_CLIENT_SECRET",
        "QUICKBOOKS_REALM_ID", "QUICKBOOKS_REFRESH_TOKEN", "QUICKBOOKS_DISCOVERY_URL", "QUICKBOOKS_APP_URL",
        "SLACK_BOT_TOKEN", "SLACK_FINANCE_CHANNEL", "SLACK_ALERTS_CHANNEL", "QBSF_GO_LIVE_DATE",
    }  # fmt: skip


def test_amounts_stay_exact_through_the_control_calls(control: SandboxControl):
    (key,) = control.upsert_records("Product2", [{"Name": "p"}])
    assert key
    (item,) = control.upsert_objects("Item", [{"Name": "Exact", "Type": "Service", "UnitPrice": Decimal("0.10")}])
    assert item["UnitPrice"] == Decimal("0.10")
