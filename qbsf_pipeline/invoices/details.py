"""Lines, contacts and customers of the few deals that are looked at closely. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from qbsf_pipeline.invoices.known import Known, customers_of
from qbsf_pipeline.invoices.line_sources.cpq import CpqQuotes
from qbsf_pipeline.invoices.line_sources.opportunity_products import OpportunityProducts
from qbsf_pipeline.invoices.line_sources.sold import LineSource
from qbsf_pipeline.invoices.recurring.revenue_schedules import RevenueRow, revenue_rows


@dataclass(frozen=True)
class Details:
    """What is looked up for single deals.

    Attributes:
        sources: where their lines come from, in order.
        revenue: revenue schedules by line.
        roles: contacts by deal: role, is_primary, contact_id, contact_name, email.
        customers: customers that accounts are linked to, by id: display_name, currency.
    """

    sources: tuple[LineSource, ...]
    revenue: Mapping[str, Sequence[RevenueRow]]
    roles: Mapping[str, list[dict[str, Any]]]
    customers: Mapping[str, dict[str, Any]]


def details_of(deals: Sequence[Mapping[str, Any]], known: Known) -> Details:
    """What the inputs hold of these deals.

    Args:
        deals: rows of ``salesforce.opportunity``: id.
    """
    inputs = known.inputs
    wanted = pl.DataFrame({"opportunity_id": [deal["id"] for deal in deals]}, schema={"opportunity_id": pl.String})
    items = inputs.opportunity_line_item.join(wanted, on="opportunity_id", how="semi")
    short = pl.col("opportunity_id").str.slice(0, 15)
    quotes = inputs.cpq_quote.filter(short.is_in([deal["id"][:15] for deal in deals]))
    quote_lines = inputs.cpq_quote_line.join(quotes, left_on="quote_id", right_on="id", how="semi")
    contacts = inputs.contact.filter(~pl.col("is_deleted").fill_null(False)).select(
        pl.col("id").alias("contact_id"), pl.col("name").alias("contact_name"), "email"
    )
    roles = (
        inputs.opportunity_contact_role.filter(~pl.col("is_deleted").fill_null(False))
        .join(wanted, on="opportunity_id", how="semi")
        .join(contacts, on="contact_id", how="inner")
        .select("opportunity_id", "role", "is_primary", "contact_id", "contact_name", "email")
        .sort("opportunity_id", "contact_id", "role", nulls_last=True)
    )
    linked = [one for match in known.matches.values() if match["customer_id"] for one in customers_of(match)]
    named = inputs.customer.select("id", "display_name", "currency").filter(pl.col("id").is_in(linked))
    return Details(
        sources=(CpqQuotes(quotes, quote_lines, inputs.product2, known.rules.cpq), OpportunityProducts(items, inputs.product2)),
        revenue=revenue_rows(inputs.opportunity_line_item_schedule.join(items, left_on="line_id", right_on="id", how="semi")),
        roles=_grouped(roles, "opportunity_id"),
        customers={row["id"]: row for row in named.iter_rows(named=True)},
    )


def _grouped(frame: pl.DataFrame, column: str) -> dict[str, list[dict[str, Any]]]:
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in frame.iter_rows(named=True):
        groups[row[column]].append(row)
    return dict(groups)
