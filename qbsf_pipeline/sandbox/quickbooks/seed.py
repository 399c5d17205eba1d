"""Putting a company and its history into the books from outside, past the checks that clients go through.

Belongs here: what the sandbox's control calls and sample company need.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from qbsf_pipeline.sandbox.clock import Clock
from qbsf_pipeline.sandbox.quickbooks import entities, faults, payments, recurring, sales_forms
from qbsf_pipeline.sandbox.quickbooks.company import Company, Document, as_stamp, company_of, parse_instant, stored
from qbsf_pipeline.sandbox.quickbooks.options import QuickBooksOptions
from qbsf_pipeline.sandbox.quickbooks.properties import (
    ENTITIES,
    LIST_ENTITIES,
    NAME_OF,
    PEOPLE,
    SALES_FORMS,
)
from qbsf_pipeline.sandbox.store import Store

_ACCOUNTS = (
    ("Accounts Receivable (A/R)", "Accounts Receivable", "AccountsReceivable"),
    ("Undeposited Funds", "Other Current Asset", "UndepositedFunds"),
    ("Checking", "Bank", "Checking"),
    ("Sales of Product Income", "Income", "SalesOfProductIncome"),
    ("Services", "Income", "ServiceFeeIncome"),
    ("Discounts given", "Income", "DiscountsRefundsGiven"),
    ("Cost of Goods Sold", "Cost of Goods Sold", "SuppliesMaterialsCogs"),
    ("Inventory Asset", "Other Current Asset", "Inventory"),
)
_TERMS = (("Due on receipt", 0), ("Net 15", 15), ("Net 30", 30), ("Net 60", 60))
#: Switches of `behave` that are preferences, with their group.
_PREFERENCES = {
    "CustomTxnNumbers": "SalesFormsPrefs",
    "AutoApplyCredit": "SalesFormsPrefs",
    "AllowDiscount": "SalesFormsPrefs",
    "ETransactionPaymentEnabled": "SalesFormsPrefs",
    "BookCloseDate": "AccountingInfoPrefs",
    "ClassTrackingPerTxn": "AccountingInfoPrefs",
    "ClassTrackingPerTxnLine": "AccountingInfoPrefs",
    "TrackDepartments": "AccountingInfoPrefs",
    "MultiCurrencyEnabled": "CurrencyPrefs",
    "UsingSalesTax": "TaxPrefs",
    "PartnerTaxEnabled": "TaxPrefs",
    "CalcAgingReportFromTxnDate": "ReportPrefs",
}
_KNOBS = (
    "tax_rate",
    "rotate_refresh_tokens",
    "strict_rotation",
    "enforce_per_minute",
    "enforce_batch_per_minute",
    "enforce_per_second",
)


def seed_company(
    store: Store,
    clock: Clock,
    *,
    name: str = "Sandbox Company",
    realm_id: str = QuickBooksOptions.realm_id,
    home_currency: str = "USD",
    country: str = "US",
    time_zone: str = "America/Los_Angeles",
    preferences: Mapping[str, Any] | None = None,
) -> None:
    """Preferences, CompanyInfo, the standard accounts, terms and tax codes.

    `preferences` is laid over the defaults: either by group (`{"SalesFormsPrefs": {"CustomTxnNumbers": True}}`) or by the
    names that `behave` takes. Called again, it replaces preferences and company and adds only what is missing.
    """
    company = company_of(store, clock)
    groups: dict[str, Any] = {
        "AccountingInfoPrefs": {
            "FirstMonthOfFiscalYear": "January",
            "UseAccountNumbers": False,
            "TaxYearMonth": "January",
            "ClassTrackingPerTxn": False,
            "ClassTrackingPerTxnLine": False,
            "TrackDepartments": False,
            "CustomerTerminology": "Customers",
        },
        "ProductAndServicesPrefs": {
            "ForSales": True,
            "ForPurchase": True,
            "QuantityWithPriceAndRate": True,
            "QuantityOnHand": True,
        },
        "SalesFormsPrefs": {
            "CustomTxnNumbers": False,
            "AutoApplyCredit": False,
            "AllowDeposit": True,
            "AllowDiscount": True,
            "AllowEstimates": True,
            "AllowServiceDate": True,
            "AllowShipping": False,
            "ETransactionPaymentEnabled": False,
            "ETransactionEnabledStatus": "NotApplicable",
            "EmailCopyToCompany": False,
            "IPNSupportEnabled": False,
            "UsingPriceLevels": False,
            "UsingProgressInvoicing": False,
            "DefaultCustomerMessage": "Thank you for your business and have a great day!",
        },
        "EmailMessagesPrefs": {"InvoiceMessage": {"Subject": f"Invoice from {name}", "Message": "Your invoice is attached."}},
        "ReportPrefs": {"ReportBasis": "Accrual", "CalcAgingReportFromTxnDate": False},
        "VendorAndPurchasesPrefs": {"BillableExpenseTracking": True, "TrackingByCustomer": True},
        "TimeTrackingPrefs": {"UseServices": True, "BillCustomers": True, "WorkWeekStartDate": "Monday"},
        "TaxPrefs": {"UsingSalesTax": False, "PartnerTaxEnabled": False},
        "CurrencyPrefs": {"MultiCurrencyEnabled": False, "HomeCurrency": {"value": home_currency}},
        "OtherPrefs": {"NameValue": [{"Name": "SalesFormsPrefs.DefaultCustomerMessage", "Value": "Thank you"}]},
    }
    for key, value in (preferences or {}).items():
        if key in _PREFERENCES:
            groups[_PREFERENCES[key]][key] = value
        elif isinstance(value, Mapping):
            groups[key] = {**groups.get(key, {}), **value}
        else:
            raise ValueError(f"{key} is no preference that can be set here")
    company.put("Preferences", {**company.new("Preferences", "1"), **groups})
    info: Document = {
        "CompanyName": name,
        "LegalName": name,
        "Country": country,
        "CompanyStartDate": "2018-01-01",
        "FiscalYearStartMonth": "January",
        "SupportedLanguages": "en",
        "DefaultTimeZone": time_zone,
        "Email": {"Address": "books@example.com"},
        "CompanyAddr": {"Id": "1", "Line1": "2632 Marine Way", "City": "Mountain View", "PostalCode": "94043"},
        "NameValue": [
            {"Name": "NeoEnabled", "Value": "true"},
            {"Name": "SubscriptionStatus", "Value": "PAID"},
            {"Name": "OfferingSku", "Value": "QuickBooks Online Plus"},
        ],
    }
    company.put("CompanyInfo", {**company.new("CompanyInfo", "1"), **info})
    store.documents("quickbooks._realm")["1"] = {"realm_id": realm_id}
    for account_name, kind, sub_kind in _ACCOUNTS:
        if not company.named("Account", account_name):
            account = {"Name": account_name, "AccountType": kind, "AccountSubType": sub_kind}
            upsert_objects(store, clock, "Account", [account])
    for term_name, days in _TERMS:
        if not company.named("Term", term_name):
            upsert_objects(store, clock, "Term", [{"Name": term_name, "DueDays": days}])
    codes = [("TAX", "TAX", True), ("NON", "NON", False)]
    if country != "US":
        codes = [("2", "Standard", True), ("3", "Zero-rated", False), ("4", "Exempt", False)]
    for code_id, code_name, taxable in codes:
        if company.find("TaxCode", code_id) is None:
            code = {"Id": code_id, "Name": code_name, "Description": code_name, "Taxable": taxable, "TaxGroup": taxable}
            upsert_objects(store, clock, "TaxCode", [code])


def realm_of(store: Store, options: QuickBooksOptions) -> str:
    """The id of the company in the store."""
    known = store.documents("quickbooks._realm").get("1")
    return str(known["realm_id"]) if known else options.realm_id


def upsert_objects(store: Store, clock: Clock, entity: str, objects: Iterable[Mapping[str, Any]]) -> list[Document]:
    """Put objects in as history left them: no check of names, periods or activity; references by `value`.

    An object without `Id` is new (except an item, term, account, ... of a name that exists: it is merged into that one);
    one whose `Id` exists is merged into it. SyncToken, MetaData (from
    `MetaData.CreateTime` and `MetaData.LastUpdatedTime` if given) and all derived fields are filled; payments change
    their invoices. Returns the objects as kept.

    Raises:
        ValueError: an unknown entity, or an object that cannot be kept (the fault's text).
    """
    if entity not in ENTITIES:
        raise ValueError(f"QuickBooks has no entity {entity!r}")
    company = company_of(store, clock)
    kept: list[Document] = []
    seeding, company.seeding = company.seeding, True
    try:
        for sent in objects:
            with company.atomic():
                kept.append(_upsert(company, entity, sent))
    except faults.QuickBooksFault as fault:
        raise ValueError(f"{entity}: {fault}") from fault
    finally:
        company.seeding = seeding
        company.moment = None
    return kept


def _upsert(company: Company, entity: str, sent: Mapping[str, Any]) -> Document:
    times = sent.get("MetaData") or {}
    created = _instant(times.get("CreateTime"))
    updated = _instant(times.get("LastUpdatedTime")) or created
    object_id = str(sent["Id"]) if sent.get("Id") not in (None, "") else None
    if object_id is None and entity in LIST_ENTITIES and entity not in PEOPLE:
        # A term or an account of that name is that term or account.
        holders = company.named(entity, str(sent.get(NAME_OF[entity], "")))
        object_id = min((holder[1] for holder in holders), default=None)
    existing = company.find(entity, object_id) if object_id else None
    # Side effects (an invoice that a payment touches) happen at the object's own time.
    company.moment = updated
    document = _write(company, entity, dict(sent), existing, object_id)
    if entity == "RecurringTransaction":
        return document
    document = dict(company.require(entity, document["Id"]))
    if created or updated:
        stamps = dict(document["MetaData"])
        if created:
            stamps["CreateTime"] = as_stamp(created)
        if updated:
            stamps["LastUpdatedTime"] = as_stamp(updated)
        document["MetaData"] = stamps
    if existing is None and sent.get("SyncToken") not in (None, ""):
        document["SyncToken"] = str(sent["SyncToken"])
    return company.put(entity, document)


def _write(company: Company, entity: str, sent: dict[str, Any], existing: Document | None, object_id: str | None) -> Document:
    options = QuickBooksOptions()
    if entity in SALES_FORMS:
        sent.pop("SubTotal", None)
        return sales_forms.write_sales_form(company, entity, sent, existing, options, object_id=object_id)
    if entity == "Payment":
        return payments.write_payment(company, sent, existing, object_id)
    if entity in ("Deposit", "JournalEntry"):
        if existing is not None:
            sent["SyncToken"] = existing["SyncToken"]
        save = payments.save_deposit if entity == "Deposit" else payments.save_journal_entry
        return save(company, sent, None if existing is not None else object_id)
    if entity == "RecurringTransaction":
        return recurring.save_template(company, sent, options)
    if entity in LIST_ENTITIES:
        return entities.write_list_object(company, entity, sent, existing, object_id)
    base = existing or company.new(entity, "1")
    return company.put(entity, {**base, **sent, "Id": "1"})


def _instant(value: Any) -> datetime | None:
    if value is None or value == "":
        return None
    moment = value if isinstance(value, datetime) else parse_instant(str(value))
    return moment.astimezone(UTC)


def receive_payment(store: Store, clock: Clock, invoice_id: str, amount: Decimal | None = None) -> Document:
    """A payment of the invoice's customer for its open balance, or for `amount` (what is too much stays unapplied).

    Raises:
        ValueError: no such invoice, nothing open, or the payment is refused.
    """
    company = company_of(store, clock)
    invoice = company.find("Invoice", str(invoice_id))
    if invoice is None:
        raise ValueError(f"QuickBooks has no invoice {invoice_id}")
    balance = stored(invoice["Balance"])
    if balance <= 0:
        raise ValueError(f"invoice {invoice_id} has no open balance")
    paid = balance if amount is None else Decimal(str(amount))
    body = {
        "CustomerRef": {"value": invoice["CustomerRef"]["value"]},
        "TotalAmt": paid,
        "Line": [{"Amount": paid, "LinkedTxn": [{"TxnId": invoice["Id"], "TxnType": "Invoice"}]}],
    }
    if "ExchangeRate" in invoice:
        body["ExchangeRate"] = invoice["ExchangeRate"]
    try:
        with company.atomic():
            return payments.save_payment(company, body)
    except faults.QuickBooksFault as fault:
        raise ValueError(str(fault)) from fault


def void_invoice(store: Store, clock: Clock, invoice_id: str) -> Document:
    """Void an invoice, as a person does in QuickBooks; what was paid on it becomes unapplied.

    Raises:
        ValueError: no such invoice, or it may not be voided.
    """
    company = company_of(store, clock)
    invoice = company.find("Invoice", str(invoice_id))
    if invoice is None:
        raise ValueError(f"QuickBooks has no invoice {invoice_id}")
    try:
        with company.atomic():
            return sales_forms.void_sales_form(company, "Invoice", {"Id": invoice["Id"], "SyncToken": invoice["SyncToken"]})
    except faults.QuickBooksFault as fault:
        raise ValueError(str(fault)) from fault


def run_recurring(store: Store, clock: Clock, until: date | None = None) -> list[Document]:
    """Let the recurring templates make what they owe up to a day (the company's today), and return it, oldest first.

    Raises:
        ValueError: what a template would make is refused (its customer was made inactive, ...).
    """
    company = company_of(store, clock)
    try:
        return recurring.run_templates(company, until or company.today(), QuickBooksOptions())
    except faults.QuickBooksFault as fault:
        raise ValueError(str(fault)) from fault


def behave(store: Store, **knobs: Any) -> None:
    """Switch preferences (`CustomTxnNumbers`, `AutoApplyCredit`, `BookCloseDate`, `MultiCurrencyEnabled`, ...) and the
    emulation itself (`tax_rate`, `strict_rotation`, `enforce_per_second`, ...). Kept with the store. `None` takes a
    preference away.

    Raises:
        ValueError: an unknown switch, or no company yet.
    """
    docs = store.documents("quickbooks.Preferences")
    if "1" not in docs:
        raise ValueError("there is no company yet")
    preferences = dict(docs["1"])
    state = dict(store.documents("quickbooks._behaviour").get("1", {"Id": "1"}))
    for name, value in knobs.items():
        if name in _PREFERENCES:
            group = dict(preferences.get(_PREFERENCES[name], {}))
            group.pop(name, None)
            if value is not None:
                group[name] = value
            preferences[_PREFERENCES[name]] = group
        elif name in _KNOBS:
            state[name] = Decimal(str(value)) if name == "tax_rate" else bool(value)
        else:
            raise ValueError(f"{name} cannot be switched; known: {', '.join(sorted([*_PREFERENCES, *_KNOBS]))}")
    preferences["SyncToken"] = str(int(preferences["SyncToken"]) + 1)
    docs["1"] = preferences
    store.documents("quickbooks._behaviour")["1"] = state


def state(store: Store) -> dict[str, list[Document]]:
    """Every object by entity, for people and tests that look at the state."""
    return {
        entity: list(store.documents(f"quickbooks.{entity}").values())
        for entity in ENTITIES
        if len(store.documents(f"quickbooks.{entity}"))
    }


def mail(store: Store) -> list[Document]:
    """The e-mails that were 'sent', oldest first: `id`, `entity`, `invoice_id`, `doc_number`, `to`, `cc`, `at`."""
    return list(store.documents("mail").values())


def income_account(store: Store) -> Document:
    """A reference (`value`, `name`) to an income account, for items.

    Raises:
        ValueError: no company yet.
    """
    for account in store.documents("quickbooks.Account").values():
        if account["AccountType"] == "Income" and account.get("Active") is not False:
            return {"value": account["Id"], "name": account["Name"]}
    raise ValueError("there is no income account yet")
