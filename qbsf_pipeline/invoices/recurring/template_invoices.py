"""Invoices that recurring templates made, each with the deal and the period that it bills. Pure.

A template that qbsf made is known by its id. One that a person made counts where its invoices name the deal, or a person linked
them to it: such an invoice bills the one open period whose day and amount it has.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal

from qbsf_pipeline.customers.texts import short_id
from qbsf_pipeline.invoices.recurring.known_templates import DealTemplate
from qbsf_pipeline.invoices.recurring.schedule import BillingPeriod, BillingSchedule
from qbsf_pipeline.invoices.recurring.templates import FoundInvoice, Template, recognise


@dataclass(frozen=True)
class TemplateInvoices:
    """The invoices of one deal that templates made.

    Attributes:
        placed: period's number and its invoice.
        unplaced: the deal's, of no period that is open.
        unsure: sentences on invoices that may be the deal's.
        foreign: whether a template that a person made is among those that made them.
    """

    placed: Mapping[int, str] = field(default_factory=dict)
    unplaced: tuple[str, ...] = ()
    unsure: tuple[str, ...] = ()
    foreign: bool = False


class MadeByTemplates:
    """What templates made, for all deals. An invoice without any sign that fits the templates of two deals is neither's."""

    def __init__(
        self, templates: Sequence[DealTemplate], invoices: Sequence[FoundInvoice], links: Mapping[str, str], days: int
    ) -> None:
        """
        Args:
            templates: of all deals.
            invoices: that may be theirs: those with ``RecurDataRef``, and those of their customers.
            links: deal by invoice, where somebody or something linked the two: 15 characters.
            days: how far from its day the invoice of a period may be (rules: ``recurring.template_days``).
        """
        self._days, self._links = days, links
        self._templates: dict[str, list[DealTemplate]] = defaultdict(list)
        for template in templates:
            self._templates[short_id(template.opportunity_id)].append(template)
        self._known = {template.template_id for template in templates}
        self._invoices = {invoice.invoice_id: invoice for invoice in invoices}
        of_customer: dict[str | None, list[DealTemplate]] = defaultdict(list)
        for template in templates:
            of_customer[template.customer_id].append(template)
        self._contested = {
            invoice.invoice_id
            for invoice in invoices
            if len(_fitting_deals(invoice, of_customer[invoice.customer_id], timedelta(days=days))) > 1
        }

    def templates(self, opportunity_id: str) -> Sequence[DealTemplate]:
        """The templates of a deal."""
        return self._templates.get(short_id(opportunity_id), ())

    @property
    def deals(self) -> frozenset[str]:
        """Deals with a template that QuickBooks has, or may have: their ids of 15 characters."""
        return frozenset(
            deal
            for deal, templates in self._templates.items()
            if any(one.status in ("under_way", "live", "leaving") for one in templates)
        )

    def of_deal(
        self,
        opportunity_id: str,
        schedule: BillingSchedule,
        taken: Collection[int],
        own: Collection[str],
        named: Collection[str],
        nets: Mapping[str, Decimal],
        vouched: Collection[str] = (),
        today: date = date.min,
    ) -> TemplateInvoices:
        """Which of them bill which period of a deal.

        Args:
            taken: numbers of periods that other invoices bill, or that are being sent.
            own: ids of the deal's invoices that qbsf made.
            named: ids of invoices that name the deal or are linked to it.
            nets: what these come to without tax, by id.
            vouched: ids of invoices that a person linked to the deal: of a template, whatever their date is by now, they bill the
                nearest of its periods that is due and has none.
            today: the company's day.
        """
        short = short_id(opportunity_id)
        candidates = [
            one
            for one in self._invoices.values()
            if one.invoice_id not in own and self._links.get(one.invoice_id, short) == short
        ]
        placed: dict[int, str] = {}
        unplaced: dict[str, None] = {}
        unsure: list[str] = []
        for template in self.templates(opportunity_id):
            if template.template_id is None:
                continue
            periods = _periods(schedule, template, {*taken, *placed})
            made = Template(template.template_id, opportunity_id, template.customer_id or "", template.lines, periods)
            found = recognise(made, [one for one in candidates if one.invoice_id not in placed.values()], self._days)
            contested = {number: one for number, one in found.placed.items() if one in self._contested}
            placed |= {number: one for number, one in found.placed.items() if number not in contested}
            unplaced |= dict.fromkeys(found.unplaced)
            for one in found.unplaced:
                late = [period for period in periods if period.number not in placed and period.due_on <= today]
                if one in vouched and late:
                    placed[_nearest(late, self._invoices[one].txn_date).number] = one
            unsure += [found.why[one] for one in found.unsure]
            unsure += [f"Invoice id {one} fits the templates of several deals." for one in contested.values()]
        others = [
            invoice
            for invoice_id in named
            if (invoice := self._invoices.get(invoice_id)) is not None
            and invoice_id not in own
            and invoice.template_id is not None
            and invoice.template_id not in self._known
        ]
        for invoice in others:
            fitting = self._fitting(schedule, invoice, {*taken, *placed}, nets.get(invoice.invoice_id))
            if len(fitting) == 1:
                placed[fitting[0].number] = invoice.invoice_id
            else:
                unplaced[invoice.invoice_id] = None
        left = tuple(one for one in unplaced if one not in placed.values())
        return TemplateInvoices(placed, left, tuple(unsure), bool(others))

    def _fitting(
        self, schedule: BillingSchedule, invoice: FoundInvoice, taken: Collection[int], net: Decimal | None
    ) -> list[BillingPeriod]:
        day = invoice.txn_date
        if day is None or net is None:
            return []
        return [
            period
            for period in schedule.periods
            if period.number not in taken and period.amount == net and abs((period.due_on - day).days) <= self._days
        ]


def _nearest(periods: Sequence[BillingPeriod], day: date | None) -> BillingPeriod:
    return min(periods, key=lambda one: (abs((one.due_on - day).days) if day is not None else 0, one.number))


def _periods(schedule: BillingSchedule, template: DealTemplate, taken: Collection[int]) -> tuple[BillingPeriod, ...]:
    return tuple(
        one for one in schedule.periods if one.kind == "period" and one.due_on in template.days and one.number not in taken
    )


def _fitting_deals(invoice: FoundInvoice, templates: Sequence[DealTemplate], near: timedelta) -> set[str]:
    """Deals whose templates (all of the invoice's customer) an invoice without any sign may come from."""
    if invoice.template_id is not None or invoice.opportunity_id is not None or invoice.txn_date is None:
        return set()
    day, lines = invoice.txn_date, Counter(invoice.lines)
    return {
        template.opportunity_id
        for template in templates
        if template.template_id is not None
        and Counter(template.lines) == lines
        and any(abs(one - day) <= near for one in template.days)
    }
