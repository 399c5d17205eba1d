"""Two Salesforces: one that is told what to say, and the sandbox's, both over real sockets."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette

from qbsf_pipeline.api_meter import ApiMeter
from qbsf_pipeline.salesforce.client import SalesforceClient
from qbsf_pipeline.salesforce.login import CachedToken
from qbsf_pipeline.sandbox import salesforce as sandbox
from qbsf_pipeline.sandbox.clock import Clock
from qbsf_pipeline.sandbox.store import Store
from qbsf_pipeline.settings import Environment
from qbsf_pipeline_tests.salesforce.scripted import ScriptedSalesforce


@dataclass
class Memory:
    """A token cache."""

    kept: dict[str, CachedToken] = field(default_factory=dict)

    def load(self, name: str) -> CachedToken | None:
        return self.kept.get(name)

    def store(self, name: str, token: CachedToken) -> None:
        self.kept[name] = token


def environment_for(url: str, **more: Any) -> Environment:
    return Environment(
        salesforce_login_url=url,
        **{
            "salesforce_client_id": "qbsf-sandbox-client",
            "salesforce_client_secret": "qbsf-sandbox-secret",
            **more,
        },
    )


@dataclass
class Door:
    """A client and what a test looks at beside it."""

    client: SalesforceClient
    meter: ApiMeter
    tokens: Memory
    waits: list[float]

    def calls(self, kind: str | None = None) -> int:
        return sum(count for call, count in self.meter.totals().items() if call.kind == kind or (kind is None and call.metered))


def door_to(environment: Environment, tokens: Memory | None = None) -> Door:
    meter, memory, waits = ApiMeter(), tokens or Memory(), []
    return Door(SalesforceClient(environment, memory, meter, sleep=waits.append), meter, memory, waits)


@pytest.fixture
def service() -> Iterator[ScriptedSalesforce]:
    scripted = ScriptedSalesforce()
    yield scripted
    scripted.stop()


@pytest.fixture
def door(service: ScriptedSalesforce) -> Door:
    return door_to(environment_for(service.url))


@pytest.fixture
def signed_in(service: ScriptedSalesforce) -> Door:
    """A door that holds a token from an earlier process."""
    door = door_to(environment_for(service.url))
    door.client.instance_url  # noqa: B018
    for name in list(door.tokens.kept):
        door.tokens.kept[name] = CachedToken("old", service.url, datetime(2026, 1, 1, tzinfo=UTC))
    service.asked.clear()
    service.logins = 0
    return door_to(environment_for(service.url), door.tokens)


@dataclass
class SandboxOrg:
    """The sandbox's org, served on a loopback port."""

    url: str
    store: Store
    clock: Clock

    def put(self, type_name: str, *records: Mapping[str, Any]) -> list[str]:
        return sandbox.upsert_records(self.store, self.clock, type_name, records)

    def later(self, **delta: float) -> None:
        self.clock.advance(timedelta(**delta))

    def door(self) -> Door:
        return door_to(environment_for(self.url))


def _serve(options: sandbox.SalesforceOptions) -> Iterator[SandboxOrg]:
    store = Store(None)
    clock = Clock(store)
    application = Starlette(routes=sandbox.routes(store, clock, options))
    server = uvicorn.Server(
        uvicorn.Config(application, host="127.0.0.1", port=0, log_level="warning", date_header=False, lifespan="off")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield SandboxOrg(f"http://127.0.0.1:{port}", store, clock)
    server.should_exit = True
    thread.join(10)


@pytest.fixture
def org() -> Iterator[SandboxOrg]:
    yield from _serve(sandbox.SalesforceOptions())


@pytest.fixture
def multi_currency_org() -> Iterator[SandboxOrg]:
    yield from _serve(sandbox.SalesforceOptions(multi_currency=True))
