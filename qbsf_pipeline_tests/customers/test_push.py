"""Changes of customers and accounts, as the services take, refuse, throttle, lose and overtake them, over HTTP."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from qbsf_pipeline.api_meter import ApiMeter
from qbsf_pipeline.customers.plan import FLOW
from qbsf_pipeline.customers.push import PushContext, PushOutcome, push
from qbsf_pipeline.errors import AccessRefused
from qbsf_pipeline.money import to_json
from qbsf_pipeline.quickbooks.client import QuickBooksClient
from qbsf_pipeline.quickbooks.connection import QuickBooksConnection
from qbsf_pipeline.quickbooks.pace import Pace
from qbsf_pipeline.salesforce.client import SalesforceClient
from qbsf_pipeline.settings import Environment, load_rules
from qbsf_pipeline.state.database import State
from qbsf_pipeline.state.ledger import LedgerEntry, PlannedWrite
from qbsf_pipeline_tests.customers.company import Company, Pair, company_in
from qbsf_pipeline_tests.quickbooks.service import Answer, Request, Service, answer, fault
from qbsf_pipeline_tests.state.writes import invoice

RULES = load_rules()
NEW = "+1 720 555 0199"


@dataclass
class Desk:
    """A push and what it works with; ``now`` is the clock, which only a test moves."""

    company: Company
    state: State
    quickbooks: QuickBooksClient
    salesforce: SalesforceClient
    environment: Environment
    batch: int = 30
    planned: dict[str, str] = field(default_factory=dict)
    pulled: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    now: datetime = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)

    def change(self, pair: Pair, **fields: Any) -> str:
        """Plan a change of the customer, from the customer as it is now. Returns its key."""
        customer = self.company.customer(pair)
        self.pulled[pair.customer_id] = customer
        body = {"Id": pair.customer_id, "SyncToken": customer["SyncToken"], "sparse": True, **fields}
        return self.plan("update_customer", "quickbooks", "Customer", pair, body)

    def change_account(self, pair: Pair, **fields: Any) -> str:
        return self.plan("update_account", "salesforce", "Account", pair, {"Id": pair.account_id, **fields})

    def plan(self, operation: str, system: str, target: str, pair: Pair, body: Mapping[str, Any]) -> str:
        payload = to_json(body)
        key = f"{operation}:{body['Id']}:{len(self.planned)}"
        self.planned[key] = payload
        write: PlannedWrite = invoice(
            1,
            key=key,
            flow=FLOW,
            operation=operation,
            target_system=system,
            target_object=target,
            source_object="Account",
            source_id=pair.account_id,
            account_id=pair.account_id,
            opportunity_id=None,
            depends_on=(),
            payload=payload,
            decided_from=payload,
            amount=None,
        )
        self.state.ledger.enqueue([write], "B-1", self.now)
        return key

    def push(self) -> PushOutcome:
        """One push; what QuickBooks returned is in the warehouse afterwards, as after a real one."""
        rules = RULES.model_copy(update={"push": RULES.push.model_copy(update={"quickbooks_batch": self.batch})})

        def pulled(ids: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
            return {one: self.pulled[one] for one in ids if one in self.pulled}

        outcome = PushOutcome()
        context = PushContext(
            self.state,
            self.quickbooks,
            self.salesforce,
            rules,
            self.environment,
            self.planned,
            pulled,
            lambda: self.now,
            lambda _text: None,
        )
        try:
            push(context, outcome)
        finally:
            self.pulled |= outcome.customers
        return outcome

    def later(self) -> PushOutcome:
        """Another push, when everything that waits is due again."""
        self.now += timedelta(days=1)
        return self.push()

    def entry(self, key: str) -> LedgerEntry:
        found = self.state.ledger.entry(key)
        assert found is not None
        return found

    def status(self, key: str) -> str:
        return self.entry(key).status


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    with company_in(tmp_path_factory.mktemp("services")) as (_, opened):
        yield opened


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state database without rows: making one anew takes longer than copying it."""
    home = tmp_path_factory.mktemp("state")
    State.open(f"sqlite:///{home / 'state.sqlite'}", home).close()
    return home / "state.sqlite"


@pytest.fixture
def state(migrated: Path, tmp_path: Path) -> Iterator[State]:
    shutil.copyfile(migrated, tmp_path / "state.sqlite")
    with State.open(f"sqlite:///{tmp_path / 'state.sqlite'}", tmp_path) as opened:
        yield opened


