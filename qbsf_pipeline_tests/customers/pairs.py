"""Linked accounts and customers as the services themselves keep them: JSON records, which a plan is applied to.

Reading goes through the same readers as a pull, so that a test sees what a pass would see after a write.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl

from qbsf_pipeline.customers.plan import (
    AGREEMENTS,
    LEDGER,
    PAIRS,
    REVERSALS,
    CustomerInputs,
    CustomerParameters,
    CustomerPlan,
    plan_customers,
)
from qbsf_pipeline.money import parse_json
from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.salesforce import objects as salesforce
from qbsf_pipeline.settings import Rules, load_rules
from qbsf_pipeline_tests.invoices.records import ORG, REALM, frame, record_id, state_frame

READ_AT = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
PARAMETERS = CustomerParameters(as_of=date(2026, 11, 20), organization_id=ORG, realm_id=REALM)
PACKAGED = load_rules()
STREET, ADDRESS_PARTS = ("Line1", "Line2", "Line3", "Line4", "Line5"), ("City", "CountrySubDivisionCode", "PostalCode", "Country")


def changed_rules(fields: Mapping[str, Mapping[str, Any]] | None = None, **values: Any) -> Rules:
    """The packaged rules with some keys changed: ``changed_rules({"phone": {"owner": "quickbooks"}}, sync={...})``; other keys
    are of ``customers``, except ``account``: of ``salesforce.account``."""
    raw = PACKAGED.model_dump()
    for name, keys in (fields or {}).items():
        raw["customers"]["fields"][name] |= keys
    raw["customers"]["sync"] |= values.pop("sync", {})
    raw["salesforce"]["account"] |= values.pop("account", {})
    raw["customers"] |= values
    return Rules.model_validate(raw)


def account(number: int = 1, **values: Any) -> dict[str, Any]:
    """A complete account as Salesforce answers it."""
    return {
        "Id": record_id("001", number),
        "Name": f"Acme {number} Inc.",
        "BillingStreet": "1 Main Street\r\nSuite 5",
        "BillingCity": "Boulder",
        "BillingState": "CO",
        "BillingPostalCode": "80302",
        "BillingCountry": "USA",
        "Phone": "(303) 555-0101",
        "Website": f"https://www.acme{number}.example",
        "Payment_Terms__c": "Net 30",
        "Billing_Email__c": f"ap@acme{number}.example",
        "LastModifiedById": record_id("005", 1),
        "SystemModstamp": "2026-11-19T10:00:00.000+0000",
        "IsDeleted": False,
        **values,
    }


def customer(number: int = 1, **values: Any) -> dict[str, Any]:
    """The same company as QuickBooks answers it, in its own spelling: nothing differs by meaning."""
    return {
        "Id": str(100 + number),
        "SyncToken": "0",
        "DisplayName": f"ACME {number}, Inc",
        "CompanyName": f"Acme {number} Inc.",
        "BillAddr": {
            "Id": "7",
            "Line1": "1 Main St., Ste 5",
            "City": "boulder",
            "CountrySubDivisionCode": "Colorado",
            "PostalCode": "80302-1234",
            "Country": "United States",
        },
        "PrimaryPhone": {"FreeFormNumber": "+1 303.555.0101"},
        "WebAddr": {"URI": f"http://acme{number}.example/"},
        "PrimaryEmailAddr": {"Address": f"AP@acme{number}.example"},
        "SalesTermRef": {"value": "3"},
        "Active": True,
        "Taxable": True,
        "Balance": Decimal(0),
        "CurrencyRef": {"value": "USD"},
        "MetaData": {"LastUpdatedTime": "2026-11-18T10:00:00-08:00"},
        **values,
    }


def contact(number: int = 1, of: int = 1, **values: Any) -> dict[str, Any]:
    """A row of ``salesforce.contact``: Ann Lee, who receives the invoices of account ``of``."""
    return {
        "id": record_id("003", number),
        "account_id": record_id("001", of),
        "first_name": "Ann",
        "last_name": "Lee",
        "email": f"ap@acme{of}.example",
        **values,
    }


@dataclass
class Books:
    """Records of both systems, the state's memory, and a plan's effect on them."""

    accounts: list[dict[str, Any]] = field(default_factory=lambda: [account()])
    customers: list[dict[str, Any]] = field(default_factory=lambda: [customer()])
    pairs: list[tuple[str, str]] | None = None
    contacts: list[dict[str, Any]] = field(default_factory=list)
    vendors: list[dict[str, Any]] = field(default_factory=list)
    employees: list[dict[str, Any]] = field(default_factory=list)
    terms: list[dict[str, Any]] = field(
        default_factory=lambda: [
            {"id": "3", "name": "Net 30", "active": True},
            {"id": "4", "name": "Net 15", "active": True},
            {"id": "5", "name": "Net 90", "active": False},
        ]
    )
    rules: Rules = PACKAGED
    agreements: dict[tuple[str, str], str] = field(default_factory=dict)
    reversals: list[dict[str, Any]] = field(default_factory=list)
    ledger: dict[str, str] = field(default_factory=dict)
    edits: int = 0

    # Reading

    def inputs(self) -> CustomerInputs:
        pairs = self.pairs
        if pairs is None:
            pairs = [(one["Id"], other["Id"]) for one, other in zip(self.accounts, self.customers, strict=False)]
        source = account_source(self.rules)
        return CustomerInputs(
            account=salesforce.ACCOUNT.frame([salesforce.row_of(source, one, READ_AT) for one in self.accounts]),
            contact=frame(salesforce.CONTACT, self.contacts),
            user=frame(salesforce.USER, [{"id": record_id("005", 1), "name": "Sam Seller"}]),
            customer=quickbooks.CUSTOMER.frame([quickbooks.row_of("Customer", one, READ_AT) for one in self.customers]),
            term=frame(quickbooks.TERM, self.terms),
            vendor=frame(quickbooks.VENDOR, self.vendors),
            employee=frame(quickbooks.EMPLOYEE, self.employees),
            preferences=frame(quickbooks.PREFERENCES, [{"id": "1", "home_currency": "USD"}]),
            pairs=state_frame(PAIRS, [{"account_id": a, "customer_id": c, "method": "link"} for a, c in pairs]),
            agreements=state_frame(
                AGREEMENTS, [{"account_id": a, "customer_id": c, "values": v} for (a, c), v in self.agreements.items()]
            ),
            reversals=state_frame(REVERSALS, self.reversals),
            ledger=state_frame(LEDGER, [{"key": key, "status": status} for key, status in self.ledger.items()]),
        )

    def plan(self) -> CustomerPlan:
        return plan_customers(self.inputs(), self.rules, PARAMETERS)

    # What a pass does

    def remember(self, plan: CustomerPlan) -> None:
        """Store the agreements; reversals that arrived are settled."""
        self.agreements |= {(a, c): values for a, c, values in plan.agreements.iter_rows()}
        self.reversals = [one for one in self.reversals if one["journal_id"] not in plan.carried_out]

    def apply(self, plan: CustomerPlan) -> None:
        """Carry out every write as the services would, each with a new version of its record."""
        for operation, key, payload in plan.writes.select("operation", "key", "payload").iter_rows():
            assert self.ledger.get(key) != "done", "done twice"
            body = parse_json(payload)
            if operation == "update_customer":
                record = self.customer(body.pop("Id"))
                assert body.pop("SyncToken") == record["SyncToken"], "stale"
                assert body.pop("sparse") is True
                self.edit_customer(record["Id"], **body)
            else:
                self.edit_account(body.pop("Id"), **body)
            self.ledger[key] = "done"

    def once(self) -> CustomerPlan:
        """One pass: plan, remember, apply."""
        plan = self.plan()
        self.remember(plan)
        self.apply(plan)
        return plan

    def settle(self) -> None:
        """Passes until nothing is written any more; a first difference needs two: the write, and reading it back."""
        for _ in range(4):
            if self.once().writes.is_empty():
                return
        raise AssertionError("it never comes to rest")

    # Edits, by people and by writes alike

    def account(self, account_id: str) -> dict[str, Any]:
        return next(one for one in self.accounts if one["Id"] == account_id)

    def customer(self, customer_id: str) -> dict[str, Any]:
        return next(one for one in self.customers if one["Id"] == customer_id)

    def edit_account(self, account_id: str | None = None, **fields: Any) -> None:
        record = self.account(account_id or self.accounts[0]["Id"])
        self.edits += 1
        at = datetime(2026, 11, 19, 11, tzinfo=UTC) + timedelta(seconds=self.edits)
        record |= fields | {"SystemModstamp": at.strftime("%Y-%m-%dT%H:%M:%S.000+0000")}

    def edit_customer(self, customer_id: str | None = None, **fields: Any) -> None:
        """A sparse update: an object replaces what was there, empty texts and objects empty it, ids stay."""
        record = self.customer(customer_id or self.customers[0]["Id"])
        for name, value in fields.items():
            if isinstance(value, Mapping):
                kept = {part: text for part, text in value.items() if text not in ("", None)}
                record.pop(name, None)
                record |= {name: kept} if kept else {}
            elif value in ("", None):
                record.pop(name, None)
            else:
                record[name] = value
        record["SyncToken"] = str(int(record["SyncToken"]) + 1)


def account_source(rules: Rules) -> salesforce.SalesforceObject:
    """How an account is read from an org that shows every field."""
    standard = {column.name: column.path for column in salesforce.ACCOUNT.columns if column.path and column.name != "record"}
    named = {column: name for column, name in rules.salesforce.account.model_dump().items() if name}
    return salesforce.SalesforceObject("Account", salesforce.ACCOUNT, standard | named, False, True, True)


def differences(plan: CustomerPlan) -> dict[str, tuple[str, str]]:
    """Kind and action of each difference, by field; of the first pair that has it."""
    rows = plan.differences.select("field", "kind", "action").rows()
    return {name: (kind, action) for name, kind, action in reversed(rows)}


def body(plan: CustomerPlan, operation: str = "update_customer", number: int = 0) -> dict[str, Any]:
    """What one write sends, without what names the record."""
    found = plan.writes.filter(pl.col("operation") == operation).get_column("payload").to_list()
    return {name: value for name, value in parse_json(found[number]).items() if name not in ("Id", "SyncToken", "sparse")}


def refused(plan: CustomerPlan) -> set[tuple[str, str]]:
    """Field and code of each refusal."""
    return set(plan.refusals.select("field", "code").iter_rows())
