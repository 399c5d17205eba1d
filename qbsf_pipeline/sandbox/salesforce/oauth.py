"""Salesforce's token endpoint: client credentials and JWT bearer, and the life of a session.

Belongs here: who gets a token and whether a token still counts. Does not belong here: HTTP framing, records.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt

from qbsf_pipeline.sandbox.salesforce.records import Org
from qbsf_pipeline.sandbox.store import Store

TOKENS = "salesforce:tokens"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_AUDIENCES = ("https://login.salesforce.com", "https://test.salesforce.com")
_LOGIN_HOSTS = ("login.salesforce.com", "test.salesforce.com")
#: A session's last use is written down at most this often, so that a read is not always a write.
_TOUCH_EVERY = timedelta(seconds=30)
_LONGEST_ASSERTION = timedelta(minutes=5, seconds=30)


class OAuthError(Exception):
    """A refusal of the token endpoint (always 400)."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(f"{error}: {description}")
        self.body = {"error": error, "error_description": description}


def grant(org: Org, form: Mapping[str, str], authorization: str | None, host: str, instance_url: str) -> dict[str, Any]:
    """The answer of `POST /services/oauth2/token`. `host` is the one the client meant to speak to.

    Raises:
        OAuthError: as Salesforce words it.
    """
    kind = form.get("grant_type", "")
    if kind == "client_credentials":
        _check_client(org, form, authorization, host)
    elif kind == JWT_BEARER:
        _check_assertion(org, form.get("assertion", ""), instance_url)
    elif kind == "password":
        raise OAuthError("invalid_grant", "authentication failure")
    elif kind == "refresh_token":
        raise OAuthError("invalid_grant", "expired access/refresh token")
    else:
        raise OAuthError("unsupported_grant_type", "grant type not supported")
    user_id = org.integration_user()
    token = f"{org.organization_id[:15]}!AQ{secrets.token_urlsafe(60).replace('-', '.')}"
    now = org.now()
    tokens = org.store.documents(TOKENS)
    for stale in [each for each, session in tokens.items() if _idle_too_long(org, session)]:
        del tokens[stale]
    tokens[token] = {"user_id": user_id, "used_at": now.isoformat()}
    identity = f"https://login.salesforce.com/id/{org.organization_id}/{user_id}"
    issued_at = str(int(now.timestamp() * 1000))
    signature = hmac.digest(org.options.client_secret.encode(), (identity + issued_at).encode(), hashlib.sha256)
    return {
        "access_token": token,
        "signature": base64.b64encode(signature).decode(),
        "scope": "api",
        "instance_url": instance_url,
        "id": identity,
        "token_type": "Bearer",
        "issued_at": issued_at,
    }


def _check_client(org: Org, form: Mapping[str, str], authorization: str | None, host: str) -> None:
    if host.lower().partition(":")[0] in _LOGIN_HOSTS:
        raise OAuthError("invalid_grant", "request not supported on this domain")
    client_id, client_secret = form.get("client_id", ""), form.get("client_secret", "")
    if authorization and authorization[:6].lower() == "basic ":
        try:
            pair = base64.b64decode(authorization[6:], validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise OAuthError("invalid_client", "invalid client credentials") from error
        client_id, _, client_secret = pair.partition(":")
    if not hmac.compare_digest(client_id.encode(), org.options.client_id.encode()):
        raise OAuthError("invalid_client_id", "client identifier invalid")
    if not hmac.compare_digest(client_secret.encode(), org.options.client_secret.encode()):
        raise OAuthError("invalid_client", "invalid client credentials")


def _check_assertion(org: Org, assertion: str, instance_url: str) -> None:
    checked = org.options.public_key is not None
    try:
        header = jwt.get_unverified_header(assertion)
        claims = jwt.decode(
            assertion,
            key=org.options.public_key or "",
            algorithms=["RS256"],
            options={
                "verify_signature": checked,
                # Dates are checked below, against the sandbox's clock; so is the audience.
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
                "verify_aud": False,
            },
        )
    except (jwt.InvalidTokenError, ValueError) as error:
        raise OAuthError("invalid_grant", "invalid assertion") from error
    if header.get("alg") != "RS256":
        raise OAuthError("invalid_grant", "invalid assertion")
    if claims.get("iss") != org.options.client_id:
        raise OAuthError("invalid_client_id", "client identifier invalid")
    audience = str(claims.get("aud", "")).rstrip("/")
    if audience not in (*_AUDIENCES, instance_url.rstrip("/")):
        raise OAuthError("invalid_grant", "audience is invalid")
    try:
        expires = datetime.fromtimestamp(int(str(claims.get("exp", ""))), UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise OAuthError("invalid_grant", "expiration is missing or invalid") from error
    if not org.now() < expires <= org.now() + _LONGEST_ASSERTION:
        raise OAuthError("invalid_grant", "expired authorization code")
    if claims.get("sub") != org.options.username:
        raise OAuthError("invalid_grant", "user hasn't approved this consumer")


def session_user(org: Org, authorization: str | None) -> str | None:
    """The user a request acts as; None when the token is missing, unknown, or was left idle too long."""
    kind, _, token = (authorization or "").partition(" ")
    if kind.lower() not in ("bearer", "oauth"):
        return None
    tokens = org.store.documents(TOKENS)
    session = tokens.get(token.strip())
    if session is None:
        return None
    now = org.now()
    used_at = datetime.fromisoformat(session["used_at"])
    if _idle_too_long(org, session):
        del tokens[token.strip()]
        return None
    if abs(now - used_at) >= _TOUCH_EVERY:
        tokens[token.strip()] = {**session, "used_at": now.isoformat()}
    return str(session["user_id"])


def _idle_too_long(org: Org, session: Mapping[str, Any]) -> bool:
    idle = org.now() - datetime.fromisoformat(session["used_at"])
    return idle >= timedelta(minutes=org.options.session_idle_minutes)


def revoke(store: Store, token: str) -> bool:
    """End one session; False when there is none."""
    return store.documents(TOKENS).pop(token, None) is not None


def expire_all_sessions(store: Store) -> int:
    """End every session now; how many there were. The next call with any of their tokens answers 401."""
    tokens = store.documents(TOKENS)
    ended = len(tokens)
    tokens.clear()
    return ended
