"""Measures month end and the tables for analysts over a big company, beside the plainest script that computes the same.

python -m qbsf_pipeline_tests.benchmarks.warehouse FOLDER [--deals 1000000] [--json] [--only STEP ...]

Each step is a process of its own, so that its memory is its own; it is the code of the product, without Dagster around it. The
company is made in FOLDER by the first run and used by later ones (a million deals take 4 GB). ``plain_warehouse.sql`` makes its
tables in the same file, beside the product's, and all columns that both have are compared. Prints figures and asserts nothing:
they depend on the machine, and processor seconds say more than the clock where it does other things as well.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import polars as pl
from rich.console import Console
from rich.table import Table

from qbsf_pipeline.receivables import tables as receivables
from qbsf_pipeline.receivables.inputs import links_of
from qbsf_pipeline.receivables.inputs import read_inputs as read_receivables
from qbsf_pipeline.receivables.owed import receivables_of
from qbsf_pipeline.reconciliation import tables as reconciliation
from qbsf_pipeline.reconciliation.assets import replace_months
from qbsf_pipeline.reconciliation.inputs import Links
from qbsf_pipeline.reconciliation.plan import reconcile
from qbsf_pipeline.reconciliation.reading import company_of, known_of, read_inputs
from qbsf_pipeline.reporting.build import build, make_missing
from qbsf_pipeline.reporting.day import write_day
from qbsf_pipeline.reporting.history import history_folder
from qbsf_pipeline.reporting.integrity import look_again
from qbsf_pipeline.reporting.state_tables import copy_state
from qbsf_pipeline.reporting.statements import METRIC_DEFINITIONS, load_statements, metric_definitions
from qbsf_pipeline.reporting.versions import VERSIONED, record_versions
from qbsf_pipeline.settings import load_rules
from qbsf_pipeline.warehouse.connection import ensure_table, replace_rows
from qbsf_pipeline.warehouse.made_from import MADE_FROM
from qbsf_pipeline_tests.benchmarks.processes import Ran, python, run
from qbsf_pipeline_tests.benchmarks.warehouse_company import AS_OF, FIRST_DAY, LAST_DAY, NOW, make_company, state_of, warehouse_of

LINKS = Links(deal="https://acme.my.salesforce.com/{id}", invoice="https://app.qbo.intuit.com/app/invoice?txnId={id}")
PLAIN = Path(__file__).with_name("plain_warehouse.sql")
#: Where the script has its tables, by schema of the product.
PLAIN_SCHEMAS = {name: f"plain_{name}" for name in ("receivables", "reconciliation", "reporting")}
#: A line of the script that begins a part of it.
_PART = "-- part: "


class Clock:
    """Wall and processor seconds of the parts of a step, in order."""

    def __init__(self) -> None:
        self.parts: dict[str, tuple[float, float]] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time what is done inside."""
        wall, used = time.perf_counter(), _processor_seconds()
        yield
        self.parts[name] = (time.perf_counter() - wall, _processor_seconds() - used)


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def copy_of_state(folder: Path, clock: Clock) -> dict[str, int]:
    """The ledger and what else operators see, copied for analysts."""
    state = state_of(folder)
    with clock.part("copy"), warehouse_of(folder).transaction() as connection:
        return {"rows": sum(copy_state(connection, state).values())}


def derive(folder: Path, clock: Clock) -> dict[str, int]:
    """What is owed, from raw tables to the four tables of receivables."""
    rules, warehouse = load_rules(), warehouse_of(folder)
    invoice_links, customer_links = links_of(state_of(folder))
    with clock.part("read"), warehouse.connection() as connection:
        inputs = read_receivables(connection, invoice_links, customer_links, rules)
    with clock.part("derive"):
        derived = receivables_of(inputs, rules, None)
    frames = {
        receivables.APPLICATIONS: derived.applications,
        receivables.UNAPPLIED: derived.unapplied,
        receivables.INVOICES: derived.invoices,
        receivables.CONTESTED: derived.contested,
    }
    with clock.part("write"), warehouse.transaction() as connection:
        for table, frame in frames.items():
            replace_rows(connection, table, frame)
    return {table.name: frame.height for table, frame in frames.items()}


