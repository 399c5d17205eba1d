"""The assets of the invoice flow: the plan, what of it waits in the ledger, what was pushed, and where it went."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import dagster as dg
import polars as pl

from qbsf_pipeline.customers.matching.plan import MATCHES
from qbsf_pipeline.customers.matching.plan import REVIEWS as CUSTOMER_REVIEWS
from qbsf_pipeline.customers.matching.remember import remember_links
from qbsf_pipeline.customers.matching.side_by_side import details_of
from qbsf_pipeline.customers.matching.tell import tell_reviews
from qbsf_pipeline.flows.approval import ALWAYS_ASKED
from qbsf_pipeline.flows.plan_assets import PlanConfig, plan_spec
from qbsf_pipeline.flows.plans import company_zone, kept_keys
from qbsf_pipeline.flows.problems import entries_to_tell, record_link, tell_problems
from qbsf_pipeline.flows.writing import Pending, Pushing, pending_asset, plan_results, push_lock, pushed_asset
from qbsf_pipeline.invoices.inputs import InvoiceInputs, PlanParameters
from qbsf_pipeline.invoices.plan import plan_invoices
from qbsf_pipeline.invoices.push import push
from qbsf_pipeline.invoices.push_context import PushContext, PushOutcome
from qbsf_pipeline.invoices.recurring.known_templates import CREATE as CREATE_TEMPLATE
from qbsf_pipeline.invoices.recurring.tables import BILLING_SCHEDULE_LINES, BILLING_SCHEDULES
from qbsf_pipeline.invoices.references import DocumentNumbers, highest_number
from qbsf_pipeline.invoices.schedule_changes import change_schedules
from qbsf_pipeline.invoices.schedule_messages import question_messages, stopped_messages
from qbsf_pipeline.invoices.schedule_tables import SCHEDULE_AGREEMENTS, agreed_schedules
from qbsf_pipeline.invoices.tables import (
    DEALS,
    FLOW,
    GENERATIONS,
    INVOICE_LINKS,
    LEDGER,
    NOTES,
    PLAN,
    REFUSALS,
    TEMPLATE_INVOICES,
)
from qbsf_pipeline.invoices.tell import WORDS, problems_of, tell_credit_memos, tell_invoices, tell_templates
from qbsf_pipeline.invoices.template_reading import read_template_invoices, read_templates
from qbsf_pipeline.invoices.validation import BILLING_ON_HOLD, CUSTOMER_IN_REVIEW
from qbsf_pipeline.money import parse_json
from qbsf_pipeline.progress import progress
from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.quickbooks.templates import ENTITY as RECURRING_TRANSACTION
from qbsf_pipeline.resources import WAREHOUSE_POOL, Doors, DoorsResource, WarehouseResource
from qbsf_pipeline.salesforce import objects as salesforce
from qbsf_pipeline.salesforce.quotes_and_schedules import CPQ_QUOTE, CPQ_QUOTE_LINE, CPQ_SUBSCRIPTION, REVENUE_SCHEDULE
from qbsf_pipeline.state.links import TEMPLATE, InvoiceLink
from qbsf_pipeline.state.outbox import Message
from qbsf_pipeline.state.reviews import ReviewCase
from qbsf_pipeline.state.transactions import StateBusy
from qbsf_pipeline.steps import step, tell_back
from qbsf_pipeline.warehouse.assets import table_key
from qbsf_pipeline.warehouse.connection import ensure_table, read_table, replace_rows
from qbsf_pipeline.warehouse.raw import WATERMARKS, upsert_rows

#: What the plan step writes.
PLANNED_TABLES = (
    *(PLAN, DEALS, REFUSALS, NOTES, BILLING_SCHEDULES, BILLING_SCHEDULE_LINES, SCHEDULE_AGREEMENTS, TEMPLATE_INVOICES),
)

_SALESFORCE_INPUTS = (
    salesforce.OPPORTUNITY,
    salesforce.OPPORTUNITY_LINE_ITEM,
    salesforce.PRODUCT2,
    salesforce.ACCOUNT,
    salesforce.CONTACT,
    salesforce.OPPORTUNITY_CONTACT_ROLE,
    salesforce.ORGANIZATION,
    REVENUE_SCHEDULE,
    CPQ_QUOTE,
    CPQ_QUOTE_LINE,
    CPQ_SUBSCRIPTION,
)
_QUICKBOOKS_INPUTS = (
    quickbooks.CUSTOMER,
    quickbooks.INVOICE,
    quickbooks.CREDIT_MEMO,
    quickbooks.ITEM,
    quickbooks.TERM,
    quickbooks.CLASS,
    quickbooks.DEPARTMENT,
    quickbooks.TAX_CODE,
    quickbooks.ACCOUNT,
    quickbooks.VENDOR,
    quickbooks.EMPLOYEE,
    quickbooks.PREFERENCES,
    quickbooks.COMPANY_INFO,
)


#: Names of inputs that differ from their table's: one is a keyword, one is Salesforce's too.
_INPUT_NAMES = {"class": "class_", "account": "quickbooks_account"}


_PLAN_DEPS = [table_key(table) for table in (*_SALESFORCE_INPUTS, *_QUICKBOOKS_INPUTS, quickbooks.RECURRING_TRANSACTION, MATCHES)]


@dg.multi_asset(
    name="plan_invoices",
    specs=[
        plan_spec(PLAN, "Every write that the next push would do, one row each, with its payload and its reason.", _PLAN_DEPS),
        plan_spec(
            DEALS, "Every won deal and what becomes of it: planned, refused, waiting, invoiced, before go-live.", _PLAN_DEPS
        ),
        plan_spec(REFUSALS, "Deals that cannot be invoiced, one row for each reason, with what to do.", _PLAN_DEPS),
        plan_spec(NOTES, "What was mended by rule on the way, and told.", _PLAN_DEPS),
        plan_spec(BILLING_SCHEDULES, "Every period of every deal that is billed period by period.", _PLAN_DEPS),
        plan_spec(BILLING_SCHEDULE_LINES, "What each period bills of each line.", _PLAN_DEPS),
        plan_spec(SCHEDULE_AGREEMENTS, "Billing schedules that are remembered from this plan on.", _PLAN_DEPS),
        plan_spec(TEMPLATE_INVOICES, "Invoices that recurring templates made, as they were recognised.", _PLAN_DEPS),
    ],
    pool=WAREHOUSE_POOL,
)
def invoice_plan(
    context: dg.AssetExecutionContext, config: PlanConfig, doors: DoorsResource, warehouse: WarehouseResource
) -> Iterator[dg.MaterializeResult[None]]:
    """Decide, for every won deal, whether and how it is invoiced."""
    opened = doors.open(warehouse)
    with step(opened, FLOW, "plan", context.run_id) as report:
        _change_schedules(opened)
        inputs = _inputs(opened)
        zone = company_zone(inputs.company_info, inputs.organization)
        today = date.fromisoformat(config.as_of) if config.as_of else opened.now().astimezone(zone).date()
        environment = opened.settings.environment
        parameters = PlanParameters(
            as_of=today,
            go_live=environment.qbsf_go_live_date,
            organization_id=str(inputs.organization.get_column("id").item(0)),
            realm_id=environment.quickbooks_realm_id or "",
            time_zone=zone.key,
            invoice_link=environment.quickbooks_link("invoice", "txnId", "{id}"),
        )
        progress(f"looking at {inputs.opportunity.height} opportunities")
        plan = plan_invoices(inputs, opened.settings.rules, parameters)
        frames = (
            *(plan.writes, plan.deals, plan.refusals, plan.notes),
            *(plan.schedules, plan.schedule_lines, plan.agreements, plan.template_invoices),
        )
        tables = tuple(zip(PLANNED_TABLES, frames, strict=True))
        with opened.warehouse.transaction() as connection:
            for table, frame in tables:
                replace_rows(connection, table, frame)
        outcomes = dict(plan.deals.get_column("outcome").value_counts().iter_rows())
        report.counts = {"won deals": plan.deals.height, "writes": plan.writes.height, **outcomes}
    yield from plan_results((table for table, _ in tables), {table.name: frame for table, frame in tables}, "schedule")


def _change_schedules(opened: Doors) -> None:
    """Keep what a person approved of schedules since the last push, so that this plan bills by it already."""
    mode = opened.settings.mode
    if not mode.writes:
        return
    try:
        with opened.state.exclusive(push_lock(FLOW), 0):
            changed = change_schedules(opened.state, mode, None, opened.now, [])
    except StateBusy:
        # A push is under way, and does it.
        return
    if changed:
        progress(f"{len(changed)} billing schedules changed as approved")


@dataclass(frozen=True)
class _Asked:
    """What becomes pending beside the plan: what people are asked, how accounts were matched, what is remembered and told of
    billing schedules, and which invoices of recurring templates were recognised."""

    cases: list[ReviewCase]
    matches: pl.DataFrame
    agreements: list[dict[str, Any]]
    changes: list[dict[str, Any]]
    template_invoices: list[dict[str, Any]]


def _asked(opened: Doors) -> _Asked:
    with opened.warehouse.connection() as connection:
        deals = read_table(connection, DEALS)
        matches = read_table(connection, MATCHES)
        questions = read_table(connection, CUSTOMER_REVIEWS)
        agreements = read_table(connection, SCHEDULE_AGREEMENTS).to_dicts()
        changes = read_table(connection, PLAN).filter(pl.col("operation").is_in(list(ALWAYS_ASKED))).to_dicts()
        template_invoices = read_table(connection, TEMPLATE_INVOICES).to_dicts()
    return _Asked(_cases(opened, questions, deals), matches, agreements, changes, template_invoices)


def _record(opened: Doors, asked: _Asked, now: datetime) -> dict[str, int]:
    opened.state.reviews.open_or_refresh(asked.cases, now)
    opened.state.reviews.close_missing([case.account_id for case in asked.cases], now)
    agreed = opened.state.billing_schedules.agree(agreed_schedules(asked.agreements), now)
    opened.state.outbox.put(_schedule_messages(opened, asked), now)
    recognised = _remember_template_invoices(opened, asked.template_invoices, now)
    return {"schedules agreed": agreed, "invoices of templates": recognised}


def _ask_and_tell(opened: Doors, plan: pl.DataFrame, asked: _Asked, now: datetime) -> dict[str, int]:
    state = opened.state
    if not state.ledger.waiting(FLOW) and not state.ledger.sending(FLOW):
        # Nothing is left to be written, so no push will come to see that a service takes writes again.
        for system in ("quickbooks", "salesforce"):
            tell_back(opened, system, writing=True)
    _remember_matches(opened, plan, asked.matches, now)
    return {
        "need a person": _tell_problems(opened),
        "questions asked": tell_reviews(state, opened.settings, opened.salesforce.instance_url, now),
    }


#: Makes the gated plan pending, and asks and tells people what concerns them.
pending = pending_asset(
    FLOW,
    Pending(
        plan=PLAN,
        deps=[table_key(table) for table in (PLAN, DEALS, REFUSALS, MATCHES, SCHEDULE_AGREEMENTS, TEMPLATE_INVOICES)],
        description=(
            "The plan that passed its gates, in the write ledger. Runs only after every blocking check of the plan has passed in "
            "the same run; what cannot be invoiced is told in Slack from here."
        ),
        read=_asked,
        record=_record,
        tell=_ask_and_tell,
        keep=lambda state, writes: kept_keys(list(writes), state.ledger.waiting(FLOW), state.ledger.lookup),
    ),
)


def _tell(opened: Doors, outcome: PushOutcome) -> dict[str, int]:
    told = tell_invoices(opened.state, opened.settings, opened.salesforce.instance_url, opened.now())
    memos = tell_credit_memos(opened.state, opened.settings, opened.salesforce.instance_url, opened.now())
    tell_templates(opened.state, opened.settings, opened.salesforce.instance_url, opened.now())
    progress(f"told finance of {told} invoices" + (f" and {memos} credit memos" if memos else ""))
    return {
        "customers created": outcome.count("Customer"),
        "items created": outcome.count("Item"),
        "invoices": outcome.count("Invoice"),
        "credit memos": outcome.count("CreditMemo"),
        "templates made": outcome.templates_made,
        "templates deleted": outcome.templates_deleted,
        "e-mailed": outcome.sent,
        "written back": outcome.written_back,
        "refused": outcome.refused,
        "schedules changed": outcome.schedules,
        "held": len(outcome.held),
        "need a person": _tell_problems(opened),
    }


def _invoices(opened: Doors, outcome: PushOutcome) -> pl.DataFrame:
    rows = [quickbooks.row_of("Invoice", record, opened.now()) for record in outcome.created.get("Invoice", {}).values()]
    return quickbooks.INVOICE.frame(rows).select("id", "doc_number", "customer_name", "total", "currency", "due_date")


#: Pushes what is pending, then tells finance.
pushed = pushed_asset(
    FLOW,
    Pushing(
        deps=[table_key(PLAN), table_key(salesforce.OPPORTUNITY), table_key(quickbooks.INVOICE)],
        kinds={"quickbooks", "salesforce"},
        description=(
            "What stands in QuickBooks and Salesforce because of this program: customers, invoices, e-mails, write-backs. Takes "
            "only what the ledger holds as gated, each write once and only once."
        ),
        push=lambda opened: _push(opened),
        tell=_tell,
        written=lambda outcome: outcome.count("Invoice"),
        shown=_invoices,
    ),
)


# Between the frames and the state


def review_cases(
    questions: pl.DataFrame, deals: pl.DataFrame, details: Mapping[str, Mapping[str, Any]] | None = None
) -> list[ReviewCase]:
    """The accounts that a person must match because won deals wait for it, with how much waits; and those whose link a person
    took back, deals or none.

    Args:
        questions: account_id, account_name, question, candidates (JSON list), undone.
        deals: account_id, outcome, amount, currency.
        details: both records side by side, by account id.
    """
    waiting = (
        deals.filter(pl.col("outcome") == "waiting")
        .group_by("account_id")
        .agg(pl.len().alias("deals"), pl.col("amount").sum(), pl.col("currency").unique())
    )
    asked = questions.join(waiting, on="account_id", how="left").filter(
        pl.col("deals").is_not_null() | pl.col("undone").fill_null(False)
    )
    cases: list[ReviewCase] = []
    for row in asked.sort("account_name", "account_id").iter_rows(named=True):
        currencies = row["currency"] or []
        one_currency = currencies[0] if len(currencies) == 1 else None
        cases.append(
            ReviewCase(
                account_id=row["account_id"],
                account_name=row["account_name"] or row["account_id"],
                question=row["question"],
                candidates=parse_json(row["candidates"]),
                deals_waiting=row["deals"] or 0,
                amount_waiting=row["amount"] if one_currency is not None else None,
                currency=one_currency,
                details=(details or {}).get(row["account_id"]),
            )
        )
    return cases


def _cases(opened: Doors, questions: pl.DataFrame, deals: pl.DataFrame) -> list[ReviewCase]:
    """What is asked now, with both records side by side: only for these, for that is large."""
    asked = [case.account_id for case in review_cases(questions, deals)]
    if not asked:
        return []
    with opened.warehouse.connection() as connection:
        accounts, contacts, customers = (
            read_table(connection, table, table.columns_without_record)
            for table in (salesforce.ACCOUNT, salesforce.CONTACT, quickbooks.CUSTOMER)
        )
    waiting = deals.filter(pl.col("outcome") == "waiting")
    shown = details_of(questions.filter(pl.col("account_id").is_in(asked)), accounts, contacts, customers, waiting)
    return review_cases(questions, deals, shown)


def _inputs(opened: Doors) -> InvoiceInputs:
    state = opened.state
    with opened.warehouse.connection() as connection:
        salesforce_frames = {
            table.name: read_table(connection, table, table.columns_without_record) for table in _SALESFORCE_INPUTS
        }
        quickbooks_frames = {
            _INPUT_NAMES.get(table.name, table.name): read_table(connection, table, table.columns_without_record)
            for table in _QUICKBOOKS_INPUTS
        }
        matches = read_table(connection, MATCHES)
        templates = read_templates(connection, state)
        made = read_template_invoices(connection, templates, opened.settings.rules.recurring)
    zone = company_zone(quickbooks_frames["company_info"], salesforce_frames["organization"])
    ledger = [
        {"done_on": row["done_at"].astimezone(zone).date() if row["done_at"] else None}
        | {name: row[name] for name in LEDGER if name != "done_on"}
        for row in state.ledger.outcomes(FLOW)
    ]
    links = [(link.opportunity_id, link.invoice_id, link.method) for link in state.links.all_invoices()]
    frames: dict[str, Any] = salesforce_frames | quickbooks_frames
    return InvoiceInputs(
        **frames,
        matches=matches,
        ledger=pl.DataFrame(ledger, schema=LEDGER),
        invoice_links=pl.DataFrame(links, schema=INVOICE_LINKS, orient="row"),
        generations=pl.DataFrame(schema=GENERATIONS),
        agreed_schedules=state.billing_schedules.all(),
        decisions=state.approvals.decisions(),
        templates=templates,
        template_invoices=made,
    )


def _schedule_messages(opened: Doors, asked: _Asked) -> list[Message]:
    """What finance is told of schedules: what stopped, and what waits for a person."""
    agreements, questions = asked.agreements, asked.changes
    url, channel = opened.salesforce.instance_url, opened.settings.environment.slack_finance_channel
    links = {row["opportunity_id"]: record_link(url, row["opportunity_id"]) for row in (*agreements, *questions)}
    return [*stopped_messages(agreements, channel, links), *question_messages(questions, channel, links)]


def _remember_template_invoices(opened: Doors, rows: Sequence[Mapping[str, Any]], now: datetime) -> int:
    """Link deals to the invoices that templates made, once; a person's word on an invoice stays. Returns how many are new."""
    links = opened.state.links
    known = {link.invoice_id for link in links.all_invoices()}
    new = [row for row in rows if row["invoice_id"] not in known]
    for row in new:
        links.link_invoice(InvoiceLink(row["opportunity_id"], row["invoice_id"], TEMPLATE, "rules", now))
    return len(new)


