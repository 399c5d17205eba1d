"""``qbsf status``: last steps of each flow, watermarks, what is open, what waits, API calls used."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from qbsf_pipeline.cli.options import Flow, Json
from qbsf_pipeline.cli.output import print_json, say, table
from qbsf_pipeline.reconciliation.months import key_of
from qbsf_pipeline.settings import load_settings
from qbsf_pipeline.state.database import State
from qbsf_pipeline.state.month_end_reports import KeptReport
from qbsf_pipeline.warehouse.connection import Warehouse, read_table
from qbsf_pipeline.warehouse.raw import WATERMARKS

FLOWS = tuple(flow.value for flow in Flow)
_MONTHS_SHOWN = 3


def status(json: Json = False) -> None:
    """What was done last, how fresh the data is, and what waits for whom. Calls no service."""
    settings = load_settings()
    environment = settings.environment
    now = datetime.now(UTC)
    state = State.open(environment.state_url, environment.home)
    with Warehouse(environment.warehouse_path).connection() as connection:
        watermarks = read_table(connection, WATERMARKS).sort("table_name")
    latest = {name: _latest_steps(state, name) for name in FLOWS}
    found: dict[str, Any] = {
        "mode": settings.mode.value,
        "home": str(environment.home),
        "snapshot": str(environment.snapshot_path) if environment.snapshot_path.exists() else None,
        "flows": latest,
        "watermarks": [
            {
                "table": row["table_name"],
                "read_until": row["read_until"],
                "last_full_at": row["last_full_at"],
                "rows": row["rows_live"],
            }
            for row in watermarks.iter_rows(named=True)
        ],
        # Month end writes to neither system.
        "writes": {name: state.ledger.counts(name) for name in FLOWS if name != Flow.RECONCILIATION},
        "month_end": _month_end(state),
        "open_failures": len(state.failures.list("open")),
        "open_reviews": len(state.reviews.list("open")),
        "messages": state.outbox.counts(),
        "messages_wait_because": state.outbox.reasons(),
        "down": {system: outage.since for system, outage in state.services.down().items()},
        "api_calls_24h": state.passes.api_usage(now - timedelta(hours=24)),
        "api_calls_30d": state.passes.api_usage(now - timedelta(days=30)),
    }
    if json:
        print_json(found)
        return
    say(f"Mode {settings.mode.value}, files in {environment.home}", style="bold")
    say(f"Snapshot for analysts: {found['snapshot'] or 'none yet'}")
    for name, steps in latest.items():
        table(
            f"Last steps of flow {name}",
            ("Step", "Begun", "Outcome", "Counts"),
            (
                (
                    one["step"],
                    one["begun_at"],
                    one["outcome"] or "under way",
                    ", ".join(f"{n} {what}" for what, n in one["counts"].items() if n),
                )
                for one in steps
            ),
        )
    table(
        "Sources",
        ("Table", "Rows", "Read until", "Last full read"),
        (
            (row["table_name"], row["rows_live"], row["read_until"], row["last_full_at"])
            for row in watermarks.iter_rows(named=True)
        ),
        right=("Rows",),
    )
    say("")
    for name, counts in found["writes"].items():
        say(f"Writes of {name}: " + (", ".join(f"{number} {state}" for state, number in counts.items()) or "none yet"))
    say(f"Failures open: {found['open_failures']} (qbsf failures) · reviews open: {found['open_reviews']} (qbsf review)")
    for one in found["month_end"]:
        closed = ", closed" if one["closed"] else ""
        made = f"report {one['report']} of {one['made_at']:%Y-%m-%d}"
        say(f"Month end {one['month']}: {one['unexplained']} unexplained, {made}{closed}")
    messages = ", ".join(f"{number} {name}" for name, number in state.outbox.counts().items()) or "none yet"
    say(f"Slack messages: {messages}")
    for reason in found["messages_wait_because"]:
        say(f"Messages wait: {reason}", style="red")
    for system, since in state.services.down().items():
        say(f"{system} does not answer since {since.since:%Y-%m-%d %H:%M} UTC: {since.reason}", style="red")
    table(
        "API calls",
        ("Kind", "Last 24 hours", "Last 30 days"),
        ((name, found["api_calls_24h"].get(name, 0), number) for name, number in sorted(found["api_calls_30d"].items())),
        right=("Last 24 hours", "Last 30 days"),
    )


def _month_end(state: State) -> list[dict[str, Any]]:
    """The newest report of the last few months that have one."""
    newest: dict[date, KeptReport] = {}
    for kept in state.month_end_reports.list():
        newest.setdefault(kept.month, kept)
    return [
        {
            "month": key_of(kept.month),
            "report": kept.report_id,
            "made_at": kept.computed_at,
            "unexplained": sum(row["unexplained_not_accepted"] for row in kept.figures["totals"].values()),
            "closed": state.month_closings.in_force(kept.month) is not None,
        }
        for kept in list(newest.values())[:_MONTHS_SHOWN]
    ]


def _latest_steps(state: State, flow: str) -> list[dict[str, Any]]:
    latest: dict[str, dict[str, Any]] = {}
    for one in state.passes.recent(flow, limit=50):
        latest.setdefault(
            one.trigger,
            {
                "step": one.trigger,
                "begun_at": one.begun_at,
                "ended_at": one.ended_at,
                "outcome": one.outcome,
                "counts": one.counts,
            },
        )
    return list(latest.values())
