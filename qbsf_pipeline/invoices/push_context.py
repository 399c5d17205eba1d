"""What a push works with, and what it comes to."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from qbsf_pipeline.invoices.references import DocumentNumbers
from qbsf_pipeline.quickbooks.client import QuickBooksClient
from qbsf_pipeline.salesforce.client import SalesforceClient
from qbsf_pipeline.settings import Environment, Rules
from qbsf_pipeline.state.database import State


@dataclass(frozen=True)
class PushContext:
    """What a push works with.

    Attributes:
        document_numbers: for companies that ask for custom transaction numbers.
        book_close_date: as read shortly before the push; ``None`` where the books are open.
        known_templates: ids of the recurring templates that the newest plan was made with.
        planned: payload by key in the newest plan. What is to be created and is not in it just so is left alone: the ledger
            may be a restored copy, older than the plan.
        deal_amounts: by deal, its amount in the newest plan: an invoice may be a part of it, or come from a quote.
        amendments: by deal, the deals whose differences are billed with it.
        read_until: QuickBooks' own clock at the last pull: what was created before it is in ``pulled_invoices``.
        pulled_invoices: the pulled invoices that carry the markers of these deals, as QuickBooks sent them.
        clock: now, aware UTC.
        progress: told in plain words what is being done.
    """

    state: State
    quickbooks: QuickBooksClient
    salesforce: SalesforceClient
    rules: Rules
    environment: Environment
    document_numbers: DocumentNumbers
    book_close_date: date | None
    planned: Mapping[str, str]
    deal_amounts: Mapping[str, Decimal]
    amendments: Mapping[str, Sequence[str]]
    read_until: datetime | None
    pulled_invoices: Callable[[Sequence[str]], Sequence[dict[str, Any]]]
    known_templates: Collection[str]
    clock: Callable[[], datetime]
    progress: Callable[[str], None]


@dataclass
class PushOutcome:
    """What a push came to.

    Attributes:
        created: QuickBooks objects that were created or found again, by entity and id, as QuickBooks returned them last.
        sent: invoices that were mailed.
        written_back: Salesforce records that were written.
        schedules: billing schedules that were changed because a person approved it.
        templates: recurring templates as QuickBooks has them now, by id; those that were deleted with that status.
        listed: every template that QuickBooks had when this push first asked.
        held: (key, why) of entries that were left alone because the deal changed meanwhile or waits for a person.
        unavailable: by system, why the push had to stop calling it.
    """

    created: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    sent: int = 0
    written_back: int = 0
    refused: int = 0
    schedules: int = 0
    templates: dict[str, dict[str, Any]] = field(default_factory=dict)
    listed: list[dict[str, Any]] | None = None
    templates_made: int = 0
    templates_deleted: int = 0
    held: list[tuple[str, str]] = field(default_factory=list)
    unavailable: dict[str, str] = field(default_factory=dict)

    def exists(self, entity: str, record: dict[str, Any]) -> None:
        """Keep what QuickBooks returned; threads may do so at the same time."""
        self.created.setdefault(entity, {})[str(record["Id"])] = record

    def count(self, entity: str) -> int:
        """Objects of one entity that now exist because of this push."""
        return len(self.created.get(entity, ()))
