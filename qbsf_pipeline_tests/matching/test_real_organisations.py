"""Precision, recall and the work left to people, on real organisations. Where they come from: :mod:`real_organisations`."""

from __future__ import annotations

import polars as pl

from qbsf_pipeline_tests.matching.figures import figures, match
from qbsf_pipeline_tests.matching.real_organisations import real_bodies, registered_in_2024, registered_in_2026, two_editions
from qbsf_pipeline_tests.matching.second_generator import written_down


def test_a_link_between_two_editions_of_a_real_register_is_right(record_property, capsys):
    labelled = two_editions()
    matches = match(labelled).matches
    found = figures(labelled, matches)
    with capsys.disabled():
        print(f"\nmatching {found.accounts} real registrations: {found.told()}")
    record_property("matching of real registrations", found.told())
    # Too few links would prove nothing: 3,000 without an error make 0.999 likely.
    assert found.right + found.wrong >= 5_000
    assert found.precision >= 0.999, found.mistakes
    assert found.recall >= 0.75
    assert found.reached >= 0.95
    # The label does not rest on the names: nearly every link is borne out by a block that both hold.
    of_account, of_customer = (
        {one.name: set(one.blocks) for one in edition} for edition in (registered_in_2026(), registered_in_2024())
    )
    names = dict(labelled.customers.select("id", "display_name").iter_rows())
    linked = matches.filter(pl.col("outcome") == "linked").select("account_name", "customer_id").rows()
    borne_out = sum(bool(of_account[name] & of_customer[names[customer_id]]) for name, customer_id in linked)
    assert borne_out >= 0.999 * len(linked)


def test_a_link_between_real_organisations_that_people_wrote_down_is_right(record_property, capsys):
    labelled = written_down(real_bodies(31, 4_500), 31)
    found = figures(labelled, match(labelled).matches)
    with capsys.disabled():
        print(f"\nmatching {found.accounts} real names and addresses, as people write them: {found.told()}")
    record_property("matching of real organisations", found.told())
    assert found.precision >= 0.999, found.mistakes
    assert found.recall >= 0.55
    assert found.reached >= 0.93


def test_the_labels_know_sisters_apart_and_spellings_together():
    labelled = two_editions(families_only=False)
    names = dict(labelled.customers.select("display_name", "id").iter_rows())
    company = labelled.company_of_customer
    assert company[names["Giga-Byte Technology Co., Ltd."]] == company[names["GIGA-BYTE TECHNOLOGY CO.,LTD."]]
    assert company[names["Nokia Shanghai Bell Co., Ltd."]] != company[names["Nokia"]]
    assert company[names["QSC AG"]] != company[names["QSC LLC"]], "one German, one American"
    accounts = dict(labelled.accounts.select("name", "id").iter_rows())
    assert labelled.company_of_account[accounts["F5 Inc."]] == company[names["F5 Networks, Inc."]], "renamed: one block"


def test_both_editions_are_read_whole():
    for edition in (registered_in_2024(), registered_in_2026()):
        assert len(edition) > 17_000
        assert sum(bool(one.country and one.postcode) for one in edition) > 0.88 * len(edition)
        assert all(one.name.strip() and one.blocks for one in edition)
