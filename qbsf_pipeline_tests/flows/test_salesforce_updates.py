"""Updates of Salesforce records, against a Salesforce that says what it is told to: what is done, waits, or needs a person."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from qbsf_pipeline.errors import AccessRefused
from qbsf_pipeline.flows.salesforce_updates import Updates, update_records
from qbsf_pipeline.money import parse_json
from qbsf_pipeline.settings import load_rules
from qbsf_pipeline.state.database import State
from qbsf_pipeline.state.ledger import LedgerEntry
from qbsf_pipeline_tests.invoices.records import record_id
from qbsf_pipeline_tests.salesforce.conftest import door_to, environment_for
from qbsf_pipeline_tests.salesforce.scripted import Asked, Said, ScriptedSalesforce, refused
from qbsf_pipeline_tests.state.writes import invoice

NOW = datetime(2026, 3, 31, 8, 0, tzinfo=UTC)
RULES = load_rules().push.model_copy(update={"salesforce_batch": 2, "attempts": 3, "first_wait_seconds": 30})


class Bench:
    """Updates of the accounts 1, 2, ... that wait in a ledger, and the Salesforce that they go to."""

    def __init__(self, state: State, service: ScriptedSalesforce, accounts: int) -> None:
        self.state = state
        self.service = service
        self.now = NOW
        self.client = door_to(environment_for(service.url)).client
        self.client.log_in()
        writes = [
            invoice(
                1,
                key=f"key-{number}",
                operation="update_account",
                target_system="salesforce",
                target_object="Account",
                depends_on=(),
                # The ledger gives them out in another order than that of their accounts.
                position=accounts - number,
                account_id=record_id("001", number),
                source_id=record_id("001", number),
                payload=f'{{"Id":"{record_id("001", number)}","Payment_Terms__c":"Net {number}"}}',
            )
            for number in range(1, accounts + 1)
        ]
        state.ledger.enqueue(writes, "B-1", NOW)

    def update(self) -> Updates:
        return update_records(
            self.state.ledger,
            self.client,
            RULES,
            self.state.ledger.ready("invoices", self.now),
            lambda entry: dict(parse_json(entry.payload)),
            lambda: self.now,
            lambda _text: None,
        )

    def entry(self, number: int) -> LedgerEntry:
        found = self.state.ledger.entry(f"key-{number}")
        assert found is not None
        return found

    def statuses(self, count: int) -> list[str]:
        return [self.entry(number).status for number in range(1, count + 1)]


@pytest.fixture
def service() -> Iterator[ScriptedSalesforce]:
    running = ScriptedSalesforce()
    yield running
    running.stop()


@pytest.fixture
def bench(service: ScriptedSalesforce, tmp_path: Path) -> Iterator[Bench]:
    with State.open(f"sqlite:///{tmp_path / 'state.sqlite'}", tmp_path) as state:
        yield Bench(state, service, 3)


def all_well(asked: Asked) -> Said:
    return Said(body=[{"id": row["id"], "success": True, "errors": []} for row in asked.json["records"]])


def one_refused(code: str, text: str = "No.", number: int = 2) -> Any:
    """Everything is taken but account ``number``."""

    def reply(asked: Asked) -> Said:
        errors = [{"statusCode": code, "message": text, "fields": ["Payment_Terms__c"]}]
        rows = []
        for row in asked.json["records"]:
            bad = row["id"] == record_id("001", number)
            rows.append({"id": row["id"], "success": not bad, "errors": errors if bad else []})
        return Said(body=rows)

    return reply


def test_records_go_in_collections_ordered_by_account_each_with_its_fields(bench: Bench) -> None:
    bench.service.says(all_well)
    done = bench.update()
    assert (done.written, done.refused, done.unavailable) == (3, 0, None)
    sent = [[row["id"] for row in asked.json["records"]] for asked in bench.service.calls]
    assert sent == [[record_id("001", 1), record_id("001", 2)], [record_id("001", 3)]]
    assert bench.service.calls[0].json["allOrNone"] is False
    assert bench.service.calls[0].json["records"][0]["Payment_Terms__c"] == "Net 1"
    assert bench.statuses(3) == ["done"] * 3
    assert bench.entry(1).result_id == record_id("001", 1)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("FIELD_CUSTOM_VALIDATION_EXCEPTION", "Terms are for <Finance>"),
        ("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "Payment Terms: bad value for restricted picklist field: Net 2"),
        ("ENTITY_IS_DELETED", "entity is deleted"),
        ("INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id"),
        ("DUPLICATE_VALUE", "duplicate value found"),
        ("A_CODE_OF_TOMORROW", "unheard of"),
    ],
)
def test_a_refused_record_is_dead_with_salesforces_own_text_and_stops_no_other(bench: Bench, code: str, text: str) -> None:
    bench.service.says(one_refused(code, text))
    done = bench.update()
    assert (done.written, done.refused) == (2, 1)
    assert bench.statuses(3) == ["done", "dead", "done"]
    entry = bench.entry(2)
    assert entry.error_code == code
    assert entry.error_message == f"Salesforce refused the change of the account: {text} (code {code})."


@pytest.mark.parametrize("code", ["UNABLE_TO_LOCK_ROW", "UNKNOWN_EXCEPTION", "SERVER_UNAVAILABLE", "QUERY_TIMEOUT"])
def test_what_goes_away_by_itself_is_tried_again_longer_apart_and_then_given_up(bench: Bench, code: str) -> None:
    bench.service.says(one_refused(code))
    waits = []
    for _ in range(2):
        bench.update()
        entry = bench.entry(2)
        assert (entry.status, entry.error_code) == ("failed", code)
        assert entry.next_attempt_at is not None
        waits.append(entry.next_attempt_at - bench.now)
        bench.now = entry.next_attempt_at
    assert waits == [timedelta(seconds=30), timedelta(seconds=60)]
    bench.update()
    assert bench.entry(2).status == "dead"


def test_a_record_that_salesforce_says_nothing_of_is_tried_again(bench: Bench) -> None:
    def silent(asked: Asked) -> Said:
        rows = [row for row in asked.json["records"] if row["id"] != record_id("001", 2)]
        return Said(body=[{"id": row["id"], "success": True, "errors": []} for row in rows])

    bench.service.says(silent)
    bench.update()
    assert bench.statuses(3) == ["done", "failed", "done"]


def test_a_call_that_is_refused_as_a_whole_needs_a_person_and_the_next_call_is_made_all_the_same(bench: Bench) -> None:
    bench.service.says(refused(400, "INVALID_FIELD", "No such column 'Payment_Terms__c'"), all_well)
    done = bench.update()
    assert (done.written, done.refused) == (1, 2)
    assert bench.statuses(3) == ["dead", "dead", "done"]


def test_while_salesforce_is_away_everything_waits_and_no_further_call_is_made(bench: Bench) -> None:
    bench.service.says(refused(503, "SERVER_UNAVAILABLE", "down for maintenance"))
    done = bench.update()
    assert (done.written, done.refused) == (0, 0)
    assert done.unavailable == "down for maintenance"
    assert bench.statuses(3)[2] == "planned"
    assert all(status in ("failed", "sending") for status in bench.statuses(2))


def test_throttled_records_wait_for_the_first_wait(bench: Bench) -> None:
    bench.service.says(refused(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."))
    done = bench.update()
    assert "TotalRequests Limit exceeded." in (done.unavailable or "")
    assert bench.statuses(3) == ["failed", "failed", "planned"]
    assert bench.entry(1).next_attempt_at == NOW + timedelta(seconds=30)


def test_records_whose_answer_is_lost_again_and_again_are_left_as_on_their_way(bench: Bench) -> None:
    bench.service.says(Said(cut="reset"))
    assert bench.update().unavailable is not None
    assert bench.statuses(3) == ["sending", "sending", "planned"]


def test_a_refused_login_leaves_nothing_in_doubt(bench: Bench) -> None:
    bench.service.says(refused(403, "API_DISABLED_FOR_ORG", "The REST API is not enabled for this Organization."))
    with pytest.raises(AccessRefused):
        bench.update()
    assert bench.statuses(3) == ["planned"] * 3
