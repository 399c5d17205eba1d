"""Deals with invoices, and what is applied to them, as the payments flow gets them; and a plan's effect on them.

Statuses are worked out here in the plainest way, from the totals and what is applied, so that a test says only what happened.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl

from qbsf_pipeline.money import parse_json
from qbsf_pipeline.payments.plan import (
    DOCUMENTS,
    KNOWN_DEALS,
    LEDGER,
    PaymentInputs,
    PaymentParameters,
    PaymentPlan,
    deal_payments_of,
    payment_events_of,
    plan_payments,
)
from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.receivables.tables import APPLICATIONS, INVOICES
from qbsf_pipeline.salesforce import objects as salesforce
from qbsf_pipeline.settings import Rules, load_rules
from qbsf_pipeline.state.deal_payments import DealPayment
from qbsf_pipeline.state.payment_events import PaymentEvent
from qbsf_pipeline_tests.invoices.records import ORG, frame, opportunity, record_id, state_frame

TODAY = date(2026, 11, 20)
STARTED = datetime(2026, 11, 1, 8, tzinfo=UTC)
DEAL = record_id("006", 1)
PACKAGED = load_rules()
STAGES = ("Closed Won", "Paid", "Delivered", "Closed Lost", "Negotiation")


def rules(paid_stage: str = "", **payments: Any) -> Rules:
    """The packaged rules with some of ``[payments]`` changed."""
    changed = PACKAGED.payments.model_copy(update={"paid_stage": paid_stage, **payments})
    return PACKAGED.model_copy(update={"payments": changed})


def stages() -> list[dict[str, Any]]:
    """Stages of the org: three won ones, a lost one, an open one."""
    return [
        {
            "id": record_id("01J", number),
            "api_name": name,
            "label": name,
            "is_won": number <= 3,
            "is_closed": number <= 4,
            "is_active": True,
        }
        for number, name in enumerate(STAGES, start=1)
    ]


@dataclass
class Invoice:
    """An invoice; ``condition`` is live, voided or deleted."""

    deal: str | None
    total: Decimal
    number: str | None
    currency: str = "USD"
    emailed: bool = True
    condition: str = "live"
    explained: bool = True
    created_at: datetime = STARTED - timedelta(days=60)
    changed_at: datetime = STARTED


@dataclass
class Source:
    """A payment or another document, and what it gives to which invoice."""

    document: str
    applied: dict[str, Decimal]
    on: date
    number: str | None
    condition: str = "live"
    created_at: datetime = STARTED + timedelta(days=1)
    changed_at: datetime = STARTED + timedelta(days=1)


@dataclass
class Books:
    """Both systems and the state's memory."""

    rules: Rules = PACKAGED
    go_live: date | None = date(2026, 10, 1)
    watching_since: datetime | None = STARTED
    deals: dict[str, dict[str, Any]] = field(default_factory=dict)
    invoices: dict[str, Invoice] = field(default_factory=dict)
    sources: dict[str, Source] = field(default_factory=dict)
    users: list[dict[str, Any]] = field(
        default_factory=lambda: [{"id": record_id("005"), "name": "Sam Seller", "email": "Sam@Ours.example", "is_active": True}]
    )
    stages: list[dict[str, Any]] = field(default_factory=stages)
    org_currency: str | None = "USD"
    known: dict[str, DealPayment] = field(default_factory=dict)
    ledger: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    told: dict[str, PaymentEvent] = field(default_factory=dict)
    now: datetime = STARTED + timedelta(days=2)
    made: int = 100
    to_come: dict[str, int] = field(default_factory=dict)

    # What happens

    def deal(self, number: int = 1, **values: Any) -> str:
        """A won deal; Salesforce shows no payment fields yet."""
        made = opportunity(number, source_modified_at=STARTED, **values)
        self.deals[made["id"]] = made
        return str(made["id"])

    def invoice(self, total: str = "1000.00", deal: str | None = DEAL, number: str | None = "", **values: Any) -> str:
        """An invoice for a deal, which is made where it is missing."""
        if deal is not None and deal not in self.deals:
            self.deal(int(deal[3:15]))
        self.made += 1
        shown = str(1000 + self.made) if number == "" else number
        self.invoices[str(self.made)] = Invoice(deal, Decimal(total), shown, **values)
        return str(self.made)

    def pay(self, *applied: tuple[str, str], document: str = "payment", on: date = date(2026, 11, 15), **values: Any) -> str:
        """A payment, or another document, over one invoice or several."""
        self.made += 1
        given = {invoice_id: Decimal(amount) for invoice_id, amount in applied}
        source = Source(document, given, on, values.pop("number", f"CHK-{self.made}"), **values)
        self.sources[str(self.made)] = source
        return str(self.made)

    def take_back(self, source_id: str, condition: str) -> None:
        """Void or delete a document: nothing of it is applied any more."""
        source = self.sources[source_id]
        source.applied, source.condition, source.changed_at = {}, condition, self.now

    def drop(self, invoice_id: str, condition: str) -> None:
        """Void or delete an invoice: what was applied to it is free again."""
        invoice = self.invoices[invoice_id]
        invoice.condition, invoice.changed_at = condition, self.now
        if condition == "voided":
            invoice.total = Decimal("0.00")
        for source in self.sources.values():
            source.applied.pop(invoice_id, None)

    # Reading

    def invoice_row(self, invoice_id: str) -> dict[str, Any]:
        invoice = self.invoices[invoice_id]
        mine = [
            (source.document, source.applied[invoice_id], source.on)
            for source in self.sources.values()
            if invoice_id in source.applied
        ]
        paid = sum((amount for document, amount, _ in mine if document in ("payment", "deposit")), Decimal(0))
        credited = sum((amount for document, amount, _ in mine if document not in ("payment", "deposit")), Decimal(0))
        left = invoice.total - paid - credited
        if invoice.condition != "live":
            status = invoice.condition.capitalize()
        elif left > 0:
            status = "Partially Paid" if paid or credited else "Sent" if invoice.emailed else "Invoiced"
        else:
            status = "Overpaid" if left < 0 else "Paid" if paid else "Credited"
        days = [on for _, _, on in mine]
        return {
            "invoice_id": invoice_id,
            "doc_number": invoice.number,
            "customer_id": "1",
            "opportunity_id": invoice.deal,
            "linked_by": "marker" if invoice.deal else None,
            "txn_date": date(2026, 10, 15),
            "due_date": date(2026, 11, 14),
            "total": invoice.total,
            "balance": left,
            "currency": invoice.currency,
            "paid": paid,
            "credited": credited,
            "open": left,
            "status": status,
            "status_reason": f"It is {status}.",
            "last_payment_on": max((on for document, _, on in mine if document == "payment"), default=None),
            "first_paid_in_full_on": max(days, default=None) if left <= 0 else None,
            "emailed": invoice.emailed,
            "explained": invoice.explained,
        }

    def application_rows(self) -> list[dict[str, Any]]:
        return [
            {
                "application_id": f"{source_id}>{invoice_id}",
                "invoice_id": invoice_id,
                "source_type": source.document,
                "source_id": source_id,
                "applied_on": source.on,
                "amount": amount,
                "currency": self.invoices[invoice_id].currency,
                "effect": "paid" if source.document == "payment" else "credited",
            }
            for source_id, source in self.sources.items()
            for invoice_id, amount in source.applied.items()
        ]

    def document_rows(self) -> list[dict[str, Any]]:
        invoices: list[tuple[str, str, Invoice | Source]] = [("invoice", key, one) for key, one in self.invoices.items()]
        sources: list[tuple[str, str, Invoice | Source]] = [(one.document, key, one) for key, one in self.sources.items()]
        return [
            {
                "document": name,
                "id": key,
                "number": one.number,
                "txn_date": None,
                "condition": one.condition,
                "created_at": one.created_at,
                "changed_at": one.changed_at,
            }
            for name, key, one in invoices + sources
        ]

    def inputs(self) -> PaymentInputs:
        known = [{name: getattr(deal, name) for name in KNOWN_DEALS.names()} for deal in self.known.values()]
        return PaymentInputs(
            invoices=INVOICES.frame([self.invoice_row(one) for one in self.invoices]),
            applications=APPLICATIONS.frame(self.application_rows()),
            documents=state_frame(DOCUMENTS, self.document_rows()),
            opportunity=frame(salesforce.OPPORTUNITY, list(self.deals.values())),
            account=frame(salesforce.ACCOUNT, [{"id": record_id("001"), "name": "Acme & Søn"}]),
            user=frame(salesforce.USER, self.users),
            opportunity_stage=frame(salesforce.OPPORTUNITY_STAGE, self.stages),
            organization=frame(salesforce.ORGANIZATION, [{"id": ORG, "default_currency": self.org_currency}]),
            preferences=frame(quickbooks.PREFERENCES, [{"id": "1", "home_currency": "USD"}]),
            known=state_frame(KNOWN_DEALS, known),
            ledger=state_frame(
                LEDGER, [dict(zip(LEDGER.names(), (key, *outcome), strict=False)) for key, outcome in self.ledger.items()]
            ),
            to_come=self.to_come,
        )

    def plan(self) -> PaymentPlan:
        parameters = PaymentParameters(
            as_of=TODAY,
            go_live=self.go_live,
            watching_since=self.watching_since,
            organization_id=ORG,
            time_zone="America/Denver",
        )
        return plan_payments(self.inputs(), self.rules, parameters)

    # What a pass does

    def remember(self, plan: PaymentPlan) -> list[PaymentEvent]:
        """Keep the deals and record the events, as one transaction does. Returns the events that are new."""
        self.now += timedelta(minutes=5)
        for deal in deal_payments_of(plan.deals):
            values = {name: getattr(deal, name) for name in KNOWN_DEALS.names()}
            self.known[deal.opportunity_id] = DealPayment(**(values | {"updated_at": self.now}))
        new = [event for event in payment_events_of(plan.events) if event.event_key not in self.told]
        self.told |= {event.event_key: event for event in new}
        return new

    def apply(self, plan: PaymentPlan) -> None:
        """Carry out every write as Salesforce would."""
        names = self.rules.salesforce.opportunity
        columns = {
            names.payment_status: "payment_status",
            names.invoice_balance: "invoice_balance",
            names.last_payment_date: "last_payment_date",
            names.days_outstanding: "days_outstanding",
            names.aging_bucket: "aging_bucket",
            "StageName": "stage_name",
        }
        for key, payload in plan.writes.select("key", "payload").iter_rows():
            assert self.ledger.get(key, ("",))[0] != "done", "done twice"
            body = parse_json(payload)
            values = {columns[name]: value for name, value in body.items() if name != "Id"}
            if values.get("last_payment_date"):
                values["last_payment_date"] = date.fromisoformat(values["last_payment_date"])
            if values.get("invoice_balance") is not None:
                values["invoice_balance"] = Decimal(values["invoice_balance"])
            self.edit(body["Id"], **values)
            self.ledger[key] = ("done", None, self.now)

    def edit(self, deal: str = DEAL, **values: Any) -> None:
        """Somebody changes a deal in Salesforce."""
        self.now += timedelta(seconds=1)
        won = {"is_won": values["stage_name"] in STAGES[:3]} if "stage_name" in values else {}
        self.deals[deal] |= values | won | {"source_modified_at": self.now}

    def once(self) -> list[PaymentEvent]:
        """One pass: plan, remember, apply. Returns what is told."""
        plan = self.plan()
        new = self.remember(plan)
        self.apply(plan)
        return new

    def shown(self, deal: str = DEAL) -> tuple[Any, ...]:
        """What Salesforce shows of a deal: status, balance, last payment."""
        row = self.deals[deal]
        return row.get("payment_status"), row.get("invoice_balance"), row.get("last_payment_date")


def codes(plan: PaymentPlan) -> set[str]:
    """Codes of the refusals."""
    return set(plan.refusals.get_column("code").to_list())


def row(frame_: pl.DataFrame) -> dict[str, Any]:
    """The only row of a frame."""
    (found,) = frame_.rows(named=True)
    return dict(found)
