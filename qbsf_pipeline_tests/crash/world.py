"""A sandbox, an installation of the program beside it, and what must be true of both whatever happened in between."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from qbsf_pipeline.quickbooks.objects import invoice_marker
from qbsf_pipeline.sandbox.server import SandboxControl, SandboxProcess
from qbsf_pipeline.state.database import State
from qbsf_pipeline.state.ledger import LedgerEntry

LONGEST_PASS_SECONDS = 120.0

#: Waits short enough for a test: everything else is as it comes.
RULES = """
[push]
first_wait_seconds = 1
longest_wait_seconds = 2
unknown_outcome_wait_seconds = 1
"""


@dataclass(frozen=True)
class Strike:
    """What happens at a boundary of a pass: SIGKILL, or ``calls`` to the sandbox's control (path, body).

    Attributes:
        target: ``module:Class.method`` or ``module:function``.
        after: when the function has returned, else before it is called.
        holds: only calls whose arguments hold this text count.
        nth: at which of these calls.
    """

    target: str
    after: bool = False
    holds: str = ""
    nth: int = 1
    calls: tuple[tuple[str, dict[str, Any]], ...] = ()

    def order(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("target", "after", "holds", "nth", "calls")}


class Driver:
    """The process that forks passes; see :mod:`.driver`."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "qbsf_pipeline_tests.crash.driver"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).resolve().parents[2],
            env={**os.environ, "POLARS_MAX_THREADS": "2"},
            start_new_session=True,
        )
        self._read()

    def start(self, order: Mapping[str, Any]) -> int:
        return int(self._ask({"do": "start", **order})["pid"])

    def wait(self, pid: int) -> int:
        """The exit code; -9 where the process was killed."""
        return int(self._ask({"do": "wait", "pid": pid})["code"])

    def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _ask(self, order: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        readable, _, _ = select.select([self._process.stdout], [], [], LONGEST_PASS_SECONDS)
        assert readable, "the driver does not answer"
        line = self._process.stdout.readline()
        assert line, "the driver ended"
        found: dict[str, Any] = json.loads(line)
        return found


@dataclass
class Running:
    """A pass under way."""

    driver: Driver
    pid: int
    result: Path
    log: Path

    def kill(self) -> None:
        """SIGKILL it now."""
        os.kill(self.pid, signal.SIGKILL)

    def code(self) -> int:
        """Wait for its end; -9 where it was killed."""
        return self.driver.wait(self.pid)

    def report(self) -> dict[str, Any]:
        """What it reported."""
        code = self.code()
        assert code == 0, self.log.read_text()[-4000:]
        return self.found()

    def found(self) -> dict[str, Any]:
        """The report of one that has ended."""
        found: dict[str, Any] = json.loads(self.result.read_text())
        return found


@dataclass
class Installation:
    """One QBSF_HOME and how its program is run.

    Attributes:
        flows: what a pass runs; all flows where there is none.
        reporting: whether a pass makes the reporting tables, too.
        as_of: the day that counts as today.
    """

    driver: Driver
    control: SandboxControl
    environment: dict[str, str]
    home: Path
    runs: int = 0
    flows: tuple[str, ...] = ("invoices",)
    reporting: bool = False
    as_of: date | None = None

    @property
    def state_file(self) -> Path:
        return self.home / "state.sqlite"

    @property
    def warehouse_file(self) -> Path:
        return self.home / "warehouse.duckdb"

    def start(self, *strikes: Strike, command: str = "sync", **environment: str) -> Running:
        """Begin a pass."""
        self.runs += 1
        self.home.mkdir(parents=True, exist_ok=True)
        result, log = self.home / f"run-{self.runs}.json", self.home / f"run-{self.runs}.log"
        order = {
            "environment": {**self.environment, "QBSF_HOME": str(self.home), **environment},
            "strikes": [strike.order() for strike in strikes],
            "command": command,
            "flows": list(self.flows),
            "reporting": self.reporting,
            "as_of": self.as_of.isoformat() if self.as_of is not None else None,
            "result": str(result),
            "log": str(log),
        }
        return Running(self.driver, self.driver.start(order), result, log)

    def sync(self, *strikes: Strike) -> dict[str, Any]:
        """One pass to its end; its report."""
        return self.start(*strikes).report()

    def killed(self, strike: Strike, command: str = "sync") -> None:
        """A pass that is killed at a boundary, and did reach it."""
        running = self.start(strike, command=command)
        code = running.code()
        if code == 0:
            raise AssertionError(f"{strike} was not reached: {shown(running.found())}")
        assert code == -signal.SIGKILL, f"exit {code} before {strike}: {running.log.read_text()[-3000:]}"

    def killed_when(self, happened: Callable[[], bool]) -> None:
        """A pass that is killed from outside as soon as something has happened."""
        running = self.start()
        deadline = time.monotonic() + LONGEST_PASS_SECONDS
        while not happened():
            assert time.monotonic() < deadline, "it never happened"
            time.sleep(0.01)
        running.kill()
        assert running.code() == -signal.SIGKILL

    def sync_until_done(self, passes: int = 2) -> dict[str, Any]:
        """Passes until one reports that nothing is left; at most so many."""
        report: dict[str, Any] = {}
        for _ in range(passes):
            report = self.sync()
            if report["exit_code"] == 0:
                return report
        raise AssertionError(f"after {passes} passes something is left: {shown(report)}")

    def ledger(self) -> list[LedgerEntry]:
        """Every row of the ledger."""
        with State.open(f"sqlite:///{self.state_file}", self.home) as state:
            return state.ledger.entries()

    def statuses(self, operation: str, deals: Sequence[str]) -> Counter[str]:
        """How many writes of one operation stand in which status, for some deals."""
        found = [e.status for e in self.ledger() if e.operation == operation and e.opportunity_id in deals]
        return Counter(found)

    def copy(self, home: Path) -> Installation:
        """The same installation in another folder, such as from a backup."""
        shutil.copytree(self.home, home)
        return Installation(self.driver, self.control, dict(self.environment), home, self.runs, self.flows, self.reporting)


def shown(report: Mapping[str, Any]) -> str:
    """What matters of a report, for the message of a failed test."""
    names = ("exit_code", "error", "closed", "deals", "refused", "unfinished", "held", "messages")
    return json.dumps({name: report.get(name) for name in names}, indent=1, default=str)


@dataclass
class World:
    """A sandbox with a product, and accounts that deals are made for."""

    sandbox: SandboxProcess
    driver: Driver
    folder: Path
    product: str = ""
    account: str = ""
    number: int = 0
    deals_made: list[str] = field(default_factory=list)

    @property
    def control(self) -> SandboxControl:
        return self.sandbox.control

    def furnish(self) -> None:
        """What every deal needs: a product and its item, an account and its customer."""
        self.control.options(slack={"rate_limit": False})
        (self.product,) = self.control.upsert_records("Product2", [{"Name": "Work", "ProductCode": "W-1", "IsActive": True}])
        income = next(a["Id"] for a in self.control.objects("Account") if a["AccountType"] == "Income")
        item = {"Name": "Work", "Sku": "W-1", "Type": "Service", "IncomeAccountRef": {"value": income}, "UnitPrice": 1}
        self.control.upsert_objects("Item", [item])
        (self.account,) = self.control.upsert_records("Account", [account_record("Old Friend Inc.")])
        self.control.upsert_objects("Customer", [customer_object("Old Friend Inc.")])

    def installation(self, name: str) -> Installation:
        """A fresh installation."""
        rules = self.folder / "rules.toml"
        rules.write_text(RULES)
        environment = {
            **{key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR", "LANG") if key in os.environ},
            **self.sandbox.environment(),
            "QBSF_MODE": "live",
            "QBSF_CONFIG": str(rules),
            "POLARS_MAX_THREADS": "2",
        }
        return Installation(self.driver, self.control, environment, self.folder / name)

    def settled_installation(self) -> Installation:
        """An installation that has read both systems once."""
        installation = self.installation("settled")
        report = installation.sync()
        assert report["exit_code"] == 0, shown(report)
        return installation

    def deals(self, count: int, *, new_customers: bool = False) -> list[str]:
        """Deals that were just won, complete and without an invoice; each for an account of its own where asked."""
        records, amounts = [], []
        for _ in range(count):
            self.number += 1
            account = self.account
            if new_customers:
                (account,) = self.control.upsert_records("Account", [account_record(f"Newcomer {self.number} & Söhne")])
            records.append(
                {
                    "Name": f"Deal {self.number}",
                    "AccountId": account,
                    "StageName": "Closed Won",
                    "CloseDate": date.fromisoformat(self.control.now()[:10]).isoformat(),
                    "Contract_URL__c": f"https://contracts.example/{self.number}",
                    "Payment_Terms__c": "Net 30",
                }
            )
            amounts.append(Decimal(self.number) + Decimal("100.01"))
        made = list(self.control.upsert_records("Opportunity", records))
        lines = [line_record(deal, self.product, amount) for deal, amount in zip(made, amounts, strict=True)]
        self.control.upsert_records("OpportunityLineItem", lines)
        self.deals_made += made
        return made

    def opportunity(self, deal: str) -> dict[str, Any]:
        """One deal as Salesforce has it."""
        return next(record for record in self.control.records("Opportunity") if record["Id"] == deal)

    def clean(self) -> None:
        """Take away what was ordered, and every deal that has no invoice, so that the next test begins alone."""
        self.control.clear_faults()
        for record in self.control.records("Opportunity"):
            if not record.get("QuickBooks_Invoice_Id__c") and not record.get("IsDeleted"):
                self.control.delete_record("Opportunity", record["Id"])


def account_record(name: str) -> dict[str, Any]:
    return {
        "Name": name,
        "BillingStreet": "1 Long Street",
        "BillingCity": "Springfield",
        "BillingPostalCode": "62701",
        "Billing_Email__c": email_of(name),
        "Payment_Terms__c": "Net 30",
    }


def customer_object(name: str) -> dict[str, Any]:
    """The customer that matches :func:`account_record`."""
    address = {"Line1": "1 Long Street", "City": "Springfield", "PostalCode": "62701"}
    customer = {"DisplayName": name, "CompanyName": name, "PrimaryEmailAddr": {"Address": email_of(name)}}
    return {**customer, "BillAddr": address}


def email_of(name: str) -> str:
    return f"ap@{''.join(letter for letter in name.lower() if letter.isascii() and letter.isalnum())}.example"


def line_record(deal: str, product: str, amount: Decimal) -> dict[str, Any]:
    line = {"OpportunityId": deal, "Product2Id": product, "Quantity": 1}
    return {**line, "UnitPrice": str(amount), "TotalPrice": str(amount)}


def prove_billed_once(world: World, deals: Sequence[str]) -> None:
    """Each deal has exactly one invoice, over its amount, mailed exactly once; the deal holds it, its account holds the
    customer, which exists once, and finance was told."""
    state = world.control.state()
    invoices = state["quickbooks"].get("Invoice", [])
    mails = Counter(str(mail["invoice_id"]) for mail in state["mail"])
    finance = [json.dumps(m["blocks"], default=str) for m in state["slack"]["messages"] if m["channel_name"] == "#finance"]
    for deal in deals:
        marked = [invoice for invoice in invoices if invoice_marker(deal) in (invoice.get("PrivateNote") or "")]
        assert len(marked) == 1, f"{deal} has {len(marked)} invoices"
        (invoice,) = marked
        record = next(record for record in state["salesforce"]["Opportunity"] if record["Id"] == deal)
        assert invoice["TotalAmt"] == record["Amount"]
        assert mails[str(invoice["Id"])] == 1, f"{deal} was mailed {mails[str(invoice['Id'])]} times"
        assert record["QuickBooks_Invoice_Id__c"] == str(invoice["Id"])
        assert record["QuickBooks_Invoice_Number__c"] == invoice["DocNumber"]
        assert record["Payment_Status__c"] == "Sent"
        accounts = [account for account in state["salesforce"]["Account"] if account["Id"] == record["AccountId"]]
        assert accounts[0]["QuickBooks_Customer_Id__c"] == invoice["CustomerRef"]["value"]
        told = [text for text in finance if f"txnId={invoice['Id']}|" in text]
        assert told, f"finance was not told of {deal}"
    names = Counter(customer["DisplayName"] for customer in state["quickbooks"]["Customer"])
    assert names.most_common(1)[0][1] == 1


def fingerprint(world: World) -> dict[str, Any]:
    """Everything a pass could change outside."""
    state = world.control.state()
    return {
        "quickbooks": {e: {o["Id"]: o.get("SyncToken") for o in objects} for e, objects in state["quickbooks"].items()},
        "salesforce": {t: {r["Id"]: r.get("SystemModstamp") for r in rs} for t, rs in state["salesforce"].items()},
        "slack": len(state["slack"]["messages"]),
        "mail": len(state["mail"]),
    }


def prove_at_rest(world: World, installation: Installation) -> None:
    """A further pass has nothing left to do and changes nothing anywhere."""
    before = fingerprint(world)
    report = installation.sync()
    assert report["exit_code"] == 0, shown(report)
    assert fingerprint(world) == before
