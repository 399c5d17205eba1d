"""Billing schedules: in which periods recurring deals are billed, as it was agreed."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# An instant in SQLite is a text of fixed width, which sorts as time does.
_INSTANT: Any = sa.String(27).with_variant(sa.DateTime(timezone=True), "postgresql")


def upgrade() -> None:
    """Make the table of agreements."""
    op.create_table(
        "billing_schedules",
        sa.Column("opportunity_id", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("schedule", sa.Text(), nullable=False),
        sa.Column("missed", sa.Text(), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column("agreed_by", sa.Text(), nullable=False),
        sa.Column("agreed_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("opportunity_id", "generation", "version", name="pk_billing_schedules"),
    )


def downgrade() -> None:
    """What was agreed cannot be made again."""
    raise RuntimeError("the state database is the memory of what was done; it is not taken down")
