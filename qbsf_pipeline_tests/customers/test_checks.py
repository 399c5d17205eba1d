"""The gates before customers and accounts are changed: open where all is well, closed with a sentence where it is not."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from qbsf_pipeline.customers import checks
from qbsf_pipeline.customers.fields import FIELD_NAMES
from qbsf_pipeline.customers.matching.plan import MATCHES
from qbsf_pipeline.customers.plan import FIELD_DIFFERENCES, PLAN
from qbsf_pipeline.flows import gates
from qbsf_pipeline.flows.approval import batch_of
from qbsf_pipeline.money import to_json
from qbsf_pipeline_tests.customers.pairs import PACKAGED, Books, account, changed_rules, customer
from qbsf_pipeline_tests.invoices.records import record_id

EVERY = {"name": {"first_difference": "owner"}}


def plan_of(*rows: dict[str, Any]) -> pl.DataFrame:
    return PLAN.frame(rows)


def change(number: int = 1, **values: Any) -> dict[str, Any]:
    """A planned change of customer 100 + ``number``'s phone, for account ``number``."""
    body = {"Id": str(100 + number), "SyncToken": "0", "sparse": True, **values.pop("body", {"PrimaryPhone": {}})}
    return {
        "plan_id": f"P-{number}",
        "key": f"customer-{number}",
        "operation": "update_customer",
        "target_object": "Customer",
        "account_id": record_id("001", number),
        "label": f"Acme {number} Inc.",
        "payload": to_json(body),
        **values,
    }


def account_change(number: int = 1, **fields: Any) -> dict[str, Any]:
    body = {"Id": record_id("001", number), **(fields or {"Payment_Terms__c": "Net 15"})}
    return {**change(number), "key": f"account-{number}", "operation": "update_account", "target_object": "Account"} | {
        "payload": to_json(body)
    }


def matches(*pairs: tuple[int, int], outcome: str = "linked") -> pl.DataFrame:
    rows = [{"account_id": record_id("001", a), "customer_id": str(100 + c), "outcome": outcome} for a, c in pairs]
    return MATCHES.frame(rows)


def difference(field: str = "phone", **values: Any) -> dict[str, Any]:
    found = {"account_id": "001", "customer_id": "101", "field": field, "owner": "salesforce", "winner": "salesforce"}
    return {**found, "kind": "put_back", "action": "write", **values}


def named(*rows: tuple[str, str, str | None]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=["entity", "id", "display_name"], orient="row")


def test_a_sound_plan_of_the_planner_passes_every_gate() -> None:
    books = Books(
        accounts=[account(1, Phone="1", Name="Beta Ltd"), account(2, Payment_Terms__c="Net 99")],
        customers=[customer(1), customer(2)],
        rules=changed_rules(EVERY),
    )
    plan = books.plan()
    assert plan.writes.height == 2
    held = matches((1, 1), (2, 2))
    taken = named(*(("Customer", one["Id"], one["DisplayName"]) for one in books.customers))
    outcomes = [
        gates.keys_are_unique(plan.writes),
        checks.each_record_is_written_once(plan.writes),
        checks.only_linked_customers_are_changed(plan.writes, held, {}),
        checks.owners_are_respected(plan.differences, books.rules),
        checks.only_known_fields_are_written(plan.writes, books.rules),
        checks.names_stay_unique(plan.writes, taken),
        checks.within_blast_radius(plan.writes, 2, books.rules.gates, {}, "B-1"),
    ]
    assert [outcome.text for outcome in outcomes if not outcome.open] == []
    assert [outcome.name for outcome in outcomes] == [key.name for key in checks.plan_gates.check_specs]


def test_every_gate_is_open_for_a_plan_without_writes() -> None:
    empty = PLAN.empty()
    assert checks.each_record_is_written_once(empty).open
    assert checks.only_linked_customers_are_changed(empty, MATCHES.empty(), {}).open
    assert checks.owners_are_respected(FIELD_DIFFERENCES.empty(), PACKAGED).open
    assert checks.only_known_fields_are_written(empty, PACKAGED).open
    assert checks.names_stay_unique(empty, named()).open
    assert checks.within_blast_radius(empty, 0, PACKAGED.gates, {}, batch_of([])).open


