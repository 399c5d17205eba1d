"""The assets of the ageing flow: the plan of a day, what of it waits in the ledger, and what was pushed."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import dagster as dg
import duckdb
import polars as pl

from qbsf_pipeline.aging.inputs import AgingInputs, AgingParameters
from qbsf_pipeline.aging.plan import plan_aging
from qbsf_pipeline.aging.push import PushContext, PushOutcome, push
from qbsf_pipeline.aging.tables import (
    CROSSINGS,
    DEALS,
    FLOW,
    INVOICES,
    KNOWN_CROSSINGS,
    KNOWN_TASKS,
    LEDGER,
    MAIL,
    PLAN,
    REFUSALS,
    REMINDERS,
    SENT_REMINDERS,
    TASKS,
    TOTALS,
)
from qbsf_pipeline.aging.tell import WORDS, problems_of, tell_ages
from qbsf_pipeline.flows.plan_assets import PlanConfig, plan_spec
from qbsf_pipeline.flows.plans import company_zone
from qbsf_pipeline.flows.source_gates import INVOICE_KEY, OPPORTUNITY_KEY
from qbsf_pipeline.flows.writing import Pending, Pushing, pending_asset, plan_results, pushed_asset, tell_refusals
from qbsf_pipeline.progress import progress
from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.receivables import tables as receivables
from qbsf_pipeline.receivables.inputs import links_of, read_inputs
from qbsf_pipeline.receivables.owed import receivables_of
from qbsf_pipeline.resources import WAREHOUSE_POOL, Doors, DoorsResource, WarehouseResource
from qbsf_pipeline.salesforce import objects as salesforce
from qbsf_pipeline.state.crossings import Crossing
from qbsf_pipeline.steps import step
from qbsf_pipeline.warehouse.assets import table_key
from qbsf_pipeline.warehouse.connection import ensure_table, frame_of, read_table, replace_rows
from qbsf_pipeline.warehouse.raw import upsert_rows
from qbsf_pipeline.warehouse.tables import Column, TableSchema

#: Of which day the tables of the flow are.
DAY = TableSchema(
    FLOW,
    "day",
    (
        Column("as_of", pl.Date, "The day, in the company's time zone"),
        Column("writes", pl.Boolean, "It was today when the plan was made; else it is a report, and nothing follows from it"),
    ),
    ("as_of",),
    "The day whose ages the tables of this flow show. One row.",
)

#: Updates of deals that the plan looks back on, to see whether they were kept, and those that the ledger keeps: every open deal
#: gets one a day.
_LOOK_BACK, _KEPT = timedelta(days=21), timedelta(days=42)
_LASTING = ("send_reminder", "create_task", "close_task")
_RAW = (salesforce.OPPORTUNITY, salesforce.ACCOUNT, salesforce.USER, quickbooks.CUSTOMER)
_READ = (
    *_RAW,
    receivables.INVOICES,
    receivables.UNAPPLIED,
    quickbooks.INVOICE,
    quickbooks.PREFERENCES,
    quickbooks.COMPANY_INFO,
    salesforce.ORGANIZATION,
)
_DEPS = list(dict.fromkeys([*(table_key(table) for table in _READ), OPPORTUNITY_KEY, INVOICE_KEY]))
#: Tables of the plan, as the fields of :class:`.plan.AgingPlan` are called.
_TABLES = {
    "writes": PLAN,
    "invoices": INVOICES,
    "deals": DEALS,
    "crossings": CROSSINGS,
    "reminders": REMINDERS,
    "tasks": TASKS,
    "totals": TOTALS,
    "refusals": REFUSALS,
}


@dg.multi_asset(
    name="plan_aging",
    specs=[
        plan_spec(PLAN, "Every age, reminder and task that the next push would write, with its reason.", _DEPS),
        plan_spec(INVOICES, "Every invoice that is open on the day, with its age.", _DEPS),
        plan_spec(DEALS, "What each deal shall show of the age of its invoices.", _DEPS),
        plan_spec(CROSSINGS, "Thresholds that invoices came to since the last pass.", _DEPS),
        plan_spec(REMINDERS, "Reminders that are due by the rules, also those that are held, and why.", _DEPS),
        plan_spec(TASKS, "Tasks in Salesforce that are to be created or closed.", _DEPS),
        plan_spec(TOTALS, "What is open by age and currency.", _DEPS),
        plan_spec(REFUSALS, "What should be written of ages and cannot be, with what to do.", _DEPS),
    ],
    pool=WAREHOUSE_POOL,
)
def aging_plan(
    context: dg.AssetExecutionContext, config: PlanConfig, doors: DoorsResource, warehouse: WarehouseResource
) -> Iterator[dg.MaterializeResult[None]]:
    """The age of everything that is open on the day and, for today, what follows from it."""
    opened = doors.open(warehouse)
    with step(opened, FLOW, "plan", context.run_id) as report:
        asked = date.fromisoformat(config.as_of) if config.as_of else None
        frames = _plan(opened, asked)
        report.counts = {
            "writes": frames[PLAN.name].height,
            "open invoices": frames[INVOICES.name].height,
            "crossings": frames[CROSSINGS.name].height,
            "refused": frames[REFUSALS.name].height,
        }
    yield from plan_results(_TABLES.values(), frames, "write_key")


@dataclass(frozen=True)
class _Aged:
    """What becomes pending beside the plan: what was crossed, where the tables are of today."""

    of_today: bool
    crossings: pl.DataFrame


def _aged(opened: Doors) -> _Aged:
    with opened.warehouse.connection() as connection:
        of_today = bool(read_table(connection, DAY).get_column("writes").any())
        return _Aged(of_today, read_table(connection, CROSSINGS))


def _of_another_day(opened: Doors, aged: _Aged, now: datetime) -> dict[str, Any] | None:
    if aged.of_today:
        return None
    # What still waits belongs to a plan that stands in no table any more; the next plan of today asks for it again.
    withdrawn = opened.state.ledger.withdraw(FLOW, set(), now)
    return {"day": "the ages are of another day: a report, and nothing becomes pending", "withdrawn": len(withdrawn)}


def _record(opened: Doors, aged: _Aged, now: datetime) -> dict[str, int]:
    recorded = opened.state.crossings.record([Crossing(**row) for row in aged.crossings.iter_rows(named=True)], now)
    opened.state.ledger.forget_ages(now - _KEPT)
    return {"new crossings": len(recorded)}


def _tell_now(opened: Doors) -> dict[str, int]:
    return {
        "need a person": tell_refusals(opened, FLOW, WORDS, PLAN, REFUSALS, problems_of),
        "told": _tell_of_ages(opened),
    }


#: Makes the gated plan pending, remembers what was crossed, and tells people what concerns them.
pending = pending_asset(
    FLOW,
    Pending(
        plan=PLAN,
        deps=[table_key(table) for table in _TABLES.values()],
        description=(
            "The plan of today that passed its gates, in the write ledger, and every crossing, remembered. Owners and finance "
            "are told from here. Of another day nothing becomes pending."
        ),
        read=_aged,
        record=_record,
        tell=lambda opened, _plan, _aged, _now: _tell_now(opened),
        hold_back=_of_another_day,
    ),
)


def _tell(opened: Doors, outcome: PushOutcome) -> dict[str, int]:
    done = {
        "deals": outcome.deals,
        "reminders": outcome.reminders,
        "tasks created": outcome.tasks_created,
        "tasks closed": outcome.tasks_closed,
        "refused": outcome.refused,
        "held": len(outcome.held),
    }
    return done | _tell_now(opened)


#: Pushes what is pending, then tells people what they were not told yet.
pushed = pushed_asset(
    FLOW,
    Pushing(
        deps=[table_key(PLAN), table_key(salesforce.OPPORTUNITY), table_key(quickbooks.INVOICE)],
        kinds={"quickbooks", "salesforce"},
        description=(
            "Days and buckets on deals, tasks for the owners of accounts, reminders that QuickBooks mailed. Takes only what the "
            "ledger holds as gated."
        ),
        push=lambda opened: _push(opened),
        tell=_tell,
        written=lambda outcome: outcome.deals + outcome.reminders + outcome.tasks_created + outcome.tasks_closed,
    ),
)


# Between the frames and the state


def _plan(opened: Doors, asked: date | None) -> dict[str, pl.DataFrame]:
    """The frames of the plan by table name.

    Args:
        asked: the day; ``None`` for today.
    """
    rules, environment = opened.settings.rules, opened.settings.environment
    links = links_of(opened.state)
    with opened.warehouse.connection() as connection:
        organization = read_table(connection, salesforce.ORGANIZATION, ["id", "time_zone", "default_currency"])
        company = read_table(connection, quickbooks.COMPANY_INFO, ["time_zone"])
        preferences = read_table(connection, quickbooks.PREFERENCES, ["home_currency"])
        zone = company_zone(company, organization)
        today = opened.now().astimezone(zone).date()
        day = asked or today
        frames = {table.name: read_table(connection, table, table.columns_without_record) for table in _RAW}
        if day == today:
            owed = read_table(connection, receivables.INVOICES), read_table(connection, receivables.UNAPPLIED)
        else:
            then = receivables_of(read_inputs(connection, *links, rules), rules, day)
            owed = then.invoices, then.unapplied
        mail = _mail(connection)
    progress(f"looking at the age of {owed[0].height} invoices")
    planned = plan_aging(
        AgingInputs(invoices=owed[0], unapplied=owed[1], mail=mail, **frames, **_known(opened)),
        rules,
        AgingParameters(
            as_of=day,
            writes=day == today,
            organization_id=str(organization.get_column("id").item(0)),
            realm_id=environment.quickbooks_realm_id or "",
            home_currency=_home_currency(preferences, organization),
            time_zone=zone.key,
            invoice_link=environment.quickbooks_link("invoice", "txnId", "{id}"),
        ),
    )
    frames = {table.name: getattr(planned, name) for name, table in _TABLES.items()}
    with opened.warehouse.transaction() as connection:
        for table in _TABLES.values():
            replace_rows(connection, table, frames[table.name])
        replace_rows(connection, DAY, DAY.frame([{"as_of": day, "writes": day == today}]))
    return frames


def _known(opened: Doors) -> dict[str, pl.DataFrame]:
    """What the state knows of crossings, reminders, tasks and writes, as the plan takes it."""
    state = opened.state
    crossings = [crossing.key for crossing in state.crossings.all()]
    reminders = [(one.invoice_id, one.number, one.sent_at) for one in state.reminders.all()]
    tasks = [(one.invoice_id, one.threshold, one.task_id, one.closed_at) for one in state.tasks.all()]
    ledger = [
        (row["key"], row["status"], row["result_id"], row["done_at"])
        for row in state.ledger.outcomes_since(FLOW, opened.now() - _LOOK_BACK, _LASTING)
    ]
    return {
        "crossings": pl.DataFrame(crossings, schema=KNOWN_CROSSINGS, orient="row"),
        "reminders": pl.DataFrame(reminders, schema=SENT_REMINDERS, orient="row"),
        "tasks": pl.DataFrame(tasks, schema=KNOWN_TASKS, orient="row"),
        "ledger": pl.DataFrame(ledger, schema=LEDGER, orient="row"),
    }


def _mail(connection: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Where the open invoices are mailed to, and when QuickBooks mailed them last: columns of :data:`.tables.MAIL`."""
    ensure_table(connection, quickbooks.INVOICE)
    query = (
        "SELECT id AS invoice_id, bill_email AS email, "
        "try_cast(json_extract_string(record, '$.DeliveryInfo.DeliveryTime') AS TIMESTAMPTZ) AS delivered_at "
        f"FROM {quickbooks.INVOICE.qualified_name} WHERE NOT is_deleted AND balance > 0"
    )
    return frame_of(connection.sql(query)).cast(MAIL)


