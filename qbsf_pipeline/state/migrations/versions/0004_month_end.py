"""Month end: reports that were made, months that were closed, since when differences are there, and which were accepted."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# An instant in SQLite is a text of fixed width, which sorts as time does.
_INSTANT = sa.String(27).with_variant(sa.DateTime(timezone=True), "postgresql")


def upgrade() -> None:
    """Make the tables of the month-end reports."""
    _reports()
    _decisions()


def downgrade() -> None:
    """What people closed and accepted cannot be made again."""
    raise RuntimeError("the state database is the memory of what was done; it is not taken down")


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.Integer(), autoincrement=True, nullable=False)


def _text(name: str, *, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=null)


def _day(name: str, *, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Date(), nullable=null)


def _instant(name: str, *, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, _INSTANT, nullable=null)


def _reports() -> None:
    op.create_table(
        "month_end_contents",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_month_end_contents"),
    )
    op.create_table(
        "month_end_reports",
        _id(),
        _day("month"),
        sa.Column("digest", sa.String(64), nullable=False),
        _instant("produced_at"),
        _instant("kept_at"),
        _instant("computed_at"),
        _text("figures"),
        sa.PrimaryKeyConstraint("id", name="pk_month_end_reports"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_month_end_reports_month_id", "month_end_reports", ["month", "id"])


def _decisions() -> None:
    op.create_table(
        "month_closings",
        _id(),
        _day("month"),
        sa.Column("report_id", sa.Integer(), nullable=False),
        _text("closed_by"),
        _instant("closed_at"),
        _text("reopened_by", null=True),
        _instant("reopened_at", null=True),
        _text("reopened_reason", null=True),
        sa.CheckConstraint("(reopened_at IS NULL) = (reopened_by IS NULL)", name=op.f("ck_month_closings_reopened_by")),
        sa.PrimaryKeyConstraint("id", name="pk_month_closings"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_month_closings_month", "month_closings", ["month"])
    op.create_table(
        "month_end_differences",
        _day("month"),
        _text("currency"),
        _text("case_key"),
        _day("first_seen_on"),
        _day("last_seen_on"),
        _day("gone_on", null=True),
        sa.PrimaryKeyConstraint("month", "currency", "case_key", name="pk_month_end_differences"),
    )
    op.create_table(
        "month_end_acceptances",
        _id(),
        _day("month"),
        _text("currency"),
        _text("case_key"),
        _text("amounts"),
        _text("reason"),
        _text("accepted_by"),
        _instant("accepted_at"),
        _text("withdrawn_by", null=True),
        _instant("withdrawn_at", null=True),
        sa.CheckConstraint("(withdrawn_at IS NULL) = (withdrawn_by IS NULL)", name=op.f("ck_month_end_acceptances_withdrawn_by")),
        sa.PrimaryKeyConstraint("id", name="pk_month_end_acceptances"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_month_end_acceptances_month", "month_end_acceptances", ["month"])
