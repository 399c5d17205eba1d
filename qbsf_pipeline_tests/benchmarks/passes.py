"""The passes that are measured: a first one over the whole company, and one in which nothing changed."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from qbsf_pipeline.sandbox.server import SandboxControl, start_sandbox
from qbsf_pipeline_tests.benchmarks.limits import least_seconds, most_in_a_window
from qbsf_pipeline_tests.benchmarks.processes import Ran, python, qbsf, run

#: Gates are for people; here a thousand invoices at once are wanted.
RULES = """
[gates]
max_invoices = 1000000
max_amount = { USD = 1000000000000 }
max_new_customers = 1000000
max_new_customers_share = 1.0
max_customer_changes = 1000000
max_deal_changes = 1000000
max_reminders = 1000000
max_tasks = 1000000
"""
HALF_AN_HOUR = 1800.0
_WRITES = ("batch", "create", "update", "delete", "send", "void")


@dataclass(frozen=True)
class Measured:
    """One pass.

    Attributes:
        report: what ``qbsf sync --json`` printed.
        calls: as the services logged them, by (service, endpoint).
        throttled: calls that a service answered with 429, by service.
        writing: the calls to QuickBooks while it was written to; ``None`` where nothing was written.
    """

    name: str
    ran: Ran
    report: dict[str, Any]
    calls: dict[tuple[str, str], int]
    throttled: dict[str, int]
    writing: Writing | None


@dataclass(frozen=True)
class Writing:
    """QuickBooks while it was written to.

    Attributes:
        seconds: from the first write's arrival to the answer of the last.
        batches: calls of the batch endpoint that were made.
        calls: all writing calls.
        least_seconds: what the limits allow for the calls that were needed.
        most_in_a_second, most_in_a_minute, most_batches_in_a_minute: how close to the limits it came.
    """

    seconds: float
    batches: int
    sends: int
    calls: int
    least_seconds: float
    most_in_a_second: int
    most_in_a_minute: int
    most_batches_in_a_minute: int

    @property
    def ratio(self) -> float:
        """Time taken for each second that the limits allow at least."""
        return self.seconds / self.least_seconds if self.least_seconds else 1.0


@dataclass(frozen=True)
class Figures:
    """Everything that was measured: start-up seconds by command, and the passes."""

    deals: int
    invoices: int
    latency_ms: int
    seed_seconds: float
    start_up: dict[str, float]
    passes: list[Measured]


def measure(folder: Path, deals: int, invoices: int, latency_ms: int) -> Figures:
    """Seed, start the services, run the passes, and stop the services again."""
    services, home = folder / "services", folder / "home"
    seeded = run(python("-m", "qbsf_pipeline_tests.benchmarks.seed", str(services), str(deals), str(invoices)), os.environ)
    if seeded.exit_code != 0:
        raise RuntimeError(f"seeding failed:\n{seeded.errors}")
    rules = folder / "rules.toml"
    rules.write_text(RULES, encoding="utf-8")
    with start_sandbox(services) as sandbox:
        own = ("QBSF_", "SALESFORCE_", "QUICKBOOKS_", "SLACK_", "DAGSTER_")
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(own)},
            **sandbox.environment(),
            "QBSF_MODE": "live",
            "QBSF_HOME": str(home),
            "QBSF_CONFIG": str(rules),
        }
        sandbox.control.options(latency_ms=latency_ms)
        first = _pass("first", environment, sandbox.control)
        # Changes are read with an overlap of ten minutes: the pass that follows at once reads again what the first wrote.
        after = _pass("after it", environment, sandbox.control)
        sandbox.control.advance_clock(HALF_AN_HOUR)
        passes = [first, after, *(_pass(name, environment, sandbox.control) for name in ("half an hour on", "idle"))]
        start_up = _start_up(environment)
    return Figures(deals, invoices, latency_ms, seeded.seconds, start_up, passes)


def _pass(name: str, environment: Mapping[str, str], control: SandboxControl) -> Measured:
    control.clear_calls()
    ran = run(qbsf("sync", "--json"), environment)
    calls = control.calls()
    try:
        report = json.loads(ran.output)
    except ValueError:
        raise RuntimeError(f"the pass '{name}' printed no JSON (exit {ran.exit_code}):\n{ran.errors}") from None
    return Measured(
        name=name,
        ran=ran,
        report=report,
        calls=dict(Counter((call["service"], call["endpoint"]) for call in calls)),
        throttled=dict(Counter(call["service"] for call in calls if call["status"] == 429)),
        writing=_writing(calls),
    )


def _writing(calls: list[dict[str, Any]]) -> Writing | None:
    quickbooks = [call for call in calls if call["service"] == "quickbooks" and call["endpoint"] in _WRITES]
    if not quickbooks:
        return None
    batches = [call for call in quickbooks if call["endpoint"] == "batch"]
    sends = [call for call in quickbooks if call["endpoint"] == "send"]
    at = {id(call): datetime.fromisoformat(call["at"]) for call in quickbooks}
    ended = max(at[id(call)] + timedelta(milliseconds=float(call["ms"])) for call in quickbooks)
    every = [datetime.fromisoformat(call["at"]) for call in calls if call["service"] == "quickbooks" and "/v3/" in call["path"]]
    minute = timedelta(minutes=1)
    return Writing(
        seconds=(ended - min(at.values())).total_seconds(),
        batches=len(batches),
        sends=len(sends),
        calls=len(quickbooks),
        least_seconds=least_seconds(len(batches), len(quickbooks)),
        most_in_a_second=most_in_a_window(every, timedelta(seconds=1)),
        most_in_a_minute=most_in_a_window(every, minute),
        most_batches_in_a_minute=most_in_a_window([at[id(call)] for call in batches], minute),
    )


def _start_up(environment: Mapping[str, str]) -> dict[str, float]:
    """The better of two runs of each, so that files are in memory."""
    commands = {
        "python": python("-c", "pass"),
        "import dagster": python("-c", "import dagster"),
        "import definitions": python("-c", "import qbsf_pipeline.definitions"),
        "qbsf --help": qbsf("--help"),
        "qbsf status": qbsf("status"),
        "qbsf query": qbsf("query", "SELECT 1"),
    }
    return {name: min(run(command, environment).seconds for _ in range(2)) for name, command in commands.items()}
