"""Gates: pure functions over frames that say, in a sentence, whether something holds that must hold before anything is pushed.

The shells that Dagster runs read the frames and report the outcome on the asset that the gate protects. The same checks run
twice: before a plan reaches the ledger, and again in the run that pushes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import dagster as dg
import polars as pl

from qbsf_pipeline.errors import SYSTEM_NAMES
from qbsf_pipeline.money import parse_json
from qbsf_pipeline.settings import GateRules, PullRules
from qbsf_pipeline.state.ledger import LedgerEntry


@dataclass(frozen=True)
class GateOutcome:
    """Whether a gate is open, the sentence that says why, and figures for the UI."""

    name: str
    open: bool
    text: str
    figures: Mapping[str, Any] = field(default_factory=dict)


# Gates over what was pulled


def sources_are_fresh(watermarks: pl.DataFrame, system: str, rules: GateRules, now: datetime) -> GateOutcome:
    """A system was read within ``fresh_within_minutes``; one pull writes all of its tables together.

    The sentence stays the same while nothing is read, so that a gate that stays closed is told once.

    Args:
        watermarks: table_name, pulled_at (UTC).
    """
    name = f"{system}_is_fresh"
    rows = watermarks.filter(pl.col("table_name").str.starts_with(f"{system}."))
    if rows.is_empty():
        return GateOutcome(name, False, f"{SYSTEM_NAMES[system]} was never read. Run qbsf sync.")
    newest = rows.get_column("pulled_at").max()
    age = now - newest if isinstance(newest, datetime) else timedelta.max
    fresh = age <= timedelta(minutes=rules.fresh_within_minutes)
    minutes = int(age.total_seconds() // 60)
    read_at = f"{newest:%Y-%m-%d %H:%M} UTC" if isinstance(newest, datetime) else "never"
    allowed = f"at most {rules.fresh_within_minutes} minutes ago is allowed"
    text = f"{SYSTEM_NAMES[system]} was last read at {read_at}; {allowed}." + ("" if fresh else " Run qbsf sync.")
    return GateOutcome(name, fresh, text, {"minutes": minutes})


def sources_lost_no_rows(watermarks: pl.DataFrame, system: str, rules: PullRules) -> GateOutcome:
    """No complete read of a system's tables found suspiciously fewer rows than the warehouse holds.

    Args:
        watermarks: table_name, rows_lost, rows_before.
    """
    name = f"{system}_lost_no_rows"
    lost = watermarks.filter(pl.col("table_name").str.starts_with(f"{system}.") & (pl.col("rows_lost") > 0))
    if lost.is_empty():
        return GateOutcome(name, True, f"No table of {SYSTEM_NAMES[system]} lost rows.")
    found = ", ".join(
        f"{row['table_name']} lost {row['rows_lost']} of {row['rows_before']} rows" for row in lost.sort("table_name").to_dicts()
    )
    text = (
        f"{found} in the last full read. Missing permissions look like this. If the records are really gone, raise "
        f"pull.largest_shrink_share (now {rules.largest_shrink_share}) in QBSF_CONFIG for one pass."
    )
    return GateOutcome(name, False, text, {"tables": lost.height})


def ids_are_unique(frame: pl.DataFrame, name: str, what: str) -> GateOutcome:
    """The column ``id`` holds no value twice."""
    doubles = frame.group_by("id").len().filter(pl.col("len") > 1)
    text = (
        f"{frame.height} {what}, each id once." if doubles.is_empty() else f"{doubles.height} ids of {what} occur more than once."
    )
    return GateOutcome(name, doubles.is_empty(), text, {"rows": frame.height})


# Gates over a plan


def keys_are_unique(plan: pl.DataFrame) -> GateOutcome:
    """No write is planned twice."""
    doubles = plan.group_by("key").len().filter(pl.col("len") > 1)
    text = f"{plan.height} writes, each once." if doubles.is_empty() else f"{doubles.height} writes are planned more than once."
    return GateOutcome("no_write_is_planned_twice", doubles.is_empty(), text, {"writes": plan.height})


def each_record_is_written_once(plan: pl.DataFrame) -> GateOutcome:
    """No record is changed by two writes of one plan: the second would undo the first or be stale. Two records that are to be
    created with the same content count as one."""
    targets = plan.select("target_object", pl.col("payload").map_elements(_record_of, return_dtype=pl.String).alias("record"))
    doubles = targets.group_by("target_object", "record").len().filter(pl.col("len") > 1)
    text = (
        f"{plan.height} records to change, each by one write."
        if doubles.is_empty()
        else f"{doubles.height} records would be changed by more than one write."
    )
    return GateOutcome("each_record_is_written_once", doubles.is_empty(), text, {"writes": plan.height})


def _record_of(payload: str) -> str:
    record_id = parse_json(payload).get("Id")
    return payload if record_id is None else str(record_id)


def receivables_are_explained(invoices: pl.DataFrame, rules: GateRules) -> GateOutcome:
    """What was applied to invoices gives the balances that QuickBooks says, but for few of them: those are left out by the plan
    and told one by one. Many at once mean that something was not read, and then nobody knows what is owed.

    Args:
        invoices: invoice_id, doc_number, open, balance, currency, explained, of everything that is owed or was.
    """
    wrong = invoices.filter(~pl.col("explained").fill_null(True))
    share = wrong.height / invoices.height if invoices.height else 0.0
    named = [
        f"invoice {number or invoice_id} has {open_} open by its payments and credits, and {balance} {currency or ''}".rstrip()
        for invoice_id, number, open_, balance, currency in wrong.select(
            "invoice_id", "doc_number", "open", "balance", "currency"
        ).iter_rows()
    ]
    figures = {"invoices": invoices.height, "unexplained": wrong.height}
    name = "receivables_are_explained"
    if not named:
        return GateOutcome(name, True, f"{invoices.height} invoices, each with the balance that was applied to it.", figures)
    found = f"QuickBooks says another balance for {wrong.height} of {invoices.height} invoices: {some(named)} there"
    if wrong.height <= rules.max_unexplained or share <= rules.max_unexplained_share:
        return GateOutcome(name, True, f"{found}. Their deals are left out.", figures)
    limit = f"at most {rules.max_unexplained}, or {rules.max_unexplained_share:.0%}, are left out one by one"
    return GateOutcome(name, False, f"{found}. {limit[0].upper()}{limit[1:]}. Read everything again: qbsf sync --full", figures)


def not_begun_yet(plan: pl.DataFrame, known: Mapping[str, LedgerEntry]) -> pl.DataFrame:
    """The writes of a plan that a push may still begin: what is done or on its way is no longer a question for a gate."""
    begun = [key for key, entry in known.items() if entry.status in ("done", "sending")]
    return plan.filter(~pl.col("key").is_in(begun))


def some(names: list[str], most: int = 5) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


# Dagster's shells


def check_result(outcome: GateOutcome, asset: dg.AssetKey) -> dg.AssetCheckResult:
    """A gate as Dagster reports it, on the asset that it protects."""
    return dg.AssetCheckResult(
        check_name=outcome.name,
        asset_key=asset,
        passed=outcome.open,
        description=outcome.text,
        metadata={"found": outcome.text, **outcome.figures},
    )


def check_spec(name: str, asset: dg.AssetKey, description: str) -> dg.AssetCheckSpec:
    """A blocking check of that name; ``description`` says what it protects."""
    return dg.AssetCheckSpec(name, asset=asset, blocking=True, description=description)
