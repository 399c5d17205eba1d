from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from qbsf_pipeline.doctor.findings import Area, Level, clock_finding, guarded, service_problem, setting_problem
from qbsf_pipeline.errors import AccessRefused, ConfigurationError, RecordRefused, ServiceError, ServiceUnavailable

NOW = datetime(2026, 3, 31, 9, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("area", "error", "found", "mend"),
    [
        (
            Area.SALESFORCE,
            AccessRefused("salesforce", "invalid_client", "invalid client credentials: SALESFORCE_CLIENT_SECRET is another's"),
            "Invalid client credentials [invalid_client]",
            "SALESFORCE_CLIENT_SECRET is another's",
        ),
        (
            Area.SALESFORCE,
            AccessRefused("salesforce", "API_DISABLED_FOR_ORG", "API is off (give the user 'API Enabled', in an edition)"),
            "API is off [API_DISABLED_FOR_ORG]",
            "Give the user 'API Enabled', in an edition",
        ),
        (
            Area.QUICKBOOKS,
            AccessRefused("quickbooks", "3100", "QuickBooks does not let it in (one: two), or (three)", "1-tid"),
            "QuickBooks does not let it in (one: two), or (three) [3100] (reference 1-tid)",
            "Let a company admin run `qbsf connect quickbooks` again, with the right company and app keys",
        ),
        (
            Area.SLACK,
            AccessRefused("slack", "missing_scope", "missing_scope (needed: a; granted: b): add the scope"),
            "missing_scope (needed: a; granted: b) [missing_scope]",
            "Add the scope",
        ),
        (
            Area.SLACK,
            RecordRefused("slack", "unknown_method", "unknown_method: x"),
            "unknown_method: x [unknown_method]",
            "Look at the Slack app's page OAuth & Permissions",
        ),
    ],
)
def test_what_a_service_refuses_is_parted_into_what_is_wrong_and_what_to_do(
    area: Area, error: ServiceError, found: str, mend: str
) -> None:
    told = service_problem(area, "login", error)
    assert (told.level, told.found, told.mend) == (Level.PROBLEM, found, mend)


def test_a_service_that_does_not_answer_is_to_be_tried_again() -> None:
    told = service_problem(Area.QUICKBOOKS, "company", ServiceUnavailable("quickbooks", "timeout", "did not answer: later"))
    assert told.found == "Did not answer: later [timeout]"
    assert told.mend.startswith("Try again")


def test_a_very_long_text_of_a_service_is_shortened_to_a_line() -> None:
    told = service_problem(Area.SLACK, "token", AccessRefused("slack", "x", "a\n" * 5000))
    assert len(told.found) <= 600
    assert "\n" not in told.found


@pytest.mark.parametrize(
    ("line", "check", "found", "mend"),
    [
        ("QUICKBOOKS_REALM_ID: must be digits; found 'A'", "QUICKBOOKS_REALM_ID", "must be digits; found 'A'", "Correct QUICK"),
        ("invoices.send: is missing", "invoices.send", "is missing", "Correct invoices.send"),
        ("SLACK_BOT_TOKEN is not set", "SLACK_BOT_TOKEN", "SLACK_BOT_TOKEN is not set", "Correct SLACK_BOT_TOKEN"),
        ("something is wrong", "settings", "Something is wrong", "Correct the setting"),
    ],
)
def test_a_line_about_a_setting_becomes_a_problem_of_that_setting(line: str, check: str, found: str, mend: str) -> None:
    told = setting_problem(Area.INSTALLATION, line)
    assert (told.check, told.found) == (check, found)
    assert told.mend.startswith(mend)


@pytest.mark.parametrize(
    ("skew", "signs", "level", "words"),
    [
        (timedelta(seconds=119), True, Level.OK, "agrees"),
        (timedelta(seconds=-119), False, Level.OK, "agrees"),
        (timedelta(minutes=3), False, Level.WARNING, "3 minutes ahead of Salesforce"),
        (timedelta(minutes=-9), True, Level.PROBLEM, "9 minutes behind Salesforce's: a signed login (JWT) is refused"),
        (timedelta(days=2), False, Level.WARNING, "48 hours ahead"),
    ],
)
def test_clocks_may_differ_by_two_minutes(skew: timedelta, signs: bool, level: Level, words: str) -> None:
    (told,) = clock_finding(Area.SALESFORCE, NOW, NOW + skew, signs=signs)
    assert told.level is level
    assert words in told.found
    assert clock_finding(Area.SALESFORCE, None, NOW) == []


def test_a_check_that_is_refused_is_a_finding_and_no_end() -> None:
    def refused() -> list:
        raise AccessRefused("salesforce", "INSUFFICIENT_ACCESS", "no")

    def misconfigured() -> list:
        raise ConfigurationError(["A_KEY: one", "B_KEY: two"])

    assert [one.check for one in guarded(Area.SALESFORCE, "limits", refused)] == ["limits"]
    assert [one.check for one in guarded(Area.SALESFORCE, "limits", misconfigured)] == ["A_KEY", "B_KEY"]
