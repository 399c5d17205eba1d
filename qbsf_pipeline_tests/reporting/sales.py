"""A company's deals, customers, products and invoices, written down by a test, on top of its books."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.reporting.state_tables import CUSTOMER_LINKS
from qbsf_pipeline.salesforce import objects as salesforce
from qbsf_pipeline_tests.reporting.receivables import ANA, Ledger, day


class Sales(Ledger):
    """Deals of accounts, and invoices of customers as QuickBooks has them, beside what is owed of them."""

    def account(self, account_id: str, *customer_ids: str, **more: Any) -> None:
        """An account, and the customers that it is linked to."""
        row = {"id": account_id, "name": f"Account {account_id}", "is_deleted": False}
        self.put(salesforce.ACCOUNT, row | more)
        links = [{"account_id": account_id, "customer_id": customer_id, "method": "person"} for customer_id in customer_ids]
        self.put(CUSTOMER_LINKS, *links)

    def customer(self, customer_id: str, **more: Any) -> None:
        row = {"id": customer_id, "display_name": f"Customer {customer_id}", "is_deleted": False, "active": True}
        self.put(quickbooks.CUSTOMER, row | more)

    def deal(self, deal_id: str, amount: str | None, closed: str, account: str | None = "A1", **more: Any) -> None:
        """A won deal of Ana's, unless said otherwise."""
        row = {
            "id": deal_id,
            "name": f"Deal {deal_id}",
            "account_id": account,
            "owner_id": ANA,
            "close_date": day(closed),
            "is_won": True,
            "is_closed": True,
            "amount": None if amount is None else Decimal(amount),
            "is_deleted": False,
        }
        self.put(salesforce.OPPORTUNITY, row | more)

    def product(self, product_id: str, **more: Any) -> None:
        self.put(salesforce.PRODUCT2, {"id": product_id, "name": f"Product {product_id}", "is_deleted": False} | more)

    def item(self, item_id: str, **more: Any) -> None:
        row = {"id": item_id, "name": f"Item {item_id}", "type": "Service", "active": True, "is_deleted": False}
        self.put(quickbooks.ITEM, row | more)

    def line(self, line_id: str, deal_id: str, total: str, product: str | None = None, **more: Any) -> None:
        """A line of a deal."""
        row = {
            "id": line_id,
            "opportunity_id": deal_id,
            "product_id": product,
            "total_price": Decimal(total),
            "quantity": Decimal(1),
        }
        self.put(salesforce.OPPORTUNITY_LINE_ITEM, row | {"is_deleted": False} | more)

    def bill(
        self,
        invoice_id: str,
        total: str,
        dated: str,
        deal: str | None = None,
        *,
        tax: str = "0.00",
        lines: Sequence[Mapping[str, Any]] | None = None,
        delivered: str | None = None,
        owed: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> None:
        """An invoice in QuickBooks and what is owed of it; ``owed``: values of ``receivables.invoices``."""
        record: dict[str, Any] = {"Line": lines if lines is not None else [sold(total)]}
        if delivered:
            record["DeliveryInfo"] = {"DeliveryTime": delivered}
        row = {
            "id": invoice_id,
            "doc_number": f"INV-{invoice_id}",
            "customer_id": "1",
            "txn_date": day(dated),
            "due_date": day(dated),
            "total": Decimal(total),
            "balance": Decimal(total),
            "tax": Decimal(tax),
            "status": "live",
            "email_status": "EmailSent" if delivered else "NotSet",
            "opportunity_id": deal,
            "is_deleted": False,
            "record": json.dumps(record),
        } | more
        self.put(quickbooks.INVOICE, row)
        kept = {
            "customer_id": row["customer_id"],
            "currency": row.get("currency") or "USD",
            "exchange_rate": row.get("exchange_rate"),
        }
        self.invoice(invoice_id, total, dated, **{"opportunity_id": deal} | kept | dict(owed or {}))

    def pay(self, payment_id: str, total: str, dated: str, customer: str = "1", **more: Any) -> None:
        """A payment as QuickBooks has it; what it is applied to says :meth:`apply`."""
        row = {"id": payment_id, "customer_id": customer, "txn_date": day(dated), "total": Decimal(total), "is_deleted": False}
        self.put(quickbooks.PAYMENT, row | more)


def sold(amount: str, item: str | None = None, **more: Any) -> dict[str, Any]:
    """A line of an invoice, as QuickBooks writes it."""
    detail = {"ItemRef": {"value": item, "name": f"Item {item}"}} if item else {}
    return {"Amount": float(amount), "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": detail | more}
