"""``qbsf review``: accounts whose QuickBooks customer a person must name, deals whose invoice a person names, and what people
can take back."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer
from rich.table import Table
from rich.text import Text

from qbsf_pipeline.cli.options import Json, person
from qbsf_pipeline.cli.output import console, print_json, progress_shown, say, table
from qbsf_pipeline.customers.fields import LABELS
from qbsf_pipeline.customers.matching.inputs import read_inputs, without_own_work
from qbsf_pipeline.customers.matching.plan import MATCHES, RULE_VERSION
from qbsf_pipeline.customers.matching.remember import decided_by
from qbsf_pipeline.customers.matching.replay import compare_matches
from qbsf_pipeline.customers.matching.side_by_side import shown_score, shown_verdict
from qbsf_pipeline.errors import ConfigurationError
from qbsf_pipeline.money import format_amount, parse_json
from qbsf_pipeline.progress import progress
from qbsf_pipeline.quickbooks.objects import CUSTOMER, INVOICE
from qbsf_pipeline.salesforce.objects import ACCOUNT, OPPORTUNITY
from qbsf_pipeline.settings import Settings, load_rules, load_settings
from qbsf_pipeline.state.database import State
from qbsf_pipeline.state.journal import CannotReverse, JournalEntry, UnknownChange
from qbsf_pipeline.state.links import PERSON, CustomerLink, InvoiceLink, LinkConflict
from qbsf_pipeline.state.reviews import Decision, Review, ReviewCase, UnknownReview
from qbsf_pipeline.warehouse.connection import Warehouse, read_table

app = typer.Typer(
    help="Which customer an account is: what waits for a person, decide, take back, try rules.",
    invoke_without_command=True,
)
ReviewId = Annotated[str, typer.Argument(metavar="REVIEW", help="Such as R-3, or the id of the account.")]
CustomerId = Annotated[str, typer.Argument(metavar="CUSTOMER", help="QuickBooks customer id.")]
OpportunityId = Annotated[str, typer.Argument(metavar="OPPORTUNITY", help="Salesforce id of the deal, 15 or 18 characters.")]
InvoiceId = Annotated[str, typer.Argument(metavar="INVOICE", help="QuickBooks invoice id, or its number where only one has it.")]

#: Candidates that are shown whole; the others are a line each.
_SHOWN_WHOLE = 3
_MOST_REPLAYED = 100
_STYLES = {"agrees": "green", "differs": "red", "only_one": "dim", "-": "dim"}


@app.callback()
def review(context: typer.Context, json: Json = False) -> None:
    """Without a command: list what waits."""
    if context.invoked_subcommand is None:
        list_reviews(everything=False, json=json)


@app.command("list")
def list_reviews(
    everything: Annotated[bool, typer.Option("--all", help="Also what was decided.")] = False, json: Json = False
) -> None:
    """What waits, how much waits with it, and since when."""
    found = _state(load_settings()).reviews.list(None if everything else "open")
    if json:
        print_json([_as_json(one) for one in found])
        return
    if not found:
        say("No account waits for a person.", style="green")
        return
    now = datetime.now(UTC)
    table(
        f"{len(found)} account{'s' if len(found) != 1 else ''}",
        ("Review", "State", "Account", "Question", "Deals", "Amount", "Since"),
        (
            (
                one.review_id,
                one.status,
                one.account_name,
                one.question,
                one.deals_waiting,
                _amount(one),
                _age(now, one.opened_at),
            )
            for one in found
        ),
        right=("Deals", "Amount"),
    )
    say("\nqbsf review show REVIEW   both records side by side, and the commands to decide")


@app.command("show")
def show_review(review_id: ReviewId, json: Json = False) -> None:
    """The account beside its candidates field by field, the deals that wait, what was decided before, and how to decide."""
    settings = load_settings()
    state = _state(settings)
    one = _found(settings, state, review_id)
    history = _history(state, one.account_id)
    if json:
        print_json(_as_json(one) | {"history": history})
        return
    say(f"{one.review_id or one.account_id} · {one.account_name} · {one.status}", style="bold")
    say(one.question)
    details = one.details or {}
    deals = details.get("deals", [])
    if one.deals_waiting:
        say(f"{_deals(one.deals_waiting)} wait{'s' if one.deals_waiting == 1 else ''} ({_amount(one) or 'see below'})")
    table("Deals that wait", ("Deal", "Amount"), ((deal["name"], _money(deal)) for deal in deals), right=("Amount",))
    candidates = details.get("candidates", [])
    for number, candidate in enumerate(candidates[:_SHOWN_WHOLE], start=1):
        _show_candidate(candidate, f"Candidate {number} of {len(candidates)}" if len(candidates) > 1 else "The one candidate")
    rest = one.candidates[len(candidates[:_SHOWN_WHOLE]) :]
    table(
        "Other candidates" if candidates else "Candidates in QuickBooks",
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
            for candidate in rest
        ),
    )
    table(
        "Decisions until now",
        ("When", "What", "Customer", "How", "By", "Score", "Rules"),
        ((row["at"], row["what"], row["customer_id"], row["method"], row["by"], row["score"], row["rules"]) for row in history),
    )
    _show_commands(one)


@app.command("link")
def link(review_id: ReviewId, customer_id: CustomerId, json: Json = False) -> None:
    """The account is this customer. The deals that wait go out with the next pass."""
    settings = load_settings()
    _billable(settings, customer_id, review_id)
    _decide(settings, review_id, "link", json, customer_id)


@app.command("create")
def create(review_id: ReviewId, json: Json = False) -> None:
    """The account is none of the candidates: create a customer for it with the next invoice."""
    _decide(load_settings(), review_id, "create", json)


@app.command("ignore")
def ignore(review_id: ReviewId, json: Json = False) -> None:
    """Never invoice this account's deals."""
    _decide(load_settings(), review_id, "ignore", json)


