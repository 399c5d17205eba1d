"""Periods: month ends, leap years, frequencies, and dividing to the cent."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbsf_pipeline.invoices.recurring.dividing import divided
from qbsf_pipeline.invoices.recurring.periods import Frequency, Span, frequency_of, months_later, spans, spans_until


@pytest.mark.parametrize(
    ("first", "months", "firsts"),
    [
        ("2026-01-15", 1, ["2026-01-15", "2026-02-15", "2026-03-15"]),
        ("2026-01-31", 1, ["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31"]),
        ("2026-01-30", 1, ["2026-01-30", "2026-02-28", "2026-03-30"]),
        ("2028-01-31", 1, ["2028-01-31", "2028-02-29", "2028-03-31"]),
        ("2024-02-29", 1, ["2024-02-29", "2024-03-29", "2024-04-29"]),
        ("2024-02-29", 12, ["2024-02-29", "2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29"]),
        ("2026-04-30", 1, ["2026-04-30", "2026-05-30", "2026-06-30"]),
        ("2026-11-30", 3, ["2026-11-30", "2027-02-28", "2027-05-30"]),
        ("2026-12-31", 6, ["2026-12-31", "2027-06-30", "2027-12-31"]),
    ],
)
def test_the_day_of_the_first_period_is_kept_at_every_month_end(first, months, firsts):
    found = spans(date.fromisoformat(first), months, len(firsts))
    assert [span.starts.isoformat() for span in found] == firsts


@given(first=st.dates(max_value=date(2100, 1, 1)), months=st.sampled_from([1, 3, 6, 12]), count=st.integers(1, 60))
def test_periods_follow_each_other_without_a_gap(first, months, count):
    found = spans(first, months, count)
    assert found[0].starts == first
    assert all(before.ends + timedelta(days=1) == after.starts for before, after in pairwise(found))
    assert all(span.starts <= span.ends for span in found)
    assert [span.whole_months for span in found] == [months] * count


@given(first=st.dates(max_value=date(2090, 1, 1)), months=st.sampled_from([1, 3, 12]), length=st.integers(0, 4000))
def test_periods_until_a_day_end_on_it_and_only_the_last_is_shorter(first, months, length):
    ends = first + timedelta(days=length)
    found, weights = spans_until(first, months, ends)
    assert found[0].starts == first
    assert found[-1].ends == ends
    assert found[:-1] == spans(first, months, len(found))[:-1]
    assert len(set(weights[:-1])) <= 1
    assert weights[-1] <= max(weights)


def test_days_beyond_the_calendar_are_an_error_and_not_another_day():
    with pytest.raises(OverflowError):
        months_later(date(9999, 12, 1), 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One-Time", Frequency.ONE_TIME),
        ("one time", Frequency.ONE_TIME),
        (" MONTHLY ", Frequency.MONTHLY),
        ("Quarterly", Frequency.QUARTERLY),
        ("Semiannual", Frequency.SEMIANNUAL),
        ("Semi-Annually", Frequency.SEMIANNUAL),
        ("Annual", Frequency.ANNUAL),
        ("Yearly", Frequency.ANNUAL),
        ("Every  second Tuesday", Frequency.MONTHLY),
        ("Jährlich", Frequency.ANNUAL),
        ("Fortnightly", None),
        ("Invoice Plan", None),
        ("monthly-ish", None),
        ("12", None),
    ],
)
def test_words_for_frequencies_are_read_as_the_contract_and_the_org_write_them(text, expected):
    assert frequency_of(text, {"every second tuesday": "monthly", "jährlich": "annual"}) == expected


@pytest.mark.parametrize(
    ("amount", "weights", "remainder", "shares"),
    [
        ("100.00", [1, 1, 1], "first", ["33.34", "33.33", "33.33"]),
        ("100.00", [1, 1, 1], "last", ["33.33", "33.33", "33.34"]),
        ("-100.00", [1, 1, 1], "first", ["-33.34", "-33.33", "-33.33"]),
        ("0.05", [1] * 12, "first", ["0.05"] + ["0.00"] * 11),
        ("90.00", [31, 31, 28], "last", ["31.00", "31.00", "28.00"]),
        ("10.00", [0, 2, 1], "first", ["0.00", "6.67", "3.33"]),
        ("0.00", [1, 1], "last", ["0.00", "0.00"]),
    ],
)
def test_what_a_division_leaves_over_goes_to_the_period_that_the_rules_name(amount, weights, remainder, shares):
    assert divided(Decimal(amount), weights, remainder) == [Decimal(share) for share in shares]


@given(
    amount=st.decimals(min_value=-(10**12), max_value=10**12, places=2),
    weights=st.lists(st.integers(0, 366), min_size=1, max_size=200).filter(any),
    remainder=st.sampled_from(["first", "last"]),
)
def test_shares_come_to_the_amount_to_the_cent_and_none_has_the_other_sign(amount, weights, remainder):
    shares = divided(amount, weights, remainder)
    assert sum(shares) == amount
    assert all(share == round(share, 2) for share in shares)
    assert all(share * amount >= 0 for share in shares)
    assert all(not share for share, weight in zip(shares, weights, strict=True) if not weight)


def test_shared_days_are_counted_with_both_ends():
    span = Span(date(2026, 1, 10), date(2026, 1, 20))
    assert span.shared_days(Span(date(2026, 1, 20), date(2026, 2, 1))) == 1
    assert span.shared_days(Span(date(2026, 1, 21), date(2026, 2, 1))) == 0
