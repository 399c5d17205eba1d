"""The migrations of the state database. Add one with Alembic's script template; never change one that was released."""
