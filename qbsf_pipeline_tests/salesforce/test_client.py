"""Transport, refresh, retries, paging and writes, over real sockets."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import requests

from qbsf_pipeline.errors import (
    AccessRefused,
    ConfigurationError,
    OutcomeUnknown,
    RecordRefused,
    ServiceError,
    ServiceUnavailable,
)
from qbsf_pipeline.salesforce.client import ApiUsage, Query
from qbsf_pipeline.salesforce.login import CachedToken
from qbsf_pipeline.sandbox import salesforce as sandbox
from qbsf_pipeline_tests.salesforce.conftest import Door, SandboxOrg, door_to, environment_for
from qbsf_pipeline_tests.salesforce.scripted import Asked, Said, ScriptedSalesforce, found, refused

EXPIRED = refused(401, "INVALID_SESSION_ID", "Session expired or invalid")
SOQL = "SELECT Id FROM Account"


def test_an_expired_token_is_renewed_once_and_the_call_keeps_its_headers(service: ScriptedSalesforce, signed_in: Door) -> None:
    service.says(EXPIRED, Said(204))
    headers = {"If-Unmodified-Since": "Tue, 31 Mar 2026 09:15:22 GMT"}
    assert signed_in.client.rest("sobjects/Account/001", "PATCH", body={"Name": "x"}, headers=headers) is None
    assert service.logins == 1
    assert [call.headers["if-unmodified-since"] for call in service.calls] == [headers["If-Unmodified-Since"]] * 2
    assert [call.headers["authorization"] for call in service.calls] == ["Bearer old", "Bearer token-1"]
    assert service.calls[0].body == service.calls[1].body


@pytest.mark.parametrize(
    "body",
    [
        [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}],
        {"error": "invalid_token"},
        "<html>Unauthorized</html>",
        None,
    ],
)
def test_a_fresh_token_that_is_refused_too_stops_at_once(service: ScriptedSalesforce, signed_in: Door, body: object) -> None:
    service.says(Said(401, body))
    with pytest.raises(AccessRefused):
        signed_in.client.rest("limits")
    assert service.logins == 1
    assert len(service.calls) == 2


def test_a_token_that_another_process_renewed_is_used_without_a_login(service: ScriptedSalesforce, signed_in: Door) -> None:
    def renewed_meanwhile(_: Asked) -> Said:
        for name in signed_in.tokens.kept:
            signed_in.tokens.kept[name] = CachedToken("theirs", service.url, datetime(2026, 1, 1, tzinfo=UTC))
        return EXPIRED

    service.says(renewed_meanwhile, Said(body={"ok": 1}))
    assert signed_in.client.rest("limits") == {"ok": 1}
    assert service.logins == 0
    assert service.calls[-1].headers["authorization"] == "Bearer theirs"


def test_threads_that_meet_an_expired_token_log_in_once(service: ScriptedSalesforce, signed_in: Door) -> None:
    service.says(lambda asked: EXPIRED if asked.headers["authorization"] == "Bearer old" else Said(body={"ok": 1}))
    threads = [threading.Thread(target=signed_in.client.rest, args=("limits",)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert service.logins == 1


def test_a_token_may_name_another_host_after_renewal(service: ScriptedSalesforce, signed_in: Door) -> None:
    other = ScriptedSalesforce()
    try:
        other.says(Said(body={"ok": 1}))
        service.login = Said(body={"access_token": "moved", "instance_url": other.url})
        service.says(EXPIRED)
        assert signed_in.client.rest("limits") == {"ok": 1}
        assert signed_in.client.record_link("Opportunity", "006x") == f"{other.url}/lightning/r/Opportunity/006x/view"
    finally:
        other.stop()


@pytest.mark.parametrize(
    "trouble",
    [
        Said(cut="reset"),
        Said(503, "<html>Down for maintenance</html>"),
        Said(502, ""),
        refused(500, "UNKNOWN_EXCEPTION"),
        refused(400, "UNABLE_TO_LOCK_ROW"),
        refused(400, "QUERY_TIMEOUT"),
        refused(403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (Concurrent API Requests) Limit exceeded."),
        Said(429, "", {"Retry-After": "3"}),
        Said(200, {"records": [], "done": True}, cut="truncated"),
        Said(200, "<html>Please log in to the proxy</html>"),
        Said(200, '{"records": ['),
        Said(200, "null"),
    ],
)
def test_a_read_survives_passing_trouble(service: ScriptedSalesforce, signed_in: Door, trouble: Said) -> None:
    service.says(trouble, trouble, found({"Id": "001"}))
    assert signed_in.client.query(SOQL) == [{"Id": "001"}]
    assert len(service.calls) == 3
    assert len(signed_in.waits) == 2
    assert all(0 <= wait <= 30 for wait in signed_in.waits)


def test_a_read_gives_up_after_five_tries(service: ScriptedSalesforce, signed_in: Door) -> None:
    service.says(Said(503, "<html>Down</html>"))
    with pytest.raises(ServiceUnavailable):
        signed_in.client.query(SOQL)
    assert len(service.calls) == 5


def test_a_wait_that_the_service_names_is_kept_or_left_for_later(service: ScriptedSalesforce, signed_in: Door) -> None:
    service.says(Said(429, "", {"Retry-After": "17"}), found())
    signed_in.client.query(SOQL)
    assert signed_in.waits == [17.0]
    service.says(Said(503, "", {"Retry-After": "600"}))
    with pytest.raises(ServiceUnavailable):
        signed_in.client.query(SOQL)
    assert signed_in.waits == [17.0]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refused(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."), ServiceUnavailable),
        (refused(400, "MALFORMED_QUERY"), RecordRefused),
        (Said(414, "<h1>Bad Message 414</h1><pre>reason: URI Too Long</pre>"), RecordRefused),
        (Said(302, "", {"Location": "https://login.salesforce.com"}), AccessRefused),
        (Said(403, "<html>Forbidden</html>"), AccessRefused),
    ],
)
def test_what_does_not_pass_by_itself_is_not_repeated(
    service: ScriptedSalesforce, signed_in: Door, answer: Said, kind: type[ServiceError]
) -> None:
    service.says(answer)
    with pytest.raises(kind):
        signed_in.client.query(SOQL)
    assert len(service.calls) == 1
    assert signed_in.waits == []


@pytest.mark.parametrize(
    "trouble",
    [Said(cut="reset"), Said(503, "<html/>"), refused(500, "UNKNOWN_EXCEPTION"), Said(201, "{", cut="truncated")],
)
def test_a_create_whose_answer_is_lost_is_never_repeated(service: ScriptedSalesforce, signed_in: Door, trouble: Said) -> None:
    service.says(trouble)
    with pytest.raises(OutcomeUnknown):
        signed_in.client.rest("sobjects/Task/", "POST", body={"Subject": "x"})
    assert len(service.calls) == 1


def test_a_create_that_met_a_lock_changed_nothing_and_is_repeated(service: ScriptedSalesforce, signed_in: Door) -> None:
    service.says(refused(400, "UNABLE_TO_LOCK_ROW"), Said(201, {"id": "00T", "success": True, "errors": []}))
    assert signed_in.client.rest("sobjects/Task/", "POST", body={"Subject": "x"})["id"] == "00T"


def test_a_host_that_is_not_there_is_unavailable_even_for_a_create() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{held.getsockname()[1]}"
        door = door_to(environment_for(url))
        with pytest.raises(ServiceUnavailable):
            door.client.rest("sobjects/Task/", "POST", body={})


def test_no_request_leaves_unencrypted_for_another_machine() -> None:
    door = door_to(environment_for("http://127.0.0.1:9"))
    with pytest.raises(ConfigurationError):
        door.client._session.get("http://192.0.2.1/services/data")
    with pytest.raises(requests.ConnectionError):
        door.client._session.get("http://127.0.0.1:9/services/data")


def test_amounts_arrive_and_leave_as_decimals(service: ScriptedSalesforce, signed_in: Door) -> None:
    service.says(Said(body='{"done":true,"records":[{"Amount":1234567890123.45,"Rate":1e-7,"Whole":100}]}'))
    (record,) = signed_in.client.query(SOQL)
    assert record == {"Amount": Decimal("1234567890123.45"), "Rate": Decimal("1e-7"), "Whole": 100}
    service.says(Said(204))
    body = {"Amount": Decimal("1E+3"), "Day": date(2026, 1, 31), "At": datetime(2026, 1, 31, 10, tzinfo=UTC)}
    signed_in.client.rest("sobjects/Account/001", "PATCH", body=body)
    assert service.calls[-1].body == b'{"Amount":1000,"Day":"2026-01-31","At":"2026-01-31T10:00:00Z"}'


def test_pages_of_records_and_of_child_records_are_followed(service: ScriptedSalesforce, signed_in: Door) -> None:
    base = "/services/data/v66.0/query/"
    child = {"totalSize": 3, "done": False, "nextRecordsUrl": f"{base}0r8child-1", "records": [{"Id": "00k1"}]}
    pages = {
        "": found({"Id": "1", "Lines": child}, done=False, nextRecordsUrl=f"{base}0r8xx-1"),
        "0r8child-1": found({"Id": "00k2"}, done=False, nextRecordsUrl=f"{base}0r8child-2"),
        "0r8child-2": found({"Id": "00k3"}),
        "0r8xx-1": found({"Id": "2", "Lines": None}),
    }
    service.says(lambda asked: pages[asked.path.partition("/query/")[2]])
    first, second = signed_in.client.query("SELECT Id, (SELECT Id FROM Lines) FROM X")
    assert [line["Id"] for line in first["Lines"]["records"]] == ["00k1", "00k2", "00k3"]
    assert second["Lines"] is None


def test_a_dead_cursor_starts_the_query_again_once(service: ScriptedSalesforce, signed_in: Door) -> None:
    first = found({"Id": "1"}, done=False, nextRecordsUrl="/services/data/v66.0/query/0r8xx-1")
    gone = refused(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
    service.says(first, gone, first, found({"Id": "2"}))
    assert [record["Id"] for record in signed_in.client.query(SOQL)] == ["1", "2"]
    service.says(first, gone, first, gone)
    with pytest.raises(RecordRefused):
        signed_in.client.query(SOQL)


def test_an_answer_that_goes_on_without_saying_where_is_no_answer(service: ScriptedSalesforce, signed_in: Door) -> None:
    service.says(found({"Id": "1"}, done=False))
    with pytest.raises(ServiceUnavailable):
        signed_in.client.query(SOQL)
    endless = found({"Id": "1"}, done=False, nextRecordsUrl="/services/data/v66.0/query/0r8xx-1")
    service.says(endless)
    with pytest.raises(ServiceUnavailable):
        signed_in.client.query(SOQL)
    service.says(Said(body={"something": "else"}))
    with pytest.raises(ServiceUnavailable):
        signed_in.client.query(SOQL)


def _composite(parts: Callable[[str], tuple[int, Any]]) -> Callable[[Asked], Said]:
    def answer(asked: Asked) -> Said:
        calls = asked.json["compositeRequest"]
        told = [
            {"body": parts(call["url"])[1], "httpStatusCode": parts(call["url"])[0], "referenceId": call["referenceId"]}
            for call in calls
        ]
        return Said(body={"compositeResponse": told[::-1]})

    return answer


def test_queries_share_calls_and_one_that_fails_hurts_no_other(service: ScriptedSalesforce, signed_in: Door) -> None:
    def part(url: str) -> tuple[int, Any]:
        if "Broken" in url:
            return 400, [{"errorCode": "INVALID_FIELD", "message": "No such column"}]
        return 200, {"totalSize": 1, "done": True, "records": [{"Id": url.rpartition("FROM%20")[2]}]}

    service.says(_composite(part))
    names = ["A", "B", "Broken", "D", "E", "F", "G"]
    answers = signed_in.client.query_together([Query(f"SELECT Id FROM {name}") for name in names])
    assert [answer.records[0]["Id"] if answer.records else None for answer in answers] == [*"AB", None, *"DEFG"]
    assert isinstance(answers[2].error, RecordRefused)
    assert len(service.calls) == 2
    assert [len(call.json["compositeRequest"]) for call in service.calls] == [5, 2]


def test_a_query_that_meets_passing_trouble_in_company_is_asked_again_alone(service: ScriptedSalesforce, signed_in: Door) -> None:
    composite = _composite(
        lambda url: (
            (500, [{"errorCode": "UNKNOWN_EXCEPTION", "message": ""}])
            if "B" in url.rpartition("FROM")[2]
            else (200, {"done": True, "records": []})
        )
    )
    service.says(lambda asked: composite(asked) if asked.path.endswith("/composite") else found({"Id": "b"}))
    answers = signed_in.client.query_together([Query("SELECT Id FROM A"), Query("SELECT Id FROM B")])
    assert answers[1].records == [{"Id": "b"}]


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_server_without_composite_calls_is_asked_one_by_one_from_then_on(
    service: ScriptedSalesforce, signed_in: Door, status: int
) -> None:
    service.says(lambda asked: refused(status, "NOT_FOUND") if asked.path.endswith("/composite") else found({"Id": "x"}))
    for _ in range(2):
        answers = signed_in.client.query_together([Query("SELECT Id FROM A"), Query("SELECT Id FROM B", True)])
        assert [answer.records for answer in answers] == [[{"Id": "x"}]] * 2
    paths = [call.path.removeprefix("/services/data/v66.0/").strip("/") for call in service.calls]
    assert paths == ["composite", "query", "queryAll", "query", "queryAll"]


def test_the_moment_of_asking_is_the_service_s_own(service: ScriptedSalesforce, signed_in: Door) -> None:
    service.says(found())
    (answer,) = signed_in.client.query_together([Query(SOQL)])
    assert answer.asked_at is not None
    assert timedelta(0) <= datetime(2026, 3, 31, 9, 15, 22, tzinfo=UTC) - answer.asked_at <= timedelta(seconds=5)
    assert signed_in.client.server_time == datetime(2026, 3, 31, 9, 15, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("api-usage=18/5000", ApiUsage(18, 5000)),
        ("api-usage=19/5000; api-bursts=1/750", ApiUsage(19, 5000)),
        ("per-app-api-usage=17/250(appName=x), api-usage=20/5000", ApiUsage(20, 5000)),
        ("per-app-api-usage=17/250(appName=x)", None),
        ("", None),
    ],
)
def test_the_org_s_usage_is_read_from_each_answer(
    service: ScriptedSalesforce, signed_in: Door, header: str, expected: ApiUsage | None
) -> None:
    service.says(Said(body={}, headers={"Sforce-Limit-Info": header}))
    signed_in.client.rest("limits")
    assert signed_in.client.usage == expected


def test_every_request_is_counted_by_its_kind(service: ScriptedSalesforce, door: Door) -> None:
    service.says(Said(cut="reset"), found())
    door.client.query(SOQL)
    service.says(Said(204))
    door.client.rest("sobjects/Account/001", "PATCH", body={})
    assert {call.kind: count for call, count in door.meter.totals().items()} == {"login": 1, "query": 2, "record": 1}


# --- updates -------------------------------------------------------------------------------------------------------

GOOD = {"success": True, "errors": []}


def _bad(code: str, message: str = "", fields: list[str] | None = None) -> dict[str, Any]:
    return {"success": False, "errors": [{"statusCode": code, "message": message or code, "fields": fields or []}]}


def _ids(asked: Asked) -> list[str]:
    return [record["id"] for record in asked.json["records"]]


def _deal(number: int) -> str:
    return sandbox.to18(f"006{number:012d}")


def test_an_update_says_for_each_record_what_became_of_it(service: ScriptedSalesforce, signed_in: Door) -> None:
    ids = [_deal(1), _deal(2), _deal(3)]
    service.says(
        Said(
            body=[
                {"id": ids[0], **GOOD},
                _bad("FIELD_CUSTOM_VALIDATION_EXCEPTION", "Nicht erlaubt: „§“", ["Name"]),
                {"id": ids[2], **GOOD},
            ]
        )
    )
    results = signed_in.client.update("Opportunity", [{"Id": record_id, "X__c": Decimal("12.50")} for record_id in ids])
    assert [result.success for result in results] == [True, False, True]
    assert results[1].code == "FIELD_CUSTOM_VALIDATION_EXCEPTION"
    assert results[1].message == "Nicht erlaubt: „§“"
    assert results[1].fields == ("Name",)
    assert isinstance(results[1].error, RecordRefused)
    sent = json.loads(service.calls[0].body, parse_float=Decimal)
    assert sent["allOrNone"] is False
    assert sent["records"][0] == {"attributes": {"type": "Opportunity"}, "id": ids[0], "X__c": Decimal("12.50")}


def test_an_update_goes_in_calls_of_at_most_two_hundred_in_the_given_order(service: ScriptedSalesforce, signed_in: Door) -> None:
    service.says(lambda asked: Said(body=[{"id": record_id, **GOOD} for record_id in _ids(asked)]))
    ids = [_deal(number) for number in range(450, 0, -1)]
    results = signed_in.client.update("Opportunity", [{"Id": record_id} for record_id in ids], batch=1000)
    assert [len(_ids(call)) for call in service.calls] == [200, 200, 50]
    assert [record_id for call in service.calls for record_id in _ids(call)] == ids
    assert [result.id for result in results] == ids


def test_a_locked_record_is_tried_again_until_it_is_free(service: ScriptedSalesforce, signed_in: Door) -> None:
    tries = iter(range(10))

    def answer(asked: Asked) -> Said:
        number = next(tries)
        return Said(
            body=[
                _bad("UNABLE_TO_LOCK_ROW") if record_id == _deal(2) and number < 3 else {"id": record_id, **GOOD}
                for record_id in _ids(asked)
            ]
        )

    service.says(answer)
    results = signed_in.client.update("Opportunity", [{"Id": _deal(n)} for n in (1, 2, 3)])
    assert all(result.success for result in results)
    assert [_ids(call) for call in service.calls[1:]] == [[_deal(2)]] * 3
    assert len(signed_in.waits) == 3


def test_a_record_that_stays_locked_may_be_tried_later(service: ScriptedSalesforce, signed_in: Door) -> None:
    service.says(lambda asked: Said(body=[_bad("UNABLE_TO_LOCK_ROW") for _ in _ids(asked)]))
    (result,) = signed_in.client.update("Opportunity", [{"Id": _deal(1)}])
    assert isinstance(result.error, ServiceUnavailable)
    assert len(service.calls) == 5


@pytest.mark.parametrize("message", ["Too many SOQL queries: 101", "x: System.LimitException: Apex CPU time limit exceeded"])
@pytest.mark.parametrize("whole", [True, False])
def test_what_is_too_much_for_the_org_s_triggers_is_cut_in_halves(
    service: ScriptedSalesforce, signed_in: Door, message: str, whole: bool
) -> None:
    def answer(asked: Asked) -> Said:
        ids = _ids(asked)
        if len(ids) <= 3:
            return Said(body=[{"id": record_id, **GOOD} for record_id in ids])
        if whole:
            return refused(500, "APEX_ERROR", message)
        return Said(body=[_bad("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", message) for _ in ids])

    service.says(answer)
    results = signed_in.client.update("Opportunity", [{"Id": _deal(n)} for n in range(10)])
    assert all(result.success for result in results)
    assert [len(_ids(call)) for call in service.calls] == [10, 5, 2, 3, 5, 2, 3]


def test_one_record_that_is_too_much_by_itself_is_refused(service: ScriptedSalesforce, signed_in: Door) -> None:
    service.says(lambda asked: Said(body=[_bad("CANNOT_EXECUTE_FLOW_TRIGGER", "Too many SOQL") for _ in _ids(asked)]))
    results = signed_in.client.update("Opportunity", [{"Id": _deal(n)} for n in range(4)])
    assert all(isinstance(result.error, RecordRefused) for result in results)
    assert len(service.calls) == 7


@pytest.mark.parametrize("trouble", [Said(cut="reset"), Said(503, "<html/>"), Said(200, [], cut="truncated")])
def test_an_update_whose_answer_is_lost_is_repeated(service: ScriptedSalesforce, signed_in: Door, trouble: Said) -> None:
    service.says(trouble, lambda asked: Said(body=[{"id": record_id, **GOOD} for record_id in _ids(asked)]))
    (result,) = signed_in.client.update("Opportunity", [{"Id": _deal(1)}])
    assert result.success
    assert len(service.calls) == 2


def test_what_was_done_is_told_although_a_later_call_fails(service: ScriptedSalesforce, signed_in: Door) -> None:
    first = lambda asked: Said(body=[{"id": record_id, **GOOD} for record_id in _ids(asked)])  # noqa: E731
    service.says(first, Said(cut="reset"))
    results = signed_in.client.update("Opportunity", [{"Id": _deal(n)} for n in range(6)], batch=2)
    assert [result.success for result in results] == [True, True, False, False, False, False]
    assert all(isinstance(result.error, OutcomeUnknown) for result in results[2:4])
    assert all(isinstance(result.error, ServiceUnavailable) for result in results[4:])


def test_an_update_that_fails_at_once_is_an_error(service: ScriptedSalesforce, signed_in: Door) -> None:
    service.says(refused(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."))
    with pytest.raises(ServiceUnavailable):
        signed_in.client.update("Opportunity", [{"Id": _deal(1)}])


def test_a_request_that_is_refused_for_one_record_is_sent_for_the_others(service: ScriptedSalesforce, signed_in: Door) -> None:
    def answer(asked: Asked) -> Said:
        if _deal(2) in _ids(asked):
            return refused(400, "JSON_PARSER_ERROR", "Cannot deserialize instance of double")
        return Said(body=[{"id": record_id, **GOOD} for record_id in _ids(asked)])

    service.says(answer)
    results = signed_in.client.update("Opportunity", [{"Id": _deal(n)} for n in range(4)])
    assert [result.success for result in results] == [True, True, False, True]


def test_a_result_that_is_missing_is_unknown(service: ScriptedSalesforce, signed_in: Door) -> None:
    service.says(Said(body=[{"id": _deal(2), **GOOD}]))
    results = signed_in.client.update("Opportunity", [{"Id": _deal(1)}, {"Id": _deal(2)}])
    assert isinstance(results[0].error, OutcomeUnknown)
    assert results[1].success


def test_a_record_given_twice_or_without_id_is_refused_before_any_call(service: ScriptedSalesforce, signed_in: Door) -> None:
    with pytest.raises(ValueError, match="twice"):
        signed_in.client.update("Opportunity", [{"Id": _deal(1)}, {"id": _deal(1)[:15]}])
    with pytest.raises(ValueError, match="without an id"):
        signed_in.client.update("Opportunity", [{"Name": "x"}])
    assert not service.calls
    assert signed_in.client.update("Opportunity", []) == []


def _task(number: int, **fields: object) -> dict[str, object]:
    return {"WhatId": _deal(number), "Subject": f"Invoice {number}: 61 days past due", **fields}


def _created(asked: Asked) -> Said:
    body = [{"id": "00T" + record["WhatId"][3:15], **GOOD} for record in asked.json["records"]]
    return Said(body=body)


def _there(*records: dict[str, object]) -> Said:
    found = [{"Id": f"00T{number:012d}", **record} for number, record in enumerate(records, start=1)]
    return Said(body={"totalSize": len(found), "done": True, "records": found})


SAME = ("WhatId", "Subject")


def test_a_create_looks_first_and_sends_only_what_is_not_there(service: ScriptedSalesforce, signed_in: Door) -> None:
    there = _task(2, Subject=" invoice 2:  61 DAYS past due ")
    service.says(_there(there, there, _task(1, Subject="Call them")), _created)
    due = date(2026, 4, 7)
    results = signed_in.client.create("Task", [_task(n, ActivityDate=due) for n in (1, 2, 3)], same_by=SAME)
    assert [(result.success, result.id) for result in results] == [
        (True, sandbox.to18("00T" + _deal(1)[3:15])),
        (True, sandbox.to18("00T000000000001")),
        (True, sandbox.to18("00T" + _deal(3)[3:15])),
    ]
    question, write = service.calls
    assert "FROM Task WHERE WhatId IN (" in question.params["q"]
    assert (write.method, write.path.partition("/composite/")[2]) == ("POST", "sobjects")
    assert write.json == {
        "allOrNone": False,
        "records": [{"attributes": {"type": "Task"}, **_task(n), "ActivityDate": "2026-04-07"} for n in (1, 3)],
    }


@pytest.mark.parametrize("trouble", [Said(cut="reset"), Said(503, "<html/>"), Said(200, [], cut="truncated"), Said(body=[])])
@pytest.mark.parametrize("arrived", [True, False])
def test_a_create_whose_answer_is_lost_is_looked_for_and_not_repeated(
    service: ScriptedSalesforce, signed_in: Door, trouble: Said, arrived: bool
) -> None:
    service.says(_there(), trouble, _there(_task(1)) if arrived else _there())
    (result,) = signed_in.client.create("Task", [_task(1)], same_by=SAME)
    assert result.success is arrived
    assert arrived or isinstance(result.error, OutcomeUnknown)
    assert [call.method for call in service.calls] == ["GET", "POST", "GET"]


def test_after_a_lost_answer_nothing_more_is_created(service: ScriptedSalesforce, signed_in: Door) -> None:
    service.says(_there(), _created, Said(cut="reset"), _there())
    results = signed_in.client.create("Task", [_task(n) for n in range(6)], same_by=SAME, batch=2)
    assert [result.success for result in results] == [True, True, False, False, False, False]
    assert all(isinstance(result.error, OutcomeUnknown) for result in results[2:4])
    assert all(isinstance(result.error, ServiceUnavailable) for result in results[4:])


def test_one_record_that_is_not_taken_does_not_keep_the_others_from_being_created(
    service: ScriptedSalesforce, signed_in: Door
) -> None:
    tries = iter(range(9))

    def answer(asked: Asked) -> Said:
        body = json.loads(_created(asked).body if isinstance(_created(asked).body, str) else json.dumps(_created(asked).body))
        for place, record in enumerate(asked.json["records"]):
            if record["WhatId"] == _deal(1):
                body[place] = _bad("INACTIVE_OWNER_OR_USER", "operation performed with inactive user")
            elif record["WhatId"] == _deal(2) and next(tries) < 2:
                body[place] = _bad("UNABLE_TO_LOCK_ROW")
        return Said(body=body)

    service.says(_there(), answer)
    results = signed_in.client.create("Task", [_task(n) for n in (1, 2, 3)], same_by=SAME)
    assert [result.success for result in results] == [False, True, True]
    assert (results[0].id, results[0].code) == ("", "INACTIVE_OWNER_OR_USER")
    assert [len(call.json["records"]) for call in service.calls[1:]] == [3, 1, 1]


def test_a_create_that_cannot_look_creates_nothing(service: ScriptedSalesforce, signed_in: Door) -> None:
    service.says(refused(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."))
    with pytest.raises(ServiceUnavailable):
        signed_in.client.create("Task", [_task(1)], same_by=SAME)
    assert {call.method for call in service.calls} == {"GET"}


@pytest.mark.parametrize(
    ("records", "words"),
    [([_task(1), _task(1)], "twice"), ([_task(1, Id="00T000000000001")], "no id"), ([{"Subject": "x"}], "needs WhatId")],
)
def test_what_cannot_be_told_apart_is_not_created(
    service: ScriptedSalesforce, signed_in: Door, records: list[dict[str, object]], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        signed_in.client.create("Task", records, same_by=SAME)
    assert not service.calls
    assert signed_in.client.create("Task", [], same_by=SAME) == []


# --- against the sandbox -------------------------------------------------------------------------------------------


def test_the_sandbox_is_described_queried_retrieved_and_updated(org: SandboxOrg) -> None:
    (account,) = org.put("Account", {"Name": "O'Brien & Söhne: \\ GmbH"})
    client = org.door().client
    described = client.describe(["Account", "CurrencyType", "Nonsense__c"])
    assert described["CurrencyType"] is None
    assert described["Nonsense__c"] is None
    assert described["Account"] is not None
    assert described["Account"].field("name") is not None
    assert client.query("SELECT Id FROM Account WHERE Name = 'O\\'Brien & Söhne: \\\\ GmbH'")[0]["Id"] == account
    missing = sandbox.to18("001000000000ZZZ")
    found_records = client.retrieve("Account", [account, missing], ["Name"])
    assert found_records[missing] is None
    assert (found_records[account] or {})["Name"] == "O'Brien & Söhne: \\ GmbH"
    results = client.update("Account", [{"Id": account, "QuickBooks_Customer_Id__c": "58"}, {"Id": missing, "Phone": "1"}])
    assert [result.success for result in results] == [True, False]
    assert (client.retrieve("Account", [account], ["QuickBooks_Customer_Id__c"])[account] or {})[
        "QuickBooks_Customer_Id__c"
    ] == "58"


def test_tasks_are_created_once_in_the_sandbox_and_closed(org: SandboxOrg) -> None:
    (account,) = org.put("Account", {"Name": "Acme"})
    (owner,) = org.put("User", {"Username": "ana@acme.example", "LastName": "Ruiz", "Email": "ana@acme.example"})
    client = org.door().client
    task = {
        "WhatId": account,
        "OwnerId": owner,
        "Subject": "Rechnung O'Brien 1045: 61 Tage überfällig",
        "ActivityDate": date(2026, 4, 7),
        "Description": "12,500.00 USD open",
        "Priority": "High",
    }
    (first,) = client.create("Task", [task], same_by=SAME)
    (again,) = org.door().client.create("Task", [task], same_by=SAME)
    assert first.success
    assert again == first
    (found,) = client.query("SELECT Id, Subject, Status, IsClosed, AccountId, ActivityDate FROM Task")
    assert (found["Id"], found["Subject"], found["IsClosed"], found["AccountId"]) == (first.id, task["Subject"], False, account)
    (closed,) = client.update("Task", [{"Id": first.id, "Status": "Completed"}])
    assert closed.success
    assert (client.retrieve("Task", [first.id], ["IsClosed"])[first.id] or {})["IsClosed"] is True


def test_a_validation_rule_refuses_one_record_in_the_admin_s_words(org: SandboxOrg) -> None:
    (account,) = org.put("Account", {"Name": "Acme"})
    sandbox.behave(org.store, {"validation_rule": {"type": "Account", "text": "Frag die Buchhaltung!"}})
    (result,) = org.door().client.update("Account", [{"Id": account, "Phone": "1"}])
    assert result.code == "FIELD_CUSTOM_VALIDATION_EXCEPTION"
    assert result.message == "Frag die Buchhaltung!"


def test_sessions_that_end_are_renewed(org: SandboxOrg) -> None:
    door = org.door()
    door.client.query("SELECT Id FROM Organization")
    sandbox.expire_all_sessions(org.store)
    door.client.query("SELECT Id FROM Organization")
    assert door.calls("login") == 2


def test_a_server_that_cannot_retrieve_by_id_is_queried(service: ScriptedSalesforce, signed_in: Door) -> None:
    ids = [_deal(number) for number in range(450)]
    service.says(
        lambda asked: refused(405, "METHOD_NOT_ALLOWED") if asked.method == "POST" else found({"Id": ids[7], "Name": "x"})
    )
    records = signed_in.client.retrieve("Opportunity", ids, ["Name"])
    assert records[ids[7]] == {"Id": ids[7], "Name": "x"}
    assert records[ids[8]] is None
    assert [call.method for call in service.calls] == ["POST", "GET", "GET", "GET"]


def test_a_composite_call_that_cannot_describe_is_no_proof_that_objects_are_lacking(
    service: ScriptedSalesforce, signed_in: Door
) -> None:
    composite = _composite(lambda _: (404, [{"errorCode": "NOT_FOUND", "message": ""}]))

    def answer(asked: Asked) -> Said:
        if asked.path.endswith("/composite"):
            return composite(asked)
        if "CurrencyType" in asked.path:
            return refused(404, "NOT_FOUND")
        return Said(body={"name": "Account", "fields": [{"name": "Id"}]})

    service.says(answer)
    described = signed_in.client.describe(["Account", "CurrencyType"])
    assert described["Account"] is not None
    assert described["CurrencyType"] is None
