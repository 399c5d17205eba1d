"""A local QuickBooks on a real socket. One server for the session; every test has books of its own."""

from __future__ import annotations

import dataclasses
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
import requests
import simplejson
import uvicorn
from starlette.applications import Starlette

from qbsf_pipeline.sandbox.clock import Clock
from qbsf_pipeline.sandbox.quickbooks import (
    QuickBooksOptions,
    income_account,
    routes,
    seed_company,
    upsert_objects,
)
from qbsf_pipeline.sandbox.store import Store

NOW = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)


class _Switchboard:
    app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


@dataclasses.dataclass
class Books:
    """One company behind the server, and a client that talks to it as a program would."""

    url: str
    store: Store
    clock: Clock
    options: QuickBooksOptions
    session: requests.Session
    refresh_token: str
    access_token: str = ""

    @property
    def company_url(self) -> str:
        return f"{self.url}/v3/company/{self.options.realm_id}"

    def connect(self) -> None:
        answer = self.token(self.refresh_token)
        assert answer.status_code == 200, answer.text
        self.access_token = answer.json()["access_token"]
        self.refresh_token = answer.json()["refresh_token"]

    def token(self, refresh_token: str) -> requests.Response:
        return self.session.post(
            f"{self.url}/oauth2/v1/tokens/bearer",
            data={"grant_type": "refresh_token", "refresh_token": refresh_token},
            auth=(self.options.client_id, self.options.client_secret),
            timeout=5,
        )

    def call(self, method: str, path: str, body: Any = None, **params: str) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.access_token}", "Accept": "application/json"}
        data = None
        if body is not None:
            data = simplejson.dumps(body, use_decimal=True)
            headers["Content-Type"] = "application/json"
        return self.session.request(method, f"{self.company_url}/{path}", data=data, headers=headers, params=params, timeout=10)

    def ok(self, method: str, path: str, body: Any = None, **params: str) -> Any:
        answer = self.call(method, path, body, **params)
        assert answer.status_code == 200, answer.text
        return simplejson.loads(answer.text, use_decimal=True)

    def create(self, entity: str, body: Any, **params: str) -> Any:
        return self.ok("POST", entity.lower(), body, **params)[entity]

    def read(self, entity: str, object_id: str) -> Any:
        return self.ok("GET", f"{entity.lower()}/{object_id}")[entity]

    def query(self, statement: str) -> Any:
        return self.ok("GET", "query", query=statement)["QueryResponse"]

    def refused(self, method: str, path: str, body: Any = None, **params: str) -> dict[str, Any]:
        answer = self.call(method, path, body, **params)
        assert answer.status_code == 400, answer.text
        return answer.json()["Fault"]["Error"][0]

    def seed(self, entity: str, *objects: dict[str, Any]) -> list[dict[str, Any]]:
        return upsert_objects(self.store, self.clock, entity, objects)


@pytest.fixture(scope="session")
def switchboard() -> Iterator[tuple[str, _Switchboard]]:
    board = _Switchboard()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(board, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", board
        server.should_exit = True
        thread.join(5)


@pytest.fixture
def open_books(switchboard: tuple[str, _Switchboard]) -> Iterator[Callable[..., Books]]:
    """Makes books: keyword arguments of `seed_company`; `options` replaces fields of the options."""
    url, board = switchboard
    sessions = []

    def make(options: dict[str, Any] | None = None, store: Store | None = None, **company: Any) -> Books:
        store = store or Store(None)
        clock = Clock(store, fixed=NOW)
        chosen = QuickBooksOptions(**(options or {}))
        seed_company(store, clock, name="Acme", realm_id=chosen.realm_id, **company)
        board.app = Starlette(routes=routes(store, clock, chosen))
        session = requests.Session()
        sessions.append(session)
        books = Books(url, store, clock, chosen, session, chosen.refresh_token)
        books.connect()
        return books

    yield make
    for session in sessions:
        session.close()


@pytest.fixture
def books(open_books: Callable[..., Books]) -> Books:
    """A US company with two customers and two items."""
    return with_trade(open_books())


def with_trade(books: Books) -> Books:
    income = income_account(books.store)
    books.seed(
        "Item",
        {"Name": "Services", "Type": "Service", "IncomeAccountRef": income, "UnitPrice": 100},
        {"Name": "Widget", "Sku": "W-1", "Type": "NonInventory", "IncomeAccountRef": income, "UnitPrice": 9},
    )
    net_30 = next(term["Id"] for term in books.store.documents("quickbooks.Term").values() if term["Name"] == "Net 30")
    books.seed(
        "Customer",
        {
            "DisplayName": "O'Brien & Søns",
            "SalesTermRef": {"value": net_30},
            "BillAddr": {"Line1": "1 Main St", "City": "Springfield"},
            "PrimaryEmailAddr": {"Address": "ap@obrien.example"},
        },
        {"DisplayName": "Müller GmbH"},
    )
    return books


def invoice_of(customer: str = "1", *amounts: str, **more: Any) -> dict[str, Any]:
    """The smallest invoice."""
    return {
        "CustomerRef": {"value": customer},
        "Line": [
            {
                "DetailType": "SalesItemLineDetail",
                "Amount": Decimal(amount),
                "SalesItemLineDetail": {"ItemRef": {"value": "1"}, "TaxCodeRef": {"value": "NON"}},
            }
            for amount in amounts or ("100.00",)
        ],
        **more,
    }


def payment_of(total: str, *links: tuple[str, str, str], customer: str = "1", **more: Any) -> dict[str, Any]:
    """A payment; links are (type, id, amount)."""
    return {
        "CustomerRef": {"value": customer},
        "TotalAmt": Decimal(total),
        "Line": [
            {"Amount": Decimal(amount), "LinkedTxn": [{"TxnId": txn_id, "TxnType": kind}]} for kind, txn_id, amount in links
        ],
        **more,
    }
