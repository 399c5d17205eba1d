from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from qbsf_pipeline.api_meter import ApiMeter
from qbsf_pipeline.doctor import quickbooks
from qbsf_pipeline.doctor.quickbooks import check_company, check_preferences, check_taxes, check_tokens
from qbsf_pipeline.quickbooks.client import QuickBooksClient
from qbsf_pipeline.quickbooks.connection import QuickBooksConnection, StoredTokens
from qbsf_pipeline.quickbooks.objects import row_of
from qbsf_pipeline.quickbooks.pace import Pace
from qbsf_pipeline.settings import Environment, Mode, Rules
from qbsf_pipeline_tests.doctor.levels import told, worse
from qbsf_pipeline_tests.quickbooks.service import REALM, Answer, Request, Service, answer, fault, gateway_fault
from qbsf_pipeline_tests.quickbooks.vault import FileVault

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
INFO: dict[str, Any] = {
    "Id": "1",
    "CompanyName": "Müller's Bäckerei",
    "Country": "US",
    "DefaultTimeZone": "America/Los_Angeles",
    "Email": {"Address": "books@example.com"},
    "NameValue": [{"Name": "SubscriptionStatus", "Value": "PAID"}, {"Name": "OfferingSku", "Value": "QuickBooks Online Plus"}],
}
PREFERENCES: dict[str, Any] = {
    "Id": "1",
    "CurrencyPrefs": {"MultiCurrencyEnabled": False, "HomeCurrency": {"value": "USD"}},
    "SalesFormsPrefs": {"CustomTxnNumbers": False, "AutoApplyCredit": False},
    "TaxPrefs": {"UsingSalesTax": False},
    "AccountingInfoPrefs": {"ClassTrackingPerTxn": False, "ClassTrackingPerTxnLine": False, "TrackDepartments": False},
}


def preferences(**groups: dict[str, Any]) -> dict[str, Any]:
    return row_of("Preferences", {**PREFERENCES, **{f"{name}Prefs": group for name, group in groups.items()}}, NOW)


def environment(**more: Any) -> Environment:
    return Environment(quickbooks_realm_id=REALM, **more)


def tokens(**more: Any) -> StoredTokens:
    stored = StoredTokens(
        access_token="a",
        refresh_token="r",
        access_expires_at=NOW,
        refresh_expires_at=NOW + timedelta(days=100),
        refresh_hard_expires_at=NOW + timedelta(days=1800),
        first_token_hash=None,
        updated_at=NOW - timedelta(hours=2),
    )
    return replace(stored, **more)


@pytest.mark.parametrize(
    ("stored", "level"),
    [
        (None, []),
        (tokens(), []),
        (tokens(refresh_expires_at=None, refresh_hard_expires_at=None), []),
        (tokens(updated_at=NOW - timedelta(days=40)), [("refresh token", "warning")]),
        (tokens(refresh_expires_at=NOW + timedelta(days=13)), [("refresh token", "warning")]),
        (tokens(refresh_expires_at=NOW), [("refresh token", "problem")]),
        (tokens(refresh_hard_expires_at=NOW + timedelta(days=59)), [("connection's end", "warning")]),
        (tokens(refresh_hard_expires_at=NOW - timedelta(days=1)), [("connection's end", "problem")]),
    ],
)
def test_a_connection_that_ends_is_told_while_there_is_time(stored: StoredTokens | None, level: list[tuple[str, str]]) -> None:
    assert worse(check_tokens(stored, NOW)) == level


@pytest.mark.parametrize(
    ("change", "level"),
    [
        ({}, []),
        ({"NameValue": [{"Name": "SubscriptionStatus", "Value": "EXPIRED"}]}, [("subscription", "problem")]),
        ({"NameValue": [{"Name": "SubscriptionStatus", "Value": "TRIAL"}]}, []),
        ({"NameValue": None, "Country": None, "CompanyName": None}, []),
        ({"DefaultTimeZone": None}, [("time zone", "warning")]),
        ({"DefaultTimeZone": "Mars/Olympus Mons"}, [("time zone", "warning")]),
        ({"DefaultTimeZone": "../../etc/passwd"}, [("time zone", "warning")]),
        ({"Email": None}, [("e-mail", "warning")]),
        ({"Email": {"Address": ""}}, [("e-mail", "warning")]),
    ],
)
def test_the_company_is_looked_at(change: dict[str, Any], level: list[tuple[str, str]], rules: Rules) -> None:
    record = {**INFO, **change}
    assert worse(check_company(row_of("CompanyInfo", record, NOW), record, environment(), rules, Mode.LIVE)) == level


