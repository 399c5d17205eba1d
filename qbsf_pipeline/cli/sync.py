"""``qbsf sync``: one full pass, and what came of it, for people or as JSON."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import polars as pl
import typer

from qbsf_pipeline.aging import tables as aging
from qbsf_pipeline.cli.flow_tables import chosen, refusals
from qbsf_pipeline.cli.loading import loading
from qbsf_pipeline.cli.options import AsOf, Flows, Full, Json, day
from qbsf_pipeline.cli.output import complain, print_json, progress_shown, say, table
from qbsf_pipeline.cli.services import services_for
from qbsf_pipeline.customers.fields import LABELS
from qbsf_pipeline.errors import SYSTEM_NAMES, ConfigurationError
from qbsf_pipeline.flows.approval import ALWAYS_ASKED
from qbsf_pipeline.flows.time_zone import known_zone
from qbsf_pipeline.invoices.recurring.known_templates import OPERATIONS as TEMPLATES
from qbsf_pipeline.invoices.tables import DEALS, NOTES, PLAN
from qbsf_pipeline.money import format_amount, parse_json
from qbsf_pipeline.payments import tables as payments
from qbsf_pipeline.reconciliation.months import before, key_of
from qbsf_pipeline.reconciliation.places import page_in, reports_folder, workbook_in
from qbsf_pipeline.reconciliation.tables import SCHEMA as RECONCILIATION
from qbsf_pipeline.salesforce.objects import OPPORTUNITY
from qbsf_pipeline.settings import Mode, Settings, load_settings
from qbsf_pipeline.state.database import State
from qbsf_pipeline.warehouse.connection import Warehouse, read_table

INVOICES = "invoices"
#: The zone in which a day begins first.
_FIRST_TO_WAKE = timezone(timedelta(hours=14))
_EVENT_COLUMNS = ("opportunity_id", "deal", "kind", "amount", "balance", "currency", "numbers", "happened_on", "status", "reason")
#: What payments and ageing write, by the name that the report gives it.
_WRITTEN = {
    "payment_statuses": (payments.FLOW, "update_opportunity"),
    "ages": (aging.FLOW, "update_opportunity"),
    "reminders": (aging.FLOW, "send_reminder"),
    "tasks_created": (aging.FLOW, "create_task"),
    "tasks_closed": (aging.FLOW, "close_task"),
}
#: What the exit code of a pass means (public interface).
NOTHING_LEFT, FAILED, SOME_BLOCKED = 0, 1, 3


@dataclass(frozen=True)
class PassReport:
    """What a pass came to, gathered from the warehouse, the ledger and the meters."""

    mode: str
    seconds: float
    error: str | None
    closed: list[dict[str, str]]
    deals: dict[str, int]
    planned: int
    invoices: list[dict[str, Any]]
    customers: dict[str, int]
    changes: list[dict[str, Any]]
    refused: list[dict[str, Any]]
    unfinished: list[dict[str, Any]]
    notes: list[dict[str, Any]]
    held: int
    messages: dict[str, int]
    steps: list[dict[str, Any]]
    api_calls: dict[str, dict[str, int]]
    undelivered: list[str] = field(default_factory=list)
    payments: list[dict[str, Any]] = field(default_factory=list)
    aging: list[dict[str, Any]] = field(default_factory=list)
    written: dict[str, int] = field(default_factory=dict)
    month_end: list[dict[str, Any]] = field(default_factory=list)
    credit_memos: list[dict[str, Any]] = field(default_factory=list)
    questions: list[dict[str, Any]] = field(default_factory=list)
    templates: list[dict[str, Any]] = field(default_factory=list)
    schedules_changed: list[dict[str, Any]] = field(default_factory=list)

    @property
    def changed_anything(self) -> bool:
        """Whether this pass wrote to any system."""
        customers = self.customers
        return bool(
            self.invoices
            or self.credit_memos
            or self.templates
            or self.schedules_changed
            or customers["created"]
            or customers["changed"]
            or customers["written_back"]
            or any(self.written.values())
        )

    @property
    def exit_code(self) -> int:
        """0: nothing is left to do or to fix; 3: records are blocked or failed; 1: the pass itself failed."""
        if self.error is not None:
            return FAILED
        waiting = self.messages.get("waiting", 0) and self.mode != Mode.DRY_RUN.value
        unexplained = any(one["unexplained"] for one in self.month_end)
        left = self.refused or self.unfinished or self.closed or self.held or waiting or unexplained
        return SOME_BLOCKED if left else NOTHING_LEFT


def sync(flow: Flows = None, as_of: AsOf = None, full: Full = False, json: Json = False) -> None:
    """One full pass: pull, derive, check, plan, gate, push, notify. Needs no daemon.

    Exit 0: nothing is left to do or to fix. Exit 3: some records are blocked or failed. Exit 1: the pass itself failed.
    """
    today = day(as_of, "--as-of")
    configured = load_settings()
    # It is tomorrow somewhere already; later than that, periods would be billed and mailed before their day.
    if today is not None and configured.mode in (Mode.APPROVE, Mode.LIVE) and today > datetime.now(_FIRST_TO_WAKE).date():
        raise ConfigurationError([f"--as-of: {today} is still to come, and what falls due until then would be billed now"])
    with services_for(configured) as settings:
        report = run_and_report(settings, full=full, as_of=today, quiet=json, only=flow or ())
    if json:
        print_json(report.__dict__ | {"exit_code": report.exit_code})
    else:
        show(report, settings)
    raise typer.Exit(report.exit_code)


def run_and_report(
    settings: Settings,
    *,
    full: bool = False,
    as_of: date | None = None,
    quiet: bool = False,
    only: Collection[str] = (),
    busiest_month: bool = False,
) -> PassReport:
    """Run one pass with progress shown, and gather what came of it.

    Args:
        only: the flows that run; all where there is none. Month end runs where it is named, and for a month that it missed.
        busiest_month: reconcile the month in which most deals were won, too.
    """
    begun = datetime.now(UTC)
    with progress_shown(quiet):
        with loading():
            from qbsf_pipeline.cli.month_end import run_month_end  # Dagster takes a second to import: say something first
            from qbsf_pipeline.cli.passes import PassResult, run_pass

        flows = [name for name in only if name != RECONCILIATION]
        passes = bool(flows) or not only
        result = run_pass(settings, full=full, as_of=as_of, only=flows) if passes else PassResult(begun)
        months = [] if result.error else _months_to_reconcile(settings, only, as_of, busiest=busiest_month)
        for number, month in enumerate(months):
            read = not passes and number == 0
            reconciled = run_month_end(settings, month, pull=read, full=full, as_of=as_of)
            result.closed += reconciled.closed
            result.steps += reconciled.steps
            result.error = result.error or reconciled.error
    state = State.open(settings.environment.state_url, settings.environment.home)
    return gather(settings, state, begun, result.error, result.closed, result.steps, only)


def _months_to_reconcile(settings: Settings, only: Collection[str], as_of: date | None, *, busiest: bool) -> list[date]:
    """The months whose report this pass makes: what was missed, last month where it is asked for by name."""
    from qbsf_pipeline.cli.month_end import due_now

    if busiest:
        return _busiest_month(settings)
    if only and RECONCILIATION not in only:
        return []
    due = due_now(settings)
    if due or not only:
        return due
    with State.open(settings.environment.state_url, settings.environment.home) as state:
        return [before(as_of or datetime.now(known_zone(state)).date())]


def _busiest_month(settings: Settings) -> list[date]:
    """The month in which most deals were won; none without one."""
    with Warehouse(settings.environment.warehouse_path).connection() as connection:
        deals = read_table(connection, OPPORTUNITY, ["close_date", "is_won", "is_deleted"])
    won = deals.filter(pl.col("is_won") & ~pl.col("is_deleted") & pl.col("close_date").is_not_null())
    months = won.group_by(pl.col("close_date").dt.truncate("1mo").alias("month")).len().sort("len", "month")
    return months.get_column("month").tail(1).to_list()


def gather(
    settings: Settings,
    state: State,
    begun: datetime,
    error: str | None,
    closed: list[tuple[str, str]],
    steps: list[tuple[str, float]],
    only: Collection[str] = (),
) -> PassReport:
    """What stands in the warehouse, the ledger and the meters after a pass that began at ``begun``.

    Args:
        only: the flows that ran; all where there is none.
    """
    flows = chosen(only)
    warehouse = Warehouse(settings.environment.warehouse_path)
    with warehouse.connection() as connection:
        deals = read_table(connection, DEALS) if INVOICES in flows else DEALS.empty()
        notes = read_table(connection, NOTES) if INVOICES in flows else NOTES.empty()
        plan = read_table(connection, PLAN)
        events = read_table(connection, payments.EVENTS) if payments.FLOW in flows else payments.EVENTS.empty()
        totals = read_table(connection, aging.TOTALS) if aging.FLOW in flows else aging.TOTALS.empty()
    if settings.mode.writes:
        # What a closed gate kept from being recorded is no news yet: the pass that lets it through tells it.
        recorded = state.payment_events.recorded(events.get_column("event_key").to_list())
        events = events.filter(pl.col("event_key").is_in(list(recorded)))
    done = state.ledger.done_since(begun)
    sent = {key: entry for entry in done if entry.operation == "send_invoice" for key in entry.depends_on}
    invoices = []
    for entry in done:
        if entry.operation != "create_invoice":
            continue
        mailed = sent.get(entry.key)
        invoice = parse_json((mailed or entry).result or "{}")
        invoices.append(
            {
                "number": invoice.get("DocNumber") or entry.result_id,
                "customer": entry.customer_name,
                "deal": entry.label,
                "amount": Decimal(str(invoice.get("TotalAmt", entry.amount or 0))),
                "currency": entry.currency,
                "due": invoice.get("DueDate") or entry.due_date,
                "emailed_to": (invoice.get("BillEmail") or {}).get("Address") if mailed else None,
                "invoice_id": entry.result_id,
                "opportunity_id": entry.opportunity_id,
            }
        )
    credit_memos = [
        {
            "number": memo.get("DocNumber") or entry.result_id,
            "customer": entry.customer_name,
            "deal": entry.label,
            "amount": Decimal(str(memo.get("TotalAmt", -(entry.amount or 0)))),
            "currency": entry.currency,
            "credit_memo_id": entry.result_id,
            "opportunity_id": entry.opportunity_id,
        }
        for entry in done
        if entry.operation == "create_credit_memo"
        for memo in [parse_json(entry.result or "{}")]
    ]
    dismissed = {failure.problem.source_id for failure in state.failures.list("dismissed")}
    refused = [row for row in refusals(warehouse, flows) if row["record_id"] not in dismissed]
    unfinished = [
        {
            "write": entry.operation,
            "record": entry.label,
            "status": entry.status,
            "why": entry.error_message,
            "code": entry.error_code,
        }
        for name in flows
        for entry in state.ledger.unfinished(name)
        if (entry.opportunity_id or entry.source_id) not in dismissed
    ]
    changes = [
        {
            "journal_id": entry.journal_id,
            "account": entry.account_name,
            "customer": entry.customer_name,
            "field": LABELS.get(entry.field, entry.field),
            "salesforce": entry.salesforce_value,
            "quickbooks": entry.quickbooks_value,
            "winner": entry.winner,
            "kind": entry.kind,
            "status": entry.status,
            "why": entry.rule,
        }
        for entry in state.journal.list(since=begun)
    ]
    customers = {
        "created": sum(1 for entry in done if entry.operation == "create_customer"),
        "changed": sum(1 for entry in done if entry.operation == "update_customer"),
        "matched": plan.filter(
            (pl.col("operation") == "create_invoice") & ~pl.col("payload").str.contains('"$customer:', literal=True)
        )
        .get_column("account_id")
        .n_unique(),
        "written_back": sum(1 for entry in done if entry.target_system == "salesforce"),
    }
    outbox = state.outbox.counts()
    decisions = state.approvals.decisions()
    # What a person rejected waits for nobody.
    open_writes = [
        entry
        for name in flows
        for entry in state.ledger.waiting(name)
        if (decisions.get(entry.plan_id) or decisions.get(entry.batch or "")) != "rejected"
    ]
    waiting = len(open_writes) if settings.mode.writes else 0
    templates = [
        {"deal": entry.label, "write": entry.operation, "reason": entry.reason, "template_id": entry.result_id}
        for entry in done
        if entry.operation in TEMPLATES
    ]
    questions = [
        {"plan_id": entry.plan_id, "deal": entry.label, "write": entry.operation, "reason": entry.reason}
        for entry in open_writes
        if entry.operation in ALWAYS_ASKED and not (decisions.get(entry.plan_id) or decisions.get(entry.batch or ""))
    ]
    calls: dict[str, dict[str, int]] = {}
    for name, number in state.passes.api_usage(begun).items():
        system, _, kind = name.partition(".")
        calls.setdefault(system, {})[kind] = number
    return PassReport(
        mode=settings.mode.value,
        seconds=(datetime.now(UTC) - begun).total_seconds(),
        error=error,
        closed=[{"check": name, "finding": finding} for name, finding in closed],
        deals=dict(deals.get_column("outcome").value_counts().iter_rows()) | {"looked at": deals.height},
        planned=plan.filter(pl.col("operation") == "create_invoice").height,
        invoices=invoices,
        customers=customers,
        changes=changes,
        payments=events.select(*_EVENT_COLUMNS).to_dicts(),
        aging=totals.sort("currency", "position").drop("position").to_dicts(),
        written={
            what: sum(1 for entry in done if (entry.flow, entry.operation) == (flow, operation))
            for what, (flow, operation) in _WRITTEN.items()
        },
        refused=refused,
        unfinished=unfinished,
        notes=notes.join(deals.select("opportunity_id", "deal"), on="opportunity_id", how="left").to_dicts(),
        held=waiting,
        messages={"sent": state.outbox.sent_since(begun), "waiting": outbox.get("waiting", 0) + outbox.get("sending", 0)},
        month_end=_month_end(settings, state, begun),
        credit_memos=credit_memos,
        questions=questions,
        templates=templates,
        schedules_changed=[
            {"deal": entry.label, "what": entry.reason, "opportunity_id": entry.opportunity_id}
            for entry in done
            if entry.operation == "change_schedule"
        ],
        steps=[{"step": name, "seconds": round(seconds, 2)} for name, seconds in steps],
        api_calls=calls,
        undelivered=state.outbox.reasons(),
    )


def _month_end(settings: Settings, state: State, begun: datetime) -> list[dict[str, Any]]:
    """The month-end reports that were made since ``begun``: month, report, totals by currency, unexplained, page, workbook."""
    found = []
    for kept in state.month_end_reports.list():
        if kept.computed_at < begun:
            continue
        totals, folder = kept.figures["totals"], reports_folder(settings.environment.home, kept.month)
        found.append(
            {
                "month": key_of(kept.month),
                "report": kept.report_id,
                "totals": totals,
                "unexplained": sum(row["unexplained_not_accepted"] for row in totals.values()),
                "workbook": str(workbook_in(folder, kept.month)),
                "page": str(page_in(folder, kept.month)),
            }
        )
    return found


def show(report: PassReport, settings: Settings) -> None:
    """The report, for a person at a terminal."""
    if report.error is not None:
        complain("The pass failed; nothing is lost, and the next pass goes on from here.", report.error)
    for gate in report.closed:
        complain(f"A check stopped the push: {gate['finding']} ({gate['check']})")
    looked = report.deals.get("looked at", 0)
    what = f"{looked} won deals looked at" if looked else "One pass"
    say(f"\n{what} in {report.seconds:.1f} s (mode {report.mode}).", style="bold")
    parts = {
        "invoiced now": len(report.invoices),
        "invoiced before": report.deals.get("invoiced", 0),
        "refused": report.deals.get("refused", 0),
        "waiting for a customer match": report.deals.get("waiting", 0),
        "billed by period, nothing due": report.deals.get("scheduled", 0),
        "amendments, billed with another deal or credited": report.deals.get("amends", 0),
        "before go-live": report.deals.get("before_go_live", 0),
    }
    if any(parts.values()):
        say("  " + " · ".join(f"{number} {name}" for name, number in parts.items() if number))
    table(
        "Invoices created",
        ("Number", "Customer", "Deal", "Amount", "Due", "E-mailed to"),
        (
            (
                one["number"],
                one["customer"],
                one["deal"],
                format_amount(one["amount"], one["currency"] or ""),
                one["due"],
                one["emailed_to"],
            )
            for one in report.invoices
        ),
        right=("Amount",),
    )
    table(
        "Billing schedules changed, as approved",
        ("Deal", "What"),
        ((one["deal"], one["what"]) for one in report.schedules_changed),
    )
    table(
        "Credit memos created: apply each to an open invoice in QuickBooks, or pay it back",
        ("Number", "Customer", "Deal", "Amount"),
        ((one["number"], one["customer"], one["deal"], _money(one, "amount")) for one in report.credit_memos),
        right=("Amount",),
    )
    if report.invoices:
        say(f"\nCustomers: {report.customers['matched']} matched, {report.customers['created']} created.")
    table(
        "Customers put in step",
        ("Customer", "Field", "In Salesforce", "In QuickBooks", "What was done"),
        (
            (one["customer"], one["field"], _shown(one["salesforce"]), _shown(one["quickbooks"]), _said(one))
            for one in report.changes
        ),
    )
    table(
        "Payments: what happened",
        ("Deal", "What", "Amount", "Still open", "Why"),
        (
            (one["deal"], one["kind"].replace("_", " "), _money(one, "amount"), _money(one, "balance"), one["reason"])
            for one in report.payments
        ),
        right=("Amount", "Still open"),
    )
    days = {one["as_of"] for one in report.aging}
    table(
        f"Receivables by age, {max(days):%d %b %Y}" if days else "Receivables by age",
        ("Age", "Invoices", "Open", "Not applied yet"),
        ((one["bucket"], one["invoices"], _money(one, "open"), _money(one, "credits")) for one in report.aging),
        right=("Invoices", "Open", "Not applied yet"),
    )
    written = [f"{number} {what.replace('_', ' ')}" for what, number in report.written.items() if number]
    if written:
        say(f"\nWritten of payments and ageing: {', '.join(written)}.")
    table(
        "Refused: each of these waits until it is mended",
        ("Record", "What is wrong", "What to do"),
        _once_by_record([(one["record"], one["reason"], one["remedy"]) for one in report.refused]),
    )
    table(
        "Not finished",
        ("Record", "Write", "State", "Why"),
        ((one["record"], str(one["write"]).replace("_", " "), one["status"], one["why"]) for one in report.unfinished),
    )
    table("Mended by rule", ("Deal", "What"), ((one.get("deal"), one.get("text")) for one in report.notes))
    table(
        "Recurring templates of QuickBooks made or deleted",
        ("Deal", "What"),
        ((one["deal"], one["reason"]) for one in report.templates),
    )
    table(
        "Waits for your decision: qbsf approve PLAN, or qbsf reject PLAN",
        ("Plan", "Deal", "What"),
        ((one["plan_id"], one["deal"], one["reason"]) for one in report.questions),
    )
    for one in report.month_end:
        _show_month_end(one)
    if report.error is None and not report.changed_anything and not report.closed and not report.questions:
        say("\nNothing changed: every deal that can be invoiced has its invoice, every customer is in step.", style="green")
    if report.held and report.mode == Mode.APPROVE.value:
        say(f"\n{report.held} writes wait: look with qbsf plan, then qbsf approve PLAN_ID.")
    say(f"\nSlack: {report.messages['sent']} messages sent, {report.messages['waiting']} waiting.")
    complain(*(f"Messages wait: {reason}" for reason in report.undelivered))
    for system in ("salesforce", "quickbooks", "slack"):
        kinds = report.api_calls.get(system, {})
        listed = ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))
        say(f"{SYSTEM_NAMES[system]}: {sum(kinds.values())} API calls" + (f" ({listed})" if listed else ""))
    say("Steps: " + ", ".join(f"{one['step']} {one['seconds']:.1f} s" for one in report.steps))
    _next(report, settings)


def _show_month_end(one: dict[str, Any]) -> None:
    table(
        f"Month end {one['month']}: won against invoiced ({one['unexplained']} unexplained)",
        ("", "Won", "Invoiced", "Explained", "Unexplained", "Differences"),
        (
            (currency, row["won"], row["invoiced"], row["explained"], row["unexplained"], row["differences"])
            for currency, row in one["totals"].items()
        ),
        right=("Won", "Invoiced", "Explained", "Unexplained", "Differences"),
    )
    say(f"Report of {one['month']}: {one['page']}")


def _next(report: PassReport, settings: Settings) -> None:
    say("\nNext:", style="bold")
    if report.refused or report.unfinished:
        say("  qbsf failures              what needs a person, and how to act on it")
    if report.deals.get("waiting"):
        say("  qbsf review                accounts that wait for you to name their customer")
    say('  qbsf query "SELECT * FROM reporting.invoices LIMIT 10"')
    say(f"  analysts open {settings.environment.snapshot_path}")
    if settings.mode is Mode.SANDBOX:
        say("  qbsf dev                   the same with the Dagster UI, running by itself")


def _once_by_record(rows: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    shown: list[tuple[str, str, str]] = []
    last = None
    for record, reason, remedy in rows:
        shown.append(("" if record == last else record, reason, remedy))
        last = record
    return shown


def _money(row: dict[str, Any], name: str) -> str:
    return "" if row[name] is None else format_amount(row[name], row["currency"] or "").strip()


def _shown(value: str | None) -> str:
    """A value of the journal (JSON) as one line."""
    found = parse_json(value) if value else None
    if isinstance(found, dict):
        found = ", ".join(str(part) for part in found.values() if part)
    return "" if found is None else str(found).replace("\n", ", ")


def _said(change: dict[str, Any]) -> str:
    if change["winner"] == "none" or change["status"] == "reported":
        return "reported"
    return f"{SYSTEM_NAMES[change['winner']]}'s value: {change['status']}"
