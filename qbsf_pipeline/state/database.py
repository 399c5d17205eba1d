"""Opens the state database: SQLite by default, PostgreSQL by URL; makes and migrates it.

Belongs here: the engine, the migrations and the one object that holds the stores. Does not belong here: any table.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from qbsf_pipeline.errors import ConfigurationError
from qbsf_pipeline.state.agreements import Agreements
from qbsf_pipeline.state.approvals import Approvals
from qbsf_pipeline.state.billing_schedules import BillingSchedules
from qbsf_pipeline.state.cache import Cache
from qbsf_pipeline.state.cleansing import Cleansing
from qbsf_pipeline.state.crossings import Crossings
from qbsf_pipeline.state.deal_payments import DealPayments
from qbsf_pipeline.state.failures import Failures
from qbsf_pipeline.state.identity import Identity
from qbsf_pipeline.state.journal import Journal
from qbsf_pipeline.state.ledger import Ledger
from qbsf_pipeline.state.links import Links
from qbsf_pipeline.state.locks import AdvisoryLocks, FileLocks
from qbsf_pipeline.state.month_closings import MonthClosings
from qbsf_pipeline.state.month_end_differences import MonthEndDifferences
from qbsf_pipeline.state.month_end_reports import MonthEndReports
from qbsf_pipeline.state.outbox import Outbox
from qbsf_pipeline.state.passes import Passes
from qbsf_pipeline.state.payment_events import PaymentEvents
from qbsf_pipeline.state.rejections import Rejections
from qbsf_pipeline.state.reminders import Reminders
from qbsf_pipeline.state.reviews import Reviews
from qbsf_pipeline.state.services import Services
from qbsf_pipeline.state.slack_users import SlackUsers
from qbsf_pipeline.state.tasks import Tasks
from qbsf_pipeline.state.tokens import Tokens
from qbsf_pipeline.state.transactions import WRITES, StateBusy, Transactions

__all__ = ["NEWEST_MIGRATION", "State", "StateBusy"]

#: The migration that this program needs. A test holds it equal to the newest file in ``migrations/versions``.
NEWEST_MIGRATION = "0005"

MIGRATIONS = Path(__file__).parent / "migrations"

_BUSY_SECONDS = 30
_MIGRATION_WAIT_SECONDS = 120.0


class State:
    """The state database, open.

    Attributes:
        engine: SQLAlchemy's engine, for reporting.
        ledger, links, rejections, reviews, agreements, journal, approvals, outbox, failures, cleansing, billing_schedules,
            deal_payments, payment_events, crossings, reminders, tasks, month_end_reports, month_closings,
            month_end_differences, slack_users, tokens, passes, services, identity, cache: the stores.
    """

    def __init__(self, engine: Engine, locks: FileLocks | AdvisoryLocks) -> None:
        self.engine = engine
        self._locks = locks
        self._transactions = transactions = Transactions(engine)
        self.ledger = Ledger(transactions)
        self.links = Links(transactions)
        self.rejections = Rejections(transactions)
        self.reviews = Reviews(transactions, self.links, self.rejections)
        self.agreements = Agreements(transactions)
        self.journal = Journal(transactions)
        self.approvals = Approvals(transactions)
        self.outbox = Outbox(transactions)
        self.failures = Failures(transactions, self.ledger)
        self.cleansing = Cleansing(transactions)
        self.billing_schedules = BillingSchedules(transactions)
        self.deal_payments = DealPayments(transactions)
        self.payment_events = PaymentEvents(transactions)
        self.crossings = Crossings(transactions)
        self.reminders = Reminders(transactions)
        self.tasks = Tasks(transactions)
        self.month_end_reports = MonthEndReports(transactions)
        self.month_closings = MonthClosings(transactions)
        self.month_end_differences = MonthEndDifferences(transactions)
        self.slack_users = SlackUsers(transactions)
        self.tokens = Tokens(transactions, self.exclusive)
        self.passes = Passes(transactions)
        self.services = Services(transactions)
        self.identity = Identity(transactions)
        self.cache = Cache(transactions)

    @classmethod
    def open(cls, url: str, home: Path) -> State:
        """Open the database at ``url``, made and migrated where needed; ``home`` is made where it is missing.

        SQLite's lock files stand beside its file: whoever shares the database shares the locks, from any home.

        Processes may open it at the same time.

        Raises:
            ConfigurationError: the URL, its driver or the file cannot be used, or the database was made by a newer
                version of the program.
            StateBusy: another process is still migrating it.
        """
        parsed = _parsed(url)
        try:
            home.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError([f"QBSF_HOME: the folder {home} cannot be made: {error.strerror}"]) from error
        try:
            engine = _sqlite_engine(parsed) if parsed.get_backend_name() == "sqlite" else _postgresql_engine(parsed)
        except (NoSuchModuleError, ModuleNotFoundError) as error:
            raise ConfigurationError(
                [f"QBSF_STATE_URL: the driver for {parsed.drivername} is missing ({error}); install qbsf[postgres]"]
            ) from error
        except (OSError, sqlite3.Error) as error:
            raise ConfigurationError([_unusable(parsed, error)]) from error
        folder = Path(parsed.database or "").absolute().parent
        locks = FileLocks(folder / "locks") if engine.dialect.name == "sqlite" else AdvisoryLocks(engine)
        state = cls(engine, locks)
        try:
            state._migrate()
        except DBAPIError as error:
            engine.dispose()
            raise ConfigurationError([_unusable(parsed, error.orig or error)]) from error
        except BaseException:
            engine.dispose()
            raise
        return state

    def exclusive(self, name: str, wait_seconds: float = 0.0) -> AbstractContextManager[None]:
        """Hold the lock ``name`` for the block, over all processes and threads. It ends with its process, however that
        ends. It cannot be held twice, not by the same thread either.

        Raises:
            StateBusy: somebody else still has it after ``wait_seconds``.
        """
        return self._locks.exclusive(name, wait_seconds)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """What the stores do inside the block becomes one transaction: all of it is committed, or none of it.

        Never call a service inside it. What must be on the disk before a service is called (``ledger.start``, tokens)
        refuses to be part of it.
        """
        with self._transactions.write():
            yield

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    def __enter__(self) -> State:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _migrate(self) -> None:
        if self._version() == NEWEST_MIGRATION:
            return
        with self.exclusive("state migrations", _MIGRATION_WAIT_SECONDS):
            found = self._version()
            if found == NEWEST_MIGRATION:
                return
            # Alembic is slow to import, and needed once in the life of a database.
            from alembic import command
            from alembic.config import Config
            from alembic.util import CommandError

            config = Config()
            config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
            config.attributes["engine"] = self.engine
            try:
                command.upgrade(config, "head")
            except CommandError as error:
                raise ConfigurationError(
                    [
                        f"QBSF_STATE_URL: the state database has version {found}, which this program does not know; "
                        f"it was made by a newer qbsf: install that version or a newer one"
                    ]
                ) from error

    def _version(self) -> str | None:
        with self.engine.connect() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return None
            return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _parsed(url: str) -> URL:
    # Some hosts hand out postgres://, which SQLAlchemy does not know.
    if url.startswith("postgres://"):
        url = "postgresql://" + url.removeprefix("postgres://")
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (ArgumentError, ValueError) as error:
        raise ConfigurationError(
            [
                "QBSF_STATE_URL: must be an SQLAlchemy URL such as sqlite:////var/lib/qbsf/state.sqlite or "
                "postgresql://user:password@host/database"
            ]
        ) from error
    if backend not in ("sqlite", "postgresql"):
        raise ConfigurationError([f"QBSF_STATE_URL: must begin with sqlite:// or postgresql://; found {backend}"])
    if backend == "sqlite" and (not parsed.database or parsed.database == ":memory:"):
        raise ConfigurationError(
            ["QBSF_STATE_URL: must name a file (sqlite:////var/lib/qbsf/state.sqlite): the state must outlive the program"]
        )
    return parsed


def _unusable(url: URL, error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    shown = url.render_as_string(hide_password=True)
    return f"QBSF_STATE_URL: the state database {shown} cannot be used: {lines[0]}"


def _sqlite_engine(url: URL) -> Engine:
    file = Path(url.database or "")
    file.parent.mkdir(parents=True, exist_ok=True)
    # Made with this mode before SQLite makes it with its own: the file holds tokens. Its journal gets the same mode.
    # A file that is there is never opened here: closing it again would drop the locks that other connections of this
    # process hold on it (POSIX), and with them the protection against other processes' writes.
    with suppress(FileExistsError):
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    file.chmod(0o600)
    engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def set_pragmas(connection: Any, record: object) -> None:
        # The driver's own way of beginning transactions is too late for a consistent view.
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout={_BUSY_SECONDS * 1000}")
        _switch_to_wal(connection)
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that will write takes its turn at once: upgrading later could not wait for another writer.
        writes = connection.get_execution_options().get(WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """Write-ahead logging, once for each file. SQLite does not wait for its turn at this one change, so that is done here."""
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() >= deadline:
                raise
            time.sleep(0.05)
        else:
            return


def _postgresql_engine(url: URL) -> Engine:
    return create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": 10})
