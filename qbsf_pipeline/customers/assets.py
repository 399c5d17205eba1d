"""The assets of the customers flow: the plan, what of it waits in the ledger, and what was pushed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

import dagster as dg
import polars as pl

from qbsf_pipeline.customers.matching.plan import MATCHES
from qbsf_pipeline.customers.matching.remember import remember_links
from qbsf_pipeline.customers.plan import (
    AGREEMENTS,
    FIELD_DIFFERENCES,
    FLOW,
    LEDGER,
    PAIRS,
    PLAN,
    REFUSALS,
    REVERSALS,
    CustomerInputs,
    CustomerParameters,
    plan_customers,
)
from qbsf_pipeline.customers.push import PushContext, PushOutcome, push
from qbsf_pipeline.customers.tell import WORDS, problems_of, tell_changes
from qbsf_pipeline.flows.plan_assets import PlanConfig, plan_spec
from qbsf_pipeline.flows.plans import company_today
from qbsf_pipeline.flows.source_gates import INVOICE_KEY, OPPORTUNITY_KEY
from qbsf_pipeline.flows.writing import Pending, Pushing, pending_asset, plan_results, pushed_asset, tell_refusals
from qbsf_pipeline.money import parse_json, to_json
from qbsf_pipeline.progress import progress
from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.resources import WAREHOUSE_POOL, Doors, DoorsResource, WarehouseResource
from qbsf_pipeline.salesforce import objects as salesforce
from qbsf_pipeline.state.agreements import Agreement
from qbsf_pipeline.state.database import State
from qbsf_pipeline.state.journal import FieldChange
from qbsf_pipeline.steps import step
from qbsf_pipeline.warehouse.assets import table_key
from qbsf_pipeline.warehouse.connection import read_table, replace_rows
from qbsf_pipeline.warehouse.made_from import fingerprint, last_made_from, remember_made_from
from qbsf_pipeline.warehouse.raw import upsert_rows
from qbsf_pipeline.warehouse.tables import Column, TableSchema

#: What the state is to remember once the plan has passed its gates.
AGREED = TableSchema(
    FLOW,
    "agreed",
    (
        Column("account_id", pl.String, "Salesforce account, 18 characters"),
        Column("customer_id", pl.String, "QuickBooks customer"),
        Column("values", pl.String, "What each field means on both sides, now that they agree (JSON)"),
    ),
    ("account_id", "customer_id"),
    "Pairs that agree anew. A row is one account and one of its customers.",
)
REVERSED = TableSchema(
    FLOW,
    "reversed",
    (Column("journal_id", pl.String, "Entry of the journal whose reversal has arrived"),),
    ("journal_id",),
    "Reversals that are carried out. A row is one entry of the journal.",
)

_INPUTS = (
    salesforce.ACCOUNT,
    salesforce.CONTACT,
    salesforce.USER,
    quickbooks.CUSTOMER,
    quickbooks.TERM,
    quickbooks.VENDOR,
    quickbooks.EMPLOYEE,
    quickbooks.PREFERENCES,
)
_READ = (*_INPUTS, MATCHES, salesforce.ORGANIZATION, quickbooks.COMPANY_INFO)
# The gates over what was pulled stand on these two: a closed one must stop this plan as well.
_DEPS = [*(table_key(table) for table in _READ), OPPORTUNITY_KEY, INVOICE_KEY]
_TABLES = (PLAN, FIELD_DIFFERENCES, REFUSALS)


@dg.multi_asset(
    name="plan_customers",
    specs=[
        plan_spec(PLAN, "Every change of a customer or account that the next push would make, with its reason.", _DEPS),
        plan_spec(FIELD_DIFFERENCES, "Every field in which account and customer differ, whose value counts and why.", _DEPS),
        plan_spec(REFUSALS, "What should be changed and cannot be, with what to do.", _DEPS),
    ],
    pool=WAREHOUSE_POOL,
)
def customer_plan(
    context: dg.AssetExecutionContext, config: PlanConfig, doors: DoorsResource, warehouse: WarehouseResource
) -> Iterator[dg.MaterializeResult[None]]:
    """Compare every linked account and customer, unless nothing of what that depends on has changed."""
    opened = doors.open(warehouse)
    with step(opened, FLOW, "plan", context.run_id) as report:
        frames = _plan(opened, config)
        differences = frames[FIELD_DIFFERENCES.name]
        actions = dict(differences.get_column("action").value_counts().iter_rows())
        report.counts = {
            "writes": frames[PLAN.name].height,
            "differences": differences.height,
            "reported": actions.get("report", 0),
            "refused": frames[REFUSALS.name].height,
        }
    yield from plan_results(_TABLES, frames, "journal_key", "write_key")


@dataclass(frozen=True)
class _Compared:
    """What becomes pending beside the plan: what differs, what agrees, which reversals arrived, and how accounts were matched."""

    differences: pl.DataFrame
    agreed: pl.DataFrame
    reversals: list[str]
    matches: pl.DataFrame
    accounts: pl.DataFrame


def _compared(opened: Doors) -> _Compared:
    with opened.warehouse.connection() as connection:
        return _Compared(
            differences=read_table(connection, FIELD_DIFFERENCES),
            agreed=read_table(connection, AGREED),
            reversals=read_table(connection, REVERSED).get_column("journal_id").to_list(),
            matches=read_table(connection, MATCHES),
            accounts=read_table(connection, salesforce.ACCOUNT, ["id", "is_deleted", "master_record_id"]),
        )


def _record(opened: Doors, compared: _Compared, now: datetime) -> dict[str, int]:
    state = opened.state
    # What became of earlier writes comes first: an entry whose write was withdrawn may be reported or planned anew.
    settle_journal(state, opened)
    recorded = state.journal.record(changes_of(compared.differences), now)
    state.agreements.put(agreements_of(compared.agreed), now)
    state.journal.carried_out(compared.reversals, now)
    return {"new differences": len(recorded)}


def _link_and_tell(opened: Doors, plan: pl.DataFrame, compared: _Compared, now: datetime) -> dict[str, int]:
    # Whoever is changed because of a match is linked by it from now on.
    changed = set(plan.get_column("account_id").to_list())
    field = opened.settings.rules.salesforce.account.customer_id
    linked = (opened.state, compared.matches, compared.accounts, changed, field, now)
    for conflict in remember_links(*linked) if changed else ():
        progress(conflict)
    counts = {"need a person": tell_refusals(opened, FLOW, WORDS, PLAN, REFUSALS, problems_of)}
    tell_changes(opened.state, opened.settings, now)
    return counts


#: Makes the gated plan pending, keeps what agrees, and tells people what concerns them.
pending = pending_asset(
    FLOW,
    Pending(
        plan=PLAN,
        deps=[table_key(table) for table in _TABLES],
        description=(
            "The plan that passed its gates, in the write ledger, and every difference in the journal. Runs only after every "
            "blocking check of the plan has passed in the same run."
        ),
        read=_compared,
        record=_record,
        tell=_link_and_tell,
    ),
)


def _tell(opened: Doors, outcome: PushOutcome) -> dict[str, int]:
    return {
        "customers changed": outcome.customers_written,
        "accounts changed": outcome.accounts_written,
        "refused": outcome.refused,
        "held": len(outcome.held),
        "need a person": tell_refusals(opened, FLOW, WORDS, PLAN, REFUSALS, problems_of),
        "told": tell_changes(opened.state, opened.settings, opened.now()),
    }


def _customers(opened: Doors, outcome: PushOutcome) -> pl.DataFrame:
    rows = [quickbooks.row_of("Customer", record, opened.now()) for record in outcome.customers.values()]
    return quickbooks.CUSTOMER.frame(rows).select("id", "display_name", "email", "phone", "billing_city", "sync_token")


#: Pushes what is pending, then tells finance what concerns it.
pushed = pushed_asset(
    FLOW,
    Pushing(
        deps=[table_key(PLAN), table_key(salesforce.ACCOUNT), table_key(quickbooks.CUSTOMER)],
        kinds={"quickbooks", "salesforce"},
        description=(
            "Customers and accounts that were changed so that both sides agree. Takes only what the ledger holds as gated; "
            "QuickBooks is changed field by field, with the version of the record that was read."
        ),
        push=lambda opened: _push(opened),
        tell=_tell,
        written=lambda outcome: outcome.customers_written + outcome.accounts_written,
        shown=_customers,
    ),
)


# Between the frames and the state


def changes_of(differences: pl.DataFrame) -> list[FieldChange]:
    """The differences that belong into the journal: what is written or reported, not what both sides keep.

    Args:
        differences: columns of :data:`FIELD_DIFFERENCES`.
    """
    told = differences.filter(pl.col("action") != "keep")
    return [
        FieldChange(
            key=row["journal_key"],
            account_id=row["account_id"],
            account_name=row["account_name"] or "",
            customer_id=row["customer_id"],
            customer_name=row["customer_name"] or "",
            field=row["field"],
            salesforce_value=row["salesforce_value"],
            quickbooks_value=row["quickbooks_value"],
            agreed_value=row["agreed_value"],
            owner=row["owner"],
            winner=row["winner"],
            kind=row["kind"],
            rule=row["why"],
            changed_by=row["changed_by"],
            changed_at=row["changed_at"],
            write_key=row["write_key"],
        )
        for row in told.iter_rows(named=True)
    ]


def agreements_of(agreed: pl.DataFrame) -> list[Agreement]:
    """The rows of :data:`AGREED` as the state takes them."""
    return [
        Agreement(account_id, customer_id, {name: (ours, theirs) for name, (ours, theirs) in parse_json(values).items()})
        for account_id, customer_id, values in agreed.select("account_id", "customer_id", "values").iter_rows()
    ]


def settle_journal(state: State, opened: Doors) -> None:
    """Say in the journal what became of the writes that it waits for."""
    waiting = state.journal.planned_writes()
    meanings: Mapping[str, Literal["written", "refused", "withdrawn"]] = {
        "done": "written",
        "dead": "refused",
        "withdrawn": "withdrawn",
    }
    found = state.ledger.lookup(waiting)
    state.journal.settle({key: meanings[entry.status] for key, entry in found.items() if entry.status in meanings}, opened.now())


def _plan(opened: Doors, config: PlanConfig) -> dict[str, pl.DataFrame]:
    """The frames of the plan by table name, made anew where something that they depend on has changed."""
    state, rules = opened.state, opened.settings.rules
    links = [(link.account_id, link.customer_id, link.method) for link in state.links.all_customers()]
    agreements = [
        (one.account_id, one.customer_id, to_json({name: list(pair) for name, pair in one.values.items()}, sort_keys=True))
        for one in state.agreements.all()
    ]
    reversals = [
        (entry.journal_id, entry.account_id, entry.customer_id, entry.field, entry.losing_value, entry.owner)
        for entry in state.journal.reversals()
    ]
    ledger = [(row["key"], row["status"]) for row in state.ledger.outcomes(FLOW)]
    with opened.warehouse.connection() as connection:
        organization = read_table(connection, salesforce.ORGANIZATION, ["id", "time_zone"])
        company = read_table(connection, quickbooks.COMPANY_INFO, ["time_zone"])
        matched = read_table(connection, MATCHES, ["account_id", "customer_id", "method", "outcome"])
        today = date.fromisoformat(config.as_of) if config.as_of else company_today(company, organization, opened.now())
        until = rules.customers.sync.report_only_until
        linked = matched.filter(pl.col("outcome") == "linked").select("account_id", "customer_id", "method")
        pairs = pl.concat([linked, pl.DataFrame(links, schema=PAIRS, orient="row")]).unique(
            ["account_id", "customer_id"], keep="first", maintain_order=True
        )
        made_from = fingerprint(
            connection,
            _INPUTS,
            rules.customers.model_dump_json(),
            rules.salesforce.account.model_dump_json(),
            str(until is not None and today < until),
            *(str(sorted(rows)) for rows in (pairs.rows(), agreements, ledger)),
            str(reversals),
            versions=True,
        )
        if last_made_from(connection, PLAN) == made_from:
            return {table.name: read_table(connection, table) for table in _TABLES}
        frames = {table.name: read_table(connection, table, table.columns_without_record) for table in _INPUTS}
    progress(f"comparing {pairs.height} accounts and customers")
    planned = plan_customers(
        CustomerInputs(
            **frames,
            pairs=pairs,
            agreements=pl.DataFrame(agreements, schema=AGREEMENTS, orient="row"),
            reversals=pl.DataFrame(reversals, schema=REVERSALS, orient="row"),
            ledger=pl.DataFrame(ledger, schema=LEDGER, orient="row"),
        ),
        rules,
        CustomerParameters(
            as_of=today,
            organization_id=str(organization.get_column("id").item(0)),
            realm_id=opened.settings.environment.quickbooks_realm_id or "",
        ),
    )
    written = {PLAN: planned.writes, FIELD_DIFFERENCES: planned.differences, REFUSALS: planned.refusals}
    with opened.warehouse.transaction() as connection:
        for table, frame in written.items():
            replace_rows(connection, table, frame)
        replace_rows(connection, AGREED, planned.agreements)
        replace_rows(connection, REVERSED, REVERSED.frame([{"journal_id": one} for one in planned.carried_out]))
        remember_made_from(connection, PLAN, made_from)
    return {table.name: frame for table, frame in written.items()}


def _push(opened: Doors) -> PushOutcome:
    """Push under the lock, put what QuickBooks returned into the warehouse, so that nothing is read again, and say in the
    journal what became of it."""
    with opened.warehouse.connection() as connection:
        planned = dict(read_table(connection, PLAN, ["key", "payload"]).iter_rows())

    def pulled(customer_ids: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        with opened.warehouse.connection() as connection:
            rows = read_table(connection, quickbooks.CUSTOMER, ["id", "record"])
        found = rows.filter(pl.col("id").is_in(list(customer_ids)) & pl.col("record").is_not_null())
        return {customer_id: parse_json(record) for customer_id, record in found.select("id", "record").iter_rows()}

    context = PushContext(
        state=opened.state,
        quickbooks=opened.quickbooks,
        salesforce=opened.salesforce,
        rules=opened.settings.rules,
        environment=opened.settings.environment,
        planned=planned,
        pulled=pulled,
        clock=opened.now,
        progress=progress,
    )
    outcome = PushOutcome()
    try:
        push(context, outcome)
    finally:
        if outcome.customers:
            rows = [quickbooks.row_of("Customer", record, opened.now()) for record in outcome.customers.values()]
            with opened.warehouse.transaction() as connection:
                upsert_rows(connection, quickbooks.CUSTOMER, quickbooks.CUSTOMER.frame(rows))
    with opened.state.transaction():
        settle_journal(opened.state, opened)
    return outcome
