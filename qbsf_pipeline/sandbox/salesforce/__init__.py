"""The sandbox's Salesforce: a strict local stand-in for the REST API of one org.

It does as the documented service does, down to error bodies, and is stricter where a careless client would get away with
something: unordered rows come shuffled, long child lists come in pages, unknown fields refuse the whole request.
Not emulated: sharing, territories, record types, Apex, flows, approval, Bulk API, HAVING, Person Accounts, a real lock
manager, users' time zones (date literals are UTC).
"""

from qbsf_pipeline.sandbox.salesforce.oauth import expire_all_sessions
from qbsf_pipeline.sandbox.salesforce.records import (
    SalesforceOptions,
    behave,
    close_deal,
    delete_record,
    enable,
    hide_field,
    hide_object,
    new_id,
    records_by_type,
    touch,
    upsert_records,
)
from qbsf_pipeline.sandbox.salesforce.schema import ApiError, to18
from qbsf_pipeline.sandbox.salesforce.service import routes, server_error, throttled, token_expired

__all__ = [
    "ApiError",
    "SalesforceOptions",
    "behave",
    "close_deal",
    "delete_record",
    "enable",
    "expire_all_sessions",
    "hide_field",
    "hide_object",
    "new_id",
    "records_by_type",
    "routes",
    "server_error",
    "throttled",
    "to18",
    "token_expired",
    "touch",
    "upsert_records",
]
