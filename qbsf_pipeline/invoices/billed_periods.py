"""Which periods of a deal were billed: by the ledger, and by what documents in QuickBooks say of themselves. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any

from qbsf_pipeline.invoices import schedule_refusals as refusals
from qbsf_pipeline.invoices.history import BillingHistory
from qbsf_pipeline.invoices.recurring import kept, markers
from qbsf_pipeline.invoices.recurring import refusals as template_refusals
from qbsf_pipeline.invoices.recurring.due import DuePeriods
from qbsf_pipeline.invoices.recurring.schedule import BillingPeriod, BillingSchedule, sum_of
from qbsf_pipeline.invoices.recurring.tables import PeriodInvoice, schedule_rows
from qbsf_pipeline.invoices.recurring.template_invoices import MadeByTemplates
from qbsf_pipeline.invoices.scheduled import Agreement
from qbsf_pipeline.invoices.validation import Reason
from qbsf_pipeline.state.billing_schedules import AgreedSchedule
from qbsf_pipeline.state.links import PERSON, TEMPLATE


@dataclass(frozen=True)
class Billed:
    """Days on which periods were billed, and their invoices; both ``None`` where that is not known.

    ``by_template``: those that recurring templates made; ``unplaced``: what they made that is no open period, and that a person
    has to look at; ``foreign``: whether a person made such a template.
    """

    days: Mapping[int, date | None]
    invoices: Mapping[int, str | None]
    reasons: tuple[Reason, ...]
    by_template: Mapping[int, str] = field(default_factory=dict)
    unplaced: tuple[str, ...] = ()
    foreign: bool = False


class BilledPeriods:
    """What was billed of deals with a schedule."""

    def __init__(self, history: BillingHistory, made: MadeByTemplates, today: date) -> None:
        """
        Args:
            made: recurring templates of QuickBooks and their invoices.
            today: in the company's time zone.
        """
        self._history, self._made, self._today = history, made, today

    def of(self, opportunity_id: str, schedule: BillingSchedule) -> Billed:
        """Which periods were billed or are being sent: by the ledger, and by what invoices in QuickBooks say of themselves."""
        days: dict[int, date | None] = {}
        invoices: dict[int, str | None] = {}
        for number, line in self._history.periods(opportunity_id).items():
            if line.status == "done":
                days[number], invoices[number] = line.done_on, line.result_id
            elif line.status == "sending":
                days[number] = invoices[number] = None
        notes = self._history.notes(opportunity_id) | self._history.memo_notes(opportunity_id)
        by_note = markers.placed_by_note(schedule, notes)
        own = {one for one in invoices.values() if one is not None}
        rivals = list(by_note.rivals)
        for number, invoice_id in by_note.placed.items():
            if invoices.get(number) is None:
                days.setdefault(number, None)
                invoices[number] = invoice_id
            elif invoices[number] != invoice_id and invoice_id not in own:
                rivals.append(invoice_id)
        nets = {one: net for one in notes if (net := self._history.net(one)) is not None}
        taken = {one for one in invoices.values() if one is not None} | {*rivals}
        vouched = self._history.linked_by(opportunity_id, PERSON)
        made = self._made.of_deal(opportunity_id, schedule, set(invoices), taken, list(notes), nets, vouched, self._today)
        for number, invoice_id in made.placed.items():
            days[number], invoices[number] = None, invoice_id
        known = own | {*made.placed.values(), *made.unplaced}
        reasons = []
        unplaced = [one for one in by_note.unplaced if one not in known]
        left = self._left_of_templates(opportunity_id, made.unplaced)
        if left:
            reasons.append(template_refusals.template_invoice_unplaced(self._history.numbers(left)))
        if made.unsure:
            reasons.append(template_refusals.template_invoice_unsure(made.unsure))
        if rivals:
            reasons.append(refusals.period_billed_twice(self._history.numbers(tuple(rivals))))
        if unplaced:
            reasons.append(refusals.invoice_of_no_period(self._history.numbers(tuple(unplaced))))
        return Billed(days, invoices, tuple(reasons), made.placed, left, made.foreign)

    def _left_of_templates(self, opportunity_id: str, invoice_ids: Sequence[str]) -> tuple[str, ...]:
        """Invoices of no period that a person still has to look at: neither voided, nor linked by a person."""
        seen = self._history.linked_by(opportunity_id, PERSON)
        return tuple(one for one in invoice_ids if one not in seen and (self._history.invoice(one) or {}).get("status") == "live")

    def gaps(self, schedule: BillingSchedule, billed: Billed) -> frozenset[int]:
        """Periods that nothing remembers, of a deal whose memory was lost: the ledger does not know the invoices of later ones.

        Such a period may have an invoice whose note was edited, or one that a person deleted.
        """
        remembered = self._history.periods(schedule.opportunity_id)
        forgotten = {number for number in billed.invoices if number not in remembered and number not in billed.by_template}
        # The day of a difference is that of its answer, and tells nothing of what was billed before.
        regular = [one for one in schedule.periods if one.kind != "difference"]
        days = [one.due_on for one in regular if one.number in forgotten]
        return frozenset(
            one.number
            for one in regular
            if days and one.due_on <= max(days) and one.number not in billed.invoices and one.number not in remembered
        )

    def done(self, opportunity_id: str) -> frozenset[int]:
        """Numbers of the periods that the ledger knows to be billed."""
        return frozenset(number for number, line in self._history.periods(opportunity_id).items() if line.status == "done")

    def billed_otherwise(self, schedule: BillingSchedule, billed: Billed, unremembered: Collection[int]) -> list[Reason]:
        """An invoice that is not remembered, over another amount than its period, tells that the schedule was another one when it
        was made."""
        found = []
        links = {method: self._history.linked_by(schedule.opportunity_id, method) for method in (TEMPLATE, PERSON)}
        accepted = {one for one in billed.by_template.values() if one in links[PERSON]} | {*links[TEMPLATE]}
        open_to_doubt = {number for number in unremembered if billed.invoices.get(number) not in accepted}
        for period in (one for one in schedule.periods if one.number in open_to_doubt):
            net = self._net(period, billed.invoices)
            if net is not None and net != period.amount:
                document_id = billed.invoices.get(period.number) or ""
                document = self._history.credit_memo(document_id) if period.amount < 0 else self._history.invoice(document_id)
                number = str((document or {}).get("doc_number") or f"id {document_id}")
                reason = refusals.billed_otherwise(number, net, period.amount, schedule.currency, period.span.starts)
                by_template = period.number in billed.by_template
                found.append(replace(reason, remedy=template_refusals.CORRECT_OR_LINK) if by_template else reason)
        return found

    def fitting(self, opportunity_id: str, schedule: BillingSchedule) -> frozenset[int]:
        """Numbers of periods that bear a document over just their amount."""
        invoices = self.of(opportunity_id, schedule).invoices
        return frozenset(
            one.number for one in schedule.periods if one.number in invoices and self._net(one, invoices) in (None, one.amount)
        )

    def rows(
        self,
        deal: Mapping[str, Any],
        schedule: BillingSchedule,
        billed: Billed,
        due: DuePeriods,
        versions: Sequence[AgreedSchedule],
        agreement: Agreement | None,
    ) -> tuple[Mapping[str, Any], ...]:
        """Rows of :data:`.recurring.tables.BILLING_SCHEDULES`.

        Args:
            versions: what was agreed, the newest last.
            agreement: what is agreed now beside these.
        """
        told = [*versions, *([agreement.agreed] if agreement is not None else [])]
        known = {one.number for one in schedule.periods}
        credits = {one.number for one in schedule.periods if one.amount < 0}
        invoices = {
            number: self._memo(document_id) if number in credits else self._invoice(document_id)
            for number, document_id in billed.invoices.items()
        }
        return tuple(
            schedule_rows(
                schedule,
                deal,
                {number: one for number, one in invoices.items() if number in known},
                due,
                _ended(told),
            )
        )

    def _memo(self, memo_id: str | None) -> PeriodInvoice:
        found = self._history.credit_memo(memo_id) if memo_id is not None else None
        nothing = Decimal("0.00")
        if found is None:
            return PeriodInvoice(memo_id, None, None, "live", nothing, nothing)
        status = "deleted" if found["is_deleted"] else "live"
        return PeriodInvoice(found["id"], found["doc_number"], found["txn_date"], status, nothing, nothing)

    def _invoice(self, invoice_id: str | None) -> PeriodInvoice:
        found = self._history.invoice(invoice_id) if invoice_id is not None else None
        if found is None:
            return PeriodInvoice(None, None, None, "live", Decimal("0.00"), Decimal("0.00"))
        total, balance = found["total"] or Decimal("0.00"), found["balance"] or Decimal("0.00")
        paid = sum_of([total, -balance])
        return PeriodInvoice(found["id"], found["doc_number"], found["txn_date"], found["status"] or "live", paid, balance)

    def _net(self, period: BillingPeriod, invoices: Mapping[int, str | None]) -> Decimal | None:
        """What the period's invoice comes to without tax, or its credit memo below zero; ``None`` for one that does not stand, or
        was not read."""
        document_id = invoices.get(period.number) or ""
        if period.amount < 0:
            memo = self._history.credit_memo(document_id)
            return -(memo["total"] or Decimal(0)) if memo is not None and not memo["is_deleted"] else None
        invoice = self._history.invoice(document_id)
        if invoice is None or invoice["status"] != "live" or invoice["total"] is None:
            return None
        return sum_of([invoice["total"], -(invoice["tax"] or Decimal(0))])


def _ended(versions: Sequence[AgreedSchedule]) -> list[tuple[BillingPeriod, str]]:
    """Periods that an agreement ended, each with what that said."""
    found: dict[int, tuple[BillingPeriod, str]] = {}
    before: tuple[BillingPeriod, ...] = ()
    for version in versions:
        try:
            periods = kept.read(version.schedule).periods
        except kept.UnreadableScheduleError:
            # What an older version said is history; the newest was read before this.
            continue
        numbers = {one.number for one in periods}
        found |= {one.number: (one, version.sentence) for one in before if one.number not in numbers}
        before = periods
    return list(found.values())
