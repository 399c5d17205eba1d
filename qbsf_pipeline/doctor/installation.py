"""What is here: settings, files, the state database, the warehouse and the snapshot."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from importlib import metadata
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import duckdb
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from qbsf_pipeline.doctor.findings import Area, Finding, setting_problem
from qbsf_pipeline.errors import ConfigurationError
from qbsf_pipeline.settings import Environment, Mode, Settings, load_rules, load_settings
from qbsf_pipeline.state.database import NEWEST_MIGRATION, State, StateBusy

AREA = Area.INSTALLATION

_LITTLE_SPACE = 2 * 1024**3
_NO_SPACE = 200 * 1024**2
_LONG_AGO = timedelta(days=365)

#: Where a person finds the value of a variable.
WHERE: Mapping[str, str] = {
    "SALESFORCE_LOGIN_URL": "Salesforce: Setup, My Domain: the address https://ACME.my.salesforce.com",
    "SALESFORCE_CLIENT_ID": "Salesforce: Setup, External Client App Manager, the app, Settings, OAuth Settings, Consumer Key "
    "and Secret",
    "SALESFORCE_CLIENT_SECRET": "Salesforce: Setup, External Client App Manager, the app, Settings, OAuth Settings, Consumer "
    "Key and Secret; or, for the JWT flow, set SALESFORCE_USERNAME and SALESFORCE_PRIVATE_KEY_FILE",
    "SALESFORCE_PRIVATE_KEY_FILE": "Put the private key (PEM) that belongs to the app's certificate where the variable says",
    "QUICKBOOKS_CLIENT_ID": "developer.intuit.com: the app, Keys & credentials, Client ID (production keys for a real company)",
    "QUICKBOOKS_CLIENT_SECRET": "developer.intuit.com: the app, Keys & credentials, Client Secret",
    "QUICKBOOKS_REALM_ID": "QuickBooks: Settings, Account and settings, Billing & subscription, Company ID; "
    "`qbsf connect quickbooks` tells it too",
    "SLACK_BOT_TOKEN": "api.slack.com/apps: the app, OAuth & Permissions, Bot User OAuth Token (xoxb-...)",
    "QBSF_GO_LIVE_DATE": "Agree on a day with finance, such as 2026-04-01: deals closed before it are never invoiced",
}


@dataclass(frozen=True)
class Found:
    """What can be used of the settings, and what is wrong with them.

    Attributes:
        settings: without the variables that are wrong, and with the packaged rules where the rules are wrong.
        mode_is_known: no wrong variable stands in the way of the mode.
    """

    settings: Settings
    findings: list[Finding]
    mode_is_known: bool

    @property
    def mode(self) -> Mode:
        """The mode to look at. Where the true one cannot be told, or is sandbox only because the set-up of the real services
        has just begun, that is dry_run: nothing real is taken for the sandbox."""
        environment = self.settings.environment
        begun = (environment.salesforce_client_id, environment.quickbooks_client_id, environment.slack_bot_token)
        unnamed = environment.qbsf_mode is None and self.settings.mode is Mode.SANDBOX
        return Mode.DRY_RUN if not self.mode_is_known or (unnamed and any(begun)) else self.settings.mode


class _Given(Environment):
    """Reads nothing but what it is given: the variables of the process hold the wrong ones too."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def read_settings() -> Found:
    """The settings of this process as far as they are right, and a problem for each that is not."""
    given = {name.upper(): os.environ[name.upper()] for name in Environment.model_fields if os.environ.get(name.upper())}
    findings: list[Finding] = []
    try:
        return Found(load_settings(), [AREA.ok("settings", "every variable and every rule can be used")], True)
    except ConfigurationError as error:
        wrong = {line.partition(": ")[0] for line in error.problems} & set(given)
        findings += [setting_problem(AREA, line) for line in error.problems]
    environment = _Given.model_validate({name.lower(): value for name, value in given.items() if name not in wrong})
    packaged = "QBSF_CONFIG" in wrong
    try:
        rules = load_rules(environment.qbsf_config)
    except ConfigurationError as error:
        packaged, rules = True, load_rules()
        known = {finding.check for finding in findings}
        findings += [found for line in error.problems if (found := setting_problem(AREA, line)).check not in known]
    file = given.get("QBSF_CONFIG", "the rules")
    findings = [
        # A rule's key has dots and small letters; where it is to be corrected is a file.
        AREA.problem(one.check, one.found, f"Correct {one.check} in {file}") if one.check not in given else one
        for one in findings
    ]
    if packaged:
        text = "The rules file cannot be used; what follows was checked with the packaged rules"
        findings.append(AREA.warning("rules", text, "Run qbsf doctor again when the rules are corrected"))
    settings = Settings(environment=environment, rules=rules)
    return Found(settings, findings, not wrong & {"QBSF_MODE", "SALESFORCE_LOGIN_URL"})


