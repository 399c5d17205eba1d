"""The OAuth connection to one QuickBooks company: an access token whenever one is needed, and a chain of refresh tokens
that is never lost and never used by two at once.

A refresh answers with a *new* refresh token, and the old one dies soon after. So the new one is stored before anything
else is done with the answer, and only one process at a time refreshes. Belongs here: tokens. Does not belong here: calls
of the accounting API (client), where tokens are kept (state).
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from urllib.parse import urlsplit

import requests
from intuitlib.client import AuthClient
from intuitlib.exceptions import AuthClientError

from qbsf_pipeline.api_meter import ApiMeter
from qbsf_pipeline.errors import AccessRefused, ConfigurationError, ServiceUnavailable
from qbsf_pipeline.money import parse_json
from qbsf_pipeline.quickbooks.faults import SYSTEM, nothing_was_sent
from qbsf_pipeline.settings import Environment, checked_url

log = logging.getLogger(__name__)

#: Intuit's access tokens live 3600 seconds and its refresh tokens about 101 days; both are told by the token's answer.
ACCESS_SECONDS = 3600
#: A token is replaced when a sixth of its life is left: of one hour, after 50 minutes.
SPARE_SHARE = 6
TIMEOUT = (10, 60)

CONNECT_AGAIN = (
    "connect again (`qbsf connect quickbooks`), or put a new refresh token (from Intuit's OAuth playground, with the app's "
    "keys) in QUICKBOOKS_REFRESH_TOKEN"
)


@dataclass(frozen=True)
class StoredTokens:
    """The newest tokens of one company. Instants are aware UTC.

    Attributes:
        access_token: the bearer token of API calls.
        refresh_token: the only refresh token that is good from now on.
        access_expires_at: when the access token ends.
        refresh_expires_at: when the refresh token ends unless it is used (about 100 days), where Intuit told it.
        refresh_hard_expires_at: when the whole chain ends whatever happens (five years), where Intuit told it.
        first_token_hash: SHA-256 of the QUICKBOOKS_REFRESH_TOKEN that the chain began with; ``None`` when it began
            with a connection made by the program itself. Another value in the variable means: a person reconnected.
        updated_at: when these tokens were received.
    """

    access_token: str
    refresh_token: str
    access_expires_at: datetime
    refresh_expires_at: datetime | None
    refresh_hard_expires_at: datetime | None
    first_token_hash: str | None
    updated_at: datetime

    def __repr__(self) -> str:
        return f"StoredTokens(access_expires_at={self.access_expires_at}, updated_at={self.updated_at})"


class TokenVault(Protocol):
    """Keeps the tokens of each company, for every process of this installation."""

    def load(self, realm: str) -> StoredTokens | None:
        """The newest tokens stored by any process; ``None`` when there are none."""
        ...

    def store(self, realm: str, tokens: StoredTokens) -> None:
        """Replace the tokens; committed to disk when this returns."""
        ...

    def exclusive(self, realm: str) -> AbstractContextManager[object]:
        """A lock that only one thread of one process holds, and that ends with its process however that ends."""
        ...


class QuickBooksConnection:
    """Gives access tokens for the company in ``QUICKBOOKS_REALM_ID``. Threads and processes may share a vault.

    Args:
        environment: app keys, company, first refresh token, discovery address.
        tokens: where tokens are kept.
        meter: counts the calls to Intuit's token service.
        clock: now, aware UTC.

    Raises:
        ConfigurationError: app keys or company are not set.
    """

    def __init__(
        self,
        environment: Environment,
        tokens: TokenVault,
        meter: ApiMeter,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        wanted = {
            "QUICKBOOKS_CLIENT_ID": environment.quickbooks_client_id,
            "QUICKBOOKS_CLIENT_SECRET": environment.quickbooks_client_secret,
            "QUICKBOOKS_REALM_ID": environment.quickbooks_realm_id,
        }
        missing = [f"{name} is not set: QuickBooks cannot be reached without it" for name, v in wanted.items() if not v]
        if missing:
            raise ConfigurationError(missing)
        self.realm = str(environment.quickbooks_realm_id)
        self._environment = environment
        self._vault = tokens
        self._meter = meter
        self._clock = clock
        self._lock = threading.Lock()
        self._current: StoredTokens | None = None
        self._auth: MeteredAuthClient | None = None
        # What was refused for good, so that a pass with a hundred calls asks Intuit once and not a hundred times.
        self._dead: tuple[frozenset[str], AccessRefused] | None = None

    def access_token(self, refused: str | None = None) -> str:
        """An access token that should be taken: the stored one while it is young, else a new one.

        Args:
            refused: an access token that QuickBooks has just refused; it is not given again.

        Raises:
            AccessRefused: there is no refresh token that Intuit takes, or the app's keys are wrong; says what to do.
            ServiceUnavailable: Intuit's token service cannot be reached or does not answer as it should.
        """
        current = self._current
        if current is not None and self._is_good(current, refused):
            return current.access_token
        with self._lock, self._vault.exclusive(self.realm):
            # Another thread or process may have refreshed while this one waited.
            stored = self._vault.load(self.realm)
            if stored is None or not self._is_good(stored, refused):
                stored = self._refreshed(stored)
            self._current = stored
            return stored.access_token

    def _is_good(self, tokens: StoredTokens, refused: str | None) -> bool:
        if not tokens.access_token or tokens.access_token == refused:
            return False
        spare = (tokens.access_expires_at - tokens.updated_at) / SPARE_SHARE
        return self._clock() < tokens.access_expires_at - spare

    def _refreshed(self, stored: StoredTokens | None) -> StoredTokens:
        """New tokens, already stored. Called under the lock."""
        secret = self._environment.quickbooks_refresh_token
        first = secret.get_secret_value().strip() if secret is not None else ""
        first_hash = _hash(first) if first else None
        candidates: list[tuple[str, str | None]] = []
        if stored is not None:
            candidates.append((stored.refresh_token, stored.first_token_hash))
        if first and (stored is None or (first_hash != stored.first_token_hash and first != stored.refresh_token)):
            candidates.append((first, first_hash))
        if not candidates:
            raise AccessRefused(SYSTEM, "not_connected", f"QuickBooks is not connected: {CONNECT_AGAIN}")
        tried = frozenset(_hash(token) for token, _ in candidates)
        if self._dead is not None and self._dead[0] == tried:
            # Raised as a copy: one exception object must not collect the tracebacks of many threads.
            known = self._dead[1]
            raise AccessRefused(known.system, known.code, known.message, known.request_reference)
        refusal = InvalidGrant("", None)
        for refresh_token, chain_hash in candidates:
            answer = self._refresh_answer(refresh_token)
            if isinstance(answer, InvalidGrant):
                log.warning("quickbooks: a refresh token of company %s is refused (invalid_grant)", self.realm)
                refusal = answer
                continue
            tokens = tokens_of(answer, refresh_token, chain_hash, self._clock())
            self._vault.store(self.realm, tokens)
            log.info("quickbooks: refreshed the connection of company %s", self.realm)
            self._dead = None
            return tokens
        message = (
            f"Intuit does not take the refresh token of company {self.realm} any more ({refusal.description}): {CONNECT_AGAIN}"
        )
        error = AccessRefused(SYSTEM, "invalid_grant", message, refusal.tid)
        self._dead = (tried, error)
        raise error

    def _refresh_answer(self, refresh_token: str) -> dict[str, Any] | InvalidGrant:
        """One refresh; repeated once with the same token when its answer was lost, for Intuit takes the previous token
        for some time after it has given out a new one."""
        try:
            return self._refresh_once(refresh_token)
        except requests.RequestException as error:
            if nothing_was_sent(error):
                raise unreachable(error) from error
            log.warning("quickbooks: the answer to a refresh was lost (%s); asking once more", type(error).__name__)
        try:
            return self._refresh_once(refresh_token)
        except requests.RequestException as error:
            raise unreachable(error) from error

    def _refresh_once(self, refresh_token: str) -> dict[str, Any] | InvalidGrant:
        auth = self._auth_client()
        # The library writes the answer onto the object: what an earlier answer left there must not pass for this one's.
        for name in _ANSWER:
            setattr(auth, name, None)
        try:
            auth.refresh(refresh_token=refresh_token)
        except AuthClientError as error:
            return token_refusal(error, self._environment)
        return token_answer(auth)

    def _auth_client(self) -> MeteredAuthClient:
        if self._auth is None:
            self._auth = auth_client(self._environment, self._meter)
        return self._auth


_ANSWER = (
    "access_token",
    "refresh_token",
    "expires_in",
    "x_refresh_token_expires_in",
    "x_refresh_token_hard_expires_in",
)


@dataclass(frozen=True)
class InvalidGrant:
    """The token service does not take a refresh token or an authorisation code (any more)."""

    description: str
    tid: str | None


class MeteredAuthClient(AuthClient):  # type: ignore[misc]
    """Intuit's own OAuth client, with time limits (it has none) and counted."""

    def __init__(self, meter: ApiMeter, client_id: str | None, client_secret: str, where: str, redirect_uri: str) -> None:
        self._meter = meter
        super().__init__(client_id, client_secret, redirect_uri, where)
        # Since November 2025 Intuit tells the end of the whole chain to those who ask.
        self.headers["x-include-refresh-token-hard-expires-in"] = "true"

    def request(self, method: str, url: str, **kwargs: Any) -> requests.Response:
        kwargs.setdefault("timeout", TIMEOUT)
        if method.upper() != "GET":
            # A redirected POST would become a GET and leave the refresh token's fate open.
            kwargs["allow_redirects"] = False
        self._meter.count(SYSTEM, "discovery" if method.upper() == "GET" else "token", metered=False)
        response: requests.Response = super().request(method, url, **kwargs)
        return response


