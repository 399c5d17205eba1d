"""Intuit's OAuth: discovery, authorisation, tokens that rotate and expire, revocation.

Belongs here: who may call. Does not belong here: what a call does.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode

import simplejson
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from qbsf_pipeline.sandbox.clock import Clock
from qbsf_pipeline.sandbox.quickbooks.company import company_of
from qbsf_pipeline.sandbox.quickbooks.faults import encoded, json_response, with_tid
from qbsf_pipeline.sandbox.quickbooks.options import QuickBooksOptions
from qbsf_pipeline.sandbox.store import Documents, Store

_REFRESH = "quickbooks._refresh_tokens"
_ACCESS = "quickbooks._access_tokens"
_CODES = "quickbooks._authorization_codes"
_CODE_LIFE = timedelta(minutes=10)
_HARD_LIFE = timedelta(seconds=157_680_000)


class TokenRefused(Exception):
    """The token endpoint's refusal: `error`, and the description where Intuit gives one."""

    def __init__(self, error: str, description: str | None = None, status: int = 400) -> None:
        super().__init__(error)
        self.error = error
        self.description = description
        self.status = status

    def response(self) -> Response:
        """The answer."""
        body = {"error": self.error}
        if self.description:
            body["error_description"] = self.description
        return json_response(encoded(body), self.status)


