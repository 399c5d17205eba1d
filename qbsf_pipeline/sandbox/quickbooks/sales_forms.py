"""Rules of invoices, credit memos, sales receipts and refund receipts.

Belongs here: what a form looks like after QuickBooks completed it, voiding, sending. Does not belong here: how payments
are applied (`payments`).
"""

from __future__ import annotations

import calendar
import copy
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from qbsf_pipeline.sandbox.quickbooks import faults, payments
from qbsf_pipeline.sandbox.quickbooks.company import (
    CENT,
    ZERO,
    Company,
    Document,
    as_stamp,
    cents,
    check_email,
    money,
    number,
    parse_date,
    plain,
    ref_value,
    stored,
)
from qbsf_pipeline.sandbox.quickbooks.options import QuickBooksOptions
from qbsf_pipeline.sandbox.quickbooks.properties import (
    KNOWN_IN_LINE,
    KNOWN_IN_SALES_ITEM,
    read_only,
)

_MAX_LINES = 10_000
_MAX_DESCRIPTION = 4000
_HALF_CENT = CENT / 2
_ONLINE = ("AllowIPNPayment", "AllowOnlinePayment", "AllowOnlineCreditCardPayment", "AllowOnlineACHPayment")


def save_sales_form(
    company: Company,
    entity: str,
    body: Mapping[str, Any],
    options: QuickBooksOptions,
    *,
    allow_duplicate_number: bool = False,
) -> Document:
    """Create (no `Id`), fully or sparsely update a sales form, and let credits apply themselves where that is on.

    Raises:
        QuickBooksFault: as section 10 of the sheet says.
    """
    existing = company.require_current(entity, body) if body.get("Id") not in (None, "") else None
    form = write_sales_form(company, entity, body, existing, options, allow_duplicate_number=allow_duplicate_number)
    if existing is None and company.preference("SalesFormsPrefs", "AutoApplyCredit", False) and not company.seeding:
        payments.apply_credits(company, entity, form)
    return company.require(entity, form["Id"])


def write_sales_form(
    company: Company,
    entity: str,
    body: Mapping[str, Any],
    existing: Document | None,
    options: QuickBooksOptions,
    *,
    object_id: str | None = None,
    allow_duplicate_number: bool = False,
) -> Document:
    """The completed form, kept."""
    fields = complete_sales_form(company, entity, body, existing, options)
    _number(company, entity, fields, existing, allow_duplicate_number)
    frame = company.touched(existing) if existing is not None else company.new(entity, object_id)
    kept = {name: value for name, value in frame.items() if name in read_only(entity)}
    form = {**kept, **fields}
    form.setdefault("LinkedTxn", [])
    _set_balance(company, entity, form)
    return company.put(entity, form)


def complete_sales_form(
    company: Company, entity: str, body: Mapping[str, Any], existing: Document | None, options: QuickBooksOptions
) -> Document:
    """Everything of the form but number and balance: references named, lines, dates, taxes and totals. Nothing is kept.

    Raises:
        QuickBooksFault: as section 10 of the sheet says.
    """
    fields = company.writable(entity, body, existing)
    customer = _customer(company, entity, fields, existing)
    sent_lines = body.get("Line")
    if sent_lines is None and (existing is None or "Line" not in fields):
        raise faults.required("Line")
    _dates(company, entity, fields, body, existing, customer)
    company.check_open(fields["TxnDate"], existing["TxnDate"] if existing else None)
    _references(company, entity, fields, existing, customer)
    if sent_lines is None:
        lines = [line for line in fields["Line"] if line["DetailType"] != "SubTotalLineDetail"]
    else:
        lines = _lines(company, fields["Line"], existing)
    _totals(company, entity, fields, lines, customer, options)
    _mail_fields(company, fields)
    return fields


# Head ------------------------------------------------------------------------------------------------------------


