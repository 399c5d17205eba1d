"""Records as QuickBooks sends them, put into raw tables and read back: what tests of what is owed begin from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from typing import Any

import duckdb
import polars as pl

from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.receivables.inputs import ReceivableInputs, read_inputs
from qbsf_pipeline.receivables.owed import Receivables, receivables_of
from qbsf_pipeline.receivables.tables import CUSTOMER_LINKS, INVOICE_LINKS
from qbsf_pipeline.salesforce import objects as salesforce
from qbsf_pipeline.settings import Rules, load_rules
from qbsf_pipeline.warehouse.connection import replace_rows
from qbsf_pipeline_tests.sandbox.quickbooks.conftest import Books

NOW = datetime(2026, 11, 22, 20, tzinfo=UTC)
RULES = load_rules()
ENTITIES = ("Customer", "Invoice", "Payment", "CreditMemo", "Deposit", "JournalEntry", "PaymentMethod", "Account", "Item", "Term")
RECEIVABLE, BANK, BAD_DEBTS, SALES = "84", "35", "90", "79"
ACCOUNTS = (
    {"Id": RECEIVABLE, "Name": "Accounts Receivable (A/R)", "AccountType": "Accounts Receivable"},
    {"Id": BANK, "Name": "Checking", "AccountType": "Bank", "AccountSubType": "Checking"},
    {"Id": BAD_DEBTS, "Name": "Bad Debts", "AccountType": "Expense", "AccountSubType": "BadDebts"},
    {"Id": SALES, "Name": "Sales", "AccountType": "Income", "AccountSubType": "SalesOfProductIncome"},
)
Records = Mapping[str, Iterable[Mapping[str, Any]]]


def rules_with(**payments: Any) -> Rules:
    return RULES.model_copy(update={"payments": RULES.payments.model_copy(update=payments)})


def inputs_of(
    records: Records,
    *,
    deals: Iterable[Mapping[str, Any]] = (),
    invoice_links: Iterable[tuple[str, str] | tuple[str, str, str]] = (),
    customer_links: Iterable[tuple[str, str]] = (),
    rules: Rules = RULES,
    home_currency: str = "USD",
) -> ReceivableInputs:
    """Inputs read from a warehouse that holds these records; a record with ``status`` Deleted is a deleted one."""
    connection = _warehouse()
    given = {"Account": ACCOUNTS, "Preferences": ({"CurrencyPrefs": {"HomeCurrency": {"value": home_currency}}},), **records}
    for entity in (*ENTITIES, "Preferences"):
        table = quickbooks.entity_named(entity).table
        rows = [quickbooks.row_of(entity, each, NOW) for each in given.get(entity, ())]
        replace_rows(connection, table, table.frame(rows))
    known = [{"is_deleted": False, **deal} for deal in deals]
    replace_rows(connection, salesforce.OPPORTUNITY, salesforce.OPPORTUNITY.frame(known))
    return read_inputs(
        connection,
        pl.DataFrame([(*link, "person")[:3] for link in invoice_links], schema=INVOICE_LINKS, orient="row"),
        pl.DataFrame(list(customer_links), schema=CUSTOMER_LINKS, orient="row"),
        rules,
    )


@cache
def _warehouse() -> duckdb.DuckDBPyConnection:
    """One in memory for all tests: making its tables takes longer than most tests."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def inputs_from(books: Books, **more: Any) -> ReceivableInputs:
    """Inputs read from a local QuickBooks over HTTP."""
    records = {}
    for entity in ENTITIES:
        where = " WHERE Active IN (true, false)" if quickbooks.entity_named(entity).list_entity else ""
        records[entity] = books.query(f"SELECT * FROM {entity}{where} MAXRESULTS 1000").get(entity, [])
    return inputs_of(records, **more)


def owed(inputs: ReceivableInputs, as_of: date | None = None, rules: Rules = RULES) -> Receivables:
    return receivables_of(inputs, rules, as_of)


def invoice_row(found: Receivables, invoice_id: str) -> dict[str, Any]:
    return found.invoices.row(by_predicate=pl.col("invoice_id") == invoice_id, named=True)


def unapplied(found: Receivables) -> dict[tuple[str, str], Decimal]:
    return {(row["kind"], row["source_id"]): row["amount"] for row in found.unapplied.iter_rows(named=True)}


# Records


def invoice(number: int | str, total: str, balance: str | None = None, **more: Any) -> dict[str, Any]:
    return {
        "Id": str(number),
        "DocNumber": f"10{number}",
        "CustomerRef": {"value": "1"},
        "TxnDate": "2026-03-01",
        "DueDate": "2026-03-31",
        "TotalAmt": Decimal(total),
        "Balance": Decimal(total if balance is None else balance),
        **more,
    }


def payment(number: int | str, total: str, *links: tuple[str, str, str], unapplied: str = "0", **more: Any) -> dict[str, Any]:
    """A payment; links are (TxnType, id, amount)."""
    return {
        "Id": str(number),
        "CustomerRef": {"value": "1"},
        "TxnDate": "2026-03-10",
        "TotalAmt": Decimal(total),
        "UnappliedAmt": Decimal(unapplied),
        "Line": [{"Amount": Decimal(amount), "LinkedTxn": [{"TxnId": to, "TxnType": kind}]} for kind, to, amount in links],
        **more,
    }


def credit_memo(number: int | str, total: str, remaining: str = "0", *, account: str = SALES, **more: Any) -> dict[str, Any]:
    detail = {"ItemRef": {"value": "5"}, "ItemAccountRef": {"value": account}}
    return {
        "Id": str(number),
        "DocNumber": f"CM-{number}",
        "CustomerRef": {"value": "1"},
        "TxnDate": "2026-03-05",
        "TotalAmt": Decimal(total),
        "RemainingCredit": Decimal(remaining),
        "Line": [{"Amount": Decimal(total), "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": detail}],
        **more,
    }


def journal_entry(number: int | str, *lines: tuple[str, str, str, str | None], **more: Any) -> dict[str, Any]:
    """A journal entry; lines are (Debit or Credit, account, amount, customer)."""

    def line(posting: str, account: str, amount: str, customer: str | None) -> dict[str, Any]:
        detail: dict[str, Any] = {"PostingType": posting, "AccountRef": {"value": account}}
        if customer is not None:
            detail["Entity"] = {"Type": "Customer", "EntityRef": {"value": customer}}
        return {"Amount": Decimal(amount), "DetailType": "JournalEntryLineDetail", "JournalEntryLineDetail": detail}

    return {
        "Id": str(number),
        "DocNumber": f"JE-{number}",
        "TxnDate": "2026-03-20",
        "Line": [line(*each) for each in lines],
        **more,
    }