def test_who_lets_nothing_be_mailed_needs_no_address(rules_with: Callable[[str], Rules]) -> None:
    record = {**INFO, "Email": None}
    rules = rules_with('[invoices]\nsend = "draft"\n')
    assert worse(check_company(row_of("CompanyInfo", record, NOW), record, environment(), rules, Mode.LIVE)) == []


def test_a_sandbox_company_in_live_mode_is_told(rules: Rules) -> None:
    row, sandbox = row_of("CompanyInfo", INFO, NOW), environment(quickbooks_environment="sandbox")
    assert worse(check_company(row, INFO, sandbox, rules, Mode.LIVE)) == [("QUICKBOOKS_ENVIRONMENT", "warning")]
    assert worse(check_company(row, INFO, sandbox, rules, Mode.DRY_RUN)) == []


@pytest.mark.parametrize(
    ("groups", "toml", "go_live", "level"),
    [
        ({}, "", None, []),
        ({"Currency": {}}, "", None, [("currency", "warning")]),
        ({"SalesForms": {"CustomTxnNumbers": True}}, "", None, []),
        (
            {"SalesForms": {"CustomTxnNumbers": True}},
            '[invoices]\ndocument_number = "none"\n',
            None,
            [("invoice numbers", "warning")],
        ),
        ({"SalesForms": {"AutoApplyCredit": True}}, "", None, [("credits", "warning")]),
        ({"AccountingInfo": {"BookCloseDate": "2026-03-31"}}, "", date(2026, 4, 1), []),
        ({"AccountingInfo": {"BookCloseDate": "2026-03-31"}}, "", date(2026, 3, 31), [("closing date", "warning")]),
        ({"AccountingInfo": {"BookCloseDate": "2026-03-31"}}, "", None, []),
        ({}, '[invoices]\nline_class = "Services"\n', None, [("classes", "warning")]),
        ({"AccountingInfo": {"ClassTrackingPerTxn": True}}, '[invoices]\nline_class = "Services"\n', None, []),
        (
            {"AccountingInfo": {"ClassTrackingPerTxn": True}},
            '[salesforce]\nproduct_class_field = "Class__c"\n',
            None,
            [("classes", "warning")],
        ),
        ({}, '[invoices]\ndepartment = "Berlin"\n', None, [("locations", "warning")]),
        ({"AccountingInfo": {"TrackDepartments": True}}, '[invoices]\ndepartment = "Berlin"\n', None, []),
    ],
)
def test_preferences_that_work_against_the_rules_are_told(
    groups: dict[str, Any],
    toml: str,
    go_live: date | None,
    level: list[tuple[str, str]],
    rules_with: Callable[[str], Rules],
) -> None:
    assert worse(check_preferences(preferences(**groups), rules_with(toml), go_live)) == level


@pytest.mark.parametrize(
    ("tax", "american", "toml", "level"),
    [
        ({}, True, "", []),
        ({}, True, '[tax]\nlines = "taxable"\n', [("sales tax", "warning")]),
        ({"UsingSalesTax": True, "PartnerTaxEnabled": True}, True, "", []),
        ({"UsingSalesTax": True, "PartnerTaxEnabled": False}, True, "", [("sales tax", "warning")]),
        ({"UsingSalesTax": True}, True, "", []),
        ({"UsingSalesTax": True}, False, "", [("sales tax", "warning")]),
        ({"UsingSalesTax": True}, False, '[tax]\ncode = "20.0% S"\n', []),
    ],
)
def test_how_tax_gets_onto_invoices_is_told(
    tax: dict[str, Any], american: bool, toml: str, level: list[tuple[str, str]], rules_with: Callable[[str], Rules]
) -> None:
    assert worse(check_taxes(preferences(Tax=tax), rules_with(toml), american=american, country="DE")) == level


