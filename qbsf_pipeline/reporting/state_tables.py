"""What of the state database analysts see: the writes, the failures and the reviews, copied into schema ``pipeline``."""

from __future__ import annotations

import duckdb
import polars as pl

from qbsf_pipeline.state.database import State
from qbsf_pipeline.warehouse.connection import replace_rows
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


def copy_state(connection: duckdb.DuckDBPyConnection, state: State) -> dict[str, int]:
    """Replace the three tables by what the state database holds now. Returns rows by table."""
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
    writes = state.ledger.as_rows()
    for table, rows in ((LEDGER, writes), (FAILURES, failures), (REVIEWS, reviews)):
        replace_rows(connection, table, table.frame(rows))
    return {"ledger": len(writes), "failures": len(failures), "reviews": len(reviews)}
