"""Accounts and customers kept in step by whole passes: jobs on a real Dagster instance, services over HTTP."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from qbsf_pipeline.customers.plan import FIELD_DIFFERENCES, PLAN, REFUSALS
from qbsf_pipeline.flows.approval import batch_of
from qbsf_pipeline.invoices.assets import PLANNED_TABLES
from qbsf_pipeline.notices import tell_failed_run
from qbsf_pipeline.sandbox.server import SandboxProcess
from qbsf_pipeline_tests.customers.company import PUSHED, SYNCED, Company, Pair, company_in, journal, one_pass, said
from qbsf_pipeline_tests.pipeline import Pipeline, closed

NOW = datetime.now(UTC)
IDLE = {("quickbooks", "cdc"): 1, ("salesforce", "composite"): 2}
NO_WRITES = {"quickbooks": 0, "salesforce": 0, "slack": 0}


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SandboxProcess, Company]]:
    with company_in(tmp_path_factory.mktemp("services")) as opened:
        yield opened


@pytest.fixture
def company(services: tuple[SandboxProcess, Company]) -> Iterator[Company]:
    yield services[1]
    services[1].clean()


@pytest.fixture(scope="module")
def read_home(services: tuple[SandboxProcess, Company], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that has read both systems once, before anybody was in them."""
    home = tmp_path_factory.mktemp("read") / "home"
    with pytest.MonkeyPatch.context() as patch, Pipeline(home, patch, services[0]) as built:
        one_pass(built)
    return home


@pytest.fixture
def pipeline(
    services: tuple[SandboxProcess, Company],
    read_home: Path,
    company: Company,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Pipeline]:
    shutil.copytree(read_home, tmp_path / "home")
    with Pipeline(tmp_path / "home", monkeypatch, services[0]) as built:
        yield built


def entries(pipeline: Pipeline, pair: Pair) -> list[tuple[str, str, str, str]]:
    """Field, kind, winner and status of what the journal has of a customer, oldest first."""
    found = [entry for entry in journal(pipeline) if entry.customer_id == pair.customer_id]
    return [(entry.field, entry.kind, entry.winner, entry.status) for entry in found]


# One pass over many edits


@dataclass
class Edited:
    """Pairs that were in step, were edited in one way each, and what passes then made of them.

    ``first``: calls that could change something in the pass before the edits. ``second``, ``idle``: the same of the pass after
    them and of the one after that; ``idle_calls``: all of its calls.
    """

    pipeline: Pipeline
    company: Company
    pairs: dict[str, Pair]
    before: dict[str, dict[str, Any]]
    first: dict[str, int]
    second: dict[str, int]
    idle: dict[str, int]
    idle_calls: dict[tuple[str, str], int]
    told: list[str]

    def journal(self, name: str) -> list[tuple[str, str, str, str]]:
        return entries(self.pipeline, self.pairs[name])

    def steps(self, name: str) -> int:
        """How often the customer was written by the passes after the edits."""
        return self.company.token(self.pairs[name]) - int(self.before[name]["SyncToken"])

    def line(self, name: str) -> str:
        """What Slack says of a customer, without its head."""
        lines = "\n".join(self.told).splitlines()
        link = f"nameId={self.pairs[name].customer_id}|"
        found = [lines[place + 1].strip() for place, line in enumerate(lines) if link in line]
        assert len(found) == 1, f"{len(found)} times told of {name}"
        return found[0]


RULES = """
[customers.fields.shipping_address]
report_only = true
[customers.fields.contact]
when_emptied = "empty"
[customers.fields.billing_address]
when_emptied = "empty"
"""
HOSTILE = "Ünïcode <!channel> O'Neill & *Söhne* `rm`"


