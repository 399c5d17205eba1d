"""QuickBooks Online: the connection, the company, its preferences, and everything that the rules name in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from qbsf_pipeline.customers.terms import active_terms, find_term
from qbsf_pipeline.doctor.findings import Area, Finding, clock_finding, guarded, listed, service_problem
from qbsf_pipeline.errors import RecordRefused, ServiceError
from qbsf_pipeline.progress import progress
from qbsf_pipeline.quickbooks.client import ACTIVE_AND_INACTIVE, MINOR_VERSION, QuickBooksClient
from qbsf_pipeline.quickbooks.connection import StoredTokens
from qbsf_pipeline.quickbooks.objects import row_of
from qbsf_pipeline.settings import Environment, Mode, Rules

AREA = Area.QUICKBOOKS

#: Reconnecting takes a person with access to the company: not on the last day.
_SOON = timedelta(days=14)
_HARD_SOON = timedelta(days=60)
#: A refresh token that is not used dies after about 101 days.
_UNUSED = timedelta(days=30)
_CONNECT = "Let a company admin run `qbsf connect quickbooks`"
#: Words of CompanyInfo's SubscriptionStatus under which nothing can be written.
_ENDED = frozenset({"EXPIRED", "SUSPENDED", "CANCELED", "CANCELLED", "TERMINATED", "UNSUBSCRIBED", "INACTIVE"})
_UNITED_STATES = frozenset({"us", "usa", "united states"})
_INCOME = frozenset({"income", "other income"})
_NOT_SELLABLE = frozenset({"category", "group", "bundle"})


@dataclass(frozen=True)
class Company:
    """What the company says of itself, for comparison with Salesforce."""

    home_currency: str | None
    several_currencies: bool


@dataclass(frozen=True)
class Examination:
    """The findings, and what is known of the company; ``None`` where it does not let us in. ``reads``: metered calls."""

    findings: list[Finding]
    company: Company | None
    reads: int


def examine(
    client: QuickBooksClient,
    environment: Environment,
    rules: Rules,
    mode: Mode,
    stored: Callable[[], StoredTokens | None],
    now: Callable[[], datetime],
) -> Examination:
    """Look at the company: four reads, and one for each further list that the rules name something in or bill by.

    Args:
        stored: the tokens as the vault has them.
        now: this machine's clock, aware UTC.
    """
    progress("QuickBooks: looking at the company and its preferences")
    try:
        info = client.company_info()
    except ServiceError as error:
        findings = [service_problem(AREA, "connection", error)]
        return Examination([*findings, *check_tokens(stored(), now())], None, client.reads)
    findings = [AREA.ok("connection", f"company {client.realm} answers (minor version {MINOR_VERSION})")]
    findings += check_tokens(stored(), now()) + clock_finding(AREA, client.server_time, now())
    company = row_of("CompanyInfo", info, now())
    findings += check_company(company, info, environment, rules, mode)
    try:
        record = client.preferences()
    except ServiceError as error:
        return Examination([*findings, service_problem(AREA, "preferences", error)], None, client.reads)
    preferences = row_of("Preferences", record, now())
    american = str(company["country"] or "").strip().casefold() in _UNITED_STATES
    findings += check_preferences(preferences, rules, environment.qbsf_go_live_date)
    findings += check_taxes(preferences, rules, american=american, country=company["country"])
    findings += guarded(AREA, "terms", lambda: _terms(client, rules, now()))
    if rules.recurring.enabled and rules.recurring.bill_by == "template":
        findings += guarded(AREA, "recurring.bill_by", lambda: _templates(client, preferences, rules))
    for named in _named_by(rules, preferences, american=american):
        findings += guarded(AREA, named.names[0][0], partial(_look_up, client, named))
    findings += guarded(AREA, "changes", lambda: _changes(client, now()))
    home = preferences["home_currency"]
    known = Company(str(home).strip().upper() if home else None, preferences["multi_currency"] is True)
    return Examination(findings, known, client.reads)


def check_tokens(tokens: StoredTokens | None, now: datetime) -> list[Finding]:
    """How old the connection is and when it ends, from what is stored."""
    if tokens is None:
        return []
    findings: list[Finding] = []
    unused = now - tokens.updated_at
    end = tokens.refresh_expires_at
    used = f"last refreshed {_days(unused)} ago"
    if end is not None and end <= now:
        findings.append(AREA.problem("refresh token", f"It ended on {end:%Y-%m-%d}; {used}", _CONNECT))
    elif end is not None and end - now <= _SOON:
        text = f"It ends on {end:%Y-%m-%d} ({_days(end - now)} left) unless it is used before; {used}"
        findings.append(AREA.warning("refresh token", text, "Run a pass (qbsf sync), which renews it, or reconnect"))
    elif unused > _UNUSED:
        text = f"It was {used}; unused, it dies after about 100 days"
        findings.append(AREA.warning("refresh token", text, "Run a pass (qbsf sync) at least once a month"))
    else:
        left = f"; good until {end:%Y-%m-%d} if unused ({_days(end - now)})" if end is not None else ""
        findings.append(AREA.ok("refresh token", used + left))
    hard = tokens.refresh_hard_expires_at
    if hard is not None and hard - now <= _HARD_SOON:
        left = f"ends for good on {hard:%Y-%m-%d}" if hard > now else f"ended for good on {hard:%Y-%m-%d}"
        told = AREA.warning if hard > now else AREA.problem
        findings.append(told("connection's end", f"The connection {left} (Intuit allows five years)", _CONNECT))
    elif hard is not None:
        findings.append(AREA.ok("connection's end", f"{hard:%Y-%m-%d}, whatever happens (Intuit allows five years)"))
    return findings


def check_company(
    company: Mapping[str, Any], record: Mapping[str, Any], environment: Environment, rules: Rules, mode: Mode
) -> list[Finding]:
    """Name, country, subscription, time zone, and the address that invoices are mailed from.

    Args:
        company: row of ``quickbooks.company_info``.
        record: the whole record.
    """
    name = company["name"] or company["legal_name"] or "a company without a name"
    parts = [company["country"], company["offering"], f"realm {environment.quickbooks_realm_id}"]
    text = f"{name} ({', '.join(str(part) for part in parts if part)})"
    findings = [AREA.ok("company", text)]
    if environment.quickbooks_environment == "sandbox" and mode in (Mode.APPROVE, Mode.LIVE):
        mend = "Set QUICKBOOKS_ENVIRONMENT to production, with the app's production keys, unless this is a rehearsal"
        findings.append(AREA.warning("QUICKBOOKS_ENVIRONMENT", f"It is sandbox, and the mode is {mode.value}", mend))
    status = str(company["subscription_status"] or "")
    if status.upper() in _ENDED:
        mend = "QuickBooks: Settings, Account and settings, Billing & subscription: renew the subscription"
        findings.append(AREA.problem("subscription", f"The company's subscription is {status}: QuickBooks refuses writes", mend))
    elif status:
        findings.append(AREA.ok("subscription", status))
    zone = company["time_zone"]
    try:
        if zone:
            ZoneInfo(str(zone))
            findings.append(AREA.ok("time zone", f"{zone}; days and months are counted there"))
        else:
            text = "QuickBooks does not tell the company's time zone; days and months are counted in UTC"
            findings.append(
                AREA.warning("time zone", text, "QuickBooks: Settings, Account and settings, Advanced, Other preferences")
            )
    except (ZoneInfoNotFoundError, ValueError, OSError):
        text = f"The company's time zone {zone} is not known here; days and months are counted in UTC"
        findings.append(AREA.warning("time zone", text, "Install newer time zone data (package tzdata)"))
    if rules.invoices.send == "send":
        address = record.get("Email")
        sender = str(address.get("Address") or "") if isinstance(address, Mapping) else ""
        if "@" in sender:
            limit = "; Intuit's sandbox mails 40 a day" if environment.quickbooks_environment == "sandbox" else ""
            findings.append(AREA.ok("e-mail", f"QuickBooks mails each invoice, in the name of {sender}{limit}"))
        else:
            mend = "QuickBooks: Settings, Account and settings, Company, Contact info: Company email; or invoices.send = draft"
            findings.append(AREA.warning("e-mail", "The company has no e-mail address to mail invoices from", mend))
    return findings


def check_preferences(preferences: Mapping[str, Any], rules: Rules, go_live: date | None) -> list[Finding]:
    """Currencies, invoice numbers, the closing date, credits, classes and locations.

    Args:
        preferences: row of ``quickbooks.preferences``.
        go_live: deals closed before it are never invoiced.
    """
    home = preferences["home_currency"]
    several = " and others (Multicurrency is on; it cannot be turned off)" if preferences["multi_currency"] else " only"
    findings = [AREA.ok("currency", f"{home}{several}") if home else _no_home_currency()]
    findings.append(_numbers(preferences, rules))
    closed: date | None = preferences["book_close_date"]
    if closed is None:
        findings.append(AREA.ok("closing date", "the books are open: no closing date is set"))
    elif go_live is not None and closed >= go_live:
        text = f"The books are closed up to {closed}: deals closed from {go_live} to then cannot be invoiced on their own date"
        mend = "QuickBooks: Settings, Account and settings, Advanced, Accounting: Close the books; or a later QBSF_GO_LIVE_DATE"
        findings.append(AREA.warning("closing date", text, f"{mend}; or invoices.invoice_date = today"))
    else:
        findings.append(AREA.ok("closing date", f"the books are closed up to {closed}"))
    if preferences["auto_apply_credit"]:
        text = "QuickBooks applies open credits to new invoices by itself, so a new invoice may be part-paid at once"
        mend = "If that is not wanted: Settings, Account and settings, Advanced, Automation: Automatically apply credits"
        findings.append(AREA.warning("credits", text, mend))
    return findings + _tracking(preferences, rules)


def check_taxes(preferences: Mapping[str, Any], rules: Rules, *, american: bool, country: object) -> list[Finding]:
    """How sales tax gets onto an invoice."""
    taxed = preferences["using_sales_tax"] is not False
    if not taxed:
        if rules.tax.lines == "taxable":
            mend = "QuickBooks: Taxes, Sales tax: set it up; or tax.lines = item in the file of QBSF_CONFIG"
            return [AREA.warning("sales tax", "The rules make every line taxable, but the company uses no sales tax", mend)]
        return [AREA.ok("sales tax", "the company uses none")]
    if american and preferences["partner_tax"] is False:
        mend = "QuickBooks: Taxes, Sales tax, Use automatic sales tax: finish the set-up"
        return [AREA.warning("sales tax", "Automated sales tax is not set up: taxable lines may carry no tax", mend)]
    if american:
        automated = "automated: QuickBooks computes it from the addresses" if preferences["partner_tax"] else "by hand"
        return [AREA.ok("sales tax", f"{automated}; lines are taxed by rule tax.lines = {rules.tax.lines}")]
    if not rules.tax.code.strip():
        mend = "Give every item a sales tax code, or set tax.code in the file of QBSF_CONFIG to the code of the others"
        where = country or "a company outside the United States"
        return [AREA.warning("sales tax", f"{where}: deals whose items have no sales tax code are refused", mend)]
    return [AREA.ok("sales tax", f"items without a tax code get {rules.tax.code}")]


def _no_home_currency() -> Finding:
    mend = "Let a company admin connect again: the connection may not see the preferences"
    return AREA.warning("currency", "QuickBooks does not tell the currency of its books", mend)


def _numbers(preferences: Mapping[str, Any], rules: Rules) -> Finding:
    if not preferences["custom_document_numbers"]:
        return AREA.ok("invoice numbers", "QuickBooks gives them")
    if rules.invoices.document_number == "next":
        prefix = rules.invoices.document_number_prefix
        shown = f", with the prefix {prefix}" if prefix else ""
        return AREA.ok("invoice numbers", f"custom transaction numbers are on: qbsf gives the next one{shown}")
    text = "Custom transaction numbers are on, and the rules give none: invoices will have no number"
    mend = (
        "Set invoices.document_number = next in the file of QBSF_CONFIG, or turn off Settings, Account and settings, Sales, "
        "Sales form content: Custom transaction numbers"
    )
    return AREA.warning("invoice numbers", text, mend)


def _tracking(preferences: Mapping[str, Any], rules: Rules) -> list[Finding]:
    findings = []
    menu = "QuickBooks: Settings, Account and settings, Advanced, Categories"
    by_line, by_invoice = preferences["class_per_line"], preferences["class_per_transaction"]
    if rules.salesforce.product_class_field and not by_line:
        text = "The rules name a class for each product, but the company does not track classes by line: they are left out"
        findings.append(AREA.warning("classes", text, f"{menu}: Track classes, one to each row in transaction"))
    elif rules.invoices.line_class and not (by_line or by_invoice):
        text = f"The rules name the class {rules.invoices.line_class}, but the company does not track classes: it is left out"
        findings.append(AREA.warning("classes", text, f"{menu}: Track classes"))
    if rules.invoices.department and not preferences["departments"]:
        text = (
            f"The rules name the location {rules.invoices.department}, but the company does not track locations: it is left out"
        )
        findings.append(AREA.warning("locations", text, f"{menu}: Track locations"))
    return findings


@dataclass(frozen=True)
class _Named:
    """Names in the rules that must be found in a list of QuickBooks: pairs of the rule's key and the name."""

    entity: str
    names: tuple[tuple[str, str], ...]
    where: str
    is_fit: Callable[[Mapping[str, Any]], bool] = lambda record: True


