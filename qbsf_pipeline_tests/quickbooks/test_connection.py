from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
import textwrap
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from qbsf_pipeline.api_meter import ApiMeter, CallKind
from qbsf_pipeline.errors import AccessRefused, ConfigurationError, ServiceUnavailable
from qbsf_pipeline.quickbooks.connection import QuickBooksConnection, StoredTokens
from qbsf_pipeline.settings import Environment
from qbsf_pipeline_tests.quickbooks.service import HTML, REALM, Answer, Reset, Service, answer
from qbsf_pipeline_tests.quickbooks.vault import FileVault

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def connect(service: Service, vault: FileVault, meter: ApiMeter, clock: Clock, environment_for):
    def build(refresh_token: str | None = "first", url: str | None = None) -> QuickBooksConnection:
        return QuickBooksConnection(environment_for(url or service.url, refresh_token), vault, meter, clock=clock)

    return build


def test_the_first_refresh_token_comes_from_the_environment_and_the_next_is_stored(service, vault, connect):
    assert connect().access_token() == "access-1"
    stored = vault.load(REALM)
    assert stored.refresh_token == "refresh-1"
    assert stored.access_expires_at == NOW + timedelta(hours=1)
    assert stored.refresh_hard_expires_at == NOW + timedelta(seconds=157680000)
    request = service.token_requests[0]
    assert request.headers["x-include-refresh-token-hard-expires-in"] == "true"
    assert request.headers["authorization"] == "Basic " + base64.b64encode(b"app:app-secret").decode()


def test_the_new_refresh_token_is_stored_before_the_access_token_is_given_out(service, vault, connect):
    order: list[str] = []

    class Watching(FileVault):
        def store(self, realm: str, tokens: StoredTokens) -> None:
            super().store(realm, tokens)
            order.append(tokens.refresh_token)

    connection = connect()
    connection._vault = Watching(vault.folder)
    order.append(connection.access_token())
    assert order == ["refresh-1", "access-1"]


@pytest.mark.parametrize(("minutes", "expected"), [(49, "access-1"), (50, "access-2"), (61, "access-2")])
def test_a_token_is_used_for_fifty_minutes(connect, clock, minutes, expected):
    connection = connect()
    connection.access_token()
    clock.now += timedelta(minutes=minutes)
    assert connection.access_token() == expected
    assert connect().access_token() == expected


