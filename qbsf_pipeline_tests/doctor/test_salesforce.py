from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from qbsf_pipeline.doctor import salesforce
from qbsf_pipeline.doctor.findings import Level
from qbsf_pipeline.doctor.salesforce import EXPECTED_FIELDS, check_custom_fields, check_objects
from qbsf_pipeline.salesforce.objects import OBJECT_NAMES, OPTIONAL_OBJECTS, WRITTEN_FIELDS, written_fields
from qbsf_pipeline.sandbox.salesforce.schema import build_schema
from qbsf_pipeline.settings import Mode, Rules
from qbsf_pipeline_tests.doctor.levels import told, worse
from qbsf_pipeline_tests.salesforce.conftest import door_to, environment_for
from qbsf_pipeline_tests.salesforce.scripted import DATE, Asked, Said, ScriptedSalesforce, found, refused

NOW = parsedate_to_datetime(DATE).astimezone(UTC)
ID, STATUS, TERMS = "QuickBooks_Customer_Id__c", "Payment_Status__c", "Payment_Terms__c"

Described = dict[str, Any]


@pytest.fixture
def described() -> Described:
    """What a healthy org with one currency says of its objects."""
    schema = build_schema(multi_currency=False)
    types = {name: schema.types.get(name.lower()) for name in OBJECT_NAMES}
    answers = {name: found and found.describe("") for name, found in types.items()}
    return copy.deepcopy(answers)


def field(described: Described, object_name: str, name: str) -> Any:
    return next(one for one in described[object_name]["fields"] if one["name"] == name)


def test_a_healthy_org_is_all_well(described: Described, rules: Rules) -> None:
    findings = check_objects(described) + check_custom_fields(rules, described)
    assert worse(findings) == []
    assert [finding.check for finding in findings] == ["objects", "Opportunity fields", "Account fields"]


def test_every_field_of_the_rules_has_an_expectation(rules: Rules) -> None:
    keys = {f"{part}.{key}" for part in ("opportunity", "account") for key in type(getattr(rules.salesforce, part)).model_fields}
    assert {expected.key for expected in EXPECTED_FIELDS} == keys
    assert set(WRITTEN_FIELDS) <= {expected.key for expected in EXPECTED_FIELDS if expected.written}
    assert set(written_fields(rules)) <= {expected.key for expected in EXPECTED_FIELDS if expected.written}


@pytest.mark.parametrize("name", [name for name in OBJECT_NAMES if name not in OPTIONAL_OBJECTS])
def test_an_object_that_cannot_be_read_is_a_problem_of_permissions(name: str, described: Described) -> None:
    described[name] = None
    (finding,) = check_objects(described)
    assert (finding.check, finding.level) == (name, Level.PROBLEM)
    assert f"Object Settings, {name}: Read" in finding.mend


def test_a_checkbox_for_billing_on_hold_is_looked_at_where_the_rules_name_it(described: Described, rules: Rules) -> None:
    def found(name: str) -> list[tuple[str, str]]:
        fields = rules.salesforce.opportunity.model_copy(update={"billing_on_hold": name})
        named = rules.model_copy(update={"salesforce": rules.salesforce.model_copy(update={"opportunity": fields})})
        return worse(check_custom_fields(named, described))

    assert found("IsPrivate") == []
    assert found("On_Hold__c") == [("Opportunity.On_Hold__c", "problem")]
    assert found("StageName") == [("Opportunity.StageName", "warning")]


@pytest.mark.parametrize("expected", [each for each in EXPECTED_FIELDS if each.kind != "Checkbox"], ids=lambda each: each.key)
def test_each_custom_field_that_is_not_shown_is_a_problem_told_once(
    expected: salesforce.ExpectedField, described: Described, rules: Rules
) -> None:
    part, _, key = expected.key.partition(".")
    object_name, name = part.capitalize(), getattr(getattr(rules.salesforce, part), key)
    described[object_name]["fields"].remove(field(described, object_name, name))
    findings = check_custom_fields(rules, described)
    assert worse(findings) == [(f"{object_name}.{name}", "problem")]
    mend = told(findings, f"{object_name}.{name}").mend
    assert f"Setup, Object Manager, {object_name}, Fields & Relationships, New: {expected.kind}" in mend
    assert f"Field Permissions, {name}: {'Edit' if expected.written else 'Read'} Access" in mend
    assert f"salesforce.{expected.key}" in mend


