"""A deal that nothing stands against, or a period of one, and what is found on the way to that. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from qbsf_pipeline.customers import texts
from qbsf_pipeline.customers.payloads import Mended
from qbsf_pipeline.customers.terms import Term
from qbsf_pipeline.invoices import validation
from qbsf_pipeline.invoices.bill_to import BillTo
from qbsf_pipeline.invoices.lines import DealLine
from qbsf_pipeline.invoices.payloads import PricedLine
from qbsf_pipeline.invoices.recurring.schedule import sum_of
from qbsf_pipeline.invoices.recurring.templates import TemplateSplit
from qbsf_pipeline.invoices.validation import Reason


@dataclass(frozen=True)
class Bill:
    """One invoice of a deal that is billed period by period.

    Attributes:
        name: "period 3 of 12".
        note: what the invoice says of its period.
        later: whether the deal had an invoice before.
        credit: whether it is a credit memo; its lines are what is taken off, above zero.
        template: the periods that a recurring template bills, whose body this is; ``None`` for an invoice of its own.
        again: how often a template from that period on is made.
    """

    key: str
    name: str
    note: str
    lines: Sequence[DealLine]
    txn_date: date
    why: str
    later: bool
    credit: bool = False
    template: TemplateSplit | None = None
    again: int = 1


@dataclass(frozen=True)
class SoundDeal:
    """A deal with nothing against it, or a period of one, ready to be written down.

    Attributes:
        key: of its invoice.
        bill: the period; ``None`` where the invoice is the whole deal.
        by_quote: whether the lines are those of the deal's quote.
        told: whether the deal is told of this invoice: of several of one deal the newest only.
    """

    key: str
    bill: Bill | None
    by_quote: bool
    told: bool
    deal: Mapping[str, Any]
    account: Mapping[str, Any]
    customer: str
    invoice: Mapping[str, Any]
    lines: tuple[PricedLine, ...]
    amount: Decimal
    currency: str
    txn_date: date
    due_date: date | None
    term: Term | None
    receiver: BillTo
    sent_to: str | None
    decided_from: str

    @property
    def total(self) -> Decimal:
        """What it comes to without tax; of a recurring template all of its invoices together."""
        template = self.bill.template if self.bill is not None else None
        return self.amount if template is None else sum_of(one.amount for one in template.repeated)


@dataclass
class Findings:
    """What is found while one deal is looked at."""

    reasons: list[Reason] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)

    def refuse(self, reason: Reason | None) -> None:
        """Keep a reason that there is, once."""
        if reason is not None and reason not in self.reasons:
            self.reasons.append(reason)

    def note(self, code: str, text: str) -> None:
        """Keep what was mended by rule, or is odd."""
        self.notes.append((code, text))

    def tell_mended(self, mended: Iterable[Mended], *, refuse_long: bool = False) -> None:
        """Say what was mended in texts.

        Args:
            refuse_long: whether a free text that was shortened stands against the deal (rules: ``invoices.long_text``).
        """
        for text in mended:
            if refuse_long and text.shortened and text.free_text:
                self.refuse(validation.text_too_long(text.what, text.length, text.limit))
            elif text.shortened:
                self.note("text_shortened", f"The {text.what} has {text.length} characters; {text.limit} were kept.")
            else:
                self.note("characters_removed", f"Characters that cannot be printed were taken out of the {text.what}.")


def deal_name(deal: Mapping[str, Any]) -> str:
    """What a deal is called: its name on one line, else its id."""
    return texts.clean(deal["name"], one_line=True) or str(deal["id"])
