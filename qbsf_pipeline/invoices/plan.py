"""Which won deals become invoices, and which writes that takes: the plan of the invoice flow.

Pure: frames and rules in, frames out; no clock, no network, no randomness. The same content gives the same plan, row by
row, so that a plan may be made again at any time. What stands against a deal is in :mod:`.validation`, what was billed
before in :mod:`.history`, the bodies in :mod:`.payloads`.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal, localcontext
from typing import Any

import polars as pl

from qbsf_pipeline.customers import payloads as customer_payloads
from qbsf_pipeline.customers import texts
from qbsf_pipeline.customers.matching.names import legal_display_name, name_key, unique_name
from qbsf_pipeline.customers.payloads import Mended, Mender
from qbsf_pipeline.customers.terms import Term, active_terms, find_term
from qbsf_pipeline.flows.plans import plan_table
from qbsf_pipeline.invoices import payloads, schedule_refusals, validation
from qbsf_pipeline.invoices.bill_to import BillTo, bill_to
from qbsf_pipeline.invoices.history import FIRST_GENERATION, Billed, BillingHistory, LedgerLine
from qbsf_pipeline.invoices.items import Item, ItemCatalogue, MissingItem
from qbsf_pipeline.invoices.line_sources.cpq import CpqQuotes
from qbsf_pipeline.invoices.line_sources.opportunity_products import OpportunityProducts
from qbsf_pipeline.invoices.line_sources.sold import LineSource, SoldLines, sold_lines
from qbsf_pipeline.invoices.line_sources.tables import CPQ_QUOTE, CPQ_QUOTE_LINE, REVENUE_SCHEDULE
from qbsf_pipeline.invoices.lines import DealLine, InvoiceLine, described, invoice_lines, plain
from qbsf_pipeline.invoices.payloads import InvoiceHead, PricedLine
from qbsf_pipeline.invoices.recurring.markers import period_note
from qbsf_pipeline.invoices.recurring.revenue_schedules import RevenueRow, revenue_rows
from qbsf_pipeline.invoices.recurring.schedule import deal_lines, period_key
from qbsf_pipeline.invoices.recurring.tables import BILLING_SCHEDULE_LINES, BILLING_SCHEDULES, line_rows
from qbsf_pipeline.invoices.recurring.terms import deal_terms
from qbsf_pipeline.invoices.schedule_tables import SCHEDULE_AGREEMENTS, agreement_row, change_body
from qbsf_pipeline.invoices.schedules import Question, Scheduled, Schedules, plan_id_of
from qbsf_pipeline.invoices.terms import due_date
from qbsf_pipeline.invoices.validation import Reason
from qbsf_pipeline.money import format_amount, parse_json, to_cents, to_json
from qbsf_pipeline.quickbooks.objects import CREDIT_MEMO, invoice_marker
from qbsf_pipeline.settings import Rules
from qbsf_pipeline.state.billing_schedules import AgreedSchedule
from qbsf_pipeline.warehouse.tables import RATE, Column, TableSchema

FLOW = "invoices"

PLAN = plan_table(FLOW, "One row per intended write of the invoice flow")

REFUSALS = TableSchema(
    "invoices",
    "refusals",
    (
        Column("opportunity_id", pl.String, "The deal"),
        Column("deal", pl.String, "Its name"),
        Column("account_id", pl.String, "Its account"),
        Column("account_name", pl.String, "Name of the account"),
        Column("owner_id", pl.String, "User who owns the deal"),
        Column("amount", RATE, "Amount of the deal in its currency"),
        Column("currency", pl.String, "ISO code"),
        Column("code", pl.String, "Stable code of the reason"),
        Column("reason", pl.String, "The reason as a sentence"),
        Column("remedy", pl.String, "What to do"),
        Column("position", pl.Int64, "Order of the deal's reasons, from 1"),
    ),
    ("opportunity_id", "position"),
    "Why deals are not invoiced: one row per deal and reason, all reasons of a deal at once",
)

NOTES = TableSchema(
    "invoices",
    "notes",
    (
        Column("opportunity_id", pl.String, "The deal"),
        Column("code", pl.String, "Stable code of what was mended or noticed"),
        Column("text", pl.String, "The same as a sentence"),
    ),
    ("opportunity_id", "code", "text"),
    "What was mended by rule on the way to an invoice, and what is odd about it",
)

DEALS = TableSchema(
    "invoices",
    "deals",
    (
        Column("opportunity_id", pl.String, "The deal"),
        Column("deal", pl.String, "Its name"),
        Column("account_id", pl.String, "Its account"),
        Column("account_name", pl.String, "Name of the account"),
        Column("owner_id", pl.String, "User who owns the deal"),
        Column("close_date", pl.Date, "Day it was won"),
        Column("amount", RATE, "Amount of the deal in its currency"),
        Column("currency", pl.String, "ISO code"),
        Column("outcome", pl.String, "planned, refused, waiting, scheduled, invoiced, in_progress, before_go_live or dead"),
        Column("detail", pl.String, "Why, in a sentence"),
    ),
    ("opportunity_id",),
    "Every won deal and what becomes of it",
)

LEDGER = pl.Schema(
    {
        "key": pl.String,
        "status": pl.String,
        "result_id": pl.String,
        "opportunity_id": pl.String,
        "operation": pl.String,
        "error_code": pl.String,
        "done_on": pl.Date,
    }
)
INVOICE_LINKS = pl.Schema({"opportunity_id": pl.String, "invoice_id": pl.String})
GENERATIONS = pl.Schema({"opportunity_id": pl.String, "generation": pl.Int64})

#: Countries as QuickBooks writes the United States, where lines carry TAX or NON and tax is reckoned by QuickBooks.
_UNITED_STATES = frozenset({"", "us", "usa", "u.s.", "u.s.a.", "united states", "united states of america"})
_INCOME_ACCOUNTS = frozenset({"income", "other income"})
#: Where objects live that are not QuickBooks'.
_SYSTEMS = {"Account": "salesforce", "Opportunity": "salesforce", "BillingSchedule": "qbsf"}
_ONE_TIME = frozenset({"", "one-time", "one time", "onetime"})


@dataclass(frozen=True)
class InvoiceInputs:
    """Everything that a plan is made of: raw tables by their names, and what the state remembers.

    ``class_`` is ``quickbooks.class``; ``quickbooks_account`` is ``quickbooks.account``, the ledger accounts, while
    ``account`` is Salesforce's. ``matches`` has the columns of :data:`customers.matching.plan.MATCHES`, the next three those of
    :data:`LEDGER`, :data:`INVOICE_LINKS` and :data:`GENERATIONS`. ``cpq_quote``, ``cpq_quote_line`` and
    ``opportunity_line_item_schedule`` are empty where the org has none. ``agreed_schedules`` are all billing schedules that are
    kept, the newest version of a deal last; ``decisions`` what a person said: approved or rejected, by plan id.
    """

    opportunity: pl.DataFrame
    opportunity_line_item: pl.DataFrame
    product2: pl.DataFrame
    account: pl.DataFrame
    contact: pl.DataFrame
    opportunity_contact_role: pl.DataFrame
    organization: pl.DataFrame
    customer: pl.DataFrame
    invoice: pl.DataFrame
    item: pl.DataFrame
    term: pl.DataFrame
    vendor: pl.DataFrame
    employee: pl.DataFrame
    class_: pl.DataFrame
    department: pl.DataFrame
    tax_code: pl.DataFrame
    quickbooks_account: pl.DataFrame
    preferences: pl.DataFrame
    company_info: pl.DataFrame
    matches: pl.DataFrame
    ledger: pl.DataFrame
    invoice_links: pl.DataFrame
    generations: pl.DataFrame
    cpq_quote: pl.DataFrame = field(default_factory=CPQ_QUOTE.empty)
    cpq_quote_line: pl.DataFrame = field(default_factory=CPQ_QUOTE_LINE.empty)
    opportunity_line_item_schedule: pl.DataFrame = field(default_factory=REVENUE_SCHEDULE.empty)
    credit_memo: pl.DataFrame = field(default_factory=CREDIT_MEMO.empty)
    agreed_schedules: Sequence[AgreedSchedule] = ()
    decisions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PlanParameters:
    """What a plan depends on beside records and rules.

    Attributes:
        as_of: today in the company's time zone.
        go_live: deals closed before it are never invoiced; ``None`` for no limit.
        organization_id: the Salesforce org, part of keys.
        realm_id: the QuickBooks company, part of keys.
        send: whether invoices may be e-mailed at all; the rule ``invoices.send`` must say so too.
        invoice_link: where a person opens an invoice, with ``{id}`` for its id.
    """

    as_of: date
    go_live: date | None
    organization_id: str
    realm_id: str
    send: bool = True
    invoice_link: str = "https://app.qbo.intuit.com/app/invoice?txnId={id}"


@dataclass(frozen=True)
class InvoicePlan:
    """The plan: frames of :data:`PLAN`, :data:`REFUSALS`, :data:`NOTES` and :data:`DEALS`; of deals that are billed period by
    period those of :data:`.recurring.tables.BILLING_SCHEDULES`, ``BILLING_SCHEDULE_LINES`` and
    :data:`.schedule_tables.SCHEDULE_AGREEMENTS`.
    """

    writes: pl.DataFrame
    refusals: pl.DataFrame
    notes: pl.DataFrame
    deals: pl.DataFrame
    schedules: pl.DataFrame
    schedule_lines: pl.DataFrame
    agreements: pl.DataFrame


def plan_invoices(inputs: InvoiceInputs, rules: Rules, parameters: PlanParameters) -> InvoicePlan:
    """Decide for every won deal whether it is invoiced, and how.

    A deal that shows any sign of an invoice is never billed again; where Salesforce does not know that invoice yet, it is
    told. Deals that are on their way in the ledger are planned again under the same key. Everything that stands against a
    deal is told at once. A customer or item that several deals need is created once.

    ``plan_id`` is a hash over the keys and payloads of the deal's own writes. A reference to a customer or item counts the
    same before and after the program created it, so that an approval outlives that step.

    Of a deal with a billing schedule every period that is due is an invoice of its own, under the key of the deal and the period;
    what a person has to approve of its schedule first is a row of the operation ``change_schedule``.
    """
    won = inputs.opportunity.filter(pl.col("is_won").fill_null(False) & ~pl.col("is_deleted").fill_null(False))
    desk = _Desk(inputs, rules, parameters, won.drop("record", strict=False).sort("close_date", "id", nulls_last=True))
    desk.consider_all()
    desk.write_all()
    return InvoicePlan(
        writes=PLAN.frame(desk.writes),
        refusals=REFUSALS.frame(desk.refusals),
        notes=NOTES.frame(desk.notes).unique(maintain_order=True),
        deals=DEALS.frame(desk.deals),
        schedules=BILLING_SCHEDULES.frame(desk.schedules),
        schedule_lines=BILLING_SCHEDULE_LINES.frame(desk.schedule_lines),
        agreements=SCHEDULE_AGREEMENTS.frame(desk.agreements),
    )


@dataclass(frozen=True)
class _Bill:
    """One invoice of a deal that is billed period by period.

    Attributes:
        name: "period 3 of 12".
        note: what the invoice says of its period.
        later: whether the deal had an invoice before.
        credit: whether it is a credit memo; its lines are what is taken off, above zero.
    """

    key: str
    name: str
    note: str
    lines: Sequence[DealLine]
    txn_date: date
    why: str
    later: bool
    credit: bool = False


@dataclass(frozen=True)
class _SoundDeal:
    """A deal with nothing against it, or a period of one, ready to be written down.

    Attributes:
        key: of its invoice.
        bill: the period; ``None`` where the invoice is the whole deal.
        by_quote: whether the lines are those of the deal's quote.
        told: whether the deal is told of this invoice: of several of one deal the newest only.
    """

    key: str
    bill: _Bill | None
    by_quote: bool
    told: bool
    deal: Mapping[str, Any]
    account: Mapping[str, Any]
    customer: str
    invoice: Mapping[str, Any]
    lines: tuple[PricedLine, ...]
    amount: Decimal
    currency: str
    txn_date: date
    due_date: date | None
    term: Term | None
    receiver: BillTo
    sent_to: str | None
    decided_from: str


@dataclass(frozen=True)
class _NewCustomer:
    """A customer to be created, as its first deal needs it."""

    account: Mapping[str, Any]
    email: str | None
    term_id: str | None
    currency: str
    deal_name: str


@dataclass
class _Findings:
    """What is found while one deal is looked at."""

    reasons: list[Reason] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)

    def refuse(self, reason: Reason | None) -> None:
        if reason is not None and reason not in self.reasons:
            self.reasons.append(reason)

    def note(self, code: str, text: str) -> None:
        self.notes.append((code, text))


class _Company:
    """What the QuickBooks company and the Salesforce org say of themselves, and the lists that names are looked up in."""

    def __init__(self, inputs: InvoiceInputs, rules: Rules) -> None:
        preferences = _first(inputs.preferences)
        self.several_currencies = preferences.get("multi_currency") is True
        self.home_currency = _code(preferences.get("home_currency")) or _only_currency(inputs)
        self.custom_numbers = preferences.get("custom_document_numbers") is True
        self.book_close_date: date | None = preferences.get("book_close_date")
        self.class_per_line = preferences.get("class_per_line") is True
        self.class_per_transaction = preferences.get("class_per_transaction") is True
        self.departments = preferences.get("departments") is True
        self.sales_tax = preferences.get("using_sales_tax") is not False
        self.american = (_first(inputs.company_info).get("country") or "").strip().casefold() in _UNITED_STATES
        self.org_currency = _code(_first(inputs.organization).get("default_currency")) or _code(rules.salesforce.currency)
        if self.org_currency is None and not self.several_currencies:
            # An org that does not show its currency, beside a company that has only one: there is nothing to confuse.
            self.org_currency = self.home_currency
        self.terms = active_terms(inputs.term.iter_rows(named=True))
        self.items = ItemCatalogue(inputs.item.iter_rows(named=True), rules.items)
        self._classes = _names(inputs.class_)
        self._departments = _names(inputs.department)
        self._tax_codes = _names(inputs.tax_code)
        self._tax_code_ids = set(self._tax_codes.values())
        self._income_accounts = _names(
            inputs.quickbooks_account.filter(pl.col("account_type").str.to_lowercase().is_in(list(_INCOME_ACCOUNTS)))
        )

    def class_id(self, name: str) -> str | None:
        """The active class of that name or full name."""
        return self._classes.get(name_key(name))

    def department_id(self, name: str) -> str | None:
        """The active location of that name or full name."""
        return self._departments.get(name_key(name))

    def tax_code_id(self, name_or_id: str | None) -> str | None:
        """The active tax code of that id or name."""
        if not name_or_id:
            return None
        return name_or_id if name_or_id in self._tax_code_ids else self._tax_codes.get(name_key(name_or_id))

    def income_account_id(self, name: str) -> str | None:
        """The active income account of that name or full name."""
        return self._income_accounts.get(name_key(name)) if name else None


class _Desk:
    """Looks at each deal, then writes down what follows. One use."""

    def __init__(self, inputs: InvoiceInputs, rules: Rules, parameters: PlanParameters, won: pl.DataFrame) -> None:
        self._rules = rules
        self._parameters = parameters
        self._inputs = inputs
        self._won = won
        self._company = _Company(inputs, rules)
        self._history = BillingHistory(
            inputs.invoice, inputs.invoice_links, inputs.ledger, inputs.generations, parameters.realm_id, inputs.credit_memo
        )
        self._accounts = {row["id"]: row for row in inputs.account.drop("record", strict=False).iter_rows(named=True)}
        self._matches = {row["account_id"]: row for row in inputs.matches.iter_rows(named=True)}
        self._held_customers = {(row["customer_id"] or "").strip() for row in self._accounts.values() if not row["is_deleted"]}
        self._schedules = Schedules(inputs.agreed_schedules, self._history, inputs.decisions, rules, parameters.as_of)
        self._sources: tuple[LineSource, ...] = ()
        self._revenue: Mapping[str, Sequence[RevenueRow]] = {}
        self._roles: Mapping[str, list[dict[str, Any]]] = {}
        self._customers: Mapping[str, dict[str, Any]] = {}
        self._sound: list[tuple[_SoundDeal, _Findings]] = []
        self._adoptions: list[tuple[Mapping[str, Any], Mapping[str, Any]]] = []
        self._period_adoptions: list[
            tuple[Mapping[str, Any], Sequence[tuple[str, Mapping[str, Any]]], Mapping[str, Any] | None]
        ] = []
        self._questions: list[tuple[Mapping[str, Any], Question]] = []
        self._new_customers: dict[str, _NewCustomer] = {}
        self._new_items: dict[str, DealLine] = {}
        self.writes: list[dict[str, Any]] = []
        self.refusals: list[dict[str, Any]] = []
        self.notes: list[dict[str, Any]] = []
        self.deals: list[dict[str, Any]] = []
        self.schedules: list[Mapping[str, Any]] = []
        self.schedule_lines: list[dict[str, Any]] = []
        self.agreements: list[dict[str, Any]] = []

    # First every deal is looked at

    def consider_all(self) -> None:
        """Sort the deals by what becomes of them; those to be invoiced are looked at closely."""
        open_deals: list[dict[str, Any]] = []
        for deal in self._won.iter_rows(named=True):
            agreed = self._schedules.is_agreed(deal["id"])
            billed = self._history.billed(deal) if not agreed else None
            if billed is not None and not self._schedules.is_billed_by_period(deal):
                self._put_billed(deal, billed)
            elif self._is_old(deal) and not agreed:
                self._put_deal(deal, "before_go_live", f"Won before the go-live date {self._parameters.go_live}.")
            else:
                open_deals.append(deal)
        self._read_details(open_deals)
        for deal in open_deals:
            self._consider(deal)
        won = set(self._won.get_column("id").to_list())
        kept = {agreed.opportunity_id for agreed in self._inputs.agreed_schedules} - won
        others = self._inputs.opportunity.filter(pl.col("id").is_in(list(kept))).drop("record", strict=False).sort("id")
        for deal in others.iter_rows(named=True):
            stopped = self._schedules.stopped(deal)
            if stopped is not None:
                self._put_refusals(deal, stopped.reasons)
                self._put_schedule(deal, stopped)
        for opportunity_id in self._schedules.missing(set(self._inputs.opportunity.get_column("id").to_list())):
            unknown = dict.fromkeys(("name", "account_id", "owner_id", "amount", "currency"))
            self._put_refusals({"id": opportunity_id, **unknown}, [schedule_refusals.deal_not_shown()])

    def _is_old(self, deal: Mapping[str, Any]) -> bool:
        go_live = self._parameters.go_live
        return go_live is not None and deal["close_date"] is not None and deal["close_date"] < go_live

    def _put_billed(self, deal: Mapping[str, Any], billed: Billed) -> None:
        if billed.rivals:
            reason = validation.duplicate_marker(self._history.numbers(billed.rivals))
            self._put_refusals(deal, [reason])
            self._put_deal(deal, "refused", reason.text)
            return
        if billed.adopt and billed.invoice_id is not None and not self._is_being_told(deal):
            found = self._history.invoice(billed.invoice_id)
            if found is not None:
                self._adoptions.append((deal, found))
            else:
                text = f"The deal was billed as invoice id {billed.invoice_id}, which was not found in QuickBooks."
                self._put_note(deal["id"], "invoice_not_read", text)
        stored = (deal["invoice_id"] or "").strip()
        if stored and not self._history.holds_invoice(stored):
            text = f"The deal holds the invoice id {stored}, and QuickBooks has no such invoice. It is not billed again."
            self._put_note(deal["id"], "stored_invoice_missing", text)
        self._put_deal(deal, "invoiced", billed.sign)

    def _is_being_told(self, deal: Mapping[str, Any]) -> bool:
        """Whether the ledger holds the write-back of the invoice that it created itself."""
        line = self._history.ledger(self._history.invoice_key(deal["id"]))
        if line is None or line.status not in ("done", "sending"):
            return False
        payload = payloads.opportunity_write_back(deal["id"], self._rules.salesforce.opportunity)
        written = self._history.ledger(self._write_back_key("opportunity", deal["id"], payload))
        return written is not None and written.status in ("planned", "sending", "failed", "dead")

    def _read_details(self, deals: Sequence[Mapping[str, Any]]) -> None:
        """Lines, products, contacts and customers of the few deals that are looked at closely."""
        wanted = pl.DataFrame({"opportunity_id": [deal["id"] for deal in deals]}, schema={"opportunity_id": pl.String})
        items = self._inputs.opportunity_line_item.join(wanted, on="opportunity_id", how="semi")
        short = pl.col("opportunity_id").str.slice(0, 15)
        quotes = self._inputs.cpq_quote.filter(short.is_in([deal["id"][:15] for deal in deals]))
        quote_lines = self._inputs.cpq_quote_line.join(quotes, left_on="quote_id", right_on="id", how="semi")
        self._sources = (
            CpqQuotes(quotes, quote_lines, self._inputs.product2, self._rules.cpq),
            OpportunityProducts(items, self._inputs.product2),
        )
        revenue = self._inputs.opportunity_line_item_schedule.join(items, left_on="line_id", right_on="id", how="semi")
        self._revenue = revenue_rows(revenue)
        contacts = self._inputs.contact.filter(~pl.col("is_deleted").fill_null(False)).select(
            pl.col("id").alias("contact_id"), pl.col("name").alias("contact_name"), "email"
        )
        roles = (
            self._inputs.opportunity_contact_role.filter(~pl.col("is_deleted").fill_null(False))
            .join(wanted, on="opportunity_id", how="semi")
            .join(contacts, on="contact_id", how="inner")
            .select("opportunity_id", "role", "is_primary", "contact_id", "contact_name", "email")
            .sort("opportunity_id", "contact_id", "role", nulls_last=True)
        )
        self._roles = _grouped(roles, "opportunity_id")
        linked = [one for match in self._matches.values() if match["customer_id"] for one in _customers_of(match)]
        named = self._inputs.customer.select("id", "display_name", "currency").filter(pl.col("id").is_in(linked))
        self._customers = {row["id"]: row for row in named.iter_rows(named=True)}

    def _consider(self, deal: Mapping[str, Any]) -> None:
        """Look at one deal; put it with the sound ones, or say everything that stands against it."""
        findings = _Findings()
        sold = sold_lines(deal, self._sources)
        terms = deal_terms(deal, sold.terms, self._company.org_currency)
        scheduled = self._schedules.decide(deal, sold, terms, self._revenue)
        if scheduled is not None:
            self._consider_scheduled(deal, sold, scheduled)
            return
        sound = self._judge(deal, sold, findings)
        line = self._history.ledger(self._history.invoice_key(deal["id"]))
        status = line.status if line is not None else None
        if sound is None:
            if status == "sending":
                self._put_deal(deal, "in_progress", "The invoice was sent to QuickBooks, and its answer is being looked for.")
                return
            self._put_refusals(deal, findings.reasons)
            waits = all(reason.code == validation.CUSTOMER_IN_REVIEW for reason in findings.reasons)
            self._put_deal(deal, "waiting" if waits else "refused", " ".join(reason.text for reason in findings.reasons))
            return
        self._take(sound, findings)
        total = format_amount(sound.amount, sound.currency)
        dead = self._dead(sound)
        if dead is not None:
            self._put_deal(deal, "dead", dead)
        elif status in ("planned", "failed", "sending"):
            self._put_deal(deal, "in_progress", f"An invoice over {total} is on its way.")
        else:
            self._put_deal(deal, "planned", f"An invoice over {total} is planned.")

    def _consider_scheduled(self, deal: Mapping[str, Any], sold: SoldLines, scheduled: Scheduled) -> None:
        """Look at a deal that is billed period by period: every period that is due is an invoice of its own."""
        self._put_schedule(deal, scheduled)
        reasons = list(scheduled.reasons)
        sound: list[_SoundDeal] = []
        for bill in self._bills(deal, scheduled):
            findings = _Findings()
            found = self._judge(deal, sold, findings, bill)
            if found is None:
                reasons += [reason for reason in findings.reasons if reason not in reasons]
            else:
                sound.append(found)
                told = not bill.credit and bill.key == self._newest_of(deal, scheduled)
                self._take(replace(found, told=told), findings)
        if not reasons:
            self._adopt_periods(deal, scheduled, told=bool(sound))
        details = [f"{one.bill.name if one.bill else ''} over {format_amount(one.amount, one.currency).strip()}" for one in sound]
        detail = f"{', '.join(details)}. {scheduled.outlook}" if details else scheduled.outlook
        dead = next((text for one in sound if (text := self._dead(one)) is not None), None)
        statuses = {line.status if (line := self._history.ledger(one.key)) is not None else None for one in sound}
        if reasons:
            self._put_refusals(deal, reasons)
            waits = all(reason.code == validation.CUSTOMER_IN_REVIEW for reason in reasons)
            self._put_deal(deal, "waiting" if waits else "refused", " ".join(reason.text for reason in reasons))
        elif dead is not None:
            self._put_deal(deal, "dead", dead)
        elif sound:
            begun = statuses <= {"planned", "failed", "sending"}
            self._put_deal(deal, "in_progress" if begun else "planned", detail)
        elif None in scheduled.placed.values():
            self._put_deal(deal, "in_progress", "An invoice was sent to QuickBooks, and its answer is being looked for.")
        else:
            self._put_deal(deal, "invoiced" if scheduled.is_billed else "scheduled", detail)

    def _bills(self, deal: Mapping[str, Any], scheduled: Scheduled) -> list[_Bill]:
        schedule = scheduled.schedule
        if schedule is None or scheduled.reasons:
            return []
        text = self._rules.recurring.line_text
        regular = [one for one in schedule.periods if one.kind != "difference"]
        places = {one.number: place for place, one in enumerate(regular, start=1)}
        found = []
        for due in scheduled.bill:
            period = due.period
            name = f"period {places[period.number]} of {len(regular)}" if period.number in places else "difference"
            late = " and was missed" if due.missed else ""
            found.append(
                _Bill(
                    key=period_key(self._history.invoice_key(deal["id"]), period.number),
                    name=name,
                    note=period_note(period),
                    lines=deal_lines(period, text),
                    txn_date=due.invoice_date,
                    why=f"{name.capitalize()} ({period.span.starts} to {period.span.ends}) is due since {period.due_on}{late}",
                    later=bool(scheduled.placed),
                )
            )
        found += [
            _Bill(
                key=period_key(self._history.invoice_key(deal["id"]), period.number),
                name="credit",
                note=period_note(period),
                lines=[replace(line, total=-line.total) for line in deal_lines(period, text)],
                txn_date=self._parameters.as_of,
                why=f"The deal became smaller, and periods from {period.span.starts} to {period.span.ends} were billed already",
                later=True,
                credit=True,
            )
            for period in scheduled.credits
        ]
        return found

    def _newest_of(self, deal: Mapping[str, Any], scheduled: Scheduled) -> str:
        """The key of the newest period that is billed now."""
        newest = max(scheduled.bill, key=lambda one: (one.period.due_on, one.period.number))
        return period_key(self._history.invoice_key(deal["id"]), newest.period.number)

    def _adopt_periods(self, deal: Mapping[str, Any], scheduled: Scheduled, *, told: bool) -> None:
        """Tell the deal of its newest period where nobody does, and mail what the program lost sight of."""
        known = self._history.periods(deal["id"])
        sends: list[tuple[str, Mapping[str, Any]]] = []
        for number, invoice_id in sorted(scheduled.placed.items()):
            found = self._history.invoice(invoice_id or "")
            if found is not None and number not in known and self._is_still_to_be_mailed(deal, found):
                sends.append((period_key(self._history.invoice_key(deal["id"]), number), found))
        newest = scheduled.newest
        found = self._history.invoice(scheduled.placed.get(newest) or "") if newest is not None else None
        waiting = [
            status in ("planned", "sending", "failed", "dead")
            for key, status in self._history.write_backs(deal["id"]).items()
            if newest is not None and f":{_period_sign(period_key(self._history.invoice_key(deal['id']), newest))}:" in key
        ]
        stored = (deal["invoice_id"] or "").strip()
        tell = not told and found is not None and stored != found["id"] and not any(waiting)
        if sends or tell:
            self._period_adoptions.append((deal, sends, found if tell else None))

    def _put_schedule(self, deal: Mapping[str, Any], scheduled: Scheduled) -> None:
        self.schedules += scheduled.rows
        if scheduled.schedule is not None and not scheduled.reasons:
            self.schedule_lines += line_rows(scheduled.schedule)
        if scheduled.agreement is not None:
            self.agreements.append(agreement_row(scheduled.agreement))
        if scheduled.question is not None:
            self._questions.append((deal, scheduled.question))

    def _take(self, sound: _SoundDeal, findings: _Findings) -> None:
        """Put a deal with the sound ones, and what it needs with what is to be created."""
        self._sound.append((sound, findings))
        if sound.customer == _customer_reference(sound.account["id"]):
            self._new_customers.setdefault(
                sound.account["id"],
                _NewCustomer(
                    account=sound.account,
                    email=sound.sent_to,
                    term_id=self._customer_term(sound),
                    currency=sound.currency,
                    deal_name=_deal_name(sound.deal),
                ),
            )
        for priced in sound.lines:
            product_id = priced.line.line.product_id
            if product_id is not None and priced.item == _item_reference(product_id):
                self._new_items.setdefault(product_id, priced.line.line)

    def _dead(self, sound: _SoundDeal) -> str | None:
        """What to say where the invoice, or what it needs, was refused for good."""
        dead = next((line for line in self._needed_lines(sound) if line is not None and line.status == "dead"), None)
        if dead is None:
            return None
        code = f" ({dead.error_code})" if dead.error_code else ""
        return f"It was refused for good{code}. It is tried again once the deal changes, or with qbsf failures retry."

    def _needed_lines(self, sound: _SoundDeal) -> list[LedgerLine | None]:
        """What the ledger says of the invoice and of what must exist before it."""
        keys = [sound.key]
        if sound.customer == _customer_reference(sound.account["id"]):
            keys.append(self._customer_key(sound.account["id"]))
        new_items = [priced.line.line.product_id for priced in sound.lines if priced.item.startswith("$")]
        keys += [self._item_key(product_id) for product_id in new_items if product_id is not None]
        return [self._history.ledger(key) for key in keys]

    def _judge(
        self, deal: Mapping[str, Any], sold: SoldLines, findings: _Findings, bill: _Bill | None = None
    ) -> _SoundDeal | None:
        rules, company = self._rules, self._company
        account_id = deal["account_id"]
        account = self._accounts.get(account_id) if account_id else None
        findings.refuse(validation.no_account(account_id))
        findings.refuse(validation.account_not_found(account_id, account))
        findings.refuse(validation.account_deleted(account))
        if account is not None and account["is_deleted"]:
            account = None
        customer = self._customer_of(deal, account, findings) if account is not None else None
        if account is not None:
            receiving = payloads.addressed(account, sold.terms.bill_to)
            findings.refuse(validation.billing_address_missing(receiving, rules.required.billing_address))
        receiver, sent_to = self._receiver(deal, account, findings)
        findings.refuse(validation.contract_url_missing(deal["contract_url"], required=rules.required.contract_url))
        findings.refuse(validation.contract_url_malformed(deal["contract_url"], required=rules.required.contract_url))
        term = self._term(deal, account, sold.terms.payment_terms, findings)
        again = self._history.generation(deal["id"]) > FIRST_GENERATION or (bill is not None and bill.later)
        findings.refuse(validation.payment_status_without_invoice(deal["payment_status"], again=again))
        findings.refuse(validation.close_date_missing(deal["close_date"]))
        txn_date = deal["close_date"] if rules.invoices.invoice_date == "close_date" else self._parameters.as_of
        txn_date = bill.txn_date if bill is not None else txn_date
        findings.refuse(validation.books_closed(txn_date, company.book_close_date))
        currency = self._currency(deal, customer, account, findings)
        lines, amount = self._amounts(deal, sold, currency, findings)
        if bill is not None:
            lines = invoice_lines(bill.lines, rules.invoices)
            amount = _sum_of(lines)
        priced = self._priced(lines, txn_date, findings)
        class_id, department_id = self._classification(findings)
        if bill is None and (deal["billing_frequency"] or "").strip().casefold() not in _ONE_TIME:
            text = f"The deal says {deal['billing_frequency'].strip()} billing; one invoice over the whole deal is made."
            findings.note("billed_at_once", text)
        if deal["close_date"] is not None and deal["close_date"] > self._parameters.as_of:
            findings.note("close_date_in_future", f"The deal was won and closes on {deal['close_date']}, which is still to come.")
        if findings.reasons or account is None or customer is None or txn_date is None or currency is None:
            return None

        credit = bill is not None and bill.credit
        term = term if not credit else None
        due = due_date(term, txn_date) if term is not None else None
        values = {
            "opportunity": texts.clean(deal["name"], one_line=True),
            "account": texts.clean(account["name"], one_line=True),
            "close_date": deal["close_date"].isoformat() if deal["close_date"] is not None else "",
        }
        more = texts.filled(rules.invoices.private_note, values)
        numbered = company.custom_numbers and rules.invoices.document_number == "next"
        head = InvoiceHead(
            customer=customer,
            txn_date=txn_date,
            due_date=due,
            term_id=term.term_id if term is not None else None,
            email=sent_to if not credit else None,
            currency=currency if company.several_currencies else None,
            document_number="$next" if numbered else None,
            private_note="\n".join(
                part for part in (invoice_marker(deal["id"]), bill.note if bill is not None else "", more) if part.strip()
            ),
            customer_memo=texts.filled(rules.invoices.customer_memo, values),
            class_id=class_id,
            department_id=department_id,
            tax_calculation=None if company.american else "TaxExcluded" if company.sales_tax else "NotApplicable",
        )
        mender = Mender()
        body = payloads.invoice(head, priced, payloads.addressed(account, sold.terms.bill_to), mender)
        self._tell_mended(mender.mended, findings, refusing=True)
        if findings.reasons:
            return None
        return _SoundDeal(
            key=bill.key if bill is not None else self._history.invoice_key(deal["id"]),
            bill=bill,
            by_quote=sold.source == "cpq_quote",
            told=True,
            deal=deal,
            account=account,
            customer=customer,
            invoice=body,
            lines=tuple(priced),
            amount=amount,
            currency=currency,
            txn_date=txn_date,
            due_date=due,
            term=term,
            receiver=receiver,
            sent_to=sent_to,
            decided_from=self._decided_from(deal, account, body),
        )

    def _customer_of(self, deal: Mapping[str, Any], account: Mapping[str, Any], findings: _Findings) -> str | None:
        match = self._matches.get(account["id"])
        if match is None:
            findings.refuse(validation.customer_in_review(account["name"], "It has not been compared with QuickBooks yet."))
            return None
        if match["outcome"] == "linked" and match["customer_id"]:
            return self._billed_customer(deal, match, findings)
        if match["outcome"] == "create":
            # Created, and not read back yet: never a second time.
            line = self._history.ledger(self._customer_key(account["id"]))
            created = line.result_id if line is not None and line.status == "done" else None
            return created or _customer_reference(account["id"])
        if match["outcome"] == "ignored":
            findings.refuse(validation.customer_ignored(account["name"]))
        else:
            findings.refuse(validation.customer_in_review(account["name"], match["reason"]))
        return None

    def _billed_customer(self, deal: Mapping[str, Any], match: Mapping[str, Any], findings: _Findings) -> str | None:
        """Of several customers of one account, the one whose currency is the deal's."""
        first = str(match["customer_id"])
        customers = _customers_of(match)
        currency = _code(deal["currency"]) or self._company.org_currency
        if len(customers) < 2 or currency is None:
            return first
        currency_of = {one: _code(row["currency"]) or self._company.home_currency for one, row in customers.items()}
        fitting = [one for one, code in currency_of.items() if code == currency]
        if first in fitting or len(fitting) == 1:
            return first if first in fitting else fitting[0]
        told = [f"{row['display_name'] or one} ({currency_of[one]})" for one, row in customers.items()]
        if fitting:
            told = [str(customers[one]["display_name"] or one) for one in fitting]
            findings.refuse(validation.several_customers_in_currency(currency, told, match["account_id"]))
        else:
            findings.refuse(validation.no_customer_in_currency(currency, told, match["account_id"]))
        return None

    def _receiver(
        self, deal: Mapping[str, Any], account: Mapping[str, Any] | None, findings: _Findings
    ) -> tuple[BillTo, str | None]:
        required = self._rules.required.billing_email
        receiver = bill_to(account, self._roles.get(deal["id"], []), self._rules.salesforce.bill_to_roles)
        if receiver.doubt is not None:
            findings.note("bill_to_doubtful", receiver.doubt)
        if account is not None:
            findings.refuse(validation.billing_email_missing(account["name"], receiver.email, required=required))
        malformed = validation.billing_email_malformed(receiver.email)
        if required:
            findings.refuse(malformed)
        sent_to = texts.deliverable_email(receiver.email) if receiver.email else None
        if sent_to is None and not required and self._sends:
            findings.note("not_e_mailed", malformed.text if malformed else "The invoice is not e-mailed: nobody receives it.")
        return receiver, sent_to

    @property
    def _sends(self) -> bool:
        return self._rules.invoices.send == "send" and self._parameters.send

    def _term(
        self, deal: Mapping[str, Any], account: Mapping[str, Any] | None, quoted: str | None, findings: _Findings
    ) -> Term | None:
        named = ((account or {}).get("payment_terms") or "").strip()
        name = (
            (quoted or "").strip() or (deal["payment_terms"] or "").strip() or named or self._rules.invoices.default_terms.strip()
        )
        findings.refuse(validation.payment_terms_missing(name, required=self._rules.required.payment_terms))
        if not name:
            return None
        term = find_term(name, self._company.terms)
        if term is None:
            findings.refuse(validation.payment_terms_unknown(name, [known.name for known in self._company.terms]))
        return term

    def _currency(
        self, deal: Mapping[str, Any], customer: str | None, account: Mapping[str, Any] | None, findings: _Findings
    ) -> str | None:
        company = self._company
        currency = _code(deal["currency"]) or company.org_currency
        findings.refuse(validation.currency_unknown(currency))
        refused = validation.currency_not_in_quickbooks(currency, company.home_currency, several=company.several_currencies)
        findings.refuse(refused)
        if refused is None and customer is not None and account is not None:
            new = self._new_customers.get(account["id"])
            known = self._customers.get(customer)
            if new is not None:
                findings.refuse(validation.currency_differs_from_customer(currency, new.currency, account["name"], account["id"]))
            elif known is not None:
                expected = _code(known["currency"]) or company.home_currency
                findings.refuse(
                    validation.currency_differs_from_customer(currency, expected, known["display_name"], account["id"])
                )
        return currency

    def _amounts(
        self, deal: Mapping[str, Any], sold: SoldLines, currency: str | None, findings: _Findings
    ) -> tuple[list[InvoiceLine], Decimal]:
        for reason in sold.reasons:
            findings.refuse(reason)
        for code, text in sold.notes:
            findings.note(code, text)
        lines = [one.line for one in sold.lines]
        billed = invoice_lines(lines, self._rules.invoices)
        amount = _sum_of(billed)
        if not any(reason.code == "line_without_amount" for reason in sold.reasons):
            findings.refuse(validation.amount_not_positive(amount, currency, lines))
            # A quote proves its lines by its own total; the deal's amount may count otherwise, such as by the year.
            whole = sold.source != "cpq_quote"
            differs = validation.amount_differs(deal["amount"], [line.total for line in lines], currency) if whole else None
            if differs is not None:
                too_much, text = differs
                if too_much:
                    findings.refuse(validation.amount_refused(text))
                else:
                    findings.note("amount_rounded", f"{text} The products count.")
        if self._rules.invoices.negative_lines == "refuse":
            findings.refuse(validation.negative_line([line.line.label for line in billed if line.amount < 0]))
        return billed, amount

    def _priced(self, lines: Sequence[InvoiceLine], txn_date: date | None, findings: _Findings) -> list[PricedLine]:
        rules = self._rules.invoices
        priced: list[PricedLine] = []
        for line in lines:
            found = self._company.items.find(line.line)
            if isinstance(found, Reason):
                findings.refuse(found)
                continue
            reference = self._item_of(found, findings)
            tax_code = self._tax_code(found, findings)
            service_date = {
                "line": line.line.service_date,
                "line_or_invoice_date": line.line.service_date or txn_date,
                "none": None,
            }[rules.service_date]
            if line.rate is None and line.line.quantity:
                quantity = f"{plain(line.line.quantity):f} of {line.line.label}"
                findings.note("amount_only", f"No rate gives {line.amount} for {quantity}: only the amount is billed.")
            priced.append(
                PricedLine(
                    line=line,
                    item=reference,
                    tax_code=tax_code,
                    class_id=self._line_class(line.line, findings),
                    description=described(line, rules),
                    service_date=service_date,
                )
            )
        return priced

    def _item_of(self, found: Item | MissingItem, findings: _Findings) -> str:
        if isinstance(found, Item):
            return found.item_id
        wanted = self._rules.items.income_account.strip()
        if self._company.income_account_id(wanted) is None:
            findings.refuse(validation.income_account_unknown(wanted))
        product_id = found.line.product_id or ""
        line = self._history.ledger(self._item_key(product_id))
        created = line.result_id if line is not None and line.status == "done" else None
        return created or _item_reference(product_id)

    def _tax_code(self, found: Item | MissingItem, findings: _Findings) -> str | None:
        rules, company = self._rules.tax, self._company
        item = found if isinstance(found, Item) else None
        if company.american:
            by_item = item is not None and item.taxable
            taxable = {"item": by_item, "taxable": True, "non_taxable": False}[rules.lines]
            return "TAX" if taxable and company.sales_tax else "NON"
        if not company.sales_tax:
            return None
        own = company.tax_code_id(item.tax_code_id) if item is not None and rules.lines == "item" else None
        code = own or company.tax_code_id(rules.code.strip())
        if code is None:
            label = item.full_name if item is not None else (found.line.label if isinstance(found, MissingItem) else "")
            findings.refuse(validation.tax_code_missing(label, rules.code.strip()))
        return code

    def _line_class(self, line: DealLine, findings: _Findings) -> str | None:
        name = (line.class_name or "").strip() or self._rules.invoices.line_class.strip()
        if not name or not self._company.class_per_line:
            return None
        class_id = self._company.class_id(name)
        if class_id is None:
            findings.refuse(validation.class_unknown(name))
        return class_id

    def _classification(self, findings: _Findings) -> tuple[str | None, str | None]:
        """Class and location of the whole invoice, where the company keeps them."""
        class_id = department_id = None
        name = self._rules.invoices.line_class.strip()
        if name and self._company.class_per_transaction and not self._company.class_per_line:
            class_id = self._company.class_id(name)
            if class_id is None:
                findings.refuse(validation.class_unknown(name))
        name = self._rules.invoices.department.strip()
        if name and self._company.departments:
            department_id = self._company.department_id(name)
            if department_id is None:
                findings.refuse(validation.department_unknown(name))
        return class_id, department_id

    def _tell_mended(self, mended: Iterable[Mended], findings: _Findings, *, refusing: bool = False) -> None:
        for text in mended:
            if refusing and text.shortened and text.free_text and self._rules.invoices.long_text == "refuse":
                findings.refuse(validation.text_too_long(text.what, text.length, text.limit))
            elif text.shortened:
                findings.note("text_shortened", f"The {text.what} has {text.length} characters; {text.limit} were kept.")
            else:
                findings.note("characters_removed", f"Characters that cannot be printed were taken out of the {text.what}.")

    def _decided_from(self, deal: Mapping[str, Any], account: Mapping[str, Any], body: Mapping[str, Any]) -> str:
        """Hash of what was used of the sources, with the closing date: when the books are opened again, that is a change."""
        used = {
            "deal": [deal["name"], account["name"], deal["contract_url"], deal["billing_frequency"]],
            "close_date": str(deal["close_date"]),
            "books_closed": str(self._company.book_close_date),
            "invoice": _canonical(body, deal["account_id"], self._created_customer(deal["account_id"]), self._created_items()),
        }
        return _hash(to_json(used, sort_keys=True))

    def _customer_term(self, sound: _SoundDeal) -> str | None:
        own = find_term(sound.account["payment_terms"] or "", self._company.terms) if sound.account["payment_terms"] else None
        chosen = own or sound.term
        return chosen.term_id if chosen is not None else None

    # Then what follows is written down

    def write_all(self) -> None:
        """Rows of the plan: what deals share before the first that needs it, then each deal's own writes."""
        names = self._customer_names()
        item_names = self._item_names()
        shared: set[str] = set()
        told: set[str] = set()
        for sound, findings in self._sound:
            self._write_deal(sound, findings, names, item_names, shared, told)
            for code, text in findings.notes:
                self._put_note(sound.deal["id"], code, text)
        for deal, found in self._adoptions:
            self._write_adoption(deal, found)
        for deal, sends, newest in self._period_adoptions:
            self._write_period_adoption(deal, sends, newest)
        for deal, question in self._questions:
            self._write_question(deal, question)
        self._repeat_account_write_backs(told)

    def _write_deal(
        self,
        sound: _SoundDeal,
        findings: _Findings,
        names: Mapping[str, str],
        item_names: Mapping[str, str],
        shared: set[str],
        told: set[str],
    ) -> None:
        deal, account_id = sound.deal, sound.account["id"]
        rows: list[dict[str, Any]] = []
        needs: list[str] = []
        customer_name = names.get(account_id) or (self._customers.get(sound.customer) or {}).get("display_name")
        customer_name = customer_name or sound.account["name"]
        customer_key = self._customer_key(account_id)
        if sound.customer == _customer_reference(account_id):
            needs.append(customer_key)
            if customer_key not in shared:
                shared.add(customer_key)
                rows.append(self._customer_row(account_id, names, findings))
        for priced in sound.lines:
            line = priced.line.line
            if line.product_id is None or priced.item != _item_reference(line.product_id):
                continue
            key = self._item_key(line.product_id)
            if key not in needs:
                needs.append(key)
            if key not in shared:
                shared.add(key)
                rows.append(self._item_row(line, item_names[line.product_id], findings))

        invoice_key, bill = sound.key, sound.bill
        common = {
            "source_object": "Opportunity",
            "source_id": deal["id"],
            "account_id": account_id,
            "opportunity_id": deal["id"],
            "label": _deal_name(deal) + (f" ({bill.name})" if bill is not None else ""),
            "customer_name": customer_name,
            "amount": sound.amount,
            "currency": sound.currency,
            "txn_date": sound.txn_date,
            "due_date": sound.due_date,
        }
        due = f", due {sound.due_date}" if sound.due_date is not None else ""
        terms = f", {sound.term.name}" if sound.term is not None else ""
        lines = "1 line" if len(sound.lines) == 1 else f"{len(sound.lines)} lines"
        lines += " of its primary quote" if sound.by_quote else ""
        why = bill.why if bill is not None else f"The deal was won on {deal['close_date']} and has no invoice"
        credit = bill is not None and bill.credit
        if credit:
            common["amount"] = -sound.amount
        own = [
            self._row(
                "create_credit_memo" if credit else "create_invoice",
                "CreditMemo" if credit else "Invoice",
                invoice_key,
                needs,
                sound.invoice,
                f"{why}: {lines}, {format_amount(sound.amount, sound.currency)}{terms}{due}.",
                decided_from=sound.decided_from,
                **common,
            )
        ]
        if self._sends and sound.sent_to is not None and not credit:
            own.append(
                self._row(
                    "send_invoice",
                    "Invoice",
                    invoice_key.replace(":invoice:", ":send:", 1),
                    [invoice_key],
                    {"Id": "$invoice.Id", "BillEmail": {"Address": sound.sent_to}},
                    f"QuickBooks mails the invoice to {sound.sent_to} ({sound.receiver.source}).",
                    **common,
                )
            )
        if sound.told:
            only_one = bill is None or not bill.later
            payload = payloads.opportunity_write_back(deal["id"], self._rules.salesforce.opportunity, only_one=only_one)
            own.append(
                self._row(
                    "write_back_opportunity",
                    "Opportunity",
                    self._write_back_key("opportunity", deal["id"], payload, invoice_key if bill is not None else None),
                    [invoice_key],
                    payload,
                    f"The deal is told number, link{', status and balance' if only_one else ''} of its invoice.",
                    **common,
                )
            )
        rows += own
        told_row = self._account_row(sound, customer_key, customer_name, told)
        rows += [told_row] if told_row is not None else []
        self._put_writes(rows, self._plan_id(own, account_id))

    def _customer_row(self, account_id: str, names: Mapping[str, str], findings: _Findings) -> dict[str, Any]:
        new, name = self._new_customers[account_id], names[account_id]
        account = new.account
        parent, needs = self._parent(account, new.currency, findings)
        mender = Mender()
        of_account = (pl.col("account_id") == account_id) & ~pl.col("is_deleted").fill_null(False)
        contacts = self._inputs.contact.filter(of_account).select("first_name", "last_name", "email", "is_deleted")
        body = customer_payloads.customer(
            account,
            name,
            contacts=contacts.to_dicts(),
            email=new.email,
            term_id=new.term_id,
            currency=new.currency if self._company.several_currencies else None,
            parent=parent,
            mender=mender,
        )
        self._tell_mended([text for text in mender.mended if not text.what.startswith("billing ")], findings)
        if name != account["name"]:
            findings.note(
                "customer_name_mended",
                f"QuickBooks will call the customer “{name}”: it does not take “{account['name']}”.",
            )
        if account["phone"] and "PrimaryPhone" not in body:
            findings.note("phone_left_out", f"The phone number “{account['phone']}” is longer than QuickBooks takes.")
        return self._row(
            "create_customer",
            "Customer",
            self._customer_key(account_id),
            needs,
            body,
            f"QuickBooks has no customer for the account; it is created for the deal “{new.deal_name}”.",
            source_object="Account",
            source_id=account_id,
            account_id=account_id,
            label=name,
            customer_name=name,
            currency=new.currency,
        )

    def _parent(self, account: Mapping[str, Any], currency: str, findings: _Findings) -> tuple[str | None, list[str]]:
        """The parent customer by rule, and the key that must be done before, if it is created in the same push."""
        parent_id = account["parent_id"]
        if self._rules.customers.parent_accounts != "sub_customer" or not parent_id or self._is_ring(account):
            return None, []
        match = self._matches.get(parent_id)
        new = self._new_customers.get(parent_id)
        parent: str | None = None
        needs: list[str] = []
        other: str | None = None
        if new is not None:
            parent, needs, other = _customer_reference(parent_id), [self._customer_key(parent_id)], new.currency
        elif match is not None and match["outcome"] == "linked":
            parent = match["customer_id"]
            other = _code((self._customers.get(parent or "") or {}).get("currency")) or self._company.home_currency
        if parent is not None and other is not None and other != currency:
            findings.note("parent_left_out", f"The parent customer is billed in {other}: the new customer stands alone.")
            return None, []
        return parent, needs

    def _is_ring(self, account: Mapping[str, Any]) -> bool:
        """Whether the account is, through its parents, its own parent: then nobody comes first."""
        seen = {account["id"]}
        parent_id = account["parent_id"]
        while parent_id:
            if parent_id in seen:
                return True
            seen.add(parent_id)
            parent_id = (self._accounts.get(parent_id) or {}).get("parent_id")
        return False

    def _item_row(self, line: DealLine, name: str, findings: _Findings) -> dict[str, Any]:
        product_id = line.product_id or ""
        mender = Mender()
        income_account = self._company.income_account_id(self._rules.items.income_account.strip()) or ""
        body = payloads.item(name, line.product_code, line.product_description, income_account, mender)
        self._tell_mended(mender.mended, findings)
        return self._row(
            "create_item",
            "Item",
            self._item_key(product_id),
            [],
            body,
            f"QuickBooks has no item for the product “{line.label}”, and the rules say that it is created.",
            source_object="Product2",
            source_id=product_id,
            label=name,
        )

    def _account_row(
        self, sound: _SoundDeal, customer_key: str, customer_name: str | None, told: set[str]
    ) -> dict[str, Any] | None:
        """What tells the account its customer, once, where it does not hold it and no other account does."""
        account_id = sound.account["id"]
        if account_id in told:
            return None
        told.add(account_id)
        new = sound.customer == _customer_reference(account_id)
        match = self._matches[account_id]
        # Of several customers, whatever the currency of this deal, the first one.
        customer_id = str(match["customer_id"]) if match["outcome"] == "linked" else sound.customer
        if not new and not self._is_to_be_told(account_id, customer_id):
            return None
        payload = payloads.account_write_back(account_id, "$customer.Id" if new else customer_id, self._rules.salesforce.account)
        return self._row(
            "write_back_account",
            "Account",
            self._account_key(account_id, payload),
            [customer_key] if new else [],
            payload,
            "The account is told the id of its QuickBooks customer.",
            source_object="Account",
            source_id=account_id,
            account_id=account_id,
            label=customer_name,
            customer_name=customer_name,
        )

    def _is_to_be_told(self, account_id: str, customer_id: str) -> bool:
        if (self._accounts[account_id]["customer_id"] or "").strip() == customer_id:
            return False
        if customer_id in self._held_customers:
            # The field is unique in Salesforce: a second account cannot hold the same customer.
            return False
        own = payloads.account_write_back(account_id, "$customer.Id", self._rules.salesforce.account)
        waiting = self._history.write_backs(account_id).get(self._account_key(account_id, own))
        return waiting not in ("planned", "sending", "failed", "dead")

    def _account_key(self, account_id: str, payload: Mapping[str, Any]) -> str:
        """The key of telling an account its customer. In place of another id it is a write of its own, once for each
        decision: where something in the org puts the old id back, that is not fought over."""
        stored = (self._accounts[account_id]["customer_id"] or "").strip()
        if not stored:
            return self._write_back_key("account", account_id, payload)
        decided_at = self._matches[account_id].get("decided_at")
        return self._write_back_key("account", account_id, {**payload, "": [stored, str(decided_at or "")]})

    def _repeat_account_write_backs(self, told: set[str]) -> None:
        """Accounts whose telling waits in the ledger while none of their deals is planned any more, and accounts that hold
        the id of a customer that they are not: a person decided otherwise, or it was merged."""
        for account_id, match in self._matches.items():
            account = self._accounts.get(account_id)
            if account_id in told or account is None or match["outcome"] != "linked":
                continue
            stored = (account["customer_id"] or "").strip()
            written = self._history.write_backs(account_id)
            if not written and stored in ("", match["customer_id"]):
                continue
            payload = payloads.account_write_back(account_id, match["customer_id"], self._rules.salesforce.account)
            key = self._account_key(account_id, payload)
            waits = written.get(key) in ("planned", "failed") or (stored and written.get(key) in (None, "withdrawn"))
            if not waits or not self._is_to_be_told(account_id, match["customer_id"]):
                continue
            row = self._row(
                "write_back_account",
                "Account",
                key,
                [],
                payload,
                "The account is told the id of its QuickBooks customer.",
                source_object="Account",
                source_id=account_id,
                account_id=account_id,
                label=account["name"],
            )
            self._put_writes([row], self._plan_id([row], account_id))

    def _write_adoption(self, deal: Mapping[str, Any], found: Mapping[str, Any]) -> None:
        payload = self._adoption(deal, found, only_one=True)
        rows: list[dict[str, Any]] = []
        if self._is_still_to_be_mailed(deal, found):
            rows.append(self._late_send(deal, found, self._history.invoice_key(deal["id"])))
            payload[self._rules.salesforce.opportunity.payment_status] = "$invoice.status"
        key = self._write_back_key("opportunity", deal["id"], payload)
        rows.append(self._late_telling(deal, found, key, payload, [before["key"] for before in rows]))
        self._put_writes(rows, self._plan_id(rows, deal["account_id"]))

    def _write_period_adoption(
        self,
        deal: Mapping[str, Any],
        sends: Sequence[tuple[str, Mapping[str, Any]]],
        newest: Mapping[str, Any] | None,
    ) -> None:
        rows = [self._late_send(deal, found, key) for key, found in sends]
        if newest is not None:
            payload = self._adoption(deal, newest, only_one=False)
            rows.append(self._late_telling(deal, newest, self._write_back_key("opportunity", deal["id"], payload), payload, []))
        self._put_writes(rows, self._plan_id(rows, deal["account_id"]))

    def _write_question(self, deal: Mapping[str, Any], question: Question) -> None:
        row = self._row(
            "change_schedule",
            "BillingSchedule",
            question.key,
            [],
            change_body(question.agreed),
            question.sentence,
            decided_from=_hash(question.key),
            amount=question.amount,
            **{**self._adopted(deal), "currency": question.currency or self._company.org_currency},
        )
        self._put_writes([row], plan_id_of(question.key))

    def _adoption(self, deal: Mapping[str, Any], found: Mapping[str, Any], *, only_one: bool) -> dict[str, Any]:
        link = self._parameters.invoice_link.replace("{id}", found["id"])
        return payloads.opportunity_adoption(deal["id"], found, link, self._rules.salesforce.opportunity, only_one=only_one)

    def _adopted(self, deal: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "source_object": "Opportunity",
            "source_id": deal["id"],
            "account_id": deal["account_id"],
            "opportunity_id": deal["id"],
            "label": _deal_name(deal),
            "customer_name": self._account_name(deal["account_id"]),
            "currency": _code(deal["currency"]) or self._company.org_currency,
        }

    def _late_send(self, deal: Mapping[str, Any], found: Mapping[str, Any], invoice_key: str) -> dict[str, Any]:
        number = found["doc_number"] or f"id {found['id']}"
        return self._row(
            "send_invoice",
            "Invoice",
            invoice_key.replace(":invoice:", ":send:", 1),
            [],
            {"Id": found["id"], "BillEmail": {"Address": found["bill_email"]}},
            f"QuickBooks has invoice {number} for the deal, and did not mail it to {found['bill_email']} yet.",
            amount=found["total"],
            due_date=found["due_date"],
            **self._adopted(deal),
        )

    def _late_telling(
        self,
        deal: Mapping[str, Any],
        found: Mapping[str, Any],
        key: str,
        payload: Mapping[str, Any],
        depends_on: Sequence[str],
    ) -> dict[str, Any]:
        number = found["doc_number"] or f"id {found['id']}"
        return self._row(
            "write_back_opportunity",
            "Opportunity",
            key,
            depends_on,
            payload,
            f"QuickBooks has invoice {number} for the deal, and the deal does not know it yet.",
            **self._adopted(deal),
        )

    def _is_still_to_be_mailed(self, deal: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
        """Whether an adopted invoice is one that this program made, and lost sight of before it was mailed.

        Such a one carries the marker and an address, is open, and its deal is none from before go-live.
        """
        ours = bool(found["opportunity_id"]) and bool(found["bill_email"]) and not self._is_old(deal)
        is_open = found["status"] == "live" and bool(found["balance"]) and found["email_status"] != "EmailSent"
        return self._sends and ours and is_open

    # Names that must be free

    def _customer_names(self) -> dict[str, str]:
        """DisplayName of each customer to be created: unique over customers, vendors and employees, and over this plan.

        Names are given in the order of account ids, those on their way first, so that they do not change between plans.
        """
        taken: set[str] = set()
        if self._new_customers:
            for frame in (self._inputs.customer, self._inputs.vendor, self._inputs.employee):
                in_use = frame.filter(~pl.col("is_deleted").fill_null(False) & pl.col("display_name").is_not_null())
                for name, active in in_use.select("display_name", "active").iter_rows():
                    taken.add(name_key(name))
                    if active is False:
                        # What was made inactive keeps its name reserved, whatever QuickBooks shows.
                        taken.add(name_key(name.removesuffix("(deleted)")))
        return self._named(
            [
                (account_id, self._customer_key(account_id), new.account["name"])
                for account_id, new in self._new_customers.items()
            ],
            taken,
        )

    def _item_names(self) -> dict[str, str]:
        taken: set[str] = set()
        for item in self._company.items.items:
            taken |= {name_key(item.name), name_key(item.full_name)}
        return self._named(
            [
                (product_id, self._item_key(product_id), line.product_name or line.product_code or line.label)
                for product_id, line in self._new_items.items()
            ],
            taken,
        )

    def _named(self, wanted: Iterable[tuple[str, str, str | None]], taken: set[str]) -> dict[str, str]:
        def order(entry: tuple[str, str, str | None]) -> tuple[bool, str]:
            line = self._history.ledger(entry[1])
            return line is None or line.status != "sending", entry[0]

        names: dict[str, str] = {}
        for record_id, _, wish in sorted(wanted, key=order):
            legal, _ = legal_display_name(wish)
            names[record_id] = unique_name(legal, taken, self._rules.customers.taken_name_suffix)
            taken.add(name_key(names[record_id]))
        return names

    # Keys and rows

    def _customer_key(self, account_id: str) -> str:
        """The key of the account's customer. Where a person said that the account is not the one that was created for it,
        another one may be, once more."""
        rejected = (self._matches.get(account_id) or {}).get("rejected") or "[]"
        again, number = "", 1
        while True:
            key = f"quickbooks:{self._parameters.realm_id}:{again}customer:{account_id}"
            line = self._history.ledger(key)
            if line is None or line.status != "done" or line.result_id not in parse_json(rejected):
                return key
            number += 1
            again = f"{number}:"

    def _item_key(self, product_id: str) -> str:
        return f"quickbooks:{self._parameters.realm_id}:item:{product_id}"

    def _write_back_key(self, kind: str, record_id: str, payload: Mapping[str, Any], invoice_key: str | None = None) -> str:
        """The key of telling a record. Of a deal with several invoices it names the period, for the payload is the same."""
        content = _hash(to_json(payload, sort_keys=True))[:12]
        sign = f"{_period_sign(invoice_key)}:" if invoice_key is not None else ""
        return f"salesforce:{self._parameters.organization_id}:{kind}:{record_id}:{sign}{content}"

    def _created_customer(self, account_id: str) -> str | None:
        line = self._history.ledger(self._customer_key(account_id))
        return line.result_id if line is not None and line.status == "done" else None

    def _created_items(self) -> dict[str, str]:
        """Items that the program created: id -> reference."""
        return self._history.created_items

    def _plan_id(self, rows: Sequence[Mapping[str, Any]], account_id: str | None) -> str:
        created = self._created_customer(account_id) if account_id else None
        content = [[row["key"], _canonical(row["body"], account_id, created, self._created_items())] for row in rows]
        return f"P-{_hash(to_json(content, sort_keys=True))[:10]}"

    def _row(
        self,
        operation: str,
        target_object: str,
        key: str,
        depends_on: Sequence[str],
        body: Mapping[str, Any],
        reason: str,
        *,
        decided_from: str | None = None,
        **values: Any,
    ) -> dict[str, Any]:
        payload = to_json(body)
        return {
            "flow": FLOW,
            "operation": operation,
            "target_system": _SYSTEMS.get(target_object, "quickbooks"),
            "target_object": target_object,
            "key": key,
            "depends_on": " ".join(depends_on),
            "payload": payload,
            "body": body,
            "reason": reason,
            "decided_from": decided_from or _hash(f"{key}\n{payload}"),
            **values,
        }

    def _put_writes(self, rows: Sequence[dict[str, Any]], plan_id: str) -> None:
        self.writes += [{**row, "plan_id": plan_id, "position": position} for position, row in enumerate(rows, start=1)]

    def _put_deal(self, deal: Mapping[str, Any], outcome: str, detail: str) -> None:
        self.deals.append({**self._facts(deal), "close_date": deal["close_date"], "outcome": outcome, "detail": detail})

    def _put_refusals(self, deal: Mapping[str, Any], reasons: Sequence[Reason]) -> None:
        self.refusals += [
            {
                **self._facts(deal),
                "code": reason.code,
                "reason": reason.text,
                "remedy": reason.remedy,
                "position": position,
            }
            for position, reason in enumerate(reasons, start=1)
        ]

    def _put_note(self, opportunity_id: str, code: str, text: str) -> None:
        self.notes.append({"opportunity_id": opportunity_id, "code": code, "text": text})

    def _facts(self, deal: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "opportunity_id": deal["id"],
            "deal": deal["name"],
            "account_id": deal["account_id"],
            "account_name": self._account_name(deal["account_id"]),
            "owner_id": deal["owner_id"],
            "amount": deal["amount"],
            "currency": _code(deal["currency"]) or self._company.org_currency,
        }

    def _account_name(self, account_id: str | None) -> str | None:
        return (self._accounts.get(account_id or "") or {}).get("name")


def _sum_of(lines: Sequence[InvoiceLine]) -> Decimal:
    with localcontext(prec=60):
        return to_cents(sum((line.amount for line in lines), Decimal(0)))


def _period_sign(invoice_key: str) -> str:
    """Generation and period of the key of a period's invoice."""
    return "-".join(invoice_key.split(":")[-2:])


def _canonical(
    body: Mapping[str, Any], account_id: str | None, created_customer: str | None, created_items: Mapping[str, str]
) -> dict[str, Any]:
    """The body with references to what the program created as they were before it did."""
    canonical = dict(body)
    if account_id and created_customer and body.get("CustomerRef") == {"value": created_customer}:
        canonical["CustomerRef"] = {"value": _customer_reference(account_id)}
    if created_items and "Line" in body:
        lines = []
        for line in body["Line"]:
            detail = line["SalesItemLineDetail"]
            item = detail["ItemRef"]["value"]
            lines.append({**line, "SalesItemLineDetail": {**detail, "ItemRef": {"value": created_items.get(item, item)}}})
        canonical["Line"] = lines
    return canonical


def _customers_of(match: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Every customer of a linked account, by id, the first one first: display_name and currency."""
    return {str(one["customer_id"]): one for one in parse_json(match["customers"] or "[]")}


def _customer_reference(account_id: str) -> str:
    return f"$customer:{account_id}"


def _item_reference(product_id: str) -> str:
    return f"$item:{product_id}"


def _deal_name(deal: Mapping[str, Any]) -> str:
    return texts.clean(deal["name"], one_line=True) or str(deal["id"])


def _code(currency: str | None) -> str | None:
    return (currency or "").strip().upper() or None


def _first(frame: pl.DataFrame) -> dict[str, Any]:
    live = frame.filter(~pl.col("is_deleted").fill_null(False))
    return live.row(0, named=True) if live.height else {}


def _only_currency(inputs: InvoiceInputs) -> str | None:
    """The one currency that customers and accounts of the company name, where its preferences tell none."""
    for frame in (inputs.quickbooks_account, inputs.customer):
        found = {_code(currency) for currency in frame.get_column("currency").unique().to_list()} - {None}
        if len(found) == 1:
            return found.pop()
    return None


def _names(frame: pl.DataFrame) -> dict[str, str]:
    """Id by name and full name of what is active, in the form in which names are compared; ambiguous names are left out."""
    live = frame.filter(~pl.col("is_deleted").fill_null(False) & pl.col("active").fill_null(True)).sort("id")
    columns = [column for column in ("name", "fully_qualified_name") if column in live.columns]
    found: dict[str, set[str]] = defaultdict(set)
    for column in columns:
        for record_id, name in live.select("id", column).iter_rows():
            if name:
                found[name_key(name)].add(record_id)
    return {name: next(iter(ids)) for name, ids in found.items() if len(ids) == 1}


def _grouped(frame: pl.DataFrame, column: str) -> dict[str, list[dict[str, Any]]]:
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in frame.iter_rows(named=True):
        groups[row[column]].append(row)
    return dict(groups)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()
