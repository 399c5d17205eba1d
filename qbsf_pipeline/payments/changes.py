"""What happened to a deal's payments since it was last looked at, and how that is said. Pure.

=================  ======================================  ===================================================================
before             now                                     event
=================  ======================================  ===================================================================
anything else      Paid or Overpaid                        paid
anything else      Credited                                credited
with an invoice    Voided, Deleted, Not Invoiced           voided, deleted, unlinked
Paid, Overpaid,    open                                    reopened
Credited
open               open, less is applied than before       payment_removed
open               open, more is applied than before       partly_paid, only where the rules say that part payments are told
Paid               Overpaid, or the other way round        none
Voided, Deleted    open, for it was billed again           none, but for partly_paid
=================  ======================================  ===================================================================

Open is Invoiced, Sent and Partially Paid. What is compared is what is applied to the invoices that the deal has now and had
before: a payment that was entered anew over the same amount is no event.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from qbsf_pipeline.money import format_amount
from qbsf_pipeline.payments.documents import NAMES
from qbsf_pipeline.payments.fingerprints import Remembered
from qbsf_pipeline.payments.settling import NOTHING_BILLED, PAID, SETTLED

_ZERO = Decimal(0)
_MOST_SENTENCES = 5
_LONGEST_NUMBER = 60
_GONE = {"Voided": "voided", "Deleted": "deleted", "Not Invoiced": "unlinked"}


@dataclass(frozen=True)
class Standing:
    """How a deal stands, or stood: its payment status and what is known of its invoices.

    Attributes:
        balance: what is open; ``None`` where nothing is billed or the currencies are mixed.
        total: of the invoices that count, in ``currency``.
        last_payment_date: of its newest payment.
        reason: why this status, as a sentence.
        memory: its invoices and what is applied to them; ``None`` where that cannot be read.
    """

    status: str
    balance: Decimal | None
    total: Decimal | None
    currency: str | None
    last_payment_date: date | None
    reason: str
    memory: Remembered | None


@dataclass(frozen=True)
class Document:
    """A QuickBooks document as a sentence names it; ``condition`` is live, voided or deleted."""

    number: str | None
    txn_date: date | None
    condition: str
    changed_at: datetime | None


@dataclass(frozen=True)
class Explaining:
    """What sentences are made from.

    Attributes:
        documents: by kind and id.
        currencies: ISO code by invoice id.
        time_zone: of the company (IANA name): the days of changes are its days.
    """

    documents: Mapping[tuple[str, str], Document]
    currencies: Mapping[str, str | None]
    time_zone: str

    def day(self, at: datetime | None) -> date | None:
        """The company's day of an instant."""
        if at is None:
            return None
        try:
            return at.astimezone(ZoneInfo(self.time_zone)).date()
        except (ZoneInfoNotFoundError, ValueError):
            return at.date()


@dataclass(frozen=True)
class Change:
    """An event of a deal.

    Attributes:
        kind: see the table of this module.
        amount: what was paid, credited or taken away; ``None`` where it is not one sum.
        happened_on: day of the payment, or of the change in QuickBooks.
        reason: what happened, in sentences.
    """

    kind: str
    amount: Decimal | None
    happened_on: date | None
    reason: str


def change(before: Standing | None, now: Standing, explaining: Explaining, *, tell_partial: bool) -> Change | None:
    """The event that lies between two standings of a deal; ``None`` where people need not be told.

    Args:
        before: ``None`` for a deal that is seen for the first time.
    """
    kind = _kind(before, now, tell_partial=tell_partial)
    if kind is None:
        return None
    then = Remembered() if before is None else before.memory
    sentences: list[str] = []
    happened_on: date | None = None
    if then is not None and now.memory is not None:
        said = _Account(then, now.memory, explaining)
        sentences, happened_on = said.account(removals=kind not in ("paid", "partly_paid"))
    if kind in ("paid", "partly_paid"):
        happened_on = now.last_payment_date
    reason = " ".join(_some(sentences)) or now.reason
    return Change(kind, _amount(kind, before, now), happened_on, reason)


