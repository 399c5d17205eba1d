"""QuickBooks' records as raw tables: which columns, where in the JSON they stand, and how a record becomes a row.

Belongs here: shapes. Does not belong here: calls (client), which records to read (pull), what they mean for a deal (flows).
Readers are lenient: numbers may come as text, texts as numbers, anything may be null or missing. The whole record is kept
beside the columns, so nothing that a reader leaves out is lost.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import polars as pl

from qbsf_pipeline.money import to_cents, to_json
from qbsf_pipeline.quickbooks import templates
from qbsf_pipeline.settings import Rules
from qbsf_pipeline.warehouse.tables import (
    AMOUNT,
    RATE,
    TIMESTAMP,
    Column,
    TableSchema,
    decimal_or_none,
    raw_table,
    value_at,
)

log = logging.getLogger(__name__)

#: The content hash of a row that stands for an object deleted in QuickBooks; such a row has nothing else but its id.
DELETED_STUB_HASH = "deleted"

STATUS_LIVE, STATUS_VOIDED, STATUS_DELETED = "live", "voided", "deleted"

_S, _B, _I, _D = pl.String, pl.Boolean, pl.Int64, pl.Date
_TEN_PLACES = Decimal("0.0000000001")
#: DECIMAL(18,2) takes 16 digits before the point; QuickBooks itself takes 15.
_LARGEST = Decimal(10) ** 16
_CREATED_AT = Column("created_at", TIMESTAMP, "When the record was created in QuickBooks (UTC)", "MetaData.CreateTime")
_SYNC_TOKEN = Column("sync_token", _S, "Version: counts up with every change, payments on an invoice included", "SyncToken")
_CURRENCY = Column("currency", _S, "ISO code; null where the company has only its home currency", "CurrencyRef.value")
_EXCHANGE_RATE = Column(
    "exchange_rate", RATE, "Home currency for one of the currency; null in single-currency companies", "ExchangeRate"
)


def _id(what: str) -> Column:
    return Column("id", _S, f"QuickBooks id of the {what}", "Id")


def _active(what: str) -> Column:
    return Column("active", _B, f"Whether the {what} can still be used", "Active")


CUSTOMER = raw_table(
    "quickbooks",
    "customer",
    (
        _id("customer"),
        _SYNC_TOKEN,
        Column("display_name", _S, "Name, unique among customers, vendors and employees", "DisplayName"),
        Column("company_name", _S, "Company name", "CompanyName"),
        Column("given_name", _S, "First name of the person", "GivenName"),
        Column("family_name", _S, "Last name of the person", "FamilyName"),
        Column("fully_qualified_name", _S, "Parent:Child", "FullyQualifiedName"),
        Column("email", _S, "Primary e-mail address", "PrimaryEmailAddr.Address"),
        Column("phone", _S, "Primary phone, as written", "PrimaryPhone.FreeFormNumber"),
        Column("website", _S, "Web address, as written", "WebAddr.URI"),
        _CURRENCY,
        Column("parent_id", _S, "The customer that this is a sub-customer or project of", "ParentRef.value"),
        Column("term_id", _S, "The customer's payment terms: quickbooks.term", "SalesTermRef.value"),
        Column("notes", _S, "Notes", "Notes"),
        _active("customer"),
        Column("taxable", _B, "Whether sales to the customer are taxed", "Taxable"),
        Column("is_job", _B, "Whether it is a sub-customer or project", "Job"),
        Column("balance", AMOUNT, "Open balance in the customer's currency", "Balance"),
        Column("billing_line1", _S, "Billing address, line 1", "BillAddr.Line1"),
        Column("billing_line2", _S, "Billing address, line 2", "BillAddr.Line2"),
        Column("billing_line3", _S, "Billing address, line 3", "BillAddr.Line3"),
        Column("billing_line4", _S, "Billing address, line 4", "BillAddr.Line4"),
        Column("billing_line5", _S, "Billing address, line 5", "BillAddr.Line5"),
        Column("billing_street", _S, "Billing address, lines 1 to 5 joined by line breaks"),
        Column("billing_city", _S, "Billing address, city", "BillAddr.City"),
        Column("billing_state", _S, "Billing address, state or province", "BillAddr.CountrySubDivisionCode"),
        Column("billing_postal_code", _S, "Billing address, postal code", "BillAddr.PostalCode"),
        Column("billing_country", _S, "Billing address, country as written", "BillAddr.Country"),
        Column("shipping_street", _S, "Shipping address, lines 1 to 5 joined by line breaks"),
        Column("shipping_city", _S, "Shipping address, city", "ShipAddr.City"),
        Column("shipping_state", _S, "Shipping address, state or province", "ShipAddr.CountrySubDivisionCode"),
        Column("shipping_postal_code", _S, "Shipping address, postal code", "ShipAddr.PostalCode"),
        Column("shipping_country", _S, "Shipping address, country as written", "ShipAddr.Country"),
        Column("tax_exemption_reason_id", _S, "Why no sales tax, Intuit's list of 1 to 15", "TaxExemptionReasonId"),
    ),
    "Customers of QuickBooks, inactive ones included; one row is one customer or sub-customer",
)

INVOICE = raw_table(
    "quickbooks",
    "invoice",
    (
        _id("invoice"),
        _SYNC_TOKEN,
        Column("doc_number", _S, "Invoice number that people see", "DocNumber"),
        Column("customer_id", _S, "quickbooks.customer", "CustomerRef.value"),
        Column("customer_name", _S, "Customer's name when the record was read", "CustomerRef.name"),
        Column("txn_date", _D, "Invoice date", "TxnDate"),
        Column("due_date", _D, "Due date", "DueDate"),
        Column("total", AMOUNT, "Total with tax, in the invoice's currency; 0 when voided", "TotalAmt"),
        Column("balance", AMOUNT, "What is still open, in the invoice's currency; 0 when voided", "Balance"),
        Column("tax", AMOUNT, "Total tax, in the invoice's currency", "TxnTaxDetail.TotalTax"),
        Column("deposit", AMOUNT, "Deposit taken on the invoice itself, in its currency", "Deposit"),
        _CURRENCY,
        _EXCHANGE_RATE,
        Column("term_id", _S, "quickbooks.term", "SalesTermRef.value"),
        Column("email_status", _S, "NotSet, NeedToSend (queued, not mailed) or EmailSent", "EmailStatus"),
        Column("bill_email", _S, "Where the invoice is mailed to", "BillEmail.Address"),
        Column("private_note", _S, "Memo on the statement, not printed; carries our marker", "PrivateNote"),
        Column("customer_memo", _S, "Message to the customer", "CustomerMemo.value"),
        Column("status", _S, "live, voided (total 0 and a note that begins with Voided) or deleted"),
        Column("opportunity_id", _S, "Salesforce id (18 characters) from the marker in the note; null without a marker"),
        _CREATED_AT,
        Column("recurring_id", _S, "The recurring template that made it", "RecurDataRef.value"),
    ),
    "Invoices of QuickBooks, also those that people wrote; one row is one invoice",
)

RECURRING_TRANSACTION = raw_table(
    "quickbooks",
    "recurring_transaction",
    (
        _id("template"),
        _SYNC_TOKEN,
        Column("type", _S, "What it makes: Invoice", "Type"),
        Column("name", _S, "Name of the template, unique", "RecurringInfo.Name"),
        Column("recur_type", _S, "Automated, Reminded or UnScheduled: only the first makes invoices", "RecurringInfo.RecurType"),
        Column("active", _B, "Whether it still makes invoices", "RecurringInfo.Active"),
        Column("customer_id", _S, "quickbooks.customer", "CustomerRef.value"),
        Column("total", AMOUNT, "Total of each invoice with tax, in its currency", "TotalAmt"),
        _CURRENCY,
        Column("interval_type", _S, "Yearly, Monthly, Weekly or Daily", "RecurringInfo.ScheduleInfo.IntervalType"),
        Column("interval_count", _I, "Every so many of these", "RecurringInfo.ScheduleInfo.NumInterval"),
        Column("day_of_month", _I, "Day of the month, where it is told by number", "RecurringInfo.ScheduleInfo.DayOfMonth"),
        Column("start_date", _D, "First day", "RecurringInfo.ScheduleInfo.StartDate"),
        Column("end_date", _D, "Last day, if one is named", "RecurringInfo.ScheduleInfo.EndDate"),
        Column("max_occurrences", _I, "How many times, if a number is named", "RecurringInfo.ScheduleInfo.MaxOccurrences"),
        Column("days_before", _I, "So many days early are they made", "RecurringInfo.ScheduleInfo.DaysBefore"),
        Column("next_date", _D, "Day of the next invoice, as QuickBooks says", "RecurringInfo.ScheduleInfo.NextDate"),
        Column("previous_date", _D, "Day of the last invoice, as QuickBooks says", "RecurringInfo.ScheduleInfo.PreviousDate"),
        Column("email_status", _S, "NeedToSend: its invoices are mailed", "EmailStatus"),
        Column("bill_email", _S, "Where they are mailed to", "BillEmail.Address"),
        Column("private_note", _S, "Memo that each invoice gets; carries our marker", "PrivateNote"),
        Column("opportunity_id", _S, "Salesforce id (18 characters) from the marker in the note; null without a marker"),
    ),
    "Recurring templates that make invoices; one row is one template. Read where a rule bills by them (recurring.bill_by)",
)

PAYMENT = raw_table(
    "quickbooks",
    "payment",
    (
        _id("payment"),
        _SYNC_TOKEN,
        Column("customer_id", _S, "quickbooks.customer", "CustomerRef.value"),
        Column("txn_date", _D, "Date of the payment", "TxnDate"),
        Column("total", AMOUNT, "Amount received, in the payment's currency; 0 when voided", "TotalAmt"),
        Column("unapplied", AMOUNT, "What is not applied to any invoice, in the payment's currency", "UnappliedAmt"),
        _CURRENCY,
        _EXCHANGE_RATE,
        Column("method_id", _S, "quickbooks.payment_method", "PaymentMethodRef.value"),
        Column("reference", _S, "Cheque number or other reference", "PaymentRefNum"),
        Column("private_note", _S, "Memo", "PrivateNote"),
        _CREATED_AT,
    ),
    "Payments received; one row is one payment. Which invoices it pays stands in the record's lines",
)

CREDIT_MEMO = raw_table(
    "quickbooks",
    "credit_memo",
    (
        _id("credit memo"),
        _SYNC_TOKEN,
        Column("doc_number", _S, "Number that people see", "DocNumber"),
        Column("customer_id", _S, "quickbooks.customer", "CustomerRef.value"),
        Column("txn_date", _D, "Date", "TxnDate"),
        Column("total", AMOUNT, "Total with tax, in its currency", "TotalAmt"),
        Column("remaining", AMOUNT, "What is not used yet, in its currency"),
        _CURRENCY,
        Column("private_note", _S, "Memo", "PrivateNote"),
    ),
    "Credit memos; one row is one credit memo",
)

DEPOSIT = raw_table(
    "quickbooks",
    "deposit",
    (
        _id("deposit"),
        _SYNC_TOKEN,
        Column("txn_date", _D, "Date", "TxnDate"),
        Column("total", AMOUNT, "Amount put into the bank, in its currency", "TotalAmt"),
        Column("account_id", _S, "Bank account: quickbooks.account", "DepositToAccountRef.value"),
        _CURRENCY,
        _EXCHANGE_RATE,
        Column("private_note", _S, "Memo", "PrivateNote"),
        _CREATED_AT,
    ),
    "Bank deposits; one row is one deposit. Which payments it holds, and what was received without one, stands in the "
    "record's lines",
)

JOURNAL_ENTRY = raw_table(
    "quickbooks",
    "journal_entry",
    (
        _id("journal entry"),
        _SYNC_TOKEN,
        Column("doc_number", _S, "Number that people see", "DocNumber"),
        Column("txn_date", _D, "Date", "TxnDate"),
        Column("total", AMOUNT, "Sum of the debits, in its currency", "TotalAmt"),
        _CURRENCY,
        _EXCHANGE_RATE,
        Column("adjustment", _B, "Whether an accountant marked it as an adjustment", "Adjustment"),
        Column("private_note", _S, "Memo", "PrivateNote"),
        _CREATED_AT,
    ),
    "Journal entries; one row is one entry. Which accounts and customers it touches stands in the record's lines",
)

REFUND_RECEIPT = raw_table(
    "quickbooks",
    "refund_receipt",
    (
        _id("refund receipt"),
        _SYNC_TOKEN,
        Column("doc_number", _S, "Number that people see", "DocNumber"),
        Column("customer_id", _S, "quickbooks.customer", "CustomerRef.value"),
        Column("txn_date", _D, "Date", "TxnDate"),
        Column("total", AMOUNT, "Amount given back with tax, in its currency", "TotalAmt"),
        _CURRENCY,
        _EXCHANGE_RATE,
        Column("account_id", _S, "Account that it was paid from: quickbooks.account", "DepositToAccountRef.value"),
        Column("method_id", _S, "quickbooks.payment_method", "PaymentMethodRef.value"),
        Column("reference", _S, "Cheque number or other reference", "PaymentRefNum"),
        Column("private_note", _S, "Memo", "PrivateNote"),
        _CREATED_AT,
    ),
    "Money given back to customers; one row is one refund receipt. It is applied to no invoice",
)

PAYMENT_METHOD = raw_table(
    "quickbooks",
    "payment_method",
    (
        _id("payment method"),
        Column("name", _S, "Name, such as Check or ACH", "Name"),
        Column("type", _S, "CREDIT_CARD or NON_CREDIT_CARD", "Type"),
        _active("payment method"),
    ),
    "How customers pay; one row is one payment method",
)

ITEM = raw_table(
    "quickbooks",
    "item",
    (
        _id("product or service"),
        _SYNC_TOKEN,
        Column("name", _S, "Name, unique", "Name"),
        Column("fully_qualified_name", _S, "Category:Name", "FullyQualifiedName"),
        Column("sku", _S, "Stock keeping unit", "Sku"),
        Column("type", _S, "Service, NonInventory, Inventory, Category or Group (a bundle)", "Type"),
        Column("description", _S, "Description on sales forms", "Description"),
        _active("item"),
        Column("taxable", _B, "Whether sales of it are taxed", "Taxable"),
        Column("unit_price", RATE, "Sales price in the home currency", "UnitPrice"),
        Column("income_account_id", _S, "quickbooks.account", "IncomeAccountRef.value"),
        Column("tax_code_id", _S, "quickbooks.tax_code (outside the United States)", "SalesTaxCodeRef.value"),
    ),
    "Products and services, inactive ones included; one row is one item",
)

TERM = raw_table(
    "quickbooks",
    "term",
    (
        _id("term"),
        Column("name", _S, "Name, such as Net 30", "Name"),
        Column("type", _S, "STANDARD (days) or DATE_DRIVEN (day of the month)", "Type"),
        _active("term"),
        Column("due_days", _I, "Days from the invoice date to the due date", "DueDays"),
        Column("day_of_month_due", _I, "Day of the month on which it is due", "DayOfMonthDue"),
        Column(
            "due_next_month_days",
            _I,
            "Due in the month after when issued within this many days of that day",
            "DueNextMonthDays",
        ),
    ),
    "Payment terms; one row is one term",
)

VENDOR = raw_table(
    "quickbooks",
    "vendor",
    (
        _id("vendor"),
        Column("display_name", _S, "Name, in one name space with customers", "DisplayName"),
        _active("vendor"),
    ),
    "Vendors, for their names only: a customer may not be named like one",
)

EMPLOYEE = raw_table(
    "quickbooks",
    "employee",
    (
        _id("employee"),
        Column("display_name", _S, "Name, in one name space with customers", "DisplayName"),
        _active("employee"),
    ),
    "Employees, for their names only: a customer may not be named like one",
)

CLASS = raw_table(
    "quickbooks",
    "class",
    (
        _id("class"),
        Column("name", _S, "Name", "Name"),
        Column("fully_qualified_name", _S, "Parent:Child", "FullyQualifiedName"),
        _active("class"),
    ),
    "Classes; one row is one class",
)

DEPARTMENT = raw_table(
    "quickbooks",
    "department",
    (
        _id("location"),
        Column("name", _S, "Name", "Name"),
        Column("fully_qualified_name", _S, "Parent:Child", "FullyQualifiedName"),
        _active("location"),
    ),
    "Locations (the API calls them departments); one row is one location",
)

TAX_CODE = raw_table(
    "quickbooks",
    "tax_code",
    (
        _id("tax code"),
        Column("name", _S, "Name", "Name"),
        Column("description", _S, "Description", "Description"),
        _active("tax code"),
        Column("taxable", _B, "Whether it taxes", "Taxable"),
    ),
    "Tax codes; in the United States invoices use TAX and NON instead of these ids",
)

ACCOUNT = raw_table(
    "quickbooks",
    "account",
    (
        _id("account"),
        Column("name", _S, "Name", "Name"),
        Column("fully_qualified_name", _S, "Parent:Child", "FullyQualifiedName"),
        Column("account_type", _S, "Income, Accounts Receivable, ...", "AccountType"),
        Column("account_sub_type", _S, "SalesOfProductIncome, ...", "AccountSubType"),
        Column("classification", _S, "Asset, Equity, Expense, Liability or Revenue", "Classification"),
        _active("account"),
        Column("current_balance", AMOUNT, "Balance in the account's currency", "CurrentBalance"),
        _CURRENCY,
    ),
    "The chart of accounts; one row is one account",
)

PREFERENCES = raw_table(
    "quickbooks",
    "preferences",
    (
        _id("preferences"),
        Column("home_currency", _S, "The company's currency", "CurrencyPrefs.HomeCurrency.value"),
        Column("multi_currency", _B, "Whether customers may have other currencies", "CurrencyPrefs.MultiCurrencyEnabled"),
        Column(
            "custom_document_numbers",
            _B,
            "Whether we give invoice numbers; else QuickBooks does",
            "SalesFormsPrefs.CustomTxnNumbers",
        ),
        Column("auto_apply_credit", _B, "Whether QuickBooks uses up credits by itself", "SalesFormsPrefs.AutoApplyCredit"),
        Column("online_payments", _B, "Whether invoices can be paid online", "SalesFormsPrefs.ETransactionPaymentEnabled"),
        Column(
            "book_close_date",
            _D,
            "Nothing may be dated on or before it; null when the books are open",
            "AccountingInfoPrefs.BookCloseDate",
        ),
        Column("using_sales_tax", _B, "Whether sales tax is used", "TaxPrefs.UsingSalesTax"),
        Column(
            "partner_tax",
            _B,
            "Automated sales tax: true on, false not set up yet, null a company with manual tax",
            "TaxPrefs.PartnerTaxEnabled",
        ),
        Column("class_per_line", _B, "Whether each line has a class", "AccountingInfoPrefs.ClassTrackingPerTxnLine"),
        Column("class_per_transaction", _B, "Whether each invoice has a class", "AccountingInfoPrefs.ClassTrackingPerTxn"),
        Column("departments", _B, "Whether locations are used", "AccountingInfoPrefs.TrackDepartments"),
        Column("default_terms", _S, "quickbooks.term of new invoices"),
    ),
    "The company's preferences; one row",
)

COMPANY_INFO = raw_table(
    "quickbooks",
    "company_info",
    (
        Column("id", _S, "Always 1; not the company's realm id", "Id"),
        Column("name", _S, "Name", "CompanyName"),
        Column("legal_name", _S, "Legal name", "LegalName"),
        Column("country", _S, "Country of the edition, such as US", "Country"),
        Column("time_zone", _S, "IANA name; days and months are this zone's", "DefaultTimeZone"),
        Column("subscription_status", _S, "TRIAL, PAID, EXPIRED, ..."),
        Column("offering", _S, "The edition, such as QuickBooks Online Plus"),
    ),
    "The company; one row",
)


@dataclass(frozen=True)
class Entity:
    """One kind of record and how it is read.

    Attributes:
        name: QuickBooks' name for it.
        table: its raw table.
        list_entity: a list with inactive rows, which queries leave out unless asked.
        in_cdc: change data capture tells its changes; the others are read whole from time to time.
        optional: not every company or connection may read it, and invoices do not depend on it.
    """

    name: str
    table: TableSchema
    list_entity: bool
    in_cdc: bool
    optional: bool = False


ENTITIES: tuple[Entity, ...] = (
    Entity("Customer", CUSTOMER, list_entity=True, in_cdc=True),
    Entity("Invoice", INVOICE, list_entity=False, in_cdc=True),
    Entity("Payment", PAYMENT, list_entity=False, in_cdc=True),
    Entity("CreditMemo", CREDIT_MEMO, list_entity=False, in_cdc=True),
    Entity("Deposit", DEPOSIT, list_entity=False, in_cdc=True, optional=True),
    Entity("JournalEntry", JOURNAL_ENTRY, list_entity=False, in_cdc=True, optional=True),
    Entity("RefundReceipt", REFUND_RECEIPT, list_entity=False, in_cdc=True, optional=True),
    Entity("PaymentMethod", PAYMENT_METHOD, list_entity=True, in_cdc=True, optional=True),
    Entity("Item", ITEM, list_entity=True, in_cdc=True),
    Entity("Term", TERM, list_entity=True, in_cdc=True),
    Entity("Vendor", VENDOR, list_entity=True, in_cdc=True, optional=True),
    Entity("Employee", EMPLOYEE, list_entity=True, in_cdc=True, optional=True),
    Entity("Class", CLASS, list_entity=True, in_cdc=True, optional=True),
    Entity("Department", DEPARTMENT, list_entity=True, in_cdc=True, optional=True),
    Entity("Account", ACCOUNT, list_entity=True, in_cdc=True),
    Entity("TaxCode", TAX_CODE, list_entity=True, in_cdc=False, optional=True),
    Entity("Preferences", PREFERENCES, list_entity=False, in_cdc=False),
    Entity("CompanyInfo", COMPANY_INFO, list_entity=False, in_cdc=False),
)
#: Essentials and Plus only, and not in change data capture.
_TEMPLATES = Entity(templates.ENTITY, RECURRING_TRANSACTION, list_entity=False, in_cdc=False, optional=True)
#: The raw tables of QuickBooks, in the order of :data:`ENTITIES`; behind them the one that is only read where a rule asks.
TABLES: tuple[TableSchema, ...] = (*(entity.table for entity in ENTITIES), RECURRING_TRANSACTION)

_BY_NAME = {entity.name: entity for entity in (*ENTITIES, _TEMPLATES)}
_SINGLE_ROWS = frozenset({"Preferences", "CompanyInfo"})

#: A switch that QuickBooks leaves out is off; a record without Active is active. ``taxable`` and ``partner_tax`` have a
#: third value, so nothing is assumed for them.
_DEFAULTS: dict[str, bool] = {
    "active": True,
    "adjustment": False,
    "is_job": False,
    "multi_currency": False,
    "custom_document_numbers": False,
    "auto_apply_credit": False,
    "online_payments": False,
    "using_sales_tax": False,
    "class_per_line": False,
    "class_per_transaction": False,
    "departments": False,
}

_MARKER_WORDS = "Salesforce Opportunity"
_MARKER = re.compile(r"salesforce\s+opportunity\s+([a-z0-9]{18}|[a-z0-9]{15})(?![a-z0-9])", re.IGNORECASE)
_SUFFIX_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


def entities_for(rules: Rules) -> tuple[Entity, ...]:
    """What is read under these rules: :data:`ENTITIES`, and recurring templates where deals are billed by them."""
    by_template = rules.recurring.enabled and rules.recurring.bill_by == "template"
    return (*ENTITIES, _TEMPLATES) if by_template else ENTITIES


def entity_named(name: str) -> Entity:
    """The entity with QuickBooks' name for it.

    Raises:
        KeyError: it is neither one of :data:`ENTITIES` nor ``RecurringTransaction``.
    """
    return _BY_NAME[name]


def invoice_marker(opportunity_id: str) -> str:
    """What ``PrivateNote`` of an invoice for this deal contains, so that it is found again (public contract)."""
    return f"{_MARKER_WORDS} {long_id(opportunity_id)}"


def opportunity_in(private_note: str | None) -> str | None:
    """The Salesforce id of the marker, wherever it stands in a note (``Voided - `` may stand before it).

    Returns:
        18 characters; a person's 15 characters are completed. ``None`` without a marker.
    """
    found = _MARKER.search(private_note or "")
    return long_id(found.group(1)) if found is not None else None


def long_id(salesforce_id: str) -> str:
    """A Salesforce id of 15 characters with the three that tell its capitals; 18 characters as they are.

    Each letter of the suffix stands for five characters: bit n is set when the nth is a capital (Salesforce's own rule).
    """
    if len(salesforce_id) != 15:
        return salesforce_id
    suffix = "".join(
        _SUFFIX_LETTERS[sum(1 << n for n, letter in enumerate(salesforce_id[start : start + 5]) if "A" <= letter <= "Z")]
        for start in (0, 5, 10)
    )
    return salesforce_id + suffix


def row_of(entity: str, record: Mapping[str, Any], extracted_at: datetime) -> dict[str, Any]:
    """A record as a row of its raw table, also for objects that a write has just returned.

    Args:
        entity: QuickBooks' name, one of :data:`ENTITIES`.
        record: the JSON object as QuickBooks sent it (numbers as Decimal or int).
        extracted_at: when it was read (aware UTC).

    Raises:
        KeyError: the entity has no raw table.
        ValueError: the record has no id.
    """
    table = entity_named(entity).table
    row: dict[str, Any] = {}
    readers = _READERS.get(entity, {})
    own = [column for column in table.columns if column.path is not None or column.name in readers]
    for column in own:
        if column.name in readers:
            row[column.name] = readers[column.name](record)
        else:
            row[column.name] = _typed(column, value_at(record, column.path or ""))
    if row["id"] is None:
        if entity not in _SINGLE_ROWS:
            raise ValueError(f"a record of {entity} without an id")
        row["id"] = "1"
    deleted = str(record.get("status", "")).lower() == "deleted"
    row |= {
        "source_modified_at": instant_or_none(value_at(record, "MetaData.LastUpdatedTime")),
        "is_deleted": deleted,
        "content_hash": DELETED_STUB_HASH if deleted else content_hash(record),
        "record": to_json(dict(record)),
        "extracted_at": extracted_at,
    }
    return row


def deleted_row(record_id: str, extracted_at: datetime) -> dict[str, Any]:
    """The row for an object that was deleted: its id and that it is deleted. What was known of it is kept elsewhere."""
    return {"id": record_id, "is_deleted": True, "content_hash": DELETED_STUB_HASH, "extracted_at": extracted_at}


def content_hash(record: Mapping[str, Any]) -> str:
    """SHA-256 of a record without its modification stamps and the envelope's decoration.

    ``SyncToken`` stays in: it rises when a payment is applied, which is a change. Numbers are compared by value, so that
    ``100`` and ``100.00`` are the same content.
    """
    kept = {key: value for key, value in record.items() if key not in ("MetaData", "domain", "sparse")}
    return hashlib.sha256(to_json(_plain_numbers(kept), sort_keys=True).encode()).hexdigest()


def fields_hash(table: TableSchema) -> str:
    """Hash of what is read into a table: another list of columns makes the next pull a full one."""
    fields = [table.name, *(f"{column.name} {column.dtype} {column.path}" for column in table.columns)]
    return hashlib.sha256("\n".join(fields).encode()).hexdigest()


def instant_or_none(value: Any) -> datetime | None:
    """``2015-07-24T10:33:39-07:00`` as UTC; ``None`` for what is no instant. One without an offset is taken as UTC."""
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).astimezone(UTC)


def _typed(column: Column, value: Any) -> Any:
    if column.dtype == _S:
        return _text(value)
    if column.dtype == _B:
        found = _boolean(value)
        return _DEFAULTS.get(column.name) if found is None else found
    if column.dtype == _D:
        return _day(value)
    if column.dtype == TIMESTAMP:
        return instant_or_none(value)
    return _number(column, decimal_or_none(value))


def _number(column: Column, number: Decimal | None) -> Decimal | int | None:
    if number is None or not number.is_finite():
        return None
    if abs(number) >= _LARGEST:
        log.warning("quickbooks: a number in %s is too large for its column and only kept in the record", column.name)
        return None
    if column.dtype == AMOUNT:
        return to_cents(number)
    if column.dtype == RATE:
        return number.quantize(_TEN_PLACES, rounding=ROUND_HALF_UP)
    return int(number)


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, Mapping | list):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return (format(value, "f") if isinstance(value, Decimal) else str(value)) or None


def _boolean(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    return {"true": True, "false": False}.get(text)


def _day(value: Any) -> date | None:
    if not isinstance(value, str):
        return None
    try:
        return date.fromisoformat(value.strip()[:10])
    except ValueError:
        return None


def _plain_numbers(value: Any) -> Any:
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain_numbers(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain_numbers(item) for item in value]
    number = decimal_or_none(value)
    if number is None or not number.is_finite():
        return str(value)
    # Not normalize(), which rounds to the context's precision.
    text = format(number, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return {"number": "0" if text == "-0" else text}


def _street(address: str) -> Callable[[Mapping[str, Any]], str | None]:
    def read(record: Mapping[str, Any]) -> str | None:
        lines = (_text(value_at(record, f"{address}.Line{n}")) for n in range(1, 6))
        return "\n".join(line.strip() for line in lines if line and line.strip()) or None

    return read


def _invoice_status(record: Mapping[str, Any]) -> str:
    if str(record.get("status", "")).lower() == "deleted":
        return STATUS_DELETED
    # QuickBooks has no flag for it: voiding sets every amount to 0 and puts the word before the note.
    note = (_text(record.get("PrivateNote")) or "").lstrip().lower()
    voided = decimal_or_none(record.get("TotalAmt")) == 0 and note.startswith("voided")
    return STATUS_VOIDED if voided else STATUS_LIVE


def _remaining_credit(record: Mapping[str, Any]) -> Decimal | None:
    found = decimal_or_none(record.get("RemainingCredit"))
    if found is None:
        found = decimal_or_none(record.get("Balance"))
    return to_cents(found) if found is not None and found.is_finite() else None


def _default_terms(record: Mapping[str, Any]) -> str | None:
    terms = value_at(record, "SalesFormsPrefs.DefaultTerms")
    return _text(terms.get("value")) if isinstance(terms, Mapping) else _text(terms)


def _named_value(name: str) -> Callable[[Mapping[str, Any]], str | None]:
    def read(record: Mapping[str, Any]) -> str | None:
        pairs = record.get("NameValue")
        for pair in pairs if isinstance(pairs, list) else []:
            if isinstance(pair, Mapping) and pair.get("Name") == name:
                return _text(pair.get("Value"))
        return None

    return read


#: Columns that are not simply at a path.
_READERS: dict[str, dict[str, Callable[[Mapping[str, Any]], Any]]] = {
    "Customer": {"billing_street": _street("BillAddr"), "shipping_street": _street("ShipAddr")},
    "Invoice": {
        "status": _invoice_status,
        "opportunity_id": lambda record: opportunity_in(_text(record.get("PrivateNote"))),
    },
    "RecurringTransaction": {"opportunity_id": lambda record: opportunity_in(_text(record.get("PrivateNote")))},
    "CreditMemo": {"remaining": _remaining_credit},
    "Preferences": {"default_terms": _default_terms},
    "CompanyInfo": {
        "subscription_status": _named_value("SubscriptionStatus"),
        "offering": _named_value("OfferingSku"),
    },
}
