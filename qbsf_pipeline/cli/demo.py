"""``qbsf demo``: the built-in services with a believable company, one pass, and what happened."""

from __future__ import annotations

import os

import typer

from qbsf_pipeline.cli.options import Json
from qbsf_pipeline.cli.output import print_json, say
from qbsf_pipeline.cli.services import services_for
from qbsf_pipeline.cli.sync import FAILED, run_and_report, show
from qbsf_pipeline.settings import Mode, load_settings


def demo(json: Json = False) -> None:
    """Start the built-in Salesforce, QuickBooks and Slack with sample data, run a pass, and say what happened.

    Needs no key, no account and no server. A second run finds nothing to do. The deals that it refuses are meant to be
    refused, so it ends with 0 unless the pass itself failed. The month in which most deals were won is reconciled too.
    """
    os.environ["QBSF_MODE"] = Mode.SANDBOX.value
    settings = load_settings()
    if not json:
        say("qbsf demo: a company's Salesforce, QuickBooks and Slack on this machine; nothing leaves it.", style="bold")
        say(f"Files are kept in {settings.environment.home}.")
    with services_for(settings) as running:
        report = run_and_report(running, quiet=json, busiest_month=True)
    if json:
        print_json(report.__dict__ | {"exit_code": report.exit_code})
    else:
        show(report, running)
    raise typer.Exit(FAILED if report.error is not None else 0)
