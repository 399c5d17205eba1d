"""The gates before ages are written, customers reminded and tasks created: what must hold of the plan, or nothing of it is
pushed."""

from collections.abc import Iterator, Mapping
from decimal import Decimal

import dagster as dg
import polars as pl

from qbsf_pipeline.aging.assets import DAY
from qbsf_pipeline.aging.tables import DEALS, INVOICES, PLAN, REMINDERS, TOTALS
from qbsf_pipeline.flows.approval import batch_of
from qbsf_pipeline.flows.gates import (
    GateOutcome,
    check_result,
    check_spec,
    each_record_is_written_once,
    keys_are_unique,
    not_begun_yet,
    receivables_are_explained,
    some,
)
from qbsf_pipeline.money import format_amount, parse_json
from qbsf_pipeline.receivables import tables as receivables
from qbsf_pipeline.resources import WAREHOUSE_POOL, DoorsResource, WarehouseResource
from qbsf_pipeline.settings import AgingRules, GateRules, Rules
from qbsf_pipeline.warehouse.connection import read_table

PLAN_KEY = dg.AssetKey(["aging", "plan"])

_TASK_FIELDS = frozenset({"Id", "Subject", "ActivityDate", "WhatId", "OwnerId", "Description", "Status"})


def a_past_day_is_only_reported(plan: pl.DataFrame, writes: bool) -> GateOutcome:
    """Nothing follows from the ages of another day than today.

    Args:
        writes: whether the plan is of today.
    """
    right = writes or plan.is_empty()
    text = "The ages are of today." if writes else "The ages are of another day: a report, and nothing is written."
    return GateOutcome("a_past_day_is_only_reported", right, text if right else f"{plan.height} writes come from another day.")


def totals_are_complete(invoices: pl.DataFrame, totals: pl.DataFrame) -> GateOutcome:
    """Per currency the buckets hold what is open of all invoices together, to the cent.

    Args:
        invoices: currency, open, of every open invoice.
        totals: currency, open, of every bucket.
    """
    owed, held = _sums(invoices), _sums(totals)
    wrong = [
        f"{format_amount(held.get(currency, Decimal(0)), currency)} in the buckets, "
        f"{format_amount(owed.get(currency, Decimal(0)), currency)} open"
        for currency in sorted(owed.keys() | held.keys())
        if owed.get(currency, Decimal(0)) != held.get(currency, Decimal(0))
    ]
    listed = " and ".join(format_amount(amount, currency) for currency, amount in sorted(owed.items())) or "nothing"
    text = f"The buckets hold all that is open: {listed}." if not wrong else f"The totals differ: {some(wrong)}."
    return GateOutcome("totals_are_complete", not wrong, text)


def only_billed_deals_are_written(plan: pl.DataFrame, deals: pl.DataFrame, invoices: pl.DataFrame) -> GateOutcome:
    """A deal gets the age of an invoice of its own, or loses the one that it shows.

    Args:
        deals: opportunity_id, invoice_id, differs.
        invoices: opportunity_id, invoice_id, of every open invoice.
    """
    own = set(invoices.drop_nulls("opportunity_id").select("opportunity_id", "invoice_id").iter_rows())
    named = dict(deals.select("opportunity_id", "invoice_id").iter_rows())
    wrong: list[str] = []
    rows = plan.filter(pl.col("operation") == "update_opportunity")
    for opportunity_id, payload, label in rows.select("opportunity_id", "payload", "label").iter_rows():
        invoice_id = named.get(opportunity_id)
        right = opportunity_id in named and (invoice_id is None or (opportunity_id, invoice_id) in own)
        if not right or str(parse_json(payload).get("Id")) != opportunity_id:
            wrong.append(label or opportunity_id)
    text = (
        f"{rows.height} deals to write, each with the age of its own invoice."
        if not wrong
        else f"{len(wrong)} deals would get the age of an invoice that is not theirs: {some(wrong)}."
    )
    return GateOutcome("only_billed_deals_are_written", not wrong, text)


def only_known_fields_are_written(plan: pl.DataFrame, rules: Rules) -> GateOutcome:
    """Nothing is written but days and bucket of deals, and tasks of our own; a reminder changes no field."""
    fields = rules.salesforce.opportunity
    allowed = {
        "Opportunity": frozenset({"Id", fields.days_outstanding, fields.aging_bucket}),
        "Task": _TASK_FIELDS,
        "Invoice": frozenset({"Id", "BillEmail"}),
    }
    wrong: set[str] = set()
    for target, payload in plan.select("target_object", "payload").iter_rows():
        wrong |= {f"{target}.{name}" for name in parse_json(payload) if name not in allowed.get(target, frozenset())}
    text = "Only ages and tasks are written." if not wrong else f"Other fields: {some(sorted(wrong))}."
    return GateOutcome("only_known_fields_are_written", not wrong, text)


