"""The two assets by which a flow writes: its plan, pending in the ledger once it has passed its gates, and what was pushed.

Both are the same in every flow but for what is the flow's own, which it hands in.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

import dagster as dg
import polars as pl

from qbsf_pipeline.flows.approval import batch_of
from qbsf_pipeline.flows.messages import Words
from qbsf_pipeline.flows.outages import tell_outages
from qbsf_pipeline.flows.plans import planned_writes
from qbsf_pipeline.flows.problems import entries_to_tell, tell_problems
from qbsf_pipeline.resources import WAREHOUSE_POOL, Doors, DoorsResource, WarehouseResource
from qbsf_pipeline.state.database import State
from qbsf_pipeline.state.failures import Problem
from qbsf_pipeline.state.ledger import LedgerEntry, PlannedWrite
from qbsf_pipeline.steps import deliver_messages, step
from qbsf_pipeline.warehouse.assets import OWNERS, table_key
from qbsf_pipeline.warehouse.connection import read_table
from qbsf_pipeline.warehouse.preview import preview_of
from qbsf_pipeline.warehouse.tables import TableSchema

#: How long a push waits for another one of its flow.
_LONGEST_WAIT_SECONDS = 300.0
#: The push must not wait for Slack's pace of one message a second: what is left goes out after it.
_BEFORE_PUSH_SECONDS = 2.0
_MOST_HELD_SHOWN = 50


class Outcome(Protocol):
    """What the push of every flow says of itself.

    ``held``: (key, why) of writes that were left alone. ``unavailable``: by system, why the push had to stop calling it.
    """

    @property
    def held(self) -> Sequence[tuple[str, str]]: ...
    @property
    def unavailable(self) -> Mapping[str, str]: ...


Read = TypeVar("Read")
Pushed = TypeVar("Pushed", bound=Outcome)


def pending_key(flow: str) -> dg.AssetKey:
    """The asset of a plan that is in the ledger."""
    return dg.AssetKey([flow, "pending"])


def pushed_key(flow: str) -> dg.AssetKey:
    """The asset of what was pushed."""
    return dg.AssetKey([flow, "pushed"])


def push_lock(flow: str) -> str:
    """The name of the lock that a push of a flow holds."""
    return f"push {flow}"


def every_planned(_state: State, writes: Sequence[PlannedWrite]) -> set[str]:
    """Keys of the writes that a plan leaves in the queue, where it names all that shall be done."""
    return {write.key for write in writes}


@dataclass(frozen=True)
class Pending(Generic[Read]):
    """What is a flow's own when its plan becomes pending.

    Attributes:
        plan: the table of its plan.
        deps: what the asset depends on.
        description: what people read of the asset.
        read: what else it needs, once, before anything is changed.
        record: what it remembers in the transaction in which the plan reaches the ledger, so that no pass sees the one
            without the other; its counts for people.
        tell: what follows once that is kept, above all what people are told; its counts for people.
        keep: keys of what stays in the queue; what waits and is not among them is withdrawn.
        hold_back: why nothing may become pending, as metadata; ``None`` where it may.
    """

    plan: TableSchema
    deps: Sequence[dg.AssetKey]
    description: str
    read: Callable[[Doors], Read]
    record: Callable[[Doors, Read, datetime], Mapping[str, int]]
    tell: Callable[[Doors, pl.DataFrame, Read, datetime], Mapping[str, int]]
    keep: Callable[[State, Sequence[PlannedWrite]], Collection[str]] = every_planned
    hold_back: Callable[[Doors, Read, datetime], Mapping[str, Any] | None] = lambda _opened, _read, _now: None


def pending_asset(flow: str, own: Pending[Read]) -> dg.AssetsDefinition:
    """The asset ``{flow}/pending``: the plan in the ledger, and people told of what concerns them."""

    @dg.asset(
        key=pending_key(flow),
        deps=own.deps,
        group_name=flow,
        kinds={"sqlite"},
        owners=OWNERS,
        description=own.description,
        pool=WAREHOUSE_POOL,
    )
    def pending(
        context: dg.AssetExecutionContext, doors: DoorsResource, warehouse: WarehouseResource
    ) -> dg.MaterializeResult[None]:
        opened = doors.open(warehouse)
        if not opened.settings.mode.writes:
            return dg.MaterializeResult(metadata={"mode": "dry_run: nothing becomes pending"})
        state, now = opened.state, opened.now()
        read = own.read(opened)
        held_back = own.hold_back(opened, read, now)
        if held_back is not None:
            return dg.MaterializeResult(metadata=held_back)
        with step(opened, flow, "enqueue", context.run_id) as report:
            with opened.warehouse.connection() as connection:
                plan = read_table(connection, own.plan)
            writes = planned_writes(plan)
            batch = batch_of([write.plan_id for write in writes])
            with state.transaction():
                enqueued = state.ledger.enqueue(writes, batch, now)
                withdrawn = state.ledger.withdraw(flow, own.keep(state, writes), now)
                recorded = own.record(opened, read, now)
            report.counts = {
                "new writes": enqueued.new,
                "refreshed": enqueued.refreshed,
                "withdrawn": len(withdrawn),
                **recorded,
                **own.tell(opened, plan, read, now),
            }
            deliver_messages(opened, budget_seconds=_BEFORE_PUSH_SECONDS)
        return dg.MaterializeResult(metadata={"plan": batch, "dagster/row_count": plan.height, **report.counts})

    return pending


@dataclass(frozen=True)
class Pushing(Generic[Pushed]):
    """What is a flow's own when it pushes.

    Attributes:
        deps: what the asset depends on, beside what is pending.
        kinds: the systems that it writes to.
        description: what people read of the asset.
        push: carries out what is pending; only one process at a time comes to this.
        tell: tells people, and says in counts what was done.
        written: how many records hold what was planned because of this push.
        shown: what was written, for the UI; ``None`` where there is nothing to show.
    """

    deps: Sequence[dg.AssetKey]
    kinds: set[str]
    description: str
    push: Callable[[Doors], Pushed]
    tell: Callable[[Doors, Pushed], Mapping[str, int]]
    written: Callable[[Pushed], int]
    shown: Callable[[Doors, Pushed], pl.DataFrame] | None = None


def pushed_asset(flow: str, own: Pushing[Pushed]) -> dg.AssetsDefinition:
    """The asset ``{flow}/pushed``: carries out what is pending, then tells people.

    In a mode that may not write its run fails.
    """

    @dg.asset(
        key=pushed_key(flow),
        deps=[pending_key(flow), *own.deps],
        group_name=flow,
        kinds=own.kinds,
        owners=OWNERS,
        description=own.description,
        pool=WAREHOUSE_POOL,
    )
    def pushed(
        context: dg.AssetExecutionContext, doors: DoorsResource, warehouse: WarehouseResource
    ) -> dg.MaterializeResult[None]:
        opened = doors.open(warehouse)
        if not opened.settings.mode.writes:
            raise dg.Failure("QBSF_MODE is dry_run: nothing is written to any system", allow_retries=False)
        with step(opened, flow, "push", context.run_id) as report:
            with opened.state.exclusive(push_lock(flow), _LONGEST_WAIT_SECONDS):
                outcome = own.push(opened)
            tell_outages(opened, flow, outcome.unavailable)
            report.counts = dict(own.tell(opened, outcome))
            deliver_messages(opened)
        held = [dg.TableRecord({"write": key, "why": why}) for key, why in outcome.held[:_MOST_HELD_SHOWN]]
        shown = {} if own.shown is None else {"preview": preview_of(own.shown(opened, outcome))}
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": own.written(outcome),
                **shown,
                "held": dg.MetadataValue.table(held, schema=dg.TableSchema([dg.TableColumn("write"), dg.TableColumn("why")])),
                **report.counts,
            }
        )

    return pushed


def tell_refusals(
    opened: Doors,
    flow: str,
    words: Words,
    plan: TableSchema,
    refusals: TableSchema,
    problems_of: Callable[[pl.DataFrame, Sequence[LedgerEntry], str], Sequence[Problem]],
) -> int:
    """Tell of what was refused before anything was sent, and of writes of the newest plan that services refused.

    Returns how many records need a person now.
    """
    with opened.warehouse.connection() as connection:
        refused = read_table(connection, refusals)
        planned = set(read_table(connection, plan, ["key"]).get_column("key").to_list())
    entries = [entry for entry in entries_to_tell(opened.state, flow) if entry.key in planned]
    problems = problems_of(refused, entries, opened.salesforce.instance_url)
    return tell_problems(opened.state, opened.settings, problems, flow, words, opened.now())


def plan_results(
    tables: Iterable[TableSchema], frames: Mapping[str, pl.DataFrame], *unshown: str
) -> Iterable[dg.MaterializeResult[None]]:
    """What a plan step says of its tables, with a look at their first rows.

    Args:
        frames: by table name.
        unshown: columns that say nothing to people.
    """
    for table in tables:
        frame = frames[table.name]
        shown = frame.drop("payload", "decided_from", *unshown, strict=False)
        yield dg.MaterializeResult(
            asset_key=table_key(table), metadata={"dagster/row_count": frame.height, "preview": preview_of(shown)}
        )
