"""The gates before invoices: what must hold of the plan, or nothing of it is pushed. Those over what was pulled are in
:mod:`qbsf_pipeline.flows.source_gates`.
"""

from collections.abc import Collection, Iterator, Mapping
from datetime import date
from decimal import Decimal

import dagster as dg
import polars as pl

from qbsf_pipeline.flows.approval import batch_of
from qbsf_pipeline.flows.gates import GateOutcome, check_result, check_spec, keys_are_unique, not_begun_yet, some
from qbsf_pipeline.invoices.recurring.known_templates import CREATE as CREATE_TEMPLATE
from qbsf_pipeline.invoices.recurring.schedule import period_of
from qbsf_pipeline.invoices.recurring.tables import BILLING_SCHEDULES
from qbsf_pipeline.invoices.schedule_checks import (
    no_period_is_billed_twice,
    quoted_totals,
    totals_equal_the_quotes,
    totals_equal_the_schedules,
)
from qbsf_pipeline.invoices.tables import PLAN
from qbsf_pipeline.invoices.template_checks import templates_bill_open_periods
from qbsf_pipeline.money import format_amount, parse_json, to_cents
from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.quickbooks.templates import unwrapped
from qbsf_pipeline.resources import WAREHOUSE_POOL, DoorsResource, WarehouseResource
from qbsf_pipeline.salesforce import objects as salesforce
from qbsf_pipeline.salesforce.quotes_and_schedules import CPQ_QUOTE
from qbsf_pipeline.settings import GateRules, Rules
from qbsf_pipeline.warehouse.connection import read_table

PLAN_KEY = dg.AssetKey(["invoices", "plan"])
_BILLS = ("create_invoice", "create_credit_memo", CREATE_TEMPLATE)


def no_deal_is_billed_twice(plan: pl.DataFrame, opportunities: pl.DataFrame, invoices: pl.DataFrame) -> GateOutcome:
    """No invoice is planned for a deal that holds an invoice id or that an invoice in QuickBooks names. Invoices of periods have
    a gate of their own.

    Args:
        opportunities: id, invoice_id.
        invoices: opportunity_id (from the marker), whatever their status.
    """
    planned = _whole_deals(plan).select(pl.col("source_id").alias("id"))
    held = opportunities.filter(pl.col("invoice_id").is_not_null() & (pl.col("invoice_id") != "")).select("id")
    marked = invoices.filter(pl.col("opportunity_id").is_not_null()).select(
        pl.col("opportunity_id").str.slice(0, 15).alias("short")
    )
    twice = planned.join(held, on="id", how="semi").height + (
        planned.with_columns(pl.col("id").str.slice(0, 15).alias("short")).join(marked, on="short", how="semi").height
    )
    text = (
        f"{planned.height} deals to invoice, none has an invoice." if not twice else f"{twice} deals to invoice have one already."
    )
    return GateOutcome("no_deal_is_billed_twice", not twice, text, {"invoices": planned.height})


def every_invoice_has_a_confirmed_customer(plan: pl.DataFrame, customers: pl.DataFrame) -> GateOutcome:
    """Each planned invoice names an active customer of QuickBooks, or one that this plan creates.

    Args:
        customers: id, active, is_deleted.
    """
    known = set(customers.filter(pl.col("active") & ~pl.col("is_deleted")).get_column("id").to_list())
    created = set(plan.filter(pl.col("operation") == "create_customer").get_column("source_id").to_list())
    wrong: list[str] = []
    rows = plan.filter(pl.col("operation").is_in(list(_BILLS)))
    for payload, label in rows.select("payload", "label").iter_rows():
        value = str((unwrapped(parse_json(payload)).get("CustomerRef") or {}).get("value") or "")
        if not (value in known or (value.startswith("$customer:") and value.removeprefix("$customer:") in created)):
            wrong.append(label)
    text = (
        f"{rows.height} invoices, each for a confirmed customer."
        if not wrong
        else f"{len(wrong)} invoices have no confirmed customer: {some(wrong)}."
    )
    return GateOutcome("every_invoice_has_a_confirmed_customer", not wrong, text)


