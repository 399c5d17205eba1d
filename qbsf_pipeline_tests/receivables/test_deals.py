"""Which deal an invoice bills: the order of the signs, and when none counts."""

from __future__ import annotations

from typing import Any

import pytest

from qbsf_pipeline_tests.receivables.ledger import RULES, inputs_of, invoice, owed, rules_with

A, B, C = "006000000000001AAA", "006000000000002AAA", "006000000000003AAA"
NOTE = {"PrivateNote": f"Salesforce Opportunity {A}"}


def deal(opportunity_id: str = A, invoice_id: str | None = None, number: str | None = None, **more: Any) -> dict[str, Any]:
    return {"id": opportunity_id, "invoice_id": invoice_id, "invoice_number": number, **more}


def links(records: list[dict[str, Any]], *, rules: Any = RULES, **more: Any) -> dict[str, tuple[str | None, str | None]]:
    """Deal and how it is known, by invoice; customer 1 is below customer 9."""
    customers = [{"Id": "9"}, {"Id": "8", "ParentRef": {"value": "9"}}, {"Id": "1", "ParentRef": {"value": "8"}}, {"Id": "2"}]
    found = owed(inputs_of({"Invoice": records, "Customer": customers}, rules=rules, **more), rules=rules).invoices
    return {
        one: (opportunity, by) for one, opportunity, by in found.select("invoice_id", "opportunity_id", "linked_by").iter_rows()
    }