@pytest.mark.parametrize(
    ("rows", "is_open"),
    [
        ([change(1), change(2)], True),
        ([change(1), change(1, key="another", body={"WebAddr": {}})], False),
        ([account_change(1), account_change(1)], False),
        ([change(1), account_change(1)], True),
        # An account and a customer may have one id: they are records of two systems.
        ([change(1), {**account_change(1), "payload": to_json({"Id": "101"})}], True),
    ],
)
def test_two_writes_of_one_record_which_would_undo_each_other_close_the_gate(rows: list[dict[str, Any]], is_open: bool) -> None:
    outcome = checks.each_record_is_written_once(plan_of(*rows))
    assert outcome.open is is_open
    assert is_open or outcome.text == "1 records would be changed by more than one write."


@pytest.mark.parametrize(
    ("held", "links", "is_open"),
    [
        (matches((1, 1)), {}, True),
        (matches(), {record_id("001", 1): frozenset({"101", "150"})}, True),  # one of several, by a person
        (matches(), {}, False),
        (matches((1, 2)), {}, False),  # the account's, but another customer
        (matches((2, 1)), {}, False),  # the customer's, but another account
        (matches((1, 1), outcome="review"), {}, False),  # only a proposal
        (matches(), {record_id("001", 2): frozenset({"101"})}, False),
    ],
)
def test_another_companys_data_on_a_customer_closes_the_gate(
    held: pl.DataFrame, links: dict[str, frozenset[str]], is_open: bool
) -> None:
    outcome = checks.only_linked_customers_are_changed(plan_of(change(1), account_change(1)), held, links)
    assert outcome.open is is_open
    assert is_open or outcome.text == "1 customers to change are not linked to the account: Acme 1 Inc.."


@pytest.mark.parametrize(
    ("row", "is_open"),
    [
        (difference(), True),
        (difference(winner="quickbooks"), False),  # finance's phone would go to Salesforce
        (difference(owner="quickbooks", winner="quickbooks"), False),  # the plan was made under other rules
        (difference("terms", owner="quickbooks", winner="quickbooks"), True),
        (difference("terms"), False),
        (difference(winner="quickbooks", kind="reversed"), True),  # a person's wish
        (difference(winner="quickbooks", action="report"), True),  # nothing is written
        (difference(winner="none", action="keep"), True),
        (difference("shoe_size"), False),
    ],
)
def test_a_write_against_the_owner_that_the_rules_name_closes_the_gate(row: dict[str, Any], is_open: bool) -> None:
    outcome = checks.owners_are_respected(FIELD_DIFFERENCES.frame([row]), PACKAGED)
    assert outcome.open is is_open
    assert is_open or outcome.text == f"Against the owner: {row['field']}."


def test_the_owners_gate_follows_the_rules_that_are_in_force() -> None:
    turned = changed_rules({"phone": {"owner": "quickbooks"}})
    assert not checks.owners_are_respected(FIELD_DIFFERENCES.frame([difference()]), turned).open


@pytest.mark.parametrize(
    ("row", "is_open"),
    [
        (change(1, body={"DisplayName": "x", "CompanyName": "x", "ShipAddr": {}, "SalesTermRef": {}, "Taxable": True}), True),
        (change(1, body={"Balance": 0}), False),
        (change(1, body={"CurrencyRef": {"value": "EUR"}}), False),
        (change(1, body={"Notes": ""}), False),
        (account_change(1, Name="x", Phone=None, ParentId=None, BillingStreet="", ShippingCountry=""), True),
        (account_change(1, QuickBooks_Customer_Id__c="7"), False),  # the link itself is not a field that is kept in step
        (account_change(1, OwnerId="005"), False),
        ({**account_change(1), "target_object": "Contact"}, False),
    ],
)
def test_a_field_that_is_not_kept_in_step_closes_the_gate(row: dict[str, Any], is_open: bool) -> None:
    assert checks.only_known_fields_are_written(plan_of(row), PACKAGED).open is is_open


