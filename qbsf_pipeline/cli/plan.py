"""``qbsf plan``: the writes that the next push would do, each with its reason. Nothing is sent."""

from __future__ import annotations

from typing import Any

import typer

from qbsf_pipeline.cli.flow_tables import batches, chosen, plans, refusals
from qbsf_pipeline.cli.loading import loading
from qbsf_pipeline.cli.options import AsOf, Flows, Json, day
from qbsf_pipeline.cli.output import complain, print_json, progress_shown, say, table
from qbsf_pipeline.cli.services import services_for
from qbsf_pipeline.errors import ConfigurationError
from qbsf_pipeline.money import format_amount, parse_json
from qbsf_pipeline.settings import load_settings
from qbsf_pipeline.state.database import State
from qbsf_pipeline.warehouse.connection import Warehouse

#: What a write is called for people.
OPERATIONS = {
    "create_customer": "create customer",
    "create_item": "create item",
    "create_invoice": "create invoice",
    "create_credit_memo": "create credit memo",
    "create_recurring_template": "create template",
    "delete_recurring_template": "delete template",
    "take_over_recurring_template": "take over template",
    "change_schedule": "change schedule",
    "send_invoice": "e-mail invoice",
    "write_back_account": "write account",
    "write_back_opportunity": "write deal",
    "update_customer": "change customer",
    "update_account": "change account",
    "update_opportunity": "change deal",
    "send_reminder": "remind customer",
    "create_task": "create task",
    "close_task": "close task",
}


def plan(flow: Flows = None, as_of: AsOf = None, json: Json = False) -> None:
    """Read both systems and show every write that the next push would do, with its reason. Nothing is sent."""
    today = day(as_of, "--as-of")
    flows = chosen(flow)
    if not flows:
        raise ConfigurationError(["--flow: reconciliation writes nothing, so there is nothing to plan: qbsf reconcile --month"])
    with services_for(load_settings()) as settings:
        with progress_shown(json):
            with loading():
                from qbsf_pipeline.cli.passes import run_pass  # Dagster takes a second to import

            result = run_pass(settings, as_of=today, plan_only=True, only=flows)
        if result.error is not None:
            complain(result.error)
            raise typer.Exit(1)
        warehouse = Warehouse(settings.environment.warehouse_path)
        planned = plans(warehouse, flows)
        refused = refusals(warehouse, flows)
        state = State.open(settings.environment.state_url, settings.environment.home)
        decisions = state.approvals.decisions()
        waiting = [entry for name in flows for entry in state.ledger.waiting(name)]
    rows: list[dict[str, Any]] = [dict(row) for frame in planned.values() for row in frame.iter_rows(named=True)]
    planned_keys = {row["key"] for row in rows}
    columns = next(iter(planned.values())).columns
    rows += [
        {name: getattr(entry, name) for name in columns if hasattr(entry, name)} | {"depends_on": " ".join(entry.depends_on)}
        for entry in waiting
        # What follows an object that exists is not planned again, but still to be done.
        if entry.key not in planned_keys and entry.operation in ("send_invoice", "write_back_account", "write_back_opportunity")
    ]
    whole = batches(planned)
    batch_of_waiting = {entry.key: entry.batch for entry in waiting}
    for row in rows:
        batch = whole.get(row["flow"]) if row["key"] in planned_keys else batch_of_waiting[row["key"]]
        row["decision"] = decisions.get(row["plan_id"]) or decisions.get(batch or "")
    if json:
        writes = [row | {"payload": parse_json(row["payload"])} for row in rows]
        closed = [{"check": name, "finding": finding} for name, finding in result.closed]
        print_json({"plans": whole, "writes": writes, "refused": refused, "closed_gates": closed, "mode": settings.mode.value})
        return
    if not rows:
        say("Nothing to write: every deal that can be invoiced has its invoice, and every customer is in step.", style="green")
    for name in flows:
        found = [row for row in rows if row["flow"] == name]
        table(
            f"{name}: {len(found)} writes" + (f" (the whole plan: {whole[name]})" if name in whole else ""),
            ("Plan", "Write", "Record", "Amount", "Due", "Why", "Decision"),
            (
                (
                    row["plan_id"],
                    OPERATIONS.get(row["operation"], row["operation"]),
                    row["label"],
                    format_amount(row["amount"], row["currency"] or "") if row["amount"] is not None else "",
                    row["due_date"],
                    row["reason"],
                    row["decision"],
                )
                for row in found
            ),
            right=("Amount",),
        )
    table(
        "Refused",
        ("Record", "What is wrong", "What to do"),
        ((row["record"], row["reason"], row["remedy"]) for row in refused),
    )
    for name, finding in result.closed:
        complain(f"A check would stop the push: {finding} ({name})")