def _remember_matches(opened: Doors, plan: pl.DataFrame, matches: pl.DataFrame, now: datetime) -> None:
    """Keep the link of every account that is about to be invoiced, so that it never depends on names again."""
    bills = pl.col("operation").is_in(["create_invoice", CREATE_TEMPLATE])
    invoiced = plan.filter(bills).get_column("account_id").drop_nulls().unique().to_list()
    with opened.warehouse.connection() as connection:
        accounts = read_table(connection, salesforce.ACCOUNT, ["id", "is_deleted", "master_record_id"])
    field = opened.settings.rules.salesforce.account.customer_id
    for conflict in remember_links(opened.state, matches, accounts, invoiced, field, now):
        progress(conflict)


def _tell_problems(opened: Doors) -> int:
    with opened.warehouse.connection() as connection:
        refusals = read_table(connection, REFUSALS)
        plan = read_table(connection, PLAN, ["key"])
        deals = read_table(connection, DEALS, ["opportunity_id", "outcome"])
    planned = set(plan.get_column("key").to_list())
    dead_deals = set(deals.filter(pl.col("outcome") == "dead").get_column("opportunity_id").to_list())
    entries = [
        entry
        for entry in entries_to_tell(opened.state, FLOW)
        if entry.key in planned
        or entry.opportunity_id in dead_deals
        or entry.operation not in ("create_invoice", CREATE_TEMPLATE, "create_customer", "create_item")
    ]
    problems = problems_of(refusals, entries, opened.salesforce.instance_url)
    # Accounts in review are asked about in a message of their own; that a deal is on hold was somebody's wish.
    asked = frozenset({CUSTOMER_IN_REVIEW, BILLING_ON_HOLD})
    return tell_problems(opened.state, opened.settings, problems, FLOW, WORDS, opened.now(), told_elsewhere=asked)


