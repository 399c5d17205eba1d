"""Access tokens of Salesforce: the OAuth client credentials flow and the JWT bearer flow.

Both are asked of the org's own My Domain. A token has no stated end: it is used until the org refuses it
(:class:`qbsf_pipeline.salesforce.client.SalesforceClient` does that), and kept in a :class:`TokenCache` between processes,
because an org allows 3,600 logins of one user per hour.
"""

from __future__ import annotations

import base64
import hashlib
import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from urllib.parse import urlsplit

import jwt
import requests
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from qbsf_pipeline.errors import AccessRefused, ConfigurationError
from qbsf_pipeline.money import parse_json
from qbsf_pipeline.salesforce.answers import SYSTEM, Meaning, meaning_of
from qbsf_pipeline.settings import Environment, checked_url

logger = logging.getLogger(__name__)

TOKEN_PATH = "/services/oauth2/token"
_JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_SMALLEST_KEY_BITS = 2048
_JWT_LIFE = timedelta(minutes=3)

#: What to change, by a piece of Salesforce's ``error_description`` or by its ``error``; the first that is found counts.
_REMEDIES: tuple[tuple[str, str], ...] = (
    (
        "hasn't approved this consumer",
        "in the External Client App's policies set 'Permitted Users' to 'Admin approved users are pre-authorized' and "
        "assign its permission set to the user in SALESFORCE_USERNAME",
    ),
    ("audience is invalid", "SALESFORCE_LOGIN_URL must be the org's My Domain; a sandbox's has '.sandbox.my' in it"),
    (
        "request not supported on this domain",
        "SALESFORCE_LOGIN_URL must be the org's My Domain (https://ACME.my.salesforce.com), not login or test",
    ),
    (
        "no client credentials user enabled",
        "in the External Client App enable 'Client Credentials Flow' and name the user it runs as",
    ),
    ("not installed in this org", "install the External Client App in the org that SALESFORCE_LOGIN_URL names"),
    ("expired access/refresh token", "the app's session was revoked: approve the External Client App again"),
    ("user is inactive", "activate the integration user in Salesforce"),
    ("ip restricted", "allow this machine's address in the app's IP relaxation or the integration user's profile"),
    ("client identifier invalid", "SALESFORCE_CLIENT_ID must be the consumer key of the External Client App"),
    ("invalid client credentials", "SALESFORCE_CLIENT_SECRET does not belong to SALESFORCE_CLIENT_ID"),
    ("invalid assertion", "SALESFORCE_PRIVATE_KEY_FILE must belong to the certificate that the app was given"),
    (
        "authentication failure",
        "look at the integration user's login history in Salesforce (Setup, Login History) for the reason",
    ),
    ("invalid_client_id", "SALESFORCE_CLIENT_ID must be the consumer key of the External Client App"),
    ("invalid_client", "SALESFORCE_CLIENT_ID and SALESFORCE_CLIENT_SECRET must be those of the External Client App"),
    ("invalid_app_access", "assign the External Client App's permission set to the integration user"),
    ("inactive_user", "activate the integration user in Salesforce"),
    ("inactive_org", "the org is locked or closed: ask Salesforce"),
    ("unsupported_grant_type", "enable the OAuth flow in the External Client App's settings"),
    ("invalid_grant", "look at Setup, Login History in Salesforce for the reason, and at the app's OAuth policies"),
)


@dataclass(frozen=True)
class CachedToken:
    """An access token, where to use it (scheme and host), and when it was given (UTC)."""

    access_token: str = field(repr=False)
    instance_url: str
    issued_at: datetime


class TokenCache(Protocol):
    """Keeps access tokens between processes. The state database implements it."""

    def load(self, name: str) -> CachedToken | None:
        """The token last stored under ``name``, if there is one."""

    def store(self, name: str, token: CachedToken) -> None:
        """Keep ``token`` under ``name`` in place of an older one."""


@dataclass(frozen=True)
class LoginAnswer:
    """What the token endpoint gave: a token with the ids of its org and user, or an error and whether to try again."""

    token: CachedToken | None = None
    organization_id: str | None = None
    user_id: str | None = None
    failure: Meaning | None = None


def token_name(environment: Environment) -> str:
    """The name under which a token of this org, app and user is cached. Holds no secret."""
    who = f"{environment.salesforce_client_id}|{environment.salesforce_username}|{environment.salesforce_private_key_file}"
    host = urlsplit(environment.salesforce_login_url or "").netloc
    return f"salesforce:{host}:{hashlib.sha256(who.encode()).hexdigest()[:12]}"


def login(environment: Environment, session: requests.Session) -> LoginAnswer:
    """Ask the org for a token, once.

    Raises:
        ConfigurationError: a variable is missing, or the private key cannot be used; or the org names a plain http host.
        AccessRefused: Salesforce refuses; the text says what to change.
        requests.RequestException: the connection failed.
    """
    base = _login_url(environment)
    form, headers = _request(environment, base)
    response = session.post(base + TOKEN_PATH, data=form, headers=headers, allow_redirects=False)
    try:
        body = parse_json(response.content)
    except ValueError:
        body = response.text
    if response.status_code != 200 or not isinstance(body, dict) or not body.get("access_token"):
        return LoginAnswer(failure=_failure(response.status_code, body))
    token = CachedToken(
        access_token=str(body["access_token"]),
        instance_url=instance_url(str(body.get("instance_url") or base)),
        issued_at=_issued_at(body.get("issued_at")),
    )
    logger.info("Salesforce gave an access token for %s", token.instance_url)
    organization_id, user_id = _identity(body.get("id"))
    return LoginAnswer(token=token, organization_id=organization_id, user_id=user_id)


