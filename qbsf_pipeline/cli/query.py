"""``qbsf query``: SQL against the published snapshot, read-only."""

from __future__ import annotations

from typing import Annotated

import duckdb
import pyarrow as pa
import typer

from qbsf_pipeline.cli.options import Json
from qbsf_pipeline.cli.output import print_json, say, table
from qbsf_pipeline.errors import ConfigurationError
from qbsf_pipeline.settings import load_settings

#: Characters of a text that a table shows.
LONGEST_TEXT = 100


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
            found = None if relation is None else relation.to_arrow_table()
        except duckdb.Error as error:
            raise ConfigurationError([str(error)]) from error
    if found is None:
        say("Done; the statement returned no rows.")
        return
    columns = list(found.column_names)
    rows = list(zip(*(column.to_pylist() for column in found.columns), strict=True))
    if json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
        return
    numeric = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    right = [field.name for field in found.schema if any(is_kind(field.type) for is_kind in numeric)]
    table("", columns, [[_short(value) for value in row] for row in rows], right=right, natural_width=True)
    say(f"\n{len(rows)} row{'s' if len(rows) != 1 else ''}")
    if any(isinstance(value, str) and len(value) > LONGEST_TEXT for row in rows for value in row):
        say("Long texts are cut off; --json prints them whole.")


def _short(value: object) -> object:
    """A text that would push the other columns aside, cut off and on one line."""
    if not isinstance(value, str):
        return value
    line = " ".join(value.split())
    return line if len(line) <= LONGEST_TEXT else line[: LONGEST_TEXT - 1] + "…"
