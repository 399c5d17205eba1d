"""The assets of the payments flow: the plan, what of it waits in the ledger, and what was pushed."""

from collections.abc import Iterator
from datetime import UTC, date, datetime

import dagster as dg
import duckdb
import polars as pl

from qbsf_pipeline.flows.plan_assets import PlanConfig, plan_spec
from qbsf_pipeline.flows.plans import company_zone
from qbsf_pipeline.flows.source_gates import INVOICE_KEY, OPPORTUNITY_KEY
from qbsf_pipeline.flows.time_zone import remember_zone
from qbsf_pipeline.flows.writing import Pending, Pushing, pending_asset, plan_results, pushed_asset, tell_refusals
from qbsf_pipeline.invoices.recurring.tables import BILLING_SCHEDULES
from qbsf_pipeline.payments.plan import (
    DEALS,
    EVENTS,
    FLOW,
    KNOWN_DEALS,
    LEDGER,
    PLAN,
    REFUSALS,
    PaymentInputs,
    PaymentParameters,
    deal_payments_of,
    documents,
    payment_events_of,
    plan_payments,
)
from qbsf_pipeline.payments.push import PushContext, PushOutcome, push
from qbsf_pipeline.payments.tell import WORDS, problems_of, tell_payments
from qbsf_pipeline.progress import progress
from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.receivables.inputs import SOURCES
from qbsf_pipeline.receivables.tables import APPLICATIONS, INVOICES
from qbsf_pipeline.resources import WAREHOUSE_POOL, Doors, DoorsResource, WarehouseResource
from qbsf_pipeline.salesforce import objects as salesforce
from qbsf_pipeline.steps import step
from qbsf_pipeline.warehouse.assets import table_key
from qbsf_pipeline.warehouse.connection import read_table, replace_rows
from qbsf_pipeline.warehouse.made_from import fingerprint, last_made_from, remember_made_from

_SALESFORCE = (
    salesforce.OPPORTUNITY,
    salesforce.ACCOUNT,
    salesforce.USER,
    salesforce.OPPORTUNITY_STAGE,
    salesforce.ORGANIZATION,
)
#: By which a change is explained to people.
_DOCUMENTS = (
    quickbooks.INVOICE,
    quickbooks.PAYMENT,
    quickbooks.CREDIT_MEMO,
    quickbooks.DEPOSIT,
    quickbooks.JOURNAL_ENTRY,
)
_READ = (*_SALESFORCE, *_DOCUMENTS, quickbooks.PREFERENCES, quickbooks.COMPANY_INFO, INVOICES, APPLICATIONS)
# The gates over what was pulled stand on these two: a closed one must stop this plan as well.
_DEPS = list(dict.fromkeys([*(table_key(table) for table in _READ), OPPORTUNITY_KEY, INVOICE_KEY]))
_TABLES = (PLAN, DEALS, EVENTS, REFUSALS)


@dg.multi_asset(
    name="plan_payments",
    specs=[
        plan_spec(PLAN, "Every payment field and stage of a deal that the next push would write, with its reason.", _DEPS),
        plan_spec(DEALS, "How far each deal with an invoice is paid, by what was applied to its invoices.", _DEPS),
        plan_spec(EVENTS, "What happened to payments since it was last looked, as people are told it.", _DEPS),
        plan_spec(REFUSALS, "What should be written of payments and cannot be, with what to do.", _DEPS),
    ],
    pool=WAREHOUSE_POOL,
)
def payment_plan(
    context: dg.AssetExecutionContext, config: PlanConfig, doors: DoorsResource, warehouse: WarehouseResource
) -> Iterator[dg.MaterializeResult[None]]:
    """Derive how far every deal is paid, unless nothing of what that depends on has changed."""
    opened = doors.open(warehouse)
    with step(opened, FLOW, "plan", context.run_id) as report:
        frames = _plan(opened, config)
        report.counts = {
            "deals": frames[DEALS.name].height,
            "writes": frames[PLAN.name].height,
            "events": frames[EVENTS.name].height,
            "refused": frames[REFUSALS.name].height,
        }
    yield from plan_results(_TABLES, frames, "fingerprint")


