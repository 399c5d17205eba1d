"""What a planned payload could not know yet: the ids of what the same push creates, and the next document number."""

from __future__ import annotations

import threading
from typing import Any

from qbsf_pipeline.money import parse_json
from qbsf_pipeline.settings import Environment
from qbsf_pipeline.state.ledger import Ledger, LedgerEntry

#: Longest document number that QuickBooks takes.
LONGEST_DOCUMENT_NUMBER = 21


class DocumentNumbers:
    """Gives out document numbers for companies whose preferences ask for custom transaction numbers."""

    def __init__(self, prefix: str, highest: int) -> None:
        self._prefix = prefix
        self._highest = highest
        self._lock = threading.Lock()

    def next(self) -> str:
        """A number above every number that is known, with the rules' prefix."""
        with self._lock:
            self._highest += 1
            return f"{self._prefix}{self._highest}"[:LONGEST_DOCUMENT_NUMBER]

    def skip(self) -> None:
        """Somebody else took a number: go on behind it."""
        with self._lock:
            self._highest += 1


def highest_number(numbers: list[str | None], prefix: str) -> int:
    """The highest whole number behind ``prefix`` in a list of document numbers; 1000 where there is none.

    >>> highest_number(["1041", "INV-7", None, "1039"], "")
    1041
    """
    found = [
        int(number.removeprefix(prefix))
        for number in numbers
        if number is not None
        and number.startswith(prefix)
        and number.removeprefix(prefix).isdecimal()
        and len(number) < LONGEST_DOCUMENT_NUMBER
    ]
    return max(found, default=1000)


def resolve_body(entry: LedgerEntry, ledger: Ledger, numbers: DocumentNumbers) -> dict[str, Any]:
    """The payload with its references replaced by ids of objects that exist now, and its number drawn.

    Raises:
        LookupError: something it refers to is not done yet.
    """
    whole: dict[str, Any] = parse_json(entry.payload)
    # A recurring template wraps the invoice that it makes.
    body: dict[str, Any] = whole["Invoice"] if set(whole) == {"Invoice"} else whole
    for name in ("CustomerRef", "ParentRef"):
        if name in body:
            body[name] = _resolved(body[name], entry, ledger)
    for line in body.get("Line", []):
        detail = line.get("SalesItemLineDetail")
        if detail is not None and "ItemRef" in detail:
            detail["ItemRef"] = _resolved(detail["ItemRef"], entry, ledger)
    if body.get("DocNumber") == "$next":
        body["DocNumber"] = numbers.next()
    return whole


def unresolved_reference(entry: LedgerEntry, ledger: Ledger) -> str | None:
    """The first thing that the payload refers to and that does not exist yet; ``None`` where all is there."""
    for key in entry.depends_on:
        dependency = ledger.entry(key)
        if dependency is None or dependency.status != "done":
            return dependency.label if dependency is not None else key
    return None


def invoice_fields(invoice: dict[str, Any], environment: Environment) -> dict[str, Any]:
    """What ``$invoice...`` stands for in a write-back, from an invoice as QuickBooks returned it.

    The status is ``Sent`` once QuickBooks has mailed the invoice, else ``Invoiced``.
    """
    return {
        "$invoice.Id": str(invoice.get("Id") or ""),
        "$invoice.DocNumber": invoice.get("DocNumber"),
        "$invoice.link": environment.quickbooks_link("invoice", "txnId", str(invoice.get("Id") or "")),
        "$invoice.status": "Sent" if invoice.get("EmailStatus") == "EmailSent" else "Invoiced",
        "$invoice.Balance": invoice.get("Balance"),
    }


def _resolved(reference: dict[str, Any], entry: LedgerEntry, ledger: Ledger) -> dict[str, Any]:
    value = str(reference.get("value") or "")
    if not value.startswith("$"):
        return reference
    kind, _, source_id = value[1:].partition(":")
    for key in entry.depends_on:
        if key.endswith(f":{kind}:{source_id}"):
            dependency = ledger.entry(key)
            if dependency is not None and dependency.status == "done" and dependency.result_id:
                return {**reference, "value": dependency.result_id}
    raise LookupError(f"{entry.key} refers to {value}, which does not exist yet")
