"""What an answer of Salesforce means: error bodies of every shape become the exceptions of :mod:`qbsf_pipeline.errors`.

Pure. Salesforce's own code decides; the HTTP status only where there is no code (a proxy's or a maintenance page).
Shapes met: the REST array, a single object, OAuth's ``error`` object, the ``statusCode`` of collections, a list of
strings (300), HTML, nothing.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qbsf_pipeline.errors import (
    AccessRefused,
    OutcomeUnknown,
    RecordRefused,
    ServiceError,
    ServiceUnavailable,
    StaleRecord,
)

SYSTEM = "salesforce"

_LONGEST_MESSAGE = 1000
_AGAIN_CODES = {"UNABLE_TO_LOCK_ROW", "QUERY_TIMEOUT", "SERVER_UNAVAILABLE", "UNKNOWN_EXCEPTION"}
# Of these the service says itself that nothing was carried out.
_NOTHING_CHANGED_CODES = {"UNABLE_TO_LOCK_ROW", "QUERY_TIMEOUT"}
_ACCESS_CODES = {
    "INVALID_SESSION_ID": "a new access token is refused as well: look at the integration user (frozen, inactive, "
    "IP ranges of its profile) and at the app's session policy",
    "MISSING_OAUTH_TOKEN": "the access token did not arrive: look at proxies between here and Salesforce",
    "API_DISABLED_FOR_ORG": "give the integration user the permission 'API Enabled', in an edition with API access",
    "API_CURRENTLY_DISABLED": "the org's API access is switched off",
    "UNSUPPORTED_API_VERSION": "set SALESFORCE_API_VERSION to a version that the org has",
}


@dataclass(frozen=True)
class Fault:
    """One element of an error body: Salesforce's code, its text, and the fields it names."""

    code: str
    message: str
    fields: tuple[str, ...] = ()

    @property
    def is_lock(self) -> bool:
        """Somebody else holds the row (or a trigger met such a row): the same write works a moment later."""
        return self.code == "UNABLE_TO_LOCK_ROW" or "UNABLE_TO_LOCK_ROW" in self.message

    @property
    def is_governor_limit(self) -> bool:
        """The org's triggers ran out of their limits: fewer records in one request may pass."""
        text = self.message.lower()
        return any(sign in text for sign in ("too many soql", "too many dml", "cpu time limit", "too many query rows"))


@dataclass(frozen=True)
class Meaning:
    """An error, and whether the same call may be repeated at once (with a pause)."""

    error: ServiceError
    again: bool = False


def faults_in(content: Any) -> list[Fault]:
    """The faults of an error body of any shape. Never raises; never empty-handed for a non-empty body."""
    if isinstance(content, bytes):
        content = content.decode("utf-8", "replace")
    if isinstance(content, str):
        text = _as_text(content)
        return [Fault("", text)] if text else []
    if isinstance(content, dict):
        content = content["errors"] if isinstance(content.get("errors"), list) and content["errors"] else [content]
    if not isinstance(content, list):
        return []
    return [_fault(element) for element in content]


def _fault(element: Any) -> Fault:
    if not isinstance(element, dict):
        return Fault("MULTIPLE_CHOICES" if isinstance(element, str) else "", _shortened(str(element)))
    code = next((element[key] for key in ("errorCode", "statusCode", "error") if element.get(key)), "")
    message = next((element[key] for key in ("message", "error_description") if element.get(key)), "")
    fields = element.get("fields")
    named = tuple(str(field) for field in fields) if isinstance(fields, list) else ()
    return Fault(str(code), _shortened(str(message)), named)


