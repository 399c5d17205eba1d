"""QuickBooks' error answers: the faults of the service, of the gateway in front of it, and of the token endpoint.

Belongs here: codes, texts and bodies of refusals. Does not belong here: deciding that something is refused.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import simplejson
from starlette.responses import Response

PACIFIC = ZoneInfo("America/Los_Angeles")
INACTIVE = (
    "Something you're trying to use has been made inactive. "
    "Check the fields with accounts, customers, items, vendors or employees."
)


class QuickBooksFault(Exception):
    """A refusal of the service, answered as `{"Fault": {"Error": [...], "type": ...}}`.

    `code` is Intuit's numeric code as text; `element` names the offending field where QuickBooks does so.
    """

    def __init__(
        self,
        code: str,
        message: str,
        detail: str | None,
        element: str | None = None,
        *,
        kind: str = "ValidationFault",
        status: int = 400,
    ) -> None:
        super().__init__(f"{code} {message}: {detail}")
        self.code = code
        self.message = message
        self.detail = detail
        self.element = element
        self.kind = kind
        self.status = status

    def body(self) -> dict[str, Any]:
        """The `Fault` object, without the envelope's `time`."""
        error: dict[str, Any] = {"Message": self.message, "code": self.code}
        if self.detail is not None:
            error["Detail"] = self.detail
        if self.element is not None:
            error["element"] = self.element
        return {"Error": [error], "type": self.kind}


def stale() -> QuickBooksFault:
    """5010: the SyncToken is not the current one."""
    detail = (
        "Stale Object Error : You and root were working on this at the same time. "
        "root finished before you did, so your work was not saved."
    )
    return QuickBooksFault("5010", "Stale Object Error", detail, "")


def duplicate_name(detail_id: str | None = None) -> QuickBooksFault:
    """6240: a name that is taken; `detail_id` is told for lists whose names stand alone (items, terms)."""
    detail = "The name supplied already exists. : "
    if detail_id is None:
        detail += "Another customer, vendor or employee is already using this name. Please use a different name."
    else:
        detail += f"null Id={detail_id}"
    return QuickBooksFault("6240", "Duplicate Name Exists Error", detail, "")


def duplicate_number(number: str, entity: str, txn_id: str) -> QuickBooksFault:
    """6140: the document number is taken."""
    detail = (
        "Duplicate Document Number Error : You must specify a different number. This number has already been used.  "
        f"DocNumber={number} is assigned to TxnType={entity} with TxnId={txn_id}"
    )
    return QuickBooksFault("6140", "Duplicate Document Number Error", detail, "")


def not_found() -> QuickBooksFault:
    """610: no such object."""
    return QuickBooksFault("610", "Object Not Found", f"Object Not Found : {INACTIVE}", "")


def inactive(element: str) -> QuickBooksFault:
    """610: the object referred to is inactive."""
    return QuickBooksFault("610", "Object Not Found", f"Object Not Found : {INACTIVE}", element)


def invalid_reference(kind: str, value: str, element: str) -> QuickBooksFault:
    """2500: the object referred to does not exist."""
    return QuickBooksFault("2500", "Invalid Reference Id", f"Invalid Reference Id : {kind} element id {value} not found", element)


def required(element: str) -> QuickBooksFault:
    """2020: a required parameter is missing."""
    return QuickBooksFault(
        "2020",
        "Required param missing, need to supply the required value for the API",
        f"Required parameter {element} is missing in the request",
        element,
    )


def unsupported_property(name: str) -> QuickBooksFault:
    """2010: an unknown property, a value of the wrong kind, or text that is not JSON."""
    return QuickBooksFault(
        "2010",
        "Request has invalid or unsupported property",
        f"Property Name:{name} is unsupported or invalid",
        "",
    )


def too_long(element: str, supported: int, supplied: int) -> QuickBooksFault:
    """2050: text that is longer than the field."""
    return QuickBooksFault(
        "2050",
        "Invalid String. String length specified does not match the supported length.",
        f"String length specified does not match the supported length. Min:0 Max:{supported:,} supported. "
        f"Supplied length:{supplied:,}",
        element,
    )


def invalid_characters(element: str) -> QuickBooksFault:
    """2040: characters that the field does not take."""
    return QuickBooksFault(
        "2040",
        "Invalid String. The string contains characters that are not supported",
        f"Invalid String : {element} cannot contain a colon, a tab or a new line.",
        element,
    )


def invalid_number(element: str, value: object) -> QuickBooksFault:
    """2090: not a number, or too large."""
    return QuickBooksFault("2090", "Invalid Number", f"Invalid Number : {value}", element)


def invalid_date(element: str, value: object) -> QuickBooksFault:
    """2080: not a date."""
    return QuickBooksFault("2080", "Invalid Date", f"Invalid Date : {value}", element)


def invalid_enumeration(element: str, value: object) -> QuickBooksFault:
    """2170: not one of the values."""
    return QuickBooksFault("2170", "Invalid Enumeration", f"Invalid Enumeration : {value}", element)


def invalid_email(element: str, address: str) -> QuickBooksFault:
    """2210: not an e-mail address."""
    return QuickBooksFault(
        "2210",
        "Invalid Email Address format",
        f"Email Address does not conform to the syntax rules of RFC 822. Supplied value:{address}",
        element,
    )


def invalid_currency(code: str) -> QuickBooksFault:
    """2220: a currency the company does not have."""
    return QuickBooksFault("2220", "Invalid Currency", f"Invalid Currency : {code} is not active", "CurrencyRef")


def negative_amount(element: str) -> QuickBooksFault:
    """2290: an amount that must not be negative."""
    return QuickBooksFault("2290", "Amount is negative", f"{element} cannot be negative", element)


