"""The rows of the invoice plan. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qbsf_pipeline.invoices.keys import digest
from qbsf_pipeline.invoices.tables import FLOW
from qbsf_pipeline.money import to_json

#: Where objects live that are not QuickBooks'.
_SYSTEMS = {"Account": "salesforce", "Opportunity": "salesforce", "BillingSchedule": "qbsf"}


def plan_row(
    operation: str,
    target_object: str,
    key: str,
    depends_on: Sequence[str],
    body: Mapping[str, Any],
    reason: str,
    *,
    decided_from: str | None = None,
    **values: Any,
) -> dict[str, Any]:
    """One write of the plan; ``plan_id`` and ``position`` are given to it by :func:`placed`.

    Args:
        key: under which the ledger keeps it.
        depends_on: keys of writes that must be done before.
        reason: why it is written, in a sentence.
        decided_from: hash of what was used of the sources; of key and body where it is not told.
        values: further columns of :data:`.tables.PLAN`.
    """
    payload = to_json(body)
    return {
        "flow": FLOW,
        "operation": operation,
        "target_system": _SYSTEMS.get(target_object, "quickbooks"),
        "target_object": target_object,
        "key": key,
        "depends_on": " ".join(depends_on),
        "payload": payload,
        "body": body,
        "reason": reason,
        "decided_from": decided_from or digest(f"{key}\n{payload}"),
        **values,
    }


def placed(rows: Sequence[dict[str, Any]], plan_id: str) -> list[dict[str, Any]]:
    """Rows that are approved or rejected together, in their order."""
    return [{**row, "plan_id": plan_id, "position": position} for position, row in enumerate(rows, start=1)]
