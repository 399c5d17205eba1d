"""The commands of ``qbsf``, in the order of the README. A command's module is imported when the command runs: some take a
second to import, and ``qbsf --help`` must answer at once."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

from qbsf_pipeline.cli.loading import loading

#: Every command: its line in ``qbsf --help``, the module in this package, and the function or group of commands in it.
COMMANDS = {
    "demo": (
        "Start the built-in Salesforce, QuickBooks and Slack with sample data, run a pass, and say what happened.",
        "demo",
        "demo",
    ),
    "dev": ("Bring up the Dagster UI with sensors and schedules running.", "dev", "dev"),
    "sync": ("One full pass: pull, derive, check, plan, gate, push, notify. Needs no daemon.", "sync", "sync"),
    "plan": ("Read both systems and show every write that the next push would do, with its reason.", "plan", "plan"),
    "approve": ("Let the next push do these writes.", "approvals", "approve"),
    "reject": ("Keep the next pushes from doing these writes.", "approvals", "reject"),
    "status": ("What was done last, how fresh the data is, and what waits for whom. Calls no service.", "status", "status"),
    "failures": ("Records that need a person: list, show, retry, dismiss.", "failures", "app"),
    "review": ("Which customer an account is: what waits for a person, decide, take back, try rules.", "reviews", "app"),
    "cleanse": ("Audit the records of both systems before launch. Changes nothing, and writes a workbook.", "cleanse", "cleanse"),
    "doctor": (
        "Check every credential, permission, custom field, preference and channel; say how to mend each.",
        "doctor",
        "doctor",
    ),
    "connect": ("First-time connection: quickbooks, salesforce.", "connect", "app"),
    "reconcile": (
        "The month-end report: won against invoiced; accept differences, close the month, show reports of before.",
        "reconcile",
        "app",
    ),
    "query": ("Run SQL against the published snapshot.", "query", "query"),
}


class _OnDemand(TyperGroup):
    """Takes the command that is run from its module; the others stay lines of the help."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] in COMMANDS:
            self.commands[args[0]] = loaded(args[0])
        return super().resolve_command(ctx, args)


def loaded(name: str) -> Any:
    """The true command, its module imported."""
    _, module, attribute = COMMANDS[name]
    with loading():
        found = getattr(import_module(f"qbsf_pipeline.cli.{module}"), attribute)
    command: Any
    if isinstance(found, typer.Typer):
        command = get_group(found)
    else:
        single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        single.command(name)(found)
        command = get_command(single)
    command.name = name
    return command


def _line_of_help() -> None:
    """Stands for a command whose module is not imported yet."""


app = typer.Typer(
    name="qbsf",
    cls=_OnDemand,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Closed-won Salesforce deals become QuickBooks Online invoices, once and only once.",
)
for _name, (_help, _, _) in COMMANDS.items():
    app.command(_name, help=_help)(_line_of_help)
