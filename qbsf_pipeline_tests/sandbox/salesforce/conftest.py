"""The sandbox's Salesforce over a real socket, with a clock that stands still."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
import requests
import simplejson
import uvicorn
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce
from starlette.applications import Starlette

from qbsf_pipeline.sandbox.clock import Clock
from qbsf_pipeline.sandbox.salesforce import SalesforceOptions, routes, upsert_records
from qbsf_pipeline.sandbox.store import Store

NOW = datetime(2026, 4, 1, 12, 0, 0, tzinfo=UTC)


@dataclass
class Server:
    """One uvicorn for the whole session; the application behind it is swapped for every test."""

    url: str = ""
    app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


@dataclass
class OrgUnderTest:
    """One test's org, and a plain HTTP client that is logged in."""

    url: str
    store: Store
    clock: Clock
    options: SalesforceOptions
    token: str = ""
    session: requests.Session = field(default_factory=requests.Session)

    def login(self) -> dict[str, Any]:
        answer = self.session.post(
            f"{self.url}/services/oauth2/token",
            data={"grant_type": "client_credentials"},
            auth=(self.options.client_id, self.options.client_secret),
        )
        assert answer.status_code == 200, answer.text
        self.token = answer.json()["access_token"]
        return answer.json()

    def call(self, method: str, path: str, json: Any = None, headers: Any = None, **kwargs: Any) -> requests.Response:
        url = self.url + (path if path.startswith("/services") else f"/services/data/v66.0/{path}")
        given = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", **(headers or {})}
        data = None if json is None else simplejson.dumps(json, use_decimal=True).encode()
        return self.session.request(method, url, data=data, headers=given, **kwargs)

    def query(self, soql: str, **kwargs: Any) -> Any:
        answer = self.call("GET", "query", params={"q": soql}, **kwargs)
        assert answer.status_code == 200, answer.text
        return simplejson.loads(answer.text, use_decimal=True)

    def rows(self, soql: str) -> list[Any]:
        return self.query(soql)["records"]

    def refused(self, soql: str) -> tuple[str, str]:
        answer = self.call("GET", "query", params={"q": soql})
        assert answer.status_code == 400, answer.text
        return answer.json()[0]["errorCode"], answer.json()[0]["message"]

    def seed(self, type_name: str, *records: dict[str, Any]) -> list[str]:
        return upsert_records(self.store, self.clock, type_name, records)

    def control(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self.session.post(f"{self.url}/_sandbox/salesforce/{name}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def advance(self, **kwargs: float) -> None:
        self.clock.advance(timedelta(**kwargs))

    def deal(self, **changes: Any) -> dict[str, str]:
        """An account with an opportunity that has two lines of one product; their ids."""
        (account,) = self.seed("Account", {"Name": "Zoë's Bäckerei"})
        (book,) = self.seed("Pricebook2", {"Name": "Standard Price Book", "IsStandard": True, "IsActive": True})
        (product,) = self.seed("Product2", {"Name": "Seat", "ProductCode": "SEAT", "IsActive": True})
        (entry,) = self.seed("PricebookEntry", {"Pricebook2Id": book, "Product2Id": product, "UnitPrice": 10, "IsActive": True})
        opportunity = {
            "Name": "Renewal: 'Q2'", "AccountId": account, "StageName": "Prospecting", "CloseDate": "2026-03-31",
            "Pricebook2Id": book, **changes,
        }  # fmt: skip
        (deal,) = self.seed("Opportunity", opportunity)
        lines = self.seed(
            "OpportunityLineItem",
            {"OpportunityId": deal, "PricebookEntryId": entry, "Quantity": 3, "UnitPrice": "10.5"},
            {"OpportunityId": deal, "PricebookEntryId": entry, "Quantity": 1, "UnitPrice": "0.07"},
        )
        ids = {"account": account, "book": book, "product": product, "entry": entry, "opportunity": deal}
        return {**ids, "line": lines[0], "other_line": lines[1]}


class RewritingAdapter(HTTPAdapter):
    """Sends what the client library addresses to https://*.salesforce.com to the sandbox."""

    def __init__(self, netloc: str) -> None:
        self.netloc = netloc
        super().__init__()

    def send(self, request: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        parts = urlsplit(request.url)
        request.headers.setdefault("X-Original-Host", parts.netloc)
        request.url = urlunsplit(("http", self.netloc, parts.path, parts.query, ""))
        return super().send(request, **kwargs)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    served = Server()
    config = uvicorn.Config(served, host="127.0.0.1", port=0, log_level="error", date_header=False, lifespan="off")
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    while not running.started:
        time.sleep(0.005)
    port = running.servers[0].sockets[0].getsockname()[1]
    served.url = f"http://127.0.0.1:{port}"
    yield served
    running.should_exit = True
    thread.join()


@pytest.fixture
def options() -> SalesforceOptions:
    return SalesforceOptions()


@pytest.fixture
def org(server: Server, options: SalesforceOptions) -> Iterator[OrgUnderTest]:
    store = Store(None)
    clock = Clock(fixed=NOW)
    server.app = Starlette(routes=routes(store, clock, options))
    under_test = OrgUnderTest(server.url, store, clock, options)
    under_test.session.trust_env = False
    under_test.login()
    yield under_test
    under_test.session.close()


@pytest.fixture
def library(org: OrgUnderTest) -> Salesforce:
    """The real client library, logged in by client credentials on a My Domain."""
    session = requests.Session()
    session.trust_env = False
    session.mount("https://", RewritingAdapter(urlsplit(org.url).netloc))
    return Salesforce(
        consumer_key=org.options.client_id,
        consumer_secret=org.options.client_secret,
        domain="acme.my",
        session=session,
        version="66.0",
        parse_float=Decimal,
    )