def totals_equal_the_deals(plan: pl.DataFrame, line_items: pl.DataFrame, quoted: Collection[str] = ()) -> GateOutcome:
    """The lines of each planned invoice add up to the deal's lines, to the cent. Invoices of periods and quotes have gates of
    their own.

    Args:
        line_items: opportunity_id, total_price (in the deal's currency), is_deleted.
        quoted: deals that are billed by their quotes.
    """
    sums = {
        row["opportunity_id"]: row["total_price"]
        for row in line_items.filter(~pl.col("is_deleted")).group_by("opportunity_id").agg(pl.col("total_price").sum()).to_dicts()
    }
    wrong: list[str] = []
    rows = _whole_deals(plan).filter(~pl.col("source_id").is_in(list(quoted)))
    for payload, source_id, label in rows.select("payload", "source_id", "label").iter_rows():
        total = sum((Decimal(str(line["Amount"])) for line in parse_json(payload)["Line"]), Decimal(0))
        if total != to_cents(Decimal(sums.get(source_id) or 0)):
            wrong.append(label)
    text = (
        f"{rows.height} invoices equal their deals to the cent."
        if not wrong
        else f"{len(wrong)} invoices differ from their deals: {some(wrong)}."
    )
    return GateOutcome("totals_equal_the_deals", not wrong, text)


def _whole_deals(plan: pl.DataFrame) -> pl.DataFrame:
    """The planned invoices that are no period of their deal."""
    periods = [key for key in plan.get_column("key").to_list() if period_of(key) is not None]
    return plan.filter((pl.col("operation") == "create_invoice") & ~pl.col("key").is_in(periods))


def only_own_fields_are_written(plan: pl.DataFrame, rules: Rules) -> GateOutcome:
    """What is written to Salesforce are the fields that QuickBooks owns there, and nothing else."""
    opportunity, account = rules.salesforce.opportunity, rules.salesforce.account
    allowed = {
        "Opportunity": {
            "Id",
            opportunity.invoice_id,
            opportunity.invoice_number,
            opportunity.invoice_url,
            opportunity.payment_status,
            opportunity.invoice_balance,
        },
        "Account": {"Id", account.customer_id},
    }
    wrong: set[str] = set()
    for target, payload in plan.filter(pl.col("target_system") == "salesforce").select("target_object", "payload").iter_rows():
        wrong |= {f"{target}.{name}" for name in parse_json(payload) if name not in allowed.get(target, set())}
    text = "Only fields that QuickBooks owns are written." if not wrong else f"Fields of another owner: {some(sorted(wrong))}."
    return GateOutcome("only_own_fields_are_written", not wrong, text)


def books_are_open(plan: pl.DataFrame, preferences: pl.DataFrame) -> GateOutcome:
    """No planned invoice is dated on or before the closing date of the books.

    Args:
        preferences: book_close_date.
    """
    dates = [value for value in preferences.get_column("book_close_date").to_list() if isinstance(value, date)]
    if not dates:
        return GateOutcome("books_are_open", True, "The books have no closing date.")
    closed = plan.filter(pl.col("operation").is_in(list(_BILLS)) & (pl.col("txn_date") <= max(dates)))
    text = (
        f"No invoice is dated before the books were closed ({max(dates)})."
        if closed.is_empty()
        else f"{closed.height} invoices are dated in the closed books (until {max(dates)})."
    )
    return GateOutcome("books_are_open", closed.is_empty(), text)


