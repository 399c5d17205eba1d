"""The whole pipeline on a real Dagster instance, against a sandbox over HTTP: what tests of assets, sensors and gates drive."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from dagster._core.storage.defs_state.base import set_defs_state_storage
from dagster._core.storage.event_log import InMemoryEventLogStorage
from sqlalchemy import Connection

from qbsf_pipeline.resources import Doors
from qbsf_pipeline.sandbox.server import SandboxControl, SandboxProcess
from qbsf_pipeline.settings import Environment, Settings, load_settings
from qbsf_pipeline.warehouse.connection import Warehouse, read_table
from qbsf_pipeline.warehouse.tables import TableSchema

#: Fewer messages than the sample company has problems: Slack takes one a second.
FEW_MESSAGES = "[slack]\nsingle_failures = 9\n"


def clear_environment(patch: pytest.MonkeyPatch) -> None:
    """Take every variable of the program out of the environment."""
    for name in Environment.model_fields:
        patch.delenv(name.upper(), raising=False)


#: What only the UI shows, and the half of all that a run says.
_SHOWN_ONLY = {
    dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    dg.DagsterEventType.STEP_OUTPUT,
    dg.DagsterEventType.RESOURCE_INIT_STARTED,
    dg.DagsterEventType.RESOURCE_INIT_SUCCESS,
}


class _HeldEventLog(InMemoryEventLogStorage):
    """Dagster's event log in memory, by the one connection that it holds anyway instead of a new one for each question, and
    without what only the UI shows."""

    # Both are made by Dagster's own class, whose instances become ours.
    _known: set[str]
    _held_lock: threading.RLock

    @contextmanager
    def _connect(self) -> Iterator[Connection]:
        with self._held_lock:
            if self._held_conn.in_transaction():
                yield self._held_conn
            else:
                with self._held_conn.begin():
                    yield self._held_conn

    def store_event(self, event: dg.EventLogEntry) -> None:
        if event.dagster_event_type not in _SHOWN_ONLY:
            super().store_event(event)

    def has_table(self, table_name: str) -> bool:
        if table_name not in self._known and super().has_table(table_name):
            self._known.add(table_name)
        return table_name in self._known

    def _has_asset_key_col_on_connection(self, conn: Connection, column_name: str) -> bool:
        return True


def instance_in_memory() -> dg.DagsterInstance:
    """A Dagster instance that lasts as long as the test."""
    with pytest.MonkeyPatch.context() as patch:
        # Which migration it stands at matters to nobody, and takes longer to find out than many a test.
        for kind in ("event_log", "runs"):
            patch.setattr(f"dagster._core.storage.{kind}.in_memory.stamp_alembic_rev", lambda *_: None)
        instance = dg.DagsterInstance.ephemeral()
    storage: Any = instance.event_log_storage
    storage.__class__ = _HeldEventLog
    storage._known, storage._held_lock = set(), threading.RLock()
    return instance


class Pipeline:
    """One home, one Dagster instance, and services where a test needs them.

    ``rules`` and ``mode`` change the settings from here on; ``run`` runs a job in process; ``tick`` evaluates a sensor.
    """

    def __init__(
        self,
        home: Path,
        patch: pytest.MonkeyPatch,
        sandbox: SandboxProcess | None = None,
        instance: dg.DagsterInstance | None = None,
    ) -> None:
        self.home = home
        self.instance = instance or instance_in_memory()
        self._sandbox = sandbox
        self._patch = patch
        self._doors: Doors | None = None
        self._built: tuple[Settings, dg.Definitions] | None = None
        home.mkdir(parents=True, exist_ok=True)
        clear_environment(patch)
        for name, value in (sandbox.environment() if sandbox is not None else {}).items():
            patch.setenv(name, value)
        patch.setenv("QBSF_HOME", str(home))
        patch.setenv("QBSF_CONFIG", str(home / "rules.toml"))
        self.mode("sandbox")
        self.rules("")
        logging.getLogger("dagster").setLevel(logging.CRITICAL)
        warnings.simplefilter("ignore", dg.BetaWarning)

    def mode(self, mode: str) -> None:
        self._patch.setenv("QBSF_MODE", mode)
        self._doors = None

    def rules(self, text: str) -> None:
        """Rules laid over the packaged ones (TOML), in place of earlier ones."""
        (self.home / "rules.toml").write_text(FEW_MESSAGES + text, encoding="utf-8")
        self._doors = None

    @property
    def control(self) -> SandboxControl:
        assert self._sandbox is not None, "this pipeline has no services"
        return self._sandbox.control

    @property
    def settings(self) -> Settings:
        return load_settings()

    @property
    def doors(self) -> Doors:
        if self._doors is None:
            self._doors = Doors(self.settings, Warehouse(self.settings.environment.warehouse_path))
        return self._doors

    @property
    def definitions(self) -> dg.Definitions:
        from qbsf_pipeline.definitions import build

        settings = self.settings
        if self._built is None or self._built[0] != settings:
            self._built = settings, build(settings, console_level="CRITICAL")
        return self._built[1]

    def run(self, job: str, *only: str, full: bool = False, tags: dict[str, str] | None = None) -> dg.ExecuteInProcessResult:
        """Run a job, or ``only`` these of its assets (``schema/name``), and hand back what happened."""
        config: dict[str, Any] = {"loggers": {"console": {}}}
        if full:
            config["ops"] = {op: {"config": {"full": True}} for op in ("pull_salesforce", "pull_quickbooks")}
        return self.definitions.resolve_job_def(job).execute_in_process(
            run_config=config,
            instance=self.instance,
            tags=tags,
            raise_on_error=False,
            asset_selection=[dg.AssetKey(key.split("/")) for key in only] or None,
        )

    def run_as_of(self, job: str, plan: str, day: str, *only: str) -> dg.ExecuteInProcessResult:
        """Run ``only`` these assets of a job, with a day that counts as today for the op ``plan``."""
        return self.definitions.resolve_job_def(job).execute_in_process(
            run_config={"loggers": {"console": {}}, "ops": {plan: {"config": {"as_of": day}}}},
            instance=self.instance,
            raise_on_error=False,
            asset_selection=[dg.AssetKey(key.split("/")) for key in only],
        )

    def tick(self, sensor: str) -> dg.RunRequest | dg.SkipReason:
        """What a sensor says now."""
        definitions = self.definitions
        # Dagster keeps the newest instance of a process in a variable; one that another test left behind may be gone already.
        with set_defs_state_storage(None):
            found = definitions.get_repository_def().get_sensor_def(sensor)
        with dg.build_sensor_context(
            instance=self.instance, definitions=definitions, sensor_name=sensor, resources=definitions.resources
        ) as context:
            return found(context)

    def tick_schedule(self, schedule: str) -> dg.RunRequest | dg.SkipReason:
        """What a schedule says now."""
        definitions = self.definitions
        with set_defs_state_storage(None):
            found = definitions.get_repository_def().get_schedule_def(schedule)
        with dg.build_schedule_context(instance=self.instance, resources=definitions.resources) as context:
            return found(context)

    def table(self, table: TableSchema) -> pl.DataFrame:
        with self.doors.warehouse.connection() as connection:
            return read_table(connection, table)

    def put(self, table: TableSchema, frame: pl.DataFrame) -> None:
        """Make ``frame`` the content of a warehouse table."""
        from qbsf_pipeline.warehouse.connection import replace_rows

        with self.doors.warehouse.transaction() as connection:
            replace_rows(connection, table, frame)

    def writes_to_quickbooks(self) -> int:
        """Calls by which QuickBooks could have been changed."""
        counts = self.control.call_counts()
        names = ("batch", "create", "update", "send", "void", "delete")
        return sum(number for (service, endpoint), number in counts.items() if service == "quickbooks" and endpoint in names)

    def waiting_texts(self) -> list[str]:
        """What waits in the outbox, as a reader would see it."""
        return [rendered(entry.message) for entry in self.doors.state.outbox.pending()]

    def __enter__(self) -> Pipeline:
        self.instance.__enter__()
        return self

    def __exit__(self, *reason: Any) -> None:
        self.instance.__exit__(None, None, None)


def rendered(message: Any) -> str:
    """All mrkdwn of a message, block by block."""
    return "\n".join(block["text"]["text"] for block in message.blocks)


def materialized(result: dg.ExecuteInProcessResult) -> set[str]:
    """The assets that a run materialized."""
    return {"/".join(event.asset_key.path) for event in result.get_asset_materialization_events() if event.asset_key is not None}


def closed(result: dg.ExecuteInProcessResult) -> set[str]:
    """The checks that did not pass in a run."""
    return {one.check_name for one in result.get_asset_check_evaluations() if not one.passed}
