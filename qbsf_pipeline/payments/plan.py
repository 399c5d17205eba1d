"""Which payment fields of deals are written to Salesforce, and what people are told of payments: the plan of the payments flow.

Pure: frames and rules in, frames out; no clock, no network, no randomness. How far a deal is paid is decided in
:mod:`.settling`, what happened to it since it was last looked at in :mod:`.changes`; here both become at most one write for each
deal, at most one event, and what must be done by a person.

What people are told comes from what is remembered of a deal, never from what Salesforce shows: a field that somebody edits there
is put right without a word.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl

from qbsf_pipeline.money import format_amount, to_json
from qbsf_pipeline.payments.changes import Change, Document, Explaining, Standing, change
from qbsf_pipeline.payments.documents import documents
from qbsf_pipeline.payments.fingerprints import remembered
from qbsf_pipeline.payments.settling import NOTHING_BILLED, PAID, settled_deals
from qbsf_pipeline.payments.stages import PaidStage
from qbsf_pipeline.payments.tables import DEALS, DOCUMENTS, EVENTS, FLOW, KNOWN_DEALS, LEDGER, PLAN, REFUSALS
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
    *("payment_status", "invoice_balance", "last_payment_date", "source_modified_at"),
)
#: So many writes in a row that were undone within so long are no accident.
_NOT_KEPT, _MINUTES = 3, timedelta(minutes=15)
#: The version of a record as keys name it.
_STAMP = "%Y%m%dT%H%M%S%fZ"


@dataclass(frozen=True)
class PaymentInputs:
    """Everything that the plan is made of. Frames may have more columns than are needed.

    Attributes:
        invoices, applications: ``receivables.invoices`` and ``receivables.applications``, with everything that is known now.
        documents: of :data:`.tables.DOCUMENTS`; :func:`.documents.documents` makes it from the raw tables.
        opportunity, account, user, opportunity_stage, organization: raw tables of Salesforce. A column ``sort_order`` of the
            stages is used where there is one.
        preferences: raw table of QuickBooks.
        known: of :data:`.tables.KNOWN_DEALS`.
        ledger: of :data:`.tables.LEDGER`.
    """

    invoices: pl.DataFrame
    applications: pl.DataFrame
    documents: pl.DataFrame
    opportunity: pl.DataFrame
    account: pl.DataFrame
    user: pl.DataFrame
    opportunity_stage: pl.DataFrame
    organization: pl.DataFrame
    preferences: pl.DataFrame
    known: pl.DataFrame
    ledger: pl.DataFrame


@dataclass(frozen=True)
class PaymentParameters:
    """What a plan depends on beside records and rules.

    Attributes:
        as_of: today in the company's time zone.
        go_live: until this day nothing is told; ``None`` for no such day.
        watching_since: when this flow looked for the first time (aware UTC); ``None`` in its first pass. Of a deal that is seen
            for the first time people are told only what was entered in QuickBooks since then.
        organization_id: the Salesforce org, part of keys.
        time_zone: of the QuickBooks company (IANA name).
    """

    as_of: date
    go_live: date | None
    watching_since: datetime | None
    organization_id: str
    time_zone: str


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
        self._done = _Done(inputs.ledger)
        self._stage = PaidStage(rules.payments.paid_stage, inputs.opportunity_stage)
        self._frame = self._joined()
        self._explaining = self._explained_by()
        self._users = {row["id"]: row for row in _live(inputs.user).iter_rows(named=True)}
        self._accounts = dict(inputs.account.select("id", "name").iter_rows())
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
        gone = _without_invoice(known, settled, self._inputs.invoices)
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
        )

    def interesting(self) -> pl.DataFrame:
        """The deals about which something may have to be done."""
        asked = pl.any_horizontal("new", "status_differs", "balance_differs", "day_differs", "foreign") | ~pl.col("explained")
        asked = asked | pl.col("sf_found").is_null()
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

    def _explained_by(self) -> Explaining:
        """The documents of the deals of which something is new."""
        new = self._frame.filter("new")
        memories = [remembered(text) for name in ("fingerprint", "known_fingerprint") for text in new[name].drop_nulls()]
        ids = {one for memory in memories if memory is not None for one in memory.invoices}
        ids |= {key[1] for memory in memories if memory is not None for key in memory.applied}
        rows = self._inputs.documents.filter(pl.col("id").is_in(list(ids))).iter_rows(named=True)
        found = {
            (row["document"], row["id"]): (
                Document(row["number"], row["txn_date"], row["condition"], row["changed_at"]),
                row["created_at"],
            )
            for row in rows
        }
        self._created: Mapping[tuple[str, str], datetime | None] = {key: created for key, (_, created) in found.items()}
        currencies = self._inputs.invoices.filter(pl.col("invoice_id").is_in(list(ids))).select("invoice_id", "currency")
        return Explaining({key: one for key, (one, _) in found.items()}, dict(currencies.iter_rows()), self._parameters.time_zone)

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
        if row["new"]:
            self._put_event(row)

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
        return fields, [row["reason"], f"Salesforce has {'; '.join(told)}."] if told else [row["reason"]]

    def _decide_stage(self, row: Mapping[str, Any]) -> tuple[str | None, str]:
        """The stage that the deal gets, and why; ``None`` where it stays."""
        deal, before, current = row["opportunity_id"], row["known_stage_before"], row["sf_stage_name"]
        if self._stage.name is None:
            return None, ""
        moved = row["times_paid"] in self._done.moved(deal)
        if row["status"] in PAID:
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
        version = _stamp(row["sf_source_modified_at"])
        content = f"{_hash(to_json(fields, sort_keys=True))[:12]}{moves}"
        return f"update_payment:{self._parameters.organization_id}:{row['opportunity_id']}:{version}:{content}"

    def _put_write(self, row: Mapping[str, Any], key: str, fields: Mapping[str, Any], reasons: Sequence[str]) -> None:
        if self._done.holds(key):
            # Carried out, and the record was not read since.
            return
        if self._done.was_lost(key):
            self._refuse(
                row,
                "not_kept",
                f"Salesforce took the payment fields of the deal {_name(row)} and did not keep them.",
                "Look for an automation in Salesforce that changes payment status, balance, payment date or stage.",
            )
            return
        payload = to_json({"Id": row["opportunity_id"], **fields})
        self.writes.append(
            {
                "plan_id": f"P-{_hash(f'{key} {payload}')[:10]}",
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
                "decided_from": _hash(f"{key}\n{payload}"),
                "label": _name(row),
            }
        )

    # What people are told

    def _put_event(self, row: Mapping[str, Any]) -> None:
        now = Standing(
            status=row["status"],
            balance=row["balance"],
            total=row["total"],
            currency=row["currency"],
            last_payment_date=row["last_payment_date"],
            reason=row["reason"],
            memory=remembered(row["fingerprint"]),
        )
        before = self._before(row)
        if self._is_quiet(row, before, now):
            return
        found = change(before, now, self._explaining, tell_partial=self._rules.payments.tell_partial)
        if found is not None:
            self.events.append(self._event(row, found))

    def _before(self, row: Mapping[str, Any]) -> Standing | None:
        if row["known_status"] is None:
            return None
        return Standing(
            status=row["known_status"],
            balance=row["known_balance"],
            total=None,
            currency=row["known_currency"],
            last_payment_date=None,
            reason="",
            memory=remembered(row["known_fingerprint"]),
        )

    def _is_quiet(self, row: Mapping[str, Any], before: Standing | None, now: Standing) -> bool:
        """Whether nothing is told: before go-live, and of what was there before the flow first looked."""
        parameters = self._parameters
        if parameters.go_live is not None and parameters.as_of < parameters.go_live:
            return True
        if before is not None:
            return False
        since = parameters.watching_since
        if since is None or now.memory is None or not now.memory.applied:
            return True
        paid_on = row["last_payment_date"] or row["paid_on"]
        if parameters.go_live is not None and paid_on is not None and paid_on < parameters.go_live:
            return True
        day = self._explaining.day(since) or parameters.as_of
        for (document, document_id, _), (_, applied_on) in now.memory.applied.items():
            created = self._created.get((document, document_id))
            if created is not None and created >= since:
                return False
            if created is None and applied_on is not None and applied_on >= day:
                return False
        # An invoice that a payment or credit was waiting for.
        invoices = [self._created.get(("invoice", invoice_id)) for invoice_id in now.memory.invoices]
        return not any(created is not None and created >= since for created in invoices)

    def _event(self, row: Mapping[str, Any], found: Change) -> dict[str, Any]:
        at = row["known_updated_at"]
        version = [row["known_fingerprint"], row["known_status"], _stamp(at), row["fingerprint"], row["status"]]
        owner = self._users.get(row["sf_owner_id"] or "")
        state = (
            "none" if not row["sf_owner_id"] else "active" if owner is not None and owner["is_active"] is not False else "left"
        )
        email = (owner["email"] or "").strip() if owner is not None and state == "active" else ""
        return {
            "event_key": f"{found.kind}:{row['opportunity_id']}:{_hash(to_json(version))[:24]}",
            "kind": found.kind,
            "opportunity_id": row["opportunity_id"],
            "deal": _name(row),
            "account_name": self._accounts.get(row["sf_account_id"] or ""),
            "owner_id": row["sf_owner_id"],
            "owner_name": owner["name"] if owner is not None else None,
            "owner_email": email or None,
            "owner_state": state,
            "amount": found.amount,
            "balance": row["balance"],
            "currency": row["currency"],
            "invoice_id": row["invoices"].split(" ")[0] or None,
            "numbers": row["numbers"],
            "happened_on": found.happened_on,
            "status_before": row["known_status"],
            "status": row["status"],
            "reason": found.reason,
        }

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
                "deal": _name(row),
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


def _without_invoice(known: pl.DataFrame, settled: pl.DataFrame, invoices: pl.DataFrame) -> pl.DataFrame:
    """Deals that had an invoice when they were last looked at and have none now, as rows of :func:`settled_deals`.

    An invoice that QuickBooks does not know any more was deleted, also where nobody saw that happen. One that it still knows
    belongs to another deal now, or to none.
    """
    rows: list[dict[str, Any]] = []
    lost = known.join(settled.select("opportunity_id"), on="opportunity_id", how="anti")
    if lost.is_empty():
        return pl.DataFrame(schema=settled.schema)
    there = set(invoices.get_column("invoice_id").to_list())
    for row in lost.iter_rows(named=True):
        memory = remembered(row["fingerprint"])
        before = tuple(memory.invoices) if memory is not None else ()
        common = {
            "opportunity_id": row["opportunity_id"],
            "currency": row["currency"],
            "currencies": 1,
            "invoices": " ".join(before),
            "numbers": ", ".join(f"id {one}" for one in before),
            "explained": True,
            "unexplained": "",
        }
        if row["status"] in NOTHING_BILLED:
            reason = {"Voided": "Its invoice was voided.", "Deleted": "Its invoice was deleted."}.get(row["status"])
            kept = {"status": row["status"], "balance": row["balance"], "fingerprint": row["fingerprint"]}
            rows.append(common | kept | {"reason": reason or "It has no invoice."})
        elif any(one in there for one in before):
            unlinked = {"status": "Not Invoiced", "balance": None, "fingerprint": "1||"}
            rows.append(common | unlinked | {"reason": "Its invoice belongs to the deal no more."})
        else:
            deleted = {"status": "Deleted", "balance": Decimal("0.00"), "fingerprint": "1||"}
            rows.append(common | deleted | {"reason": "Its invoice is no longer found in QuickBooks."})
    return pl.DataFrame(rows, schema_overrides=dict(settled.schema)).with_columns(
        pl.lit(None, dtype=dtype).alias(name) for name, dtype in settled.schema.items() if name not in rows[0]
    )


class _Done:
    """What the ledger has carried out and what was refused, by record and version."""

    def __init__(self, ledger: pl.DataFrame) -> None:
        self._keys: set[str] = set()
        self._refused: dict[str, str] = {}
        self._by_record: dict[str, list[tuple[str, str, datetime | None]]] = defaultdict(list)
        self._moved: dict[str, set[int]] = defaultdict(set)
        for key, status, message, done_at in ledger.select(LEDGER.names()).iter_rows():
            if status == "dead":
                self._refused[key] = message or "it gives no reason."
            if status != "done":
                continue
            self._keys.add(key)
            record, version, content = _split(key)
            self._by_record[record].append((version, content, done_at))
            _, plus, times = content.partition("+")
            if plus and times.isdigit():
                self._moved[record.rpartition(":")[2]].add(int(times))

    def holds(self, key: str) -> bool:
        """Whether this very write is done."""
        return key in self._keys

    def refused(self, key: str) -> str | None:
        """What Salesforce said of this very write when it refused it for good."""
        return self._refused.get(key)

    def moved(self, opportunity_id: str) -> frozenset[int]:
        """The times that the deal was paid and moved to the paid stage."""
        return frozenset(self._moved.get(opportunity_id, ()))

    def was_lost(self, key: str) -> bool:
        """Whether the last three writes of the record were this one, and none of them stood for longer than minutes.

        What a person edits stood for longer; an automation undoes a write at once.
        """
        record, version, content = _split(key)
        before = [one for one in self._by_record.get(record, ()) if one[0] != version]
        written = sorted(before, key=lambda one: one[0])[-_NOT_KEPT:]
        if len(written) < _NOT_KEPT or any(one != content for _, one, _ in written):
            return False
        following = [*(one for one, _, _ in written[1:]), version]
        return all(_at_once(done_at, after) for (_, _, done_at), after in zip(written, following, strict=True))


def _at_once(done_at: datetime | None, version: str) -> bool:
    """Whether a record got a version within minutes of a write; also where that cannot be told."""
    try:
        changed = datetime.strptime(version, _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return True
    return done_at is None or changed - done_at <= _MINUTES


def _live(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.filter(~pl.col("is_deleted").fill_null(False))


def _differs(one: str, other: str) -> pl.Expr:
    return pl.col(one).ne_missing(pl.col(other))


def _code(column: str) -> pl.Expr:
    code = pl.col(column).str.strip_chars().str.to_uppercase()
    return pl.when(code != "").then(code)


def _name(row: Mapping[str, Any]) -> str:
    return str(row["sf_name"] or row["opportunity_id"])


def _money(amount: Decimal | None, currency: str | None = None) -> str:
    if amount is None:
        return "empty"
    return format_amount(amount, currency) if currency else f"{amount:,.2f}"


def _day(day: date | None) -> str:
    return f"{day:%d %b %Y}" if day is not None else "empty"


def _split(key: str) -> tuple[str, str, str]:
    """A key as record, version and content."""
    record, version, content = (*key.rsplit(":", 2), "", "")[:3]
    return record, version, content


def _stamp(at: datetime | None) -> str:
    return at.astimezone(UTC).strftime(_STAMP) if at is not None else "unknown"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()