def instance_url(found: str) -> str:
    """The ``instance_url`` of a token answer: https, or http on a loopback host.

    Raises:
        ConfigurationError: plain http to another machine, or not a URL.
    """
    try:
        return checked_url(found)
    except ValueError as error:
        raise ConfigurationError([f"instance_url of Salesforce's token answer: {error}; found {found!r}"]) from error


def audience(login_url: str) -> str:
    """The ``aud`` of a JWT: Salesforce's login host, or its test host for sandboxes and scratch orgs."""
    host = (urlsplit(login_url).hostname or "").lower()
    is_test = host == "test.salesforce.com" or any(part in host for part in (".sandbox.my.", ".scratch.my."))
    return "https://test.salesforce.com" if is_test else "https://login.salesforce.com"


def _login_url(environment: Environment) -> str:
    if not environment.salesforce_login_url:
        raise ConfigurationError(["SALESFORCE_LOGIN_URL is not set: the org's My Domain, https://ACME.my.salesforce.com"])
    return environment.salesforce_login_url


def _request(environment: Environment, base: str) -> tuple[dict[str, str], dict[str, str]]:
    client_id = environment.salesforce_client_id
    if not client_id:
        raise ConfigurationError(["SALESFORCE_CLIENT_ID is not set: the consumer key of the External Client App"])
    if environment.salesforce_username and environment.salesforce_private_key_file:
        claims = {
            "iss": client_id,
            "sub": environment.salesforce_username,
            "aud": audience(base),
            "exp": int((datetime.now(UTC) + _JWT_LIFE).timestamp()),
        }
        assertion = jwt.encode(claims, _private_key(environment), algorithm="RS256")
        return {"grant_type": _JWT_GRANT, "assertion": assertion}, {}
    if environment.salesforce_client_secret is None:
        raise ConfigurationError(
            ["SALESFORCE_CLIENT_SECRET is not set (or SALESFORCE_USERNAME with SALESFORCE_PRIVATE_KEY_FILE instead)"]
        )
    pair = f"{client_id}:{environment.salesforce_client_secret.get_secret_value()}"
    basic = base64.b64encode(pair.encode("utf-8")).decode("ascii")
    return {"grant_type": "client_credentials"}, {"Authorization": f"Basic {basic}"}


def _private_key(environment: Environment) -> RSAPrivateKey:
    path = environment.salesforce_private_key_file
    if path is None:
        raise ConfigurationError(["SALESFORCE_PRIVATE_KEY_FILE is not set"])
    try:
        key = load_pem_private_key(path.expanduser().read_bytes(), password=None)
    except OSError as error:
        raise ConfigurationError([f"SALESFORCE_PRIVATE_KEY_FILE: cannot read {path}: {error.strerror}"]) from error
    except (ValueError, TypeError) as error:
        raise ConfigurationError(
            [f"SALESFORCE_PRIVATE_KEY_FILE: {path} must be an RSA private key in PEM without a password"]
        ) from error
    if not isinstance(key, RSAPrivateKey) or key.key_size < _SMALLEST_KEY_BITS:
        raise ConfigurationError(
            [f"SALESFORCE_PRIVATE_KEY_FILE: {path} must be an RSA key of at least {_SMALLEST_KEY_BITS} bits"]
        )
    return key


def _failure(status: int, body: Any) -> Meaning:
    if not isinstance(body, dict) or not body.get("error"):
        meaning = meaning_of(status, body, write=False, replayable=True)
        if status == 404:
            remedy = "SALESFORCE_LOGIN_URL must be the org's My Domain; nothing answers at its token endpoint"
            return Meaning(AccessRefused(SYSTEM, meaning.error.code, remedy))
        if status == 200:
            return Meaning(AccessRefused(SYSTEM, "no_token", "the token endpoint answered without an access token"))
        return meaning
    code, description = str(body["error"]), str(body.get("error_description") or "")
    if status >= 500 or code in ("LOGIN_RATE_EXCEEDED", "temporarily_unavailable", "server_error"):
        return meaning_of(status if status >= 500 else 503, body, write=False, replayable=True)
    if "login rate" in description.lower():
        return meaning_of(400, {"error": "LOGIN_RATE_EXCEEDED", "error_description": description}, write=False, replayable=True)
    text = f"{description} {code}".lower()
    remedies = [remedy for sign, remedy in _REMEDIES if sign in text]
    message = description or code
    return Meaning(AccessRefused(SYSTEM, code, f"{message}: {remedies[0]}" if remedies else message))


def _issued_at(milliseconds: Any) -> datetime:
    try:
        return datetime.fromtimestamp(int(milliseconds) / 1000, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return datetime.now(UTC)


def _identity(identity_url: Any) -> tuple[str | None, str | None]:
    # https://login.salesforce.com/id/<organization>/<user>
    parts = [part for part in urlsplit(str(identity_url or "")).path.split("/") if part]
    if len(parts) < 3 or parts[0] != "id" or not parts[1].startswith("00D"):
        return None, None
    return parts[1], parts[2] if parts[2].startswith("005") else None
