"""The form of a recurring template (``RecurringTransaction``), which QuickBooks wraps in the kind of transaction that it makes.

``{"Invoice": {..., "RecurringInfo": {...}}}`` is read as ``{"Type": "Invoice", ..., "RecurringInfo": {...}}``: as QuickBooks' own
queries name the kind. Belongs here: that form only. Does not belong here: calls (client), what a template should say (the flows).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ENTITY = "RecurringTransaction"
#: What may be wrapped (Intuit's reference of RecurringTransaction).
KINDS = (
    *("Invoice", "Bill", "Purchase", "CreditMemo", "Deposit", "Estimate", "JournalEntry"),
    *("RefundReceipt", "SalesReceipt", "Transfer", "VendorCredit", "PurchaseOrder"),
)
TYPE = "Type"


def unwrapped(template: Mapping[str, Any]) -> dict[str, Any]:
    """A template with its transaction's properties beside ``Type``; what is not wrapped stays as it is."""
    for kind in KINDS:
        form = template.get(kind)
        if isinstance(form, Mapping):
            # What stands beside the wrapped form: status and domain of a template that was deleted.
            beside = {name: value for name, value in template.items() if name != kind}
            return {TYPE: kind, **beside, **form}
    return dict(template)


def wrapped(template: Mapping[str, Any]) -> dict[str, Any]:
    """The same as it is sent back, whole: a template that names no kind is one of invoices."""
    form = {name: value for name, value in template.items() if name != TYPE}
    return {str(template.get(TYPE) or "Invoice"): form}


def reference(template: Mapping[str, Any]) -> dict[str, Any]:
    """What names a template and its version, for its deletion."""
    return wrapped({name: template.get(name) for name in (TYPE, "Id", "SyncToken")})
