"""The waterfall: its bars follow each other to the cent, and its words are safe and complete."""

from __future__ import annotations

from decimal import Decimal
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbsf_pipeline.reconciliation.chart import Step, Waterfall, change

CENTS = st.decimals(min_value=-(10**13), max_value=10**13, places=2)


def waterfall(won: str, *amounts: str, currency: str = "USD") -> Waterfall:
    steps = [Step(f"Class {place}", Decimal(amount), 1) for place, amount in enumerate(amounts)]
    return Waterfall(currency, Decimal(won), steps, Decimal(won) - sum((step.amount for step in steps), Decimal(0)))


def bars(picture: Waterfall) -> list[dict[str, object]]:
    return picture.specification()["data"]["values"]


def texts(svg: str) -> str:
    return " ".join(ElementTree.fromstring(svg).itertext())


def test_each_bar_begins_where_the_one_before_ends() -> None:
    drawn = bars(waterfall("1000.00", "300.00", "-50.00", "0.00", "0.01"))
    assert [(bar["from"], bar["to"], bar["shown"]) for bar in drawn] == [
        (0, 1000, "1,000.00"),
        (1000, 700, "-300.00"),
        (700, 750, "+50.00"),
        (750, 749.99, "-0.01"),
        (0, 749.99, "749.99"),
    ]


@given(CENTS, st.lists(CENTS, max_size=8))
def test_every_bar_lies_on_the_axis_and_the_last_step_ends_at_what_is_invoiced(won: Decimal, amounts: list[Decimal]) -> None:
    picture = waterfall(str(won), *map(str, amounts))
    drawn = bars(picture)
    low, high = picture.specification()["layer"][1]["encoding"]["x"]["scale"]["domain"]
    assert low < high
    assert all(low <= min(bar["from"], bar["to"]) and max(bar["from"], bar["to"]) <= high for bar in drawn)
    assert drawn[-2]["to"] == pytest.approx(drawn[-1]["to"])
    assert len(drawn) == 2 + sum(amount != 0 for amount in amounts)


def test_small_steps_beside_a_large_amount_are_shown_on_an_axis_that_says_where_it_begins() -> None:
    picture = waterfall("10000000.00", "300.00", "-50.00")
    assert picture.begins_at == Decimal("9999600")
    assert picture.specification()["layer"][1]["encoding"]["x"]["axis"]["title"] == "USD, the axis begins at 9,999,600.00"
    assert waterfall("1000.00", "300.00").begins_at == 0
    assert waterfall("1000.00", "1000.00").begins_at == 0
    assert waterfall("1000.00").begins_at == 0


def test_the_picture_is_text_that_can_be_read_and_searched() -> None:
    svg = waterfall("1000.00", "300.00", "-50.00").svg()
    words = texts(svg)
    for expected in ("Won", "1,000.00", "Class 0 (1)", "-300.00", "+50.00", "Invoiced", "750.00", "USD"):
        assert expected in words
    assert "<image" not in svg
    assert "<script" not in svg


def test_a_name_is_never_markup() -> None:
    steps = [Step("</text><script>alert('x')</script>&amp;", Decimal(1), 1)]
    svg = Waterfall("<b>", Decimal(1), steps, Decimal(0)).svg()
    assert "<script" not in svg
    assert "<b>" not in svg
    assert "</text><script>" in texts(svg).replace(" ", "")


def test_a_long_title_is_cut_and_keeps_its_number_of_records() -> None:
    picture = Waterfall("USD", Decimal(10), [Step("One very long title " * 9, Decimal(1), 1234)], Decimal(9))
    (label,) = [bar["label"] for bar in bars(picture) if bar["kind"] == "less"]
    assert len(label) == 2
    assert label[-1].endswith("… (1,234)")


def test_an_empty_month_and_the_largest_amounts_can_be_drawn() -> None:
    assert "0.00" in texts(waterfall("0.00").svg())
    assert "9,999,999,999,999,999.99" in texts(waterfall("0.00", "-9999999999999999.99").svg())
    assert waterfall("5.00", "1.00").png().startswith(b"\x89PNG")


def test_the_description_says_what_the_picture_shows() -> None:
    described = waterfall("1000.00", "300.00", "0").description
    assert described == "Waterfall in USD: won 1,000.00, Class 0 -300.00, invoiced 700.00."
    assert waterfall("0").description == "Waterfall in USD: won 0.00, invoiced 0.00."


@pytest.mark.parametrize(("amount", "shown"), [("12.5", "-12.50"), ("-3", "+3.00"), ("0", "0.00"), ("-1234.56", "+1,234.56")])
def test_what_a_difference_does_has_a_sign(amount: str, shown: str) -> None:
    assert change(Decimal(amount)) == shown
