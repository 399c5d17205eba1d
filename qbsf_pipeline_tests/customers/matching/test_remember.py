"""What the state keeps of a matching: whose decision it was, and what became of links when records were merged."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from qbsf_pipeline.customers.matching.inputs import created_invoices, people_of, read_inputs
from qbsf_pipeline.customers.matching.plan import RULE_VERSION
from qbsf_pipeline.customers.matching.remember import remember_links
from qbsf_pipeline.money import to_json
from qbsf_pipeline.quickbooks.objects import CUSTOMER, INVOICE
from qbsf_pipeline.salesforce.objects import ACCOUNT as ACCOUNTS
from qbsf_pipeline.settings import load_rules
from qbsf_pipeline.state.database import State
from qbsf_pipeline.state.links import CustomerLink
from qbsf_pipeline.state.reviews import ReviewCase
from qbsf_pipeline.warehouse.connection import Warehouse, replace_rows
from qbsf_pipeline_tests.invoices.records import World, account, customer, frame, record_id, state_frame
from qbsf_pipeline_tests.invoices.records import invoice as pulled_invoice
from qbsf_pipeline_tests.state.writes import invoice, sending

NOW = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
ACCOUNT, OTHER = record_id("001"), record_id("001", 2)
FIELD = "QuickBooks_Customer_Id__c"


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with State.open(f"sqlite:///{tmp_path / 'state.sqlite'}", tmp_path) as opened:
        yield opened


def put(state: State, customer_id: str, method: str = "name_and_evidence", account_id: str = ACCOUNT) -> None:
    state.links.link_customer(CustomerLink(account_id, customer_id, method, RULE_VERSION, NOW - timedelta(days=1)))


def remember(state: State, world: World, invoiced: tuple[str, ...] = ()) -> list[str]:
    """A pass: match with what the state holds, then keep what was found."""
    links, decisions, rejections = people_of(state)
    world.links, world.decisions, world.rejections = links.to_dicts(), decisions.to_dicts(), rejections.to_dicts()
    return remember_links(state, world.match().matches, frame(ACCOUNTS, world.accounts), invoiced, FIELD, NOW)


def held(state: State, account_id: str = ACCOUNT) -> list[tuple[str, str, str]]:
    return [(one.customer_id, one.method, one.decided_by) for one in state.links.customers(account_id)]


def test_a_link_by_rule_is_kept_with_evidence_score_and_version_once_it_is_invoiced(state: State) -> None:
    remember(state, World())
    assert held(state) == []
    assert remember(state, World(), (ACCOUNT,)) == []
    (kept,) = state.links.customers(ACCOUNT)
    assert (kept.method, kept.decided_by, kept.rule_version) == ("name_and_evidence", RULE_VERSION, RULE_VERSION)
    assert kept.score is not None
    assert kept.score >= Decimal("0.95")
    assert kept.evidence["email"] == {"salesforce": "ap@acme1.example", "quickbooks": "ap@acme1.example", "agrees": True}
    assert str(kept.evidence["reason"]).startswith("One customer fits")
    assert remember(state, World(), (ACCOUNT,)) == []
    assert len(state.links.history(ACCOUNT)) == 1


def test_an_id_from_salesforce_is_kept_as_decided_there_and_takes_the_place_of_a_link_by_rule(state: State) -> None:
    put(state, "101")
    world = World(accounts=[account(customer_id="102")], customers=[customer(), customer(2, display_name="Zeta", email=None)])
    assert remember(state, world) == []
    assert held(state) == [("102", "stored_id", f"Salesforce field {FIELD}")]
    (undone,) = [one for one in state.links.history(ACCOUNT) if not one.active]
    assert (undone.customer_id, undone.unlinked_by) == ("101", f"Salesforce field {FIELD}")
    assert remember(state, world) == []
    assert len(state.links.history(ACCOUNT)) == 2


def test_a_persons_link_is_not_replaced_by_the_id_on_the_account(state: State) -> None:
    put(state, "101", "person")
    world = World(accounts=[account(customer_id="102")], customers=[customer(), customer(2, display_name="Zeta", email=None)])
    assert remember(state, world, (ACCOUNT,)) == []
    assert [one[0] for one in held(state)] == ["101"]


def test_the_survivor_of_a_merge_in_salesforce_inherits_the_link(state: State) -> None:
    put(state, "101", "person", OTHER)
    world = World(accounts=[account(billing_email=None, name="New"), account(2, is_deleted=True, master_record_id=ACCOUNT)])
    assert remember(state, world, (ACCOUNT,)) == []
    assert [one[:2] for one in held(state)] == [("101", "person")]
    assert held(state, OTHER) == []


def test_a_merge_whose_survivor_was_not_read_changes_nothing(state: State) -> None:
    put(state, "101", "person", OTHER)
    world = World(accounts=[account(2, is_deleted=True, master_record_id=record_id("001", 9))])
    assert remember(state, world) == []
    assert [one[0] for one in held(state, OTHER)] == ["101"]


def test_a_link_follows_its_customer_through_a_merge_in_quickbooks(state: State) -> None:
    put(state, "101")
    heir = customer(2, display_name="Zeta", email=None)
    world = World(customers=[heir], successors=[{"customer_id": "101", "successor_id": "102"}])
    assert remember(state, world) == []
    assert held(state) == [("102", "merged", "merge of customers in QuickBooks")]
    assert remember(state, World(customers=[heir])) == []
    assert World(customers=[heir], links=people_of(state)[0].to_dicts()).match().matches.get_column("method").item() == "link"


def test_one_of_several_customers_that_was_merged_is_replaced_in_the_state_too(state: State) -> None:
    put(state, "101")
    put(state, "102", "person")
    heir = customer(3, display_name="Acme Europe", email=None, currency="EUR")
    world = World(customers=[customer(), heir], successors=[{"customer_id": "102", "successor_id": "103"}])
    assert remember(state, world) == []
    assert sorted(one[0] for one in held(state)) == ["101", "103"]


def test_what_stands_against_a_link_is_said_and_the_others_are_kept(state: State) -> None:
    matches = (
        World(accounts=[account(), account(2, name="Beta LLC", billing_email="b@beta.example", website=None)]).match().matches
    )
    put(state, "101", "scored", record_id("001", 3))
    (conflict,) = remember_links(state, matches, frame(ACCOUNTS, [account(), account(2)]), [ACCOUNT, OTHER], FIELD, NOW)
    assert "is linked to" in conflict
    assert held(state) == []


def test_what_the_ledger_created_is_known_by_customer(state: State) -> None:
    for number, answer in enumerate(({"CustomerRef": {"value": "7"}}, {}, {"CustomerRef": None}), start=1):
        write = invoice(number, depends_on=())
        state.ledger.enqueue([write], "B-1", NOW)
        state.ledger.start([sending(write)], NOW)
        state.ledger.finish(write.key, str(100 + number), to_json({"Id": str(100 + number), **answer}), NOW)
    state.ledger.enqueue([invoice(9, depends_on=())], "B-1", NOW)
    found = created_invoices(state.ledger.entries("invoices"))
    assert found.rows() == [("101", "7"), ("102", None), ("103", None)]


def test_the_review_of_a_deleted_account_closes(state: State) -> None:
    case = ReviewCase(ACCOUNT, "Acme", "Which?", [], 1, None, None)
    state.reviews.open_or_refresh([case], NOW)
    found: Any = World(accounts=[account(is_deleted=True)]).match()
    assert found.reviews.is_empty()
    state.reviews.close_missing(found.reviews.get_column("account_id").to_list(), NOW)
    assert state.reviews.list("open") == ()


def test_frames_of_the_state_have_their_columns_even_when_nothing_was_said(state: State) -> None:
    links, decisions, rejections = people_of(state)
    assert (links.height, decisions.height, rejections.height) == (0, 0, 0)
    assert state_frame(links.schema, []).columns == ["account_id", "customer_id", "method", "decided_by", "decided_at"]


def test_a_merge_in_quickbooks_is_read_from_where_the_ledgers_invoices_stand_now(state: State, tmp_path: Path) -> None:
    lost = record_id("001", 3)
    made = [
        invoice(number, depends_on=(), account_id=account_id) for number, account_id in enumerate((ACCOUNT, ACCOUNT, lost), 1)
    ]
    state.ledger.enqueue(made, "B-1", NOW)
    for number, write in enumerate(made, start=1):
        state.ledger.start([sending(write)], NOW)
        state.ledger.finish(write.key, str(300 + number), to_json({"CustomerRef": {"value": "101"}}), NOW)
    put(state, "101")
    tables = {
        ACCOUNTS: [account(), account(3, is_deleted=True, master_record_id=ACCOUNT)],
        CUSTOMER: [customer(is_deleted=True), customer(2, display_name="Zeta", email=None)],
        INVOICE: [pulled_invoice(number, customer_id="102") for number in (1, 2, 3)],
    }
    warehouse = Warehouse(tmp_path / "warehouse.duckdb")
    with warehouse.transaction() as connection:
        for table, rows in tables.items():
            replace_rows(connection, table, frame(table, rows))
    inputs = read_inputs(warehouse, state)
    assert inputs.successors.rows() == [("101", "102")]
    assert inputs.match(load_rules()).matches.select("customer_id", "method").rows() == [("102", "merged")]
    with warehouse.transaction() as connection:
        replace_rows(connection, CUSTOMER, frame(CUSTOMER, [customer(), customer(2)]))
    assert read_inputs(warehouse, state).successors.is_empty()
