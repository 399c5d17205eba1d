"""Starting, finding, asking and stopping a sandbox from outside: what the CLI and the tests use.

The sandbox itself runs in a child process (`python -m qbsf_pipeline.sandbox`, see `__main__`).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

from qbsf_pipeline.sandbox.store import decode, encode

_START_SECONDS = 30.0
_STOP_SECONDS = 5.0


class SandboxError(Exception):
    """A sandbox did not start, or refused a control call; the message says why."""


class SandboxControl:
    """The `/_sandbox` calls of one sandbox, as methods. Every one raises SandboxError when it is refused."""

    def __init__(self, url: str, *, timeout_seconds: float = 30.0) -> None:
        self.url = url
        self._timeout = timeout_seconds
        # A proxy named in the environment is for the outside world, never for this machine.
        self._opener = build_opener(ProxyHandler({}))

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """One control call, `path` without `/_sandbox/`; its JSON answer, numbers with a point as Decimal."""
        data = None if body is None else encode(dict(body)).encode()
        request = Request(f"{self.url}/_sandbox/{path}", data, {"Content-Type": "application/json"}, method=method)
        try:
            with self._opener.open(request, timeout=self._timeout) as answer:
                found: dict[str, Any] = decode(answer.read())
                return found
        except HTTPError as error:
            raise SandboxError(f"{method} {path}: {error.read().decode('utf-8', 'replace')}") from error
        except (URLError, OSError) as error:
            raise SandboxError(f"{method} {path}: {error}") from error

    def health(self) -> dict[str, Any]:
        """{"ok", "pid", "now"}."""
        return self.call("GET", "health")

    def environment(self) -> dict[str, str]:
        """The environment variables that point qbsf at this sandbox."""
        return {key: str(value) for key, value in self.call("GET", "environment").items()}

    def fault(self, service: str, endpoint: str, kind: str, *, times: int = 1, after: int = 0, seconds: float = 1.0) -> None:
        """Order a fault (see `faults.FaultKind`): it strikes `times` matching calls after the first `after`."""
        order = {"service": service, "endpoint": endpoint, "kind": kind}
        self.call("POST", "faults", {**order, "times": times, "after": after, "seconds": seconds})

    def faults(self) -> list[dict[str, Any]]:
        """The orders that are not used up."""
        return list(self.call("GET", "faults")["faults"])

    def clear_faults(self) -> None:
        """Forget every order."""
        self.call("DELETE", "faults")

    def calls(self, service: str | None = None, endpoint: str | None = None) -> list[dict[str, Any]]:
        """The calls the services received, oldest first; those of one service or endpoint where named."""
        return [
            call
            for call in self.call("GET", "calls")["calls"]
            if service in (None, call["service"]) and endpoint in (None, call["endpoint"])
        ]

    def call_counts(self) -> dict[tuple[str, str], int]:
        """How many calls for each (service, endpoint)."""
        found = self.call("GET", "calls?summary=1")["summary"]
        return {(row["service"], row["endpoint"]): int(row["calls"]) for row in found}

    def clear_calls(self) -> None:
        """Forget the call log."""
        self.call("DELETE", "calls")

    def state(self) -> dict[str, Any]:
        """Everything that the services hold (see `app.state_of`)."""
        return self.call("GET", "state")

    def records(self, sobject: str) -> list[dict[str, Any]]:
        """The Salesforce records of one type."""
        return list(self.state()["salesforce"].get(sobject, []))

    def objects(self, entity: str) -> list[dict[str, Any]]:
        """The QuickBooks objects of one entity."""
        return list(self.state()["quickbooks"].get(entity, []))

    def messages(self) -> list[dict[str, Any]]:
        """The Slack messages, in the order they were posted."""
        return list(self.state()["slack"]["messages"])

    def mail(self) -> list[dict[str, Any]]:
        """The e-mails that QuickBooks sent: {"invoice_id", "to", "at"}."""
        return list(self.state()["mail"])

    def upsert_records(self, sobject: str, records: Iterable[Mapping[str, Any]]) -> Any:
        """Put Salesforce records in as they are given; returns what the sandbox made of them."""
        return self.call("POST", "salesforce/records", {"type": sobject, "records": [dict(r) for r in records]})["records"]

    def delete_record(self, sobject: str, record_id: str) -> None:
        """Delete one Salesforce record (to the recycle bin)."""
        self.call("POST", "salesforce/delete", {"type": sobject, "id": record_id})

    def upsert_objects(self, entity: str, objects: Iterable[Mapping[str, Any]]) -> Any:
        """Put QuickBooks objects in as they are given; returns them with Id, SyncToken and MetaData."""
        return self.call("POST", "quickbooks/records", {"entity": entity, "objects": [dict(o) for o in objects]})["objects"]

    def salesforce(self, what: str, **order: Any) -> dict[str, Any]:
        """One of the org's own control calls (`hide`, `features`, `behave`, `touch`, `expire-sessions`)."""
        return self.call("POST", f"salesforce/{what}", order)

    def quickbooks(self, what: str, **order: Any) -> dict[str, Any]:
        """One of the company's own control calls (`behave`, `run-recurring`, `expire-tokens`)."""
        return self.call("POST", f"quickbooks/{what}", order)

    def close_deal(self, opportunity_id: str) -> None:
        """Make an opportunity Closed Won now."""
        self.call("POST", "close-deal", {"opportunity_id": opportunity_id})

    def receive_payment(self, invoice_id: str, amount: Decimal | None = None) -> None:
        """Record a payment for an invoice; its whole balance where no amount is named."""
        order: dict[str, Any] = {"invoice_id": invoice_id}
        self.call("POST", "receive-payment", order if amount is None else {**order, "amount": str(amount)})

    def options(self, **changes: Any) -> dict[str, Any]:
        """Change options (`latency_ms=50`, `slack={"rate_limit": False}`); returns all of them."""
        found = self.call("POST", "options", changes) if changes else self.call("GET", "options")
        return dict(found["options"])

    def now(self) -> str:
        """The sandbox's now, ISO."""
        return str(self.call("GET", "clock")["now"])

    def advance_clock(self, seconds: float) -> str:
        """Shift the sandbox's clock; returns its new now, ISO."""
        return str(self.call("POST", "clock", {"advance_seconds": seconds})["now"])


