from __future__ import annotations

import jwt
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from qbsf_pipeline.sandbox.salesforce import SalesforceOptions
from qbsf_pipeline_tests.sandbox.salesforce.conftest import NOW

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PRIVATE = KEY.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
PUBLIC = KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.fixture
def options() -> SalesforceOptions:
    return SalesforceOptions(public_key=PUBLIC)


def _post(org, data, **kwargs):
    return requests.post(f"{org.url}/services/oauth2/token", data=data, **kwargs)


def test_client_credentials_answer_with_the_address_that_was_called(org):
    answer = org.login()
    assert answer["instance_url"] == org.url
    assert answer["token_type"] == "Bearer"
    assert answer["issued_at"] == str(int(NOW.timestamp() * 1000))
    assert "/id/00D" in answer["id"]
    assert "expires_in" not in answer
    assert "refresh_token" not in answer


def test_the_secret_may_come_in_the_form(org):
    form = {"client_id": org.options.client_id, "client_secret": org.options.client_secret}
    assert _post(org, {"grant_type": "client_credentials", **form}).status_code == 200


@pytest.mark.parametrize(
    ("data", "headers", "error"),
    [
        ({"grant_type": "client_credentials", "client_id": "x", "client_secret": "y"}, {}, "invalid_client_id"),
        ({"grant_type": "client_credentials", "client_id": "OK", "client_secret": "y"}, {}, "invalid_client"),
        ({"grant_type": "client_credentials"}, {"Authorization": "Basic !!"}, "invalid_client"),
        ({"grant_type": "client_credentials"}, {"X-Original-Host": "login.salesforce.com"}, "invalid_grant"),
        ({"grant_type": "password"}, {}, "invalid_grant"),
        ({"grant_type": "device"}, {}, "unsupported_grant_type"),
        ({}, {}, "unsupported_grant_type"),
    ],
)
def test_a_refused_login_is_an_object_with_400(org, data, headers, error):
    if data.get("client_id") == "OK":
        data = {**data, "client_id": org.options.client_id}
    answer = _post(org, data, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"] == error
    assert answer.json()["error_description"]


def _assertion(org, key=PRIVATE, **claims):
    expires = int(NOW.timestamp()) + 180
    said = {
        "iss": org.options.client_id,
        "sub": org.options.username,
        "aud": "https://login.salesforce.com",
        "exp": expires,
    }
    return jwt.encode({**said, **claims}, key, algorithm="RS256")


def _bearer(org, assertion):
    return _post(org, {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion})


@pytest.mark.parametrize("expires", [int(NOW.timestamp()) + 180, str(int(NOW.timestamp()) + 180)])
def test_an_assertion_may_say_its_end_as_a_number_or_as_text(org, expires):
    assert _bearer(org, _assertion(org, exp=expires)).status_code == 200


@pytest.mark.parametrize(
    ("claims", "error"),
    [
        ({"aud": "https://example.com"}, "invalid_grant"),
        ({"exp": int(NOW.timestamp()) - 1}, "invalid_grant"),
        ({"exp": int(NOW.timestamp()) + 3600}, "invalid_grant"),
        ({"exp": "soon"}, "invalid_grant"),
        ({"iss": "somebody"}, "invalid_client_id"),
        ({"sub": "nobody@example.com"}, "invalid_grant"),
    ],
)
def test_an_assertion_with_a_wrong_claim_is_refused(org, claims, error):
    answer = _bearer(org, _assertion(org, **claims))
    assert (answer.status_code, answer.json()["error"]) == (400, error)


def test_an_assertion_signed_by_another_key_is_refused(org):
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert _bearer(org, _assertion(org, key=other)).json()["error"] == "invalid_grant"


def test_a_session_ends_when_left_idle_and_not_while_used(org):
    org.advance(minutes=119)
    assert org.call("GET", "limits").status_code == 200
    org.advance(minutes=119)
    assert org.call("GET", "limits").status_code == 200
    org.advance(minutes=121)
    answer = org.call("GET", "limits")
    assert answer.status_code == 401
    assert answer.json() == [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]


@pytest.mark.parametrize("token", ["", "nonsense"])
def test_an_unknown_token_is_401(org, token):
    org.token = token
    assert org.call("GET", "limits").json()[0]["errorCode"] == "INVALID_SESSION_ID"


def test_all_sessions_can_be_ended_at_once(org):
    assert org.control("expire-sessions", {})["expired"] == 1
    assert org.call("GET", "limits").status_code == 401
    org.login()
    assert org.call("GET", "limits").status_code == 200