class Connection:
    """The chain of tokens of the app's one connection to the company."""

    def __init__(self, store: Store, clock: Clock, options: QuickBooksOptions) -> None:
        self.store = store
        self.clock = clock
        self.options = options

    @property
    def _refresh(self) -> Documents:
        return self.store.documents(_REFRESH)

    @property
    def _access(self) -> Documents:
        return self.store.documents(_ACCESS)

    def _setting(self, name: str) -> Any:
        return company_of(self.store, self.clock).knob(name, getattr(self.options, name))

    def is_valid(self, access_token: str) -> bool:
        """Whether a call with this access token is let in."""
        document = self._access.get(access_token)
        return document is not None and self.clock.now() < datetime.fromisoformat(document["expires_at"])

    def authorize(self, redirect_uri: str) -> str:
        """A new authorisation code: single use, ten minutes."""
        code = f"AC{secrets.token_hex(16)}"
        expires = self.clock.now() + _CODE_LIFE
        self.store.documents(_CODES)[code] = {"redirect_uri": redirect_uri, "expires_at": expires.isoformat()}
        return code

    def exchange(self, code: str, redirect_uri: str) -> dict[str, Any]:
        """Tokens for an authorisation code.

        Raises:
            TokenRefused: unknown, used or expired code, or another redirect URI.
        """
        known = self.store.documents(_CODES).pop(code, None)
        if known is None or self.clock.now() >= datetime.fromisoformat(known["expires_at"]):
            raise TokenRefused("invalid_grant", "Invalid authorization code")
        if known["redirect_uri"] != redirect_uri:
            raise TokenRefused("invalid_grant", "Redirect URI does not match")
        now = self.clock.now()
        return self._issue(self._new_refresh(now, now))

    def refresh(self, token: str) -> dict[str, Any]:
        """New tokens for a refresh token.

        The current one is answered with a new one (unless rotation is off). The one before it stays valid for the time
        of grace, and is answered with the token that followed it, until that one has itself been used.

        Raises:
            TokenRefused: `invalid_grant`.
        """
        now = self.clock.now()
        if token not in self._refresh:
            if token in self._access:
                raise TokenRefused("invalid_grant", "Incorrect Token type or clientID")
            if token != self.options.refresh_token:
                raise _incorrect()
            # The first of the chain, known from the options only.
            self._refresh[token] = self._refresh_document(now, now)
        document = self._refresh[token]
        if document["revoked"] or now >= datetime.fromisoformat(document["expires_at"]):
            raise _incorrect()
        successor = document["successor"]
        if successor is None:
            return self._issue(self._rotate(token, document, now))
        if self._setting("strict_rotation"):
            raise _incorrect()
        grace = timedelta(seconds=self.options.grace_seconds)
        if now >= datetime.fromisoformat(document["superseded_at"]) + grace:
            raise _incorrect()
        if self._refresh[successor]["used"]:
            raise _incorrect()
        return self._issue(successor)

    def _rotate(self, token: str, document: dict[str, Any], now: datetime) -> str:
        document = {**document, "used": True}
        if not self._setting("rotate_refresh_tokens"):
            life = timedelta(seconds=self.options.refresh_token_seconds)
            self._refresh[token] = {**document, "expires_at": (now + life).isoformat()}
            return token
        successor = self._new_refresh(now, datetime.fromisoformat(document["began_at"]))
        self._refresh[token] = {**document, "successor": successor, "superseded_at": now.isoformat()}
        return successor

    def _new_refresh(self, now: datetime, began: datetime) -> str:
        token = f"AB11{int(now.timestamp())}{secrets.token_urlsafe(24)}"
        self._refresh[token] = self._refresh_document(now, began)
        return token

    def _refresh_document(self, now: datetime, began: datetime) -> dict[str, Any]:
        life = timedelta(seconds=self.options.refresh_token_seconds)
        return {
            "began_at": began.isoformat(),
            "expires_at": (now + life).isoformat(),
            "successor": None,
            "superseded_at": None,
            "used": False,
            "revoked": False,
        }

    def _issue(self, refresh_token: str) -> dict[str, Any]:
        now = self.clock.now()
        for token in [each for each in self._access if not self.is_valid(each)]:
            del self._access[token]
        access_token = f"eyJ{secrets.token_urlsafe(60)}"
        life = timedelta(seconds=self.options.access_token_seconds)
        self._access[access_token] = {"expires_at": (now + life).isoformat()}
        left = datetime.fromisoformat(self._refresh[refresh_token]["expires_at"]) - now
        return {
            "token_type": "bearer",
            "access_token": access_token,
            "refresh_token": refresh_token,
            "expires_in": self.options.access_token_seconds,
            "x_refresh_token_expires_in": int(left.total_seconds()),
        }

    def hard_expiry(self, refresh_token: str) -> int:
        """Seconds until the chain ends for good, five years after it began."""
        began = datetime.fromisoformat(self._refresh[refresh_token]["began_at"])
        return int((began + _HARD_LIFE - self.clock.now()).total_seconds())

    def revoke(self, token: str) -> bool:
        """Disconnect: every token of the chain is dead. False for a token that is none of ours."""
        if token == self.options.refresh_token and token not in self._refresh:
            now = self.clock.now()
            self._refresh[token] = self._refresh_document(now, now)
        if token not in self._refresh and token not in self._access:
            return False
        for each, document in list(self._refresh.items()):
            self._refresh[each] = {**document, "revoked": True}
        self._access.clear()
        return True


def _incorrect() -> TokenRefused:
    return TokenRefused("invalid_grant", "Incorrect or invalid refresh token")


def expire_access_tokens(store: Store) -> None:
    """Every access token that was given out is refused from now on; refresh tokens stay good."""
    store.documents(_ACCESS).clear()


def _credentials_match(header: str | None, options: QuickBooksOptions) -> bool:
    scheme, _, encoded_pair = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return False
    try:
        pair = base64.b64decode(encoded_pair, validate=True)
    except binascii.Error:
        return False
    return hmac.compare_digest(pair, f"{options.client_id}:{options.client_secret}".encode())


async def _form(request: Request) -> Mapping[str, str]:
    content_type = request.headers.get("content-type", "")
    if not content_type.startswith("application/x-www-form-urlencoded"):
        raise TokenRefused("invalid_request")
    body = (await request.body()).decode("utf-8", errors="replace")
    return {name: values[0] for name, values in parse_qs(body).items()}


