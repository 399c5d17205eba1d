"""What people are told of a deal, and what of it is no news to them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import polars as pl

from qbsf_pipeline.money import to_json
from qbsf_pipeline.payments.changes import Change, Document, Explaining, Standing, change, of_schedule
from qbsf_pipeline.payments.fingerprints import remembered
from qbsf_pipeline.payments.inputs import PaymentInputs, PaymentParameters
from qbsf_pipeline.payments.keys import digest, stamp


class Teller:
    """Finds the event of each deal of which something is new."""

    def __init__(self, new: pl.DataFrame, inputs: PaymentInputs, parameters: PaymentParameters, *, tell_partial: bool) -> None:
        """
        Args:
            new: the deals of which something is new, with fingerprint and known_fingerprint.
            tell_partial: whether part payments are told.
        """
        self._parameters, self._tell_partial = parameters, tell_partial
        self._explaining = self._explained_by(new, inputs)
        self._users = {row["id"]: row for row in _live(inputs.user).iter_rows(named=True)}
        self._accounts = dict(inputs.account.select("id", "name").iter_rows())
        self._to_come = inputs.to_come

    def event(self, row: Mapping[str, Any]) -> dict[str, Any] | None:
        """A row of :data:`.tables.EVENTS`: what people are told of a deal of which something is new; ``None`` for nothing."""
        now = Standing(
            status=row["status"],
            balance=row["balance"],
            total=row["total"],
            currency=row["currency"],
            last_payment_date=row["last_payment_date"],
            reason=row["reason"],
            memory=remembered(row["fingerprint"]),
        )
        before = self._before(row)
        if self._is_quiet(row, before, now):
            return None
        found = change(before, now, self._explaining, tell_partial=self._tell_partial)
        to_come = self._to_come.get(row["opportunity_id"])
        if found is not None and to_come is not None:
            found = of_schedule(found, before, now, to_come)
        return self._event(row, found) if found is not None else None

    def _explained_by(self, new: pl.DataFrame, inputs: PaymentInputs) -> Explaining:
        memories = [remembered(text) for name in ("fingerprint", "known_fingerprint") for text in new[name].drop_nulls()]
        ids = {one for memory in memories if memory is not None for one in memory.invoices}
        ids |= {key[1] for memory in memories if memory is not None for key in memory.applied}
        rows = inputs.documents.filter(pl.col("id").is_in(list(ids))).iter_rows(named=True)
        found = {
            (row["document"], row["id"]): (
                Document(row["number"], row["txn_date"], row["condition"], row["changed_at"]),
                row["created_at"],
            )
            for row in rows
        }
        self._created: Mapping[tuple[str, str], datetime | None] = {key: created for key, (_, created) in found.items()}
        currencies = inputs.invoices.filter(pl.col("invoice_id").is_in(list(ids))).select("invoice_id", "currency")
        return Explaining({key: one for key, (one, _) in found.items()}, dict(currencies.iter_rows()), self._parameters.time_zone)

    def _before(self, row: Mapping[str, Any]) -> Standing | None:
        if row["known_status"] is None:
            return None
        return Standing(
            status=row["known_status"],
            balance=row["known_balance"],
            total=None,
            currency=row["known_currency"],
            last_payment_date=None,
            reason="",
            memory=remembered(row["known_fingerprint"]),
        )

    def _is_quiet(self, row: Mapping[str, Any], before: Standing | None, now: Standing) -> bool:
        """Whether nothing is told: before go-live, and of what was there before the flow first looked."""
        parameters = self._parameters
        if parameters.go_live is not None and parameters.as_of < parameters.go_live:
            return True
        if before is not None:
            return False
        since = parameters.watching_since
        if since is None or now.memory is None or not now.memory.applied:
            return True
        paid_on = row["last_payment_date"] or row["paid_on"]
        if parameters.go_live is not None and paid_on is not None and paid_on < parameters.go_live:
            return True
        day = self._explaining.day(since) or parameters.as_of
        for (document, document_id, _), (_, applied_on) in now.memory.applied.items():
            created = self._created.get((document, document_id))
            if created is not None and created >= since:
                return False
            if created is None and applied_on is not None and applied_on >= day:
                return False
        # An invoice that a payment or credit was waiting for.
        invoices = [self._created.get(("invoice", invoice_id)) for invoice_id in now.memory.invoices]
        return not any(created is not None and created >= since for created in invoices)

    def _event(self, row: Mapping[str, Any], found: Change) -> dict[str, Any]:
        at = row["known_updated_at"]
        version = [row["known_fingerprint"], row["known_status"], stamp(at), row["fingerprint"], row["status"]]
        owner = self._users.get(row["sf_owner_id"] or "")
        state = (
            "none" if not row["sf_owner_id"] else "active" if owner is not None and owner["is_active"] is not False else "left"
        )
        email = (owner["email"] or "").strip() if owner is not None and state == "active" else ""
        return {
            "event_key": f"{found.kind}:{row['opportunity_id']}:{digest(to_json(version))[:24]}",
            "kind": found.kind,
            "opportunity_id": row["opportunity_id"],
            "deal": deal_name(row),
            "account_name": self._accounts.get(row["sf_account_id"] or ""),
            "owner_id": row["sf_owner_id"],
            "owner_name": owner["name"] if owner is not None else None,
            "owner_email": email or None,
            "owner_state": state,
            "amount": found.amount,
            "balance": row["balance"],
            "currency": row["currency"],
            "invoice_id": row["invoices"].split(" ")[0] or None,
            "numbers": row["numbers"],
            "happened_on": found.happened_on,
            "status_before": row["known_status"],
            "status": row["status"],
            "reason": found.reason,
        }


def deal_name(row: Mapping[str, Any]) -> str:
    """A deal as people call it; its id where Salesforce does not show it."""
    return str(row["sf_name"] or row["opportunity_id"])


def _live(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.filter(~pl.col("is_deleted").fill_null(False))
