"""Deals that were billed, seen through the services of a sandbox: what tests of payments and ageing pay, void and look at."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from qbsf_pipeline.flows.automation import Flow
from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.salesforce import objects as salesforce
from qbsf_pipeline.sandbox.server import SandboxControl, SandboxProcess, start_sandbox
from qbsf_pipeline_tests.pipeline import Pipeline

_NUMBERS = count(1)
#: Every call of a service by which something there can change.
WRITES = {
    "quickbooks": ("batch", "create", "update", "send", "void", "delete"),
    "salesforce": ("collections_update", "collections_create", "record"),
    "slack": ("chat.postMessage",),
}
RAW = tuple(f"{table.schema}/{table.name}" for table in (*salesforce.TABLES, *quickbooks.TABLES))


@dataclass(frozen=True)
class Billed:
    """A deal and its invoice."""

    name: str
    deal_id: str
    account_id: str
    customer_id: str
    invoice_id: str
    number: str


class Company:
    """The sample company of a sandbox, with deals of our own beside those that it has."""

    def __init__(self, control: SandboxControl) -> None:
        self.control = control
        control.options(slack={"rate_limit": False})
        self.users = {one["Name"]: one for one in control.records("User")}
        self.today = datetime.now(UTC).astimezone(ZoneInfo("America/Los_Angeles")).date()
        (income,) = control.upsert_objects("Item", [{"Name": "Platform", "Type": "Service"}])
        self._item = income["Id"]

    def user_id(self, name: str | None) -> str | None:
        return None if name is None else self.users[name]["Id"]

    def bill(
        self,
        name: str = "Acme",
        amount: str = "100.00",
        owner: str = "Dana Whitfield",
        due: date | None = None,
        *,
        marked: bool = True,
        **invoice: Any,
    ) -> Billed:
        """A won deal, its account and customer, and its invoice, mailed and due in thirty days unless said otherwise."""
        (found,) = self.bill_many([name], amount, owner, due, marked=marked, **invoice)
        return found

    def bill_many(
        self,
        names: Sequence[str],
        amount: str = "100.00",
        owner: str = "Dana Whitfield",
        due: date | None = None,
        *,
        marked: bool = True,
        **invoice: Any,
    ) -> list[Billed]:
        numbers = [next(_NUMBERS) for _ in names]
        due = due or self.today + timedelta(days=30)
        customers = self.control.upsert_objects(
            "Customer",
            [
                {"DisplayName": f"{name} {number}", "GivenName": "Ann", "FamilyName": "O'Dell"}
                for name, number in zip(names, numbers, strict=True)
            ],
        )
        accounts = self.control.upsert_records(
            "Account",
            [
                {"Name": f"{name} {number}", "OwnerId": self.user_id(owner), "QuickBooks_Customer_Id__c": customer["Id"]}
                for name, number, customer in zip(names, numbers, customers, strict=True)
            ],
        )
        deals = self.control.upsert_records(
            "Opportunity",
            [
                {
                    "Name": f"{name} {number}: rollout",
                    "AccountId": account_id,
                    "OwnerId": self.user_id(owner),
                    "StageName": "Closed Won",
                    "CloseDate": "2020-01-01",
                    "Amount": amount,
                }
                for name, number, account_id in zip(names, numbers, accounts, strict=True)
            ],
        )
        bodies = [
            {
                "CustomerRef": {"value": customer["Id"]},
                "DocNumber": f"T-{number}",
                "TxnDate": (due - timedelta(days=30)).isoformat(),
                "DueDate": due.isoformat(),
                "EmailStatus": "EmailSent",
                "BillEmail": {"Address": f"ap@acme{number}.example"},
                "Line": [
                    {
                        "Amount": Decimal(amount),
                        "DetailType": "SalesItemLineDetail",
                        "SalesItemLineDetail": {"ItemRef": {"value": self._item}, "Qty": 1, "UnitPrice": Decimal(amount)},
                    }
                ],
                **({"PrivateNote": f"Salesforce Opportunity {deal_id}"} if marked else {}),
                **invoice,
            }
            for customer, number, deal_id in zip(customers, numbers, deals, strict=True)
        ]
        invoices = self.control.upsert_objects("Invoice", bodies)
        return [
            Billed(f"{name} {number}", deal_id, account_id, customer["Id"], made["Id"], made["DocNumber"])
            for name, number, deal_id, account_id, customer, made in zip(
                names, numbers, deals, accounts, customers, invoices, strict=True
            )
        ]

    def bill_more(self, billed: Billed, how_many: int, amount: str = "100.00") -> list[Billed]:
        """More deals of the same account, with an invoice each for the same customer."""
        numbers = [next(_NUMBERS) for _ in range(how_many)]
        common = {"AccountId": billed.account_id, "OwnerId": self.user_id("Dana Whitfield"), "StageName": "Closed Won"}
        deals = self.control.upsert_records(
            "Opportunity",
            [{**common, "Name": f"More {number}", "CloseDate": "2020-01-01", "Amount": amount} for number in numbers],
        )
        detail = {"ItemRef": {"value": self._item}, "Qty": 1, "UnitPrice": Decimal(amount)}
        line = {"Amount": Decimal(amount), "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": detail}
        invoices = self.control.upsert_objects(
            "Invoice",
            [
                {
                    "CustomerRef": {"value": billed.customer_id},
                    "DocNumber": f"T-{number}",
                    "EmailStatus": "EmailSent",
                    "Line": [line],
                    "PrivateNote": f"Salesforce Opportunity {deal_id}",
                }
                for number, deal_id in zip(numbers, deals, strict=True)
            ],
        )
        return [
            Billed(f"More {number}", deal_id, billed.account_id, billed.customer_id, made["Id"], made["DocNumber"])
            for number, deal_id, made in zip(numbers, deals, invoices, strict=True)
        ]

    # What finance and customers do

    def pay(self, billed: Billed, amount: str, day: date | None = None) -> str:
        """A payment for one invoice; returns its id."""
        (made,) = self.control.upsert_objects("Payment", [self._payment(billed, amount, day)])
        return str(made["Id"])

    def pay_together(self, several: Sequence[Billed], amount: str) -> None:
        """One payment that gives each of several invoices of a customer this amount."""
        each = [self._payment(one, amount, None) for one in several]
        lines = [line for one in each for line in one["Line"]]
        self.control.upsert_objects("Payment", [{**each[0], "TotalAmt": Decimal(amount) * len(each), "Line": lines}])

    def _payment(self, billed: Billed, amount: str, day: date | None) -> dict[str, Any]:
        link = {"TxnId": billed.invoice_id, "TxnType": "Invoice"}
        return {
            "CustomerRef": {"value": billed.customer_id},
            "TotalAmt": Decimal(amount),
            "TxnDate": (day or self.today).isoformat(),
            "PaymentRefNum": "CHK-1",
            "Line": [{"Amount": Decimal(amount), "LinkedTxn": [link]}],
        }

    def take_back(self, billed: Billed, payment_id: str) -> None:
        """The payment is voided, as after it bounced."""
        empty = {"Id": payment_id, "CustomerRef": {"value": billed.customer_id}, "TotalAmt": 0, "Line": []}
        self.control.upsert_objects("Payment", [{**empty, "PrivateNote": "Voided - bounced"}])

    # Looking

    def deal(self, billed: Billed) -> dict[str, Any]:
        return next(one for one in self.control.records("Opportunity") if one["Id"] == billed.deal_id)

    def shown(self, billed: Billed) -> tuple[str | None, Decimal | None, str | None]:
        """Payment status, balance and day of the last payment on the deal."""
        found = self.deal(billed)
        balance = found.get("Invoice_Balance__c")
        day = found.get("Last_Payment_Date__c")
        return found.get("Payment_Status__c"), None if balance is None else Decimal(str(balance)), day

    def age(self, billed: Billed) -> tuple[int | None, str | None]:
        """Days outstanding and bucket on the deal."""
        found = self.deal(billed)
        days = found.get("Days_Outstanding__c")
        return None if days is None else int(days), found.get("Aging_Bucket__c")

    def tasks(self) -> list[dict[str, Any]]:
        return [one for one in self.control.records("Task") if not one.get("IsDeleted")]

    def writes(self) -> dict[str, int]:
        """Calls by system that could have changed something there, since the calls were cleared."""
        counts = self.control.call_counts()
        return {
            system: sum(number for (service, endpoint), number in counts.items() if service == system and endpoint in endpoints)
            for system, endpoints in WRITES.items()
        }

    def told(self, about: str) -> list[tuple[str, str]]:
        """(channel, text) of every message that names something, oldest first."""
        found = [
            (str(one["channel"]), json.dumps(one.get("blocks") or one.get("text"), ensure_ascii=False))
            for one in self.control.messages()
        ]
        return [(channel, text) for channel, text in found if about in text]


@contextmanager
def company_in(folder: Path) -> Iterator[tuple[SandboxProcess, Company]]:
    """The sample company in a sandbox of its own."""
    with start_sandbox(folder) as sandbox:
        yield sandbox, Company(sandbox.control)


def one_pass(pipeline: Pipeline, flow: Flow) -> None:
    """What ``qbsf sync --flow`` does, without the reporting tables: plan, gate, make pending, and push where something waits."""
    assets = [*flow.derived, *flow.planned, flow.pending]
    synced = pipeline.run(f"sync_{flow.name}", *RAW, *("/".join(key.path) for key in assets))
    assert synced.success
    if pipeline.settings.mode.writes and flow.waiting(pipeline.doors):
        assert pipeline.run(f"push_{flow.name}", "/".join(flow.pushed.path)).success
