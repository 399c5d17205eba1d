"""What both sides agreed on."""

from datetime import timedelta

import pytest

from qbsf_pipeline.state.agreements import Agreement
from qbsf_pipeline_tests.state.conftest import NOW

LATER = NOW + timedelta(hours=1)
ACME = Agreement("001A", "17", {"phone": ("+15551234567", "+15551234567"), "name": ("größe & co", None), "web": (None, None)})
BETA = Agreement("001B", "18", {"name": ('o\'neil: \t"x"', "y"), "terms": ("1E+5", "Net 30")})


def test_what_was_agreed_is_read_back(state):
    assert state.agreements.all() == []
    state.agreements.put([BETA, ACME], NOW)
    assert state.agreements.all() == [ACME, BETA]


def test_a_newer_agreement_takes_the_place_of_the_older_one_as_a_whole(state):
    state.agreements.put([ACME, BETA], NOW)
    newer = Agreement("001A", "17", {"email": ("a@x.example", "a@x.example")})
    second = Agreement("001A", "19", {})
    state.agreements.put([newer, second], LATER)
    assert state.agreements.all() == [newer, second, BETA]


def test_what_is_forgotten_is_that_pair_alone(state):
    state.agreements.put([ACME, BETA], NOW)
    state.agreements.forget("001A", "17")
    state.agreements.forget("001B", "17")
    assert state.agreements.all() == [BETA]


def test_a_pair_that_is_given_twice_is_refused_and_nothing_stored(state):
    with pytest.raises(ValueError, match="more than once"):
        state.agreements.put([BETA, ACME, ACME], NOW)
    assert state.agreements.all() == []


def test_thousands_are_put_and_put_again(state):
    many = [Agreement(f"001{number:05d}", str(number), {"name": ("acme", "acme")}) for number in range(3000)]
    state.agreements.put(many, NOW)
    state.agreements.put(many[:2000], LATER)
    assert len(state.agreements.all()) == 3000
    state.agreements.put([], LATER)
