"""Which payment fields of deals are written to Salesforce, and what people are told of payments: the plan of the payments flow.

Pure: frames and rules in, frames out; no clock, no network, no randomness. How far a deal is paid is decided in
:mod:`.settling`, what people are told of it in :mod:`.telling`; here it becomes at most one write for each deal, at most one
event, and what must be done by a person.

What people are told comes from what is remembered of a deal, never from what Salesforce shows: a field that somebody edits there
is put right without a word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl

from qbsf_pipeline.money import format_amount, to_json
from qbsf_pipeline.payments.documents import documents
from qbsf_pipeline.payments.inputs import PaymentInputs, PaymentParameters
from qbsf_pipeline.payments.keys import Done, digest, write_key
from qbsf_pipeline.payments.settling import NO_AGE, NOTHING_BILLED, PAID, deals_without_invoice, settled_deals
from qbsf_pipeline.payments.stages import PaidStage
from qbsf_pipeline.payments.tables import DEALS, DOCUMENTS, EVENTS, FLOW, KNOWN_DEALS, LEDGER, PLAN, REFUSALS
from qbsf_pipeline.payments.telling import Teller, deal_name
from qbsf_pipeline.settings import Rules
from qbsf_pipeline.state.deal_payments import DealPayment
from qbsf_pipeline.state.payment_events import PaymentEvent

__all__ = [
    "DEALS",
    "DOCUMENTS",
    "EVENTS",
    "FLOW",
    "KNOWN_DEALS",
    "LEDGER",
    "PLAN",
    "REFUSALS",
    "PaymentInputs",
    "PaymentParameters",
    "PaymentPlan",
    "deal_payments_of",
    "documents",
    "payment_events_of",
    "plan_payments",
]

_OPPORTUNITY = (
    *("id", "name", "account_id", "owner_id", "stage_name", "is_won", "currency", "is_deleted"),
    *("payment_status", "invoice_balance", "last_payment_date", "days_outstanding", "aging_bucket", "source_modified_at"),
)


@dataclass(frozen=True)
class PaymentPlan:
    """The plan.

    Attributes:
        writes: of :data:`.tables.PLAN`.
        deals: of :data:`.tables.DEALS`; :func:`deal_payments_of` says what of it is to be remembered.
        events: of :data:`.tables.EVENTS`; to be recorded in the transaction that remembers the deals.
        refusals: of :data:`.tables.REFUSALS`.
    """

    writes: pl.DataFrame
    deals: pl.DataFrame
    events: pl.DataFrame
    refusals: pl.DataFrame


def plan_payments(inputs: PaymentInputs, rules: Rules, parameters: PaymentParameters) -> PaymentPlan:
    """Derive how far every deal is paid, and plan what Salesforce and people are to learn of it.

    A deal is left alone, and that is told, while the payments and credits of one of its invoices do not give the balance that
    QuickBooks says. A deal whose invoices have another currency than itself gets its status and no balance.

    The key of a write names the version of the record that it was decided from and the values, so that the same correction can
    be made again after another edit, and never twice for one.
    """
    desk = _Desk(inputs, rules, parameters)
    for row in desk.interesting().iter_rows(named=True):
        desk.decide(row)
    return PaymentPlan(
        writes=PLAN.frame(desk.writes),
        deals=desk.deals(),
        events=EVENTS.frame(desk.events),
        refusals=REFUSALS.frame(desk.refusals),
    )


def deal_payments_of(deals: pl.DataFrame) -> list[DealPayment]:
    """What is to be remembered of deals: those that are not remembered so yet.

    Args:
        deals: of :data:`.tables.DEALS`.
    """
    names = ("opportunity_id", "status", "balance", "currency", "fingerprint", "stage_before", "times_paid")
    return [DealPayment(**row) for row in deals.filter("changed").select(names).iter_rows(named=True)]


def payment_events_of(events: pl.DataFrame) -> list[PaymentEvent]:
    """Events as the state takes them; the payload holds every other column, days as texts.

    Args:
        events: of :data:`.tables.EVENTS`.
    """
    own = {"event_key", "kind", "opportunity_id"}
    return [
        PaymentEvent(
            event_key=row["event_key"],
            kind=row["kind"],
            opportunity_id=row["opportunity_id"],
            payload={
                name: value.isoformat() if isinstance(value, date) else value for name, value in row.items() if name not in own
            },
        )
        for row in events.iter_rows(named=True)
    ]


class _Desk:
    """Decides deal by deal what follows. One use."""

    def __init__(self, inputs: PaymentInputs, rules: Rules, parameters: PaymentParameters) -> None:
        self._inputs, self._rules, self._parameters = inputs, rules, parameters
        self._done = Done(inputs.ledger)
        self._stage = PaidStage(rules.payments.paid_stage, inputs.opportunity_stage)
        self._frame = self._joined()
        new = self._frame.filter("new")
        self._teller = Teller(new, inputs, parameters, tell_partial=rules.payments.tell_partial)
        self._stages: dict[str, tuple[str | None, str | None]] = {}
        self._unsure: set[str] = set()
        self.writes: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.refusals: list[dict[str, Any]] = []
        if self._stage.problem is not None:
            self._refuse_rule(*self._stage.problem)

    # The frames

    def _joined(self) -> pl.DataFrame:
        """Every deal that has or had an invoice, with what is remembered of it and what Salesforce shows."""
        known = self._inputs.known.select(KNOWN_DEALS.names())
        settled = settled_deals(self._inputs.invoices, self._inputs.applications)
        gone = deals_without_invoice(known, settled, self._inputs.invoices)
        deals = pl.concat([settled, gone.select(settled.columns).cast(settled.schema)])
        shown = self._inputs.opportunity.select(_OPPORTUNITY).rename({name: f"sf_{name}" for name in _OPPORTUNITY})
        shown = shown.with_columns(sf_found=True)
        joined = (
            deals.join(
                known.select(pl.all().name.prefix("known_")),
                left_on="opportunity_id",
                right_on="known_opportunity_id",
                how="left",
            )
            .join(shown, left_on="opportunity_id", right_on="sf_id", how="left", maintain_order="left")
            .with_columns(deal_currency=_code("sf_currency").fill_null(pl.lit(self._org_currency(), dtype=pl.String)))
        )
        paid, was_paid = pl.col("status").is_in(PAID), pl.col("known_status").is_in(PAID).fill_null(False)
        foreign = (_code("currency") != pl.col("deal_currency")).fill_null(False) | (pl.col("currencies") > 1)
        return joined.with_columns(
            foreign=foreign & ~pl.col("status").is_in(NOTHING_BILLED),
            times_paid=pl.col("known_times_paid").fill_null(0) + (paid & ~was_paid).cast(pl.Int64),
        ).with_columns(
            new=_differs("status", "known_status")
            | _differs("fingerprint", "known_fingerprint")
            | _differs("balance", "known_balance")
            | _differs("currency", "known_currency"),
            status_differs=_differs("status", "sf_payment_status"),
            balance_differs=_differs("balance", "sf_invoice_balance") & ~pl.col("foreign"),
            day_differs=_differs("last_payment_date", "sf_last_payment_date"),
            # What is settled has no age from now on; the ageing flow comes only in the morning.
            age_shown=pl.col("status").is_in(NO_AGE)
            & (pl.col("sf_days_outstanding").is_not_null() | pl.col("sf_aging_bucket").is_not_null()),
        )

    def interesting(self) -> pl.DataFrame:
        """The deals about which something may have to be done."""
        asked = pl.any_horizontal("new", "status_differs", "balance_differs", "day_differs", "foreign") | ~pl.col("explained")
        asked = asked | pl.col("age_shown") | pl.col("sf_found").is_null()
        if self._stage.name is not None:
            asked = asked | pl.col("known_stage_before").is_not_null()
            asked = asked | (pl.col("status").is_in(PAID) & (pl.col("sf_stage_name") != self._stage.name))
        return self._frame.filter(asked).sort("opportunity_id")

    def deals(self) -> pl.DataFrame:
        """The rows of :data:`.tables.DEALS`, once every deal is decided."""
        decided = pl.DataFrame(
            [(deal, wanted, before) for deal, (wanted, before) in self._stages.items()],
            schema={"opportunity_id": pl.String, "stage_wanted": pl.String, "stage_before": pl.String},
            orient="row",
        )
        before = pl.when("decided").then("stage_before").otherwise("known_stage_before")
        sure = ~pl.col("opportunity_id").is_in(list(self._unsure))
        return (
            self._frame.join(decided.with_columns(decided=True), on="opportunity_id", how="left")
            .with_columns(pl.col("decided").fill_null(False))
            .with_columns(stage_before=before)
            .with_columns(changed=(pl.col("new") | _differs("stage_before", "known_stage_before")) & sure)
            .rename({"sf_name": "deal", "sf_account_id": "account_id", "sf_owner_id": "owner_id"})
            .sort("opportunity_id")
            .select([column.name for column in DEALS.columns])
            .cast(DEALS.polars_schema)
        )

    def _org_currency(self) -> str | None:
        preferences = next(iter(self._inputs.preferences.iter_rows(named=True)), {})
        organization = next(iter(self._inputs.organization.iter_rows(named=True)), {})
        home = None if preferences.get("multi_currency") is True else preferences.get("home_currency")
        for code in (organization.get("default_currency"), self._rules.salesforce.currency, home):
            if code and code.strip():
                return str(code).strip().upper()
        return None

    # One deal

    def decide(self, row: Mapping[str, Any]) -> None:
        """What follows for one deal."""
        if row["sf_is_deleted"]:
            # Nobody sees its fields; if it is restored, everything follows then.
            self._unsure.add(row["opportunity_id"])
            return
        if not row["sf_found"]:
            self._unsure.add(row["opportunity_id"])
            if row["status"] not in NOTHING_BILLED:
                self._refuse(
                    row,
                    "deal_not_found",
                    f"Invoice {row['numbers']} names the deal {row['opportunity_id']}, and Salesforce does not show it.",
                    "Let the integration user see the deal, or link the invoice to its deal: qbsf review link-invoice.",
                )
            return
        if not row["explained"]:
            self._unsure.add(row["opportunity_id"])
            self._refuse(
                row,
                "balance_not_explained",
                f"What is applied to invoice {row['unexplained']} does not give the balance that QuickBooks says.",
                "Look at the invoice's payments and credits in QuickBooks; qbsf reads them again with the next pass.",
            )
            return
        if row["foreign"]:
            self._refuse_currency(row)
        fields, reasons = self._fields(row)
        stage, said = self._decide_stage(row)
        if stage is not None:
            reasons.append(said)
        self._write(row, fields, stage, reasons)
        event = self._teller.event(row) if row["new"] else None
        if event is not None:
            self.events.append(event)

    def _fields(self, row: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """The payment fields that Salesforce has otherwise, and why they are written."""
        names = self._rules.salesforce.opportunity
        fields: dict[str, Any] = {}
        told: list[str] = []
        if row["status_differs"]:
            fields[names.payment_status] = row["status"]
            told.append(f"payment status {row['sf_payment_status'] or 'empty'}, not {row['status']}")
        if row["balance_differs"]:
            fields[names.invoice_balance] = row["balance"]
            told.append(f"balance {_money(row['sf_invoice_balance'])}, not {_money(row['balance'], row['currency'])}")
        if row["day_differs"]:
            day: date | None = row["last_payment_date"]
            fields[names.last_payment_date] = day.isoformat() if day is not None else None
            told.append(f"last payment {_day(row['sf_last_payment_date'])}, not {_day(day)}")
        if row["age_shown"]:
            fields |= {names.days_outstanding: None, names.aging_bucket: None}
            told.append("an age, though nothing is open")
        return fields, [row["reason"], f"Salesforce has {'; '.join(told)}."] if told else [row["reason"]]

    def _decide_stage(self, row: Mapping[str, Any]) -> tuple[str | None, str]:
        """The stage that the deal gets, and why; ``None`` where it stays."""
        deal, before, current = row["opportunity_id"], row["known_stage_before"], row["sf_stage_name"]
        if self._stage.name is None:
            return None, ""
        moved = row["times_paid"] in self._done.moved(deal)
        # What has fallen due is not the whole deal while periods of it are still to be billed.
        if row["status"] in PAID and not self._inputs.to_come.get(deal):
            if not self._stage.takes(current, won=row["sf_is_won"], before=before, moved=moved):
                self._stages[deal] = (None, before)
                return None, ""
            self._stages[deal] = (self._stage.name, current)
            return self._stage.name, f"It is paid in full, so its stage becomes {self._stage.name}."
        if before is None or current != self._stage.name:
            # It is not in the paid stage (any more): nothing is to be undone.
            self._stages[deal] = (None, None)
            return None, ""
        if not self._stage.has(before):
            self._stages[deal] = (None, before)
            self._refuse(
                row,
                "former_stage_missing",
                f"The deal is not paid in full any more, and its former stage {before} may not be chosen in Salesforce.",
                f"Move the deal out of the stage {current} by hand.",
            )
            return None, ""
        self._stages[deal] = (before, before)
        return before, f"It is not paid in full any more, so its stage becomes {before} again."

    def _write(self, row: Mapping[str, Any], fields: dict[str, Any], stage: str | None, reasons: Sequence[str]) -> None:
        moves = f"+{row['times_paid']}" if stage is not None and row["status"] in PAID else ""
        if stage is not None:
            whole = {**fields, "StageName": stage}
            key = self._key(row, whole, moves)
            refused = self._done.refused(key)
            if refused is None:
                self._put_write(row, key, whole, reasons)
                return
            # The org's own rules refuse the stage: what was paid must be seen all the same.
            self._refuse(
                row,
                "stage_refused",
                f"Salesforce does not let the deal into the stage {stage}: {refused}",
                "Fill what the stage asks for, or move the deal by hand; after any edit of the deal it is tried again.",
            )
            reasons = reasons[:-1]
        if fields:
            self._put_write(row, self._key(row, fields, ""), fields, reasons)

    def _key(self, row: Mapping[str, Any], fields: Mapping[str, Any], moves: str) -> str:
        stamped = row["sf_source_modified_at"]
        return write_key(self._parameters.organization_id, row["opportunity_id"], stamped, fields, moves)

    def _put_write(self, row: Mapping[str, Any], key: str, fields: Mapping[str, Any], reasons: Sequence[str]) -> None:
        if self._done.holds(key):
            # Carried out, and the record was not read since.
            return
        if self._done.was_lost(key):
            self._refuse(
                row,
                "not_kept",
                f"Salesforce took the payment fields of the deal {deal_name(row)} and did not keep them.",
                "Look for an automation in Salesforce that changes payment status, balance, payment date or stage.",
            )
            return
        payload = to_json({"Id": row["opportunity_id"], **fields})
        self.writes.append(
            {
                "plan_id": f"P-{digest(f'{key} {payload}')[:10]}",
                "position": 1,
                "flow": FLOW,
                "operation": "update_opportunity",
                "target_system": "salesforce",
                "target_object": "Opportunity",
                "key": key,
                "depends_on": "",
                "source_object": "Opportunity",
                "source_id": row["opportunity_id"],
                "account_id": row["sf_account_id"],
                "opportunity_id": row["opportunity_id"],
                "payload": payload,
                "reason": " ".join(reasons),
                "decided_from": digest(f"{key}\n{payload}"),
                "label": deal_name(row),
            }
        )

    # What a person must do

    def _refuse_currency(self, row: Mapping[str, Any]) -> None:
        if row["currencies"] > 1:
            reason = f"The invoices {row['numbers']} of the deal have several currencies, so it has no one balance."
            self._refuse(row, "several_currencies", reason, "Bill a deal in one currency.")
            return
        reason = (
            f"Invoice {row['numbers']} is in {row['currency']} and the deal in {row['deal_currency']}, so its balance is not "
            "written to the deal."
        )
        self._refuse(row, "currency_differs", reason, "Give the deal the currency of its invoice, or bill it in its own.")

    def _refuse(self, row: Mapping[str, Any], code: str, reason: str, remedy: str) -> None:
        self.refusals.append(
            {
                "code": code,
                "record_object": "Opportunity",
                "record_id": row["opportunity_id"],
                "opportunity_id": row["opportunity_id"],
                "deal": deal_name(row),
                "account_id": row["sf_account_id"],
                "invoice_id": row["invoices"].split(" ")[0] or None,
                "numbers": row["numbers"],
                "amount": row["balance"],
                "currency": row["currency"],
                "reason": reason,
                "remedy": remedy,
            }
        )

    def _refuse_rule(self, code: str, reason: str, remedy: str) -> None:
        self.refusals.append(
            {"code": code, "record_object": "Rule", "record_id": "payments.paid_stage", "reason": reason, "remedy": remedy}
        )


def _differs(one: str, other: str) -> pl.Expr:
    return pl.col(one).ne_missing(pl.col(other))


def _code(column: str) -> pl.Expr:
    code = pl.col(column).str.strip_chars().str.to_uppercase()
    return pl.when(code != "").then(code)


def _money(amount: Decimal | None, currency: str | None = None) -> str:
    if amount is None:
        return "empty"
    return format_amount(amount, currency) if currency else f"{amount:,.2f}"


def _day(day: date | None) -> str:
    return f"{day:%d %b %Y}" if day is not None else "empty"
