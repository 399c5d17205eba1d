"""What follows from the age of what is still open: the plan of the ageing flow.

Pure: frames and rules in, frames out; no clock, no network, no randomness. Ages are counted in :mod:`.ages`, reminders and tasks
are chosen in :mod:`.reminders` and :mod:`.tasks`; here all of it becomes writes, and what concerns people.

Past due is counted from the due date, whatever the days on the deal are counted from: thresholds, reminders and tasks follow it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from qbsf_pipeline.aging.ages import deals_of, is_claim, is_open, live, open_invoices, shown_number, totals_of
from qbsf_pipeline.aging.buckets import reached
from qbsf_pipeline.aging.inputs import AgingInputs, AgingParameters
from qbsf_pipeline.aging.reminders import plan_reminders
from qbsf_pipeline.aging.tables import (
    CREDITS,
    CROSSINGS,
    DEALS,
    FLOW,
    INVOICES,
    KNOWN_CROSSINGS,
    KNOWN_TASKS,
    LEDGER,
    MAIL,
    PLAN,
    RECEIVABLES,
    REFUSALS,
    REMINDERS,
    SENT_REMINDERS,
    TASKS,
    TOTALS,
)
from qbsf_pipeline.aging.tasks import TaskPlan, plan_tasks
from qbsf_pipeline.aging.updates import plan_updates
from qbsf_pipeline.money import format_amount, to_json
from qbsf_pipeline.settings import AgingRules, Rules

__all__ = [
    "CREDITS",
    "CROSSINGS",
    "DEALS",
    "FLOW",
    "INVOICES",
    "KNOWN_CROSSINGS",
    "KNOWN_TASKS",
    "LEDGER",
    "MAIL",
    "PLAN",
    "RECEIVABLES",
    "REFUSALS",
    "REMINDERS",
    "SENT_REMINDERS",
    "TASKS",
    "TOTALS",
    "AgingInputs",
    "AgingParameters",
    "AgingPlan",
    "plan_aging",
]


@dataclass(frozen=True)
class AgingPlan:
    """The plan.

    Attributes:
        writes: of :data:`.tables.PLAN`.
        invoices: of :data:`.tables.INVOICES`: everything open, with its age.
        deals: of :data:`.tables.DEALS`.
        crossings: of :data:`.tables.CROSSINGS`: to be remembered, then told.
        reminders: of :data:`.tables.REMINDERS`.
        tasks: of :data:`.tables.TASKS`.
        totals: of :data:`.tables.TOTALS`.
        refusals: of :data:`.tables.REFUSALS`.
    """

    writes: pl.DataFrame
    invoices: pl.DataFrame
    deals: pl.DataFrame
    crossings: pl.DataFrame
    reminders: pl.DataFrame
    tasks: pl.DataFrame
    totals: pl.DataFrame
    refusals: pl.DataFrame


def plan_aging(inputs: AgingInputs, rules: Rules, parameters: AgingParameters) -> AgingPlan:
    """The age of everything that is open on a day, and, for today, what follows from it.

    A deal whose invoice is open by its payments and settled by QuickBooks' balance, or the other way round, is not written: one
    of the two is wrong, and that is told.
    """
    aged = open_invoices(inputs, rules.aging, parameters)
    deals = deals_of(aged, inputs, rules.aging, parameters)
    totals = totals_of(aged, inputs, rules.aging, parameters)
    if not parameters.writes:
        return AgingPlan(
            writes=PLAN.empty(),
            invoices=aged,
            deals=deals,
            crossings=CROSSINGS.empty(),
            reminders=REMINDERS.empty(),
            tasks=TASKS.empty(),
            totals=totals,
            refusals=REFUSALS.empty(),
        )
    doubtful = _doubtful(inputs, parameters)
    sure = deals.join(doubtful.select("opportunity_id"), on="opportunity_id", how="anti")
    updates, not_kept = plan_updates(sure, inputs, rules, parameters)
    # What QuickBooks holds for settled is pressed for with nobody.
    owed = aged.filter((pl.col("balance") > 0).fill_null(True))
    reminders = plan_reminders(aged, inputs, rules.aging, parameters)
    tasks = plan_tasks(owed, inputs, rules.aging, parameters)
    refusals = [
        *_in_doubt(doubtful),
        *_not_kept(not_kept),
        *_nobody(tasks.nobody, rules.aging),
        *_undated(aged, inputs),
    ]
    return AgingPlan(
        writes=pl.concat([updates, PLAN.frame(_reminder_writes(reminders, aged) + _task_writes(tasks, aged, inputs))]),
        invoices=aged,
        deals=deals,
        crossings=_crossings(owed, inputs, rules.aging),
        reminders=reminders,
        tasks=tasks.rows,
        totals=totals,
        refusals=REFUSALS.frame(refusals).unique(list(REFUSALS.key), keep="first", maintain_order=True),
    )


def _crossings(owed: pl.DataFrame, inputs: AgingInputs, rules: AgingRules) -> pl.DataFrame:
    """The highest threshold that each invoice of a deal reached, if it is beyond every one that is known of the invoice."""
    known = inputs.crossings.group_by("invoice_id").agg(pl.col("threshold").max().alias("known"))
    return (
        owed.filter(pl.col("opportunity_id").is_not_null())
        .with_columns(threshold=reached(pl.col("days_past_due"), rules.thresholds))
        .join(known, on="invoice_id", how="left")
        .filter((pl.col("threshold") > pl.col("known").fill_null(0)).fill_null(False))
        .with_columns(crossed_on=pl.col("due_date") + pl.duration(days=pl.col("threshold")))
        .sort("invoice_id")
        .select(*CROSSINGS.polars_schema)
        .cast(CROSSINGS.polars_schema)
    )


# Writes


def _reminder_writes(reminders: pl.DataFrame, aged: pl.DataFrame) -> list[dict[str, Any]]:
    sent = reminders.filter(pl.col("action") == "send")
    invoices = aged.select("invoice_id", "account_id", "customer_name", "txn_date", "due_date")
    rows = []
    for row in sent.join(invoices, on="invoice_id", how="left", maintain_order="left").iter_rows(named=True):
        body = {"Id": row["invoice_id"], "BillEmail": {"Address": row["email"]}}
        rows.append(_write("send_reminder", "quickbooks", "Invoice", row["write_key"], body, row, [row["email"]]))
    return rows


def _task_writes(tasks: TaskPlan, aged: pl.DataFrame, inputs: AgingInputs) -> list[dict[str, Any]]:
    accounts = live(inputs.opportunity, "account_id").rename({"id": "opportunity_id"})
    numbers = inputs.invoices.select("invoice_id", "customer_id", "txn_date", "due_date", shown_number())
    names = inputs.customer.select(pl.col("id").alias("customer_id"), pl.col("display_name").alias("customer_name"))
    known = numbers.unique("invoice_id", keep="first").join(
        names.unique("customer_id", keep="first"), on="customer_id", how="left"
    )
    rows = []
    described = tasks.rows.join(known, on="invoice_id", how="left", maintain_order="left")
    for row in described.join(accounts, on="opportunity_id", how="left", maintain_order="left").iter_rows(named=True):
        key = row["write_key"]
        operation = "create_task" if row["action"] == "create" else "close_task"
        # The open amount and the day are of today; they make no other task of it.
        rows.append(
            _write(operation, "salesforce", "Task", key, tasks.bodies[key], row, [row["opportunity_id"], row["owner_id"]])
        )
    return rows


def _write(
    operation: str,
    system: str,
    target_object: str,
    key: str,
    body: Mapping[str, Any],
    row: Mapping[str, Any],
    decided_from: list[str | None],
) -> dict[str, Any]:
    payload = to_json(body)
    content = to_json([key, *decided_from])
    return {
        "plan_id": f"P-{_hash(content)[:10]}",
        "position": 1,
        "flow": FLOW,
        "operation": operation,
        "target_system": system,
        "target_object": target_object,
        "key": key,
        "depends_on": "",
        "source_object": "Invoice",
        "source_id": row["invoice_id"],
        "account_id": row["account_id"],
        "opportunity_id": row["opportunity_id"],
        "payload": payload,
        "reason": row["why"],
        "decided_from": _hash(content),
        "label": f"Invoice {row['doc_number']}",
        "customer_name": row["customer_name"],
        "txn_date": row["txn_date"],
        "due_date": row["due_date"],
    }


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


# What needs a person


def _doubtful(inputs: AgingInputs, parameters: AgingParameters) -> pl.DataFrame:
    """Invoices of deals that are open by what was applied and settled by QuickBooks' balance, or the other way round."""
    deals = live(inputs.opportunity, "name", "account_id").rename({"id": "opportunity_id", "name": "deal"})
    return (
        inputs.invoices.select(*RECEIVABLES)
        .filter(is_claim() & pl.col("opportunity_id").is_not_null() & (is_open() != (pl.col("balance") > 0)).fill_null(False))
        .with_columns(shown_number(), pl.col("currency").fill_null(parameters.home_currency))
        .join(deals, on="opportunity_id", how="inner")
        .sort("opportunity_id", "invoice_id")
    )


