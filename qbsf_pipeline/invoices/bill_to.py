"""Who receives the invoice: the account's billing e-mail, else a contact of the deal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class BillTo:
    """The address that receives an invoice, as it was found.

    Attributes:
        email: ``None`` where nobody receives it.
        source: where the address stands, in words.
        doubt: what a person should know about the choice, if anything.
    """

    email: str | None
    source: str
    doubt: str | None = None


def bill_to(
    account: Mapping[str, Any] | None, contact_roles: Sequence[Mapping[str, Any]], bill_to_roles: Sequence[str]
) -> BillTo:
    """The receiver of a deal's invoice.

    In this order: the account's own billing e-mail; contacts in one of the rules' roles, role by role, compared without
    case; the primary contact. Of several contacts in one role with different addresses the primary one counts, else the
    first by contact id, and that is told.

    Args:
        account: row of ``salesforce.account``.
        contact_roles: the deal's roles with their contacts: role, is_primary, contact_id, contact_name, email. A contact
            may have several rows, and any number of rows may be primary.
        bill_to_roles: the rule ``salesforce.bill_to_roles``.
    """
    own = ((account or {}).get("billing_email") or "").strip()
    if own:
        return BillTo(own, "the account's billing e-mail")
    reachable = sorted(
        (row for row in contact_roles if (row["email"] or "").strip()),
        key=lambda row: (not row["is_primary"], row["contact_id"]),
    )
    for role in bill_to_roles:
        chosen = _first([row for row in reachable if (row["role"] or "").strip().casefold() == role.strip().casefold()])
        if chosen is not None:
            row, others = chosen
            return BillTo(row["email"].strip(), f"the contact {row['contact_name'] or row['contact_id']} ({role})", others)
    chosen = _first([row for row in reachable if row["is_primary"]])
    if chosen is not None:
        row, others = chosen
        return BillTo(row["email"].strip(), f"the primary contact {row['contact_name'] or row['contact_id']}", others)
    return BillTo(None, "nobody")


def _first(rows: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any], str | None] | None:
    if not rows:
        return None
    leading = [row for row in rows if row["is_primary"]] or rows
    addresses = list(dict.fromkeys(row["email"].strip() for row in leading))
    if len({address.casefold() for address in addresses}) < 2:
        return leading[0], None
    return leading[0], f"Several contacts could receive the invoice ({', '.join(addresses)}); it goes to {addresses[0]}."
