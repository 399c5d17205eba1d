"""An account and its candidates, field by field, as a person compares them.

Pure: rows and frames in, JSON-like values out. Whether a field agrees was decided by :mod:`plan`; here it is shown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal

import polars as pl

from qbsf_pipeline.money import parse_json

Verdict = Literal["agrees", "differs", "only_one", "-"]

#: Deals and people of one account that are shown; the rest is counted.
_MOST_DEALS = 20
_MOST_PEOPLE = 5

#: What is shown: the label, the account's column, the customer's column, and the name that the matching has for the field.
#: Fields without one are no evidence: they agree where they are the same text.
_FIELDS: tuple[tuple[str, str, str, str], ...] = (
    ("name", "name", "display_name", "name"),
    ("e-mail for invoices", "billing_email", "email", "email"),
    ("phone", "phone", "phone", "phone"),
    ("web domain", "website", "website", "domain"),
    ("street", "billing_street", "billing_street", "address"),
    ("postal code", "billing_postal_code", "billing_postal_code", "postal code"),
    ("city", "billing_city", "billing_city", "city"),
    ("state", "billing_state", "billing_state", ""),
    ("country", "billing_country", "billing_country", ""),
    ("contact person", "people", "people", "contact"),
    ("currency", "currency", "currency", "currency"),
)


def side_by_side(
    account: Mapping[str, Any],
    people: Sequence[str],
    candidates: Sequence[Mapping[str, Any]],
    customers: Mapping[str, Mapping[str, Any]],
    deals: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Both records side by side, for one account.

    Args:
        account: row of ``salesforce.account``.
        people: names of its contacts.
        candidates: of ``customers.reviews``: customer_id, agreeing, differing, score.
        customers: rows of ``quickbooks.customer`` by id: the candidates and their parents. One that is missing is left out.
        deals: opportunity_id, deal, amount, currency: those that wait.

    Returns:
        ``account`` (account_id, name, then by label what it holds), ``candidates`` (``customer``: customer_id, display_name,
        company_name, active, parent, balance, currency, email, city; ``score``; ``fields``: field, account_value,
        customer_value, verdict), ``deals`` (opportunity_id, name, amount, currency) and ``more_deals``, a number.
        Verdicts: ``agrees``; ``differs``, which speaks against it; ``only_one`` side has a value; ``-`` for other values
        that tell nothing. Fields that both sides lack are left out.
    """
    known = ", ".join(name for name in people[:_MOST_PEOPLE] if name)
    ours = {**account, "people": known or None, "website": account["website"] or _host(account["billing_email"])}
    shown: list[dict[str, Any]] = []
    for candidate in candidates:
        customer = customers.get(str(candidate["customer_id"]))
        if customer is None:
            continue
        person = " ".join(part for part in (customer["given_name"], customer["family_name"]) if part)
        theirs = {**customer, "people": person or None, "website": customer["website"] or _host(customer["email"])}
        parent = customers.get(customer["parent_id"] or "")
        shown.append(
            {
                "customer": {
                    "customer_id": customer["id"],
                    "display_name": customer["display_name"],
                    "company_name": customer["company_name"],
                    "email": customer["email"],
                    "city": customer["billing_city"],
                    "currency": customer["currency"],
                    "balance": customer["balance"],
                    "active": customer["active"] is not False,
                    "parent": parent["display_name"] if parent is not None else customer["parent_id"],
                },
                "score": candidate.get("score"),
                "fields": _fields(ours, theirs, candidate),
            }
        )
    return {
        "account": {
            "account_id": account["id"],
            "name": account["name"],
            **{label: _text(ours[column]) for label, column, _, _ in _FIELDS if label != "name" and _text(ours[column])},
        },
        "candidates": shown,
        "deals": [
            {
                "opportunity_id": deal["opportunity_id"],
                "name": deal["deal"],
                "amount": deal["amount"],
                "currency": deal["currency"],
            }
            for deal in deals[:_MOST_DEALS]
        ],
        "more_deals": max(0, len(deals) - _MOST_DEALS),
    }


