"""What becomes of deals that are billed period by period: agreed schedule, what was billed, what is due, what has changed. Pure.

A schedule is agreed as a plain invoice would be, and follows its deal until a period of it is billed. From then on a change of
the deal is a proposal that a person approves; only a deal that is not won any more stops its schedule at once. What a period is
billed as is in :mod:`.plan`, how periods come about in :mod:`.recurring`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from qbsf_pipeline.invoices import schedule_refusals as refusals
from qbsf_pipeline.invoices.amendments import LaidOver, Renewed, SoldDeal, covered, laid_over
from qbsf_pipeline.invoices.billed_periods import Billed, BilledPeriods
from qbsf_pipeline.invoices.history import BillingHistory
from qbsf_pipeline.invoices.line_sources.sold import SoldLines
from qbsf_pipeline.invoices.recurring import kept, markers
from qbsf_pipeline.invoices.recurring.amending import Stop, amend, stop
from qbsf_pipeline.invoices.recurring.building import billing_schedule, own_difference, single_invoice
from qbsf_pipeline.invoices.recurring.due import DuePeriods, due_periods
from qbsf_pipeline.invoices.recurring.handing_over import HandedOver, hand_over, template_ends
from qbsf_pipeline.invoices.recurring.periods import Frequency, frequency_of
from qbsf_pipeline.invoices.recurring.revenue_schedules import RevenueRow
from qbsf_pipeline.invoices.recurring.schedule import BillingSchedule, sum_of
from qbsf_pipeline.invoices.recurring.template_invoices import MadeByTemplates
from qbsf_pipeline.invoices.recurring.terms import DealTerms
from qbsf_pipeline.invoices.schedule_questions import change_question, content_of, missed_question, with_amendments
from qbsf_pipeline.invoices.scheduled import Agreement, InSchedule, Question, Scheduled, digest_of, plan_id_of, question_key
from qbsf_pipeline.invoices.validation import Reason
from qbsf_pipeline.money import format_amount
from qbsf_pipeline.settings import Rules
from qbsf_pipeline.state.billing_schedules import BY_RULES, AgreedSchedule

_ON_HOLD = "The deal's billing is on hold."
_WAITS = "It waits for a person: qbsf plan shows what would be billed."


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
        account_name: Callable[[str | None], str | None] = lambda _account: None,
    ) -> None:
        """
        Args:
            agreed: every version that there was, the newest of a deal last.
            decisions: approved or rejected, by plan id.
            today: in the company's time zone.
            made: recurring templates of QuickBooks and their invoices.
            templates_refused: why this company's deals are not billed by templates, in a sentence; empty where they may be.
            customer_of: whom a won deal bills in QuickBooks, where that is known.
            account_name: the name of an account.
        """
        self._account_name = account_name
        self._made, self._templates_refused, self._customer_of = made, templates_refused, customer_of
        self._history, self._decisions, self._rules, self._today = history, decisions, rules.recurring, today
        self._billed = BilledPeriods(history, made, today)
        self._asks_renewals = rules.cpq.renewals == "ask"
        self._versions: dict[str, list[AgreedSchedule]] = {}
        for one in agreed:
            if one.generation == history.generation(one.opportunity_id):
                self._versions.setdefault(one.opportunity_id, []).append(one)

    def is_agreed(self, opportunity_id: str) -> bool:
        """Whether a schedule of the deal is kept."""
        return opportunity_id in self._versions

    def versions(self) -> list[AgreedSchedule]:
        """Every agreement on every deal as it is billed now, the newest of a deal last."""
        return [version for versions in self._versions.values() for version in versions]

    def has_templates(self, opportunity_id: str) -> bool:
        """Whether QuickBooks has, or may have, a recurring template that bills the deal."""
        return opportunity_id[:15] in self._made.deals

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
        self,
        deal: Mapping[str, Any],
        sold: SoldLines,
        terms: DealTerms,
        revenue: Mapping[str, Sequence[RevenueRow]],
        amendments: Sequence[SoldDeal] = (),
        renewed: Renewed | None = None,
    ) -> Scheduled | None:
        """What becomes of a won deal that is no amendment; ``None`` for one that is a single invoice.

        Args:
            deal: row of ``salesforce.opportunity``.
            sold: its lines, of whatever source.
            terms: what it says of its billing.
            revenue: revenue schedules by line.
            amendments: won deals that amend the contract that it made, and do not bill themselves.
            renewed: the deal whose contract it renews; ``None`` for no renewal.
        """
        versions = self._versions.get(deal["id"], [])
        if versions and not self._rules.enabled and _has_periods(versions[-1]):
            return self._waiting(deal, versions, (refusals.recurring_disabled(),), "The rules have switched that off.")
        if versions and (sold.reasons or not sold.lines):
            return self._waiting(deal, versions, sold.reasons)
        found = billing_schedule(terms, sold.lines, revenue, self._rules)
        wanted = found.schedule
        if found.reasons:
            return self._waiting(deal, versions, found.reasons)
        under_way = self._history.ledger(self._history.invoice_key(deal["id"]))
        plain = under_way is not None and under_way.status == "sending"
        # One plain invoice of it may exist already: its answer is looked for first.
        asks = renewed is not None and self._asks_renewals and bool(sold.lines) and not sold.reasons and not plain
        if wanted is None and (versions or asks or self.has_templates(deal["id"]) or self.is_billed_by_period(deal)):
            wanted = single_invoice(terms, sold.lines, deal["close_date"] or self._today)
        if wanted is None:
            return None
        laid = laid_over(wanted, amendments, self._rules)
        if versions:
            decided = self._later(deal, versions, laid, follows=not asks)
        elif renewed is not None and (asks or renewed.overlap(covered(wanted, sold.lines)) is not None):
            decided = self._first(deal, wanted, renewed.words(covered(wanted, sold.lines)))
        elif len(laid.steps) > 1:
            decided = self._first_amended(deal, laid)
        else:
            decided = self._first(deal, wanted)
        return replace(decided, refused=laid.refused)

    def difference(self, deal: Mapping[str, Any], sold: SoldLines, terms: DealTerms, why: str) -> Scheduled:
        """What becomes of a won amendment that bills its difference itself: above zero once a person approves it, below zero as a
        credit memo, which a person approves as well.

        Args:
            why: why it is not billed with the deal that made the contract, in a sentence.
        """
        versions = self._versions.get(deal["id"], [])
        if sold.reasons:
            return self._waiting(deal, versions, sold.reasons)
        wanted = own_difference(terms, sold.lines, self._today, self._rules)
        if versions:
            found = self._later(deal, versions, LaidOver((wanted,)), follows=False)
        else:
            found = self._first(deal, wanted, why if wanted.total > 0 else None)
        return replace(found, said=found.said or why)

    def bills_itself(self, deal: Mapping[str, Any]) -> bool:
        """Whether a schedule of the deal is kept, or invoices or credit memos tell of one: it stays as it is."""
        notes = self._history.memo_notes(deal["id"])
        return self.is_agreed(deal["id"]) or self.is_billed_by_period(deal) or bool(notes)

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
        billed = self._billed.of(deal["id"], before)
        proposal = stop(before, frozenset(billed.days), "on_hold", self._today)
        question = None
        left = any(one.number not in billed.days and one.amount > 0 for one in before.periods)
        if proposal.kind != "none" and billed.days and left and not billed.reasons:
            agreed = replace(
                newest, version=newest.version + 1, schedule=kept.written(proposal.schedule), sentence=proposal.sentence
            )
            question = change_question(agreed, newest.version, before, proposal, proposal.schedule)
        handed = self._handed(deal, before, billed, refused=_ON_HOLD, settled=False)
        due = due_periods(before, {**dict.fromkeys(handed.handed), **billed.days}, self._today, self._rules, newest.missed)
        everything = frozenset(one.number for one in before.periods)
        rows = _held(self._billed.rows(deal, before, billed, due, versions, None), everything, _ON_HOLD)
        return Scheduled(
            before,
            (*billed.reasons, *handed.reasons),
            placed=billed.invoices,
            question=question,
            rows=_by_templates(rows, handed),
            amendments=_agreed_in(before),
            templates=handed,
            by_template=billed.by_template,
        )

    def holds(self, opportunity_id: str, amendment_id: str) -> bool:
        """Whether the kept schedule of a deal has the difference of that amendment."""
        versions = self._versions.get(opportunity_id)
        try:
            return versions is not None and amendment_id in kept.read(versions[-1].schedule).amendments
        except kept.UnreadableScheduleError:
            return False

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
        billed = self._billed.of(deal["id"], before)
        proposal = stop(before, frozenset(billed.days), what, self._today)
        handed = self._handed(deal, proposal.schedule, billed)
        agreement = None
        if proposal.kind != "none":
            text = kept.written(proposal.schedule)
            deleted = "".join(f" QuickBooks' {one.template.called} is deleted." for one in handed.ends if not one.taken_over)
            sentence = f"{proposal.sentence}{deleted}"
            agreed = replace(newest, version=newest.version + 1, schedule=text, sentence=sentence, agreed_by=BY_RULES)
            agreement = Agreement(agreed, deal, told=True)
        due = due_periods(proposal.schedule, billed.days, self._today, self._rules, newest.missed)
        rows = self._billed.rows(deal, proposal.schedule, billed, due, versions, agreement)
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

    def _later(self, deal: Mapping[str, Any], versions: Sequence[AgreedSchedule], laid: LaidOver, *, follows: bool) -> Scheduled:
        try:
            before = kept.read(versions[-1].schedule)
        except kept.UnreadableScheduleError as error:
            return Scheduled(None, (refusals.schedule_unreadable(str(error)),))
        return self._known(deal, versions, before, laid, follows=follows)

    def _first(self, deal: Mapping[str, Any], wanted: BillingSchedule, approve: str | None = None) -> Scheduled:
        """A deal without a kept schedule: a new one, or one whose memory was lost and whose invoices tell their periods.

        Args:
            approve: what a person reads who has to approve it first; ``None`` where nobody is asked. What bears an invoice was
                approved.
        """
        billed = self._billed.of(deal["id"], wanted)
        reasons = [*billed.reasons, *self._billed.billed_otherwise(wanted, billed, frozenset(billed.invoices))]
        if reasons:
            return Scheduled(wanted, tuple(reasons), placed=billed.invoices)
        agreed = AgreedSchedule(
            deal["id"], self._history.generation(deal["id"]), 1, kept.written(wanted), (), wanted.summary, BY_RULES
        )
        if approve is not None and not billed.days:
            due = due_periods(wanted, billed.days, self._today, self._rules)
            return self._unapproved(deal, agreed, wanted, due, approve)
        return self._billing(deal, wanted, billed, agreed, [agreed], Agreement(agreed, deal), None, frozenset())

    def _unapproved(
        self, deal: Mapping[str, Any], agreed: AgreedSchedule, wanted: BillingSchedule, due: DuePeriods, approve: str
    ) -> Scheduled:
        """A first schedule that a person has to approve; what is due until then is approved with it."""
        due_now = [one for one in wanted.periods if one.due_on <= self._today]
        sentence = f"{approve} {wanted.summary}" if wanted.source != "amendment" else approve
        if len(wanted.periods) > 1 and due_now:
            amount = format_amount(sum_of(one.amount for one in due_now), wanted.currency).strip()
            sentence = f"{sentence} {amount} of it is due now."
        agreed = replace(agreed, missed=tuple(sorted(one.number for one in due_now)), sentence=sentence)
        key = question_key(agreed, f"0:{digest_of(repr((wanted.source, content_of(wanted))))}")
        question = Question(key, agreed, sentence, wanted.total, wanted.currency)
        rejected = self._decisions.get(plan_id_of(key)) == "rejected"
        rows = self._billed.rows(deal, wanted, Billed({}, {}, ()), due, [agreed], None)
        rows = _held(rows, {one.number for one in wanted.periods}, _WAITS)
        reasons = (refusals.first_bill_rejected(),) if rejected else ()
        return Scheduled(None, reasons, question=question, rows=rows, said=f"{sentence} {_WAITS}")

    def _first_amended(self, deal: Mapping[str, Any], laid: LaidOver) -> Scheduled:
        """A deal whose contract was amended before its schedule was agreed, or was forgotten: of what can have been agreed, the
        least that its invoices and credit memos allow. The rest is asked."""
        for possible in self._possible(deal["id"], laid):
            first = self._first(deal, possible)
            if first.agreement is not None:
                known = self._known(deal, [first.agreement.agreed], possible, laid, follows=False)
                return known if known.reasons else replace(known, agreement=first.agreement)
        return self._first(deal, laid.wanted)

    def _possible(self, opportunity_id: str, laid: LaidOver) -> list[BillingSchedule]:
        """What may have been agreed of a deal with amendments: none, some one by one, or some at once. A period that does not
        bear an invoice over its amount was not billed when the next amendment came."""
        base, later = laid.steps[0], laid.steps[1:]
        found, newest = [base], base
        for step in later:
            newest = amend(newest, self._billed.fitting(opportunity_id, newest), step, self._today).schedule
            found.append(newest)
        fitting = self._billed.fitting(opportunity_id, base)
        return [*found, *(amend(base, fitting, step, self._today).schedule for step in later[1:])]

    def _billing(
        self,
        deal: Mapping[str, Any],
        schedule: BillingSchedule,
        billed: Billed,
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
        due, gaps = self._due(schedule, billed, handed.handed, newest.missed)
        question = question or (missed_question(newest, schedule, due, gaps) if not handed.waits else None)
        late = self._awaited(due, billed)
        rows = self._billed.rows(deal, schedule, billed, due, versions, None)
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
            templates=handed,
            by_template=billed.by_template,
        )

    def _due(
        self, schedule: BillingSchedule, billed: Billed, handed: Collection[int], approved: Collection[int]
    ) -> tuple[DuePeriods, frozenset[int]]:
        """What has fallen due, and the periods in it that a person is asked about because nothing remembers them.

        Args:
            handed: periods that a template bills.
            approved: periods that a person said are to be billed.
        """
        due = due_periods(schedule, {**dict.fromkeys(handed), **billed.days}, self._today, self._rules, approved)
        gaps = self._billed.gaps(schedule, billed) - {*approved, *handed}
        asked = tuple(one.period for one in due.bill if one.period.number in gaps)
        if not asked:
            return due, frozenset()
        bill = tuple(one for one in due.bill if one.period.number not in gaps)
        return replace(due, bill=bill, ask=(*due.ask, *asked)), frozenset(one.number for one in asked)

    def _handed(
        self, deal: Mapping[str, Any], schedule: BillingSchedule, billed: Billed, *, refused: str = "", settled: bool = True
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

    def _awaited(self, due: DuePeriods, billed: Billed) -> frozenset[int]:
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
        billed = self._billed.of(deal["id"], before)
        handed = self._handed(deal, before, billed, refused=refused, settled=False)
        due = due_periods(before, {**dict.fromkeys(handed.handed), **billed.days}, self._today, self._rules, versions[-1].missed)
        due_now = {one.period.number for one in due.bill}
        rows = self._billed.rows(deal, before, billed, due, versions, None)
        shown = _held(rows, due_now, " ".join(reason.text for reason in reasons))
        told = (*reasons, *billed.reasons, *handed.reasons)
        laid = _agreed_in(before)
        return Scheduled(None, told, placed=billed.invoices, rows=_by_templates(shown, handed), amendments=laid, templates=handed)

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
        self,
        deal: Mapping[str, Any],
        versions: Sequence[AgreedSchedule],
        before: BillingSchedule,
        laid: LaidOver,
        *,
        follows: bool,
    ) -> Scheduled:
        """A deal with a kept schedule.

        Args:
            follows: whether the schedule follows the deal without a question until something is billed.
        """
        wanted = laid.wanted
        newest = versions[-1]
        billed = self._billed.of(deal["id"], before)
        unremembered = frozenset(billed.invoices) - self._billed.done(deal["id"])
        reasons = (*billed.reasons, *self._billed.billed_otherwise(before, billed, unremembered))
        stored = (deal["invoice_id"] or "").strip()
        if stored and stored not in billed.invoices.values():
            reasons = (*reasons, refusals.holds_other_invoice(stored))
        if reasons:
            return Scheduled(before, reasons, placed=billed.invoices, amendments=_agreed_in(before))
        moved = self._moved(deal, before, billed)
        proposal = amend(before, frozenset(billed.days), wanted, self._today, moved=moved)
        agreement, question, schedule = None, None, before
        held: frozenset[int] = frozenset()
        amendments: dict[str, InSchedule] = dict.fromkeys(wanted.amendments, "agreed")
        if proposal.kind != "none":
            agreed = replace(
                newest, version=newest.version + 1, schedule=kept.written(proposal.schedule), sentence=proposal.sentence
            )
            if not billed.days and follows and not (before.amendments or wanted.amendments):
                agreement, schedule = Agreement(replace(agreed, agreed_by=BY_RULES), deal), proposal.schedule
                newest = agreement.agreed
            else:
                agreed = replace(agreed, sentence=with_amendments(proposal.sentence, before, laid))
                question = change_question(agreed, newest.version, before, proposal, wanted, wanted.account_id if moved else "")
                rejected = self._decisions.get(plan_id_of(question.key)) == "rejected"
                if rejected and moved:
                    laid_before = _agreed_in(before)
                    refused = (refusals.move_rejected(moved),)
                    return Scheduled(before, refused, placed=billed.invoices, question=question, amendments=laid_before)
                if not rejected:
                    held = frozenset(one.number for one in (before.periods if moved else proposal.ends))
                asked: InSchedule = "rejected" if rejected else "asked"
                amendments |= dict.fromkeys(set(wanted.amendments) - set(before.amendments), asked)
        told = [*versions, *([newest] if agreement else [])]
        found = self._billing(deal, schedule, billed, newest, told, agreement, question, held)
        return replace(found, amendments=amendments)

    def _moved(self, deal: Mapping[str, Any], before: BillingSchedule, billed: Billed) -> str:
        """Says that the deal is another customer's now; empty where it is the same, as it is after accounts were merged."""
        account_id = deal["account_id"] or ""
        if not before.account_id or before.account_id == account_id:
            return ""
        found = [self._history.invoice(one) for one in billed.invoices.values() if one is not None]
        invoices = [one for one in found if one is not None]
        if not invoices:
            return ""
        newest = max(invoices, key=lambda one: (one["txn_date"] or date.min, one["id"]))
        if newest["customer_id"] == self._customer_of(deal):
            return ""
        name = self._account_name(account_id) or account_id or "none"
        return f"The deal moved to the account “{name}”; “{newest['customer_name'] or newest['customer_id']}” was billed before."


def _agreed_in(schedule: BillingSchedule) -> dict[str, InSchedule]:
    return dict.fromkeys(schedule.amendments, "agreed")


def _has_periods(agreed: AgreedSchedule) -> bool:
    """Whether the schedule bills again and again; one that cannot be read may."""
    try:
        return any(one.kind == "period" for one in kept.read(agreed.schedule).periods)
    except kept.UnreadableScheduleError:
        return True


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
