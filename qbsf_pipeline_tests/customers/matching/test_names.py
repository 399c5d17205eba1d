"""Names: equal where they mean one company, different where they do not, and always what QuickBooks takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbsf_pipeline.customers.matching.names import (
    DISPLAY_NAME_LENGTH,
    legal_display_name,
    legal_form_family,
    name_key,
    normalised_name,
    unique_name,
)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Acme, Inc.", "ACME INC"),
        ("Acme Corporation", "Acme Corp."),
        ("The Galván Group", "Galvan Group"),
        ("Smith & Sons LLC", "Smith and Sons, L.L.C."),
        ("O'Hallahan's Marine Supply", "O\u2019Hallahan\u2019s Marine Supply"),
        ("Café Lumière GmbH", "Cafe Lumiere"),
        ("\uff26ull\uff37idth Ltd", "FullWidth"),
        ("I.B.M. Corp", "IBM"),
        ("Straße AG", "Strasse"),
        ("Ørsted A/S", "orsted"),
        ("Bosch GmbH & Co. KG", "Bosch"),
        ("Acme Co., Ltd.", "Acme"),
        ("Ferrari S.p.A.", "Ferrari SpA"),
        ("Smith & Jones, P.A.", "Smith and Jones"),
        ("Grupo Sol S.A. de C.V.", "Grupo Sol"),
        ("神奈川ロボット株式会社", "神奈川ロボット"),
    ],
)
def test_spellings_of_one_company_are_equal(one, other):
    assert normalised_name(one) == normalised_name(other) != ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Bank of China (Hong Kong)", "Bank of China (Singapore)"),
        ("Eastgate Pharmacy #114", "Eastgate Pharmacy #115"),
        ("Acme II", "Acme"),
        ("SAS Institute", "Institute"),
        ("AG Edwards", "Edwards"),
        ("神奈川 Robotics", "大阪 Robotics"),
        ("ガス", "カス"),
        ("A+ Plumbing", "A Plumbing"),
        ("Valley Spa", "Valley"),
        ("Acme PA", "Acme"),
        ("Ромашка", "Ромашка Плюс"),
    ],
)
def test_different_companies_stay_different(one, other):
    assert normalised_name(one) != normalised_name(other)


@pytest.mark.parametrize("name", ["Inc.", "The", "Co", "The Company", "LLC LLC", "神奈川", "Компания", "SA"])
def test_a_name_is_never_normalised_to_nothing(name):
    assert normalised_name(name)


@pytest.mark.parametrize("name", [None, "", "  ", "...", "\u0000"])
def test_a_name_without_letters_is_empty(name):
    assert normalised_name(name) == ""


@pytest.mark.parametrize(
    ("name", "family"),
    [("Deutsche Bank AG", "ag"), ("Deutsche Bank GmbH", "gmbh"), ("Acme Inc.", "corporation"), ("Acme", None), ("AG", None)],
)
def test_the_legal_form_is_told_apart(name, family):
    assert legal_form_family(name) == family


@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_case_and_surplus_spaces_never_matter(text):
    assert normalised_name(text) == normalised_name(f"  {text.upper()} ".replace(" ", "  "))


@pytest.mark.parametrize(
    ("name", "legal"),
    [
        ("Vertex: Field Operations", "Vertex - Field Operations"),
        ("Tab\there", "Tab here"),
        ("Two\r\nlines", "Two lines"),
        ("  wide   space ", "wide space"),
        ("", "Unnamed customer"),
        (":::", "Unnamed customer"),
        ("half \ud83d pair", "half pair"),
        ("x" * 150, "x" * 100),
    ],
)
def test_a_display_name_is_mended_and_that_is_told(name, legal):
    assert legal_display_name(name) == (legal, True)


def test_a_legal_name_is_left_alone():
    assert legal_display_name("神奈川 Robotics USA Inc.") == ("神奈川 Robotics USA Inc.", False)


@given(st.text(max_size=300))
def test_every_text_becomes_a_name_that_quickbooks_takes(text):
    name, _ = legal_display_name(text)
    assert name == name.strip() != ""
    assert not set(":\t\r\n") & set(name)
    assert len(name.encode("utf-16-le")) // 2 <= DISPLAY_NAME_LENGTH
    assert legal_display_name(name) == (name, False)


@given(st.text(min_size=1, max_size=150), st.integers(min_value=1, max_value=12))
def test_a_taken_name_gets_the_first_free_number(text, times):
    taken: set[str] = set()
    for _ in range(times):
        name = unique_name(legal_display_name(text)[0], taken, " ({number})")
        assert name_key(name) not in taken
        assert len(name.encode("utf-16-le")) // 2 <= DISPLAY_NAME_LENGTH
        taken.add(name_key(name))
    assert len(taken) == times


def test_case_does_not_make_a_name_free():
    assert unique_name("Acme", {"acme", "acme (2)"}, " ({number})") == "Acme (3)"


def test_a_suffix_without_a_number_gets_one():
    assert unique_name("Acme", {"acme"}, " - CRM") == "Acme - CRM 2"