@pytest.fixture(scope="module")
def edited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edited]:
    with (
        company_in(tmp_path_factory.mktemp("edited")) as (sandbox, company),
        pytest.MonkeyPatch.context() as patch,
        Pipeline(tmp_path_factory.mktemp("home") / "home", patch, sandbox) as pipeline,
    ):
        pipeline.rules(RULES)
        names = ("untouched", "owner", "other", "both", "same", "spelt", "emptied", "wiped", "terms", "terms back", "reported")
        pairs = {name: company.pair() for name in (*names, "taken", "renamed")}
        pairs["hostile"] = company.pair(HOSTILE)
        pairs["first branch"] = company.pair()
        other = company.pair()
        company.control.delete_record("Account", other.account_id)
        pairs["second branch"] = Pair(pairs["first branch"].account_id, other.customer_id)
        account = company.account(pairs["first branch"])
        company.edit_customer(
            pairs["second branch"],
            PrimaryPhone={"FreeFormNumber": account["Phone"]},
            PrimaryEmailAddr={"Address": account["Billing_Email__c"]},
            WebAddr={"URI": account["Website"]},
        )
        pipeline.doors.state.reviews.also_link(account["Id"], other.customer_id, "dana", NOW)
        company.control.upsert_objects("Vendor", [{"DisplayName": "Vendor & Sons"}])
        company.control.clear_calls()
        one_pass(pipeline)
        first = company.writes()

        company.edit_account(pairs["owner"], Phone="+1 720 555 0001", Website="owner.example")
        company.call(pairs["other"], "720 555 0002")
        company.edit_account(pairs["both"], Phone="720 555 0003")
        company.call(pairs["both"], "720 555 0004")
        company.edit_account(pairs["same"], Phone="720 555 0005")
        company.call(pairs["same"], "(720) 555-0005")
        spelt = company.account(pairs["spelt"])
        company.edit_account(pairs["spelt"], Phone=spelt["Phone"].replace(" ", "."), Website=spelt["Website"].upper())
        company.edit_customer(pairs["spelt"], PrimaryEmailAddr={"Address": spelt["Billing_Email__c"].upper()})
        company.edit_account(pairs["emptied"], Website=None)
        address = ("Street", "City", "State", "PostalCode", "Country")
        company.edit_account(pairs["wiped"], **{f"Billing{part}": None for part in address})
        company.edit_customer(pairs["terms"], SalesTermRef={"value": company.terms["Net 15"]})
        company.edit_account(pairs["terms back"], Payment_Terms__c="Net 15")
        company.edit_customer(pairs["reported"], ShipAddr={"Line1": "2 Side Street", "City": "Golden"})
        company.edit_account(pairs["reported"], ShippingStreet="1 Main Street", ShippingCity="Boulder")
        company.edit_account(pairs["taken"], Name="VENDOR & Sons")
        company.edit_account(pairs["renamed"], Name="Renamed: Überall GmbH")
        company.call(pairs["hostile"], "<!here> & |x>")
        company.call(pairs["second branch"], "720 555 0006")
        before = {name: company.customer(pair) for name, pair in pairs.items()}
        company.control.clear_calls()
        one_pass(pipeline)
        second = company.writes()
        company.control.clear_calls()
        one_pass(pipeline)
        idle, idle_calls = company.writes(), company.control.call_counts()
        yield Edited(pipeline, company, pairs, before, first, second, idle, idle_calls, company.told())


def test_two_spellings_of_everything_are_in_step_and_nothing_is_written_told_or_journalled(edited: Edited) -> None:
    assert edited.first == NO_WRITES
    assert edited.steps("untouched") == 0
    assert edited.journal("untouched") == edited.journal("spelt") == edited.journal("same") == []
    assert edited.steps("spelt") == edited.steps("same") == 0


def test_a_pass_writes_all_that_differs_in_one_call_to_each_system(edited: Edited) -> None:
    # Slack: what cannot be written and what is only reported, once it is planned; what was put back, once it is written.
    assert edited.second == {"quickbooks": 1, "salesforce": 1, "slack": 3}


def test_a_pass_without_edits_costs_three_reads_and_writes_nothing(edited: Edited) -> None:
    assert edited.idle == NO_WRITES
    assert edited.idle_calls == IDLE


def test_an_owners_change_goes_over_and_is_journalled_but_no_news(edited: Edited) -> None:
    pair = edited.pairs["owner"]
    assert edited.company.phones(pair) == ("+1 720 555 0001", "+1 720 555 0001")
    assert edited.company.customer(pair)["WebAddr"] == {"URI": "owner.example"}
    assert edited.steps("owner") == 1  # both fields in one write
    written = ("owner_changed", "salesforce", "written")
    assert edited.journal("owner") == [("phone", *written), ("website", *written)]
    assert all(f"nameId={pair.customer_id}|" not in text for text in edited.told)
    assert edited.company.customer(pair)["Notes"] == "pays late, call Ann"


