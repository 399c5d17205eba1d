"""``qbsf review`` without services: what people see, decide, take back and try, and what they are told when they cannot."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from qbsf_pipeline.customers.matching.plan import MATCHES, REVIEWS
from qbsf_pipeline.customers.matching.side_by_side import details_of
from qbsf_pipeline.invoices.assets import review_cases
from qbsf_pipeline.money import to_json
from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.salesforce import objects as salesforce
from qbsf_pipeline.state.database import State
from qbsf_pipeline.state.journal import FieldChange
from qbsf_pipeline.state.links import CustomerLink
from qbsf_pipeline.warehouse.connection import Warehouse, replace_rows
from qbsf_pipeline_tests.cli.command import Ran, qbsf
from qbsf_pipeline_tests.invoices.records import (
    World,
    account,
    customer,
    frame,
    invoice,
    line,
    opportunity,
    record_id,
)
from qbsf_pipeline_tests.pipeline import clear_environment
from qbsf_pipeline_tests.state.writes import invoice as planned_invoice
from qbsf_pipeline_tests.state.writes import sending

NOW = datetime.now(UTC)
LINKED, ASKED, THIRD = (record_id("001", number) for number in (1, 2, 3))


def world() -> World:
    """One account that a rule links, one with two candidates, one without any."""
    return World(
        opportunities=[opportunity(), opportunity(2, name="Roof [phase 2]", account_id=ASKED, amount=Decimal("12000.00"))],
        lines=[line(), line(2, 2, total_price=Decimal("12000.00"), unit_price=Decimal("6000.00"))],
        accounts=[
            account(),
            account(2, name="O'Neil & Söhne: East", currency="USD"),
            account(3, name="Nobody", billing_email=None),
        ],
        contacts=[{"id": record_id("003"), "account_id": ASKED, "name": "Jo O'Neil", "email": "jo@oneil.example"}],
        customers=[
            customer(),
            customer(2, display_name="O'Neil & Söhne East", email="ap@acme2.example", billing_city="Boulder"),
            customer(
                3, display_name="O'Neil and Söhne, East", email="ap@acme2.example", billing_city="Denver", billing_postal_code="1"
            ),
            customer(4, display_name="Euro books", email=None, currency="EUR"),
            customer(5, display_name="Closed [bold]books[/]", email=None, active=False),
        ],
        invoices=[invoice(1, doc_number="1041", balance=Decimal(0))],
    )


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home as a pass leaves it: both systems read, matched, one question asked three days ago."""
    home = tmp_path_factory.mktemp("reviews")
    here = world()
    matched, plan = here.match(), here.plan()
    tables = {
        salesforce.ACCOUNT: frame(salesforce.ACCOUNT, here.accounts),
        salesforce.CONTACT: frame(salesforce.CONTACT, here.contacts),
        quickbooks.CUSTOMER: frame(quickbooks.CUSTOMER, here.customers),
        quickbooks.INVOICE: frame(quickbooks.INVOICE, here.invoices),
        MATCHES: matched.matches,
        REVIEWS: matched.reviews,
    }
    with Warehouse(home / "warehouse.duckdb").transaction() as connection:
        for table, rows in tables.items():
            replace_rows(connection, table, rows)
    waiting = plan.deals.filter(plan.deals.get_column("outcome") == "waiting")
    raw = [tables[table] for table in (salesforce.ACCOUNT, salesforce.CONTACT, quickbooks.CUSTOMER)]
    cases = review_cases(matched.reviews, plan.deals, details_of(matched.reviews, *raw, waiting))
    with opened(home) as state:
        state.reviews.open_or_refresh(cases, NOW - timedelta(days=3, hours=1))
    return home