def _derived(opened: Doors) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What becomes pending beside the plan: deals and events."""
    with opened.warehouse.connection() as connection:
        return read_table(connection, DEALS), read_table(connection, EVENTS)


def _record(opened: Doors, derived: tuple[pl.DataFrame, pl.DataFrame], now: datetime) -> dict[str, int]:
    deals, events = derived
    recorded = opened.state.payment_events.record(payment_events_of(events), now)
    opened.state.deal_payments.put(deal_payments_of(deals), now)
    return {"new events": len(recorded)}


def _tell_now(opened: Doors, now: datetime) -> dict[str, int]:
    return {
        "need a person": tell_refusals(opened, FLOW, WORDS, PLAN, REFUSALS, problems_of),
        "told": tell_payments(opened, now),
    }


#: Makes the gated plan pending, remembers how far deals are paid, and tells people what happened.
pending = pending_asset(
    FLOW,
    Pending(
        plan=PLAN,
        deps=[table_key(table) for table in _TABLES],
        description=(
            "The plan that passed its gates, in the write ledger, with how far each deal is paid, remembered, and what happened, "
            "recorded once. Owners are told from here."
        ),
        read=_derived,
        record=_record,
        tell=lambda opened, _plan, _derived, now: _tell_now(opened, now),
    ),
)


def _tell(opened: Doors, outcome: PushOutcome) -> dict[str, int]:
    done = {"deals changed": outcome.deals, "refused": outcome.refused, "held": len(outcome.held)}
    return done | _tell_now(opened, opened.now())


#: Pushes what is pending, then tells people what they were not told yet.
pushed = pushed_asset(
    FLOW,
    Pushing(
        deps=[table_key(PLAN), table_key(salesforce.OPPORTUNITY)],
        kinds={"salesforce"},
        description=(
            "Deals that show how far they are paid: status, balance, day of the last payment, and the stage where the rules name "
            "one. Takes only what the ledger holds as gated."
        ),
        push=lambda opened: _push(opened),
        tell=_tell,
        written=lambda outcome: outcome.deals,
    ),
)


# Between the frames and the state


def _plan(opened: Doors, config: PlanConfig) -> dict[str, pl.DataFrame]:
    """The frames of the plan by table name, made anew where something that they depend on has changed."""
    state, settings = opened.state, opened.settings
    known, ledger = _known_deals(opened), _ledger(opened)
    first = state.passes.first_done(FLOW, "enqueue")
    links = [(link.opportunity_id, link.invoice_id) for link in state.links.all_invoices()]
    links += [(link.account_id, link.customer_id) for link in state.links.all_customers()]
    with opened.warehouse.connection() as connection:
        organization = read_table(connection, salesforce.ORGANIZATION)
        company = read_table(connection, quickbooks.COMPANY_INFO, ["time_zone"])
        zone = company_zone(company, organization)
        remember_zone(opened.state, zone, opened.now())
        today = opened.now().astimezone(zone).date()
        parameters = PaymentParameters(
            # Payments are told as they are known now: a past day must not make today one of the quiet days before go-live.
            as_of=max(date.fromisoformat(config.as_of), today) if config.as_of else today,
            go_live=settings.environment.qbsf_go_live_date,
            watching_since=first.begun_at if first is not None else None,
            organization_id=str(organization.get_column("id").item(0)),
            time_zone=zone.key,
        )
        made_from = fingerprint(
            connection,
            dict.fromkeys([*_SALESFORCE, *SOURCES.values(), quickbooks.PREFERENCES]),
            settings.rules.payments.model_dump_json(),
            settings.rules.salesforce.opportunity.model_dump_json(),
            str(settings.rules.salesforce.currency),
            str(parameters),
            str(links),
            str(sorted(known.rows(), key=str)),
            str(sorted(ledger.rows(), key=str)),
            str(sorted(_to_come(connection).items())),
            versions=True,
        )
        if last_made_from(connection, PLAN) == made_from:
            return {table.name: read_table(connection, table) for table in _TABLES}
        inputs = _inputs(connection, organization, known, ledger)
    progress(f"looking at the payments of {inputs.invoices.height} invoices")
    planned = plan_payments(inputs, settings.rules, parameters)
    frames = {PLAN: planned.writes, DEALS: planned.deals, EVENTS: planned.events, REFUSALS: planned.refusals}
    with opened.warehouse.transaction() as connection:
        for table, frame in frames.items():
            replace_rows(connection, table, frame)
        remember_made_from(connection, PLAN, made_from)
    return {table.name: frame for table, frame in frames.items()}


def _inputs(
    connection: duckdb.DuckDBPyConnection, organization: pl.DataFrame, known: pl.DataFrame, ledger: pl.DataFrame
) -> PaymentInputs:
    salesforce_frames = {
        table.name: read_table(connection, table, table.columns_without_record)
        for table in _SALESFORCE
        if table is not salesforce.ORGANIZATION
    }
    documents_frames = {table.name: read_table(connection, table, table.columns_without_record) for table in _DOCUMENTS}
    return PaymentInputs(
        **salesforce_frames,
        organization=organization,
        invoices=read_table(connection, INVOICES),
        applications=read_table(connection, APPLICATIONS),
        documents=documents(**documents_frames),
        preferences=read_table(connection, quickbooks.PREFERENCES, ["home_currency", "multi_currency"]),
        known=known,
        ledger=ledger,
        to_come=_to_come(connection),
    )


def _to_come(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Deals that are billed period by period, with the periods that are still to be billed."""
    periods = read_table(connection, BILLING_SCHEDULES, ["opportunity_id", "status"])
    waiting = pl.col("status").is_in(["planned", "due", "under_way", "held"])
    return dict(periods.group_by("opportunity_id").agg(waiting.sum().cast(pl.Int64)).iter_rows())


def _known_deals(opened: Doors) -> pl.DataFrame:
    """What is remembered of deals: columns of :data:`.tables.KNOWN_DEALS`."""
    rows = [[getattr(deal, name) for name in KNOWN_DEALS] for deal in opened.state.deal_payments.all().values()]
    return pl.DataFrame(rows, schema=KNOWN_DEALS, orient="row")


def _ledger(opened: Doors) -> pl.DataFrame:
    """What became of every write of the flow: columns of :data:`.tables.LEDGER`."""
    outcomes = opened.state.ledger.outcomes_since(FLOW, datetime.min.replace(tzinfo=UTC))
    return pl.DataFrame([[row[name] for name in LEDGER] for row in outcomes], schema=LEDGER, orient="row")


def _push(opened: Doors) -> PushOutcome:
    """Push under the lock."""
    with opened.warehouse.connection() as connection:
        planned = dict(read_table(connection, PLAN, ["key", "payload"]).iter_rows())
    context = PushContext(
        state=opened.state,
        salesforce=opened.salesforce,
        rules=opened.settings.rules,
        environment=opened.settings.environment,
        planned=planned,
        clock=opened.now,
        progress=progress,
    )
    outcome = PushOutcome()
    push(context, outcome)
    return outcome