def check_variables(found: Found, today: date) -> list[Finding]:
    """Variables that the mode needs, the mode itself and the day of going live."""
    environment, mode = found.settings.environment, found.mode
    findings = [_missing(line) for line in environment.missing_for(mode)]
    what = {
        Mode.SANDBOX: "the built-in services are used",
        Mode.DRY_RUN: "both systems are read, nothing is written anywhere",
        Mode.APPROVE: "only what a person approved is written",
        Mode.LIVE: "what passes every gate is written",
    }[mode]
    if mode is found.settings.mode:
        findings.append(AREA.ok("QBSF_MODE", f"{mode.value}: {what}"))
    elif found.mode_is_known:
        text = "Until SALESFORCE_LOGIN_URL is set, the mode is sandbox; this is looked at as if it were dry_run"
        findings.append(AREA.warning("QBSF_MODE", text, WHERE["SALESFORCE_LOGIN_URL"]))
    if mode is Mode.DRY_RUN:
        needed = set(environment.missing_for(Mode.LIVE)) - {
            line.replace(f"mode {mode.value}", "mode live") for line in environment.missing_for(mode)
        }
        for line in sorted(needed):
            name = line.split(" ", 1)[0]
            text = "It is not set, and modes approve and live need it"
            findings.append(AREA.warning(name, text, WHERE.get(name, f"Set {name}")))
    return findings + _go_live(environment.qbsf_go_live_date, today) + _private_key(environment.salesforce_private_key_file)


def check_home(home: Path) -> list[Finding]:
    """The folder that everything is kept in: it can be written, and its disk has room."""
    standing = next(folder for folder in (home, *home.parents) if folder.exists())
    mend = f"Give the user that runs qbsf a folder it may write ({home}), or name another one in QBSF_HOME"
    if not standing.is_dir():
        return [AREA.problem("QBSF_HOME", f"{standing} is a file, not a folder", mend)]
    try:
        # Has no name, and is gone when it is closed.
        with tempfile.TemporaryFile(dir=standing):
            pass
    except OSError as error:
        return [AREA.problem("QBSF_HOME", f"{standing} cannot be written: {error.strerror}", mend)]
    there = "can be written" if standing == home else f"is not there yet; the first command makes it in {standing}"
    findings = [AREA.ok("QBSF_HOME", f"{home} {there}")]
    free = shutil.disk_usage(standing).free
    text = f"{free / 1024**3:,.1f} GiB free on the disk of {standing}"
    if free >= _LITTLE_SPACE:
        return [*findings, AREA.ok("disk", text)]
    # The snapshot is a second copy of the warehouse, and the next one is written beside it.
    mend = "Make room: warehouse, its snapshot and the next snapshot stand there beside each other"
    return [*findings, (AREA.problem if free < _NO_SPACE else AREA.warning)("disk", text, mend)]


