"""Deals, invoices and credit memos of a small company, and month end over them: what tests of month end begin from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl

from qbsf_pipeline.reconciliation import inputs as shapes
from qbsf_pipeline.reconciliation.inputs import Links, ReconciliationInputs
from qbsf_pipeline.reconciliation.plan import Reconciliation, reconcile
from qbsf_pipeline.reconciliation.tables import CASES, DOCUMENTS
from qbsf_pipeline.settings import load_rules

RULES = load_rules()
TODAY = date(2026, 4, 20)
LINKS = Links(deal="https://acme.my.salesforce.com/{id}", invoice="https://app.qbo.intuit.com/app/invoice?txnId={id}")
SCHEMAS = {
    "deals": shapes.DEALS,
    "deal_lines": shapes.DEAL_LINES,
    "invoices": shapes.INVOICES,
    "invoice_lines": shapes.INVOICE_LINES,
    "credit_memos": shapes.CREDIT_MEMOS,
    "credits": shapes.CREDITS,
    "account_customers": shapes.ACCOUNT_CUSTOMERS,
    "customers": shapes.CUSTOMERS,
    "accounts": shapes.ACCOUNTS,
    "owners": shapes.OWNERS,
    "outcomes": shapes.OUTCOMES,
    "refusals": shapes.REFUSALS,
    "billings": shapes.BILLINGS,
    "last_known": shapes.INVOICE_LAST_KNOWN,
    "contested": shapes.CONTESTED,
    "exchange_rates": shapes.EXCHANGE_RATES,
}
Rows = Iterable[Mapping[str, Any]]
MARCH = date(2026, 3, 10)


def deal_id(number: int) -> str:
    return f"006{number:012d}AAA"


def deal(number: int = 1, amount: str | None = "1000", *, closed: date | None = MARCH, **more: Any) -> dict[str, Any]:
    return {
        "opportunity_id": deal_id(number),
        "deal": f"Deal {number}",
        "account_id": "A1",
        "owner_id": "U1",
        "close_date": closed,
        "is_won": True,
        "is_closed": True,
        "is_deleted": False,
        "amount": None if amount is None else Decimal(amount),
        "currency": "USD",
        "created_on": date(2026, 1, 5),
        "modified_on": date(2026, 4, 11),
        **more,
    }


def invoice(
    number: int = 1, total: str = "1000", *, of: int | None = 1, dated: date | None = MARCH, tax: str = "0", **more: Any
) -> dict[str, Any]:
    """An invoice of the deal of that number; of None where no deal is linked."""
    return {
        "invoice_id": str(number),
        "number": f"100{number}",
        "customer_id": "C1",
        "opportunity_id": None if of is None else deal_id(of),
        "linked_by": None if of is None else "marker",
        "marked_deal": None,
        "txn_date": dated,
        "total": Decimal(total),
        "tax": Decimal(tax),
        "currency": "USD",
        "written_off": Decimal(0),
        "status": "Invoiced",
        "created_on": date(2026, 3, 10),
        "modified_on": date(2026, 4, 12),
        **more,
    }


def memo(number: int = 1, total: str = "100", *, dated: date | None = MARCH, **more: Any) -> dict[str, Any]:
    return {
        "credit_memo_id": f"m{number}",
        "number": f"CM-{number}",
        "customer_id": "C1",
        "txn_date": dated,
        "total": Decimal(total),
        "tax": Decimal(0),
        "currency": "USD",
        "is_deleted": False,
        "modified_on": date(2026, 4, 13),
        **more,
    }


def credit(number: int = 1, *, to: int = 1, amount: str = "100", is_write_off: bool = False) -> dict[str, Any]:
    """The credit memo of that number, applied to the invoice."""
    return {
        "credit_memo_id": f"m{number}",
        "invoice_id": str(to),
        "amount": Decimal(amount),
        "is_write_off": is_write_off,
    }


def billing(number: int = 1, amount: str = "1000", *, of: int = 1, generation: int = 1, **more: Any) -> dict[str, Any]:
    """The ledger says that qbsf made the invoice of that number over the amount."""
    return {
        "opportunity_id": deal_id(of),
        "invoice_id": str(number),
        "generation": generation,
        "status": "done",
        "amount": Decimal(amount),
        "done_on": date(2026, 3, 10),
        **more,
    }


def sold(label: str, amount: str, *, of: int = 1) -> dict[str, Any]:
    return {"opportunity_id": deal_id(of), "label": label, "amount": Decimal(amount)}


def line(label: str | None, amount: str, *, on: int = 1, kind: str = "item", description: str | None = None) -> dict[str, Any]:
    return {"invoice_id": str(on), "kind": kind, "label": label, "description": description, "amount": Decimal(amount)}


def refusal(code: str, reason: str, remedy: str, *, of: int = 1, position: int = 1) -> dict[str, Any]:
    return {"opportunity_id": deal_id(of), "code": code, "reason": reason, "remedy": remedy, "position": position}


def outcome(
    what: str, detail: str = "", *, of: int = 1, billed_with: int | None = None, difference: str | None = None
) -> dict[str, Any]:
    return {
        "opportunity_id": deal_id(of),
        "outcome": what,
        "detail": detail,
        "billed_with": None if billed_with is None else deal_id(billed_with),
        "difference": None if difference is None else Decimal(difference),
    }


def inputs_of(**given: Any) -> ReconciliationInputs:
    """Inputs of these rows; the account is linked to the customer C1, which has the project C2, and C9 is somebody else."""
    rows: dict[str, Rows] = {
        "account_customers": [{"account_id": "A1", "customer_id": "C1"}],
        "customers": [
            {"customer_id": "C1", "customer": "O'Brien GmbH"},
            {"customer_id": "C2", "customer": "O'Brien GmbH:Projekt Süd", "parent_id": "C1"},
            {"customer_id": "C9", "customer": "Zenith"},
        ],
        "accounts": [{"account_id": "A1", "account": "O\u2019Brien"}],
        "owners": [{"owner_id": "U1", "owner": "Zoë Quill"}],
        **{name: value for name, value in given.items() if name in SCHEMAS},
    }
    frames: dict[str, Any] = {name: frame(SCHEMAS[name], value) for name, value in rows.items()}
    plain = {name: value for name, value in given.items() if name not in SCHEMAS}
    return ReconciliationInputs(**frames, **{"home_currency": "USD", "org_currency": "USD", **plain})


def frame(schema: pl.Schema, rows: Rows) -> pl.DataFrame:
    """Rows as a frame of the schema; a missing key is null."""
    given = list(rows)
    return pl.DataFrame(
        {name: pl.Series(name, [row.get(name) for row in given], dtype=dtype) for name, dtype in schema.items()}, schema=schema
    )


def month_end(*, as_of: date = TODAY, months: list[date] | None = None, **given: Any) -> Reconciliation:
    """Month end over these rows, in the order of the tables' keys."""
    found = reconcile(inputs_of(**given), RULES, months, as_of, LINKS)
    return replace(found, cases=found.cases.sort(CASES.key), documents=found.documents.sort(DOCUMENTS.key))