@pytest.mark.parametrize(
    ("object_name", "name", "change", "level", "words"),
    [
        ("Account", ID, {"updateable": False}, "problem", "not edit it"),
        ("Account", ID, {"calculated": True, "updateable": False}, "problem", "formula"),
        ("Account", ID, {"type": "double"}, "problem", "Its type is double"),
        ("Account", ID, {"length": 10}, "problem", "holds 10 characters"),
        ("Account", ID, {"externalId": False, "unique": False}, "warning", "External ID and Unique"),
        ("Account", ID, {"unique": False}, "warning", "not marked Unique"),
        ("Account", "Billing_Email__c", {"type": "date"}, "warning", "Its type is date"),
        ("Opportunity", "Invoice_Balance__c", {"type": "string"}, "problem", "Its type is string"),
        ("Opportunity", "QuickBooks_Invoice_Number__c", {"length": 20}, "problem", "holds 20 characters, and 21"),
        ("Opportunity", "QuickBooks_Invoice_URL__c", {"updateable": False}, "problem", "not edit it"),
        ("Opportunity", "Days_Outstanding__c", {"updateable": False}, "problem", "not edit it"),
        ("Opportunity", "Billing_Start_Date__c", {"type": "string"}, "warning", "Its type is string"),
        ("Opportunity", STATUS, {"picklistValues": [{"value": "Paid", "active": True}]}, "problem", "lacks Not Invoiced"),
        (
            "Opportunity",
            STATUS,
            {"picklistValues": [{"value": v} for v in ("Invoiced", "Sent", "Partially Paid", "Paid")]},
            "problem",
            "lacks Not Invoiced, Overpaid",
        ),
        ("Opportunity", "Aging_Bucket__c", {"picklistValues": []}, "problem", "lacks Current, 1-30"),
        (
            "Opportunity",
            "Billing_Frequency__c",
            {"picklistValues": [{"value": "monthly"}, {"value": "Jährlich"}]},
            "warning",
            "Jährlich are not understood",
        ),
    ],
)
def test_a_field_that_cannot_hold_what_is_written_says_so(
    object_name: str, name: str, change: dict[str, Any], level: str, words: str, described: Described, rules: Rules
) -> None:
    field(described, object_name, name).update(change)
    findings = check_custom_fields(rules, described)
    assert worse(findings) == [(f"{object_name}.{name}", level)]
    assert words in told(findings, f"{object_name}.{name}").found


@pytest.mark.parametrize(
    "change",
    [
        {"restrictedPicklist": False, "picklistValues": []},
        {"type": "string", "picklistValues": None, "length": 255},
        {"name": "payment_STATUS__c"},
    ],
)
def test_a_field_that_can_hold_it_in_another_way_is_well(change: dict[str, Any], described: Described, rules: Rules) -> None:
    field(described, "Opportunity", STATUS).update(change)
    assert worse(check_custom_fields(rules, described)) == []


def test_a_description_that_says_little_is_taken_as_granted(described: Described, rules: Rules) -> None:
    for answer in described.values():
        if answer is not None:
            answer["fields"] = [{"name": one["name"]} for one in answer["fields"]]
            del answer["queryable"], answer["updateable"]
    assert worse(check_objects(described) + check_custom_fields(rules, described)) == []


def test_records_that_may_not_be_edited_are_one_permission(described: Described, rules: Rules) -> None:
    described["Account"]["updateable"] = False
    findings = check_custom_fields(rules, described)
    assert ("Account." + ID, "problem") in worse(findings)
    assert told(findings, "Account." + ID).mend.endswith("Object Settings, Account: Edit")


def test_a_standard_field_that_a_pass_needs_is_told_as_the_pass_would(described: Described, rules: Rules) -> None:
    described["Opportunity"]["fields"].remove(field(described, "Opportunity", "CloseDate"))
    findings = check_custom_fields(rules, described)
    assert worse(findings) == [("Opportunity.CloseDate", "problem")]
    assert "permission set" in told(findings, "Opportunity.CloseDate").mend


