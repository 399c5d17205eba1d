"""Runs in a process of its own: keeps a DuckDB file open until a line comes in, as a reader or as the writer.

Arguments: path, ``reader`` or ``writer``, a query. Prints the query's first value when it has the file, and again after
each line on standard input; ends at the end of the input.
"""

import sys

import duckdb

path, how, query = sys.argv[1:4]
with duckdb.connect(path, read_only=how == "reader") as connection:
    print(connection.execute(query).fetchall()[0][0], flush=True)
    for _ in sys.stdin:
        print(connection.execute(query).fetchall()[0][0], flush=True)
