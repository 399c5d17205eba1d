"""``qbsf failures``: records that need a person, and what a person can do about them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from qbsf_pipeline.cli.options import Json, person
from qbsf_pipeline.cli.output import print_json, say, table
from qbsf_pipeline.errors import ConfigurationError
from qbsf_pipeline.money import format_amount
from qbsf_pipeline.settings import load_settings
from qbsf_pipeline.state.database import State
from qbsf_pipeline.state.failures import Failure, UnknownFailure

app = typer.Typer(help="Records that need a person: list, show, retry, dismiss.", invoke_without_command=True)
FailureId = Annotated[str, typer.Argument(metavar="ID", help="Such as F-12.")]


@app.callback()
def failures(context: typer.Context, json: Json = False) -> None:
    """Without a command: list what is open."""
    if context.invoked_subcommand is None:
        list_failures(everything=False, json=json)


@app.command("list")
def list_failures(
    everything: Annotated[bool, typer.Option("--all", help="Also what was resolved or dismissed.")] = False, json: Json = False
) -> None:
    """What is open, with reasons."""
    found = _state().failures.list(None if everything else "open")
    if json:
        print_json([_as_json(failure) for failure in found])
        return
    if not found:
        say("Nothing needs a person.", style="green")
        return
    table(
        f"{len(found)} records",
        ("Id", "State", "Record", "Amount", "What is wrong", "Since"),
        (
            (
                failure.failure_id,
                failure.status,
                failure.problem.label,
                _amount(failure),
                "\n".join(reason.text for reason in failure.problem.reasons),
                failure.opened_at,
            )
            for failure in found
        ),
        right=("Amount",),
    )
    say("\nqbsf failures show ID   the whole story     qbsf failures retry ID   try again   qbsf failures dismiss ID   let it be")


@app.command("show")
def show_failure(failure_id: FailureId, json: Json = False) -> None:
    """One record: reasons, remedies, links, and what was tried."""
    state = _state()
    failure = _get(state, failure_id)
    if json:
        print_json(_as_json(failure))
        return
    say(f"{failure.failure_id} · {failure.problem.label} · {failure.status}", style="bold")
    if failure.problem.link:
        say(failure.problem.link)
    for reason in failure.problem.reasons:
        say(f"• {reason.text}  [{reason.code}]")
        if reason.remedy:
            say(f"  → {reason.remedy}")
    writes = state.ledger.entries(flow=failure.problem.flow, opportunity_id=failure.problem.source_id)
    table(
        "Writes of this deal",
        ("Write", "State", "Attempts", "Result", "Last error"),
        (
            (entry.operation.replace("_", " "), entry.status, entry.attempts, entry.result_id, entry.error_message)
            for entry in writes
        ),
        right=("Attempts",),
    )


@app.command("retry")
def retry_failure(failure_id: FailureId, json: Json = False) -> None:
    """Try the refused writes of this record again in the next pass."""
    state = _state()
    _get(state, failure_id)
    keys = state.failures.retry(failure_id, datetime.now(UTC))
    if json:
        print_json({"failure_id": failure_id, "writes": list(keys)})
    elif keys:
        say(f"{len(keys)} writes are tried again in the next pass: qbsf sync")
    else:
        say("The deal itself must be mended first; it is looked at again in every pass.")


@app.command("dismiss")
def dismiss_failure(
    failure_id: FailureId,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept with the decision.")] = "",
    json: Json = False,
) -> None:
    """Say no more about this record until something about it changes."""
    state = _state()
    if _get(state, failure_id).status == "resolved":
        raise ConfigurationError([f"{failure_id}: it is resolved already; there is nothing to dismiss"])
    failure = state.failures.dismiss(failure_id, person(), reason, datetime.now(UTC))
    if json:
        print_json(_as_json(failure))
    else:
        say(f"{failure.failure_id} dismissed; it comes back if something about it changes.")


def _state() -> State:
    environment = load_settings().environment
    return State.open(environment.state_url, environment.home)


def _get(state: State, failure_id: str) -> Failure:
    try:
        return state.failures.get(failure_id)
    except UnknownFailure as error:
        raise ConfigurationError([f"{failure_id}: there is no such failure; qbsf failures lists them"]) from error


def _amount(failure: Failure) -> str:
    problem = failure.problem
    return format_amount(problem.amount, problem.currency) if problem.amount is not None and problem.currency else ""


def _as_json(failure: Failure) -> dict[str, Any]:
    problem = failure.problem
    return {
        "failure_id": failure.failure_id,
        "status": failure.status,
        "flow": problem.flow,
        "kind": problem.kind,
        "object": problem.source_object,
        "record_id": problem.source_id,
        "label": problem.label,
        "link": problem.link,
        "amount": problem.amount,
        "currency": problem.currency,
        "reasons": [{"code": reason.code, "text": reason.text, "remedy": reason.remedy} for reason in problem.reasons],
        "opened_at": failure.opened_at,
        "changed_at": failure.changed_at,
        "dismissed_by": failure.dismissed_by,
    }
