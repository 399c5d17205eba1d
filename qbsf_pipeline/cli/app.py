"""The commands of ``qbsf``, in the order of the README."""

from __future__ import annotations

import typer

from qbsf_pipeline.cli import approvals, demo, dev, failures, plan, query, reviews, status, sync

app = typer.Typer(
    name="qbsf",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Closed-won Salesforce deals become QuickBooks Online invoices, once and only once.",
)
app.command("demo")(demo.demo)
app.command("dev")(dev.dev)
app.command("sync")(sync.sync)
app.command("plan")(plan.plan)
app.command("approve")(approvals.approve)
app.command("reject")(approvals.reject)
app.command("status")(status.status)
app.add_typer(failures.app, name="failures")
app.add_typer(reviews.app, name="review")
app.command("query")(query.query)
