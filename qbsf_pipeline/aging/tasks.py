"""Tasks in Salesforce about invoices that are long past due: which are created, for whom, and which are closed. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

from qbsf_pipeline.aging.ages import is_open, live, shown_number
from qbsf_pipeline.aging.buckets import reached
from qbsf_pipeline.aging.inputs import AgingInputs, AgingParameters
from qbsf_pipeline.aging.tables import KNOWN_TASKS, RECEIVABLES, TASKS
from qbsf_pipeline.money import format_amount
from qbsf_pipeline.settings import AgingRules

#: Salesforce's limits of Task.Subject and Task.Description.
_LONGEST_SUBJECT, _LONGEST_DESCRIPTION = 255, 32_000
_LONGEST_NAME = 160


@dataclass(frozen=True)
class TaskPlan:
    """What becomes of tasks.

    Attributes:
        rows: of :data:`.tables.TASKS`.
        bodies: Salesforce Task as JSON-ready fields, by the key of its write.
        nobody: rows of :data:`.tables.INVOICES` whose task has nobody who could get it.
    """

    rows: pl.DataFrame
    bodies: Mapping[str, dict[str, Any]]
    nobody: pl.DataFrame


def plan_tasks(aged: pl.DataFrame, inputs: AgingInputs, rules: AgingRules, parameters: AgingParameters) -> TaskPlan:
    """A task for each invoice that reached ``task_from`` or a threshold beyond it since its last task; and the end of the tasks
    whose invoices are settled, voided or deleted.

    Thresholds below the one of the newest task are never made up for. The task goes to the owner of the account, else to whom
    the rules name.

    Args:
        aged: :data:`.tables.INVOICES`.
    """
    known = _known(inputs, parameters)
    rows: list[dict[str, Any]] = []
    bodies: dict[str, dict[str, Any]] = {}
    for row in _closing(known, inputs).iter_rows(named=True):
        key = f"close_task:{parameters.organization_id}:{row['task_id']}"
        why = f"Invoice {row['doc_number']} is {row['status'] or 'settled'}: nothing of it is open any more."
        rows.append({**row, "action": "close", "why": why, "write_key": key})
        bodies[key] = {"Id": row["task_id"], "Status": rules.task_closed_status}
    if not rules.task_from:
        return TaskPlan(_frame(rows), bodies, aged.clear())
    wanted = _wanted(aged, known, inputs, rules)
    fallback = _fallback(inputs.user, rules)
    for row in wanted.filter(pl.col("receiver").is_not_null() | pl.lit(fallback is not None)).iter_rows(named=True):
        key = f"create_task:{parameters.organization_id}:{row['invoice_id']}:{row['threshold']}"
        owner_id = row["receiver"] or fallback
        subject = _subject(row)
        why = f"Invoice {row['doc_number']} is {_days(row['days_past_due'])} past due, and the rules ask for a task from "
        why += f"{rules.task_from} on."
        rows.append({**row, "action": "create", "owner_id": owner_id, "subject": subject, "why": why, "write_key": key})
        bodies[key] = {
            "Subject": subject,
            "ActivityDate": parameters.as_of.isoformat(),
            "WhatId": row["opportunity_id"],
            "OwnerId": owner_id,
            "Description": _description(row, parameters),
        }
    nobody = wanted.filter(pl.col("receiver").is_null() & pl.lit(fallback is None)).select(aged.columns)
    return TaskPlan(_frame(rows), bodies, nobody)


def _frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return TASKS.frame(rows).sort("action", "invoice_id", "threshold")


def _known(inputs: AgingInputs, parameters: AgingParameters) -> pl.DataFrame:
    """Tasks that exist, as the state remembers them and as the ledger does: invoice_id, threshold, task_id, closed."""
    prefix = f"create_task:{parameters.organization_id}:"
    done = inputs.ledger.filter(pl.col("status") == "done")
    parts = pl.col("key").str.strip_prefix(prefix).str.split_exact(":", 1)
    created = done.filter(pl.col("key").str.starts_with(prefix)).select(
        parts.struct.field("field_0").alias("invoice_id"),
        parts.struct.field("field_1").cast(pl.Int64, strict=False).alias("threshold"),
        pl.col("result_id").alias("task_id"),
        pl.lit(None, dtype=KNOWN_TASKS["closed_at"]).alias("closed_at"),
    )
    closed = done.get_column("key").str.strip_prefix(f"close_task:{parameters.organization_id}:")
    return (
        pl.concat([inputs.tasks.select(*KNOWN_TASKS), created.drop_nulls("threshold")])
        .group_by("invoice_id", "threshold")
        .agg(pl.col("task_id").drop_nulls().first(), pl.col("closed_at").drop_nulls().first())
        .select(
            "invoice_id",
            "threshold",
            "task_id",
            closed=pl.col("closed_at").is_not_null() | pl.col("task_id").is_in(closed.implode()).fill_null(False),
        )
    )


def _closing(known: pl.DataFrame, inputs: AgingInputs) -> pl.DataFrame:
    """Tasks of invoices that are no longer owed. An invoice that is not there at all tells nothing."""
    settled = inputs.invoices.select(*RECEIVABLES).filter(~is_open()).unique("invoice_id", keep="first", maintain_order=True)
    return (
        known.filter(~pl.col("closed") & pl.col("task_id").is_not_null())
        .join(settled.with_columns(shown_number()), on="invoice_id", how="inner")
        .select("invoice_id", "threshold", "task_id", "opportunity_id", "doc_number", "status")
        .sort("invoice_id", "threshold")
    )


def _wanted(aged: pl.DataFrame, known: pl.DataFrame, inputs: AgingInputs, rules: AgingRules) -> pl.DataFrame:
    """Invoices that need a task, with the threshold, and the account's owner as ``receiver`` where that is an active user."""
    from_days = sorted({rules.task_from, *(threshold for threshold in rules.thresholds if threshold > rules.task_from)})
    active = live(inputs.user, "is_active").filter(pl.col("is_active").fill_null(True)).select(pl.col("id").alias("receiver"))
    receivers = (
        live(inputs.account, "owner_id")
        .join(active, left_on="owner_id", right_on="receiver", how="inner")
        .select(pl.col("id").alias("account_id"), pl.col("owner_id").alias("receiver"))
    )
    newest = known.group_by("invoice_id").agg(pl.col("threshold").max().alias("newest"))
    return (
        aged.filter(pl.col("deal").is_not_null() & (pl.col("balance") > 0).fill_null(True))
        .with_columns(threshold=reached(pl.col("days_past_due"), from_days))
        .filter(pl.col("threshold").is_not_null())
        .join(newest, on="invoice_id", how="left")
        .filter(pl.col("threshold") > pl.col("newest").fill_null(0))
        .join(receivers, on="account_id", how="left")
        .sort("invoice_id")
    )


