"""Open invoices, the deals and people behind them, and a plan's effect on all of them: what tests of ageing drive."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import polars as pl

from qbsf_pipeline.aging.plan import (
    CREDITS,
    KNOWN_CROSSINGS,
    KNOWN_TASKS,
    LEDGER,
    MAIL,
    RECEIVABLES,
    SENT_REMINDERS,
    AgingInputs,
    AgingParameters,
    AgingPlan,
    plan_aging,
)
from qbsf_pipeline.money import parse_json
from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.salesforce import objects as salesforce
from qbsf_pipeline.settings import Rules, load_rules
from qbsf_pipeline_tests.invoices.records import ORG, REALM, account, customer, frame, opportunity, record_id, state_frame

PACKAGED = load_rules()
TODAY = date(2026, 11, 20)
LINK = "https://qbo.test/app/invoice?txnId={id}"


def aging_rules(**values: Any) -> Rules:
    """The packaged rules with some keys of ``aging`` changed; validated as a file of rules is."""
    raw = PACKAGED.model_dump()
    raw["aging"] |= values
    return Rules.model_validate(raw)


def parameters(as_of: date = TODAY, *, writes: bool = True) -> AgingParameters:
    return AgingParameters(
        as_of=as_of,
        writes=writes,
        organization_id=ORG,
        realm_id=REALM,
        home_currency="USD",
        time_zone="America/Denver",
        invoice_link=LINK,
    )


def invoice(number: int = 1, late: int = 45, **values: Any) -> dict[str, Any]:
    """A mailed invoice of deal 1 over 100.00 USD, due ``late`` days before today, with terms of 30 days."""
    due = TODAY - timedelta(days=late)
    found = {
        "invoice_id": str(300 + number),
        "doc_number": str(1000 + number),
        "customer_id": "101",
        "opportunity_id": record_id("006"),
        "txn_date": due - timedelta(days=30),
        "due_date": due,
        "due_date_imputed": False,
        "total": Decimal("100.00"),
        "currency": "USD",
        "open": Decimal("100.00"),
        "status": "Sent",
        "emailed": True,
        "disputed": False,
        "explained": True,
        **values,
    }
    return {"balance": found["open"], **found}


def user(number: int = 1, **values: Any) -> dict[str, Any]:
    """Dana Lee, who owns deal and account 1."""
    return {
        "id": record_id("005", number),
        "name": "Dana Lee" if number == 1 else f"User {number}",
        "email": f"user{number}@house.example",
        "is_active": True,
        **values,
    }


def deal(number: int = 1, **values: Any) -> dict[str, Any]:
    """Deal 1 of account 1, as it was read at version 1."""
    return opportunity(number, **{"source_modified_at": datetime(2026, 11, 1, tzinfo=UTC), **values})


@dataclass
class Receivables:
    """Records of both systems, the state's memory, and what a plan does to them."""

    invoices: list[dict[str, Any]] = field(default_factory=lambda: [invoice()])
    unapplied: list[dict[str, Any]] = field(default_factory=list)
    deals: list[dict[str, Any]] = field(default_factory=lambda: [deal()])
    accounts: list[dict[str, Any]] = field(default_factory=lambda: [account(owner_id=record_id("005"))])
    users: list[dict[str, Any]] = field(default_factory=lambda: [user()])
    customers: list[dict[str, Any]] = field(default_factory=lambda: [customer(given_name="Ann", family_name="Lee")])
    mail: list[dict[str, Any]] | None = None
    crossings: list[dict[str, Any]] = field(default_factory=list)
    reminders: list[dict[str, Any]] = field(default_factory=list)
    tasks: list[dict[str, Any]] = field(default_factory=list)
    ledger: list[dict[str, Any]] = field(default_factory=list)

    def inputs(self) -> AgingInputs:
        mail = self.mail
        if mail is None:
            mail = [{"invoice_id": one["invoice_id"], "email": "ap@acme1.example"} for one in self.invoices]
        return AgingInputs(
            invoices=state_frame(RECEIVABLES, self.invoices),
            unapplied=state_frame(CREDITS, self.unapplied),
            opportunity=frame(salesforce.OPPORTUNITY, self.deals),
            account=frame(salesforce.ACCOUNT, self.accounts),
            user=frame(salesforce.USER, self.users),
            customer=frame(quickbooks.CUSTOMER, self.customers),
            mail=state_frame(MAIL, mail),
            crossings=state_frame(KNOWN_CROSSINGS, self.crossings),
            reminders=state_frame(SENT_REMINDERS, self.reminders),
            tasks=state_frame(KNOWN_TASKS, self.tasks),
            ledger=state_frame(LEDGER, self.ledger),
        )

    def plan(self, rules: Rules = PACKAGED, as_of: date = TODAY, *, writes: bool = True) -> AgingPlan:
        return plan_aging(self.inputs(), rules, parameters(as_of, writes=writes))

    def carry_out(self, plan: AgingPlan, as_of: date = TODAY, *, kept: bool = True) -> None:
        """What a push does: deals are written, reminders go out, tasks come and go, crossings are remembered.

        Args:
            kept: whether Salesforce keeps what is written to deals; it becomes a new version in any case.
        """
        now = datetime.combine(as_of, time(15), tzinfo=UTC)
        fields = PACKAGED.salesforce.opportunity
        for write in plan.writes.iter_rows(named=True):
            body = parse_json(write["payload"])
            result = body.get("Id") or f"00T{len(self.ledger):012d}AAA"
            self.ledger.append({"key": write["key"], "status": "done", "result_id": result, "done_at": now})
            if write["operation"] == "update_opportunity":
                (found,) = (one for one in self.deals if one["id"] == body["Id"])
                found["source_modified_at"] += timedelta(minutes=1)
                if kept:
                    found["days_outstanding"] = body[fields.days_outstanding]
                    found["aging_bucket"] = body[fields.aging_bucket]
        self.crossings += plan.crossings.to_dicts()


def operations(plan: AgingPlan) -> list[str]:
    return sorted(plan.writes.get_column("operation").to_list())


def bodies(plan: AgingPlan, operation: str) -> list[dict[str, Any]]:
    rows = plan.writes.filter(pl.col("operation") == operation).sort("key")
    return [parse_json(text) for text in rows.get_column("payload")]


def codes(plan: AgingPlan) -> list[str]:
    return plan.refusals.get_column("code").to_list()


def days_from(first: date, steps: Iterable[int]) -> list[date]:
    """Days that lie so many days apart."""
    found = [first]
    for step in steps:
        found.append(found[-1] + timedelta(days=step))
    return found
