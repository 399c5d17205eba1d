"""Error bodies of every shape, and what may be done next."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbsf_pipeline.errors import (
    AccessRefused,
    OutcomeUnknown,
    RecordRefused,
    ServiceError,
    ServiceUnavailable,
    StaleRecord,
)
from qbsf_pipeline.salesforce.answers import Fault, faults_in, meaning_of, row_error

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["errorCode", "message", "fields"]), inner),
    max_leaves=10,
)


def array(code: str, message: str = "text", **more: Any) -> list[dict[str, Any]]:
    return [{"errorCode": code, "message": message, **more}]


CASES = [
    # status, body, write, replayable, class, code, again
    (400, array("INVALID_FIELD", "No such column 'X'"), False, True, RecordRefused, "INVALID_FIELD", False),
    (400, array("MALFORMED_QUERY"), False, True, RecordRefused, "MALFORMED_QUERY", False),
    (400, array("QUERY_TIMEOUT"), False, True, ServiceUnavailable, "QUERY_TIMEOUT", True),
    (400, array("UNABLE_TO_LOCK_ROW"), True, False, ServiceUnavailable, "UNABLE_TO_LOCK_ROW", True),
    (
        400,
        array("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "X: UNABLE_TO_LOCK_ROW, unable to obtain"),
        True,
        True,
        ServiceUnavailable,
        "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
        True,
    ),
    (500, array("APEX_ERROR", "Apex CPU time limit exceeded"), True, True, RecordRefused, "APEX_ERROR", False),
    (
        403,
        array("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."),
        False,
        True,
        ServiceUnavailable,
        None,
        False,
    ),
    (
        403,
        array("REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (Concurrent API Requests) Limit exceeded."),
        False,
        True,
        ServiceUnavailable,
        None,
        True,
    ),
    (403, array("INSUFFICIENT_ACCESS"), False, True, RecordRefused, "INSUFFICIENT_ACCESS", False),
    (403, array("API_DISABLED_FOR_ORG"), False, True, AccessRefused, "API_DISABLED_FOR_ORG", False),
    (403, "Missing_OAuth_Token", False, True, AccessRefused, "http_403", False),
    (403, {"errorCode": "Missing_OAuth_Token"}, False, True, AccessRefused, "Missing_OAuth_Token", False),
    (404, array("NOT_FOUND"), False, True, RecordRefused, "NOT_FOUND", False),
    (404, "", False, True, RecordRefused, "http_404", False),
    (300, ["/services/data/v66.0/sobjects/Account/001A"], True, True, RecordRefused, "MULTIPLE_CHOICES", False),
    (302, "", False, True, AccessRefused, "http_302", False),
    (410, array("GONE"), False, True, AccessRefused, "GONE", False),
    (412, array("PRECONDITION_FAILED"), True, True, StaleRecord, "PRECONDITION_FAILED", False),
    (414, "<h1>Bad Message 414</h1><pre>reason: URI Too Long</pre>", False, True, RecordRefused, "http_414", False),
    (429, "", True, False, ServiceUnavailable, "http_429", True),
    (500, array("UNKNOWN_EXCEPTION"), False, True, ServiceUnavailable, "UNKNOWN_EXCEPTION", True),
    (500, array("UNKNOWN_EXCEPTION"), True, True, OutcomeUnknown, "UNKNOWN_EXCEPTION", True),
    (500, array("UNKNOWN_EXCEPTION"), True, False, OutcomeUnknown, "UNKNOWN_EXCEPTION", False),
    (503, "<html><body>Down for <b>maintenance</b></body></html>", False, True, ServiceUnavailable, "http_503", True),
    (503, "", True, False, OutcomeUnknown, "http_503", False),
]


@pytest.mark.parametrize(("status", "body", "write", "replayable", "kind", "code", "again"), CASES)
def test_the_service_s_own_code_decides_what_an_answer_means(
    status: int, body: Any, write: bool, replayable: bool, kind: type[ServiceError], code: str | None, again: bool
) -> None:
    meaning = meaning_of(status, body, write=write, replayable=replayable)
    assert type(meaning.error) is kind
    assert meaning.again is again
    if code is not None:
        assert meaning.error.code == code


def test_a_refusal_names_the_field() -> None:
    error = meaning_of(400, array("REQUIRED_FIELD_MISSING", fields=["LastName", "Name"]), write=True, replayable=True).error
    assert isinstance(error, RecordRefused)
    assert error.field == "LastName, Name"


def test_any_of_several_errors_may_decide() -> None:
    body = [*array("FIELD_CUSTOM_VALIDATION_EXCEPTION"), *array("UNABLE_TO_LOCK_ROW")]
    assert meaning_of(400, body, write=True, replayable=True).again


def test_markup_is_not_part_of_a_message() -> None:
    (fault,) = faults_in("<html><style>p {}</style><body><p>Down &amp; out</p></body></html>")
    assert fault.message == "Down & out"


def test_the_daily_limit_is_explained() -> None:
    error = meaning_of(403, array("REQUEST_LIMIT_EXCEEDED", "TotalRequests"), write=False, replayable=True).error
    assert "24 hours" in error.message


def test_rows_of_collections_are_read_by_their_status_code() -> None:
    faults = faults_in([{"statusCode": "STRING_TOO_LONG", "message": "too long", "fields": ["Name"]}])
    assert faults == [Fault("STRING_TOO_LONG", "too long", ("Name",))]
    assert isinstance(row_error(faults), RecordRefused)
    assert isinstance(row_error([Fault("UNABLE_TO_LOCK_ROW", "")]), ServiceUnavailable)
    assert isinstance(row_error([]), RecordRefused)


@given(status=st.integers(300, 599), body=anything, write=st.booleans(), replayable=st.booleans())
def test_no_body_breaks_the_reader(status: int, body: Any, write: bool, replayable: bool) -> None:
    meaning = meaning_of(status, body, write=write, replayable=replayable)
    assert isinstance(meaning.error, ServiceError)
    assert meaning.error.code