def _fallback(users: pl.DataFrame, rules: AgingRules) -> str | None:
    """The active user with the e-mail address that the rules name."""
    address = rules.fallback_owner_email.strip().lower()
    if not address:
        return None
    found = (
        live(users, "email", "is_active")
        .filter(pl.col("is_active").fill_null(True) & (pl.col("email").str.strip_chars().str.to_lowercase() == address))
        .sort("id")
    )
    return None if found.is_empty() else str(found.item(0, "id"))


def _subject(row: Mapping[str, Any]) -> str:
    """The same whenever the task is planned, so that one that exists is found again by it."""
    name = _short(row["account_name"] or row["customer_name"] or row["deal"])
    return f"Invoice {_short(row['doc_number'])} is {_days(row['threshold'])} past due: {name}"[:_LONGEST_SUBJECT]


def _description(row: Mapping[str, Any], parameters: AgingParameters) -> str:
    due: date = row["due_date"]
    lines = [
        f"Open: {format_amount(row['open'], row['currency'])}",
        f"Due: {due:%d %b %Y}",
        f"Invoice: {parameters.invoice_link.replace('{id}', row['invoice_id'])}",
    ]
    if row["customer_name"]:
        lines.append(f"Customer: {row['customer_name']}")
    if row["contact"]:
        lines.append(f"Contact: {row['contact']}")
    if row["disputed"]:
        lines.append("The customer disputes the invoice.")
    return "\n".join(lines)[:_LONGEST_DESCRIPTION]


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_NAME else line[: _LONGEST_NAME - 1].rstrip() + "…"


def _days(number: int) -> str:
    return f"{number} day{'s' if number != 1 else ''}"