def test_a_change_of_the_other_side_is_put_back_journalled_and_told(edited: Edited) -> None:
    ours, theirs = edited.company.phones(edited.pairs["other"])
    assert ours == theirs
    assert edited.steps("other") == 1
    assert edited.journal("other") == [("phone", "put_back", "salesforce", "written")]
    assert edited.line("other") == f"changed in QuickBooks to “720 555 0002”, but Salesforce owns it: “{ours}” was put back."
    (entry,) = [one for one in journal(edited.pipeline) if one.customer_id == edited.pairs["other"].customer_id]
    assert entry.quickbooks_value == '"720 555 0002"'
    assert entry.changed_at is not None


def test_where_both_sides_changed_the_owner_wins_and_the_losers_value_is_kept(edited: Edited) -> None:
    assert edited.company.phones(edited.pairs["both"]) == ("720 555 0003", "720 555 0003")
    assert edited.journal("both") == [("phone", "both_changed", "salesforce", "written")]
    assert edited.line("both") == (
        "changed on both sides. Salesforce owns it: “720 555 0003” stands; QuickBooks had “720 555 0004”."
    )


def test_a_field_that_its_owner_empties_stays_on_the_other_side_unless_the_rules_say_otherwise(edited: Edited) -> None:
    assert edited.company.customer(edited.pairs["emptied"])["WebAddr"]["URI"]
    assert (edited.steps("emptied"), edited.journal("emptied")) == (0, [("website", "kept", "none", "reported")])
    address = edited.company.customer(edited.pairs["wiped"]).get("BillAddr", {})
    assert {name for name in address if name not in ("Id", "Lat", "Long")} == set()
    assert edited.journal("wiped") == [("billing_address", "owner_changed", "salesforce", "written")]


def test_terms_go_from_quickbooks_to_the_account_as_the_terms_name(edited: Edited) -> None:
    assert edited.company.account(edited.pairs["terms"])["Payment_Terms__c"] == "Net 15"
    assert edited.steps("terms") == 0
    assert edited.journal("terms") == [("terms", "owner_changed", "quickbooks", "written")]


def test_terms_changed_in_salesforce_are_put_back_and_it_is_said_by_whom(edited: Edited) -> None:
    assert edited.company.account(edited.pairs["terms back"])["Payment_Terms__c"] == "Net 30"
    assert edited.line("terms back") == (
        "changed in Salesforce to “Net 15” by Org Administrator, but QuickBooks owns it: “Net 30” was put back."
    )


def test_a_field_that_is_only_reported_is_not_written_on_either_side(edited: Edited) -> None:
    pair = edited.pairs["reported"]
    assert edited.company.customer(pair)["ShipAddr"]["Line1"] == "2 Side Street"
    assert edited.company.account(pair)["ShippingStreet"] == "1 Main Street"
    assert edited.steps("reported") == 0
    assert [(field, status) for field, _, _, status in edited.journal("reported")] == [("shipping_address", "reported")]


def test_a_name_that_a_vendor_has_is_refused_and_told_once_with_what_to_do(edited: Edited) -> None:
    assert edited.company.customer(edited.pairs["taken"])["DisplayName"] == edited.before["taken"]["DisplayName"]
    refusals = edited.pipeline.table(REFUSALS)
    assert refusals.select("code", "field", "record_object").rows() == [("name_taken", "name", "Customer")]
    told = [text for text in edited.told if "Not kept in step" in text]
    assert len(told) == 1
    assert "QuickBooks cannot call the customer “VENDOR & Sons”: a vendor has that name.".replace("&", "&amp;") in told[0]
    assert "→ Rename the other record in QuickBooks" in told[0]


def test_a_new_name_of_the_account_renames_its_customer_as_quickbooks_takes_names(edited: Edited) -> None:
    customer = edited.company.customer(edited.pairs["renamed"])
    assert customer["DisplayName"] == "Renamed - Überall GmbH"
    assert edited.journal("renamed") == [("name", "owner_changed", "salesforce", "written")]


def test_hostile_names_and_values_are_told_as_they_are(edited: Edited) -> None:
    assert edited.company.phones(edited.pairs["hostile"])[1] != "<!here> & |x>"
    assert edited.line("hostile").startswith("changed in QuickBooks to “&lt;!here&gt; &amp; |x&gt;”, but")
    assert all("<!channel>" not in text and "<!here>" not in text for text in edited.told)


