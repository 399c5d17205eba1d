"""The rows of a plan: one row is one intended write, the same columns in every flow. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

from qbsf_pipeline.state.ledger import LedgerEntry, PlannedWrite
from qbsf_pipeline.warehouse.tables import AMOUNT, Column, TableSchema


def plan_table(flow: str, comment: str) -> TableSchema:
    """The table ``{flow}.plan``: what the ledger takes, a row for each write."""
    return TableSchema(
        flow,
        "plan",
        (
            Column("plan_id", pl.String, "P- and ten hex digits: the same for writes that belong together, while unchanged"),
            Column("position", pl.Int64, "Order within the plan id, from 1"),
            Column("flow", pl.String, "The flow"),
            Column("operation", pl.String, "Kind of write, such as create_invoice or update_customer"),
            Column("target_system", pl.String, "quickbooks, salesforce, or qbsf for what is only remembered"),
            Column(
                "target_object",
                pl.String,
                "Customer, Item, Invoice, CreditMemo, RecurringTransaction, Account, Opportunity or BillingSchedule",
            ),
            Column("key", pl.String, "What makes this write the same write; done at most once"),
            Column("depends_on", pl.String, "Keys that must be done before, joined by spaces"),
            Column("source_object", pl.String, "Object of the record that the write comes from"),
            Column("source_id", pl.String, "Id of the record that the write comes from"),
            Column("account_id", pl.String, "The account"),
            Column("opportunity_id", pl.String, "The deal; null for what is not about one deal"),
            Column("payload", pl.String, "What is sent (JSON); $... stands for what does not exist yet"),
            Column("reason", pl.String, "Why, in a sentence"),
            Column("decided_from", pl.String, "Hash of the source content that was used"),
            Column("label", pl.String, "Name of the deal, customer, account or item"),
            Column("customer_name", pl.String, "The customer as QuickBooks calls it, or will"),
            Column("amount", AMOUNT, "Total before tax, in its currency; null for what is not about money"),
            Column("currency", pl.String, "ISO code of amount"),
            Column("txn_date", pl.Date, "Date of the transaction"),
            Column("due_date", pl.Date, "When it is due; null where QuickBooks decides"),
        ),
        ("key",),
        comment,
    )


def planned_writes(plan: pl.DataFrame) -> list[PlannedWrite]:
    """The rows of a plan as the ledger takes them.

    Args:
        plan: columns of :func:`plan_table`.
    """
    return [PlannedWrite(**{**row, "depends_on": tuple((row["depends_on"] or "").split())}) for row in plan.iter_rows(named=True)]


def kept_keys(
    writes: list[PlannedWrite], waiting: list[LedgerEntry], lookup: Callable[[Iterable[str]], Mapping[str, LedgerEntry]]
) -> set[str]:
    """Which waiting writes stay in the queue: those of the plan, and what follows an object that exists already.

    A deal that has its invoice is not planned again, but its e-mail and its write-backs must still be carried out.
    """
    planned = {write.key for write in writes}
    others = [entry for entry in waiting if entry.key not in planned]
    dependencies = lookup({key for entry in others for key in entry.depends_on})
    follows = {
        entry.key
        for entry in others
        if entry.depends_on
        and any(dependencies[key].status in ("done", "sending") for key in entry.depends_on if key in dependencies)
        and not entry.operation.startswith("create_")
    }
    return planned | follows


def company_zone(company_info: pl.DataFrame, organization: pl.DataFrame) -> ZoneInfo:
    """The time zone of the QuickBooks company, else of the Salesforce org, else UTC.

    Args:
        company_info: time_zone (IANA name), at most one row.
        organization: time_zone, at most one row.
    """
    for frame in (company_info, organization):
        for name in frame.get_column("time_zone").to_list():
            try:
                return ZoneInfo(str(name))
            except (ZoneInfoNotFoundError, ValueError):
                continue
    return ZoneInfo("UTC")


def company_today(company_info: pl.DataFrame, organization: pl.DataFrame, now: datetime) -> date:
    """Today in the time zone of :func:`company_zone`.

    Args:
        company_info: time_zone (IANA name), at most one row.
        organization: time_zone, at most one row.
        now: aware UTC.
    """
    return now.astimezone(company_zone(company_info, organization)).date()
