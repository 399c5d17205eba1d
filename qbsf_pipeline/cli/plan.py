"""``qbsf plan``: the writes that the next push would do, each with its reason. Nothing is sent."""

from __future__ import annotations

from typing import Any

import typer

from qbsf_pipeline.cli.options import AsOf, Flows, Json, day
from qbsf_pipeline.cli.output import complain, print_json, progress_shown, say, table
from qbsf_pipeline.cli.services import services_for
from qbsf_pipeline.invoices.approval import batch_of
from qbsf_pipeline.invoices.plan import PLAN, REFUSALS
from qbsf_pipeline.money import format_amount, parse_json
from qbsf_pipeline.settings import load_settings
from qbsf_pipeline.state.database import State
from qbsf_pipeline.warehouse.connection import Warehouse, read_table

#: What a write is called for people.
OPERATIONS = {
    "create_customer": "create customer",
    "create_item": "create item",
    "create_invoice": "create invoice",
    "send_invoice": "e-mail invoice",
    "write_back_account": "write account",
    "write_back_opportunity": "write deal",
}


def plan(flow: Flows = None, as_of: AsOf = None, json: Json = False) -> None:
    """Read both systems and show every write that the next push would do, with its reason. Nothing is sent."""
    today = day(as_of, "--as-of")
    with services_for(load_settings()) as settings:
        with progress_shown(json):
            from qbsf_pipeline.cli.passes import run_pass  # Dagster takes seconds to import

            result = run_pass(settings, as_of=today, plan_only=True)
        if result.error is not None:
            complain(result.error)
            raise typer.Exit(1)
        with Warehouse(settings.environment.warehouse_path).connection() as connection:
            planned = read_table(connection, PLAN)
            refusals = read_table(connection, REFUSALS)
        state = State.open(settings.environment.state_url, settings.environment.home)
        decisions = state.approvals.decisions()
        waiting = state.ledger.waiting("invoices")
    planned_keys = set(planned.get_column("key").to_list())
    rows: list[dict[str, Any]] = [dict(row) for row in planned.iter_rows(named=True)]
    rows += [
        {name: getattr(entry, name) for name in planned.columns if hasattr(entry, name)}
        | {"depends_on": " ".join(entry.depends_on)}
        for entry in waiting
        if entry.key not in planned_keys and entry.operation in ("send_invoice", "write_back_account", "write_back_opportunity")
    ]
    batch = batch_of(planned.get_column("plan_id").to_list()) if planned.height else None
    batches = {entry.key: entry.batch for entry in waiting}
    for row in rows:
        row["decision"] = decisions.get(row["plan_id"]) or decisions.get(
            (batch if row["key"] in planned_keys else batches[row["key"]]) or ""
        )
    if json:
        writes = [row | {"payload": parse_json(row["payload"])} for row in rows]
        closed = [{"check": name, "finding": finding} for name, finding in result.closed]
        refused = [dict(row) for row in refusals.iter_rows(named=True)]
        print_json({"plan": batch, "writes": writes, "refused": refused, "closed_gates": closed, "mode": settings.mode.value})
        return
    if not rows:
        say("Nothing to write: every deal that can be invoiced has its invoice.", style="green")
    table(
        f"{len(rows)} writes" + (f" (the whole plan: {batch})" if batch else ""),
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
            for row in rows
        ),
        right=("Amount",),
    )
    table(
        "Refused",
        ("Deal", "What is wrong", "What to do"),
        ((row["deal"], row["reason"], row["remedy"]) for row in refusals.sort("deal", "position").iter_rows(named=True)),
    )
    for name, finding in result.closed:
        complain(f"A check would stop the push: {finding} ({name})")
