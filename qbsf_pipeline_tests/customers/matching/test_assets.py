"""What the asset adds to the matching: whose domains are our own."""

from __future__ import annotations

import polars as pl

from qbsf_pipeline.customers.matching.inputs import own_domains

_USERS = pl.Schema({"email": pl.String, "is_active": pl.Boolean})


def test_our_own_domains_are_those_that_many_users_share():
    rows = [{"email": f"user{number}@mail.House.example", "is_active": True} for number in range(19)]
    rows += [{"email": "partner@customer.example", "is_active": True}, {"email": "gone@old.example", "is_active": False}]
    assert own_domains(pl.DataFrame(rows, schema=_USERS)) == {"house.example"}


def test_without_users_or_e_mails_no_domain_is_our_own():
    assert own_domains(pl.DataFrame(schema=_USERS)) == frozenset()
    assert (
        own_domains(pl.DataFrame([{"email": None, "is_active": None}, {"email": "x", "is_active": True}], schema=_USERS))
        == frozenset()
    )
