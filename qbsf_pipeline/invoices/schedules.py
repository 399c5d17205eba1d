"""What becomes of deals that are billed period by period: agreed schedule, what was billed, what is due, what has changed. Pure.

A schedule is agreed as a plain invoice would be, and follows its deal until a period of it is billed. From then on a change of
the deal is a proposal that a person approves; only a deal that is not won any more stops its schedule at once. What a period is
billed as is in :mod:`.plan`, how periods come about in :mod:`.recurring`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from qbsf_pipeline.invoices import schedule_refusals as refusals
from qbsf_pipeline.invoices.history import BillingHistory
from qbsf_pipeline.invoices.line_sources.sold import SoldLines
from qbsf_pipeline.invoices.recurring import kept, markers
from qbsf_pipeline.invoices.recurring import refusals as template_refusals
from qbsf_pipeline.invoices.recurring.amending import Proposal, Stop, amend, stop
from qbsf_pipeline.invoices.recurring.building import billing_schedule, single_invoice
from qbsf_pipeline.invoices.recurring.due import DuePeriod, DuePeriods, due_periods
from qbsf_pipeline.invoices.recurring.handing_over import NOTHING_HANDED, HandedOver, hand_over, template_ends
from qbsf_pipeline.invoices.recurring.periods import Frequency, frequency_of
from qbsf_pipeline.invoices.recurring.revenue_schedules import RevenueRow
from qbsf_pipeline.invoices.recurring.schedule import BillingPeriod, BillingSchedule, sum_of
from qbsf_pipeline.invoices.recurring.tables import PeriodInvoice, schedule_rows
from qbsf_pipeline.invoices.recurring.template_invoices import MadeByTemplates
from qbsf_pipeline.invoices.recurring.terms import DealTerms
from qbsf_pipeline.invoices.validation import Reason
from qbsf_pipeline.money import format_amount, to_json
from qbsf_pipeline.settings import Rules
from qbsf_pipeline.state.billing_schedules import AgreedSchedule
from qbsf_pipeline.state.links import PERSON, TEMPLATE

_BY_RULES = "rules"
_ON_HOLD = "The deal's billing is on hold."


@dataclass(frozen=True)
class Agreement:
    """A schedule that is to be kept from now on, and needs no person.

    Attributes:
        told: finance is told of it: the schedule was stopped.
    """

    agreed: AgreedSchedule
    deal: Mapping[str, Any]
    told: bool = False


@dataclass(frozen=True)
class Question:
    """What a person has to say yes to before anything of it happens.

    Attributes:
        key: the same as long as the same is asked of the same schedule.
        agreed: what is kept once it is approved.
        amount: by how much the deal's schedule changes, or what the missed periods come to; schedule's currency.
    """

    key: str
    agreed: AgreedSchedule
    sentence: str
    amount: Decimal
    currency: str


@dataclass(frozen=True)
class Scheduled:
    """A deal that is billed period by period.

    Attributes:
        schedule: as it counts now; ``None`` where reasons keep it from being known.
        reasons: what stands against billing any of it.
        bill: what is billed now.
        credits: differences below zero: credit memos that a person approves.
        placed: numbers of periods that have an invoice, and its id; ``None`` while an answer is looked for.
        agreement: what is to be remembered.
        question: what a person is asked.
        rows: of :data:`.recurring.tables.BILLING_SCHEDULES`.
        templates: what recurring templates of QuickBooks bill of it.
        by_template: those of ``placed`` whose invoice a template made.
    """

    schedule: BillingSchedule | None
    reasons: tuple[Reason, ...] = ()
    bill: tuple[DuePeriod, ...] = ()
    credits: tuple[BillingPeriod, ...] = ()
    placed: Mapping[int, str | None] = field(default_factory=dict)
    agreement: Agreement | None = None
    question: Question | None = None
    rows: tuple[Mapping[str, Any], ...] = ()
    templates: HandedOver = NOTHING_HANDED
    by_template: Mapping[int, str] = field(default_factory=dict)

    @property
    def newest(self) -> int | None:
        """The newest period that has an invoice."""
        if self.schedule is None:
            return None
        billed = [one for one in self.schedule.periods if self.placed.get(one.number) is not None]
        return max(billed, key=lambda one: (one.due_on, one.number)).number if billed else None

    @property
    def is_billed(self) -> bool:
        """Whether nothing of it is left to be billed."""
        return self.schedule is not None and all(one.number in self.placed or one.amount <= 0 for one in self.schedule.periods)

    @property
    def outlook(self) -> str:
        """What is still to come, in a sentence."""
        schedule = self.schedule
        if schedule is None:
            return ""
        ahead = [one for one in schedule.periods if one.number not in self.placed and one.amount > 0]
        if schedule.status != "active":
            return f"{schedule.why} Nothing is billed."
        if not ahead:
            return f"All {len(schedule.periods)} periods were billed."
        amount = format_amount(sum_of(one.amount for one in ahead), schedule.currency).strip()
        billed = len(schedule.periods) - len(ahead)
        by_template = f" QuickBooks' templates bill {len(self.templates.handed)} of them." if self.templates.handed else ""
        waits = f" {self.templates.waits}" if self.templates.waits else ""
        return (
            f"{billed} of {len(schedule.periods)} periods billed; {amount} to come, next on {min(one.due_on for one in ahead)}."
            f"{by_template}{waits}"
        )


class Schedules:
    """The billing schedules of all deals, as agreed and as wanted."""

    def __init__(
        self,
        agreed: Sequence[AgreedSchedule],
        history: BillingHistory,
        decisions: Mapping[str, str],
        rules: Rules,
        today: date,
        made: MadeByTemplates,
        templates_refused: str = "",
        customer_of: Callable[[Mapping[str, Any]], str | None] = lambda _deal: None,
    ) -> None:
        """
        Args:
            agreed: every version that there was, the newest of a deal last.
            decisions: approved or rejected, by plan id.
            today: in the company's time zone.
            made: recurring templates of QuickBooks and their invoices.
            customer_of: whom a won deal bills in QuickBooks, where that is known.
            templates_refused: why this company's deals are not billed by templates, in a sentence; empty where they may be.
        """
        self._made, self._templates_refused, self._customer_of = made, templates_refused, customer_of
        self._history, self._decisions, self._rules, self._today = history, decisions, rules.recurring, today
        self._versions: dict[str, list[AgreedSchedule]] = {}
        for one in agreed:
            if one.generation == history.generation(one.opportunity_id):
                self._versions.setdefault(one.opportunity_id, []).append(one)

    def is_agreed(self, opportunity_id: str) -> bool:
        """Whether a schedule of the deal is kept."""
        return opportunity_id in self._versions

    def has_templates(self, opportunity_id: str) -> bool:
        """Whether QuickBooks has, or may have, a recurring template that bills the deal."""
        return opportunity_id[:15] in self._made.deals

    def versions(self) -> list[AgreedSchedule]:
        """Every agreement on every deal as it is billed now, the newest of a deal last."""
        return [version for versions in self._versions.values() for version in versions]

    def is_billed_by_period(self, deal: Mapping[str, Any]) -> bool:
        """Whether every sign of an invoice of the deal is one of a period: then its schedule is found again by them.

        Args:
            deal: row of ``salesforce.opportunity``: id, invoice_id, billing_frequency.
        """
        notes = self._history.notes(deal["id"])
        stored = (deal["invoice_id"] or "").strip()
        often = frequency_of(deal["billing_frequency"] or "", self._rules.frequencies)
        again_and_again = bool(self._made.templates(deal["id"])) or often not in (None, Frequency.ONE_TIME)
        noted = all(
            markers.noted_period(note) is not None
            or (again_and_again and bool((self._history.invoice(invoice_id) or {}).get("recurring_id")))
            for invoice_id, note in notes.items()
        )
        return bool(notes) and noted and (not stored or stored in notes)

    def decide(
        self, deal: Mapping[str, Any], sold: SoldLines, terms: DealTerms, revenue: Mapping[str, Sequence[RevenueRow]]
    ) -> Scheduled | None:
        """What becomes of a won deal; ``None`` for one that is a single invoice.

        Args:
            deal: row of ``salesforce.opportunity``.
            sold: its lines, of whatever source.
            terms: what it says of its billing.
            revenue: revenue schedules by line.
        """
        versions = self._versions.get(deal["id"], [])
        if sold.change == "amendment":
            return Scheduled(None, (refusals.amendment_by_hand(sold.contract_id),))
        if versions and not self._rules.enabled:
            return self._waiting(deal, versions, (refusals.recurring_disabled(),), "The rules have switched that off.")
        if versions and (sold.reasons or not sold.lines):
            return self._waiting(deal, versions, sold.reasons)
        found = billing_schedule(terms, sold.lines, revenue, self._rules)
        wanted = found.schedule
        if found.reasons:
            return self._waiting(deal, versions, found.reasons)
        if wanted is None and (versions or self.has_templates(deal["id"]) or self.is_billed_by_period(deal)):
            wanted = single_invoice(terms, sold.lines, deal["close_date"] or self._today)
        if wanted is None:
            return None
        if not versions:
            return self._first(deal, wanted)
        try:
            before = kept.read(versions[-1].schedule)
        except kept.UnreadableScheduleError as error:
            return Scheduled(None, (refusals.schedule_unreadable(str(error)),))
        return self._known(deal, versions, before, wanted)

    def on_hold(self, deal: Mapping[str, Any]) -> Scheduled | None:
        """What becomes of the kept schedule of a won deal whose billing is on hold; ``None`` without one.

        What is due is held at once, and a recurring template is deleted. That the schedule rests is asked once something was
        billed; it goes on, by another question, when the deal is not on hold any more.

        Args:
            deal: row of ``salesforce.opportunity``: id, name, account_id.
        """
        versions = self._versions.get(deal["id"])
        if versions is None:
            ends = template_ends(self._made.templates(deal["id"]), _ON_HOLD)
            return Scheduled(None, templates=HandedOver(ends=ends)) if ends else None
        newest = versions[-1]
        try:
            before = kept.read(newest.schedule)
        except kept.UnreadableScheduleError as error:
            return Scheduled(None, (refusals.schedule_unreadable(str(error)),))
        billed = self._billed(deal["id"], before)
        proposal = stop(before, frozenset(billed.days), "on_hold", self._today)
        question = None
        left = any(one.number not in billed.days and one.amount > 0 for one in before.periods)
        if proposal.kind != "none" and billed.days and left and not billed.reasons:
            agreed = replace(
                newest, version=newest.version + 1, schedule=kept.written(proposal.schedule), sentence=proposal.sentence
            )
            question = self._asked(agreed, newest.version, before, proposal)
        handed = self._handed(deal, before, billed, refused=_ON_HOLD, settled=False)
        due = due_periods(before, {**dict.fromkeys(handed.handed), **billed.days}, self._today, self._rules, newest.missed)
        everything = frozenset(one.number for one in before.periods)
        rows = _held(self._rows(deal, before, billed, due, versions, None), everything, _ON_HOLD)
        return Scheduled(
            before,
            (*billed.reasons, *handed.reasons),
            placed=billed.invoices,
            question=question,
            rows=_by_templates(rows, handed),
            templates=handed,
            by_template=billed.by_template,
        )

    def stopped(self, deal: Mapping[str, Any]) -> Scheduled | None:
        """What becomes of the kept schedule of a deal that is not won, or deleted; ``None`` without one.

        Args:
            deal: row of ``salesforce.opportunity``: id, name, account_id, is_won, is_closed, is_deleted.
        """
        versions = self._versions.get(deal["id"])
        what: Stop = "deleted" if deal["is_deleted"] else "lost" if deal["is_closed"] else "reopened"
        if versions is None:
            ends = template_ends(self._made.templates(deal["id"]), "The deal is not won.")
            return Scheduled(None, templates=HandedOver(ends=ends)) if ends else None
        newest = versions[-1]
        try:
            before = kept.read(newest.schedule)
        except kept.UnreadableScheduleError as error:
            return Scheduled(None, (refusals.schedule_unreadable(str(error)),))
        billed = self._billed(deal["id"], before)
        proposal = stop(before, frozenset(billed.days), what, self._today)
        handed = self._handed(deal, proposal.schedule, billed)
        agreement = None
        if proposal.kind != "none":
            text = kept.written(proposal.schedule)
            deleted = "".join(f" QuickBooks' {one.template.called} is deleted." for one in handed.ends if not one.taken_over)
            sentence = f"{proposal.sentence}{deleted}"
            agreed = replace(newest, version=newest.version + 1, schedule=text, sentence=sentence, agreed_by=_BY_RULES)
            agreement = Agreement(agreed, deal, told=True)
        due = due_periods(proposal.schedule, billed.days, self._today, self._rules, newest.missed)
        rows = self._rows(deal, proposal.schedule, billed, due, versions, agreement)
        late = self._history.numbers(billed.unplaced)
        return Scheduled(
            proposal.schedule,
            (refusals.invoiced_after_stop(late, proposal.schedule.why),) if late else (),
            placed=billed.invoices,
            agreement=agreement,
            rows=rows,
            templates=handed,
            by_template=billed.by_template,
        )

    # Won deals

    def _first(self, deal: Mapping[str, Any], wanted: BillingSchedule) -> Scheduled:
        """A deal without a kept schedule: a new one, or one whose memory was lost and whose invoices tell their periods."""
        billed = self._billed(deal["id"], wanted)
        reasons = [*billed.reasons, *self._billed_otherwise(wanted, billed, frozenset(billed.invoices))]
        if reasons:
            return Scheduled(wanted, tuple(reasons), placed=billed.invoices)
        agreed = AgreedSchedule(
            deal["id"], self._history.generation(deal["id"]), 1, kept.written(wanted), (), wanted.summary, _BY_RULES
        )
        return self._billing(deal, wanted, billed, agreed, [agreed], Agreement(agreed, deal), None, frozenset())

    def _billing(
        self,
        deal: Mapping[str, Any],
        schedule: BillingSchedule,
        billed: _Billed,
        newest: AgreedSchedule,
        versions: Sequence[AgreedSchedule],
        agreement: Agreement | None,
        question: Question | None,
        held: frozenset[int],
    ) -> Scheduled:
        """What is billed of a schedule now, by qbsf or by a template.

        Args:
            newest: the agreement that counts, the last of ``versions``.
            question: a change that waits for a person.
            held: periods that it would change.
        """
        settled = question is None or self._decisions.get(plan_id_of(question.key)) == "rejected"
        handed = self._handed(deal, schedule, billed, settled=settled)
        due = due_periods(schedule, {**dict.fromkeys(handed.handed), **billed.days}, self._today, self._rules, newest.missed)
        question = question or (self._missed(newest, schedule, due) if not handed.waits else None)
        late = self._awaited(due, billed)
        rows = self._rows(deal, schedule, billed, due, versions, None)
        rows = _held(rows, held, "A change of the deal waits for a person.")
        rows = _held(rows, late, "A recurring template that a person made bills the deal; qbsf waits for its invoice.")
        bill = [one for one in due.bill if not handed.waits and one.period.number not in held | late]
        credits = [one for one in due.credits if not handed.waits and one.number not in held]
        return Scheduled(
            schedule,
            handed.reasons,
            tuple(bill),
            tuple(credits),
            billed.invoices,
            agreement,
            question,
            _by_templates(rows, handed),
            handed,
            billed.by_template,
        )

    def _handed(
        self, deal: Mapping[str, Any], schedule: BillingSchedule, billed: _Billed, *, refused: str = "", settled: bool = True
    ) -> HandedOver:
        templates = self._made.templates(deal["id"])
        return hand_over(
            schedule,
            billed.days,
            templates,
            self._today,
            self._rules,
            customer=self._customer_of(deal) if templates else None,
            refused=refused or self._templates_refused,
            settled=settled,
        )

    def _awaited(self, due: DuePeriods, billed: _Billed) -> frozenset[int]:
        """Periods that a template which a person made may still bill."""
        if not billed.foreign:
            return frozenset()
        patience = timedelta(days=self._rules.template_days)
        return frozenset(one.period.number for one in due.bill if self._today - one.period.due_on <= patience)

    def _waiting(
        self,
        deal: Mapping[str, Any],
        versions: Sequence[AgreedSchedule],
        reasons: tuple[Reason, ...],
        refused: str = "",
    ) -> Scheduled:
        """A deal that cannot be understood any more: nothing of its schedule is billed by qbsf, and all of it stays to be seen.

        Args:
            refused: why its templates are deleted, in a sentence; empty where they stay.
        """
        if not versions:
            return Scheduled(None, reasons)
        try:
            before = kept.read(versions[-1].schedule)
        except kept.UnreadableScheduleError as error:
            return Scheduled(None, (*reasons, refusals.schedule_unreadable(str(error))))
        billed = self._billed(deal["id"], before)
        handed = self._handed(deal, before, billed, refused=refused, settled=False)
        due = due_periods(before, {**dict.fromkeys(handed.handed), **billed.days}, self._today, self._rules, versions[-1].missed)
        due_now = {one.period.number for one in due.bill}
        rows = self._rows(deal, before, billed, due, versions, None)
        shown = _held(rows, due_now, " ".join(reason.text for reason in reasons))
        told = (*reasons, *billed.reasons, *handed.reasons)
        return Scheduled(None, told, placed=billed.invoices, rows=_by_templates(shown, handed), templates=handed)

    def missing(self, known: Collection[str]) -> list[str]:
        """Deals with a schedule that bills, which Salesforce does not show.

        Args:
            known: ids of all deals that were read, deleted ones too.
        """
        found = []
        for opportunity_id, versions in self._versions.items():
            if opportunity_id in known:
                continue
            try:
                bills = kept.read(versions[-1].schedule).status == "active"
            except kept.UnreadableScheduleError:
                bills = True
            if bills:
                found.append(opportunity_id)
        return sorted(found)

    def _known(
        self, deal: Mapping[str, Any], versions: Sequence[AgreedSchedule], before: BillingSchedule, wanted: BillingSchedule
    ) -> Scheduled:
        newest = versions[-1]
        billed = self._billed(deal["id"], before)
        unremembered = frozenset(billed.invoices) - self._done(deal["id"])
        reasons = (*billed.reasons, *self._billed_otherwise(before, billed, unremembered))
        stored = (deal["invoice_id"] or "").strip()
        if stored and stored not in billed.invoices.values():
            reasons = (*reasons, refusals.holds_other_invoice(stored))
        if reasons:
            return Scheduled(before, reasons, placed=billed.invoices)
        proposal = amend(before, frozenset(billed.days), wanted, self._today)
        agreement, question, schedule = None, None, before
        held: frozenset[int] = frozenset()
        if proposal.kind != "none":
            agreed = replace(
                newest, version=newest.version + 1, schedule=kept.written(proposal.schedule), sentence=proposal.sentence
            )
            if not billed.days:
                agreement, schedule = Agreement(replace(agreed, agreed_by=_BY_RULES), deal), proposal.schedule
                newest = agreement.agreed
            else:
                question = self._asked(agreed, newest.version, before, proposal)
                if self._decisions.get(plan_id_of(question.key)) != "rejected":
                    held = frozenset(one.number for one in proposal.ends)
        told = [*versions, *([newest] if agreement else [])]
        return self._billing(deal, schedule, billed, newest, told, agreement, question, held)

    def _asked(self, agreed: AgreedSchedule, version: int, before: BillingSchedule, proposal: Proposal) -> Question:
        """A change as a question. A difference falls due on the day of the answer, so its day is no part of what is asked."""
        known = {one.number for one in before.periods}
        content = [
            (
                one.number,
                one.kind,
                one.span,
                one.due_on if one.kind != "difference" or one.number in known else None,
                sorted(repr(line.content) for line in one.lines),
            )
            for one in proposal.schedule.periods
        ]
        return Question(
            key=_question_key(agreed, f"{version}:{_hash(repr((proposal.kind, proposal.schedule.status, content)))}"),
            agreed=agreed,
            sentence=proposal.sentence,
            amount=sum_of([proposal.schedule.total, -before.total]),
            currency=before.currency,
        )

    def _missed(self, newest: AgreedSchedule, schedule: BillingSchedule, due: DuePeriods) -> Question | None:
        if not due.ask:
            return None
        numbers = tuple(sorted({*newest.missed, *(one.number for one in due.ask)}))
        count = "1 missed period" if len(due.ask) == 1 else f"{len(due.ask)} missed periods"
        amount = sum_of(one.amount for one in due.ask)
        first, last = min(one.due_on for one in due.ask), max(one.due_on for one in due.ask)
        days = f"on {first}" if first == last else f"from {first} to {last}"
        sentence = f"{count} {days} over {format_amount(amount, schedule.currency).strip()} would be billed."
        agreed = replace(newest, version=newest.version + 1, missed=numbers, sentence=sentence)
        return Question(
            _question_key(agreed, f"{newest.version}:missed-{_hash(to_json(numbers))}"),
            agreed,
            sentence,
            amount,
            schedule.currency,
        )

    # What was billed

    def _billed(self, opportunity_id: str, schedule: BillingSchedule) -> _Billed:
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
        return _Billed(days, invoices, tuple(reasons), made.placed, left, made.foreign)

    def _left_of_templates(self, opportunity_id: str, invoice_ids: Sequence[str]) -> tuple[str, ...]:
        """Invoices of no period that a person still has to look at: neither voided, nor linked by a person."""
        seen = self._history.linked_by(opportunity_id, PERSON)
        return tuple(one for one in invoice_ids if one not in seen and (self._history.invoice(one) or {}).get("status") == "live")

    def _done(self, opportunity_id: str) -> frozenset[int]:
        return frozenset(number for number, line in self._history.periods(opportunity_id).items() if line.status == "done")

    def _billed_otherwise(self, schedule: BillingSchedule, billed: _Billed, unremembered: Collection[int]) -> list[Reason]:
        """An invoice that is not remembered, over another amount than its period, tells that the schedule was another one when it
        was made."""
        found = []
        links = {method: self._history.linked_by(schedule.opportunity_id, method) for method in (TEMPLATE, PERSON)}
        accepted = {one for one in billed.by_template.values() if one in links[PERSON]} | {*links[TEMPLATE]}
        open_to_doubt = {number for number in unremembered if billed.invoices.get(number) not in accepted}
        for period in (one for one in schedule.periods if one.number in open_to_doubt):
            if period.amount < 0:
                memo = self._history.credit_memo(billed.invoices.get(period.number) or "")
                if memo is not None and not memo["is_deleted"] and memo["total"] != -period.amount:
                    number = str(memo["doc_number"] or f"id {memo['id']}")
                    total = -(memo["total"] or Decimal(0))
                    found.append(refusals.billed_otherwise(number, total, period.amount, schedule.currency, period.span.starts))
                continue
            invoice = self._history.invoice(billed.invoices.get(period.number) or "")
            if invoice is None or invoice["status"] != "live" or invoice["total"] is None:
                continue
            net = sum_of([invoice["total"], -(invoice["tax"] or Decimal(0))])
            if net != period.amount:
                number = str(invoice["doc_number"] or f"id {invoice['id']}")
                reason = refusals.billed_otherwise(number, net, period.amount, schedule.currency, period.span.starts)
                by_template = period.number in billed.by_template
                found.append(replace(reason, remedy=template_refusals.CORRECT_OR_LINK) if by_template else reason)
        return found

    def _rows(
        self,
        deal: Mapping[str, Any],
        schedule: BillingSchedule,
        billed: _Billed,
        due: DuePeriods,
        versions: Sequence[AgreedSchedule],
        agreement: Agreement | None,
    ) -> tuple[Mapping[str, Any], ...]:
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


@dataclass(frozen=True)
class _Billed:
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


def plan_id_of(key: str) -> str:
    """The plan id of a question: what a person approves or rejects."""
    return f"P-{_hash(key)[:10]}"


def _held(rows: Sequence[Mapping[str, Any]], numbers: Collection[int], why: str) -> tuple[Mapping[str, Any], ...]:
    """Rows of :data:`.recurring.tables.BILLING_SCHEDULES` where these periods, if due, are held."""
    return tuple(
        {**row, "status": "held", "why": why} if row["period"] in numbers and row["status"] == "due" else row for row in rows
    )


def _by_templates(rows: Sequence[Mapping[str, Any]], handed: HandedOver) -> tuple[Mapping[str, Any], ...]:
    """Rows of :data:`.recurring.tables.BILLING_SCHEDULES` with what templates bill of them, or keep from being billed."""
    shown: list[Mapping[str, Any]] = []
    for row in rows:
        template = handed.handed.get(row["period"])
        if row["status"] not in ("planned", "due"):
            shown.append(row)
        elif template is not None:
            held = template.status in ("gone", "leaving")
            shown.append({**row, "status": "held" if held else "planned", "why": handed.why(row["period"])})
        elif handed.waits and row["status"] == "due":
            shown.append({**row, "status": "held", "why": handed.waits})
        else:
            shown.append(row)
    return tuple(shown)


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


def _question_key(agreed: AgreedSchedule, content: str) -> str:
    return f"qbsf:schedule:{agreed.opportunity_id}:{agreed.generation}:{content}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:12]
