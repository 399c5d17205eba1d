"""Recurring templates: kept, read, listed and deleted. They never make a transaction here by themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qbsf_pipeline.sandbox.quickbooks import faults
from qbsf_pipeline.sandbox.quickbooks.company import ZERO, Company, Document, parse_date
from qbsf_pipeline.sandbox.quickbooks.options import QuickBooksOptions
from qbsf_pipeline.sandbox.quickbooks.properties import SALES_FORMS, read_only
from qbsf_pipeline.sandbox.quickbooks.sales_forms import complete_sales_form

_ENTITY = "RecurringTransaction"
_KINDS = ("Automated", "Reminded", "UnScheduled")
_INTERVALS = ("Yearly", "Monthly", "Weekly", "Daily")


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
        QuickBooksFault: 2020 without name, 2170 for an unknown recurrence, and those of the form.
    """
    kind, sent = inner(body)
    existing: Document | None = None
    if sent.get("Id") not in (None, ""):
        existing = inner(company.require(_ENTITY, str(sent["Id"])))[1]
        if str(sent.get("SyncToken")) != existing["SyncToken"]:
            raise faults.stale()
    info = sent.get("RecurringInfo")
    if not isinstance(info, dict):
        raise faults.required("RecurringInfo")
    if not info.get("Name"):
        raise faults.required("RecurringInfo.Name")
    if info.get("RecurType", "Automated") not in _KINDS:
        raise faults.invalid_enumeration("RecurType", info.get("RecurType"))
    schedule = info.get("ScheduleInfo") or {}
    if schedule and schedule.get("IntervalType") not in (None, *_INTERVALS):
        raise faults.invalid_enumeration("IntervalType", schedule.get("IntervalType"))
    for name in ("StartDate", "EndDate", "NextDate"):
        if schedule.get(name):
            parse_date(schedule[name], name)
    fields = complete_sales_form(company, kind, sent, None, options)
    fields.pop("DocNumber", None)
    frame = company.touched(existing) if existing is not None else company.new(_ENTITY)
    kept = {name: value for name, value in frame.items() if name in read_only(kind)}
    form = {**kept, **fields, "RecurringInfo": info, "RecurDataRef": {"value": frame["Id"]}, "Balance": ZERO}
    # `Id` outside only serves the store; it is not part of the answer.
    company.put(_ENTITY, {"Id": form["Id"], kind: form})
    return {kind: form}


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