def test_the_orgs_own_field_is_known_only_where_the_rules_name_it() -> None:
    row = account_change(1, Tax_Exempt__c=True)
    assert not checks.only_known_fields_are_written(plan_of(row), PACKAGED).open
    assert checks.only_known_fields_are_written(plan_of(row), changed_rules(account={"tax_exempt": "Tax_Exempt__c"})).open


@pytest.mark.parametrize(
    ("taken", "is_open"),
    [
        ([], True),
        ([("Customer", "101", "acme GMBH ")], True),  # its own, spelt otherwise
        ([("Customer", "102", "acme GmbH")], False),
        ([("Vendor", "7", " ACME GMBH")], False),
        ([("Employee", "101", "Acme GmbH")], False),  # the same id, and another list
        ([("Vendor", "7", None)], True),
    ],
)
def test_a_name_that_somebody_has_closes_the_gate(taken: list[tuple[str, str, str | None]], is_open: bool) -> None:
    outcome = checks.names_stay_unique(plan_of(change(1, body={"DisplayName": "Acme GmbH"}), change(2)), named(*taken))
    assert outcome.open is is_open
    assert is_open or outcome.text == "1 names are taken already: Acme GmbH."


def test_two_customers_that_would_get_one_name_close_the_gate() -> None:
    rows = (change(1, body={"DisplayName": "Straße AG"}), change(2, body={"DisplayName": "STRASSE AG"}))
    assert not checks.names_stay_unique(plan_of(*rows), named()).open


@pytest.mark.parametrize(
    ("most", "share", "linked", "is_open"),
    [
        (2, 0.1, 10, True),  # few enough
        (1, 0.2, 10, True),  # many, and a small share
        (1, 0.19, 10, False),
        (0, 0.0, 10, False),
        (1, 0.5, 0, False),  # nobody is linked, and yet there are writes
    ],
)
def test_a_pass_that_changes_many_customers_and_a_large_share_of_them_waits_for_a_person(
    most: int, share: float, linked: int, is_open: bool
) -> None:
    rules = PACKAGED.gates.model_copy(update={"max_customer_changes": most, "max_customer_changes_share": share})
    outcome = checks.within_blast_radius(plan_of(change(1), account_change(2)), linked, rules, {}, "B-77")
    assert outcome.open is is_open
    known = f"2 records to change, of {linked} linked customers"
    told = f"{known}: more than one pass may change (at most {most}, or {share:.0%} of the linked customers). "
    todo = "Look at them with qbsf plan --flow customers, then: qbsf approve B-77"
    assert outcome.text == (f"{known}." if is_open else told + todo)


def test_each_of_an_accounts_customers_counts() -> None:
    branches = [change(number, account_id=record_id("001", 1)) for number in range(1, 61)]
    assert not checks.within_blast_radius(plan_of(*branches), 60, PACKAGED.gates, {}, "B-1").open


@pytest.mark.parametrize(
    ("decisions", "is_open"),
    [
        ({"B-77": "approved"}, True),
        ({"B-77": "rejected"}, False),
        ({"B-other": "approved"}, False),
        ({"P-1": "approved", "P-2": "approved"}, False),  # row by row is not the whole
    ],
)
def test_only_a_word_on_the_whole_plan_opens_the_blast_radius(decisions: dict[str, str], is_open: bool) -> None:
    rules = PACKAGED.gates.model_copy(update={"max_customer_changes": 1, "max_customer_changes_share": 0.0})
    outcome = checks.within_blast_radius(plan_of(change(1), change(2)), 5, rules, decisions, "B-77")
    assert outcome.open is is_open
    assert is_open is outcome.text.startswith("Approved by a person: 2 records to change")


def test_every_gate_blocks_and_says_what_it_protects() -> None:
    for spec in checks.plan_gates.check_specs:
        assert spec.blocking
        assert (spec.description or "").startswith("Protects ")


def test_every_field_has_an_owner_that_the_gate_can_ask_for() -> None:
    rows = [
        difference(name, owner=(owner := getattr(PACKAGED.customers.fields, name).owner), winner=owner) for name in FIELD_NAMES
    ]
    assert checks.owners_are_respected(FIELD_DIFFERENCES.frame(rows), PACKAGED).open