def _home_currency(preferences: pl.DataFrame, organization: pl.DataFrame) -> str:
    """The company's currency; where QuickBooks does not say, that of the org."""
    named = [*preferences.get_column("home_currency").to_list(), *organization.get_column("default_currency").to_list()]
    return next((str(currency) for currency in named if currency), "USD")


def _tell_of_ages(opened: Doors) -> int:
    with opened.warehouse.connection() as connection:
        day = read_table(connection, DAY)
        invoices = read_table(connection, INVOICES)
        totals = read_table(connection, TOTALS)
    if not day.get_column("writes").any():
        # The tables show another day by now; today's come with the next pass.
        return 0
    return tell_ages(opened, invoices, totals, day.get_column("as_of").item(0), opened.now())


def _push(opened: Doors) -> PushOutcome:
    """Push under the lock, and put what QuickBooks returned into the warehouse, so that nothing is read again."""
    with opened.warehouse.connection() as connection:
        planned = dict(read_table(connection, PLAN, ["key", "payload"]).iter_rows())
        of_today = bool(read_table(connection, DAY, ["writes"]).get_column("writes").any())
    context = PushContext(
        state=opened.state,
        quickbooks=opened.quickbooks,
        salesforce=opened.salesforce,
        rules=opened.settings.rules,
        environment=opened.settings.environment,
        planned=planned,
        clock=opened.now,
        progress=progress,
    )
    outcome = PushOutcome()
    try:
        push(context, outcome)
        if not of_today:
            # A write whose answer was lost is settled by now, and waits for nothing that a push could do.
            opened.state.ledger.withdraw(FLOW, set(), opened.now())
    finally:
        if outcome.invoices:
            rows = [quickbooks.row_of("Invoice", record, opened.now()) for record in outcome.invoices.values()]
            with opened.warehouse.transaction() as connection:
                upsert_rows(connection, quickbooks.INVOICE, quickbooks.INVOICE.frame(rows))
    return outcome