@app.command("also")
def also(review_id: ReviewId, customer_id: CustomerId, json: Json = False) -> None:
    """The account is this customer too, beside the one that it has: another currency, or a branch."""
    settings = load_settings()
    chosen = _billable(settings, customer_id, review_id)
    state = _state(settings)
    one = _found(settings, state, review_id)
    now = datetime.now(UTC)
    with state.transaction():
        _keep_present_link(settings, state, one.account_id, now)
        held = [link.customer_id for link in state.links.customers(one.account_id)]
        if not held:
            raise ConfigurationError(
                [f"{one.account_name} has no customer yet: qbsf review link {review_id} {customer_id} makes it this one"]
            )
        state.reviews.also_link(one.account_id, customer_id, person(), now)
    customers = list(dict.fromkeys([*held, customer_id]))
    if json:
        print_json({"account_id": one.account_id, "account_name": one.account_name, "customers": customers})
        return
    currency = f" ({chosen['currency']})" if chosen["currency"] else ""
    say(f"{one.account_name}: {chosen['display_name']}{currency} is its customer too, beside {', '.join(held)}.")
    say("A deal goes to the customer of its currency: qbsf sync")
    _tell_sharing(settings, state, one, customer_id)


@app.command("undo")
def undo(
    review_id: ReviewId,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Take back what a person or the program decided about an account. What hangs on it is listed first, and stays as it is."""
    settings = load_settings()
    state = _state(settings)
    one = _found(settings, state, review_id)
    invoices = _invoices_of(settings, state, one.account_id)
    linked = [link.customer_id for link in state.links.customers(one.account_id)]
    present = _present_match(settings, state, one.account_id)
    if not linked and present is not None:
        linked = [present["customer_id"]]
    decided = one.review_id and one.status in ("linked", "create", "ignored")
    if not linked and not decided:
        raise ConfigurationError([f"{review_id}: nothing was decided about {one.account_name}, so there is nothing to undo"])
    if not json:
        names = _customer_names(settings, linked)
        said = ", ".join(f"{names.get(customer_id) or '-'} (customer {customer_id})" for customer_id in linked) or "no customer"
        say(f"{one.account_name}: {one.status}, {said}", style="bold")
        if invoices:
            say("These invoices were made on it. They stay in QuickBooks as they are:")
        table(
            "",
            ("Number", "Customer", "Deal", "Amount", "State"),
            ((row["number"], row["customer_id"], row["deal"], _money(row), row["status"]) for row in invoices),
            right=("Amount",),
        )
        if not invoices:
            say("No invoice was made on it.")
    if not yes:
        if json or not sys.stdin.isatty():
            raise ConfigurationError([f"{review_id}: nothing was undone; say --yes to undo it without being asked"])
        if not typer.confirm("Undo it?"):
            say("Nothing was undone.")
            return
    now = datetime.now(UTC)
    with state.transaction():
        _keep_present_link(settings, state, one.account_id, now)
        name = one.account_name
        undone = state.reviews.undo(one.account_id, person(), now, account_name=name, question=_asked_again(linked))
    if json:
        print_json(_as_json(undone) | {"undone": linked, "invoices": invoices})
        return
    say(f"{undone.review_id} · {undone.account_name}: open again. Its deals wait; the invoices that exist stay.")
    _show_commands(undone)


@app.command("link-invoice")
def link_invoice(opportunity_id: OpportunityId, invoice: InvoiceId, json: Json = False) -> None:
    """The deal is billed by this invoice, which somebody made by hand. It is not billed again, and its payments count."""
    settings = load_settings()
    state = _state(settings)
    deal = _deal(settings, opportunity_id)
    found = _linkable(settings, state, invoice, deal)
    now = datetime.now(UTC)
    with state.transaction():
        for other in state.links.all_invoices():
            # One invoice bills one deal: the newest word of a person counts.
            if other.invoice_id == found["id"] and other.opportunity_id != deal["id"]:
                state.links.unlink_invoice(other.opportunity_id, other.invoice_id, person(), now)
        state.links.link_invoice(InvoiceLink(deal["id"], found["id"], PERSON, person(), now))
    number = found["doc_number"] or found["id"]
    if json:
        named = {"opportunity_id": deal["id"], "deal": deal["name"], "invoice_id": found["id"], "number": number}
        print_json(named | {"customer": found["customer_name"], "amount": found["total"], "currency": found["currency"]})
        return
    money = _money({"amount": found["total"], "currency": found["currency"]})
    say(f"{deal['name'] or deal['id']} is billed by invoice {number} ({found['customer_name'] or '-'}, {money}).")
    customers = {one.customer_id for one in state.links.customers(deal["account_id"] or "")}
    if customers and found["customer_id"] not in customers:
        listed = ", ".join(sorted(customers))
        say(
            f"Note: it is an invoice of customer {found['customer_id']}; the deal's account is customer {listed}.", style="yellow"
        )
    say("The next pass goes on with it: qbsf sync")


@app.command("unlink-invoice")
def unlink_invoice(opportunity_id: OpportunityId, invoice: InvoiceId, json: Json = False) -> None:
    """Take back that the deal is billed by this invoice."""
    settings = load_settings()
    state = _state(settings)
    deal = _deal(settings, opportunity_id)
    found = _invoice(settings, invoice)
    if not state.links.unlink_invoice(deal["id"], found["id"], person(), datetime.now(UTC)):
        raise ConfigurationError([f"{invoice} was not linked to {deal['name'] or deal['id']} by a person: nothing was undone"])
    if json:
        print_json({"opportunity_id": deal["id"], "deal": deal["name"], "invoice_id": found["id"], "undone": True})
        return
    say(f"{deal['name'] or deal['id']} is no longer linked to invoice {found['doc_number'] or found['id']}.")
    say("A deal without an invoice is billed by the next pass: qbsf plan shows what it would do")


@app.command("journal")
def journal(
    account: Annotated[str | None, typer.Argument(metavar="[ACCOUNT]", help="Only this account: its id, or a review's.")] = None,
    json: Json = False,
) -> None:
    """Changes of fields: which side had what, who won and by which rule. The newest first."""
    settings = load_settings()
    state = _state(settings)
    account_id = _found(settings, state, account).account_id if account is not None else None
    found = state.journal.list(account_id=account_id)
    if json:
        print_json([_entry(one) for one in found])
        return
    if not found:
        say("No field was changed.")
        return
    table(
        f"{len(found)} change{'s' if len(found) != 1 else ''} of fields",
        ("Id", "Seen", "Account", "Field", "Salesforce", "QuickBooks", "Winner", "State", "Why"),
        (
            (
                one.journal_id,
                one.seen_at,
                one.account_name,
                LABELS.get(one.field, one.field),
                _value(one.salesforce_value),
                _value(one.quickbooks_value),
                one.winner,
                "reversed" if one.reversed_at is not None else one.status,
                one.rule,
            )
            for one in found
        ),
    )
    say("\nqbsf review reverse J-…   make the other value win")


@app.command("reverse")
def reverse(
    journal_id: Annotated[str, typer.Argument(metavar="CHANGE", help="Such as J-12: see qbsf review journal.")],
    json: Json = False,
) -> None:
    """Make the value win that lost: it is written to both sides with the next pass."""
    state = _state(load_settings())
    try:
        entry = state.journal.get(journal_id)
        if not json:
            say(f"{entry.journal_id} · {entry.account_name} · {LABELS.get(entry.field, entry.field)}", style="bold")
            say(
                f"  Salesforce  {_value(entry.salesforce_value) or '(empty)'}{'   ← won' if entry.winner == 'salesforce' else ''}"
            )
            say(
                f"  QuickBooks  {_value(entry.quickbooks_value) or '(empty)'}{'   ← won' if entry.winner == 'quickbooks' else ''}"
            )
        reversed_entry = state.journal.reverse(journal_id, person(), datetime.now(UTC))
    except UnknownChange as error:
        raise ConfigurationError([f"{journal_id}: there is no such change; qbsf review journal lists them"]) from error
    except CannotReverse as error:
        raise ConfigurationError([str(error)]) from error
    if json:
        print_json(_entry(reversed_entry))
    else:
        say(f"The next pass writes {_value(entry.losing_value) or '(empty)'} to both sides: qbsf sync")


@app.command("replay")
def replay(
    rules: Annotated[Path | None, typer.Option("--rules", metavar="FILE", help="Rules to try, laid over those in force.")] = None,
    json: Json = False,
) -> None:
    """Try rules on everything: which links would appear, vanish or change if the program had linked nothing yet."""
    settings = load_settings()
    tried = load_rules(settings.environment.qbsf_config, rules)
    state = _state(settings)
    with progress_shown(json):
        inputs = read_inputs(Warehouse(settings.environment.warehouse_path), state)
        progress(f"matching {inputs.accounts.height} accounts with {inputs.customers.height} customers as it is")
        now = inputs.match(settings.rules).matches
        progress("and once more, as if the program had linked nothing yet")
        then = without_own_work(inputs).match(tried).matches
    changes = compare_matches(now, then, inputs.customers)
    counts = dict(changes.get_column("change").value_counts().iter_rows())
    summary = {
        "accounts": now.height,
        "links_now": now.filter(pl.col("outcome") == "linked").height,
        "links_then": then.filter(pl.col("outcome") == "linked").height,
        "questions_now": now.filter(pl.col("outcome") == "review").height,
        "questions_then": then.filter(pl.col("outcome") == "review").height,
        "appear": counts.get("appears", 0),
        "vanish": counts.get("vanishes", 0),
        "change": counts.get("changes", 0),
        "rule_version": RULE_VERSION,
        "rules": str(rules) if rules is not None else None,
    }
    if json:
        print_json(summary | {"changes": changes.to_dicts()})
        return
    with_rules = f"with {rules}" if rules is not None else "with the rules in force"
    say(
        f"{summary['accounts']} accounts {with_rules}: {summary['links_then']} linked ({summary['links_now']} now), "
        f"{summary['questions_then']} questions ({summary['questions_now']} now).",
        style="bold",
    )
    say(f"{summary['appear']} links would appear, {summary['vanish']} vanish, {summary['change']} change.")
    table(
        "What would be different",
        ("Account", "Name", "Link", "Customer now", "Customer then", "How", "Why", "Score"),
        (
            (
                row["account_id"],
                row["account_name"],
                row["change"],
                _named(row["customer_before"], row["customer_before_name"]),
                _named(row["customer_after"], row["customer_after_name"]),
                row["method"],
                row["reason"],
                row["score"],
            )
            for row in changes.head(_MOST_REPLAYED).iter_rows(named=True)
        ),
        right=("Score",),
    )
    if changes.height > _MOST_REPLAYED:
        say(f"and {changes.height - _MOST_REPLAYED} more: --json lists them all")
    say("\nNothing was written. Links in force stay as they are until qbsf review undo ACCOUNT.")


# Deciding


def _decide(settings: Settings, review_id: str, decision: Decision, json: bool, customer_id: str | None = None) -> None:
    state = _state(settings)
    one = _found(settings, state, review_id)
    now = datetime.now(UTC)
    if decision != "link":
        _require_unlinked(settings, state, one, review_id)
    try:
        with state.transaction():
            if not one.review_id:
                case = ReviewCase(one.account_id, one.account_name, "A person decided without being asked.", (), 0, None, None)
                state.reviews.open_or_refresh([case], now)
            decided = state.reviews.decide(one.account_id, decision, by=person(), now=now, customer_id=customer_id)
    except LinkConflict as conflict:
        raise ConfigurationError([str(conflict)]) from conflict
    if json:
        print_json(_as_json(decided))
        return
    say(f"{decided.review_id} · {decided.account_name}: {decided.status}. The next pass goes on with it: qbsf sync")
    if customer_id is not None:
        _tell_sharing(settings, state, decided, customer_id)


def _require_unlinked(settings: Settings, state: State, one: Review, review_id: str) -> None:
    """A link goes before any other decision: with one in force, that decision would do nothing.

    Raises:
        ConfigurationError: the account has a link that is not this review's own answer.
    """
    answer = one.customer_id if one.review_id and one.status == "linked" else None
    held = [link.customer_id for link in state.links.customers(one.account_id) if link.customer_id != answer]
    present = _present_match(settings, state, one.account_id)
    if present is not None:
        held.append(str(present["customer_id"]))
    if held:
        raise ConfigurationError(
            [f"{one.account_name} is linked to customer {held[0]}: qbsf review undo {review_id} takes that back, then decide"]
        )


def _keep_present_link(settings: Settings, state: State, account_id: str, now: datetime) -> None:
    """Write down what the program found for an account and had no need to keep yet, so that a person decides beside it."""
    present = _present_match(settings, state, account_id)
    if present is None:
        return
    link = CustomerLink(
        account_id=account_id,
        customer_id=present["customer_id"],
        method=present["method"],
        decided_by=decided_by(present["method"], settings.rules.salesforce.account.customer_id),
        decided_at=now,
        score=present["score"],
        evidence=parse_json(present["evidence"] or "{}"),
        rule_version=present["rule_version"] or RULE_VERSION,
    )
    try:
        state.links.link_customer(link)
    except LinkConflict as conflict:
        raise ConfigurationError([f"{conflict}; run qbsf sync, then decide again"]) from conflict


# Looking up


def _found(settings: Settings, state: State, review_id: str) -> Review:
    """A review by its id or its account's; for an account that was never asked about, what a review of it would be, without
    an id of its own.

    Raises:
        ConfigurationError: there is neither such a review nor such an account.
    """
    wanted = review_id.strip()
    try:
        return state.reviews.get(wanted)
    except UnknownReview:
        pass
    with Warehouse(settings.environment.warehouse_path).connection() as connection:
        accounts = read_table(connection, ACCOUNT, ["id", "name"])
    rows = accounts.filter((pl.col("id") == wanted) | (pl.col("id").str.slice(0, 15) == wanted)).to_dicts()
    if len(rows) != 1:
        raise ConfigurationError([f"{review_id}: there is no such review; qbsf review lists them"])
    account_id = str(rows[0]["id"])
    try:
        return state.reviews.get(account_id)
    except UnknownReview:
        pass
    match = _present_match(settings, state, account_id)
    linked = state.links.customers(account_id)
    is_linked = bool(linked) or match is not None
    return Review(
        review_id="",
        account_id=account_id,
        account_name=str(rows[0]["name"] or account_id),
        status="linked" if is_linked else "closed",
        question="Linked, and nobody was asked." if is_linked else "Nobody was asked about this account.",
        candidates=[],
        deals_waiting=0,
        amount_waiting=None,
        currency=None,
        opened_at=datetime.now(UTC),
        decided_at=None,
        decided_by=None,
        customer_id=linked[-1].customer_id if linked else match["customer_id"] if match is not None else None,
    )


def _present_match(settings: Settings, state: State, account_id: str) -> dict[str, Any] | None:
    """The row of ``customers.matches`` of an account that the last pass found a customer for, and that has no link yet.

    A link that was in force then may be undone since; what a person rejected since is no match any more.
    """
    if state.links.customers(account_id):
        return None
    with Warehouse(settings.environment.warehouse_path).connection() as connection:
        matches = read_table(connection, MATCHES)
    found = matches.filter(
        (pl.col("account_id") == account_id) & (pl.col("outcome") == "linked") & ~pl.col("method").is_in(["link", "decision"])
    ).to_dicts()
    rejected = {(one.account_id, one.customer_id) for one in state.rejections.all()}
    return next((row for row in found if (account_id, row["customer_id"]) not in rejected), None)


def _billable(settings: Settings, customer_id: str, review_id: str) -> dict[str, Any]:
    """The customer that a person named.

    Raises:
        ConfigurationError: QuickBooks does not have it, or it is inactive.
    """
    with Warehouse(settings.environment.warehouse_path).connection() as connection:
        customers = read_table(connection, CUSTOMER, ["id", "active", "is_deleted", "display_name", "currency"])
    chosen = customers.filter((pl.col("id") == customer_id) & ~pl.col("is_deleted").fill_null(False)).to_dicts()
    if not chosen:
        raise ConfigurationError([f"QuickBooks has no customer {customer_id}; qbsf review show {review_id} lists the candidates"])
    if chosen[0]["active"] is False:
        raise ConfigurationError(
            [f"customer {customer_id} ({chosen[0]['display_name']}) is inactive: make it active in QuickBooks first"]
        )
    return chosen[0]


def _deal(settings: Settings, opportunity_id: str) -> dict[str, Any]:
    """A deal by its id of 15 or 18 characters: id, name, account_id, currency.

    Raises:
        ConfigurationError: Salesforce does not have it.
    """
    wanted = opportunity_id.strip()
    with Warehouse(settings.environment.warehouse_path).connection() as connection:
        deals = read_table(connection, OPPORTUNITY, ["id", "name", "account_id", "currency", "is_deleted"])
    found = deals.filter(
        ((pl.col("id") == wanted) | (pl.col("id").str.slice(0, 15) == wanted)) & ~pl.col("is_deleted").fill_null(False)
    ).to_dicts()
    if len(found) != 1:
        raise ConfigurationError([f"{opportunity_id}: Salesforce has no such deal, or it was not read yet; qbsf sync reads it"])
    return found[0]


def _invoice(settings: Settings, invoice: str) -> dict[str, Any]:
    """An invoice by its QuickBooks id or, where only one has it, its number.

    Raises:
        ConfigurationError: QuickBooks does not have it, or has several with the number.
    """
    wanted = invoice.strip()
    columns = ["id", "doc_number", "customer_id", "customer_name", "total", "currency", "status", "opportunity_id", "is_deleted"]
    with Warehouse(settings.environment.warehouse_path).connection() as connection:
        invoices = read_table(connection, INVOICE, columns)
    live = invoices.filter(~pl.col("is_deleted").fill_null(False))
    by_id = live.filter(pl.col("id") == wanted).to_dicts()
    by_number = live.filter(pl.col("doc_number") == wanted).to_dicts()
    # A number may be another invoice's id: then nobody can tell which one is meant.
    found = list({row["id"]: row for row in (*by_id, *by_number)}.values())
    if not found:
        raise ConfigurationError([f"{invoice}: QuickBooks has no such invoice, or it was not read yet; qbsf sync reads it"])
    if len(found) > 1:
        ids = ", ".join(f"id {row['id']} (number {row['doc_number'] or '-'})" for row in found)
        raise ConfigurationError([f"{invoice}: several invoices could be meant: {ids}. Name one whose id is no other's number"])
    return found[0]


def _linkable(settings: Settings, state: State, invoice: str, deal: Mapping[str, Any]) -> dict[str, Any]:
    """The invoice that a person named for a deal.

    Raises:
        ConfigurationError: it is not there, bills nothing any more, or is another deal's by its own marker.
    """
    found = _invoice(settings, invoice)
    number = found["doc_number"] or found["id"]
    if found["status"] in ("voided", "deleted"):
        raise ConfigurationError([f"invoice {number} is {found['status']} in QuickBooks: it bills nothing"])
    marked = found["opportunity_id"]
    if marked and marked[:15] != deal["id"][:15]:
        raise ConfigurationError(
            [f"invoice {number} was made for deal {marked}: its note in QuickBooks says so. Correct the note there first"]
        )
    made = [
        entry
        for entry in state.ledger.entries("invoices", "done")
        if entry.operation == "create_invoice" and entry.result_id == found["id"] and entry.opportunity_id != deal["id"]
    ]
    if made:
        raise ConfigurationError([f"invoice {number} was made by qbsf for another deal: {made[0].label}"])
    if found["currency"] and deal["currency"] and found["currency"] != deal["currency"]:
        raise ConfigurationError(
            [f"invoice {number} is in {found['currency']}, the deal in {deal['currency']}: their amounts cannot be compared"]
        )
    return found


def _customer_names(settings: Settings, customer_ids: Sequence[str]) -> dict[str, str]:
    with Warehouse(settings.environment.warehouse_path).connection() as connection:
        customers = read_table(connection, CUSTOMER, ["id", "display_name"])
    return dict(customers.filter(pl.col("id").is_in(list(customer_ids))).iter_rows())


def _invoices_of(settings: Settings, state: State, account_id: str) -> list[dict[str, Any]]:
    """The invoices that the program made for an account: number, customer_id, deal, amount, currency, status, invoice_id."""
    entries = [
        entry
        for entry in state.ledger.entries("invoices", "done")
        if entry.account_id == account_id and entry.operation == "create_invoice"
    ]
    with Warehouse(settings.environment.warehouse_path).connection() as connection:
        pulled = read_table(connection, INVOICE, ["id", "doc_number", "customer_id", "status", "balance", "is_deleted"])
    known = {row["id"]: row for row in pulled.filter(pl.col("id").is_in([entry.result_id for entry in entries])).to_dicts()}
    found = []
    for entry in entries:
        made = parse_json(entry.result or "{}")
        now = known.get(entry.result_id or "", {})
        found.append(
            {
                "invoice_id": entry.result_id,
                "number": now.get("doc_number") or made.get("DocNumber") or entry.result_id,
                "customer_id": now.get("customer_id") or (made.get("CustomerRef") or {}).get("value"),
                "deal": entry.label,
                "amount": entry.amount,
                "currency": entry.currency,
                "status": _invoice_state(now),
            }
        )
    return found


def _invoice_state(invoice: Mapping[str, Any]) -> str:
    if not invoice:
        return "made"
    if invoice["is_deleted"] or invoice["status"] == "deleted":
        return "deleted"
    if invoice["status"] == "voided":
        return "voided"
    return "paid" if invoice["balance"] == 0 else "open"


def _history(state: State, account_id: str) -> list[dict[str, Any]]:
    """Every decision about an account, oldest first: at, what, customer_id, method, by, score, rules."""
    rows: list[dict[str, Any]] = []
    for one in state.links.history(account_id):
        common = {"customer_id": one.customer_id, "method": one.method, "score": one.score, "rules": one.rule_version}
        rows.append(common | {"at": one.decided_at, "what": "linked", "by": one.decided_by})
        if one.unlinked_at is not None:
            rows.append(common | {"at": one.unlinked_at, "what": "undone", "by": one.unlinked_by})
    for rejected in state.rejections.all():
        if rejected.account_id == account_id:
            nothing = {"method": "", "score": None, "rules": ""}
            named = {"at": rejected.decided_at, "what": "never this one", "by": rejected.decided_by}
            rows.append({"customer_id": rejected.customer_id, **nothing, **named})
    return sorted(rows, key=lambda row: (row["at"], row["what"]))


def _state(settings: Settings) -> State:
    return State.open(settings.environment.state_url, settings.environment.home)


# Showing


def _show_candidate(candidate: Mapping[str, Any], title: str) -> None:
    customer = candidate["customer"]
    notes = [] if customer["active"] else ["inactive"]
    notes += [f"sub-customer of {customer['parent']}"] if customer["parent"] else []
    notes += [f"owes {_money({'amount': customer['balance'], 'currency': customer['currency']})}"] if customer["balance"] else []
    score = shown_score(candidate["score"])
    likeness = f"likeness {score}" if score else ""
    told = " · ".join(part for part in (f"customer {customer['customer_id']}", likeness, *notes) if part)
    shown = Table(title_justify="left", header_style="bold", box=None, pad_edge=False)
    for column in ("", "Salesforce", "QuickBooks", ""):
        shown.add_column(column, overflow="fold")
    for field in candidate["fields"]:
        style = _STYLES.get(field["verdict"], "")
        shown.add_row(
            Text(field["field"], style="dim"),
            Text(field["account_value"] or "-"),
            Text(field["customer_value"] or "-", style=style if field["verdict"] in ("agrees", "differs") else ""),
            Text(shown_verdict(field), style=style),
        )
    console.print()
    console.print(Text(f"{title}: {customer['display_name'] or '-'} ({told})", style="bold"), soft_wrap=True)
    console.print(shown)


def _show_commands(one: Review) -> None:
    named = one.review_id or one.account_id
    choices = [(str(candidate["customer_id"]), candidate.get("display_name") or "-") for candidate in one.candidates[:5]]
    commands = [(f"qbsf review link {named} {customer_id}", f"it is {name}") for customer_id, name in choices]
    if not choices:
        commands.append((f"qbsf review link {named} CUSTOMER", "it is this customer"))
    none = "it is none of them: create a new customer" if choices else "create a new customer"
    commands += [(f"qbsf review create {named}", none), (f"qbsf review ignore {named}", "never invoice this account")]
    if one.status != "open":
        commands.append((f"qbsf review undo {named}", "take back what was decided"))
    width = max(len(command) for command, _ in commands)
    say()
    for command, meaning in commands:
        say(f"{command.ljust(width)}   {meaning}")


def _tell_sharing(settings: Settings, state: State, one: Review, customer_id: str) -> None:
    """Say that a customer is another account's too: only a person may do that, and should know it."""
    others = {link.account_id for link in state.links.all_customers() if link.customer_id == customer_id} - {one.account_id}
    if not others:
        return
    with Warehouse(settings.environment.warehouse_path).connection() as connection:
        accounts = read_table(connection, ACCOUNT, ["id", "name"])
    names = dict(accounts.filter(pl.col("id").is_in(list(others))).iter_rows())
    told = ", ".join(f"{names.get(account_id) or '-'} ({account_id})" for account_id in sorted(others))
    say(f"Note: customer {customer_id} is also the customer of {told}.", style="yellow")


def _asked_again(customer_ids: Sequence[str]) -> str:
    told = ", ".join(customer_ids)
    return f"A person took back that the account is customer {told}. Which customer is it?" if told else "Which customer is it?"


def _amount(one: Review) -> str:
    return format_amount(one.amount_waiting, one.currency) if one.amount_waiting is not None and one.currency else ""


def _money(row: Mapping[str, Any]) -> str:
    return "" if row["amount"] is None else format_amount(row["amount"], row["currency"] or "").strip()


def _deals(number: int) -> str:
    return f"{number} deal{'s' if number != 1 else ''}"


def _age(now: datetime, since: datetime) -> str:
    days = (now - since).days
    return "today" if days < 1 else f"{days} day{'s' if days != 1 else ''}"


def _named(customer_id: str | None, name: str | None) -> str:
    return "" if customer_id is None else f"{name or '-'} ({customer_id})"


def _value(text: str | None) -> str:
    """A value of the journal, which keeps JSON, as people read it."""
    if text is None:
        return ""
    try:
        value = parse_json(text)
    except ValueError:
        return text
    if isinstance(value, Mapping):
        return ", ".join(str(part) for part in value.values() if part not in (None, ""))
    return "" if value is None else str(value)


def _entry(one: JournalEntry) -> dict[str, Any]:
    return dict(one.__dict__)


def _as_json(one: Review) -> dict[str, Any]:
    return dict(one.__dict__)
