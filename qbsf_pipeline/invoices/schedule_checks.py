"""What must hold of planned invoices that are a period of their deal, or come from a quote. Pure: frames in, outcomes out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal

import polars as pl

from qbsf_pipeline.customers.texts import short_id
from qbsf_pipeline.flows.gates import GateOutcome, some
from qbsf_pipeline.invoices.recurring.markers import NotedPeriod, noted_period
from qbsf_pipeline.invoices.recurring.schedule import period_of
from qbsf_pipeline.money import parse_json, to_cents
from qbsf_pipeline.settings import CpqRules


def no_period_is_billed_twice(
    plan: pl.DataFrame, opportunities: pl.DataFrame, invoices: pl.DataFrame, schedules: pl.DataFrame
) -> GateOutcome:
    """No invoice is planned for a period that an invoice of QuickBooks bills, nor for a deal that holds an invoice of no period.

    Args:
        plan: key, source_id, label, payload of planned invoices, and operation.
        opportunities: id, invoice_id.
        invoices: id, opportunity_id (from the marker) and private_note, whatever their status.
        schedules: opportunity_id, invoice_id: what is known to be a period, whatever its note says by now.
    """
    rows = [row for row in _invoices(plan) if period_of(row["key"]) is not None]
    known: dict[str, set[str]] = defaultdict(set)
    for opportunity_id, invoice_id in schedules.select("opportunity_id", "invoice_id").drop_nulls().iter_rows():
        known[opportunity_id].add(invoice_id)
    noted: dict[str, dict[str, NotedPeriod | None]] = defaultdict(dict)
    marked = invoices.filter(pl.col("opportunity_id").is_not_null())
    for invoice_id, opportunity_id, note in marked.select("id", "opportunity_id", "private_note").iter_rows():
        noted[short_id(opportunity_id)][invoice_id] = noted_period(note)
    held = dict(opportunities.filter(pl.col("invoice_id").is_not_null()).select("id", "invoice_id").iter_rows())
    wrong = []
    for row in rows:
        own = noted_period(parse_json(row["payload"]).get("PrivateNote"))
        others = noted[short_id(row["source_id"])]
        stored = (held.get(row["source_id"]) or "").strip()
        unknown = {invoice_id for invoice_id, note in others.items() if note is None} - known[row["source_id"]]
        foreign = stored and stored not in others and stored not in known[row["source_id"]]
        if own is None or unknown or _same(own, others) or foreign:
            wrong.append(row["label"])
    text = (
        f"{len(rows)} periods to invoice, none has an invoice."
        if not wrong
        else f"{len(wrong)} periods to invoice may have one already: {some(wrong)}."
    )
    return GateOutcome("no_period_is_billed_twice", not wrong, text)


def totals_equal_the_schedules(plan: pl.DataFrame, schedules: pl.DataFrame) -> GateOutcome:
    """The lines of each planned invoice of a period add up to what the schedule says of it, to the cent.

    Args:
        schedules: opportunity_id, period, amount.
    """
    amounts = {(row["opportunity_id"], row["period"]): row["amount"] for row in schedules.iter_rows(named=True)}
    rows = [row for row in _invoices(plan) if period_of(row["key"]) is not None]
    wrong = [row["label"] for row in rows if _total(row) != amounts.get((row["source_id"], period_of(row["key"])))]
    text = (
        f"{len(rows)} invoices equal their periods to the cent."
        if not wrong
        else f"{len(wrong)} invoices differ from their periods: {some(wrong)}."
    )
    return GateOutcome("totals_equal_the_schedules", not wrong, text)


def totals_equal_the_quotes(plan: pl.DataFrame, totals: Mapping[str, Decimal | None]) -> GateOutcome:
    """The lines of each planned invoice of a quote add up to the quote's own total, to the cent.

    Args:
        totals: by opportunity_id (:func:`quoted_totals`); ``None`` where the quote tells none, and its lines are all there is.
    """
    rows = [row for row in _invoices(plan) if period_of(row["key"]) is None and row["source_id"] in totals]
    wrong = []
    for row in rows:
        expected = totals[row["source_id"]]
        if expected is not None and _total(row) != to_cents(expected):
            wrong.append(row["label"])
    text = (
        f"{len(rows)} invoices equal their quotes to the cent."
        if not wrong
        else f"{len(wrong)} invoices differ from their quotes: {some(wrong)}."
    )
    return GateOutcome("totals_equal_the_quotes", not wrong, text)


def quoted_totals(quotes: pl.DataFrame, opportunities: pl.DataFrame, rules: CpqRules) -> dict[str, Decimal | None]:
    """What deals come to that are billed by their primary quote, by opportunity_id.

    Args:
        quotes: of ``salesforce.cpq_quote``: opportunity_id, is_primary, is_deleted, net_amount, customer_amount.
        opportunities: id, amount.
    """
    if rules.lines_from != "primary_quote":
        return {}
    ids = {short_id(one): (one, amount) for one, amount in opportunities.select("id", "amount").iter_rows()}
    found: dict[str, Decimal | None] = {}
    primary = quotes.filter(pl.col("is_primary").fill_null(False) & ~pl.col("is_deleted").fill_null(False))
    for row in primary.iter_rows(named=True):
        known = ids.get(short_id(row["opportunity_id"] or ""))
        if known is None:
            continue
        told = {"net": row["net_amount"], "customer": row["customer_amount"]}.get(rules.total)
        found[known[0]] = known[1] if told is None and rules.total == "net" else told
    return found


def _invoices(plan: pl.DataFrame) -> list[dict[str, str]]:
    found = plan.filter(pl.col("operation").is_in(["create_invoice", "create_credit_memo"]))
    return found.select("operation", "key", "source_id", "label", "payload").to_dicts()


def _total(row: Mapping[str, str]) -> Decimal:
    """What the lines come to; below zero for a credit memo."""
    total = sum((Decimal(str(line["Amount"])) for line in parse_json(row["payload"])["Line"]), Decimal(0))
    return total if row["operation"] == "create_invoice" else -total


def _same(own: NotedPeriod, others: Mapping[str, NotedPeriod | None]) -> bool:
    """Whether another invoice bills the same days; of differences, which may cover the same days, the same number."""
    return any(
        other is not None
        and other.difference == own.difference
        and (other.number == own.number if own.difference else (other.number, other.span) == (own.number, own.span))
        for other in others.values()
    )