# The whole examination, over real sockets


class Books:
    """A company that answers queries by the entity they name."""

    def __init__(self) -> None:
        self.info: Answer = answer({"CompanyInfo": INFO})
        self.preferences: Answer = answer({"Preferences": PREFERENCES})
        self.cdc: Answer = answer({"CDCResponse": [{"QueryResponse": [{}]}]})
        self.lists: dict[str, list[dict[str, Any]]] = {"Term": [{"Id": "3", "Name": "Net 30", "DueDays": 30}]}
        self.refused: dict[str, Answer] = {}
        self.asked: list[str] = []

    def __call__(self, request: Request) -> Answer:
        if "/companyinfo/" in request.path:
            return self.info
        if request.path.endswith("/preferences"):
            return self.preferences
        if request.path.endswith("/cdc"):
            return self.cdc
        self.asked.append(request.text)
        entity = request.text.split(" FROM ")[1].split()[0]
        if entity in self.refused:
            return self.refused[entity]
        return answer({"QueryResponse": {entity: self.lists[entity]} if self.lists.get(entity) else {}})


@pytest.fixture
def service() -> Iterator[Service]:
    running = Service()
    yield running
    running.stop()


@pytest.fixture
def books(service: Service) -> Books:
    service.reply = found = Books()
    return found


@pytest.fixture
def examined(service: Service, tmp_path, rules_with: Callable[[str], Rules]):
    def run(toml: str = "", refresh_token: str = "first") -> quickbooks.Examination:
        keys = environment(
            quickbooks_client_id="app",
            quickbooks_client_secret=SecretStr("app-secret"),
            quickbooks_refresh_token=SecretStr(refresh_token),
            quickbooks_api_url=service.url,
            quickbooks_discovery_url=f"{service.url}/.well-known/openid_configuration",
        )
        vault, meter = FileVault(tmp_path), ApiMeter()
        connection = QuickBooksConnection(keys, vault, meter)
        client = QuickBooksClient(keys, connection, meter, Pace(1000, 100_000, 1000), sleep=lambda _: None)
        stored = lambda: vault.load(REALM)  # noqa: E731
        return quickbooks.examine(client, keys, rules_with(toml), Mode.LIVE, stored, lambda: datetime.now(UTC))

    return run


def test_a_healthy_company_costs_four_reads_and_no_write(books: Books, service: Service, examined) -> None:
    examination = examined()
    assert worse(examination.findings) == []
    assert examination.reads == 4
    assert examination.company == quickbooks.Company("USD", False)
    assert {(request.method, request.path.rsplit("/", 1)[-1]) for request in service.requests} == {
        *{("GET", REALM), ("GET", "preferences"), ("GET", "cdc"), ("POST", "query")},
    }


RULES = """
[invoices]
default_terms = "net30"
line_class = "Sales:Services"
department = "Berlin"
[items]
missing = "default"
default_item = "Bob's Burgers\\\\"
[items.products]
"A-1" = "Design:Concrete"
"""


def test_each_name_of_the_rules_is_looked_up_once_for_each_list(books: Books, examined) -> None:
    books.preferences = answer(
        {"Preferences": {**PREFERENCES, "AccountingInfoPrefs": {"ClassTrackingPerTxnLine": True, "TrackDepartments": True}}}
    )
    books.lists |= {
        "Item": [
            {"Id": "1", "Name": "Bob's Burgers\\", "Type": "Service"},
            {"Id": "2", "Name": "Concrete", "FullyQualifiedName": "Design:Concrete", "Type": "Service"},
        ],
        "Class": [{"Id": "1", "Name": "Services", "FullyQualifiedName": "Sales:Services"}],
        "Department": [{"Id": "1", "Name": "BERLIN"}],
    }
    examination = examined(RULES)
    assert worse(examination.findings) == []
    assert examination.reads == 7
    items = next(text for text in books.asked if "FROM Item" in text)
    assert "Name IN ('Concrete', 'Bob\\'s Burgers\\\\') AND Active IN (true, false)" in items


