"""``qbsf review``: accounts whose QuickBooks customer a person must name."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import polars as pl
import typer

from qbsf_pipeline.cli.options import Json, person
from qbsf_pipeline.cli.output import print_json, say, table
from qbsf_pipeline.errors import ConfigurationError
from qbsf_pipeline.money import format_amount
from qbsf_pipeline.quickbooks.objects import CUSTOMER
from qbsf_pipeline.settings import Settings, load_settings
from qbsf_pipeline.state.database import State
from qbsf_pipeline.state.links import LinkConflict
from qbsf_pipeline.state.reviews import Decision, Review, UnknownReview
from qbsf_pipeline.warehouse.connection import Warehouse, read_table

app = typer.Typer(help="Customer matches that wait for a person: list, show, link, create, ignore.", invoke_without_command=True)
ReviewId = Annotated[str, typer.Argument(metavar="REVIEW", help="Such as R-3, or the 18-character id of the account.")]


@app.callback()
def review(context: typer.Context, json: Json = False) -> None:
    """Without a command: list what waits."""
    if context.invoked_subcommand is None:
        list_reviews(everything=False, json=json)


@app.command("list")
def list_reviews(
    everything: Annotated[bool, typer.Option("--all", help="Also what was decided.")] = False, json: Json = False
) -> None:
    """What waits, and how much waits with it."""
    found = _state().reviews.list(None if everything else "open")
    if json:
        print_json([_as_json(one) for one in found])
        return
    if not found:
        say("No account waits for a person.", style="green")
        return
    table(
        f"{len(found)} accounts",
        ("Review", "State", "Account", "Question", "Deals", "Amount"),
        ((one.review_id, one.status, one.account_name, one.question, one.deals_waiting, _amount(one)) for one in found),
        right=("Deals", "Amount"),
    )
    say("\nqbsf review show REVIEW   the candidates, side by side")


@app.command("show")
def show_review(review_id: ReviewId, json: Json = False) -> None:
    """The account, its candidates with agreeing and differing fields, and the commands to decide."""
    one = _get(_state(), review_id)
    if json:
        print_json(_as_json(one))
        return
    say(f"{one.review_id} · {one.account_name} · {one.status}", style="bold")
    say(one.question)
    say(f"{one.deals_waiting} deals wait ({_amount(one)})")
    table(
        "Candidates in QuickBooks",
        ("Customer", "Name", "E-mail", "City", "Agrees in", "Differs in"),
        (
            (
                candidate.get("customer_id"),
                candidate.get("display_name"),
                candidate.get("email"),
                candidate.get("city"),
                ", ".join(candidate.get("agreeing") or []),
                ", ".join(candidate.get("differing") or []),
            )
            for candidate in one.candidates
        ),
    )
    say(f"\nqbsf review link {one.review_id} CUSTOMER   it is this customer")
    say(f"qbsf review create {one.review_id}          it is none of them: create a new customer")
    say(f"qbsf review ignore {one.review_id}          never invoice this account")


@app.command("link")
def link(
    review_id: ReviewId,
    customer_id: Annotated[str, typer.Argument(metavar="CUSTOMER", help="QuickBooks customer id.")],
    json: Json = False,
) -> None:
    """The account is this customer. The deals that wait go out with the next pass."""
    settings = load_settings()
    with Warehouse(settings.environment.warehouse_path).connection() as connection:
        customers = read_table(connection, CUSTOMER, ["id", "active", "is_deleted", "display_name"])
    chosen = customers.filter((pl.col("id") == customer_id) & ~pl.col("is_deleted")).to_dicts()
    if not chosen:
        raise ConfigurationError([f"QuickBooks has no customer {customer_id}; qbsf review show {review_id} lists the candidates"])
    if not chosen[0]["active"]:
        raise ConfigurationError(
            [f"customer {customer_id} ({chosen[0]['display_name']}) is inactive: make it active in QuickBooks first"]
        )
    _decide(settings, review_id, "link", json, customer_id)


@app.command("create")
def create(review_id: ReviewId, json: Json = False) -> None:
    """The account is none of the candidates: create a customer for it with the next invoice."""
    _decide(load_settings(), review_id, "create", json)


@app.command("ignore")
def ignore(review_id: ReviewId, json: Json = False) -> None:
    """Never invoice this account's deals."""
    _decide(load_settings(), review_id, "ignore", json)


def _decide(settings: Settings, review_id: str, decision: Decision, json: bool, customer_id: str | None = None) -> None:
    state = State.open(settings.environment.state_url, settings.environment.home)
    one = _get(state, review_id)
    try:
        decided = state.reviews.decide(one.review_id, decision, by=person(), now=datetime.now(UTC), customer_id=customer_id)
    except LinkConflict as conflict:
        raise ConfigurationError([str(conflict)]) from conflict
    if json:
        print_json(_as_json(decided))
    else:
        say(f"{decided.review_id} · {decided.account_name}: {decided.status}. The next pass goes on with it: qbsf sync")


def _state() -> State:
    environment = load_settings().environment
    return State.open(environment.state_url, environment.home)


def _get(state: State, review_id: str) -> Review:
    try:
        return state.reviews.get(review_id)
    except UnknownReview as error:
        raise ConfigurationError([f"{review_id}: there is no such review; qbsf review lists them"]) from error


def _amount(one: Review) -> str:
    return format_amount(one.amount_waiting, one.currency) if one.amount_waiting is not None and one.currency else ""


def _as_json(one: Review) -> dict[str, Any]:
    return dict(one.__dict__)
