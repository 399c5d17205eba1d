"""Findings about what a deal needs before it becomes an invoice: address, receiver, terms, items, currency."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from qbsf_pipeline.cleansing.findings import KINDS, Finding, Severity
from qbsf_pipeline.cleansing.records import Records, Row, currency_code, line_of
from qbsf_pipeline.cleansing.wording import listed, numbered, shown, some
from qbsf_pipeline.customers.terms import find_term
from qbsf_pipeline.invoices import validation
from qbsf_pipeline.invoices.bill_to import bill_to
from qbsf_pipeline.invoices.validation import Reason


def unbillable_accounts(records: Records) -> Iterator[Finding]:
    """Accounts that lack what the rules require of a deal: errors where won or open deals hang on them, else hints."""
    required = records.rules.required
    for key, account in records.accounts.items():
        deals = records.deals_of.get(key, ())
        name = shown(account["name"])
        severity: Severity = "error" if deals else "hint"
        missing = validation.billing_address_missing(account, required.billing_address)
        if missing is not None:
            yield _on_account("billing_address_missing", severity, account, missing.text, missing.remedy, len(deals))
        unbilled = records.unbilled(key)
        if required.billing_email:
            unreached = [deal for deal in unbilled if not _receiver(records, account, deal)]
            if unreached:
                what = f"{name} has no billing e-mail, and nobody receives the invoice of {_deals(unreached)}."
                yield _on_account("billing_email_missing", severity, account, what, "", len(deals))
            elif not unbilled and not (account["billing_email"] or "").strip() and not _mailboxes(records, key):
                what = f"{name} has no billing e-mail, and none of its contacts has an e-mail."
                yield _on_account("billing_email_missing", severity, account, what, "", len(deals))
        own_terms = (account["payment_terms"] or "").strip()
        if required.payment_terms and not own_terms and not records.rules.invoices.default_terms:
            without = [deal for deal in unbilled if not (deal["payment_terms"] or "").strip()]
            if without:
                what = f"{name} has no payment terms, and neither {_has(without)}."
                yield _on_account("payment_terms_missing", severity, account, what, "", len(deals))
            elif not unbilled:
                yield _on_account("payment_terms_missing", severity, account, f"{name} has no payment terms.", "", len(deals))


def terms(records: Records) -> Iterator[Finding]:
    """Terms that QuickBooks does not know, and accounts whose terms are not their customer's."""
    known = [term.name for term in records.terms]
    for key, account in records.accounts.items():
        deals = records.unbilled(key)
        own = (account["payment_terms"] or "").strip()
        named: dict[str, list[Row]] = {}
        for deal in deals:
            named.setdefault((deal["payment_terms"] or "").strip() or own, []).append(deal)
        if own:
            named.setdefault(own, [])
        for name, bearers in sorted(named.items()):
            if name and find_term(name, records.terms) is None:
                where = f"on {_deals(bearers)}" if bearers and name != own else "on the account"
                state = "inactive" if find_term(name, records.inactive_terms) is not None else "not"
                what = (
                    f"The payment terms {shown(name)} of {shown(account['name'])} ({where}) are {state} in QuickBooks. "
                    f"It has: {some(known) or 'none'}."
                )
                kind = KINDS["terms_unknown"]
                yield Finding(
                    kind, "error" if bearers else "hint", "salesforce", "Account", key, account["name"] or "", what,
                    deals=len(bearers), field=name.casefold(),
                )  # fmt: skip
        customer = records.customer_of.get(key)
        theirs = records.term_of(customer) if customer is not None else None
        ours = find_term(own, records.terms)
        if customer is not None and ours is not None and theirs and ours.name != theirs:
            what = (
                f"{shown(account['name'])} has the terms {shown(own)} in Salesforce, and its customer "
                f"{shown(customer['display_name'])} has {shown(theirs)} in QuickBooks."
            )
            yield _on_account("terms_differ", "warning" if deals else "hint", account, what, "", len(deals))


def products_and_items(records: Records) -> Iterator[Finding]:
    """Products on won or open deals without a usable item, and items that no product stands for."""
    for product_id, (open_deals, won_deals) in sorted(records.sold.items()):
        product = records.products.get(product_id)
        found = records.catalogue.find(line_of(product)) if product is not None else None
        if product is None:
            continue
        if product["is_active"] is False and open_deals:
            what = f"The product {shown(product['name'])} is inactive in Salesforce and is on {_deals(open_deals)}."
            yield Finding(
                KINDS["inactive_product_sold"], "warning", "salesforce", "Product2", product_id, product["name"] or "", what,
                deals=len(open_deals),
            )  # fmt: skip
        if not isinstance(found, Reason):
            continue
        deals = [*open_deals, *won_deals]
        what = f"{found.text} It is on {_deals(deals)}."
        item = records.item_of.get(product_id)
        if item is not None and not item.active:
            yield Finding(
                KINDS["inactive_item_sold"], "error", "quickbooks", "Item", item.item_id, item.full_name, what, found.remedy,
                len(deals), field=product_id,
            )  # fmt: skip
        else:
            yield Finding(
                KINDS["product_without_item"], "error", "salesforce", "Product2", product_id, product["name"] or "", what,
                found.remedy, len(deals),
            )  # fmt: skip
    wanted = {item.item_id for item in records.item_of.values()}
    default = records.rules.items.default_item.casefold()
    for item in records.catalogue.items:
        if item.active and item.sellable and item.item_id not in wanted and item.name.casefold() != default:
            sku = f" (SKU {item.sku})" if item.sku else ""
            what = f"The item {shown(item.full_name)}{sku} stands for no product of Salesforce."
            yield Finding(KINDS["item_without_product"], "hint", "quickbooks", "Item", item.item_id, item.full_name, what)


