from __future__ import annotations

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from qbsf_pipeline.sandbox.quickbooks import behave, expire_access_tokens
from qbsf_pipeline.sandbox.store import Store
from qbsf_pipeline_tests.sandbox.quickbooks.conftest import Books


@pytest.mark.parametrize("name", ["openid_sandbox_configuration", "openid_configuration/"])
def test_discovery_names_six_addresses_on_its_own_host(books: Books, name: str) -> None:
    document = requests.get(f"{books.url}/.well-known/{name}", timeout=5).json()
    keys = {"issuer", "authorization_endpoint", "token_endpoint", "userinfo_endpoint", "revocation_endpoint"}
    for key in keys | {"jwks_uri"}:
        assert document[key].startswith(books.url)


def test_every_refresh_answers_with_another_refresh_token(books: Books) -> None:
    answer = books.token(books.refresh_token)
    assert answer.json()["refresh_token"] != books.refresh_token
    assert answer.json()["expires_in"] == 3600
    assert answer.json()["x_refresh_token_expires_in"] == 8_726_400
    assert answer.json()["token_type"] == "bearer"
    assert answer.headers["intuit_tid"]


def test_the_previous_refresh_token_is_good_for_a_day_until_the_new_one_is_used(books: Books) -> None:
    first = books.refresh_token
    second = books.token(first).json()["refresh_token"]
    # An answer that was lost: the same request again is answered with the same new token.
    assert books.token(first).json()["refresh_token"] == second
    third = books.token(second).json()["refresh_token"]
    refused = books.token(first)
    assert refused.status_code == 400
    assert refused.json() == {
        "error": "invalid_grant",
        "error_description": "Incorrect or invalid refresh token",
    }
    assert books.token(second).json()["refresh_token"] == third
    books.clock.advance(timedelta(hours=24))
    assert books.token(second).status_code == 400
    assert books.token(third).status_code == 200


def test_with_strict_rotation_an_old_refresh_token_is_dead_at_once(books: Books) -> None:
    behave(books.store, strict_rotation=True)
    first = books.refresh_token
    second = books.token(first).json()["refresh_token"]
    assert books.token(first).json()["error"] == "invalid_grant"
    assert books.token(second).status_code == 200


def test_rotation_can_be_switched_off(books: Books) -> None:
    behave(books.store, rotate_refresh_tokens=False)
    for _ in range(3):
        assert books.token(books.refresh_token).json()["refresh_token"] == books.refresh_token


def test_a_refresh_token_that_is_not_used_for_101_days_is_dead(books: Books) -> None:
    books.clock.advance(timedelta(seconds=8_726_400))
    assert books.token(books.refresh_token).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"auth": ("someone", "else")}, 401, "invalid_client"),
        ({"auth": None}, 401, "invalid_client"),
        ({"data": {"grant_type": "refresh_token", "refresh_token": "made up"}}, 400, "invalid_grant"),
        ({"data": {"grant_type": "refresh_token"}}, 400, "invalid_grant"),
        ({"data": {"grant_type": "password"}}, 400, "unsupported_grant_type"),
        ({"data": None, "json": {"grant_type": "refresh_token"}}, 400, "invalid_request"),
    ],
)
def test_the_token_address_refuses_what_is_wrong(books: Books, change: dict, status: int, error: str) -> None:
    good = {
        "data": {"grant_type": "refresh_token", "refresh_token": books.refresh_token},
        "auth": (books.options.client_id, books.options.client_secret),
    }
    answer = requests.post(f"{books.url}/oauth2/v1/tokens/bearer", timeout=5, **{**good, **change})
    assert (answer.status_code, answer.json()["error"]) == (status, error)


def test_an_access_token_is_no_refresh_token(books: Books) -> None:
    assert books.token(books.access_token).json()["error_description"] == "Incorrect Token type or clientID"


def test_an_access_token_ends_after_an_hour(books: Books) -> None:
    books.clock.advance(timedelta(seconds=3599))
    assert books.call("GET", "preferences").status_code == 200
    books.clock.advance(timedelta(seconds=1))
    answer = books.call("GET", "preferences")
    assert answer.status_code == 401
    error = answer.json()["fault"]["error"][0]
    assert (error["code"], answer.json()["fault"]["type"]) == ("3200", "AUTHENTICATION")
    assert "statusCode=401" in error["message"]
    books.connect()
    assert books.call("GET", "preferences").status_code == 200


def test_access_tokens_can_be_ended_at_once(books: Books) -> None:
    expire_access_tokens(books.store)
    assert books.call("GET", "preferences").status_code == 401
    books.connect()
    assert books.call("GET", "preferences").status_code == 200


def test_another_company_is_forbidden(books: Books) -> None:
    answer = requests.get(
        f"{books.url}/v3/company/123/preferences",
        headers={"Authorization": f"Bearer {books.access_token}"},
        timeout=5,
    )
    assert answer.status_code == 403
    assert answer.json()["fault"]["error"][0]["code"] == "3100"


def test_revoking_ends_the_whole_connection(books: Books) -> None:
    auth = (books.options.client_id, books.options.client_secret)
    url = f"{books.url}/v2/oauth2/tokens/revoke"
    assert requests.post(url, json={"token": "made up"}, auth=auth, timeout=5).status_code == 400
    answer = requests.post(url, json={"token": books.refresh_token}, auth=auth, timeout=5)
    assert (answer.status_code, answer.content) == (200, b"")
    assert books.call("GET", "preferences").status_code == 401
    assert books.token(books.refresh_token).json()["error"] == "invalid_grant"
    assert books.token(books.options.refresh_token).json()["error"] == "invalid_grant"


def test_a_person_can_connect_and_the_code_works_once(books: Books) -> None:
    query = {
        "client_id": books.options.client_id,
        "response_type": "code",
        "scope": "com.intuit.quickbooks.accounting",
        "redirect_uri": "http://localhost:1/callback",
        "state": "xyz",
    }
    answer = requests.get(f"{books.url}/connect/oauth2", params=query, allow_redirects=False, timeout=5)
    told = {key: values[0] for key, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}
    assert (told["state"], told["realmId"]) == ("xyz", books.options.realm_id)
    form = {"grant_type": "authorization_code", "code": told["code"], "redirect_uri": query["redirect_uri"]}
    auth = (books.options.client_id, books.options.client_secret)
    url = f"{books.url}/oauth2/v1/tokens/bearer"
    first = requests.post(url, data=form, auth=auth, timeout=5)
    assert first.status_code == 200
    assert requests.post(url, data=form, auth=auth, timeout=5).json()["error"] == "invalid_grant"


def test_the_hard_end_of_a_connection_is_told_when_asked_for(books: Books) -> None:
    answer = requests.post(
        f"{books.url}/oauth2/v1/tokens/bearer",
        data={"grant_type": "refresh_token", "refresh_token": books.refresh_token},
        auth=(books.options.client_id, books.options.client_secret),
        headers={"x-include-refresh-token-hard-expires-in": "true"},
        timeout=5,
    )
    assert answer.json()["x_refresh_token_hard_expires_in"] == 157_680_000


def test_tokens_survive_a_restart(open_books, tmp_path) -> None:
    path = tmp_path / "sandbox.sqlite"
    before = open_books(store=Store(path))
    before.store.close()
    after = open_books(store=Store(path))
    after.access_token = before.access_token
    assert after.call("GET", "preferences").status_code == 200
    assert after.refresh_token == before.refresh_token