def _named_by(rules: Rules, preferences: Mapping[str, Any], *, american: bool) -> list[_Named]:
    items = [(f"items.products.{product}", item) for product, item in rules.items.products.items()]
    if rules.items.missing == "default":
        items.append(("items.default_item", rules.items.default_item))
    accounts = [("items.income_account", rules.items.income_account)] if rules.items.missing == "create" else []
    tracked = preferences["class_per_line"] or preferences["class_per_transaction"]
    classes = [("invoices.line_class", rules.invoices.line_class)] if rules.invoices.line_class.strip() and tracked else []
    located = rules.invoices.department.strip() and preferences["departments"]
    departments = [("invoices.department", rules.invoices.department)] if located else []
    codes = [("tax.code", rules.tax.code)] if rules.tax.code.strip() and not american else []
    lists = "QuickBooks: Settings, All lists"
    named = [
        _Named("Item", tuple(items), "QuickBooks: Settings, Products and services", _is_sellable),
        _Named("Account", tuple(accounts), "QuickBooks: Settings, Chart of accounts", _is_income),
        _Named("Class", tuple(classes), f"{lists}, Classes"),
        _Named("Department", tuple(departments), f"{lists}, Locations"),
        _Named("TaxCode", tuple(codes), "QuickBooks: Taxes, Sales tax"),
    ]
    return [one for one in named if one.names]


