"""Payloads: what is written to QuickBooks and Salesforce, as JSON-ready dictionaries, and what had to be mended in texts.

Shapes and limits are those of Intuit's API reference (Customer, Item, Invoice). Nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from qbsf_pipeline.customers import texts
from qbsf_pipeline.customers.payloads import Mender, address
from qbsf_pipeline.invoices.lines import InvoiceLine, plain
from qbsf_pipeline.settings import AccountFields, OpportunityFields


@dataclass(frozen=True)
class PricedLine:
    """A line with everything that its references stand for.

    Attributes:
        item: id of the item, or ``$item:{product_id}`` for one that the same push creates.
    """

    line: InvoiceLine
    item: str
    tax_code: str | None
    class_id: str | None
    description: str
    service_date: date | None


@dataclass(frozen=True)
class InvoiceHead:
    """An invoice without its lines.

    Attributes:
        customer: id of the customer, or ``$customer:{account_id}`` for one that the same push creates.
        currency: only where the company has several.
        document_number: ``$next`` where the company asks for custom numbers.
        tax_calculation: only outside the United States.
    """

    customer: str
    txn_date: date
    due_date: date | None
    term_id: str | None
    email: str | None
    currency: str | None
    document_number: str | None
    private_note: str
    customer_memo: str
    class_id: str | None
    department_id: str | None
    tax_calculation: str | None


def invoice(head: InvoiceHead, lines: Sequence[PricedLine], account: Mapping[str, Any], mender: Mender) -> dict[str, Any]:
    """The body of a new invoice."""
    body: dict[str, Any] = {"CustomerRef": {"value": head.customer}, "TxnDate": head.txn_date.isoformat()}
    _put(body, "DueDate", head.due_date.isoformat() if head.due_date is not None else None)
    _put_ref(body, "SalesTermRef", head.term_id)
    _put(body, "BillEmail", {"Address": head.email} if head.email else None)
    _put_ref(body, "CurrencyRef", head.currency)
    _put(body, "DocNumber", head.document_number)
    body["PrivateNote"] = mender.fit(head.private_note, texts.PRIVATE_NOTE_LENGTH, "private note", one_line=False, free_text=True)
    memo = mender.fit(head.customer_memo, texts.CUSTOMER_MEMO_LENGTH, "message to the customer", one_line=False, free_text=True)
    _put(body, "CustomerMemo", {"value": memo} if memo else None)
    _put(body, "BillAddr", address(account, "billing", mender))
    _put_ref(body, "ClassRef", head.class_id)
    _put_ref(body, "DepartmentRef", head.department_id)
    _put(body, "GlobalTaxCalculation", head.tax_calculation)
    body["Line"] = [_line(number, line, mender) for number, line in enumerate(lines, start=1)]
    return body


def _line(number: int, priced: PricedLine, mender: Mender) -> dict[str, Any]:
    detail: dict[str, Any] = {"ItemRef": {"value": priced.item}}
    if priced.line.rate is not None and priced.line.line.quantity is not None:
        detail["Qty"] = plain(priced.line.line.quantity)
        detail["UnitPrice"] = priced.line.rate
    _put_ref(detail, "TaxCodeRef", priced.tax_code)
    _put(detail, "ServiceDate", priced.service_date.isoformat() if priced.service_date is not None else None)
    _put_ref(detail, "ClassRef", priced.class_id)
    body: dict[str, Any] = {
        "LineNum": number,
        "DetailType": "SalesItemLineDetail",
        "Amount": priced.line.amount,
        "SalesItemLineDetail": detail,
    }
    description = mender.fit(
        priced.description, texts.DESCRIPTION_LENGTH, f"description of line {number}", one_line=False, free_text=True
    )
    _put(body, "Description", description)
    return body


def item(name: str, sku: str | None, description: str | None, income_account_id: str, mender: Mender) -> dict[str, Any]:
    """The body of a new item: a service, sold to the given income account."""
    body: dict[str, Any] = {"Name": name, "Type": "Service"}
    _put(body, "Sku", mender.fit(sku, texts.SKU_LENGTH, "product code"))
    _put(
        body,
        "Description",
        mender.fit(description, texts.DESCRIPTION_LENGTH, "product description", one_line=False, free_text=True),
    )
    body["IncomeAccountRef"] = {"value": income_account_id}
    return body


def opportunity_write_back(opportunity_id: str, fields: OpportunityFields, *, only_one: bool = True) -> dict[str, Any]:
    """What a deal is told of the invoice that the same push creates.

    Args:
        only_one: whether the deal has no other invoice. Of a deal with several, status and balance are those of all of them
            together, which the payments flow tells.
    """
    body = {
        "Id": opportunity_id,
        fields.invoice_id: "$invoice.Id",
        fields.invoice_number: "$invoice.DocNumber",
        fields.invoice_url: "$invoice.link",
    }
    if only_one:
        body |= {fields.payment_status: "$invoice.status", fields.invoice_balance: "$invoice.Balance"}
    return body


def opportunity_adoption(
    opportunity_id: str, found: Mapping[str, Any], link: str, fields: OpportunityFields, *, only_one: bool = True
) -> dict[str, Any]:
    """What a deal is told of an invoice that exists already.

    Args:
        found: of ``quickbooks.invoice``: id, doc_number, status, balance, email_status.
        link: where a person opens the invoice.
        only_one: see :func:`opportunity_write_back`.
    """
    status = {"voided": "Voided", "deleted": "Deleted"}.get(found["status"] or "")
    balance: Decimal | None = found["balance"]
    body: dict[str, Any] = {"Id": opportunity_id, fields.invoice_id: found["id"]}
    _put(body, fields.invoice_number, found["doc_number"])
    body[fields.invoice_url] = link
    if not only_one:
        return body
    body[fields.payment_status] = status or ("Sent" if found["email_status"] == "EmailSent" else "Invoiced")
    if balance is not None:
        body[fields.invoice_balance] = balance
    return body


def addressed(account: Mapping[str, Any], bill_to: Mapping[str, str] | None) -> Mapping[str, Any]:
    """The account with the billing address of a quote in place of its own.

    Args:
        account: row of ``salesforce.account``.
        bill_to: name, street, city, state, postal_code, country; ``None`` where the quote decides nothing.
    """
    if bill_to is None:
        return account
    told = {f"billing_{part}": bill_to[part] for part in ("city", "state", "postal_code", "country")}
    street = "\n".join(part for part in (bill_to["name"], bill_to["street"]) if part)
    return {**account, **told, "billing_street": street}


def account_write_back(account_id: str, customer_id: str, fields: AccountFields) -> dict[str, Any]:
    """What an account is told of its customer: an id, or ``$customer.Id``."""
    return {"Id": account_id, fields.customer_id: customer_id}


def _put(body: dict[str, Any], name: str, value: Any) -> None:
    if value:
        body[name] = value


def _put_ref(body: dict[str, Any], name: str, value: str | None) -> None:
    if value:
        body[name] = {"value": value}
