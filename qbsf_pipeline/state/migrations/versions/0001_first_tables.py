"""The first tables."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# An instant in SQLite is a text of fixed width, which sorts as time does.
_INSTANT = sa.String(27).with_variant(sa.DateTime(timezone=True), "postgresql")
_AMOUNT = sa.String(48)
_WORD = sa.String(16)


def upgrade() -> None:
    """Make every table, and the triggers that keep what is done."""
    _ledger()
    _links()
    _decisions()
    _messages()
    _bookkeeping()


def downgrade() -> None:
    """There is nothing before the first tables, and what they hold cannot be made again."""
    raise RuntimeError("the state database is the memory of what was done; it is not taken down")


def _text(name: str, *, null: bool = False, **more: Any) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=null, **more)


def _instant(name: str, *, null: bool = True) -> sa.Column[Any]:
    return sa.Column(name, _INSTANT, nullable=null)


def _serial(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), autoincrement=True, nullable=False)


def _ledger() -> None:
    op.create_table(
        "ledger",
        _text("key"),
        _text("plan_id"),
        _text("batch"),
        _text("flow"),
        _text("operation"),
        _text("target_system"),
        _text("target_object"),
        _text("source_object"),
        _text("source_id"),
        _text("account_id", null=True),
        _text("opportunity_id", null=True),
        _text("depends_on"),
        _text("payload"),
        _text("reason"),
        _text("decided_from"),
        _text("label"),
        _text("customer_name", null=True),
        sa.Column("amount", _AMOUNT),
        _text("currency", null=True),
        sa.Column("txn_date", sa.Date()),
        sa.Column("due_date", sa.Date()),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("status", _WORD, nullable=False),
        _instant("gate_passed_at"),
        sa.Column("attempts", sa.Integer(), nullable=False),
        _text("request_id", null=True),
        _text("group_id", null=True),
        sa.Column("group_position", sa.Integer()),
        _text("sent_body", null=True),
        _instant("sending_at"),
        _instant("next_attempt_at"),
        _text("error_code", null=True),
        _text("error_message", null=True),
        _text("result_id", null=True),
        _text("result", null=True),
        _instant("created_at", null=False),
        _instant("updated_at", null=False),
        _instant("done_at"),
        _instant("announced_at"),
        sa.PrimaryKeyConstraint("key", name="pk_ledger"),
        sa.CheckConstraint(
            "status IN ('planned', 'sending', 'done', 'failed', 'dead', 'withdrawn')", name=op.f("ck_ledger_status")
        ),
        sa.CheckConstraint("(status = 'done') = (done_at IS NOT NULL)", name=op.f("ck_ledger_done_at")),
        sa.CheckConstraint("status <> 'done' OR result_id IS NOT NULL", name=op.f("ck_ledger_result_id")),
        sa.CheckConstraint(
            "status <> 'sending' OR (request_id IS NOT NULL AND sent_body IS NOT NULL)", name=op.f("ck_ledger_sending")
        ),
    )
    op.create_index("ix_ledger_flow_status", "ledger", ["flow", "status"])
    op.create_index("ix_ledger_opportunity_id", "ledger", ["opportunity_id"])
    statements = _POSTGRESQL_GUARDS if op.get_bind().dialect.name == "postgresql" else _SQLITE_GUARDS
    for statement in statements:
        op.execute(statement)


_SQLITE_GUARDS = (
    """
    CREATE TRIGGER ledger_done_stays BEFORE UPDATE ON ledger
    WHEN OLD.status = 'done' AND (NEW.status <> 'done' OR NEW.key <> OLD.key OR NEW.result_id <> OLD.result_id)
    BEGIN SELECT RAISE(ABORT, 'a write that is done stays done'); END
    """,
    """
    CREATE TRIGGER ledger_done_was_sent BEFORE UPDATE ON ledger
    WHEN NEW.status = 'done' AND OLD.status NOT IN ('sending', 'done')
    BEGIN SELECT RAISE(ABORT, 'only what was being sent can become done'); END
    """,
    """
    CREATE TRIGGER ledger_rows_stay BEFORE DELETE ON ledger
    WHEN OLD.status IN ('sending', 'done')
    BEGIN SELECT RAISE(ABORT, 'a write that was sent stays in the ledger'); END
    """,
)

_POSTGRESQL_GUARDS = (
    """
    CREATE FUNCTION ledger_guard() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'DELETE' THEN
            IF OLD.status IN ('sending', 'done') THEN
                RAISE EXCEPTION 'a write that was sent stays in the ledger' USING ERRCODE = 'integrity_constraint_violation';
            END IF;
            RETURN OLD;
        END IF;
        IF OLD.status = 'done' AND (NEW.status <> 'done' OR NEW.key <> OLD.key OR NEW.result_id <> OLD.result_id) THEN
            RAISE EXCEPTION 'a write that is done stays done' USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        IF NEW.status = 'done' AND OLD.status NOT IN ('sending', 'done') THEN
            RAISE EXCEPTION 'only what was being sent can become done' USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        RETURN NEW;
    END $$
    """,
    "CREATE TRIGGER ledger_guard BEFORE UPDATE OR DELETE ON ledger FOR EACH ROW EXECUTE FUNCTION ledger_guard()",
)


def _links() -> None:
    op.create_table(
        "customer_links",
        _text("account_id"),
        _text("customer_id"),
        _text("method"),
        sa.Column("score", _AMOUNT),
        _text("evidence"),
        _text("rule_version"),
        _text("decided_by"),
        _instant("decided_at", null=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        _text("unlinked_by", null=True),
        _instant("unlinked_at"),
        sa.PrimaryKeyConstraint("account_id", "customer_id", name="pk_customer_links"),
    )
    op.create_table(
        "invoice_links",
        _text("opportunity_id"),
        _text("invoice_id"),
        _text("method"),
        _text("decided_by"),
        _instant("decided_at", null=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        _text("unlinked_by", null=True),
        _instant("unlinked_at"),
        sa.PrimaryKeyConstraint("opportunity_id", "invoice_id", name="pk_invoice_links"),
    )
    by_program = sa.text("active AND method <> 'person'")
    for name, table, column in (
        ("ix_customer_links_one_account", "customer_links", "customer_id"),
        ("ix_invoice_links_one_opportunity", "invoice_links", "invoice_id"),
    ):
        op.create_index(name, table, [column], unique=True, sqlite_where=by_program, postgresql_where=by_program)


def _decisions() -> None:
    op.create_table(
        "reviews",
        _serial("number"),
        _text("account_id"),
        _text("account_name"),
        sa.Column("status", _WORD, nullable=False),
        _text("question"),
        _text("candidates"),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("deals_waiting", sa.Integer(), nullable=False),
        sa.Column("amount_waiting", _AMOUNT),
        _text("currency", null=True),
        _instant("opened_at", null=False),
        _instant("decided_at"),
        _text("decided_by", null=True),
        _text("customer_id", null=True),
        sa.PrimaryKeyConstraint("number", name="pk_reviews"),
        sa.UniqueConstraint("account_id", name="uq_reviews_account_id"),
        sa.CheckConstraint("status IN ('open', 'linked', 'create', 'ignored', 'closed')", name=op.f("ck_reviews_status")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "approvals",
        _serial("number"),
        _text("subject"),
        sa.Column("decision", _WORD, nullable=False),
        _text("decided_by"),
        _instant("decided_at", null=False),
        _text("reason", null=True),
        sa.PrimaryKeyConstraint("number", name="pk_approvals"),
        sa.CheckConstraint("decision IN ('approved', 'rejected')", name=op.f("ck_approvals_decision")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_approvals_subject", "approvals", ["subject"])
    op.create_table(
        "failures",
        _serial("number"),
        _text("key"),
        _text("flow"),
        _text("source_object"),
        _text("source_id"),
        _text("label"),
        _text("link", null=True),
        sa.Column("kind", _WORD, nullable=False),
        _text("reasons"),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("amount", _AMOUNT),
        _text("currency", null=True),
        sa.Column("status", _WORD, nullable=False),
        _instant("opened_at", null=False),
        _instant("changed_at", null=False),
        _instant("seen_at", null=False),
        _instant("resolved_at"),
        _instant("retried_at"),
        _instant("dismissed_at"),
        _text("dismissed_by", null=True),
        _text("dismissed_reason", null=True),
        sa.PrimaryKeyConstraint("number", name="pk_failures"),
        sa.UniqueConstraint("key", name="uq_failures_key"),
        sa.CheckConstraint("status IN ('open', 'resolved', 'dismissed')", name=op.f("ck_failures_status")),
        sa.CheckConstraint("kind IN ('refused', 'failed')", name=op.f("ck_failures_kind")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_failures_flow_status", "failures", ["flow", "status"])


def _messages() -> None:
    op.create_table(
        "outbox",
        _serial("id"),
        _text("dedupe_key"),
        _text("channel"),
        _text("text"),
        _text("blocks"),
        _text("thread_of", null=True),
        _text("kind"),
        sa.Column("status", _WORD, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        _instant("next_attempt_at"),
        _text("error", null=True),
        _text("channel_id", null=True),
        _text("ts", null=True),
        _instant("created_at", null=False),
        _instant("sending_at"),
        _instant("sent_at"),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
        sa.UniqueConstraint("dedupe_key", name="uq_outbox_dedupe_key"),
        sa.CheckConstraint("status IN ('waiting', 'sending', 'sent', 'dead')", name=op.f("ck_outbox_status")),
        sa.CheckConstraint("status <> 'sent' OR ts IS NOT NULL", name=op.f("ck_outbox_ts")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_outbox_status", "outbox", ["status"])


def _bookkeeping() -> None:
    op.create_table(
        "quickbooks_tokens",
        _text("realm_id"),
        _text("access_token"),
        _text("refresh_token"),
        _instant("access_expires_at", null=False),
        _instant("refresh_expires_at"),
        _instant("refresh_hard_expires_at"),
        _text("first_token_hash", null=True),
        _instant("updated_at", null=False),
        sa.PrimaryKeyConstraint("realm_id", name="pk_quickbooks_tokens"),
    )
    op.create_table(
        "salesforce_tokens",
        _text("name"),
        _text("access_token"),
        _text("instance_url"),
        _instant("issued_at", null=False),
        sa.PrimaryKeyConstraint("name", name="pk_salesforce_tokens"),
    )
    op.create_table(
        "passes",
        _serial("id"),
        _text("flow"),
        _text("mode"),
        _text("trigger"),
        _instant("begun_at", null=False),
        _instant("ended_at"),
        _text("outcome", null=True),
        _text("counts"),
        _text("api_calls"),
        _text("dagster_run_id", null=True),
        sa.PrimaryKeyConstraint("id", name="pk_passes"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_passes_flow_begun_at", "passes", ["flow", "begun_at"])
    op.create_table(
        "outages",
        _text("system"),
        _instant("since", null=False),
        _text("reason"),
        sa.PrimaryKeyConstraint("system", name="pk_outages"),
    )
    op.create_table(
        "identity",
        sa.Column("system", _WORD, nullable=False),
        _text("id"),
        _instant("bound_at", null=False),
        sa.PrimaryKeyConstraint("system", name="pk_identity"),
    )
    op.create_table(
        "cache",
        _text("key"),
        _text("text"),
        _instant("stored_at", null=False),
        sa.PrimaryKeyConstraint("key", name="pk_cache"),
    )
