"""Lines: to the cent, always, and never a rate that QuickBooks would refuse."""

from __future__ import annotations

from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal, localcontext

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qbsf_pipeline.invoices.lines import DealLine, cent_amounts, described, invoice_lines, plain, rate_for
from qbsf_pipeline.money import to_cents
from qbsf_pipeline.settings import load_rules

RULES = load_rules().invoices
LINE = DealLine(
    line_id="00k000000000001AAA",
    product_id="01t000000000001AAA",
    product_code="PLAT",
    product_name="Platform",
    product_sku=None,
    product_description="Platform, one year",
    item_name=None,
    class_name=None,
    description=None,
    quantity=Decimal(3),
    unit_price=Decimal("33.33"),
    discount=None,
    total=Decimal("100.00"),
    service_date=None,
)


@pytest.mark.parametrize(
    ("amount", "quantity", "unit_price", "rate"),
    [
        ("1000.00", "2", "500", "500"),
        ("1000.00", "2", None, "500"),
        ("100.00", "3", None, "33.333"),
        ("100.00", "3", "33.3333", "33.3333"),
        ("875.00", "1", "1000", "875"),
        ("13875.00", "7.5", "1850", "1850"),
        ("-1500.00", "1", "-1500", "-1500"),
        ("-50.00", "-2", "25", "25"),
        ("0.00", "5", "10", "0"),
        ("0.01", "3", None, "0.003"),
        ("33.33", "0.1", None, "333.3"),
        ("10.01", "1000", None, "0.01001"),
    ],
)
def test_the_rate_multiplies_to_the_amount(amount, quantity, unit_price, rate):
    found = rate_for(Decimal(amount), Decimal(quantity), None if unit_price is None else Decimal(unit_price))
    assert found == Decimal(rate)


@pytest.mark.parametrize(("amount", "quantity"), [("10.00", "0"), ("10.00", None), ("12345678.91", "7654321987.77")])
def test_where_no_rate_fits_there_is_none(amount, quantity):
    assert rate_for(Decimal(amount), None if quantity is None else Decimal(quantity)) is None


def test_a_cent_that_rounding_loses_goes_to_the_largest_line():
    thirds = [Decimal("33.333"), Decimal("33.333"), Decimal("133.334")]
    assert cent_amounts(thirds) == [Decimal("33.33"), Decimal("33.33"), Decimal("133.34")]
    halves = [Decimal("0.005"), Decimal("0.005"), Decimal("0.005")]
    assert cent_amounts(halves) == [Decimal("0.00"), Decimal("0.01"), Decimal("0.01")]


_TOTALS = st.decimals(min_value=-(10**9), max_value=10**9, places=10, allow_nan=False, allow_infinity=False)
_QUANTITIES = st.one_of(
    st.none(), st.decimals(min_value=-(10**6), max_value=10**6, places=2, allow_nan=False, allow_infinity=False)
)


@settings(max_examples=400)
@given(st.lists(st.tuples(_TOTALS, _QUANTITIES, st.one_of(st.none(), _TOTALS)), max_size=12))
def test_an_invoice_is_its_deal_to_the_cent_and_every_rate_holds(lines):
    deal = [replace(LINE, total=total, quantity=quantity, unit_price=price) for total, quantity, price in lines]
    billed = invoice_lines(deal, RULES)
    with localcontext(prec=60):
        assert sum((line.amount for line in billed), Decimal(0)) == to_cents(sum((line.total for line in deal), Decimal(0)))
        for line in billed:
            assert line.amount == to_cents(line.amount)
            if line.rate is not None:
                assert line.line.quantity is not None
                product = line.rate * line.line.quantity
                assert abs(product - line.amount) < Decimal("0.005")
                assert product.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP) == line.amount
                assert line.rate == round(line.rate, 7)


def test_lines_of_zero_are_kept_or_dropped_by_rule():
    deal = [LINE, replace(LINE, total=Decimal("0.00"), unit_price=Decimal(0))]
    assert len(invoice_lines(deal, RULES)) == 2
    assert len(invoice_lines(deal, RULES.model_copy(update={"zero_lines": "drop"}))) == 1


@pytest.mark.parametrize(
    ("rule", "own", "text"),
    [
        ("line_or_product", "Three days", "Three days"),
        ("line_or_product", " ", "Platform, one year"),
        ("product", "Three days", "Platform, one year"),
        ("line", None, ""),
    ],
)
def test_the_description_follows_the_rule(rule, own, text):
    line = invoice_lines([replace(LINE, description=own)], RULES)[0]
    assert described(line, RULES.model_copy(update={"line_description": rule})) == text


def test_a_discount_is_said_where_the_rules_want_it():
    line = invoice_lines([replace(LINE, discount=Decimal("12.5000000000"))], RULES)[0]
    assert (
        described(line, RULES.model_copy(update={"discounts": "description"}))
        == "Platform, one year\nDiscount of 12.5 % included"
    )


def test_a_line_without_a_rate_says_quantity_and_price():
    odd = replace(LINE, quantity=Decimal("7654321987.77"), unit_price=Decimal("0.0016"), total=Decimal("12345678.91"))
    assert described(invoice_lines([odd], RULES)[0], RULES).endswith("7654321987.77 x 0.0016")


@pytest.mark.parametrize(("number", "text"), [("2.0000000000", "2"), ("1E+2", "100"), ("0.10", "0.1"), ("0E-10", "0")])
def test_numbers_are_written_plainly(number, text):
    assert str(plain(Decimal(number))) == text
