"""``qbsf doctor``: whether everything is set up that a pass needs, and how to mend what is not."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import typer
from rich.markup import escape
from rich.table import Table

from qbsf_pipeline.cli.options import Json
from qbsf_pipeline.cli.output import complain, console, print_json, progress_shown, say
from qbsf_pipeline.cli.services import services_for
from qbsf_pipeline.doctor.examination import Report, examine
from qbsf_pipeline.doctor.findings import Finding, Level
from qbsf_pipeline.doctor.installation import Found, read_settings
from qbsf_pipeline.errors import SYSTEM_NAMES
from qbsf_pipeline.sandbox.server import SandboxError
from qbsf_pipeline.settings import Mode

_STYLES = {Level.OK: "green", Level.WARNING: "yellow", Level.PROBLEM: "bold red"}
_CHECK_WIDTH = 34


def doctor(json: Json = False) -> None:
    """Check every credential, permission, custom field, preference and channel; say how to mend each.

    Writes nothing but refreshed tokens, and sends nothing. Exit 0: all is well, perhaps with warnings. 3: a person must mend
    something. 1: the doctor itself could not run.
    """
    found = read_settings()
    try:
        with progress_shown(json):
            report = _examined(found)
    except SandboxError as error:
        complain(str(error))
        raise typer.Exit(1) from error
    if json:
        print_json(_as_json(report))
    else:
        show(report)
    raise typer.Exit(report.exit_code)


def show(report: Report) -> None:
    """The report, for a person at a terminal."""
    say(f"\nMode {report.mode.value}, files in {report.home}", style="bold")
    width = max(24, min(_CHECK_WIDTH, console.width // 3))
    for area in dict.fromkeys(finding.area for finding in report.findings):
        shown = Table(title=area.label, title_justify="left", title_style="bold", box=None, pad_edge=False, show_header=False)
        shown.add_column(width=len(Level.PROBLEM.value))
        shown.add_column(max_width=width, overflow="fold")
        shown.add_column(overflow="fold", ratio=1)
        for finding in (one for one in report.findings if one.area is area):
            style = _STYLES[finding.level]
            shown.add_row(f"[{style}]{finding.level.value}[/]", escape(finding.check), _told(finding))
        console.print()
        console.print(shown)
    problems, warnings, well = (report.count(level) for level in (Level.PROBLEM, Level.WARNING, Level.OK))
    style = "red" if problems else "yellow" if warnings else "green"
    summary = f"{_counted(problems, 'problem')}, {_counted(warnings, 'warning')}, {well} checks without either."
    say(f"\n{summary}" if problems or warnings else f"\nAll is well: {well} checks.", style=style)
    for system, name in SYSTEM_NAMES.items():
        kinds = {call.partition(".")[2]: n for call, n in report.api_calls.items() if call.startswith(f"{system}.")}
        if kinds:
            listed = ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))
            say(f"{name}: {_counted(sum(kinds.values()), 'API call')} ({listed})")
    if problems:
        say("Mend the problems, then run qbsf doctor again: it changes nothing.")


def _examined(found: Found) -> Report:
    if found.mode is Mode.SANDBOX:
        with services_for(found.settings) as settings:
            return examine(Found(settings, found.findings, True))
    return examine(found)


def _told(finding: Finding) -> str:
    text = escape(finding.found)
    return f"{text}\n[bold]Mend:[/] {escape(finding.mend)}" if finding.mend else text


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _as_json(report: Report) -> dict[str, Any]:
    counts = {level.value: report.count(level) for level in Level}
    return {
        "mode": report.mode.value,
        "home": report.home,
        "findings": [asdict(finding) for finding in report.findings],
        "counts": counts,
        "api_calls": report.api_calls,
        "exit_code": report.exit_code,
    }