def _push(opened: Doors) -> PushOutcome:
    """Push under the lock, and put what QuickBooks returned into the warehouse, so that nothing is read again."""
    rules, now = opened.settings.rules, opened.now()
    with opened.warehouse.connection() as connection:
        numbers = read_table(connection, quickbooks.INVOICE, ["doc_number"]).get_column("doc_number").to_list()
        preferences = read_table(connection, quickbooks.PREFERENCES, ["book_close_date", "extracted_at"])
        planned = dict(read_table(connection, PLAN, ["key", "payload"]).iter_rows())
        # A push by hand may come before the first plan of this version.
        ensure_table(connection, DEALS)
        deals = read_table(connection, DEALS, ["opportunity_id", "amount", "billed_with"])
        watermarks = read_table(connection, WATERMARKS, ["table_name", "read_until"])
        templates = read_table(connection, quickbooks.RECURRING_TRANSACTION, ["id"]).get_column("id").to_list()
    amounts = dict(deals.select("opportunity_id", "amount").drop_nulls().iter_rows())
    amendments = dict(deals.drop_nulls("billed_with").group_by("billed_with").agg("opportunity_id").iter_rows())
    read_until = watermarks.filter(pl.col("table_name") == "quickbooks.invoice").get_column("read_until").max()

    def pulled_invoices(opportunity_ids: Sequence[str]) -> list[dict[str, Any]]:
        short = [opportunity_id[:15] for opportunity_id in opportunity_ids]
        with opened.warehouse.connection() as connection:
            found = read_table(connection, quickbooks.INVOICE, ["opportunity_id", "record"])
        records = found.filter(pl.col("opportunity_id").str.slice(0, 15).is_in(short) & pl.col("record").is_not_null())
        return [parse_json(record) for record in records.get_column("record").to_list()]

    read_at = preferences.get_column("extracted_at").max()
    closed = preferences.get_column("book_close_date").max()
    oldest = now - timedelta(minutes=rules.pull.preferences_before_push_minutes)
    ready = opened.state.ledger.ready(FLOW, now)
    if any(entry.operation in ("create_invoice", CREATE_TEMPLATE) for entry in ready) and not (
        isinstance(read_at, datetime) and read_at >= oldest
    ):
        row = quickbooks.row_of("Preferences", opened.quickbooks.preferences(), now)
        closed = row["book_close_date"]
        with opened.warehouse.transaction() as connection:
            upsert_rows(connection, quickbooks.PREFERENCES, quickbooks.PREFERENCES.frame([row]))
    prefix = rules.invoices.document_number_prefix
    context = PushContext(
        state=opened.state,
        quickbooks=opened.quickbooks,
        salesforce=opened.salesforce,
        rules=rules,
        environment=opened.settings.environment,
        document_numbers=DocumentNumbers(prefix, highest_number(numbers, prefix)),
        book_close_date=closed if isinstance(closed, date) else None,
        planned=planned,
        deal_amounts=amounts,
        amendments=amendments,
        read_until=read_until if isinstance(read_until, datetime) else None,
        pulled_invoices=pulled_invoices,
        known_templates=frozenset(templates),
        clock=opened.now,
        progress=progress,
    )
    outcome = PushOutcome()
    try:
        push(context, outcome)
    finally:
        written = {**outcome.created, RECURRING_TRANSACTION: outcome.templates}
        if any(written.values()):
            with opened.warehouse.transaction() as connection:
                for entity, records in written.items():
                    table = quickbooks.entity_named(entity).table
                    rows = [quickbooks.row_of(entity, record, now) for record in records.values()]
                    upsert_rows(connection, table, table.frame(rows))
    return outcome