def oauth_routes(store: Store, clock: Clock, options: QuickBooksOptions) -> list[Route]:
    """Discovery, authorisation, tokens, revocation and user info."""
    connection = Connection(store, clock, options)

    async def discovery(request: Request) -> Response:
        host = str(request.base_url).rstrip("/")
        document = {
            "issuer": f"{host}/op/v1",
            "authorization_endpoint": f"{host}/connect/oauth2",
            "token_endpoint": f"{host}/oauth2/v1/tokens/bearer",
            "userinfo_endpoint": f"{host}/v1/openid_connect/userinfo",
            "revocation_endpoint": f"{host}/v2/oauth2/tokens/revoke",
            "jwks_uri": f"{host}/op/v1/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "scopes_supported": ["openid", "email", "profile", "address", "phone"],
            "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
            "claims_supported": ["aud", "exp", "iat", "iss", "realmid", "sub"],
        }
        return json_response(encoded(document))

    async def authorize(request: Request) -> Response:
        query = request.query_params
        redirect_uri = query.get("redirect_uri", "")
        if query.get("client_id") != options.client_id or not redirect_uri:
            return json_response(encoded({"error": "invalid_client"}), 400)
        if query.get("response_type") != "code" or "com.intuit.quickbooks.accounting" not in query.get("scope", ""):
            answer = {"error": "invalid_scope", "state": query.get("state", "")}
        else:
            answer = {
                "code": connection.authorize(redirect_uri),
                "state": query.get("state", ""),
                "realmId": options.realm_id,
            }
        joint = "&" if "?" in redirect_uri else "?"
        return with_tid(RedirectResponse(f"{redirect_uri}{joint}{urlencode(answer)}", status_code=302))

    async def token(request: Request) -> Response:
        try:
            if not _credentials_match(request.headers.get("authorization"), options):
                raise TokenRefused("invalid_client", status=401)
            form = await _form(request)
            if form.get("grant_type") == "refresh_token":
                answer = connection.refresh(form.get("refresh_token", ""))
            elif form.get("grant_type") == "authorization_code":
                answer = connection.exchange(form.get("code", ""), form.get("redirect_uri", ""))
            else:
                raise TokenRefused("unsupported_grant_type")
        except TokenRefused as refused:
            return refused.response()
        if request.headers.get("x-include-refresh-token-hard-expires-in", "").lower() == "true":
            answer["x_refresh_token_hard_expires_in"] = connection.hard_expiry(answer["refresh_token"])
        response = json_response(encoded(answer))
        response.headers["cache-control"] = "no-cache, no-store"
        return response

    async def revoke(request: Request) -> Response:
        if not _credentials_match(request.headers.get("authorization"), options):
            return TokenRefused("invalid_client", status=401).response()
        try:
            body = simplejson.loads(await request.body())
        except ValueError:
            return TokenRefused("invalid_request").response()
        given = body.get("token") if isinstance(body, dict) else None
        if not isinstance(given, str) or not connection.revoke(given):
            return TokenRefused("invalid_request").response()
        return with_tid(Response(status_code=200))

    async def user_info(request: Request) -> Response:
        scheme, _, access_token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not connection.is_valid(access_token):
            return TokenRefused("invalid_token", status=401).response()
        return json_response(encoded({"sub": "sandbox", "email": "bookkeeper@example.com", "emailVerified": True}))

    async def keys(request: Request) -> Response:
        return json_response(encoded({"keys": []}))

    discoveries = [
        Route(f"/.well-known/{name}{slash}", discovery, methods=["GET"])
        for name in ("openid_sandbox_configuration", "openid_configuration")
        for slash in ("", "/")
    ]
    return [
        *discoveries,
        Route("/connect/oauth2", authorize, methods=["GET"]),
        Route("/oauth2/v1/tokens/bearer", token, methods=["POST"]),
        Route("/v2/oauth2/tokens/revoke", revoke, methods=["POST"]),
        Route("/v1/openid_connect/userinfo", user_info, methods=["GET"]),
        Route("/op/v1/jwks", keys, methods=["GET"]),
    ]
