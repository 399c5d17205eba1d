"""What assets are given: the warehouse, the state database and the doors to the three services, as Dagster resources.

Each is opened when an asset asks for it, never when definitions are loaded, so that loading needs no credentials.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, cached_property
from pathlib import Path

import dagster as dg
import duckdb
from dagster_duckdb import DuckDBResource

from qbsf_pipeline.api_meter import ApiMeter
from qbsf_pipeline.errors import ConfigurationError
from qbsf_pipeline.quickbooks.client import QuickBooksClient
from qbsf_pipeline.quickbooks.connection import QuickBooksConnection
from qbsf_pipeline.quickbooks.pace import Pace
from qbsf_pipeline.salesforce.client import SalesforceClient
from qbsf_pipeline.settings import Mode, Settings, is_loopback_url, load_settings
from qbsf_pipeline.slack.client import SlackClient
from qbsf_pipeline.state.database import State
from qbsf_pipeline.warehouse.connection import Warehouse

#: The pool of one that every asset and check that opens the warehouse belongs to.
WAREHOUSE_POOL = "warehouse"


class WarehouseResource(DuckDBResource):
    """``DuckDBResource`` with what it lacks: the file is let go even when the work fails, and waiting is bounded.

    The stock resource keeps the lock of a failed connection until garbage collection, and waits up to 102 s.
    """

    @contextmanager
    def get_connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection to the warehouse, closed in any case."""
        with self.warehouse.connection() as connection:
            yield connection

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[WarehouseResource]:
        """For as long as a run lasts, one step takes over the file from the one before."""
        with self.warehouse.kept_open():
            yield self

    @property
    def warehouse(self) -> Warehouse:
        """The warehouse itself, for code that knows no Dagster."""
        return Warehouse(Path(self.database))


@dataclass
class Doors:
    """Everything a step of the pipeline may reach, opened on first use and metered together.

    Attributes:
        settings: environment and rules.
        warehouse: the DuckDB file.
        meter: counts the calls of this step.
    """

    settings: Settings
    warehouse: Warehouse
    meter: ApiMeter = field(default_factory=ApiMeter)

    @cached_property
    def state(self) -> State:
        """The state database, migrated."""
        environment = self.settings.environment
        return _open_state(environment.state_url, environment.home)

    @cached_property
    def salesforce(self) -> SalesforceClient:
        """The door to Salesforce."""
        self._require()
        return SalesforceClient(self.settings.environment, self.state.tokens.salesforce, self.meter)

    @cached_property
    def quickbooks(self) -> QuickBooksClient:
        """The door to QuickBooks Online."""
        self._require()
        environment, push = self.settings.environment, self.settings.rules.push
        limits = (push.quickbooks_calls_per_second, push.quickbooks_calls_per_minute, push.quickbooks_batches_per_minute)
        pace = _pace(environment.quickbooks_api_base, environment.quickbooks_realm_id or "", *limits)
        connection = QuickBooksConnection(environment, self.state.tokens.quickbooks, self.meter)
        return QuickBooksClient(environment, connection, self.meter, pace)

    @cached_property
    def slack(self) -> SlackClient | None:
        """The door to Slack; ``None`` where nothing may be or can be told (dry_run, or no token)."""
        if not self.settings.mode.writes or self.settings.environment.slack_bot_token is None:
            return None
        return SlackClient(self.settings.environment, self.meter)

    def now(self) -> datetime:
        """This instant (UTC); the only clock that assets use."""
        return datetime.now(UTC)

    def _require(self) -> None:
        self.settings.require_credentials()
        environment = self.settings.environment
        if self.settings.mode is Mode.SANDBOX:
            services = (environment.salesforce_login_url, environment.quickbooks_api_url, environment.slack_api_url)
            if not all(url is not None and is_loopback_url(url) for url in services):
                raise ConfigurationError(
                    [
                        "QBSF_MODE is sandbox, but the built-in services are not running for this process: start it with "
                        "`qbsf dev` or `qbsf sync`, or set QBSF_MODE to dry_run, approve or live for real services"
                    ]
                )


@cache
def _open_state(url: str, home: Path) -> State:
    """One pool of connections for each database and process: a code server opens doors at every tick of every sensor."""
    return State.open(url, home)


@cache
def _pace(api: str, realm: str, per_second: int, per_minute: int, batches_per_minute: int) -> Pace:
    """One pace for each company and process: Intuit counts the calls of the pull and of the push together."""
    return Pace(per_second, per_minute, batches_per_minute)


class DoorsResource(dg.ConfigurableResource["DoorsResource"]):
    """The doors to the state database and to the services, from this process's settings."""

    def open(self, warehouse: WarehouseResource) -> Doors:
        """Fresh doors, with a meter of their own.

        Raises:
            ConfigurationError: a setting is wrong or missing.
        """
        return Doors(load_settings(), warehouse.warehouse)
