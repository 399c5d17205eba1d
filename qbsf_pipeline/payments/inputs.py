"""What payments are planned from beside the rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

import polars as pl


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
        to_come: for each deal that is billed period by period, how many of its periods are still to be billed.
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
    to_come: Mapping[str, int] = field(default_factory=dict)


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