def test_fields_by_other_names_are_looked_for_by_those(described: Described, rules_with: Callable[[str], Rules]) -> None:
    rules = rules_with('[salesforce.account]\ncustomer_id = "ERP_Id__c"\nactive = "Is_Customer__c"\n')
    findings = check_custom_fields(rules, described)
    assert worse(findings) == [("Account.ERP_Id__c", "problem"), ("Account.Is_Customer__c", "problem")]


# The whole examination, of other servers than the sandbox


class OtherOrg:
    """A server that knows the least that Salesforce documents: no composite calls, queries one by one."""

    def __init__(self, described: Described) -> None:
        self.described = described
        self.versions: Said = Said(body=[{"label": "Spring", "version": "66.0"}, {"label": "Old", "version": "31.0"}])
        self.limits: Said = Said(body={"DailyApiRequests": {"Max": 15000, "Remaining": 14000}})
        self.organization: dict[str, Any] = {"Id": "00D000000000062", "Name": "Órg & Söhne", "IsSandbox": False}
        self.users: list[dict[str, Any]] = [{"Id": "005", "Name": "Ann", "Email": "ann@example.com"}]
        self.stages: list[dict[str, Any]] = [{"Id": "1", "ApiName": "Won", "IsWon": True, "IsActive": True}]
        self.records: list[dict[str, Any]] = [{"Id": "006"}]

    def __call__(self, asked: Asked) -> Said:
        path = asked.path.rstrip("/")
        if path == "/services/data":
            return self.versions
        if path.endswith("/limits"):
            return self.limits
        if path.endswith("/describe"):
            answer = self.described.get(path.split("/")[-2])
            return Said(body=answer) if answer else refused(404, "NOT_FOUND")
        if path.endswith("/query"):
            return self.rows(asked.params["q"])
        return refused(404, "NOT_FOUND")

    def rows(self, soql: str) -> Said:
        if "FROM Organization" in soql:
            return found(self.organization)
        if "FROM OpportunityStage" in soql:
            return found(*self.stages)
        return found(*(self.users if "FROM User" in soql else self.records))


@pytest.fixture
def other(service: ScriptedSalesforce, described: Described) -> OtherOrg:
    answering = OtherOrg(described)
    service.says(answering)
    return answering


@pytest.fixture
def service():
    scripted = ScriptedSalesforce()
    # Otherwise every answer waits 40 ms for the acknowledgement of its headers.
    scripted._server.RequestHandlerClass.disable_nagle_algorithm = True
    yield scripted
    scripted.stop()


def examined(service: ScriptedSalesforce, rules: Rules, *, now: datetime = NOW, mode: Mode = Mode.LIVE) -> salesforce.Examination:
    environment = environment_for(service.url)
    return salesforce.examine(door_to(environment).client, environment, rules, mode, lambda: now)


def test_a_server_that_knows_little_is_examined_all_the_same(service: ScriptedSalesforce, other: OtherOrg, rules: Rules) -> None:
    examination = examined(service, rules)
    assert worse(examination.findings) == []
    assert examination.org == salesforce.Org("00D000000000062EAA", False, None, ())
    assert "Órg & Söhne" in told(examination.findings, "org").found
    assert {asked.method for asked in service.calls} <= {"GET", "POST"}
    assert [asked.path for asked in service.calls if asked.method == "POST"] == ["/services/data/v66.0/composite"]


def test_a_login_is_tried_anew_whatever_token_is_kept(service: ScriptedSalesforce, other: OtherOrg, rules: Rules) -> None:
    environment = environment_for(service.url)
    door = door_to(environment)
    assert door.client.instance_url == service.url
    service.login = Said(400, {"error": "invalid_client", "error_description": "invalid client credentials"})
    examination = salesforce.examine(door.client, environment, rules, Mode.LIVE, lambda: NOW)
    assert worse(examination.findings) == [("login", "problem")]
    assert examination.org is None
    assert "SALESFORCE_CLIENT_SECRET" in told(examination.findings, "login").mend


@pytest.mark.parametrize("skew", [timedelta(minutes=5), timedelta(minutes=-5)])
def test_a_wrong_clock_is_told_even_when_nobody_can_log_in(
    skew: timedelta, service: ScriptedSalesforce, other: OtherOrg, rules: Rules
) -> None:
    service.login = Said(400, {"error": "invalid_grant", "error_description": "expired authorization code"})
    findings = examined(service, rules, now=NOW + skew).findings
    assert worse(findings) == [("login", "problem"), ("clock", "warning")]