def test_each_customer_of_an_account_is_kept_in_step_by_itself(edited: Edited) -> None:
    account = edited.company.account(edited.pairs["first branch"])
    assert edited.company.phones(edited.pairs["second branch"])[1] == account["Phone"]
    assert (edited.steps("first branch"), edited.steps("second branch")) == (0, 1)
    assert [row[:2] for row in edited.journal("second branch")] == [("phone", "put_back")]
    # Neither is called like the account's other one.
    assert edited.journal("first branch") == []


def test_the_differences_that_stay_are_those_that_a_person_must_look_at(edited: Edited) -> None:
    differences = edited.pipeline.table(FIELD_DIFFERENCES)
    named = {pair.customer_id: name for name, pair in edited.pairs.items()}
    found = {(named[one], field, action) for one, field, action in differences.select("customer_id", "field", "action").rows()}
    assert found == {
        ("taken", "name", "report"),
        ("reported", "shipping_address", "report"),
        ("second branch", "name", "keep"),  # finance calls it otherwise on purpose
    }
    assert edited.pipeline.table(PLAN).is_empty()


# Again, back, and by a person


def test_the_same_edit_made_again_is_put_back_and_told_again(pipeline: Pipeline, company: Company) -> None:
    pair = company.pair()
    one_pass(pipeline)
    for number in (1, 2):
        company.call(pair, "999")
        told = len(company.told())
        one_pass(pipeline)
        assert company.phones(pair)[1] == company.phones(pair)[0]
        assert len(company.told()) == told + 1
        assert said(pipeline) == [("phone", "put_back", "written")] * number
    assert company.token(pair) == 4


def test_a_reversed_change_gives_the_losers_value_to_both_sides_once(pipeline: Pipeline, company: Company) -> None:
    called, paid = company.pair(), company.pair()
    one_pass(pipeline)
    company.call(called, "+1 720 555 0007")
    company.edit_account(paid, Payment_Terms__c="Net 15")
    one_pass(pipeline)
    state = pipeline.doors.state
    for entry in journal(pipeline):
        assert (entry.kind, entry.status) == ("put_back", "written")
        state.journal.reverse(entry.journal_id, "dana", datetime.now(UTC))
    one_pass(pipeline)
    one_pass(pipeline)
    assert state.journal.reversals() == []
    assert company.phones(called) == ("+1 720 555 0007", "+1 720 555 0007")
    assert company.account(paid)["Payment_Terms__c"] == "Net 15"
    assert company.customer(paid)["SalesTermRef"]["value"] == company.terms["Net 15"]
    company.control.clear_calls()
    one_pass(pipeline)
    assert company.control.call_counts() == IDLE
    # Carried out once: a later change of the owner stands.
    company.edit_account(called, Phone="720 555 0008")
    one_pass(pipeline)
    assert company.phones(called) == ("720 555 0008", "720 555 0008")


def test_a_mass_change_stops_for_a_person_who_lets_exactly_that_plan_through(pipeline: Pipeline, company: Company) -> None:
    pairs = [company.pair() for _ in range(4)]
    one_pass(pipeline)
    pipeline.rules("[gates]\nmax_customer_changes = 2\nmax_customer_changes_share = 0.5\n")
    for number, pair in enumerate(pairs[:3]):
        company.edit_account(pair, Phone=f"720 555 100{number}")
    stopped = pipeline.run("sync_customers", *SYNCED)
    assert closed(stopped) == {"within_blast_radius"}
    assert pipeline.doors.state.ledger.counts("customers") == {}
    batch = batch_of(pipeline.table(PLAN).get_column("plan_id").to_list())
    assert tell_failed_run(pipeline.doors, pipeline.instance, stopped.run_id, "sync_customers", None)
    assert pipeline.waiting_texts() == [
        ":no_entry: *No customer was changed: a check stopped this pass.*\n"
        "• 3 records to change, of 4 linked customers: more than one pass may change (at most 2, or 50% of the linked "
        f"customers). Look at them with qbsf plan --flow customers, then: qbsf approve {batch}  (`within_blast_radius`)\n"
        f"<http://127.0.0.1:3000/runs/{stopped.run_id}|Open the run>"
    ]
    pipeline.doors.state.approvals.approve(batch, "dana", datetime.now(UTC))
    # One more change is another plan, which nobody has looked at.
    company.edit_account(pairs[3], Phone="720 555 1003")
    assert closed(pipeline.run("sync_customers", *SYNCED)) == {"within_blast_radius"}
    assert [company.token(pair) for pair in pairs] == [0, 0, 0, 0]
    company.call(pairs[3], "720 555 1003")
    one_pass(pipeline)
    assert [company.token(pair) for pair in pairs] == [1, 1, 1, 1]
    assert company.phones(pairs[0]) == ("720 555 1000", "720 555 1000")


