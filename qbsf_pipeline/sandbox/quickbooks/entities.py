"""Rules of the lists: customers, vendors, employees, items, terms, classes, locations, accounts, currencies.

Belongs here: creating and updating list objects. Nothing of a list can be deleted, only made inactive.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from qbsf_pipeline.sandbox.quickbooks import faults
from qbsf_pipeline.sandbox.quickbooks.company import (
    ZERO,
    Company,
    Document,
    check_creatable,
    money,
    number,
    plain,
    ref_value,
    stored,
)
from qbsf_pipeline.sandbox.quickbooks.properties import NAME_OF, PEOPLE, REFERENCES, read_only

_MAX_LEVELS = 5
_CLASSIFICATIONS = {
    "Bank": "Asset",
    "Accounts Receivable": "Asset",
    "Other Current Asset": "Asset",
    "Fixed Asset": "Asset",
    "Other Asset": "Asset",
    "Accounts Payable": "Liability",
    "Credit Card": "Liability",
    "Other Current Liability": "Liability",
    "Long Term Liability": "Liability",
    "Equity": "Equity",
    "Income": "Revenue",
    "Other Income": "Revenue",
    "Expense": "Expense",
    "Other Expense": "Expense",
    "Cost of Goods Sold": "Expense",
}


def save_list_object(company: Company, entity: str, body: Mapping[str, Any]) -> Document:
    """Create (no `Id`), fully or sparsely update an object of a list.

    Raises:
        QuickBooksFault: as section 10 of the sheet says for the entity.
    """
    check_creatable(entity)
    existing = company.require_current(entity, body) if body.get("Id") not in (None, "") else None
    return write_list_object(company, entity, body, existing)


def write_list_object(
    company: Company, entity: str, body: Mapping[str, Any], existing: Document | None, object_id: str | None = None
) -> Document:
    """The same, with the object that is updated already found; `object_id` gives a seeded object its id."""
    fields = company.writable(entity, body, existing)
    for name, target in REFERENCES.items():
        if name in fields:
            before = ref_value((existing or {}).get(name))
            fields[name] = company.reference(target or entity, fields[name], name, known=before)
    rule = _RULES.get(entity)
    if rule is not None:
        rule(company, fields, existing)
    elif entity in NAME_OF:
        _require_name(fields, NAME_OF[entity])
    _check_unique(company, entity, fields, existing)
    fields.setdefault("Active", True)
    frame = company.touched(existing) if existing is not None else company.new(entity, object_id)
    kept = {name: value for name, value in frame.items() if name in read_only(entity)}
    document = {**kept, **fields}
    if entity in ("Customer", "Item", "Class", "Department", "Account"):
        _place_in_tree(company, entity, document)
    if entity == "Customer" and existing is None:
        document["Balance"] = document["BalanceWithJobs"] = ZERO
    return company.put(entity, document)


def _require_name(fields: Document, name: str) -> None:
    value = fields.get(name)
    if not isinstance(value, str) or not value.strip():
        raise faults.required(name)
    fields[name] = value


def _check_unique(company: Company, entity: str, fields: Document, existing: Document | None) -> None:
    if company.seeding or entity not in NAME_OF:
        return
    name = fields[NAME_OF[entity]]
    if existing is not None and existing[NAME_OF[entity]] == name:
        return
    own = {(entity, existing["Id"])} if existing is not None else set()
    holders = company.named(entity, name) - own
    if holders:
        raise faults.duplicate_name(None if entity in PEOPLE else min(holders)[1])


def _place_in_tree(company: Company, entity: str, document: Document) -> None:
    name = document[NAME_OF[entity]]
    parent_id = ref_value(document.get("ParentRef"))
    parent = company.find(entity, parent_id) if parent_id else None
    if parent is None:
        document["FullyQualifiedName"] = name
        if entity in ("Customer", "Item"):
            document.pop("Level", None)
        return
    document["FullyQualifiedName"] = f"{parent.get('FullyQualifiedName', parent[NAME_OF[entity]])}:{name}"
    level = int(parent.get("Level") or 0) + 1
    if level >= _MAX_LEVELS or parent["Id"] == document["Id"]:
        raise faults.QuickBooksFault(
            "6180", "Subtype level exceeded", "You have exceeded the number of sub levels: 5", "ParentRef"
        )
    document["Level"] = level


def _person(company: Company, fields: Document, existing: Document | None) -> None:
    name = fields.get("DisplayName")
    if existing is not None and not name:
        # It cannot be taken away, neither by leaving it out nor by clearing it.
        name = existing["DisplayName"]
    if not name:
        parts = (fields.get(part) for part in ("Title", "GivenName", "MiddleName", "FamilyName", "Suffix"))
        name = " ".join(str(part).strip() for part in parts if part)
    if not name or not str(name).strip():
        raise faults.QuickBooksFault(
            "6080",
            "Name Required",
            "At least one of Title, GivenName, MiddleName, FamilyName, Suffix, or DisplayName must be supplied.",
            "DisplayName",
        )
    fields["DisplayName"] = str(name) if company.seeding else str(name).strip()
    fields.setdefault("PrintOnCheckName", fields.get("CompanyName") or fields["DisplayName"])


def _customer(company: Company, fields: Document, existing: Document | None) -> None:
    _person(company, fields, existing)
    before = ref_value((existing or {}).get("CurrencyRef"))
    wanted = ref_value(fields.get("CurrencyRef"))
    if before and wanted and wanted != before:
        raise faults.business("The currency of a customer cannot be changed once it is set.", "CurrencyRef")
    fields["CurrencyRef"] = company.currency(wanted or before or company.home_currency)
    reason = fields.get("TaxExemptionReasonId")
    if reason not in (None, "") and str(reason) not in {str(number) for number in range(1, 16)}:
        raise faults.invalid_enumeration("TaxExemptionReasonId", reason)
    if reason not in (None, ""):
        fields["Taxable"] = False
    fields.setdefault("Taxable", bool(company.preference("TaxPrefs", "UsingSalesTax", False)))
    fields.setdefault("PreferredDeliveryMethod", "None")
    fields["Job"] = bool(fields.get("Job", False))
    if fields["Job"] and ref_value(fields.get("ParentRef")) is None:
        raise faults.required("ParentRef")
    if ref_value(fields.get("ParentRef")) is not None:
        fields["Job"] = True
    fields["BillWithParent"] = bool(fields.get("BillWithParent", False))


def _vendor(company: Company, fields: Document, existing: Document | None) -> None:
    _person(company, fields, existing)
    wanted = ref_value(fields.get("CurrencyRef")) or ref_value((existing or {}).get("CurrencyRef"))
    fields["CurrencyRef"] = company.currency(wanted or company.home_currency)
    if existing is None:
        fields["Balance"] = ZERO


def _item(company: Company, fields: Document, existing: Document | None) -> None:
    _require_name(fields, "Name")
    if ":" in fields["Name"] and not company.seeding:
        raise faults.invalid_characters("Name")
    kind = fields.get("Type") or (existing or {}).get("Type") or "Service"
    if kind not in ("Service", "NonInventory", "Inventory", "Category", "Group"):
        raise faults.invalid_enumeration("Type", kind)
    if kind == "Group" and existing is None and not company.seeding:
        raise faults.unsupported_operation("create of Item of type Group")
    fields["Type"] = kind
    needed = {
        "Service": ("IncomeAccountRef",),
        "NonInventory": ("IncomeAccountRef",),
        "Inventory": ("IncomeAccountRef", "AssetAccountRef", "ExpenseAccountRef", "QtyOnHand", "InvStartDate"),
    }
    for name in needed.get(kind, ()):
        if name not in fields and not company.seeding:
            raise faults.required(name)
    income = company.find("Account", ref_value(fields.get("IncomeAccountRef")) or "")
    if income is not None and income.get("AccountType") not in ("Income", "Other Income") and not company.seeding:
        raise faults.QuickBooksFault(
            "6430",
            "Invalid account type",
            "Invalid account type used : Wrong account type used in IncomeAccountRef.",
            "IncomeAccountRef",
        )
    for name in ("UnitPrice", "PurchaseCost", "QtyOnHand"):
        if name in fields:
            fields[name] = plain(number(fields[name], name))
    if kind != "Category":
        fields.setdefault("UnitPrice", ZERO)
        fields.setdefault("PurchaseCost", ZERO)
        fields.setdefault("Taxable", False)
        fields.setdefault("TrackQtyOnHand", kind == "Inventory")


def _term(company: Company, fields: Document, existing: Document | None) -> None:
    _require_name(fields, "Name")
    for name in ("DueDays", "DayOfMonthDue", "DueNextMonthDays", "DiscountDays", "DiscountDayOfMonth"):
        if name in fields:
            value = number(fields[name], name)
            if value != value.to_integral_value() or not 0 <= value <= 999:
                raise faults.invalid_number(name, fields[name])
            fields[name] = int(value)
    if "DiscountPercent" in fields:
        fields["DiscountPercent"] = plain(number(fields["DiscountPercent"], "DiscountPercent"))
    if "DueDays" in fields:
        fields["Type"] = "STANDARD"
        fields.setdefault("DiscountPercent", ZERO)
        fields.setdefault("DiscountDays", 0)
    elif "DayOfMonthDue" in fields:
        if not 1 <= fields["DayOfMonthDue"] <= 31:
            raise faults.invalid_number("DayOfMonthDue", fields["DayOfMonthDue"])
        fields["Type"] = "DATE_DRIVEN"
        fields.setdefault("DueNextMonthDays", 0)
    else:
        raise faults.required("DueDays")


def _account(company: Company, fields: Document, existing: Document | None) -> None:
    _require_name(fields, "Name")
    if not company.seeding and any(mark in fields["Name"] for mark in '":'):
        raise faults.invalid_characters("Name")
    if "AccountType" not in fields and "AccountSubType" not in fields:
        raise faults.required("AccountType")
    fields.setdefault("AccountType", (existing or {}).get("AccountType", "Income"))
    if fields["AccountType"] not in _CLASSIFICATIONS:
        raise faults.invalid_enumeration("AccountType", fields["AccountType"])
    fields.setdefault("Classification", _CLASSIFICATIONS[fields["AccountType"]])
    fields["CurrencyRef"] = company.currency(ref_value(fields.get("CurrencyRef")) or company.home_currency)
    if existing is None:
        fields["CurrentBalance"] = fields["CurrentBalanceWithSubAccounts"] = money(stored(0))


def _company_currency(company: Company, fields: Document, existing: Document | None) -> None:
    _require_name(fields, "Code")
    if not company.seeding and not company.multicurrency:
        raise faults.feature_off("Multicurrency")
    if len(fields["Code"]) != 3 or not fields["Code"].isalpha():
        raise faults.QuickBooksFault("2220", "Invalid Currency", f"Invalid Currency : {fields['Code']}", "Code")
    fields["Code"] = fields["Code"].upper()
    fields.setdefault("Name", fields["Code"])


def _tracked(group: str, name: str, feature: str) -> Callable[[Company, Document, Document | None], None]:
    def rule(company: Company, fields: Document, existing: Document | None) -> None:
        _require_name(fields, "Name")
        names = (name, f"{name}Line")
        if not company.seeding and not any(company.preference(group, each, False) for each in names):
            raise faults.feature_off(feature)

    return rule


_RULES: dict[str, Callable[[Company, Document, Document | None], None]] = {
    "Customer": _customer,
    "Vendor": _vendor,
    "Employee": _person,
    "Item": _item,
    "Term": _term,
    "Account": _account,
    "CompanyCurrency": _company_currency,
    "Class": _tracked("AccountingInfoPrefs", "ClassTrackingPerTxn", "Class tracking"),
    "Department": _tracked("AccountingInfoPrefs", "TrackDepartments", "Location tracking"),
}
