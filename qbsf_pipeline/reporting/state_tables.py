"""What of the state database analysts see: writes, failures, reviews, links, the journal of fields, and the steps of passes,
copied into schema ``pipeline``."""

from __future__ import annotations

from datetime import datetime, timedelta

import duckdb
import polars as pl

from qbsf_pipeline.money import to_json
from qbsf_pipeline.state.database import State
from qbsf_pipeline.warehouse.connection import append_rows, ensure_table, frame_of, read_table, replace_rows
from qbsf_pipeline.warehouse.raw import upsert_rows
from qbsf_pipeline.warehouse.tables import AMOUNT, TIMESTAMP, Column, TableSchema

LEDGER = TableSchema(
    "pipeline",
    "ledger",
    (
        Column("key", pl.String, "What makes this write the same write"),
        Column("plan_id", pl.String, "Plan that it belongs to"),
        Column("flow", pl.String, "Flow"),
        Column("operation", pl.String, "Kind of write"),
        Column("target_system", pl.String, "quickbooks or salesforce"),
        Column("target_object", pl.String, "Object that is written"),
        Column("source_id", pl.String, "Salesforce record that it comes from"),
        Column("opportunity_id", pl.String, "Deal"),
        Column("status", pl.String, "planned, sending, done, failed, dead or withdrawn"),
        Column("attempts", pl.Int64, "Times that it was sent"),
        Column("error_code", pl.String, "Last error code of the service"),
        Column("error_message", pl.String, "Last error in words"),
        Column("result_id", pl.String, "Id of what was written"),
        Column("amount", AMOUNT, "Amount of an invoice, in currency"),
        Column("currency", pl.String, "ISO code of amount"),
        Column("reason", pl.String, "Why it is written"),
        Column("created_at", TIMESTAMP, "First planned (UTC)"),
        Column("updated_at", TIMESTAMP, "Last changed (UTC)"),
        Column("done_at", TIMESTAMP, "Carried out (UTC)"),
    ),
    ("key",),
    "Every write that was ever planned, and what became of it. A row is one write.",
)
FAILURES = TableSchema(
    "pipeline",
    "failures",
    (
        Column("failure_id", pl.String, "Short id, for qbsf failures"),
        Column("kind", pl.String, "refused: the deal must be mended; failed: a service refused a write"),
        Column("source_id", pl.String, "Salesforce record"),
        Column("label", pl.String, "Name of the record"),
        Column("status", pl.String, "open, resolved or dismissed"),
        Column("reasons", pl.String, "Reasons in words"),
        Column("first_seen_at", TIMESTAMP, "Since when (UTC)"),
        Column("last_seen_at", TIMESTAMP, "Last seen (UTC)"),
    ),
    ("failure_id",),
    "Records that need a person, or did. A row is one record with a problem.",
)
REVIEWS = TableSchema(
    "pipeline",
    "reviews",
    (
        Column("review_id", pl.String, "Short id, for qbsf review"),
        Column("account_id", pl.String, "Salesforce account"),
        Column("account_name", pl.String, "Its name"),
        Column("status", pl.String, "open, linked, create, ignored or closed"),
        Column("question", pl.String, "What is to be decided"),
        Column("deals_waiting", pl.Int64, "Won deals that wait for the decision"),
        Column("opened_at", TIMESTAMP, "Since when (UTC)"),
        Column("decided_at", TIMESTAMP, "When it was decided (UTC)"),
        Column("decided_by", pl.String, "Who decided"),
    ),
    ("review_id",),
    "Customer matches that wait, or waited, for a person. A row is one account.",
)
CUSTOMER_LINKS = TableSchema(
    "pipeline",
    "customer_links",
    (
        Column("account_id", pl.String, "Salesforce account"),
        Column("customer_id", pl.String, "QuickBooks customer"),
        Column("method", pl.String, "How the link was found; person where somebody named it"),
        Column("score", AMOUNT, "How sure the rules were, 0 to 1; null where an id or a person said so"),
        Column("evidence", pl.String, "What was compared, field by field (JSON object)"),
        Column("rule_version", pl.String, "Version of the rules that decided"),
        Column("decided_by", pl.String, "Who or what decided"),
        Column("decided_at", TIMESTAMP, "When (UTC)"),
    ),
    ("account_id", "customer_id"),
    "Links in force between accounts and customers. A row is one account and one of its customers.",
)
FIELD_JOURNAL = TableSchema(
    "pipeline",
    "field_journal",
    (
        Column("journal_id", pl.String, "Short id, for qbsf review reverse"),
        Column("account_id", pl.String, "Salesforce account"),
        Column("account_name", pl.String, "Its name"),
        Column("customer_id", pl.String, "QuickBooks customer"),
        Column("customer_name", pl.String, "Its name"),
        Column("field", pl.String, "Field that differed"),
        Column("owner", pl.String, "salesforce or quickbooks"),
        Column("salesforce_value", pl.String, "Value in Salesforce when it was found (JSON)"),
        Column("quickbooks_value", pl.String, "Value in QuickBooks when it was found (JSON)"),
        Column("agreed_value", pl.String, "What both had meant when they last agreed (JSON)"),
        Column("winner", pl.String, "salesforce, quickbooks or none"),
        Column("kind", pl.String, "What kind of difference"),
        Column("rule", pl.String, "Why, as a sentence"),
        Column("changed_by", pl.String, "Who changed it, where it is known"),
        Column("changed_at", TIMESTAMP, "When it was changed there (UTC)"),
        Column("status", pl.String, "planned, written, reported, refused or withdrawn"),
        Column("seen_at", TIMESTAMP, "When it was found (UTC)"),
        Column("settled_at", TIMESTAMP, "When it was written, refused or withdrawn (UTC)"),
        Column("reversed_by", pl.String, "Who wanted the other value back"),
        Column("reversed_at", TIMESTAMP, "Since when (UTC)"),
    ),
    ("journal_id",),
    "Every difference of a field that was found, and what became of it. A row is one field of one customer, once.",
)
PASSES = TableSchema(
    "pipeline",
    "passes",
    (
        Column("pass_id", pl.Int64, "Rises with every step"),
        Column("run_id", pl.String, "Dagster's run; null for a step that is under way or was killed"),
        Column("flow", pl.String, "Flow"),
        Column("step", pl.String, "plan, enqueue, push, or what is pulled"),
        Column("mode", pl.String, "sandbox, dry_run, approve or live"),
        Column("begun_at", TIMESTAMP, "When it began (UTC)"),
        Column("ended_at", TIMESTAMP, "When it ended (UTC); null while it runs, and for ever if it was killed"),
        Column("outcome", pl.String, "done or failed; null as ended_at"),
        Column("counts", pl.String, "Its counts, in words of the flow (JSON object)"),
        Column("api_calls", pl.String, "Calls by service.kind (JSON object)"),
    ),
    ("pass_id",),
    "Steps of passes that called a service or decided something. A row is one step.",
)
#: A step that has not ended by then was killed, and is not looked at again.
_STEP_ENDS = timedelta(days=1)
#: A process that read its clock before another one did may write after it.
_CLOCKS_DIFFER = timedelta(hours=6)


