from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from qbsf_pipeline.api_meter import ApiMeter
from qbsf_pipeline.errors import AccessRefused, ConfigurationError, ServiceError, ServiceUnavailable
from qbsf_pipeline.quickbooks.authorization import AnotherAnswer, Authorization, Consent
from qbsf_pipeline.quickbooks.connection import QuickBooksConnection
from qbsf_pipeline.settings import Environment
from qbsf_pipeline_tests.quickbooks.service import REALM, Answer, Reset, Service, answer
from qbsf_pipeline_tests.quickbooks.vault import FileVault

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
CALLBACK = "http://localhost:8765/callback"
GIVEN = {"access_token": "access-0", "refresh_token": "refresh-0", "expires_in": 3600, "x_refresh_token_expires_in": 8726400}


@pytest.fixture
def authorization(service: Service, vault: FileVault, environment_for) -> Authorization:
    return Authorization(environment_for(service.url), vault, ApiMeter(), CALLBACK, clock=lambda: NOW)


def state_of(authorization: Authorization) -> str:
    return parse_qs(urlsplit(authorization.url).query)["state"][0]


def redirected(authorization: Authorization, rest: str = f"code=AC1&realmId={REALM}") -> str:
    return f"{CALLBACK}?{rest}&state={state_of(authorization)}"


def test_the_page_is_asked_for_the_accounting_scope_with_a_state_of_its_own(authorization: Authorization) -> None:
    asked = {name: values[0] for name, values in parse_qs(urlsplit(authorization.url).query).items()}
    assert asked.pop("state") == state_of(authorization)
    assert len(state_of(authorization)) >= 32
    assert asked == {
        "client_id": "app",
        "response_type": "code",
        "scope": "com.intuit.quickbooks.accounting",
        "redirect_uri": CALLBACK,
    }


def test_two_attempts_have_two_states(service: Service, vault: FileVault, environment_for, authorization: Authorization) -> None:
    other = Authorization(environment_for(service.url), vault, ApiMeter(), CALLBACK)
    assert state_of(other) != state_of(authorization)
    with pytest.raises(AnotherAnswer):
        authorization.consent(redirected(other))


def test_a_pasted_address_may_have_spaces_around_it(authorization: Authorization) -> None:
    consent = authorization.consent(f"  {redirected(authorization)}\n")
    assert consent == Consent("AC1", REALM)
    assert "AC1" not in repr(consent)


@pytest.mark.parametrize("address", ["", "hello", CALLBACK, f"{CALLBACK}?code=AC1&realmId={REALM}", f"{CALLBACK}?state=é&code=1"])
def test_what_does_not_carry_the_state_is_left_alone(address: str, authorization: Authorization) -> None:
    with pytest.raises(AnotherAnswer):
        authorization.consent(address)


@pytest.mark.parametrize(
    ("rest", "code"),
    [
        ("error=access_denied", "access_denied"),
        ("error=invalid_scope", "invalid_scope"),
        ("error=something", "something"),
        (f"realmId={REALM}", "no_code"),
        ("code=AC1", "no_code"),
        ("code=AC1&realmId=../x", "no_code"),
    ],
)
def test_a_refusal_says_what_to_do(rest: str, code: str, authorization: Authorization) -> None:
    with pytest.raises(AccessRefused) as refused:
        authorization.consent(redirected(authorization, rest))
    assert refused.value.code == code


def test_the_code_becomes_tokens_that_are_stored_and_used(
    service: Service, vault: FileVault, environment_for, authorization: Authorization
) -> None:
    service.token_reply = lambda _: answer(GIVEN)
    authorization.exchange(authorization.consent(redirected(authorization)))
    (request,) = service.token_requests
    form = {name: values[0] for name, values in parse_qs(request.text).items()}
    assert form == {"grant_type": "authorization_code", "code": "AC1", "redirect_uri": CALLBACK}
    assert request.headers["x-include-refresh-token-hard-expires-in"] == "true"
    stored = vault.load(REALM)
    assert stored is not None
    assert (stored.access_token, stored.refresh_token, stored.first_token_hash) == ("access-0", "refresh-0", None)
    assert stored.access_expires_at == NOW + timedelta(hours=1)
    connection = QuickBooksConnection(environment_for(service.url), vault, ApiMeter(), clock=lambda: NOW)
    assert connection.access_token() == "access-0"
    assert len(service.token_requests) == 1


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        (
            answer({"error": "invalid_grant", "error_description": "Invalid authorization code"}, 400),
            AccessRefused,
            "start again",
        ),
        (answer({"error": "invalid_client"}, 401), AccessRefused, "QUICKBOOKS_CLIENT_SECRET"),
        (answer("<html>503</html>", 503), ServiceUnavailable, "HTTP 503"),
        (answer({"access_token": "a"}), ServiceUnavailable, "without a refresh token"),
        (answer({"refresh_token": "a"}), ServiceUnavailable, "without an access token"),
        (answer("no json", 200), ServiceUnavailable, "start again"),
        (None, ServiceUnavailable, "start again"),
    ],
)
def test_an_exchange_that_fails_keeps_nothing(
    said: Answer | None, kind: type[ServiceError], words: str, service: Service, vault: FileVault, authorization: Authorization
) -> None:
    def reply(_: object) -> Answer:
        if said is None:
            raise Reset
        return said

    service.token_reply = reply
    with pytest.raises(kind, match=words):
        authorization.exchange(Consent("AC1", REALM))
    assert vault.load(REALM) is None
    assert len(service.token_requests) == 1  # the code works once: it is not sent again


def test_keys_that_are_missing_are_named_before_any_call(vault: FileVault) -> None:
    with pytest.raises(ConfigurationError) as error:
        Authorization(Environment(), vault, ApiMeter(), CALLBACK)
    assert [line.split()[0] for line in error.value.problems] == ["QUICKBOOKS_CLIENT_ID", "QUICKBOOKS_CLIENT_SECRET"]