def desk_at(company: Company, state: State, **changes: str) -> Desk:
    variables = {name.lower(): value for name, value in (company.control.environment() | changes).items()}
    known = {name: value for name, value in variables.items() if name in Environment.model_fields}
    environment = Environment.model_validate({**known, "qbsf_mode": variables.get("qbsf_mode", "live")})
    meter = ApiMeter()
    connection = QuickBooksConnection(environment, state.tokens.quickbooks, meter)
    quickbooks = QuickBooksClient(environment, connection, meter, Pace(100, 5000, 5000), sleep=lambda _seconds: None)
    salesforce = SalesforceClient(environment, state.tokens.salesforce, meter, sleep=lambda _seconds: None)
    return Desk(company, state, quickbooks, salesforce, environment)


@pytest.fixture
def desk(company: Company, state: State) -> Iterator[Desk]:
    yield desk_at(company, state)
    company.clean()


def phone(text: str = NEW) -> dict[str, Any]:
    return {"PrimaryPhone": {"FreeFormNumber": text}}


# QuickBooks, when all goes well


def test_a_change_is_sparse_and_leaves_every_other_field_as_it_is(desk: Desk, company: Company) -> None:
    pair = company.pair()
    before = company.customer(pair)
    key = desk.change(pair, **phone())
    outcome = desk.push()
    after = company.customer(pair)
    assert after["PrimaryPhone"] == {"FreeFormNumber": NEW}
    assert after["SyncToken"] == "1"
    for name in ("DisplayName", "BillAddr", "WebAddr", "Notes", "SalesTermRef", "PrimaryEmailAddr", "CurrencyRef"):
        assert after[name] == before[name], name
    assert (desk.status(key), desk.entry(key).result_id) == ("done", pair.customer_id)
    assert outcome.customers[pair.customer_id]["SyncToken"] == "1"
    assert (outcome.customers_written, outcome.refused, outcome.held) == (1, 0, [])


def test_what_is_done_is_never_sent_again(desk: Desk, company: Company) -> None:
    pair = company.pair()
    desk.change(pair, **phone())
    desk.push()
    company.control.clear_calls()
    assert desk.later().customers_written == 0
    assert company.writes()["quickbooks"] == 0
    assert company.token(pair) == 1


def test_fields_are_emptied_and_terms_taken_away(desk: Desk, company: Company) -> None:
    pair = company.pair()
    key = desk.change(pair, PrimaryPhone={}, WebAddr={}, SalesTermRef={}, GivenName="")
    desk.push()
    after = company.customer(pair)
    assert not {"PrimaryPhone", "WebAddr", "SalesTermRef", "GivenName"} & set(after)
    assert desk.status(key) == "done"


def test_in_mode_approve_only_what_a_person_approved_is_written(company: Company, state: State) -> None:
    desk = desk_at(company, state, QBSF_MODE="approve")
    pair = company.pair()
    key = desk.change(pair, **phone())
    assert desk.push().held == [(key, "waits for approval")]
    assert company.token(pair) == 0
    state.approvals.approve("B-1", "dana", desk.now)
    assert desk.push().customers_written == 1
    company.clean()


def test_what_the_newest_plan_does_not_say_just_so_is_left_alone(desk: Desk, company: Company) -> None:
    pair = company.pair()
    key = desk.change(pair, **phone())
    desk.planned[key] = "another payload"
    assert desk.push().held == [(key, "is not in the newest plan")]
    assert company.token(pair) == 0


# A stale token


def test_when_finance_changed_another_field_the_change_goes_out_with_the_new_token_and_finances_stays(
    desk: Desk, company: Company
) -> None:
    pair = company.pair()
    key = desk.change(pair, **phone())
    company.edit_customer(pair, WebAddr={"URI": "https://new.example"}, Notes="call Bob instead")
    desk.push()
    after = company.customer(pair)
    assert after["PrimaryPhone"]["FreeFormNumber"] == NEW
    assert after["WebAddr"]["URI"] == "https://new.example"
    assert after["Notes"] == "call Bob instead"
    assert after["SyncToken"] == "2"
    assert desk.status(key) == "done"


def test_when_finance_changed_the_same_field_nothing_is_written_however_often_it_is_pushed(desk: Desk, company: Company) -> None:
    pair = company.pair()
    key = desk.change(pair, **phone())
    company.call(pair, "finance's own")
    outcome = desk.push()
    why = "the customer was changed in QuickBooks meanwhile; the next plan decides again"
    assert outcome.held == [(key, why)]
    # The next plan is made from the record as it was just read.
    assert outcome.customers[pair.customer_id]["PrimaryPhone"] == {"FreeFormNumber": "finance's own"}
    assert (desk.status(key), desk.entry(key).error_code) == ("failed", "5010")
    assert desk.push().held == []  # it waits, so that nothing runs in circles
    # The warehouse has the newer record by now, which the plan was not made from.
    assert desk.later().held == [(key, why)]
    assert company.phones(pair)[1] == "finance's own"
    assert company.token(pair) == 1