def _look_up(client: QuickBooksClient, named: _Named) -> list[Finding]:
    findings = []
    wanted: dict[str, str] = {}
    for key, name in named.names:
        if name.strip():
            wanted.setdefault(name.strip(), key)
        else:
            mend = f"Set {key} in the file of QBSF_CONFIG to a name from {named.where}"
            findings.append(AREA.problem(key, f"The rules need {key}, and it is empty", mend))
    known: dict[str, list[Mapping[str, Any]]] = {}
    for record in _of_these_names(client, named.entity, list(wanted)):
        for name in {_folded(record.get("Name")), _folded(record.get("FullyQualifiedName"))}:
            known.setdefault(name, []).append(record)
    for name, key in wanted.items():
        found = known.get(_folded(name), [])
        active = [record for record in found if record.get("Active") is not False]
        if any(named.is_fit(record) for record in active):
            continue
        state = "cannot use its" if active else "has made inactive its" if found else "has no"
        text = f"QuickBooks {state} {_KINDS[named.entity]} {name!r}, which the rules name"
        findings.append(AREA.problem(key, text, f"{named.where}: add or reactivate it, or correct {key}"))
    return findings or [AREA.ok(listed([key for key, _ in named.names], 2), f"in QuickBooks: {listed(list(wanted))}")]


