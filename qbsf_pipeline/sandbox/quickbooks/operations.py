"""One write of one object, as a single request or as an item of a batch."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from qbsf_pipeline.sandbox.quickbooks import entities, faults, payments, recurring, sales_forms
from qbsf_pipeline.sandbox.quickbooks.company import Company, Document
from qbsf_pipeline.sandbox.quickbooks.options import QuickBooksOptions
from qbsf_pipeline.sandbox.quickbooks.properties import LIST_ENTITIES, SALES_FORMS


def write(
    company: Company,
    entity: str,
    body: Any,
    options: QuickBooksOptions,
    *,
    operation: str | None = None,
    include: Collection[str] = (),
) -> Document:
    """Do it, wholly or not at all; the answer without the envelope's `time`, as `{"Invoice": {...}}`.

    `operation` is None, create, update, delete or void; `include` may hold `void` and `allowduplicatedocnum`.

    Raises:
        QuickBooksFault: why it is refused.
    """
    if not isinstance(body, dict):
        raise faults.unsupported_property("an object is expected")
    with company.atomic():
        if operation == "delete":
            return {entity: _delete(company, entity, body)}
        if operation == "void":
            if entity != "Invoice":
                raise faults.unsupported_operation(f"void of {entity}")
            return {entity: sales_forms.void_sales_form(company, entity, body)}
        if operation == "update" and "void" in include:
            return {entity: _void_by_update(company, entity, body)}
        if operation not in (None, "create", "update"):
            raise faults.unsupported_operation(str(operation))
        if operation == "update" and entity != "RecurringTransaction" and body.get("Id") in (None, ""):
            raise faults.required("Id")
        return {entity: _save(company, entity, body, options, include)}


def _save(
    company: Company, entity: str, body: Mapping[str, Any], options: QuickBooksOptions, include: Collection[str]
) -> Document:
    if entity in SALES_FORMS:
        allow = "allowduplicatedocnum" in include
        return sales_forms.save_sales_form(company, entity, body, options, allow_duplicate_number=allow)
    if entity == "Payment":
        return payments.save_payment(company, body)
    if entity == "Deposit":
        return payments.save_deposit(company, body)
    if entity == "JournalEntry":
        return payments.save_journal_entry(company, body)
    if entity == "RecurringTransaction":
        return recurring.save_template(company, body, options)
    return entities.save_list_object(company, entity, body)


def _delete(company: Company, entity: str, body: Mapping[str, Any]) -> Document:
    if entity in LIST_ENTITIES or entity in ("Preferences", "CompanyInfo"):
        raise faults.unsupported_operation(f"delete of {entity}")
    if entity == "RecurringTransaction":
        return recurring.delete_template(company, body)
    if entity == "Payment":
        payments.delete_payment(company, body)
    elif entity == "Deposit":
        payments.delete_deposit(company, body)
    elif entity == "JournalEntry":
        payments.delete_journal_entry(company, body)
    else:
        sales_forms.delete_sales_form(company, entity, body)
    return {"status": "Deleted", "domain": "QBO", "Id": str(body["Id"])}


def _void_by_update(company: Company, entity: str, body: Mapping[str, Any]) -> Document:
    if entity == "Payment":
        return payments.void_payment(company, body)
    if entity == "SalesReceipt":
        return sales_forms.void_sales_form(company, entity, body)
    if entity == "Invoice":
        # What a batch item says: operation update, optionsData void.
        return sales_forms.void_sales_form(company, entity, body)
    raise faults.unsupported_operation(f"void of {entity}")


def read(company: Company, entity: str, object_id: str) -> Document:
    """`{"Invoice": {...}}`.

    Raises:
        QuickBooksFault: 610.
    """
    document = company.require(entity, object_id)
    return {entity: recurring.as_answer(document) if entity == "RecurringTransaction" else document}