def test_in_mode_approve_nothing_is_written_that_nobody_approved(pipeline: Pipeline, company: Company) -> None:
    pipeline.mode("approve")
    first, second = company.pair(), company.pair()
    one_pass(pipeline)
    for pair in (first, second):
        company.edit_account(pair, Phone="720 555 0009")
    company.control.clear_calls()
    one_pass(pipeline)
    assert company.writes()["quickbooks"] == 0
    plan = pipeline.table(PLAN)
    (chosen,) = plan.filter(plan["account_id"] == first.account_id).get_column("plan_id")
    pipeline.doors.state.approvals.approve(chosen, "dana", datetime.now(UTC))
    one_pass(pipeline)
    assert company.phones(first) == ("720 555 0009", "720 555 0009")
    assert company.token(second) == 0


def test_in_mode_dry_run_everything_is_planned_and_nothing_is_written_remembered_or_told(
    pipeline: Pipeline, company: Company
) -> None:
    pipeline.mode("dry_run")
    pair = company.pair(account={"Phone": "720 555 0010"})
    told = len(company.told())
    company.control.clear_calls()
    one_pass(pipeline)
    assert pipeline.table(PLAN).get_column("operation").to_list() == ["update_customer"]
    assert company.writes() == NO_WRITES
    assert company.token(pair) == 0
    state = pipeline.doors.state
    assert (state.ledger.counts("customers"), state.journal.list(), state.agreements.all()) == ({}, [], [])
    refused = pipeline.run("push_customers", *PUSHED)
    assert not refused.success
    assert len(company.told()) == told


def test_the_push_runs_the_gates_again_and_writes_nothing_when_one_is_closed(pipeline: Pipeline, company: Company) -> None:
    pairs = [company.pair(), company.pair()]
    one_pass(pipeline)
    for pair in pairs:
        company.edit_account(pair, Phone="720 555 0011")
    assert pipeline.run("sync_customers", *SYNCED).success
    assert isinstance(pipeline.tick("push_customers_sensor"), dg.RunRequest)
    pipeline.rules("[gates]\nmax_customer_changes = 1\nmax_customer_changes_share = 0.5\n")
    result = pipeline.run("push_customers")
    assert closed(result) == {"within_blast_radius"}
    assert [company.token(pair) for pair in pairs] == [0, 0]
    answer = pipeline.tick("push_customers_sensor")
    assert isinstance(answer, dg.SkipReason)
    assert "within_blast_radius is closed" in (answer.skip_message or "")


def test_finance_edits_the_same_field_between_plan_and_push(pipeline: Pipeline, company: Company) -> None:
    """5010: nothing is overwritten unseen. The next plan decides, and the journal has both values."""
    pair = company.pair()
    one_pass(pipeline)
    company.edit_account(pair, Phone="720 555 0012")
    assert pipeline.run("sync_customers", *SYNCED).success
    company.call(pair, "720 555 0013")
    assert pipeline.run("push_customers", *PUSHED).success
    assert company.phones(pair)[1] == "720 555 0013"
    one_pass(pipeline)
    assert company.phones(pair) == ("720 555 0012", "720 555 0012")
    assert company.token(pair) == 2
    assert said(pipeline) == [("phone", "owner_changed", "withdrawn"), ("phone", "both_changed", "written")]
    entry = journal(pipeline)[-1]
    assert (entry.salesforce_value, entry.quickbooks_value) == ('"720 555 0012"', '"720 555 0013"')


