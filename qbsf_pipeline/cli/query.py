"""``qbsf query``: SQL against the published snapshot, read-only."""

from __future__ import annotations

from typing import Annotated

import duckdb
import typer

from qbsf_pipeline.cli.options import Json
from qbsf_pipeline.cli.output import print_json, say, table
from qbsf_pipeline.errors import ConfigurationError
from qbsf_pipeline.settings import load_settings


def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="A DuckDB query, such as SELECT * FROM reporting.invoices")],
    json: Json = False,
) -> None:
    """Run SQL against the published snapshot. Schemas: reporting (for use), salesforce and quickbooks (as pulled)."""
    path = load_settings().environment.snapshot_path
    if not path.exists():
        raise ConfigurationError([f"there is no snapshot yet at {path}: run qbsf sync (or qbsf demo) first"])
    with duckdb.connect(path, read_only=True) as connection:
        try:
            connection.execute("SET TimeZone = 'UTC'")
            # It would be drawn on standard output, into what `--json` prints there.
            connection.execute("SET enable_progress_bar = false")
            relation = connection.sql(sql)
            frame = None if relation is None else relation.pl()
        except duckdb.Error as error:
            raise ConfigurationError([str(error)]) from error
    if frame is None:
        say("Done; the statement returned no rows.")
    elif json:
        print_json(frame.to_dicts())
    else:
        table("", frame.columns, frame.iter_rows(), right=[name for name, dtype in frame.schema.items() if dtype.is_numeric()])
        say(f"\n{frame.height} row{'s' if frame.height != 1 else ''}")
