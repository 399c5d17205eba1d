"""The gates before invoices: what must hold of the plan, and of what it was derived from, or nothing is pushed.

Each gate is a pure function over frames that says in a sentence what it found; the shells that Dagster runs read the frames
and report the outcome on the asset that the gate protects. The same checks run twice: before the plan reaches the ledger,
and again in the run that pushes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import dagster as dg
import polars as pl

from qbsf_pipeline.errors import SYSTEM_NAMES
from qbsf_pipeline.invoices.approval import batch_of
from qbsf_pipeline.invoices.plan import PLAN
from qbsf_pipeline.money import format_amount, parse_json, to_cents
from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.resources import WAREHOUSE_POOL, DoorsResource, WarehouseResource
from qbsf_pipeline.salesforce import objects as salesforce
from qbsf_pipeline.settings import GateRules, PullRules, Rules
from qbsf_pipeline.state.ledger import LedgerEntry
from qbsf_pipeline.warehouse.connection import read_table
from qbsf_pipeline.warehouse.raw import WATERMARKS

OPPORTUNITY_KEY = dg.AssetKey(["salesforce", "opportunity"])
INVOICE_KEY = dg.AssetKey(["quickbooks", "invoice"])
PLAN_KEY = dg.AssetKey(["invoices", "plan"])


@dataclass(frozen=True)
class GateOutcome:
    """Whether a gate is open, the sentence that says why, and figures for the UI."""

    name: str
    open: bool
    text: str
    figures: Mapping[str, Any] = field(default_factory=dict)


# Gates over what was pulled


def sources_are_fresh(watermarks: pl.DataFrame, system: str, rules: GateRules, now: datetime) -> GateOutcome:
    """A system was read within ``fresh_within_minutes``; one pull writes all of its tables together.

    The sentence stays the same while nothing is read, so that a gate that stays closed is told once.

    Args:
        watermarks: table_name, pulled_at (UTC).
    """
    name = f"{system}_is_fresh"
    rows = watermarks.filter(pl.col("table_name").str.starts_with(f"{system}."))
    if rows.is_empty():
        return GateOutcome(name, False, f"{SYSTEM_NAMES[system]} was never read. Run qbsf sync.")
    newest = rows.get_column("pulled_at").max()
    age = now - newest if isinstance(newest, datetime) else timedelta.max
    fresh = age <= timedelta(minutes=rules.fresh_within_minutes)
    minutes = int(age.total_seconds() // 60)
    read_at = f"{newest:%Y-%m-%d %H:%M} UTC" if isinstance(newest, datetime) else "never"
    allowed = f"at most {rules.fresh_within_minutes} minutes ago is allowed"
    text = f"{SYSTEM_NAMES[system]} was last read at {read_at}; {allowed}." + ("" if fresh else " Run qbsf sync.")
    return GateOutcome(name, fresh, text, {"minutes": minutes})


def sources_lost_no_rows(watermarks: pl.DataFrame, system: str, rules: PullRules) -> GateOutcome:
    """No complete read of a system's tables found suspiciously fewer rows than the warehouse holds.

    Args:
        watermarks: table_name, rows_lost, rows_before.
    """
    name = f"{system}_lost_no_rows"
    lost = watermarks.filter(pl.col("table_name").str.starts_with(f"{system}.") & (pl.col("rows_lost") > 0))
    if lost.is_empty():
        return GateOutcome(name, True, f"No table of {SYSTEM_NAMES[system]} lost rows.")
    found = ", ".join(
        f"{row['table_name']} lost {row['rows_lost']} of {row['rows_before']} rows" for row in lost.sort("table_name").to_dicts()
    )
    text = (
        f"{found} in the last full read. Missing permissions look like this. If the records are really gone, raise "
        f"pull.largest_shrink_share (now {rules.largest_shrink_share}) in QBSF_CONFIG for one pass."
    )
    return GateOutcome(name, False, text, {"tables": lost.height})


def ids_are_unique(frame: pl.DataFrame, name: str, what: str) -> GateOutcome:
    """The column ``id`` holds no value twice."""
    doubles = frame.group_by("id").len().filter(pl.col("len") > 1)
    text = (
        f"{frame.height} {what}, each id once." if doubles.is_empty() else f"{doubles.height} ids of {what} occur more than once."
    )
    return GateOutcome(name, doubles.is_empty(), text, {"rows": frame.height})


# Gates over the plan


def keys_are_unique(plan: pl.DataFrame) -> GateOutcome:
    """No write is planned twice."""
    doubles = plan.group_by("key").len().filter(pl.col("len") > 1)
    text = f"{plan.height} writes, each once." if doubles.is_empty() else f"{doubles.height} writes are planned more than once."
    return GateOutcome("no_write_is_planned_twice", doubles.is_empty(), text, {"writes": plan.height})


def no_deal_is_billed_twice(plan: pl.DataFrame, opportunities: pl.DataFrame, invoices: pl.DataFrame) -> GateOutcome:
    """No invoice is planned for a deal that holds an invoice id or that an invoice in QuickBooks names.

    Args:
        opportunities: id, invoice_id.
        invoices: opportunity_id (from the marker), whatever their status.
    """
    planned = plan.filter(pl.col("operation") == "create_invoice").select(pl.col("source_id").alias("id"))
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
    rows = plan.filter(pl.col("operation") == "create_invoice")
    for payload, label in rows.select("payload", "label").iter_rows():
        value = str(((parse_json(payload).get("CustomerRef")) or {}).get("value") or "")
        if not (value in known or (value.startswith("$customer:") and value.removeprefix("$customer:") in created)):
            wrong.append(label)
    text = (
        f"{rows.height} invoices, each for a confirmed customer."
        if not wrong
        else f"{len(wrong)} invoices have no confirmed customer: {_some(wrong)}."
    )
    return GateOutcome("every_invoice_has_a_confirmed_customer", not wrong, text)


def totals_equal_the_deals(plan: pl.DataFrame, line_items: pl.DataFrame) -> GateOutcome:
    """The lines of each planned invoice add up to the deal's lines, to the cent.

    Args:
        line_items: opportunity_id, total_price (in the deal's currency), is_deleted.
    """
    sums = {
        row["opportunity_id"]: row["total_price"]
        for row in line_items.filter(~pl.col("is_deleted")).group_by("opportunity_id").agg(pl.col("total_price").sum()).to_dicts()
    }
    wrong: list[str] = []
    rows = plan.filter(pl.col("operation") == "create_invoice")
    for payload, source_id, label in rows.select("payload", "source_id", "label").iter_rows():
        total = sum((Decimal(str(line["Amount"])) for line in parse_json(payload)["Line"]), Decimal(0))
        if total != to_cents(Decimal(sums.get(source_id) or 0)):
            wrong.append(label)
    text = (
        f"{rows.height} invoices equal their deals to the cent."
        if not wrong
        else f"{len(wrong)} invoices differ from their deals: {_some(wrong)}."
    )
    return GateOutcome("totals_equal_the_deals", not wrong, text)


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
    text = "Only fields that QuickBooks owns are written." if not wrong else f"Fields of another owner: {_some(sorted(wrong))}."
    return GateOutcome("only_own_fields_are_written", not wrong, text)


def books_are_open(plan: pl.DataFrame, preferences: pl.DataFrame) -> GateOutcome:
    """No planned invoice is dated on or before the closing date of the books.

    Args:
        preferences: book_close_date.
    """
    dates = [value for value in preferences.get_column("book_close_date").to_list() if isinstance(value, date)]
    if not dates:
        return GateOutcome("books_are_open", True, "The books have no closing date.")
    closed = plan.filter((pl.col("operation") == "create_invoice") & (pl.col("txn_date") <= max(dates)))
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
    rows = plan.filter(pl.col("operation") == "create_invoice")
    for payload, currency, label in rows.select("payload", "currency", "label").iter_rows():
        value = str((parse_json(payload).get("CustomerRef") or {}).get("value") or "")
        expected = currency_of.get(value) or home
        new_customer = value.startswith("$customer:")
        if expected is None:
            continue
        if (not new_customer and currency != expected) or (not several and currency != home):
            wrong.append(label)
    text = (
        f"{rows.height} invoices are in their customers' currencies."
        if not wrong
        else f"{len(wrong)} invoices are in another currency than their customer: {_some(wrong)}."
    )
    return GateOutcome("currencies_agree", not wrong, text)


def within_blast_radius(
    plan: pl.DataFrame, customers: pl.DataFrame, rules: GateRules, decisions: Mapping[str, str], batch: str
) -> GateOutcome:
    """One push bills no more deals, no more money and creates no larger share of customers than the rules allow.

    A person who approves the whole plan opens this gate for exactly that plan.

    Args:
        customers: id, is_deleted: what QuickBooks holds now.
        decisions: approved or rejected, by plan id or id of the whole plan.
        batch: the id of the whole plan, as it was made: what a push has begun since then does not change it.
    """
    invoices = plan.filter(pl.col("operation") == "create_invoice")
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


def not_begun_yet(plan: pl.DataFrame, known: Mapping[str, LedgerEntry]) -> pl.DataFrame:
    """The writes of a plan that a push may still begin: what is done or on its way is no longer a question for a gate."""
    begun = [key for key, entry in known.items() if entry.status in ("done", "sending")]
    return plan.filter(~pl.col("key").is_in(begun))


def _some(names: list[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


# Dagster's shells


def _result(outcome: GateOutcome, asset: dg.AssetKey) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=outcome.name,
        asset_key=asset,
        passed=outcome.open,
        description=outcome.text,
        metadata={"found": outcome.text, **outcome.figures},
    )


def _spec(name: str, asset: dg.AssetKey, description: str) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(name, asset=asset, blocking=True, description=description)


@dg.multi_asset_check(
    name="source_gates",
    specs=[
        _spec("salesforce_is_fresh", OPPORTUNITY_KEY, "Protects against invoicing from old data."),
        _spec("salesforce_lost_no_rows", OPPORTUNITY_KEY, "Protects against a shrunken pull, such as after lost permissions."),
        _spec("opportunity_ids_are_unique", OPPORTUNITY_KEY, "Protects against a deal that is read twice."),
        _spec("quickbooks_is_fresh", INVOICE_KEY, "Protects against billing what was billed by hand meanwhile."),
        _spec("quickbooks_lost_no_rows", INVOICE_KEY, "Protects against a shrunken pull of invoices or customers."),
        _spec("invoice_ids_are_unique", INVOICE_KEY, "Protects against an invoice that is read twice."),
    ],
    pool=WAREHOUSE_POOL,
)
def source_gates(doors: DoorsResource, warehouse: WarehouseResource) -> Iterator[dg.AssetCheckResult]:
    """The gates over what was pulled."""
    opened = doors.open(warehouse)
    rules = opened.settings.rules
    with opened.warehouse.connection() as connection:
        watermarks = read_table(connection, WATERMARKS)
        opportunities = read_table(connection, salesforce.OPPORTUNITY, ["id"])
        invoices = read_table(connection, quickbooks.INVOICE, ["id"])
    now = opened.now()
    yield _result(sources_are_fresh(watermarks, "salesforce", rules.gates, now), OPPORTUNITY_KEY)
    yield _result(sources_lost_no_rows(watermarks, "salesforce", rules.pull), OPPORTUNITY_KEY)
    yield _result(ids_are_unique(opportunities, "opportunity_ids_are_unique", "opportunities"), OPPORTUNITY_KEY)
    yield _result(sources_are_fresh(watermarks, "quickbooks", rules.gates, now), INVOICE_KEY)
    yield _result(sources_lost_no_rows(watermarks, "quickbooks", rules.pull), INVOICE_KEY)
    yield _result(ids_are_unique(invoices, "invoice_ids_are_unique", "invoices"), INVOICE_KEY)


@dg.multi_asset_check(
    name="plan_gates",
    specs=[
        _spec("no_write_is_planned_twice", PLAN_KEY, "Protects against the same write under two names."),
        _spec("no_deal_is_billed_twice", PLAN_KEY, "Protects customers from a second invoice for one deal."),
        _spec("every_invoice_has_a_confirmed_customer", PLAN_KEY, "Protects against billing the wrong customer."),
        _spec("totals_equal_the_deals", PLAN_KEY, "Protects the amount: invoice and deal agree to the cent."),
        _spec("only_own_fields_are_written", PLAN_KEY, "Protects fields that sales owns."),
        _spec("books_are_open", PLAN_KEY, "Protects closed accounting periods."),
        _spec("currencies_agree", PLAN_KEY, "Protects against an invoice in the wrong currency."),
        _spec("within_blast_radius", PLAN_KEY, "Protects against a push larger than a person would expect."),
    ],
    pool=WAREHOUSE_POOL,
)
def plan_gates(doors: DoorsResource, warehouse: WarehouseResource) -> Iterator[dg.AssetCheckResult]:
    """The gates over the plan."""
    opened = doors.open(warehouse)
    rules = opened.settings.rules
    with opened.warehouse.connection() as connection:
        plan = read_table(connection, PLAN)
        opportunities = read_table(connection, salesforce.OPPORTUNITY, ["id", "invoice_id"])
        line_items = read_table(connection, salesforce.OPPORTUNITY_LINE_ITEM, ["opportunity_id", "total_price", "is_deleted"])
        customers = read_table(connection, quickbooks.CUSTOMER, ["id", "active", "currency", "is_deleted"])
        invoices = read_table(connection, quickbooks.INVOICE, ["id", "opportunity_id"])
        preferences = read_table(connection, quickbooks.PREFERENCES, ["book_close_date", "home_currency", "multi_currency"])
    batch = batch_of(plan.get_column("plan_id").to_list())
    new_customers = plan.filter(pl.col("operation") == "create_customer")
    plan = not_begun_yet(plan, opened.state.ledger.lookup(plan.get_column("key").to_list()))
    # A customer that is on its way, its answer lost, is one that an invoice may name.
    with_customers = pl.concat([plan.filter(pl.col("operation") != "create_customer"), new_customers])
    decisions = opened.state.approvals.decisions()
    yield _result(keys_are_unique(plan), PLAN_KEY)
    yield _result(no_deal_is_billed_twice(plan, opportunities, invoices), PLAN_KEY)
    yield _result(every_invoice_has_a_confirmed_customer(with_customers, customers), PLAN_KEY)
    yield _result(totals_equal_the_deals(plan, line_items), PLAN_KEY)
    yield _result(only_own_fields_are_written(plan, rules), PLAN_KEY)
    yield _result(books_are_open(plan, preferences), PLAN_KEY)
    yield _result(currencies_agree(plan, customers, preferences), PLAN_KEY)
    yield _result(within_blast_radius(plan, customers, rules.gates, decisions, batch), PLAN_KEY)
