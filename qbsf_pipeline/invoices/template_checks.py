"""What must hold of planned recurring templates. Pure: frames in, outcomes out."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import Any

import polars as pl

from qbsf_pipeline.flows.gates import GateOutcome, some
from qbsf_pipeline.invoices.recurring.known_templates import CREATE, template_days
from qbsf_pipeline.invoices.recurring.schedule import period_of, sum_of
from qbsf_pipeline.money import parse_json
from qbsf_pipeline.quickbooks.templates import unwrapped


def templates_bill_open_periods(plan: pl.DataFrame, schedules: pl.DataFrame) -> GateOutcome:
    """Each planned template bills periods of its deal that nothing else bills, each to the cent, and all of them are its amount.

    Args:
        plan: operation, key, source_id, label, payload, amount.
        schedules: opportunity_id, period, kind, due_on, amount, invoice_id, status.
    """
    periods: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in schedules.filter(pl.col("kind") == "period").iter_rows(named=True):
        periods[row["opportunity_id"]].append(row)
    taken = {(source_id, period_of(key)) for source_id, key in plan.select("source_id", "key").iter_rows()}
    rows = plan.filter(pl.col("operation") == CREATE).select("source_id", "label", "payload", "amount").to_dicts()
    wrong: list[str] = []
    for row in rows:
        body = unwrapped(parse_json(row["payload"]))
        each = sum_of(Decimal(str(line["Amount"])) for line in body["Line"])
        days = template_days(body)
        found = {one["due_on"]: one for one in periods[row["source_id"]]}
        own = [found[day] for day in days if day in found]
        is_open = all(one["invoice_id"] is None and one["status"] == "planned" and one["amount"] == each for one in own)
        is_free = not taken & {(row["source_id"], one["period"]) for one in own}
        if not days or len(own) != len(days) or not is_open or not is_free or row["amount"] != each * len(days):
            wrong.append(row["label"])
        taken |= {(row["source_id"], one["period"]) for one in own}
    text = (
        f"{len(rows)} recurring templates, each for periods that nothing else bills."
        if not wrong
        else f"{len(wrong)} recurring templates bill something else than open periods: {some(wrong)}."
    )
    return GateOutcome("templates_bill_open_periods", not wrong, text, {"templates": len(rows)})
