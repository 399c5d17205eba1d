"""The invoices of a deal that is billed period by period: what is billed now, and what was lost sight of. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from qbsf_pipeline.invoices.keys import period_sign
from qbsf_pipeline.invoices.known import Known
from qbsf_pipeline.invoices.recurring.known_templates import again
from qbsf_pipeline.invoices.recurring.markers import period_note
from qbsf_pipeline.invoices.recurring.schedule import BillingSchedule, deal_lines, period_key, sum_of
from qbsf_pipeline.invoices.recurring.templates import TemplateSplit
from qbsf_pipeline.invoices.scheduled import Scheduled
from qbsf_pipeline.invoices.sound_deals import Bill
from qbsf_pipeline.money import format_amount


@dataclass(frozen=True)
class PeriodAdoption:
    """Invoices of periods that the program made, and lost sight of before it was done with them.

    Attributes:
        sends: key and row of ``quickbooks.invoice`` of what is still to be mailed.
        newest: the invoice that the deal is still to be told of; ``None`` where nothing is to be told.
    """

    deal: Mapping[str, Any]
    sends: tuple[tuple[str, Mapping[str, Any]], ...]
    newest: Mapping[str, Any] | None


def period_bills(deal: Mapping[str, Any], scheduled: Scheduled, known: Known) -> list[Bill]:
    """What is billed now of a deal, and what waits to be credited; nothing while something stands against its schedule."""
    schedule = scheduled.schedule
    if schedule is None or scheduled.reasons:
        return []
    text = known.rules.recurring.line_text
    names = {one.number: "one-time lines" for one in schedule.periods if one.kind == "once"}
    regular = [one for one in schedule.periods if one.kind == "period"] or [one for one in schedule.periods if one.kind == "once"]
    names |= {one.number: f"period {place} of {len(regular)}" for place, one in enumerate(regular, start=1)}
    found = []
    for due in scheduled.bill:
        period = due.period
        name = names.get(period.number, "difference")
        late = " and was missed" if due.missed else ""
        found.append(
            Bill(
                key=_key(deal, period.number, known),
                name=name,
                note=period_note(period),
                lines=deal_lines(period, text),
                txn_date=due.invoice_date,
                why=f"{name.capitalize()} ({period.span.starts} to {period.span.ends}) is due since {period.due_on}{late}",
                later=bool(scheduled.placed),
            )
        )
    found += [
        Bill(
            key=_key(deal, period.number, known),
            name="credit",
            note=period_note(period),
            lines=[replace(line, total=-line.total) for line in deal_lines(period, text)],
            txn_date=known.parameters.as_of,
            why=(
                "The deal takes something off a contract that was billed already"
                if schedule.source == "amendment"
                else f"The deal became smaller, and periods from {period.span.starts} to {period.span.ends} were billed already"
            ),
            later=True,
            credit=True,
        )
        for period in scheduled.credits
    ]
    if scheduled.templates.create is not None:
        found.append(_template(deal, schedule, scheduled.templates.create, known, later=bool(scheduled.placed)))
    return found


def _template(deal: Mapping[str, Any], schedule: BillingSchedule, split: TemplateSplit, known: Known, *, later: bool) -> Bill:
    """The periods that a recurring template bills, with the lines of each: nothing in it belongs to one period only."""
    first, last = split.repeated[0], split.repeated[-1]
    number = again(known.made.templates(deal["id"]), first.number)
    total = format_amount(sum_of(one.amount for one in split.repeated), schedule.currency).strip()
    often = "every month" if split.months == 1 else f"every {split.months} months"
    others = "1 other period" if len(split.own) == 1 else f"{len(split.own)} other periods"
    left = f" qbsf bills {others} itself." if split.own else ""
    days = f"{len(split.repeated)} periods from {first.due_on} to {last.due_on}"
    return Bill(
        key=known.keys.template(deal["id"], first.number, number),
        name=f"template of {len(split.repeated)} periods",
        note="",
        lines=deal_lines(first, ""),
        txn_date=first.due_on,
        why=f"A recurring template of QuickBooks bills {days}, {often}, {total} together.{left} Each invoice",
        later=later,
        template=split,
        again=number,
    )


def newest_key(deal: Mapping[str, Any], scheduled: Scheduled, known: Known) -> str | None:
    """The key of the newest period that is billed now; ``None`` where none is."""
    if not scheduled.bill:
        return None
    newest = max(scheduled.bill, key=lambda one: (one.period.due_on, one.period.number))
    return _key(deal, newest.period.number, known)


def period_adoption(deal: Mapping[str, Any], scheduled: Scheduled, known: Known, *, told: bool) -> PeriodAdoption | None:
    """Tell the deal of its newest period where nobody does, and mail what the program lost sight of.

    Args:
        told: whether an invoice that is billed now tells the deal anyway.
    """
    history = known.history
    remembered = history.periods(deal["id"])
    sends: list[tuple[str, Mapping[str, Any]]] = []
    for number, invoice_id in sorted(scheduled.placed.items()):
        found = history.invoice(invoice_id or "")
        ours = number not in remembered and number not in scheduled.by_template
        if found is not None and ours and is_still_to_be_mailed(deal, found, known):
            sends.append((_key(deal, number, known), found))
    newest = scheduled.newest
    found = history.invoice(scheduled.placed.get(newest) or "") if newest is not None else None
    waiting = [
        status in ("planned", "sending", "failed", "dead")
        for key, status in history.write_backs(deal["id"]).items()
        if newest is not None and f":{period_sign(_key(deal, newest, known))}:" in key
    ]
    stored = (deal["invoice_id"] or "").strip()
    tell = not told and found is not None and stored != found["id"] and not any(waiting)
    return PeriodAdoption(deal, tuple(sends), found if tell else None) if sends or tell else None


def is_still_to_be_mailed(deal: Mapping[str, Any], found: Mapping[str, Any], known: Known) -> bool:
    """Whether an adopted invoice is one that this program made, and lost sight of before it was mailed.

    Such a one carries the marker and an address, is open, and its deal is none from before go-live.
    """
    ours = bool(found["opportunity_id"]) and bool(found["bill_email"]) and not known.is_old(deal)
    is_open = found["status"] == "live" and bool(found["balance"]) and found["email_status"] != "EmailSent"
    return known.sends and ours and is_open


def _key(deal: Mapping[str, Any], number: int, known: Known) -> str:
    return period_key(known.history.invoice_key(deal["id"]), number)
