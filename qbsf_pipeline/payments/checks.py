"""The gates before payment statuses are written: what must hold of the plan, or nothing of it is pushed."""

from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import dagster as dg
import polars as pl

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
from qbsf_pipeline.payments.settling import NO_AGE
from qbsf_pipeline.payments.tables import DEALS, PLAN
from qbsf_pipeline.receivables.tables import INVOICES
from qbsf_pipeline.resources import WAREHOUSE_POOL, DoorsResource, WarehouseResource
from qbsf_pipeline.settings import GateRules, Rules
from qbsf_pipeline.warehouse.connection import read_table

PLAN_KEY = dg.AssetKey(["payments", "plan"])

#: Payment statuses of documents of which nothing is owed, whatever their amounts say.
_NO_CLAIM = ("Voided", "Deleted")


def only_own_invoices_count(plan: pl.DataFrame, deals: pl.DataFrame, invoices: pl.DataFrame) -> GateOutcome:
    """No deal is written because of an invoice of another deal, and no invoice counts for two deals.

    Args:
        deals: opportunity_id, invoices (ids joined by spaces).
        invoices: invoice_id, opportunity_id.
    """
    own = dict(invoices.drop_nulls("opportunity_id").select("invoice_id", "opportunity_id").iter_rows())
    known = dict(deals.select("opportunity_id", "invoices").iter_rows())
    wrong = [
        label or opportunity_id
        for opportunity_id, payload, label in plan.select("opportunity_id", "payload", "label").iter_rows()
        if opportunity_id not in known
        or str(parse_json(payload).get("Id")) != opportunity_id
        or any(own.get(invoice_id) != opportunity_id for invoice_id in (known[opportunity_id] or "").split())
    ]
    text = (
        f"{plan.height} deals to write, each by its own invoices."
        if not wrong
        else f"{len(wrong)} deals would be written by an invoice that is not theirs: {some(wrong)}."
    )
    return GateOutcome("only_own_invoices_count", not wrong, text)


def totals_are_equal(deals: pl.DataFrame, invoices: pl.DataFrame) -> GateOutcome:
    """Per currency the deals owe what their invoices that count have open, to the cent.

    Args:
        deals: invoices (ids joined by spaces), balance, currency.
        invoices: invoice_id, open, currency, status.
    """
    open_of = {
        invoice_id: (amount or Decimal(0)) if status not in _NO_CLAIM else Decimal(0)
        for invoice_id, amount, status in invoices.select("invoice_id", "open", "status").iter_rows()
    }
    owed: dict[str, Decimal] = {}
    open_: dict[str, Decimal] = {}
    for ids, balance, currency in deals.drop_nulls("balance").select("invoices", "balance", "currency").iter_rows():
        name = currency or ""
        owed[name] = owed.get(name, Decimal(0)) + balance
        parts = (open_of.get(invoice_id, Decimal(0)) for invoice_id in (ids or "").split())
        open_[name] = open_.get(name, Decimal(0)) + sum(parts, Decimal(0))
    wrong = [
        f"the deals owe {format_amount(owed[name], name)}, their invoices {format_amount(open_[name], name)}"
        for name in sorted(owed)
        if owed[name] != open_[name]
    ]
    listed = " and ".join(format_amount(amount, name) for name, amount in sorted(owed.items())) or "nothing"
    text = f"The deals owe what their invoices have open: {listed}." if not wrong else f"The totals differ: {some(wrong)}."
    return GateOutcome("totals_are_equal", not wrong, text)


def writes_are_as_derived(plan: pl.DataFrame, deals: pl.DataFrame, rules: Rules) -> GateOutcome:
    """What is written is the status, the balance and the date that were derived for the deal, and no other field but the age that
    a deal loses when nothing of it is open.

    Args:
        deals: opportunity_id, status, balance, last_payment_date, stage_wanted.
    """
    fields = rules.salesforce.opportunity
    derived = {row["opportunity_id"]: row for row in deals.iter_rows(named=True)}
    wrong: list[str] = []
    for opportunity_id, payload, label in plan.select("opportunity_id", "payload", "label").iter_rows():
        row = derived.get(opportunity_id)
        if row is None:
            wrong.append(label or opportunity_id)
            continue
        allowed = {
            "Id": opportunity_id,
            fields.payment_status: row["status"],
            fields.invoice_balance: row["balance"],
            fields.last_payment_date: row["last_payment_date"],
            "StageName": row["stage_wanted"],
        }
        if row["status"] in NO_AGE:
            allowed |= {fields.days_outstanding: None, fields.aging_bucket: None}
        body = parse_json(payload)
        if any(name not in allowed or not _same(value, allowed[name]) for name, value in body.items()):
            wrong.append(label or opportunity_id)
    text = (
        "Only what was derived of payments is written."
        if not wrong
        else f"{len(wrong)} deals would get something else than was derived: {some(wrong)}."
    )
    return GateOutcome("writes_are_as_derived", not wrong, text)


