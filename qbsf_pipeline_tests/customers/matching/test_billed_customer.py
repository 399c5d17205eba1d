"""What follows for invoices: the customer of the deal's currency, the id that an account is told, a customer made once more."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl

from qbsf_pipeline.money import parse_json
from qbsf_pipeline_tests.invoices.records import (
    REALM,
    World,
    account,
    codes,
    customer,
    ledger_line,
    line,
    operations,
    opportunity,
    outcomes,
    payload,
    record_id,
)

ACCOUNT = record_id("001")
AT = datetime(2026, 11, 1, tzinfo=UTC)
DOLLAR, EURO = customer(), customer(2, display_name="Acme 1 EUR", email=None, currency="EUR")


def link(customer_id: str, method: str = "person"):
    return {"account_id": ACCOUNT, "customer_id": customer_id, "method": method, "decided_by": "ann", "decided_at": AT}


def several(*deals: str, customers=(DOLLAR, EURO), **changes) -> World:
    """Deals of one account in these currencies, in a company that keeps several."""
    world = World(
        opportunities=[opportunity(number, currency=currency) for number, currency in enumerate(deals, start=1)],
        lines=[line(number, number) for number in range(1, len(deals) + 1)],
        customers=list(customers),
        links=[link(str(one["id"])) for one in customers],
        **changes,
    )
    world.preferences["multi_currency"] = True
    return world


def billed(world: World) -> dict[str, str]:
    rows = world.plan().writes.filter(pl.col("operation") == "create_invoice")
    return {label: parse_json(body)["CustomerRef"]["value"] for label, body in rows.select("label", "payload").iter_rows()}


def test_each_deal_goes_to_the_customer_of_its_currency_and_the_account_is_told_the_first_one():
    world = several("EUR", "USD", accounts=[account(customer_id="101")])
    assert billed(world) == {"Deal 1": "102", "Deal 2": "101"}
    assert "write_back_account" not in operations(world.plan())
    world.accounts = [account(currency="USD")]
    assert payload(world.plan(), "write_back_account") == {"Id": ACCOUNT, "QuickBooks_Customer_Id__c": "101"}


def test_a_deal_without_a_currency_of_its_own_goes_by_the_orgs():
    world = several("USD", accounts=[account(customer_id="102")])
    world.opportunities = [opportunity(currency=None)]
    assert billed(world) == {"Deal 1": "101"}


def test_a_deal_in_a_currency_that_none_of_them_has_is_refused_with_the_command_that_helps():
    plan = several("GBP", accounts=[account(customer_id="101")]).plan()
    assert codes(plan) == {"currency_differs_from_customer"}
    (refusal,) = plan.refusals.to_dicts()
    assert "Acme 1, Inc (USD) and Acme 1 EUR (EUR)" in refusal["reason"]
    assert f"qbsf review also {ACCOUNT} CUSTOMER" in refusal["remedy"]


def test_the_one_customer_of_another_currency_is_refused_with_the_same_command():
    (refusal,) = several("EUR", customers=[DOLLAR]).plan().refusals.to_dicts()
    assert refusal["code"] == "currency_differs_from_customer"
    assert f"qbsf review also {ACCOUNT} CUSTOMER" in refusal["remedy"]


def test_of_two_customers_in_the_deals_currency_the_first_one_is_billed_else_a_person_is_asked():
    branch = customer(3, display_name="Acme 1 Branch", email=None)
    three = several("USD", "EUR", customers=[DOLLAR, EURO, branch], accounts=[account(customer_id="103")])
    assert billed(three) == {"Deal 1": "103", "Deal 2": "102"}
    three.accounts = [account(customer_id="102")]
    plan = three.plan()
    assert outcomes(plan) == {"Deal 1": "refused", "Deal 2": "planned"}
    assert codes(plan) == {"several_customers_in_currency"}
    assert f"qbsf review link {ACCOUNT} CUSTOMER" in plan.refusals.get_column("remedy").item()


# The id on the account


def write_backs(world: World):
    return world.plan().writes.filter(pl.col("operation") == "write_back_account").to_dicts()


def idle(**changes) -> World:
    """An account without a deal."""
    return World(opportunities=[], lines=[], **changes)


def test_a_link_that_a_person_changed_rewrites_the_accounts_id_without_any_deal():
    world = idle(accounts=[account(customer_id="102")], customers=[DOLLAR, EURO], links=[link("101")])
    (row,) = write_backs(world)
    assert parse_json(row["payload"]) == {"Id": ACCOUNT, "QuickBooks_Customer_Id__c": "101"}
    assert world.plan().writes.get_column("key").to_list() == [row["key"]]
    world.ledger = [ledger_line(row["key"], "done", "write_back_account")]
    assert write_backs(world) == []  # what puts the old id back is not fought over
    world.links = [link("101") | {"decided_at": datetime(2026, 11, 2, tzinfo=UTC)}]
    (again,) = write_backs(world)
    assert again["key"] != row["key"]


def test_an_id_that_was_withdrawn_before_it_was_written_is_planned_again():
    world = idle(accounts=[account(customer_id="102")], customers=[DOLLAR, EURO], links=[link("101")])
    (row,) = write_backs(world)
    world.ledger = [ledger_line(row["key"], "withdrawn", "write_back_account")]
    assert len(write_backs(world)) == 1


def test_a_merged_customers_id_is_rewritten_and_a_persons_own_id_never():
    merged = idle(
        accounts=[account(customer_id="101")],
        customers=[EURO],
        links=[link("101")],
        successors=[{"customer_id": "101", "successor_id": "102"}],
    )
    (row,) = write_backs(merged)
    assert parse_json(row["payload"])["QuickBooks_Customer_Id__c"] == "102"
    theirs = idle(accounts=[account(customer_id="102")], customers=[DOLLAR, EURO], links=[link("101", "scored")])
    assert write_backs(theirs) == []


def test_an_account_without_an_id_is_told_it_with_its_next_deal_only():
    assert write_backs(idle(links=[link("101")])) == []


# A customer that was made for the account, and that it is not


def test_a_customer_that_a_person_rejected_is_never_billed_again_and_another_one_may_be_made():
    base = f"quickbooks:{REALM}:customer:{ACCOUNT}"
    made = ledger_line(base, "done", "create_customer", result_id="101")
    world = World(ledger=[made], decisions=[{"account_id": ACCOUNT, "decision": "create"}])
    world.customers = []
    assert billed(world) == {"Deal 1": "101"}  # created, and not read back yet
    world.rejections = [{"account_id": ACCOUNT, "customer_id": "101"}]
    plan = world.plan()
    (row,) = plan.writes.filter(pl.col("operation") == "create_customer").to_dicts()
    assert row["key"] == f"quickbooks:{REALM}:2:customer:{ACCOUNT}"
    assert billed(world) == {"Deal 1": f"$customer:{ACCOUNT}"}
    assert row["key"] in plan.writes.filter(pl.col("operation") == "create_invoice").get_column("depends_on").item()
    world.ledger.append(ledger_line(row["key"], "done", "create_customer", result_id="109"))
    assert billed(world) == {"Deal 1": "109"}


def test_the_id_of_the_second_customer_is_told_once_in_place_of_the_first_ones():
    world = World(
        accounts=[account(customer_id="101")],
        customers=[customer(display_name="Wrong", email=None)],
        decisions=[{"account_id": ACCOUNT, "decision": "create"}],
        rejections=[{"account_id": ACCOUNT, "customer_id": "101"}],
    )
    (row,) = write_backs(world)
    assert parse_json(row["payload"])["QuickBooks_Customer_Id__c"] == "$customer.Id"
    created = f"quickbooks:{REALM}:customer:{ACCOUNT}"
    world.ledger = [
        ledger_line(created, "done", "create_customer", result_id="109"),
        ledger_line(row["key"], "failed", "write_back_account"),
    ]
    assert billed(world) == {"Deal 1": "109"}
    assert write_backs(world) == []  # the first one still waits, and is carried out
