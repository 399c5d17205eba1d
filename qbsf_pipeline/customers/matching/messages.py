"""What people read in Slack about accounts whose customer they have to name. Pure: reviews in, a message out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from qbsf_pipeline.customers.matching.side_by_side import disagreement
from qbsf_pipeline.money import format_amount
from qbsf_pipeline.slack.blocks import escape, link, section, sections
from qbsf_pipeline.state.outbox import Message
from qbsf_pipeline.state.reviews import Review

_MOST_LISTED = 10
_MOST_DEALS = 3
_LONGEST_QUESTION = 300
_LONGEST_NAME = 80
#: Characters of all listed questions: one message, whatever is in the names.
_LONGEST_LIST = 7000


def review_message(reviews: Sequence[Review], channel: str, page_link: str, account_link: str) -> Message | None:
    """One message for all questions that are new in a pass; ``None`` where there are none.

    Args:
        reviews: the new questions; the ten with the largest waiting amounts are listed, as far as one message holds them.
        page_link: where a person finds them side by side.
        account_link: where a person opens an account, with ``{id}`` for its id.
    """
    if not reviews:
        return None
    digest = hashlib.sha256(" ".join(sorted(f"{one.review_id}@{one.opened_at.isoformat()}" for one in reviews)).encode())
    number = f"{len(reviews)} account{'s' if len(reviews) != 1 else ''}"
    verb = "wait" if len(reviews) != 1 else "waits"
    waiting = totals(reviews)
    title = f":mag: *{number} {verb} for you to name the QuickBooks customer*{f' · {waiting} of won deals' if waiting else ''}"
    ordered = sorted(reviews, key=lambda one: (-(one.amount_waiting or Decimal(0)), one.review_id))
    lines: list[str] = []
    listed = 0
    for one in ordered[:_MOST_LISTED]:
        told = _lines(one, account_link)
        if listed and sum(map(len, (*lines, *told))) > _LONGEST_LIST:
            break
        lines += told
        listed += 1
    if len(ordered) > listed:
        lines.append(f"_and {len(ordered) - listed} more_")
    first = ordered[0].review_id
    lines.append(
        f"{link(page_link, 'Both records side by side')} · in a terminal `qbsf review show {first}`, then `qbsf review link "
        f"{first} CUSTOMER` · or fill the customer id on the account in Salesforce"
    )
    return Message(
        dedupe_key=f"reviews:{digest.hexdigest()[:16]}",
        channel=channel,
        text=f"{number} {verb} for you to name the QuickBooks customer",
        blocks=[section(title), *sections(lines)],
        thread_of=None,
        kind="review",
    )


def totals(reviews: Sequence[Review]) -> str:
    """``41,250.00 USD and 3,000.00 EUR`` of the deals that wait; empty where their amount is not known.

    An account whose deals are in several currencies counts by deal.
    """
    sums: dict[str, Decimal] = {}
    for one in reviews:
        if one.amount_waiting is not None and one.currency:
            sums[one.currency] = sums.get(one.currency, Decimal(0)) + one.amount_waiting
            continue
        for deal in (one.details or {}).get("deals", ()):
            if deal["amount"] is not None and deal["currency"]:
                sums[deal["currency"]] = sums.get(deal["currency"], Decimal(0)) + Decimal(str(deal["amount"]))
    ordered = sorted(sums.items(), key=lambda item: (-item[1], item[0]))
    return " and ".join(format_amount(amount, currency) for currency, amount in ordered)


def _lines(one: Review, account_link: str) -> list[str]:
    details: Mapping[str, Any] = one.details or {}
    deals = details.get("deals", ())
    names = ", ".join(_short(deal["name"] or deal["opportunity_id"]) for deal in deals[:_MOST_DEALS])
    more = one.deals_waiting - min(len(deals), _MOST_DEALS)
    told = f"{names}{f' and {more} more' if names and more > 0 else ''}" or _deals(one.deals_waiting)
    amount = totals([one])
    account = link(account_link.replace("{id}", one.account_id), _short(one.account_name))
    head = f"• *{account}*  _{one.review_id}_ · {escape(told)}"
    lines = [f"{head}{f' · {amount}' if amount else ''}", f"   {escape(_short(one.question, _LONGEST_QUESTION))}"]
    best = next(iter(details.get("candidates", ())), None)
    if best is not None:
        customer = best["customer"]
        against = disagreement(best)
        shown = f"best candidate: {_short(customer['display_name'] or '-')} (customer {customer['customer_id']})"
        lines.append(f"   {escape(shown)}{escape(f', differs in {against}') if against else ''}")
    return lines


def _short(text: Any, most: int = _LONGEST_NAME) -> str:
    shown = " ".join(str(text).split())
    return shown if len(shown) <= most else f"{shown[: most - 1].rstrip()}…"


def _deals(number: int) -> str:
    return f"{number} deal{'s' if number != 1 else ''}" if number else "no deal waits"
