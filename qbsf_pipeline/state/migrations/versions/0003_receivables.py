"""Receivables: what is known of each deal's payments, what people are to be told, crossings, reminders, tasks, Slack users."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# An instant in SQLite is a text of fixed width, which sorts as time does.
_INSTANT = sa.String(27).with_variant(sa.DateTime(timezone=True), "postgresql")
_AMOUNT = sa.String(48)


def upgrade() -> None:
    """Make the tables of the payments and aging flows."""
    _payments()
    _aging()
    _ledger()
    op.create_table(
        "slack_users",
        _text("email"),
        _text("slack_user_id", null=True),
        _instant("looked_up_at", null=False),
        sa.PrimaryKeyConstraint("email", name="pk_slack_users"),
    )


def downgrade() -> None:
    """What people were told cannot be made again."""
    raise RuntimeError("the state database is the memory of what was done; it is not taken down")


def _text(name: str, *, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=null)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), autoincrement=False, nullable=False)


def _instant(name: str, *, null: bool = True) -> sa.Column[Any]:
    return sa.Column(name, _INSTANT, nullable=null)


def _payments() -> None:
    op.create_table(
        "deal_payments",
        _text("opportunity_id"),
        _text("status"),
        sa.Column("balance", _AMOUNT),
        _text("currency", null=True),
        _text("fingerprint"),
        _text("stage_before", null=True),
        _number("times_paid"),
        _instant("updated_at", null=False),
        sa.PrimaryKeyConstraint("opportunity_id", name="pk_deal_payments"),
    )
    op.create_table(
        "payment_events",
        _text("event_key"),
        _text("kind"),
        _text("opportunity_id"),
        _text("payload"),
        _instant("created_at", null=False),
        _instant("announced_at"),
        sa.PrimaryKeyConstraint("event_key", name="pk_payment_events"),
    )
    op.create_index("ix_payment_events_announced_at", "payment_events", ["announced_at"])


def _aging() -> None:
    op.create_table(
        "crossings",
        _text("invoice_id"),
        _number("threshold"),
        _text("opportunity_id", null=True),
        sa.Column("crossed_on", sa.Date(), nullable=False),
        _instant("seen_at", null=False),
        _instant("announced_at"),
        sa.PrimaryKeyConstraint("invoice_id", "threshold", name="pk_crossings"),
    )
    op.create_index("ix_crossings_announced_at", "crossings", ["announced_at"])
    op.create_table(
        "reminders",
        _text("invoice_id"),
        _number("number"),
        _text("request_id"),
        _instant("sent_at", null=False),
        sa.PrimaryKeyConstraint("invoice_id", "number", name="pk_reminders"),
        sa.UniqueConstraint("invoice_id", "request_id", name="uq_reminders_invoice_id_request_id"),
    )
    op.create_table(
        "tasks",
        _text("invoice_id"),
        _number("threshold"),
        _text("task_id"),
        _instant("created_at", null=False),
        _instant("closed_at"),
        sa.PrimaryKeyConstraint("invoice_id", "threshold", name="pk_tasks"),
    )


def _ledger() -> None:
    """Every open deal gets its age once a day: these writes may be forgotten once they are long done. No other may."""
    statements = _POSTGRESQL_GUARD if op.get_bind().dialect.name == "postgresql" else _SQLITE_GUARD
    for statement in statements:
        op.execute(statement)


_SQLITE_GUARD = (
    "DROP TRIGGER ledger_rows_stay",
    """
    CREATE TRIGGER ledger_rows_stay BEFORE DELETE ON ledger
    WHEN OLD.status = 'sending' OR (OLD.status = 'done' AND NOT (OLD.flow = 'aging' AND OLD.operation = 'update_opportunity'))
    BEGIN SELECT RAISE(ABORT, 'a write that was sent stays in the ledger'); END
    """,
)

_POSTGRESQL_GUARD = (
    """
    CREATE OR REPLACE FUNCTION ledger_guard() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'DELETE' THEN
            IF OLD.status = 'sending'
                OR (OLD.status = 'done' AND NOT (OLD.flow = 'aging' AND OLD.operation = 'update_opportunity')) THEN
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
)
