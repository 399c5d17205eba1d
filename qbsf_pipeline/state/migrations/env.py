"""Run by Alembic with the engine that the state database was opened with."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Engine

from qbsf_pipeline.state.tables import metadata
from qbsf_pipeline.state.transactions import WRITES


def run() -> None:
    """Run the migrations in one transaction: a database is at one version or the next, never between."""
    engine = context.config.attributes["engine"]
    assert isinstance(engine, Engine)
    with engine.connect().execution_options(**{WRITES: True}) as connection:
        context.configure(connection=connection, target_metadata=metadata, transaction_per_migration=False)
        with context.begin_transaction():
            context.run_migrations()


run()
