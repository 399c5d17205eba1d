"""Money: decimal from wire to wire, to the cent, and never a float."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbsf_pipeline.money import format_amount, parse_json, to_cents, to_json

amounts = st.decimals(min_value=Decimal(-(10**15)), max_value=Decimal(10**15), places=2)
texts = st.text(st.characters(exclude_categories=["Cs"]))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | texts | amounts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("amount", "cents"),
    [("0.005", "0.01"), ("-0.005", "-0.01"), ("2.675", "2.68"), ("1.004999", "1.00"), ("1E+3", "1000.00"), ("0", "0.00")],
)
def test_half_a_cent_is_rounded_away_from_zero_as_invoices_are(amount: str, cents: str) -> None:
    assert str(to_cents(Decimal(amount))) == cents


@given(amounts)
def test_an_amount_in_cents_stays_what_it_is(amount: Decimal) -> None:
    assert to_cents(amount) == amount


@given(json_values)
def test_what_is_written_is_read_again_the_same_without_a_float(value: object) -> None:
    text = to_json(value)
    assert parse_json(text) == value
    assert not _floats(parse_json(text))
    json.loads(text)


def _floats(value: object) -> bool:
    if isinstance(value, dict):
        return any(_floats(item) for item in value.values())
    if isinstance(value, list):
        return any(_floats(item) for item in value)
    return isinstance(value, float)


@given(amounts.map(lambda amount: amount.normalize()))
def test_an_amount_is_written_as_a_plain_number_and_never_in_exponent_form(amount: Decimal) -> None:
    assert "E" not in to_json({"Amount": amount}).upper().removeprefix('{"AMOUNT')


def test_a_number_with_a_fraction_or_exponent_is_read_as_decimal() -> None:
    assert parse_json('{"a": 0.1, "b": 1e3, "c": 12}') == {"a": Decimal("0.1"), "b": Decimal(1000), "c": 12}
    assert isinstance(parse_json("0.1"), Decimal)


def test_text_is_written_as_it_is() -> None:
    assert to_json({"b": "Café 試", "a": (1, None, True)}) == '{"b":"Café 試","a":[1,null,true]}'
    assert to_json({"b": 1, "a": 2}, sort_keys=True) == '{"a":2,"b":1}'


@pytest.mark.parametrize("text", ["", "<html>", "{", b"\xff"])
def test_what_is_not_json_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError):
        parse_json(text)


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [("12500", "USD", "12,500.00 USD"), ("-0.5", "EUR", "-0.50 EUR"), ("1234567.895", "JPY", "1,234,567.90 JPY")],
)
def test_people_read_amounts_grouped_with_their_currency(amount: str, currency: str, shown: str) -> None:
    assert format_amount(Decimal(amount), currency) == shown
