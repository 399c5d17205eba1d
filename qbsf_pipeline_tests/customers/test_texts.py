"""Texts: whatever a record holds becomes a text that QuickBooks takes."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbsf_pipeline.customers.texts import clean, filled, has_unprintable, length_of, shortened


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [(None, ""), ("a\r\nb\rc", "a\nb\nc"), ("a\x00\x07b", "ab"), ("a\tb", "a b"), ("\ud83d!", "!"), ("  x ", "x"), ("😀", "😀")],
)
def test_control_characters_go_and_line_breaks_are_plain(text, cleaned):
    assert clean(text) == cleaned


def test_one_line_has_no_line_breaks():
    assert clean("a\r\n  b\tc", one_line=True) == "a b c"


@given(st.text(), st.integers(min_value=1, max_value=40))
def test_a_shortened_text_fits_and_can_be_sent(text, limit):
    cut = shortened(clean(text), limit)
    assert length_of(cut) <= limit
    assert cut.encode("utf-8") is not None
    assert not any(unicodedata.category(character) in ("Cc", "Cs") and character != "\n" for character in cut)


def test_an_emoji_counts_twice():
    assert length_of("😀") == 2
    assert shortened("😀😀😀", 5) == "😀😀…"


def test_values_are_filled_in_and_never_read_as_templates():
    values = {"opportunity": "{account} {0}", "account": "Acme"}
    assert filled("{opportunity} for {account} {unknown} {", values) == "{account} {0} for Acme {unknown} {"


@pytest.mark.parametrize(("text", "found"), [("a\r\n\tb", False), ("a\x0bb", True), (None, False)])
def test_unprintable_characters_are_told_from_line_breaks(text, found):
    assert has_unprintable(text) is found