def _customer(company: Company, entity: str, fields: Document, existing: Document | None) -> Document:
    if "CustomerRef" not in fields:
        raise faults.required("CustomerRef")
    before = ref_value((existing or {}).get("CustomerRef"))
    fields["CustomerRef"] = company.reference("Customer", fields["CustomerRef"], "CustomerRef", known=before)
    customer = company.require("Customer", fields["CustomerRef"]["value"])
    if existing is not None and before != customer["Id"] and existing.get("LinkedTxn"):
        raise faults.business("The customer of a transaction that has payments applied cannot be changed.")
    sent_currency = ref_value(fields.get("CurrencyRef"))
    customers_currency = ref_value(customer.get("CurrencyRef")) or company.home_currency
    if company.multicurrency and sent_currency is None and not company.seeding:
        raise faults.required("CurrencyRef")
    fields["CurrencyRef"] = company.currency(sent_currency or customers_currency)
    if fields["CurrencyRef"]["value"] != customers_currency and not company.seeding:
        raise faults.business("The transaction currency must be the same as the customer's currency.", "CurrencyRef")
    if company.multicurrency:
        rate = number(fields.get("ExchangeRate") or 1, "ExchangeRate")
        if rate <= 0:
            raise faults.invalid_number("ExchangeRate", rate)
        fields["ExchangeRate"] = plain(rate) if fields["CurrencyRef"]["value"] != company.home_currency else Decimal(1)
    else:
        fields.pop("ExchangeRate", None)
    return customer


def _dates(
    company: Company,
    entity: str,
    fields: Document,
    body: Mapping[str, Any],
    existing: Document | None,
    customer: Document,
) -> None:
    fields.setdefault("TxnDate", existing["TxnDate"] if existing else company.today().isoformat())
    txn_date = parse_date(fields["TxnDate"], "TxnDate")
    if entity != "Invoice":
        fields.pop("DueDate", None)
        return
    if existing is None and "SalesTermRef" not in fields:
        term = company.find("Term", ref_value(customer.get("SalesTermRef")) or "")
        default = ref_value(company.preference("SalesFormsPrefs", "DefaultTerms"))
        term = term or company.find("Term", default or "")
        if term is not None and term.get("Active") is not False:
            fields["SalesTermRef"] = {"value": term["Id"], "name": term["Name"]}
    if "SalesTermRef" in fields:
        before = ref_value((existing or {}).get("SalesTermRef"))
        fields["SalesTermRef"] = company.reference("Term", fields["SalesTermRef"], "SalesTermRef", known=before)
    sets_the_date = bool(body.get("DueDate"))
    moved = existing is not None and (
        fields["TxnDate"] != existing["TxnDate"]
        or ref_value(fields.get("SalesTermRef")) != ref_value(existing.get("SalesTermRef"))
    )
    if not sets_the_date and (moved or "DueDate" not in fields):
        term = company.find("Term", ref_value(fields.get("SalesTermRef")) or "")
        fields["DueDate"] = (due_date(term, txn_date) if term else txn_date).isoformat()


def due_date(term: Document, txn_date: date) -> date:
    """When an invoice of a date is due.

    STANDARD: so many days later. DATE_DRIVEN: the next day of month named, and one month on when the invoice is dated
    within `DueNextMonthDays` days of it.
    """
    if term.get("Type") != "DATE_DRIVEN":
        return txn_date + timedelta(days=int(term.get("DueDays") or 0))
    day = int(term["DayOfMonthDue"])
    due = _day_of_month(txn_date.year, txn_date.month, day)
    if due < txn_date:
        due = _next_month(due, day)
    grace = int(term.get("DueNextMonthDays") or 0)
    if grace and (due - txn_date).days <= grace:
        due = _next_month(due, day)
    return due


def _day_of_month(year: int, month: int, day: int) -> date:
    return date(year, month, min(day, calendar.monthrange(year, month)[1]))


