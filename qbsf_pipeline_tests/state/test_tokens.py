"""Tokens are kept for every process, and never shown."""

import multiprocessing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from qbsf_pipeline.errors import ServiceUnavailable
from qbsf_pipeline.quickbooks.connection import StoredTokens, TokenVault
from qbsf_pipeline.salesforce.login import CachedToken, TokenCache
from qbsf_pipeline.state import tokens as tokens_module
from qbsf_pipeline.state.database import State
from qbsf_pipeline_tests.state.conftest import NOW

TOKENS = StoredTokens(
    access_token="access-1",
    refresh_token="refresh-1",
    access_expires_at=NOW + timedelta(hours=1),
    refresh_expires_at=None,
    refresh_hard_expires_at=NOW + timedelta(days=1825),
    first_token_hash="ab" * 32,
    updated_at=NOW,
)


def test_the_newest_quickbooks_tokens_are_read_back(state):
    vault: TokenVault = state.tokens.quickbooks
    assert vault.load("9130") is None
    vault.store("9130", TOKENS)
    assert vault.load("9130") == TOKENS
    newer = replace(TOKENS, access_token="a" * 4096, refresh_token="refresh-2", first_token_hash=None)
    vault.store("9130", newer)
    vault.store("9131", TOKENS)
    assert vault.load("9130") == newer


def test_the_newest_salesforce_token_is_read_back(state):
    cache: TokenCache = state.tokens.salesforce
    assert cache.load("acme") is None
    cache.store("acme", CachedToken("00D!AQ", "https://acme.my.salesforce.com", NOW))
    token = CachedToken("00D!AR", "https://acme.my.salesforce.com", NOW + timedelta(hours=1))
    cache.store("acme", token)
    assert cache.load("acme") == token


def test_tokens_are_committed_when_they_are_stored(state):
    with pytest.raises(RuntimeError, match="committed"), state.transaction():
        state.tokens.quickbooks.store("9130", TOKENS)


def _refresh(url, home, times):
    with State.open(url, Path(home)) as state:
        for _ in range(times):
            with state.tokens.quickbooks.exclusive("9130"):
                stored = state.tokens.quickbooks.load("9130")
                number = int(stored.refresh_token.removeprefix("refresh-")) + 1
                state.tokens.quickbooks.store("9130", replace(stored, refresh_token=f"refresh-{number}"))


def test_processes_that_refresh_at_once_take_turns(place):
    with place.open() as state:
        state.tokens.quickbooks.store("9130", TOKENS)
        context = multiprocessing.get_context("spawn")
        processes = [context.Process(target=_refresh, args=(place.url, str(place.home), 5)) for _ in range(2)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(60)
        assert state.tokens.quickbooks.load("9130").refresh_token == "refresh-11"


def test_a_refresh_that_another_process_never_ends_is_an_error_that_may_pass(state, monkeypatch):
    monkeypatch.setattr(tokens_module, "_REFRESH_WAIT_SECONDS", 0.1)
    vault = state.tokens.quickbooks
    with vault.exclusive("9130"), pytest.raises(ServiceUnavailable), vault.exclusive("9130"):
        pass
    with vault.exclusive("9130"):
        pass
