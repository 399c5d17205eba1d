"""Measures a first pass and an idle pass over a big company, through the true command line and over true sockets.

python -m qbsf_pipeline_tests.benchmarks [--deals 10000] [--invoices 1000] [--latency-ms 50] [--json] [--folder DIR]

Prints figures and asserts nothing: they depend on the machine. The services keep Intuit's and Slack's limits.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from qbsf_pipeline_tests.benchmarks.passes import Figures, Measured, measure


def main() -> None:
    """Measure, then print."""
    parser = argparse.ArgumentParser(prog="python -m qbsf_pipeline_tests.benchmarks", description=__doc__)
    parser.add_argument("--deals", type=int, default=10_000)
    parser.add_argument("--invoices", type=int, default=1_000, help="how many of the deals are to be invoiced")
    parser.add_argument("--latency-ms", type=int, default=50, help="put on every call of a service")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--folder", type=Path, help="where files go and stay; a temporary folder otherwise")
    chosen = parser.parse_args()
    if chosen.folder is not None:
        figures = measure(chosen.folder.absolute(), chosen.deals, chosen.invoices, chosen.latency_ms)
    else:
        with tempfile.TemporaryDirectory(prefix="qbsf-benchmark-") as folder:
            figures = measure(Path(folder), chosen.deals, chosen.invoices, chosen.latency_ms)
    if chosen.json:
        print(json.dumps(as_json(figures), indent=2))
    else:
        show(figures)


def as_json(figures: Figures) -> dict[str, Any]:
    """The figures as one document: seconds, megabytes, numbers of calls."""
    return {
        "deals": figures.deals,
        "invoices": figures.invoices,
        "latency_ms": figures.latency_ms,
        "seed_seconds": round(figures.seed_seconds, 2),
        "start_up_seconds": {name: round(seconds, 2) for name, seconds in figures.start_up.items()},
        "passes": [_pass_as_json(figures, one) for one in figures.passes],
    }


def _pass_as_json(figures: Figures, one: Measured) -> dict[str, Any]:
    writing = one.writing
    return {
        "name": one.name,
        "exit_code": one.ran.exit_code,
        "error": one.report["error"],
        "closed": one.report["closed"],
        "seconds": round(one.ran.seconds, 2),
        "seconds_beyond_start_up": round(beyond_start_up(figures, one), 2),
        "processor_seconds": round(one.ran.processor_seconds, 2),
        "peak_megabytes": round(one.ran.peak_megabytes, 1),
        "invoices": len(one.report["invoices"]),
        "messages": one.report["messages"],
        "steps": one.report["steps"],
        "calls": {f"{service}.{endpoint}": number for (service, endpoint), number in sorted(one.calls.items())},
        "throttled": one.throttled,
        "quickbooks_writing": None
        if writing is None
        else {
            "seconds": round(writing.seconds, 1),
            "least_seconds": round(writing.least_seconds, 1),
            "ratio": round(writing.ratio, 2),
            "batches": writing.batches,
            "sends": writing.sends,
            "calls": writing.calls,
            "most_in_a_second": writing.most_in_a_second,
            "most_in_a_minute": writing.most_in_a_minute,
            "most_batches_in_a_minute": writing.most_batches_in_a_minute,
        },
    }


def beyond_start_up(figures: Figures, one: Measured) -> float:
    """Seconds of a pass without what importing Dagster and the definitions takes in any command that needs them."""
    return one.ran.seconds - figures.start_up["import definitions"]


def show(figures: Figures) -> None:
    """The figures as tables."""
    console = Console(highlight=False)
    console.print(
        f"{figures.deals:,} deals, {figures.invoices:,} of them to be invoiced, {figures.latency_ms} ms on each call; "
        f"seeded in {figures.seed_seconds:.1f} s"
    )
    document = as_json(figures)
    passes = document["passes"]
    table = _table(console, "Passes", ["", *(one["name"] for one in passes)])
    for label, key in (
        ("seconds", "seconds"),
        ("seconds beyond start-up", "seconds_beyond_start_up"),
        ("processor seconds", "processor_seconds"),
        ("peak memory, MB", "peak_megabytes"),
        ("invoices", "invoices"),
        ("exit code", "exit_code"),
    ):
        table.add_row(label, *(f"{one[key]:,}" for one in passes))
    table.add_row("answers 429", *(str(sum(one["throttled"].values())) for one in passes))
    table.add_row("messages sent", *(str(one["messages"]["sent"]) for one in passes))
    table.add_row("messages waiting", *(str(one["messages"]["waiting"]) for one in passes))
    console.print(table)

    table = _table(console, "Seconds of each step", ["", *(one["name"] for one in passes)])
    for name in dict.fromkeys(step["step"] for one in passes for step in one["steps"]):
        table.add_row(name, *(_seconds(one["steps"], name) for one in passes))
    console.print(table)

    table = _table(console, "API calls", ["", *(one["name"] for one in passes)])
    for name in sorted({name for one in passes for name in one["calls"]}):
        table.add_row(name, *(str(one["calls"].get(name, 0)) for one in passes))
    for service in ("salesforce", "quickbooks", "slack"):
        table.add_row(
            f"all of {service}",
            *(str(sum(n for name, n in one["calls"].items() if name.startswith(f"{service}."))) for one in passes),
            style="bold",
        )
    console.print(table)

    for one in passes:
        writing = one["quickbooks_writing"]
        if writing is not None:
            table = _table(console, f"Writing to QuickBooks, pass {one['name']!r}", ["", "taken", "limit allows"])
            table.add_row("seconds", f"{writing['seconds']}", f"{writing['least_seconds']} (ratio {writing['ratio']})")
            table.add_row("calls", f"{writing['calls']} ({writing['batches']} batches, {writing['sends']} e-mails)", "")
            table.add_row("most in a second", str(writing["most_in_a_second"]), "10")
            table.add_row("most in a minute", str(writing["most_in_a_minute"]), "500")
            table.add_row("most batches in a minute", str(writing["most_batches_in_a_minute"]), "40")
            console.print(table)

    table = _table(console, "Start-up", ["", "seconds"])
    for name, seconds in document["start_up_seconds"].items():
        table.add_row(name, f"{seconds:.2f}")
    console.print(table)
    for one in passes:
        for problem in filter(None, (one["error"], *(f"{gate['check']}: {gate['finding']}" for gate in one["closed"]))):
            console.print(f"pass {one['name']!r}: {problem}", style="red", markup=False)


def _table(console: Console, title: str, columns: list[str]) -> Table:
    console.print()
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    return table


def _seconds(steps: list[dict[str, Any]], name: str) -> str:
    found = [step["seconds"] for step in steps if step["step"] == name]
    return " + ".join(f"{seconds:.2f}" for seconds in found) or "-"


if __name__ == "__main__":
    main()
