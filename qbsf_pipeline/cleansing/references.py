"""Findings about how records of the two systems belong together: ids, customers, balances, owners, hierarchies."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from qbsf_pipeline.cleansing.findings import KINDS, Finding, Severity
from qbsf_pipeline.cleansing.records import RECENT_DAYS, Records, Row, balance_of
from qbsf_pipeline.cleansing.wording import listed, numbered, shown
from qbsf_pipeline.money import format_amount


def stored_customer_ids(records: Records) -> Iterator[Finding]:
    """Customer ids that stand on several accounts, or that QuickBooks does not have or has inactive."""
    holders: dict[str, list[str]] = defaultdict(list)
    for key, account in records.accounts.items():
        stored = (account["customer_id"] or "").strip()
        if stored:
            holders[stored].append(key)
    for stored, accounts in sorted(holders.items()):
        deals = sum(records.deals_on(key) for key in accounts)
        severity: Severity = "error" if deals else "warning"
        ordered = sorted(accounts, key=lambda key: (-records.deals_on(key), key))
        first = records.accounts[ordered[0]]
        names = [shown(records.accounts[key]["name"]) for key in ordered]
        customer = records.customers.get(stored)
        known = f"the customer {shown(customer['display_name'])}" if customer is not None else "no customer"
        if len(accounts) > 1:
            what = f"The accounts {listed(names, 'and')} hold the same customer id {stored}, of {known}."
            yield Finding(
                KINDS["customer_id_shared"], severity, "salesforce", "Account", first["id"], first["name"] or "", what,
                deals=deals, members=tuple(ordered),
            )  # fmt: skip
        if customer is None or customer["active"] is False:
            state = "which QuickBooks does not have" if customer is None else f"of {known}, which is inactive in QuickBooks"
            for key in ordered:
                account = records.accounts[key]
                own = records.deals_on(key)
                what = f"{shown(account['name'])} holds the customer id {stored}, {state}."
                yield Finding(
                    KINDS["customer_id_unknown"], "error" if own else "warning", "salesforce", "Account", key,
                    account["name"] or "", what, deals=own,
                )  # fmt: skip


def unmatched_accounts(records: Records) -> Iterator[Finding]:
    """Accounts with deals whose customer is not known: a person must say, or a new one will be made."""
    for key, account in records.accounts.items():
        match = records.matches.get(key)
        deals, won = records.deals_on(key), records.won_on(key)
        if match is None or not deals:
            continue
        if match["outcome"] == "review":
            told = numbered(won, "won deal") if won else numbered(deals, "open deal")
            what = f"It is not clear which customer {shown(account['name'])} ({told}) is. {match['reason']}"
            yield _on_account("customer_unclear", "error" if won else "warning", account, what, deals)
        elif match["outcome"] == "create" and won:
            what = f"{shown(account['name'])} has {numbered(won, 'won deal')}, and no customer in QuickBooks is like it."
            yield _on_account("account_without_customer", "hint", account, what, won)


def balances_without_account(records: Records) -> Iterator[Finding]:
    """Customers with an open balance that no account is matched to. A sub-customer counts with its parents."""
    kind = KINDS["balance_without_account"]
    for key, customer in records.customers.items():
        balance = balance_of(customer)
        if not balance or any(one in records.accounts_of for one in _lineage(records, key)):
            continue
        currency = records.currency_of_customer(customer) or ""
        owes = f"owes {format_amount(balance, currency)}" if balance > 0 else f"has {format_amount(-balance, currency)} of credit"
        what = f"The customer {shown(customer['display_name'])} {owes.strip()}, and no account in Salesforce is matched to it."
        yield Finding(kind, "warning", "quickbooks", "Customer", key, customer["display_name"] or "", what)


def inactive_in_use(records: Records) -> Iterator[Finding]:
    """Inactive customers with a balance, invoices of the last year or deals, and inactive users who own open or won deals."""
    for key, customer in records.customers.items():
        if customer["active"] is not False:
            continue
        signs = []
        if balance_of(customer):
            signs.append(
                f"a balance of {format_amount(balance_of(customer), records.currency_of_customer(customer) or '').strip()}"
            )
        if key in records.recent_invoices:
            signs.append(f"{numbered(records.recent_invoices[key], 'invoice')} of the last {RECENT_DAYS} days")
        deals = records.deals_on_customer(key)
        if deals:
            signs.append(f"{numbered(deals, 'deal')} on its account")
        if signs:
            what = f"The customer {shown(customer['display_name'])} is inactive and has {listed(signs, 'and')}."
            severity: Severity = "error" if deals else "warning"
            yield Finding(
                KINDS["inactive_customer_in_use"], severity, "quickbooks", "Customer", key, customer["display_name"] or "",
                what, deals=deals,
            )  # fmt: skip
    owned: dict[str, tuple[list[Row], list[Row]]] = defaultdict(lambda: ([], []))
    for deal in records.deals.values():
        owned[deal["owner_id"] or ""][0].append(deal)
    for key, account in records.accounts.items():
        if records.deals_on(key):
            owned[account["owner_id"] or ""][1].append(account)
    for user_id, (deals_owned, accounts) in sorted(owned.items()):
        user = records.users.get(user_id)
        if user is None or user["is_active"] is not False:
            continue
        parts = [numbered(len(deals_owned), "deal")] if deals_owned else []
        parts += [f"{numbered(len(accounts), 'account')} with deals"] if accounts else []
        example = (deals_owned or accounts)[0]["name"]
        what = f"{shown(user['name'])} is inactive and owns {listed(parts, 'and')}, such as {shown(example)}."
        open_deals = sum(deal["is_won"] is not True for deal in deals_owned)
        yield Finding(
            KINDS["inactive_owner"], "warning" if open_deals else "hint", "salesforce", "User", user_id, user["name"] or "",
            what, deals=len(deals_owned),
        )  # fmt: skip


def hierarchies(records: Records) -> Iterator[Finding]:
    """Accounts whose customer stands under another parent than the account does. Graver where the rules make sub-customers."""
    severity: Severity = "warning" if records.rules.customers.parent_accounts == "sub_customer" else "hint"
    for key, customer in records.customer_of.items():
        account = records.accounts[key]
        parent_customer = records.customers.get(customer["parent_id"] or "")
        parent = records.accounts.get(account["parent_id"] or "")
        if parent is None and parent_customer is None:
            continue
        expected = records.customer_of.get(parent["id"]) if parent is not None else None
        if parent_customer is None:
            # Without sub-customers a parent account is nothing that QuickBooks should know.
            if severity == "hint" or parent is None or expected is None:
                continue
            what = f"stands under {shown(parent['name'])} in Salesforce, and its customer stands under nobody in QuickBooks."
        elif parent is None:
            above = shown(parent_customer["display_name"])
            what = f"stands alone in Salesforce, and its customer stands under {above} in QuickBooks."
        elif expected is not None and parent_customer["id"] not in _lineage(records, expected["id"]):
            what = (
                f"stands under {shown(parent['name'])} in Salesforce, and its customer stands under "
                f"{shown(parent_customer['display_name'])} in QuickBooks."
            )
        else:
            continue
        yield _on_account("parent_differs", severity, account, f"{shown(account['name'])} {what}", records.deals_on(key))


def _on_account(code: str, severity: Severity, account: Row, what: str, deals: int) -> Finding:
    kind = KINDS[code]
    return Finding(kind, severity, "salesforce", "Account", account["id"], account["name"] or "", what, deals=deals)


def _lineage(records: Records, customer_id: str) -> list[str]:
    """The customer and everything above it."""
    found = [customer_id]
    while True:
        parent = (records.customers.get(found[-1]) or {}).get("parent_id")
        if not parent or parent in found:
            return found
        found.append(parent)