@pytest.fixture(autouse=True)
def home(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    clear_environment(monkeypatch)
    monkeypatch.setenv("QBSF_HOME", str(tmp_path))
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    return tmp_path


def opened(home: Path) -> State:
    return State.open(f"sqlite:///{home / 'state.sqlite'}", home)


def customers_of(home: Path, account_id: str) -> list[tuple[str, str]]:
    with opened(home) as state:
        return [(link.customer_id, link.method) for link in state.links.customers(account_id)]


def refused(ran: Ran) -> str:
    assert (ran.code, ran.out) == (1, "")
    (text,) = ran.err.splitlines()
    return text


# Seeing


def test_the_list_tells_deals_amount_and_age() -> None:
    (one,) = qbsf("review", "--json").json
    assert (one["review_id"], one["account_id"], one["deals_waiting"]) == ("R-1", ASKED, 1)
    assert (one["amount_waiting"], one["currency"]) == (Decimal("12000.00"), "USD")
    out = qbsf("review").out
    for text in ("R-1", "O'Neil & Söhne: East", "12,000.00 USD", "3 days"):
        assert text in out


@pytest.mark.parametrize("review", ["R-1", "r-1", ASKED, ASKED[:15]])
def test_a_review_is_shown_field_by_field_by_its_id_or_its_accounts(review: str) -> None:
    ran = qbsf("review", "show", review)
    assert ran.code == 0
    for text in ("Roof [phase 2]", "12,000.00 USD", "Candidate 1 of 2", "customer 102", "differs", "agrees", "Jo O'Neil"):
        assert text in ran.out
    for command in ("link R-1 102", "link R-1 103", "create R-1", "ignore R-1"):
        assert f"qbsf review {command}" in ran.out
    document = qbsf("review", "show", review, "--json").json
    fields = {field["field"]: field for field in document["details"]["candidates"][0]["fields"]}
    assert fields["e-mail for invoices"] == {
        "field": "e-mail for invoices",
        "account_value": "ap@acme2.example",
        "customer_value": "ap@acme2.example",
        "verdict": "agrees",
    }
    assert fields["contact person"]["verdict"] == "only_one"


def test_an_account_that_was_never_asked_about_is_shown_with_what_may_be_done() -> None:
    document = qbsf("review", "show", THIRD, "--json").json
    assert (document["review_id"], document["candidates"], document["history"]) == ("", [], [])
    assert f"qbsf review link {THIRD} CUSTOMER" in qbsf("review", "show", THIRD).out


@pytest.mark.parametrize("command", [("show",), ("create",), ("ignore",), ("undo",), ("link", "101"), ("also", "101")])
def test_what_does_not_exist_is_said_in_one_line(command: tuple[str, ...]) -> None:
    name, *more = command
    assert refused(qbsf("review", name, "R-99", *more)) == "R-99: there is no such review; qbsf review lists them"


# Deciding


def test_a_person_links_an_account_that_was_never_asked_about(home: Path) -> None:
    ran = qbsf("review", "link", THIRD, "104", "--json")
    assert (ran.json["status"], ran.json["customer_id"]) == ("linked", "104")
    assert customers_of(home, THIRD) == [("104", "person")]


def test_a_customer_that_cannot_be_billed_is_refused_with_what_to_do() -> None:
    assert refused(qbsf("review", "link", "R-1", "999")).startswith("QuickBooks has no customer 999; qbsf review show R-1")
    text = refused(qbsf("review", "also", "R-1", "105"))
    assert text == "customer 105 (Closed [bold]books[/]) is inactive: make it active in QuickBooks first"


def test_a_customer_of_another_account_may_be_shared_and_that_is_said() -> None:
    assert qbsf("review", "link", ASKED, "102").code == 0
    ran = qbsf("review", "link", THIRD, "102")
    assert f"customer 102 is also the customer of O'Neil & Söhne: East ({ASKED})" in ran.out


def test_a_second_customer_stands_beside_the_one_that_a_rule_found(home: Path) -> None:
    ran = qbsf("review", "also", LINKED, "104")
    assert ran.code == 0
    assert "Euro books (EUR) is its customer too, beside 101" in ran.out
    assert customers_of(home, LINKED) == [("101", "name_and_evidence"), ("104", "person")]
    assert qbsf("review", "also", LINKED, "104", "--json").json["customers"] == ["101", "104"]


def test_an_account_without_a_customer_gets_no_second_one() -> None:
    text = refused(qbsf("review", "also", "R-1", "104"))
    assert text == "O'Neil & Söhne: East has no customer yet: qbsf review link R-1 104 makes it this one"


@pytest.mark.parametrize("command", ["ignore", "create"])
def test_a_decision_that_a_link_would_make_void_is_refused_until_the_link_is_undone(home: Path, command: str) -> None:
    text = f"Acme 1 Inc. is linked to customer 101: qbsf review undo {LINKED} takes that back, then decide"
    assert refused(qbsf("review", command, LINKED)) == text  # found by a rule, and not kept yet
    with opened(home) as state:
        state.links.link_customer(CustomerLink(LINKED, "101", "scored", "customers-2", NOW))
    assert refused(qbsf("review", command, LINKED)) == text
    assert qbsf("review", "undo", LINKED, "--yes").code == 0
    assert qbsf("review", command, LINKED).code == 0


def test_a_person_may_go_from_one_answer_to_another_without_undoing(home: Path) -> None:
    assert qbsf("review", "link", "R-1", "102").code == 0
    assert qbsf("review", "ignore", "R-1", "--json").json["status"] == "ignored"
    assert customers_of(home, ASKED) == []
    assert qbsf("review", "create", "R-1", "--json").json["status"] == "create"


# Taking back


def made_invoice(home: Path, account_id: str) -> None:
    write = planned_invoice(1, depends_on=(), account_id=account_id, amount=Decimal("1000.00"), currency="USD", label="Deal 1")
    with opened(home) as state:
        state.ledger.enqueue([write], "B-1", NOW)
        state.ledger.start([sending(write)], NOW)
        answer = {"Id": "301", "DocNumber": "1041", "CustomerRef": {"value": "101"}}
        state.ledger.finish(write.key, "301", to_json(answer), NOW)


def test_undoing_an_automatic_link_lists_its_invoices_and_opens_a_question(home: Path) -> None:
    with opened(home) as state:
        state.links.link_customer(CustomerLink(LINKED, "101", "scored", "customers-2", NOW, Decimal("0.97"), {}, "customers-2"))
    made_invoice(home, LINKED)
    asked = qbsf("review", "undo", LINKED)
    assert asked.code == 1
    for text in ("Acme 1, Inc (customer 101)", "1041", "Deal 1", "1,000.00 USD", "paid", "They stay in QuickBooks as they are"):
        assert text in asked.out
    assert asked.err == f"{LINKED}: nothing was undone; say --yes to undo it without being asked\n"
    assert customers_of(home, LINKED) == [("101", "scored")]
    ran = qbsf("review", "undo", LINKED, "--yes", "--json")
    assert (ran.json["review_id"], ran.json["status"], ran.json["undone"]) == ("R-2", "open", ["101"])
    assert [(one["number"], one["status"]) for one in ran.json["invoices"]] == [("1041", "paid")]
    assert customers_of(home, LINKED) == []
    with opened(home) as state:
        assert [(one.account_id, one.customer_id) for one in state.rejections.all()] == [(LINKED, "101")]
    what = [row["what"] for row in qbsf("review", "show", "R-2", "--json").json["history"]]
    assert what == ["linked", "never this one", "undone"]
    assert "never this one" in qbsf("review", "show", "R-2").out


def test_what_a_rule_found_can_be_undone_before_it_was_ever_kept(home: Path) -> None:
    assert customers_of(home, LINKED) == []
    assert qbsf("review", "undo", LINKED, "--yes").code == 0
    with opened(home) as state:
        (kept,) = state.links.history(LINKED)
        assert (kept.customer_id, kept.method, kept.active) == ("101", "name_and_evidence", False)
    assert "nothing to undo" in refused(qbsf("review", "undo", LINKED, "--yes"))


def test_a_person_takes_back_an_answer_and_gives_another(home: Path) -> None:
    assert qbsf("review", "ignore", "R-1").code == 0
    assert qbsf("review", "undo", "R-1", "--yes", "--json").json["status"] == "open"
    assert qbsf("review", "link", "R-1", "102").code == 0
    assert qbsf("review", "undo", "R-1", "--yes", "--json").json["undone"] == ["102"]
    assert qbsf("review", "link", "R-1", "102").code == 0
    with opened(home) as state:
        assert state.rejections.all() == []


@pytest.mark.parametrize("review", ["R-1", THIRD])
def test_where_nothing_was_decided_nothing_is_undone(review: str) -> None:
    assert "nothing was decided" in refused(qbsf("review", "undo", review, "--yes"))


# The journal of fields


def change(**values: Any) -> FieldChange:
    content = {
        "key": "k1",
        "account_id": ASKED,
        "account_name": "O'Neil",
        "customer_id": "102",
        "customer_name": "O'Neil",
        "field": "billing_email",
        "salesforce_value": '"new@oneil.example"',
        "quickbooks_value": '"old@oneil.example"',
        "agreed_value": None,
        "owner": "salesforce",
        "winner": "salesforce",
        "kind": "both_changed",
        "rule": "Salesforce owns it.",
        "changed_by": None,
        "changed_at": None,
        "write_key": "w1",
    }
    return FieldChange(**{**content, **values})


def test_changes_of_fields_are_listed_and_the_other_value_can_win(home: Path) -> None:
    assert "No field was changed." in qbsf("review", "journal").out
    with opened(home) as state:
        state.journal.record([change()], NOW)
        state.journal.settle({"w1": "written"}, NOW)
    (one,) = qbsf("review", "journal", ASKED, "--json").json
    assert (one["journal_id"], one["field"], one["winner"], one["status"]) == ("J-1", "billing_email", "salesforce", "written")
    assert "new@oneil.example" in qbsf("review", "journal", "R-1").out
    assert qbsf("review", "journal", THIRD, "--json").json == []
    ran = qbsf("review", "reverse", "J-1")
    assert ran.code == 0
    assert "Salesforce  new@oneil.example   ← won" in ran.out
    assert "The next pass writes old@oneil.example to both sides" in ran.out
    with opened(home) as state:
        assert [one.journal_id for one in state.journal.reversals()] == ["J-1"]
    assert "reversed" in qbsf("review", "journal").out


def test_a_change_that_is_not_there_or_overwrote_nothing_cannot_be_reversed(home: Path) -> None:
    text = refused(qbsf("review", "reverse", "J-9"))
    assert text == "J-9: there is no such change; qbsf review journal lists them"
    with opened(home) as state:
        state.journal.record([change(kind="report_only", write_key=None, winner="none")], NOW)
    ran = qbsf("review", "reverse", "J-1", "--json")
    assert ran.code == 1
    assert ran.err.startswith("J-1 cannot be reversed: ")


# Trying rules


def test_rules_are_tried_on_everything_and_people_stay(home: Path, tmp_path: Path) -> None:
    with opened(home) as state:
        state.links.link_customer(CustomerLink(LINKED, "101", "name_and_evidence", "customers-2", NOW))
        state.links.link_customer(CustomerLink(THIRD, "104", "person", "ann", NOW))
    now = qbsf("review", "replay", "--json").json
    assert (now["accounts"], now["links_now"], now["links_then"], now["changes"]) == (3, 2, 2, [])
    rules = tmp_path / "tried.toml"
    rules.write_text("[customers.matching]\nautomatic_from = 1.0\nown_domains = ['acme1.example']\n", encoding="utf-8")
    reasons = qbsf("review", "replay", "--rules", str(rules), "--json").json["changes"]
    rules.write_text("[customers.matching]\nautomatic_from = 2\n", encoding="utf-8")
    assert "customers.matching.automatic_from" in refused(qbsf("review", "replay", "--rules", str(rules)))
    for row in reasons:
        assert (row["account_id"], row["change"], row["customer_before_name"]) == (LINKED, "vanishes", "Acme 1, Inc")
    assert customers_of(home, LINKED) == [("101", "name_and_evidence")]
    assert customers_of(home, THIRD) == [("104", "person")]
