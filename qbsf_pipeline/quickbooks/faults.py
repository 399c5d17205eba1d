"""What an answer of QuickBooks means: every shape of error, read into the kinds of :mod:`qbsf_pipeline.errors`.

QuickBooks' service answers ``{"Fault": {"Error": [...]}}``, the gateway before it ``{"fault": {"error": [...]}}`` or XML,
the network before that HTML or nothing; and HTTP 200 may carry a Fault. Belongs here: reading answers. Does not belong
here: sending, waiting, repeating (client).

Codes: Intuit's error list; see also "A 500, a timeout and 502 to 504 on a write may have posted", which is why those are
:class:`OutcomeUnknown` for writes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests
from urllib3 import exceptions as transport

from qbsf_pipeline.errors import (
    AccessRefused,
    OutcomeUnknown,
    RecordRefused,
    ServiceError,
    ServiceUnavailable,
    StaleRecord,
)
from qbsf_pipeline.money import parse_json

SYSTEM = "quickbooks"

#: The access token is expired, revoked or malformed: a new one may help.
TOKEN_CODES = frozenset({"3200", "3202"})
#: A person must act: connection, permissions, subscription.
ACCESS_CODES = frozenset({"100", "110", "120", "3100", "5020", "6190"})
THROTTLE_CODES = frozenset({"3001"})
#: The company's edition or preferences lack the feature that this one record uses.
FEATURE_CODES = frozenset({"5030"})
#: Wrong cluster, company locked, company under maintenance: refused before anything was done.
CLOSED_CODES = frozenset({"130", "140", "150"})
STALE_CODES = frozenset({"5010"})
#: 600: this request id was seen before, so an earlier sending of the same write may have been carried out.
REPEATED_CODES = frozenset({"600"})
#: QuickBooks failed while working.
SEVERE_FROM = 10000

_REMEDIES = {
    "3100": (
        "QuickBooks does not let this app into company {realm}. Either QUICKBOOKS_REALM_ID is not the company that was "
        "connected, or the app's keys are those of the other environment (QUICKBOOKS_ENVIRONMENT: development keys open "
        "sandbox companies only), or it is not a QuickBooks Online company (QuickBooks Desktop is not supported)"
    ),
    "120": (
        "the person who connected QuickBooks has lost access to the company, or may not do this. Let a company admin "
        "connect again and put the new refresh token in QUICKBOOKS_REFRESH_TOKEN"
    ),
    "6190": "the QuickBooks subscription of this company has ended or is suspended: renew it in QuickBooks",
    "5020": "the person who connected QuickBooks may not do this there: let a company admin connect again",
}
_CONNECT_AGAIN = "QuickBooks refuses the connection: connect again and put the new refresh token in QUICKBOOKS_REFRESH_TOKEN"
_XML_CODE = re.compile(r"<Error\b[^>]*\bcode\s*=\s*[\"']?(\w+)", re.IGNORECASE)
_XML_MESSAGE = re.compile(r"<Message>(.*?)</Message>", re.IGNORECASE | re.DOTALL)
_XML_DETAIL = re.compile(r"<Detail>(.*?)</Detail>", re.IGNORECASE | re.DOTALL)
_LONGEST_TEXT = 1000


class Throttled(ServiceUnavailable):
    """QuickBooks asks to slow down; nothing was carried out.

    Attributes:
        retry_after: seconds to wait, where QuickBooks said so.
    """

    def __init__(self, code: str, message: str, tid: str | None, retry_after: float | None) -> None:
        super().__init__(SYSTEM, code, message, tid)
        self.retry_after = retry_after


class TokenRefused(AccessRefused):
    """The access token was not taken, and nothing was carried out: one new token may help."""


@dataclass(frozen=True)
class Fault:
    """One error as QuickBooks named it: ``code`` as text ("" where there was none)."""

    code: str
    message: str
    detail: str = ""
    element: str | None = None
    kind: str = ""

    @property
    def text(self) -> str:
        """Message and detail for people, without saying the same twice."""
        if not self.detail or self.detail == self.message:
            return self.message or self.kind or f"error {self.code}"
        if self.detail.startswith(self.message):
            return self.detail
        return f"{self.message}: {self.detail}"


def fault_in(body: Any) -> Fault | None:
    """The fault of a parsed JSON answer or batch item, in either envelope; ``None`` where there is none."""
    if not isinstance(body, Mapping):
        return None
    fault = body.get("Fault")
    if not isinstance(fault, Mapping):
        fault = body.get("fault")
    if not isinstance(fault, Mapping):
        return None
    kind = _text(fault.get("type"))
    errors = fault.get("Error", fault.get("error"))
    found = [
        Fault(
            code=_code(_either(error, "code", "Code")),
            message=_text(_either(error, "Message", "message")),
            detail=_text(_either(error, "Detail", "detail")),
            element=_text(_either(error, "element", "Element")) or None,
            kind=kind,
        )
        for error in (errors if isinstance(errors, list) else [errors])
        if isinstance(error, Mapping)
    ]
    if not found:
        return Fault("", "", kind=kind or "Fault")
    if len(found) == 1:
        return found[0]
    return Fault(found[0].code, found[0].message, "; ".join(each.text for each in found), found[0].element, kind)


def fault_in_xml(text: str) -> Fault | None:
    """The fault of an XML answer; the gateway answers so whatever the client accepts."""
    code = _XML_CODE.search(text)
    if code is None:
        return None
    message, detail = _XML_MESSAGE.search(text), _XML_DETAIL.search(text)
    return Fault(_code(code.group(1)), message.group(1).strip() if message else "", detail.group(1).strip() if detail else "")


def error_of_fault(fault: Fault, *, write: bool, status: int, realm: str, tid: str | None = None) -> ServiceError:
    """The error that a fault means for a read or a write."""
    code = fault.code or _code_of_kind(fault.kind) or str(status)
    text = fault.text[:_LONGEST_TEXT]
    if code in THROTTLE_CODES or status == 429:
        return Throttled(code, text, tid, None)
    if code in TOKEN_CODES or (status == 401 and code not in ACCESS_CODES):
        # The detail of 3200 repeats the access token, which must not get into a log.
        return TokenRefused(SYSTEM, code, f"{fault.message or 'the access token is refused'}", tid)
    if code in ACCESS_CODES or (status == 403 and fault.kind.lower() != "validationfault" and code not in FEATURE_CODES):
        remedy = _REMEDIES.get(code, _CONNECT_AGAIN).format(realm=realm)
        said = fault.message if code in ("100", "110", "3100") else text
        return AccessRefused(SYSTEM, code, f"{remedy} (QuickBooks said: {said})", tid)
    if code in CLOSED_CODES:
        return ServiceUnavailable(SYSTEM, code, text, tid)
    if code in STALE_CODES:
        return StaleRecord(SYSTEM, code, text, fault.element, tid)
    if status >= 500 or _is_severe(code) or fault.kind.lower() == "systemfault" or code in REPEATED_CODES:
        return _lost(code, text, tid, write=write)
    return RecordRefused(SYSTEM, code, text, fault.element, tid)


def error_of_answer(response: requests.Response, *, write: bool, realm: str) -> ServiceError | None:
    """The error that an HTTP answer means; ``None`` for JSON without a fault on a status of 2xx."""
    status = response.status_code
    tid = reference_of(response)
    body: Any = None
    try:
        body = parse_json(response.content)
    except ValueError:
        parsed = False
    else:
        parsed = isinstance(body, Mapping)
    fault = fault_in(body) if parsed else fault_in_xml(_head(response))
    if fault is not None:
        error = error_of_fault(fault, write=write, status=status, realm=realm, tid=tid)
        if isinstance(error, Throttled):
            error.retry_after = retry_after_of(response)
        return error
    if 200 <= status < 300:
        if parsed:
            return None
        return _lost("unreadable", f"HTTP {status} with an answer that is not JSON", tid, write=write)
    text = f"HTTP {status} without an error that could be read ({_kind_of_body(response)})"
    if status == 429:
        return Throttled("429", text, tid, retry_after_of(response))
    if status == 401:
        return TokenRefused(SYSTEM, "401", text, tid)
    if status == 403:
        return AccessRefused(SYSTEM, "403", f"{_REMEDIES['3100'].format(realm=realm)} ({text})", tid)
    if status == 404:
        return AccessRefused(SYSTEM, "404", f"QuickBooks does not know this address: check QUICKBOOKS_API_URL ({text})", tid)
    if status >= 500 or status < 400 or status == 408:
        return _lost(str(status), text, tid, write=write)
    return RecordRefused(SYSTEM, str(status), text, None, tid)


def error_of_transport(error: requests.RequestException, *, write: bool) -> ServiceError:
    """The error that a broken connection means: nothing sent, or sent and the answer lost."""
    name = type(error).__name__
    if nothing_was_sent(error):
        return ServiceUnavailable(SYSTEM, "connection", f"QuickBooks cannot be reached ({name})")
    code = "timeout" if isinstance(error, requests.Timeout) else "connection"
    return _lost(code, f"the connection broke before QuickBooks had answered ({name})", None, write=write)


def nothing_was_sent(error: requests.RequestException) -> bool:
    """Whether a request provably never left: no name, no route, refused, no handshake."""
    if isinstance(error, requests.ConnectTimeout | requests.exceptions.InvalidURL | requests.exceptions.MissingSchema):
        return True
    cause: object = error.args[0] if error.args else None
    if isinstance(cause, transport.MaxRetryError):
        cause = cause.reason
    if isinstance(cause, transport.ProxyError):
        cause = cause.original_error
    if isinstance(cause, transport.NewConnectionError | transport.ConnectTimeoutError):
        return True
    # A certificate is refused in the handshake, before the request; other TLS errors may come while reading the answer.
    return isinstance(error, requests.exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error)


def reference_of(response: requests.Response) -> str | None:
    """Intuit's ``intuit_tid``, which its support asks for."""
    return response.headers.get("intuit_tid") or None


