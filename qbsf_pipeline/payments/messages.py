"""What people read in Slack about payments. Pure: events in, messages out; nothing is sent here.

The owner of a deal is told directly. Who cannot be reached is stood in for by the person that the rules name, else by the finance
channel, where the owner is named. One message for each event: its key is the event's, so that however often a pass runs, and
whoever is reached the next time, it is taken in once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from qbsf_pipeline.flows.messages import sections
from qbsf_pipeline.money import format_amount
from qbsf_pipeline.slack.blocks import escape, link
from qbsf_pipeline.state.outbox import Message
from qbsf_pipeline.state.payment_events import PaymentEvent

#: No name or sentence that matters is longer, and all of it has to fit into a message.
_LONGEST_NAME = 160
_LONGEST_REASON = 1500

_SIGNS = {
    "paid": ":moneybag:",
    "due_paid": ":heavy_dollar_sign:",
    "partly_paid": ":heavy_dollar_sign:",
    "reopened": ":leftwards_arrow_with_hook:",
    "payment_removed": ":leftwards_arrow_with_hook:",
    "credited": ":scissors:",
    "voided": ":wastebasket:",
    "deleted": ":wastebasket:",
    "unlinked": ":wastebasket:",
}


@dataclass(frozen=True)
class PaymentTold:
    """One event as a message tells it.

    Attributes:
        kind: of ``payments.events``.
        amount, balance: in ``currency``; ``None`` where they are not one sum.
        numbers: of the deal's invoices, joined by commas; empty without any.
        happened_on: day of the payment, or of the change in QuickBooks.
        reason: what happened, in sentences.
        owner_name: who owns the deal; ``None`` where nobody does.
        owner_email: where the owner is reached; ``None`` for who left.
        owner_state: active, left or none.
        invoice_link, deal_link: for a person to open.
    """

    event_key: str
    kind: str
    deal: str
    account: str | None
    amount: Decimal | None
    balance: Decimal | None
    currency: str | None
    numbers: str
    happened_on: date | None
    reason: str
    owner_name: str | None
    owner_email: str | None
    owner_state: str
    invoice_link: str | None
    deal_link: str | None


def payments_told(events: Sequence[PaymentEvent], invoice_link: str, deal_link: str) -> list[PaymentTold]:
    """Recorded events as they are told.

    Args:
        events: with the payload of :func:`.plan.payment_events_of`.
        invoice_link, deal_link: with ``{id}``.
    """
    return [_told(event.event_key, event.kind, event.opportunity_id, event.payload, invoice_link, deal_link) for event in events]


def addresses(told: Sequence[PaymentTold], fallback_email: str) -> tuple[str, ...]:
    """The e-mail addresses whose Slack users are needed to tell of these events, in small letters, each once."""
    owners = [_address(one.owner_email) for one in told]
    found = [*owners, _address(fallback_email)] if told else []
    return tuple(dict.fromkeys(address for address in found if address))


def payment_messages(
    told: Sequence[PaymentTold], slack_ids: Mapping[str, str], fallback_email: str, finance_channel: str
) -> list[Message]:
    """One message for each event, to the owner of the deal or to who stands in.

    Args:
        slack_ids: Slack user id by e-mail address in small letters; an address that is not in it is unknown to Slack.
        fallback_email: stands in for owners who cannot be reached; may be empty.
    """
    messages = []
    for one in told:
        owner = slack_ids.get(_address(one.owner_email))
        reader = owner or slack_ids.get(_address(fallback_email)) or finance_channel
        messages.append(
            Message(
                dedupe_key=f"payment:{one.event_key}",
                channel=reader,
                text=_headline(one),
                blocks=sections(_lines(one, named=owner is None)),
                thread_of=None,
                kind="payments",
            )
        )
    return messages


def _told(key: str, kind: str, opportunity_id: str, payload: Mapping[str, Any], invoice_link: str, deal_link: str) -> PaymentTold:
    day = payload.get("happened_on")
    invoice_id = payload.get("invoice_id")
    return PaymentTold(
        event_key=key,
        kind=kind,
        deal=payload.get("deal") or opportunity_id,
        account=payload.get("account_name"),
        amount=_amount(payload.get("amount")),
        balance=_amount(payload.get("balance")),
        currency=payload.get("currency"),
        numbers=payload.get("numbers") or "",
        happened_on=date.fromisoformat(day) if day else None,
        reason=payload.get("reason") or "",
        owner_name=payload.get("owner_name"),
        owner_email=payload.get("owner_email"),
        owner_state=payload.get("owner_state") or "none",
        invoice_link=invoice_link.replace("{id}", invoice_id) if invoice_id else None,
        deal_link=deal_link.replace("{id}", opportunity_id),
    )


def _amount(value: Any) -> Decimal | None:
    # A whole number comes back from JSON as int.
    return None if value is None else Decimal(value)


def _headline(one: PaymentTold) -> str:
    """What happened in a line, as plain text."""
    deal, money = _short(one.deal), _money(one.amount, one.currency)
    on = f" on {one.happened_on:%d %b %Y}" if one.happened_on is not None else ""
    said = {
        "paid": f"{deal} is paid in full{f': {money}' if money else ''}{on}",
        "due_paid": f"{deal}: all that has fallen due is paid{f', {money}' if money else ''}{on}",
        "partly_paid": f"{deal}: {money or 'a part'} was paid{on}",
        "reopened": f"{deal} is not paid any more{f': {money} is open again' if money else ''}",
        "payment_removed": f"{deal}: {f'a payment of {money}' if money else 'a payment'} was taken back",
        "credited": f"{deal} was settled by a credit, not paid{f': {money}' if money else ''}",
        "voided": f"The invoice of {deal} was voided{f': {money}' if money else ''}",
        "deleted": f"The invoice of {deal} was deleted{f': {money}' if money else ''}",
        "unlinked": f"{deal} has no invoice any more",
    }
    return said.get(one.kind, f"{deal}: {one.kind}")


def _lines(one: PaymentTold, *, named: bool) -> list[str]:
    """The lines of a message; ``named``: it says whose deal it is, for a reader who stands in for that person."""
    lines = [f"{_SIGNS.get(one.kind, ':information_source:')} *{escape(_headline(one))}*"]
    parts = [link(one.deal_link, _short(one.deal))]
    if one.account:
        parts.append(escape(_short(one.account)))
    if one.numbers:
        several = "," in one.numbers
        parts.append(link(one.invoice_link, f"Invoice{'s' if several else ''} {_short(one.numbers)}"))
    balance = _money(one.balance, one.currency)
    if balance and one.kind not in ("paid", "due_paid", "credited", "voided", "deleted", "unlinked"):
        parts.append(f"{balance} open")
    lines.append(" · ".join(parts))
    if one.reason:
        lines.append(escape(_short(one.reason, _LONGEST_REASON)))
    if named:
        lines.append(_owner(one))
    return lines


def _owner(one: PaymentTold) -> str:
    if one.owner_state == "none":
        return "The deal has no owner."
    name = escape(_short(one.owner_name)) if one.owner_name else "a user whom Salesforce does not show"
    return f"Owner: {name}, who left." if one.owner_state == "left" and one.owner_name else f"Owner: {name}, not found in Slack."


def _money(amount: Decimal | None, currency: str | None) -> str:
    return format_amount(amount, currency) if amount is not None and currency else ""


def _short(text: str, most: int = _LONGEST_NAME) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


def _address(email: str | None) -> str:
    return (email or "").strip().lower()