def of_schedule(found: Change, before: Standing | None, now: Standing, to_come: int) -> Change | None:
    """The event of a deal that is billed period by period; ``None`` where it is none.

    That the next period was billed opens a paid deal, and is no news of a payment. What has fallen due may be paid while more is
    to be billed: then the deal is not paid in full.

    Args:
        to_come: periods that are still to be billed.
    """
    if found.kind == "reopened" and before is not None and before.memory is not None and now.memory is not None:
        stands = all(now.memory.invoices.get(invoice_id) == was for invoice_id, was in before.memory.invoices.items())
        if stands and _gained(before, now) >= 0:
            return None
    if found.kind == "paid" and to_come:
        more = "1 more period is" if to_come == 1 else f"{to_come} more periods are"
        return replace(found, kind="due_paid", reason=f"{found.reason} {more} still to be billed.".strip())
    return found


def _kind(before: Standing | None, now: Standing, *, tell_partial: bool) -> str | None:
    was = before.status if before is not None else None
    if now.status in PAID:
        return "paid" if was not in PAID else None
    if now.status == "Credited":
        return "credited" if was != "Credited" else None
    if now.status in NOTHING_BILLED:
        return None if was is None or was in NOTHING_BILLED else _GONE[now.status]
    if was in SETTLED:
        return "reopened"
    gained = _gained(before, now)
    if gained < 0:
        return "payment_removed"
    return "partly_paid" if gained > 0 and tell_partial else None


def _gained(before: Standing | None, now: Standing) -> Decimal:
    """By how much more is applied than before, to the invoices that are live now; below 0 for less.

    Of invoices with several currencies, whose amounts cannot be added, the one that lost most counts, else the one that gained
    most.
    """
    then = Remembered() if before is None else before.memory
    if then is None or now.memory is None:
        return _ZERO
    live = _live(now.memory)
    if now.currency is not None:
        return now.memory.applied_to(live) - then.applied_to(live)
    each = [now.memory.applied_to(frozenset({one})) - then.applied_to(frozenset({one})) for one in live]
    lost, won = min(each, default=_ZERO), max(each, default=_ZERO)
    return lost if lost < 0 else won


def _amount(kind: str, before: Standing | None, now: Standing) -> Decimal | None:
    if now.currency is None:
        return None
    if kind in ("paid", "credited"):
        return now.total
    if kind in ("partly_paid", "payment_removed"):
        return abs(_gained(before, now))
    if kind == "reopened":
        return now.balance
    if before is None or before.memory is None:
        return None
    return sum((total for status, total in before.memory.invoices.values() if status not in NOTHING_BILLED), _ZERO)


def _live(memory: Remembered) -> frozenset[str]:
    return frozenset(invoice_id for invoice_id, (status, _) in memory.invoices.items() if status not in NOTHING_BILLED)


