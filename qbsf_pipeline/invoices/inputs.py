"""What invoices are planned from beside the rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import polars as pl

from qbsf_pipeline.invoices.line_sources.tables import CPQ_QUOTE, CPQ_QUOTE_LINE, CPQ_SUBSCRIPTION, REVENUE_SCHEDULE
from qbsf_pipeline.invoices.recurring.known_templates import DealTemplate
from qbsf_pipeline.invoices.recurring.templates import FoundInvoice
from qbsf_pipeline.quickbooks.objects import CREDIT_MEMO
from qbsf_pipeline.state.billing_schedules import AgreedSchedule


@dataclass(frozen=True)
class InvoiceInputs:
    """Everything that a plan is made of: raw tables by their names, and what the state remembers.

    ``class_`` is ``quickbooks.class``; ``quickbooks_account`` is ``quickbooks.account``, the ledger accounts, while
    ``account`` is Salesforce's. ``matches`` has the columns of :data:`customers.matching.plan.MATCHES`, the next three those of
    :data:`.tables.LEDGER`, ``INVOICE_LINKS`` and ``GENERATIONS``. ``cpq_quote``, ``cpq_quote_line``, ``cpq_subscription`` and
    ``opportunity_line_item_schedule`` are empty where the org has none. ``agreed_schedules`` are all billing schedules that are
    kept, the newest version of a deal last; ``decisions`` what a person said: approved or rejected, by plan id. ``templates`` are
    the recurring templates of all deals, ``template_invoices`` the invoices that they may have made.
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
    cpq_subscription: pl.DataFrame = field(default_factory=CPQ_SUBSCRIPTION.empty)
    opportunity_line_item_schedule: pl.DataFrame = field(default_factory=REVENUE_SCHEDULE.empty)
    credit_memo: pl.DataFrame = field(default_factory=CREDIT_MEMO.empty)
    agreed_schedules: Sequence[AgreedSchedule] = ()
    decisions: Mapping[str, str] = field(default_factory=dict)
    templates: Sequence[DealTemplate] = ()
    template_invoices: Sequence[FoundInvoice] = ()


@dataclass(frozen=True)
class PlanParameters:
    """What a plan depends on beside records and rules.

    Attributes:
        as_of: today in the company's time zone.
        go_live: deals closed before it are never invoiced; ``None`` for no limit.
        organization_id: the Salesforce org, part of keys.
        realm_id: the QuickBooks company, part of keys.
        send: whether invoices may be e-mailed at all; the rule ``invoices.send`` must say so too.
        time_zone: of the company (IANA name): the days of agreements are its days.
        invoice_link: where a person opens an invoice, with ``{id}`` for its id.
    """

    as_of: date
    go_live: date | None
    organization_id: str
    realm_id: str
    send: bool = True
    time_zone: str = "UTC"
    invoice_link: str = "https://app.qbo.intuit.com/app/invoice?txnId={id}"