def currencies_agree(plan: pl.DataFrame, customers: pl.DataFrame, preferences: pl.DataFrame) -> GateOutcome:
    """Each planned invoice is in the currency of its customer, and in the home currency where there is only that.

    Args:
        customers: id, currency (null: the home currency).
        preferences: home_currency, multi_currency.
    """
    settings = preferences.head(1).to_dicts()
    home = settings[0]["home_currency"] if settings else None
    several = bool(settings and settings[0]["multi_currency"])
    currency_of = dict(customers.select("id", "currency").iter_rows())
    wrong: list[str] = []
    rows = plan.filter(pl.col("operation").is_in(list(_BILLS)))
    for payload, currency, label in rows.select("payload", "currency", "label").iter_rows():
        value = str((unwrapped(parse_json(payload)).get("CustomerRef") or {}).get("value") or "")
        expected = currency_of.get(value) or home
        new_customer = value.startswith("$customer:")
        if expected is None:
            continue
        if (not new_customer and currency != expected) or (not several and currency != home):
            wrong.append(label)
    text = (
        f"{rows.height} invoices are in their customers' currencies."
        if not wrong
        else f"{len(wrong)} invoices are in another currency than their customer: {some(wrong)}."
    )
    return GateOutcome("currencies_agree", not wrong, text)


def within_blast_radius(
    plan: pl.DataFrame, customers: pl.DataFrame, rules: GateRules, decisions: Mapping[str, str], batch: str
) -> GateOutcome:
    """One push bills no more deals, no more money and creates no larger share of customers than the rules allow. A recurring
    template counts as one invoice over all that it will bill.

    A person who approves the whole plan opens this gate for exactly that plan.

    Args:
        customers: id, is_deleted: what QuickBooks holds now.
        decisions: approved or rejected, by plan id or id of the whole plan.
        batch: the id of the whole plan, as it was made: what a push has begun since then does not change it.
    """
    invoices = plan.filter(pl.col("operation").is_in(["create_invoice", CREATE_TEMPLATE]))
    new_customers = plan.filter(pl.col("operation") == "create_customer").height
    existing = customers.filter(~pl.col("is_deleted")).height
    excess: list[str] = []
    if invoices.height > rules.max_invoices:
        excess.append(f"{invoices.height} invoices (at most {rules.max_invoices})")
    sums = invoices.group_by("currency").agg(pl.col("amount").sum()).sort("currency")
    for currency, amount in sums.iter_rows():
        limit = rules.max_amount.get(currency, rules.max_amount_otherwise)
        if amount is not None and amount > limit:
            excess.append(f"{format_amount(amount, currency)} (at most {format_amount(limit, currency)})")
    if new_customers > rules.max_new_customers:
        excess.append(f"{new_customers} new customers (at most {rules.max_new_customers})")
    elif existing >= rules.small_company_customers and new_customers > rules.max_new_customers_share * existing:
        share = f"{rules.max_new_customers_share:.0%}"
        excess.append(f"{new_customers} new customers beside {existing} (at most {share})")
    figures = {"invoices": invoices.height, "new_customers": new_customers, "plan": batch}
    if not excess:
        return GateOutcome("within_blast_radius", True, f"{invoices.height} invoices, {new_customers} new customers.", figures)
    if decisions.get(batch) == "approved":
        return GateOutcome("within_blast_radius", True, f"Approved by a person: {', '.join(excess)}.", figures)
    text = f"This plan is larger than one push may be: {', '.join(excess)}. Look at it with qbsf plan, then: qbsf approve {batch}"
    return GateOutcome("within_blast_radius", False, text, figures)