def test_when_finance_changed_only_the_spelling_of_the_field_it_is_as_planned(desk: Desk, company: Company) -> None:
    pair = company.pair()
    address = company.customer(pair)["BillAddr"]
    key = desk.change(pair, BillAddr={"Line1": "9 New Street", "City": "Denver"})
    company.edit_customer(pair, BillAddr={**address, "Line1": f" {address['Line1']}  ", "Id": "4711", "Lat": "40.0"})
    desk.push()
    assert desk.status(key) == "done"
    assert company.customer(pair)["BillAddr"]["Line1"] == "9 New Street"


def test_when_finance_already_wrote_the_same_value_it_counts_as_done(desk: Desk, company: Company) -> None:
    pair = company.pair()
    key = desk.change(pair, **phone())
    company.call(pair, NEW)
    desk.push()
    assert (desk.status(key), company.token(pair)) == ("done", 1)


def test_a_customer_that_was_made_inactive_meanwhile_is_left_to_the_next_plan(desk: Desk, company: Company) -> None:
    pair = company.pair()
    key = desk.change(pair, **phone())
    company.edit_customer(pair, Active=False)
    assert [one for one, _ in desk.push().held] == [key]
    assert company.phones(pair)[1] != NEW


def test_a_customer_that_is_gone_needs_a_person_and_is_said_so(desk: Desk, company: Company) -> None:
    pair = company.pair()
    desk.pulled["99999"] = {}
    key = desk.plan("update_customer", "quickbooks", "Customer", pair, {"Id": "99999", "SyncToken": "0", **phone()})
    assert desk.push().refused == 1
    entry = desk.entry(key)
    assert (entry.status, entry.error_code) == ("dead", "610")
    assert (entry.error_message or "").startswith("QuickBooks refused the change of the customer: ")


# What QuickBooks refuses


def test_three_that_are_refused_do_not_keep_the_others_of_a_batch(desk: Desk, company: Company) -> None:
    company.control.upsert_objects("Vendor", [{"DisplayName": "Taken by a Vendor"}])
    pairs = [company.pair("Many") for _ in range(31)]
    bad: dict[int, tuple[str, dict[str, Any]]] = {
        3: ("2210", {"PrimaryEmailAddr": {"Address": "no address"}}),
        7: ("6240", {"DisplayName": "taken by a vendor"}),
        12: ("2050", {"PrimaryPhone": {"FreeFormNumber": "1" * 31}}),
    }
    keys = [desk.change(pair, **bad.get(number, ("", phone()))[1]) for number, pair in enumerate(pairs)]
    company.control.clear_calls()
    outcome = desk.push()
    assert (outcome.customers_written, outcome.refused) == (28, 3)
    assert company.writes()["quickbooks"] == 2  # thirty in one call
    for number, (key, pair) in enumerate(zip(keys, pairs, strict=True)):
        entry = desk.entry(key)
        if number in bad:
            assert (entry.status, entry.error_code, company.token(pair)) == ("dead", bad[number][0], 0)
            assert f"(code {entry.error_code})" in (entry.error_message or "")
        else:
            assert (entry.status, company.token(pair)) == ("done", 1)
    assert desk.later().refused == 0  # what is dead is not tried again


def test_when_a_whole_batch_is_refused_each_change_goes_alone_and_only_the_bad_one_stays(company: Company, state: State) -> None:
    sent: list[list[str]] = []

    def reply(request: Request) -> Answer:
        if not request.path.endswith("/batch"):
            return fault("610", "Object Not Found")
        items = json.loads(request.text)["BatchItemRequest"]
        sent.append([item["Customer"]["Id"] for item in items])
        if any(item["Customer"]["Id"] == "2" for item in items):
            return fault("2010", "Request has invalid or unsupported property")
        done = [{"bId": item["bId"], "Customer": {**item["Customer"], "SyncToken": "1"}} for item in items]
        return answer({"BatchItemResponse": done})

    service = Service(reply)
    try:
        urls = {"QUICKBOOKS_API_URL": service.url, "QUICKBOOKS_DISCOVERY_URL": f"{service.url}/.well-known/openid_configuration"}
        desk = desk_at(company, state, **urls, QUICKBOOKS_REFRESH_TOKEN="first")
        keys = [
            desk.plan("update_customer", "quickbooks", "Customer", Pair("001", str(n)), {"Id": str(n), "SyncToken": "0"})
            for n in (1, 2, 3)
        ]
        outcome = desk.push()
    finally:
        service.stop()
    assert sent == [["1", "2", "3"], ["1"], ["2"], ["3"]]
    assert [desk.status(key) for key in keys] == ["done", "dead", "done"]
    assert (outcome.customers_written, outcome.refused) == (2, 1)


