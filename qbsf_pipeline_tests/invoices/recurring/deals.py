"""Deals, lines and schedules for tests of recurring revenue, sound until a test changes them; and strategies for others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from qbsf_pipeline.invoices.line_sources.sold import SoldLine
from qbsf_pipeline.invoices.lines import DealLine
from qbsf_pipeline.invoices.recurring.building import Scheduling, billing_schedule
from qbsf_pipeline.invoices.recurring.revenue_schedules import RevenueRow
from qbsf_pipeline.invoices.recurring.schedule import BillingSchedule
from qbsf_pipeline.invoices.recurring.terms import DealTerms
from qbsf_pipeline.settings import RecurringRules, load_rules

RULES = load_rules().recurring
TERMS = DealTerms(
    opportunity_id="006000000000001AAA",
    account_id="001000000000001AAA",
    currency="USD",
    close_date=date(2026, 1, 10),
    frequency="Monthly",
    periods=Decimal(12),
    start_date=date(2026, 2, 1),
)


def rules(**values: Any) -> RecurringRules:
    """The packaged rules with some keys changed."""
    return RULES.model_copy(update=values)


def sold(total: str | Decimal = "1200.00", number: int = 1, **values: Any) -> SoldLine:
    """One unit of product ``number``, in the family Software."""
    line = DealLine(
        line_id=f"00k{number:012d}AAA",
        product_id=f"01t{number:012d}AAA",
        product_code=f"P-{number}",
        product_name=f"Product {number}",
        product_sku=None,
        product_description=None,
        item_name=None,
        class_name=None,
        description=None,
        quantity=Decimal(1),
        unit_price=Decimal(total),
        discount=None,
        total=Decimal(total),
        service_date=None,
    )
    return replace(SoldLine(line, family="Software"), **values)


def scheduling(
    *lines: SoldLine,
    terms: DealTerms = TERMS,
    revenue: Mapping[str, Sequence[RevenueRow]] | None = None,
    rules: RecurringRules = RULES,
    **values: Any,
) -> Scheduling:
    """What becomes of a deal with these lines (one of 1,200.00 without any); ``values`` change its terms."""
    return billing_schedule(replace(terms, **values), lines or (sold(),), revenue or {}, rules)


def schedule(*lines: SoldLine, **values: Any) -> BillingSchedule:
    """The schedule of a deal that must have one."""
    found = scheduling(*lines, **values)
    assert found.schedule is not None, found.reasons
    return found.schedule


def codes(found: Scheduling) -> list[str]:
    """Codes of what stands against a deal."""
    return [reason.code for reason in found.reasons]


amounts = st.decimals(min_value="0.01", max_value="250000", places=2)
finer_amounts = st.decimals(min_value="0.0001", max_value="9999", places=6)
days = st.dates(min_value=date(2020, 1, 1), max_value=date(2032, 12, 31))


@st.composite
def sold_lines(draw: st.DrawFn, *, finer: bool = True) -> list[SoldLine]:
    """One to four lines above zero: subscriptions, fees, lines with dates and frequencies of their own."""
    count = draw(st.integers(1, 4))
    found = []
    for number in range(1, count + 1):
        total = draw(amounts | finer_amounts if finer else amounts)
        values: dict[str, Any] = {"family": draw(st.sampled_from(["Software", "Setup", None]))}
        if draw(st.booleans()):
            values["frequency"] = draw(st.sampled_from(["Monthly", "quarterly", "Semi-Annual", "ANNUAL", "One-Time"]))
        if draw(st.booleans()):
            values["start_date"] = draw(days)
            values["term_months"] = Decimal(draw(st.integers(1, 60)))
        found.append(sold(total, number, **values))
    return found


@st.composite
def deal_terms(draw: st.DrawFn) -> DealTerms:
    """Terms of a deal that is billed again and again."""
    return replace(
        TERMS,
        frequency=draw(st.sampled_from(["Monthly", "Quarterly", "Annual"])),
        periods=Decimal(draw(st.integers(1, 40))),
        start_date=draw(days),
    )
