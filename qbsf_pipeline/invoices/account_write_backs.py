"""Accounts are told the id of their customer, once, where they do not hold it and no other account does. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qbsf_pipeline.invoices import payloads
from qbsf_pipeline.invoices.keys import customer_reference
from qbsf_pipeline.invoices.known import Known
from qbsf_pipeline.invoices.rows import plan_row
from qbsf_pipeline.invoices.sound_deals import SoundDeal


class AccountWriteBacks:
    """What accounts are told in one plan. One use."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._told: set[str] = set()
        self._held_customers = {(row["customer_id"] or "").strip() for row in known.accounts.values() if not row["is_deleted"]}

    def with_deal(self, sound: SoundDeal, customer_name: str | None) -> dict[str, Any] | None:
        """What tells the account of a deal its customer; ``None`` where nothing is to be told, or an earlier deal does it."""
        account_id = sound.account["id"]
        if account_id in self._told:
            return None
        self._told.add(account_id)
        new = sound.customer == customer_reference(account_id)
        match = self._known.matches[account_id]
        # Of several customers, whatever the currency of this deal, the first one.
        customer_id = str(match["customer_id"]) if match["outcome"] == "linked" else sound.customer
        if not new and not self._is_to_be_told(account_id, customer_id):
            return None
        payload = payloads.account_write_back(
            account_id, "$customer.Id" if new else customer_id, self._known.rules.salesforce.account
        )
        needs = [self._known.keys.customer(account_id)] if new else []
        row = _row(account_id, self._account_key(account_id, payload), needs, payload, customer_name)
        return {**row, "customer_name": customer_name}

    def repeated(self) -> list[dict[str, Any]]:
        """Accounts whose telling waits in the ledger while none of their deals is planned any more, and accounts that hold
        the id of a customer that they are not: a person decided otherwise, or it was merged."""
        rows = []
        for account_id, match in self._known.matches.items():
            account = self._known.accounts.get(account_id)
            if account_id in self._told or account is None or match["outcome"] != "linked":
                continue
            stored = (account["customer_id"] or "").strip()
            written = self._known.history.write_backs(account_id)
            if not written and stored in ("", match["customer_id"]):
                continue
            payload = payloads.account_write_back(account_id, match["customer_id"], self._known.rules.salesforce.account)
            key = self._account_key(account_id, payload)
            waits = written.get(key) in ("planned", "failed") or (stored and written.get(key) in (None, "withdrawn"))
            if waits and self._is_to_be_told(account_id, match["customer_id"]):
                rows.append(_row(account_id, key, [], payload, account["name"]))
        return rows

    def _is_to_be_told(self, account_id: str, customer_id: str) -> bool:
        if (self._known.accounts[account_id]["customer_id"] or "").strip() == customer_id:
            return False
        if customer_id in self._held_customers:
            # The field is unique in Salesforce: a second account cannot hold the same customer.
            return False
        own = payloads.account_write_back(account_id, "$customer.Id", self._known.rules.salesforce.account)
        waiting = self._known.history.write_backs(account_id).get(self._account_key(account_id, own))
        return waiting not in ("planned", "sending", "failed", "dead")

    def _account_key(self, account_id: str, payload: Mapping[str, Any]) -> str:
        """The key of telling an account its customer. In place of another id it is a write of its own, once for each
        decision: where something in the org puts the old id back, that is not fought over."""
        stored = (self._known.accounts[account_id]["customer_id"] or "").strip()
        if not stored:
            return self._known.keys.write_back("account", account_id, payload)
        decided_at = self._known.matches[account_id].get("decided_at")
        return self._known.keys.write_back("account", account_id, {**payload, "": [stored, str(decided_at or "")]})


def _row(account_id: str, key: str, needs: Sequence[str], payload: Mapping[str, Any], label: str | None) -> dict[str, Any]:
    return plan_row(
        "write_back_account",
        "Account",
        key,
        needs,
        payload,
        "The account is told the id of its QuickBooks customer.",
        source_object="Account",
        source_id=account_id,
        account_id=account_id,
        label=label,
    )
