"""What only shows when both systems are looked at: whether they belong to each other and to this installation."""

from __future__ import annotations

from collections.abc import Mapping

from qbsf_pipeline.doctor.findings import Area, Finding, listed
from qbsf_pipeline.doctor.quickbooks import Company
from qbsf_pipeline.doctor.salesforce import Org
from qbsf_pipeline.salesforce.objects import to_18
from qbsf_pipeline.settings import Environment, Mode, Rules, is_loopback_url

AREA = Area.TOGETHER


def check_identity(bound: Mapping[str, str], org: Org | None, realm: str | None) -> list[Finding]:
    """The org and the company are those that this state database remembers.

    Args:
        bound: ids by ``salesforce`` and ``quickbooks``; empty before the first pass.
        org: the org that was logged in to.
        realm: QUICKBOOKS_REALM_ID.
    """
    if not bound:
        return [AREA.ok("identity", "this QBSF_HOME belongs to no org and company yet; the first pass binds it")]
    now = {"salesforce": org.organization_id if org is not None else None, "quickbooks": realm}
    names = {"salesforce": ("org", "SALESFORCE_LOGIN_URL"), "quickbooks": ("company", "QUICKBOOKS_REALM_ID")}
    findings = []
    for system, known in bound.items():
        found = now.get(system)
        if found is not None and to_18(found) != to_18(known):
            what, variable = names[system]
            text = f"This QBSF_HOME belongs to {what} {known}, and the settings lead to {found}"
            mend = f"Use an own QBSF_HOME for each pair of org and company, or correct {variable}"
            findings.append(AREA.problem("identity", text, mend))
    return findings or [AREA.ok("identity", "this QBSF_HOME belongs to this org and this company")]


def check_environments(org: Org | None, environment: Environment, mode: Mode) -> list[Finding]:
    """Rehearsal goes with rehearsal, and real with real."""
    login_url = environment.salesforce_login_url
    if org is None or org.is_sandbox is None or not login_url or is_loopback_url(login_url):
        return []
    books_are_sandbox = environment.quickbooks_environment == "sandbox"
    if org.is_sandbox == books_are_sandbox:
        return []
    mend = "Correct SALESFORCE_LOGIN_URL or QUICKBOOKS_ENVIRONMENT, so that both are real or both are sandboxes"
    if org.is_sandbox:
        text = "Salesforce is a sandbox and QuickBooks a real company: deals made up for tests would be billed for real"
        told = AREA.problem if mode in (Mode.APPROVE, Mode.LIVE) else AREA.warning
        return [told("environments", text, mend)]
    text = "Salesforce is real and QuickBooks a sandbox company: real deals would get the ids of invoices that nobody sees"
    return [AREA.warning("environments", text, mend)]


def check_currencies(org: Org | None, company: Company | None, rules: Rules) -> list[Finding]:
    """Deals are in currencies that the books know."""
    if org is None or company is None:
        return []
    multicurrency = "QuickBooks: Settings, Account and settings, Advanced, Currency: Multicurrency (it stays on for good)"
    if org.currencies:
        others = [code for code in org.currencies if code != company.home_currency]
        if others and not company.several_currencies:
            text = f"Salesforce has deals in {listed(others)}; the books are in {company.home_currency} only, and refuse them"
            return [AREA.warning("currencies", text, multicurrency)]
        return [AREA.ok("currencies", "QuickBooks can take every currency of Salesforce")]
    own = org.currency or rules.salesforce.currency.strip().upper() or None
    if own is None and company.several_currencies:
        text = "The org does not tell its currency, and QuickBooks has several: every deal is refused"
        return [AREA.problem("currencies", text, "Set salesforce.currency in the file of QBSF_CONFIG")]
    if own is not None and company.home_currency is not None and own != company.home_currency and not company.several_currencies:
        text = f"Salesforce is in {own}, and the books are in {company.home_currency} only: every deal is refused"
        return [AREA.problem("currencies", text, f"Correct the currency that is wrong, or {multicurrency}")]
    return [AREA.ok("currencies", f"both systems are in {company.home_currency or own or 'one currency'}")]
