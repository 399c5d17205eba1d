"""The keys of the invoice flow's writes, and how a plan refers to what does not exist yet. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from qbsf_pipeline.invoices.history import BillingHistory
from qbsf_pipeline.invoices.inputs import PlanParameters
from qbsf_pipeline.invoices.recurring.schedule import period_of
from qbsf_pipeline.money import parse_json, to_json
from qbsf_pipeline.settings import Rules


class Keys:
    """Keys of one company and org, as the ledger has them."""

    def __init__(
        self, history: BillingHistory, matches: Mapping[str, Mapping[str, Any]], parameters: PlanParameters, rules: Rules
    ) -> None:
        """
        Args:
            matches: rows of :data:`customers.matching.plan.MATCHES` by account: rejected.
        """
        self._history, self._matches, self._parameters, self._rules = history, matches, parameters, rules

    def customer(self, account_id: str) -> str:
        """The key of the account's customer. Where a person said that the account is not the one that was created for it,
        another one may be, once more."""
        rejected = (self._matches.get(account_id) or {}).get("rejected") or "[]"
        again, number = "", 1
        while True:
            key = f"quickbooks:{self._parameters.realm_id}:{again}customer:{account_id}"
            line = self._history.ledger(key)
            if line is None or line.status != "done" or line.result_id not in parse_json(rejected):
                return key
            number += 1
            again = f"{number}:"

    def item(self, product_id: str) -> str:
        """The key of the item that a product is created as."""
        return f"quickbooks:{self._parameters.realm_id}:item:{product_id}"

    def template(self, opportunity_id: str, first: int, again: int) -> str:
        """The key of the recurring template that bills a deal from a period on: the same for ever.

        Args:
            again: 1, more where earlier ones from that period on were deleted.
        """
        key = self._history.invoice_key(opportunity_id).replace(":invoice:", ":template:", 1)
        return f"{key}:{first}" + (f":{again}" if again > 1 else "")

    def template_end(self, template_id: str) -> str:
        """The key of a template's deletion."""
        return f"quickbooks:{self._parameters.realm_id}:template-end:{template_id}"

    def write_back(self, kind: str, record_id: str, payload: Mapping[str, Any], invoice_key: str | None = None) -> str:
        """The key of telling a record. Of a deal with several invoices it names the period, for the payload is the same."""
        content = digest(to_json(payload, sort_keys=True))[:12]
        sign = f"{period_sign(invoice_key)}:" if invoice_key is not None else ""
        return f"salesforce:{self._parameters.organization_id}:{kind}:{record_id}:{sign}{content}"

    def created_customer(self, account_id: str) -> str | None:
        """The customer that the program created for an account, if it did."""
        line = self._history.ledger(self.customer(account_id))
        return line.result_id if line is not None and line.status == "done" else None

    def canonical(self, body: Mapping[str, Any], account_id: str | None) -> dict[str, Any]:
        """A body with references to what the program created as they were before it did."""
        created = self.created_customer(account_id) if account_id else None
        return _canonical(body, account_id, created, self._history.created_items)

    def plan_id(self, rows: Sequence[Mapping[str, Any]], account_id: str | None) -> str:
        """What a person approves: a hash over keys and bodies of these rows. A date that is always today's is no part of it: the
        same is asked tomorrow, and an approval outlives midnight."""
        content = [[row["key"], self._lasting(row, self.canonical(row["body"], account_id))] for row in rows]
        return f"P-{digest(to_json(content, sort_keys=True))[:10]}"

    def _lasting(self, row: Mapping[str, Any], body: dict[str, Any]) -> dict[str, Any]:
        of_period = period_of(row["key"]) is not None
        by_rule = self._rules.recurring.invoice_date if of_period else self._rules.invoices.invoice_date
        moves = row["operation"] == "create_credit_memo" or (row["operation"] == "create_invoice" and by_rule == "today")
        return {name: value for name, value in body.items() if not (moves and name in ("TxnDate", "DueDate"))}


def customer_reference(account_id: str) -> str:
    """How a body names a customer that is to be created."""
    return f"$customer:{account_id}"


def item_reference(product_id: str) -> str:
    """How a body names an item that is to be created."""
    return f"$item:{product_id}"


def period_sign(invoice_key: str) -> str:
    """Generation and period of the key of a period's invoice."""
    return "-".join(invoice_key.split(":")[-2:])


def digest(text: str) -> str:
    """SHA-256 of a text, in hexadecimal digits."""
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


def _canonical(
    body: Mapping[str, Any], account_id: str | None, created_customer: str | None, created_items: Mapping[str, str]
) -> dict[str, Any]:
    """The body with references to what the program created as they were before it did."""
    if set(body) == {"Invoice"}:
        return {"Invoice": _canonical(body["Invoice"], account_id, created_customer, created_items)}
    canonical = dict(body)
    if account_id and created_customer and body.get("CustomerRef") == {"value": created_customer}:
        canonical["CustomerRef"] = {"value": customer_reference(account_id)}
    if created_items and "Line" in body:
        lines = []
        for line in body["Line"]:
            detail = line["SalesItemLineDetail"]
            item = detail["ItemRef"]["value"]
            lines.append({**line, "SalesItemLineDetail": {**detail, "ItemRef": {"value": created_items.get(item, item)}}})
        canonical["Line"] = lines
    return canonical
