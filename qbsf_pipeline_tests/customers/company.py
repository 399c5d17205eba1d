"""A small company in both services, account linked to customer: what tests of customers in step edit, look at and count."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from qbsf_pipeline.customers.automation import CUSTOMERS
from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.salesforce import objects as salesforce
from qbsf_pipeline.sandbox.server import SandboxControl, SandboxProcess, start_sandbox
from qbsf_pipeline.state.journal import JournalEntry
from qbsf_pipeline_tests.pipeline import Pipeline

_NUMBERS = count(1)
#: Every call of a service by which something there can change.
WRITES = {
    "quickbooks": ("batch", "create", "update", "send", "void", "delete"),
    "salesforce": ("collections_update", "collections_create", "record"),
    "slack": ("chat.postMessage",),
}


@dataclass(frozen=True)
class Pair:
    """An account and its customer."""

    account_id: str
    customer_id: str


class Company:
    """The services of a sandbox, seen through linked accounts and customers."""

    def __init__(self, control: SandboxControl) -> None:
        self.control = control

    def furnish(self) -> None:
        """Terms, and no limits that would make a test wait."""
        self.control.options(slack={"rate_limit": False}, quickbooks={"enforce_batch_per_minute": False})
        terms = [{"Name": "Net 30", "DueDays": 30}, {"Name": "Net 15", "DueDays": 15}]
        self.terms = {term["Name"]: term["Id"] for term in self.control.upsert_objects("Term", terms)}

    def pair(self, name: str = "Acme", account: Mapping[str, Any] | None = None, **customer: Any) -> Pair:
        """An account and its customer, each in its own spelling: nothing differs by meaning but what is given."""
        number = next(_NUMBERS)
        (made,) = self.control.upsert_objects("Customer", [self.customer_record(name, number) | customer])
        record = self.account_record(name, number) | {"QuickBooks_Customer_Id__c": made["Id"]} | dict(account or {})
        (account_id,) = self.control.upsert_records("Account", [record])
        return Pair(account_id, str(made["Id"]))

    def account_record(self, name: str, number: int) -> dict[str, Any]:
        return {
            "Name": f"{name} {number} Inc.",
            "BillingStreet": "1 Main Street\r\nSuite 5",
            "BillingCity": "Boulder",
            "BillingState": "CO",
            "BillingPostalCode": "80302",
            "BillingCountry": "USA",
            "Phone": f"(303) 555-{number:04d}",
            "Website": f"https://www.acme{number}.example",
            "Billing_Email__c": f"ap@acme{number}.example",
            "Payment_Terms__c": "Net 30",
        }

    def customer_record(self, name: str, number: int) -> dict[str, Any]:
        return {
            "DisplayName": f"{name.upper()} {number}, Inc",
            "CompanyName": f"{name} {number} Inc.",
            "BillAddr": {
                "Line1": "1 Main St., Ste 5",
                "City": "boulder",
                "CountrySubDivisionCode": "Colorado",
                "PostalCode": "80302-1234",
                "Country": "United States",
            },
            "PrimaryPhone": {"FreeFormNumber": f"+1 303.555.{number:04d}"},
            "WebAddr": {"URI": f"http://acme{number}.example/"},
            "PrimaryEmailAddr": {"Address": f"AP@acme{number}.example"},
            "SalesTermRef": {"value": self.terms["Net 30"]},
            "Notes": "pays late, call Ann",
        }

    # Looking

    def account(self, pair: Pair) -> dict[str, Any]:
        return next(one for one in self.control.records("Account") if one["Id"] == pair.account_id)

    def customer(self, pair: Pair) -> dict[str, Any]:
        return next(one for one in self.control.objects("Customer") if one["Id"] == pair.customer_id)

    def token(self, pair: Pair) -> int:
        """The SyncToken: how often the customer was written since it was made."""
        return int(self.customer(pair)["SyncToken"])

    def phones(self, pair: Pair) -> tuple[str | None, str | None]:
        """The account's and the customer's."""
        return self.account(pair).get("Phone"), self.customer(pair).get("PrimaryPhone", {}).get("FreeFormNumber")

    def writes(self) -> dict[str, int]:
        """Calls by system that could have changed something there, since the calls were cleared."""
        counts = self.control.call_counts()
        return {
            system: sum(number for (service, endpoint), number in counts.items() if service == system and endpoint in endpoints)
            for system, endpoints in WRITES.items()
        }

    def told(self) -> list[str]:
        """What Slack shows, message by message, oldest first."""
        return ["\n".join(block["text"]["text"] for block in message["blocks"]) for message in self.control.messages()]

    # Editing, as people do

    def edit_account(self, pair: Pair, **fields: Any) -> None:
        # Salesforce stamps by the second, and a person's second edit does not come in the second of our write.
        self.control.advance_clock(1)
        self.control.upsert_records("Account", [{"Id": pair.account_id, **fields}])

    def edit_customer(self, pair: Pair, **fields: Any) -> dict[str, Any]:
        (found,) = self.control.upsert_objects("Customer", [{"Id": pair.customer_id, **fields}])
        return dict(found)

    def call(self, pair: Pair, phone: str) -> None:
        """Somebody in finance writes another phone number on the customer."""
        self.edit_customer(pair, PrimaryPhone={"FreeFormNumber": phone})

    def clean(self) -> None:
        """Take away what was ordered, and every account, so that the next test begins alone."""
        self.control.clear_faults()
        self.control.salesforce("behave", clear=True)
        for record in self.control.records("Account"):
            if not record.get("IsDeleted"):
                self.control.delete_record("Account", record["Id"])
        self.control.clear_calls()


@contextmanager
def company_in(folder: Path) -> Iterator[tuple[SandboxProcess, Company]]:
    """A furnished company in a sandbox of its own."""
    with start_sandbox(folder, empty=True) as sandbox:
        company = Company(sandbox.control)
        company.furnish()
        yield sandbox, company


def one_pass(pipeline: Pipeline) -> None:
    """What ``qbsf sync --flow customers`` does: plan, gate, make pending, and push where something waits."""
    synced = pipeline.run("sync_customers", *SYNCED)
    assert synced.success
    if pipeline.settings.mode.writes and CUSTOMERS.waiting(pipeline.doors):
        assert pipeline.run("push_customers", *PUSHED).success


#: A pass without the reporting tables, which follow from what is tested here.
SYNCED = (
    *(f"{table.schema}/{table.name}" for table in (*salesforce.TABLES, *quickbooks.TABLES)),
    *(f"customers/{name}" for name in ("matches", "plan", "field_differences", "refusals", "pending")),
)
PUSHED = ("customers/pushed",)


def journal(pipeline: Pipeline) -> list[JournalEntry]:
    """The journal, oldest first."""
    return list(reversed(pipeline.doors.state.journal.list()))


def said(pipeline: Pipeline) -> list[tuple[str, str, str]]:
    """Field, kind and status of every entry of the journal, oldest first."""
    return [(entry.field, entry.kind, entry.status) for entry in journal(pipeline)]