def business(reason: str, element: str = "") -> QuickBooksFault:
    """6000: the reason stands only in the detail."""
    return QuickBooksFault(
        "6000",
        "A business validation error has occurred while processing your request",
        f"Business Validation Error: {reason}",
        element,
    )


def amount_mismatch() -> QuickBooksFault:
    """6070: Amount is not Qty times UnitPrice."""
    return QuickBooksFault(
        "6070",
        "Amount is not equal to UnitPrice * Qty",
        "Amount calculation incorrect in the request. : Amount is not equal to UnitPrice * Qty. Supplied value:",
        "",
    )


def period_closed() -> QuickBooksFault:
    """6200: dated on or before the closing date of the books."""
    return QuickBooksFault(
        "6200",
        "Account Period Closed, Cannot Update Through Services API",
        "The account period has closed and the account books cannot be updated through through the QBO Services API. "
        "Please use the QBO website to make these changes.",
        "",
    )


def cannot_link(txn_id: str) -> QuickBooksFault:
    """620: the transaction cannot be linked (another customer's, paid already, or of a wrong type)."""
    return QuickBooksFault(
        "620",
        "Transaction Id cannot be linked",
        f"Txn Id {txn_id} : the transaction does not exist, is paid already, or cannot be linked",
        "LinkedTxn",
    )


def unsupported_operation(operation: str) -> QuickBooksFault:
    """500: the entity does not have this operation."""
    return QuickBooksFault("500", "Unsupported Operation", f"Operation {operation} is not supported.", "", kind="ValidationFault")


def feature_off(feature: str) -> QuickBooksFault:
    """5030: the company has not switched the feature on."""
    return QuickBooksFault(
        "5030",
        "Feature Not Supported Error",
        f"Feature Not Supported Error : {feature} is not turned on for this company.",
        "",
    )


def query_parser(detail: str) -> QuickBooksFault:
    """4000: the statement cannot be parsed."""
    return QuickBooksFault("4000", "Error parsing query", f"QueryParserError: {detail}")


def query_validation(detail: str) -> QuickBooksFault:
    """4001: the statement asks for something that cannot be asked for."""
    return QuickBooksFault("4001", "Invalid query", f"QueryValidationError: {detail}")


def invalid_request_id(detail: str) -> QuickBooksFault:
    """2130: a request id or batch id of a wrong form."""
    return QuickBooksFault("2130", "Invalid Request Id Format", detail, "requestid")


def with_tid(response: Response) -> Response:
    """The response with the `intuit_tid` header that every answer of Intuit carries."""
    response.headers["intuit_tid"] = f"1-{uuid.uuid4().hex[:8]}-{uuid.uuid4().hex[:24]}"
    return response


def json_response(body: str, status: int = 200) -> Response:
    """A JSON answer of the service."""
    response = Response(body.encode(), status_code=status, headers={"content-type": "application/json;charset=UTF-8"})
    response.headers["qbo-version"] = "sandbox"
    return with_tid(response)


def encoded(body: Any) -> str:
    """JSON text; `Decimal` is written as the number it is."""
    return simplejson.dumps(body, use_decimal=True, ensure_ascii=False, separators=(",", ":"))


def envelope_time(moment: datetime) -> str:
    """The envelope's `time`: Pacific, with milliseconds."""
    return moment.astimezone(PACIFIC).isoformat(timespec="milliseconds")


def gateway_fault(status: int, code: str, name: str, kind: str, detail: str | None, moment: datetime) -> Response:
    """A refusal of the gateway, in its lower-case envelope."""
    error = {
        "message": f"message={name}; errorCode={code.zfill(6)}; statusCode={status}",
        "detail": detail,
        "code": code,
        "element": None,
    }
    body: dict[str, Any] = {
        "warnings": None,
        "intuitObject": None,
        "fault": {"error": [error], "type": kind},
        "report": None,
        "queryResponse": None,
        "batchItemResponse": [],
        "attachableResponse": [],
        "syncErrorResponse": None,
        "requestId": None,
        "time": int(moment.timestamp() * 1000),
        "status": None,
        "cdcresponse": [],
    }
    return json_response(encoded(body), status)


def token_expired() -> Response:
    """401, code 3200: the access token is expired, revoked or malformed."""
    return gateway_fault(401, "3200", "AuthenticationFailed", "AUTHENTICATION", "Token expired", datetime.now(UTC))


def wrong_realm() -> Response:
    """403, code 3100: the token is not for this company."""
    return gateway_fault(403, "3100", "ApplicationAuthorizationFailed", "SERVICE", None, datetime.now(UTC))


def throttled() -> Response:
    """429 as QuickBooks sends it: XML, whatever the client accepts."""
    body = (
        '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
        f'<IntuitResponse time="{envelope_time(datetime.now(UTC))}" xmlns="http://schema.intuit.com/finance/v3">'
        '<Fault type="SERVICE"><Error code="3001">'
        "<Message>message=ThrottleExceeded; errorCode=003001; statusCode=429</Message>"
        "<Detail>The request limit was reached.  Try again later</Detail></Error></Fault></IntuitResponse>"
    )
    response = Response(body.encode(), status_code=429, headers={"content-type": "application/xml;charset=UTF-8"})
    return with_tid(response)


def server_error() -> Response:
    """500 with a SystemFault 10000: nobody can tell from it whether a write was posted."""
    fault = QuickBooksFault(
        "10000",
        "An application error has occurred while processing your request",
        "System Failure Error: An unexpected error occurred while accessing or updating the data. Please wait a few "
        "minutes and try again.",
        "",
        kind="SystemFault",
        status=500,
    )
    return json_response(encoded({"Fault": fault.body(), "time": envelope_time(datetime.now(UTC))}), 500)
