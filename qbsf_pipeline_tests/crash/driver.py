"""Runs true passes in processes of their own, quickly: this process imports the program once and forks for each pass.

Reads one JSON order a line from stdin and answers each with one line. A pass that was forked runs what `qbsf sync` runs; it
may be told to strike at a boundary (a named function, before it is called or after it has returned): to kill itself with
SIGKILL there, or to have something done at the sandbox by then, as a person would. Nothing else of the program is changed,
but for waits, which are cut short, and for the reporting tables, which follow from what is proved here and are half of a pass:
jobs go without them unless the order says otherwise.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import sys
import threading
import time
import traceback
import urllib.request
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

LONGEST_SLEEP_SECONDS = 0.05
#: What a pass imports, also what it does only on its way.
IMPORTED_ONCE = (
    "qbsf_pipeline.cli.passes",
    "qbsf_pipeline.cli.sync",
    "qbsf_pipeline.cli.month_end",
    "polars",
    "duckdb",
    "pyarrow",
    "alembic.command",
    "dagster._core.storage.sqlite_storage",
    "dagster._core.remote_representation.external",
    "dagster._core.execution.backfill",
)


def main() -> None:
    """Serve orders until stdin ends; what still runs then is killed."""
    for module in IMPORTED_ONCE:
        importlib.import_module(module)
    _read_once()
    _cut_waits_short()
    gc.freeze()
    living: set[int] = set()
    _answer({"ready": True})
    for line in sys.stdin:
        order = json.loads(line)
        if order["do"] == "start":
            pid = os.fork()
            if pid == 0:
                _run(order)
            living.add(pid)
            _answer({"pid": pid})
        else:
            _, status = os.waitpid(order["pid"], 0)
            living.discard(order["pid"])
            _answer({"code": os.waitstatus_to_exitcode(status)})
    for pid in living:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _answer(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def _read_once() -> None:
    """What a process reads when it first needs it, and what never changes."""
    from qbsf_pipeline.customers.matching.normalising import registrable_domain
    from qbsf_pipeline.settings import load_rules

    registrable_domain("www.example.com")
    load_rules()


def _cut_waits_short() -> None:
    from qbsf_pipeline.quickbooks.client import QuickBooksClient
    from qbsf_pipeline.salesforce.client import SalesforceClient
    from qbsf_pipeline.slack import delivery

    def nap(seconds: float) -> None:
        time.sleep(min(seconds, LONGEST_SLEEP_SECONDS))

    clients: tuple[Any, ...] = (QuickBooksClient, SalesforceClient)
    for client in clients:
        client.__init__.__kwdefaults__["sleep"] = nap
    delivery._FIRST_WAIT = timedelta(seconds=0.5)
    delivery._LONGEST_WAIT = timedelta(seconds=1)


def _leave_reporting_out() -> None:
    import dagster

    from qbsf_pipeline import definitions

    definitions._REPORTING = dagster.AssetSelection.assets()


def _run(order: dict[str, Any]) -> NoReturn:
    """The forked process: one command, its result written to a file."""
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    code = 70
    try:
        os.environ.clear()
        os.environ.update(order["environment"])
        if not order["reporting"]:
            _leave_reporting_out()
        for strike in order["strikes"]:
            _set_up(strike)
        commands = {
            "sync": lambda: _sync(order["flows"], order["as_of"]),
            "push": lambda: _push("invoices"),
            "push customers": lambda: _push("customers"),
            "token": _token,
            "reconcile": _reconcile,
        }
        found = commands[order["command"]]()
        part = Path(order["result"] + ".part")
        part.write_text(json.dumps(found, default=str))
        part.rename(order["result"])
        code = 0
    finally:
        if code:
            traceback.print_exc()
        sys.stderr.flush()
        os._exit(code)


def _sync(flows: list[str], as_of: str | None) -> dict[str, Any]:
    from qbsf_pipeline.cli.sync import run_and_report
    from qbsf_pipeline.settings import load_settings

    day = date.fromisoformat(as_of) if as_of else None
    report = run_and_report(load_settings(), quiet=True, only=flows, as_of=day)
    return report.__dict__ | {"exit_code": report.exit_code}


def _push(flow: str) -> dict[str, Any]:
    """The push job of a flow alone, as the daemon's sensor starts it."""
    from qbsf_pipeline.cli.passes import instance_for
    from qbsf_pipeline.definitions import build
    from qbsf_pipeline.settings import load_settings

    settings = load_settings()
    with instance_for(settings) as instance:
        definitions = build(settings, console_level="CRITICAL")
        ran = definitions.resolve_job_def(f"push_{flow}").execute_in_process(instance=instance, raise_on_error=False)
    return {"success": ran.success}


def _reconcile() -> dict[str, Any]:
    """What `qbsf reconcile` runs, for the month under way."""
    from qbsf_pipeline.cli.month_end import run_month_end
    from qbsf_pipeline.settings import load_settings

    result = run_month_end(load_settings(), datetime.now(UTC).date().replace(day=1))
    return {"done": result.done, "closed": result.closed, "error": result.error}


def _token() -> dict[str, Any]:
    """One call to QuickBooks whose access token is refused, so that a new one is asked for."""
    from qbsf_pipeline.resources import Doors
    from qbsf_pipeline.settings import load_settings
    from qbsf_pipeline.warehouse.connection import Warehouse

    settings = load_settings()
    doors = Doors(settings, Warehouse(settings.environment.warehouse_path))
    return {"company": doors.quickbooks.company_info().get("CompanyName")}


def _set_up(strike: dict[str, Any]) -> None:
    """Wrap the function that a strike names."""
    module, _, path = strike["target"].partition(":")
    owner: Any = importlib.import_module(module)
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    original: Callable[..., Any] = getattr(owner, name)
    lock = threading.Lock()
    left = [strike["nth"]]

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if strike["holds"] and strike["holds"] not in repr((args[1:], kwargs)):
            return original(*args, **kwargs)
        with lock:
            left[0] -= 1
            strikes = left[0] == 0
        if strikes and not strike["after"]:
            _strike(strike)
        result = original(*args, **kwargs)
        if strikes and strike["after"]:
            _strike(strike)
        return result

    setattr(owner, name, wrapped)


def _strike(strike: dict[str, Any]) -> None:
    if not strike["calls"]:
        os.kill(os.getpid(), signal.SIGKILL)
    for path, body in strike["calls"]:
        request = urllib.request.Request(
            f"{os.environ['SALESFORCE_LOGIN_URL']}/_sandbox/{path}",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30).read()


if __name__ == "__main__":
    main()
