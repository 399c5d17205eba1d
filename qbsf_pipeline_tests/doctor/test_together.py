from __future__ import annotations

from collections.abc import Callable

import pytest

from qbsf_pipeline.doctor.quickbooks import Company
from qbsf_pipeline.doctor.salesforce import Org
from qbsf_pipeline.doctor.together import check_currencies, check_environments, check_identity
from qbsf_pipeline.settings import Environment, Mode, Rules
from qbsf_pipeline_tests.doctor.levels import worse

ORG, OTHER_ORG = "00D000000000062EAA", "00D000000000063EAA"
REALM = "9341450000000001"


@pytest.mark.parametrize(
    ("bound", "org", "realm", "level"),
    [
        ({}, Org(ORG), REALM, []),
        ({"salesforce": ORG, "quickbooks": REALM}, Org(ORG), REALM, []),
        ({"salesforce": ORG[:15], "quickbooks": REALM}, Org(ORG), REALM, []),
        ({"salesforce": ORG, "quickbooks": REALM}, None, None, []),
        ({"salesforce": ORG, "quickbooks": REALM}, Org(OTHER_ORG), REALM, [("identity", "problem")]),
        ({"salesforce": ORG, "quickbooks": REALM}, Org(OTHER_ORG), "9341450000000002", [("identity", "problem")] * 2),
    ],
)
def test_a_home_of_another_org_or_company_is_a_problem(
    bound: dict[str, str], org: Org | None, realm: str | None, level: list[tuple[str, str]]
) -> None:
    assert worse(check_identity(bound, org, realm)) == level


@pytest.mark.parametrize(
    ("is_sandbox", "books", "mode", "level"),
    [
        (False, "production", Mode.LIVE, []),
        (True, "sandbox", Mode.LIVE, []),
        (True, "production", Mode.LIVE, [("environments", "problem")]),
        (True, "production", Mode.DRY_RUN, [("environments", "warning")]),
        (False, "sandbox", Mode.LIVE, [("environments", "warning")]),
        (None, "sandbox", Mode.LIVE, []),
    ],
)
def test_rehearsal_goes_with_rehearsal(is_sandbox: bool | None, books: str, mode: Mode, level: list[tuple[str, str]]) -> None:
    environment = Environment(salesforce_login_url="https://acme.my.salesforce.com", quickbooks_environment=books)  # type: ignore[arg-type]
    assert worse(check_environments(Org(ORG, is_sandbox), environment, mode)) == level


@pytest.mark.parametrize(
    ("org", "company", "currency", "level"),
    [
        (Org(currency="USD"), Company("USD", False), "", []),
        (Org(currency="EUR"), Company("USD", False), "", [("currencies", "problem")]),
        (Org(currency="EUR"), Company("USD", True), "", []),
        (Org(), Company("USD", False), "", []),
        (Org(), Company("USD", True), "", [("currencies", "problem")]),
        (Org(), Company("USD", True), "usd", []),
        (Org(), Company("USD", False), "EUR", [("currencies", "problem")]),
        (Org(currencies=("EUR", "USD")), Company("USD", False), "", [("currencies", "warning")]),
        (Org(currencies=("EUR", "USD")), Company("USD", True), "", []),
        (None, Company("USD", False), "", []),
        (Org(currency="USD"), None, "", []),
    ],
)
def test_deals_must_be_in_currencies_that_the_books_know(
    org: Org | None, company: Company | None, currency: str, level: list[tuple[str, str]], rules_with: Callable[[str], Rules]
) -> None:
    assert worse(check_currencies(org, company, rules_with(f'[salesforce]\ncurrency = "{currency}"\n'))) == level
