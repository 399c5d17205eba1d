"""What ageing is decided from beside the rules."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import polars as pl


@dataclass(frozen=True)
class AgingInputs:
    """Everything that the plan is made of. Frames may have more columns than are named here.

    Attributes:
        invoices: :data:`.tables.RECEIVABLES`: every invoice, also settled, voided and deleted ones. For a past day as they were
            owed on it, by the dates of payments and credits; for today by everything that is known, so that an invoice that is
            paid by a payment dated tomorrow is not pressed for.
        unapplied: :data:`.tables.CREDITS`, of the same day.
        opportunity, account, user: raw tables of Salesforce.
        customer: raw table of QuickBooks.
        mail: :data:`.tables.MAIL`; a row for each invoice that may be mailed again.
        crossings: :data:`.tables.KNOWN_CROSSINGS`.
        reminders: :data:`.tables.SENT_REMINDERS`.
        tasks: :data:`.tables.KNOWN_TASKS`.
        ledger: :data:`.tables.LEDGER`.
    """

    invoices: pl.DataFrame
    unapplied: pl.DataFrame
    opportunity: pl.DataFrame
    account: pl.DataFrame
    user: pl.DataFrame
    customer: pl.DataFrame
    mail: pl.DataFrame
    crossings: pl.DataFrame
    reminders: pl.DataFrame
    tasks: pl.DataFrame
    ledger: pl.DataFrame


@dataclass(frozen=True)
class AgingParameters:
    """What a plan depends on beside records and rules.

    Attributes:
        as_of: the day whose ages are asked for, in the company's time zone.
        writes: whether anything may follow from it. A past day is a report, never a write.
        organization_id, realm_id: the Salesforce org and the QuickBooks company, part of keys.
        home_currency: ISO code, for documents that name no currency.
        time_zone: the company's (IANA name), for the days on which mails went out.
        invoice_link: link that opens an invoice, with ``{id}``.
    """

    as_of: date
    writes: bool
    organization_id: str
    realm_id: str
    home_currency: str
    time_zone: str
    invoice_link: str
