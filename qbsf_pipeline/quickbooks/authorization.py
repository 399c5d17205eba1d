"""Connecting a company for the first time: the page at Intuit where a person agrees, and the tokens for the code that comes
back from it.

Belongs here: what is asked of Intuit and what its answer means. Does not belong here: how the person's browser is waited for
(the command line), what happens to the tokens afterwards (connection).
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import requests
from intuitlib.enums import Scopes
from intuitlib.exceptions import AuthClientError

from qbsf_pipeline.api_meter import ApiMeter
from qbsf_pipeline.errors import AccessRefused, ConfigurationError, ServiceUnavailable
from qbsf_pipeline.quickbooks.connection import (
    InvalidGrant,
    StoredTokens,
    TokenVault,
    auth_client,
    token_answer,
    token_refusal,
    tokens_of,
)
from qbsf_pipeline.quickbooks.faults import SYSTEM
from qbsf_pipeline.settings import Environment, checked_url

_REFUSALS = {
    "access_denied": "the connection was not agreed to on Intuit's page: start again, as an admin of the company",
    "invalid_scope": "the app may not ask for the accounting scope: add it on the app's page at developer.intuit.com",
}


class AnotherAnswer(Exception):
    """What came back does not belong to this attempt: an older page, or somebody else's doing. It is left alone."""


@dataclass(frozen=True)
class Consent:
    """What Intuit's page sent back: a code that works once, for some minutes, and the company that was chosen."""

    code: str = field(repr=False)
    realm: str


class Authorization:
    """One attempt to connect.

    Args:
        environment: the app's keys and the discovery address.
        vault: where the tokens are kept.
        meter: counts the calls.
        redirect_uri: where Intuit sends the browser afterwards; it must be registered with the app, letter by letter.
        clock: now, aware UTC.

    Raises:
        ConfigurationError: the app's keys are not set, or the discovery document names an unsafe address.
        ServiceUnavailable: the discovery document cannot be had.
    """

    def __init__(
        self,
        environment: Environment,
        vault: TokenVault,
        meter: ApiMeter,
        redirect_uri: str,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        wanted = {
            "QUICKBOOKS_CLIENT_ID": environment.quickbooks_client_id,
            "QUICKBOOKS_CLIENT_SECRET": environment.quickbooks_client_secret,
        }
        missing = [f"{name} is not set: it stands on the app's page Keys and credentials" for name, v in wanted.items() if not v]
        if missing:
            raise ConfigurationError(missing)
        self._environment = environment
        self._vault = vault
        self._clock = clock
        self._state = secrets.token_urlsafe(32)
        self._auth = auth_client(environment, meter, redirect_uri)
        try:
            checked_url(str(self._auth.auth_endpoint))
        except ValueError as error:
            host = urlsplit(str(self._auth.auth_endpoint)).hostname
            raise ConfigurationError(
                [f"QUICKBOOKS_DISCOVERY_URL: its document names an authorisation page on {host} that {error}"]
            ) from error

    @property
    def url(self) -> str:
        """The page that a company admin opens."""
        return str(self._auth.get_authorization_url([Scopes.ACCOUNTING], state_token=self._state))

    def consent(self, redirected: str) -> Consent:
        """What the address says that Intuit sent the browser to: ``...?code=...&state=...&realmId=...``.

        Raises:
            AnotherAnswer: it does not carry this attempt's ``state``.
            AccessRefused: the person or Intuit refused, or the code or the company is missing.
        """
        values = {name: found[0] for name, found in parse_qs(urlsplit(redirected.strip()).query).items()}
        if not hmac.compare_digest(values.get("state", "").encode(), self._state.encode()):
            raise AnotherAnswer("the address does not belong to this attempt to connect")
        error = values.get("error")
        if error:
            text = _REFUSALS.get(error, f"Intuit's page answered {error}: start again")
            raise AccessRefused(SYSTEM, error, text)
        realm = values.get("realmId", "")
        if not values.get("code") or not realm.isdecimal():
            raise AccessRefused(SYSTEM, "no_code", "Intuit's page sent back no code or no company: start again")
        return Consent(values["code"], realm)

    def exchange(self, consent: Consent) -> StoredTokens:
        """Tokens for the code, already stored for the company that was chosen.

        Raises:
            AccessRefused: Intuit does not take the code or the app's keys.
            ServiceUnavailable: the token service does not answer as it should; the code may be used up.
        """
        with self._vault.exclusive(consent.realm):
            try:
                self._auth.get_bearer_token(consent.code, realm_id=consent.realm)
            except AuthClientError as error:
                refusal: InvalidGrant = token_refusal(error, self._environment)
                text = f"Intuit does not take the code ({refusal.description}); it works once, for some minutes: start again"
                raise AccessRefused(SYSTEM, "invalid_grant", text, refusal.tid) from error
            except requests.RequestException as error:
                text = f"Intuit's token service did not answer ({type(error).__name__}): start again"
                raise ServiceUnavailable(SYSTEM, "connection", text) from error
            answer = token_answer(self._auth)
            if not answer["refresh_token"]:
                raise ServiceUnavailable(SYSTEM, "token_answer", "Intuit's token service answered without a refresh token")
            tokens = tokens_of(answer, "", None, self._clock())
            self._vault.store(consent.realm, tokens)
        return tokens