def currencies(records: Records) -> Iterator[Finding]:
    """Accounts whose deals are in several currencies, or in one that cannot be billed."""
    for key, account in records.accounts.items():
        by_currency: dict[str, list[Row]] = {}
        for deal in records.unbilled(key):
            code = currency_code(deal["currency"]) or records.org_currency
            if code is not None:
                by_currency.setdefault(code, []).append(deal)
        if len(by_currency) > 1:
            parts = [f"{currency} ({numbered(len(deals), 'deal')})" for currency, deals in sorted(by_currency.items())]
            what = f"The deals of {shown(account['name'])} are in {listed(parts, 'and')}."
            number = sum(len(deals) for deals in by_currency.values())
            yield _on_account("several_currencies", "warning", account, what, "", number)
        customers = records.customers_of.get(key, ())
        billed = {records.currency_of_customer(customer) for customer in customers}
        for currency, deals in sorted(by_currency.items()):
            told = f"{_deals(deals)} of {shown(account['name'])} {'is' if len(deals) == 1 else 'are'} in {currency}, and"
            if not records.several_currencies and records.home_currency not in (None, currency):
                what = f"{told} QuickBooks is kept in {records.home_currency} only."
                repair = "Turn on Multicurrency in QuickBooks (it cannot be turned off again), or correct the deals' currency."
            elif customers and not billed & {None, currency}:
                others = listed(sorted(one for one in billed if one), "and")
                what = f"{told} its customer {shown(customers[0]['display_name'])} is billed in {others}."
                repair = ""
            else:
                continue
            what = what[0].upper() + what[1:]
            yield Finding(
                KINDS["currency_differs"], "error", "salesforce", "Account", key, account["name"] or "", what, repair,
                len(deals), field=currency,
            )  # fmt: skip


def contacts_without_email(records: Records) -> Iterator[Finding]:
    """Contacts without an e-mail of accounts with won or open deals; graver where the contact is to receive an invoice."""
    kind = KINDS["contact_without_email"]
    roles = {role.strip().casefold() for role in records.rules.salesforce.bill_to_roles}
    receivers = {
        role["contact_id"]
        for key in records.deals
        for role in records.roles_of.get(key, ())
        if (role["role"] or "").strip().casefold() in roles
    }
    for key, contact in records.contacts.items():
        account = records.accounts.get(contact["account_id"] or "")
        if account is None or (contact["email"] or "").strip():
            continue
        deals = records.deals_on(account["id"])
        if not deals:
            continue
        bills = key in receivers
        name = contact["name"] or " ".join(filter(None, (contact["first_name"], contact["last_name"]))) or key
        more = " and is to receive the invoice of a deal" if bills else ""
        what = f"The contact {shown(name)} of {shown(account['name'])} has no e-mail{more}."
        severity: Severity = "warning" if bills and not (account["billing_email"] or "").strip() else "hint"
        yield Finding(kind, severity, "salesforce", "Contact", key, name, what, deals=deals)


def _on_account(code: str, severity: Severity, account: Row, what: str, repair: str, deals: int) -> Finding:
    return Finding(KINDS[code], severity, "salesforce", "Account", account["id"], account["name"] or "", what, repair, deals)


def _receiver(records: Records, account: Row, deal: Row) -> bool:
    roles = []
    for role in records.roles_of.get(deal["id"], ()):
        contact = records.contacts.get(role["contact_id"] or "")
        if contact is not None:
            roles.append({**role, "contact_name": contact["name"], "email": contact["email"]})
    return bill_to(account, roles, records.rules.salesforce.bill_to_roles).email is not None


def _mailboxes(records: Records, account_id: str) -> bool:
    return any((contact["email"] or "").strip() for contact in records.contacts_of.get(account_id, ()))


def _deals(deals: Sequence[Row]) -> str:
    """The one deal by name, several by number, won before open."""
    if len(deals) == 1:
        return f"the deal {shown(deals[0]['name'])}"
    won = sum(deal["is_won"] is True for deal in deals)
    if won in (0, len(deals)):
        return numbered(len(deals), "won deal" if won else "open deal")
    return f"{numbered(won, 'won deal')} and {len(deals) - won:,} open"


def _has(deals: Sequence[Row]) -> str:
    return f"{'have' if len(deals) > 1 else 'has'} {_deals(deals)}"