def auth_client(environment: Environment, meter: ApiMeter, redirect_uri: str = "") -> MeteredAuthClient:
    """Intuit's OAuth client for the app of ``environment``; reads the discovery document.

    Raises:
        ServiceUnavailable: the document cannot be had, or is not what it should be.
        ConfigurationError: it names a token endpoint to which no secret may be sent.
    """
    secret = environment.quickbooks_client_secret
    where = environment.quickbooks_discovery_url or environment.quickbooks_environment
    try:
        auth = MeteredAuthClient(
            meter,
            environment.quickbooks_client_id,
            secret.get_secret_value() if secret is not None else "",
            where,
            redirect_uri,
        )
    except AuthClientError as error:
        text = f"Intuit's OAuth discovery document cannot be read (HTTP {error.status_code})"
        raise ServiceUnavailable(SYSTEM, str(error.status_code), text, error.intuit_tid) from error
    except requests.RequestException as error:
        raise unreachable(error) from error
    except (KeyError, TypeError, ValueError) as error:
        text = "Intuit's OAuth discovery document is not what it should be; check QUICKBOOKS_DISCOVERY_URL"
        raise ServiceUnavailable(SYSTEM, "discovery", text) from error
    try:
        checked_url(str(auth.token_endpoint))
    except ValueError as error:
        host = urlsplit(str(auth.token_endpoint)).hostname
        raise ConfigurationError(
            [f"QUICKBOOKS_DISCOVERY_URL: its document names a token endpoint on {host} that {error}"]
        ) from error
    return auth