def copy_state(connection: duckdb.DuckDBPyConnection, state: State) -> dict[str, int]:
    """Bring the tables in step with what the state database holds now. Returns rows by table."""
    failures = [
        {
            "failure_id": failure.failure_id,
            "kind": failure.problem.kind,
            "source_id": failure.problem.source_id,
            "label": failure.problem.label,
            "status": failure.status,
            "reasons": " ".join(reason.text for reason in failure.problem.reasons),
            "first_seen_at": failure.opened_at,
            "last_seen_at": failure.seen_at,
        }
        for failure in state.failures.list(None)
    ]
    reviews = [{name: getattr(review, name) for name in REVIEWS.polars_schema} for review in state.reviews.list(None)]
    links = [
        {name: getattr(link, name) for name in CUSTOMER_LINKS.polars_schema} | {"evidence": to_json(dict(link.evidence))}
        for link in state.links.all_customers()
    ]
    journal = [{name: getattr(entry, name) for name in FIELD_JOURNAL.polars_schema} for entry in state.journal.list()]
    copied = {
        FAILURES: failures,
        REVIEWS: reviews,
        CUSTOMER_LINKS: links,
        FIELD_JOURNAL: journal,
    }
    for table, rows in copied.items():
        ensure_table(connection, table)
        frame = table.frame(rows)
        if not read_table(connection, table).equals(frame):
            replace_rows(connection, table, frame)
    counts = {table.name: len(rows) for table, rows in copied.items()}
    return {LEDGER.name: _copy_ledger(connection, state), **counts, PASSES.name: _copy_passes(connection, state)}


