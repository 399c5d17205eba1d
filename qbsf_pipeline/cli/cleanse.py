"""``qbsf cleanse``: what is wrong with the records of both systems, and how far the clean-up is. Changes nothing."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from qbsf_pipeline.cleansing.findings import FINDINGS, KINDS, SEVERITIES, SYSTEMS
from qbsf_pipeline.cleansing.score import latest_scores
from qbsf_pipeline.cleansing.workbook import WORKBOOK_NAME, progress_sentence
from qbsf_pipeline.cli.loading import loading
from qbsf_pipeline.cli.options import Json
from qbsf_pipeline.cli.output import complain, print_json, progress_shown, say, table
from qbsf_pipeline.cli.services import services_for
from qbsf_pipeline.errors import SYSTEM_NAMES, ConfigurationError
from qbsf_pipeline.settings import Settings, load_settings
from qbsf_pipeline.state.database import State
from qbsf_pipeline.warehouse.connection import Warehouse, read_table

#: What the exit code means: nothing stops an invoice; errors were found; the audit itself failed.
SOUND, FAILED, ERRORS_FOUND = 0, 1, 3
_WORST = 10

WorkbookPath = Annotated[
    Path | None, typer.Option("--workbook", metavar="PATH", help="Also put the workbook there (a file or a folder).")
]


def cleanse(json: Json = False, workbook: WorkbookPath = None) -> None:
    """Audit the records of both systems before launch. Changes nothing in either, sends no message.

    Exit 0: nothing stops an invoice. Exit 3: there are errors to mend. Exit 1: the audit itself failed.
    """
    target = _writable(workbook)
    with services_for(load_settings()) as settings:
        with progress_shown(json):
            with loading():
                from qbsf_pipeline.cli.audits import run_audit  # Dagster takes a second to import: say something first

            result = run_audit(settings)
        if result.error is not None:
            complain(result.error)
            raise typer.Exit(FAILED)
        if target is not None and target != result.workbook:
            shutil.copyfile(result.workbook, target)
        found = _gathered(settings, result.new, result.mended, target or result.workbook)
    if json:
        print_json(found)
    else:
        _show(found)
    raise typer.Exit(found["exit_code"])


def _writable(workbook: Path | None) -> Path | None:
    """Where the workbook is asked for, made sure of before the audit takes its time."""
    if workbook is None:
        return None
    target = workbook.expanduser().absolute()
    target = target / WORKBOOK_NAME if target.is_dir() else target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("ab"):
            pass
    except OSError as error:
        raise ConfigurationError([f"--workbook: cannot write {target}: {error.strerror}"]) from error
    return target


def _gathered(settings: Settings, new: int, mended: int, workbook: Path) -> dict[str, Any]:
    """What the audit found, as it is printed."""
    with Warehouse(settings.environment.warehouse_path).connection() as connection:
        rows = read_table(connection, FINDINGS).to_dicts()
    with State.open(settings.environment.state_url, settings.environment.home) as state:
        scores = latest_scores(state) or {}
        ever = state.cleansing.findings()
        audits = len(state.cleansing.runs(limit=2))
    errors = sum(row["severity"] == "error" for row in rows)
    return {
        "mode": settings.mode.value,
        "scores": {
            system: {name: value for name, value in vars(score).items() if name != "system"} for system, score in scores.items()
        },
        "progress": {
            "first_audit": audits == 1,
            "since": min((one.first_seen_at for one in ever), default=None),
            "ever_found": len(ever),
            "mended": sum(one.resolved_at is not None for one in ever),
            "fixed_now": mended,
            "new_now": new,
            "sentence": progress_sentence(ever),
        },
        "kinds": _kinds(rows),
        "findings": rows,
        "workbook": str(workbook),
        "exit_code": ERRORS_FOUND if errors else SOUND,
    }


def _kinds(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Counts by kind and severity, in the order of the catalogue."""
    counts = Counter((row["code"], row["severity"]) for row in rows)
    systems = {code: [system for system in SYSTEMS if any(row["code"] == code and row["system"] == system for row in rows)]
               for code in {row["code"] for row in rows}}  # fmt: skip
    return [
        {"code": code, "title": kind.title, "systems": systems[code]}
        | {severity: counts[code, severity] for severity in SEVERITIES}
        for code, kind in KINDS.items()
        if code in systems
    ]


def _show(found: Mapping[str, Any]) -> None:
    table(
        "Readiness for launch",
        ("System", "Score", "Records", "Without error", "Errors", "Warnings", "Hints"),
        (
            (
                SYSTEM_NAMES[system],
                f"{score['value']} of 100",
                score["records"],
                score["without_error"],
                score["errors"],
                score["warnings"],
                score["hints"],
            )
            for system, score in found["scores"].items()
        ),
        right=("Score", "Records", "Without error", "Errors", "Warnings", "Hints"),
    )
    progress = found["progress"]
    if progress["first_audit"]:
        say("\nThis is the first audit: the next one will tell what was mended.")
    else:
        say(f"\nSince the last audit: {progress['fixed_now']} fixed, {progress['new_now']} new. {progress['sentence']}")
    if not found["findings"]:
        say("Nothing was found: both systems are ready.", style="green")
    table(
        "What was found",
        ("Kind", "In", "Errors", "Warnings", "Hints"),
        (
            (
                kind["title"],
                ", ".join(SYSTEM_NAMES[system] for system in kind["systems"]),
                *(kind[severity] or None for severity in SEVERITIES),
            )
            for kind in found["kinds"]
        ),
        right=("Errors", "Warnings", "Hints"),
    )
    worst = found["findings"][:_WORST]
    table(
        "The worst" if len(worst) == len(found["findings"]) else f"The {len(worst)} worst",
        ("Finding", "Severity", "What is wrong", "What to do"),
        ((row["finding_id"], row["severity"], row["what"], row["repair"]) for row in worst),
    )
    say(f"\nEverything, with links to the records: {found['workbook']}")
    say('or qbsf query "SELECT severity, record_name, what, repair FROM cleansing.findings"')
