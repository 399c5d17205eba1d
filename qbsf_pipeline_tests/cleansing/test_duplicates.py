"""Which records of one system are taken for one company, how surely, and which are left alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from qbsf_pipeline.cleansing.findings import Finding
from qbsf_pipeline.cleansing.plan import audit
from qbsf_pipeline_tests.cleansing.audited import found, inputs
from qbsf_pipeline_tests.invoices.records import TODAY, World, account, customer, opportunity, record_id, rules
from qbsf_pipeline_tests.matching.generator import generate

#: The account of every test, in another spelling and with another legal form.
TWIN = {"name": "ACME 1, Incorporated", "website": "acme1.example", "billing_email": "ap@acme1.example"}


def accounts(*others: dict[str, Any], deals: int = 0) -> dict[str, list[Finding]]:
    rows = [account(), *(account(number, **{**TWIN, **values}) for number, values in enumerate(others, start=2))]
    return found(World(accounts=rows, customers=[], opportunities=[opportunity(number) for number in range(1, deals + 1)]))


def customers(*rows: dict[str, Any], **more: Any) -> dict[str, list[Finding]]:
    place = {
        "billing_street": "1 Main Street", "billing_city": "Boulder", "billing_state": "CO", "billing_postal_code": "80302",
        "billing_country": "USA",
    }  # fmt: skip
    return found(
        World(
            accounts=[],
            opportunities=[],
            customers=[customer(number, email="ap@acme.example", **{**place, **row}) for number, row in enumerate(rows, start=1)],
            **more,
        )
    )


def test_two_spellings_of_one_account_at_one_address_are_a_duplicate_and_grave_where_deals_hang_on_it() -> None:
    (finding,) = accounts({}, deals=1)["duplicate_accounts"]
    assert finding.severity == "error"
    assert finding.members == (record_id("001", 1), record_id("001", 2))
    assert finding.record_id == record_id("001", 1)  # the one with the deal
    assert "“Acme 1 Inc.” (001000000000001AAA) and “ACME 1, Incorporated” (001000000000002AAA)" in finding.what
    assert (
        "almost certainly one company (name, e-mail, web domain, phone, address, postal code and city agree; score"
        in finding.what
    )
    assert accounts({})["duplicate_accounts"][0].severity == "warning"


def test_a_group_is_one_finding_however_many_spell_the_name() -> None:
    (finding,) = accounts({}, {"name": "The Acme 1 Corp"}, {"name": "Acme 1"})["duplicate_accounts"]
    assert len(finding.members) == 4
    again = accounts({"name": "Acme 1"}, {}, {"name": "The Acme 1 Corp"})["duplicate_accounts"][0]
    assert again.finding_id == finding.finding_id


@pytest.mark.parametrize(
    "values",
    [
        {"name": "Acme 1 East Inc."},
        {"name": "Acme 2 Inc."},
        {"name": "Zenith Bakery"},
        {"billing_street": "99 Other Road", "billing_city": "Austin", "billing_state": "TX", "billing_postal_code": "78701",
         "website": "https://other.example", "billing_email": "ap@other.example", "phone": "(512) 555-0199"},
        {"parent_id": record_id("001", 1)},
        {"currency": "EUR"},
    ],
    ids=["another branch", "another number", "another name", "a namesake elsewhere", "its own subsidiary", "another currency"],
)  # fmt: skip
def test_who_only_looks_alike_is_no_duplicate(values: dict[str, Any]) -> None:
    rows = [account(currency="USD"), account(2, **{**TWIN, "currency": "USD", **values})]
    assert "duplicate_accounts" not in found(World(accounts=rows, customers=[], opportunities=[]))


def test_an_equal_name_and_nothing_else_is_a_hint_that_says_so() -> None:
    bare = {
        "billing_street": None, "billing_city": None, "billing_state": None, "billing_postal_code": None, "phone": None,
        "website": None, "billing_email": None,
    }  # fmt: skip
    (finding,) = accounts(bare)["duplicate_accounts"]
    assert finding.severity == "hint"
    assert "may be one company entered twice, or its branches (name agrees; score 0.60)" in finding.what


def test_customers_are_compared_among_themselves_by_display_and_company_name() -> None:
    (finding,) = customers({"display_name": "Acme, Inc"}, {"display_name": "ACME Inc. (2)"})["duplicate_customers"]
    assert (finding.severity, finding.system, finding.record_object) == ("warning", "quickbooks", "Customer")
    in_use = customers({"display_name": "Acme, Inc"}, {"display_name": "ACME Inc. (2)", "balance": Decimal("5")})
    (grave,) = in_use["duplicate_customers"]
    assert (grave.severity, grave.record_id) == ("error", "102")
    assert grave.finding_id == finding.finding_id


def test_a_word_in_the_display_name_sets_two_customers_of_one_company_apart() -> None:
    (finding,) = customers(
        {"display_name": "Acme East", "company_name": "Acme"}, {"display_name": "Acme West", "company_name": "Acme"}
    )["duplicate_customers"]
    assert finding.severity == "hint"
    assert "“east” and “west” set them apart" in finding.what


def test_sub_customers_inactive_ones_and_those_of_another_currency_are_no_duplicates() -> None:
    for values in ({"parent_id": "101"}, {"active": False}, {"currency": "EUR"}):
        assert "duplicate_customers" not in customers({"display_name": "Acme, Inc"}, {"display_name": "ACME Inc. (2)", **values})


def test_the_rules_domains_that_tell_no_company_count_here_too() -> None:
    apart = {"name": "Acme 1 Inc", "billing_street": None, "billing_city": None, "billing_postal_code": None, "phone": None,
             "billing_state": None, "billing_email": "other@acme1.example"}  # fmt: skip
    world = World(accounts=[account(), account(2, **{**TWIN, **apart})], customers=[], opportunities=[])
    assert "web domain" in found(world)["duplicate_accounts"][0].what
    packaged = rules()
    matching = packaged.customers.matching.model_copy(update={"own_domains": ["acme1.example"]})
    ours = rules(customers={"matching": matching})
    assert "web domain" not in found(world, ours)["duplicate_accounts"][0].what


def test_what_is_called_almost_certain_is_right_in_a_large_company_full_of_branches_and_namesakes() -> None:
    """Generated companies of which the truth is known: franchises, subsidiaries, shared domains, typos."""
    labelled = generate(31, 3_000)
    world = World(opportunities=[], accounts=[], customers=[])
    audit_inputs = replace(inputs(world), account=labelled.accounts, customer=labelled.customers, contact=labelled.contacts)
    by_kind: dict[str, list[Finding]] = {"duplicate_accounts": [], "duplicate_customers": []}
    for finding in audit(audit_inputs, rules(), TODAY).findings:
        by_kind.get(finding.code, []).append(finding)
    truths = (("duplicate_accounts", labelled.company_of_account), ("duplicate_customers", labelled.company_of_customer))
    for code, company_of in truths:
        doubled = Counter(company_of.values())
        sure = [one for one in by_kind[code] if one.severity == "warning"]  # at rest, so nothing is graver
        right = [one for one in sure if len({company_of[member] for member in one.members}) == 1]
        told = {company_of[member] for one in by_kind[code] for member in one.members}
        assert len(right) >= 0.97 * len(sure) > 20, code
        assert sum(doubled[company] > 1 for company in told) >= 0.7 * sum(number > 1 for number in doubled.values()), code
