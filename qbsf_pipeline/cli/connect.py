"""``qbsf connect``: the first connection to each system. No token is ever shown."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Annotated
from urllib.parse import urlsplit

import typer

from qbsf_pipeline.api_meter import ApiMeter
from qbsf_pipeline.cli.output import complain, say
from qbsf_pipeline.cli.services import services_for
from qbsf_pipeline.doctor.findings import Level
from qbsf_pipeline.doctor.installation import WHERE, read_settings
from qbsf_pipeline.errors import AccessRefused, ConfigurationError, ServiceError
from qbsf_pipeline.quickbooks.authorization import AnotherAnswer, Authorization, Consent
from qbsf_pipeline.quickbooks.client import QuickBooksClient
from qbsf_pipeline.quickbooks.connection import QuickBooksConnection
from qbsf_pipeline.quickbooks.pace import Pace
from qbsf_pipeline.salesforce.client import SalesforceClient
from qbsf_pipeline.salesforce.objects import quoted
from qbsf_pipeline.settings import Environment, Mode, Settings, checked_url, is_loopback
from qbsf_pipeline.state.database import State

app = typer.Typer(help="First-time connection: quickbooks, salesforce.", no_args_is_help=True)

#: Registered with the app as it stands, port included.
DEFAULT_PORT = 8765
_WAIT_SECONDS = 600.0
_PAGE = (
    "<!doctype html><html lang=en><meta charset=utf-8><title>qbsf</title>"
    "<body style='font-family:sans-serif;margin:4em'><h1>{title}</h1><p>{text}</p></body></html>"
)

Port = Annotated[int, typer.Option(help="Where this machine waits for the browser: http://localhost:PORT/callback.")]
Paste = Annotated[bool, typer.Option("--paste", help="Paste the address from the browser, on a machine without one.")]
RedirectUri = Annotated[
    str | None, typer.Option("--redirect-uri", metavar="URL", help="Another address that is registered with the app.")
]


@app.command("quickbooks")
def connect_quickbooks(port: Port = DEFAULT_PORT, paste: Paste = False, redirect_uri: RedirectUri = None) -> None:
    """Connect a QuickBooks Online company: a company admin agrees on Intuit's page, and the tokens are kept here.

    With production keys Intuit takes no localhost address: give an https address of the app with --redirect-uri, and paste
    what the browser shows at the end.
    """
    with _settings("QUICKBOOKS_") as settings:
        environment = settings.environment
        address = _redirect_uri(redirect_uri, port)
        listens = not paste and is_loopback(urlsplit(address).hostname or "") and urlsplit(address).scheme == "http"
        _require(environment, ("QUICKBOOKS_CLIENT_ID", "QUICKBOOKS_CLIENT_SECRET"))
        with State.open(environment.state_url, environment.home) as state:
            authorization = Authorization(environment, state.tokens.quickbooks, ApiMeter(), address)
            consent = _listened(authorization, address) if listens else _pasted(authorization, address)
            _refuse_another_company(environment, state, consent.realm)
            authorization.exchange(consent)
            say(f"Connected to company {consent.realm}; its tokens are kept in the state database.", style="green")
            _show_company(environment.model_copy(update={"quickbooks_realm_id": consent.realm}), state)
    if environment.quickbooks_realm_id is None:
        say(f"\nSet QUICKBOOKS_REALM_ID={consent.realm}")
    if environment.quickbooks_refresh_token is not None:
        say("QUICKBOOKS_REFRESH_TOKEN is not needed any more: take it out of the environment.")
    say("\nqbsf doctor   looks at everything else")


@app.command("salesforce")
def connect_salesforce() -> None:
    """Log in to Salesforce, show the org and the user, and remember which org belongs to this QBSF_HOME.

    Nothing is exchanged: both login flows use the app's own keys.
    """
    with _settings("SALESFORCE_") as settings:
        environment = settings.environment
        by_key = environment.salesforce_username is not None and environment.salesforce_private_key_file is not None
        _require(environment, ("SALESFORCE_LOGIN_URL", "SALESFORCE_CLIENT_ID"))
        if not by_key:
            _require(environment, ("SALESFORCE_CLIENT_SECRET",))
        with State.open(environment.state_url, environment.home) as state:
            client = SalesforceClient(environment, state.tokens.salesforce, ApiMeter())
            session = client.log_in()
            organization_id = session.organization_id or client.organization_id
            say(f"Logged in to {session.instance_url} ({'JWT bearer' if by_key else 'client credentials'} flow).", style="green")
            organization = _first(client, "SELECT Name FROM Organization")
            say(f"Org:  {organization or 'the integration user may not see its name'} ({organization_id})")
            if session.user_id is not None:
                user = _first(client, f"SELECT Name FROM User WHERE Id = {quoted(session.user_id)}")
                say(f"User: {user or 'without a name'} ({session.user_id})")
            _bind(environment, state, organization_id)
    say("\nqbsf doctor   looks at permissions and fields")


@contextmanager
def _settings(prefix: str) -> Iterator[Settings]:
    """The settings as far as this system needs them; what is wrong elsewhere is the doctor's business.

    Raises:
        ConfigurationError: a variable of this system, or of the files here, is wrong.
    """
    found = read_settings()
    concerned = (prefix, "QBSF_STATE_URL", "QBSF_HOME", "QBSF_MODE")
    wrong = [
        f"{finding.check}: {finding.found}"
        for finding in found.findings
        if finding.level is Level.PROBLEM and finding.check.startswith(concerned)
    ]
    if wrong:
        raise ConfigurationError(wrong)
    # Only where it is asked for: whoever has no key yet is to be told so, not to be connected to the sample company.
    if found.settings.environment.qbsf_mode is Mode.SANDBOX:
        with services_for(found.settings) as settings:
            yield settings
    else:
        yield found.settings


def _require(environment: Environment, names: tuple[str, ...]) -> None:
    missing = [name for name in names if getattr(environment, name.lower()) is None]
    if missing:
        raise ConfigurationError([f"{name} is not set. {WHERE[name]}" for name in missing])


def _redirect_uri(given: str | None, port: int) -> str:
    if given is None:
        return f"http://localhost:{port}/callback"
    try:
        checked_url(given)
    except ValueError as error:
        raise ConfigurationError([f"--redirect-uri: {error}; found {given!r}"]) from error
    # As it is given: Intuit compares it letter by letter.
    return given


def _ask(authorization: Authorization, address: str) -> None:
    say("Open this address in a browser, as an admin of the QuickBooks company, and agree:\n")
    say(f"  {authorization.url}\n")
    say(f"The app must know the address that Intuit sends you back to: {address}")
    say("(developer.intuit.com: App dashboard, the app, Settings, Redirect URIs; localhost is for development keys only)\n")


def _listened(authorization: Authorization, address: str) -> Consent:
    """Wait on this machine for the browser to come back."""
    arrived: queue.Queue[Consent | AccessRefused] = queue.Queue()
    wanted = urlsplit(address)

    class Handler(BaseHTTPRequestHandler):
        # A browser may open a connection and say nothing on it.
        timeout = 30

        def do_GET(self) -> None:
            if urlsplit(self.path).path != (wanted.path or "/"):
                self._answer(404, "Not here", "There is nothing at this address.")
                return
            try:
                consent = authorization.consent(self.path)
            except AnotherAnswer:
                self._answer(400, "Another attempt", "This answer belongs to another attempt. Open the newest address.")
            except AccessRefused as error:
                self._answer(200, "Not connected", "Look at the terminal for what to do.")
                arrived.put(error)
            else:
                self._answer(200, "Thank you", "qbsf has what it needs. Look at the terminal; you may close this window.")
                arrived.put(consent)

        def _answer(self, status: int, title: str, text: str) -> None:
            body = _PAGE.format(title=title, text=text).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            # The address holds a code.
            self.send_header("Referrer-Policy", "no-referrer")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """The address holds a code: it is written nowhere."""

    port = wanted.port or 80
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    except OSError as error:
        raise ConfigurationError(
            [f"--port: port {port} cannot be listened on ({error.strerror}); name another one (and register it), or use --paste"]
        ) from error
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        _ask(authorization, address)
        say("Waiting for the browser (Ctrl-C ends it; --paste if this machine has none)...")
        try:
            found = arrived.get(timeout=_WAIT_SECONDS)
        except queue.Empty:
            raise AccessRefused("quickbooks", "no_answer", "nobody agreed within ten minutes: start again") from None
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
    if isinstance(found, AccessRefused):
        raise found
    return found


def _pasted(authorization: Authorization, address: str) -> Consent:
    """Take the address from the browser's address bar, which may show an error page: only the address counts."""
    _ask(authorization, address)
    say("Then paste the whole address that the browser shows at the end, and press Enter:")
    while True:
        line = sys.stdin.readline()
        if not line:
            raise AccessRefused("quickbooks", "no_answer", "no address was pasted: start again")
        if not line.strip():
            continue
        try:
            return authorization.consent(line)
        except AnotherAnswer:
            complain("That is not the address of this attempt: it must hold code, state and realmId. Paste it again:")


