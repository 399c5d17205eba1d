"""Customers in step: what the two sides agreed on, the journal of fields, rejected matches, and the audits."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# An instant in SQLite is a text of fixed width, which sorts as time does.
_INSTANT = sa.String(27).with_variant(sa.DateTime(timezone=True), "postgresql")
_AMOUNT = sa.String(48)
_WORD = sa.String(16)


def upgrade() -> None:
    """Make the tables of the customers flow, and the columns that reviews lacked."""
    _matching()
    _fields()
    _cleansing()


def downgrade() -> None:
    """What people decided since cannot be made again."""
    raise RuntimeError("the state database is the memory of what was done; it is not taken down")


def _text(name: str, *, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=null)


def _instant(name: str, *, null: bool = True) -> sa.Column[Any]:
    return sa.Column(name, _INSTANT, nullable=null)


def _serial(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), autoincrement=True, nullable=False)


def _matching() -> None:
    op.create_table(
        "past_customer_links",
        _serial("number"),
        _text("account_id"),
        _text("customer_id"),
        _text("method"),
        sa.Column("score", _AMOUNT),
        _text("evidence"),
        _text("rule_version"),
        _text("decided_by"),
        _instant("decided_at", null=False),
        _text("unlinked_by"),
        _instant("unlinked_at", null=False),
        sa.PrimaryKeyConstraint("number", name="pk_past_customer_links"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_past_customer_links_account_id", "past_customer_links", ["account_id"])
    op.create_table(
        "match_rejections",
        _text("account_id"),
        _text("customer_id"),
        _text("decided_by"),
        _instant("decided_at", null=False),
        _text("reason", null=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "customer_id", name="pk_match_rejections"),
    )
    op.add_column("reviews", _text("details", null=True))
    op.add_column("reviews", _instant("announced_at"))


def _fields() -> None:
    op.create_table(
        "field_agreements",
        _text("account_id"),
        _text("customer_id"),
        _text("values"),
        _instant("agreed_at", null=False),
        sa.PrimaryKeyConstraint("account_id", "customer_id", name="pk_field_agreements"),
    )
    op.create_table(
        "field_journal",
        _serial("number"),
        _text("key"),
        sa.Column("occurrence", sa.Integer(), nullable=False),
        _text("account_id"),
        _text("account_name"),
        _text("customer_id"),
        _text("customer_name"),
        _text("field"),
        _text("salesforce_value", null=True),
        _text("quickbooks_value", null=True),
        _text("agreed_value", null=True),
        sa.Column("owner", _WORD, nullable=False),
        sa.Column("winner", _WORD, nullable=False),
        sa.Column("kind", _WORD, nullable=False),
        _text("rule"),
        _text("changed_by", null=True),
        _instant("changed_at"),
        _text("write_key", null=True),
        sa.Column("status", _WORD, nullable=False),
        _instant("seen_at", null=False),
        _instant("settled_at"),
        _text("reversed_by", null=True),
        _instant("reversed_at"),
        _instant("reversal_settled_at"),
        _instant("announced_at"),
        sa.PrimaryKeyConstraint("number", name="pk_field_journal"),
        sa.UniqueConstraint("key", "occurrence", name="uq_field_journal_key_occurrence"),
        sa.CheckConstraint("owner IN ('salesforce', 'quickbooks')", name=op.f("ck_field_journal_owner")),
        sa.CheckConstraint("winner IN ('salesforce', 'quickbooks', 'none')", name=op.f("ck_field_journal_winner")),
        sa.CheckConstraint(
            "kind IN ('owner_changed', 'put_back', 'both_changed', 'first_difference', 'report_only', 'kept', 'reversed')",
            name=op.f("ck_field_journal_kind"),
        ),
        sa.CheckConstraint(
            "status IN ('planned', 'written', 'reported', 'refused', 'withdrawn')", name=op.f("ck_field_journal_status")
        ),
        sa.CheckConstraint("(status = 'reported') = (write_key IS NULL)", name=op.f("ck_field_journal_write_key")),
        sa.CheckConstraint(
            "(status IN ('planned', 'reported')) = (settled_at IS NULL)", name=op.f("ck_field_journal_settled_at")
        ),
        sa.CheckConstraint("(reversed_at IS NULL) = (reversed_by IS NULL)", name=op.f("ck_field_journal_reversed_by")),
        sa.CheckConstraint(
            "reversal_settled_at IS NULL OR reversed_at IS NOT NULL", name=op.f("ck_field_journal_reversal_settled_at")
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_field_journal_account_id_field", "field_journal", ["account_id", "field"])
    op.create_index("ix_field_journal_write_key", "field_journal", ["write_key"])
    statements = _POSTGRESQL_GUARDS if op.get_bind().dialect.name == "postgresql" else _SQLITE_GUARDS
    for statement in statements:
        op.execute(statement)


# The loser's value is nowhere else once the winner's was written.
_SQLITE_GUARDS = (
    """
    CREATE TRIGGER field_journal_written_stays BEFORE UPDATE ON field_journal
    WHEN OLD.status = 'written' AND (
        NEW.status <> 'written' OR NEW.key <> OLD.key OR NEW.salesforce_value IS NOT OLD.salesforce_value
        OR NEW.quickbooks_value IS NOT OLD.quickbooks_value)
    BEGIN SELECT RAISE(ABORT, 'a change that was written stays in the journal as it was'); END
    """,
    """
    CREATE TRIGGER field_journal_rows_stay BEFORE DELETE ON field_journal
    BEGIN SELECT RAISE(ABORT, 'nothing is taken out of the journal'); END
    """,
)

_POSTGRESQL_GUARDS = (
    """
    CREATE FUNCTION field_journal_guard() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'DELETE' THEN
            RAISE EXCEPTION 'nothing is taken out of the journal' USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        IF OLD.status = 'written' AND (
            NEW.status <> 'written' OR NEW.key <> OLD.key OR NEW.salesforce_value IS DISTINCT FROM OLD.salesforce_value
            OR NEW.quickbooks_value IS DISTINCT FROM OLD.quickbooks_value)
        THEN
            RAISE EXCEPTION 'a change that was written stays in the journal as it was'
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        RETURN NEW;
    END $$
    """,
    "CREATE TRIGGER field_journal_guard BEFORE UPDATE OR DELETE ON field_journal "
    "FOR EACH ROW EXECUTE FUNCTION field_journal_guard()",
)


def _cleansing() -> None:
    op.create_table(
        "cleansing_findings",
        _text("finding_id"),
        _text("system"),
        _text("code"),
        sa.Column("severity", _WORD, nullable=False),
        _text("record_object"),
        _text("record_id"),
        _text("record_name", null=True),
        _instant("first_seen_at", null=False),
        _instant("last_seen_at", null=False),
        _instant("resolved_at"),
        sa.PrimaryKeyConstraint("finding_id", name="pk_cleansing_findings"),
        sa.CheckConstraint("severity IN ('error', 'warning', 'hint')", name=op.f("ck_cleansing_findings_severity")),
    )
    op.create_table(
        "cleansing_runs",
        _serial("id"),
        _instant("at", null=False),
        _text("scores"),
        _text("counts"),
        sa.PrimaryKeyConstraint("id", name="pk_cleansing_runs"),
        sqlite_autoincrement=True,
    )