@pytest.mark.parametrize(
    ("said", "level", "words"),
    [
        (Said(body=[{"version": "31.0"}, {"version": "65.0"}]), "problem", "the org has 31.0 to 65.0"),
        (Said(body=[{"version": "66.0"}, {"version": "67.0"}]), "ok", "1 newer"),
        (Said(body=[]), "ok", "66.0"),
        (Said(body={"not": "a list"}), "warning", "cannot be seen"),
        (Said(503, "<html>maintenance</html>"), "warning", "Maintenance [http_503]"),
    ],
)
def test_the_version_of_the_api_must_be_one_that_the_org_has(
    said: Said, level: str, words: str, service: ScriptedSalesforce, other: OtherOrg, rules: Rules
) -> None:
    other.versions = said
    finding = told(examined(service, rules).findings, "API version")
    assert finding.level == level
    assert words in finding.found


@pytest.mark.parametrize(
    ("said", "level", "words"),
    [
        (Said(body={"DailyApiRequests": {"Max": 100, "Remaining": 21}}), "ok", "79 of 100"),
        (Said(body={"DailyApiRequests": {"Max": 100, "Remaining": 20}}), "warning", "80 of 100"),
        (Said(body={"DailyApiRequests": {"Max": 100, "Remaining": 0}}), "problem", "(100%)"),
        (Said(body={}), "ok", "does not tell"),
        (Said(body={}, headers={"Sforce-Limit-Info": "api-usage=90/100"}), "warning", "90 of 100"),
        (Said(body=["strange"]), "ok", "does not tell"),
        (refused(403, "INSUFFICIENT_ACCESS", "not yours"), "warning", "Not yours"),
        (Said(403, [{"errorCode": "X"}], {"Sforce-Limit-Info": "api-usage=7/100"}), "ok", "7 of 100"),
    ],
)
def test_calls_that_run_out_are_told_before_they_have(
    said: Said, level: str, words: str, service: ScriptedSalesforce, other: OtherOrg, rules: Rules
) -> None:
    other.limits = said
    finding = told(examined(service, rules).findings, "daily API calls")
    assert finding.level == level
    assert words in finding.found


def test_an_org_without_a_won_stage_or_without_visible_records_is_told(
    service: ScriptedSalesforce, other: OtherOrg, rules: Rules
) -> None:
    other.stages = [{"Id": "1", "ApiName": "Won", "IsWon": True, "IsActive": False}, {"Id": "2", "IsWon": False}]
    other.records = []
    findings = examined(service, rules).findings
    assert worse(findings) == [
        ("Opportunity", "warning"),
        ("Account", "warning"),
        ("OpportunityLineItem", "warning"),
        ("stages", "problem"),
    ]
    assert "View All Records" in told(findings, "Account").mend


def test_users_whose_mail_reaches_nobody_are_told(service: ScriptedSalesforce, other: OtherOrg, rules: Rules) -> None:
    other.users = [
        {"Id": "1", "Name": "Ann", "Email": "ann@example.com.invalid"},
        {"Id": "2", "Name": "Bo", "Email": None},
        {"Id": "3", "Name": "Cy", "Email": "cy@example.com"},
    ]
    finding = told(examined(service, rules).findings, "users' e-mail")
    assert finding.level is Level.WARNING
    assert finding.found.startswith("2 active users have no usable e-mail address (Ann, Bo)")


def test_a_sandbox_org_in_live_mode_is_told(service: ScriptedSalesforce, other: OtherOrg, rules: Rules) -> None:
    other.organization["IsSandbox"] = True
    assert worse(examined(service, rules).findings) == [("org", "warning")]
    assert worse(examined(service, rules, mode=Mode.DRY_RUN).findings) == []


def test_queries_that_are_refused_are_findings_of_their_own(service: ScriptedSalesforce, other: OtherOrg, rules: Rules) -> None:
    other.rows = lambda soql: refused(400, "INVALID_TYPE", "sObject type is not supported")  # type: ignore[method-assign]
    findings = examined(service, rules).findings
    assert [check for check, level in worse(findings) if level == "problem"] == [
        *("org", "Opportunity", "Account", "OpportunityLineItem"),
    ]