def _next_month(current: date, day: int) -> date:
    return _day_of_month(current.year + current.month // 12, current.month % 12 + 1, day)


def _references(company: Company, entity: str, fields: Document, existing: Document | None, customer: Document) -> None:
    old = existing or {}
    if "DepartmentRef" in fields:
        if not company.seeding and not company.preference("AccountingInfoPrefs", "TrackDepartments", False):
            raise faults.feature_off("Location tracking")
        fields["DepartmentRef"] = company.reference(
            "Department", fields["DepartmentRef"], "DepartmentRef", known=ref_value(old.get("DepartmentRef"))
        )
    if "ClassRef" in fields:
        if not company.seeding and not company.preference("AccountingInfoPrefs", "ClassTrackingPerTxn", False):
            raise faults.feature_off("Class tracking per transaction")
        known = ref_value(old.get("ClassRef"))
        fields["ClassRef"] = company.reference("Class", fields["ClassRef"], "ClassRef", known=known)
    if entity in ("SalesReceipt", "RefundReceipt"):
        if "DepositToAccountRef" not in fields:
            if entity == "RefundReceipt" and not company.seeding:
                raise faults.required("DepositToAccountRef")
            fields["DepositToAccountRef"] = payments.undeposited_funds(company)
        known = ref_value(old.get("DepositToAccountRef"))
        fields["DepositToAccountRef"] = payments.money_account(company, fields["DepositToAccountRef"], known)
    if "PaymentMethodRef" in fields:
        known = ref_value(old.get("PaymentMethodRef"))
        fields["PaymentMethodRef"] = company.reference(
            "PaymentMethod", fields["PaymentMethodRef"], "PaymentMethodRef", known=known
        )
    for name in ("BillAddr", "ShipAddr"):
        if existing is None and name not in fields and customer.get(name):
            fields[name] = copy.deepcopy(customer[name])
    for custom in fields.get("CustomField", ()):
        if not isinstance(custom, dict) or str(custom.get("DefinitionId")) not in ("1", "2", "3"):
            raise faults.QuickBooksFault(
                "3000", "Invalid custom field", "Custom Field is not enabled or not defined.", "CustomField"
            )


def _mail_fields(company: Company, fields: Document) -> None:
    fields.setdefault("PrintStatus", "NeedToPrint")
    fields.setdefault("EmailStatus", "NotSet")
    fields.setdefault("ApplyTaxAfterDiscount", False)
    address = (fields.get("BillEmail") or {}).get("Address")
    if fields["EmailStatus"] == "NeedToSend" and not address and not company.seeding:
        raise email_required()


def email_required() -> faults.QuickBooksFault:
    """6420: the delivery is by e-mail and there is no address."""
    return faults.QuickBooksFault(
        "6420",
        "Email Address Required",
        "Email address is required when the delivery type is email.",
        "BillEmail",
    )


def _number(company: Company, entity: str, fields: Document, existing: Document | None, allow_duplicate: bool) -> None:
    doc_number = fields.get("DocNumber")
    if not company.preference("SalesFormsPrefs", "CustomTxnNumbers", False):
        # A number that is sent is kept and never checked (sheet, section 17).
        if doc_number is None and existing is None:
            fields["DocNumber"] = company.next_doc_number(entity)
        return
    unchanged = existing is not None and existing.get("DocNumber") == doc_number
    if doc_number is None or allow_duplicate or unchanged or company.seeding:
        return
    others = company.numbered(entity, str(doc_number)) - ({existing["Id"]} if existing else set())
    if others:
        raise faults.duplicate_number(str(doc_number), entity, min(others, key=int))


# Lines -----------------------------------------------------------------------------------------------------------


def _lines(company: Company, sent: list[Any], existing: Document | None) -> list[Document]:
    old = {line["Id"]: line for line in (existing or {}).get("Line", ()) if "Id" in line}
    highest = max((int(line_id) for line_id in old if line_id.isdigit()), default=0)
    lines: list[Document] = []
    for position, line in enumerate(sent):
        element = f"Line[{position}]"
        if not isinstance(line, dict):
            raise faults.unsupported_property(f"{element} is not an object")
        if not company.seeding:
            _check_names(line, KNOWN_IN_LINE)
        kind = line.get("DetailType")
        if not kind:
            raise faults.required(f"{element}.DetailType")
        if kind == "SubTotalLineDetail":
            continue
        previous = old.get(str(line.get("Id") or ""))
        result: Document = {}
        if kind != "DiscountLineDetail":
            if previous is not None:
                result["Id"] = previous["Id"]
            else:
                highest += 1
                result["Id"] = str(highest)
            result["LineNum"] = len(lines) + 1
        description = line.get("Description")
        if description not in (None, ""):
            if len(str(description)) > _MAX_DESCRIPTION and not company.seeding:
                raise faults.too_long(f"{element}.Description", _MAX_DESCRIPTION, len(str(description)))
            result["Description"] = str(description)
        if kind == "SalesItemLineDetail":
            _sales_item(company, element, line, result, previous)
        elif kind == "DiscountLineDetail":
            _discount(company, element, line, result)
        elif kind == "DescriptionOnly":
            result["DescriptionLineDetail"] = {}
        elif kind == "GroupLineDetail":
            raise faults.unsupported_operation("a bundle line in the sandbox")
        else:
            raise faults.invalid_enumeration(f"{element}.DetailType", kind)
        result["DetailType"] = kind
        lines.append(result)
    if not lines:
        raise faults.required("Line")
    if len(lines) > _MAX_LINES:
        raise faults.business(f"A transaction takes at most {_MAX_LINES} lines.", "Line")
    return lines


def _check_names(document: Mapping[str, Any], known: frozenset[str]) -> None:
    for name in document:
        if name not in known:
            raise faults.unsupported_property(f'Unrecognized field "{name}"')


def _sales_item(company: Company, element: str, line: Mapping[str, Any], result: Document, previous: Document | None) -> None:
    detail = line.get("SalesItemLineDetail") or {}
    if not isinstance(detail, dict):
        raise faults.unsupported_property(f"{element}.SalesItemLineDetail is not an object")
    if not company.seeding:
        _check_names(detail, KNOWN_IN_SALES_ITEM)
    if line.get("Amount") in (None, ""):
        raise faults.required(f"{element}.Amount")
    amount = number(line["Amount"], f"{element}.Amount")
    kept: Document = {}
    quantity = price = None
    if detail.get("Qty") not in (None, ""):
        quantity = number(detail["Qty"], f"{element}.Qty")
    if detail.get("UnitPrice") not in (None, ""):
        price = number(detail["UnitPrice"], f"{element}.UnitPrice")
    if quantity == 0 and price == 0:
        # What python-quickbooks sends for 'not given'.
        quantity = price = None
    if quantity is not None and price is not None and not company.seeding and abs(amount - cents(quantity * price)) > _HALF_CENT:
        raise faults.amount_mismatch()
    if quantity is not None:
        kept["Qty"] = plain(quantity)
    if price is not None:
        kept["UnitPrice"] = plain(price)
    old = (previous or {}).get("SalesItemLineDetail") or {}
    kept.update(_item(company, element, detail, old))
    kept.update(_tax_code(company, element, detail, kept))
    if ref_value(detail.get("ClassRef")):
        if not company.seeding and not company.preference("AccountingInfoPrefs", "ClassTrackingPerTxnLine", False):
            raise faults.feature_off("Class tracking per line")
        known = ref_value(old.get("ClassRef"))
        kept["ClassRef"] = company.reference("Class", detail["ClassRef"], f"{element}.ClassRef", known=known)
    if detail.get("ServiceDate"):
        kept["ServiceDate"] = parse_date(detail["ServiceDate"], f"{element}.ServiceDate").isoformat()
    result["Amount"] = money(amount)
    result["SalesItemLineDetail"] = kept


def _item(company: Company, element: str, detail: Mapping[str, Any], old: Mapping[str, Any]) -> Document:
    value = ref_value(detail.get("ItemRef"))
    if value == "SHIPPING_ITEM_ID":
        return {"ItemRef": {"value": value}}
    if value is None:
        if isinstance(detail.get("ItemRef"), dict) and detail["ItemRef"].get("name"):
            # A name alone is not resolved.
            raise faults.invalid_reference("Items", "", f"{element}.ItemRef")
        default = next((item["Id"] for item in company.docs("Item").values() if item.get("Name") == "Services"), None)
        if default is None:
            if company.seeding:
                return {}
            raise faults.QuickBooksFault(
                "6440", "Item or account required", "A line needs an item or an account.", f"{element}.ItemRef"
            )
        value = default
    known = ref_value(old.get("ItemRef"))
    ref = company.reference("Item", {"value": value}, f"{element}.ItemRef", known=known)
    item = company.require("Item", value)
    if item.get("Type") == "Category" and not company.seeding:
        raise faults.business("A category cannot be used on a transaction.", f"{element}.ItemRef")
    result: Document = {"ItemRef": ref}
    if ref_value(item.get("IncomeAccountRef")):
        result["ItemAccountRef"] = dict(item["IncomeAccountRef"])
    return result


def _tax_code(company: Company, element: str, detail: Mapping[str, Any], kept: Document) -> Document:
    code = ref_value(detail.get("TaxCodeRef"))
    if company.country == "US":
        if code is None:
            automated = company.preference("TaxPrefs", "PartnerTaxEnabled")
            return {"TaxCodeRef": {"value": "TAX" if automated else "NON"}}
        if code not in ("TAX", "NON"):
            raise faults.QuickBooksFault(
                "6100",
                "Invalid Tax Code",
                "Line level TaxCode must be either TAX or NON for US companies.",
                f"{element}.TaxCodeRef",
            )
        return {"TaxCodeRef": {"value": code}}
    if code is None:
        if company.seeding or not company.preference("TaxPrefs", "UsingSalesTax", False):
            return {}
        raise faults.business("Make sure all your transactions have a tax rate before you save.", element)
    found = company.reference("TaxCode", {"value": code}, f"{element}.TaxCodeRef")
    return {"TaxCodeRef": {"value": found["value"]}}


def _discount(company: Company, element: str, line: Mapping[str, Any], result: Document) -> None:
    detail = line.get("DiscountLineDetail") or {}
    kept: Document = {"PercentBased": detail.get("PercentBased") in (True, "true")}
    if kept["PercentBased"]:
        if detail.get("DiscountPercent") in (None, ""):
            raise _discount_missing(element)
        percent = number(detail["DiscountPercent"], f"{element}.DiscountPercent")
        if not 0 <= percent <= 100:
            raise _discount_missing(element)
        kept["DiscountPercent"] = plain(percent)
    else:
        if line.get("Amount") in (None, ""):
            raise _discount_missing(element)
        amount = number(line["Amount"], f"{element}.Amount")
        if amount < 0:
            raise faults.negative_amount(f"{element}.Amount")
        result["Amount"] = money(amount)
    if ref_value(detail.get("DiscountAccountRef")):
        kept["DiscountAccountRef"] = company.reference("Account", detail["DiscountAccountRef"], f"{element}.DiscountAccountRef")
    result["DiscountLineDetail"] = kept


def _discount_missing(element: str) -> faults.QuickBooksFault:
    return faults.QuickBooksFault(
        "6090", "Invalid discount", "Discount information is missing or invalid.", f"{element}.DiscountLineDetail"
    )


# Totals ----------------------------------------------------------------------------------------------------------


def _totals(
    company: Company,
    entity: str,
    fields: Document,
    lines: list[Document],
    customer: Document,
    options: QuickBooksOptions,
) -> None:
    ordinary = [line for line in lines if line["DetailType"] != "DiscountLineDetail"]
    discounts = [line for line in lines if line["DetailType"] == "DiscountLineDetail"]
    subtotal = sum((stored(line.get("Amount")) for line in ordinary), ZERO)
    discount = ZERO
    for line in discounts:
        if line["DiscountLineDetail"]["PercentBased"]:
            percent = stored(line["DiscountLineDetail"]["DiscountPercent"])
            line["Amount"] = money(subtotal * percent / 100)
        discount += stored(line["Amount"])
    taxable = sum((stored(line.get("Amount")) for line in ordinary if _is_taxable(company, line)), ZERO)
    tax = _tax(company, fields, customer, taxable, subtotal, discount, options)
    total = cents(subtotal - discount + tax)
    if total < 0 and not company.seeding:
        raise faults.business("The total amount of the transaction cannot be negative.", "TotalAmt")
    fields["Line"] = [
        *ordinary,
        {"Amount": money(subtotal), "DetailType": "SubTotalLineDetail", "SubTotalLineDetail": {}},
        *discounts,
    ]
    fields["TotalAmt"] = money(total)
    if company.multicurrency:
        fields["HomeTotalAmt"] = money(total * stored(fields["ExchangeRate"]))


def _is_taxable(company: Company, line: Document) -> bool:
    code = ref_value((line.get("SalesItemLineDetail") or {}).get("TaxCodeRef"))
    if company.country == "US":
        return code == "TAX"
    return code is not None and (company.find("TaxCode", code) or {}).get("Taxable") is not False


def _tax(
    company: Company,
    fields: Document,
    customer: Document,
    taxable: Decimal,
    subtotal: Decimal,
    discount: Decimal,
    options: QuickBooksOptions,
) -> Decimal:
    rate = stored(company.knob("tax_rate", options.tax_rate))
    exempt = customer.get("Taxable") is False or fields.get("GlobalTaxCalculation") == "NotApplicable"
    if not company.preference("TaxPrefs", "UsingSalesTax", False) or exempt or not rate:
        fields["TxnTaxDetail"] = {"TotalTax": ZERO}
        return ZERO
    base = taxable
    if not fields.get("ApplyTaxAfterDiscount", False) and subtotal:
        # The discount comes off before tax, in proportion to what is taxable.
        base = taxable - discount * taxable / subtotal
    tax = cents(base * rate / 100)
    line = {
        "Amount": money(tax),
        "DetailType": "TaxLineDetail",
        "TaxLineDetail": {
            "TaxRateRef": {"value": "1"},
            "PercentBased": True,
            "TaxPercent": plain(rate),
            "NetAmountTaxable": money(base),
        },
    }
    fields["TxnTaxDetail"] = {"TotalTax": money(tax), "TaxLine": [line]} if tax else {"TotalTax": ZERO}
    return tax


def _set_balance(company: Company, entity: str, form: Document) -> None:
    if entity in ("SalesReceipt", "RefundReceipt"):
        form["Balance"] = ZERO
        return
    total = stored(form["TotalAmt"])
    deposit = ZERO
    if entity == "Invoice":
        deposit = number(form.get("Deposit") or 0, "Deposit")
        if deposit < 0:
            raise faults.negative_amount("Deposit")
        if deposit > total:
            raise faults.business("The deposit is more than the total of the invoice.", "Deposit")
        form["Deposit"] = money(deposit)
        for name in _ONLINE:
            form[name] = form.get(name) in (True, "true")
    applied = payments.applied_to(company, entity, form)
    open_amount = cents(total - deposit - applied)
    if open_amount < 0 and applied:
        if entity == "CreditMemo":
            raise faults.business("More of this credit is applied than the new total.", "TotalAmt")
        # The excess goes back to the payments, the latest first.
        open_amount += payments.release(company, entity, form, -open_amount)
        form["LinkedTxn"] = payments.links_still_applied(company, entity, form)
    form["Balance"] = money(open_amount)
    if entity == "CreditMemo":
        form["RemainingCredit"] = form["Balance"]
    if company.multicurrency:
        form["HomeBalance"] = money(open_amount * stored(form["ExchangeRate"]))


# Void, delete, send ----------------------------------------------------------------------------------------------


def void_sales_form(company: Company, entity: str, body: Mapping[str, Any]) -> Document:
    """Amounts to zero, `PrivateNote` says so; payments of an invoice stay and become unapplied.

    Raises:
        QuickBooksFault: 5010, 610, 6200.
    """
    existing = company.require_current(entity, body)
    company.check_open(existing["TxnDate"])
    payments.unlink(company, entity, existing)
    form = company.touched(company.require(entity, existing["Id"]))
    # The release of its payments is part of this one modification.
    form["SyncToken"] = str(int(existing["SyncToken"]) + 1)
    for line in form["Line"]:
        if "Amount" in line:
            line["Amount"] = ZERO
        detail = line.get("SalesItemLineDetail")
        if detail is not None:
            detail.pop("UnitPrice", None)
            detail["Qty"] = ZERO
    for name in ("TotalAmt", "Balance", "HomeTotalAmt", "HomeBalance", "Deposit"):
        if name in form:
            form[name] = ZERO
    form["TxnTaxDetail"] = {"TotalTax": ZERO}
    form["LinkedTxn"] = []
    form["PrivateNote"] = voided_note(form.get("PrivateNote"))
    return company.put(entity, form)


def voided_note(note: str | None) -> str:
    """`Voided`, with the old note behind it."""
    return f"Voided - {note}" if note else "Voided"


def delete_sales_form(company: Company, entity: str, body: Mapping[str, Any]) -> None:
    """Take the form out, unless a payment is linked to it.

    Raises:
        QuickBooksFault: 5010, 610, 6000, 6200.
    """
    existing = company.require_current(entity, body)
    company.check_open(existing["TxnDate"])
    if existing.get("LinkedTxn"):
        raise faults.business("You must unlink the linked transactions before you delete this transaction.")
    company.remove(entity, existing["Id"])


def send_sales_form(company: Company, entity: str, object_id: str, send_to: str | None) -> Document:
    """Mail the form: `EmailStatus`, `DeliveryInfo`, and a document in the `mail` collection.

    `send_to` overwrites the `BillEmail` address.

    Raises:
        QuickBooksFault: 610, 2210, 6420 without any address.
    """
    form = company.touched(company.require(entity, object_id))
    if send_to is not None:
        check_email(send_to, "sendTo")
        form["BillEmail"] = {"Address": send_to}
    address = (form.get("BillEmail") or {}).get("Address")
    if not address:
        raise email_required()
    form["EmailStatus"] = "EmailSent"
    form["DeliveryInfo"] = {"DeliveryType": "Email", "DeliveryTime": as_stamp(company.now)}
    company.put(entity, form)
    mail_id = str(company.store.next_number("mail"))
    company.store.documents("mail")[mail_id] = {
        "id": mail_id,
        "entity": entity,
        "invoice_id": object_id,
        "doc_number": form.get("DocNumber"),
        "to": address,
        "cc": (form.get("BillEmailCc") or {}).get("Address"),
        "at": company.now.isoformat(),
    }
    return form