def test_a_refused_write_is_told_once_and_the_journal_says_so(pipeline: Pipeline, company: Company) -> None:
    pair = company.pair()
    one_pass(pipeline)
    text = "Terms are for Finance <only>"
    company.control.salesforce("behave", validation_rule={"type": "Account", "field": "Payment_Terms__c", "text": text})
    company.edit_customer(pair, SalesTermRef={"value": company.terms["Net 15"]})
    # The control's edits are under the rule as well, so that only the pass meets it.
    for _ in range(2):
        one_pass(pipeline)
    told = [one for one in company.told() if "Terms are for Finance &lt;only&gt;" in one]
    assert len(told) == 1
    assert "Needs a person" in told[0]
    assert said(pipeline) == [("terms", "owner_changed", "refused")]


def test_a_customer_that_an_invoice_made_is_in_step_without_a_further_write(pipeline: Pipeline, company: Company) -> None:
    control = company.control
    (product,) = control.upsert_records("Product2", [{"Name": "Work", "ProductCode": "W-1", "IsActive": True}])
    income = next(one["Id"] for one in control.objects("Account") if one["AccountType"] == "Income")
    item = {"Name": "Work", "Sku": "W-1", "Type": "Service", "IncomeAccountRef": {"value": income}, "UnitPrice": 1}
    control.upsert_objects("Item", [item])
    record = company.account_record("Newcomer", 7001) | {"ShippingStreet": "Dock 5\nGate 2", "ShippingCity": "Aurora"}
    (account,) = control.upsert_records("Account", [record])
    control.upsert_records(
        "Contact", [{"AccountId": account, "LastName": "Lee", "FirstName": "Ann", "Email": "AP@acme7001.example"}]
    )
    deal = {"Name": "Deal", "AccountId": account, "StageName": "Closed Won", "CloseDate": control.now()[:10]}
    deal |= {"Contract_URL__c": "https://contracts.example/1", "Payment_Terms__c": "Net 30"}
    (deal_id,) = control.upsert_records("Opportunity", [deal])
    line = {"OpportunityId": deal_id, "Product2Id": product, "Quantity": 1, "UnitPrice": "100.01", "TotalPrice": "100.01"}
    control.upsert_records("OpportunityLineItem", [line])
    planned = (*(f"invoices/{table.name}" for table in PLANNED_TABLES), "invoices/pending", "customers/matches")
    assert pipeline.run("sync_invoices", *SYNCED[: SYNCED.index("customers/matches")], *planned).success
    assert pipeline.run("push_invoices", "invoices/pushed").success
    made = next(one["QuickBooks_Customer_Id__c"] for one in control.records("Account") if one["Id"] == account)
    pair = Pair(account, made)
    assert company.token(pair) == 0
    control.clear_calls()
    one_pass(pipeline)
    one_pass(pipeline)
    assert company.writes()["quickbooks"] == company.writes()["salesforce"] == 0
    assert said(pipeline) == []
    company.edit_account(pair, Phone="720 555 0014")
    one_pass(pipeline)
    assert company.phones(pair)[1] == "720 555 0014"


# No ping-pong


@dataclass
class Field:
    """A field of both sides: its owner, and its spellings of meaning number n on either side."""

    owner: str
    account: tuple[Any, ...]
    customer: tuple[Any, ...]


def spellings(company: Company) -> dict[str, Field]:
    """Several spellings for each side; ``{n}`` is the meaning."""
    terms = company.terms
    return {
        "phone": Field(
            "salesforce",
            ({"Phone": "(303) 555-{n}"}, {"Phone": "+1 303.555.{n}"}),
            ({"PrimaryPhone": {"FreeFormNumber": "303 555 {n}"}}, {"PrimaryPhone": {"FreeFormNumber": "+1303555{n}"}}),
        ),
        "website": Field(
            "salesforce",
            ({"Website": "https://www.h{n}.example/"}, {"Website": "H{n}.example"}),
            ({"WebAddr": {"URI": "http://h{n}.example"}}, {"WebAddr": {"URI": "www.H{n}.EXAMPLE/"}}),
        ),
        "email": Field(
            "salesforce",
            ({"Billing_Email__c": "ap{n}@acme.example"}, {"Billing_Email__c": "AP{n}@Acme.example"}),
            ({"PrimaryEmailAddr": {"Address": "Ap{n}@acme.example"}}, {"PrimaryEmailAddr": {"Address": "ap{n}@ACME.EXAMPLE"}}),
        ),
        "billing_address": Field(
            "salesforce",
            ({"BillingStreet": "{n} Main Street\nSuite 5"}, {"BillingStreet": "{n} Main St., Ste. 5"}),
            tuple(
                {"BillAddr": {"City": "Boulder", "CountrySubDivisionCode": "CO", "PostalCode": "80302", "Country": "US"} | lines}
                for lines in ({"Line1": "{n} MAIN STREET", "Line2": "STE 5"}, {"Line1": "{n} Main St # 5"})
            ),
        ),
        "name": Field(
            "salesforce",
            ({"Name": "Beta {n} Inc."}, {"Name": "BETA {n}, Inc"}),
            ({"DisplayName": "beta {n} inc"}, {"DisplayName": "Beta  {n}, INC."}),
        ),
        "terms": Field(
            "quickbooks",
            ({"Payment_Terms__c": "Net {n}"}, {"Payment_Terms__c": "{n} days"}),
            ({"SalesTermRef": {"value": terms}},),
        ),
    }