# Calls that fail, and answers that are lost


@pytest.mark.parametrize("kind", ["throttle", "token_expired", "reset_after", "error_after", "error", "html", "reset_before"])
def test_however_a_call_fails_the_change_is_written_exactly_once(desk: Desk, company: Company, kind: str) -> None:
    pair = company.pair()
    key = desk.change(pair, **phone())
    company.control.fault("quickbooks", "batch", kind)
    desk.push()
    # Whatever is known by now, nothing is done twice and nothing is given up.
    assert desk.status(key) in ("done", "sending", "failed", "planned")
    desk.later()
    desk.later()
    assert company.control.faults() == []
    assert (desk.status(key), company.phones(pair)[1], company.token(pair)) == ("done", NEW, 1)


def test_a_change_whose_answer_was_lost_is_settled_by_looking_without_another_write(desk: Desk, company: Company) -> None:
    pair = company.pair()
    key = desk.change(pair, **phone())
    company.control.fault("quickbooks", "batch", "reset_after")
    desk.push()
    company.control.clear_calls()
    outcome = desk.push()
    assert company.writes()["quickbooks"] == 0
    assert desk.status(key) == "done"
    assert (outcome.customers_written, outcome.customers[pair.customer_id]["SyncToken"]) == (1, "1")


def test_the_answer_to_a_change_under_a_new_token_is_lost_and_it_is_still_written_once(desk: Desk, company: Company) -> None:
    pair = company.pair()
    key = desk.change(pair, **phone())
    company.edit_customer(pair, Notes="finance")
    company.control.fault("quickbooks", "update", "reset_after")
    desk.push()
    assert desk.status(key) == "sending"
    desk.push()
    assert (desk.status(key), company.token(pair), company.phones(pair)[1]) == ("done", 2, NEW)


def test_a_change_that_lands_after_it_was_given_up_for_lost_is_recognised(desk: Desk, company: Company) -> None:
    """QuickBooks works on a call for minutes: looked for too early, it is not there, and is there when it is sent again."""
    pair = company.pair()
    key = desk.change(pair, **phone())
    company.control.fault("quickbooks", "batch", "reset_before")
    desk.push()
    desk.state.ledger.release(key, desk.now)
    company.call(pair, NEW)  # now it lands
    desk.push()
    assert (desk.status(key), company.token(pair)) == ("done", 1)


def test_while_quickbooks_is_away_what_was_sent_waits_and_salesforce_is_written_all_the_same(
    desk: Desk, company: Company
) -> None:
    pairs = [company.pair() for _ in range(3)]
    desk.batch = 1
    keys = [desk.change(pair, **phone()) for pair in pairs]
    account = desk.change_account(pairs[0], Payment_Terms__c="Net 15")
    company.control.fault("quickbooks", "batch", "throttle", times=1000, after=1)
    outcome = desk.push()
    assert "quickbooks" in outcome.unavailable
    assert sorted(desk.status(key) for key in keys) == ["done", "failed", "planned"]
    assert desk.status(account) == "done"
    company.control.clear_faults()
    desk.later()
    assert [desk.status(key) for key in keys] == ["done"] * 3
    assert [company.token(pair) for pair in pairs] == [1, 1, 1]


def test_a_token_that_expires_between_two_batches_stops_nothing(desk: Desk, company: Company) -> None:
    pairs = [company.pair() for _ in range(3)]
    desk.batch = 1
    keys = [desk.change(pair, **phone()) for pair in pairs]
    company.control.fault("quickbooks", "batch", "token_expired", after=1)
    assert desk.push().customers_written == 3
    assert [desk.status(key) for key in keys] == ["done"] * 3


def test_when_the_record_cannot_be_read_again_the_change_waits(desk: Desk, company: Company) -> None:
    pair = company.pair()
    key = desk.change(pair, **phone())
    company.edit_customer(pair, Notes="finance")
    company.control.fault("quickbooks", "read", "html", times=1000)
    assert "quickbooks" in desk.push().unavailable
    assert desk.status(key) == "failed"
    company.control.clear_faults()
    desk.later()
    assert (desk.status(key), company.token(pair)) == ("done", 2)