def month_end(folder: Path, clock: Clock) -> dict[str, int]:
    """All months at once, as a back-fill does, from the warehouse and the ledger to the four tables of month end."""
    state, warehouse = state_of(folder), warehouse_of(folder)
    months = pl.date_range(FIRST_DAY, LAST_DAY, "1mo", eager=True).to_list()
    with clock.part("read the ledger"):
        known = known_of(state)
    with clock.part("read"), warehouse.connection() as connection:
        inputs = read_inputs(connection, known, company_of(connection).zone, None, "")
    with clock.part("reconcile"):
        found = reconcile(inputs, load_rules(), months, AS_OF, LINKS)
    tables = (reconciliation.CASES, reconciliation.DOCUMENTS, reconciliation.BRIDGE, reconciliation.TOTALS)
    frames = {table.name: getattr(found, table.name) for table in tables}
    with clock.part("write"), warehouse.transaction() as connection:
        for table in tables:
            replace_months(connection, table, frames[table.name], months)
    return {name: frame.height for name, frame in frames.items()}


def report(folder: Path, clock: Clock) -> dict[str, int]:
    """Every table of ``sql/`` made anew, the versions of deals and invoices, and all checks of the tables."""
    with warehouse_of(folder).transaction() as connection:
        ensure_table(connection, MADE_FROM)
        connection.execute(f"DELETE FROM {MADE_FROM.qualified_name} WHERE table_name LIKE 'reporting.%'")
    return report_again(folder, clock)


def report_again(folder: Path, clock: Clock) -> dict[str, int]:
    """The same in a pass in which nothing has changed."""
    warehouse, rules, statements = warehouse_of(folder), load_rules(), load_statements()
    with clock.part("make ready"), warehouse.transaction() as connection:
        make_missing(connection, statements)
        write_day(connection, AS_OF, rules.aging.buckets, "America/Denver", rules.items.products)
        replace_rows(connection, METRIC_DEFINITIONS, metric_definitions(statements))
    rows: dict[str, int] = {}
    with clock.part("versions"):
        for kind in VERSIONED:
            with warehouse.transaction() as connection:
                rows[f"versions of {kind.folder_name}"] = record_versions(connection, kind, folder, NOW, AS_OF).added
    made_of = build(warehouse, statements, history_folder(folder), AS_OF)
    while True:
        wall, used = time.perf_counter(), _processor_seconds()
        if (made := next(made_of, None)) is None:
            break
        clock.parts[made.statement.name] = (time.perf_counter() - wall, _processor_seconds() - used)
        rows[made.statement.name] = made.rows or 0
    with clock.part("checks"), warehouse.transaction() as connection:
        broken = [f"{one.table} {one.check}: {one.text}" for one in look_again(connection, statements, NOW) if not one.passed]
    for one in broken:
        sys.stderr.write(f"{one}\n")
    return rows


def plain(folder: Path, clock: Clock) -> dict[str, int]:
    """The script, part by part."""
    parts = [part.partition("\n") for part in PLAIN.read_text(encoding="utf-8").split(_PART)[1:]]
    with warehouse_of(folder).connection() as connection:
        for name, _, sql in parts:
            with clock.part(name.strip()):
                connection.execute(sql)
        return {f"{schema}.{table}": _count(connection, plain_schema, table) for schema, plain_schema, table in _both(connection)}


STEPS: dict[str, Callable[[Path, Clock], dict[str, int]]] = {
    "state": copy_of_state,
    "receivables": derive,
    "reconciliation": month_end,
    "reporting": report,
    "nothing-changed": report_again,
    "plain": plain,
}


def differences(folder: Path) -> list[str]:
    """Columns that the product and the script have with other contents, as sentences; rows are compared without their order."""
    told: list[str] = []
    with warehouse_of(folder).connection() as connection:
        for schema, plain_schema, table in _both(connection):
            ours, theirs = _count(connection, schema, table), _count(connection, plain_schema, table)
            common = _columns(connection, plain_schema, table) & _columns(connection, schema, table)
            missing = sorted(_columns(connection, schema, table) - common)
            sums = ", ".join(f'sum(hash(CAST("{column}" AS VARCHAR)))' for column in sorted(common))
            found = [
                connection.execute(f'SELECT {sums} FROM "{name}"."{table}"').fetchall()[0] for name in (schema, plain_schema)
            ]
            other = [column for column, left, right in zip(sorted(common), *found, strict=True) if left != right]
            if ours != theirs:
                told.append(f"{schema}.{table}: {ours:,} rows, by the script {theirs:,}")
            if other:
                told.append(f"{schema}.{table}: other contents in {', '.join(other)}")
            if missing:
                told.append(f"{schema}.{table}: the script has no {', '.join(missing)}")
    return told