def meaning_of(status: int, content: Any, *, write: bool, replayable: bool) -> Meaning:
    """What an answer with an error status (or an error inside a composite answer) means.

    Args:
        status: the HTTP status.
        content: the parsed body, or its text where it is not JSON.
        write: the call may change records, so a broken answer leaves its outcome unknown.
        replayable: carrying the call out twice is the same as once (reads, PATCH and DELETE by id).
    """
    faults = faults_in(content)
    first = faults[0] if faults else Fault("", "")
    code = first.code or f"http_{status}"
    message = first.message or f"HTTP {status} without a text"

    for fault in faults:
        remedy = _ACCESS_CODES.get(fault.code.upper())
        if remedy is not None:
            return Meaning(AccessRefused(SYSTEM, fault.code, f"{fault.message or fault.code} ({remedy})"))
        if fault.code in ("REQUEST_LIMIT_EXCEEDED", "LOGIN_RATE_EXCEEDED"):
            return _limit(fault)
        if fault.is_governor_limit:
            return Meaning(refusal(fault))
        if fault.is_lock:
            return Meaning(ServiceUnavailable(SYSTEM, fault.code or "UNABLE_TO_LOCK_ROW", fault.message), again=True)

    coded = next((fault for fault in faults if fault.code in _AGAIN_CODES), None)
    if coded is not None and coded.code in _NOTHING_CHANGED_CODES:
        return Meaning(ServiceUnavailable(SYSTEM, coded.code, coded.message), again=True)
    if status == 429:
        return Meaning(ServiceUnavailable(SYSTEM, code, message), again=True)
    if coded is not None or status >= 500:
        kind = OutcomeUnknown if write else ServiceUnavailable
        return Meaning(kind(SYSTEM, coded.code if coded else code, coded.message if coded else message), replayable)
    if status in (401, 407):
        return Meaning(AccessRefused(SYSTEM, code, message))
    if status == 403 and not first.code:
        return Meaning(AccessRefused(SYSTEM, code, f"{message} (something in front of Salesforce refuses the call)"))
    if status == 410:
        remedy = _ACCESS_CODES["UNSUPPORTED_API_VERSION"]
        return Meaning(AccessRefused(SYSTEM, code, f"{message} ({remedy})"))
    if status == 412:
        return Meaning(StaleRecord(SYSTEM, code, message))
    if 301 <= status < 400:
        remedy = "the address redirects; SALESFORCE_LOGIN_URL must be the org's own My Domain"
        return Meaning(AccessRefused(SYSTEM, code, f"{message} ({remedy})"))
    return Meaning(refusal(first, code=code, message=message))


def broken_answer(code: str, message: str, *, write: bool, replayable: bool) -> Meaning:
    """The connection broke, or the answer could not be read, after the request may have arrived."""
    kind = OutcomeUnknown if write else ServiceUnavailable
    return Meaning(kind(SYSTEM, code, message), replayable)


def refusal(fault: Fault, code: str | None = None, message: str | None = None) -> RecordRefused:
    """The refusal of one record or query."""
    field = ", ".join(fault.fields) or None
    return RecordRefused(SYSTEM, code or fault.code or "refused", message or fault.message, field)


def row_error(faults: Sequence[Fault]) -> ServiceError:
    """What the errors of one row of a collections answer mean, after all the tries that were worth it."""
    if not faults:
        return RecordRefused(SYSTEM, "refused", "Salesforce gave no reason")
    first = faults[0]
    if any(fault.is_lock for fault in faults):
        return ServiceUnavailable(SYSTEM, first.code, first.message)
    if first.code in ("UNKNOWN_EXCEPTION", "SERVER_UNAVAILABLE"):
        return OutcomeUnknown(SYSTEM, first.code, first.message)
    return refusal(first)


def _limit(fault: Fault) -> Meaning:
    if fault.code == "LOGIN_RATE_EXCEEDED":
        text = f"{fault.message} (more than 3,600 logins of the integration user in an hour; it works again later)"
        return Meaning(ServiceUnavailable(SYSTEM, fault.code, text))
    if "concurrent" in fault.message.lower():
        return Meaning(ServiceUnavailable(SYSTEM, fault.code, fault.message), again=True)
    text = (
        f"{fault.message} (the org's API calls of the last 24 hours are used up, by all its integrations together; "
        "Salesforce lets calls in again as the window moves, or buy more)"
    )
    return Meaning(ServiceUnavailable(SYSTEM, fault.code, text))


def _as_text(body: str) -> str:
    without_scripts = re.sub(r"(?is)<(script|style)\b.*?</\1\s*>", " ", body)
    return _shortened(" ".join(html.unescape(re.sub(r"(?s)<[^>]*>", " ", without_scripts)).split()))


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_MESSAGE else text[: _LONGEST_MESSAGE - 1] + "…"
