"""The DuckDB warehouse: connection, table writing, publishing. It may be deleted: the next full pass rebuilds it."""
