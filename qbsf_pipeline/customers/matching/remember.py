"""Keeps in the state what matching found, so that it never depends on names again; follows merges on both sides.

Belongs here: which links are written down, and as whose decision. Does not belong here: what is found.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import polars as pl

from qbsf_pipeline.customers.matching.plan import PERSONS_METHODS, RULE_VERSION, survivor_of
from qbsf_pipeline.money import parse_json
from qbsf_pipeline.state.database import State
from qbsf_pipeline.state.links import CustomerLink, LinkConflict

MERGED_IN_SALESFORCE = "merge of accounts in Salesforce"
MERGED_IN_QUICKBOOKS = "merge of customers in QuickBooks"
_NOTES = "notes of the QuickBooks customer"


def remember_links(
    state: State,
    matches: pl.DataFrame,
    accounts: pl.DataFrame,
    invoiced: Collection[str],
    customer_id_field: str,
    now: datetime,
) -> list[str]:
    """Write down the links of accounts that are about to be invoiced, and every change of a link in force.

    Links of an account that was lost in a merge go over to the survivor; a link whose customer was merged in QuickBooks goes
    over to that one; a link that no person made gives way to the id that somebody wrote into the account.

    Args:
        matches: columns of ``plan.MATCHES``.
        accounts: id, is_deleted, master_record_id: deleted ones too.
        invoiced: ids of accounts that are about to be invoiced.
        customer_id_field: API name of the account's field for the customer id, for saying who decided.

    Returns:
        What could not be written down, a sentence each: a link that another one in force stands against.
    """
    conflicts: list[str] = []
    with state.transaction():
        _follow_merged_accounts(state, accounts, now)
        active: dict[str, list[CustomerLink]] = defaultdict(list)
        for link in state.links.all_customers():
            active[link.account_id].append(link)
        wanted = matches.filter((pl.col("outcome") == "linked") & pl.col("account_id").is_in([*invoiced, *active]))
        for row in wanted.iter_rows(named=True):
            links = active.get(row["account_id"], [])
            try:
                # A conflict undoes what was begun for this account, and nothing else.
                with state.transaction():
                    _remember(state, row, links, customer_id_field, now)
            except LinkConflict as conflict:
                conflicts.append(str(conflict))
    return conflicts


def decided_by(method: str, customer_id_field: str) -> str:
    """Who or what decided a match of this method, as the state keeps it.

    Args:
        customer_id_field: API name of the account's field for the customer id.
    """
    known = {"stored_id": f"Salesforce field {customer_id_field}", "marker": _NOTES, "merged": MERGED_IN_QUICKBOOKS}
    return known.get(method, RULE_VERSION)


def _follow_merged_accounts(state: State, accounts: pl.DataFrame, now: datetime) -> None:
    lost = accounts.filter(pl.col("is_deleted").fill_null(False) & pl.col("master_record_id").is_not_null())
    merged = dict(lost.select("id", "master_record_id").iter_rows())
    if not merged:
        return
    live = set(accounts.filter(~pl.col("is_deleted").fill_null(False)).get_column("id").to_list())
    for account_id in {link.account_id for link in state.links.all_customers()} & set(merged):
        survivor = survivor_of(account_id, merged)
        if survivor in live:
            state.links.move_customer(account_id, survivor, MERGED_IN_SALESFORCE, now)


def _remember(state: State, row: Mapping[str, Any], links: list[CustomerLink], customer_id_field: str, now: datetime) -> None:
    account_id, customer_id, method = row["account_id"], row["customer_id"], row["method"]
    listed = [str(one["customer_id"]) for one in parse_json(row["customers"] or "[]")]
    gone = [link for link in links if link.customer_id not in listed]
    known = {link.customer_id for link in links}
    new = [one for one in listed if one not in known]
    if method in ("link", "merged") and len(gone) == 1 and len(new) == 1:
        state.links.replace_customer(gone[0].customer_id, new[0], "merged", MERGED_IN_QUICKBOOKS, now)
        return
    if method == "link" or customer_id in known:
        return
    by = decided_by(method, customer_id_field)
    if method == "stored_id":
        for link in gone:
            if link.method not in PERSONS_METHODS:
                state.links.unlink_customer(account_id, link.customer_id, by, now)
    state.links.link_customer(
        CustomerLink(
            account_id=account_id,
            customer_id=customer_id,
            method=method,
            decided_by=by,
            decided_at=now,
            score=row["score"],
            evidence=parse_json(row["evidence"] or "{}") | {"reason": row["reason"]},
            rule_version=RULE_VERSION,
        )
    )
