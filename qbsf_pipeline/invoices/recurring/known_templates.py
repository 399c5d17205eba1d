"""The recurring templates of deals as they are known: by the ledger, and by what QuickBooks lists where the ledger was lost.

A template that qbsf made has the deal and its first period in its name, and the deal's marker in its note. What it bills is read
from the body that was sent; one that only QuickBooks tells of is read from there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from qbsf_pipeline.customers.texts import short_id
from qbsf_pipeline.invoices.recurring.periods import months_later
from qbsf_pipeline.invoices.recurring.schedule import sum_of
from qbsf_pipeline.invoices.recurring.templates import CONTENT_LENGTH, ItemAmount, found_invoice
from qbsf_pipeline.money import parse_json
from qbsf_pipeline.quickbooks.objects import opportunity_in
from qbsf_pipeline.quickbooks.templates import unwrapped
from qbsf_pipeline.state.ledger import LedgerEntry
from qbsf_pipeline.warehouse.tables import decimal_or_none

CREATE = "create_recurring_template"
#: Deletes a template whose periods the deal does not want any more; another one may follow.
DELETE = "delete_recurring_template"
#: Deletes a template that does nothing any more, once a person said so; qbsf bills what is left itself.
TAKE_OVER = "take_over_recurring_template"
OPERATIONS = (CREATE, DELETE, TAKE_OVER)

#: ``under_way``: its creation was sent, and the answer is looked for. ``gone``: a person deleted it or made it inactive.
#: ``leaving``: it was deleted, and no pull has looked since for an invoice that it made before. ``ended`` and ``taken_over``: it
#: was deleted, and its invoices are known.
Status = Literal["under_way", "live", "gone", "leaving", "ended", "taken_over"]

_SIGN = re.compile(r"(?:^|\s)([A-Za-z0-9]{18}|[A-Za-z0-9]{15}) (\d{1,5})(?:\.\d{1,5})?$")
_MONTHS = {"monthly": 1, "yearly": 12}
#: What is listed is as old as the pull; a template that was made shortly before it may be missing there.
_CLOCK_TOLERANCE = timedelta(minutes=10)
_MOST_DAYS = 1200


@dataclass(frozen=True)
class DealTemplate:
    """A template that bills periods of a deal.

    Attributes:
        first: number of its first period; ``None`` where its name does not tell.
        template_id: ``None`` while its creation is under way.
        lines: items and amounts of each of its invoices.
        days: on which it makes invoices; empty where that cannot be read.
        ours: whether qbsf made it: by the ledger, or by its name.
        content: what each invoice bills (:func:`.templates.content_of`); empty where the ledger does not tell.
    """

    opportunity_id: str
    first: int | None
    template_id: str | None
    status: Status
    name: str
    customer_id: str | None
    lines: tuple[ItemAmount, ...]
    days: tuple[date, ...]
    ours: bool = True
    content: str = ""

    @property
    def net(self) -> Decimal:
        """What each of its invoices comes to without tax, two places, the deal's currency."""
        return sum_of(amount for _, amount in self.lines)

    @property
    def called(self) -> str:
        """How people find it in QuickBooks."""
        return f"template “{self.name}”" if self.name else f"template id {self.template_id}"


def deal_templates(
    writes: Iterable[LedgerEntry],
    listed: Iterable[Mapping[str, Any]],
    listed_until: datetime | None,
    invoices_until: datetime | None,
) -> tuple[DealTemplate, ...]:
    """Every template of every deal, those that the ledger tells of first.

    Args:
        writes: of the operations in :data:`OPERATIONS`, oldest first.
        listed: rows of ``quickbooks.recurring_transaction``: id, name, active, recur_type, opportunity_id, is_deleted, record.
        listed_until: QuickBooks' clock at the last pull of these; ``None`` where they are not read.
        invoices_until: QuickBooks' clock at the last pull of invoices.
    """
    entries = list(writes)
    ended = {str(parse_json(entry.payload).get("Id")): entry for entry in entries if entry.operation != CREATE and _begun(entry)}
    rows = {str(row["id"]): row for row in listed}
    found: list[DealTemplate] = []
    for entry in entries:
        if entry.operation != CREATE or not _begun(entry) or not entry.opportunity_id:
            continue
        status: Status = "under_way"
        if entry.result_id is not None and entry.status == "done":
            status = _status(entry.result_id, ended, rows, entry.done_at, listed_until, invoices_until)
        body = unwrapped(parse_json(entry.sent_body or entry.payload))
        template_id = entry.result_id if entry.status == "done" else None
        made = _template(entry.opportunity_id, template_id, status, body, ours=True)
        found.append(replace(made, content=(entry.decided_from or "")[:CONTENT_LENGTH]))
    known = {one.template_id for one in found}
    told = {short_id(one.opportunity_id) for one in found}
    for template_id, row in rows.items():
        if template_id in known or (row["is_deleted"] and template_id not in ended):
            continue
        name_of = named_deal(row["name"])
        opportunity_id = row["opportunity_id"] or (name_of[0] if name_of is not None else None)
        if opportunity_id is None or (name_of is None and short_id(opportunity_id) in told):
            # Somebody's own template that names a deal which has its own: its invoices are looked at, it is left alone.
            continue
        status = _status(template_id, ended, rows, None, None, invoices_until)
        body = unwrapped(parse_json(row["record"])) if row["record"] else {}
        found.append(_template(opportunity_id, template_id, status, body, ours=name_of is not None))
    return tuple(found)


