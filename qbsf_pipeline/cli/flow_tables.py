"""What each flow plans and refuses, for the commands that show it; known without Dagster, which takes seconds to import."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import polars as pl

from qbsf_pipeline.aging import tables as aging
from qbsf_pipeline.customers import plan as customers
from qbsf_pipeline.flows.approval import batch_of
from qbsf_pipeline.invoices import tables as invoices
from qbsf_pipeline.payments import tables as payments
from qbsf_pipeline.warehouse.connection import Warehouse, read_table
from qbsf_pipeline.warehouse.tables import TableSchema


@dataclass(frozen=True)
class FlowTables:
    """The tables of a flow that commands read.

    Attributes:
        record_id, record_name: the columns of ``refusals`` that name the record.
        order: columns that order the reasons of a record.
    """

    plan: TableSchema
    refusals: TableSchema
    record_id: str
    record_name: str
    order: tuple[str, ...]


FLOW_TABLES = {
    invoices.FLOW: FlowTables(invoices.PLAN, invoices.REFUSALS, "opportunity_id", "deal", ("position",)),
    customers.FLOW: FlowTables(customers.PLAN, customers.REFUSALS, "account_id", "account_name", ("field", "code")),
    payments.FLOW: FlowTables(payments.PLAN, payments.REFUSALS, "record_id", "deal", ("code",)),
    aging.FLOW: FlowTables(aging.PLAN, aging.REFUSALS, "opportunity_id", "deal", ("invoice_id", "code")),
}


def chosen(flows: Collection[str] | None) -> list[str]:
    """The flows that were asked for, all where none was, in the order in which a pass runs them."""
    return [name for name in FLOW_TABLES if not flows or name in flows]


def plans(warehouse: Warehouse, flows: Collection[str]) -> dict[str, pl.DataFrame]:
    """The newest plan of each flow."""
    with warehouse.connection() as connection:
        return {name: read_table(connection, FLOW_TABLES[name].plan) for name in flows}


def refusals(warehouse: Warehouse, flows: Collection[str]) -> list[dict[str, str]]:
    """What the newest plans refuse: flow, record_id, record, code, reason, remedy; all reasons of a record together."""
    found: list[dict[str, str]] = []
    with warehouse.connection() as connection:
        for name in flows:
            tables = FLOW_TABLES[name]
            order = [tables.record_name, tables.record_id, *tables.order]
            rows = read_table(connection, tables.refusals).sort(order)
            found += [
                {
                    "flow": name,
                    "record_id": row[tables.record_id],
                    "record": row[tables.record_name] or row[tables.record_id],
                    tables.record_id: row[tables.record_id],
                    tables.record_name: row[tables.record_name],
                    "code": row["code"],
                    "reason": row["reason"],
                    "remedy": row["remedy"],
                }
                for row in rows.iter_rows(named=True)
            ]
    return found


def batches(planned: dict[str, pl.DataFrame]) -> dict[str, str]:
    """The id of each flow's whole plan, where it plans anything."""
    return {name: batch_of(plan.get_column("plan_id").to_list()) for name, plan in planned.items() if plan.height}