def details_of(
    questions: pl.DataFrame, accounts: pl.DataFrame, contacts: pl.DataFrame, customers: pl.DataFrame, deals: pl.DataFrame
) -> dict[str, dict[str, Any]]:
    """:func:`side_by_side` for each question, by account id. An account that was not read has none.

    Args:
        questions: account_id, candidates (JSON list): those that are asked, not every doubt there is.
        accounts, contacts, customers: columns of the raw tables.
        deals: account_id, opportunity_id, deal, amount, currency: those that wait.
    """
    asked = questions.select("account_id")
    account_rows = {row["id"]: row for row in _rows(accounts.join(asked, left_on="id", right_on="account_id", how="semi"))}
    people: dict[str, list[str]] = defaultdict(list)
    live = contacts.filter(~pl.col("is_deleted").fill_null(False)).join(asked, on="account_id", how="semi")
    for row in live.sort("account_id", "id").select("account_id", "name").iter_rows(named=True):
        people[row["account_id"]].append(row["name"] or "")
    waiting: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in deals.sort("account_id", "opportunity_id").iter_rows(named=True):
        waiting[row["account_id"]].append(row)
    candidates = {
        account_id: parse_json(text) for account_id, text in questions.select("account_id", "candidates").iter_rows() if text
    }
    wanted = {str(one["customer_id"]) for listed in candidates.values() for one in listed}
    named = customers.filter(pl.col("id").is_in(list(wanted)))
    parents = named.get_column("parent_id").drop_nulls().to_list()
    customer_rows = {row["id"]: row for row in _rows(customers.filter(pl.col("id").is_in([*wanted, *parents])))}
    return {
        account_id: side_by_side(account_rows[account_id], people[account_id], listed, customer_rows, waiting.get(account_id, ()))
        for account_id, listed in candidates.items()
        if account_id in account_rows
    }


def shown_verdict(field: Mapping[str, Any]) -> str:
    """The verdict on a field of :func:`side_by_side` in words."""
    if field["verdict"] == "only_one":
        return "only in QuickBooks" if field["customer_value"] else "only in Salesforce"
    return {"agrees": "agrees", "differs": "differs"}.get(str(field["verdict"]), "other value")


def shown_score(score: Any) -> str:
    """How sure a comparison is, as people read it: ``85%``; empty where nothing was compared."""
    return "" if score is None else f"{Decimal(str(score)):.0%}"


def disagreement(candidate: Mapping[str, Any]) -> str:
    """What speaks against a candidate of :func:`side_by_side`, as a few words; empty where nothing does."""
    return ", ".join(str(one["field"]) for one in candidate["fields"] if one["verdict"] == "differs")


def _fields(ours: Mapping[str, Any], theirs: Mapping[str, Any], candidate: Mapping[str, Any]) -> list[dict[str, Any]]:
    agreeing, differing = set(candidate.get("agreeing") or ()), set(candidate.get("differing") or ())
    rows = [
        {
            "field": label,
            "account_value": left,
            "customer_value": right,
            "verdict": _verdict(left, right, key, agreeing, differing),
        }
        for label, our_column, their_column, key in _FIELDS
        for left, right in [(_text(ours[our_column]), _text(theirs[their_column]))]
        if left or right
    ]
    if "legal form" in differing:
        name = (_text(ours["name"]), _text(theirs["company_name"]) or _text(theirs["display_name"]))
        rows.append({"field": "legal form", "account_value": name[0], "customer_value": name[1], "verdict": "differs"})
    return rows


def _verdict(left: str | None, right: str | None, key: str, agreeing: set[str], differing: set[str]) -> Verdict:
    if key and key in agreeing:
        # A contact or a sub-customer may hold what agrees, so that one side shows nothing here.
        return "agrees"
    if not (left and right):
        return "only_one"
    if key in differing:
        return "differs"
    if key == "name":
        return "differs"
    if key in ("", "postal code", "city", "currency"):
        if left.casefold() == right.casefold():
            return "agrees"
        # Two places: what tells them apart is in these lines, if not in the street.
        return "differs" if key in ("postal code", "city") and "address" in differing else "-"
    return "-"


def _host(email: str | None) -> str | None:
    """What stands behind the ``@``: where there is no website, that is the domain that is compared."""
    host = (email or "").strip().rpartition("@")[2]
    return f"@{host}" if host else None


def _text(value: Any) -> str | None:
    return ", ".join(part.strip() for part in str(value).splitlines() if part.strip()) or None if value is not None else None


def _rows(frame: pl.DataFrame) -> list[dict[str, Any]]:
    return frame.drop("record", strict=False).to_dicts()