CASES: list[tuple[str, list[dict[str, Any]], dict[str, Any], dict[str, tuple[str | None, str | None]]]] = [
    ("the marker of a deal", [invoice(7, "1", **NOTE)], {"deals": [deal()]}, {"7": (A, "marker")}),
    (
        "the marker before what is written elsewhere",
        [invoice(7, "1", **NOTE)],
        {"deals": [deal(), deal(B, "7", "107"), deal(C, None, "107")]},
        {"7": (A, "marker")},
    ),
    (
        "a person before everything: the marker was copied with the invoice",
        [invoice(7, "1", **NOTE), invoice(8, "1", **NOTE)],
        {"deals": [deal(), deal(B, "7"), deal(C)], "invoice_links": [(C, "8")]},
        {"7": (A, "marker"), "8": (C, "person")},
    ),
    (
        "a marker after a void",
        [invoice(7, "0", PrivateNote=f"Voided - Salesforce Opportunity {A}")],
        {"deals": [deal()]},
        {"7": (A, "marker")},
    ),
    ("a marker of an unknown deal is none", [invoice(7, "1", **NOTE)], {"deals": [deal(B)]}, {"7": (None, None)}),
    (
        "a marker of an unknown deal, and a person who knows better",
        [invoice(7, "1", **NOTE)],
        {"deals": [deal(B)], "invoice_links": [(B, "7")]},
        {"7": (B, "person")},
    ),
    (
        "an invoice whose note names an unknown deal is not adopted by number",
        [invoice(7, "1", **NOTE)],
        {"deals": [deal(B, None, "107")]},
        {"7": (None, None)},
    ),
    ("the id written on the deal", [invoice(7, "1")], {"deals": [deal(A, " 7 ")]}, {"7": (A, "written_id")}),
    (
        "an id that two deals hold links none of them",
        [invoice(7, "1")],
        {"deals": [deal(A, "7"), deal(B, "7")]},
        {"7": (None, None)},
    ),
    (
        "an id that two deals hold, and a person who says whose it is",
        [invoice(7, "1")],
        {"deals": [deal(A, "7"), deal(B, "7")], "invoice_links": [(B, "7")]},
        {"7": (B, "person")},
    ),
    (
        "an id that a deleted deal holds too",
        [invoice(7, "1")],
        {"deals": [deal(A, "7"), deal(B, "7", is_deleted=True)]},
        {"7": (A, "written_id")},
    ),
    ("a person's link", [invoice(7, "1")], {"deals": [deal()], "invoice_links": [(A, "7")]}, {"7": (A, "person")}),
    (
        "an invoice that a recurring template made for the deal",
        [invoice(7, "1")],
        {"deals": [deal(), deal(B, "7")], "invoice_links": [(A, "7", "template")]},
        {"7": (A, "template")},
    ),
    (
        "an invoice that qbsf made for the deal, and whose note was edited since",
        [invoice(7, "1")],
        {"deals": [deal(), deal(B, "7")], "invoice_links": [(A, "7", "ledger")]},
        {"7": (A, "ledger")},
    ),
    (
        "a person's link before that",
        [invoice(7, "1")],
        {"deals": [deal(), deal(B)], "invoice_links": [(B, "7", "person"), (A, "7", "template")]},
        {"7": (B, "person")},
    ),
    (
        "the later link of a person",
        [invoice(7, "1")],
        {"deals": [deal(), deal(B)], "invoice_links": [(A, "7"), (B, "7")]},
        {"7": (B, "person")},
    ),
    (
        "a link by the id of 15 characters",
        [invoice(7, "1")],
        {"deals": [deal()], "invoice_links": [(A[:15], "7")]},
        {"7": (A, "person")},
    ),
    (
        "the number written on the deal, in any case",
        [invoice(7, "1", DocNumber="Inv-É7")],
        {"deals": [deal(A, "", " INV-é7")]},
        {"7": (A, "written_number")},
    ),
    (
        "a number of two invoices",
        [invoice(7, "1", DocNumber="X"), invoice(8, "1", DocNumber="x")],
        {"deals": [deal(A, None, "X")]},
        {"7": (None, None), "8": (None, None)},
    ),
    (
        "a number that was used again after its invoice was deleted",
        [invoice(7, "1", DocNumber="X", status="Deleted"), invoice(8, "1", DocNumber="X")],
        {"deals": [deal(A, None, "X")]},
        {"7": (None, None), "8": (A, "written_number")},
    ),
    (
        "a number on two deals",
        [invoice(7, "1")],
        {"deals": [deal(A, None, "107"), deal(B, None, "107")]},
        {"7": (None, None)},
    ),
    (
        "a number on a deal that holds the id of another invoice",
        [invoice(7, "1"), invoice(8, "1")],
        {"deals": [deal(A, "8", "107")]},
        {"7": (None, None), "8": (A, "written_id")},
    ),
    (
        "a number on a deal whose account is another customer",
        [invoice(7, "1")],
        {"deals": [deal(A, None, "107", account_id="001")], "customer_links": [("001", "2")]},
        {"7": (None, None)},
    ),
    (
        "a number on a deal whose account is this customer among others",
        [invoice(7, "1")],
        {"deals": [deal(A, None, "107", account_id="001")], "customer_links": [("001", "2"), ("001", "1")]},
        {"7": (A, "written_number")},
    ),
    (
        "a number on a deal whose account is a customer above this one",
        [invoice(7, "1")],
        {"deals": [deal(A, None, "107", account_id="001")], "customer_links": [("001", "9")]},
        {"7": (A, "written_number")},
    ),
    (
        "several invoices that bill one deal",
        [invoice(7, "1", **NOTE), invoice(8, "1"), invoice(9, "1")],
        {"deals": [deal(A, "8")], "invoice_links": [(A, "9")]},
        {"7": (A, "marker"), "8": (A, "written_id"), "9": (A, "person")},
    ),
    ("an invoice without any sign", [invoice(7, "1")], {"deals": [deal(A), deal(B, "", "")]}, {"7": (None, None)}),
    ("an invoice without a number", [invoice(7, "1", DocNumber=None)], {"deals": [deal(A, None, "")]}, {"7": (None, None)}),
]


@pytest.mark.parametrize(("records", "more", "wanted"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_an_invoice_bills_the_deal_that_the_first_sign_names(records: Any, more: Any, wanted: Any) -> None:
    assert links(records, **more) == wanted


def test_a_number_links_nothing_where_the_rules_say_so() -> None:
    assert links([invoice(7, "1")], deals=[deal(A, None, "107")], rules=rules_with(adopt_by_number=False)) == {"7": (None, None)}


def test_an_invoice_that_several_deals_claim_is_named_with_all_of_them() -> None:
    deals = [deal(A, "7"), deal(B, "7"), deal(A[:-4] + "4AAA", None, "108"), deal(C, None, "108")]
    contested = owed(inputs_of({"Invoice": [invoice(7, "1"), invoice(8, "1")]}, deals=deals)).contested
    assert contested.rows() == [
        ("7", "107", A, "written_id"),
        ("7", "107", B, "written_id"),
        ("8", "108", C, "written_number"),
        ("8", "108", A[:-4] + "4AAA", "written_number"),
    ]