def reminders_are_allowed(
    plan: pl.DataFrame, invoices: pl.DataFrame, reminders: pl.DataFrame, sent: Mapping[str, int], rules: AgingRules
) -> GateOutcome:
    """No customer is reminded of an invoice that is not open and overdue or is in dispute, or more often than the rules allow.

    Args:
        invoices: invoice_id, open, days_past_due, disputed, emailed, of every open invoice.
        reminders: invoice_id, action, write_key.
        sent: how many reminders of an invoice went out.
    """
    due = {
        invoice_id
        for invoice_id, days, disputed, emailed in invoices.select(
            "invoice_id", "days_past_due", "disputed", "emailed"
        ).iter_rows()
        if days > 0 and not disputed and emailed
    }
    chosen = dict(reminders.filter(pl.col("action") == "send").select("write_key", "invoice_id").iter_rows())
    wrong: list[str] = []
    rows = plan.filter(pl.col("operation") == "send_reminder")
    for key, payload, label in rows.select("key", "payload", "label").iter_rows():
        invoice_id = str(parse_json(payload).get("Id"))
        if chosen.get(key) != invoice_id or invoice_id not in due or sent.get(invoice_id, 0) >= rules.reminder_limit:
            wrong.append(label or invoice_id)
    text = (
        f"{rows.height} reminders, each of an invoice that is overdue and not in dispute."
        if not wrong
        else f"{len(wrong)} reminders that the rules do not allow: {some(wrong)}."
    )
    return GateOutcome("reminders_are_allowed", not wrong, text, {"reminders": rows.height})


def within_blast_radius(plan: pl.DataFrame, rules: GateRules, decisions: Mapping[str, str], batch: str) -> GateOutcome:
    """One morning mails and creates no more than the rules allow. Ages themselves change every day, all of them.

    A person who approves the whole plan opens this gate for exactly that plan.

    Args:
        decisions: approved or rejected, by plan id or id of the whole plan.
        batch: the id of the whole plan, as it was made: what a push has begun since then does not change it.
    """
    counts = dict(plan.get_column("operation").value_counts().iter_rows())
    reminders, tasks = counts.get("send_reminder", 0), counts.get("create_task", 0)
    figures = {"reminders": reminders, "tasks": tasks, "plan": batch}
    known = f"{reminders} reminders and {tasks} new tasks"
    if reminders <= rules.max_reminders and tasks <= rules.max_tasks:
        return GateOutcome("within_blast_radius", True, f"{known}.", figures)
    limit = f"at most {rules.max_reminders} and {rules.max_tasks}"
    if decisions.get(batch) == "approved":
        return GateOutcome("within_blast_radius", True, f"Approved by a person: {known} ({limit}).", figures)
    todo = f"Look at them with qbsf plan --flow aging, then: qbsf approve {batch}"
    return GateOutcome("within_blast_radius", False, f"{known}: more than one pass may send ({limit}). {todo}", figures)


def _sums(frame: pl.DataFrame) -> dict[str, Decimal]:
    return {
        str(currency): amount or Decimal(0)
        for currency, amount in frame.group_by("currency").agg(pl.col("open").sum()).iter_rows()
        if amount
    }


@dg.multi_asset_check(
    name="aging_plan_gates",
    specs=[
        check_spec("no_write_is_planned_twice", PLAN_KEY, "Protects against the same write under two names."),
        check_spec("receivables_are_explained", PLAN_KEY, "Protects against payments that were not read."),
        check_spec("each_record_is_written_once", PLAN_KEY, "Protects against two writes that undo each other."),
        check_spec("a_past_day_is_only_reported", PLAN_KEY, "Protects against writing the ages of another day."),
        check_spec("totals_are_complete", PLAN_KEY, "Protects against an invoice that is in no bucket, or in two."),
        check_spec("only_billed_deals_are_written", PLAN_KEY, "Protects against the age of another deal's invoice."),
        check_spec("only_known_fields_are_written", PLAN_KEY, "Protects everything that is no age."),
        check_spec("reminders_are_allowed", PLAN_KEY, "Protects customers from mails that they should not get."),
        check_spec("within_blast_radius", PLAN_KEY, "Protects against mails and tasks by the hundred that nobody looked at."),
    ],
    pool=WAREHOUSE_POOL,
)
def plan_gates(doors: DoorsResource, warehouse: WarehouseResource) -> Iterator[dg.AssetCheckResult]:
    """The gates over the plan."""
    opened = doors.open(warehouse)
    rules = opened.settings.rules
    with opened.warehouse.connection() as connection:
        whole = read_table(connection, PLAN)
        invoices = read_table(connection, INVOICES)
        deals = read_table(connection, DEALS, ["opportunity_id", "invoice_id", "differs"])
        owed = read_table(connection, receivables.INVOICES)
        reminders = read_table(connection, REMINDERS, ["invoice_id", "action", "write_key"])
        totals = read_table(connection, TOTALS, ["currency", "open"])
        writes = bool(read_table(connection, DAY, ["writes"]).get_column("writes").any())
    batch = batch_of(whole.get_column("plan_id").to_list())
    plan = not_begun_yet(whole, opened.state.ledger.lookup(whole.get_column("key").to_list()))
    sent: dict[str, int] = {}
    for reminder in opened.state.reminders.all():
        sent[reminder.invoice_id] = max(sent.get(reminder.invoice_id, 0), reminder.number)
    yield check_result(keys_are_unique(plan), PLAN_KEY)
    yield check_result(receivables_are_explained(owed, rules.gates), PLAN_KEY)
    yield check_result(each_record_is_written_once(plan), PLAN_KEY)
    yield check_result(a_past_day_is_only_reported(whole, writes), PLAN_KEY)
    yield check_result(totals_are_complete(invoices, totals), PLAN_KEY)
    yield check_result(only_billed_deals_are_written(plan, deals, invoices), PLAN_KEY)
    yield check_result(only_known_fields_are_written(plan, rules), PLAN_KEY)
    yield check_result(reminders_are_allowed(plan, invoices, reminders, sent, rules.aging), PLAN_KEY)
    yield check_result(within_blast_radius(plan, rules.gates, opened.state.approvals.decisions(), batch), PLAN_KEY)