def _of_these_names(client: QuickBooksClient, entity: str, names: list[str]) -> list[dict[str, Any]]:
    if not names:
        return []
    # The last part of a full name (Parent:Child) is the record's own name.
    literals = ", ".join(client.quoted(name.rpartition(":")[2].strip()) for name in names)
    # Tax codes on some companies cannot be asked for inactive rows.
    active = "" if entity == "TaxCode" else f" AND {ACTIVE_AND_INACTIVE}"
    return client.query(entity, f"Name IN ({literals}){active}")


_KINDS = {
    "Item": "product or service",
    "Account": "income account",
    "Class": "class",
    "Department": "location",
    "TaxCode": "tax code",
}


def _is_sellable(record: Mapping[str, Any]) -> bool:
    return str(record.get("Type") or "").casefold() not in _NOT_SELLABLE


def _is_income(record: Mapping[str, Any]) -> bool:
    return str(record.get("AccountType") or "").casefold() in _INCOME


def _terms(client: QuickBooksClient, rules: Rules, now: datetime) -> list[Finding]:
    terms = active_terms([row_of("Term", record, now) for record in client.query_all("Term", list_entity=True)])
    names = [term.name for term in terms]
    menu = "QuickBooks: Settings, All lists, Terms"
    wanted = rules.invoices.default_terms.strip()
    if wanted and find_term(wanted, terms) is None:
        text = f"QuickBooks has no term {wanted!r}, which the rules name for deals without one; it has {listed(names) or 'none'}"
        return [AREA.problem("invoices.default_terms", text, f"{menu}, New; or correct invoices.default_terms")]
    if not terms:
        return [AREA.problem("terms", "QuickBooks has no payment terms, and deals name them", f"{menu}, New")]
    default = f"; deals without any get {wanted}" if wanted else ""
    return [AREA.ok("terms", listed(names) + default)]


