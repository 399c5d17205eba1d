"""Writes of recurring templates as the ledger holds them, and templates as QuickBooks lists them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from qbsf_pipeline.invoices.recurring.known_templates import CREATE
from qbsf_pipeline.money import to_json
from qbsf_pipeline.state.ledger import LedgerEntry
from qbsf_pipeline_tests.invoices.recurring.deals import TERMS

DEAL = TERMS.opportunity_id
MADE_AT = datetime(2026, 1, 20, 9, 0, tzinfo=UTC)


def template_form(name: str = f"Deal {DEAL} 1", amount: str = "100.00", **schedule: Any) -> dict[str, Any]:
    """A monthly template of twelve invoices from 1 February 2026, as it is sent (unwrapped); ``schedule`` changes its days."""
    days = {"StartDate": "2026-02-01", "IntervalType": "Monthly", "NumInterval": 1, "DayOfMonth": 1, "MaxOccurrences": 12}
    return {
        "CustomerRef": {"value": "26"},
        "PrivateNote": f"Salesforce Opportunity {DEAL}",
        "Line": [
            {"Amount": amount, "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": {"ItemRef": {"value": "7"}}},
        ],
        "RecurringInfo": {"Name": name, "Active": True, "RecurType": "Automated", "ScheduleInfo": {**days, **schedule}},
    }


def template_write(operation: str = CREATE, status: str = "done", body: Any = None, **values: Any) -> LedgerEntry:
    """A write of template 1483 of the deal."""
    payload = body if body is not None else {"Invoice": template_form()} if operation == CREATE else {"Id": "1483"}
    nothing: dict[str, Any] = dict.fromkeys(LedgerEntry.__dataclass_fields__)
    told = {
        **nothing,
        "key": f"{operation}:1",
        "flow": "invoices",
        "operation": operation,
        "opportunity_id": DEAL,
        "depends_on": (),
        "payload": to_json(payload),
        "status": status,
        "attempts": 1,
        "result_id": "1483" if status == "done" else None,
        "done_at": MADE_AT if status == "done" else None,
    }
    return LedgerEntry(**{**told, **values})


def listed_template(template_id: str = "1483", name: str = f"Deal {DEAL} 1", **values: Any) -> dict[str, Any]:
    """A row of ``quickbooks.recurring_transaction``."""
    record = {"Id": template_id, "Type": "Invoice", **template_form(name)}
    row = {"id": template_id, "name": name, "active": True, "recur_type": "Automated", "opportunity_id": DEAL}
    return {**row, "is_deleted": False, "record": to_json(record), **values}
