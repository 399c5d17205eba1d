from __future__ import annotations

import pytest

from qbsf_pipeline.sandbox.app import changed_options, endpoint_of
from qbsf_pipeline.sandbox.slack import SlackOptions

_QB = "/v3/company/9341450000000001"
_SF = "/services/data/v66.0"


@pytest.mark.parametrize(
    ("method", "path", "query", "body", "expected"),
    [
        ("POST", "/services/oauth2/token", "", b"", ("salesforce", "login")),
        ("GET", "/services/data", "", b"", ("salesforce", "versions")),
        ("GET", "/services/data/", "", b"", ("salesforce", "versions")),
        ("GET", _SF, "", b"", ("salesforce", "versions")),
        ("GET", f"{_SF}/query", "q=SELECT+Id", b"", ("salesforce", "query")),
        ("GET", f"{_SF}/query/01g-2000", "", b"", ("salesforce", "query")),
        ("GET", f"{_SF}/queryAll/", "q=x", b"", ("salesforce", "query")),
        ("GET", f"{_SF}/sobjects/Account/describe", "", b"", ("salesforce", "describe")),
        ("GET", f"{_SF}/sobjects", "", b"", ("salesforce", "describe")),
        ("POST", f"{_SF}/sobjects/Account", "", b"", ("salesforce", "record")),
        ("PATCH", f"{_SF}/sobjects/Account/001", "", b"", ("salesforce", "record")),
        ("POST", f"{_SF}/composite", "", b"", ("salesforce", "composite")),
        ("PATCH", f"{_SF}/composite/sobjects", "", b"", ("salesforce", "collections_update")),
        ("PATCH", f"{_SF}/composite/sobjects/Account/Ext__c", "", b"", ("salesforce", "collections_update")),
        ("POST", f"{_SF}/composite/sobjects", "", b"", ("salesforce", "collections_create")),
        ("POST", f"{_SF}/composite/sobjects/Account", "", b"", ("salesforce", "collections_retrieve")),
        ("GET", f"{_SF}/limits", "", b"", ("salesforce", "limits")),
        ("POST", "/oauth2/v1/tokens/bearer", "", b"", ("quickbooks", "token")),
        ("GET", "/.well-known/openid_sandbox_configuration", "", b"", ("quickbooks", "discovery")),
        ("POST", "/v2/oauth2/tokens/revoke", "", b"", ("quickbooks", "other")),
        ("GET", f"{_QB}/query", "query=x", b"", ("quickbooks", "query")),
        ("POST", f"{_QB}/query", "", b"select", ("quickbooks", "query")),
        ("POST", f"{_QB}/batch", "", b'{"Id":"1"}', ("quickbooks", "batch")),
        ("GET", f"{_QB}/cdc", "", b"", ("quickbooks", "cdc")),
        ("GET", f"{_QB}/invoice/12", "", b"", ("quickbooks", "read")),
        ("GET", f"{_QB}/preferences", "", b"", ("quickbooks", "read")),
        ("POST", f"{_QB}/invoice/12/send", "sendTo=a", b"", ("quickbooks", "send")),
        ("POST", f"{_QB}/invoice", "operation=void", b'{"Id":"1"}', ("quickbooks", "void")),
        ("POST", f"{_QB}/payment", "operation=update&include=void", b'{"Id":"1"}', ("quickbooks", "void")),
        ("POST", f"{_QB}/invoice", "operation=delete", b'{"Id":"1"}', ("quickbooks", "delete")),
        ("POST", f"{_QB}/invoice", "minorversion=75", b'{"Id":"1","sparse":true}', ("quickbooks", "update")),
        ("POST", f"{_QB}/invoice", "requestid=r", b'{"Line":[{"Id":"1"}]}', ("quickbooks", "create")),
        ("POST", f"{_QB}/invoice", "", b'{"Id":', ("quickbooks", "create")),
        ("GET", f"{_QB}/reports/AgedReceivables", "", b"", ("quickbooks", "report")),
        ("POST", "/api/chat.postMessage", "", b"", ("slack", "chat.postMessage")),
        ("GET", "/", "", b"", None),
        ("GET", "/_sandbox/calls", "", b"", None),
        ("GET", "/app/invoice", "txnId=1", b"", None),
        ("GET", "/lightning/r/Opportunity/006/view", "", b"", None),
    ],
)
def test_every_call_has_one_name(method: str, path: str, query: str, body: bytes, expected: tuple[str, str] | None):
    assert endpoint_of(method, path, query, body) == expected


def test_options_take_plain_json_values():
    changed = changed_options(SlackOptions(), {"rate_limit": False, "archived_channels": ["#finance"]})
    assert (changed.rate_limit, changed.archived_channels) == (False, ("#finance",))


def test_an_unknown_option_is_refused_with_the_ones_there_are():
    with pytest.raises(ValueError, match=r"no option colour; there are .*rate_limit"):
        changed_options(SlackOptions(), {"colour": 1})