def retry_after_of(response: requests.Response) -> float | None:
    """Seconds of a ``Retry-After`` header; ``None`` where there is none (or a date, which Intuit does not send)."""
    value = response.headers.get("Retry-After", "").strip()
    return float(value) if value.isdigit() else None


def _lost(code: str, text: str, tid: str | None, *, write: bool) -> ServiceError:
    return OutcomeUnknown(SYSTEM, code, text, tid) if write else ServiceUnavailable(SYSTEM, code, text, tid)


def _is_severe(code: str) -> bool:
    return code.isdigit() and int(code) >= SEVERE_FROM


def _code_of_kind(kind: str) -> str:
    lowered = kind.lower()
    if lowered.startswith("authentication"):
        return "3200"
    # Intuit's own schema spells it AuthorizatonFault.
    return "100" if lowered.startswith("authoriza") else ""


def _code(value: Any) -> str:
    text = _text(value)
    return (text.lstrip("0") or "0") if text.isdigit() else text


def _text(value: Any) -> str:
    return "" if value is None or isinstance(value, Mapping | list) else str(value).strip()


def _either(error: Mapping[str, Any], *names: str) -> Any:
    return next((error[name] for name in names if error.get(name) is not None), None)


def _head(response: requests.Response) -> str:
    return response.content[:20_000].decode("utf-8", "replace")


def _kind_of_body(response: requests.Response) -> str:
    if not response.content:
        return "empty"
    return response.headers.get("Content-Type", "no content type").split(";")[0]
