"""Which won deals become invoices, and which writes that takes: the plan of the invoice flow.

Pure: frames and rules in, frames out; no clock, no network, no randomness. The same content gives the same plan, row by
row, so that a plan may be made again at any time. What stands against a deal is in :mod:`.judging` and :mod:`.validation`, what
was billed before in :mod:`.history`, what is billed period by period in :mod:`.schedules`, the rows of a deal in
:mod:`.deal_rows` and their bodies in :mod:`.payloads`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from qbsf_pipeline.invoices import payloads, schedule_refusals, validation
from qbsf_pipeline.invoices.account_write_backs import AccountWriteBacks
from qbsf_pipeline.invoices.amendments import SoldDeal
from qbsf_pipeline.invoices.contract_deals import contract_deals
from qbsf_pipeline.invoices.deal_rows import DealRows
from qbsf_pipeline.invoices.details import details_of
from qbsf_pipeline.invoices.history import Billed
from qbsf_pipeline.invoices.inputs import InvoiceInputs, PlanParameters
from qbsf_pipeline.invoices.judging import Judge
from qbsf_pipeline.invoices.known import Known, known
from qbsf_pipeline.invoices.line_sources.sold import SoldLines, sold_lines
from qbsf_pipeline.invoices.new_records import NewRecords
from qbsf_pipeline.invoices.period_bills import PeriodAdoption, newest_key, period_adoption, period_bills
from qbsf_pipeline.invoices.recurring.handing_over import TemplateEnd
from qbsf_pipeline.invoices.recurring.tables import BILLING_SCHEDULE_LINES, BILLING_SCHEDULES
from qbsf_pipeline.invoices.recurring.terms import deal_terms
from qbsf_pipeline.invoices.rows import placed
from qbsf_pipeline.invoices.schedule_lines import lines_by_agreement
from qbsf_pipeline.invoices.schedule_tables import SCHEDULE_AGREEMENTS, agreement_row
from qbsf_pipeline.invoices.scheduled import Question, Scheduled
from qbsf_pipeline.invoices.schedules import Schedules
from qbsf_pipeline.invoices.sound_deals import Findings, SoundDeal
from qbsf_pipeline.invoices.tables import DEALS, NOTES, PLAN, REFUSALS, TEMPLATE_INVOICES
from qbsf_pipeline.invoices.validation import Reason
from qbsf_pipeline.money import format_amount
from qbsf_pipeline.settings import Rules
from qbsf_pipeline.state.billing_schedules import AgreedSchedule


@dataclass(frozen=True)
class InvoicePlan:
    """The plan: frames of :data:`.tables.PLAN`, ``REFUSALS``, ``NOTES``, ``DEALS`` and ``TEMPLATE_INVOICES``; of deals that are
    billed period by period those of :data:`.recurring.tables.BILLING_SCHEDULES`, ``BILLING_SCHEDULE_LINES`` and
    :data:`.schedule_tables.SCHEDULE_AGREEMENTS`.
    """

    writes: pl.DataFrame
    refusals: pl.DataFrame
    notes: pl.DataFrame
    deals: pl.DataFrame
    schedules: pl.DataFrame
    schedule_lines: pl.DataFrame
    agreements: pl.DataFrame
    template_invoices: pl.DataFrame


def plan_invoices(inputs: InvoiceInputs, rules: Rules, parameters: PlanParameters) -> InvoicePlan:
    """Decide for every won deal whether it is invoiced, and how.

    A deal that shows any sign of an invoice is never billed again; where Salesforce does not know that invoice yet, it is
    told. Deals that are on their way in the ledger are planned again under the same key. Everything that stands against a
    deal is told at once. A customer or item that several deals need is created once.

    ``plan_id`` is a hash over the keys and payloads of the deal's own writes. A reference to a customer or item counts the
    same before and after the program created it, so that an approval outlives that step.

    Of a deal with a billing schedule every period that is due is an invoice of its own, under the key of the deal and the period;
    what a person has to approve of its schedule first is a row of the operation ``change_schedule``. By rule, periods that are
    alike are left to a recurring template of QuickBooks instead (:mod:`.recurring.handing_over`).
    """
    desk = _Desk(known(inputs, rules, parameters))
    desk.consider_all()
    desk.write_all()
    return InvoicePlan(
        writes=PLAN.frame(desk.writes),
        refusals=REFUSALS.frame(desk.refusals),
        notes=NOTES.frame(desk.notes).unique(maintain_order=True),
        deals=DEALS.frame(desk.deals),
        schedules=BILLING_SCHEDULES.frame(desk.schedules),
        schedule_lines=BILLING_SCHEDULE_LINES.frame(desk.schedule_lines()),
        agreements=SCHEDULE_AGREEMENTS.frame(desk.agreements),
        template_invoices=TEMPLATE_INVOICES.frame(desk.template_invoices),
    )


class _Desk:
    """Looks at each deal, then writes down what follows. One use."""

    def __init__(self, known: Known) -> None:
        self._known = known
        inputs = known.inputs
        won = inputs.opportunity.filter(pl.col("is_won").fill_null(False) & ~pl.col("is_deleted").fill_null(False))
        self._won = won.drop("record", strict=False).sort("close_date", "id", nulls_last=True)
        self._schedules = Schedules(
            inputs.agreed_schedules,
            known.history,
            inputs.decisions,
            known.rules,
            known.parameters.as_of,
            known.made,
            known.templates_refused,
            lambda deal: self._judge.known_customer(deal),
            known.account_name,
        )
        self._sound: list[tuple[SoundDeal, Findings]] = []
        self._adoptions: list[tuple[Mapping[str, Any], Mapping[str, Any]]] = []
        self._period_adoptions: list[PeriodAdoption] = []
        self._questions: list[tuple[Mapping[str, Any], Question]] = []
        self._template_ends: list[tuple[Mapping[str, Any], TemplateEnd]] = []
        self.writes: list[dict[str, Any]] = []
        self.refusals: list[dict[str, Any]] = []
        self.notes: list[dict[str, Any]] = []
        self.deals: list[dict[str, Any]] = []
        self.schedules: list[Mapping[str, Any]] = []
        self.agreements: list[dict[str, Any]] = []
        self.template_invoices: list[dict[str, Any]] = []
        self._agreed_now: list[AgreedSchedule] = []
        self._open = self._sort_out()
        self._details = details_of(self._open, known)
        self._new = NewRecords(known, self._details.customers)
        self._judge = Judge(known, self._details, self._new)
        looked = [self._looked_at(deal) for deal in self._open]
        self._contracts = contract_deals(looked, self._schedules, known)
        #: What becomes of deals that are billed period by period, by their ids.
        self._scheduled: dict[str, Scheduled] = {}

    # First every deal is looked at

    def _sort_out(self) -> list[dict[str, Any]]:
        """Put away the deals that were billed or are too old; the others are looked at closely."""
        open_deals: list[dict[str, Any]] = []
        for deal in self._won.iter_rows(named=True):
            agreed = self._schedules.is_agreed(deal["id"])
            billed = self._known.history.billed(deal) if not agreed else None
            by_template = self._schedules.has_templates(deal["id"])
            if billed is not None and not by_template and not self._schedules.is_billed_by_period(deal):
                self._put_billed(deal, billed)
            elif self._known.is_old(deal) and not agreed and not by_template:
                self._put_deal(deal, "before_go_live", f"Won before the go-live date {self._known.parameters.go_live}.")
            else:
                open_deals.append(deal)
        return open_deals

    def _looked_at(self, deal: Mapping[str, Any]) -> SoldDeal:
        sold = sold_lines(deal, self._details.sources)
        return SoldDeal(deal, sold, deal_terms(deal, sold.terms, self._known.company.org_currency))

    def consider_all(self) -> None:
        """Look at every deal that is still to be invoiced, and at schedules whose deal is not won any more."""
        for looked in self._contracts.in_order:
            self._consider(looked)
        won = set(self._won.get_column("id").to_list())
        kept = {agreed.opportunity_id for agreed in self._known.inputs.agreed_schedules} - won
        billed = pl.col("id").is_in(list(kept)) | (
            pl.col("id").str.slice(0, 15).is_in(list(self._known.made.deals)) & ~pl.col("id").is_in(list(won))
        )
        others = self._known.inputs.opportunity.filter(billed).drop("record", strict=False).sort("id")
        for deal in others.iter_rows(named=True):
            stopped = self._schedules.stopped(deal)
            if stopped is not None:
                self._put_refusals(deal, stopped.reasons)
                self._put_schedule(deal, stopped)
        for opportunity_id in self._schedules.missing(set(self._known.inputs.opportunity.get_column("id").to_list())):
            unknown = dict.fromkeys(("name", "account_id", "owner_id", "amount", "currency"))
            reason = schedule_refusals.deal_not_shown(by_template=self._schedules.has_templates(opportunity_id))
            self._put_refusals({"id": opportunity_id, **unknown}, [reason])

    def _put_billed(self, deal: Mapping[str, Any], billed: Billed) -> None:
        if billed.rivals:
            reason = validation.duplicate_marker(self._known.history.numbers(billed.rivals))
            self._put_refusals(deal, [reason])
            self._put_deal(deal, "refused", reason.text)
            return
        if billed.adopt and billed.invoice_id is not None and not self._is_being_told(deal):
            found = self._known.history.invoice(billed.invoice_id)
            if found is not None:
                self._adoptions.append((deal, found))
            else:
                text = f"The deal was billed as invoice id {billed.invoice_id}, which was not found in QuickBooks."
                self._put_note(deal["id"], "invoice_not_read", text)
        stored = (deal["invoice_id"] or "").strip()
        if stored and not self._known.history.holds_invoice(stored):
            text = f"The deal holds the invoice id {stored}, and QuickBooks has no such invoice. It is not billed again."
            self._put_note(deal["id"], "stored_invoice_missing", text)
        self._put_deal(deal, "invoiced", billed.sign)

    def _is_being_told(self, deal: Mapping[str, Any]) -> bool:
        """Whether the ledger holds the write-back of the invoice that it created itself."""
        line = self._known.history.ledger(self._known.history.invoice_key(deal["id"]))
        if line is None or line.status not in ("done", "sending"):
            return False
        payload = payloads.opportunity_write_back(deal["id"], self._known.rules.salesforce.opportunity)
        written = self._known.history.ledger(self._known.keys.write_back("opportunity", deal["id"], payload))
        return written is not None and written.status in ("planned", "sending", "failed", "dead")

    def _consider(self, looked: SoldDeal) -> None:
        """Look at one deal; put it with the sound ones, or say everything that stands against it."""
        findings = Findings()
        deal, sold = looked.deal, looked.sold
        if sold.change == "amendment":
            self._consider_amendment(looked)
            return
        if self._known.is_on_hold(deal):
            self._consider_on_hold(deal)
            return
        scheduled = self._schedules.decide(
            deal,
            sold,
            looked.terms,
            self._details.revenue,
            self._contracts.amendments_of(deal["id"]),
            self._contracts.renewed_by(looked, self._scheduled),
        )
        if scheduled is not None:
            self._scheduled[deal["id"]] = scheduled
            self._consider_scheduled(deal, sold, scheduled)
            return
        sound = self._judge.judge(deal, sold, findings)
        line = self._known.history.ledger(self._known.history.invoice_key(deal["id"]))
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

    def _consider_amendment(self, looked: SoldDeal) -> None:
        """Look at a deal that amends a contract: what it changes is billed with the deal that made that, or by itself."""
        deal, sold = looked.deal, looked.sold
        found = self._contracts.place_of(looked, self._scheduled)
        if self._known.is_on_hold(deal) and found.billed_with is None:
            self._consider_on_hold(deal)
            return
        if found.bills_itself:
            self._consider_scheduled(deal, sold, self._schedules.difference(deal, sold, looked.terms, found.detail))
            return
        self._put_refusals(deal, found.reasons)
        detail = " ".join(reason.text for reason in found.reasons) or found.detail
        self._put_deal(deal, "refused" if found.reasons else "amends", detail)
        if found.billed_with is not None:
            self.deals[-1] |= {"billed_with": found.billed_with, "difference": looked.difference}

    def _consider_on_hold(self, deal: Mapping[str, Any]) -> None:
        """Nothing of the deal is billed: it waits, and of a schedule that was begun a person is asked whether it rests."""
        scheduled = self._schedules.on_hold(deal)
        reason = validation.billing_on_hold(self._known.rules.salesforce.opportunity.billing_on_hold)
        line = self._known.history.ledger(self._known.history.invoice_key(deal["id"]))
        sent = line is not None and line.status == "sending"
        reasons = [] if sent else [reason]
        self._scheduled[deal["id"]] = scheduled or Scheduled(None, (reason,))
        if scheduled is not None:
            self._put_schedule(deal, scheduled)
            sent = None in scheduled.placed.values()
            reasons = [*scheduled.reasons, *([] if scheduled.placed else [reason])]
        if reasons:
            self._put_refusals(deal, reasons)
            self._put_deal(deal, "refused", " ".join(one.text for one in reasons))
        elif sent or scheduled is None:
            self._put_deal(deal, "in_progress", "An invoice was sent to QuickBooks, and its answer is being looked for.")
        else:
            asked = f"{reason.text} " if scheduled.question is not None else ""
            self._put_deal(deal, "invoiced" if scheduled.is_billed else "scheduled", f"{asked}{scheduled.outlook}")

    def _consider_scheduled(self, deal: Mapping[str, Any], sold: SoldLines, scheduled: Scheduled) -> None:
        """Look at a deal that is billed period by period: every period that is due is an invoice of its own."""
        self._put_schedule(deal, scheduled)
        reasons = list(scheduled.reasons)
        sound: list[SoundDeal] = []
        for bill in period_bills(deal, scheduled, self._known):
            findings = Findings()
            found = self._judge.judge(deal, sold, findings, bill)
            if found is None:
                reasons += [reason for reason in findings.reasons if reason not in reasons]
            else:
                sound.append(found)
                told = bill.key == newest_key(deal, scheduled, self._known)
                self._take(replace(found, told=told), findings)
        told = any(one.bill is not None and one.bill.template is None for one in sound)
        adoption = period_adoption(deal, scheduled, self._known, told=told) if not reasons else None
        if adoption is not None:
            self._period_adoptions.append(adoption)
        details = [f"{one.bill.name if one.bill else ''} over {format_amount(one.total, one.currency).strip()}" for one in sound]
        detail = f"{', '.join(details)}. {scheduled.outlook}" if details else scheduled.outlook
        dead = next((text for one in sound if (text := self._dead(one)) is not None), None)
        statuses = {line.status if (line := self._known.history.ledger(one.key)) is not None else None for one in sound}
        back = [_taken_back(row) for row in scheduled.taken_back]
        taken_back = [schedule_refusals.period_taken_back(back)] if back else []
        self._put_refusals(deal, [*reasons, *taken_back])
        if reasons:
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
            # Of an amendment that only takes away there is no invoice, and nobody looks for one.
            credited = sold.change == "amendment" and scheduled.schedule is not None and scheduled.schedule.total <= 0
            self._put_deal(deal, "amends" if credited else "invoiced" if scheduled.is_billed else "scheduled", detail)

    def _put_schedule(self, deal: Mapping[str, Any], scheduled: Scheduled) -> None:
        self.schedules += scheduled.rows
        if scheduled.agreement is not None:
            self.agreements.append(agreement_row(scheduled.agreement))
            self._agreed_now.append(scheduled.agreement.agreed)
        if scheduled.question is not None:
            self._questions.append((deal, scheduled.question))
        self._template_ends += [(deal, end) for end in scheduled.templates.ends]
        if not scheduled.reasons:
            self.template_invoices += [
                {"opportunity_id": deal["id"], "invoice_id": invoice_id, "period": number}
                for number, invoice_id in scheduled.by_template.items()
            ]

    def schedule_lines(self) -> list[dict[str, Any]]:
        """Rows of :data:`.recurring.tables.BILLING_SCHEDULE_LINES`: also of deals that wait, or are not won any more."""
        parameters = self._known.parameters
        return lines_by_agreement(self._schedules.versions(), self._agreed_now, parameters.as_of, parameters.time_zone)

    def _take(self, sound: SoundDeal, findings: Findings) -> None:
        """Put a deal with the sound ones, and what it needs with what is to be created."""
        self._sound.append((sound, findings))
        self._new.take(sound)

    def _dead(self, sound: SoundDeal) -> str | None:
        """What to say where the invoice, or what it needs, was refused for good."""
        lines = [self._known.history.ledger(sound.key), *self._new.ledger_lines(sound)]
        dead = next((line for line in lines if line is not None and line.status == "dead"), None)
        if dead is None:
            return None
        code = f" ({dead.error_code})" if dead.error_code else ""
        return f"It was refused for good{code}. It is tried again once the deal changes, or with qbsf failures retry."

    def write_all(self) -> None:
        """Rows of the plan: what deals share before the first that needs it, then each deal's own writes."""
        accounts = AccountWriteBacks(self._known)
        rows = DealRows(self._known, self._details, self._new, accounts)
        for sound, findings in self._sound:
            self.writes += rows.of_deal(sound, findings)
            for code, text in findings.notes:
                self._put_note(sound.deal["id"], code, text)
        for deal, found in self._adoptions:
            self.writes += rows.of_adoption(deal, found)
        for adoption in self._period_adoptions:
            self.writes += rows.of_period_adoption(adoption)
        for deal, question in self._questions:
            self.writes += rows.of_question(deal, question)
        for deal, end in self._template_ends:
            self.writes += rows.of_template_end(deal, end)
        for row in accounts.repeated():
            self.writes += placed([row], self._known.keys.plan_id([row], row["account_id"]))

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
            "account_name": self._known.account_name(deal["account_id"]),
            "owner_id": deal["owner_id"],
            "amount": deal["amount"],
            "currency": self._known.company.currency_of(deal),
        }


def _taken_back(row: Mapping[str, Any]) -> str:
    """A period whose invoice was voided or deleted, for a sentence."""
    number = row["invoice_number"] or f"id {row['invoice_id']}"
    return f"{number} of {row['due_on']} over {format_amount(row['amount'], row['currency']).strip()}"