def test_a_refused_token_is_replaced_once_for_all_threads(service, connect):
    connection = connect()
    refused = connection.access_token()
    got: list[str] = []
    threads = [threading.Thread(target=lambda: got.append(connection.access_token(refused))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(got) == {"access-2"}
    assert len(service.token_requests) == 2


def test_a_person_who_reconnected_is_believed_once_the_old_chain_is_dead(service, vault, connect, clock):
    connect().access_token()
    clock.now += timedelta(days=120)
    service.refresh_tokens = ["reconnected"]
    assert connect("reconnected").access_token() == "access-2"
    assert vault.load(REALM).refresh_token == "refresh-2"
    assert vault.load(REALM).first_token_hash == hashlib.sha256(b"reconnected").hexdigest()


def test_the_stored_chain_is_preferred_to_the_variable(service, vault, connect, clock):
    connect().access_token()
    clock.now += timedelta(hours=2)
    assert connect("something else").access_token() == "access-2"
    assert vault.load(REALM).refresh_token == "refresh-2"


def test_a_dead_chain_says_what_to_do_and_asks_intuit_once(service, vault, connect, clock):
    connection = connect()
    connection.access_token()
    clock.now += timedelta(days=120)
    service.refresh_tokens = ["somebody else's"]
    for _ in range(3):
        with pytest.raises(AccessRefused, match="QUICKBOOKS_REFRESH_TOKEN") as refused:
            connection.access_token()
        assert refused.value.code == "invalid_grant"
    assert len(service.token_requests) == 2
    assert vault.load(REALM).refresh_token == "refresh-1"


def test_without_any_refresh_token_a_person_is_told_to_connect(service, connect):
    with pytest.raises(AccessRefused, match="QUICKBOOKS_REFRESH_TOKEN"):
        connect(None).access_token()
    assert service.token_requests == []


def test_a_lost_answer_is_asked_for_once_more_with_the_same_token(service, vault, connect):
    lost = []

    def lose_first(request):
        if not lost:
            lost.append(request.text)
            raise Reset
        return

    service.token_reply = lose_first
    assert connect().access_token() == "access-1"
    assert [request.text for request in service.token_requests] == lost * 2


def test_answers_that_stay_lost_make_the_service_unavailable_after_two(service, vault, connect):
    def lose(_request):
        raise Reset

    service.token_reply = lose
    with pytest.raises(ServiceUnavailable):
        connect().access_token()
    assert len(service.token_requests) == 2
    assert vault.load(REALM) is None


@pytest.mark.parametrize(
    ("reply", "error", "words"),
    [
        (answer({"error": "invalid_client"}, 401), AccessRefused, "QUICKBOOKS_CLIENT_SECRET"),
        (Answer(b"", 401, {}), AccessRefused, "QUICKBOOKS_CLIENT_ID"),
        (answer({"error": "unauthorized_client"}, 400), AccessRefused, "QUICKBOOKS_CLIENT_ID"),
        (answer({"error": "invalid_request"}, 400), AccessRefused, "QUICKBOOKS_REFRESH_TOKEN"),
        (HTML, ServiceUnavailable, "503"),
        (answer({}, 429), ServiceUnavailable, "429"),
        (answer({}, 302, Location="https://example.com/"), ServiceUnavailable, "302"),
        (answer({"token_type": "bearer"}), ServiceUnavailable, "without an access token"),
        (answer("<html>", 200), ServiceUnavailable, "did not answer"),
    ],
)
def test_each_refusal_of_the_token_service_says_what_it_is(service, vault, connect, reply, error, words):
    service.token_reply = lambda _request: reply
    with pytest.raises(error, match=words):
        connect().access_token()
    assert vault.load(REALM) is None


def test_a_token_service_that_is_not_there_is_unavailable(connect, service):
    service.stop()
    with pytest.raises(ServiceUnavailable):
        connect().access_token()


def test_a_discovery_document_must_not_send_the_secret_elsewhere(service, connect, monkeypatch):
    plain = service.answer_to

    def elsewhere(request):
        if request.path.startswith("/.well-known"):
            names = ("issuer", "authorization_endpoint", "userinfo_endpoint", "revocation_endpoint", "jwks_uri")
            return answer(dict.fromkeys(names, "x") | {"token_endpoint": "http://tokens.example.com/bearer"})
        return plain(request)

    monkeypatch.setattr(service, "answer_to", elsewhere)
    with pytest.raises(ConfigurationError, match="QUICKBOOKS_DISCOVERY_URL"):
        connect().access_token()


def test_a_missing_variable_is_named_before_any_call(vault, meter):
    with pytest.raises(ConfigurationError, match="QUICKBOOKS_CLIENT_SECRET"):
        QuickBooksConnection(
            Environment(quickbooks_client_id="a", quickbooks_realm_id=REALM, quickbooks_refresh_token=SecretStr("x")),
            vault,
            meter,
        )


def test_calls_to_the_token_service_are_counted_but_not_metered(connect, meter):
    connect().access_token()
    assert meter.totals() == {CallKind("quickbooks", "discovery", False): 1, CallKind("quickbooks", "token", False): 1}


def test_stored_tokens_do_not_show_themselves(connect, vault):
    connect().access_token()
    assert "refresh-1" not in repr(vault.load(REALM))
    assert "access-1" not in repr(vault.load(REALM))


def test_two_processes_that_refresh_at_once_end_with_one_good_chain(service, vault, tmp_path: Path):
    script = textwrap.dedent(
        f"""
        import sys
        from pathlib import Path
        from pydantic import SecretStr
        from qbsf_pipeline.api_meter import ApiMeter
        from qbsf_pipeline.quickbooks.connection import QuickBooksConnection
        from qbsf_pipeline.settings import Environment
        from qbsf_pipeline_tests.quickbooks.vault import FileVault
        environment = Environment(quickbooks_client_id="app", quickbooks_client_secret=SecretStr("s"),
            quickbooks_realm_id="{REALM}", quickbooks_refresh_token=SecretStr("first"),
            quickbooks_discovery_url="{service.url}/.well-known/openid_configuration")
        connection = QuickBooksConnection(environment, FileVault(Path({str(tmp_path)!r})), ApiMeter())
        sys.stdin.readline()
        token = connection.access_token()
        for _ in range(5):
            token = connection.access_token(refused=token)
        sys.stdout.write(token)
        """
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert all(process.returncode == 0 for process in processes)
    assert vault.load(REALM).refresh_token == service.refresh_tokens[-1]
    assert vault.load(REALM).access_token in outputs
