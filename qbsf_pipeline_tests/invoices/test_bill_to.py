"""The receiver of an invoice."""

from __future__ import annotations

from qbsf_pipeline.invoices.bill_to import bill_to

ROLES = ["Bill To", "Invoice Recipient"]


def contact(number, role=None, email="", is_primary=False):
    return {"contact_id": f"003{number}", "contact_name": f"C{number}", "role": role, "email": email, "is_primary": is_primary}


def test_the_accounts_own_address_comes_first():
    assert bill_to({"billing_email": " ap@a.example "}, [contact(1, "Bill To", "x@a.example")], ROLES).email == "ap@a.example"


def test_roles_come_in_the_rules_order_and_without_case():
    contacts = [contact(1, "invoice recipient", "one@a.example"), contact(2, "BILL TO", "two@a.example")]
    assert bill_to(None, contacts, ROLES).email == "two@a.example"


def test_the_primary_contact_is_the_last_resort():
    contacts = [contact(1, "Evaluator", "one@a.example"), contact(2, None, "two@a.example", is_primary=True)]
    assert bill_to({"billing_email": None}, contacts, ROLES).email == "two@a.example"
    assert bill_to({"billing_email": ""}, contacts[:1], ROLES).email is None


def test_of_two_in_one_role_the_primary_one_counts():
    contacts = [contact(1, "Bill To", "one@a.example"), contact(2, "Bill To", "two@a.example", is_primary=True)]
    found = bill_to(None, contacts, ROLES)
    assert (found.email, found.doubt) == ("two@a.example", None)


def test_of_two_alike_the_first_by_id_counts_and_that_is_told():
    contacts = [contact(2, "Bill To", "two@a.example"), contact(1, "Bill To", "one@a.example")]
    found = bill_to(None, contacts, ROLES)
    assert found.email == "one@a.example"
    assert "two@a.example" in found.doubt


def test_a_contact_in_several_rows_is_one_contact():
    contacts = [contact(1, "Bill To", "one@a.example", is_primary=True), contact(1, "Bill To", "ONE@a.example", is_primary=True)]
    assert bill_to(None, contacts, ROLES).doubt is None


def test_contacts_without_an_address_are_passed_over():
    contacts = [contact(1, "Bill To", None), contact(2, "Invoice Recipient", "two@a.example")]
    assert bill_to(None, contacts, ROLES).email == "two@a.example"
