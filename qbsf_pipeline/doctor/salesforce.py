"""Salesforce: the login, the org, its API, and every object and field that the program reads or writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from qbsf_pipeline.doctor.findings import Area, Finding, clock_finding, guarded, listed, service_problem
from qbsf_pipeline.errors import ConfigurationError, ServiceError
from qbsf_pipeline.progress import progress
from qbsf_pipeline.salesforce.client import Query, QueryAnswer, SalesforceClient, Session
from qbsf_pipeline.salesforce.login import audience
from qbsf_pipeline.salesforce.objects import (
    OBJECT_NAMES,
    OPTIONAL_OBJECTS,
    ObjectDescription,
    check_fields,
    quoted,
    to_18,
    written_fields,
    written_values,
)
from qbsf_pipeline.settings import Environment, Mode, Rules, is_loopback_url
from qbsf_pipeline.warehouse.tables import decimal_or_none

AREA = Area.SALESFORCE

_MUCH = Decimal("0.8")
_FEW_USERS = 200

_TEXT = ("string", "textarea", "picklist", "combobox", "url", "email", "phone", "encryptedstring", "anyType")
_NUMBER = ("double", "int", "currency", "percent", "long")
_DAY = ("date", "datetime")
#: Longest name of a term, and longest invoice number, that QuickBooks takes.
_TERM, _INVOICE_NUMBER, _ID, _LINK = 31, 21, 20, 100


@dataclass(frozen=True)
class ExpectedField:
    """A custom field of the contract.

    Attributes:
        key: its name in the rules, under ``salesforce``.
        kind: what to create it as, in Salesforce's words.
        types: types that ``describe`` may tell.
        written: qbsf writes it, now or with a flow to come; by rule it may write others too.
        length: of a text that is written, the least length.
        values: of a restricted picklist, what must be among its values.
        known: of a picklist that is read, the values that are understood.
    """

    key: str
    kind: str
    types: tuple[str, ...] = _TEXT
    written: bool = False
    length: int = 0
    values: tuple[str, ...] = ()
    known: tuple[str, ...] = ()


_STATUSES = (
    *("Not Invoiced", "Invoiced", "Sent", "Partially Paid", "Paid"),
    *("Overpaid", "Credited", "Voided", "Deleted"),
)
_BUCKETS = ("Current", "1-30", "31-60", "61-90", "90+")
_FREQUENCIES = ("One-Time", "Monthly", "Quarterly", "Annual")

#: The custom fields of the README, with what they must be able to hold.
EXPECTED_FIELDS: tuple[ExpectedField, ...] = (
    ExpectedField("opportunity.payment_terms", "Text(80)"),
    ExpectedField("opportunity.contract_url", "URL"),
    ExpectedField("opportunity.billing_frequency", f"Picklist ({', '.join(_FREQUENCIES)})", known=_FREQUENCIES),
    ExpectedField("opportunity.billing_periods", "Number(3, 0)", _NUMBER),
    ExpectedField("opportunity.billing_start_date", "Date", _DAY),
    ExpectedField("opportunity.invoice_id", "Text(50)", written=True, length=_ID),
    ExpectedField("opportunity.invoice_number", "Text(50)", written=True, length=_INVOICE_NUMBER),
    ExpectedField("opportunity.invoice_url", "URL", written=True, length=_LINK),
    ExpectedField("opportunity.payment_status", f"Picklist ({', '.join(_STATUSES)})", written=True, values=_STATUSES),
    ExpectedField("opportunity.invoice_balance", "Currency(16, 2)", _NUMBER, written=True),
    ExpectedField("opportunity.last_payment_date", "Date", _DAY, written=True),
    ExpectedField("opportunity.days_outstanding", "Number(5, 0)", _NUMBER, written=True),
    ExpectedField("opportunity.aging_bucket", f"Picklist ({', '.join(_BUCKETS)})", written=True, values=_BUCKETS),
    ExpectedField("account.payment_terms", "Text(80)", written=True, length=_TERM),
    ExpectedField("account.billing_email", "Email"),
    ExpectedField("account.customer_id", "Text(50), External ID, Unique", written=True, length=_ID),
    ExpectedField("opportunity.billing_on_hold", "Checkbox", ("boolean",)),
    ExpectedField("account.tax_exempt", "Checkbox", ("boolean",)),
    ExpectedField("account.active", "Checkbox", ("boolean",)),
)


@dataclass(frozen=True)
class Org:
    """What the org says of itself, for comparison with QuickBooks. ``None`` where it does not tell.

    Attributes:
        organization_id: 18 characters.
        is_sandbox: a sandbox org.
        currency: of an org with one currency.
        currencies: active currencies of an org with several; empty in an org with one.
    """

    organization_id: str | None = None
    is_sandbox: bool | None = None
    currency: str | None = None
    currencies: tuple[str, ...] = ()


@dataclass(frozen=True)
class Examination:
    """The findings, and what is known of the org afterwards; ``None`` where nobody could log in."""

    findings: list[Finding]
    org: Org | None = None


def examine(
    client: SalesforceClient, environment: Environment, rules: Rules, mode: Mode, now: Callable[[], datetime]
) -> Examination:
    """Log in and look at everything; at most a handful of calls.

    Args:
        now: gives this machine's clock, aware UTC.
    """
    progress("Salesforce: logging in")
    findings: list[Finding] = []
    session: Session | None = None
    try:
        session = client.log_in()
    except ConfigurationError as error:
        findings += [AREA.problem("login", line, "Correct the variable that the line names") for line in error.problems]
    except ServiceError as error:
        findings.append(service_problem(AREA, "login", error))
    clock = clock_finding(AREA, client.server_time, now(), signs=_flow(environment) == "JWT bearer")
    if session is None:
        return Examination(findings + clock)
    text = f"{_flow(environment)} flow at {_host(environment.salesforce_login_url)}"
    findings.append(AREA.ok("login", text + ("" if _same_host(environment, session) else f", led to {session.instance_url}")))
    findings += clock
    findings += _version(client, environment) + _limits(client)
    progress("Salesforce: looking at objects and fields")
    described: dict[str, Mapping[str, Any] | None] = {}

    def look_at_fields() -> list[Finding]:
        described.update(client.describe_whole(OBJECT_NAMES))
        return check_objects(described) + check_custom_fields(rules, described)

    findings += guarded(AREA, "objects", look_at_fields)
    org = Org(session.organization_id)
    if described:
        progress("Salesforce: looking at records")
        try:
            answers = _Answers(client, _queries(described, session))
        except ServiceError as error:
            findings.append(service_problem(AREA, "queries", error))
        else:
            org = _org(answers, session)
            findings += _organization(answers, org, environment, mode)
            findings += _user(answers) + _records(answers) + _stages(answers) + _emails(answers)
            findings += _currencies(org, described)
    return Examination(findings, org)


def check_objects(described: Mapping[str, Mapping[str, Any] | None]) -> list[Finding]:
    """Each object can be read."""
    findings = []
    for name in OBJECT_NAMES:
        found = described.get(name)
        if found is not None and found.get("queryable") is not False:
            continue
        if name not in OPTIONAL_OBJECTS:
            mend = f"Setup, Permission Sets, the integration user's set, Object Settings, {name}: Read (and View All Records)"
            findings.append(AREA.problem(name, f"The integration user may not read the object {name}", mend))
    if not findings:
        findings.append(AREA.ok("objects", f"all {len(OBJECT_NAMES) - len(OPTIONAL_OBJECTS)} objects that are read can be read"))
    return findings


def check_custom_fields(rules: Rules, described: Mapping[str, Mapping[str, Any] | None]) -> list[Finding]:
    """Each custom field is there, can be read, can be written where it is, and can hold what is written."""
    findings: list[Finding] = []
    needed, values = written_fields(rules), written_values(rules)
    for object_name in ("Opportunity", "Account"):
        description = described.get(object_name)
        if description is None:
            continue
        # A checkbox that an org does not have is named by nothing.
        expected = [each for each in EXPECTED_FIELDS if each.key.startswith(object_name.lower() + ".") and _api_name(rules, each)]
        expected = [
            replace(each, written=each.written or each.key in needed, values=values.get(each.key, each.values))
            for each in expected
        ]
        wrong = [
            found
            for each in expected
            for found in _field(each, _api_name(rules, each), object_name, description, needed=each.key in needed)
        ]
        if not wrong:
            written = sum(1 for each in expected if each.written)
            text = f"all {len(expected)} custom fields can be read, and the {written} that are written can be written"
            wrong = [AREA.ok(f"{object_name} fields", text)]
        findings += wrong
    # What a pass would refuse is a problem here as well, whatever the table above thinks of it.
    told = {finding.check.lower() for finding in findings}
    known = {name: None if found is None else ObjectDescription.from_answer(found) for name, found in described.items()}
    for line in _refused_by_a_pass(rules, known):
        name = next((word.rstrip(":") for word in line.split() if "." in word), "")
        lacks_object = any(described.get(each) is None and f" {each}:" in line for each in OBJECT_NAMES)
        if name.lower() not in told and not lacks_object:
            found, _, mend = line.partition(": ")
            findings.append(AREA.problem(name or "fields", found, mend[:1].upper() + mend[1:] or "Grant the access"))
    return findings


def _refused_by_a_pass(rules: Rules, described: Mapping[str, ObjectDescription | None]) -> list[str]:
    try:
        check_fields(rules, described)
    except ConfigurationError as error:
        return error.problems
    return []


def _field(
    expected: ExpectedField, name: str, object_name: str, description: Mapping[str, Any], *, needed: bool
) -> list[Finding]:
    check = f"{object_name}.{name}"
    fields = [field for field in description.get("fields") or [] if isinstance(field, Mapping)]
    found = next((field for field in fields if str(field.get("name")).lower() == name.lower()), None)
    permission = f"Setup, Permission Sets, the integration user's set, Object Settings, {object_name}, Field Permissions, {name}"
    manager = f"Setup, Object Manager, {object_name}, Fields & Relationships"
    if found is None:
        access = "Edit Access" if expected.written else "Read Access"
        mend = (
            f"If it is not there: {manager}, New: {expected.kind}, API name {name}. Then {permission}: {access}. If the org "
            f"has it under another name: salesforce.{expected.key} in the file of QBSF_CONFIG"
        )
        return [AREA.problem(check, "It does not exist, or the integration user may not see it", mend)]
    # What is written by a flow to come is told, and keeps nothing from working.
    told = AREA.problem if needed else AREA.warning
    findings: list[Finding] = []
    if expected.written and found.get("calculated") is True:
        mend = f"{manager}, New: {expected.kind}, and name it under salesforce.{expected.key} in the file of QBSF_CONFIG"
        return [told(check, "It is a formula and cannot be written", mend)]
    if expected.written and description.get("updateable") is False:
        mend = f"Setup, Permission Sets, the integration user's set, Object Settings, {object_name}: Edit"
        return [told(check, f"The integration user may not edit {object_name} records", mend)]
    if expected.written and found.get("updateable") is False:
        findings.append(told(check, "The integration user may read it, but not edit it", f"{permission}: Edit Access"))
    kind = str(found.get("type") or "")
    if kind and kind not in expected.types:
        mend = f"{manager}, {name}: change the type to {expected.kind}, or name another field under salesforce.{expected.key}"
        findings.append((told if expected.written else AREA.warning)(check, f"Its type is {kind}", mend))
        return findings
    return findings + _capacity(expected, name, check, found, manager, needed=needed)


def _capacity(
    expected: ExpectedField, name: str, check: str, found: Mapping[str, Any], manager: str, *, needed: bool
) -> list[Finding]:
    findings: list[Finding] = []
    length = found.get("length")
    if expected.length and isinstance(length, int) and 0 < length < expected.length:
        told = AREA.problem if needed else AREA.warning
        text = f"It holds {length} characters, and {expected.length} may be written"
        findings.append(told(check, text, f"{manager}, {name}, Edit: as {expected.kind}"))
    pairs = [value for value in found.get("picklistValues") or [] if isinstance(value, Mapping)]
    values = [str(value.get("value")) for value in pairs if value.get("active") is not False]
    if found.get("type") == "picklist" and found.get("restrictedPicklist") is True:
        lacking = [value for value in expected.values if value not in values]
        if lacking:
            told = AREA.problem if needed else AREA.warning
            mend = f"{manager}, {name}, Values, New: {', '.join(lacking)}, spelt exactly so"
            findings.append(told(check, f"The restricted picklist lacks {', '.join(lacking)}", mend))
    strange = [value for value in values if expected.known and value.casefold() not in {v.casefold() for v in expected.known}]
    if strange:
        mend = f"{manager}, {name}, Values: use {', '.join(expected.known)} only"
        findings.append(AREA.warning(check, f"Its values {listed(strange)} are not understood", mend))
    if expected.key == "account.customer_id":
        lacks = [label for flag, label in (("externalId", "External ID"), ("unique", "Unique")) if found.get(flag) is False]
        if lacks:
            text = f"It is not marked {' and '.join(lacks)}, so two accounts could hold the same customer unseen"
            findings.append(AREA.warning(check, text, f"{manager}, {name}, Edit: tick {' and '.join(lacks)}"))
    return findings


def _api_name(rules: Rules, expected: ExpectedField) -> str:
    part, _, field = expected.key.partition(".")
    return str(getattr(getattr(rules.salesforce, part), field))


def _version(client: SalesforceClient, environment: Environment) -> list[Finding]:
    wanted = environment.salesforce_api_version
    try:
        versions = client.versions()
    except ServiceError as error:
        # Whether the version can be used, every other call tells too.
        return [_not_told("API version", error)]
    if wanted in versions or not versions:
        newer = sum(1 for version in versions if _number(version) > _number(wanted))
        return [AREA.ok("API version", f"{wanted}; the org has {newer} newer" if newer else wanted)]
    newest = max(versions, key=_number)
    text = f"SALESFORCE_API_VERSION is {wanted}, and the org has {min(versions, key=_number)} to {newest}"
    return [AREA.problem("API version", text, f"Set SALESFORCE_API_VERSION to {newest}")]


def _not_told(check: str, error: ServiceError) -> Finding:
    told = service_problem(AREA, check, error)
    return AREA.warning(check, f"It cannot be seen: {told.found}", told.mend)


def _number(version: str) -> Decimal:
    return decimal_or_none(version) or Decimal(0)


def _limits(client: SalesforceClient) -> list[Finding]:
    answer: Any = None
    try:
        answer = client.rest("limits")
    except ServiceError as error:
        # Not every user may ask; the same figures stand in the header of other answers.
        if client.usage is None:
            return [_not_told("daily API calls", error)]
    daily = answer.get("DailyApiRequests") if isinstance(answer, Mapping) else None
    most = decimal_or_none(daily.get("Max")) if isinstance(daily, Mapping) else None
    left = decimal_or_none(daily.get("Remaining")) if isinstance(daily, Mapping) else None
    if (not most or left is None) and client.usage is not None:
        most, left = Decimal(client.usage.total), Decimal(client.usage.total - client.usage.used)
    if not most or left is None:
        return [AREA.ok("daily API calls", "the org does not tell them")]
    used = most - left
    text = f"{used:,.0f} of {most:,.0f} calls of the last 24 hours are used, by all integrations together ({used / most:.0%})"
    if used < most * _MUCH:
        return [AREA.ok("daily API calls", text)]
    mend = "Setup, Company Information, API Requests, Last 24 Hours: find the integration that uses them, or buy more"
    return [(AREA.problem if left <= 0 else AREA.warning)("daily API calls", text, mend)]


def _queries(described: Mapping[str, Mapping[str, Any] | None], session: Session) -> dict[str, str]:
    """What is asked, by name; only fields that the user may see are in it."""

    def fields(object_name: str, *wanted: str) -> list[str]:
        description = described.get(object_name) or {}
        shown = {str(field.get("name")).lower() for field in description.get("fields") or [] if isinstance(field, Mapping)}
        return [name for name in wanted if name.lower() in shown]

    def select(object_name: str, *wanted: str, where: str = "", limit: int = 1) -> str:
        names = ", ".join(fields(object_name, *wanted)) or "Id"
        return f"SELECT {names} FROM {object_name}{f' WHERE {where}' if where else ''} LIMIT {limit}"

    organization = ("Id", "Name", "IsSandbox", "OrganizationType", "InstanceName", "DefaultCurrencyIsoCode", "TimeZoneSidKey")
    queries = {
        "organization": select("Organization", *organization),
        "won": select("Opportunity", "Id", where="IsWon = true"),
        "account": select("Account", "Id"),
        "line": select("OpportunityLineItem", "Id"),
        "users": select("User", "Id", "Name", "Email", where="IsActive = true", limit=_FEW_USERS),
        "stages": select("OpportunityStage", "Id", "ApiName", "MasterLabel", "IsWon", "IsActive", limit=500),
        "currencies": select("CurrencyType", "Id", "IsoCode", "IsActive", "IsCorporate", limit=500),
    }
    if session.user_id is not None:
        user = ("Id", "Name", "Username", "Email", "IsActive")
        queries["me"] = select("User", *user, where=f"Id = {quoted(session.user_id)}")
    needed = {
        "organization": "Organization",
        "won": "Opportunity",
        "account": "Account",
        "line": "OpportunityLineItem",
        "users": "User",
        "me": "User",
        "stages": "OpportunityStage",
        "currencies": "CurrencyType",
    }
    return {name: soql for name, soql in queries.items() if described.get(needed[name]) is not None}


class _Answers:
    """The answers to several queries, by name."""

    def __init__(self, client: SalesforceClient, queries: Mapping[str, str]) -> None:
        answers = client.query_together([Query(soql) for soql in queries.values()])
        self._answers: dict[str, QueryAnswer] = dict(zip(queries, answers, strict=True))

    def error(self, name: str) -> ServiceError | None:
        return self._answers[name].error if name in self._answers else None

    def rows(self, name: str) -> Sequence[Mapping[str, Any]]:
        return self._answers[name].records if name in self._answers else ()

    def was_answered(self, name: str) -> bool:
        return name in self._answers and self._answers[name].error is None


def _org(answers: _Answers, session: Session) -> Org:
    row = next(iter(answers.rows("organization")), {})
    found = to_18(str(row["Id"])) if row.get("Id") else session.organization_id
    active = [
        str(one["IsoCode"]) for one in answers.rows("currencies") if one.get("IsoCode") and one.get("IsActive") is not False
    ]
    currency = row.get("DefaultCurrencyIsoCode")
    return Org(
        organization_id=found,
        is_sandbox=row.get("IsSandbox") if isinstance(row.get("IsSandbox"), bool) else None,
        currency=str(currency).upper() if currency else None,
        currencies=tuple(sorted(code.upper() for code in active)),
    )


def _organization(answers: _Answers, org: Org, environment: Environment, mode: Mode) -> list[Finding]:
    error = answers.error("organization")
    if error is not None:
        return [service_problem(AREA, "org", error)]
    row = next(iter(answers.rows("organization")), None)
    if row is None:
        mend = "Setup, Permission Sets, the integration user's set: let it read Organization"
        return [AREA.problem("org", "The integration user cannot read the object Organization", mend)]
    kind = "sandbox" if org.is_sandbox else str(row.get("OrganizationType") or "org")
    text = f"{row.get('Name') or 'an org without a name'} ({kind}, {org.organization_id})"
    login_url = environment.salesforce_login_url or ""
    if not is_loopback_url(login_url) and org.is_sandbox is not None:
        named_sandbox = audience(login_url) == "https://test.salesforce.com"
        if named_sandbox != org.is_sandbox:
            text += f"; its address {_host(login_url)} says {'sandbox' if named_sandbox else 'production'}"
            mend = "Make sure that SALESFORCE_LOGIN_URL is the My Domain of the org that is meant"
            return [AREA.warning("org", text, mend)]
    if org.is_sandbox and mode in (Mode.APPROVE, Mode.LIVE):
        mend = "Set SALESFORCE_LOGIN_URL to the production org's My Domain, unless this is a rehearsal"
        return [AREA.warning("org", f"{text}, and the mode is {mode.value}", mend)]
    return [AREA.ok("org", text)]


def _user(answers: _Answers) -> list[Finding]:
    row = next(iter(answers.rows("me")), None)
    if row is None:
        return []
    name, username = row.get("Name") or "without a name", row.get("Username")
    return [AREA.ok("integration user", f"{name}{f' ({username})' if username else ''}")]


def _records(answers: _Answers) -> list[Finding]:
    findings = []
    for name, object_name, what in (
        ("won", "Opportunity", "won opportunity"),
        ("account", "Account", "account"),
        ("line", "OpportunityLineItem", "product on an opportunity"),
    ):
        error = answers.error(name)
        if error is not None:
            findings.append(service_problem(AREA, object_name, error))
        elif answers.was_answered(name) and not answers.rows(name):
            parent = "Opportunity" if name == "line" else object_name
            mend = (
                "If there are some: Setup, Permission Sets, the integration user's set, Object Settings, "
                f"{parent}: View All Records"
            )
            findings.append(AREA.warning(object_name, f"The integration user sees no {what} at all", mend))
    if not findings and all(answers.was_answered(name) for name in ("won", "account", "line")):
        findings.append(AREA.ok("records", "won opportunities, their products and accounts can be seen"))
    return findings


def _stages(answers: _Answers) -> list[Finding]:
    if not answers.was_answered("stages") or not any("IsWon" in row for row in answers.rows("stages")):
        return []
    active = [row for row in answers.rows("stages") if row.get("IsActive") is not False]
    won = sorted(
        {str(row.get("MasterLabel") or row.get("ApiName") or row.get("Id")) for row in active if row.get("IsWon") is True}
    )
    if won:
        return [AREA.ok("stages", f"won: {listed(won)}")]
    mend = "Setup, Object Manager, Opportunity, Fields & Relationships, Stage: give one stage the type Closed/Won"
    return [AREA.problem("stages", "No active stage counts as won, so no deal can ever be invoiced", mend)]


def _emails(answers: _Answers) -> list[Finding]:
    rows = [row for row in answers.rows("users") if "Email" in row]
    if not rows:
        return []
    addresses = [(str(row.get("Name") or row.get("Id")), str(row.get("Email") or "").strip()) for row in rows]
    bad = [name for name, address in addresses if "@" not in address or address.lower().endswith(".invalid")]
    if not bad:
        return [AREA.ok("users' e-mail", f"{len(rows)} active users have an e-mail address")]
    text = f"{len(bad)} active users have no usable e-mail address ({listed(bad, 3)}): as owners they cannot be told in Slack"
    return [AREA.warning("users' e-mail", text, "Setup, Users: correct the address (a sandbox puts .invalid behind it)")]


def _currencies(org: Org, described: Mapping[str, Mapping[str, Any] | None]) -> list[Finding]:
    if described.get("CurrencyType") is None:
        return [AREA.ok("currencies", f"one: {org.currency or 'the org does not tell which'}")]
    return [AREA.ok("currencies", f"several: {listed(list(org.currencies))}")]


def _flow(environment: Environment) -> str:
    by_key = environment.salesforce_username and environment.salesforce_private_key_file
    return "JWT bearer" if by_key else "client credentials"


def _same_host(environment: Environment, session: Session) -> bool:
    return _host(environment.salesforce_login_url) == _host(session.instance_url)


def _host(url: str | None) -> str:
    # Without what may stand before an @.
    parts = urlsplit(url or "")
    return f"{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}"
