"""A small, complete world for tests of the plan: one org, one company, and records that are sound until a test changes them.

Ids look like Salesforce's: three letters for the object, digits, 18 characters.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl

from qbsf_pipeline.customers.matching.plan import DECISIONS, LINKS, REJECTIONS, CustomerMatches, match_customers
from qbsf_pipeline.customers.matching.successors import SUCCESSORS
from qbsf_pipeline.invoices.inputs import InvoiceInputs, PlanParameters
from qbsf_pipeline.invoices.plan import InvoicePlan, plan_invoices
from qbsf_pipeline.invoices.recurring.known_templates import DealTemplate
from qbsf_pipeline.invoices.recurring.templates import FoundInvoice
from qbsf_pipeline.invoices.tables import GENERATIONS, INVOICE_LINKS, LEDGER
from qbsf_pipeline.money import parse_json
from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.salesforce import objects as salesforce
from qbsf_pipeline.salesforce.quotes_and_schedules import CPQ_QUOTE, CPQ_QUOTE_LINE, CPQ_SUBSCRIPTION
from qbsf_pipeline.settings import Rules, load_rules
from qbsf_pipeline.state.billing_schedules import AgreedSchedule
from qbsf_pipeline.warehouse.tables import TableSchema

READ_AT = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
TODAY = date(2026, 11, 20)
ORG, REALM = "00D000000000001AAA", "9130350000000001"
PARAMETERS = PlanParameters(
    as_of=TODAY,
    go_live=date(2026, 10, 1),
    organization_id=ORG,
    realm_id=REALM,
    invoice_link="https://qbo.test/app/invoice?txnId={id}",
)


def record_id(prefix: str, number: int = 1) -> str:
    """A Salesforce id of 18 characters."""
    return f"{prefix}{number:012d}AAA"


def rules(**sections: dict[str, Any]) -> Rules:
    """The packaged rules with some keys changed: ``rules(invoices={"send": "draft"})``."""
    packaged = load_rules()
    return packaged.model_copy(
        update={name: getattr(packaged, name).model_copy(update=values) for name, values in sections.items()}
    )


def opportunity(number: int = 1, **values: Any) -> dict[str, Any]:
    """A won deal of account 1 over 1,000.00 USD."""
    return {
        "id": record_id("006", number),
        "name": f"Deal {number}",
        "account_id": record_id("001"),
        "owner_id": record_id("005"),
        "close_date": date(2026, 11, 10),
        "stage_name": "Closed Won",
        "is_won": True,
        "is_closed": True,
        "amount": Decimal("1000.00"),
        "has_line_items": True,
        "payment_terms": "Net 30",
        "contract_url": "https://contracts.example/1",
        "billing_frequency": "One-Time",
        **values,
    }


def line(number: int = 1, deal: int = 1, **values: Any) -> dict[str, Any]:
    """Two units of product 1 at 500.00 each."""
    return {
        "id": record_id("00k", number),
        "opportunity_id": record_id("006", deal),
        "product_id": record_id("01t"),
        "product_code": "PLAT",
        "name": "Deal Platform",
        "quantity": Decimal(2),
        "unit_price": Decimal("500.00"),
        "total_price": Decimal("1000.00"),
        "sort_order": number,
        **values,
    }


def product(number: int = 1, **values: Any) -> dict[str, Any]:
    """The product Platform with code PLAT."""
    return {
        "id": record_id("01t", number),
        "name": "Platform",
        "product_code": "PLAT",
        "description": "Platform, one year",
        "is_active": True,
        **values,
    }


def account(number: int = 1, **values: Any) -> dict[str, Any]:
    """A complete account."""
    return {
        "id": record_id("001", number),
        "name": f"Acme {number} Inc.",
        "billing_street": "1 Main Street\r\nSuite 5",
        "billing_city": "Boulder",
        "billing_state": "CO",
        "billing_postal_code": "80302",
        "billing_country": "USA",
        "phone": "(303) 555-0101",
        "website": f"https://www.acme{number}.example",
        "payment_terms": "Net 30",
        "billing_email": f"ap@acme{number}.example",
        **values,
    }


def customer(number: int = 1, **values: Any) -> dict[str, Any]:
    """The customer that account 1 plainly is."""
    return {
        "id": str(100 + number),
        "sync_token": "0",
        "display_name": f"Acme {number}, Inc",
        "email": f"ap@acme{number}.example",
        "active": True,
        "currency": "USD",
        **values,
    }


def item(number: int = 1, **values: Any) -> dict[str, Any]:
    """The service item Platform with SKU PLAT."""
    return {
        "id": str(200 + number),
        "name": "Platform",
        "fully_qualified_name": "Platform",
        "sku": "PLAT",
        "type": "Service",
        "active": True,
        "taxable": False,
        "income_account_id": "79",
        **values,
    }


def invoice(number: int = 1, **values: Any) -> dict[str, Any]:
    """A live invoice that names no deal."""
    return {
        "id": str(300 + number),
        "doc_number": str(1000 + number),
        "customer_id": "101",
        "total": Decimal("1000.00"),
        "balance": Decimal("1000.00"),
        "currency": "USD",
        "status": "live",
        "created_at": READ_AT,
        **values,
    }


def ledger_line(key: str, status: str, operation: str = "create_invoice", **values: Any) -> dict[str, Any]:
    """A write in the ledger."""
    return {"key": key, "status": status, "operation": operation, **values}


def invoice_key(deal: int = 1, generation: int = 1) -> str:
    """The key of a deal's invoice."""
    return f"quickbooks:{REALM}:invoice:{record_id('006', deal)}:{generation}"


