"""Links of accounts to customers and of deals to invoices."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy.exc import IntegrityError

from qbsf_pipeline.state.links import PERSON, CustomerLink, InvoiceLink, LinkConflict, LinkRejected
from qbsf_pipeline.state.reviews import ReviewCase
from qbsf_pipeline.state.tables import customer_links
from qbsf_pipeline_tests.state.conftest import NOW

LATER = NOW + timedelta(days=1)
LINK = CustomerLink(
    "001A", "17", "name_and_email", "rules", NOW, Decimal("0.97"), {"name": "Größe & Co", "email": True}, "2026-03"
)
INVOICE = InvoiceLink("006A", "145", "marker", "rules", NOW)


def test_a_link_is_read_back_with_its_evidence(state):
    state.links.link_customer(LINK)
    assert state.links.customer("001A") == LINK
    assert state.links.all_customers() == [LINK]
    assert state.links.customer("001B") is None


def test_an_account_may_have_several_customers_and_the_newest_is_its_customer(state):
    state.links.link_customer(LINK)
    state.links.link_customer(replace(LINK, customer_id="18", decided_at=LATER))
    assert state.links.customer("001A").customer_id == "18"
    assert [link.customer_id for link in state.links.customers("001A")] == ["17", "18"]


def test_one_customer_is_never_given_to_two_accounts_by_the_program(state):
    state.links.link_customer(LINK)
    with pytest.raises(LinkConflict) as caught:
        state.links.link_customer(replace(LINK, account_id="001B"))
    assert (caught.value.source_id, caught.value.other_source_id) == ("001A", "001B")
    assert state.links.customer("001B") is None


def test_a_person_may_give_one_customer_to_two_accounts(state):
    state.links.link_customer(LINK)
    state.links.link_customer(replace(LINK, account_id="001B", method=PERSON, decided_by="ana"))
    assert {link.account_id for link in state.links.all_customers()} == {"001A", "001B"}


def test_the_database_itself_refuses_a_second_account_of_the_program(state):
    state.links.link_customer(LINK)
    row = {
        "account_id": "001B",
        "customer_id": "17",
        "method": "name",
        "evidence": "{}",
        "rule_version": "",
        "decided_by": "rules",
        "decided_at": NOW,
        "active": True,
    }
    with pytest.raises(IntegrityError), state.engine.begin() as connection:
        connection.execute(customer_links.insert().values(row))


def test_an_undone_link_frees_its_customer_and_may_be_made_again(state):
    state.links.link_customer(LINK)
    assert state.links.unlink_customer("001A", "17", "ana", LATER)
    assert not state.links.unlink_customer("001A", "17", "ana", LATER)
    assert state.links.customer("001A") is None
    state.links.link_customer(replace(LINK, account_id="001B"))
    with pytest.raises(LinkConflict):
        state.links.link_customer(LINK)
    state.links.unlink_customer("001B", "17", "ana", LATER)
    state.links.link_customer(replace(LINK, decided_at=LATER))
    assert state.links.customer("001A").decided_at == LATER


def test_a_deal_is_linked_to_an_invoice_once(state):
    state.links.link_invoice(INVOICE)
    state.links.link_invoice(INVOICE)
    assert state.links.invoice("006A") == INVOICE
    with pytest.raises(LinkConflict):
        state.links.link_invoice(replace(INVOICE, opportunity_id="006B"))
    state.links.link_invoice(replace(INVOICE, opportunity_id="006B", method=PERSON, decided_by="ana"))
    assert [link.opportunity_id for link in state.links.all_invoices()] == ["006A", "006B"]
    assert state.links.unlink_invoice("006A", "145", "ana", LATER)
    assert state.links.invoice("006A") is None


def pairs(state):
    return {(link.account_id, link.customer_id, link.method) for link in state.links.all_customers()}


def test_the_program_does_not_take_over_the_link_of_a_person(state):
    state.links.link_customer(replace(LINK, method=PERSON, decided_by="ana"))
    state.links.link_customer(replace(LINK, decided_at=LATER))
    link = state.links.customer("001A")
    assert (link.method, link.decided_by, link.decided_at) == (PERSON, "ana", NOW)
    assert len(state.links.history("001A")) == 1


def test_the_program_never_links_what_a_person_rejected(state):
    state.rejections.reject("001A", "17", "ana", NOW)
    with pytest.raises(LinkRejected, match="17 cannot be linked to 001A: a person rejected it") as caught:
        state.links.link_customer(LINK)
    assert isinstance(caught.value, LinkConflict)
    assert (caught.value.target_id, caught.value.source_id) == ("17", "001A")
    state.links.link_customer(replace(LINK, account_id="001B"))
    state.links.link_customer(replace(LINK, method=PERSON))
    assert pairs(state) == {("001A", "17", PERSON), ("001B", "17", "name_and_email")}


def test_the_history_keeps_every_decision_with_who_undid_it(state):
    later = [LATER + timedelta(hours=hour) for hour in range(3)]
    state.links.link_customer(LINK)
    state.links.link_customer(LINK)
    state.links.unlink_customer("001A", "17", "ana", later[0])
    state.links.link_customer(replace(LINK, method="stored_id", decided_by="rules", decided_at=later[1]))
    state.links.link_customer(replace(LINK, method=PERSON, decided_by="ben", decided_at=later[2]))
    state.links.link_customer(replace(LINK, customer_id="18", decided_at=later[2]))
    assert [
        (link.customer_id, link.method, link.active, link.unlinked_by, link.unlinked_at) for link in state.links.history("001A")
    ] == [
        ("17", "name_and_email", False, "ana", later[0]),
        ("17", "stored_id", False, "ben", later[2]),
        ("17", PERSON, True, None, None),
        ("18", "name_and_email", True, None, None),
    ]
    assert state.links.history("001A")[0].evidence == LINK.evidence
    assert state.links.history("001B") == []


def test_the_survivor_of_merged_accounts_inherits_the_links_as_they_were_decided(state):
    state.links.link_customer(LINK)
    state.links.link_customer(replace(LINK, customer_id="18", method=PERSON, decided_by="ana", score=None))
    state.links.link_customer(replace(LINK, account_id="001Z", customer_id="99"))
    assert state.links.move_customer("001A", "001B", "merge in Salesforce", LATER) == 2
    assert state.links.customers("001A") == []
    assert pairs(state) == {("001B", "17", "name_and_email"), ("001B", "18", PERSON), ("001Z", "99", "name_and_email")}
    inherited = state.links.customers("001B")[0]
    assert inherited == replace(LINK, account_id="001B", evidence={**LINK.evidence, "merged_account": "001A"})
    assert {(link.unlinked_by, link.unlinked_at) for link in state.links.history("001A")} == {("merge in Salesforce", LATER)}
    assert state.links.move_customer("001A", "001B", "merge in Salesforce", LATER) == 0
    assert state.links.move_customer("001B", "001B", "merge in Salesforce", LATER) == 0
    assert len(state.links.customers("001B")) == 2


def test_the_survivor_keeps_its_own_link_to_the_same_customer(state):
    own = replace(LINK, account_id="001B", method=PERSON, decided_by="ana")
    state.links.link_customer(LINK)
    state.links.link_customer(own)
    assert state.links.move_customer("001A", "001B", "merge", LATER) == 0
    assert state.links.all_customers() == [own]


def test_the_survivor_does_not_inherit_what_a_person_rejected_for_it(state):
    state.links.link_customer(LINK)
    state.rejections.reject("001B", "17", "ana", NOW)
    assert state.links.move_customer("001A", "001B", "merge", LATER) == 0
    assert state.links.all_customers() == []


def test_the_link_follows_a_merged_customer_and_so_does_the_answer_of_its_review(state):
    state.reviews.open_or_refresh([ReviewCase("001A", "Acme", "Which?", (), 1, None, None)], NOW)
    state.reviews.decide("001A", "link", customer_id="17", by="ana", now=NOW)
    assert state.links.replace_customer("17", "18", "merged", "merge in QuickBooks", LATER) == 1
    link = state.links.customer("001A")
    assert (link.customer_id, link.method, link.decided_by, link.decided_at) == ("18", "merged", "merge in QuickBooks", LATER)
    assert link.evidence == {"review": "R-1", "merged_customer": "17"}
    assert state.reviews.decisions()["001A"].customer_id == "18"
    assert [(old.customer_id, old.active) for old in state.links.history("001A")] == [("17", False), ("18", True)]
    assert state.links.replace_customer("17", "18", "merged", "merge in QuickBooks", LATER) == 0
    assert state.links.replace_customer("18", "18", "merged", "merge in QuickBooks", LATER) == 0
    state.reviews.decide("R-1", "create", by="ben", now=LATER)
    assert state.links.customers("001A") == []


def test_accounts_that_share_a_customer_share_its_successor(state):
    state.links.link_customer(LINK)
    state.links.link_customer(replace(LINK, account_id="001B", method=PERSON))
    assert state.links.replace_customer("17", "18", "merged", "merge", LATER) == 2
    assert pairs(state) == {("001A", "18", "name_and_email"), ("001B", "18", PERSON)}


def test_a_successor_that_is_yet_another_accounts_waits_for_a_person(state):
    other = replace(LINK, account_id="001B", customer_id="18")
    state.links.link_customer(LINK)
    state.links.link_customer(other)
    assert state.links.replace_customer("17", "18", "merged", "merge", LATER) == 0
    assert state.links.all_customers() == [LINK, other]


def test_a_successor_that_the_account_has_already_or_rejected_changes_no_link_but_the_old_one(state):
    own = replace(LINK, customer_id="18", method=PERSON)
    state.links.link_customer(LINK)
    state.links.link_customer(own)
    assert state.links.replace_customer("17", "18", "merged", "merge", LATER) == 1
    assert state.links.all_customers() == [own]
    state.rejections.reject("001A", "19", "ana", NOW)
    assert state.links.replace_customer("18", "19", "merged", "merge", LATER) == 0
    assert state.links.all_customers() == [own]
