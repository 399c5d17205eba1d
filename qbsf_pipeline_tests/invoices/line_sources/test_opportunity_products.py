"""Opportunity products as a source, and which source answers."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import polars as pl
import pytest

from qbsf_pipeline.invoices.line_sources.opportunity_products import OpportunityProducts
from qbsf_pipeline.invoices.line_sources.sold import sold_lines, with_text
from qbsf_pipeline.salesforce import objects as salesforce
from qbsf_pipeline_tests.invoices.line_sources.quotes import DEAL, line, product, quote, source


def row(number=1, **values):
    return {
        "id": f"00k{number:012d}AAA",
        "opportunity_id": DEAL["id"],
        "product_id": f"01t{number:012d}AAA",
        "name": "Deal 1 Product",
        "quantity": Decimal(2),
        "unit_price": Decimal("50"),
        "total_price": Decimal("100"),
        "sort_order": number,
        "is_deleted": False,
        **values,
    }


def products(*rows, **columns):
    frame = salesforce.OPPORTUNITY_LINE_ITEM.frame(list(rows)).with_columns(**columns)
    return OpportunityProducts(frame, salesforce.PRODUCT2.frame([product(1), product(2)]))


def test_products_come_in_their_order_with_what_their_product_says():
    found = products(row(2, sort_order=None), row(1), row(3, is_deleted=True)).sold(DEAL)
    assert [one.line.line_id[:15] for one in found.lines] == ["00k000000000001", "00k000000000002"]
    first = found.lines[0]
    assert (first.line.product_name, first.line.product_sku, first.family) == ("Product 1", "SKU-1", "Software")
    assert (first.frequency, first.periods, first.has_revenue_schedule) == (None, None, False)
    assert found.reasons == ()


@pytest.mark.parametrize(
    ("rows", "codes"),
    [
        ([], ["no_line_items"]),
        ([row(total_price=None)], ["line_without_amount"]),
        ([row(), row(2, total_price=None)], ["line_without_amount"]),
        ([row(opportunity_id="006000000000002AAA")], ["no_line_items"]),
        ([row(opportunity_id=DEAL["id"][:15])], []),
    ],
)
def test_a_deal_without_products_or_totals_is_refused(rows, codes):
    assert [reason.code for reason in products(*rows).sold(DEAL).reasons] == codes


def test_fields_of_the_line_that_an_org_has_are_told():
    found = products(
        row(),
        billing_frequency=pl.lit("Monthly"),
        billing_periods=pl.lit(12),
        billing_start_date=pl.lit(date(2026, 1, 1)),
        has_revenue_schedule=pl.lit(True),
    ).sold(DEAL)
    told = found.lines[0]
    assert (told.frequency, told.periods, told.start_date) == ("Monthly", Decimal(12), date(2026, 1, 1))
    assert told.has_revenue_schedule


def test_a_product_that_is_not_known_leaves_its_line_as_it_is():
    unknown = products(row(product_id="01t000000000077AAA"), row(2, product_id=None)).sold(DEAL)
    assert [one.line.product_name for one in unknown.lines] == [None, None]


def test_the_quote_answers_before_the_products_and_these_answer_always():
    own = products(row())
    assert sold_lines(DEAL, [source([quote()], [line()]), own]).source == "cpq_quote"
    assert sold_lines(DEAL, [source([], []), own]).source == "opportunity_products"
    with pytest.raises(LookupError, match=DEAL["id"]):
        sold_lines(DEAL, [source([], [])])


def test_a_text_is_put_under_whichever_description_the_rules_choose():
    sold = products(row(description="Mine")).sold(DEAL).lines[0].line
    told = with_text(sold, "January")
    assert (told.description, told.product_description) == ("Mine\nJanuary", "What it is\nJanuary")
    assert with_text(products(row()).sold(DEAL).lines[0].line, "January").description == "What it is\nJanuary"