def _templates(client: QuickBooksClient, preferences: Mapping[str, Any], rules: Rules) -> list[Finding]:
    check, mend = "recurring.bill_by", 'Set recurring.bill_by to "schedule": qbsf then bills every period itself'
    if preferences["custom_document_numbers"] is True and rules.invoices.document_number == "next":
        text = (
            "the rules leave periods to recurring templates, and the company gives invoices numbers that a template does not have"
        )
        return [AREA.warning(check, text, mend)]
    try:
        count = len(client.recurring_templates())
    except RecordRefused as error:
        text = f"QuickBooks does not list its recurring templates: {error.message} [{error.code}]"
        return [AREA.problem(check, text, f"{mend}. Or choose a plan with recurring transactions (Essentials or more)")]
    return [AREA.ok(check, f"QuickBooks lists its recurring templates; it has {count}")]


def _changes(client: QuickBooksClient, now: datetime) -> list[Finding]:
    try:
        client.changes(["Customer"], now - timedelta(minutes=1))
    except RecordRefused as error:
        text = f"QuickBooks does not tell what changed: {error.message} [{error.code}]; tables are asked for one by one"
        return [AREA.warning("changes", text, "Nothing has to be done; each pass costs more reads, which Intuit meters")]
    return [AREA.ok("changes", "QuickBooks tells what changed (change data capture)")]


def _folded(text: Any) -> str:
    return " ".join(str(text or "").casefold().split())


def _days(span: timedelta) -> str:
    days = max(0, span.days)
    return "less than a day" if days == 0 else "1 day" if days == 1 else f"{days:,} days"