@dg.multi_asset_check(
    name="invoice_plan_gates",
    specs=[
        check_spec("no_write_is_planned_twice", PLAN_KEY, "Protects against the same write under two names."),
        check_spec("no_deal_is_billed_twice", PLAN_KEY, "Protects customers from a second invoice for one deal."),
        check_spec("no_period_is_billed_twice", PLAN_KEY, "Protects customers from a second invoice for one period."),
        check_spec("templates_bill_open_periods", PLAN_KEY, "Protects against a template for what is billed otherwise."),
        check_spec("every_invoice_has_a_confirmed_customer", PLAN_KEY, "Protects against billing the wrong customer."),
        check_spec("totals_equal_the_deals", PLAN_KEY, "Protects the amount: invoice and deal agree to the cent."),
        check_spec("totals_equal_the_schedules", PLAN_KEY, "Protects the amount: invoice and period agree to the cent."),
        check_spec("totals_equal_the_quotes", PLAN_KEY, "Protects the amount: invoice and quote agree to the cent."),
        check_spec("only_own_fields_are_written", PLAN_KEY, "Protects fields that sales owns."),
        check_spec("books_are_open", PLAN_KEY, "Protects closed accounting periods."),
        check_spec("currencies_agree", PLAN_KEY, "Protects against an invoice in the wrong currency."),
        check_spec("within_blast_radius", PLAN_KEY, "Protects against a push larger than a person would expect."),
    ],
    pool=WAREHOUSE_POOL,
)
def plan_gates(doors: DoorsResource, warehouse: WarehouseResource) -> Iterator[dg.AssetCheckResult]:
    """The gates over the plan."""
    opened = doors.open(warehouse)
    rules = opened.settings.rules
    with opened.warehouse.connection() as connection:
        plan = read_table(connection, PLAN)
        opportunities = read_table(connection, salesforce.OPPORTUNITY, ["id", "invoice_id", "amount"])
        line_items = read_table(connection, salesforce.OPPORTUNITY_LINE_ITEM, ["opportunity_id", "total_price", "is_deleted"])
        customers = read_table(connection, quickbooks.CUSTOMER, ["id", "active", "currency", "is_deleted"])
        invoices = read_table(connection, quickbooks.INVOICE, ["id", "opportunity_id", "private_note"])
        columns = ["opportunity_id", "is_primary", "is_deleted", "net_amount", "customer_amount"]
        quotes = read_table(connection, CPQ_QUOTE, columns)
        schedules = read_table(
            connection, BILLING_SCHEDULES, ["opportunity_id", "period", "kind", "due_on", "amount", "invoice_id", "status"]
        )
        preferences = read_table(connection, quickbooks.PREFERENCES, ["book_close_date", "home_currency", "multi_currency"])
    batch = batch_of(plan.get_column("plan_id").to_list())
    new_customers = plan.filter(pl.col("operation") == "create_customer")
    plan = not_begun_yet(plan, opened.state.ledger.lookup(plan.get_column("key").to_list()))
    # A customer that is on its way, its answer lost, is one that an invoice may name.
    with_customers = pl.concat([plan.filter(pl.col("operation") != "create_customer"), new_customers])
    decisions = opened.state.approvals.decisions()
    yield check_result(keys_are_unique(plan), PLAN_KEY)
    yield check_result(no_deal_is_billed_twice(plan, opportunities, invoices), PLAN_KEY)
    yield check_result(no_period_is_billed_twice(plan, opportunities, invoices, schedules), PLAN_KEY)
    yield check_result(templates_bill_open_periods(plan, schedules), PLAN_KEY)
    yield check_result(every_invoice_has_a_confirmed_customer(with_customers, customers), PLAN_KEY)
    totals = quoted_totals(quotes, opportunities, rules.cpq)
    yield check_result(totals_equal_the_deals(plan, line_items, totals), PLAN_KEY)
    yield check_result(totals_equal_the_schedules(plan, schedules), PLAN_KEY)
    yield check_result(totals_equal_the_quotes(plan, totals), PLAN_KEY)
    yield check_result(only_own_fields_are_written(plan, rules), PLAN_KEY)
    yield check_result(books_are_open(plan, preferences), PLAN_KEY)
    yield check_result(currencies_agree(plan, customers, preferences), PLAN_KEY)
    yield check_result(within_blast_radius(plan, customers, rules.gates, decisions, batch), PLAN_KEY)