class _Account:
    """Says what differs between two memories of a deal. One use."""

    def __init__(self, then: Remembered, now: Remembered, explaining: Explaining) -> None:
        self._then, self._now, self._explaining = then, now, explaining
        self._sentences: list[str] = []
        self._days: list[date] = []

    def account(self, *, removals: bool) -> tuple[list[str], date | None]:
        """Sentences, and the newest day of what they say.

        Args:
            removals: what was taken away comes first, for it is the news.
        """
        steps = [self._invoices, self._removed, self._added] if removals else [self._added, self._invoices, self._removed]
        for each in steps:
            each()
        return self._sentences, max(self._days, default=None)

    def _invoices(self) -> None:
        for invoice_id, (status, total) in self._now.invoices.items():
            before = self._then.invoices.get(invoice_id)
            name = self._invoice(invoice_id)
            if before is None:
                if self._then.invoices and status not in NOTHING_BILLED:
                    self._sentences.append(f"{name} over {self._money(total, invoice_id)} was added.")
            elif status in ("Voided", "Deleted") and before[0] != status:
                self._sentences.append(
                    f"{name} over {self._money(before[1], invoice_id)} was {status.lower()}{self._when(invoice_id)}."
                )
            elif total != before[1] and status not in NOTHING_BILLED:
                was, is_now = self._money(before[1], invoice_id), self._money(total, invoice_id)
                when = self._when(invoice_id)
                changed = f" (changed{when})" if when else ""
                self._sentences.append(f"{name} is over {is_now} now, not {was} any more{changed}.")
        for invoice_id, (status, total) in self._then.invoices.items():
            if invoice_id not in self._now.invoices and status not in NOTHING_BILLED:
                known = ("invoice", invoice_id) in self._explaining.documents
                said = "belongs to the deal no more" if known else "is no longer found in QuickBooks"
                self._sentences.append(f"{self._invoice(invoice_id)} over {self._money(total, invoice_id)} {said}.")

    def _removed(self) -> None:
        live = _live(self._now)
        for key, (amount, day) in self._then.applied.items():
            document, document_id, invoice_id = key
            left = self._now.applied.get(key, (_ZERO, None))[0]
            if invoice_id not in live or left >= amount:
                continue
            found = self._document(document, document_id, invoice_id)
            name = self._source(document, found, day)
            money, rest = self._money(amount, invoice_id), self._money(left, invoice_id)
            changed = self._explaining.day(found.changed_at) if found is not None else None
            when = f" on {_shown(changed)}" if changed is not None else ""
            if found is None:
                self._sentences.append(f"{name} of {money} is no longer found in QuickBooks.")
            elif found.condition != "live":
                self._sentences.append(f"{name} of {money} was {found.condition}{when}.")
            elif left:
                changed_by = f" (changed{when})" if when else ""
                self._sentences.append(
                    f"{name} gives {self._invoice(invoice_id, small=True)} {rest}, not {money} any more{changed_by}."
                )
            else:
                changed_by = f" (changed{when})" if when else ""
                self._sentences.append(
                    f"{name} of {money} is not applied to {self._invoice(invoice_id, small=True)} any more{changed_by}."
                )
            if changed is not None:
                self._days.append(changed)

    def _added(self) -> None:
        live = _live(self._now)
        for key, (amount, day) in self._now.applied.items():
            document, document_id, invoice_id = key
            more = amount - self._then.applied.get(key, (_ZERO, None))[0]
            if invoice_id not in live or more <= 0:
                continue
            name = self._source(document, self._document(document, document_id, invoice_id), day)
            of = f" of {_shown(day)}" if day is not None else ""
            target = self._invoice(invoice_id, small=True)
            self._sentences.append(f"{name}{of} gave {target} {self._money(more, invoice_id)}.")
            if day is not None:
                self._days.append(day)

    def _document(self, document: str, document_id: str, invoice_id: str) -> Document | None:
        found = self._explaining.documents.get((document, document_id))
        if found is None and document == "deposit" and document_id == invoice_id:
            # What was taken on the invoice itself has no document of its own.
            return self._explaining.documents.get(("invoice", invoice_id))
        return found

    def _source(self, document: str, found: Document | None, day: date | None) -> str:
        name = NAMES.get(document, document.replace("_", " "))
        number = _short(found.number) if found is not None and document != "deposit" else None
        return f"{name[:1].upper()}{name[1:]}{f' {number}' if number else ''}"

    def _invoice(self, invoice_id: str, *, small: bool = False) -> str:
        found = self._explaining.documents.get(("invoice", invoice_id))
        number = (_short(found.number) if found is not None else None) or f"with id {invoice_id}"
        return f"{'invoice' if small else 'Invoice'} {number}"

    def _when(self, invoice_id: str) -> str:
        found = self._explaining.documents.get(("invoice", invoice_id))
        day = self._explaining.day(found.changed_at) if found is not None else None
        if day is None:
            return ""
        self._days.append(day)
        return f" on {_shown(day)}"

    def _money(self, amount: Decimal, invoice_id: str) -> str:
        currency = self._explaining.currencies.get(invoice_id)
        return format_amount(amount, currency) if currency else f"{amount:,.2f}"


def _some(sentences: Sequence[str]) -> list[str]:
    if len(sentences) <= _MOST_SENTENCES:
        return list(sentences)
    return [*sentences[:_MOST_SENTENCES], f"And {len(sentences) - _MOST_SENTENCES} more such changes."]


def _short(number: str | None) -> str | None:
    line = " ".join((number or "").split())
    if not line:
        return None
    return line if len(line) <= _LONGEST_NUMBER else line[: _LONGEST_NUMBER - 1] + "…"


def _shown(day: date | None) -> str:
    return f"{day:%d %b %Y}" if day is not None else "an unknown day"