def _in_doubt(doubtful: pl.DataFrame) -> list[dict[str, Any]]:
    return [
        _refusal(
            row,
            "open_amount_in_doubt",
            f"By its payments and credits invoice {row['doc_number']} has {_money(row['open'], row['currency'])} open, but "
            f"QuickBooks says {_money(row['balance'], row['currency'])}.",
            "Look at the invoice in QuickBooks. If it is right there, tell who runs qbsf: it may have missed a document.",
        )
        for row in doubtful.iter_rows(named=True)
    ]


def _not_kept(deals: pl.DataFrame) -> list[dict[str, Any]]:
    return [
        _refusal(
            row,
            "not_kept",
            f"Salesforce took the days and the bucket of {row['deal']} several times and did not keep them.",
            "Look for an automation in Salesforce that changes these fields.",
        )
        for row in deals.iter_rows(named=True)
    ]


def _nobody(invoices: pl.DataFrame, rules: AgingRules) -> list[dict[str, Any]]:
    named = f"{rules.fallback_owner_email} is no active user of Salesforce." if rules.fallback_owner_email else ""
    return [
        _refusal(
            row,
            "nobody_for_task",
            f"Invoice {row['doc_number']} is {row['days_past_due']} days past due, and nobody can get the task: the account has "
            f"no owner who is still active. {named}".strip(),
            "Give the account an active owner, or name one in aging.fallback_owner_email.",
        )
        for row in invoices.iter_rows(named=True)
    ]


def _undated(aged: pl.DataFrame, inputs: AgingInputs) -> list[dict[str, Any]]:
    undated = inputs.invoices.filter(pl.col("due_date").is_null() & pl.col("txn_date").is_null()).select("invoice_id")
    return [
        _refusal(
            row,
            "no_date",
            f"Invoice {row['doc_number']} has neither a date nor a due date, so it has no age.",
            "Give it a date in QuickBooks.",
        )
        for row in aged.filter(pl.col("deal").is_not_null()).join(undated, on="invoice_id", how="semi").iter_rows(named=True)
    ]


def _refusal(row: Mapping[str, Any], code: str, reason: str, remedy: str) -> dict[str, Any]:
    return {
        **{name: row.get(name) for name in REFUSALS.polars_schema},
        "amount": row["open"],
        "code": code,
        "reason": reason,
        "remedy": remedy,
    }


def _money(amount: Any, currency: str) -> str:
    return format_amount(amount, currency) if amount is not None else "nothing"