def named_deal(name: str | None) -> tuple[str, int] | None:
    """Deal and first period (from 0) that the name of a template tells; ``None`` where it was not named by
    :func:`.templates.template_name`."""
    sign = _SIGN.search((name or "").strip())
    return (sign.group(1), int(sign.group(2)) - 1) if sign is not None and int(sign.group(2)) > 0 else None


def template_deal(record: Mapping[str, Any]) -> str | None:
    """The deal that a template of QuickBooks (unwrapped) names, by its note or its name: 15 characters."""
    told = opportunity_in(_text(record.get("PrivateNote")))
    name_of = named_deal(_name(record))
    return short_id(told) if told else short_id(name_of[0]) if name_of is not None else None


def named_as(record: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
    """Whether a template of QuickBooks is the one that a body made (both unwrapped): what is unique in its name is the same. A
    name that says nothing any more leaves the deal's marker and the days to tell."""
    sign, wanted = _SIGN.search(_name(record).strip()), _SIGN.search(_name(body).strip())
    if sign is not None:
        return wanted is not None and sign.group(0).strip() == wanted.group(0).strip()
    days = template_days(record)
    return template_deal(record) == template_deal(body) and bool(days) and days == template_days(body)


def template_days(record: Mapping[str, Any]) -> tuple[date, ...]:
    """The days on which a template (unwrapped) makes invoices; empty where its schedule is none that qbsf makes."""
    info = record.get("RecurringInfo")
    plan = info.get("ScheduleInfo") if isinstance(info, Mapping) else None
    if not isinstance(plan, Mapping):
        return ()
    try:
        start = date.fromisoformat(str(plan.get("StartDate") or "")[:10])
    except ValueError:
        return ()
    count, step, day = (_whole(plan, name) for name in ("MaxOccurrences", "NumInterval", "DayOfMonth"))
    months = _MONTHS.get(str(plan.get("IntervalType") or "Monthly").casefold(), 0) * (1 if step is None else step)
    if count is None or not 0 < count <= _MOST_DAYS or months <= 0 or day not in (None, start.day):
        return ()
    if start.year + count * months // 12 >= date.max.year:
        return ()
    return tuple(months_later(start, place * months) for place in range(count))


def _template(
    opportunity_id: str, template_id: str | None, status: Status, body: Mapping[str, Any], *, ours: bool
) -> DealTemplate:
    form = found_invoice({"Id": template_id or "", **body}, opportunity_id)
    name = _name(body)
    name_of = named_deal(name)
    return DealTemplate(
        opportunity_id=opportunity_id,
        first=name_of[1] if name_of is not None else None,
        template_id=template_id,
        status=status,
        name=name,
        customer_id=form.customer_id,
        lines=form.lines,
        days=template_days(body),
        ours=ours,
    )


def _begun(entry: LedgerEntry) -> bool:
    return entry.status in ("sending", "done")


def _status(
    template_id: str,
    ended: Mapping[str, LedgerEntry],
    rows: Mapping[str, Mapping[str, Any]],
    made_at: datetime | None,
    listed_until: datetime | None,
    invoices_until: datetime | None,
) -> Status:
    end = ended.get(template_id)
    if end is not None:
        ended_at = _ended_at(end)
        if ended_at is None or invoices_until is None or invoices_until <= ended_at:
            return "leaving"
        return "taken_over" if end.operation == TAKE_OVER else "ended"
    row = rows.get(template_id)
    if row is not None:
        automated = str(row["recur_type"] or "Automated").casefold() == "automated"
        return "gone" if row["is_deleted"] or row["active"] is False or not automated else "live"
    unlisted = made_at is not None and listed_until is not None and listed_until > made_at + _CLOCK_TOLERANCE
    return "gone" if unlisted else "live"


def _ended_at(entry: LedgerEntry) -> datetime | None:
    """QuickBooks' clock when it said that the template is deleted; the ledger's where that was not told."""
    if entry.status != "done":
        return None
    told = parse_json(entry.result or "{}").get("deleted_at")
    return datetime.fromisoformat(str(told)) if told else entry.done_at


def _name(record: Mapping[str, Any]) -> str:
    info = record.get("RecurringInfo")
    return _text(info.get("Name")) if isinstance(info, Mapping) else ""


def _whole(plan: Mapping[str, Any], name: str) -> int | None:
    """A whole number of a schedule; 0, which none may be, for anything else; ``None`` where nothing is told."""
    if plan.get(name) in (None, ""):
        return None
    number = decimal_or_none(plan[name])
    return int(number) if number is not None and number.is_finite() and number == int(number) else 0


def _text(value: Any) -> str:
    return str(value) if value is not None else ""


def again(templates: Sequence[DealTemplate], first: int) -> int:
    """How often a template that begins with this period is made now: 1, more where earlier ones were deleted."""
    return 1 + sum(1 for one in templates if one.first == first and one.template_id is not None)
