"""The whole examination: everything is looked at, and no first problem hides a second one."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from qbsf_pipeline.api_meter import ApiMeter
from qbsf_pipeline.doctor import installation, quickbooks, salesforce, slack, together, work
from qbsf_pipeline.doctor.findings import Area, Finding, Level
from qbsf_pipeline.errors import ConfigurationError
from qbsf_pipeline.progress import progress
from qbsf_pipeline.quickbooks.client import QuickBooksClient
from qbsf_pipeline.quickbooks.connection import CONNECT_AGAIN, QuickBooksConnection
from qbsf_pipeline.quickbooks.pace import Pace
from qbsf_pipeline.salesforce.client import SalesforceClient
from qbsf_pipeline.salesforce.login import CachedToken
from qbsf_pipeline.settings import Environment, Mode, Settings
from qbsf_pipeline.slack.client import SlackClient
from qbsf_pipeline.state.database import State

#: Who waits for the doctor does not want to wait for a service as long as a pass may. Seconds.
_LONGEST_WAIT = 1.0


@dataclass(frozen=True)
class Report:
    """What an examination came to.

    Attributes:
        mode: the mode that was examined.
        home: QBSF_HOME.
        findings: all of them, in the order of the areas.
        api_calls: number of calls by ``system.kind``.
    """

    mode: Mode
    home: str
    findings: list[Finding] = field(default_factory=list)
    api_calls: dict[str, int] = field(default_factory=dict)

    def count(self, level: Level) -> int:
        """How many findings are of that level."""
        return Counter(finding.level for finding in self.findings)[level]

    @property
    def exit_code(self) -> int:
        """0: all is well, warnings allowed. 3: a person must mend something."""
        return 3 if self.count(Level.PROBLEM) else 0


def examine(
    found: installation.Found,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    sleep: Callable[[float], object] = time.sleep,
) -> Report:
    """Look at everything; refreshed tokens are all that is written, and no message is sent.

    Args:
        found: the settings as far as they are right.
        now: this machine's clock, aware UTC.
        sleep: waits before a call is repeated (seconds).
    """
    settings = found.settings
    environment = settings.environment
    mode = found.mode
    meter = ApiMeter()
    progress("looking at settings and files")
    findings = list(found.findings)
    findings += installation.check_variables(found, now().date())
    findings += installation.check_libraries() + installation.check_home(environment.home)
    state, of_state = installation.open_state(environment)
    findings += of_state + installation.check_warehouse(environment, now())

    def patient(seconds: float) -> None:
        sleep(min(seconds, _LONGEST_WAIT))

    try:
        org = _salesforce(settings, mode, state, meter, now, patient)
        company = _quickbooks(settings, mode, state, meter, now, patient)
        findings += org.findings + company.findings + _slack(environment, mode, meter, now)
        findings += _together(settings, mode, state, org, company)
        if state is not None:
            findings += work.check_passes(state, mode, now()) + work.check_waiting(state) + work.check_readiness(state, now())
    finally:
        if state is not None:
            state.close()
    order = list(Area)
    calls = {f"{kind.system}.{kind.kind}": number for kind, number in sorted(meter.totals().items())}
    return Report(mode, str(environment.home), sorted(findings, key=lambda one: order.index(one.area)), calls)


def _salesforce(
    settings: Settings,
    mode: Mode,
    state: State | None,
    meter: ApiMeter,
    now: Callable[[], datetime],
    sleep: Callable[[float], object],
) -> salesforce.Examination:
    environment = settings.environment
    if environment.salesforce_login_url is None or environment.salesforce_client_id is None:
        return salesforce.Examination([_not_asked(Area.SALESFORCE, "SALESFORCE_LOGIN_URL and SALESFORCE_CLIENT_ID")])
    tokens = state.tokens.salesforce if state is not None else _NoTokens()
    client = SalesforceClient(environment, tokens, meter, sleep=sleep)
    return salesforce.examine(client, environment, settings.rules, mode, now)


def _quickbooks(
    settings: Settings,
    mode: Mode,
    state: State | None,
    meter: ApiMeter,
    now: Callable[[], datetime],
    sleep: Callable[[float], None],
) -> quickbooks.Examination:
    environment, push = settings.environment, settings.rules.push
    area = Area.QUICKBOOKS
    if state is None:
        text = "Not asked: without the state database a renewed refresh token would be lost, and the connection with it"
        return quickbooks.Examination([area.warning("connection", text, "Mend the state database first")], None, 0)
    try:
        connection = QuickBooksConnection(environment, state.tokens.quickbooks, meter)
    except ConfigurationError as error:
        names = " and ".join(line.split(" ", 1)[0] for line in error.problems)
        return quickbooks.Examination([_not_asked(area, names)], None, 0)
    vault = state.tokens.quickbooks
    if vault.load(connection.realm) is None and environment.quickbooks_refresh_token is None:
        text = f"Company {connection.realm} was never connected from here"
        mend = f"{CONNECT_AGAIN[:1].upper()}{CONNECT_AGAIN[1:]}"
        return quickbooks.Examination([area.problem("connection", text, mend)], None, 0)
    pace = Pace(push.quickbooks_calls_per_second, push.quickbooks_calls_per_minute, push.quickbooks_batches_per_minute)
    client = QuickBooksClient(environment, connection, meter, pace, sleep=sleep)
    return quickbooks.examine(client, environment, settings.rules, mode, lambda: vault.load(connection.realm), now)


def _slack(environment: Environment, mode: Mode, meter: ApiMeter, now: Callable[[], datetime]) -> list[Finding]:
    if environment.slack_bot_token is None:
        return [_not_asked(Area.SLACK, "SLACK_BOT_TOKEN", needed=mode is not Mode.DRY_RUN)]
    return slack.examine(SlackClient(environment, meter), environment, now)


def _together(
    settings: Settings, mode: Mode, state: State | None, org: salesforce.Examination, company: quickbooks.Examination
) -> list[Finding]:
    environment = settings.environment
    findings: list[Finding] = []
    if state is not None:
        findings += together.check_identity(state.identity.bound(), org.org, environment.quickbooks_realm_id)
    findings += together.check_environments(org.org, environment, mode)
    return findings + together.check_currencies(org.org, company.company, settings.rules)


def _not_asked(area: Area, names: str, *, needed: bool = True) -> Finding:
    text = f"Not asked: {names} {'are' if ' and ' in names else 'is'} not set"
    if needed:
        return area.warning("connection", text, "Set what the lines above name, and run qbsf doctor again")
    return area.ok("connection", text)


class _NoTokens:
    """Where there is no state database, a Salesforce token is kept for this one examination only."""

    def load(self, name: str) -> CachedToken | None:
        return None

    def store(self, name: str, token: CachedToken) -> None:
        return None