def filled(template: Any, meaning: int) -> Any:
    """A spelling of one meaning; ``{"value": {...}}`` picks the term."""
    if isinstance(template, str):
        return template.replace("{n}", str(meaning))
    if "value" in template:
        return {"value": template["value"][f"Net {meaning}"]}
    return {name: filled(inner, meaning) for name, inner in template.items()}


def test_ten_passes_over_edited_records_write_each_real_difference_once_and_nothing_else(
    pipeline: Pipeline, company: Company
) -> None:
    chosen = random.Random(20_26)
    fields = spellings(company)
    pairs = [company.pair() for _ in range(3)]
    # What each side means, by pair and field. Names and numbers are never used twice.
    meant: dict[tuple[int, str], dict[str, int]] = {}
    fresh = iter(range(1000, 9999))
    number_of = {"Net 30": 30, "Net 15": 15}

    def put(place: int, name: str, side: str, meaning: int) -> None:
        spelling = filled(chosen.choice(getattr(fields[name], side)), meaning)
        meant[place, name][side] = meaning
        edit = company.edit_account if side == "account" else company.edit_customer
        edit(pairs[place], **spelling)

    for place in range(len(pairs)):
        for name in fields:
            meant[place, name] = {}
            meaning = 30 if name == "terms" else next(fresh)
            put(place, name, "account", meaning)
            put(place, name, "customer", meaning)
    one_pass(pipeline)
    tokens = [company.token(pair) for pair in pairs]
    assert said(pipeline) == []

    for turn in range(10):
        # Every fourth pass finds nothing edited, every fourth only other spellings.
        for _ in range(chosen.randint(3, 6) if turn % 4 else 0):
            place, name, side = chosen.randrange(len(pairs)), chosen.choice(list(fields)), chosen.choice(["account", "customer"])
            meaning = meant[place, name][side]
            if turn % 4 != 2:
                meaning = chosen.choice(list(number_of.values())) if name == "terms" else next(fresh)
            put(place, name, side, meaning)
            if side == "customer":
                tokens[place] += 1
        wrong = {key for key, sides in meant.items() if sides["account"] != sides["customer"]}
        customers = {place for place, name in wrong if fields[name].owner == "salesforce"}
        accounts = {place for place, name in wrong if fields[name].owner == "quickbooks"}
        company.control.clear_calls()
        one_pass(pipeline)
        counts = company.control.call_counts()
        found = {"batch": counts.get(("quickbooks", "batch"), 0), "update": counts.get(("salesforce", "collections_update"), 0)}
        assert found == {"batch": bool(customers), "update": bool(accounts)}, f"pass {turn}: {wrong}"
        tokens = [token + (place in customers) for place, token in enumerate(tokens)]
        assert [company.token(pair) for pair in pairs] == tokens, f"pass {turn}: {wrong}"
        if not wrong:
            assert counts == IDLE, f"pass {turn}"
        for key in wrong:
            winner = "account" if fields[key[1]].owner == "salesforce" else "customer"
            meant[key] = dict.fromkeys(("account", "customer"), meant[key][winner])
    company.control.clear_calls()
    one_pass(pipeline)
    assert company.control.call_counts() == IDLE
    assert {status for _, _, status in said(pipeline)} == {"written"}