def _same(written: Any, derived: Any) -> bool:
    if isinstance(derived, Decimal):
        return written is not None and Decimal(str(written)) == derived
    if isinstance(derived, date):
        return bool(written == derived.isoformat())
    return bool(written == derived)


def within_blast_radius(
    plan: pl.DataFrame, billed: int, rules: GateRules, decisions: Mapping[str, str], batch: str, *, first: bool = False
) -> GateOutcome:
    """One pass changes no larger share of the deals with an invoice than the rules allow: a wrong import of payments must not
    reach everybody unseen.

    A person who approves the whole plan opens this gate for exactly that plan.

    Args:
        billed: how many deals have an invoice.
        decisions: approved or rejected, by plan id or id of the whole plan.
        batch: the id of the whole plan, as it was made: what a push has begun since then does not change it.
        first: no deal was ever put right before.
    """
    changed = plan.height
    share = changed / billed if billed else 1.0
    figures = {"deals": changed, "billed": billed, "plan": batch}
    known = f"{changed} deals to change, of {billed} with an invoice"
    if changed <= rules.max_deal_changes or share <= rules.max_deal_changes_share:
        return GateOutcome("within_blast_radius", True, f"{known}.", figures)
    limit = f"at most {rules.max_deal_changes}, or {rules.max_deal_changes_share:.0%} of the deals with an invoice"
    if decisions.get(batch) == "approved":
        return GateOutcome("within_blast_radius", True, f"Approved by a person: {known} ({limit}).", figures)
    why = "The first pass puts every deal right that has an invoice. " if first else ""
    todo = (
        f"Look at them with qbsf plan --flow payments, then: qbsf approve {batch}. Where the plan changes faster than that, "
        "raise gates.max_deal_changes in the file of QBSF_CONFIG for one pass."
    )
    text = f"{known}: more than one pass may change ({limit}). {why}{todo}"
    return GateOutcome("within_blast_radius", False, text, figures)


@dg.multi_asset_check(
    name="payment_plan_gates",
    specs=[
        check_spec("no_write_is_planned_twice", PLAN_KEY, "Protects against the same write under two names."),
        check_spec("receivables_are_explained", PLAN_KEY, "Protects against payments that were not read."),
        check_spec("each_record_is_written_once", PLAN_KEY, "Protects against two writes that undo each other."),
        check_spec("only_own_invoices_count", PLAN_KEY, "Protects against the payments of another deal's invoice."),
        check_spec("totals_are_equal", PLAN_KEY, "Protects against money that is lost or counted twice on its way to deals."),
        check_spec("writes_are_as_derived", PLAN_KEY, "Protects every other field of the deal."),
        check_spec("within_blast_radius", PLAN_KEY, "Protects against a mass change that nobody looked at."),
    ],
    pool=WAREHOUSE_POOL,
)
def plan_gates(doors: DoorsResource, warehouse: WarehouseResource) -> Iterator[dg.AssetCheckResult]:
    """The gates over the plan."""
    opened = doors.open(warehouse)
    rules = opened.settings.rules
    with opened.warehouse.connection() as connection:
        whole = read_table(connection, PLAN)
        deals = read_table(connection, DEALS)
        invoices = read_table(connection, INVOICES)
    batch = batch_of(whole.get_column("plan_id").to_list())
    plan = not_begun_yet(whole, opened.state.ledger.lookup(whole.get_column("key").to_list()))
    yield check_result(keys_are_unique(plan), PLAN_KEY)
    yield check_result(receivables_are_explained(invoices, rules.gates), PLAN_KEY)
    yield check_result(each_record_is_written_once(plan), PLAN_KEY)
    yield check_result(only_own_invoices_count(plan, deals, invoices), PLAN_KEY)
    yield check_result(totals_are_equal(deals, invoices), PLAN_KEY)
    yield check_result(writes_are_as_derived(plan, deals, rules), PLAN_KEY)
    decisions, first = opened.state.approvals.decisions(), not opened.state.deal_payments.all()
    yield check_result(within_blast_radius(plan, deals.height, rules.gates, decisions, batch, first=first), PLAN_KEY)