class SandboxProcess:
    """A sandbox that runs: its `folder`, `url`, `pid`, and `control` for everything else."""

    def __init__(self, folder: Path, url: str, pid: int, process: subprocess.Popen[bytes] | None = None) -> None:
        self.folder = folder
        self.url = url
        self.pid = pid
        self.control = SandboxControl(url)
        self._process = process

    def environment(self) -> dict[str, str]:
        """The contract's environment variables that point qbsf at this sandbox."""
        return self.control.environment()

    def stop(self) -> None:
        """End it (SIGTERM, then SIGKILL after five seconds); everything it held is kept in its folder."""
        _signal(self.pid, signal.SIGTERM)
        if not self._gone(_STOP_SECONDS):
            _signal(self.pid, signal.SIGKILL)
            self._gone(_STOP_SECONDS)
            (self.folder / "services.json").unlink(missing_ok=True)

    def _gone(self, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self._process is not None:
                if self._process.poll() is not None:
                    return True
            elif not _alive(self.pid):
                return True
            time.sleep(0.02)
        return False

    def __enter__(self) -> SandboxProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def start_sandbox(folder: Path, *, port: int | None = None, empty: bool = False) -> SandboxProcess:
    """Start a sandbox on `folder` in a child process and wait until it answers.

    Where one runs on that folder already, that one is returned. `port`: the one to listen on, else the folder's last
    one, else a free one. `empty`: without the sample company.

    Raises:
        SandboxError: it ended or did not answer; the message holds the end of its log.
    """
    folder = folder.absolute()
    found = running_sandbox(folder)
    if found is not None:
        return found
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "qbsf_pipeline.sandbox", "--folder", str(folder)]
    if port is not None:
        command += ["--port", str(port)]
    if empty:
        command.append("--empty")
    # The child finds the package where this process found it, installed or not.
    package_root = str(Path(__file__).resolve().parents[2])
    search = os.pathsep.join(part for part in (package_root, os.environ.get("PYTHONPATH", "")) if part)
    with (folder / "sandbox.log").open("ab") as log:
        # Its own session: an interrupt typed for the program that started it is not meant for the sandbox.
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": search},
            start_new_session=True,
        )
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        found = running_sandbox(folder)
        if found is not None and found.pid == process.pid:
            return SandboxProcess(folder, found.url, found.pid, process)
        time.sleep(0.02)
    if process.poll() is None:
        process.kill()
        process.wait()
    told = (folder / "sandbox.log").read_text(encoding="utf-8", errors="replace")[-2000:]
    raise SandboxError(f"the sandbox on {folder} did not start; the end of its log:\n{told}")


def running_sandbox(folder: Path) -> SandboxProcess | None:
    """The sandbox that runs on `folder`, if its services.json names a process that lives and answers."""
    try:
        named = decode((folder.absolute() / "services.json").read_text(encoding="utf-8"))
        url, pid = str(named["url"]), int(named["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not _alive(pid):
        return None
    try:
        told = SandboxControl(url, timeout_seconds=5).health()
    except SandboxError:
        return None
    return SandboxProcess(folder.absolute(), url, pid) if told.get("pid") == pid else None


def _alive(pid: int) -> bool:
    try:
        # A child of this process that has ended stays in the table until somebody asks for it.
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            return False
    except ChildProcessError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