def open_state(environment: Environment) -> tuple[State | None, list[Finding]]:
    """The state database, opened as every command opens it, and whether it can be written."""
    where = _database(environment.state_url)
    try:
        state = State.open(environment.state_url, environment.home)
    except ConfigurationError as error:
        return None, [setting_problem(AREA, line) for line in error.problems]
    except StateBusy as error:
        return None, [AREA.problem("state database", f"{where}: {error}", "Wait until the other qbsf has finished")]
    try:
        with state.transaction():
            pass
    except StateBusy as error:
        return state, [AREA.warning("state database", f"{where}: {error}", "Wait until the other qbsf has finished")]
    except SQLAlchemyError as error:
        text = f"{where} cannot be written: {str(error).splitlines()[0]}"
        return state, [AREA.problem("state database", text, "Let the user that runs qbsf write the file and its folder")]
    return state, [AREA.ok("state database", f"{where} can be written, at its newest version ({NEWEST_MIGRATION})")]


def check_warehouse(environment: Environment, now: datetime) -> list[Finding]:
    """The warehouse and the published snapshot can be opened. Both may be missing: a pass makes them."""
    again = "Delete it: the next full pass makes it again (qbsf sync --full)"
    findings = [_opened("warehouse", environment.warehouse_path, again, lambda: "can be read")]
    snapshot = environment.snapshot_path
    findings.append(_opened("snapshot", snapshot, "Delete it: the next pass publishes it again", lambda: _age(snapshot, now)))
    return findings


def check_libraries() -> list[Finding]:
    """What the program runs on: its own version, and the time zones of the world."""
    try:
        version = metadata.version("qbsf")
    except metadata.PackageNotFoundError:
        version = "(from a checkout that is not installed)"
    findings = [AREA.ok("version", f"qbsf {version}, DuckDB {duckdb.__version__}")]
    try:
        ZoneInfo("America/Los_Angeles")
    except ZoneInfoNotFoundError:
        text = "This machine has no time zone data, so the company's days and months cannot be told"
        findings.append(AREA.problem("time zones", text, "Install the system's package tzdata (or pip install tzdata)"))
    return findings


def _missing(line: str) -> Finding:
    # "NAME (hint) is not set, and mode live needs it", or "NAME: what is wrong with it"
    name = line.split(" ", 1)[0].rstrip(":")
    _, separator, rest = line.partition(" is not set")
    text = f"It is not set{rest}" if separator else line.removeprefix(f"{name}: ")
    return AREA.problem(name, text, WHERE.get(name, f"Set {name}"))


def _go_live(day: date | None, today: date) -> list[Finding]:
    if day is None:
        return []
    text = f"deals closed before {day} are never invoiced"
    if today - day > _LONG_AGO:
        mend = "Make sure that this is meant: every older won deal since that day without an invoice would be invoiced"
        return [AREA.warning("QBSF_GO_LIVE_DATE", f"{day} is more than a year ago; {text}", mend)]
    return [AREA.ok("QBSF_GO_LIVE_DATE", text + (", a day still to come" if day > today else ""))]


def _private_key(path: Path | None) -> list[Finding]:
    try:
        shared = path is not None and stat.S_IMODE(path.expanduser().stat().st_mode) & 0o077
    except OSError:
        return []
    if not shared:
        return []
    text = f"Other users of this machine can read {path}"
    return [AREA.warning("SALESFORCE_PRIVATE_KEY_FILE", text, f"chmod 600 {path}")]


def _database(url: str) -> str:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return "the database of QBSF_STATE_URL"
    return parsed.database or "" if parsed.drivername == "sqlite" else parsed.render_as_string(hide_password=True)


def _opened(check: str, path: Path, mend: str, how: Callable[[], str]) -> Finding:
    if not path.exists():
        return AREA.ok(check, f"{path} is not there yet; the first pass makes it")
    try:
        duckdb.connect(path, read_only=True).close()
    except duckdb.IOException as error:
        if "lock" in str(error).lower():
            return AREA.ok(check, f"{path} is in use by a pass")
        return AREA.problem(check, f"{path} cannot be read: {_first_line(error)}", mend)
    except duckdb.Error as error:
        return AREA.problem(check, f"{path} cannot be read: {_first_line(error)}", mend)
    return AREA.ok(check, f"{path} {how()}")


def _age(path: Path, now: datetime) -> str:
    written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    hours = max(0, int((now - written).total_seconds() // 3600))
    return "was published less than an hour ago" if hours == 0 else f"was published {hours} hours ago"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
