"""Recurring templates: kept, read, listed and deleted, and the transactions that they make when they are run.

When in the day Intuit runs them, and whether it catches up on missed days, is not documented. Here nothing happens by itself:
:func:`run_templates` makes what is due up to a day, missed days too.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any

from qbsf_pipeline.sandbox.quickbooks import faults
from qbsf_pipeline.sandbox.quickbooks.company import ZERO, Company, Document, number, parse_date
from qbsf_pipeline.sandbox.quickbooks.options import QuickBooksOptions
from qbsf_pipeline.sandbox.quickbooks.properties import SALES_FORMS, read_only
from qbsf_pipeline.sandbox.quickbooks.sales_forms import complete_sales_form, save_sales_form, send_sales_form

_ENTITY = "RecurringTransaction"
_KINDS = ("Automated", "Reminded", "UnScheduled")
_INTERVALS = ("Yearly", "Monthly", "Weekly", "Daily")
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_WEEKS = ("First", "Second", "Third", "Fourth", "Last")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
#: Of two ways to say the same only one may be used.
_EITHER = (("EndDate", "MaxOccurrences"), ("DaysBefore", "RemindDays"), ("DayOfMonth", "DayOfWeek"))
#: Property -> least and most.
_COUNTS = {"NumInterval": (1, 999), "MaxOccurrences": (1, 9999), "DayOfMonth": (1, 31), "DaysBefore": (0, 999)}
#: What belongs to the template and not to what it makes.
_OF_TEMPLATE = frozenset({"RecurringInfo", "RecurDataRef", "TxnDate", "DueDate", "DocNumber", "Balance", "LinkedTxn"})
_LONGEST_RUN = 5000


def inner(document: Mapping[str, Any]) -> tuple[str, Document]:
    """The transaction type of a template and its form.

    Raises:
        QuickBooksFault: 2010, the body wraps no type that is known here.
    """
    for kind in SALES_FORMS:
        if isinstance(document.get(kind), dict):
            return kind, document[kind]
    raise faults.unsupported_property("a transaction type is expected in RecurringTransaction")


def as_answer(document: Mapping[str, Any]) -> Document:
    """The template as it is answered: `{"Invoice": {...}}`."""
    kind, form = inner(document)
    return {kind: form}


def save_template(company: Company, body: Mapping[str, Any], options: QuickBooksOptions) -> Document:
    """Create a template, or replace one (`Id` and current `SyncToken` in the wrapped form).

    Raises:
        QuickBooksFault: 2020 without name, 2170 for an unknown recurrence, 6240 for a name that is taken, and those of the form.
    """
    kind, sent = inner(body)
    kept_before: Mapping[str, Any] = {}
    existing: Document | None = None
    if sent.get("Id") not in (None, ""):
        kept_before = company.require(_ENTITY, str(sent["Id"]))
        existing = inner(kept_before)[1]
        if str(sent.get("SyncToken")) != existing["SyncToken"]:
            raise faults.stale()
    info = sent.get("RecurringInfo")
    if not isinstance(info, dict):
        raise faults.required("RecurringInfo")
    if not info.get("Name"):
        raise faults.required("RecurringInfo.Name")
    if info.get("RecurType", "Automated") not in _KINDS:
        raise faults.invalid_enumeration("RecurType", info.get("RecurType"))
    taken = [other for other in company.docs(_ENTITY).values() if inner(other)[1]["RecurringInfo"]["Name"] == info["Name"]]
    if any(other["Id"] != kept_before.get("Id") for other in taken):
        raise faults.duplicate_name(taken[0]["Id"])
    schedule = {name: value for name, value in (info.get("ScheduleInfo") or {}).items() if value is not None}
    _check_schedule(schedule)
    made = int(kept_before.get("made", 0))
    previous = kept_before.get("previous")
    info = {**info, "ScheduleInfo": _with_days(schedule, company, previous, made)} if schedule else info
    fields = complete_sales_form(company, kind, sent, None, options)
    fields.pop("DocNumber", None)
    frame = company.touched(existing) if existing is not None else company.new(_ENTITY)
    kept = {name: value for name, value in frame.items() if name in read_only(kind)}
    form = {**kept, **fields, "RecurringInfo": info, "RecurDataRef": {"value": frame["Id"]}, "Balance": ZERO}
    # `Id` outside only serves the store; it is not part of the answer.
    company.put(_ENTITY, {"Id": form["Id"], kind: form, "made": made, "previous": previous})
    return {kind: form}


def run_templates(company: Company, until: date, options: QuickBooksOptions) -> list[Document]:
    """Make every transaction that the active `Automated` templates owe up to a day: dated on its day (created `DaysBefore` days
    earlier), with `RecurDataRef`, and mailed where the template says `NeedToSend`. Returns them, oldest first."""
    made: list[Document] = []
    for template_id in list(company.docs(_ENTITY)):
        with company.atomic():
            made += _run(company, template_id, until, options)
    return sorted(made, key=lambda form: (form["TxnDate"], int(form["Id"])))


def _run(company: Company, template_id: str, until: date, options: QuickBooksOptions) -> list[Document]:
    kept = company.require(_ENTITY, template_id)
    kind, form = inner(kept)
    info = form["RecurringInfo"]
    schedule = info.get("ScheduleInfo") or {}
    if info.get("RecurType", "Automated") != "Automated" or info.get("Active") in (False, "false") or not schedule:
        return []
    ahead = timedelta(days=int(number(schedule.get("DaysBefore") or 0, "DaysBefore")))
    made: list[Document] = []
    previous, count = kept.get("previous"), int(kept.get("made", 0))
    while len(made) < _LONGEST_RUN:
        day = _next_day(schedule, company, previous, count)
        if day is None or day - ahead > until:
            break
        body = {name: copy.deepcopy(value) for name, value in form.items() if name not in read_only(kind) | _OF_TEMPLATE}
        body |= {"TxnDate": day.isoformat(), "EmailStatus": "NotSet"}
        body["Line"] = [{name: value for name, value in line.items() if name != "Id"} for line in body["Line"]]
        saved = save_sales_form(company, kind, body, options)
        saved = company.put(kind, {**saved, "RecurDataRef": {"value": template_id}})
        if form.get("EmailStatus") == "NeedToSend":
            saved = send_sales_form(company, kind, saved["Id"], None)
        made.append(saved)
        previous, count = day.isoformat(), count + 1
    if made:
        touched = company.touched(form)
        touched["RecurringInfo"] = {**info, "ScheduleInfo": _with_days(schedule, company, previous, count)}
        company.put(_ENTITY, {**kept, kind: touched, "made": count, "previous": previous})
    return made


def _check_schedule(schedule: Mapping[str, Any]) -> None:
    if schedule and schedule.get("IntervalType") not in (None, *_INTERVALS):
        raise faults.invalid_enumeration("IntervalType", schedule.get("IntervalType"))
    for name in ("StartDate", "EndDate", "NextDate"):
        if schedule.get(name):
            parse_date(schedule[name], name)
    for one, other in _EITHER:
        if schedule.get(one) not in (None, "") and schedule.get(other) not in (None, ""):
            raise faults.business(f"Only one of {one} and {other} may be given.", one)
    for name, (least, most) in _COUNTS.items():
        if schedule.get(name) not in (None, ""):
            count = number(schedule[name], name)
            if count != int(count) or not least <= count <= most:
                raise faults.invalid_number(name, schedule[name])
    for name, words in (("DayOfWeek", _WEEKDAYS), ("WeekOfMonth", _WEEKS), ("MonthOfYear", _MONTHS)):
        value = schedule.get(name)
        is_month = name == "MonthOfYear" and str(value) in {str(month) for month in range(1, 13)}
        if value not in (None, "", *words) and not is_month:
            raise faults.invalid_enumeration(name, value)


def _with_days(schedule: Mapping[str, Any], company: Company, previous: str | None, made: int) -> Document:
    """The schedule with `NextDate` and `PreviousDate`, which QuickBooks alone says, whatever was sent."""
    days = {name: value for name, value in schedule.items() if name not in ("NextDate", "PreviousDate")}
    following = _next_day(days, company, previous, made)
    if following is not None:
        days["NextDate"] = following.isoformat()
    if previous is not None:
        days["PreviousDate"] = previous
    return days


def _next_day(schedule: Mapping[str, Any], company: Company, previous: str | None, made: int) -> date | None:
    """The day after the previous one on which the template is due; None once it is at its end."""
    most = schedule.get("MaxOccurrences")
    if most not in (None, "") and made >= int(number(most, "MaxOccurrences")):
        return None
    start = parse_date(schedule["StartDate"], "StartDate") if schedule.get("StartDate") else company.today()
    after = parse_date(previous, "PreviousDate") if previous else start - timedelta(days=1)
    last = parse_date(schedule["EndDate"], "EndDate") if schedule.get("EndDate") else date.max
    for day in _days(schedule, start):
        if day > last:
            return None
        if day > after:
            return day
    return None


def _days(schedule: Mapping[str, Any], start: date) -> Iterator[date]:
    """Every day of a schedule from its first on."""
    interval = schedule.get("IntervalType") or "Monthly"
    step = int(number(schedule.get("NumInterval") or 1, "NumInterval"))
    if interval in ("Daily", "Weekly"):
        first = start
        if interval == "Weekly" and schedule.get("DayOfWeek"):
            first += timedelta(days=(_WEEKDAYS.index(schedule["DayOfWeek"]) - start.weekday()) % 7)
        for place in range(_LONGEST_RUN):
            yield first + timedelta(days=place * step * (7 if interval == "Weekly" else 1))
        return
    months = step * (12 if interval == "Yearly" else 1)
    place = start.year * 12 + start.month - 1
    if interval == "Yearly" and schedule.get("MonthOfYear"):
        named = schedule["MonthOfYear"]
        month = int(named) if str(named).isdigit() else _MONTHS.index(named) + 1
        place += (month - start.month) % 12
    # The first month has no such day any more: it begins with the next one (of that month's year, for a yearly one).
    if _day_in(schedule, start, place) < start:
        place += 12 if interval == "Yearly" else 1
    for each in range(place, place + _LONGEST_RUN, months):
        yield _day_in(schedule, start, each)


def _day_in(schedule: Mapping[str, Any], start: date, place: int) -> date:
    """The day of a month (counted from year 0): by number, cut to the month's last, or by week and weekday."""
    first = date(place // 12, place % 12 + 1, 1)
    last = date(first.year + first.month // 12, first.month % 12 + 1, 1) - timedelta(days=1)
    if schedule.get("DayOfWeek"):
        found = first + timedelta(days=(_WEEKDAYS.index(schedule["DayOfWeek"]) - first.weekday()) % 7)
        weeks = _WEEKS.index(schedule.get("WeekOfMonth") or "First")
        found += timedelta(days=7 * weeks)
        return found if found <= last else found - timedelta(days=7)
    wanted = int(number(schedule.get("DayOfMonth") or start.day, "DayOfMonth"))
    return first.replace(day=min(wanted, last.day))


def delete_template(company: Company, body: Mapping[str, Any]) -> Document:
    """Take a template out; the answer names its id.

    Raises:
        QuickBooksFault: 610, 5010.
    """
    kind, sent = inner(body)
    if sent.get("Id") in (None, ""):
        raise faults.required("Id")
    existing = inner(company.require(_ENTITY, str(sent["Id"])))[1]
    if str(sent.get("SyncToken")) != existing["SyncToken"]:
        raise faults.stale()
    company.remove(_ENTITY, existing["Id"])
    return {"status": "Deleted", "domain": "QBO", kind: {"Id": existing["Id"]}}