@pytest.mark.parametrize(
    ("items", "state"),
    [
        ([], "has no product or service"),
        ([{"Id": "1", "Name": "Hours", "Active": False, "Type": "Service"}], "has made inactive its product or service"),
        ([{"Id": "1", "Name": "Hours", "Type": "Category"}], "cannot use its product or service"),
        ([{"Id": "1", "Name": "Hours", "FullyQualifiedName": "Other:Hours", "Type": "Group"}], "cannot use its"),
    ],
)
def test_a_name_of_the_rules_that_quickbooks_lacks_is_a_problem(items: list[dict[str, Any]], state: str, books: Books, examined):
    books.lists["Item"] = items
    findings = examined('[items]\nmissing = "default"\ndefault_item = "Hours"\n').findings
    assert worse(findings) == [("items.default_item", "problem")]
    assert state in told(findings, "items.default_item").found


@pytest.mark.parametrize(
    ("toml", "lists", "check"),
    [
        ('[items]\nmissing = "default"\n', {}, "items.default_item"),
        ('[items]\nmissing = "create"\n', {}, "items.income_account"),
        (
            '[items]\nmissing = "create"\nincome_account = "Bank"\n',
            {"Account": [{"Id": "1", "Name": "Bank", "AccountType": "Bank"}]},
            "items.income_account",
        ),
        ('[invoices]\ndefault_terms = "Net 31"\n', {}, "invoices.default_terms"),
        ("", {"Term": []}, "terms"),
        ("", {"Term": [{"Id": "1", "Name": "Net 30", "Active": False}]}, "terms"),
    ],
)
def test_rules_that_cannot_be_followed_in_this_company_are_problems(
    toml: str, lists: dict[str, Any], check: str, books: Books, examined
) -> None:
    books.lists |= lists
    assert worse(examined(toml).findings) == [(check, "problem")]


@pytest.mark.parametrize(
    ("refused", "numbered", "expected"),
    [
        ({}, False, []),
        ({}, True, [("recurring.bill_by", "warning")]),
        ({"RecurringTransaction": fault("5030", "Feature Not Supported")}, False, [("recurring.bill_by", "problem")]),
    ],
)
def test_recurring_templates_are_looked_for_where_the_rules_bill_by_them(
    refused: dict[str, Answer], numbered: bool, expected: list[tuple[str, str]], books: Books, examined
) -> None:
    books.refused = refused
    forms = {**PREFERENCES["SalesFormsPrefs"], "CustomTxnNumbers": numbered}
    books.preferences = answer({"Preferences": {**PREFERENCES, "SalesFormsPrefs": forms}})
    found = worse(examined('[recurring]\nbill_by = "template"\n').findings)
    assert [one for one in found if one[0] == "recurring.bill_by"] == expected


def test_a_refresh_token_that_is_dead_says_how_to_connect_again(books: Books, service: Service, examined) -> None:
    service.refresh_tokens = ["another"]
    (finding,) = examined().findings
    assert (finding.check, finding.level.value) == ("connection", "problem")
    assert "qbsf connect quickbooks" in finding.mend


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (gateway_fault("3100", 403, "SERVICE"), "QUICKBOOKS_REALM_ID"),
        (fault("6190", "Subscription period has ended"), "Renew it in QuickBooks"),
        (answer("<html>503</html>", 503), "[503]"),
        (answer({}), "is not found"),
    ],
)
def test_a_company_that_does_not_let_us_in_is_one_problem(said: Answer, words: str, books: Books, examined) -> None:
    books.info = said
    examination = examined()
    (finding,) = [one for one in examination.findings if one.check == "connection"]
    assert finding.level.value == "problem"
    assert words in f"{finding.found} {finding.mend}"
    assert examination.company is None


def test_preferences_that_cannot_be_read_end_the_examination_of_the_company_only(books: Books, examined) -> None:
    books.preferences = gateway_fault("3100", 403, "SERVICE")
    assert worse(examined().findings) == [("preferences", "problem")]


def test_a_company_without_change_data_capture_costs_more_and_works(books: Books, examined) -> None:
    books.cdc = fault("4001", "Invalid query")
    assert worse(examined().findings) == [("changes", "warning")]
