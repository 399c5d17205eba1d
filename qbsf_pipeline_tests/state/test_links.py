"""Links of accounts to customers and of deals to invoices."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy.exc import IntegrityError

from qbsf_pipeline.state.links import PERSON, CustomerLink, InvoiceLink, LinkConflict
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