def _refuse_another_company(environment: Environment, state: State, realm: str) -> None:
    """Before any token is asked for: memory of one company is wrong for any other."""
    wanted = environment.quickbooks_realm_id
    if wanted is not None and wanted != realm:
        raise ConfigurationError(
            [
                f"QUICKBOOKS_REALM_ID: it is {wanted}, and company {realm} was chosen on Intuit's page; nothing was kept. Start "
                "again and choose the other one, or correct the variable"
            ]
        )
    bound = state.identity.bound().get("quickbooks")
    if bound is not None and bound != realm:
        raise ConfigurationError(
            [
                f"QUICKBOOKS_REALM_ID: this QBSF_HOME (and its state database) belongs to QuickBooks company {bound}, and "
                f"company {realm} was chosen; nothing was kept. Use an own QBSF_HOME for each pair of org and company"
            ]
        )


def _show_company(environment: Environment, state: State) -> None:
    meter = ApiMeter()
    connection = QuickBooksConnection(environment, state.tokens.quickbooks, meter)
    try:
        info = QuickBooksClient(environment, connection, meter, Pace(10, 500, 40)).company_info()
    except ServiceError as error:
        complain(f"The tokens are kept, but the company does not answer: {error.message} [{error.code}]")
        raise typer.Exit(1) from error
    say(f"Company: {info.get('CompanyName') or 'without a name'} ({info.get('Country') or 'country not told'})")


def _first(client: SalesforceClient, soql: str) -> str | None:
    try:
        records = client.query(soql)
    except ServiceError:
        # What may be seen is the doctor's question; this one was whether the login works.
        return None
    return str(records[0]["Name"]) if records and records[0].get("Name") else None


def _bind(environment: Environment, state: State, organization_id: str) -> None:
    """Remember the pair, once the company is known to be the right one: by its own tokens."""
    realm = environment.quickbooks_realm_id
    bound = state.identity.bound()
    if realm is not None and (bound or state.tokens.quickbooks.load(realm) is not None):
        state.identity.bind(organization_id, realm, datetime.now(UTC))
        say(f"This QBSF_HOME belongs to this org and to QuickBooks company {realm}.")
    elif bound:
        # Without a company nothing is bound, but another org is refused all the same.
        state.identity.bind(organization_id, bound["quickbooks"], datetime.now(UTC))
    else:
        say("The first pass binds this QBSF_HOME to this org and to its QuickBooks company.")