@dataclass
class World:
    """Records of both systems and of the state. Lists of rows; a test changes what it is about."""

    opportunities: list[dict[str, Any]] = field(default_factory=lambda: [opportunity()])
    lines: list[dict[str, Any]] = field(default_factory=lambda: [line()])
    products: list[dict[str, Any]] = field(default_factory=lambda: [product()])
    accounts: list[dict[str, Any]] = field(default_factory=lambda: [account()])
    contacts: list[dict[str, Any]] = field(default_factory=list)
    roles: list[dict[str, Any]] = field(default_factory=list)
    organization: dict[str, Any] = field(default_factory=lambda: {"id": ORG, "default_currency": "USD"})
    customers: list[dict[str, Any]] = field(default_factory=lambda: [customer()])
    invoices: list[dict[str, Any]] = field(default_factory=list)
    items: list[dict[str, Any]] = field(default_factory=lambda: [item()])
    terms: list[dict[str, Any]] = field(
        default_factory=lambda: [
            {"id": "3", "name": "Net 30", "type": "STANDARD", "active": True, "due_days": 30},
            {"id": "4", "name": "Net 15", "type": "STANDARD", "active": True, "due_days": 15},
        ]
    )
    vendors: list[dict[str, Any]] = field(default_factory=list)
    employees: list[dict[str, Any]] = field(default_factory=list)
    classes: list[dict[str, Any]] = field(default_factory=list)
    departments: list[dict[str, Any]] = field(default_factory=list)
    tax_codes: list[dict[str, Any]] = field(default_factory=list)
    accounts_of_ledger: list[dict[str, Any]] = field(
        default_factory=lambda: [{"id": "79", "name": "Sales", "account_type": "Income", "active": True, "currency": "USD"}]
    )
    preferences: dict[str, Any] = field(
        default_factory=lambda: {
            "id": "1",
            "home_currency": "USD",
            "multi_currency": False,
            "custom_document_numbers": False,
            "using_sales_tax": True,
        }
    )
    company: dict[str, Any] = field(default_factory=lambda: {"id": "1", "name": "Books", "country": "US"})
    links: list[dict[str, Any]] = field(default_factory=list)
    decisions: list[dict[str, Any]] = field(default_factory=list)
    rejections: list[dict[str, Any]] = field(default_factory=list)
    successors: list[dict[str, Any]] = field(default_factory=list)
    ledger: list[dict[str, Any]] = field(default_factory=list)
    invoice_links: list[dict[str, Any]] = field(default_factory=list)
    generations: list[dict[str, Any]] = field(default_factory=list)
    credit_memos: list[dict[str, Any]] = field(default_factory=list)
    quotes: list[dict[str, Any]] = field(default_factory=list)
    quote_lines: list[dict[str, Any]] = field(default_factory=list)
    subscriptions: list[dict[str, Any]] = field(default_factory=list)
    agreed: list[AgreedSchedule] = field(default_factory=list)
    approvals: dict[str, str] = field(default_factory=dict)
    templates: list[DealTemplate] = field(default_factory=list)
    template_invoices: list[FoundInvoice] = field(default_factory=list)

    def match(self, with_rules: Rules | None = None) -> CustomerMatches:
        """The customers of this world's accounts."""
        return match_customers(
            frame(salesforce.ACCOUNT, self.accounts),
            frame(quickbooks.CUSTOMER, self.customers),
            frame(salesforce.CONTACT, self.contacts),
            state_frame(LINKS, self.links),
            state_frame(DECISIONS, self.decisions),
            with_rules or load_rules(),
            rejections=state_frame(REJECTIONS, self.rejections),
            successors=state_frame(SUCCESSORS, self.successors),
        )

    def inputs(self, with_rules: Rules | None = None) -> InvoiceInputs:
        """This world as the plan takes it."""
        return InvoiceInputs(
            opportunity=frame(salesforce.OPPORTUNITY, self.opportunities),
            opportunity_line_item=frame(salesforce.OPPORTUNITY_LINE_ITEM, self.lines),
            product2=frame(salesforce.PRODUCT2, self.products),
            account=frame(salesforce.ACCOUNT, self.accounts),
            contact=frame(salesforce.CONTACT, self.contacts),
            opportunity_contact_role=frame(salesforce.OPPORTUNITY_CONTACT_ROLE, self.roles),
            organization=frame(salesforce.ORGANIZATION, [self.organization]),
            customer=frame(quickbooks.CUSTOMER, self.customers),
            invoice=frame(quickbooks.INVOICE, self.invoices),
            item=frame(quickbooks.ITEM, self.items),
            term=frame(quickbooks.TERM, self.terms),
            vendor=frame(quickbooks.VENDOR, self.vendors),
            employee=frame(quickbooks.EMPLOYEE, self.employees),
            class_=frame(quickbooks.CLASS, self.classes),
            department=frame(quickbooks.DEPARTMENT, self.departments),
            tax_code=frame(quickbooks.TAX_CODE, self.tax_codes),
            quickbooks_account=frame(quickbooks.ACCOUNT, self.accounts_of_ledger),
            preferences=frame(quickbooks.PREFERENCES, [self.preferences]),
            company_info=frame(quickbooks.COMPANY_INFO, [self.company]),
            matches=self.match(with_rules).matches,
            ledger=state_frame(LEDGER, self.ledger),
            invoice_links=state_frame(INVOICE_LINKS, self.invoice_links),
            generations=state_frame(GENERATIONS, self.generations),
            credit_memo=frame(quickbooks.CREDIT_MEMO, self.credit_memos),
            cpq_quote=frame(CPQ_QUOTE, self.quotes),
            cpq_quote_line=frame(CPQ_QUOTE_LINE, self.quote_lines),
            cpq_subscription=frame(CPQ_SUBSCRIPTION, self.subscriptions),
            agreed_schedules=tuple(self.agreed),
            decisions=self.approvals,
            templates=tuple(self.templates),
            template_invoices=tuple(self.template_invoices),
        )

    def plan(self, with_rules: Rules | None = None, **parameters: Any) -> InvoicePlan:
        """The plan for this world."""
        chosen = with_rules or load_rules()
        return plan_invoices(self.inputs(chosen), chosen, replace(PARAMETERS, **parameters))


def frame(table: TableSchema, rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Rows as a raw table, as if just read."""
    return table.frame([{"is_deleted": False, "extracted_at": READ_AT, "record": "{}", **row} for row in rows])


def state_frame(schema: pl.Schema, rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Rows as a frame of what the state remembers."""
    return pl.DataFrame([{name: row.get(name) for name in schema} for row in rows], schema=schema)


def operations(plan: InvoicePlan) -> list[str]:
    """The operations of a plan, in order."""
    return plan.writes.get_column("operation").to_list()


def payload(plan: InvoicePlan, operation: str, number: int = 0) -> dict[str, Any]:
    """The body of one write."""
    bodies = plan.writes.filter(pl.col("operation") == operation).get_column("payload").to_list()
    return parse_json(bodies[number])


def outcomes(plan: InvoicePlan) -> dict[str, str]:
    """What becomes of each deal, by name."""
    return dict(plan.deals.select("deal", "outcome").iter_rows())


def codes(plan: InvoicePlan) -> set[str]:
    """Codes of all refusals."""
    return set(plan.refusals.get_column("code").to_list())


def noted(plan: InvoicePlan) -> set[str]:
    """Codes of all notes."""
    return set(plan.notes.get_column("code").to_list())
