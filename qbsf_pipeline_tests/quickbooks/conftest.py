from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from qbsf_pipeline.api_meter import ApiMeter
from qbsf_pipeline.quickbooks.client import QuickBooksClient
from qbsf_pipeline.quickbooks.connection import QuickBooksConnection
from qbsf_pipeline.quickbooks.pace import Pace
from qbsf_pipeline.settings import Environment
from qbsf_pipeline_tests.quickbooks.service import REALM, Service
from qbsf_pipeline_tests.quickbooks.vault import FileVault


@pytest.fixture
def service() -> Iterator[Service]:
    running = Service()
    yield running
    running.stop()


@pytest.fixture
def vault(tmp_path: Path) -> FileVault:
    return FileVault(tmp_path)


@pytest.fixture
def meter() -> ApiMeter:
    return ApiMeter()


@pytest.fixture
def waits() -> list[float]:
    """How long the client waited, instead of waiting."""
    return []


@pytest.fixture
def environment_for() -> Callable[..., Environment]:
    def build(url: str, refresh_token: str | None = "first", **more: str) -> Environment:
        return Environment(
            quickbooks_client_id="app",
            quickbooks_client_secret=SecretStr("app-secret"),
            quickbooks_realm_id=REALM,
            quickbooks_refresh_token=None if refresh_token is None else SecretStr(refresh_token),
            quickbooks_api_url=more.get("api_url", url),
            quickbooks_discovery_url=f"{url}/.well-known/openid_configuration",
        )

    return build


@pytest.fixture
def client(
    service: Service,
    vault: FileVault,
    meter: ApiMeter,
    waits: list[float],
    environment_for: Callable[..., Environment],
) -> QuickBooksClient:
    environment = environment_for(service.url)
    connection = QuickBooksConnection(environment, vault, meter)
    return QuickBooksClient(environment, connection, meter, Pace(1000, 100_000, 1000), sleep=waits.append)