def test_a_refused_connection_stops_the_push_and_nothing_is_left_in_doubt(desk: Desk, company: Company) -> None:
    pair = company.pair()
    key = desk.change(pair, **phone())
    company.control.fault("quickbooks", "batch", "token_expired", times=2)
    with pytest.raises(AccessRefused):
        desk.push()
    assert desk.status(key) == "planned"
    desk.push()
    assert (desk.status(key), company.token(pair)) == ("done", 1)


# Salesforce


def test_accounts_are_written_together_in_one_call(desk: Desk, company: Company) -> None:
    pairs = [company.pair() for _ in range(4)]
    keys = [desk.change_account(pair, Payment_Terms__c="Net 15") for pair in pairs]
    company.control.clear_calls()
    assert desk.push().accounts_written == 4
    assert company.writes()["salesforce"] == 1
    assert {company.account(pair)["Payment_Terms__c"] for pair in pairs} == {"Net 15"}
    assert {desk.status(key) for key in keys} == {"done"}


def test_a_locked_account_is_tried_again_and_the_others_do_not_wait(desk: Desk, company: Company) -> None:
    locked, free = company.pair(), company.pair()
    keys = [desk.change_account(pair, Payment_Terms__c="Net 15") for pair in (locked, free)]
    company.control.salesforce("behave", lock_account={"account_id": locked.account_id, "times": 100})
    outcome = desk.push()
    assert [desk.status(key) for key in keys] == ["failed", "done"]
    assert (outcome.accounts_written, outcome.refused) == (1, 1)
    assert desk.entry(keys[0]).error_code == "UNABLE_TO_LOCK_ROW"
    company.control.salesforce("behave", lock_account={"account_id": locked.account_id, "times": 2})
    desk.later()
    assert desk.status(keys[0]) == "done"
    assert company.account(locked)["Payment_Terms__c"] == "Net 15"


def test_a_validation_rule_is_a_failure_with_its_own_text_and_stops_no_other_account(desk: Desk, company: Company) -> None:
    pairs = [company.pair(), company.pair()]
    refused = desk.change_account(pairs[0], Phone="5")
    written = desk.change_account(pairs[1], Payment_Terms__c="Net 15")
    text = "Phones <are> Sales' & nobody else's"
    company.control.salesforce("behave", validation_rule={"type": "Account", "field": "Phone", "text": text})
    desk.push()
    entry = desk.entry(refused)
    assert (entry.status, entry.error_code) == ("dead", "FIELD_CUSTOM_VALIDATION_EXCEPTION")
    assert text in (entry.error_message or "")
    assert (entry.error_message or "").startswith("Salesforce refused the change of the account: ")
    assert desk.status(written) == "done"


def test_an_account_that_was_deleted_meanwhile_needs_a_person(desk: Desk, company: Company) -> None:
    pair = company.pair()
    key = desk.change_account(pair, Payment_Terms__c="Net 15")
    company.control.delete_record("Account", pair.account_id)
    desk.push()
    assert (desk.status(key), desk.entry(key).error_code) == ("dead", "ENTITY_IS_DELETED")


@pytest.mark.parametrize("kind", ["throttle", "token_expired", "reset_after", "error_after", "error", "html", "reset_before"])
def test_an_update_of_an_account_that_fails_once_is_done_in_the_same_push(desk: Desk, company: Company, kind: str) -> None:
    pair = company.pair()
    key = desk.change_account(pair, Payment_Terms__c="Net 15")
    desk.salesforce.query("SELECT Id FROM Organization")  # a session that is refused right after login is another matter
    company.control.fault("salesforce", "collections_update", kind)
    assert desk.push().accounts_written == 1
    assert (desk.status(key), company.account(pair)["Payment_Terms__c"]) == ("done", "Net 15")


def test_an_account_whose_answers_were_all_lost_is_settled_by_looking_without_another_write(desk: Desk, company: Company) -> None:
    pair = company.pair()
    key = desk.change_account(pair, Payment_Terms__c="Net 15", BillingStreet="1 New\nStreet", Phone=None)
    company.control.fault("salesforce", "collections_update", "error_after", times=5)
    assert "salesforce" in desk.push().unavailable
    assert desk.status(key) == "sending"
    company.control.clear_calls()
    assert desk.push().accounts_written == 1
    assert (desk.status(key), company.writes()["salesforce"]) == ("done", 0)


def test_an_account_whose_update_never_arrived_is_written_again(desk: Desk, company: Company) -> None:
    pair = company.pair()
    key = desk.change_account(pair, Payment_Terms__c="Net 15")
    company.control.fault("salesforce", "collections_update", "reset_before", times=5)
    desk.push()
    assert company.account(pair)["Payment_Terms__c"] == "Net 30"
    desk.push()
    assert (desk.status(key), company.account(pair)["Payment_Terms__c"]) == ("done", "Net 15")