def _copy_ledger(connection: duckdb.DuckDBPyConnection, state: State) -> int:
    """Bring over the writes that changed since the last copy; all of them where that does not give as many as there are, as
    after old ages were forgotten or an older state was restored. Returns all rows."""
    ensure_table(connection, LEDGER)
    name, there = LEDGER.qualified_name, state.ledger.size()
    (newest,) = connection.execute(f"SELECT max(updated_at) FROM {name}").fetchone() or (None,)
    if newest is not None:
        since = newest - _CLOCKS_DIFFER
        changed = LEDGER.frame(state.ledger.as_rows(since=since))
        names = ", ".join(f'"{column}"' for column in LEDGER.polars_schema)
        copied_before = f"SELECT {names} FROM {name} WHERE updated_at >= TIMESTAMPTZ '{since.isoformat()}'"
        known = frame_of(connection.sql(copied_before)).cast(LEDGER.polars_schema)
        upsert_rows(connection, LEDGER, changed.join(known, on=known.columns, how="anti", nulls_equal=True))
        (copied,) = connection.execute(f"SELECT count(*) FROM {name}").fetchone() or (0,)
        if copied == there and not changed.is_empty():
            return there
    replace_rows(connection, LEDGER, LEDGER.frame(state.ledger.as_rows()))
    return there


def _copy_passes(connection: duckdb.DuckDBPyConnection, state: State) -> int:
    """Add the steps since the last copy, and those that had not ended then; there are a thousand a day. Returns all rows."""
    ensure_table(connection, PASSES)
    name = PASSES.qualified_name
    newest, begun = connection.execute(f"SELECT max(pass_id), max(begun_at) FROM {name}").fetchall()[0]
    first = _first_unsettled(connection, newest, begun)
    limit = 200
    recent = state.passes.recent(limit=limit)
    while len(recent) == limit and recent[-1].pass_id > first:
        limit *= 8
        recent = state.passes.recent(limit=limit)
    rows = [
        {
            "pass_id": one.pass_id,
            "run_id": one.dagster_run_id,
            "flow": one.flow,
            "step": one.trigger,
            "mode": one.mode,
            "begun_at": one.begun_at,
            "ended_at": one.ended_at,
            "outcome": one.outcome,
            "counts": to_json(one.counts),
            "api_calls": to_json(one.api_calls),
        }
        for one in recent
        if one.pass_id >= first
    ]
    connection.execute(f"DELETE FROM {name} WHERE pass_id >= ?", [first])
    append_rows(connection, PASSES, PASSES.frame(rows))
    return int(connection.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0])


def _first_unsettled(connection: duckdb.DuckDBPyConnection, newest: int | None, begun: datetime | None) -> int:
    """The oldest step that may have changed since it was copied."""
    if newest is None or begun is None:
        return 0
    query = f"SELECT min(pass_id) FROM {PASSES.qualified_name} WHERE ended_at IS NULL AND begun_at > ?"
    oldest = connection.execute(query, [begun - _STEP_ENDS]).fetchall()[0][0]
    return int(newest) + 1 if oldest is None else int(oldest)