def token_refusal(error: AuthClientError, environment: Environment) -> InvalidGrant:
    """What a token service's error means: ``invalid_grant`` is returned, everything else raised.

    Raises:
        AccessRefused: the app's keys are wrong, or the request is refused for good.
        ServiceUnavailable: the token service does not work now.
    """
    try:
        body = parse_json(error.content)
    except ValueError:
        body = None
    body = body if isinstance(body, dict) else {}
    code = str(body.get("error") or "")
    description = str(body.get("error_description") or code)
    if code == "invalid_grant":
        return InvalidGrant(description, error.intuit_tid)
    status = int(error.status_code)
    if code in ("invalid_client", "unauthorized_client") or (status == 401 and not code):
        text = (
            "Intuit does not know the app: check QUICKBOOKS_CLIENT_ID and QUICKBOOKS_CLIENT_SECRET, and that they are the "
            f"keys for QUICKBOOKS_ENVIRONMENT={environment.quickbooks_environment}"
        )
        raise AccessRefused(SYSTEM, code or "401", text, error.intuit_tid) from error
    if status == 429 or status >= 500 or status < 400:
        text = f"Intuit's token service is not available (HTTP {status})"
        raise ServiceUnavailable(SYSTEM, str(status), text, error.intuit_tid) from error
    text = f"Intuit's token service refuses the request ({description or f'HTTP {status}'}): {CONNECT_AGAIN}"
    raise AccessRefused(SYSTEM, code or str(status), text, error.intuit_tid) from error


def token_answer(auth: MeteredAuthClient) -> dict[str, Any]:
    """What the token service answered last, as the library wrote it onto its client.

    Raises:
        ServiceUnavailable: there is no access token in it.
    """
    answer = {name: getattr(auth, name, None) for name in _ANSWER}
    if not isinstance(answer["access_token"], str) or not answer["access_token"]:
        raise ServiceUnavailable(SYSTEM, "token_answer", "Intuit's token service answered without an access token")
    return answer


def tokens_of(answer: dict[str, Any], refresh_token: str, first_hash: str | None, now: datetime) -> StoredTokens:
    """Tokens to be stored, from an answer of the token service.

    Args:
        answer: see :func:`token_answer`.
        refresh_token: the one that goes on where the answer names none.
        first_hash: see :class:`StoredTokens`.
        now: when the answer came, aware UTC.
    """
    return StoredTokens(
        access_token=str(answer["access_token"]),
        # The value stays the same for about a day; another implementation may leave it out then.
        refresh_token=str(answer["refresh_token"] or refresh_token),
        access_expires_at=now + timedelta(seconds=_seconds(answer["expires_in"]) or ACCESS_SECONDS),
        refresh_expires_at=_later(now, answer["x_refresh_token_expires_in"]),
        refresh_hard_expires_at=_later(now, answer["x_refresh_token_hard_expires_in"]),
        first_token_hash=first_hash,
        updated_at=now,
    )


def unreachable(error: requests.RequestException) -> ServiceUnavailable:
    """Intuit's token service did not answer."""
    return ServiceUnavailable(SYSTEM, "connection", f"Intuit's token service did not answer ({type(error).__name__})")


def _later(now: datetime, seconds: Any) -> datetime | None:
    found = _seconds(seconds)
    return None if found is None else now + timedelta(seconds=found)


def _seconds(value: Any) -> int | None:
    text = str(value).strip() if value is not None and not isinstance(value, bool) else ""
    return int(text) if text.isdigit() else None


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