def _both(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, str, str]]:
    """Schema of the product, schema of the script, and name of the tables that the script makes."""
    query = "SELECT table_name FROM information_schema.tables WHERE table_schema = ? ORDER BY table_name"
    return [
        (schema, plain_schema, table)
        for schema, plain_schema in PLAIN_SCHEMAS.items()
        for (table,) in connection.execute(query, [plain_schema]).fetchall()
    ]


def _columns(connection: duckdb.DuckDBPyConnection, schema: str, table: str) -> set[str]:
    return {row[0] for row in connection.execute(f'DESCRIBE "{schema}"."{table}"').fetchall()}


def _count(connection: duckdb.DuckDBPyConnection, schema: str, table: str) -> int:
    return int(connection.execute(f'SELECT count(*) FROM "{schema}"."{table}"').fetchall()[0][0])


def _made(folder: Path, deals: int) -> Ran | None:
    """Make the company where it is not there yet."""
    mark = folder / "deals.txt"
    if mark.exists():
        if mark.read_text(encoding="utf-8") != str(deals):
            raise SystemExit(f"{folder} holds a company of {mark.read_text(encoding='utf-8')} deals: name another folder.")
        return None
    folder.mkdir(parents=True, exist_ok=True)
    ran = run(python("-m", "qbsf_pipeline_tests.benchmarks.warehouse", str(folder), "--deals", str(deals), "--make"), os.environ)
    if ran.exit_code:
        raise SystemExit(ran.errors)
    mark.write_text(str(deals), encoding="utf-8")
    return ran


def main() -> None:
    """Run the benchmark by command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--deals", type=int, default=1_000_000)
    parser.add_argument("--only", nargs="+", choices=STEPS, default=list(STEPS), help="these steps alone")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--make", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.make:
        make_company(given.folder, given.deals)
    elif given.step:
        clock = Clock()
        rows = STEPS[given.step](given.folder, clock)
        sys.stdout.write(json.dumps({"parts": clock.parts, "rows": rows}))
    else:
        _measure(given.folder, given.deals, given.only, as_json=given.json)


def _measure(folder: Path, deals: int, steps: list[str], *, as_json: bool) -> None:
    made = _made(folder, deals)
    figures: dict[str, dict[str, object]] = {}
    if made is not None:
        figures["company"] = {"wall": made.seconds, "cpu": made.processor_seconds, "GiB": made.peak_megabytes / 1024}
    for name in steps:
        ran = run(
            python("-m", "qbsf_pipeline_tests.benchmarks.warehouse", str(folder), "--deals", str(deals), "--step", name),
            os.environ,
        )
        if ran.exit_code:
            raise SystemExit(f"{name}: {ran.errors}")
        sys.stderr.write(ran.errors)
        told = json.loads(ran.output)
        figures[name] = {
            "wall": sum(wall for wall, _ in told["parts"].values()),
            "cpu": sum(cpu for _, cpu in told["parts"].values()),
            "GiB": ran.peak_megabytes / 1024,
            **told,
        }
        figures[name]["parts"] = {part: [round(one, 2) for one in both] for part, both in told["parts"].items()}
    other = differences(folder) if "plain" in steps else []
    if as_json:
        print(json.dumps({"deals": deals, "figures": figures, "differences": other}, indent=1))
        return
    table = Table(title=f"{deals:,} deals", title_justify="left", title_style="bold", box=None, pad_edge=False)
    for label in ("", "wall s", "cpu s", "GiB", "parts: cpu s"):
        table.add_column(label, justify="right" if label.endswith(" s") or label == "GiB" else "left")
    for name, one in figures.items():
        parts = one.get("parts", {})
        slow = [(part, both[1]) for part, both in parts.items() if both[1] >= 0.05] if isinstance(parts, dict) else []
        shown = ", ".join(f"{part} {cpu:.1f}" for part, cpu in slow)
        table.add_row(name, *(f"{one[column]:.2f}" for column in ("wall", "cpu", "GiB")), shown)
    console = Console(highlight=False)
    console.print(table)
    for line in other:
        console.print(line)
    ours, theirs = ([_total(figures, names, column) for column in ("wall", "cpu")] for names in (_OURS, ("plain",)))
    if set(_OURS) | {"plain"} <= set(figures):
        console.print(f"product / script: {ours[0] / theirs[0]:.2f} of wall, {ours[1] / theirs[1]:.2f} of cpu")


#: What the script computes as well.
_OURS = ("receivables", "reconciliation", "reporting")


def _total(figures: dict[str, dict[str, object]], names: tuple[str, ...], column: str) -> float:
    return sum(float(str(figures[name][column])) for name in names if name in figures)


if __name__ == "__main__":
    main()
